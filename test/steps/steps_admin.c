/* SPDX-License-Identifier: Apache-2.0 */
/* What an administrator asks for, and where a log begins and ends. See steps.h. */
#include "msg/alter_replica_log_dirs.h"
#include "msg/delete_records.h"
#include "msg/incremental_alter_configs.h"
#include "msg/list_offsets.h"
#include "steps.h"

struct cut_answer {
	enum err err;
	int64_t low;
};

static void got_cut(void *ctx, const void *response)
{
	const struct delete_records_response *got = response;
	struct cut_answer *answer = ctx;

	*answer = (struct cut_answer){.err = ERR_UNKNOWN_SERVER_ERROR};
	if (got->topics_n == 1 && got->topics[0].partitions_n == 1)
		*answer = (struct cut_answer){(enum err)got->topics[0].partitions[0].error_code,
					      got->topics[0].partitions[0].low_watermark};
}

enum err steps_delete_records(struct steps *s, struct steps_part *part, int64_t offset)
{
	struct delete_records_request_topics_partitions p;
	struct delete_records_request_topics topic;
	struct delete_records_request request;
	struct cut_answer answer = {0};
	enum err err;

	msg_init(&delete_records_request_type, &request);
	msg_init(&delete_records_request_topics_type, &topic);
	msg_init(&delete_records_request_topics_partitions_type, &p);
	request.topics = &topic;
	request.topics_n = 1;
	request.timeout_ms = 5000;
	topic.name = str_of(part->topic);
	topic.partitions = &p;
	topic.partitions_n = 1;
	p.partition_index = part->index;
	p.offset = offset;
	part->start_most = MAX(part->start_most, offset);
	err = steps_call(s, API_DELETE_RECORDS, &request, got_cut, &answer);
	if (err || answer.err)
		return err ? err : answer.err;
	part->start_least = MAX(part->start_least, offset);
	if (answer.low != offset)
		world_fail(s->w, "%s-%d: begins at %lld after DeleteRecords of %lld", part->topic, part->index,
			   (long long)answer.low, (long long)offset);
	return ERR_NONE;
}

static void got_altered(void *ctx, const void *response)
{
	const struct incremental_alter_configs_response *got = response;

	*(enum err *)ctx = got->responses_n == 1 ? (enum err)got->responses[0].error_code : ERR_UNKNOWN_SERVER_ERROR;
}

enum err steps_alter(struct steps *s, const char *topic, const char *name, const char *value)
{
	struct incremental_alter_configs_request_resources_configs config;
	struct incremental_alter_configs_request_resources resource;
	struct incremental_alter_configs_request request;
	enum err got = ERR_NONE, err;

	msg_init(&incremental_alter_configs_request_type, &request);
	msg_init(&incremental_alter_configs_request_resources_type, &resource);
	msg_init(&incremental_alter_configs_request_resources_configs_type, &config);
	request.resources = &resource;
	request.resources_n = 1;
	resource.resource_type = 2;
	resource.resource_name = str_of(topic);
	resource.configs = &config;
	resource.configs_n = 1;
	config.name = str_of(name);
	config.value = str_of(value);
	err = steps_call(s, API_INCREMENTAL_ALTER_CONFIGS, &request, got_altered, &got);
	return err ? err : got;
}

static void got_moved(void *ctx, const void *response)
{
	const struct alter_replica_log_dirs_response *got = response;

	*(enum err *)ctx = got->results_n == 1 && got->results[0].partitions_n == 1
				   ? (enum err)got->results[0].partitions[0].error_code : ERR_UNKNOWN_SERVER_ERROR;
}

enum err steps_move(struct steps *s, const struct steps_part *part, const char *dir)
{
	struct alter_replica_log_dirs_request_dirs_topics topic;
	struct alter_replica_log_dirs_request_dirs asked;
	struct alter_replica_log_dirs_request request;
	int32_t index = part->index;
	enum err got = ERR_NONE, err;

	msg_init(&alter_replica_log_dirs_request_type, &request);
	msg_init(&alter_replica_log_dirs_request_dirs_type, &asked);
	msg_init(&alter_replica_log_dirs_request_dirs_topics_type, &topic);
	request.dirs = &asked;
	request.dirs_n = 1;
	asked.path = str_of(dir);
	asked.topics = &topic;
	asked.topics_n = 1;
	topic.name = str_of(part->topic);
	topic.partitions = &index;
	topic.partitions_n = 1;
	err = steps_call(s, API_ALTER_REPLICA_LOG_DIRS, &request, got_moved, &got);
	return err ? err : got;
}

struct offset_answer {
	enum err err;
	int64_t offset;
};

static void got_offset(void *ctx, const void *response)
{
	const struct list_offsets_response *got = response;
	struct offset_answer *answer = ctx;

	*answer = (struct offset_answer){ERR_UNKNOWN_SERVER_ERROR, -1};
	if (got->topics_n == 1 && got->topics[0].partitions_n == 1)
		*answer = (struct offset_answer){(enum err)got->topics[0].partitions[0].error_code,
						 got->topics[0].partitions[0].offset};
}

int64_t steps_offset(struct steps *s, const struct steps_part *part, int64_t timestamp, int8_t isolation)
{
	struct list_offsets_request_topics_partitions p;
	struct list_offsets_request_topics topic;
	struct list_offsets_request request;
	struct offset_answer answer = {ERR_NONE, -1};
	enum err err;

	msg_init(&list_offsets_request_type, &request);
	msg_init(&list_offsets_request_topics_type, &topic);
	msg_init(&list_offsets_request_topics_partitions_type, &p);
	request.replica_id = -1;
	request.isolation_level = isolation;
	request.topics = &topic;
	request.topics_n = 1;
	topic.name = str_of(part->topic);
	topic.partitions = &p;
	topic.partitions_n = 1;
	p.partition_index = part->index;
	p.timestamp = timestamp < 0 ? timestamp : steps_time_ms(s, timestamp);
	err = steps_ask(s, API_LIST_OFFSETS, &request, got_offset, &answer, &answer.err);
	if (err && err == answer.err)
		world_fail(s->w, "%s-%d: ListOffsets answers %s", part->topic, part->index, err_name(answer.err));
	return answer.offset;
}
