/* SPDX-License-Identifier: Apache-2.0 */
/* Random sequences of records: snapshots replay to equal images, old images stay as they were, differences are told.
 * And how long 10,000 topics take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "replay_make.h"
#include "rng.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
