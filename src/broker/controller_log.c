/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader's batches on their way into the metadata log. A full disk fails the operations whose records did not get
 * there and leaves the log as it was; any other error ends the node.
 */
#include "batch.h"
#include "controller_io_internal.h"
#include "fault.h"
#include "log.h"
#include "mem.h"
#include "shard.h"

/* Everything from end_offset on is gone from the log: who waits for it is told. */
static void controller_io_append_failed(struct controller_io *io, enum err err)
{
	int64_t end_offset = io->log->end;

	controller_failed(&io->controller, end_offset);
	raft_append_failed(&io->raft, end_offset);
	io->decided_end = end_offset;
	io->barrier_offset = MIN(io->barrier_offset, end_offset);
	list_for_each(node, next, &io->pending) {
		struct controller_op *op = list_entry(node, struct controller_op, link);

		if (op->end_offset <= end_offset)
			continue;
		op->err = err;
		op->end_offset = end_offset;
	}
	controller_io_answer(io);
}

static void controller_log_appended(struct log_append *append)
{
	struct metadata_append *ma = container_of(append, struct metadata_append, append);
	struct controller_io *io = ma->io;
	enum err err = append->err;

	scratch_deinit(&ma->batch);
	mem_free(ma);
	if (err == ERR_DISK_FULL) {
		int64_t left_out_n;

		if (said_is_due(&io->reactor->shard->said, io->reactor->now_ns, SAID_DISK_FULL, NULL, &left_out_n))
			log_warn("controller.disk_full",
				 "code=ML1051 left_out=%lld text=\"the metadata log cannot grow: topics cannot be "
				 "created or deleted until there is space\"",
				 (long long)left_out_n);
		if (io->has_controller)
			controller_io_append_failed(io, err);
	} else if (err) {
		controller_io_fail(io, err, "the metadata log cannot be written");
	} else {
		part_log_sync(io->log);
		if (FAULT(meta_commit_early))
			raft_durable(&io->raft, io->log->appended.offset);
		controller_io_run_later(io);
	}
}

enum err controller_log_append(struct controller_io *io, struct scratch *take_batch, int32_t epoch)
{
	struct metadata_append *ma = MEM_NEW(struct metadata_append);
	enum err err;

	ma->io = io;
	ma->batch = *take_batch;
	*take_batch = (struct scratch){0};
	ma->append.batch = ma->batch.p;
	ma->append.len = ma->batch.len;
	ma->append.done = controller_log_appended;
	err = batch_parse(scratch_bytes(&ma->batch), &ma->append.info);
	CHECK_OP(err, ==, ERR_NONE);
	err = part_log_append(io->log, &ma->append, epoch);
	if (err) {
		scratch_deinit(&ma->batch);
		mem_free(ma);
		return err;
	}
	io->snapshot_bytes += (int64_t)ma->append.len;
	return ERR_NONE;
}

void controller_log_advanced(struct part_log *log)
{
	struct controller_io *io = log->ctx;

	if (log->state == PART_LOG_FAILED) {
		controller_io_fail(io, log->failure, "the metadata log failed");
		return;
	}
	if (io->has_raft && log->durable.offset > io->raft.durable_offset)
		raft_durable(&io->raft, log->durable.offset);
	controller_io_run_later(io);
}
