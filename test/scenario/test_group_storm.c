/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two groups on one shard. In one of them members with much to say come and go as fast as they are answered; the other
 * has one member that sends heartbeats and commits. None of its answers may take longer than BOUND_MS of virtual time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "hash.h"
#include "msg/consumer_group_heartbeat.h"
#include "msg/find_coordinator.h"
#include "msg/join_group.h"
#include "msg/offset_commit.h"
#include "scenario.h"
#include "sim_bodies.h"
#include "workload.h"

#define BOUND_MS 100
#define SHARDS 50 /* offsets.topic.num.partitions */
#define STORM_CONNS 3
#define STORM_CALLS 6 /* in flight on each */
#define STORM_NAMES 300
#define STORM_MEMBERS 40 /* that are in at one time */

struct storm_call {
	struct sim_call call;
	struct storm *storm;
};

struct storm {
	struct sim_conn conn;
	struct storm_call calls[STORM_CALLS];
	const char *group;
	int index, next;
	int64_t answers_n;
	bool is_over;
};

struct calm {
	struct sim_conn conn;
	struct sim_call call;
	struct wl_topic *topic;
	int32_t epoch;
	int64_t commits_n, beats_n, worst_ns, value;
};

static struct str storm_names[STORM_NAMES];
static char storm_texts[STORM_NAMES][48];

static void storm_send(struct storm_call *c);

static void storm_done(struct sim_call *call)
{
	struct storm_call *c = container_of(call, struct storm_call, call);

	if (call->err || c->storm->is_over)
		return;
	c->storm->answers_n++;
	storm_send(c);
}

/* Members come, and each that comes sends one away; now and then a classic one knocks, with as much to say. */
static void storm_send(struct storm_call *c)
{
	struct storm *storm = c->storm;
	struct consumer_group_heartbeat_request beat;
	struct join_group_request_protocols protocol;
	struct join_group_request join;
	int n = storm->next++;
	char id[32];

	if (n % 7 == 0) {
		msg_init(&join_group_request_type, &join);
		msg_init(&join_group_request_protocols_type, &protocol);
		join.group_id = STR("storm of others");
		join.session_timeout_ms = 10000;
		join.rebalance_timeout_ms = 10000;
		join.protocol_type = STR("consumer");
		join.protocols = &protocol;
		join.protocols_n = 1;
		protocol.name = STR("p");
		protocol.metadata = (struct bytes){(const uint8_t *)storm_texts, sizeof(storm_texts)};
		sim_conn_call(&storm->conn, &c->call, API_JOIN_GROUP, &join, 30000, storm_done);
		return;
	}
	msg_init(&consumer_group_heartbeat_request_type, &beat);
	beat.group_id = str_of(storm->group);
	beat.subscribed_topic_names_n = beat.topic_partitions_n = -1;
	if (n % 2 == 0 && n > STORM_MEMBERS) {
		snprintf(id, sizeof(id), "s%d-%d", storm->index, n - STORM_MEMBERS + 1);
		beat.member_epoch = -1;
	} else {
		snprintf(id, sizeof(id), "s%d-%d", storm->index, n);
		beat.rebalance_timeout_ms = 10000;
		beat.subscribed_topic_names = storm_names;
		beat.subscribed_topic_names_n = STORM_NAMES;
		beat.topic_partitions_n = 0;
	}
	beat.member_id = str_of(id);
	sim_conn_call(&storm->conn, &c->call, API_CONSUMER_GROUP_HEARTBEAT, &beat, 30000, storm_done);
}

static bool conn_is_up(struct world *w, void *conn)
{
	return ((struct sim_conn *)conn)->state == CONN_UP;
}

static bool call_is_back(struct world *w, void *call)
{
	return !sim_call_is_out(call);
}

static void open_conn(struct world *w, struct sim_conn *conn, const char *name)
{
	sim_conn_init(conn, w, 1, name);
	conn->cap[API_CONSUMER_GROUP_HEARTBEAT] = 1;
	conn->cap[API_JOIN_GROUP] = 9;
	conn->cap[API_OFFSET_COMMIT] = 9;
	conn->cap[API_FIND_COORDINATOR] = 3;
	sim_conn_open(conn);
	assert_true(run_until(w, conn_is_up, conn, 5000));
}

static void found(struct sim_call *call)
{
	const struct find_coordinator_response *response = call->response;

	assert_int_equal(call->err, ERR_NONE);
	assert_true(response->error_code == 0 || response->error_code == ERR_COORDINATOR_NOT_AVAILABLE);
}

static void heard(struct sim_call *call)
{
	struct calm *calm = container_of(call, struct calm, call);
	const struct consumer_group_heartbeat_response *response = call->response;

	assert_int_equal(call->err, ERR_NONE);
	assert_int_equal(response->error_code, 0);
	calm->epoch = response->member_epoch;
	calm->beats_n++;
	calm->worst_ns = MAX(calm->worst_ns, calm->conn.w->now_ns - call->sent_ns);
}

static void committed(struct sim_call *call)
{
	struct calm *calm = container_of(call, struct calm, call);
	const struct offset_commit_response *response = call->response;

	assert_int_equal(call->err, ERR_NONE);
	assert_int_equal(response->topics[0].partitions[0].error_code, 0);
	calm->commits_n++;
	calm->worst_ns = MAX(calm->worst_ns, calm->conn.w->now_ns - call->sent_ns);
}

static void calm_beat(struct calm *calm)
{
	struct consumer_group_heartbeat_request beat;
	struct str name = str_of(calm->topic->name);

	msg_init(&consumer_group_heartbeat_request_type, &beat);
	beat.group_id = STR("calm");
	beat.member_id = STR("m");
	beat.member_epoch = calm->epoch;
	beat.subscribed_topic_names_n = beat.topic_partitions_n = -1;
	if (calm->epoch == 0) {
		beat.rebalance_timeout_ms = 10000;
		beat.subscribed_topic_names = &name;
		beat.subscribed_topic_names_n = 1;
		beat.topic_partitions_n = 0;
	}
	sim_conn_call(&calm->conn, &calm->call, API_CONSUMER_GROUP_HEARTBEAT, &beat, 30000, heard);
}

static void calm_commit(struct calm *calm)
{
	struct offset_commit_request_topics_partitions partition;
	struct offset_commit_request_topics topic;
	struct offset_commit_request request;

	msg_init(&offset_commit_request_type, &request);
	msg_init(&offset_commit_request_topics_type, &topic);
	msg_init(&offset_commit_request_topics_partitions_type, &partition);
	request.group_id = STR("calm");
	request.member_id = STR("m");
	request.generation_id_or_member_epoch = calm->epoch;
	request.topics = &topic;
	request.topics_n = 1;
	topic.name = str_of(calm->topic->name);
	topic.partitions = &partition;
	topic.partitions_n = 1;
	partition.committed_offset = calm->value++;
	partition.committed_metadata = STR("");
	sim_conn_call(&calm->conn, &calm->call, API_OFFSET_COMMIT, &request, 30000, committed);
}

static void find(struct world *w, struct calm *calm)
{
	struct find_coordinator_request request;

	msg_init(&find_coordinator_request_type, &request);
	request.key = STR("calm");
	sim_conn_call(&calm->conn, &calm->call, API_FIND_COORDINATOR, &request, 10000, found);
	assert_true(run_until(w, call_is_back, &calm->call, 10000));
	run_for(w, 1000);
}

static int shard_of(const char *name)
{
	int32_t hash = hash_java_string(str_of(name));

	return (hash < 0 ? -hash : hash) % SHARDS;
}

static void test_a_storm_slows_nobody_else(void **state)
{
	struct storm *storms = mem_calloc(STORM_CONNS, sizeof(*storms));
	struct calm *calm = MEM_NEW(struct calm);
	struct world *w = scenario_world(1, &broker_body);
	struct workload *wl;
	char group[32];
	int64_t answers_n = 0;

	log_sink_set(&w->sink);
	wl = workload_new(w, 1);
	assert_true(node_up(w, 1));
	workload_start(wl);
	run_for(w, 500);
	for (int i = 0; i < STORM_NAMES; i++) {
		snprintf(storm_texts[i], sizeof(storm_texts[i]), "a topic that is not there and never was, %d", i);
		storm_names[i] = str_of(storm_texts[i]);
	}
	for (int i = 0; i == 0 || shard_of(group) != shard_of("calm"); i++)
		snprintf(group, sizeof(group), "storm-%d", i);
	calm->topic = &wl->topics[0];
	open_conn(w, &calm->conn, "calm");
	find(w, calm);
	for (int i = 0; i < STORM_CONNS; i++) {
		storms[i].group = group;
		storms[i].index = i;
		open_conn(w, &storms[i].conn, "storm");
		for (int k = 0; k < STORM_CALLS; k++) {
			storms[i].calls[k].storm = &storms[i];
			storm_send(&storms[i].calls[k]);
		}
	}
	for (int i = 0; i < 24; i++) {
		if (i % 2 == 0)
			calm_beat(calm);
		else
			calm_commit(calm);
		assert_true(run_until(w, call_is_back, &calm->call, 30000));
		run_for(w, 20);
	}
	for (int i = 0; i < STORM_CONNS; i++) {
		storms[i].is_over = true;
		answers_n += storms[i].answers_n;
	}
	assert_string_equal(w->failure, "");
	assert_int_equal(calm->beats_n, 12);
	assert_int_equal(calm->commits_n, 12);
	assert_true(answers_n > 200);
	assert_in_range(calm->worst_ns, 1, BOUND_MS * NS_PER_MS);
	workload_stop(wl);
	for (int i = 0; i < STORM_CONNS; i++)
		sim_conn_deinit(&storms[i].conn);
	sim_conn_deinit(&calm->conn);
	workload_free(wl);
	log_sink_set(NULL);
	world_free(w);
	mem_free(storms);
	mem_free(calm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_storm_slows_nobody_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
