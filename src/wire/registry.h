/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which message belongs to which number: requests and responses by API key, stored records by family and type. The
 * rows are generated from schema/.
 */
#ifndef WIRE_REGISTRY_H
#define WIRE_REGISTRY_H

#include "codec.h"
#include "msg/api_keys.h"

struct api {
	int16_t key;
	const char *name;                /* "ListOffsets" */
	const struct msg_type *request;  /* NULL: removed, no version is left */
	const struct msg_type *response; /* of the same versions */
	int16_t version_min;
	int16_t version_max;    /* below version_min when removed */
	int16_t version_stable; /* the highest that is answered unless unstable versions are allowed */
	int16_t advertised_min; /* what ApiVersions says; below version_min where old clients need it */
	int16_t flexible_min;   /* the first flexible version; INT16_MAX: none */
	bool on_broker;         /* listeners that take it */
	bool on_controller;
	bool forwarded;      /* a broker passes it on to the active controller */
	bool cluster_action; /* between nodes: wants that permission */
};

/* By key; a key without a row has no name. */
extern const struct api api_rows[API_KEY_MAX + 1];

/* NULL for a number that Kafka never used; a removed API is found, but no version of it is valid. */
const struct api *api_find(int16_t key);
/* "Fetch", or "unknown". */
const char *api_name(int16_t key);

static inline bool api_has_version(const struct api *api, int16_t version)
{
	return api && version >= api->version_min && version <= api->version_max;
}

/* Families of stored records: the logs they lie in, or what tells their numbers apart. */
enum msg_family {
	MSG_FAMILY_METADATA,   /* __cluster_metadata */
	MSG_FAMILY_GROUP,      /* __consumer_offsets */
	MSG_FAMILY_TXN,        /* __transaction_state */
	MSG_FAMILY_SHARE,      /* __share_group_state */
	MSG_FAMILY_CONTROL,    /* control batches of Raft */
	MSG_FAMILY_REMOTE_LOG, /* __remote_log_metadata */
};

struct msg_record {
	enum msg_family family;
	int16_t number;      /* record type, key version, or control type */
	const char *name;    /* "PartitionRecord" */
	const struct msg_type *key; /* NULL where only the value has a schema */
	const struct msg_type *value;
};

extern const struct msg_record msg_record_rows[];
extern const size_t msg_record_rows_n;
/* NULL when unknown. */
const struct msg_record *msg_record_find(enum msg_family family, int32_t number);

/* Every message there is (without nested structs), for tests and tools. */
extern const struct msg_type *const msg_type_rows[];
extern const size_t msg_type_rows_n;

#endif
