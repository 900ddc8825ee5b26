/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListOffsets (key 2), versions 1-11: where in a partition a time lies. The sentinels, and the version that brought
 * them: -1 latest (the high watermark), -2 earliest, -3 record with the greatest timestamp (7), -4 earliest local (8),
 * -5 latest tiered (9), -6 earliest waiting for the tier (11). Without tiered storage the last two find nothing.
 */
#include "api.h"
#include "broker.h"
#include "map.h"
#include "msg/list_offsets.h"
#include "owner_part.h"
#include "shard.h"

enum { LATEST = -1, EARLIEST = -2, MAX_TIMESTAMP = -3, EARLIEST_LOCAL = -4, LATEST_TIERED = -5, EARLIEST_PENDING = -6 };

struct list_offsets {
	struct request *request;
	const struct list_offsets_request *in;
	struct list_offsets_response out;
	struct scatter *scatter;
};

struct list_offsets_part {
	struct owner_part owner;
	struct log_time_query query;
	int64_t timestamp;
	int64_t stable;   /* what a reader may see ends here */
	bool only_stable; /* isolation level read_committed */
	struct list_offsets_response_topics_partitions *out;
};

static void list_offsets_end(struct list_offsets_part *part, enum err err)
{
	part->out->error_code = err_wire(err);
	scatter_part_done(part->owner.leg);
}

static void list_offsets_found(struct log_time_query *query)
{
	struct list_offsets_part *part = container_of(query, struct list_offsets_part, query);

	/* The record with the greatest time is asked for, not the one of those that are decided: as Kafka. */
	if (!query->err && query->offset >= 0 && query->offset < part->stable) {
		part->out->offset = query->offset;
		part->out->timestamp = query->found_timestamp_ms;
		part->out->leader_epoch = query->leader_epoch;
	}
	list_offsets_end(part, query->err);
}

static void list_offsets_ready(struct owner_part *owner, enum err err)
{
	struct list_offsets_part *part = container_of(owner, struct list_offsets_part, owner);
	struct partition *partition = owner->partition;

	if (err) {
		list_offsets_end(part, err);
		return;
	}
	part->stable = part->only_stable ? leader_last_stable(partition) : partition->high_watermark.offset;
	switch (part->timestamp) {
	case LATEST:
		part->out->offset = part->stable;
		part->out->leader_epoch = epoch_cache_latest(&partition->log->epochs);
		break;
	case EARLIEST:
	case EARLIEST_LOCAL:
		part->out->offset = partition->log->log_start;
		part->out->leader_epoch = epoch_cache_of(&partition->log->epochs, partition->log->log_start);
		break;
	case LATEST_TIERED:
	case EARLIEST_PENDING:
		break;
	default:
		part->query.timestamp_ms = part->timestamp == MAX_TIMESTAMP ? INT64_MIN : part->timestamp;
		part->query.bound = partition->high_watermark;
		if (part->timestamp != MAX_TIMESTAMP)
			part->query.bound.offset = part->stable;
		part->query.done = list_offsets_found;
		part_log_find_time(partition->log, &part->query);
		return;
	}
	list_offsets_end(part, ERR_NONE);
}

static bool list_offsets_knows(int16_t version, int64_t timestamp)
{
	static const int16_t since[] = {
		[-LATEST] = 1, [-EARLIEST] = 1, [-MAX_TIMESTAMP] = 7,
		[-EARLIEST_LOCAL] = 8, [-LATEST_TIERED] = 9, [-EARLIEST_PENDING] = 11,
	};

	if (timestamp >= 0)
		return true;
	return timestamp >= EARLIEST_PENDING && version >= since[-timestamp];
}

/* Partitions that the topic names more than once go into `ret`. */
static void list_offsets_repeated(const struct list_offsets_request_topics *in, uint64_t seed, struct map *ret)
{
	struct map seen;

	map_init(ret, MAP_U64, seed);
	map_init(&seen, MAP_U64, seed);
	for (int32_t i = 0; i < in->partitions_n; i++) {
		uint64_t key = (uint32_t)in->partitions[i].partition_index;

		if (map_put_u64(&seen, key, &in->partitions[i]))
			map_put_u64(ret, key, &in->partitions[i]);
	}
	map_deinit(&seen);
}

static enum err list_offsets_check(const struct list_offsets *list, const struct topic_image *topic,
				   const struct list_offsets_request_topics_partitions *partition,
				   const struct map *repeated)
{
	if (map_get_u64(repeated, (uint32_t)partition->partition_index))
		return ERR_INVALID_REQUEST;
	if (!list_offsets_knows(list->request->version, partition->timestamp))
		return ERR_UNSUPPORTED_VERSION;
	if (!topic || partition->partition_index < 0 || !topic_partition(topic, partition->partition_index))
		return ERR_UNKNOWN_TOPIC_OR_PARTITION;
	return ERR_NONE;
}

static void list_offsets_topic(struct list_offsets *list, const struct list_offsets_request_topics *in,
			       struct list_offsets_response_topics *out)
{
	struct arena *arena = &list->request->arena;
	const struct topic_image *topic = image_topic(list->request->shard->image, in->name);
	struct map repeated;

	list_offsets_repeated(in, list->request->shard->reactor->node->hash_seed, &repeated);
	out->name = in->name;
	out->partitions = MSG_NEW_N(arena, list_offsets_response_topics_partitions, in->partitions_n);
	out->partitions_n = in->partitions_n;
	for (int32_t i = 0; i < in->partitions_n; i++) {
		struct list_offsets_part *part;
		enum err err = list_offsets_check(list, topic, &in->partitions[i], &repeated);

		out->partitions[i].partition_index = in->partitions[i].partition_index;
		out->partitions[i].error_code = err_wire(err);
		if (err)
			continue;
		part = ARENA_NEW(arena, struct list_offsets_part);
		part->timestamp = in->partitions[i].timestamp;
		part->only_stable = list->in->isolation_level == 1;
		part->out = &out->partitions[i];
		part->owner.topic_id = topic->id;
		part->owner.index = in->partitions[i].partition_index;
		part->owner.leader_epoch = in->partitions[i].current_leader_epoch;
		part->owner.ready = list_offsets_ready;
		owner_part_add(list->scatter, &part->owner);
	}
	map_deinit(&repeated);
}

/* Versions before 4 cannot say an epoch. */
static void list_offsets_drop_epochs(struct list_offsets *list)
{
	for (int32_t i = 0; i < list->out.topics_n; i++) {
		for (int32_t j = 0; j < list->out.topics[i].partitions_n; j++)
			list->out.topics[i].partitions[j].leader_epoch = -1;
	}
}

static void list_offsets_reply(struct scatter *scatter)
{
	struct list_offsets *list = scatter->home_op;

	if (list->request->version < 4)
		list_offsets_drop_epochs(list);
	request_reply(list->request, &list->out);
}

void api_list_offsets(struct request *request)
{
	struct list_offsets *list = ARENA_NEW(&request->arena, struct list_offsets);

	list->request = request;
	list->in = request->body;
	list->scatter = scatter_new(request->shard, &request->arena);
	list->scatter->home_op = list;
	msg_init(&list_offsets_response_type, &list->out);
	list->out.topics = MSG_NEW_N(&request->arena, list_offsets_response_topics, list->in->topics_n);
	list->out.topics_n = list->in->topics_n;
	for (int32_t i = 0; i < list->in->topics_n; i++)
		list_offsets_topic(list, &list->in->topics[i], &list->out.topics[i]);
	scatter_run(list->scatter, owner_parts_run, list_offsets_reply);
}
