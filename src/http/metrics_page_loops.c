/* SPDX-License-Identifier: Apache-2.0 */
/* The part of /metrics about event loops, connections, directories, requests that wait, quotas and features. */
#include <math.h>

#include "client_quota.h"
#include "metrics_page.h"

static double metrics_conn_value(const struct sampler_shard *shard, enum metric_id id, int listener)
{
	const struct metrics_listener *now = &shard->now.listeners[listener];

	switch ((int)id) {
	case METRIC_CONN_COUNT:
		return now->conns_n;
	case METRIC_CONN_CREATED:
		return (double)now->opened;
	case METRIC_CONN_CLOSED:
		return (double)now->closed;
	case METRIC_CONN_CREATION_RATE:
		return shard->opened_per_s[listener];
	case METRIC_CONN_CLOSE_RATE:
		return shard->closed_per_s[listener];
	case METRIC_NET_IN:
		return (double)now->bytes_in;
	case METRIC_NET_OUT:
		return (double)now->bytes_out;
	case METRIC_NET_REQUESTS:
		return (double)now->requests;
	case METRIC_NET_RESPONSES:
		return (double)now->responses;
	default:
		return NAN;
	}
}

/* A listener bound to two addresses ("localhost") is one. */
void metrics_listeners(struct metrics_page *mp)
{
	const struct metrics_node *node = &mp->source.sampler->node;

	page_family(mp->page, mp->name, metrics_type(mp), mp->def->help);
	for (int i = 0; i < node->listeners_n; i++) {
		bool is_first = i == 0 || strcmp(node->listeners[i].name, node->listeners[i - 1].name) != 0;

		for (int s = 0; is_first && s < mp->source.sampler->shards_n; s++) {
			double sum = 0;

			for (int j = i; j < node->listeners_n; j++) {
				if (strcmp(node->listeners[i].name, node->listeners[j].name) == 0)
					sum += metrics_conn_value(&mp->source.sampler->shards[s], mp->def->id, j);
			}
			metrics_line(mp, "", sum, "{listener=\"%s\",networkProcessor=\"%d\"}", node->listeners[i].name,
				     s);
		}
	}
}

static bool metrics_is_listener(const struct metrics_node *node, int a, int b)
{
	return strcmp(node->listeners[a].name, node->listeners[b].name) == 0;
}

/* The mean of what was not 0, of each listener. */
void metrics_delays(struct metrics_page *mp)
{
	const struct metrics_node *node = &mp->source.sampler->node;

	page_family(mp->page, mp->name, metrics_type(mp), mp->def->help);
	for (int i = 0; i < node->listeners_n; i++) {
		struct conn_delays sum = {0};

		if (i > 0 && metrics_is_listener(node, i, i - 1))
			continue;
		for (int j = i; j < node->listeners_n; j++) {
			const struct conn_delays *delays = mp->def->id == METRIC_CONN_IP_DELAY ?
								   &node->listeners[j].ip_delays :
								   &node->listeners[j].delays;

			sum.n += metrics_is_listener(node, i, j) ? delays->n : 0;
			sum.ms += metrics_is_listener(node, i, j) ? delays->ms : 0;
		}
		metrics_line(mp, "", sum.n ? (double)sum.ms / (double)sum.n : 0, "{listener=\"%s\"}",
			     node->listeners[i].name);
	}
}

/* Names and versions hold letters, digits, dots and dashes only. */
static void metrics_software_line(struct metrics_page *mp, const char *text, const char *listener, int loop, double n)
{
	const char *blank = strchr(text, ' ');

	metrics_line(mp, "", n,
		     "{clientSoftwareName=\"%.*s\",clientSoftwareVersion=\"%s\",listener=\"%s\","
		     "networkProcessor=\"%d\"}",
		     (int)(blank - text), text, blank + 1, listener, loop);
}

/* The bounds of listener i on an event loop: by software, and the rest. */
static void metrics_software_of(struct metrics_page *mp, int i, int loop)
{
	const struct metrics_node *node = &mp->source.sampler->node;
	const struct metrics_shard *now = &mp->source.sampler->shards[loop].now;
	struct metrics_software sums[METRICS_SOFTWARE_N];
	int sums_n = 0;
	int64_t rest = 0;

	for (int j = i; j < node->listeners_n; j++)
		rest += metrics_is_listener(node, i, j) ? now->listeners[j].conns_n : 0;
	for (int s = 0; s < METRICS_SOFTWARE_N; s++) {
		const struct metrics_software *software = &now->software[s];
		int k = 0;

		if (software->conns_n == 0 || software->listener >= node->listeners_n ||
		    !metrics_is_listener(node, i, software->listener))
			continue;
		while (k < sums_n && strcmp(sums[k].text, software->text) != 0)
			k++;
		if (k == sums_n) {
			sums[sums_n] = *software;
			sums[sums_n++].conns_n = 0;
		}
		sums[k].conns_n += software->conns_n;
		rest -= software->conns_n;
	}
	for (int k = 0; k < sums_n; k++)
		metrics_software_line(mp, sums[k].text, node->listeners[i].name, loop, sums[k].conns_n);
	if (rest > 0)
		metrics_software_line(mp, "unknown unknown", node->listeners[i].name, loop, (double)rest);
}

void metrics_software(struct metrics_page *mp)
{
	const struct metrics_node *node = &mp->source.sampler->node;

	page_family(mp->page, mp->name, metrics_type(mp), mp->def->help);
	for (int i = 0; i < node->listeners_n; i++) {
		bool is_first = i == 0 || !metrics_is_listener(node, i, i - 1);

		for (int s = 0; is_first && s < mp->source.sampler->shards_n; s++)
			metrics_software_of(mp, i, s);
	}
}

static double metrics_loop_value(const struct sampler_shard *shard, enum metric_id id)
{
	const struct metrics_shard *now = &shard->now;

	switch ((int)id) {
	case METRIC_PROCESSOR_IDLE:
		return shard->idle;
	case METRIC_RESPONSE_QUEUE:
		return now->requests_n - now->queued_n - now->running_n;
	case METRIC_LOOP_BUSY:
		return (double)(now->now_ns - now->slept_ns - now->began_ns) / NS_PER_S;
	case METRIC_LOOP_TURNS:
		return (double)now->turns;
	default:
		return NAN;
	}
}

void metrics_loops(struct metrics_page *mp)
{
	const char *label = mp->def->labels == METRIC_OF_PROCESSOR ? "processor"
			    : mp->def->labels == METRIC_OF_REACTOR ? "reactor"
								   : "networkProcessor";
	double sum = 0;

	page_family(mp->page, mp->name, metrics_type(mp), mp->def->help);
	for (int i = 0; i < mp->source.sampler->shards_n; i++) {
		double value = metrics_loop_value(&mp->source.sampler->shards[i], mp->def->id);

		sum += value;
		metrics_line(mp, "", value, "{%s=\"%d\"}", label, i);
	}
	if (mp->def->labels == METRIC_OF_PROCESSOR)
		page_sample(mp->page, mp->name, sum);
}

/* Partitions of a directory, or bytes of theirs, that compaction has given up. */
static double metrics_dir_stopped(const struct metrics_page *mp, int dir)
{
	const struct harvest *harvest = mp->source.harvest;
	double sum = 0;

	for (size_t i = 0; i < harvest->partitions.n; i++) {
		const struct metrics_partition_row *row = &harvest->partitions.v[i];

		if (row->is_uncleanable && row->dir == dir)
			sum += mp->def->id == METRIC_CLEANER_STOPPED ? 1 : (double)row->size_bytes;
	}
	return sum;
}

/* The table of file functions is the process's, and asking for space may be done on any thread. */
static double metrics_dir_value(const struct metrics_page *mp, int dir, bool is_offline)
{
	const struct harvest *harvest = mp->source.harvest;
	struct fs *fs = harvest->broker->node->reactors[0].io->fs;
	struct fs_space space;

	if (mp->def->id == METRIC_DIR_OFFLINE)
		return is_offline;
	if (mp->def->id == METRIC_DIR_CORDONED)
		return mp->source.sampler->node.dirs[dir].is_cordoned;
	if (mp->def->id == METRIC_CLEANER_STOPPED || mp->def->id == METRIC_CLEANER_STOPPED_BYTES)
		return metrics_dir_stopped(mp, dir);
	if (fs->ops->space(fs, mp->source.sampler->node.dirs[dir].path, &space))
		return NAN;
	return (double)(mp->def->id == METRIC_DIR_FREE ? space.usable : space.total);
}

void metrics_dirs(struct metrics_page *mp)
{
	const struct sampler *sampler = mp->source.sampler;

	page_family(mp->page, mp->name, "gauge", mp->def->help);
	for (int dir = 0; dir < sampler->node.dirs_n; dir++) {
		bool is_offline = false;

		for (int i = 0; i < sampler->shards_n; i++)
			is_offline |= sampler->shards[i].now.dirs[dir] == LOG_DIR_OFFLINE;
		page_text(mp->page, mp->name);
		page_text(mp->page, "{logDirectory=\"");
		page_escaped(mp->page, str_of(sampler->node.dirs[dir].path));
		page_text(mp->page, "\"} ");
		page_f64(mp->page, metrics_dir_value(mp, dir, is_offline));
		page_text(mp->page, "\n");
	}
}

void metrics_purgatory(struct metrics_page *mp)
{
	const struct sampler *sampler = mp->source.sampler;
	double fetches = 0, produces = 0, expired = 0;

	for (int i = 0; i < sampler->shards_n; i++) {
		fetches += sampler->shards[i].now.waiting_fetches_n;
		produces += sampler->shards[i].now.waiting_produces_n;
		expired += (double)sampler->shards[i].now.expired_fetches;
	}
	page_family(mp->page, mp->name, metrics_type(mp), mp->def->help);
	if (mp->def->id == METRIC_FETCH_EXPIRES) {
		metrics_line(mp, "", expired, "{fetcherType=\"consumer\"}");
		return;
	}
	metrics_line(mp, "", fetches, "{delayedOperation=\"Fetch\"}");
	metrics_line(mp, "", produces, "{delayedOperation=\"Produce\"}");
}

/* ---- quotas, features ---- */

/* Does this row show that kind of quota? */
static bool metrics_quota_is_shown(enum metric_id id, int kind)
{
	switch ((int)id) {
	case METRIC_QUOTA_PRODUCE_RATE:
	case METRIC_QUOTA_PRODUCE_THROTTLE:
		return kind == CLIENT_QUOTA_PRODUCE;
	case METRIC_QUOTA_FETCH_RATE:
	case METRIC_QUOTA_FETCH_THROTTLE:
		return kind == CLIENT_QUOTA_FETCH;
	case METRIC_QUOTA_REQUEST_TIME:
	case METRIC_QUOTA_REQUEST_THROTTLE:
	case METRIC_QUOTA_TIME:
		return kind == CLIENT_QUOTA_REQUEST;
	case METRIC_QUOTA_BYTE_RATE:
		return kind == CLIENT_QUOTA_PRODUCE || kind == CLIENT_QUOTA_FETCH;
	case METRIC_QUOTA_THROTTLE_TIME:
		return kind != CLIENT_QUOTA_MUTATION;
	default:
		return false;
	}
}

static double metrics_quota_value(enum metric_id id, const struct metrics_quota *quota)
{
	switch ((int)id) {
	case METRIC_QUOTA_PRODUCE_THROTTLE:
	case METRIC_QUOTA_FETCH_THROTTLE:
	case METRIC_QUOTA_REQUEST_THROTTLE:
	case METRIC_QUOTA_THROTTLE_TIME:
		return quota->throttled_n ? (double)quota->throttled_ms / (double)quota->throttled_n : 0;
	default:
		return quota->rate;
	}
}

void metrics_quotas(struct metrics_page *mp)
{
	static const char *const kinds[] = {"Produce", "Fetch", "Request", "ControllerMutation"};
	bool has_resource = mp->def->labels == METRIC_OF_RESOURCE_USER_CLIENT_ID;
	const struct sampler *sampler = mp->source.sampler;

	page_family(mp->page, mp->name, "gauge", mp->def->help);
	for (int i = 0; i < sampler->quotas_n; i++) {
		const struct metrics_quota *quota = &sampler->quotas[i];

		if (!metrics_quota_is_shown(mp->def->id, quota->kind))
			continue;
		page_text(mp->page, mp->name);
		if (has_resource)
			page_format(mp->page, "{resource=\"%s\",user=\"", kinds[quota->kind]);
		else
			page_text(mp->page, "{user=\"");
		page_escaped(mp->page, str_of(quota->user));
		page_text(mp->page, has_resource ? "\",clientId=\"" : "\",client_id=\"");
		page_escaped(mp->page, str_of(quota->client_id));
		page_text(mp->page, "\"} ");
		page_f64(mp->page, metrics_quota_value(mp->def->id, quota));
		page_text(mp->page, "\n");
	}
}

void metrics_features(struct metrics_page *mp)
{
	const struct metrics_node *node = &mp->source.sampler->node;

	page_family(mp->page, mp->name, "gauge", mp->def->help);
	for (int i = 0; i < node->features_n; i++)
		metrics_line(mp, "", node->features[i].level, "{featureName=\"%s\"}", node->features[i].name);
}
