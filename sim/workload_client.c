/* SPDX-License-Identifier: Apache-2.0 */
/* See workload_client.h. */
#include "workload_client.h"

static void client_next(struct sim_event *event)
{
	struct wl_client *client = container_of(event, struct wl_client, next);

	if (client->is_ended || client->wl->w->has_failed)
		return;
	if (client->conn.state == CONN_OFF)
		sim_conn_open(&client->conn);
	else if (client->conn.state == CONN_UP && !sim_call_is_out(&client->call))
		client->step(client);
}

void wl_client_init(struct wl_client *client, struct workload *wl, const char *name, void (*step)(struct wl_client *))
{
	client->wl = wl;
	client->step = step;
	sim_conn_init(&client->conn, wl->w, wl->node, name);
}

void wl_client_deinit(struct wl_client *client)
{
	world_off(client->wl->w, &client->next);
	sim_conn_deinit(&client->conn);
}

void wl_client_open(struct wl_client *client)
{
	sim_conn_open(&client->conn);
}

void wl_client_end(struct wl_client *client)
{
	client->is_ended = true;
	world_off(client->wl->w, &client->next);
	if (client->conn.state != CONN_OFF)
		sim_conn_close(&client->conn);
}

void wl_client_later(struct wl_client *client, int64_t least_ns, int64_t most_ns)
{
	if (!client->is_ended)
		world_after(client->wl->w, &client->next, rng_between(&client->wl->w->rng, least_ns, most_ns),
			    client_next);
}

void wl_client_produce(struct wl_client *client, const struct wl_place *place, int16_t acks, struct bytes records,
		       void (*done)(struct sim_call *))
{
	struct produce_request_topic_data_partition_data part;
	struct produce_request_topic_data topic;
	struct produce_request request;

	msg_init(&produce_request_type, &request);
	msg_init(&produce_request_topic_data_type, &topic);
	msg_init(&produce_request_topic_data_partition_data_type, &part);
	request.acks = acks;
	request.timeout_ms = 5000;
	request.topic_data = &topic;
	request.topic_data_n = 1;
	topic.name = place->topic;
	topic.topic_id = place->topic_id;
	topic.partition_data = &part;
	topic.partition_data_n = 1;
	part.index = place->partition;
	part.records = records_mem(records);
	sim_conn_call(&client->conn, &client->call, API_PRODUCE, &request, 15000, acks ? done : NULL);
}

void wl_client_fetch(struct wl_client *client, const struct wl_place *place, int64_t offset, int32_t bytes_max,
		     void (*done)(struct sim_call *))
{
	struct fetch_request_topics_partitions part;
	struct fetch_request_topics topic;
	struct fetch_request request;

	msg_init(&fetch_request_type, &request);
	msg_init(&fetch_request_topics_type, &topic);
	msg_init(&fetch_request_topics_partitions_type, &part);
	request.max_wait_ms = 0;
	request.topics = &topic;
	request.topics_n = 1;
	topic.topic = place->topic;
	topic.topic_id = place->topic_id;
	topic.partitions = &part;
	topic.partitions_n = 1;
	part.partition = place->partition;
	part.fetch_offset = offset;
	part.partition_max_bytes = bytes_max;
	sim_conn_call(&client->conn, &client->call, API_FETCH, &request, 15000, done);
}

const struct produce_response_responses_partition_responses *wl_client_produced(struct sim_call *call)
{
	const struct produce_response *response = call->response;

	if (response->responses_n == 1 && response->responses[0].partition_responses_n == 1)
		return &response->responses[0].partition_responses[0];
	world_fail(wl_client_of_call(call)->wl->w, "Produce of one partition answers otherwise");
	return NULL;
}

const struct fetch_response_responses_partitions *wl_client_fetched(struct sim_call *call)
{
	const struct fetch_response *response = call->response;

	return response->responses_n == 1 && response->responses[0].partitions_n == 1
		       ? &response->responses[0].partitions[0]
		       : NULL;
}

void wl_client_create(struct wl_client *client, const struct wl_new_topic *topics, int32_t n,
		      void (*done)(struct sim_call *))
{
	struct create_topics_request_topics_configs configs[WL_NEW_TOPICS_MAX][WL_NEW_CONFIG_MAX];
	struct create_topics_request_topics asked[WL_NEW_TOPICS_MAX];
	struct create_topics_request request;

	CHECK_OP(n, <=, WL_NEW_TOPICS_MAX);
	msg_init(&create_topics_request_type, &request);
	for (int32_t i = 0; i < n; i++) {
		CHECK_OP(topics[i].config_n, <=, WL_NEW_CONFIG_MAX);
		msg_init(&create_topics_request_topics_type, &asked[i]);
		asked[i].name = str_of(topics[i].name);
		asked[i].num_partitions = 1;
		asked[i].replication_factor = 1;
		for (int32_t c = 0; c < topics[i].config_n; c++) {
			msg_init(&create_topics_request_topics_configs_type, &configs[i][c]);
			configs[i][c].name = str_of(topics[i].config[c][0]);
			configs[i][c].value = str_of(topics[i].config[c][1]);
		}
		asked[i].configs = configs[i];
		asked[i].configs_n = topics[i].config_n;
	}
	request.topics = asked;
	request.topics_n = n;
	request.timeout_ms = 5000;
	sim_conn_call(&client->conn, &client->call, API_CREATE_TOPICS, &request, 15000, done);
}

bool wl_records_each(const struct fetch_response_responses_partitions *got, wl_record_fn *fn, void *ctx,
		     int64_t *ret_end)
{
	struct bytes in = {got->records.piece.mem, got->records.is_null ? 0 : got->records.piece.len};
	struct batch_iter it = batch_iter_of(in, BATCH_CHECK_CRC);
	struct batch_info batch;
	bool goes_on = true;

	while (goes_on && batch_iter_next(&it, &batch)) {
		struct bytes payload = {batch.bytes.p + BATCH_HEADER_LEN, batch.bytes.len - BATCH_HEADER_LEN};
		struct record_iter records;
		struct record record;

		record_iter_init(&records, &batch, payload);
		while (goes_on && record_iter_next(&records, &record))
			goes_on = fn(ctx, &record);
		if (goes_on)
			*ret_end = MAX(*ret_end, batch.last_offset + 1);
	}
	return !it.err;
}
