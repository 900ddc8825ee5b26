/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of one answer, written in chunks that libevent sends as they are. Numbers and label values are written by hand,
 * since a page may have some hundred thousand lines.
 */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include "bytes.h"
#include "types.h"

struct evbuffer;

struct page {
	struct evbuffer *out;
	char *chunk; /* NULL: none begun */
	size_t len;
	bool is_openmetrics;
};

void page_init(struct page *page, struct evbuffer *out);
/* Hands over what is left. */
void page_end(struct page *page);

void page_add(struct page *page, const char *text, size_t len);
void page_text(struct page *page, const char *text);
void page_format(struct page *page, const char *format, ...) PRINTF_LIKE(2, 3);
void page_i64(struct page *page, int64_t value);
/* As short as it may be without loss for what people measure; NaN and +Inf as Prometheus spells them. */
void page_f64(struct page *page, double value);
/* With backslash, quote and line end escaped, of labels and of JSON alike; other control characters become '?'. */
void page_escaped(struct page *page, struct str text);

/* # HELP and # TYPE. type: counter, gauge, histogram, untyped. */
void page_family(struct page *page, const char *name, const char *type, const char *help);
/* One line without labels. */
void page_sample(struct page *page, const char *name, double value);

#endif
