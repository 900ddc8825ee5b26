/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeLogDirs (key 35), versions 1-5: the log directories of this broker, how much lies in them of each partition,
 * and from version 4 how much room there is; version 5 adds whether new partitions are kept out of them.
 *
 *   room of the file systems (helper) --> every shard: sizes of its partitions, waiting for logs not open yet --> merge
 *
 * As in Kafka partitions that are asked for and are not here are left out, a directory that failed tells an error and
 * nothing else, and the lag of a replica that is not a future one is 0. A directory that holds only the metadata log is
 * not told.
 */
#include <stdlib.h>

#include "api.h"
#include "broker.h"
#include "mover.h"
#include "msg/describe_log_dirs.h"
#include "placement_dir.h"
#include "scatter.h"
#include "shard.h"

struct log_dirs_row {
	struct str topic; /* memory of the leg's arena */
	struct uuid topic_id;
	int32_t index;
	int dir; /* -1: the partition went away meanwhile */
	int64_t size;
	bool is_future; /* on its way here */
	int64_t offset_lag;
	struct log_dirs_row *future; /* where it is going; NULL: nowhere */
};

/* What one shard has. */
struct log_dirs_part {
	struct list link;
	struct log_dirs *dirs;
	struct scatter_leg *leg;
	struct watch opened;
	struct log_dirs_row *rows;
	size_t rows_n, at;
};

struct log_dirs {
	struct request *request;
	const struct describe_log_dirs_request *in;
	struct describe_log_dirs_response out;
	struct scatter *scatter;
	struct log_dirs_part *parts; /* one per shard */
	struct io_op op;
	struct fs_space space[BROKER_DIRS_MAX]; /* total -1: not known */
};

/* ---- on each shard ---- */

static void log_dirs_row_add(struct log_dirs_part *part, const struct partition *partition, struct str topic)
{
	part->rows[part->rows_n++] = (struct log_dirs_row){
		.topic = topic,
		.topic_id = partition->topic_id,
		.index = partition->index,
		.dir = -1,
	};
}

static void log_dirs_all(struct shard *shard, struct log_dirs_part *part)
{
	struct shard_topic *topic;
	size_t n = 0;

	for (uint32_t it = 0; (topic = map_next(&shard->topics, &it)) != NULL;)
		n += (size_t)topic->partitions_n;
	part->rows = ARENA_NEW_N(&part->leg->arena, struct log_dirs_row, n);
	for (uint32_t it = 0; (topic = map_next(&shard->topics, &it)) != NULL;) {
		struct str name = STR_NULL;

		for (int32_t i = 0; i < topic->partitions_n; i++) {
			const struct partition *partition = topic->partitions[i];

			if (!partition)
				continue;
			if (!name.p)
				name = arena_str(&part->leg->arena, str_of(partition->topic));
			log_dirs_row_add(part, partition, name);
		}
	}
}

/* What is asked for and lies on this shard; `ret` has each partition once. */
static void log_dirs_find(struct shard *shard, const struct describe_log_dirs_request *in, struct map *ret)
{
	for (int32_t i = 0; i < in->topics_n; i++) {
		const struct topic_image *topic = image_topic(shard->image, in->topics[i].topic);

		for (int32_t j = 0; topic && j < in->topics[i].partitions_n; j++) {
			struct partition *partition = shard_partition(shard, topic->id, in->topics[i].partitions[j]);

			if (partition)
				map_put_u64(ret, (uint64_t)(uintptr_t)partition, partition);
		}
	}
}

static void log_dirs_asked(struct shard *shard, struct log_dirs_part *part)
{
	const struct partition *partition;
	struct map found;

	map_init(&found, MAP_U64, shard->reactor->node->hash_seed);
	log_dirs_find(shard, part->dirs->in, &found);
	part->rows = ARENA_NEW_N(&part->leg->arena, struct log_dirs_row, found.n);
	for (uint32_t it = 0; (partition = map_next(&found, &it)) != NULL;)
		log_dirs_row_add(part, partition, arena_str(&part->leg->arena, str_of(partition->topic)));
	map_deinit(&found);
}

static void log_dirs_measure(struct log_dirs_part *part);

static void log_dirs_opened(struct watch *watch, enum err err)
{
	struct log_dirs_part *part = container_of(watch, struct log_dirs_part, opened);

	if (err)
		part->at++; /* it failed, or goes away */
	log_dirs_measure(part);
}

/* Nobody has opened it, and it was not there at the start: nothing lies in it. */
static bool log_dirs_is_new(const struct shard *shard, const struct partition *partition, enum part_log_state state)
{
	return state == PART_LOG_CLOSED && !partition->log->failure && !partition->is_open &&
	       !found_get(&shard->broker->found, str_of(partition->topic), partition->index, partition->topic_id);
}

/* A partition on its way has a second row, in the directory where it is going. */
static void log_dirs_future(struct log_dirs_part *part, struct log_dirs_row *row, const struct partition *partition)
{
	struct move_status status;

	if (!mover_status(partition, &status))
		return;
	row->future = ARENA_NEW(&part->leg->arena, struct log_dirs_row);
	*row->future = (struct log_dirs_row){
		.topic = row->topic,
		.topic_id = row->topic_id,
		.index = row->index,
		.dir = status.dir,
		.size = status.bytes,
		.is_future = true,
		.offset_lag = status.offset_lag,
	};
}

/* Sizes, from where the last wait ended; logs that are not open yet are on their way. */
static void log_dirs_measure(struct log_dirs_part *part)
{
	struct shard *shard = part->leg->shard;

	for (; part->at < part->rows_n; part->at++) {
		struct log_dirs_row *row = &part->rows[part->at];
		struct partition *partition = shard_partition(shard, row->topic_id, row->index);
		enum part_log_state state;

		if (!partition)
			continue;
		state = partition->log->state;
		if (!log_dirs_is_new(shard, partition, state) && !shard->is_stopping &&
		    (state == PART_LOG_CLOSED || state == PART_LOG_OPENING)) {
			if (!shard->opens_unasked)
				partition_open(partition);
			watch_start(&partition->open_watches, &part->opened, WATCH_ANY, log_dirs_opened);
			return;
		}
		row->dir = partition->log->dir->index;
		row->size = partition->log->size_bytes;
		log_dirs_future(part, row, partition);
	}
	scatter_part_done(part->leg);
}

static void log_dirs_run(struct shard *shard, struct scatter_leg *leg)
{
	struct log_dirs_part *part = list_entry(leg->parts.next, struct log_dirs_part, link);

	part->leg = leg;
	if (part->dirs->in->topics_n < 0)
		log_dirs_all(shard, part);
	else
		log_dirs_asked(shard, part);
	log_dirs_measure(part);
}

/* ---- at home ---- */

static int log_dirs_row_cmp(const void *a, const void *b)
{
	const struct log_dirs_row *x = *(const struct log_dirs_row *const *)a;
	const struct log_dirs_row *y = *(const struct log_dirs_row *const *)b;
	int order;

	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	order = str_cmp(x->topic, y->topic);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Every row that has a directory, in order. */
static const struct log_dirs_row **log_dirs_sort(struct log_dirs *dirs, size_t *ret_n)
{
	const struct log_dirs_row **rows;
	int shards_n = dirs->request->shard->broker->shards_n;
	size_t n = 0;

	for (int i = 0; i < shards_n; i++)
		n += 2 * dirs->parts[i].rows_n;
	rows = ARENA_NEW_N(&dirs->request->arena, const struct log_dirs_row *, n);
	n = 0;
	for (int i = 0; i < shards_n; i++) {
		for (size_t j = 0; j < dirs->parts[i].rows_n; j++) {
			if (dirs->parts[i].rows[j].dir >= 0)
				rows[n++] = &dirs->parts[i].rows[j];
			if (dirs->parts[i].rows[j].future)
				rows[n++] = dirs->parts[i].rows[j].future;
		}
	}
	if (n > 0)
		qsort(rows, n, sizeof(*rows), log_dirs_row_cmp);
	*ret_n = n;
	return rows;
}

/* The rows of one directory, n > 0. */
static void log_dirs_topics(struct log_dirs *dirs, const struct log_dirs_row *const *rows, size_t n,
			    struct describe_log_dirs_response_results *out)
{
	struct describe_log_dirs_response_results_topics_partitions *partitions;
	struct describe_log_dirs_response_results_topics *topic = NULL;
	size_t topics_n = 1;

	for (size_t i = 1; i < n; i++)
		topics_n += !str_eq(rows[i]->topic, rows[i - 1]->topic);
	out->topics = MSG_NEW_N(&dirs->request->arena, describe_log_dirs_response_results_topics, topics_n);
	partitions = MSG_NEW_N(&dirs->request->arena, describe_log_dirs_response_results_topics_partitions, n);
	for (size_t i = 0; i < n; i++) {
		if (!topic || !str_eq(topic->name, rows[i]->topic)) {
			topic = &out->topics[out->topics_n++];
			topic->name = rows[i]->topic;
			topic->partitions = &partitions[i];
		}
		partitions[i].partition_index = rows[i]->index;
		partitions[i].partition_size = rows[i]->size;
		partitions[i].is_future_key = rows[i]->is_future;
		partitions[i].offset_lag = rows[i]->offset_lag;
		topic->partitions_n++;
	}
}

static void log_dirs_reply(struct scatter *scatter)
{
	struct log_dirs *dirs = scatter->home_op;
	const struct shard *shard = dirs->request->shard;
	const struct broker *broker = shard->broker;
	size_t rows_n, at = 0;
	const struct log_dirs_row **rows = log_dirs_sort(dirs, &rows_n);

	dirs->out.results = MSG_NEW_N(&dirs->request->arena, describe_log_dirs_response_results, broker->dirs_n);
	for (int i = 0; i < broker->dirs_n; i++) {
		struct describe_log_dirs_response_results *out = &dirs->out.results[dirs->out.results_n];
		size_t first = at;

		while (at < rows_n && rows[at]->dir == i)
			at++;
		if (i >= broker->data_dirs_n && at == first)
			continue; /* for metadata alone */
		dirs->out.results_n++;
		out->log_dir = str_of(broker->dirs[i].path);
		if (shard->storage.dirs[i].state == LOG_DIR_OFFLINE) {
			out->error_code = err_wire(ERR_KAFKA_STORAGE_ERROR);
			continue;
		}
		if (at > first)
			log_dirs_topics(dirs, rows + first, at - first, out);
		if (dirs->request->version >= 4) {
			out->total_bytes = dirs->space[i].total;
			out->usable_bytes = dirs->space[i].usable;
		}
		if (dirs->request->version >= 5)
			out->is_cordoned = placement_dir_is_cordoned(shard, i);
	}
	request_reply(dirs->request, &dirs->out);
}

static void log_dirs_release(struct request *request)
{
	const struct log_dirs *dirs = request->op;

	scatter_free(dirs->scatter);
	request_released(request);
}

static void log_dirs_gather(struct log_dirs *dirs)
{
	struct request *request = dirs->request;
	struct scatter *scatter = scatter_new(request->shard, &request->arena);
	int shards_n = request->shard->broker->shards_n;

	dirs->scatter = scatter;
	scatter->home_op = dirs;
	request->op = dirs;
	request->release = log_dirs_release;
	dirs->parts = ARENA_NEW_N(&request->arena, struct log_dirs_part, shards_n);
	for (int i = 0; i < shards_n; i++) {
		dirs->parts[i].dirs = dirs;
		scatter_add(scatter, i, &dirs->parts[i].link);
	}
	scatter_run(scatter, log_dirs_run, log_dirs_reply);
}

/* On a helper: asking a file system may wait for it. */
static void log_dirs_space_run(struct io_op *op, struct fs *fs)
{
	struct log_dirs *dirs = container_of(op, struct log_dirs, op);
	const struct broker *broker = dirs->request->shard->broker;

	for (int i = 0; i < broker->dirs_n; i++) {
		if (fs->ops->space(fs, broker->dirs[i].path, &dirs->space[i]))
			dirs->space[i] = (struct fs_space){-1, -1};
	}
	op->err = ERR_NONE;
}

static void log_dirs_space_done(struct io_op *op)
{
	log_dirs_gather(container_of(op, struct log_dirs, op));
}

void api_describe_log_dirs(struct request *request)
{
	struct log_dirs *dirs = ARENA_NEW(&request->arena, struct log_dirs);

	dirs->request = request;
	dirs->in = request->body;
	msg_init(&describe_log_dirs_response_type, &dirs->out);
	if (request->version < 4) {
		log_dirs_gather(dirs);
		return;
	}
	dirs->op.kind = IO_WORK;
	dirs->op.work.run = log_dirs_space_run;
	dirs->op.done = log_dirs_space_done;
	io_submit(request->shard->reactor->io, &dirs->op);
}
