/* SPDX-License-Identifier: Apache-2.0 */
/* See metadata_check.h. */
#include "metadata_check.h"

#include <stdio.h>

#include "feature_table.h"
#include "mem.h"
#include "metadata_record.h"
#include "metadata_store.h"
#include "part_log.h"
#include "record.h"
#include "snapshot_file.h"

#define SNAPSHOT_BYTES_MAX ((size_t)1 << 30)

struct metadata_look {
	struct arena arena; /* of one record */
	struct err_text why;
	enum err err;       /* ERR_NOT_SUPPORTED, or ERR_NONE */
	int64_t snapshot_offset;
	int32_t snapshot_epoch;
	bool has_snapshot;
	int64_t records_n;
};

static void look_feature(struct metadata_look *look, const struct feature_level_record *record)
{
	const struct feature_def *def = feature_find(record->name);
	int level = record->feature_level, last = 0;
	bool is_known = level == 0;

	for (int i = 0; def && i < feature_levels_n; i++) {
		if (!str_eq(feature_levels[i].feature, record->name))
			continue;
		last = MAX(last, (int)feature_levels[i].level);
		is_known |= feature_levels[i].level == level;
	}
	if (is_known)
		return;
	if (!def)
		look->err = err_text_set(&look->why, ERR_NOT_SUPPORTED,
					 "the feature %.*s is at level %d, and there is none of that name here",
					 STR_ARGS(record->name), level);
	else if (str_eq_c(record->name, METADATA_VERSION))
		look->err = err_text_set(&look->why, ERR_NOT_SUPPORTED,
					 "metadata.version is %d; this build knows %d (%s) to %d (%s)", level,
					 METADATA_VERSION_MIN,
					 feature_level_name(STR(METADATA_VERSION), METADATA_VERSION_MIN),
					 METADATA_VERSION_MAX,
					 feature_level_name(STR(METADATA_VERSION), METADATA_VERSION_MAX));
	else
		look->err = err_text_set(&look->why, ERR_NOT_SUPPORTED,
					 "the feature %.*s is at level %d; this build knows levels up to %d",
					 STR_ARGS(record->name), level, last);
}

static enum err look_record(void *ctx, struct bytes value)
{
	struct metadata_look *look = ctx;
	struct feature_level_record feature;
	struct metadata_record record;
	enum err err = metadata_record_parse(value, &record, &look->why);

	look->records_n++;
	if (err == ERR_NOT_SUPPORTED)
		look->err = err;
	if (err || record.type != METADATA_FEATURE_LEVEL_RECORD)
		return look->err;
	arena_reset(&look->arena);
	if (codec_decode(record.schema, record.version, record.message, &look->arena, &feature, NULL, NULL) == ERR_NONE)
		look_feature(look, &feature);
	return look->err;
}

static bool look_batch(void *ctx, const struct batch_info *info, struct bytes batch UNUSED)
{
	struct metadata_look *look = ctx;
	struct compress_ctx compress = {0};
	struct scratch plain = {0};
	struct bytes payload;
	struct record_iter it;
	struct record record;

	if (!batch_is_control(info) && info->magic == BATCH_MAGIC_NOW &&
	    batch_payload(info, &compress, &plain, &payload) == ERR_NONE) {
		record_iter_init(&it, info, payload);
		while (look->err == ERR_NONE && record_iter_next(&it, &record))
			(void)look_record(look, record.value);
	}
	scratch_deinit(&plain);
	compress_ctx_deinit(&compress);
	return look->err == ERR_NONE;
}

static bool look_name(void *ctx, const char *name, enum fs_kind kind)
{
	struct metadata_look *look = ctx;

	/* In the order of names: the newest is the last. */
	if (kind == FS_KIND_FILE && snapshot_file_parse_name(name, &look->snapshot_offset, &look->snapshot_epoch))
		look->has_snapshot = true;
	return true;
}

static void look_snapshot(struct metadata_look *look, struct fs *fs, const char *path)
{
	struct snapshot_info info = {0};
	struct err_text text;
	char *content;
	size_t len;

	if (fs_read_all(fs, path, SNAPSHOT_BYTES_MAX, &content, &len))
		return;
	if (snapshot_file_decode((struct bytes){(const uint8_t *)content, len}, look_record, look, &info, &text))
		info.records_n = 0;
	raft_voters_deinit(&info.voters);
	mem_free(content);
}

enum err metadata_check(struct fs *fs, const char *dir, struct err_text *text)
{
	struct metadata_look look = {.snapshot_offset = 0};
	char log_dir[FS_PATH_MAX], path[FS_PATH_MAX + 80], name[64];
	struct err_text unused;

	if (snprintf(log_dir, sizeof(log_dir), "%s/" METADATA_LOG_NAME, dir) >= (int)sizeof(log_dir))
		return ERR_NONE;
	if (fs->ops->list(fs, log_dir, look_name, &look) != ERR_NONE)
		look.has_snapshot = false;
	if (look.has_snapshot) {
		snapshot_file_name(look.snapshot_offset, look.snapshot_epoch, name);
		snprintf(path, sizeof(path), "%s/%s", log_dir, name);
		look_snapshot(&look, fs, path);
	}
	/* A log that ends in the middle of a batch ends there. */
	if (look.err == ERR_NONE &&
	    log_scan(fs, log_dir, look.has_snapshot ? look.snapshot_offset : 0, look_batch, &look, &unused) != ERR_NONE)
		unused.text[0] = '\0';
	if (look.err == ERR_NONE && look.records_n == 0) {
		snprintf(path, sizeof(path), "%s/bootstrap.checkpoint", dir);
		look_snapshot(&look, fs, path);
	}
	arena_reset(&look.arena);
	if (look.err == ERR_NONE)
		return ERR_NONE;
	return err_text_set(text, look.err,
			    "ML1024 The metadata in %s is of a newer version: %s. Nothing was changed. Start a version "
			    "that knows it.", dir, look.why.text);
}
