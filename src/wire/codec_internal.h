/* SPDX-License-Identifier: Apache-2.0 */
/* What codec.c and print.c share. */
#ifndef WIRE_CODEC_INTERNAL_H
#define WIRE_CODEC_INTERNAL_H

#include "codec.h"

/* The same value in two objects: `a` and `b` point at the field. */
bool codec_field_equal(const struct msg_field *field, const void *a, const void *b);

#endif
