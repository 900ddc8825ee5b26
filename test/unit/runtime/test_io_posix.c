/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The posix backend against plain blocking peers on loopback: receiving, cancelling in every stage, closing with both
 * ops under way, connecting, handing over, work on helpers, waking, running out of descriptors.
 */
#include <semaphore.h>

#include "test_io.h"

static void test_recv_and_end(void **state)
{
	struct world *w = *state;
	struct call recv = {0};
	int peer, on = 0;
	socklen_t len = sizeof(on);

	pair(w, &peer, &recv.op.recv.sock);
	assert_int_equal(getsockopt((int)recv.op.recv.sock, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_int_not_equal(on, 0);
	start(w, &recv, IO_RECV);
	run_idle(w, 5);
	assert_int_equal(recv.done_n, 0);
	/* Partial frames come as they come. */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(send(peer, "abc", 3, 0), 3);
		run_until(w, &recv, i + 1);
		assert_int_equal(recv.result, 3);
		assert_memory_equal(recv.data, "abc", 3);
		start(w, &recv, IO_RECV);
	}
	/* Data and the end together: both are seen, in order. */
	assert_int_equal(send(peer, "last", 4, 0), 4);
	close(peer);
	run_until(w, &recv, 21);
	assert_int_equal(recv.result, 4);
	start(w, &recv, IO_RECV);
	run_until(w, &recv, 22);
	assert_int_equal(recv.err, ERR_NONE);
	assert_int_equal(recv.result, 0);
	w->io->ops->sock_close(w->io, recv.op.recv.sock);
}

static void test_recv_block_is_shared(void **state)
{
	struct world *w = *state;
	struct call a = {0}, b = {0};
	int peer_a, peer_b;
	struct buf *block;

	pair(w, &peer_a, &a.op.recv.sock);
	pair(w, &peer_b, &b.op.recv.sock);
	assert_int_equal(send(peer_a, "first", 5, 0), 5);
	assert_int_equal(send(peer_b, "second", 6, 0), 6);
	start(w, &a, IO_RECV);
	start(w, &b, IO_RECV);
	run_until(w, &a, 1);
	run_until(w, &b, 1);
	assert_memory_equal(a.data, "first", 5);
	assert_memory_equal(b.data, "second", 6);
	/* Both were in the block at once, one behind the other. */
	assert_ptr_equal(a.op.recv.buf, b.op.recv.buf);
	assert_ptr_equal(a.op.recv.got.p + 5, b.op.recv.got.p);
	/* Kept bytes stay while later ones arrive. */
	assert_int_equal(send(peer_a, "keep", 4, 0), 4);
	start(w, &a, IO_RECV);
	run_until(w, &a, 2);
	block = buf_ref(a.op.recv.buf);
	assert_int_equal(send(peer_b, "over", 4, 0), 4);
	start(w, &b, IO_RECV);
	run_until(w, &b, 2);
	assert_memory_equal(a.op.recv.got.p, "keep", 4);
	assert_ptr_not_equal(a.op.recv.got.p, b.op.recv.got.p);
	buf_unref(block);
	close(peer_a);
	close(peer_b);
}

static void test_recv_into(void **state)
{
	struct world *w = *state;
	struct call recv = {0};
	struct buf_pool pool;
	int peer;

	buf_pool_init(&pool, 16, 0);
	pair(w, &peer, &recv.op.recv.sock);
	recv.op.recv.into = buf_new(&pool, 16);
	recv.op.recv.into->len = 2;
	memcpy(recv.op.recv.into->data, "##", 2);
	assert_int_equal(send(peer, "0123456789abcdefghij", 20, 0), 20);
	start(w, &recv, IO_RECV);
	run_until(w, &recv, 1);
	assert_int_equal(recv.result, 14);
	assert_int_equal(recv.op.recv.into->len, 16);
	assert_memory_equal(recv.op.recv.into->data, "##0123456789abcd", 16);
	recv.op.recv.into->len = 0;
	start(w, &recv, IO_RECV);
	run_until(w, &recv, 2);
	assert_int_equal(recv.result, 6);
	assert_memory_equal(recv.op.recv.into->data, "efghij", 6);
	buf_unref(recv.op.recv.into);
	buf_pool_deinit(&pool);
	close(peer);
}

static void test_reset_while_receiving(void **state)
{
	struct world *w = *state;
	struct call recv = {0};
	int peer;

	pair(w, &peer, &recv.op.recv.sock);
	start(w, &recv, IO_RECV);
	run_idle(w, 5);
	reset(peer);
	run_until(w, &recv, 1);
	assert_int_equal(recv.err, ERR_DISCONNECTED);
}

static void test_cancel_every_stage(void **state)
{
	struct world *w = *state;
	uint8_t *data = calloc(1, 64 << 20);
	struct call recv = {0}, send = {0}, accept = {.op.accept.sock = w->listener};
	struct piece piece;
	int peer;

	pair(w, &peer, &recv.op.recv.sock);
	send.op.send.sock = recv.op.recv.sock;
	/* Queued. */
	start(w, &recv, IO_RECV);
	io_cancel(w->io, &recv.op);
	assert_int_equal(recv.done_n, 0);
	run_until(w, &recv, 1);
	assert_int_equal(recv.err, ERR_CANCELLED);
	/* Waiting; twice is once. */
	start(w, &recv, IO_RECV);
	start(w, &accept, IO_ACCEPT);
	run_idle(w, 5);
	io_cancel(w->io, &recv.op);
	io_cancel(w->io, &recv.op);
	io_cancel(w->io, &accept.op);
	assert_int_equal(recv.done_n, 1);
	run_until(w, &recv, 2);
	run_until(w, &accept, 1);
	assert_int_equal(recv.err, ERR_CANCELLED);
	assert_int_equal(accept.err, ERR_CANCELLED);
	start_stuck_send(w, &send, &piece, data);
	io_cancel(w->io, &send.op);
	run_until(w, &send, 1);
	assert_int_equal(send.err, ERR_CANCELLED);
	/* Nothing under way: nothing happens. The socket still works. */
	io_cancel(w->io, &recv.op);
	run_idle(w, 5);
	assert_int_equal(recv.done_n, 2);
	start(w, &recv, IO_RECV);
	assert_int_equal(write(peer, "x", 1), 1);
	run_until(w, &recv, 3);
	assert_int_equal(recv.result, 1);
	close(peer);
	free(data);
}

static void close_in_done(struct call *call)
{
	call->w->io->ops->sock_close(call->w->io, call->op.recv.sock);
}

static void test_close_with_both(void **state)
{
	struct world *w = *state;
	uint8_t *data = calloc(1, 64 << 20);

	/* 0: close while both wait; 1: before they began; 2: from within the done of one. */
	for (int how = 0; how < 3; how++) {
		struct call recv = {0}, send = {0};
		struct piece piece;
		int peer;

		pair(w, &peer, &recv.op.recv.sock);
		send.op.send.sock = recv.op.recv.sock;
		if (how == 2)
			recv.then = close_in_done;
		if (how == 1) {
			piece = (struct piece){.mem = data, .file = PIECE_NO_FILE, .len = 64 << 20};
			send.op.send.pieces = &piece;
			send.op.send.pieces_n = 1;
			start(w, &recv, IO_RECV);
			start(w, &send, IO_SEND);
		} else {
			start(w, &recv, IO_RECV);
			start_stuck_send(w, &send, &piece, data);
		}
		if (how == 2)
			assert_int_equal(write(peer, "x", 1), 1);
		else
			w->io->ops->sock_close(w->io, recv.op.recv.sock);
		assert_int_equal(recv.done_n + send.done_n, 0);
		run_until(w, &recv, 1);
		run_until(w, &send, 1);
		assert_int_equal(recv.err, how == 2 ? ERR_NONE : ERR_CANCELLED);
		assert_int_equal(send.err, ERR_CANCELLED);
		run_idle(w, 2);
		assert_int_equal(fcntl((int)recv.op.recv.sock, F_GETFD), -1);
		close(peer);
	}
	free(data);
}

static void test_connect(void **state)
{
	struct world *w = *state;
	struct call connect = {.op.connect.addr = w->addr}, accept = {.op.accept.sock = w->listener};
	struct call recv = {0}, send = {0}, refused = {0}, cancelled = {.op.connect.addr = w->addr};
	struct piece piece = {.mem = (const uint8_t *)"hello", .file = PIECE_NO_FILE, .len = 5};
	io_sock other;
	struct io_addr any = {.ip = {127, 0, 0, 1}};

	start(w, &connect, IO_CONNECT);
	start(w, &accept, IO_ACCEPT);
	run_until(w, &connect, 1);
	run_until(w, &accept, 1);
	assert_int_equal(connect.err, ERR_NONE);
	recv.op.recv.sock = accept.result;
	send.op.send = (typeof(send.op.send)){.sock = connect.result, .pieces = &piece, .pieces_n = 1};
	start(w, &recv, IO_RECV);
	start(w, &send, IO_SEND);
	run_until(w, &recv, 1);
	run_until(w, &send, 1);
	assert_memory_equal(recv.data, "hello", 5);
	/* A port that was just closed refuses. */
	assert_int_equal(w->io->ops->listen(w->io, &any, &other, &refused.op.connect.addr), ERR_NONE);
	assert_int_equal(w->io->ops->listen(w->io, &refused.op.connect.addr, &other, &any), ERR_ADDRESS_IN_USE);
	w->io->ops->sock_close(w->io, other);
	start(w, &refused, IO_CONNECT);
	run_until(w, &refused, 1);
	assert_int_equal(refused.err, ERR_CONNECTION_REFUSED);
	assert_int_equal(refused.result, IO_SOCK_NONE);
	start(w, &cancelled, IO_CONNECT);
	io_cancel(w->io, &cancelled.op);
	run_until(w, &cancelled, 1);
	assert_int_equal(cancelled.err, ERR_CANCELLED);
}

static void test_hand_over(void **state)
{
	struct world *w = *state;
	struct world other = *w;
	struct call recv = {0};
	int peer;

	other.io = io_posix_new(w->shared);
	pair(w, &peer, &recv.op.recv.sock);
	/* Once watched here, so that it has to leave this set. */
	start(w, &recv, IO_RECV);
	run_idle(w, 5);
	io_cancel(w->io, &recv.op);
	run_until(w, &recv, 1);
	w->io->ops->sock_forget(w->io, recv.op.recv.sock);
	other.io->ops->sock_adopt(other.io, recv.op.recv.sock);
	start(&other, &recv, IO_RECV);
	run_idle(&other, 5);
	assert_int_equal(write(peer, "moved", 5), 5);
	run_until(&other, &recv, 2);
	assert_memory_equal(recv.data, "moved", 5);
	other.io->ops->free(other.io);
	assert_int_equal(read(peer, recv.data, 1), 0);
	close(peer);
}

/* A piece of work says when it has begun, and goes on when it may. */
struct gate {
	sem_t begun, go;
};

static void gate_init(struct gate *gate)
{
	sem_init(&gate->begun, 0, 0);
	sem_init(&gate->go, 0, 0);
}

static void work_run(struct io_op *op, struct fs *fs)
{
	struct call *call = container_of(op, struct call, op);
	struct gate *gate = call->gate;

	sem_post(&gate->begun);
	sem_wait(&gate->go);
	memcpy(call->data, "worked", 7);
	op->err = ERR_CORRUPT_FILE;
	op->result = 42;
}

static void test_work(void **state)
{
	struct world *w = *state;
	struct call work[5] = {0};
	struct gate gate;
	int cancelled = 0;

	gate_init(&gate);
	for (int i = 0; i < 5; i++) {
		work[i].gate = &gate;
		work[i].op.work.run = work_run;
		start(w, &work[i], IO_WORK);
	}
	io_cancel(w->io, &work[4].op); /* not begun for sure */
	w->io->ops->turn(w->io, now_ns(w) + NS_PER_MS);
	for (int i = 0; i < 2; i++)
		sem_wait(&gate.begun);
	io_cancel(w->io, &work[0].op); /* begun: runs to its end */
	io_cancel(w->io, &work[3].op); /* in the queue behind two others */
	for (int i = 0; i < 5; i++)
		sem_post(&gate.go);
	for (int i = 0; i < 5; i++) {
		run_until(w, &work[i], 1);
		if (work[i].err == ERR_CANCELLED) {
			cancelled++;
			assert_int_equal(work[i].data[0], 0);
		} else {
			assert_int_equal(work[i].err, ERR_CORRUPT_FILE);
			assert_int_equal(work[i].result, 42);
			assert_string_equal((char *)work[i].data, "worked");
		}
	}
	assert_int_equal(cancelled, 2);
	assert_int_equal(work[0].err, ERR_CORRUPT_FILE);
}

/* While the one that waits for the work is at it, most likely. */
static void *gate_opens(void *arg)
{
	struct gate *gate = arg;

	usleep(20000);
	for (int i = 0; i < 6; i++)
		sem_post(&gate->go);
	return NULL;
}

static void test_free_with_work_under_way(void **state)
{
	struct world *w = *state;
	struct call work[6] = {0};
	struct io *io = io_posix_new(w->shared);
	struct world other = {.shared = w->shared, .io = io};
	struct gate gate;
	pthread_t thread;

	gate_init(&gate);
	for (int i = 0; i < 6; i++) {
		work[i].gate = &gate;
		work[i].op.work.run = work_run;
		start(&other, &work[i], IO_WORK);
	}
	io->ops->turn(io, 0);
	for (int i = 0; i < 2; i++)
		sem_wait(&gate.begun);
	assert_int_equal(pthread_create(&thread, NULL, gate_opens, &gate), 0);
	io->ops->free(io);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(work[i].done_n, 0);
}

static void test_write(void **state)
{
	struct world *w = *state;
	uint8_t *data = malloc(FILE_LEN);
	fs_file file = make_file(w, data);
	struct iovec iov[2] = {{"one", 3}, {"two", 3}};
	struct call write = {.op.write = {.file = file, .iov = iov, .iov_n = 2, .pos = 10}};
	struct call bad = {.op.write = {.file = FS_FILE_NONE, .iov = iov, .iov_n = 2, .pos = 10}};
	char back[7] = {0};
	size_t len;

	start(w, &write, IO_WRITE);
	start(w, &bad, IO_WRITE);
	io_cancel(w->io, &write.op);
	run_until(w, &write, 1);
	run_until(w, &bad, 1);
	assert_int_equal(write.err, ERR_NONE);
	assert_int_equal(write.result, 6);
	assert_int_equal(bad.err, ERR_IO);
	assert_int_equal(bad.result, 0);
	assert_int_equal(fs_pread(w->io->fs, file, back, 6, 10, FS_NOWAIT, &len), ERR_NONE);
	assert_string_equal(back, "onetwo");
	fs_close(w->io->fs, file);
	free(data);
}

static void *waker(void *arg)
{
	struct io *io = arg;

	usleep(20000);
	io->ops->wake(io);
	return NULL;
}

static void test_wake_and_deadline(void **state)
{
	struct world *w = *state;
	pthread_t thread;
	int64_t start_ns = now_ns(w);

	w->io->ops->turn(w->io, start_ns + 5 * NS_PER_MS);
	assert_true(now_ns(w) - start_ns >= 5 * NS_PER_MS);
	start_ns = now_ns(w);
	w->io->ops->turn(w->io, start_ns + 300 * NS_PER_US);
	assert_true(now_ns(w) - start_ns >= 300 * NS_PER_US);
	/* A wake that came before the sleep is not lost. */
	w->io->ops->wake(w->io);
	w->io->ops->turn(w->io, INT64_MAX);
	pthread_create(&thread, NULL, waker, w->io);
	w->io->ops->turn(w->io, INT64_MAX);
	pthread_join(thread, NULL);
}

static int64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void test_no_descriptor_left(void **state)
{
	struct world *w = *state;
	struct call accept = {.op.accept.sock = w->listener};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(w->addr.port)};
	struct rlimit before, now;
	int fd = socket(AF_INET, SOCK_STREAM, 0), top = dup(fd);
	int64_t end_ns, cpu_ns;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	getrlimit(RLIMIT_NOFILE, &before);
	close(top);
	now = before;
	now.rlim_cur = (rlim_t)top;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	start(w, &accept, IO_ACCEPT);
	cpu_ns = thread_cpu_ns();
	end_ns = now_ns(w) + 350 * NS_PER_MS;
	while (now_ns(w) < end_ns)
		w->io->ops->turn(w->io, end_ns);
	assert_int_equal(accept.done_n, 0);
	/* It waits, it does not spin. */
	assert_true(thread_cpu_ns() - cpu_ns < 100 * NS_PER_MS);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	run_until(w, &accept, 1);
	assert_int_equal(accept.err, ERR_NONE);
	close(fd);
}

static void test_addresses(void **state)
{
	struct world *w = *state;
	struct io_addr v6 = {.ip = {[15] = 1}, .is_v6 = true}, bound, found[4];
	char text[IO_ADDR_TEXT_MAX];
	io_sock sock;
	int n = 0;
	enum err err = w->io->ops->listen(w->io, &v6, &sock, &bound);

	io_addr_format(&v6, text);
	assert_string_equal(text, "::1");
	io_addr_format(&w->addr, text);
	assert_string_equal(text, "127.0.0.1");
	if (!err) {
		assert_true(bound.is_v6);
		assert_int_not_equal(bound.port, 0);
	}
	assert_int_equal(w->io->ops->resolve(w->io, "127.0.0.1", found, 4, &n), ERR_NONE);
	assert_int_equal(n, 1);
	assert_memory_equal(found[0].ip, w->addr.ip, 4);
	assert_int_equal(w->io->ops->resolve(w->io, "no such host.invalid", found, 4, &n), ERR_NOT_FOUND);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_recv_and_end), T(test_recv_block_is_shared), T(test_recv_into), T(test_reset_while_receiving),
		T(test_cancel_every_stage), T(test_close_with_both), T(test_connect), T(test_hand_over), T(test_work),
		T(test_free_with_work_under_way), T(test_write), T(test_wake_and_deadline),
		T(test_no_descriptor_left), T(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
