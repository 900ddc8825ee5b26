/* SPDX-License-Identifier: Apache-2.0 */
/* See broker.h for the order of start and stop. */
#include "broker.h"

#include <stdio.h>

#include "checkpointer.h"
#include "dir_assign.h"
#include "disk_watch.h"
#include "controller_io.h"
#include "lifecycle.h"
#include "log.h"
#include "mem.h"
#include "metadata_check.h"
#include "metadata_store.h"
#include "stray.h"

#define METADATA_VERSION_NEWEST 30

/* ---- directories ---- */

static enum err broker_dir_in_use(const struct broker *broker, const char *path, struct err_text *text)
{
	char owner[128], lock[FS_PATH_MAX + 8];

	snprintf(lock, sizeof(lock), "%s/.lock", path);
	if (!broker->file_owner || !broker->file_owner(lock, owner, sizeof(owner)))
		return ERR_BUSY; /* as the directory's own text says it */
	return err_text_set(text, ERR_BUSY,
			    "ML1012 %s is in use by %s. Stop it, or choose another directory. Nothing was changed.",
			    path, owner);
}

/* A directory that cannot be used is left out, and all else goes on, as long as it is not the one of the metadata. What
 * is a mistake of the configuration (another cluster, in use, not ours) is told instead: false. */
static bool broker_leave_out(struct broker *broker, struct fs *fs, int index, enum err err, const char *what)
{
	struct log_dir *dir = &broker->dirs[index];
	char *path = dir->path;

	if (str_eq(str_of(path), broker->config.eff.metadata_log_dir))
		return false;
	log_error("log_dir.offline",
		  "code=ML1052 dir=%s error=%s text=\"the directory cannot be used: its partitions are offline until "
		  "the node is started with it in order\" cause=\"%s\"",
		  path, err_name(err), what);
	dir->path = NULL;
	log_dir_close(dir, fs);
	dir->path = path;
	dir->is_offline = true;
	return true;
}

/* Opens one directory; its cluster id must be that of the others. */
static enum err broker_open_dir(struct broker *broker, struct fs *fs, struct str path, struct err_text *text)
{
	struct log_dir *dir = &broker->dirs[broker->dirs_n];
	enum log_dir_refusal refusal;
	char name[FS_PATH_MAX];
	enum err err;

	if (broker->dirs_n == BROKER_DIRS_MAX)
		return err_text_set(text, ERR_BAD_CONFIG, "ML1105 log.dirs names more than %d directories",
				    BROKER_DIRS_MAX);
	snprintf(name, sizeof(name), "%.*s", STR_ARGS(path));
	err = log_dir_open(dir, fs, name, broker->cluster_id, broker->node_id, &refusal, text);
	if (err == ERR_INCONSISTENT_CLUSTER_ID && broker->dirs_n == 0)
		return err_text_set(text, err,
				    "ML1010 %s belongs to another cluster than %.*s, which cluster.id (or CLUSTER_ID) "
				    "asks for. Nothing was changed. If you meant this data, remove cluster.id; for a "
				    "new cluster choose an empty directory.",
				    name, STR_ARGS(broker->cluster_id));
	if (refusal == LOG_DIR_UNREADABLE || refusal == LOG_DIR_NO_SPACE) {
		*dir = (struct log_dir){.path = mem_strdup_n(name, strlen(name)), .lock = FS_FILE_NONE,
					.clean_broker_epoch = -1};
		if (broker_leave_out(broker, fs, broker->dirs_n, err, text->text)) {
			broker->dirs_n++;
			return ERR_NONE;
		}
		mem_free(dir->path);
		dir->path = NULL;
	}
	if (err)
		return refusal == LOG_DIR_IN_USE ? broker_dir_in_use(broker, name, text) : err;
	broker->dirs_n++;
	if (dir->is_formatted && !broker->cluster_id.p)
		broker->cluster_id = arena_str(&broker->arena, dir->meta.cluster_id);
	return ERR_NONE;
}

static bool broker_has_dir(const struct broker *broker, struct str path)
{
	for (int i = 0; i < broker->dirs_n; i++) {
		if (str_eq(str_of(broker->dirs[i].path), path))
			return true;
	}
	return false;
}

/* A directory was copied, with all or with nothing in it: which partitions lie where would not be known. */
static enum err broker_check_ids(const struct broker *broker, struct err_text *text)
{
	for (int i = 0; i < broker->dirs_n; i++) {
		for (int j = 0; j < i; j++) {
			const struct log_dir *a = &broker->dirs[j], *b = &broker->dirs[i];
			char id[UUID_TEXT_LEN + 1];

			if (!a->is_formatted || !b->is_formatted || uuid_is_zero(a->meta.directory_id) ||
			    !uuid_eq(a->meta.directory_id, b->meta.directory_id))
				continue;
			uuid_format(a->meta.directory_id, id);
			return err_text_set(text, ERR_BAD_CONFIG,
					    "ML1022 %s and %s have the same directory.id %s in their meta.properties: "
					    "one is a copy of the other. Nothing was changed. Take the copy out of "
					    "log.dirs.", a->path, b->path, id);
		}
	}
	return ERR_NONE;
}

/* The first partition that lies there, in memory of the arena; null: none. */
static struct str broker_first_partition(struct fs *fs, const char *path, struct arena *arena)
{
	struct log_dir_listing listing = {0};
	struct str name = STR_NULL;

	if (log_dir_list(fs, path, arena, &listing))
		return name;
	if (listing.partitions.n > 0)
		name = listing.partitions.v[0].name;
	log_dir_listing_deinit(&listing);
	return name;
}

/* An empty directory for the metadata is formatted, unless this node has been in use: then it is not the right one. */
static enum err broker_check_metadata_dir(const struct broker *broker, struct fs *fs, struct err_text *text)
{
	const char *path = broker->dirs[broker->metadata_dir].path;
	const struct log_dir *used = NULL;
	struct arena arena = {0};
	struct str name = STR_NULL;

	if (!metadata_store_is_blank(fs, path))
		return ERR_NONE;
	for (int i = 0; i < broker->dirs_n; i++) {
		const struct log_dir *dir = &broker->dirs[i];

		if (i == broker->metadata_dir || !dir->is_formatted)
			continue;
		if (!metadata_store_is_blank(fs, dir->path)) {
			arena_reset(&arena);
			return err_text_set(text, ERR_BAD_CONFIG,
					    "ML1023 The metadata of this node lies in %s, but %s is where it is "
					    "configured to be (metadata.log.dir, else the first of log.dirs). Nothing "
					    "was changed. Set metadata.log.dir=%s.", dir->path, path, dir->path);
		}
		if (!name.p) {
			used = dir;
			name = broker_first_partition(fs, dir->path, &arena);
		}
	}
	if (name.p)
		err_text_set(text, ERR_BAD_CONFIG,
			     "ML1023 %s holds no metadata, but %s holds partitions, %.*s for one. Nothing was changed. "
			     "Put the directory with the metadata of this node back, and set metadata.log.dir to it.",
			     path, used->path, STR_ARGS(name));
	arena_reset(&arena);
	return name.p ? ERR_BAD_CONFIG : ERR_NONE;
}

static enum err broker_open_dirs(struct broker *broker, struct fs *fs, struct err_text *text)
{
	const struct broker_effective *eff = &broker->config.eff;
	enum err err = ERR_NONE;

	for (size_t i = 0; !err && i < eff->log_dirs.n; i++) {
		if (!broker_has_dir(broker, eff->log_dirs.v[i]))
			err = broker_open_dir(broker, fs, eff->log_dirs.v[i], text);
	}
	broker->data_dirs_n = broker->dirs_n;
	if (!err && !broker_has_dir(broker, eff->metadata_log_dir))
		err = broker_open_dir(broker, fs, eff->metadata_log_dir, text);
	for (int i = 0; !err && i < broker->dirs_n; i++) {
		if (str_eq(str_of(broker->dirs[i].path), eff->metadata_log_dir))
			broker->metadata_dir = i;
	}
	if (!err)
		err = broker_check_ids(broker, text);
	return err ? err : broker_check_metadata_dir(broker, fs, text);
}

/* This node as the first voter of a fresh quorum. */
static void broker_fresh_voters(const struct broker *broker, struct raft_voters *ret)
{
	struct raft_voter voter = {
		.id = broker->node_id,
		.directory_id = broker->dirs[broker->metadata_dir].meta.directory_id,
		.kraft_version_min = 0,
		.kraft_version_max = 1,
	};

	for (int i = 0; i < broker->acceptors.acceptors_n; i++) {
		const struct acceptor *acceptor = &broker->acceptors.acceptors[i];
		struct raft_endpoint endpoint = {acceptor->name, acceptor->advertised_host, acceptor->advertised_port};

		if (acceptor->kind != API_CONTROLLER)
			continue;
		if (voter.endpoints.n == 0 || !str_eq(voter.endpoints.v[voter.endpoints.n - 1].name, endpoint.name))
			vec_push(&voter.endpoints, endpoint);
	}
	vec_push(&ret->voters, voter);
}

/* As Kafka, a directory without an id gets one; its partitions are found in it and told to the controller. The metadata
 * directory's is in the quorum's voters, and the refusal of the start names it. */
static bool broker_needs_id(const struct broker *broker, int i)
{
	return i != broker->metadata_dir && uuid_is_zero(broker->dirs[i].meta.directory_id);
}

/* Formats what is empty, so that no step comes before the first start. */
static enum err broker_format(struct broker *broker, struct fs *fs, struct err_text *text)
{
	struct reactor *reactor = broker->shards[0].reactor;
	bool fresh = !broker->dirs[broker->metadata_dir].is_formatted;

	if (!broker->cluster_id.p) {
		char id[UUID_TEXT_LEN + 1];

		uuid_format(uuid_random(&reactor->rng), id);
		broker->cluster_id = arena_str(&broker->arena, str_of(id));
	}
	for (int i = 0; i < broker->dirs_n; i++) {
		struct log_dir *dir = &broker->dirs[i];
		enum err err;

		if (dir->is_offline || (dir->is_formatted && !broker_needs_id(broker, i)))
			continue;
		err = log_dir_format(dir, fs, broker->cluster_id, broker->node_id, uuid_random(&reactor->rng),
				     reactor->wall_ms);
		if (err && !broker_leave_out(broker, fs, i, err, "it cannot be formatted"))
			return err_text_set(text, err, "ML1013 %s cannot be formatted: %s", dir->path, err_text(err));
	}
	if (metadata_store_is_blank(fs, broker->dirs[broker->metadata_dir].path)) {
		struct raft_voters voters = {0};
		enum err err;

		broker_fresh_voters(broker, &voters);
		err = metadata_store_format(fs, broker->dirs[broker->metadata_dir].path, &voters, reactor->wall_ms,
					    METADATA_VERSION_NEWEST, text);
		raft_voters_deinit(&voters);
		if (err)
			return err;
	}
	if (fresh)
		log_info("log_dir.format", "cluster=%.*s node=%d", STR_ARGS(broker->cluster_id), broker->node_id);
	return ERR_NONE;
}

static enum err broker_mark_and_read(struct broker *broker, struct fs *fs, struct err_text *text)
{
	const struct found_partition *metadata;
	const char *paths[BROKER_DIRS_MAX];
	enum err err = ERR_NONE;

	broker->found.has_several = broker->dirs_n > 1;

	for (int i = 0; !err && i < broker->dirs_n; i++) {
		if (broker->dirs[i].is_offline)
			continue;
		disk_watch_make_room(fs, broker->dirs[i].path);
		err = log_dir_mark_running(&broker->dirs[i], fs);
		if (err && broker_leave_out(broker, fs, i, err, "it cannot be written")) {
			err = ERR_NONE;
			continue;
		}
		if (err)
			return err_text_set(text, err, "ML1013 %s cannot be written: %s", broker->dirs[i].path,
					    err_text(err));
		for (int d = 0; d < broker->dirs_n; d++)
			paths[d] = broker->dirs[d].path;
		err = found_read_dir(&broker->found, fs, paths, i, text);
		if (err && err != ERR_CORRUPT_FILE && broker_leave_out(broker, fs, i, err, text->text))
			err = ERR_NONE;
	}
	metadata = map_get_str(&broker->found.by_name, STR(METADATA_LOG_NAME));
	broker->metadata_recovery_point = metadata ? metadata->recovery_point : -1;
	/* The epoch is the offset of a record, and after a stop in order all were on the disk. */
	if (broker->dirs[broker->metadata_dir].stop == LOG_DIR_CLEAN &&
	    broker->dirs[broker->metadata_dir].clean_broker_epoch >= 0)
		broker->metadata_recovery_point = MAX(broker->metadata_recovery_point,
						      broker->dirs[broker->metadata_dir].clean_broker_epoch + 1);
	return err;
}

static enum err broker_check_left(const struct broker *broker, struct err_text *text)
{
	for (int i = 0; i < broker->data_dirs_n; i++) {
		if (!broker->dirs[i].is_offline)
			return ERR_NONE;
	}
	return err_text_set(text, ERR_DIR_OFFLINE,
			    "ML1053 None of the directories of log.dirs can be used: see what was said of each. "
			    "Nothing was changed.");
}

/* ---- shards ---- */

static void broker_init_storage(struct broker *broker, struct shard *shard)
{
	const struct broker_config *config = &broker->config;
	struct storage_options options = {
		.durability = config->eff.durability == DURABILITY_SYNCED ? STORAGE_SYNCED : STORAGE_PAGE_CACHE,
		.open_files_max = MAX(config->open_files_max / broker->shards_n, 64),
		.checkpoint_bytes = MIB(256),
		.checkpoint_log_bytes = KIB(512),
		.checkpoint_ms = config->log_flush_offset_checkpoint_interval_ms,
		.full_reserve_bytes = 0,
		.file_delete_delay_ms = config->log_segment_delete_delay_ms,
		.producer_expire_ms = config->producer_id_expiration_ms,
	};

	storage_init(&shard->storage, shard->reactor, &options);
	shard_watch_dirs(shard);
	for (int i = 0; i < broker->dirs_n; i++) {
		struct storage_dir *dir = storage_add_dir(&shard->storage, broker->dirs[i].path,
							  broker->dirs[i].meta.directory_id, broker->dirs[i].stop);

		if (broker->dirs[i].is_offline)
			dir->state = LOG_DIR_OFFLINE;
		dir->rewrites_tail = broker->dirs[i].has_lost_syncs;
		dir->reserve_bytes = disk_watch_reserve(broker, i);
	}
}

enum err broker_open(struct broker *broker, struct node *node, struct broker_config *take_config,
		     struct err_text *text)
{
	struct fs *fs = node->reactors[0].io->fs;
	enum err err;

	broker->config = *take_config;
	*take_config = (struct broker_config){0};
	broker->fixed = &broker->config;
	broker->node = node;
	broker->node_id = broker->config.eff.node_id;
	if (!broker->config.origin[SETTING_CLUSTER_ID].is_null)
		broker->cluster_id = broker->config.cluster_id;
	broker->broker_epoch = -1;
	broker->started_ns = node->reactors[0].now_ns;
	broker->incarnation = uuid_random(&node->reactors[0].rng);
	broker->shards_n = node->reactors_n;
	broker->shards = mem_calloc((size_t)broker->shards_n, sizeof(*broker->shards));
	found_init(&broker->found, node->hash_seed);
	for (int i = 0; i < broker->shards_n; i++)
		shard_init(&broker->shards[i], broker, &node->reactors[i]);
	err = acceptor_bind_all(broker, text);
	if (!err)
		err = broker_open_dirs(broker, fs, text);
	/* Before anything is written. */
	if (!err && !broker->dirs[broker->metadata_dir].is_offline)
		err = metadata_check(fs, broker->dirs[broker->metadata_dir].path, text);
	if (!err)
		err = broker_format(broker, fs, text);
	if (!err)
		err = broker_mark_and_read(broker, fs, text);
	if (!err)
		err = broker_check_left(broker, text);
	if (err)
		return err;
	for (int i = 0; i < broker->shards_n; i++)
		broker_init_storage(broker, &broker->shards[i]);
	broker->checkpointer = checkpointer_new(broker);
	broker->lifecycle = lifecycle_new(broker);
	broker->assigns = dir_assign_new(broker);
	broker->disks = disk_watch_new(broker);
	return controller_io_open(broker, text);
}

void broker_start(struct broker *broker)
{
	acceptor_accept_all(broker, API_CONTROLLER);
	controller_io_start(broker);
}

void broker_stop(struct broker *broker)
{
	lifecycle_stop(broker);
}

static void open_in_background_arrives(struct reactor *reactor, struct msg *msg UNUSED)
{
	shard_open_in_background(reactor->shard);
}

void broker_open_logs_in_background(struct broker *broker)
{
	for (int i = 0; i < broker->shards_n; i++) {
		struct shard *shard = &broker->shards[i];

		shard->open_msg.handle = open_in_background_arrives;
		reactor_send(broker->shards[0].reactor, shard->reactor, &shard->open_msg);
	}
}

bool broker_logs_are_clean(const struct broker *broker, int dir)
{
	for (int i = 0; i < broker->shards_n; i++) {
		if (!shard_is_clean(&broker->shards[i], dir))
			return false;
	}
	return true;
}

void broker_close(struct broker *broker)
{
	struct fs *fs = broker->node->reactors[0].io->fs;

	acceptor_close_all(broker);
	/* After a failure logs are open and work is under way that still refers to them: that memory goes with the
	 * process, and only the directories are given back. */
	for (int i = 0; broker->phase == BROKER_FAILED && i < broker->dirs_n; i++)
		log_dir_close(&broker->dirs[i], fs);
	if (broker->phase == BROKER_FAILED)
		return;
	controller_io_close(broker);
	dir_assign_free(broker->assigns);
	disk_watch_free(broker->disks);
	lifecycle_free(broker->lifecycle);
	checkpointer_free(broker->checkpointer);
	stray_free(broker);
	for (int i = 0; i < broker->shards_n; i++)
		shard_deinit(&broker->shards[i]);
	mem_free(broker->shards);
	for (int i = 0; i < broker->dirs_n; i++)
		log_dir_close(&broker->dirs[i], fs);
	found_deinit(&broker->found);
	acceptor_free_all(broker);
	arena_reset(&broker->arena);
	if (broker->fixed && broker->fixed != &broker->config) {
		broker_config_deinit(broker->fixed);
		mem_free(broker->fixed);
	}
	broker_config_deinit(&broker->config);
}
