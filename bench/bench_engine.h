/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many connections that produce prebuilt batches, in one thread. A request is three pieces: a head of some
 * sixty bytes for each partition, one of a few batches shared by all, and three closing zeros; nothing is
 * encoded, copied or checksummed while the clock runs. Who decides when to send (closed loop, fixed rate) is
 * not known here: modes call producers_send() and learn of answers by a callback.
 *
 * Invariants:
 * 1. A connection's requests are answered in order, so the n-th answer belongs to the n-th request.
 * 2. sent_n - done_n <= inflight_max, the size of the ring of start times.
 * 3. queued_n counts requests given to a connection whose last byte the socket has not taken; the oldest of
 *    them is sent up to `head_sent` bytes.
 */

#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "bench_util.h"

struct pconn {
	int fd;
	bool wants_out;
	uint32_t index;
	uint64_t sent_n; /* requests handed over */
	uint64_t done_n; /* answered; equal to sent with acks=0 */
	uint64_t queued_n;
	size_t head_sent;
	uint64_t *start_ns; /* ring, inflight_max slots */
	size_t in_len;
	uint8_t in[512];
};

struct producers;
/* One answer. `start_ns` is what producers_send() was given, `now_ns` when the answer was read. */
typedef void producers_done_fn(struct producers *p, struct pconn *c, uint64_t start_ns, uint64_t now_ns,
			       int64_t base_offset, int16_t error);

struct producers {
	uint16_t port;
	const char *topic;
	int16_t acks;
	int32_t partitions_n;
	size_t value_len;
	size_t batch_len; /* wanted; see records_n */
	bool has_keys;
	uint32_t conns_n;
	uint32_t inflight_max;
	producers_done_fn *done;
	void *user;

	int epoll_fd;
	int32_t records_n; /* of each batch */
	size_t records_len; /* bytes of each batch */
	size_t answer_len_min;
	struct wbuf *heads; /* per partition */
	struct wbuf *batches;
	struct pconn *conns;
};

/* Connects and builds everything; the caller has filled in the first group of members. */
void producers_open(struct producers *p);
void producers_close(struct producers *p);

/* Room for one more request. */
bool producers_can_send(const struct producers *p, const struct pconn *c);
/* Hands one request to the connection, without touching the socket yet. */
void producers_send(struct producers *p, struct pconn *c, uint64_t start_ns);
/* Writes what is queued, as far as the socket takes it. */
void producers_flush(struct producers *p, struct pconn *c);
/* Waits for events up to `timeout_us` (0 polls), reads answers, goes on writing. The time after waiting. */
uint64_t producers_poll(struct producers *p, uint64_t timeout_us);

/* Sends closing ApiVersions on each connection and waits: everything before it has then been handled. */
void producers_drain(struct producers *p);

#endif
