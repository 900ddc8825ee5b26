/* SPDX-License-Identifier: Apache-2.0 */
/* See new_partition.h. */
#include "new_partition.h"

#include "controller_private.h"
#include "feature_table.h"

enum err replicas_check(const struct image *image, const int32_t *replicas, int32_t n, int32_t expected_n,
			struct err_text *text)
{
	enum err err = ERR_INVALID_REPLICA_ASSIGNMENT;

	if (n <= 0)
		return err_text_set(text, err, "The manual partition assignment includes an empty replica list.");
	for (int32_t i = 0; i < n; i++) {
		if (!image_broker(image, replicas[i]))
			return err_text_set(text, err, "The manual partition assignment includes broker %d, "
					    "but no such broker is registered.", replicas[i]);
	}
	/* All are registered, so a list that is longer than the cluster repeats itself early. */
	for (int32_t i = 0; i < n; i++) {
		for (int32_t j = 0; j < i; j++) {
			if (replicas[i] == replicas[j])
				return err_text_set(text, err, "The manual partition assignment includes the broker %d "
						    "more than once.", replicas[i]);
		}
	}
	if (expected_n > 0 && n != expected_n)
		return err_text_set(text, err, "The manual partition assignment includes a partition with %d "
				    "replica(s), but this is not consistent with previous partitions, which have %d "
				    "replica(s).", n, expected_n);
	return ERR_NONE;
}

enum err replicas_check_active(const struct image *image, const int32_t *replicas, int32_t n, int32_t partition,
			       struct err_text *text)
{
	for (int32_t i = 0; i < n; i++) {
		if (broker_is_active(image, replicas[i]))
			return ERR_NONE;
	}
	return err_text_set(text, ERR_INVALID_REPLICA_ASSIGNMENT, "All brokers specified in the manual partition "
			    "assignment for partition %d are fenced or in controlled shutdown.", partition);
}

struct uuid replica_directory(const struct image *image, int32_t broker_id)
{
	const struct broker_image *broker = image_broker(image, broker_id);

	return broker->log_dirs_n == 1 ? broker->log_dirs[0] : UUID_DIR_UNASSIGNED;
}

void controller_add_partition(const struct controller *controller, struct controller_records *records,
			      struct arena *arena, struct uuid topic_id, int32_t index, int32_t *replicas, int32_t n)
{
	const struct image *image = controller->latest;
	int16_t version = partition_version(controller_metadata_version(controller));
	struct partition_record record;
	int32_t *isr = ARENA_NEW_N(arena, int32_t, n);
	int32_t isr_n = 0;

	for (int32_t i = 0; i < n; i++) {
		if (broker_is_active(image, replicas[i]))
			isr[isr_n++] = replicas[i];
	}
	msg_init(&partition_record_type, &record);
	record.partition_id = index;
	record.topic_id = topic_id;
	record.replicas = replicas;
	record.replicas_n = n;
	record.isr = isr;
	record.isr_n = isr_n;
	record.leader = isr[0];
	record.leader_epoch = 0;
	record.partition_epoch = 0;
	if (version >= 1) {
		record.directories = ARENA_NEW_N(arena, struct uuid, n);
		record.directories_n = n;
		for (int32_t i = 0; i < n; i++)
			record.directories[i] = replica_directory(image, replicas[i]);
	}
	controller_add(records, arena, METADATA_PARTITION_RECORD, version, &record);
}
