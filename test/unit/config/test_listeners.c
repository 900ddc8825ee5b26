/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints, and what a node binds and tells to others. */
#include "config_test.h"
#include "listeners.h"

static void test_endpoints(void **state)
{
	static const struct {
		const char *text, *name, *host;
		int port; /* -1: refused */
	} cases[] = {
		{"PLAINTEXT://:9092", "PLAINTEXT", "", 9092},
		{"PLAINTEXT://localhost:0", "PLAINTEXT", "localhost", 0},
		{"A_b-1.x://h-1_2.example.org:65535", "A_b-1.x", "h-1_2.example.org", 65535},
		{"P://[::1]:9092", "P", "::1", 9092},
		{"P://::1:9092", "P", "::1", 9092},
		{"P://[fe80::1%eth0]:9092", "P", "fe80::1%eth0", 9092},
		{"P://localhost:65536", NULL, NULL, -1},
		{"P://localhost:-1", NULL, NULL, -1},
		{"P://localhost", NULL, NULL, -1},
		{"P://localhost:", NULL, NULL, -1},
		{"P://localhost:x", NULL, NULL, -1},
		{"P://foo bar:9092", NULL, NULL, -1},
		{"P://[::1:9092", NULL, NULL, -1},
		{"P:9092", NULL, NULL, -1},
		{"://:9092", NULL, NULL, -1},
		{"localhost:9092", NULL, NULL, -1},
		{"", NULL, NULL, -1},
		{"P://:99999999999999999999", NULL, NULL, -1},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct endpoint e;
		struct err_text why;
		enum err err = endpoint_parse(str_of(cases[i].text), &e, &why);

		assert_int_equal(err, cases[i].port < 0 ? ERR_INVALID_TEXT : ERR_NONE);
		if (err == ERR_NONE) {
			assert_str(e.name, cases[i].name);
			assert_str(e.host, cases[i].host);
			assert_int_equal(e.port, cases[i].port);
		} else {
			assert_true(why.text[0] != '\0');
		}
	}
}

static void test_bind_hosts(void **state)
{
	struct listener l = {.host = STR("localhost")};
	struct str hosts[2];

	(void)state;
	assert_int_equal(listener_bind_hosts(&l, hosts), 2);
	assert_str(hosts[0], "127.0.0.1");
	assert_str(hosts[1], "::1");
	l.host = STR("");
	assert_int_equal(listener_bind_hosts(&l, hosts), 2);
	assert_str(hosts[0], "0.0.0.0");
	assert_str(hosts[1], "::");
	l.host = STR("::");
	assert_int_equal(listener_bind_hosts(&l, hosts), 2);
	assert_str(hosts[0], "0.0.0.0");
	l.host = STR("10.0.0.1");
	assert_int_equal(listener_bind_hosts(&l, hosts), 1);
	assert_str(hosts[0], "10.0.0.1");
}

static void test_stock_node(void **state)
{
	struct broker_config config;
	struct config_report report = {0};
	const struct listener *l;

	(void)state;
	assert_int_equal(load_text(&config, &report, STOCK), ERR_NONE);
	assert_int_equal(config.eff.listeners.n, 2);
	l = listener_find(&config.eff.listeners, STR("CONTROLLER"));
	assert_true(l->is_controller);
	assert_int_equal(l->port, 9093);
	assert_int_equal(l->protocol, SECURITY_PLAINTEXT);
	assert_int_equal(config.eff.advertised.n, 1);
	assert_str(config.eff.advertised.v[0].name, "PLAINTEXT");
	assert_str(config.eff.advertised.v[0].host, "");
	assert_int_equal(config.eff.advertised_controller.n, 1);
	assert_str(config.eff.inter_broker_listener, "PLAINTEXT");
	config_report_deinit(&report);
	broker_config_deinit(&config);
}

static void test_own_names_and_advertised(void **state)
{
	struct broker_config config;
	struct config_report report = {0};

	(void)state;
	assert_int_equal(
		load_text(&config, &report,
			  STOCK
			  "listeners=in://10.0.0.1:19092,Out://[::]:29092,CONTROLLER://:0\n"
			  "advertised.listeners=IN://a.lan:19092,OUT://example.org:443,CONTROLLER://c.lan:9\n"
			  "listener.security.protocol.map=IN:PLAINTEXT,out:plaintext,CONTROLLER:PLAINTEXT\n"
			  "inter.broker.listener.name=in\n"
			  "listener.name.out.max.connections=7\n"),
		ERR_NONE);
	assert_int_equal(config.eff.listeners.n, 3);
	assert_str(config.eff.listeners.v[1].name, "OUT");
	assert_int_equal(config.eff.listeners.v[1].max_connections, 7);
	assert_int_equal(config.eff.listeners.v[0].max_connections, INT32_MAX);
	assert_int_equal(config.eff.advertised.n, 2);
	assert_str(config.eff.advertised.v[1].host, "example.org");
	assert_int_equal(config.eff.advertised.v[1].port, 443);
	assert_str(config.eff.advertised_controller.v[0].host, "c.lan");
	assert_str(config.eff.inter_broker_listener, "IN");
	config_report_deinit(&report);
	broker_config_deinit(&config);
}

static void test_controller_is_advertised_as_voter(void **state)
{
	struct broker_config config;
	struct config_report report = {0};

	(void)state;
	assert_int_equal(
		load_text(&config, &report, STOCK "controller.quorum.voters=1@c1.lan:9093,2@c2.lan:9093\n"),
		ERR_NONE);
	assert_int_equal(config.eff.voters.n, 2);
	assert_int_equal(config.eff.voters.v[1].id, 2);
	assert_str(config.eff.advertised_controller.v[0].host, "c1.lan");
	config_report_deinit(&report);
	broker_config_deinit(&config);
}

/* One port may be shared by one IPv4 and one IPv6 address, and by nothing else. */
static void test_shared_ports(void **state)
{
	static const struct {
		const char *a, *b;
		enum err err;
	} cases[] = {
		{"127.0.0.1:9092", "[::1]:9092", ERR_NONE},
		{"127.0.0.1:9092", "127.0.0.2:9092", ERR_BAD_CONFIG},
		{"[::1]:9092", "[::2]:9092", ERR_BAD_CONFIG},
		{"127.0.0.1:9092", "localhost:9092", ERR_BAD_CONFIG},
		{"127.0.0.1:0", "127.0.0.1:0", ERR_NONE},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct broker_config config;
		struct config_report report = {0};
		char text[2048];

		snprintf(text, sizeof(text),
			 STOCK "listeners=A://%s,B://%s,CONTROLLER://:9093\ninter.broker.listener.name=A\n"
			       "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
			 cases[i].a, cases[i].b);
		assert_int_equal(load_text(&config, &report, text), cases[i].err);
		if (cases[i].err == ERR_NONE)
			broker_config_deinit(&config);
		config_report_deinit(&report);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const char *more, *code, *key, *part;
	} cases[] = {
		{"advertised.listeners=PLAINTEXT://0.0.0.0:9092\n", "ML1002", "advertised.listeners",
		 "no client can connect"},
		{"listeners=PLAINTEXT://0.0.0.0:9092,CONTROLLER://:9093\n", "ML1002", "listeners",
		 "Set advertised.listeners"},
		{"listeners=SSL://:9092,CONTROLLER://:9093\ninter.broker.listener.name=SSL\n"
		 "listener.security.protocol.map=SSL:SSL,CONTROLLER:PLAINTEXT\n",
		 "ML1102", "listeners", "SSL"},
		{"listeners=IN://:9092,CONTROLLER://"
		 ":9093\nlistener.security.protocol.map=IN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n"
		 "inter.broker.listener.name=IN\n",
		 "ML1102", "listeners", "SASL_PLAINTEXT"},
		{"listeners=PLAINTEXT://:9092,CONTROLLER://:9092\n", "ML1106", "listeners",
		 "both want port 9092"},
		{"listeners=PLAINTEXT://:9092\n", "ML1106", "controller.listener.names",
		 "CONTROLLER://:9093"},
		{"process.roles=broker\n", "ML1106", "listeners", "only the broker role"},
		{"inter.broker.listener.name=NOPE\n", "ML1106", "inter.broker.listener.name", "NOPE"},
		{"early.start.listeners=NOPE\n", "ML1106", "early.start.listeners", "NOPE"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct broker_config config = {.node_id = 77};
		struct config_report report = {0};
		char text[2048];
		const struct config_finding *finding;

		snprintf(text, sizeof(text), STOCK "%s", cases[i].more);
		assert_int_equal(load_text(&config, &report, text), ERR_BAD_CONFIG);
		assert_int_equal(config.node_id, 77);
		finding = find_finding(&report, cases[i].code, cases[i].key);
		if (!finding)
			print_findings(&report);
		assert_non_null(finding);
		assert_non_null(
			memmem(finding->text.p, finding->text.len, cases[i].part, strlen(cases[i].part)));
		config_report_deinit(&report);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_bind_hosts),
		cmocka_unit_test(test_stock_node),
		cmocka_unit_test(test_own_names_and_advertised),
		cmocka_unit_test(test_controller_is_advertised_as_voter),
		cmocka_unit_test(test_shared_ports),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
