/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every byte of a batch's header changed by one bit, and everything that walks over headers afterwards: each walk gives
 * what it gave before, or an error that names the place, and then only near it. MOLDAU_DAMAGE_ALL=1: every bit,
 * MOLDAU_DAMAGE_WALK: one walk, MOLDAU_DAMAGE_SHOW=1: what is told meanwhile.
 */
#include <unistd.h>

#include "damage.h"
#include "dir_check.h"
#include "dir_copy.h"
#include "log_compact.h"
#include "log_scrub.h"
#include "mem.h"

static enum outcome damage_open(struct damage *m, enum log_dir_stop stop, int64_t recovery_point)
{
	m->t.dir->stop = stop;
	m->log = log_try_open(&m->t, "d-0", recovery_point);
	if (m->log->state == PART_LOG_OPEN)
		return HARMLESS;
	part_log_free(m->log);
	m->log = NULL;
	return m->has_told ? NOTICED : SILENT;
}

static enum outcome walk_start(struct damage *m, enum log_dir_stop stop, int64_t recovery_point)
{
	enum outcome outcome = damage_open(m, stop, recovery_point);

	if (!m->log)
		return outcome;
	/* As the partition does. */
	part_log_start_epoch(m->log, EPOCH_NOW);
	outcome = damage_compare_state(m);
	outcome = worse(outcome, damage_read_all(m, 100000));
	log_close(&m->t, m->log);
	return outcome;
}

static enum outcome walk_clean(struct damage *m)
{
	return walk_start(m, LOG_DIR_CLEAN, m->end);
}

static enum outcome walk_killed(struct damage *m)
{
	damage_unclose(m);
	return walk_start(m, LOG_DIR_KILLED, 0);
}

static enum outcome walk_power_cut(struct damage *m)
{
	damage_unclose(m);
	return walk_start(m, LOG_DIR_POWER_CUT, m->batches[BATCHES_N / 2].base);
}

static enum outcome walk_unknown(struct damage *m)
{
	damage_unclose(m);
	return walk_start(m, LOG_DIR_UNKNOWN, m->batches[BATCHES_N / 2].base);
}

/* The first read of a process, into the middle of each batch near the damage. */
static enum outcome walk_fetch_middle(struct damage *m)
{
	enum outcome outcome = HARMLESS;

	for (int i = MAX(m->victim - 1, 0); i <= m->victim + 2 && i < BATCHES_N; i++) {
		for (int64_t max_bytes = 1; max_bytes < 5000; max_bytes += 2000) {
			outcome = worse(outcome, damage_open(m, LOG_DIR_CLEAN, m->end));
			if (!m->log)
				return outcome;
			if (m->batches[i].last < m->log->end)
				outcome = worse(outcome, damage_read(m, m->batches[i].last, max_bytes));
			log_close(&m->t, m->log);
			m->has_told = false;
		}
	}
	return outcome;
}

/* One reader after the other, through everything. */
static enum outcome walk_fetch_all(struct damage *m)
{
	enum outcome outcome = damage_open(m, LOG_DIR_CLEAN, m->end);

	if (!m->log)
		return outcome;
	outcome = worse(outcome, damage_read_all(m, 1));
	outcome = worse(outcome, damage_read_all(m, 1000));
	log_close(&m->t, m->log);
	return outcome;
}

struct get {
	struct log_read read;
	bool is_done;
};

static void get_done(struct log_read *read)
{
	container_of(read, struct get, read)->is_done = true;
}

/* From the beginning of one batch to that of another, of which the log has to find the place. */
static enum outcome damage_read_between(struct damage *m, int from, int to)
{
	struct get get = {.read = {.offset = m->batches[from].base, .max_bytes = 100000, .whole_first = true,
				   .bound = part_log_bound_at(m->log, m->batches[to].base), .done = get_done}};
	enum outcome outcome = HARMLESS;
	size_t at = 0;

	get.is_done = part_log_read(m->log, &get.read);
	for (int i = 0; i < TURNS_MAX && !get.is_done; i++)
		turn(&m->t);
	assert_true(get.is_done);
	if (get.read.err)
		return get.read.err == ERR_CORRUPT_MESSAGE && m->has_told ? NOTICED : SILENT;
	if (get.read.piece.len == 0)
		outcome = SILENT;
	for (int i = from; outcome == HARMLESS && at < get.read.piece.len; i++) {
		uint8_t bytes[2000];
		size_t got = 0;

		assert_true(m->batches[i].len <= sizeof(bytes));
		if (i >= to || at + m->batches[i].len > get.read.piece.len ||
		    fs_pread(m->t.io->fs, get.read.piece.file, bytes, m->batches[i].len,
			     get.read.piece.pos + (int64_t)at, FS_WAIT, &got) ||
		    (memcmp(bytes, m->batches[i].bytes, got) != 0 && !damage_is_between(m, i, bytes, got)))
			outcome = SILENT;
		at += m->batches[i].len;
	}
	log_read_release(&get.read);
	return outcome;
}

/* Readers of what is decided: the end of what they may see lies anywhere. */
static enum outcome walk_fetch_below(struct damage *m)
{
	enum outcome outcome = HARMLESS;

	for (int from = MAX(m->victim - 2, 0); from <= m->victim + 1 && from + 1 < BATCHES_N; from++) {
		outcome = worse(outcome, damage_open(m, LOG_DIR_CLEAN, m->end));
		if (!m->log)
			return outcome;
		for (int to = from + 1; to <= m->victim + 3 && to < BATCHES_N; to++) {
			if (m->batches[to].base < m->log->end)
				outcome = worse(outcome, damage_read_between(m, from, to));
		}
		log_close(&m->t, m->log);
		m->has_told = false;
	}
	return outcome;
}

struct ask {
	struct log_time_query query;
	bool is_done;
};

static void ask_done(struct log_time_query *query)
{
	container_of(query, struct ask, query)->is_done = true;
}

static enum outcome damage_ask(struct damage *m, int64_t time, int64_t want, int32_t want_epoch)
{
	struct ask ask = {.query = {.timestamp_ms = time, .bound = m->log->appended, .done = ask_done}};

	part_log_find_time(m->log, &ask.query);
	for (int i = 0; i < TURNS_MAX && !ask.is_done; i++)
		turn(&m->t);
	assert_true(ask.is_done);
	if (ask.query.err)
		return ask.query.err == ERR_CORRUPT_MESSAGE && m->has_told ? NOTICED : SILENT;
	if (getenv("MOLDAU_DAMAGE_SHOW") && ask.query.offset != want)
		fprintf(stderr, "    %lld for %lld\n", (long long)ask.query.offset, (long long)want);
	if (ask.query.offset >= 0 && ask.query.offset == want)
		return ask.query.leader_epoch == want_epoch ? HARMLESS : SILENT;
	return want >= m->log->end && m->has_told ? NOTICED : SILENT;
}

static enum outcome walk_time(struct damage *m)
{
	enum outcome outcome = damage_open(m, LOG_DIR_CLEAN, m->end);

	if (!m->log)
		return outcome;
	for (int i = MAX(m->victim - 2, 1); i < BATCHES_N; i += i < m->victim + 3 ? 1 : 10) {
		const struct damage_batch *b = &m->batches[i];

		outcome = worse(outcome, damage_ask(m, TIME_OF(i - 1) + 50, b->base, b->epoch));
		outcome = worse(outcome, damage_ask(m, TIME_OF(i), b->base, b->epoch));
		if (b->last > b->base)
			outcome = worse(outcome, damage_ask(m, TIME_OF(i) + 1, b->base + 1, b->epoch));
	}
	log_close(&m->t, m->log);
	return outcome;
}

/* The start has to make the indexes anew, over the damage. */
static enum outcome walk_time_anew(struct damage *m)
{
	for (size_t i = 0; i < m->files_n; i++) {
		const char *name = m->files[i].name, *dot = strrchr(name, '.');
		char path[600];

		if (!dot || (strcmp(dot, ".index") != 0 && strcmp(dot, ".timeindex") != 0))
			continue;
		damage_path(m, "d-0", name, path);
		assert_int_equal(unlink(path), 0);
	}
	return walk_time(m);
}

static enum outcome walk_time_max(struct damage *m)
{
	const struct damage_batch *last = &m->batches[BATCHES_N - 1];
	enum outcome outcome = damage_open(m, LOG_DIR_CLEAN, m->end);

	if (!m->log)
		return outcome;
	outcome = worse(outcome, damage_ask(m, INT64_MIN, last->last, last->epoch));
	log_close(&m->t, m->log);
	return outcome;
}

static void compact_done(struct log_compact *job)
{
	((struct damage *)job->ctx)->is_done = true;
}

static uint64_t damage_hash_logs(struct damage *m)
{
	uint64_t hash = 0;
	char name[64];

	for (int64_t base = 0; base < m->log->appended.segment_base; base++) {
		char path[600], *p;
		size_t len;

		snprintf(name, sizeof(name), "%020lld.log", (long long)base);
		damage_path(m, "d-0", name, path);
		if (fs_read_all(m->t.io->fs, path, MIB(16), &p, &len))
			continue;
		for (size_t i = 0; i < len; i++)
			hash = hash * 1099511628211u + (uint8_t)p[i] + 1;
		mem_free(p);
	}
	return hash;
}

static enum outcome walk_compact(struct damage *m)
{
	struct log_compact job = {.map_bytes_max = MIB(1), .map_load_factor = 0.9, .bytes_per_s = 1e18,
				  .done = compact_done, .ctx = m};
	enum outcome outcome = damage_open(m, LOG_DIR_CLEAN, m->end);

	if (!m->log)
		return outcome;
	m->log->recovery_written = m->log->recovery_point;
	m->is_done = false;
	part_log_cleanable(m->log, -1, &m->log->appended, &job.range);
	part_log_compact(m->log, &job);
	for (int i = 0; i < TURNS_MAX && !m->is_done; i++)
		turn(&m->t);
	assert_true(m->is_done);
	if (!job.err && !m->compacted)
		m->compacted = damage_hash_logs(m);
	if (job.err)
		outcome = job.err == ERR_CORRUPT_FILE && job.text.text[0] ? NOTICED : SILENT;
	else if (damage_hash_logs(m) != m->compacted)
		outcome = SILENT;
	log_close(&m->t, m->log);
	return outcome;
}

/* The start of the log into the batch behind; then again after a start. */
static enum outcome walk_delete_records(struct damage *m)
{
	const struct damage_batch *b = &m->batches[MIN(m->victim, BATCHES_N - 2)];
	enum outcome outcome = damage_open(m, LOG_DIR_CLEAN, m->end);

	if (!m->log)
		return outcome;
	if (b->last >= m->log->end) {
		log_close(&m->t, m->log);
		return NOTICED;
	}
	part_log_set_start(m->log, b->last);
	outcome = worse(outcome, damage_read(m, b->last, 1));
	outcome = worse(outcome, damage_read(m, b->last + 1, 1));
	log_close(&m->t, m->log);
	m->has_told = false;
	m->log = part_log_new(&m->t.storage, m->t.dir, str_of("d-0"), m->t.topic_id, &m->t.config);
	m->log->ctx = &m->t;
	m->log->advanced = NULL;
	part_log_open(m->log, m->end, b->last);
	for (int i = 0; i < TURNS_MAX && m->log->state == PART_LOG_OPENING; i++)
		turn(&m->t);
	outcome = worse(outcome, damage_read(m, b->last, 1));
	outcome = worse(outcome, damage_read(m, b->last + 1, 1));
	log_close(&m->t, m->log);
	return outcome;
}

/* Copied to another name, and read there. */
static enum outcome walk_move(struct damage *m)
{
	char from[600], to[600];
	enum outcome outcome;

	damage_path(m, "d-0", "", from);
	damage_path(m, "n-0", "", to);
	from[strlen(from) - 1] = to[strlen(to) - 1] = 0;
	assert_int_equal(dir_copy_rest(m->t.io->fs, from, to, &(struct dir_mark){0, -1}), ERR_NONE);
	assert_int_equal(dir_copy_unmark(m->t.io->fs, to), ERR_NONE);
	m->t.dir->stop = LOG_DIR_CLEAN;
	m->log = log_try_open(&m->t, "n-0", m->end);
	if (m->log->state != PART_LOG_OPEN) {
		outcome = m->has_told ? NOTICED : SILENT;
		part_log_free(m->log);
	} else {
		outcome = worse(damage_compare_state(m), damage_read_all(m, 1000));
		log_close(&m->t, m->log);
	}
	damage_remove(m, "n-0");
	return outcome;
}

struct scrub {
	struct log_scrub scrub;
	struct damage *m;
	bool is_near;
};

static void scrub_found(struct log_scrub *scrub, const struct part_log *log, const char *path,
			const struct log_bad *bad)
{
	struct scrub *s = container_of(scrub, struct scrub, scrub);
	const struct damage_batch *victim = &s->m->batches[s->m->victim];

	s->m->found_n++;
	if (bad->segment_base == victim->segment && bad->pos <= victim->pos && bad->end_pos > victim->pos)
		s->is_near = true;
}

/* Damage is one thing, a lie of the index another. */
static void scrub_unlisted(struct log_scrub *scrub, const struct part_log *log, const char *path, int64_t pos, size_t n)
{
	fail();
}

static void scrub_done(struct log_scrub *scrub)
{
	container_of(scrub, struct scrub, scrub)->m->is_done = true;
}

static enum outcome walk_scrub(struct damage *m)
{
	struct scrub s = {.scrub = {.found = scrub_found, .unlisted = scrub_unlisted, .done = scrub_done}, .m = m};
	bool is_old = m->batches[m->victim].segment < m->batches[BATCHES_N - 1].segment;
	enum outcome outcome = damage_open(m, LOG_DIR_CLEAN, m->end);

	if (!m->log)
		return outcome;
	m->found_n = 0;
	m->is_done = true;
	while (part_log_scrub(m->log, &s.scrub) == LOG_SCRUB_RUNS) {
		m->is_done = false;
		for (int i = 0; i < TURNS_MAX && !m->is_done; i++)
			turn(&m->t);
		assert_true(m->is_done);
	}
	log_scrub_deinit(&s.scrub);
	log_close(&m->t, m->log);
	/* It looks at sealed segments only. */
	if (m->is_good || (!is_old && m->found_n == 0))
		return m->found_n ? SILENT : HARMLESS;
	return m->found_n == 1 && s.is_near ? NOTICED : SILENT;
}

static void check_found(struct dir_check *check, const char *path, int64_t pos, const char *what)
{
	struct damage *m = check->ctx;
	const struct damage_batch *victim = &m->batches[m->victim];
	char name[64];

	snprintf(name, sizeof(name), "%020lld.log", (long long)victim->segment);
	if (getenv("MOLDAU_DAMAGE_SHOW"))
		fprintf(stderr, "    %s %lld %s\n", path, (long long)pos, what);
	if (strstr(path, name) && pos == victim->pos)
		m->found_n++;
}

static enum outcome walk_check(struct damage *m)
{
	struct dir_check check = {.found = check_found, .ctx = m};

	m->found_n = 0;
	assert_int_equal(dir_check_run(&check, m->t.io->fs, m->t.path), ERR_NONE);
	if (m->is_good)
		return check.found_n ? SILENT : HARMLESS;
	return m->found_n >= 1 ? NOTICED : SILENT;
}

struct scan {
	struct damage *m;
	int at;
	bool is_wrong, differs; /* another batch than the victim, or that */
};

static bool scan_batch(void *ctx, const struct batch_info *info, struct bytes bytes)
{
	struct scan *scan = ctx;
	const struct damage_batch *want = &scan->m->batches[MIN(scan->at, BATCHES_N - 1)];
	bool is_same = bytes.len == want->len && memcmp(bytes.p, want->bytes, want->len) == 0;

	if (!is_same && scan->at == scan->m->victim && !scan->m->is_good)
		scan->differs = true;
	else if (!is_same)
		scan->is_wrong = true;
	scan->at++;
	return true;
}

/* As the metadata log is read at a start: in order from the first batch on, and no further than the damage. */
static enum outcome walk_scan(struct damage *m)
{
	struct scan scan = {.m = m};
	struct err_text text;
	char path[600];
	enum err err;

	damage_path(m, "d-0", "", path);
	path[strlen(path) - 1] = 0;
	err = log_scan(m->t.io->fs, path, 0, scan_batch, &scan, &text);
	if (getenv("MOLDAU_DAMAGE_SHOW") && err)
		fprintf(stderr, "    %s\n", text.text);
	if (err)
		return err == ERR_CORRUPT_FILE && !scan.is_wrong && !m->is_good &&
				       (scan.at == m->victim || scan.at == m->victim + 1)
			       ? NOTICED
			       : SILENT;
	return scan.is_wrong || scan.differs || scan.at != BATCHES_N ? SILENT : HARMLESS;
}

/* ---- the table ---- */

static const struct {
	const char *name;
	int at, len;
} fields[] = {
	{"base offset", 0, 8},      {"length", 8, 4},        {"leader epoch", 12, 4},   {"magic", 16, 1},
	{"checksum", 17, 4},        {"attributes", 21, 2},   {"last offset", 23, 4},    {"base timestamp", 27, 8},
	{"max timestamp", 35, 8},   {"producer id", 43, 8},  {"producer epoch", 51, 2}, {"sequence", 53, 4},
	{"records", 57, 4},
};

/* What nobody can know, and why it does no harm. */
static bool is_beyond_knowledge(const struct damage *m, enum outcome (*walk)(struct damage *), const char *field,
				int at, int bit)
{
	const struct damage_batch *victim = &m->batches[m->victim];
	uint8_t header[BATCH_HEADER_LEN];

	memcpy(header, victim->bytes, sizeof(header));
	header[at] ^= (uint8_t)(1 << bit);
	/* See damage_is_between. */
	if (damage_is_between(m, m->victim, header, sizeof(header)))
		return true;
	/* The first batch of an epoch says the one before: the new file has it so, and who reads it is refused. */
	if ((walk == walk_compact || walk == walk_scan) && strcmp(field, "leader epoch") == 0 && m->victim > 0 &&
	    m->batches[m->victim - 1].epoch < victim->epoch)
		return (int32_t)load_be32(header + 12) >= m->batches[m->victim - 1].epoch;
	/* Of what nothing good follows only the index knew the time, and it is gone. */
	if (walk == walk_time_anew && m->victim >= BATCHES_N - 4 &&
	    (m->victim == BATCHES_N - 1 || strcmp(field, "last offset") == 0 || strcmp(field, "length") == 0))
		return true;
	/* A gap, so it seems, up to what is not decided: nothing is served until that moves. */
	if (walk == walk_fetch_below && (strcmp(field, "base offset") == 0 || strcmp(field, "last offset") == 0))
		return true;
	/* Behind the last batch nothing tells of an epoch. */
	if (walk == walk_scan && strcmp(field, "leader epoch") == 0 && m->victim == BATCHES_N - 1)
		return (int32_t)load_be32(header + 12) >= victim->epoch || (int32_t)load_be32(header + 12) == -1;
	/* The last offset of a log moved up: the log goes on behind a gap, as one does that was compacted. */
	return strcmp(field, "base offset") == 0 && m->victim == BATCHES_N - 1 &&
	       (walk == walk_unknown || walk == walk_check || walk == walk_scan) &&
	       load_be64(header) > (uint64_t)victim->base;
}

static const struct {
	const char *name;
	enum outcome (*run)(struct damage *m);
} walks[] = {
	{"middle", walk_fetch_middle}, {"fetch", walk_fetch_all},   {"time", walk_time},   {"max time", walk_time_max},
	{"clean", walk_clean},         {"killed", walk_killed},     {"power", walk_power_cut},
	{"unknown", walk_unknown},     {"compact", walk_compact},   {"delete", walk_delete_records},
	{"move", walk_move},           {"scrub", walk_scrub},       {"check", walk_check},
	{"scan", walk_scan},
	{"time anew", walk_time_anew}, {"below", walk_fetch_below},
};

/* First of all, in the middle, the one that an index entry names, a marker, the last of a segment, the first of one,
 * the first of an epoch, the active segment's, the last two. */
static const int victims[] = {0, 3, 6, 9, 13, 22, 26, 44, 47, 53, 56, 58, 59};

static void test_table(void **state)
{
	struct damage *m = MEM_NEW(struct damage);
	bool is_all = getenv("MOLDAU_DAMAGE_ALL") != NULL;
	const char *only = getenv("MOLDAU_DAMAGE_WALK");
	int silent_n = 0;

	damage_make(m);
	for (size_t w = 0; w < ARRAY_N(walks); w++) {
		if (only && strcmp(only, walks[w].name) != 0)
			continue;
		/* The walk itself is right. */
		damage_flip(m, 0, -1);
		if (walks[w].run(m) != HARMLESS || m->has_told)
			fail_msg("%s of the good log", walks[w].name);
		for (size_t f = 0; f < ARRAY_N(fields); f++) {
			int count[3] = {0};

			for (size_t v = 0; v < ARRAY_N(victims); v++) {
				for (int bit = 0; bit < fields[f].len * 8; bit++) {
					enum outcome outcome;

					if (!is_all && bit % 8 != (bit / 8 * 3 + (int)v) % 8)
						continue;
					m->victim = victims[v];
					damage_flip(m, fields[f].at + bit / 8, bit % 8);
					if (getenv("MOLDAU_DAMAGE_SHOW"))
						fprintf(stderr, "  at %lld in %lld, offset %lld\n",
							(long long)m->batches[m->victim].pos,
							(long long)m->batches[m->victim].segment,
							(long long)m->batches[m->victim].base);
					outcome = walks[w].run(m);
					if (outcome == SILENT &&
					    is_beyond_knowledge(m, walks[w].run, fields[f].name,
								fields[f].at + bit / 8, bit % 8))
						outcome = HARMLESS;
					count[outcome]++;
					if (outcome == SILENT)
						fprintf(stderr, "SILENT %s: %s, byte %d bit %d of batch %d\n",
							walks[w].name, fields[f].name, bit / 8, bit % 8, m->victim);
				}
			}
			silent_n += count[SILENT];
			fprintf(stderr, "%-10s %-16s noticed %4d  harmless %4d  silent %4d\n", walks[w].name,
				fields[f].name, count[NOTICED], count[HARMLESS], count[SILENT]);
		}
	}
	damage_free(m);
	assert_int_equal(silent_n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
