/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The original's tool kafka-dump-log: `moldau debug dump-log ...`, or the program called kafka-dump-log or
 * kafka-dump-log.sh. Prints what is in files of a log directory: batches and records, indexes, snapshots.
 * Text is the original's on files that are whole (test/dump_log); where they are not, it says the same
 * without Java's names and stack traces. Files are only read.
 *
 * What is read is never trusted: sizes are checked against the file, and a record that cannot be read is
 * told, as a line in its place or as the end of its file.
 */
#ifndef CLI_DUMP_LOG_H
#define CLI_DUMP_LOG_H

#include <stdio.h>

#include "arena.h"
#include "fmt.h"
#include "json.h"
#include "legacy.h"
#include "record.h"
#include "registry.h"
#include "vec.h"

#define DUMP_FILES_MAX 4096
#define DUMP_ERRORS_MAX 100000

/* What a record's key and value are printed as. */
enum dump_decoder {
	DUMP_STRING,
	DUMP_BYTES,
	DUMP_INTEGER,
	DUMP_LONG,
};

enum dump_content {
	DUMP_PLAIN, /* by the decoders */
	DUMP_OFFSETS,
	DUMP_TXN,
	DUMP_METADATA,
	DUMP_REMOTE,
	DUMP_SHARE,
};

struct dump_args {
	const char *files; /* by commas */
	enum dump_content content;
	enum dump_decoder key_decoder, value_decoder;
	bool is_printing, is_deep, is_skipping_metadata; /* records: their content; at all; only content */
	bool is_sanity_check, is_verifying;		 /* indexes */
	int32_t bytes_max, message_max;
	FILE *out, *err;
};

/* Two numbers that do not agree, and in which file. */
struct dump_finding {
	const char *file; /* absolute */
	int64_t first, second;
};

struct dump_findings {
	VEC(struct dump_finding) list;
};

/* Bytes of a file: a descriptor, or memory. Reads are within `size`, which was taken when it was opened. */
struct dump_file {
	const char *path;	/* as given */
	const char *whole_path; /* absolute */
	const char *name;	/* its last part */
	int64_t base;		/* what the name begins with; -1: no number */
	int64_t size;
	int fd; /* -1: in memory */
	struct bytes memory;
};

struct dump_run {
	const struct dump_args *args;
	FILE *out, *err;
	struct compress_ctx compress;
	struct scratch batch, plain, text,
		indexed;    /* bytes of one batch; unpacked; what is printed; of an index */
	struct arena arena; /* of one record */
	struct arena paths;
	struct dump_findings offset_gaps, index_mismatches, time_mismatches, time_order, time_lost;
	char why[512]; /* of an error */
};

/* argv without the program's name; false: *ret_code is the exit code, and all is said. */
bool dump_args_read(int argc, char **argv, FILE *out, FILE *err, struct dump_args *ret, int *ret_code);
/* The tool; returns the exit code, 0 or 1. */
int dump_log_tool(int argc, char **argv, FILE *out, FILE *err);

void dump_run_init(struct dump_run *run, const struct dump_args *args);
void dump_run_deinit(struct dump_run *run);
/* One file by its kind. False: it could not be read to its end, run->why says why. */
bool dump_one(struct dump_run *run, const struct dump_file *file, const struct dump_file *log,
	      const struct dump_file *index);
/* What was found along the way, to run->err. */
void dump_findings_print(struct dump_run *run);
/* The line that a .log or .checkpoint begins with, by its name alone. */
bool dump_title(struct dump_run *run, const char *name);

/* The parts, by kind of file. `log`: the segment beside an index. */
bool dump_batches(struct dump_run *run, const struct dump_file *file);
bool dump_offset_index(struct dump_run *run, const struct dump_file *file, const struct dump_file *log);
bool dump_time_index(struct dump_run *run, const struct dump_file *file, const struct dump_file *log,
		     const struct dump_file *index);
bool dump_txn_index(struct dump_run *run, const struct dump_file *file);
bool dump_snapshot(struct dump_run *run, const struct dump_file *file);

/* Up to len bytes from pos on into `into`, which is emptied first; false with run->why. */
bool dump_read(struct dump_run *run, const struct dump_file *file, int64_t pos, size_t len,
	       struct scratch *into);
/* The batch at `pos` of a file that ends at `end`, whole, in run->batch. *ret_end: there is none, or only
 * part of one. False: nothing that can be a batch. */
bool dump_batch_at(struct dump_run *run, const struct dump_file *file, int64_t pos, int64_t end,
		   struct batch_info *ret, bool *ret_end);
/* As above without the bytes behind its header. */
bool dump_header_at(struct dump_run *run, const struct dump_file *file, int64_t pos, int64_t end,
		    struct batch_info *ret, bool *ret_end);

/* Any record of any format. */
struct dump_record {
	struct record record;
	bool is_legacy, crc_is_right;
	uint32_t crc;
};

typedef bool dump_record_fn(struct dump_run *run, void *ctx, const struct dump_record *record);
/* Calls `fn` for each record until it returns false. False: run->why. */
bool dump_each_record(struct dump_run *run, const struct batch_info *batch, dump_record_fn *fn, void *ctx);

/* Key and value of a record that is no control record. False: run->why, and the file cannot go on. */
bool dump_content(struct dump_run *run, const struct record *record, const char *prefix);
/* What a control record says. */
bool dump_control(struct dump_run *run, const struct record *record);
bool dump_fail(struct dump_run *run, const char *format, ...) PRINTF_LIKE(2, 3);
/* Once per `first`: the last one counts. */
void dump_finding_put(struct dump_findings *findings, const char *file, int64_t first, int64_t second);
void dump_finding_add(struct dump_findings *findings, const char *file, int64_t first, int64_t second);

#endif
