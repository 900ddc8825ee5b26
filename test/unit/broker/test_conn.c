/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection over a socket pair: frames cut at every byte, answers in order of arrival, requests that wait,
 * refusals, foreign protocols, impossible lengths, readers and writers that stop half way. The APIs are ApiVersions,
 * answered for real, and two that the test answers when it likes: InitProducerId holds back what comes behind it,
 * FindCoordinator does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker_rig.h"
#include "controller_io.h"
#include "foreign.h"
#include "msg/find_coordinator.h"
#include "msg/init_producer_id.h"

static struct rig rig;
static struct request *held[256];
static int held_n, cancels_n;

static void api_hold(struct request *request)
{
	assert_in_range(held_n, 0, 255);
	held[held_n++] = request;
}

static void count_cancel(struct request *request)
{
	cancels_n++;
}

static void api_hold_fixed(struct request *request)
{
	request->cancel = count_cancel;
	api_hold(request);
	request_order_fixed(request);
}

const struct api_def api_defs[] = {
	{API_FIND_COORDINATOR, 0, 6, 0, API_BROKER, api_hold_fixed},
	{API_API_VERSIONS, 0, 4, 0, API_BROKER | API_CONTROLLER, api_api_versions},
	{API_INIT_PRODUCER_ID, 0, 5, 0, API_BROKER, api_hold},
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
	rig.conns_gone++;
}

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

/* ---- the peer ---- */

static int peer_open(void)
{
	const struct io_addr addr = {.ip = {127, 0, 0, 1}};
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	rig.ios[0]->ops->sock_adopt(rig.ios[0], fds[1]);
	conn_new(&rig.shards[0], &rig.acceptor, fds[1], &addr);
	rig_turn(&rig, 1);
	return fds[0];
}

static void peer_send(int fd, const void *p, size_t len)
{
	assert_int_equal(write(fd, p, len), len);
}

/* A request in header version 1 without client id; returns its length. */
static size_t frame_put(uint8_t *p, int16_t key, int16_t version, int32_t correlation)
{
	static const uint8_t init[6] = {0xff, 0xff, 0, 0, 0, 1};
	static const uint8_t find[2] = {0, 0};
	size_t len = 10;

	store_be16(p + 4, (uint16_t)key);
	store_be16(p + 6, (uint16_t)version);
	store_be32(p + 8, (uint32_t)correlation);
	store_be16(p + 12, UINT16_MAX);
	if (key == API_INIT_PRODUCER_ID) {
		memcpy(p + 4 + len, init, sizeof(init));
		len += sizeof(init);
	} else if (key == API_FIND_COORDINATOR) {
		memcpy(p + 4 + len, find, sizeof(find));
		len += sizeof(find);
	}
	store_be32(p, (uint32_t)len);
	return 4 + len;
}

/* What has arrived; -1 at the end of the stream when nothing came before it. */
static ssize_t peer_read(int fd, uint8_t *p, size_t cap)
{
	size_t len = 0;

	for (;;) {
		ssize_t n;

		rig_turn(&rig, 8);
		n = read(fd, p + len, cap - len);
		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			return len ? (ssize_t)len : -1;
		else
			return (ssize_t)len;
	}
}

/* Cuts what came into answers; their correlation ids must be first, first + 1, ... Returns how many. */
static int answers_check(const uint8_t *p, ssize_t len, int32_t first)
{
	int n = 0;

	while (len > 0) {
		ssize_t size = 4 + (ssize_t)load_be32(p);

		assert_in_range(size, 8, len);
		assert_int_equal((int32_t)load_be32(p + 4), first + n);
		p += size;
		len -= size;
		n++;
	}
	return n;
}

static void peer_close(int fd)
{
	int gone = rig.conns_gone;

	close(fd);
	rig_turn(&rig, 8);
	assert_int_equal(rig.conns_gone, gone + 1);
	assert_true(list_is_empty(&rig.shards[0].conns));
}

/* The connection has ended by itself, and nothing of it is left. */
static void peer_is_dropped(int fd)
{
	uint8_t byte;

	rig_turn(&rig, 8);
	assert_int_equal(read(fd, &byte, 1), 0);
	assert_int_equal(rig.shards[0].conns_n, 0);
	assert_int_equal(rig.shards[0].requests_n, 0);
	close(fd);
}

/* ---- cases ---- */

static void test_every_split(void **state)
{
	uint8_t in[64], out[8192];
	size_t len = frame_put(in, API_API_VERSIONS, 0, 7);

	len += frame_put(in + len, API_API_VERSIONS, 0, 8);
	for (size_t cut = 1; cut < len; cut++) {
		int fd = peer_open();

		peer_send(fd, in, cut);
		rig_turn(&rig, 8);
		peer_send(fd, in + cut, len - cut);
		assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), 7), 2);
		peer_close(fd);
	}
}

static void test_byte_by_byte(void **state)
{
	uint8_t in[256], out[8192];
	size_t len = 0;
	int fd = peer_open();

	for (int i = 0; i < 8; i++)
		len += frame_put(in + len, API_API_VERSIONS, 0, i);
	for (size_t i = 0; i < len; i++) {
		peer_send(fd, in + i, 1);
		rig_turn(&rig, 2);
	}
	assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), 0), 8);
	peer_close(fd);
}

/* Frames too long to be copied, cut where they meet. */
static void test_large_frames(void **state)
{
	static uint8_t in[3 * 20000], out[8192];
	const size_t steps[] = {1, 4095, 4096, 16384, 20003, 20005};
	size_t len = 0;

	for (int i = 0; i < 3; i++) {
		/* Bytes behind the message are ignored. */
		frame_put(in + len, API_FIND_COORDINATOR, 0, i);
		store_be32(in + len, 20000 - 4);
		len += 20000;
	}
	for (size_t s = 0; s < ARRAY_N(steps); s++) {
		int fd = peer_open();

		held_n = 0;
		for (size_t at = 0; at < len; at += steps[s]) {
			peer_send(fd, in + at, MIN(steps[s], len - at));
			if (steps[s] > 1 || at % 97 == 0)
				rig_turn(&rig, 2);
		}
		rig_turn(&rig, 8);
		assert_int_equal(held_n, 3);
		for (int i = 2; i >= 0; i--) {
			assert_int_equal(held[i]->frame.len, 19996);
			answer(held[i]);
		}
		assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), 0), 3);
		peer_close(fd);
	}
}

static void test_order(void **state)
{
	uint8_t in[256], out[8192];
	size_t len = 0;
	int fd = peer_open();

	held_n = 0;
	len += frame_put(in + len, API_FIND_COORDINATOR, 0, 0);
	len += frame_put(in + len, API_FIND_COORDINATOR, 0, 1);
	len += frame_put(in + len, API_INIT_PRODUCER_ID, 0, 2);
	len += frame_put(in + len, API_API_VERSIONS, 0, 3);
	peer_send(fd, in, len);
	rig_turn(&rig, 8);
	assert_int_equal(held_n, 3);
	answer(held[1]); /* not before the first */
	assert_int_equal(peer_read(fd, out, sizeof(out)), 0);
	answer(held[0]);
	assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), 0), 2);
	answer(held[2]); /* lets ApiVersions start */
	assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), 2), 2);
	peer_close(fd);
}

/* A flood in one receive is not all started at once, and nothing of it is lost. */
static void test_bound(void **state)
{
	static uint8_t in[3000 * 16], out[64 * 1024];
	size_t len = 0;
	int fd = peer_open(), answered = 0;

	held_n = 0;
	for (int i = 0; i < 3000; i++)
		len += frame_put(in + len, API_FIND_COORDINATOR, 0, i);
	peer_send(fd, in, len);
	rig_turn(&rig, 8);
	while (answered < 3000) {
		int n = held_n;

		assert_in_range(n, 1, CONN_INFLIGHT_MAX);
		assert_in_range(rig.shards[0].requests_n, n, CONN_INFLIGHT_MAX);
		held_n = 0;
		for (int i = 0; i < n; i++)
			answer(held[i]);
		assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), answered), n);
		answered += n;
	}
	peer_close(fd);
}

/* A peer that asks without end and never reads: what waits for it stays small. */
static void test_slow_reader(void **state)
{
	static uint8_t in[1024 * 14], out[1 << 20];
	size_t len = 0;
	int fd = peer_open(), sent = 0, answered = 0;
	ssize_t n;

	for (int i = 0; i < 1024; i++)
		len += frame_put(in + len, API_API_VERSIONS, 0, i);
	for (int round = 0; round < 200; round++) {
		n = write(fd, in, len);
		rig_turn(&rig, 2);
		assert_in_range(rig.shards[0].requests_n, 0, CONN_INFLIGHT_MAX);
		assert_in_range(rig.shards[0].request_bufs.bytes, 0, 1 << 20);
		if (n < (ssize_t)len)
			break;
		sent++;
	}
	assert_in_range(sent, 1, 199); /* the peer was held up */
	while ((n = peer_read(fd, out, sizeof(out))) > 0)
		answered++;
	assert_true(answered > 0);
	peer_close(fd);
}

/* Answers count with what they take, not with what they might have taken; who reads none of them goes when others wait
 * for the memory. */
static void test_unread_answers(void **state)
{
	static uint8_t in[1024 * 14];
	uint8_t out[1 << 16];
	struct budget *budget = &rig.shards[0].budget;
	size_t len = 0;
	int fd = peer_open(), other;

	held_n = 0;
	peer_send(fd, in, frame_put(in, API_FIND_COORDINATOR, 0, 0));
	rig_turn(&rig, 4);
	assert_int_equal(held_n, 1);
	assert_true(budget->work > 0);
	held[0]->work_charge += 1 << 28; /* as after a request of many parts */
	budget->work += 1 << 28;
	request_keeps(held[0], 5000);
	answer(held[0]);
	assert_in_range(budget->work, 5000, 10000);
	assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), 0), 1);
	assert_int_equal(budget->work, 0);

	for (int i = 0; i < 1024; i++)
		len += frame_put(in + len, API_API_VERSIONS, 0, i);
	for (int round = 0; round < 200 && write(fd, in, len) == (ssize_t)len; round++)
		rig_turn(&rig, 2);
	rig_turn(&rig, 4);
	assert_true(budget->work > 0);
	budget->work_max = budget->work;
	held_n = 0;
	other = peer_open();
	peer_send(other, in, frame_put(in, API_FIND_COORDINATOR, 0, 0));
	rig_turn(&rig, 4);
	assert_int_equal(held_n, 0);
	conns_close_stalled(&rig.shards[0]); /* it may still come to read */
	rig_turn(&rig, 4);
	assert_int_equal(rig.shards[0].conns_n, 2);
	list_entry(rig.shards[0].conns.next, struct conn, link)->active_ns -= CONN_STALLED_NS;
	conns_close_stalled(&rig.shards[0]);
	rig_turn(&rig, 8);
	assert_int_equal(rig.shards[0].conns_n, 1);
	assert_int_equal(held_n, 1);
	answer(held[0]);
	assert_int_equal(answers_check(out, peer_read(other, out, sizeof(out)), 0), 1);
	peer_close(other);
	close(fd);
	assert_int_equal(budget->work, 0);
}

/* What came behind a refused request is not done; nothing of the connection stays. */
static void test_refusal(void **state)
{
	uint8_t in[256], out[8192];
	size_t len = 0;
	int fd = peer_open();

	held_n = 0;
	len += frame_put(in + len, API_API_VERSIONS, 0, 0);
	len += frame_put(in + len, 9999, 0, 1);
	len += frame_put(in + len, API_FIND_COORDINATOR, 0, 2);
	len += frame_put(in + len, API_API_VERSIONS, 0, 3);
	peer_send(fd, in, len);
	assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), 0), 1);
	assert_int_equal(held_n, 0);
	peer_is_dropped(fd);
}

static void test_refusal_behind_running(void **state)
{
	uint8_t in[256];
	size_t len = 0;
	int fd = peer_open();

	held_n = 0;
	len += frame_put(in + len, API_FIND_COORDINATOR, 0, 0);
	len += frame_put(in + len, API_FIND_COORDINATOR, 0, 1);
	len += frame_put(in + len, API_INIT_PRODUCER_ID, 0, 2);
	len += frame_put(in + len, API_FIND_COORDINATOR, 0, 3);
	peer_send(fd, in, len);
	rig_turn(&rig, 8);
	assert_int_equal(held_n, 3);
	request_close(held[0], "the test says so");
	rig_turn(&rig, 8);
	assert_int_equal(rig.shards[0].conns_n, 1); /* two still run */
	answer(held[2]);
	answer(held[1]);
	assert_int_equal(held_n, 3);
	peer_is_dropped(fd);
}

/* The answer goes out though the peer has ended its side; one that has gone altogether frees everything. */
static void test_half_close(void **state)
{
	uint8_t in[64], out[4096];
	int fd = peer_open();

	held_n = cancels_n = 0;
	peer_send(fd, in, frame_put(in, API_FIND_COORDINATOR, 0, 5));
	rig_turn(&rig, 8);
	shutdown(fd, SHUT_WR);
	rig_turn(&rig, 8);
	assert_int_equal(cancels_n, 1);
	answer(held[0]);
	assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), 5), 1);
	peer_is_dropped(fd);

	fd = peer_open();
	held_n = 0;
	peer_send(fd, in, frame_put(in, API_INIT_PRODUCER_ID, 0, 5));
	rig_turn(&rig, 8);
	close(fd);
	rig_turn(&rig, 8);
	assert_int_equal(rig.shards[0].conns_n, 1);
	answer(held[0]);
	rig_turn(&rig, 8);
	assert_int_equal(rig.shards[0].conns_n, 0);
}

/* At the stop what runs is answered, what waits is dropped, what comes is not read; an idle connection just ends. */
static void test_drain(void **state)
{
	uint8_t in[256], out[4096];
	size_t len = 0;
	int fd = peer_open(), idle = peer_open();

	held_n = cancels_n = 0;
	len += frame_put(in + len, API_FIND_COORDINATOR, 0, 0);
	len += frame_put(in + len, API_INIT_PRODUCER_ID, 0, 1);
	len += frame_put(in + len, API_FIND_COORDINATOR, 0, 2);
	peer_send(fd, in, len);
	rig_turn(&rig, 8);
	assert_int_equal(held_n, 2);
	list_for_each(node, next, &rig.shards[0].conns)
		conn_drain(list_entry(node, struct conn, link));
	rig_turn(&rig, 8);
	assert_int_equal(rig.shards[0].conns_n, 1);
	assert_int_equal(read(idle, out, 1), 0);
	close(idle);
	assert_int_equal(cancels_n, 1);
	peer_send(fd, in, len);
	rig_turn(&rig, 8);
	answer(held[1]);
	answer(held[0]);
	assert_int_equal(held_n, 2);
	len = 0;
	for (ssize_t n = 1; n > 0; rig_turn(&rig, 2)) {
		n = read(fd, out + len, sizeof(out) - len);
		len += n > 0 ? (size_t)n : 0;
		if (n < 0 && errno == EAGAIN)
			n = 1;
	}
	assert_int_equal(answers_check(out, (ssize_t)len, 0), 2);
	assert_int_equal(rig.shards[0].conns_n, 0);
	assert_int_equal(rig.shards[0].requests_n, 0);
	close(fd);
}

/* ---- memory ---- */

#define CROWD 1000

static int64_t memory(void)
{
	return rig.shards[0].budget.frames + rig.shards[0].request_bufs.bytes;
}

/* Ten thousand that sent half a header would take 4 KiB each, and as many parked fetches of 5000 bytes 10 KiB. */
static void test_crowds(void **state)
{
	static uint8_t in[5004];
	static int fds[CROWD];

	budget_init(&rig.shards[0].budget, -1, 1);
	frame_put(in, API_FIND_COORDINATOR, 0, 1);
	store_be32(in, 5000);
	for (int i = 0; i < CROWD; i++) {
		fds[i] = peer_open();
		peer_send(fds[i], in, 7);
		rig_turn(&rig, 2);
	}
	assert_in_range(memory(), CROWD, CROWD * 16384);
	for (int i = 0; i < CROWD; i++)
		close(fds[i]);
	rig_turn(&rig, 100);
	assert_int_equal(rig.shards[0].conns_n, 0);
	assert_int_equal(memory(), 0);
	held_n = 0;
	for (int i = 0; i < 250; i++) {
		fds[i] = peer_open();
		peer_send(fds[i], in, sizeof(in));
		for (int turns = 0; held_n <= i && turns < 100; turns++)
			rig_turn(&rig, 1);
		assert_int_equal(held_n, i + 1);
		assert_null(held[i]->frame_buf);
	}
	assert_in_range(memory(), 250 * 5000, 250 * 10240);
	for (int i = 0; i < 250; i++) {
		uint8_t out[64];

		answer(held[i]);
		assert_int_equal(answers_check(out, peer_read(fds[i], out, sizeof(out)), 1), 1);
		close(fds[i]);
	}
	rig_turn(&rig, 8);
	assert_int_equal(memory(), 0);
	assert_int_equal(rig.shards[0].budget.work, 0);
}

/* With no memory left frames wait unread; one at a time gets to its end, and all are answered. */
static void test_budget(void **state)
{
	static uint8_t in[60000];
	uint8_t out[64];
	int fds[20];
	int answered = 0;

	budget_init(&rig.shards[0].budget, 200000, 1);
	rig.shards[0].budget.work_max = 1;
	frame_put(in, API_FIND_COORDINATOR, 0, 0);
	store_be32(in, sizeof(in) - 4);
	held_n = 0;
	for (int i = 0; i < 20; i++) {
		fds[i] = peer_open();
		peer_send(fds[i], in, 30000);
		rig_turn(&rig, 4);
	}
	for (int i = 0; i < 20; i++)
		peer_send(fds[i], in + 30000, 30000);
	for (int round = 0; round < 200 && answered < 20; round++) {
		rig_turn(&rig, 4);
		assert_in_range(memory(), 0, 200000 + 3 * 65000);
		assert_in_range(held_n, 0, 1); /* work for one at a time */
		if (held_n) {
			answer(held[0]);
			held_n = 0;
			answered++;
		}
		budget_wake(&rig.shards[0].budget, 1);
	}
	assert_int_equal(answered, 20);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(answers_check(out, peer_read(fds[i], out, sizeof(out)), 0), 1);
		close(fds[i]);
	}
	rig_turn(&rig, 8);
	assert_int_equal(memory(), 0);
	assert_int_equal(rig.shards[0].budget.work, 0);
}

static void test_half_frame_ends(void **state)
{
	uint8_t in[64];
	size_t len = frame_put(in, API_API_VERSIONS, 0, 1);

	for (size_t cut = 0; cut < len; cut++) {
		int fd = peer_open();

		peer_send(fd, in, cut);
		rig_turn(&rig, 2);
		peer_close(fd);
	}
}

static void test_lengths(void **state)
{
	const uint32_t lengths[] = {(1U << 20) + 1, INT32_MAX, 0x80000000U, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_N(lengths); i++) {
		uint8_t in[32], out[4096];
		size_t len = frame_put(in, API_API_VERSIONS, 0, 1);
		int fd = peer_open();

		store_be32(in + len, lengths[i]);
		peer_send(fd, in, len + 4);
		assert_int_equal(answers_check(out, peer_read(fd, out, sizeof(out)), 1), 1);
		peer_is_dropped(fd);
	}
}

static void foreign_case(const void *in, size_t len, const char *expect, size_t expect_len)
{
	uint8_t out[4096];
	int fd = peer_open();
	ssize_t n;

	peer_send(fd, in, len);
	n = peer_read(fd, out, sizeof(out));
	assert_int_equal(n < 0 ? 0 : n, expect_len);
	if (expect_len)
		assert_memory_equal(out, expect, expect_len);
	peer_is_dropped(fd);
}

static void test_foreign(void **state)
{
	static const uint8_t hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
	static const char alert[] = {0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46};
	const char *get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	char out[4096], *body;
	unsigned body_len;
	int fd;

	foreign_case(hello, sizeof(hello), alert, sizeof(alert));
	foreign_case("SSH-2.0-x\r\n", 11, "", 0);
	foreign_case("PROXY TCP4", 10, "", 0);
	foreign_case("*1\r\n$4\r\nPING\r\n", 14, "", 0);
	fd = peer_open();
	peer_send(fd, get, strlen(get));
	out[peer_read(fd, (uint8_t *)out, sizeof(out) - 1)] = 0;
	assert_int_equal(strncmp(out, "HTTP/1.1 400 ", 13), 0);
	body = strstr(out, "\r\n\r\n");
	assert_non_null(body);
	assert_int_equal(sscanf(strstr(out, "Content-Length: "), "Content-Length: %u", &body_len), 1);
	assert_int_equal(strlen(body + 4), body_len);
	peer_is_dropped(fd);
	assert_true(foreign_is_suspect((struct bytes){(const uint8_t *)"POST", 4}));
	assert_false(foreign_is_suspect((struct bytes){(const uint8_t *)"\0\0\0\x0a", 4}));
}

/* Versions below and above ours are answered in version 0 with error 35 and one row. */
static void test_unknown_api_versions(void **state)
{
	const int16_t versions[] = {5, 99, INT16_MAX, -1, INT16_MIN};

	for (size_t i = 0; i < ARRAY_N(versions); i++) {
		uint8_t in[32], out[4096];
		int fd = peer_open();
		size_t len = frame_put(in, API_API_VERSIONS, versions[i], 3);
		ssize_t n;

		if (versions[i] > 2) { /* a flexible header ends with its tags */
			in[len] = 0;
			store_be32(in, (uint32_t)++len - 4);
		}
		peer_send(fd, in, len);
		n = peer_read(fd, out, sizeof(out));
		assert_int_equal(n, 4 + 4 + 2 + 4 + 6);
		assert_int_equal(load_be16(out + 8), 35);
		assert_int_equal(load_be32(out + 10), 1);
		assert_int_equal(load_be16(out + 14), 18);
		peer_close(fd);
	}
}

static void test_random_bytes(void **state)
{
	struct rng rng;

	rng_init(&rng, 7);
	for (int round = 0; round < 500; round++) {
		uint8_t in[600];
		int fd = peer_open();
		size_t len = (size_t)rng_between(&rng, 1, sizeof(in));

		held_n = 0;
		for (size_t i = 0; i < len; i++)
			in[i] = (uint8_t)rng_between(&rng, 0, 255);
		if (round % 2)
			store_be32(in, (uint32_t)rng_between(&rng, 0, 300));
		if (round % 4 == 3 && len > 8)
			store_be32(in + 4, (uint32_t)(18 << 16 | rng_between(&rng, 0, 5)));
		peer_send(fd, in, len);
		rig_turn(&rig, 8);
		for (int i = 0; i < held_n; i++)
			answer(held[i]);
		close(fd);
		rig_turn(&rig, 8);
		assert_int_equal(rig.shards[0].conns_n, 0);
		assert_int_equal(rig.shards[0].requests_n, 0);
	}
}

static int open_rig(void **state)
{
	rig_open(&rig, 1);
	return 0;
}

static int close_rig(void **state)
{
	metrics_deinit(&rig.shards[0].metrics);
	rig_close(&rig);
	return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_every_split),
		CASE(test_byte_by_byte),
		CASE(test_large_frames),
		CASE(test_order),
		CASE(test_bound),
		CASE(test_slow_reader),
		CASE(test_unread_answers),
		CASE(test_refusal),
		CASE(test_refusal_behind_running),
		CASE(test_half_close),
		CASE(test_drain),
		CASE(test_crowds),
		CASE(test_budget),
		CASE(test_half_frame_ends),
		CASE(test_lengths),
		CASE(test_foreign),
		CASE(test_unknown_api_versions),
		CASE(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
