/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines read by a table: what is accepted, what is refused and in which words, help. */
#include "cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "types.h"

/* What the last command saw. */
struct seen {
	char name[32], text[64], pair[2][64], arg[64];
	int64_t number;
	bool flag;
	size_t pairs_n;
	int args_n;
};

static struct seen seen;
static char said[4096], complained[4096];

static enum cli_exit remember(const struct cli_run *run)
{
	seen.args_n = run->args_n;
	seen.pairs_n = run->pairs_n;
	snprintf(seen.name, sizeof(seen.name), "%s", run->command->words);
	for (size_t i = 0; i < run->pairs_n && i < 2; i++)
		snprintf(seen.pair[i], sizeof(seen.pair[i]), "%.*s", STR_ARGS(run->pairs[i]));
	if (run->args_n > 0)
		snprintf(seen.arg, sizeof(seen.arg), "%s", run->args[0]);
	if (run->command->options_n == 0)
		return CLI_NOT_FOUND;
	if (cli_value(run, "data")->is_given)
		snprintf(seen.text, sizeof(seen.text), "%s", cli_value(run, "data")->text);
	seen.flag = cli_value(run, "brief")->is_given;
	seen.number = cli_value(run, "port")->is_given ? cli_value(run, "port")->number : -1;
	return CLI_OK;
}

static const struct cli_option options[] = {
	{.name = "data", .kind = CLI_TEXT, .value = "DIR", .excludes = "brief", .help = "where"},
	{.name = "brief", .kind = CLI_FLAG, .help = "shortly"},
	{.name = "port", .kind = CLI_NUMBER, .value = "P", .min = 0, .max = 65535, .help = "port"},
	{.name = "override", .kind = CLI_PAIRS, .value = "KEY=VALUE", .help = "a setting"},
};
static const struct cli_command commands[] = {
	{.words = "walk", .args = "", .summary = "Walk about", .options = options, .options_n = ARRAY_N(options),
	 .examples = "  x walk --port 3", .run = remember},
	{.words = "dog feed", .args = "NAME", .args_min = 1, .args_max = 2, .summary = "Feed a dog", .options = options,
	 .options_n = ARRAY_N(options), .run = remember},
	{.words = "bare", .args = "[WORD]", .args_max = 1, .summary = "Nothing to choose", .run = remember},
};
static const struct cli_program program = {"x", "x: an example.", commands, ARRAY_N(commands)};

#define RUN(...) run_words((char *[]){"x", ##__VA_ARGS__, NULL})

static enum cli_exit run_words(char **argv)
{
	FILE *out = fmemopen(said, sizeof(said), "w"), *err = fmemopen(complained, sizeof(complained), "w");
	enum cli_exit code;
	int argc = 0;

	while (argv[argc])
		argc++;
	memset(&seen, 0, sizeof(seen));
	said[0] = complained[0] = '\0';
	code = cli_main(&program, argc, argv, out, err);
	fclose(out);
	fclose(err);
	return code;
}

static void test_accepted(void **state)
{
	assert_int_equal(RUN("walk"), CLI_OK);
	assert_string_equal(seen.name, "walk");
	assert_int_equal(seen.number, -1);
	assert_int_equal(RUN("walk", "--data", "/tmp/a b", "--port=17"), CLI_OK);
	assert_string_equal(seen.text, "/tmp/a b");
	assert_int_equal(seen.number, 17);
	assert_false(seen.flag);
	assert_int_equal(RUN("walk", "--brief", "--port", "65535"), CLI_OK);
	assert_true(seen.flag);
	assert_int_equal(seen.number, 65535);
	assert_int_equal(RUN("dog", "feed", "--port", "1", "rex", "--port", "2"), CLI_OK);
	assert_string_equal(seen.name, "dog feed");
	assert_string_equal(seen.arg, "rex");
	assert_int_equal(seen.number, 2); /* the last one counts */
	assert_int_equal(RUN("bare"), CLI_NOT_FOUND);
	assert_int_equal(RUN("bare", "--", "--port"), CLI_NOT_FOUND);
	assert_string_equal(seen.arg, "--port");
	assert_string_equal(complained, "");
}

static void test_pairs(void **state)
{
	assert_int_equal(RUN("walk", "--override", "a=b", "--override=c.d=e=f"), CLI_OK);
	assert_int_equal(seen.pairs_n, 2);
	assert_string_equal(seen.pair[0], "a=b");
	assert_string_equal(seen.pair[1], "c.d=e=f");
	assert_int_equal(RUN("walk", "--override", "a="), CLI_OK);
	assert_int_equal(RUN("walk", "--override", "a"), CLI_USAGE);
	assert_non_null(strstr(complained, "--override takes KEY=VALUE, not \"a\""));
	assert_int_equal(RUN("walk", "--override", "=b"), CLI_USAGE);
}

/* Runs a wrong line; the command must not run and the words must be said. */
#define WRONG(words, ...)                                                       \
	do {                                                                    \
		assert_int_equal(RUN(__VA_ARGS__), CLI_USAGE);                  \
		assert_string_equal(seen.name, "");                             \
		assert_string_equal(said, "");                                  \
		if (!strstr(complained, words))                                 \
			fail_msg("%s is not in: %s", words, complained);        \
	} while (0)

static void test_refused(void **state)
{
	WRONG("there is no command wolk. Did you mean: x walk", "wolk");
	WRONG("there is no command entirely", "entirely");
	WRONG("dog is the beginning of: x dog feed NAME", "dog");
	WRONG("dog is the beginning of", "dog", "eat");
	WRONG("there is no option --prot. Did you mean --port?", "walk", "--prot", "3");
	WRONG("there is no option --nothing-like-it", "walk", "--nothing-like-it=5");
	WRONG("there is no option -z", "walk", "-z");
	WRONG("--port needs a value", "walk", "--port");
	WRONG("from 0 to 65535, not \"65536\"", "walk", "--port", "65536");
	WRONG("not \"-1\"", "walk", "--port", "-1");
	WRONG("not \"3x\"", "walk", "--port", "3x");
	WRONG("not \"\"", "walk", "--port", "");
	WRONG("not \"99999999999999999999\"", "walk", "--port", "99999999999999999999");
	WRONG("--data is empty", "walk", "--data", "");
	WRONG("--data and --brief exclude each other", "walk", "--brief", "--data", "d");
	WRONG("\"word\" is one argument too many", "walk", "word");
	WRONG("NAME is missing", "dog", "feed");
	WRONG("\"c\" is one argument too many", "dog", "feed", "a", "b", "c");
	WRONG("Help: x dog feed --help", "dog", "feed");
	WRONG("Help: x --help", "wolk");
}

static void test_help(void **state)
{
	assert_int_equal(RUN("--help"), CLI_OK);
	assert_non_null(strstr(said, "dog feed NAME"));
	assert_non_null(strstr(said, "Walk about"));
	assert_int_equal(RUN("help"), CLI_OK);
	assert_non_null(strstr(said, "Walk about"));
	assert_int_equal(RUN("walk", "--port", "3", "--help"), CLI_OK);
	assert_string_equal(seen.name, "");
	assert_non_null(strstr(said, "Usage: x walk [OPTION]..."));
	assert_non_null(strstr(said, "--data DIR"));
	assert_non_null(strstr(said, "x walk --port 3"));
	assert_int_equal(RUN("help", "dog", "feed"), CLI_OK);
	assert_non_null(strstr(said, "Usage: x dog feed NAME [OPTION]..."));
	assert_int_equal(RUN("dog", "--help"), CLI_OK);
	assert_string_equal(complained, "");
	/* Alone it is wrong usage, but teaches. */
	assert_int_equal(RUN(), CLI_USAGE);
	assert_non_null(strstr(complained, "Commands:"));
}

static void test_distance(void **state)
{
	assert_int_equal(cli_distance("", ""), 0);
	assert_int_equal(cli_distance("port", "port"), 0);
	assert_int_equal(cli_distance("port", ""), 4);
	assert_int_equal(cli_distance("prot", "port"), 2);
	assert_int_equal(cli_distance("kitten", "sitting"), 3);
	assert_int_equal(cli_distance("a", "12345678901234567890123456789012345678901234567890123456789012345"), 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted), cmocka_unit_test(test_pairs),	  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_help),	 cmocka_unit_test(test_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
