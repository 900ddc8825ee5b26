/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See metrics.h. Which errors count as a failed request of a topic is as Kafka has it: what a client brings about by
 * asking the wrong broker or sending too much is no failure of the broker.
 */
#include "metrics.h"

#include <stdio.h>

#include "acceptor.h"
#include "conn.h"
#include "mem.h"
#include "shard.h"

void metrics_deinit(struct metrics *metrics)
{
	for (int i = 0; i <= API_KEY_MAX; i++)
		mem_free(metrics->apis[i]);
	mem_free(metrics->listeners);
	mem_free(metrics->software);
	metrics->listeners = NULL;
	metrics->software = NULL;
}

int64_t metrics_clock(struct shard *shard)
{
	struct io *io = shard->reactor->io;

	shard->metrics.clock_ns = io->ops->clock(io, IO_CLOCK_MONOTONIC);
	return shard->metrics.clock_ns;
}

int64_t metrics_now(const struct shard *shard)
{
	return MAX(shard->reactor->now_ns, shard->metrics.clock_ns);
}

static struct metrics_api *metrics_api(struct metrics *metrics, int16_t key)
{
	if (key < 0 || key > API_KEY_MAX)
		return NULL;
	if (!metrics->apis[key])
		metrics->apis[key] = MEM_NEW(struct metrics_api);
	return metrics->apis[key];
}

static void metrics_error(struct metrics_api *api, int16_t code, uint64_t n)
{
	int i = 0;

	while (i < api->errors_n && api->errors[i].code != code)
		i++;
	if (i == METRICS_ERRORS_N)
		return;
	if (i == api->errors_n)
		api->errors[api->errors_n++].code = code;
	api->errors[i].n += n;
}

static bool metrics_field_is_error(const struct msg_field *field)
{
	return field->kind == MSG_INT16 && !(field->flags & MSG_FIELD_ARRAY) && strcmp(field->name, "error_code") == 0;
}

/* Goes as deep as schemas nest. */
static void metrics_errors(struct metrics_api *api, const struct msg_type *type, const uint8_t *object,
			   int16_t version)
{
	for (int i = 0; i < type->fields_n; i++) {
		const struct msg_field *field = &type->fields[i];
		const uint8_t *at = object + field->offset;

		if (version < field->version_first || version > field->version_last)
			continue;
		if (metrics_field_is_error(field)) {
			metrics_error(api, *(const int16_t *)(const void *)at, 1);
		} else if (field->kind == MSG_STRUCT && (field->flags & MSG_FIELD_ARRAY)) {
			const uint8_t *elems = *(const uint8_t *const *)(const void *)at;
			int32_t n = *(const int32_t *)(const void *)(at + sizeof(void *));

			for (int32_t j = 0; elems && j < n; j++)
				metrics_errors(api, field->type, elems + (size_t)j * field->elem_size, version);
		}
	}
}

void metrics_response(struct request *request, const void *response)
{
	struct metrics_api *api = metrics_api(&request->shard->metrics, request->head.api_key);
	const struct api *row = api_find(request->head.api_key);

	if (api && row && row->response)
		metrics_errors(api, row->response, response, request->version);
}

static void metrics_slowest(struct metrics_api *api, const struct request *request, int64_t total_ns)
{
	struct str client = request->head.client_id;
	size_t len = MIN(client.len, sizeof(api->slowest.client_id) - 1);

	api->slowest.total_ns = total_ns;
	api->slowest.wall_ms = request->shard->reactor->wall_ms;
	api->slowest.correlation_id = request->head.correlation_id;
	if (len > 0)
		memcpy(api->slowest.client_id, client.p, len);
	api->slowest.client_id[len] = 0;
}

void metrics_request_sent(const struct request *request, int64_t send_began_ns, int64_t sent_ns)
{
	struct metrics *metrics = &request->shard->metrics;
	struct metrics_api *api;
	int64_t local_ns = request->local_done_ns ? request->local_done_ns : request->done_ns;

	/* Never begun, as the connection went; or refused before it was known what it is. */
	if (request->started_ns == 0 || !request->api)
		return;
	api = metrics_api(metrics, request->head.api_key);
	if (!api)
		return;
	metrics->requests_n++;
	api->requests[request->version < 0 ? 0 : MIN(request->version, METRICS_VERSIONS_N - 1)]++;
	hist_add(&api->phases[METRICS_QUEUE], request->started_ns - request->received_ns);
	hist_add(&api->phases[METRICS_LOCAL], local_ns - request->started_ns);
	hist_add(&api->phases[METRICS_REMOTE], request->done_ns - local_ns);
	hist_add(&api->phases[METRICS_THROTTLE], (int64_t)request->throttle_ms * NS_PER_MS);
	hist_add(&api->phases[METRICS_RESPONSE_QUEUE], send_began_ns - request->done_ns);
	hist_add(&api->phases[METRICS_SEND], sent_ns - send_began_ns);
	hist_add(&api->phases[METRICS_TOTAL], sent_ns - request->received_ns);
	hist_add(&api->bytes, (int64_t)request->frame.len);
	if (sent_ns - request->received_ns > api->slowest.total_ns)
		metrics_slowest(api, request, sent_ns - request->received_ns);
}

struct metrics_listener *metrics_listener(struct shard *shard, int acceptor_index)
{
	struct metrics *metrics = &shard->metrics;

	CHECK_OP(acceptor_index, >=, 0);
	CHECK_OP(acceptor_index, <, METRICS_LISTENERS_N);
	if (!metrics->listeners)
		metrics->listeners = mem_calloc(METRICS_LISTENERS_N, sizeof(*metrics->listeners));
	return &metrics->listeners[acceptor_index];
}

void metrics_conn_software(struct conn *conn, struct str text)
{
	struct metrics *metrics = &conn->shard->metrics;
	struct metrics_software *free = NULL;

	if (conn->software)
		conn->software->conns_n--;
	conn->software = NULL;
	if (text.len == 0 || text.len >= sizeof(free->text) || !memchr(text.p, ' ', text.len))
		return;
	if (!metrics->software)
		metrics->software = mem_calloc(METRICS_SOFTWARE_N, sizeof(*metrics->software));
	for (int i = 0; i < METRICS_SOFTWARE_N && !conn->software; i++) {
		struct metrics_software *at = &metrics->software[i];

		if (at->conns_n == 0)
			free = free ? free : at;
		else if (at->listener == conn->acceptor->index && str_eq_c(text, at->text))
			conn->software = at;
	}
	if (!conn->software && free) {
		free->listener = conn->acceptor->index;
		snprintf(free->text, sizeof(free->text), "%.*s", STR_ARGS(text));
		conn->software = free;
	}
	if (conn->software)
		conn->software->conns_n++;
}

void metrics_produced(struct shard *shard, struct metrics_topic *topic, enum err err, uint64_t bytes_n,
		      uint64_t records_n)
{
	struct metrics *metrics = &shard->metrics;
	bool is_failure = false;

	metrics_topic_add(metrics, topic, TOPIC_PRODUCE_REQUESTS, 1);
	switch ((int)err) {
	case ERR_NONE:
		metrics_topic_add(metrics, topic, TOPIC_BYTES_IN, bytes_n);
		metrics_topic_add(metrics, topic, TOPIC_MESSAGES_IN, records_n);
		break;
	case ERR_MESSAGE_TOO_LARGE:
	case ERR_RECORD_LIST_TOO_LARGE:
		metrics_topic_add(metrics, topic, TOPIC_BYTES_REJECTED, bytes_n);
		break;
	case ERR_CORRUPT_MESSAGE:
		metrics_topic_add(metrics, topic, TOPIC_INVALID_CRC, 1);
		break;
	case ERR_UNKNOWN_TOPIC_OR_PARTITION:
	case ERR_UNKNOWN_TOPIC_ID:
	case ERR_NOT_LEADER_OR_FOLLOWER:
	case ERR_KAFKA_STORAGE_ERROR:
		break;
	default:
		is_failure = true;
	}
	if (err == ERR_INVALID_RECORD)
		metrics_topic_add(metrics, topic, TOPIC_INVALID_OFFSET, 1);
	if (is_failure)
		metrics_topic_add(metrics, topic, TOPIC_FAILED_PRODUCE, 1);
}

void metrics_fetched(struct shard *shard, struct metrics_topic *topic, enum err err)
{
	struct metrics *metrics = &shard->metrics;

	metrics_topic_add(metrics, topic, TOPIC_FETCH_REQUESTS, 1);
	switch ((int)err) {
	case ERR_NONE:
	case ERR_UNKNOWN_TOPIC_OR_PARTITION:
	case ERR_UNKNOWN_TOPIC_ID:
	case ERR_NOT_LEADER_OR_FOLLOWER:
	case ERR_FENCED_LEADER_EPOCH:
	case ERR_UNKNOWN_LEADER_EPOCH:
	case ERR_KAFKA_STORAGE_ERROR:
	case ERR_OFFSET_OUT_OF_RANGE:
		return;
	default:
		metrics_topic_add(metrics, topic, TOPIC_FAILED_FETCH, 1);
	}
}
