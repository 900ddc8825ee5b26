/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of settings share: cmocka, and loading a config from a text. */
#ifndef TEST_CONFIG_TEST_H
#define TEST_CONFIG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker_config.h"

#define STOCK                                                                                                \
	"process.roles=broker,controller\n"                                                                  \
	"node.id=1\n"                                                                                        \
	"controller.quorum.bootstrap.servers=localhost:9093\n"                                               \
	"listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"                                                   \
	"controller.listener.names=CONTROLLER\n"

#define assert_str(s, expected)                                                                              \
	do {                                                                                                 \
		struct str got_ = (s);                                                                       \
		assert_int_equal(got_.len, strlen(expected));                                                \
		assert_memory_equal(got_.p, (expected), got_.len);                                           \
	} while (0)

static inline enum err load_text(struct broker_config *config, struct config_report *report, const char *text)
{
	struct config_source source = {
		.file_name = STR("server.properties"),
		.file_text = str_bytes(str_of(text)),
	};

	return broker_config_load(config, report, &source);
}

static inline const struct config_finding *find_finding(const struct config_report *report, const char *code,
							const char *key)
{
	for (size_t i = 0; i < report->findings.n; i++) {
		if (strcmp(report->findings.v[i].code, code) == 0 && str_eq_c(report->findings.v[i].key, key))
			return &report->findings.v[i];
	}
	return NULL;
}

static inline void print_findings(const struct config_report *report)
{
	for (size_t i = 0; i < report->findings.n; i++) {
		char text[1400];
		struct fmt f;

		fmt_init(&f, text, sizeof(text));
		config_finding_format(&report->findings.v[i], &f);
		print_message("%s\n", text);
	}
}

#endif
