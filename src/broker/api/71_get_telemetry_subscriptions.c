/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetTelemetrySubscriptions (key 71), version 0: which metrics a client is to push, and how often (KIP-714). Kafka
 * serves it only where a plug-in takes the metrics; here the metrics page takes them, so it is always served.
 */
#include "api.h"
#include "broker.h"
#include "compress.h"
#include "msg/get_telemetry_subscriptions.h"
#include "telemetry_call.h"

static void get_telemetry_run(struct telemetry_call *call)
{
	call->err = telemetry_get(call->owner, &call->source, &call->request->arena, &call->subscription);
}

static void get_telemetry_done(struct telemetry_call *call)
{
	static const int8_t codecs[] = {CODEC_ZSTD, CODEC_LZ4, CODEC_GZIP, CODEC_SNAPPY};
	struct request *request = call->request;
	struct get_telemetry_subscriptions_response *out =
		MSG_NEW(&request->arena, get_telemetry_subscriptions_response);

	out->error_code = err_wire(call->err);
	if (!call->err) {
		out->client_instance_id = call->source.instance_id;
		out->subscription_id = call->subscription.id;
		out->accepted_compression_types = ARENA_NEW_N(&request->arena, int8_t, ARRAY_N(codecs));
		memcpy(out->accepted_compression_types, codecs, sizeof(codecs));
		out->accepted_compression_types_n = ARRAY_N(codecs);
		out->push_interval_ms = call->subscription.push_interval_ms;
		out->telemetry_max_bytes = request->shard->config->telemetry_max_bytes;
		out->delta_temporality = true;
		out->requested_metrics = call->subscription.metrics;
		out->requested_metrics_n = call->subscription.metrics_n;
	}
	request_reply(request, out);
}

void api_get_telemetry_subscriptions(struct request *request)
{
	const struct get_telemetry_subscriptions_request *in = request->body;
	struct uuid id = in->client_instance_id;

	if (uuid_is_zero(id))
		id = uuid_random(&request->shard->reactor->rng);
	telemetry_call_run(request, id, get_telemetry_run, get_telemetry_done);
}
