/* SPDX-License-Identifier: Apache-2.0 */
/* See format.h. Which level a feature begins with is a column of schema/features.tbl. */
#include "format.h"

#include "feature_table.h"
#include "metadata_record.h"

static void format_feature(struct str name, int16_t level, struct arena *arena, struct format_records *ret)
{
	struct feature_level_record record;

	msg_init(&feature_level_record_type, &record);
	record.name = name;
	record.feature_level = level;
	vec_push(&ret->values, metadata_record_encode(METADATA_FEATURE_LEVEL_RECORD, 0, &record, arena));
}

void format_bootstrap_records(int16_t metadata_version, struct arena *arena, struct format_records *ret)
{
	CHECK_OP(metadata_version, >=, METADATA_VERSION_MIN);
	CHECK_OP(metadata_version, <=, METADATA_VERSION_MAX);
	format_feature(STR(METADATA_VERSION), metadata_version, arena, ret);
	for (int i = 0; i < feature_defs_n; i++) { /* by name */
		struct str name = feature_defs[i].name;
		int16_t level = feature_default(name, metadata_version);

		if (level > 0 && !str_eq(name, STR(METADATA_VERSION)) && !str_eq(name, STR(KRAFT_VERSION)))
			format_feature(name, level, arena, ret);
	}
}
