/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of values by size, log-linear: eight bins for each power of two, so that any quantile is known to within an
 * eighth, at a cost of two adds. Values are not negative; what is above HIST_VALUE_MAX counts as that.
 *
 * 1. A struct hist only grows. Bins are 32 bits wide and wrap: who reads two copies takes the difference, and must
 *    read before four thousand million values fall into one bin.
 */
#ifndef BASE_HIST_H
#define BASE_HIST_H

#include "types.h"

#define HIST_SUB_BITS 3
#define HIST_EXPONENT_MAX 43
#define HIST_VALUE_MAX (((int64_t)1 << (HIST_EXPONENT_MAX + 1)) - 1)
#define HIST_BINS_N ((HIST_EXPONENT_MAX - HIST_SUB_BITS + 2) << HIST_SUB_BITS)

struct hist {
	uint64_t n;
	uint64_t sum;
	uint32_t bins[HIST_BINS_N];
};

static inline int hist_bin(int64_t value)
{
	int exponent;

	if (value < 1 << HIST_SUB_BITS)
		return value < 0 ? 0 : (int)value;
	if (value > HIST_VALUE_MAX)
		return HIST_BINS_N - 1;
	exponent = 63 - __builtin_clzll((uint64_t)value);
	return ((exponent - HIST_SUB_BITS + 1) << HIST_SUB_BITS) +
	       (int)((value >> (exponent - HIST_SUB_BITS)) & ((1 << HIST_SUB_BITS) - 1));
}

static inline void hist_add(struct hist *hist, int64_t value)
{
	hist->n++;
	hist->sum += value < 0 ? 0 : (uint64_t)value;
	hist->bins[hist_bin(value)]++;
}

/* The first value that is above the bin. */
int64_t hist_bin_end(int bin);
/* The value below which the share q (0 to 1) of the weights lies; between the ends of its bin in proportion. 0 when
 * there is no weight. */
double hist_quantile(const double weights[HIST_BINS_N], double q);

#endif
