/* SPDX-License-Identifier: Apache-2.0 */
/* A large group's job from within: what its slices (consumer_job.c) and its work (consumer_work.c) share. */
#ifndef COORDINATOR_CONSUMER_WORK_H
#define COORDINATOR_CONSUMER_WORK_H

#include "assign.h"
#include "consumer_job.h"

enum job_phase { JOB_START, JOB_MATCH, JOB_WRITE, JOB_GATHER, JOB_WORK, JOB_APPLY, JOB_OVER };

struct job_regex {
	struct str source;
	struct pattern *pattern; /* NULL: it does not compile, or takes too many steps */
	VEC(struct str) names;
};

struct job_topic {
	struct str name;
	struct uuid id;
	int32_t partitions_n;
	int32_t place; /* among the sorted ones */
};

struct job_member {
	struct str id;
	uint64_t meta_seq; /* of what it asked for */
	bool is_gone, has_target, is_changed;
	struct part_set target; /* so far; then the new one */
};

struct consumer_job {
	struct group_work work;
	struct group_consumer *consumer; /* NULL: abandoned while it works */
	struct coord_timer timer;
	enum job_phase phase;
	struct arena arena;
	int64_t units;       /* that are left in this slice */
	uint64_t failures_n; /* of the shard, when it began */
	int64_t image_offset;
	/* expressions */
	VEC(struct job_regex) regexes;
	VEC(struct str) chunk; /* topics to be matched */
	struct str cursor; /* the last of them */
	bool has_regexes, is_regex_changed;
	/* the copy */
	int32_t epoch, target_epoch;
	int64_t known_hash;
	struct job_member *members;
	struct assign_member *specs;
	int32_t members_n, at;
	VEC(struct job_topic) topics;
	bool is_full; /* something found no room: nothing is made of half a copy */
	struct map places; /* topic id -> index in `topics`, plus 1 */
	assign_fn *assign;
	/* what the work finds */
	enum err err;
	int64_t hash;
	bool has_targets;
};

/* Anywhere: adds those of the chunk to the expressions that they match. */
void consumer_match_run(struct group_work *work);
/* Anywhere: fills in what the work finds. */
void consumer_work_run(struct group_work *work);

#endif
