/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which brokers hold the replicas of new partitions: striped over racks, then over the brokers of a rack, from random
 * starting points. The first replica, which will lead, is on a broker that is not fenced; fenced ones are taken only
 * when there are not enough others.
 */
#ifndef CONTROLLER_PLACEMENT_H
#define CONTROLLER_PLACEMENT_H

#include "arena.h"
#include "fmt.h"
#include "image.h"
#include "rng.h"

struct placement;

/* ERR_INVALID_REPLICATION_FACTOR with Kafka's words when the brokers of the image do not suffice. */
enum err placement_new(const struct image *image, int32_t replicas_n, struct rng *rng, struct arena *arena,
		       struct placement **ret, struct err_text *text) MUST_USE;
/* The replicas of the next partition: replicas_n broker ids. */
void placement_next(struct placement *placement, int32_t *ret_replicas);

#endif
