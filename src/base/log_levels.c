/* SPDX-License-Identifier: Apache-2.0 */
/* See log_levels.h. */
#include "log_levels.h"

#include <stdatomic.h>
#include <strings.h>

#include "check.h"

/* Loggers of the original and the first words of the events that are theirs. */
static const struct {
	const char *name;
	const char *events; /* words ended by a blank each */
} known_loggers[] = {
	{"kafka.server.KafkaRaftServer", "server "},
	{"kafka.server.BrokerServer", "node reactor "},
	{"kafka.server.KafkaConfig", "config settings "},
	{"kafka.server.DynamicBrokerConfig", "live "},
	{"kafka.server.KafkaApis", "api "},
	{"kafka.server.ReplicaManager", "replica fetch "},
	{"kafka.network.SocketServer", "conn "},
	{"kafka.network.DataPlaneAcceptor", "io acceptor "},
	{"kafka.request.logger", "request response "},
	{"kafka.log.LogManager", "log_dir storage checkpoint retention "},
	{"kafka.coordinator.transaction.TransactionCoordinator", "txn transaction "},
	{"kafka.authorizer.logger", "authorizer acl "},
	{"kafka.controller", "controller producer_ids "},
	{"state.change.logger", "state partition "},
	{"org.apache.kafka.server.BrokerLifecycleManager", "broker "},
	{"org.apache.kafka.raft.KafkaRaftClient", "raft quorum "},
	{"org.apache.kafka.image.loader.MetadataLoader", "metadata image "},
	{"org.apache.kafka.storage.internals.log.UnifiedLog", "log "},
	{"org.apache.kafka.storage.internals.log.LogCleaner", "cleaner compaction "},
	{"org.apache.kafka.coordinator.group.GroupCoordinatorService", "coordinator group "},
	{"org.apache.kafka.coordinator.share.ShareCoordinatorService", "share "},
	{"org.apache.kafka.server.quota.ClientQuotaManager", "quota throttle "},
	{"org.apache.kafka.server.ClientMetricsManager", "telemetry client_metrics "},
	{"moldau.http", "http metrics "},
};

static const char *const level_names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

bool log_levels_parse(struct str text, bool is_nocase, int *ret)
{
	for (size_t i = 0; i < ARRAY_N(level_names); i++) {
		if (text.len == strlen(level_names[i]) &&
		    (is_nocase ? strncasecmp(text.p, level_names[i], text.len) == 0
			       : memcmp(text.p, level_names[i], text.len) == 0)) {
			*ret = (int)i;
			return true;
		}
	}
	return false;
}

static int level_of(const struct log_levels *levels, size_t i)
{
	int level;

	/* A parent has a shorter name, so this ends at the root. */
	while ((level = atomic_load_explicit(&levels->loggers[i].level, memory_order_relaxed)) < 0)
		i = (size_t)levels->loggers[i].parent;
	return level;
}

static void find_least(struct log_levels *levels)
{
	int least = LOG_LEVEL_FATAL;

	for (size_t i = 0; i < levels->loggers_n; i++)
		least = MIN(least, level_of(levels, i));
	atomic_store_explicit(&levels->least, least, memory_order_relaxed);
}

/* Does `name` stand below `above`, that is, begin with it and a dot? */
static bool is_below(const char *name, const char *above)
{
	size_t len = strlen(above);

	return strncmp(name, above, len) == 0 && name[len] == '.';
}

/* The longest name above each logger. */
static void find_parents(struct log_levels *levels)
{
	for (size_t i = 1; i < levels->loggers_n; i++) {
		size_t best = 0, best_len = 0;

		for (size_t j = 1; j < levels->loggers_n; j++) {
			size_t len = strlen(levels->loggers[j].name);

			if (len > best_len && is_below(levels->loggers[i].name, levels->loggers[j].name)) {
				best = j;
				best_len = len;
			}
		}
		levels->loggers[i].parent = (int)best;
	}
}

enum err log_levels_add(struct log_levels *levels, struct str name, int level)
{
	size_t at;

	if (!log_levels_find(levels, name, &at)) {
		if (levels->loggers_n == LOG_LEVELS_MAX || name.len > LOG_LEVELS_NAME_MAX || name.len == 0)
			return ERR_TOO_LARGE;
		at = levels->loggers_n++;
		memcpy(levels->loggers[at].name, name.p, name.len);
		levels->loggers[at].name[name.len] = '\0';
		find_parents(levels);
	}
	CHECK(level >= 0 || at > 0);
	atomic_store_explicit(&levels->loggers[at].level, level, memory_order_relaxed);
	find_least(levels);
	return ERR_NONE;
}

void log_levels_init(struct log_levels *levels, int root_level)
{
	memset(levels, 0, sizeof(*levels));
	if (log_levels_add(levels, STR("root"), root_level))
		UNREACHABLE();
	for (size_t i = 0; i < ARRAY_N(known_loggers); i++) {
		if (log_levels_add(levels, str_of(known_loggers[i].name), -1))
			UNREACHABLE();
	}
}

enum err log_levels_add_all(struct log_levels *levels, struct str list, struct err_text *text)
{
	enum err err = ERR_NONE;

	for (size_t at = 0; at < list.len;) {
		const char *comma = memchr(list.p + at, ',', list.len - at);
		size_t end = comma ? (size_t)(comma - list.p) : list.len;
		struct str entry = {list.p + at, end - at};
		const char *equals = entry.len ? memchr(entry.p, '=', entry.len) : NULL;
		size_t name_len = equals ? (size_t)(equals - entry.p) : 0;
		int level;

		at = end + 1;
		if (entry.len == 0)
			continue;
		if (!equals ||
		    !log_levels_parse((struct str){equals + 1, entry.len - name_len - 1}, true, &level) ||
		    log_levels_add(levels, (struct str){entry.p, name_len}, level))
			err = err_text_set(text, ERR_INVALID_CONFIG, "\"%.*s\" is not of the form logger=LEVEL",
					   STR_ARGS(entry));
	}
	return err;
}

struct str log_levels_name(const struct log_levels *levels, size_t i)
{
	CHECK(i < levels->loggers_n);
	return str_of(levels->loggers[i].name);
}

struct str log_levels_text(const struct log_levels *levels, size_t i)
{
	CHECK(i < levels->loggers_n);
	return str_of(level_names[level_of(levels, i)]);
}

bool log_levels_find(const struct log_levels *levels, struct str name, size_t *ret)
{
	for (size_t i = 0; i < levels->loggers_n; i++) {
		if (str_eq_c(name, levels->loggers[i].name)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

enum err log_levels_check(const struct log_levels *levels, struct str name, struct str level, struct err_text *text)
{
	size_t i;
	int parsed;

	if (!log_levels_find(levels, name, &i))
		return err_text_set(text, ERR_INVALID_CONFIG, "Logger %.*s does not exist!", STR_ARGS(name));
	if (!level.p && i == 0)
		return err_text_set(text, ERR_INVALID_REQUEST,
				    "Removing the log level of the root logger is not allowed");
	if (level.p && !log_levels_parse(level, false, &parsed))
		return err_text_set(text, ERR_INVALID_CONFIG,
				    "Cannot set the log level of %.*s to %.*s as it is not a supported log level. "
				    "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
				    STR_ARGS(name), STR_ARGS(level));
	return ERR_NONE;
}

enum err log_levels_set(struct log_levels *levels, struct str name, struct str level, struct err_text *text)
{
	enum err err = log_levels_check(levels, name, level, text);
	int parsed = -1;
	size_t i = 0;

	if (err)
		return err;
	if (!log_levels_find(levels, name, &i) || (level.p && !log_levels_parse(level, false, &parsed)))
		UNREACHABLE();
	atomic_store_explicit(&levels->loggers[i].level, parsed, memory_order_relaxed);
	find_least(levels);
	return ERR_NONE;
}

static bool has_word(const char *words, const char *word, size_t len)
{
	for (const char *p = words; *p; p = strchr(p, ' ') + 1) {
		if (strncmp(p, word, len) == 0 && p[len] == ' ')
			return true;
	}
	return false;
}

size_t log_levels_of_event(const struct log_levels *levels, const char *event)
{
	size_t len = strcspn(event, ".");

	CHECK(levels->loggers_n > ARRAY_N(known_loggers));
	for (size_t i = 0; i < ARRAY_N(known_loggers); i++) {
		if (has_word(known_loggers[i].events, event, len))
			return i + 1;
	}
	return 0;
}

bool log_levels_is_on(const struct log_levels *levels, enum log_level level, const char *event)
{
	if ((int)level < atomic_load_explicit(&levels->least, memory_order_relaxed))
		return false;
	return (int)level >= level_of(levels, log_levels_of_event(levels, event));
}
