/* SPDX-License-Identifier: Apache-2.0 */
/* Damage of records and of headers is found once by a scrub, or by the first read that comes upon it in what was there
 * when the log was opened or has left the page cache; it is not served, and all else is. */
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log_scrub.h"
#include "mem.h"
#include "storage_test.h"

#define BATCHES_N 1000

struct scrub_test {
	struct log_scrub scrub;
	struct log_bad bad[8];
	int found_n;
	int64_t bytes;
	bool is_done;
};

static void test_found(struct log_scrub *scrub, const struct part_log *log, const char *path, const struct log_bad *bad)
{
	struct scrub_test *s = container_of(scrub, struct scrub_test, scrub);
	char name[64];

	assert_true(s->found_n < 8);
	snprintf(name, sizeof(name), "/s-0/%020lld.log", (long long)bad->segment_base);
	assert_non_null(strstr(path, name));
	s->bad[s->found_n++] = *bad;
}

static void test_unlisted(struct log_scrub *scrub, const struct part_log *log, const char *path, int64_t pos, size_t n)
{
	fail();
}

static void test_done(struct log_scrub *scrub)
{
	struct scrub_test *s = container_of(scrub, struct scrub_test, scrub);

	assert_int_equal(scrub->err, ERR_NONE);
	s->bytes += scrub->bytes;
	s->is_done = true;
}

static void scrub_all(struct storage_test *t, struct part_log *log, struct scrub_test *s)
{
	enum log_scrub_step step;

	*s = (struct scrub_test){.scrub = {.found = test_found, .unlisted = test_unlisted, .done = test_done}};
	while ((step = part_log_scrub(log, &s->scrub)) == LOG_SCRUB_RUNS) {
		s->is_done = false;
		for (int i = 0; i < TURNS_MAX && !s->is_done; i++)
			turn(t);
		assert_true(s->is_done);
	}
	assert_int_equal(step, LOG_SCRUB_OVER);
	log_scrub_deinit(&s->scrub);
}

static void flip(struct storage_test *t, const char *name, int64_t pos)
{
	char path[256];
	FILE *file;
	int c;

	snprintf(path, sizeof(path), "%s/s-0/%s", t->path, name);
	file = fopen(path, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, (long)pos, SEEK_SET), 0);
	c = fgetc(file);
	assert_int_equal(fseek(file, (long)pos, SEEK_SET), 0);
	assert_int_not_equal(fputc(c ^ 0x41, file), EOF);
	assert_int_equal(fclose(file), 0);
}

/* What a reader gets at every offset: the batch, or the error where it has to be one. */
static int count_refused(struct storage_test *t, struct part_log *log, const struct scrub_test *s, int64_t max_bytes)
{
	int refused_n = 0;

	for (int64_t offset = 0; offset < log->end; offset++) {
		bool is_bad = false;
		uint8_t *p;
		size_t len;

		for (int i = 0; i < s->found_n; i++)
			is_bad = is_bad || (offset >= s->bad[i].offset && offset < s->bad[i].end_offset);
		refused_n += is_bad;
		if (is_bad) {
			assert_int_equal(log_get(t, log, offset, max_bytes, &p, &len), ERR_CORRUPT_MESSAGE);
			continue;
		}
		assert_int_equal(log_get(t, log, offset, max_bytes, &p, &len), ERR_NONE);
		assert_true(len > 0);
		assert_int_equal(load_be64(p), offset - offset % 2);
		/* No damage behind it comes along. */
		for (size_t at = 0; at + 12 <= len;) {
			size_t size = load_be32(p + at + 8) + 12;
			int64_t base = (int64_t)load_be64(p + at);

			for (int i = 0; i < s->found_n; i++)
				assert_false(base >= s->bad[i].offset && base < s->bad[i].end_offset);
			at += size;
		}
		mem_free(p);
	}
	return refused_n;
}

/* Of BATCHES_N batches of two records in segments of 50,000 bytes. */
static struct part_log *full_log(struct storage_test *t, int64_t *ret_batch_size)
{
	struct test_batch spec = PLAIN_BATCH(2, 1000);
	struct part_log *log;
	size_t len;

	storage_test_init(t, STORAGE_PAGE_CACHE);
	t->config.segment_bytes = 50000;
	t->config.index_interval_bytes = 2000;
	log = log_open(t, "s-0", -1);
	mem_free(batch_make(&spec, &len));
	*ret_batch_size = (int64_t)len;
	for (int i = 0; i < BATCHES_N; i++)
		assert_int_equal(log_put(t, log, &spec, 0), ERR_NONE);
	return log;
}

static void test_damage(void **state)
{
	struct storage_test t;
	struct scrub_test s, again;
	struct part_log *log;
	int64_t size;

	log = full_log(&t, &size);
	/* Nothing is below the recovery point yet. */
	scrub_all(&t, log, &s);
	assert_int_equal(s.bytes, 0);
	checkpoint(&t);
	scrub_all(&t, log, &s);
	assert_int_equal(s.found_n, 0);
	assert_int_equal(s.bytes, log->appended.segment_base / 2 * size);
	assert_true(s.bytes > 100000);
	/* A record of batch 20, the length of batch 60, all of batches 90 and 91. */
	flip(&t, "00000000000000000000.log", 20 * size + 70);
	flip(&t, "00000000000000000000.log", 60 * size + 9);
	flip(&t, "00000000000000000000.log", 90 * size + 80);
	flip(&t, "00000000000000000000.log", 91 * size + 80);
	scrub_all(&t, log, &s);
	assert_int_equal(s.found_n, 3);
	assert_int_equal(s.bad[0].pos, 20 * size);
	assert_int_equal(s.bad[0].end_pos, 21 * size);
	assert_int_equal(s.bad[0].offset, 40);
	assert_int_equal(s.bad[0].end_offset, 42);
	assert_int_equal(s.bad[1].pos, 60 * size);
	assert_true(s.bad[1].end_pos - 60 * size <= 2000 + 2 * size);
	assert_int_equal(s.bad[1].offset, 120);
	assert_int_equal(s.bad[2].pos, 90 * size);
	assert_int_equal(s.bad[2].end_pos, 92 * size);
	assert_int_equal(count_refused(&t, log, &s, 1),
			 2 + (int)(s.bad[1].end_offset - s.bad[1].offset) + 4);
	count_refused(&t, log, &s, 100000);
	/* Told once. */
	scrub_all(&t, log, &again);
	assert_int_equal(again.found_n, 0);
	/* What is next to known damage, too. */
	flip(&t, "00000000000000000000.log", 21 * size + 70);
	scrub_all(&t, log, &again);
	assert_int_equal(again.found_n, 1);
	assert_int_equal(again.bad[0].pos, 20 * size);
	assert_int_equal(again.bad[0].end_pos, 22 * size);
	s.bad[0] = again.bad[0];
	count_refused(&t, log, &s, 1);
	count_refused(&t, log, &s, 100000);
	scrub_all(&t, log, &again);
	assert_int_equal(again.found_n, 0);
	log_close(&t, log);
	storage_test_deinit(&t);
}

/* What scrubbing finds, reading finds by itself. */
static void test_old_data(void **state)
{
	struct test_batch spec = PLAIN_BATCH(2, 1000);
	const int64_t read_bytes[] = {1, 3000, 100000};
	struct storage_test t;
	struct scrub_test s;
	struct part_log *log;
	int64_t size, end;

	log = full_log(&t, &size);
	end = log->end;
	log_close(&t, log);
	flip(&t, "00000000000000000000.log", 0);
	flip(&t, "00000000000000000000.log", 20 * size + 70);
	flip(&t, "00000000000000000000.log", 60 * size + 9);
	flip(&t, "00000000000000000000.log", 90 * size + 16);
	flip(&t, "00000000000000000000.log", 91 * size + 80);
	log = log_open(&t, "s-0", end);
	scrub_all(&t, log, &s);
	assert_int_equal(s.found_n, 4);
	log_close(&t, log);
	for (size_t i = 0; i < sizeof(read_bytes) / sizeof(read_bytes[0]); i++) {
		log = log_open(&t, "s-0", end);
		assert_true(count_refused(&t, log, &s, read_bytes[i]) >= 8);
		assert_int_equal(log_put(&t, log, &spec, 0), ERR_NONE);
		log_close(&t, log);
		end += 2;
	}
	storage_test_deinit(&t);
}

/* No checksum covers the base offset: one that went up or down leads nobody to wrong offsets. */
static void test_wrong_offsets(void **state)
{
	const int64_t read_bytes[] = {1, 3000, 100000};
	struct storage_test t;
	struct scrub_test s;
	struct part_log *log;
	int64_t size, end;

	log = full_log(&t, &size);
	end = log->end;
	log_close(&t, log);
	/* 40 becomes 105, 120 becomes 57. */
	flip(&t, "00000000000000000000.log", 20 * size + 7);
	flip(&t, "00000000000000000000.log", 60 * size + 7);
	log = log_open(&t, "s-0", end);
	scrub_all(&t, log, &s);
	assert_int_equal(s.found_n, 2);
	assert_int_equal(s.bad[0].offset, 40);
	assert_int_equal(s.bad[0].end_offset, 42);
	assert_int_equal(s.bad[1].offset, 120);
	assert_int_equal(s.bad[1].end_offset, 122);
	log_close(&t, log);
	for (size_t i = 0; i < sizeof(read_bytes) / sizeof(read_bytes[0]); i++) {
		log = log_open(&t, "s-0", end);
		assert_int_equal(count_refused(&t, log, &s, read_bytes[i]), 4);
		log_close(&t, log);
	}
	storage_test_deinit(&t);
}

/* False: this file system keeps everything in memory. */
static bool forget_pages(struct storage_test *t, const char *name)
{
	char path[256], byte;
	struct iovec iov = {&byte, 1};
	bool is_gone;
	int fd;

	snprintf(path, sizeof(path), "%s/s-0/%s", t->path, name);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	is_gone = preadv2(fd, &iov, 1, 0, RWF_NOWAIT) < 0;
	close(fd);
	return is_gone;
}

static void test_cold_data(void **state)
{
	struct storage_test t;
	struct part_log *log;
	int64_t size;
	size_t len;
	uint8_t *p;

	log = full_log(&t, &size);
	flip(&t, "00000000000000000000.log", 3 * size + 70);
	if (!forget_pages(&t, "00000000000000000000.log")) {
		log_close(&t, log);
		storage_test_deinit(&t);
		skip();
	}
	assert_int_equal(log_get(&t, log, 0, 1000000, &p, &len), ERR_NONE);
	mem_free(p);
	assert_int_equal(len, 3 * size);
	assert_int_equal(log_get(&t, log, 6, 1000000, &p, &len), ERR_CORRUPT_MESSAGE);
	assert_int_equal(log_get(&t, log, 8, 1000000, &p, &len), ERR_NONE);
	mem_free(p);
	log_close(&t, log);
	storage_test_deinit(&t);
}

/* The kernel reads ahead of a read, and a backup reads all: what is in memory again has come off the disk unseen. */
static void test_cold_neighbours(void **state)
{
	struct test_batch spec = PLAIN_BATCH(20, 1000), small = PLAIN_BATCH(1, 1000);
	const char *name = "00000000000000000000.log";
	struct storage_test t;
	struct part_log *log;
	char path[256];
	FILE *file;
	size_t len, size;
	uint8_t *p;

	spec.value_len = 5000;
	storage_test_init(&t, STORAGE_PAGE_CACHE);
	log = log_open(&t, "s-0", -1);
	mem_free(batch_make(&spec, &size));
	assert_int_equal(log_put_many(&t, log, &spec, 0, 20), 20);
	for (int i = 0; i < 600; i++)
		assert_int_equal(log_put(&t, log, &small, 0), ERR_NONE);
	flip(&t, name, 15 * (int64_t)size + 70);
	if (!forget_pages(&t, name)) {
		log_close(&t, log);
		storage_test_deinit(&t);
		skip();
	}
	assert_int_equal(log_get(&t, log, 0, 1000, &p, &len), ERR_NONE);
	mem_free(p);
	assert_int_equal(len, size);
	snprintf(path, sizeof(path), "%s/s-0/%s", t.path, name);
	file = fopen(path, "rb");
	assert_non_null(file);
	p = mem_alloc(size * 20);
	assert_int_equal(fread(p, size, 20, file), 20);
	mem_free(p);
	fclose(file);
	for (int64_t i = 1; i < 20; i++) {
		enum err err = log_get(&t, log, i * 20, 1000, &p, &len);

		assert_int_equal(err, i == 15 ? ERR_CORRUPT_MESSAGE : ERR_NONE);
		mem_free(p);
	}
	/* The newest batches were in memory all the time, and still are nobody's to doubt. */
	assert_int_equal(log_get(&t, log, 20 * 20 + 599, 1000, &p, &len), ERR_NONE);
	mem_free(p);
	log_close(&t, log);
	storage_test_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_old_data),
		cmocka_unit_test(test_wrong_offsets),
		cmocka_unit_test(test_cold_data),
		cmocka_unit_test(test_cold_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
