/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody who looks after the log directories: asks what lies where and judges the answer, moves partitions about
 * while they are written and read, and tries single partitions when a directory is out of order on purpose.
 *
 *      WORK: [DescribeLogDirs | AlterReplicaLogDirs] ... --rest--> until nothing is on its way --> last look --> done
 *      a demand (wl_dirs_demand): DescribeLogDirs --> [Produce --> Fetch of it] per partition --> met
 *
 * Always: a directory is told once, only those that there are; a partition lies in one directory at most, and moves to
 * another one than that; a directory with an error tells nothing else. In the calm no directory has one, each partition
 * lies in one, and when all is at rest: the one that has its files, with their size.
 *
 * 1. `at` is what the last answer told; a demand begins with a new one, DIRS_ELSEWHERE with what DIRS_KNOWN brought.
 * 2. `left` are the partitions that a demand is not met for yet.
 */
#include <stdio.h>

#include "batch_build.h"
#include "msg/alter_replica_log_dirs.h"
#include "msg/describe_log_dirs.h"
#include "sim_disk.h"
#include "workload_client.h"

#define DIRS_MAX 3
#define DIRS_ROWS_MAX 64
#define DIRS_OTHERS_N 4
#define DIRS_DIFFERS_MAX 50

struct dirs_row {
	char name[64];
	int32_t index;
};

struct wl_dirs {
	struct wl_client client;
	struct workload *wl;
	int dirs_n;
	int at[WORKLOAD_PARTS_MAX]; /* directory; -1: not told */
	int64_t size[WORKLOAD_PARTS_MAX];
	uint32_t offline;           /* directories that told an error */
	bool is_on_its_way;         /* something was moving */
	int64_t asked_ns;           /* when the last answer was asked for */
	enum dirs_demand demand;
	int demand_dir;
	int64_t demand_ns;
	uint32_t left;
	int trying; /* the partition whose batch is out */
	uint32_t writers[WORKLOAD_PARTS_MAX]; /* plus 1 */
	uint32_t counter;
	int64_t offset; /* of the batch to be read back */
	bool is_found;
	int differs_n; /* last looks in a row that differ from the disk */
	bool is_resting, is_done;
};

static const char *const others[DIRS_OTHERS_N] = {"churn", "trimmed", "compacted", "__consumer_offsets"};

static struct wl_dirs *dirs_of(struct sim_call *call)
{
	return container_of(wl_client_of_call(call), struct wl_dirs, client);
}

static void dirs_later(struct wl_dirs *d, int64_t most_ms)
{
	wl_client_later(&d->client, NS_PER_MS, most_ms * NS_PER_MS);
}

/* --- what lies where --- */

static int dirs_find(const struct wl_dirs *d, struct str path)
{
	for (int i = 0; i < d->dirs_n; i++) {
		if (str_eq_c(path, sim_options_dir(i)))
			return i;
	}
	return -1;
}

/* Which of the workload's partitions; -1: another one. */
static int dirs_part(const struct wl_dirs *d, struct str topic, int32_t index)
{
	for (int i = 0; i < d->wl->parts_n; i++) {
		if (str_eq_c(topic, d->wl->parts[i]->topic) && d->wl->parts[i]->index == index)
			return i;
	}
	return -1;
}

struct dirs_look {
	struct wl_dirs *d;
	struct dirs_row rows[DIRS_ROWS_MAX];
	int rows_n;
	uint32_t told;
	int future[WORKLOAD_PARTS_MAX];
};

static void look_at_partition(struct dirs_look *look, int dir, struct str topic,
			      const struct describe_log_dirs_response_results_topics_partitions *partition)
{
	struct wl_dirs *d = look->d;
	int part = dirs_part(d, topic, partition->partition_index);

	if (partition->is_future_key) {
		d->is_on_its_way = true;
		if (part >= 0)
			look->future[part] = dir;
		return;
	}
	for (int i = 0; i < look->rows_n; i++) {
		if (str_eq_c(topic, look->rows[i].name) && look->rows[i].index == partition->partition_index)
			world_fail(d->wl->w, "DescribeLogDirs: %.*s-%d lies in two directories, one is %s",
				   STR_ARGS(topic), partition->partition_index, sim_options_dir(dir));
	}
	if (look->rows_n < DIRS_ROWS_MAX) {
		struct dirs_row *row = &look->rows[look->rows_n++];

		snprintf(row->name, sizeof(row->name), "%.*s", STR_ARGS(topic));
		row->index = partition->partition_index;
	}
	if (part >= 0) {
		d->at[part] = dir;
		d->size[part] = partition->partition_size;
	}
}

static void look_at_dir(struct dirs_look *look, const struct describe_log_dirs_response_results *result)
{
	struct wl_dirs *d = look->d;
	struct world *w = d->wl->w;
	int dir = dirs_find(d, result->log_dir);

	if (dir < 0 || look->told >> dir & 1) {
		world_fail(w, "DescribeLogDirs tells %.*s%s", STR_ARGS(result->log_dir),
			   dir < 0 ? ", which is none" : " twice");
		return;
	}
	look->told |= UINT32_C(1) << dir;
	if (result->error_code) {
		d->offline |= UINT32_C(1) << dir;
		if (result->error_code != ERR_KAFKA_STORAGE_ERROR || result->topics_n > 0)
			world_fail(w, "DescribeLogDirs: %s has error %d and %d topics", sim_options_dir(dir),
				   result->error_code, result->topics_n);
		else if (d->wl->is_calm && d->asked_ns >= d->wl->calm_since_ns)
			world_fail(w, "DescribeLogDirs: %s has error %d in the calm", sim_options_dir(dir),
				   result->error_code);
		return;
	}
	for (int32_t t = 0; t < result->topics_n; t++) {
		for (int32_t i = 0; i < result->topics[t].partitions_n && !w->has_failed; i++)
			look_at_partition(look, dir, result->topics[t].name, &result->topics[t].partitions[i]);
	}
}

struct dirs_sum {
	char prefix[128];
	bool is_there;
	int64_t bytes;
};

static void dirs_add_file(void *ctx, const char *path, bool is_dir, struct bytes content)
{
	struct dirs_sum *sum = ctx;
	size_t len = strlen(sum->prefix), path_len = strlen(path);

	if (strncmp(path, sum->prefix, len) != 0)
		return;
	sum->is_there |= is_dir && path_len == len;
	if (!is_dir && path[len] == '/' && path_len > 4 && strcmp(path + path_len - 4, ".log") == 0)
		sum->bytes += (int64_t)content.len;
}

/* Nothing moves: what is told is what lies there. False: not yet, what was sent with acks=0 may be on its way. */
static bool dirs_compare(struct wl_dirs *d)
{
	bool is_same = true;

	d->differs_n++;
	for (int i = 0; i < d->wl->parts_n && !d->wl->w->has_failed; i++) {
		struct dirs_sum sum = {.is_there = false};

		snprintf(sum.prefix, sizeof(sum.prefix), "%s/%s-%d", sim_options_dir(d->at[i]), d->wl->parts[i]->topic,
			 d->wl->parts[i]->index);
		disk_walk(world_node(d->wl->w, d->wl->node)->disk, dirs_add_file, &sum);
		is_same = is_same && sum.is_there && sum.bytes == d->size[i];
		if ((!sum.is_there || sum.bytes != d->size[i]) && d->differs_n > DIRS_DIFFERS_MAX)
			world_fail(d->wl->w, "DescribeLogDirs: %s has %lld bytes, %s", sum.prefix,
				   (long long)d->size[i], sum.is_there ? "the disk has others" : "but is not there");
	}
	return is_same;
}

static void dirs_judge(struct wl_dirs *d, const struct dirs_look *look)
{
	struct world *w = d->wl->w;
	bool is_calm = d->wl->is_calm && d->asked_ns >= d->wl->calm_since_ns;

	if (look->told != (UINT32_C(1) << d->dirs_n) - 1)
		world_fail(w, "DescribeLogDirs leaves out a directory");
	for (int i = 0; i < d->wl->parts_n; i++) {
		if (look->future[i] >= 0 && look->future[i] == d->at[i])
			world_fail(w, "DescribeLogDirs: %s-%d moves to where it is", d->wl->parts[i]->topic,
				   d->wl->parts[i]->index);
		if (is_calm && d->at[i] < 0)
			world_fail(w, "DescribeLogDirs: %s-%d lies nowhere", d->wl->parts[i]->topic,
				   d->wl->parts[i]->index);
	}
	if (w->has_failed || !d->is_resting || d->is_on_its_way || d->asked_ns < d->wl->drained_ns)
		return;
	d->is_done = dirs_compare(d);
}

static void dirs_described(struct sim_call *call)
{
	struct wl_dirs *d = dirs_of(call);
	const struct describe_log_dirs_response *response = call->response;
	struct dirs_look look = {.d = d};

	if (call->err)
		return;
	d->asked_ns = call->sent_ns;
	d->offline = 0;
	d->is_on_its_way = false;
	for (int i = 0; i < WORKLOAD_PARTS_MAX; i++) {
		look.future[i] = -1;
		/* What lies in a directory that fails is not told any more. */
		if (d->demand != DIRS_ELSEWHERE)
			d->at[i] = -1;
	}
	for (int32_t i = 0; i < response->results_n && !d->wl->w->has_failed; i++)
		look_at_dir(&look, &response->results[i]);
	dirs_judge(d, &look);
	dirs_later(d, 100);
}

static void dirs_describe(struct wl_dirs *d)
{
	struct describe_log_dirs_request request;

	msg_init(&describe_log_dirs_request_type, &request);
	request.topics_n = -1;
	sim_conn_call(&d->client.conn, &d->client.call, API_DESCRIBE_LOG_DIRS, &request, 15000, dirs_described);
}

/* --- moves --- */

static void dirs_altered(struct sim_call *call)
{
	struct wl_dirs *d = dirs_of(call);
	const struct alter_replica_log_dirs_response *response = call->response;
	int16_t code;

	if (call->err)
		return;
	if (response->results_n != 1 || response->results[0].partitions_n != 1) {
		world_fail(d->wl->w, "AlterReplicaLogDirs of one partition answers otherwise");
		return;
	}
	code = response->results[0].partitions[0].error_code;
	if (code != ERR_NONE && code != ERR_KAFKA_STORAGE_ERROR && code != ERR_UNKNOWN_TOPIC_OR_PARTITION)
		world_fail(d->wl->w, "AlterReplicaLogDirs answers error %d", code);
	dirs_later(d, world_chance(d->wl->w, 1, 2) ? 10 : 400);
}

static void dirs_alter(struct wl_dirs *d, uint64_t which, int to)
{
	struct alter_replica_log_dirs_request_dirs_topics topic;
	struct alter_replica_log_dirs_request_dirs dir;
	struct alter_replica_log_dirs_request request;
	int32_t partition = 0;

	msg_init(&alter_replica_log_dirs_request_type, &request);
	msg_init(&alter_replica_log_dirs_request_dirs_type, &dir);
	msg_init(&alter_replica_log_dirs_request_dirs_topics_type, &topic);
	dir.path = str_of(sim_options_dir(to));
	if (which < (uint64_t)d->wl->parts_n) {
		topic.name = str_of(d->wl->parts[which]->topic);
		partition = d->wl->parts[which]->index;
	} else {
		topic.name = str_of(others[which - (uint64_t)d->wl->parts_n]);
	}
	topic.partitions = &partition;
	topic.partitions_n = 1;
	dir.topics = &topic;
	dir.topics_n = 1;
	request.dirs = &dir;
	request.dirs_n = 1;
	sim_conn_call(&d->client.conn, &d->client.call, API_ALTER_REPLICA_LOG_DIRS, &request, 15000, dirs_altered);
}

static void dirs_alter_any(struct wl_dirs *d)
{
	struct rng *rng = &d->wl->w->rng;
	uint64_t which = rng_below(rng, (uint64_t)d->wl->parts_n + DIRS_OTHERS_N);

	dirs_alter(d, which, (int)rng_below(rng, (uint64_t)d->dirs_n));
}

/* --- demands --- */

static struct wl_place dirs_place(const struct wl_dirs *d, int part)
{
	const struct hist_part *hp = d->wl->parts[part];

	return (struct wl_place){str_of(hp->topic), hp->topic_id, hp->index};
}

static bool dirs_record(void *ctx, const struct record *record)
{
	struct wl_dirs *d = ctx;

	if (record->offset >= d->offset && !d->is_found) {
		d->is_found = true;
		history_read(&d->wl->history, d->client.conn.era, d->wl->parts[d->trying], "dirs", record->offset,
			     d->offset, record->value, INT64_MAX);
	}
	return !d->is_found;
}

static void dirs_fetched(struct sim_call *call)
{
	struct wl_dirs *d = dirs_of(call);
	const struct fetch_response_responses_partitions *got;
	int64_t end = 0;

	if (call->err)
		return;
	got = wl_client_fetched(call);
	d->is_found = false;
	if (got && !got->error_code && !wl_records_each(got, dirs_record, d, &end))
		world_fail(d->wl->w, "Fetch gives a damaged batch");
	/* Of a full directory: the answer alone counts, there may be nothing in the partition. */
	if (got && !got->error_code && (d->is_found || d->demand == DIRS_REFUSED))
		d->left &= ~(UINT32_C(1) << d->trying);
	dirs_later(d, 20);
}

static void dirs_read_back(struct wl_dirs *d, int64_t offset)
{
	struct wl_place place = dirs_place(d, d->trying);

	d->offset = offset;
	wl_client_fetch(&d->client, &place, offset, 1, dirs_fetched);
}

static void dirs_produced(struct sim_call *call)
{
	struct wl_dirs *d = dirs_of(call);
	struct hist_part *part = d->wl->parts[d->trying];
	const struct produce_response_responses_partition_responses *got;
	bool is_there = d->at[d->trying] == d->demand_dir;

	if (call->err)
		return;
	got = wl_client_produced(call);
	if (!got || workload_bad_error(d->wl, "Produce", got->error_code))
		return;
	if (!got->error_code)
		history_acked(&d->wl->history, d->client.conn.era, d->writers[d->trying] - 1, d->counter, 1,
			      got->base_offset);
	if (!got->error_code && d->demand == DIRS_ELSEWHERE && is_there) {
		world_fail(d->wl->w, "%s-%d is acknowledged in a directory that fails", part->topic, part->index);
	} else if (!got->error_code && (d->demand == DIRS_ELSEWHERE || d->demand == DIRS_TAKEN)) {
		dirs_read_back(d, got->base_offset);
	} else if (got->error_code && d->demand == DIRS_REFUSED) {
		dirs_read_back(d, 0);
	} else {
		if (got->error_code && d->demand == DIRS_ELSEWHERE && is_there)
			d->left &= ~(UINT32_C(1) << d->trying);
		dirs_later(d, 300);
	}
}

static void dirs_produce(struct wl_dirs *d, int part)
{
	struct workload *wl = d->wl;
	struct wl_place place = dirs_place(d, part);
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct record_fields fields = {0};
	uint8_t value[HISTORY_VALUE_MAX];
	struct scratch bytes = {0};
	struct batch_builder b;
	struct bytes built;
	enum err err = batch_builder_init(&b, &spec, &bytes, NULL);

	d->trying = part;
	if (!d->writers[part])
		d->writers[part] = history_writer(&wl->history, wl->parts[part], false) + 1;
	d->counter = history_sent(&wl->history, d->writers[part] - 1, 1);
	fields.value = (struct bytes){value, history_value(&wl->history, d->writers[part] - 1, d->counter, value)};
	if (!err)
		err = batch_builder_add(&b, (wl->w->wall_base_ns + wl->w->now_ns) / NS_PER_MS, &fields);
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
	wl_client_produce(&d->client, &place, -1, scratch_bytes(&bytes), dirs_produced);
	scratch_deinit(&bytes);
}

/* The failed directory has to be told as such when something that lies in it was tried. */
static bool dirs_is_untold(const struct wl_dirs *d)
{
	bool is_used = false;

	for (int i = 0; i < d->wl->parts_n; i++)
		is_used |= d->at[i] == d->demand_dir;
	return d->demand == DIRS_ELSEWHERE && d->left == 0 && is_used && !(d->offline >> d->demand_dir & 1);
}

/* Where it is, then the move, then until it has arrived. */
static void dirs_try_move(struct wl_dirs *d)
{
	if (d->demand_dir < 0 && d->asked_ns >= d->demand_ns && d->at[d->trying] >= 0) {
		d->demand_dir = (d->at[d->trying] + 1) % d->dirs_n;
		dirs_alter(d, (uint64_t)d->trying, d->demand_dir);
	} else {
		dirs_describe(d);
	}
}

static void dirs_try(struct wl_dirs *d)
{
	int part = 0;

	if (d->demand == DIRS_MOVED) {
		dirs_try_move(d);
		return;
	}

	if (d->asked_ns < d->demand_ns || dirs_is_untold(d) || d->demand == DIRS_KNOWN) {
		dirs_describe(d);
		return;
	}
	while (part < d->wl->parts_n &&
	       (!(d->left >> part & 1) || (d->demand == DIRS_REFUSED && d->at[part] != d->demand_dir))) {
		d->left &= ~(UINT32_C(1) << part);
		part++;
	}
	if (part < d->wl->parts_n)
		dirs_produce(d, part);
	else
		dirs_later(d, 20);
}

void wl_dirs_demand(struct wl_dirs *d, enum dirs_demand demand, int dir)
{
	d->demand = demand;
	d->demand_dir = dir;
	d->demand_ns = d->wl->w->now_ns;
	d->left = (UINT32_C(1) << d->wl->parts_n) - 1;
	dirs_later(d, 20);
}

static bool dirs_is_known(const struct wl_dirs *d)
{
	bool is_known = !d->is_on_its_way;

	for (int i = 0; i < d->wl->parts_n; i++)
		is_known = is_known && d->at[i] >= 0;
	return is_known;
}

void wl_dirs_move(struct wl_dirs *d, int part)
{
	wl_dirs_demand(d, DIRS_MOVED, -1);
	d->trying = part;
}

bool wl_dirs_is_met(const struct wl_dirs *d)
{
	if (d->demand == DIRS_MOVED)
		return d->demand_dir >= 0 && d->at[d->trying] == d->demand_dir && !d->is_on_its_way;
	if (d->is_done)
		return true; /* a body without directories */
	if (d->demand == DIRS_KNOWN)
		return d->asked_ns >= d->demand_ns && dirs_is_known(d);
	return d->left == 0 && d->asked_ns >= d->demand_ns && !dirs_is_untold(d) && !sim_call_is_out(&d->client.call);
}

/* --- life --- */

static void dirs_step(struct wl_client *client)
{
	struct wl_dirs *d = container_of(client, struct wl_dirs, client);
	bool can_move = d->wl->w->opt.moves && d->dirs_n > 1;

	if (d->is_done)
		return;
	if (d->demand != DIRS_NOTHING)
		dirs_try(d);
	else if (!d->is_resting && can_move && world_chance(d->wl->w, d->wl->is_calm ? 1 : 8, 12))
		dirs_alter_any(d);
	else
		dirs_describe(d);
}

static void dirs_up(struct sim_conn *conn)
{
	struct wl_dirs *d = conn->owner;

	if (sim_conn_version(conn, API_DESCRIBE_LOG_DIRS) < 0)
		d->is_done = true; /* a body without directories */
	else
		dirs_later(d, 20);
}

static void dirs_down(struct sim_conn *conn)
{
	dirs_later(conn->owner, 300);
}

struct wl_dirs *wl_dirs_new(struct workload *wl)
{
	struct wl_dirs *d = MEM_NEW(struct wl_dirs);

	d->wl = wl;
	d->dirs_n = (int)MIN(wl->w->opt.dirs, (int64_t)DIRS_MAX);
	d->asked_ns = -1;
	for (int i = 0; i < WORKLOAD_PARTS_MAX; i++)
		d->at[i] = -1;
	wl_client_init(&d->client, wl, "dirs", dirs_step);
	d->client.conn.owner = d;
	d->client.conn.up = dirs_up;
	d->client.conn.down = dirs_down;
	return d;
}

void wl_dirs_free(struct wl_dirs *d)
{
	if (!d)
		return;
	wl_client_deinit(&d->client);
	mem_free(d);
}

void wl_dirs_start(struct wl_dirs *d)
{
	wl_client_open(&d->client);
}

void wl_dirs_rest(struct wl_dirs *d)
{
	d->is_resting = true;
}

bool wl_dirs_is_done(const struct wl_dirs *d)
{
	return d->is_done;
}

void wl_dirs_end(struct wl_dirs *d)
{
	wl_client_end(&d->client);
}
