/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that has one request out at a time, about one partition: what the small workloads share. They hold what they
 * know and judge; this holds the connection, the pause between two steps, and the requests.
 */
#ifndef SIM_WORKLOAD_CLIENT_H
#define SIM_WORKLOAD_CLIENT_H

#include "msg/create_topics.h"
#include "msg/fetch.h"
#include "msg/produce.h"
#include "record.h"
#include "workload.h"

struct wl_client {
	struct workload *wl;
	struct sim_conn conn;
	struct sim_call call;
	struct sim_event next;
	bool is_ended;
	void (*step)(struct wl_client *client); /* connected, and nothing is out */
};

struct wl_place {
	struct str topic;
	struct uuid topic_id;
	int32_t partition;
};

/* name: of the client, kept. owner: of the connection; up and down as sim_conn's. */
void wl_client_init(struct wl_client *client, struct workload *wl, const char *name, void (*step)(struct wl_client *));
void wl_client_deinit(struct wl_client *client);
void wl_client_open(struct wl_client *client);
void wl_client_end(struct wl_client *client);
/* The next step comes after a drawn pause; without a connection that is opened instead. */
void wl_client_later(struct wl_client *client, int64_t least_ns, int64_t most_ns);
static inline struct wl_client *wl_client_of_call(struct sim_call *call)
{
	return container_of(call, struct wl_client, call);
}

/* One partition. done NULL: acks=0. */
void wl_client_produce(struct wl_client *client, const struct wl_place *place, int16_t acks, struct bytes records,
		       void (*done)(struct sim_call *));
void wl_client_fetch(struct wl_client *client, const struct wl_place *place, int64_t offset, int32_t bytes_max,
		     void (*done)(struct sim_call *));
/* The answer about the partition; NULL when there is none (of Produce: the world has failed). */
const struct produce_response_responses_partition_responses *wl_client_produced(struct sim_call *call);
const struct fetch_response_responses_partitions *wl_client_fetched(struct sim_call *call);
/* A topic with one partition. config: pairs of name and value. */
struct wl_new_topic {
	const char *name;
	const char *(*config)[2];
	int32_t config_n;
};
#define WL_NEW_TOPICS_MAX 4
#define WL_NEW_CONFIG_MAX 8
void wl_client_create(struct wl_client *client, const struct wl_new_topic *topics, int32_t n,
		      void (*done)(struct sim_call *));

/* Calls fn for each record of whole batches, then sees to the end of each batch; returns false when bytes are no whole
 * good batches. fn false: no more. */
typedef bool wl_record_fn(void *ctx, const struct record *record);
bool wl_records_each(const struct fetch_response_responses_partitions *got, wl_record_fn *fn, void *ctx,
		     int64_t *ret_end);

#endif
