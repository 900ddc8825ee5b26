/* SPDX-License-Identifier: Apache-2.0 */
/* See telemetry.h. Clients stand in a list, the longest quiet first; a client's values in a map by name and labels. */
#include "telemetry.h"

#include "broker.h"
#include "compress.h"
#include "mem.h"
#include "msg/push_telemetry.h"
#include "otlp.h"
#include "telemetry_subscriptions.h"
#include "utf8.h"

#define LONG_AGO_MS (INT64_MIN / 4)
#define KEPT_MS_MIN 60000
#define KEPT_INTERVALS 3
#define KEY_LEN_MAX ((size_t)1024)  /* of a value: its name and labels */
#define UNPACKED_FACTOR ((size_t)16) /* times telemetry.max.bytes: more is refused */

struct telemetry_value {
	double value;
	bool is_counter;
	size_t name_len, key_len; /* key: name, NUL, labels, NUL */
	char key[];
};

struct telemetry_client {
	struct list link;
	struct uuid id;
	struct arena arena; /* of the texts */
	struct telemetry_subscription subscription;
	uint64_t version; /* of the subscriptions that it was looked at with */
	struct str labels; /* who it is, for the page */
	int64_t got_ms, pushed_ms, heard_ms;
	bool is_terminating;
	enum err known; /* what it was told last */
	struct map values;
};

struct telemetry {
	struct shard *shard;
	struct telemetry_subscriptions *subscriptions;
	uint64_t subscriptions_hash;
	uint64_t version;
	struct map clients;
	struct list heard; /* longest quiet first */
	size_t bytes;
	int64_t left_out_n;
	uint64_t unknown_n; /* pushes under another subscription */
	struct scratch unpacked;
};

static int64_t telemetry_now_ms(const struct telemetry *telemetry)
{
	return telemetry->shard->reactor->now_ns / NS_PER_MS;
}

struct shard *telemetry_owner(const struct shard *shard, struct uuid instance_id)
{
	struct broker *broker = shard->broker;

	return &broker->shards[hash_uuid(instance_id, 0) % (uint64_t)broker->shards_n];
}

/* ---- clients ---- */

static void telemetry_forget_values(struct telemetry *telemetry, struct telemetry_client *client)
{
	struct telemetry_value *value;
	uint32_t it = 0;

	while ((value = map_next(&client->values, &it)) != NULL) {
		telemetry->bytes -= sizeof(*value) + value->key_len;
		mem_free(value);
	}
	map_deinit(&client->values);
}

static void telemetry_forget(struct telemetry *telemetry, struct telemetry_client *client)
{
	map_remove_uuid(&telemetry->clients, client->id);
	list_remove(&client->link);
	telemetry_forget_values(telemetry, client);
	arena_reset(&client->arena);
	mem_free(client);
}

void telemetry_tick(struct telemetry *telemetry)
{
	list_for_each(node, next, &telemetry->heard) {
		struct telemetry_client *client = list_entry(node, struct telemetry_client, link);
		int64_t kept_ms = (int64_t)client->subscription.push_interval_ms * KEPT_INTERVALS;

		if (telemetry_now_ms(telemetry) - client->heard_ms < KEPT_MS_MIN)
			break;
		if (telemetry_now_ms(telemetry) - client->heard_ms >= MAX(kept_ms, KEPT_MS_MIN))
			telemetry_forget(telemetry, client);
	}
}

/* A value of a label as Prometheus wants it, with what cannot be shown left out. */
static void telemetry_label(struct fmt *f, struct str key, struct str text)
{
	fmt_add(f, "%s", f->len ? "," : "");
	for (size_t i = 0; i < key.len; i++) {
		char c = key.p[i];
		bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (i > 0 && c >= '0' && c <= '9');

		fmt_add(f, "%c", is_word ? c : '_');
	}
	fmt_add(f, "=\"");
	for (size_t i = 0, step; i < text.len; i += step) {
		char c = text.p[i];
		bool is_character;

		step = utf8_step((const uint8_t *)text.p + i, text.len - i, &is_character);
		if (!is_character)
			fmt_add(f, "?");
		else if (step > 1)
			fmt_add(f, "%.*s", (int)step, text.p + i);
		else if (c == '"' || c == '\\')
			fmt_add(f, "\\%c", c);
		else if (c == '\n')
			fmt_add(f, "\\n");
		else if ((unsigned char)c >= ' ')
			fmt_add(f, "%c", c);
	}
	fmt_add(f, "\"");
}

static void telemetry_describe(struct telemetry_client *client, const struct telemetry_source *source)
{
	char id[UUID_TEXT_LEN + 1], room[1024];
	struct str client_id = source->client_id;
	struct fmt f;

	client_id.len = MIN(client_id.len, (size_t)249);
	uuid_format(source->instance_id, id);
	fmt_init(&f, room, sizeof(room));
	telemetry_label(&f, STR("client_instance_id"), str_of(id));
	telemetry_label(&f, STR("client_id"), client_id);
	telemetry_label(&f, STR("client_software_name"), source->software_name);
	telemetry_label(&f, STR("client_software_version"), source->software_version);
	telemetry_label(&f, STR("client_source_address"), source->address);
	client->labels = arena_str(&client->arena, f.cut ? STR("") : (struct str){room, f.len});
}

/* Looks at a client with the subscriptions of now; what it was told before is forgotten, its values are not. */
static void telemetry_look(struct telemetry *telemetry, struct telemetry_client *client,
			   const struct telemetry_source *source)
{
	struct telemetry_subscription *subscription = &client->subscription;

	arena_reset(&client->arena);
	telemetry_subscriptions_find(telemetry->subscriptions, source, &client->arena, subscription);
	for (int32_t i = 0; i < subscription->metrics_n; i++)
		subscription->metrics[i] = arena_str(&client->arena, subscription->metrics[i]);
	telemetry_describe(client, source);
	client->version = telemetry->version;
	client->got_ms = client->pushed_ms = LONG_AGO_MS;
	client->is_terminating = false;
	client->known = ERR_NONE;
}

static struct telemetry_client *telemetry_client(struct telemetry *telemetry, const struct telemetry_source *source)
{
	struct telemetry_client *client = map_get_uuid(&telemetry->clients, source->instance_id);
	uint32_t clients_max = (uint32_t)MAX(TELEMETRY_CLIENTS_MAX / telemetry->shard->broker->shards_n, 16);

	if (!client) {
		if (telemetry->clients.n >= clients_max)
			telemetry_forget(telemetry, list_entry(telemetry->heard.next, struct telemetry_client, link));
		client = MEM_NEW(struct telemetry_client);
		client->id = source->instance_id;
		map_init(&client->values, MAP_STR, telemetry->clients.seed);
		map_put_uuid(&telemetry->clients, client->id, client);
	}
	if (client->version != telemetry->version)
		telemetry_look(telemetry, client, source);
	client->heard_ms = telemetry_now_ms(telemetry);
	list_remove(&client->link);
	list_push_back(&telemetry->heard, &client->link);
	return client;
}

enum err telemetry_get(struct telemetry *telemetry, const struct telemetry_source *source, struct arena *arena,
		       struct telemetry_subscription *ret)
{
	struct telemetry_client *client = telemetry_client(telemetry, source);
	int64_t now_ms = telemetry_now_ms(telemetry);

	if (now_ms - MAX(client->got_ms, client->pushed_ms) >= client->subscription.push_interval_ms)
		client->got_ms = now_ms;
	else if (client->known != ERR_UNKNOWN_SUBSCRIPTION_ID && client->known != ERR_UNSUPPORTED_COMPRESSION_TYPE)
		return ERR_THROTTLING_QUOTA_EXCEEDED;
	client->known = ERR_NONE;
	*ret = client->subscription;
	ret->metrics = ARENA_NEW_N(arena, struct str, ret->metrics_n);
	for (int32_t i = 0; i < ret->metrics_n; i++)
		ret->metrics[i] = arena_str(arena, client->subscription.metrics[i]);
	return ERR_NONE;
}

/* ---- values ---- */

struct telemetry_reading {
	struct telemetry *telemetry;
	struct telemetry_client *client;
};

/* Labels that say who the client is are ours. */
static bool telemetry_is_own_label(struct str key)
{
	return str_starts(key, STR("client_")) || str_starts(key, STR("client."));
}

static void telemetry_point_labels(struct fmt *f, const struct otlp_point *point)
{
	for (int i = 0; i < point->labels_n; i++) {
		const struct otlp_label *label = &point->labels[i];
		struct str text = label->text;
		char room[32];
		struct fmt number;

		fmt_init(&number, room, sizeof(room));
		if (label->kind == OTLP_INT)
			fmt_add(&number, "%lld", (long long)label->number);
		else if (label->kind == OTLP_BOOL)
			fmt_add(&number, "%s", label->number ? "true" : "false");
		else if (label->kind == OTLP_DOUBLE)
			fmt_add(&number, "%.17g", label->real);
		if (label->kind != OTLP_TEXT)
			text = (struct str){room, number.len};
		if (!telemetry_is_own_label(label->key))
			telemetry_label(f, label->key, text);
	}
}

static struct telemetry_value *telemetry_value_new(struct telemetry *telemetry, struct telemetry_client *client,
						   struct str key, size_t name_len)
{
	size_t bytes_max = TELEMETRY_BYTES_MAX / (size_t)telemetry->shard->broker->shards_n;
	struct telemetry_value *value;

	if (client->values.n >= TELEMETRY_VALUES_MAX || telemetry->bytes + sizeof(*value) + key.len > bytes_max) {
		telemetry->left_out_n++;
		return NULL;
	}
	value = mem_calloc(1, sizeof(*value) + key.len);
	value->name_len = name_len;
	value->key_len = key.len;
	memcpy(value->key, key.p, key.len);
	telemetry->bytes += sizeof(*value) + key.len;
	map_put_str(&client->values, (struct str){value->key, key.len}, value);
	return value;
}

static void telemetry_point(void *ctx, const struct otlp_point *point)
{
	const struct telemetry_reading *reading = ctx;
	struct telemetry_value *value;
	char room[KEY_LEN_MAX];
	struct fmt f;
	struct str key;

	if (point->name.len + 2 >= KEY_LEN_MAX || memchr(point->name.p, '\0', point->name.len)) {
		reading->telemetry->left_out_n++;
		return;
	}
	memcpy(room, point->name.p, point->name.len);
	room[point->name.len] = '\0';
	fmt_init(&f, room + point->name.len + 1, KEY_LEN_MAX - point->name.len - 1);
	telemetry_point_labels(&f, point);
	if (f.cut) {
		reading->telemetry->left_out_n++;
		return;
	}
	key = (struct str){room, point->name.len + 1 + f.len + 1};
	value = map_get_str(&reading->client->values, key);
	if (!value)
		value = telemetry_value_new(reading->telemetry, reading->client, key, point->name.len);
	if (!value)
		return;
	value->is_counter = point->is_sum && point->is_monotonic;
	if (point->is_sum && point->is_delta)
		value->value += point->value;
	else
		value->value = point->value;
}

/* All of it is checked before anything is kept. */
static enum err telemetry_take(struct telemetry *telemetry, struct telemetry_client *client,
			       const struct push_telemetry_request *push)
{
	struct telemetry_reading reading = {telemetry, client};
	struct bytes message = push->metrics;
	enum err err;

	if (push->compression_type != CODEC_NONE) {
		telemetry->unpacked.len = 0;
		telemetry->unpacked.max = UNPACKED_FACTOR * (size_t)telemetry->shard->config->telemetry_max_bytes;
		err = codec_decompress(telemetry->shard->compress, (enum codec)push->compression_type, push->metrics,
				       &telemetry->unpacked);
		if (err)
			return ERR_INVALID_RECORD;
		message = scratch_bytes(&telemetry->unpacked);
	}
	err = otlp_read(message, NULL, NULL);
	if (!err)
		err = otlp_read(message, telemetry_point, &reading);
	scratch_trim(&telemetry->unpacked, 0);
	return err ? ERR_INVALID_RECORD : ERR_NONE;
}

/* A push may follow what the client was told at once: it draws its own pause at random, from half the interval on. */
static bool telemetry_push_is_due(struct telemetry_client *client, int64_t now_ms)
{
	if (client->got_ms <= client->pushed_ms && now_ms - client->pushed_ms < client->subscription.push_interval_ms)
		return false;
	client->pushed_ms = now_ms;
	return true;
}

static enum err telemetry_push_check(const struct telemetry *telemetry, struct telemetry_client *client,
				     const struct push_telemetry_request *push)
{
	if (client->is_terminating)
		return ERR_INVALID_REQUEST;
	if (!telemetry_push_is_due(client, telemetry_now_ms(telemetry)) && !push->terminating)
		return ERR_THROTTLING_QUOTA_EXCEEDED;
	if (push->subscription_id != client->subscription.id)
		return ERR_UNKNOWN_SUBSCRIPTION_ID;
	if (push->compression_type < 0 || push->compression_type >= CODEC_N)
		return ERR_UNSUPPORTED_COMPRESSION_TYPE;
	if (push->metrics.len > (size_t)telemetry->shard->config->telemetry_max_bytes)
		return ERR_TELEMETRY_TOO_LARGE;
	return ERR_NONE;
}

enum err telemetry_push(struct telemetry *telemetry, const struct telemetry_source *source,
			const struct push_telemetry_request *push)
{
	struct telemetry_client *client = telemetry_client(telemetry, source);
	enum err err = telemetry_push_check(telemetry, client, push);

	client->is_terminating = push->terminating;
	if (!err && push->metrics.len > 0)
		err = telemetry_take(telemetry, client, push);
	client->known = err;
	telemetry->unknown_n += err == ERR_UNKNOWN_SUBSCRIPTION_ID;
	return err;
}

/* ---- copies ---- */

static void telemetry_copy_value(struct telemetry_rows *rows, const struct telemetry_client *client,
				 const struct telemetry_value *value)
{
	const char *labels = value->key + value->name_len + 1;
	struct telemetry_row *row = &rows->rows[rows->rows_n++];

	row->name = arena_str(&rows->arena, (struct str){value->key, value->name_len}).p;
	row->labels = arena_printf(&rows->arena, "%.*s%s%s", STR_ARGS(client->labels),
				   client->labels.len && *labels ? "," : "", labels)
			      .p;
	row->value = value->value;
	row->is_counter = value->is_counter;
}

struct telemetry_rows *telemetry_copy(struct telemetry *telemetry, int32_t rows_max)
{
	struct telemetry_rows *rows;

	if (telemetry->clients.n == 0)
		return NULL;
	rows = MEM_NEW(struct telemetry_rows);
	rows->clients_n = (int32_t)telemetry->clients.n;
	rows->left_out_n = telemetry->left_out_n;
	rows->rows = ARENA_NEW_N(&rows->arena, struct telemetry_row, rows_max);
	for (struct list *node = telemetry->heard.prev; node != &telemetry->heard; node = node->prev) {
		const struct telemetry_client *client = list_entry(node, struct telemetry_client, link);
		const struct telemetry_value *value;
		uint32_t it = 0;

		while ((value = map_next(&client->values, &it)) != NULL) {
			if (rows->rows_n < rows_max)
				telemetry_copy_value(rows, client, value);
			else
				rows->left_out_n++;
		}
	}
	return rows;
}

void telemetry_count(const struct telemetry *telemetry, int32_t *ret_clients_n, uint64_t *ret_unknown_n)
{
	*ret_clients_n = (int32_t)telemetry->clients.n;
	*ret_unknown_n = telemetry->unknown_n;
}

void telemetry_rows_free(struct telemetry_rows *rows)
{
	if (!rows)
		return;
	arena_reset(&rows->arena);
	mem_free(rows);
}

/* ---- life ---- */

struct telemetry *telemetry_new(struct shard *shard)
{
	struct telemetry *telemetry = MEM_NEW(struct telemetry);

	telemetry->shard = shard;
	telemetry->version = 1;
	map_init(&telemetry->clients, MAP_UUID, shard->reactor->node->hash_seed);
	list_init(&telemetry->heard);
	return telemetry;
}

void telemetry_follow(struct telemetry *telemetry, const struct image *image)
{
	uint64_t hash = telemetry_subscriptions_hash(image);

	if (telemetry->subscriptions && hash == telemetry->subscriptions_hash)
		return;
	telemetry_subscriptions_free(telemetry->subscriptions);
	telemetry->subscriptions = telemetry_subscriptions_new(image);
	telemetry->subscriptions_hash = hash;
	telemetry->version++;
}

void telemetry_free(struct telemetry *telemetry)
{
	if (!telemetry)
		return;
	while (!list_is_empty(&telemetry->heard))
		telemetry_forget(telemetry, list_entry(telemetry->heard.next, struct telemetry_client, link));
	map_deinit(&telemetry->clients);
	telemetry_subscriptions_free(telemetry->subscriptions);
	scratch_deinit(&telemetry->unpacked);
	mem_free(telemetry);
}
