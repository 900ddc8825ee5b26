/* SPDX-License-Identifier: Apache-2.0 */
/* The length prefix, and who else knocks at a Kafka port. */
#include "frame.h"

enum err frame_cut(struct bytes in, size_t len_max, struct frame *ret)
{
	int32_t len;

	if (in.len < FRAME_PREFIX_LEN) {
		*ret = (struct frame){.want = FRAME_PREFIX_LEN};
		return ERR_NONE;
	}
	len = (int32_t)load_be32(in.p);
	if (len < 0)
		return ERR_DECODE;
	if ((size_t)len > len_max)
		return ERR_TOO_LARGE;
	*ret = (struct frame){.want = FRAME_PREFIX_LEN + (size_t)len};
	if (in.len >= ret->want) {
		ret->used = ret->want;
		ret->body = (struct bytes){in.p + FRAME_PREFIX_LEN, (size_t)len};
	}
	return ERR_NONE;
}

enum frame_stranger frame_recognise(struct bytes in)
{
	static const char *const http[] = {"GET ", "POST", "HEAD", "PUT ", "DELE", "OPTI", "PATC", "CONN", "TRAC",
					   "PRI "};

	if (in.len < 4)
		return FRAME_STRANGER_NONE;
	for (size_t i = 0; i < ARRAY_N(http); i++)
		if (memcmp(in.p, http[i], 4) == 0)
			return FRAME_STRANGER_HTTP;
	if (memcmp(in.p, "SSH-", 4) == 0)
		return FRAME_STRANGER_SSH;
	/* A TLS record: handshake, version 3.x; as a Kafka length it would be 352 MiB. */
	if (in.p[0] == 0x16 && in.p[1] == 3 && in.p[2] <= 4)
		return FRAME_STRANGER_TLS;
	return FRAME_STRANGER_NONE;
}
