/* SPDX-License-Identifier: Apache-2.0 */
/* Files over the posix table: whole files, atomic replacement, trees, listing, short ends, locks, errors. */
#include "fs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fs_posix.h"
#include "mem.h"
#include "test_runtime.h"

struct world {
	struct fs fs;
	char dir[256];
	char path[400];
};

static int setup(void **state)
{
	struct world *w = MEM_NEW(struct world);

	fs_posix_init(&w->fs);
	test_dir(w->dir);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	struct fs_stat stat;

	assert_int_equal(fs_remove_tree(&w->fs, w->dir), ERR_NONE);
	assert_int_equal(w->fs.ops->stat(&w->fs, w->dir, &stat), ERR_NOT_FOUND);
	mem_free(w);
	return 0;
}

static const char *in(struct world *w, const char *name)
{
	snprintf(w->path, sizeof(w->path), "%s/%s", w->dir, name);
	return w->path;
}

static void put(struct world *w, const char *name, const char *text)
{
	assert_int_equal(fs_write_atomic(&w->fs, in(w, name), str_bytes(str_of(text))), ERR_NONE);
}

static void test_whole_files(void **state)
{
	struct world *w = *state;
	struct fs_stat stat;
	char *p = NULL;
	size_t len = 99;

	assert_int_equal(fs_read_all(&w->fs, in(w, "a"), 100, &p, &len), ERR_NOT_FOUND);
	assert_null(p);
	assert_int_equal(len, 99);
	put(w, "a", "first, and longer");
	put(w, "a", "second");
	assert_int_equal(w->fs.ops->stat(&w->fs, in(w, "a.tmp"), &stat), ERR_NOT_FOUND);
	assert_int_equal(fs_read_all(&w->fs, in(w, "a"), 5, &p, &len), ERR_TOO_LARGE);
	assert_int_equal(fs_read_all(&w->fs, in(w, "a"), 6, &p, &len), ERR_NONE);
	assert_int_equal(len, 6);
	assert_string_equal(p, "second");
	mem_free(p);
	put(w, "empty", "");
	assert_int_equal(fs_read_all(&w->fs, in(w, "empty"), 0, &p, &len), ERR_NONE);
	assert_int_equal(len, 0);
	assert_string_equal(p, "");
	mem_free(p);
	/* What cannot be replaced leaves nothing behind. */
	assert_int_equal(w->fs.ops->mkdir(&w->fs, in(w, "d")), ERR_NONE);
	assert_int_not_equal(fs_write_atomic(&w->fs, in(w, "d"), str_bytes(STR("x"))), ERR_NONE);
	assert_int_equal(w->fs.ops->stat(&w->fs, in(w, "d.tmp"), &stat), ERR_NOT_FOUND);
}

static void test_open_flags(void **state)
{
	struct world *w = *state;
	fs_file file = FS_FILE_NONE;
	int64_t size;

	assert_int_equal(fs_open(&w->fs, in(w, "f"), FS_WRITE, &file), ERR_NOT_FOUND);
	assert_int_equal(w->fs.ops->last_errno(&w->fs), 2);
	assert_int_equal(file, FS_FILE_NONE);
	assert_int_equal(fs_open(&w->fs, in(w, "f"), FS_WRITE | FS_CREATE | FS_EXCLUSIVE, &file), ERR_NONE);
	assert_int_equal(fs_pwrite_all(&w->fs, file, "12345", 5, 0), ERR_NONE);
	fs_close(&w->fs, file);
	assert_int_equal(fs_open(&w->fs, in(w, "f"), FS_WRITE | FS_CREATE | FS_EXCLUSIVE, &file), ERR_EXISTS);
	assert_int_equal(fs_open(&w->fs, in(w, "f"), FS_READ, &file), ERR_NONE);
	assert_int_equal(fs_pwrite_all(&w->fs, file, "x", 1, 0), ERR_IO);
	fs_close(&w->fs, file);
	assert_int_equal(fs_open(&w->fs, in(w, "f"), FS_WRITE | FS_TRUNCATE, &file), ERR_NONE);
	assert_int_equal(w->fs.ops->file_size(&w->fs, file, &size), ERR_NONE);
	assert_int_equal(size, 0);
	fs_close(&w->fs, file);
	fs_close(&w->fs, FS_FILE_NONE);
}

static void test_read_and_write(void **state)
{
	struct world *w = *state;
	struct iovec iov[100];
	char data[100], back[200];
	fs_file file;
	size_t len;
	int64_t size;
	enum err err;

	/* More ranges than one system call takes, at an odd place. */
	for (int i = 0; i < 100; i++) {
		data[i] = (char)('A' + i % 26);
		iov[i] = (struct iovec){&data[i], i % 3 == 2 ? 0 : 1};
	}
	assert_int_equal(fs_open(&w->fs, in(w, "f"), FS_WRITE | FS_CREATE, &file), ERR_NONE);
	assert_int_equal(fs_pwritev(&w->fs, file, iov, 100, 3, &len), ERR_NONE);
	assert_int_equal(len, 67);
	assert_int_equal(fs_pread(&w->fs, file, back, sizeof(back), 0, FS_WAIT, &len), ERR_NONE);
	assert_int_equal(len, 70);
	assert_memory_equal(back, "\0\0\0ABDEGH", 9);
	err = fs_pread(&w->fs, file, back, sizeof(back), 60, FS_NOWAIT, &len);
	assert_int_equal(err, ERR_NONE);
	assert_int_equal(len, 10);
	assert_int_equal(fs_pread(&w->fs, file, back, sizeof(back), 1000, FS_WAIT, &len), ERR_NONE);
	assert_int_equal(len, 0);
	assert_int_equal(w->fs.ops->truncate(&w->fs, file, 5), ERR_NONE);
	err = w->fs.ops->reserve(&w->fs, file, 1 << 20);
	assert_true(err == ERR_NONE || err == ERR_NOT_SUPPORTED);
	assert_int_equal(w->fs.ops->file_size(&w->fs, file, &size), ERR_NONE);
	assert_int_equal(size, 5);
	assert_int_equal(fs_sync(&w->fs, file), ERR_NONE);
	assert_int_equal(w->fs.ops->sync_all(&w->fs, file), ERR_NONE);
	assert_int_equal(w->fs.ops->sync_dir(&w->fs, w->dir), ERR_NONE);
	fs_close(&w->fs, file);
}

static void test_nowait_on_a_cold_file(void **state)
{
	struct world *w = *state;
	size_t size = 8 << 20, len = 0;
	char *p = mem_calloc(1, size);
	fs_file file;
	enum err err;

	assert_int_equal(fs_open(&w->fs, in(w, "f"), FS_WRITE | FS_CREATE, &file), ERR_NONE);
	assert_int_equal(fs_pwrite_all(&w->fs, file, p, size, 0), ERR_NONE);
	assert_int_equal(fs_sync(&w->fs, file), ERR_NONE);
	posix_fadvise((int)file, 0, 0, POSIX_FADV_DONTNEED);
	err = fs_pread(&w->fs, file, p, size, 0, FS_NOWAIT, &len);
	/* A file system in memory has it all; any other says that it would have to wait. */
	assert_true(err == ERR_WOULD_BLOCK || len == size);
	assert_int_equal(fs_pread(&w->fs, file, p, size, 0, FS_WAIT, &len), ERR_NONE);
	assert_int_equal(len, size);
	assert_int_equal(fs_pread(&w->fs, file, p, size, 0, FS_NOWAIT, &len), ERR_NONE);
	fs_close(&w->fs, file);
	mem_free(p);
}

static void test_disk_full(void **state)
{
	struct world *w = *state;
	struct iovec iov = {"x", 1};
	fs_file file;
	size_t len = 7;

	if (fs_open(&w->fs, "/dev/full", FS_WRITE, &file))
		skip();
	assert_int_equal(fs_pwritev(&w->fs, file, &iov, 1, 0, &len), ERR_DISK_FULL);
	assert_int_equal(len, 0);
	fs_close(&w->fs, file);
	assert_int_equal(w->fs.ops->last_errno(&w->fs), 28);
}

struct listing {
	char text[200];
	int stop_after;
};

static bool listed(void *ctx, const char *name, enum fs_kind kind)
{
	struct listing *l = ctx;

	strcat(l->text, kind == FS_KIND_DIR ? "/" : kind == FS_KIND_FILE ? "" : "@");
	strcat(l->text, name);
	strcat(l->text, " ");
	return --l->stop_after != 0;
}

static void test_trees(void **state)
{
	struct world *w = *state;
	struct listing l = {.stop_after = 100};
	char outside[256];
	struct stat st;

	assert_int_equal(fs_mkdir_all(&w->fs, in(w, "x/y//z/")), ERR_NONE);
	assert_int_equal(fs_mkdir_all(&w->fs, in(w, "x/y")), ERR_NONE);
	put(w, "b", "1");
	put(w, "a", "1");
	put(w, "c10", "1");
	put(w, "x/y/deep", "1");
	assert_int_equal(fs_mkdir_all(&w->fs, in(w, "a/under-a-file")), ERR_IO);
	assert_int_equal(fs_mkdir_all(&w->fs, in(w, "a")), ERR_EXISTS);
	/* A link to a folder elsewhere is removed, not followed. */
	test_dir(outside);
	snprintf(w->path, sizeof(w->path), "%s/keep", outside);
	assert_int_equal(fs_write_atomic(&w->fs, w->path, str_bytes(STR("1"))), ERR_NONE);
	assert_int_equal(symlink(outside, in(w, "link")), 0);
	assert_int_equal(w->fs.ops->list(&w->fs, w->dir, listed, &l), ERR_NONE);
	assert_string_equal(l.text, "a b c10 @link /x ");
	l = (struct listing){.stop_after = 2};
	assert_int_equal(w->fs.ops->list(&w->fs, w->dir, listed, &l), ERR_NONE);
	assert_string_equal(l.text, "a b ");
	assert_int_equal(w->fs.ops->rmdir(&w->fs, in(w, "x")), ERR_EXISTS);
	assert_int_equal(fs_remove_tree(&w->fs, in(w, "x")), ERR_NONE);
	assert_int_equal(fs_remove_tree(&w->fs, in(w, "x")), ERR_NOT_FOUND);
	assert_int_equal(fs_remove_tree(&w->fs, w->dir), ERR_NONE);
	snprintf(w->path, sizeof(w->path), "%s/keep", outside);
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(fs_remove_tree(&w->fs, outside), ERR_NONE);
	assert_int_equal(mkdir(w->dir, 0755), 0);
}

static void test_rename_and_space(void **state)
{
	struct world *w = *state;
	static const int64_t times[] = {0, 1234567890123, -1500};
	struct fs_space space;
	struct fs_stat stat;
	fs_file file;
	char from[400];

	put(w, "a", "12345");
	snprintf(from, sizeof(from), "%s/a", w->dir);
	assert_int_equal(w->fs.ops->rename(&w->fs, from, in(w, "b")), ERR_NONE);
	assert_int_equal(w->fs.ops->stat(&w->fs, in(w, "b"), &stat), ERR_NONE);
	assert_int_equal(stat.kind, FS_KIND_FILE);
	assert_int_equal(stat.size, 5);
	assert_true(stat.mtime_ms > INT64_C(1600000000000));
	for (size_t i = 0; i < ARRAY_N(times); i++) {
		assert_int_equal(fs_open(&w->fs, in(w, "b"), FS_WRITE, &file), ERR_NONE);
		assert_int_equal(w->fs.ops->set_mtime(&w->fs, file, times[i]), ERR_NONE);
		fs_close(&w->fs, file);
		assert_int_equal(w->fs.ops->stat(&w->fs, in(w, "b"), &stat), ERR_NONE);
		assert_int_equal(stat.mtime_ms, times[i]);
	}
	assert_int_equal(w->fs.ops->rename(&w->fs, from, in(w, "c")), ERR_NOT_FOUND);
	assert_int_equal(w->fs.ops->space(&w->fs, w->dir, &space), ERR_NONE);
	assert_true(space.total >= space.usable);
	assert_true(space.total > 0);
}

static void test_lock(void **state)
{
	struct world *w = *state;
	fs_file lock, second = FS_FILE_NONE;
	int status;
	pid_t pid;

	assert_int_equal(w->fs.ops->lock(&w->fs, in(w, ".lock"), &lock), ERR_NONE);
	/* Another open of this process, and a record lock of another process as Java takes it, both meet it. */
	assert_int_equal(w->fs.ops->lock(&w->fs, in(w, ".lock"), &second), ERR_BUSY);
	assert_int_equal(second, FS_FILE_NONE);
	pid = fork();
	if (pid == 0) {
		struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(w->path, O_RDWR);

		_exit(fd >= 0 && fcntl(fd, F_SETLK, &range) == -1 ? 7 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(w->fs.ops->lock(&w->fs, in(w, ".lock"), &second), ERR_BUSY);
	fs_close(&w->fs, lock);
	assert_int_equal(w->fs.ops->lock(&w->fs, in(w, ".lock"), &second), ERR_NONE);
	fs_close(&w->fs, second);
}

static void test_boot_id(void **state)
{
	struct world *w = *state;
	char a[37], b[37];

	assert_int_equal(w->fs.ops->boot_id(&w->fs, a), ERR_NONE);
	assert_int_equal(w->fs.ops->boot_id(&w->fs, b), ERR_NONE);
	assert_int_equal(strlen(a), 36);
	assert_string_equal(a, b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_whole_files), T(test_open_flags), T(test_read_and_write), T(test_nowait_on_a_cold_file),
		T(test_disk_full), T(test_trees), T(test_rename_and_space), T(test_lock), T(test_boot_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
