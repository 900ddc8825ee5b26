/* SPDX-License-Identifier: Apache-2.0 */
/* The subscriptions of the image with their patterns made ready, and which of them hold for a client. */
#ifndef BROKER_TELEMETRY_SUBSCRIPTIONS_H
#define BROKER_TELEMETRY_SUBSCRIPTIONS_H

#include "telemetry.h"

struct telemetry_subscriptions;

/* Bounded: of more subscriptions than fit the first in name order count. */
struct telemetry_subscriptions *telemetry_subscriptions_new(const struct image *image);
/* NULL is fine. */
void telemetry_subscriptions_free(struct telemetry_subscriptions *subscriptions);
/* Tells subscriptions of two images apart. */
uint64_t telemetry_subscriptions_hash(const struct image *image);
/* Texts live as long as the subscriptions, the array in the arena. */
void telemetry_subscriptions_find(const struct telemetry_subscriptions *subscriptions,
				  const struct telemetry_source *source, struct arena *arena,
				  struct telemetry_subscription *ret);

#endif
