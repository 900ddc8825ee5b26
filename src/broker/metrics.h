/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one shard counts: plain numbers that only its reactor writes and that only grow; who wants them takes a copy
 * by message (metrics_collect.h) and makes rates, quantiles and text of it elsewhere. Per request a few adds, per
 * record nothing.
 *
 * The times of a request:
 *
 *    received --queue--> started --local--> here it waits for others --remote--> done --response queue--> send begun
 *             --send--> sent                                            (total: received to sent)
 *    throttle: what the client was told to wait; it waits after the answer, so this is no part of the total
 *
 * 1. The clock is read once for each request that is done (metrics_clock) and once for each send; a request that
 *    starts in the same turn after another one was done starts when that was done, so waiting behind it counts as
 *    waiting in the queue.
 * 2. Counts of a topic go with the topic; `all_topics` keeps them.
 */
#ifndef BROKER_METRICS_H
#define BROKER_METRICS_H

#include "err.h"
#include "hist.h"
#include "registry.h"

struct conn;
struct request;
struct shard;

enum metrics_phase {
	METRICS_QUEUE,
	METRICS_LOCAL,
	METRICS_REMOTE,
	METRICS_THROTTLE,
	METRICS_RESPONSE_QUEUE,
	METRICS_SEND,
	METRICS_TOTAL,
	METRICS_PHASES_N,
};

#define METRICS_VERSIONS_N 24
#define METRICS_ERRORS_N 32

struct metrics_api {
	uint64_t requests[METRICS_VERSIONS_N]; /* by version; what is above the last counts there */
	/* By Kafka's code, in order of appearance; what finds no place is left out of these, not of the requests. */
	struct {
		int16_t code;
		uint64_t n;
	} errors[METRICS_ERRORS_N];
	int errors_n;
	struct hist phases[METRICS_PHASES_N]; /* ns */
	struct hist bytes;                    /* of the request's frame */
	/* The slowest request since the copy before this one; total_ns 0: none. */
	struct {
		int64_t total_ns;
		int64_t wall_ms;
		int32_t correlation_id;
		char client_id[48];
	} slowest;
};

enum metrics_topic_count {
	TOPIC_BYTES_IN,
	TOPIC_BYTES_OUT,
	TOPIC_BYTES_REJECTED,
	TOPIC_MESSAGES_IN,
	TOPIC_PRODUCE_REQUESTS,
	TOPIC_FETCH_REQUESTS,
	TOPIC_FAILED_PRODUCE,
	TOPIC_FAILED_FETCH,
	TOPIC_PRODUCE_CONVERSIONS, /* batches packed anew in another codec or format */
	TOPIC_INVALID_MAGIC,
	TOPIC_INVALID_CRC,
	TOPIC_INVALID_OFFSET,
	TOPIC_NO_KEY_COMPACTED,
	TOPIC_COUNTS_N,
};

struct metrics_topic {
	uint64_t counts[TOPIC_COUNTS_N];
};

/* Of one listener on this reactor; by the index of the acceptor. */
#define METRICS_LISTENERS_N 128

struct metrics_listener {
	int32_t conns_n;
	uint64_t opened, closed;
	uint64_t bytes_in, bytes_out;
	uint64_t requests, responses;
};

/* Connections of one listener by what their clients say they are. Free: conns_n is 0. */
#define METRICS_SOFTWARE_N 64 /* on one reactor; who finds no place counts as unknown */

struct metrics_software {
	int32_t conns_n;
	int32_t listener;
	char text[128]; /* name, blank, version */
};

/* What the controller counts, on reactor 0. */
enum metrics_controller_time {
	CONTROLLER_QUEUE,      /* an operation waits to be decided */
	CONTROLLER_PROCESSING, /* it is decided and logged */
	CONTROLLER_COMMIT,     /* from the append of records to their commit */
	CONTROLLER_ELECTION,   /* from standing for election to leading */
	CONTROLLER_TIMES_N,
};

struct metrics_controller {
	struct hist times[CONTROLLER_TIMES_N]; /* ns */
	int64_t commit_began_ns;               /* of the oldest record that is not committed; 0: none */
	int64_t election_began_ns;
};

/* What asking the coordinators of transactions for the sake of writes came to. */
struct transaction_stats {
	uint64_t failures_n; /* partitions that may not be written */
	struct hist ask_ns;
};

struct metrics {
	int64_t clock_ns; /* last read; never ahead of the clock */
	uint64_t requests_n;
	struct metrics_api *apis[API_KEY_MAX + 1]; /* NULL: never asked */
	struct metrics_topic all_topics;
	struct metrics_listener *listeners; /* METRICS_LISTENERS_N, made with the first connection */
	struct metrics_software *software; /* METRICS_SOFTWARE_N, made with the first that says what it is */
	int32_t queued_n, running_n;                  /* requests, of those the shard has; the rest are answers */
	int32_t waiting_fetches_n, waiting_produces_n; /* requests that wait for others */
	uint64_t expired_fetches;
	uint64_t sessions_evicted;
	struct transaction_stats transaction_asks;
};

void metrics_deinit(struct metrics *metrics);
/* Reads the clock: for measuring only, decisions go by the reactor's now_ns. */
int64_t metrics_clock(struct shard *shard);
/* The reactor's time, or the last reading of the clock if that is later. */
int64_t metrics_now(const struct shard *shard);
/* Counts the error codes that an answer holds, as its schema names them. */
void metrics_response(struct request *request, const void *response);
/* The answer has left (or there was none to send): counts the request with its times. */
void metrics_request_sent(const struct request *request, int64_t send_began_ns, int64_t sent_ns);
struct metrics_listener *metrics_listener(struct shard *shard, int acceptor_index);
/* The client of a connection says what it is, perhaps again; null: the connection goes. */
void metrics_conn_software(struct conn *conn, struct str text);

/* Adds to the counts of a topic of this shard and to those of all. topic: struct shard_topic's; NULL: all only. */
static inline void metrics_topic_add(struct metrics *metrics, struct metrics_topic *topic,
				     enum metrics_topic_count count, uint64_t n)
{
	metrics->all_topics.counts[count] += n;
	if (topic)
		topic->counts[count] += n;
}

/* A batch was appended, or refused with `err`. */
void metrics_produced(struct shard *shard, struct metrics_topic *topic, enum err err, uint64_t bytes_n,
		      uint64_t records_n);
/* A read of a partition ended. */
void metrics_fetched(struct shard *shard, struct metrics_topic *topic, enum err err);

#endif
