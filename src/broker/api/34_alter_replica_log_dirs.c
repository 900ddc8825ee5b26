/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterReplicaLogDirs (key 34), versions 1-2: begins to move partitions of this node to other log directories. The
 * answer comes when the moves have begun; DescribeLogDirs tells how far they are, and that they are over.
 *
 * Same as Kafka: a directory that is not in log.dirs LOG_DIR_NOT_FOUND, one that failed KAFKA_STORAGE_ERROR, and
 * UNKNOWN_TOPIC_OR_PARTITION for a partition that is not here; the directory where it lies already is no error and
 * ends a move to another one.
 */
#include "api.h"
#include "broker.h"
#include "map.h"
#include "mover.h"
#include "msg/alter_replica_log_dirs.h"
#include "scatter.h"
#include "shard.h"

struct alter_dirs {
	struct request *request;
	struct alter_replica_log_dirs_response out;
	struct scatter *scatter;
	struct map results; /* by topic, while they are made */
};

struct alter_dirs_part {
	struct list link;
	struct uuid topic_id;
	int32_t index;
	int dir;
	struct alter_replica_log_dirs_response_results_partitions *out;
};

static void alter_dirs_run(struct shard *shard, struct scatter_leg *leg)
{
	int n = leg->parts_n;

	list_for_each(node, next, &leg->parts) {
		struct alter_dirs_part *part = list_entry(node, struct alter_dirs_part, link);
		struct partition *partition = shard_partition(shard, part->topic_id, part->index);

		part->out->error_code = err_wire(partition ? mover_start(shard, partition, part->dir)
							   : ERR_UNKNOWN_TOPIC_OR_PARTITION);
	}
	for (int i = 0; i < n; i++)
		scatter_part_done(leg);
}

/* -1: none of log.dirs. */
static int alter_dirs_find(const struct broker *broker, struct str path)
{
	while (path.len > 1 && path.p[path.len - 1] == '/')
		path.len--;
	for (int i = 0; i < broker->data_dirs_n; i++) {
		if (str_eq(str_of(broker->dirs[i].path), path))
			return i;
	}
	return -1;
}

static void alter_dirs_topic(struct alter_dirs *op, int dir,
			     const struct alter_replica_log_dirs_request_dirs_topics *in)
{
	struct arena *arena = &op->request->arena;
	struct alter_replica_log_dirs_response_results *result = map_get_str(&op->results, in->name);
	const struct topic_image *topic = image_topic(op->request->shard->image, in->name);

	for (int32_t i = 0; i < in->partitions_n; i++) {
		struct alter_replica_log_dirs_response_results_partitions *out =
			&result->partitions[result->partitions_n++];
		struct alter_dirs_part *part;

		out->partition_index = in->partitions[i];
		if (!topic || in->partitions[i] < 0 || !topic_partition(topic, in->partitions[i])) {
			out->error_code = err_wire(ERR_UNKNOWN_TOPIC_OR_PARTITION);
			continue;
		}
		if (dir < 0) {
			out->error_code = err_wire(ERR_LOG_DIR_NOT_FOUND);
			continue;
		}
		part = ARENA_NEW(arena, struct alter_dirs_part);
		*part = (struct alter_dirs_part){
			.topic_id = topic->id, .index = in->partitions[i], .dir = dir, .out = out};
		scatter_add(op->scatter, shard_of_partition(op->scatter->legs_n, topic->id, in->partitions[i]),
			    &part->link);
	}
}

static void alter_dirs_reply(struct scatter *scatter)
{
	struct alter_dirs *op = scatter->home_op;

	request_reply(op->request, &op->out);
}

/* One result a topic, though each directory may name it, with room for its partitions. */
static void alter_dirs_results(struct alter_dirs *op, const struct alter_replica_log_dirs_request *in)
{
	struct arena *arena = &op->request->arena;
	struct alter_replica_log_dirs_response_results *result;
	int32_t topics_n = 0;

	for (int32_t d = 0; d < in->dirs_n; d++)
		topics_n += in->dirs[d].topics_n;
	op->out.results = MSG_NEW_N(arena, alter_replica_log_dirs_response_results, topics_n);
	for (int32_t d = 0; d < in->dirs_n; d++) {
		for (int32_t t = 0; t < in->dirs[d].topics_n; t++) {
			result = map_get_str(&op->results, in->dirs[d].topics[t].name);
			if (!result) {
				result = &op->out.results[op->out.results_n++];
				result->topic_name = in->dirs[d].topics[t].name;
				map_put_str(&op->results, result->topic_name, result);
			}
			result->partitions_n += in->dirs[d].topics[t].partitions_n;
		}
	}
	for (int32_t i = 0; i < op->out.results_n; i++) {
		result = &op->out.results[i];
		result->partitions = MSG_NEW_N(arena, alter_replica_log_dirs_response_results_partitions,
					       result->partitions_n);
		result->partitions_n = 0;
	}
}

void api_alter_replica_log_dirs(struct request *request)
{
	const struct alter_replica_log_dirs_request *in = request->body;
	struct alter_dirs *op = ARENA_NEW(&request->arena, struct alter_dirs);

	op->request = request;
	op->scatter = scatter_new(request->shard, &request->arena);
	op->scatter->home_op = op;
	msg_init(&alter_replica_log_dirs_response_type, &op->out);
	map_init(&op->results, MAP_STR, request->shard->reactor->node->hash_seed);
	alter_dirs_results(op, in);
	for (int32_t d = 0; d < in->dirs_n; d++) {
		int dir = alter_dirs_find(request->shard->broker, in->dirs[d].path);

		for (int32_t t = 0; t < in->dirs[d].topics_n; t++)
			alter_dirs_topic(op, dir, &in->dirs[d].topics[t]);
	}
	map_deinit(&op->results);
	scatter_run(op->scatter, alter_dirs_run, alter_dirs_reply);
}
