/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics: every row of the table in the dialects asked for, as Prometheus text 0.0.4, or as OpenMetrics where only
 * our own names are wanted and the client prefers it. Beside the series of topics stands one without the label, as in
 * JMX. Histograms of the borrowed dialects have quantiles and a count and no sum, as jmx_exporter gives them; our own
 * are real ones, with the slowest request as exemplar.
 *
 * 1. A family is written once a page, in one run, whatever the dialects.
 */
#include <event2/http.h>
#include <math.h>
#include <stdio.h>

#include "http_internal.h"
#include "metrics_page.h"
#include "raft.h"

#define BUCKET_FIRST 14 /* 2^14 ns: 16 us */
#define BUCKET_LAST 35  /* 2^35 ns: 34 s */
#define SIZE_FIRST 6
#define SIZE_LAST 27
#define NS_PER_MS_F 1e6

static const double quantiles[] = {0.5, 0.75, 0.95, 0.98, 0.99, 0.999};
static const char *const quantile_names[] = {"0.50", "0.75", "0.95", "0.98", "0.99", "0.999"};

static const char *const phase_names[METRICS_PHASES_N] = {
	[METRICS_QUEUE] = "queue",	 [METRICS_LOCAL] = "local",
	[METRICS_REMOTE] = "remote",	 [METRICS_THROTTLE] = "throttle",
	[METRICS_RESPONSE_QUEUE] = "response_queue", [METRICS_SEND] = "send",
	[METRICS_TOTAL] = "total",
};

static const char *const event_phase_names[COORD_TIMES_N] = {
	[COORD_TIME_QUEUE] = "queue",	      [COORD_TIME_PROCESSING] = "processing",
	[COORD_TIME_PURGATORY] = "purgatory", [COORD_TIME_FLUSH] = "flush",
	[COORD_TIME_LINGER] = "linger",	      [COORD_TIME_LOAD] = "load",
};

void metrics_line(struct metrics_page *mp, const char *suffix, double value, const char *labels, ...)
{
	char text[512];
	va_list args;

	va_start(args, labels);
	vsnprintf(text, sizeof(text), labels, args);
	va_end(args);
	page_text(mp->page, mp->name);
	page_text(mp->page, suffix);
	page_text(mp->page, text);
	page_add(mp->page, " ", 1);
	page_f64(mp->page, value);
	page_add(mp->page, "\n", 1);
}

static void metrics_topic_line(struct metrics_page *mp, const char *before, struct str topic, double value)
{
	page_text(mp->page, mp->name);
	page_text(mp->page, before);
	page_escaped(mp->page, topic);
	page_add(mp->page, "\"} ", 3);
	page_f64(mp->page, value);
	page_add(mp->page, "\n", 1);
}

/* Some parsers give a counter the end _total where it lacks it: those that are named otherwise have no type. */
const char *metrics_type(const struct metrics_page *mp)
{
	size_t len = strlen(mp->name);
	bool is_total = len > 6 && strcmp(mp->name + len - 6, "_total") == 0;

	switch (mp->def->kind) {
	case METRIC_IS_METER:
	case METRIC_IS_COUNTER:
	case METRIC_IS_ATTR_TOTAL:
		return is_total ? "counter" : "untyped";
	case METRIC_IS_IDLE:
		return is_total ? "counter" : "gauge";
	case METRIC_IS_GAUGE:
	case METRIC_IS_SHARE:
	case METRIC_IS_TIMES:
	case METRIC_IS_SIZES:
	case METRIC_IS_ATTR:
	default:
		return "gauge";
	}
}

/* ---- one node ---- */

static void metrics_node(struct metrics_page *mp)
{
	double value = metric_value(&mp->source, mp->def->id);

	if (isnan(value))
		return;
	/* The count of Kafka's meter is idle time in ns. */
	if (mp->def->kind == METRIC_IS_IDLE && mp->dialect == HTTP_REPORTER) {
		value = 0;
		for (int i = 0; i < mp->source.sampler->shards_n; i++)
			value += (double)mp->source.sampler->shards[i].now.slept_ns / mp->source.sampler->shards_n;
	}
	page_family(mp->page, mp->name, metrics_type(mp), mp->def->help);
	page_sample(mp->page, mp->name, value);
}

static void metrics_state(struct metrics_page *mp)
{
	static const char *const names[] = {
		[RAFT_UNATTACHED] = "unattached",
		[RAFT_CANDIDATE] = "candidate",
		[RAFT_LEADER] = "leader",
		[RAFT_RESIGNED] = "resigned",
	};
	int role = mp->source.sampler->node.raft_role;

	if (role < 0 || role >= (int)ARRAY_N(names))
		return;
	page_family(mp->page, mp->name, "gauge", mp->def->help);
	metrics_line(mp, "", 1, "{state=\"%s\"}", names[role]);
}

/* ---- topics, partitions ---- */

static void metrics_topics(struct metrics_page *mp)
{
	int count = metric_topic_count(mp->def->id);
	const struct harvest *harvest = mp->source.harvest;

	page_family(mp->page, mp->name, metrics_type(mp), mp->def->help);
	if (count >= 0)
		page_sample(mp->page, mp->name, (double)mp->source.sampler->all_topics.counts[count]);
	for (size_t i = 0; i < harvest->topics.n; i++) {
		const struct harvest_topic *topic = &harvest->topics.v[i];

		if (count < 0)
			metrics_topic_line(mp, "{topic=\"", topic->name, topic->partitions_n);
		else if (topic->has_counts)
			metrics_topic_line(mp, "{topic=\"", topic->name, (double)topic->counts.counts[count]);
	}
}

static void metrics_partitions(struct metrics_page *mp)
{
	const struct harvest *harvest = mp->source.harvest;
	size_t name_len = strlen(mp->name);
	struct page *page = mp->page;

	if (!mp->source.shows_partitions || harvest->partitions.n == 0)
		return;
	page_family(page, mp->name, metrics_type(mp), mp->def->help);
	for (size_t i = 0; i < harvest->partitions.n; i++) {
		const struct metrics_partition_row *row = &harvest->partitions.v[i];
		struct str topic = harvest->topics.v[row->topic].name;

		if (!metric_partition_is_known(mp->def->id, row))
			continue;
		/* Names of topics hold nothing to escape. */
		page_add(page, mp->name, name_len);
		page_add(page, "{topic=\"", 8);
		page_add(page, topic.p, topic.len);
		page_add(page, "\",partition=\"", 13);
		page_i64(page, row->index);
		page_add(page, "\"} ", 3);
		page_f64(page, metric_partition_value(mp->def->id, row));
		page_add(page, "\n", 1);
	}
}

static void metrics_kafbat(struct metrics_page *mp)
{
	const struct harvest *harvest = mp->source.harvest;
	const struct sampler *sampler = mp->source.sampler;

	page_family(mp->page, mp->name, "gauge", mp->def->help);
	metrics_line(mp, "", sampler->bytes_in.fifteen_minutes, "{name=\"BytesInPerSec\"}");
	metrics_line(mp, "", sampler->bytes_out.fifteen_minutes, "{name=\"BytesOutPerSec\"}");
	for (size_t i = 0; i < harvest->topics.n; i++) {
		const struct harvest_topic *topic = &harvest->topics.v[i];

		if (!topic->rate)
			continue;
		metrics_topic_line(mp, "{name=\"BytesInPerSec\",topic=\"", topic->name,
				   topic->rate->in.fifteen_minutes);
		metrics_topic_line(mp, "{name=\"BytesOutPerSec\",topic=\"", topic->name,
				   topic->rate->out.fifteen_minutes);
	}
}

/* ---- requests ---- */

/* Kafka counts a fetch under two names; no other broker fetches from a single node. */
static int metrics_request_names(int key, const char *ret[2])
{
	ret[0] = api_name((int16_t)key);
	ret[1] = "FetchConsumer";
	return key == API_FETCH ? 2 : 1;
}

static void metrics_request_versions(struct metrics_page *mp, int key, const char *request)
{
	const struct sampler_api *api = mp->source.sampler->apis[key];

	for (int version = 0; version < METRICS_VERSIONS_N; version++) {
		if (api->requests[version])
			metrics_line(mp, "", (double)api->requests[version], "{request=\"%s\",version=\"%d\"}", request,
				     version);
	}
}

static void metrics_request_errors(struct metrics_page *mp, int key, const char *request)
{
	const struct sampler_api *api = mp->source.sampler->apis[key];

	for (int i = 0; i < api->errors_n; i++) {
		enum err err = (enum err)api->errors[i].code;

		metrics_line(mp, "", (double)api->errors[i].n, "{request=\"%s\",error=\"%s\"}", request,
			     err ? err_name(err) : "NONE");
	}
}

static void metrics_requests(struct metrics_page *mp,
			     void (*one)(struct metrics_page *mp, int key, const char *request))
{
	page_family(mp->page, mp->name, metrics_type(mp), mp->def->help);
	for (int key = 0; key <= API_KEY_MAX; key++) {
		const char *names[2];

		for (int i = 0; mp->source.sampler->apis[key] && i < metrics_request_names(key, names); i++)
			one(mp, key, names[i]);
	}
}

/* What a row of kind times or sizes shows of an API. */
static int metrics_hist_index(enum metric_id id)
{
	switch ((int)id) {
	case METRIC_TOTAL_TIME:
		return METRICS_TOTAL;
	case METRIC_QUEUE_TIME:
		return METRICS_QUEUE;
	case METRIC_LOCAL_TIME:
		return METRICS_LOCAL;
	case METRIC_REMOTE_TIME:
		return METRICS_REMOTE;
	case METRIC_THROTTLE_TIME:
		return METRICS_THROTTLE;
	case METRIC_RESPONSE_QUEUE_TIME:
		return METRICS_RESPONSE_QUEUE;
	case METRIC_SEND_TIME:
		return METRICS_SEND;
	case METRIC_REQUEST_BYTES:
		return SAMPLER_BYTES;
	default:
		return -1;
	}
}

static void metrics_quantiles(struct metrics_page *mp, const struct sampler_hist *hist, const char *labels)
{
	double weights[HIST_BINS_N], unit = mp->def->kind == METRIC_IS_TIMES ? NS_PER_MS_F : 1;

	for (int i = 0; i < HIST_BINS_N; i++)
		weights[i] = (double)hist->recent[i];
	for (size_t i = 0; i < ARRAY_N(quantiles); i++)
		metrics_line(mp, "", hist_quantile(weights, quantiles[i]) / unit, "{%s%squantile=\"%s\"}", labels,
			     labels[0] ? "," : "", quantile_names[i]);
}

/* Two families, as a run must not be broken: the quantiles of all requests, then the counts. */
static void metrics_summaries(struct metrics_page *mp)
{
	int index = metrics_hist_index(mp->def->id);
	const struct sampler *sampler = mp->source.sampler;
	char family[160], labels[80];
	const char *names[2];

	page_family(mp->page, mp->name, "gauge", mp->def->help);
	for (int key = 0; key <= API_KEY_MAX; key++) {
		for (int i = 0; sampler->apis[key] && i < metrics_request_names(key, names); i++) {
			snprintf(labels, sizeof(labels), "request=\"%s\"", names[i]);
			metrics_quantiles(mp, &sampler->apis[key]->hists[index], labels);
		}
	}
	snprintf(family, sizeof(family), "%s_count", mp->name);
	page_family(mp->page, family, "untyped", mp->def->help);
	for (int key = 0; key <= API_KEY_MAX; key++) {
		for (int i = 0; sampler->apis[key] && i < metrics_request_names(key, names); i++)
			metrics_line(mp, "_count", (double)sampler->apis[key]->hists[index].n, "{request=\"%s\"}",
				     names[i]);
	}
}

static void metrics_node_times(struct metrics_page *mp, const struct sampler_hist *hist)
{
	char family[160];

	page_family(mp->page, mp->name, "gauge", mp->def->help);
	metrics_quantiles(mp, hist, "");
	snprintf(family, sizeof(family), "%s_count", mp->name);
	page_family(mp->page, family, "untyped", mp->def->help);
	page_sample(mp->page, family, (double)hist->n);
}

/* ---- our own histograms ---- */

/* The slowest request of late, behind the bucket it fell into. */
static void metrics_exemplar(struct metrics_page *mp, const struct sampler_api *api, int64_t above_ns, int64_t up_to_ns)
{
	if (!mp->page->is_openmetrics || api->slowest.total_ns <= above_ns || api->slowest.total_ns > up_to_ns)
		return;
	page_text(mp->page, " # {client_id=\"");
	page_escaped(mp->page, (struct str){api->slowest.client_id, strlen(api->slowest.client_id)});
	page_format(mp->page, "\",correlation_id=\"%d\"} %.9g %.3f", api->slowest.correlation_id,
		    (double)api->slowest.total_ns / NS_PER_S, (double)api->slowest.wall_ms / 1000);
}

/* labels: without braces. api: for the exemplar, NULL: none. */
static void metrics_histogram(struct metrics_page *mp, const struct sampler_hist *hist, const char *labels,
			      const struct sampler_api *api)
{
	bool is_time = mp->def->kind == METRIC_IS_TIMES;
	const char *comma = labels[0] ? "," : "";
	double unit = is_time ? NS_PER_S : 1;
	uint64_t below = 0;
	int bin = 0;

	for (int power = is_time ? BUCKET_FIRST : SIZE_FIRST; power <= (is_time ? BUCKET_LAST : SIZE_LAST); power++) {
		int64_t end = (int64_t)1 << power;

		while (bin < HIST_BINS_N && hist_bin_end(bin) <= end)
			below += hist->total[bin++];
		page_text(mp->page, mp->name);
		page_format(mp->page, "_bucket{%s%sle=\"%.9g\"} %llu", labels, comma, (double)end / unit,
			    (unsigned long long)below);
		if (api)
			metrics_exemplar(mp, api, power == BUCKET_FIRST ? 0 : end / 2, end);
		page_add(mp->page, "\n", 1);
	}
	while (bin < HIST_BINS_N)
		below += hist->total[bin++];
	metrics_line(mp, "_bucket", (double)below, "{%s%sle=\"+Inf\"}", labels, comma);
	metrics_line(mp, "_sum", (double)hist->sum / unit, labels[0] ? "{%s}" : "%s", labels);
	metrics_line(mp, "_count", (double)below, labels[0] ? "{%s}" : "%s", labels);
}

static void metrics_histograms(struct metrics_page *mp)
{
	const struct sampler *sampler = mp->source.sampler;
	char labels[128];

	page_family(mp->page, mp->name, "histogram", mp->def->help);
	switch ((int)mp->def->id) {
	case METRIC_FLUSH_DURATION:
		metrics_histogram(mp, &sampler->flush, "", NULL);
		return;
	case METRIC_ASK_DURATION:
		metrics_histogram(mp, &sampler->transaction_asks, "", NULL);
		return;
	case METRIC_LOAD_DURATION:
		metrics_histogram(mp, &sampler->coordinators[COORDINATOR_GROUP][COORD_TIME_LOAD],
				  "coordinator=\"group\"", NULL);
		metrics_histogram(mp, &sampler->coordinators[COORDINATOR_TRANSACTION][COORD_TIME_LOAD],
				  "coordinator=\"transaction\"", NULL);
		return;
	case METRIC_GC_DURATION:
		for (int time = 0; time < COORD_TIME_LOAD; time++) {
			snprintf(labels, sizeof(labels), "phase=\"%s\"", event_phase_names[time]);
			metrics_histogram(mp, &sampler->coordinators[COORDINATOR_GROUP][time], labels, NULL);
		}
		return;
	default:
		break;
	}
	for (int key = 0; key <= API_KEY_MAX; key++) {
		const struct sampler_api *api = sampler->apis[key];

		if (api && mp->def->id == METRIC_SIZE) {
			snprintf(labels, sizeof(labels), "request=\"%s\"", api_name((int16_t)key));
			metrics_histogram(mp, &api->hists[SAMPLER_BYTES], labels, NULL);
		}
		for (int phase = 0; api && mp->def->id == METRIC_DURATION && phase < METRICS_PHASES_N; phase++) {
			snprintf(labels, sizeof(labels), "request=\"%s\",phase=\"%s\"", api_name((int16_t)key),
				 phase_names[phase]);
			metrics_histogram(mp, &api->hists[phase], labels, phase == METRICS_TOTAL ? api : NULL);
		}
	}
}

/* ---- the page ---- */

static void metrics_times(struct metrics_page *mp)
{
	const struct sampler *sampler = mp->source.sampler;

	if (mp->dialect == HTTP_NATIVE)
		metrics_histograms(mp);
	else if (mp->def->id == METRIC_FLUSH)
		metrics_node_times(mp, &sampler->flush);
	else if (mp->def->id == METRIC_CONTROLLER_QUEUE_TIME)
		metrics_node_times(mp, &sampler->controller[CONTROLLER_QUEUE]);
	else if (mp->def->id == METRIC_CONTROLLER_WORK_TIME)
		metrics_node_times(mp, &sampler->controller[CONTROLLER_PROCESSING]);
	else if (mp->def->id == METRIC_VERIFICATION_TIME)
		metrics_node_times(mp, &sampler->transaction_asks);
	else
		metrics_summaries(mp);
}

static void metrics_versions(struct metrics_page *mp)
{
	metrics_requests(mp, metrics_request_versions);
}

static void metrics_errors(struct metrics_page *mp)
{
	metrics_requests(mp, metrics_request_errors);
}

static void metrics_broker_info(struct metrics_page *mp)
{
	page_family(mp->page, mp->name, "gauge", mp->def->help);
	metrics_line(mp, "", 1, "{id=\"%d\",address=\"%s\"}", mp->source.sampler->node.node_id,
		     mp->source.sampler->node.address);
}

static void metrics_build_info(struct metrics_page *mp)
{
	page_family(mp->page, mp->name, "gauge", mp->def->help);
	metrics_line(mp, "", 1, "{version=\"%s\"}", mp->source.options->version);
}

/* By the labels of a row that is no histogram. */
static void (*const metrics_writers[])(struct metrics_page *mp) = {
	[METRIC_OF_NODE] = metrics_node,
	[METRIC_OF_TOPIC] = metrics_topics,
	[METRIC_OF_TOPIC_PARTITION] = metrics_partitions,
	[METRIC_OF_NAME_TOPIC] = metrics_kafbat,
	[METRIC_OF_REQUEST_VERSION] = metrics_versions,
	[METRIC_OF_REQUEST_ERROR] = metrics_errors,
	[METRIC_OF_PROCESSOR] = metrics_loops,
	[METRIC_OF_NETWORKPROCESSOR] = metrics_loops,
	[METRIC_OF_REACTOR] = metrics_loops,
	[METRIC_OF_LISTENER_NETWORKPROCESSOR] = metrics_listeners,
	[METRIC_OF_LISTENER] = metrics_delays,
	[METRIC_OF_SOFTWARE] = metrics_software,
	[METRIC_OF_LOGDIRECTORY] = metrics_dirs,
	[METRIC_OF_DELAYEDOPERATION] = metrics_purgatory,
	[METRIC_OF_FETCHERTYPE] = metrics_purgatory,
	[METRIC_OF_USER_CLIENT_ID] = metrics_quotas,
	[METRIC_OF_RESOURCE_USER_CLIENT_ID] = metrics_quotas,
	[METRIC_OF_PROTOCOL] = metrics_group_counts,
	[METRIC_OF_GROUP_STATE] = metrics_group_counts,
	[METRIC_OF_PARTITION_STATE] = metrics_coordinator_partitions,
	[METRIC_OF_CONSUMERGROUP_TOPIC_PARTITION] = metrics_group_offsets,
	[METRIC_OF_CONSUMERGROUP_TOPIC] = metrics_group_sums,
	[METRIC_OF_CONSUMERGROUP] = metrics_group_members,
	[METRIC_OF_GROUP_TOPIC_PARTITION] = metrics_group_ages,
	[METRIC_OF_GROUP] = metrics_group_greatest,
	[METRIC_OF_FEATURENAME] = metrics_features,
	[METRIC_OF_STATE] = metrics_state,
	[METRIC_OF_ID_ADDRESS] = metrics_broker_info,
	[METRIC_OF_VERSION] = metrics_build_info,
};

static void metrics_one(struct metrics_page *mp)
{
	if (mp->def->kind == METRIC_IS_TIMES || mp->def->kind == METRIC_IS_SIZES) {
		metrics_times(mp);
		return;
	}
	CHECK_OP((size_t)mp->def->labels, <, ARRAY_N(metrics_writers));
	CHECK(metrics_writers[mp->def->labels]);
	metrics_writers[mp->def->labels](mp);
}

/* Under each name that the dialects have for it, once. */
static void metrics_def(struct metrics_page *mp, enum http_dialect dialect)
{
	const struct metric_def *def = mp->def;
	const char *names[] = {def->jmx, def->jmx_also, def->reporter, def->confluent, def->native};
	static const enum http_dialect of[] = {HTTP_JMX, HTTP_JMX, HTTP_REPORTER, HTTP_CONFLUENT, HTTP_NATIVE};

	for (size_t i = 0; i < ARRAY_N(names); i++) {
		bool is_known = false;

		if (!names[i] || (dialect != HTTP_ALL && dialect != of[i]))
			continue;
		for (size_t j = 0; j < i; j++)
			is_known |= names[j] && strcmp(names[i], names[j]) == 0 &&
				    (dialect == HTTP_ALL || dialect == of[j]);
		if (is_known)
			continue;
		mp->name = names[i];
		mp->dialect = of[i];
		metrics_one(mp);
	}
}

void metrics_page_write(struct page *page, const struct harvest *harvest, enum http_dialect dialect,
			const struct http_options *options)
{
	struct metrics_page mp = {.page = page};

	metric_source_init(&mp.source, harvest, options);
	for (size_t i = 0; i < METRIC_DEFS_N; i++) {
		mp.def = &metric_defs[i];
		metrics_def(&mp, dialect);
	}
	metrics_clients(page, harvest);
	if (page->is_openmetrics)
		page_text(page, "# EOF\n");
}

void metrics_page_answer(struct http_request *request)
{
	enum http_dialect dialect = request->http->dialect;
	const char *accept = http_header(request, "Accept");
	char asked[32];
	struct page page;

	http_page(request, &page);
	if (!request->harvest) {
		page_format(&page, "There are no metrics now: %s.\n", request->missing);
		http_reply(request, HTTP_SERVUNAVAIL, "text/plain; charset=utf-8", &page);
		return;
	}
	if (http_parameter(request, "dialect", asked, sizeof(asked)) && !http_dialect_parse(str_of(asked), &dialect)) {
		page_text(&page, "?dialect= is one of jmx, reporter, confluent, native, all.\n");
		http_reply(request, HTTP_BADREQUEST, "text/plain; charset=utf-8", &page);
		return;
	}
	page.is_openmetrics = dialect == HTTP_NATIVE && accept && strstr(accept, "application/openmetrics-text");
	metrics_page_write(&page, request->harvest, dialect, &request->http->options);
	http_reply(request, HTTP_OK,
		   page.is_openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				       : "text/plain; version=0.0.4; charset=utf-8",
		   &page);
}
