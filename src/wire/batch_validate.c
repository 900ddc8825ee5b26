/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader's checks on produced batches. See batch_validate.h.
 *
 * Three steps: the frame (sizes, checksum, header rules), one walk over the records, the stamp. Nothing of
 * the input changes before the third. Records are walked where they lie; packed ones pass through a window
 * that grows only to the size of the largest record, and only as fast as bytes come out of the codec.
 */
#include "batch_validate.h"

#include <inttypes.h>

#include "batch_build.h"
#include "check.h"
#include "fmt.h"
#include "record.h"
#include "varint.h"

#define WINDOW_LEN ((size_t)64 * 1024)

/* State of the walk over the records. */
struct walk {
	struct batch_verdict *verdict;
	int64_t base_timestamp;
	int64_t fixed_timestamp;  /* of every record, when has_fixed */
	int64_t timestamp_min;    /* the window, both ends included */
	int64_t timestamp_max;
	int64_t highest;          /* timestamp so far */
	int32_t highest_index;
	int32_t next;             /* index of the next record */
	int32_t records_n;        /* as the header says */
	bool has_fixed;           /* the batch says log append time */
	bool check_timestamps;    /* create time */
	bool check_keys;
	bool bad_timestamp;
};

static enum err refuse(struct batch_verdict *verdict, enum err err, const char *why)
{
	verdict->why = why;
	return err;
}

static int64_t add_clamped(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return b < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

/* A negative span has no room for any timestamp; settings do not allow it. */
static void rules_window(const struct batch_rules *rules, int64_t *min, int64_t *max)
{
	CHECK(rules->timestamp_before_max_ms >= 0);
	CHECK(rules->timestamp_after_max_ms >= 0);
	*min = add_clamped(rules->now_ms, -rules->timestamp_before_max_ms);
	*max = add_clamped(rules->now_ms, rules->timestamp_after_max_ms);
}

/* Length of the whole batch at `in`, 0 when only part of one is there. Looks at nothing behind the format. */
static enum err frame_size(struct bytes in, size_t *ret)
{
	int32_t length;
	size_t size;

	*ret = 0;
	if (in.len < BATCH_PREFIX_LEN)
		return ERR_NONE;
	length = (int32_t)load_be32(in.p + BATCH_LENGTH_AT);
	if (length < BATCH_V0_LEN_MIN - BATCH_PREFIX_LEN)
		return ERR_CORRUPT_MESSAGE;
	if (in.len < BATCH_PEEK_LEN)
		return ERR_NONE;
	if (in.p[BATCH_MAGIC_AT] > BATCH_MAGIC_NOW)
		return ERR_CORRUPT_MESSAGE;
	size = (size_t)length + BATCH_PREFIX_LEN;
	*ret = size <= in.len ? size : 0;
	return ERR_NONE;
}

static enum err check_frame(struct bytes in, const struct batch_rules *rules, struct batch_verdict *verdict)
{
	size_t size;
	size_t second;
	struct batch_info probe;

	if (frame_size(in, &size))
		return refuse(verdict, ERR_CORRUPT_MESSAGE, "The batch has an impossible size or format.");
	if (size == 0)
		return refuse(verdict, ERR_INVALID_RECORD, "There is no whole batch.");
	if (in.p[BATCH_MAGIC_AT] != BATCH_MAGIC_NOW)
		return refuse(verdict, ERR_INVALID_RECORD, "Only message format 2 is accepted.");
	if (frame_size((struct bytes){in.p + size, in.len - size}, &second))
		return refuse(verdict, ERR_CORRUPT_MESSAGE,
			      "The batch is followed by bytes that are no batch.");
	if (second)
		return refuse(verdict, ERR_INVALID_RECORD, "There is more than one batch for a partition.");
	if (load_be64(in.p + BATCH_OFFSET_AT) != 0)
		return refuse(verdict, ERR_INVALID_RECORD, "The base offset of a produced batch must be 0.");
	if (rules->size_max && size > rules->size_max)
		return refuse(verdict, ERR_MESSAGE_TOO_LARGE, "The batch is larger than max.message.bytes.");
	if (size < BATCH_HEADER_LEN)
		return refuse(verdict, ERR_CORRUPT_MESSAGE, "The batch is shorter than its header.");
	probe = (struct batch_info){.bytes = {in.p, size}, .size = size, .magic = BATCH_MAGIC_NOW,
				    .crc = load_be32(in.p + BATCH_CRC_AT)};
	if (!batch_crc_is_right(&probe))
		return refuse(verdict, ERR_CORRUPT_MESSAGE, "The checksum of the batch is wrong.");
	if ((int32_t)load_be32(in.p + BATCH_LAST_OFFSET_DELTA_AT) < 0 ||
	    (int32_t)load_be32(in.p + BATCH_RECORDS_N_AT) <= 0)
		return refuse(verdict, ERR_INVALID_RECORD, "The batch has no records.");
	return batch_check_header((struct bytes){in.p, size}, 0, &verdict->batch);
}

static enum err check_header(const struct batch_info *batch, struct batch_verdict *verdict)
{
	if (batch->records_n != (int64_t)batch->last_offset_delta + 1)
		return refuse(verdict, ERR_INVALID_RECORD,
			      "Count of records and last offset delta disagree.");
	if (batch_is_control(batch))
		return refuse(verdict, ERR_INVALID_RECORD, "Clients cannot write control batches.");
	if (batch->producer_id >= 0 && batch->base_sequence < 0)
		return refuse(verdict, ERR_INVALID_RECORD,
			      "A batch with a producer id needs a sequence number.");
	if (batch->producer_id >= 0 && batch->producer_epoch < 0)
		return refuse(verdict, ERR_INVALID_RECORD,
			      "A batch with a producer id needs a producer epoch.");
	if (batch_codec(batch) >= CODEC_N)
		return refuse(verdict, ERR_UNSUPPORTED_COMPRESSION_TYPE, "The codec is unknown.");
	return ERR_NONE;
}

static void walk_init(struct walk *w, const struct batch_rules *rules, struct batch_verdict *verdict)
{
	const struct batch_info *batch = &verdict->batch;

	*w = (struct walk){
		.verdict = verdict,
		.base_timestamp = batch->base_timestamp,
		.fixed_timestamp = batch->max_timestamp,
		.highest = NO_TIMESTAMP,
		.highest_index = -1,
		.records_n = batch->records_n,
		.has_fixed = batch_is_log_append_time(batch),
		.check_timestamps = !rules->log_append_time,
		.check_keys = rules->compacted,
	};
	rules_window(rules, &w->timestamp_min, &w->timestamp_max);
}

static void record_fails(struct walk *w, enum record_fault fault, int64_t timestamp)
{
	struct batch_verdict *verdict = w->verdict;

	if (verdict->errors_n < RECORD_ERRORS_MAX)
		verdict->errors[verdict->errors_n] =
			(struct record_error){.timestamp = timestamp, .index = w->next, .fault = fault};
	verdict->errors_n++;
	if (fault != RECORD_NO_KEY)
		w->bad_timestamp = true;
}

/* The rules that concern one record's content, after its structure. */
static void record_judge(struct walk *w, const struct record_shape *shape, int64_t timestamp)
{
	if (w->check_keys && !shape->has_key)
		record_fails(w, RECORD_NO_KEY, timestamp);
	else if (w->check_timestamps && timestamp != NO_TIMESTAMP &&
		 (timestamp < w->timestamp_min || timestamp > w->timestamp_max))
		record_fails(w, RECORD_TIMESTAMP, timestamp);
	else if (w->has_fixed && (!w->check_timestamps || timestamp == NO_TIMESTAMP))
		record_fails(w, RECORD_TIMESTAMP_TYPE, timestamp);
}

static bool record_is_fine(const struct walk *w, const struct record_shape *shape, int64_t timestamp)
{
	bool key = shape->has_key || !w->check_keys;
	bool time = !w->check_timestamps || (timestamp >= w->timestamp_min && timestamp <= w->timestamp_max);

	return key && time && !w->has_fixed;
}

/*
 * Walks the whole records between p and end; *ret_p is where the first that is not whole begins.
 * ERR_INVALID_RECORD for what no further byte could mend.
 */
static enum err walk_records(struct walk *w, const uint8_t *p, const uint8_t *end, const uint8_t **ret_p)
{
	struct record_shape shape;
	const uint8_t *body;
	int64_t timestamp;
	int32_t len;

	while (w->next < w->records_n) {
		body = record_varint(p, end, &len);
		if (unlikely(!body)) {
			if (end - p >= VARINT32_MAX)
				return refuse(w->verdict, ERR_INVALID_RECORD,
					      "A record's length is malformed.");
			break;
		}
		if (unlikely(len < 0))
			return refuse(w->verdict, ERR_INVALID_RECORD, "A record's length is negative.");
		if (unlikely(len > end - body))
			break;
		if (unlikely(!record_shape_read(body, body + len, &shape)))
			return refuse(w->verdict, ERR_INVALID_RECORD, "A record is malformed.");
		if (unlikely(shape.offset_delta != w->next))
			return refuse(w->verdict, ERR_INVALID_RECORD,
				      "Offset deltas do not count 0, 1, 2, ...");
		timestamp = (int64_t)((uint64_t)w->base_timestamp + (uint64_t)shape.timestamp_delta);
		if (unlikely(w->has_fixed))
			timestamp = w->fixed_timestamp;
		if (unlikely(!record_is_fine(w, &shape, timestamp)))
			record_judge(w, &shape, timestamp);
		if (timestamp > w->highest) {
			w->highest = timestamp;
			w->highest_index = w->next;
		}
		p = body + len;
		w->next++;
	}
	*ret_p = p;
	return ERR_NONE;
}

static enum err walk_plain(struct walk *w, struct bytes payload)
{
	const uint8_t *end = payload.p + payload.len;
	const uint8_t *p;
	enum err err = walk_records(w, payload.p, end, &p);

	if (err)
		return err;
	if (w->next < w->records_n)
		return refuse(w->verdict, ERR_INVALID_RECORD, "The batch ends before its last record.");
	if (p != end)
		return refuse(w->verdict, ERR_INVALID_RECORD, "Bytes are left behind the last record.");
	return ERR_NONE;
}

/*
 * What a failed codec means: size limits keep their error, the rest is the client's mistake, not the
 * network's, since the checksum was right.
 */
static enum err refuse_codec(struct batch_verdict *verdict, enum err err)
{
	if (err == ERR_TOO_LARGE)
		return refuse(verdict, ERR_MESSAGE_TOO_LARGE, "The records unpack to more than is allowed.");
	return refuse(verdict, ERR_INVALID_RECORD, "The records cannot be unpacked.");
}

static enum err walk_packed(struct walk *w, struct compress_ctx *ctx, enum codec codec, struct bytes packed)
{
	struct scratch *window = &ctx->window;
	const uint8_t *rest;
	size_t room;
	size_t n;
	struct unzip u;
	enum err err = unzip_init(&u, ctx, codec, packed, decompress_max(packed.len));

	window->len = 0;
	while (!err) {
		err = scratch_reserve(window, window->len < window->cap ? 1 : WINDOW_LEN);
		if (err)
			break;
		room = window->cap - window->len;
		err = unzip_read(&u, window->p + window->len, room, &n);
		if (err)
			break;
		window->len += n;
		err = walk_records(w, window->p, window->p + window->len, &rest);
		if (err)
			return err;
		window->len = (size_t)(window->p + window->len - rest);
		if (w->next == w->records_n && window->len)
			return refuse(w->verdict, ERR_INVALID_RECORD,
				      "Bytes are left behind the last record.");
		memmove(window->p, rest, window->len);
		if (n < room) {
			if (w->next < w->records_n)
				return refuse(w->verdict, ERR_INVALID_RECORD,
					      "The batch ends before its last record.");
			return ERR_NONE;
		}
	}
	return refuse_codec(w->verdict, err);
}

static void finish(struct batch_verdict *verdict, const struct batch_rules *rules, const struct walk *w)
{
	verdict->append_time = rules->log_append_time ? rules->now_ms : NO_TIMESTAMP;
	verdict->max_timestamp = rules->log_append_time ? rules->now_ms : w->highest;
	if (rules->log_append_time)
		verdict->max_timestamp_offset = rules->offset;
	else
		verdict->max_timestamp_offset = w->highest_index < 0 ? -1 : rules->offset + w->highest_index;
}

static void stamp_in_place(uint8_t *p, const struct batch_rules *rules, struct batch_verdict *verdict)
{
	batch_stamp(p, rules->offset, rules->leader_epoch);
	batch_set_max_timestamp(p, rules->log_append_time, verdict->max_timestamp);
	CHECK(!batch_check_header(verdict->batch.bytes, 0, &verdict->batch));
}

/* Packs `payload` with the topic's codec behind a new header. Records stay as they are, so the base timestamp
 * too. */
static enum err rebuild(struct bytes payload, const struct batch_rules *rules, struct compress_ctx *ctx,
			struct batch_verdict *verdict)
{
	struct scratch *built = &ctx->built;
	struct batch_info info = verdict->batch;
	enum err err;

	built->len = 0;
	err = scratch_reserve(built, BATCH_HEADER_LEN);
	if (!err) {
		built->len = BATCH_HEADER_LEN;
		err = codec_compress(ctx, rules->codec, rules->level, payload, built);
	}
	if (err || built->len > INT32_MAX || (rules->size_max && built->len > rules->size_max))
		return refuse(verdict, ERR_MESSAGE_TOO_LARGE,
			      "The batch is larger than max.message.bytes after compression.");
	info.size = built->len;
	info.base_offset = rules->offset;
	info.leader_epoch = rules->leader_epoch;
	info.attributes = (uint16_t)((info.attributes & BATCH_TRANSACTIONAL) | rules->codec |
				     (rules->log_append_time ? BATCH_LOG_APPEND_TIME : 0));
	info.max_timestamp = verdict->max_timestamp;
	batch_header_write(built->p, &info);
	CHECK(!batch_check_header(scratch_bytes(built), 0, &verdict->batch));
	verdict->rebuilt = true;
	return ERR_NONE;
}

enum err batch_validate(uint8_t *records, size_t len, const struct batch_rules *rules,
			struct compress_ctx *ctx,
			struct batch_verdict *verdict)
{
	struct batch_info *batch = &verdict->batch;
	struct bytes payload;
	struct walk w;
	enum codec codec;
	bool in_place;
	enum err err;

	CHECK(rules->keep_codec || (unsigned)rules->codec < CODEC_N);
	*batch = (struct batch_info){0};
	verdict->rebuilt = false;
	verdict->append_time = verdict->max_timestamp = NO_TIMESTAMP;
	verdict->max_timestamp_offset = -1;
	verdict->why = "";
	verdict->errors_n = 0;
	err = check_frame((struct bytes){records, len}, rules, verdict);
	if (!err)
		err = check_header(batch, verdict);
	if (err)
		return err;
	codec = batch_codec(batch);
	in_place = rules->keep_codec || codec == rules->codec;
	payload = (struct bytes){records + BATCH_HEADER_LEN, batch->size - BATCH_HEADER_LEN};
	walk_init(&w, rules, verdict);
	if (codec != CODEC_NONE && in_place) {
		err = walk_packed(&w, ctx, codec, payload);
	} else {
		ctx->plain.len = 0;
		if (codec != CODEC_NONE && (err = batch_payload(batch, ctx, &ctx->plain, &payload)))
			return refuse_codec(verdict, err);
		err = walk_plain(&w, payload);
	}
	if (err)
		return err;
	if (verdict->errors_n)
		return refuse(verdict, w.bad_timestamp ? ERR_INVALID_TIMESTAMP : ERR_INVALID_RECORD,
			      w.bad_timestamp ? "One or more records have been rejected due to invalid timestamp"
					      : "One or more records have been rejected");
	finish(verdict, rules, &w);
	if (!in_place)
		return rebuild(payload, rules, ctx, verdict);
	stamp_in_place(records, rules, verdict);
	return ERR_NONE;
}

void record_error_format(struct fmt *f, const struct record_error *error, const struct batch_rules *rules,
			 struct str partition)
{
	int64_t min;
	int64_t max;

	switch (error->fault) {
	case RECORD_NO_KEY:
		fmt_add(f, "Compacted topic cannot accept message without key in topic partition %.*s",
			(int)partition.len, partition.p);
		return;
	case RECORD_TIMESTAMP:
		rules_window(rules, &min, &max);
		fmt_add(f,
			"Timestamp %" PRId64 " of message with offset %" PRId32
			" is out of range. The timestamp should be within [%" PRId64 ", %" PRId64 "]",
			error->timestamp, error->index, min, max);
		return;
	case RECORD_TIMESTAMP_TYPE:
		fmt_add(f, "A producer cannot set the timestamp type LogAppendTime.");
		return;
	}
	UNREACHABLE();
}
