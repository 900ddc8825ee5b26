/* SPDX-License-Identifier: Apache-2.0 */
/* See image.h. */
#include "image.h"

#include "check.h"
#include "image_state.h"
#include "mem.h"
#include "msg/metadata_records.h"
#include "replay.h"

struct image *image_new(struct state *take_state, const struct state *take_pending, int64_t offset, int32_t epoch,
			int64_t timestamp_ms)
{
	struct image_node *node = MEM_NEW(struct image_node);

	node->state = *take_state;
	if (take_pending) {
		node->pending = *take_pending;
		node->in_transaction = true;
	}
	node->pub = (struct image){
		.offset = offset,
		.epoch = epoch,
		.timestamp_ms = timestamp_ms,
		.topics_n = take_state->by_name.n,
		.partitions_n = take_state->partitions_n,
		.next_producer_id = take_state->next_producer_id,
		.refs = 1,
	};
	return &node->pub;
}

struct image *image_new_empty(void)
{
	struct state state;

	state_init(&state);
	return image_new(&state, NULL, 0, 0, 0);
}

struct image *image_ref(struct image *image)
{
	image->refs++;
	return image;
}

void image_unref(struct image *image)
{
	struct image_node *node;

	CHECK_OP(image->refs, >, 0);
	if (--image->refs > 0)
		return;
	node = container_of(image, struct image_node, pub);
	state_deinit(&node->state);
	if (node->in_transaction)
		state_deinit(&node->pending);
	mem_free(node);
}

bool image_in_transaction(const struct image *image)
{
	return image_node_of(image)->in_transaction;
}

/* ---- reading ---- */

static const struct topic_image *topic_of(struct pmap_item *item)
{
	return item ? &container_of(item, struct topic_node, item)->pub : NULL;
}

const struct topic_image *image_topic(const struct image *image, struct str name)
{
	return topic_of(pmap_get(&image_node_of(image)->state.by_name, &name));
}

const struct topic_image *image_topic_by_id(const struct image *image, struct uuid id)
{
	return topic_of(pmap_get(&image_node_of(image)->state.by_id, &id));
}

const struct topic_image *image_topic_next(const struct image *image, struct str after)
{
	return topic_of(pmap_next(&image_node_of(image)->state.by_name, after.p ? &after : NULL));
}

const struct partition_image *topic_partition(const struct topic_image *topic, int32_t partition)
{
	const struct topic_node *node = topic_node_of(topic);
	const struct partition_chunk *chunk;
	const struct partition_node *found;

	if (partition < 0 || partition >= topic->partitions_n)
		return NULL;
	chunk = node->chunks[partition / CHUNK_PARTITIONS];
	found = chunk ? chunk->partitions[partition % CHUNK_PARTITIONS] : NULL;
	return found ? &found->pub : NULL;
}

const struct broker_image *image_broker(const struct image *image, int32_t id)
{
	struct pmap_item *item = pmap_get(&image_node_of(image)->state.brokers, &id);

	return item ? &container_of(item, struct broker_node, item)->pub : NULL;
}

const struct broker_image *image_broker_next(const struct image *image, int32_t after)
{
	struct pmap_item *item = pmap_next(&image_node_of(image)->state.brokers, &after);

	return item ? &container_of(item, struct broker_node, item)->pub : NULL;
}

struct bytes image_controller_next(const struct image *image, int32_t after, int32_t *ret_id)
{
	uint8_t id[4];
	struct kept_key key = {METADATA_REGISTER_CONTROLLER_RECORD, {id, sizeof(id)}};
	struct pmap_item *item;
	const struct kept_node *kept;

	if (after < 0)
		key.key.len = 0; /* before every id */
	else
		store_be32(id, (uint32_t)after);
	item = pmap_next(&image_node_of(image)->state.kept, &key);
	kept = item ? container_of(item, struct kept_node, item) : NULL;
	if (!kept || kept->type != METADATA_REGISTER_CONTROLLER_RECORD)
		return BYTES_NULL;
	*ret_id = (int32_t)load_be32(kept->key.p);
	return kept->record;
}

int32_t image_kept_n(const struct image *image, int16_t record_type)
{
	const struct pmap *kept = &image_node_of(image)->state.kept;
	struct kept_key key = {record_type, {(const uint8_t *)"", 0}};
	struct pmap_item *item = pmap_next(kept, &key);
	int32_t n = 0;

	while (item) {
		const struct kept_node *node = container_of(item, struct kept_node, item);

		if (node->type != record_type)
			break;
		n++;
		key.key = node->key;
		item = pmap_next(kept, &key);
	}
	return n;
}

/* What replay_kept.c makes of a user and a mechanism. */
static struct bytes image_scram_key(struct str user, int8_t mechanism, uint8_t *key)
{
	if (user.len)
		memcpy(key, user.p, user.len);
	key[user.len] = (uint8_t)mechanism;
	return (struct bytes){key, user.len + 1};
}

struct bytes image_scram(const struct image *image, struct str user, int8_t mechanism)
{
	uint8_t *buf = mem_alloc(user.len + 1);
	struct kept_key key = {METADATA_USER_SCRAM_CREDENTIAL_RECORD, image_scram_key(user, mechanism, buf)};
	struct pmap_item *item = pmap_get(&image_node_of(image)->state.kept, &key);

	mem_free(buf);
	return item ? container_of(item, struct kept_node, item)->record : BYTES_NULL;
}

struct bytes image_scram_next(const struct image *image, struct str *user, int8_t *mechanism)
{
	uint8_t *buf = mem_alloc(user->len + 1);
	struct kept_key key = {METADATA_USER_SCRAM_CREDENTIAL_RECORD, {buf, 0}}; /* empty: before every user */
	const struct kept_node *kept;
	struct pmap_item *item;

	if (user->p)
		key.key = image_scram_key(*user, *mechanism, buf);
	item = pmap_next(&image_node_of(image)->state.kept, &key);
	mem_free(buf);
	kept = item ? container_of(item, struct kept_node, item) : NULL;
	if (!kept || kept->type != METADATA_USER_SCRAM_CREDENTIAL_RECORD)
		return BYTES_NULL;
	*user = (struct str){(const char *)kept->key.p, kept->key.len - 1};
	*mechanism = (int8_t)kept->key.p[kept->key.len - 1];
	return kept->record;
}

int16_t image_feature(const struct image *image, struct str name)
{
	struct pmap_item *item = pmap_get(&image_node_of(image)->state.features, &name);

	return item ? container_of(item, struct feature_node, item)->level : 0;
}

bool image_feature_next(const struct image *image, struct str after, struct str *ret_name, int16_t *ret_level)
{
	struct pmap_item *item = pmap_next(&image_node_of(image)->state.features, after.p ? &after : NULL);
	const struct feature_node *feature;

	if (!item)
		return false;
	feature = container_of(item, struct feature_node, item);
	*ret_name = feature->name;
	*ret_level = feature->level;
	return true;
}

static const struct resource_node *image_resource(const struct image *image, int8_t type, struct str name)
{
	struct resource_key key = {type, name};
	struct pmap_item *item = pmap_get(&image_node_of(image)->state.resources, &key);

	return item ? container_of(item, struct resource_node, item) : NULL;
}

bool image_config(const struct image *image, int8_t type, struct str resource, struct str key, struct str *ret_value)
{
	const struct resource_node *node = image_resource(image, type, resource);
	struct pmap_item *item = node ? pmap_get(&node->entries, &key) : NULL;

	if (!item)
		return false;
	*ret_value = container_of(item, struct config_node, item)->value;
	return true;
}

bool image_config_next(const struct image *image, int8_t type, struct str resource, struct str after_key,
		       struct str *ret_key, struct str *ret_value)
{
	const struct resource_node *node = image_resource(image, type, resource);
	struct pmap_item *item = node ? pmap_next(&node->entries, after_key.p ? &after_key : NULL) : NULL;
	const struct config_node *config;

	if (!item)
		return false;
	config = container_of(item, struct config_node, item);
	*ret_key = config->key;
	*ret_value = config->value;
	return true;
}

bool image_resource_next(const struct image *image, int8_t type, struct str after, struct str *ret_name)
{
	struct resource_key key = {type, after};
	struct pmap_item *item = NULL;
	const struct resource_node *node;

	if (!after.p) {
		/* The empty name is the least, and may be one. */
		key.name = STR("");
		item = pmap_get(&image_node_of(image)->state.resources, &key);
	}
	if (!item)
		item = pmap_next(&image_node_of(image)->state.resources, &key);
	node = item ? container_of(item, struct resource_node, item) : NULL;
	if (!node || node->type != type)
		return false;
	*ret_name = node->name;
	return true;
}

/* ---- what differs ---- */

struct topic_diff {
	image_topic_diff_fn *fn;
	void *ctx;
};

static bool image_diff_topic(void *ctx, struct pmap_item *before, struct pmap_item *after)
{
	const struct topic_diff *diff = ctx;
	const struct topic_image *a = topic_of(before), *b = topic_of(after);

	if (a && b && !uuid_eq(a->id, b->id)) {
		diff->fn(diff->ctx, a, NULL);
		a = NULL;
	}
	diff->fn(diff->ctx, a, b);
	return true;
}

void image_diff_topics(const struct image *before, const struct image *after, image_topic_diff_fn *fn, void *ctx)
{
	struct topic_diff diff = {fn, ctx};

	pmap_diff(&image_node_of(before)->state.by_name, &image_node_of(after)->state.by_name, image_diff_topic, &diff);
}

struct config_diff {
	image_config_diff_fn *fn;
	void *ctx;
};

static bool image_diff_resource(void *ctx, struct pmap_item *before, struct pmap_item *after)
{
	const struct config_diff *diff = ctx;
	const struct resource_node *node = container_of(after ? after : before, struct resource_node, item);

	diff->fn(diff->ctx, node->type, node->name);
	return true;
}

void image_diff_configs(const struct image *before, const struct image *after, image_config_diff_fn *fn, void *ctx)
{
	struct config_diff diff = {fn, ctx};

	pmap_diff(&image_node_of(before)->state.resources, &image_node_of(after)->state.resources, image_diff_resource,
		  &diff);
}

static bool ids_equal(const int32_t *a, int32_t a_n, const int32_t *b, int32_t b_n)
{
	return a_n == b_n && (a_n == 0 || memcmp(a, b, (size_t)a_n * sizeof(*a)) == 0);
}

static bool uuids_equal(const struct uuid *a, int32_t a_n, const struct uuid *b, int32_t b_n)
{
	return a_n == b_n && (a_n == 0 || memcmp(a, b, (size_t)a_n * sizeof(*a)) == 0);
}

bool partition_image_equal(const struct partition_image *a, const struct partition_image *b)
{
	if (!a || !b)
		return a == b;
	return a->leader == b->leader && a->leader_epoch == b->leader_epoch &&
	       a->partition_epoch == b->partition_epoch && a->leader_recovery_state == b->leader_recovery_state &&
	       ids_equal(a->replicas, a->replicas_n, b->replicas, b->replicas_n) &&
	       ids_equal(a->isr, a->isr_n, b->isr, b->isr_n) &&
	       ids_equal(a->removing, a->removing_n, b->removing, b->removing_n) &&
	       ids_equal(a->adding, a->adding_n, b->adding, b->adding_n) &&
	       ids_equal(a->elr, a->elr_n, b->elr, b->elr_n) &&
	       ids_equal(a->last_known_elr, a->last_known_elr_n, b->last_known_elr, b->last_known_elr_n) &&
	       uuids_equal(a->directories, a->directories_n, b->directories, b->directories_n);
}

static bool equal_topic(void *ctx, struct pmap_item *x, struct pmap_item *y)
{
	const struct topic_image *a = topic_of(x), *b = topic_of(y);

	if (a && b && uuid_eq(a->id, b->id) && a->partitions_n == b->partitions_n) {
		int32_t i = 0;

		while (i < a->partitions_n && partition_image_equal(topic_partition(a, i), topic_partition(b, i)))
			i++;
		if (i == a->partitions_n)
			return true;
		err_text_set(ctx, ERR_NONE, "topic %.*s, partition %d", STR_ARGS(a->name), i);
		return false;
	}
	err_text_set(ctx, ERR_NONE, "topic %.*s", STR_ARGS(a ? a->name : b->name));
	return false;
}

static bool broker_image_equal(const struct broker_image *a, const struct broker_image *b)
{
	if (a->epoch != b->epoch || !uuid_eq(a->incarnation, b->incarnation) || !str_eq(a->rack, b->rack) ||
	    a->fenced != b->fenced || a->in_controlled_shutdown != b->in_controlled_shutdown ||
	    !uuids_equal(a->log_dirs, a->log_dirs_n, b->log_dirs, b->log_dirs_n) ||
	    !uuids_equal(a->cordoned, a->cordoned_n, b->cordoned, b->cordoned_n) ||
	    a->endpoints_n != b->endpoints_n || a->features_n != b->features_n)
		return false;
	for (int32_t i = 0; i < a->endpoints_n; i++) {
		const struct endpoint_image *x = &a->endpoints[i], *y = &b->endpoints[i];

		if (!str_eq(x->name, y->name) || !str_eq(x->host, y->host) || x->port != y->port ||
		    x->security_protocol != y->security_protocol)
			return false;
	}
	for (int32_t i = 0; i < a->features_n; i++) {
		const struct feature_range *x = &a->features[i], *y = &b->features[i];

		if (!str_eq(x->name, y->name) || x->min != y->min || x->max != y->max)
			return false;
	}
	return true;
}

static bool equal_broker(void *ctx, struct pmap_item *x, struct pmap_item *y)
{
	const struct broker_node *a = container_of(x ? x : y, struct broker_node, item);

	if (x && y && broker_image_equal(&a->pub, &container_of(y, struct broker_node, item)->pub))
		return true;
	err_text_set(ctx, ERR_NONE, "broker %d", a->pub.id);
	return false;
}

static bool equal_feature(void *ctx, struct pmap_item *x, struct pmap_item *y)
{
	const struct feature_node *a = container_of(x ? x : y, struct feature_node, item);

	if (x && y && a->level == container_of(y, struct feature_node, item)->level)
		return true;
	err_text_set(ctx, ERR_NONE, "feature %.*s", STR_ARGS(a->name));
	return false;
}

static bool equal_config(void *ctx, struct pmap_item *x, struct pmap_item *y)
{
	const struct config_node *a = container_of(x ? x : y, struct config_node, item);

	if (x && y && str_eq(a->value, container_of(y, struct config_node, item)->value))
		return true;
	err_text_set(ctx, ERR_NONE, "setting %.*s", STR_ARGS(a->key));
	return false;
}

static bool equal_resource(void *ctx, struct pmap_item *x, struct pmap_item *y)
{
	const struct resource_node *a = container_of(x ? x : y, struct resource_node, item);

	if (x && y)
		return pmap_diff(&a->entries, &container_of(y, struct resource_node, item)->entries, equal_config, ctx);
	err_text_set(ctx, ERR_NONE, "settings of resource %d %.*s", a->type, STR_ARGS(a->name));
	return false;
}

static bool equal_quota(void *ctx, struct pmap_item *x, struct pmap_item *y)
{
	const struct quota_node *a = container_of(x ? x : y, struct quota_node, item);

	if (x && y && quota_image_equal(&a->pub, &container_of(y, struct quota_node, item)->pub))
		return true;
	err_text_set(ctx, ERR_NONE, "quotas of %.*s %.*s", STR_ARGS(a->pub.parts[0].type),
		     STR_ARGS(a->pub.parts[0].name));
	return false;
}

static bool equal_kept(void *ctx, struct pmap_item *x, struct pmap_item *y)
{
	const struct kept_node *a = container_of(x ? x : y, struct kept_node, item);

	if (x && y && bytes_eq(a->record, container_of(y, struct kept_node, item)->record))
		return true;
	err_text_set(ctx, ERR_NONE, "record of type %d", a->type);
	return false;
}

static bool state_equal(const struct state *a, const struct state *b, struct err_text *difference)
{
	if (a->next_producer_id != b->next_producer_id) {
		err_text_set(difference, ERR_NONE, "next producer id %lld, %lld", (long long)a->next_producer_id,
			     (long long)b->next_producer_id);
		return false;
	}
	if (!pmap_diff(&a->by_name, &b->by_name, equal_topic, difference) ||
	    !pmap_diff(&a->brokers, &b->brokers, equal_broker, difference) ||
	    !pmap_diff(&a->features, &b->features, equal_feature, difference) ||
	    !pmap_diff(&a->resources, &b->resources, equal_resource, difference) ||
	    !pmap_diff(&a->quotas, &b->quotas, equal_quota, difference) ||
	    !pmap_diff(&a->kept, &b->kept, equal_kept, difference))
		return false;
	CHECK_OP(a->partitions_n, ==, b->partitions_n);
	return true;
}

bool image_equal(const struct image *a, const struct image *b, struct err_text *difference)
{
	const struct image_node *x = image_node_of(a), *y = image_node_of(b);

	if (x->in_transaction != y->in_transaction) {
		err_text_set(difference, ERR_NONE, "only one is within a transaction");
		return false;
	}
	return state_equal(&x->state, &y->state, difference) &&
	       (!x->in_transaction || state_equal(&x->pending, &y->pending, difference));
}
