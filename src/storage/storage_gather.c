/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a group commit begins (storage_sync.c): a commit costs about the same for one log as for a hundred, and clients
 * that were answered by the last one come back together, so the first of them waits for the others.
 *
 *    dirty --all who are expected are there, or commits are cheap--> commit at the end of the turn
 *      \--else--> timer --nobody came meanwhile, or half the time of a commit is over--> commit
 *                 ^  |
 *                 +--+ somebody came
 *
 * Without the way back, clients that wait for each answer would fall into halves that take turns.
 */
#include "storage_internal.h"

/* A commit that takes less waits for nobody. */
#define COMMIT_CHEAP_NS (150 * NS_PER_US)
/* How long one waits for the next to come. */
#define COMMIT_GATHER_MIN_NS (50 * NS_PER_US)
#define COMMIT_GATHER_MAX_NS (500 * NS_PER_US)
/* Who has come is not seen before the turn that writes what it brought: nobody came if nobody is seen for so many. */
#define COMMIT_GATHER_LOOKS 3
/* While others keep coming it waits on, at most so long; for small commits only, whose price is that of the sync. */
#define COMMIT_GATHER_ALL_NS (1000 * NS_PER_US)
#define COMMIT_SMALL_BYTES KIB(256)

void storage_commit_later(struct storage_dir *dir)
{
	reactor_flush_later(dir->storage->reactor, &dir_core_of(dir)->hook);
}

static void dir_gather_over(struct timer *timer);

static int64_t dir_gather_delay_ns(const struct dir_core *core)
{
	return MIN(MAX(core->commit_took_ns / 8, COMMIT_GATHER_MIN_NS), COMMIT_GATHER_MAX_NS);
}

static void dir_gather_set(struct dir_core *core, int64_t delay_ns)
{
	core->gather_bytes = core->waiting_bytes;
	core->gather_looks_n = 0;
	reactor_timer(core->dir->storage->reactor, &core->gather, delay_ns, dir_gather_over);
}

static void dir_gather_over(struct timer *timer)
{
	struct dir_core *core = container_of(timer, struct dir_core, gather);
	int64_t delay_ns = dir_gather_delay_ns(core), now_ns = core->dir->storage->reactor->now_ns;

	if (core->expected_bytes > COMMIT_SMALL_BYTES) {
		storage_commit_start(core->dir);
	} else if (core->gather_end_ns == 0) {
		/* Until now the reactor was busy sending the answers that those who are expected wait for. */
		core->gather_end_ns = now_ns + MIN(core->commit_took_ns / 2, COMMIT_GATHER_ALL_NS);
		dir_gather_set(core, delay_ns);
	} else if (core->waiting_bytes > core->gather_bytes && now_ns + delay_ns <= core->gather_end_ns) {
		dir_gather_set(core, delay_ns);
	} else if (core->waiting_bytes == core->gather_bytes && ++core->gather_looks_n < COMMIT_GATHER_LOOKS) {
		reactor_timer(core->dir->storage->reactor, &core->gather, 1, dir_gather_over);
	} else {
		storage_commit_start(core->dir);
	}
}

/* Nearly all who may come have come: headers make the same records now a little more, now a little less. */
static bool dir_gathered_all(const struct dir_core *core)
{
	return core->waiting_bytes >= core->expected_bytes - core->expected_bytes / 16;
}

void storage_commit_gather(struct storage_dir *dir)
{
	struct dir_core *core = dir_core_of(dir);
	int64_t delay_ns = dir_gather_delay_ns(core);

	if (dir->commit_is_running)
		return;
	if (core->commit_took_ns < COMMIT_CHEAP_NS || dir_gathered_all(core)) {
		storage_commit_later(dir);
	} else if (!timer_is_on(&core->gather)) {
		core->gather_end_ns = 0;
		dir_gather_set(core, delay_ns);
	}
}
