/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction under torture: a log with a few keys is compacted while it is appended to, checkpointed, trimmed and
 * thinned by retention; that is broken at each changing disk operation in turn, by the end of the process, a power
 * cut, one error, a full disk. What comes up again holds the newest record of every key, nothing that was never
 * written, and nothing acknowledged is lost; then it is compacted to the end.
 */
#include <inttypes.h>

#include "batch_build.h"
#include "log_compact.h"
#include "mem.h"
#include "mem_disk.h"
#include "storage_test.h"

#define RECORDS_MAX 4096
#define KEYS_N 6
#define LOG_NAME "t-0"

enum torture { TORTURE_KILL, TORTURE_POWER, TORTURE_ERROR, TORTURE_FULL };

struct story {
	struct mem_disk disk;
	struct storage_test t;
	struct part_log *log;
	struct rng rng;
	int keys[RECORDS_MAX];
	int64_t n;          /* records given to the log, as far as it goes now */
	int64_t acked_end, durable_end;
	int64_t recovery_point, log_start; /* as the checkpoint files say */
	int64_t start_max;  /* nothing below has to be there */
	int64_t cleaned;
	struct log_compact job;
	bool is_compacting;
	int in_flight, swaps;
	const char *what;
	uint64_t seed, at;
};

struct story_append {
	struct log_append append;
	struct story *s;
};

#define BAD(s, ...)                                                                                \
	do {                                                                                       \
		print_error("%s seed %" PRIu64 " at %" PRIu64 ": ", (s)->what, (s)->seed, (s)->at); \
		fail_msg(__VA_ARGS__);                                                             \
	} while (0)

static void story_turn(struct story *s)
{
	reactor_turn(s->t.reactor, 0);
	if (s->log && s->log->state == PART_LOG_OPEN)
		s->durable_end = MAX(s->durable_end, s->log->durable.offset);
}

static void story_appended(struct log_append *append)
{
	struct story_append *a = container_of(append, struct story_append, append);

	a->s->in_flight--;
	if (!append->err)
		a->s->acked_end = append->info.last_offset + 1;
	mem_free(append->batch);
	mem_free(a);
}

static void story_append(struct story *s)
{
	struct story_append *a = MEM_NEW(struct story_append);
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct scratch out = {0};
	struct batch_builder b;
	struct bytes built;
	int n = (int)rng_between(&s->rng, 1, 3);
	int64_t base = s->log->end;
	int keys[3];

	CHECK_OP(base + n, <=, RECORDS_MAX);
	assert_int_equal(batch_builder_init(&b, &spec, &out, NULL), ERR_NONE);
	for (int i = 0; i < n; i++) {
		int key = (int)rng_below(&s->rng, KEYS_N);
		int64_t value = base + i;
		struct record_fields fields = {.key = {(uint8_t *)&key, sizeof(key)},
					       .value = {(uint8_t *)&value, sizeof(value)}};

		keys[i] = key;
		assert_int_equal(batch_builder_add(&b, 1000 + base + i, &fields), ERR_NONE);
	}
	assert_int_equal(batch_builder_finish(&b, &built), ERR_NONE);
	a->s = s;
	a->append.batch = out.p;
	a->append.len = built.len;
	a->append.done = story_appended;
	assert_int_equal(batch_check_header(built, BATCH_CHECK_CRC, &a->append.info), ERR_NONE);
	if (s->log->state != PART_LOG_OPEN || part_log_append(s->log, &a->append, 1)) {
		mem_free(out.p);
		mem_free(a);
		return;
	}
	s->in_flight++;
	memcpy(&s->keys[base], keys, (size_t)n * sizeof(keys[0]));
}

static void story_checkpointed(struct storage *storage)
{
	struct story *s = container_of((struct storage_test *)storage->ctx, struct story, t);

	if (!s->log || s->log->state != PART_LOG_OPEN || s->disk.is_dead)
		return;
	s->recovery_point = s->log->recovery_written = s->log->recovery_point;
	s->log_start = s->log->log_start;
}

static void story_compacted(struct log_compact *job)
{
	struct story *s = container_of(job, struct story, job);

	s->is_compacting = false;
	s->swaps += (int)job->segments_out;
	if (!job->err)
		s->cleaned = job->compacted_to;
}

static bool story_compact(struct story *s)
{
	struct log_pos mark = s->log->appended;

	if (s->is_compacting || s->log->state != PART_LOG_OPEN)
		return false;
	s->job = (struct log_compact){.map_bytes_max = 4096, .map_load_factor = 0.9, .bytes_per_s = 1e18,
				      .done = story_compacted};
	part_log_cleanable(s->log, s->cleaned, &mark, &s->job.range);
	if (s->job.range.dirty_bytes == 0)
		return false;
	s->is_compacting = true;
	part_log_compact(s->log, &s->job);
	return true;
}

static void story_retain(struct story *s)
{
	struct log_retained gone;

	part_log_retain(s->log, s->log->appended.offset, &gone);
	if (gone.segments_n)
		s->start_max = MAX(s->start_max, gone.log_start);
}

static void story_step(struct story *s)
{
	switch (rng_below(&s->rng, 10)) {
	case 0:
	case 1:
		storage_checkpoint(&s->t.storage, story_checkpointed);
		break;
	case 2:
	case 3:
		story_compact(s);
		break;
	case 4:
		if (rng_chance(&s->rng, 1, 4) && s->log->appended.offset > s->log->log_start) {
			int64_t to = rng_between(&s->rng, s->log->log_start,
						 MIN(s->log->log_start + 10, s->log->durable.offset));

			part_log_set_start(s->log, MAX(to, s->log->log_start));
			s->start_max = MAX(s->start_max, s->log->log_start);
		}
		break;
	case 5:
		story_retain(s);
		break;
	default:
		story_append(s);
	}
	for (uint64_t n = rng_below(&s->rng, 5); n > 0; n--)
		story_turn(s);
}

static void story_open(struct story *s, enum log_dir_stop stop)
{
	storage_test_start(&s->t, stop);
	s->t.storage.ctx = &s->t;
	s->log = part_log_new(&s->t.storage, s->t.dir, STR(LOG_NAME), s->t.topic_id, &s->t.config);
	part_log_open(s->log, s->recovery_point, s->log_start);
	for (int i = 0; i < 1000 && s->log->state == PART_LOG_OPENING; i++)
		story_turn(s);
}

static void story_drop(struct story *s)
{
	for (int i = 0; i < 300; i++) {
		story_turn(s);
		if (!s->in_flight && !s->is_compacting && storage_is_idle(&s->t.storage) && i > 3)
			break;
	}
	if (s->log->state != PART_LOG_CLOSED && s->log->state != PART_LOG_FAILED) {
		s->log->state = PART_LOG_FAILED;
		s->log->failure = ERR_LOG_CLOSED;
	}
	part_log_free(s->log);
	s->log = NULL;
	for (int i = 0; i < 300 && !storage_is_idle(&s->t.storage); i++)
		story_turn(s);
	assert_int_equal(s->in_flight, 0);
	assert_false(s->is_compacting);
	storage_test_stop(&s->t);
}

static void story_close(struct story *s)
{
	part_log_close(s->log);
	for (int i = 0; i < 1000 && s->log->state == PART_LOG_CLOSING; i++)
		story_turn(s);
	assert_int_equal(s->log->state, PART_LOG_CLOSED);
	s->recovery_point = s->log->recovery_point;
	s->log_start = s->log->log_start;
}

/* One record as read. */
static void story_check_record(struct story *s, const struct record *record, bool *present)
{
	int key;
	int64_t value;

	memcpy(&key, record->key.p, sizeof(key));
	memcpy(&value, record->value.p, sizeof(value));
	if (value != record->offset || key != s->keys[record->offset])
		BAD(s, "offset %" PRId64 " holds what was never written there", record->offset);
	if (present[record->offset])
		BAD(s, "offset %" PRId64 " is there twice", record->offset);
	present[record->offset] = true;
}

static void story_read(struct story *s, bool *present)
{
	int64_t offset = s->log->log_start;

	while (offset < s->log->appended.offset) {
		struct batch_info info;
		struct batch_iter it;
		uint8_t *p;
		size_t len;

		if (log_get(&s->t, s->log, offset, (int64_t)rng_below(&s->rng, 2000), &p, &len))
			BAD(s, "offset %" PRId64 " cannot be read", offset);
		if (len == 0) {
			mem_free(p);
			break; /* nothing is left up to the end */
		}
		it = batch_iter_of((struct bytes){p, len}, BATCH_CHECK_CRC);
		while (batch_iter_next(&it, &info)) {
			struct record_iter records;
			struct record record;

			if (info.last_offset < offset)
				BAD(s, "batches go back at %" PRId64, offset);
			record_iter_init(&records, &info, (struct bytes){info.bytes.p + BATCH_HEADER_LEN,
									 info.size - BATCH_HEADER_LEN});
			while (record_iter_next(&records, &record))
				story_check_record(s, &record, present);
			offset = info.last_offset + 1;
		}
		if (it.err || it.pos == 0)
			BAD(s, "no batch at %" PRId64, offset);
		mem_free(p);
	}
}

static void story_check(struct story *s)
{
	bool present[RECORDS_MAX] = {false};
	bool seen[KEYS_N] = {false};

	story_read(s, present);
	for (int64_t o = s->log->end; o-- > MAX(s->start_max, s->log->log_start);) {
		if (!seen[s->keys[o]] && !present[o])
			BAD(s, "offset %" PRId64 ", the newest of key %d, is gone; log %" PRId64 " to %" PRId64,
				o, s->keys[o],
			    s->log->log_start, s->log->end);
		seen[s->keys[o]] = true;
	}
	for (int64_t o = MAX(s->start_max, s->log->log_start); o < s->log->end; o++) {
		int64_t found;

		if (!present[o])
			continue;
		found = log_time(&s->t, s->log, 1000 + o);
		if (found != o)
			BAD(s, "time of %" PRId64 " leads to %" PRId64, o, found);
		break;
	}
}

static void story_verify(struct story *s, enum log_dir_stop stop, int64_t least_end)
{
	story_open(s, stop);
	if (s->log->state != PART_LOG_OPEN)
		BAD(s, "does not open: %s", err_name(s->log->failure));
	if (s->log->end < least_end)
		BAD(s, "ends at %" PRId64 ", acknowledged up to %" PRId64, s->log->end, least_end);
	story_check(s);
	s->cleaned = -1;
	for (int i = 0; i < 20; i++)
		story_append(s);
	for (int i = 0; i < 200 && s->in_flight; i++)
		story_turn(s);
	storage_checkpoint(&s->t.storage, story_checkpointed);
	for (int i = 0; i < 50; i++)
		story_turn(s);
	if (!story_compact(s))
		BAD(s, "nothing to compact at the end");
	for (int i = 0; i < 1000 && s->is_compacting; i++)
		story_turn(s);
	assert_int_equal(s->job.err, ERR_NONE);
	story_check(s);
	story_close(s);
	story_drop(s);
	mem_disk_kill(&s->disk);
	story_open(s, LOG_DIR_CLEAN);
	assert_int_equal(s->log->state, PART_LOG_OPEN);
	story_check(s);
	story_close(s);
	story_drop(s);
}

static bool torture_once(enum torture torture, uint64_t seed, uint64_t at, int *swaps)
{
	static const char *const names[] = {"kill", "power cut", "error", "full"};
	struct story *s = MEM_NEW(struct story);
	bool was_broken;

	s->what = names[torture];
	s->seed = seed;
	s->at = at;
	s->recovery_point = s->log_start = s->cleaned = -1;
	mem_disk_init(&s->disk, seed * 1000003 + at);
	rng_init(&s->rng, seed);
	storage_test_init_own(&s->t, seed % 2 ? STORAGE_PAGE_CACHE : STORAGE_SYNCED, &s->disk.io, "/d");
	storage_test_stop(&s->t);
	s->t.config.segment_bytes = 700;
	s->t.config.index_interval_bytes = 100;
	s->t.config.is_compacted = s->t.config.is_deleted = true;
	s->t.config.retention_ms = -1;
	s->t.config.retention_bytes = 6000;
	s->t.config.delete_retention_ms = 86400000;
	s->t.config.max_compaction_lag_ms = INT64_MAX;
	s->t.options.open_files_max = 6;
	story_open(s, LOG_DIR_CLEAN);
	assert_int_equal(s->log->state, PART_LOG_OPEN);
	for (int i = 0; i < 30; i++) {
		story_append(s);
		story_turn(s);
	}
	storage_checkpoint(&s->t.storage, story_checkpointed);
	for (int i = 0; i < 30; i++)
		story_turn(s);
	if (torture == TORTURE_KILL || torture == TORTURE_POWER) {
		s->disk.crash_at = s->disk.changes + at;
	} else {
		s->disk.fail_at = s->disk.changes + at;
		s->disk.fail_err = torture == TORTURE_ERROR ? ERR_IO : ERR_DISK_FULL;
	}
	for (int step = 0; step < 60 && !s->disk.is_dead && s->log->state == PART_LOG_OPEN; step++)
		story_step(s);
	was_broken = s->disk.is_dead || s->disk.has_failed;
	story_drop(s);
	*swaps += s->swaps;
	if (torture == TORTURE_POWER)
		mem_disk_power_cut(&s->disk);
	else
		mem_disk_kill(&s->disk);
	story_verify(s, torture == TORTURE_POWER ? LOG_DIR_POWER_CUT : LOG_DIR_KILLED,
		     torture == TORTURE_POWER ? s->durable_end : s->acked_end);
	mem_disk_deinit(&s->disk);
	mem_free(s);
	return was_broken;
}

static uint64_t seeds_n = 5;

static void torture_all(enum torture torture)
{
	int swaps = 0;

	for (uint64_t seed = 1; seed <= seeds_n; seed++) {
		for (uint64_t at = 1; torture_once(torture, seed, at, &swaps); at++)
			;
	}
	assert_true(swaps > 50);
}

static void test_kill(void **state)
{
	torture_all(TORTURE_KILL);
}

static void test_power_cut(void **state)
{
	torture_all(TORTURE_POWER);
}

static void test_error(void **state)
{
	torture_all(TORTURE_ERROR);
}

static void test_full(void **state)
{
	torture_all(TORTURE_FULL);
}

static void quiet(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill), cmocka_unit_test(test_power_cut), cmocka_unit_test(test_error),
		cmocka_unit_test(test_full),
	};
	struct log_sink sink = {.level = LOG_ERROR, .write = quiet};

	if (!getenv("TORTURE_VERBOSE"))
		log_sink_set(&sink);
	/* "KIND SEED AT" runs one case: as named by a failure, KIND counted from 0. */
	if (argc > 3) {
		int swaps = 0;

		torture_once((enum torture)atoi(argv[1]), (uint64_t)atoll(argv[2]), (uint64_t)atoll(argv[3]), &swaps);
		return 0;
	}
	if (argc > 1)
		seeds_n = (uint64_t)atoll(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
