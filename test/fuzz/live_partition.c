/* SPDX-License-Identifier: Apache-2.0 */
/* See live_partition.h. */
#include "live_partition.h"

#include "fuzz_log.h"
#include "mem.h"

#define TURNS_MAX 20000

static void live_turn_until(struct live_partition *live, const bool *is_done)
{
	for (int i = 0; !*is_done; i++) {
		CHECK_OP(i, <, TURNS_MAX);
		reactor_turn(live->reactor, 0);
	}
}

bool live_begin(struct live_partition *live, struct mem_disk *disk, const struct live_options *options)
{
	const struct storage_options storage_options = {.durability = options->durability,
							.open_files_max = 8,
							.checkpoint_bytes = MIB(256),
							.checkpoint_ms = 3600000,
							.producer_expire_ms = INT64_C(1) << 50};
	const struct partition_config config = {
		.max_message_bytes = 1 << 20,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = INT64_MAX,
		.compression_codec = -1,
		.log = {.segment_bytes = options->segment_bytes,
			.segment_ms = INT64_C(1) << 50,
			.index_interval_bytes = 100,
			.index_bytes = 4096,
			.flush_messages = INT64_MAX,
			.flush_ms = INT64_MAX,
			.retention_ms = -1,
			.retention_bytes = -1},
	};
	const struct topic_image topic = {.id = {1, 2}, .name = {"f", 1}, .partitions_n = 1};
	struct storage_dir *dir;
	enum err err;

	*live = (struct live_partition){.disk = disk, .io = &disk->io};
	err = node_init(&live->node, 1, &live->io, 1);
	CHECK_OP(err, ==, ERR_NONE);
	live->reactor = &live->node.reactors[0];
	storage_init(&live->storage, live->reactor, &storage_options);
	dir = storage_add_dir(&live->storage, FUZZ_LOG_DIR, (struct uuid){7, 7}, options->stop);
	live->partition = partition_new(&live->storage, dir, &topic, 0, &config);
	CHECK(strcmp(live->partition->log->name, FUZZ_LOG_NAME) == 0);
	live->partition->checkpoint_recovery_point = options->recovery_point;
	live->partition->checkpoint_log_start = options->log_start;
	partition_become_leader(live->partition, options->leader_epoch);
	partition_open(live->partition);
	for (int i = 0; live->partition->log->state == PART_LOG_OPENING; i++) {
		CHECK_OP(i, <, TURNS_MAX);
		reactor_turn(live->reactor, 0);
	}
	return live->partition->log->state == PART_LOG_OPEN;
}

void live_settle(struct live_partition *live)
{
	for (int i = 0; i < 3 || !storage_is_idle(&live->storage); i++) {
		CHECK_OP(i, <, TURNS_MAX);
		reactor_turn(live->reactor, 0);
	}
}

void live_end(struct live_partition *live, bool in_order)
{
	struct part_log *log = live->partition->log;

	live_settle(live);
	if (log->state == PART_LOG_OPEN && in_order) {
		partition_stop(live->partition, ERR_NOT_LEADER_OR_FOLLOWER);
		for (int i = 0; log->state == PART_LOG_CLOSING; i++) {
			CHECK_OP(i, <, TURNS_MAX);
			reactor_turn(live->reactor, 0);
		}
		CHECK_OP((int)log->state, ==, (int)PART_LOG_CLOSED);
	} else if (log->state == PART_LOG_OPEN) {
		log->advanced = NULL;
		log->state = PART_LOG_FAILED;
		log->failure = ERR_LOG_CLOSED;
	}
	partition_free(live->partition);
	live_settle(live);
	storage_deinit(&live->storage);
	node_deinit(&live->node);
	compress_ctx_deinit(&live->compress);
}

static void live_checkpoint_done(struct storage *storage)
{
	*(bool *)storage->ctx = true;
}

void live_checkpoint(struct live_partition *live)
{
	bool is_done = false;

	live->storage.ctx = &is_done;
	if (storage_checkpoint(&live->storage, live_checkpoint_done))
		live_turn_until(live, &is_done);
	live->storage.ctx = NULL;
}

struct live_append {
	struct leader_append append;
	bool is_done;
};

static void live_append_done(struct leader_append *append)
{
	container_of(append, struct live_append, append)->is_done = true;
}

enum err live_produce(struct live_partition *live, struct bytes batch, int64_t *ret_offset)
{
	struct live_append op = {.append = {.partition = live->partition,
					    .records = (uint8_t *)(uintptr_t)batch.p,
					    .records_len = batch.len,
					    .acks = 1,
					    .now_ms = live->reactor->wall_ms,
					    .reactor = live->reactor,
					    .compress = &live->compress,
					    .done = live_append_done}};
	struct arena arena;

	arena_init(&arena, NULL, 0);
	op.append.arena = &arena;
	leader_append_start(&op.append);
	live_turn_until(live, &op.is_done);
	*ret_offset = op.append.base_offset;
	arena_reset(&arena);
	return op.append.err;
}

struct live_marker {
	struct leader_marker marker;
	bool is_done;
};

static void live_marker_done(struct leader_marker *marker)
{
	container_of(marker, struct live_marker, marker)->is_done = true;
}

enum err live_mark(struct live_partition *live, int64_t producer_id, int16_t producer_epoch, int32_t coordinator_epoch,
		   bool commit, int16_t version)
{
	struct live_marker op = {.marker = {.partition = live->partition,
					    .producer_id = producer_id,
					    .producer_epoch = producer_epoch,
					    .commit = commit,
					    .coordinator_epoch = coordinator_epoch,
					    .version = version,
					    .reactor = live->reactor,
					    .now_ms = live->reactor->wall_ms,
					    .done = live_marker_done}};

	leader_marker_start(&op.marker);
	live_turn_until(live, &op.is_done);
	return op.marker.err;
}

struct live_get {
	struct log_read read;
	bool is_done;
};

static void live_get_done(struct log_read *read)
{
	container_of(read, struct live_get, read)->is_done = true;
}

void live_fetch(struct live_partition *live, struct live_read *ret)
{
	struct live_get op = {.read = {.offset = ret->offset, .max_bytes = ret->max_bytes, .whole_first = true,
				       .wants_end = true, .done = live_get_done}};
	size_t got = 0;
	enum err err;

	op.is_done = leader_read(live->partition, ret->only_stable, &op.read);
	live_turn_until(live, &op.is_done);
	ret->bytes.len = 0;
	ret->err = op.read.err;
	ret->end_offset = op.read.end_offset;
	if (!ret->err && op.read.piece.len) {
		CHECK(op.read.is_pinned);
		err = scratch_reserve(&ret->bytes, op.read.piece.len);
		if (!err)
			err = fs_pread(&live->disk->fs, op.read.piece.file, ret->bytes.p, op.read.piece.len,
				       op.read.piece.pos, FS_WAIT, &got);
		CHECK_OP(err, ==, ERR_NONE);
		CHECK_OP(got, ==, op.read.piece.len);
		ret->bytes.len = got;
	}
	log_read_release(&op.read);
}

struct live_query {
	struct log_time_query query;
	bool is_done;
};

static void live_query_done(struct log_time_query *query)
{
	container_of(query, struct live_query, query)->is_done = true;
}

void live_find_time(struct live_partition *live, bool only_stable, int64_t timestamp_ms, struct log_time_query *ret)
{
	struct live_query op = {.query = {.timestamp_ms = timestamp_ms, .bound = live->partition->high_watermark,
					  .done = live_query_done}};

	if (only_stable)
		op.query.bound.offset = leader_last_stable(live->partition);
	part_log_find_time(live->partition->log, &op.query);
	live_turn_until(live, &op.is_done);
	*ret = op.query;
}
