/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one broker in this process, from its configuration to its end. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include <stdio.h>

#include "broker.h"
#include "cli.h"

struct serve_options {
	const char *file_path;       /* a server.properties to read; NULL: `file_text` is it */
	struct str file_name;        /* as findings name it */
	struct bytes file_text;
	const struct str *overrides; /* key=value */
	size_t overrides_n;
	bool is_dev;                 /* tell a person at a terminal, with the banner */
	const char *data_dir;        /* of the banner */
	const char *temp_dir;        /* removed at the end; NULL: none */
	int64_t started_ns;          /* monotonic clock when the process began */
	FILE *out, *err;
};

/* Returns when the broker has ended: CLI_OK after a clean stop. Says on `err` why it did not start or broke off. Once
 * per process, since it takes over the signals. */
enum cli_exit serve(const struct serve_options *options);

/* banner.c: what a person wants to know once the broker serves. */
struct http;
void banner_print(const struct serve_options *options, const struct broker *broker, const struct http *http,
		  FILE *out);

#endif
