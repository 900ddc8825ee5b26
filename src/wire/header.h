/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands before the body of a request and of a response. The exceptions live here and nowhere else:
 * - the client id keeps its two-byte length in flexible headers too;
 * - an ApiVersions response has header version 0 in every version, so that a client whose version we do not know
 *   can read the refusal.
 */
#ifndef WIRE_HEADER_H
#define WIRE_HEADER_H

#include "codec.h"

struct request_head {
	int16_t api_key;
	int16_t api_version;
	int32_t correlation_id;
	struct str client_id; /* null where the client sent none; borrowed from the frame */
};

/* 1, or 2 for a flexible version. Versions beyond those we know have the header of the newest. */
int16_t request_head_version(int16_t api_key, int16_t api_version);
/* 0, or 1 for a flexible version, but 0 for ApiVersions. */
int16_t response_head_version(int16_t api_key, int16_t api_version);

/*
 * Reads the header of a request (a frame without its length). `ret_len` is where the body begins. Key and version
 * are not judged; of a key we do not know only the first 8 bytes are read: the body cannot be found, and ret_len
 * is 8. ERR_DECODE when bytes are missing.
 */
enum err request_head_decode(struct bytes frame, struct arena *arena, struct request_head *ret, size_t *ret_len,
			     struct err_text *text) MUST_USE;

/* A whole request frame, length first, into one run of memory (for clients and tests). */
enum err request_encode(const struct request_head *head, const void *body, struct arena *arena, struct bytes *ret,
			struct err_text *text) MUST_USE;

/*
 * A whole response frame, length first. `out->arena` and `out->text` are set by the caller; out->head_len is ours.
 * The frame's length counts file pieces too, so out->len is exactly what the socket must carry.
 */
enum err response_encode(int16_t api_key, int16_t api_version, int32_t correlation_id, const void *body,
			 struct codec_out *out) MUST_USE;

/* Reads the header of a response (a frame without its length); `ret_len` is where the body begins. */
enum err response_head_decode(int16_t api_key, int16_t api_version, struct bytes frame, int32_t *ret_correlation_id,
			      size_t *ret_len) MUST_USE;

#endif
