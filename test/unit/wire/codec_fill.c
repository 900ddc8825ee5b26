/* SPDX-License-Identifier: Apache-2.0 */
/* Random messages for the tests of the codec, made by walking the same tables. */
#include "codec_fill.h"

#include <stdio.h>

#include "registry.h"

#define UNKNOWN_TAG_FIRST 200

static void fill_struct(struct fill *f, const struct msg_type *type, int16_t version, uint8_t *obj);

static struct bytes fill_bytes(struct fill *f, bool text)
{
	size_t len = rng_chance(&f->rng, 1, 20) ? (size_t)rng_below(&f->rng, 300) : (size_t)rng_below(&f->rng, 12);
	uint8_t *p = arena_alloc(f->arena, len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = text ? (uint8_t)rng_between(&f->rng, 'a', 'z') : (uint8_t)rng_u64(&f->rng);
	return (struct bytes){p, len};
}

static void fill_one(struct fill *f, const struct msg_step *step, const struct msg_field *field, int16_t version,
		     uint8_t *at)
{
	bool is_null = step->flags & MSG_NULL && !(step->flags & MSG_ARRAY) && rng_chance(&f->rng, 1, 4);
	uint64_t v = rng_chance(&f->rng, 1, 4) ? 0 : rng_u64(&f->rng);
	struct bytes b;

	switch ((enum msg_kind)step->kind) {
	case MSG_BOOL:
		*(bool *)at = v & 1;
		break;
	case MSG_STRING:
	case MSG_BYTES:
		b = is_null ? BYTES_NULL : fill_bytes(f, step->kind == MSG_STRING);
		memcpy(at, &b, sizeof(b));
		break;
	case MSG_RECORDS:
		*(struct records *)at = is_null ? RECORDS_NULL : records_mem(fill_bytes(f, false));
		break;
	case MSG_STRUCT:
		fill_struct(f, field->type, version, at);
		break;
	case MSG_UUID:
		*(struct uuid *)at = (struct uuid){v, v ? rng_u64(&f->rng) : 0};
		break;
	case MSG_INT8:
	case MSG_INT16:
	case MSG_INT32:
	case MSG_INT64:
	case MSG_UINT16:
	case MSG_UINT32:
	case MSG_FLOAT64:
		memcpy(at, &v, field->elem_size);
		break;
	}
}

static void fill_step(struct fill *f, const struct msg_type *type, const struct msg_step *step, int16_t version,
		      uint8_t *obj)
{
	const struct msg_field *field = &type->fields[step->field];
	uint8_t *at = obj + step->offset, *p = NULL;
	int32_t n;

	if (step->flags & MSG_ARRAY) {
		n = (int32_t)rng_below(&f->rng, (uint64_t)f->elems_max + 1);
		if (step->flags & MSG_NULL && rng_chance(&f->rng, 1, 4))
			n = -1;
		if (n > 0)
			p = arena_alloc(f->arena, (size_t)n * field->elem_size);
		memcpy(at, &p, sizeof(p));
		memcpy(at + sizeof(p), &n, sizeof(n));
		for (int32_t i = 0; i < n; i++)
			fill_one(f, step, field, version, p + (size_t)i * field->elem_size);
	} else if (step->flags & MSG_POINTER) {
		if (!(step->flags & MSG_NULL) || rng_chance(&f->rng, 1, 2)) {
			p = arena_alloc(f->arena, field->type->size);
			fill_struct(f, field->type, version, p);
		}
		memcpy(at, &p, sizeof(p));
	} else {
		fill_one(f, step, field, version, at);
	}
}

static void fill_struct(struct fill *f, const struct msg_type *type, int16_t version, uint8_t *obj)
{
	const struct msg_layout *layout = &type->layouts[type->layout_of[version - type->version_min]];
	struct tagged_fields tags = {NULL, 0};

	msg_init(type, obj);
	for (uint16_t i = 0; i < layout->steps_n; i++)
		fill_step(f, type, &type->steps[layout->steps_at + i], version, obj);
	for (uint16_t i = 0; i < layout->tags_n; i++)
		if (rng_chance(&f->rng, 1, 2))
			fill_step(f, type, &type->steps[layout->tags_at + i], version, obj);
	if (!f->tags || !layout->flexible || rng_chance(&f->rng, 1, 2))
		return;
	tags.n = (int32_t)rng_between(&f->rng, 1, 3);
	tags.p = ARENA_NEW_N(f->arena, struct tagged_field, tags.n);
	for (int32_t i = 0; i < tags.n; i++)
		tags.p[i] = (struct tagged_field){(uint32_t)(UNKNOWN_TAG_FIRST * (i + 1)), fill_bytes(f, false)};
	memcpy(obj + type->tags_offset, &tags, sizeof(tags));
}

void fill_message(struct fill *f, const struct msg_type *type, int16_t version, void *obj)
{
	fill_struct(f, type, version, obj);
}

const struct msg_type *fill_type_find(struct str name)
{
	for (size_t i = 0; i < msg_type_rows_n; i++)
		if (str_eq_c(name, msg_type_rows[i]->name))
			return msg_type_rows[i];
	return NULL;
}
