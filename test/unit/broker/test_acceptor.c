/* SPDX-License-Identifier: Apache-2.0 */
/* Binding a listener that asks for any port: both families get the same one, though it may take several tries. */
#include "broker_rig.h"

static struct rig rig;
static int opened, binds_n, refusals_n;
static bool taken[1 << 16];

void conn_new(struct shard *shard, struct acceptor *acceptor, io_sock sock, const struct io_addr *peer)
{
	fail();
}

void conn_close(struct conn *conn, const char *why)
{
	fail();
}

static enum err fake_resolve(struct io *io, const char *host, struct io_addr *ret, int max, int *ret_n)
{
	*ret = (struct io_addr){.is_v6 = strchr(host, ':') != NULL};
	*ret_n = 1;
	return ERR_NONE;
}

/* Any port is the next one; in the other family some are taken. */
static enum err fake_listen(struct io *io, const struct io_addr *addr, io_sock *ret, struct io_addr *ret_bound)
{
	*ret_bound = *addr;
	if (addr->port == 0)
		ret_bound->port = (uint16_t)(5000 + binds_n++);
	if (addr->port && taken[addr->port]) {
		refusals_n++;
		return ERR_ADDRESS_IN_USE;
	}
	*ret = opened++;
	return ERR_NONE;
}

static void fake_close(struct io *io, io_sock sock)
{
	opened--;
}

static enum err bind_localhost(int32_t port)
{
	static const struct io_ops ops = {.resolve = fake_resolve, .listen = fake_listen, .sock_close = fake_close};
	struct io fake = {.ops = &ops};
	struct io *io = rig.node.reactors[0].io;
	struct listener listener = {.name = STR("PLAINTEXT"), .host = STR("localhost"), .port = port};
	struct err_text text = {{0}};
	enum err err;

	rig.node.reactors[0].io = &fake;
	rig.broker.host_name = "here";
	rig.broker.config.eff.listeners.v = &listener;
	rig.broker.config.eff.listeners.n = 1;
	err = acceptor_bind_all(&rig.broker, &text);
	rig.node.reactors[0].io = io;
	rig.broker.config.eff.listeners.v = NULL;
	rig.broker.config.eff.listeners.n = 0;
	return err;
}

static void test_any_port(void **state)
{
	for (int port = 5000; port < 5003; port++)
		taken[port] = true;
	assert_int_equal(bind_localhost(0), ERR_NONE);
	assert_int_equal(refusals_n, 3);
	assert_int_equal(opened, 2);
	assert_int_equal(rig.broker.acceptors.acceptors_n, 2);
	assert_int_equal(rig.broker.acceptors.acceptors[0].addr.port, 5003);
	assert_int_equal(rig.broker.acceptors.acceptors[1].addr.port, 5003);
	assert_int_equal(rig.broker.acceptors.acceptors[1].advertised_port, 5003);
}

static void test_not_without_end(void **state)
{
	memset(taken, true, sizeof(taken));
	assert_int_equal(bind_localhost(0), ERR_ADDRESS_IN_USE);
	assert_in_range(binds_n, 2, 100);
}

static void test_a_given_port_is_tried_once(void **state)
{
	taken[7000] = true;
	assert_int_equal(bind_localhost(7000), ERR_ADDRESS_IN_USE);
	assert_int_equal(refusals_n, 1);
}

static int open_rig(void **state)
{
	rig_open(&rig, 1);
	opened = binds_n = refusals_n = 0;
	memset(taken, 0, sizeof(taken));
	return 0;
}

static int close_rig(void **state)
{
	acceptor_free_all(&rig.broker);
	rig_close(&rig);
	return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_any_port), CASE(test_not_without_end),
					   CASE(test_a_given_port_is_tried_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
