/* SPDX-License-Identifier: Apache-2.0 */
/* Records of __remote_log_metadata as text. See dump_log_remote.h. */
#include "dump_log_remote.h"

#include "msg/remote_log_records.h"

static const char *state_name(int8_t state)
{
	static const char *const names[] = {"COPY_SEGMENT_STARTED", "COPY_SEGMENT_FINISHED",
					    "DELETE_SEGMENT_STARTED", "DELETE_SEGMENT_FINISHED"};

	return state >= 0 && (size_t)state < ARRAY_N(names) ? names[state] : "null";
}

static const char *partition_state_name(int8_t state)
{
	static const char *const names[] = {"DELETE_PARTITION_MARKED", "DELETE_PARTITION_STARTED",
					    "DELETE_PARTITION_FINISHED"};

	return state >= 0 && (size_t)state < ARRAY_N(names) ? names[state] : "null";
}

static void partition_print(struct json_out *out, struct uuid id, struct str name, int32_t partition)
{
	char text[UUID_TEXT_LEN + 1];

	uuid_format(id, text);
	json_format(out, "%s:", text);
	json_java_text(out, (struct bytes){(const uint8_t *)name.p, name.len});
	json_format(out, "-%d", partition);
}

static void segment_id_print(struct json_out *out, struct uuid topic_id, struct str name, int32_t partition,
			     struct uuid id)
{
	char text[UUID_TEXT_LEN + 1];

	uuid_format(id, text);
	json_raw(out, STR("remoteLogSegmentId=RemoteLogSegmentId{topicIdPartition="));
	partition_print(out, topic_id, name, partition);
	json_format(out, ", id=%s}", text);
}

static void custom_print(struct json_out *out, struct bytes custom)
{
	if (!custom.p) {
		json_raw(out, STR(", customMetadata=Optional.empty"));
		return;
	}
	json_format(out, ", customMetadata=Optional[CustomMetadata{%zu bytes}]", custom.len);
}

static void segment_print(struct json_out *out, const struct remote_log_segment_metadata_record *r)
{
	json_raw(out, STR("RemoteLogSegmentMetadata{"));
	segment_id_print(out, r->remote_log_segment_id.topic_id_partition.id,
			 r->remote_log_segment_id.topic_id_partition.name,
			 r->remote_log_segment_id.topic_id_partition.partition, r->remote_log_segment_id.id);
	json_format(
		out,
		", startOffset=%lld, endOffset=%lld, brokerId=%d, maxTimestampMs=%lld, eventTimestampMs=%lld",
		(long long)r->start_offset, (long long)r->end_offset, r->broker_id,
		(long long)r->max_timestamp_ms, (long long)r->event_timestamp_ms);
	json_raw(out, STR(", segmentLeaderEpochs={"));
	for (int32_t i = 0; i < r->segment_leader_epochs_n; i++)
		json_format(out, "%s%d=%lld", i ? ", " : "", r->segment_leader_epochs[i].leader_epoch,
			    (long long)r->segment_leader_epochs[i].offset);
	json_format(out, "}, segmentSizeInBytes=%d", r->segment_size_in_bytes);
	custom_print(out, r->custom_metadata);
	json_format(out, ", state=%s, txnIdxEmpty=%s}", state_name(r->remote_log_segment_state),
		    r->txn_index_empty ? "true" : "false");
}

static void update_print(struct json_out *out, const struct remote_log_segment_metadata_update_record *r)
{
	json_raw(out, STR("RemoteLogSegmentMetadataUpdate{"));
	segment_id_print(out, r->remote_log_segment_id.topic_id_partition.id,
			 r->remote_log_segment_id.topic_id_partition.name,
			 r->remote_log_segment_id.topic_id_partition.partition, r->remote_log_segment_id.id);
	custom_print(out, r->custom_metadata);
	json_format(out, ", state=%s, eventTimestampMs=%lld, brokerId=%d}",
		    state_name(r->remote_log_segment_state), (long long)r->event_timestamp_ms, r->broker_id);
}

static void delete_print(struct json_out *out, const struct remote_partition_delete_metadata_record *r)
{
	json_raw(out, STR("RemotePartitionDeleteMetadata{topicPartition="));
	partition_print(out, r->topic_id_partition.id, r->topic_id_partition.name,
			r->topic_id_partition.partition);
	json_format(out, ", state=%s, eventTimestampMs=%lld, brokerId=%d}",
		    partition_state_name(r->remote_partition_delete_state), (long long)r->event_timestamp_ms,
		    r->broker_id);
}

static void snapshot_print(struct json_out *out, const struct remote_log_segment_metadata_snapshot_record *r)
{
	char text[UUID_TEXT_LEN + 1];

	uuid_format(r->segment_id, text);
	json_format(out,
		    "RemoteLogSegmentMetadataSnapshot{segmentId=%s, startOffset=%lld, endOffset=%lld, "
		    "brokerId=%d, "
		    "maxTimestampMs=%lld, eventTimestampMs=%lld",
		    text, (long long)r->start_offset, (long long)r->end_offset, r->broker_id,
		    (long long)r->max_timestamp_ms, (long long)r->event_timestamp_ms);
	json_raw(out, STR(", segmentLeaderEpochs={"));
	for (int32_t i = 0; i < r->segment_leader_epochs_n; i++)
		json_format(out, "%s%d=%lld", i ? ", " : "", r->segment_leader_epochs[i].leader_epoch,
			    (long long)r->segment_leader_epochs[i].offset);
	json_format(out, "}, segmentSizeInBytes=%d", r->segment_size_in_bytes);
	custom_print(out, r->custom_metadata);
	json_format(out, ", state=%s, txnIdxEmpty=%s}", state_name(r->remote_log_segment_state),
		    r->txn_index_empty ? "true" : "false");
}

void dump_remote(const struct msg_record *row, const void *obj, struct json_out *out)
{
	if (row->value == &remote_log_segment_metadata_record_type)
		segment_print(out, obj);
	else if (row->value == &remote_log_segment_metadata_update_record_type)
		update_print(out, obj);
	else if (row->value == &remote_partition_delete_metadata_record_type)
		delete_print(out, obj);
	else
		snapshot_print(out, obj);
}
