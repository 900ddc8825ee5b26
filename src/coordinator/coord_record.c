/* SPDX-License-Identifier: Apache-2.0 */
/* See coord_record.h. */
#include "coord_record.h"

#include "check.h"

enum err coord_key_parse(enum msg_family family, struct bytes key, struct coord_key *ret)
{
	if (!key.p || key.len < 2)
		return ERR_DECODE;
	ret->row = msg_record_find(family, (int16_t)load_be16(key.p));
	if (!ret->row || !ret->row->key)
		return ERR_NOT_SUPPORTED;
	ret->message = (struct bytes){key.p + 2, key.len - 2};
	return ERR_NONE;
}

enum err coord_key_decode(const struct coord_key *key, struct arena *arena, void *ret, struct err_text *text)
{
	return codec_decode(key->row->key, key->row->key->version_min, key->message, arena, ret, NULL, text);
}

enum err coord_value_decode(const struct msg_record *row, struct bytes value, struct arena *arena, void *ret,
			    struct err_text *text)
{
	int16_t version;

	if (value.len < 2)
		return err_text_set(text, ERR_DECODE, "%s: a value of %zu bytes", row->name, value.len);
	version = (int16_t)load_be16(value.p);
	if (!msg_has_version(row->value, version))
		return err_text_set(text, ERR_DECODE, "%s in version %d: it comes from a newer version of Kafka",
				    row->name, version);
	value.p += 2;
	value.len -= 2;
	return codec_decode(row->value, version, value, arena, ret, NULL, text);
}

static struct bytes coord_encode(const struct msg_type *type, int16_t head, int16_t version, const void *obj,
				 struct arena *arena)
{
	struct codec_out out = {.arena = arena, .head_len = 2};
	enum err err = codec_encode_copied(type, version, obj, &out);

	CHECK_OP(err, ==, ERR_NONE);
	store_be16(out.head, (uint16_t)head);
	return (struct bytes){out.head, out.len};
}

struct bytes coord_key_encode(enum msg_family family, int16_t type, const void *obj, struct arena *arena)
{
	const struct msg_record *row = msg_record_find(family, type);

	CHECK(row != NULL);
	return coord_encode(row->key, type, row->key->version_min, obj, arena);
}

struct bytes coord_value_encode(enum msg_family family, int16_t type, int16_t version, const void *obj,
				struct arena *arena)
{
	const struct msg_record *row = msg_record_find(family, type);

	CHECK(row != NULL);
	return coord_encode(row->value, version, version, obj, arena);
}

void coord_records_encode(struct coord_records *records, enum msg_family family, int16_t type, int16_t version,
			  const void *key, const void *value)
{
	struct bytes k;

	if (!coord_records_have_room(records))
		return;
	k = coord_key_encode(family, type, key, records->arena);
	coord_records_add(records, k,
			  value ? coord_value_encode(family, type, version, value, records->arena) : BYTES_NULL);
}
