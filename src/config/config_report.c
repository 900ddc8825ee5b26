/* SPDX-License-Identifier: Apache-2.0 */
/* The list of findings; see config_report.h. */
#include "config_report.h"

#include <stdio.h>

void config_report_deinit(struct config_report *report)
{
	vec_deinit(&report->findings);
	arena_reset(&report->arena);
	*report = (struct config_report){0};
}

void config_report_add(struct config_report *report, enum config_severity severity, const char *code,
		       struct str key, const struct setting_origin *origin, const char *format, ...)
{
	struct config_finding finding = {.severity = severity, .code = code, .where = STR("")};
	char text[1024];
	va_list args;

	report->errors_n += severity == CONFIG_ERROR;
	if (report->findings.n >= CONFIG_REPORT_MAX) {
		report->dropped_n++;
		return;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	finding.key = arena_str(&report->arena, key);
	finding.text = arena_str(&report->arena, str_of(text));
	if (origin && origin->kind == CONFIG_ORIGIN_FILE)
		finding.where =
			arena_printf(&report->arena, "%.*s:%d", STR_ARGS(origin->where), origin->line);
	else if (origin && origin->kind != CONFIG_ORIGIN_DEFAULT)
		finding.where = arena_str(&report->arena, origin->where);
	vec_push(&report->findings, finding);
}

void config_finding_format(const struct config_finding *finding, struct fmt *ret)
{
	if (finding->where.len > 0)
		fmt_add(ret, "%.*s: ", STR_ARGS(finding->where));
	fmt_add(ret, "%s %.*s", finding->code, STR_ARGS(finding->text));
}
