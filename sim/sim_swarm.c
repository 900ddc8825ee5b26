/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a run: plain, drawn, set by name. See sim_swarm.h. */
#include "sim_swarm.h"

#include <stdio.h>
#include <stdlib.h>

#include "bytes.h"
#include "check.h"

struct option_def {
	const char *name;
	int64_t lo;
	int64_t hi;
	int64_t plain;
	size_t at; /* in struct sim_options */
};

static const struct option_def option_defs[] = {
#define X(name, lo, hi, plain, what) {#name, lo, hi, plain, offsetof(struct sim_options, name)},
	SIM_OPTION_LIST(X)
#undef X
};

static int64_t *option_at(struct sim_options *opt, const struct option_def *def)
{
	return (int64_t *)(void *)((char *)opt + def->at);
}

const char *sim_options_dir(int i)
{
	static const char *const dirs[] = {"/data", "/data2", "/data3"};

	CHECK_OP((size_t)i, <, ARRAY_N(dirs));
	return dirs[i];
}

void sim_options_plain(struct sim_options *opt)
{
	for (size_t i = 0; i < ARRAY_N(option_defs); i++)
		*option_at(opt, &option_defs[i]) = option_defs[i].plain;
}

/* Sizes are drawn by magnitude, with the ends favoured: bugs live there. */
static int64_t draw_value(struct rng *rng, int64_t lo, int64_t hi)
{
	uint64_t how = rng_below(rng, 8);
	int64_t span = hi - lo;

	if (how == 0)
		return lo;
	if (how == 1)
		return hi;
	if (how < 5 && span > 16) {
		int bits = 64 - __builtin_clzll((uint64_t)span);
		int64_t top = INT64_C(1) << rng_between(rng, 1, bits);

		return lo + rng_between(rng, 0, MIN(top, span));
	}
	return rng_between(rng, lo, hi);
}

void sim_options_draw(struct sim_options *opt, struct rng *rng)
{
	for (size_t i = 0; i < ARRAY_N(option_defs); i++) {
		const struct option_def *def = &option_defs[i];
		bool is_fault = def->name[0] == 'f' && def->name[1] == '_';

		/* Few fault kinds at a time: with all of them on, hardly anything is ever acknowledged. */
		*option_at(opt, def) = is_fault ? rng_chance(rng, 1, 4) : draw_value(rng, def->lo, def->hi);
	}
	/* Transactions on disks that fail one by one are asked for by pins. */
	if (opt->txns) {
		opt->dirs = 1;
		opt->f_dir = opt->ballast = 0;
	}
	/* Thin links and large values at once would only make the run long. */
	if (opt->bandwidth < 1000)
		opt->value_len = MIN(opt->value_len, 200);
}

enum err sim_options_set(struct sim_options *opt, const char *text)
{
	const char *eq = strchr(text, '=');
	char *end;
	long long v;

	if (!eq)
		return ERR_INVALID_TEXT;
	v = strtoll(eq + 1, &end, 10);
	if (end == eq + 1 || *end)
		return ERR_INVALID_TEXT;
	for (size_t i = 0; i < ARRAY_N(option_defs); i++) {
		const struct option_def *def = &option_defs[i];

		if (strlen(def->name) == (size_t)(eq - text) && strncmp(def->name, text, (size_t)(eq - text)) == 0) {
			*option_at(opt, def) = v;
			return ERR_NONE;
		}
	}
	return ERR_INVALID_TEXT;
}

void sim_options_print(const struct sim_options *opt)
{
	struct sim_options copy = *opt;

	for (size_t i = 0; i < ARRAY_N(option_defs); i++) {
		int64_t v = *option_at(&copy, &option_defs[i]);

		if (v != option_defs[i].plain)
			printf(" %s=%lld", option_defs[i].name, (long long)v);
	}
	printf("\n");
}
