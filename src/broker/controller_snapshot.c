/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of the metadata: encoded on reactor 0, written and put in place by a helper thread. One at a time.
 */
#include <inttypes.h>

#include "broker.h"
#include "controller_io_internal.h"
#include "log.h"
#include "mem.h"
#include "snapshot_file.h"

static void snapshot_saved(struct io_op *op)
{
	struct snapshot_save *save = container_of(op, struct snapshot_save, op);
	struct controller_io *io = container_of(save, struct controller_io, snapshot);

	mem_free((void *)save->content.p);
	io->snapshot_running = false;
	if (op->err) {
		log_warn("metadata.snapshot",
			 "code=ML1066 offset=%" PRId64 " error=%s text=\"the snapshot could not be "
			 "written; the log is kept whole and the next one is tried later\"",
			 save->end_offset, err_name(op->err));
	} else {
		log_info("metadata.snapshot", "offset=%" PRId64 " bytes=%zu", save->end_offset, save->content.len);
	}
	controller_io_run_later(io);
}

/* After metadata.log.max.record.bytes.between.snapshots, or metadata.log.max.snapshot.interval.ms with any change. */
void controller_io_snapshot(struct controller_io *io)
{
	const struct broker_config *config = &io->broker->config;
	const struct image *image = io->controller.committed;
	int64_t interval_ns = config->metadata_log_max_snapshot_interval_ms * NS_PER_MS;
	bool is_old = interval_ns > 0 && io->reactor->now_ns - io->snapshot_last_ns >= interval_ns;
	enum err err;

	if (io->snapshot_running || image->offset <= io->snapshot_last_offset ||
	    (io->snapshot_bytes < config->metadata_log_max_record_bytes_between_snapshots && !is_old))
		return;
	err = snapshot_file_encode(image, io->load.kraft_version, io->load.has_voters ? &io->load.voters : NULL,
				   &io->snapshot.content);
	if (err == ERR_BUSY)
		return; /* in the middle of a metadata transaction: the next commit asks again */
	io->snapshot_last_offset = image->offset;
	io->snapshot_last_ns = io->reactor->now_ns;
	io->snapshot_bytes = 0;
	io->snapshot_written_bytes = err ? 0 : (int64_t)io->snapshot.content.len;
	if (err) {
		log_error("metadata.snapshot", "offset=%" PRId64 " text=\"the image cannot be encoded\"",
			  image->offset);
		return;
	}
	io->snapshot_running = true;
	io->snapshot.dir = io->broker->dirs[io->broker->metadata_dir].path;
	io->snapshot.end_offset = image->offset;
	io->snapshot.epoch = image->epoch;
	io->snapshot.op.kind = IO_WORK;
	io->snapshot.op.work.run = snapshot_save_run;
	io->snapshot.op.done = snapshot_saved;
	io_submit(io->reactor->io, &io->snapshot.op);
}
