/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Transactions of version 2. `txn`: producers on a connection each, which write to their partitions with one
 * Produce and then end the transaction, over and over:
 *
 *    PRODUCING --all partitions stored--> ENDING --EndTxn answered--> PRODUCING ...
 *        |                                  |
 *        +------- told to come back: the same request again after a pause -------+
 *
 * `ids`: makes many producer ids (a batch or more each) and open transactions and leaves them; what the server
 * keeps for one of them is what its memory grows by.
 */

#include "bench_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	TIMEOUT_MS = 600000, /* of a transaction */
	ID_LEN_MAX = 128,
	EVENTS_N = 64,
	PIPELINE = 64, /* requests of `ids` that are under way */
	RETRY_US = 1000,
	IDS_FIRST = 1 << 30, /* far above what a server has given out */
};

/* What a client repeats: the coordinator is not there yet, or the transaction before is not over. */
static bool txn_error_is_retriable(int16_t error)
{
	enum { LOADING = 14, NOT_AVAILABLE = 15, NOT_COORDINATOR = 16, NOT_ENOUGH_REPLICAS = 19, CONCURRENT = 51 };
	return error_is_retriable(error) || error == LOADING || error == NOT_AVAILABLE ||
	       error == NOT_COORDINATOR || error == NOT_ENOUGH_REPLICAS || error == CONCURRENT;
}

/* Sends `w`, then leaves the answer in it. */
static struct rbuf call(int fd, struct wbuf *w)
{
	net_send(fd, w->p, w->len);
	if (!net_receive(fd, w))
		die("the server closed the connection");
	return rbuf_of(w->p, w->len);
}

/* Begins with a new epoch. Looking for the coordinator makes its topic, where it is not there yet. */
static struct wire_producer producer_init(int fd, const char *id)
{
	uint64_t end = clock_now_ns() + 60ull * 1000000000;
	struct wire_producer producer = { 0 };
	struct wbuf w = { 0 };
	for (;;) {
		int16_t error = 0;
		w.len = 0;
		wire_init_producer_id(&w, id, TIMEOUT_MS);
		if (!wire_producer_parse(call(fd, &w), &error, &producer))
			die("malformed InitProducerId answer");
		if (error == 0)
			break;
		if (!txn_error_is_retriable(error) || clock_now_ns() > end)
			die("beginning with %s: error %d", id, error);
		w.len = 0;
		wire_find_coordinator(&w, id);
		if (!wire_find_coordinator_parse(call(fd, &w), &error) ||
		    (error != 0 && !txn_error_is_retriable(error)))
			die("looking for the coordinator of %s: error %d", id, error);
		usleep(RETRY_US);
	}
	wbuf_deinit(&w);
	return producer;
}

/* ---- txn ---- */

enum tconn_state { TCONN_PRODUCING, TCONN_ENDING, TCONN_STOPPED };

struct tconn {
	int fd;
	enum tconn_state state;
	char id[ID_LEN_MAX];
	struct wire_producer producer;
	struct wbuf batch;
	struct wbuf request; /* the one under way */
	int32_t partition;   /* the first of its own */
	uint64_t txns_n;
	uint64_t produce_ns; /* when the transaction began */
	uint64_t end_ns;     /* when its end was asked for */
	uint64_t retry_ns;   /* when to send the request again; 0: it is under way */
	size_t in_len;
	uint8_t in[4096];
};

struct txn_run {
	struct target target;
	struct window window;
	struct hist *commits; /* EndTxn */
	struct hist *produces;
	struct hist *txns; /* all of it */
	struct tconn *conns;
	uint32_t conns_n;
	uint32_t stopped_n;
	int32_t partitions_n; /* of each transaction */
	uint64_t abort_percent;
	uint64_t txn_len; /* bytes of batches */
	uint64_t left_n; /* transactions still to begin */
	uint64_t retries_n;
	uint64_t retrying_n;
	bool measures;
	bool stops;
};

static void tconn_send(struct tconn *c)
{
	c->retry_ns = 0;
	if (send(c->fd, c->request.p, c->request.len, MSG_NOSIGNAL) != (ssize_t)c->request.len)
		die("send: %s", strerror(errno));
}

static void txn_begin(struct txn_run *run, struct tconn *c, uint64_t now_ns)
{
	if (run->stops || run->left_n == 0) {
		c->state = TCONN_STOPPED;
		run->stopped_n++;
		return;
	}
	run->left_n--;
	c->state = TCONN_PRODUCING;
	c->produce_ns = now_ns;
	c->request.len = 0;
	/* The epoch is new with each transaction, and with it sequences begin at 0. */
	wire_batch_sign(&c->batch, c->producer, 0, true);
	wire_produce_all(&c->request, c->id, run->target.topic, c->partition, run->partitions_n, &c->batch);
	tconn_send(c);
}

static bool txn_aborts(const struct txn_run *run, uint64_t n)
{
	return n * run->abort_percent / 100 != (n + 1) * run->abort_percent / 100;
}

static void txn_end(struct txn_run *run, struct tconn *c, uint64_t now_ns)
{
	c->state = TCONN_ENDING;
	c->end_ns = now_ns;
	c->request.len = 0;
	wire_end_txn(&c->request, c->id, c->producer, !txn_aborts(run, c->txns_n));
	tconn_send(c);
}

static void txn_ended(struct txn_run *run, struct tconn *c, uint64_t now_ns)
{
	c->txns_n++;
	if (run->measures) {
		hist_add(run->commits, now_ns - c->end_ns);
		hist_add(run->produces, c->end_ns - c->produce_ns);
		hist_add(run->txns, now_ns - c->produce_ns);
	}
	txn_begin(run, c, now_ns);
}

static void tconn_answered(struct txn_run *run, struct tconn *c, struct rbuf answer, uint64_t now_ns)
{
	int16_t error = 0;
	struct wire_producer next = c->producer;
	bool is_good = c->state == TCONN_PRODUCING ? wire_produce_all_parse(answer, &error) :
						     wire_producer_parse(answer, &error, &next);
	if (!is_good || c->state == TCONN_STOPPED)
		die("malformed answer to %s", c->state == TCONN_PRODUCING ? "Produce" : "EndTxn");
	if (error != 0) {
		if (!txn_error_is_retriable(error))
			die("%s: error %d", c->state == TCONN_PRODUCING ? "Produce" : "EndTxn", error);
		c->retry_ns = now_ns + RETRY_US * 1000;
		run->retrying_n++;
		run->retries_n += run->measures;
	} else if (c->state == TCONN_PRODUCING) {
		txn_end(run, c, now_ns);
	} else {
		c->producer = next;
		txn_ended(run, c, now_ns);
	}
}

static void tconn_read(struct txn_run *run, struct tconn *c, uint64_t now_ns)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("the server closed the connection of %s", c->id);
	c->in_len += (size_t)n;
	if (c->in_len < 4)
		return;
	size_t len = (size_t)(uint32_t)wire_get_i32(c->in);
	if (len > sizeof(c->in) - 4)
		die("an answer of %zu bytes", len);
	if (c->in_len < len + 4)
		return;
	if (c->in_len > len + 4)
		die("an answer that nobody asked for");
	c->in_len = 0;
	tconn_answered(run, c, rbuf_of(c->in + 4, len), now_ns);
}

static void tconns_retry(struct txn_run *run, uint64_t now_ns)
{
	for (uint32_t i = 0; i < run->conns_n && run->retrying_n > 0; i++) {
		struct tconn *c = &run->conns[i];
		if (c->retry_ns == 0 || c->retry_ns > now_ns)
			continue;
		run->retrying_n--;
		tconn_send(c);
	}
}

static void txn_loop(struct txn_run *run, int epoll_fd, uint64_t end_ns)
{
	struct epoll_event events[EVENTS_N];
	uint64_t now = clock_now_ns();
	while (now < end_ns && run->stopped_n < run->conns_n) {
		int n = epoll_wait(epoll_fd, events, EVENTS_N, run->retrying_n > 0 ? 1 : 100);
		now = clock_now_ns();
		for (int i = 0; i < n; i++)
			tconn_read(run, events[i].data.ptr, now);
		if (run->retrying_n > 0)
			tconns_retry(run, now);
		if (run->measures)
			window_tick(&run->window, &run->target, now);
	}
}

static int tconns_open(struct txn_run *run, int32_t records_n, size_t value_len)
{
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	run->conns = calloc(run->conns_n, sizeof(*run->conns));
	if (run->conns == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < run->conns_n; i++) {
		struct tconn *c = &run->conns[i];
		c->fd = net_connect_wait(run->target.port, 5000);
		c->partition = (int32_t)i * run->partitions_n;
		snprintf(c->id, sizeof(c->id), "%s-%u", run->target.topic, i);
		c->producer = producer_init(c->fd, c->id);
		wire_batch(&c->batch, records_n, value_len, i + 1, (int64_t)time(NULL) * 1000);
		run->txn_len = c->batch.len * (uint64_t)run->partitions_n;
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0)
			die("epoll_ctl: %s", strerror(errno));
	}
	return epoll_fd;
}

void mode_txn(struct args *args)
{
	struct txn_run run = { .target = target_of(args), .commits = hist_new(), .produces = hist_new(),
			       .txns = hist_new() };
	run.conns_n = (uint32_t)args_int(args, "producers", 1);
	run.partitions_n = (int32_t)args_int(args, "partitions", 1);
	run.abort_percent = (uint64_t)args_int(args, "abort", 0);
	run.left_n = (uint64_t)args_int(args, "txns", INT64_MAX);
	int32_t records_n = (int32_t)args_int(args, "records", 1);
	size_t value_len = (size_t)args_int(args, "record", 100);
	double warm = args_double(args, "warm", 1);
	double secs = args_double(args, "secs", 3);
	args_finish(args);
	if (run.conns_n < 1 || run.partitions_n < 1 || run.partitions_n > 100 || records_n < 1)
		die("producers, partitions (at most 100) and records are 1 or more");
	int control = net_connect_wait(run.target.port, 10000);
	topic_prepare(control, run.target.topic, (int32_t)run.conns_n * run.partitions_n, run.target.configs);
	int epoll_fd = tconns_open(&run, records_n, value_len);
	for (uint32_t i = 0; i < run.conns_n; i++)
		txn_begin(&run, &run.conns[i], clock_now_ns());
	txn_loop(&run, epoll_fd, clock_now_ns() + (uint64_t)(warm * 1e9));
	run.measures = true;
	window_begin(&run.window, &run.target);
	txn_loop(&run, epoll_fd, run.window.start_ns + (uint64_t)(secs * 1e9));
	uint64_t now = clock_now_ns();
	printf("mode=txn producers=%u partitions=%d records_each=%d abort=%llu retries=%llu", run.conns_n,
	       run.partitions_n, records_n, (unsigned long long)run.abort_percent, (unsigned long long)run.retries_n);
	window_print(&run.window, &run.target, now, run.txns->n * run.txn_len, run.txns->n);
	hist_print(run.commits, "");
	hist_print(run.produces, "produce_");
	hist_print(run.txns, "txn_");
	printf("\n");
	/* What is open is brought to its end, so that nothing waits for it. */
	run.measures = false;
	run.stops = true;
	txn_loop(&run, epoll_fd, clock_now_ns() + 30ull * 1000000000);
	if (run.stopped_n < run.conns_n)
		die("no answer for 30 s");
	if (run.target.deletes)
		topic_delete(control, run.target.topic);
}

/* ---- ids ---- */

/* Sends `n` requests that stand in `w`, and takes as many answers. */
static void pipeline_run(int fd, struct wbuf *w, uint64_t n, struct wbuf *in)
{
	net_send(fd, w->p, w->len);
	w->len = 0;
	for (uint64_t i = 0; i < n; i++) {
		int16_t error = 0;
		if (!net_receive(fd, in) || !wire_produce_all_parse(rbuf_of(in->p, in->len), &error))
			die("malformed Produce answer");
		if (error != 0)
			die("producing for a producer id: error %d", error);
	}
}

/* The n-th batch of each id; without an id: as many batches of nobody. */
static void ids_produce(int fd, const char *topic, struct wbuf *batch, uint64_t ids_n, int32_t sequence, bool is_plain)
{
	struct wbuf w = { 0 };
	struct wbuf in = { 0 };
	uint64_t n = 0;
	for (uint64_t i = 0; i < ids_n; i++) {
		struct wire_producer producer = { .id = IDS_FIRST + (int64_t)i };
		if (is_plain)
			producer = (struct wire_producer){ .id = -1, .epoch = -1 };
		wire_batch_sign(batch, producer, is_plain ? -1 : sequence, false);
		wire_produce_all(&w, NULL, topic, 0, 1, batch);
		if (++n < PIPELINE && i + 1 < ids_n)
			continue;
		pipeline_run(fd, &w, n, &in);
		n = 0;
	}
	wbuf_deinit(&w);
	wbuf_deinit(&in);
}

/* Transactions with one batch each that nobody ends. */
static void txns_open(int fd, const char *topic, struct wbuf *batch, uint64_t txns_n)
{
	struct wbuf w = { 0 };
	for (uint64_t i = 0; i < txns_n; i++) {
		char id[ID_LEN_MAX];
		int16_t error = 0;
		snprintf(id, sizeof(id), "%s-open-%llu", topic, (unsigned long long)i);
		struct wire_producer producer = producer_init(fd, id);
		wire_batch_sign(batch, producer, 0, true);
		do {
			w.len = 0;
			wire_produce_all(&w, id, topic, 0, 1, batch);
			if (!wire_produce_all_parse(call(fd, &w), &error))
				die("malformed Produce answer");
		} while (txn_error_is_retriable(error));
		if (error != 0)
			die("producing for %s: error %d", id, error);
	}
	wbuf_deinit(&w);
}

void mode_ids(struct args *args)
{
	struct target t = target_of(args);
	uint64_t ids_n = (uint64_t)args_int(args, "ids", 100000);
	int32_t batches_n = (int32_t)args_int(args, "batches", 1);
	uint64_t txns_n = (uint64_t)args_int(args, "open", 0);
	size_t value_len = (size_t)args_int(args, "record", 100);
	uint64_t warm_n = (uint64_t)args_int(args, "warm", 20000);
	double settle = args_double(args, "settle", 0.5);
	args_finish(args);
	int fd = net_connect_wait(t.port, 10000);
	struct wbuf batch = { 0 };
	topic_prepare(fd, t.topic, 1, t.configs);
	wire_batch(&batch, 1, value_len, 1, (int64_t)time(NULL) * 1000);
	/* So that what grows with requests, segments and indexes has grown before. */
	ids_produce(fd, t.topic, &batch, warm_n, 0, true);
	usleep((useconds_t)(settle * 1e6));
	uint64_t before = proc_rss_bytes(t.pid);
	uint64_t start = clock_now_ns();
	for (int32_t i = 0; i < batches_n; i++)
		ids_produce(fd, t.topic, &batch, ids_n, i, false);
	double secs = (double)(clock_now_ns() - start) / 1e9;
	usleep((useconds_t)(settle * 1e6));
	uint64_t after = proc_rss_bytes(t.pid);
	start = clock_now_ns();
	txns_open(fd, t.topic, &batch, txns_n);
	double open_secs = (double)(clock_now_ns() - start) / 1e9;
	printf("mode=ids ids=%llu batches=%d open=%llu secs=%.3f open_secs=%.3f rss_before_mb=%.1f rss_mb=%.1f "
	       "bytes_per_id=%.1f\n",
	       (unsigned long long)ids_n, batches_n, (unsigned long long)txns_n, secs, open_secs, (double)before / 1e6,
	       (double)after / 1e6, ((double)after - (double)before) / (double)(ids_n > 0 ? ids_n : 1));
	wbuf_deinit(&batch);
	close(fd);
}
