/* SPDX-License-Identifier: Apache-2.0 */
/* See coord_shard.h: operations, undo, answers in order, timers. */
#include "coord_shard.h"

#include "fault.h"
#include "log.h"
#include "mem.h"

void coord_records_add(struct coord_records *records, struct bytes key, struct bytes value)
{
	struct coord_record record = {key, value};

	vec_push(&records->v, record);
	records->bytes += key.len + value.len;
}

bool coord_records_have_room(struct coord_records *records)
{
	records->is_too_large |= records->bytes >= COORD_RECORDS_MAX;
	return !records->is_too_large;
}

void coord_shard_init(struct coord_shard *shard, const struct coord_machine_ops *ops, void *machine,
		      const struct coord_log_ops *log, void *ctx, struct rng *rng)
{
	*shard = (struct coord_shard){.ops = ops, .machine = machine, .log = log, .ctx = ctx, .rng = rng};
	list_init(&shard->open);
}

void coord_shard_deinit(struct coord_shard *shard)
{
	if (!shard->ops)
		return;
	CHECK(shard->state == COORD_NONE || shard->state == COORD_FAILED);
	CHECK(list_is_empty(&shard->open));
	heap_deinit(&shard->timers);
	vec_deinit(&shard->spare.v);
	*shard = (struct coord_shard){0};
}

void coord_shard_time(struct coord_shard *shard, int64_t now_ms, int64_t wall_ms)
{
	CHECK_OP(now_ms, >=, shard->now_ms);
	shard->now_ms = now_ms;
	shard->wall_ms = wall_ms;
}

/* ---- life ---- */

void coord_shard_load(struct coord_shard *shard)
{
	CHECK(shard->state == COORD_NONE);
	shard->state = COORD_LOADING;
	shard->records_n = 0;
}

void coord_shard_fail(struct coord_shard *shard, const char *why)
{
	CHECK(shard->state == COORD_LOADING || shard->state == COORD_ACTIVE);
	if (!shard->failure.text[0])
		err_text_set(&shard->failure, ERR_NONE, "%s", why);
	coord_shard_unload(shard, ERR_NOT_COORDINATOR);
	shard->state = COORD_FAILED;
}

enum err coord_shard_replay(struct coord_shard *shard, struct coord_origin origin, struct bytes key,
			    struct bytes value)
{
	enum err err;

	CHECK(shard->state == COORD_LOADING);
	shard->records_n++;
	err = shard->ops->replay(shard->machine, origin, key, value, &shard->failure);
	if (err)
		coord_shard_fail(shard, "a record cannot be replayed");
	return err;
}

void coord_shard_end_transaction(struct coord_shard *shard, struct coord_origin origin, bool commit)
{
	if (shard->ops->end_transaction)
		shard->ops->end_transaction(shard->machine, origin, commit);
}

void coord_shard_loaded(struct coord_shard *shard)
{
	CHECK(shard->state == COORD_LOADING);
	shard->state = COORD_ACTIVE;
	shard->ops->loaded(shard->machine);
}

enum err coord_shard_check(const struct coord_shard *shard)
{
	switch (shard->state) {
	case COORD_ACTIVE:
		return ERR_NONE;
	case COORD_LOADING:
		return ERR_COORDINATOR_LOAD_IN_PROGRESS;
	case COORD_NONE:
	case COORD_FAILED:
		return ERR_NOT_COORDINATOR;
	case COORD_STATES_N:
	default:
		UNREACHABLE();
	}
}

/* ---- operations ---- */

static void coord_op_free_undo(struct coord_op *op)
{
	if (op->undo != &op->undo_one)
		mem_free(op->undo);
	op->undo = NULL;
	op->undo_n = 0;
}

/* Ends an operation that stands in no list (any more). */
static void coord_op_finish(struct coord_shard *shard, struct coord_op *op, enum err failed)
{
	coord_op_free_undo(op);
	if (op->settled)
		op->settled(op, shard->machine, failed);
	if (failed)
		op->err = failed;
	if (op->done)
		op->done(op);
}

void coord_op_end(struct coord_op *op, enum err err)
{
	CHECK(!op->is_open);
	op->err = err;
	if (op->done)
		op->done(op);
}

/* Replays the records of an operation, keeping what they replace. A record that we decided must be replayable. */
static void coord_op_replay(struct coord_shard *shard, struct coord_op *op, const struct coord_records *records)
{
	struct err_text text = {{0}};

	op->undo = records->v.n > 1 ? mem_alloc(records->v.n * sizeof(*op->undo)) : &op->undo_one;
	for (size_t i = 0; i < records->v.n; i++) {
		const struct coord_record *record = &records->v.v[i];
		enum err err;

		op->undo[op->undo_n++] = (struct coord_record){
			record->key, shard->ops->current(shard->machine, op->origin, record->key, op->arena)};
		err = shard->ops->replay(shard->machine, op->origin, record->key, record->value, &text);
		if (err)
			log_error("coordinator.replay", "shard=%s-%d text=\"%s\"", shard->ops->name, shard->partition,
				  text.text);
		CHECK_OP(err, ==, ERR_NONE);
	}
}

static void coord_op_undo(struct coord_shard *shard, struct coord_op *op)
{
	struct err_text text = {{0}};

	if (FAULT(coord_no_undo))
		op->undo_n = 0;
	shard->is_undoing = true;
	for (size_t i = op->undo_n; i-- > 0;) {
		const struct coord_record *record = &op->undo[i];
		enum err err = shard->ops->replay(shard->machine, op->origin, record->key, record->value, &text);

		CHECK_OP(err, ==, ERR_NONE);
	}
	op->undo_n = 0;
	shard->is_undoing = false;
}

/* Hands records to the log. The operation then stands in `open`; false: refused, and it has been finished. */
static bool coord_shard_takes(const struct coord_shard *shard, const struct coord_records *records)
{
	return !records->is_too_large && (shard->write_max == 0 || records->bytes <= shard->write_max);
}

static bool coord_op_log(struct coord_shard *shard, struct coord_op *op, const struct coord_records *records,
			 bool is_replayed)
{
	enum err err;

	op->has_records = true;
	op->seq = shard->seq_queued + 1;
	if (!coord_shard_takes(shard, records)) {
		coord_op_finish(shard, op, ERR_MESSAGE_TOO_LARGE);
		return false;
	}
	if (is_replayed)
		coord_op_replay(shard, op, records);
	err = shard->log->write(shard, op->seq, op->origin, records);
	if (err) {
		coord_op_undo(shard, op);
		coord_op_finish(shard, op, err);
		return false;
	}
	shard->seq_queued = op->seq;
	if (FAULT(coord_answer_early) || (FAULT(txn_answer_early) && strcmp(shard->ops->name, "transaction") == 0)) {
		coord_op_finish(shard, op, ERR_NONE);
		return true;
	}
	op->is_open = true;
	list_push_back(&shard->open, &op->link);
	return true;
}

/* Arrays of records are used again, unless they have grown beyond this. */
#define SPARE_MAX 64

static struct coord_records coord_records_take(struct coord_shard *shard, struct arena *arena)
{
	struct coord_records records = shard->spare;

	shard->spare = (struct coord_records){0};
	records.arena = arena;
	return records;
}

static void coord_records_give(struct coord_shard *shard, struct coord_records *records)
{
	if (shard->spare.v.v || records->v.cap > SPARE_MAX)
		return;
	shard->spare.v = records->v;
	shard->spare.v.n = 0;
	memset(&records->v, 0, sizeof(records->v));
}

void coord_shard_submit(struct coord_shard *shard, struct coord_op *op)
{
	struct coord_records records;
	enum err err = coord_shard_check(shard);

	op->link = (struct list){0};
	op->undo = NULL;
	op->undo_n = 0;
	op->seq = 0;
	op->has_records = false;
	op->is_open = false;
	if (err) {
		coord_op_end(op, err);
		return;
	}
	records = coord_records_take(shard, op->arena);
	err = op->decide(op, shard->machine, &records);
	/* Before anything is replayed: what the keys held would have to be kept. */
	if (!err && !coord_shard_takes(shard, &records))
		err = ERR_MESSAGE_TOO_LARGE;
	if (err == ERR_WOULD_BLOCK) { /* op may be gone: it was ended already, or will be */
		CHECK(records.v.n == 0);
	} else if (!err && records.v.n > 0) {
		op->err = ERR_NONE;
		if (coord_op_log(shard, op, &records, true))
			coord_records_give(shard, &records);
	} else if (shard->seq_done == shard->seq_queued) {
		coord_op_end(op, err);
	} else {
		op->err = err;
		op->seq = shard->seq_queued;
		op->is_open = true;
		list_push_back(&shard->open, &op->link);
	}
	vec_deinit(&records.v);
}

/* ---- a machine's own writes ---- */

struct coord_own_write {
	struct coord_op op;
	struct arena arena;
	coord_settled_fn *settled;
	void *ctx;
	bool is_unloaded;
};

static void coord_own_settled(struct coord_op *op, void *machine, enum err err)
{
	struct coord_own_write *own = container_of(op, struct coord_own_write, op);

	if (own->settled)
		own->settled(own->is_unloaded ? NULL : machine, own->ctx, err);
}

static void coord_own_done(struct coord_op *op)
{
	struct coord_own_write *own = container_of(op, struct coord_own_write, op);

	arena_reset(&own->arena);
	mem_free(own);
}

void coord_shard_write(struct coord_shard *shard, const struct coord_records *records, bool is_replayed,
		       coord_settled_fn *settled, void *ctx)
{
	struct coord_own_write *own = MEM_NEW(struct coord_own_write);
	struct coord_records copy = {.arena = &own->arena, .is_too_large = records->is_too_large};

	CHECK(shard->state == COORD_ACTIVE);
	CHECK(records->v.n > 0);
	for (size_t i = 0; i < records->v.n; i++)
		coord_records_add(&copy, arena_bytes(&own->arena, records->v.v[i].key),
				  arena_bytes(&own->arena, records->v.v[i].value));
	own->settled = settled;
	own->ctx = ctx;
	own->op.arena = &own->arena;
	own->op.origin = COORD_ORIGIN_NONE;
	own->op.settled = coord_own_settled;
	own->op.done = coord_own_done;
	(void)coord_op_log(shard, &own->op, &copy, is_replayed);
	vec_deinit(&copy.v);
}

/* ---- from the log ---- */

static struct coord_op *coord_shard_oldest(struct coord_shard *shard)
{
	return list_is_empty(&shard->open) ? NULL : list_entry(shard->open.next, struct coord_op, link);
}

static void coord_op_close(struct coord_op *op)
{
	list_remove(&op->link);
	op->is_open = false;
}

void coord_shard_committed(struct coord_shard *shard, uint64_t seq)
{
	struct coord_op *op;

	CHECK_OP(seq, <=, shard->seq_queued);
	if (seq <= shard->seq_done)
		return;
	shard->seq_done = seq;
	while ((op = coord_shard_oldest(shard)) != NULL && op->seq <= seq) {
		coord_op_close(op);
		coord_op_finish(shard, op, ERR_NONE);
	}
}

void coord_shard_failed(struct coord_shard *shard, uint64_t seq, enum err err)
{
	struct list failed;

	CHECK(err != ERR_NONE);
	CHECK_OP(seq, >, shard->seq_done);
	shard->failures_n++;
	coord_shard_committed(shard, seq - 1);
	list_init(&failed);
	/* Newest first: each undo meets the state that its operation left. */
	while (!list_is_empty(&shard->open)) {
		struct coord_op *op = list_entry(shard->open.prev, struct coord_op, link);

		coord_op_close(op);
		coord_op_undo(shard, op);
		list_push_front(&failed, &op->link);
	}
	shard->seq_done = shard->seq_queued;
	while (!list_is_empty(&failed)) {
		struct coord_op *op = list_entry(list_pop_front(&failed), struct coord_op, link);

		coord_op_finish(shard, op, err);
	}
}

void coord_shard_unload(struct coord_shard *shard, enum err err)
{
	struct coord_op *op;

	/* No operation gets in from here on, whatever the answers make happen. */
	if (shard->state == COORD_NONE)
		return;
	shard->state = COORD_NONE;
	shard->seq_done = shard->seq_queued;
	while ((op = coord_shard_oldest(shard)) != NULL) {
		coord_op_close(op);
		/* Hooks are for a state that lives on; but a machine's own give back what they were given. */
		if (op->done == coord_own_done)
			container_of(op, struct coord_own_write, op)->is_unloaded = true;
		else
			op->settled = NULL;
		coord_op_finish(shard, op, err);
	}
	shard->ops->unload(shard->machine, err);
	CHECK(list_is_empty(&shard->open));
}

/* ---- timers ---- */

void coord_timer_start(struct coord_shard *shard, struct coord_timer *timer, int64_t delay_ms,
		       void (*fire)(struct coord_timer *timer, void *machine))
{
	int64_t next = coord_shard_next_ms(shard);

	timer->fire = fire;
	timer->due_ms = shard->now_ms + (delay_ms > 0 ? delay_ms : 0);
	if (coord_timer_is_on(timer) && timer->due_ms >= timer->node.key)
		return;
	heap_remove(&shard->timers, &timer->node);
	heap_push(&shard->timers, &timer->node, timer->due_ms);
	if (coord_shard_next_ms(shard) < next)
		shard->log->timer_moved(shard);
}

void coord_timer_stop(struct coord_shard *shard, struct coord_timer *timer)
{
	heap_remove(&shard->timers, &timer->node);
}

int64_t coord_shard_next_ms(const struct coord_shard *shard)
{
	const struct heap_node *node = heap_peek(&shard->timers);

	return node ? node->key : INT64_MAX;
}

int coord_shard_tick(struct coord_shard *shard, int budget)
{
	int n = 0;

	while (n < budget && shard->state == COORD_ACTIVE && coord_shard_next_ms(shard) <= shard->now_ms) {
		struct coord_timer *timer = container_of(heap_pop(&shard->timers), struct coord_timer, node);

		if (timer->due_ms > shard->now_ms)
			heap_push(&shard->timers, &timer->node, timer->due_ms);
		else
			timer->fire(timer, shard->machine);
		n++;
	}
	return n;
}

void coord_shard_check_invariants(const struct coord_shard *shard)
{
	uint64_t before = 0;

	CHECK_OP(shard->seq_done, <=, shard->seq_queued);
	if (shard->state != COORD_ACTIVE)
		CHECK(list_is_empty(&shard->open));
	for (const struct list *node = shard->open.next; node != &shard->open; node = node->next) {
		const struct coord_op *op = list_entry(node, struct coord_op, link);

		CHECK(op->is_open);
		CHECK_OP(op->seq, >=, before);
		CHECK_OP(op->seq, >, shard->seq_done);
		before = op->seq;
	}
}
