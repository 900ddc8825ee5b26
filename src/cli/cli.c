/* SPDX-License-Identifier: Apache-2.0 */
/* Reads command lines by the table, and writes help; see cli.h. */
#include "cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "check.h"
#include "fmt.h"
#include "mem.h"

#define HELP_OPTION 'h'
#define FIRST_OPTION 256 /* values of long options, apart from letters */
#define WORD_MAX 64

int cli_distance(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	int row[WORD_MAX + 1];

	if (a_len >= WORD_MAX || b_len >= WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = (int)j;
	for (size_t i = 1; i <= a_len; i++) {
		int corner = row[0];

		row[0] = (int)i;
		for (size_t j = 1; j <= b_len; j++) {
			int change = corner + (a[i - 1] != b[j - 1]);
			int add_or_drop = MIN(row[j - 1], row[j]) + 1;

			corner = row[j];
			row[j] = MIN(change, add_or_drop);
		}
	}
	return row[b_len];
}

/* Near enough to be a slip of the finger. */
static bool cli_is_near(const char *a, const char *b)
{
	return cli_distance(a, b) <= (strlen(b) > 3 ? 2 : 1);
}

const struct cli_value *cli_value(const struct cli_run *run, const char *name)
{
	for (int i = 0; i < run->command->options_n; i++) {
		if (strcmp(run->command->options[i].name, name) == 0)
			return &run->values[i];
	}
	UNREACHABLE();
}

enum cli_exit cli_wrong(const struct cli_run *run, const char *format, ...)
{
	va_list args;

	fprintf(run->err, "%s", run->program->name);
	if (run->command)
		fprintf(run->err, " %s", run->command->words);
	fprintf(run->err, ": ");
	va_start(args, format);
	vfprintf(run->err, format, args);
	va_end(args);
	fprintf(run->err, "\nHelp: %s%s%s --help\n", run->program->name, run->command ? " " : "",
		run->command ? run->command->words : "");
	return CLI_USAGE;
}

static void cli_help_program(const struct cli_program *program, FILE *out)
{
	fprintf(out, "%s\n\nCommands:\n", program->summary);
	for (int i = 0; i < program->commands_n; i++) {
		const struct cli_command *command = &program->commands[i];
		char usage[WORD_MAX];
		struct fmt text;

		fmt_init(&text, usage, sizeof(usage));
		fmt_add(&text, "%s%s%s", command->words, command->args[0] ? " " : "", command->args);
		fprintf(out, "  %-20s  %s\n", usage, command->summary);
	}
	fprintf(out, "\n%s COMMAND --help tells more about one, with examples.\n", program->name);
}

static void cli_help_command(const struct cli_program *program, const struct cli_command *command, FILE *out)
{
	fprintf(out, "%s\n\nUsage: %s %s%s%s%s\n", command->summary, program->name, command->words,
		command->args[0] ? " " : "", command->args, command->options_n > 0 ? " [OPTION]..." : "");
	if (command->detail)
		fprintf(out, "\n%s\n", command->detail);
	if (command->options_n > 0)
		fprintf(out, "\nOptions:\n");
	for (int i = 0; i < command->options_n; i++) {
		const struct cli_option *option = &command->options[i];
		char left[WORD_MAX];
		struct fmt text;

		fmt_init(&text, left, sizeof(left));
		fmt_add(&text, "--%s%s%s", option->name, option->kind == CLI_FLAG ? "" : " ",
			option->kind == CLI_FLAG ? "" : option->value);
		fprintf(out, "  %-22s  %s\n", left, option->help);
	}
	if (command->examples)
		fprintf(out, "\nExamples:\n%s\n", command->examples);
}

/* How many of the words of a command argv begins with; all of them, or 0. */
static int cli_match(const struct cli_command *command, int argc, char **argv)
{
	const char *word = command->words;

	for (int i = 0;; i++) {
		size_t len = strcspn(word, " ");

		if (i >= argc || strlen(argv[i]) != len || memcmp(argv[i], word, len) != 0)
			return 0;
		if (word[len] == '\0')
			return i + 1;
		word += len + 1;
	}
}

static const struct cli_command *cli_find(const struct cli_program *program, int argc, char **argv,
					  int *ret_words_n)
{
	for (int i = 0; i < program->commands_n; i++) {
		int words_n = cli_match(&program->commands[i], argc, argv);

		if (words_n > 0) {
			*ret_words_n = words_n;
			return &program->commands[i];
		}
	}
	return NULL;
}

/* "server" alone, or a word that none begins with. */
static enum cli_exit cli_unknown_command(const struct cli_run *run, const char *word)
{
	const struct cli_program *program = run->program;
	const char *near = NULL;

	for (int i = 0; i < program->commands_n; i++) {
		const char *words = program->commands[i].words;
		size_t len = strcspn(words, " ");
		char first[WORD_MAX];
		struct fmt text;

		fmt_init(&text, first, sizeof(first));
		fmt_add_str(&text, (struct str){words, len});
		if (words[len] && strcmp(first, word) == 0)
			return cli_wrong(run, "%s is the beginning of: %s %s %s", word, program->name, words,
					 program->commands[i].args);
		if (!near && cli_is_near(word, first))
			near = words;
	}
	if (near)
		return cli_wrong(run, "there is no command %s. Did you mean: %s %s", word, program->name, near);
	return cli_wrong(run, "there is no command %s", word);
}

static enum cli_exit cli_unknown_option(const struct cli_run *run, const char *given)
{
	const char *name = given;
	const char *near = NULL;
	char word[WORD_MAX];
	struct fmt text;

	while (*name == '-')
		name++;
	fmt_init(&text, word, sizeof(word));
	fmt_add_str(&text, (struct str){name, strcspn(name, "=")});
	for (int i = 0; i < run->command->options_n; i++) {
		if (!near && cli_is_near(word, run->command->options[i].name))
			near = run->command->options[i].name;
	}
	if (near)
		return cli_wrong(run, "there is no option %s. Did you mean --%s?", given, near);
	return cli_wrong(run, "there is no option %s, or it takes no value", given);
}

/* Checks and keeps one option. CLI_OK or CLI_USAGE. */
static enum cli_exit cli_take(struct cli_run *run, int index, const char *text)
{
	const struct cli_option *option = &run->command->options[index];
	struct cli_value *value = &run->values[index];

	switch (option->kind) {
	case CLI_FLAG:
		break;
	case CLI_TEXT:
		if (!text[0])
			return cli_wrong(run, "--%s is empty", option->name);
		break;
	case CLI_NUMBER:
		if (parse_i64(str_of(text), &value->number) || value->number < option->min ||
		    value->number > option->max)
			return cli_wrong(run, "--%s takes a number from %lld to %lld, not \"%s\"", option->name,
					 (long long)option->min, (long long)option->max, text);
		break;
	case CLI_PAIRS:
		if (text[0] == '=' || !strchr(text, '='))
			return cli_wrong(run, "--%s takes %s, not \"%s\"", option->name, option->value, text);
		if (run->pairs_n == CLI_PAIRS_MAX)
			return cli_wrong(run, "more than %d times --%s", CLI_PAIRS_MAX, option->name);
		run->pairs[run->pairs_n++] = str_of(text);
		break;
	}
	value->is_given = true;
	value->text = text;
	return CLI_OK;
}

static enum cli_exit cli_check(const struct cli_run *run)
{
	const struct cli_command *command = run->command;

	for (int i = 0; i < command->options_n; i++) {
		const struct cli_option *option = &command->options[i];

		if (option->excludes && run->values[i].is_given && cli_value(run, option->excludes)->is_given)
			return cli_wrong(run, "--%s and --%s exclude each other", option->name, option->excludes);
	}
	if (run->args_n < command->args_min)
		return cli_wrong(run, "%s is missing", command->args);
	if (run->args_n > command->args_max)
		return cli_wrong(run, "\"%s\" is one argument too many", run->args[command->args_max]);
	return CLI_OK;
}

/* Reads the options of argv, where argv[0] is the last word of the command. True when there is nothing left to run. */
static bool cli_read(struct cli_run *run, int argc, char **argv, enum cli_exit *ret)
{
	const struct cli_command *command = run->command;
	struct option options[CLI_OPTIONS_MAX + 2] = {{"help", no_argument, NULL, HELP_OPTION}};
	int c;

	CHECK_OP(command->options_n, <=, CLI_OPTIONS_MAX);
	for (int i = 0; i < command->options_n; i++)
		options[i + 1] = (struct option){.name = command->options[i].name,
						 .has_arg = command->options[i].kind != CLI_FLAG,
						 .val = FIRST_OPTION + i};
	opterr = 0;
	optind = 0; /* begin anew */
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (c == HELP_OPTION) {
			cli_help_command(run->program, command, run->out);
			*ret = CLI_OK;
			return true;
		}
		if (c == ':')
			*ret = cli_wrong(run, "%s needs a value", argv[optind - 1]);
		else if (c < FIRST_OPTION)
			*ret = cli_unknown_option(run, argv[optind - 1]);
		else
			*ret = cli_take(run, c - FIRST_OPTION, optarg);
		if (*ret != CLI_OK)
			return true;
	}
	run->args = argv + optind;
	run->args_n = argc - optind;
	*ret = cli_check(run);
	return *ret != CLI_OK;
}

static bool cli_asks_version(const char *word)
{
	return strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0 || strcmp(word, "-v") == 0;
}

/* As the command of that name, where the program has one. */
static const struct cli_command *cli_version_command(const struct cli_program *program)
{
	char *words[] = {"version"};
	int words_n = 0;

	return cli_find(program, 1, words, &words_n);
}

enum cli_exit cli_main(const struct cli_program *program, int argc, char **argv, FILE *out, FILE *err)
{
	struct cli_run run = {.program = program, .out = out, .err = err};
	enum cli_exit code = CLI_OK;
	bool is_help;
	int words_n = 0;

	argc--;
	argv++;
	is_help = argc > 0 && strcmp(argv[0], "help") == 0;
	if (is_help) {
		argc--;
		argv++;
	}
	if (argc == 0 && !is_help) {
		cli_help_program(program, err);
		return CLI_USAGE;
	}
	if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
		cli_help_program(program, out);
		return CLI_OK;
	}
	run.command = cli_find(program, argc, argv, &words_n);
	/* moldau --version, moldau server start --version: nothing may follow. */
	if (cli_asks_version(argv[argc - 1]) && !is_help && cli_version_command(program) &&
	    (run.command ? !run.command->is_raw && argc == words_n + 1 : argc == 1)) {
		run.command = cli_version_command(program);
		return run.command->run(&run);
	}
	if (!run.command) {
		/* moldau server --help: everything there is */
		if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
			cli_help_program(program, out);
			return CLI_OK;
		}
		return cli_unknown_command(&run, argv[0]);
	}
	if (is_help) {
		cli_help_command(program, run.command, out);
		return CLI_OK;
	}
	if (run.command->is_raw) {
		run.args = argv + words_n;
		run.args_n = argc - words_n;
		return run.command->run(&run);
	}
	run.pairs = mem_calloc((size_t)MIN(argc, CLI_PAIRS_MAX), sizeof(*run.pairs));
	if (!cli_read(&run, argc - words_n + 1, argv + words_n - 1, &code))
		code = run.command->run(&run);
	mem_free(run.pairs);
	return code;
}
