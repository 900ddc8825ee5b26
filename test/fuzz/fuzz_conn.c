/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes from a client, over a socket pair into a real reactor: frames, headers, foreign protocols. The first byte
 * says in how many pieces they arrive and whether each is made a frame of a known API, the second which requests are
 * answered late. Behind the connection are ApiVersions as it is and two APIs that answer nothing of interest.
 * Afterwards the client goes, and nothing of it may be left.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "broker.h"
#include "controller_io.h"
#include "log.h"
#include "mem.h"
#include "msg/find_coordinator.h"
#include "msg/init_producer_id.h"

#define HELD_MAX 256

static struct fuzz_rig {
	bool is_open;
	struct io *io;
	struct node node;
	struct broker broker;
	struct shard shard;
	struct acceptor acceptor;
	uint8_t late; /* a bit per request, again from the start after eight */
	int started_n;
	struct request *held[HELD_MAX];
	int held_n;
	struct log_sink sink;
} rig;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct request *request)
{
	if (request->head.api_key == API_INIT_PRODUCER_ID) {
		struct init_producer_id_response out;

		msg_init(&init_producer_id_response_type, &out);
		request_reply(request, &out);
	} else {
		struct find_coordinator_response out;

		msg_init(&find_coordinator_response_type, &out);
		request_reply(request, &out);
	}
}

static void api_answer(struct request *request)
{
	bool is_late = rig.late >> (rig.started_n++ % 8) & 1;

	if (is_late && rig.held_n < HELD_MAX)
		rig.held[rig.held_n++] = request;
	else
		answer(request);
}

static void api_answer_fixed(struct request *request)
{
	request_order_fixed(request);
	api_answer(request);
}

const struct api_def api_defs[] = {
	{API_FIND_COORDINATOR, 0, 6, 0, API_BROKER, api_answer_fixed},
	{API_API_VERSIONS, 0, 4, 0, API_BROKER | API_CONTROLLER, api_api_versions},
	{API_INIT_PRODUCER_ID, 0, 5, 0, API_BROKER, api_answer},
};
const int api_defs_n = ARRAY_N(api_defs);

const struct api_def *api_def_find(int16_t key, enum api_listener listener)
{
	for (int i = 0; i < api_defs_n; i++) {
		if (api_defs[i].key == key && (api_defs[i].listeners & (int)listener))
			return &api_defs[i];
	}
	return NULL;
}

int16_t controller_io_kraft_version(const struct broker *broker)
{
	return 1;
}

void acceptor_conn_gone(struct acceptor *listener, struct shard *shard, const struct io_addr *peer)
{
}

static void log_nothing(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
}

static void rig_open(void)
{
	struct shard *shard = &rig.shard;
	enum err err;

	rig.sink = (struct log_sink){.level = LOG_ERROR, .write = log_nothing};
	log_sink_set(&rig.sink);
	rig.io = io_posix_new(io_posix_shared_new(&(struct io_posix_options){.helpers_n = 1}));
	err = node_init(&rig.node, 1, &rig.io, 1);
	CHECK_OP(err, ==, ERR_NONE);
	rig.broker.node = &rig.node;
	rig.broker.shards = shard;
	rig.broker.shards_n = 1;
	rig.broker.config.socket_request_max_bytes = 1 << 20;
	rig.acceptor.broker = &rig.broker;
	rig.acceptor.kind = API_BROKER;
	shard->broker = &rig.broker;
	shard->reactor = &rig.node.reactors[0];
	shard->reactor->shard = shard;
	list_init(&shard->conns);
	list_init(&shard->free_requests);
	buf_pool_init(&shard->request_bufs, 4096, 16);
	list_init(&shard->budget.waiting);
	rig.is_open = true;
}

static void turn(int n)
{
	for (int i = 0; i < n; i++)
		reactor_turn(&rig.node.reactors[0], 0);
}

static void answer_held(void)
{
	while (rig.held_n > 0)
		answer(rig.held[--rig.held_n]);
}

/* What the broker said is of no interest, only that it does not wait for a reader. */
static void peer_read_all(int fd)
{
	uint8_t out[4096];

	while (read(fd, out, sizeof(out)) > 0)
		;
}

/* False when the broker has closed the connection. */
static bool peer_send(int fd, const uint8_t *p, size_t len, bool is_framed)
{
	uint8_t head[6];

	if (is_framed) {
		store_be32(head, (uint32_t)(len + 1));
		store_be16(head + 4, (uint16_t)api_defs[p[0] % ARRAY_N(api_defs)].key);
		if (send(fd, head, sizeof(head), MSG_NOSIGNAL) < 0)
			return false;
		p++;
		len--;
	}
	return len == 0 || send(fd, p, len, MSG_NOSIGNAL) >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct io_addr addr = {.ip = {127, 0, 0, 1}};
	size_t step;
	int fds[2], err;

	if (size < 2)
		return 0;
	if (!rig.is_open)
		rig_open();
	err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
	CHECK_OP(err, ==, 0);
	rig.io->ops->sock_adopt(rig.io, fds[1]);
	conn_new(&rig.shard, &rig.acceptor, fds[1], &addr);
	rig.late = data[1];
	rig.started_n = 0;
	step = MAX((size - 2) / (data[0] % 8 + 1), (size_t)1);
	for (size_t at = 2; at < size; at += step) {
		if (!peer_send(fds[0], data + at, MIN(step, size - at), data[0] & 0x40))
			break;
		turn(3);
		peer_read_all(fds[0]);
		if (data[0] & 0x80)
			answer_held();
	}
	answer_held();
	turn(4);
	peer_read_all(fds[0]);
	close(fds[0]);
	for (int i = 0; i < 64 && rig.shard.conns_n > 0; i++) {
		turn(1);
		answer_held(); /* what was queued behind the held ones may have started now */
	}
	CHECK_OP(rig.shard.conns_n, ==, 0);
	CHECK_OP(rig.shard.requests_n, ==, 0);
	return 0;
}
