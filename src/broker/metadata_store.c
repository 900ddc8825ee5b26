/* SPDX-License-Identifier: Apache-2.0 */
/* See metadata_store.h. */
#include "metadata_store.h"

#include <stdio.h>

#include "control.h"
#include "feature_table.h"
#include "format.h"
#include "log.h"
#include "mem.h"
#include "msg/raft_records.h"
#include "part_log.h"
#include "record.h"
#include "replay.h"
#include "snapshot_file.h"

#define SNAPSHOT_BYTES_MAX ((size_t)1 << 30)
#define SNAPSHOTS_KEPT 2

static void metadata_path(char *ret, size_t cap, const char *dir, const char *file)
{
	int len = snprintf(ret, cap, "%s/" METADATA_LOG_NAME "%s%s", dir, file[0] ? "/" : "", file);

	CHECK_OP(len, <, (int)cap);
}

/* ---- formatting ---- */

static enum err metadata_write(struct fs *fs, const char *path, struct bytes content)
{
	enum err err = fs_write_atomic(fs, path, content);

	mem_free((void *)content.p);
	return err;
}

enum err metadata_store_format(struct fs *fs, const char *dir, const struct raft_voters *voters, int64_t wall_ms,
			       int16_t metadata_version, struct err_text *text)
{
	struct arena arena = {0};
	struct format_records records = {0};
	struct bytes content;
	char path[FS_PATH_MAX], name[64];
	enum err err;

	metadata_path(path, sizeof(path), dir, "");
	err = fs_mkdir_all(fs, path);
	if (!err) {
		err = snapshot_file_encode_records(NULL, 0, wall_ms, wall_ms, 0, 1, voters, &content);
		CHECK_OP(err, ==, ERR_NONE);
		snapshot_file_name(0, 0, name);
		metadata_path(path, sizeof(path), dir, name);
		err = metadata_write(fs, path, content);
	}
	if (!err)
		err = fs->ops->sync_dir(fs, dir);
	if (!err) {
		format_bootstrap_records(metadata_version, &arena, &records);
		err = snapshot_file_encode_records(records.values.v, records.values.n, wall_ms, 0, 0, 0, NULL,
						   &content);
		CHECK_OP(err, ==, ERR_NONE);
		snprintf(path, sizeof(path), "%s/bootstrap.checkpoint", dir);
		err = metadata_write(fs, path, content);
	}
	vec_deinit(&records.values);
	arena_reset(&arena);
	if (err)
		return err_text_set(text, err, "ML1063 %s cannot be formatted: %s. Nothing was started", dir,
				    err_text(err));
	return ERR_NONE;
}

struct blank_look {
	bool has_log;      /* or a snapshot of one */
	bool has_first;    /* the 0-0 checkpoint */
};

static bool blank_look_at(void *ctx, const char *name, enum fs_kind kind)
{
	struct blank_look *look = ctx;
	size_t len = strlen(name);
	int64_t offset;
	int32_t epoch;

	if (kind != FS_KIND_FILE)
		return true;
	if (len > 4 && strcmp(name + len - 4, ".log") == 0)
		look->has_log = true;
	if (snapshot_file_parse_name(name, &offset, &epoch)) {
		look->has_log |= offset > 0;
		look->has_first |= offset == 0;
	}
	return true;
}

static enum err blank_no_record(void *ctx UNUSED, struct bytes record UNUSED)
{
	return ERR_EXISTS;
}

/* A 0-0 checkpoint with voters alone; Kafka 4.4 keeps what was bootstrap.checkpoint in it, which must stay. */
static bool blank_first_is_empty(struct fs *fs, const char *dir)
{
	struct snapshot_info info = {0};
	struct err_text text;
	char path[FS_PATH_MAX], name[64], *content;
	size_t len;
	enum err err;

	snapshot_file_name(0, 0, name);
	metadata_path(path, sizeof(path), dir, name);
	if (fs_read_all(fs, path, SNAPSHOT_BYTES_MAX, &content, &len))
		return false;
	err = snapshot_file_decode((struct bytes){(const uint8_t *)content, len}, blank_no_record, NULL, &info, &text);
	raft_voters_deinit(&info.voters);
	mem_free(content);
	return !err;
}

bool metadata_store_is_blank(struct fs *fs, const char *dir)
{
	struct blank_look look = {0};
	struct fs_stat stat;
	char path[FS_PATH_MAX];
	enum err err;

	snprintf(path, sizeof(path), "%s/bootstrap.checkpoint", dir);
	if (fs->ops->stat(fs, path, &stat) != ERR_NOT_FOUND)
		return false;
	metadata_path(path, sizeof(path), dir, "");
	err = fs->ops->list(fs, path, blank_look_at, &look);
	if (err)
		return err == ERR_NOT_FOUND;
	return !look.has_log && (!look.has_first || blank_first_is_empty(fs, dir));
}

/* ---- loading ---- */

struct found_snapshots {
	VEC(struct { int64_t offset; int32_t epoch; }) list; /* name order: oldest first */
};

struct metadata_parts {
	VEC(char *) list;
};

static bool metadata_find_snapshot(void *ctx, const char *name, enum fs_kind kind)
{
	struct found_snapshots *found = ctx;
	int64_t offset;
	int32_t epoch;

	if (kind == FS_KIND_FILE && snapshot_file_parse_name(name, &offset, &epoch)) {
		vec_reserve(&found->list, 1);
		found->list.v[found->list.n].offset = offset;
		found->list.v[found->list.n++].epoch = epoch;
	}
	return true;
}

static bool metadata_find_part(void *ctx, const char *name, enum fs_kind kind)
{
	struct metadata_parts *parts = ctx;
	size_t len = strlen(name);

	if (kind == FS_KIND_FILE && len > 5 && strcmp(name + len - 5, ".part") == 0)
		vec_push(&parts->list, mem_strdup_n(name, len));
	return true;
}

/* Nobody reads them, and nobody else writes here yet. */
static void metadata_remove_parts(const char *metadata_dir, struct fs *fs)
{
	struct metadata_parts parts = {0};
	char path[FS_PATH_MAX];
	enum err err;

	metadata_path(path, sizeof(path), metadata_dir, "");
	err = fs->ops->list(fs, path, metadata_find_part, &parts);
	if (err && err != ERR_NOT_FOUND)
		log_warn("metadata.part_left", "path=%s error=%s", path, err_name(err));
	for (size_t i = 0; i < parts.list.n; i++) {
		metadata_path(path, sizeof(path), metadata_dir, parts.list.v[i]);
		err = fs->ops->unlink(fs, path);
		if (err)
			log_warn("metadata.part_left", "path=%s error=%s", path, err_name(err));
		mem_free(parts.list.v[i]);
	}
	vec_deinit(&parts.list);
}

struct load_ctx {
	struct metadata_load *load;
	struct image_edit *edit;
	struct err_text *text;
	enum err err;
	int64_t timestamp_ms;
	int64_t next_offset;
	int32_t epoch;
};

static enum err metadata_load_record(void *ctx, struct bytes record)
{
	struct load_ctx *load = ctx;

	return image_edit_replay(load->edit, record, load->text);
}

static enum err metadata_load_snapshot(struct metadata_load *load, struct fs *fs, int64_t offset, int32_t epoch)
{
	struct load_ctx ctx = {.load = load, .text = &load->text};
	struct snapshot_info info = {0};
	struct image *empty = image_new_empty();
	char path[FS_PATH_MAX], name[64], *content;
	size_t len;
	enum err err;

	snapshot_file_name(offset, epoch, name);
	metadata_path(path, sizeof(path), load->dir, name);
	err = fs_read_all(fs, path, SNAPSHOT_BYTES_MAX, &content, &len);
	if (err) {
		image_unref(empty);
		return err_text_set(&load->text, err, "%s cannot be read: %s", path, err_text(err));
	}
	ctx.edit = image_edit_begin(empty);
	err = snapshot_file_decode((struct bytes){(const uint8_t *)content, len}, metadata_load_record, &ctx, &info,
				   &load->text);
	mem_free(content);
	if (err) {
		image_edit_drop(ctx.edit);
		raft_voters_deinit(&info.voters);
	} else {
		load->image = image_edit_finish(ctx.edit, offset, epoch, info.last_log_timestamp_ms);
		load->snapshot_offset = offset;
		load->kraft_version = info.kraft_version;
		load->voters = info.voters;
		load->has_voters = info.has_voters;
		load->voters_in_log = info.has_voters && offset > 0;
	}
	image_unref(empty);
	return err;
}

/* The newest snapshot that can be read. */
static enum err metadata_load_snapshots(struct metadata_load *load, struct fs *fs)
{
	struct found_snapshots found = {0};
	char path[FS_PATH_MAX];
	enum err err;

	metadata_path(path, sizeof(path), load->dir, "");
	err = fs->ops->list(fs, path, metadata_find_snapshot, &found);
	load->snapshot_offset = -1;
	for (size_t i = found.list.n; !err && i-- > 0;) {
		err = metadata_load_snapshot(load, fs, found.list.v[i].offset, found.list.v[i].epoch);
		if (!err)
			break;
		log_error("metadata.snapshot", "code=ML1064 offset=%lld text=\"%s\"", (long long)found.list.v[i].offset,
			  load->text.text);
		if (err == ERR_CORRUPT_FILE && i > 0)
			err = ERR_NONE; /* an older one may do; the log check below tells */
	}
	vec_deinit(&found.list);
	if (err == ERR_NOT_FOUND)
		err = ERR_NONE;
	if (!err && !load->image)
		load->image = image_new_empty();
	return err;
}

/* A control batch of the log: who votes, and with which version. */
static enum err metadata_load_control(struct load_ctx *ctx, const struct control_record *control)
{
	struct metadata_load *load = ctx->load;

	if (control->type == CONTROL_KRAFT_VERSION) {
		struct kraft_version_record version;

		if (codec_decode(&kraft_version_record_type, 0, control->value, &load->arena, &version, NULL,
				 ctx->text))
			return ERR_CORRUPT_FILE;
		load->kraft_version = version.kraft_version;
	} else if (control->type == CONTROL_KRAFT_VOTERS) {
		struct raft_voters voters = {0};
		enum err err = raft_voters_decode(control->value, &voters, ctx->text);

		if (err)
			return err;
		raft_voters_deinit(&load->voters);
		load->voters = voters;
		load->has_voters = true;
		load->voters_in_log = true;
	}
	return ERR_NONE;
}

static bool metadata_load_batch(void *arg, const struct batch_info *info, struct bytes batch UNUSED)
{
	struct load_ctx *ctx = arg;
	struct compress_ctx compress = {0};
	struct scratch plain = {0};
	struct bytes payload;
	struct record_iter it;
	struct record record;
	struct control_record control;

	ctx->err = batch_payload(info, &compress, &plain, &payload);
	if (!ctx->err)
		record_iter_init(&it, info, payload);
	while (!ctx->err && record_iter_next(&it, &record)) {
		if (record.offset < ctx->next_offset)
			continue;
		if (!batch_is_control(info))
			ctx->err = image_edit_replay(ctx->edit, record.value, ctx->text);
		else if (!control_parse(&record, &control))
			ctx->err = metadata_load_control(ctx, &control);
	}
	if (!ctx->err)
		ctx->err = it.err;
	scratch_deinit(&plain);
	compress_ctx_deinit(&compress);
	ctx->next_offset = MAX(ctx->next_offset, info->last_offset + 1);
	ctx->epoch = info->leader_epoch;
	ctx->timestamp_ms = info->max_timestamp;
	return !ctx->err;
}

static enum err metadata_load_log(struct metadata_load *load, struct fs *fs)
{
	struct load_ctx ctx = {.load = load, .text = &load->text, .epoch = load->image->epoch,
			       .next_offset = load->image->offset, .timestamp_ms = load->image->timestamp_ms};
	struct image *base = load->image;
	char path[FS_PATH_MAX];
	enum err err;

	metadata_path(path, sizeof(path), load->dir, "");
	ctx.edit = image_edit_begin(base);
	err = log_scan(fs, path, base->offset, metadata_load_batch, &ctx, &load->text);
	if (err == ERR_NOT_FOUND && load->log_end_offset <= base->offset)
		err = ERR_NONE;
	if (!err)
		err = ctx.err;
	if (!err && ctx.next_offset < load->log_end_offset)
		err = err_text_set(&load->text, ERR_CORRUPT_FILE,
				   "the metadata log ends at %lld, offset %lld was expected",
				   (long long)ctx.next_offset, (long long)load->log_end_offset);
	if (err) {
		image_edit_drop(ctx.edit);
		return err;
	}
	load->log_last_epoch = ctx.epoch;
	load->image = image_edit_finish(ctx.edit, ctx.next_offset, ctx.epoch, ctx.timestamp_ms);
	image_unref(base);
	return ERR_NONE;
}

static enum err metadata_load_quorum(struct metadata_load *load, struct fs *fs)
{
	char path[FS_PATH_MAX], *content;
	size_t len;
	enum err err;

	metadata_path(path, sizeof(path), load->dir, "quorum-state");
	err = fs_read_all(fs, path, 1 << 20, &content, &len);
	if (err == ERR_NOT_FOUND)
		return ERR_NONE;
	if (err)
		return err_text_set(&load->text, err, "%s cannot be read: %s", path, err_text(err));
	err = quorum_state_parse((struct bytes){(const uint8_t *)content, len}, &load->quorum, &load->arena);
	mem_free(content);
	if (err)
		return err_text_set(&load->text, ERR_CORRUPT_FILE, "%s is damaged; it holds the vote of this node. "
				    "Restore it from a backup of this directory", path);
	load->has_quorum = true;
	return ERR_NONE;
}

static enum err metadata_keep_bootstrap(void *ctx, struct bytes record)
{
	struct metadata_load *load = ctx;

	vec_push(&load->bootstrap, arena_bytes(&load->arena, record));
	return ERR_NONE;
}

static enum err metadata_load_bootstrap(struct metadata_load *load, struct fs *fs)
{
	struct snapshot_info info = {0};
	char path[FS_PATH_MAX], *content;
	size_t len;
	enum err err;

	snprintf(path, sizeof(path), "%s/bootstrap.checkpoint", load->dir);
	err = fs_read_all(fs, path, SNAPSHOT_BYTES_MAX, &content, &len);
	if (err == ERR_NOT_FOUND)
		return ERR_NONE;
	if (err)
		return err_text_set(&load->text, err, "%s cannot be read: %s", path, err_text(err));
	err = snapshot_file_decode((struct bytes){(const uint8_t *)content, len}, metadata_keep_bootstrap, load, &info,
				   &load->text);
	raft_voters_deinit(&info.voters);
	mem_free(content);
	return err;
}

void metadata_load_run(struct io_op *op, struct fs *fs)
{
	struct metadata_load *load = container_of(op, struct metadata_load, op);

	if (load->cleans)
		metadata_remove_parts(load->dir, fs);
	op->err = metadata_load_snapshots(load, fs);
	if (!op->err)
		op->err = metadata_load_log(load, fs);
	if (!op->err)
		op->err = metadata_load_quorum(load, fs);
	/* A log may end behind the first LeaderChange: then it is still to be brought to its features. */
	if (!op->err && image_feature(load->image, STR(METADATA_VERSION)) == 0)
		op->err = metadata_load_bootstrap(load, fs);
}

void metadata_load_deinit(struct metadata_load *load)
{
	if (load->image)
		image_unref(load->image);
	load->image = NULL;
	raft_voters_deinit(&load->voters);
	quorum_state_deinit(&load->quorum);
	vec_deinit(&load->bootstrap);
	arena_reset(&load->arena);
}

/* ---- saving ---- */

void quorum_save_run(struct io_op *op, struct fs *fs)
{
	struct quorum_save *save = container_of(op, struct quorum_save, op);
	char path[FS_PATH_MAX];

	metadata_path(path, sizeof(path), save->dir, "quorum-state");
	op->err = fs_write_atomic(fs, path, save->content);
}

static enum err snapshot_write(struct snapshot_save *save, struct fs *fs)
{
	char path[FS_PATH_MAX], name[64], part[FS_PATH_MAX + 8], dir[FS_PATH_MAX];
	fs_file file;
	enum err err;

	snapshot_file_name(save->end_offset, save->epoch, name);
	metadata_path(path, sizeof(path), save->dir, name);
	metadata_path(dir, sizeof(dir), save->dir, "");
	snprintf(part, sizeof(part), "%s.part", path);
	err = fs_open(fs, part, FS_WRITE | FS_CREATE | FS_TRUNCATE, &file);
	if (err)
		return err;
	err = fs_pwrite_all(fs, file, save->content.p, save->content.len, 0);
	if (!err)
		err = fs_sync(fs, file);
	fs_close(fs, file);
	if (!err)
		err = fs->ops->rename(fs, part, path);
	if (!err)
		err = fs->ops->sync_dir(fs, dir);
	return err;
}

static void snapshot_remove_old(struct snapshot_save *save, struct fs *fs)
{
	struct found_snapshots found = {0};
	char dir[FS_PATH_MAX];

	metadata_path(dir, sizeof(dir), save->dir, "");
	if (!fs->ops->list(fs, dir, metadata_find_snapshot, &found)) {
		for (size_t i = 0; i + SNAPSHOTS_KEPT < found.list.n; i++) {
			char path[FS_PATH_MAX], name[64];

			snapshot_file_name(found.list.v[i].offset, found.list.v[i].epoch, name);
			metadata_path(path, sizeof(path), save->dir, name);
			if (fs->ops->unlink(fs, path))
				break; /* tried again with the next snapshot */
		}
	}
	vec_deinit(&found.list);
}

void snapshot_save_run(struct io_op *op, struct fs *fs)
{
	struct snapshot_save *save = container_of(op, struct snapshot_save, op);

	op->err = snapshot_write(save, fs);
	if (!op->err)
		snapshot_remove_old(save, fs);
}
