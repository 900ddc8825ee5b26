/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparison of decoded messages, and their text for people. Neither is on a fast path, except that encoding asks
 * whether a field holds its default.
 */
#include "check.h"
#include "codec_internal.h"

#define PRINT_BYTES_MAX 32 /* of one value, then "..." */

static bool records_equal(const struct records *a, const struct records *b)
{
	if (a->is_null || b->is_null)
		return a->is_null == b->is_null;
	if (a->piece.len != b->piece.len)
		return false;
	if (a->piece.len == 0)
		return true;
	if (a->piece.file != b->piece.file)
		return false;
	if (a->piece.file != PIECE_NO_FILE)
		return a->piece.pos == b->piece.pos;
	return memcmp(a->piece.mem, b->piece.mem, a->piece.len) == 0;
}

static bool one_equal(const struct msg_field *field, const void *a, const void *b)
{
	switch ((enum msg_kind)field->kind) {
	case MSG_BOOL:
	case MSG_INT8:
	case MSG_INT16:
	case MSG_UINT16:
	case MSG_INT32:
	case MSG_UINT32:
	case MSG_INT64:
	case MSG_FLOAT64:
	case MSG_UUID:
		return memcmp(a, b, field->elem_size) == 0;
	case MSG_STRING:
	case MSG_BYTES:
		if (field->flags & MSG_FIELD_NULL)
			return bytes_eq(*(const struct bytes *)a, *(const struct bytes *)b);
		return ((const struct bytes *)a)->len == ((const struct bytes *)b)->len &&
		       (((const struct bytes *)a)->len == 0 ||
			bytes_eq(*(const struct bytes *)a, *(const struct bytes *)b));
	case MSG_RECORDS:
		return records_equal(a, b);
	case MSG_STRUCT:
		return codec_equal(field->type, a, b);
	}
	UNREACHABLE();
}

bool codec_field_equal(const struct msg_field *field, const void *a, const void *b)
{
	const uint8_t *ap, *bp;
	int32_t an, bn;

	if (!(field->flags & (MSG_FIELD_ARRAY | MSG_FIELD_POINTER)))
		return one_equal(field, a, b);
	ap = *(uint8_t *const *)a;
	bp = *(uint8_t *const *)b;
	if (field->flags & MSG_FIELD_POINTER)
		return ap == bp || (ap && bp && codec_equal(field->type, ap, bp));
	memcpy(&an, (const uint8_t *)a + sizeof(void *), sizeof(an));
	memcpy(&bn, (const uint8_t *)b + sizeof(void *), sizeof(bn));
	if (an != bn)
		return false;
	for (int32_t i = 0; i < an; i++, ap += field->elem_size, bp += field->elem_size)
		if (!one_equal(field, ap, bp))
			return false;
	return true;
}

bool codec_equal(const struct msg_type *type, const void *a, const void *b)
{
	const struct tagged_fields *at, *bt;

	/* Mostly asked of objects that msg_init() made and nobody touched; padding may only cost the shortcut. */
	if (memcmp(a, b, type->size) == 0)
		return true;
	for (uint16_t i = 0; i < type->fields_n; i++) {
		size_t offset = type->fields[i].offset;

		if (!codec_field_equal(&type->fields[i], (const uint8_t *)a + offset, (const uint8_t *)b + offset))
			return false;
	}
	if (type->tags_offset == MSG_NO_TAGS)
		return true;
	at = (const struct tagged_fields *)((const uint8_t *)a + type->tags_offset);
	bt = (const struct tagged_fields *)((const uint8_t *)b + type->tags_offset);
	if (at->n != bt->n)
		return false;
	for (int32_t i = 0; i < at->n; i++)
		if (at->p[i].tag != bt->p[i].tag || !bytes_eq(at->p[i].data, bt->p[i].data))
			return false;
	return true;
}

static void print_text(struct fmt *f, struct str s)
{
	fmt_add(f, "\"");
	for (size_t i = 0; i < s.len && !f->cut; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
			fmt_add(f, "\\x%02x", c);
		else
			fmt_add(f, "%c", c);
	}
	fmt_add(f, "\"");
}

static void print_hex(struct fmt *f, struct bytes b)
{
	fmt_add(f, "%zu:", b.len);
	for (size_t i = 0; i < b.len && i < PRINT_BYTES_MAX; i++)
		fmt_add(f, "%02x", b.p[i]);
	if (b.len > PRINT_BYTES_MAX)
		fmt_add(f, "...");
}

static void print_blob(struct fmt *f, const struct msg_field *field, const void *at)
{
	struct bytes b = *(const struct bytes *)at;

	if (field->kind == MSG_RECORDS) {
		const struct piece *piece = &((const struct records *)at)->piece;

		if (((const struct records *)at)->is_null)
			fmt_add(f, "null");
		else if (piece->file != PIECE_NO_FILE)
			fmt_add(f, "%zu:file@%lld", piece->len, (long long)piece->pos);
		else
			print_hex(f, (struct bytes){piece->mem, piece->len});
	} else if (!b.p && field->flags & MSG_FIELD_NULL) {
		fmt_add(f, "null");
	} else if (field->kind == MSG_STRING) {
		print_text(f, bytes_str(b));
	} else {
		print_hex(f, b);
	}
}

static void print_uuid(struct fmt *f, struct uuid id)
{
	char text[UUID_TEXT_LEN + 1];

	uuid_format(id, text);
	fmt_add(f, "%s", text);
}

static void print_one(struct fmt *f, const struct msg_field *field, int16_t version, const void *at)
{
	switch ((enum msg_kind)field->kind) {
	case MSG_BOOL:
		fmt_add(f, *(const bool *)at ? "true" : "false");
		break;
	case MSG_INT8:
		fmt_add(f, "%d", *(const int8_t *)at);
		break;
	case MSG_INT16:
		fmt_add(f, "%d", *(const int16_t *)at);
		break;
	case MSG_UINT16:
		fmt_add(f, "%u", *(const uint16_t *)at);
		break;
	case MSG_INT32:
		fmt_add(f, "%d", *(const int32_t *)at);
		break;
	case MSG_UINT32:
		fmt_add(f, "%u", *(const uint32_t *)at);
		break;
	case MSG_INT64:
		fmt_add(f, "%lld", (long long)*(const int64_t *)at);
		break;
	case MSG_FLOAT64:
		fmt_add(f, "%g", *(const double *)at);
		break;
	case MSG_UUID:
		print_uuid(f, *(const struct uuid *)at);
		break;
	case MSG_STRING:
	case MSG_BYTES:
	case MSG_RECORDS:
		print_blob(f, field, at);
		break;
	case MSG_STRUCT:
		codec_print(field->type, version, at, f);
		break;
	}
}

static void print_field(struct fmt *f, const struct msg_field *field, int16_t version, const uint8_t *at)
{
	const uint8_t *p;
	int32_t n;

	if (!(field->flags & (MSG_FIELD_ARRAY | MSG_FIELD_POINTER))) {
		print_one(f, field, version, at);
		return;
	}
	p = *(uint8_t *const *)at;
	if (field->flags & MSG_FIELD_POINTER) {
		if (p)
			print_one(f, field, version, p);
		else
			fmt_add(f, "null");
		return;
	}
	memcpy(&n, at + sizeof(void *), sizeof(n));
	if (n < 0) {
		fmt_add(f, "null");
		return;
	}
	fmt_add(f, "[");
	for (int32_t i = 0; i < n && !f->cut; i++, p += field->elem_size) {
		fmt_add(f, i ? ", " : "");
		print_one(f, field, version, p);
	}
	fmt_add(f, "]");
}

void codec_print(const struct msg_type *type, int16_t version, const void *obj, struct fmt *f)
{
	const struct tagged_fields *tags;
	const char *comma = "";

	fmt_add(f, "{");
	for (uint16_t i = 0; i < type->fields_n && !f->cut; i++) {
		const struct msg_field *field = &type->fields[i];

		if (version < field->version_first || version > field->version_last)
			continue;
		fmt_add(f, "%s%s=", comma, field->name);
		print_field(f, field, version, (const uint8_t *)obj + field->offset);
		comma = ", ";
	}
	if (type->tags_offset != MSG_NO_TAGS) {
		tags = (const struct tagged_fields *)((const uint8_t *)obj + type->tags_offset);
		for (int32_t i = 0; i < tags->n && !f->cut; i++) {
			fmt_add(f, "%stag%u=", comma, tags->p[i].tag);
			print_hex(f, tags->p[i].data);
			comma = ", ";
		}
	}
	fmt_add(f, "}");
}
