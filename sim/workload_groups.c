/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumers in groups, each with all partitions of the first topic: one group of eager classic members, one of the
 * consumer protocol, one that changes between the protocols as its members do, one of cooperative classic members, and
 * one without members whose offsets are committed all the same. Members join, leave, stand still, die, come again under
 * other names or, when static, under the same, send things twice and hear nothing. Each keeps the clients' own rule:
 * who hears nothing for a session owns nothing any more.
 *
 *      OUT --JoinGroup, SyncGroup | heartbeat of epoch 0--> IN --[heartbeat | commit | fetch]...
 *       ^                                                   |
 *       +---- leaves, dies, is fenced, its session ends ----+
 *
 * What must follow is in check_groups.h. In the calm: all members are in, they own all partitions, also those of the
 * topic that came last where one of them subscribes by an expression, and each partition gets a commit acknowledged,
 * within the bound of the run.
 */
#include <stdio.h>

#include "fmt.h"
#include "msg/find_coordinator.h"
#include "msg/leave_group.h"
#include "workload_groups.h"

/* Their order is that of wl_groups.groups. */
enum { GROUP_CLASSIC, GROUP_CONSUMER, GROUP_BOTH, GROUP_COOPERATIVE, GROUP_ALONE };

static void member_step(struct group_member *m);

struct world *member_world(const struct group_member *m)
{
	return m->all->wl->w;
}

static void member_next(struct sim_event *event)
{
	struct group_member *m = container_of(event, struct group_member, next);

	if (m->all->is_ended || member_world(m)->has_failed)
		return;
	if (m->conn.state == CONN_OFF)
		sim_conn_open(&m->conn);
	else if (m->conn.state == CONN_UP && !sim_call_is_out(&m->call))
		member_step(m);
}

void member_later(struct group_member *m, int64_t most_ms)
{
	world_after(member_world(m), &m->next, rng_between(&member_world(m)->rng, 1, most_ms) * NS_PER_MS,
		    member_next);
}

/* ---- who it is ---- */

static int member_group(const struct group_member *m)
{
	return m->index % GROUPS_N;
}

static enum member_kind member_draw_kind(const struct group_member *m)
{
	enum member_kind classic = m->all->is_both_cooperative ? MEMBER_COOPERATIVE : MEMBER_EAGER;

	switch (member_group(m)) {
	case GROUP_CLASSIC:
		return MEMBER_EAGER;
	case GROUP_CONSUMER:
		return MEMBER_CONSUMER;
	case GROUP_BOTH:
		return world_chance(member_world(m), 1, 2) ? MEMBER_CONSUMER : classic;
	case GROUP_COOPERATIVE:
		return MEMBER_COOPERATIVE;
	default:
		return MEMBER_ALONE;
	}
}

void member_reborn(struct group_member *m)
{
	struct world *w = member_world(m);

	m->lives++;
	m->owes_leave |= m->owes_join && m->instance[0];
	m->owes_join = false;
	m->is_in = m->has_joined = m->has_lost_answer = false;
	m->owns = m->told = 0;
	m->epoch = m->owned_epoch = 0;
	m->id[0] = '\0';
	m->kind = member_draw_kind(m);
	m->has_regex = m->kind == MEMBER_CONSUMER && world_chance(w, 1, 2);
	if (m->kind == MEMBER_CONSUMER)
		snprintf(m->id, sizeof(m->id), "m%d-%d", m->index, m->lives);
	if (m->kind != MEMBER_ALONE)
		return;
	for (int p = m->index / GROUPS_N; p < m->all->parts_n; p += MEMBERS_N)
		m->owns |= 1u << p;
}

/* Every third member is static; its name stays until it is shut down for good. */
static void member_name_instance(struct group_member *m)
{
	if (m->index / GROUPS_N == 0 && member_group(m) != GROUP_ALONE)
		snprintf(m->instance, sizeof(m->instance), "i%d-%d", m->index, m->instances);
}

void member_fence_itself(struct group_member *m)
{
	struct world *w = member_world(m);

	if (m->kind == MEMBER_ALONE || (w->now_ns - m->heard_ns < OWNED_MS * NS_PER_MS && m->heard_era == w->era))
		return;
	if (m->is_in)
		member_reborn(m);
	m->owns = 0;
}

void member_check_owners(struct group_member *m)
{
	struct group_owner owners[MEMBERS_N];
	int n = 0;

	if (m->kind == MEMBER_ALONE)
		return;
	for (int i = member_group(m); i < GROUP_MEMBERS_N; i += GROUPS_N) {
		struct group_member *other = &m->all->members[i];

		member_fence_itself(other);
		owners[n++] = (struct group_owner){other->id, other->epoch, other->owns};
	}
	check_group_owners(m->group, owners, n);
}

void member_heard(struct group_member *m, const struct sim_call *call)
{
	m->heard_ns = call->sent_ns;
	m->heard_era = m->conn.era;
}

bool member_is_fenced_by(int16_t code)
{
	return code == ERR_UNKNOWN_MEMBER_ID || code == ERR_FENCED_MEMBER_EPOCH || code == ERR_GROUP_ID_NOT_FOUND ||
	       code == ERR_ILLEGAL_GENERATION || code == ERR_STALE_MEMBER_EPOCH || code == ERR_FENCED_INSTANCE_ID ||
	       code == ERR_INCONSISTENT_GROUP_PROTOCOL || code == ERR_GROUP_MAX_SIZE_REACHED;
}

uint32_t member_bit(struct group_member *m, struct str name, struct uuid id, int32_t index)
{
	struct wl_groups *g = m->all;
	const struct wl_topic *topic = &g->wl->topics[0];
	int at = 0;

	if (name.len ? str_eq_c(name, topic->name) : uuid_eq(id, topic->id)) {
		if (index >= 0 && index < g->parts_n)
			return 1u << index;
	} else if (!name.len && !uuid_is_zero(id) && index == 0 && (m->has_regex || m->instance[0])) {
		while (at < g->extras_n && !uuid_eq(g->extras[at], id))
			at++;
		if (at == g->extras_n && g->extras_n < EXTRAS_MAX)
			g->extras[g->extras_n++] = id;
		if (at < g->extras_n)
			return 1u << (CHECK_GROUP_PARTS_MAX + at);
	}
	world_fail(member_world(m), "%s: %s is given partition %d of a topic that it has not asked for", m->group->name,
		   m->id, index);
	return 0;
}

/* ---- sending ---- */

void member_send(struct group_member *m, int16_t key, const void *body, int64_t timeout_ms,
		 void (*done)(struct sim_call *))
{
	m->lives_out = m->lives;
	sim_conn_call(&m->conn, &m->call, key, body, timeout_ms, done);
}

bool member_is_for_it(struct group_member *m, const struct sim_call *call)
{
	if (m->lives_out == m->lives)
		return true;
	if (!call->err)
		member_later(m, 400);
	return false;
}

bool member_send_again(struct group_member *m, int16_t key, const void *body, int64_t timeout_ms,
		       void (*done)(struct sim_call *))
{
	struct world *w = member_world(m);
	struct sim_conn *conn = world_chance(w, 1, 2) ? &m->conn : &m->side;

	if (m->all->wl->is_calm || sim_call_is_out(&m->twin) || conn->state != CONN_UP || !world_chance(w, 1, 8))
		return false;
	sim_conn_call(conn, &m->twin, key, body, timeout_ms, done);
	return true;
}

/* ---- coming and going ---- */

static void leave_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);

	if (!call->err)
		member_later(m, 1000);
}

/* Static members of the classic protocol say nothing when they go. */
static void member_leave(struct group_member *m)
{
	enum member_kind kind = m->kind;
	char id[ID_MAX];

	memcpy(id, m->id, sizeof(id));
	if (m->instance[0])
		member_plan_walk(m, 3000);
	member_reborn(m);
	if (kind == MEMBER_CONSUMER)
		member_leave_consumer(m, id, m->instance, m->instance[0] != '\0', leave_done);
	else if (!m->instance[0])
		member_leave_classic(m, id, m->instance, leave_done);
	else
		member_later(m, 1000);
}

static void make_way_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct leave_group_response *response = call->response;

	if (call->err)
		return;
	m->owes_leave = response->error_code != ERR_NONE;
	member_later(m, 1000);
}

/* Who comes back under a static name does not make the group rebalance, and does not know what the one before it gave
 * up: it leaves once, so that the others are given that. */
static void member_make_way(struct group_member *m)
{
	char id[ID_MAX];

	memcpy(id, m->id, sizeof(id));
	member_reborn(m);
	member_leave_classic(m, id, m->instance, make_way_done);
}

/* A static one may come again at once under its name, or never: then an administrator removes it. */
static void member_die(struct group_member *m)
{
	struct world *w = member_world(m);

	sim_conn_close(&m->conn);
	member_plan_walk(m, 3000);
	if (m->instance[0] && world_chance(w, 1, 3)) {
		groups_admin_retire(&m->all->admin, member_group(m), m->instance);
		m->instances++;
		m->owes_join = m->owes_leave = false;
		member_name_instance(m);
	}
	member_reborn(m);
	member_later(m, 3000);
}

/* ---- what it does ---- */

static void coordinator_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct find_coordinator_response *response = call->response;

	if (call->err || workload_bad_error(m->all->wl, "FindCoordinator", response->error_code))
		return;
	m->knows_coordinator = response->error_code == ERR_NONE;
	member_later(m, 300);
}

static void member_find(struct group_member *m)
{
	struct find_coordinator_request request;

	msg_init(&find_coordinator_request_type, &request);
	request.key = str_of(m->group->name);
	sim_conn_call(&m->conn, &m->call, API_FIND_COORDINATOR, &request, 5000, coordinator_done);
}

/* What a member does that is not well. True: that was all for now. */
static bool member_misbehaves(struct group_member *m)
{
	struct world *w = member_world(m);

	if (m->all->wl->is_calm || !world_chance(w, 1, 12))
		return false;
	switch (rng_below(&w->rng, 4)) {
	case 0: /* stands still, its connection too, often longer than its session */
		if (m->is_in)
			member_plan_walk(m, 0);
		member_later(m, 12000);
		return true;
	case 1:
		if (m->kind == MEMBER_ALONE)
			return false;
		member_die(m);
		return true;
	case 2: /* its connection breaks, with what is on it */
		sim_conn_close(&m->conn);
		member_later(m, 200);
		return true;
	default:
		if (!m->is_in)
			return false;
		member_leave(m);
		return true;
	}
}

static bool member_walks(const struct group_member *m)
{
	return m->is_walking && member_world(m)->now_ns >= m->walk_ns;
}

static void member_step(struct group_member *m)
{
	struct world *w = member_world(m);
	bool beats = world_chance(w, 1, 2);

	member_fence_itself(m);
	if (m->side.state == CONN_OFF && !m->all->wl->is_calm)
		sim_conn_open(&m->side);
	if (!m->knows_coordinator)
		member_find(m);
	else if (sim_call_is_out(&m->twin) && m->twin.conn == &m->conn) /* it is about what was sent before */
		member_later(m, 50);
	else if (member_walks(m))
		member_sleepwalk(m);
	else if (member_misbehaves(m))
		return;
	else if (m->owes_leave && m->is_in && m->kind != MEMBER_CONSUMER)
		member_make_way(m);
	else if ((m->is_in || m->kind == MEMBER_ALONE) && (m->owns & MAIN_BITS) && !beats)
		member_commit(m);
	else if (m->kind == MEMBER_ALONE || world_chance(w, 1, 6))
		member_fetch(m);
	else if (m->kind == MEMBER_CONSUMER)
		member_beat(m);
	else if (m->is_in)
		member_beat_classic(m);
	else if (m->has_joined)
		member_sync(m);
	else
		member_join(m);
}

/* ---- life ---- */

static void member_up(struct sim_conn *conn)
{
	struct group_member *m = conn->owner;

	if (sim_conn_version(conn, API_CONSUMER_GROUP_HEARTBEAT) < 0)
		return; /* a body without groups */
	m->knows_coordinator = false;
	m->has_joined = false;
	member_later(m, 20);
}

static void member_down(struct sim_conn *conn)
{
	struct group_member *m = conn->owner;

	m->has_lost_answer = true;
	if (!m->all->is_ended)
		member_later(m, 300);
}

/* The age of its client. Members of the new protocol commit with the first version that knows epochs, or later. */
static void member_set_age(struct group_member *m, struct sim_conn *conn)
{
	static const int16_t fetches[] = {10, 9, 8, 7, 5, 2};
	int group = member_group(m);
	bool is_new = group == GROUP_CONSUMER || group == GROUP_BOTH;
	struct rng *rng = &member_world(m)->rng;

	conn->cap[API_FIND_COORDINATOR] = 3;
	conn->cap[API_OFFSET_FETCH] = fetches[rng_below(rng, ARRAY_N(fetches))];
	conn->cap[API_OFFSET_COMMIT] = (int16_t)rng_between(rng, is_new ? 9 : m->instance[0] ? 7 : 2, 10);
	conn->cap[API_JOIN_GROUP] = (int16_t)rng_between(rng, 5, 9);
	conn->cap[API_SYNC_GROUP] = conn->cap[API_LEAVE_GROUP] = 5;
	conn->cap[API_HEARTBEAT] = 4;
	conn->cap[API_CONSUMER_GROUP_HEARTBEAT] = 1;
}

static void member_init(struct group_member *m, struct wl_groups *g, int index)
{
	struct workload *wl = g->wl;

	m->all = g;
	m->group = &g->groups[index % GROUPS_N];
	m->index = index;
	member_name_instance(m);
	sim_conn_init(&m->conn, wl->w, wl->node, "group");
	sim_conn_init(&m->side, wl->w, wl->node, "group-side");
	member_set_age(m, &m->conn);
	memcpy(m->side.cap, m->conn.cap, sizeof(m->side.cap));
	m->conn.owner = m;
	m->conn.up = member_up;
	m->conn.down = member_down;
	member_reborn(m);
}

struct wl_groups *wl_groups_new(struct workload *wl)
{
	static const char *const names[GROUPS_N] = {"classic", "consumer", "both", "cooperative", "alone"};
	struct wl_groups *g = MEM_NEW(struct wl_groups);

	g->wl = wl;
	g->parts_n = MIN(wl->topics[0].parts_n, CHECK_GROUP_PARTS_MAX);
	g->is_both_cooperative = world_chance(wl->w, 1, 2);
	for (int i = 0; i < GROUPS_N; i++)
		check_group_init(&g->groups[i], wl->w, names[i]);
	for (int i = 0; i < GROUP_MEMBERS_N; i++)
		member_init(&g->members[i], g, i);
	groups_admin_init(&g->admin, g);
	return g;
}

void wl_groups_free(struct wl_groups *g)
{
	if (!g)
		return;
	for (int i = 0; i < GROUP_MEMBERS_N; i++) {
		world_off(g->wl->w, &g->members[i].next);
		sim_conn_deinit(&g->members[i].conn);
		sim_conn_deinit(&g->members[i].side);
	}
	groups_admin_deinit(&g->admin);
	for (int i = 0; i < GROUPS_N; i++)
		check_group_deinit(&g->groups[i]);
	mem_free(g);
}

void wl_groups_start(struct wl_groups *g)
{
	g->is_started = true;
	for (int i = 0; i < GROUP_MEMBERS_N; i++)
		sim_conn_open(&g->members[i].conn);
	groups_admin_start(&g->admin);
	if (g->wl->is_calm)
		groups_admin_calm(&g->admin);
}

/* Pauses end; members wake up. */
void wl_groups_calm(struct wl_groups *g)
{
	for (int i = 0; g->is_started && i < GROUP_MEMBERS_N; i++)
		member_later(&g->members[i], 100);
	if (g->is_started)
		groups_admin_calm(&g->admin);
}

/* What the group has to own in the end. */
static uint32_t group_goal(const struct wl_groups *g, int group)
{
	uint32_t goal = (1u << g->parts_n) - 1;
	bool has_regex = false;

	for (int i = group; i < GROUP_MEMBERS_N; i += GROUPS_N)
		has_regex |= g->members[i].has_regex;
	for (int i = 0; has_regex && i < g->extras_n; i++) {
		if (uuid_eq(g->extras[i], g->admin.stays))
			return goal | 1u << (CHECK_GROUP_PARTS_MAX + i);
	}
	/* The topic has not even been seen yet. */
	return has_regex ? UINT32_MAX : goal;
}

static bool group_has_progressed(const struct wl_groups *g, int group)
{
	uint32_t owned = 0;

	for (int i = group; i < GROUP_MEMBERS_N; i += GROUPS_N) {
		if (!g->members[i].is_in && g->members[i].kind != MEMBER_ALONE)
			return false;
		owned |= g->members[i].owns;
	}
	for (int p = 0; p < g->parts_n; p++) {
		if (!g->groups[group].parts[p].calm_ack)
			return false;
	}
	return owned == group_goal(g, group);
}

void wl_groups_describe(const struct wl_groups *g, struct fmt *f)
{
	if (!groups_admin_is_done(&g->admin))
		fmt_add(f, "groups' admin; ");
	for (int i = 0; i < GROUPS_N; i++) {
		if (group_has_progressed(g, i))
			continue;
		fmt_add(f, "group %s shall own %x:", g->groups[i].name, (unsigned)group_goal(g, i));
		for (int k = i; k < GROUP_MEMBERS_N; k += GROUPS_N)
			fmt_add(f, " %s%x", g->members[k].is_in ? "" : "out ", (unsigned)g->members[k].owns);
		fmt_add(f, "; ");
	}
}

bool wl_groups_has_progressed(const struct wl_groups *g)
{
	if (!groups_admin_is_done(&g->admin))
		return false;
	for (int i = 0; i < GROUPS_N; i++) {
		if (!group_has_progressed(g, i))
			return false;
	}
	return true;
}

void wl_groups_end(struct wl_groups *g)
{
	g->is_ended = true;
	for (int i = 0; i < GROUP_MEMBERS_N; i++) {
		world_off(g->wl->w, &g->members[i].next);
		if (g->members[i].conn.state != CONN_OFF)
			sim_conn_close(&g->members[i].conn);
		if (g->members[i].side.state != CONN_OFF)
			sim_conn_close(&g->members[i].side);
	}
	groups_admin_end(&g->admin);
}
