/* SPDX-License-Identifier: Apache-2.0 */
/* The batches that Kafka's own classes wrote, with their meaning, as test/golden/batches.py lays them out. */
#ifndef TEST_BATCH_CASES_H
#define TEST_BATCH_CASES_H

#include "arena.h"
#include "batch.h"
#include "record.h"

struct case_record {
	int64_t offset;
	int64_t timestamp;
	int32_t sequence;
	int32_t headers_n;
	struct bytes key;
	struct bytes value;
	struct record_header *headers;
};

struct case_batch {
	struct batch_info info; /* without bytes */
	struct case_record *records;
	int32_t records_n;
};

#define CASE_BATCHES_MAX 256

struct batch_case {
	struct str kind;  /* "plain", "magic_1", ... */
	int64_t seed;
	enum codec codec;
	struct bytes bytes;
	struct case_batch *batches;
	int32_t batches_n;
};

struct batch_cases {
	struct arena arena;
	struct batch_case *v;
	size_t n;
};

/* Aborts when the file is missing or not as expected. */
void batch_cases_load(struct batch_cases *cases, const char *path);
void batch_cases_free(struct batch_cases *cases);

/* A writable copy; mem_free it. */
uint8_t *bytes_dup(struct bytes b);
/* Bytes of a hex string, in the arena. */
struct bytes bytes_of_hex(struct arena *arena, const char *hex);

#endif
