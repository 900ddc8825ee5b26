/* SPDX-License-Identifier: Apache-2.0 */
/* See dir_check.h. */
#include "dir_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "checkpoint.h"
#include "epoch_cache.h"
#include "index_file.h"
#include "log_dir.h"
#include "mem.h"
#include "producer_state.h"
#include "segment_check.h"
#include "txn_index.h"

#define SMALL_FILE_MAX MIB(256)

struct check_names {
	VEC(char *) list;
	bool wants_dirs;
};

struct check_run {
	struct dir_check *check;
	struct fs *fs;
	const char *dir; /* of the file at hand */
	struct epoch_cache epochs; /* of the partition */
	struct aborted_txns aborted;     /* that its indexes name, below known_to */
	struct producer_state producers; /* as far as the segments were read, in order; records of transactions only */
	int64_t known_to;          /* a start takes the indexes for complete below; behind it reads the log */
	const char *name;          /* of the file at hand */
	bool is_copy;              /* a -future directory */
};

static bool check_name(void *ctx, const char *name, enum fs_kind kind)
{
	struct check_names *names = ctx;

	if (kind == (names->wants_dirs ? FS_KIND_DIR : FS_KIND_FILE))
		vec_push(&names->list, mem_strdup_n(name, strlen(name)));
	return true;
}

static void check_names_deinit(struct check_names *names)
{
	for (size_t i = 0; i < names->list.n; i++)
		mem_free(names->list.v[i]);
	vec_deinit(&names->list);
}

static void check_say(struct check_run *run, const char *name, int64_t pos, const char *what)
{
	char path[FS_PATH_MAX];

	run->check->found_n++;
	if (snprintf(path, sizeof(path), "%s/%s", run->dir, name) > 0)
		run->check->found(run->check, path, pos, what);
}

static bool check_ends(const char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);

	return len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* ---- files of batches ---- */

/* Bytes between two calls of `read`. */
#define CHECK_PIECE_LEN MIB(1)

static void check_batches(struct check_run *run, const char *name, struct segment_check *check, fs_file file)
{
	enum err err = ERR_NONE;

	while (!err && check->pos < check->segment.size) {
		int64_t pos = check->pos;

		err = segment_check_run(check, run->fs, file, CHECK_PIECE_LEN);
		for (size_t i = 0; i < check->found_n; i++) {
			if (!run->is_copy || check->found[i].end_pos < check->segment.size)
				check_say(run, name, check->found[i].pos,
					  "the batch is damaged, cut, or of another place");
		}
		run->check->batches_n += check->batches_n;
		run->check->bytes += check->pos - pos;
		if (run->check->read)
			run->check->read(run->check, check->pos - pos);
	}
	if (err)
		check_say(run, name, check->pos, "the disk gives an error when it is read here");
}

/* A marker that aborts what is still there, and which no index names: its records would be served as committed. */
static void check_see(struct segment_check *check, const struct batch_info *batch, int64_t pos)
{
	struct check_run *run = check->ctx;
	struct aborted_txn txn;

	if (segment_check_aborts(&run->producers, batch, &txn) && batch->last_offset < run->known_to &&
	    !aborted_txns_have(&run->aborted, txn.producer_id, txn.last_offset))
		check_say(run, run->name, pos,
			  "the marker aborts a transaction that the .txnindex does not name, so its records are served "
			  "as committed; an empty .txnindex in its place is made anew by the next start");
}

/* next_offset: of the segment behind; INT64_MAX: none. */
static void check_log(struct check_run *run, const char *name, int64_t base, int64_t next_offset)
{
	struct segment_check check = {.dir = run->dir, .segment = SEGMENT_INIT(base), .next_offset = base};
	char path[FS_PATH_MAX];
	fs_file file;

	if (snprintf(path, sizeof(path), "%s/%s", run->dir, name) >= FS_PATH_MAX)
		return;
	if (fs_open(run->fs, path, FS_READ, &file)) {
		check_say(run, name, 0, "the file cannot be opened");
		return;
	}
	check.segment.next_offset = next_offset;
	check.segment.index_n = UINT32_MAX;
	if (run->fs->ops->file_size(run->fs, file, &check.segment.size)) {
		check_say(run, name, 0, "the size of the file cannot be read");
	} else {
		if (!check_ends(name, ".checkpoint")) {
			segment_check_set_epochs(&check, &run->epochs);
			check.see = check_see;
			check.ctx = run;
			run->name = name;
		}
		check_batches(run, name, &check, file);
		segment_check_deinit(&check);
	}
	fs_close(run->fs, file);
}

/* What the batches are to agree with. */
static void check_read_epochs(struct check_run *run)
{
	char path[FS_PATH_MAX];
	char *p;
	size_t len;

	run->epochs.entries.n = 0;
	if (snprintf(path, sizeof(path), "%s/leader-epoch-checkpoint", run->dir) >= FS_PATH_MAX ||
	    fs_read_all(run->fs, path, SMALL_FILE_MAX, &p, &len))
		return;
	if (epoch_cache_decode(&run->epochs, (struct bytes){(const uint8_t *)p, len}))
		run->epochs.entries.n = 0; /* told where the file itself is looked at */
	mem_free(p);
}

static int check_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What the markers are to agree with. Files that are damaged are told where they are looked at themselves. */
static void check_read_aborted(struct check_run *run, const struct check_names *names)
{
	producer_state_truncate_all(&run->producers);
	run->aborted.list.n = 0;
	run->known_to = 0;
	for (size_t i = 0; i < names->list.n; i++) {
		size_t n = run->aborted.list.n;
		struct str suffix;
		int64_t base;

		if (!segment_parse_name(str_of(names->list.v[i]), &base, &suffix))
			continue;
		if (str_eq_c(suffix, ".snapshot"))
			run->known_to = MAX(run->known_to, base);
		if (str_eq_c(suffix, ".txnindex") && txn_index_read(run->fs, run->dir, base, &run->aborted))
			run->aborted.list.n = n;
	}
	aborted_txns_sort(&run->aborted);
}

/* Where the segment behind begins. */
static int64_t check_next_base(const struct check_names *names, int64_t base)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < names->list.n; i++) {
		struct str suffix;
		int64_t other;

		if (segment_parse_name(str_of(names->list.v[i]), &other, &suffix) && str_eq_c(suffix, ".log") &&
		    other > base)
			next = MIN(next, other);
	}
	return next;
}

/* ---- indexes ---- */

/* A tail of zeros is what a file allocated in advance has; it says nothing. */
static bool check_is_zero(struct check_run *run, fs_file file, int64_t pos, int64_t size)
{
	uint8_t buf[4096];

	while (pos < size) {
		size_t got;

		if (fs_pread(run->fs, file, buf, (size_t)MIN((int64_t)sizeof(buf), size - pos), pos, FS_WAIT, &got) ||
		    got == 0)
			return false;
		for (size_t i = 0; i < got; i++) {
			if (buf[i])
				return false;
		}
		pos += (int64_t)got;
	}
	return true;
}

static void check_index(struct check_run *run, const char *name, int64_t base, bool is_time)
{
	char path[FS_PATH_MAX];
	int64_t entry_len = is_time ? TIME_ENTRY_LEN : INDEX_ENTRY_LEN;
	struct fs_stat log;
	fs_file file;
	int64_t size = 0;
	uint32_t n = 0;
	enum err err;

	if (!segment_path(path, run->dir, base, ".log"))
		return;
	if (run->fs->ops->stat(run->fs, path, &log)) {
		check_say(run, name, 0, "there is no log that the index belongs to");
		return;
	}
	if (snprintf(path, sizeof(path), "%s/%s", run->dir, name) >= FS_PATH_MAX ||
	    fs_open(run->fs, path, FS_READ, &file)) {
		check_say(run, name, 0, "the file cannot be opened");
		return;
	}
	err = run->fs->ops->file_size(run->fs, file, &size);
	if (!err)
		err = is_time ? time_index_check(run->fs, file, base, INT64_MAX, &n)
			      : index_check(run->fs, file, base, log.size, INT64_MAX, &n);
	if (err)
		check_say(run, name, 0, "the index cannot be read");
	else if (n * entry_len < size && !check_is_zero(run, file, n * entry_len, size))
		check_say(run, name, n * entry_len, "the entry is damaged: the index is made anew at the next start");
	fs_close(run->fs, file);
}

/* ---- small files ---- */

enum check_kind { CHECK_META, CHECK_OFFSETS, CHECK_PARTITION, CHECK_EPOCHS, CHECK_SNAPSHOT, CHECK_CLEAN };

static enum err check_parse(enum check_kind kind, struct bytes text, struct arena *arena)
{
	struct offset_checkpoint offsets = {0};
	struct meta_properties meta;
	struct producer_state producers;
	struct epoch_cache epochs = {0};
	struct uuid id;
	int64_t epoch;
	enum err err;

	switch (kind) {
	case CHECK_META:
		return meta_properties_parse(text, arena, &meta);
	case CHECK_OFFSETS:
		err = offset_checkpoint_parse(text, arena, &offsets);
		vec_deinit(&offsets.entries);
		return err;
	case CHECK_PARTITION:
		return partition_metadata_parse(text, &id);
	case CHECK_EPOCHS:
		err = epoch_cache_decode(&epochs, text);
		epoch_cache_deinit(&epochs);
		return err;
	case CHECK_SNAPSHOT:
		producer_state_init(&producers, 1);
		err = producer_state_decode(&producers, text);
		producer_state_deinit(&producers);
		return err;
	case CHECK_CLEAN:
		return clean_shutdown_parse(text, &epoch);
	}
	UNREACHABLE();
}

/* Tells when it cannot be read; *ret is to be freed. */
static bool check_read_small(struct check_run *run, const char *name, char **ret, size_t *ret_len)
{
	char path[FS_PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", run->dir, name) < FS_PATH_MAX &&
	    !fs_read_all(run->fs, path, SMALL_FILE_MAX, ret, ret_len))
		return true;
	check_say(run, name, 0, "the file cannot be read");
	return false;
}

static void check_small(struct check_run *run, const char *name, enum check_kind kind)
{
	struct arena arena = {0};
	char *p;
	size_t len;

	if (!check_read_small(run, name, &p, &len))
		return;
	if (check_parse(kind, (struct bytes){(const uint8_t *)p, len}, &arena))
		check_say(run, name, 0, "the content is damaged");
	mem_free(p);
	arena_reset(&arena);
}

/* A file that only others can read. */
static void check_judge(struct check_run *run, const char *name)
{
	const char *what;
	char *p;
	size_t len;

	if (!run->check->judge || !check_read_small(run, name, &p, &len))
		return;
	what = run->check->judge(run->check, name, (struct bytes){(const uint8_t *)p, len});
	if (what)
		check_say(run, name, 0, what);
	mem_free(p);
}

/* A snapshot of the metadata is a file of batches. Where one of them is damaged that says it all. */
static void check_metadata_snapshot(struct check_run *run, const char *name)
{
	int64_t found_n = run->check->found_n;

	check_log(run, name, 0, INT64_MAX);
	if (run->check->found_n == found_n)
		check_judge(run, name);
}

static void check_txn_index(struct check_run *run, const char *name, int64_t base)
{
	struct aborted_txns txns = {0};

	if (txn_index_read(run->fs, run->dir, base, &txns))
		check_say(run, name, 0, "the content is damaged");
	for (size_t i = 0; i < txns.list.n; i++) {
		if (aborted_txn_is_sane(&txns.list.v[i], base))
			continue;
		check_say(run, name, (int64_t)i * TXN_ENTRY_LEN, "the entry is of no transaction of this segment");
		break;
	}
	vec_deinit(&txns.list);
}

/* ---- directories ---- */

static void check_partition_file(struct check_run *run, const struct check_names *names, const char *name)
{
	struct str suffix;
	int64_t base;

	run->check->files_n++;
	if (strcmp(name, "partition.metadata") == 0) {
		check_small(run, name, CHECK_PARTITION);
	} else if (strcmp(name, "leader-epoch-checkpoint") == 0) {
		check_small(run, name, CHECK_EPOCHS);
	} else if (check_ends(name, ".checkpoint")) {
		check_metadata_snapshot(run, name);
	} else if (strcmp(name, "quorum-state") == 0) {
		check_judge(run, name);
	} else if (segment_parse_name(str_of(name), &base, &suffix)) {
		if (str_eq_c(suffix, ".log")) {
			check_log(run, name, base, check_next_base(names, base));
		} else if (str_eq_c(suffix, ".index") || str_eq_c(suffix, ".timeindex")) {
			check_index(run, name, base, str_eq_c(suffix, ".timeindex"));
		} else if (str_eq_c(suffix, ".snapshot")) {
			check_small(run, name, CHECK_SNAPSHOT);
		} else if (str_eq_c(suffix, ".txnindex")) {
			check_txn_index(run, name, base);
		} else {
			run->check->files_n--;
		}
	} else {
		run->check->files_n--;
	}
}

static enum err check_partition(struct check_run *run, bool only_sizes)
{
	struct check_names names = {0};
	enum err err = run->fs->ops->list(run->fs, run->dir, check_name, &names);

	if (!err && !only_sizes) {
		/* Segments in their order. */
		if (names.list.n)
			qsort(names.list.v, names.list.n, sizeof(names.list.v[0]), check_cmp);
		check_read_epochs(run);
		check_read_aborted(run, &names);
	}
	for (size_t i = 0; !err && i < names.list.n; i++) {
		char path[FS_PATH_MAX];
		struct fs_stat stat;

		if (!only_sizes)
			check_partition_file(run, &names, names.list.v[i]);
		else if (check_ends(names.list.v[i], ".log") &&
			 snprintf(path, sizeof(path), "%s/%s", run->dir, names.list.v[i]) < FS_PATH_MAX &&
			 !run->fs->ops->stat(run->fs, path, &stat))
			run->check->bytes_total += stat.size;
	}
	check_names_deinit(&names);
	return err;
}

/* Whether the directory has the file; then it counts. */
static bool check_counts(struct check_run *run, const char *name)
{
	char path[FS_PATH_MAX];
	struct fs_stat stat;

	if (snprintf(path, sizeof(path), "%s/%s", run->dir, name) >= FS_PATH_MAX ||
	    run->fs->ops->stat(run->fs, path, &stat))
		return false;
	run->check->files_n++;
	return true;
}

static void check_dir_files(struct check_run *run)
{
	static const struct {
		const char *name;
		enum check_kind kind;
	} files[] = {
		{"meta.properties", CHECK_META},	{RECOVERY_POINT_FILE, CHECK_OFFSETS},
		{LOG_START_FILE, CHECK_OFFSETS},	{HIGH_WATERMARK_FILE, CHECK_OFFSETS},
		{CLEANER_FILE, CHECK_OFFSETS},		{".kafka_cleanshutdown", CHECK_CLEAN},
	};

	for (size_t i = 0; i < ARRAY_N(files); i++) {
		if (check_counts(run, files[i].name))
			check_small(run, files[i].name, files[i].kind);
	}
	if (check_counts(run, "bootstrap.checkpoint"))
		check_metadata_snapshot(run, "bootstrap.checkpoint");
}

static bool check_is_partition(struct fs *fs, const char *path)
{
	struct check_names names = {0};
	bool has_log = false;

	if (!fs->ops->list(fs, path, check_name, &names)) {
		for (size_t i = 0; i < names.list.n; i++)
			has_log = has_log || check_ends(names.list.v[i], ".log");
	}
	check_names_deinit(&names);
	return has_log;
}

/* The partitions of a log directory; those on their way out are left. */
static void check_partitions(struct check_run *run, const struct check_names *names, const char *path,
			     bool only_sizes)
{
	char dir[FS_PATH_MAX];
	struct str topic;
	int32_t index;

	for (size_t i = 0; i < names->list.n; i++) {
		const char *name = names->list.v[i];

		if (log_dir_parse_name(str_of(name), &topic, &index) || check_ends(name, "-delete") ||
		    snprintf(dir, sizeof(dir), "%s/%s", path, name) >= FS_PATH_MAX)
			continue;
		run->dir = dir;
		run->is_copy = check_ends(name, "-future");
		if (check_partition(run, only_sizes) && !only_sizes)
			check_say(run, "", 0, "the directory cannot be listed");
	}
}

static void check_run_deinit(struct check_run *run)
{
	epoch_cache_deinit(&run->epochs);
	vec_deinit(&run->aborted.list);
	producer_state_deinit(&run->producers);
}

enum err dir_check_run(struct dir_check *check, struct fs *fs, const char *path)
{
	struct check_run run = {.check = check, .fs = fs, .dir = path};
	struct check_names names = {.wants_dirs = true};
	enum err err;

	producer_state_init(&run.producers, 1);
	if (check_is_partition(fs, path)) {
		err = check_partition(&run, true);
		if (!err)
			err = check_partition(&run, false);
		check_run_deinit(&run);
		return err;
	}
	err = fs->ops->list(fs, path, check_name, &names);
	if (!err) {
		check_dir_files(&run);
		check_partitions(&run, &names, path, true);
		check_partitions(&run, &names, path, false);
	}
	check_names_deinit(&names);
	check_run_deinit(&run);
	return err;
}
