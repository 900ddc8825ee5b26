/* SPDX-License-Identifier: Apache-2.0 */
/* The look at files: a right directory passes, each kind of damage is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "batch_build.h"
#include "check_files.h"
#include "toy_body.h"

#define STEM "/data/t-0/00000000000000000000"
#define BATCHES 4

struct bench {
	struct world *w;
	struct history h;
	struct sim_disk *d;
	struct scratch log;
	size_t pos[BATCHES]; /* of the batches, two records each */
};

static void put(struct bench *b, const char *path, const void *p, size_t len)
{
	struct fs *fs = disk_fs(b->d);
	fs_file file;

	assert_int_equal(fs_open(fs, path, FS_WRITE | FS_CREATE | FS_TRUNCATE, &file), ERR_NONE);
	assert_int_equal(fs_pwrite_all(fs, file, p, len, 0), ERR_NONE);
	fs_close(fs, file);
}

static void put_indexes(struct bench *b, uint32_t offset, size_t pos, uint64_t timestamp)
{
	uint8_t index[16], timeindex[12];

	store_be32(index, 3);
	store_be32(index + 4, (uint32_t)b->pos[1]);
	store_be32(index + 8, offset);
	store_be32(index + 12, (uint32_t)pos);
	store_be64(timeindex, timestamp);
	store_be32(timeindex + 8, 5);
	put(b, STEM ".index", index, sizeof(index));
	put(b, STEM ".timeindex", timeindex, sizeof(timeindex));
}

static void bench_init(struct bench *b)
{
	struct sim_options opt;

	*b = (struct bench){0};
	sim_options_plain(&opt);
	b->w = world_new(1, &opt, &toy_body);
	b->w->quiet = true;
	b->d = world_node(b->w, 1)->disk;
	history_init(&b->h, b->w);
	for (int i = 0; i < BATCHES; i++) {
		struct batch_spec spec = BATCH_SPEC_INIT;
		struct batch_builder builder;
		struct record_fields fields = {.value = {(const uint8_t *)"v", 1}};
		struct bytes done;

		b->pos[i] = b->log.len;
		spec.base_offset = 2 * i;
		assert_int_equal(batch_builder_init(&builder, &spec, &b->log, NULL), ERR_NONE);
		assert_int_equal(batch_builder_add(&builder, 1000 + i, &fields), ERR_NONE);
		assert_int_equal(batch_builder_add(&builder, 1000 + i, &fields), ERR_NONE);
		assert_int_equal(batch_builder_finish(&builder, &done), ERR_NONE);
	}
	assert_int_equal(fs_mkdir_all(disk_fs(b->d), "/data/t-0"), ERR_NONE);
	put(b, STEM ".log", b->log.p, b->log.len);
	put_indexes(b, 5, b->pos[2], 1002);
}

static bool bench_end(struct bench *b)
{
	bool found;

	check_files(b->d, &b->h);
	found = b->w->has_failed;
	scratch_deinit(&b->log);
	history_deinit(&b->h);
	world_free(b->w);
	return found;
}

static void test_right_files(void **state)
{
	struct bench b;

	bench_init(&b);
	assert_false(bench_end(&b));
}

static void test_a_flipped_bit(void **state)
{
	struct bench b;

	bench_init(&b);
	assert_true(disk_flip(b.d, STEM ".log", (int64_t)b.pos[1] + 70, 3));
	assert_true(bench_end(&b));
}

static void test_half_a_batch(void **state)
{
	struct bench b;

	bench_init(&b);
	put(&b, STEM ".log", b.log.p, b.log.len - 1);
	assert_true(bench_end(&b));
}

static void test_an_index_entry_one_batch_too_far(void **state)
{
	struct bench b;

	bench_init(&b);
	put_indexes(&b, 5, b.pos[3], 1002);
	assert_true(bench_end(&b));
}

static void test_an_index_entry_between_batches(void **state)
{
	struct bench b;

	bench_init(&b);
	put_indexes(&b, 5, b.pos[2] + 1, 1002);
	assert_true(bench_end(&b));
}

static void test_a_wrong_time(void **state)
{
	struct bench b;

	bench_init(&b);
	put_indexes(&b, 5, b.pos[2], 1003);
	assert_true(bench_end(&b));
}

static void test_a_gap_between_segments(void **state)
{
	struct bench b;

	bench_init(&b);
	put(&b, "/data/t-0/00000000000000000009.log", "", 0);
	assert_true(bench_end(&b));
	bench_init(&b);
	put(&b, "/data/t-0/00000000000000000008.log", "", 0);
	assert_false(bench_end(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_files),
		cmocka_unit_test(test_a_flipped_bit),
		cmocka_unit_test(test_half_a_batch),
		cmocka_unit_test(test_an_index_entry_one_batch_too_far),
		cmocka_unit_test(test_an_index_entry_between_batches),
		cmocka_unit_test(test_a_wrong_time),
		cmocka_unit_test(test_a_gap_between_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
