/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last reading: each partition from its start to its end, by a client that speaks the newest versions, partition
 * after partition. Everything that was acknowledged or ever seen has to be there.
 *
 *      connect --> [ListOffsets latest --> Fetch until the end is reached --> Metadata --> OffsetForLeaderEpoch] per
 *              partition
 *              --> done
 *
 * The leader epochs that stand in the batches never go down, and for each, and for the present one, the broker knows
 * where it ended.
 */
#include "msg/fetch.h"
#include "msg/list_offsets.h"
#include "msg/metadata.h"
#include "msg/offset_for_leader_epoch.h"
#include "record.h"
#include "workload.h"

#define VERIFY_EPOCHS_MAX 8 /* asked for per partition, the newest */

struct verify_epoch {
	int32_t epoch;
	int64_t start;
};

struct wl_verify {
	struct workload *wl;
	struct sim_conn conn;
	struct sim_call call;
	struct sim_event retry;
	struct compress_ctx ctx;
	int at;      /* partition */
	int64_t pos;
	int64_t end; /* -1: not asked */
	int64_t asked_ns; /* for the end */
	int stuck_n; /* answers in a row that brought nothing */
	VEC(struct verify_epoch) epochs; /* as they stand in the batches */
	size_t epoch_at;                 /* the next to ask for */
	bool has_leader_epoch;           /* the last of them is the leader's */
	bool is_done;
	bool is_ended;
};

static void verify_next(struct wl_verify *v);

static struct hist_part *verify_part(const struct wl_verify *v)
{
	return v->at < v->wl->parts_n ? v->wl->parts[v->at] : wl_churn_part(v->wl->churn);
}

static void verify_again(struct wl_verify *v)
{
	world_after(v->wl->w, &v->retry, 100 * NS_PER_MS, v->retry.fire);
}

static void verify_record(struct wl_verify *v, const struct record *record, int64_t hw)
{
	struct workload *wl = v->wl;

	if (record->offset < v->pos)
		return;
	history_read(&wl->history, v->conn.era, verify_part(v), "verify", record->offset, v->pos, record->value, hw);
	history_final(&wl->history, verify_part(v), record->offset);
	v->pos = record->offset + 1;
}

static void verify_epoch_of(struct wl_verify *v, const struct batch_info *batch)
{
	const struct verify_epoch *last = v->epochs.n ? &v->epochs.v[v->epochs.n - 1] : NULL;

	if (last && batch->leader_epoch == last->epoch)
		return;
	if (batch->leader_epoch < 0 || (last && batch->leader_epoch < last->epoch)) {
		world_fail(v->wl->w, "%s-%d offset %lld: leader epoch %d after %d", verify_part(v)->topic,
			   verify_part(v)->index, (long long)batch->base_offset, batch->leader_epoch,
			   last ? last->epoch : -1);
		return;
	}
	vec_push(&v->epochs, ((struct verify_epoch){batch->leader_epoch, batch->base_offset}));
}

static void verify_bytes(struct wl_verify *v, struct bytes in, int64_t hw)
{
	struct batch_iter it = batch_iter_of(in, BATCH_CHECK_CRC);
	struct batch_info batch;

	while (!v->wl->w->has_failed && batch_iter_next(&it, &batch)) {
		struct scratch plain = {0};
		struct record_iter records;
		struct record record;
		struct bytes payload;

		verify_epoch_of(v, &batch);
		if (batch_payload(&batch, &v->ctx, &plain, &payload) != ERR_NONE) {
			world_fail(v->wl->w, "the last reading found a batch that cannot be read");
		} else {
			record_iter_init(&records, &batch, payload);
			while (record_iter_next(&records, &record) && !v->wl->w->has_failed)
				verify_record(v, &record, hw);
		}
		scratch_deinit(&plain);
	}
	if (it.err)
		world_fail(v->wl->w, "%s-%d offset %lld: the last reading found a damaged batch",
			   verify_part(v)->topic, verify_part(v)->index, (long long)v->pos);
}

static void fetch_done(struct sim_call *call)
{
	struct wl_verify *v = container_of(call, struct wl_verify, call);
	const struct fetch_response *response = call->response;
	const struct fetch_response_responses_partitions *got;
	int64_t before = v->pos;

	if (call->err)
		return;
	if (response->responses_n != 1 || response->responses[0].partitions_n != 1) {
		world_fail(v->wl->w, "Fetch of one partition answers %d topics, error %d", response->responses_n,
			   response->error_code);
		return;
	}
	got = &response->responses[0].partitions[0];
	if (got->error_code) {
		if (!workload_bad_error(v->wl, "Fetch", got->error_code))
			verify_again(v);
		return;
	}
	if (!got->records.is_null)
		verify_bytes(v, (struct bytes){got->records.piece.mem, got->records.piece.len}, got->high_watermark);
	if (v->wl->w->has_failed)
		return;
	v->stuck_n = v->pos == before ? v->stuck_n + 1 : 0;
	if (v->pos < v->end && v->stuck_n > 10) {
		world_fail(v->wl->w, "%s-%d offset %lld: nothing can be read though the log ends at %lld",
			   verify_part(v)->topic, verify_part(v)->index, (long long)v->pos, (long long)v->end);
		return;
	}
	verify_next(v);
}

static void verify_fetch(struct wl_verify *v)
{
	const struct hist_part *part = verify_part(v);
	struct fetch_request_topics topic;
	struct fetch_request_topics_partitions p;
	struct fetch_request request;

	msg_init(&fetch_request_type, &request);
	msg_init(&fetch_request_topics_type, &topic);
	msg_init(&fetch_request_topics_partitions_type, &p);
	request.max_wait_ms = 100;
	request.min_bytes = 1;
	request.topics = &topic;
	request.topics_n = 1;
	topic.topic = str_of(part->topic);
	topic.topic_id = part->topic_id;
	topic.partitions = &p;
	topic.partitions_n = 1;
	p.partition = part->index;
	p.fetch_offset = v->pos;
	p.partition_max_bytes = 1 << 20;
	sim_conn_call(&v->conn, &v->call, API_FETCH, &request, 20000, fetch_done);
}

static void offsets_done(struct sim_call *call)
{
	struct wl_verify *v = container_of(call, struct wl_verify, call);
	const struct list_offsets_response *response = call->response;
	const struct list_offsets_response_topics_partitions *got;

	if (call->err)
		return;
	if (response->topics_n != 1 || response->topics[0].partitions_n != 1) {
		world_fail(v->wl->w, "ListOffsets of one partition answers %d topics", response->topics_n);
		return;
	}
	got = &response->topics[0].partitions[0];
	if (got->error_code) {
		if (!workload_bad_error(v->wl, "ListOffsets", got->error_code))
			verify_again(v);
		return;
	}
	v->end = got->offset;
	verify_next(v);
}

static void verify_ask_end(struct wl_verify *v)
{
	const struct hist_part *part = verify_part(v);
	struct list_offsets_request_topics topic;
	struct list_offsets_request_topics_partitions p;
	struct list_offsets_request request;

	v->asked_ns = v->wl->w->now_ns;
	msg_init(&list_offsets_request_type, &request);
	msg_init(&list_offsets_request_topics_type, &topic);
	msg_init(&list_offsets_request_topics_partitions_type, &p);
	request.replica_id = -1;
	request.topics = &topic;
	request.topics_n = 1;
	topic.name = str_of(part->topic);
	topic.partitions = &p;
	topic.partitions_n = 1;
	p.partition_index = part->index;
	p.timestamp = -1;
	sim_conn_call(&v->conn, &v->call, API_LIST_OFFSETS, &request, 20000, offsets_done);
}

static void epoch_done(struct sim_call *call)
{
	struct wl_verify *v = container_of(call, struct wl_verify, call);
	const struct offset_for_leader_epoch_response *response = call->response;
	const struct offset_for_leader_epoch_response_topics_partitions *got;
	int64_t expected;

	if (call->err)
		return;
	if (response->topics_n != 1 || response->topics[0].partitions_n != 1) {
		world_fail(v->wl->w, "OffsetForLeaderEpoch of one partition answers %d topics", response->topics_n);
		return;
	}
	got = &response->topics[0].partitions[0];
	if (got->error_code) {
		if (!workload_bad_error(v->wl, "OffsetForLeaderEpoch", got->error_code))
			verify_again(v);
		return;
	}
	expected = v->epoch_at + 1 < v->epochs.n ? v->epochs.v[v->epoch_at + 1].start : v->pos;
	/* The log may have grown a little by requests without acknowledgement. */
	if (got->leader_epoch != v->epochs.v[v->epoch_at].epoch ||
	    (v->epoch_at + 1 < v->epochs.n ? got->end_offset != expected : got->end_offset < expected)) {
		world_fail(v->wl->w, "%s-%d: leader epoch %d ends at %lld, OffsetForLeaderEpoch says epoch %d, %lld",
			   verify_part(v)->topic, verify_part(v)->index, v->epochs.v[v->epoch_at].epoch,
			   (long long)expected, got->leader_epoch, (long long)got->end_offset);
		return;
	}
	v->epoch_at++;
	verify_next(v);
}

static void verify_ask_epoch(struct wl_verify *v)
{
	const struct hist_part *part = verify_part(v);
	struct offset_for_leader_epoch_request_topics topic;
	struct offset_for_leader_epoch_request_topics_partitions p;
	struct offset_for_leader_epoch_request request;

	msg_init(&offset_for_leader_epoch_request_type, &request);
	msg_init(&offset_for_leader_epoch_request_topics_type, &topic);
	msg_init(&offset_for_leader_epoch_request_topics_partitions_type, &p);
	request.replica_id = -1;
	request.topics = &topic;
	request.topics_n = 1;
	topic.topic = str_of(part->topic);
	topic.partitions = &p;
	topic.partitions_n = 1;
	p.partition = part->index;
	p.leader_epoch = v->epochs.v[v->epoch_at].epoch;
	sim_conn_call(&v->conn, &v->call, API_OFFSET_FOR_LEADER_EPOCH, &request, 20000, epoch_done);
}

static void leader_done(struct sim_call *call)
{
	struct wl_verify *v = container_of(call, struct wl_verify, call);
	const struct metadata_response *response = call->response;
	const struct metadata_response_topics *topic = response && response->topics_n == 1 ? response->topics : NULL;
	struct hist_part *part = verify_part(v);
	int starts_n = world_node(v->wl->w, v->wl->node)->starts_n;

	if (call->err)
		return;
	for (int32_t i = 0; topic && i < topic->partitions_n; i++) {
		const struct metadata_response_topics_partitions *got = &topic->partitions[i];
		int32_t last = v->epochs.n ? v->epochs.v[v->epochs.n - 1].epoch : -1;

		if (got->partition_index != part->index || got->error_code)
			continue;
		if (got->leader_epoch < last) {
			world_fail(v->wl->w, "%s-%d: the leader's epoch is %d, that of its last record %d", part->topic,
				   part->index, got->leader_epoch, last);
			return;
		}
		/* It began where the log ends, if none of its records is there. */
		if (got->leader_epoch > last)
			vec_push(&v->epochs, ((struct verify_epoch){got->leader_epoch, v->pos}));
		if (part->leader_start && part->leader_start < starts_n && got->leader_epoch <= part->leader_epoch) {
			world_fail(v->wl->w, "%s-%d: the leader's epoch is %d after a restart, and was %d before",
				   part->topic, part->index, got->leader_epoch, part->leader_epoch);
			return;
		}
		part->leader_epoch = got->leader_epoch;
		part->leader_start = starts_n;
		v->has_leader_epoch = true;
		verify_next(v);
		return;
	}
	verify_again(v);
}

static void verify_ask_leader(struct wl_verify *v)
{
	const struct hist_part *part = verify_part(v);
	struct metadata_request_topics topic;
	struct metadata_request request;

	msg_init(&metadata_request_type, &request);
	msg_init(&metadata_request_topics_type, &topic);
	topic.name = str_of(part->topic);
	request.topics = &topic;
	request.topics_n = 1;
	sim_conn_call(&v->conn, &v->call, API_METADATA, &request, 20000, leader_done);
}

/* The partition was read. True when nothing is left to ask. */
static bool verify_epochs(struct wl_verify *v)
{
	if (sim_conn_version(&v->conn, API_OFFSET_FOR_LEADER_EPOCH) < 0)
		return true;
	if (!v->has_leader_epoch) {
		verify_ask_leader(v);
		return false;
	}
	if (v->epoch_at + VERIFY_EPOCHS_MAX < v->epochs.n)
		v->epoch_at = v->epochs.n - VERIFY_EPOCHS_MAX;
	if (v->epoch_at >= v->epochs.n)
		return true;
	verify_ask_epoch(v);
	return false;
}

static void verify_next(struct wl_verify *v)
{
	struct workload *wl = v->wl;

	if (wl->w->has_failed || v->is_ended || v->conn.state != CONN_UP || sim_call_is_out(&v->call))
		return;
	while (v->end >= 0 && v->pos >= v->end) {
		if (!verify_epochs(v))
			return;
		history_finish_part(&wl->history, verify_part(v), v->end, v->asked_ns);
		v->at++;
		v->pos = 0;
		v->end = -1;
		v->stuck_n = 0;
		v->epochs.n = v->epoch_at = 0;
		v->has_leader_epoch = false;
	}
	if (v->at == wl->parts_n + (wl->churn && wl_churn_part(wl->churn) && !wl_churn_part(wl->churn)->is_gone)) {
		v->is_done = true;
		history_finish(&wl->history);
		return;
	}
	if (v->end < 0)
		verify_ask_end(v);
	else
		verify_fetch(v);
}

static void verify_retry(struct sim_event *event)
{
	struct wl_verify *v = container_of(event, struct wl_verify, retry);

	if (v->is_ended || v->is_done)
		return;
	if (v->conn.state == CONN_OFF)
		sim_conn_open(&v->conn);
	else
		verify_next(v);
}

static void verify_up(struct sim_conn *conn)
{
	verify_next(conn->owner);
}

static void verify_down(struct sim_conn *conn)
{
	struct wl_verify *v = conn->owner;

	if (!v->is_ended && !v->is_done)
		verify_again(v);
}

struct wl_verify *wl_verify_new(struct workload *wl)
{
	struct wl_verify *v = MEM_NEW(struct wl_verify);

	v->wl = wl;
	v->end = -1;
	v->retry.fire = verify_retry;
	sim_conn_init(&v->conn, wl->w, wl->node, "verify");
	for (int i = 0; i <= API_KEY_MAX; i++) {
		const struct api *api = api_find((int16_t)i);

		v->conn.cap[i] = api && api->request ? api->version_stable : -1;
	}
	v->conn.owner = v;
	v->conn.up = verify_up;
	v->conn.down = verify_down;
	sim_conn_open(&v->conn);
	return v;
}

void wl_verify_free(struct wl_verify *v)
{
	if (!v)
		return;
	world_off(v->wl->w, &v->retry);
	sim_conn_deinit(&v->conn);
	compress_ctx_deinit(&v->ctx);
	vec_deinit(&v->epochs);
	mem_free(v);
}

bool wl_verify_is_done(const struct wl_verify *v)
{
	return v->is_done;
}

void wl_verify_end(struct wl_verify *v)
{
	v->is_ended = true;
	world_off(v->wl->w, &v->retry);
	if (v->conn.state != CONN_OFF)
		sim_conn_close(&v->conn);
}
