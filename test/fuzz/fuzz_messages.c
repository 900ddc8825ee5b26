/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaches every message in every version: the first two bytes choose the message, the third the version, the rest
 * is the message. What decodes must encode, decode again to something equal, and then encode to the same bytes.
 */
#include <stdlib.h>

#include "check.h"
#include "codec.h"
#include "header.h"
#include "registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ARENA_LIMIT MIB(64)

static void run_message(const struct msg_type *type, int16_t version, struct bytes in, struct arena *arena)
{
	void *a = arena_alloc(arena, type->size), *b = arena_alloc(arena, type->size);
	struct err_text text;
	struct bytes one, two;
	static char print[1024];
	struct fmt f;
	size_t used;

	if (codec_decode(type, version, in, arena, a, &used, &text) != ERR_NONE)
		return;
	CHECK(used <= in.len);
	fmt_init(&f, print, sizeof(print));
	codec_print(type, version, a, &f);
	CHECK(codec_encode_flat(type, version, a, arena, &one, &text) == ERR_NONE);
	CHECK(codec_size(type, version, a) == one.len);
	CHECK(codec_decode(type, version, one, arena, b, &used, &text) == ERR_NONE);
	CHECK(used == one.len);
	CHECK(codec_equal(type, a, b));
	CHECK(codec_encode_flat(type, version, b, arena, &two, &text) == ERR_NONE);
	CHECK(bytes_eq(one, two));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena arena = {.limit = ARENA_LIMIT};
	const struct msg_type *type;
	struct request_head head;
	struct bytes in;
	size_t head_len;
	int versions_n;

	if (len < 3)
		return 0;
	in = (struct bytes){data + 3, len - 3};
	type = msg_type_rows[load_be16(data) % msg_type_rows_n];
	versions_n = type->version_max - type->version_min + 1;
	run_message(type, (int16_t)(type->version_min + data[2] % versions_n), in, &arena);
	if (request_head_decode(in, &arena, &head, &head_len, NULL) == ERR_NONE)
		CHECK(head_len <= in.len);
	arena_reset(&arena);
	return 0;
}
