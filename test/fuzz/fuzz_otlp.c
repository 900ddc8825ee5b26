/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a push of client metrics: the reader ends, stays within them, and tells only views into them. */
#include "check.h"
#include "otlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct bytes in;
	int points_n;
};

static void check_view(const struct seen *seen, struct str view)
{
	if (view.len == 0)
		return;
	CHECK((const uint8_t *)view.p >= seen->in.p);
	CHECK((const uint8_t *)view.p + view.len <= seen->in.p + seen->in.len);
}

static void check_point(void *ctx, const struct otlp_point *point)
{
	struct seen *seen = ctx;

	seen->points_n++;
	CHECK_OP(point->name.len, >, 0u);
	CHECK_OP(point->labels_n, <=, OTLP_LABELS_MAX);
	check_view(seen, point->name);
	for (int i = 0; i < point->labels_n; i++) {
		check_view(seen, point->labels[i].key);
		check_view(seen, point->labels[i].text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = {.in = {data, size}};
	enum err once = otlp_read(seen.in, NULL, NULL);

	CHECK_OP(otlp_read(seen.in, check_point, &seen), ==, once);
	CHECK_OP((size_t)seen.points_n, <=, size);
	return 0;
}
