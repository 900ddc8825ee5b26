/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of storage share: a reactor over the posix backend (or any fs), a log directory in a
 * temporary folder, batches to append, and calls that turn the reactor until an answer is there.
 */
#ifndef STORAGE_TEST_H
#define STORAGE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node.h"
#include "part_log.h"
#include "storage.h"

struct storage_test {
	char path[64]; /* temporary folder */
	struct io_posix_shared *shared;
	struct io *io;
	struct io *own_io; /* the test's, with its own fs; NULL: posix */
	struct node node;
	struct reactor *reactor;
	struct storage storage;
	struct storage_dir *dir;
	struct storage_options options;
	struct log_config config;
	struct uuid topic_id;
	int told; /* calls of `advanced` */
	int dir_changes;
};

/* Makes the folder and starts the storage; the directory is told to have been left as `stop` says. */
void storage_test_init(struct storage_test *t, enum storage_durability durability);
/* The same on a file system in memory, where there is one: for very many small steps, which would wait for a disk. */
void storage_test_init_in_memory(struct storage_test *t, enum storage_durability durability);
/* The same over own_io, which takes no folder. */
void storage_test_init_own(struct storage_test *t, enum storage_durability durability, struct io *own_io,
			   const char *path);
/* Ends it and removes the folder. */
void storage_test_deinit(struct storage_test *t);
/* Stops the storage (logs must be freed) and starts it again over the same folder. */
void storage_test_restart(struct storage_test *t, enum log_dir_stop stop);
void storage_test_start(struct storage_test *t, enum log_dir_stop stop);
void storage_test_stop(struct storage_test *t);

/* A millisecond when nothing happens. Who waits for a disk, which may be busy with other work, does so at most
 * TURNS_MAX times: that is for what hangs. */
#define TURNS_MAX 200000
void turn(struct storage_test *t);
/* Opens a log and waits; fails the test when it does not open. */
struct part_log *log_open(struct storage_test *t, const char *name, int64_t recovery_point);
/* The same, whatever comes of it. */
struct part_log *log_try_open(struct storage_test *t, const char *name, int64_t recovery_point);
void log_close(struct storage_test *t, struct part_log *log);
/* One checkpoint of all logs, to its end. */
void checkpoint(struct storage_test *t);
/* Frees a log as a killed process would leave it: nothing written, nothing synced. */
void log_kill(struct storage_test *t, struct part_log *log);

struct test_batch {
	int64_t producer_id;
	int16_t epoch;
	int32_t seq;
	int32_t records_n;
	int64_t timestamp_ms;
	size_t value_len;
};

#define PLAIN_BATCH(n, ts) ((struct test_batch){-1, -1, -1, (n), (ts), 100})

/* Bytes of a batch with base offset 0, freed with mem_free. Record i has timestamp timestamp_ms + i. */
uint8_t *batch_make(const struct test_batch *spec, size_t *ret_len);
/* Appends and waits for done. */
enum err log_put(struct storage_test *t, struct part_log *log, const struct test_batch *spec, int32_t epoch);
/* Appends n at once, then waits; the number that succeeded. */
int log_put_many(struct storage_test *t, struct part_log *log, const struct test_batch *spec, int32_t epoch,
		 int n);
/* Reads and waits. *ret_bytes (mem_free) is what the range holds. */
enum err log_get(struct storage_test *t, struct part_log *log, int64_t offset, int64_t max_bytes,
		 uint8_t **ret_bytes,
		 size_t *ret_len);
/* Reads the whole log batch by batch and checks offsets and checksums; returns the number of batches. */
int log_check_all(struct storage_test *t, struct part_log *log);
int64_t log_time(struct storage_test *t, struct part_log *log, int64_t timestamp_ms);

/* Size of a file in the log's directory, -1 when missing. */
int64_t file_len(struct storage_test *t, const char *log, const char *name);
void file_put(struct storage_test *t, const char *log, const char *name, const void *p, size_t len);
void file_cut(struct storage_test *t, const char *log, const char *name, int64_t size);

#endif
