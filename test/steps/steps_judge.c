/* SPDX-License-Identifier: Apache-2.0 */
/* Everything is read, compared with what was acknowledged, and used once more. See steps.h. */
#include <stdio.h>

#include "msg/describe_log_dirs.h"
#include "msg/fetch.h"
#include "msg/metadata.h"
#include "msg/offset_for_leader_epoch.h"
#include "record.h"
#include "steps.h"

#define STEPS_SETTLE_MS 4000
#define STEPS_TOPICS_MAX 32

/* ---- which topics there are ---- */

struct listed {
	struct {
		char name[64];
		struct uuid id;
	} topics[STEPS_TOPICS_MAX];
	int n;
};

static void got_topics(void *ctx, const void *response)
{
	const struct metadata_response *got = response;
	struct listed *listed = ctx;

	CHECK_OP(got->topics_n, <=, STEPS_TOPICS_MAX);
	for (listed->n = 0; listed->n < got->topics_n; listed->n++) {
		snprintf(listed->topics[listed->n].name, sizeof(listed->topics[0].name), "%.*s",
			 STR_ARGS(got->topics[listed->n].name));
		listed->topics[listed->n].id = got->topics[listed->n].topic_id;
	}
}

static bool is_id_of_another(const struct steps *s, const struct steps_part *part, struct uuid id)
{
	for (int i = 0; i < s->parts_n; i++) {
		if (&s->parts[i] != part && s->parts[i].is != STEPS_TOPIC_ASKED &&
		    strcmp(s->parts[i].topic, part->topic) == 0 && s->parts[i].index == part->index &&
		    uuid_eq(s->parts[i].id, id))
			return true;
	}
	return false;
}

static void part_resolve(struct steps *s, struct steps_part *part, const struct listed *listed)
{
	struct uuid id = UUID_ZERO;
	bool is_listed = false;

	for (int i = 0; i < listed->n; i++) {
		if (strcmp(listed->topics[i].name, part->topic) == 0) {
			is_listed = true;
			id = listed->topics[i].id;
		}
	}
	switch (part->is) {
	case STEPS_TOPIC_NONE:
		break;
	case STEPS_TOPIC_ASKED:
		part->is = is_listed && !is_id_of_another(s, part, id) ? STEPS_TOPIC_THERE : STEPS_TOPIC_NONE;
		part->id = id;
		break;
	case STEPS_TOPIC_THERE:
		if (!is_listed || !uuid_eq(id, part->id))
			world_fail(s->w, "topic %s %s", part->topic, is_listed ? "has another id" : "is gone");
		break;
	case STEPS_TOPIC_LEAVING:
		part->is = is_listed && uuid_eq(id, part->id) ? STEPS_TOPIC_THERE : STEPS_TOPIC_GONE;
		break;
	case STEPS_TOPIC_GONE:
		if (is_listed && uuid_eq(id, part->id))
			world_fail(s->w, "topic %s was deleted and is there again", part->topic);
		break;
	}
}

static void resolve(struct steps *s)
{
	struct metadata_request request;
	struct listed listed = {0};
	enum err err;

	msg_init(&metadata_request_type, &request);
	request.topics_n = -1;
	err = steps_call(s, API_METADATA, &request, got_topics, &listed);
	if (err)
		world_fail(s->w, "Metadata ends with %s", err_name(err));
	/* Old ones first: who came later under the same name is told apart by the id. */
	for (int i = 0; i < s->parts_n && !err; i++)
		part_resolve(s, &s->parts[i], &listed);
}

/* ---- one partition ---- */

struct reading {
	struct steps *s;
	struct steps_part *part;
	int64_t pos;
	int64_t number; /* the last record's */
	int32_t epoch;  /* of the last batch */
	enum err err;
	bool is_committed; /* what a reader of committed records gets */
	int64_t marks[3]; /* start, stable, end */
	struct {
		int64_t producer_id;
		int64_t first_offset;
	} aborted[16];
	int aborted_n;
};

#define READ_BAD(r, ...)                                                                     \
	do {                                                                                 \
		char text_[256];                                                             \
		snprintf(text_, sizeof(text_), __VA_ARGS__);                                 \
		world_fail((r)->s->w, "%s-%d: %s", (r)->part->topic, (r)->part->index, text_); \
	} while (0)

static bool value_is_right(const struct record *record, uint32_t number)
{
	for (size_t i = 4; i < record->value.len; i++) {
		if (record->value.p[i] != (uint8_t)(number * 7 + 1))
			return false;
	}
	return true;
}

static void read_record(struct reading *r, const struct record *record)
{
	struct steps_part *part = r->part;
	struct steps_record *known;
	uint32_t number;

	if (record->offset < r->pos)
		return;
	number = record->value.len >= 4 ? load_be32(record->value.p) : UINT32_MAX;
	if (number >= part->records.n || record->key.len != 1 || !value_is_right(record, number) ||
	    record->key.p[0] != part->records.v[number].key) {
		READ_BAD(r, "offset %lld: a record that was never sent", (long long)record->offset);
		return;
	}
	known = &part->records.v[number];
	if (r->is_committed) {
		known->is_visible = true;
		return;
	}
	if (known->is_seen)
		READ_BAD(r, "record %u is there twice, again at %lld", number, (long long)record->offset);
	if (known->offset >= 0 && known->offset != record->offset)
		READ_BAD(r, "record %u is at %lld, and was at %lld", number, (long long)record->offset,
			 (long long)known->offset);
	if (number <= r->number)
		READ_BAD(r, "record %u after %lld", number, (long long)r->number);
	r->number = number;
	known->is_seen = true;
	known->offset = record->offset; /* who has read it counts on it */
}

/* Does the transaction that the batch belongs to end with an abort? Its marker ends the range. */
static bool is_aborted(struct reading *r, const struct batch_info *batch)
{
	for (int i = 0; i < r->aborted_n; i++) {
		if (r->aborted[i].producer_id != batch->producer_id || batch->last_offset < r->aborted[i].first_offset)
			continue;
		if (batch_is_control(batch))
			r->aborted[i].producer_id = -1;
		return true;
	}
	return false;
}

static void read_batches(struct reading *r, struct bytes in)
{
	struct batch_iter it = batch_iter_of(in, BATCH_CHECK_CRC);
	struct batch_info batch;

	while (!r->s->w->has_failed && batch_iter_next(&it, &batch)) {
		struct bytes payload = {batch.bytes.p + BATCH_HEADER_LEN, batch.bytes.len - BATCH_HEADER_LEN};
		struct record_iter records;
		struct record record;
		bool is_gone;

		if (batch.base_offset > r->pos && !r->part->is_compacted)
			READ_BAD(r, "a gap from %lld to %lld", (long long)r->pos, (long long)batch.base_offset);
		if (batch.leader_epoch < r->epoch)
			READ_BAD(r, "offset %lld: leader epoch %d after %d", (long long)batch.base_offset,
				 batch.leader_epoch, r->epoch);
		r->epoch = batch.leader_epoch;
		is_gone = r->is_committed && is_aborted(r, &batch);
		record_iter_init(&records, &batch, payload);
		while (!batch_is_control(&batch) && !is_gone && record_iter_next(&records, &record))
			read_record(r, &record);
		r->pos = MAX(r->pos, batch.last_offset + 1);
	}
	if (it.err)
		READ_BAD(r, "a damaged batch at %lld", (long long)r->pos);
}

static void got_fetched(void *ctx, const void *response)
{
	const struct fetch_response *got = response;
	const struct fetch_response_responses_partitions *p;
	struct reading *r = ctx;

	r->err = ERR_UNKNOWN_SERVER_ERROR;
	if (got->responses_n != 1 || got->responses[0].partitions_n != 1)
		return;
	p = &got->responses[0].partitions[0];
	r->err = (enum err)p->error_code;
	if (r->err)
		return;
	r->marks[0] = p->log_start_offset;
	r->marks[1] = p->last_stable_offset;
	r->marks[2] = p->high_watermark;
	r->aborted_n = 0;
	for (int32_t i = 0; r->is_committed && i < p->aborted_transactions_n; i++) {
		CHECK_OP(r->aborted_n, <, (int)ARRAY_N(r->aborted));
		r->aborted[r->aborted_n].producer_id = p->aborted_transactions[i].producer_id;
		r->aborted[r->aborted_n++].first_offset = p->aborted_transactions[i].first_offset;
	}
	read_batches(r, (struct bytes){p->records.piece.mem, p->records.is_null ? 0 : p->records.piece.len});
}

static void fetch_once(struct reading *r)
{
	struct fetch_request_topics_partitions p;
	struct fetch_request_topics topic;
	struct fetch_request request;
	enum err err;

	msg_init(&fetch_request_type, &request);
	msg_init(&fetch_request_topics_type, &topic);
	msg_init(&fetch_request_topics_partitions_type, &p);
	request.max_wait_ms = 0;
	request.isolation_level = r->is_committed;
	request.topics = &topic;
	request.topics_n = 1;
	topic.topic = str_of(r->part->topic);
	topic.partitions = &p;
	topic.partitions_n = 1;
	p.partition = r->part->index;
	p.fetch_offset = r->pos;
	p.partition_max_bytes = 1 << 20;
	err = steps_call(r->s, API_FETCH, &request, got_fetched, r);
	if (err || r->err)
		READ_BAD(r, "Fetch of %lld ends with %s", (long long)r->pos, err_name(err ? err : r->err));
}

static void read_from_to(struct reading *r, int64_t from, int64_t to)
{
	int64_t before = -1;

	r->pos = from;
	do {
		if (r->pos == before)
			READ_BAD(r, "nothing can be read at %lld, the log ends at %lld", (long long)r->pos,
				 (long long)to);
		before = r->pos;
		fetch_once(r);
	} while (r->pos < to && !r->s->w->has_failed);
}

/* ---- what must be there ---- */

static bool has_newer(const struct steps_part *part, size_t number)
{
	for (size_t i = number + STEPS_KEYS_N; i < part->records.n; i += STEPS_KEYS_N) {
		if (part->records.v[i].is_seen)
			return true;
	}
	return false;
}

static void judge_records(struct reading *r)
{
	struct steps_part *part = r->part;
	bool is_lost = false;

	for (size_t i = 0; i < part->records.n && !r->s->w->has_failed; i++) {
		struct steps_record *known = &part->records.v[i];

		if (known->offset < part->start || known->is_seen || (part->is_compacted && has_newer(part, i)))
			continue;
		if (!r->s->is_lossy || known->offset < part->end || known->offset < part->floor)
			READ_BAD(r, "record %zu, acknowledged at %lld, is gone; the log has %lld to %lld, safe to %lld",
				 i, (long long)known->offset, (long long)part->start, (long long)part->end,
				 (long long)part->floor);
		known->offset = -1;
		is_lost = true;
	}
	/* The producer's session is not what it was. */
	if (is_lost || (r->s->is_lossy && !part->is_batch_acked)) {
		part->producer_id = -1;
		part->batch_n = 0;
	}
}

static void got_epoch_end(void *ctx, const void *response)
{
	const struct offset_for_leader_epoch_response *got = response;

	if (got->topics_n == 1 && got->topics[0].partitions_n == 1 && !got->topics[0].partitions[0].error_code)
		*(int64_t *)ctx = got->topics[0].partitions[0].end_offset;
}

static void judge_epoch(struct reading *r)
{
	struct offset_for_leader_epoch_request_topics_partitions p;
	struct offset_for_leader_epoch_request_topics topic;
	struct offset_for_leader_epoch_request request;
	int64_t end = -2;

	msg_init(&offset_for_leader_epoch_request_type, &request);
	msg_init(&offset_for_leader_epoch_request_topics_type, &topic);
	msg_init(&offset_for_leader_epoch_request_topics_partitions_type, &p);
	request.replica_id = -1;
	request.topics = &topic;
	request.topics_n = 1;
	topic.topic = str_of(r->part->topic);
	topic.partitions = &p;
	topic.partitions_n = 1;
	p.partition = r->part->index;
	p.leader_epoch = r->epoch;
	if (steps_call(r->s, API_OFFSET_FOR_LEADER_EPOCH, &request, got_epoch_end, &end) || end != r->part->end)
		READ_BAD(r, "leader epoch %d ends at %lld, the log at %lld", r->epoch, (long long)end,
			 (long long)r->part->end);
}

static void judge_times(struct reading *r)
{
	const struct steps_part *part = r->part;
	size_t step = part->records.n / 4 + 1;

	for (size_t i = part->records.n; i > 0 && !r->s->w->has_failed; i -= MIN(i, step)) {
		const struct steps_record *known = &part->records.v[i - 1];
		int64_t offset;

		if (!known->is_seen)
			continue;
		offset = steps_offset(r->s, part, (int64_t)i - 1, 0);
		if (offset != known->offset)
			READ_BAD(r, "the time of record %zu at %lld leads to %lld", i - 1, (long long)known->offset,
				 (long long)offset);
	}
}

static void judge_committed(struct reading *r)
{
	struct steps_part *part = r->part;

	for (size_t i = 0; i < part->records.n; i++)
		part->records.v[i].is_visible = false;
	r->is_committed = true;
	r->epoch = -1;
	read_from_to(r, part->start, part->end);
	for (size_t i = 0; i < part->records.n && !r->s->w->has_failed; i++) {
		const struct steps_record *known = &part->records.v[i];

		if (known->txn == STEPS_ABORTED && known->is_visible)
			READ_BAD(r, "record %zu of an aborted transaction is served as committed", i);
		if (known->txn == STEPS_PLAIN && known->is_seen && !known->is_visible)
			READ_BAD(r, "record %zu is committed, and not served as such", i);
	}
}

static bool has_transactions(const struct steps *s)
{
	for (int i = 0; i < s->parts_n; i++) {
		for (size_t n = 0; n < s->parts[i].records.n; n++) {
			if (s->parts[i].records.v[n].txn != STEPS_PLAIN)
				return true;
		}
	}
	return s->txn_epoch != 0 || s->txn_producer_id > 0;
}

static void read_part(struct steps *s, struct steps_part *part)
{
	struct reading r = {.s = s, .part = part, .number = -1, .epoch = -1};

	for (size_t i = 0; i < part->records.n; i++)
		part->records.v[i].is_seen = false;
	part->start = steps_offset(s, part, -2, 0);
	part->end = steps_offset(s, part, -1, 0);
	if (part->start < part->start_least || part->start > part->start_most || part->end < part->start)
		READ_BAD(&r, "begins at %lld and ends at %lld; the start must be in %lld to %lld",
			 (long long)part->start, (long long)part->end, (long long)part->start_least,
			 (long long)part->start_most);
	if (part->end < part->floor)
		READ_BAD(&r, "ends at %lld, below the recovery point %lld", (long long)part->end,
			 (long long)part->floor);
	part->start_least = part->start;
	if (!s->w->has_failed)
		read_from_to(&r, part->start, part->end);
	if (r.marks[0] != part->start || r.marks[2] != part->end)
		READ_BAD(&r, "Fetch says from %lld to %lld, ListOffsets from %lld to %lld", (long long)r.marks[0],
			 (long long)r.marks[2], (long long)part->start, (long long)part->end);
	if (!s->w->has_failed)
		judge_records(&r);
	if (!s->w->has_failed && r.epoch >= 0)
		judge_epoch(&r);
	if (!s->w->has_failed)
		judge_times(&r);
	if (!s->w->has_failed && has_transactions(s))
		judge_committed(&r);
}

/* ---- directories ---- */

static void got_dirs(void *ctx, const void *response)
{
	const struct describe_log_dirs_response *got = response;
	struct steps *s = ctx;

	for (int i = 0; i < s->parts_n; i++) {
		const struct steps_part *part = &s->parts[i];
		int64_t bytes = 0, told = 0;
		int told_n = 0, dirs_n;

		if (part->is != STEPS_TOPIC_THERE)
			continue;
		for (int32_t d = 0; d < got->results_n; d++) {
			for (int32_t t = 0; t < got->results[d].topics_n; t++) {
				const struct describe_log_dirs_response_results_topics *topic =
					&got->results[d].topics[t];

				for (int32_t p = 0; str_eq_c(topic->name, part->topic) && p < topic->partitions_n;
				     p++) {
					if (topic->partitions[p].partition_index != part->index)
						continue;
					told_n++;
					told = topic->partitions[p].partition_size;
				}
			}
		}
		bytes = steps_log_bytes(s, part, &dirs_n);
		if (told_n != 1 || dirs_n != 1 || told != bytes)
			world_fail(s->w, "%s-%d: told in %d directories with %lld bytes, lies in %d with %lld",
				   part->topic, part->index, told_n, (long long)told, dirs_n, (long long)bytes);
	}
}

static void judge_dirs(struct steps *s)
{
	struct describe_log_dirs_request request;

	msg_init(&describe_log_dirs_request_type, &request);
	request.topics_n = -1;
	if (steps_call(s, API_DESCRIBE_LOG_DIRS, &request, got_dirs, s))
		world_fail(s->w, "DescribeLogDirs is not answered");
}

/* ---- the whole ---- */

void steps_read(struct steps *s)
{
	if (!steps_connect(s)) {
		world_fail(s->w, "no connection");
		return;
	}
	resolve(s);
	for (int i = 0; i < s->parts_n && !s->w->has_failed; i++) {
		if (s->parts[i].is == STEPS_TOPIC_THERE)
			read_part(s, &s->parts[i]);
	}
}

static bool up(struct steps *s, const char *when)
{
	steps_disconnect(s);
	if (!node_up(s->w, 1)) {
		if (!s->w->has_failed)
			world_fail(s->w, "the node does not start %s: %s", when,
				   err_name(world_node(s->w, 1)->start_err));
		return false;
	}
	return !s->w->has_failed;
}

static bool down(struct steps *s)
{
	steps_disconnect(s);
	if (!node_down(s->w, 1) && !s->w->has_failed)
		world_fail(s->w, "the node does not stop");
	if (!s->w->has_failed)
		steps_check_stopped(s);
	return !s->w->has_failed;
}

/* Transactions that nobody ends are aborted by who comes next. */
static void end_transactions(struct steps *s)
{
	if (!has_transactions(s))
		return;
	steps_txn_begin(s);
	if (s->txn_producer_id < 0)
		world_fail(s->w, "nobody gets the transactional id again");
	for (int i = 0; i < s->parts_n && !s->w->has_failed; i++) {
		struct steps_part *part = &s->parts[i];
		int64_t stable = -1;

		for (int n = 0; part->is == STEPS_TOPIC_THERE && n < STEPS_TRIES; n++) {
			stable = steps_offset(s, part, -1, 1);
			if (stable == steps_offset(s, part, -1, 0))
				break;
			world_run_ms(s->w, 50);
		}
	}
}

static void use(struct steps *s)
{
	int parts_n = s->parts_n;
	struct steps_part *probe;
	enum err err = ERR_NONE;
	char name[32];

	for (int i = 0; i < parts_n && !s->w->has_failed; i++) {
		struct steps_part *part = &s->parts[i];

		if (part->is != STEPS_TOPIC_THERE)
			continue;
		/* Also when its records have been deleted since: a producer is known for longer than those. */
		if (part->batch_n && part->is_batch_acked && !part->is_batch_of_txn)
			err = steps_produce_again(s, part);
		if (!err)
			err = steps_produce(s, part, 2, 40);
		if (err)
			world_fail(s->w, "%s-%d: Produce ends with %s", part->topic, part->index, err_name(err));
	}
	snprintf(name, sizeof(name), "probe%u", s->batches_n++);
	probe = steps_create(s, name, 1, NULL);
	if (!s->w->has_failed && (probe->is != STEPS_TOPIC_THERE || steps_produce(s, probe, 1, 40)))
		world_fail(s->w, "a new topic cannot be made and written to");
}

void steps_judge(struct steps *s)
{
	uint64_t before = disk_changes_n(disk_of_node(s->w, 1));

	if (!up(s, "after a death"))
		return;
	world_run_ms(s->w, STEPS_GO_ON_MS);
	s->start_changes = disk_changes_n(disk_of_node(s->w, 1)) - before;
	end_transactions(s);
	steps_read(s);
	s->is_lossy = false;
	if (!s->w->has_failed)
		use(s);
	if (s->w->has_failed)
		return;
	world_run_ms(s->w, STEPS_SETTLE_MS);
	steps_read(s);
	if (s->w->has_failed)
		return;
	judge_dirs(s);
	if (s->w->has_failed || !down(s))
		return;
	disk_set_cut(disk_of_node(s->w, 1), s->cut_stopped);
	disk_power_cut(disk_of_node(s->w, 1));
	s->is_strict = true;
	if (!up(s, "after a clean stop"))
		return;
	steps_read(s);
	if (!s->w->has_failed)
		down(s);
	s->is_strict = false;
}
