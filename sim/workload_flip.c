/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic whose disk rots: bits of its closed segments flip, at rest below the recovery point, while the node runs and
 * while it is down (flip_rot.c). One client writes records whose content follows from their number, and reads ranges of
 * all sizes again and again.
 *
 *      CREATE --> [produce | fetch] ... --rest--> SWEEP all --> [a flip, until a scrub tells it] --> produce --> done
 *
 * Always: a record is the one that was written at its offset; no offset is passed over; CORRUPT_MESSAGE is answered
 * where a flip explains it, and for nothing else. What flipped before this start of the node is never served. What
 * flips under a running node may be sent unseen, as from a page that left the cache: there the client finds out.
 *
 * 1. entries is what is known of each offset; it holds within an era, and below the recovery point for ever.
 */
#include <stdio.h>

#include "batch_build.h"
#include "workload_flip.h"

#define FLIP_RECORDS_MAX 2500
#define FLIP_RECORDS_LEAST 120
#define FLIP_TOLD_NS (20 * NS_PER_S)
#define FLIP_VALUE_MAX 320
#define FLIP_IDLE_MAX 200

static struct wl_flip *flip_of(struct sim_call *call)
{
	return container_of(wl_client_of_call(call), struct wl_flip, client);
}

static void flip_later(struct wl_flip *f, int64_t most_ms)
{
	wl_client_later(&f->client, NS_PER_MS / 2, most_ms * NS_PER_MS);
}

static int flip_life(const struct wl_flip *f)
{
	return world_node(f->wl->w, f->wl->node)->starts_n;
}

/* ---- values ---- */

static struct bytes flip_value(uint32_t counter, uint8_t ret[FLIP_VALUE_MAX])
{
	uint64_t x = (counter + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
	size_t len = 8 + (size_t)(x >> 40) % (FLIP_VALUE_MAX - 8);

	store_be64(ret, counter);
	for (size_t i = 8; i < len; i++) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		ret[i] = (uint8_t)(x >> 56);
	}
	return (struct bytes){ret, len};
}

/* ---- what is known ---- */

static void flip_known(struct wl_flip *f, int64_t offset, uint32_t counter)
{
	struct flip_entry *entry;

	while ((int64_t)f->entries.n <= offset)
		vec_push(&f->entries, ((struct flip_entry){0, 0}));
	entry = &f->entries.v[offset];
	if (entry->counter_plus1 && entry->counter_plus1 != counter + 1 &&
	    (entry->era == f->client.conn.era || offset < f->synced_to))
		world_fail(f->wl->w, "%s: record %u at %lld, where %u is", FLIP_TOPIC, counter, (long long)offset,
			   entry->counter_plus1 - 1);
	*entry = (struct flip_entry){counter + 1, f->client.conn.era};
}

/* ---- produce ---- */

static void flip_produced(struct sim_call *call)
{
	struct wl_flip *f = flip_of(call);
	const struct produce_response_responses_partition_responses *got;

	if (call->err)
		return;
	got = wl_client_produced(call);
	if (!got || workload_bad_error(f->wl, "Produce to a damaged partition", got->error_code))
		return;
	for (uint32_t i = 0; !got->error_code && i < f->sent_n; i++)
		flip_known(f, got->base_offset + i, f->sent_first + i);
	if (!got->error_code && f->step == FLIP_LAST)
		f->step = FLIP_DONE;
	flip_later(f, got->error_code ? 100 : 6);
}

static void flip_produce(struct wl_flip *f)
{
	struct world *w = f->wl->w;
	struct wl_place place = {STR(FLIP_TOPIC), UUID_ZERO, 0};
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct scratch bytes = {0};
	struct batch_builder b;
	struct bytes built;
	enum err err = batch_builder_init(&b, &spec, &bytes, NULL);

	f->sent_n = (uint32_t)rng_between(&w->rng, 1, 4);
	f->sent_first = f->counter_next;
	f->counter_next += f->sent_n;
	for (uint32_t i = 0; !err && i < f->sent_n; i++) {
		uint8_t value[FLIP_VALUE_MAX];
		struct record_fields fields = {.value = flip_value(f->sent_first + i, value)};

		err = batch_builder_add(&b, (w->wall_base_ns + w->now_ns) / NS_PER_MS, &fields);
	}
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
	/* Each batch is sent once, whatever comes of it. */
	wl_client_produce(&f->client, &place, -1, scratch_bytes(&bytes), flip_produced);
	scratch_deinit(&bytes);
}

/* ---- fetch ---- */

enum flip_kind { FLIP_OWN, FLIP_REACH, FLIP_REACH_LIVE };

/* Is the offset in a batch that flipped before this life; in the reach of any flip; of one in this life? */
static bool flip_hits(const struct wl_flip *f, int64_t offset, enum flip_kind kind)
{
	for (int i = 0; i < f->flips_n; i++) {
		const struct flip *flip = &f->flips[i];
		int64_t begin = kind == FLIP_OWN ? flip->offset : flip->reach_from;
		int64_t end = kind == FLIP_OWN ? flip->end_offset : flip->reach_offset;

		if (offset < begin || offset >= end)
			continue;
		if (kind == FLIP_REACH || (kind == FLIP_OWN) == (flip->life < f->asked_life))
			return true;
	}
	return false;
}

static bool flip_record(void *ctx, const struct record *record)
{
	struct wl_flip *f = ctx;
	struct world *w = f->wl->w;
	uint8_t value[FLIP_VALUE_MAX];
	uint64_t counter;

	if (record->offset < f->pos && f->pos == f->asked)
		return true;
	/* A header that flipped under the running node may lead anywhere. */
	if (flip_hits(f, f->pos, FLIP_REACH_LIVE))
		return false;
	if (record->offset != f->pos) {
		world_fail(w, "%s: asked for %lld, offset %lld comes at the place of %lld", FLIP_TOPIC,
			   (long long)f->asked, (long long)record->offset, (long long)f->pos);
		return false;
	}
	if (flip_hits(f, record->offset, FLIP_OWN))
		world_fail(w, "%s: offset %lld is served, though its batch was damaged", FLIP_TOPIC,
			   (long long)record->offset);
	counter = record->value.len >= 8 ? load_be64(record->value.p) : UINT64_MAX;
	if (counter >= f->counter_next || !bytes_eq(record->value, flip_value((uint32_t)counter, value)))
		world_fail(w, "%s: offset %lld has a value that was never sent", FLIP_TOPIC, (long long)record->offset);
	else
		flip_known(f, record->offset, (uint32_t)counter);
	f->pos++;
	return !w->has_failed;
}

static void flip_out_of_range(struct wl_flip *f)
{
	const struct flip_entry *entry = f->asked < (int64_t)f->entries.n ? &f->entries.v[f->asked] : NULL;

	if (entry && entry->counter_plus1 && (entry->era == f->client.conn.era || f->asked < f->synced_to))
		world_fail(f->wl->w, "%s: %lld is out of range, and was there", FLIP_TOPIC, (long long)f->asked);
	f->pos = 0;
}

static void flip_refused(struct wl_flip *f, int16_t code)
{
	if (code == ERR_OFFSET_OUT_OF_RANGE) {
		flip_out_of_range(f);
	} else if (code == ERR_CORRUPT_MESSAGE) {
		if (!flip_hits(f, f->asked, FLIP_REACH))
			world_fail(f->wl->w, "%s: offset %lld is told to be damaged, and is not", FLIP_TOPIC,
				   (long long)f->asked);
		f->refused_n++;
		f->pos = f->asked + 1;
	} else if (!workload_bad_error(f->wl, "Fetch from a damaged partition", code)) {
		flip_later(f, 100);
		return;
	}
	flip_later(f, 5);
}

static void flip_fetched(struct sim_call *call)
{
	struct wl_flip *f = flip_of(call);
	const struct fetch_response_responses_partitions *got;
	int64_t end = 0;
	bool is_good, is_live;

	if (call->err)
		return;
	got = wl_client_fetched(call);
	if (!got || got->error_code) {
		if (got)
			flip_refused(f, got->error_code);
		else
			flip_later(f, 100);
		return;
	}
	f->hw = got->high_watermark;
	is_good = wl_records_each(got, flip_record, f, &end);
	is_live = flip_hits(f, f->pos, FLIP_REACH_LIVE);
	if (!is_good && !is_live && !f->wl->w->has_failed)
		world_fail(f->wl->w, "%s: a damaged batch is served at %lld", FLIP_TOPIC, (long long)f->pos);
	f->idle_n = f->pos == f->asked && f->asked < f->hw && !is_live ? f->idle_n + 1 : 0;
	if (f->idle_n > FLIP_IDLE_MAX)
		world_fail(f->wl->w, "%s: nothing comes at %lld below %lld", FLIP_TOPIC, (long long)f->pos,
			   (long long)f->hw);
	if (is_live && f->pos < f->hw)
		f->pos++;
	flip_later(f, 4);
}

static void flip_fetch(struct wl_flip *f)
{
	struct wl_place place = {STR(FLIP_TOPIC), UUID_ZERO, 0};
	int32_t bytes = (int32_t)rng_between(&f->wl->w->rng, 1, world_chance(f->wl->w, 1, 3) ? 100000 : 2000);

	f->asked = f->pos;
	f->asked_life = flip_life(f);
	wl_client_fetch(&f->client, &place, f->pos, bytes, flip_fetched);
}

/* ---- create ---- */

static void flip_created(struct sim_call *call)
{
	struct wl_flip *f = flip_of(call);
	const struct create_topics_response *response = call->response;

	if (call->err)
		return;
	for (int32_t i = 0; i < response->topics_n; i++) {
		int16_t code = response->topics[i].error_code;

		if (code && workload_bad_error(f->wl, "CreateTopics", code))
			return;
		if (!code || code == ERR_TOPIC_ALREADY_EXISTS)
			f->step = FLIP_WORK;
	}
	flip_later(f, 100);
}

static void flip_create(struct wl_flip *f)
{
	const char *config[5][2] = {{"internal.segment.bytes", "1500"},
				    {"cleanup.policy", "delete"},
				    {"retention.ms", "-1"},
				    {"retention.bytes", "-1"},
				    {"min.cleanable.dirty.ratio", "0.5"}};
	struct wl_new_topic topic = {FLIP_TOPIC, config, 5};

	wl_client_create(&f->client, &topic, 1, flip_created);
}

/* ---- the end ---- */

static void flip_sweep(struct wl_flip *f)
{
	if (f->hw < 0 || f->pos < f->hw) {
		flip_fetch(f);
		return;
	}
	for (int64_t offset = f->hw; offset < (int64_t)f->entries.n; offset++) {
		if (f->entries.v[offset].counter_plus1 && f->entries.v[offset].era == f->wl->w->era)
			world_fail(f->wl->w, "%s: ends at %lld, and %lld was there", FLIP_TOPIC, (long long)f->hw,
				   (long long)offset);
	}
	f->step = f->wl->w->opt.scrub ? FLIP_SCRUB : FLIP_LAST;
	if (f->step == FLIP_SCRUB)
		wl_flip_rot(f);
	f->scrub_ns = f->wl->w->now_ns;
	flip_later(f, 20);
}

/* Whatever has flipped is told, by a read that met it or by a scrub. */
static void flip_await_told(struct wl_flip *f)
{
	for (int i = 0; i < f->flips_n; i++) {
		const struct flip *flip = &f->flips[i];

		if (flip->is_told)
			continue;
		if (f->wl->w->now_ns - f->scrub_ns > FLIP_TOLD_NS)
			world_fail(f->wl->w, "%s: no scrub tells the damage at %lld of segment %lld", FLIP_TOPIC,
				   (long long)flip->pos, (long long)flip->segment_base);
		flip_later(f, 100);
		return;
	}
	f->step = FLIP_LAST;
	flip_later(f, 20);
}

/* ---- life ---- */

static void flip_step(struct wl_client *client)
{
	struct wl_flip *f = container_of(client, struct wl_flip, client);
	struct rng *rng = &f->wl->w->rng;

	if (f->is_resting && f->step == FLIP_WORK) {
		f->step = FLIP_SWEEP;
		f->pos = 0;
		f->hw = -1;
	}
	if (f->step == FLIP_CREATE)
		flip_create(f);
	else if (f->step == FLIP_SWEEP)
		flip_sweep(f);
	else if (f->step == FLIP_SCRUB)
		flip_await_told(f);
	else if (f->step == FLIP_LAST)
		flip_produce(f);
	else if (f->step == FLIP_WORK && f->counter_next < FLIP_RECORDS_MAX &&
		 world_chance(f->wl->w, wl_flip_has_grown(f) ? 1 : 3, 4))
		flip_produce(f);
	else if (f->step == FLIP_WORK) {
		/* Anywhere, mostly on from the last place; what was lost in a cut is not asked for. */
		if (f->entries.n && (f->pos >= (int64_t)f->entries.n || world_chance(f->wl->w, 1, 8)))
			f->pos = rng_between(rng, 0, (int64_t)f->entries.n - 1);
		flip_fetch(f);
	}
}

static void flip_up(struct sim_conn *conn)
{
	flip_later(conn->owner, 5);
}

static void flip_down(struct sim_conn *conn)
{
	struct wl_flip *f = conn->owner;

	if (f->step != FLIP_DONE)
		flip_later(f, 300);
}

struct wl_flip *wl_flip_new(struct workload *wl)
{
	struct wl_flip *f = MEM_NEW(struct wl_flip);

	f->wl = wl;
	wl_client_init(&f->client, wl, "flip", flip_step);
	/* By name. */
	if (f->client.conn.cap[API_FETCH] > 12)
		f->client.conn.cap[API_FETCH] = 12;
	if (f->client.conn.cap[API_PRODUCE] > 12)
		f->client.conn.cap[API_PRODUCE] = 12;
	f->client.conn.owner = f;
	f->client.conn.up = flip_up;
	f->client.conn.down = flip_down;
	return f;
}

void wl_flip_free(struct wl_flip *f)
{
	if (!f)
		return;
	wl_client_deinit(&f->client);
	vec_deinit(&f->entries);
	mem_free(f);
}

void wl_flip_start(struct wl_flip *f)
{
	wl_client_open(&f->client);
}

void wl_flip_rest(struct wl_flip *f)
{
	f->is_resting = true;
}

bool wl_flip_has_grown(const struct wl_flip *f)
{
	return f->entries.n >= FLIP_RECORDS_LEAST;
}

bool wl_flip_is_done(const struct wl_flip *f)
{
	return f->step == FLIP_DONE;
}

void wl_flip_end(struct wl_flip *f)
{
	wl_client_end(&f->client);
}
