/* SPDX-License-Identifier: Apache-2.0 */
/* See txn.h: the store, the record of an entry, and what time does to entries. */
#include "txn.h"

#include <stdlib.h>

#include "fault.h"
#include "log.h"
#include "txn_internal.h"

#define EXPIRED_PER_TURN 1000

const char *txn_state_name(enum txn_state state)
{
	switch (state) {
	case TXN_EMPTY:
		return "Empty";
	case TXN_ONGOING:
		return "Ongoing";
	case TXN_PREPARE_COMMIT:
		return "PrepareCommit";
	case TXN_PREPARE_ABORT:
		return "PrepareAbort";
	case TXN_COMPLETE_COMMIT:
		return "CompleteCommit";
	case TXN_COMPLETE_ABORT:
		return "CompleteAbort";
	case TXN_DEAD:
		return "Dead";
	case TXN_PREPARE_EPOCH_FENCE:
		return "PrepareEpochFence";
	default:
		UNREACHABLE();
	}
}

void txn_store_init(struct txn_store *store, struct coord_shard *shard, const struct txn_settings *settings,
		    uint64_t seed)
{
	*store = (struct txn_store){.shard = shard, .settings = *settings, .seed = seed, .unsaid_last_epoch = -1,
				    .unsaid_previous_id = -1};
	arena_init(&store->scratch, store->scratch_block, sizeof(store->scratch_block));
	store->scratch.limit = COORD_REPLAY_LIMIT;
	map_init(&store->txns, MAP_STR, seed);
}

void txn_client_set(struct txn *txn, struct str client)
{
	if (str_eq(txn->client, client))
		return;
	mem_free((void *)(uintptr_t)txn->client.p);
	txn->client = (struct str){mem_strdup_n(client.p, client.len), client.len};
}

static void txn_free(struct txn *txn)
{
	mem_free((void *)(uintptr_t)txn->client.p);
	mem_free(txn->partitions.v);
	mem_free((void *)(uintptr_t)txn->id.p);
	mem_free(txn);
}

static void txn_store_clear(struct txn_store *store)
{
	struct txn *txn;

	for (uint32_t it = 0; (txn = map_next(&store->txns, &it)) != NULL;) {
		map_remove_str(&store->txns, txn->id);
		txn_free(txn);
	}
}

void txn_store_deinit(struct txn_store *store)
{
	if (!store->shard)
		return;
	txn_store_clear(store);
	map_deinit(&store->txns);
	arena_reset(&store->scratch);
	*store = (struct txn_store){0};
}

struct txn *txn_find(const struct txn_store *store, struct str id)
{
	return map_get_str(&store->txns, id);
}

bool txn_is_decided(const struct txn *txn)
{
	return txn->state == TXN_PREPARE_COMMIT || txn->state == TXN_PREPARE_ABORT;
}

int16_t txn_marker_epoch(const struct txn *txn)
{
	return txn->epoch;
}

/* ---- partitions ---- */

static int partition_cmp(const void *a_ptr, const void *b_ptr)
{
	const struct txn_partition *a = a_ptr, *b = b_ptr;
	int c = str_cmp(a->topic, b->topic);

	return c ? c : (a->partition > b->partition) - (a->partition < b->partition);
}

void txn_partitions_normalize(struct txn_partitions *partitions)
{
	int32_t n = 0;

	if (partitions->n > 1)
		qsort(partitions->v, (size_t)partitions->n, sizeof(*partitions->v), partition_cmp);
	for (int32_t i = 0; i < partitions->n; i++) {
		if (n == 0 || partition_cmp(&partitions->v[n - 1], &partitions->v[i]) != 0)
			partitions->v[n++] = partitions->v[i];
	}
	partitions->n = n;
}

bool txn_has_partition(const struct txn *txn, struct str topic, int32_t partition)
{
	struct txn_partition key = {topic, partition};

	return txn->partitions.n > 0 && bsearch(&key, txn->partitions.v, (size_t)txn->partitions.n, sizeof(key),
						 partition_cmp) != NULL;
}

/* One block: the array, then each topic's name once. */
static struct txn_partitions partitions_copy(struct txn_partitions from)
{
	struct txn_partitions ret = {NULL, from.n};
	size_t bytes = (size_t)from.n * sizeof(*from.v);
	char *names;

	if (from.n == 0)
		return ret;
	for (int32_t i = 0; i < from.n; i++)
		bytes += i == 0 || !str_eq(from.v[i].topic, from.v[i - 1].topic) ? from.v[i].topic.len : 0;
	ret.v = mem_alloc(bytes);
	names = (char *)&ret.v[from.n];
	for (int32_t i = 0; i < from.n; i++) {
		ret.v[i].partition = from.v[i].partition;
		if (i > 0 && str_eq(from.v[i].topic, from.v[i - 1].topic)) {
			ret.v[i].topic = ret.v[i - 1].topic;
			continue;
		}
		memcpy(names, from.v[i].topic.p, from.v[i].topic.len);
		ret.v[i].topic = (struct str){names, from.v[i].topic.len};
		names += from.v[i].topic.len;
	}
	return ret;
}

/* ---- the record ---- */

int32_t txn_partitions_topic_n(struct txn_partitions partitions, int32_t from)
{
	int32_t to = from;

	while (to < partitions.n && str_eq(partitions.v[to].topic, partitions.v[from].topic))
		to++;
	return to - from;
}

static void txn_value(const struct txn *txn, struct arena *arena, struct transaction_log_value *ret)
{
	struct txn_partitions partitions = txn->partitions;

	msg_init(&transaction_log_value_type, ret);
	ret->producer_id = txn->producer_id;
	ret->producer_epoch = txn->epoch;
	ret->transaction_timeout_ms = txn->timeout_ms;
	ret->transaction_status = (int8_t)txn->state;
	ret->transaction_last_update_timestamp_ms = txn->update_ms;
	ret->transaction_start_timestamp_ms = txn->start_ms;
	ret->transaction_partitions_n = -1;
	if (txn->store->settings.version >= TXN_VERSION_1) {
		ret->previous_producer_id = txn->previous_producer_id;
		ret->next_producer_id = txn->next_producer_id;
		ret->client_transaction_version = (int16_t)txn->version;
	}
	if (txn->state == TXN_EMPTY)
		return;
	ret->transaction_partitions_n = 0;
	ret->transaction_partitions = MSG_NEW_N(arena, transaction_log_value_transaction_partitions,
						partitions.n + 1);
	for (int32_t i = 0; i < partitions.n; i += txn_partitions_topic_n(partitions, i)) {
		struct transaction_log_value_transaction_partitions *topic =
			&ret->transaction_partitions[ret->transaction_partitions_n++];

		topic->topic = partitions.v[i].topic;
		topic->partition_ids_n = txn_partitions_topic_n(partitions, i);
		topic->partition_ids = ARENA_NEW_N(arena, int32_t, topic->partition_ids_n);
		for (int32_t p = 0; p < topic->partition_ids_n; p++)
			topic->partition_ids[p] = partitions.v[i + p].partition;
	}
}

void txn_write(struct txn_store *store, const struct txn *next, struct coord_records *records)
{
	struct transaction_log_key key = {next->id};
	const struct txn *txn = txn_find(store, next->id);
	struct transaction_log_value value;
	int16_t version = store->settings.version >= TXN_VERSION_1 ? 1 : 0;

	txn_value(next, records->arena, &value);
	/* As Kafka has it: whose the id was before this record, mostly the same producer. */
	if (version >= 1)
		value.previous_producer_id = txn ? txn->producer_id : next->producer_id;
	coord_records_encode(records, MSG_FAMILY_TXN, TXN_TRANSACTION_LOG, version, &key, &value);
	/* What the record does not say; replay, which follows at once, takes it from here. */
	store->unsaid_last_epoch = next->last_epoch;
	store->unsaid_previous_id = version >= 1 ? -1 : txn ? txn->producer_id : next->producer_id;
}

static enum err txn_partitions_of(const struct transaction_log_value *value, struct arena *arena,
				  struct txn_partitions *ret, struct err_text *text)
{
	int64_t n = 0;

	for (int32_t i = 0; i < value->transaction_partitions_n; i++)
		n += value->transaction_partitions[i].partition_ids_n;
	if (n > TXN_PARTITIONS_MAX)
		return err_text_set(text, ERR_DECODE, "a transaction over %lld partitions", (long long)n);
	*ret = (struct txn_partitions){ARENA_NEW_N(arena, struct txn_partition, n), 0};
	for (int32_t i = 0; i < value->transaction_partitions_n; i++) {
		for (int32_t p = 0; p < value->transaction_partitions[i].partition_ids_n; p++)
			ret->v[ret->n++] =
				(struct txn_partition){value->transaction_partitions[i].topic,
						       value->transaction_partitions[i].partition_ids[p]};
	}
	txn_partitions_normalize(ret);
	return ERR_NONE;
}

static enum err txn_apply(struct txn_store *store, struct str id, const struct transaction_log_value *value,
			  struct arena *arena, struct err_text *text)
{
	struct txn *txn = txn_find(store, id);
	struct txn_partitions partitions;
	enum err err;

	if (value->transaction_status < TXN_EMPTY || value->transaction_status > TXN_PREPARE_EPOCH_FENCE)
		return err_text_set(text, ERR_DECODE, "transactional id %.*s is in the unknown state %d", STR_ARGS(id),
				    value->transaction_status);
	err = txn_partitions_of(value, arena, &partitions, text);
	if (err)
		return err;
	if (!txn) {
		txn = MEM_NEW(struct txn);
		txn->id = (struct str){mem_strdup_n(id.p, id.len), id.len};
		txn->store = store;
		map_put_str(&store->txns, txn->id, txn);
	}
	mem_free(txn->partitions.v);
	txn->partitions = partitions_copy(partitions);
	txn->producer_id = value->producer_id;
	txn->previous_producer_id = value->previous_producer_id >= 0 ? value->previous_producer_id :
								       store->unsaid_previous_id;
	txn->next_producer_id = value->next_producer_id;
	txn->epoch = value->producer_epoch;
	txn->last_epoch = store->unsaid_last_epoch;
	txn->timeout_ms = value->transaction_timeout_ms;
	txn->state = (enum txn_state)value->transaction_status;
	txn->version = (enum txn_version)value->client_transaction_version;
	txn->start_ms = value->transaction_start_timestamp_ms;
	txn->update_ms = value->transaction_last_update_timestamp_ms;
	return ERR_NONE;
}

/* ERR_NOT_SUPPORTED: of a type to be skipped. */
static enum err txn_key(struct bytes key, struct arena *arena, struct str *ret_id, struct err_text *text)
{
	struct transaction_log_key decoded;
	struct coord_key parsed;
	enum err err = coord_key_parse(MSG_FAMILY_TXN, key, &parsed);

	if (!err)
		err = coord_key_decode(&parsed, arena, &decoded, text);
	if (!err)
		*ret_id = decoded.transactional_id;
	return err;
}

static enum err txn_replay(void *machine, struct coord_origin origin UNUSED, struct bytes key, struct bytes value,
			   struct err_text *text)
{
	struct txn_store *store = machine;
	struct transaction_log_value decoded;
	struct str id;
	enum err err = txn_key(key, &store->scratch, &id, text);

	if (!err && value.p)
		err = coord_value_decode(msg_record_find(MSG_FAMILY_TXN, TXN_TRANSACTION_LOG), value, &store->scratch,
					 &decoded, text);
	if (!err && value.p) {
		err = txn_apply(store, id, &decoded, &store->scratch, text);
	} else if (!err) {
		struct txn *txn = map_remove_str(&store->txns, id);

		if (txn)
			txn_free(txn);
	}
	store->unsaid_last_epoch = -1;
	store->unsaid_previous_id = -1;
	arena_reset(&store->scratch);
	return err == ERR_NOT_SUPPORTED ? ERR_NONE : err;
}

static struct bytes txn_current(void *machine, struct coord_origin origin UNUSED, struct bytes key,
				struct arena *arena)
{
	struct txn_store *store = machine;
	struct transaction_log_value value;
	const struct txn *txn;
	struct str id;

	if (txn_key(key, arena, &id, NULL) || !(txn = txn_find(store, id)))
		return BYTES_NULL;
	txn_value(txn, arena, &value);
	return coord_value_encode(MSG_FAMILY_TXN, TXN_TRANSACTION_LOG,
				  store->settings.version >= TXN_VERSION_1 ? 1 : 0, &value, arena);
}

/* ---- time ---- */

bool txn_epoch_is_exhausted(int16_t epoch)
{
	return epoch >= TXN_EPOCH_LAST && !FAULT(txn_epoch_overflow);
}

void txn_epoch_end(struct txn *next, int64_t fresh_id)
{
	next->last_epoch = next->epoch;
	if (txn_epoch_is_exhausted(next->epoch))
		next->next_producer_id = fresh_id;
	if (next->epoch < INT16_MAX)
		next->epoch++;
	else
		/* Markers of version 2 would have to be above it. */
		next->version = TXN_VERSION_1;
}

bool txn_fenced_needs_id(const struct txn *txn)
{
	return txn->store->settings.version >= TXN_VERSION_2 && txn_epoch_is_exhausted(txn->epoch);
}

struct txn txn_fenced(const struct txn *txn, int64_t fresh_id)
{
	struct txn next = *txn;

	next.state = TXN_PREPARE_ABORT;
	next.version = txn->store->settings.version;
	next.last_epoch = -1;
	next.update_ms = txn->store->shard->wall_ms;
	if (next.version >= TXN_VERSION_2)
		txn_epoch_end(&next, fresh_id);
	else if (next.epoch < INT16_MAX)
		next.epoch++;
	return next;
}

/* What the settled hook of a coordinator's own write needs. */
struct txn_late {
	struct arena arena;
	struct str id;
};

static void txn_late_settled(void *machine, void *ctx, enum err err)
{
	struct txn_late *late = ctx;

	if (!err)
		txn_decision_committed(machine, late->id);
	arena_reset(&late->arena);
	mem_free(late);
}

static void txn_abort_late(struct txn_store *store, const struct txn *txn)
{
	int64_t fresh_id = txn_fenced_needs_id(txn) ? store->fresh_id(store) : -1;
	struct txn next = txn_fenced(txn, fresh_id);
	struct coord_records records = {0};
	struct txn_late *late;

	if (txn_fenced_needs_id(txn) && fresh_id < 0)
		return;
	late = MEM_NEW(struct txn_late);
	records.arena = &late->arena;
	late->id = arena_str(&late->arena, txn->id);
	log_info("transaction.timed_out",
		 "id=%.*s producer=%lld epoch=%d %.*s open_ms=%lld timeout_ms=%d partitions=%d text=\"it is aborted\"",
		 STR_ARGS(txn->id), (long long)txn->producer_id, txn->epoch,
		 STR_ARGS(txn->client.p ? txn->client : STR("client=unknown")),
		 (long long)(store->shard->wall_ms - txn->start_ms), txn->timeout_ms, txn->partitions.n);
	txn_write(store, &next, &records);
	coord_shard_write(store->shard, &records, true, txn_late_settled, late);
	vec_deinit(&records.v);
}

/* Once for each transaction: who reads committed records of these partitions waits for it. */
static void txn_warn_open(struct txn_store *store, struct txn *txn)
{
	int64_t open_ms = store->shard->wall_ms - txn->start_ms;

	if (txn->told_ms == txn->start_ms || open_ms < MIN(TXN_OPEN_LONG_MS, txn->timeout_ms / 2))
		return;
	txn->told_ms = txn->start_ms;
	store->open_long(store, txn);
}

static void txn_abort_due(struct coord_timer *timer, void *machine)
{
	struct txn_store *store = machine;
	struct txn *txn;

	for (uint32_t it = 0; (txn = map_next(&store->txns, &it)) != NULL;) {
		if (txn->state == TXN_ONGOING &&
		    store->shard->wall_ms - txn->start_ms > txn->timeout_ms)
			txn_abort_late(store, txn);
		else if (txn->state == TXN_ONGOING)
			txn_warn_open(store, txn);
	}
	coord_timer_start(store->shard, timer, store->settings.abort_check_ms, txn_abort_due);
}

static bool txn_is_unused(const struct txn *txn)
{
	return (txn->state == TXN_EMPTY || txn->state == TXN_COMPLETE_COMMIT || txn->state == TXN_COMPLETE_ABORT ||
		txn->state == TXN_DEAD) &&
	       txn->store->shard->wall_ms - txn->update_ms >= txn->store->settings.id_expiration_ms;
}

static void txn_expiry_due(struct coord_timer *timer, void *machine)
{
	struct txn_store *store = machine;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};
	struct txn *txn;

	for (uint32_t it = 0; records.v.n < EXPIRED_PER_TURN && (txn = map_next(&store->txns, &it)) != NULL;) {
		struct transaction_log_key key = {txn->id};

		if (!txn_is_unused(txn))
			continue;
		log_info("transaction.expired", "id=%.*s producer=%lld", STR_ARGS(txn->id),
			 (long long)txn->producer_id);
		coord_records_encode(&records, MSG_FAMILY_TXN, TXN_TRANSACTION_LOG, 0, &key, NULL);
	}
	/* A full turn is followed by the next one soon. */
	coord_timer_start(store->shard, timer,
			  records.v.n == EXPIRED_PER_TURN ? 100 : store->settings.expiration_check_ms, txn_expiry_due);
	if (records.v.n > 0)
		coord_shard_write(store->shard, &records, true, NULL, NULL);
	vec_deinit(&records.v);
	arena_reset(&arena);
}

static void txn_loaded(void *machine)
{
	struct txn_store *store = machine;
	struct txn *txn;

	for (uint32_t it = 0; (txn = map_next(&store->txns, &it)) != NULL;) {
		if (txn_is_decided(txn))
			store->send_markers(store, txn);
	}
	coord_timer_start(store->shard, &store->abort_timer, store->settings.abort_check_ms, txn_abort_due);
	coord_timer_start(store->shard, &store->expiry_timer, store->settings.expiration_check_ms, txn_expiry_due);
}

static void txn_unload(void *machine, enum err err UNUSED)
{
	struct txn_store *store = machine;

	coord_timer_stop(store->shard, &store->abort_timer);
	coord_timer_stop(store->shard, &store->expiry_timer);
	txn_store_clear(store);
}

const struct coord_machine_ops txn_machine_ops = {
	.name = "transaction",
	.replay = txn_replay,
	.current = txn_current,
	.loaded = txn_loaded,
	.unload = txn_unload,
};
