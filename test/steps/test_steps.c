/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of the stories about every file operation: see steps.h, and sim/README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps.h"

static int usage(void)
{
	fprintf(stderr, "test_steps [--list] [--all] [--only NAME] [--synced 0|1] [--kind KIND [--at N "
			"[--again KIND --at-again M]]] [--jobs N] [--trace]\nkinds:");
	for (int i = 0; i < STEPS_KINDS_N; i++)
		fprintf(stderr, " %s", steps_kind_name(i));
	fprintf(stderr, "\n");
	return 2;
}

static int kind_of(const char *name)
{
	for (int i = 0; i < STEPS_KINDS_N; i++) {
		if (strcmp(steps_kind_name(i), name) == 0)
			return i;
	}
	return -1;
}

static bool take_value(struct steps_options *o, const char *name, const char *value)
{
	if (strcmp(name, "--only") == 0)
		o->only = value;
	else if (strcmp(name, "--synced") == 0)
		o->synced = atoi(value);
	else if (strcmp(name, "--kind") == 0)
		return (o->kind = kind_of(value)) >= 0;
	else if (strcmp(name, "--at") == 0)
		o->at = (uint64_t)atoll(value);
	else if (strcmp(name, "--again") == 0)
		return (o->kind_again = kind_of(value)) >= 0;
	else if (strcmp(name, "--at-again") == 0)
		o->at_again = (uint64_t)atoll(value);
	else if (strcmp(name, "--jobs") == 0)
		return (o->jobs_n = atoi(value)) >= 1 && o->jobs_n <= 16;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct steps_options o = {.kind = -1, .kind_again = -1, .synced = -1, .jobs_n = 2};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0)
			o.lists = true;
		else if (strcmp(argv[i], "--all") == 0)
			o.all = true;
		else if (strcmp(argv[i], "--trace") == 0)
			o.trace = true;
		else if (i + 1 >= argc || !take_value(&o, argv[i], argv[i + 1]))
			return usage();
		else
			i++;
	}
	if (o.at_again && (o.kind < 0 || !o.at || o.kind_again < 0))
		return usage();
	return steps_run_all(&o) ? 1 : 0;
}
