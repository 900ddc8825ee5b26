/* SPDX-License-Identifier: Apache-2.0 */
/* See sim_faults.h. */
#include "sim_faults.h"

#include "sim_disk.h"
#include "sim_net.h"

static int64_t draw_ms(struct sim_faults *f, int64_t lo, int64_t hi)
{
	return rng_between(&f->w->rng, lo, hi) * NS_PER_MS;
}

static struct sim_disk *disk(struct sim_faults *f)
{
	return world_node(f->w, f->node)->disk;
}

/* --- the node's life --- */

static void faults_restart(struct sim_event *event)
{
	struct sim_faults *f = container_of(event, struct sim_faults, restart);

	if (world_node(f->w, f->node)->state != SIM_NODE_OFF)
		return;
	if (f->rot)
		f->rot(f->rot_ctx);
	if (world_node_start(f->w, f->node))
		return;
	if (f->is_over && ++f->starts_failed_n > 3) {
		world_fail(f->w, "node %d does not start though nothing is broken: error %d", f->node,
			   (int)world_node(f->w, f->node)->start_err);
		return;
	}
	world_after(f->w, &f->restart, draw_ms(f, 50, 1000), faults_restart);
}

static void faults_node_ended(struct world *w, int id, enum sim_death death)
{
	struct sim_faults *f = w->ctx;

	if (death == SIM_DEATH_POWER && !w->opt.synced && f->history)
		history_lossy_cut(f->history);
	if (!sim_event_is_on(&f->restart))
		world_after(w, &f->restart, draw_ms(f, 5, 2000), faults_restart);
}

/* --- kinds --- */

static void repair_disk(struct sim_faults *f)
{
	disk_heal(disk(f));
	disk_dirs_empty(disk(f));
	disk_set_capacity(disk(f), DISK_NO_LIMIT);
}

static void repair(struct sim_event *event)
{
	struct sim_faults *f = container_of(event, struct sim_faults, repair);

	repair_disk(f);
	if (f->w->opt.f_full && !f->w->opt.ballast)
		disk_set_capacity(disk(f), f->w->opt.disk_kib * 1024 + disk_used(disk(f)));
	net_heal(f->w->net);
	world_node(f->w, f->node)->wall_skew_ns = 0;
}

static void repair_after(struct sim_faults *f, int64_t most_ms)
{
	world_after(f->w, &f->repair, draw_ms(f, 1, most_ms), repair);
}

static void fault_kill(struct sim_faults *f)
{
	world_node_kill(f->w, f->node, SIM_DEATH_PROCESS);
}

static void fault_power(struct sim_faults *f)
{
	world_node_kill(f->w, f->node, SIM_DEATH_POWER);
}

static void fault_crash_op(struct sim_faults *f)
{
	enum sim_death death = f->w->opt.f_power && world_chance(f->w, 1, 2) ? SIM_DEATH_POWER : SIM_DEATH_PROCESS;
	uint64_t most = UINT64_C(1) << rng_below(&f->w->rng, 9);

	/* Small numbers too, so that starts and stops are struck at each of their steps. */
	disk_crash_at(disk(f), 1 + rng_below(&f->w->rng, most), death);
	if (world_chance(f->w, 1, 3))
		world_node_kill(f->w, f->node, SIM_DEATH_PROCESS);
	else if (world_chance(f->w, 1, 3))
		world_node_stop(f->w, f->node);
	/* The kill took the counter along; the start after it is to be struck. */
	disk_crash_at(disk(f), 1 + rng_below(&f->w->rng, most), death);
}

static void fault_stop(struct sim_faults *f)
{
	world_node_stop(f->w, f->node);
}

static void fault_pause(struct sim_faults *f)
{
	world_node_pause(f->w, f->node, draw_ms(f, 1, 8000) / NS_PER_MS);
}

static void fault_clock(struct sim_faults *f)
{
	world_node(f->w, f->node)->wall_skew_ns = draw_ms(f, -1800000, 1800000);
	repair_after(f, 3000);
}

static void fault_cut(struct sim_faults *f)
{
	uint64_t how = rng_below(&f->w->rng, 3);

	if (how != 0)
		net_cut(f->w->net, 0, f->node);
	if (how != 1)
		net_cut(f->w->net, f->node, 0);
	repair_after(f, 4000);
}

static void fault_reset(struct sim_faults *f)
{
	for (int64_t n = rng_between(&f->w->rng, 1, 4); n > 0; n--)
		net_break_one(f->w->net, f->node);
}

static void fault_slow_net(struct sim_faults *f)
{
	net_slow(f->w->net, 0, f->node, rng_between(&f->w->rng, 10000, 500000));
	net_slow(f->w->net, f->node, 0, rng_between(&f->w->rng, 10000, 500000));
	repair_after(f, 4000);
}

static void fault_slow_disk(struct sim_faults *f)
{
	disk_slow(disk(f), rng_between(&f->w->rng, 10000, 2000000));
	repair_after(f, 4000);
}

static void fault_full(struct sim_faults *f)
{
	int64_t left = rng_between(&f->w->rng, 0, 20000);

	/* A disk of known size does not shrink: others fill it. */
	for (int i = 0; f->w->opt.ballast && i < f->w->opt.dirs; i++)
		disk_dir_fill(disk(f), sim_options_dir(i), left);
	if (!f->w->opt.ballast)
		disk_set_capacity(disk(f), disk_used(disk(f)) + left);
	repair_after(f, 4000);
}

static void fault_eio(struct sim_faults *f)
{
	enum disk_op op = world_chance(f->w, 1, 2) ? DISK_OP_READ : DISK_OP_WRITE;

	disk_fault(disk(f), op, (struct disk_fault){.next_n = (int)rng_between(&f->w->rng, 1, 3)});
	repair_after(f, 2000);
}

static void fault_sync(struct sim_faults *f)
{
	disk_fault(disk(f), DISK_OP_SYNC, (struct disk_fault){.next_n = 1});
	repair_after(f, 2000);
}

static void fault_dir(struct sim_faults *f)
{
	struct world *w = f->w;
	const char *dir = sim_options_dir((int)rng_below(&w->rng, (uint64_t)w->opt.dirs));
	int64_t reserve = w->opt.ballast ? SIM_DISK_RESERVE : 0;

	if (world_chance(w, 1, 4)) {
		disk_dir_fill(disk(f), dir, rng_between(&w->rng, 0, world_chance(w, 1, 2) ? 20000 : reserve + 20000));
	} else {
		disk_dir_break(disk(f), dir,
			       (enum disk_dir_fault)rng_between(&w->rng, DISK_DIR_GONE, DISK_DIR_NO_SYNC));
		/* So that a start meets it. */
		if (world_chance(w, 1, 3))
			world_node_kill(w, f->node, SIM_DEATH_PROCESS);
	}
	repair_after(f, 4000);
}

/* Under the running node, or before its next start. */
static void fault_flip(struct sim_faults *f)
{
	if (world_chance(f->w, 1, 3))
		f->rot(f->rot_ctx);
	else if (world_chance(f->w, 1, 2))
		world_node_stop(f->w, f->node);
	else
		world_node_kill(f->w, f->node, SIM_DEATH_PROCESS);
}

struct fault_kind {
	size_t option; /* in struct sim_options */
	const char *name;
	void (*strike)(struct sim_faults *f);
};

static const struct fault_kind fault_kinds[] = {
#define KIND(x) {offsetof(struct sim_options, f_##x), #x, fault_##x}
	KIND(kill),  KIND(power), KIND(crash_op), KIND(stop),	   KIND(pause),     KIND(clock), KIND(cut),
	KIND(reset), KIND(slow_net), KIND(slow_disk), KIND(full), KIND(eio), KIND(sync),
	KIND(dir), KIND(flip),
#undef KIND
};

static bool kind_is_on(const struct sim_faults *f, const struct fault_kind *kind)
{
	if (kind->strike == fault_flip && !f->rot)
		return false;
	return *(const int64_t *)(const void *)((const char *)&f->w->opt + kind->option) != 0;
}

static void faults_strike(struct sim_event *event)
{
	struct sim_faults *f = container_of(event, struct sim_faults, next);
	const struct fault_kind *chosen = NULL;
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_N(fault_kinds); i++) {
		if (kind_is_on(f, &fault_kinds[i]) && rng_below(&f->w->rng, ++n) == 0)
			chosen = &fault_kinds[i];
	}
	if (!chosen)
		return;
	world_log(f->w, "fault", "kind=%s", chosen->name);
	f->faults_n++;
	chosen->strike(f);
	world_after(f->w, &f->next, draw_ms(f, 1, 2 * f->w->opt.fault_gap_ms), faults_strike);
}

void faults_init(struct sim_faults *f, struct world *w, int node, struct history *history)
{
	*f = (struct sim_faults){.w = w, .node = node, .history = history};
	w->on_end = faults_node_ended;
	w->ctx = f;
}

void faults_deinit(struct sim_faults *f)
{
	world_off(f->w, &f->next);
	world_off(f->w, &f->restart);
	world_off(f->w, &f->repair);
	f->w->on_end = NULL;
}

void faults_start(struct sim_faults *f)
{
	world_after(f->w, &f->next, draw_ms(f, 1, 2 * f->w->opt.fault_gap_ms), faults_strike);
}

void faults_heal(struct sim_faults *f)
{
	struct sim_node *sn = world_node(f->w, f->node);

	f->is_over = true;
	world_off(f->w, &f->next);
	world_off(f->w, &f->repair);
	repair_disk(f);
	net_heal(f->w->net);
	sn->wall_skew_ns = 0;
	sn->paused_until_ns = MIN(sn->paused_until_ns, f->w->now_ns);
	/* A directory that failed stays offline until a start. */
	if (sn->state == SIM_NODE_UP && (f->w->opt.f_eio || f->w->opt.f_sync || f->w->opt.f_dir))
		world_node_kill(f->w, f->node, SIM_DEATH_PROCESS);
	else if (sn->state == SIM_NODE_OFF && !sim_event_is_on(&f->restart))
		world_after(f->w, &f->restart, 0, faults_restart);
}
