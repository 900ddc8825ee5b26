/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as data: a table of commands, each with its options, and one reader for all of them. Help
 * texts, suggestions and the messages of wrong usage come from the same table, so they cannot disagree with what
 * is accepted. getopt_long does the splitting.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include "bytes.h"

/* What the process ends with. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_FOUND = 3,
	CLI_NOT_ALLOWED = 4,
	CLI_UNREACHABLE = 5,
	CLI_CHECK_FAILED = 6,
	CLI_PARTLY_DONE = 7,
};

enum cli_kind {
	CLI_FLAG,   /* no value */
	CLI_TEXT,   /* one value, not empty; the last one given counts */
	CLI_NUMBER, /* a whole number from min to max; the last one given counts */
	CLI_PAIRS,  /* key=value; all are kept, in order */
};

struct cli_option {
	const char *name;  /* without the dashes */
	enum cli_kind kind;
	const char *value; /* how help calls the value: "DIR" */
	int64_t min, max;  /* of NUMBER */
	const char *excludes; /* name of an option that cannot be given beside this one; NULL: none */
	const char *help;
};

#define CLI_OPTIONS_MAX 12
#define CLI_PAIRS_MAX 4096

struct cli_run;

struct cli_command {
	const char *words;    /* "server start" */
	const char *args;     /* how help calls the arguments: "FILE"; "" when there are none */
	int args_min, args_max;
	const char *summary;  /* one line */
	const char *detail;   /* paragraphs, may be NULL */
	const char *examples; /* lines to paste, may be NULL */
	const struct cli_option *options;
	int options_n; /* up to CLI_OPTIONS_MAX */
	bool is_raw;   /* reads its command line itself: args are all words behind its own */
	enum cli_exit (*run)(const struct cli_run *run);
};

/* The program as a whole. */
struct cli_program {
	const char *name;
	const char *summary;
	const struct cli_command *commands;
	int commands_n;
};

struct cli_value {
	bool is_given;
	const char *text; /* as given */
	int64_t number;
};

/* One accepted command line. Texts are those of argv. */
struct cli_run {
	const struct cli_program *program;
	const struct cli_command *command;
	struct cli_value values[CLI_OPTIONS_MAX]; /* beside command->options */
	struct str *pairs; /* key=value, of all PAIRS options together */
	size_t pairs_n;
	char **args;
	int args_n;
	FILE *out, *err;
};

/* Reads argv (argv[0] is the program) and runs the command it names. Help and results go to `out`, what is wrong to
 * `err`. Not for two threads at once: getopt_long keeps its place in globals. */
enum cli_exit cli_main(const struct cli_program *program, int argc, char **argv, FILE *out, FILE *err);

/* The value of an option of the command that runs; aborts for a name the command does not have. */
const struct cli_value *cli_value(const struct cli_run *run, const char *name);
/* Says what is wrong and where help is; returns CLI_USAGE. */
enum cli_exit cli_wrong(const struct cli_run *run, const char *format, ...) PRINTF_LIKE(2, 3);
/* How many letters to change, add or drop to make one word of the other; words of up to 63 letters, else 64. */
int cli_distance(const char *a, const char *b);

#endif
