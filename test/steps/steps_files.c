/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a node that stopped clean, after everything had time to settle: each is of a known kind and says what
 * the log says. See steps.h. */
#include <stdio.h>
#include <stdlib.h>

#include "check_dirs.h"
#include "check_files.h"
#include "checkpoint.h"
#include "log_dir.h"
#include "steps.h"

#define STEPS_CLEAN_MARK ".kafka_cleanshutdown"

static bool has_ending(const char *path, const char *ending)
{
	size_t len = strlen(path), n = strlen(ending);

	return len >= n && strcmp(path + len - n, ending) == 0;
}

/* ---- looking ---- */

struct search {
	const char *text;
	bool found;
};

static void search_one(void *ctx, const char *path, bool is_dir, struct bytes content)
{
	struct search *search = ctx;

	search->found |= strstr(path, search->text) != NULL;
}

bool steps_has_path(struct steps *s, const char *text)
{
	struct search search = {text, false};

	disk_walk(disk_of_node(s->w, 1), search_one, &search);
	return search.found;
}

struct sum {
	char name[64]; /* "/t-0" */
	int64_t bytes;
	int dirs_n;
};

static void sum_one(void *ctx, const char *path, bool is_dir, struct bytes content)
{
	struct sum *sum = ctx;
	const char *at = strchr(path + 1, '/'); /* behind the log directory */
	size_t len = strlen(sum->name);

	if (!at || strncmp(at, sum->name, len) != 0)
		return;
	if (is_dir && !at[len])
		sum->dirs_n++;
	else if (at[len] == '/' && has_ending(path, ".log"))
		sum->bytes += (int64_t)content.len;
}

int64_t steps_log_bytes(struct steps *s, const struct steps_part *part, int *ret_dirs_n)
{
	struct sum sum = {.bytes = 0};

	snprintf(sum.name, sizeof(sum.name), "/%s-%d", part->topic, part->index);
	disk_walk(disk_of_node(s->w, 1), sum_one, &sum);
	*ret_dirs_n = sum.dirs_n;
	return sum.bytes;
}

/* ---- names ---- */

static const struct steps_part *part_of_name(const struct steps *s, const char *name, size_t len)
{
	for (int i = 0; i < s->parts_n; i++) {
		char at[64];

		snprintf(at, sizeof(at), "%s-%d", s->parts[i].topic, s->parts[i].index);
		if (s->parts[i].is == STEPS_TOPIC_THERE && strlen(at) == len && strncmp(at, name, len) == 0)
			return &s->parts[i];
	}
	return NULL;
}

/* What lay there under the name of a topic that was deleted is kept for people to look at, as the original does. */
static bool is_stray_of_deleted(const struct steps *s, const char *name)
{
	const char *dot = strrchr(name, '.');

	for (int i = 0; dot && has_ending(name, "-stray") && i < s->parts_n; i++) {
		char at[64];

		snprintf(at, sizeof(at), "%s-%d", s->parts[i].topic, s->parts[i].index);
		if (s->parts[i].is == STEPS_TOPIC_GONE && strlen(at) == (size_t)(dot - name) &&
		    strncmp(at, name, (size_t)(dot - name)) == 0)
			return true;
	}
	return false;
}

static bool is_known_dir(const struct steps *s, const char *name, size_t len)
{
	static const char *const internal[] = {"__cluster_metadata-0", "__consumer_offsets-0", "__transaction_state-0"};

	for (size_t i = 0; i < ARRAY_N(internal); i++) {
		if (strlen(internal[i]) == len && strncmp(internal[i], name, len) == 0)
			return true;
	}
	return part_of_name(s, name, len) != NULL;
}

static bool is_known_file(const struct steps *s, const char *name)
{
	static const char *const names[] = {
		"meta.properties", ".lock", STEPS_CLEAN_MARK, RECOVERY_POINT_FILE, LOG_START_FILE,
		HIGH_WATERMARK_FILE, CLEANER_FILE, "bootstrap.checkpoint",
	};

	for (size_t i = 0; i < ARRAY_N(names); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	/* The start after next takes it away. */
	return !s->is_strict && strcmp(name, ".moldau_lost_sync") == 0;
}

/* "00000000000000000123.log": its number; -1: no such name. */
static int64_t number_of(const char *name)
{
	char *end;
	int64_t number = strtoll(name, &end, 10);

	return end == name + 20 && (*end == '.' || *end == '-') ? number : -1;
}

struct stopped {
	struct steps *s;
	struct sim_disk *d;
};

static bool exists_beside(struct stopped *c, const char *path, const char *ending)
{
	char beside[FS_PATH_MAX];
	bool exists;

	snprintf(beside, sizeof(beside), "%.*s%s", (int)(strrchr(path, '/') + 21 - path), path, ending);
	disk_peek(c->d, beside, &exists);
	return exists;
}

static void look_log_file(struct stopped *c, const char *path, const char *name, const struct steps_part *part)
{
	int64_t number = number_of(name);
	bool is_metadata = strstr(path, "/__cluster_metadata-0/") != NULL;

	if (has_ending(name, ".log")) {
		if (number < 0)
			world_fail(c->s->w, "%s: no name of a segment", path);
	} else if (has_ending(name, ".index") || has_ending(name, ".timeindex") || has_ending(name, ".txnindex")) {
		if (number < 0 || !exists_beside(c, path, ".log"))
			world_fail(c->s->w, "%s is there without its log", path);
	} else if (has_ending(name, ".snapshot")) {
		if (number < 0 || (part && number > part->end))
			world_fail(c->s->w, "%s: the log ends at %lld", path, part ? (long long)part->end : -1LL);
	} else if (has_ending(name, ".checkpoint") && is_metadata) {
		if (number < 0)
			world_fail(c->s->w, "%s: no name of a snapshot", path);
	} else if (strcmp(name, "leader-epoch-checkpoint") != 0 && strcmp(name, "partition.metadata") != 0 &&
		   !(is_metadata && strcmp(name, "quorum-state") == 0)) {
		world_fail(c->s->w, "%s is left", path);
	}
}

/* "0\n<n>\n<epoch> <start>\n...", both rising, within the log. */
static void look_epochs(struct stopped *c, const char *path, struct bytes content, const struct steps_part *part)
{
	char text[4096];
	int64_t epoch_before = -1, start_before = -1;
	long version = -1, n = -1, lines = 0;
	int at = 0, used = 0;

	snprintf(text, sizeof(text), "%.*s", (int)content.len, content.len ? (const char *)content.p : "");
	if (sscanf(text, "%ld\n%ld\n%n", &version, &n, &at) != 2 || version != 0) {
		world_fail(c->s->w, "%s is damaged", path);
		return;
	}
	for (long long epoch, start; sscanf(text + at, "%lld %lld\n%n", &epoch, &start, &used) == 2; at += used) {
		if (epoch <= epoch_before || start < start_before || (part && start > part->end))
			world_fail(c->s->w, "%s: epoch %lld from %lld", path, epoch, start);
		epoch_before = epoch;
		start_before = start;
		lines++;
	}
	if (lines != n || text[at])
		world_fail(c->s->w, "%s says %ld epochs and has %ld", path, n, lines);
}

static void look(void *ctx, const char *path, bool is_dir, struct bytes content)
{
	struct stopped *c = ctx;
	const char *dir = strchr(path + 1, '/'), *file;
	const struct steps_part *part;

	if (!dir || c->s->w->has_failed)
		return; /* a log directory */
	dir++;
	file = strchr(dir, '/');
	if (!file) {
		if (is_dir ? !is_known_dir(c->s, dir, strlen(dir)) && !is_stray_of_deleted(c->s, dir)
			   : !is_known_file(c->s, dir))
			world_fail(c->s->w, "%s is left", path);
		return;
	}
	if (strstr(dir, "-stray/"))
		return; /* it lies as the death left it */
	part = part_of_name(c->s, dir, (size_t)(file - dir));
	file++;
	if (is_dir) {
		world_fail(c->s->w, "%s is a directory within a log", path);
		return;
	}
	look_log_file(c, path, file, part);
	if (strcmp(file, "leader-epoch-checkpoint") == 0)
		look_epochs(c, path, content, part);
}

/* ---- checkpoints ---- */

static bool is_dir_there(struct stopped *c, const char *dir, const struct offset_entry *entry)
{
	char path[FS_PATH_MAX];
	bool exists;

	snprintf(path, sizeof(path), "%s/%.*s-%d", dir, STR_ARGS(entry->topic), entry->partition);
	disk_peek(c->d, path, &exists);
	return exists;
}

/* expected: -1: any up to the end. */
static void look_entry(struct stopped *c, const char *path, const char *file, const struct offset_entry *entry,
		       const struct steps_part *part)
{
	bool is_right = entry->offset >= 0 && entry->offset <= part->end;

	if (strcmp(file, RECOVERY_POINT_FILE) == 0 || strcmp(file, HIGH_WATERMARK_FILE) == 0)
		is_right = entry->offset == part->end;
	else if (strcmp(file, LOG_START_FILE) == 0)
		is_right = entry->offset == part->start;
	else if (strcmp(file, CLEANER_FILE) == 0)
		is_right = is_right && part->is_compacted;
	if (!is_right)
		world_fail(c->s->w, "%s: %s-%d at %lld, the log has %lld to %lld", path, part->topic, part->index,
			   (long long)entry->offset, (long long)part->start, (long long)part->end);
}

/* How many of the parts it names. */
static int look_checkpoint(struct stopped *c, const char *dir, const char *file)
{
	struct offset_checkpoint points = {0};
	struct arena arena = {0};
	char path[FS_PATH_MAX];
	struct bytes text;
	bool exists;
	int parts_n = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	text = disk_peek(c->d, path, &exists);
	if (exists && offset_checkpoint_parse(text, &arena, &points))
		world_fail(c->s->w, "%s is damaged", path);
	for (size_t e = 0; e < points.entries.n && !c->s->w->has_failed; e++) {
		const struct offset_entry *entry = &points.entries.v[e];
		char name[FS_PATH_MAX];
		const struct steps_part *part;

		snprintf(name, sizeof(name), "%.*s-%d", STR_ARGS(entry->topic), entry->partition);
		part = part_of_name(c->s, name, strlen(name));
		if (!is_dir_there(c, dir, entry))
			world_fail(c->s->w, "%s names %s, which is not there", path, name);
		if (!part)
			continue;
		parts_n++;
		look_entry(c, path, file, entry, part);
	}
	vec_deinit(&points.entries);
	arena_reset(&arena);
	return parts_n;
}

static bool is_there(struct stopped *c, const char *path)
{
	bool exists;

	disk_peek(c->d, path, &exists);
	return exists;
}

static void look_dir(struct stopped *c, const char *dir, int *points_n, int *starts_n, int *marks_n)
{
	char path[FS_PATH_MAX];

	if (!is_there(c, dir))
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, STEPS_CLEAN_MARK);
	if (!is_there(c, path))
		world_fail(c->s->w, "%s is missing after a clean stop", path);
	*points_n += look_checkpoint(c, dir, RECOVERY_POINT_FILE);
	*starts_n += look_checkpoint(c, dir, LOG_START_FILE);
	*marks_n += look_checkpoint(c, dir, HIGH_WATERMARK_FILE);
	look_checkpoint(c, dir, CLEANER_FILE);
}

void steps_check_stopped(struct steps *s)
{
	struct stopped c = {s, disk_of_node(s->w, 1)};
	struct history history = {.w = s->w};
	int points_n = 0, starts_n = 0, marks_n = 0, parts_n = 0, moved_n = 0;

	for (int i = 0; i < s->parts_n; i++) {
		parts_n += s->parts[i].is == STEPS_TOPIC_THERE;
		moved_n += s->parts[i].is == STEPS_TOPIC_THERE && s->parts[i].start > 0;
	}
	disk_walk(c.d, look, &c);
	check_dirs(c.d, s->w);
	check_files(c.d, &history);
	look_dir(&c, "/data", &points_n, &starts_n, &marks_n);
	look_dir(&c, "/data2", &points_n, &starts_n, &marks_n);
	look_dir(&c, "/data3", &points_n, &starts_n, &marks_n);
	if (points_n != parts_n || marks_n != parts_n || starts_n < moved_n)
		world_fail(s->w, "of %d partitions, %d with another start than 0, the files name %d recovery points, "
			   "%d starts, %d high watermarks", parts_n, moved_n, points_n, starts_n, marks_n);
}

/* ---- after a death ---- */

/* Then the entry of its name may be that of the one before. */
static bool was_made_again(const struct steps *s, const struct steps_part *part)
{
	for (int i = 0; i < s->parts_n; i++) {
		if (&s->parts[i] != part && strcmp(s->parts[i].topic, part->topic) == 0 &&
		    s->parts[i].index == part->index)
			return true;
	}
	return false;
}

void steps_note_floors(struct steps *s)
{
	static const char *const dirs[] = {"/data", "/data2", "/data3"};

	for (size_t d = 0; d < ARRAY_N(dirs); d++) {
		struct offset_checkpoint points = {0};
		struct arena arena = {0};
		char path[FS_PATH_MAX];
		struct bytes text;
		bool exists;

		snprintf(path, sizeof(path), "%s/%s", dirs[d], RECOVERY_POINT_FILE);
		text = disk_peek(disk_of_node(s->w, 1), path, &exists);
		if (!exists)
			continue;
		if (offset_checkpoint_parse(text, &arena, &points))
			world_fail(s->w, "%s is damaged: %.*s", path, (int)MIN(text.len, (size_t)60), text.p);
		for (size_t e = 0; e < points.entries.n; e++) {
			const struct offset_entry *entry = &points.entries.v[e];

			for (int i = 0; i < s->parts_n; i++) {
				struct steps_part *part = &s->parts[i];

				if (part->is == STEPS_TOPIC_THERE && str_eq_c(entry->topic, part->topic) &&
				    entry->partition == part->index && !was_made_again(s, part))
					part->floor = MAX(part->floor, entry->offset);
			}
		}
		vec_deinit(&points.entries);
		arena_reset(&arena);
	}
}
