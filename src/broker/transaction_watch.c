/* SPDX-License-Identifier: Apache-2.0 */
/* See transaction_watch.h: a scatter to the partitions of a transaction, and one line of what they say. */
#include "transaction_watch.h"

#include <inttypes.h>

#include "broker.h"
#include "log.h"
#include "mem.h"
#include "owner_part.h"
#include "shard.h"

#define WATCH_PARTS_MAX 20 /* partitions that are asked and named */
#define WATCH_TEXT_MAX 2048
#define CLIENT_TEXT_MAX 160
#define LATE_AFTER_MS (INT64_C(5) * 60 * 1000)

struct watch_part {
	struct owner_part owner;
	struct txn_watch *watch;
	const char *topic;
	int64_t first_offset; /* of this transaction there; -1: it has written nothing, or it is not known */
	int64_t held_n;       /* records that committed readers do not get as yet, whoever keeps them back */
	bool is_first;        /* it is this transaction that does */
};

struct txn_watch {
	struct coordinator_io *io;
	struct str id, client;
	struct txn_producer producer;
	int64_t start_ms, open_ms;
	int32_t timeout_ms, partitions_n;
	struct watch_part parts[WATCH_PARTS_MAX];
	int32_t parts_n;
	struct scatter *scatter;
	struct arena arena;
};

static struct str client_text(const struct request *request, char text[CLIENT_TEXT_MAX])
{
	char peer[IO_ADDR_TEXT_MAX];
	struct fmt f;

	io_addr_format(&request->conn->peer, peer);
	fmt_init(&f, text, CLIENT_TEXT_MAX);
	fmt_add(&f, "host=/%s client=\"%.*s\"", peer, (int)MIN(request->head.client_id.len, (size_t)80),
		request->head.client_id.p ? request->head.client_id.p : "");
	return (struct str){text, f.len};
}

static struct str txn_client(const struct txn *txn)
{
	return txn->client.p ? txn->client : STR("client=unknown");
}

void transaction_client_learn(struct coordinator_txn *machine, struct str id, const struct request *request)
{
	struct txn *txn = txn_find(&machine->store, id);
	char text[CLIENT_TEXT_MAX];

	if (txn && request && request->conn && !txn->client.p)
		txn_client_set(txn, client_text(request, text));
}

void transaction_owner_changes(struct coordinator_txn *machine, struct str id, const struct request *request)
{
	struct txn *txn = txn_find(&machine->store, id);
	char text[CLIENT_TEXT_MAX];

	if (!txn)
		return;
	txn_client_set(txn, client_text(request, text));
	log_info("transaction.producer", "id=%.*s producer=%" PRId64 " epoch=%d %.*s timeout_ms=%d", STR_ARGS(id),
		 txn->producer_id, txn->epoch, STR_ARGS(txn->client), txn->timeout_ms);
}

void transaction_owner_fenced(struct coordinator_txn *machine, struct str id, const struct request *request)
{
	const struct txn *txn = txn_find(&machine->store, id);
	char text[CLIENT_TEXT_MAX];

	if (!txn)
		return;
	log_info("transaction.fenced",
		 "id=%.*s producer=%" PRId64 " epoch=%d %.*s open_ms=%" PRId64 " partitions=%d by=[%.*s] "
		 "text=\"its open transaction is aborted, as another producer has come for the id\"",
		 STR_ARGS(id), txn->producer_id, txn->epoch, STR_ARGS(txn_client(txn)),
		 machine->store.shard->wall_ms - txn->start_ms, txn->partitions.n,
		 STR_ARGS(client_text(request, text)));
}

/* ---- open for long ---- */

static void watch_part_ready(struct owner_part *owner, enum err err)
{
	struct watch_part *part = container_of(owner, struct watch_part, owner);
	struct partition *partition = owner->partition;

	if (!err) {
		const struct producer_entry *entry =
			producer_table_get(&partition->log->producers.by_id, part->watch->producer.id);
		int64_t stable = leader_last_stable(partition);

		part->first_offset = entry ? entry->txn_first_offset : -1;
		part->held_n = MAX(partition->high_watermark.offset - stable, INT64_C(0));
		part->is_first = part->first_offset == stable;
	}
	scatter_part_done(owner->leg);
}

static void watch_answered(struct scatter *scatter)
{
	struct txn_watch *watch = scatter->home_op;
	char text[WATCH_TEXT_MAX];
	int64_t held_n = 0;
	struct fmt f;

	fmt_init(&f, text, sizeof(text));
	for (int32_t i = 0; i < watch->parts_n; i++) {
		const struct watch_part *part = &watch->parts[i];

		fmt_add(&f, "%s%s-%d", i ? ", " : "", part->topic, part->owner.index);
		if (part->first_offset >= 0)
			fmt_add(&f, " from %" PRId64 "%s", part->first_offset,
				part->is_first ? "" : " (another one before it)");
		held_n += part->first_offset >= 0 ? part->held_n : 0;
	}
	if (watch->partitions_n > watch->parts_n)
		fmt_add(&f, ", ...");
	log_warn("transaction.open_long",
		 "id=%.*s producer=%" PRId64 " epoch=%d %.*s since_ms=%" PRId64 " open_s=%" PRId64
		 " timeout_ms=%d partitions=%d in=\"%s\" held_back=%" PRId64
		 " text=\"committed readers of these partitions wait for it; it is aborted at its timeout, or by "
		 "kafka-transactions forceTerminateTransaction\"",
		 STR_ARGS(watch->id), watch->producer.id, watch->producer.epoch, STR_ARGS(watch->client),
		 watch->start_ms, watch->open_ms / 1000, watch->timeout_ms, watch->partitions_n, text, held_n);
	watch->io->markers_n--;
	scatter_free(watch->scatter);
	arena_reset(&watch->arena);
	mem_free(watch);
}

void transaction_watch_tell(struct txn_store *store, const struct txn *txn)
{
	struct coordinator_txn *machine = container_of(store, struct coordinator_txn, store);
	const struct image *image = machine->owner->image;
	struct txn_watch *watch = MEM_NEW(struct txn_watch);

	watch->io = machine->owner->coordinators;
	watch->id = arena_str(&watch->arena, txn->id);
	watch->client = arena_str(&watch->arena, txn_client(txn));
	watch->producer = (struct txn_producer){txn->producer_id, txn->epoch};
	watch->start_ms = txn->start_ms;
	watch->open_ms = store->shard->wall_ms - txn->start_ms;
	watch->timeout_ms = txn->timeout_ms;
	watch->partitions_n = txn->partitions.n;
	watch->scatter = scatter_new(machine->owner, &watch->arena);
	watch->scatter->home_op = watch;
	for (int32_t i = 0; i < txn->partitions.n && watch->parts_n < WATCH_PARTS_MAX; i++) {
		const struct txn_partition *from = &txn->partitions.v[i];
		const struct topic_image *topic = image ? image_topic(image, from->topic) : NULL;
		struct watch_part *part = &watch->parts[watch->parts_n];

		if (!topic || !topic_partition(topic, from->partition))
			continue;
		watch->parts_n++;
		part->owner.topic_id = topic->id;
		part->owner.index = from->partition;
		part->owner.leader_epoch = -1;
		part->owner.ready = watch_part_ready;
		part->watch = watch;
		part->topic = arena_printf(&watch->arena, "%.*s", STR_ARGS(from->topic)).p;
		part->first_offset = -1;
		owner_part_add(watch->scatter, &part->owner);
	}
	watch->io->markers_n++;
	scatter_run(watch->scatter, owner_parts_run, watch_answered);
}

/* ---- open in a partition, and unknown to its coordinator ---- */

bool transaction_is_late(const struct partition *partition)
{
	const struct shard *shard = partition->ctx;
	int64_t last_ms = producer_state_oldest_txn_ms(&partition->log->producers);

	return last_ms > 0 && shard->reactor->wall_ms - last_ms > shard->config->transaction_max_timeout_ms +
									  LATE_AFTER_MS;
}

void transaction_late_tell(struct partition *partition)
{
	const struct producer_state *producers = &partition->log->producers;
	const struct producer_entry *entry;
	struct producer_txn first;

	if (!transaction_is_late(partition))
		return;
	first = producers->open.v[producers->open_first];
	entry = producer_table_get(&producers->by_id, first.producer_id);
	if (!entry || partition->late_told == first.first_offset + 1)
		return;
	partition->late_told = first.first_offset + 1;
	log_warn("transaction.hangs",
		 "partition=%s-%d producer=%" PRId64 " epoch=%d from=%" PRId64 " last_written_ms=%" PRId64
		 " held_back=%" PRId64 " text=\"committed readers wait for it, and its coordinator has not ended it in "
		 "all the time a transaction may take; kafka-transactions find-hanging and abort\"",
		 partition->topic, partition->index, first.producer_id, entry->epoch, first.first_offset,
		 entry->last_timestamp_ms,
		 MAX(partition->high_watermark.offset - leader_last_stable(partition), INT64_C(0)));
}
