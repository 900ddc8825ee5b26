/* SPDX-License-Identifier: Apache-2.0 */
/* See partition_change.h. */
#include "partition_change.h"

#include "msg/metadata_records.h"

/* A set of broker ids, in the order of replicas. */
struct id_set {
	int32_t *ids;
	int32_t n;
};

struct election {
	const struct partition_change *change;
	const struct partition_image *partition;
	struct id_set isr, elr; /* after the change */
	int32_t leader;
	bool is_unclean;
};

static bool ids_have(const int32_t *ids, int32_t n, int32_t id)
{
	for (int32_t i = 0; i < n; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

static bool set_has(const struct id_set *set, int32_t id)
{
	return ids_have(set->ids, set->n, id);
}

static bool set_is(const struct id_set *set, const int32_t *ids, int32_t n)
{
	return set->n == n && (n == 0 || memcmp(set->ids, ids, (size_t)n * sizeof(*ids)) == 0);
}

bool broker_is_active(const struct image *image, int32_t id)
{
	const struct broker_image *broker = image_broker(image, id);

	return broker && !broker->fenced && !broker->in_controlled_shutdown;
}

struct uuid partition_directory(const struct partition_image *partition, int32_t broker)
{
	for (int32_t i = 0; i < partition->replicas_n && i < partition->directories_n; i++) {
		if (partition->replicas[i] == broker)
			return partition->directories[i];
	}
	return UUID_DIR_UNASSIGNED;
}

bool broker_has_directory(const struct broker_image *broker, struct uuid directory)
{
	if (broker->log_dirs_n == 0 || uuid_eq(directory, UUID_DIR_UNASSIGNED) ||
	    uuid_eq(directory, UUID_DIR_MIGRATING))
		return true;
	for (int32_t i = 0; i < broker->log_dirs_n; i++) {
		if (uuid_eq(broker->log_dirs[i], directory))
			return true;
	}
	return false;
}

static bool election_is_acceptable(const struct election *e, int32_t id)
{
	const struct broker_image *broker = image_broker(e->change->image, id);

	if (id == e->change->leaving || id == e->change->unclean)
		return false;
	if (broker && !broker_has_directory(broker, partition_directory(e->partition, id)))
		return false;
	return id == e->change->arriving || broker_is_active(e->change->image, id);
}

static bool election_is_valid(const struct election *e, int32_t id)
{
	return (set_has(&e->isr, id) || set_has(&e->elr, id)) && election_is_acceptable(e, id);
}

/* The in-sync set without who leaves; eligible are those who were in sync or eligible and may not have lost data. */
static void election_sets(struct election *e, struct arena *arena)
{
	const struct partition_image *p = e->partition;
	const struct partition_change *change = e->change;

	e->isr.ids = ARENA_NEW_N(arena, int32_t, p->isr_n + 1);
	e->elr.ids = ARENA_NEW_N(arena, int32_t, p->isr_n + p->elr_n);
	for (int32_t i = 0; i < p->isr_n; i++) {
		if (p->isr[i] != change->leaving && p->isr[i] != change->unclean)
			e->isr.ids[e->isr.n++] = p->isr[i];
	}
	if (!change->is_elr_enabled || e->isr.n >= MIN(change->min_isr, p->replicas_n))
		return;
	for (int32_t i = 0; i < p->elr_n + p->isr_n; i++) {
		int32_t id = i < p->elr_n ? p->elr[i] : p->isr[i - p->elr_n];

		if (!set_has(&e->isr, id) && !set_has(&e->elr, id) && id != change->unclean)
			e->elr.ids[e->elr.n++] = id;
	}
}

/* Without ELR the last member stays in the in-sync set, though it does not lead. */
static void election_keep_last(struct election *e)
{
	const struct partition_image *p = e->partition;

	if (e->change->is_elr_enabled || e->isr.n > 0 || p->isr_n == 0)
		return;
	e->isr.n = p->isr_n;
	memcpy(e->isr.ids, p->isr, (size_t)p->isr_n * sizeof(*p->isr));
}

static void election_run(struct election *e)
{
	const struct partition_image *p = e->partition;

	if (e->change->prefers_first && p->replicas_n > 0 && election_is_valid(e, p->replicas[0])) {
		e->leader = p->replicas[0];
		return;
	}
	e->leader = p->leader;
	if (p->leader != LEADER_NONE && election_is_valid(e, p->leader))
		return;
	for (int pass = 0; pass < 2; pass++) { /* in sync first, then eligible */
		for (int32_t i = 0; i < p->replicas_n; i++) {
			e->leader = p->replicas[i];
			if (set_has(pass ? &e->elr : &e->isr, e->leader) && election_is_acceptable(e, e->leader))
				return;
		}
	}
	e->is_unclean = true;
	if (e->change->is_elr_enabled && e->isr.n == 0 && e->elr.n == 0 && p->last_known_elr_n == 1) {
		e->leader = p->last_known_elr[0];
		if (ids_have(p->replicas, p->replicas_n, e->leader) && election_is_acceptable(e, e->leader))
			return;
	}
	for (int32_t i = 0; e->change->may_elect_unclean && i < p->replicas_n; i++) {
		e->leader = p->replicas[i];
		if (election_is_acceptable(e, e->leader))
			return;
	}
	e->is_unclean = false;
	e->leader = LEADER_NONE;
}

/* An elected leader from outside the in-sync set becomes all of it. */
static void election_adopt(struct election *e)
{
	int32_t n = 0;

	if (e->leader == LEADER_NONE || e->leader == e->partition->leader ||
	    (set_has(&e->isr, e->leader) && !e->is_unclean))
		return;
	e->isr.ids[0] = e->leader;
	e->isr.n = 1;
	if (e->is_unclean) {
		e->elr.n = 0;
		return;
	}
	for (int32_t i = 0; i < e->elr.n; i++) {
		if (e->elr.ids[i] != e->leader)
			e->elr.ids[n++] = e->elr.ids[i];
	}
	e->elr.n = n;
}

/* Who led last, remembered while nobody does. */
static void election_last_known(const struct election *e, struct arena *arena, struct partition_change_record *ret)
{
	const struct partition_image *p = e->partition;

	if (!e->change->is_elr_enabled)
		return;
	if (ret->isr_n == 0 && p->leader != LEADER_NONE &&
	    (p->last_known_elr_n != 1 || p->last_known_elr[0] != p->leader)) {
		ret->last_known_elr = ARENA_NEW(arena, int32_t);
		ret->last_known_elr[0] = p->leader;
		ret->last_known_elr_n = 1;
	} else if (e->leader != LEADER_NONE && p->last_known_elr_n > 0) {
		ret->last_known_elr_n = 0;
	}
}

bool partition_change_decide(const struct partition_change *change, const struct partition_image *partition,
			     struct uuid topic_id, int32_t index, struct arena *arena,
			     struct partition_change_record *ret)
{
	struct election e = {.change = change, .partition = partition};
	bool changed = false;

	election_sets(&e, arena);
	election_run(&e);
	election_keep_last(&e);
	election_adopt(&e);
	msg_init(&partition_change_record_type, ret);
	ret->partition_id = index;
	ret->topic_id = topic_id;
	if (e.leader != partition->leader) {
		ret->leader = e.leader;
		changed = true;
	}
	if (!set_is(&e.isr, partition->isr, partition->isr_n)) {
		ret->isr = e.isr.ids;
		ret->isr_n = e.isr.n;
		changed = true;
	}
	if (e.is_unclean && partition->leader_recovery_state != 1) {
		ret->leader_recovery_state = 1;
		changed = true;
	}
	if (!set_is(&e.elr, partition->elr, partition->elr_n)) {
		ret->eligible_leader_replicas = e.elr.ids;
		ret->eligible_leader_replicas_n = e.elr.n;
		changed = true;
	}
	election_last_known(&e, arena, ret);
	return changed || ret->last_known_elr_n >= 0;
}
