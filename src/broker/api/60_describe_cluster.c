/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeCluster (key 60), versions 0-2 (KIP-700, KIP-919): brokers when asked on a broker listener, controllers when
 * asked on a controller listener; asking for the other kind is error 114.
 */
#include "acceptor.h"
#include "api.h"
#include "broker.h"
#include "controller_io.h"
#include "msg/describe_cluster.h"
#include "shard.h"
#include "topic_reply.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

static void describe_cluster_brokers(struct request *request, const struct describe_cluster_request *in,
				     struct describe_cluster_response *out)
{
	const struct image *image = request->shard->image;
	const struct broker_image *broker;
	int32_t n = 0;

	for (int32_t id = -1; (broker = image_broker_next(image, id)) != NULL; id = broker->id)
		n++;
	out->brokers = MSG_NEW_N(&request->arena, describe_cluster_response_brokers, n);
	for (int32_t id = -1; (broker = image_broker_next(image, id)) != NULL; id = broker->id) {
		struct describe_cluster_response_brokers *to;

		for (int32_t i = 0; i < broker->endpoints_n; i++) {
			if (!str_eq(broker->endpoints[i].name, request->conn->acceptor->name))
				continue;
			if (broker->fenced && !in->include_fenced_brokers)
				continue;
			to = &out->brokers[out->brokers_n++];
			to->broker_id = broker->id;
			to->host = broker->endpoints[i].host;
			to->port = broker->endpoints[i].port;
			to->rack = broker->rack;
			to->is_fenced = broker->fenced;
			break;
		}
	}
	out->controller_id = out->brokers_n > 0 ? out->brokers[0].broker_id : -1;
}

static void describe_cluster_controllers(struct request *request, struct describe_cluster_response *out)
{
	const struct acceptor *acceptor = request->conn->acceptor;

	out->brokers = MSG_NEW_N(&request->arena, describe_cluster_response_brokers, 1);
	out->brokers_n = 1;
	out->brokers[0].broker_id = request->shard->broker->node_id;
	out->brokers[0].host = acceptor->advertised_host;
	out->brokers[0].port = acceptor->advertised_port;
	out->controller_id = request->shard->broker->node_id;
}

void api_describe_cluster(struct request *request)
{
	const struct describe_cluster_request *in = request->body;
	bool is_controller = request->conn->acceptor->kind == API_CONTROLLER;
	struct describe_cluster_response out;

	msg_init(&describe_cluster_response_type, &out);
	out.cluster_id = request->shard->broker->cluster_id;
	out.endpoint_type = in->endpoint_type;
	if (in->endpoint_type != ENDPOINT_BROKERS && in->endpoint_type != ENDPOINT_CONTROLLERS) {
		out.error_code = ERR_UNSUPPORTED_ENDPOINT_TYPE;
		out.error_message = STR("Unsupported endpoint type.");
	} else if ((in->endpoint_type == ENDPOINT_CONTROLLERS) != is_controller) {
		out.error_code = ERR_MISMATCHED_ENDPOINT_TYPE;
		out.error_message = is_controller ? STR("This is a controller listener; ask for controllers here.")
						  : STR("This is a broker listener; ask for brokers here.");
	} else if (is_controller) {
		describe_cluster_controllers(request, &out);
	} else {
		describe_cluster_brokers(request, in, &out);
	}
	if (in->include_cluster_authorized_operations)
		out.cluster_authorized_operations = OPERATIONS_CLUSTER;
	request_reply(request, &out);
}
