/* SPDX-License-Identifier: Apache-2.0 */
/* See rate.h. */
#include "rate.h"

#include "check.h"

/* A day: nobody waits longer, whatever a quota near zero would ask for. */
#define THROTTLE_MS_MAX (86400.0 * 1000)

void rate_init(struct rate *rate, struct rate_sample *samples, int32_t samples_n, int64_t window_ms)
{
	CHECK_OP(samples_n, >, 0);
	CHECK_OP(window_ms, >, 0);
	*rate = (struct rate){.samples_n = samples_n, .window_ms = window_ms, .samples = samples};
}

static void rate_next_sample(struct rate *rate, int64_t now_ms)
{
	rate->current = rate->used_n ? (rate->current + 1) % (rate->samples_n + 1) : 0;
	rate->used_n = MAX(rate->used_n, rate->current + 1);
	rate->samples[rate->current] = (struct rate_sample){.start_ms = now_ms, .last_ms = now_ms};
}

void rate_record(struct rate *rate, double amount, int64_t now_ms)
{
	if (rate->used_n == 0 || now_ms - rate->samples[rate->current].start_ms >= rate->window_ms)
		rate_next_sample(rate, now_ms);
	rate->samples[rate->current].sum += amount;
	rate->samples[rate->current].last_ms = now_ms;
}

/* Empties what is too old. Returns the time that the rest spans: at least samples_n - 1 windows count, so that a first
 * burst is not taken for a rate. */
static int64_t rate_window_ms(struct rate *rate, int64_t now_ms)
{
	int64_t oldest_ms = now_ms, elapsed_ms, full_n;

	for (int32_t i = 0; i < rate->used_n; i++) {
		struct rate_sample *sample = &rate->samples[i];

		if (now_ms - sample->last_ms >= rate->samples_n * rate->window_ms)
			*sample = (struct rate_sample){.start_ms = now_ms, .last_ms = now_ms};
		oldest_ms = MIN(oldest_ms, sample->start_ms);
	}
	elapsed_ms = now_ms - oldest_ms;
	full_n = elapsed_ms / rate->window_ms;
	if (full_n < rate->samples_n - 1)
		elapsed_ms += (rate->samples_n - 1 - full_n) * rate->window_ms;
	return MAX(elapsed_ms, rate->window_ms);
}

double rate_measure(struct rate *rate, int64_t now_ms)
{
	int64_t window_ms = rate_window_ms(rate, now_ms);
	double sum = 0;

	for (int32_t i = 0; i < rate->used_n; i++)
		sum += rate->samples[i].sum;
	return sum / ((double)window_ms / 1000);
}

static int64_t throttle_ms(double ms)
{
	return ms > 0 ? (int64_t)(MIN(ms, THROTTLE_MS_MAX) + 0.5) : 0;
}

int64_t rate_throttle_ms(struct rate *rate, double bound, int64_t now_ms)
{
	double value = rate_measure(rate, now_ms);

	if (!(value > bound) || !(bound > 0))
		return 0;
	return throttle_ms((value - bound) / bound * (double)rate_window_ms(rate, now_ms));
}

void token_bucket_fill(struct token_bucket *bucket, double per_s, double burst, int64_t now_ms)
{
	if (!bucket->is_begun)
		bucket->tokens = burst;
	else
		bucket->tokens += per_s * (double)(now_ms - bucket->filled_ms) / 1000;
	bucket->tokens = MIN(bucket->tokens, burst);
	bucket->filled_ms = now_ms;
	bucket->is_begun = true;
}

int64_t token_bucket_throttle_ms(const struct token_bucket *bucket, double per_s)
{
	return bucket->tokens < 0 && per_s > 0 ? throttle_ms(-bucket->tokens / per_s * 1000) : 0;
}
