/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of batches: every golden batch, the iterator at every cut, changes in place, broken headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "batch.h"
#include "batch_build.h"
#include "batch_cases.h"
#include "crc32c.h"
#include "mem.h"

static struct batch_cases cases;

static void assert_info(const struct batch_info *got, const struct batch_info *want)
{
	assert_int_equal(got->magic, want->magic);
	assert_int_equal(got->size, want->size);
	assert_int_equal(got->base_offset, want->base_offset);
	assert_int_equal(got->last_offset, want->last_offset);
	assert_int_equal(got->leader_epoch, want->leader_epoch);
	assert_int_equal(got->crc, want->crc);
	assert_int_equal(got->attributes, want->attributes);
	assert_int_equal(got->last_offset_delta, want->last_offset_delta);
	assert_int_equal(got->base_timestamp, want->base_timestamp);
	assert_int_equal(got->max_timestamp, want->max_timestamp);
	assert_int_equal(got->producer_id, want->producer_id);
	assert_int_equal(got->producer_epoch, want->producer_epoch);
	assert_int_equal(got->base_sequence, want->base_sequence);
	assert_int_equal(got->records_n, want->records_n);
}

static void golden_headers(void **state)
{
	for (size_t i = 0; i < cases.n; i++) {
		const struct batch_case *c = &cases.v[i];
		struct batch_iter it = batch_iter_of(c->bytes, BATCH_CHECK_CRC);
		struct batch_info b;
		int32_t n = 0;

		while (batch_iter_next(&it, &b)) {
			assert_true(n < c->batches_n);
			assert_info(&b, &c->batches[n++].info);
			if (b.records_n) /* the cleaner drops the codec with the last record */
				assert_int_equal(batch_codec(&b), c->codec);
		}
		assert_int_equal(it.err, ERR_NONE);
		assert_int_equal(it.left, 0);
		assert_int_equal(it.pos, c->bytes.len);
		assert_int_equal(n, c->batches_n);
	}
	assert_true(cases.n >= 400);
}

/* At every cut of a range the iterator yields the whole batches and says what is left. */
static void iterate_cut_ranges(void **state)
{
	struct scratch all = {0};
	size_t ends[16];
	size_t n = 0;

	for (size_t i = 0; i < cases.n && n < 12; i++) {
		if (cases.v[i].seed != 2 || cases.v[i].bytes.len > 400 || cases.v[i].batches_n != 1)
			continue;
		assert_int_equal(scratch_append(&all, cases.v[i].bytes.p, cases.v[i].bytes.len), 0);
		ends[n++] = all.len;
	}
	assert_true(n >= 3);
	for (size_t cut = 0; cut <= all.len; cut++) {
		struct batch_iter it = batch_iter_of((struct bytes){all.p, cut}, BATCH_CHECK_CRC);
		struct batch_info b;
		size_t got = 0;
		size_t whole = 0;

		while (whole < n && ends[whole] <= cut)
			whole++;
		while (batch_iter_next(&it, &b))
			got++;
		assert_int_equal(it.err, ERR_NONE);
		assert_int_equal(got, whole);
		assert_int_equal(it.pos, whole ? ends[whole - 1] : 0);
		assert_int_equal(it.left, cut - it.pos);
		if (it.left >= BATCH_PREFIX_LEN)
			assert_int_equal(it.need, ends[whole] - it.pos);
		else
			assert_int_equal(it.need, 0);
		assert_false(batch_iter_next(&it, &b));
	}
	/* A flipped bit in the middle stops the walk there. */
	all.p[ends[0] + 40] ^= 1;
	struct batch_iter it = batch_iter_of(scratch_bytes(&all), BATCH_CHECK_CRC);
	struct batch_info b;

	assert_true(batch_iter_next(&it, &b));
	assert_false(batch_iter_next(&it, &b));
	assert_int_equal(it.err, ERR_CORRUPT_MESSAGE);
	assert_int_equal(it.pos, ends[0]);
	scratch_deinit(&all);
}

static void parse_needs_the_header_only(void **state)
{
	for (size_t i = 0; i < cases.n; i++) {
		const struct batch_case *c = &cases.v[i];
		size_t header = c->batches[0].info.magic == 2   ? BATCH_HEADER_LEN
				: c->batches[0].info.magic == 1 ? 26
								: 18;
		struct batch_info b;

		assert_int_equal(batch_parse((struct bytes){c->bytes.p, header}, &b), ERR_NONE);
		assert_info(&b, &c->batches[0].info);
		assert_int_equal(b.bytes.len, header);
		assert_int_equal(batch_parse((struct bytes){c->bytes.p, header - 1}, &b), ERR_WOULD_BLOCK);
		assert_int_equal(batch_check_header((struct bytes){c->bytes.p, b.size - 1}, 0, &b),
				 ERR_CORRUPT_MESSAGE);
	}
}

/* A plain batch of the golden ones, as memory of ours. */
static uint8_t *a_batch(size_t *ret_len)
{
	for (size_t i = 0; i < cases.n; i++) {
		if (str_eq_c(cases.v[i].kind, "transactional") && cases.v[i].seed == 3 &&
		    cases.v[i].codec == CODEC_NONE) {
			*ret_len = cases.v[i].bytes.len;
			return bytes_dup(cases.v[i].bytes);
		}
	}
	fail();
	return NULL;
}

static void parse_refuses(void **state)
{
	size_t len;
	uint8_t *p = a_batch(&len);
	struct batch_info b;
	struct {
		size_t at;
		uint32_t value;
		int size;
	} bad[] = {
		{BATCH_LENGTH_AT, 0, 4},
		{BATCH_LENGTH_AT, 48, 4}, /* 60 bytes */
		{BATCH_LENGTH_AT, UINT32_MAX, 4},
		{BATCH_LENGTH_AT, INT32_MAX, 4},
		{BATCH_LENGTH_AT, 0x80000000u, 4},
		{BATCH_MAGIC_AT, 3, 1},
		{BATCH_MAGIC_AT, 255, 1},
		{BATCH_LAST_OFFSET_DELTA_AT, UINT32_MAX, 4},
		{BATCH_RECORDS_N_AT, UINT32_MAX, 4},
	};

	for (size_t i = 0; i < ARRAY_N(bad); i++) {
		uint8_t saved[4];

		memcpy(saved, p + bad[i].at, 4);
		if (bad[i].size == 4)
			store_be32(p + bad[i].at, bad[i].value);
		else
			p[bad[i].at] = (uint8_t)bad[i].value;
		assert_int_equal(batch_parse((struct bytes){p, len}, &b), ERR_CORRUPT_MESSAGE);
		memcpy(p + bad[i].at, saved, 4);
	}
	/* The last offset must fit. */
	store_be64(p, INT64_MAX);
	store_be32(p + BATCH_LAST_OFFSET_DELTA_AT, 1);
	assert_int_equal(batch_parse((struct bytes){p, len}, &b), ERR_CORRUPT_MESSAGE);
	mem_free(p);
}

static void offsets_and_epochs_are_outside_the_checksum(void **state)
{
	size_t len;
	uint8_t *p = a_batch(&len);
	struct batch_info before;
	struct batch_info b;

	assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &before), 0);
	batch_set_base_offset(p, INT64_C(0x123456789abc));
	batch_set_leader_epoch(p, 77);
	assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &b), 0);
	assert_int_equal(b.base_offset, INT64_C(0x123456789abc));
	assert_int_equal(b.leader_epoch, 77);
	assert_int_equal(b.crc, before.crc);
	mem_free(p);
}

static void timestamps_change_the_checksum_only_when_they_change(void **state)
{
	size_t len;
	uint8_t *p = a_batch(&len);
	uint8_t *copy = bytes_dup((struct bytes){p, len});
	struct batch_info b;

	assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &b), 0);
	assert_false(batch_set_max_timestamp(p, batch_is_log_append_time(&b), b.max_timestamp));
	assert_false(batch_set_attributes(p, b.attributes));
	assert_memory_equal(p, copy, len);
	assert_true(batch_set_max_timestamp(p, true, 4711));
	assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &b), 0);
	assert_int_equal(b.max_timestamp, 4711);
	assert_true(batch_is_log_append_time(&b));
	assert_true(batch_is_transactional(&b));
	assert_true(batch_set_attributes(p, 0));
	assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &b), 0);
	assert_int_equal(b.attributes, 0);
	p[len - 1] ^= 0x10;
	assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &b),
			 ERR_CORRUPT_MESSAGE);
	assert_int_equal(batch_check_header((struct bytes){p, len}, 0, &b), 0);
	mem_free(p);
	mem_free(copy);
}

static void sequences_wrap(void **state)
{
	assert_int_equal(sequence_add(5, 3), 8);
	assert_int_equal(sequence_add(INT32_MAX, 1), 0);
	assert_int_equal(sequence_add(INT32_MAX - 1, 3), 1);
	assert_int_equal(sequence_add(NO_SEQUENCE, 3), NO_SEQUENCE);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_headers),
		cmocka_unit_test(iterate_cut_ranges),
		cmocka_unit_test(parse_needs_the_header_only),
		cmocka_unit_test(parse_refuses),
		cmocka_unit_test(offsets_and_epochs_are_outside_the_checksum),
		cmocka_unit_test(timestamps_change_the_checksum_only_when_they_change),
		cmocka_unit_test(sequences_wrap),
	};
	int failed;

	batch_cases_load(&cases, argc > 1 ? argv[1] : NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	batch_cases_free(&cases);
	return failed;
}
