/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch sessions: ids, epochs, what a session remembers, its order of partitions, who gives way when it is full. */
#include "broker_rig.h"
#include "fetch_session.h"

static struct rig rig;
static struct fetch_sessions *sessions;

static int open_rig(void **state)
{
	rig_open(&rig, 1);
	sessions = fetch_sessions_new(&rig.shards[0]);
	return 0;
}

static int close_rig(void **state)
{
	fetch_sessions_free(sessions);
	rig_close(&rig);
	return 0;
}

static struct fetch_partition want(struct str topic, int32_t partition, int64_t offset)
{
	return (struct fetch_partition){.topic = topic, .partition = partition, .fetch_offset = offset, .max_bytes = 7};
}

static void test_epochs(void **state)
{
	struct fetch_session *session = fetch_session_new(sessions, false);

	assert_non_null(session);
	assert_true(session->id > 0);
	assert_int_equal(session->epoch, 1);
	assert_ptr_equal(fetch_session_find(sessions, session->id), session);
	assert_null(fetch_session_find(sessions, -1));
	assert_int_equal(fetch_session_next_epoch(1), 2);
	assert_int_equal(fetch_session_next_epoch(INT32_MAX), 1);
}

static void test_partitions(void **state)
{
	struct fetch_session *session = fetch_session_new(sessions, false);
	char name[] = "orders";
	struct str topic = {name, 6};
	struct fetch_partition *first;

	for (int i = 0; i < 3; i++) {
		struct fetch_partition w = want(topic, i, 10 + i);

		assert_true(fetch_session_put(session, &w));
	}
	memset(name, 'x', 6); /* the session has its own copy */
	assert_int_equal(session->partitions_n, 3);
	first = list_entry(session->partitions.next, struct fetch_partition, link);
	assert_true(str_eq_c(first->topic, "orders"));
	assert_int_equal(first->partition, 0);
	assert_int_equal(first->told_high_watermark, -1);
	first->told_high_watermark = 5;
	/* An update keeps place and what was told. */
	struct fetch_partition again = want(STR("orders"), 0, 99);

	assert_true(fetch_session_put(session, &again));
	assert_int_equal(session->partitions_n, 3);
	assert_ptr_equal(list_entry(session->partitions.next, struct fetch_partition, link), first);
	assert_int_equal(first->fetch_offset, 99);
	assert_int_equal(first->told_high_watermark, 5);
	fetch_session_forget(session, (struct uuid){0}, STR("orders"), 7); /* unknown */
	fetch_session_forget(session, (struct uuid){0}, STR("order"), 0);
	assert_int_equal(session->partitions_n, 3);
	fetch_session_forget(session, (struct uuid){0}, STR("orders"), 0);
	assert_int_equal(session->partitions_n, 2);
	first = list_entry(session->partitions.next, struct fetch_partition, link);
	assert_int_equal(first->partition, 1);
}

static void test_topic_ids(void **state)
{
	struct fetch_session *session = fetch_session_new(sessions, true);
	struct uuid a = uuid_random(&rig.node.reactors[0].rng), b = uuid_random(&rig.node.reactors[0].rng);
	struct fetch_partition w = want(STR_NULL, 3, 1);

	w.topic_id = a;
	assert_true(fetch_session_put(session, &w));
	w.topic_id = b;
	assert_true(fetch_session_put(session, &w));
	assert_int_equal(session->partitions_n, 2);
	fetch_session_forget(session, a, STR_NULL, 3);
	assert_int_equal(session->partitions_n, 1);
	assert_true(uuid_eq(list_entry(session->partitions.next, struct fetch_partition, link)->topic_id, b));
}

/* Four places: the least recently used goes, when it was idle for two minutes and no request of it runs. */
static void test_eviction(void **state)
{
	struct reactor *reactor = &rig.node.reactors[0];
	struct fetch_session *s[4];
	int32_t ids[4];

	for (int i = 0; i < 4; i++) {
		s[i] = fetch_session_new(sessions, false);
		assert_non_null(s[i]);
		ids[i] = s[i]->id;
	}
	assert_null(fetch_session_new(sessions, false));
	reactor->now_ns += 121 * NS_PER_S;
	fetch_session_touch(sessions, s[0], reactor->now_ns);
	s[1]->in_use = true;
	assert_non_null(fetch_session_new(sessions, false));
	assert_null(fetch_session_find(sessions, ids[2]));
	assert_ptr_equal(fetch_session_find(sessions, ids[0]), s[0]);
	assert_ptr_equal(fetch_session_find(sessions, ids[1]), s[1]);
	assert_non_null(fetch_session_new(sessions, false)); /* 3 goes */
	assert_null(fetch_session_find(sessions, ids[3]));
	assert_null(fetch_session_new(sessions, false));
	s[1]->in_use = false;
	assert_non_null(fetch_session_new(sessions, false));
	assert_null(fetch_session_find(sessions, ids[1]));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_epochs),
		CASE(test_partitions),
		CASE(test_topic_ids),
		CASE(test_eviction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
