/* SPDX-License-Identifier: Apache-2.0 */
/* See image_state.h. The objects of the image: making, copying, ordering and freeing them. */
#include "image_state.h"

#include "mem.h"

/* ---- one block with its arrays ---- */

static void *block_take(uint8_t **at, const void *from, size_t size)
{
	void *copy = *at;

	if (size)
		memcpy(copy, from, size);
	*at += (size + 7) & ~(size_t)7;
	return copy;
}

static size_t block_len(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

static struct str block_str(uint8_t **at, struct str s)
{
	if (!s.p)
		return STR_NULL;
	return (struct str){block_take(at, s.p, s.len), s.len};
}

/* ---- partitions ---- */

struct partition_node *partition_node_new(const struct partition_image *from)
{
	size_t ids_n = (size_t)from->replicas_n + (size_t)from->isr_n + (size_t)from->removing_n +
		       (size_t)from->adding_n + (size_t)from->elr_n + (size_t)from->last_known_elr_n;
	struct partition_node *node = mem_alloc(sizeof(*node) + (size_t)from->directories_n * sizeof(struct uuid) +
						ids_n * sizeof(int32_t));
	struct uuid *directories = (struct uuid *)(void *)(node + 1);
	int32_t *ids = (int32_t *)(void *)(directories + from->directories_n);
	const struct {
		const int32_t *from;
		int32_t n;
		const int32_t **to;
	} arrays[] = {
		{from->replicas, from->replicas_n, &node->pub.replicas},
		{from->isr, from->isr_n, &node->pub.isr},
		{from->removing, from->removing_n, &node->pub.removing},
		{from->adding, from->adding_n, &node->pub.adding},
		{from->elr, from->elr_n, &node->pub.elr},
		{from->last_known_elr, from->last_known_elr_n, &node->pub.last_known_elr},
	};

	node->refs = 1;
	node->pub = *from;
	node->pub.directories = directories;
	if (from->directories_n)
		memcpy(directories, from->directories, (size_t)from->directories_n * sizeof(*directories));
	for (size_t i = 0; i < ARRAY_N(arrays); i++) {
		*arrays[i].to = ids;
		if (arrays[i].n)
			memcpy(ids, arrays[i].from, (size_t)arrays[i].n * sizeof(*ids));
		ids += arrays[i].n;
	}
	return node;
}

void partition_node_unref(struct partition_node *node)
{
	if (node && --node->refs == 0)
		mem_free(node);
}

static void chunk_unref(struct partition_chunk *chunk)
{
	if (!chunk || --chunk->refs > 0)
		return;
	for (int i = 0; i < CHUNK_PARTITIONS; i++)
		partition_node_unref(chunk->partitions[i]);
	mem_free(chunk);
}

static struct partition_chunk *chunk_own(struct partition_chunk *chunk)
{
	struct partition_chunk *copy;

	if (chunk && chunk->refs == 1)
		return chunk;
	copy = MEM_NEW(struct partition_chunk);
	copy->refs = 1;
	if (!chunk)
		return copy;
	for (int i = 0; i < CHUNK_PARTITIONS; i++) {
		copy->partitions[i] = chunk->partitions[i];
		if (copy->partitions[i])
			copy->partitions[i]->refs++;
	}
	chunk->refs--;
	return copy;
}

/* ---- topics ---- */

struct topic_node *topic_node_new(struct str name, struct uuid id)
{
	struct topic_node *topic = mem_calloc(1, sizeof(*topic) + name.len + 1);
	char *copy = (char *)(topic + 1);

	if (name.len)
		memcpy(copy, name.p, name.len);
	topic->pub.name = (struct str){copy, name.len};
	topic->pub.id = id;
	return topic;
}

struct topic_node *topic_node_copy(const struct topic_node *from)
{
	struct topic_node *topic = topic_node_new(from->pub.name, from->pub.id);

	topic->pub.partitions_n = from->pub.partitions_n;
	topic->chunks_n = from->chunks_n;
	topic->chunks = mem_calloc((size_t)from->chunks_n, sizeof(struct partition_chunk *));
	for (int32_t i = 0; i < from->chunks_n; i++) {
		topic->chunks[i] = from->chunks[i];
		if (topic->chunks[i])
			topic->chunks[i]->refs++;
	}
	return topic;
}

void topic_node_put(struct topic_node *topic, int32_t index, struct partition_node *take_partition)
{
	int32_t at = index / CHUNK_PARTITIONS;
	struct partition_node **slot;

	if (at >= topic->chunks_n) {
		int32_t n = MAX(at + 1, MIN(topic->chunks_n * 2, INT32_MAX / 2));

		topic->chunks = mem_realloc(topic->chunks, (size_t)n * sizeof(struct partition_chunk *));
		memset(topic->chunks + topic->chunks_n, 0,
		       (size_t)(n - topic->chunks_n) * sizeof(struct partition_chunk *));
		topic->chunks_n = n;
	}
	topic->chunks[at] = chunk_own(topic->chunks[at]);
	slot = &topic->chunks[at]->partitions[index % CHUNK_PARTITIONS];
	partition_node_unref(*slot);
	*slot = take_partition;
	topic->pub.partitions_n = MAX(topic->pub.partitions_n, index + 1);
}

static struct topic_node *topic_item(const struct pmap_item *item)
{
	return container_of((struct pmap_item *)item, struct topic_node, item);
}

static int topic_name_cmp_key(const void *key, const struct pmap_item *item)
{
	return str_cmp(*(const struct str *)key, topic_item(item)->pub.name);
}

static int topic_name_cmp(const struct pmap_item *a, const struct pmap_item *b)
{
	return str_cmp(topic_item(a)->pub.name, topic_item(b)->pub.name);
}

static int topic_id_cmp_key(const void *key, const struct pmap_item *item)
{
	return uuid_cmp(*(const struct uuid *)key, topic_item(item)->pub.id);
}

static int topic_id_cmp(const struct pmap_item *a, const struct pmap_item *b)
{
	return uuid_cmp(topic_item(a)->pub.id, topic_item(b)->pub.id);
}

static void topic_free(struct pmap_item *item)
{
	struct topic_node *topic = topic_item(item);

	for (int32_t i = 0; i < topic->chunks_n; i++)
		chunk_unref(topic->chunks[i]);
	mem_free(topic->chunks);
	mem_free(topic);
}

const struct pmap_class topic_name_class = {topic_name_cmp_key, topic_name_cmp, topic_free};
const struct pmap_class topic_id_class = {topic_id_cmp_key, topic_id_cmp, topic_free};

/* ---- brokers ---- */

static size_t broker_extra_len(const struct broker_image *from)
{
	size_t len = block_len(from->rack.len) + (size_t)from->endpoints_n * sizeof(struct endpoint_image) +
		     (size_t)from->features_n * sizeof(struct feature_range) +
		     ((size_t)from->log_dirs_n + (size_t)from->cordoned_n) * sizeof(struct uuid);

	for (int32_t i = 0; i < from->endpoints_n; i++)
		len += block_len(from->endpoints[i].name.len) + block_len(from->endpoints[i].host.len);
	for (int32_t i = 0; i < from->features_n; i++)
		len += block_len(from->features[i].name.len);
	return len;
}

struct broker_node *broker_node_new(const struct broker_image *from)
{
	struct broker_node *broker = mem_calloc(1, sizeof(*broker) + broker_extra_len(from));
	uint8_t *at = (uint8_t *)(broker + 1);
	struct endpoint_image *endpoints;
	struct feature_range *features;

	broker->pub = *from;
	broker->pub.log_dirs = block_take(&at, from->log_dirs, (size_t)from->log_dirs_n * sizeof(struct uuid));
	broker->pub.cordoned = block_take(&at, from->cordoned, (size_t)from->cordoned_n * sizeof(struct uuid));
	endpoints = block_take(&at, from->endpoints, (size_t)from->endpoints_n * sizeof(*endpoints));
	features = block_take(&at, from->features, (size_t)from->features_n * sizeof(*features));
	for (int32_t i = 0; i < from->endpoints_n; i++) {
		endpoints[i].name = block_str(&at, from->endpoints[i].name);
		endpoints[i].host = block_str(&at, from->endpoints[i].host);
	}
	for (int32_t i = 0; i < from->features_n; i++)
		features[i].name = block_str(&at, from->features[i].name);
	broker->pub.endpoints = endpoints;
	broker->pub.features = features;
	broker->pub.rack = block_str(&at, from->rack);
	return broker;
}

static struct broker_node *broker_item(const struct pmap_item *item)
{
	return container_of((struct pmap_item *)item, struct broker_node, item);
}

static int int_cmp(int32_t a, int32_t b)
{
	return a < b ? -1 : a > b;
}

static int broker_cmp_key(const void *key, const struct pmap_item *item)
{
	return int_cmp(*(const int32_t *)key, broker_item(item)->pub.id);
}

static int broker_cmp(const struct pmap_item *a, const struct pmap_item *b)
{
	return int_cmp(broker_item(a)->pub.id, broker_item(b)->pub.id);
}

static void broker_free(struct pmap_item *item)
{
	mem_free(broker_item(item));
}

const struct pmap_class broker_class = {broker_cmp_key, broker_cmp, broker_free};

/* ---- features ---- */

struct feature_node *feature_node_new(struct str name, int16_t level)
{
	struct feature_node *feature = mem_calloc(1, sizeof(*feature) + block_len(name.len));
	uint8_t *at = (uint8_t *)(feature + 1);

	feature->level = level;
	feature->name = block_str(&at, name);
	return feature;
}

static struct feature_node *feature_item(const struct pmap_item *item)
{
	return container_of((struct pmap_item *)item, struct feature_node, item);
}

static int feature_cmp_key(const void *key, const struct pmap_item *item)
{
	return str_cmp(*(const struct str *)key, feature_item(item)->name);
}

static int feature_cmp(const struct pmap_item *a, const struct pmap_item *b)
{
	return str_cmp(feature_item(a)->name, feature_item(b)->name);
}

static void feature_free(struct pmap_item *item)
{
	mem_free(feature_item(item));
}

const struct pmap_class feature_class = {feature_cmp_key, feature_cmp, feature_free};

/* ---- settings ---- */

struct config_node *config_node_new(struct str key, struct str value)
{
	struct config_node *config = mem_calloc(1, sizeof(*config) + block_len(key.len) + block_len(value.len));
	uint8_t *at = (uint8_t *)(config + 1);

	config->key = block_str(&at, key);
	config->value = block_str(&at, value);
	return config;
}

static struct config_node *config_item(const struct pmap_item *item)
{
	return container_of((struct pmap_item *)item, struct config_node, item);
}

static int config_cmp_key(const void *key, const struct pmap_item *item)
{
	return str_cmp(*(const struct str *)key, config_item(item)->key);
}

static int config_cmp(const struct pmap_item *a, const struct pmap_item *b)
{
	return str_cmp(config_item(a)->key, config_item(b)->key);
}

static void config_free(struct pmap_item *item)
{
	mem_free(config_item(item));
}

const struct pmap_class config_class = {config_cmp_key, config_cmp, config_free};

struct resource_node *resource_node_new(int8_t type, struct str name)
{
	struct resource_node *resource = mem_calloc(1, sizeof(*resource) + block_len(name.len));
	uint8_t *at = (uint8_t *)(resource + 1);

	resource->type = type;
	resource->name = block_str(&at, name);
	resource->entries.class = &config_class;
	return resource;
}

struct resource_node *resource_node_copy(const struct resource_node *from)
{
	struct resource_node *resource = resource_node_new(from->type, from->name);

	resource->entries = pmap_copy(&from->entries);
	return resource;
}

static struct resource_node *resource_item(const struct pmap_item *item)
{
	return container_of((struct pmap_item *)item, struct resource_node, item);
}

static int resource_cmp_with(int8_t type, struct str name, const struct resource_node *resource)
{
	int c = int_cmp(type, resource->type);

	return c ? c : str_cmp(name, resource->name);
}

static int resource_cmp_key(const void *arg, const struct pmap_item *item)
{
	const struct resource_key *key = arg;

	return resource_cmp_with(key->type, key->name, resource_item(item));
}

static int resource_cmp(const struct pmap_item *a, const struct pmap_item *b)
{
	return resource_cmp_with(resource_item(a)->type, resource_item(a)->name, resource_item(b));
}

static void resource_free(struct pmap_item *item)
{
	pmap_clear(&resource_item(item)->entries);
	mem_free(resource_item(item));
}

const struct pmap_class resource_class = {resource_cmp_key, resource_cmp, resource_free};

/* ---- kept records ---- */

struct kept_node *kept_node_new(int16_t type, struct bytes key, struct bytes record)
{
	struct kept_node *kept = mem_calloc(1, sizeof(*kept) + block_len(key.len) + block_len(record.len));
	uint8_t *at = (uint8_t *)(kept + 1);

	kept->type = type;
	kept->key = (struct bytes){block_take(&at, key.p, key.len), key.len};
	kept->record = (struct bytes){block_take(&at, record.p, record.len), record.len};
	return kept;
}

static struct kept_node *kept_item(const struct pmap_item *item)
{
	return container_of((struct pmap_item *)item, struct kept_node, item);
}

static int kept_cmp_with(int16_t type, struct bytes key, const struct kept_node *kept)
{
	int c = int_cmp(type, kept->type);

	return c ? c : str_cmp(bytes_str(key), bytes_str(kept->key));
}

static int kept_cmp_key(const void *arg, const struct pmap_item *item)
{
	const struct kept_key *key = arg;

	return kept_cmp_with(key->type, key->key, kept_item(item));
}

static int kept_cmp(const struct pmap_item *a, const struct pmap_item *b)
{
	return kept_cmp_with(kept_item(a)->type, kept_item(a)->key, kept_item(b));
}

static void kept_free(struct pmap_item *item)
{
	mem_free(kept_item(item));
}

const struct pmap_class kept_class = {kept_cmp_key, kept_cmp, kept_free};

/* ---- all of it ---- */

void state_init(struct state *state)
{
	*state = (struct state){
		.by_name.class = &topic_name_class,
		.by_id.class = &topic_id_class,
		.brokers.class = &broker_class,
		.features.class = &feature_class,
		.resources.class = &resource_class,
		.quotas.class = &quota_class,
		.kept.class = &kept_class,
	};
}

struct state state_copy(const struct state *state)
{
	struct state copy = *state;

	copy.by_name = pmap_copy(&state->by_name);
	copy.by_id = pmap_copy(&state->by_id);
	copy.brokers = pmap_copy(&state->brokers);
	copy.features = pmap_copy(&state->features);
	copy.resources = pmap_copy(&state->resources);
	copy.quotas = pmap_copy(&state->quotas);
	copy.kept = pmap_copy(&state->kept);
	return copy;
}

void state_deinit(struct state *state)
{
	pmap_clear(&state->by_name);
	pmap_clear(&state->by_id);
	pmap_clear(&state->brokers);
	pmap_clear(&state->features);
	pmap_clear(&state->resources);
	pmap_clear(&state->quotas);
	pmap_clear(&state->kept);
}
