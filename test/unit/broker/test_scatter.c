/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests split over two reactors, stepped by hand: each part is told once, on the reactor that owns it; the answer
 * comes home after the last; parts wait for a log that opens; rounds follow each other.
 */
#include "broker_rig.h"
#include "owner_part.h"

static struct rig rig;
static struct partition partitions[2]; /* by shard */
static enum err leader_err[2];
static int done_n;

int shard_of_partition(int reactors_n, struct uuid topic_id, int32_t partition)
{
	return partition % reactors_n;
}

struct partition *shard_partition(struct shard *shard, struct uuid topic_id, int32_t partition)
{
	return partition >= 100 ? NULL : &partitions[shard->index];
}

enum err partition_check_leader(struct partition *partition, int32_t epoch)
{
	return leader_err[partition - partitions];
}

struct part {
	struct owner_part owner;
	int ready_n;
	int shard_index;
	enum err err;
	bool late; /* ends in another turn */
	struct deferred end;
};

static void part_end(struct deferred *deferred)
{
	scatter_part_done(container_of(deferred, struct part, end)->owner.leg);
}

static void part_ready(struct owner_part *owner, enum err err)
{
	struct part *part = container_of(owner, struct part, owner);

	part->ready_n++;
	part->err = err;
	part->shard_index = owner->leg->shard->index;
	if (part->late)
		reactor_defer(owner->leg->shard->reactor, &part->end, part_end);
	else
		scatter_part_done(owner->leg);
}

static void all_done(struct scatter *scatter)
{
	done_n++;
}

static void parts_add(struct scatter *scatter, struct part *parts, int n)
{
	for (int i = 0; i < n; i++) {
		parts[i].owner.ready = part_ready;
		owner_part_add(scatter, &parts[i].owner);
	}
}

static int open_rig(void **state)
{
	rig_open(&rig, 2);
	done_n = 0;
	for (int i = 0; i < 2; i++) {
		watch_list_init(&partitions[i].open_watches);
		leader_err[i] = ERR_NONE;
	}
	return 0;
}

static int close_rig(void **state)
{
	for (int i = 0; i < 2; i++)
		watch_list_deinit(&partitions[i].open_watches, ERR_NONE);
	rig_close(&rig);
	return 0;
}

static void test_none(void **state)
{
	struct arena arena = {0};
	struct scatter *scatter = scatter_new(&rig.shards[0], &arena);

	scatter_run(scatter, owner_parts_run, all_done);
	assert_int_equal(done_n, 1);
	scatter_free(scatter);
	scatter_free(NULL);
	arena_reset(&arena);
}

static void test_both(void **state)
{
	for (int late = 0; late < 4; late++) {
		struct arena arena = {0};
		struct scatter *scatter = scatter_new(&rig.shards[late & 1], &arena);
		struct part parts[6] = {0};

		done_n = 0;
		for (int i = 0; i < 6; i++) {
			parts[i].owner.index = i;
			parts[i].late = i % 3 < late;
		}
		parts[5].owner.index = 101; /* not there */
		for (int round = 1; round <= 3; round++) {
			scatter_clear(scatter);
			parts_add(scatter, parts, 6);
			scatter_run(scatter, owner_parts_run, all_done);
			assert_int_equal(done_n, round - 1); /* one leg is still away */
			rig_turn(&rig, 8);
			assert_int_equal(done_n, round);
			for (int i = 0; i < 6; i++) {
				assert_int_equal(parts[i].ready_n, round);
				assert_int_equal(parts[i].shard_index, parts[i].owner.index % 2);
				assert_int_equal(parts[i].err, i == 5 ? ERR_NOT_LEADER_OR_FOLLOWER : ERR_NONE);
			}
		}
		scatter_free(scatter);
		arena_reset(&arena);
	}
}

static void test_home_only(void **state)
{
	struct arena arena = {0};
	struct scatter *scatter = scatter_new(&rig.shards[1], &arena);
	struct part part = {.owner.index = 1};

	parts_add(scatter, &part, 1);
	scatter_run(scatter, owner_parts_run, all_done);
	assert_int_equal(done_n, 1); /* a function call */
	scatter_free(scatter);
	arena_reset(&arena);
}

/* Parts that wait for a log start again when it opens, and are told why when it does not. */
static void test_waiting(void **state)
{
	struct arena arena = {0};
	struct scatter *scatter = scatter_new(&rig.shards[0], &arena);
	struct part parts[4] = {0};

	for (int i = 0; i < 4; i++)
		parts[i].owner.index = i;
	leader_err[0] = leader_err[1] = ERR_WOULD_BLOCK;
	parts_add(scatter, parts, 4);
	scatter_run(scatter, owner_parts_run, all_done);
	rig_turn(&rig, 5);
	for (int i = 0; i < 4; i++)
		assert_int_equal(parts[i].ready_n, 0);
	leader_err[0] = ERR_NONE;
	watch_list_advance(&partitions[0].open_watches, 0);
	rig_turn(&rig, 5);
	assert_int_equal(parts[0].ready_n, 1);
	assert_int_equal(parts[1].ready_n, 0);
	assert_int_equal(done_n, 0);
	watch_list_fail(&partitions[1].open_watches, ERR_KAFKA_STORAGE_ERROR);
	rig_turn(&rig, 5);
	assert_int_equal(done_n, 1);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(parts[i].ready_n, 1);
		assert_int_equal(parts[i].err, i % 2 ? ERR_KAFKA_STORAGE_ERROR : ERR_NONE);
	}
	scatter_free(scatter);
	arena_reset(&arena);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_none), CASE(test_both), CASE(test_home_only), CASE(test_waiting)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
