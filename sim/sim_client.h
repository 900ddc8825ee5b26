/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Kafka client's connection in the world, callback style, on the product's own codec: connect, ask for the versions,
 * send requests in order, match the answers, give up after a timeout. What is above a connection (retries, sequences,
 * sessions) is the workloads' matter.
 *
 *      OFF --open--> CONNECTING --> ASKING (ApiVersions) --> UP --+
 *       ^                |              |                         |
 *       +----------------+--------------+---- lost, closed -------+
 *
 * 1. Every call's done runs exactly once; with err when the connection ended or time ran out (then the connection
 *    ends with it, as in real clients). It never runs inside sim_conn_call.
 * 2. A response that does not decode, has bytes left over or comes out of order is a failure of the world.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "arena.h"
#include "registry.h"
#include "sim_net.h"
#include "sim_world.h"
#include "vec.h"

struct sim_conn;

struct sim_call {
	struct list link; /* in sim_conn.calls */
	struct sim_conn *conn;
	const struct api *api;
	int16_t version;
	int32_t correlation_id;
	struct sim_event timeout;
	int64_t sent_ns;
	void (*done)(struct sim_call *call);
	/* For done: */
	enum err err;
	void *response; /* the generated struct; gone after done */
};

struct sim_conn {
	struct world *w;
	int node;
	const char *name; /* client id */
	/* May be NULL. The connection serves; it was lost or closed by a timeout (never told for sim_conn_close). */
	void (*up)(struct sim_conn *conn);
	void (*down)(struct sim_conn *conn);
	void *owner;
	enum { CONN_OFF, CONN_CONNECTING, CONN_ASKING, CONN_UP } state;
	struct sim_sock *sock;
	struct list calls; /* struct sim_call, in order of sending */
	int32_t correlation_next;
	uint32_t era; /* w->era when the connection was made: what comes over it was true then */
	struct sim_call versions_call;
	struct sim_event lost;
	VEC(uint8_t) out;
	size_t out_at;
	VEC(uint8_t) in;
	int16_t version_max[API_KEY_MAX + 1]; /* of the broker; -1: not offered */
	int16_t version_min[API_KEY_MAX + 1];
	int16_t cap[API_KEY_MAX + 1]; /* this client speaks no newer one: it has the age of a seeded release */
};

void sim_conn_init(struct sim_conn *conn, struct world *w, int node, const char *name);
/* Closes without telling anybody. */
void sim_conn_deinit(struct sim_conn *conn);
void sim_conn_open(struct sim_conn *conn);
/* All calls end with ERR_DISCONNECTED, soon. */
void sim_conn_close(struct sim_conn *conn);
/* The version that both speak; -1 when there is none. */
int16_t sim_conn_version(const struct sim_conn *conn, int16_t api_key);
/* The connection must be UP. body: the generated request struct, copied. done NULL: no response comes (acks=0). */
void sim_conn_call(struct sim_conn *conn, struct sim_call *call, int16_t api_key, const void *body, int64_t timeout_ms,
	       void (*done)(struct sim_call *));
static inline bool sim_call_is_out(const struct sim_call *call)
{
	return call->conn != NULL;
}

#endif
