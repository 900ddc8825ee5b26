/* SPDX-License-Identifier: Apache-2.0 */
/* More partitions, elections that are asked for, moves to other brokers: outcomes and records as Kafka's. */
#include "controller_world.h"
#include "msg/alter_partition_reassignments.h"
#include "msg/create_partitions.h"
#include "msg/elect_leaders.h"
#include "msg/unregister_broker.h"

static void setup(struct world *w, int32_t brokers)
{
	world_init(w, 30);
	for (int32_t id = 1; id <= brokers; id++)
		world_add_broker(w, id);
}

static void check_text(struct str text, const char *expected)
{
	if (!expected)
		assert_null(text.p);
	else if (!str_eq_c(text, expected))
		fail_msg("\"%.*s\", not \"%s\"", STR_ARGS(text), expected);
}

static const struct partition_image *partition_of(struct world *w, const char *topic, int32_t index)
{
	const struct partition_image *partition =
		topic_partition(image_topic(w->controller.committed, str_of(topic)), index);

	assert_non_null(partition);
	return partition;
}

static void check_ids(const int32_t *ids, int32_t n, const char *expected)
{
	char text[64];
	struct fmt f;

	fmt_init(&f, text, sizeof(text));
	for (int32_t i = 0; i < n; i++)
		fmt_add(&f, "%s%d", i ? "," : "", ids[i]);
	assert_string_equal(text, expected);
}

/* A topic with one partition on these brokers. */
static void create_on(struct world *w, const char *name, int32_t *ids, int32_t n)
{
	struct create_topics_request in;
	struct create_topics_response out;

	msg_init(&create_topics_request_type, &in);
	in.topics = MSG_NEW(&w->arena, create_topics_request_topics);
	in.topics_n = 1;
	in.topics[0].name = str_of(name);
	in.topics[0].num_partitions = -1;
	in.topics[0].replication_factor = -1;
	in.topics[0].assignments = MSG_NEW(&w->arena, create_topics_request_topics_assignments);
	in.topics[0].assignments_n = 1;
	in.topics[0].assignments[0].broker_ids = ids;
	in.topics[0].assignments[0].broker_ids_n = n;
	world_begin(w);
	assert_int_equal(controller_create_topics(&w->controller, 7, &in, &out, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	assert_int_equal(out.topics[0].error_code, 0);
}

static void unregister(struct world *w, int32_t id)
{
	struct unregister_broker_request in;
	struct unregister_broker_response out;

	msg_init(&unregister_broker_request_type, &in);
	in.broker_id = id;
	world_begin(w);
	assert_int_equal(controller_unregister_broker(&w->controller, &in, &out, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	assert_int_equal(out.error_code, 0);
}

/* ---- more partitions ---- */

static struct create_partitions_response_results grow(struct world *w, const char *name, int32_t count,
						      const int32_t *ids, int32_t ids_n)
{
	struct create_partitions_request in;
	struct create_partitions_response out;

	msg_init(&create_partitions_request_type, &in);
	in.topics = MSG_NEW(&w->arena, create_partitions_request_topics);
	in.topics_n = 1;
	in.topics[0].name = str_of(name);
	in.topics[0].count = count;
	in.topics[0].assignments_n = -1;
	if (ids) {
		in.topics[0].assignments = MSG_NEW(&w->arena, create_partitions_request_topics_assignments);
		in.topics[0].assignments_n = 1;
		in.topics[0].assignments[0].broker_ids = (int32_t *)ids;
		in.topics[0].assignments[0].broker_ids_n = ids_n;
	}
	world_begin(w);
	assert_int_equal(controller_create_partitions(&w->controller, &in, &out, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	assert_int_equal(out.results_n, 1);
	return out.results[0];
}

static void test_grow(void **state)
{
	struct world w;
	const struct partition_record *record;
	struct create_partitions_response_results out;

	setup(&w, 3);
	world_create(&w, "t", 2, 2);
	out = grow(&w, "t", 4, NULL, 0);
	assert_int_equal(out.error_code, 0);
	check_text(out.error_message, NULL);
	assert_int_equal(w.records.values.n, 2);
	record = world_record(&w, 1, METADATA_PARTITION_RECORD, 2);
	assert_int_equal(record->partition_id, 3);
	assert_int_equal(partition_of(&w, "t", 3)->replicas_n, 2); /* as many as partition 0 */
	out = grow(&w, "t", 5, (int32_t[]){3, 1}, 2);
	assert_int_equal(out.error_code, 0);
	check_ids(partition_of(&w, "t", 4)->replicas, 2, "3,1");
	assert_int_equal(partition_of(&w, "t", 4)->leader, 3);
	world_deinit(&w);
}

static void test_grow_refused(void **state)
{
	static const int32_t one[] = {1}, both[] = {1, 2}, gone[] = {3};
	const struct {
		const char *name;
		int32_t count;
		const int32_t *ids;
		int32_t ids_n;
		int16_t error;
		const char *text;
	} cases[] = {
		{"nope", 3, NULL, 0, 3, NULL},
		{"t", 2, NULL, 0, 37, "Topic already has 2 partition(s)."},
		{"t", 1, NULL, 0, 37, "The topic t currently has 2 partition(s); 1 would not be an increase."},
		{"t", INT32_MIN, NULL, 0, 37,
		 "The topic t currently has 2 partition(s); -2147483648 would not be an increase."},
		{"t", 4, one, 1, 39,
		 "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."},
		{"t", 3, one, 0, 39,
		 "The manual partition assignment includes an empty replica list."},
		{"t", 3, both, 2, 39,
		 "The manual partition assignment includes a partition with 2 replica(s), but this is "
		 "not consistent with previous partitions, which have 1 replica(s)."},
		{"t", 3, gone, 1, 39,
		 "The manual partition assignment includes broker 3, but no such broker is registered."},
		{"t", 10003, NULL, 0, 44, "Excessively large number of partitions per request."},
	};
	struct world w;

	setup(&w, 2);
	world_create(&w, "t", 2, 1);
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct create_partitions_response_results out = grow(&w, cases[i].name, cases[i].count, cases[i].ids,
								     cases[i].ids_n);

		assert_int_equal(out.error_code, cases[i].error);
		check_text(out.error_message, cases[i].text);
		assert_int_equal(w.records.values.n, 0);
	}
	world_deinit(&w);
}

/* ---- elections ---- */

static int16_t elect(struct world *w, const char *name, int32_t index, int8_t type, const char *text)
{
	struct elect_leaders_request in;
	struct elect_leaders_response out;

	msg_init(&elect_leaders_request_type, &in);
	in.election_type = type;
	in.topic_partitions = MSG_NEW(&w->arena, elect_leaders_request_topic_partitions);
	in.topic_partitions_n = 1;
	in.topic_partitions[0].topic = str_of(name);
	in.topic_partitions[0].partitions = &index;
	in.topic_partitions[0].partitions_n = 1;
	world_begin(w);
	assert_int_equal(controller_elect_leaders(&w->controller, &in, &out, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	assert_int_equal(out.replica_election_results_n, 1);
	check_text(out.replica_election_results[0].partition_result[0].error_message, text);
	return out.replica_election_results[0].partition_result[0].error_code;
}

static void test_elect_preferred(void **state)
{
	static const char not_needed[] = "Leader election not needed for topic partition.";
	struct world w;
	int32_t ids[] = {1, 2};

	setup(&w, 2);
	create_on(&w, "t", ids, 2);
	assert_int_equal(elect(&w, "t", 0, 0, not_needed), 84);
	assert_int_equal(elect(&w, "t", 0, 1, not_needed), 84);
	assert_int_equal(elect(&w, "t", 1, 0, "No such partition as t-1"), 3);
	assert_int_equal(elect(&w, "u", 0, 0, "No such topic as u"), 3);
	assert_int_equal(elect(&w, "t", 0, 9, "Unknown election type 9"), 42);
	world_heartbeat(&w, 1, true); /* 2 leads */
	assert_int_equal(partition_of(&w, "t", 0)->leader, 2);
	assert_int_equal(elect(&w, "t", 0, 0, "The preferred leader was not available."), 80);
	assert_int_equal(elect(&w, "t", 0, 1, not_needed), 84);
	assert_int_equal(w.records.values.n, 0);
	world_deinit(&w);
}

/* The preferred replica is in sync, but another leads: that happens when brokers came back. */
static void test_elect_moves_leader(void **state)
{
	struct world w;
	struct partition_change_record change;
	int32_t ids[] = {1, 2};

	setup(&w, 2);
	create_on(&w, "t", ids, 2);
	world_begin(&w);
	msg_init(&partition_change_record_type, &change);
	change.topic_id = image_topic(w.controller.latest, STR("t"))->id;
	change.partition_id = 0;
	change.leader = 2;
	vec_push(&w.records.values, metadata_record_encode(METADATA_PARTITION_CHANGE_RECORD, 2, &change, &w.arena));
	world_done(&w);
	assert_int_equal(partition_of(&w, "t", 0)->leader, 2);
	assert_int_equal(elect(&w, "t", 0, 0, NULL), 0);
	assert_int_equal(partition_of(&w, "t", 0)->leader, 1);
	assert_int_equal(partition_of(&w, "t", 0)->leader_epoch, 2);
	world_deinit(&w);
}

static void test_elect_all(void **state)
{
	struct elect_leaders_request in;
	struct elect_leaders_response out;
	struct world w;

	setup(&w, 1);
	world_create(&w, "a", 2, 1);
	world_create(&w, "b", 1, 1);
	msg_init(&elect_leaders_request_type, &in);
	in.topic_partitions_n = -1;
	world_begin(&w);
	assert_int_equal(controller_elect_leaders(&w.controller, &in, &out, &w.records, &w.arena), ERR_NONE);
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(out.replica_election_results_n, 2);
	assert_true(str_eq_c(out.replica_election_results[1].topic, "b"));
	assert_int_equal(out.replica_election_results[0].partition_result_n, 0);
	world_deinit(&w);
}

/* ---- moves ---- */

static int16_t move(struct world *w, const char *name, int32_t index, const int32_t *ids, int32_t n, bool may_change_n,
		    const char *text)
{
	struct alter_partition_reassignments_request in;
	struct alter_partition_reassignments_response out;

	msg_init(&alter_partition_reassignments_request_type, &in);
	in.allow_replication_factor_change = may_change_n;
	in.topics = MSG_NEW(&w->arena, alter_partition_reassignments_request_topics);
	in.topics_n = 1;
	in.topics[0].name = str_of(name);
	in.topics[0].partitions = MSG_NEW(&w->arena, alter_partition_reassignments_request_topics_partitions);
	in.topics[0].partitions_n = 1;
	in.topics[0].partitions[0].partition_index = index;
	in.topics[0].partitions[0].replicas = (int32_t *)ids;
	in.topics[0].partitions[0].replicas_n = n;
	world_begin(w);
	assert_int_equal(controller_alter_reassignments(&w->controller, &in, &out, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	assert_int_equal(out.error_code, 0);
	check_text(out.responses[0].partitions[0].error_message, text);
	return out.responses[0].partitions[0].error_code;
}

static void test_move_refused(void **state)
{
	struct world w;

	setup(&w, 2);
	world_create(&w, "t", 1, 1);
	assert_int_equal(move(&w, "u", 0, NULL, -1, true, "Unable to find a topic named u."), 3);
	assert_int_equal(move(&w, "t", 7, NULL, -1, true, "Unable to find partition t:7."), 3);
	assert_int_equal(move(&w, "t", 0, NULL, -1, true, NULL), 85);
	assert_int_equal(move(&w, "t", 0, (int32_t[]){7}, 1, true, "The manual partition assignment includes broker 7, "
			      "but no such broker is registered."), 39);
	assert_int_equal(move(&w, "t", 0, (int32_t[]){1, 2}, 2, false, "The replication factor is changed from 1 to 2"),
			 38);
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(move(&w, "t", 0, partition_of(&w, "t", 0)->replicas, 1, true, NULL), 0);
	assert_int_equal(w.records.values.n, 0); /* it is there already */
	world_deinit(&w);
}

static void test_move_and_cancel(void **state)
{
	struct world w;
	const struct partition_image *p;
	int32_t ids[] = {1, 2};

	setup(&w, 3);
	create_on(&w, "t", ids, 2);
	assert_int_equal(move(&w, "t", 0, (int32_t[]){3, 1}, 2, true, NULL), 0);
	p = partition_of(&w, "t", 0);
	check_ids(p->replicas, p->replicas_n, "3,1,2");
	check_ids(p->adding, p->adding_n, "3");
	check_ids(p->removing, p->removing_n, "2");
	check_ids(p->isr, p->isr_n, "1,2");
	assert_int_equal(p->leader, 1);
	assert_int_equal(p->leader_epoch, 0);
	assert_int_equal(p->directories_n, 3);
	assert_int_equal(move(&w, "t", 0, (int32_t[]){3}, 1, true, NULL), 0); /* another aim on the way */
	p = partition_of(&w, "t", 0);
	check_ids(p->replicas, p->replicas_n, "3,1,2");
	check_ids(p->removing, p->removing_n, "1,2");
	assert_int_equal(move(&w, "t", 0, NULL, -1, true, NULL), 0);
	p = partition_of(&w, "t", 0);
	check_ids(p->replicas, p->replicas_n, "1,2");
	check_ids(p->adding, p->adding_n, "");
	check_ids(p->removing, p->removing_n, "");
	assert_int_equal(move(&w, "t", 0, NULL, -1, true, NULL), 85);
	world_deinit(&w);
}

/* Nobody has to be waited for when a move only takes away. */
static void test_move_to_fewer(void **state)
{
	struct world w;
	const struct partition_image *p;
	int32_t ids[] = {1, 2, 3};

	setup(&w, 3);
	create_on(&w, "t", ids, 3);
	assert_int_equal(move(&w, "t", 0, (int32_t[]){2}, 1, true, NULL), 0);
	p = partition_of(&w, "t", 0);
	check_ids(p->replicas, p->replicas_n, "2");
	check_ids(p->isr, p->isr_n, "2");
	check_ids(p->removing, p->removing_n, "");
	assert_int_equal(p->leader, 2);
	assert_int_equal(p->leader_epoch, 1);
	assert_int_equal(p->directories_n, 1);
	world_deinit(&w);
}

/* ---- a broker that will not come back ---- */

static void test_unregister(void **state)
{
	struct unregister_broker_request in;
	struct unregister_broker_response out;
	struct world w;
	int32_t ids[] = {1, 2};

	setup(&w, 2);
	create_on(&w, "t", ids, 2);
	unregister(&w, 1);
	assert_null(image_broker(w.controller.committed, 1));
	assert_int_equal(partition_of(&w, "t", 0)->leader, 2);
	check_ids(partition_of(&w, "t", 0)->isr, partition_of(&w, "t", 0)->isr_n, "2");
	check_ids(partition_of(&w, "t", 0)->replicas, 2, "1,2");
	msg_init(&unregister_broker_request_type, &in);
	in.broker_id = 1;
	world_begin(&w);
	assert_int_equal(controller_unregister_broker(&w.controller, &in, &out, &w.records, &w.arena), ERR_NONE);
	assert_int_equal(out.error_code, 102);
	check_text(out.error_message, "Broker ID 1 is not currently registered");
	assert_int_equal(w.records.values.n, 0);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_grow_refused),
		cmocka_unit_test(test_elect_preferred),
		cmocka_unit_test(test_elect_moves_leader),
		cmocka_unit_test(test_elect_all),
		cmocka_unit_test(test_move_refused),
		cmocka_unit_test(test_move_and_cancel),
		cmocka_unit_test(test_move_to_fewer),
		cmocka_unit_test(test_unregister),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
