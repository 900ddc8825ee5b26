/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka-storage format. Order: voters, features, credentials are understood; then the directories are looked at; then
 * each empty one gets bootstrap.checkpoint, the metadata directory of a dynamic quorum the 0-0 checkpoint with the
 * voters, and last of all meta.properties, which makes it a formatted one. Words are the original's.
 */
#include <errno.h>
#include <limits.h>
#include <time.h>

#include "config_file.h"
#include "feature_table.h"
#include "io.h"
#include "mem.h"
#include "metadata_record.h"
#include "msg/metadata_records.h"
#include "rng.h"
#include "snapshot_file.h"
#include "storage_tool.h"

#define FEATURES_MAX 16
#define KRAFT_DYNAMIC 1
#define SCRAM_NEEDS 11 /* metadata.version */
#define ELR "eligible.leader.replicas.version"
#define ELR_NEEDS 23

struct format {
	const struct storage_args *args;
	const struct broker_config *config;
	struct arena arena;
	struct rng rng;
	int16_t metadata_version;
	int16_t levels[FEATURES_MAX]; /* beside feature_defs */
	bool is_given[FEATURES_MAX];
	struct raft_voters voters;
	bool has_voters;
	struct uuid own_directory; /* of this node among the voters; zero: not named */
	bool is_voter;
	VEC(struct bytes) records;
	VEC(struct str) shown;
};

/* Says what is wrong; false, for the caller to return. */
static bool say(const struct format *f, const char *format, ...) PRINTF_LIKE(2, 3);
static bool say(const struct format *f, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vfprintf(f->args->err, format, list);
	va_end(list);
	return false;
}

/* ---- voters ---- */

static void add_voter(struct format *f, int32_t id, struct uuid directory, struct str host, uint16_t port)
{
	struct raft_voter voter = {.id = id, .directory_id = directory, .kraft_version_min = 0, .kraft_version_max = 1};
	struct raft_endpoint endpoint = {.name = f->config->controller_listener_names.v[0], .host = host, .port = port};

	vec_push(&voter.endpoints, endpoint);
	vec_push(&f->voters.voters, voter);
	f->has_voters = true;
	if (id == f->config->eff.node_id) {
		f->own_directory = directory;
		f->is_voter = true;
	}
}

/* id@host:port:directory */
static bool parse_voter(struct format *f, struct str text)
{
	const char *at = text.len ? memchr(text.p, '@', text.len) : NULL, *last, *colon;
	struct str host, port_text, directory_text;
	struct uuid directory;
	int32_t id, port;

	if (!at)
		return say(f, "No @ found in dynamic voter string.\n");
	if (parse_i32((struct str){text.p, (size_t)(at - text.p)}, &id) != ERR_NONE)
		return say(f, "Failed to parse node id in dynamic voter string.\n");
	if (id < 0)
		return say(f, "Invalid negative node id %d in dynamic voter string.\n", id);
	host = (struct str){at + 1, text.len - (size_t)(at + 1 - text.p)};
	if (host.len > 0 && host.p[0] == '[') {
		const char *bracket = memchr(host.p, ']', host.len);

		if (!bracket)
			return say(f, "Hostname began with left bracket, but no right bracket was found.\n");
		colon = memchr(bracket, ':', host.len - (size_t)(bracket - host.p));
	} else {
		colon = host.len ? memchr(host.p, ':', host.len) : NULL;
	}
	if (!colon)
		return say(f, "No colon following hostname could be found.\n");
	port_text = (struct str){colon + 1, host.len - (size_t)(colon + 1 - host.p)};
	host.len = (size_t)(colon - host.p);
	if (host.len > 1 && host.p[0] == '[')
		host = (struct str){host.p + 1, host.len - 2};
	last = port_text.len ? memchr(port_text.p, ':', port_text.len) : NULL;
	if (!last)
		return say(f, "No colon following port could be found.\n");
	directory_text = (struct str){last + 1, port_text.len - (size_t)(last + 1 - port_text.p)};
	port_text.len = (size_t)(last - port_text.p);
	if (parse_i32(port_text, &port) != ERR_NONE)
		return say(f, "Failed to parse port in dynamic voter string.\n");
	if (port < 0 || port > 65535)
		return say(f, "Invalid port %d in dynamic voter string.\n", port);
	if (uuid_parse(directory_text, &directory) != ERR_NONE)
		return say(f, "Failed to parse directory ID in dynamic voter string.\n");
	for (size_t i = 0; i < f->voters.voters.n; i++) {
		if (f->voters.voters.v[i].id == id)
			return say(f, "Node id %d was specified more than once.\n", id);
	}
	add_voter(f, id, directory, host, (uint16_t)port);
	return true;
}

static bool read_voters(struct format *f)
{
	const struct storage_args *args = f->args;
	const struct broker_effective *eff = &f->config->eff;
	struct setting_list_pos pos = {0};
	struct str text;

	if (args->initial_controllers) {
		while (setting_list_next(str_of(args->initial_controllers), &pos, &text)) {
			if (!parse_voter(f, text))
				return false;
		}
		if (!f->has_voters)
			return say(f, "No voters given.\n");
	}
	if (args->is_standalone) {
		const struct listener *listener;

		if (!eff->is_controller || eff->advertised_controller.n == 0)
			return say(f, "You can only use --standalone on a controller.\n");
		listener = &eff->advertised_controller.v[0];
		add_voter(f, eff->node_id, uuid_random(&f->rng),
			  listener->host.len ? listener->host : STR("localhost"), (uint16_t)listener->port);
	}
	if (f->has_voters && eff->voters.n > 0)
		return say(f, "You cannot specify controller.quorum.voters and format the node with "
			      "--initial-controllers or --standalone. If you want to use dynamic quorum, please remove "
			      "controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.\n");
	if (!args->has_no_initial_controllers && eff->is_controller && eff->voters.n == 0 && !f->has_voters)
		return say(f, "Because controller.quorum.voters is not set on this controller, you must specify one of "
			      "the following: --standalone, --initial-controllers, or --no-initial-controllers.\n");
	return true;
}

/* ---- features ---- */

static int feature_index(struct str name)
{
	for (int i = 0; i < feature_defs_n; i++) {
		if (str_eq(feature_defs[i].name, name))
			return i;
	}
	return -1;
}

/* All but metadata.version, in the order of their names. */
static bool say_features(const struct format *f, struct str unknown)
{
	struct str last = STR("");

	say(f, "Unsupported feature: %.*s. Supported features are: ", STR_ARGS(unknown));
	for (;;) {
		struct str next = STR_NULL;

		for (int i = 0; i < feature_defs_n; i++) {
			struct str name = feature_defs[i].name;

			if (!str_eq_c(name, METADATA_VERSION) && str_cmp(name, last) > 0 &&
			    (!next.p || str_cmp(name, next) < 0))
				next = name;
		}
		if (!next.p)
			return say(f, "\n");
		say(f, "%s%.*s", last.len ? ", " : "", STR_ARGS(next));
		last = next;
	}
}

static bool read_feature(struct format *f, const char *text)
{
	const char *equals = strchr(text, '=');
	struct str name = {text, equals ? (size_t)(equals - text) : 0};
	int32_t level;
	int i;

	if (!equals)
		return say(f, "Can't parse feature=level string %s: equals sign not found.\n", text);
	if (parse_i32(str_of(equals + 1), &level) != ERR_NONE || level != (int16_t)level)
		return say(f, "Can't parse feature=level string %s: unable to parse %s as a short.\n", text,
				equals + 1);
	i = feature_index(name);
	if (i < 0) {
		return say_features(f, name);
	}
	CHECK(i < FEATURES_MAX);
	f->levels[i] = (int16_t)level;
	f->is_given[i] = true;
	return true;
}

static bool check_kraft_version(const struct format *f, int16_t level)
{
	bool is_dynamic = f->config->eff.voters.n == 0 && (f->has_voters || f->args->has_no_initial_controllers);

	if (level == 0 && is_dynamic)
		return say(f, "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags "
			      "--standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic "
			      "controllers support, try removing the --feature flag for kraft.version.\n");
	if (level > 0 && !is_dynamic)
		return say(f, "Cannot set kraft.version to %d unless controller.quorum.voters is empty and one of the "
			      "flags --standalone, --initial-controllers, or --no-initial-controllers is used. For "
			      "dynamic controllers support, try using one of --standalone, --initial-controllers, or "
			      "--no-initial-controllers and removing controller.quorum.voters.\n", level);
	return true;
}

static bool check_level(const struct format *f, int i)
{
	struct str name = feature_defs[i].name;
	bool is_known = false;

	for (int j = 0; j < feature_levels_n; j++)
		is_known |= str_eq(feature_levels[j].feature, name) && feature_levels[j].level == f->levels[i];
	if (!is_known)
		return say(f, "No feature:%.*s with feature level %d\n", STR_ARGS(name), f->levels[i]);
	if (str_eq_c(name, KRAFT_VERSION))
		return check_kraft_version(f, f->levels[i]);
	if (str_eq_c(name, ELR) && f->levels[i] > 0 && f->metadata_version < ELR_NEEDS)
		return say(f, ELR " could not be set to %d because it depends on metadata.version level %d\n",
			   f->levels[i], ELR_NEEDS);
	return true;
}

static bool read_features(struct format *f)
{
	const struct storage_args *args = f->args;
	int mv = feature_index(STR(METADATA_VERSION));

	f->metadata_version = METADATA_VERSION_MAX;
	if (args->release && !storage_release_parse(str_of(args->release), false, &f->metadata_version)) {
		storage_release_unknown(args->err, args->release, false);
		return false;
	}
	for (int i = 0; i < args->features_n; i++) {
		if (!read_feature(f, args->features[i]))
			return false;
	}
	if (f->is_given[mv]) {
		if (args->release)
			return say(f, "Use --release-version instead of --feature metadata.version=X to avoid "
				      "ambiguity.\n");
		if (f->levels[mv] < METADATA_VERSION_MIN || f->levels[mv] > METADATA_VERSION_MAX)
			return say(f, "No MetadataVersion with feature level %d. Valid feature levels are from %d to "
				      "%d.\n", f->levels[mv], METADATA_VERSION_MIN, METADATA_VERSION_MAX + 1);
		f->metadata_version = f->levels[mv];
	}
	for (int i = 0; i < feature_defs_n; i++) {
		if (i == mv)
			f->levels[i] = f->metadata_version;
		else if (!f->is_given[i])
			f->levels[i] = feature_default(feature_defs[i].name, f->metadata_version);
		else if (!check_level(f, i))
			return false;
	}
	return true;
}

/* ---- records ---- */

static void add_feature_record(struct format *f, int i)
{
	struct feature_level_record record;

	msg_init(&feature_level_record_type, &record);
	record.name = feature_defs[i].name;
	record.feature_level = f->levels[i];
	vec_push(&f->records, metadata_record_encode(METADATA_FEATURE_LEVEL_RECORD, 0, &record, &f->arena));
	vec_push(&f->shown, arena_printf(&f->arena, "FeatureLevelRecord(name='%.*s', featureLevel=%d)",
					 STR_ARGS(record.name), record.feature_level));
}

static bool make_records(struct format *f)
{
	int mv = feature_index(STR(METADATA_VERSION));

	add_feature_record(f, mv);
	for (int i = 0; i < feature_defs_n; i++) {
		if (i != mv && f->levels[i] > 0 && !str_eq_c(feature_defs[i].name, KRAFT_VERSION))
			add_feature_record(f, i);
	}
	for (int i = 0; i < f->args->scram_n; i++) {
		struct err_text why;
		struct bytes record;
		struct str shown;

		if (storage_scram(f->args->scram[i], &f->arena, &record, &shown, &why) != ERR_NONE)
			return say(f, "%s\n", why.text);
		vec_push(&f->records, record);
		vec_push(&f->shown, shown);
	}
	if (f->args->scram_n > 0 && f->metadata_version < SCRAM_NEEDS)
		return say(f, "SCRAM is only supported in metadata.version %s or later.\n",
			   storage_release_name(SCRAM_NEEDS));
	return true;
}

static void say_bootstrap(const struct format *f)
{
	FILE *out = f->args->out;

	fputs("Bootstrap metadata: BootstrapMetadata(records=[", out);
	for (size_t i = 0; i < f->shown.n; i++)
		fprintf(out, "%sApiMessageAndVersion(%.*s at version 0)", i ? ", " : "", STR_ARGS(f->shown.v[i]));
	fprintf(out, "], metadataVersionLevel=%d, source=format command)\n", f->metadata_version);
}

/* ---- directories ---- */

enum dir_state { DIR_EMPTY, DIR_FORMATTED, DIR_BROKEN };

/* False when its contents forbid to go on. */
static bool look_at(struct format *f, struct str dir, enum dir_state *ret)
{
	struct meta_properties meta;
	struct bytes text;
	struct str path = arena_printf(&f->arena, "%.*s/meta.properties", STR_ARGS(dir)), why;
	struct str wanted = str_of(f->args->cluster_id);

	if (!config_file_read_reference(NULL, path, &f->arena, &text)) {
		*ret = errno == ENOENT ? DIR_EMPTY : DIR_BROKEN;
		return true;
	}
	why = storage_meta_read(text, &f->arena, &meta);
	*ret = why.p ? DIR_BROKEN : DIR_FORMATTED;
	if (why.p)
		return true;
	if (meta.cluster_id.p && !str_eq(meta.cluster_id, wanted))
		return say(f, "Invalid cluster.id in: %.*s. Expected %.*s, but read %.*s\n", STR_ARGS(path),
			   STR_ARGS(wanted), STR_ARGS(meta.cluster_id));
	if (meta.node_id >= 0 && meta.node_id != f->config->eff.node_id)
		return say(f, "Stored node id %d doesn't match previous node id %d in %.*s. If you moved your data, "
			      "make sure your configured node id matches. If you intend to create a new node, you "
			      "should remove all data in your data directories.\n",
			   meta.node_id, f->config->eff.node_id, STR_ARGS(path));
	return true;
}

static int64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

/* Room for the longest name below a directory. */
#define FILE_PATH_MAX (FS_PATH_MAX + 128)

static enum err write_file(struct fs *fs, const char *path, struct bytes content)
{
	enum err err = fs_write_atomic(fs, path, content);

	mem_free((void *)content.p);
	return err;
}

static enum err write_voters(struct format *f, struct fs *fs, const char *dir)
{
	char path[FILE_PATH_MAX], name[64];
	struct bytes content;
	int64_t now = wall_ms();
	enum err err;

	snprintf(path, sizeof(path), "%s/__cluster_metadata-0", dir);
	err = fs_mkdir_all(fs, path);
	if (!err)
		err = snapshot_file_encode_records(NULL, 0, now, now, 0, KRAFT_DYNAMIC, &f->voters, &content);
	if (err)
		return err;
	snapshot_file_name(0, 0, name);
	snprintf(path, sizeof(path), "%s/__cluster_metadata-0/%s", dir, name);
	return write_file(fs, path, content);
}

static enum err format_dir(struct format *f, struct fs *fs, struct str dir, bool is_metadata)
{
	struct meta_properties meta = {.version = 1, .cluster_id = str_of(f->args->cluster_id),
				       .node_id = f->config->eff.node_id};
	char folder[FS_PATH_MAX], path[FILE_PATH_MAX];
	struct bytes content;
	enum err err;

	if (snprintf(folder, sizeof(folder), "%.*s", STR_ARGS(dir)) >= (int)sizeof(folder))
		return ERR_TOO_LARGE;
	fprintf(f->args->out, "Formatting %s directory %s with metadata.version %s.\n",
		!is_metadata	 ? "data"
		: !f->has_voters ? "metadata"
		: f->is_voter	 ? "dynamic metadata voter"
				 : "dynamic metadata",
		folder, storage_release_name(f->metadata_version));
	meta.directory_id = is_metadata && f->is_voter ? f->own_directory : uuid_random(&f->rng);
	err = fs_mkdir_all(fs, folder);
	if (!err)
		err = snapshot_file_encode_records(f->records.v, f->records.n, wall_ms(), 0, 0, 0, NULL, &content);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/bootstrap.checkpoint", folder);
	err = write_file(fs, path, content);
	if (!err && is_metadata && f->has_voters)
		err = write_voters(f, fs, folder);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/meta.properties", folder);
	return fs_write_atomic(fs, path, meta_properties_encode(&meta, wall_ms(), &f->arena));
}

/* Data directories first, the metadata directory last. */
static bool format_dirs(struct format *f, const struct str *dirs, const enum dir_state *states, size_t n)
{
	struct io_posix_shared *shared = io_posix_shared_new(&(struct io_posix_options){.helpers_n = 1});
	struct fs *fs = io_posix_fs(shared);
	bool is_done = true;

	for (int metadata = 0; metadata < 2; metadata++) {
		for (size_t i = 0; is_done && i < n; i++) {
			bool is_metadata = str_eq(dirs[i], f->config->eff.metadata_log_dir);
			enum err err;

			if (states[i] != DIR_EMPTY || is_metadata != (metadata == 1))
				continue;
			err = format_dir(f, fs, dirs[i], is_metadata);
			if (err) {
				int number = fs->ops->last_errno(fs);

				is_done = say(f, "Error while writing meta.properties file %.*s: %s\n",
						STR_ARGS(dirs[i]),
					      number ? strerror(number) : err_text(err));
			}
		}
	}
	io_posix_shared_free(shared);
	return is_done;
}

static bool run(struct format *f)
{
	struct str dirs[STORAGE_LIST_MAX];
	enum dir_state states[STORAGE_LIST_MAX];
	size_t n = storage_dirs(f->config, dirs), counts[3] = {0};

	if (!read_voters(f) || !read_features(f) || !make_records(f))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!look_at(f, dirs[i], &states[i]))
			return false;
		counts[states[i]]++;
	}
	for (size_t i = 0; i < n; i++) {
		if (states[i] == DIR_FORMATTED && !f->args->is_ignoring_formatted)
			return say(f, "Log directory %.*s is already formatted. Use --ignore-formatted to ignore this "
				      "directory and format the others.\n", STR_ARGS(dirs[i]));
	}
	for (size_t i = 0; i < n; i++) {
		if (states[i] == DIR_BROKEN)
			fprintf(f->args->out, "I/O error trying to read log directory %.*s. Ignoring...\n",
				STR_ARGS(dirs[i]));
	}
	if (counts[DIR_EMPTY] == 0 && counts[DIR_FORMATTED] == 0)
		return say(f, "No available log directories to format.\n");
	if (counts[DIR_EMPTY] == 0) {
		fputs("All of the log directories are already formatted.\n", f->args->out);
		return true;
	}
	say_bootstrap(f);
	return format_dirs(f, dirs, states, n);
}

int storage_format(const struct storage_args *args, const struct broker_config *config)
{
	struct format f = {.args = args, .config = config};
	uint64_t seed;
	bool is_done;

	storage_random(&seed, sizeof(seed));
	rng_init(&f.rng, seed);
	is_done = run(&f);
	raft_voters_deinit(&f.voters);
	vec_deinit(&f.records);
	vec_deinit(&f.shown);
	arena_reset(&f.arena);
	return is_done ? 0 : 1;
}
