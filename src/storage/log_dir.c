/* SPDX-License-Identifier: Apache-2.0 */
/* Log directories at start and stop, see log_dir.h. */
#include "log_dir.h"

#include <inttypes.h>
#include <stdio.h>

#include "hash.h"
#include "log.h"
#include "mem.h"

#define LOCK_FILE ".lock"
#define META_FILE "meta.properties"
#define CLEAN_FILE ".kafka_cleanshutdown"
#define RUNNING_FILE ".moldau_running"
#define LOST_FILE ".moldau_lost_sync"

#define SMALL_FILE_MAX KIB(64)
#define CHECKPOINT_FILE_MAX MIB(256)
/* A file name of Linux, less what a temporary suffix needs. */
#define NAME_LEN_MAX 251

static bool log_dir_path(char ret[FS_PATH_MAX], const char *dir, const char *name)
{
	int len = snprintf(ret, FS_PATH_MAX, "%s/%s", dir, name);

	return len > 0 && len < FS_PATH_MAX;
}

/* What may lie in a directory before it is formatted. */
struct foreign_search {
	char found[256];
	bool has_meta;
	bool is_dir;
};

static bool log_dir_foreign_entry(void *ctx, const char *name, enum fs_kind kind)
{
	static const char *const known[] = {LOCK_FILE, META_FILE ".tmp", RUNNING_FILE, RUNNING_FILE ".tmp", LOST_FILE,
					    "lost+found",
					    "bootstrap.checkpoint", "bootstrap.checkpoint.tmp"};
	struct foreign_search *search = ctx;

	if (strcmp(name, META_FILE) == 0) {
		search->has_meta = true;
		return false;
	}
	for (size_t i = 0; i < ARRAY_N(known); i++) {
		if (strcmp(name, known[i]) == 0)
			return true;
	}
	if (!search->found[0]) {
		snprintf(search->found, sizeof(search->found), "%s", name);
		search->is_dir = kind == FS_KIND_DIR;
	}
	return true;
}

static enum err log_dir_unreadable(struct log_dir *dir, struct fs *fs, enum err err, const char *what,
				   enum log_dir_refusal *ret_refusal, struct err_text *text)
{
	int number = fs->ops->last_errno(fs);

	if (err == ERR_DISK_FULL) {
		*ret_refusal = LOG_DIR_NO_SPACE;
		return err_text_set(text, err,
				    "ML1013 The disk that holds %s is full: not even %s could be made. "
				    "Free some space and start again. No data was changed.", dir->path, what);
	}
	*ret_refusal = LOG_DIR_UNREADABLE;
	return err_text_set(text, err, "ML1014 %s cannot be used: %s: %s. Nothing was changed. Check that the path is "
			    "right and that this user may read and write it.", dir->path, what,
			    number ? strerror(number) : err_text(err));
}

/* Whether the directory looks like one of ours (or Kafka's), before anything is touched. */
static enum err log_dir_look(struct log_dir *dir, struct fs *fs, enum log_dir_refusal *ret_refusal,
			     struct err_text *text)
{
	struct foreign_search search = {{0}, false, false};
	enum err err = fs_mkdir_all(fs, dir->path);

	if (err)
		return log_dir_unreadable(dir, fs, err, "the directory", ret_refusal, text);
	err = fs->ops->list(fs, dir->path, log_dir_foreign_entry, &search);
	if (err)
		return log_dir_unreadable(dir, fs, err, "reading the directory", ret_refusal, text);
	if (search.has_meta || !search.found[0])
		return ERR_NONE;
	*ret_refusal = LOG_DIR_FOREIGN;
	return err_text_set(text, ERR_EXISTS,
			    "ML1011 %s has files but no meta.properties, so it is not one of ours: "
			    "lost+found is ignored, but %s%s is not. Nothing was changed. Choose an empty directory.",
			    dir->path, search.found, search.is_dir ? "/" : "");
}

static enum err log_dir_lock(struct log_dir *dir, struct fs *fs, enum log_dir_refusal *ret_refusal,
			     struct err_text *text)
{
	char path[FS_PATH_MAX];
	enum err err;

	if (!log_dir_path(path, dir->path, LOCK_FILE))
		return log_dir_unreadable(dir, fs, ERR_TOO_LARGE, "the path is too long", ret_refusal, text);
	err = fs->ops->lock(fs, path, &dir->lock);
	if (err == ERR_BUSY) {
		*ret_refusal = LOG_DIR_IN_USE;
		return err_text_set(text, err,
				    "ML1012 %s is in use by another process (moldau or Kafka). Stop it, or "
				    "choose another directory. Nothing was changed.", dir->path);
	}
	if (err)
		return log_dir_unreadable(dir, fs, err, "the lock file .lock", ret_refusal, text);
	return ERR_NONE;
}

static enum err log_dir_check_meta(struct log_dir *dir, struct str cluster_id, int32_t node_id,
				   enum log_dir_refusal *ret_refusal, struct err_text *text)
{
	const struct meta_properties *meta = &dir->meta;

	if (meta->version == 0) {
		*ret_refusal = LOG_DIR_ZOOKEEPER;
		return err_text_set(text, ERR_NOT_SUPPORTED,
				    "ML1015 %s was written by a Kafka that used ZooKeeper: meta.properties of "
				    "version 0, broker %" PRId32 " of cluster %.*s. Migrate the cluster to KRaft with "
				    "Kafka 3.9 first; moldau explain ML1015 tells each step. Nothing was changed.",
				    dir->path, meta->node_id, STR_ARGS(meta->cluster_id));
	}
	if (cluster_id.p && !str_eq(cluster_id, meta->cluster_id)) {
		*ret_refusal = LOG_DIR_OTHER_CLUSTER;
		return err_text_set(
			text, ERR_INCONSISTENT_CLUSTER_ID,
			"ML1010 %s belongs to cluster %.*s, but this node's other directory to %.*s. Nothing "
			"was changed. Take the one you did not mean out of log.dirs.",
			dir->path, STR_ARGS(meta->cluster_id), STR_ARGS(cluster_id));
	}
	if (node_id >= 0 && node_id != meta->node_id) {
		*ret_refusal = LOG_DIR_OTHER_NODE;
		return err_text_set(text, ERR_BAD_CONFIG,
				    "ML1016 %s belongs to node %" PRId32 ", but this node has "
				    "node.id=%" PRId32 ". Nothing was changed. Set node.id=%" PRId32
				    ", or choose an empty directory.", dir->path, meta->node_id, node_id,
					meta->node_id);
	}
	return ERR_NONE;
}

static enum err log_dir_read_meta(struct log_dir *dir, struct fs *fs, struct str cluster_id, int32_t node_id,
				  enum log_dir_refusal *ret_refusal, struct err_text *text)
{
	char path[FS_PATH_MAX];
	char *p;
	size_t len;
	enum err err;

	CHECK(log_dir_path(path, dir->path, META_FILE));
	err = fs_read_all(fs, path, SMALL_FILE_MAX, &p, &len);
	if (err == ERR_NOT_FOUND)
		return ERR_NONE;
	if (err)
		return log_dir_unreadable(dir, fs, err, "meta.properties", ret_refusal, text);
	err = meta_properties_parse((struct bytes){(const uint8_t *)p, len}, &dir->arena, &dir->meta);
	if (!err) {
		/* The strings may still point into the file. */
		dir->meta.cluster_id = arena_str(&dir->arena, dir->meta.cluster_id);
		dir->is_formatted = true;
	}
	mem_free(p);
	if (err) {
		*ret_refusal = LOG_DIR_UNREADABLE;
		return err_text_set(text, err,
				    "ML1014 %s/meta.properties is damaged: it names no cluster and node. "
				    "Nothing was changed. Restore the file from a backup, or copy that of another log "
				    "directory of this node without its line directory.id, which is each directory's "
				    "own.", dir->path);
	}
	return log_dir_check_meta(dir, cluster_id, node_id, ret_refusal, text);
}

/* What the running mark says instead of a boot id while logs are unchecked since that kind of stop. */
static const char *log_dir_unchecked_mark(enum log_dir_stop stop)
{
	if (stop == LOG_DIR_POWER_CUT)
		return "unchecked since a power cut\n";
	return stop == LOG_DIR_UNKNOWN ? "unchecked since an unknown stop\n" : NULL;
}

static enum log_dir_stop log_dir_unclean_stop(struct log_dir *dir, struct fs *fs)
{
	char path[FS_PATH_MAX], boot[37];
	const char *unknown = log_dir_unchecked_mark(LOG_DIR_UNKNOWN);
	char *p;
	size_t len;
	bool same, is_unknown;

	CHECK(log_dir_path(path, dir->path, RUNNING_FILE));
	if (fs_read_all(fs, path, SMALL_FILE_MAX, &p, &len))
		return LOG_DIR_UNKNOWN;
	same = !fs->ops->boot_id(fs, boot) && len >= 36 && memcmp(p, boot, 36) == 0 &&
		(len == 36 || p[36] == '\n');
	is_unknown = len == strlen(unknown) && memcmp(p, unknown, len) == 0;
	mem_free(p);
	if (is_unknown)
		return LOG_DIR_UNKNOWN;
	return same ? LOG_DIR_KILLED : LOG_DIR_POWER_CUT;
}

void log_dir_note_lost_sync(const char *path, struct fs *fs)
{
	char full[FS_PATH_MAX], boot[37];
	fs_file file;

	if (!log_dir_path(full, path, LOST_FILE) || fs->ops->boot_id(fs, boot) ||
	    fs_open(fs, full, FS_WRITE | FS_CREATE | FS_TRUNCATE, &file))
		return; /* a disk that takes nothing takes no later appends either */
	if (fs_pwrite_all(fs, file, boot, 36, 0))
		log_warn("log_dir.lost_sync", "dir=%s", path);
	fs_close(fs, file);
}

static bool log_dir_has_lost_syncs(const struct log_dir *dir, struct fs *fs)
{
	char path[FS_PATH_MAX], boot[37];
	char *p;
	size_t len;
	bool is_this_boot;

	CHECK(log_dir_path(path, dir->path, LOST_FILE));
	if (fs_read_all(fs, path, SMALL_FILE_MAX, &p, &len))
		return false;
	/* Cut short, or without a boot to compare: as if it were this one. */
	is_this_boot = len < 36 || fs->ops->boot_id(fs, boot) || memcmp(p, boot, 36) == 0;
	mem_free(p);
	return is_this_boot;
}

/* A clean mark that cannot be read counts as none: scanning is always safe. */
static void log_dir_find_stop(struct log_dir *dir, struct fs *fs)
{
	char path[FS_PATH_MAX];
	char *p;
	size_t len;

	dir->clean_broker_epoch = -1;
	CHECK(log_dir_path(path, dir->path, CLEAN_FILE));
	if (!fs_read_all(fs, path, SMALL_FILE_MAX, &p, &len)) {
		enum err err = clean_shutdown_parse((struct bytes){(const uint8_t *)p, len},
						    &dir->clean_broker_epoch);

		mem_free(p);
		if (!err) {
			dir->stop = LOG_DIR_CLEAN;
			return;
		}
		log_warn("log_dir.clean_mark_damaged", "dir=%s", dir->path);
	}
	dir->stop = log_dir_unclean_stop(dir, fs);
}

enum err log_dir_open(struct log_dir *dir, struct fs *fs, const char *path, struct str cluster_id,
		      int32_t node_id,
		      enum log_dir_refusal *ret_refusal, struct err_text *text)
{
	enum err err;

	*dir = (struct log_dir){.path = mem_strdup_n(path, strlen(path)), .lock = FS_FILE_NONE};
	dir->clean_broker_epoch = -1;
	*ret_refusal = LOG_DIR_OK;
	err = log_dir_look(dir, fs, ret_refusal, text);
	if (!err)
		err = log_dir_lock(dir, fs, ret_refusal, text);
	if (!err)
		err = log_dir_read_meta(dir, fs, cluster_id, node_id, ret_refusal, text);
	if (err) {
		log_dir_close(dir, fs);
		return err;
	}
	if (dir->is_formatted)
		log_dir_find_stop(dir, fs);
	else
		dir->stop = LOG_DIR_CLEAN;
	dir->has_lost_syncs = dir->stop != LOG_DIR_CLEAN && log_dir_has_lost_syncs(dir, fs);
	return ERR_NONE;
}

enum err log_dir_format(struct log_dir *dir, struct fs *fs, struct str cluster_id, int32_t node_id,
			struct uuid directory_id, int64_t wall_ms)
{
	struct meta_properties meta = {.version = 1, .node_id = node_id, .directory_id = directory_id};
	char path[FS_PATH_MAX];
	enum err err;

	CHECK(!dir->is_formatted || uuid_is_zero(dir->meta.directory_id));
	meta.cluster_id = arena_str(&dir->arena, cluster_id);
	CHECK(log_dir_path(path, dir->path, META_FILE));
	err = fs_write_atomic(fs, path, meta_properties_encode(&meta, wall_ms, &dir->arena));
	/* Whoever made the directory may have died before its name was safe. */
	if (!err)
		err = fs_sync_parent(fs, dir->path);
	if (err)
		return err;
	dir->meta = meta;
	dir->is_formatted = true;
	return ERR_NONE;
}

static enum err log_dir_remove_mark(struct log_dir *dir, struct fs *fs, const char *name)
{
	char path[FS_PATH_MAX];
	enum err err;

	CHECK(log_dir_path(path, dir->path, name));
	err = fs->ops->unlink(fs, path);
	if (err == ERR_NOT_FOUND)
		return ERR_NONE;
	return err ? err : fs->ops->sync_dir(fs, dir->path);
}

/* Also when it was written by another life of the node. */
static bool log_dir_has_content(struct fs *fs, const char *full, struct bytes content)
{
	char *there = NULL;
	size_t len = 0;
	bool is_same = !fs_read_all(fs, full, content.len, &there, &len) && len == content.len &&
		       memcmp(there, content.p, len) == 0;

	mem_free(there);
	return is_same;
}

/* A mark that is there takes no room, which a disk that was full when the process died may not have. */
static enum err log_dir_write_mark(const char *dir, struct fs *fs, const char *path, struct bytes content)
{
	if (log_dir_has_content(fs, path, content))
		return fs->ops->sync_dir(fs, dir);
	return fs_write_atomic(fs, path, content);
}

/* The running mark comes first: an end between the two would be of no known kind, which costs a look at every log
 * behind its recovery point, and no more. That the clean mark is gone durably before anything is written is what
 * counts: it would come back with a power cut, and indexes that were never synced would be believed. */
enum err log_dir_mark_running(struct log_dir *dir, struct fs *fs)
{
	const char *unchecked = log_dir_unchecked_mark(dir->stop);
	char path[FS_PATH_MAX];
	enum err err;

	CHECK(log_dir_path(path, dir->path, RUNNING_FILE));
	if (unchecked)
		err = log_dir_write_mark(dir->path, fs, path,
					 (struct bytes){(const uint8_t *)unchecked, strlen(unchecked)});
	else
		err = log_dir_mark_checked(dir->path, fs);
	if (!err)
		err = log_dir_remove_mark(dir, fs, CLEAN_FILE);
	if (!err && !dir->has_lost_syncs)
		err = log_dir_remove_mark(dir, fs, LOST_FILE);
	return err;
}

enum err log_dir_mark_checked(const char *dir, struct fs *fs)
{
	char path[FS_PATH_MAX], boot[38];

	CHECK(log_dir_path(path, dir, RUNNING_FILE));
	/* Without a boot id the next start assumes the worst. */
	if (fs->ops->boot_id(fs, boot))
		memset(boot, '?', 36);
	boot[36] = '\n';
	return log_dir_write_mark(dir, fs, path, (struct bytes){(const uint8_t *)boot, 37});
}

enum err log_dir_mark_clean(struct log_dir *dir, struct fs *fs, int64_t broker_epoch)
{
	char path[FS_PATH_MAX];
	struct bytes content = clean_shutdown_encode(broker_epoch, &dir->arena);
	enum err err;

	CHECK(log_dir_path(path, dir->path, CLEAN_FILE));
	err = fs_write_atomic(fs, path, content);
	return err ? err : log_dir_remove_mark(dir, fs, RUNNING_FILE);
}

void log_dir_close(struct log_dir *dir, struct fs *fs)
{
	/* .lock stays: removing it would let two processes hold locks on two files of one name. */
	if (dir->path)
		fs_close(fs, dir->lock);
	dir->lock = FS_FILE_NONE;
	mem_free(dir->path);
	dir->path = NULL;
	arena_reset(&dir->arena);
}

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!strchr("0123456789abcdef", s.p[i]) || !s.p[i])
			return false;
	}
	return true;
}

static bool str_ends(struct str s, struct str suffix)
{
	return s.len >= suffix.len && memcmp(s.p + s.len - suffix.len, suffix.p, suffix.len) == 0;
}

/* Cuts ".<32 hex digits><suffix>" off the name. */
static bool log_dir_cut_suffix(struct str *name, struct str suffix)
{
	size_t cut = 33 + suffix.len;

	if (name->len <= cut || !str_ends(*name, suffix) || name->p[name->len - cut] != '.')
		return false;
	if (!is_hex((struct str){name->p + name->len - cut + 1, 32}))
		return false;
	name->len -= cut;
	return true;
}

enum err log_dir_parse_name(struct str name, struct str *ret_topic, int32_t *ret_partition)
{
	size_t dash;
	int32_t partition;
	struct str digits;

	if (!log_dir_cut_suffix(&name, STR("-delete")) && !log_dir_cut_suffix(&name, STR("-stray")))
		log_dir_cut_suffix(&name, STR("-future"));
	for (dash = name.len; dash > 0 && name.p[dash - 1] != '-'; dash--)
		;
	if (dash < 2 || dash == name.len)
		return ERR_INVALID_TEXT;
	digits = (struct str){name.p + dash, name.len - dash};
	if (digits.p[0] < '0' || digits.p[0] > '9' || parse_i32(digits, &partition))
		return ERR_INVALID_TEXT;
	*ret_topic = (struct str){name.p, dash - 1};
	*ret_partition = partition;
	return ERR_NONE;
}

struct log_dir_list_ctx {
	struct fs *fs;
	const char *path;
	struct arena *arena;
	struct log_dir_listing *listing;
};

static struct uuid log_dir_topic_id(struct fs *fs, const char *dir, const char *name)
{
	char path[FS_PATH_MAX];
	struct uuid id = UUID_ZERO;
	char *p;
	size_t len;

	if (snprintf(path, sizeof(path), "%s/%s/partition.metadata", dir, name) >= FS_PATH_MAX)
		return UUID_ZERO;
	if (fs_read_all(fs, path, SMALL_FILE_MAX, &p, &len))
		return UUID_ZERO;
	if (partition_metadata_parse((struct bytes){(const uint8_t *)p, len}, &id))
		id = partition_metadata_guess((struct bytes){(const uint8_t *)p, len});
	mem_free(p);
	return id;
}

static bool log_dir_list_entry(void *ctx, const char *name, enum fs_kind kind)
{
	struct log_dir_list_ctx *list = ctx;
	struct log_dir_entry entry = {.name = str_of(name)};
	struct str name_here;

	if (kind != FS_KIND_DIR)
		return true;
	if (str_ends(entry.name, STR("-delete")) || str_ends(entry.name, STR("-stray"))) {
		if (log_dir_parse_name(entry.name, &entry.topic, &entry.partition))
			return true;
		name_here = arena_str(list->arena, entry.name);
		if (str_ends(entry.name, STR("-delete")))
			vec_push(&list->listing->deletable, name_here);
		else
			vec_push(&list->listing->strays, name_here);
		return true;
	}
	if (str_ends(entry.name, STR("-future"))) {
		entry.name = arena_str(list->arena, entry.name);
		if (!log_dir_parse_name(entry.name, &entry.topic, &entry.partition))
			vec_push(&list->listing->futures, entry);
		return true;
	}
	entry.name = arena_str(list->arena, entry.name);
	if (log_dir_parse_name(entry.name, &entry.topic, &entry.partition))
		return true;
	entry.topic_id = log_dir_topic_id(list->fs, list->path, name);
	vec_push(&list->listing->partitions, entry);
	return true;
}

enum err log_dir_list(struct fs *fs, const char *path, struct arena *arena, struct log_dir_listing *ret)
{
	struct log_dir_listing listing = {0};
	struct log_dir_list_ctx list = {fs, path, arena, &listing};
	enum err err = fs->ops->list(fs, path, log_dir_list_entry, &list);

	if (err) {
		log_dir_listing_deinit(&listing);
		return err;
	}
	*ret = listing;
	return ERR_NONE;
}

void log_dir_listing_deinit(struct log_dir_listing *listing)
{
	vec_deinit(&listing->partitions);
	vec_deinit(&listing->deletable);
	vec_deinit(&listing->strays);
	vec_deinit(&listing->futures);
}

bool log_dir_away_name(struct str name, const char *suffix, struct uuid unique, char *ret, size_t ret_cap)
{
	size_t extra = 33 + strlen(suffix);
	struct str topic;
	int32_t partition;
	int len;

	if (log_dir_parse_name(name, &topic, &partition))
		return false;
	/* As Kafka does it: a name that would grow too long loses the end of its topic. */
	if (name.len + extra > NAME_LEN_MAX)
		topic.len -= MIN(topic.len - 1, name.len + extra - NAME_LEN_MAX);
	len = snprintf(ret, ret_cap, "%.*s-%" PRId32 ".%016" PRIx64 "%016" PRIx64 "%s", STR_ARGS(topic),
		       partition,
		       unique.hi, unique.lo, suffix);
	return len > 0 && (size_t)len < ret_cap;
}

enum err log_dir_rename_away(struct fs *fs, const char *path, struct str name, const char *suffix,
			     struct uuid unique)
{
	char from[FS_PATH_MAX], to[FS_PATH_MAX], away[NAME_LEN_MAX + 8];
	enum err err;

	if (!log_dir_away_name(name, suffix, unique, away, sizeof(away)))
		return ERR_INVALID_TEXT;
	if (snprintf(from, sizeof(from), "%s/%.*s", path, STR_ARGS(name)) >= FS_PATH_MAX)
		return ERR_TOO_LARGE;
	if (snprintf(to, sizeof(to), "%s/%s", path, away) >= FS_PATH_MAX)
		return ERR_TOO_LARGE;
	err = fs->ops->rename(fs, from, to);
	return err ? err : fs->ops->sync_dir(fs, path);
}

enum err log_dir_read_offsets(struct fs *fs, const char *path, const char *file, struct arena *arena,
			      struct offset_checkpoint *ret)
{
	char full[FS_PATH_MAX];
	char *p;
	size_t len;
	enum err err;

	if (!log_dir_path(full, path, file))
		return ERR_TOO_LARGE;
	err = fs_read_all(fs, full, CHECKPOINT_FILE_MAX, &p, &len);
	if (err == ERR_NOT_FOUND) {
		*ret = (struct offset_checkpoint){0};
		return ERR_NONE;
	}
	if (err)
		return err;
	err = offset_checkpoint_parse((struct bytes){(const uint8_t *)p, len}, arena, ret);
	mem_free(p);
	return err;
}

enum err log_dir_write_offsets(struct fs *fs, const char *path, const char *file,
			       const struct offset_checkpoint *checkpoint, struct log_dir_written *written)
{
	struct arena arena = {0};
	char full[FS_PATH_MAX];
	struct bytes content;
	enum err err = ERR_NONE;
	uint64_t hash;

	if (!log_dir_path(full, path, file))
		return ERR_TOO_LARGE;
	content = offset_checkpoint_encode(checkpoint, &arena);
	hash = hash_bytes(content.p, content.len, 0);
	if (written->is_known ? written->hash != hash || written->len != content.len
			      : !written->is_kept || !log_dir_has_content(fs, full, content))
		err = fs_write_atomic(fs, full, content);
	/* After an error nobody knows what is there. */
	*written = (struct log_dir_written){.hash = hash, .len = content.len, .is_known = !err};
	arena_reset(&arena);
	return err;
}
