/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions of one shard: stories for each line of the protocol, epochs at their end, and drawn histories with
 * repeated and late requests, failing writes and reloads. After each step the state is what the log says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rng.h"
#include "txn.h"

struct log_entry {
	struct bytes key, value;
};

static struct world {
	struct coord_shard shard;
	struct txn_store store;
	struct rng rng;
	struct arena arena;
	VEC(struct log_entry) log;
	size_t committed_n;
	uint64_t seq;
	int64_t next_id;
	int told_n, markers_n; /* asked for */
} w;

static enum err world_write(struct coord_shard *shard UNUSED, uint64_t seq, struct coord_origin origin UNUSED,
			    const struct coord_records *records)
{
	w.seq = seq;
	for (size_t i = 0; i < records->v.n; i++) {
		struct log_entry entry = {arena_bytes(&w.arena, records->v.v[i].key),
					  arena_bytes(&w.arena, records->v.v[i].value)};

		vec_push(&w.log, entry);
	}
	return ERR_NONE;
}

static void world_timer_moved(struct coord_shard *shard UNUSED)
{
}

static const struct coord_log_ops world_log_ops = {world_write, world_timer_moved};

static void world_open_long(struct txn_store *store UNUSED, const struct txn *txn UNUSED)
{
	w.told_n++;
}

static void world_send_markers(struct txn_store *store UNUSED, const struct txn *txn)
{
	assert_true(txn_is_decided(txn));
	w.markers_n++;
}

static int64_t world_fresh_id(struct txn_store *store UNUSED)
{
	return w.next_id++;
}

static void world_open(void)
{
	struct txn_settings settings = {.max_timeout_ms = 900000, .id_expiration_ms = 604800000,
					.abort_check_ms = 10000, .expiration_check_ms = 3600000,
					.version = TXN_VERSION_2};

	coord_shard_init(&w.shard, &txn_machine_ops, &w.store, &world_log_ops, NULL, &w.rng);
	txn_store_init(&w.store, &w.shard, &settings, 1);
	w.store.send_markers = world_send_markers;
	w.store.open_long = world_open_long;
	w.store.fresh_id = world_fresh_id;
	coord_shard_load(&w.shard);
}

static int setup(void **state UNUSED)
{
	memset(&w, 0, sizeof(w));
	w.next_id = 1000;
	rng_init(&w.rng, 1);
	world_open();
	coord_shard_time(&w.shard, 1000, 1700000000000);
	coord_shard_loaded(&w.shard);
	return 0;
}

/* As after a crash: what was committed is read again. */
static void world_reload(void)
{
	int64_t now_ms = w.shard.now_ms, wall_ms = w.shard.wall_ms;

	coord_shard_unload(&w.shard, ERR_NOT_COORDINATOR);
	txn_store_deinit(&w.store);
	coord_shard_deinit(&w.shard);
	w.log.n = w.committed_n;
	w.seq = 0;
	world_open();
	coord_shard_time(&w.shard, now_ms, wall_ms);
	for (size_t i = 0; i < w.log.n; i++)
		assert_int_equal(coord_shard_replay(&w.shard, COORD_ORIGIN_NONE, w.log.v[i].key, w.log.v[i].value),
				 ERR_NONE);
	coord_shard_loaded(&w.shard);
}

static void world_check(void)
{
	for (size_t i = 0; i < w.log.n; i++) {
		struct arena arena = {0};
		bool is_latest = true;
		struct bytes held;

		for (size_t j = i + 1; j < w.log.n; j++)
			is_latest &= !bytes_eq(w.log.v[i].key, w.log.v[j].key);
		if (!is_latest)
			continue;
		held = txn_machine_ops.current(&w.store, COORD_ORIGIN_NONE, w.log.v[i].key, &arena);
		assert_int_equal(held.p == NULL, w.log.v[i].value.p == NULL);
		assert_true(held.p == NULL || bytes_eq(held, w.log.v[i].value));
		arena_reset(&arena);
	}
}

static int teardown(void **state UNUSED)
{
	world_check();
	coord_shard_unload(&w.shard, ERR_NOT_COORDINATOR);
	txn_store_deinit(&w.store);
	coord_shard_deinit(&w.shard);
	vec_deinit(&w.log);
	arena_reset(&w.arena);
	return 0;
}

/* ---- requests ---- */

enum step_kind { STEP_INIT, STEP_ADD, STEP_END, STEP_MARKERS };

struct step {
	struct coord_op op;
	enum step_kind kind;
	struct txn_init init;
	struct txn_end end;
	struct txn_producer producer;
	enum txn_version version;
	struct txn_partition partition;
	enum err err;
	bool is_done;
};

static enum err step_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct step *step = container_of(op, struct step, op);

	switch (step->kind) {
	case STEP_INIT:
		return txn_init_producer(machine, &step->init, records);
	case STEP_ADD:
		return txn_add_partitions(machine, STR("t"), step->producer,
					  (struct txn_partitions){&step->partition, 1}, step->version, records);
	case STEP_END:
		return txn_end(machine, &step->end, records);
	case STEP_MARKERS:
		return txn_markers_written(machine, STR("t"), step->producer, records);
	default:
		UNREACHABLE();
	}
}

static void step_settled(struct coord_op *op, void *machine, enum err err)
{
	struct step *step = container_of(op, struct step, op);

	if (!err && (step->end.is_decided || step->init.is_aborting))
		txn_decision_committed(machine, STR("t"));
}

static void step_done(struct coord_op *op)
{
	container_of(op, struct step, op)->is_done = true;
}

static void world_commit(void)
{
	w.committed_n = w.log.n;
	coord_shard_committed(&w.shard, w.seq);
}

static enum err step_run(struct step *step, bool write_fails)
{
	struct step *live = ARENA_NEW(&w.arena, struct step);

	*live = *step;
	live->op = (struct coord_op){.arena = &w.arena, .origin = COORD_ORIGIN_NONE, .decide = step_decide,
				     .settled = step_settled, .done = step_done};
	coord_shard_submit(&w.shard, &live->op);
	coord_shard_check_invariants(&w.shard);
	if (write_fails && w.log.n > w.committed_n) {
		w.log.n = w.committed_n;
		coord_shard_failed(&w.shard, w.shard.seq_done + 1, ERR_NOT_COORDINATOR);
	} else {
		world_commit();
	}
	assert_true(live->is_done);
	*step = *live;
	return live->op.err;
}

static enum err init_as(struct txn_producer expected, struct txn_producer *ret, bool *ret_aborting)
{
	struct step step = {.kind = STEP_INIT,
			    .init = {.id = STR("t"), .timeout_ms = 60000, .expected = expected, .fresh_id = -1}};
	enum err err = step_run(&step, false);

	if (!err && step.init.needs_id) {
		step.init.fresh_id = w.next_id++;
		err = step_run(&step, false);
	}
	*ret = step.init.producer;
	if (ret_aborting)
		*ret_aborting = step.init.is_aborting;
	return err;
}

static struct txn_producer init_new(void)
{
	struct txn_producer producer;
	bool is_aborting;

	assert_int_equal(init_as(TXN_PRODUCER_NONE, &producer, &is_aborting), ERR_NONE);
	assert_false(is_aborting);
	return producer;
}

static enum err add(struct txn_producer producer, int32_t partition, enum txn_version version)
{
	struct step step = {.kind = STEP_ADD, .producer = producer, .version = version,
			    .partition = {STR("topic"), partition}};

	return step_run(&step, false);
}

static enum err end(struct txn_producer producer, bool commit, enum txn_version version, struct txn_producer *ret)
{
	struct step step = {.kind = STEP_END,
			    .end = {.id = STR("t"), .producer = producer, .commit = commit, .version = version,
				    .fresh_id = -1}};
	enum err err = step_run(&step, false);

	if (!err && step.end.needs_id) {
		step.end.fresh_id = w.next_id++;
		err = step_run(&step, false);
	}
	if (ret)
		*ret = step.end.next;
	return err;
}

static void markers(void)
{
	const struct txn *txn = txn_find(&w.store, STR("t"));
	struct step step = {.kind = STEP_MARKERS, .producer = {txn->producer_id, txn_marker_epoch(txn)}};

	assert_int_equal(step_run(&step, false), ERR_NONE);
}

static void expect_state(const char *state, int16_t epoch)
{
	const struct txn *txn = txn_find(&w.store, STR("t"));

	assert_non_null(txn);
	assert_string_equal(txn_state_name(txn->state), state);
	assert_int_equal(txn->epoch, epoch);
}

/* ---- stories ---- */

static void test_version_1(void **state UNUSED)
{
	struct txn_producer p = init_new();

	assert_int_equal(p.epoch, 0);
	assert_int_equal(end(p, true, TXN_VERSION_1, NULL), ERR_INVALID_TXN_STATE);
	assert_int_equal(add(p, 0, TXN_VERSION_1), ERR_NONE);
	assert_int_equal(add(p, 0, TXN_VERSION_1), ERR_NONE);
	assert_int_equal(txn_verify_partition(&w.store, STR("t"), p, STR("topic"), 0), ERR_NONE);
	assert_int_equal(txn_verify_partition(&w.store, STR("t"), p, STR("topic"), 1), ERR_TRANSACTION_ABORTABLE);
	assert_int_equal(w.markers_n, 0);
	assert_int_equal(end(p, true, TXN_VERSION_1, NULL), ERR_NONE);
	assert_int_equal(w.markers_n, 1);
	expect_state("PrepareCommit", 0);
	assert_int_equal(end(p, true, TXN_VERSION_1, NULL), ERR_CONCURRENT_TRANSACTIONS);
	assert_int_equal(end(p, false, TXN_VERSION_1, NULL), ERR_INVALID_TXN_STATE);
	assert_int_equal(add(p, 1, TXN_VERSION_1), ERR_CONCURRENT_TRANSACTIONS);
	markers();
	expect_state("CompleteCommit", 0);
	assert_int_equal(end(p, true, TXN_VERSION_1, NULL), ERR_NONE);
	assert_int_equal(end(p, false, TXN_VERSION_1, NULL), ERR_INVALID_TXN_STATE);
	assert_int_equal(add(p, 1, TXN_VERSION_1), ERR_NONE);
	assert_int_equal(txn_verify_partition(&w.store, STR("t"), p, STR("topic"), 0), ERR_TRANSACTION_ABORTABLE);
}

static void test_version_2_raises_the_epoch_with_each_end(void **state UNUSED)
{
	struct txn_producer p = init_new(), next, again;

	assert_int_equal(add(p, 0, TXN_VERSION_2), ERR_NONE);
	assert_int_equal(end(p, true, TXN_VERSION_2, &next), ERR_NONE);
	assert_int_equal(next.epoch, 1);
	assert_int_equal(end(p, true, TXN_VERSION_2, NULL), ERR_CONCURRENT_TRANSACTIONS);
	assert_int_equal(end(p, false, TXN_VERSION_2, NULL), ERR_INVALID_TXN_STATE);
	markers();
	assert_int_equal(end(p, true, TXN_VERSION_2, &again), ERR_NONE);
	assert_int_equal(again.epoch, 1);
	assert_int_equal(end(p, false, TXN_VERSION_2, NULL), ERR_INVALID_TXN_STATE);
	/* What is late belongs to no later transaction. */
	assert_int_equal(add(p, 0, TXN_VERSION_2), ERR_PRODUCER_FENCED);
	assert_int_equal(end(next, true, TXN_VERSION_2, NULL), ERR_INVALID_TXN_STATE);
	assert_int_equal(end(next, false, TXN_VERSION_2, &again), ERR_NONE);
	assert_int_equal(again.epoch, 2);
	markers();
	assert_int_equal(end(p, true, TXN_VERSION_2, NULL), ERR_PRODUCER_FENCED);
	expect_state("CompleteAbort", 2);
}

static void test_new_instance_fences_the_old(void **state UNUSED)
{
	struct txn_producer old = init_new(), p;
	bool is_aborting;

	assert_int_equal(add(old, 0, TXN_VERSION_2), ERR_NONE);
	assert_int_equal(init_as(TXN_PRODUCER_NONE, &p, &is_aborting), ERR_NONE);
	assert_true(is_aborting);
	assert_int_equal(w.markers_n, 1);
	expect_state("PrepareAbort", 1);
	assert_int_equal(init_as(TXN_PRODUCER_NONE, &p, NULL), ERR_CONCURRENT_TRANSACTIONS);
	assert_int_equal(end(old, true, TXN_VERSION_2, NULL), ERR_INVALID_TXN_STATE);
	markers();
	p = init_new();
	assert_int_equal(p.id, old.id);
	assert_int_equal(p.epoch, 2);
	assert_int_equal(add(old, 0, TXN_VERSION_2), ERR_PRODUCER_FENCED);
	assert_int_equal(init_as(old, &old, NULL), ERR_PRODUCER_FENCED);
}

static void test_repeated_init_gives_the_same(void **state UNUSED)
{
	struct txn_producer p = init_new(), next, again;

	assert_int_equal(init_as(p, &next, NULL), ERR_NONE);
	assert_int_equal(next.epoch, 1);
	assert_int_equal(init_as(p, &again, NULL), ERR_NONE);
	assert_int_equal(again.epoch, 1);
	/* Not after somebody else began without saying who it was. */
	next = init_new();
	assert_int_equal(next.epoch, 2);
	again.epoch = 1;
	assert_int_equal(init_as(again, &again, NULL), ERR_PRODUCER_FENCED);
	assert_int_equal(init_as((struct txn_producer){p.id + 1, 2}, &again, NULL), ERR_PRODUCER_FENCED);
}

/* Epoch 32,766 is the last that a client has; the end of its transaction moves on to another producer id. */
static void test_epochs_at_their_end(void **state UNUSED)
{
	struct txn_producer p = init_new(), next, again;
	struct txn *txn = txn_find(&w.store, STR("t"));

	for (int16_t epoch = TXN_EPOCH_LAST - 2; epoch <= TXN_EPOCH_LAST; epoch++) {
		if (epoch == TXN_EPOCH_LAST - 2)
			txn->epoch = p.epoch = epoch;
		assert_int_equal(p.epoch, epoch);
		assert_int_equal(add(p, 0, TXN_VERSION_2), ERR_NONE);
		assert_int_equal(end(p, true, TXN_VERSION_2, &next), ERR_NONE);
		assert_int_equal(end(p, true, TXN_VERSION_2, NULL), ERR_CONCURRENT_TRANSACTIONS);
		expect_state("PrepareCommit", (int16_t)(epoch + 1));
		markers();
		assert_int_equal(end(p, true, TXN_VERSION_2, &again), ERR_NONE);
		assert_int_equal(again.id, next.id);
		assert_int_equal(again.epoch, next.epoch);
		p = next;
	}
	assert_int_equal(p.id, 1001);
	assert_int_equal(p.epoch, 0);
	/* The same for who begins anew. */
	txn = txn_find(&w.store, STR("t"));
	txn->epoch = TXN_EPOCH_LAST;
	p = init_new();
	assert_int_equal(p.id, 1002);
	assert_int_equal(p.epoch, 0);
	world_check();
}

static void world_pass(int64_t ms)
{
	int64_t end_ms = w.shard.now_ms + ms;

	while (coord_shard_next_ms(&w.shard) <= end_ms) {
		int64_t step_ms = MAX(coord_shard_next_ms(&w.shard) - w.shard.now_ms, 0);

		coord_shard_time(&w.shard, w.shard.now_ms + step_ms, w.shard.wall_ms + step_ms);
		coord_shard_tick(&w.shard, 1000);
		world_commit();
	}
	coord_shard_time(&w.shard, end_ms, w.shard.wall_ms + end_ms - w.shard.now_ms);
}

static void test_a_transaction_that_is_open_for_long_is_told_once(void **state UNUSED)
{
	struct txn_producer p;
	struct txn *txn;

	w.store.settings.max_timeout_ms = 900000;
	p = init_new();
	assert_int_equal(add(p, 0, TXN_VERSION_2), ERR_NONE);
	txn = txn_find(&w.store, STR("t"));
	txn->timeout_ms = 900000;
	world_pass(TXN_OPEN_LONG_MS - 20000);
	assert_int_equal(w.told_n, 0);
	world_pass(40000);
	assert_int_equal(w.told_n, 1);
	world_pass(40000);
	assert_int_equal(w.told_n, 1);
	assert_int_equal(txn->state, TXN_ONGOING);
	txn->timeout_ms = 60000; /* the log says so: teardown compares */
	world_pass(20000);
	assert_int_equal(txn->state, TXN_PREPARE_ABORT);
}

static void test_late_transaction_is_aborted(void **state UNUSED)
{
	struct txn_producer p = init_new();

	assert_int_equal(add(p, 0, TXN_VERSION_1), ERR_NONE);
	world_pass(59000);
	expect_state("Ongoing", 0);
	world_pass(15000);
	expect_state("PrepareAbort", 1);
	assert_int_equal(w.markers_n, 1);
	markers();
	assert_int_equal(add(p, 0, TXN_VERSION_1), ERR_PRODUCER_FENCED);
	world_pass(8LL * 24 * 3600 * 1000);
	assert_null(txn_find(&w.store, STR("t")));
}

/* An old client took the id over from a new one: what ended is told to nobody but itself. */
static void test_a_fenced_one_is_not_told_the_end_of_its_successor(void **state UNUSED)
{
	struct txn_producer old = init_new(), p = init_new();

	assert_int_equal(p.epoch, old.epoch + 1);
	assert_int_equal(add(p, 0, TXN_VERSION_0), ERR_NONE);
	assert_int_equal(end(p, true, TXN_VERSION_0, NULL), ERR_NONE);
	assert_int_equal(end(old, true, TXN_VERSION_2, NULL), ERR_PRODUCER_FENCED);
	markers();
	assert_int_equal(end(old, true, TXN_VERSION_2, NULL), ERR_PRODUCER_FENCED);
	assert_int_equal(end(old, false, TXN_VERSION_2, NULL), ERR_PRODUCER_FENCED);
	expect_state("CompleteCommit", p.epoch);
}

/* Aborted by the coordinator where the epochs end; `level` is the version of transactions, `epoch` the one in use. */
static struct txn_producer fenced_at(enum txn_version level, int16_t epoch, bool by_time)
{
	struct txn_producer p, none;
	bool is_aborting;

	w.store.settings.version = level;
	p = init_new();
	txn_find(&w.store, STR("t"))->epoch = p.epoch = epoch;
	assert_int_equal(add(p, 0, TXN_VERSION_0), ERR_NONE);
	if (by_time) {
		world_pass(75000);
	} else {
		assert_int_equal(init_as(TXN_PRODUCER_NONE, &none, &is_aborting), ERR_NONE);
		assert_true(is_aborting);
	}
	expect_state("PrepareAbort", (int16_t)MIN(epoch + 1, INT16_MAX));
	markers();
	return p;
}

static void test_fenced_where_epochs_end(void **state UNUSED)
{
	const struct txn *txn;
	struct txn_producer p, next;

	for (int by_time = 0; by_time < 2; by_time++) {
		/* Version 2: the producer goes on with another id, and is known there. */
		p = fenced_at(TXN_VERSION_2, TXN_EPOCH_LAST, by_time);
		expect_state("CompleteAbort", 0);
		txn = txn_find(&w.store, STR("t"));
		assert_int_not_equal(txn->producer_id, p.id);
		assert_int_equal(init_as(p, &next, NULL), ERR_NONE);
		assert_int_equal(next.id, txn->producer_id);
		assert_int_equal(next.epoch, 0);
		/* Before, the epoch above the last is the end of the id. */
		p = fenced_at(TXN_VERSION_1, TXN_EPOCH_LAST, by_time);
		expect_state("CompleteAbort", INT16_MAX);
		assert_int_equal(init_as(p, &next, NULL), ERR_PRODUCER_FENCED);
		next = init_new();
		assert_int_not_equal(next.id, p.id);
		assert_int_equal(next.epoch, 0);
		/* The epoch that nobody is told is aborted too. */
		for (enum txn_version level = TXN_VERSION_0; level <= TXN_VERSION_2; level++) {
			p = fenced_at(level, INT16_MAX, by_time);
			next = init_new();
			assert_int_not_equal(next.id, p.id);
		}
	}
}

static void test_the_last_epoch_of_all_is_not_committed_in_version_2(void **state UNUSED)
{
	struct txn_producer p = init_new(), next;

	txn_find(&w.store, STR("t"))->epoch = p.epoch = INT16_MAX;
	assert_int_equal(add(p, 0, TXN_VERSION_2), ERR_NONE);
	assert_int_equal(end(p, true, TXN_VERSION_2, NULL), ERR_UNKNOWN_SERVER_ERROR);
	assert_int_equal(end(p, false, TXN_VERSION_2, &next), ERR_NONE);
	expect_state("PrepareAbort", INT16_MAX);
	markers();
	expect_state("CompleteAbort", 0);
	assert_int_equal(next.epoch, 0);
	assert_int_not_equal(next.id, p.id);
}

static void test_version_0_has_no_room_for_version_2(void **state UNUSED)
{
	struct txn_producer p = init_new();

	w.store.settings.version = TXN_VERSION_0;
	assert_int_equal(add(p, 0, TXN_VERSION_2), ERR_UNSUPPORTED_VERSION);
	assert_int_equal(end(p, false, TXN_VERSION_2, NULL), ERR_UNSUPPORTED_VERSION);
	assert_int_equal(add(p, 0, TXN_VERSION_0), ERR_NONE);
	assert_int_equal(end(p, true, TXN_VERSION_2, NULL), ERR_UNSUPPORTED_VERSION);
	assert_int_equal(end(p, true, TXN_VERSION_0, NULL), ERR_NONE);
	markers();
}

static void test_markers_are_sent_again_after_a_restart(void **state UNUSED)
{
	struct txn_producer p = init_new(), next;

	assert_int_equal(add(p, 0, TXN_VERSION_2), ERR_NONE);
	assert_int_equal(end(p, true, TXN_VERSION_2, &next), ERR_NONE);
	world_reload();
	assert_int_equal(w.markers_n, 2);
	expect_state("PrepareCommit", 1);
	markers();
	world_reload();
	assert_int_equal(w.markers_n, 2);
	assert_int_equal(end(p, true, TXN_VERSION_2, &next), ERR_NONE);
}

static void test_failed_write_decides_nothing(void **state UNUSED)
{
	struct txn_producer p = init_new();
	struct step step = {.kind = STEP_END, .end = {.id = STR("t"), .producer = p, .commit = true,
						      .version = TXN_VERSION_2, .fresh_id = -1}};

	assert_int_equal(add(p, 0, TXN_VERSION_2), ERR_NONE);
	assert_int_equal(step_run(&step, true), ERR_NOT_COORDINATOR);
	assert_int_equal(w.markers_n, 0);
	expect_state("Ongoing", 0);
	assert_int_equal(end(p, false, TXN_VERSION_2, NULL), ERR_NONE);
	expect_state("PrepareAbort", 1);
}

static void test_refused(void **state UNUSED)
{
	struct step step = {.kind = STEP_INIT, .init = {.id = STR("t"), .timeout_ms = 900001, .fresh_id = 1,
							.expected = TXN_PRODUCER_NONE}};
	struct txn_producer nobody = {5, 0};

	assert_int_equal(step_run(&step, false), ERR_INVALID_TRANSACTION_TIMEOUT);
	step.init.timeout_ms = 0;
	assert_int_equal(step_run(&step, false), ERR_INVALID_TRANSACTION_TIMEOUT);
	assert_int_equal(add(nobody, 0, TXN_VERSION_1), ERR_INVALID_PRODUCER_ID_MAPPING);
	assert_int_equal(end(nobody, true, TXN_VERSION_2, NULL), ERR_INVALID_PRODUCER_ID_MAPPING);
	init_new();
	assert_int_equal(add(nobody, 0, TXN_VERSION_1), ERR_INVALID_PRODUCER_ID_MAPPING);
}

/* Every outcome that was told stays: ends are repeated later, writes fail, the shard is reloaded. */
static void test_drawn_histories(void **state)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct txn_producer p, ended[200];
		bool outcome[200];
		int ended_n = 0;
		struct rng rng;

		setup(state);
		rng_init(&rng, seed);
		p = init_new();
		for (int step_n = 0; step_n < 120; step_n++) {
			const struct txn *txn = txn_find(&w.store, STR("t"));
			struct txn_producer next;
			bool commit = rng_chance(&rng, 1, 2);
			int16_t before = txn->epoch;

			switch (rng_below(&rng, 7)) {
			case 0:
			case 1:
				if (txn->state != TXN_PREPARE_COMMIT && txn->state != TXN_PREPARE_ABORT)
					assert_int_equal(add(p, (int32_t)rng_below(&rng, 5), TXN_VERSION_2), ERR_NONE);
				break;
			case 2:
				if (txn->state != TXN_ONGOING)
					break;
				assert_int_equal(end(p, commit, TXN_VERSION_2, &next), ERR_NONE);
				ended[ended_n] = p;
				outcome[ended_n++] = commit;
				p = next;
				break;
			case 3:
				markers();
				break;
			case 4:
				world_reload();
				break;
			case 5: {
				struct step step = {.kind = STEP_END,
						    .end = {.id = STR("t"), .producer = p, .commit = commit,
							    .version = TXN_VERSION_2, .fresh_id = -1}};

				if (txn->state == TXN_ONGOING)
					assert_int_equal(step_run(&step, true), ERR_NOT_COORDINATOR);
				break;
			}
			default:
				/* A repeated or late end: the same outcome, or a refusal; the other outcome never. */
				if (ended_n > 0) {
					int i = (int)rng_below(&rng, (uint64_t)ended_n);
					enum err err = end(ended[i], !outcome[i], TXN_VERSION_2, NULL);

					assert_true(err == ERR_INVALID_TXN_STATE || err == ERR_PRODUCER_FENCED);
					err = end(ended[i], outcome[i], TXN_VERSION_2, NULL);
					assert_true(err == ERR_NONE || err == ERR_PRODUCER_FENCED ||
						    err == ERR_CONCURRENT_TRANSACTIONS);
					assert_true(err != ERR_NONE || i == ended_n - 1);
				}
				break;
			}
			txn = txn_find(&w.store, STR("t"));
			assert_true(txn->epoch >= before);
			world_check();
		}
		teardown(state);
	}
	setup(state);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(test_version_1),
		STORY(test_version_2_raises_the_epoch_with_each_end),
		STORY(test_new_instance_fences_the_old),
		STORY(test_repeated_init_gives_the_same),
		STORY(test_epochs_at_their_end),
		STORY(test_a_fenced_one_is_not_told_the_end_of_its_successor),
		STORY(test_fenced_where_epochs_end),
		STORY(test_the_last_epoch_of_all_is_not_committed_in_version_2),
		STORY(test_version_0_has_no_room_for_version_2),
		STORY(test_late_transaction_is_aborted),
		STORY(test_markers_are_sent_again_after_a_restart),
		STORY(test_failed_write_decides_nothing),
		STORY(test_refused),
		STORY(test_a_transaction_that_is_open_for_long_is_told_once),
		cmocka_unit_test_setup_teardown(test_drawn_histories, NULL, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
