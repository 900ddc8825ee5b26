/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending as leader, over a log that this test plays: when an append is answered, with what, and that it is answered
 * once, whatever happens to the partition meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "batch_build.h"
#include "io.h"
#include "mem.h"
#include "node.h"
#include "partition.h"

static struct io_posix_shared *shared;
static struct io *io;
static struct node node;
static struct storage storage;
static struct storage_dir dir;
static struct partition *partition;
static struct compress_ctx *compress;
static struct arena arena;
static struct scratch batch;
static struct log_append *queued[8];
static int queued_n, closes_n, done_n;
static enum err append_err, producer_err;
static struct producer_batch known;
static enum producer_verdict verdict;
static bool has_txn;

/* ---- the log ---- */

struct part_log *part_log_new(struct storage *of, struct storage_dir *in, struct str name, struct uuid topic_id,
			      const struct log_config *config)
{
	struct part_log *log = MEM_NEW(struct part_log);

	log->storage = of;
	log->dir = in;
	return log;
}

void part_log_free(struct part_log *log)
{
	mem_free(log);
}

void part_log_inherit(struct part_log *log UNUSED, struct part_log *before UNUSED)
{
}

void part_log_open(struct part_log *log, int64_t recovery_point, int64_t log_start)
{
	log->state = PART_LOG_OPENING;
}

void part_log_discard(struct part_log *log)
{
	fail();
}

void part_log_close(struct part_log *log)
{
	log->state = PART_LOG_CLOSING;
	closes_n++;
}

void part_log_start_epoch(struct part_log *log, int32_t epoch)
{
}

void part_log_set_config(struct part_log *log, const struct log_config *config)
{
}

enum err part_log_append(struct part_log *log, struct log_append *append, int32_t leader_epoch)
{
	if (append_err)
		return append_err;
	append->info.base_offset = log->end;
	append->info.last_offset = log->end + append->info.last_offset_delta;
	log->end = append->info.last_offset + 1;
	queued[queued_n++] = append;
	return ERR_NONE;
}

enum err producer_state_check_epoch(const struct producer_state *state UNUSED, int64_t producer_id UNUSED,
				    int16_t epoch UNUSED)
{
	return ERR_NONE;
}

enum err producer_state_check(const struct producer_state *state, const struct batch_info *info,
			      enum producer_verdict *ret, struct producer_batch *ret_dup)
{
	*ret = verdict;
	*ret_dup = known;
	return producer_err;
}

bool producer_state_has_txn(const struct producer_state *state, int64_t producer_id, int16_t epoch)
{
	return has_txn;
}

bool producer_state_has_batches(const struct producer_state *state, int64_t producer_id)
{
	return false;
}

void producer_state_settle(struct producer_state *state, int64_t offset)
{
}

static void written(enum err err)
{
	struct log_append *append = queued[--queued_n];

	append->err = err;
	if (!err)
		partition->log->appended.offset = append->info.last_offset + 1;
	append->done(append);
}

static void told(void)
{
	partition->log->advanced(partition->log);
}

/* ---- cases ---- */

static void count_done(struct leader_append *la)
{
	done_n++;
}

static void append_start(struct leader_append *la, int16_t acks, int32_t timeout_ms)
{
	batch_set_base_offset(batch.p, 0); /* stamped by the append before */
	*la = (struct leader_append){
		.partition = partition, .records = batch.p, .records_len = batch.len, .acks = acks,
		.timeout_ms = timeout_ms, .now_ms = 1000, .reactor = &node.reactors[0], .compress = compress,
		.arena = &arena, .done = count_done,
	};
	leader_append_start(la);
}

static int open_leader(void **state)
{
	struct topic_image topic = {.name = STR("orders"), .partitions_n = 1};
	struct partition_config config = {
		.max_message_bytes = 1 << 20, .timestamp_before_max_ms = INT64_MAX, .timestamp_after_max_ms = INT64_MAX,
		.compression_codec = -1, .log = {.segment_bytes = 1 << 20},
	};
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct record_fields fields = {.value = {(const uint8_t *)"value", 5}};
	struct batch_builder builder;
	struct bytes ret;

	shared = io_posix_shared_new(&(struct io_posix_options){.helpers_n = 1});
	io = io_posix_new(shared);
	assert_int_equal(node_init(&node, 1, &io, 1), 0);
	storage = (struct storage){.reactor = &node.reactors[0]};
	dir = (struct storage_dir){.storage = &storage, .path = "none"};
	compress = MEM_NEW(struct compress_ctx);
	batch = (struct scratch){0};
	assert_int_equal(batch_builder_init(&builder, &spec, &batch, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(batch_builder_add(&builder, 1000, &fields), 0);
	assert_int_equal(batch_builder_finish(&builder, &ret), 0);
	queued_n = closes_n = done_n = 0;
	append_err = producer_err = ERR_NONE;
	verdict = PRODUCER_APPEND;
	partition = partition_new(&storage, &dir, &topic, 0, &config);
	partition_become_leader(partition, 1);
	assert_int_equal(partition_check_leader(partition, -1), ERR_WOULD_BLOCK);
	partition->log->state = PART_LOG_OPEN;
	told();
	assert_int_equal(partition_check_leader(partition, 1), ERR_NONE);
	assert_int_equal(partition_check_leader(partition, 0), ERR_FENCED_LEADER_EPOCH);
	assert_int_equal(partition_check_leader(partition, 2), ERR_UNKNOWN_LEADER_EPOCH);
	return 0;
}

static int close_leader(void **state)
{
	if (partition)
		partition_free(partition);
	scratch_deinit(&batch);
	compress_ctx_deinit(compress);
	mem_free(compress);
	arena_reset(&arena);
	node_deinit(&node);
	io->ops->free(io);
	io_posix_shared_free(shared);
	return 0;
}

/* Every acks is answered when the mark has passed, and never before. */
static void test_stored(void **state)
{
	for (int16_t acks = -1; acks <= 1; acks++) {
		struct leader_append la;

		done_n = 0;
		append_start(&la, acks, 30000);
		assert_int_equal(la.base_offset, 3 * (acks + 1));
		assert_int_equal(done_n, 0);
		written(ERR_NONE);
		assert_int_equal(done_n, 0);
		told();
		assert_int_equal(done_n, 1);
		assert_int_equal(la.err, ERR_NONE);
		assert_int_equal(la.base_offset, 3 * (acks + 1));
		assert_int_equal(partition->high_watermark.offset, 3 * (acks + 2));
	}
}

static void test_failed(void **state)
{
	struct leader_append la;

	append_start(&la, 1, 30000);
	written(ERR_DISK_FULL);
	assert_int_equal(done_n, 1);
	assert_int_equal(la.err, ERR_DISK_FULL);
	assert_int_equal(la.base_offset, -1);
	append_err = ERR_LOG_CLOSED;
	append_start(&la, 1, 30000);
	assert_int_equal(done_n, 2);
	assert_int_equal(la.err, ERR_LOG_CLOSED);
}

/* The topic goes while the write is on its way: nobody will advance the mark. */
static void test_stopped_while_writing(void **state)
{
	for (int16_t acks = -1; acks <= 1; acks += 2) {
		struct leader_append la;

		if (acks == 1) {
			close_leader(state);
			open_leader(state);
		}
		append_start(&la, acks, INT32_MAX);
		partition_stop(partition, ERR_UNKNOWN_TOPIC_OR_PARTITION);
		assert_int_equal(closes_n, 1);
		assert_int_equal(done_n, 0); /* its memory is still the log's */
		written(ERR_NONE);
		assert_int_equal(done_n, 1);
		assert_int_equal(la.err, ERR_NOT_LEADER_OR_FOLLOWER);
		told();
		partition_become_leader(partition, 9); /* too late, and no harm */
		assert_int_equal(partition->state, PARTITION_STOPPED);
	}
}

static void test_stopped_while_waiting(void **state)
{
	struct leader_append la;

	storage.options.durability = STORAGE_SYNCED;
	append_start(&la, -1, 30000);
	written(ERR_NONE);
	told(); /* written, not synced */
	assert_int_equal(done_n, 0);
	partition_stop(partition, ERR_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(done_n, 1);
	assert_int_equal(la.err, ERR_UNKNOWN_TOPIC_OR_PARTITION);
}

static void test_timeout(void **state)
{
	const int32_t timeouts[] = {0, -1, INT32_MIN};

	storage.options.durability = STORAGE_SYNCED;
	for (size_t i = 0; i < ARRAY_N(timeouts); i++) {
		struct leader_append la;

		done_n = 0;
		append_start(&la, -1, timeouts[i]);
		written(ERR_NONE);
		assert_int_equal(done_n, 0);
		reactor_turn(&node.reactors[0], 0);
		assert_int_equal(done_n, 1);
		assert_int_equal(la.err, ERR_REQUEST_TIMED_OUT);
	}
}

/* The log fails, and the partition is gone before its last write comes back. */
static void test_gone_before_write_ends(void **state)
{
	struct leader_append la;

	append_start(&la, 1, 30000);
	partition_stop(partition, ERR_UNKNOWN_TOPIC_OR_PARTITION);
	partition->log->state = PART_LOG_FAILED;
	partition_free(partition);
	partition = NULL;
	written(ERR_IO);
	assert_int_equal(done_n, 1);
	assert_int_equal(la.err, ERR_IO);
	assert_int_equal(la.log_start_offset, -1);
}

static void test_duplicate(void **state)
{
	struct leader_append first, again;

	append_start(&first, 1, 30000);
	verdict = PRODUCER_DUPLICATE;
	known = (struct producer_batch){.last_offset = 2, .offset_delta = 2};
	append_start(&again, 1, 30000);
	assert_int_equal(done_n, 0); /* the first attempt is not stored yet */
	written(ERR_NONE);
	told();
	assert_int_equal(done_n, 2);
	assert_int_equal(again.err, ERR_NONE);
	assert_int_equal(again.base_offset, 0);
	assert_int_equal(queued_n, 0);
}

/* The batch limit is told before the segment's, as Kafka does. */
static void test_sizes(void **state)
{
	struct leader_append la;

	partition->config.log.segment_bytes = 10;
	append_start(&la, 1, 0);
	assert_int_equal(la.err, ERR_RECORD_LIST_TOO_LARGE);
	partition->config.max_message_bytes = 20;
	append_start(&la, 1, 0);
	assert_int_equal(la.err, ERR_MESSAGE_TOO_LARGE);
	assert_int_equal(done_n, 2);
	assert_int_equal(partition->log->end, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_leader, close_leader)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_stored),
		CASE(test_failed),
		CASE(test_stopped_while_writing),
		CASE(test_stopped_while_waiting),
		CASE(test_timeout),
		CASE(test_gone_before_write_ends),
		CASE(test_duplicate),
		CASE(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
