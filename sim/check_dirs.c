/* SPDX-License-Identifier: Apache-2.0 */
/* See check_dirs.h. The names are Kafka's: "<topic>-<partition>", and with an ending what is on its way out. */
#include "check_dirs.h"

#include <stdio.h>

#include "vec.h"

struct dirs_ctx {
	struct world *w; /* NULL: only counts */
	VEC(char *) names;
	int left_n;
};

static bool has_ending(const char *name, const char *ending)
{
	size_t len = strlen(name), ending_len = strlen(ending);

	return len > ending_len && strcmp(name + len - ending_len, ending) == 0;
}

static void look(void *ctx, const char *path, bool is_dir, struct bytes content)
{
	struct dirs_ctx *c = ctx;
	const char *name = strchr(path + 1, '/');

	if (!is_dir || !name || strchr(name + 1, '/') || has_ending(name, "-stray"))
		return;
	name++;
	if (has_ending(name, "-delete") || has_ending(name, "-future")) {
		c->left_n++;
		if (c->w && has_ending(name, "-future"))
			world_fail(c->w, "%s: half of a move is left", path);
		return;
	}
	for (size_t i = 0; c->w && i < c->names.n; i++) {
		if (strcmp(strchr(c->names.v[i] + 1, '/') + 1, name) == 0)
			world_fail(c->w, "a partition lies in two directories: %s and %s", c->names.v[i], path);
	}
	vec_push(&c->names, mem_strdup_n(path, strlen(path)));
}

static int walk(struct sim_disk *d, struct world *w)
{
	struct dirs_ctx c = {.w = w};

	disk_walk(d, look, &c);
	for (size_t i = 0; i < c.names.n; i++)
		mem_free(c.names.v[i]);
	vec_deinit(&c.names);
	return c.left_n;
}

void check_dirs(struct sim_disk *d, struct world *w)
{
	walk(d, w);
}

int check_dirs_left(struct sim_disk *d)
{
	return walk(d, NULL);
}
