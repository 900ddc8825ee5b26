/* SPDX-License-Identifier: Apache-2.0 */
/* moldau dev, moldau server start: from the command line to what serve() wants. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "dev_config.h"
#include "mem.h"
#include "serve.h"

#define DATA_DEFAULT "./.moldau"
#define PORT_DEFAULT 9092
#define DEV_TEXT_LEN ((size_t)2 * FS_PATH_MAX + 1024)

static int64_t ns_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Now, less the time this process has worked: about when it was executed. */
static int64_t process_started_ns(void)
{
	return ns_of(CLOCK_MONOTONIC) - ns_of(CLOCK_PROCESS_CPUTIME_ID);
}

/* Those of the command line; --reactors is the setting of that name. The caller frees. */
static struct str *serve_overrides(const struct cli_run *run, char reactors[32], size_t *ret_n)
{
	const struct cli_value *value = cli_value(run, "reactors");
	struct str *pairs = mem_calloc(run->pairs_n + 1, sizeof(*pairs));
	struct fmt text;

	for (size_t i = 0; i < run->pairs_n; i++)
		pairs[i] = run->pairs[i];
	*ret_n = run->pairs_n;
	if (value->is_given) {
		fmt_init(&text, reactors, 32);
		fmt_add(&text, "reactors=%lld", (long long)value->number);
		pairs[(*ret_n)++] = str_of(reactors);
	}
	return pairs;
}

enum cli_exit cmd_server_start(const struct cli_run *run)
{
	char reactors[32];
	size_t overrides_n;
	struct str *overrides = serve_overrides(run, reactors, &overrides_n);
	struct serve_options options = {.file_path = run->args[0],
					.file_name = str_of(run->args[0]),
					.overrides = overrides,
					.overrides_n = overrides_n,
					.started_ns = process_started_ns(),
					.out = run->out,
					.err = run->err};
	enum cli_exit code = serve(&options);

	mem_free(overrides);
	return code;
}

/* The name from the root on, since a relative one means another place in another folder. */
static enum err dev_absolute(const char *name, char ret[FS_PATH_MAX])
{
	char here[FS_PATH_MAX];
	struct fmt path;

	fmt_init(&path, ret, FS_PATH_MAX);
	if (name[0] != '/') {
		if (!getcwd(here, sizeof(here)))
			return ERR_NOT_FOUND;
		while (name[0] == '.' && name[1] == '/')
			name += 2;
		fmt_add(&path, "%s/", strcmp(here, "/") == 0 ? "" : here);
	}
	fmt_add(&path, "%s", name);
	return path.cut ? ERR_TOO_LARGE : ERR_NONE;
}

enum cli_exit cmd_dev(const struct cli_run *run)
{
	int64_t started_ns = process_started_ns();
	const struct cli_value *data = cli_value(run, "data"), *port = cli_value(run, "port");
	const char *data_dir = data->is_given ? data->text : DATA_DEFAULT;
	const char *temp_base = getenv("TMPDIR");
	char temp_dir[FS_PATH_MAX], absolute[FS_PATH_MAX], text[DEV_TEXT_LEN], reactors[32];
	struct fmt config, temp;
	struct str *overrides;
	size_t overrides_n;
	enum cli_exit code;
	enum err err;

	if (cli_value(run, "ephemeral")->is_given) {
		fmt_init(&temp, temp_dir, sizeof(temp_dir));
		fmt_add(&temp, "%s/moldau-XXXXXX", temp_base && temp_base[0] ? temp_base : "/tmp");
		if (temp.cut || !mkdtemp(temp_dir)) {
			fprintf(run->err, "A temporary directory could not be made in %s: %s. TMPDIR names another "
				"place.\n", temp_base && temp_base[0] ? temp_base : "/tmp", strerror(errno));
			return CLI_FAILED;
		}
		data_dir = temp_dir;
	}
	fmt_init(&config, text, sizeof(text));
	err = dev_absolute(data_dir, absolute);
	if (err == ERR_NOT_FOUND) {
		fprintf(run->err, "The directory in which this runs cannot be told: %s\n", strerror(errno));
		return CLI_FAILED;
	}
	if (!err)
		err = dev_config_write(absolute, port->is_given ? (int)port->number : PORT_DEFAULT,
				       &config);
	if (err == ERR_INVALID_TEXT)
		return cli_wrong(run, "the name of the data directory has a comma, which separates directories: %s",
				 data_dir);
	if (err)
		return cli_wrong(run, "the name of the data directory is too long");
	overrides = serve_overrides(run, reactors, &overrides_n);
	code = serve(&(struct serve_options){.file_name = STR("moldau dev"),
					     .file_text = str_bytes((struct str){text, config.len}),
					     .overrides = overrides,
					     .overrides_n = overrides_n,
					     .is_dev = true,
					     .data_dir = data_dir,
					     .temp_dir = data_dir == temp_dir ? temp_dir : NULL,
					     .started_ns = started_ns,
					     .out = run->out,
					     .err = run->err});
	mem_free(overrides);
	return code;
}
