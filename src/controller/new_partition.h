/* SPDX-License-Identifier: Apache-2.0 */
/* What creating topics, adding partitions and moving them share: the checks of a client's list of replicas, and the
 * record of a new partition. */
#ifndef CONTROLLER_NEW_PARTITION_H
#define CONTROLLER_NEW_PARTITION_H

#include "controller.h"

/* A client's list of replicas; expected_n is how many the partitions before had, 0 when there were none.
 * ERR_INVALID_REPLICA_ASSIGNMENT with Kafka's words. */
enum err replicas_check(const struct image *image, const int32_t *replicas, int32_t n, int32_t expected_n,
			struct err_text *text) MUST_USE;
/* The same words when none of the brokers may lead. */
enum err replicas_check_active(const struct image *image, const int32_t *replicas, int32_t n, int32_t partition,
			       struct err_text *text) MUST_USE;
/* A PartitionRecord; at least one of the replicas is active. */
void controller_add_partition(const struct controller *controller, struct controller_records *records,
			      struct arena *arena, struct uuid topic_id, int32_t index, int32_t *replicas, int32_t n);
/* Where a broker keeps new replicas: one with a single directory there, one with more chooses itself. */
struct uuid replica_directory(const struct image *image, int32_t broker_id);

#endif
