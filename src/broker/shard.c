/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard follows the image: what changed between two images decides which partitions it opens, leads, and closes.
 */
#include "shard.h"

#include "broker.h"
#include "coordinator_io.h"
#include "dir_assign.h"
#include "disk_watch.h"
#include "checkpointer.h"
#include "cleaner.h"
#include "client_quota.h"
#include "fetch_session.h"
#include "housekeeper.h"
#include "lifecycle.h"
#include "log.h"
#include "mover.h"
#include "placement_dir.h"
#include "producer_ids.h"
#include "replay.h"
#include "scrubber.h"
#include "telemetry.h"
#include "topic_settings.h"

/* What compression contexts may keep between batches, bytes each: one large batch does not stay for ever. */
#define COMPRESS_KEEP ((size_t)4 << 20)
#define SHARD_PARTIAL_BLOCK ((size_t)4096)

int shard_of_partition(int reactors_n, struct uuid topic_id, int32_t partition)
{
	uint64_t hash;

	if (reactors_n == 1)
		return 0;
	hash = hash_u64((uint64_t)partition, hash_uuid(topic_id, 0));
	return 1 + (int)(hash % (uint64_t)(reactors_n - 1));
}

struct partition *shard_partition(struct shard *shard, struct uuid topic_id, int32_t partition)
{
	struct shard_topic *topic = map_get_uuid(&shard->topics, topic_id);

	if (!topic || partition < 0 || partition >= topic->partitions_n)
		return NULL;
	return topic->partitions[partition];
}

/* ---- partitions ---- */


static void shard_removed(struct shard *shard, int n)
{
	CHECK_OP(shard->removing_n, >=, n);
	shard->removing_n -= n;
	if (shard->removing_n == 0 && shard->settled)
		shard->settled(shard);
}

static void shard_forget(struct shard *shard);

/* Where the files could not be written the directory is out of order, and begins nothing of any name. */
static void shard_forgotten(struct checkpoint_wait *wait, enum err err UNUSED)
{
	struct shard *shard = container_of(wait, struct shard, forget);
	int n = shard->forgotten_n;

	shard->forgotten_n = 0;
	shard_removed(shard, n);
	if (shard->renamed_n > 0)
		shard_forget(shard);
}

static void shard_forget(struct shard *shard)
{
	shard->forgotten_n = shard->renamed_n;
	shard->renamed_n = 0;
	shard->forget.dir = 0;
	shard->forget.done = shard_forgotten;
	checkpointer_save(shard, &shard->forget);
}

/* The files of a removed partition are out of the way. Its marks follow, which a partition of the same name would be
 * taken to have after a crash: one that begins at a start of the old log has none of the records below. */
static void shard_one_renamed(void *ctx)
{
	struct shard *shard = ctx;

	shard->renamed_n++;
	if (shard->forgotten_n == 0)
		shard_forget(shard);
}

/* A closing partition's log is closed: its files go, and so does it. */
static void shard_partition_closed(struct shard *shard, struct partition *partition)
{
	int dir = partition->log->dir->index;

	list_remove(&partition->link);
	if (partition->log->state == PART_LOG_CLOSED || partition->log->dir->state != LOG_DIR_OFFLINE) {
		part_log_delete(partition->log, shard_one_renamed, shard);
		partition->log = NULL;
	} else {
		shard_removed(shard, 1); /* its directory failed: the files stay where they are */
	}
	placement_dir_forget(shard, dir);
	partition_free(partition);
}

static void shard_partition_free_later(struct deferred *deferred)
{
	struct partition *partition = container_of(deferred, struct partition, free_later);

	shard_partition_closed(partition->ctx, partition);
}

void shard_partition_log_changed(struct partition *partition)
{
	struct shard *shard = partition->ctx;
	enum part_log_state state = partition->log->state;

	if (partition->is_opening && state != PART_LOG_OPENING) {
		partition->is_opening = false;
		shard->opening_n--;
		shard_open_more(shard);
	}
	if (partition->move)
		mover_log_changed(partition);
	if (partition->state != PARTITION_STOPPED || partition->is_held)
		return;
	if (state == PART_LOG_OPEN)
		partition_close(partition);
	else if (partition->is_deleted && (state == PART_LOG_CLOSED || state == PART_LOG_FAILED))
		reactor_defer(shard->reactor, &partition->free_later, shard_partition_free_later);
}

struct metrics_topic *shard_topic_metrics(struct shard *shard, struct uuid topic_id)
{
	struct shard_topic *topic = map_get_uuid(&shard->topics, topic_id);

	return topic ? &topic->metrics : NULL;
}

static void shard_partition_add(struct shard *shard, const struct image *image, const struct topic_image *topic,
				int32_t index, const struct partition_config *config)
{
	struct shard_topic *own = map_get_uuid(&shard->topics, topic->id);
	struct storage_dir *dir = placement_dir_choose(shard, image, topic, index);
	struct partition *partition;

	if (!dir)
		return;
	partition = partition_new(&shard->storage, dir, topic, index, config);
	partition->ctx = shard;
	partition->log_changed = shard_partition_log_changed;
	placement_dir_checkpoints(shard, partition);
	own->partitions[index] = partition;
	list_push_back(&shard->unopened, &partition->link);
	partition->is_unopened = true;
	shard->unopened_n++;
	mover_resume(shard, partition);
}

static void shard_partition_follow(struct shard *shard, struct partition *partition,
				   const struct partition_image *image)
{
	if (image->leader == shard->broker->node_id) {
		if (image->leader_epoch > partition->leader_epoch)
			partition_become_leader(partition, image->leader_epoch);
	} else {
		partition_resign(partition, image->leader_epoch);
	}
}

static bool shard_has_replica(const struct shard *shard, const struct partition_image *image)
{
	for (int32_t i = 0; image && i < image->replicas_n; i++) {
		if (image->replicas[i] == shard->broker->node_id)
			return true;
	}
	return false;
}

static void shard_partition_remove(struct shard *shard, struct shard_topic *topic, int32_t index)
{
	struct partition *partition = topic->partitions[index];

	if (!partition)
		return;
	topic->partitions[index] = NULL;
	shard->unopened_n -= partition->is_unopened;
	partition->is_unopened = false;
	list_remove(&partition->link);
	list_push_back(&shard->closing, &partition->link);
	partition->is_deleted = true;
	mover_forget(partition);
	shard->removing_n++;
	partition_stop(partition, ERR_UNKNOWN_TOPIC_OR_PARTITION);
	shard_partition_log_changed(partition);
}

static void shard_topic_removed(struct shard *shard, const struct topic_image *image)
{
	struct shard_topic *topic = map_remove_uuid(&shard->topics, image->id);

	coordinator_io_topic_deleted(shard, image->name);
	if (!topic)
		return;
	for (int32_t i = 0; i < topic->partitions_n; i++)
		shard_partition_remove(shard, topic, i);
	mem_free(topic->partitions);
	mem_free(topic);
}

static struct shard_topic *shard_topic_get(struct shard *shard, const struct topic_image *image)
{
	struct shard_topic *topic = map_get_uuid(&shard->topics, image->id);

	if (!topic) {
		topic = MEM_NEW(struct shard_topic);
		topic->id = image->id;
		map_put_uuid(&shard->topics, topic->id, topic);
	}
	if (image->partitions_n > topic->partitions_n) {
		topic->partitions = mem_realloc(topic->partitions,
						(size_t)image->partitions_n * sizeof(*topic->partitions));
		for (int32_t i = topic->partitions_n; i < image->partitions_n; i++)
			topic->partitions[i] = NULL;
		topic->partitions_n = image->partitions_n;
	}
	return topic;
}

struct shard_apply {
	struct shard *shard;
	struct image *image;
};

static void shard_topic_changed(struct shard_apply *apply, const struct topic_image *image)
{
	struct shard *shard = apply->shard;
	struct shard_topic *topic = shard_topic_get(shard, image);
	struct partition_config config;
	bool has_config = false;

	for (int32_t i = 0; i < image->partitions_n; i++) {
		const struct partition_image *partition = topic_partition(image, i);

		if (shard_of_partition(shard->broker->shards_n, image->id, i) != shard->index)
			continue;
		if (!shard_has_replica(shard, partition)) {
			shard_partition_remove(shard, topic, i);
			continue;
		}
		if (!topic->partitions[i]) {
			if (!has_config)
				topic_settings_build(&shard->live.topic_base, apply->image, image->name, &config);
			has_config = true;
			shard_partition_add(shard, apply->image, image, i, &config);
		}
		if (topic->partitions[i])
			shard_partition_follow(shard, topic->partitions[i], partition);
	}
}

static void shard_topic_diff(void *ctx, const struct topic_image *before, const struct topic_image *after)
{
	struct shard_apply *apply = ctx;

	if (!after)
		shard_topic_removed(apply->shard, before);
	else
		shard_topic_changed(apply, after);
}

void shard_apply_image(struct shard *shard, struct image *image)
{
	struct shard_apply apply = {.shard = shard, .image = image};

	live_settings_follow(shard, shard->image, image);
	image_diff_topics(shard->image, image, shard_topic_diff, &apply);
	if (shard->index == 0 && !image_quotas_same(shard->image, image))
		conn_limits_follow(&shard->broker->acceptors.limits, image);
	client_quotas_follow(shard, image);
	telemetry_follow(shard->telemetry, image);
	shard->image = image;
	dir_assign_flush(shard);
	coordinator_io_follow(shard);
	shard_open_more(shard);
}

/* ---- directories ---- */

/* The news that a directory changed, for a reactor that did not see it. */
struct dir_news {
	struct msg msg;
	int dir;
	enum log_dir_state state;
};

static void dir_news_arrives(struct reactor *reactor, struct msg *msg)
{
	struct dir_news *news = container_of(msg, struct dir_news, msg);

	struct storage_dir *dir = &reactor->shard->storage.dirs[news->dir];
	enum log_dir_state before = dir->state;

	storage_dir_set_state(dir, news->state);
	if (reactor->shard->index == 0 && dir->state == LOG_DIR_OFFLINE && before != LOG_DIR_OFFLINE)
		lifecycle_dir_failed(reactor->shard->broker, news->dir);
	if (reactor->shard->index == 0 && dir->state == LOG_DIR_FULL && before == LOG_DIR_ONLINE)
		disk_watch_look(reactor->shard->broker->disks);
	mem_free(news);
}

static void shard_dir_log(const struct storage_dir *dir, enum err err)
{
	switch (dir->state) {
	case LOG_DIR_ONLINE:
		log_info("log_dir.online", "dir=%s text=\"there is space again: writes go on\"", dir->path);
		return;
	case LOG_DIR_FULL:
		log_warn("log_dir.full",
			 "code=ML1051 dir=%s text=\"the disk is full: writes are refused, reads go on. Free "
			 "space; writes resume by themselves\"",
			 dir->path);
		return;
	case LOG_DIR_OFFLINE:
		log_error("log_dir.offline",
			  "code=ML1052 dir=%s error=%s text=\"the directory failed: its partitions are "
			  "offline until the node is started with a healthy disk\"",
			  dir->path, err_name(err));
		return;
	default:
		UNREACHABLE();
	}
}

static void shard_dir_changed(struct storage *storage, struct storage_dir *dir, enum err err)
{
	struct shard *shard = storage->ctx;

	shard_dir_log(dir, err);
	if (shard->index == 0 && dir->state == LOG_DIR_OFFLINE)
		lifecycle_dir_failed(shard->broker, dir->index);
	if (shard->index == 0 && dir->state != LOG_DIR_OFFLINE)
		disk_watch_look(shard->broker->disks);
	/* Each shard finds out by itself that there is space again: such news could be older than "full" on its way
	 * back. */
	if (dir->state == LOG_DIR_ONLINE)
		return;
	for (int i = 0; i < shard->broker->shards_n; i++) {
		struct dir_news *news;

		if (i == shard->index)
			continue;
		news = MEM_NEW(struct dir_news);
		news->dir = dir->index;
		news->state = dir->state;
		news->msg.handle = dir_news_arrives;
		reactor_send(shard->reactor, shard->broker->shards[i].reactor, &news->msg);
	}
}

static void shard_checkpoint_due(struct storage *storage)
{
	checkpointer_due(storage->ctx);
}

void shard_watch_dirs(struct shard *shard)
{
	shard->storage.ctx = shard;
	shard->storage.dir_changed = shard_dir_changed;
	shard->storage.checkpoint_due = shard_checkpoint_due;
}

/* ---- life ---- */

#define SHARD_IDLE_CHECK_NS (NS_PER_S / 2)

/* Closes connections that were quiet for longer than connections.max.idle.ms; the least active stand first. */
static void shard_check_idle(struct timer *timer)
{
	struct shard *shard = container_of(timer, struct shard, idle_timer);
	int64_t limit_ns = shard->config->connections_max_idle_ms * NS_PER_MS;
	bool is_short = budget_is_short_of_frames(&shard->budget, &shard->request_bufs);

	list_for_each(node, next, &shard->conns) {
		struct conn *conn = list_entry(node, struct conn, link);

		if (shard->config->connections_max_idle_ms < 0 ||
		    shard->reactor->now_ns - conn->active_ns < limit_ns)
			break;
		/* Answers that nobody takes hold up the requests behind them for ever. */
		if ((list_is_empty(&conn->requests) || conn->send.is_under_way) && conn->state == CONN_OPEN)
			conn_close(conn, "idle for longer than connections.max.idle.ms");
	}
	if (budget_is_short_of_work(&shard->budget))
		conns_close_stalled(shard);
	budget_wake(&shard->budget, is_short ? 16 : INT32_MAX);
	if (shard->index == 0)
		acceptor_check_limits(shard->broker);
	telemetry_tick(shard->telemetry);
	compress_ctx_trim(shard->compress, COMPRESS_KEEP);
	reactor_timer(shard->reactor, &shard->idle_timer, SHARD_IDLE_CHECK_NS, shard_check_idle);
}

void shard_init(struct shard *shard, struct broker *broker, struct reactor *reactor)
{
	uint64_t seed = reactor->node->hash_seed;

	shard->broker = broker;
	shard->reactor = reactor;
	shard->index = reactor->index;
	reactor->shard = shard;
	live_settings_init(shard);
	map_init(&shard->topics, MAP_UUID, seed);
	list_init(&shard->conns);
	list_init(&shard->free_requests);
	list_init(&shard->unopened);
	list_init(&shard->opened);
	list_init(&shard->closing);
	buf_pool_init(&shard->request_bufs, SHARD_PARTIAL_BLOCK, 256);
	budget_init(&shard->budget, broker->config.queued_max_request_bytes, broker->shards_n);
	shard->compress = MEM_NEW(struct compress_ctx);
	shard->sessions = fetch_sessions_new(shard);
	shard->producer_ids = producer_ids_new(shard);
	shard->telemetry = telemetry_new(shard);
	shard->coordinators = coordinator_io_new(shard);
	shard->keeper = housekeeper_new(shard);
	shard->cleaner = cleaner_new(shard);
	shard->scrubber = scrubber_new(shard);
	shard->mover = mover_new(shard);
	reactor_timer(reactor, &shard->idle_timer, SHARD_IDLE_CHECK_NS, shard_check_idle);
}

void shard_drain(struct shard *shard)
{
	shard->is_stopping = true;
	list_for_each(node, next, &shard->conns)
		conn_drain(list_entry(node, struct conn, link));
	coordinator_io_drain(shard);
}

bool shard_is_drained(const struct shard *shard)
{
	return shard->conns_n == 0 && shard->requests_n == 0;
}

void shard_stop(struct shard *shard)
{
	uint32_t it = 0;
	struct shard_topic *topic;

	shard->is_stopping = true;
	housekeeper_stop(shard->keeper);
	cleaner_stop(shard->cleaner);
	scrubber_stop(shard->scrubber);
	list_for_each(node, next, &shard->conns)
		conn_close(list_entry(node, struct conn, link), "the broker is stopping");
	coordinator_io_stop(shard);
	while ((topic = map_next(&shard->topics, &it)) != NULL) {
		for (int32_t i = 0; i < topic->partitions_n; i++) {
			struct partition *partition = topic->partitions[i];

			if (!partition || partition->state == PARTITION_STOPPED)
				continue;
			mover_forget(partition);
			partition_stop(partition, ERR_NOT_LEADER_OR_FOLLOWER);
		}
	}
}

static bool shard_log_is_closed(const struct partition *partition)
{
	enum part_log_state state = partition->log->state;

	return state == PART_LOG_CLOSED || state == PART_LOG_FAILED;
}

bool shard_is_closed(const struct shard *shard)
{
	uint32_t it = 0;
	struct shard_topic *topic;

	if (shard->conns_n > 0 || shard->requests_n > 0 || !list_is_empty(&shard->closing))
		return false;
	if (!mover_is_idle(shard->mover) || !storage_is_idle(&shard->storage) || !coordinator_io_is_idle(shard))
		return false;
	while ((topic = map_next(&shard->topics, &it)) != NULL) {
		for (int32_t i = 0; i < topic->partitions_n; i++) {
			if (topic->partitions[i] && !shard_log_is_closed(topic->partitions[i]))
				return false;
		}
	}
	return true;
}

static bool partition_is_clean(const struct partition *partition)
{
	/* Also one that a full disk kept from being closed, or opened, in order. */
	if (partition->log->failure)
		return false;
	return partition->is_open || partition->log->dir->stop == LOG_DIR_CLEAN;
}

bool shard_is_clean(const struct shard *shard, int dir)
{
	uint32_t it = 0;
	struct shard_topic *topic;

	if (shard->storage.dirs[dir].state == LOG_DIR_OFFLINE)
		return false;
	while ((topic = map_next(&shard->topics, &it)) != NULL) {
		for (int32_t i = 0; i < topic->partitions_n; i++) {
			const struct partition *partition = topic->partitions[i];

			if (partition && partition->log->dir->index == dir && !partition_is_clean(partition))
				return false;
		}
	}
	return true;
}

void shard_deinit(struct shard *shard)
{
	uint32_t it = 0;
	struct shard_topic *topic;
	struct list *node;

	if (!shard->broker)
		return;
	timer_stop(&shard->reactor->timers, &shard->idle_timer);
	vec_deinit(&shard->missing_dirs);
	while ((topic = map_next(&shard->topics, &it)) != NULL) {
		for (int32_t i = 0; i < topic->partitions_n; i++) {
			if (topic->partitions[i])
				partition_free(topic->partitions[i]);
		}
		mem_free(topic->partitions);
		mem_free(topic);
	}
	map_deinit(&shard->topics);
	metrics_deinit(&shard->metrics);
	while ((node = list_pop_front(&shard->free_requests)) != NULL)
		mem_free(list_entry(node, struct request, link));
	live_settings_deinit(shard);
	client_quotas_free(shard->quotas);
	telemetry_free(shard->telemetry);
	coordinator_io_free(shard->coordinators);
	producer_ids_free(shard->producer_ids);
	housekeeper_free(shard->keeper);
	cleaner_free(shard->cleaner);
	scrubber_free(shard->scrubber);
	mover_free(shard->mover);
	fetch_sessions_free(shard->sessions);
	compress_ctx_deinit(shard->compress);
	mem_free(shard->compress);
	storage_deinit(&shard->storage);
	buf_pool_deinit(&shard->request_bufs);
}
