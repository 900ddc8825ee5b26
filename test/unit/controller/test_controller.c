/* SPDX-License-Identifier: Apache-2.0 */
/* Images ahead of the commit, undoing, the first records of a log, producer ids, many topics. */
#include <time.h>

#include "controller_world.h"
#include "feature_table.h"
#include "replay.h"

static void create_uncommitted(struct world *w, const char *name)
{
	struct create_topics_request in;
	struct create_topics_response out;
	struct create_topics_request_topics topic;

	msg_init(&create_topics_request_type, &in);
	msg_init(&create_topics_request_topics_type, &topic);
	topic.name = str_of(name);
	topic.num_partitions = 1;
	topic.replication_factor = 1;
	in.topics = &topic;
	in.topics_n = 1;
	world_begin(w);
	assert_int_equal(controller_create_topics(&w->controller, 7, &in, &out, &w->records, &w->arena), ERR_NONE);
	assert_int_equal(out.topics[0].error_code, 0);
	world_log(w);
}

static void test_ahead_of_commit(void **state)
{
	struct world w;
	struct image *image;
	int64_t after_a;

	world_init(&w, 30);
	world_add_broker(&w, 1);
	create_uncommitted(&w, "a");
	after_a = w.end;
	create_uncommitted(&w, "b");
	assert_int_equal(w.controller.latest->topics_n, 2);
	assert_int_equal(w.controller.committed->topics_n, 0);
	controller_committed(&w.controller, after_a - 1, &image); /* only part of it */
	assert_int_equal(image->topics_n, 0);
	controller_committed(&w.controller, after_a, &image);
	assert_int_equal(image->topics_n, 1);
	assert_int_equal(image->offset, after_a);
	assert_int_equal(w.controller.latest->topics_n, 2);
	controller_committed(&w.controller, w.end + 5, &image);
	assert_int_equal(image->topics_n, 2);
	assert_ptr_equal(w.controller.latest, image);
	world_deinit(&w);
}

static void test_undo(void **state)
{
	struct world w;
	struct image *image;
	int64_t after_a, after_b;

	world_init(&w, 30);
	world_add_broker(&w, 1);
	create_uncommitted(&w, "a");
	after_a = w.end;
	create_uncommitted(&w, "b");
	after_b = w.end;
	create_uncommitted(&w, "c");
	controller_failed(&w.controller, after_b);
	w.end = after_b;
	assert_int_equal(w.controller.latest->topics_n, 2);
	create_uncommitted(&w, "c"); /* as if it had never been */
	controller_failed(&w.controller, after_a - 1);
	w.end = w.controller.committed->offset;
	assert_ptr_equal(w.controller.latest, w.controller.committed);
	create_uncommitted(&w, "a");
	controller_committed(&w.controller, w.end, &image);
	assert_int_equal(image->topics_n, 1);
	world_deinit(&w);
}

static void test_bootstrap(void **state)
{
	struct world w;
	const struct config_record *config;
	struct controller_records none = {0};
	struct str value;
	size_t n;

	world_init(&w, 30);
	n = w.records.values.n;
	assert_int_equal(n, 9); /* begin, six features, min.insync.replicas, end */
	assert_true(w.records.atomic);
	assert_true(str_eq_c(((const struct begin_transaction_record *)
			      world_record(&w, 0, METADATA_BEGIN_TRANSACTION_RECORD, 0))->name, "Bootstrap records"));
	config = world_record(&w, n - 2, METADATA_CONFIG_RECORD, 0);
	assert_true(str_eq_c(config->name, "min.insync.replicas"));
	world_record(&w, n - 1, METADATA_END_TRANSACTION_RECORD, 0);
	assert_int_equal(image_feature(w.controller.committed, STR("metadata.version")), 30);
	assert_int_equal(image_feature(w.controller.committed, STR("transaction.version")), 2);
	assert_true(image_config(w.controller.committed, 4, STR(""), STR("min.insync.replicas"), &value));
	assert_true(str_eq_c(value, "1"));
	/* a log that has all this needs nothing */
	world_begin(&w);
	assert_int_equal(controller_bootstrap(&w.controller, &none, &w.records, &w.arena), ERR_NONE);
	assert_int_equal(w.records.values.n, 0);
	world_deinit(&w);
	world_init(&w, 12); /* no transactions, no eligible leader replicas */
	assert_int_equal(w.records.values.n, 1);
	world_deinit(&w);
}

/* A log that ends within a transaction: the part is given up, the rest done again. */
static void test_bootstrap_after_part(void **state)
{
	struct world w;
	struct begin_transaction_record begin;
	struct controller_records none = {0};
	struct controller_defaults defaults;

	world_init(&w, 30);
	defaults = w.controller.defaults;
	controller_deinit(&w.controller);
	controller_init(&w.controller, &defaults, &w.rng, image_new_empty());
	world_begin(&w);
	msg_init(&begin_transaction_record_type, &begin);
	vec_push(&w.records.values, metadata_record_encode(METADATA_BEGIN_TRANSACTION_RECORD, 0, &begin, &w.arena));
	world_done(&w);
	assert_true(image_in_transaction(w.controller.latest));
	world_begin(&w);
	assert_int_equal(controller_bootstrap(&w.controller, &none, &w.records, &w.arena), ERR_NONE);
	world_record(&w, 0, METADATA_ABORT_TRANSACTION_RECORD, 0);
	world_done(&w);
	assert_false(image_in_transaction(w.controller.latest));
	assert_int_equal(image_feature(w.controller.latest, STR("metadata.version")), 30);
	world_deinit(&w);
}

static void test_producer_ids(void **state)
{
	struct world w;
	struct allocate_producer_ids_request in;
	struct allocate_producer_ids_response out;

	world_init(&w, 30);
	world_add_broker(&w, 1);
	msg_init(&allocate_producer_ids_request_type, &in);
	in.broker_id = 1;
	in.broker_epoch = image_broker(w.controller.latest, 1)->epoch;
	for (int i = 0; i < 3; i++) {
		const struct producer_ids_record *record;

		world_begin(&w);
		assert_int_equal(controller_allocate_producer_ids(&w.controller, &in, &out, &w.records, &w.arena),
				 ERR_NONE);
		assert_int_equal(out.error_code, 0);
		assert_int_equal(out.producer_id_start, i * 1000);
		assert_int_equal(out.producer_id_len, 1000);
		record = world_record(&w, 0, METADATA_PRODUCER_IDS_RECORD, 0);
		assert_int_equal(record->next_producer_id, (i + 1) * 1000);
		assert_int_equal(record->broker_epoch, in.broker_epoch);
		world_log(&w);
	}
	in.broker_epoch++;
	world_begin(&w);
	assert_int_equal(controller_allocate_producer_ids(&w.controller, &in, &out, &w.records, &w.arena), ERR_NONE);
	assert_int_equal(out.error_code, ERR_STALE_BROKER_EPOCH);
	assert_int_equal(w.records.values.n, 0);
	world_deinit(&w);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_many_topics(void **state)
{
	struct world w;
	double start, created, restarted;

	world_init(&w, 30);
	world_add_broker(&w, 1);
	start = seconds();
	for (int i = 0; i < 10000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "topic-%d", i);
		assert_int_equal(world_create(&w, name, 1, 1).error_code, 0);
		if (i % 100 == 0)
			arena_reset(&w.arena);
	}
	created = seconds();
	w.controller.now_ms += 20000;
	assert_int_equal(world_register(&w, 1, (struct uuid){4, 4}, -1, NULL), 0);
	assert_int_equal(w.records.values.n, 10001);
	world_heartbeat(&w, 1, false);
	assert_int_equal(w.records.values.n, 10001);
	restarted = seconds();
	printf("10,000 topics: %.1f us to create one; %.0f ms to take all leaders away and elect them again\n",
	       (created - start) / 10000 * 1e6, (restarted - created) * 1e3);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ahead_of_commit),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_bootstrap),
		cmocka_unit_test(test_bootstrap_after_part),
		cmocka_unit_test(test_producer_ids),
		cmocka_unit_test(test_many_topics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
