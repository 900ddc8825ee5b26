/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at the files of a stopped node with eyes of its own (none of storage's code): every batch whole and in
 * order, every index entry pointing at the batch that it names, every time index entry true.
 */
#ifndef CHECK_FILES_H
#define CHECK_FILES_H

#include "check_history.h"
#include "sim_disk.h"

/* Failures go to the world of `h`. Looks at every directory that holds a .log file. */
void check_files(struct sim_disk *d, struct history *h);

#endif
