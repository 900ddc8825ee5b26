/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quorum of one: every action in its order, the same bytes as Kafka in the log, nothing committed that is not
 * durable, whatever the order in which appends end and fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control.h"
#include "golden_hex.h"
#include "msg/raft_records.h"
#include "raft.h"
#include "rng.h"

#define LINE_MAX_LEN (1 << 20)
#define NODE 1
#define DIRECTORY "WUtyfcSmRdOhJ_eZWzGAhA"

static const char *lines_path;

/* The first batch of a fresh node 1 of Kafka 4.3.1, formatted with controller.quorum.voters. */
static const char kafka_static_start[] =
	"00000000000000000000004f0000000102ac739dbe002000000000000001a1fe1e7a75000001a1fe1e7a75ffffffffff"
	"ffffffffffffffffff000000013a0000000800000002260000000000010200000001000200000001000000";

/* The same, formatted with --standalone: the voters are in the log from then on. */
static const char kafka_dynamic_start[] =
	"0000000000000000000000a20000000102c36ee79d002000000002000001a1fe1ff4fc000001a1fe1ff4fcffffffffff"
	"ffffffffffffffffff000000033a00000008000000022600000000000102000000010002000000010000001e00000208"
	"000000050a000000010000820100000408000000066e00000200000001594b727dc4a645d3a127f7995b318084020b43"
	"4f4e54524f4c4c45520a3132372e302e302e316269000000000100000000";

/* ---- a node ---- */

struct node {
	struct arena arena;
	struct raft_voters voters;
	struct raft_init init;
	struct raft raft;
};

static struct uuid uuid_of(const char *text)
{
	struct uuid id;

	assert_int_equal(uuid_parse(str_of(text), &id), ERR_NONE);
	return id;
}

static void node_add_voter(struct node *node, int32_t id)
{
	struct raft_voter voter = {.id = id, .kraft_version_max = 1};
	struct raft_endpoint endpoint = {STR("CONTROLLER"), STR("127.0.0.1"), 25193};

	if (node->init.kraft_version > 0) {
		voter.directory_id = node->init.directory_id;
		vec_push(&voter.endpoints, endpoint);
	}
	vec_push(&node->voters.voters, voter);
}

/* A fresh one. */
static void node_setup(struct node *node, int16_t kraft_version)
{
	*node = (struct node){.init = {.node_id = NODE, .directory_id = uuid_of(DIRECTORY),
				       .kraft_version = kraft_version}};
	node->init.voters = &node->voters;
}

static void node_start(struct node *node)
{
	struct err_text text = {{0}};

	if (node->voters.voters.n == 0)
		node_add_voter(node, NODE);
	if (raft_init(&node->raft, &node->init, &text))
		fail_msg("%s", text.text);
}

static void node_end(struct node *node)
{
	raft_deinit(&node->raft);
	raft_voters_deinit(&node->voters);
	arena_reset(&node->arena);
}

static struct raft_action wants(struct node *node, enum raft_action_kind kind)
{
	struct raft_action action = raft_next(&node->raft);

	assert_int_equal(action.kind, kind);
	return action;
}

static void wants_persist(struct node *node, const char *text)
{
	struct raft_action action = wants(node, RAFT_PERSIST);
	struct bytes file = quorum_state_encode(action.state, &node->arena);

	if (!str_eq_c(bytes_str(file), text))
		fail_msg("%.*s\nand not\n%s", (int)file.len, (const char *)file.p, text);
	wants(node, RAFT_NO_ACTION);
	raft_persisted(&node->raft);
}

/* Through the election; the batch is appended. */
static void node_elect(struct node *node)
{
	wants(node, RAFT_PERSIST);
	raft_persisted(&node->raft);
	wants(node, RAFT_PERSIST);
	raft_persisted(&node->raft);
	wants(node, RAFT_APPEND);
	raft_appended(&node->raft, node->raft.log_end_offset + 1);
	wants(node, RAFT_BECAME_LEADER);
	wants(node, RAFT_NO_ACTION);
}

/* ---- tests ---- */

static void check_fresh(int16_t kraft_version, const char *voted, const char *leads, const char *kafka, int64_t end)
{
	struct node node;
	struct raft_action action;
	struct batch_info info;
	struct bytes want;

	node_setup(&node, kraft_version);
	want = golden_unhex(kafka, &node.arena);
	assert_int_equal(batch_check_header(want, BATCH_CHECK_CRC, &info), ERR_NONE);
	node_start(&node);
	assert_int_equal(node.raft.role.state, RAFT_UNATTACHED);
	assert_int_equal(node.raft.leader_id, -1);
	wants_persist(&node, voted);
	assert_int_equal(node.raft.role.state, RAFT_LEADER);
	wants_persist(&node, leads);
	raft_tick(&node.raft, info.max_timestamp);
	action = wants(&node, RAFT_APPEND);
	assert_int_equal(action.epoch, 1);
	assert_int_equal(action.offset, 0);
	assert_int_equal(action.batch.len, want.len);
	assert_memory_equal(action.batch.p, want.p, want.len);
	wants(&node, RAFT_NO_ACTION);
	raft_appended(&node.raft, end);
	action = wants(&node, RAFT_BECAME_LEADER);
	assert_int_equal(action.epoch, 1);
	assert_int_equal(node.raft.leader_id, NODE);
	wants(&node, RAFT_NO_ACTION);
	assert_int_equal(node.raft.high_watermark, -1);
	raft_durable(&node.raft, end);
	assert_int_equal(wants(&node, RAFT_COMMIT).offset, end);
	wants(&node, RAFT_NO_ACTION);
	node_end(&node);
}

static void test_fresh_static(void **state)
{
	check_fresh(0, "{\"clusterId\":\"\",\"leaderId\":-1,\"leaderEpoch\":1,\"votedId\":1,\"appliedOffset\":0,"
		    "\"currentVoters\":[{\"voterId\":1}],\"data_version\":0}",
		    "{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,\"appliedOffset\":0,"
		    "\"currentVoters\":[{\"voterId\":1}],\"data_version\":0}", kafka_static_start, 1);
}

static void test_fresh_dynamic(void **state)
{
	check_fresh(1, "{\"leaderId\":-1,\"leaderEpoch\":1,\"votedId\":1,\"votedDirectoryId\":\"" DIRECTORY
		    "\",\"data_version\":1}",
		    "{\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\","
		    "\"data_version\":1}", kafka_dynamic_start, 3);
}

/* Epochs above whatever was promised or written before; the voters are written once. */
static void test_restart(void **state)
{
	static const struct { int32_t persisted, log, want; } rows[] = {{4, 4, 5}, {6, 4, 7}, {3, 9, 10}, {-1, 2, 3}};

	for (size_t i = 0; i < ARRAY_N(rows); i++) {
		struct quorum_state persisted = {.data_version = 1, .leader_id = -1, .voted_id = NODE};
		struct raft_action action;
		struct batch_info info;
		struct node node;

		persisted.leader_epoch = rows[i].persisted;
		node_setup(&node, 1);
		node.init.persisted = rows[i].persisted < 0 ? NULL : &persisted;
		node.init.log_last_epoch = rows[i].log;
		node.init.log_end_offset = 700;
		node.init.voters_in_log = true;
		node_start(&node);
		wants(&node, RAFT_PERSIST);
		assert_int_equal(node.raft.state.leader_epoch, rows[i].want);
		raft_persisted(&node.raft);
		wants(&node, RAFT_PERSIST);
		raft_persisted(&node.raft);
		action = wants(&node, RAFT_APPEND);
		assert_int_equal(action.epoch, rows[i].want);
		assert_int_equal(batch_check_header(action.batch, BATCH_CHECK_CRC, &info), ERR_NONE);
		assert_int_equal(info.leader_epoch, rows[i].want);
		assert_int_equal(info.base_offset, 700);
		assert_int_equal(info.records_n, 1);
		node_end(&node);
	}
}

static void test_high_watermark(void **state)
{
	struct node node;

	node_setup(&node, 0);
	node.init.log_end_offset = 50;
	node_start(&node);
	raft_durable(&node.raft, 50);
	wants(&node, RAFT_PERSIST); /* the first action, whatever is durable */
	raft_persisted(&node.raft);
	wants(&node, RAFT_PERSIST);
	raft_persisted(&node.raft);
	wants(&node, RAFT_APPEND);
	raft_appended(&node.raft, 51);
	wants(&node, RAFT_BECAME_LEADER);
	raft_durable(&node.raft, 50); /* all of earlier epochs, nothing of ours */
	wants(&node, RAFT_NO_ACTION);
	assert_int_equal(node.raft.high_watermark, -1);
	raft_appended(&node.raft, 60);
	raft_appended(&node.raft, 65);
	wants(&node, RAFT_NO_ACTION);
	raft_durable(&node.raft, 60);
	assert_int_equal(wants(&node, RAFT_COMMIT).offset, 60);
	raft_durable(&node.raft, 55);
	wants(&node, RAFT_NO_ACTION);
	assert_int_equal(node.raft.high_watermark, 60);
	raft_durable(&node.raft, 65);
	raft_durable(&node.raft, 99); /* the log ends at 65 as far as we were told */
	assert_int_equal(wants(&node, RAFT_COMMIT).offset, 65);
	raft_appended(&node.raft, 70);
	assert_int_equal(wants(&node, RAFT_COMMIT).offset, 70);
	node_end(&node);
}

static void test_append_fails(void **state)
{
	struct node node;
	struct raft_action action;

	node_setup(&node, 0);
	node_start(&node);
	node_elect(&node);
	raft_appended(&node.raft, 5);
	raft_appended(&node.raft, 9);
	raft_durable(&node.raft, 5);
	assert_int_equal(wants(&node, RAFT_COMMIT).offset, 5);
	raft_append_failed(&node.raft, 5);
	assert_int_equal(node.raft.log_end_offset, 5);
	wants(&node, RAFT_NO_ACTION);
	raft_appended(&node.raft, 8);
	raft_durable(&node.raft, 8);
	assert_int_equal(wants(&node, RAFT_COMMIT).offset, 8);
	node_end(&node);

	/* The LeaderChange itself is lost, and what followed: it comes again before anything else. */
	node_setup(&node, 1);
	node.init.log_end_offset = 20;
	node_start(&node);
	node_elect(&node);
	raft_appended(&node.raft, 30);
	raft_append_failed(&node.raft, 20);
	action = wants(&node, RAFT_APPEND);
	assert_int_equal(action.offset, 20);
	assert_int_equal(action.epoch, 1);
	raft_append_failed(&node.raft, 20); /* and again */
	wants(&node, RAFT_APPEND);
	raft_appended(&node.raft, 23);
	wants(&node, RAFT_NO_ACTION); /* the leader is known already */
	raft_durable(&node.raft, 23);
	assert_int_equal(wants(&node, RAFT_COMMIT).offset, 23);
	node_end(&node);
}

static void test_resign(void **state)
{
	struct node node;

	for (int when = 0; when < 3; when++) {
		node_setup(&node, 0);
		node_start(&node);
		if (when == 1)
			wants(&node, RAFT_PERSIST);
		if (when == 2)
			node_elect(&node);
		raft_resign(&node.raft);
		raft_resign(&node.raft);
		assert_int_equal(node.raft.role.state, RAFT_RESIGNED);
		assert_int_equal(node.raft.leader_id, -1);
		if (when == 1)
			raft_persisted(&node.raft);
		if (when == 2)
			raft_durable(&node.raft, 1);
		wants(&node, RAFT_NO_ACTION);
		assert_int_equal(node.raft.high_watermark, -1);
		node_end(&node);
	}
}

static void check_refused(struct node *node, enum err want, const char *part)
{
	struct err_text text = {{0}};
	struct raft raft;

	assert_int_equal(raft_init(&raft, &node->init, &text), want);
	if (!strstr(text.text, part))
		fail_msg("\"%s\" does not say \"%s\"", text.text, part);
	raft_voters_deinit(&node->voters);
}

static void test_refused(void **state)
{
	struct quorum_state last = {.data_version = 1, .leader_epoch = INT32_MAX, .leader_id = -1, .voted_id = -1};
	struct node node;

	node_setup(&node, 0);
	check_refused(&node, ERR_NOT_SUPPORTED, "controller.quorum.voters");
	for (int32_t id = 1; id <= 3; id++)
		node_add_voter(&node, id);
	check_refused(&node, ERR_NOT_SUPPORTED, "3 voters (1, 2, 3)");
	node_add_voter(&node, 7);
	check_refused(&node, ERR_NOT_SUPPORTED, "node.id=7");
	node_setup(&node, 1);
	node_add_voter(&node, NODE);
	node.init.directory_id = uuid_of("XtbNE2diICuzAg_2wrRbvA");
	check_refused(&node, ERR_NOT_SUPPORTED, DIRECTORY);
	node_setup(&node, 2);
	node_add_voter(&node, NODE);
	check_refused(&node, ERR_NOT_SUPPORTED, "kraft.version 2");
	node_setup(&node, 1);
	node_add_voter(&node, NODE);
	node.init.persisted = &last;
	check_refused(&node, ERR_CORRUPT_FILE, "epoch 2147483647");
}

/* Random life: the watermark follows its definition, and every batch of ours that stands alone is a LeaderChange. */
static void test_random(void **state)
{
	struct rng rng;

	rng_init(&rng, 7);
	for (int round = 0; round < 300; round++) {
		int64_t start, durable = 0, told = -1;
		struct node node;
		struct raft *raft = &node.raft;

		node_setup(&node, (int16_t)(round % 2));
		node.init.log_end_offset = start = (int64_t)rng_below(&rng, 100);
		node_start(&node);
		for (int i = 0; i < 200; i++) {
			struct raft_action action = raft_next(raft);

			if (action.kind == RAFT_PERSIST)
				raft_persisted(raft);
			if (action.kind == RAFT_APPEND) {
				assert_int_equal(action.offset, raft->log_end_offset);
				assert_true(action.offset >= start && told <= action.offset);
				raft_appended(raft, raft->log_end_offset + 1 + 2 * (round % 2));
			}
			if (action.kind == RAFT_COMMIT) {
				assert_true(action.offset > told);
				assert_true(action.offset <= durable && action.offset <= raft->log_end_offset);
				assert_true(action.offset > raft->epoch_start_offset);
				told = action.offset;
			}
			if (action.kind != RAFT_NO_ACTION)
				continue;
			switch (rng_below(&rng, 4)) {
			case 0:
			case 1:
				raft_appended(raft, raft->log_end_offset + 1 + (int64_t)rng_below(&rng, 5));
				break;
			case 2:
				durable += (int64_t)rng_below(&rng, (uint64_t)(raft->log_end_offset - durable + 1));
				raft_durable(raft, durable);
				break;
			default:
				if (durable < raft->log_end_offset)
					raft_append_failed(raft, MAX(durable, start));
				break;
			}
		}
		node_end(&node);
	}
}

static void test_voters_golden(void **state)
{
	static const char kind[] = "voters ";
	char *line = malloc(LINE_MAX_LEN);
	FILE *f = fopen(lines_path, "r");
	int n = 0, same = 0;

	assert_non_null(f);
	while (fgets(line, LINE_MAX_LEN, f)) {
		struct arena arena = {0};
		struct raft_voters voters;
		struct err_text text;
		struct bytes value, again;

		if (strncmp(line, kind, sizeof(kind) - 1) != 0)
			continue;
		value = golden_unhex(line + sizeof(kind) - 1, &arena);
		assert_int_equal(raft_voters_decode(value, &voters, &text), ERR_NONE);
		again = raft_voters_encode(&voters, &arena);
		raft_voters_deinit(&voters);
		/* Behind the version: random there, 0 from Kafka. Tags of a later version are not kept. */
		if (again.len == value.len) {
			assert_memory_equal(again.p + 2, value.p + 2, value.len - 2);
			same++;
		}
		for (size_t len = 0; len < value.len; len++) {
			struct bytes cut = {malloc(len ? len : 1), len};

			memcpy((void *)cut.p, value.p, len);
			assert_int_equal(raft_voters_decode(cut, &voters, &text), ERR_CORRUPT_FILE);
			free((void *)cut.p);
		}
		arena_reset(&arena);
		n++;
	}
	fclose(f);
	free(line);
	assert_int_equal(n, 6);
	assert_true(same >= 3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fresh_static),
		cmocka_unit_test(test_fresh_dynamic),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_high_watermark),
		cmocka_unit_test(test_append_fails),
		cmocka_unit_test(test_resign),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_voters_golden),
	};

	if (argc != 2) {
		fprintf(stderr, "wants the file of lines\n");
		return 2;
	}
	lines_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
