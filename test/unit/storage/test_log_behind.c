/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage in the last segment of a log whose process was killed: good batches behind it show that it is none of the
 * kill's. They are kept, by this start and by every later one, and only what is damaged is not served. Of a write that
 * was cut nothing is taken for a batch, whatever it holds.
 */
#include <fcntl.h>
#include <unistd.h>

#include "batch_build.h"
#include "damage.h"
#include "mem.h"

/* Of the last segment, from its first on. */
static int first_of_last(const struct damage *m)
{
	int i = BATCHES_N - 1;

	while (i > 0 && m->batches[i - 1].segment == m->batches[i].segment)
		i--;
	return i;
}

static void last_path(const struct damage *m, const char *suffix, char path[600])
{
	char name[64];

	snprintf(name, sizeof(name), "%020lld%s", (long long)m->batches[BATCHES_N - 1].segment, suffix);
	damage_path(m, "d-0", name, path);
}

/* The files as a kill leaves them: nothing of the indexes of the last segment was written yet. */
static void put_killed(struct damage *m)
{
	char path[600];

	damage_flip(m, 0, -1);
	damage_unclose(m);
	last_path(m, ".index", path);
	assert_int_equal(truncate(path, 0), 0);
	last_path(m, ".timeindex", path);
	assert_int_equal(truncate(path, 0), 0);
}

/* xor: of each byte; 0: zeros. */
static void harm(struct damage *m, int64_t pos, size_t len, uint8_t xor)
{
	char path[600];
	int fd;

	last_path(m, ".log", path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	for (size_t i = 0; i < len; i++) {
		uint8_t byte;

		assert_int_equal(pread(fd, &byte, 1, pos + (int64_t)i), 1);
		byte = xor ? byte ^ xor : 0;
		assert_int_equal(pwrite(fd, &byte, 1, pos + (int64_t)i), 1);
	}
	close(fd);
}

static void start(struct damage *m, enum log_dir_stop stop, int64_t recovery_point)
{
	damage_listen(m);
	m->has_told = false;
	m->t.dir->stop = stop;
	m->log = log_try_open(&m->t, "d-0", recovery_point);
	assert_int_equal(m->log->state, PART_LOG_OPEN);
}

/* All batches but those from `from` to `to` are there, byte for byte; whether those are refused. */
static bool check_others(struct damage *m, int from, int to)
{
	bool is_refused = true;

	assert_int_equal(m->log->end, m->end);
	for (int i = 0; i < BATCHES_N; i++) {
		const struct damage_batch *batch = &m->batches[i];
		uint8_t *p;
		size_t len;
		enum err err = log_get(&m->t, m->log, batch->base, 1, &p, &len);

		if (i >= from && i <= to) {
			is_refused = is_refused && err == ERR_CORRUPT_MESSAGE;
			if (!err)
				mem_free(p);
			continue;
		}
		if (err)
			fail_msg("batch %d: %s", i, err_name(err));
		assert_true(len >= batch->len);
		assert_memory_equal(p, batch->bytes, batch->len);
		mem_free(p);
	}
	return is_refused;
}

/* This start, one after a stop in order, and one after a power cut. is_refused: the damaged ones; a field that no
 * checksum covers may have a value that fits. */
static void check_kept(struct damage *m, int from, int to, bool is_refused)
{
	struct test_batch spec = PLAIN_BATCH(3, TIME_OF(BATCHES_N));
	int64_t end = m->end, recovery_point;

	start(m, LOG_DIR_KILLED, 0);
	assert_true(m->has_told);
	assert_true(check_others(m, from, to) || !is_refused);
	recovery_point = m->log->recovery_point;
	assert_int_equal(recovery_point, end);
	log_close(&m->t, m->log);
	start(m, LOG_DIR_CLEAN, end);
	check_others(m, from, to);
	assert_int_equal(log_put(&m->t, m->log, &spec, EPOCH_NOW), ERR_NONE);
	log_kill(&m->t, m->log);
	storage_test_restart(&m->t, LOG_DIR_POWER_CUT);
	start(m, LOG_DIR_POWER_CUT, recovery_point);
	m->end = end + 3;
	check_others(m, from, to);
	m->end = end;
	log_kill(&m->t, m->log);
	storage_test_restart(&m->t, LOG_DIR_KILLED);
	start(m, LOG_DIR_KILLED, recovery_point);
	m->end = end + 3;
	check_others(m, from, to);
	m->end = end;
	log_close(&m->t, m->log);
}

static void test_bits(void **state)
{
	struct damage *m = MEM_NEW(struct damage);

	damage_make(m);
	for (int i = first_of_last(m); i < BATCHES_N - 1; i++) {
		for (size_t at = 0; at < m->batches[i].len; at += at < BATCH_HEADER_LEN ? 1 : 17) {
			/* Leaves it what it is, for all that anybody can know: see test_log_damage.c. */
			if (at >= BATCH_LEADER_EPOCH_AT && at < BATCH_MAGIC_AT)
				continue;
			put_killed(m);
			harm(m, m->batches[i].pos + (int64_t)at, 1, (uint8_t)(1 << ((at + (size_t)i) % 8)));
			check_kept(m, i, i, at >= BATCH_PREFIX_LEN);
		}
	}
	damage_free(m);
}

/* A whole batch of zeros, two of them, the end of one and the beginning of the next. */
static void test_zeros(void **state)
{
	struct damage *m = MEM_NEW(struct damage);
	int first;

	damage_make(m);
	first = first_of_last(m);
	for (int i = first; i < BATCHES_N - 2; i++) {
		put_killed(m);
		harm(m, m->batches[i].pos, m->batches[i].len, 0);
		check_kept(m, i, i, true);
		put_killed(m);
		harm(m, m->batches[i].pos, m->batches[i].len + m->batches[i + 1].len, 0);
		check_kept(m, i, i + 1, true);
		put_killed(m);
		harm(m, m->batches[i].pos + 70, m->batches[i].len - 20, 0);
		check_kept(m, i, i + 1, true);
	}
	damage_free(m);
}

/* Nothing good is behind it: cut, as a write that was. */
static void test_tail(void **state)
{
	struct damage *m = MEM_NEW(struct damage);
	const struct damage_batch *last;

	damage_make(m);
	last = &m->batches[BATCHES_N - 1];
	for (size_t at = 0; at < last->len; at += 7) {
		char path[600];

		put_killed(m);
		harm(m, last->pos + (int64_t)at, last->len - at, 0);
		start(m, LOG_DIR_KILLED, 0);
		assert_true(m->has_told);
		assert_int_equal(m->log->end, last->base);
		log_close(&m->t, m->log);
		put_killed(m);
		last_path(m, ".log", path);
		assert_int_equal(truncate(path, last->pos + (int64_t)at), 0);
		start(m, LOG_DIR_KILLED, 0);
		assert_int_equal(m->log->end, last->base);
		log_close(&m->t, m->log);
	}
	damage_free(m);
}

/* A batch at `offset` whose one record's value is the good log's last segment, or a piece of it. */
static struct bytes build_holder(const struct damage *m, int from, int to, struct scratch *out, size_t *ret_value_at)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct record_fields fields = {0};
	struct scratch value = {0};
	struct batch_builder b;
	struct bytes built;

	for (int i = from; i < to; i++) {
		size_t len = m->batches[i].len, at = scratch_bytes(&value).len;

		assert_int_equal(scratch_append(&value, m->batches[i].bytes, len), ERR_NONE);
		/* Offsets that the log could go on with. */
		store_be64(value.p + at, (uint64_t)(m->end + (i - from) * 3 + 1));
	}
	fields.value = scratch_bytes(&value);
	assert_int_equal(batch_builder_init(&b, &spec, out, NULL), ERR_NONE);
	assert_int_equal(batch_builder_add(&b, TIME_OF(BATCHES_N), &fields), ERR_NONE);
	assert_int_equal(batch_builder_finish(&b, &built), ERR_NONE);
	store_be64(out->p, (uint64_t)m->end);
	*ret_value_at = 0;
	while (memcmp(built.p + *ret_value_at, fields.value.p, 40) != 0)
		(*ret_value_at)++;
	scratch_deinit(&value);
	return built;
}

/* Where the value ends within the batch, and where each batch in it does, a kill may cut. */
static void test_batches_in_a_record(void **state)
{
	struct damage *m = MEM_NEW(struct damage);
	struct scratch out = {0};
	size_t value_at, cut;
	struct bytes holder;
	char name[64];

	damage_make(m);
	holder = build_holder(m, 0, 5, &out, &value_at);
	snprintf(name, sizeof(name), "%020lld.log", (long long)m->batches[BATCHES_N - 1].segment);
	cut = value_at;
	for (int i = 0; i < 5; i++) {
		cut += m->batches[i].len;
		for (size_t more = 0; more < 100; more += 33) {
			put_killed(m);
			file_put(&m->t, "d-0", name, holder.p, MIN(cut + more, holder.len));
			start(m, LOG_DIR_KILLED, 0);
			assert_int_equal(m->log->end, m->end + (cut + more >= holder.len ? 1 : 0));
			log_close(&m->t, m->log);
		}
	}
	/* Damaged, and followed by a good one: what is in the record is not taken for batches either. */
	for (size_t at = 8; at < holder.len; at += 13) {
		const struct damage_batch *last = &m->batches[BATCHES_N - 1];
		uint8_t *p = mem_alloc(holder.len + last->len), *read;
		size_t len;

		memcpy(p, holder.p, holder.len);
		memcpy(p + holder.len, last->bytes, last->len);
		store_be64(p + holder.len, (uint64_t)m->end + 1);
		p[at] ^= 0x10;
		put_killed(m);
		file_put(&m->t, "d-0", name, p, holder.len + last->len);
		start(m, LOG_DIR_KILLED, 0);
		assert_int_equal(m->log->end, m->end + 1 + (last->last - last->base) + 1);
		assert_int_equal(log_get(&m->t, m->log, m->end + 1, 1, &read, &len), ERR_NONE);
		assert_memory_equal(read, p + holder.len, last->len);
		mem_free(read);
		if (at >= BATCH_MAGIC_AT || at < BATCH_LEADER_EPOCH_AT)
			assert_int_equal(log_get(&m->t, m->log, m->end, 1, &read, &len), ERR_CORRUPT_MESSAGE);
		log_close(&m->t, m->log);
		mem_free(p);
	}
	scratch_deinit(&out);
	damage_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_zeros),
		cmocka_unit_test(test_tail),
		cmocka_unit_test(test_batches_in_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
