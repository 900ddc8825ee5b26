/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaying records: every type at every version, logs that Kafka wrote, random sequences. The rule behind all: a
 * snapshot of an image replays to an equal image, and an image never changes once it is made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "golden_hex.h"
#include "metadata_record.h"
#include "record.h"
#include "replay.h"
#include "rng.h"
#include "vec.h"

static const char *lines_path;
static const char *log_paths[2];

/* ---- helpers ---- */

static void edit_add(struct image_edit *edit, enum metadata_record_id type, int16_t version, const void *record)
{
	struct arena arena = {0};
	struct err_text text = {""};

	if (image_edit_replay(edit, metadata_record_encode(type, version, record, &arena), &text) != ERR_NONE)
		fail_msg("%s", text.text);
	arena_reset(&arena);
}

static enum err edit_try(struct image_edit *edit, enum metadata_record_id type, int16_t version, const void *record,
			 struct err_text *text)
{
	struct arena arena = {0};
	enum err err = image_edit_replay(edit, metadata_record_encode(type, version, record, &arena), text);

	arena_reset(&arena);
	return err;
}

static enum err replay_into(void *ctx, struct bytes record)
{
	struct err_text text = {""};
	enum err err = image_edit_replay(ctx, record, &text);

	if (err)
		fail_msg("%s", text.text);
	return err;
}

static struct image *image_via_snapshot(const struct image *image)
{
	struct image *empty = image_new_empty();
	struct image_edit *edit = image_edit_begin(empty);

	assert_int_equal(image_snapshot_records(image, replay_into, edit), ERR_NONE);
	image_unref(empty);
	return image_edit_finish(edit, image->offset, image->epoch, image->timestamp_ms);
}

static void check_snapshot(const struct image *image)
{
	struct image *again = image_via_snapshot(image);
	struct err_text text = {""};

	if (!image_equal(image, again, &text))
		fail_msg("the snapshot gives another image: %s", text.text);
	assert_int_equal(image->topics_n, again->topics_n);
	assert_int_equal(image->partitions_n, again->partitions_n);
	image_unref(again);
}

static void add_topic(struct image_edit *edit, struct str name, struct uuid id)
{
	struct topic_record record;

	msg_init(&topic_record_type, &record);
	record.name = name;
	record.topic_id = id;
	edit_add(edit, METADATA_TOPIC_RECORD, 0, &record);
}

static void add_partition(struct image_edit *edit, struct uuid id, int32_t index, int32_t broker)
{
	struct partition_record record;
	struct uuid dir = {7, 7};

	msg_init(&partition_record_type, &record);
	record.topic_id = id;
	record.partition_id = index;
	record.replicas = record.isr = &broker;
	record.replicas_n = record.isr_n = 1;
	record.directories = &dir;
	record.directories_n = 1;
	record.leader = broker;
	record.leader_epoch = 0;
	record.partition_epoch = 0;
	edit_add(edit, METADATA_PARTITION_RECORD, 2, &record);
}

static void add_broker(struct image_edit *edit, int32_t id, int64_t epoch)
{
	struct register_broker_record record;

	msg_init(&register_broker_record_type, &record);
	record.broker_id = id;
	record.broker_epoch = epoch;
	edit_add(edit, METADATA_REGISTER_BROKER_RECORD, 3, &record);
}

static struct image *image_step(struct image *base, void (*fn)(struct image_edit *edit))
{
	struct image_edit *edit = image_edit_begin(base);
	struct image *next;

	fn(edit);
	next = image_edit_finish(edit, base->offset + 1, 1, 0);
	image_unref(base);
	return next;
}

/* ---- vectors ---- */

/* What must be there before a record of the vectors can apply. */
static void prepare(struct image_edit *edit, const struct metadata_record *frame, const void *message)
{
	const struct partition_record *partition = message;
	const struct partition_change_record *change = message;
	const struct unregister_broker_record *unregister = message;
	const struct fence_broker_record *fence = message;
	const struct broker_registration_change_record *registration = message;
	const struct remove_topic_record *remove = message;
	const struct clear_elr_record *clear = message;
	struct begin_transaction_record begin;

	msg_init(&begin_transaction_record_type, &begin);
	switch (frame->type) {
	case METADATA_PARTITION_RECORD:
		add_topic(edit, STR("t"), partition->topic_id);
		break;
	case METADATA_PARTITION_CHANGE_RECORD:
		add_topic(edit, STR("t"), change->topic_id);
		add_partition(edit, change->topic_id, change->partition_id, 1);
		break;
	case METADATA_REMOVE_TOPIC_RECORD:
		add_topic(edit, STR("t"), remove->topic_id);
		break;
	case METADATA_CLEAR_ELR_RECORD:
		add_topic(edit, clear->topic_name, (struct uuid){1, 1});
		break;
	case METADATA_UNREGISTER_BROKER_RECORD:
		add_broker(edit, unregister->broker_id, unregister->broker_epoch);
		break;
	case METADATA_FENCE_BROKER_RECORD:
	case METADATA_UNFENCE_BROKER_RECORD:
		add_broker(edit, fence->id, fence->epoch);
		break;
	case METADATA_BROKER_REGISTRATION_CHANGE_RECORD:
		add_broker(edit, registration->broker_id, registration->broker_epoch);
		break;
	case METADATA_END_TRANSACTION_RECORD:
	case METADATA_ABORT_TRANSACTION_RECORD:
		edit_add(edit, METADATA_BEGIN_TRANSACTION_RECORD, 0, &begin);
		break;
	default:
		break;
	}
}

/* Random numbers contradict themselves: a partition is made one that can be. */
static struct bytes amend(struct bytes value, const struct metadata_record *frame, void *message, struct arena *arena)
{
	struct partition_record *partition = message;
	struct partition_change_record *change = message;

	if (frame->type == METADATA_PARTITION_RECORD) {
		partition->partition_id &= 0xff;
		if (frame->version >= 1) {
			partition->directories = ARENA_NEW_N(arena, struct uuid, partition->replicas_n);
			partition->directories_n = partition->replicas_n;
		}
	} else if (frame->type == METADATA_PARTITION_CHANGE_RECORD) {
		change->partition_id &= 0xff;
		if (frame->version >= 1) {
			change->directories_n = change->replicas_n;
			change->directories = ARENA_NEW_N(arena, struct uuid, MAX(change->replicas_n, 0));
		} else {
			change->replicas_n = -1;
			change->replicas = NULL;
		}
	} else {
		return value;
	}
	return metadata_record_encode((enum metadata_record_id)frame->type, frame->version, message, arena);
}

/* True when it applied. */
static bool try_vector(struct bytes record)
{
	struct image *empty = image_new_empty(), *image;
	struct image_edit *edit = image_edit_begin(empty);
	struct arena arena = {0};
	struct metadata_record frame;
	struct err_text text = {""};
	void *message;
	enum err err;

	if (metadata_record_parse(record, &frame, &text) != ERR_NONE)
		fail_msg("%s", text.text);
	message = msg_new_n(&arena, frame.schema, 1);
	assert_int_equal(codec_decode(frame.schema, frame.version, frame.message, &arena, message, NULL, &text), ERR_NONE);
	record = amend(record, &frame, message, &arena);
	prepare(edit, &frame, message);
	err = image_edit_replay(edit, record, &text);
	if (err && err != ERR_CORRUPT_FILE)
		fail_msg("%s: %s", err_name(err), text.text);
	if (err) {
		assert_true(strlen(text.text) > 0);
		image_edit_drop(edit);
	} else {
		image = image_edit_finish(edit, 1, 1, 0);
		if (!image_in_transaction(image))
			check_snapshot(image);
		image_unref(image);
	}
	arena_reset(&arena);
	image_unref(empty);
	return err == ERR_NONE;
}

static void test_vectors(void **state)
{
	static char line[1 << 16];
	static int good[32][8], seen[32][8];
	FILE *f = fopen(lines_path, "r");
	int lines_n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct arena arena = {0};
		int type, version, at;

		assert_int_equal(sscanf(line, "%d %d %n", &type, &version, &at), 2);
		seen[type][version]++;
		good[type][version] += try_vector(golden_unhex(line + at, &arena));
		arena_reset(&arena);
		lines_n++;
	}
	fclose(f);
	assert_true(lines_n >= 200);
	for (int type = 0; type < 32; type++) {
		for (int version = 0; version < 8; version++) {
			if (seen[type][version] && !good[type][version])
				fail_msg("no record of type %d version %d applied", type, version);
		}
	}
}

/* ---- logs that Kafka wrote ---- */

static void replay_batch(struct image_edit *edit, const struct batch_info *batch)
{
	struct compress_ctx compress = {0};
	struct scratch plain = {0};
	struct record_iter it;
	struct record record;
	struct bytes payload;
	struct err_text text = {""};

	assert_int_equal(batch_payload(batch, &compress, &plain, &payload), ERR_NONE);
	record_iter_init(&it, batch, payload);
	while (record_iter_next(&it, &record)) {
		if (!batch_is_control(batch) && image_edit_replay(edit, record.value, &text) != ERR_NONE)
			fail_msg("offset %lld: %s", (long long)record.offset, text.text);
	}
	assert_int_equal(it.err, ERR_NONE);
	scratch_deinit(&plain);
	compress_ctx_deinit(&compress);
}

static struct image *image_of_log(const char *path)
{
	static uint8_t file[1 << 20];
	FILE *f = fopen(path, "rb");
	struct image *image = image_new_empty();
	struct batch_iter it;
	struct batch_info batch;
	size_t len;

	assert_non_null(f);
	len = fread(file, 1, sizeof(file), f);
	fclose(f);
	it = batch_iter_of((struct bytes){file, len}, BATCH_CHECK_CRC);
	while (batch_iter_next(&it, &batch)) {
		struct image_edit *edit = image_edit_begin(image);
		struct image *next;

		replay_batch(edit, &batch);
		next = image_edit_finish(edit, batch.last_offset + 1, batch.leader_epoch, batch.max_timestamp);
		image_unref(image);
		image = next;
		check_snapshot(image);
	}
	assert_int_equal(it.err, ERR_NONE);
	assert_int_equal(it.left, 0);
	return image;
}

static void check_config(const struct image *image, int8_t type, const char *resource, const char *key,
			 const char *want)
{
	struct str value;

	assert_int_equal(image_config(image, type, str_of(resource), str_of(key), &value), want != NULL);
	if (want)
		assert_true(str_eq_c(value, want));
}

/* Topics alpha (3 partitions), beta.one (2), gamma, which was deleted; settings, a quota, an access rule; two starts and
 * two orderly stops of broker 1. */
static void test_kafka_log(void **state)
{
	struct image *image = image_of_log(log_paths[0]);
	const struct topic_image *alpha = image_topic(image, STR("alpha"));
	const struct partition_image *partition;
	const struct broker_image *broker = image_broker(image, 1);
	int32_t id;

	assert_int_equal(image->topics_n, 2);
	assert_int_equal(image->partitions_n, 5);
	assert_int_equal(image->next_producer_id, 1000);
	assert_null(image_topic(image, STR("gamma")));
	assert_non_null(alpha);
	assert_int_equal(alpha->partitions_n, 3);
	assert_ptr_equal(image_topic_by_id(image, alpha->id), alpha);
	partition = topic_partition(alpha, 2);
	assert_int_equal(partition->leader, LEADER_NONE);
	assert_int_equal(partition->leader_epoch, 3); /* stop, start, stop */
	assert_int_equal(partition->partition_epoch, 3);
	assert_int_equal(partition->isr_n, 0);
	assert_int_equal(partition->elr_n, 1);
	assert_int_equal(partition->elr[0], 1);
	assert_int_equal(partition->last_known_elr_n, 1);
	assert_int_equal(partition->directories_n, 1);
	assert_non_null(broker);
	assert_true(broker->fenced);
	assert_true(broker->in_controlled_shutdown);
	assert_int_equal(broker->epoch, 109);
	assert_true(uuid_eq(partition->directories[0], broker->log_dirs[0]));
	assert_true(str_eq_c(broker->endpoints[0].host, "127.0.0.1"));
	assert_int_equal(image_feature(image, STR("metadata.version")), 30);
	assert_int_equal(image_feature(image, STR("transaction.version")), 2);
	assert_int_equal(image_feature(image, STR("kraft.version")), 0);
	check_config(image, 2, "alpha", "retention.ms", "1000");
	check_config(image, 2, "beta.one", "max.message.bytes", "5000");
	check_config(image, 2, "beta.one", "retention.ms", NULL);
	check_config(image, 4, "", "min.insync.replicas", "1");
	assert_non_null(image_controller_next(image, -1, &id).p);
	assert_int_equal(id, 1);
	assert_null(image_controller_next(image, 1, &id).p);
	image_unref(image);
}

static enum err count_scram(void *ctx, struct bytes record)
{
	*(int *)ctx += record.p[1] == METADATA_USER_SCRAM_CREDENTIAL_RECORD;
	return ERR_NONE;
}

/* Of a node that was killed, with credentials: one made, one made and taken back. */
static void test_kafka_crash_log(void **state)
{
	struct image *image = image_of_log(log_paths[1]);
	const struct topic_image *topic = image_topic(image, STR("a1"));
	int scram_n = 0;

	assert_non_null(topic);
	assert_false(image_in_transaction(image));
	assert_int_equal(topic_partition(topic, 1)->leader_recovery_state, 1);
	assert_int_equal(topic_partition(topic, 1)->leader_epoch, 3); /* fenced, back, stopped */
	assert_int_equal(image_snapshot_records(image, count_scram, &scram_n), ERR_NONE);
	assert_int_equal(scram_n, 1);
	image_unref(image);
}

/* ---- transactions ---- */

static void step_open(struct image_edit *edit)
{
	struct begin_transaction_record begin;

	msg_init(&begin_transaction_record_type, &begin);
	add_topic(edit, STR("before"), (struct uuid){1, 1});
	edit_add(edit, METADATA_BEGIN_TRANSACTION_RECORD, 0, &begin);
	add_topic(edit, STR("within"), (struct uuid){2, 2});
	add_partition(edit, (struct uuid){2, 2}, 0, 1);
}

static void step_more(struct image_edit *edit)
{
	add_partition(edit, (struct uuid){2, 2}, 1, 1);
}

static void step_end(struct image_edit *edit)
{
	struct end_transaction_record end;

	msg_init(&end_transaction_record_type, &end);
	edit_add(edit, METADATA_END_TRANSACTION_RECORD, 0, &end);
}

static void step_abort(struct image_edit *edit)
{
	struct abort_transaction_record abort_record;

	msg_init(&abort_transaction_record_type, &abort_record);
	edit_add(edit, METADATA_ABORT_TRANSACTION_RECORD, 0, &abort_record);
}

static enum err count_record(void *ctx, struct bytes record)
{
	++*(int *)ctx;
	return ERR_NONE;
}

static void test_transaction(void **state)
{
	for (int abort = 0; abort < 2; abort++) {
		struct image *image = image_step(image_new_empty(), step_open);
		int n = 0;

		assert_true(image_in_transaction(image));
		assert_int_equal(image->topics_n, 1);
		assert_null(image_topic(image, STR("within")));
		assert_int_equal(image_snapshot_records(image, count_record, &n), ERR_BUSY);
		assert_int_equal(n, 0);
		image = image_step(image, step_more);
		assert_int_equal(image->partitions_n, 0);
		image = image_step(image, abort ? step_abort : step_end);
		assert_false(image_in_transaction(image));
		assert_int_equal(image->topics_n, abort ? 1 : 2);
		assert_int_equal(image->partitions_n, abort ? 0 : 2);
		check_snapshot(image);
		image_unref(image);
	}
}

/* ---- what is refused ---- */

static void check_refused(enum err want, enum metadata_record_id type, int16_t version, const void *record)
{
	struct image *empty = image_new_empty();
	struct image_edit *edit = image_edit_begin(empty);
	struct err_text text = {""};

	add_topic(edit, STR("t"), (struct uuid){1, 1});
	add_broker(edit, 1, 5);
	assert_int_equal(edit_try(edit, type, version, record, &text), want);
	assert_non_null(strstr(text.text, ": "));
	image_edit_drop(edit);
	image_unref(empty);
}

static void test_refused(void **state)
{
	struct partition_record partition;
	struct topic_record topic;
	struct fence_broker_record fence;
	struct feature_level_record feature;
	struct end_transaction_record end;
	int32_t replicas[] = {1, 2};
	struct uuid dir = {1, 2};

	msg_init(&partition_record_type, &partition);
	partition.partition_id = 0;
	partition.topic_id = (struct uuid){9, 9};
	check_refused(ERR_CORRUPT_FILE, METADATA_PARTITION_RECORD, 0, &partition);
	partition.topic_id = (struct uuid){1, 1};
	partition.partition_id = -1;
	check_refused(ERR_CORRUPT_FILE, METADATA_PARTITION_RECORD, 0, &partition);
	partition.partition_id = INT32_MAX;
	check_refused(ERR_CORRUPT_FILE, METADATA_PARTITION_RECORD, 0, &partition);
	partition.partition_id = 0;
	partition.replicas = replicas;
	partition.replicas_n = 2;
	partition.directories = &dir;
	partition.directories_n = 1;
	check_refused(ERR_CORRUPT_FILE, METADATA_PARTITION_RECORD, 1, &partition);
	msg_init(&topic_record_type, &topic);
	topic.name = STR("t");
	topic.topic_id = (struct uuid){3, 3};
	check_refused(ERR_CORRUPT_FILE, METADATA_TOPIC_RECORD, 0, &topic);
	topic.name = STR("u");
	topic.topic_id = (struct uuid){1, 1};
	check_refused(ERR_CORRUPT_FILE, METADATA_TOPIC_RECORD, 0, &topic);
	msg_init(&fence_broker_record_type, &fence);
	fence.id = 1;
	fence.epoch = 4;
	check_refused(ERR_CORRUPT_FILE, METADATA_FENCE_BROKER_RECORD, 0, &fence);
	fence.id = 2;
	check_refused(ERR_CORRUPT_FILE, METADATA_UNFENCE_BROKER_RECORD, 0, &fence);
	msg_init(&feature_level_record_type, &feature);
	feature.name = STR("metadata.version");
	feature.feature_level = 31;
	check_refused(ERR_NOT_SUPPORTED, METADATA_FEATURE_LEVEL_RECORD, 0, &feature);
	feature.feature_level = 6;
	check_refused(ERR_NOT_SUPPORTED, METADATA_FEATURE_LEVEL_RECORD, 0, &feature);
	msg_init(&end_transaction_record_type, &end);
	check_refused(ERR_CORRUPT_FILE, METADATA_END_TRANSACTION_RECORD, 0, &end);
}

static void test_frames(void **state)
{
	static const struct {
		struct bytes value;
		enum err want;
	} cases[] = {
		{{NULL, 0}, ERR_DECODE},
		{{(const uint8_t *)"\x01\x02", 2}, ERR_DECODE},
		{{(const uint8_t *)"\x02\x02\x00", 3}, ERR_NOT_SUPPORTED},
		{{(const uint8_t *)"\x01\x7d\x00", 3}, ERR_NOT_SUPPORTED},
		{{(const uint8_t *)"\x01\x02\x07", 3}, ERR_NOT_SUPPORTED},
		{{(const uint8_t *)"\x01\x02\x00", 3}, ERR_DECODE},
		{{(const uint8_t *)"\x01\x14\x00\x00\x00", 5}, ERR_DECODE}, /* a byte behind it */
		{{(const uint8_t *)"\x01\x14\x00\x00", 4}, ERR_NONE},
		{{(const uint8_t *)"\xff\xff\xff\xff\xff\xff", 6}, ERR_DECODE},
	};
	struct image *empty = image_new_empty();

	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct image_edit *edit = image_edit_begin(empty);
		struct err_text text = {""};

		assert_int_equal(image_edit_replay(edit, cases[i].value, &text), cases[i].want);
		assert_int_equal(text.text[0] != 0, cases[i].want != ERR_NONE);
		image_edit_drop(edit);
	}
	image_unref(empty);
}

/* ---- random sequences ---- */

#define TOPICS 12
#define BROKERS 4

struct world {
	struct rng rng;
	struct image_edit *edit;
	bool topics[TOPICS];
	int32_t partitions[TOPICS];
	int64_t epochs[BROKERS]; /* 0: not registered */
	int64_t producer_ids;
	bool in_transaction;
	struct world_before {
		bool topics[TOPICS];
		int32_t partitions[TOPICS];
		int64_t epochs[BROKERS];
		int64_t producer_ids;
	} before;
};

static struct uuid topic_id(int i)
{
	return (struct uuid){(uint64_t)i * 7919 + 1, 5};
}

static void random_topic(struct world *w)
{
	int i = (int)rng_below(&w->rng, TOPICS);
	struct remove_topic_record remove;
	char name[16];

	if (!w->topics[i]) {
		snprintf(name, sizeof(name), "topic-%d", i);
		add_topic(w->edit, str_of(name), topic_id(i));
	} else if (rng_chance(&w->rng, 1, 4)) {
		msg_init(&remove_topic_record_type, &remove);
		remove.topic_id = topic_id(i);
		edit_add(w->edit, METADATA_REMOVE_TOPIC_RECORD, 0, &remove);
		w->partitions[i] = 0;
	} else {
		return;
	}
	w->topics[i] = !w->topics[i];
}

static void random_partition(struct world *w)
{
	int i = (int)rng_below(&w->rng, TOPICS);
	struct partition_change_record change;
	int32_t ids[3], n = (int32_t)rng_below(&w->rng, 3);

	if (!w->topics[i])
		return;
	for (int32_t k = 0; k < 3; k++)
		ids[k] = (int32_t)rng_below(&w->rng, BROKERS);
	if (w->partitions[i] == 0 || rng_chance(&w->rng, 1, 2)) {
		add_partition(w->edit, topic_id(i), w->partitions[i]++, ids[0]);
		return;
	}
	msg_init(&partition_change_record_type, &change);
	change.topic_id = topic_id(i);
	change.partition_id = (int32_t)rng_below(&w->rng, (uint64_t)w->partitions[i]);
	if (rng_chance(&w->rng, 1, 2)) {
		change.isr = ids;
		change.isr_n = n;
	}
	if (rng_chance(&w->rng, 1, 2))
		change.leader = (int32_t)rng_below(&w->rng, 4) - 1;
	if (rng_chance(&w->rng, 1, 2)) {
		change.eligible_leader_replicas = ids;
		change.eligible_leader_replicas_n = n;
	}
	if (rng_chance(&w->rng, 1, 4)) {
		change.last_known_elr = ids;
		change.last_known_elr_n = n;
	}
	if (rng_chance(&w->rng, 1, 4))
		change.leader_recovery_state = (int8_t)rng_below(&w->rng, 2);
	edit_add(w->edit, METADATA_PARTITION_CHANGE_RECORD, 2, &change);
}

static void random_broker(struct world *w)
{
	int32_t id = (int32_t)rng_below(&w->rng, BROKERS);
	struct broker_registration_change_record change;
	struct unregister_broker_record unregister;

	if (w->epochs[id] == 0) {
		w->epochs[id] = rng_between(&w->rng, 1, 1000);
		add_broker(w->edit, id, w->epochs[id]);
		return;
	}
	if (rng_chance(&w->rng, 1, 4)) {
		msg_init(&unregister_broker_record_type, &unregister);
		unregister.broker_id = id;
		unregister.broker_epoch = w->epochs[id];
		edit_add(w->edit, METADATA_UNREGISTER_BROKER_RECORD, 0, &unregister);
		w->epochs[id] = 0;
		return;
	}
	msg_init(&broker_registration_change_record_type, &change);
	change.broker_id = id;
	change.broker_epoch = w->epochs[id];
	change.fenced = (int8_t)rng_between(&w->rng, -1, 1);
	change.in_controlled_shutdown = (int8_t)rng_below(&w->rng, 2);
	edit_add(w->edit, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, 1, &change);
}

static void random_setting(struct world *w)
{
	struct config_record config;
	struct feature_level_record feature;
	struct client_quota_record quota;
	struct client_quota_record_entity entities[2];
	struct user_scram_credential_record scram;
	struct remove_user_scram_credential_record no_scram;
	struct producer_ids_record ids;
	char name[16], key[16];

	snprintf(name, sizeof(name), "topic-%d", (int)rng_below(&w->rng, TOPICS));
	snprintf(key, sizeof(key), "key-%d", (int)rng_below(&w->rng, 6));
	switch (rng_below(&w->rng, 6)) {
	case 0:
		msg_init(&feature_level_record_type, &feature);
		feature.name = str_of(key);
		feature.feature_level = (int16_t)rng_below(&w->rng, 3);
		edit_add(w->edit, METADATA_FEATURE_LEVEL_RECORD, 0, &feature);
		break;
	case 1:
		msg_init(&client_quota_record_type, &quota);
		msg_init(&client_quota_record_entity_type, &entities[0]);
		msg_init(&client_quota_record_entity_type, &entities[1]);
		entities[0].entity_type = STR("user");
		entities[1].entity_type = STR("client-id");
		entities[rng_below(&w->rng, 2)].entity_name = str_of(name);
		quota.entity = entities;
		quota.entity_n = 2;
		quota.key = str_of(key);
		quota.value = (double)rng_below(&w->rng, 100);
		quota.remove = rng_chance(&w->rng, 1, 3);
		edit_add(w->edit, METADATA_CLIENT_QUOTA_RECORD, 0, &quota);
		break;
	case 2:
		msg_init(&user_scram_credential_record_type, &scram);
		scram.name = str_of(key);
		scram.iterations = (int32_t)rng_below(&w->rng, 100);
		edit_add(w->edit, METADATA_USER_SCRAM_CREDENTIAL_RECORD, 0, &scram);
		break;
	case 3:
		msg_init(&remove_user_scram_credential_record_type, &no_scram);
		no_scram.name = str_of(key);
		edit_add(w->edit, METADATA_REMOVE_USER_SCRAM_CREDENTIAL_RECORD, 0, &no_scram);
		break;
	case 4:
		msg_init(&producer_ids_record_type, &ids);
		ids.next_producer_id = w->producer_ids += 1000;
		edit_add(w->edit, METADATA_PRODUCER_IDS_RECORD, 0, &ids);
		break;
	default:
		msg_init(&config_record_type, &config);
		config.resource_type = (int8_t)(2 + 2 * rng_below(&w->rng, 2));
		config.resource_name = str_of(name);
		config.name = str_of(key);
		config.value = rng_chance(&w->rng, 1, 3) ? STR_NULL : str_of(name);
		edit_add(w->edit, METADATA_CONFIG_RECORD, 0, &config);
	}
}

static void world_save(struct world *w, bool back)
{
	if (back) {
		memcpy(w->topics, w->before.topics, sizeof(w->topics));
		memcpy(w->partitions, w->before.partitions, sizeof(w->partitions));
		memcpy(w->epochs, w->before.epochs, sizeof(w->epochs));
		w->producer_ids = w->before.producer_ids;
	} else {
		memcpy(w->before.topics, w->topics, sizeof(w->topics));
		memcpy(w->before.partitions, w->partitions, sizeof(w->partitions));
		memcpy(w->before.epochs, w->epochs, sizeof(w->epochs));
		w->before.producer_ids = w->producer_ids;
	}
}

static void random_transaction(struct world *w)
{
	struct begin_transaction_record begin;
	bool abort = rng_chance(&w->rng, 1, 2);

	msg_init(&begin_transaction_record_type, &begin);
	if (!w->in_transaction) {
		edit_add(w->edit, METADATA_BEGIN_TRANSACTION_RECORD, 0, &begin);
		world_save(w, false);
	} else if (abort) {
		step_abort(w->edit);
		world_save(w, true);
	} else {
		step_end(w->edit);
	}
	w->in_transaction = !w->in_transaction;
}

static void random_record(struct world *w)
{
	struct clear_elr_record clear;

	switch (rng_below(&w->rng, 16)) {
	case 0:
		random_transaction(w);
		break;
	case 1:
		msg_init(&clear_elr_record_type, &clear);
		edit_add(w->edit, METADATA_CLEAR_ELR_RECORD, 0, &clear);
		break;
	case 2:
	case 3:
		random_topic(w);
		break;
	case 4:
	case 5:
		random_broker(w);
		break;
	case 6:
	case 7:
	case 8:
		random_setting(w);
		break;
	default:
		random_partition(w);
	}
}

struct topic_diffs {
	const struct image *before, *after;
	int n;
	struct str last;
};

static void diff_topic(void *ctx, const struct topic_image *before, const struct topic_image *after)
{
	struct topic_diffs *diffs = ctx;

	assert_true(before != after);
	if (before)
		assert_ptr_equal(before, image_topic(diffs->before, before->name));
	if (after)
		assert_ptr_equal(after, image_topic(diffs->after, after->name));
	diffs->n++;
}

static bool topics_differ(const struct topic_image *a, const struct topic_image *b)
{
	if (!a || !b || !uuid_eq(a->id, b->id) || a->partitions_n != b->partitions_n)
		return true;
	for (int32_t i = 0; i < a->partitions_n; i++) {
		if (!partition_image_equal(topic_partition(a, i), topic_partition(b, i)))
			return true;
	}
	return false;
}

/* Every topic that differs is told; one that does not differ may be told, when it was written to. */
static void check_diff(const struct image *before, const struct image *after)
{
	struct topic_diffs diffs = {before, after, 0, STR_NULL};
	int least = 0;
	char name[16];

	image_diff_topics(before, after, diff_topic, &diffs);
	for (int i = 0; i < TOPICS; i++) {
		const struct topic_image *a, *b;

		snprintf(name, sizeof(name), "topic-%d", i);
		a = image_topic(before, str_of(name));
		b = image_topic(after, str_of(name));
		least += (a || b) && topics_differ(a, b);
	}
	assert_true(diffs.n >= least);
}

#define KEPT 6

static void test_random(void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct world w = {0};
		struct image *image = image_new_empty(), *kept[KEPT] = {0}, *twins[KEPT] = {0};

		rng_init(&w.rng, seed);
		for (int round = 0; round < 60; round++) {
			int slot = (int)rng_below(&w.rng, KEPT);
			struct image *next;

			w.edit = image_edit_begin(image);
			for (uint64_t n = rng_below(&w.rng, 30); n > 0; n--)
				random_record(&w);
			next = image_edit_finish(w.edit, image->offset + 1, 1, 0);
			check_diff(image, next);
			image_unref(image);
			image = next;
			if (image_in_transaction(image))
				continue;
			check_snapshot(image);
			if (kept[slot]) { /* as it was when it was made */
				assert_true(image_equal(kept[slot], twins[slot], NULL));
				image_unref(kept[slot]);
				image_unref(twins[slot]);
			}
			kept[slot] = image_ref(image);
			twins[slot] = image_via_snapshot(image);
		}
		for (int i = 0; i < KEPT; i++) {
			if (kept[i]) {
				assert_true(image_equal(kept[i], twins[i], NULL));
				image_unref(kept[i]);
				image_unref(twins[i]);
			}
		}
		image_unref(image);
	}
}

/* ---- size ---- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ignore_topic(void *ctx, const struct topic_image *before, const struct topic_image *after)
{
	++*(int *)ctx;
}

static void test_large(void **state)
{
	struct image *image = image_new_empty(), *next;
	struct image_edit *edit = image_edit_begin(image);
	double start = seconds(), filled, changed, diffed;
	int n = 0;

	image_unref(image);
	for (int i = 0; i < 10000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "topic-%d", i);
		add_topic(edit, str_of(name), topic_id(i));
		add_partition(edit, topic_id(i), 0, 1);
	}
	image = image_edit_finish(edit, 20000, 1, 0);
	filled = seconds();
	for (int i = 0; i < 1000; i++) {
		edit = image_edit_begin(image);
		add_partition(edit, topic_id(i), 1, 1);
		next = image_edit_finish(edit, 20001 + i, 1, 0);
		if (i == 999)
			break;
		image_unref(image);
		image = next;
	}
	changed = seconds();
	for (int i = 0; i < 1000; i++)
		image_diff_topics(image, next, ignore_topic, &n);
	diffed = seconds();
	assert_int_equal(n, 1000);
	printf("10,000 topics: %.0f ms to replay; one partition added to an image: %.1f us; difference of two images: "
	       "%.1f us\n", (filled - start) * 1e3, (changed - filled) * 1e3, (diffed - changed) * 1e3);
	check_snapshot(next);
	image_unref(image);
	image_unref(next);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_kafka_log),
		cmocka_unit_test(test_kafka_crash_log),
		cmocka_unit_test(test_transaction),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_large),
	};

	if (argc < 4)
		return 2;
	lines_path = argv[1];
	log_paths[0] = argv[2];
	log_paths[1] = argv[3];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
