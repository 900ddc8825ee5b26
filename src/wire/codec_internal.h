/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the codec share. */
#ifndef WIRE_CODEC_INTERNAL_H
#define WIRE_CODEC_INTERNAL_H

#include "codec.h"

/* An array's count lies right behind its pointer. */
struct codec_array {
	void *p;
	int32_t n;
};

/* Bytes of a value of this kind, on the wire; only for kinds before MSG_STRING. */
extern const uint8_t codec_kind_len[];

static inline const struct msg_layout *codec_layout_of(const struct msg_type *type, int16_t version)
{
	return &type->layouts[type->layout_of[version - type->version_min]];
}

static inline struct codec_array *codec_array_at(const void *at)
{
	return (struct codec_array *)(uintptr_t)at;
}

/* Says which versions there are; returns ERR_UNSUPPORTED_VERSION. */
enum err codec_version_missing(const struct msg_type *type, int16_t version, struct err_text *text);

/* The same value in two objects: `a` and `b` point at the field. */
bool codec_field_equal(const struct msg_field *field, const void *a, const void *b);

#endif
