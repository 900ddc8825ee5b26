/* SPDX-License-Identifier: Apache-2.0 */
/* Request and response headers, and the frames around them. */
#include "header.h"

#include "check.h"
#include "frame.h"
#include "msg/headers.h"
#include "registry.h"

#define HEAD_FIXED_LEN 8 /* key, version, correlation id: the same in every header since the first */

static bool is_flexible(int16_t api_key, int16_t api_version)
{
	const struct api *api = api_find(api_key);

	return api && api_version >= api->flexible_min;
}

int16_t request_head_version(int16_t api_key, int16_t api_version)
{
	return is_flexible(api_key, api_version) ? 2 : 1;
}

int16_t response_head_version(int16_t api_key, int16_t api_version)
{
	return is_flexible(api_key, api_version) && api_key != API_API_VERSIONS ? 1 : 0;
}

enum err request_head_decode(struct bytes frame, struct arena *arena, struct request_head *ret, size_t *ret_len,
			     struct err_text *text)
{
	struct request_header header;
	struct request_head head;
	size_t used = HEAD_FIXED_LEN;
	enum err err;

	if (frame.len < HEAD_FIXED_LEN)
		return err_text_set(text, ERR_DECODE, "a request of %zu bytes has no header", frame.len);
	head = (struct request_head){.api_key = (int16_t)load_be16(frame.p),
				     .api_version = (int16_t)load_be16(frame.p + 2),
				     .correlation_id = (int32_t)load_be32(frame.p + 4)};
	if (api_find(head.api_key)) {
		err = codec_decode(&request_header_type, request_head_version(head.api_key, head.api_version), frame,
				   arena, &header, &used, text);
		if (err != ERR_NONE)
			return err;
		head.client_id = header.client_id;
	}
	*ret = head;
	*ret_len = used;
	return ERR_NONE;
}

enum err request_encode(const struct request_head *head, const void *body, struct arena *arena, struct bytes *ret,
			struct err_text *text)
{
	const struct api *api = api_find(head->api_key);
	struct codec_out out = {.arena = arena, .text = text};
	struct request_header header;
	struct bytes head_bytes;
	enum err err;

	CHECK(api && api->request);
	msg_init(&request_header_type, &header);
	header.request_api_key = head->api_key;
	header.request_api_version = head->api_version;
	header.correlation_id = head->correlation_id;
	header.client_id = head->client_id;
	err = codec_encode_flat(&request_header_type, request_head_version(head->api_key, head->api_version), &header,
				arena, &head_bytes, text);
	if (err != ERR_NONE)
		return err;
	out.head_len = FRAME_PREFIX_LEN + head_bytes.len;
	err = codec_encode_copied(api->request, head->api_version, body, &out);
	if (err != ERR_NONE)
		return err;
	store_be32(out.head, (uint32_t)(out.len - FRAME_PREFIX_LEN));
	memcpy(out.head + FRAME_PREFIX_LEN, head_bytes.p, head_bytes.len);
	*ret = (struct bytes){out.head, out.len};
	return ERR_NONE;
}

enum err response_encode(int16_t api_key, int16_t api_version, int32_t correlation_id, const void *body,
			 struct codec_out *out)
{
	const struct api *api = api_find(api_key);
	int16_t version = response_head_version(api_key, api_version);
	enum err err;

	CHECK(api && api->response);
	out->head_len = FRAME_PREFIX_LEN + 4 + (version == 1 ? 1 : 0);
	err = codec_encode(api->response, api_version, body, out);
	if (err != ERR_NONE)
		return err;
	store_be32(out->head, (uint32_t)(out->len - FRAME_PREFIX_LEN));
	store_be32(out->head + FRAME_PREFIX_LEN, (uint32_t)correlation_id);
	if (version == 1)
		out->head[FRAME_PREFIX_LEN + 4] = 0; /* no tagged fields */
	return ERR_NONE;
}

enum err response_head_decode(int16_t api_key, int16_t api_version, struct bytes frame, int32_t *ret_correlation_id,
			      size_t *ret_len)
{
	uint8_t block[256];
	struct arena arena;
	struct response_header header;
	enum err err;

	arena_init(&arena, block, sizeof(block));
	err = codec_decode(&response_header_type, response_head_version(api_key, api_version), frame, &arena, &header,
			   ret_len, NULL);
	if (err == ERR_NONE)
		*ret_correlation_id = header.correlation_id;
	arena_reset(&arena);
	return err;
}
