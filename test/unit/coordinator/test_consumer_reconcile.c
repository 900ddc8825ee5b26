/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of one member, and drawn groups whose target moves while members lag and repeat themselves: nobody owns what
 * another owns, and everybody arrives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consumer_reconcile.h"
#include "rng.h"

#define PARTS 12
#define MEMBERS 5

static struct arena arena;

static struct part_set set_of(unsigned bits)
{
	struct part_set set = {ARENA_NEW_N(&arena, struct part_id, PARTS), 0};

	for (int32_t p = PARTS; p-- > 0;) {
		if (bits & (1U << p))
			set.v[set.n++] = (struct part_id){{1, (uint64_t)p / 4}, p, 0};
	}
	part_set_normalize(&set);
	return set;
}

static unsigned bits_of(struct part_set set)
{
	unsigned bits = 0;

	for (int32_t i = 0; i < set.n; i++)
		bits |= 1U << set.v[i].partition;
	return bits;
}

static void test_sets(void **state UNUSED)
{
	struct part_set doubled = {ARENA_NEW_N(&arena, struct part_id, 3), 3};

	doubled.v[0] = (struct part_id){{2, 0}, 5, 1};
	doubled.v[1] = (struct part_id){{1, 0}, 5, 1};
	doubled.v[2] = (struct part_id){{2, 0}, 5, 1};
	part_set_normalize(&doubled);
	assert_int_equal(doubled.n, 2);
	assert_int_equal(part_set_topic_n(doubled, 0), 1);
	for (unsigned a = 0; a < 64; a++) {
		for (unsigned b = 0; b < 64; b++) {
			struct part_set x = set_of(a << 2), y = set_of(b << 2);

			assert_int_equal(bits_of(part_set_common(x, y, &arena)), (a & b) << 2);
			assert_int_equal(bits_of(part_set_without(x, y, &arena)), (a & ~b) << 2);
			assert_int_equal(bits_of(part_set_joined(x, y, &arena)), (a | b) << 2);
			assert_int_equal(part_set_eq(x, y), a == b);
			assert_int_equal(part_set_is_within(x, y), (a & ~b) == 0);
			assert_int_equal(part_set_overlaps(x, y), (a & b) != 0);
		}
		assert_int_equal(part_set_has(set_of(a), set_of(4).v[0]), (a & 4) != 0);
		arena_reset(&arena);
	}
}

static bool taken_of(void *ctx, struct part_id id)
{
	return *(unsigned *)ctx & (1U << id.partition);
}

static void test_steps(void **state UNUSED)
{
	unsigned taken = 0x8;
	struct reconcile reconcile = {.target_epoch = 7, .is_taken = taken_of, .ctx = &taken};
	struct member_current member = {.state = MEMBER_STABLE, .epoch = 5, .previous_epoch = 4};

	member.assigned = set_of(0x3);
	reconcile.target = set_of(0xe);
	member = member_reconcile(&member, &reconcile, &arena);
	assert_int_equal(member.state, MEMBER_UNREVOKED_PARTITIONS);
	assert_int_equal(member.epoch, 5);
	assert_int_equal(bits_of(member.assigned), 0x2);
	assert_int_equal(bits_of(member.revoking), 0x1);

	reconcile.knows_owned = true;
	reconcile.owned = set_of(0x3);
	assert_int_equal(member_reconcile(&member, &reconcile, &arena).state, MEMBER_UNREVOKED_PARTITIONS);

	reconcile.owned = set_of(0x2);
	member = member_reconcile(&member, &reconcile, &arena);
	assert_int_equal(member.state, MEMBER_UNRELEASED_PARTITIONS);
	assert_int_equal(member.epoch, 7);
	assert_int_equal(member.previous_epoch, 5);
	assert_int_equal(bits_of(member.assigned), 0x6);
	assert_int_equal(bits_of(member.revoking), 0);
	assert_int_equal(member.assigned.v[0].epoch, 0);
	assert_int_equal(member.assigned.v[1].epoch, 7);

	taken = 0;
	member = member_reconcile(&member, &reconcile, &arena);
	assert_int_equal(member.state, MEMBER_STABLE);
	assert_int_equal(bits_of(member.assigned), 0xe);
	arena_reset(&arena);
}

static void test_unknown_state_joins_anew(void **state UNUSED)
{
	unsigned taken = 0;
	struct reconcile reconcile = {.target_epoch = 3, .is_taken = taken_of, .ctx = &taken};
	struct member_current member = {.state = MEMBER_UNKNOWN, .epoch = 2}, next;

	reconcile.target = set_of(1);
	next = member_reconcile(&member, &reconcile, &arena);
	assert_true(reconcile.must_fence);
	assert_int_equal(next.state, MEMBER_UNKNOWN);
	reconcile.knows_owned = true;
	next = member_reconcile(&member, &reconcile, &arena);
	assert_false(reconcile.must_fence);
	assert_int_equal(next.state, MEMBER_STABLE);
	assert_int_equal(bits_of(next.assigned), 1);
	arena_reset(&arena);
}

/* A group as a coordinator would keep it, and what each client really owns. */
struct world {
	struct member_current members[MEMBERS];
	unsigned target[MEMBERS];
	unsigned told[MEMBERS]; /* by the last answer that arrived */
	unsigned owns[MEMBERS];
	int32_t target_epoch;
	int self;
};

static bool world_is_taken(void *ctx, struct part_id id)
{
	struct world *world = ctx;

	for (int m = 0; m < MEMBERS; m++) {
		if (m != world->self && (part_set_has(world->members[m].assigned, id) ||
					 part_set_has(world->members[m].revoking, id)))
			return true;
	}
	return false;
}

static void world_heartbeat(struct world *world, int m, bool says_owned, bool answer_arrives)
{
	struct reconcile reconcile = {.target = set_of(world->target[m]), .target_epoch = world->target_epoch,
				      .knows_owned = says_owned, .owned = set_of(world->owns[m]),
				      .is_taken = world_is_taken, .ctx = world};

	world->self = m;
	world->members[m] = member_reconcile(&world->members[m], &reconcile, &arena);
	if (answer_arrives)
		world->told[m] = bits_of(world->members[m].assigned);
}

static void world_check(const struct world *world)
{
	unsigned seen = 0;

	for (int m = 0; m < MEMBERS; m++) {
		assert_int_equal(seen & world->owns[m], 0);
		seen |= world->owns[m];
	}
}

static void world_draw_target(struct world *world, struct rng *rng)
{
	memset(world->target, 0, sizeof(world->target));
	for (int p = 0; p < PARTS; p++)
		world->target[rng_below(rng, MEMBERS)] |= 1U << p;
	world->target_epoch++;
}

static void test_drawn_groups(void **state UNUSED)
{
	for (uint64_t seed = 1; seed <= 500; seed++) {
		struct world world = {.target_epoch = 1};
		struct rng rng;

		rng_init(&rng, seed);
		for (int step = 0; step < 300; step++) {
			int m = (int)rng_below(&rng, MEMBERS);

			if (step < 250 && rng_chance(&rng, 1, 20))
				world_draw_target(&world, &rng);
			/* A client gives back at once and takes after; it may hear nothing for a while. It says what it
			 * owns only when it has taken all it was told: what it leaves out counts as given back. */
			world.owns[m] &= world.told[m];
			if (step >= 250 || rng_chance(&rng, 1, 2))
				world.owns[m] = world.told[m];
			world_check(&world);
			world_heartbeat(&world, m,
					world.owns[m] == world.told[m] && (step >= 250 || rng_chance(&rng, 2, 3)),
					step >= 250 || rng_chance(&rng, 3, 4));
		}
		for (int m = 0; m < MEMBERS; m++) {
			world.owns[m] = world.told[m];
			assert_int_equal(world.members[m].state, MEMBER_STABLE);
			assert_int_equal(world.members[m].epoch, world.target_epoch);
			assert_int_equal(bits_of(world.members[m].assigned), world.target[m]);
		}
		arena_reset(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_unknown_state_joins_anew),
		cmocka_unit_test(test_drawn_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
