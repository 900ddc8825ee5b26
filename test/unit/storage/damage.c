/* SPDX-License-Identifier: Apache-2.0 */
/* See damage.h. */
#include "damage.h"

#include <dirent.h>

#include "batch_build.h"
#include "control.h"
#include "mem.h"

static void damage_tell(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
	struct damage *m = container_of(sink, struct damage, sink);

	/* An index that is made anew says nothing of the log. */
	if (level >= LOG_WARN && strcmp(event, "log.index_rebuild") != 0)
		m->has_told = true;
	if (getenv("MOLDAU_DAMAGE_SHOW"))
		fprintf(stderr, "    %s %s\n", event, text);
}

/* ---- the good log ---- */

struct damage_append {
	struct log_append append;
	bool is_done;
};

static void damage_appended(struct log_append *append)
{
	container_of(append, struct damage_append, append)->is_done = true;
}

static struct bytes damage_build(struct damage *m, int i, struct scratch *out)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct bytes built;
	char value[40];
	uint8_t bytes[CONTROL_MARKER_LEN];
	bool is_txn = i % 10 == 3 || i % 10 == 5;

	if (i % 10 == 6) {
		struct control_marker marker = {.timestamp = TIME_OF(i), .producer_id = PID_TXN, .coordinator_epoch = 2,
						.commit = (i / 10) % 2 == 0};

		control_marker_build(bytes, &marker);
		assert_int_equal(scratch_append(out, bytes, sizeof(bytes)), ERR_NONE);
		return scratch_bytes(out);
	}
	if (i % 10 != 8) {
		spec.producer_id = is_txn ? PID_TXN : PID_PLAIN;
		spec.producer_epoch = 0;
		spec.base_sequence = is_txn ? m->txn_seq : m->seq;
		*(is_txn ? &m->txn_seq : &m->seq) += 3;
		spec.attributes = is_txn ? BATCH_TRANSACTIONAL : 0;
	}
	assert_int_equal(batch_builder_init(&b, &spec, out, NULL), ERR_NONE);
	for (int k = 0; k < 3; k++) {
		struct record_fields fields = {0};
		char key[16];

		snprintf(key, sizeof(key), "key-%d", (i * 3 + k) % 50);
		snprintf(value, sizeof(value), "value of record %d of batch %d", k, i);
		fields.key = (struct bytes){(const uint8_t *)key, strlen(key)};
		fields.value = (struct bytes){(const uint8_t *)value, strlen(value)};
		assert_int_equal(batch_builder_add(&b, TIME_OF(i) + k, &fields), ERR_NONE);
	}
	assert_int_equal(batch_builder_finish(&b, &built), ERR_NONE);
	return built;
}

static void damage_append(struct damage *m, int i)
{
	static const int32_t epochs[] = {0, 3, 7};
	struct damage_append a = {0};
	struct scratch out = {0};
	struct bytes built = damage_build(m, i, &out);
	struct damage_batch *batch = &m->batches[i];

	batch->epoch = epochs[i / 22];
	if (i % 22 == 0)
		part_log_start_epoch(m->log, batch->epoch);
	a.append.batch = out.p;
	a.append.len = built.len;
	a.append.done = damage_appended;
	assert_int_equal(batch_check_header(built, BATCH_CHECK_CRC, &a.append.info), ERR_NONE);
	assert_int_equal(part_log_append(m->log, &a.append, batch->epoch), ERR_NONE);
	for (int k = 0; k < TURNS_MAX && !a.is_done; k++)
		turn(&m->t);
	assert_true(a.is_done);
	assert_int_equal(a.append.err, ERR_NONE);
	batch->base = a.append.info.base_offset;
	batch->last = a.append.info.last_offset;
	batch->segment = m->log->appended.segment_base;
	batch->len = built.len;
	batch->pos = m->log->appended.file_pos - (int64_t)built.len;
	batch->bytes = out.p;
	m->end = m->log->end;
}

void damage_path(const struct damage *m, const char *log, const char *name, char ret[600])
{
	snprintf(ret, 600, "%s/%s/%s", m->t.path, log, name);
}

/* Keeps the files, as the log was closed. */
static void damage_keep(struct damage *m)
{
	char path[600];
	struct dirent *entry;
	DIR *dir;

	damage_path(m, "d-0", "", path);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct damage_file *file = &m->files[m->files_n];

		if (entry->d_name[0] == '.')
			continue;
		assert_true(m->files_n < FILES_MAX);
		snprintf(file->name, sizeof(file->name), "%s", entry->d_name);
		damage_path(m, "d-0", file->name, path);
		assert_int_equal(fs_read_all(m->t.io->fs, path, MIB(16), (char **)&file->bytes, &file->len), ERR_NONE);
		m->files_n++;
	}
	closedir(dir);
}

void damage_remove(const struct damage *m, const char *log)
{
	char command[200];

	snprintf(command, sizeof(command), "rm -rf %s/%s*", m->t.path, log);
	assert_int_equal(system(command), 0);
}

void damage_flip(struct damage *m, int at, int bit)
{
	const struct damage_batch *victim = &m->batches[m->victim];
	char path[600], name[64];
	struct dirent *entry;
	DIR *dir;

	damage_path(m, "d-0", "", path);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		enum err err;

		damage_path(m, "d-0", entry->d_name, path);
		if (entry->d_name[0] == '.')
			continue;
		/* The storage may still be taking away what the walk before deleted. */
		err = m->t.io->fs->ops->unlink(m->t.io->fs, path);
		assert_true(err == ERR_NONE || err == ERR_NOT_FOUND);
	}
	closedir(dir);
	snprintf(name, sizeof(name), "%020lld.log", (long long)victim->segment);
	for (size_t i = 0; i < m->files_n; i++) {
		struct damage_file *file = &m->files[i];
		bool is_it = strcmp(file->name, name) == 0;

		if (is_it && bit >= 0)
			file->bytes[victim->pos + at] ^= (uint8_t)(1 << bit);
		file_put(&m->t, "d-0", file->name, file->bytes, file->len);
		if (is_it && bit >= 0)
			file->bytes[victim->pos + at] ^= (uint8_t)(1 << bit);
	}
	m->has_told = false;
	m->is_good = bit < 0;
}

void damage_unclose(struct damage *m)
{
	char path[600], name[64];

	snprintf(name, sizeof(name), "%020lld.snapshot", (long long)m->end);
	damage_path(m, "d-0", name, path);
	assert_int_equal(m->t.io->fs->ops->unlink(m->t.io->fs, path), ERR_NONE);
}

struct damage_hello {
	struct io_op op;
	struct damage *m;
	bool is_done;
};

static void hello_run(struct io_op *op, struct fs *fs)
{
	log_sink_set(&container_of(op, struct damage_hello, op)->m->sink);
}

static void hello_done(struct io_op *op)
{
	container_of(op, struct damage_hello, op)->is_done = true;
}

/* What the helper, there is one, tells is heard, too. */
void damage_listen(struct damage *m)
{
	struct damage_hello hello = {.op = {.kind = IO_WORK, .work.run = hello_run, .done = hello_done}, .m = m};

	io_submit(m->t.io, &hello.op);
	for (int i = 0; i < TURNS_MAX && !hello.is_done; i++)
		turn(&m->t);
	assert_true(hello.is_done);
}

void damage_make(struct damage *m)
{
	*m = (struct damage){.sink = {.level = LOG_INFO, .write = damage_tell}};
	storage_test_init_in_memory(&m->t, STORAGE_PAGE_CACHE);
	m->sink_before = log_sink_set(&m->sink);
	damage_listen(m);
	m->t.config.segment_bytes = 4500;
	m->t.config.index_interval_bytes = 600;
	m->t.config.is_compacted = true;
	m->t.config.max_compaction_lag_ms = INT64_MAX;
	m->t.config.delete_retention_ms = 86400000;
	m->log = log_open(&m->t, "d-0", -1);
	for (int i = 0; i < BATCHES_N; i++)
		damage_append(m, i);
	log_close(&m->t, m->log);
	damage_keep(m);
}

void damage_free(struct damage *m)
{
	for (int i = 0; i < BATCHES_N; i++)
		mem_free(m->batches[i].bytes);
	for (size_t i = 0; i < m->files_n; i++)
		mem_free(m->files[i].bytes);
	storage_test_deinit(&m->t);
	log_sink_set(m->sink_before);
	mem_free(m);
}

/* ---- comparing ---- */

static int damage_at(const struct damage *m, int64_t offset)
{
	int i = 0;

	while (m->batches[i].last < offset)
		i++;
	return i;
}

/* An error is of the damage when it is near: behind it no further than the next place the index knows. */
static bool damage_is_near(const struct damage *m, int64_t offset)
{
	int i = damage_at(m, offset);

	return i >= m->victim - 1 && i <= m->victim + 6;
}

enum outcome worse(enum outcome a, enum outcome b)
{
	return a > b ? a : b;
}

bool damage_is_between(const struct damage *m, int i, const uint8_t *p, size_t n)
{
	const uint8_t *good = m->batches[i].bytes;
	int32_t epoch = n > 16 ? (int32_t)load_be32(p + 12) : -1, next = -1;

	for (int k = i; k < BATCHES_N && next < 0; k++)
		next = m->batches[k].epoch > m->batches[i].epoch ? m->batches[k].epoch : -1;
	return i == m->victim && epoch > m->batches[i].epoch && epoch < next && memcmp(p, good, 12) == 0 &&
	       memcmp(p + 16, good + 16, n - 16) == 0;
}

enum outcome damage_read(struct damage *m, int64_t offset, int64_t max_bytes)
{
	enum outcome outcome = HARMLESS;
	int i = damage_at(m, offset);
	uint8_t *p;
	size_t len, at = 0;
	enum err err = log_get(&m->t, m->log, offset, max_bytes, &p, &len);

	if (err)
		return err == ERR_CORRUPT_MESSAGE && m->has_told && damage_is_near(m, offset) ? NOTICED : SILENT;
	if (len == 0)
		outcome = SILENT;
	while (outcome == HARMLESS && at < len && i < BATCHES_N) {
		size_t n = MIN(m->batches[i].len, len - at);

		if (memcmp(p + at, m->batches[i].bytes, n) != 0 && !damage_is_between(m, i, p + at, n))
			outcome = SILENT;
		at += n;
		i++;
	}
	mem_free(p);
	return outcome;
}

enum outcome damage_read_all(struct damage *m, int64_t max_bytes)
{
	enum outcome outcome = HARMLESS;

	for (int64_t offset = m->log->log_start; offset < MIN(m->log->end, m->end); offset++) {
		if (damage_is_near(m, offset) || offset % 31 == 0)
			outcome = worse(outcome, damage_read(m, offset, max_bytes));
	}
	return outcome;
}

static bool producers_are_same(const struct producer_state *a, const struct producer_state *b)
{
	static const int64_t ids[] = {PID_PLAIN, PID_TXN};

	for (size_t i = 0; i < 2; i++) {
		const struct producer_entry *x = producer_table_get(&a->by_id, ids[i]);
		const struct producer_entry *y = producer_table_get(&b->by_id, ids[i]);

		if (!x || !y) {
			if (x || y)
				return false;
			continue;
		}
		if (x->epoch != y->epoch || x->txn_first_offset != y->txn_first_offset ||
		    x->coordinator_epoch != y->coordinator_epoch || x->last_timestamp_ms != y->last_timestamp_ms ||
		    x->batches_n == 0 || y->batches_n == 0 ||
		    x->batches[x->batches_n - 1].last_seq != y->batches[y->batches_n - 1].last_seq ||
		    x->batches[x->batches_n - 1].last_offset != y->batches[y->batches_n - 1].last_offset)
			return false;
	}
	return a->by_id.n == b->by_id.n;
}

/* What a start found against the batches below the end it found; without: one that does not count. */
static bool damage_state_is(struct damage *m, int without)
{
	struct producer_state producers;
	struct aborted_txns aborted = {0};
	struct epoch_cache epochs = {0};
	bool is_same;

	producer_state_init(&producers, 1);
	for (int i = 0; i < BATCHES_N && m->batches[i].last < m->log->end; i++) {
		struct aborted_txn txn;
		struct batch_info info;

		epoch_cache_assign(&epochs, m->batches[i].epoch, m->batches[i].base);
		if (i == without)
			continue;
		assert_int_equal(batch_parse((struct bytes){m->batches[i].bytes, m->batches[i].len}, &info), ERR_NONE);
		if (producer_state_aborts(&producers, &info, &txn))
			vec_push(&aborted.list, txn);
		producer_state_append(&producers, &info, NULL);
	}
	if (epoch_cache_latest(&m->log->epochs) == EPOCH_NOW)
		epoch_cache_assign(&epochs, EPOCH_NOW, m->log->end);
	is_same = producers_are_same(&producers, &m->log->producers) && aborted.list.n == m->log->aborted.list.n &&
		  epochs.entries.n == m->log->epochs.entries.n;
	for (size_t i = 0; is_same && i < aborted.list.n; i++)
		is_same = memcmp(&aborted.list.v[i], &m->log->aborted.list.v[i], sizeof(aborted.list.v[i])) == 0;
	for (size_t i = 0; is_same && i < epochs.entries.n; i++)
		is_same = epochs.entries.v[i].epoch == m->log->epochs.entries.v[i].epoch &&
			  epochs.entries.v[i].start_offset == m->log->epochs.entries.v[i].start_offset;
	if (!is_same && getenv("MOLDAU_DAMAGE_SHOW"))
		fprintf(stderr, "    end %lld: producers %d, %zu aborted, %zu epochs\n", (long long)m->log->end,
			producers_are_same(&producers, &m->log->producers), m->log->aborted.list.n,
			m->log->epochs.entries.n);
	vec_deinit(&aborted.list);
	epoch_cache_deinit(&epochs);
	producer_state_deinit(&producers);
	return is_same;
}

enum outcome damage_compare_state(struct damage *m)
{
	if (m->log->end > m->end || (m->log->end < m->end && !m->has_told))
		return SILENT;
	if (damage_state_is(m, -1))
		return m->log->end == m->end ? HARMLESS : NOTICED;
	return m->has_told && damage_state_is(m, m->victim) ? NOTICED : SILENT;
}
