/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast connections may come (KIP-612): over the whole broker, to one listener, from one address. Lives on reactor
 * 0, where connections are accepted.
 *
 * 1. A connection that is let in counts once in each of the three rates; one that its address's limit keeps out counts
 *    in none.
 * 2. An address has a rate only while a limit holds for it; of at most CONN_LIMITS_ADDRESSES_MAX addresses, the longest
 *    quiet goes first.
 */
#ifndef BROKER_CONN_LIMITS_H
#define BROKER_CONN_LIMITS_H

#include "image.h"
#include "io.h"
#include "list.h"
#include "map.h"
#include "rate.h"

#define CONN_LIMITS_ADDRESSES_MAX 10000

/* How long connections were made to wait; those that were not do not count. */
struct conn_delays {
	int64_t n, ms;
};

struct conn_rate; /* a rate with the memory of its windows */

struct conn_limits {
	int32_t samples_n;
	int64_t window_ms;
	struct conn_rate *broker;
	struct map ip_bounds; /* hash of address -> struct ip_bound: what quotas say by name */
	bool has_ip_default;
	double ip_default;
	struct map ips;      /* hash of address -> struct ip_rate */
	struct list ips_lru; /* longest quiet first */
	/* for the metrics page; they only grow */
	uint64_t waited_n;    /* connections that waited for a place or for a rate */
	uint64_t throttled_n; /* kept out by their address's rate */
	uint64_t refused_n;   /* closed at once: too many from one address */
};

void conn_limits_init(struct conn_limits *limits, int32_t samples_n, int64_t window_ms, uint64_t seed);
void conn_limits_deinit(struct conn_limits *limits);
/* Reads the limits of addresses out of an image. */
void conn_limits_follow(struct conn_limits *limits, const struct image *image);

struct conn_rate *conn_rate_new(const struct conn_limits *limits);
void conn_rate_free(struct conn_rate *rate);
/* Counts one more; the ms until it may go on, at most one window. INT32_MAX per second is no limit. */
int64_t conn_rate_ask(struct conn_rate *rate, int32_t per_s, int64_t now_ms);
/* Takes one back. */
void conn_rate_undo(struct conn_rate *rate, int64_t now_ms);
/* Counts one more from an address; above its limit it is not counted, and the ms are told for which the connection
 * stays open without being served. 0: it may come in. */
int64_t conn_limits_ask_ip(struct conn_limits *limits, const struct io_addr *peer, int64_t now_ms);

uint64_t conn_limits_ip_key(const struct io_addr *addr);

#endif
