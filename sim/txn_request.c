/* SPDX-License-Identifier: Apache-2.0 */
/* See txn_request.h. */
#include "txn_request.h"

#include "batch_build.h"
#include "msg/add_offsets_to_txn.h"
#include "msg/add_partitions_to_txn.h"
#include "msg/end_txn.h"
#include "msg/init_producer_id.h"
#include "msg/produce.h"
#include "msg/txn_offset_commit.h"
#include "msg/write_txn_markers.h"

#define REQUEST_TIMEOUT_MS 6000

const char *txn_kind_name(enum txn_kind kind)
{
	switch (kind) {
	case TXN_INIT:
		return "InitProducerId";
	case TXN_ADD:
		return "AddPartitionsToTxn";
	case TXN_PRODUCE:
		return "Produce";
	case TXN_ADD_OFFSETS:
		return "AddOffsetsToTxn";
	case TXN_COMMIT_OFFSETS:
		return "TxnOffsetCommit";
	case TXN_END:
		return "EndTxn";
	case TXN_MARKER:
		return "WriteTxnMarkers";
	default:
		UNREACHABLE();
	}
}

/* ---- sending ---- */

static void send_init(const struct txn_request *r, struct sim_conn *conn, struct sim_call *call,
		      void (*done)(struct sim_call *))
{
	struct init_producer_id_request request;

	msg_init(&init_producer_id_request_type, &request);
	request.transactional_id = str_of(r->id);
	request.transaction_timeout_ms = r->timeout_ms;
	if (sim_conn_version(conn, API_INIT_PRODUCER_ID) >= 3) {
		request.producer_id = r->producer_id;
		request.producer_epoch = r->epoch;
	}
	sim_conn_call(conn, call, API_INIT_PRODUCER_ID, &request, REQUEST_TIMEOUT_MS, done);
}

/* The partitions of `set` that belong to the topic. */
static int32_t indexes_of(uint32_t set, int topic, int32_t ret[TXN_TOPIC_PARTS])
{
	int32_t n = 0;

	for (int32_t i = 0; i < TXN_TOPIC_PARTS; i++) {
		if (set >> txn_part(topic, i) & 1)
			ret[n++] = i;
	}
	return n;
}

static void send_add(const struct txn_request *r, struct sim_conn *conn, struct sim_call *call,
		     void (*done)(struct sim_call *))
{
	struct add_partitions_to_txn_request_add_partitions_to_txn_topic topics[TXN_TOPICS_N];
	struct add_partitions_to_txn_request request;
	int32_t indexes[TXN_TOPICS_N][TXN_TOPIC_PARTS], n = 0;

	msg_init(&add_partitions_to_txn_request_type, &request);
	request.v3_and_below_transactional_id = str_of(r->id);
	request.v3_and_below_producer_id = r->producer_id;
	request.v3_and_below_producer_epoch = r->epoch;
	for (int i = 0; i < TXN_TOPICS_N; i++) {
		msg_init(&add_partitions_to_txn_request_add_partitions_to_txn_topic_type, &topics[n]);
		topics[n].name = str_of(r->topics[i]);
		topics[n].partitions = indexes[n];
		topics[n].partitions_n = indexes_of(r->parts, i, indexes[n]);
		n += topics[n].partitions_n > 0;
	}
	request.v3_and_below_topics = topics;
	request.v3_and_below_topics_n = n;
	sim_conn_call(conn, call, API_ADD_PARTITIONS_TO_TXN, &request, REQUEST_TIMEOUT_MS, done);
}

static void batch_write(const struct txn_request *r, const struct txn_batch *batch, struct scratch *out)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct bytes built;
	enum err err;

	spec.attributes = BATCH_TRANSACTIONAL;
	spec.producer_id = r->producer_id;
	spec.producer_epoch = r->epoch;
	spec.base_sequence = batch->sequence;
	err = batch_builder_init(&b, &spec, out, NULL);
	for (int i = 0; !err && i < batch->records_n; i++) {
		uint8_t value[CHECK_TXN_VALUE_LEN];
		struct record_fields fields = {.value = {value, sizeof(value)}};

		check_txn_value(batch->records[i], value);
		err = batch_builder_add(&b, r->made_ms, &fields);
	}
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
}

static void send_produce(const struct txn_request *r, struct sim_conn *conn, struct sim_call *call,
			 void (*done)(struct sim_call *))
{
	struct produce_request_topic_data topics[TXN_BATCHES_MAX];
	struct produce_request_topic_data_partition_data parts[TXN_BATCHES_MAX];
	struct scratch bytes[TXN_BATCHES_MAX] = {{0}};
	struct produce_request request;

	msg_init(&produce_request_type, &request);
	request.transactional_id = str_of(r->id);
	request.acks = -1;
	request.timeout_ms = 4000;
	request.topic_data = topics;
	request.topic_data_n = r->batches_n;
	for (int i = 0; i < r->batches_n; i++) {
		const struct txn_batch *batch = &r->batches[i];

		batch_write(r, batch, &bytes[i]);
		msg_init(&produce_request_topic_data_type, &topics[i]);
		msg_init(&produce_request_topic_data_partition_data_type, &parts[i]);
		topics[i].name = str_of(r->topics[batch->part / TXN_TOPIC_PARTS]);
		topics[i].partition_data = &parts[i];
		topics[i].partition_data_n = 1;
		parts[i].index = batch->part % TXN_TOPIC_PARTS;
		parts[i].records = records_mem(scratch_bytes(&bytes[i]));
	}
	sim_conn_call(conn, call, API_PRODUCE, &request, REQUEST_TIMEOUT_MS, done);
	for (int i = 0; i < r->batches_n; i++)
		scratch_deinit(&bytes[i]);
}

static void send_add_offsets(const struct txn_request *r, struct sim_conn *conn, struct sim_call *call,
			     void (*done)(struct sim_call *))
{
	struct add_offsets_to_txn_request request;

	msg_init(&add_offsets_to_txn_request_type, &request);
	request.transactional_id = str_of(r->id);
	request.producer_id = r->producer_id;
	request.producer_epoch = r->epoch;
	request.group_id = str_of(r->group);
	sim_conn_call(conn, call, API_ADD_OFFSETS_TO_TXN, &request, REQUEST_TIMEOUT_MS, done);
}

static void send_commit_offsets(const struct txn_request *r, struct sim_conn *conn, struct sim_call *call,
				void (*done)(struct sim_call *))
{
	struct txn_offset_commit_request_topics_partitions parts[TXN_TOPIC_PARTS];
	struct txn_offset_commit_request_topics topic;
	struct txn_offset_commit_request request;
	int32_t n = 0;

	msg_init(&txn_offset_commit_request_type, &request);
	msg_init(&txn_offset_commit_request_topics_type, &topic);
	request.transactional_id = str_of(r->id);
	request.group_id = str_of(r->group);
	request.producer_id = r->producer_id;
	request.producer_epoch = r->epoch;
	request.generation_id = r->member_epoch;
	request.member_id = str_of(r->member);
	request.topics = &topic;
	request.topics_n = 1;
	for (int32_t i = 0; i < TXN_TOPIC_PARTS; i++) {
		if (r->offsets[i] < 0)
			continue;
		msg_init(&txn_offset_commit_request_topics_partitions_type, &parts[n]);
		parts[n].partition_index = i;
		parts[n].committed_offset = r->offsets[i];
		parts[n++].committed_metadata = STR("");
	}
	topic.name = str_of(r->topics[0]);
	topic.partitions = parts;
	topic.partitions_n = n;
	sim_conn_call(conn, call, API_TXN_OFFSET_COMMIT, &request, REQUEST_TIMEOUT_MS, done);
}

static void send_end(const struct txn_request *r, struct sim_conn *conn, struct sim_call *call,
		     void (*done)(struct sim_call *))
{
	struct end_txn_request request;

	msg_init(&end_txn_request_type, &request);
	request.transactional_id = str_of(r->id);
	request.producer_id = r->producer_id;
	request.producer_epoch = r->epoch;
	request.committed = r->commit;
	sim_conn_call(conn, call, API_END_TXN, &request, REQUEST_TIMEOUT_MS, done);
}

static void send_marker(const struct txn_request *r, struct sim_conn *conn, struct sim_call *call,
			void (*done)(struct sim_call *))
{
	struct write_txn_markers_request_markers_topics topics[TXN_TOPICS_N];
	struct write_txn_markers_request_markers marker;
	struct write_txn_markers_request request;
	int32_t indexes[TXN_TOPICS_N][TXN_TOPIC_PARTS], n = 0;

	msg_init(&write_txn_markers_request_type, &request);
	msg_init(&write_txn_markers_request_markers_type, &marker);
	marker.producer_id = r->producer_id;
	marker.producer_epoch = r->epoch;
	marker.transaction_result = r->commit;
	marker.coordinator_epoch = r->coordinator_epoch;
	marker.transaction_version = 2;
	for (int i = 0; i < TXN_TOPICS_N; i++) {
		msg_init(&write_txn_markers_request_markers_topics_type, &topics[n]);
		topics[n].name = str_of(r->topics[i]);
		topics[n].partition_indexes = indexes[n];
		topics[n].partition_indexes_n = indexes_of(r->parts, i, indexes[n]);
		n += topics[n].partition_indexes_n > 0;
	}
	marker.topics = topics;
	marker.topics_n = n;
	request.markers = &marker;
	request.markers_n = 1;
	sim_conn_call(conn, call, API_WRITE_TXN_MARKERS, &request, REQUEST_TIMEOUT_MS, done);
}

void txn_request_send(const struct txn_request *r, struct sim_conn *conn, struct sim_call *call,
		      void (*done)(struct sim_call *))
{
	void (*const sends[])(const struct txn_request *, struct sim_conn *, struct sim_call *,
			      void (*)(struct sim_call *)) = {
		[TXN_INIT] = send_init,
		[TXN_ADD] = send_add,
		[TXN_PRODUCE] = send_produce,
		[TXN_ADD_OFFSETS] = send_add_offsets,
		[TXN_COMMIT_OFFSETS] = send_commit_offsets,
		[TXN_END] = send_end,
		[TXN_MARKER] = send_marker,
	};

	sends[r->kind](r, conn, call, done);
}

/* ---- answers ---- */

static void answer_code(struct txn_answer *answer, int16_t code)
{
	if (!answer->code)
		answer->code = code;
}

static void read_add(const struct add_partitions_to_txn_response *response, struct txn_answer *ret)
{
	for (int32_t i = 0; i < response->results_by_topic_v3_and_below_n; i++) {
		const struct add_partitions_to_txn_response_add_partitions_to_txn_topic_result *topic =
			&response->results_by_topic_v3_and_below[i];

		for (int32_t p = 0; p < topic->results_by_partition_n; p++) {
			int16_t code = topic->results_by_partition[p].partition_error_code;

			/* That of the partition which is to blame comes with it. */
			if (code != ERR_OPERATION_NOT_ATTEMPTED)
				answer_code(ret, code);
		}
	}
}

static void read_produce(const struct txn_request *r, const struct produce_response *response, struct world *w,
			 struct txn_answer *ret)
{
	int n = 0;

	for (int32_t i = 0; i < response->responses_n; i++) {
		const struct produce_response_responses *topic = &response->responses[i];

		for (int k = 0; k < r->batches_n; k++) {
			const struct txn_batch *batch = &r->batches[k];
			const struct produce_response_responses_partition_responses *got = topic->partition_responses;

			if (!str_eq_c(topic->name, r->topics[batch->part / TXN_TOPIC_PARTS]) ||
			    topic->partition_responses_n != 1 || got->index != batch->part % TXN_TOPIC_PARTS)
				continue;
			ret->codes[k] = got->error_code;
			ret->base_offsets[k] = got->base_offset;
			answer_code(ret, got->error_code);
			n++;
		}
	}
	if (n != r->batches_n)
		world_fail(w, "Produce of %d partitions of a transaction answers %d", r->batches_n, n);
}

static void read_commit_offsets(const struct txn_offset_commit_response *response, struct txn_answer *ret)
{
	for (int32_t i = 0; i < response->topics_n; i++) {
		for (int32_t p = 0; p < response->topics[i].partitions_n; p++)
			answer_code(ret, response->topics[i].partitions[p].error_code);
	}
}

static void read_marker(const struct write_txn_markers_response *response, struct txn_answer *ret)
{
	for (int32_t i = 0; i < response->markers_n; i++) {
		for (int32_t t = 0; t < response->markers[i].topics_n; t++) {
			for (int32_t p = 0; p < response->markers[i].topics[t].partitions_n; p++)
				answer_code(ret, response->markers[i].topics[t].partitions[p].error_code);
		}
	}
}

void txn_answer_read(const struct txn_request *r, const struct sim_call *call, struct world *w,
		     struct txn_answer *ret)
{
	*ret = (struct txn_answer){.producer_id = -1, .epoch = -1};
	switch (r->kind) {
	case TXN_INIT: {
		const struct init_producer_id_response *response = call->response;

		ret->code = response->error_code;
		ret->producer_id = response->producer_id;
		ret->epoch = response->producer_epoch;
		break;
	}
	case TXN_ADD:
		read_add(call->response, ret);
		break;
	case TXN_PRODUCE:
		read_produce(r, call->response, w, ret);
		break;
	case TXN_ADD_OFFSETS:
		ret->code = ((const struct add_offsets_to_txn_response *)call->response)->error_code;
		break;
	case TXN_COMMIT_OFFSETS:
		read_commit_offsets(call->response, ret);
		break;
	case TXN_END: {
		const struct end_txn_response *response = call->response;

		ret->code = response->error_code;
		ret->producer_id = response->producer_id;
		ret->epoch = response->producer_epoch;
		break;
	}
	case TXN_MARKER:
		read_marker(call->response, ret);
		break;
	default:
		UNREACHABLE();
	}
	world_trace(w, "txn.answered", "id=%s txn=%d what=%s producer=%lld epoch=%d code=%d", r->id, (int)r->txn,
		    txn_kind_name(r->kind), (long long)r->producer_id, r->epoch, ret->code);
}
