/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage under torture: a random script of appends, syncs, checkpoints, truncations, closings is broken at each
 * changing disk operation in turn, by the end of the process, a power cut, one error, a full disk. What comes up again
 * is compared with what was written: nothing acknowledged is lost, what is there is a prefix of what was
 * appended, log and indexes, epochs, producers, open and aborted transactions agree.
 */
#include <inttypes.h>

#include "control.h"
#include "index_file.h"
#include "mem.h"
#include "mem_disk.h"
#include "storage_test.h"

#define BATCHES_MAX 4096
#define PRODUCERS_N 3
#define TXN_PRODUCERS_N 3 /* their ids follow */
#define IDS_N (PRODUCERS_N + TXN_PRODUCERS_N)
#define LOG_NAME "t-0"
#define LOG_PATH "/d/" LOG_NAME

struct model_batch {
	int64_t base, end;
	uint32_t crc;
	int32_t epoch;
};

struct script {
	struct mem_disk disk;
	struct storage_test t;
	struct part_log *log;
	struct rng rng;
	struct model_batch batches[BATCHES_MAX]; /* by offset; the last ones may have been taken back */
	int batches_n;
	int64_t acked_end;   /* done without error: survives the process */
	int64_t durable_end; /* survives a power cut */
	int64_t recovery_point, log_start;
	int32_t epoch;
	int32_t seqs[PRODUCERS_N];
	int in_flight;
	bool is_cutting; /* from the end: what it takes may be there or not */
	bool was_clean; /* closed in order at the end */
	uint64_t seed;
	uint64_t at;
	const char *what;
};

struct script_append {
	struct log_append append;
	struct script *s;
	struct test_batch spec;
};

static void script_note(struct script *s)
{
	if (s->log && !s->is_cutting && (s->log->state == PART_LOG_OPEN || s->log->state == PART_LOG_CLOSING))
		s->durable_end = s->log->durable.offset > s->durable_end ? s->log->durable.offset
			: s->durable_end;
}

static void script_turn(struct script *s)
{
	reactor_turn(s->t.reactor, 0);
	script_note(s);
}

static void script_append_done(struct log_append *append)
{
	struct script_append *a = container_of(append, struct script_append, append);
	struct script *s = a->s;

	s->in_flight--;
	if (!append->err) {
		assert_int_equal(s->acked_end, append->info.base_offset);
		s->acked_end = append->info.last_offset + 1;
	}
	mem_free(append->batch);
	mem_free(a);
}

/* The end of an open transaction, perhaps in the next epoch. */
static void script_make_marker(struct script *s, struct script_append *a, const struct producer_entry *entry)
{
	struct control_marker marker = {
		.timestamp = 1700000000000 + (int64_t)rng_below(&s->rng, 5000),
		.producer_id = entry->producer_id,
		.producer_epoch = (int16_t)(entry->epoch + (rng_below(&s->rng, 2) != 0)),
		.coordinator_epoch = entry->coordinator_epoch + (int32_t)rng_below(&s->rng, 2),
		.commit = rng_chance(&s->rng, 1, 3),
	};

	a->append.len = CONTROL_MARKER_LEN;
	a->append.batch = mem_alloc(CONTROL_MARKER_LEN);
	control_marker_build(a->append.batch, &marker);
}

static void script_make_batch(struct script *s, struct script_append *a, int p)
{
	const struct producer_entry *entry = producer_table_get(&s->log->producers.by_id, p);
	bool is_transactional = p >= PRODUCERS_N && p < IDS_N;

	if (is_transactional && entry && entry->txn_first_offset >= 0 && rng_chance(&s->rng, 1, 3)) {
		script_make_marker(s, a, entry);
		return;
	}
	a->spec = (struct test_batch){-1, -1, -1, (int32_t)rng_between(&s->rng, 1, 4),
				      1700000000000 + (int64_t)rng_below(&s->rng, 5000),
				      (size_t)rng_below(&s->rng, 120)};
	if (p < IDS_N) {
		a->spec.producer_id = p;
		a->spec.epoch = entry ? entry->epoch : 0;
		a->spec.seq = entry && entry->batches_n
			? sequence_add(entry->batches[entry->batches_n - 1].last_seq, 1) : 0;
	}
	a->append.batch = batch_make(&a->spec, &a->append.len);
	if (is_transactional) {
		batch_set_attributes(a->append.batch, BATCH_TRANSACTIONAL);
		batch_set_crc(a->append.batch);
	}
}

static void script_append(struct script *s)
{
	struct script_append *a = MEM_NEW(struct script_append);
	enum producer_verdict verdict = PRODUCER_APPEND;
	struct producer_batch dup;

	a->s = s;
	script_make_batch(s, a, (int)rng_below(&s->rng, IDS_N + 1));
	assert_int_equal(batch_check_header((struct bytes){a->append.batch, a->append.len}, BATCH_CHECK_CRC,
					    &a->append.info),
			 ERR_NONE);
	assert_int_equal(producer_state_check(&s->log->producers, &a->append.info, &verdict, &dup), ERR_NONE);
	assert_int_equal(verdict, PRODUCER_APPEND);
	a->append.done = script_append_done;
	if (s->log->state != PART_LOG_OPEN || part_log_append(s->log, &a->append, s->epoch)) {
		mem_free(a->append.batch);
		mem_free(a);
		return;
	}
	s->in_flight++;
	/* It takes the place of whatever was taken back. */
	while (s->batches_n && s->batches[s->batches_n - 1].base >= a->append.info.base_offset)
		s->batches_n--;
	if (s->batches_n)
		assert_int_equal(s->batches[s->batches_n - 1].end, a->append.info.base_offset);
	assert_true(s->batches_n < BATCHES_MAX);
	s->batches[s->batches_n++] = (struct model_batch){a->append.info.base_offset,
							  a->append.info.last_offset + 1,
							  a->append.info.crc, s->epoch};
}

static void script_checkpoint_done(struct storage *storage)
{
	struct storage_test *t = storage->ctx;
	struct script *s = container_of(t, struct script, t);

	/* The file would be written now. */
	if (s->log && s->log->state == PART_LOG_OPEN && !s->disk.is_dead) {
		s->recovery_point = s->log->recovery_point;
		s->log_start = s->log->log_start;
	}
}

static void script_open(struct script *s, bool must)
{
	s->log = part_log_new(&s->t.storage, s->t.dir, STR(LOG_NAME), s->t.topic_id, &s->t.config);
	part_log_open(s->log, s->recovery_point, s->log_start);
	for (int i = 0; i < 1000 && s->log->state == PART_LOG_OPENING; i++)
		script_turn(s);
	if (must && s->log->state != PART_LOG_OPEN)
		fail_msg("%s seed %" PRIu64 " at %" PRIu64 ": does not open: %s", s->what, s->seed, s->at,
			 err_name(s->log->failure));
}

static void script_start(struct script *s, enum storage_durability durability)
{
	storage_test_init_own(&s->t, durability, &s->disk.io, "/d");
	s->t.config.segment_bytes = 3000;
	s->t.config.index_interval_bytes = 150;
	s->t.options.open_files_max = 8;
}

/* Lets what is under way end, one way or the other, and lets go of the log. */
static void script_drop(struct script *s)
{
	for (int i = 0; i < 300; i++) {
		script_turn(s);
		if (!s->in_flight && storage_is_idle(&s->t.storage) && i > 3)
			break;
	}
	if (s->log->state != PART_LOG_CLOSED && s->log->state != PART_LOG_FAILED) {
		s->log->state = PART_LOG_FAILED;
		s->log->failure = ERR_LOG_CLOSED;
	}
	part_log_free(s->log);
	s->log = NULL;
	for (int i = 0; i < 300 && !storage_is_idle(&s->t.storage); i++)
		script_turn(s);
	assert_int_equal(s->in_flight, 0);
	storage_test_stop(&s->t);
}

static void script_close(struct script *s)
{
	while (s->log->state == PART_LOG_OPEN && s->in_flight)
		script_turn(s);
	if (s->log->state != PART_LOG_OPEN)
		return;
	part_log_close(s->log);
	for (int i = 0; i < 1000 && s->log->state == PART_LOG_CLOSING; i++)
		script_turn(s);
	s->was_clean = s->log->state == PART_LOG_CLOSED && !s->log->failure;
	if (s->was_clean) {
		s->durable_end = s->recovery_point = s->log->recovery_point;
		s->log_start = s->log->log_start;
	}
}

/* Off the end, as a follower does it. A crash before it is over leaves any prefix between the two ends. */
static void script_truncate(struct script *s)
{
	int64_t to;
	int at;

	while (s->in_flight && s->log->state == PART_LOG_OPEN && !s->disk.is_dead)
		script_turn(s);
	if (s->log->state != PART_LOG_OPEN || s->disk.is_dead || !s->batches_n)
		return;
	at = (int)rng_below(&s->rng, (uint64_t)s->batches_n);
	to = s->batches[at].base;
	if (to < s->log->log_start || to >= s->log->end)
		return;
	s->is_cutting = true;
	s->acked_end = MIN(s->acked_end, to);
	s->durable_end = MIN(s->durable_end, to);
	part_log_truncate(s->log, to);
	for (int i = 0; i < 1000 && s->log->state == PART_LOG_OPEN && s->log->end > to && !s->disk.is_dead; i++)
		script_turn(s);
	if (s->log->state != PART_LOG_OPEN || s->disk.is_dead)
		return;
	if (s->log->end != to)
		fail_msg("%s seed %" PRIu64 " at %" PRIu64 ": a truncation to %" PRId64 " does not end", s->what,
			 s->seed, s->at, to);
	s->is_cutting = false;
	s->batches_n = at;
	/* The file is written before anything is appended. */
	s->recovery_point = MIN(s->recovery_point, s->log->recovery_point);
}

static void script_run(struct script *s, int steps)
{
	script_open(s, false);
	for (int step = 0; step < steps && !s->disk.is_dead && s->log->state == PART_LOG_OPEN; step++) {
		switch (rng_below(&s->rng, 12)) {
		case 0:
			storage_checkpoint(&s->t.storage, script_checkpoint_done);
			break;
		case 1:
			part_log_sync(s->log);
			break;
		case 2:
			s->epoch++;
			part_log_start_epoch(s->log, s->epoch);
			break;
		case 3:
			for (int i = 0; i < 5; i++)
				script_turn(s);
			break;
		case 4:
			if (rng_chance(&s->rng, 1, 3) && s->log->durable.offset > s->log->log_start) {
				part_log_set_start(s->log,
						   rng_between(&s->rng, s->log->log_start,
							       s->log->durable.offset));
				break;
			}
			/* fall through */
		case 5:
			if (rng_chance(&s->rng, 1, 3)) {
				script_truncate(s);
				break;
			}
			/* fall through */
		default:
			for (uint64_t n = rng_below(&s->rng, 6) + 1; n > 0; n--)
				script_append(s);
		}
		if (rng_chance(&s->rng, 2, 3))
			script_turn(s);
	}
	if (s->log->state == PART_LOG_OPEN && !s->disk.is_dead)
		script_close(s);
	script_drop(s);
}

/* --- what must hold afterwards --- */

#define BAD(s, ...)                                                                          \
	do {                                                                                 \
		print_error("%s seed %" PRIu64 " at %" PRIu64 ": ", (s)->what, (s)->seed, (s)->at); \
		fail_msg(__VA_ARGS__);                                                       \
	} while (0)

static void check_batches(struct script *s)
{
	struct part_log *log = s->log;
	int64_t offset = log->log_start;
	int at = 0;

	while (offset < log->end) {
		struct batch_info info;
		struct batch_iter it;
		uint8_t *p;
		size_t len;

		assert_int_equal(log_get(&s->t, log, offset, (int64_t)rng_below(&s->rng, 4000), &p, &len),
				 ERR_NONE);
		it = batch_iter_of((struct bytes){p, len}, BATCH_CHECK_CRC);
		while (batch_iter_next(&it, &info)) {
			while (at < s->batches_n && s->batches[at].base < info.base_offset)
				at++;
			if (at == s->batches_n || s->batches[at].base != info.base_offset ||
			    s->batches[at].crc != info.crc)
				BAD(s, "a batch at %" PRId64 " that was never appended there",
				    info.base_offset);
			if (info.base_offset > offset)
				BAD(s, "a gap at %" PRId64, offset);
			if (info.leader_epoch != s->batches[at].epoch)
				BAD(s, "epoch %d in batch %" PRId64, info.leader_epoch, info.base_offset);
			if (info.base_offset >= log->log_start &&
			    epoch_cache_of(&log->epochs, info.base_offset) != info.leader_epoch)
				BAD(s, "start %" PRId64 ", epochs %zu from %d at %"
				    PRId64 ": the cache says %d at %" PRId64 ", the batch %d", log->log_start,
				    log->epochs.entries.n, log->epochs.entries.n
					? log->epochs.entries.v[0].epoch : -1,
				    log->epochs.entries.n ? log->epochs.entries.v[0].start_offset : -1,
				    epoch_cache_of(&log->epochs, info.base_offset), info.base_offset,
					info.leader_epoch);
			offset = info.last_offset + 1;
		}
		if (it.err || it.pos == 0)
			BAD(s, "no batch at %" PRId64, offset);
		mem_free(p);
	}
}

static void check_index(struct script *s, const char *path, struct bytes index)
{
	char log_path[200];
	struct bytes log;
	int64_t base = atoll(path + strlen(LOG_PATH) + 1);
	int64_t last = -1;

	snprintf(log_path, sizeof(log_path), "%s/%020" PRId64 ".log", LOG_PATH, base);
	log = mem_disk_peek(&s->disk, log_path);
	if (!log.p)
		BAD(s, "%s has no log", path);
	if (index.len % INDEX_ENTRY_LEN)
		BAD(s, "%s has %zu bytes", path, index.len);
	for (size_t i = 0; i < index.len; i += INDEX_ENTRY_LEN) {
		int64_t offset = base + (int32_t)load_be32(index.p + i), pos = load_be32(index.p + i + 4);
		struct batch_info info;

		if ((size_t)pos >= log.len ||
		    batch_check_header((struct bytes){log.p + pos, log.len - (size_t)pos}, 0, &info) ||
		    info.last_offset != offset || offset <= last)
			BAD(s, "%s: entry %zu (%" PRId64 " at %" PRId64 ") is wrong", path,
			    i / INDEX_ENTRY_LEN, offset, pos);
		last = offset;
	}
}

static void check_indexes(struct script *s)
{
	for (size_t i = 0; i < s->disk.visible.list.n; i++) {
		const char *path = s->disk.visible.list.v[i].path;
		size_t len = strlen(path);

		if (len > 6 && strcmp(path + len - 6, ".index") == 0 &&
		    strncmp(path, LOG_PATH "/", strlen(LOG_PATH) + 1) == 0)
			check_index(s, path, mem_disk_peek(&s->disk, path));
	}
}

/* Each producer's last batch in the log is what the state says. */
static void check_producers(struct script *s)
{
	int32_t last[IDS_N] = {-1, -1, -1, -1, -1, -1};
	int64_t last_offset[IDS_N] = {-1, -1, -1, -1, -1, -1};
	int16_t epochs[IDS_N] = {0};
	struct part_log *log = s->log;
	int64_t offset = log->log_start;

	while (offset < log->end) {
		struct batch_info info;
		uint8_t *p;
		size_t len;

		assert_int_equal(log_get(&s->t, log, offset, 1, &p, &len), ERR_NONE);
		assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &info),
				 ERR_NONE);
		if (info.producer_id >= 0 && !batch_is_control(&info)) {
			last[info.producer_id] = batch_last_sequence(&info);
			last_offset[info.producer_id] = info.last_offset;
		} else if (info.producer_id >= 0 && info.producer_epoch != epochs[info.producer_id]) {
			last[info.producer_id] = -1; /* the epoch forgets them */
		}
		if (info.producer_id >= 0)
			epochs[info.producer_id] = info.producer_epoch;
		offset = info.last_offset + 1;
		mem_free(p);
	}
	for (int i = 0; i < IDS_N; i++) {
		const struct producer_entry *entry = producer_table_get(&log->producers.by_id, i);
		const struct producer_batch *newest = entry && entry->batches_n
			? &entry->batches[entry->batches_n - 1] : NULL;

		if (last[i] < 0)
			continue;
		if (!newest || newest->last_seq != last[i] || newest->last_offset != last_offset[i])
			BAD(s, "producer %d: state says %d at %" PRId64 ", log %d at %" PRId64, i,
			    newest ? newest->last_seq : -1,
			    newest ? newest->last_offset : -1, last[i], last_offset[i]);
		for (int k = 1; k < entry->batches_n; k++)
			if (entry->batches[k].last_offset <= entry->batches[k - 1].last_offset)
				BAD(s, "producer %d: window not ascending", i);
	}
}

/* What the log says of transactions, from its start on. */
struct model_txns {
	int64_t open[IDS_N]; /* first offset, -1 */
	VEC(struct aborted_txn) aborted;
};

static void model_txns_read(struct script *s, struct model_txns *model)
{
	int64_t offset = s->log->log_start;

	for (int i = 0; i < IDS_N; i++)
		model->open[i] = -1;
	while (offset < s->log->end) {
		struct batch_info info;
		uint8_t *p;
		size_t len;

		assert_int_equal(log_get(&s->t, s->log, offset, 1, &p, &len), ERR_NONE);
		assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &info), ERR_NONE);
		if (batch_is_control(&info)) {
			struct aborted_txn txn = {info.producer_id, model->open[info.producer_id], info.last_offset, 0};

			if (txn.first_offset >= 0 && p[BATCH_HEADER_LEN + 8] == CONTROL_ABORT)
				vec_push(&model->aborted, txn);
			model->open[info.producer_id] = -1;
		} else if (batch_is_transactional(&info) && model->open[info.producer_id] < 0) {
			model->open[info.producer_id] = info.base_offset;
		}
		offset = info.last_offset + 1;
		mem_free(p);
	}
}

/* A transaction that began below the start of the log may be known from there or from where its rest begins. */
static void check_aborted(struct script *s, const struct model_txns *model)
{
	const struct aborted_txns *all = &s->log->aborted;
	size_t at = 0;

	for (size_t i = 0; i < all->list.n; i++) {
		const struct aborted_txn *txn = &all->list.v[i];

		if (i && txn->last_offset <= txn[-1].last_offset)
			BAD(s, "aborted transactions are not in order");
		if (txn->last_offset < s->log->log_start)
			continue;
		if (txn->last_stable_offset > txn->last_offset + 1)
			BAD(s, "aborted at %" PRId64 ": stable up to %" PRId64, txn->last_offset,
			    txn->last_stable_offset);
		if (at < model->aborted.n && model->aborted.v[at].last_offset == txn->last_offset) {
			if (txn->producer_id != model->aborted.v[at].producer_id ||
			    txn->first_offset > model->aborted.v[at].first_offset)
				BAD(s, "aborted at %" PRId64 ": from %" PRId64 ", log %" PRId64, txn->last_offset,
				    txn->first_offset, model->aborted.v[at].first_offset);
			at++;
		} else if (txn->first_offset >= s->log->log_start) {
			BAD(s, "aborted at %" PRId64 " from %" PRId64 ", log has %" PRId64 " next, starts at %" PRId64,
			    txn->last_offset, txn->first_offset,
			    at < model->aborted.n ? model->aborted.v[at].last_offset : -1, s->log->log_start);
		}
	}
	if (at < model->aborted.n)
		BAD(s, "aborted at %" PRId64 " is in no index", model->aborted.v[at].last_offset);
}

static void check_transactions(struct script *s)
{
	struct model_txns model = {0};
	int64_t first = INT64_MAX;

	model_txns_read(s, &model);
	for (int i = 0; i < IDS_N; i++) {
		const struct producer_entry *entry = producer_table_get(&s->log->producers.by_id, i);
		int64_t open = entry ? entry->txn_first_offset : -1;

		if (open >= 0)
			first = MIN(first, open);
		if (open != model.open[i] && (open < 0 || open >= s->log->log_start))
			BAD(s, "producer %d: open from %" PRId64 ", log %" PRId64, i, open, model.open[i]);
	}
	producer_state_settle(&s->log->producers, s->log->end);
	if (producer_state_first_unstable(&s->log->producers) != first)
		BAD(s, "undecided from %" PRId64 ", open from %" PRId64,
		    producer_state_first_unstable(&s->log->producers), first);
	check_aborted(s, &model);
	vec_deinit(&model.aborted);
}

static void check_time(struct script *s)
{
	int64_t offset = log_time(&s->t, s->log, INT64_MIN);

	if (s->log->end > s->log->log_start && offset < s->log->log_start)
		BAD(s, "no greatest timestamp in a log with records");
}

static void script_verify(struct script *s, enum log_dir_stop stop, int64_t least_end)
{
	int64_t end;

	if (getenv("TORTURE_FILES")) {
		for (size_t i = 0; i < s->disk.visible.list.n; i++) {
			struct bytes b = mem_disk_peek(&s->disk, s->disk.visible.list.v[i].path);

			printf("%s %zu\n", s->disk.visible.list.v[i].path, b.len);
			if (strstr(s->disk.visible.list.v[i].path, "leader"))
				printf("%.*s", (int)b.len, (const char *)b.p);
		}
		printf("acked %" PRId64 " durable %" PRId64 " recovery point %" PRId64 " start %" PRId64 "\n",
		       s->acked_end,
		       s->durable_end, s->recovery_point, s->log_start);
	}
	storage_test_start(&s->t, stop);
	script_open(s, true);
	if (s->log->end < least_end)
		BAD(s, "ends at %" PRId64 ", acknowledged up to %" PRId64, s->log->end, least_end);
	assert_int_equal(s->log->appended.offset, s->log->end);
	check_batches(s);
	check_indexes(s);
	check_producers(s);
	check_transactions(s);
	check_time(s);
	/* It goes on. */
	s->acked_end = s->log->end;
	s->epoch++;
	for (int i = 0; i < 30; i++) {
		script_append(s);
		if (i % 4 == 0)
			script_turn(s);
	}
	while (s->in_flight)
		script_turn(s);
	assert_int_equal(s->acked_end, s->log->end);
	end = s->log->end;
	script_close(s);
	assert_true(s->was_clean);
	script_drop(s);
	mem_disk_kill(&s->disk);
	storage_test_start(&s->t, LOG_DIR_CLEAN);
	script_open(s, true);
	if (s->log->end != end)
		BAD(s, "closed with end %" PRId64 ", opened with %" PRId64, end, s->log->end);
	check_batches(s);
	check_indexes(s);
	check_producers(s);
	check_transactions(s);
	script_close(s);
	script_drop(s);
}

enum torture { TORTURE_KILL, TORTURE_POWER, TORTURE_ERROR, TORTURE_FULL };

static uint64_t torture_once(enum torture torture, uint64_t seed, uint64_t at,
			     enum storage_durability durability)
{
	static const char *const names[] = {"kill", "power cut", "error", "full"};
	struct script *s = MEM_NEW(struct script);
	uint64_t changes;
	bool was_dead;

	s->what = names[torture];
	s->seed = seed;
	s->at = at;
	s->recovery_point = s->log_start = -1;
	mem_disk_init(&s->disk, seed * 1000003 + at);
	rng_init(&s->rng, seed);
	script_start(s, durability);
	if (torture == TORTURE_KILL || torture == TORTURE_POWER) {
		s->disk.crash_at = at;
	} else {
		s->disk.fail_at = at;
		s->disk.fail_err = torture == TORTURE_ERROR ? ERR_IO : ERR_DISK_FULL;
	}
	script_run(s, 60);
	changes = s->disk.changes;
	was_dead = s->disk.is_dead || s->disk.has_failed;
	if (torture == TORTURE_POWER)
		mem_disk_power_cut(&s->disk);
	else
		mem_disk_kill(&s->disk);
	if (torture == TORTURE_POWER)
		script_verify(s, s->was_clean ? LOG_DIR_CLEAN : LOG_DIR_POWER_CUT, s->durable_end);
	else
		script_verify(s, s->was_clean ? LOG_DIR_CLEAN : LOG_DIR_KILLED, s->acked_end);
	mem_disk_deinit(&s->disk);
	mem_free(s);
	return was_dead ? changes : 0;
}

static void torture_all(enum torture torture, uint64_t seeds)
{
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		enum storage_durability durability = seed % 2 ? STORAGE_PAGE_CACHE : STORAGE_SYNCED;

		for (uint64_t at = 1; torture_once(torture, seed, at, durability); at++)
			;
	}
}

static uint64_t seeds_n = 12;

static void test_kill(void **state)
{
	torture_all(TORTURE_KILL, seeds_n);
}

static void test_power_cut(void **state)
{
	torture_all(TORTURE_POWER, seeds_n);
}

static void test_error(void **state)
{
	torture_all(TORTURE_ERROR, seeds_n);
}

static void test_full(void **state)
{
	torture_all(TORTURE_FULL, seeds_n);
}

/* A disk that is full for a while: refused, readable, back by itself. */
static void test_full_and_back(void **state)
{
	struct script *s = MEM_NEW(struct script);
	int64_t acked;

	s->what = "full and back";
	s->recovery_point = s->log_start = -1;
	mem_disk_init(&s->disk, 5);
	rng_init(&s->rng, 5);
	script_start(s, STORAGE_PAGE_CACHE);
	s->t.config.segment_bytes = 20000;
	script_open(s, true);
	s->disk.capacity = 30000;
	for (int i = 0; i < 400 && s->t.dir->state == LOG_DIR_ONLINE; i++) {
		script_append(s);
		script_turn(s);
	}
	assert_int_equal(s->t.dir->state, LOG_DIR_FULL);
	assert_int_equal(s->t.dir_changes, 1);
	for (int i = 0; i < 300; i++)
		script_turn(s);
	assert_int_equal(s->t.dir->state, LOG_DIR_FULL);
	acked = s->acked_end;
	assert_int_equal(s->log->end, acked);
	assert_int_equal(s->log->appended.offset, acked);
	script_append(s);
	assert_int_equal(s->log->end, acked);
	check_batches(s);
	s->disk.capacity = MIB(10);
	for (int i = 0; i < 300 && s->t.dir->state != LOG_DIR_ONLINE; i++)
		script_turn(s);
	assert_int_equal(s->t.dir->state, LOG_DIR_ONLINE);
	assert_int_equal(s->t.dir_changes, 2);
	for (int i = 0; i < 50; i++)
		script_append(s);
	while (s->in_flight)
		script_turn(s);
	assert_true(s->acked_end > acked + 40);
	check_batches(s);
	check_producers(s);
	check_transactions(s);
	script_close(s);
	assert_true(s->was_clean);
	script_drop(s);
	mem_disk_kill(&s->disk);
	script_verify(s, LOG_DIR_CLEAN, s->acked_end);
	mem_disk_deinit(&s->disk);
	mem_free(s);
}

static void quiet(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_and_back), cmocka_unit_test(test_kill),
			cmocka_unit_test(test_power_cut),
		cmocka_unit_test(test_error),	      cmocka_unit_test(test_full),
	};
	struct log_sink sink = {.level = LOG_ERROR, .write = quiet};

	/* "KIND SEED AT" runs one case: as named by a failure, KIND counted from 0. */
	if (argc > 3) {
		uint64_t seed = (uint64_t)atoll(argv[2]);

		torture_once((enum torture)atoi(argv[1]), seed, (uint64_t)atoll(argv[3]),
			     seed % 2 ? STORAGE_PAGE_CACHE : STORAGE_SYNCED);
		return 0;
	}
	if (argc > 1)
		seeds_n = (uint64_t)atoll(argv[1]);
	if (!getenv("TORTURE_VERBOSE"))
		log_sink_set(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
