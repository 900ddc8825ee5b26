/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See replay.h. One function per record type. What this build does not act on yet is kept as it came, found by what
 * makes it unique, so that a snapshot gives it back.
 *
 * A metadata transaction replays into a second state beside the visible one, which it replaces at its end:
 *
 *    (visible only) --Begin--> (visible, pending) --End--> pending becomes visible
 *                                        |--Abort--> pending is dropped
 */
#include "replay.h"

#include "check.h"
#include "fault.h"
#include "feature_table.h"
#include "image_state.h"
#include "mem.h"
#include "metadata_record.h"
#include "replay_private.h"

/* A damaged record cannot make a topic's table of chunks larger than 512 KiB. */
#define PARTITION_INDEX_MAX (1 << 22)

struct image_edit *image_edit_begin(struct image *base)
{
	const struct image_node *node = image_node_of(base);
	struct image_edit *edit = mem_alloc(sizeof(*edit));

	edit->visible = state_copy(&node->state);
	edit->in_transaction = node->in_transaction;
	if (edit->in_transaction)
		edit->pending = state_copy(&node->pending);
	edit->state = edit->in_transaction ? &edit->pending : &edit->visible;
	arena_init(&edit->arena, edit->block, sizeof(edit->block));
	return edit;
}

/* ---- topics ---- */

/* The topic as an object that only this edit sees. */
static struct topic_node *replay_own_topic(struct image_edit *edit, struct uuid id)
{
	struct pmap_item **by_id = pmap_own(&edit->state->by_id, &id), **by_name;
	struct topic_node *topic, *copy;

	if (!by_id)
		return NULL;
	topic = container_of(*by_id, struct topic_node, item);
	by_name = pmap_own(&edit->state->by_name, &topic->pub.name);
	CHECK(by_name != NULL);
	CHECK(*by_name == &topic->item);
	if (topic->item.refs == 2)
		return topic;
	copy = topic_node_copy(topic);
	copy->item.refs = 2;
	*by_id = &copy->item;
	*by_name = &copy->item;
	topic->item.refs -= 2;
	CHECK_OP(topic->item.refs, >, 0);
	return copy;
}

static enum err replay_unknown_topic(struct image_edit *edit, struct uuid id)
{
	char text[UUID_TEXT_LEN + 1];

	uuid_format(id, text);
	return err_text_set(edit->text, ERR_CORRUPT_FILE, "there is no topic of id %s", text);
}

static enum err replay_topic(struct image_edit *edit, const void *message)
{
	const struct topic_record *record = message;
	struct topic_node *topic;

	if (pmap_get(&edit->state->by_name, &record->name))
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "topic %.*s exists already", STR_ARGS(record->name));
	if (pmap_get(&edit->state->by_id, &record->topic_id))
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "topic %.*s has the id of another",
				    STR_ARGS(record->name));
	topic = topic_node_new(record->name, record->topic_id);
	pmap_put(&edit->state->by_id, &topic->item);
	pmap_put(&edit->state->by_name, &topic->item);
	return ERR_NONE;
}

static enum err replay_remove_topic(struct image_edit *edit, const void *message)
{
	const struct remove_topic_record *record = message;
	struct pmap_item *item = pmap_get(&edit->state->by_id, &record->topic_id);
	struct resource_key settings = {.type = CONFIG_OF_TOPIC};
	struct topic_node *topic;

	if (!item)
		return replay_unknown_topic(edit, record->topic_id);
	topic = container_of(item, struct topic_node, item);
	for (int32_t i = 0; i < topic->pub.partitions_n; i++)
		edit->state->partitions_n -= topic_partition(&topic->pub, i) != NULL;
	settings.name = topic->pub.name;
	pmap_remove(&edit->state->resources, &settings);
	topic->item.refs++; /* its name is the next key */
	pmap_remove(&edit->state->by_id, &record->topic_id);
	pmap_remove(&edit->state->by_name, &topic->pub.name);
	pmap_item_unref(&topic_name_class, &topic->item);
	return ERR_NONE;
}

/* ---- partitions ---- */

static void replay_put_partition(struct image_edit *edit, struct topic_node *topic, int32_t index,
				 const struct partition_image *partition)
{
	if (!topic_partition(&topic->pub, index))
		edit->state->partitions_n++;
	topic_node_put(topic, index, partition_node_new(partition));
}

static enum err replay_check_directories(struct image_edit *edit, const struct partition_image *partition)
{
	if (partition->directories_n == partition->replicas_n)
		return ERR_NONE;
	return err_text_set(edit->text, ERR_CORRUPT_FILE, "%d directories for %d replicas", partition->directories_n,
			    partition->replicas_n);
}

static enum err replay_partition(struct image_edit *edit, const void *message)
{
	const struct partition_record *record = message;
	struct partition_image partition = {
		.leader = record->leader,
		.leader_epoch = record->leader_epoch,
		.partition_epoch = record->partition_epoch,
		.leader_recovery_state = record->leader_recovery_state,
		.replicas = record->replicas, .replicas_n = record->replicas_n,
		.isr = record->isr, .isr_n = record->isr_n,
		.removing = record->removing_replicas, .removing_n = record->removing_replicas_n,
		.adding = record->adding_replicas, .adding_n = record->adding_replicas_n,
		.elr = record->eligible_leader_replicas, .elr_n = MAX(record->eligible_leader_replicas_n, 0),
		.last_known_elr = record->last_known_elr, .last_known_elr_n = MAX(record->last_known_elr_n, 0),
		.directories = record->directories, .directories_n = record->directories_n,
	};
	struct topic_node *topic;
	enum err err;

	if (record->partition_id < 0 || record->partition_id > PARTITION_INDEX_MAX)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "partition %d", record->partition_id);
	if (partition.directories_n == 0) { /* written before there were directories */
		partition.directories = ARENA_NEW_N(&edit->arena, struct uuid, partition.replicas_n);
		partition.directories_n = partition.replicas_n;
	}
	err = replay_check_directories(edit, &partition);
	if (err)
		return err;
	topic = replay_own_topic(edit, record->topic_id);
	if (!topic)
		return replay_unknown_topic(edit, record->topic_id);
	replay_put_partition(edit, topic, record->partition_id, &partition);
	return ERR_NONE;
}

/* A null array leaves things as they are. */
static void replay_take_ids(const int32_t **ids, int32_t *n, const int32_t *to, int32_t to_n)
{
	if (to_n < 0)
		return;
	*ids = to;
	*n = to_n;
}

static void replay_merge(struct partition_image *p, const struct partition_change_record *record)
{
	replay_take_ids(&p->isr, &p->isr_n, record->isr, record->isr_n);
	replay_take_ids(&p->replicas, &p->replicas_n, record->replicas, record->replicas_n);
	replay_take_ids(&p->removing, &p->removing_n, record->removing_replicas, record->removing_replicas_n);
	replay_take_ids(&p->adding, &p->adding_n, record->adding_replicas, record->adding_replicas_n);
	replay_take_ids(&p->elr, &p->elr_n, record->eligible_leader_replicas, record->eligible_leader_replicas_n);
	replay_take_ids(&p->last_known_elr, &p->last_known_elr_n, record->last_known_elr, record->last_known_elr_n);
	if (record->directories_n >= 0) {
		p->directories = record->directories;
		p->directories_n = record->directories_n;
	}
	if (record->leader != LEADER_SAME) {
		p->leader = record->leader;
		p->leader_epoch += !FAULT(forget_epoch);
	}
	if (record->leader_recovery_state != RECOVERY_STATE_SAME)
		p->leader_recovery_state = record->leader_recovery_state;
	p->partition_epoch++;
}

static enum err replay_partition_change(struct image_edit *edit, const void *message)
{
	const struct partition_change_record *record = message;
	struct topic_node *topic = replay_own_topic(edit, record->topic_id);
	const struct partition_image *before;
	struct partition_image partition;
	enum err err;

	if (!topic)
		return replay_unknown_topic(edit, record->topic_id);
	before = topic_partition(&topic->pub, record->partition_id);
	if (!before)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "topic %.*s has no partition %d",
				    STR_ARGS(topic->pub.name), record->partition_id);
	partition = *before;
	replay_merge(&partition, record);
	err = replay_check_directories(edit, &partition);
	if (err)
		return err;
	replay_put_partition(edit, topic, record->partition_id, &partition);
	return ERR_NONE;
}

static bool replay_has_elr(const struct topic_image *topic, int32_t index)
{
	const struct partition_image *partition = topic_partition(topic, index);

	return partition && (partition->elr_n > 0 || partition->last_known_elr_n > 0);
}

static void replay_clear_elr_of(struct image_edit *edit, const struct topic_image *topic)
{
	struct partition_change_record change;
	struct uuid id = topic->id;

	for (int32_t i = 0; i < topic->partitions_n; i++) {
		struct partition_image partition;

		if (!replay_has_elr(topic, i))
			continue;
		topic = &replay_own_topic(edit, id)->pub;
		msg_init(&partition_change_record_type, &change);
		change.eligible_leader_replicas_n = 0;
		change.last_known_elr_n = 0;
		partition = *topic_partition(topic, i);
		replay_merge(&partition, &change);
		replay_put_partition(edit, (struct topic_node *)topic_node_of(topic), i, &partition);
	}
}

static enum err replay_clear_elr(struct image_edit *edit, const void *message)
{
	const struct clear_elr_record *record = message;
	struct pmap_item *item;

	if (record->topic_name.len > 0) {
		item = pmap_get(&edit->state->by_name, &record->topic_name);
		if (!item)
			return err_text_set(edit->text, ERR_CORRUPT_FILE, "there is no topic %.*s",
					    STR_ARGS(record->topic_name));
		replay_clear_elr_of(edit, &container_of(item, struct topic_node, item)->pub);
		return ERR_NONE;
	}
	item = pmap_next(&edit->state->by_id, NULL);
	while (item) {
		struct uuid id = container_of(item, struct topic_node, item)->pub.id;

		replay_clear_elr_of(edit, &container_of(item, struct topic_node, item)->pub);
		item = pmap_next(&edit->state->by_id, &id);
	}
	return ERR_NONE;
}

/* ---- brokers ---- */

static enum err replay_register_broker(struct image_edit *edit, const void *message)
{
	const struct register_broker_record *record = message;
	struct endpoint_image *endpoints = ARENA_NEW_N(&edit->arena, struct endpoint_image, record->end_points_n);
	struct feature_range *features = ARENA_NEW_N(&edit->arena, struct feature_range, record->features_n);
	struct broker_image broker = {
		.id = record->broker_id,
		.epoch = record->broker_epoch,
		.incarnation = record->incarnation_id,
		.rack = record->rack,
		.fenced = record->fenced,
		.in_controlled_shutdown = record->in_controlled_shutdown,
		.endpoints = endpoints, .endpoints_n = record->end_points_n,
		.features = features, .features_n = record->features_n,
		.log_dirs = record->log_dirs, .log_dirs_n = record->log_dirs_n,
		.cordoned = record->cordoned_log_dirs, .cordoned_n = MAX(record->cordoned_log_dirs_n, 0),
	};

	for (int32_t i = 0; i < record->end_points_n; i++)
		endpoints[i] = (struct endpoint_image){record->end_points[i].name, record->end_points[i].host,
						       record->end_points[i].port,
						       record->end_points[i].security_protocol};
	for (int32_t i = 0; i < record->features_n; i++)
		features[i] = (struct feature_range){record->features[i].name,
						     record->features[i].min_supported_version,
						     record->features[i].max_supported_version};
	pmap_put(&edit->state->brokers, &broker_node_new(&broker)->item);
	return ERR_NONE;
}

/* The broker that a record means; its epoch must be the registered one. */
static enum err replay_find_broker(struct image_edit *edit, int32_t id, int64_t epoch, const struct broker_image **ret)
{
	struct pmap_item *item = pmap_get(&edit->state->brokers, &id);
	const struct broker_image *broker = item ? &container_of(item, struct broker_node, item)->pub : NULL;

	if (!broker)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "broker %d is not registered", id);
	if (broker->epoch != epoch)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "broker %d has epoch %lld, not %lld", id,
				    (long long)broker->epoch, (long long)epoch);
	*ret = broker;
	return ERR_NONE;
}

static enum err replay_unregister_broker(struct image_edit *edit, const void *message)
{
	const struct unregister_broker_record *record = message;
	const struct broker_image *broker;
	enum err err = replay_find_broker(edit, record->broker_id, record->broker_epoch, &broker);

	if (!err)
		pmap_remove(&edit->state->brokers, &record->broker_id);
	return err;
}

static enum err replay_broker_fenced(struct image_edit *edit, int32_t id, int64_t epoch, bool fenced)
{
	const struct broker_image *broker;
	enum err err = replay_find_broker(edit, id, epoch, &broker);
	struct broker_image changed;

	if (err)
		return err;
	changed = *broker;
	changed.fenced = fenced;
	pmap_put(&edit->state->brokers, &broker_node_new(&changed)->item);
	return ERR_NONE;
}

static enum err replay_fence_broker(struct image_edit *edit, const void *message)
{
	const struct fence_broker_record *record = message;

	return replay_broker_fenced(edit, record->id, record->epoch, true);
}

static enum err replay_unfence_broker(struct image_edit *edit, const void *message)
{
	const struct unfence_broker_record *record = message;

	return replay_broker_fenced(edit, record->id, record->epoch, false);
}

static enum err replay_broker_change(struct image_edit *edit, const void *message)
{
	const struct broker_registration_change_record *record = message;
	const struct broker_image *broker;
	enum err err = replay_find_broker(edit, record->broker_id, record->broker_epoch, &broker);
	struct broker_image changed;

	if (err)
		return err;
	if (record->fenced < -1 || record->fenced > 1 || record->in_controlled_shutdown < 0 ||
	    record->in_controlled_shutdown > 1)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "fenced %d, in_controlled_shutdown %d",
				    record->fenced, record->in_controlled_shutdown);
	changed = *broker;
	if (record->fenced)
		changed.fenced = record->fenced > 0;
	if (record->in_controlled_shutdown)
		changed.in_controlled_shutdown = true;
	if (record->log_dirs_n > 0) {
		changed.log_dirs = record->log_dirs;
		changed.log_dirs_n = record->log_dirs_n;
	}
	if (record->cordoned_log_dirs_n >= 0) {
		changed.cordoned = record->cordoned_log_dirs;
		changed.cordoned_n = record->cordoned_log_dirs_n;
	}
	pmap_put(&edit->state->brokers, &broker_node_new(&changed)->item);
	return ERR_NONE;
}

/* ---- settings, features, producer ids ---- */

static void replay_remove_config(struct image_edit *edit, const struct resource_key *key, struct str name)
{
	struct pmap_item *item = pmap_get(&edit->state->resources, key);
	struct resource_node *resource;

	if (!item)
		return;
	resource = resource_node_copy(container_of(item, struct resource_node, item));
	pmap_remove(&resource->entries, &name);
	resource->item.refs++;
	if (resource->entries.n > 0)
		pmap_put(&edit->state->resources, &resource->item);
	else
		pmap_remove(&edit->state->resources, key);
	pmap_item_unref(&resource_class, &resource->item);
}

static enum err replay_config(struct image_edit *edit, const void *message)
{
	const struct config_record *record = message;
	struct resource_key key = {record->resource_type, record->resource_name};
	struct pmap_item *item;
	struct resource_node *resource;

	if (!record->value.p) {
		replay_remove_config(edit, &key, record->name);
		return ERR_NONE;
	}
	item = pmap_get(&edit->state->resources, &key);
	resource = item ? resource_node_copy(container_of(item, struct resource_node, item))
			: resource_node_new(key.type, key.name);
	pmap_put(&resource->entries, &config_node_new(record->name, record->value)->item);
	pmap_put(&edit->state->resources, &resource->item);
	return ERR_NONE;
}

static enum err replay_feature_level(struct image_edit *edit, const void *message)
{
	const struct feature_level_record *record = message;
	int16_t level = record->feature_level;

	if (str_eq_c(record->name, METADATA_VERSION) &&
	    (level < METADATA_VERSION_MIN || level > METADATA_VERSION_MAX))
		return err_text_set(edit->text, ERR_NOT_SUPPORTED,
				    "metadata.version is %d; this build knows %d (%s) to %d (%s)", level,
				    METADATA_VERSION_MIN,
				    feature_level_name(STR(METADATA_VERSION), METADATA_VERSION_MIN),
				    METADATA_VERSION_MAX,
				    feature_level_name(STR(METADATA_VERSION), METADATA_VERSION_MAX));
	if (level == 0)
		pmap_remove(&edit->state->features, &record->name);
	else
		pmap_put(&edit->state->features, &feature_node_new(record->name, level)->item);
	return ERR_NONE;
}

static enum err replay_producer_ids(struct image_edit *edit, const void *message)
{
	const struct producer_ids_record *record = message;

	if (record->next_producer_id < edit->state->next_producer_id)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "next producer id %lld after %lld",
				    (long long)record->next_producer_id, (long long)edit->state->next_producer_id);
	edit->state->next_producer_id = record->next_producer_id;
	return ERR_NONE;
}

/* ---- transactions, and what says nothing ---- */

static enum err replay_begin_transaction(struct image_edit *edit, const void *message UNUSED)
{
	if (edit->in_transaction)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "a transaction within another");
	edit->pending = state_copy(&edit->visible);
	edit->in_transaction = true;
	edit->state = &edit->pending;
	return ERR_NONE;
}

static enum err replay_end_transaction(struct image_edit *edit, const void *message UNUSED)
{
	if (!edit->in_transaction)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "the end of a transaction that never began");
	state_deinit(&edit->visible);
	edit->visible = edit->pending;
	edit->in_transaction = false;
	edit->state = &edit->visible;
	return ERR_NONE;
}

static enum err replay_abort_transaction(struct image_edit *edit, const void *message UNUSED)
{
	if (!edit->in_transaction)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "the abort of a transaction that never began");
	state_deinit(&edit->pending);
	edit->in_transaction = false;
	edit->state = &edit->visible;
	return ERR_NONE;
}

static enum err replay_nothing(struct image_edit *edit UNUSED, const void *message UNUSED)
{
	return ERR_NONE;
}

/* ---- all types ---- */

static replay_fn *const replay_fns[] = {
	[METADATA_REGISTER_BROKER_RECORD] = replay_register_broker,
	[METADATA_UNREGISTER_BROKER_RECORD] = replay_unregister_broker,
	[METADATA_TOPIC_RECORD] = replay_topic,
	[METADATA_PARTITION_RECORD] = replay_partition,
	[METADATA_CONFIG_RECORD] = replay_config,
	[METADATA_PARTITION_CHANGE_RECORD] = replay_partition_change,
	[METADATA_FENCE_BROKER_RECORD] = replay_fence_broker,
	[METADATA_UNFENCE_BROKER_RECORD] = replay_unfence_broker,
	[METADATA_REMOVE_TOPIC_RECORD] = replay_remove_topic,
	[METADATA_DELEGATION_TOKEN_RECORD] = replay_kept_token,
	[METADATA_USER_SCRAM_CREDENTIAL_RECORD] = replay_kept_scram,
	[METADATA_FEATURE_LEVEL_RECORD] = replay_feature_level,
	[METADATA_CLIENT_QUOTA_RECORD] = replay_quota,
	[METADATA_PRODUCER_IDS_RECORD] = replay_producer_ids,
	[METADATA_BROKER_REGISTRATION_CHANGE_RECORD] = replay_broker_change,
	[METADATA_ACCESS_CONTROL_ENTRY_RECORD] = replay_kept_acl,
	[METADATA_REMOVE_ACCESS_CONTROL_ENTRY_RECORD] = replay_kept_remove_acl,
	[METADATA_NO_OP_RECORD] = replay_nothing,
	[METADATA_ZK_MIGRATION_STATE_RECORD] = replay_nothing,
	[METADATA_REMOVE_USER_SCRAM_CREDENTIAL_RECORD] = replay_kept_remove_scram,
	[METADATA_BEGIN_TRANSACTION_RECORD] = replay_begin_transaction,
	[METADATA_END_TRANSACTION_RECORD] = replay_end_transaction,
	[METADATA_ABORT_TRANSACTION_RECORD] = replay_abort_transaction,
	[METADATA_REMOVE_DELEGATION_TOKEN_RECORD] = replay_kept_remove_token,
	[METADATA_REGISTER_CONTROLLER_RECORD] = replay_kept_register_controller,
	[METADATA_CLEAR_ELR_RECORD] = replay_clear_elr,
};

enum err image_edit_replay(struct image_edit *edit, struct bytes record, struct err_text *text)
{
	struct err_text reason = {{0}};
	struct metadata_record frame;
	size_t used = 0;
	void *message;
	enum err err = metadata_record_parse(record, &frame, text);

	if (err)
		return err;
	if ((size_t)frame.type >= ARRAY_N(replay_fns) || !replay_fns[frame.type])
		return err_text_set(text, ERR_NOT_SUPPORTED, "%s cannot be replayed",
				    metadata_record_name(frame.type));
	edit->record = record;
	edit->text = &reason;
	message = arena_alloc(&edit->arena, frame.schema->size);
	err = codec_decode(frame.schema, frame.version, frame.message, &edit->arena, message, &used, &reason);
	if (!err && used < frame.message.len)
		err = err_text_set(&reason, ERR_DECODE, "%zu bytes follow it", frame.message.len - used);
	if (!err)
		err = replay_fns[frame.type](edit, message);
	else if (err != ERR_NOT_SUPPORTED)
		err = ERR_DECODE;
	arena_reset(&edit->arena);
	if (err)
		err_text_set(text, err, "%s: %s", metadata_record_name(frame.type), reason.text);
	return err;
}

struct image *image_edit_finish(struct image_edit *edit, int64_t offset, int32_t epoch, int64_t timestamp_ms)
{
	struct image *image = image_new(&edit->visible, edit->in_transaction ? &edit->pending : NULL, offset, epoch,
					timestamp_ms);

	arena_reset(&edit->arena);
	mem_free(edit);
	return image;
}

void image_edit_drop(struct image_edit *edit)
{
	state_deinit(&edit->visible);
	if (edit->in_transaction)
		state_deinit(&edit->pending);
	arena_reset(&edit->arena);
	mem_free(edit);
}
