/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See coordinator_io.h. One struct coord_partition per partition of the topic that this reactor owns and leads:
 *
 *    made by an image --> log opens --> loading (coordinator_load.c) --> serving --> going --> freed
 *                                                                         by an image, a failure, the stop
 *
 * Writes (coordinator_log.c): records of one turn --> one batch --> leader_append --> committed or failed.
 */
#include "coordinator_io_internal.h"

#include "broker.h"
#include "group_consumer.h"
#include "log.h"
#include "mem.h"
#include "shard.h"

const struct coordinator_kind *const coordinator_kinds[COORDINATOR_KINDS_N] = {
	[COORDINATOR_GROUP] = &coordinator_kind_group,
	[COORDINATOR_TRANSACTION] = &coordinator_kind_transaction,
};

#define TICK_BUDGET 20 /* the end of a session looks at all members of its group */
#define CALL_ARENA_LIMIT ((size_t)512 << 20)
#define ANSWERS_MAX MIB(128) /* of one request that asks for many; each reactor may go over it by one answer */
#define GROUP_MEMORY_MAX MIB(1024) /* of a node */
#define LOAD_WAIT_NS NS_PER_S /* how long requests wait for a shard that is loading */

struct coordinator_io *coordinator_io_new(struct shard *shard)
{
	struct coordinator_io *io = MEM_NEW(struct coordinator_io);

	io->shard = shard;
	map_init(&io->partitions, MAP_U64, shard->reactor->node->hash_seed);
	list_init(&io->going);
	list_init(&io->spare_batches);
	io->group_memory.bytes_max = GROUP_MEMORY_MAX / shard->broker->shards_n;
	return io;
}

/* ---- timers ---- */

static void coord_partition_tick(struct timer *timer);

void coord_partition_arm(struct coord_partition *part)
{
	struct reactor *reactor = part->io->shard->reactor;
	int64_t next_ms = coord_shard_next_ms(&part->shard);

	/* What is due before a shard has loaded waits until then. */
	if (next_ms == INT64_MAX || part->shard.state != COORD_ACTIVE) {
		timer_stop(&reactor->timers, &part->tick);
		return;
	}
	timer_start(&reactor->timers, &part->tick, next_ms * NS_PER_MS, coord_partition_tick);
}

static void coord_partition_tick(struct timer *timer)
{
	struct coord_partition *part = container_of(timer, struct coord_partition, tick);

	coord_partition_enter(part);
	coord_shard_tick(&part->shard, TICK_BUDGET);
	coord_partition_arm(part);
}

static void coord_partition_timer_moved(struct coord_shard *shard)
{
	coord_partition_arm(shard->ctx);
}

static const struct coord_log_ops coord_partition_log = {
	.write = coord_partition_write,
	.timer_moved = coord_partition_timer_moved,
};

void coord_partition_enter(struct coord_partition *part)
{
	const struct reactor *reactor = part->io->shard->reactor;

	const struct partition *partition = shard_partition(part->io->shard, part->topic_id, part->index);

	part->shard.write_max = partition ? (size_t)MAX(partition->config.max_message_bytes, 1) : 0;
	coord_shard_time(&part->shard, reactor->now_ns / NS_PER_MS, reactor->wall_ms);
	if (part->kind->enter)
		part->kind->enter(part->machine, part->io->shard);
}

/* ---- life ---- */

static uint64_t coord_partition_key(enum coordinator_kind_id kind, int32_t index)
{
	return (uint64_t)kind << 32 | (uint32_t)index;
}

static void coord_partition_new(struct coordinator_io *io, enum coordinator_kind_id kind, struct uuid topic_id,
				int32_t index)
{
	struct coord_partition *part = MEM_NEW(struct coord_partition);
	struct shard *shard = io->shard;

	part->io = io;
	part->kind = coordinator_kinds[kind];
	part->kind_id = kind;
	part->machine = mem_calloc(1, part->kind->machine_size);
	part->topic_id = topic_id;
	part->index = index;
	list_init(&part->batches);
	list_init(&part->waiting);
	coord_shard_init(&part->shard, part->kind->ops, part->machine, &coord_partition_log, part,
			 &shard->reactor->rng);
	part->shard.partition = index;
	part->shard.stats = &io->stats[kind];
	part->kind->init(part->machine, &part->shard, shard);
	map_put_u64(&io->partitions, coord_partition_key(kind, index), part);
	coord_partition_enter(part);
	coord_partition_load(part);
}

void coord_partition_free_if_idle(struct coord_partition *part)
{
	if (!part->is_going || part->is_loading || part->is_flushing || part->is_settling ||
	    !list_is_empty(&part->batches))
		return;
	list_remove(&part->link);
	timer_stop(&part->io->shard->reactor->timers, &part->tick);
	timer_stop(&part->io->shard->reactor->timers, &part->wait_timer);
	part->kind->deinit(part->machine);
	coord_shard_deinit(&part->shard);
	coord_partition_load_free(part);
	mem_free(part->machine);
	mem_free(part);
}

/* Ends everything that waits here, now; what is on its way to the disk comes back later. */
static void coord_partition_go(struct coord_partition *part, enum err err)
{
	map_remove_u64(&part->io->partitions, coord_partition_key(part->kind_id, part->index));
	list_push_back(&part->io->going, &part->link);
	part->is_going = true;
	coord_partition_enter(part);
	if (part->kind->leave)
		part->kind->leave(part->machine);
	coord_partition_drop_writes(part);
	coord_shard_unload(&part->shard, err);
	coord_partition_wake(part, err);
	coord_partition_load_stop(part);
	coord_partition_free_if_idle(part);
}

void coordinator_io_free(struct coordinator_io *io)
{
	struct coord_partition *part;

	if (!io)
		return;
	/* After an orderly stop there is none. What the disk still holds of a node that failed is not waited for. */
	for (uint32_t it = 0; (part = map_next(&io->partitions, &it)) != NULL;)
		coord_partition_go(part, ERR_NOT_COORDINATOR);
	map_deinit(&io->partitions);
	coord_batches_free_spare(io);
	mem_free(io);
}

static bool coordinator_leads(const struct shard *shard, const struct topic_image *topic, int32_t index)
{
	const struct partition_image *partition = topic_partition(topic, index);

	return partition && partition->leader == shard->broker->node_id &&
	       shard_of_partition(shard->broker->shards_n, topic->id, index) == shard->index;
}

static void coordinator_follow_kind(struct shard *shard, enum coordinator_kind_id kind)
{
	struct coordinator_io *io = shard->coordinators;
	const struct topic_image *topic = image_topic(shard->image, str_of(coordinator_kinds[kind]->topic));
	struct coord_partition *part;

	for (uint32_t it = 0; (part = map_next(&io->partitions, &it)) != NULL;) {
		if (part->kind_id == kind && (!topic || !uuid_eq(topic->id, part->topic_id) ||
					      !coordinator_leads(shard, topic, part->index)))
			coord_partition_go(part, ERR_NOT_COORDINATOR);
	}
	if (io->is_stopping)
		return;
	for (int32_t i = 0; topic && i < topic->partitions_n; i++) {
		if (coordinator_leads(shard, topic, i) &&
		    !map_get_u64(&io->partitions, coord_partition_key(kind, i)) && shard_partition(shard, topic->id, i))
			coord_partition_new(io, kind, topic->id, i);
	}
}

void coordinator_io_follow(struct shard *shard)
{
	for (int kind = 0; kind < COORDINATOR_KINDS_N; kind++)
		coordinator_follow_kind(shard, (enum coordinator_kind_id)kind);
}

void coordinator_io_topic_deleted(struct shard *shard, struct str topic)
{
	struct coord_partition *part;

	for (uint32_t it = 0; (part = map_next(&shard->coordinators->partitions, &it)) != NULL;) {
		if (!part->kind->topic_deleted || str_eq_c(topic, part->kind->topic) ||
		    (part->shard.state != COORD_ACTIVE && part->shard.state != COORD_LOADING))
			continue;
		coord_partition_enter(part);
		part->kind->topic_deleted(part->machine, topic);
	}
}

void coordinator_io_drain(struct shard *shard)
{
	struct coord_partition *part;

	shard->coordinators->is_stopping = true;
	for (uint32_t it = 0; (part = map_next(&shard->coordinators->partitions, &it)) != NULL;) {
		coord_partition_enter(part);
		coord_partition_wake(part, ERR_NOT_COORDINATOR);
		if (part->kind->release)
			part->kind->release(part->machine, ERR_NOT_COORDINATOR);
	}
}

void coordinator_io_stop(struct shard *shard)
{
	struct coord_partition *part;

	shard->coordinators->is_stopping = true;
	for (uint32_t it = 0; (part = map_next(&shard->coordinators->partitions, &it)) != NULL;)
		coord_partition_go(part, ERR_NOT_COORDINATOR);
}

bool coordinator_io_is_idle(const struct shard *shard)
{
	const struct coordinator_io *io = shard->coordinators;

	return io->partitions.n == 0 && list_is_empty(&io->going) && io->markers_n == 0 &&
	       io->works_n == 0;
}

/* ---- requests ---- */

int32_t coordinator_partition_of(struct str key, int32_t partitions_n)
{
	int32_t hash = hash_java_string(key);

	return hash == INT32_MIN ? 0 : (hash < 0 ? -hash : hash) % partitions_n;
}

static void coordinator_call_returns(struct reactor *reactor, struct msg *msg)
{
	struct coordinator_call *call = container_of(msg, struct coordinator_call, msg);

	call->is_home = true;
	if (!call->is_leaving)
		call->done(call);
}

static void coordinator_leave_returns(struct reactor *reactor, struct msg *msg)
{
	struct coordinator_call *call = container_of(msg, struct coordinator_call, leave_msg);

	call->is_leaving = false;
	if (call->is_home)
		call->done(call);
}

static void coordinator_leave_arrives(struct reactor *reactor, struct msg *msg)
{
	struct coordinator_call *call = container_of(msg, struct coordinator_call, leave_msg);

	call->leave(call);
	call->leave_msg.handle = coordinator_leave_returns;
	reactor_send(reactor, call->request->shard->reactor, &call->leave_msg);
}

void coordinator_call_leave(struct coordinator_call *call)
{
	struct shard *home = call->request->shard;

	if (!call->leave || call->is_leaving || call->is_home)
		return;
	if (call->owner == home) {
		call->leave(call);
		return;
	}
	call->is_leaving = true;
	call->leave_msg.handle = coordinator_leave_arrives;
	reactor_send(home->reactor, call->owner->reactor, &call->leave_msg);
}

static void coordinator_call_home(struct coordinator_call *call)
{
	struct shard *home = call->home;

	if (call->owner == home) {
		call->done(call);
		return;
	}
	call->msg.handle = coordinator_call_returns;
	reactor_send(call->owner->reactor, home->reactor, &call->msg);
}

static void coordinator_call_decided(struct coord_op *op)
{
	struct coordinator_call *call = op->ctx;

	if (op->seq > 0 && call->kind == COORDINATOR_GROUP)
		hist_add(&call->owner->coordinators->stats[call->kind].times[COORD_TIME_PURGATORY],
			 metrics_now(call->owner) - call->began_ns);
	if (call->room)
		__atomic_fetch_add(&call->room->used, (int64_t)call->arena.used, __ATOMIC_RELAXED);
	coordinator_call_home(call);
}

static void coordinator_call_refuse(struct coordinator_call *call, enum err err)
{
	call->op->err = err;
	coordinator_call_home(call);
}

static void coordinator_wait_over(struct timer *timer)
{
	coord_partition_wake(container_of(timer, struct coord_partition, wait_timer), ERR_COORDINATOR_LOAD_IN_PROGRESS);
}

/* The arena may take what the answers before have left. False: nothing. */
static bool coordinator_call_limit(struct coordinator_call *call)
{
	int64_t used = __atomic_load_n(&call->room->used, __ATOMIC_RELAXED);

	if (used >= ANSWERS_MAX)
		return false;
	call->arena.limit = (size_t)(ANSWERS_MAX - used);
	return true;
}

/* Submits it; it may be gone afterwards. Waiting in the queue begins with its arrival at the broker. */
static void coordinator_call_measure(struct coord_partition *part, struct coordinator_call *call)
{
	struct hist *times = part->io->stats[part->kind_id].times;
	int64_t began_ns = metrics_clock(part->io->shard);

	call->began_ns = began_ns;
	if (call->request)
		hist_add(&times[COORD_TIME_QUEUE], began_ns - call->request->received_ns);
	coord_shard_submit(&part->shard, call->op);
	hist_add(&times[COORD_TIME_PROCESSING], metrics_clock(part->io->shard) - began_ns);
}

static void coordinator_call_run(struct coord_partition *part, struct coordinator_call *call)
{
	struct reactor *reactor = part->io->shard->reactor;

	if (part->shard.state == COORD_LOADING && reactor->now_ns - part->load_started_ns < LOAD_WAIT_NS) {
		if (list_is_empty(&part->waiting))
			timer_start(&reactor->timers, &part->wait_timer, part->load_started_ns + LOAD_WAIT_NS,
				    coordinator_wait_over);
		list_push_back(&part->waiting, &call->link);
		part->io->waiting_n += part->kind_id == COORDINATOR_GROUP;
		return;
	}
	if (call->room && !coordinator_call_limit(call)) {
		coordinator_call_refuse(call, ERR_INVALID_REQUEST);
		return;
	}
	coord_partition_enter(part);
	if (part->kind_id == COORDINATOR_GROUP)
		coordinator_call_measure(part, call);
	else
		coord_shard_submit(&part->shard, call->op);
}

void coord_partition_wake(struct coord_partition *part, enum err err)
{
	struct list waiting;

	timer_stop(&part->io->shard->reactor->timers, &part->wait_timer);
	list_init(&waiting);
	list_splice(&waiting, &part->waiting);
	while (!list_is_empty(&waiting)) {
		struct coordinator_call *call =
			list_entry(list_pop_front(&waiting), struct coordinator_call, link);

		part->io->waiting_n -= part->kind_id == COORDINATOR_GROUP;
		if (err)
			coordinator_call_refuse(call, err);
		else
			coordinator_call_run(part, call);
	}
}

static void coordinator_call_on_owner(struct coordinator_call *call)
{
	struct coordinator_io *io = call->owner->coordinators;
	struct coord_partition *part = map_get_u64(&io->partitions, coord_partition_key(call->kind, call->partition));

	if (!part || io->is_stopping || !uuid_eq(part->topic_id, call->topic_id))
		coordinator_call_refuse(call, ERR_NOT_COORDINATOR);
	else
		coordinator_call_run(part, call);
}

static void coordinator_call_arrives(struct reactor *reactor, struct msg *msg)
{
	coordinator_call_on_owner(container_of(msg, struct coordinator_call, msg));
}

bool coordinator_calls_fit(struct request *request, int32_t n)
{
	if (n <= COORDINATOR_CALLS_MAX)
		return true;
	request_close(request, "it names more groups or transactions than one request may");
	return false;
}

void coordinator_call_start(struct coordinator_call *call)
{
	struct shard *home = call->home ? call->home : call->request->shard;
	const struct topic_image *topic = image_topic(home->image, str_of(coordinator_kinds[call->kind]->topic));

	call->home = home;
	call->link = (struct list){0};
	if (!call->arena.first)
		arena_init(&call->arena, call->block, sizeof(call->block));
	call->arena.limit = CALL_ARENA_LIMIT;
	call->op->arena = &call->arena;
	call->op->origin = call->origin ? *call->origin : COORD_ORIGIN_NONE;
	call->op->done = coordinator_call_decided;
	call->op->ctx = call;
	call->owner = home;
	if (!topic || topic->partitions_n == 0) {
		coordinator_call_refuse(call, ERR_NOT_COORDINATOR);
		return;
	}
	call->topic_id = topic->id;
	call->partition = coordinator_partition_of(call->group_id, topic->partitions_n);
	call->owner = &home->broker->shards[shard_of_partition(home->broker->shards_n, topic->id, call->partition)];
	if (call->owner == home) {
		coordinator_call_on_owner(call);
		return;
	}
	call->msg.handle = coordinator_call_arrives;
	reactor_send(home->reactor, call->owner->reactor, &call->msg);
}

void coordinator_call_tell_state(struct coord_op *op, void *machine, enum err err)
{
	const struct coordinator_call *call = op->ctx;

	if (!err && op->has_records)
		group_consumer_tell_state(machine, call->group_id);
}

void coordinator_call_free(struct coordinator_call *call)
{
	arena_reset(&call->arena);
}

struct coord_partition *coordinator_io_partition(struct shard *shard, enum coordinator_kind_id kind,
						 struct uuid topic_id, int32_t index)
{
	struct coord_partition *part =
		map_get_u64(&shard->coordinators->partitions, coord_partition_key(kind, index));

	return part && uuid_eq(part->topic_id, topic_id) ? part : NULL;
}

enum err coordinator_io_each(struct shard *shard, void (*fn)(void *ctx, const struct group *group), void *ctx)
{
	struct coord_partition *part;
	enum err err = ERR_NONE;

	for (uint32_t it = 0; (part = map_next(&shard->coordinators->partitions, &it)) != NULL;) {
		const struct group_store *store = part->machine;
		const struct group *group;

		if (part->kind_id != COORDINATOR_GROUP)
			continue;
		if (part->shard.state == COORD_LOADING)
			err = ERR_COORDINATOR_LOAD_IN_PROGRESS;
		if (part->shard.state != COORD_ACTIVE)
			continue;
		for (uint32_t g = 0; (group = map_next(&store->groups, &g)) != NULL;)
			fn(ctx, group);
	}
	return err;
}
