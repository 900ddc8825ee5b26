/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of coordinators' records: the key is an int16 type and a message, the value an int16 version and a message.
 * What lies in the log is untrusted: types and versions of the future are told apart from damage.
 */
#ifndef COORDINATOR_COORD_RECORD_H
#define COORDINATOR_COORD_RECORD_H

#include "codec.h"
#include "coord_shard.h"
#include "registry.h"

struct coord_key {
	const struct msg_record *row; /* its type: row->number */
	struct bytes message;
};

/* ERR_NOT_SUPPORTED: a type that this build does not know, to be skipped. ERR_DECODE: too short. */
enum err coord_key_parse(enum msg_family family, struct bytes key, struct coord_key *ret) MUST_USE;
/* The key's message into ret (of row->key->size bytes). */
enum err coord_key_decode(const struct coord_key *key, struct arena *arena, void *ret,
			  struct err_text *text) MUST_USE;
/* The value's message into ret (of row->value->size bytes). ERR_DECODE also for an unknown version. */
enum err coord_value_decode(const struct msg_record *row, struct bytes value, struct arena *arena, void *ret,
			    struct err_text *text) MUST_USE;

/* Encodes in the arena. The object must be one that the version can carry: anything else is a programmer error. */
struct bytes coord_key_encode(enum msg_family family, int16_t type, const void *obj, struct arena *arena);
struct bytes coord_value_encode(enum msg_family family, int16_t type, int16_t version, const void *obj,
				struct arena *arena);
/* Both, appended; value NULL writes a deletion. */
void coord_records_encode(struct coord_records *records, enum msg_family family, int16_t type, int16_t version,
			  const void *key, const void *value);

#endif
