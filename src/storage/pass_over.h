/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on behind a damaged batch at the end of a log, where no index knows a place. What is taken for a batch there is
 * served as one, and records may hold whole batches as their values: so a place counts only
 *   1. where the damaged header says it ends, when the offsets fit, too; or
 *   2. when good batches follow each other from there to the very end of the file; or
 *   3. where the damaged header says, when there is no such place.
 * A write that was cut leaves a header whose length leads beyond the end. There only 2 counts, and only when the
 * checksum shows that the length alone is wrong.
 */
#ifndef STORAGE_PASS_OVER_H
#define STORAGE_PASS_OVER_H

#include "batch_scan.h"

/* The scan stands at a bad batch: takes it to the next good one, of format 2, with offsets from `next` to below
 * end_max. False: there is none (or the disk failed: scan->err), and it stands where it stood. */
bool pass_over(struct batch_scan *scan, int64_t next, int64_t end_max) MUST_USE;
/* Whether what stands at the scan may be a write that was cut: `next` is the offset it has to have. */
bool pass_over_is_cut(struct batch_scan *scan, int64_t next) MUST_USE;

#endif
