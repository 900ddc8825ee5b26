/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeQuorum (key 55), versions 0-2: the state of the metadata quorum, from reactor 0. A broker listener answers
 * the same, as Kafka's brokers do by asking the active controller.
 */
#include "acceptor.h"
#include "api.h"
#include "broker.h"
#include "controller_io.h"
#include "msg/describe_quorum.h"
#include "shard.h"

struct describe_quorum {
	struct request *request;
	struct controller_op op;
	struct quorum_status status;
	struct describe_quorum_response out;
};

static enum err describe_quorum_decide(struct controller *controller, struct controller_op *op,
				       struct controller_records *records)
{
	struct describe_quorum *d = op->ctx;

	controller_io_quorum(d->request->shard->broker, &d->status);
	return ERR_NONE;
}

static void describe_quorum_partition(struct describe_quorum *d, struct str topic, int32_t index,
				      struct describe_quorum_response_topics_partitions *out)
{
	out->partition_index = index;
	if (!str_eq_c(topic, "__cluster_metadata") || index != 0) {
		out->error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
		return;
	}
	out->leader_id = d->status.leader_id;
	out->leader_epoch = d->status.leader_epoch;
	out->high_watermark = d->status.high_watermark;
	out->current_voters = MSG_NEW(&d->request->arena, describe_quorum_response_replica_state);
	out->current_voters_n = 1;
	out->current_voters[0].replica_id = d->status.leader_id;
	out->current_voters[0].log_end_offset = d->status.log_end_offset;
	/* Versions 0 and 1 cannot say a directory, 0 no time. */
	if (d->request->version >= 2)
		out->current_voters[0].replica_directory_id = d->status.directory_id;
	if (d->request->version == 0)
		return;
	out->current_voters[0].last_fetch_timestamp = d->status.last_caught_up_ms;
	out->current_voters[0].last_caught_up_timestamp = d->status.last_caught_up_ms;
}

/* The voter's address: that of its first controller listener. */
static void describe_quorum_nodes(struct describe_quorum *d)
{
	const struct broker *broker = d->request->shard->broker;
	struct describe_quorum_response_nodes *node = MSG_NEW(&d->request->arena, describe_quorum_response_nodes);

	d->out.nodes = node;
	d->out.nodes_n = 1;
	node->node_id = broker->node_id;
	node->listeners = MSG_NEW_N(&d->request->arena, describe_quorum_response_nodes_listeners,
				    broker->acceptors.acceptors_n);
	for (int i = 0; i < broker->acceptors.acceptors_n; i++) {
		const struct acceptor *acceptor = &broker->acceptors.acceptors[i];

		if (acceptor->kind != API_CONTROLLER ||
		    (node->listeners_n > 0 && str_eq(node->listeners[node->listeners_n - 1].name, acceptor->name)))
			continue;
		node->listeners[node->listeners_n++] = (struct describe_quorum_response_nodes_listeners){
			.name = acceptor->name, .host = acceptor->advertised_host, .port = acceptor->advertised_port};
	}
}

static void describe_quorum_done(struct controller_op *op)
{
	struct describe_quorum *d = op->ctx;
	const struct describe_quorum_request *in = d->request->body;

	if (op->err) {
		d->out.error_code = err_wire(op->err);
		request_reply(d->request, &d->out);
		return;
	}
	d->out.topics = MSG_NEW_N(&d->request->arena, describe_quorum_response_topics, in->topics_n);
	d->out.topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++) {
		struct describe_quorum_response_topics *topic = &d->out.topics[i];
		int32_t n = in->topics[i].partitions_n;

		topic->topic_name = in->topics[i].topic_name;
		topic->partitions = MSG_NEW_N(&d->request->arena, describe_quorum_response_topics_partitions, n);
		topic->partitions_n = n;
		for (int32_t j = 0; j < n; j++)
			describe_quorum_partition(d, topic->topic_name, in->topics[i].partitions[j].partition_index,
						  &topic->partitions[j]);
	}
	if (d->request->version >= 2)
		describe_quorum_nodes(d);
	request_reply(d->request, &d->out);
}

void api_describe_quorum(struct request *request)
{
	struct describe_quorum *d = ARENA_NEW(&request->arena, struct describe_quorum);

	d->request = request;
	msg_init(&describe_quorum_response_type, &d->out);
	d->op = (struct controller_op){
		.home = request->shard->reactor,
		.arena = &request->arena,
		.decide = describe_quorum_decide,
		.done = describe_quorum_done,
		.ctx = d,
	};
	controller_submit(request->shard->broker, &d->op);
}
