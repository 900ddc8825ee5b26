/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See snapshot_file.h. Offsets within a file count from 0, over control records as well; all batches carry the epoch of
 * the snapshot. Reading takes any batches that Kafka's reader takes, compressed ones included, as long as header and
 * footer enclose the rest and no offset is missing.
 */
#include "snapshot_file.h"

#include <inttypes.h>
#include <stdio.h>

#include "control.h"
#include "mem.h"
#include "msg/raft_records.h"

/* A batch of records is ended from this size on. */
#define SNAPSHOT_BATCH_LEN ((size_t)1 << 20)

#define SNAPSHOT_SUFFIX ".checkpoint"
#define OFFSET_DIGITS 20
#define EPOCH_DIGITS 10

/* ---- writing ---- */

struct snapshot_write {
	struct scratch out;
	struct batch_builder builder;
	bool is_open; /* a batch is being built */
	int64_t next_offset;
	int64_t timestamp_ms;
	int32_t epoch;
};

static enum err snapshot_begin_batch(struct snapshot_write *w, uint16_t attributes)
{
	struct batch_spec spec = BATCH_SPEC_INIT;

	spec.base_offset = w->next_offset;
	spec.leader_epoch = w->epoch;
	spec.attributes = attributes;
	w->is_open = true;
	return batch_builder_init(&w->builder, &spec, &w->out, NULL);
}

static enum err snapshot_end_batch(struct snapshot_write *w)
{
	struct bytes batch;

	if (!w->is_open)
		return ERR_NONE;
	w->is_open = false;
	return batch_builder_finish(&w->builder, &batch);
}

static enum err snapshot_add_control(struct snapshot_write *w, enum control_type type, struct bytes value)
{
	w->next_offset++;
	return control_add(&w->builder, w->timestamp_ms, type, value);
}

static struct bytes control_encode(const struct msg_type *type, const void *obj, struct arena *arena)
{
	struct bytes value;
	enum err err = codec_encode_flat(type, 0, obj, arena, &value, NULL);

	CHECK_OP(err, ==, ERR_NONE);
	return value;
}

static enum err snapshot_add_header(struct snapshot_write *w, int64_t last_log_timestamp_ms, int16_t kraft_version,
				    const struct raft_voters *voters, struct arena *arena)
{
	struct snapshot_header_record header;
	struct kraft_version_record version;
	enum err err = snapshot_begin_batch(w, BATCH_CONTROL);

	msg_init(&snapshot_header_record_type, &header);
	header.last_contained_log_timestamp = last_log_timestamp_ms;
	if (!err)
		err = snapshot_add_control(w, CONTROL_SNAPSHOT_HEADER,
					   control_encode(&snapshot_header_record_type, &header, arena));
	if (!err && kraft_version > 0) {
		CHECK(voters);
		msg_init(&kraft_version_record_type, &version);
		version.kraft_version = kraft_version;
		err = snapshot_add_control(w, CONTROL_KRAFT_VERSION,
					   control_encode(&kraft_version_record_type, &version, arena));
		if (!err)
			err = snapshot_add_control(w, CONTROL_KRAFT_VOTERS, raft_voters_encode(voters, arena));
	}
	return err ? err : snapshot_end_batch(w);
}

static enum err snapshot_add_footer(struct snapshot_write *w, struct arena *arena)
{
	struct snapshot_footer_record footer;
	enum err err = snapshot_end_batch(w);

	msg_init(&snapshot_footer_record_type, &footer);
	if (!err)
		err = snapshot_begin_batch(w, BATCH_CONTROL);
	if (!err)
		err = snapshot_add_control(w, CONTROL_SNAPSHOT_FOOTER,
					   control_encode(&snapshot_footer_record_type, &footer, arena));
	return err ? err : snapshot_end_batch(w);
}

static enum err snapshot_add_record(void *ctx, struct bytes record)
{
	struct snapshot_write *w = ctx;
	struct record_fields fields = {.value = record};
	enum err err = ERR_NONE;

	if (w->is_open && batch_builder_len(&w->builder) + record.len > SNAPSHOT_BATCH_LEN)
		err = snapshot_end_batch(w);
	if (!err && !w->is_open)
		err = snapshot_begin_batch(w, 0);
	if (!err)
		err = batch_builder_add(&w->builder, w->timestamp_ms, &fields);
	w->next_offset++;
	return err;
}

/* The records come from the image, or else from the array. */
static enum err snapshot_write(struct snapshot_write *w, int64_t last_log_timestamp_ms, int16_t kraft_version,
			       const struct raft_voters *voters, const struct image *image,
			       const struct bytes *records, size_t records_n, struct bytes *ret)
{
	struct arena arena = {0};
	enum err err = snapshot_add_header(w, last_log_timestamp_ms, kraft_version, voters, &arena);

	if (!err && image)
		err = image_snapshot_records(image, snapshot_add_record, w);
	for (size_t i = 0; !err && i < records_n; i++)
		err = snapshot_add_record(w, records[i]);
	if (!err)
		err = snapshot_add_footer(w, &arena);
	arena_reset(&arena);
	if (err) {
		scratch_deinit(&w->out);
		return err;
	}
	*ret = scratch_bytes(&w->out);
	return ERR_NONE;
}

enum err snapshot_file_encode(const struct image *image, int16_t kraft_version, const struct raft_voters *voters,
			      struct bytes *ret)
{
	struct snapshot_write w = {.timestamp_ms = image->timestamp_ms, .epoch = image->epoch};

	return snapshot_write(&w, image->timestamp_ms, kraft_version, voters, image, NULL, 0, ret);
}

enum err snapshot_file_encode_records(const struct bytes *records, size_t records_n, int64_t timestamp_ms,
				      int64_t last_log_timestamp_ms, int32_t epoch, int16_t kraft_version,
				      const struct raft_voters *voters, struct bytes *ret)
{
	struct snapshot_write w = {.timestamp_ms = timestamp_ms, .epoch = epoch};

	return snapshot_write(&w, last_log_timestamp_ms, kraft_version, voters, NULL, records, records_n, ret);
}

/* ---- reading ---- */

struct snapshot_read {
	image_record_fn *fn;
	void *ctx;
	struct err_text *text;
	struct snapshot_info info;
	struct compress_ctx compress;
	struct scratch plain;
	int64_t next_offset;
	size_t pos; /* of the batch in the file */
	bool has_header, has_footer;
};

static enum err snapshot_is_damaged(const struct snapshot_read *r, const char *what)
{
	return err_text_set(r->text, ERR_CORRUPT_FILE, "the snapshot is damaged at byte %zu, record %" PRId64 ": %s",
			    r->pos, r->next_offset, what);
}

/* Control records have no arrays but the voters', which have a decoder of their own. */
static enum err control_decode(const struct snapshot_read *r, const struct msg_type *type, struct bytes value,
			       void *ret)
{
	struct arena arena = {0};
	enum err err = codec_decode(type, 0, value, &arena, ret, NULL, NULL);

	arena_reset(&arena);
	return err ? snapshot_is_damaged(r, "a control record cannot be read") : ERR_NONE;
}

static enum err snapshot_read_header(struct snapshot_read *r, struct bytes value)
{
	struct snapshot_header_record header;
	enum err err;

	if (r->has_header)
		return snapshot_is_damaged(r, "a second header");
	err = control_decode(r, &snapshot_header_record_type, value, &header);
	if (err)
		return err;
	r->has_header = true;
	r->info.last_log_timestamp_ms = header.last_contained_log_timestamp;
	return ERR_NONE;
}

static enum err snapshot_read_kraft_version(struct snapshot_read *r, struct bytes value)
{
	struct kraft_version_record version;
	enum err err = control_decode(r, &kraft_version_record_type, value, &version);

	if (err)
		return err;
	r->info.kraft_version = version.kraft_version;
	return ERR_NONE;
}

static enum err snapshot_read_voters(struct snapshot_read *r, struct bytes value)
{
	struct raft_voters voters;
	enum err err = raft_voters_decode(value, &voters, r->text);

	if (err)
		return err;
	raft_voters_deinit(&r->info.voters);
	r->info.voters = voters;
	r->info.has_voters = true;
	return ERR_NONE;
}

static enum err snapshot_read_footer(struct snapshot_read *r, struct bytes value)
{
	struct snapshot_footer_record footer;

	r->has_footer = true;
	return control_decode(r, &snapshot_footer_record_type, value, &footer);
}

static enum err snapshot_read_control(struct snapshot_read *r, const struct record *record)
{
	struct control_record control;

	if (control_parse(record, &control))
		return snapshot_is_damaged(r, "a control record has no type");
	if (!r->has_header && control.type != CONTROL_SNAPSHOT_HEADER)
		return snapshot_is_damaged(r, "it does not begin with a header");
	switch (control.type) {
	case CONTROL_SNAPSHOT_HEADER:
		return snapshot_read_header(r, control.value);
	case CONTROL_SNAPSHOT_FOOTER:
		return snapshot_read_footer(r, control.value);
	case CONTROL_KRAFT_VERSION:
		return snapshot_read_kraft_version(r, control.value);
	case CONTROL_KRAFT_VOTERS:
		return snapshot_read_voters(r, control.value);
	case CONTROL_UNKNOWN:
		return ERR_NONE;
	case CONTROL_ABORT:
	case CONTROL_COMMIT:
	case CONTROL_LEADER_CHANGE:
	default:
		return snapshot_is_damaged(r, "a control record that no snapshot has");
	}
}

static enum err snapshot_read_record(struct snapshot_read *r, const struct batch_info *batch,
				     const struct record *record)
{
	enum err err;

	if (r->has_footer)
		return snapshot_is_damaged(r, "something follows the footer");
	if (record->offset != r->next_offset)
		return snapshot_is_damaged(r, "records are missing");
	if (batch_is_control(batch)) {
		err = snapshot_read_control(r, record);
	} else if (!r->has_header) {
		err = snapshot_is_damaged(r, "it does not begin with a header");
	} else if (!record->value.p) {
		err = snapshot_is_damaged(r, "a record without a value");
	} else {
		err = r->fn(r->ctx, record->value);
		r->info.records_n++;
	}
	r->next_offset++;
	return err;
}

static enum err snapshot_read_batch(struct snapshot_read *r, const struct batch_info *batch)
{
	struct record_iter it;
	struct record record;
	struct bytes payload;
	enum err err;

	if (batch->magic != BATCH_MAGIC_NOW)
		return snapshot_is_damaged(r, "a batch is not of format 2");
	if (batch->records_n == 0)
		return snapshot_is_damaged(r, "a batch is empty");
	r->plain.len = 0;
	if (batch_payload(batch, &r->compress, &r->plain, &payload))
		return snapshot_is_damaged(r, "a batch cannot be unpacked");
	record_iter_init(&it, batch, payload);
	while (record_iter_next(&it, &record)) {
		err = snapshot_read_record(r, batch, &record);
		if (err)
			return err;
	}
	return it.err ? snapshot_is_damaged(r, "a record is malformed") : ERR_NONE;
}

static enum err snapshot_read(struct snapshot_read *r, struct bytes file)
{
	struct batch_iter it = batch_iter_of(file, BATCH_CHECK_CRC);
	struct batch_info batch;

	while (batch_iter_next(&it, &batch)) {
		enum err err;

		r->pos = (size_t)(batch.bytes.p - file.p);
		err = snapshot_read_batch(r, &batch);
		if (err)
			return err;
	}
	r->pos = it.pos;
	if (it.err)
		return snapshot_is_damaged(r, "a batch has a wrong checksum or header");
	if (it.left > 0)
		return snapshot_is_damaged(r, "it ends within a batch");
	if (!r->has_footer)
		return snapshot_is_damaged(r, "it ends without a footer");
	return ERR_NONE;
}

enum err snapshot_file_decode(struct bytes file, image_record_fn *fn, void *ctx, struct snapshot_info *ret,
			      struct err_text *text)
{
	struct snapshot_read r = {.fn = fn, .ctx = ctx, .text = text};
	enum err err = snapshot_read(&r, file);

	scratch_deinit(&r.plain);
	compress_ctx_deinit(&r.compress);
	if (err) {
		raft_voters_deinit(&r.info.voters);
		return err;
	}
	*ret = r.info;
	return ERR_NONE;
}

/* ---- names ---- */

void snapshot_file_name(int64_t end_offset, int32_t epoch, char ret[64])
{
	CHECK(end_offset >= 0 && epoch >= 0);
	snprintf(ret, 64, "%020" PRId64 "-%010" PRId32 SNAPSHOT_SUFFIX, end_offset, epoch);
}

static bool digits_only(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return true;
}

bool snapshot_file_parse_name(const char *name, int64_t *ret_end_offset, int32_t *ret_epoch)
{
	const char *epoch = name + OFFSET_DIGITS + 1;

	if (strlen(name) != OFFSET_DIGITS + 1 + EPOCH_DIGITS + sizeof(SNAPSHOT_SUFFIX) - 1 || epoch[-1] != '-' ||
	    strcmp(epoch + EPOCH_DIGITS, SNAPSHOT_SUFFIX) != 0 || !digits_only(name, OFFSET_DIGITS) ||
	    !digits_only(epoch, EPOCH_DIGITS))
		return false;
	return parse_i64((struct str){name, OFFSET_DIGITS}, ret_end_offset) == ERR_NONE &&
	       parse_i32((struct str){epoch, EPOCH_DIGITS}, ret_epoch) == ERR_NONE;
}
