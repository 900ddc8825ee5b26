/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes and snapshots beside a segment: their entries, and whether the segment says the same. */
#include <limits.h>

#include "crc32c.h"
#include "dump_log.h"

#define OFFSET_ENTRY_LEN 8
#define TIME_ENTRY_LEN 12
#define TXN_ENTRY_LEN 34
#define SNAPSHOT_ENTRY_LEN 46
#define SNAPSHOT_ENTRIES_AT 10
#define INDEX_LEN_MAX ((int64_t)1 << 30)

/* The whole file, in run->indexed. */
static bool read_whole(struct dump_run *run, const struct dump_file *file, struct bytes *ret)
{
	if (file->size > INDEX_LEN_MAX)
		return dump_fail(run, "%s of %lld bytes is too large", file->name, (long long)file->size);
	if (!dump_read(run, file, 0, (size_t)file->size, &run->indexed))
		return false;
	*ret = scratch_bytes(&run->indexed);
	return true;
}

static bool needs_base(struct dump_run *run, const struct dump_file *file)
{
	if (file->base < 0)
		return dump_fail(run, "The name %s does not begin with an offset", file->name);
	return true;
}

static int64_t entry_offset(const struct dump_file *file, const uint8_t *relative)
{
	return (int64_t)((uint64_t)file->base + (uint64_t)(int64_t)(int32_t)load_be32(relative));
}

/* ---- .index ---- */

static bool offset_sanity(struct dump_run *run, const struct dump_file *file, struct bytes in,
			  size_t entries_n)
{
	int64_t last = entry_offset(file, in.p + (entries_n - 1) * OFFSET_ENTRY_LEN);

	if (last < file->base)
		return dump_fail(
			run,
			"Corrupt index found, index file (%s) has non-zero size but the last offset is %lld "
			"which is less than the base offset %lld",
			file->whole_path, (long long)last, (long long)file->base);
	if (in.len % OFFSET_ENTRY_LEN)
		return dump_fail(
			run,
			"Index file %s is corrupt, found %zu bytes which is neither positive nor a multiple "
			"of %d",
			file->path, in.len, OFFSET_ENTRY_LEN);
	fprintf(run->out, "%s passed sanity check.\n", file->path);
	return true;
}

bool dump_offset_index(struct dump_run *run, const struct dump_file *file, const struct dump_file *log)
{
	struct bytes in;
	size_t entries_n;

	if (!needs_base(run, file) || !read_whole(run, file, &in))
		return false;
	entries_n = in.len / OFFSET_ENTRY_LEN;
	if (entries_n == 0) {
		fprintf(run->out, "%s is empty.\n", file->path);
		return true;
	}
	if (run->args->is_sanity_check)
		return offset_sanity(run, file, in, entries_n);
	for (size_t i = 0; i < entries_n; i++) {
		const uint8_t *p = in.p + i * OFFSET_ENTRY_LEN;
		int64_t offset = entry_offset(file, p), pos = (int32_t)load_be32(p + 4);
		struct batch_info batch;
		bool is_end;

		if (offset == file->base && i > 0)
			return true; /* room that was taken in advance */
		if (!dump_header_at(run, log, pos, MIN(log->size, pos + run->args->message_max), &batch,
				    &is_end))
			return false;
		if (is_end)
			return dump_fail(
				run,
				"%s: there is no whole batch at position %lld of %s, or it is larger than "
				"--max-message-size",
				file->name, (long long)pos, log->name);
		if (batch.last_offset != offset)
			dump_finding_put(&run->index_mismatches, file->whole_path, offset, batch.last_offset);
		if (!run->args->is_verifying)
			fprintf(run->out, "offset: %lld position: %lld\n", (long long)offset, (long long)pos);
	}
	return true;
}

/* ---- .timeindex ---- */

static bool time_sanity(struct dump_run *run, const struct dump_file *file, struct bytes in)
{
	size_t entries_n = in.len / TIME_ENTRY_LEN;

	if (entries_n) {
		const uint8_t *last = in.p + (entries_n - 1) * TIME_ENTRY_LEN;
		int64_t first_time = (int64_t)load_be64(in.p), last_time = (int64_t)load_be64(last);

		if (last_time < first_time)
			return dump_fail(
				run,
				"Corrupt time index found, time index file (%s) has non-zero size but the "
				"last timestamp is %lld which is less than the first timestamp %lld",
				file->path, (long long)last_time, (long long)first_time);
		if (entry_offset(file, last + 8) < file->base)
			return dump_fail(
				run,
				"Corrupt time index found, time index file (%s) has non-zero size but the "
				"last offset is %lld which is less than the first offset %lld",
				file->path, (long long)entry_offset(file, last + 8), (long long)file->base);
	}
	if (in.len % TIME_ENTRY_LEN)
		return dump_fail(
			run,
			"Time index file %s is corrupt, found %zu bytes which is neither positive nor a "
			"multiple of %d",
			file->path, in.len, TIME_ENTRY_LEN);
	fprintf(run->out, "%s passed sanity check.\n", file->path);
	return true;
}

/* Where to begin to look for an offset: the position of the last entry at or before it. */
static bool index_lookup(struct dump_run *run, const struct dump_file *index, int64_t offset, int64_t *ret)
{
	int64_t low = 0,
		high = index->size / OFFSET_ENTRY_LEN; /* entries before low are at or before the offset */

	*ret = 0;
	while (low < high) {
		int64_t middle = low + (high - low) / 2;
		const uint8_t *p;

		if (!dump_read(run, index, middle * OFFSET_ENTRY_LEN, OFFSET_ENTRY_LEN, &run->text))
			return false;
		if (run->text.len < OFFSET_ENTRY_LEN)
			return true;
		p = run->text.p;
		/* Room that was taken in advance lies at the end and is zero. */
		if ((middle > 0 && load_be64(p) == 0) || entry_offset(index, p) > offset) {
			high = middle;
		} else {
			low = middle + 1;
			*ret = MAX((int32_t)load_be32(p + 4), 0);
		}
	}
	return true;
}

static bool latest(struct dump_run *run, void *ctx, const struct dump_record *record)
{
	int64_t *max = ctx;

	*max = MAX(*max, record->record.timestamp);
	return true;
}

/* What the segment says of one entry. */
static bool time_check(struct dump_run *run, const struct dump_file *file, const struct dump_file *log,
		       const struct dump_file *index, int64_t timestamp, int64_t offset, int64_t before)
{
	struct batch_info batch = {.last_offset = -1};
	int64_t pos, max = -1;
	bool is_end;

	if (index->fd < 0 && !index->memory.p)
		pos = 0;
	else if (!index_lookup(run, index, offset, &pos))
		return false;
	while (true) {
		if (!dump_header_at(run, log, pos, log->size, &batch, &is_end))
			return false;
		if (is_end || batch.last_offset >= offset)
			break;
		pos += (int64_t)batch.size;
	}
	if (is_end || batch.last_offset != offset) {
		dump_finding_add(&run->time_lost, file->whole_path, offset, is_end ? -1 : batch.last_offset);
		return true;
	}
	if (!dump_batch_at(run, log, pos, log->size, &batch, &is_end))
		return false;
	if (!is_end && !dump_each_record(run, &batch, latest, &max))
		return false;
	if (max != timestamp)
		dump_finding_add(&run->time_mismatches, file->whole_path, timestamp, max);
	if (before >= timestamp)
		dump_finding_add(&run->time_order, file->whole_path, timestamp, before);
	return true;
}

bool dump_time_index(struct dump_run *run, const struct dump_file *file, const struct dump_file *log,
		     const struct dump_file *index)
{
	int64_t before = -1;
	struct bytes in;

	if (!needs_base(run, file) || !read_whole(run, file, &in))
		return false;
	if (run->args->is_sanity_check)
		return time_sanity(run, file, in);
	for (size_t i = 0; i < in.len / TIME_ENTRY_LEN; i++) {
		const uint8_t *p = in.p + i * TIME_ENTRY_LEN;
		int64_t timestamp = (int64_t)load_be64(p), offset = entry_offset(file, p + 8);

		if (offset == file->base && i > 0)
			return true;
		if (!time_check(run, file, log, index, timestamp, offset, before))
			return false;
		if (!run->args->is_verifying)
			fprintf(run->out, "timestamp: %lld offset: %lld\n", (long long)timestamp,
				(long long)offset);
		before = timestamp;
	}
	return true;
}

/* ---- .txnindex ---- */

bool dump_txn_index(struct dump_run *run, const struct dump_file *file)
{
	struct bytes in;

	if (!needs_base(run, file) || !read_whole(run, file, &in))
		return false;
	for (size_t at = 0; at + TXN_ENTRY_LEN <= in.len; at += TXN_ENTRY_LEN) {
		const uint8_t *p = in.p + at;
		int version = (int8_t)p[0]; /* of its two bytes the original looks at the first */

		if (version > 0)
			return dump_fail(
				run,
				"Unexpected aborted transaction version %d in transaction index %s, current "
				"version is 0",
				version, file->path);
		fprintf(run->out,
			"version: %d producerId: %lld firstOffset: %lld lastOffset: %lld lastStableOffset: "
			"%lld\n",
			version, (long long)load_be64(p + 2), (long long)load_be64(p + 10),
			(long long)load_be64(p + 18), (long long)load_be64(p + 26));
	}
	return true;
}

/* ---- .snapshot ---- */

/* A sequence number `delta` before this one: before 0 comes INT32_MAX. */
static int32_t sequence_before(int32_t sequence, int32_t delta)
{
	return sequence < delta ? (int32_t)(INT32_MAX - ((int64_t)delta - sequence) + 1) : sequence - delta;
}

static void print_producer(struct dump_run *run, const uint8_t *p)
{
	int32_t sequence = (int32_t)load_be32(p + 10), delta = (int32_t)load_be32(p + 22);
	int64_t last_offset = (int64_t)load_be64(p + 14), first_offset = (int64_t)load_be64(p + 38);
	int64_t timestamp = (int64_t)load_be64(p + 26);

	fprintf(run->out, "producerId: %lld producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: ",
		(long long)load_be64(p), (int16_t)load_be16(p + 8), (int32_t)load_be32(p + 34));
	if (first_offset >= 0)
		fprintf(run->out, "OptionalLong[%lld]", (long long)first_offset);
	else
		fputs("OptionalLong.empty", run->out);
	fprintf(run->out, " lastTimestamp: %lld", (long long)timestamp);
	if (last_offset >= 0)
		fprintf(run->out,
			" firstSequence: %d lastSequence: %d lastOffset: %lld offsetDelta: %d timestamp: "
			"%lld",
			sequence_before(sequence, delta), sequence, (long long)last_offset, delta,
			(long long)timestamp);
	fputc('\n', run->out);
}

bool dump_snapshot(struct dump_run *run, const struct dump_file *file)
{
	struct bytes in;
	uint32_t stored, computed;
	int32_t entries_n;

	if (!read_whole(run, file, &in))
		return false;
	if (in.len < SNAPSHOT_ENTRIES_AT) {
		fprintf(run->err, "Snapshot %s is too short\n", file->path);
		return true;
	}
	if (load_be16(in.p) != 1) {
		fprintf(run->err,
			"Snapshot failed schema validation: Snapshot contained an unknown file version %d\n",
			(int16_t)load_be16(in.p));
		return true;
	}
	stored = load_be32(in.p + 2);
	computed = crc32c(0, in.p + 6, in.len - 6);
	if (stored != computed) {
		fprintf(run->err,
			"Snapshot is corrupt (CRC is no longer valid). Stored crc: %u. Computed crc: %u\n",
			stored, computed);
		return true;
	}
	entries_n = (int32_t)load_be32(in.p + 6);
	if (entries_n < 0 || (size_t)entries_n > (in.len - SNAPSHOT_ENTRIES_AT) / SNAPSHOT_ENTRY_LEN) {
		fprintf(run->err, "Snapshot %s says that it holds %d entries, for which it is too short\n",
			file->path, entries_n);
		return true;
	}
	for (int32_t i = 0; i < entries_n; i++)
		print_producer(run, in.p + SNAPSHOT_ENTRIES_AT + (size_t)i * SNAPSHOT_ENTRY_LEN);
	return true;
}
