/* SPDX-License-Identifier: Apache-2.0 */
/* A look at the names in a node's log directories: which partitions lie where, and what was put aside. */
#ifndef CHECK_DIRS_H
#define CHECK_DIRS_H

#include "sim_disk.h"

/* Of a stopped node: no partition lies in two log directories, and none is half moved. Failures go to `w`. */
void check_dirs(struct sim_disk *d, struct world *w);
/* Directories that wait for their removal ("-delete", "-future"). */
int check_dirs_left(struct sim_disk *d);

#endif
