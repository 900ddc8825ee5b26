/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what hist.h counts. */
#include "hist.h"

int64_t hist_bin_end(int bin)
{
	int exponent, sub;

	bin++;
	if (bin < 2 << HIST_SUB_BITS)
		return bin;
	exponent = (bin >> HIST_SUB_BITS) - 1;
	sub = bin & ((1 << HIST_SUB_BITS) - 1);
	return (int64_t)((1 << HIST_SUB_BITS) + sub) << exponent;
}

double hist_quantile(const double weights[HIST_BINS_N], double q)
{
	double total = 0, wanted, below = 0;

	for (int i = 0; i < HIST_BINS_N; i++)
		total += weights[i];
	if (total <= 0)
		return 0;
	wanted = total * q;
	for (int i = 0; i < HIST_BINS_N; i++) {
		double first = i ? (double)hist_bin_end(i - 1) : 0;

		/* The first bins hold one value each. */
		if (weights[i] > 0 && below + weights[i] >= wanted && i < 1 << HIST_SUB_BITS)
			return i;
		if (weights[i] > 0 && below + weights[i] >= wanted)
			return first + ((double)hist_bin_end(i) - first) * (wanted - below) / weights[i];
		below += weights[i];
	}
	return (double)HIST_VALUE_MAX;
}
