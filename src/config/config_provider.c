/* SPDX-License-Identifier: Apache-2.0 */
/* See config_provider.h. */
#include "config_provider.h"

#include "pattern.h"
#include "properties.h"
#include "setting.h"

#define PATH_LEN_MAX 4096

enum provider_kind { PROVIDER_ENV, PROVIDER_FILE, PROVIDER_DIRECTORY };

struct provider {
	struct str name;
	enum provider_kind kind;
	struct str allowed_paths;   /* null: all */
	struct pattern *allow_list; /* names of variables; NULL: all */
};

struct fill {
	const struct config_source *source;
	struct arena *arena;
	struct config_report *report;
	const struct config_pair *pair; /* the one at hand */
	struct provider providers[CONFIG_PROVIDERS_MAX];
	size_t providers_n;
};

static const struct {
	const char *class_name;
	enum provider_kind kind;
} classes[] = {
	{"org.apache.kafka.common.config.provider.EnvVarConfigProvider", PROVIDER_ENV},
	{"org.apache.kafka.common.config.provider.FileConfigProvider", PROVIDER_FILE},
	{"org.apache.kafka.common.config.provider.DirectoryConfigProvider", PROVIDER_DIRECTORY},
};

#define PROBLEM(fill, pair, ...)                                                                             \
	config_report_add((fill)->report, CONFIG_ERROR, "ML1112", (pair)->key, &(pair)->origin, __VA_ARGS__)

/* config.providers.<name>.<what> */
static const struct config_pair *parameter(const struct fill *fill, const struct config_pairs *pairs, struct str name,
					   const char *what)
{
	return config_pairs_find(pairs,
				 arena_printf(fill->arena, "config.providers.%.*s.%s", STR_ARGS(name), what));
}

static void add_provider(struct fill *fill, const struct config_pairs *pairs, const struct config_pair *list,
			 struct str name)
{
	const struct config_pair *class_pair = parameter(fill, pairs, name, "class");
	const struct config_pair *paths = parameter(fill, pairs, name, "param.allowed.paths");
	const struct config_pair *pattern = parameter(fill, pairs, name, "param.allowlist.pattern");
	struct provider *provider = &fill->providers[fill->providers_n];
	struct err_text why;
	size_t i = 0;

	if (!class_pair) {
		PROBLEM(fill, list, "config.providers names %.*s, and config.providers.%.*s.class is missing.",
			STR_ARGS(name), STR_ARGS(name));
		return;
	}
	while (i < ARRAY_N(classes) && !str_eq_c(setting_trim(class_pair->value), classes[i].class_name))
		i++;
	if (i == ARRAY_N(classes)) {
		PROBLEM(fill, class_pair,
			"%.*s is a Java class, which cannot be loaded here. Built in are EnvVarConfigProvider, "
			"FileConfigProvider and DirectoryConfigProvider of org.apache.kafka.common.config.provider.",
			STR_ARGS(class_pair->value));
		return;
	}
	*provider = (struct provider){.name = name, .kind = classes[i].kind};
	if (paths && setting_trim(paths->value).len > 0)
		provider->allowed_paths = paths->value;
	if (pattern && pattern_new(pattern->value, PATTERN_JAVA, &provider->allow_list, &why) != ERR_NONE) {
		PROBLEM(fill, pattern, "%.*s is not a regular expression: %s", STR_ARGS(pattern->value), why.text);
		return;
	}
	fill->providers_n++;
}

static void find_providers(struct fill *fill, const struct config_pairs *pairs)
{
	const struct config_pair *list = config_pairs_find(pairs, STR("config.providers"));
	struct setting_list_pos pos = {0};
	struct str name;

	while (list && setting_list_next(list->value, &pos, &name)) {
		if (fill->providers_n == CONFIG_PROVIDERS_MAX) {
			PROBLEM(fill, list, "config.providers names more than %d providers.", CONFIG_PROVIDERS_MAX);
			return;
		}
		if (name.len > 0)
			add_provider(fill, pairs, list, name);
	}
}

/* The path without "." and "..", which are not looked up; false when it is relative, too long, or leaves the root. */
static bool normalize(struct str path, char ret[PATH_LEN_MAX], struct str *ret_path)
{
	size_t len = 0, at = 0;

	if (path.len == 0 || path.p[0] != '/' || path.len + 2 > PATH_LEN_MAX)
		return false;
	while (at < path.len) {
		size_t start, n;

		while (at < path.len && path.p[at] == '/')
			at++;
		for (start = at; at < path.len && path.p[at] != '/'; at++)
			;
		n = at - start;
		if (n == 0 || (n == 1 && path.p[start] == '.'))
			continue;
		if (n == 2 && path.p[start] == '.' && path.p[start + 1] == '.') {
			if (len == 0)
				return false;
			while (ret[--len] != '/')
				;
			continue;
		}
		ret[len++] = '/';
		memcpy(ret + len, path.p + start, n);
		len += n;
	}
	*ret_path = (struct str){ret, len};
	return true;
}

static bool is_allowed_path(const struct provider *provider, struct str path)
{
	char clean_buf[PATH_LEN_MAX], folder_buf[PATH_LEN_MAX];
	struct setting_list_pos pos = {0};
	struct str clean, entry, folder;

	if (!provider->allowed_paths.p)
		return true;
	if (!normalize(path, clean_buf, &clean))
		return false;
	while (setting_list_next(provider->allowed_paths, &pos, &entry)) {
		if (normalize(entry, folder_buf, &folder) && str_starts(clean, folder) &&
		    (clean.len == folder.len || clean.p[folder.len] == '/'))
			return true;
	}
	return false;
}

static bool fill_env(struct fill *fill, const struct provider *provider, struct str key, struct str *ret)
{
	bool is_allowed = true;

	if (provider->allow_list && pattern_match(provider->allow_list, key, &is_allowed) != ERR_NONE)
		is_allowed = false;
	for (size_t i = 0; is_allowed && fill->source->env && fill->source->env[i]; i++) {
		struct str entry = str_of(fill->source->env[i]);

		if (str_starts(entry, key) && entry.len > key.len && entry.p[key.len] == '=') {
			*ret = arena_str(fill->arena,
					 (struct str){entry.p + key.len + 1, entry.len - key.len - 1});
			return true;
		}
	}
	PROBLEM(fill, fill->pair, "The variable %.*s is not %s.", STR_ARGS(key),
		is_allowed ? "set" : "one that the provider may read");
	return false;
}

static bool read_path(struct fill *fill, const struct provider *provider, struct str path, struct bytes *ret)
{
	if (!is_allowed_path(provider, path)) {
		PROBLEM(fill, fill->pair, "%.*s does not lie in config.providers.%.*s.param.allowed.paths.",
			STR_ARGS(path), STR_ARGS(provider->name));
		return false;
	}
	if (!fill->source->read || !fill->source->read(fill->source->read_ctx, path, fill->arena, ret)) {
		PROBLEM(fill, fill->pair, "%.*s cannot be read.", STR_ARGS(path));
		return false;
	}
	return true;
}

static bool fill_file(struct fill *fill, const struct provider *provider, struct str path, struct str key,
		      struct str *ret)
{
	struct properties reader;
	struct property pair = {.line = 0};
	struct bytes text;
	bool is_found = false;
	enum err err;

	if (!read_path(fill, provider, path, &text))
		return false;
	if (properties_init(&reader, text, fill->arena) != ERR_NONE) {
		PROBLEM(fill, fill->pair, "%.*s has %zu bytes; more than %zu are not read.", STR_ARGS(path), text.len,
			PROPERTIES_TEXT_MAX);
		return false;
	}
	while ((err = properties_next(&reader, &pair)) != ERR_NOT_FOUND) {
		if (err == ERR_NONE && str_eq(pair.key, key)) {
			*ret = pair.value;
			is_found = true;
		}
	}
	if (!is_found)
		PROBLEM(fill, fill->pair, "%.*s has no key %.*s.", STR_ARGS(path), STR_ARGS(key));
	return is_found;
}

static bool fill_directory(struct fill *fill, const struct provider *provider, struct str path, struct str key,
			   struct str *ret)
{
	struct bytes text;

	if (key.len == 0 || memchr(key.p, '/', key.len) || str_eq_c(key, "..")) {
		PROBLEM(fill, fill->pair, "\"%.*s\" is not the name of a file in %.*s.", STR_ARGS(key), STR_ARGS(path));
		return false;
	}
	if (!read_path(fill, provider, arena_printf(fill->arena, "%.*s/%.*s", STR_ARGS(path), STR_ARGS(key)), &text))
		return false;
	*ret = bytes_str(text);
	return true;
}

/* The inside of one ${...}. False: leave it as it stands. */
static bool fill_one(struct fill *fill, struct str inside, struct str *ret)
{
	const char *first = inside.len ? memchr(inside.p, ':', inside.len) : NULL;
	struct str name, path = STR(""), key;
	const char *second;

	if (!first)
		return false;
	name = (struct str){inside.p, (size_t)(first - inside.p)};
	key = (struct str){first + 1, inside.len - name.len - 1};
	second = key.len ? memchr(key.p, ':', key.len) : NULL;
	if (second) {
		path = (struct str){key.p, (size_t)(second - key.p)};
		key = (struct str){second + 1, key.len - path.len - 1};
	}
	for (size_t i = 0; i < fill->providers_n; i++) {
		const struct provider *provider = &fill->providers[i];

		if (!str_eq(provider->name, name))
			continue;
		switch (provider->kind) {
		case PROVIDER_ENV:
			return fill_env(fill, provider, key, ret);
		case PROVIDER_FILE:
			return fill_file(fill, provider, path, key, ret);
		case PROVIDER_DIRECTORY:
			return fill_directory(fill, provider, path, key, ret);
		}
	}
	if (str_eq_c(name, "env") || str_eq_c(name, "file") || str_eq_c(name, "directory"))
		config_report_add(fill->report, CONFIG_WARNING, "ML1112", fill->pair->key, &fill->pair->origin,
				  "${%.*s:...} is taken literally, since config.providers does not name %.*s.",
				  STR_ARGS(name), STR_ARGS(name));
	return false;
}

/* Every ${...} of a value, from left to right. */
static struct str fill_value(struct fill *fill, struct str value)
{
	struct str out = STR("");
	size_t from = 0;

	for (size_t at = 0; at + 1 < value.len; at++) {
		const char *end;
		struct str filled, inside;

		if (value.p[at] != '$' || value.p[at + 1] != '{')
			continue;
		end = memchr(value.p + at, '}', value.len - at);
		if (!end)
			break;
		inside = (struct str){value.p + at + 2, (size_t)(end - value.p) - at - 2};
		if (!fill_one(fill, inside, &filled))
			continue;
		if (out.len + (at - from) + filled.len > SETTING_VALUE_MAX) {
			PROBLEM(fill, fill->pair, "What is filled in is longer than %zu bytes.", SETTING_VALUE_MAX);
			break;
		}
		out = arena_printf(fill->arena, "%.*s%.*s%.*s", STR_ARGS(out), (int)(at - from), value.p + from,
				   STR_ARGS(filled));
		from = (size_t)(end - value.p) + 1;
		at = from - 1;
	}
	if (from == 0)
		return value;
	return arena_printf(fill->arena, "%.*s%.*s", STR_ARGS(out), (int)(value.len - from), value.p + from);
}

void config_providers_fill(struct config_pairs *pairs, const struct config_source *source, struct arena *arena,
			   struct config_report *report)
{
	struct fill fill = {.source = source, .arena = arena, .report = report};

	find_providers(&fill, pairs);
	for (size_t i = 0; i < pairs->pairs.n; i++) {
		fill.pair = &pairs->pairs.v[i];
		if (!str_starts(fill.pair->key, STR("config.providers")))
			pairs->pairs.v[i].value = fill_value(&fill, fill.pair->value);
	}
	for (size_t i = 0; i < fill.providers_n; i++) {
		if (fill.providers[i].allow_list)
			pattern_free(fill.providers[i].allow_list);
	}
}
