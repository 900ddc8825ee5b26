/* SPDX-License-Identifier: Apache-2.0 */
/* kafka-dump-log: which files, and what was found wrong over all of them. See dump_log.h. */
#include "dump_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "mem.h"

#define PATH_LEN 4096
#define DUMP_LOOK_BACK 1000 /* findings of one file that are looked through for the same number */

bool dump_fail(struct dump_run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->why, sizeof(run->why), format, args);
	va_end(args);
	return false;
}

void dump_finding_add(struct dump_findings *findings, const char *file, int64_t first, int64_t second)
{
	if (findings->list.n < DUMP_ERRORS_MAX)
		vec_push(&findings->list, ((struct dump_finding){file, first, second}));
}

void dump_finding_put(struct dump_findings *findings, const char *file, int64_t first, int64_t second)
{
	for (size_t i = findings->list.n; i > 0 && findings->list.v[i - 1].file == file; i--) {
		if (findings->list.v[i - 1].first == first) {
			findings->list.v[i - 1].second = second;
			return;
		}
		if (findings->list.n - i > DUMP_LOOK_BACK)
			break;
	}
	dump_finding_add(findings, file, first, second);
}

/* By file, in the order of reading, then by number. */
static int finding_cmp(const void *a, const void *b)
{
	const struct dump_finding *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int finding_cmp_down(const void *a, const void *b)
{
	return finding_cmp(b, a);
}

static void findings_sort(struct dump_findings *findings, int (*cmp)(const void *, const void *))
{
	size_t from = 0;

	for (size_t i = 1; i <= findings->list.n; i++) {
		if (i < findings->list.n && findings->list.v[i].file == findings->list.v[from].file)
			continue;
		qsort(findings->list.v + from, i - from, sizeof(findings->list.v[0]), cmp);
		from = i;
	}
}

void dump_run_init(struct dump_run *run, const struct dump_args *args)
{
	*run = (struct dump_run){.args = args, .out = args->out, .err = args->err};
}

void dump_run_deinit(struct dump_run *run)
{
	struct dump_findings *all[] = {&run->offset_gaps, &run->index_mismatches, &run->time_mismatches,
				       &run->time_order, &run->time_lost};

	for (size_t i = 0; i < ARRAY_N(all); i++)
		vec_deinit(&all[i]->list);
	compress_ctx_deinit(&run->compress);
	scratch_deinit(&run->batch);
	scratch_deinit(&run->plain);
	scratch_deinit(&run->text);
	scratch_deinit(&run->indexed);
	arena_reset(&run->arena);
	arena_reset(&run->paths);
}

static void findings_print(FILE *err, const struct dump_findings *findings, const char *title,
			   const char *first, const char *second)
{
	const char *file = "";

	for (size_t i = 0; i < findings->list.n; i++) {
		const struct dump_finding *finding = &findings->list.v[i];

		if (strcmp(file, finding->file) != 0)
			fprintf(err, "%s%s\n", title, finding->file);
		file = finding->file;
		fprintf(err, "%s%lld%s%lld\n", first, (long long)finding->first, second,
			(long long)finding->second);
	}
}

void dump_findings_print(struct dump_run *run)
{
	findings_sort(&run->index_mismatches, finding_cmp_down);
	findings_sort(&run->offset_gaps, finding_cmp);
	findings_print(run->err, &run->index_mismatches,
		       "Mismatches in :", "  Index offset: ", ", log offset: ");
	findings_print(run->err, &run->time_mismatches,
		       "Found timestamp mismatch in :", "  Index timestamp: ", ", log timestamp: ");
	findings_print(run->err, &run->time_order, "Found out of order timestamp in :", "  Index timestamp: ",
		       ", Previously indexed timestamp: ");
	findings_print(run->err, &run->time_lost, "The following indexed offsets are not found in :",
		       "Indexed offset: ", ", found log offset: ");
	findings_print(run->err, &run->offset_gaps, "Non-consecutive offsets in ", "  ", " is followed by ");
}

bool dump_read(struct dump_run *run, const struct dump_file *file, int64_t pos, size_t len,
	       struct scratch *into)
{
	into->len = 0;
	if (pos < 0 || pos > file->size)
		return dump_fail(run, "%s has %lld bytes, and no position %lld", file->name,
				 (long long)file->size, (long long)pos);
	len = MIN(len, (size_t)(file->size - pos));
	if (scratch_reserve(into, len + 1) != ERR_NONE)
		return dump_fail(run, "%s: %zu bytes at once are too many", file->name, len);
	if (file->fd < 0) {
		memcpy(into->p, file->memory.p + pos, len);
		into->len = len;
		return true;
	}
	while (into->len < len) {
		ssize_t n = pread(file->fd, into->p + into->len, len - into->len,
				  (off_t)(pos + (int64_t)into->len));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dump_fail(run, "%s: %s", file->path, strerror(errno));
		if (n == 0)
			break;
		into->len += (size_t)n;
	}
	return true;
}

static const char *whole_path(struct dump_run *run, const char *path)
{
	char here[PATH_LEN];

	if (path[0] == '/' || !getcwd(here, sizeof(here)))
		return path;
	return arena_printf(&run->paths, "%s/%s", strcmp(here, "/") == 0 ? "" : here, path).p;
}

/* Opens a regular file; its texts are those of `path`. */
static bool file_open(struct dump_run *run, const char *path, struct dump_file *ret)
{
	const char *slash = strrchr(path, '/');
	struct dump_file file = {.path = path,
				 .whole_path = whole_path(run, path),
				 .name = slash ? slash + 1 : path,
				 .base = -1};
	struct stat stat_buf;
	char *end;

	errno = 0;
	file.base = strtoll(file.name, &end, 10);
	if (end == file.name || *end != '.' || errno || file.base < 0 || file.name[0] == ' ')
		file.base = -1;
	file.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file.fd < 0)
		return dump_fail(run, "%s: %s", path, strerror(errno));
	if (fstat(file.fd, &stat_buf) != 0 || !S_ISREG(stat_buf.st_mode)) {
		close(file.fd);
		return dump_fail(run, "%s is not a regular file", path);
	}
	file.size = stat_buf.st_size;
	*ret = file;
	return true;
}

bool dump_one(struct dump_run *run, const struct dump_file *file, const struct dump_file *log,
	      const struct dump_file *index)
{
	const char *suffix = strrchr(file->name, '.');

	if (!suffix) {
		fprintf(run->err, "Ignoring unknown file %s\n", file->path);
		return true;
	}
	if (strcmp(suffix, ".log") == 0 || strcmp(suffix, ".checkpoint") == 0)
		return dump_batches(run, file);
	if (strcmp(suffix, ".index") == 0)
		return dump_offset_index(run, file, log);
	if (strcmp(suffix, ".timeindex") == 0)
		return dump_time_index(run, file, log, index);
	if (strcmp(suffix, ".snapshot") == 0)
		return dump_snapshot(run, file);
	if (strcmp(suffix, ".txnindex") == 0)
		return dump_txn_index(run, file);
	fprintf(run->err, "Ignoring unknown file %s\n", file->path);
	return true;
}

/* The segment's file with another suffix. */
static void sibling_path(const char *path, const char *suffix, char *ret)
{
	const char *slash = strrchr(path, '/'), *dot = strchr(slash ? slash : path, '.');

	snprintf(ret, PATH_LEN, "%.*s%s", (int)(dot ? dot - path : (ptrdiff_t)strlen(path)), path, suffix);
}

static bool dump_path(struct dump_run *run, const char *path)
{
	static const char *const known[] = {".log",	  ".checkpoint", ".index",
					    ".timeindex", ".snapshot",	 ".txnindex"};
	struct dump_file file, log = {.fd = -1}, index = {.fd = -1};
	const char *slash = strrchr(path, '/'), *suffix = strrchr(slash ? slash : path, '.');
	char log_path[PATH_LEN], index_path[PATH_LEN];
	bool is_known = false, is_index, ok;

	for (size_t i = 0; suffix && i < ARRAY_N(known); i++)
		is_known |= strcmp(suffix, known[i]) == 0;
	if (!is_known) {
		fprintf(run->err, "Ignoring unknown file %s\n", path);
		return true;
	}
	if ((strcmp(suffix, ".log") == 0 || strcmp(suffix, ".checkpoint") == 0) &&
	    !dump_title(run, slash ? slash + 1 : path))
		return false;
	if (!file_open(run, path, &file))
		return false;
	is_index = strcmp(suffix, ".index") == 0 || strcmp(suffix, ".timeindex") == 0;
	sibling_path(path, ".log", log_path);
	sibling_path(path, ".index", index_path);
	ok = !is_index || file_open(run, log_path, &log);
	if (ok && strcmp(suffix, ".timeindex") == 0 && access(index_path, F_OK) == 0)
		ok = file_open(run, index_path, &index);
	if (ok)
		ok = dump_one(run, &file, &log, &index);
	close(file.fd);
	if (log.fd >= 0)
		close(log.fd);
	if (index.fd >= 0)
		close(index.fd);
	return ok;
}

/* As java.io.File keeps a path: no slash twice, none at the end. */
static void path_normalize(char *path)
{
	char *to = path;

	for (const char *p = path; *p; p++) {
		if (*p != '/' || to == path || to[-1] != '/')
			*to++ = *p;
	}
	if (to > path + 1 && to[-1] == '/')
		to--;
	*to = '\0';
}

/* Paths live as long as what was found in them. */
static int dump_paths(struct dump_run *run, const char *list)
{
	for (const char *p = list; *p;) {
		size_t len = strcspn(p, ",");
		struct str part = {p, len};
		char *path;

		p += len + (p[len] == ',');
		if (len >= PATH_LEN - 16) {
			fprintf(run->err, "A path of %zu bytes is too long\n", len);
			return 1;
		}
		path = (char *)(uintptr_t)arena_printf(&run->paths, "%.*s", STR_ARGS(part)).p;
		path_normalize(path);
		fprintf(run->out, "Dumping %s\n", path);
		if (!dump_path(run, path)) {
			fflush(run->out);
			fprintf(run->err, "%s\n", run->why);
			return 1;
		}
	}
	dump_findings_print(run);
	return 0;
}

int dump_log_tool(int argc, char **argv, FILE *out, FILE *err)
{
	struct dump_args args;
	struct dump_run run;
	int code;

	if (!dump_args_read(argc, argv, out, err, &args, &code))
		return code;
	dump_run_init(&run, &args);
	code = dump_paths(&run, args.files);
	dump_run_deinit(&run);
	return code;
}

enum cli_exit cmd_dump_log(const struct cli_run *run)
{
	return dump_log_tool(run->args_n, run->args, run->out, run->err) ? CLI_FAILED : CLI_OK;
}
