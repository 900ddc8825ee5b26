/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848): what members of the new protocol say, and what they are
 * told. Decides on the newest state and gives records; nothing changes here but the session of who was heard.
 */
#ifndef COORDINATOR_CONSUMER_HEARTBEAT_H
#define COORDINATOR_CONSUMER_HEARTBEAT_H

#include "group_consumer.h"
#include "msg/consumer_group_describe.h"
#include "msg/consumer_group_heartbeat.h"

struct consumer_heartbeat {
	/* in */
	struct group_store *store;
	const struct consumer_group_heartbeat_request *request;
	struct str client_id, client_host;
	int16_t version; /* of the request */
	/* A classic member that joins (consumer_host.c); else NULL. */
	struct consumer_group_member_metadata_value_classic_member_metadata *hosted;
	/* out, memory of records->arena; a default object */
	struct consumer_group_heartbeat_response *response;
};

/* consumer_request.c: the request by itself. */
enum err consumer_request_check(const struct group_settings *settings,
				const struct consumer_group_heartbeat_request *request, int16_t version,
				struct err_text *text) MUST_USE;
/* Joins, stays or leaves. On an error the response has its code and, where Kafka has one, its message. */
enum err consumer_heartbeat_decide(struct consumer_heartbeat *heartbeat, struct coord_records *records) MUST_USE;

/* The same for a classic member that joins; the request tells what it owns, and was checked. */
enum err consumer_heartbeat_host(struct consumer_heartbeat *heartbeat, struct coord_records *records) MUST_USE;

/* consumer_describe.c: one group, as it is; topic names from store->image. An unknown or classic group is an error in
 * `ret`. */
void consumer_describe(struct group_store *store, struct str group_id, struct arena *arena,
		       struct consumer_group_describe_response_groups *ret);

#endif
