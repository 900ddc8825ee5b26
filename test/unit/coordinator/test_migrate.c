/* SPDX-License-Identifier: Apache-2.0 */
/* A classic group with a static member that members of the consumer protocol come to. */
#include "consumer_world.h"

#include "codec.h"
#include "group_classic.h"
#include "msg/consumer_protocol.h"

struct joiner {
	struct classic_join join;
	struct classic_sync sync;
	struct join_group_request in;
	struct join_group_request_protocols protocol;
	struct sync_group_request sync_in;
	struct sync_group_request_assignments assignment;
	int done_n;
};

static void joiner_join_done(struct coord_op *op)
{
	container_of(op, struct joiner, join.op)->done_n++;
}

static void joiner_sync_done(struct coord_op *op)
{
	container_of(op, struct joiner, sync.op)->done_n++;
}

static struct bytes encode(struct consumer_world *w, const struct msg_type *type, const void *object)
{
	struct codec_out out = {.arena = &w->arena, .head_len = 2};

	assert_int_equal(codec_encode_copied(type, 3, object, &out), ERR_NONE);
	store_be16(out.head, 3);
	return (struct bytes){out.head, out.len};
}

/* owned_n: it says that it has the first so many partitions. */
static struct bytes subscription(struct consumer_world *w, int32_t owned_n)
{
	struct consumer_protocol_subscription_owned_partitions owned;
	struct consumer_protocol_subscription ret;
	struct str topic = STR("t");
	int32_t parts[] = {0, 1};

	msg_init(&consumer_protocol_subscription_type, &ret);
	ret.topics = &topic;
	ret.topics_n = 1;
	msg_init(&consumer_protocol_subscription_owned_partitions_type, &owned);
	owned.topic = topic;
	owned.partitions = parts;
	owned.partitions_n = owned_n;
	ret.owned_partitions = &owned;
	ret.owned_partitions_n = owned_n > 0;
	return encode(w, &consumer_protocol_subscription_type, &ret);
}

static struct bytes assignment(struct consumer_world *w)
{
	struct consumer_protocol_assignment_assigned_partitions topic;
	struct consumer_protocol_assignment ret;
	int32_t parts[] = {0, 1};

	msg_init(&consumer_protocol_assignment_type, &ret);
	msg_init(&consumer_protocol_assignment_assigned_partitions_type, &topic);
	topic.topic = STR("t");
	topic.partitions = parts;
	topic.partitions_n = 2;
	ret.assigned_partitions = &topic;
	ret.assigned_partitions_n = 1;
	return encode(w, &consumer_protocol_assignment_type, &ret);
}

/* Asks to join as the static member "i", under its id when it has one. */
static void joiner_ask(struct joiner *j, struct consumer_world *w, struct str id, int32_t owned_n)
{
	*j = (struct joiner){0};
	msg_init(&join_group_request_type, &j->in);
	msg_init(&join_group_request_protocols_type, &j->protocol);
	j->protocol = (struct join_group_request_protocols){.name = STR("range"), .metadata = subscription(w, owned_n)};
	j->in.member_id = id;
	j->in.group_id = STR("g");
	j->in.session_timeout_ms = 1000000;
	j->in.rebalance_timeout_ms = 60000;
	j->in.group_instance_id = STR("i");
	j->in.protocol_type = STR("consumer");
	j->in.protocols = &j->protocol;
	j->in.protocols_n = 1;
	j->join = (struct classic_join){.op = {.arena = &w->arena, .decide = classic_join, .done = joiner_join_done,
					       .origin = COORD_ORIGIN_NONE},
					.in = &j->in, .client_id = STR("c"), .client_host = STR("/h"), .version = 9};
	coord_shard_submit(&w->shard, &j->join.op);
}

/* It leads a generation of its own. */
static void joiner_join(struct joiner *j, struct consumer_world *w)
{
	joiner_ask(j, w, STR(""), 0);
	consumer_world_pass(w, 1);
	consumer_world_commit(w);
	assert_int_equal(j->done_n, 1);
	assert_int_equal(j->join.out.error_code, 0);
	msg_init(&sync_group_request_type, &j->sync_in);
	j->assignment = (struct sync_group_request_assignments){.member_id = j->join.out.member_id,
								.assignment = assignment(w)};
	j->sync_in.group_id = STR("g");
	j->sync_in.member_id = j->join.out.member_id;
	j->sync_in.group_instance_id = STR("i");
	j->sync_in.generation_id = j->join.out.generation_id;
	j->sync_in.assignments = &j->assignment;
	j->sync_in.assignments_n = 1;
	j->sync = (struct classic_sync){.op = {.arena = &w->arena, .decide = classic_sync, .done = joiner_sync_done,
					       .origin = COORD_ORIGIN_NONE},
					.in = &j->sync_in};
	coord_shard_submit(&w->shard, &j->sync.op);
	consumer_world_commit(w);
	assert_int_equal(j->done_n, 2);
	assert_int_equal(j->sync.out.error_code, 0);
}

static void world_init(struct consumer_world *w, struct joiner *j)
{
	consumer_world_init(w, 1);
	w->store.settings.can_upgrade = w->store.settings.can_downgrade = true;
	consumer_world_topic(w, "t", 2);
	joiner_join(j, w);
	assert_string_equal(group_find(&w->store, STR("g"))->kind->type, "classic");
}

/* The refusal, and that the group is what it was. */
static void assert_refused(struct consumer_world *w, struct beat_spec spec, enum err err)
{
	size_t log_n = w->log.n;

	assert_int_equal(consumer_world_beat(w, spec, true)->error_code, err_wire(err));
	consumer_world_pass(w, 1);
	assert_int_equal(w->log.n, log_n);
	assert_string_equal(group_find(&w->store, STR("g"))->kind->type, "classic");
	assert_string_equal(consumer_world_state(w, "g"), "Stable");
}

/* Each attempt would end joins and begin sessions anew: a group that is asked again and again would never be stable. */
static void test_a_refused_join_leaves_the_classic_group_alone(void **state UNUSED)
{
	struct consumer_world w;
	struct joiner j;

	world_init(&w, &j);
	assert_refused(&w, (struct beat_spec){.member = "m", .topics = "t", .instance = "i", .tells_owned = true},
		       ERR_UNRELEASED_INSTANCE_ID);
	assert_refused(&w, (struct beat_spec){.member = "m", .regex = "t(", .tells_owned = true},
		       ERR_INVALID_REGULAR_EXPRESSION);
	w.store.settings.consumer_max_size = 1;
	assert_refused(&w, (struct beat_spec){.member = "m", .topics = "t", .tells_owned = true},
		       ERR_GROUP_MAX_SIZE_REACHED);
	consumer_world_deinit(&w);
}

static void test_a_consumer_joins_and_waits_for_what_classic_members_have(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;
	struct consumer_world w;
	struct joiner j;

	world_init(&w, &j);
	response = consumer_world_beat(&w, (struct beat_spec){.member = "m", .topics = "t", .tells_owned = true}, true);
	assert_int_equal(response->error_code, 0);
	assert_int_equal(response_set(response, &w.arena).n, 0);
	assert_string_equal(group_find(&w.store, STR("g"))->kind->type, "consumer");
	consumer_world_check(&w);
	consumer_world_deinit(&w);
}

/* What a classic member was asked to give back is its own through a downgrade and an upgrade, until it has done so. */
static void test_what_is_not_given_back_yet_is_waited_for(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;
	const struct consumer_member *guest;
	struct consumer_world w;
	struct joiner j;
	struct str id;

	world_init(&w, &j);
	id = arena_str(&w.arena, j.join.out.member_id);
	consumer_world_beat(&w, (struct beat_spec){.member = "m", .topics = "t", .tells_owned = true}, true);
	consumer_world_pass(&w, 1000);
	joiner_ask(&j, &w, id, 2);
	consumer_world_commit(&w);
	assert_int_equal(j.join.out.error_code, 0);
	guest = consumer_member_find(group_find(&w.store, STR("g"))->consumer, id);
	assert_int_equal(guest->current.assigned.n, 1);
	assert_int_equal(guest->current.revoking.n, 1);
	consumer_world_beat(&w, (struct beat_spec){.member = "m", .epoch = -1}, true);
	consumer_world_pass(&w, 1);
	consumer_world_commit(&w);
	assert_string_equal(group_find(&w.store, STR("g"))->kind->type, "classic");
	response = consumer_world_beat(&w, (struct beat_spec){.member = "n", .topics = "t", .tells_owned = true}, true);
	assert_int_equal(response->error_code, 0);
	assert_int_equal(response_set(response, &w.arena).n, 0);
	guest = consumer_member_find(group_find(&w.store, STR("g"))->consumer, id);
	assert_int_equal(guest->current.assigned.n, 2);
	consumer_world_check(&w);
	consumer_world_deinit(&w);
}

/* An empty group of the consumer protocol ends when a classic member joins; then that end fails, as on a full disk. */
static void test_an_end_that_fails_takes_the_new_members_with_it(void **state UNUSED)
{
	struct consumer_world w;
	struct joiner j;

	consumer_world_init(&w, 1);
	consumer_world_topic(&w, "t", 2);
	consumer_world_beat(&w, (struct beat_spec){.member = "m", .topics = "t", .tells_owned = true}, true);
	consumer_world_beat(&w, (struct beat_spec){.member = "m", .epoch = -1}, true);
	assert_string_equal(consumer_world_state(&w, "g"), "Empty");
	joiner_ask(&j, &w, STR(""), 0);
	assert_string_equal(group_find(&w.store, STR("g"))->kind->type, "classic");
	assert_int_equal(j.done_n, 0);
	consumer_world_fail(&w);
	assert_int_equal(j.done_n, 1);
	assert_int_equal(j.join.out.error_code, err_wire(ERR_COORDINATOR_NOT_AVAILABLE));
	assert_string_equal(group_find(&w.store, STR("g"))->kind->type, "consumer");
	consumer_world_check(&w);
	consumer_world_deinit(&w);
}

/* It joined a consumer group, is heard of, and never asks what it may own. */
static void test_a_guest_that_does_not_sync_is_removed(void **state UNUSED)
{
	struct consumer_world w;
	struct joiner j;

	consumer_world_init(&w, 1);
	w.store.settings.consumer_session_timeout_ms = 1000000;
	consumer_world_topic(&w, "t", 2);
	consumer_world_beat(&w, (struct beat_spec){.member = "m", .topics = "t", .tells_owned = true}, true);
	joiner_ask(&j, &w, STR(""), 0);
	consumer_world_commit(&w);
	assert_int_equal(j.join.out.error_code, 0);
	consumer_world_pass(&w, 59000);
	assert_int_equal(group_find(&w.store, STR("g"))->consumer->members_n, 2);
	consumer_world_pass(&w, 2000);
	assert_int_equal(group_find(&w.store, STR("g"))->consumer->members_n, 1);
	assert_non_null(consumer_member_find(group_find(&w.store, STR("g"))->consumer, STR("m")));
	consumer_world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_refused_join_leaves_the_classic_group_alone),
		cmocka_unit_test(test_what_is_not_given_back_yet_is_waited_for),
		cmocka_unit_test(test_an_end_that_fails_takes_the_new_members_with_it),
		cmocka_unit_test(test_a_guest_that_does_not_sync_is_removed),
		cmocka_unit_test(test_a_consumer_joins_and_waits_for_what_classic_members_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
