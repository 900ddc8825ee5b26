/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reactors over a recording backend: order of the stages, budgets, when a turn may sleep, messages to itself and to
 * a peer, one wake per batch; then mailboxes and gathering; then a real node of two threads that starts and stops.
 */
#include "reactor.h"

#include "gather.h"
#include "mem.h"
#include "node.h"
#include "test_runtime.h"

struct fake {
	struct io io;
	int64_t now_ns;
	int64_t deadline_ns; /* of the last turn */
	int wakes;
	void (*in_turn)(void);
};

static struct {
	char trace[4096];
	struct fake fakes[2];
	struct node node;
} w;

static void trace(const char *what)
{
	strcat(w.trace, what);
}

static void fake_turn(struct io *io, int64_t deadline_ns)
{
	struct fake *fake = container_of(io, struct fake, io);

	fake->deadline_ns = deadline_ns;
	trace("io ");
	if (fake->in_turn)
		fake->in_turn();
}

static void fake_wake(struct io *io)
{
	container_of(io, struct fake, io)->wakes++;
}

static int64_t fake_clock(struct io *io, enum io_clock clock)
{
	return clock == IO_CLOCK_WALL ? 1700000000123 * NS_PER_MS : container_of(io, struct fake, io)->now_ns;
}

static void fake_random(struct io *io, void *p, size_t len)
{
	memset(p, 5, len);
}

static const struct io_ops fake_ops = {
	.turn = fake_turn,
	.wake = fake_wake,
	.clock = fake_clock,
	.random = fake_random,
};

static int setup(void **state)
{
	struct io *ios[2];

	memset(&w, 0, sizeof(w));
	for (int i = 0; i < 2; i++) {
		w.fakes[i].io.ops = &fake_ops;
		w.fakes[i].now_ns = 1000;
		ios[i] = &w.fakes[i].io;
	}
	assert_int_equal(node_init(&w.node, 1, ios, 2), ERR_NONE);
	return 0;
}

static int teardown(void **state)
{
	node_deinit(&w.node);
	return 0;
}

static struct msg self_msg, peer_msg;
static struct deferred deferred;
static struct flush_hook hook;
static struct timer timer;

static void on_msg(struct reactor *reactor, struct msg *msg)
{
	trace(msg == &self_msg ? "self " : "peer ");
}

static void on_deferred(struct deferred *d)
{
	trace("deferred ");
}

static void on_flush(struct flush_hook *h)
{
	trace("flush ");
	/* Leaves in this very turn. */
	peer_msg.handle = on_msg;
	reactor_send(&w.node.reactors[0], &w.node.reactors[1], &peer_msg);
}

static void on_timer(struct timer *t)
{
	trace("timer ");
	reactor_defer(&w.node.reactors[0], &deferred, on_deferred);
	reactor_flush_later(&w.node.reactors[0], &hook);
	reactor_flush_later(&w.node.reactors[0], &hook);
}

static void test_stages_in_order(void **state)
{
	struct reactor *r = &w.node.reactors[0];

	hook.flush = on_flush;
	self_msg.handle = on_msg;
	reactor_send(r, r, &self_msg);
	reactor_timer(r, &timer, 10, on_timer);
	w.fakes[0].now_ns = 1005;
	reactor_turn(r, INT64_MAX);
	/* The message to itself comes in the next turn, which must not be slept away. */
	assert_string_equal(w.trace, "io ");
	assert_int_equal(w.fakes[0].deadline_ns, 0);
	assert_int_equal(r->wall_ms, 1700000000123);
	w.fakes[0].now_ns = 1010;
	w.trace[0] = '\0';
	reactor_turn(r, INT64_MAX);
	assert_string_equal(w.trace, "self timer deferred flush io ");
	assert_int_equal(w.fakes[0].deadline_ns, INT64_MAX);
	assert_int_equal(w.fakes[1].wakes, 1);
	w.trace[0] = '\0';
	reactor_turn(&w.node.reactors[1], INT64_MAX);
	assert_string_equal(w.trace, "peer io ");
	assert_ptr_equal(peer_msg.from, r);
}

static void in_turn_defer(void)
{
	reactor_defer(&w.node.reactors[0], &deferred, on_deferred);
	w.fakes[0].in_turn = NULL;
}

static void on_never(struct timer *t)
{
	fail();
}

static void test_when_it_sleeps(void **state)
{
	struct reactor *r = &w.node.reactors[0];

	reactor_turn(r, INT64_MAX);
	assert_int_equal(w.fakes[0].deadline_ns, INT64_MAX);
	reactor_turn(r, 500);
	assert_int_equal(w.fakes[0].deadline_ns, 1500);
	reactor_turn(r, 0);
	assert_int_equal(w.fakes[0].deadline_ns, 0);
	reactor_timer(r, &timer, 300, on_never);
	reactor_turn(r, 500);
	assert_int_equal(w.fakes[0].deadline_ns, 1300);
	reactor_turn(r, 200);
	assert_int_equal(w.fakes[0].deadline_ns, 1200);
	timer_stop(&r->timers, &timer);
	/* What completions defer runs in the next turn, before that one sleeps. */
	w.fakes[0].in_turn = in_turn_defer;
	w.trace[0] = '\0';
	reactor_turn(r, INT64_MAX);
	reactor_turn(r, INT64_MAX);
	assert_string_equal(w.trace, "io deferred io ");
	assert_int_equal(w.fakes[0].deadline_ns, INT64_MAX);
}

static int handled_n;

static void on_count(struct reactor *reactor, struct msg *msg)
{
	handled_n++;
}

static void test_budget_and_batch(void **state)
{
	static struct msg msgs[1000];

	handled_n = 0;
	memset(msgs, 0, sizeof(msgs));
	for (int i = 0; i < 1000; i++) {
		msgs[i].handle = on_count;
		reactor_send(&w.node.reactors[0], &w.node.reactors[1], &msgs[i]);
	}
	reactor_turn(&w.node.reactors[0], 0);
	assert_int_equal(w.fakes[1].wakes, 1);
	reactor_turn(&w.node.reactors[1], INT64_MAX);
	assert_int_equal(handled_n, 512);
	assert_int_equal(w.fakes[1].deadline_ns, 0);
	reactor_turn(&w.node.reactors[1], INT64_MAX);
	assert_int_equal(handled_n, 1000);
	assert_int_equal(w.fakes[1].deadline_ns, INT64_MAX);
}

static void test_mailbox(void **state)
{
	struct mailbox mailbox;
	struct msg a = {0}, b = {0}, c = {0};
	struct list out, in;

	mailbox_init(&mailbox);
	list_init(&out);
	list_init(&in);
	assert_false(mailbox_put(&mailbox, &out));
	list_push_back(&out, &a.node);
	list_push_back(&out, &b.node);
	assert_true(mailbox_put(&mailbox, &out));
	assert_true(list_is_empty(&out));
	list_push_back(&out, &c.node);
	assert_false(mailbox_put(&mailbox, &out));
	mailbox_take(&mailbox, &in);
	assert_ptr_equal(list_pop_front(&in), &a.node);
	assert_ptr_equal(list_pop_front(&in), &b.node);
	assert_ptr_equal(list_pop_front(&in), &c.node);
	mailbox_take(&mailbox, &in);
	assert_true(list_is_empty(&in));
	mailbox_deinit(&mailbox);
}

static int gathered_n;

static void on_gathered(struct gather *gather)
{
	gathered_n++;
}

static void test_gather(void **state)
{
	struct gather gather;

	gathered_n = 0;
	gather_start(&gather, 3, on_gathered);
	gather_arrive(&gather);
	gather_arrive(&gather);
	assert_int_equal(gathered_n, 0);
	gather_arrive(&gather);
	assert_int_equal(gathered_n, 1);
}

struct stopper {
	struct msg msg;
	struct timer timer;
	struct node *node;
	int hops;
};

static void on_hop(struct reactor *reactor, struct msg *msg)
{
	struct stopper *stopper = container_of(msg, struct stopper, msg);

	if (++stopper->hops == 100)
		node_stop(reactor->node);
	else
		reactor_send(reactor, &reactor->node->reactors[1 - reactor->index], msg);
}

static void on_start(struct timer *t)
{
	struct stopper *stopper = container_of(t, struct stopper, timer);

	stopper->msg.handle = on_hop;
	reactor_send(&stopper->node->reactors[0], &stopper->node->reactors[1], &stopper->msg);
}

static void test_node_of_two_threads(void **state)
{
	struct io_posix_options options = {.helpers_n = 1};
	struct io_posix_shared *shared = io_posix_shared_new(&options);
	struct io *ios[2] = {io_posix_new(shared), io_posix_new(shared)};
	struct stopper stopper = {0};
	struct node node;

	assert_int_equal(node_init(&node, 1, ios, 2), ERR_NONE);
	assert_true(node.hash_seed != 0);
	stopper.node = &node;
	reactor_timer(&node.reactors[0], &stopper.timer, NS_PER_MS, on_start);
	node_run(&node);
	assert_int_equal(stopper.hops, 100);
	node_deinit(&node);
	for (int i = 0; i < 2; i++)
		ios[i]->ops->free(ios[i]);
	io_posix_shared_free(shared);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_stages_in_order), T(test_when_it_sleeps), T(test_budget_and_batch),
		cmocka_unit_test(test_mailbox), cmocka_unit_test(test_gather),
		cmocka_unit_test(test_node_of_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
