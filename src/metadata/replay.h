/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaying records into an image: the only way it changes. An edit starts from an image, takes records, and finishes
 * as a new image, or is dropped and leaves no trace. image_snapshot_records gives the records that rebuild an image.
 */
#ifndef METADATA_REPLAY_H
#define METADATA_REPLAY_H

#include "image.h"

struct image_edit;

struct image_edit *image_edit_begin(struct image *base);
/* One record value of __cluster_metadata (frame version, type, version, message). Errors name the record in text:
 * ERR_DECODE, ERR_NOT_SUPPORTED for a type or version this build does not know; a record that contradicts the image
 * (partition of an unknown topic, ...) is ERR_CORRUPT_FILE. */
enum err image_edit_replay(struct image_edit *edit, struct bytes record, struct err_text *text) MUST_USE;
/* Consumes the edit. */
struct image *image_edit_finish(struct image_edit *edit, int64_t offset, int32_t epoch, int64_t timestamp_ms);
void image_edit_drop(struct image_edit *edit);

/* Calls fn with each record value of a snapshot of the image, in an order that replays; record versions follow the
 * image's metadata.version. */
typedef enum err image_record_fn(void *ctx, struct bytes record);
/* ERR_BUSY within a metadata transaction: what waits in it cannot be told. Else only what fn returned. */
enum err image_snapshot_records(const struct image *image, image_record_fn *fn, void *ctx) MUST_USE;

/* A partition as a record of a version that partition_version() gave; borrows the arrays. */
struct partition_record;
void partition_image_record(const struct partition_image *partition, struct uuid topic_id, int32_t index,
			    int16_t version, struct partition_record *ret);

/* Topics that differ between two images (created, changed, removed), in name order. `before` or `after` is NULL when
 * the topic is only in one of them; a recreated topic (other id) comes as removed, then created. */
typedef void image_topic_diff_fn(void *ctx, const struct topic_image *before, const struct topic_image *after);
void image_diff_topics(const struct image *before, const struct image *after, image_topic_diff_fn *fn, void *ctx);
/* Resources whose settings differ between two images, in order of type and name. */
typedef void image_config_diff_fn(void *ctx, int8_t type, struct str resource);
void image_diff_configs(const struct image *before, const struct image *after, image_config_diff_fn *fn, void *ctx);

#endif
