/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a stream of bytes into frames: four bytes of length, then as many bytes. Pure: it looks at what has arrived
 * and says what to do; it keeps nothing.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "bytes.h"
#include "err.h"

#define FRAME_PREFIX_LEN 4

struct frame {
	struct bytes body; /* without the length; borrowed from the input */
	size_t used;       /* bytes of the input that the frame takes, 0 while it is not whole */
	size_t want;       /* bytes in all (length included) that must be there before it is worth asking again */
};

/*
 * Looks for one frame at the start of `in`. ERR_NONE with `used` 0 means: not whole yet. ERR_TOO_LARGE for a length
 * over `len_max`, ERR_DECODE for a negative one; both end the connection.
 */
enum err frame_cut(struct bytes in, size_t len_max, struct frame *ret) MUST_USE;

#endif
