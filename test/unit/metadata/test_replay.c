/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaying records: every type at every version, logs that Kafka wrote, transactions, what is refused. The rule: a
 * snapshot of an image replays to an equal image, and an image never changes once it is made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "golden_hex.h"
#include "record.h"
#include "replay_make.h"

static const char *lines_path;
static const char *log_paths[2];

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
	assert_int_equal(codec_decode(frame.schema, frame.version, frame.message, &arena, message, NULL, &text),
			 ERR_NONE);
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

/* Topics alpha (3 partitions), beta.one (2), gamma, which was deleted; settings, a quota, an access rule; two
 * starts and two orderly stops of broker 1. */
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
	assert_int_equal(image_quotas_n(image), 1);
	assert_int_equal(image_kept_n(image, METADATA_ACCESS_CONTROL_ENTRY_RECORD), 1);
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
	struct str user = STR_NULL;
	int8_t mechanism = 0;
	int scram_n = 0;

	assert_non_null(topic);
	assert_false(image_in_transaction(image));
	assert_int_equal(topic_partition(topic, 1)->leader_recovery_state, 1);
	assert_int_equal(topic_partition(topic, 1)->leader_epoch, 3); /* fenced, back, stopped */
	assert_int_equal(image_snapshot_records(image, count_scram, &scram_n), ERR_NONE);
	assert_int_equal(scram_n, 1);
	assert_int_equal(image_kept_n(image, METADATA_USER_SCRAM_CREDENTIAL_RECORD), 1);
	assert_non_null(image_scram_next(image, &user, &mechanism).p);
	assert_true(image_scram(image, user, mechanism).len > 0);
	assert_null(image_scram(image, user, (int8_t)(3 - mechanism)).p);
	assert_null(image_scram(image, STR("nobody"), mechanism).p);
	assert_null(image_scram_next(image, &user, &mechanism).p);
	assert_int_equal(image_quotas_n(image), 0);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_kafka_log),
		cmocka_unit_test(test_kafka_crash_log),
		cmocka_unit_test(test_transaction),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_frames),
	};

	if (argc < 4)
		return 2;
	lines_path = argv[1];
	log_paths[0] = argv[2];
	log_paths[1] = argv[3];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
