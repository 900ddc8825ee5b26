/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest body that uses everything the world offers: a server that appends 8-byte numbers to /toy.log and sends
 * each back when it is stored (with option `synced`: synced). It keeps the simulator honest on its own.
 */
#ifndef TOY_BODY_H
#define TOY_BODY_H

#include "sim_world.h"

#define TOY_PORT 7
#define TOY_FILE "/toy.log"

extern const struct sim_body toy_body;

#endif
