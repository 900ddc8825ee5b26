/* SPDX-License-Identifier: Apache-2.0 */
/* See topic_settings.h. */
#include "topic_settings.h"

#include <stdio.h>

#include "broker.h"
#include "compress.h"

void topic_settings_base(const struct broker *broker, const struct image *image, struct topic_config *ret)
{
	struct topic_config_layers layers = {.broker = broker->fixed};
	struct arena arena = {0};
	char id[16];

	if (image) {
		snprintf(id, sizeof(id), "%d", broker->node_id);
		layers.dynamic_default = live_settings_layer(image, CONFIG_RESOURCE_TYPE_BROKER, STR(""), &arena);
		layers.dynamic_broker = live_settings_layer(image, CONFIG_RESOURCE_TYPE_BROKER, str_of(id), &arena);
	}
	topic_config_base(ret, &layers);
	arena_reset(&arena);
}

struct config_layer topic_settings_overrides(const struct image *image, struct str topic, struct arena *arena)
{
	return live_settings_layer(image, CONFIG_RESOURCE_TYPE_TOPIC, topic, arena);
}

static int32_t topic_settings_level(const struct topic_config *config, enum topic_compression compression)
{
	switch (compression) {
	case TOPIC_COMPRESSION_GZIP:
		return config->compression_gzip_level;
	case TOPIC_COMPRESSION_LZ4:
		return config->compression_lz4_level;
	case TOPIC_COMPRESSION_ZSTD:
		return config->compression_zstd_level;
	case TOPIC_COMPRESSION_SNAPPY:
	case TOPIC_COMPRESSION_UNCOMPRESSED:
	case TOPIC_COMPRESSION_PRODUCER:
		return COMPRESS_LEVEL_DEFAULT;
	default:
		UNREACHABLE();
	}
}

void topic_settings_partition(const struct topic_config *config, struct partition_config *ret)
{
	const struct topic_effective *eff = &config->eff;

	*ret = (struct partition_config){
		.max_message_bytes = config->max_message_bytes,
		.timestamp_before_max_ms = config->message_timestamp_before_max_ms,
		.timestamp_after_max_ms = config->message_timestamp_after_max_ms,
		.log_append_time = eff->is_log_append_time,
		.is_compacted = eff->is_compacted,
		.compression_codec = eff->compression == TOPIC_COMPRESSION_PRODUCER ? -1 : (int8_t)eff->compression,
		.compression_level = topic_settings_level(config, eff->compression),
		.min_insync_replicas = config->min_insync_replicas,
		.log = {
			.segment_bytes = eff->segment_bytes,
			.segment_ms = config->segment_ms,
			.segment_jitter_ms = config->segment_jitter_ms,
			.index_interval_bytes = config->index_interval_bytes,
			.index_bytes = config->segment_index_bytes,
			.flush_messages = config->flush_messages,
			.flush_ms = config->flush_ms,
			.retention_ms = config->retention_ms,
			.retention_bytes = config->retention_bytes,
			.file_delete_delay_ms = config->file_delete_delay_ms,
			.delete_retention_ms = config->delete_retention_ms,
			.min_compaction_lag_ms = config->min_compaction_lag_ms,
			.max_compaction_lag_ms = config->max_compaction_lag_ms,
			.min_dirty_ratio = config->min_cleanable_dirty_ratio,
			.is_deleted = eff->is_deleted,
			.is_compacted = eff->is_compacted,
			.preallocate = config->preallocate,
		},
	};
}

void topic_settings_build(const struct topic_config *base, const struct image *image, struct str topic,
			  struct partition_config *ret)
{
	struct arena arena = {0};
	struct topic_config config;

	topic_config_build(&config, base, topic_settings_overrides(image, topic, &arena));
	topic_settings_partition(&config, ret);
	arena_reset(&arena);
}
