/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reading half of the codec, over the generated tables, and defaults. No state outlives a call.
 *
 * 1. What decode allocates is bounded by the input: an array has no more elements than fit into the bytes left.
 * 2. Every read is within the input: all bytes come through prim_take() or prim_uvarint().
 */
#include "codec.h"

#include "check.h"
#include "codec_internal.h"
#include "prim.h"

const uint8_t codec_kind_len[] = {
	[MSG_BOOL] = 1,   [MSG_INT8] = 1,   [MSG_INT16] = 2,   [MSG_INT32] = 4, [MSG_INT64] = 8,
	[MSG_UINT16] = 2, [MSG_UINT32] = 4, [MSG_FLOAT64] = 8, [MSG_UUID] = 16,
};

void msg_init(const struct msg_type *type, void *obj)
{
	memcpy(obj, type->defaults, type->size);
}

void *msg_new_n(struct arena *arena, const struct msg_type *type, int64_t n)
{
	uint8_t *p;

	if (n <= 0)
		return NULL;
	CHECK_OP(n, <=, INT32_MAX);
	p = arena_alloc_raw(arena, (size_t)n * type->size);
	for (int64_t i = 0; i < n; i++)
		msg_init(type, p + i * type->size);
	return p;
}

static void decode_struct(struct prim_reader *r, const struct msg_type *type, int16_t version, uint8_t *obj);

static int64_t decode_len(struct prim_reader *r, uint8_t flags, bool is_short)
{
	if (flags & MSG_COMPACT)
		return (int64_t)prim_uvarint(r) - 1;
	return is_short ? (int16_t)prim_u16(r) : (int32_t)prim_u32(r);
}

/* Strings, bytes, records: a view of the input. A length below zero is null, as in Kafka. */
static void decode_blob(struct prim_reader *r, uint8_t kind, uint8_t flags, void *at)
{
	int64_t len = decode_len(r, flags, kind == MSG_STRING);
	struct bytes view = BYTES_NULL;

	if (len < 0) {
		if (!(flags & MSG_NULL))
			prim_fail(r, ERR_DECODE, "null is not allowed");
	} else if (kind == MSG_STRING && len > INT16_MAX) {
		prim_fail(r, ERR_DECODE, "a string of %lld bytes", (long long)len);
	} else {
		view.p = prim_take(r, (size_t)len);
		view.len = view.p ? (size_t)len : 0;
	}
	if (kind == MSG_RECORDS)
		*(struct records *)at = records_mem(view);
	else
		memcpy(at, &view, sizeof(view)); /* struct str has the same shape */
}

static void decode_uuid(struct prim_reader *r, void *at)
{
	const uint8_t *p = prim_take(r, 16);

	*(struct uuid *)at = p ? (struct uuid){load_be64(p), load_be64(p + 8)} : UUID_ZERO;
}

static inline void decode_one(struct prim_reader *r, uint8_t kind, uint8_t flags, const struct msg_type *type,
			      int16_t version, void *at)
{
	switch ((enum msg_kind)kind) {
	case MSG_BOOL:
		*(bool *)at = prim_u8(r) != 0;
		break;
	case MSG_INT8:
		*(uint8_t *)at = prim_u8(r);
		break;
	case MSG_INT16:
	case MSG_UINT16:
		*(uint16_t *)at = prim_u16(r);
		break;
	case MSG_INT32:
	case MSG_UINT32:
		*(uint32_t *)at = prim_u32(r);
		break;
	case MSG_INT64:
	case MSG_FLOAT64:
		*(uint64_t *)at = prim_u64(r);
		break;
	case MSG_UUID:
		decode_uuid(r, at);
		break;
	case MSG_STRING:
	case MSG_BYTES:
	case MSG_RECORDS:
		decode_blob(r, kind, flags, at);
		break;
	case MSG_STRUCT:
		decode_struct(r, type, version, at);
		break;
	}
}

static size_t elem_len_min(const struct msg_field *field, uint8_t flags, int16_t version)
{
	switch ((enum msg_kind)field->kind) {
	case MSG_STRING:
		return flags & MSG_COMPACT ? 1 : 2;
	case MSG_BYTES:
	case MSG_RECORDS:
		return flags & MSG_COMPACT ? 1 : 4;
	case MSG_STRUCT:
		return MAX((size_t)codec_layout_of(field->type, version)->len_min, (size_t)1);
	case MSG_BOOL:
	case MSG_INT8:
	case MSG_INT16:
	case MSG_INT32:
	case MSG_INT64:
	case MSG_UINT16:
	case MSG_UINT32:
	case MSG_FLOAT64:
	case MSG_UUID:
		break;
	}
	return codec_kind_len[field->kind];
}

/* Zeroed memory for `n` things that the input announced, or NULL with an error. */
static void *decode_alloc(struct prim_reader *r, size_t n, size_t size)
{
	size_t len;
	void *p = NULL;

	if (!__builtin_mul_overflow(n, size, &len) && len <= r->mem_left)
		p = arena_try_alloc_n(r->arena, n, size);
	if (!p)
		prim_fail(r, ERR_TOO_LARGE, "%zu elements are over the limit of memory", n);
	else
		r->mem_left -= len;
	return p;
}

/* Replicas, in-sync sets, partitions: by far the most frequent arrays. */
static void decode_int32s(struct prim_reader *r, int32_t n, uint32_t *ret)
{
	const uint8_t *p = prim_take(r, (size_t)n * 4);

	for (int32_t i = 0; p && i < n; i++)
		ret[i] = load_be32(p + (size_t)i * 4);
}

static void decode_array(struct prim_reader *r, const struct msg_step *step, const struct msg_field *field,
			 int16_t version, struct prim_path *path, struct codec_array *ret)
{
	int64_t n = decode_len(r, step->flags, false);
	uint8_t *at;

	ret->p = NULL;
	ret->n = n < 0 ? -1 : 0;
	if (n < 0 && !(step->flags & MSG_NULL))
		prim_fail(r, ERR_DECODE, "null is not allowed");
	if (n <= 0)
		return;
	if ((uint64_t)n > prim_left(r) / elem_len_min(field, step->flags, version)) {
		prim_fail(r, ERR_DECODE, "%lld elements, %zu bytes left", (long long)n, prim_left(r));
		return;
	}
	at = decode_alloc(r, (size_t)n, field->elem_size);
	if (!at)
		return;
	ret->p = at;
	ret->n = (int32_t)n;
	if (field->kind == MSG_INT32) {
		decode_int32s(r, ret->n, (uint32_t *)(void *)at);
		return;
	}
	for (int32_t i = 0; i < n && likely(r->fault.err == ERR_NONE); i++, at += field->elem_size) {
		path->index = i;
		decode_one(r, field->kind, step->flags, field->type, version, at);
	}
}

/* A struct that may be null: an int8 says which, behind a tag an unsigned varint. */
static void decode_pointer(struct prim_reader *r, const struct msg_step *step, const struct msg_type *type,
			   int16_t version, void **ret)
{
	bool present = true;

	*ret = NULL;
	if (step->flags & MSG_NULL)
		present = step->flags & MSG_TAGGED ? prim_uvarint(r) != 0 : (int8_t)prim_u8(r) >= 0;
	if (!present || r->fault.err != ERR_NONE)
		return;
	*ret = decode_alloc(r, 1, type->size);
	if (*ret)
		decode_struct(r, type, version, *ret);
}

static inline void decode_step(struct prim_reader *r, const struct msg_type *type, const struct msg_step *step,
			       int16_t version, struct prim_path *path, uint8_t *obj)
{
	const struct msg_field *field = &type->fields[step->field];
	uint8_t *at = obj + step->offset;

	path->field = step->field;
	path->index = -1;
	if (step->flags & MSG_ARRAY)
		decode_array(r, step, field, version, path, codec_array_at(at));
	else if (step->flags & MSG_POINTER)
		decode_pointer(r, step, field->type, version, (void **)at);
	else
		decode_one(r, step->kind, step->flags, field->type, version, at);
}

static void decode_unknown_tag(struct prim_reader *r, const struct msg_type *type, uint32_t tag, size_t len,
			       uint32_t tags_left, uint8_t *obj)
{
	struct tagged_fields *unknown = (struct tagged_fields *)(obj + type->tags_offset);

	if (unknown->n == 0) {
		unknown->p = decode_alloc(r, tags_left, sizeof(*unknown->p));
		if (!unknown->p)
			return;
	}
	unknown->p[unknown->n++] = (struct tagged_field){tag, {r->p, len}};
	r->p += len;
}

/*
 * Every value must fill exactly the bytes that its tag announces. Differs from Kafka, which believes the value and
 * then reads the rest of the message from the wrong place: no correct sender does that.
 */
static void decode_tags(struct prim_reader *r, const struct msg_type *type, const struct msg_layout *layout,
			int16_t version, struct prim_path *path, uint8_t *obj)
{
	const struct msg_step *steps = type->steps + layout->tags_at;
	uint32_t n = prim_uvarint(r);

	if (likely(n == 0))
		return;
	path->field = -1;
	path->index = -1;
	if (n > prim_left(r) / 2) {
		prim_fail(r, ERR_DECODE, "%u tags, %zu bytes left", n, prim_left(r));
		return;
	}
	for (; n > 0 && r->fault.err == ERR_NONE; n--) {
		const struct msg_step *step = NULL;
		const uint8_t *end = r->end;
		uint32_t tag = prim_uvarint(r), len = prim_uvarint(r);

		for (uint16_t i = 0; i < layout->tags_n && !step; i++)
			step = steps[i].tag == tag ? &steps[i] : NULL;
		path->field = step ? step->field : -1;
		if (len > prim_left(r)) {
			prim_fail(r, ERR_DECODE, "tag %u of %u bytes, %zu bytes left", tag, len, prim_left(r));
			return;
		}
		if (!step) {
			decode_unknown_tag(r, type, tag, len, n, obj);
			continue;
		}
		r->end = r->p + len;
		decode_step(r, type, step, version, path, obj);
		if (r->p != r->end)
			prim_fail(r, ERR_DECODE, "tag %u has %zu bytes too many", tag, prim_left(r));
		r->end = end;
		if (r->fault.err != ERR_NONE)
			r->p = end;
	}
}

static void decode_struct(struct prim_reader *r, const struct msg_type *type, int16_t version, uint8_t *obj)
{
	const struct msg_layout *layout = codec_layout_of(type, version);
	const struct msg_step *step = type->steps + layout->steps_at, *end = step + layout->steps_n;
	struct prim_path path = {.up = r->fault.path, .type = type, .field = -1, .index = -1};

	r->fault.path = &path;
	msg_init(type, obj);
	for (; step < end; step++)
		decode_step(r, type, step, version, &path, obj);
	if (layout->flexible)
		decode_tags(r, type, layout, version, &path, obj);
	r->fault.path = path.up;
}

enum err codec_version_missing(const struct msg_type *type, int16_t version, struct err_text *text)
{
	return err_text_set(text, ERR_UNSUPPORTED_VERSION, "%s has versions %d to %d, not %d", type->name,
			    type->version_min, type->version_max, version);
}

enum err codec_decode(const struct msg_type *type, int16_t version, struct bytes in, struct arena *arena, void *ret,
		      size_t *ret_used, struct err_text *text)
{
	const uint8_t *p = in.p ? in.p : (const uint8_t *)"";
	size_t limit = arena->limit ? arena->limit : ARENA_LIMIT_DEFAULT;
	struct prim_reader r = {.p = p,
				.end = p + in.len,
				.arena = arena,
				.mem_left = MAX(limit / CODEC_DECODE_PART, CODEC_DECODE_MIN),
				.fault = {.text = text}};

	if (!msg_has_version(type, version)) {
		msg_init(type, ret);
		return codec_version_missing(type, version, text);
	}
	decode_struct(&r, type, version, ret);
	if (r.fault.err != ERR_NONE) {
		msg_init(type, ret);
		return r.fault.err;
	}
	if (ret_used)
		*ret_used = (size_t)(r.p - p);
	return ERR_NONE;
}
