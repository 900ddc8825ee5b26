/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The known name that a mistyped one was probably meant to be: least edit distance, at most a fifth of its
 * length. Work per name is bounded by names of at most 80 characters and stops as soon as no row can come
 * near enough.
 */
#include "setting.h"

/* Optimal string alignment distance (insert, delete, replace, swap neighbours), at most `max` + 1. */
static size_t edit_distance(struct str a, struct str b, size_t max)
{
	enum { NAME_MAX_LEN = 80 };
	size_t rows[3][NAME_MAX_LEN + 1];
	size_t last_best = 0;

	if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN ||
	    (a.len > b.len ? a.len - b.len : b.len - a.len) > max)
		return max + 1;
	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t row_best = i;
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t best = above[j - 1] + (a.p[i - 1] != b.p[j - 1]);

			best = MIN(best, above[j] + 1);
			best = MIN(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
				best = MIN(best, above2[j - 2] + 1);
			row[j] = best;
			row_best = MIN(row_best, best);
		}
		if (row_best > max && i > 1 && last_best > max)
			return max + 1;
		last_best = row_best;
	}
	return rows[a.len % 3][b.len];
}

const struct setting_def *setting_suggest(enum setting_family family, struct str name)
{
	size_t n, max = MAX((size_t)2, name.len / 5), best = max + 1;
	const struct setting_def *defs = setting_family_defs(family, &n), *found = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = edit_distance(name, defs[i].name, max);

		if (d < best) {
			best = d;
			found = &defs[i];
		}
	}
	return found;
}
