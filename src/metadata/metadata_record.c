/* SPDX-License-Identifier: Apache-2.0 */
/* See metadata_record.h. */
#include "metadata_record.h"

#include "check.h"
#include "registry.h"
#include "varint.h"

#define FRAME_VERSION 1

enum err metadata_record_parse(struct bytes value, struct metadata_record *ret, struct err_text *text)
{
	uint32_t head[3]; /* frame version, type, version */
	const struct msg_record *row;
	size_t at = 0;

	for (int i = 0; i < 3; i++) {
		size_t len = value.p ? uvarint_read(value.p + at, value.len - at, &head[i]) : 0;

		if (len == 0)
			return err_text_set(text, ERR_DECODE, "a metadata record of %zu bytes is cut short", value.len);
		at += len;
		if (i == 0 && head[0] != FRAME_VERSION)
			return err_text_set(text, ERR_NOT_SUPPORTED, "metadata record in frame version %u, 1 is known",
					    head[0]);
	}
	row = head[1] <= INT16_MAX ? msg_record_find(MSG_FAMILY_METADATA, (int32_t)head[1]) : NULL;
	if (!row)
		return err_text_set(text, ERR_NOT_SUPPORTED,
				    "metadata record of type %u: it comes from a newer version of Kafka", head[1]);
	if (head[2] > INT16_MAX || !msg_has_version(row->value, (int16_t)head[2]))
		return err_text_set(text, ERR_NOT_SUPPORTED, "%s version %u: it comes from a newer version of Kafka",
				    row->name, head[2]);
	*ret = (struct metadata_record){
		.type = row->number,
		.version = (int16_t)head[2],
		.schema = row->value,
		.message = {value.p + at, value.len - at},
	};
	return ERR_NONE;
}

const char *metadata_record_name(int16_t type)
{
	const struct msg_record *row = msg_record_find(MSG_FAMILY_METADATA, type);

	return row ? row->name : "unknown record";
}

struct bytes metadata_record_encode(enum metadata_record_id type, int16_t version, const void *obj,
				    struct arena *arena)
{
	const struct msg_record *row = msg_record_find(MSG_FAMILY_METADATA, (int32_t)type);
	uint8_t head[3 * VARINT32_MAX];
	struct codec_out out = {.arena = arena};
	size_t len;
	enum err err;

	CHECK(row != NULL);
	len = uvarint_write(head, FRAME_VERSION);
	len += uvarint_write(head + len, (uint32_t)type);
	len += uvarint_write(head + len, (uint32_t)version);
	out.head_len = len;
	err = codec_encode_copied(row->value, version, obj, &out);
	CHECK_OP(err, ==, ERR_NONE);
	memcpy(out.head, head, len);
	return (struct bytes){out.head, out.len};
}
