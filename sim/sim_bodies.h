/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies that moldau-sim can run: the product's broker, and the stub. */
#ifndef SIM_BODIES_H
#define SIM_BODIES_H

#include "sim_world.h"

/* The product. */
extern const struct sim_body broker_body;
/* A one-file Kafka server, the simplest that keeps the promises: tries the client and the checkers. */
extern const struct sim_body stub_body;

/* NULL name: the default. NULL when unknown. */
const struct sim_body *sim_body_find(const char *name);

#endif
