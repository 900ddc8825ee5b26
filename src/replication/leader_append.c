/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending to a partition as its leader.
 *
 *    CHECK --> QUEUED --stored by the log--> STORED --high watermark reaches it--> done
 *      |          |                             |
 *      +----------+------- refused, failed -----+-- timeout, leadership lost -----> done with an error
 *
 * The checks: size, one whole batch with a right checksum, records as Kafka's leader wants them (batch_validate), the
 * producer's sequence. A repeated batch of an idempotent producer is answered with the offset it got before, after it
 * is stored: the first attempt may still be on its way to the disk. The first batch of a transaction comes after the
 * coordinator was asked (is_guarded), and is refused when the answer is out of date.
 */
#include <inttypes.h>

#include "batch_validate.h"
#include "fault.h"
#include "fmt.h"
#include "mem.h"
#include "partition.h"

#define ERRORS_ARENA_MAX ((size_t)32 << 20)
/* A name of a partition has up to 260 bytes. */
#define ERROR_TEXT_MAX 400
/* Records named in the sentence about all of them. */
#define ERRORS_SUMMED_N 3

static void leader_append_end(struct leader_append *la, enum err err)
{
	watch_stop(&la->watch);
	timer_stop(&la->reactor->timers, &la->timer);
	mem_free(la->rebuilt);
	la->rebuilt = NULL;
	la->err = err;
	if (err)
		la->base_offset = -1;
	/* After other errors the partition may be gone. */
	la->log_start_offset = err && !la->record_errors_n ? -1 : la->partition->log->log_start;
	la->done(la);
}

static void leader_append_watch_fired(struct watch *watch, enum err err)
{
	leader_append_end(container_of(watch, struct leader_append, watch), err);
}

static void leader_append_timed_out(struct timer *timer)
{
	leader_append_end(container_of(timer, struct leader_append, timer), ERR_REQUEST_TIMED_OUT);
}

/* Waits until everything below `goal` is stored (acks 0, 1) or replicated (-1): with one replica the same mark. */
static void leader_append_wait(struct leader_append *la, int64_t goal)
{
	if (la->partition->high_watermark.offset >= goal || FAULT(ack_early)) {
		leader_append_end(la, ERR_NONE);
		return;
	}
	/* Nobody advances the mark of a partition that was stopped while the write was on its way. */
	if (la->partition->state != PARTITION_LEADER) {
		leader_append_end(la, ERR_NOT_LEADER_OR_FOLLOWER);
		return;
	}
	watch_start(&la->partition->hw_watches, &la->watch, goal, leader_append_watch_fired);
	if (la->acks == -1)
		reactor_timer(la->reactor, &la->timer, la->timeout_ms * NS_PER_MS, leader_append_timed_out);
}

static void leader_append_stored(struct log_append *append)
{
	struct leader_append *la = container_of(append, struct leader_append, append);

	if (append->err) {
		leader_append_end(la, append->err);
		return;
	}
	leader_append_wait(la, append->info.last_offset + 1);
}

/* Kafka's sentence about records that are refused for something else than their times: the first ones are in it. */
static void leader_append_sum_up(struct leader_append *la, int32_t errors_n)
{
	char text[ERRORS_SUMMED_N * ERROR_TEXT_MAX + 256];
	struct fmt f;

	fmt_init(&f, text, sizeof(text));
	fmt_add_str(&f, la->error_text);
	fmt_add(&f, " due to %" PRId32 " record errors in total, and only showing the first three errors at most: [",
		errors_n);
	for (int32_t i = 0; i < MIN(la->record_errors_n, ERRORS_SUMMED_N); i++)
		fmt_add(&f, "%sRecordError(batchIndex=%" PRId32 ", message='%.*s')", i ? ", " : "",
			la->record_errors[i].index, (int)la->record_errors[i].text.len, la->record_errors[i].text.p);
	fmt_add(&f, "]");
	la->error_text = arena_str(la->arena, (struct str){text, f.len});
}

static void leader_append_refused_records(struct leader_append *la, enum err err, const struct batch_verdict *verdict,
					  const struct batch_rules *rules)
{
	/* Many batches of nothing but mistakes are not all explained: the answer would dwarf the request. */
	int32_t n = la->arena->used < ERRORS_ARENA_MAX ? MIN(verdict->errors_n, RECORD_ERRORS_MAX) : 0;

	la->error_text = arena_str(la->arena, str_of(verdict->why));
	if (n == 0)
		return;
	la->record_errors = ARENA_NEW_N(la->arena, struct leader_record_error, n);
	la->record_errors_n = n;
	for (int32_t i = 0; i < n; i++) {
		char text[ERROR_TEXT_MAX];
		struct fmt f;

		fmt_init(&f, text, sizeof(text));
		record_error_format(&f, &verdict->errors[i], rules, str_of(la->partition->log->name));
		la->record_errors[i].index = verdict->errors[i].index;
		la->record_errors[i].text = arena_str(la->arena, (struct str){text, f.len});
	}
	if (err != ERR_INVALID_TIMESTAMP)
		leader_append_sum_up(la, verdict->errors_n);
}

static struct batch_rules leader_append_rules(const struct leader_append *la)
{
	const struct partition_config *config = &la->partition->config;

	return (struct batch_rules){
		.now_ms = la->now_ms,
		.offset = la->partition->log->end,
		.timestamp_before_max_ms = config->timestamp_before_max_ms,
		.timestamp_after_max_ms = config->timestamp_after_max_ms,
		.size_max = (size_t)config->max_message_bytes,
		.leader_epoch = la->partition->leader_epoch,
		.level = config->compression_level,
		.codec = config->compression_codec < 0 ? CODEC_NONE : (enum codec)config->compression_codec,
		.keep_codec = config->compression_codec < 0,
		.log_append_time = config->log_append_time,
		.compacted = config->is_compacted,
	};
}

/* Validates; on success the batch to store is in la->append. */
static enum err leader_append_validate(struct leader_append *la)
{
	struct batch_rules rules = leader_append_rules(la);
	struct batch_verdict verdict;
	enum err err = batch_validate(la->records, la->records_len, &rules, la->compress, &verdict);

	if (err) {
		leader_append_refused_records(la, err, &verdict, &rules);
		return err;
	}
	la->append.info = verdict.batch;
	la->append.len = verdict.batch.size;
	/* Kafka's time index names the last offset of the batch, not of the record. */
	la->append.max_timestamp_offset = verdict.batch.last_offset_delta;
	la->append_time_ms = verdict.append_time;
	la->was_rebuilt = verdict.rebuilt;
	if (verdict.rebuilt) {
		la->rebuilt = mem_alloc(verdict.batch.size);
		memcpy(la->rebuilt, verdict.batch.bytes.p, verdict.batch.size);
		la->append.batch = la->rebuilt;
	} else {
		la->append.batch = la->records + (verdict.batch.bytes.p - la->records);
	}
	return ERR_NONE;
}

/* The order is the original's: a repetition, an epoch that is over, a transaction that nobody knows of, sequences. */
static enum err leader_append_check_producer(const struct leader_append *la, enum producer_verdict *ret_verdict,
					     struct producer_batch *ret_duplicate)
{
	const struct producer_state *producers = &la->partition->log->producers;
	const struct batch_info *info = &la->append.info;
	enum err err = producer_state_check(producers, info, ret_verdict, ret_duplicate), guard_err;

	if (err == ERR_INVALID_PRODUCER_EPOCH || (!err && *ret_verdict == PRODUCER_DUPLICATE))
		return err;
	if (!la->is_guarded || !batch_is_transactional(info) || info->producer_id < 0)
		return err;
	if (producer_state_has_txn(producers, info->producer_id, info->producer_epoch))
		return err;
	guard_err = txn_guard_check(&la->partition->txn_guards, info->producer_id, la->txn_guard, info->base_sequence,
				    producer_state_has_batches(producers, info->producer_id));
	return guard_err == ERR_INVALID_TXN_STATE ? guard_err : err ? err : guard_err;
}

void leader_append_start(struct leader_append *la)
{
	struct part_log *log = la->partition->log;
	enum producer_verdict verdict = PRODUCER_APPEND;
	struct producer_batch duplicate;
	enum err err;

	CHECK(la->partition->is_open);
	la->append_time_ms = -1;
	la->base_offset = -1;
	err = leader_append_validate(la);
	if (!err && (int64_t)la->append.len > la->partition->config.log.segment_bytes)
		err = ERR_RECORD_LIST_TOO_LARGE;
	if (!err && la->is_coordinators)
		err = producer_state_check_epoch(&log->producers, la->append.info.producer_id,
						 la->append.info.producer_epoch);
	else if (!err)
		err = leader_append_check_producer(la, &verdict, &duplicate);
	if (!err && verdict == PRODUCER_DUPLICATE) {
		la->base_offset = duplicate.last_offset - duplicate.offset_delta;
		la->append_time_ms = la->partition->config.log_append_time ? duplicate.timestamp_ms : -1;
		leader_append_wait(la, duplicate.last_offset + 1);
		return;
	}
	if (!err) {
		la->append.done = leader_append_stored;
		err = part_log_append(log, &la->append, la->partition->leader_epoch);
	}
	if (err) {
		leader_append_end(la, err);
		return;
	}
	la->base_offset = la->append.info.base_offset;
	if (batch_is_transactional(&la->append.info))
		txn_guard_drop(&la->partition->txn_guards, la->append.info.producer_id);
}
