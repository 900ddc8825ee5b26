/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at the metadata of a directory before a start changes anything in it: records of a type or version that this
 * build does not know, and features at levels it does not know, come from a newer version. To run without them would
 * serve something else than what was agreed on, and snapshots would lose them.
 */
#ifndef BROKER_METADATA_CHECK_H
#define BROKER_METADATA_CHECK_H

#include "err.h"
#include "fs.h"

struct err_text;

/* Reads the newest snapshot and the log behind it, or bootstrap.checkpoint when there is neither. ERR_NOT_SUPPORTED
 * with what was found. Files that are missing or damaged are none of its business: recovery tells. */
enum err metadata_check(struct fs *fs, const char *dir, struct err_text *text) MUST_USE;

#endif
