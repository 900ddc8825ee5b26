/* SPDX-License-Identifier: Apache-2.0 */
/* Producer snapshots of any content, also with a right checksum: refused, or read and written to the same state. */
#include "check.h"
#include "crc32c.h"
#include "mem.h"
#include "producer_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct bytes file)
{
	struct producer_state state, again;

	producer_state_init(&state, 1);
	producer_state_init(&again, 2);
	if (!producer_state_decode(&state, file)) {
		struct bytes out = producer_state_encode(&state);
		enum err err = producer_state_decode(&again, out);

		CHECK_OP(err, ==, ERR_NONE);
		CHECK_OP(again.by_id.n, ==, state.by_id.n);
		mem_free((void *)(uintptr_t)out.p);
	} else {
		CHECK_OP(state.by_id.n, ==, 0u);
	}
	producer_state_deinit(&state);
	producer_state_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	size_t entries_n;

	round_trip((struct bytes){data, size});
	if (size < 10)
		return 0;
	copy = mem_alloc(size);
	memcpy(copy, data, size);
	entries_n = (size - 10) / 46;
	store_be16(copy, 1);
	store_be32(copy + 6, (uint32_t)entries_n);
	size = 10 + entries_n * 46;
	store_be32(copy + 2, crc32c(0, copy + 6, size - 6));
	round_trip((struct bytes){copy, size});
	mem_free(copy);
	return 0;
}
