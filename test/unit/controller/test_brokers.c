/* SPDX-License-Identifier: Apache-2.0 */
/* Brokers coming and going: registration, heartbeats, leaders. The sequences of records are those that Kafka 4.3.1
 * writes on one node. */
#include "controller_world.h"
#include "msg/assign_replicas_to_dirs.h"

static const struct partition_image *partition(const struct world *w, const char *topic, int32_t index)
{
	const struct topic_image *image = image_topic(w->controller.committed, str_of(topic));

	assert_non_null(image);
	return topic_partition(image, index);
}

static const struct broker_image *broker(const struct world *w, int32_t id)
{
	const struct broker_image *image = image_broker(w->controller.committed, id);

	assert_non_null(image);
	return image;
}

static struct uuid incarnation(uint64_t n)
{
	return (struct uuid){9, n};
}

static void test_register(void **state)
{
	struct world w;
	struct broker_registration_response out;
	const struct register_broker_record *record;
	int64_t end;

	world_init(&w, 30);
	end = w.end;
	assert_int_equal(world_register(&w, 1, incarnation(1), -1, &out), 0);
	assert_int_equal(out.broker_epoch, end);
	assert_int_equal(w.records.values.n, 1);
	record = world_record(&w, 0, METADATA_REGISTER_BROKER_RECORD, 4);
	assert_true(record->fenced);
	assert_int_equal(record->log_dirs_n, 1);
	assert_int_equal(record->cordoned_log_dirs_n, -1);
	assert_true(broker(&w, 1)->fenced);
	/* the same process again: nothing but the record, the epoch stays */
	assert_int_equal(world_register(&w, 1, incarnation(1), -1, &out), 0);
	assert_int_equal(out.broker_epoch, end);
	assert_int_equal(w.records.values.n, 1);
	world_deinit(&w);
}

static int16_t register_with(struct world *w, const struct uuid *dirs, int32_t dirs_n, const char *feature,
			     int16_t max)
{
	struct broker_registration_request in;
	struct broker_registration_response out;

	msg_init(&broker_registration_request_type, &in);
	in.broker_id = 2;
	in.incarnation_id = incarnation(2);
	in.log_dirs = (struct uuid *)dirs;
	in.log_dirs_n = dirs_n;
	in.features = MSG_NEW(&w->arena, broker_registration_request_features);
	in.features_n = 1;
	in.features[0].name = str_of(feature);
	in.features[0].min_supported_version = 7;
	in.features[0].max_supported_version = max;
	world_begin(w);
	assert_int_equal(controller_register_broker(&w->controller, &in, &out, &w->records, &w->arena, w->end),
			 ERR_NONE);
	if (out.error_code)
		assert_int_equal(w->records.values.n, 0);
	return out.error_code;
}

static void test_register_refused(void **state)
{
	struct uuid dirs[] = {{5, 5}, {5, 5}, {0, 1}, {100, 1001}};
	struct world w;

	world_init(&w, 30);
	world_add_broker(&w, 1);
	assert_int_equal(register_with(&w, NULL, 0, "metadata.version", 30), ERR_INVALID_REGISTRATION);
	assert_int_equal(register_with(&w, dirs, 2, "metadata.version", 30), ERR_INVALID_REGISTRATION);
	assert_int_equal(register_with(&w, dirs + 2, 1, "metadata.version", 30), ERR_INVALID_REGISTRATION);
	/* that of broker 1 */
	assert_int_equal(register_with(&w, dirs + 3, 1, "metadata.version", 30), ERR_INVALID_REGISTRATION);
	assert_int_equal(register_with(&w, dirs, 1, "metadata.version", 29), ERR_UNSUPPORTED_VERSION);
	assert_int_equal(register_with(&w, dirs, 1, "group.version", 30), ERR_UNSUPPORTED_VERSION);
	assert_int_equal(register_with(&w, dirs, 1, "metadata.version", 31), 0);
	/* another process with the id of one that lives */
	assert_int_equal(world_register(&w, 1, incarnation(77), -1, NULL), ERR_DUPLICATE_BROKER_REGISTRATION);
	w.controller.now_ms += 9000;
	assert_int_equal(world_register(&w, 1, incarnation(77), -1, NULL), 0);
	world_deinit(&w);
}

static void test_heartbeat(void **state)
{
	struct world w;
	struct broker_heartbeat_request in;
	struct broker_heartbeat_response out;
	struct broker_registration_response registered;

	world_init(&w, 30);
	world_create(&w, "none", 1, 1); /* no broker: refused */
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(world_heartbeat(&w, 1, false).error_code, ERR_STALE_BROKER_EPOCH);
	world_register(&w, 1, incarnation(1), -1, &registered);
	msg_init(&broker_heartbeat_request_type, &in);
	in.broker_id = 1;
	in.broker_epoch = registered.broker_epoch;
	in.current_metadata_offset = registered.broker_epoch - 1; /* has not seen its registration */
	world_begin(&w);
	assert_int_equal(controller_heartbeat(&w.controller, &in, &out, &w.records, &w.arena), ERR_NONE);
	assert_false(out.is_caught_up);
	assert_true(out.is_fenced);
	in.current_metadata_offset = registered.broker_epoch;
	in.want_fence = true;
	world_begin(&w);
	assert_int_equal(controller_heartbeat(&w.controller, &in, &out, &w.records, &w.arena), ERR_NONE);
	assert_true(out.is_caught_up);
	assert_true(out.is_fenced);
	assert_int_equal(w.records.values.n, 0);
	in.broker_epoch--;
	world_begin(&w);
	assert_int_equal(controller_heartbeat(&w.controller, &in, &out, &w.records, &w.arena), ERR_NONE);
	assert_int_equal(out.error_code, ERR_STALE_BROKER_EPOCH);
	out = world_heartbeat(&w, 1, false);
	assert_false(out.is_fenced);
	assert_int_equal(w.records.values.n, 1);
	assert_int_equal(((const struct broker_registration_change_record *)
			  world_record(&w, 0, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, 0))->fenced, -1);
	assert_int_equal(world_heartbeat(&w, 1, false).error_code, 0);
	assert_int_equal(w.records.values.n, 0);
	world_deinit(&w);
}

/* Several directories: where replicas lie is told, a failed one takes its partitions with it, and only them. */
static void register_dirs(struct world *w, uint64_t life, const struct uuid *dirs, int32_t dirs_n)
{
	struct broker_registration_request in;
	struct broker_registration_response out;

	msg_init(&broker_registration_request_type, &in);
	in.broker_id = 1;
	in.incarnation_id = incarnation(life);
	in.log_dirs = (struct uuid *)dirs;
	in.log_dirs_n = dirs_n;
	in.features = MSG_NEW(&w->arena, broker_registration_request_features);
	in.features_n = 1;
	in.features[0].name = STR("metadata.version");
	in.features[0].min_supported_version = 7;
	in.features[0].max_supported_version = 30;
	w->controller.now_ms += 1000000;
	world_begin(w);
	assert_int_equal(controller_register_broker(&w->controller, &in, &out, &w->records, &w->arena, w->end),
			 ERR_NONE);
	world_done(w);
	assert_int_equal(out.error_code, 0);
	assert_false(world_heartbeat(w, 1, false).is_fenced);
}

static int16_t assign(struct world *w, const char *topic, int32_t index, struct uuid dir, size_t records_n)
{
	struct assign_replicas_to_dirs_request_directories_topics_partitions part;
	struct assign_replicas_to_dirs_request_directories_topics one;
	struct assign_replicas_to_dirs_request_directories in_dir;
	struct assign_replicas_to_dirs_request in;
	struct assign_replicas_to_dirs_response out;

	msg_init(&assign_replicas_to_dirs_request_directories_topics_partitions_type, &part);
	msg_init(&assign_replicas_to_dirs_request_directories_topics_type, &one);
	msg_init(&assign_replicas_to_dirs_request_directories_type, &in_dir);
	msg_init(&assign_replicas_to_dirs_request_type, &in);
	part.partition_index = index;
	one.topic_id = topic ? image_topic(w->controller.latest, str_of(topic))->id : (struct uuid){77, 77};
	one.partitions = &part;
	one.partitions_n = 1;
	in_dir.id = dir;
	in_dir.topics = &one;
	in_dir.topics_n = 1;
	in.broker_id = 1;
	in.broker_epoch = broker(w, 1)->epoch;
	in.directories = &in_dir;
	in.directories_n = 1;
	world_begin(w);
	assert_int_equal(controller_assign_directories(&w->controller, &in, &out, &w->records, &w->arena), ERR_NONE);
	assert_int_equal(w->records.values.n, records_n);
	world_done(w);
	assert_int_equal(out.error_code, 0);
	return out.directories[0].topics[0].partitions[0].error_code;
}

static void heartbeat_offline(struct world *w, const struct uuid *dirs, int32_t dirs_n, size_t records_n)
{
	struct broker_heartbeat_request in;
	struct broker_heartbeat_response out;

	msg_init(&broker_heartbeat_request_type, &in);
	in.broker_id = 1;
	in.broker_epoch = broker(w, 1)->epoch;
	in.current_metadata_offset = w->end;
	in.offline_log_dirs = (struct uuid *)dirs;
	in.offline_log_dirs_n = dirs_n;
	world_begin(w);
	assert_int_equal(controller_heartbeat(&w->controller, &in, &out, &w->records, &w->arena), ERR_NONE);
	assert_int_equal(w->records.values.n, records_n);
	world_done(w);
	assert_int_equal(out.error_code, 0);
}

static void test_directory_fails(void **state)
{
	static const struct uuid dirs[] = {{100, 1}, {100, 2}, {100, 3}};
	const struct broker_registration_change_record *record;
	struct world w;

	world_init(&w, 30);
	register_dirs(&w, 1, dirs, 3);
	assert_int_equal(world_create(&w, "t", 3, 1).error_code, 0);
	assert_true(uuid_eq(partition(&w, "t", 0)->directories[0], UUID_DIR_UNASSIGNED));
	for (int32_t i = 0; i < 3; i++)
		assert_int_equal(assign(&w, "t", i, dirs[i % 2], 1), 0);
	assert_int_equal(assign(&w, "t", 0, dirs[0], 0), 0); /* told twice */
	assert_int_equal(assign(&w, "t", 3, dirs[0], 0), ERR_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(assign(&w, NULL, 0, dirs[0], 0), ERR_UNKNOWN_TOPIC_ID);
	assert_true(uuid_eq(partition(&w, "t", 1)->directories[0], dirs[1]));
	assert_int_equal(partition(&w, "t", 1)->leader, 1);

	heartbeat_offline(&w, &dirs[1], 1, 2);
	record = world_record(&w, 1, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, 2);
	assert_int_equal(record->log_dirs_n, 2);
	assert_int_equal(partition(&w, "t", 0)->leader, 1);
	assert_int_equal(partition(&w, "t", 1)->leader, LEADER_NONE);
	assert_int_equal(partition(&w, "t", 2)->leader, 1);
	heartbeat_offline(&w, &dirs[1], 1, 0);
	/* one whose place was not known when its directory failed */
	assert_int_equal(world_create(&w, "late", 1, 1).error_code, 0);
	assert_int_equal(assign(&w, "late", 0, dirs[1], 1), 0);
	assert_int_equal(partition(&w, "late", 0)->leader, LEADER_NONE);

	register_dirs(&w, 2, dirs, 1); /* still away at the next start */
	assert_int_equal(partition(&w, "t", 0)->leader, 1);
	assert_int_equal(partition(&w, "t", 1)->leader, LEADER_NONE);
	register_dirs(&w, 3, dirs, 3);
	assert_int_equal(partition(&w, "t", 1)->leader, 1);
	assert_int_equal(partition(&w, "late", 0)->leader, 1);
	/* not found anywhere, and found again */
	assert_int_equal(assign(&w, "late", 0, UUID_DIR_LOST, 1), 0);
	assert_int_equal(partition(&w, "late", 0)->leader, LEADER_NONE);
	assert_int_equal(assign(&w, "late", 0, dirs[2], 1), 0);
	assert_int_equal(partition(&w, "late", 0)->leader, 1);
	world_deinit(&w);
}

/* cordoned.log.dirs: told with heartbeats, kept as records of version 3, and nothing is placed there. */
static void cordon(struct world *w, const struct uuid *dirs, int32_t dirs_n, size_t records_n)
{
	const struct broker_image *broker = image_broker(w->controller.latest, 1);
	struct broker_heartbeat_request in;
	struct broker_heartbeat_response out;

	msg_init(&broker_heartbeat_request_type, &in);
	in.broker_id = 1;
	in.broker_epoch = broker->epoch;
	in.current_metadata_offset = broker->epoch;
	in.cordoned_log_dirs = (struct uuid *)dirs;
	in.cordoned_log_dirs_n = dirs_n;
	world_begin(w);
	assert_int_equal(controller_heartbeat(&w->controller, &in, &out, &w->records, &w->arena), ERR_NONE);
	assert_int_equal(out.error_code, 0);
	assert_int_equal(w->records.values.n, records_n);
	world_done(w);
}

static void test_cordoned(void **state)
{
	const struct broker_registration_change_record *record;
	struct uuid dir;
	struct world w;

	world_init(&w, 30);
	world_add_broker(&w, 1);
	dir = image_broker(w.controller.latest, 1)->log_dirs[0];
	cordon(&w, NULL, 0, 0);
	cordon(&w, &dir, 1, 1);
	record = world_record(&w, 0, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, 3);
	assert_int_equal(record->fenced, 0);
	assert_int_equal(record->cordoned_log_dirs_n, 1);
	cordon(&w, &dir, 1, 0);
	cordon(&w, NULL, -1, 0); /* says nothing about it */
	assert_int_equal(image_broker(w.controller.latest, 1)->cordoned_n, 1);
	assert_int_equal(world_create(&w, "nowhere", 1, 1).error_code, ERR_INVALID_REPLICATION_FACTOR);
	cordon(&w, NULL, 0, 1);
	assert_int_equal(image_broker(w.controller.latest, 1)->cordoned_n, 0);
	assert_int_equal(world_create(&w, "somewhere", 1, 1).error_code, 0);
	world_deinit(&w);

	world_init(&w, 29); /* whose records cannot say it */
	world_add_broker(&w, 1);
	dir = image_broker(w.controller.latest, 1)->log_dirs[0];
	cordon(&w, &dir, 1, 0);
	world_deinit(&w);
}

/* An orderly stop of the only node, and its return: leaders go, become eligible, and come back with a new epoch. */
static void test_stop_and_return(void **state)
{
	struct world w;
	struct broker_heartbeat_response out;
	const struct partition_change_record *change;
	const struct broker_registration_change_record *registration;
	int64_t epoch;

	world_init(&w, 30);
	world_add_broker(&w, 1);
	world_create(&w, "t", 2, 1);
	epoch = broker(&w, 1)->epoch;
	out = world_heartbeat(&w, 1, true);
	assert_false(out.should_shut_down);
	assert_int_equal(w.records.values.n, 3);
	registration = world_record(&w, 0, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, 1);
	assert_int_equal(registration->in_controlled_shutdown, 1);
	change = world_record(&w, 2, METADATA_PARTITION_CHANGE_RECORD, 2);
	assert_int_equal(change->leader, -1);
	assert_int_equal(change->isr_n, 0);
	assert_int_equal(change->eligible_leader_replicas_n, 1);
	assert_int_equal(change->last_known_elr_n, 1);
	assert_int_equal(change->last_known_elr[0], 1);
	out = world_heartbeat(&w, 1, true);
	assert_true(out.should_shut_down);
	assert_int_equal(w.records.values.n, 1);
	assert_int_equal(((const struct broker_registration_change_record *)
			  world_record(&w, 0, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, 0))->fenced, 1);
	assert_int_equal(partition(&w, "t", 0)->leader, LEADER_NONE);

	assert_int_equal(world_register(&w, 1, incarnation(2), epoch, NULL), 0);
	assert_int_equal(w.records.values.n, 1);
	out = world_heartbeat(&w, 1, false);
	assert_false(out.is_fenced);
	assert_int_equal(w.records.values.n, 3);
	change = world_record(&w, 1, METADATA_PARTITION_CHANGE_RECORD, 2);
	assert_int_equal(change->leader, 1);
	assert_int_equal(change->isr_n, 1);
	assert_int_equal(change->eligible_leader_replicas_n, 0);
	assert_int_equal(change->last_known_elr_n, 0);
	assert_int_equal(change->leader_recovery_state, -1);
	assert_int_equal(partition(&w, "t", 1)->leader, 1);
	assert_int_equal(partition(&w, "t", 1)->leader_epoch, 2);
	assert_false(broker(&w, 1)->in_controlled_shutdown);
	world_deinit(&w);
}

/* A controller that starts anew knows no sessions: the node that was killed is back at once, with new leader epochs. */
static void test_killed_and_back(void **state)
{
	struct world w;
	struct controller_defaults defaults;
	struct image *image;

	world_init(&w, 30);
	world_add_broker(&w, 1);
	world_create(&w, "t", 1, 1);
	defaults = w.controller.defaults;
	image = image_ref(w.controller.committed);
	controller_deinit(&w.controller);
	controller_init(&w.controller, &defaults, &w.rng, image);
	w.controller.now_ms = 1000100;
	assert_int_equal(world_register(&w, 1, incarnation(2), -1, NULL), 0);
	assert_int_equal(w.records.values.n, 2); /* the leader goes, then the registration */
	world_record(&w, 0, METADATA_PARTITION_CHANGE_RECORD, 2);
	assert_int_equal(partition(&w, "t", 0)->leader, LEADER_NONE);
	assert_false(world_heartbeat(&w, 1, false).is_fenced);
	assert_int_equal(partition(&w, "t", 0)->leader, 1);
	assert_int_equal(partition(&w, "t", 0)->leader_epoch, 2);
	assert_int_equal(partition(&w, "t", 0)->leader_recovery_state, 0);
	assert_int_equal(partition(&w, "t", 0)->isr_n, 1);
	world_deinit(&w);
}

/* Without eligible leader replicas (before metadata.version 26 by default) the last one stays in the in-sync set. */
static void test_without_elr(void **state)
{
	struct world w;
	const struct partition_change_record *change;

	world_init(&w, 20);
	world_add_broker(&w, 1);
	world_create(&w, "t", 1, 1);
	assert_false(world_heartbeat(&w, 1, true).should_shut_down);
	change = world_record(&w, 1, METADATA_PARTITION_CHANGE_RECORD, 1);
	assert_int_equal(change->leader, -1);
	assert_int_equal(change->isr_n, -1);
	assert_int_equal(partition(&w, "t", 0)->isr_n, 1);
	assert_true(world_heartbeat(&w, 1, true).should_shut_down);
	world_register(&w, 1, incarnation(2), -1, NULL);
	world_heartbeat(&w, 1, false);
	assert_int_equal(partition(&w, "t", 0)->leader, 1);
	assert_int_equal(partition(&w, "t", 0)->leader_epoch, 2);
	world_deinit(&w);
}

/* Three brokers: a leader that goes is followed by another in sync; one that lost its data is eligible no more. */
static void test_three_brokers(void **state)
{
	struct world w;
	const struct partition_image *p;
	int32_t leader;

	world_init(&w, 30);
	for (int32_t id = 1; id <= 3; id++)
		world_add_broker(&w, id);
	world_create(&w, "t", 1, 3);
	p = partition(&w, "t", 0);
	leader = p->leader;
	assert_int_equal(p->isr_n, 3);
	assert_false(world_heartbeat(&w, leader, true).should_shut_down);
	p = partition(&w, "t", 0);
	assert_int_not_equal(p->leader, leader);
	assert_int_not_equal(p->leader, LEADER_NONE);
	assert_int_equal(p->isr_n, 2);
	assert_int_equal(p->elr_n, 0); /* two are more than min.insync.replicas */
	assert_int_equal(p->leader_epoch, 1);
	assert_true(world_heartbeat(&w, leader, true).should_shut_down);
	/* the others come back as new processes that did not stop in order: nobody is left, the last leader is known */
	w.controller.now_ms += 20000;
	for (int32_t id = 1; id <= 3; id++) {
		if (id != leader)
			assert_int_equal(world_register(&w, id, incarnation(100 + (uint64_t)id), -1, NULL), 0);
	}
	p = partition(&w, "t", 0);
	assert_int_equal(p->leader, LEADER_NONE);
	assert_int_equal(p->isr_n, 0);
	assert_int_equal(p->elr_n, 0);
	assert_int_equal(p->last_known_elr_n, 1);
	leader = p->last_known_elr[0];
	for (int32_t id = 1; id <= 3; id++)
		world_heartbeat(&w, id, false);
	p = partition(&w, "t", 0);
	assert_int_equal(p->leader, leader);
	assert_int_equal(p->isr_n, 1);
	assert_int_equal(p->leader_recovery_state, 1); /* may have lost records */
	assert_int_equal(p->last_known_elr_n, 0);
	world_deinit(&w);
}

static size_t tick(struct world *w)
{
	world_begin(w);
	assert_int_equal(controller_tick(&w->controller, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	return w->records.values.n;
}

static void test_session_ends(void **state)
{
	struct world w;

	world_init(&w, 30);
	world_add_broker(&w, 1);
	world_add_broker(&w, 2);
	world_create(&w, "t", 1, 2);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(tick(&w), 0);
		w.controller.now_ms += 2000;
		world_heartbeat(&w, 2, false);
	}
	assert_int_equal(tick(&w), 2); /* 1 has been silent; 2 leads now */
	assert_true(broker(&w, 1)->fenced);
	assert_false(broker(&w, 2)->fenced);
	assert_int_equal(partition(&w, "t", 0)->leader, 2);
	assert_int_equal(partition(&w, "t", 0)->isr_n, 1);
	assert_int_equal(tick(&w), 0);
	w.controller.now_ms += 3600000; /* the clock was set */
	assert_int_equal(tick(&w), 0);
	assert_false(broker(&w, 2)->fenced);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register),
		cmocka_unit_test(test_register_refused),
		cmocka_unit_test(test_heartbeat),
		cmocka_unit_test(test_directory_fails),
		cmocka_unit_test(test_cordoned),
		cmocka_unit_test(test_stop_and_return),
		cmocka_unit_test(test_killed_and_back),
		cmocka_unit_test(test_without_elr),
		cmocka_unit_test(test_three_brokers),
		cmocka_unit_test(test_session_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
