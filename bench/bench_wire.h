/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The little of Kafka's protocol that measuring needs: a growing write buffer, a checked reader, requests of
 * one fixed version each, and record batches of format 2. It shares no code with the broker on purpose: a
 * mistake in the broker's codec must not be repeated by the program that measures and checks it.
 */

#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WIRE_PRODUCE = 0,
	WIRE_FETCH = 1,
	WIRE_METADATA = 3,
	WIRE_FIND_COORDINATOR = 10,
	WIRE_API_VERSIONS = 18,
	WIRE_CREATE_TOPICS = 19,
	WIRE_DELETE_TOPICS = 20,
	WIRE_INIT_PRODUCER_ID = 22,
	WIRE_END_TXN = 26,
};

/* The one version of each request that is sent, and that the bare loop understands. */
enum {
	WIRE_PRODUCE_VERSION = 12, /* the last one with topic names */
	WIRE_FETCH_VERSION = 16, /* topic ids */
	WIRE_METADATA_VERSION = 12,
	WIRE_API_VERSIONS_VERSION = 3,
	WIRE_CREATE_TOPICS_VERSION = 7,
	WIRE_DELETE_TOPICS_VERSION = 6,
	WIRE_FIND_COORDINATOR_VERSION = 4,
	WIRE_INIT_PRODUCER_ID_VERSION = 5,
	WIRE_END_TXN_VERSION = 5, /* with Produce 12: version 2 of transactions */
};

enum {
	WIRE_BATCH_HEADER_LEN = 61,
	WIRE_FRAME_LEN_MAX = 128 << 20,
	WIRE_TOPIC_LEN_MAX = 100, /* keeps every length prefix of a topic name at one byte */
};

struct wbuf {
	uint8_t *p;
	size_t len;
	size_t cap;
};

void wbuf_deinit(struct wbuf *w);
/* Room for `n` more bytes; ends the program when memory is gone. */
void wbuf_reserve(struct wbuf *w, size_t n);
void wbuf_bytes(struct wbuf *w, const void *p, size_t n);
void wbuf_i8(struct wbuf *w, int8_t v);
void wbuf_i16(struct wbuf *w, int16_t v);
void wbuf_i32(struct wbuf *w, int32_t v);
void wbuf_i64(struct wbuf *w, int64_t v);
void wbuf_uvarint(struct wbuf *w, uint64_t v);
void wbuf_varint(struct wbuf *w, int64_t v);
/* NULL becomes null. */
void wbuf_compact_str(struct wbuf *w, const char *s);
/* Overwrites four bytes at `pos`. */
void wbuf_patch_i32(struct wbuf *w, size_t pos, int32_t v);

/* Reads stop at the end: `bad` is set, and everything read after that is zero. */
struct rbuf {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

struct rbuf rbuf_of(const void *p, size_t len);
const uint8_t *rbuf_bytes(struct rbuf *r, size_t n);
int8_t rbuf_i8(struct rbuf *r);
int16_t rbuf_i16(struct rbuf *r);
int32_t rbuf_i32(struct rbuf *r);
int64_t rbuf_i64(struct rbuf *r);
uint64_t rbuf_uvarint(struct rbuf *r);
/* A compact string into `ret` (zero-terminated, cut at `cap`); null becomes "". */
void rbuf_compact_str(struct rbuf *r, char *ret, size_t cap);
/* A tag section, skipped. */
void rbuf_tags(struct rbuf *r);

int32_t wire_get_i32(const uint8_t *p);
int64_t wire_get_i64(const uint8_t *p);
void wire_put_i32(uint8_t *p, int32_t v);
void wire_put_i64(uint8_t *p, int64_t v);

/* Frames: begin returns the position of the size, which end fills in. */
size_t wire_request_begin(struct wbuf *w, int16_t api, int16_t version, int32_t correlation_id);
void wire_frame_end(struct wbuf *w, size_t start);

void wire_api_versions(struct wbuf *w);
void wire_metadata(struct wbuf *w, const char *topic);
/* `configs` is "key=value,key=value" or empty. */
void wire_create_topic(struct wbuf *w, const char *topic, int32_t partitions_n, const char *configs);
void wire_delete_topic(struct wbuf *w, const char *topic);

/* What stands before and after the `records_len` bytes of a produce request for one partition. */
void wire_produce_head(struct wbuf *w, const char *topic, int32_t partition, int16_t acks,
		       size_t records_len);
enum { WIRE_PRODUCE_TAIL_LEN = 3 };

struct wire_fetch_args {
	uint8_t topic_id[16];
	int32_t partition;
	int64_t offset;
	int32_t max_wait_ms;
	int32_t min_bytes;
	int32_t partition_bytes_max;
	bool committed_only;
};
void wire_fetch(struct wbuf *w, const struct wire_fetch_args *args);

/* A topic as Metadata describes it. `leaders_n` counts partitions with a leader and no error. */
struct wire_topic {
	int16_t error;
	uint8_t id[16];
	int32_t partitions_n;
	int32_t leaders_n;
};

/* The parsers take a whole frame without its size; false means that it is malformed. */
bool wire_metadata_parse(struct rbuf r, struct wire_topic *ret);
bool wire_topics_error_parse(struct rbuf r, int16_t api, int16_t *ret_error);
bool wire_produce_parse(struct rbuf r, int16_t *ret_error, int64_t *ret_base_offset);

struct wire_fetched {
	int16_t error;
	int64_t high_watermark;
	size_t aborted_n; /* transactions that the answer names as aborted */
	size_t records_at; /* from the start of what was passed in */
	size_t records_len;
};
bool wire_fetch_parse(struct rbuf r, struct wire_fetched *ret);

/* bench_wire_txn.c: transactions and idempotent producers. */

struct wire_producer {
	int64_t id;
	int16_t epoch;
};

void wire_find_coordinator(struct wbuf *w, const char *transactional_id);
/* transactional_id NULL: idempotent only. */
void wire_init_producer_id(struct wbuf *w, const char *transactional_id, int32_t timeout_ms);
void wire_end_txn(struct wbuf *w, const char *transactional_id, struct wire_producer producer, bool commit);
/* One batch for each of the partitions first .. first + n - 1 of a topic; transactional_id may be NULL. */
void wire_produce_all(struct wbuf *w, const char *transactional_id, const char *topic, int32_t first,
		      int32_t partitions_n, const struct wbuf *batch);
/* Writes the producer into a batch of wire_batch, and its checksum anew. */
void wire_batch_sign(struct wbuf *batch, struct wire_producer producer, int32_t sequence, bool is_transactional);

bool wire_find_coordinator_parse(struct rbuf r, int16_t *ret_error);
/* Of InitProducerId and of EndTxn: with whom to go on. */
bool wire_producer_parse(struct rbuf r, int16_t *ret_error, struct wire_producer *ret);
/* The first error of all partitions. */
bool wire_produce_all_parse(struct rbuf r, int16_t *ret_error);

/* Appends one uncompressed batch of `records_n` records with `value_len` pseudo-random bytes each. */
void wire_batch(struct wbuf *w, int32_t records_n, size_t value_len, uint64_t seed, int64_t timestamp_ms);
/* The same with a key of WIRE_KEY_LEN bytes in each record, told apart by seed and place in the batch. */
void wire_batch_keyed(struct wbuf *w, int32_t records_n, size_t value_len, uint64_t seed, int64_t timestamp_ms);
enum { WIRE_KEY_LEN = 16 };
/* How many records without keys make a batch of at most `batch_len` bytes (at least one). */
int32_t wire_batch_records_n(size_t batch_len, size_t value_len);
/* Whether p holds a whole batch with correct length, magic and checksum. */
bool wire_batch_is_valid(const uint8_t *p, size_t len, size_t *ret_len);

#endif
