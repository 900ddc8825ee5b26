/* SPDX-License-Identifier: Apache-2.0 */
/* See page.h. */
#include "page.h"

#include <event2/buffer.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "check.h"
#include "mem.h"
#include "utf8.h"

#define PAGE_CHUNK_LEN ((size_t)256 * 1024)
#define PAGE_FORMAT_MAX 1024
#define PAGE_EXACT_MAX 9007199254740992.0 /* above it a double holds no single units */

void page_init(struct page *page, struct evbuffer *out)
{
	*page = (struct page){.out = out};
}

static void page_chunk_free(const void *data, size_t len, void *ctx)
{
	mem_free(ctx);
}

void page_end(struct page *page)
{
	if (page->chunk)
		CHECK_OP(evbuffer_add_reference(page->out, page->chunk, page->len, page_chunk_free, page->chunk), ==,
			 0);
	page->chunk = NULL;
	page->len = 0;
}

/* Memory for `len` bytes in a row. */
static char *page_room(struct page *page, size_t len)
{
	CHECK_OP(len, <=, PAGE_CHUNK_LEN);
	if (page->chunk && PAGE_CHUNK_LEN - page->len < len)
		page_end(page);
	if (!page->chunk)
		page->chunk = mem_alloc(PAGE_CHUNK_LEN);
	return page->chunk + page->len;
}

void page_add(struct page *page, const char *text, size_t len)
{
	while (len > 0) {
		size_t part = MIN(len, PAGE_CHUNK_LEN);

		memcpy(page_room(page, part), text, part);
		page->len += part;
		text += part;
		len -= part;
	}
}

void page_text(struct page *page, const char *text)
{
	page_add(page, text, strlen(text));
}

void page_format(struct page *page, const char *format, ...)
{
	char *room = page_room(page, PAGE_FORMAT_MAX);
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(room, PAGE_FORMAT_MAX, format, args);
	va_end(args);
	if (n > 0)
		page->len += (size_t)MIN(n, PAGE_FORMAT_MAX - 1);
}

void page_i64(struct page *page, int64_t value)
{
	char digits[24];
	size_t at = sizeof(digits);
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		digits[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (value < 0)
		digits[--at] = '-';
	page_add(page, digits + at, sizeof(digits) - at);
}

void page_f64(struct page *page, double value)
{
	if (isnan(value))
		page_text(page, "NaN");
	else if (isinf(value))
		page_text(page, value > 0 ? "+Inf" : "-Inf");
	else if (value == floor(value) && fabs(value) < PAGE_EXACT_MAX)
		page_i64(page, (int64_t)value);
	else
		page_format(page, "%.9g", value);
}

/* One byte that is no character makes Prometheus refuse the whole page. */
void page_escaped(struct page *page, struct str text)
{
	size_t clean = 0; /* from here on nothing had to be escaped */
	size_t step;

	for (size_t i = 0; i < text.len; i += step) {
		char c = text.p[i];
		bool is_character;

		step = utf8_step((const uint8_t *)text.p + i, text.len - i, &is_character);
		if (is_character && c != '\\' && c != '"' && (unsigned char)c >= 0x20)
			continue;
		step = 1;
		page_add(page, text.p + clean, i - clean);
		clean = i + 1;
		if (c == '\\' || c == '"') {
			char pair[2] = {'\\', c};

			page_add(page, pair, 2);
		} else if (c == '\n') {
			page_add(page, "\\n", 2);
		} else {
			page_add(page, "?", 1);
		}
	}
	page_add(page, text.p + clean, text.len - clean);
}

void page_family(struct page *page, const char *name, const char *type, const char *help)
{
	size_t len = strlen(name);

	/* OpenMetrics names a family without the end that its samples have. */
	if (page->is_openmetrics && strcmp(type, "counter") == 0 && len > 6 && strcmp(name + len - 6, "_total") == 0)
		len -= 6;
	page_format(page, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)len, name, help, (int)len, name, type);
}

void page_sample(struct page *page, const char *name, double value)
{
	page_text(page, name);
	page_add(page, " ", 1);
	page_f64(page, value);
	page_add(page, "\n", 1);
}
