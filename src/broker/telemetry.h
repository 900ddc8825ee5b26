/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics that clients push (KIP-714). Which, how often and from whom stands in the image (resources of the type
 * client-metrics); what came last of each client is kept for the metrics page.
 *
 *   GetTelemetrySubscriptions --> the client as known here, or a new one --> subscription id, interval, metrics
 *   PushTelemetry --> accepted? --> unpacked --> read --> latest values
 *
 * 1. A client instance belongs to one reactor, by its id; requests go there and back by message.
 * 2. When a subscription changes, every client is looked at anew at its next request: it may ask again at once, and a
 *    push under the old id is refused.
 * 3. A client that was quiet for three intervals, at least a minute, is forgotten with its values. There are at most
 *    TELEMETRY_CLIENTS_MAX of them on a node, TELEMETRY_VALUES_MAX values of each, TELEMETRY_BYTES_MAX in all.
 */
#ifndef BROKER_TELEMETRY_H
#define BROKER_TELEMETRY_H

#include "image.h"
#include "reactor.h"
#include "request.h"

struct shard;
struct telemetry;

#define TELEMETRY_CLIENTS_MAX 16384
#define TELEMETRY_VALUES_MAX 2000
#define TELEMETRY_BYTES_MAX ((size_t)64 << 20)
#define TELEMETRY_METRICS_MAX 256 /* names in one answer */

/* What is known of who asks; texts of the request or its connection. */
struct telemetry_source {
	struct uuid instance_id;
	struct str client_id, software_name, software_version, address;
	uint16_t port;
};

struct telemetry *telemetry_new(struct shard *shard);
void telemetry_free(struct telemetry *telemetry);
/* The shard goes to another image. */
void telemetry_follow(struct telemetry *telemetry, const struct image *image);
/* Now and then: forgets who was quiet too long. */
void telemetry_tick(struct telemetry *telemetry);
/* Which reactor has the client. */
struct shard *telemetry_owner(const struct shard *shard, struct uuid instance_id);

/* What a client is told; texts of the arena. */
struct telemetry_subscription {
	int32_t id;
	int32_t push_interval_ms;
	struct str *metrics; /* prefixes of names; "*" is all */
	int32_t metrics_n;
};

/* On the owner. ERR_THROTTLING_QUOTA_EXCEEDED when the client asks too early. */
enum err telemetry_get(struct telemetry *telemetry, const struct telemetry_source *source, struct arena *arena,
		       struct telemetry_subscription *ret) MUST_USE;
/* On the owner. Errors as the original's: ERR_INVALID_REQUEST after a push that was said to be the last,
 * ERR_THROTTLING_QUOTA_EXCEEDED, ERR_UNKNOWN_SUBSCRIPTION_ID, ERR_UNSUPPORTED_COMPRESSION_TYPE,
 * ERR_TELEMETRY_TOO_LARGE, ERR_INVALID_RECORD. */
struct push_telemetry_request;
enum err telemetry_push(struct telemetry *telemetry, const struct telemetry_source *source,
			const struct push_telemetry_request *push) MUST_USE;

/* Copies for the metrics page: on the owning reactor, freed by anybody. */
struct telemetry_row {
	const char *name;   /* as the client has it, "org.apache.kafka.consumer.connection.count" */
	const char *labels; /* in the form of Prometheus, without braces: client_id="a",... */
	double value;
	bool is_counter;
};
struct telemetry_rows {
	struct arena arena;
	struct telemetry_row *rows;
	int32_t rows_n;
	int32_t clients_n;
	int64_t left_out_n; /* values that found no place, here or in the store */
};
/* At most rows_max values, those of the clients heard last first. NULL when no client is known. */
struct telemetry_rows *telemetry_copy(struct telemetry *telemetry, int32_t rows_max);
/* Clients known here, and their pushes that were refused as they named another subscription. */
void telemetry_count(const struct telemetry *telemetry, int32_t *ret_clients_n, uint64_t *ret_unknown_n);
/* NULL is fine. */
void telemetry_rows_free(struct telemetry_rows *rows);

#endif
