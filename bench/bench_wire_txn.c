/* SPDX-License-Identifier: Apache-2.0 */

/* The requests of transactional and idempotent producers; see bench_wire.h. */

#include "bench_wire.h"

#include <isa-l/crc.h>
#include <string.h>

enum { BATCH_CRC_AT = 17, BATCH_ATTRIBUTES_AT = 21, BATCH_PRODUCER_AT = 43, ATTRIBUTE_TRANSACTIONAL = 0x10 };

void wire_find_coordinator(struct wbuf *w, const char *transactional_id)
{
	size_t start = wire_request_begin(w, WIRE_FIND_COORDINATOR, WIRE_FIND_COORDINATOR_VERSION, 7);
	wbuf_i8(w, 1); /* of a transaction */
	wbuf_uvarint(w, 2);
	wbuf_compact_str(w, transactional_id);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

void wire_init_producer_id(struct wbuf *w, const char *transactional_id, int32_t timeout_ms)
{
	size_t start = wire_request_begin(w, WIRE_INIT_PRODUCER_ID, WIRE_INIT_PRODUCER_ID_VERSION, 8);
	wbuf_compact_str(w, transactional_id);
	wbuf_i32(w, timeout_ms);
	wbuf_i64(w, -1);
	wbuf_i16(w, -1);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

void wire_end_txn(struct wbuf *w, const char *transactional_id, struct wire_producer producer, bool commit)
{
	size_t start = wire_request_begin(w, WIRE_END_TXN, WIRE_END_TXN_VERSION, 9);
	wbuf_compact_str(w, transactional_id);
	wbuf_i64(w, producer.id);
	wbuf_i16(w, producer.epoch);
	wbuf_i8(w, commit);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

void wire_produce_all(struct wbuf *w, const char *transactional_id, const char *topic, int32_t first,
		      int32_t partitions_n, const struct wbuf *batch)
{
	size_t start = wire_request_begin(w, WIRE_PRODUCE, WIRE_PRODUCE_VERSION, 10);
	wbuf_compact_str(w, transactional_id);
	wbuf_i16(w, -1);
	wbuf_i32(w, 30000);
	wbuf_uvarint(w, 2);
	wbuf_compact_str(w, topic);
	wbuf_uvarint(w, (uint64_t)partitions_n + 1);
	for (int32_t i = 0; i < partitions_n; i++) {
		wbuf_i32(w, first + i);
		wbuf_uvarint(w, batch->len + 1);
		wbuf_bytes(w, batch->p, batch->len);
		wbuf_i8(w, 0);
	}
	wbuf_i8(w, 0);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

void wire_batch_sign(struct wbuf *batch, struct wire_producer producer, int32_t sequence, bool is_transactional)
{
	uint8_t *p = batch->p;
	p[BATCH_ATTRIBUTES_AT + 1] = (uint8_t)((p[BATCH_ATTRIBUTES_AT + 1] & ~ATTRIBUTE_TRANSACTIONAL) |
					       (is_transactional ? ATTRIBUTE_TRANSACTIONAL : 0));
	wire_put_i64(p + BATCH_PRODUCER_AT, producer.id);
	p[BATCH_PRODUCER_AT + 8] = (uint8_t)((uint16_t)producer.epoch >> 8);
	p[BATCH_PRODUCER_AT + 9] = (uint8_t)producer.epoch;
	wire_put_i32(p + BATCH_PRODUCER_AT + 10, sequence);
	uint32_t crc = crc32_iscsi(p + BATCH_ATTRIBUTES_AT, (int)(batch->len - BATCH_ATTRIBUTES_AT), 0xffffffffu);
	wire_put_i32(p + BATCH_CRC_AT, (int32_t)(crc ^ 0xffffffffu));
}

bool wire_find_coordinator_parse(struct rbuf r, int16_t *ret_error)
{
	char text[256];
	rbuf_i32(&r);
	rbuf_tags(&r);
	rbuf_i32(&r);
	if (rbuf_uvarint(&r) != 2)
		return false;
	rbuf_compact_str(&r, text, sizeof(text));
	rbuf_i32(&r);
	rbuf_compact_str(&r, text, sizeof(text));
	rbuf_i32(&r);
	int16_t error = rbuf_i16(&r);
	if (r.bad)
		return false;
	*ret_error = error;
	return true;
}

bool wire_producer_parse(struct rbuf r, int16_t *ret_error, struct wire_producer *ret)
{
	rbuf_i32(&r);
	rbuf_tags(&r);
	rbuf_i32(&r);
	int16_t error = rbuf_i16(&r);
	struct wire_producer producer = { .id = rbuf_i64(&r) };
	producer.epoch = rbuf_i16(&r);
	if (r.bad)
		return false;
	*ret_error = error;
	*ret = producer;
	return true;
}

bool wire_produce_all_parse(struct rbuf r, int16_t *ret_error)
{
	char text[256];
	int16_t error = 0;
	rbuf_i32(&r);
	rbuf_tags(&r);
	if (rbuf_uvarint(&r) != 2)
		return false;
	rbuf_compact_str(&r, text, sizeof(text));
	uint64_t partitions_n = rbuf_uvarint(&r);
	for (uint64_t i = 1; i < partitions_n && !r.bad; i++) {
		rbuf_i32(&r);
		int16_t of_this = rbuf_i16(&r);
		error = error == 0 ? of_this : error;
		rbuf_bytes(&r, 24); /* base offset, append time, log start */
		uint64_t records_n = rbuf_uvarint(&r);
		for (uint64_t k = 1; k < records_n && !r.bad; k++) {
			rbuf_i32(&r);
			rbuf_compact_str(&r, text, sizeof(text));
			rbuf_tags(&r);
		}
		rbuf_compact_str(&r, text, sizeof(text));
		rbuf_tags(&r);
	}
	if (r.bad)
		return false;
	*ret_error = error;
	return true;
}
