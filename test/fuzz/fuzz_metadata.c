/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata records from anywhere, replayed one after another: as they come, and with their ids made small, so that they
 * meet each other. What could be replayed gives a snapshot that replays to an equal image.
 */
#include "check.h"
#include "metadata_record.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS_MAX 400

static enum err replay_into(void *ctx, struct bytes record)
{
	return image_edit_replay(ctx, record, NULL);
}

static void check_snapshot(const struct image *image)
{
	struct image *empty = image_new_empty(), *again;
	struct image_edit *edit = image_edit_begin(empty);
	struct err_text difference = {""};
	enum err err = image_snapshot_records(image, replay_into, edit);

	if (image_in_transaction(image))
		CHECK_OP(err, ==, ERR_BUSY);
	else
		CHECK_OP(err, ==, ERR_NONE);
	again = image_edit_finish(edit, 0, 0, 0);
	if (!err)
		CHECK(image_equal(image, again, &difference));
	image_unref(again);
	image_unref(empty);
}

static void tame_uuid(struct uuid *id)
{
	*id = (struct uuid){0, id->lo % 4};
}

/* Ids, epochs and indexes from small sets; directories as many as replicas. */
static void tame(int16_t type, int16_t version, void *message, struct arena *arena)
{
	struct register_broker_record *broker = message;
	struct unregister_broker_record *unregister = message;
	struct topic_record *topic = message;
	struct partition_record *partition = message;
	struct partition_change_record *change = message;
	struct fence_broker_record *fence = message;
	struct remove_topic_record *remove = message;
	struct broker_registration_change_record *registration = message;

	switch (type) {
	case METADATA_REGISTER_BROKER_RECORD:
		broker->broker_id &= 3;
		broker->broker_epoch &= 1;
		break;
	case METADATA_UNREGISTER_BROKER_RECORD:
		unregister->broker_id &= 3;
		unregister->broker_epoch &= 1;
		break;
	case METADATA_TOPIC_RECORD:
		tame_uuid(&topic->topic_id);
		break;
	case METADATA_PARTITION_RECORD:
		tame_uuid(&partition->topic_id);
		partition->partition_id &= 255;
		if (version > 0) {
			partition->directories = ARENA_NEW_N(arena, struct uuid, partition->replicas_n);
			partition->directories_n = partition->replicas_n;
		}
		break;
	case METADATA_PARTITION_CHANGE_RECORD:
		tame_uuid(&change->topic_id);
		change->partition_id &= 255;
		break;
	case METADATA_FENCE_BROKER_RECORD:
	case METADATA_UNFENCE_BROKER_RECORD:
		fence->id &= 3;
		fence->epoch &= 1;
		break;
	case METADATA_REMOVE_TOPIC_RECORD:
		tame_uuid(&remove->topic_id);
		break;
	case METADATA_BROKER_REGISTRATION_CHANGE_RECORD:
		registration->broker_id &= 3;
		registration->broker_epoch &= 1;
		break;
	default:
		break;
	}
}

static struct bytes tame_record(struct bytes record, struct arena *arena)
{
	struct metadata_record frame;
	void *message;

	if (metadata_record_parse(record, &frame, NULL))
		return record;
	message = msg_new_n(arena, frame.schema, 1);
	if (codec_decode(frame.schema, frame.version, frame.message, arena, message, NULL, NULL))
		return record;
	tame(frame.type, frame.version, message, arena);
	return metadata_record_encode((enum metadata_record_id)frame.type, frame.version, message, arena);
}

/* One record on top of an image; the image stays when it does not apply. */
static struct image *replay_one(struct image *image, struct bytes record)
{
	struct image_edit *edit = image_edit_begin(image);
	struct err_text text = {""};
	struct image *next;

	if (image_edit_replay(edit, record, &text)) {
		CHECK(text.text[0] != '\0');
		image_edit_drop(edit);
		return image;
	}
	next = image_edit_finish(edit, image->offset + 1, 0, 0);
	image_unref(image);
	return next;
}

/* Each record is: type, version, length of the message, message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image *image = image_new_empty();

	for (int n = 0; size >= 3 && n < RECORDS_MAX; n++) {
		uint8_t record[3 + 255];
		size_t len = MIN((size_t)data[2], size - 3);
		struct arena arena = {0};
		struct bytes value = {record, 3 + len};

		record[0] = 1;
		record[1] = data[0] % 30;
		record[2] = data[1] % 8;
		memcpy(record + 3, data + 3, len);
		image = replay_one(image, value);
		image = replay_one(image, tame_record(value, &arena));
		arena_reset(&arena);
		data += 3 + len;
		size -= 3 + len;
	}
	check_snapshot(image);
	image_unref(image);
	return 0;
}
