/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a record set, three ways: a stored range of batches that recovery and readers walk down to the
 * records, whatever the format; a Produce request's records; and the payload of a batch whose header and
 * checksum are good, so that the record and codec readers get past the checksum. What validation accepts must
 * read back.
 *
 * The first bytes choose the settings, the rest is the record set.
 */
#include "batch.h"
#include "batch_build.h"
#include "batch_validate.h"
#include "check.h"
#include "control.h"
#include "legacy.h"
#include "mem.h"
#include "record.h"

#define CHOICES_LEN 4
#define UNPACKED_MAX ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_records(const struct batch_info *batch, struct compress_ctx *ctx, bool must_be_good)
{
	struct scratch into = {.max = UNPACKED_MAX};
	struct control_record control;
	struct record_header header;
	struct record_iter it;
	struct record r;
	struct bytes payload;
	int64_t next = batch->base_offset;

	if (batch_payload(batch, ctx, &into, &payload)) {
		scratch_deinit(&into);
		return;
	}
	record_iter_init(&it, batch, payload);
	while (record_iter_next(&it, &r)) {
		struct bytes headers = r.headers;
		int32_t n = 0;

		while (record_header_next(&headers, &header))
			n++;
		CHECK_OP(n, ==, r.headers_n);
		if (must_be_good)
			CHECK_OP(r.offset, ==, next++);
		if (control_parse(&r, &control) == ERR_NONE)
			CHECK(control.type != CONTROL_COMMIT || control.value.len >= 6);
	}
	if (must_be_good)
		CHECK_OP(it.err, ==, ERR_NONE);
	scratch_deinit(&into);
}

static void read_legacy(const struct batch_info *batch, struct compress_ctx *ctx, unsigned flags)
{
	struct scratch into = {.max = UNPACKED_MAX};
	struct legacy_iter it;
	struct legacy_record r;

	if (!legacy_iter_init(&it, batch, flags, ctx, &into))
		while (legacy_iter_next(&it, &r))
			CHECK(r.key.p || r.key.len == 0);
	scratch_deinit(&into);
}

static void walk(struct bytes in, unsigned flags, struct compress_ctx *ctx)
{
	struct batch_iter it = batch_iter_of(in, flags);
	struct batch_info b;

	while (batch_iter_next(&it, &b)) {
		CHECK_OP(b.bytes.len, ==, b.size);
		if (b.magic == BATCH_MAGIC_NOW)
			read_records(&b, ctx, false);
		else
			read_legacy(&b, ctx, flags);
	}
	CHECK_OP(it.pos + it.left, <=, in.len);
}

static void validate(uint8_t *records, size_t len, const struct batch_rules *rules, struct compress_ctx *ctx)
{
	struct batch_verdict verdict;

	if (batch_validate(records, len, rules, ctx, &verdict))
		return;
	CHECK(batch_crc_is_right(&verdict.batch));
	read_records(&verdict.batch, ctx, true);
}

/* The bytes behind a header that announces `records_n` records of `codec`. */
static void validate_payload(struct bytes payload, enum codec codec, int32_t records_n,
			     const struct batch_rules *rules,
			     struct compress_ctx *ctx)
{
	uint8_t *batch = mem_alloc(BATCH_HEADER_LEN + payload.len);
	struct batch_info info = {
		.size = BATCH_HEADER_LEN + payload.len,
		.attributes = (uint16_t)codec,
		.last_offset_delta = records_n - 1,
		.base_timestamp = rules->now_ms,
		.max_timestamp = rules->now_ms,
		.producer_id = NO_PRODUCER_ID,
		.producer_epoch = NO_PRODUCER_EPOCH,
		.base_sequence = NO_SEQUENCE,
		.records_n = records_n,
	};

	if (payload.len)
		memcpy(batch + BATCH_HEADER_LEN, payload.p, payload.len);
	batch_header_write(batch, &info);
	validate(batch, info.size, rules, ctx);
	mem_free(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct compress_ctx ctx = {0};
	struct batch_rules rules = {
		.now_ms = INT64_C(1700000000000),
		.offset = 42,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = 3600000,
		.level = COMPRESS_LEVEL_DEFAULT,
	};
	uint8_t *copy;
	struct bytes in;

	if (len < CHOICES_LEN)
		return 0;
	rules.keep_codec = data[0] & 1;
	rules.log_append_time = data[0] & 2;
	rules.compacted = data[0] & 4;
	rules.codec = (enum codec)((data[0] >> 3) % CODEC_N);
	/* A copy of exactly this length, which validation may change. */
	in = (struct bytes){data + CHOICES_LEN, len - CHOICES_LEN};
	copy = mem_alloc(in.len);
	if (in.len)
		memcpy(copy, in.p, in.len);
	walk((struct bytes){copy, in.len}, 0, &ctx);
	walk((struct bytes){copy, in.len}, BATCH_CHECK_CRC, &ctx);
	validate(copy, in.len, &rules, &ctx);
	validate_payload(in, (enum codec)(data[1] % CODEC_N), 1 + data[2], &rules, &ctx);
	mem_free(copy);
	compress_ctx_deinit(&ctx);
	return 0;
}
