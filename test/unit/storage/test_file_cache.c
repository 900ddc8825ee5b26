/* SPDX-License-Identifier: Apache-2.0 */
/* Which files stay open when there are more than fit. The owners are numbers. */
#include "file_cache.h"
#include "storage_test.h"

#define FILES_N 400
#define ROOM_N 300

struct files {
	struct fs fs;
	struct file_cache cache;
	struct log_file *open[FILES_N]; /* NULL: closed */
	int closed_n, opened_n;
};

static struct files *the_files(struct log_impl *log)
{
	return (struct files *)(void *)log;
}

static void files_close(struct fs *fs, fs_file file)
{
	container_of(fs, struct files, fs)->closed_n++;
}

static void files_forget(struct log_impl *log, int64_t base)
{
	assert_non_null(the_files(log)->open[base]);
	the_files(log)->open[base] = NULL;
}

static void files_advise(struct fs *fs, fs_file file, int64_t pos, int64_t len, enum fs_advice advice)
{
}

static const struct fs_ops files_ops = {.close = files_close, .advise = files_advise};

static void files_init(struct files *f)
{
	*f = (struct files){.fs = {.ops = &files_ops}};
	file_cache_init(&f->cache, &f->fs, ROOM_N, files_forget);
}

static void files_use(struct files *f, int i)
{
	if (!f->open[i]) {
		f->opened_n++;
		f->open[i] = file_cache_add(&f->cache, (struct log_impl *)(void *)f, i, i);
	}
	log_file_unpin(log_file_pin(f->open[i]));
	assert_true(f->cache.open_n <= ROOM_N);
}

static void files_deinit(struct files *f)
{
	for (int i = 0; i < FILES_N; i++)
		log_file_drop(f->open[i]);
	assert_int_equal(f->cache.open_n, 0);
	assert_int_equal(f->closed_n, f->opened_n);
}

/* One after the other, a few more than there is room for: not each of them is closed before its turn comes. */
static void test_more_than_fit_in_turn(void **state)
{
	struct files f;
	int more[] = {1, 10, 100};

	for (size_t k = 0; k < sizeof(more) / sizeof(more[0]); k++) {
		int n = ROOM_N + more[k], before;

		files_init(&f);
		for (int i = 0; i < 20 * n; i++)
			files_use(&f, i % n);
		before = f.opened_n;
		for (int i = 0; i < 10 * n; i++)
			files_use(&f, i % n);
		/* No order can do with fewer than `more` in each round. */
		assert_in_range(f.opened_n - before, 10 * more[k] - 10, 10 * more[k] * 3 / 2 + 20);
		files_deinit(&f);
	}
}

/* Others are used from now on: they come to stay. */
static void test_others_from_now_on(void **state)
{
	struct files f;
	int before;

	files_init(&f);
	for (int i = 0; i < 10 * ROOM_N; i++)
		files_use(&f, i % ROOM_N);
	assert_int_equal(f.opened_n, ROOM_N);
	for (int i = 0; i < 200 * 100; i++)
		files_use(&f, ROOM_N + i % 100);
	before = f.opened_n;
	for (int i = 0; i < 100 * 100; i++)
		files_use(&f, ROOM_N + i % 100);
	assert_int_equal(f.opened_n, before);
	files_deinit(&f);
}

/* Many are opened before the first of them is used: none is closed without. */
static void test_opened_together(void **state)
{
	struct files f;

	files_init(&f);
	for (int i = 0; i < ROOM_N; i++)
		files_use(&f, i);
	for (int i = ROOM_N; i < FILES_N; i++)
		f.open[i] = file_cache_add(&f.cache, (struct log_impl *)(void *)&f, i, i);
	f.opened_n += FILES_N - ROOM_N;
	for (int i = ROOM_N; i < FILES_N; i++)
		assert_non_null(f.open[i]);
	files_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_than_fit_in_turn),
		cmocka_unit_test(test_others_from_now_on),
		cmocka_unit_test(test_opened_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
