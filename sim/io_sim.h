/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct io of one reactor of a simulated node. Sockets are sim_net's, files sim_disk's; WORK runs in an event of its
 * own after a drawn delay (as a helper thread would, in any order), WRITE takes effect when it is started and is
 * reported later. A turn never waits: it tells the world when the reactor wants to run next.
 */
#ifndef IO_SIM_H
#define IO_SIM_H

#include "sim_world.h"

struct io_sim *io_sim_new(struct sim_node *sn, int index);
/* After the node's scope is gone: touches no memory of the node. */
void io_sim_free(struct io_sim *is);
/* Frees kept receive blocks; the last step of a clean stop. */
void io_sim_drop_blocks(struct io_sim *is);
struct io *io_sim_io(struct io_sim *is);
/* From now on the world steps this reactor. */
void io_sim_run(struct io_sim *is, struct reactor *reactor);
/* The reactor runs soon. */
void io_sim_poke(struct io_sim *is);
/* In sim_world.c: a turn of one reactor of `sn` has ended. */
void sim_node_turn_done(struct sim_node *sn);

#endif
