/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of all partitions, with a fetch session or without, that now and then jumps to an older place. What it
 * gets goes to the history; what it is told about (marks, errors, time) is checked here.
 *
 * 1. One fetch at a time. positions[i].pos is the next offset it wants.
 * 2. In a session only partitions whose position changed are named.
 */
#include <stdio.h>

#include "msg/fetch.h"
#include "record.h"
#include "workload.h"

struct wl_position {
	int64_t pos;
	int64_t sent_pos;  /* what the session knows; -1: nothing */
	int64_t hw;        /* last told on this connection */
	uint32_t era;      /* of the partition when pos was set */
	bool reached_end;  /* since calm */
};

struct wl_reader {
	struct workload *wl;
	int id;
	char name[32];
	struct sim_conn conn;
	struct sim_event retry;
	struct sim_call call;
	bool with_session;
	int32_t session_id;
	int32_t session_epoch;
	struct wl_position positions[WORKLOAD_PARTS_MAX];
	int32_t max_wait_ms;
	int first; /* partition that is named first */
	bool is_ended;
	struct compress_ctx ctx;
};

static void reader_fetch(struct wl_reader *r);

static void reader_next(struct wl_reader *r, int64_t most_ms)
{
	struct world *w = r->wl->w;

	if (!r->is_ended && !w->has_failed)
		world_after(w, &r->retry, rng_between(&w->rng, 0, most_ms * NS_PER_MS) + 1000, r->retry.fire);
}

static void session_drop(struct wl_reader *r)
{
	r->session_id = 0;
	r->session_epoch = r->with_session ? 0 : -1;
	for (int i = 0; i < r->wl->parts_n; i++)
		r->positions[i].sent_pos = -1;
}

/* --- what came --- */

static void read_batch(struct wl_reader *r, struct hist_part *part, struct wl_position *at,
		       const struct batch_info *batch, int64_t hw)
{
	struct scratch plain = {0};
	struct record_iter it;
	struct record record;
	struct bytes payload;

	if (batch->magic != BATCH_MAGIC_NOW ||
	    batch_payload(batch, &r->ctx, &plain, &payload) != ERR_NONE) {
		world_fail(r->wl->w, "%s-%d offset %lld: the batch cannot be read", part->topic, part->index,
			   (long long)batch->base_offset);
		scratch_deinit(&plain);
		return;
	}
	record_iter_init(&it, batch, payload);
	while (record_iter_next(&it, &record) && !r->wl->w->has_failed) {
		if (record.offset < at->pos)
			continue; /* the batch that holds the position comes whole */
		history_read(&r->wl->history, r->conn.era, part, r->name, record.offset, at->pos, record.value, hw);
		at->pos = record.offset + 1;
		at->era = r->conn.era;
	}
	if (it.err)
		world_fail(r->wl->w, "%s-%d offset %lld: damaged records", part->topic, part->index,
			   (long long)batch->base_offset);
	scratch_deinit(&plain);
}

/* A long poll that was satisfied long ago was not woken. */
static void check_wakeup(struct wl_reader *r, const struct hist_part *part, const struct wl_position *at,
			 const struct sim_call *call)
{
	struct world *w = r->wl->w;
	int64_t known_ns = history_known_ns(part, at->pos);
	int64_t since_ns;

	if (!r->wl->is_calm || known_ns == INT64_MAX || call->sent_ns < r->wl->calm_since_ns)
		return;
	since_ns = MAX(known_ns, call->sent_ns);
	if (w->now_ns - since_ns > 5 * NS_PER_S)
		world_fail(w, "%s-%d: reader %s waited %lld ms for offset %lld, which was there", part->topic,
			   part->index, r->name, (long long)((w->now_ns - since_ns) / NS_PER_MS), (long long)at->pos);
}

static void check_marks(struct wl_reader *r, const struct hist_part *part, struct wl_position *at,
			const struct fetch_response_responses_partitions *got)
{
	struct world *w = r->wl->w;

	if (got->high_watermark < 0 || got->last_stable_offset > got->high_watermark)
		world_fail(w, "%s-%d: high watermark %lld, last stable offset %lld", part->topic, part->index,
			   (long long)got->high_watermark, (long long)got->last_stable_offset);
	if (got->high_watermark < at->hw)
		world_fail(w, "%s-%d: the high watermark went back from %lld to %lld on one connection", part->topic,
			   part->index, (long long)at->hw, (long long)got->high_watermark);
	at->hw = got->high_watermark;
}

static void part_error(struct wl_reader *r, struct hist_part *part, struct wl_position *at, int16_t code)
{
	struct world *w = r->wl->w;

	if (workload_bad_error(r->wl, "Fetch", code))
		return;
	if (code == ERR_OFFSET_OUT_OF_RANGE) {
		/* A position that was once there is out of range only when a lossy cut took it. */
		if (at->era == r->conn.era)
			world_fail(w, "%s-%d: position %lld of %s is out of range", part->topic, part->index,
				   (long long)at->pos, r->name);
		at->pos = 0;
		at->era = r->conn.era;
		return;
	}
	if (r->wl->is_calm && w->now_ns - r->wl->calm_since_ns > 20 * NS_PER_S)
		world_fail(w, "%s-%d: Fetch answers error %d in calm", part->topic, part->index, code);
}

static void part_answered(struct wl_reader *r, struct hist_part *part, struct wl_position *at,
			  const struct fetch_response_responses_partitions *got, const struct sim_call *call)
{
	struct bytes in = {got->records.piece.mem, got->records.is_null ? 0 : got->records.piece.len};
	struct batch_iter it = batch_iter_of(in, BATCH_CHECK_CRC);
	struct batch_info batch;

	world_trace(r->wl->w, "fetch.answered", "client=%s part=%s-%d pos=%lld error=%d hw=%lld len=%zu", r->name,
		    part->topic, part->index, (long long)at->pos, got->error_code, (long long)got->high_watermark,
		    in.len);
	if (got->error_code) {
		part_error(r, part, at, got->error_code);
		return;
	}
	check_marks(r, part, at, got);
	/* A long answer takes its time on a thin link. */
	if (in.len && in.len < 4096)
		check_wakeup(r, part, at, call);
	while (!r->wl->w->has_failed && batch_iter_next(&it, &batch))
		read_batch(r, part, at, &batch, got->high_watermark);
	if (it.err)
		world_fail(r->wl->w, "%s-%d: a damaged batch was sent for offset %lld", part->topic, part->index,
			   (long long)at->pos);
	/* With tiny limits the whole way would take too long. */
	if (r->wl->is_calm && at->pos < got->high_watermark - 40)
		at->pos = got->high_watermark - 20;
	if (r->wl->is_calm && at->pos >= got->high_watermark)
		at->reached_end = true;
}

static int part_index(const struct workload *wl, const struct hist_part *part)
{
	for (int i = 0; i < wl->parts_n; i++) {
		if (wl->parts[i] == part)
			return i;
	}
	UNREACHABLE();
}

static void fetch_done(struct sim_call *call)
{
	struct wl_reader *r = container_of(call, struct wl_reader, call);
	const struct fetch_response *response = call->response;
	struct workload *wl = r->wl;
	bool had_error = false;

	if (call->err)
		return;
	if (response->error_code) {
		if (!workload_bad_error(wl, "Fetch", response->error_code))
			session_drop(r);
		reader_next(r, 100);
		return;
	}
	if (r->with_session && call->version >= 7) {
		r->session_id = response->session_id;
		r->session_epoch = response->session_id ? r->session_epoch + 1 : 0;
		if (!response->session_id)
			session_drop(r);
	}
	for (int32_t t = 0; t < response->responses_n; t++) {
		const struct fetch_response_responses *topic = &response->responses[t];

		for (int32_t i = 0; i < topic->partitions_n && !wl->w->has_failed; i++) {
			const struct fetch_response_responses_partitions *got = &topic->partitions[i];
			struct hist_part *part = workload_find_part(wl, call->version < 13 ? topic->topic : STR_NULL,
								    topic->topic_id, got->partition_index);

			if (!part) {
				world_fail(wl->w, "Fetch answers for a partition that was not asked for");
				return;
			}
			had_error |= got->error_code != 0;
			part_answered(r, part, &r->positions[part_index(wl, part)], got, call);
		}
	}
	/* A session names only what has news: of the others the last word counts. */
	for (int i = 0; wl->is_calm && r->session_id && i < wl->parts_n; i++) {
		struct wl_position *at = &r->positions[i];

		at->reached_end |= at->hw >= 0 && at->pos >= at->hw;
	}
	reader_next(r, had_error ? 200 : 2);
}

/* --- asking --- */

static void reader_jump(struct wl_reader *r)
{
	struct workload *wl = r->wl;
	int i = (int)rng_below(&wl->w->rng, (uint64_t)wl->parts_n);
	struct wl_position *at = &r->positions[i];

	at->pos = (int64_t)rng_below(&wl->w->rng, (uint64_t)at->pos + 1);
	at->reached_end = false;
}

static void reader_fetch(struct wl_reader *r)
{
	struct workload *wl = r->wl;
	struct world *w = wl->w;
	struct fetch_request_topics topics[WORKLOAD_PARTS_MAX];
	struct fetch_request_topics_partitions parts[WORKLOAD_PARTS_MAX];
	struct fetch_request request;
	int n = 0;

	if (!wl->is_calm && world_chance(w, 1, 40))
		reader_jump(r);
	msg_init(&fetch_request_type, &request);
	r->max_wait_ms = wl->is_calm ? 15000 : (int32_t)rng_between(&w->rng, 0, 1000);
	request.max_wait_ms = r->max_wait_ms;
	request.min_bytes = world_chance(w, 1, 8) ? 0 : 1;
	request.max_bytes = (int32_t)w->opt.fetch_max;
	request.session_id = r->session_id;
	request.session_epoch = r->session_epoch;
	/* Another partition first each time: with tiny limits only the first gets anything. */
	r->first = (r->first + 1) % wl->parts_n;
	for (int k = 0; k < wl->parts_n; k++) {
		int i = (r->first + k) % wl->parts_n;
		const struct hist_part *part = wl->parts[i];
		struct wl_position *at = &r->positions[i];

		if (r->session_id && at->sent_pos == at->pos)
			continue;
		at->sent_pos = at->pos;
		msg_init(&fetch_request_topics_type, &topics[n]);
		msg_init(&fetch_request_topics_partitions_type, &parts[n]);
		topics[n].topic = str_of(part->topic);
		topics[n].topic_id = part->topic_id;
		topics[n].partitions = &parts[n];
		topics[n].partitions_n = 1;
		parts[n].partition = part->index;
		parts[n].fetch_offset = at->pos;
		parts[n].partition_max_bytes = (int32_t)rng_between(&w->rng, 1, w->opt.fetch_max);
		n++;
	}
	request.topics = topics;
	request.topics_n = n;
	sim_conn_call(&r->conn, &r->call, API_FETCH, &request, r->max_wait_ms + 20000, fetch_done);
}

static void reader_retry(struct sim_event *event)
{
	struct wl_reader *r = container_of(event, struct wl_reader, retry);

	if (r->is_ended)
		return;
	if (r->conn.state == CONN_OFF)
		sim_conn_open(&r->conn);
	else if (r->conn.state == CONN_UP && !sim_call_is_out(&r->call))
		reader_fetch(r);
}

static void reader_up(struct sim_conn *conn)
{
	struct wl_reader *r = conn->owner;

	if (sim_conn_version(conn, API_FETCH) < 0) {
		world_fail(r->wl->w, "Fetch is not offered");
		return;
	}
	for (int i = 0; i < r->wl->parts_n; i++)
		r->positions[i].hw = -1;
	/* Sessions outlive connections; a client that starts anew asks for another. */
	if (world_chance(r->wl->w, 1, 2) || sim_conn_version(conn, API_FETCH) < 7)
		session_drop(r);
	reader_fetch(r);
}

static void reader_down(struct sim_conn *conn)
{
	struct wl_reader *r = conn->owner;

	/* What the session knows after a lost answer is uncertain: say everything again. */
	session_drop(r);
	reader_next(r, 300);
}

/* --- life --- */

struct wl_reader *wl_reader_new(struct workload *wl, int id)
{
	struct wl_reader *r = MEM_NEW(struct wl_reader);

	r->wl = wl;
	r->id = id;
	snprintf(r->name, sizeof(r->name), "reader%d", id);
	sim_conn_init(&r->conn, wl->w, wl->node, r->name);
	r->conn.owner = r;
	r->conn.up = reader_up;
	r->conn.down = reader_down;
	r->retry.fire = reader_retry;
	r->with_session = r->conn.cap[API_FETCH] >= 7 && world_chance(wl->w, 1, 2);
	session_drop(r);
	wl->old_readers |= r->conn.cap[API_FETCH] < 10;
	return r;
}

void wl_reader_free(struct wl_reader *r)
{
	world_off(r->wl->w, &r->retry);
	sim_conn_deinit(&r->conn);
	compress_ctx_deinit(&r->ctx);
	mem_free(r);
}

void wl_reader_start(struct wl_reader *r)
{
	sim_conn_open(&r->conn);
}

void wl_reader_end(struct wl_reader *r)
{
	r->is_ended = true;
	world_off(r->wl->w, &r->retry);
	if (r->conn.state != CONN_OFF)
		sim_conn_close(&r->conn);
}

void wl_reader_calm(struct wl_reader *r)
{
	for (int i = 0; i < r->wl->parts_n; i++)
		r->positions[i].reached_end = false;
}

bool wl_reader_has_progressed(const struct wl_reader *r)
{
	bool yes = true;

	for (int i = 0; i < r->wl->parts_n; i++)
		yes = yes && r->positions[i].reached_end;
	return yes;
}
