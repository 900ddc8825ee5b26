/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners: bound before anything else so that a taken port is found first, accepting only when the broker serves.
 * Reactor 0 accepts and deals connections out to all reactors in turn.
 *
 *    accepted --held: its listener or the broker is full, or too many came lately--> let in --> dealt out
 *                                                                                    |--> closed: too many from there
 *                                                                                    +--> closed later: too fast
 *
 * 1. A listener that holds a connection accepts no further one: those wait in the system's queue, as Kafka's do.
 * 2. The broker's own limits (max.connections, max.connection.creation.rate) do not hold back the listener between
 *    brokers when clients have another: the longest quiet connection of the others goes instead.
 * 3. Addresses of one listener ("localhost" has two) count together, in the first of them (`lead`). Controllers'
 *    listeners have their own limits only.
 */
#ifndef BROKER_ACCEPTOR_H
#define BROKER_ACCEPTOR_H

#include "api.h"
#include "conn_limits.h"
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
	struct acceptor *lead; /* the first of this listener */
	bool is_protected;     /* between brokers, and clients have another */
	int32_t conns_n;       /* of the listener; in the lead */
	struct conn_rate *rate; /* of the listener; in the lead */
	struct conn_delays delays, ip_delays; /* by rates of the broker or listener, and of addresses */
	io_sock held;          /* accepted, has no place yet; IO_SOCK_NONE */
	struct io_addr held_peer;
	int64_t held_until_ms;
	struct str advertised_host; /* null for a controller listener that has none */
	uint16_t advertised_port;
	struct timer backoff;
};

struct acceptor_set {
	struct acceptor *acceptors; /* one per bound address: "localhost" is two */
	int acceptors_n;
	struct map per_ip;   /* hash of address -> struct ip_count */
	int conns_n; /* without the controllers' listeners */
	int next_shard, next_evicted;
	struct conn_limits limits;
	struct list kept_out; /* struct kept_out: open without being served until their time is over */
	int kept_out_n;
	struct deferred place_held;
};

/* Binds every address of the configuration. On failure the text says which, who holds it and what to do (ML1020). */
enum err acceptor_bind_all(struct broker *broker, struct err_text *text) MUST_USE;
void acceptor_accept_all(struct broker *broker, enum api_listener kind);
void acceptor_close_all(struct broker *broker);
/* After the reactors have ended. */
void acceptor_free_all(struct broker *broker);
/* A connection is gone: counts (told to reactor 0 by message from the others). */
void acceptor_conn_gone(struct acceptor *listener, struct shard *shard, const struct io_addr *peer);

/* On reactor 0, now and then and when limits have changed: whoever waits for a place may have one now; more connections
 * than allowed: the longest quiet ones go. */
void acceptor_check_limits(struct broker *broker);

#endif
