/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault schedule of a run: at drawn times one of the enabled kinds happens to the node, and the world is repaired
 * again after a drawn while. A node that died is started again. faults_heal ends it all.
 */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include "check_history.h"
#include "sim_world.h"

/* With ballast=1: the size of a directory's disk, and what of it is kept free. */
#define SIM_DISK_CAPACITY MIB(256)
#define SIM_DISK_FULL_PERCENT 90
#define SIM_DISK_RESERVE (SIM_DISK_CAPACITY / 100 * (100 - SIM_DISK_FULL_PERCENT))
#define SIM_DISK_BALLAST MIB(1)

struct sim_faults {
	struct world *w;
	struct history *history; /* told of lossy cuts; may be NULL */
	void (*rot)(void *ctx);  /* flips bits; set for f_flip */
	void *rot_ctx;
	int node;
	bool is_over;
	int faults_n;
	int starts_failed_n; /* since faults_heal */
	struct sim_event next;
	struct sim_event restart;
	struct sim_event repair;
};

/* Takes w->on_end. The node must not be running yet. */
void faults_init(struct sim_faults *f, struct world *w, int node, struct history *history);
void faults_deinit(struct sim_faults *f);
void faults_start(struct sim_faults *f);
/* Everything is repaired, nothing breaks any more; the node runs or is being started. */
void faults_heal(struct sim_faults *f);

#endif
