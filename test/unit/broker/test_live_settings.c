/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings in force on a reactor: they follow the image and the node's own file, and a change touches what it changes
 * and nothing else. Partitions are played: only what they are told is looked at.
 */
#include "broker_rig.h"
#include "dynamic_config.h"
#include "lifecycle.h"
#include "live_settings.h"
#include "metadata_record.h"
#include "msg/metadata_records.h"
#include "replay.h"

#define TOPICS_N 3

static int told_n; /* partitions that got settings */

void partition_set_config(struct partition *partition, const struct partition_config *config)
{
	partition->config = *config;
	told_n++;
}

void lifecycle_settings_changed(struct broker *broker)
{
}

/* ---- images ---- */

static struct image *image_add(struct image *image, enum metadata_record_id type, const void *record)
{
	struct image_edit *edit = image_edit_begin(image);
	struct arena arena = {0};
	struct err_text text = {""};
	struct image *next;

	if (image_edit_replay(edit, metadata_record_encode(type, 0, record, &arena), &text) != ERR_NONE)
		fail_msg("%s", text.text);
	arena_reset(&arena);
	next = image_edit_finish(edit, image->offset + 1, 0, 0);
	return next;
}

static struct image *image_add_topic(struct image *image, const char *name, struct uuid id)
{
	struct topic_record record;

	msg_init(&topic_record_type, &record);
	record.name = str_of(name);
	record.topic_id = id;
	return image_add(image, METADATA_TOPIC_RECORD, &record);
}

/* value NULL: deleted */
static struct image *image_set(struct image *image, int8_t type, const char *resource, const char *name,
			       const char *value)
{
	struct config_record record;

	msg_init(&config_record_type, &record);
	record.resource_type = type;
	record.resource_name = str_of(resource);
	record.name = str_of(name);
	record.value = value ? str_of(value) : STR_NULL;
	return image_add(image, METADATA_CONFIG_RECORD, &record);
}

/* ---- a shard with partitions ---- */

struct fixture {
	struct rig rig;
	struct shard *shard;
	struct image *image;
	struct partition partitions[TOPICS_N];
	struct partition *lists[TOPICS_N];
	struct shard_topic topics[TOPICS_N];
};

static void load(struct broker_config *ret, const char *more)
{
	struct str overrides[] = {
		STR("process.roles=broker,controller"), STR("node.id=1"), STR("controller.listener.names=C"),
		STR("controller.quorum.bootstrap.servers=127.0.0.1:1"), STR("log.dirs=/d"),
		STR("listeners=P://127.0.0.1:2,C://127.0.0.1:1"),
		STR("listener.security.protocol.map=P:PLAINTEXT,C:PLAINTEXT"), STR("inter.broker.listener.name=P"),
		str_of(more),
	};
	struct config_report report = {0};
	struct config_source source = {.file_name = STR(""), .overrides = overrides, .overrides_n = ARRAY_N(overrides)};

	assert_int_equal(broker_config_load(ret, &report, &source), ERR_NONE);
	config_report_deinit(&report);
}

static void fixture_open(struct fixture *f, const char *more)
{
	static const char *const names[] = {"a", "b", "c"};

	memset(f, 0, sizeof(*f));
	rig_open(&f->rig, 1);
	f->shard = &f->rig.shards[0];
	load(&f->rig.broker.config, more);
	f->rig.broker.fixed = &f->rig.broker.config;
	f->rig.broker.node_id = 1;
	f->image = image_new_empty();
	map_init(&f->shard->topics, MAP_UUID, 1);
	live_settings_init(f->shard);
	for (size_t i = 0; i < TOPICS_N; i++) {
		struct uuid id = {1, i + 1};
		struct image *next = image_add_topic(f->image, names[i], id);

		image_unref(f->image);
		f->image = next;
		f->partitions[i].topic = (char *)names[i];
		f->lists[i] = &f->partitions[i];
		f->topics[i] = (struct shard_topic){id, 1, &f->lists[i]};
		map_put_uuid(&f->shard->topics, id, &f->topics[i]);
	}
	f->shard->image = f->image;
	told_n = 0;
}

static void fixture_close(struct fixture *f)
{
	live_settings_deinit(f->shard);
	map_deinit(&f->shard->topics);
	image_unref(f->image);
	if (f->rig.broker.fixed != &f->rig.broker.config) {
		broker_config_deinit(f->rig.broker.fixed);
		mem_free(f->rig.broker.fixed);
	}
	broker_config_deinit(&f->rig.broker.config);
	rig_close(&f->rig);
}

/* The shard follows; how many partitions were told. */
static int follow(struct fixture *f, int8_t type, const char *resource, const char *name, const char *value)
{
	struct image *next = image_set(f->image, type, resource, name, value);

	told_n = 0;
	live_settings_follow(f->shard, f->image, next);
	image_unref(f->image);
	f->image = next;
	f->shard->image = next;
	return told_n;
}

static int32_t max_bytes(const struct fixture *f, int topic)
{
	return f->partitions[topic].config.max_message_bytes;
}

/* ---- tests ---- */

static void test_layers(void **state)
{
	struct fixture f;

	fixture_open(&f, "message.max.bytes=5000");
	assert_int_equal(f.shard->config->message_max_bytes, 5000);
	assert_int_equal(f.shard->live.topic_base.max_message_bytes, 5000);

	assert_int_equal(follow(&f, 4, "", "message.max.bytes", "4000"), TOPICS_N);
	assert_int_equal(f.shard->config->message_max_bytes, 4000);
	assert_int_equal(max_bytes(&f, 0), 4000);

	assert_int_equal(follow(&f, 4, "1", "message.max.bytes", "3000"), TOPICS_N);
	assert_int_equal(f.shard->config->message_max_bytes, 3000);
	assert_int_equal(max_bytes(&f, 2), 3000);

	assert_int_equal(follow(&f, 2, "b", "max.message.bytes", "2000"), 1);
	assert_int_equal(max_bytes(&f, 0), 3000);
	assert_int_equal(max_bytes(&f, 1), 2000);

	assert_int_equal(follow(&f, 4, "1", "message.max.bytes", NULL), TOPICS_N);
	assert_int_equal(max_bytes(&f, 0), 4000);
	assert_int_equal(max_bytes(&f, 1), 2000);

	assert_int_equal(follow(&f, 2, "b", "max.message.bytes", NULL), 1);
	assert_int_equal(follow(&f, 4, "", "message.max.bytes", NULL), TOPICS_N);
	assert_int_equal(max_bytes(&f, 1), 5000);
	assert_ptr_equal(f.shard->config, &f.rig.broker.config);
	fixture_close(&f);
}

static void test_others_do_not_matter(void **state)
{
	struct fixture f;

	fixture_open(&f, "message.max.bytes=5000");
	assert_int_equal(follow(&f, 4, "2", "message.max.bytes", "1"), 0); /* another broker */
	assert_int_equal(follow(&f, 2, "elsewhere", "max.message.bytes", "1"), 0);
	assert_int_equal(follow(&f, 32, "a", "consumer.session.timeout.ms", "1"), 0);
	assert_int_equal(follow(&f, 16, "a", "interval.ms", "1000"), 0);
	assert_int_equal(f.shard->config->message_max_bytes, 5000);
	/* What no rule lets in is passed over. */
	assert_int_equal(follow(&f, 4, "", "message.max.bytes", "many"), 0);
	assert_int_equal(follow(&f, 4, "", "num.io.threads", "12"), 0); /* nothing that topics have */
	assert_int_equal(f.shard->config->num_io_threads, 12);
	assert_int_equal(follow(&f, 2, "a", "max.message.bytes", "-7"), 1);
	assert_int_equal(max_bytes(&f, 0), 5000);
	fixture_close(&f);
}

/* Nothing may point into the image that is gone. */
static void test_texts_are_kept(void **state)
{
	struct fixture f;

	fixture_open(&f, "message.max.bytes=5000");
	assert_int_equal(follow(&f, 4, "", "log.cleanup.policy", "compact"), TOPICS_N);
	for (int i = 0; i < 20; i++)
		assert_int_equal(follow(&f, 2, "a", "retention.ms", i % 2 ? "1" : "2"), 1);
	assert_true(str_eq_c(f.shard->live.topic_base.cleanup_policy, "compact"));
	assert_true(f.partitions[0].config.is_compacted);
	fixture_close(&f);
}

static void test_reload(void **state)
{
	struct broker_config next;
	struct fixture f;

	fixture_open(&f, "message.max.bytes=5000");
	assert_int_equal(follow(&f, 2, "b", "max.message.bytes", "2000"), 1);
	for (int i = 0; i < 3; i++) {
		char text[64];

		snprintf(text, sizeof(text), "message.max.bytes=%d", 6000 + i);
		load(&next, text);
		next.num_partitions = 7; /* cannot change now */
		next.origin[SETTING_NUM_PARTITIONS].kind = CONFIG_ORIGIN_OVERRIDE;
		told_n = 0;
		broker_reload_config(&f.rig.broker, &next);
		rig_turn(&f.rig, 4);
		assert_int_equal(told_n, TOPICS_N);
		assert_int_equal(max_bytes(&f, 0), 6000 + i);
		assert_int_equal(max_bytes(&f, 1), 2000);
		assert_int_equal(f.shard->config->num_partitions, 1);
		assert_int_equal(f.rig.broker.config.message_max_bytes, 5000);
	}
	/* What the image says stays above. */
	assert_int_equal(follow(&f, 4, "1", "message.max.bytes", "3000"), TOPICS_N);
	load(&next, "message.max.bytes=9000");
	broker_reload_config(&f.rig.broker, &next);
	rig_turn(&f.rig, 4);
	assert_int_equal(max_bytes(&f, 0), 3000);
	assert_int_equal(follow(&f, 4, "1", "message.max.bytes", NULL), TOPICS_N);
	assert_int_equal(max_bytes(&f, 0), 9000);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_others_do_not_matter),
		cmocka_unit_test(test_texts_are_kept),
		cmocka_unit_test(test_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
