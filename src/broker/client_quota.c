/* SPDX-License-Identifier: Apache-2.0 */
/* See client_quota.h. A rate is found by a key made of its kind and its entity's parts; very long names are cut and
 * told apart by a hash. */
#include "client_quota.h"

#include <stdio.h>

#include "broker.h"
#include "mem.h"
#include "rate.h"
#include "shard.h"

#define SENSORS_MAX 10000     /* per reactor: 10,000 * (400 + 24 * 12) bytes = 7 MB with the usual windows */
#define NAME_KEPT_LEN ((size_t)128) /* of a user or client id */
#define KEY_LEN_MAX (2 + 2 * (NAME_KEPT_LEN + 18))
#define NEWS_EVERY_NS (100 * NS_PER_MS)
#define NEWS_ITEMS_MAX 64

static const char *const quota_key_of[CLIENT_QUOTA_KINDS_N] = {
	[CLIENT_QUOTA_PRODUCE] = "producer_byte_rate",
	[CLIENT_QUOTA_FETCH] = "consumer_byte_rate",
	[CLIENT_QUOTA_REQUEST] = "request_percentage",
	[CLIENT_QUOTA_MUTATION] = "controller_mutation_rate",
};

/* The use of one entity. */
struct quota_sensor {
	struct list lru;   /* least recently used first */
	struct list dirty; /* has something the other reactors do not know */
	enum client_quota_kind kind;
	char *key_text;
	size_t key_len;
	struct str user, client_id; /* null: not part; as kept in the key */
	double bound;
	double untold;
	int64_t used_ms;
	int64_t throttled_n, throttled_ms;
	struct rate rate;
	struct token_bucket bucket;
	struct rate_sample samples[];
};

struct client_quotas {
	struct shard *shard;
	bool has[CLIENT_QUOTA_KINDS_N]; /* somebody has a limit of this kind */
	struct map sensors;
	struct list lru, dirty;
	struct timer news;
	int32_t samples_n;
	int64_t window_ms;
};

/* What one reactor recorded lately, for another. */
struct quota_news {
	struct msg msg;
	int items_n;
	struct {
		enum client_quota_kind kind;
		double amount;
		size_t user_len, client_id_len; /* SIZE_MAX: not part */
		char user[NAME_KEPT_LEN + 18], client_id[NAME_KEPT_LEN + 18];
	} items[NEWS_ITEMS_MAX];
};

/* ---- whose limit ---- */

/* 0: no such part, 1: the default, 2: by name. The first that has a limit counts. */
static const struct {
	int user, client_id;
} quota_precedence[] = {{2, 2}, {2, 1}, {2, 0}, {1, 2}, {1, 1}, {1, 0}, {0, 2}, {0, 1}};

bool client_quota_find(const struct image *image, enum client_quota_kind kind, struct str user, struct str client_id,
		       double *ret_bound, struct client_quota_entity *ret_entity)
{
	for (size_t i = 0; i < ARRAY_N(quota_precedence); i++) {
		int by_user = quota_precedence[i].user, by_client = quota_precedence[i].client_id;
		const struct quota_image *quota;
		struct quota_part parts[2];
		int32_t n = 0;

		if (by_client)
			parts[n++] = (struct quota_part){STR("client-id"), by_client == 2 ? client_id : STR_NULL};
		if (by_user)
			parts[n++] = (struct quota_part){STR("user"), by_user == 2 ? user : STR_NULL};
		quota = image_quota(image, parts, n);
		if (!quota || !quota_value(quota, str_of(quota_key_of[kind]), ret_bound))
			continue;
		*ret_entity = (struct client_quota_entity){by_user ? user : STR_NULL, by_client ? client_id : STR_NULL};
		return true;
	}
	return false;
}

static void quotas_look(struct client_quotas *quotas, const struct image *image)
{
	const struct quota_image *quota = NULL;
	double value;

	memset(quotas->has, 0, sizeof(quotas->has));
	while ((quota = image_quota_next(image, quota)) != NULL) {
		for (int kind = 0; kind < CLIENT_QUOTA_KINDS_N; kind++)
			quotas->has[kind] |= quota_value(quota, str_of(quota_key_of[kind]), &value);
	}
}

/* ---- rates ---- */

static struct str quota_name_kept(struct str name, char *room)
{
	int len;

	if (!name.p || name.len <= NAME_KEPT_LEN)
		return name;
	memcpy(room, name.p, NAME_KEPT_LEN);
	len = snprintf(room + NAME_KEPT_LEN, 18, "~%016llx", (unsigned long long)hash_bytes(name.p, name.len, 0));
	return (struct str){room, NAME_KEPT_LEN + (size_t)len};
}

static size_t quota_key_make(enum client_quota_kind kind, const struct client_quota_entity *kept, char *key)
{
	size_t len = 0;

	key[len++] = (char)('0' + (int)kind);
	key[len++] = (char)('0' + (kept->user.p ? 1 : 0) + (kept->client_id.p ? 2 : 0));
	if (kept->user.len)
		memcpy(key + len, kept->user.p, kept->user.len);
	len += kept->user.len;
	key[len++] = '\0';
	if (kept->client_id.len)
		memcpy(key + len, kept->client_id.p, kept->client_id.len);
	return len + kept->client_id.len;
}

static void quota_sensor_free(struct client_quotas *quotas, struct quota_sensor *sensor)
{
	map_remove_str(&quotas->sensors, (struct str){sensor->key_text, sensor->key_len});
	list_remove(&sensor->lru);
	list_remove(&sensor->dirty);
	mem_free(sensor);
}

static struct quota_sensor *quota_sensor_new(struct client_quotas *quotas, enum client_quota_kind kind,
					     const struct client_quota_entity *kept, struct str key)
{
	size_t samples_len = (size_t)(quotas->samples_n + 1) * sizeof(struct rate_sample);
	struct quota_sensor *sensor;

	if (quotas->sensors.n >= SENSORS_MAX)
		quota_sensor_free(quotas, list_entry(quotas->lru.next, struct quota_sensor, lru));
	sensor = mem_calloc(1, sizeof(*sensor) + samples_len + key.len);
	sensor->key_text = (char *)sensor->samples + samples_len;
	sensor->key_len = key.len;
	memcpy(sensor->key_text, key.p, key.len);
	if (kept->user.p)
		sensor->user = (struct str){sensor->key_text + 2, kept->user.len};
	if (kept->client_id.p)
		sensor->client_id = (struct str){sensor->key_text + 3 + kept->user.len, kept->client_id.len};
	sensor->kind = kind;
	rate_init(&sensor->rate, sensor->samples, quotas->samples_n, quotas->window_ms);
	map_put_str(&quotas->sensors, (struct str){sensor->key_text, key.len}, sensor);
	list_push_back(&quotas->lru, &sensor->lru);
	return sensor;
}

static struct quota_sensor *quota_sensor_get(struct client_quotas *quotas, enum client_quota_kind kind,
					     const struct client_quota_entity *entity)
{
	char user[NAME_KEPT_LEN + 18], client_id[NAME_KEPT_LEN + 18], text[KEY_LEN_MAX];
	struct client_quota_entity kept = {quota_name_kept(entity->user, user),
					   quota_name_kept(entity->client_id, client_id)};
	struct str key = {text, quota_key_make(kind, &kept, text)};
	struct quota_sensor *sensor = map_get_str(&quotas->sensors, key);

	if (!sensor)
		return quota_sensor_new(quotas, kind, &kept, key);
	list_remove(&sensor->lru);
	list_push_back(&quotas->lru, &sensor->lru);
	return sensor;
}

/* ---- among reactors ---- */

static int64_t quotas_now_ms(const struct client_quotas *quotas)
{
	return quotas->shard->reactor->now_ns / NS_PER_MS;
}

static void quota_news_arrives(struct reactor *reactor, struct msg *msg)
{
	struct quota_news *news = container_of(msg, struct quota_news, msg);
	struct client_quotas *quotas = reactor->shard->quotas;

	for (int i = 0; quotas && i < news->items_n; i++) {
		struct client_quota_entity entity = {STR_NULL, STR_NULL};
		struct quota_sensor *sensor;

		if (news->items[i].user_len != SIZE_MAX)
			entity.user = (struct str){news->items[i].user, news->items[i].user_len};
		if (news->items[i].client_id_len != SIZE_MAX)
			entity.client_id = (struct str){news->items[i].client_id, news->items[i].client_id_len};
		sensor = quota_sensor_get(quotas, news->items[i].kind, &entity);
		rate_record(&sensor->rate, news->items[i].amount, quotas_now_ms(quotas));
	}
	mem_free(news);
}

static size_t quota_news_name(char *to, struct str name)
{
	if (!name.p)
		return SIZE_MAX;
	if (name.len)
		memcpy(to, name.p, name.len);
	return name.len;
}

static void quota_news_add(struct quota_news *news, const struct quota_sensor *sensor)
{
	int at = news->items_n++;

	news->items[at].kind = sensor->kind;
	news->items[at].amount = sensor->untold;
	news->items[at].user_len = quota_news_name(news->items[at].user, sensor->user);
	news->items[at].client_id_len = quota_news_name(news->items[at].client_id, sensor->client_id);
}

static void quota_news_send(struct client_quotas *quotas, const struct quota_news *news)
{
	struct shard *shard = quotas->shard;

	for (int i = 0; i < shard->broker->shards_n; i++) {
		struct quota_news *copy;

		if (i == shard->index)
			continue;
		copy = mem_alloc(sizeof(*copy));
		*copy = *news;
		copy->msg.handle = quota_news_arrives;
		reactor_send(shard->reactor, shard->broker->shards[i].reactor, &copy->msg);
	}
}

static void quota_news_due(struct timer *timer)
{
	struct client_quotas *quotas = container_of(timer, struct client_quotas, news);
	struct quota_news *news = mem_calloc(1, sizeof(*news));
	struct list *node;

	while ((node = list_pop_front(&quotas->dirty)) != NULL) {
		struct quota_sensor *sensor = list_entry(node, struct quota_sensor, dirty);

		quota_news_add(news, sensor);
		sensor->untold = 0;
		if (news->items_n == NEWS_ITEMS_MAX || list_is_empty(&quotas->dirty)) {
			quota_news_send(quotas, news);
			news->items_n = 0;
		}
	}
	mem_free(news);
}

/* The others are to know. */
static void quota_sensor_tell(struct client_quotas *quotas, struct quota_sensor *sensor, double amount)
{
	if (quotas->shard->broker->shards_n == 1)
		return;
	sensor->untold += amount;
	if (!list_is_linked(&sensor->dirty))
		list_push_back(&quotas->dirty, &sensor->dirty);
	if (!timer_is_on(&quotas->news))
		reactor_timer(quotas->shard->reactor, &quotas->news, NEWS_EVERY_NS, quota_news_due);
}

/* ---- use ---- */

static struct quota_sensor *quota_sensor_of(struct shard *shard, enum client_quota_kind kind, struct str user,
					    struct str client_id)
{
	struct client_quotas *quotas = shard->quotas;
	struct client_quota_entity entity;
	struct quota_sensor *sensor;
	double bound;

	if (!quotas || !quotas->has[kind])
		return NULL;
	if (!client_id.p)
		client_id = STR("");
	if (!client_quota_find(shard->image, kind, user, client_id, &bound, &entity))
		return NULL;
	sensor = quota_sensor_get(quotas, kind, &entity);
	sensor->bound = bound;
	return sensor;
}

int32_t client_quota_record(struct shard *shard, enum client_quota_kind kind, struct str user, struct str client_id,
			    double amount)
{
	struct quota_sensor *sensor = quota_sensor_of(shard, kind, user, client_id);
	int64_t now_ms, wait_ms;

	if (!sensor)
		return 0;
	now_ms = quotas_now_ms(shard->quotas);
	rate_record(&sensor->rate, amount, now_ms);
	wait_ms = rate_throttle_ms(&sensor->rate, sensor->bound, now_ms);
	/* An answer that is not given because of the quota is not counted, and the client asks again (KIP-219). */
	if (kind == CLIENT_QUOTA_FETCH && wait_ms > 0)
		rate_record(&sensor->rate, -amount, now_ms);
	else
		quota_sensor_tell(shard->quotas, sensor, amount);
	if (kind == CLIENT_QUOTA_REQUEST) /* one window: the original does not let a client wait longer for time */
		wait_ms = MIN(wait_ms, shard->quotas->window_ms);
	sensor->throttled_n += wait_ms > 0;
	sensor->throttled_ms += wait_ms;
	return (int32_t)wait_ms;
}

int64_t client_quota_window_bytes(struct shard *shard, struct str user, struct str client_id)
{
	struct quota_sensor *sensor = quota_sensor_of(shard, CLIENT_QUOTA_FETCH, user, client_id);
	double bytes;

	if (!sensor)
		return INT64_MAX;
	bytes = sensor->bound * (double)(shard->quotas->samples_n - 1) * (double)shard->quotas->window_ms / 1000;
	return bytes < (double)INT32_MAX ? (int64_t)bytes : INT32_MAX;
}

/* ---- metadata changes ---- */

static double mutation_burst(const struct shard *shard, double per_s)
{
	const struct broker_config *config = shard->config;

	return per_s * config->controller_quota_window_num * config->controller_quota_window_size_seconds;
}

struct mutation_budget *client_quota_mutation_begin(struct shard *shard, struct str user, struct str client_id,
						    bool is_strict, struct mutation_budget *ret)
{
	struct quota_sensor *sensor = quota_sensor_of(shard, CLIENT_QUOTA_MUTATION, user, client_id);

	if (!sensor)
		return NULL;
	token_bucket_fill(&sensor->bucket, sensor->bound, mutation_burst(shard, sensor->bound),
			  quotas_now_ms(shard->quotas));
	*ret = (struct mutation_budget){.is_strict = is_strict, .tokens = sensor->bucket.tokens};
	return ret;
}

int32_t client_quota_mutation_done(struct shard *shard, struct str user, struct str client_id,
				   const struct mutation_budget *budget)
{
	struct quota_sensor *sensor = quota_sensor_of(shard, CLIENT_QUOTA_MUTATION, user, client_id);
	int64_t wait_ms = 0;

	CHECK(sensor);
	sensor->bucket.tokens = budget->tokens;
	if (budget->is_over)
		wait_ms = token_bucket_throttle_ms(&sensor->bucket, sensor->bound);
	sensor->throttled_n += wait_ms > 0;
	sensor->throttled_ms += wait_ms;
	return (int32_t)wait_ms;
}

/* ---- life ---- */

static struct client_quotas *client_quotas_new(struct shard *shard)
{
	struct client_quotas *quotas = MEM_NEW(struct client_quotas);

	quotas->shard = shard;
	quotas->samples_n = MIN(shard->config->quota_window_num, RATE_SAMPLES_MAX);
	quotas->window_ms = (int64_t)shard->config->quota_window_size_seconds * 1000;
	map_init(&quotas->sensors, MAP_STR, shard->reactor->node->hash_seed);
	list_init(&quotas->lru);
	list_init(&quotas->dirty);
	return quotas;
}

void client_quotas_follow(struct shard *shard, const struct image *after)
{
	if (shard->quotas ? image_quotas_same(shard->image, after) : image_quotas_n(after) == 0)
		return;
	if (image_quotas_n(after) == 0) {
		client_quotas_free(shard->quotas);
		shard->quotas = NULL;
		return;
	}
	if (!shard->quotas)
		shard->quotas = client_quotas_new(shard);
	quotas_look(shard->quotas, after);
}

void client_quotas_free(struct client_quotas *quotas)
{
	struct quota_sensor *sensor;
	uint32_t it = 0;

	if (!quotas)
		return;
	timer_stop(&quotas->shard->reactor->timers, &quotas->news);
	while ((sensor = map_next(&quotas->sensors, &it)) != NULL)
		mem_free(sensor);
	map_deinit(&quotas->sensors);
	mem_free(quotas);
}

void client_quotas_each(struct shard *shard, client_quota_stat_fn *fn, void *ctx)
{
	struct client_quotas *quotas = shard->quotas;
	struct quota_sensor *sensor;
	uint32_t it = 0;

	while (quotas && (sensor = map_next(&quotas->sensors, &it)) != NULL) {
		struct client_quota_stat stat = {
			.kind = sensor->kind,
			.user = sensor->user,
			.client_id = sensor->client_id,
			.rate = sensor->kind == CLIENT_QUOTA_MUTATION
					? sensor->bucket.tokens
					: rate_measure(&sensor->rate, quotas_now_ms(quotas)),
			.bound = sensor->bound,
			.throttled_n = sensor->throttled_n,
			.throttled_ms = sensor->throttled_ms,
		};

		fn(ctx, &stat);
	}
}
