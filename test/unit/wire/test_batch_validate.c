/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader's checks: each rule broken alone, in every codec; what is changed and what is not; packing anew;
 * damage of any kind never crashes. The expected answers are those of Kafka 4.3.1 to the same bytes, save
 * where batch_validate.h says otherwise. With --bench, prints how fast the checks are instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "batch_build.h"
#include "batch_cases.h"
#include "batch_validate.h"
#include "check.h"
#include "crc32c.h"
#include "fmt.h"
#include "mem.h"
#include "record.h"
#include "rng.h"

#define NOW INT64_C(1700000000000)
#define HOUR_MS INT64_C(3600000)

static struct compress_ctx ctx;
static struct batch_verdict verdict;
static struct batch_cases cases;

static const struct batch_rules rules_default = {
	.now_ms = NOW,
	.offset = 1000,
	.leader_epoch = 7,
	.timestamp_before_max_ms = INT64_MAX,
	.timestamp_after_max_ms = HOUR_MS,
	.keep_codec = true,
	.level = COMPRESS_LEVEL_DEFAULT,
};

static struct record_fields kv(const char *key, const char *value)
{
	return (struct record_fields){.key = str_bytes(str_of(key)), .value = str_bytes(str_of(value))};
}

/* A batch of two records at NOW, which a test then spoils. */
static void make_spec(struct scratch *out, const struct batch_spec *spec, int64_t t0, int64_t t1)
{
	struct record_header header = {STR("h"), str_bytes(STR("x"))};
	struct record_fields f = kv("k", "v");
	struct batch_builder b;
	struct bytes built;

	out->len = 0;
	assert_int_equal(batch_builder_init(&b, spec, out, &ctx), 0);
	assert_int_equal(batch_builder_add(&b, t0, &f), 0);
	f = kv("k2", "v2");
	f.headers = &header;
	f.headers_n = 1;
	assert_int_equal(batch_builder_add(&b, t1, &f), 0);
	assert_int_equal(batch_builder_finish(&b, &built), 0);
}

static void make(struct scratch *out, enum codec codec)
{
	struct batch_spec spec = BATCH_SPEC_INIT;

	spec.codec = codec;
	make_spec(out, &spec, NOW, NOW + 5);
}

/* A batch around raw record bytes. */
static void make_raw(struct scratch *out, enum codec codec, int32_t records_n, struct bytes raw)
{
	struct batch_info info = {
		.leader_epoch = -1,
		.attributes = (uint16_t)codec,
		.last_offset_delta = records_n - 1,
		.base_timestamp = NOW,
		.max_timestamp = NOW,
		.producer_id = -1,
		.producer_epoch = -1,
		.base_sequence = -1,
		.records_n = records_n,
	};

	out->len = 0;
	assert_int_equal(scratch_reserve(out, BATCH_HEADER_LEN), 0);
	out->len = BATCH_HEADER_LEN;
	assert_int_equal(codec_compress(&ctx, codec, COMPRESS_LEVEL_DEFAULT, raw, out), 0);
	info.size = out->len;
	batch_header_write(out->p, &info);
}

static enum err validate(struct scratch *s, const struct batch_rules *rules)
{
	/* An exact copy, so that the address checker sees a byte read too far. */
	uint8_t *p = bytes_dup(scratch_bytes(s));
	enum err err = batch_validate(p, s->len, rules, &ctx, &verdict);

	assert_non_null(verdict.why);
	if (err) {
		assert_memory_equal(p, s->p, s->len);
		assert_true(verdict.why[0]);
	} else {
		memcpy(s->p, p, s->len);
		if (!verdict.rebuilt)
			verdict.batch.bytes.p = s->p;
		assert_true(batch_crc_is_right(&verdict.batch));
		assert_int_equal(verdict.batch.base_offset, rules->offset);
		assert_int_equal(verdict.batch.leader_epoch, rules->leader_epoch);
		assert_int_equal(verdict.batch.max_timestamp, verdict.max_timestamp);
	}
	mem_free(p);
	return err;
}

static void good_batches_pass_in_place(void **state)
{
	struct scratch s = {0};
	struct batch_info before;

	for (int codec = 0; codec < CODEC_N; codec++) {
		make(&s, (enum codec)codec);
		assert_int_equal(batch_check_header(scratch_bytes(&s), 0, &before), 0);
		assert_int_equal(validate(&s, &rules_default), 0);
		assert_false(verdict.rebuilt);
		assert_int_equal(verdict.batch.last_offset, 1001);
		assert_int_equal(verdict.batch.crc, before.crc);
		assert_int_equal(verdict.max_timestamp, NOW + 5);
		assert_int_equal(verdict.max_timestamp_offset, 1001);
		assert_int_equal(verdict.append_time, NO_TIMESTAMP);
	}
	scratch_deinit(&s);
}

/* Changes one field of the header, checksum made right again. */
static enum err with_field(enum codec codec, size_t at, int size, uint64_t value)
{
	struct scratch s = {0};
	enum err err;

	make(&s, codec);
	if (size == 2)
		store_be16(s.p + at, (uint16_t)value);
	else if (size == 4)
		store_be32(s.p + at, (uint32_t)value);
	else
		store_be64(s.p + at, value);
	batch_set_crc(s.p);
	err = validate(&s, &rules_default);
	scratch_deinit(&s);
	return err;
}

static void header_rules(void **state)
{
	for (int i = 0; i < CODEC_N; i++) {
		enum codec codec = (enum codec)i;

		assert_int_equal(with_field(codec, BATCH_OFFSET_AT, 8, 7), ERR_INVALID_RECORD);
		assert_int_equal(with_field(codec, BATCH_LAST_OFFSET_DELTA_AT, 4, 5), ERR_INVALID_RECORD);
		assert_int_equal(with_field(codec, BATCH_LAST_OFFSET_DELTA_AT, 4, UINT32_MAX),
				 ERR_INVALID_RECORD);
		assert_int_equal(with_field(codec, BATCH_LAST_OFFSET_DELTA_AT, 4, INT32_MAX),
				 ERR_INVALID_RECORD);
		assert_int_equal(with_field(codec, BATCH_RECORDS_N_AT, 4, 0), ERR_INVALID_RECORD);
		assert_int_equal(with_field(codec, BATCH_RECORDS_N_AT, 4, UINT32_MAX), ERR_INVALID_RECORD);
		assert_int_equal(with_field(codec, BATCH_RECORDS_N_AT, 4, 3), ERR_INVALID_RECORD);
		assert_int_equal(with_field(codec, BATCH_ATTRIBUTES_AT, 2, codec | BATCH_CONTROL),
				 ERR_INVALID_RECORD);
		assert_int_equal(with_field(codec, BATCH_PRODUCER_ID_AT, 8, 1), ERR_INVALID_RECORD);
		/* A negative producer id is none, whichever. */
		assert_int_equal(with_field(codec, BATCH_PRODUCER_ID_AT, 8, (uint64_t)-5), 0);
		assert_int_equal(with_field(codec, BATCH_ATTRIBUTES_AT, 2, codec | BATCH_DELETE_HORIZON), 0);
		assert_int_equal(with_field(codec, BATCH_ATTRIBUTES_AT, 2, codec | 0xff00), 0);
		assert_int_equal(with_field(codec, BATCH_LEADER_EPOCH_AT, 4, 99), 0);
	}
	for (uint64_t codec = 5; codec < 8; codec++)
		assert_int_equal(with_field(CODEC_NONE, BATCH_ATTRIBUTES_AT, 2, codec),
				 ERR_UNSUPPORTED_COMPRESSION_TYPE);
}

static void producer_fields(void **state)
{
	struct scratch s = {0};
	struct batch_spec spec = BATCH_SPEC_INIT;

	spec.producer_id = 5;
	spec.base_sequence = 3;
	make_spec(&s, &spec, NOW, NOW);
	assert_int_equal(validate(&s, &rules_default), ERR_INVALID_RECORD); /* no epoch */
	spec.producer_epoch = 0;
	make_spec(&s, &spec, NOW, NOW);
	assert_int_equal(validate(&s, &rules_default), 0);
	assert_int_equal(batch_last_sequence(&verdict.batch), 4);
	spec.base_sequence = -1;
	make_spec(&s, &spec, NOW, NOW);
	assert_int_equal(validate(&s, &rules_default), ERR_INVALID_RECORD);
	spec.producer_id = -1; /* a sequence without a producer is nobody's */
	spec.base_sequence = 3;
	make_spec(&s, &spec, NOW, NOW);
	assert_int_equal(validate(&s, &rules_default), 0);
	scratch_deinit(&s);
}

static void frame_rules(void **state)
{
	struct scratch s = {0};
	struct batch_rules rules = rules_default;
	size_t len;

	make(&s, CODEC_NONE);
	len = s.len;
	for (size_t cut = 0; cut < len; cut++) {
		s.len = cut;
		assert_int_equal(validate(&s, &rules), ERR_INVALID_RECORD);
	}
	/* Part of another batch behind is cut off; a whole one, or bytes that are none, are refused. */
	s.len = len;
	assert_int_equal(scratch_append(&s, "abc", 3), 0);
	assert_int_equal(validate(&s, &rules), 0);
	assert_int_equal(verdict.batch.size, len);
	assert_int_equal(verdict.batch.bytes.len, len);
	make(&s, CODEC_NONE);
	assert_int_equal(scratch_reserve(&s, len), 0);
	memcpy(s.p + len, s.p, len);
	s.len = 2 * len - 1;
	assert_int_equal(validate(&s, &rules), 0);
	make(&s, CODEC_NONE);
	assert_int_equal(scratch_reserve(&s, len), 0);
	memcpy(s.p + len, s.p, len);
	s.len = 2 * len;
	assert_int_equal(validate(&s, &rules), ERR_INVALID_RECORD);
	s.p[len + BATCH_MAGIC_AT] = 9;
	assert_int_equal(validate(&s, &rules), ERR_CORRUPT_MESSAGE);
	/* Sizes and formats. */
	static const int32_t lengths[] = {-1, 0, 5, 13, INT32_MIN, 48};
	for (size_t i = 0; i < ARRAY_N(lengths); i++) {
		make(&s, CODEC_NONE);
		store_be32(s.p + BATCH_LENGTH_AT, (uint32_t)lengths[i]);
		assert_int_equal(validate(&s, &rules), ERR_CORRUPT_MESSAGE);
	}
	make(&s, CODEC_NONE);
	store_be32(s.p + BATCH_LENGTH_AT, INT32_MAX);
	assert_int_equal(validate(&s, &rules), ERR_INVALID_RECORD);
	static const uint8_t formats[] = {0, 1, 3, 255};
	for (size_t i = 0; i < ARRAY_N(formats); i++) {
		make(&s, CODEC_NONE);
		s.p[BATCH_MAGIC_AT] = formats[i];
		assert_int_equal(validate(&s, &rules),
				 formats[i] < 2 ? ERR_INVALID_RECORD : ERR_CORRUPT_MESSAGE);
	}
	/* The checksum, and the size limit before it. */
	make(&s, CODEC_NONE);
	s.p[len - 1] ^= 1;
	assert_int_equal(validate(&s, &rules), ERR_CORRUPT_MESSAGE);
	rules.size_max = len - 1;
	assert_int_equal(validate(&s, &rules), ERR_MESSAGE_TOO_LARGE);
	rules.size_max = len;
	make(&s, CODEC_NONE);
	assert_int_equal(validate(&s, &rules), 0);
	scratch_deinit(&s);
}

static void record_rules(void **state)
{
	static const struct {
		const char *hex;
		int32_t n;
		bool good;
	} all[] = {
		{"0c0000000101" "00", 1, true},
		{"0c0100000101" "00", 1, true},           /* record attributes */
		{"0c000000030100", 1, true},              /* key length -2 is null */
		{"1200000001010202ff01", 1, true},        /* header key that is no UTF-8 */
		{"0c00000001010000", 1, false},           /* a byte left over */
		{"0c0000000101000c0000020101" "00", 1, false}, /* a record left over */
		{"0c0000000101000c0000020101" "00", 2, true},
		{"0c0000000101000c0000040101" "00", 2, false}, /* offset deltas 0, 2 */
		{"0c0000020101000c0000000101" "00", 2, false}, /* 1, 0 */
		{"0c0000000101000c0000000101" "00", 2, false}, /* 0, 0 */
		{"0c0000000101000c0000090101" "00", 2, false}, /* 0, -5 */
		{"0c0000000101000c0000020101" "00", 3, false}, /* one too few */
		{"0c00000001010", 1, false},
		{"10000000010102" "0101", 1, false},      /* null header key */
		{"0c00000001" "0101", 1, false},          /* header count -1 */
		{"1200000001010000" "7a7a", 1, false},    /* body longer than its parts */
		{"0c0000006401" "00", 1, false},          /* key beyond the record */
		{"00", 1, false},                         /* empty record */
		{"01", 1, false},                         /* length -1 */
		{"ffffffffffff00", 1, false},             /* length of six bytes */
		{"ff", 1, false},
	};
	struct arena arena = {0};
	struct scratch s = {0};

	for (size_t i = 0; i < ARRAY_N(all); i++) {
		for (int codec = 0; codec < CODEC_N; codec++) {
			struct batch_rules rules = rules_default;
			struct bytes raw = bytes_of_hex(&arena, all[i].hex);
			enum err want = all[i].good ? ERR_NONE : ERR_INVALID_RECORD;

			make_raw(&s, (enum codec)codec, all[i].n, raw);
			if (validate(&s, &rules) != want)
				fail_msg("%s, codec %d", all[i].hex, codec);
			/* The same through packing anew. */
			rules.keep_codec = false;
			rules.codec = codec == CODEC_LZ4 ? CODEC_NONE : CODEC_LZ4;
			make_raw(&s, (enum codec)codec, all[i].n, raw);
			if (validate(&s, &rules) != want)
				fail_msg("%s, codec %d, packed anew", all[i].hex, codec);
			assert_true(verdict.rebuilt == all[i].good);
		}
	}
	scratch_deinit(&s);
	arena_reset(&arena);
}

/* Packed bytes that are no stream, or more than one: the checksum is right, so it is the client's mistake. */
static void broken_codecs(void **state)
{
	struct scratch s = {0};

	for (int codec = CODEC_GZIP; codec < CODEC_N; codec++) {
		for (int what = 0; what < 4; what++) {
			struct batch_info info;

			make(&s, (enum codec)codec);
			assert_int_equal(batch_check_header(scratch_bytes(&s), 0, &info), 0);
			if (what == 0)
				info.size = s.len = BATCH_HEADER_LEN; /* nothing */
			else if (what == 1)
				info.size = s.len = s.len - 3; /* cut */
			else if (what == 2)
				memset(s.p + BATCH_HEADER_LEN, 0xf0, s.len - BATCH_HEADER_LEN);
			else if (!scratch_append(&s, "abc", 3))
				info.size = s.len;
			batch_header_write(s.p, &info);
			assert_int_equal(validate(&s, &rules_default), ERR_INVALID_RECORD);
		}
	}
	scratch_deinit(&s);
}

static void keys_on_compacted_topics(void **state)
{
	struct scratch s = {0};
	struct batch_rules rules = rules_default;

	rules.compacted = true;
	for (int codec = 0; codec < CODEC_N; codec++) {
		struct batch_spec spec = BATCH_SPEC_INIT;
		struct batch_builder b;
		struct bytes built;

		make(&s, (enum codec)codec);
		assert_int_equal(validate(&s, &rules), 0);
		spec.codec = (enum codec)codec;
		s.len = 0;
		assert_int_equal(batch_builder_init(&b, &spec, &s, &ctx), 0);
		for (int i = 0; i < RECORD_ERRORS_MAX + 10; i++) {
			struct record_fields f = kv(i == 1 ? "" : NULL, "v");

			assert_int_equal(batch_builder_add(&b, NOW, &f), 0);
		}
		assert_int_equal(batch_builder_finish(&b, &built), 0);
		assert_int_equal(validate(&s, &rules), ERR_INVALID_RECORD);
		assert_int_equal(verdict.errors_n, RECORD_ERRORS_MAX + 9);
		assert_int_equal(verdict.errors[0].index, 0);
		assert_int_equal(verdict.errors[1].index, 2);
		assert_int_equal(verdict.errors[1].fault, RECORD_NO_KEY);
		assert_int_equal(verdict.errors[RECORD_ERRORS_MAX - 1].index, RECORD_ERRORS_MAX);
		rules.compacted = false;
		assert_int_equal(validate(&s, &rules), 0);
		rules.compacted = true;
	}
	scratch_deinit(&s);
}

static enum err at_times(int64_t t0, int64_t t1, const struct batch_rules *rules)
{
	struct scratch s = {0};
	struct batch_spec spec = BATCH_SPEC_INIT;
	enum err err;

	make_spec(&s, &spec, t0, t1);
	err = validate(&s, rules);
	scratch_deinit(&s);
	return err;
}

static void timestamp_window(void **state)
{
	struct batch_rules rules = rules_default;
	char text[200];
	struct fmt f;

	rules.timestamp_before_max_ms = 1000;
	rules.timestamp_after_max_ms = 50;
	assert_int_equal(at_times(NOW - 1000, NOW + 50, &rules), 0);
	assert_int_equal(at_times(NOW - 1001, NOW + 50, &rules), ERR_INVALID_TIMESTAMP);
	assert_int_equal(verdict.errors_n, 1);
	assert_int_equal(verdict.errors[0].index, 0);
	assert_int_equal(verdict.errors[0].timestamp, NOW - 1001);
	fmt_init(&f, text, sizeof(text));
	record_error_format(&f, &verdict.errors[0], &rules, STR("t-0"));
	assert_string_equal(text, "Timestamp 1699999998999 of message with offset 0 is out of range. "
				  "The timestamp should be within [1699999999000, 1700000000050]");
	assert_int_equal(at_times(NOW, NOW + 51, &rules), ERR_INVALID_TIMESTAMP);
	assert_int_equal(verdict.errors[0].index, 1);
	assert_int_equal(at_times(NO_TIMESTAMP, NO_TIMESTAMP, &rules), 0);
	assert_int_equal(verdict.max_timestamp, NO_TIMESTAMP);
	assert_int_equal(verdict.max_timestamp_offset, -1);
	assert_int_equal(at_times(-5, NOW, &rules), ERR_INVALID_TIMESTAMP);
	assert_int_equal(at_times(INT64_MIN, INT64_MAX, &rules), ERR_INVALID_TIMESTAMP);
	assert_int_equal(verdict.errors_n, 2);
	/* No limit backwards. */
	rules.timestamp_before_max_ms = INT64_MAX;
	assert_int_equal(at_times(0, NOW, &rules), 0);
	assert_int_equal(at_times(-5, NOW, &rules), 0);
	rules.timestamp_after_max_ms = INT64_MAX;
	assert_int_equal(at_times(0, INT64_MAX, &rules), 0);
	/* Both kinds of error: the timestamp names the answer; one error a record. */
	rules = rules_default;
	rules.compacted = true;
	struct scratch s = {0};
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct bytes built;
	struct record_fields no_key = kv(NULL, "v");
	struct record_fields key = kv("k", "v");

	assert_int_equal(batch_builder_init(&b, &spec, &s, &ctx), 0);
	assert_int_equal(batch_builder_add(&b, NOW + 2 * HOUR_MS, &no_key), 0);
	assert_int_equal(batch_builder_add(&b, NOW + 2 * HOUR_MS, &key), 0);
	assert_int_equal(batch_builder_finish(&b, &built), 0);
	assert_int_equal(validate(&s, &rules), ERR_INVALID_TIMESTAMP);
	assert_int_equal(verdict.errors_n, 2);
	assert_int_equal(verdict.errors[0].fault, RECORD_NO_KEY);
	assert_int_equal(verdict.errors[1].fault, RECORD_TIMESTAMP);
	scratch_deinit(&s);
}

static void wrong_max_timestamp_is_mended(void **state)
{
	struct scratch s = {0};

	for (int codec = 0; codec < CODEC_N; codec++) {
		make(&s, (enum codec)codec);
		batch_set_max_timestamp(s.p, false, NOW + 12345);
		assert_int_equal(validate(&s, &rules_default), 0);
		assert_int_equal(verdict.batch.max_timestamp, NOW + 5);
	}
	scratch_deinit(&s);
}

static void log_append_time(void **state)
{
	struct scratch s = {0};
	struct batch_rules rules = rules_default;

	rules.log_append_time = true;
	for (int codec = 0; codec < CODEC_N; codec++) {
		/* Own times are not looked at, and stay in the records. */
		struct batch_spec spec = BATCH_SPEC_INIT;

		spec.codec = (enum codec)codec;
		make_spec(&s, &spec, -7, NOW + 9 * HOUR_MS);
		assert_int_equal(validate(&s, &rules), 0);
		assert_false(verdict.rebuilt);
		assert_true(batch_is_log_append_time(&verdict.batch));
		assert_int_equal(batch_codec(&verdict.batch), codec);
		assert_int_equal(verdict.max_timestamp, NOW);
		assert_int_equal(verdict.append_time, NOW);
		assert_int_equal(verdict.batch.base_timestamp, -7);
		/* Only a leader says log append time. */
		make(&s, (enum codec)codec);
		batch_set_attributes(s.p, (uint16_t)(codec | BATCH_LOG_APPEND_TIME));
		assert_int_equal(validate(&s, &rules), ERR_INVALID_TIMESTAMP);
		assert_int_equal(verdict.errors[0].fault, RECORD_TIMESTAMP_TYPE);
		/* With create time the bit is taken away when the batch's time passes, as in Kafka. */
		assert_int_equal(validate(&s, &rules_default), 0);
		assert_false(batch_is_log_append_time(&verdict.batch));
		assert_int_equal(verdict.max_timestamp, NOW + 5);
		make(&s, (enum codec)codec);
		batch_set_max_timestamp(s.p, true, NO_TIMESTAMP);
		assert_int_equal(validate(&s, &rules_default), ERR_INVALID_TIMESTAMP);
	}
	scratch_deinit(&s);
}

/* Every codec into every other: same records, header as it must be. */
static void packed_anew(void **state)
{
	struct scratch s = {0};
	struct scratch into = {0};

	for (int from = 0; from < CODEC_N; from++) {
		for (int to = 0; to < CODEC_N; to++) {
			struct batch_rules rules = rules_default;
			struct batch_spec spec = BATCH_SPEC_INIT;
			struct record_iter it;
			struct record r;
			struct bytes payload;

			rules.keep_codec = false;
			rules.codec = (enum codec)to;
			rules.log_append_time = to & 1;
			spec.codec = (enum codec)from;
			spec.producer_id = 9;
			spec.producer_epoch = 2;
			spec.base_sequence = INT32_MAX;
			spec.attributes = BATCH_TRANSACTIONAL;
			make_spec(&s, &spec, NOW, NOW - 3);
			assert_int_equal(validate(&s, &rules), 0);
			assert_true(verdict.rebuilt == (from != to));
			assert_int_equal(batch_codec(&verdict.batch), to);
			assert_true(batch_is_transactional(&verdict.batch));
			assert_int_equal(batch_is_log_append_time(&verdict.batch), to & 1);
			assert_int_equal(verdict.batch.producer_id, 9);
			assert_int_equal(batch_last_sequence(&verdict.batch), 0);
			assert_int_equal(verdict.max_timestamp_offset, 1000);
			into.len = 0;
			assert_int_equal(batch_payload(&verdict.batch, &ctx, &into, &payload), 0);
			record_iter_init(&it, &verdict.batch, payload);
			assert_true(record_iter_next(&it, &r));
			assert_int_equal(r.offset, 1000);
			assert_int_equal(r.timestamp, NOW);
			assert_true(record_iter_next(&it, &r));
			assert_int_equal(r.timestamp, to & 1 ? NOW : NOW - 3);
			assert_true(str_eq(bytes_str(r.key), STR("k2")));
			assert_int_equal(r.headers_n, 1);
			assert_false(record_iter_next(&it, &r));
			assert_int_equal(it.err, 0);
			/* The limit counts afterwards too. */
			make_spec(&s, &spec, NOW, NOW - 3);
			rules.size_max = MAX(s.len, verdict.batch.size) - 1;
			if (from != to && verdict.batch.size > s.len)
				assert_int_equal(validate(&s, &rules), ERR_MESSAGE_TOO_LARGE);
		}
	}
	scratch_deinit(&s);
	scratch_deinit(&into);
}

/* Records larger than the window, and many small ones across its edges. */
static void large_records(void **state)
{
	struct scratch s = {0};
	uint8_t *value = mem_calloc(1, 300000);
	struct rng rng;

	rng_init(&rng, 11);
	for (int codec = 0; codec < CODEC_N; codec++) {
		struct batch_spec spec = BATCH_SPEC_INIT;
		struct batch_builder b;
		struct bytes built;

		spec.codec = (enum codec)codec;
		s.len = 0;
		assert_int_equal(batch_builder_init(&b, &spec, &s, &ctx), 0);
		for (int i = 0; i < 400; i++) {
			struct record_fields f = {.value = {value,
							    i % 100 == 99 ? 300000 : (size_t)rng_below(&rng,
												       2000)}};

			assert_int_equal(batch_builder_add(&b, NOW + i, &f), 0);
		}
		assert_int_equal(batch_builder_finish(&b, &built), 0);
		assert_int_equal(validate(&s, &rules_default), 0);
		assert_int_equal(verdict.max_timestamp_offset, 1399);
		assert_true(ctx.window.cap <= (size_t)1 << 20);
	}
	mem_free(value);
	scratch_deinit(&s);
}

static void bombs(void **state)
{
	size_t len = (size_t)40 << 20;
	uint8_t *zeros = mem_calloc(1, len);
	struct batch_rules rules = rules_default;
	struct scratch s = {0};

	/* One record that claims two gigabytes, of which 40 MB come out of a few kilobytes. */
	memcpy(zeros, "\xfe\xff\xff\xff\x0f\0\0\0\1", 9);
	make_raw(&s, CODEC_ZSTD, 1, (struct bytes){zeros, len});
	assert_true(s.len < 20000);
	assert_int_equal(validate(&s, &rules), ERR_MESSAGE_TOO_LARGE);
	assert_true(ctx.window.cap <= (size_t)64 << 20);
	rules.keep_codec = false;
	assert_int_equal(validate(&s, &rules), ERR_MESSAGE_TOO_LARGE);
	/* Two billion announced, none there. */
	make_raw(&s, CODEC_NONE, INT32_MAX, (struct bytes){zeros, 5});
	assert_int_equal(validate(&s, &rules_default), ERR_INVALID_RECORD);
	compress_ctx_trim(&ctx, 1 << 20);
	mem_free(zeros);
	scratch_deinit(&s);
}

/*
 * Golden batches, damaged at random with the checksum made right: any answer but a crash, and what is accepted
 * can be read.
 */
static void damage(void **state)
{
	struct scratch into = {0};
	struct rng rng;
	int accepted = 0;
	int refused = 0;

	rng_init(&rng, 20240607);
	for (int round = 0; round < 30000; round++) {
		const struct batch_case *c = &cases.v[rng_below(&rng, cases.n)];
		struct batch_rules rules = rules_default;
		size_t len = c->bytes.len;
		uint8_t *p;
		enum err err;

		if (c->bytes.len > 3000 || c->batches[0].info.magic != 2)
			continue;
		p = bytes_dup(c->bytes);
		for (uint64_t n = rng_below(&rng, 4); n > 0; n--) {
			size_t at = (size_t)rng_below(&rng, len);

			if (at < BATCH_LEADER_EPOCH_AT || at == BATCH_MAGIC_AT)
				continue;
			p[at] ^= (uint8_t)(rng_chance(&rng, 1, 2) ? rng_u64(&rng) : 1u << rng_below(&rng, 8));
		}
		batch_set_base_offset(p, 0);
		if (rng_chance(&rng, 1, 8)) {
			len = BATCH_HEADER_LEN + (size_t)rng_below(&rng, len - BATCH_HEADER_LEN + 1);
			store_be32(p + BATCH_LENGTH_AT, (uint32_t)(len - BATCH_PREFIX_LEN));
		}
		batch_set_crc(p);
		rules.keep_codec = rng_chance(&rng, 1, 2);
		rules.codec = (enum codec)rng_below(&rng, CODEC_N);
		rules.log_append_time = rng_chance(&rng, 1, 4);
		rules.compacted = rng_chance(&rng, 1, 4);
		err = batch_validate(p, len, &rules, &ctx, &verdict);
		if (!err) {
			struct record_iter it;
			struct record r;
			struct bytes payload;
			int64_t offset = rules.offset;

			accepted++;
			into.len = 0;
			assert_int_equal(batch_payload(&verdict.batch, &ctx, &into, &payload), 0);
			record_iter_init(&it, &verdict.batch, payload);
			while (record_iter_next(&it, &r))
				assert_int_equal(r.offset, offset++);
			assert_int_equal(it.err, 0);
			assert_int_equal(offset, verdict.batch.last_offset + 1);
		} else {
			refused++;
		}
		mem_free(p);
	}
	assert_true(accepted > 1000);
	assert_true(refused > 1000);
	scratch_deinit(&into);
}

static void bench_one(enum codec codec, size_t value_len, int records_n)
{
	struct scratch s = {0};
	struct batch_spec spec = BATCH_SPEC_INIT;
	uint8_t *value = mem_calloc(1, value_len);
	struct record_fields f = {.value = {value, value_len}};
	struct batch_builder b;
	struct bytes built;
	struct rng rng;
	struct timespec t0;
	struct timespec t1;
	size_t plain;
	int rounds = 0;
	double best = 1e9;
	double crc_best = 1e9;
	uint32_t crc = 0;

	rng_init(&rng, 1);
	for (size_t i = 0; i < value_len; i++)
		value[i] = (uint8_t)('a' + rng_below(&rng, 16));
	spec.codec = codec;
	CHECK(!batch_builder_init(&b, &spec, &s, &ctx));
	for (int i = 0; i < records_n; i++)
		CHECK(!batch_builder_add(&b, NOW + i / 10, &f));
	plain = batch_builder_len(&b);
	CHECK(!batch_builder_finish(&b, &built));
	for (int turn = 0; turn < 20; turn++) {
		int n = (int)(((size_t)20 << 20) / plain) + 1;

		clock_gettime(CLOCK_MONOTONIC, &t0);
		for (int i = 0; i < n; i++) {
			batch_set_base_offset(s.p, 0);
			CHECK(!batch_validate(s.p, s.len, &rules_default, &ctx, &verdict));
		}
		clock_gettime(CLOCK_MONOTONIC, &t1);
		best = MIN(best, (double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec));
		clock_gettime(CLOCK_MONOTONIC, &t0);
		for (int i = 0; i < n; i++)
			crc += crc32c(crc, s.p + 21, s.len - 21);
		clock_gettime(CLOCK_MONOTONIC, &t1);
		crc_best = MIN(crc_best,
			       (double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec));
		rounds = n;
	}
	printf("%-6s %5zu B x %5d: %6.2f GB/s, %6.1f ns per record; checksum alone %6.1f ns (%x)\n",
	       codec_name(codec), value_len, records_n, (double)plain * rounds / best,
	       best / rounds / records_n,
	       crc_best / rounds / records_n, crc & 1);
	mem_free(value);
	scratch_deinit(&s);
}

static void bench(void)
{
	for (int codec = 0; codec < CODEC_N; codec++) {
		bench_one((enum codec)codec, 10, 1000);
		bench_one((enum codec)codec, 100, 150);
		bench_one((enum codec)codec, 1024, 16);
		bench_one((enum codec)codec, 1024, 128);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_batches_pass_in_place),
		cmocka_unit_test(header_rules),
		cmocka_unit_test(producer_fields),
		cmocka_unit_test(frame_rules),
		cmocka_unit_test(record_rules),
		cmocka_unit_test(broken_codecs),
		cmocka_unit_test(keys_on_compacted_topics),
		cmocka_unit_test(timestamp_window),
		cmocka_unit_test(wrong_max_timestamp_is_mended),
		cmocka_unit_test(log_append_time),
		cmocka_unit_test(packed_anew),
		cmocka_unit_test(large_records),
		cmocka_unit_test(bombs),
		cmocka_unit_test(damage),
	};
	int failed = 0;

	if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
		bench();
	} else {
		batch_cases_load(&cases, argc > 1 ? argv[1] : NULL);
		failed = cmocka_run_group_tests(tests, NULL, NULL);
		batch_cases_free(&cases);
	}
	compress_ctx_deinit(&ctx);
	return failed;
}
