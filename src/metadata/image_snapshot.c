/* SPDX-License-Identifier: Apache-2.0 */
/* See replay.h: the records that rebuild an image, in the order in which Kafka writes them. */
#include "feature_table.h"
#include "image_state.h"
#include "metadata_record.h"
#include "replay.h"

struct snapshot {
	image_record_fn *fn;
	void *ctx;
	int16_t metadata_version;
	int16_t kept_type;
	enum err err;
	struct arena arena;
	_Alignas(16) uint8_t block[4096];
};

/* False after an error. */
static bool snapshot_add(struct snapshot *s, enum metadata_record_id type, int16_t version, const void *record)
{
	s->err = s->fn(s->ctx, metadata_record_encode(type, version, record, &s->arena));
	arena_reset(&s->arena);
	return s->err == ERR_NONE;
}

static bool snapshot_feature(void *ctx, struct pmap_item *item)
{
	const struct feature_node *feature = container_of(item, struct feature_node, item);
	struct feature_level_record record;

	if (str_eq_c(feature->name, METADATA_VERSION))
		return true; /* stands first */
	msg_init(&feature_level_record_type, &record);
	record.name = feature->name;
	record.feature_level = feature->level;
	return snapshot_add(ctx, METADATA_FEATURE_LEVEL_RECORD, 0, &record);
}

static bool snapshot_features(struct snapshot *s, const struct image *image)
{
	struct feature_level_record record;
	int16_t level = image_feature(image, STR(METADATA_VERSION));

	s->metadata_version = level ? level : METADATA_VERSION_MAX;
	msg_init(&feature_level_record_type, &record);
	record.name = STR(METADATA_VERSION);
	record.feature_level = level;
	return (!level || snapshot_add(s, METADATA_FEATURE_LEVEL_RECORD, 0, &record)) &&
	       pmap_each(&image_node_of(image)->state.features, snapshot_feature, s);
}

static bool snapshot_broker(void *ctx, struct pmap_item *item)
{
	struct snapshot *s = ctx;
	const struct broker_image *broker = &container_of(item, struct broker_node, item)->pub;
	int16_t version = register_broker_version(s->metadata_version);
	struct register_broker_record record;

	msg_init(&register_broker_record_type, &record);
	record.broker_id = broker->id;
	record.incarnation_id = broker->incarnation;
	record.broker_epoch = broker->epoch;
	record.end_points = MSG_NEW_N(&s->arena, register_broker_record_end_points, broker->endpoints_n);
	record.end_points_n = broker->endpoints_n;
	for (int32_t i = 0; i < broker->endpoints_n; i++) {
		record.end_points[i].name = broker->endpoints[i].name;
		record.end_points[i].host = broker->endpoints[i].host;
		record.end_points[i].port = broker->endpoints[i].port;
		record.end_points[i].security_protocol = broker->endpoints[i].security_protocol;
	}
	record.features = MSG_NEW_N(&s->arena, register_broker_record_features, broker->features_n);
	record.features_n = broker->features_n;
	for (int32_t i = 0; i < broker->features_n; i++) {
		record.features[i].name = broker->features[i].name;
		record.features[i].min_supported_version = broker->features[i].min;
		record.features[i].max_supported_version = broker->features[i].max;
	}
	record.rack = broker->rack;
	record.fenced = broker->fenced;
	record.in_controlled_shutdown = broker->in_controlled_shutdown;
	if (version >= 3) {
		record.log_dirs = (struct uuid *)broker->log_dirs;
		record.log_dirs_n = broker->log_dirs_n;
	}
	if (version >= 4 && broker->cordoned_n > 0) {
		record.cordoned_log_dirs = (struct uuid *)broker->cordoned;
		record.cordoned_log_dirs_n = broker->cordoned_n;
	}
	return snapshot_add(s, METADATA_REGISTER_BROKER_RECORD, version, &record);
}

void partition_image_record(const struct partition_image *partition, struct uuid topic_id, int32_t index,
			    int16_t version, struct partition_record *ret)
{
	msg_init(&partition_record_type, ret);
	ret->partition_id = index;
	ret->topic_id = topic_id;
	ret->replicas = (int32_t *)partition->replicas;
	ret->replicas_n = partition->replicas_n;
	ret->isr = (int32_t *)partition->isr;
	ret->isr_n = partition->isr_n;
	ret->removing_replicas = (int32_t *)partition->removing;
	ret->removing_replicas_n = partition->removing_n;
	ret->adding_replicas = (int32_t *)partition->adding;
	ret->adding_replicas_n = partition->adding_n;
	ret->leader = partition->leader;
	ret->leader_recovery_state = partition->leader_recovery_state;
	ret->leader_epoch = partition->leader_epoch;
	ret->partition_epoch = partition->partition_epoch;
	if (version >= 1) {
		ret->directories = (struct uuid *)partition->directories;
		ret->directories_n = partition->directories_n;
	}
	if (version >= 2 && partition->elr_n > 0) {
		ret->eligible_leader_replicas = (int32_t *)partition->elr;
		ret->eligible_leader_replicas_n = partition->elr_n;
	}
	if (version >= 2 && partition->last_known_elr_n > 0) {
		ret->last_known_elr = (int32_t *)partition->last_known_elr;
		ret->last_known_elr_n = partition->last_known_elr_n;
	}
}

static bool snapshot_topic(void *ctx, struct pmap_item *item)
{
	struct snapshot *s = ctx;
	const struct topic_image *topic = &container_of(item, struct topic_node, item)->pub;
	int16_t version = partition_version(s->metadata_version);
	struct topic_record record;
	bool more;

	msg_init(&topic_record_type, &record);
	record.name = topic->name;
	record.topic_id = topic->id;
	more = snapshot_add(s, METADATA_TOPIC_RECORD, 0, &record);
	for (int32_t i = 0; more && i < topic->partitions_n; i++) {
		const struct partition_image *partition = topic_partition(topic, i);
		struct partition_record partition_record;

		if (!partition)
			continue;
		partition_image_record(partition, topic->id, i, version, &partition_record);
		more = snapshot_add(s, METADATA_PARTITION_RECORD, version, &partition_record);
	}
	return more;
}

struct snapshot_resource {
	struct snapshot *snapshot;
	const struct resource_node *resource;
};

static bool snapshot_config(void *ctx, struct pmap_item *item)
{
	const struct snapshot_resource *at = ctx;
	const struct config_node *config = container_of(item, struct config_node, item);
	struct config_record record;

	msg_init(&config_record_type, &record);
	record.resource_type = at->resource->type;
	record.resource_name = at->resource->name;
	record.name = config->key;
	record.value = config->value;
	return snapshot_add(at->snapshot, METADATA_CONFIG_RECORD, 0, &record);
}

static bool snapshot_resource(void *ctx, struct pmap_item *item)
{
	struct snapshot_resource at = {ctx, container_of(item, struct resource_node, item)};

	return pmap_each(&at.resource->entries, snapshot_config, &at);
}

static bool snapshot_kept_record(void *ctx, struct pmap_item *item)
{
	struct snapshot *s = ctx;
	const struct kept_node *kept = container_of(item, struct kept_node, item);

	if (kept->type == s->kept_type)
		s->err = s->fn(s->ctx, kept->record);
	return s->err == ERR_NONE;
}

static bool snapshot_kept(struct snapshot *s, const struct state *state, enum metadata_record_id type)
{
	s->kept_type = (int16_t)type;
	return pmap_each(&state->kept, snapshot_kept_record, s);
}

static bool snapshot_quota(void *ctx, struct pmap_item *item)
{
	struct snapshot *s = ctx;
	const struct quota_image *quota = &container_of(item, struct quota_node, item)->pub;
	struct client_quota_record_entity entity[QUOTA_ENTITY_PARTS_MAX];
	struct client_quota_record record;
	bool more = true;

	for (int32_t v = 0; more && v < quota->values_n; v++) {
		msg_init(&client_quota_record_type, &record);
		for (int32_t i = 0; i < quota->parts_n; i++) {
			msg_init(&client_quota_record_entity_type, &entity[i]);
			entity[i].entity_type = quota->parts[i].type;
			entity[i].entity_name = quota->parts[i].name;
		}
		record.entity = entity;
		record.entity_n = quota->parts_n;
		record.key = quota->values[v].key;
		record.value = quota->values[v].value;
		more = snapshot_add(s, METADATA_CLIENT_QUOTA_RECORD, 0, &record);
	}
	return more;
}

static bool snapshot_producer_ids(struct snapshot *s, int64_t next_producer_id)
{
	struct producer_ids_record record;

	if (next_producer_id == 0)
		return true;
	msg_init(&producer_ids_record_type, &record);
	record.broker_id = -1;
	record.next_producer_id = next_producer_id;
	return snapshot_add(s, METADATA_PRODUCER_IDS_RECORD, 0, &record);
}

enum err image_snapshot_records(const struct image *image, image_record_fn *fn, void *ctx)
{
	const struct state *state = &image_node_of(image)->state;
	struct snapshot s = {.fn = fn, .ctx = ctx};

	if (image_in_transaction(image))
		return ERR_BUSY;
	arena_init(&s.arena, s.block, sizeof(s.block));
	(void)(snapshot_features(&s, image) && pmap_each(&state->brokers, snapshot_broker, &s) &&
	       snapshot_kept(&s, state, METADATA_REGISTER_CONTROLLER_RECORD) &&
	       pmap_each(&state->by_name, snapshot_topic, &s) &&
	       pmap_each(&state->resources, snapshot_resource, &s) &&
	       pmap_each(&state->quotas, snapshot_quota, &s) &&
	       snapshot_producer_ids(&s, state->next_producer_id) &&
	       snapshot_kept(&s, state, METADATA_ACCESS_CONTROL_ENTRY_RECORD) &&
	       snapshot_kept(&s, state, METADATA_USER_SCRAM_CREDENTIAL_RECORD) &&
	       snapshot_kept(&s, state, METADATA_DELEGATION_TOKEN_RECORD));
	arena_reset(&s.arena);
	return s.err;
}
