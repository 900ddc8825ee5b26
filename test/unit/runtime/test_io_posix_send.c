/* SPDX-License-Identifier: Apache-2.0 */
/* Sending: memory and files mixed, slow receivers, cold files, files too short, peers that leave in the middle. */
#include "test_io.h"

struct reader {
	int fd;
	size_t want;
	uint8_t *data;
	size_t got;
};

static void *reader_run(void *arg)
{
	struct reader *reader = arg;

	while (reader->got < reader->want) {
		ssize_t n = recv(reader->fd, reader->data + reader->got, reader->want - reader->got, 0);

		if (n <= 0)
			break;
		reader->got += (size_t)n;
		if (reader->got < 300000)
			usleep(200);
	}
	return NULL;
}

/* Memory and file pieces, small and large, an empty one, with a slow receiver; once more with a cold file. */
static void send_mixed(struct world *w, bool is_cold)
{
	uint8_t *data = malloc(FILE_LEN);
	fs_file file = make_file(w, data);
	struct call send = {0};
	struct reader reader = {0};
	pthread_t thread;
	struct piece pieces[] = {
		{.mem = (const uint8_t *)"head", .file = PIECE_NO_FILE, .len = 4},
		{.file = file, .pos = 1000, .len = 100},
		{.file = file, .pos = 5, .len = 0},
		{.mem = (const uint8_t *)"middle", .file = PIECE_NO_FILE, .len = 6},
		{.file = file, .pos = 777, .len = 2500000},
		{.mem = data, .file = PIECE_NO_FILE, .len = 1000000},
		{.file = file, .pos = FILE_LEN - 9, .len = 9},
		{.mem = (const uint8_t *)"", .file = PIECE_NO_FILE, .len = 0},
	};
	const size_t total = 4 + 100 + 6 + 2500000 + 1000000 + 9;

	if (is_cold) {
		assert_int_equal(fs_sync(w->io->fs, file), ERR_NONE);
		assert_int_equal(posix_fadvise((int)file, 0, 0, POSIX_FADV_DONTNEED), 0);
	}
	pair(w, &reader.fd, &send.op.send.sock);
	reader.want = total;
	reader.data = malloc(total);
	send.op.send.pieces = pieces;
	send.op.send.pieces_n = ARRAY_N(pieces);
	assert_int_equal(pthread_create(&thread, NULL, reader_run, &reader), 0);
	start(w, &send, IO_SEND);
	run_until(w, &send, 1);
	assert_int_equal(send.err, ERR_NONE);
	assert_int_equal(send.result, total);
	pthread_join(thread, NULL);
	assert_int_equal(reader.got, total);
	assert_memory_equal(reader.data, "head", 4);
	assert_memory_equal(reader.data + 4, data + 1000, 100);
	assert_memory_equal(reader.data + 104, "middle", 6);
	assert_memory_equal(reader.data + 110, data + 777, 2500000);
	assert_memory_equal(reader.data + 2500110, data, 1000000);
	assert_memory_equal(reader.data + 3500110, data + FILE_LEN - 9, 9);
	close(reader.fd);
	w->io->ops->sock_close(w->io, send.op.send.sock);
	fs_close(w->io->fs, file);
	free(reader.data);
	free(data);
}

static void test_send_mixed(void **state)
{
	send_mixed(*state, false);
}

static void test_send_cold(void **state)
{
	send_mixed(*state, true);
}

/* However much a socket takes, one turn sends a share of it: others are looked after in between. */
static void test_send_in_shares(void **state)
{
	struct world *w = *state;
	uint8_t *data = malloc(FILE_LEN);
	fs_file file = make_file(w, data);
	struct piece piece = {.file = file, .pos = 0, .len = 3000000};
	struct call send = {.op.send = {.pieces = &piece, .pieces_n = 1}};
	struct reader reader = {.want = 3000000, .data = malloc(3000000), .got = 0};
	int64_t before = 0;
	pthread_t thread;

	pair(w, &reader.fd, &send.op.send.sock);
	assert_int_equal(pthread_create(&thread, NULL, reader_run, &reader), 0);
	start(w, &send, IO_SEND);
	for (int i = 0; send.op.is_under_way && i < 1000000; i++) {
		w->io->ops->turn(w->io, 0);
		assert_in_range(send.op.result - before, 0, 512 << 10);
		before = send.op.result;
	}
	assert_int_equal(send.err, ERR_NONE);
	assert_int_equal(send.result, 3000000);
	pthread_join(thread, NULL);
	assert_memory_equal(reader.data, data, 3000000);
	close(reader.fd);
	w->io->ops->sock_close(w->io, send.op.send.sock);
	fs_close(w->io->fs, file);
	free(reader.data);
	free(data);
}

static void test_send_file_too_short(void **state)
{
	struct world *w = *state;
	uint8_t *data = malloc(FILE_LEN);
	fs_file file = make_file(w, data);
	struct piece piece = {.file = file, .pos = FILE_LEN - 10, .len = 20};
	struct call send = {.op.send = {.pieces = &piece, .pieces_n = 1}};
	int peer;

	pair(w, &peer, &send.op.send.sock);
	start(w, &send, IO_SEND);
	run_until(w, &send, 1);
	assert_int_equal(send.err, ERR_IO);
	close(peer);
	fs_close(w->io->fs, file);
	free(data);
}

static void test_peer_leaves_mid_send(void **state)
{
	struct world *w = *state;
	uint8_t *data = calloc(1, 64 << 20);

	for (int how = 0; how < 2; how++) {
		struct call send = {0}, recv = {0};
		struct piece piece;
		int peer;

		pair(w, &peer, &send.op.send.sock);
		recv.op.recv.sock = send.op.send.sock;
		start(w, &recv, IO_RECV);
		start_stuck_send(w, &send, &piece, data);
		if (how == 0)
			reset(peer);
		else
			close(peer);
		run_until(w, &send, 1);
		run_until(w, &recv, 1);
		assert_int_equal(send.err, ERR_DISCONNECTED);
		assert_true(send.result > 0);
		assert_true(recv.err == ERR_DISCONNECTED || recv.result == 0);
		w->io->ops->sock_close(w->io, send.op.send.sock);
	}
	free(data);
}

/* sendfile raises SIGPIPE where sendmsg can be told not to. */
static void test_peer_leaves_mid_file(void **state)
{
	struct world *w = *state;
	uint8_t *data = malloc(FILE_LEN);
	fs_file file = make_file(w, data);
	struct piece pieces[30];
	struct call send = {.op.send = {.pieces = pieces, .pieces_n = ARRAY_N(pieces)}};
	int peer;

	for (size_t i = 0; i < ARRAY_N(pieces); i++)
		pieces[i] = (struct piece){.file = file, .len = FILE_LEN};
	pair(w, &peer, &send.op.send.sock);
	start(w, &send, IO_SEND);
	run_idle(w, 60);
	assert_int_equal(send.done_n, 0);
	close(peer);
	run_until(w, &send, 1);
	assert_int_equal(send.err, ERR_DISCONNECTED);
	assert_true(send.result > 0);
	fs_close(w->io->fs, file);
	free(data);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_send_mixed), T(test_send_cold), T(test_send_in_shares), T(test_send_file_too_short),
		T(test_peer_leaves_mid_send),
		T(test_peer_leaves_mid_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
