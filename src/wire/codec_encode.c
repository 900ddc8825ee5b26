/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writing half of the codec. Sizing goes first and makes all the checks; writing then cannot fail and fills a
 * buffer of exactly that size. No state outlives a call.
 *
 * 1. size_*() and write_*() agree byte for byte on every object (prim_writer_done checks it each time).
 */
#include "codec.h"

#include "codec_internal.h"
#include "prim.h"

struct sizer {
	struct prim_fault fault;
	bool flat;       /* everything is copied */
	size_t pass_len; /* bytes that are passed as pieces of their own */
	int32_t pass_n;  /* such pieces */
};

struct encoder {
	struct prim_writer w;
	bool flat;
	uint8_t *begin; /* of the piece that is being written */
	struct piece *pieces;
	int32_t pieces_n;
};

/*
 * Sizing, with all checks of what may be written.
 */

static size_t size_struct(struct sizer *s, const struct msg_type *type, int16_t version, const uint8_t *obj);

static bool records_pass(const struct records *records, bool flat)
{
	if (records->piece.len == 0 || records->is_null)
		return false;
	if (flat)
		CHECK(records->piece.file == PIECE_NO_FILE);
	return !flat && (records->piece.file != PIECE_NO_FILE || records->piece.len >= CODEC_PASS_MIN);
}

static size_t size_blob(struct sizer *s, const struct msg_step *step, const struct msg_field *field, const void *at)
{
	struct bytes view = *(const struct bytes *)at;
	bool is_null = !view.p;

	if (step->kind == MSG_RECORDS) {
		const struct records *records = at;

		is_null = records->is_null;
		view.len = records->piece.len;
		if (records_pass(records, s->flat)) {
			s->pass_len += view.len;
			s->pass_n++;
		}
	}
	if (is_null) {
		view.len = 0;
		if (!(step->flags & MSG_NULL) && field->flags & MSG_FIELD_NULL)
			prim_fault_set(&s->fault, ERR_UNSUPPORTED_VERSION, "null is not allowed in this version");
	}
	if (view.len > (step->kind == MSG_STRING ? INT16_MAX : INT32_MAX))
		prim_fault_set(&s->fault, ERR_TOO_LARGE, "%zu bytes are too long", view.len);
	if (step->flags & MSG_COMPACT)
		return view.len + (is_null ? 1 : prim_uvarint_len((uint32_t)view.len + 1));
	return view.len + (step->kind == MSG_STRING ? 2 : 4);
}

static size_t size_one(struct sizer *s, const struct msg_step *step, const struct msg_field *field, int16_t version,
		       const void *at)
{
	if (step->kind < MSG_STRING)
		return codec_kind_len[step->kind];
	if (step->kind == MSG_STRUCT)
		return size_struct(s, field->type, version, at);
	return size_blob(s, step, field, at);
}

static size_t size_array(struct sizer *s, const struct msg_step *step, const struct msg_field *field,
			 int16_t version, struct prim_path *path, const struct codec_array *array)
{
	const uint8_t *at = array->p;
	size_t len = 4;

	if (array->n < 0 && !(step->flags & MSG_NULL))
		prim_fault_set(&s->fault, ERR_UNSUPPORTED_VERSION, "null is not allowed in this version");
	if (step->flags & MSG_COMPACT)
		len = array->n < 0 ? 1 : prim_uvarint_len((uint32_t)array->n + 1);
	if (array->n <= 0)
		return len;
	if (step->kind < MSG_STRING)
		return len + (size_t)array->n * codec_kind_len[step->kind];
	for (int32_t i = 0; i < array->n; i++, at += field->elem_size) {
		path->index = i;
		len += size_one(s, step, field, version, at);
	}
	return len;
}

static size_t size_pointer(struct sizer *s, const struct msg_step *step, const struct msg_field *field,
			   int16_t version, const uint8_t *obj)
{
	size_t presence = step->flags & MSG_NULL ? 1 : 0;

	if (obj)
		return presence + size_struct(s, field->type, version, obj);
	if (!presence)
		prim_fault_set(&s->fault, ERR_UNSUPPORTED_VERSION, "null is not allowed in this version");
	return presence;
}

static size_t size_step(struct sizer *s, const struct msg_type *type, const struct msg_step *step, int16_t version,
			struct prim_path *path, const uint8_t *obj)
{
	const struct msg_field *field = &type->fields[step->field];
	const uint8_t *at = obj + step->offset;

	path->field = step->field;
	path->index = -1;
	if (step->flags & MSG_ARRAY)
		return size_array(s, step, field, version, path, codec_array_at(at));
	if (step->flags & MSG_POINTER)
		return size_pointer(s, step, field, version, *(uint8_t *const *)at);
	return size_one(s, step, field, version, at);
}

static const struct tagged_fields *unknown_tags(const struct msg_type *type, const uint8_t *obj)
{
	static const struct tagged_fields none;

	return type->tags_offset == MSG_NO_TAGS ? &none : (const struct tagged_fields *)(obj + type->tags_offset);
}

static bool step_is_default(const struct msg_type *type, const struct msg_step *step, const uint8_t *obj)
{
	return codec_field_equal(&type->fields[step->field], obj + step->offset,
				 (const uint8_t *)type->defaults + step->offset);
}

static size_t size_tags(struct sizer *s, const struct msg_type *type, const struct msg_layout *layout,
			int16_t version, struct prim_path *path, const uint8_t *obj)
{
	const struct tagged_fields *unknown = unknown_tags(type, obj);
	const struct msg_step *steps = type->steps + layout->tags_at;
	uint32_t n = 0;
	size_t len = 0;

	for (uint16_t i = 0; i < layout->tags_n; i++) {
		if (!step_is_default(type, &steps[i], obj)) {
			size_t value_len = size_step(s, type, &steps[i], version, path, obj);

			len += prim_uvarint_len(steps[i].tag) + prim_uvarint_len((uint32_t)value_len) + value_len;
			n++;
		}
	}
	for (int32_t i = 0; i < unknown->n; i++) {
		const struct tagged_field *field = &unknown->p[i];

		len += prim_uvarint_len(field->tag) + prim_uvarint_len((uint32_t)field->data.len) + field->data.len;
		n++;
	}
	return len + prim_uvarint_len(n);
}

static size_t size_struct(struct sizer *s, const struct msg_type *type, int16_t version, const uint8_t *obj)
{
	const struct msg_layout *layout = codec_layout_of(type, version);
	const struct msg_step *step = type->steps + layout->vars_at, *end = step + layout->vars_n;
	struct prim_path path = {.up = s->fault.path, .type = type, .field = -1, .index = -1};
	size_t len = layout->fixed_len;

	s->fault.path = &path;
	for (; step < end; step++)
		len += size_step(s, type, step, version, &path, obj);
	if (layout->flexible)
		len += size_tags(s, type, layout, version, &path, obj);
	else if (unknown_tags(type, obj)->n > 0)
		prim_fault_set(&s->fault, ERR_UNSUPPORTED_VERSION, "tagged fields in version %d", version);
	step = type->steps + layout->lacks_at;
	for (end = step + layout->lacks_n; step < end; step++) {
		if (likely(step_is_default(type, step, obj)))
			continue;
		path.field = step->field;
		path.index = -1;
		prim_fault_set(&s->fault, ERR_UNSUPPORTED_VERSION, "cannot be said in version %d", version);
	}
	s->fault.path = path.up;
	return len;
}

size_t codec_size(const struct msg_type *type, int16_t version, const void *obj)
{
	struct sizer s = {.flat = false};
	size_t len;

	if (!msg_has_version(type, version))
		return CODEC_SIZE_BAD;
	len = size_struct(&s, type, version, obj);
	return s.fault.err == ERR_NONE ? len : CODEC_SIZE_BAD;
}

/*
 * Writing what was sized.
 */

static void write_struct(struct encoder *e, const struct msg_type *type, int16_t version, const uint8_t *obj);

/* Ends the piece that is being written at the writer's place, if it has bytes. */
static void encoder_cut(struct encoder *e)
{
	if (e->w.p > e->begin)
		e->pieces[e->pieces_n++] =
			(struct piece){.mem = e->begin, .file = PIECE_NO_FILE, .len = (size_t)(e->w.p - e->begin)};
	e->begin = e->w.p;
}

static void write_blob(struct encoder *e, const struct msg_step *step, const void *at)
{
	struct bytes view = *(const struct bytes *)at;
	bool is_null = !view.p && step->flags & MSG_NULL, pass = false;

	if (step->kind == MSG_RECORDS) {
		const struct records *records = at;

		is_null = records->is_null;
		view = (struct bytes){records->piece.mem, records->piece.len};
		pass = records_pass(records, e->flat);
		if (pass)
			view.p = NULL;
	}
	if (is_null)
		view.len = 0;
	if (step->flags & MSG_COMPACT)
		prim_put_uvarint(&e->w, is_null ? 0 : (uint32_t)view.len + 1);
	else if (step->kind == MSG_STRING)
		prim_put_u16(&e->w, is_null ? UINT16_MAX : (uint16_t)view.len);
	else
		prim_put_u32(&e->w, is_null ? UINT32_MAX : (uint32_t)view.len);
	if (pass) {
		encoder_cut(e);
		e->pieces[e->pieces_n++] = ((const struct records *)at)->piece;
	} else {
		prim_put_raw(&e->w, view.p, view.len);
	}
}

static inline void write_one(struct encoder *e, const struct msg_step *step, const struct msg_type *type,
			     int16_t version, const void *at)
{
	switch ((enum msg_kind)step->kind) {
	case MSG_BOOL:
		prim_put_u8(&e->w, *(const bool *)at ? 1 : 0);
		break;
	case MSG_INT8:
		prim_put_u8(&e->w, *(const uint8_t *)at);
		break;
	case MSG_INT16:
	case MSG_UINT16:
		prim_put_u16(&e->w, *(const uint16_t *)at);
		break;
	case MSG_INT32:
	case MSG_UINT32:
		prim_put_u32(&e->w, *(const uint32_t *)at);
		break;
	case MSG_INT64:
	case MSG_FLOAT64:
		prim_put_u64(&e->w, *(const uint64_t *)at);
		break;
	case MSG_UUID:
		prim_put_u64(&e->w, ((const struct uuid *)at)->hi);
		prim_put_u64(&e->w, ((const struct uuid *)at)->lo);
		break;
	case MSG_STRING:
	case MSG_BYTES:
	case MSG_RECORDS:
		write_blob(e, step, at);
		break;
	case MSG_STRUCT:
		write_struct(e, type, version, at);
		break;
	}
}

static void write_array(struct encoder *e, const struct msg_step *step, const struct msg_field *field,
			int16_t version, const struct codec_array *array)
{
	const uint8_t *at = array->p;

	if (step->flags & MSG_COMPACT)
		prim_put_uvarint(&e->w, array->n < 0 ? 0 : (uint32_t)array->n + 1);
	else
		prim_put_u32(&e->w, array->n < 0 ? UINT32_MAX : (uint32_t)array->n);
	if (step->kind == MSG_INT32) {
		for (int32_t i = 0; i < array->n; i++)
			prim_put_u32(&e->w, ((const uint32_t *)(const void *)at)[i]);
		return;
	}
	for (int32_t i = 0; i < array->n; i++, at += field->elem_size)
		write_one(e, step, field->type, version, at);
}

static inline void write_step(struct encoder *e, const struct msg_type *type, const struct msg_step *step,
			      int16_t version, const uint8_t *obj)
{
	const struct msg_field *field = &type->fields[step->field];
	const uint8_t *at = obj + step->offset;

	if (step->flags & MSG_ARRAY) {
		write_array(e, step, field, version, codec_array_at(at));
	} else if (step->flags & MSG_POINTER) {
		const uint8_t *inner = *(uint8_t *const *)at;

		if (step->flags & MSG_NULL)
			prim_put_u8(&e->w, inner ? 1 : step->flags & MSG_TAGGED ? 0 : 0xff);
		if (inner)
			write_struct(e, field->type, version, inner);
	} else {
		write_one(e, step, field->type, version, at);
	}
}

static void write_unknown(struct encoder *e, const struct tagged_field *field)
{
	prim_put_uvarint(&e->w, field->tag);
	prim_put_uvarint(&e->w, (uint32_t)field->data.len);
	prim_put_raw(&e->w, field->data.p, field->data.len);
}

/* Known and unknown tags in one ascending order. */
static void write_tags(struct encoder *e, const struct msg_type *type, const struct msg_layout *layout,
		       int16_t version, const uint8_t *obj)
{
	const struct tagged_fields *unknown = unknown_tags(type, obj);
	const struct msg_step *steps = type->steps + layout->tags_at;
	struct prim_path path = {.type = type};
	uint32_t n = (uint32_t)unknown->n;
	uint64_t present = 0;
	int32_t next = 0;

	CHECK(layout->tags_n <= 64);
	for (uint16_t i = 0; i < layout->tags_n; i++)
		if (!step_is_default(type, &steps[i], obj)) {
			present |= UINT64_C(1) << i;
			n++;
		}
	prim_put_uvarint(&e->w, n);
	for (uint16_t i = 0; present >> i; i++) {
		struct sizer s = {.flat = true};

		if (!(present >> i & 1))
			continue;
		for (; next < unknown->n && unknown->p[next].tag < steps[i].tag; next++)
			write_unknown(e, &unknown->p[next]);
		prim_put_uvarint(&e->w, steps[i].tag);
		prim_put_uvarint(&e->w, (uint32_t)size_step(&s, type, &steps[i], version, &path, obj));
		write_step(e, type, &steps[i], version, obj);
	}
	for (; next < unknown->n; next++)
		write_unknown(e, &unknown->p[next]);
}

static void write_struct(struct encoder *e, const struct msg_type *type, int16_t version, const uint8_t *obj)
{
	const struct msg_layout *layout = codec_layout_of(type, version);
	const struct msg_step *step = type->steps + layout->steps_at, *end = step + layout->steps_n;

	for (; step < end; step++)
		write_step(e, type, step, version, obj);
	if (layout->flexible)
		write_tags(e, type, layout, version, obj);
}

static enum err encode(const struct msg_type *type, int16_t version, const void *obj, bool flat,
		       struct codec_out *out)
{
	struct sizer s = {.fault = {.text = out->text}, .flat = flat};
	struct encoder e = {.flat = flat};
	size_t len;

	if (!msg_has_version(type, version))
		return codec_version_missing(type, version, out->text);
	len = size_struct(&s, type, version, obj);
	if (s.fault.err != ERR_NONE)
		return s.fault.err;
	if (len + out->head_len > INT32_MAX)
		return err_text_set(out->text, ERR_TOO_LARGE, "%s of %zu bytes", type->name, len);
	out->head = arena_alloc_raw(out->arena, MAX(len - s.pass_len + out->head_len, (size_t)1));
	e.pieces = arena_alloc_raw(out->arena, (size_t)(2 * s.pass_n + 1) * sizeof(*e.pieces));
	e.begin = out->head;
	e.w = (struct prim_writer){out->head + out->head_len, out->head + out->head_len + len - s.pass_len};
	write_struct(&e, type, version, obj);
	prim_writer_done(&e.w);
	encoder_cut(&e);
	out->pieces = e.pieces;
	out->pieces_n = e.pieces_n;
	out->len = len + out->head_len;
	return ERR_NONE;
}

enum err codec_encode(const struct msg_type *type, int16_t version, const void *obj, struct codec_out *out)
{
	return encode(type, version, obj, false, out);
}

enum err codec_encode_copied(const struct msg_type *type, int16_t version, const void *obj, struct codec_out *out)
{
	return encode(type, version, obj, true, out);
}

enum err codec_encode_flat(const struct msg_type *type, int16_t version, const void *obj, struct arena *arena,
			   struct bytes *ret, struct err_text *text)
{
	struct codec_out out = {.arena = arena, .text = text};
	enum err err = encode(type, version, obj, true, &out);

	if (err == ERR_NONE)
		*ret = (struct bytes){out.head, out.len};
	return err;
}
