/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of /metrics that clients pushed (KIP-714): "client_" before the name that the client gave, so that no client
 * can speak in the broker's name, and who it is as labels. Families come in the order of their names; of two values
 * with the same name and labels the first is shown. Their type is left open: a name can be a counter in one client and
 * a gauge in another.
 */
#include <stdlib.h>

#include "mem.h"
#include "metrics_page.h"
#include "telemetry.h"

#define CLIENT_FAMILY_MAX 300

struct client_line {
	char family[CLIENT_FAMILY_MAX];
	const struct telemetry_row *row;
};

static void client_family(const struct telemetry_row *row, char *family)
{
	size_t len = 0;

	for (const char *p = "client_"; *p; p++)
		family[len++] = *p;
	for (const char *p = row->name; *p && len < CLIENT_FAMILY_MAX - 1; p++) {
		bool is_word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

		family[len++] = is_word ? *p : '_';
	}
	family[len] = '\0';
}

static int client_line_cmp(const void *a, const void *b)
{
	const struct client_line *x = *(const struct client_line *const *)a, *y = *(const struct client_line *const *)b;
	int c = strcmp(x->family, y->family);

	return c ? c : strcmp(x->row->labels, y->row->labels);
}

static void client_line_write(struct page *page, const struct client_line *line)
{
	page_text(page, line->family);
	if (*line->row->labels) {
		page_text(page, "{");
		page_text(page, line->row->labels);
		page_text(page, "}");
	}
	page_text(page, " ");
	page_f64(page, line->row->value);
	page_text(page, "\n");
}

static void client_lines_write(struct page *page, struct client_line **lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && client_line_cmp(&lines[i - 1], &lines[i]) == 0)
			continue;
		if (i == 0 || strcmp(lines[i - 1]->family, lines[i]->family) != 0)
			page_family(page, lines[i]->family, page->is_openmetrics ? "unknown" : "untyped",
				    "Pushed by clients.");
		client_line_write(page, lines[i]);
	}
}

static void client_sums_write(struct page *page, int64_t clients_n, int64_t left_out_n)
{
	page_family(page, "moldau_client_metrics_clients", "gauge", "Clients that push metrics.");
	page_sample(page, "moldau_client_metrics_clients", (double)clients_n);
	page_family(page, "moldau_client_metrics_left_out", "gauge",
		    "Values pushed by clients that found no place here or in the store.");
	page_sample(page, "moldau_client_metrics_left_out", (double)left_out_n);
}

void metrics_clients(struct page *page, const struct harvest *harvest)
{
	int64_t clients_n = 0, left_out_n = 0;
	struct client_line *lines, **sorted;
	size_t n = 0, at = 0;

	for (int i = 0; i < harvest->broker->shards_n; i++) {
		const struct telemetry_rows *rows = harvest->queries[i] ? harvest->queries[i]->clients : NULL;

		n += rows ? (size_t)rows->rows_n : 0;
		clients_n += rows ? rows->clients_n : 0;
		left_out_n += rows ? rows->left_out_n : 0;
	}
	client_sums_write(page, clients_n, left_out_n);
	if (n == 0)
		return;
	lines = mem_calloc(n, sizeof(*lines));
	sorted = mem_calloc(n, sizeof(*sorted));
	for (int i = 0; i < harvest->broker->shards_n; i++) {
		const struct telemetry_rows *rows = harvest->queries[i] ? harvest->queries[i]->clients : NULL;

		for (int32_t r = 0; rows && r < rows->rows_n; r++, at++) {
			lines[at].row = &rows->rows[r];
			client_family(&rows->rows[r], lines[at].family);
			sorted[at] = &lines[at];
		}
	}
	qsort(sorted, n, sizeof(*sorted), client_line_cmp);
	client_lines_write(page, sorted, n);
	mem_free(sorted);
	mem_free(lines);
}
