/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a coordinator's records: operations of one turn fill a batch, the end of the turn appends it.
 *
 *    OPEN --full, or another origin--> CLOSED --end of the turn--> APPENDING --> DONE --stored--> committed
 *      \------------------------------------------/                            \--refused, failed--> it and all
 *                                                                                  behind it fail
 *
 * 1. Batches are appended in order; a batch behind one that was refused is never appended.
 * 2. A batch holds whole operations of one origin.
 * 3. Results are taken in order, though a log that fails may give them in any: else an older batch would count as
 *    committed because a newer one failed.
 */
#include "broker.h"
#include "coordinator_io_internal.h"
#include "log.h"
#include "mem.h"
#include "shard.h"

enum coord_batch_state { COORD_BATCH_OPEN, COORD_BATCH_CLOSED, COORD_BATCH_APPENDING, COORD_BATCH_DONE };

struct coord_batch {
	struct list link;
	struct coord_partition *part;
	enum coord_batch_state state;
	uint64_t seq_first, seq_last;
	struct coord_origin origin;
	struct scratch bytes; /* as written, not packed */
	struct scratch packed;
	struct batch_builder builder;
	struct leader_append append;
	struct arena arena;
	int64_t made_ns;
	bool is_dropped; /* its operations were undone: whatever becomes of it */
};

/* A record's own bytes around key and value, and the batch's header: never less than what they take. */
#define RECORD_OVERHEAD 32
#define APPEND_TIMEOUT_MS INT32_MAX
/* Batches that wait to be used again, on a reactor, and what each may hold on to. */
#define SPARE_BATCHES_MAX 16
#define SPARE_BYTES_MAX KIB(4)

/* What clients are told of an append that failed: where retrying helps, an error that makes them. */
static enum err coordinator_append_error(enum err err)
{
	switch ((int)err) {
	case ERR_NOT_LEADER_OR_FOLLOWER:
	case ERR_KAFKA_STORAGE_ERROR:
	case ERR_LOG_CLOSED:
	case ERR_DIR_OFFLINE:
	case ERR_IO:
		return ERR_NOT_COORDINATOR;
	case ERR_UNKNOWN_TOPIC_OR_PARTITION:
	case ERR_NOT_ENOUGH_REPLICAS:
	case ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
	case ERR_REQUEST_TIMED_OUT:
	case ERR_DISK_FULL:
		return ERR_COORDINATOR_NOT_AVAILABLE;
	default:
		return ERR_UNKNOWN_SERVER_ERROR;
	}
}

static void coord_batch_free(struct coord_batch *batch)
{
	struct coordinator_io *io = batch->part->io;

	list_remove(&batch->link);
	scratch_trim(&batch->bytes, SPARE_BYTES_MAX);
	scratch_deinit(&batch->packed);
	arena_reset(&batch->arena);
	if (io->spare_batches_n < SPARE_BATCHES_MAX) {
		list_push_front(&io->spare_batches, &batch->link);
		io->spare_batches_n++;
	} else {
		scratch_deinit(&batch->bytes);
		mem_free(batch);
	}
}

static struct coord_batch *coord_batch_take(struct coordinator_io *io)
{
	struct list *node = list_pop_front(&io->spare_batches);
	struct coord_batch *spare;
	struct scratch bytes;

	if (!node)
		return MEM_NEW(struct coord_batch);
	io->spare_batches_n--;
	spare = list_entry(node, struct coord_batch, link);
	bytes = spare->bytes;
	*spare = (struct coord_batch){.bytes = bytes};
	return spare;
}

void coord_batches_free_spare(struct coordinator_io *io)
{
	struct list *node;

	while ((node = list_pop_front(&io->spare_batches)) != NULL) {
		struct coord_batch *batch = list_entry(node, struct coord_batch, link);

		scratch_deinit(&batch->bytes);
		mem_free(batch);
	}
	io->spare_batches_n = 0;
}

/* Everything from this batch on is void. Those under way come back by themselves. */
static void coord_batches_drop(struct coord_partition *part, struct list *from)
{
	part->open_batch = NULL;
	while (from != &part->batches) {
		struct coord_batch *batch = list_entry(from, struct coord_batch, link);

		from = from->next;
		if (batch->state == COORD_BATCH_APPENDING)
			batch->is_dropped = true;
		else
			coord_batch_free(batch);
	}
}

void coord_partition_drop_writes(struct coord_partition *part)
{
	coord_batches_drop(part, part->batches.next);
}

/* Takes the result of the oldest batch. */
static void coord_batch_settle(struct coord_batch *batch)
{
	struct coord_partition *part = batch->part;
	uint64_t first = batch->seq_first, last = batch->seq_last;
	bool is_dropped = batch->is_dropped;
	enum err err = batch->append.err;

	if (err && !is_dropped) {
		log_warn("coordinator.append", "topic=%s partition=%d error=%s", part->kind->topic, part->index,
			 err_name(err));
		coord_batches_drop(part, batch->link.next);
	}
	coord_batch_free(batch);
	if (is_dropped)
		return;
	coord_partition_enter(part);
	if (err)
		coord_shard_failed(&part->shard, first, coordinator_append_error(err));
	else
		coord_shard_committed(&part->shard, last);
}

static void coord_batch_appended(struct leader_append *append)
{
	struct coord_batch *batch = container_of(append, struct coord_batch, append);
	struct coord_partition *part = batch->part;

	batch->state = COORD_BATCH_DONE;
	if (part->is_settling)
		return;
	part->is_settling = true;
	while (!list_is_empty(&part->batches)) {
		batch = list_entry(part->batches.next, struct coord_batch, link);
		if (batch->state != COORD_BATCH_DONE)
			break;
		coord_batch_settle(batch);
	}
	part->is_settling = false;
	coord_partition_free_if_idle(part);
}

/* Packs a finished batch with the codec of the setting: a builder that packs cannot stay open over other work. */
static enum err coord_batch_pack(struct coord_batch *batch, enum codec codec, struct bytes *built)
{
	struct compress_ctx *ctx = batch->part->io->shard->compress;
	struct batch_spec spec = batch->builder.spec;
	struct batch_builder builder;
	struct batch_info info;
	struct record_iter it;
	struct record record;
	enum err err = batch_check_header(*built, 0, &info);

	CHECK_OP(err, ==, ERR_NONE);
	spec.codec = codec;
	err = batch_builder_init(&builder, &spec, &batch->packed, ctx);
	record_iter_init(&it, &info, (struct bytes){built->p + BATCH_HEADER_LEN, built->len - BATCH_HEADER_LEN});
	while (!err && record_iter_next(&it, &record)) {
		struct record_fields fields = record_fields_of(&record);

		err = batch_builder_add(&builder, record.timestamp, &fields);
	}
	return err ? err : batch_builder_finish(&builder, built);
}

static void coord_batch_append(struct coord_batch *batch, struct partition *partition)
{
	struct coord_partition *part = batch->part;
	struct reactor *reactor = part->io->shard->reactor;
	enum codec codec = part->kind->codec ? part->kind->codec(part->io->shard) : CODEC_NONE;
	struct bytes built = {0};
	enum err err = batch_builder_finish(&batch->builder, &built);

	if (!err && codec != CODEC_NONE)
		err = coord_batch_pack(batch, codec, &built);

	batch->state = COORD_BATCH_APPENDING;
	batch->append = (struct leader_append){
		.partition = partition,
		.records = codec == CODEC_NONE ? batch->bytes.p : batch->packed.p,
		.records_len = built.len,
		.acks = -1,
		.is_coordinators = true,
		.timeout_ms = APPEND_TIMEOUT_MS,
		.now_ms = reactor->wall_ms,
		.reactor = reactor,
		.compress = part->io->shard->compress,
		.arena = &batch->arena,
		.done = coord_batch_appended,
	};
	if (!err)
		err = partition ? partition_check_leader(partition, -1) : ERR_NOT_LEADER_OR_FOLLOWER;
	if (err) {
		batch->append.err = err == ERR_WOULD_BLOCK ? ERR_NOT_LEADER_OR_FOLLOWER : err;
		coord_batch_appended(&batch->append);
		return;
	}
	leader_append_start(&batch->append);
}

/* The append may free batch and part. */
static void coord_batch_flush(struct coord_batch *batch, struct partition *partition)
{
	struct shard *shard = batch->part->io->shard;
	struct hist *times = batch->part->io->stats[batch->part->kind_id].times;
	int64_t began_ns = metrics_clock(shard);

	hist_add(&times[COORD_TIME_LINGER], began_ns - batch->made_ns);
	coord_batch_append(batch, partition);
	hist_add(&times[COORD_TIME_FLUSH], metrics_clock(shard) - began_ns);
}

static struct coord_batch *coord_batch_next(struct coord_partition *part)
{
	for (struct list *node = part->batches.next; node != &part->batches; node = node->next) {
		struct coord_batch *batch = list_entry(node, struct coord_batch, link);

		/* It is void with all behind it as soon as those before it have come back. */
		if (batch->state == COORD_BATCH_DONE && batch->append.err && !batch->is_dropped)
			return NULL;
		if (batch->state < COORD_BATCH_APPENDING)
			return batch;
	}
	return NULL;
}

void coord_partition_flush_now(struct coord_partition *part)
{
	struct shard *shard = part->io->shard;
	struct coord_batch *batch;

	/* The answers to what fails at once may write more: it goes with this flush. */
	while ((batch = coord_batch_next(part)) != NULL) {
		if (batch == part->open_batch)
			part->open_batch = NULL;
		coord_batch_flush(batch, shard_partition(shard, part->topic_id, part->index));
	}
}

static void coord_partition_flush(struct deferred *deferred)
{
	struct coord_partition *part = container_of(deferred, struct coord_partition, flush);

	coord_partition_flush_now(part);
	part->is_flushing = false;
	coord_partition_free_if_idle(part);
}

static struct coord_batch *coord_batch_new(struct coord_partition *part, struct coord_origin origin)
{
	struct coord_batch *batch = coord_batch_take(part->io);
	struct batch_spec spec = BATCH_SPEC_INIT;
	enum err err;

	batch->part = part;
	batch->origin = origin;
	batch->made_ns = metrics_now(part->io->shard);
	list_init(&batch->link);
	if (origin.producer_id >= 0) {
		spec.producer_id = origin.producer_id;
		spec.producer_epoch = origin.producer_epoch;
		spec.attributes = BATCH_TRANSACTIONAL;
		spec.base_sequence = 0; /* as Kafka writes it; nobody counts on */
	}
	err = batch_builder_init(&batch->builder, &spec, &batch->bytes, NULL);
	CHECK_OP(err, ==, ERR_NONE); /* an empty scratch has room for a header */
	list_push_back(&part->batches, &batch->link);
	part->open_batch = batch;
	return batch;
}

static bool coord_batch_takes(const struct coord_batch *batch, struct coord_origin origin, size_t len, size_t max)
{
	return batch && batch->origin.producer_id == origin.producer_id &&
	       batch->origin.producer_epoch == origin.producer_epoch &&
	       batch_builder_len(&batch->builder) + len <= max;
}

static bool coord_origin_is_fenced(const struct partition *partition, struct coord_origin origin)
{
	const struct producer_entry *entry = NULL;

	if (origin.producer_id >= 0)
		entry = producer_table_get(&partition->log->producers.by_id, origin.producer_id);
	return entry && entry->epoch > origin.producer_epoch;
}

enum err coord_partition_write(struct coord_shard *shard, uint64_t seq, struct coord_origin origin,
			       const struct coord_records *records)
{
	struct coord_partition *part = shard->ctx;
	struct reactor *reactor = part->io->shard->reactor;
	const struct partition *partition = shard_partition(part->io->shard, part->topic_id, part->index);
	size_t len = records->bytes + records->v.n * RECORD_OVERHEAD;
	size_t max = partition ? (size_t)partition->config.max_message_bytes : 0;
	struct coord_batch *batch = part->open_batch;

	if (!partition)
		return ERR_NOT_COORDINATOR;
	if (BATCH_HEADER_LEN + len > max)
		return ERR_MESSAGE_TOO_LARGE;
	/* Refused here it fails alone; refused by the log, everything behind it fails too. */
	if (coord_origin_is_fenced(partition, origin))
		return ERR_INVALID_PRODUCER_EPOCH;
	if (batch && !coord_batch_takes(batch, origin, len, max)) {
		batch->state = COORD_BATCH_CLOSED;
		batch = NULL;
	}
	if (!batch) {
		batch = coord_batch_new(part, origin);
		batch->seq_first = seq;
	}
	batch->seq_last = seq;
	for (size_t i = 0; i < records->v.n; i++) {
		struct record_fields fields = {.key = records->v.v[i].key, .value = records->v.v[i].value};
		enum err err = batch_builder_add(&batch->builder, reactor->wall_ms, &fields);

		CHECK_OP(err, ==, ERR_NONE); /* the size was checked above */
	}
	if (!part->is_flushing) {
		part->is_flushing = true;
		reactor_defer(reactor, &part->flush, coord_partition_flush);
	}
	return ERR_NONE;
}
