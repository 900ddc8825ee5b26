/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The original's tool kafka-storage under its own name: `moldau storage ...`, or the program called kafka-storage or
 * kafka-storage.sh. Options, output and exit codes are the original's (test/storage_tool/storage.record); what only
 * Java says (stack traces, names of exceptions) is left out.
 */
#ifndef CLI_STORAGE_TOOL_H
#define CLI_STORAGE_TOOL_H

#include <stdio.h>

#include "broker_config.h"
#include "checkpoint.h"

#define STORAGE_LIST_MAX 64

enum storage_command { STORAGE_INFO, STORAGE_FORMAT, STORAGE_MAPPING, STORAGE_DEPENDENCIES, STORAGE_UUID };

/* A command line that was understood. Texts are those of argv. */
struct storage_args {
	enum storage_command command;
	const char *config, *cluster_id, *release, *initial_controllers; /* NULL: not given */
	bool is_ignoring_formatted, is_standalone, has_no_initial_controllers;
	const char *scram[STORAGE_LIST_MAX];
	int scram_n;
	const char *features[STORAGE_LIST_MAX];
	int features_n;
	FILE *out, *err;
};

/* argv without the program's name. True when the command line says what to do; else *ret_code is the exit code, and
 * help or what is wrong has been said. */
bool storage_args_read(int argc, char **argv, FILE *out, FILE *err, struct storage_args *ret, int *ret_code);

/* The tool; returns the exit code, 0 or 1. */
int storage_tool(int argc, char **argv, FILE *out, FILE *err);
int storage_format(const struct storage_args *args, const struct broker_config *config);

/* "4.3" or "4.3-IV0" as the level of metadata.version; false when it is none that may be formatted. */
bool storage_release_parse(struct str text, bool with_unstable, int16_t *ret);
/* Says that it is none, with those that are. */
void storage_release_unknown(FILE *err, const char *text, bool with_unstable);
const char *storage_release_name(int16_t level);

/* log.dirs and the metadata directory, in order of names, each once; returns how many. */
size_t storage_dirs(const struct broker_config *config, struct str ret[STORAGE_LIST_MAX]);
/* Reads a meta.properties; null, or what is wrong with it. */
struct str storage_meta_read(struct bytes text, struct arena *arena, struct meta_properties *ret);

/* One value of --add-scram as a record of the metadata log, with the text that tells it. */
enum err storage_scram(const char *text, struct arena *arena, struct bytes *ret_record, struct str *ret_shown,
		       struct err_text *why) MUST_USE;
/* Random bytes of the system. */
void storage_random(void *p, size_t len);

#endif
