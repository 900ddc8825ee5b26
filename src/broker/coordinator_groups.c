/* SPDX-License-Identifier: Apache-2.0 */
/* Groups as a kind of coordinator: their topic, their settings, and what of the broker they follow. */
#include "broker.h"
#include "coordinator_io_internal.h"
#include "mem.h"
#include "shard.h"

static bool list_has(const struct str_list *list, const char *value)
{
	for (size_t i = 0; i < list->n; i++) {
		if (str_eq_c(list->v[i], value))
			return true;
	}
	return false;
}

static struct group_settings group_settings_of(const struct broker_config *config)
{
	struct str policy = config->group_consumer_migration_policy;
	char first = policy.len ? (char)(policy.p[0] | 0x20) : 'b';

	return (struct group_settings){
		.initial_rebalance_delay_ms = config->group_initial_rebalance_delay_ms,
		.min_session_timeout_ms = config->group_min_session_timeout_ms,
		.max_session_timeout_ms = config->group_max_session_timeout_ms,
		.max_size = config->group_max_size,
		.offset_metadata_max_bytes = config->offset_metadata_max_bytes,
		.offsets_retention_ms = (int64_t)config->offsets_retention_minutes * 60000,
		.offsets_retention_check_interval_ms = config->offsets_retention_check_interval_ms,
		.consumer_session_timeout_ms = config->group_consumer_session_timeout_ms,
		.consumer_heartbeat_interval_ms = config->group_consumer_heartbeat_interval_ms,
		.consumer_max_size = config->group_consumer_max_size,
		.consumer_assignment_interval_ms = config->group_consumer_assignment_interval_ms,
		.consumer_regex_refresh_interval_ms = config->group_consumer_regex_refresh_interval_ms,
		.consumer_session_least_ms = config->group_consumer_min_session_timeout_ms,
		.consumer_session_most_ms = config->group_consumer_max_session_timeout_ms,
		.consumer_heartbeat_least_ms = config->group_consumer_min_heartbeat_interval_ms,
		.consumer_heartbeat_most_ms = config->group_consumer_max_heartbeat_interval_ms,
		.consumer_assignment_least_ms = config->group_consumer_min_assignment_interval_ms,
		.consumer_assignment_most_ms = config->group_consumer_max_assignment_interval_ms,
		.consumer_has_uniform = list_has(&config->group_consumer_assignors, "uniform"),
		.consumer_has_range = list_has(&config->group_consumer_assignors, "range"),
		.consumer_range_first = config->group_consumer_assignors.n > 0 &&
					str_eq_c(config->group_consumer_assignors.v[0], "range"),
		.can_upgrade = first == 'u' || first == 'b',
		.can_downgrade = (first == 'd' && policy.len > 1 && (policy.p[1] | 0x20) == 'o') || first == 'b',
	};
}

/* A group's work on a helper thread. */
struct coordinator_work {
	struct io_op op;
	struct group_work *work;
	struct coordinator_io *io;
};

static void coordinator_work_run(struct io_op *op, struct fs *fs UNUSED)
{
	struct group_work *work = container_of(op, struct coordinator_work, op)->work;

	work->run(work);
}

static void coordinator_work_done(struct io_op *op)
{
	struct coordinator_work *it = container_of(op, struct coordinator_work, op);
	struct group_work *work = it->work;

	it->io->works_n--;
	mem_free(it);
	work->done(work);
}

static void coordinator_work_start(struct group_store *store, struct group_work *work)
{
	const struct coord_partition *part = store->shard->ctx;
	struct coordinator_work *it = MEM_NEW(struct coordinator_work);

	it->op = (struct io_op){.kind = IO_WORK, .done = coordinator_work_done, .work.run = coordinator_work_run};
	it->work = work;
	it->io = part->io;
	it->io->works_n++;
	io_submit(part->io->shard->reactor->io, &it->op);
}

static void coordinator_group_init(void *machine, struct coord_shard *shard, struct shard *owner)
{
	struct group_settings settings = group_settings_of(owner->config);

	group_store_init(machine, shard, &settings, owner->reactor->node->hash_seed);
	if (owner->broker->group_inline_max)
		((struct group_store *)machine)->inline_max = owner->broker->group_inline_max;
	((struct group_store *)machine)->start_work = coordinator_work_start;
	((struct group_store *)machine)->memory = &owner->coordinators->group_memory;
}

static void coordinator_group_deinit(void *machine)
{
	group_store_deinit(machine);
}

static void coordinator_group_enter(void *machine, struct shard *owner)
{
	struct group_store *store = machine;

	store->image = owner->image;
}

static void coordinator_group_release(void *machine, enum err err)
{
	group_store_release(machine, err);
}

static void coordinator_group_topic_deleted(void *machine, struct str topic)
{
	offsets_topic_deleted(machine, topic);
}

static void coordinator_group_describe(const void *machine, struct fmt *f)
{
	const struct group_store *store = machine;

	fmt_add(f, "groups=%u offsets=%lld", store->groups.n, (long long)store->offsets_n);
}

static enum codec coordinator_group_codec(const struct shard *owner)
{
	return (enum codec)owner->config->offsets_topic_compression_codec;
}

const struct coordinator_kind coordinator_kind_group = {
	.topic = OFFSETS_TOPIC,
	.ops = &group_machine_ops,
	.machine_size = sizeof(struct group_store),
	.init = coordinator_group_init,
	.deinit = coordinator_group_deinit,
	.enter = coordinator_group_enter,
	.release = coordinator_group_release,
	.topic_deleted = coordinator_group_topic_deleted,
	.describe = coordinator_group_describe,
	.codec = coordinator_group_codec,
};
