/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batches of a .log or .checkpoint and, when asked for, their records. A file ends where no whole batch
 * begins any more; what lies behind is told. A size that no batch can have ends the tool, as a record that
 * cannot be read does.
 */
#include <limits.h>
#include <stdlib.h>

#include "dump_log.h"

/* What the size field of the smallest message can hold. */
#define LENGTH_MIN 14

static const char *time_type(const struct batch_info *batch)
{
	return batch->magic == 0		 ? "NoTimestampType"
	       : batch_is_log_append_time(batch) ? "LogAppendTime"
						 : "CreateTime";
}

bool dump_header_at(struct dump_run *run, const struct dump_file *file, int64_t pos, int64_t end,
		    struct batch_info *ret, bool *ret_end)
{
	enum err err;

	*ret_end = false;
	if (pos >= end - BATCH_PEEK_LEN) {
		*ret_end = true;
		return true;
	}
	if (!dump_read(run, file, pos, BATCH_HEADER_LEN, &run->batch))
		return false;
	err = batch_parse(scratch_bytes(&run->batch), ret);
	if (err == ERR_WOULD_BLOCK || (err == ERR_NONE && (int64_t)ret->size > end - pos)) {
		*ret_end = true;
		return true;
	}
	if (err != ERR_NONE && (int32_t)load_be32(run->batch.p + BATCH_LENGTH_AT) < LENGTH_MIN)
		return dump_fail(
			run, "Found record size %d smaller than minimum record overhead (%d) in file %s.",
			(int32_t)load_be32(run->batch.p + BATCH_LENGTH_AT), LENGTH_MIN, file->whole_path);
	if (err != ERR_NONE)
		return dump_fail(run,
				 "%s: there is no batch at position %lld: its size or its format cannot be",
				 file->name, (long long)pos);
	return true;
}

bool dump_batch_at(struct dump_run *run, const struct dump_file *file, int64_t pos, int64_t end,
		   struct batch_info *ret, bool *ret_end)
{
	if (!dump_header_at(run, file, pos, end, ret, ret_end) || *ret_end)
		return !*ret_end ? false : true;
	if (!dump_read(run, file, pos, ret->size, &run->batch))
		return false;
	if (run->batch.len < ret->size) {
		*ret_end = true; /* cut off meanwhile */
		return true;
	}
	if (batch_check_header(scratch_bytes(&run->batch), 0, ret) != ERR_NONE)
		return dump_fail(run, "%s: the batch at position %lld is damaged", file->name,
				 (long long)pos);
	return true;
}

/* ---- records ---- */

static bool each_legacy(struct dump_run *run, const struct batch_info *batch, dump_record_fn *fn, void *ctx)
{
	struct legacy_iter it;
	struct legacy_record record;
	enum err err;

	run->plain.len = 0;
	err = legacy_iter_init(&it, batch, 0, &run->compress, &run->plain);
	while (err == ERR_NONE && legacy_iter_next(&it, &record)) {
		struct batch_info self;
		struct dump_record shown = {.is_legacy = true,
					    .record = {.offset = record.offset,
						       .timestamp = record.timestamp,
						       .key = record.key,
						       .value = record.value}};

		if (batch_parse(record.bytes, &self) == ERR_NONE) {
			self.bytes = record.bytes;
			shown.crc = self.crc;
			shown.crc_is_right = batch_crc_is_right(&self);
		}
		if (!fn(run, ctx, &shown))
			return false;
	}
	if (err != ERR_NONE || it.err != ERR_NONE)
		return dump_fail(run, "The message with offset %lld cannot be unpacked",
				 (long long)batch->base_offset);
	return true;
}

bool dump_each_record(struct dump_run *run, const struct batch_info *batch, dump_record_fn *fn, void *ctx)
{
	struct record_iter it;
	struct dump_record shown = {.is_legacy = false};
	struct bytes payload;

	if (batch->magic < BATCH_MAGIC_NOW)
		return each_legacy(run, batch, fn, ctx);
	run->plain.len = 0;
	if (batch->records_n == 0)
		return true;
	if (batch_payload(batch, &run->compress, &run->plain, &payload) != ERR_NONE)
		return dump_fail(run, "The batch with offset %lld cannot be unpacked",
				 (long long)batch->base_offset);
	record_iter_init(&it, batch, payload);
	while (record_iter_next(&it, &shown.record)) {
		if (!fn(run, ctx, &shown))
			return false;
	}
	if (it.err != ERR_NONE)
		return dump_fail(
			run,
			"The batch with offset %lld holds records that cannot be read, or not as many as it "
			"says",
			(long long)batch->base_offset);
	return true;
}

struct log_walk {
	const struct dump_file *file;
	const struct batch_info *batch;
	int64_t last_offset; /* of a record; -1: none yet */
};

static void header_keys(struct dump_run *run, const struct record *record)
{
	struct json_out out = {.to = &run->text};
	struct record_header header;
	struct bytes left = record->headers;
	bool is_first = true;

	run->text.len = 0;
	while (record_header_next(&left, &header)) {
		json_raw(&out, is_first ? STR("") : STR(","));
		json_java_text(&out, (struct bytes){(const uint8_t *)header.key.p, header.key.len});
		is_first = false;
	}
	fprintf(run->out, " headerKeys: [");
	fwrite(run->text.p, 1, run->text.len, run->out);
	fputc(']', run->out);
}

static int32_t shown_size(struct bytes b)
{
	return b.p ? (int32_t)b.len : -1;
}

static bool print_record(struct dump_run *run, void *ctx, const struct dump_record *shown)
{
	struct log_walk *walk = ctx;
	const struct record *record = &shown->record;
	bool is_control = walk->batch->magic == BATCH_MAGIC_NOW && batch_is_control(walk->batch);
	bool is_whole = !run->args->is_skipping_metadata;

	if (record->offset != walk->last_offset + 1)
		dump_finding_put(&run->offset_gaps, walk->file->whole_path, walk->last_offset,
				 record->offset);
	walk->last_offset = record->offset;
	if (is_whole) {
		fprintf(run->out, "| offset: %lld %s: %lld keySize: %d valueSize: %d",
			(long long)record->offset, time_type(walk->batch), (long long)record->timestamp,
			shown_size(record->key), shown_size(record->value));
		if (shown->is_legacy) {
			fprintf(run->out, " isValid: %s crc: %u", shown->crc_is_right ? "true" : "false",
				shown->crc);
		} else {
			fprintf(run->out, " sequence: %d", record->sequence);
			header_keys(run, record);
		}
		if (is_control && !dump_control(run, record))
			return false;
	}
	if (run->args->is_printing && !is_control && !dump_content(run, record, is_whole ? " " : "| "))
		return false;
	fputc('\n', run->out);
	return true;
}

/* ---- batches ---- */

static void print_batch(struct dump_run *run, const struct batch_info *batch, int64_t pos)
{
	bool is_valid = batch_crc_is_right(batch);
	const char *codec = codec_name(batch_codec(batch));

	if (batch->magic < BATCH_MAGIC_NOW) {
		fprintf(run->out, "offset: %lld", (long long)batch->last_offset);
	} else {
		fprintf(run->out,
			"baseOffset: %lld lastOffset: %lld count: %d baseSequence: %d lastSequence: %d "
			"producerId: %lld producerEpoch: %d partitionLeaderEpoch: %d isTransactional: %s "
			"isControl: %s deleteHorizonMs: ",
			(long long)batch->base_offset, (long long)batch->last_offset, batch->records_n,
			batch->base_sequence, batch_last_sequence(batch), (long long)batch->producer_id,
			batch->producer_epoch, batch->leader_epoch,
			batch_is_transactional(batch) ? "true" : "false",
			batch_is_control(batch) ? "true" : "false");
		if (batch_has_delete_horizon(batch))
			fprintf(run->out, "OptionalLong[%lld]", (long long)batch->base_timestamp);
		else
			fputs("OptionalLong.empty", run->out);
	}
	fprintf(run->out,
		" position: %lld %s: %lld size: %zu magic: %d compresscodec: %s crc: %u isvalid: %s\n",
		(long long)pos, time_type(batch), (long long)batch->max_timestamp, batch->size, batch->magic,
		codec ? codec : "unknown", batch->crc, is_valid ? "true" : "false");
}

/* Digits from `at` on, as many as `len`. */
static bool name_number(const char *name, size_t at, size_t len, int64_t *ret)
{
	if (strlen(name) < at + len)
		return false;
	return parse_i64((struct str){name + at, len}, ret) == ERR_NONE;
}

bool dump_title(struct dump_run *run, const char *name)
{
	const char *suffix = strrchr(name, '.');
	struct str digits = {name, strcspn(name, ".")};
	int64_t offset, epoch;

	if (strcmp(suffix, ".log") == 0) {
		if (parse_i64(digits, &offset) != ERR_NONE)
			return dump_fail(run, "The name %s does not begin with an offset", name);
		fprintf(run->out, "Log starting offset: %lld\n", (long long)offset);
		return true;
	}
	if (strcmp(name, "bootstrap.checkpoint") == 0) {
		fputs("KRaft bootstrap snapshot\n", run->out);
		return true;
	}
	if (!name_number(name, 0, 20, &offset) || !name_number(name, 21, 10, &epoch))
		return dump_fail(run, "The name %s is not that of a snapshot", name);
	fprintf(run->out, "Snapshot end offset: %lld, epoch: %lld\n", (long long)offset, (long long)epoch);
	return true;
}

bool dump_batches(struct dump_run *run, const struct dump_file *file)
{
	int64_t end = MIN(file->size, (int64_t)run->args->bytes_max), pos = 0;
	struct batch_info batch;
	struct log_walk walk = {.file = file, .batch = &batch, .last_offset = -1};
	bool is_end;

	while (true) {
		if (!dump_batch_at(run, file, pos, end, &batch, &is_end))
			return false;
		if (is_end)
			break;
		print_batch(run, &batch, pos);
		if (run->args->is_deep && !dump_each_record(run, &batch, print_record, &walk))
			return false;
		pos += (int64_t)batch.size;
	}
	if (pos < file->size && run->args->bytes_max == INT_MAX)
		fprintf(run->out, "Found %lld invalid bytes at the end of %s\n",
			(long long)(file->size - pos), file->name);
	return true;
}
