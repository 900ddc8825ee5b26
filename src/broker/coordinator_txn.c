/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions as a kind of coordinator: their topic, their settings, and what of the broker they follow. */
#include "broker.h"
#include "producer_ids.h"
#include "transaction_call.h"
#include "transaction_watch.h"

static struct txn_settings txn_settings_of(const struct broker_config *config)
{
	return (struct txn_settings){
		.max_timeout_ms = config->transaction_max_timeout_ms,
		.id_expiration_ms = config->transactional_id_expiration_ms,
		.abort_check_ms = config->transaction_abort_timed_out_transaction_cleanup_interval_ms,
		.expiration_check_ms = config->transaction_remove_expired_transaction_cleanup_interval_ms,
	};
}

static int64_t coordinator_txn_fresh_id(struct txn_store *store)
{
	return producer_ids_at_hand(container_of(store, struct coordinator_txn, store)->owner->producer_ids);
}

static void coordinator_txn_init(void *ptr, struct coord_shard *shard, struct shard *owner)
{
	struct coordinator_txn *machine = ptr;
	struct txn_settings settings = txn_settings_of(owner->config);

	txn_store_init(&machine->store, shard, &settings, owner->reactor->node->hash_seed);
	machine->store.send_markers = transaction_markers_send;
	machine->store.open_long = transaction_watch_tell;
	machine->store.fresh_id = coordinator_txn_fresh_id;
	machine->owner = owner;
	machine->part = shard->ctx;
	map_init(&machine->endings, MAP_STR, owner->reactor->node->hash_seed);
}

static void coordinator_txn_deinit(void *ptr)
{
	struct coordinator_txn *machine = ptr;

	CHECK(machine->endings.n == 0);
	map_deinit(&machine->endings);
	txn_store_deinit(&machine->store);
}

static void coordinator_txn_enter(void *ptr, struct shard *owner)
{
	struct coordinator_txn *machine = ptr;

	machine->store.settings.version = transaction_version(owner);
}

static void coordinator_txn_leave(void *ptr)
{
	transaction_markers_leave(ptr);
}

static void coordinator_txn_describe(const void *ptr, struct fmt *f)
{
	const struct coordinator_txn *machine = ptr;

	fmt_add(f, "transactional_ids=%u", machine->store.txns.n);
}

const struct coordinator_kind coordinator_kind_transaction = {
	.topic = TRANSACTIONS_TOPIC,
	.ops = &txn_machine_ops,
	.machine_size = sizeof(struct coordinator_txn),
	.init = coordinator_txn_init,
	.deinit = coordinator_txn_deinit,
	.enter = coordinator_txn_enter,
	.leave = coordinator_txn_leave,
	.describe = coordinator_txn_describe,
};

enum err coordinator_io_each_txn(struct shard *shard, void (*fn)(void *ctx, const struct txn *txn), void *ctx)
{
	struct coord_partition *part;
	enum err err = ERR_NONE;

	for (uint32_t it = 0; (part = map_next(&shard->coordinators->partitions, &it)) != NULL;) {
		const struct coordinator_txn *machine = part->machine;
		const struct txn *txn;

		if (part->kind_id != COORDINATOR_TRANSACTION)
			continue;
		if (part->shard.state == COORD_LOADING)
			err = ERR_COORDINATOR_LOAD_IN_PROGRESS;
		if (part->shard.state != COORD_ACTIVE)
			continue;
		for (uint32_t i = 0; (txn = map_next(&machine->store.txns, &i)) != NULL;)
			fn(ctx, txn);
	}
	return err;
}
