/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classic groups on virtual time: the initial delay, sessions, rebalance and sync timeouts, what a failing log does to
 * joins and syncs, and a storm of random members that must keep every invariant.
 */
#include "group_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define JOINED(m, gen)                                       \
	do {                                                 \
		assert_false((m)->joining);                  \
		assert_int_equal((m)->join_err, ERR_NONE);   \
		assert_int_equal((m)->generation, (gen));    \
	} while (0)

static void start(struct rig *rig, struct rig_member *members, int n, const char *group)
{
	rig_init(rig);
	for (int i = 0; i < n; i++)
		member_init(&members[i], rig, group);
}

static void finish(struct rig *rig, struct rig_member *members, int n)
{
	rig_check(rig);
	rig_deinit(rig);
	for (int i = 0; i < n; i++)
		member_deinit(&members[i]);
}

/* Both in one generation, with assignments; the first is the leader. */
static void two_stable(struct rig *rig, struct rig_member *members)
{
	struct rig_member *other = &members[1];

	member_join(&members[0]);
	member_join(&members[1]);
	rig_wait(rig, 7000);
	JOINED(&members[0], 1);
	JOINED(&members[1], 1);
	member_sync(&members[1], NULL, 0);
	assert_true(members[1].syncing);
	member_sync(&members[0], &other, 1);
	assert_false(members[1].syncing);
	assert_string_equal(rig_state(rig, "g"), "Stable");
}

static void test_the_first_generation_waits(void **state)
{
	struct rig rig;
	struct rig_member m[3];

	start(&rig, m, 3, "g");
	member_join(&m[0]);
	rig_wait(&rig, 2999);
	assert_true(m[0].joining);
	rig_wait(&rig, 1);
	JOINED(&m[0], 1);
	finish(&rig, m, 3);

	/* Whoever comes during the delay prolongs it. */
	start(&rig, m, 3, "g");
	member_join(&m[0]);
	rig_wait(&rig, 2000);
	member_join(&m[1]);
	rig_wait(&rig, 3500);
	assert_true(m[0].joining);
	member_join(&m[2]);
	rig_wait(&rig, 3499);
	assert_true(m[0].joining);
	rig_wait(&rig, 1);
	for (int i = 0; i < 3; i++)
		JOINED(&m[i], 1);
	assert_true(m[0].is_leader);
	assert_int_equal(m[0].members_n, 3);
	assert_int_equal(m[1].members_n, 0);
	finish(&rig, m, 3);
}

static void test_the_delay_ends_with_the_rebalance_timeout(void **state)
{
	struct rig rig;
	struct rig_member m[9];

	start(&rig, m, 9, "g");
	for (int i = 0; i < 9; i++) {
		m[i].rebalance_ms = 10000;
		if (i < 8) {
			member_join(&m[i]);
			rig_wait(&rig, 1300);
		}
	}
	for (int i = 0; i < 7; i++)
		JOINED(&m[i], 1);
	finish(&rig, m, 9);
}

static void test_assignments(void **state)
{
	struct rig rig;
	struct rig_member m[2];
	char wanted[128];

	start(&rig, m, 2, "g");
	two_stable(&rig, m);
	for (int i = 0; i < 2; i++) {
		snprintf(wanted, sizeof(wanted), "of %.60s", m[i].id);
		assert_string_equal(m[i].assignment, wanted);
	}
	finish(&rig, m, 2);
}

static void test_nobody_is_told_before_the_log_has_it(void **state)
{
	struct rig rig;
	struct rig_member m[1];

	start(&rig, m, 1, "g");
	member_join(&m[0]);
	rig_wait(&rig, 3000);
	rig.auto_commit = false;
	member_sync(&m[0], NULL, 0);
	assert_true(m[0].syncing);
	assert_string_equal(rig_state(&rig, "g"), "CompletingRebalance");
	rig_commit(&rig);
	assert_false(m[0].syncing);
	assert_string_equal(rig_state(&rig, "g"), "Stable");
	finish(&rig, m, 1);
}

static void test_an_assignment_that_fails_begins_anew(void **state)
{
	for (int refused = 0; refused < 2; refused++) {
		struct rig rig;
		struct rig_member m[1];

		start(&rig, m, 1, "g");
		member_join(&m[0]);
		rig_wait(&rig, 3000);
		rig.auto_commit = false;
		rig.refuse = refused ? ERR_COORDINATOR_NOT_AVAILABLE : ERR_NONE;
		member_sync(&m[0], NULL, 0);
		rig_fail(&rig, ERR_COORDINATOR_NOT_AVAILABLE);
		assert_false(m[0].syncing);
		assert_int_equal(m[0].sync_err, ERR_COORDINATOR_NOT_AVAILABLE);
		assert_string_equal(rig_state(&rig, "g"), "PreparingRebalance");
		rig.refuse = ERR_NONE;
		rig.auto_commit = true;
		member_join(&m[0]);
		JOINED(&m[0], 2);
		member_sync(&m[0], NULL, 0);
		assert_int_equal(m[0].sync_err, ERR_NONE);
		finish(&rig, m, 1);
	}
}

static void test_sessions(void **state)
{
	struct rig rig;
	struct rig_member m[2];

	start(&rig, m, 2, "g");
	two_stable(&rig, m);
	for (int i = 0; i < 4; i++) {
		rig_wait(&rig, 5001); /* the other one is silent for 10 s */
		assert_int_equal(member_heartbeat(&m[0]), i == 0 ? ERR_NONE : ERR_REBALANCE_IN_PROGRESS);
	}
	member_join(&m[0]);
	JOINED(&m[0], 2);
	assert_int_equal(m[0].members_n, 1);
	assert_int_equal(member_heartbeat(&m[1]), ERR_UNKNOWN_MEMBER_ID);
	finish(&rig, m, 2);
}

static void test_a_group_whose_members_all_vanish_becomes_empty(void **state)
{
	struct rig rig;
	struct rig_member m[2];

	start(&rig, m, 2, "g");
	two_stable(&rig, m);
	rig_wait(&rig, 100000);
	assert_string_equal(rig_state(&rig, "g"), "Empty");
	/* It keeps no offset, so it goes. */
	rig_wait(&rig, 600000);
	assert_string_equal(rig_state(&rig, "g"), "absent");
	finish(&rig, m, 2);
}

static void test_an_id_that_never_comes_back_does_not_hold_the_others(void **state)
{
	struct rig rig;
	struct rig_member m[2];
	struct group *group;

	start(&rig, m, 2, "g");
	two_stable(&rig, m);
	group = group_find(&rig.store, STR("g"));
	m[1].version = 9;
	member_leave(&m[1]);
	m[1].id[0] = 0;
	member_join_once(&m[1]);
	assert_int_equal(m[1].join_err, ERR_MEMBER_ID_REQUIRED);
	assert_int_equal(group->classic->pending.n, 1);
	member_join(&m[0]);
	assert_true(m[0].joining);
	rig_wait(&rig, 10000);
	JOINED(&m[0], 2);
	assert_int_equal(group->classic->pending.n, 0);
	finish(&rig, m, 2);
}

static void test_members_that_owe_a_sync_are_dropped(void **state)
{
	struct rig rig;
	struct rig_member m[2];

	start(&rig, m, 2, "g");
	m[0].session_ms = m[1].session_ms = 100000;
	m[0].rebalance_ms = m[1].rebalance_ms = 20000;
	member_join(&m[0]);
	member_join(&m[1]);
	rig_wait(&rig, 7000);
	member_sync(&m[0], NULL, 0);
	assert_string_equal(rig_state(&rig, "g"), "Stable");
	rig_wait(&rig, 20000);
	assert_int_equal(member_heartbeat(&m[0]), ERR_REBALANCE_IN_PROGRESS);
	assert_int_equal(member_heartbeat(&m[1]), ERR_UNKNOWN_MEMBER_ID);
	finish(&rig, m, 2);
}

static void test_a_static_member_whose_record_fails_is_as_before(void **state)
{
	struct rig rig;
	struct rig_member m[2];
	struct rig_member back;

	start(&rig, m, 2, "g");
	m[0].instance = "a";
	m[1].instance = "b";
	two_stable(&rig, m);
	member_init(&back, &rig, "g");
	back.instance = "b";
	rig.auto_commit = false;
	member_join(&back);
	assert_true(back.joining);
	rig_fail(&rig, ERR_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(back.join_err, ERR_COORDINATOR_NOT_AVAILABLE);
	rig.auto_commit = true;
	assert_int_equal(member_heartbeat(&m[1]), ERR_NONE);
	assert_string_equal(rig_state(&rig, "g"), "Stable");
	back.id[0] = 0;
	member_join(&back);
	JOINED(&back, 1);
	assert_int_equal(member_heartbeat(&m[1]), ERR_FENCED_INSTANCE_ID);
	member_deinit(&back);
	finish(&rig, m, 2);
}

static void test_static_members_that_are_all_away(void **state)
{
	struct rig rig;
	struct rig_member m[2];

	start(&rig, m, 2, "g");
	m[0].instance = "a";
	m[1].instance = "b";
	m[0].session_ms = m[1].session_ms = 300000;
	m[0].rebalance_ms = m[1].rebalance_ms = 10000;
	two_stable(&rig, m);
	assert_int_equal(member_leave(&m[1]), ERR_NONE);
	rig_wait(&rig, 100000); /* nobody joins: the phase begins again and again */
	assert_string_equal(rig_state(&rig, "g"), "PreparingRebalance");
	member_join(&m[0]);
	JOINED(&m[0], 2);
	finish(&rig, m, 2);
}

static void test_who_is_parked_is_told_when_the_shard_goes(void **state)
{
	struct rig rig;
	struct rig_member m[2];

	start(&rig, m, 2, "g");
	member_join(&m[0]);
	rig_wait(&rig, 7000);
	member_sync(&m[0], NULL, 0);
	member_join(&m[1]);
	assert_true(m[1].joining);
	rig_deinit(&rig);
	assert_false(m[1].joining);
	assert_int_equal(m[1].join_err, ERR_NOT_COORDINATOR);
	for (int i = 0; i < 2; i++)
		member_deinit(&m[i]);
}

/* ---- a storm ---- */

#define STORM_MEMBERS 8
#define STORM_STEPS 600

static void storm_step(struct rig *rig, struct rng *dice, struct rig_member *m)
{
	struct rig_member *others[STORM_MEMBERS];
	int n = 0;

	switch (rng_below(dice, 8)) {
	case 0:
	case 1:
		if (!m->joining && !m->syncing)
			member_join(m);
		return;
	case 2:
	case 3:
		if (m->joining || m->syncing || m->generation < 0)
			return;
		for (int i = 0; i < (int)rng_below(dice, 3); i++)
			others[n++] = m;
		member_sync(m, others, n);
		return;
	case 4:
		if (m->generation >= 0)
			(void)member_heartbeat(m);
		return;
	case 5:
		if (m->id[0] && !rng_below(dice, 3))
			(void)member_leave(m);
		return;
	case 6:
		if (!m->joining && !m->syncing && !rng_below(dice, 2)) {
			m->id[0] = 0;
			m->generation = -1;
		}
		return;
	default:
		(void)rig_offset(rig, "g", "t", (int32_t)rng_below(dice, 5), (int64_t)rng_below(dice, 100));
		return;
	}
}

static void test_a_storm(void **state)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct rig rig;
		struct rig_member m[STORM_MEMBERS];
		struct rng dice;
		int32_t generation = 0;

		rng_init(&dice, seed);
		start(&rig, m, STORM_MEMBERS, "g");
		for (int i = 0; i < STORM_MEMBERS; i++) {
			if (i % 3 == 0)
				m[i].instance = i % 2 ? "one" : "two";
			m[i].rebalance_ms = 8000;
		}
		for (int step = 0; step < STORM_STEPS; step++) {
			const struct group *group;

			rig.auto_commit = rng_below(&dice, 4) != 0;
			storm_step(&rig, &dice, &m[rng_below(&dice, STORM_MEMBERS)]);
			if (!rng_below(&dice, 12))
				rig_fail(&rig, ERR_COORDINATOR_NOT_AVAILABLE);
			else if (!rng_below(&dice, 3))
				rig_commit(&rig);
			if (!rng_below(&dice, 4))
				rig_wait(&rig, rng_between(&dice, 1, 6000));
			if (step % 16 == 0)
				rig_check(&rig);
			group = group_find(&rig.store, STR("g"));
			assert_true(!group || group->classic->generation >= generation ||
				    group->classic->generation == 0);
			generation = group ? group->classic->generation : 0;
		}
		/* Whatever happened: who is silent is gone, and nobody is kept waiting. */
		rig.auto_commit = true;
		rig_commit(&rig);
		rig_wait(&rig, 1000000);
		for (int i = 0; i < STORM_MEMBERS; i++) {
			assert_false(m[i].joining);
			assert_false(m[i].syncing);
		}
		finish(&rig, m, STORM_MEMBERS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_generation_waits),
		cmocka_unit_test(test_the_delay_ends_with_the_rebalance_timeout),
		cmocka_unit_test(test_assignments),
		cmocka_unit_test(test_nobody_is_told_before_the_log_has_it),
		cmocka_unit_test(test_an_assignment_that_fails_begins_anew),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_a_group_whose_members_all_vanish_becomes_empty),
		cmocka_unit_test(test_an_id_that_never_comes_back_does_not_hold_the_others),
		cmocka_unit_test(test_members_that_owe_a_sync_are_dropped),
		cmocka_unit_test(test_a_static_member_whose_record_fails_is_as_before),
		cmocka_unit_test(test_static_members_that_are_all_away),
		cmocka_unit_test(test_who_is_parked_is_told_when_the_shard_goes),
		cmocka_unit_test(test_a_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
