/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of golden files in tests: from hex, and with what depends on the moment taken out. */
#ifndef TEST_GOLDEN_HEX_H
#define TEST_GOLDEN_HEX_H

#include "arena.h"
#include "batch.h"

static inline uint8_t golden_nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Up to the first character that is no digit. */
static inline struct bytes golden_unhex(const char *text, struct arena *arena)
{
	size_t len = strspn(text, "0123456789abcdef") / 2;
	uint8_t *p = arena_alloc(arena, len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(golden_nibble(text[2 * i]) << 4 | golden_nibble(text[2 * i + 1]));
	return (struct bytes){p, len};
}

/* Sets all times of the batches to `time_ms`; the copy lies in the arena. Records of a batch must share one time. */
static inline struct bytes golden_at_time(struct bytes file, int64_t time_ms, struct arena *arena)
{
	struct bytes copy = arena_bytes(arena, file);
	struct batch_iter it = batch_iter_of(copy, 0);
	struct batch_info batch;

	while (batch_iter_next(&it, &batch)) {
		uint8_t *p = (uint8_t *)batch.bytes.p;

		store_be64(p + BATCH_BASE_TIMESTAMP_AT, (uint64_t)time_ms);
		store_be64(p + BATCH_MAX_TIMESTAMP_AT, (uint64_t)time_ms);
		batch_set_crc(p);
	}
	return copy;
}

#endif
