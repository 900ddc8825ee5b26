/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the sources into one sorted list. The environment rules are those of the original's container
 * image, so that the same compose file works: its excluded names are not settings, and a broker that was only
 * told its advertised listeners listens on their ports on every address.
 */
#include "config_source.h"

#include <stdlib.h>

#include "config_provider.h"
#include "properties.h"
#include "setting.h"

/* They steer the Java start scripts and the image, and are no settings. */
static const char *const env_not_settings[] = {
	"KAFKA_VERSION",
	"KAFKA_HEAP_OPT",
	"KAFKA_HEAP_OPTS",
	"KAFKA_LOG4J_OPTS",
	"KAFKA_OPTS",
	"KAFKA_JMX_OPTS",
	"KAFKA_JMX_PORT",
	"KAFKA_JMX_HOSTNAME",
	"KAFKA_JVM_PERFORMANCE_OPTS",
	"KAFKA_GC_LOG_OPTS",
	"KAFKA_LOG4J_ROOT_LOGLEVEL",
	"KAFKA_LOG4J_LOGGERS",
	"KAFKA_TOOLS_LOG4J_LOGLEVEL",
	"KAFKA_DEBUG",
	"KAFKA_HOME",
};

void config_pairs_deinit(struct config_pairs *pairs)
{
	vec_deinit(&pairs->pairs);
}

static int compare_pairs(const void *a, const void *b)
{
	const struct config_pair *x = a, *y = b;
	int c = str_cmp(x->key, y->key);

	return c ? c : x->order < y->order ? -1 : x->order > y->order;
}

const struct config_pair *config_pairs_find(const struct config_pairs *pairs, struct str key)
{
	size_t low = 0, high = pairs->pairs.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = str_cmp(pairs->pairs.v[mid].key, key);

		if (c == 0)
			return &pairs->pairs.v[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static void add(struct config_pairs *ret, struct config_report *report, struct str key, struct str value,
		const struct setting_origin *origin)
{
	struct config_pair pair = {.key = key, .value = value, .origin = *origin, .order = ret->pairs.n};

	if (ret->pairs.n >= CONFIG_PAIRS_MAX) {
		if (ret->pairs.n == CONFIG_PAIRS_MAX)
			config_report_add(report, CONFIG_ERROR, "ML1107", STR(""), origin,
					  "There are more than %d settings; the rest was not read.",
					  CONFIG_PAIRS_MAX);
		return;
	}
	vec_push(&ret->pairs, pair);
}

static void read_file(const struct config_source *source, struct arena *arena, struct config_report *report,
		      struct config_pairs *ret)
{
	struct setting_origin origin = {.kind = CONFIG_ORIGIN_FILE,
					.where = arena_str(arena, source->file_name)};
	struct properties reader;
	struct property pair = {.line = 0};
	enum err err = properties_init(&reader, source->file_text, arena);

	if (err != ERR_NONE) {
		config_report_add(report, CONFIG_ERROR, "ML1107", STR(""), &origin,
				  "The file has %zu bytes; more than %zu are not read.",
				  source->file_text.len, PROPERTIES_TEXT_MAX);
		return;
	}
	while ((err = properties_next(&reader, &pair)) != ERR_NOT_FOUND) {
		origin.line = pair.line;
		if (err == ERR_NONE)
			add(ret, report, pair.key, pair.value, &origin);
		else
			config_report_add(report, CONFIG_ERROR, "ML1107", STR(""), &origin,
					  "\\u must be followed by four hexadecimal digits. Write a \\ "
					  "itself as \\\\.");
	}
}

bool config_source_env_key(struct str variable, struct arena *arena, struct str *ret)
{
	struct str prefix = str_starts(variable, STR("KAFKA_CFG_")) ? STR("KAFKA_CFG_") : STR("KAFKA_");
	char *p;
	size_t len = 0;

	/* Names under which images give the id of the cluster; KAFKA_CLUSTER_ID is cluster.id by the rule below. */
	if (str_eq_c(variable, "CLUSTER_ID") || str_eq_c(variable, "KAFKA_KRAFT_CLUSTER_ID")) {
		*ret = STR("cluster.id");
		return true;
	}
	if (!str_starts(variable, prefix) || variable.len == prefix.len)
		return false;
	for (size_t i = 0; i < ARRAY_N(env_not_settings); i++) {
		if (str_eq_c(variable, env_not_settings[i]))
			return false;
	}
	p = arena_alloc_raw(arena, variable.len);
	for (size_t i = prefix.len; i < variable.len;) {
		size_t run = 0;

		while (i + run < variable.len && variable.p[i + run] == '_')
			run++;
		i += run;
		for (; run >= 3; run -= 3)
			p[len++] = '-';
		if (run > 0)
			p[len++] = run == 2 ? '_' : '.';
		if (i < variable.len) {
			char c = variable.p[i++];

			p[len++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		}
	}
	*ret = (struct str){p, len};
	return true;
}

static void read_env(const struct config_source *source, struct arena *arena, struct config_report *report,
		     struct config_pairs *ret)
{
	for (size_t i = 0; source->env && source->env[i]; i++) {
		struct str entry = str_of(source->env[i]), key;
		const char *equals = memchr(entry.p, '=', entry.len);
		struct setting_origin origin = {.kind = CONFIG_ORIGIN_ENV};
		size_t name_len;

		if (!equals)
			continue;
		name_len = (size_t)(equals - entry.p);
		if (!config_source_env_key((struct str){entry.p, name_len}, arena, &key))
			continue;
		origin.where = arena_str(arena, (struct str){entry.p, name_len});
		add(ret, report, key, arena_str(arena, str_of(equals + 1)), &origin);
	}
}

static void read_overrides(const struct config_source *source, struct arena *arena,
			   struct config_report *report, struct config_pairs *ret)
{
	struct setting_origin origin = {.kind = CONFIG_ORIGIN_OVERRIDE, .where = STR("--override")};

	for (size_t i = 0; i < source->overrides_n; i++) {
		struct str entry = source->overrides[i];
		const char *equals = entry.len ? memchr(entry.p, '=', entry.len) : NULL;
		struct str key, value;

		if (!equals || equals == entry.p) {
			config_report_add(report, CONFIG_ERROR, "ML1107", STR(""), &origin,
					  "\"%.*s\" is not of the form key=value.", STR_ARGS(entry));
			continue;
		}
		key = setting_trim((struct str){entry.p, (size_t)(equals - entry.p)});
		value = (struct str){equals + 1, entry.len - (size_t)(equals + 1 - entry.p)};
		add(ret, report, arena_str(arena, key), arena_str(arena, value), &origin);
	}
}

/* Sorts, keeps the last of each key, and says so where one file gives a key twice with different values. */
static void settle(struct config_pairs *ret, struct config_report *report)
{
	struct config_pair *v = ret->pairs.v;
	size_t n = 0;

	if (ret->pairs.n == 0)
		return;
	qsort(v, ret->pairs.n, sizeof(v[0]), compare_pairs);
	for (size_t i = 0; i < ret->pairs.n; i++) {
		bool is_same = n > 0 && str_eq(v[n - 1].key, v[i].key);

		if (is_same && v[n - 1].origin.kind == CONFIG_ORIGIN_FILE &&
		    v[i].origin.kind == CONFIG_ORIGIN_FILE && !str_eq(v[n - 1].value, v[i].value))
			config_report_add(report, CONFIG_WARNING, "ML1108", v[i].key, &v[i].origin,
					  "%.*s is given twice, first in line %d. The later value counts.",
					  STR_ARGS(v[i].key), v[n - 1].origin.line);
		if (is_same)
			n--;
		v[n++] = v[i];
	}
	ret->pairs.n = n;
}

/* A container that was only given KAFKA_ADVERTISED_LISTENERS listens on the same ports of every address. */
static void derive_listeners(struct arena *arena, struct config_report *report, struct config_pairs *ret)
{
	const struct config_pair *advertised = config_pairs_find(ret, STR("advertised.listeners"));
	const struct config_pair *roles = config_pairs_find(ret, STR("process.roles"));
	struct setting_list_pos pos = {0};
	struct setting_origin origin;
	struct str item;
	char *p;
	size_t len = 0;

	if (!advertised || advertised->origin.kind != CONFIG_ORIGIN_ENV ||
	    config_pairs_find(ret, STR("listeners")) ||
	    (roles && str_eq_c(setting_trim(roles->value), "controller")))
		return;
	origin = advertised->origin;
	p = arena_alloc_raw(arena, advertised->value.len + 1);
	while (setting_list_next(advertised->value, &pos, &item)) {
		const char *slashes = memmem(item.p, item.len, "://", 3);
		const char *colon = memrchr(item.p, ':', item.len);

		if (!slashes || colon <= slashes)
			return; /* reading advertised.listeners says what is wrong */
		if (len > 0)
			p[len++] = ',';
		memcpy(p + len, item.p, (size_t)(slashes + 3 - item.p));
		len += (size_t)(slashes + 3 - item.p);
		memcpy(p + len, colon, (size_t)(item.p + item.len - colon));
		len += (size_t)(item.p + item.len - colon);
	}
	add(ret, report, STR("listeners"), (struct str){p, len}, &origin);
	settle(ret, report);
}

void config_source_read(const struct config_source *source, struct arena *arena, struct config_report *report,
			struct config_pairs *ret)
{
	*ret = (struct config_pairs){0};
	if (source->file_text.len > 0)
		read_file(source, arena, report, ret);
	if (!source->is_env_for_references)
		read_env(source, arena, report, ret);
	read_overrides(source, arena, report, ret);
	settle(ret, report);
	config_providers_fill(ret, source, arena, report);
	derive_listeners(arena, report, ret);
}
