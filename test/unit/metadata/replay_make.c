/* SPDX-License-Identifier: Apache-2.0 */
/* See replay_make.h. */
#include "replay_make.h"

void edit_add(struct image_edit *edit, enum metadata_record_id type, int16_t version, const void *record)
{
	struct arena arena = {0};
	struct err_text text = {""};

	if (image_edit_replay(edit, metadata_record_encode(type, version, record, &arena), &text) != ERR_NONE)
		fail_msg("%s", text.text);
	arena_reset(&arena);
}

enum err edit_try(struct image_edit *edit, enum metadata_record_id type, int16_t version, const void *record,
			 struct err_text *text)
{
	struct arena arena = {0};
	enum err err = image_edit_replay(edit, metadata_record_encode(type, version, record, &arena), text);

	arena_reset(&arena);
	return err;
}

static enum err replay_into(void *ctx, struct bytes record)
{
	struct err_text text = {""};
	enum err err = image_edit_replay(ctx, record, &text);

	if (err)
		fail_msg("%s", text.text);
	return err;
}

struct image *image_via_snapshot(const struct image *image)
{
	struct image *empty = image_new_empty();
	struct image_edit *edit = image_edit_begin(empty);

	assert_int_equal(image_snapshot_records(image, replay_into, edit), ERR_NONE);
	image_unref(empty);
	return image_edit_finish(edit, image->offset, image->epoch, image->timestamp_ms);
}

void check_snapshot(const struct image *image)
{
	struct image *again = image_via_snapshot(image);
	struct err_text text = {""};

	if (!image_equal(image, again, &text))
		fail_msg("the snapshot gives another image: %s", text.text);
	assert_int_equal(image->topics_n, again->topics_n);
	assert_int_equal(image->partitions_n, again->partitions_n);
	image_unref(again);
}

void add_topic(struct image_edit *edit, struct str name, struct uuid id)
{
	struct topic_record record;

	msg_init(&topic_record_type, &record);
	record.name = name;
	record.topic_id = id;
	edit_add(edit, METADATA_TOPIC_RECORD, 0, &record);
}

void add_partition(struct image_edit *edit, struct uuid id, int32_t index, int32_t broker)
{
	struct partition_record record;
	struct uuid dir = {7, 7};

	msg_init(&partition_record_type, &record);
	record.topic_id = id;
	record.partition_id = index;
	record.replicas = record.isr = &broker;
	record.replicas_n = record.isr_n = 1;
	record.directories = &dir;
	record.directories_n = 1;
	record.leader = broker;
	record.leader_epoch = 0;
	record.partition_epoch = 0;
	edit_add(edit, METADATA_PARTITION_RECORD, 2, &record);
}

void add_broker(struct image_edit *edit, int32_t id, int64_t epoch)
{
	struct register_broker_record record;

	msg_init(&register_broker_record_type, &record);
	record.broker_id = id;
	record.broker_epoch = epoch;
	edit_add(edit, METADATA_REGISTER_BROKER_RECORD, 3, &record);
}
