/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading a configuration found: every problem, not only the first, each with a code, the key, its place
 * and a sentence. A zeroed report is empty. At most CONFIG_REPORT_MAX findings are kept; the rest is counted.
 */
#ifndef CONFIG_CONFIG_REPORT_H
#define CONFIG_CONFIG_REPORT_H

#include "config_types.h"
#include "fmt.h"
#include "vec.h"

#define CONFIG_REPORT_MAX 500

enum config_severity {
	CONFIG_INFO,	/* accepted without effect, or not yet */
	CONFIG_WARNING, /* probably not what was meant */
	CONFIG_ERROR,	/* the start is refused */
};

struct config_finding {
	enum config_severity severity;
	const char *code; /* "ML1002" */
	struct str key;	  /* "" when it is about none */
	struct str where; /* "server.properties:12", "KAFKA_LOG_DIRS", "--override"; "" when unknown */
	struct str text;  /* a sentence, or several */
};

struct config_report {
	VEC(struct config_finding) findings;
	size_t dropped_n;
	size_t errors_n;
	struct arena arena; /* owns the texts */
};

void config_report_deinit(struct config_report *report);
/* origin NULL: no place is known. */
void config_report_add(struct config_report *report, enum config_severity severity, const char *code,
		       struct str key, const struct setting_origin *origin, const char *format, ...)
	PRINTF_LIKE(6, 7);
/* "server.properties:12: ML1101 log.retention.hour is not known ..." */
void config_finding_format(const struct config_finding *finding, struct fmt *ret);

#endif
