/* SPDX-License-Identifier: Apache-2.0 */
/* The length prefix. */
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
