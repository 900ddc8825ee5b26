/* SPDX-License-Identifier: Apache-2.0 */
/* moldau debug check DIR: reads all files of a log directory and tells what is damaged. */
#include <inttypes.h>
#include <time.h>

#include "commands.h"
#include "dir_check.h"
#include "fs_posix.h"
#include "progress.h"
#include "raft.h"
#include "snapshot_file.h"

struct check_cmd {
	const struct cli_run *run;
	struct progress progress;
};

static int64_t check_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void check_found(struct dir_check *check, const char *path, int64_t pos, const char *what)
{
	struct check_cmd *cmd = check->ctx;

	fprintf(cmd->run->out, "%s: position %" PRId64 ": %s\n", path, pos, what);
}

static void check_read(struct dir_check *check, int64_t bytes)
{
	struct check_cmd *cmd = check->ctx;
	int64_t now_ns = check_now_ns();

	cmd->progress.done = check->bytes;
	cmd->progress.total = check->bytes_total;
	if (progress_is_due(&cmd->progress, now_ns))
		fprintf(cmd->run->err, "%.1f of %.1f GB, %.0f MB/s, %.0f s left\n", (double)check->bytes / 1e9,
			(double)check->bytes_total / 1e9, progress_rate(&cmd->progress, now_ns) / 1e6,
			progress_eta_s(&cmd->progress, now_ns));
}

static enum err check_record(void *ctx, struct bytes record)
{
	return ERR_NONE;
}

/* The files of the metadata. */
static const char *check_judge(struct dir_check *check, const char *name, struct bytes content)
{
	struct snapshot_info info = {0};
	struct quorum_state state = {0};
	struct arena arena = {0};
	struct err_text text;
	enum err err;

	if (strcmp(name, "quorum-state") == 0) {
		err = quorum_state_parse(content, &state, &arena);
		quorum_state_deinit(&state);
		arena_reset(&arena);
		return err ? "the content is damaged" : NULL;
	}
	err = snapshot_file_decode(content, check_record, NULL, &info, &text);
	raft_voters_deinit(&info.voters);
	return err ? "the snapshot is not whole" : NULL;
}

enum cli_exit cmd_check(const struct cli_run *run)
{
	struct check_cmd cmd = {.run = run};
	struct dir_check check = {.found = check_found, .read = check_read, .judge = check_judge, .ctx = &cmd};
	struct fs fs;
	enum err err;

	fs_posix_init(&fs);
	progress_begin(&cmd.progress, 0, check_now_ns());
	err = dir_check_run(&check, &fs, run->args[0]);
	if (err) {
		fprintf(run->err, "%s cannot be read: %s\n", run->args[0], err_text(err));
		return err == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED;
	}
	fprintf(run->err, "%" PRId64 " files, %" PRId64 " batches, %" PRId64 " bytes: %" PRId64 " damaged places\n",
		check.files_n, check.batches_n, check.bytes, check.found_n);
	return check.found_n ? CLI_CHECK_FAILED : CLI_OK;
}
