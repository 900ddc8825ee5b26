/* SPDX-License-Identifier: Apache-2.0 */

/* See bench_wire.h. */

#include "bench_wire.h"

#include <endian.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_ID "bench"

void wbuf_deinit(struct wbuf *w)
{
	free(w->p);
	*w = (struct wbuf){ 0 };
}

void wbuf_reserve(struct wbuf *w, size_t n)
{
	if (w->cap - w->len >= n)
		return;
	size_t cap = w->cap < 256 ? 256 : w->cap;
	while (cap - w->len < n)
		cap *= 2;
	uint8_t *p = realloc(w->p, cap);
	if (p == NULL) {
		fprintf(stderr, "bench: out of memory (%zu bytes)\n", cap);
		exit(1);
	}
	w->p = p;
	w->cap = cap;
}

void wbuf_bytes(struct wbuf *w, const void *p, size_t n)
{
	wbuf_reserve(w, n);
	if (n > 0)
		memcpy(w->p + w->len, p, n);
	w->len += n;
}

void wbuf_i8(struct wbuf *w, int8_t v)
{
	wbuf_bytes(w, &v, 1);
}

void wbuf_i16(struct wbuf *w, int16_t v)
{
	uint16_t be = htobe16((uint16_t)v);
	wbuf_bytes(w, &be, 2);
}

void wbuf_i32(struct wbuf *w, int32_t v)
{
	uint32_t be = htobe32((uint32_t)v);
	wbuf_bytes(w, &be, 4);
}

void wbuf_i64(struct wbuf *w, int64_t v)
{
	uint64_t be = htobe64((uint64_t)v);
	wbuf_bytes(w, &be, 8);
}

void wbuf_uvarint(struct wbuf *w, uint64_t v)
{
	while (v >= 0x80) {
		wbuf_i8(w, (int8_t)(uint8_t)(v | 0x80));
		v >>= 7;
	}
	wbuf_i8(w, (int8_t)v);
}

void wbuf_varint(struct wbuf *w, int64_t v)
{
	wbuf_uvarint(w, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void wbuf_compact_str(struct wbuf *w, const char *s)
{
	size_t n = s == NULL ? 0 : strlen(s);
	wbuf_uvarint(w, s == NULL ? 0 : n + 1);
	wbuf_bytes(w, s, n);
}

void wbuf_patch_i32(struct wbuf *w, size_t pos, int32_t v)
{
	wire_put_i32(w->p + pos, v);
}

struct rbuf rbuf_of(const void *p, size_t len)
{
	const uint8_t *b = p;
	return (struct rbuf){ .p = b, .end = b + len };
}

const uint8_t *rbuf_bytes(struct rbuf *r, size_t n)
{
	static const uint8_t zeros[16];
	if (r->bad || (size_t)(r->end - r->p) < n) {
		r->bad = true;
		r->p = r->end;
		return zeros; /* enough for every fixed-size read; longer ones look at `bad` first */
	}
	const uint8_t *p = r->p;
	r->p += n;
	return p;
}

int8_t rbuf_i8(struct rbuf *r)
{
	return (int8_t)*rbuf_bytes(r, 1);
}

int16_t rbuf_i16(struct rbuf *r)
{
	const uint8_t *p = rbuf_bytes(r, 2);
	return (int16_t)(uint16_t)((unsigned)p[0] << 8 | p[1]);
}

int32_t rbuf_i32(struct rbuf *r)
{
	return wire_get_i32(rbuf_bytes(r, 4));
}

int64_t rbuf_i64(struct rbuf *r)
{
	return wire_get_i64(rbuf_bytes(r, 8));
}

uint64_t rbuf_uvarint(struct rbuf *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = *rbuf_bytes(r, 1);
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80)
			return v;
	}
	r->bad = true;
	return 0;
}

void rbuf_compact_str(struct rbuf *r, char *ret, size_t cap)
{
	ret[0] = 0;
	uint64_t n = rbuf_uvarint(r);
	if (n <= 1)
		return;
	const uint8_t *p = rbuf_bytes(r, n - 1);
	if (r->bad)
		return;
	size_t keep = n - 1 < cap - 1 ? n - 1 : cap - 1;
	memcpy(ret, p, keep);
	ret[keep] = 0;
}

void rbuf_tags(struct rbuf *r)
{
	uint64_t n = rbuf_uvarint(r);
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		rbuf_uvarint(r);
		rbuf_bytes(r, rbuf_uvarint(r));
	}
}

int32_t wire_get_i32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return (int32_t)be32toh(v);
}

int64_t wire_get_i64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return (int64_t)be64toh(v);
}

void wire_put_i32(uint8_t *p, int32_t v)
{
	uint32_t be = htobe32((uint32_t)v);
	memcpy(p, &be, 4);
}

void wire_put_i64(uint8_t *p, int64_t v)
{
	uint64_t be = htobe64((uint64_t)v);
	memcpy(p, &be, 8);
}

size_t wire_request_begin(struct wbuf *w, int16_t api, int16_t version, int32_t correlation_id)
{
	size_t start = w->len;
	wbuf_i32(w, 0);
	wbuf_i16(w, api);
	wbuf_i16(w, version);
	wbuf_i32(w, correlation_id);
	wbuf_i16(w, (int16_t)strlen(CLIENT_ID));
	wbuf_bytes(w, CLIENT_ID, strlen(CLIENT_ID));
	wbuf_i8(w, 0);
	return start;
}

void wire_frame_end(struct wbuf *w, size_t start)
{
	wbuf_patch_i32(w, start, (int32_t)(w->len - start - 4));
}

void wire_api_versions(struct wbuf *w)
{
	size_t start = wire_request_begin(w, WIRE_API_VERSIONS, WIRE_API_VERSIONS_VERSION, 1);
	wbuf_compact_str(w, CLIENT_ID);
	wbuf_compact_str(w, "1");
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

void wire_metadata(struct wbuf *w, const char *topic)
{
	static const uint8_t no_id[16];
	size_t start = wire_request_begin(w, WIRE_METADATA, WIRE_METADATA_VERSION, 2);
	wbuf_uvarint(w, 2);
	wbuf_bytes(w, no_id, sizeof(no_id));
	wbuf_compact_str(w, topic);
	wbuf_i8(w, 0);
	wbuf_i8(w, 0); /* no auto-creation */
	wbuf_i8(w, 0);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

static void put_configs(struct wbuf *w, const char *configs)
{
	size_t n = 0;
	for (const char *c = configs; *c != 0; c++)
		n += *c == '=';
	wbuf_uvarint(w, n + 1);
	for (const char *c = configs; n > 0; n--) {
		size_t key_len = strcspn(c, "=");
		wbuf_uvarint(w, key_len + 1);
		wbuf_bytes(w, c, key_len);
		c += key_len + 1;
		size_t value_len = strcspn(c, ",");
		wbuf_uvarint(w, value_len + 1);
		wbuf_bytes(w, c, value_len);
		c += value_len + (c[value_len] == ',');
		wbuf_i8(w, 0);
	}
}

void wire_create_topic(struct wbuf *w, const char *topic, int32_t partitions_n, const char *configs)
{
	size_t start = wire_request_begin(w, WIRE_CREATE_TOPICS, WIRE_CREATE_TOPICS_VERSION, 3);
	wbuf_uvarint(w, 2);
	wbuf_compact_str(w, topic);
	wbuf_i32(w, partitions_n);
	wbuf_i16(w, 1);
	wbuf_uvarint(w, 1);
	put_configs(w, configs);
	wbuf_i8(w, 0);
	wbuf_i32(w, 60000);
	wbuf_i8(w, 0);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

void wire_delete_topic(struct wbuf *w, const char *topic)
{
	static const uint8_t no_id[16];
	size_t start = wire_request_begin(w, WIRE_DELETE_TOPICS, WIRE_DELETE_TOPICS_VERSION, 4);
	wbuf_uvarint(w, 2);
	wbuf_compact_str(w, topic);
	wbuf_bytes(w, no_id, sizeof(no_id));
	wbuf_i8(w, 0);
	wbuf_i32(w, 60000);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

void wire_produce_head(struct wbuf *w, const char *topic, int32_t partition, int16_t acks,
		       size_t records_len)
{
	size_t start = wire_request_begin(w, WIRE_PRODUCE, WIRE_PRODUCE_VERSION, 5);
	wbuf_uvarint(w, 0);
	wbuf_i16(w, acks);
	wbuf_i32(w, 30000);
	wbuf_uvarint(w, 2);
	wbuf_compact_str(w, topic);
	wbuf_uvarint(w, 2);
	wbuf_i32(w, partition);
	wbuf_uvarint(w, records_len + 1);
	wbuf_patch_i32(w, start, (int32_t)(w->len - start - 4 + records_len + WIRE_PRODUCE_TAIL_LEN));
}

void wire_fetch(struct wbuf *w, const struct wire_fetch_args *args)
{
	size_t start = wire_request_begin(w, WIRE_FETCH, WIRE_FETCH_VERSION, 6);
	wbuf_i32(w, args->max_wait_ms);
	wbuf_i32(w, args->min_bytes);
	wbuf_i32(w, 50 << 20);
	wbuf_i8(w, args->committed_only);
	wbuf_i32(w, 0); /* no session: every request stands for itself and can be prebuilt */
	wbuf_i32(w, -1);
	wbuf_uvarint(w, 2);
	wbuf_bytes(w, args->topic_id, 16);
	wbuf_uvarint(w, 2);
	wbuf_i32(w, args->partition);
	wbuf_i32(w, -1);
	wbuf_i64(w, args->offset);
	wbuf_i32(w, -1);
	wbuf_i64(w, -1);
	wbuf_i32(w, args->partition_bytes_max);
	wbuf_i8(w, 0);
	wbuf_i8(w, 0);
	wbuf_uvarint(w, 1);
	wbuf_uvarint(w, 1);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

static void skip_i32s(struct rbuf *r)
{
	uint64_t n = rbuf_uvarint(r);
	for (uint64_t i = 1; i < n && !r->bad; i++)
		rbuf_i32(r);
}

static void metadata_partitions(struct rbuf *r, struct wire_topic *topic)
{
	uint64_t n = rbuf_uvarint(r);
	for (uint64_t i = 1; i < n && !r->bad; i++) {
		int16_t error = rbuf_i16(r);
		rbuf_i32(r);
		int32_t leader = rbuf_i32(r);
		rbuf_i32(r);
		for (int list = 0; list < 3; list++)
			skip_i32s(r);
		rbuf_tags(r);
		topic->partitions_n++;
		topic->leaders_n += error == 0 && leader >= 0;
	}
}

bool wire_metadata_parse(struct rbuf r, struct wire_topic *ret)
{
	char text[256];
	struct wire_topic topic = { 0 };
	rbuf_i32(&r);
	rbuf_tags(&r);
	rbuf_i32(&r);
	uint64_t brokers_n = rbuf_uvarint(&r);
	for (uint64_t i = 1; i < brokers_n && !r.bad; i++) {
		rbuf_i32(&r);
		rbuf_compact_str(&r, text, sizeof(text));
		rbuf_i32(&r);
		rbuf_compact_str(&r, text, sizeof(text));
		rbuf_tags(&r);
	}
	rbuf_compact_str(&r, text, sizeof(text));
	rbuf_i32(&r);
	if (rbuf_uvarint(&r) < 2)
		return false;
	topic.error = rbuf_i16(&r);
	rbuf_compact_str(&r, text, sizeof(text));
	memcpy(topic.id, rbuf_bytes(&r, 16), 16);
	rbuf_i8(&r);
	metadata_partitions(&r, &topic);
	if (r.bad)
		return false;
	*ret = topic;
	return true;
}

bool wire_topics_error_parse(struct rbuf r, int16_t api, int16_t *ret_error)
{
	char text[256];
	rbuf_i32(&r);
	rbuf_tags(&r);
	rbuf_i32(&r);
	if (rbuf_uvarint(&r) < 2)
		return false;
	rbuf_compact_str(&r, text, sizeof(text));
	if (api == WIRE_CREATE_TOPICS || api == WIRE_DELETE_TOPICS)
		rbuf_bytes(&r, 16);
	int16_t error = rbuf_i16(&r);
	if (r.bad)
		return false;
	*ret_error = error;
	return true;
}

bool wire_produce_parse(struct rbuf r, int16_t *ret_error, int64_t *ret_base_offset)
{
	rbuf_i32(&r);
	rbuf_tags(&r);
	if (rbuf_uvarint(&r) != 2)
		return false;
	uint64_t name_n = rbuf_uvarint(&r);
	rbuf_bytes(&r, name_n > 0 ? name_n - 1 : 0);
	if (rbuf_uvarint(&r) != 2)
		return false;
	rbuf_i32(&r);
	int16_t error = rbuf_i16(&r);
	int64_t base_offset = rbuf_i64(&r);
	if (r.bad)
		return false;
	*ret_error = error;
	*ret_base_offset = base_offset;
	return true;
}

bool wire_fetch_parse(struct rbuf r, struct wire_fetched *ret)
{
	const uint8_t *start = r.p;
	struct wire_fetched fetched = { 0 };
	rbuf_i32(&r);
	rbuf_tags(&r);
	rbuf_i32(&r);
	fetched.error = rbuf_i16(&r);
	rbuf_i32(&r);
	if (rbuf_uvarint(&r) < 2) {
		*ret = fetched;
		return !r.bad;
	}
	rbuf_bytes(&r, 16);
	if (rbuf_uvarint(&r) != 2)
		return false;
	rbuf_i32(&r);
	int16_t error = rbuf_i16(&r);
	fetched.error = fetched.error != 0 ? fetched.error : error;
	fetched.high_watermark = rbuf_i64(&r);
	rbuf_i64(&r);
	rbuf_i64(&r);
	uint64_t aborted = rbuf_uvarint(&r);
	for (uint64_t i = 1; i < aborted && !r.bad; i++) {
		rbuf_bytes(&r, 16); /* producer id, first offset */
		rbuf_tags(&r);
	}
	fetched.aborted_n = aborted > 0 ? (size_t)aborted - 1 : 0;
	rbuf_i32(&r);
	uint64_t records = rbuf_uvarint(&r);
	if (r.bad)
		return false;
	fetched.records_at = (size_t)(r.p - start);
	fetched.records_len = records > 0 ? records - 1 : 0;
	*ret = fetched;
	return true;
}

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static size_t varint_len(int64_t v)
{
	uint64_t u = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
	size_t n = 1;
	for (; u >= 0x80; u >>= 7)
		n++;
	return n;
}

/* Length of a record without its own length prefix: attributes, deltas, no key, value, no headers. */
static size_t record_body_len(int32_t offset_delta, size_t value_len)
{
	return 1 + 1 + varint_len(offset_delta) + 1 + varint_len((int64_t)value_len) + value_len + 1;
}

static void batch_add(struct wbuf *w, int32_t records_n, size_t value_len, uint64_t seed, int64_t timestamp_ms,
		      bool has_keys)
{
	uint64_t first_key = seed * 1000000;
	size_t start = w->len;
	wbuf_i64(w, 0);
	wbuf_i32(w, 0);
	wbuf_i32(w, -1);
	wbuf_i8(w, 2);
	wbuf_i32(w, 0);
	wbuf_i16(w, 0);
	wbuf_i32(w, records_n - 1);
	wbuf_i64(w, timestamp_ms);
	wbuf_i64(w, timestamp_ms);
	wbuf_i64(w, -1);
	wbuf_i16(w, -1);
	wbuf_i32(w, -1);
	wbuf_i32(w, records_n);
	for (int32_t i = 0; i < records_n; i++) {
		char key[WIRE_KEY_LEN + 1];
		wbuf_varint(w, (int64_t)record_body_len(i, value_len) + (has_keys ? WIRE_KEY_LEN : 0));
		wbuf_i8(w, 0);
		wbuf_varint(w, 0);
		wbuf_varint(w, i);
		wbuf_varint(w, has_keys ? WIRE_KEY_LEN : -1);
		snprintf(key, sizeof(key), "%016llu", (unsigned long long)(first_key + (uint64_t)i));
		wbuf_bytes(w, key, has_keys ? WIRE_KEY_LEN : 0);
		wbuf_varint(w, (int64_t)value_len);
		for (size_t left = value_len; left > 0;) {
			uint64_t word = random_next(&seed);
			size_t n = left < 8 ? left : 8;
			wbuf_bytes(w, &word, n);
			left -= n;
		}
		wbuf_varint(w, 0);
	}
	size_t len = w->len - start;
	wbuf_patch_i32(w, start + 8, (int32_t)(len - 12));
	uint32_t crc = crc32_iscsi(w->p + start + 21, (int)(len - 21), 0xffffffffu) ^ 0xffffffffu;
	wbuf_patch_i32(w, start + 17, (int32_t)crc);
}

void wire_batch(struct wbuf *w, int32_t records_n, size_t value_len, uint64_t seed, int64_t timestamp_ms)
{
	batch_add(w, records_n, value_len, seed, timestamp_ms, false);
}

void wire_batch_keyed(struct wbuf *w, int32_t records_n, size_t value_len, uint64_t seed, int64_t timestamp_ms)
{
	batch_add(w, records_n, value_len, seed, timestamp_ms, true);
}

int32_t wire_batch_records_n(size_t batch_len, size_t value_len)
{
	size_t len = WIRE_BATCH_HEADER_LEN;
	int32_t n = 0;
	for (;; n++) {
		size_t body = record_body_len(n, value_len);
		len += varint_len((int64_t)body) + body;
		if (len > batch_len)
			return n > 0 ? n : 1;
	}
}

bool wire_batch_is_valid(const uint8_t *p, size_t len, size_t *ret_len)
{
	if (len < WIRE_BATCH_HEADER_LEN)
		return false;
	int32_t batch_len = wire_get_i32(p + 8);
	if (batch_len < WIRE_BATCH_HEADER_LEN - 12 || (size_t)batch_len + 12 > len || p[16] != 2)
		return false;
	size_t total = (size_t)batch_len + 12;
	/* isa-l neither inverts the start value nor the result; Kafka's CRC-32C does both. */
	uint32_t crc = crc32_iscsi((uint8_t *)(uintptr_t)(p + 21), (int)(total - 21),
				   0xffffffffu) ^ 0xffffffffu;
	if (crc != (uint32_t)wire_get_i32(p + 17))
		return false;
	*ret_len = total;
	return true;
}
