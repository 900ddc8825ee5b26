/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners: bound before anything else so that a taken port is found first, accepting only when the broker serves.
 * Reactor 0 accepts and deals connections out to all reactors in turn.
 *
 * 1. Connections over max.connections, or over a listener's or an address's own limit, are closed at accept.
 */
#ifndef BROKER_ACCEPTOR_H
#define BROKER_ACCEPTOR_H

#include "api.h"
#include "io.h"
#include "map.h"

struct broker;
struct shard;

struct acceptor {
	struct broker *broker;
	int index;       /* in acceptor_set */
	struct str name; /* "PLAINTEXT", memory of the configuration */
	enum api_listener kind;
	struct io_addr addr; /* bound */
	io_sock sock;
	struct io_op accept;
	bool is_accepting;
	int32_t conns_n, conns_max;
	struct str advertised_host; /* null for a controller listener that has none */
	uint16_t advertised_port;
	struct timer backoff;
};

struct acceptor_set {
	struct acceptor *acceptors; /* one per bound address: "localhost" is two */
	int acceptors_n;
	struct map per_ip;   /* hash of address -> struct ip_count */
	int conns_n;
	int next_shard;
};

/* Binds every address of the configuration. On failure the text says which, who holds it and what to do (ML1020). */
enum err acceptor_bind_all(struct broker *broker, struct err_text *text) MUST_USE;
void acceptor_accept_all(struct broker *broker, enum api_listener kind);
void acceptor_close_all(struct broker *broker);
/* After the reactors have ended. */
void acceptor_free_all(struct broker *broker);
/* A connection is gone: counts (told to reactor 0 by message from the others). */
void acceptor_conn_gone(struct acceptor *listener, struct shard *shard, const struct io_addr *peer);

#endif
