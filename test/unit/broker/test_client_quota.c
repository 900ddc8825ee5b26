/* SPDX-License-Identifier: Apache-2.0 */
/* Whose limit holds for a client, and that what one reactor records is known to the other. */
#include "broker_rig.h"
#include "client_quota.h"
#include "metadata_record.h"
#include "replay.h"

static struct rig rig;

/* NULL: the entity has no such part; "": its default. */
static struct image *with_quota(struct image *take_image, const char *user, const char *client_id, const char *key,
				double value)
{
	struct image_edit *edit = image_edit_begin(take_image);
	struct client_quota_record_entity entity[2];
	struct client_quota_record record;
	struct err_text text;
	struct arena arena = {0};
	struct image *image;

	msg_init(&client_quota_record_type, &record);
	record.entity = entity;
	if (user) {
		msg_init(&client_quota_record_entity_type, &entity[record.entity_n]);
		entity[record.entity_n].entity_type = STR("user");
		entity[record.entity_n++].entity_name = *user ? str_of(user) : STR_NULL;
	}
	if (client_id) {
		msg_init(&client_quota_record_entity_type, &entity[record.entity_n]);
		entity[record.entity_n].entity_type = STR("client-id");
		entity[record.entity_n++].entity_name = *client_id ? str_of(client_id) : STR_NULL;
	}
	record.key = str_of(key);
	record.value = value;
	assert_int_equal(image_edit_replay(edit,
					   metadata_record_encode(METADATA_CLIENT_QUOTA_RECORD, 0, &record, &arena),
					   &text),
			 ERR_NONE);
	image = image_edit_finish(edit, take_image->offset + 1, 1, 0);
	arena_reset(&arena);
	image_unref(take_image);
	return image;
}

/* From the weakest on, each stronger one wins, and says with whom the limit is shared. */
static void test_precedence(void **state)
{
	static const struct {
		const char *user, *client_id;
		bool by_user, by_client;
	} levels[] = {
		{NULL, "", false, true}, {NULL, "c", false, true}, {"", NULL, true, false}, {"", "", true, true},
		{"", "c", true, true}, {"u", NULL, true, false}, {"u", "", true, true}, {"u", "c", true, true},
	};
	struct image *image = image_new_empty();
	struct client_quota_entity entity;
	double bound;

	assert_false(client_quota_find(image, CLIENT_QUOTA_PRODUCE, STR("u"), STR("c"), &bound, &entity));
	for (size_t i = 0; i < ARRAY_N(levels); i++) {
		image = with_quota(image, levels[i].user, levels[i].client_id, "producer_byte_rate", (double)i + 1);
		assert_true(client_quota_find(image, CLIENT_QUOTA_PRODUCE, STR("u"), STR("c"), &bound, &entity));
		assert_true(bound == (double)i + 1);
		assert_int_equal(entity.user.p != NULL, levels[i].by_user);
		assert_int_equal(entity.client_id.p != NULL, levels[i].by_client);
	}
	assert_false(client_quota_find(image, CLIENT_QUOTA_FETCH, STR("u"), STR("c"), &bound, &entity));
	/* Others have what is theirs. */
	assert_true(client_quota_find(image, CLIENT_QUOTA_PRODUCE, STR("x"), STR("c"), &bound, &entity));
	assert_true(bound == 5);
	assert_true(client_quota_find(image, CLIENT_QUOTA_PRODUCE, STR("x"), STR("y"), &bound, &entity));
	assert_true(bound == 4);
	image_unref(image);
}

static void follow(struct image *image)
{
	struct image *empty = image_new_empty();

	for (int i = 0; i < rig.broker.shards_n; i++) {
		if (!rig.shards[i].image)
			rig.shards[i].image = empty;
		client_quotas_follow(&rig.shards[i], image);
		rig.shards[i].image = image;
	}
	image_unref(empty);
}

static int32_t record(int shard, const char *client_id, double bytes)
{
	return client_quota_record(&rig.shards[shard], CLIENT_QUOTA_PRODUCE, STR("ANONYMOUS"), str_of(client_id),
				   bytes);
}

static void test_no_limits(void **state)
{
	struct image *image = image_new_empty();

	follow(image);
	assert_null(rig.shards[0].quotas);
	assert_int_equal(record(0, "c", 1e12), 0);
	image_unref(image);
}

static void count_stats(void *ctx, const struct client_quota_stat *stat)
{
	*(int *)ctx += stat->rate > 0;
}

static void turn_for_ms(int64_t ms)
{
	int64_t end_ns;

	rig_turn(&rig, 1);
	end_ns = rig.node.reactors[0].now_ns + ms * NS_PER_MS;
	while (rig.node.reactors[0].now_ns < end_ns)
		rig_turn(&rig, 1);
}

static void test_reactors_share(void **state)
{
	struct image *image = with_quota(image_new_empty(), NULL, "", "producer_byte_rate", 1000);

	follow(image);
	rig_turn(&rig, 1);
	assert_int_equal(record(0, "a", 9000), 0);
	turn_for_ms(200);
	assert_true(record(1, "a", 3000) > 1000); /* 12,000 of 10,000 */
	assert_int_equal(record(1, "b", 3000), 0);
	turn_for_ms(200);
	assert_true(record(0, "a", 0) > 1000);
	image_unref(image);
}

/* Client ids that differ only far behind are told apart; there are never too many. */
static void test_many_names(void **state)
{
	struct image *image = with_quota(image_new_empty(), NULL, "", "producer_byte_rate", 1000);
	char name[400];
	int stats_n = 0;

	follow(image);
	memset(name, 'x', sizeof(name));
	for (int i = 0; i < 10100; i++) {
		snprintf(name + 380, sizeof(name) - 380, "%d", i);
		assert_int_equal(record(0, name, 100), 0);
	}
	client_quotas_each(&rig.shards[0], count_stats, &stats_n);
	assert_int_equal(stats_n, 10000);
	assert_true(record(0, name, 20000) > 0);
	image_unref(image);
}

static int open_rig(void **state)
{
	rig_open(&rig, 2);
	rig.broker.config.quota_window_num = 11;
	rig.broker.config.quota_window_size_seconds = 1;
	return 0;
}

static int close_rig(void **state)
{
	for (int i = 0; i < 2; i++) {
		client_quotas_free(rig.shards[i].quotas);
		rig.shards[i].quotas = NULL;
	}
	rig_close(&rig);
	return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_precedence), CASE(test_no_limits),
					   CASE(test_reactors_share), CASE(test_many_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
