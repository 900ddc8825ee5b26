/* SPDX-License-Identifier: Apache-2.0 */
/* See transaction_markers.h. */
#include "transaction_markers.h"

#include "broker.h"
#include "fault.h"
#include "leader_marker.h"
#include "log.h"
#include "mem.h"
#include "owner_part.h"
#include "shard.h"

#define WAVE_MAX 128	    /* partitions under way at a time, of one transaction */
#define PAUSE_MIN_NS (20 * NS_PER_MS)
#define PAUSE_MAX_NS (1 * NS_PER_S)
#define GONE_PAUSE_NS (200 * NS_PER_MS)
#define REFUSED_PAUSE_NS (60 * NS_PER_S)
#define WARN_EVERY_NS (60 * NS_PER_S)

struct ending_part {
	struct str topic;
	int32_t index;
	bool is_done;
	bool was_missing;
};

/* A partition under way, on its owner's reactor. */
struct ending_slot {
	struct owner_part owner;
	struct leader_marker marker;
	struct txn_ending *ending;
	struct ending_part *part;
	enum err err;
};

struct txn_ending {
	struct coordinator_txn *machine; /* NULL: the shard has gone */
	struct coordinator_io *io;
	struct str id;
	struct txn_producer producer; /* of the markers */
	bool commit;
	enum txn_version version;
	int32_t coordinator_epoch;
	struct ending_part *parts;
	int32_t parts_n, next; /* next: of this pass */
	struct ending_slot *slots;
	int32_t slots_n;
	struct scatter *scatter;
	struct coord_op op; /* the completion */
	struct arena op_arena;
	struct timer pause;
	int64_t pause_ns;
	int64_t started_ns, warned_ns;
	int64_t start_ms; /* wall: when the transaction began */
	enum err last_err;
	const struct ending_part *last_part; /* that failed */
	bool is_missing_only; /* all that is left was not found */
	bool is_refused_only; /* all that is left was refused for good */
	bool is_running;      /* a wave, or the completion, is under way */
	int32_t waiting_n;    /* markers that wait for the end of the pause */
	bool is_completion_waiting;
	struct list waiting;  /* struct txn_end_waiter */
	struct arena arena;
	/* What a transaction over a few partitions needs. */
	uint8_t block[2048], op_block[512];
};

static void ending_next(struct txn_ending *ending);

static void ending_waits(struct txn_ending *ending, int32_t markers_n, bool is_completion)
{
	ending->io->markers_waiting_n += markers_n - ending->waiting_n;
	ending->io->completions_waiting_n += is_completion - ending->is_completion_waiting;
	ending->waiting_n = markers_n;
	ending->is_completion_waiting = is_completion;
}

static void ending_free(struct txn_ending *ending)
{
	ending_waits(ending, 0, false);
	CHECK(list_is_empty(&ending->waiting));
	if (ending->machine)
		map_remove_str(&ending->machine->endings, ending->id);
	timer_stop(&ending->io->shard->reactor->timers, &ending->pause);
	scatter_free(ending->scatter);
	arena_reset(&ending->op_arena);
	arena_reset(&ending->arena);
	mem_free(ending);
}

static void ending_runs(struct txn_ending *ending)
{
	ending->is_running = true;
	ending->io->markers_n++;
}

/* False: it has been freed. */
static bool ending_ran(struct txn_ending *ending)
{
	ending->is_running = false;
	ending->io->markers_n--;
	if (ending->machine)
		return true;
	ending_free(ending);
	return false;
}

/* ---- pauses ---- */

static void ending_pause_over(struct timer *timer)
{
	struct txn_ending *ending = container_of(timer, struct txn_ending, pause);

	ending->next = 0;
	ending_waits(ending, 0, false);
	ending_next(ending);
}

static void ending_warn(struct txn_ending *ending, int32_t left)
{
	const struct reactor *reactor = ending->io->shard->reactor;

	if ((reactor->now_ns - ending->started_ns < 10 * NS_PER_S && !ending->is_refused_only) ||
	    (ending->warned_ns && reactor->now_ns - ending->warned_ns < WARN_EVERY_NS))
		return;
	ending->warned_ns = reactor->now_ns;
	log_warn("transaction.end_is_held_up",
		 "id=%.*s producer=%lld epoch=%d open_since_ms=%lld decided_s=%lld partitions_left=%d "
		 "partition=%.*s-%d error=%s text=\"%s\"",
		 STR_ARGS(ending->id), (long long)ending->producer.id, ending->producer.epoch,
		 (long long)ending->start_ms, (long long)((reactor->now_ns - ending->started_ns) / NS_PER_S), left,
		 STR_ARGS(ending->last_part ? ending->last_part->topic : STR("-")),
		 ending->last_part ? ending->last_part->index : -1, err_name(ending->last_err),
		 ending->is_refused_only ?
			 "the partition has seen a later epoch of this producer and refuses the end; the transactional "
			 "id is blocked until the partition is deleted or forgets the producer" :
			 "the end of this transaction cannot be written; readers of the partition wait for it");
}

static void ending_pause(struct txn_ending *ending)
{
	int64_t pause_ns = ending->is_missing_only   ? GONE_PAUSE_NS
			   : ending->is_refused_only ? REFUSED_PAUSE_NS
						     : ending->pause_ns;
	int32_t left = 0;

	for (int32_t i = 0; i < ending->parts_n; i++)
		left += !ending->parts[i].is_done;
	ending_waits(ending, left, left == 0);
	ending_warn(ending, left);
	ending->pause_ns = MIN(ending->pause_ns * 2, PAUSE_MAX_NS);
	reactor_timer(ending->io->shard->reactor, &ending->pause, pause_ns, ending_pause_over);
}

/* ---- who waits for the end ---- */

static struct coord_op *ending_waiter_leave(struct txn_end_waiter *waiter)
{
	list_remove(&waiter->link);
	timer_stop(&waiter->reactor->timers, &waiter->deadline);
	return waiter->op;
}

static void ending_waiter_late(struct timer *timer)
{
	struct txn_end_waiter *waiter = container_of(timer, struct txn_end_waiter, deadline);

	coord_op_end(ending_waiter_leave(waiter), ERR_CONCURRENT_TRANSACTIONS);
}

bool transaction_markers_left(const struct coordinator_txn *machine, const struct txn *txn, struct arena *arena,
			      struct txn_partitions *ret)
{
	const struct txn_ending *ending = map_get_str(&machine->endings, txn->id);

	*ret = txn->partitions;
	if (!ending || ending->producer.id != txn->producer_id || ending->producer.epoch != txn_marker_epoch(txn))
		return true;
	if (!arena_has_room(arena, (size_t)ending->parts_n * sizeof(*ret->v), 1))
		return false;
	*ret = (struct txn_partitions){ARENA_NEW_N(arena, struct txn_partition, ending->parts_n), 0};
	for (int32_t i = 0; i < ending->parts_n; i++) {
		if (!ending->parts[i].is_done)
			ret->v[ret->n++] = (struct txn_partition){ending->parts[i].topic, ending->parts[i].index};
	}
	return true;
}

bool transaction_markers_wait(struct coordinator_txn *machine, struct str id, struct txn_end_waiter *waiter,
			      struct coord_op *op, int64_t deadline_ns)
{
	struct txn_ending *ending = map_get_str(&machine->endings, id);
	struct reactor *reactor = machine->owner->reactor;

	if (!ending || reactor->now_ns >= deadline_ns)
		return false;
	*waiter = (struct txn_end_waiter){.op = op, .reactor = reactor};
	list_push_back(&ending->waiting, &waiter->link);
	timer_start(&reactor->timers, &waiter->deadline, deadline_ns, ending_waiter_late);
	return true;
}

/* They decide again: behind the completion, or, where it was refused, to wait on. */
static void ending_wake(struct coord_partition *part, struct list *waiting)
{
	struct list *node;

	while ((node = list_pop_front(waiting)) != NULL) {
		struct txn_end_waiter *waiter = list_entry(node, struct txn_end_waiter, link);

		coord_shard_submit(&part->shard, ending_waiter_leave(waiter));
	}
}

/* ---- completion ---- */

static enum err ending_complete_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct txn_ending *ending = container_of(op, struct txn_ending, op);

	return txn_markers_written(machine, ending->id, ending->producer, records);
}

static void ending_completed(struct coord_op *op)
{
	struct txn_ending *ending = container_of(op, struct txn_ending, op);
	struct coord_partition *part;
	struct list waiting;

	if (!ending_ran(ending))
		return;
	if (op->err) {
		ending->last_err = op->err;
		ending->last_part = NULL;
		ending->is_refused_only = false;
		ending_pause(ending);
		return;
	}
	/* They came behind the completion, and what they met is the decision about the next transaction. */
	list_init(&waiting);
	list_splice(&waiting, &ending->waiting);
	part = ending->machine->part;
	ending_free(ending);
	ending_wake(part, &waiting);
}

static void ending_complete(struct txn_ending *ending)
{
	struct coord_partition *part = ending->machine->part;
	struct list waiting;

	list_init(&waiting);
	list_splice(&waiting, &ending->waiting);
	arena_reset(&ending->op_arena);
	ending->op = (struct coord_op){
		.arena = &ending->op_arena,
		.origin = COORD_ORIGIN_NONE,
		.decide = ending_complete_decide,
		.done = ending_completed,
	};
	ending_runs(ending);
	coord_partition_enter(part);
	coord_shard_submit(&part->shard, &ending->op);
	/* The completion is decided, if not committed; the ending may be gone. */
	ending_wake(part, &waiting);
}

/* ---- a wave ---- */

static void ending_marker_done(struct leader_marker *marker)
{
	struct ending_slot *slot = container_of(marker, struct ending_slot, marker);

	slot->err = marker->err;
	scatter_part_done(slot->owner.leg);
}

static void ending_slot_ready(struct owner_part *owner, enum err err)
{
	struct ending_slot *slot = container_of(owner, struct ending_slot, owner);
	const struct txn_ending *ending = slot->ending;
	struct shard *shard = owner->leg->shard;

	slot->err = err;
	if (err) {
		scatter_part_done(owner->leg);
		return;
	}
	slot->marker = (struct leader_marker){
		.partition = owner->partition,
		.producer_id = ending->producer.id,
		.producer_epoch = ending->producer.epoch,
		.commit = ending->commit,
		.coordinator_epoch = ending->coordinator_epoch,
		.version = (int16_t)ending->version,
		.reactor = shard->reactor,
		.now_ms = shard->reactor->wall_ms,
		.done = ending_marker_done,
	};
	coordinator_io_marker(shard, &slot->marker);
}

/* What the partition said. */
static void ending_settle(struct txn_ending *ending, const struct ending_slot *slot)
{
	switch ((int)slot->err) {
	case ERR_NONE:
		slot->part->is_done = true;
		return;
	case ERR_INVALID_PRODUCER_EPOCH:
	case ERR_TRANSACTION_COORDINATOR_FENCED:
		/* Somebody went on there in a later epoch, which nothing that this end could say again changes. As in
		 * the original the other partitions are told and the transaction stays decided, not complete. The
		 * original never asks again; here once in a while, as the partition may go or forget the producer. */
		break;
	default:
		slot->part->is_done = FAULT(marker_given_up);
		ending->is_refused_only = false;
	}
	ending->last_err = slot->err;
	ending->last_part = slot->part;
	ending->is_missing_only = false;
	slot->part->was_missing = false;
}

static void ending_wave_over(struct scatter *scatter)
{
	struct txn_ending *ending = scatter->home_op;

	for (int32_t i = 0; i < ending->slots_n; i++)
		ending_settle(ending, &ending->slots[i]);
	if (ending_ran(ending))
		ending_next(ending);
}

/* False: the partition is not there. */
static bool ending_add(struct txn_ending *ending, struct ending_part *part)
{
	const struct topic_image *topic = image_topic(ending->io->shard->image, part->topic);
	struct ending_slot *slot;

	if (!topic || !topic_partition(topic, part->index)) {
		if (part->was_missing)
			log_info("transaction.topic_gone", "id=%.*s partition=%.*s-%d", STR_ARGS(ending->id),
				 STR_ARGS(part->topic), part->index);
		part->is_done = part->was_missing;
		part->was_missing = true;
		ending->is_refused_only = false;
		return false;
	}
	slot = &ending->slots[ending->slots_n++];
	*slot = (struct ending_slot){
		.owner = {.topic_id = topic->id, .index = part->index, .leader_epoch = -1, .ready = ending_slot_ready},
		.ending = ending,
		.part = part,
	};
	owner_part_add(ending->scatter, &slot->owner);
	return true;
}

/* The next wave of this pass; behind the last one the completion, or a pause. */
static void ending_next(struct txn_ending *ending)
{
	int32_t left = 0;

	if (ending->next == 0)
		ending->is_missing_only = ending->is_refused_only = true;
	ending->slots_n = 0;
	scatter_clear(ending->scatter);
	for (; ending->next < ending->parts_n && ending->slots_n < WAVE_MAX; ending->next++) {
		if (!ending->parts[ending->next].is_done)
			(void)ending_add(ending, &ending->parts[ending->next]);
	}
	if (ending->slots_n > 0) {
		ending_runs(ending);
		scatter_run(ending->scatter, owner_parts_run, ending_wave_over);
		return;
	}
	for (int32_t i = 0; i < ending->parts_n; i++)
		left += !ending->parts[i].is_done;
	if (left > 0)
		ending_pause(ending);
	else
		ending_complete(ending);
}

/* ---- the whole ---- */

static int32_t ending_coordinator_epoch(const struct coord_partition *part)
{
	const struct partition *partition = shard_partition(part->io->shard, part->topic_id, part->index);

	return partition ? partition->leader_epoch : 0;
}

static void ending_fill(struct txn_ending *ending, const struct txn *txn)
{
	struct arena *arena = &ending->arena;

	ending->id = arena_str(arena, txn->id);
	ending->producer = (struct txn_producer){txn->producer_id, txn_marker_epoch(txn)};
	ending->commit = txn->state == TXN_PREPARE_COMMIT;
	ending->version = txn->version;
	ending->start_ms = txn->start_ms;
	ending->parts_n = txn->partitions.n;
	ending->parts = ARENA_NEW_N(arena, struct ending_part, ending->parts_n);
	for (int32_t i = 0; i < ending->parts_n; i++) {
		const struct txn_partition *from = &txn->partitions.v[i];
		bool same = i > 0 && str_eq(from->topic, txn->partitions.v[i - 1].topic);

		ending->parts[i].topic = same ? ending->parts[i - 1].topic : arena_str(arena, from->topic);
		ending->parts[i].index = from->partition;
	}
	ending->slots = ARENA_NEW_N(arena, struct ending_slot, MIN(ending->parts_n, WAVE_MAX));
}

void transaction_markers_send(struct txn_store *store, const struct txn *txn)
{
	struct coordinator_txn *machine = container_of(store, struct coordinator_txn, store);
	struct txn_ending *ending = map_get_str(&machine->endings, txn->id);

	if (ending) /* on their way already: there is no later end before this one is complete */
		return;
	ending = MEM_NEW(struct txn_ending);
	list_init(&ending->waiting);
	arena_init(&ending->arena, ending->block, sizeof(ending->block));
	arena_init(&ending->op_arena, ending->op_block, sizeof(ending->op_block));
	ending->machine = machine;
	ending->io = machine->owner->coordinators;
	ending->coordinator_epoch = ending_coordinator_epoch(machine->part);
	ending->pause_ns = PAUSE_MIN_NS;
	ending->started_ns = machine->owner->reactor->now_ns;
	ending_fill(ending, txn);
	ending->scatter = scatter_new(machine->owner, &ending->arena);
	ending->scatter->home_op = ending;
	map_put_str(&machine->endings, ending->id, ending);
	/* Not within the call: the caller is in the middle of a commit. */
	reactor_timer(machine->owner->reactor, &ending->pause, 0, ending_pause_over);
}

static void ending_turn_away(struct txn_ending *ending)
{
	while (!list_is_empty(&ending->waiting)) {
		struct txn_end_waiter *waiter = list_entry(ending->waiting.next, struct txn_end_waiter, link);

		coord_op_end(ending_waiter_leave(waiter), ERR_NOT_COORDINATOR);
	}
}

void transaction_markers_leave(struct coordinator_txn *machine)
{
	struct txn_ending *ending;

	for (uint32_t it = 0; (ending = map_next(&machine->endings, &it)) != NULL;) {
		map_remove_str(&machine->endings, ending->id);
		ending->machine = NULL;
		ending_turn_away(ending);
		timer_stop(&ending->io->shard->reactor->timers, &ending->pause);
		if (!ending->is_running)
			ending_free(ending);
	}
}
