/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a coordinator's shard: its partition is read from the start to the high watermark, a piece per turn, and
 * each record replayed.
 *
 *    log opens --> read a range --helper reads it--> replay --+--> end reached: the shard serves
 *                    ^                                        |
 *                    +----------------------------------------+    damage, I/O error: the shard has failed
 *
 * A log that does not open because its disk is full is tried again every second.
 *
 * 1. Nobody else writes to the partition while its shard loads, so the end is known when it is reached.
 * 2. At most one of watch, read, helper and next piece is under way: part->is_loading says so.
 */
#include <inttypes.h>

#include "broker.h"
#include "coordinator_io_internal.h"
#include "log.h"
#include "mem.h"
#include "record.h"
#include "shard.h"

#define LOAD_PIECE ((int64_t)512 * 1024)
#define LOAD_RETRY_NS NS_PER_S
#define LOAD_WORTH_TELLING 1000 /* records */

static void coord_load_go_on(struct coord_load *load);

static void coord_load_fail(struct coord_load *load, enum err err, const char *what)
{
	struct coord_partition *part = load->part;

	log_error("coordinator.load_failed", "topic=%s partition=%d offset=%" PRId64 " error=%s text=\"%s: %s\"",
		  part->kind->topic, part->index, load->offset, err_name(err), what,
		  part->shard.failure.text);
	if (part->shard.state == COORD_LOADING)
		coord_shard_fail(&part->shard, what);
	coord_partition_wake(part, ERR_NOT_COORDINATOR);
}

static void coord_load_end(struct coord_load *load)
{
	struct coord_partition *part = load->part;
	struct reactor *reactor = part->io->shard->reactor;
	int64_t took_ms = (reactor->now_ns - part->load_started_ns) / NS_PER_MS;
	char text[128];
	struct fmt f;

	hist_add(&part->io->stats[part->kind_id].times[COORD_TIME_LOAD], reactor->now_ns - part->load_started_ns);
	coord_partition_enter(part);
	coord_shard_loaded(&part->shard);
	fmt_init(&f, text, sizeof(text));
	part->kind->describe(part->machine, &f);
	if (part->shard.records_n > 0)
		log_info("coordinator.loaded", "topic=%s partition=%d %s records=%" PRId64 " ms=%" PRId64,
			 part->kind->topic, part->index, text, part->shard.records_n, took_ms);
	else
		log_debug("coordinator.loaded", "topic=%s partition=%d records=0", part->kind->topic, part->index);
	coord_partition_load_free(part);
	coord_partition_arm(part);
	coord_partition_wake(part, ERR_NONE);
}

/* ---- replaying a piece ---- */

static enum err coord_load_control(struct coord_load *load, const struct batch_info *batch)
{
	struct coord_origin origin = {batch->producer_id, batch->producer_epoch};
	struct bytes payload = {batch->bytes.p + BATCH_HEADER_LEN, batch->bytes.len - BATCH_HEADER_LEN};
	struct record_iter it;
	struct record record;

	record_iter_init(&it, batch, payload);
	/* The key of a marker: version and type, 0 abort, 1 commit. */
	while (record_iter_next(&it, &record)) {
		if (record.key.len >= 4 && load_be16(record.key.p + 2) <= 1)
			coord_shard_end_transaction(&load->part->shard, origin, load_be16(record.key.p + 2) == 1);
	}
	return it.err;
}

static enum err coord_load_batch(struct coord_load *load, const struct batch_info *batch)
{
	struct coord_origin origin = COORD_ORIGIN_NONE;
	struct record_iter it;
	struct record record;
	struct bytes payload;
	enum err err;

	if (batch->magic != BATCH_MAGIC_NOW)
		return ERR_NOT_SUPPORTED;
	if (batch_is_control(batch))
		return coord_load_control(load, batch);
	if (batch_is_transactional(batch))
		origin = (struct coord_origin){batch->producer_id, batch->producer_epoch};
	scratch_trim(&load->plain, (size_t)LOAD_PIECE);
	err = batch_payload(batch, load->part->io->shard->compress, &load->plain, &payload);
	if (err)
		return err;
	record_iter_init(&it, batch, payload);
	while (record_iter_next(&it, &record)) {
		if (record.offset < load->offset || !record.key.p)
			continue;
		err = coord_shard_replay(&load->part->shard, origin, record.key, record.value);
		if (err)
			return err;
	}
	return it.err;
}

static void coord_load_piece(struct coord_load *load, struct bytes piece)
{
	struct batch_iter it = batch_iter_of(piece, BATCH_CHECK_CRC);
	int64_t before = load->offset;
	struct batch_info batch;

	coord_partition_enter(load->part);
	while (batch_iter_next(&it, &batch)) {
		enum err err = coord_load_batch(load, &batch);

		if (err) {
			coord_load_fail(load, err, "a batch cannot be replayed");
			return;
		}
		load->offset = batch.last_offset + 1;
	}
	if (it.err || load->offset == before) {
		coord_load_fail(load, it.err ? it.err : ERR_CORRUPT_FILE, "the log is damaged");
		return;
	}
	coord_load_go_on(load);
}

/* ---- reading a piece ---- */

static void coord_load_gone(struct coord_load *load)
{
	log_read_release(&load->read);
	load->part->is_loading = false;
	coord_partition_free_if_idle(load->part);
}

static void coord_load_work(struct io_op *op, struct fs *fs)
{
	struct coord_load *load = container_of(op, struct coord_load, op);
	const struct piece *piece = &load->read.piece;
	size_t done = 0;

	op->err = ERR_NONE;
	while (!op->err && done < piece->len) {
		size_t n = 0;

		op->err = fs_pread(fs, piece->file, load->bytes + done, piece->len - done,
				   piece->pos + (int64_t)done, 0, &n);
		if (!op->err && n == 0)
			op->err = ERR_CORRUPT_FILE;
		done += n;
	}
}

static void coord_load_was_read(struct io_op *op)
{
	struct coord_load *load = container_of(op, struct coord_load, op);
	struct bytes piece = {load->bytes, load->read.piece.len};

	if (load->part->is_going) {
		coord_load_gone(load);
		return;
	}
	log_read_release(&load->read);
	load->part->is_loading = false;
	if (op->err)
		coord_load_fail(load, op->err, "the log cannot be read");
	else
		coord_load_piece(load, piece);
}

static void coord_load_range_found(struct log_read *read)
{
	struct coord_load *load = container_of(read, struct coord_load, read);
	struct coord_partition *part = load->part;

	if (part->is_going) {
		coord_load_gone(load);
		return;
	}
	part->is_loading = false;
	if (read->err) {
		log_read_release(read);
		coord_load_fail(load, read->err, "the log cannot be read");
		return;
	}
	if (read->piece.len == 0) {
		log_read_release(read);
		coord_load_end(load);
		return;
	}
	if (read->piece.len > load->bytes_cap) {
		load->bytes = mem_realloc(load->bytes, read->piece.len);
		load->bytes_cap = read->piece.len;
	}
	part->is_loading = true;
	load->op.kind = IO_WORK;
	load->op.work.run = coord_load_work;
	load->op.done = coord_load_was_read;
	io_submit(part->io->shard->reactor->io, &load->op);
}

static void coord_load_tell(struct coord_load *load, const struct partition *partition)
{
	const struct coord_partition *part = load->part;
	int64_t now_ns = part->io->shard->reactor->now_ns;
	char text[128];
	struct fmt f;

	load->progress.done = load->offset - load->begin_offset;
	load->progress.total = partition->high_watermark.offset - load->begin_offset;
	if (!progress_is_due(&load->progress, now_ns))
		return;
	fmt_init(&f, text, sizeof(text));
	part->kind->describe(part->machine, &f);
	log_info("coordinator.loading",
		 "topic=%s partition=%d done_offsets=%" PRId64 " total_offsets=%" PRId64 " rate=%.0f eta_s=%.0f %s",
		 part->kind->topic, part->index, load->progress.done, load->progress.total,
		 progress_rate(&load->progress, now_ns), progress_eta_s(&load->progress, now_ns), text);
}

static void coord_load_read(struct coord_load *load, struct partition *partition)
{
	struct coord_partition *part = load->part;

	coord_load_tell(load, partition);
	load->offset = MAX(load->offset, partition->log->log_start);
	load->begin_offset = MAX(load->begin_offset, partition->log->log_start);
	if (load->offset >= partition->high_watermark.offset) {
		coord_load_end(load);
		return;
	}
	load->read = (struct log_read){
		.log = partition->log,
		.offset = load->offset,
		.max_bytes = LOAD_PIECE,
		.whole_first = true,
		.done = coord_load_range_found,
	};
	part->is_loading = true;
	if (leader_read(partition, false, &load->read))
		coord_load_range_found(&load->read);
}

/* ---- the way there ---- */

static void coord_load_next(struct deferred *deferred)
{
	struct coord_load *load = container_of(deferred, struct coord_load, next);
	struct coord_partition *part = load->part;
	struct partition *partition = shard_partition(part->io->shard, part->topic_id, part->index);

	part->is_loading = false;
	if (part->is_going)
		coord_partition_free_if_idle(part);
	else if (!partition || partition_check_leader(partition, -1) != ERR_NONE)
		coord_load_fail(load, ERR_NOT_LEADER_OR_FOLLOWER, "the partition went away");
	else
		coord_load_read(load, partition);
}

static void coord_load_go_on(struct coord_load *load)
{
	load->part->is_loading = true;
	reactor_defer(load->part->io->shard->reactor, &load->next, coord_load_next);
}

static void coord_load_begin(struct coord_load *load);

static void coord_load_retry(struct timer *timer)
{
	coord_load_begin(container_of(timer, struct coord_load, retry));
}

static void coord_load_opened(struct watch *watch, enum err err)
{
	struct coord_load *load = container_of(watch, struct coord_load, open);
	struct coord_partition *part = load->part;
	const struct partition *partition = shard_partition(part->io->shard, part->topic_id, part->index);

	if (!err)
		coord_load_go_on(load);
	else if (partition && partition->state == PARTITION_LEADER)
		reactor_timer(part->io->shard->reactor, &load->retry, LOAD_RETRY_NS, coord_load_retry);
	else
		coord_load_fail(load, err, "the log did not open");
}

static void coord_load_begin(struct coord_load *load)
{
	struct coord_partition *part = load->part;
	struct partition *partition = shard_partition(part->io->shard, part->topic_id, part->index);
	enum err err = partition ? partition_check_leader(partition, -1) : ERR_NOT_LEADER_OR_FOLLOWER;

	if (!err)
		coord_load_go_on(load);
	else if (err == ERR_WOULD_BLOCK)
		watch_start(&partition->open_watches, &load->open, WATCH_ANY, coord_load_opened);
	else
		coord_load_fail(load, err, "this broker does not lead the partition");
}

void coord_partition_load(struct coord_partition *part)
{
	struct reactor *reactor = part->io->shard->reactor;
	struct coord_load *load = MEM_NEW(struct coord_load);

	load->part = part;
	part->load = load;
	part->load_started_ns = reactor->now_ns;
	progress_begin(&load->progress, 0, reactor->now_ns);
	coord_shard_load(&part->shard);
	coord_load_begin(load);
}

void coord_partition_load_stop(struct coord_partition *part)
{
	if (!part->load)
		return;
	watch_stop(&part->load->open);
	timer_stop(&part->io->shard->reactor->timers, &part->load->retry);
}

void coord_partition_load_free(struct coord_partition *part)
{
	struct coord_load *load = part->load;

	if (!load)
		return;
	part->load = NULL;
	CHECK(!part->is_loading);
	watch_stop(&load->open);
	timer_stop(&part->io->shard->reactor->timers, &load->retry);
	scratch_deinit(&load->plain);
	mem_free(load->bytes);
	mem_free(load);
}
