/* SPDX-License-Identifier: Apache-2.0 */
/* A small good log on a disk in memory, for fuzz targets that damage it. */
#ifndef FUZZ_LOG_H
#define FUZZ_LOG_H

#include "log_load.h"
#include "mem_disk.h"

#define FUZZ_LOG_DIR "/d"
#define FUZZ_LOG_NAME "f-0"
#define FUZZ_LOG_PATH FUZZ_LOG_DIR "/" FUZZ_LOG_NAME
#define FUZZ_LOG_SEGMENTS 3
#define FUZZ_LOG_BATCHES 8 /* per segment */
#define FUZZ_LOG_RECORDS 3 /* per batch */
#define FUZZ_LOG_PER_SEGMENT (FUZZ_LOG_BATCHES * FUZZ_LOG_RECORDS)
#define FUZZ_LOG_END (FUZZ_LOG_SEGMENTS * FUZZ_LOG_PER_SEGMENT)

/* Segments with an index entry per batch but the first, snapshots, epochs, partition.metadata. */
void fuzz_log_make(struct mem_disk *disk);
void fuzz_log_write(struct mem_disk *disk, const char *name, const void *p, size_t len);
/* Opens it as left so; the caller ends with log_load_deinit. */
enum err fuzz_log_open(struct mem_disk *disk, struct log_load *load, enum log_dir_stop stop, int64_t recovery_point);

#endif
