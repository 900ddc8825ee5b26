/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where node settings come from: the text of a properties file, the process's environment (KAFKA_LOG_DIRS is
 * log.dirs), and --override arguments. A later source beats an earlier one; every value remembers its source.
 * Nothing is read here: the caller brings the bytes.
 */
#ifndef CONFIG_CONFIG_SOURCE_H
#define CONFIG_CONFIG_SOURCE_H

#include "config_report.h"
#include "err.h"

/* Most pairs of all sources together. */
#define CONFIG_PAIRS_MAX 20000

struct config_source {
	struct str file_name;	     /* shown in findings */
	struct bytes file_text;	     /* empty: no file */
	const char *const *env;	     /* "NAME=value", ended by NULL; NULL: none */
	const struct str *overrides; /* "key=value" each */
	size_t overrides_n;
	bool is_env_for_references; /* the environment gives no settings, only what values refer to */
	/* Reads a file that a value refers to (config_provider.h), into the arena; NULL: none can be read. */
	bool (*read)(void *ctx, struct str path, struct arena *arena, struct bytes *ret);
	void *read_ctx;
};

struct config_pair {
	struct str key;
	struct str value;
	struct setting_origin origin;
	size_t order; /* later wins */
};

/* Sorted by key; each key once. */
struct config_pairs {
	VEC(struct config_pair) pairs;
};

void config_pairs_deinit(struct config_pairs *pairs);
const struct config_pair *config_pairs_find(const struct config_pairs *pairs, struct str key);
/* Reads all sources; texts are copied into `arena`. Mistakes of form go to the report; the rest is still
 * read. */
void config_source_read(const struct config_source *source, struct arena *arena, struct config_report *report,
			struct config_pairs *ret);
/* The key that an environment variable stands for: KAFKA_ or KAFKA_CFG_ dropped, lower case, _ is a dot, __ is _,
 * ___ is -. CLUSTER_ID and KAFKA_KRAFT_CLUSTER_ID are cluster.id.
 * False when it stands for none (no prefix, or one of the names that only steer a Java start script). */
bool config_source_env_key(struct str variable, struct arena *arena, struct str *ret);

#endif
