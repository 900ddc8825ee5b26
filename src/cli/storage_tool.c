/* SPDX-License-Identifier: Apache-2.0 */
/* kafka-storage but for formatting: random-uuid, info, version-mapping, feature-dependencies. See storage_tool.h. */
#include "storage_tool.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint.h"
#include "commands.h"
#include "config_file.h"
#include "feature_table.h"
#include "mem.h"
#include "properties.h"
#include "rng.h"
#include "uuid.h"

#define PATH_LEN 4096
/* A level that exists in the code of this version and is not released; 4.3's tool tells it in version-mapping. */
#define UNSTABLE_NAME "4.4-IV0"
#define UNSTABLE_LEVEL ((int16_t)(METADATA_VERSION_MAX + 1))
#define ELR "eligible.leader.replicas.version"
#define ELR_NEEDS ((int16_t)23)

/* ---- releases ---- */

const char *storage_release_name(int16_t level)
{
	return level == UNSTABLE_LEVEL ? UNSTABLE_NAME : feature_level_name(STR(METADATA_VERSION), level);
}

bool storage_release_parse(struct str text, bool with_unstable, int16_t *ret)
{
	if (with_unstable && str_eq_c(text, UNSTABLE_NAME)) {
		*ret = UNSTABLE_LEVEL;
		return true;
	}
	return feature_level_parse(STR(METADATA_VERSION), text, ret);
}

void storage_release_unknown(FILE *err, const char *text, bool with_unstable)
{
	fprintf(err, "Unknown metadata.version '%s'. Supported metadata.version are: ", text);
	for (int16_t level = METADATA_VERSION_MIN; level <= METADATA_VERSION_MAX + (with_unstable ? 1 : 0); level++)
		fprintf(err, "%s%s", level > METADATA_VERSION_MIN ? ", " : "", storage_release_name(level));
	fputc('\n', err);
}

static int mapping(const struct storage_args *args)
{
	static const char *const features[] = {KRAFT_VERSION, "transaction.version", "group.version", ELR,
					       "share.version", "streams.version"};
	int16_t level = METADATA_VERSION_MAX;

	if (args->release && !storage_release_parse(str_of(args->release), true, &level)) {
		storage_release_unknown(args->err, args->release, true);
		return 1;
	}
	fprintf(args->out, METADATA_VERSION "=%d (%s)\n", level,
		args->release ? args->release : storage_release_name(level));
	for (size_t i = 0; i < ARRAY_N(features); i++)
		fprintf(args->out, "%s=%d\n", features[i],
			feature_default(str_of(features[i]),
					level > METADATA_VERSION_MAX ? METADATA_VERSION_MAX : level));
	return 0;
}

static bool has_level(struct str feature, int32_t level)
{
	for (int i = 0; i < feature_levels_n; i++) {
		if (str_eq(feature_levels[i].feature, feature) && feature_levels[i].level == level)
			return true;
	}
	return str_eq_c(feature, METADATA_VERSION) && level == UNSTABLE_LEVEL;
}

static int dependencies(const struct storage_args *args)
{
	for (int i = 0; i < args->features_n; i++) {
		const char *text = args->features[i], *equals = strchr(text, '=');
		struct str name = {text, equals ? (size_t)(equals - text) : 0};
		bool is_metadata = equals && str_eq_c(name, METADATA_VERSION);
		int32_t level;

		if (!equals) {
			fprintf(args->err, "Invalid feature format: %s. Expected format: 'feature=version' (e.g. "
					   "'group.version=1')\n", text);
			return 1;
		}
		if (parse_i32(str_of(equals + 1), &level) != ERR_NONE || level != (int16_t)level) {
			fprintf(args->err, "Invalid version format: %s for feature %.*s\n", equals + 1, STR_ARGS(name));
			return 1;
		}
		if (!feature_find(name)) {
			fprintf(args->err, "Unknown feature: %.*s\n", STR_ARGS(name));
			return 1;
		}
		if (!has_level(name, level)) {
			if (is_metadata)
				fprintf(args->err, "Unknown metadata.version %d\n", level);
			else
				fprintf(args->err, "Feature level %d is not supported for feature %.*s\n", level,
					STR_ARGS(name));
			return 1;
		}
		fprintf(args->out, "%.*s=%d", STR_ARGS(name), level);
		if (is_metadata)
			fprintf(args->out, " (%s)", storage_release_name((int16_t)level));
		if (str_eq_c(name, ELR) && level > 0)
			fprintf(args->out, " requires:\n    " METADATA_VERSION "=%d (%s)\n", ELR_NEEDS,
				storage_release_name(ELR_NEEDS));
		else
			fputs(" has no dependencies.\n", args->out);
	}
	return 0;
}

static int print_uuid(const struct storage_args *args)
{
	char text[UUID_TEXT_LEN + 1];
	struct rng rng;
	uint64_t seed;

	storage_random(&seed, sizeof(seed));
	rng_init(&rng, seed);
	uuid_format(uuid_random(&rng), text);
	fprintf(args->out, "%s\n", text);
	return 0;
}

/* ---- info ---- */

struct info {
	struct arena arena;
	struct str found[STORAGE_LIST_MAX], problems[STORAGE_LIST_MAX + 2];
	size_t found_n, problems_n;
	struct str metadata; /* null: none seen */
	bool is_legacy;
};

static void info_problem(struct info *info, struct str text)
{
	if (info->problems_n < ARRAY_N(info->problems))
		info->problems[info->problems_n++] = text;
}

/* As the original prints a map: sorted keys in braces. */
static struct str show_meta(struct info *info, const struct meta_properties *meta)
{
	char id[UUID_TEXT_LEN + 1];

	if (meta->version == 0)
		return arena_printf(&info->arena, "{broker.id=%d, cluster.id=%.*s, version=0}", meta->node_id,
				    STR_ARGS(meta->cluster_id));
	if (uuid_is_zero(meta->directory_id))
		return arena_printf(&info->arena, "{cluster.id=%.*s, node.id=%d, version=1}",
				    STR_ARGS(meta->cluster_id), meta->node_id);
	uuid_format(meta->directory_id, id);
	return arena_printf(&info->arena, "{cluster.id=%.*s, directory.id=%s, node.id=%d, version=1}",
			    STR_ARGS(meta->cluster_id), id, meta->node_id);
}

static void info_meta(struct info *info, struct str dir, const char *path)
{
	struct meta_properties meta;
	struct bytes text;
	struct str why;

	if (!config_file_read_reference(NULL, str_of(path), &info->arena, &text)) {
		info_problem(info, errno == ENOENT
					   ? arena_printf(&info->arena, "%.*s is not formatted.", STR_ARGS(dir))
					   : arena_printf(&info->arena, "Error loading %s: %s", path, strerror(errno)));
		return;
	}
	why = storage_meta_read(text, &info->arena, &meta);
	if (why.p) {
		info_problem(info, arena_printf(&info->arena, "Error loading %s: %.*s", path, STR_ARGS(why)));
		return;
	}
	info->is_legacy |= meta.version == 0;
	if (!info->metadata.p)
		info->metadata = show_meta(info, &meta);
}

static void info_dir(struct info *info, struct str dir)
{
	char path[PATH_LEN];
	struct stat stat_buf;

	snprintf(path, sizeof(path), "%.*s", STR_ARGS(dir));
	if (stat(path, &stat_buf) != 0) {
		info_problem(info, arena_printf(&info->arena, "%.*s does not exist", STR_ARGS(dir)));
		return;
	}
	if (!S_ISDIR(stat_buf.st_mode)) {
		info_problem(info, arena_printf(&info->arena, "%.*s is not a directory", STR_ARGS(dir)));
		return;
	}
	info->found[info->found_n++] = dir;
	snprintf(path, sizeof(path), "%.*s/meta.properties", STR_ARGS(dir));
	info_meta(info, dir, path);
}

static void info_list(FILE *out, const char *one, const char *many, const struct str *v, size_t n)
{
	if (n == 0)
		return;
	fprintf(out, "%s:\n", n == 1 ? one : many);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "  %.*s\n", STR_ARGS(v[i]));
	fputc('\n', out);
}

static int info_run(const struct storage_args *args, const struct broker_config *config)
{
	struct str dirs[STORAGE_LIST_MAX];
	size_t n = storage_dirs(config, dirs);
	struct info info = {.metadata = STR_NULL};
	int code;

	for (size_t i = 0; i < n; i++)
		info_dir(&info, dirs[i]);
	if (info.is_legacy)
		info_problem(&info, STR("The kafka configuration file appears to be for a cluster in KRaft mode, but "
					"the directories are formatted for legacy mode."));
	info_list(args->out, "Found log directory", "Found log directories", info.found, info.found_n);
	if (info.metadata.p)
		fprintf(args->out, "Found metadata: %.*s\n\n", STR_ARGS(info.metadata));
	info_list(args->out, "Found problem", "Found problems", info.problems, info.problems_n);
	code = info.problems_n > 0;
	arena_reset(&info.arena);
	return code;
}

/* ---- what info and format share ---- */

/* What is wrong with a file that was refused, in the original's order. */
static struct str meta_problem(struct bytes text, struct arena *arena)
{
	struct str version = STR_NULL, cluster_id = STR_NULL, node_id = STR_NULL;
	struct properties reader;
	struct property pair = {.line = 0};
	enum err err;
	int32_t number;

	if (properties_init(&reader, text, arena) != ERR_NONE)
		return STR("The file is too large.");
	while ((err = properties_next(&reader, &pair)) != ERR_NOT_FOUND) {
		if (err == ERR_NONE && str_eq_c(pair.key, "version"))
			version = pair.value;
		else if (err == ERR_NONE && str_eq_c(pair.key, "cluster.id"))
			cluster_id = pair.value;
		else if (err == ERR_NONE && str_eq_c(pair.key, "node.id"))
			node_id = pair.value;
	}
	if (version.p && (parse_i32(version, &number) != ERR_NONE || number < 0 || number > 1))
		return arena_printf(arena, "Unknown meta.properties version number %.*s", STR_ARGS(version));
	if (!cluster_id.p)
		return STR("cluster.id was not found.");
	return node_id.p ? STR("The file is damaged.") : STR("node.id was not found.");
}

struct str storage_meta_read(struct bytes text, struct arena *arena, struct meta_properties *ret)
{
	return meta_properties_parse(text, arena, ret) == ERR_NONE ? STR_NULL : meta_problem(text, arena);
}

size_t storage_dirs(const struct broker_config *config, struct str ret[STORAGE_LIST_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i <= config->eff.log_dirs.n; i++) {
		struct str dir = i < config->eff.log_dirs.n ? config->eff.log_dirs.v[i] : config->eff.metadata_log_dir;
		size_t at = 0;

		while (at < n && str_cmp(ret[at], dir) < 0)
			at++;
		if (n == STORAGE_LIST_MAX || (at < n && str_eq(ret[at], dir)))
			continue;
		memmove(ret + at + 1, ret + at, (n - at) * sizeof(*ret));
		ret[at] = dir;
		n++;
	}
	return n;
}

/* The configuration as the tool reads it: the file alone. */
static bool load(const struct storage_args *args, struct broker_config *ret)
{
	struct config_report report = {0};
	struct config_source source = {.file_name = str_of(args->config),
				       .env = (const char *const *)environ,
				       .is_env_for_references = true,
				       .read = config_file_read_reference};
	char *text;
	size_t len;
	enum err err;
	int number = config_file_read(args->config, &text, &len);

	if (number) {
		if (number == ENOENT)
			fprintf(args->err, "%s\n", args->config);
		else
			fprintf(args->err, "%s: %s\n", args->config, strerror(number));
		return false;
	}
	source.file_text = (struct bytes){(const uint8_t *)text, len};
	err = broker_config_load(ret, &report, &source);
	for (size_t i = 0; i < report.findings.n; i++) {
		const struct config_finding *finding = &report.findings.v[i];

		if (finding->severity != CONFIG_ERROR)
			continue;
		if (strcmp(finding->code, "ML1104") == 0)
			fprintf(args->err, "Missing required configuration \"%.*s\" which has no default value.\n",
				STR_ARGS(finding->key));
		else if (str_eq_c(finding->key, "controller.quorum.bootstrap.servers") &&
			 strcmp(finding->code, "ML1105") == 0)
			fputs("If using process.roles, either controller.quorum.bootstrap.servers must contain the set "
			      "of bootstrap controllers or controller.quorum.voters must contain a parseable set of "
			      "controllers.\n", args->err);
		else
			fprintf(args->err, "%.*s\n", STR_ARGS(finding->text));
	}
	config_report_deinit(&report);
	mem_free(text);
	return err == ERR_NONE;
}

int storage_tool(int argc, char **argv, FILE *out, FILE *err)
{
	struct storage_args args;
	struct broker_config config;
	int code;

	if (!storage_args_read(argc, argv, out, err, &args, &code))
		return code;
	switch (args.command) {
	case STORAGE_UUID:
		return print_uuid(&args);
	case STORAGE_MAPPING:
		return mapping(&args);
	case STORAGE_DEPENDENCIES:
		return dependencies(&args);
	case STORAGE_INFO:
	case STORAGE_FORMAT:
		break;
	}
	if (!load(&args, &config))
		return 1;
	code = args.command == STORAGE_INFO ? info_run(&args, &config) : storage_format(&args, &config);
	broker_config_deinit(&config);
	return code;
}

enum cli_exit cmd_storage(const struct cli_run *run)
{
	return storage_tool(run->args_n, run->args, run->out, run->err) ? CLI_FAILED : CLI_OK;
}

enum cli_exit cmd_format(const struct cli_run *run)
{
	return storage_tool(run->args_n + 1, run->args - 1, run->out, run->err) ? CLI_FAILED : CLI_OK;
}
