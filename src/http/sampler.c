/* SPDX-License-Identifier: Apache-2.0 */
/* See sampler.h. */
#include "sampler.h"

#include <math.h>

#include "mem.h"

#define SAMPLER_DECAY 0.015        /* per second */
#define SAMPLER_LOOK_NS NS_PER_S   /* shares and rates want at least this much time between two looks */
#define SAMPLER_SLOWEST_MS 60000
#define SAMPLER_WEIGHT_MIN 0.5 /* what happened once counts for three quarters of a minute */

void sampler_init(struct sampler *sampler, int shards_n, uint64_t hash_seed)
{
	*sampler = (struct sampler){.shards_n = shards_n};
	sampler->shards = mem_calloc((size_t)shards_n, sizeof(*sampler->shards));
	map_init(&sampler->topic_rates, MAP_STR, hash_seed);
}

void sampler_deinit(struct sampler *sampler)
{
	struct sampler_topic_rate *rate;
	uint32_t it = 0;

	for (int i = 0; i < sampler->shards_n; i++) {
		for (int key = 0; key <= API_KEY_MAX; key++)
			mem_free(sampler->shards[i].last[key]);
	}
	for (int key = 0; key <= API_KEY_MAX; key++)
		mem_free(sampler->apis[key]);
	while ((rate = map_next(&sampler->topic_rates, &it)) != NULL)
		mem_free(rate);
	map_deinit(&sampler->topic_rates);
	mem_free(sampler->shards);
	*sampler = (struct sampler){0};
}

static void sampler_hist_begin(struct sampler_hist *hist, float keep)
{
	hist->n = hist->sum = 0;
	for (int i = 0; i < HIST_BINS_N; i++)
		hist->recent[i] *= keep;
}

void sampler_begin(struct sampler *sampler, int64_t now_ns)
{
	double passed_s = sampler->at_ns ? (double)(now_ns - sampler->at_ns) / NS_PER_S : 0;
	float keep = (float)exp(-SAMPLER_DECAY * MAX(passed_s, 0.0));

	sampler->round++;
	for (int key = 0; key <= API_KEY_MAX; key++) {
		struct sampler_api *api = sampler->apis[key];

		if (!api)
			continue;
		memset(api->requests, 0, sizeof(api->requests));
		for (int i = 0; i < api->errors_n; i++)
			api->errors[i].n = 0;
		for (int i = 0; i < SAMPLER_HISTS_N; i++)
			sampler_hist_begin(&api->hists[i], keep);
	}
	sampler->quotas_n = 0;
	sampler_hist_begin(&sampler->flush, keep);
	sampler_hist_begin(&sampler->transaction_asks, keep);
	for (int kind = 0; kind < COORDINATOR_KINDS_N; kind++) {
		for (int i = 0; i < COORD_TIMES_N; i++)
			sampler_hist_begin(&sampler->coordinators[kind][i], keep);
	}
	for (int i = 0; i < CONTROLLER_TIMES_N; i++)
		sampler_hist_begin(&sampler->controller[i], keep);
	memset(&sampler->all_topics, 0, sizeof(sampler->all_topics));
	sampler->at_ns = now_ns;
}

static void sampler_hist_add(struct sampler_hist *hist, const struct hist *now, const struct hist *last)
{
	hist->n += now->n;
	hist->sum += now->sum;
	for (int i = 0; i < HIST_BINS_N; i++) {
		uint32_t more = now->bins[i] - last->bins[i];

		hist->total[i] += more;
		hist->recent[i] += (float)more;
	}
}

double sampler_hist_mean(const struct sampler_hist *hist)
{
	double sum = 0, weight = 0;

	for (int i = 0; i < HIST_BINS_N; i++) {
		double middle = ((double)hist_bin_end(i) + (i ? (double)hist_bin_end(i - 1) : 0)) / 2;

		sum += (double)hist->recent[i] * middle;
		weight += (double)hist->recent[i];
	}
	if (weight > SAMPLER_WEIGHT_MIN)
		return sum / weight;
	return hist->n ? (double)hist->sum / (double)hist->n : 0;
}

double sampler_hist_max(const struct sampler_hist *hist)
{
	int greatest = -1;

	for (int i = 0; i < HIST_BINS_N; i++) {
		if ((double)hist->recent[i] > SAMPLER_WEIGHT_MIN)
			greatest = i;
	}
	for (int i = 0; i < HIST_BINS_N && greatest < 0; i++) {
		if (hist->total[HIST_BINS_N - 1 - i])
			greatest = HIST_BINS_N - 1 - i;
	}
	return greatest < 0 ? 0 : (double)hist_bin_end(greatest);
}

static void sampler_error_add(struct sampler_api *api, int16_t code, uint64_t n)
{
	int i = 0;

	while (i < api->errors_n && api->errors[i].code != code)
		i++;
	if (i == SAMPLER_ERRORS_N)
		return;
	if (i == api->errors_n)
		api->errors[api->errors_n++].code = code;
	api->errors[i].n += n;
}

static void sampler_api_add(struct sampler *sampler, struct sampler_shard *shard, int key,
			    const struct metrics_api *now)
{
	struct sampler_api *api = sampler->apis[key];

	if (!api)
		api = sampler->apis[key] = MEM_NEW(struct sampler_api);
	if (!shard->last[key])
		shard->last[key] = MEM_NEW(struct metrics_api);
	for (int i = 0; i < METRICS_VERSIONS_N; i++)
		api->requests[i] += now->requests[i];
	for (int i = 0; i < now->errors_n; i++)
		sampler_error_add(api, now->errors[i].code, now->errors[i].n);
	for (int i = 0; i < METRICS_PHASES_N; i++)
		sampler_hist_add(&api->hists[i], &now->phases[i], &shard->last[key]->phases[i]);
	sampler_hist_add(&api->hists[SAMPLER_BYTES], &now->bytes, &shard->last[key]->bytes);
	if (now->slowest.total_ns > 0 && (now->slowest.total_ns >= api->slowest.total_ns ||
					  now->slowest.wall_ms - api->slowest.wall_ms > SAMPLER_SLOWEST_MS))
		memcpy(&api->slowest, &now->slowest, sizeof(api->slowest));
	*shard->last[key] = *now;
}

static void sampler_look_coordinators(struct sampler_shard *shard, double passed_s)
{
	const struct coord_stats *groups = &shard->now.coordinators.of[COORDINATOR_GROUP];

	for (int i = 0; i <= SAMPLER_FLUSHES; i++) {
		uint64_t now = i < COORD_COUNTS_N ? groups->counts[i] : groups->times[COORD_TIME_FLUSH].n;

		shard->coordinated_per_s[i] = passed_s > 0 ? (double)(now - shard->coordinated[i]) / passed_s : 0;
		shard->coordinated[i] = now;
	}
}

/* Shares and rates since the look before; at the first one, since the start. */
static void sampler_look(struct sampler_shard *shard)
{
	const struct metrics_shard *now = &shard->now;
	int64_t passed_ns = now->now_ns - shard->look_ns;

	if (shard->look_ns == 0) {
		shard->look_ns = now->now_ns;
		shard->look_slept_ns = now->slept_ns;
		shard->idle = 1;
		memcpy(shard->before, now->listeners, sizeof(shard->before));
		sampler_look_coordinators(shard, 0);
		shard->unknown_pushes = now->unknown_pushes_n;
		return;
	}
	if (passed_ns < SAMPLER_LOOK_NS)
		return;
	shard->idle = MIN(MAX((double)(now->slept_ns - shard->look_slept_ns) / (double)passed_ns, 0.0), 1.0);
	for (int i = 0; i < METRICS_LISTENERS_N; i++) {
		double s = (double)passed_ns / NS_PER_S;

		shard->opened_per_s[i] = (double)(now->listeners[i].opened - shard->before[i].opened) / s;
		shard->closed_per_s[i] = (double)(now->listeners[i].closed - shard->before[i].closed) / s;
	}
	sampler_look_coordinators(shard, (double)passed_ns / NS_PER_S);
	shard->unknown_pushes_per_s =
		(double)(now->unknown_pushes_n - shard->unknown_pushes) / ((double)passed_ns / NS_PER_S);
	shard->unknown_pushes = now->unknown_pushes_n;
	memcpy(shard->before, now->listeners, sizeof(shard->before));
	shard->look_ns = now->now_ns;
	shard->look_slept_ns = now->slept_ns;
}

static void sampler_quota_add(struct sampler *sampler, const struct metrics_quota *quota)
{
	for (int i = 0; i < sampler->quotas_n; i++) {
		struct metrics_quota *known = &sampler->quotas[i];

		if (known->kind == quota->kind && strcmp(known->user, quota->user) == 0 &&
		    strcmp(known->client_id, quota->client_id) == 0) {
			known->throttled_n += quota->throttled_n;
			known->throttled_ms += quota->throttled_ms;
			return;
		}
	}
	if (sampler->quotas_n < SAMPLER_QUOTAS_MAX)
		sampler->quotas[sampler->quotas_n++] = *quota;
}

static void sampler_coordinators_add(struct sampler *sampler, struct sampler_shard *shard)
{
	const struct coordinator_stats *now = &shard->now.coordinators;

	for (int kind = 0; kind < COORDINATOR_KINDS_N; kind++) {
		for (int i = 0; i < COORD_TIMES_N; i++)
			sampler_hist_add(&sampler->coordinators[kind][i], &now->of[kind].times[i],
					 &shard->last_coordinators[kind][i]);
		memcpy(shard->last_coordinators[kind], now->of[kind].times, sizeof(now->of[kind].times));
	}
	sampler_hist_add(&sampler->transaction_asks, &now->asks.ask_ns, &shard->last_transaction_asks);
	shard->last_transaction_asks = now->asks.ask_ns;
}

void sampler_add(struct sampler *sampler, const struct metrics_query *query)
{
	struct sampler_shard *shard = &sampler->shards[query->shard->index];

	if (query->shard->index == 0) {
		sampler->node = query->node;
		for (int i = 0; i < CONTROLLER_TIMES_N; i++)
			sampler_hist_add(&sampler->controller[i], &query->node.controller[i],
					 &sampler->last_controller[i]);
		memcpy(sampler->last_controller, query->node.controller, sizeof(sampler->last_controller));
	}
	shard->now = query->of_shard;
	sampler_look(shard);
	for (int i = 0; i < TOPIC_COUNTS_N; i++)
		sampler->all_topics.counts[i] += shard->now.all_topics.counts[i];
	sampler_hist_add(&sampler->flush, &shard->now.flush_ns, &shard->last_flush);
	shard->last_flush = shard->now.flush_ns;
	sampler_coordinators_add(sampler, shard);
	for (int i = 0; i < query->quotas_n; i++)
		sampler_quota_add(sampler, &query->quotas[i]);
	for (int key = 0; key <= API_KEY_MAX; key++) {
		if (query->apis[key])
			sampler_api_add(sampler, shard, key, query->apis[key]);
	}
}

/* One step of an exponentially weighted rate over any length of time. */
static void sampler_rate_step(struct sampler_rate *rate, uint64_t now, double passed_s)
{
	double instant = passed_s > 0 ? (double)(now - rate->last) / passed_s : 0;

	if (passed_s <= 0 && rate->is_begun)
		return;
	if (rate->is_begun) {
		rate->one_minute += (1 - exp(-passed_s / 60)) * (instant - rate->one_minute);
		rate->fifteen_minutes += (1 - exp(-passed_s / 900)) * (instant - rate->fifteen_minutes);
	} else if (passed_s > 0) {
		rate->one_minute = rate->fifteen_minutes = instant;
		rate->is_begun = true;
	}
	rate->last = now;
}

void sampler_end(struct sampler *sampler)
{
	/* The first rate is the mean since the start. */
	int64_t since_ns = sampler->bytes_in.is_begun ? sampler->rate_at_ns : sampler->at_ns - sampler->node.up_ns;
	double passed_s = (double)(sampler->at_ns - since_ns) / NS_PER_S;

	sampler_rate_step(&sampler->bytes_in, sampler->all_topics.counts[TOPIC_BYTES_IN], passed_s);
	sampler_rate_step(&sampler->bytes_out, sampler->all_topics.counts[TOPIC_BYTES_OUT], passed_s);
	sampler_rate_step(&sampler->metadata_records, (uint64_t)MAX(sampler->node.quorum.log_end_offset, INT64_C(0)),
			  passed_s);
	sampler->rate_at_ns = sampler->at_ns;
}

const struct sampler_topic_rate *sampler_topic(struct sampler *sampler, struct str name,
					       const struct metrics_topic *counts)
{
	struct sampler_topic_rate *rate = map_get_str(&sampler->topic_rates, name);
	double passed_s;

	if (!rate) {
		rate = mem_calloc(1, sizeof(*rate) + name.len + 1);
		memcpy(rate->name, name.p, name.len);
		rate->at_ns = sampler->at_ns - sampler->node.up_ns;
		map_put_str(&sampler->topic_rates, (struct str){rate->name, name.len}, rate);
	}
	passed_s = (double)(sampler->at_ns - rate->at_ns) / NS_PER_S;
	/* A topic of the same name may be another one. */
	if (counts->counts[TOPIC_BYTES_IN] < rate->in.last || counts->counts[TOPIC_BYTES_OUT] < rate->out.last)
		rate->in.last = rate->out.last = 0;
	sampler_rate_step(&rate->in, counts->counts[TOPIC_BYTES_IN], passed_s);
	sampler_rate_step(&rate->out, counts->counts[TOPIC_BYTES_OUT], passed_s);
	rate->at_ns = sampler->at_ns;
	rate->round = sampler->round;
	return rate;
}

void sampler_topics_end(struct sampler *sampler)
{
	struct sampler_topic_rate *rate;
	uint32_t it = 0;

	while ((rate = map_next(&sampler->topic_rates, &it)) != NULL) {
		if (rate->round == sampler->round)
			continue;
		map_remove_str(&sampler->topic_rates, (struct str){rate->name, strlen(rate->name)});
		mem_free(rate);
	}
}
