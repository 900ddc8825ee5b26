/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/log-level: GET lists the loggers with their levels, POST with logger=NAME&level=LEVEL (as a form, or in the
 * address) sets one, in force at once and until the next start. Levels may be read and set on any thread.
 */
#include <event2/http.h>

#include "http_internal.h"
#include "log.h"
#include "log_levels.h"

#define PAIRS_MAX 512

static const char text_plain[] = "text/plain; charset=utf-8";
static const char text_json[] = "application/json";

void log_level_page_list(struct http_request *request)
{
	const struct log_levels *levels = log_levels_current();
	struct page page;

	http_page(request, &page);
	page_text(&page, "{");
	for (size_t i = 0; levels && i < levels->loggers_n; i++) {
		page_text(&page, i ? ",\n\"" : "\"");
		page_escaped(&page, log_levels_name(levels, i));
		page_text(&page, "\":\"");
		page_escaped(&page, log_levels_text(levels, i));
		page_text(&page, "\"");
	}
	page_text(&page, "}\n");
	http_reply(request, HTTP_OK, text_json, &page);
}

void log_level_page_set(struct http_request *request)
{
	struct log_levels *levels = log_levels_current();
	char pairs[PAIRS_MAX], logger[LOG_LEVELS_NAME_MAX + 1], level[16];
	struct err_text text = {{0}};
	struct page page;
	bool is_whole;

	http_body(request, pairs, sizeof(pairs));
	is_whole = (http_pair_find(pairs, "logger", logger, sizeof(logger)) ||
		    http_parameter(request, "logger", logger, sizeof(logger))) &&
		   (http_pair_find(pairs, "level", level, sizeof(level)) ||
		    http_parameter(request, "level", level, sizeof(level)));
	http_page(request, &page);
	if (!levels || !is_whole) {
		page_text(&page, "Wants logger=NAME&level=TRACE|DEBUG|INFO|WARN|ERROR|FATAL. GET lists the loggers.\n");
		http_reply(request, HTTP_BADREQUEST, text_plain, &page);
		return;
	}
	if (log_levels_set(levels, str_of(logger), str_of(level), &text)) {
		page_format(&page, "%s\n", text.text);
		http_reply(request, HTTP_BADREQUEST, text_plain, &page);
		return;
	}
	log_info("log.level", "logger=%s level=%s", logger, level);
	page_format(&page, "%s is at %s\n", logger, level);
	http_reply(request, HTTP_OK, text_plain, &page);
}
