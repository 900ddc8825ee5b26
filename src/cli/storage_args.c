/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of kafka-storage, as the original's parser takes it: options by unambiguous beginnings, values
 * behind "=", a blank, or a short option's letter; commands by beginnings too.
 */
#include <string.h>

#include "storage_tool.h"
#include "types.h"

enum option_kind {
	OPTION_CONFIG,
	OPTION_CLUSTER_ID,
	OPTION_SCRAM,
	OPTION_IGNORE,
	OPTION_RELEASE,
	OPTION_FEATURE,
	OPTION_STANDALONE,
	OPTION_NO_INITIAL,
	OPTION_INITIAL,
	OPTION_HELP,
};

static const struct {
	const char *name;
	char letter;
	bool has_value;
} options[] = {
	[OPTION_CONFIG] = {"config", 'c', true},
	[OPTION_CLUSTER_ID] = {"cluster-id", 't', true},
	[OPTION_SCRAM] = {"add-scram", 'S', true},
	[OPTION_IGNORE] = {"ignore-formatted", 'g', false},
	[OPTION_RELEASE] = {"release-version", 'r', true},
	[OPTION_FEATURE] = {"feature", 'f', true},
	[OPTION_STANDALONE] = {"standalone", 's', false},
	[OPTION_NO_INITIAL] = {"no-initial-controllers", 'N', false},
	[OPTION_INITIAL] = {"initial-controllers", 'I', true},
	[OPTION_HELP] = {"help", 'h', false},
};

#define BIT(kind) (1U << (kind))

#define USAGE_TOOL                                                                                           \
	"usage: kafka-storage [-h]\n"                                                                        \
	"                     {info,format,version-mapping,feature-dependencies,random-uuid}\n"              \
	"                     ...\n"
#define USAGE_FORMAT                                                                                         \
	"usage: kafka-storage format [-h] --config CONFIG --cluster-id CLUSTER_ID\n"                         \
	"                     [--add-scram ADD_SCRAM] [--ignore-formatted]\n"                                \
	"                     [--release-version RELEASE_VERSION]\n"                                         \
	"                     [--feature FEATURE] [--standalone |\n"                                         \
	"                     --no-initial-controllers |\n"                                                  \
	"                     --initial-controllers INITIAL_CONTROLLERS]\n"
#define HELP_HEAD "\noptional arguments:\n  -h, --help             show this help message and exit\n"
#define HELP_CONFIG                                                                                          \
	"  --config CONFIG, -c CONFIG\n                         The Kafka configuration file to use.\n"

static const char help_tool[] =
	"\nThe Kafka storage tool.\n\npositional arguments:\n"
	"  {info,format,version-mapping,feature-dependencies,random-uuid}\n"
	"    info                 Get information about  the  Kafka  log directories\n"
	"                         on this node.\n"
	"    format               Format the Kafka log directories on this node.\n"
	"    version-mapping      Look up the  corresponding  features  for  a given\n"
	"                         metadata version. Using  the  command  with  no --\n"
	"                         release-version  argument will  return the mapping\n"
	"                         for the latest stable metadata version\n"
	"    feature-dependencies\n"
	"                         Look up dependencies for  a given feature version.\n"
	"                         If the feature is  not  known  or  the version not\n"
	"                         yet  defined,  an   error   is   thrown.  Multiple\n"
	"                         features can be specified.\n"
	"    random-uuid          Print a random UUID.\n" HELP_HEAD;

static const char help_format[] =
	HELP_HEAD HELP_CONFIG
	"  --cluster-id CLUSTER_ID, -t CLUSTER_ID\n"
	"                         The cluster ID to use.\n"
	"  --add-scram ADD_SCRAM, -S ADD_SCRAM\n"
	"                         A    SCRAM_CREDENTIAL     to     add     to    the\n"
	"                         __cluster_metadata log e.g.\n"
	"                         'SCRAM-SHA-256=[name=alice,password=alice-\n"
	"                         secret]'\n"
	"                         'SCRAM-SHA-512=[name=alice,iterations=8192,salt=\"\n"
	"                         N3E=\",saltedpassword=\"YCE=\"]'\n"
	"  --ignore-formatted, -g\n"
	"                         When this option  is  passed,  the  format command\n"
	"                         will  skip  over   already  formatted  directories\n"
	"                         rather than failing.\n"
	"  --release-version RELEASE_VERSION, -r RELEASE_VERSION\n"
	"                         The  release  version  to   use  for  the  initial\n"
	"                         feature settings.  The  minimum  is  3.3-IV3;  the\n"
	"                         default is 4.3-IV0\n"
	"  --feature FEATURE, -f FEATURE\n"
	"                         The setting to  use  for  a  specific  feature, in\n"
	"                         feature=level   format.   For   example:   `kraft.\n"
	"                         version=1`.\n"
	"  --standalone, -s       Used to initialize a  controller  as a single-node\n"
	"                         dynamic  quorum.  When  setting   this  flag,  the\n"
	"                         controller.quorum.voters config must  not  be set,\n"
	"                         and  controller.quorum.bootstrap.servers   is  set\n"
	"                         instead.\n"
	"  --no-initial-controllers, -N\n"
	"                         Used to initialize a  server  without specifying a\n"
	"                         dynamic  quorum.  When  setting   this  flag,  the\n"
	"                         controller.quorum.voters  config  should   not  be\n"
	"                         set,  and  controller.quorum.bootstrap.servers  is\n"
	"                         set instead.\n"
	"  --initial-controllers INITIAL_CONTROLLERS, -I INITIAL_CONTROLLERS\n"
	"                         Used to initialize  a  server  with  the specified\n"
	"                         dynamic quorum. The argument  is a comma-separated\n"
	"                         list  of   id@hostname:port:directory.   The  same\n"
	"                         values must  be  used  to  format  all  nodes. For\n"
	"                         example:\n"
	"                         0@example.com:8082:JEXY6aqzQY-32P5TStzaFg,\n"
	"                         1@example.com:8083:MvDxzVmcRsaTz33bUuRU6A,\n"
	"                         2@example.com:8084:07R5amHmR32VDA6jHkGbTA\n"
	"                         . When setting  this  flag, the controller.quorum.\n"
	"                         voters config must  not  be  set,  and controller.\n"
	"                         quorum.bootstrap.servers is set instead.\n";

static const struct {
	const char *name, *usage, *help;
	unsigned accepted;
	unsigned required;
} commands[] = {
	[STORAGE_INFO] = {"info", "usage: kafka-storage info [-h] --config CONFIG\n", HELP_HEAD HELP_CONFIG,
			  BIT(OPTION_CONFIG), BIT(OPTION_CONFIG)},
	[STORAGE_FORMAT] = {"format", USAGE_FORMAT, help_format, BIT(OPTION_HELP) - 1,
			    BIT(OPTION_CONFIG) | BIT(OPTION_CLUSTER_ID)},
	[STORAGE_MAPPING] = {"version-mapping",
			     "usage: kafka-storage version-mapping [-h]\n"
			     "                     [--release-version RELEASE_VERSION]\n",
			     HELP_HEAD "  --release-version RELEASE_VERSION, -r RELEASE_VERSION\n"
				       "                         The release version to  use  for the corresponding\n"
				       "                         feature  mapping.  The  minimum  is  3.3-IV3;  the\n"
				       "                         default is 4.3-IV0\n",
			     BIT(OPTION_RELEASE), 0},
	[STORAGE_DEPENDENCIES] = {"feature-dependencies",
				  "usage: kafka-storage feature-dependencies [-h] --feature FEATURE\n",
				  HELP_HEAD
				  "  --feature FEATURE, -f FEATURE\n"
				  "                         The  features  and  their   versions  to  look  up\n"
				  "                         dependencies for, in  feature=version  format. For\n"
				  "                         example: `metadata.version=5`.\n",
				  BIT(OPTION_FEATURE), BIT(OPTION_FEATURE)},
	[STORAGE_UUID] = {"random-uuid", "usage: kafka-storage random-uuid [-h]\n", HELP_HEAD, 0, 0},
};

struct reading {
	struct storage_args *args;
	int command; /* -1: not known yet */
	unsigned given;
	int *ret_code;
};

static bool fail(struct reading *r, const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(struct reading *r, const char *format, ...)
{
	va_list list;

	fputs(r->command < 0 ? USAGE_TOOL : commands[r->command].usage, r->args->err);
	fputs("kafka-storage: error: ", r->args->err);
	va_start(list, format);
	vfprintf(r->args->err, format, list);
	va_end(list);
	fputc('\n', r->args->err);
	*r->ret_code = 1;
	return false;
}

static bool help(struct reading *r)
{
	fputs(r->command < 0 ? USAGE_TOOL : commands[r->command].usage, r->args->out);
	fputs(r->command < 0 ? help_tool : commands[r->command].help, r->args->out);
	*r->ret_code = 0;
	return false;
}

static bool find_command(struct reading *r, const char *word)
{
	size_t len = strlen(word), found_n = 0;

	for (size_t i = 0; i < ARRAY_N(commands); i++) {
		if (strcmp(word, commands[i].name) == 0) {
			r->command = (int)i;
			return true;
		}
		if (strncmp(word, commands[i].name, len) == 0 && ++found_n == 1)
			r->command = (int)i;
	}
	if (found_n == 1)
		return true;
	r->command = -1;
	return fail(r, "invalid choice: '%s' (choose from 'info', 'format', 'version-mapping', "
		       "'feature-dependencies', 'random-uuid')", word);
}

static void store(struct storage_args *args, int option, const char *value)
{
	switch ((enum option_kind)option) {
	case OPTION_CONFIG:
		args->config = value;
		break;
	case OPTION_CLUSTER_ID:
		args->cluster_id = value;
		break;
	case OPTION_SCRAM:
		if (args->scram_n < STORAGE_LIST_MAX)
			args->scram[args->scram_n++] = value;
		break;
	case OPTION_FEATURE:
		if (args->features_n < STORAGE_LIST_MAX)
			args->features[args->features_n++] = value;
		break;
	case OPTION_RELEASE:
		args->release = value;
		break;
	case OPTION_INITIAL:
		args->initial_controllers = value;
		break;
	case OPTION_IGNORE:
		args->is_ignoring_formatted = true;
		break;
	case OPTION_STANDALONE:
		args->is_standalone = true;
		break;
	case OPTION_NO_INITIAL:
		args->has_no_initial_controllers = true;
		break;
	case OPTION_HELP:
		break;
	}
}

/* The option that `arg` names, and its value if that stands in the same word. -1: none of this command. */
static int find_option(const struct reading *r, const char *arg, const char **ret_value)
{
	unsigned accepted = (r->command < 0 ? 0 : commands[r->command].accepted) | BIT(OPTION_HELP);
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) - 2 : strlen(arg) - 2;
	int found = -1;

	*ret_value = NULL;
	if (arg[1] != '-') {
		for (int i = 0; i < (int)ARRAY_N(options); i++) {
			if (options[i].letter == arg[1] && (accepted & BIT(i)) && (options[i].has_value || !arg[2])) {
				*ret_value = arg[2] ? arg + 2 : NULL;
				return i;
			}
		}
		return -1;
	}
	for (int i = 0; i < (int)ARRAY_N(options); i++) {
		if (!(accepted & BIT(i)) || strncmp(options[i].name, arg + 2, len) != 0)
			continue;
		if (found >= 0 && strlen(options[i].name) != len)
			return -1; /* two begin so */
		found = i;
		if (strlen(options[i].name) == len)
			break;
	}
	if (found >= 0 && equals)
		*ret_value = equals + 1;
	return found;
}

/* Of the three ways to name voters one may be chosen. */
static bool check_voters_once(struct reading *r, int option)
{
	static const int ways[] = {OPTION_STANDALONE, OPTION_NO_INITIAL, OPTION_INITIAL};
	bool is_way = option == OPTION_STANDALONE || option == OPTION_NO_INITIAL || option == OPTION_INITIAL;

	for (size_t i = 0; is_way && i < ARRAY_N(ways); i++) {
		if (ways[i] != option && (r->given & BIT(ways[i])))
			return fail(r, "argument --%s/-%c: not allowed with argument --%s/-%c", options[option].name,
				    options[option].letter, options[ways[i]].name, options[ways[i]].letter);
	}
	return true;
}

static bool check_required(struct reading *r)
{
	static const int order[] = {OPTION_CLUSTER_ID, OPTION_CONFIG, OPTION_FEATURE};

	for (size_t i = 0; i < ARRAY_N(order); i++) {
		if ((commands[r->command].required & BIT(order[i])) && !(r->given & BIT(order[i])))
			return fail(r, "argument --%s/-%c is required", options[order[i]].name,
				    options[order[i]].letter);
	}
	return true;
}

bool storage_args_read(int argc, char **argv, FILE *out, FILE *err, struct storage_args *ret, int *ret_code)
{
	struct reading r = {.args = ret, .command = -1, .ret_code = ret_code};
	const char *unknown = NULL;

	*ret = (struct storage_args){.out = out, .err = err};
	for (int i = 0; i < argc; i++) {
		const char *value;
		int option;

		if (argv[i][0] != '-' || !argv[i][1]) {
			if (r.command < 0 && !find_command(&r, argv[i]))
				return false;
			if (strncmp(argv[i], commands[r.command].name, strlen(argv[i])) != 0 || (r.given & BIT(31)))
				unknown = unknown ? unknown : argv[i];
			r.given |= BIT(31); /* the command itself has been passed */
			continue;
		}
		option = find_option(&r, argv[i], &value);
		if (option == OPTION_HELP)
			return help(&r);
		if (option < 0) {
			unknown = unknown ? unknown : argv[i];
			continue;
		}
		if (options[option].has_value && !value && (i + 1 == argc || (argv[i + 1][0] == '-' && argv[i + 1][1])))
			return fail(&r, "argument --%s/-%c: expected one argument", options[option].name,
				    options[option].letter);
		if (!check_voters_once(&r, option))
			return false;
		r.given |= BIT(option);
		store(ret, option, options[option].has_value && !value ? argv[++i] : value);
	}
	if (r.command < 0)
		return unknown ? fail(&r, "unrecognized arguments: '%s'", unknown) : fail(&r, "too few arguments");
	if (unknown)
		return fail(&r, "unrecognized arguments: '%s'", unknown);
	ret->command = (enum storage_command)r.command;
	return check_required(&r);
}
