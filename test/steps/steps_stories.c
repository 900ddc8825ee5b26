/* SPDX-License-Identifier: Apache-2.0 */
/* The table of stories: what is prepared, what is then done with a disturbance at each file operation. See steps.h. */
#include <stdio.h>

#include "steps.h"

#define SMALL "internal.segment.bytes=1200"
#define COMPACTED "cleanup.policy=compact,min.cleanable.dirty.ratio=0.01," SMALL
#define TWO_DIRS "log.dirs=/data,/data2\nmetadata.log.dir=/data\n"
#define THREE_DIRS "log.dirs=/data,/data2,/data3\nmetadata.log.dir=/data\n"
#define SETTLE_MS 2600 /* checkpoints, retention, compaction, and the removal of what they deleted have come by */

static void settle(struct steps *s)
{
	world_run_ms(s->w, SETTLE_MS);
}

static void start(struct steps *s)
{
	if (!node_up(s->w, 1))
		world_fail(s->w, "the node does not start");
}

static void stop(struct steps *s)
{
	steps_disconnect(s);
	if (!node_down(s->w, 1))
		world_fail(s->w, "the node does not stop");
}

static void kill_now(struct steps *s)
{
	steps_disconnect(s);
	kill_process(s->w, 1);
}

/* A few batches. Errors end it. */
static void fill(struct steps *s, struct steps_part *part, int batches_n)
{
	for (int i = 0; i < batches_n; i++) {
		if (steps_produce(s, part, 1 + (uint32_t)i % 3, 40))
			return;
	}
}

static struct steps_part *part(struct steps *s, int i)
{
	CHECK_OP(i, <, s->parts_n);
	return &s->parts[i];
}

/* The process dies as soon as there are n paths with this text in them. */
static void kill_on(struct steps *s, const char *text, int n)
{
	disk_crash_on(disk_of_node(s->w, 1), text, n, SIM_DEATH_PROCESS);
}

static void run_until_killed(struct steps *s)
{
	int id = 1;

	if (!run_until(s->w, scenario_is_off, &id, 10000))
		world_fail(s->w, "it does not come to where it was to die");
	steps_disconnect(s);
}

/* ---- start ---- */

static void off_empty(struct steps *s)
{
}

static void op_start(struct steps *s)
{
	if (node_up(s->w, 1))
		settle(s);
}

static void with_records(struct steps *s)
{
	start(s);
	steps_create(s, "plain", 2, NULL);
	steps_create(s, "small", 1, SMALL);
	fill(s, part(s, 0), 3);
	fill(s, part(s, 1), 1);
	fill(s, part(s, 2), 12);
}

static void off_clean(struct steps *s)
{
	with_records(s);
	settle(s);
	stop(s);
}

/* What is written after a clean stop and a start is not what the mark was about. */
static void op_start_and_write(struct steps *s)
{
	if (node_up(s->w, 1)) {
		fill(s, part(s, 0), 4);
		fill(s, part(s, 2), 9);
	}
}

static void off_killed(struct steps *s)
{
	with_records(s);
	settle(s);
	fill(s, part(s, 0), 4);
	fill(s, part(s, 2), 4);
	kill_now(s);
}

/* The last writes are torn: the start has to cut. */
static void off_cut(struct steps *s)
{
	with_records(s);
	settle(s);
	fill(s, part(s, 0), 4);
	fill(s, part(s, 2), 4);
	disk_set_cut(disk_of_node(s->w, 1), DISK_CUT_TORN);
	steps_disconnect(s);
	power_cut(s->w, 1);
	s->is_lossy = !s->w->opt.synced;
	steps_note_floors(s);
}

static void off_no_mark(struct steps *s)
{
	off_clean(s);
	start(s);
	kill_now(s);
}

static void with_keys(struct steps *s)
{
	start(s);
	steps_create(s, "compacted-a", 1, COMPACTED);
	fill(s, part(s, 0), 25);
}

/* The second of the files of the new segment bears its last name but one. */
static void off_in_swap(struct steps *s)
{
	kill_on(s, ".swap", 2);
	with_keys(s);
	settle(s);
	fill(s, part(s, 0), 6);
	run_until_killed(s);
}

static void off_in_cleaning(struct steps *s)
{
	kill_on(s, ".cleaned", 3);
	with_keys(s);
	settle(s);
	fill(s, part(s, 0), 6);
	run_until_killed(s);
}

static void off_in_deletion(struct steps *s)
{
	with_records(s);
	kill_on(s, "-delete", 1);
	steps_delete_topic(s, "small");
	run_until_killed(s);
}

static void off_segments_going(struct steps *s)
{
	with_records(s);
	settle(s);
	kill_on(s, ".deleted", 3);
	steps_delete_records(s, part(s, 2), 20);
	run_until_killed(s);
}

static void with_dirs(struct steps *s)
{
	start(s);
	steps_create(s, "wide", 4, NULL);
	for (int i = 0; i < 4; i++)
		fill(s, part(s, i), 2 + i);
}

static void off_dirs_killed(struct steps *s)
{
	with_dirs(s);
	kill_now(s);
}

static void off_dirs_clean(struct steps *s)
{
	with_dirs(s);
	settle(s);
	stop(s);
}

/* One directory was away while a topic that it has a part of was deleted. */
static void off_deleted_while_away(struct steps *s)
{
	static const enum disk_op ops[] = {DISK_OP_OPEN, DISK_OP_NAMES};

	with_dirs(s);
	kill_now(s);
	for (size_t i = 0; i < ARRAY_N(ops); i++)
		disk_fault(disk_of_node(s->w, 1), ops[i], (struct disk_fault){.ppm = 1000000, .path = "/data2"});
	start(s);
	steps_delete_topic(s, "wide");
	settle(s);
	kill_now(s);
	disk_heal(disk_of_node(s->w, 1));
}

/* ---- stop ---- */

static void on_records(struct steps *s)
{
	with_records(s);
	settle(s);
	fill(s, part(s, 0), 3);
	fill(s, part(s, 2), 9);
}

static void on_idle(struct steps *s)
{
	off_clean(s);
	start(s);
	settle(s);
}

static void op_stop(struct steps *s)
{
	steps_disconnect(s);
	if (world_node(s->w, 1)->state == SIM_NODE_UP)
		node_down(s->w, 1);
}

/* ---- roll ---- */

static void on_small(struct steps *s)
{
	start(s);
	steps_create(s, "small", 1, SMALL);
	fill(s, part(s, 0), 2);
}

static void op_roll(struct steps *s)
{
	fill(s, part(s, 0), 14);
}

/* What a checkpoint has covered must last without what a roll left to it. */
static void op_roll_and_settle(struct steps *s)
{
	fill(s, part(s, 0), 14);
	settle(s);
}

static bool has_rolled(struct steps *s)
{
	return steps_has_path(s, "/small-0/0000000000000000001");
}

/* The new segment has its name, which nobody has synced. */
static void off_in_roll(struct steps *s)
{
	on_small(s);
	kill_on(s, "/small-0/0000000000000000001", 4);
	op_roll(s);
	run_until_killed(s);
}

static void op_start_and_write_small(struct steps *s)
{
	if (node_up(s->w, 1))
		fill(s, part(s, 0), 4);
}

static void on_transactions(struct steps *s)
{
	start(s);
	steps_create(s, "small", 1, SMALL);
	steps_txn_begin(s);
	steps_produce_txn(s, part(s, 0), 2);
	steps_txn_end(s, part(s, 0), 0, true);
	settle(s); /* with the file of epochs a start believes snapshots */
}

static void op_roll_transactions(struct steps *s)
{
	for (int i = 0; i < 8; i++) {
		uint32_t first = (uint32_t)part(s, 0)->records.n;

		steps_txn_begin(s);
		if (steps_produce_txn(s, part(s, 0), 2))
			return;
		steps_txn_end(s, part(s, 0), first, i % 2);
	}
	settle(s);
}

/* ---- truncate: what goes at the front ---- */

static void on_long(struct steps *s)
{
	start(s);
	steps_create(s, "small", 1, SMALL);
	fill(s, part(s, 0), 24);
	settle(s);
}

static void op_delete_records(struct steps *s)
{
	steps_delete_records(s, part(s, 0), 3);
	settle(s);
}

static void op_delete_segments(struct steps *s)
{
	steps_delete_records(s, part(s, 0), 30);
	settle(s);
}

static void op_delete_all_records(struct steps *s)
{
	int64_t end = steps_offset(s, part(s, 0), -1, 0);

	if (end > 0)
		steps_delete_records(s, part(s, 0), end);
	settle(s);
}

static bool has_start(struct steps *s)
{
	return part(s, 0)->start_least > 0;
}

static bool has_no_first_segment(struct steps *s)
{
	return !steps_has_path(s, "/small-0/00000000000000000000");
}

static void op_retain(struct steps *s)
{
	part(s, 0)->start_most = (int64_t)part(s, 0)->records.n;
	steps_alter(s, "small", "retention.bytes", "1000");
	settle(s);
}

/* ---- delete ---- */

static void op_delete_topic(struct steps *s)
{
	steps_delete_topic(s, "plain");
	settle(s);
}

static bool has_no_plain(struct steps *s)
{
	return !steps_has_path(s, "/plain-");
}

static void op_make_again(struct steps *s)
{
	struct steps_part *again;

	steps_delete_topic(s, "small");
	if (part(s, 2)->is != STEPS_TOPIC_GONE)
		return;
	again = steps_create(s, "small", 1, SMALL);
	if (again->is == STEPS_TOPIC_THERE)
		fill(s, again, 3);
	settle(s);
}

/* What was known of the old one's start and end must not be taken for the new one's. */
static void on_cut_records(struct steps *s)
{
	with_records(s);
	settle(s);
	steps_delete_records(s, part(s, 2), 20);
	settle(s);
}

static void op_delete_on_dirs(struct steps *s)
{
	steps_delete_topic(s, "wide");
	settle(s);
}

static bool has_no_wide(struct steps *s)
{
	return !steps_has_path(s, "/wide-");
}

/* ---- compaction ---- */

static void op_compact(struct steps *s)
{
	settle(s);
	fill(s, part(s, 0), 6);
	settle(s);
}

static bool has_compacted(struct steps *s)
{
	return !steps_has_path(s, ".cleaned") && steps_has_path(s, "/data/cleaner-offset-checkpoint");
}

static void with_keys_and_retention(struct steps *s)
{
	start(s);
	steps_create(s, "compacted-a", 1, "delete.retention.ms=0," COMPACTED);
	fill(s, part(s, 0), 30);
	settle(s);
	fill(s, part(s, 0), 20);
}

static void op_compact_and_cut(struct steps *s)
{
	fill(s, part(s, 0), 4);
	settle(s);
}

static void on_keys_of_transactions(struct steps *s)
{
	with_keys(s);
	op_roll_transactions(s);
	fill(s, part(s, 0), 8);
}

/* ---- checkpoints and metadata ---- */

static void on_all(struct steps *s)
{
	start(s);
	steps_create(s, "plain", 1, NULL);
	steps_create(s, "compacted-a", 1, COMPACTED);
	fill(s, part(s, 0), 4);
	fill(s, part(s, 1), 20);
	settle(s);
}

static void op_checkpoint(struct steps *s)
{
	fill(s, part(s, 0), 2);
	steps_delete_records(s, part(s, 0), 2);
	fill(s, part(s, 1), 8);
	settle(s);
}

static void on_plain(struct steps *s)
{
	start(s);
	steps_create(s, "plain", 1, NULL);
	fill(s, part(s, 0), 2);
}

/* Enough changes for snapshots of the metadata. */
static void op_metadata(struct steps *s)
{
	static const char *const values[] = {"1000", "2000", "3000"};

	for (int i = 0; i < 12; i++) {
		if (steps_alter(s, "plain", "segment.ms", values[i % 3]))
			return;
	}
	steps_create(s, "other", 1, NULL);
	settle(s);
}

static bool has_snapshot(struct steps *s)
{
	return steps_has_path(s, "/__cluster_metadata-0/0") && steps_has_path(s, ".checkpoint");
}

static void op_create(struct steps *s)
{
	struct steps_part *made = steps_create(s, "fresh", 2, SMALL);

	for (int i = 0; i < 2 && made->is == STEPS_TOPIC_THERE; i++)
		fill(s, &made[i], 2);
}

/* ---- moves ---- */

static const char *dir_of(struct steps *s, const struct steps_part *p)
{
	char path[64];

	snprintf(path, sizeof(path), "/data2/%s-%d", p->topic, p->index);
	return steps_has_path(s, path) ? "/data2" : "/data";
}

static void on_two_dirs(struct steps *s)
{
	start(s);
	steps_create(s, "small", 1, SMALL);
	fill(s, part(s, 0), 10);
	settle(s);
}

static void op_move(struct steps *s)
{
	const char *to = strcmp(dir_of(s, part(s, 0)), "/data") == 0 ? "/data2" : "/data";

	steps_move(s, part(s, 0), to);
	fill(s, part(s, 0), 3);
	settle(s);
}

/* The copy has its last name and its mark, the old place is on its way out, the checkpoint has neither. */
static void off_in_move(struct steps *s)
{
	on_two_dirs(s);
	kill_on(s, "-delete", 1);
	op_move(s);
	run_until_killed(s);
}

const struct steps_story steps_stories[] = {
	{"start_empty", NULL, NULL, off_empty, op_start, NULL, true},
	{"start_empty_dirs", THREE_DIRS, NULL, off_empty, op_start, NULL, true},
	{"start_clean", NULL, NULL, off_clean, op_start, NULL, false},
	{"start_and_write", NULL, NULL, off_clean, op_start_and_write, NULL, false},
	{"start_killed", NULL, NULL, off_killed, op_start, NULL, false},
	{"start_killed_idle", NULL, NULL, off_no_mark, op_start, NULL, false},
	{"start_torn", NULL, NULL, off_cut, op_start, NULL, false},
	{"start_in_cleaning", NULL, NULL, off_in_cleaning, op_start, NULL, false},
	{"start_in_swap", NULL, NULL, off_in_swap, op_start, NULL, false},
	{"start_in_deletion", NULL, NULL, off_in_deletion, op_start, NULL, false},
	{"start_segments_going", NULL, NULL, off_segments_going, op_start, NULL, false},
	{"start_dirs_killed", THREE_DIRS, NULL, off_dirs_killed, op_start, NULL, false},
	{"start_dirs_clean", THREE_DIRS, NULL, off_dirs_clean, op_start, NULL, false},
	{"start_in_move", TWO_DIRS, NULL, off_in_move, op_start, NULL, false},
	{"start_stray", TWO_DIRS, NULL, off_deleted_while_away, op_start, NULL, false},
	{"stop_busy", NULL, NULL, on_records, op_stop, NULL, false},
	{"stop_idle", NULL, NULL, on_idle, op_stop, NULL, false},
	{"stop_dirs", THREE_DIRS, NULL, with_dirs, op_stop, NULL, false},
	{"roll", NULL, NULL, on_small, op_roll, has_rolled, false},
	{"roll_settle", NULL, NULL, on_small, op_roll_and_settle, has_rolled, false},
	{"roll_cut_short", NULL, NULL, off_in_roll, op_start_and_write_small, NULL, false},
	/* When coordinator and partition lose different ends, nothing is promised. */
	{"roll_transactions", NULL, NULL, on_transactions, op_roll_transactions, has_rolled, true},
	{"truncate_records", NULL, NULL, on_long, op_delete_records, has_start, false},
	{"truncate_segments", NULL, NULL, on_long, op_delete_segments, has_no_first_segment, false},
	{"truncate_all", NULL, NULL, on_long, op_delete_all_records, has_no_first_segment, false},
	{"truncate_retention", NULL, NULL, on_long, op_retain, has_no_first_segment, false},
	{"delete_topic", NULL, NULL, with_records, op_delete_topic, has_no_plain, false},
	{"delete_make_again", NULL, NULL, on_records, op_make_again, NULL, false},
	{"delete_make_again_cut", NULL, NULL, on_cut_records, op_make_again, NULL, false},
	{"delete_on_dirs", THREE_DIRS, NULL, with_dirs, op_delete_on_dirs, has_no_wide, false},
	{"compact", NULL, NULL, with_keys, op_compact, has_compacted, false},
	{"compact_transactions", NULL, NULL, on_keys_of_transactions, op_compact, has_compacted, true},
	{"compact_again", NULL, NULL, with_keys_and_retention, op_compact_and_cut, has_compacted, false},
	{"checkpoint_offsets", NULL, NULL, on_all, op_checkpoint, NULL, false},
	{"checkpoint_metadata", "metadata.log.max.record.bytes.between.snapshots=300\n", NULL, on_plain, op_metadata,
	 has_snapshot, false},
	{"checkpoint_create", NULL, NULL, on_plain, op_create, NULL, false},
	{"move", TWO_DIRS, NULL, on_two_dirs, op_move, NULL, false},
};

const int steps_stories_n = ARRAY_N(steps_stories);
