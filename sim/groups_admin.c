/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator beside the groups: makes and removes topics that expressions match, deletes groups and offsets
 * while others commit, and removes static members whose process was shut down for good. In the calm one of the topics
 * is made to stay, and the other one to be gone.
 */
#include <stdio.h>

#include "msg/create_topics.h"
#include "msg/delete_groups.h"
#include "msg/delete_topics.h"
#include "msg/leave_group.h"
#include "msg/metadata.h"
#include "msg/offset_delete.h"
#include "workload_groups.h"

static const char *const extra_names[] = {"extra-a", "extra-b"};

enum { CALM_CREATE = 1, CALM_DELETE, CALM_ASK, CALM_DONE };

static void admin_step(struct groups_admin *a);

static void admin_next(struct sim_event *event)
{
	struct groups_admin *a = container_of(event, struct groups_admin, next);

	if (a->all->is_ended || a->all->wl->w->has_failed)
		return;
	if (a->conn.state == CONN_OFF)
		sim_conn_open(&a->conn);
	else if (a->conn.state == CONN_UP && !sim_call_is_out(&a->call))
		admin_step(a);
}

static void admin_later(struct groups_admin *a, int64_t most_ms)
{
	struct world *w = a->all->wl->w;

	world_after(w, &a->next, rng_between(&w->rng, 1, most_ms) * NS_PER_MS, admin_next);
}

static void admin_go_on(struct groups_admin *a)
{
	admin_later(a, a->calm_step ? 200 : 1500);
}

/* ---- topics ---- */

static void create_done(struct sim_call *call)
{
	struct groups_admin *a = container_of(call, struct groups_admin, call);
	const struct create_topics_response *response = call->response;

	if (call->err || response->topics_n != 1 ||
	    workload_bad_error(a->all->wl, "CreateTopics", response->topics[0].error_code))
		return;
	if (a->calm_step == CALM_CREATE && (response->topics[0].error_code == ERR_NONE ||
					    response->topics[0].error_code == ERR_TOPIC_ALREADY_EXISTS))
		a->calm_step = CALM_DELETE;
	admin_go_on(a);
}

static void admin_create(struct groups_admin *a, const char *name)
{
	struct create_topics_request_topics topic;
	struct create_topics_request request;

	a->created_n++;
	msg_init(&create_topics_request_type, &request);
	msg_init(&create_topics_request_topics_type, &topic);
	topic.name = str_of(name);
	topic.num_partitions = 1;
	topic.replication_factor = 1;
	request.topics = &topic;
	request.topics_n = 1;
	request.timeout_ms = 5000;
	sim_conn_call(&a->conn, &a->call, API_CREATE_TOPICS, &request, 10000, create_done);
}

static void remove_done(struct sim_call *call)
{
	struct groups_admin *a = container_of(call, struct groups_admin, call);
	const struct delete_topics_response *response = call->response;

	if (call->err || response->responses_n != 1 ||
	    workload_bad_error(a->all->wl, "DeleteTopics", response->responses[0].error_code))
		return;
	if (a->calm_step == CALM_DELETE && (response->responses[0].error_code == ERR_NONE ||
					    response->responses[0].error_code == ERR_UNKNOWN_TOPIC_OR_PARTITION))
		a->calm_step = CALM_ASK;
	admin_go_on(a);
}

static void admin_remove(struct groups_admin *a, const char *name)
{
	struct delete_topics_request_topics topic;
	struct delete_topics_request request;

	msg_init(&delete_topics_request_type, &request);
	msg_init(&delete_topics_request_topics_type, &topic);
	topic.name = str_of(name);
	request.topics = &topic;
	request.topics_n = 1;
	request.timeout_ms = 5000;
	sim_conn_call(&a->conn, &a->call, API_DELETE_TOPICS, &request, 15000, remove_done);
}

/* A request whose answer was lost may change the topics late: it looks again and again. */
static void ask_done(struct sim_call *call)
{
	struct groups_admin *a = container_of(call, struct groups_admin, call);
	const struct metadata_response *response = call->response;

	if (call->err)
		return;
	a->calm_step = CALM_DONE;
	for (int32_t i = 0; i < response->topics_n; i++) {
		const struct metadata_response_topics *topic = &response->topics[i];
		bool stays = str_eq_c(topic->name, extra_names[0]);

		if (topic->error_code == ERR_NONE && stays)
			a->stays = topic->topic_id;
		else if (topic->error_code == ERR_NONE)
			a->calm_step = CALM_DELETE;
		else if (stays)
			a->calm_step = CALM_CREATE;
	}
	admin_later(a, a->calm_step == CALM_DONE ? 2000 : 200);
}

static void admin_ask(struct groups_admin *a)
{
	struct metadata_request_topics topics[ARRAY_N(extra_names)];
	struct metadata_request request;

	msg_init(&metadata_request_type, &request);
	for (size_t i = 0; i < ARRAY_N(extra_names); i++) {
		msg_init(&metadata_request_topics_type, &topics[i]);
		topics[i].name = str_of(extra_names[i]);
	}
	request.topics = topics;
	request.topics_n = ARRAY_N(extra_names);
	request.allow_auto_topic_creation = false;
	sim_conn_call(&a->conn, &a->call, API_METADATA, &request, 10000, ask_done);
}

/* ---- groups and offsets ---- */

/* Told, or not, what became of the deletion. */
static void deletion_done(struct groups_admin *a, bool answered, int16_t code)
{
	struct check_group *group = &a->all->groups[a->group];

	if (answered && workload_bad_error(a->all->wl, "the deletion", code))
		return;
	/* What did not get through may come later; a timeout or a lost coordinator says as little. */
	if (code == ERR_REQUEST_TIMED_OUT)
		answered = false;
	check_group_delete_done(group, a->conn.era, a->parts, answered, answered && code == ERR_NONE);
}

static void delete_group_done(struct sim_call *call)
{
	struct groups_admin *a = container_of(call, struct groups_admin, call);
	const struct delete_groups_response *response = call->response;
	bool answered = !call->err && response->results_n == 1;

	deletion_done(a, answered, answered ? response->results[0].error_code : (int16_t)ERR_NONE);
	if (!call->err)
		admin_go_on(a);
}

static void admin_delete_group(struct groups_admin *a)
{
	struct str name = str_of(a->all->groups[a->group].name);
	struct delete_groups_request request;

	a->parts = (1u << a->all->parts_n) - 1;
	msg_init(&delete_groups_request_type, &request);
	request.groups_names = &name;
	request.groups_names_n = 1;
	check_group_delete_sent(&a->all->groups[a->group], a->parts);
	sim_conn_call(&a->conn, &a->call, API_DELETE_GROUPS, &request, 5000, delete_group_done);
}

static void delete_offset_done(struct sim_call *call)
{
	struct groups_admin *a = container_of(call, struct groups_admin, call);
	const struct offset_delete_response *response = call->response;
	bool has_part = !call->err && response->error_code == ERR_NONE && response->topics_n == 1 &&
			response->topics[0].partitions_n == 1;
	int16_t code = call->err ? (int16_t)ERR_NONE : response->error_code;

	deletion_done(a, !call->err, has_part ? response->topics[0].partitions[0].error_code : code);
	if (!call->err)
		admin_go_on(a);
}

static void admin_delete_offset(struct groups_admin *a)
{
	struct offset_delete_request_topics_partitions partition;
	struct offset_delete_request_topics topic;
	struct offset_delete_request request;
	int part = (int)rng_below(&a->all->wl->w->rng, (uint64_t)a->all->parts_n);

	a->parts = 1u << part;
	msg_init(&offset_delete_request_type, &request);
	msg_init(&offset_delete_request_topics_type, &topic);
	msg_init(&offset_delete_request_topics_partitions_type, &partition);
	request.group_id = str_of(a->all->groups[a->group].name);
	request.topics = &topic;
	request.topics_n = 1;
	topic.name = str_of(a->all->wl->topics[0].name);
	topic.partitions = &partition;
	topic.partitions_n = 1;
	partition.partition_index = part;
	check_group_delete_sent(&a->all->groups[a->group], a->parts);
	sim_conn_call(&a->conn, &a->call, API_OFFSET_DELETE, &request, 5000, delete_offset_done);
}

/* ---- static members ---- */

void groups_admin_retire(struct groups_admin *a, int group, const char *instance)
{
	if (a->retired_n == (int)ARRAY_N(a->retired))
		return;
	a->retired_group[a->retired_n] = group;
	snprintf(a->retired[a->retired_n++], ID_MAX, "%s", instance);
}

static void evict_done(struct sim_call *call)
{
	struct groups_admin *a = container_of(call, struct groups_admin, call);
	const struct leave_group_response *response = call->response;

	if (!call->err && !workload_bad_error(a->all->wl, "LeaveGroup", response->error_code))
		admin_go_on(a);
}

static void admin_evict(struct groups_admin *a)
{
	struct leave_group_request_members member;
	struct leave_group_request leave;
	int at = --a->retired_n;

	msg_init(&leave_group_request_type, &leave);
	msg_init(&leave_group_request_members_type, &member);
	leave.group_id = str_of(a->all->groups[a->retired_group[at]].name);
	leave.members = &member;
	leave.members_n = 1;
	member.group_instance_id = str_of(a->retired[at]);
	sim_conn_call(&a->conn, &a->call, API_LEAVE_GROUP, &leave, 5000, evict_done);
}

/* ---- what it does when ---- */

static void admin_step(struct groups_admin *a)
{
	struct rng *rng = &a->all->wl->w->rng;

	if (a->retired_n > 0) {
		admin_evict(a);
		return;
	}
	switch (a->calm_step) {
	case 0:
		break;
	case CALM_CREATE:
		admin_create(a, extra_names[0]);
		return;
	case CALM_DELETE:
		admin_remove(a, extra_names[1]);
		return;
	default:
		admin_ask(a);
		return;
	}
	/* Mostly the group that nobody is in; others refuse as long as they have members. */
	a->group = world_chance(a->all->wl->w, 1, 4) ? (int)rng_below(rng, GROUPS_N) : GROUPS_N - 1;
	switch (rng_below(rng, 5)) {
	case 0:
		admin_delete_group(a);
		break;
	case 1:
		admin_delete_offset(a);
		break;
	case 2:
		admin_remove(a, extra_names[rng_below(rng, ARRAY_N(extra_names))]);
		break;
	default:
		if (a->created_n < EXTRAS_MAX / 2)
			admin_create(a, extra_names[rng_below(rng, ARRAY_N(extra_names))]);
		else
			admin_go_on(a);
		break;
	}
}

static void admin_up(struct sim_conn *conn)
{
	struct groups_admin *a = conn->owner;

	if (sim_conn_version(conn, API_CONSUMER_GROUP_HEARTBEAT) >= 0)
		admin_later(a, 100);
}

static void admin_down(struct sim_conn *conn)
{
	struct groups_admin *a = conn->owner;

	if (!a->all->is_ended)
		admin_later(a, 500);
}

void groups_admin_init(struct groups_admin *a, struct wl_groups *all)
{
	a->all = all;
	sim_conn_init(&a->conn, all->wl->w, all->wl->node, "groups-admin");
	a->conn.cap[API_METADATA] = 12;
	a->conn.cap[API_CREATE_TOPICS] = 7;
	a->conn.cap[API_DELETE_TOPICS] = 6;
	a->conn.cap[API_DELETE_GROUPS] = 2;
	a->conn.cap[API_OFFSET_DELETE] = 0;
	a->conn.cap[API_LEAVE_GROUP] = 5;
	a->conn.cap[API_CONSUMER_GROUP_HEARTBEAT] = 1;
	a->conn.owner = a;
	a->conn.up = admin_up;
	a->conn.down = admin_down;
}

void groups_admin_deinit(struct groups_admin *a)
{
	world_off(a->all->wl->w, &a->next);
	sim_conn_deinit(&a->conn);
}

void groups_admin_start(struct groups_admin *a)
{
	sim_conn_open(&a->conn);
}

void groups_admin_calm(struct groups_admin *a)
{
	a->calm_step = CALM_CREATE;
	admin_later(a, 100);
}

void groups_admin_end(struct groups_admin *a)
{
	world_off(a->all->wl->w, &a->next);
	if (a->conn.state != CONN_OFF)
		sim_conn_close(&a->conn);
}

bool groups_admin_is_done(const struct groups_admin *a)
{
	return a->calm_step == CALM_DONE;
}
