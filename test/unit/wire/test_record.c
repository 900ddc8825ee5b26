/* SPDX-License-Identifier: Apache-2.0 */
/* Records: what Kafka wrote is read as it meant it, in every codec; what we write is what Kafka writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "batch_build.h"
#include "batch_cases.h"
#include "control.h"
#include "mem.h"
#include "record.h"

static struct batch_cases cases;

static void assert_bytes(struct bytes got, struct bytes want)
{
	assert_int_equal(got.p == NULL, want.p == NULL);
	assert_int_equal(got.len, want.len);
	if (got.len)
		assert_memory_equal(got.p, want.p, got.len);
}

static void assert_record(const struct record *r, const struct case_record *want)
{
	struct bytes headers = r->headers;
	struct record_header h;

	assert_int_equal(r->offset, want->offset);
	assert_int_equal(r->timestamp, want->timestamp);
	assert_int_equal(r->sequence, want->sequence);
	assert_bytes(r->key, want->key);
	assert_bytes(r->value, want->value);
	assert_int_equal(r->headers_n, want->headers_n);
	for (int32_t i = 0; i < want->headers_n; i++) {
		assert_true(record_header_next(&headers, &h));
		assert_bytes(str_bytes(h.key), str_bytes(want->headers[i].key));
		assert_bytes(h.value, want->headers[i].value);
	}
	assert_false(record_header_next(&headers, &h));
}

static void assert_batch(struct bytes bytes, const struct case_batch *want, struct compress_ctx *ctx)
{
	struct scratch into = {0};
	struct batch_info b;
	struct record_iter it;
	struct record r;
	struct bytes payload;
	int32_t n = 0;

	assert_int_equal(batch_check_header(bytes, BATCH_CHECK_CRC, &b), 0);
	assert_int_equal(batch_payload(&b, ctx, &into, &payload), 0);
	record_iter_init(&it, &b, payload);
	while (record_iter_next(&it, &r)) {
		assert_true(n < want->records_n);
		assert_record(&r, &want->records[n++]);
	}
	assert_int_equal(it.err, 0);
	assert_int_equal(n, want->records_n);
	scratch_deinit(&into);
}

static void golden_records(void **state)
{
	struct compress_ctx ctx = {0};
	int seen = 0;

	for (size_t i = 0; i < cases.n; i++) {
		const struct batch_case *c = &cases.v[i];

		if (c->batches[0].info.magic != 2)
			continue;
		assert_int_equal(c->batches_n, 1);
		assert_batch(c->bytes, &c->batches[0], &ctx);
		seen++;
	}
	assert_true(seen > 300);
	compress_ctx_deinit(&ctx);
}

static struct batch_spec spec_of(const struct batch_info *info)
{
	return (struct batch_spec){
		.base_offset = info->base_offset,
		.leader_epoch = info->leader_epoch,
		.attributes = (uint16_t)(info->attributes & ~BATCH_CODEC_MASK),
		.codec = batch_codec(info),
		.level = COMPRESS_LEVEL_DEFAULT,
		.producer_id = info->producer_id,
		.producer_epoch = info->producer_epoch,
		.base_sequence = info->base_sequence,
		.append_time = info->max_timestamp,
		.delete_horizon = info->base_timestamp,
	};
}

/* Records of a log-append-time batch carry their create time, which only the batch's own bytes tell. */
static int64_t create_time(const struct batch_info *info, const struct record *r)
{
	struct record_shape shape;
	int32_t len;
	const uint8_t *end = r->bytes.p + r->bytes.len;
	const uint8_t *body = record_varint(r->bytes.p, end, &len);

	assert_true(record_shape_read(body, end, &shape));
	return info->base_timestamp + shape.timestamp_delta;
}

/* Builds the batch again from its meaning. */
static struct bytes rebuild(struct bytes bytes, const struct case_batch *c, struct compress_ctx *ctx,
			    struct scratch *out)
{
	struct batch_spec spec = spec_of(&c->info);
	struct compress_ctx reader = {0};
	struct scratch into = {0};
	struct batch_builder b;
	struct batch_info info;
	struct record_iter it;
	struct record r;
	struct bytes payload;
	struct bytes built;

	assert_int_equal(batch_check_header(bytes, 0, &info), 0);
	assert_int_equal(batch_payload(&info, &reader, &into, &payload), 0);
	record_iter_init(&it, &info, payload);
	assert_int_equal(batch_builder_init(&b, &spec, out, ctx), 0);
	for (int32_t i = 0; i < c->records_n; i++) {
		const struct case_record *want = &c->records[i];
		struct record_fields f = {.key = want->key, .value = want->value, .headers = want->headers,
					  .headers_n = want->headers_n};

		assert_true(record_iter_next(&it, &r));
		if (i & 1)
			f = record_fields_of(&r);
		assert_int_equal(batch_builder_add_at(&b, want->offset, create_time(&info, &r), &f), 0);
	}
	batch_builder_set_last_offset(&b, info.last_offset);
	assert_int_equal(batch_builder_finish(&b, &built), 0);
	scratch_deinit(&into);
	compress_ctx_deinit(&reader);
	return built;
}

static void golden_built_again(void **state)
{
	struct compress_ctx ctx = {0};
	struct scratch out = {0};
	int same = 0;

	for (size_t i = 0; i < cases.n; i++) {
		const struct batch_case *c = &cases.v[i];
		struct bytes built;

		if (c->batches[0].info.magic != 2)
			continue;
		out.len = 0;
		assert_int_equal(scratch_append(&out, "in front", 8), 0);
		built = rebuild(c->bytes, &c->batches[0], &ctx, &out);
		if (c->codec == CODEC_NONE) {
			assert_bytes(built, c->bytes);
			same++;
		} else {
			assert_batch(built, &c->batches[0], &ctx);
		}
	}
	assert_true(same >= 80);
	scratch_deinit(&out);
	compress_ctx_deinit(&ctx);
}

static void markers(void **state)
{
	int seen = 0;

	for (size_t i = 0; i < cases.n; i++) {
		const struct batch_case *c = &cases.v[i];
		uint8_t built[CONTROL_MARKER_LEN];
		struct control_marker marker;
		struct control_record control;
		struct batch_info b;
		struct record_iter it;
		struct record r;

		if (!str_eq_c(c->kind, "marker") && !str_eq_c(c->kind, "marker_with_delete_horizon"))
			continue;
		assert_int_equal(batch_check_header(c->bytes, BATCH_CHECK_CRC, &b), 0);
		assert_true(batch_is_control(&b));
		record_iter_init(&it, &b,
				 (struct bytes){c->bytes.p + BATCH_HEADER_LEN,
						c->bytes.len - BATCH_HEADER_LEN});
		assert_true(record_iter_next(&it, &r));
		assert_int_equal(control_parse(&r, &control), 0);
		assert_true(control.type == CONTROL_ABORT || control.type == CONTROL_COMMIT);
		seen++;
		if (batch_has_delete_horizon(&b))
			continue;
		marker = (struct control_marker){
			.offset = b.base_offset,
			.timestamp = b.max_timestamp,
			.producer_id = b.producer_id,
			.producer_epoch = b.producer_epoch,
			.leader_epoch = b.leader_epoch,
			.coordinator_epoch = control.coordinator_epoch,
			.commit = control.type == CONTROL_COMMIT,
		};
		control_marker_build(built, &marker);
		assert_bytes((struct bytes){built, sizeof(built)}, c->bytes);
	}
	assert_true(seen >= 20);
}

static void control_records(void **state)
{
	struct scratch out = {0};
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct batch_info info;
	struct bytes built;
	struct record_iter it;
	struct record r;
	struct control_record c;
	const uint8_t value[3] = {0, 1, 2};
	const uint8_t unknown[4] = {0, 0, 0, 9};

	spec.attributes = BATCH_CONTROL;
	assert_int_equal(batch_builder_init(&b, &spec, &out, NULL), 0);
	for (int t = CONTROL_LEADER_CHANGE; t <= CONTROL_KRAFT_VOTERS; t++)
		assert_int_equal(control_add(&b, 5, (enum control_type)t, (struct bytes){value, 3}), 0);
	assert_int_equal(batch_builder_finish(&b, &built), 0);
	assert_int_equal(batch_check_header(built, BATCH_CHECK_CRC, &info), 0);
	record_iter_init(&it, &info,
			 (struct bytes){built.p + BATCH_HEADER_LEN, built.len - BATCH_HEADER_LEN});
	for (int t = CONTROL_LEADER_CHANGE; t <= CONTROL_KRAFT_VOTERS; t++) {
		assert_true(record_iter_next(&it, &r));
		assert_int_equal(control_parse(&r, &c), 0);
		assert_int_equal(c.type, t);
		assert_bytes(c.value, (struct bytes){value, 3});
	}
	r.key = (struct bytes){unknown, 4};
	assert_int_equal(control_parse(&r, &c), 0);
	assert_int_equal(c.type, CONTROL_UNKNOWN);
	r.key.len = 3;
	assert_int_equal(control_parse(&r, &c), ERR_CORRUPT_MESSAGE);
	r.key = (struct bytes){(const uint8_t *)"\0\0\0\1", 4};
	assert_int_equal(control_parse(&r, &c), ERR_CORRUPT_MESSAGE);
	r.key = (struct bytes){(const uint8_t *)"\x80\0\0\4", 4};
	assert_int_equal(control_parse(&r, &c), ERR_CORRUPT_MESSAGE);
	scratch_deinit(&out);
}

/* What cannot be written is refused, and the batch can still be finished. */
static void builder_is_bounded(void **state)
{
	struct scratch out = {.max = 200};
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct batch_info info;
	struct bytes built;
	uint8_t value[50] = {0};
	struct record_fields f = {.value = {value, sizeof(value)}};
	int n = 0;

	assert_int_equal(batch_builder_init(&b, &spec, &out, NULL), 0);
	while (!batch_builder_add(&b, n, &f))
		n++;
	assert_int_equal(n, 2);
	assert_int_equal(batch_builder_len(&b), out.len);
	assert_int_equal(batch_builder_finish(&b, &built), 0);
	assert_int_equal(batch_check_header(built, BATCH_CHECK_CRC, &info), 0);
	assert_int_equal(info.records_n, 2);
	assert_int_equal(info.max_timestamp, 1);
	out.len = 0;
	out.max = 60;
	assert_int_equal(batch_builder_init(&b, &spec, &out, NULL), ERR_TOO_LARGE);
	f.value.len = (size_t)INT32_MAX + 1;
	assert_int_equal(record_size(0, 0, &f), 0);
	assert_int_equal(record_write(&out, 0, 0, &f), ERR_TOO_LARGE);
	f.value.len = 50;
	assert_int_equal(record_size(0, 0, &f), 57);
	scratch_deinit(&out);
}

/* What the cleaner leaves of a producer's last batch: neither codec nor delete horizon. */
static void emptied_batch(void **state)
{
	struct compress_ctx ctx = {0};
	struct scratch out = {0};
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct batch_info info;
	struct bytes built;

	spec.base_offset = 40;
	spec.codec = CODEC_ZSTD;
	spec.attributes = BATCH_DELETE_HORIZON | BATCH_TRANSACTIONAL;
	spec.delete_horizon = 4711;
	spec.append_time = 99;
	assert_int_equal(batch_builder_init(&b, &spec, &out, &ctx), 0);
	batch_builder_set_last_offset(&b, 44);
	assert_int_equal(batch_builder_finish(&b, &built), 0);
	assert_int_equal(built.len, BATCH_HEADER_LEN);
	assert_int_equal(batch_check_header(built, BATCH_CHECK_CRC, &info), 0);
	assert_int_equal(info.attributes, BATCH_TRANSACTIONAL);
	assert_int_equal(info.base_timestamp, NO_TIMESTAMP);
	assert_int_equal(info.max_timestamp, 99);
	assert_int_equal(info.last_offset, 44);
	assert_int_equal(info.records_n, 0);
	scratch_deinit(&out);
	compress_ctx_deinit(&ctx);
}

/* One body per rule: true when the record must be refused. */
static void malformed_records(void **state)
{
	static const struct {
		const char *hex;
		bool good;
		const char *what;
	} bodies[] = {
		{"000000026b027600", true, "key, value"},
		{"0000000301" "00", true, "length -2 is null, as in Kafka"},
		{"ff0000010100", true, "unused attributes"},
		{"", false, "no attributes"},
		{"00", false, "no timestamp"},
		{"00ffffffffffffffffffff00010100", false, "timestamp of eleven bytes"},
		{"00ffffffffffffffffff01000101" "00", true, "timestamp of ten bytes"},
		{"0000ffffffffff000101" "00", false, "offset delta of six bytes"},
		{"000000", false, "no key"},
		{"00000008616263", false, "key beyond the end"},
		{"00000001", false, "no value"},
		{"000000010461", false, "value beyond the end"},
		{"0000000101", false, "no header count"},
		{"000000010101", false, "negative header count"},
		{"000000010102", false, "one header announced, none there"},
		{"00000001010201" "01", false, "null header key"},
		{"0000000101020001", true, "empty header key, null value"},
		{"00000001010202ff01", true, "header key that is no UTF-8"},
		{"0000000101020200", false, "header key cut"},
		{"000000010102000400", false, "header value cut"},
		{"00000001010000", false, "a byte too many"},
		{"0000000101feffffff0f", false, "two billion headers"},
	};
	struct arena arena = {0};

	for (size_t i = 0; i < ARRAY_N(bodies); i++) {
		struct bytes body = bytes_of_hex(&arena, bodies[i].hex);
		struct record_shape shape;
		uint8_t whole[64];
		struct batch_info info = {.magic = 2, .records_n = 1};
		struct record_iter it;
		struct record r;

		if (record_shape_read(body.p, body.p + body.len, &shape) != bodies[i].good)
			fail_msg("%s", bodies[i].what);
		whole[0] = (uint8_t)(body.len * 2);
		memcpy(whole + 1, body.p, body.len);
		record_iter_init(&it, &info, (struct bytes){whole, body.len + 1});
		if (record_iter_next(&it, &r) != bodies[i].good)
			fail_msg("iterator: %s", bodies[i].what);
		assert_int_equal(it.err, bodies[i].good ? 0 : ERR_CORRUPT_MESSAGE);
		/* One byte less is never whole. */
		record_iter_init(&it, &info, (struct bytes){whole, body.len});
		assert_false(record_iter_next(&it, &r));
		assert_int_equal(it.err, ERR_CORRUPT_MESSAGE);
		/* One byte more is left over. */
		whole[body.len + 1] = 0;
		record_iter_init(&it, &info, (struct bytes){whole, body.len + 2});
		while (record_iter_next(&it, &r))
			;
		assert_int_equal(it.err, ERR_CORRUPT_MESSAGE);
	}
	arena_reset(&arena);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_records),
		cmocka_unit_test(golden_built_again),
		cmocka_unit_test(markers),
		cmocka_unit_test(control_records),
		cmocka_unit_test(emptied_batch),
		cmocka_unit_test(builder_is_bounded),
		cmocka_unit_test(malformed_records),
	};
	int failed;

	batch_cases_load(&cases, argc > 1 ? argv[1] : NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	batch_cases_free(&cases);
	return failed;
}
