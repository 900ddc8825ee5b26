/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health: what a supervisor, an orchestrator or a person asks of a node.
 *
 *   /livez         the process turns: 503 when an event loop has not answered for LIVE_SILENCE_NS
 *   /startupz      503 with progress until the broker serves
 *   /readyz        503 unless clients are served; ?verbose tells each check on a line
 *   /healthz       the same checks as JSON
 *   /v1/safe-to-stop   200 unless waiting would make a stop of this node less harmful; what a stop interrupts
 *   aliases        Strimzi's agent, Redpanda's admin interface
 *
 * Liveness asks nothing of the event loops: it looks at how long the last question to them is open, and they are asked
 * every few seconds anyway.
 */
#include <event2/http.h>
#include <stdio.h>

#include "http_internal.h"
#include "metric_values.h"

#define LIVE_SILENCE_NS (10 * NS_PER_S)
#define CHECKS_MAX 16
#define REASONS_PARTITIONS_MAX 1000
#define STRIMZI_RUNNING 3

static const char text_plain[] = "text/plain; charset=utf-8";
static const char text_json[] = "application/json";

struct health_check {
	const char *name;
	bool is_good;
	char detail[160];
};

struct health {
	struct health_check checks[CHECKS_MAX];
	int n;
	int failed_n;
};

static void health_add(struct health *health, const char *name, bool is_good, const char *format, ...)
	PRINTF_LIKE(4, 5);

static void health_add(struct health *health, const char *name, bool is_good, const char *format, ...)
{
	struct health_check *check = &health->checks[health->n++];
	va_list args;

	CHECK_OP(health->n, <=, CHECKS_MAX);
	check->name = name;
	check->is_good = is_good;
	health->failed_n += !is_good;
	va_start(args, format);
	vsnprintf(check->detail, sizeof(check->detail), format, args);
	va_end(args);
}

static const char *health_phase(enum broker_phase phase)
{
	switch (phase) {
	case BROKER_STARTING:
		return "starting";
	case BROKER_RUNNING:
		return "running";
	case BROKER_STOPPING:
		return "stopping";
	case BROKER_STOPPED:
		return "stopped";
	case BROKER_FAILED:
		return "failed";
	default:
		UNREACHABLE();
	}
}

static void health_check_dirs(const struct sampler *sampler, struct health *health)
{
	int failed_n = 0, full_n = 0;

	for (int dir = 0; dir < sampler->node.dirs_n; dir++) {
		enum log_dir_state worst = LOG_DIR_ONLINE;

		for (int i = 0; i < sampler->shards_n; i++)
			worst = MAX(worst, sampler->shards[i].now.dirs[dir]);
		failed_n += worst == LOG_DIR_OFFLINE;
		full_n += worst == LOG_DIR_FULL;
	}
	health_add(health, "log_dirs", failed_n == 0 && full_n == 0, "%d of %d failed, %d full", failed_n,
		   sampler->node.dirs_n, full_n);
}

static void health_check(const struct http_request *request, struct health *ret)
{
	const struct sampler *sampler;
	const struct metrics_node *node;

	*ret = (struct health){0};
	if (!request->harvest) {
		health_add(ret, "node", false, "%s: %s", request->missing, http_stage_now(request->http));
		return;
	}
	sampler = request->harvest->sampler;
	node = &sampler->node;
	health_add(ret, "loops", true, "%d answered within %.1f ms", sampler->shards_n,
		   (double)request->harvest->took_ns / 1e6);
	health_add(ret, "broker", node->phase == BROKER_RUNNING, "%s", health_phase(node->phase));
	health_add(ret, "metadata", node->has_image, "%s %lld", node->has_image ? "up to offset" : "not loaded",
		   (long long)node->image_offset);
	health_add(ret, "registration", node->has_image && !node->is_fenced, "%s",
		   !node->has_image || node->is_fenced ? "fenced" : "unfenced");
	health_add(ret, "quorum", node->raft_role >= 0 && node->quorum.leader_id >= 0, "leader %d epoch %d",
		   node->raft_role >= 0 ? node->quorum.leader_id : -1, node->quorum.leader_epoch);
	health_check_dirs(sampler, ret);
}

/* ---- ours ---- */

void health_livez(struct http_request *request)
{
	int64_t silence_ns = http_silence_ns(request->http);
	struct page page;

	http_page(request, &page);
	if (silence_ns < LIVE_SILENCE_NS) {
		page_text(&page, "ok\n");
		http_reply(request, HTTP_OK, text_plain, &page);
		return;
	}
	page_format(&page, "An event loop has not answered for %lld s.\n", (long long)(silence_ns / NS_PER_S));
	http_reply(request, HTTP_SERVUNAVAIL, text_plain, &page);
}

void health_startupz(struct http_request *request)
{
	const struct harvest *harvest = request->harvest;
	int64_t partitions_n = 0, waiting_n = 0;
	int status = HTTP_SERVUNAVAIL;
	struct page page;

	http_page(request, &page);
	for (int i = 0; harvest && i < harvest->sampler->shards_n; i++) {
		const struct metrics_shard *shard = &harvest->sampler->shards[i].now;

		partitions_n += shard->partitions_n;
		waiting_n += shard->unopened_n + shard->opening_n;
	}
	if (!harvest) {
		page_format(&page, "%s: %s\n", request->missing, http_stage_now(request->http));
	} else if (harvest->sampler->node.phase == BROKER_STARTING) {
		page_format(&page, "starting: %s\n",
			    !harvest->sampler->node.has_image ? "the controller loads the metadata"
							      : "the broker registers");
	} else {
		status = HTTP_OK;
		page_text(&page, "started\n");
	}
	if (harvest)
		page_format(&page, "logs checked and open: %lld of %lld\n",
			    (long long)MAX(partitions_n - waiting_n, INT64_C(0)), (long long)partitions_n);
	http_reply(request, status, text_plain, &page);
}

void health_readyz(struct http_request *request)
{
	bool is_verbose;
	struct health health;
	struct page page;
	char value[8];

	health_check(request, &health);
	http_page(request, &page);
	is_verbose = http_parameter(request, "verbose", value, sizeof(value)) || health.failed_n > 0;
	for (int i = 0; is_verbose && i < health.n; i++)
		page_format(&page, "[%c] %s: %s\n", health.checks[i].is_good ? '+' : '-', health.checks[i].name,
			    health.checks[i].detail);
	page_text(&page, health.failed_n ? "not ready\n" : "ok\n");
	http_reply(request, health.failed_n ? HTTP_SERVUNAVAIL : HTTP_OK, text_plain, &page);
}

void health_healthz(struct http_request *request)
{
	struct health health;
	struct page page;

	health_check(request, &health);
	http_page(request, &page);
	page_format(&page, "{\"status\":\"%s\",\"checks\":[", health.failed_n ? "unhealthy" : "healthy");
	for (int i = 0; i < health.n; i++) {
		page_format(&page, "%s{\"name\":\"%s\",\"ok\":%s,\"detail\":\"", i ? "," : "", health.checks[i].name,
			    health.checks[i].is_good ? "true" : "false");
		page_escaped(&page, str_of(health.checks[i].detail));
		page_text(&page, "\"}");
	}
	page_text(&page, "]}\n");
	http_reply(request, health.failed_n ? HTTP_SERVUNAVAIL : HTTP_OK, text_json, &page);
}

/* ---- Strimzi's agent ---- */

static int health_state(const struct http_request *request)
{
	struct metric_source source;

	if (!request->harvest)
		return http_is_down(request->http) ? 0 : 1;
	metric_source_init(&source, request->harvest, &request->http->options);
	return (int)metric_value(&source, METRIC_BROKER_STATE);
}

void health_strimzi_ready(struct http_request *request)
{
	struct page page;

	http_page(request, &page);
	http_reply(request, health_state(request) == STRIMZI_RUNNING ? HTTP_NOCONTENT : HTTP_SERVUNAVAIL, text_plain,
		   &page);
}

void health_broker_state(struct http_request *request)
{
	int state = health_state(request);
	int64_t waiting_n = 0;
	struct page page;

	http_page(request, &page);
	page_format(&page, "{\"brokerState\":%d", state);
	for (int i = 0; request->harvest && i < request->harvest->sampler->shards_n; i++)
		waiting_n += request->harvest->sampler->shards[i].now.unopened_n;
	if (state == 2)
		page_format(&page, ",\"recoveryState\":{\"remainingLogsToRecover\":%lld,"
			    "\"remainingSegmentsToRecover\":%lld}", (long long)waiting_n, (long long)waiting_n);
	page_text(&page, "}\n");
	http_reply(request, HTTP_OK, text_json, &page);
}

/* ---- Redpanda's admin interface ---- */

void health_redpanda_ready(struct http_request *request)
{
	bool is_ready = health_state(request) == STRIMZI_RUNNING;
	struct page page;

	http_page(request, &page);
	page_format(&page, "{\"status\":\"%s\"}\n", is_ready ? "ready" : "booting");
	http_reply(request, is_ready ? HTTP_OK : HTTP_SERVUNAVAIL, text_json, &page);
}

/* Names of partitions for which `is_it` holds, as a JSON array of at most REASONS_PARTITIONS_MAX; returns how many
 * there are. */
static int64_t health_partitions(struct page *page, const struct harvest *harvest,
				 bool (*is_it)(const struct metrics_partition_row *row))
{
	int64_t n = 0;

	page_text(page, "[");
	for (size_t i = 0; i < harvest->partitions.n; i++) {
		const struct metrics_partition_row *row = &harvest->partitions.v[i];

		if (!is_it(row))
			continue;
		if (n++ >= REASONS_PARTITIONS_MAX)
			continue;
		page_text(page, n > 1 ? ",\"kafka/" : "\"kafka/");
		page_escaped(page, harvest->topics.v[row->topic].name);
		page_format(page, "/%d\"", row->index);
	}
	page_text(page, "]");
	return n;
}

static bool health_is_leaderless(const struct metrics_partition_row *row)
{
	return row->leader < 0 || row->is_offline;
}

static bool health_is_under_replicated(const struct metrics_partition_row *row)
{
	return row->isr_n < row->replicas_n;
}

void health_overview(struct http_request *request)
{
	const struct harvest *harvest = request->harvest;
	const struct metrics_node *node;
	int64_t leaderless_n, under_n;
	struct page page;
	int fenced_n;

	http_page(request, &page);
	if (!harvest) {
		page_format(&page, "{\"message\":\"%s\",\"code\":503}\n", request->missing);
		http_reply(request, HTTP_SERVUNAVAIL, text_json, &page);
		return;
	}
	node = &harvest->sampler->node;
	fenced_n = node->fenced_n;
	page_format(&page, "{\"controller_id\":%d,\"all_nodes\":[%d],\"nodes_down\":[", node->quorum.leader_id,
		    node->node_id);
	if (fenced_n)
		page_format(&page, "%d", node->node_id);
	page_text(&page, "],\"leaderless_partitions\":");
	leaderless_n = health_partitions(&page, harvest, health_is_leaderless);
	page_text(&page, ",\"under_replicated_partitions\":");
	under_n = health_partitions(&page, harvest, health_is_under_replicated);
	page_format(&page, ",\"leaderless_count\":%lld,\"under_replicated_count\":%lld,\"unhealthy_reasons\":[",
		    (long long)leaderless_n, (long long)under_n);
	page_format(&page, "%s%s%s%s%s", fenced_n ? "\"nodes_down\"" : "", fenced_n && leaderless_n ? "," : "",
		    leaderless_n ? "\"leaderless_partitions\"" : "", (fenced_n || leaderless_n) && under_n ? "," : "",
		    under_n ? "\"under_replicated_partitions\"" : "");
	page_format(&page, "],\"is_healthy\":%s}\n", fenced_n || leaderless_n || under_n ? "false" : "true");
	http_reply(request, HTTP_OK, text_json, &page);
}

/* ---- may this node be stopped? ----
 *
 * What waiting mends is a reason against it: copies that are behind, a start that is not over. What no waiting mends is
 * only told: with a single node it is never better to stop it later, and a hook that asks until it is safe has to come
 * to an end.
 */

struct health_stop {
	struct page *page;
	int told_n; /* in the list that is open */
	int reasons_n;
};

static void health_told(struct health_stop *stop, const char *code, const char *format, ...) PRINTF_LIKE(3, 4);

static void health_told(struct health_stop *stop, const char *code, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	page_format(stop->page, "%s{\"code\":\"%s\",\"text\":\"", stop->told_n++ ? "," : "", code);
	page_escaped(stop->page, str_of(text));
	page_text(stop->page, "\"}");
}

/* Partitions of which this node has a copy, by what is left of them without it. */
struct health_copies {
	int64_t only_n;      /* it has no other copy */
	int64_t alone_n;     /* its other copies are behind */
	int64_t below_min_n; /* others are in sync, too few for min.insync.replicas */
};

static struct health_copies health_count_copies(const struct harvest *harvest)
{
	struct health_copies copies = {0};

	for (size_t i = 0; i < harvest->partitions.n; i++) {
		const struct metrics_partition_row *row = &harvest->partitions.v[i];

		if (!row->is_ours)
			continue;
		copies.only_n += row->replicas_n <= 1;
		copies.alone_n += row->replicas_n > 1 && row->isr_n <= 1;
		copies.below_min_n += row->isr_n > 1 && row->isr_n - 1 < row->min_isr;
	}
	return copies;
}

static void health_stop_reasons(struct health_stop *stop, const struct harvest *harvest,
				const struct health_copies *copies)
{
	const struct metrics_node *node = &harvest->sampler->node;

	if (node->phase == BROKER_STARTING)
		health_told(stop, "starting", "the start is not over: what it has checked would be checked again");
	if (copies->alone_n)
		health_told(stop, "partitions_unavailable",
			    "%lld partitions have other copies, none of them in sync: they would be without a leader",
			    (long long)copies->alone_n);
	if (copies->below_min_n)
		health_told(stop, "partitions_below_min_isr",
			    "%lld partitions would fall below min.insync.replicas", (long long)copies->below_min_n);
	stop->reasons_n = stop->told_n;
}

static void health_stop_interrupts(struct health_stop *stop, const struct harvest *harvest,
				   const struct health_copies *copies)
{
	const struct metrics_node *node = &harvest->sampler->node;

	if (node->has_image && node->brokers_n == 1)
		health_told(stop, "only_broker",
			    "this is the only broker of the cluster: clients wait until it is back");
	if (copies->only_n)
		health_told(stop, "partitions_with_one_copy",
			    "%lld partitions have their only copy here: they wait until this node is back",
			    (long long)copies->only_n);
	if (node->raft_role >= 0)
		health_told(stop, "only_voter",
			    "the metadata quorum has one voter, this node: nothing is created or changed meanwhile");
}

void health_safe_to_stop(struct http_request *request)
{
	const struct harvest *harvest = request->harvest;
	struct health_copies copies;
	struct health_stop stop;
	struct page page;

	http_page(request, &page);
	if (!harvest) {
		page_format(&page, "{\"safe\":false,\"reasons\":[{\"code\":\"unknown\",\"text\":\"%s\"}]}\n",
			    request->missing);
		http_reply(request, HTTP_SERVUNAVAIL, text_json, &page);
		return;
	}
	copies = health_count_copies(harvest);
	stop = (struct health_stop){.page = &page};
	page_text(&page, "{\"reasons\":[");
	health_stop_reasons(&stop, harvest, &copies);
	page_format(&page, "],\"safe\":%s,\"interrupts\":[", stop.reasons_n ? "false" : "true");
	stop.told_n = 0;
	health_stop_interrupts(&stop, harvest, &copies);
	page_format(&page, "],\"node_id\":%d,\"loses_acknowledged_records\":false}\n",
		    harvest->sampler->node.node_id);
	http_reply(request, stop.reasons_n ? HTTP_SERVUNAVAIL : HTTP_OK, text_json, &page);
}
