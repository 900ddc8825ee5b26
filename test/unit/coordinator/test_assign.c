/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assignors: tables of small cases, and for drawn groups the sentences of assign.h: complete, legal, balanced,
 * sticky, the same twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assign.h"
#include "fmt.h"
#include "rng.h"

#define TOPICS_MAX 12
#define MEMBERS_MAX 20

/* A group whose members keep what the last assignment gave them. */
struct group {
	struct arena arena;
	struct assign_topic topics[TOPICS_MAX];
	int32_t topics_n;
	struct assign_member members[MEMBERS_MAX];
	int32_t members_n;
	struct assign_target *targets;
};

static void group_topics(struct group *group, int32_t n, const int32_t *partitions)
{
	group->topics_n = n;
	for (int32_t t = 0; t < n; t++)
		group->topics[t] = (struct assign_topic){{7, (uint64_t)t}, partitions[t]};
}

/* `topics` is a set of bits. */
static void group_join(struct group *group, const char *id, const char *instance, unsigned topics)
{
	struct assign_member *member = &group->members[group->members_n++];
	int32_t *list = ARENA_NEW_N(&group->arena, int32_t, TOPICS_MAX);

	*member = (struct assign_member){.topics = list};
	member->member_id = arena_str(&group->arena, str_of(id));
	member->instance_id = arena_str(&group->arena, str_of(instance));
	for (int32_t t = 0; t < group->topics_n; t++) {
		if (topics & (1U << t))
			list[member->topics_n++] = t;
	}
}

static void group_assign(struct group *group, assign_fn *assign)
{
	struct assign_spec spec = {group->topics, group->topics_n, group->members, group->members_n};

	assert_int_equal(assign(&spec, &group->arena, &group->targets), ERR_NONE);
}

static void group_keep(struct group *group)
{
	for (int32_t m = 0; m < group->members_n; m++) {
		group->members[m].owned = group->targets[m].parts;
		group->members[m].owned_n = group->targets[m].parts_n;
	}
}

/* "a: 0-0 0-1 1-0" per member, one line each. */
static void group_expect(const struct group *group, const char *expected)
{
	char buf[2000];
	struct fmt out;

	fmt_init(&out, buf, sizeof(buf));
	for (int32_t m = 0; m < group->members_n; m++) {
		fmt_add(&out, "%.*s:", STR_ARGS(group->members[m].member_id));
		for (int32_t i = 0; i < group->targets[m].parts_n; i++)
			fmt_add(&out, " %d-%d", group->targets[m].parts[i].topic,
				   group->targets[m].parts[i].partition);
		fmt_add(&out, "\n");
	}
	assert_string_equal(buf, expected);
}

static bool member_subscribes(const struct assign_member *member, int32_t topic)
{
	for (int32_t i = 0; i < member->topics_n; i++) {
		if (member->topics[i] == topic)
			return true;
	}
	return false;
}

static void check_complete_and_legal(const struct group *group)
{
	int32_t owner[TOPICS_MAX][64];

	memset(owner, -1, sizeof(owner));
	for (int32_t m = 0; m < group->members_n; m++) {
		for (int32_t i = 0; i < group->targets[m].parts_n; i++) {
			struct assign_part part = group->targets[m].parts[i];

			assert_true(member_subscribes(&group->members[m], part.topic));
			assert_in_range(part.partition, 0, group->topics[part.topic].partitions_n - 1);
			assert_int_equal(owner[part.topic][part.partition], -1);
			owner[part.topic][part.partition] = m;
		}
	}
	for (int32_t m = 0; m < group->members_n; m++) {
		for (int32_t i = 0; i < group->members[m].topics_n; i++) {
			int32_t t = group->members[m].topics[i];

			for (int32_t p = 0; p < group->topics[t].partitions_n; p++)
				assert_int_not_equal(owner[t][p], -1);
		}
	}
}

/* No single move helps. */
static void check_balanced(const struct group *group)
{
	for (int32_t m = 0; m < group->members_n; m++) {
		for (int32_t i = 0; i < group->targets[m].parts_n; i++) {
			for (int32_t to = 0; to < group->members_n; to++) {
				if (member_subscribes(&group->members[to], group->targets[m].parts[i].topic))
					assert_true(group->targets[m].parts_n <= group->targets[to].parts_n + 1);
			}
		}
	}
}

static void test_range_like_the_original(void **state UNUSED)
{
	struct group group = {0};

	group_topics(&group, 2, (int32_t[]){5, 2});
	group_join(&group, "c", NULL, 3);
	group_join(&group, "b", "i2", 3);
	group_join(&group, "a", NULL, 1);
	group_join(&group, "z", "i1", 2);
	group_assign(&group, assign_range);
	/* Order: z (i1), b (i2), a, c. */
	group_expect(&group, "c: 0-4\nb: 0-0 0-1 1-1\na: 0-2 0-3\nz: 1-0\n");
	arena_reset(&group.arena);
}

static void test_uniform_grows_and_shrinks(void **state UNUSED)
{
	struct group group = {0};

	group_topics(&group, 1, (int32_t[]){6});
	group_join(&group, "a", NULL, 1);
	group_assign(&group, assign_uniform);
	group_expect(&group, "a: 0-0 0-1 0-2 0-3 0-4 0-5\n");
	group_keep(&group);
	group_join(&group, "b", NULL, 1);
	group_assign(&group, assign_uniform);
	group_expect(&group, "a: 0-0 0-1 0-2\nb: 0-3 0-4 0-5\n");
	group_keep(&group);
	group_join(&group, "c", NULL, 1);
	group_assign(&group, assign_uniform);
	assert_int_equal(group.targets[0].parts_n, 2);
	assert_int_equal(group.targets[1].parts_n, 2);
	assert_int_equal(group.targets[2].parts_n, 2);
	group_keep(&group);
	group.members_n = 1;
	group_assign(&group, assign_uniform);
	group_expect(&group, "a: 0-0 0-1 0-2 0-3 0-4 0-5\n");
	arena_reset(&group.arena);
}

static void test_more_members_than_partitions(void **state UNUSED)
{
	struct group group = {0};

	group_topics(&group, 2, (int32_t[]){1, 0});
	group_join(&group, "a", NULL, 3);
	group_join(&group, "b", NULL, 3);
	group_assign(&group, assign_uniform);
	group_expect(&group, "a: 0-0\nb:\n");
	group_keep(&group);
	group_assign(&group, assign_range);
	group_expect(&group, "a: 0-0\nb:\n");
	group.members_n = 0;
	group_assign(&group, assign_uniform);
	group_assign(&group, assign_range);
	arena_reset(&group.arena);
}

static void test_names(void **state UNUSED)
{
	assert_ptr_equal(assign_find(STR("uniform")), assign_uniform);
	assert_ptr_equal(assign_find(STR("range")), assign_range);
	assert_null(assign_find(STR("sticky")));
}

static int32_t count_moved(const struct group *group)
{
	int32_t moved = 0;

	for (int32_t m = 0; m < group->members_n; m++) {
		for (int32_t i = 0, j = 0; i < group->members[m].owned_n; i++) {
			struct assign_part part = group->members[m].owned[i];
			const struct assign_target *target = &group->targets[m];

			while (j < target->parts_n &&
			       (target->parts[j].topic < part.topic || (target->parts[j].topic == part.topic &&
									target->parts[j].partition < part.partition)))
				j++;
			moved += j == target->parts_n || target->parts[j].topic != part.topic ||
				 target->parts[j].partition != part.partition;
		}
	}
	return moved;
}

static void test_drawn_groups(void **state UNUSED)
{
	for (uint64_t seed = 1; seed <= 3000; seed++) {
		struct group group = {0};
		int32_t partitions[TOPICS_MAX];
		bool same = seed % 2;
		struct rng rng;

		rng_init(&rng, seed);
		for (int32_t t = 0; t < TOPICS_MAX; t++)
			partitions[t] = (int32_t)rng_below(&rng, 40);
		group_topics(&group, (int32_t)rng_between(&rng, 1, TOPICS_MAX), partitions);
		for (int32_t round = 0; round < 6; round++) {
			int32_t moved;

			if (group.members_n < MEMBERS_MAX && rng_chance(&rng, 3, 4)) {
				char id[20];

				snprintf(id, sizeof(id), "m%u", (unsigned)rng_below(&rng, 1000000));
				group_join(&group, id, rng_chance(&rng, 1, 4) ? id : NULL,
					   same ? ~0U : (unsigned)rng_u64(&rng));
			} else if (group.members_n > 1) {
				group.members[0] = group.members[--group.members_n];
			}
			if (group.members_n == 0)
				continue;
			group_assign(&group, assign_range);
			check_complete_and_legal(&group);
			group_assign(&group, assign_uniform);
			check_complete_and_legal(&group);
			if (same || group.topics_n < 4)
				check_balanced(&group);
			group_keep(&group);
			group_assign(&group, assign_uniform);
			moved = count_moved(&group);
			assert_int_equal(moved, 0);
		}
		arena_reset(&group.arena);
	}
}

/* With equal subscriptions a newcomer costs what it gets, and not one more. */
static void test_newcomer_moves_no_more_than_its_share(void **state UNUSED)
{
	struct group group = {0};

	group_topics(&group, 3, (int32_t[]){30, 17, 4});
	for (int32_t m = 0; m < 10; m++) {
		char id[8];

		snprintf(id, sizeof(id), "m%d", m);
		group_join(&group, id, NULL, 7);
		group_assign(&group, assign_uniform);
		assert_int_equal(count_moved(&group), m == 0 ? 0 : group.targets[m].parts_n);
		group_keep(&group);
	}
	arena_reset(&group.arena);
}

static void test_limit(void **state UNUSED)
{
	struct group group = {0};
	struct assign_spec spec;

	group_topics(&group, 1, (int32_t[]){ASSIGN_PARTITIONS_MAX + 1});
	group_join(&group, "a", NULL, 1);
	spec = (struct assign_spec){group.topics, 1, group.members, 1};
	assert_int_equal(assign_uniform(&spec, &group.arena, &group.targets), ERR_NO_MEMORY);
	assert_int_equal(assign_range(&spec, &group.arena, &group.targets), ERR_NO_MEMORY);
	arena_reset(&group.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range_like_the_original),
		cmocka_unit_test(test_uniform_grows_and_shrinks),
		cmocka_unit_test(test_more_members_than_partitions),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_drawn_groups),
		cmocka_unit_test(test_newcomer_moves_no_more_than_its_share),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
