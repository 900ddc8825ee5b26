/* SPDX-License-Identifier: Apache-2.0 */
/* See partition_model.h. */
#include "partition_model.h"

#include "control.h"
#include "api/fetch_op.h"
#include "mem.h"

/* Offsets that are tried one by one behind damage; then in growing steps: a damaged header may name any. */
#define TRIES_ONE_BY_ONE 256
#define PRODUCERS_N 8

static bool batch_is_abort(const struct batch_info *info, struct bytes payload)
{
	struct record_iter it;
	struct record record;
	struct control_record control;

	record_iter_init(&it, info, payload);
	return record_iter_next(&it, &record) && !control_parse(&record, &control) && control.type == CONTROL_ABORT;
}

static void model_take(struct model *model, const struct batch_info *info)
{
	struct model_batch batch = {.base = info->base_offset,
				    .last = info->last_offset,
				    .producer_id = info->producer_id,
				    .crc = info->crc,
				    .is_transactional = batch_is_transactional(info),
				    .is_control = batch_is_control(info)};
	struct record_iter it;
	struct record record;
	struct bytes payload = {info->bytes.p + BATCH_HEADER_LEN, info->size - BATCH_HEADER_LEN};

	CHECK_OP((int)batch_codec(info), ==, (int)CODEC_NONE);
	batch.is_abort = batch.is_control && batch_is_abort(info, payload);
	vec_push(&model->batches, batch);
	record_iter_init(&it, info, payload);
	while (record_iter_next(&it, &record))
		vec_push(&model->records,
			 ((struct model_record){record.offset, record.timestamp, batch.is_control}));
	CHECK_OP(it.err, ==, ERR_NONE);
}

/* The batches of one answer; returns where the next one begins. */
static int64_t model_take_all(struct model *model, const struct live_read *read)
{
	struct batch_iter it = batch_iter_of(scratch_bytes(&read->bytes), BATCH_CHECK_CRC);
	int64_t next = read->offset;
	struct batch_info info;

	while (batch_iter_next(&it, &info)) {
		/* The first one may begin before. */
		CHECK_OP(info.last_offset, >=, next);
		if (next > read->offset || next > model->log_start)
			CHECK_OP(info.base_offset, >=, next);
		if (info.base_offset > next)
			model->has_holes = true;
		CHECK_OP(info.last_offset, <, read->end_offset);
		next = info.last_offset + 1;
		model_take(model, &info);
	}
	CHECK_OP(it.err, ==, ERR_NONE);
	CHECK(it.pos > 0);
	return next;
}

/* Replays what was read as the original does. */
static void model_decide(struct model *model)
{
	int64_t first[PRODUCERS_N];

	for (size_t i = 0; i < PRODUCERS_N; i++)
		first[i] = -1;
	for (size_t i = 0; i < model->batches.n; i++) {
		const struct model_batch *batch = &model->batches.v[i];
		int64_t id = batch->producer_id;

		if (id < 0 || id >= PRODUCERS_N)
			continue;
		if (!batch->is_control && batch->is_transactional && first[id] < 0)
			first[id] = batch->base;
		if (!batch->is_control || first[id] < 0)
			continue;
		for (size_t b = 0; batch->is_abort && b < i; b++) {
			const struct model_batch *ended = &model->batches.v[b];

			if (ended->producer_id != id || !ended->is_transactional || ended->base < first[id])
				continue;
			for (size_t r = 0; r < model->records.n; r++) {
				if (model->records.v[r].offset >= ended->base &&
				    model->records.v[r].offset <= ended->last)
					model->records.v[r].is_hidden = true;
			}
		}
		first[id] = -1;
	}
	model->stable = model->end;
	for (size_t i = 0; i < PRODUCERS_N; i++) {
		if (first[i] >= 0)
			model->stable = MIN(model->stable, MAX(first[i], model->log_start));
	}
}

void model_read(struct model *model, struct live_partition *live, int64_t max_bytes)
{
	struct live_read read = {.max_bytes = max_bytes};
	int64_t tries = 0;

	*model = (struct model){.log_start = live->partition->log->log_start,
				.end = live->partition->high_watermark.offset};
	CHECK_OP(model->log_start, <=, model->end);
	CHECK_OP(model->end, ==, live->partition->log->end);
	for (read.offset = model->log_start; read.offset < model->end;) {
		live_fetch(live, &read);
		if (read.err || read.bytes.len == 0) {
			if (read.err)
				CHECK_OP((int)read.err, ==, (int)ERR_CORRUPT_MESSAGE);
			model->has_holes = true;
			tries++;
			read.offset += tries < TRIES_ONE_BY_ONE ? 1 : INT64_C(1) << MIN(tries - TRIES_ONE_BY_ONE, 56);
			continue;
		}
		read.offset = model_take_all(model, &read);
	}
	scratch_deinit(&read.bytes);
	model_decide(model);
}

void model_deinit(struct model *model)
{
	vec_deinit(&model->batches);
	vec_deinit(&model->records);
}

/* ---- committed readers ---- */

static const struct model_record *model_record_at(const struct model *model, int64_t offset)
{
	for (size_t i = 0; i < model->records.n; i++) {
		if (model->records.v[i].offset == offset)
			return &model->records.v[i];
	}
	return NULL;
}

/* As consumers do it: a transaction that is named begins with its first offset, and ends with its marker. Returns
 * whether the batch is shown. */
static bool consumer_shows(const struct batch_info *info,
			   struct fetch_response_responses_partitions_aborted_transactions *aborted,
			   int32_t aborted_n, bool *is_aborted)
{
	bool is_abort;

	if (info->producer_id < 0 || info->producer_id >= PRODUCERS_N)
		return !batch_is_control(info);
	for (int32_t i = 0; i < aborted_n; i++) {
		if (aborted[i].first_offset > info->last_offset)
			continue;
		if (aborted[i].producer_id >= 0 && aborted[i].producer_id < PRODUCERS_N)
			is_aborted[aborted[i].producer_id] = true;
		aborted[i].first_offset = INT64_MAX;
	}
	if (batch_is_control(info)) {
		is_abort = batch_is_abort(info, (struct bytes){info->bytes.p + BATCH_HEADER_LEN,
							       info->size - BATCH_HEADER_LEN});
		if (is_abort)
			is_aborted[info->producer_id] = false;
		return false;
	}
	return !batch_is_transactional(info) || !is_aborted[info->producer_id];
}

/* Returns how many records were shown. */
static size_t committed_take(const struct model *model, struct fetch_part *part, const struct live_read *read,
			     bool knows_all, int64_t *ret_next)
{
	struct batch_iter it = batch_iter_of(scratch_bytes(&read->bytes), BATCH_CHECK_CRC);
	bool is_aborted[PRODUCERS_N] = {false};
	struct batch_info info;
	size_t shown = 0;

	*ret_next = read->offset;
	while (batch_iter_next(&it, &info)) {
		bool is_shown = consumer_shows(&info, part->aborted, part->aborted_n, is_aborted);

		CHECK_OP(info.last_offset, >=, *ret_next);
		for (int64_t offset = MAX(info.base_offset, *ret_next); is_shown && offset <= info.last_offset;
		     offset++) {
			const struct model_record *record = model_record_at(model, offset);

			if (model->has_holes)
				continue;
			CHECK(record != NULL);
			shown++;
			if (!knows_all)
				continue;
			CHECK(!record->is_hidden);
			CHECK_OP(offset, <, model->stable);
		}
		*ret_next = info.last_offset + 1;
	}
	CHECK_OP(it.err, ==, ERR_NONE);
	CHECK(it.pos > 0);
	return shown;
}

static size_t model_committed_n(const struct model *model, int64_t stable)
{
	size_t n = 0;

	for (size_t i = 0; i < model->records.n; i++)
		n += !model->records.v[i].is_hidden && model->records.v[i].offset >= model->log_start &&
		     model->records.v[i].offset < stable;
	return n;
}

void model_check_committed(const struct model *model, struct live_partition *live, int64_t max_bytes, bool knows_all)
{
	struct live_read read = {.only_stable = true, .offset = model->log_start, .max_bytes = max_bytes};
	int64_t stable = leader_last_stable(live->partition), next;
	size_t shown = 0;

	CHECK_OP(stable, >=, model->log_start);
	CHECK_OP(stable, <=, model->end);
	knows_all = knows_all && !model->has_holes;
	/* What began below the start may be open, with nothing left of it. */
	if (knows_all && model->log_start > 0)
		CHECK_OP(stable, <=, model->stable);
	else if (knows_all)
		CHECK_OP(stable, ==, model->stable);
	while (read.offset < stable) {
		struct scatter_leg leg = {0};
		struct fetch_partition want = {.fetch_offset = read.offset};
		struct fetch_part part = {.owner = {.leg = &leg}, .want = &want};

		live_fetch(live, &read);
		/* Below the end of what is decided there may be no batch any more. */
		if (read.err || read.bytes.len == 0) {
			CHECK(model->has_holes);
			break;
		}
		arena_init(&leg.arena, NULL, 0);
		part.read = (struct log_read){.log = live->partition->log, .end_offset = read.end_offset,
					      .piece = {.len = read.bytes.len}};
		fetch_part_aborted(&part);
		shown += committed_take(model, &part, &read, knows_all, &next);
		CHECK_OP(next, <=, stable);
		arena_reset(&leg.arena);
		read.offset = next;
	}
	if (knows_all)
		CHECK_OP(shown, ==, model_committed_n(model, stable));
	scratch_deinit(&read.bytes);
}

/* ---- times ---- */

static const struct model_record *model_find_time(const struct model *model, int64_t timestamp_ms, int64_t bound)
{
	const struct model_record *found = NULL;

	for (size_t i = 0; i < model->records.n; i++) {
		const struct model_record *record = &model->records.v[i];

		if (record->offset < model->log_start || record->offset >= bound)
			continue;
		if (timestamp_ms != INT64_MIN && record->timestamp_ms >= timestamp_ms)
			return record;
		if (timestamp_ms == INT64_MIN && (!found || record->timestamp_ms > found->timestamp_ms))
			found = record;
	}
	return found;
}

void model_check_time(const struct model *model, struct live_partition *live, int64_t timestamp_ms, bool only_stable)
{
	int64_t bound = only_stable ? leader_last_stable(live->partition) : model->end;
	const struct model_record *found = model_find_time(model, timestamp_ms, bound);
	struct log_time_query query;

	live_find_time(live, only_stable, timestamp_ms, &query);
	if (query.err) {
		CHECK_OP((int)query.err, ==, (int)ERR_CORRUPT_MESSAGE);
		/* The way to the start of the log may lead over damage. */
		CHECK(model->has_holes || model->log_start > 0);
		return;
	}
	if (model->has_holes)
		return;
	CHECK_OP(query.offset, ==, found ? found->offset : INT64_C(-1));
	CHECK_OP(query.found_timestamp_ms, ==, found ? found->timestamp_ms : INT64_C(-1));
}

/* ---- afterwards ---- */

void model_check_kept(const struct model *before, const struct model *after, int64_t end)
{
	size_t at = 0;

	for (size_t i = 0; i < before->batches.n; i++) {
		const struct model_batch *batch = &before->batches.v[i];

		if (batch->last >= end || batch->last < after->log_start)
			continue;
		while (at < after->batches.n && after->batches.v[at].base < batch->base)
			at++;
		CHECK_OP(at, <, after->batches.n);
		CHECK_OP(after->batches.v[at].base, ==, batch->base);
		CHECK_OP(after->batches.v[at].crc, ==, batch->crc);
	}
}
