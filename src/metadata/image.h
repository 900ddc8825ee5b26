/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata image: everything the cluster has agreed on, as of one offset of __cluster_metadata. Immutable; a new
 * image shares what did not change with the one before (persistent maps), so a change costs what it changes. Images
 * are built and freed on the controller's reactor only; other reactors read them between the message that brings one
 * and the message that hands it back.
 *
 * 1. An image never changes after image_edit_finish.
 * 2. The image is a function of the records below `offset`: replaying a snapshot plus the log from there gives an equal
 *    image (image_equal), for every record type of Kafka 4.3, honoured by this build or not.
 * 3. replay.c is the only writer.
 * 4. Views handed out live as long as the image.
 */
#ifndef METADATA_IMAGE_H
#define METADATA_IMAGE_H

#include "arena.h"
#include "err.h"
#include "fmt.h"
#include "uuid.h"

#define LEADER_NONE (-1)

struct partition_image {
	int32_t leader; /* LEADER_NONE */
	int32_t leader_epoch;
	int32_t partition_epoch;
	int8_t leader_recovery_state;
	int32_t replicas_n, isr_n, removing_n, adding_n, elr_n, last_known_elr_n, directories_n;
	const int32_t *replicas, *isr, *removing, *adding, *elr, *last_known_elr;
	const struct uuid *directories; /* per replica */
};

struct topic_image {
	struct uuid id;
	struct str name;
	int32_t partitions_n; /* indexes are 0..n-1 once created; a hole has replicas_n 0 */
};

struct endpoint_image {
	struct str name; /* listener */
	struct str host;
	uint16_t port;
	int16_t security_protocol;
};

struct feature_range {
	struct str name;
	int16_t min, max;
};

struct broker_image {
	int32_t id;
	int64_t epoch;
	struct uuid incarnation;
	struct str rack; /* null: none */
	bool fenced;
	bool in_controlled_shutdown;
	int32_t endpoints_n, features_n, log_dirs_n, cordoned_n;
	const struct endpoint_image *endpoints;
	const struct feature_range *features;
	const struct uuid *log_dirs;
	const struct uuid *cordoned;
};

/* One part of who a quota is for; parts stand in the order of their types. */
struct quota_part {
	struct str type; /* "user", "client-id", "ip" */
	struct str name; /* null: the default of the type */
};

struct quota_value {
	struct str key; /* "producer_byte_rate", ... */
	double value;
};

/* The quotas of one entity; values in the order of their keys, at least one. */
struct quota_image {
	int32_t parts_n, values_n;
	const struct quota_part *parts;
	const struct quota_value *values;
};

struct image {
	int64_t offset; /* records below this are in it */
	int32_t epoch;  /* of the last of them */
	int64_t timestamp_ms;
	int32_t topics_n;
	int64_t partitions_n;
	int64_t next_producer_id;
	int32_t refs;
};

struct image *image_new_empty(void);
struct image *image_ref(struct image *image);
void image_unref(struct image *image);
/* Same content; the offset, epoch and time of the last record do not count. `difference` may be NULL. */
bool image_equal(const struct image *a, const struct image *b, struct err_text *difference);
/* The log below `offset` ends within a metadata transaction: its records wait, unseen, for the end. */
bool image_in_transaction(const struct image *image);

/* NULL when missing. */
const struct topic_image *image_topic(const struct image *image, struct str name);
const struct topic_image *image_topic_by_id(const struct image *image, struct uuid id);
/* Topics in name order: the first with name > after (null: the first). */
const struct topic_image *image_topic_next(const struct image *image, struct str after);
/* Same in every field; two NULLs are equal. */
bool partition_image_equal(const struct partition_image *a, const struct partition_image *b);
/* NULL for a hole or beyond the end. */
const struct partition_image *topic_partition(const struct topic_image *topic, int32_t partition);
const struct broker_image *image_broker(const struct image *image, int32_t id);
/* Brokers in id order: the first with id > after. */
const struct broker_image *image_broker_next(const struct image *image, int32_t after);
/* Controllers in id order, as their registration records; null when there is no further one. */
struct bytes image_controller_next(const struct image *image, int32_t after, int32_t *ret_id);
/* How many records of a type the image keeps without acting on them: access rules (18), credentials (11),
 * tokens (10). */
int32_t image_kept_n(const struct image *image, int16_t record_type);
/* A SCRAM credential as its framed record, by user and mechanism; null when there is none. */
struct bytes image_scram(const struct image *image, struct str user, int8_t mechanism);
/* SCRAM credentials: of the next user and mechanism after the given ones, which are replaced; a null user begins. Null
 * when there is no further one. The user's name lives in the image. */
struct bytes image_scram_next(const struct image *image, struct str *user, int8_t *mechanism);
/* Finalised level of a feature, 0 when it has none. */
int16_t image_feature(const struct image *image, struct str name);
/* Features in name order. */
bool image_feature_next(const struct image *image, struct str after, struct str *ret_name, int16_t *ret_level);

/* Config overrides of a resource (type codes as in ConfigRecord: 2 topic, 4 broker, ...). False when not set. */
bool image_config(const struct image *image, int8_t type, struct str resource, struct str key, struct str *ret_value);
/* Resources of a type that have settings, in order of their names: the first above `after` (null: the first). */
bool image_resource_next(const struct image *image, int8_t type, struct str after, struct str *ret_name);
/* Keys of a resource in order. */
bool image_config_next(const struct image *image, int8_t type, struct str resource, struct str after_key,
		       struct str *ret_key, struct str *ret_value);


int32_t image_quotas_n(const struct image *image);
/* The quotas of exactly this entity, parts in the order of their types; NULL when it has none. */
const struct quota_image *image_quota(const struct image *image, const struct quota_part *parts, int32_t parts_n);
/* Entities in order; NULL `after`: the first. */
const struct quota_image *image_quota_next(const struct image *image, const struct quota_image *after);
/* True when nothing about quotas lies between the two images (false does not tell that something changed). */
bool image_quotas_same(const struct image *a, const struct image *b);
/* False when the entity has no quota of this key. */
bool quota_value(const struct quota_image *quota, struct str key, double *ret);

#endif
