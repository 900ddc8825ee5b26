/* SPDX-License-Identifier: Apache-2.0 */
/* The whole of the work, and the admin who creates the topics. See workload.h. */
#include "workload.h"

#include <stdio.h>

#include "fmt.h"
#include "msg/create_topics.h"
#include "msg/metadata.h"

static void admin_ask(struct workload *wl);

static void admin_later(struct workload *wl);

static void admin_retry(struct sim_event *event)
{
	struct workload *wl = container_of(event, struct workload, admin_retry);

	if (wl->is_created)
		return;
	if (wl->admin.state == CONN_UP && !sim_call_is_out(&wl->admin_call))
		admin_ask(wl);
	else if (wl->admin.state == CONN_OFF)
		sim_conn_open(&wl->admin);
}

static void admin_later(struct workload *wl)
{
	world_after(wl->w, &wl->admin_retry, rng_between(&wl->w->rng, 20, 500) * NS_PER_MS, admin_retry);
}

static void admin_up(struct sim_conn *conn)
{
	admin_ask(conn->owner);
}

static void admin_down(struct sim_conn *conn)
{
	struct workload *wl = conn->owner;

	if (!wl->is_created)
		admin_later(wl);
}

/* --- topics --- */

static bool topic_is_served(const struct metadata_response_topics *topic, const struct wl_topic *expected)
{
	if (topic->error_code || topic->partitions_n != expected->parts_n || uuid_is_zero(topic->topic_id))
		return false;
	for (int32_t i = 0; i < topic->partitions_n; i++) {
		if (topic->partitions[i].error_code || topic->partitions[i].leader_id < 0)
			return false;
	}
	return true;
}

static void workload_go(struct workload *wl)
{
	wl->is_created = true;
	world_log(wl->w, "workload.created", "topics=%d parts=%d", wl->topics_n, wl->parts_n);
	sim_conn_close(&wl->admin);
	for (int i = 0; i < wl->producers_n; i++)
		wl_producer_start(wl->producers[i]);
	for (int i = 0; i < wl->readers_n; i++)
		wl_reader_start(wl->readers[i]);
	if (wl->churn)
		wl_churn_start(wl->churn);
	if (wl->keep)
		wl_keep_start(wl->keep);
	if (wl->groups)
		wl_groups_start(wl->groups);
	if (wl->txns)
		wl_txns_start(wl->txns);
	if (wl->dirs)
		wl_dirs_start(wl->dirs);
	if (wl->flip)
		wl_flip_start(wl->flip);
}

static void metadata_done(struct sim_call *call)
{
	struct workload *wl = container_of(call, struct workload, admin_call);
	const struct metadata_response *response = call->response;

	if (call->err)
		return; /* admin_down comes */
	if (response->topics_n != wl->topics_n) {
		world_fail(wl->w, "Metadata for %d topics answers %d", wl->topics_n, response->topics_n);
		return;
	}
	for (int i = 0; i < wl->topics_n; i++) {
		const struct metadata_response_topics *topic = NULL;

		for (int32_t j = 0; j < response->topics_n; j++) {
			if (str_eq_c(response->topics[j].name, wl->topics[i].name))
				topic = &response->topics[j];
		}
		if (!topic || !topic_is_served(topic, &wl->topics[i])) {
			admin_later(wl);
			return;
		}
		if (!uuid_is_zero(wl->topics[i].id) && !uuid_eq(wl->topics[i].id, topic->topic_id)) {
			world_fail(wl->w, "topic %s changed its id", wl->topics[i].name);
			return;
		}
		wl->topics[i].id = topic->topic_id;
	}
	for (int i = 0; i < wl->parts_n; i++)
		wl->parts[i]->topic_id = workload_topic_of(wl, wl->parts[i])->id;
	workload_go(wl);
}

static void metadata_ask(struct workload *wl)
{
	struct metadata_request_topics topics[WORKLOAD_TOPICS_MAX];
	struct metadata_request request;

	msg_init(&metadata_request_type, &request);
	for (int i = 0; i < wl->topics_n; i++) {
		msg_init(&metadata_request_topics_type, &topics[i]);
		topics[i].name = str_of(wl->topics[i].name);
	}
	request.topics = topics;
	request.topics_n = wl->topics_n;
	request.allow_auto_topic_creation = false;
	sim_conn_call(&wl->admin, &wl->admin_call, API_METADATA, &request, 10000, metadata_done);
}

static void create_done(struct sim_call *call)
{
	struct workload *wl = container_of(call, struct workload, admin_call);
	const struct create_topics_response *response = call->response;
	bool again = false;

	if (call->err)
		return;
	for (int32_t i = 0; i < response->topics_n; i++) {
		int16_t code = response->topics[i].error_code;

		if (workload_bad_error(wl, "CreateTopics", code))
			return;
		for (int t = 0; code == ERR_NONE && call->version >= 7 && t < wl->topics_n; t++) {
			if (str_eq_c(response->topics[i].name, wl->topics[t].name))
				wl->topics[t].id = response->topics[i].topic_id;
		}
		again |= code != ERR_NONE && code != ERR_TOPIC_ALREADY_EXISTS;
	}
	if (again)
		admin_later(wl);
	else
		metadata_ask(wl);
}

static void admin_ask(struct workload *wl)
{
	struct create_topics_request_topics topics[WORKLOAD_TOPICS_MAX];
	struct create_topics_request request;

	msg_init(&create_topics_request_type, &request);
	for (int i = 0; i < wl->topics_n; i++) {
		msg_init(&create_topics_request_topics_type, &topics[i]);
		topics[i].name = str_of(wl->topics[i].name);
		topics[i].num_partitions = wl->topics[i].parts_n;
		topics[i].replication_factor = 1;
	}
	request.topics = topics;
	request.topics_n = wl->topics_n;
	request.timeout_ms = 5000;
	if (sim_conn_version(&wl->admin, API_CREATE_TOPICS) < 0) {
		world_fail(wl->w, "CreateTopics is not offered");
		return;
	}
	sim_conn_call(&wl->admin, &wl->admin_call, API_CREATE_TOPICS, &request, 10000, create_done);
}

/* --- for all workloads --- */

const struct wl_topic *workload_topic_of(const struct workload *wl, const struct hist_part *part)
{
	for (int i = 0; i < wl->topics_n; i++) {
		if (strcmp(wl->topics[i].name, part->topic) == 0)
			return &wl->topics[i];
	}
	UNREACHABLE();
}

struct hist_part *workload_find_part(const struct workload *wl, struct str name, struct uuid id, int32_t index)
{
	for (int i = 0; i < wl->topics_n; i++) {
		const struct wl_topic *topic = &wl->topics[i];

		if (name.len ? !str_eq_c(name, topic->name) : !uuid_eq(id, topic->id))
			continue;
		if (index < 0 || index >= topic->parts_n)
			return NULL;
		return wl->parts[topic->part_first + index];
	}
	return NULL;
}

bool workload_bad_error(struct workload *wl, const char *what, int16_t code)
{
	switch (code) {
	case ERR_UNKNOWN_SERVER_ERROR:
	case ERR_CORRUPT_MESSAGE:
	case ERR_MESSAGE_TOO_LARGE:
	case ERR_UNSUPPORTED_VERSION:
	case ERR_INVALID_REQUEST:
	case ERR_INVALID_RECORD:
	case ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
		world_fail(wl->w, "%s answers error %d", what, code);
		return true;
	default:
		return false;
	}
}

/* --- life --- */

struct workload *workload_new(struct world *w, int node)
{
	struct workload *wl = MEM_NEW(struct workload);

	wl->w = w;
	wl->node = node;
	history_init(&wl->history, w);
	map_init(&wl->pids, MAP_U64, w->seed);
	wl->topics_n = (int)MIN(w->opt.topics, (int64_t)WORKLOAD_TOPICS_MAX);
	for (int i = 0; i < wl->topics_n; i++) {
		struct wl_topic *topic = &wl->topics[i];

		snprintf(topic->name, sizeof(topic->name), "topic%d", i);
		topic->parts_n = (int32_t)w->opt.partitions;
		topic->part_first = wl->parts_n;
		for (int32_t k = 0; k < topic->parts_n; k++) {
			CHECK_OP(wl->parts_n, <, WORKLOAD_PARTS_MAX);
			wl->parts[wl->parts_n++] = history_part(&wl->history, topic->name, UUID_ZERO, k);
		}
	}
	sim_conn_init(&wl->admin, w, node, "admin");
	wl->admin.cap[API_METADATA] = 13;
	wl->admin.owner = wl;
	wl->admin.up = admin_up;
	wl->admin.down = admin_down;
	wl->producers_n = (int)MIN(w->opt.producers, (int64_t)WORKLOAD_PRODUCERS_MAX);
	for (int i = 0; i < wl->producers_n; i++)
		wl->producers[i] = wl_producer_new(wl, i);
	wl->readers_n = (int)MIN(w->opt.readers, (int64_t)WORKLOAD_READERS_MAX);
	for (int i = 0; i < wl->readers_n; i++)
		wl->readers[i] = wl_reader_new(wl, i);
	if (w->opt.churn)
		wl->churn = wl_churn_new(wl);
	if (w->opt.keep)
		wl->keep = wl_keep_new(wl);
	if (w->opt.groups)
		wl->groups = wl_groups_new(wl);
	if (w->opt.txns)
		wl->txns = wl_txns_new(wl);
	if (w->opt.dirs > 1 || w->opt.ballast)
		wl->dirs = wl_dirs_new(wl);
	if (w->opt.f_flip)
		wl->flip = wl_flip_new(wl);
	w->on_log = wl_flip_heard;
	w->log_ctx = wl;
	wl->drained_ns = INT64_MAX;
	return wl;
}

void workload_free(struct workload *wl)
{
	wl->w->on_log = NULL;
	world_off(wl->w, &wl->admin_retry);
	sim_conn_deinit(&wl->admin);
	for (int i = 0; i < wl->producers_n; i++)
		wl_producer_free(wl->producers[i]);
	for (int i = 0; i < wl->readers_n; i++)
		wl_reader_free(wl->readers[i]);
	wl_churn_free(wl->churn);
	wl_keep_free(wl->keep);
	wl_groups_free(wl->groups);
	wl_txns_free(wl->txns);
	wl_dirs_free(wl->dirs);
	wl_flip_free(wl->flip);
	wl_verify_free(wl->verify);
	map_deinit(&wl->pids);
	history_deinit(&wl->history);
	mem_free(wl);
}

void workload_start(struct workload *wl)
{
	sim_conn_open(&wl->admin);
}

void workload_calm(struct workload *wl)
{
	wl->is_calm = true;
	wl->calm_since_ns = wl->w->now_ns;
	for (int i = 0; i < wl->producers_n; i++)
		wl_producer_calm(wl->producers[i]);
	for (int i = 0; i < wl->readers_n; i++)
		wl_reader_calm(wl->readers[i]);
	if (wl->groups)
		wl_groups_calm(wl->groups);
	if (wl->txns)
		wl_txns_calm(wl->txns);
}

bool workload_has_produced(const struct workload *wl)
{
	bool yes = wl->is_created;

	for (int i = 0; i < wl->producers_n; i++)
		yes = yes && wl_producer_has_progressed(wl->producers[i]);
	return yes && (!wl->groups || wl_groups_has_progressed(wl->groups)) &&
	       (!wl->txns || wl_txns_has_progressed(wl->txns));
}

bool workload_has_read(const struct workload *wl)
{
	bool yes = wl->is_created;

	for (int i = 0; i < wl->readers_n; i++)
		yes = yes && wl_reader_has_progressed(wl->readers[i]);
	return yes;
}

void workload_stop_producers(struct workload *wl)
{
	for (int i = 0; i < wl->producers_n; i++)
		wl_producer_stop(wl->producers[i]);
	if (wl->churn)
		wl_churn_rest(wl->churn);
	if (wl->keep)
		wl_keep_rest(wl->keep);
	if (wl->txns)
		wl_txns_rest(wl->txns);
	if (wl->dirs)
		wl_dirs_rest(wl->dirs);
	if (wl->flip)
		wl_flip_rest(wl->flip);
	/* What came meanwhile may be more than slow readers can catch up with. */
	for (int i = 0; i < wl->readers_n; i++)
		wl_reader_calm(wl->readers[i]);
}

bool workload_is_drained(struct workload *wl)
{
	bool yes = true;

	for (int i = 0; i < wl->producers_n; i++)
		yes = yes && wl_producer_is_drained(wl->producers[i]);
	if (yes)
		wl->drained_ns = MIN(wl->drained_ns, wl->w->now_ns);
	return yes && (!wl->churn || wl_churn_is_resting(wl->churn)) && (!wl->keep || wl_keep_is_done(wl->keep)) &&
	       (!wl->txns || wl_txns_is_done(wl->txns)) && (!wl->dirs || wl_dirs_is_done(wl->dirs)) &&
	       (!wl->flip || wl_flip_is_done(wl->flip));
}

void workload_verify(struct workload *wl)
{
	wl_verify_free(wl->verify);
	wl->verify = wl_verify_new(wl);
}

void workload_verify_again(struct workload *wl)
{
	history_read_again(&wl->history);
	workload_verify(wl);
}

bool workload_is_verified(const struct workload *wl)
{
	return wl->verify && wl_verify_is_done(wl->verify);
}

void workload_stop(struct workload *wl)
{
	world_off(wl->w, &wl->admin_retry);
	if (wl->admin.state != CONN_OFF)
		sim_conn_close(&wl->admin);
	wl->is_created = true; /* the admin does not come back */
	for (int i = 0; i < wl->producers_n; i++)
		wl_producer_end(wl->producers[i]);
	for (int i = 0; i < wl->readers_n; i++)
		wl_reader_end(wl->readers[i]);
	if (wl->churn)
		wl_churn_end(wl->churn);
	if (wl->keep)
		wl_keep_end(wl->keep);
	if (wl->groups)
		wl_groups_end(wl->groups);
	if (wl->txns)
		wl_txns_end(wl->txns);
	if (wl->dirs)
		wl_dirs_end(wl->dirs);
	if (wl->flip)
		wl_flip_end(wl->flip);
	if (wl->verify)
		wl_verify_end(wl->verify);
}

void workload_describe(const struct workload *wl, char *ret, size_t len)
{
	struct fmt f;

	fmt_init(&f, ret, len);
	fmt_add(&f, "%s", wl->is_created ? "" : "topics not created; ");
	if (wl->groups && !wl_groups_has_progressed(wl->groups))
		wl_groups_describe(wl->groups, &f);
	if (wl->txns)
		wl_txns_describe(wl->txns, &f);
	for (int i = 0; i < wl->producers_n; i++) {
		if (!wl_producer_has_progressed(wl->producers[i]))
			fmt_add(&f, "producer %d; ", i);
	}
	for (int i = 0; i < wl->readers_n; i++) {
		if (!wl_reader_has_progressed(wl->readers[i]))
			fmt_add(&f, "reader %d; ", i);
	}
}
