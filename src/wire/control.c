/* SPDX-License-Identifier: Apache-2.0 */
/* Control records. See control.h. */
#include "control.h"

#include "check.h"

#define KEY_LEN 4    /* int16 version, int16 type */
#define MARKER_LEN 6 /* int16 version, int32 coordinator epoch */

enum err control_parse(const struct record *record, struct control_record *ret)
{
	struct control_record r = {.coordinator_epoch = -1, .value = record->value};
	uint16_t type;

	if (record->key.len < KEY_LEN || (int16_t)load_be16(record->key.p) < 0)
		return ERR_CORRUPT_MESSAGE;
	/* Newer versions of key and marker may only add behind what is known. */
	type = load_be16(record->key.p + 2);
	r.type = type <= CONTROL_KRAFT_VOTERS ? (enum control_type)type : CONTROL_UNKNOWN;
	if (type <= CONTROL_COMMIT) {
		if (record->value.len < MARKER_LEN || (int16_t)load_be16(record->value.p) < 0)
			return ERR_CORRUPT_MESSAGE;
		r.coordinator_epoch = (int32_t)load_be32(record->value.p + 2);
	}
	*ret = r;
	return ERR_NONE;
}

static enum err add(struct batch_builder *b, int64_t timestamp, enum control_type type, struct bytes value)
{
	uint8_t key[KEY_LEN] = {0, 0, 0, (uint8_t)type};
	struct record_fields fields = {.key = {key, sizeof(key)}, .value = value};

	return batch_builder_add(b, timestamp, &fields);
}

enum err control_add(struct batch_builder *b, int64_t timestamp, enum control_type type, struct bytes value)
{
	CHECK(b->spec.attributes & BATCH_CONTROL);
	CHECK(type >= CONTROL_LEADER_CHANGE);
	CHECK(type <= CONTROL_KRAFT_VOTERS);
	return add(b, timestamp, type, value);
}

void control_marker_build(uint8_t ret[CONTROL_MARKER_LEN], const struct control_marker *marker)
{
	/* One record whose deltas are 0: length, attributes, deltas, key, value, no headers. */
	static const uint8_t record[CONTROL_MARKER_LEN - BATCH_HEADER_LEN] = {
		2 * 16, 0, 0, 0, 2 * KEY_LEN, 0, 0, 0, 0, 2 * MARKER_LEN,
	};
	struct batch_info info = {
		.size = CONTROL_MARKER_LEN,
		.base_offset = marker->offset,
		.leader_epoch = marker->leader_epoch,
		.attributes = BATCH_TRANSACTIONAL | BATCH_CONTROL,
		.producer_id = marker->producer_id,
		.producer_epoch = marker->producer_epoch,
		.base_timestamp = marker->timestamp,
		.max_timestamp = marker->timestamp,
		.base_sequence = NO_SEQUENCE,
		.records_n = 1,
	};

	memcpy(ret + BATCH_HEADER_LEN, record, sizeof(record));
	ret[BATCH_HEADER_LEN + 8] = marker->commit ? CONTROL_COMMIT : CONTROL_ABORT;
	store_be32(ret + BATCH_HEADER_LEN + 12, (uint32_t)marker->coordinator_epoch);
	batch_header_write(ret, &info);
}
