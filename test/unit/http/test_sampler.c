/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of counters: sums over shards, differences, quantiles that fade, weighted rates, topics that go. */
#include "sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"

#define SHARDS_N 2
#define KEY API_PRODUCE

struct rig {
	struct sampler sampler;
	struct shard shards[SHARDS_N];
	struct metrics_query *queries[SHARDS_N];
	int64_t now_ns;
};

static int setup(void **state)
{
	struct rig *rig = MEM_NEW(struct rig);

	sampler_init(&rig->sampler, SHARDS_N, 1);
	for (int i = 0; i < SHARDS_N; i++) {
		rig->shards[i].index = i;
		rig->queries[i] = metrics_query_new(&rig->shards[i], METRICS_WANT_SHARD, NULL, NULL);
		rig->queries[i]->apis[KEY] = MEM_NEW(struct metrics_api);
	}
	rig->now_ns = 1000 * NS_PER_S;
	rig->queries[0]->node.up_ns = 100 * NS_PER_S;
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	sampler_deinit(&rig->sampler);
	for (int i = 0; i < SHARDS_N; i++)
		metrics_query_free(rig->queries[i]);
	mem_free(rig);
	return 0;
}

static void look(struct rig *rig, int64_t after_s)
{
	rig->now_ns += after_s * NS_PER_S;
	rig->queries[0]->node.up_ns += after_s * NS_PER_S;
	sampler_begin(&rig->sampler, rig->now_ns);
	for (int i = 0; i < SHARDS_N; i++) {
		rig->queries[i]->of_shard.now_ns = rig->now_ns;
		sampler_add(&rig->sampler, rig->queries[i]);
	}
	sampler_end(&rig->sampler);
}

static double quantile(const struct rig *rig, int hist, double q)
{
	double weights[HIST_BINS_N];

	for (int i = 0; i < HIST_BINS_N; i++)
		weights[i] = (double)rig->sampler.apis[KEY]->hists[hist].recent[i];
	return hist_quantile(weights, q);
}

static void add(struct rig *rig, int shard, int64_t ns, int n)
{
	struct metrics_api *api = rig->queries[shard]->apis[KEY];

	for (int i = 0; i < n; i++)
		hist_add(&api->phases[METRICS_TOTAL], ns);
	api->requests[7] += (uint64_t)n;
}

static void test_sums(void **state)
{
	struct rig *rig = *state;
	const struct sampler_api *api;

	add(rig, 0, 1000, 3);
	add(rig, 1, 1000, 4);
	rig->queries[0]->apis[KEY]->errors[0].code = 3;
	rig->queries[0]->apis[KEY]->errors[0].n = 2;
	rig->queries[0]->apis[KEY]->errors_n = 1;
	rig->queries[1]->apis[KEY]->errors[0].code = 0;
	rig->queries[1]->apis[KEY]->errors[0].n = 5;
	rig->queries[1]->apis[KEY]->errors[1].code = 3;
	rig->queries[1]->apis[KEY]->errors[1].n = 1;
	rig->queries[1]->apis[KEY]->errors_n = 2;
	for (int round = 0; round < 3; round++) {
		look(rig, 5);
		api = rig->sampler.apis[KEY];
		assert_int_equal(api->requests[7], 7);
		assert_int_equal(api->hists[METRICS_TOTAL].n, 7);
		assert_int_equal(api->hists[METRICS_TOTAL].total[hist_bin(1000)], 7);
		assert_int_equal(api->errors_n, 2);
		assert_int_equal(api->errors[0].code, 3);
		assert_int_equal(api->errors[0].n, 3);
		assert_int_equal(api->errors[1].n, 5);
	}
}

static void test_quantiles_fade(void **state)
{
	struct rig *rig = *state;

	add(rig, 0, 1000000, 1000);
	look(rig, 5);
	assert_true(fabs(quantile(rig, METRICS_TOTAL, 0.5) - 1e6) < 1.3e5);
	/* Ten minutes later a tenth as many that are slower are nearly all that counts. */
	add(rig, 1, 100000000, 100);
	look(rig, 600);
	assert_true(fabs(quantile(rig, METRICS_TOTAL, 0.5) - 1e8) < 1.3e7);
	assert_true(sampler_hist_max(&rig->sampler.apis[KEY]->hists[METRICS_TOTAL]) >= 1e8);
	assert_int_equal(rig->sampler.apis[KEY]->hists[METRICS_TOTAL].total[hist_bin(1000000)], 1000);
}

static void test_bins_wrap(void **state)
{
	struct rig *rig = *state;
	struct hist *hist = &rig->queries[0]->apis[KEY]->phases[METRICS_TOTAL];

	hist->bins[5] = UINT32_MAX - 1;
	look(rig, 5);
	hist->bins[5] += 4;
	look(rig, 5);
	assert_int_equal(rig->sampler.apis[KEY]->hists[METRICS_TOTAL].total[5], (uint64_t)UINT32_MAX + 3);
}

static void test_rates(void **state)
{
	struct rig *rig = *state;
	uint64_t *bytes = &rig->queries[1]->of_shard.all_topics.counts[TOPIC_BYTES_IN];

	/* 105 s since the start: the mean. */
	*bytes = 10500;
	look(rig, 5);
	assert_true(fabs(rig->sampler.bytes_in.fifteen_minutes - 100) < 1e-6);
	/* A steady rate stays, however often it is looked at. */
	for (int i = 0; i < 100; i++) {
		*bytes += 700;
		look(rig, 7);
	}
	assert_true(fabs(rig->sampler.bytes_in.fifteen_minutes - 100) < 1e-6);
	assert_true(fabs(rig->sampler.bytes_in.one_minute - 100) < 1e-6);
	/* After one time constant of silence a share of 1/e is left. */
	look(rig, 900);
	assert_true(fabs(rig->sampler.bytes_in.fifteen_minutes - 100 * exp(-1)) < 1e-6);
	assert_true(rig->sampler.bytes_in.one_minute < 0.001);
}

static void test_topics(void **state)
{
	struct rig *rig = *state;
	struct metrics_topic counts = {{0}};
	const struct sampler_topic_rate *rate;

	counts.counts[TOPIC_BYTES_IN] = 10500;
	look(rig, 5);
	rate = sampler_topic(&rig->sampler, STR("t"), &counts);
	assert_true(fabs(rate->in.fifteen_minutes - 100) < 1e-6);
	sampler_topics_end(&rig->sampler);
	assert_int_equal(rig->sampler.topic_rates.n, 1);
	/* Made anew, with fewer bytes. */
	counts.counts[TOPIC_BYTES_IN] = 500;
	look(rig, 5);
	rate = sampler_topic(&rig->sampler, STR("t"), &counts);
	assert_true(fabs(rate->in.fifteen_minutes - 100) < 1e-6);
	look(rig, 5);
	sampler_topics_end(&rig->sampler);
	assert_int_equal(rig->sampler.topic_rates.n, 0);
}

static void test_idle(void **state)
{
	struct rig *rig = *state;

	look(rig, 5);
	rig->queries[0]->of_shard.slept_ns = 4 * NS_PER_S;
	look(rig, 5);
	assert_true(fabs(rig->sampler.shards[0].idle - 0.8) < 1e-9);
	assert_true(rig->sampler.shards[1].idle < 1e-9);
	/* Too soon for another look. */
	rig->queries[0]->of_shard.slept_ns += NS_PER_S;
	look(rig, 0);
	assert_true(fabs(rig->sampler.shards[0].idle - 0.8) < 1e-9);
}

/* What coordinators count on two event loops becomes sums and rates, and their times one histogram. */
static void test_coordinators(void **state)
{
	struct rig *rig = *state;
	struct coord_stats *a = &rig->queries[0]->of_shard.coordinators.of[COORDINATOR_GROUP];
	struct coord_stats *b = &rig->queries[1]->of_shard.coordinators.of[COORDINATOR_GROUP];
	const struct sampler_hist *flush = &rig->sampler.coordinators[COORDINATOR_GROUP][COORD_TIME_FLUSH];

	a->counts[COORD_OFFSET_COMMITS] = 1000;
	look(rig, 5);
	a->counts[COORD_OFFSET_COMMITS] += 50;
	hist_add(&a->times[COORD_TIME_FLUSH], NS_PER_MS);
	hist_add(&b->times[COORD_TIME_FLUSH], 3 * NS_PER_MS);
	hist_add(&rig->queries[1]->of_shard.coordinators.asks.ask_ns, NS_PER_MS);
	look(rig, 5);
	assert_true(fabs(rig->sampler.shards[0].coordinated_per_s[COORD_OFFSET_COMMITS] - 10) < 1e-9);
	assert_true(fabs(rig->sampler.shards[1].coordinated_per_s[COORD_OFFSET_COMMITS]) < 1e-9);
	assert_true(fabs(rig->sampler.shards[1].coordinated_per_s[SAMPLER_FLUSHES] - 0.2) < 1e-9);
	assert_int_equal(flush->n, 2);
	assert_int_equal(flush->sum, 4 * NS_PER_MS);
	assert_true(sampler_hist_max(flush) >= 3 * NS_PER_MS && sampler_hist_max(flush) < 4 * NS_PER_MS);
	assert_int_equal(rig->sampler.transaction_asks.n, 1);
	/* The same numbers once more are nothing new. */
	look(rig, 5);
	assert_int_equal(flush->n, 2);
	assert_true(fabs(rig->sampler.shards[0].coordinated_per_s[COORD_OFFSET_COMMITS]) < 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quantiles_fade, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bins_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_topics, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_coordinators, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
