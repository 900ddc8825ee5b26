/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The features that a cluster can agree on, and their levels: schema/features.tbl. What is not honoured is kept in the
 * image but reported to nobody.
 */
#ifndef METADATA_FEATURE_TABLE_H
#define METADATA_FEATURE_TABLE_H

#include "bytes.h"

#define METADATA_VERSION "metadata.version"
#define KRAFT_VERSION "kraft.version"
#define METADATA_VERSION_MIN 7
#define METADATA_VERSION_MAX 30

struct feature_def {
	struct str name;
	int16_t level_min, level_max; /* the levels honoured; of a feature that is not: those that exist */
	int16_t level_default;        /* of a cluster formatted now */
	bool is_honoured;
};

/* One level. */
struct feature_level {
	struct str feature;
	int16_t level;
	int16_t since; /* the metadata.version from which a fresh cluster gets it */
	const char *name; /* "4.3-IV0"; "" when it has none */
};

extern const struct feature_def feature_defs[];
extern const int feature_defs_n;
extern const struct feature_level feature_levels[];
extern const int feature_levels_n;

/* NULL when unknown. */
const struct feature_def *feature_find(struct str name);
/* "4.3-IV0" for 30; the number as nothing ("") when the level has no name or does not exist. */
const char *feature_level_name(struct str feature, int16_t level);
/* The level of a name: "4.3-IV0" gives 30, "4.3" the last of that release. False when there is none. */
bool feature_level_parse(struct str feature, struct str name, int16_t *ret);
/* The level that a cluster formatted at a metadata.version gets. */
int16_t feature_default(struct str feature, int16_t metadata_version);

/* Did a metadata.version above `low` up to `high` change what the metadata holds? Then high cannot become low. */
bool metadata_version_changes(int16_t low, int16_t high);

/* The versions of records to write. */
static inline int16_t register_broker_version(int16_t metadata_version)
{
	return metadata_version >= 30 ? 4 : metadata_version >= 17 ? 3 : metadata_version >= 8 ? 2 : 1;
}

static inline int16_t partition_version(int16_t metadata_version)
{
	return metadata_version >= 23 ? 2 : metadata_version >= 17 ? 1 : 0;
}

#endif
