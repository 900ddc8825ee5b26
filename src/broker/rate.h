/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of quotas, as the original does it, without a clock: a rate over a sliding row of windows, and a token
 * bucket (KIP-599). Times are milliseconds of any clock that does not go back.
 *
 * 1. A rate has at most samples_n + 1 windows; one that got nothing for samples_n windows counts nothing.
 * 2. A bucket holds at most `burst` tokens and may be in debt.
 */
#ifndef BROKER_RATE_H
#define BROKER_RATE_H

#include "types.h"

#define RATE_SAMPLES_MAX 1000

struct rate_sample {
	int64_t start_ms, last_ms;
	double sum;
};

struct rate {
	int32_t samples_n;
	int32_t current, used_n;
	int64_t window_ms;
	struct rate_sample *samples; /* samples_n + 1, the owner's memory */
};

/* samples: room for samples_n + 1. */
void rate_init(struct rate *rate, struct rate_sample *samples, int32_t samples_n, int64_t window_ms);
/* A negative amount takes back what was recorded. */
void rate_record(struct rate *rate, double amount, int64_t now_ms);
/* Per second. */
double rate_measure(struct rate *rate, int64_t now_ms);
/* How long to stay quiet until the rate is at the bound again, ms; 0 when it is not above. */
int64_t rate_throttle_ms(struct rate *rate, double bound, int64_t now_ms);

struct token_bucket {
	double tokens;
	int64_t filled_ms; /* when last refilled */
	bool is_begun;
};

/* Fills up by what came in since; a new bucket is full. */
void token_bucket_fill(struct token_bucket *bucket, double per_s, double burst, int64_t now_ms);
/* How long until a bucket in debt is even, ms. */
int64_t token_bucket_throttle_ms(const struct token_bucket *bucket, double per_s);

#endif
