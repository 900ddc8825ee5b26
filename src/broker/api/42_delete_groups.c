/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteGroups (key 42), versions 0-2: empty groups go, with their offsets; each is deleted where it is coordinated. */
#include "api.h"
#include "coordinator_io.h"
#include "gather.h"
#include "msg/delete_groups.h"

struct delete_group {
	struct delete_groups *all;
	struct coordinator_call call;
	struct coord_op op;
};

struct delete_groups {
	struct request *request;
	struct delete_group *groups;
	struct delete_groups_response out;
	struct gather gather;
};

static enum err delete_group_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	const struct delete_group *group = container_of(op, struct delete_group, op);

	return group_delete(machine, group->call.group_id, records);
}

static void delete_groups_reply(struct gather *gather)
{
	struct delete_groups *all = container_of(gather, struct delete_groups, gather);

	for (int32_t i = 0; i < all->out.results_n; i++) {
		all->out.results[i].error_code = err_wire(all->groups[i].op.err);
		coordinator_call_free(&all->groups[i].call);
	}
	request_reply(all->request, &all->out);
}

static void delete_group_decided(struct coordinator_call *call)
{
	gather_arrive(&container_of(call, struct delete_group, call)->all->gather);
}

void api_delete_groups(struct request *request)
{
	const struct delete_groups_request *in = request->body;
	struct delete_groups *all = ARENA_NEW(&request->arena, struct delete_groups);
	int32_t n = in->groups_names_n; /* the last answer may free `in` */

	if (!coordinator_calls_fit(request, n))
		return;
	all->request = request;
	msg_init(&delete_groups_response_type, &all->out);
	if (in->groups_names_n == 0) {
		request_reply(request, &all->out);
		return;
	}
	all->out.results = MSG_NEW_N(&request->arena, delete_groups_response_results, in->groups_names_n);
	all->out.results_n = in->groups_names_n;
	all->groups = ARENA_NEW_N(&request->arena, struct delete_group, in->groups_names_n);
	gather_start(&all->gather, n, delete_groups_reply);
	for (int32_t i = 0; i < n; i++) {
		struct delete_group *group = &all->groups[i];

		group->all = all;
		all->out.results[i].group_id = in->groups_names[i];
		group->op.decide = delete_group_decide;
		group->call.request = request;
		group->call.group_id = in->groups_names[i];
		group->call.op = &group->op;
		group->call.done = delete_group_decided;
		coordinator_call_start(&group->call);
	}
}
