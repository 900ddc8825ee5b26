/* SPDX-License-Identifier: Apache-2.0 */
/* Small files that Kafka itself wrote: read to what they mean, written to the same bytes; and what must be
 * refused. */
#include <inttypes.h>

#include "checkpoint.h"
#include "epoch_cache.h"
#include "fmt.h"
#include "mem.h"
#include "producer_state.h"
#include "storage_test.h"

#define LINE_MAX_LEN 65536

static const char *lines_path;

static struct bytes unhex(struct arena *arena, const char *text)
{
	size_t len = text[0] == '-' ? 0 : strlen(text) / 2;
	uint8_t *p = arena_alloc(arena, len + 1);

	for (size_t i = 0; i < len; i++) {
		unsigned v;

		assert_int_equal(sscanf(text + 2 * i, "%2x", &v), 1);
		p[i] = (uint8_t)v;
	}
	return (struct bytes){p, len};
}

static void check_epochs(struct arena *arena, struct bytes in, char *rest)
{
	struct epoch_cache cache = {0};
	struct bytes out;
	size_t n = 0;

	assert_int_equal(epoch_cache_decode(&cache, in), ERR_NONE);
	for (char *word = strtok(rest, " \n"); word; word = strtok(NULL, " \n"), n++) {
		int32_t epoch;
		int64_t start;

		assert_int_equal(sscanf(word, "%" SCNd32 ":%" SCNd64, &epoch, &start), 2);
		assert_true(n < cache.entries.n);
		assert_int_equal(cache.entries.v[n].epoch, epoch);
		assert_int_equal(cache.entries.v[n].start_offset, start);
	}
	assert_int_equal(cache.entries.n, n);
	out = epoch_cache_encode(&cache);
	assert_true(bytes_eq(in, out));
	mem_free((void *)(uintptr_t)out.p);
	/* Every shorter text is refused, but for one without its last newline. */
	for (size_t len = 0; len + 1 < in.len; len++) {
		struct epoch_cache cut = {0};
		enum err err = epoch_cache_decode(&cut, (struct bytes){in.p, len});

		/* A number that lost its last digits is still a number. */
		if (in.p[len - (len > 0)] == '\n' || in.p[len] == '\n')
			assert_true(err == ERR_CORRUPT_FILE || cut.entries.n == n);
		epoch_cache_deinit(&cut);
	}
	epoch_cache_deinit(&cache);
}

static void check_offsets(struct arena *arena, struct bytes in, char *rest)
{
	struct offset_checkpoint checkpoint;
	size_t n = 0;

	assert_int_equal(offset_checkpoint_parse(in, arena, &checkpoint), ERR_NONE);
	for (char *word = strtok(rest, " \n"); word; word = strtok(NULL, " \n"), n++) {
		const struct offset_entry *e;
		char text[400];

		assert_true(n < checkpoint.entries.n);
		e = &checkpoint.entries.v[n];
		snprintf(text, sizeof(text), "%.*s-%d:%" PRId64, STR_ARGS(e->topic), e->partition, e->offset);
		assert_string_equal(text, word);
	}
	assert_int_equal(checkpoint.entries.n, n);
	assert_true(bytes_eq(in, offset_checkpoint_encode(&checkpoint, arena)));
	vec_deinit(&checkpoint.entries);
}

static void check_partition(struct arena *arena, struct bytes in, char *rest)
{
	struct uuid id;
	char text[UUID_TEXT_LEN + 1];

	assert_int_equal(partition_metadata_parse(in, &id), ERR_NONE);
	uuid_format(id, text);
	assert_string_equal(text, strtok(rest, " \n"));
	assert_true(bytes_eq(in, partition_metadata_encode(id, arena)));
	for (size_t len = 0; len < in.len; len++) {
		struct uuid unused;

		assert_int_equal(partition_metadata_parse((struct bytes){in.p, len}, &unused), ERR_CORRUPT_FILE);
	}
	for (size_t i = 0; i < in.len * 8; i++) {
		uint8_t *p = arena_alloc(arena, in.len);
		struct uuid found;

		memcpy(p, in.p, in.len);
		p[i / 8] ^= (uint8_t)(1 << i % 8);
		if (partition_metadata_parse((struct bytes){p, in.len}, &found))
			found = partition_metadata_guess((struct bytes){p, in.len});
		assert_true(uuid_is_near(found, id));
	}
}

static void check_meta(struct arena *arena, struct bytes in, char *rest)
{
	struct meta_properties meta, again;
	char text[UUID_TEXT_LEN + 1];

	assert_int_equal(meta_properties_parse(in, arena, &meta), ERR_NONE);
	assert_int_equal(meta.version, atoi(strtok(rest, " \n")));
	assert_true(str_eq_c(meta.cluster_id, strtok(NULL, " \n")));
	assert_int_equal(meta.node_id, atoi(strtok(NULL, " \n")));
	uuid_format(meta.directory_id, text);
	assert_string_equal(text, strtok(NULL, " \n"));
	meta.version = 1;
	assert_int_equal(meta_properties_parse(meta_properties_encode(&meta, 1700000000000, arena), arena,
					       &again), ERR_NONE);
	assert_int_equal(again.node_id, meta.node_id);
	assert_true(str_eq(again.cluster_id, meta.cluster_id));
	assert_true(uuid_eq(again.directory_id, meta.directory_id));
}

/* The state that Kafka kept of a log equals the one a replay of it gives. */
static void check_snapshot(struct arena *arena, struct bytes in, char *rest)
{
	struct producer_state read, replayed;
	struct bytes log = unhex(arena, strtok(rest, " \n"));
	struct batch_iter it = batch_iter_of(log, BATCH_CHECK_CRC);
	struct batch_info batch;
	const struct producer_entry *entry;
	int n = 0;

	producer_state_init(&read, 1);
	producer_state_init(&replayed, 2);
	assert_int_equal(producer_state_decode(&read, in), ERR_NONE);
	while (batch_iter_next(&it, &batch))
		producer_state_append(&replayed, &batch, NULL);
	assert_int_equal(it.err, ERR_NONE);
	for (uint32_t i = 0; (entry = producer_table_next(&read.by_id, &i)) != NULL; n++) {
		const struct producer_entry *other = producer_table_get(&replayed.by_id,
									 entry->producer_id);

		assert_non_null(other);
		assert_int_equal(entry->epoch, other->epoch);
		assert_int_equal(entry->coordinator_epoch, other->coordinator_epoch);
		assert_int_equal(entry->txn_first_offset, other->txn_first_offset);
		assert_int_equal(entry->last_timestamp_ms, other->last_timestamp_ms);
		assert_int_equal(entry->batches_n > 0, other->batches_n > 0);
		if (entry->batches_n) {
			const struct producer_batch *newest = &other->batches[other->batches_n - 1];

			/* The file has one timestamp for the batch and for what came after, a marker say. */
			assert_int_equal(entry->batches[0].last_offset, newest->last_offset);
			assert_int_equal(entry->batches[0].last_seq, newest->last_seq);
			assert_int_equal(entry->batches[0].offset_delta, newest->offset_delta);
		}
	}
	assert_int_equal(n, replayed.by_id.n);
	{
		struct bytes out = producer_state_encode(&read);

		assert_true(bytes_eq(out, in));
		mem_free((void *)(uintptr_t)out.p);
	}
	for (size_t len = 0; len < in.len; len++) {
		producer_state_truncate_all(&replayed);
		assert_int_equal(producer_state_decode(&replayed, (struct bytes){in.p, len}),
				 ERR_CORRUPT_FILE);
	}
	for (size_t i = 0; i < in.len; i++) {
		uint8_t *flipped = arena_alloc(arena, in.len);

		memcpy(flipped, in.p, in.len);
		flipped[i] ^= 0x10;
		assert_int_equal(producer_state_decode(&replayed, (struct bytes){flipped, in.len}),
				 ERR_CORRUPT_FILE);
	}
	producer_state_deinit(&read);
	producer_state_deinit(&replayed);
}

static void test_golden(void **state)
{
	static const struct {
		const char *kind;
		void (*check)(struct arena *, struct bytes, char *);
	} kinds[] = {{"epochs", check_epochs}, {"offsets", check_offsets}, {"partition", check_partition},
		     {"meta", check_meta}, {"snapshot", check_snapshot}};
	int seen[ARRAY_N(kinds)] = {0};
	char *line = mem_alloc(LINE_MAX_LEN);
	FILE *f = fopen(lines_path, "r");

	assert_non_null(f);
	while (fgets(line, LINE_MAX_LEN, f)) {
		struct arena arena = {0};
		char *hex = strchr(line, ' ') + 1, *rest = hex + strcspn(hex, " \n");
		bool has_rest = *rest == ' ';

		hex[-1] = '\0';
		*rest = '\0';
		for (size_t k = 0; k < ARRAY_N(kinds); k++) {
			if (strcmp(line, kinds[k].kind) != 0)
				continue;
			kinds[k].check(&arena, unhex(&arena, hex), has_rest ? rest + 1 : rest);
			seen[k]++;
		}
		arena_reset(&arena);
	}
	fclose(f);
	mem_free(line);
	for (size_t k = 0; k < ARRAY_N(kinds); k++)
		assert_true(seen[k] >= 5);
}

static void test_refused(void **state)
{
	static const char *const offsets[] = {"0", "0\n", "1\n0\n", "0\n1\n", "0\n0\nx 1 2\n",
					      "0\n1\nx 1\n",
					      "0\n1\nx 1 2 3\n", "0\n1\nx -1 2\n", "0\n1\nx 1 -2\n",
						"0\n-1\n", "0\n1\n\n",
					      "0\n99999999999\n", "0\n2\nx 1 2\n", "a\n0\n",
						"0\n1\nx 1 2\n\n"};
	static const char *const epochs[] = {"0\n2\n1 5\n1 6\n", "0\n2\n2 5\n1 6\n", "0\n2\n1 5\n2 5\n",
					     "0\n1\n-1 5\n"};
	static const char *const metas[] = {"", "\n", "#\n", "version=1\n", "version=1\ncluster.id=x\n",
					    "version=2\ncluster.id=x\nnode.id=1\n",
					    "version=1\nnode.id=1\n", "version=1\ncluster.id=x\nnode.id=y\n",
					    "version=1\ncluster.id=x\nnode.id=1\ndirectory.id=zz\n",
						"hello world\n"};
	static const char *const marks[] = {"{", "{}", "{\"version\":1,\"brokerEpoch\":3}",
					    "{\"version\":0,\"brokerEpoch\":3",
					    "{\"version\":0,\"brokerEpoch\":x}", "x", "{\"version\":0} x"};
	struct arena arena = {0};
	struct offset_checkpoint checkpoint;
	struct epoch_cache cache = {0};
	struct meta_properties meta;
	int64_t epoch;

	for (size_t i = 0; i < ARRAY_N(offsets); i++)
		assert_int_equal(offset_checkpoint_parse(str_bytes(str_of(offsets[i])), &arena, &checkpoint),
				 ERR_CORRUPT_FILE);
	/* An empty file is what a fresh Kafka leaves: nothing is in it. */
	checkpoint.entries.n = 7;
	assert_int_equal(offset_checkpoint_parse(str_bytes(STR("")), &arena, &checkpoint), ERR_NONE);
	assert_int_equal(checkpoint.entries.n, 0);
	for (size_t i = 0; i < ARRAY_N(epochs); i++)
		assert_int_equal(epoch_cache_decode(&cache, str_bytes(str_of(epochs[i]))), ERR_CORRUPT_FILE);
	for (size_t i = 0; i < ARRAY_N(metas); i++)
		assert_int_equal(meta_properties_parse(str_bytes(str_of(metas[i])), &arena, &meta),
				 ERR_CORRUPT_FILE);
	for (size_t i = 0; i < ARRAY_N(marks); i++)
		assert_int_equal(clean_shutdown_parse(str_bytes(str_of(marks[i])), &epoch), ERR_CORRUPT_FILE);
	assert_int_equal(clean_shutdown_parse(clean_shutdown_encode(42, &arena), &epoch), ERR_NONE);
	assert_int_equal(epoch, 42);
	assert_int_equal(clean_shutdown_parse(str_bytes(STR(" { \"brokerEpoch\" : -1 , \"version\" : 0 } \n")), &epoch),
			 ERR_NONE);
	assert_int_equal(epoch, -1);
	assert_int_equal(clean_shutdown_parse(str_bytes(STR("")), &epoch), ERR_NONE);
	epoch_cache_deinit(&cache);
	arena_reset(&arena);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_refused),
	};

	lines_path = argc > 1 ? argv[1] : "";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
