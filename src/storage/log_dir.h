/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log directory as a whole, at start and at stop: lock, meta.properties, how it was left, which partitions lie
 * in it, the checkpoint files. Sequential code over fs; run at start (before clients) or as IO_WORK.
 *
 * Start:  lock -> read meta.properties (or format an empty directory) -> note how it was left -> remove
 *         .kafka_cleanshutdown, write .moldau_running (boot id), sync  -> list partitions
 * Stop:   (all logs closed and synced) checkpoints -> remove .moldau_running, write .kafka_cleanshutdown -> unlock
 *
 * 1. The clean mark is removed, durably, before anything but the running mark changes, and written only after every
 *    sync succeeded. While both marks are there the stop was clean.
 * 2. A directory that does not fit (in use, foreign files, other cluster or node, unreadable) is left untouched.
 * 3. A sync that failed is noted with the boot: until a clean stop or another boot, what was not synced before is
 *    written again when its log opens.
 * 4. After a power cut (or an unknown stop) the running mark says so, instead of the boot, until every log has been
 *    opened: killed before that, the next start checks the logs just as thoroughly.
 */
#ifndef STORAGE_LOG_DIR_H
#define STORAGE_LOG_DIR_H

#include "checkpoint.h"
#include "fmt.h"
#include "fs.h"
#include "storage.h"

struct log_dir {
	char *path;
	fs_file lock;
	struct meta_properties meta; /* strings live in arena */
	bool is_formatted;           /* meta.properties was there or has been written */
	bool is_offline;             /* the caller's: could not be used at this start, and is not touched */
	enum log_dir_stop stop;
	bool has_lost_syncs;         /* a sync failed in this boot: what was not synced may never reach the disk */
	int64_t clean_broker_epoch;  /* from the clean mark, -1 none */
	struct arena arena;
};

/* Why a directory was refused, for the message with its ML code. */
enum log_dir_refusal {
	LOG_DIR_OK,
	LOG_DIR_IN_USE,         /* ML1012 */
	LOG_DIR_OTHER_CLUSTER,  /* ML1010 */
	LOG_DIR_OTHER_NODE,
	LOG_DIR_FOREIGN,        /* ML1011: files, but no meta.properties */
	LOG_DIR_UNREADABLE,     /* permission, not a directory, damaged meta.properties */
	LOG_DIR_ZOOKEEPER,      /* version 0 */
	LOG_DIR_NO_SPACE,
};

/* Locks and reads. cluster_id null: whatever is there. Creates the directory when missing. Changes nothing else.
 * On refusal: error, *ret_refusal, text says what, why and what to do (with the ML code first). */
enum err log_dir_open(struct log_dir *dir, struct fs *fs, const char *path, struct str cluster_id, int32_t node_id,
		      enum log_dir_refusal *ret_refusal, struct err_text *text) MUST_USE;
/* Writes meta.properties into a directory that has none, or one without directory.id. */
enum err log_dir_format(struct log_dir *dir, struct fs *fs, struct str cluster_id, int32_t node_id,
			struct uuid directory_id, int64_t wall_ms) MUST_USE;
/* Leaves the running mark and takes the clean mark away (invariants 1 and 4). */
enum err log_dir_mark_running(struct log_dir *dir, struct fs *fs) MUST_USE;
/* Every log of the directory `path` has been opened since the start: the running mark names this boot. */
enum err log_dir_mark_checked(const char *path, struct fs *fs) MUST_USE;
/* A sync of something in `path` failed: the kernel may show bytes that no later sync brings to the disk. Said to the
 * next start of the same boot, as far as the directory still takes anything. */
void log_dir_note_lost_sync(const char *path, struct fs *fs);
enum err log_dir_mark_clean(struct log_dir *dir, struct fs *fs, int64_t broker_epoch) MUST_USE;
void log_dir_close(struct log_dir *dir, struct fs *fs);

/* A partition's directory as found. */
struct log_dir_entry {
	struct str name;  /* "orders-4" */
	struct str topic; /* "orders" */
	int32_t partition;
	struct uuid topic_id; /* zero: no partition.metadata; near it when that is damaged */
};

struct log_dir_listing {
	VEC(struct log_dir_entry) partitions;
	VEC(struct str) deletable; /* "...-delete": to be removed */
	VEC(struct str) strays;
	VEC(struct log_dir_entry) futures; /* on their way here from another directory; name is that of the directory */
};

/* Lists; files and directories that are not a partition's are left alone. */
enum err log_dir_list(struct fs *fs, const char *path, struct arena *arena, struct log_dir_listing *ret) MUST_USE;
void log_dir_listing_deinit(struct log_dir_listing *listing);
/* "<topic>-<partition>.<32 hex digits><suffix>", the topic cut where the name would be too long. False when `name` is
 * no partition's or ret_cap does not suffice. */
bool log_dir_away_name(struct str name, const char *suffix, struct uuid unique, char *ret, size_t ret_cap);
/* Renames a partition directory to "<name>.<uuid hex>-stray" / "-delete" and syncs the parent. */
enum err log_dir_rename_away(struct fs *fs, const char *path, struct str name, const char *suffix,
			     struct uuid unique) MUST_USE;
/* "topic-partition", "topic-partition.uuid-delete": the parts. ERR_INVALID_TEXT otherwise. */
enum err log_dir_parse_name(struct str name, struct str *ret_topic, int32_t *ret_partition) MUST_USE;

/* The checkpoint files by name, whole. A missing file is an empty checkpoint. */
enum err log_dir_read_offsets(struct fs *fs, const char *path, const char *file, struct arena *arena,
			      struct offset_checkpoint *ret) MUST_USE;
/* What a file is known to hold, durably; zero-initialised nothing is. */
struct log_dir_written {
	bool is_kept;  /* set by the caller: what lies there when nothing is known yet was synced */
	bool is_known; /* the rest belongs to log_dir_write_offsets */
	uint64_t hash;
	size_t len;
};
/* Writes nothing when the file holds that already. */
enum err log_dir_write_offsets(struct fs *fs, const char *path, const char *file,
			       const struct offset_checkpoint *checkpoint, struct log_dir_written *written) MUST_USE;
#define RECOVERY_POINT_FILE "recovery-point-offset-checkpoint"
#define LOG_START_FILE "log-start-offset-checkpoint"
#define HIGH_WATERMARK_FILE "replication-offset-checkpoint"
#define CLEANER_FILE "cleaner-offset-checkpoint"

#endif
