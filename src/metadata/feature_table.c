/* SPDX-License-Identifier: Apache-2.0 */
/* See feature_table.h: looking things up in the generated tables. */
#include "feature_table.h"

const struct feature_def *feature_find(struct str name)
{
	for (int i = 0; i < feature_defs_n; i++) {
		if (str_eq(feature_defs[i].name, name))
			return &feature_defs[i];
	}
	return NULL;
}

const char *feature_level_name(struct str feature, int16_t level)
{
	for (int i = 0; i < feature_levels_n; i++) {
		if (feature_levels[i].level == level && str_eq(feature_levels[i].feature, feature))
			return feature_levels[i].name;
	}
	return "";
}

bool feature_level_parse(struct str feature, struct str name, int16_t *ret)
{
	bool found = false;

	for (int i = 0; i < feature_levels_n; i++) {
		struct str level = str_of(feature_levels[i].name);

		if (!str_eq(feature_levels[i].feature, feature) || name.len == 0)
			continue;
		if (str_eq(level, name) || (str_starts(level, name) && level.p[name.len] == '-')) {
			*ret = feature_levels[i].level;
			found = true;
		}
	}
	return found;
}

int16_t feature_default(struct str feature, int16_t metadata_version)
{
	int16_t level = 0;

	for (int i = 0; i < feature_levels_n; i++) {
		if (str_eq(feature_levels[i].feature, feature) && feature_levels[i].since <= metadata_version)
			level = feature_levels[i].level;
	}
	return level;
}

bool metadata_version_changes(int16_t low, int16_t high)
{
	static const int16_t changes[] = {7, 8, 11, 13, 14, 15, 17, 23, 30};

	for (size_t i = 0; i < ARRAY_N(changes); i++) {
		if (changes[i] > low && changes[i] <= high)
			return true;
	}
	return false;
}
