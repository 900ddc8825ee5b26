/* SPDX-License-Identifier: Apache-2.0 */
/* Random messages for the tests of the codec, made by walking the same tables. */
#ifndef TEST_CODEC_FILL_H
#define TEST_CODEC_FILL_H

#include "codec.h"
#include "rng.h"

struct fill {
	struct rng rng;
	struct arena *arena;
	int32_t elems_max; /* of an array */
	bool tags;         /* add tags that nobody knows */
};

/* Fills what `version` can carry; everything else keeps its default. */
void fill_message(struct fill *f, const struct msg_type *type, int16_t version, void *obj);

/* The type with this name, or NULL. */
const struct msg_type *fill_type_find(struct str name);

#endif
