/* SPDX-License-Identifier: Apache-2.0 */
/* What several answers about topics, partitions and brokers have in common. */
#ifndef BROKER_TOPIC_REPLY_H
#define BROKER_TOPIC_REPLY_H

#include "arena.h"
#include "image.h"
#include "request.h"

/* Bitfields of allowed operations where there is no authorizer: all that the resource knows (KIP-430). */
#define OPERATIONS_TOPIC 3576
#define OPERATIONS_CLUSTER 8096
#define OPERATIONS_GROUP 3400
#define OPERATIONS_NOT_ASKED INT32_MIN

/* The endpoint of a broker on the listener the request came in by; NULL when it has none or is fenced. */
const struct endpoint_image *broker_endpoint(const struct request *request, const struct broker_image *broker);
bool broker_is_alive(const struct image *image, int32_t id);
/* Replicas on brokers that are not alive. Memory of the arena. */
int32_t *offline_replicas(const struct image *image, const struct partition_image *partition, struct arena *arena,
			  int32_t *ret_n);
/* Leader and error as Metadata tells them: LEADER_NOT_AVAILABLE where nobody leads. */
enum err partition_leader_error(const struct request *request, const struct partition_image *partition);
/* Topic names Kafka allows: 1-249 of letters, digits, '.', '_', '-', not "." or "..". */
bool topic_name_is_valid(struct str name);

#endif
