/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping with a directory: what fits, what is refused and left alone, and how it was left. */
#include <sys/stat.h>
#include <unistd.h>

#include "fs_posix.h"
#include "log_dir.h"
#include "mem.h"
#include "storage_test.h"

struct dir_test {
	char path[64];
	struct fs fs;
};

static void dir_test_init(struct dir_test *t)
{
	*t = (struct dir_test){.path = "/tmp/moldau-logdir-XXXXXX"};
	assert_non_null(mkdtemp(t->path));
	fs_posix_init(&t->fs);
}

static void dir_test_deinit(struct dir_test *t)
{
	assert_int_equal(fs_remove_tree(&t->fs, t->path), ERR_NONE);
}

static void put(struct dir_test *t, const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", t->path, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static bool exists(struct dir_test *t, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", t->path, name);
	return access(path, F_OK) == 0;
}

static enum log_dir_refusal refused(struct dir_test *t, struct str cluster, int32_t node, const char *code)
{
	struct log_dir dir;
	struct err_text text = {""};
	enum log_dir_refusal refusal;

	assert_int_not_equal(log_dir_open(&dir, &t->fs, t->path, cluster, node, &refusal, &text), ERR_NONE);
	if (strncmp(text.text, code, strlen(code)) != 0)
		fail_msg("%s, not %s", text.text, code);
	assert_non_null(strstr(text.text, t->path));
	return refusal;
}

static void opened(struct dir_test *t, struct log_dir *dir)
{
	struct err_text text = {""};
	enum log_dir_refusal refusal;

	if (log_dir_open(dir, &t->fs, t->path, STR_NULL, -1, &refusal, &text))
		fail_msg("%s", text.text);
}

static void test_life(void **state)
{
	struct dir_test t;
	struct log_dir dir;

	dir_test_init(&t);
	opened(&t, &dir);
	assert_false(dir.is_formatted);
	assert_int_equal(log_dir_format(&dir, &t.fs, STR("abc"), 7, (struct uuid){1, 2}, 1700000000000),
			 ERR_NONE);
	assert_int_equal(refused(&t, STR_NULL, -1, "ML1012"), LOG_DIR_IN_USE);
	assert_int_equal(log_dir_mark_running(&dir, &t.fs), ERR_NONE);
	log_dir_close(&dir, &t.fs);
	/* Killed in this boot. */
	opened(&t, &dir);
	assert_true(dir.is_formatted);
	assert_int_equal(dir.stop, LOG_DIR_KILLED);
	assert_int_equal(dir.meta.node_id, 7);
	assert_int_equal(log_dir_mark_clean(&dir, &t.fs, 55), ERR_NONE);
	log_dir_close(&dir, &t.fs);
	opened(&t, &dir);
	assert_int_equal(dir.stop, LOG_DIR_CLEAN);
	assert_int_equal(dir.clean_broker_epoch, 55);
	assert_false(exists(&t, ".moldau_running"));
	assert_int_equal(log_dir_mark_running(&dir, &t.fs), ERR_NONE);
	assert_false(exists(&t, ".kafka_cleanshutdown"));
	log_dir_close(&dir, &t.fs);
	/* Another boot, or Kafka that left no mark. */
	put(&t, ".moldau_running", "00000000-0000-0000-0000-000000000000\n");
	opened(&t, &dir);
	assert_int_equal(dir.stop, LOG_DIR_POWER_CUT);
	log_dir_close(&dir, &t.fs);
	put(&t, ".kafka_cleanshutdown", "{\"version\":0,");
	opened(&t, &dir);
	assert_int_equal(dir.stop, LOG_DIR_POWER_CUT);
	log_dir_close(&dir, &t.fs);
	assert_int_equal(refused(&t, STR("other"), -1, "ML1010"), LOG_DIR_OTHER_CLUSTER);
	assert_int_equal(refused(&t, STR("abc"), 8, "ML1016"), LOG_DIR_OTHER_NODE);
	dir_test_deinit(&t);
}

/* Killed while logs are unchecked since a power cut (or since Kafka was killed): the next start sees that again. */
static void test_unchecked(void **state)
{
	const enum log_dir_stop stops[] = {LOG_DIR_POWER_CUT, LOG_DIR_UNKNOWN};
	struct dir_test t;
	struct log_dir dir;
	char path[200];

	dir_test_init(&t);
	opened(&t, &dir);
	assert_int_equal(log_dir_format(&dir, &t.fs, STR("abc"), 7, (struct uuid){1, 2}, 1700000000000), ERR_NONE);
	log_dir_close(&dir, &t.fs);
	for (size_t i = 0; i < ARRAY_N(stops); i++) {
		snprintf(path, sizeof(path), "%s/.moldau_running", t.path);
		unlink(path);
		if (stops[i] == LOG_DIR_POWER_CUT)
			put(&t, ".moldau_running", "00000000-0000-0000-0000-000000000000\n");
		for (int kills = 0; kills < 3; kills++) {
			opened(&t, &dir);
			assert_int_equal(dir.stop, stops[i]);
			assert_int_equal(log_dir_mark_running(&dir, &t.fs), ERR_NONE);
			log_dir_close(&dir, &t.fs);
		}
		assert_int_equal(log_dir_mark_checked(t.path, &t.fs), ERR_NONE);
		opened(&t, &dir);
		assert_int_equal(dir.stop, LOG_DIR_KILLED);
		log_dir_close(&dir, &t.fs);
	}
	dir_test_deinit(&t);
}

static void test_refusals(void **state)
{
	struct dir_test t;
	struct log_dir dir;

	dir_test_init(&t);
	put(&t, "photo.jpg", "x");
	assert_int_equal(refused(&t, STR_NULL, -1, "ML1011"), LOG_DIR_FOREIGN);
	assert_false(exists(&t, ".lock"));
	put(&t, "meta.properties", "broker.id=1\nversion=0\ncluster.id=x\n");
	assert_int_equal(refused(&t, STR_NULL, -1, "ML1015"), LOG_DIR_ZOOKEEPER);
	put(&t, "meta.properties", "garbage");
	assert_int_equal(refused(&t, STR_NULL, -1, "ML1014"), LOG_DIR_UNREADABLE);
	/* As Kafka writes it. */
	put(&t, "meta.properties", "#\n#Thu Jan 01 00:00:00 UTC 1970\nnode.id=3\ndirectory.id=vIeflLPhpBNVol_v_9gWTQ\n"
	    "version=1\ncluster.id=sHtfwBUHhXRrz79NYOiBSg\n");
	opened(&t, &dir);
	assert_int_equal(dir.meta.node_id, 3);
	log_dir_close(&dir, &t.fs);
	dir_test_deinit(&t);
}

static void test_list(void **state)
{
	static const char *const dirs[] = {"orders-4", "a-b-c-10",
					   "orders-5.0123456789abcdef0123456789abcdef-delete",
					   "orders-6.0123456789abcdef0123456789abcdef-stray", "lost+found",
						"plain",
					   "orders-7.0123456789abcdef0123456789abcdef-future", "x-", "-3",
						"x--1",
					   "__cluster_metadata-0"};
	struct dir_test t;
	struct arena arena = {0};
	struct log_dir_listing listing;
	struct str topic;
	int32_t partition;
	char path[200];

	dir_test_init(&t);
	for (size_t i = 0; i < ARRAY_N(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", t.path, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	put(&t, "file-3", "not a directory");
	put(&t, "orders-4/partition.metadata", "version: 0\ntopic_id: oWyt804ZzG25SDDJ3kmR9g");
	assert_int_equal(log_dir_list(&t.fs, t.path, &arena, &listing), ERR_NONE);
	assert_int_equal(listing.partitions.n, 4);
	assert_int_equal(listing.deletable.n, 1);
	assert_int_equal(listing.strays.n, 1);
	for (size_t i = 0; i < listing.partitions.n; i++) {
		const struct log_dir_entry *e = &listing.partitions.v[i];

		if (str_eq(e->name, STR("orders-4"))) {
			assert_true(str_eq(e->topic, STR("orders")));
			assert_int_equal(e->partition, 4);
			assert_false(uuid_is_zero(e->topic_id));
		}
		if (str_eq(e->name, STR("a-b-c-10"))) {
			assert_true(str_eq(e->topic, STR("a-b-c")));
			assert_int_equal(e->partition, 10);
		}
	}
	assert_int_equal(log_dir_rename_away(&t.fs, t.path, STR("orders-4"), "-stray", (struct uuid){1, 2}),
			 ERR_NONE);
	assert_true(exists(&t, "orders-4.00000000000000010000000000000002-stray"));
	assert_int_equal(log_dir_parse_name(STR("orders-4.00000000000000010000000000000002-stray"), &topic,
					    &partition),
			 ERR_NONE);
	assert_true(str_eq(topic, STR("orders")));
	assert_int_equal(partition, 4);
	log_dir_listing_deinit(&listing);
	arena_reset(&arena);
	dir_test_deinit(&t);
}

/* A topic of the greatest length: the new name still fits a file name. */
static void test_long_name(void **state)
{
	char name[260], away[300];
	struct str topic;
	int32_t partition;

	memset(name, 'x', 249);
	memcpy(name + 249, "-12", 4);
	assert_true(log_dir_away_name(str_of(name), "-delete", (struct uuid){1, 2}, away, sizeof(away)));
	assert_true(strlen(away) <= 255);
	assert_int_equal(log_dir_parse_name(str_of(away), &topic, &partition), ERR_NONE);
	assert_int_equal(partition, 12);
}

static void test_offsets(void **state)
{
	struct dir_test t;
	struct arena arena = {0};
	struct offset_checkpoint checkpoint = {0}, read;
	struct offset_entry entry = {STR("orders"), 4, 1234};
	struct log_dir_written written = {0}, kept = {.is_kept = true}, other = {.is_kept = true};

	dir_test_init(&t);
	assert_int_equal(log_dir_read_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &arena, &read), ERR_NONE);
	assert_int_equal(read.entries.n, 0);
	vec_push(&checkpoint.entries, entry);
	assert_int_equal(log_dir_write_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &checkpoint, &written), ERR_NONE);
	assert_int_equal(log_dir_read_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &arena, &read), ERR_NONE);
	assert_int_equal(read.entries.n, 1);
	assert_true(str_eq(read.entries.v[0].topic, STR("orders")));
	assert_int_equal(read.entries.v[0].offset, 1234);
	vec_deinit(&read.entries);
	/* What it knows to be there is not written again; what another life left counts where that was synced. */
	assert_int_equal(log_dir_write_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &checkpoint, &kept), ERR_NONE);
	assert_true(kept.is_known);
	put(&t, RECOVERY_POINT_FILE, "0\n0\n");
	assert_int_equal(log_dir_write_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &checkpoint, &written), ERR_NONE);
	assert_int_equal(log_dir_write_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &checkpoint, &kept), ERR_NONE);
	assert_int_equal(log_dir_read_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &arena, &read), ERR_NONE);
	assert_int_equal(read.entries.n, 0);
	assert_int_equal(log_dir_write_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &checkpoint, &other), ERR_NONE);
	checkpoint.entries.v[0].offset = 1235;
	assert_int_equal(log_dir_write_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &checkpoint, &other), ERR_NONE);
	assert_int_equal(log_dir_read_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &arena, &read), ERR_NONE);
	assert_int_equal(read.entries.n, 1);
	assert_int_equal(read.entries.v[0].offset, 1235);
	vec_deinit(&read.entries);
	vec_deinit(&checkpoint.entries);
	put(&t, RECOVERY_POINT_FILE, "0\n3\nx 1 1\n");
	assert_int_equal(log_dir_read_offsets(&t.fs, t.path, RECOVERY_POINT_FILE, &arena, &read),
			 ERR_CORRUPT_FILE);
	arena_reset(&arena);
	dir_test_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life), cmocka_unit_test(test_unchecked), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_list), cmocka_unit_test(test_long_name), cmocka_unit_test(test_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
