/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer groups of the new protocol: stories of a few members, and drawn groups whose members come, go, lag, and
 * repeat themselves while topics appear and writes fail. After each step the state is what the log says.
 */
#include "consumer_world.h"

static struct consumer_world w;

static int setup(void **state UNUSED)
{
	consumer_world_init(&w, 7);
	consumer_world_topic(&w, "a", 6);
	return 0;
}

static int teardown(void **state UNUSED)
{
	consumer_world_check(&w);
	consumer_world_deinit(&w);
	return 0;
}

#define BEAT(...) consumer_world_beat(&w, (struct beat_spec){__VA_ARGS__}, true)

static void test_first_member_gets_all(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response = BEAT(.member = "m1", .topics = "a");

	assert_int_equal(response->error_code, 0);
	assert_int_equal(response->member_epoch, 2);
	assert_int_equal(response->heartbeat_interval_ms, 5000);
	assert_int_equal(response_set(response, &w.arena).n, 6);
	assert_string_equal(consumer_world_state(&w, "g"), "Stable");
	/* Nothing new: nothing told, nothing written. */
	{
		size_t log_n = w.log.n;

		response = BEAT(.member = "m1", .epoch = 2);
		assert_int_equal(response->error_code, 0);
		assert_null(response->assignment);
		assert_int_equal(w.log.n, log_n);
	}
}

static void test_second_waits_until_the_first_has_given_back(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;
	struct part_set first, second;

	BEAT(.member = "m1", .topics = "a");
	consumer_world_pass(&w, 1000);
	response = BEAT(.member = "m2", .topics = "a");
	assert_int_equal(response->member_epoch, 3);
	assert_int_equal(response_set(response, &w.arena).n, 0);
	assert_string_equal(consumer_world_state(&w, "g"), "Reconciling");

	response = BEAT(.member = "m1", .epoch = 2);
	first = response_set(response, &w.arena);
	assert_int_equal(response->member_epoch, 2);
	assert_int_equal(first.n, 3);
	assert_int_equal(response_set(BEAT(.member = "m2", .epoch = 3), &w.arena).n, 0);

	response = BEAT(.member = "m1", .epoch = 2, .tells_owned = true, .owned = first);
	assert_int_equal(response->member_epoch, 3);
	response = BEAT(.member = "m2", .epoch = 3);
	second = response_set(response, &w.arena);
	assert_int_equal(second.n, 3);
	assert_false(part_set_overlaps(first, second));
	assert_string_equal(consumer_world_state(&w, "g"), "Stable");
}

static void test_silent_member_is_removed(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;

	BEAT(.member = "m1", .topics = "a");
	consumer_world_pass(&w, 1000);
	BEAT(.member = "m2", .topics = "a");
	consumer_world_pass(&w, 30000);
	response = BEAT(.member = "m2", .epoch = 3);
	consumer_world_pass(&w, 20000);
	response = BEAT(.member = "m1", .epoch = 2);
	assert_int_equal(response->error_code, ERR_UNKNOWN_MEMBER_ID);
	response = BEAT(.member = "m2", .epoch = 3);
	assert_int_equal(response->member_epoch, 4);
	assert_int_equal(response_set(response, &w.arena).n, 6);
	consumer_world_pass(&w, 60000);
	assert_string_equal(consumer_world_state(&w, "g"), "Empty");
}

/* Each sign of life moves the end of the session, to the millisecond, however often it was moved. */
static void test_session_begins_anew_with_each_heartbeat(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;

	BEAT(.member = "m1", .topics = "a");
	for (int i = 0; i < 5; i++) {
		consumer_world_pass(&w, 30000);
		response = BEAT(.member = "m1", .epoch = 2);
		assert_int_equal(response->error_code, 0);
		assert_int_equal(response->member_epoch, 2);
	}
	consumer_world_pass(&w, 44999);
	assert_string_equal(consumer_world_state(&w, "g"), "Stable");
	consumer_world_pass(&w, 1);
	assert_string_equal(consumer_world_state(&w, "g"), "Empty");
}

static void test_member_that_keeps_what_it_should_give_back_is_removed(void **state UNUSED)
{
	BEAT(.member = "m1", .topics = "a", .rebalance_timeout_ms = 20000);
	consumer_world_pass(&w, 1000);
	BEAT(.member = "m2", .topics = "a");
	BEAT(.member = "m1", .epoch = 2);
	consumer_world_pass(&w, 15000);
	assert_int_equal(BEAT(.member = "m1", .epoch = 2)->error_code, 0);
	consumer_world_pass(&w, 6000);
	assert_int_equal(BEAT(.member = "m1", .epoch = 2)->error_code, ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(response_set(BEAT(.member = "m2", .epoch = 3), &w.arena).n, 6);
}

static void test_static_member_comes_back(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;
	struct part_set before;

	BEAT(.member = "m1", .instance = "i1", .topics = "a");
	consumer_world_pass(&w, 1000);
	BEAT(.member = "m2", .instance = "i2", .topics = "a");
	before = response_set(BEAT(.member = "m1", .instance = "i1", .epoch = 2), &w.arena);
	BEAT(.member = "m1", .instance = "i1", .epoch = 2, .tells_owned = true, .owned = before);
	BEAT(.member = "m2", .instance = "i2", .epoch = 3);

	response = BEAT(.member = "m3", .instance = "i1", .topics = "a");
	assert_int_equal(response->error_code, ERR_UNRELEASED_INSTANCE_ID);
	response = BEAT(.member = "m1", .instance = "i1", .epoch = -2);
	assert_int_equal(response->error_code, 0);
	assert_int_equal(response->member_epoch, -2);
	response = BEAT(.member = "m3", .instance = "i1", .topics = "a");
	assert_int_equal(response->error_code, 0);
	assert_int_equal(response->member_epoch, 3);
	assert_true(part_set_eq(response_set(response, &w.arena), before));
	response = BEAT(.member = "m1", .instance = "i1", .epoch = 3);
	assert_int_equal(response->error_code, ERR_FENCED_INSTANCE_ID);
	assert_string_equal(consumer_world_state(&w, "g"), "Stable");
}

static void test_fenced_epochs(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response = BEAT(.member = "m1", .topics = "a");
	struct part_set set = response_set(response, &w.arena);

	assert_int_equal(BEAT(.member = "m1", .epoch = 3)->error_code, ERR_FENCED_MEMBER_EPOCH);
	consumer_world_topic(&w, "b", 1);
	BEAT(.member = "m1", .epoch = 2, .topics = "a,b");
	consumer_world_pass(&w, 1000);
	BEAT(.member = "m1", .epoch = 2);
	/* The answer was lost: the epoch before is taken with what it may own, and not without saying. */
	assert_int_equal(BEAT(.member = "m1", .epoch = 2, .tells_owned = true, .owned = set)->error_code, 0);
	assert_int_equal(BEAT(.member = "m1", .epoch = 2)->error_code, ERR_FENCED_MEMBER_EPOCH);
	assert_int_equal(BEAT(.member = "m9", .epoch = 2)->error_code, ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(BEAT(.group = "other", .member = "m9", .epoch = 2)->error_code, ERR_GROUP_ID_NOT_FOUND);
}

static void test_expressions_follow_topics(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response = BEAT(.member = "m1", .regex = "a|logs-.*");

	assert_int_equal(response->error_code, 0);
	assert_int_equal(response_set(response, &w.arena).n, 6);
	consumer_world_topic(&w, "logs-1", 2);
	consumer_world_pass(&w, CONSUMER_REGEX_PAUSE_MS);
	response = BEAT(.member = "m1", .epoch = 2);
	assert_int_equal(response->member_epoch, 3);
	assert_int_equal(response_set(response, &w.arena).n, 8);
	response = BEAT(.member = "m2", .regex = "(?=a)");
	assert_int_equal(response->error_code, ERR_INVALID_REGULAR_EXPRESSION);
	/* Another expression instead: the first is forgotten. */
	response = BEAT(.member = "m1", .epoch = 3, .regex = "logs-.*", .tells_owned = true,
			.owned = response_set(response, &w.arena));
	assert_int_equal(response->error_code, 0);
	assert_int_equal(group_find(&w.store, STR("g"))->consumer->regexes.n, 1);
}

static void test_new_partitions_are_given_out(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response = BEAT(.member = "m1", .topics = "a,later");

	assert_int_equal(response_set(response, &w.arena).n, 6);
	consumer_world_topic(&w, "later", 2);
	consumer_world_pass(&w, 1000);
	response = BEAT(.member = "m1", .epoch = 2);
	assert_int_equal(response->member_epoch, 3);
	assert_int_equal(response_set(response, &w.arena).n, 8);
}

static void test_targets_are_made_once_per_interval(void **state UNUSED)
{
	BEAT(.member = "m1", .topics = "a");
	assert_int_equal(BEAT(.member = "m2", .topics = "a")->member_epoch, 2);
	assert_int_equal(BEAT(.member = "m3", .topics = "a")->member_epoch, 2);
	assert_string_equal(consumer_world_state(&w, "g"), "Assigning");
	consumer_world_pass(&w, 1000);
	assert_string_equal(consumer_world_state(&w, "g"), "Reconciling");
	assert_int_equal(BEAT(.member = "m2", .epoch = 2)->member_epoch, 4);
}

static void test_refused_requests(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;

	assert_int_equal(BEAT(.group = "", .member = "m1", .topics = "a")->error_code, ERR_INVALID_REQUEST);
	assert_int_equal(BEAT(.member = "m1", .epoch = -3)->error_code, ERR_INVALID_REQUEST);
	assert_int_equal(BEAT(.member = "m1")->error_code, ERR_INVALID_REQUEST);
	assert_int_equal(BEAT(.member = "", .epoch = 6)->error_code, ERR_INVALID_REQUEST);
	response = BEAT(.member = "m1", .topics = "a", .assignor = "sticky");
	assert_int_equal(response->error_code, ERR_UNSUPPORTED_ASSIGNOR);
	assert_string_equal(response->error_message.p,
			    "ServerAssignor sticky is not supported. Supported assignors: uniform, range.");
	assert_string_equal(consumer_world_state(&w, "g"), "absent");
}

static void test_failed_write_leaves_no_trace(void **state UNUSED)
{
	consumer_world_beat(&w, (struct beat_spec){.member = "m1", .topics = "a"}, false);
	consumer_world_beat(&w, (struct beat_spec){.member = "m2", .topics = "a"}, false);
	consumer_world_fail(&w);
	assert_string_equal(consumer_world_state(&w, "g"), "absent");
	BEAT(.member = "m1", .topics = "a");
	consumer_world_check(&w);
	consumer_world_beat(&w, (struct beat_spec){.member = "m1", .epoch = -1}, false);
	assert_string_equal(consumer_world_state(&w, "g"), "Empty");
	consumer_world_fail(&w);
	assert_string_equal(consumer_world_state(&w, "g"), "Stable");
	assert_int_equal(BEAT(.member = "m1", .epoch = 2)->error_code, 0);
}

/* A log that failed, say on a full disk, must not make the group forget that the topics have changed. */
static void test_topics_are_looked_at_again_after_a_failed_write(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;

	BEAT(.member = "m1", .topics = "a,later");
	consumer_world_topic(&w, "later", 2);
	consumer_world_pass(&w, 1000);
	consumer_world_beat(&w, (struct beat_spec){.member = "m1", .epoch = 2}, false);
	consumer_world_fail(&w);
	response = BEAT(.member = "m1", .epoch = 2);
	assert_int_equal(response->member_epoch, 3);
	assert_int_equal(response_set(response, &w.arena).n, 8);
	consumer_world_check(&w);
}

static void test_expressions_are_resolved_again_after_a_failed_write(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;

	BEAT(.member = "m1", .regex = "a|logs-.*");
	consumer_world_topic(&w, "logs-1", 2);
	consumer_world_pass(&w, CONSUMER_REGEX_PAUSE_MS);
	consumer_world_beat(&w, (struct beat_spec){.member = "m1", .epoch = 2}, false);
	consumer_world_fail(&w);
	assert_int_equal(BEAT(.member = "m1", .epoch = 2)->member_epoch, 2);
	consumer_world_pass(&w, CONSUMER_REGEX_PAUSE_MS);
	response = BEAT(.member = "m1", .epoch = 2);
	assert_int_equal(response->member_epoch, 3);
	assert_int_equal(response_set(response, &w.arena).n, 8);
	consumer_world_check(&w);
}

/* ---- what 4.0 wrote ---- */

static enum err decide_old_record(struct coord_op *op UNUSED, void *machine UNUSED, struct coord_records *records)
{
	struct consumer_group_partition_metadata_key key = {STR("g")};
	struct consumer_group_partition_metadata_value value;

	msg_init(&consumer_group_partition_metadata_value_type, &value);
	coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_CONSUMER_GROUP_PARTITION_METADATA, 0, &key, &value);
	return ERR_NONE;
}

static enum err decide_delete(struct coord_op *op UNUSED, void *machine, struct coord_records *records)
{
	return group_delete(machine, STR("g"), records);
}

static void op_done(struct coord_op *op UNUSED)
{
}

static void submit(enum err (*decide)(struct coord_op *, void *, struct coord_records *))
{
	struct coord_op op = {.decide = decide, .done = op_done, .origin = COORD_ORIGIN_NONE, .arena = &w.arena};

	coord_shard_submit(&w.shard, &op);
	consumer_world_commit(&w);
	assert_int_equal(op.err, ERR_NONE);
	consumer_world_check(&w);
}

static void test_old_records_go_with_their_group(void **state UNUSED)
{
	struct coord_key key;
	int old_n = 0;
	bool is_left = false;

	BEAT(.member = "m1", .topics = "a");
	submit(decide_old_record);
	BEAT(.member = "m1", .epoch = -1);
	submit(decide_delete);
	assert_string_equal(consumer_world_state(&w, "g"), "absent");
	for (size_t i = 0; i < w.log.n; i++) {
		assert_int_equal(coord_key_parse(MSG_FAMILY_GROUP, w.log.v[i].key, &key), ERR_NONE);
		if (key.row->number != GROUP_CONSUMER_GROUP_PARTITION_METADATA)
			continue;
		old_n++;
		is_left = w.log.v[i].value.p != NULL;
	}
	assert_int_equal(old_n, 2);
	assert_false(is_left);
}

/* ---- large groups ---- */

static const struct consumer_member *the_member(const char *id)
{
	return consumer_member_find(group_find(&w.store, STR("g"))->consumer, str_of(id));
}

static void test_a_large_group_gets_its_target_later(void **state UNUSED)
{
	struct consumer_group_heartbeat_response *response;

	w.store.inline_max = -1;
	response = BEAT(.member = "m1", .topics = "a", .tells_owned = true);
	assert_int_equal(response->error_code, 0);
	BEAT(.member = "m2", .topics = "a", .tells_owned = true);
	assert_string_equal(consumer_world_state(&w, "g"), "Assigning");
	consumer_world_pass(&w, 3000);
	assert_string_equal(consumer_world_state(&w, "g"), "Reconciling");
	assert_int_equal(the_member("m1")->target.n + the_member("m2")->target.n, 6);
	consumer_world_check(&w);
}

static void test_expressions_of_large_groups_are_resolved_beside_them(void **state UNUSED)
{
	w.store.inline_max = -1;
	assert_int_equal(BEAT(.member = "m1", .regex = "a(", .tells_owned = true)->error_code,
			 err_wire(ERR_INVALID_REGULAR_EXPRESSION));
	BEAT(.member = "m1", .regex = "a|b.*", .tells_owned = true);
	BEAT(.member = "m2", .regex = "b.*", .tells_owned = true);
	consumer_world_pass(&w, 3000);
	assert_int_equal(the_member("m1")->target.n, 6);
	assert_int_equal(the_member("m2")->target.n, 0);
	/* A topic that comes later. */
	consumer_world_topic(&w, "bb", 2);
	consumer_world_pass(&w, 15000);
	BEAT(.member = "m1", .epoch = the_member("m1")->current.epoch);
	consumer_world_pass(&w, 3000);
	assert_int_equal(the_member("m1")->target.n + the_member("m2")->target.n, 8);
	assert_int_equal(the_member("m2")->target.n, 2);
	consumer_world_check(&w);
}

/* However quiet the metadata is; by a job the second time. The image's offset does not tell of the new topics. */
static void test_expressions_are_resolved_anew_after_their_interval(void **state UNUSED)
{
	w.store.settings.consumer_regex_refresh_interval_ms = 60000;
	BEAT(.member = "m1", .regex = "a|logs-.*");
	for (int passed_ms = 0; passed_ms < 150000; passed_ms += 3000) {
		consumer_world_pass(&w, 3000);
		BEAT(.member = "m1", .epoch = the_member("m1")->current.epoch);
		if (passed_ms == 6000 || passed_ms == 81000) {
			w.store.inline_max = passed_ms > 6000 ? -1 : w.store.inline_max;
			consumer_world_topic(&w, passed_ms > 6000 ? "logs-1" : "logs-2", 2);
			w.image->offset--;
		}
		if (passed_ms == 54000 || passed_ms == 72000 || passed_ms == 120000)
			assert_int_equal(the_member("m1")->target.n, passed_ms == 54000 ? 6 : 8);
	}
	assert_int_equal(the_member("m1")->target.n, 10);
}

#define TOPICS_N 120000

/* Its records are megabytes, and several times as much in memory. */
static void test_a_member_of_very_many_topics(void **state UNUSED)
{
	consumer_world_topics(&w, "t", TOPICS_N);
	BEAT(.member = "m1", .regex = "t.*");
	for (int i = 0; i < 20 && the_member("m1")->current.assigned.n == 0; i++) {
		consumer_world_pass(&w, 3000);
		BEAT(.member = "m1", .epoch = the_member("m1")->current.epoch);
	}
	assert_int_equal(the_member("m1")->current.assigned.n, TOPICS_N);
	assert_string_equal(consumer_world_state(&w, "g"), "Stable");
	consumer_world_check(&w);
}

static void test_a_log_that_fails_ends_the_job(void **state UNUSED)
{
	w.store.inline_max = -1;
	BEAT(.member = "m1", .topics = "a", .tells_owned = true);
	consumer_world_beat(&w, (struct beat_spec){.member = "m2", .topics = "a", .tells_owned = true}, false);
	for (int i = 0; i < 10; i++) {
		coord_shard_time(&w.shard, w.shard.now_ms + 1, w.shard.wall_ms + 1);
		coord_shard_tick(&w.shard, 1);
	}
	/* Targets for two are written, and all of it fails. */
	consumer_world_fail(&w);
	consumer_world_check(&w);
	BEAT(.member = "m1", .epoch = the_member("m1")->current.epoch);
	consumer_world_pass(&w, 5000);
	BEAT(.member = "m1", .epoch = the_member("m1")->current.epoch);
	consumer_world_pass(&w, 5000);
	assert_int_equal(the_member("m1")->target.n, 6);
	consumer_world_check(&w);
}

/* What a new expression stands for is written by a job, and all of that fails. */
static void test_expressions_of_large_groups_are_resolved_after_a_failed_write(void **state UNUSED)
{
	w.store.inline_max = -1;
	BEAT(.member = "m1", .regex = "a");
	BEAT(.member = "m1", .epoch = the_member("m1")->current.epoch);
	for (int i = 0; i < 2000 && group_find(&w.store, STR("g"))->consumer->regexes.n == 0; i++) {
		coord_shard_time(&w.shard, w.shard.now_ms + 1, w.shard.wall_ms + 1);
		coord_shard_tick(&w.shard, 1);
	}
	assert_int_equal(group_find(&w.store, STR("g"))->consumer->regexes.n, 1);
	consumer_world_fail(&w);
	assert_int_equal(group_find(&w.store, STR("g"))->consumer->regexes.n, 0);
	for (int i = 0; i < 4; i++) {
		consumer_world_pass(&w, 5000);
		BEAT(.member = "m1", .epoch = the_member("m1")->current.epoch);
	}
	assert_int_equal(the_member("m1")->target.n, 6);
	consumer_world_check(&w);
}

/* ---- drawn groups ---- */

#define CLIENTS 6

struct client {
	bool is_in;
	int lives; /* its member id changes with each */
	int32_t epoch;
	struct part_set told, owns;
	bool answer_was_lost;
	int64_t heard_ms; /* when the last answer came */
};

static void client_name(int index, const struct client *client, char ret[20])
{
	snprintf(ret, 20, "c%d-%d", index, client->lives);
}

static void client_hear(struct client *client, const struct consumer_group_heartbeat_response *response)
{
	if (response->error_code == ERR_UNKNOWN_MEMBER_ID || response->error_code == ERR_FENCED_MEMBER_EPOCH ||
	    response->error_code == ERR_GROUP_ID_NOT_FOUND) {
		*client = (struct client){.lives = client->lives + 1};
		return;
	}
	assert_int_equal(response->error_code, 0);
	client->is_in = true;
	client->heard_ms = w.shard.now_ms;
	client->epoch = response->member_epoch;
	client->answer_was_lost = false;
	if (response->assignment)
		client->told = response_set(response, &w.arena);
}

/* Who hears nothing for the length of a session owns nothing any more, as clients know by themselves. */
static void check_owners(struct client *clients)
{
	for (int i = 0; i < CLIENTS; i++) {
		if (clients[i].is_in && w.shard.now_ms - clients[i].heard_ms >= 45000)
			clients[i] = (struct client){.lives = clients[i].lives + 1};
	}
	for (int i = 0; i < CLIENTS; i++) {
		for (int j = 0; j < i; j++)
			assert_false(part_set_overlaps(clients[i].owns, clients[j].owns));
	}
}

static void client_step(struct client *clients, int index, struct rng *rng, bool calm)
{
	struct client *client = &clients[index];
	struct beat_spec spec = {0};
	struct consumer_group_heartbeat_response *response;
	char name[20];

	client->owns = part_set_common(client->owns, client->told, &w.arena);
	if (calm || rng_chance(rng, 2, 3))
		client->owns = client->told;
	check_owners(clients);
	client_name(index, client, name);
	spec.member = name;
	spec.epoch = client->is_in ? client->epoch : 0;
	if (!client->is_in || client->answer_was_lost || rng_chance(rng, 1, 8)) {
		spec.topics = index % 2 ? "a,b" : "b,c";
		spec.rebalance_timeout_ms = 60000;
	}
	/* It tells what it owns when it took all it was told, and always when it does not know what was heard. */
	if (client->answer_was_lost)
		client->owns = client->told;
	spec.tells_owned = part_set_eq(client->owns, client->told);
	spec.owned = client->owns;
	if (!calm && client->is_in && rng_chance(rng, 1, 15)) {
		spec = (struct beat_spec){.member = name, .epoch = -1};
		client->owns = client->told = (struct part_set){0};
		consumer_world_beat(&w, spec, true);
		*client = (struct client){.lives = client->lives + 1};
		return;
	}
	response = consumer_world_beat(&w, spec, false);
	if (!calm && rng_chance(rng, 1, 12)) {
		/* The disk refuses: nothing of it happened, and the client hears an error that says to try again. */
		consumer_world_fail(&w);
		client->answer_was_lost = client->is_in;
		return;
	}
	consumer_world_commit(&w);
	if (!calm && client->is_in && rng_chance(rng, 1, 8))
		client->answer_was_lost = true;
	else
		client_hear(client, response);
}

static void test_drawn_groups(void **state UNUSED)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct client clients[CLIENTS] = {0};
		struct rng rng;

		consumer_world_init(&w, seed);
		rng_init(&rng, seed);
		/* Every second one makes its targets by jobs, as large groups do. */
		if (seed % 2)
			w.store.inline_max = -1;
		consumer_world_topic(&w, "a", 5);
		for (int step = 0; step < 260; step++) {
			bool calm = step >= 160;

			if (step == 40)
				consumer_world_topic(&w, "b", 7);
			if (step == 90)
				consumer_world_topic(&w, "c", 3);
			client_step(clients, (int)rng_below(&rng, CLIENTS), &rng, calm);
			consumer_world_pass(&w, calm ? 600 : (int64_t)rng_below(&rng, 3000));
		}
		for (int i = 0; i < CLIENTS * 4; i++)
			client_step(clients, i % CLIENTS, &rng, true);
		assert_string_equal(consumer_world_state(&w, "g"), "Stable");
		{
			int32_t owned_n = 0;

			for (int i = 0; i < CLIENTS; i++)
				owned_n += clients[i].owns.n;
			assert_int_equal(owned_n, 15);
		}
		consumer_world_check(&w);
		consumer_world_deinit(&w);
	}
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(test_first_member_gets_all),
		STORY(test_second_waits_until_the_first_has_given_back),
		STORY(test_silent_member_is_removed),
		STORY(test_session_begins_anew_with_each_heartbeat),
		STORY(test_member_that_keeps_what_it_should_give_back_is_removed),
		STORY(test_static_member_comes_back),
		STORY(test_fenced_epochs),
		STORY(test_expressions_follow_topics),
		STORY(test_expressions_are_resolved_anew_after_their_interval),
		STORY(test_new_partitions_are_given_out),
		STORY(test_targets_are_made_once_per_interval),
		STORY(test_refused_requests),
		STORY(test_failed_write_leaves_no_trace),
		STORY(test_topics_are_looked_at_again_after_a_failed_write),
		STORY(test_expressions_are_resolved_again_after_a_failed_write),
		STORY(test_a_member_of_very_many_topics),
		STORY(test_old_records_go_with_their_group),
		STORY(test_a_large_group_gets_its_target_later),
		STORY(test_expressions_of_large_groups_are_resolved_beside_them),
		STORY(test_a_log_that_fails_ends_the_job),
		STORY(test_expressions_of_large_groups_are_resolved_after_a_failed_write),
		cmocka_unit_test(test_drawn_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
