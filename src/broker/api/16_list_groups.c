/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListGroups (key 16), versions 0-5: the groups that this broker coordinates, of every reactor; from version 4 on only
 * those in some states, from version 5 on only those of some types.
 */
#include "api.h"
#include "broker.h"
#include "coordinator_io.h"
#include "msg/list_groups.h"
#include "shard.h"
#include "vec.h"

struct list_groups;

/* What one reactor knows, in memory of its own. */
struct list_groups_leg {
	struct msg msg;
	struct list_groups *all;
	struct shard *shard;
	struct arena arena;
	VEC(struct list_groups_response_groups) groups;
	enum err err;
};

struct list_groups {
	struct request *request;
	struct group_filter filter;
	struct list_groups_leg *legs;
	int legs_n;
	int legs_out;
	struct list_groups_response out;
};

static void list_groups_add(void *ctx, const struct group *group)
{
	struct list_groups_leg *leg = ctx;
	struct list_groups_response_groups out;

	if (!group_matches(group, &leg->all->filter))
		return;
	msg_init(&list_groups_response_groups_type, &out);
	out.group_id = arena_str(&leg->arena, group->id);
	out.protocol_type = arena_str(&leg->arena, group->kind->protocol_type(group));
	out.group_state = str_of(group->kind->state(group));
	out.group_type = str_of(group->kind->type);
	vec_push(&leg->groups, out);
}

static void list_groups_reply(struct list_groups *all)
{
	struct request *request = all->request;
	size_t n = 0;

	for (int i = 0; i < all->legs_n; i++)
		n += all->legs[i].groups.n;
	all->out.groups = MSG_NEW_N(&request->arena, list_groups_response_groups, (int64_t)n);
	for (int i = 0; i < all->legs_n; i++) {
		const struct list_groups_leg *leg = &all->legs[i];

		if (leg->err)
			all->out.error_code = err_wire(leg->err);
		for (size_t j = 0; j < leg->groups.n; j++)
			all->out.groups[all->out.groups_n++] = leg->groups.v[j];
	}
	/* An answer that would not be whole is none. */
	if (all->out.error_code)
		all->out.groups_n = 0;
	request_reply(request, &all->out);
}

static void list_groups_release(struct request *request)
{
	struct list_groups *all = request->op;

	for (int i = 0; i < all->legs_n; i++) {
		vec_deinit(&all->legs[i].groups);
		arena_reset(&all->legs[i].arena);
	}
	request_released(request);
}

static void list_groups_leg_done(struct list_groups_leg *leg)
{
	if (--leg->all->legs_out == 0)
		list_groups_reply(leg->all);
}

static void list_groups_returns(struct reactor *reactor, struct msg *msg)
{
	list_groups_leg_done(container_of(msg, struct list_groups_leg, msg));
}

static void list_groups_arrives(struct reactor *reactor, struct msg *msg)
{
	struct list_groups_leg *leg = container_of(msg, struct list_groups_leg, msg);

	leg->err = coordinator_io_each(leg->shard, list_groups_add, leg);
	leg->msg.handle = list_groups_returns;
	reactor_send(reactor, leg->all->request->shard->reactor, &leg->msg);
}

void api_list_groups(struct request *request)
{
	const struct list_groups_request *in = request->body;
	struct list_groups *all = ARENA_NEW(&request->arena, struct list_groups);
	struct broker *broker = request->shard->broker;

	all->request = request;
	all->filter = (struct group_filter){in->states_filter, in->states_filter_n, in->types_filter,
					    in->types_filter_n};
	msg_init(&list_groups_response_type, &all->out);
	all->legs_n = broker->shards_n;
	all->legs_out = broker->shards_n;
	all->legs = ARENA_NEW_N(&request->arena, struct list_groups_leg, broker->shards_n);
	request->op = all;
	request->release = list_groups_release;
	for (int i = 0; i < broker->shards_n; i++) {
		struct list_groups_leg *leg = &all->legs[i];

		leg->all = all;
		leg->shard = &broker->shards[i];
		leg->arena.limit = REQUEST_ARENA_LIMIT;
		leg->msg.handle = list_groups_arrives;
		reactor_send(request->shard->reactor, leg->shard->reactor, &leg->msg);
	}
}
