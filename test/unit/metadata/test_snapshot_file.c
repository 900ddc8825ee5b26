/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot files: Kafka's come back byte for byte from what was read in them; an image comes back equal; whatever was
 * cut or changed is refused or means the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control.h"
#include "feature_table.h"
#include "format.h"
#include "golden_hex.h"
#include "metadata_record.h"
#include "snapshot_file.h"

#define LINE_MAX_LEN (1 << 20)

static const char *lines_path;

struct seen {
	struct arena arena;
	VEC(struct bytes) values;
	enum err fail_with; /* at the second record */
};

static enum err seen_add(void *ctx, struct bytes record)
{
	struct seen *seen = ctx;

	vec_push(&seen->values, arena_bytes(&seen->arena, record));
	return seen->values.n == 2 ? seen->fail_with : ERR_NONE;
}

static void seen_deinit(struct seen *seen)
{
	vec_deinit(&seen->values);
	arena_reset(&seen->arena);
}

static enum err decode(struct bytes file, struct seen *seen, struct snapshot_info *info)
{
	struct err_text text = {{0}};
	enum err err = snapshot_file_decode(file, seen_add, seen, info, &text);

	if (err == ERR_CORRUPT_FILE)
		assert_true(text.text[0] != '\0');
	return err;
}

/* ---- Kafka's files ---- */

static bool next_golden(FILE *f, char *line, int *kraft_version, int64_t *offset, int32_t *epoch, char name[64],
			int64_t *records_n, struct bytes *file, struct arena *arena)
{
	while (fgets(line, LINE_MAX_LEN, f)) {
		long long end = 0, records = 0;
		int at = 0;

		if (sscanf(line, "snapshot %d %lld %d %63s %lld %n", kraft_version, &end, epoch, name, &records,
			   &at) != 5)
			continue;
		*offset = end;
		*records_n = records;
		*file = golden_unhex(line + at, arena);
		return true;
	}
	return false;
}

static void check_golden_file(struct bytes file, int kraft_version, int32_t epoch, int64_t records_n)
{
	struct seen seen = {{0}};
	struct snapshot_info info = {0};
	struct batch_info batch;
	struct bytes again;

	assert_int_equal(batch_check_header(file, BATCH_CHECK_CRC, &batch), ERR_NONE);
	assert_int_equal(decode(file, &seen, &info), ERR_NONE);
	assert_int_equal(info.records_n, records_n);
	assert_int_equal(seen.values.n, records_n);
	assert_int_equal(info.kraft_version, kraft_version);
	assert_int_equal(info.has_voters, kraft_version > 0);
	assert_int_equal(snapshot_file_encode_records(seen.values.v, seen.values.n, batch.max_timestamp,
						      info.last_log_timestamp_ms, epoch, info.kraft_version,
						      info.has_voters ? &info.voters : NULL, &again), ERR_NONE);
	assert_int_equal(again.len, file.len);
	assert_memory_equal(again.p, file.p, file.len);
	mem_free((void *)again.p);
	raft_voters_deinit(&info.voters);
	seen_deinit(&seen);
}

/* Every beginning is refused. Memory of its own shows reads past the end. */
static void check_cuts(struct bytes file)
{
	for (size_t len = 0; len < file.len; len++) {
		struct seen seen = {{0}};
		struct snapshot_info info = {0};
		uint8_t *copy = malloc(len ? len : 1);

		memcpy(copy, file.p, len);
		assert_int_equal(decode((struct bytes){copy, len}, &seen, &info), ERR_CORRUPT_FILE);
		free(copy);
		seen_deinit(&seen);
	}
}

/* Any one byte changed: refused, or (epoch, outside the checksum) all the same. */
static void check_flips(struct bytes file)
{
	uint8_t *copy = malloc(file.len);
	struct seen want = {{0}};
	struct snapshot_info want_info = {0};
	size_t taken = 0;

	memcpy(copy, file.p, file.len);
	assert_int_equal(decode(file, &want, &want_info), ERR_NONE);
	for (size_t at = 0; at < file.len; at++) {
		struct seen seen = {{0}};
		struct snapshot_info info = {0};
		enum err err;

		copy[at] ^= (uint8_t)(1 << at % 8);
		err = decode((struct bytes){copy, file.len}, &seen, &info);
		copy[at] = file.p[at];
		if (!err) {
			assert_int_equal(seen.values.n, want.values.n);
			for (size_t i = 0; i < seen.values.n; i++)
				assert_true(bytes_eq(seen.values.v[i], want.values.v[i]));
			taken++;
		} else {
			assert_int_equal(err, ERR_CORRUPT_FILE);
		}
		raft_voters_deinit(&info.voters);
		seen_deinit(&seen);
	}
	assert_int_equal(taken, 3 * 4); /* the epochs of three batches */
	raft_voters_deinit(&want_info.voters);
	seen_deinit(&want);
	free(copy);
}

static void test_golden(void **state)
{
	char *line = malloc(LINE_MAX_LEN), name[64], own_name[64];
	FILE *f = fopen(lines_path, "r");
	struct arena arena = {0};
	struct bytes file;
	int64_t offset, name_offset, records_n;
	int32_t epoch, name_epoch;
	int kraft_version, n = 0;

	assert_non_null(f);
	while (next_golden(f, line, &kraft_version, &offset, &epoch, name, &records_n, &file, &arena)) {
		check_golden_file(file, kraft_version, epoch, records_n);
		check_cuts(file);
		check_flips(file);
		snapshot_file_name(offset, epoch, own_name);
		assert_string_equal(own_name, name);
		assert_true(snapshot_file_parse_name(name, &name_offset, &name_epoch));
		assert_int_equal(name_offset, offset);
		assert_int_equal(name_epoch, epoch);
		n++;
	}
	fclose(f);
	free(line);
	arena_reset(&arena);
	assert_int_equal(n, 12);
}

/* ---- images ---- */

static void edit_replay(struct image_edit *edit, struct bytes record)
{
	struct err_text text = {{0}};

	if (image_edit_replay(edit, record, &text))
		fail_msg("%s", text.text);
}

/* With enough configs that the records need more than one batch. */
static struct image *image_with(int configs_n)
{
	struct arena arena = {0};
	struct format_records records = {0};
	struct image *empty = image_new_empty(), *image;
	struct image_edit *edit = image_edit_begin(empty);
	char value[1000];

	memset(value, 'v', sizeof(value));
	format_bootstrap_records(METADATA_VERSION_MAX, &arena, &records);
	for (size_t i = 0; i < records.values.n; i++)
		edit_replay(edit, records.values.v[i]);
	for (int i = 0; i < configs_n; i++) {
		struct config_record config;

		msg_init(&config_record_type, &config);
		config.resource_type = 4;
		config.resource_name = arena_printf(&arena, "%d", i);
		config.name = STR("some.key");
		config.value = (struct str){value, sizeof(value)};
		edit_replay(edit, metadata_record_encode(METADATA_CONFIG_RECORD, 0, &config, &arena));
	}
	image = image_edit_finish(edit, 1000 + configs_n, 7, INT64_C(1700000000123));
	image_unref(empty);
	vec_deinit(&records.values);
	arena_reset(&arena);
	return image;
}

static enum err replay_into(void *ctx, struct bytes record)
{
	edit_replay(ctx, record);
	return ERR_NONE;
}

static void test_image(void **state)
{
	for (int configs_n = 0; configs_n <= 3000; configs_n += 1500) {
		struct image *image = image_with(configs_n), *empty = image_new_empty(), *again;
		struct image_edit *edit = image_edit_begin(empty);
		struct snapshot_info info = {0};
		struct err_text text = {{0}};
		struct batch_info batch;
		struct bytes file;
		int batches_n = 0;

		assert_int_equal(snapshot_file_encode(image, 0, NULL, &file), ERR_NONE);
		assert_int_equal(snapshot_file_decode(file, replay_into, edit, &info, &text), ERR_NONE);
		assert_int_equal(info.last_log_timestamp_ms, image->timestamp_ms);
		assert_int_equal(info.records_n, 6 + configs_n);
		assert_false(info.has_voters);
		again = image_edit_finish(edit, image->offset, image->epoch, image->timestamp_ms);
		if (!image_equal(image, again, &text))
			fail_msg("%s", text.text);
		for (struct batch_iter it = batch_iter_of(file, 0); batch_iter_next(&it, &batch); batches_n++) {
			assert_int_equal(batch.leader_epoch, 7);
			assert_true(batch.size <= (1 << 20) + 4096);
		}
		assert_int_equal(batches_n, 3 + configs_n / 1500);
		mem_free((void *)file.p);
		image_unref(image);
		image_unref(again);
		image_unref(empty);
	}
}

/* ---- files of others ---- */

static void add_batch(struct scratch *file, int64_t base_offset, uint16_t attributes, enum control_type type,
		      const char *value, size_t value_len)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct bytes batch, bytes = {(const uint8_t *)value, value_len};
	struct record_fields fields = {.value = bytes};

	spec.base_offset = base_offset;
	spec.attributes = attributes;
	assert_int_equal(batch_builder_init(&b, &spec, file, NULL), ERR_NONE);
	if (attributes & BATCH_CONTROL)
		assert_int_equal(control_add(&b, 1, type, bytes), ERR_NONE);
	else
		assert_int_equal(batch_builder_add(&b, 1, &fields), ERR_NONE);
	assert_int_equal(batch_builder_finish(&b, &batch), ERR_NONE);
}

#define HEADER "\0\0\0\0\0\0\0\0\0\1\0"
#define FOOTER "\0\0\0"

static void add_header(struct scratch *file, int64_t offset)
{
	add_batch(file, offset, BATCH_CONTROL, CONTROL_SNAPSHOT_HEADER, HEADER, sizeof(HEADER) - 1);
}

static void add_footer(struct scratch *file, int64_t offset)
{
	add_batch(file, offset, BATCH_CONTROL, CONTROL_SNAPSHOT_FOOTER, FOOTER, sizeof(FOOTER) - 1);
}

static void add_data(struct scratch *file, int64_t offset)
{
	add_batch(file, offset, 0, CONTROL_UNKNOWN, "data", 4);
}

/* h: header, d: data, f: footer, g: data behind a gap, l: leader change, k: broken kraft version, v: broken voters. */
static void build(struct scratch *file, const char *shape)
{
	int64_t offset = 0;

	for (; *shape; shape++, offset++) {
		switch (*shape) {
		case 'h':
			add_header(file, offset);
			break;
		case 'f':
			add_footer(file, offset);
			break;
		case 'g':
			add_data(file, ++offset);
			break;
		case 'l':
			add_batch(file, offset, BATCH_CONTROL, CONTROL_LEADER_CHANGE, "\0\0\0\0\0\1\1\1\0", 9);
			break;
		case 'k':
			add_batch(file, offset, BATCH_CONTROL, CONTROL_KRAFT_VERSION, "\0", 1);
			break;
		case 'v':
			add_batch(file, offset, BATCH_CONTROL, CONTROL_KRAFT_VOTERS, "\0\0\7", 3);
			break;
		default:
			add_data(file, offset);
			break;
		}
	}
}

static void test_shapes(void **state)
{
	static const char *const good[] = {"hf", "hdf", "hddf"};
	static const char *const bad[] = {"", "h", "f", "d", "df", "dhf", "hd", "hfd", "hff", "hhf", "hgf", "hlf",
					  "lhf", "hkf", "hvf"};

	for (size_t i = 0; i < ARRAY_N(good) + ARRAY_N(bad); i++) {
		bool is_good = i < ARRAY_N(good);
		const char *shape = is_good ? good[i] : bad[i - ARRAY_N(good)];
		struct seen seen = {{0}};
		struct snapshot_info info = {0};
		struct scratch file = {0};
		enum err err;

		build(&file, shape);
		err = decode(scratch_bytes(&file), &seen, &info);
		if (err != (is_good ? ERR_NONE : ERR_CORRUPT_FILE))
			fail_msg("%s: %s", shape, err_name(err));
		scratch_deinit(&file);
		seen_deinit(&seen);
	}
}

static void test_callback_fails(void **state)
{
	struct seen seen = {.fail_with = ERR_DECODE};
	struct snapshot_info info = {.records_n = 42};
	struct scratch file = {0};

	build(&file, "hdddf");
	assert_int_equal(decode(scratch_bytes(&file), &seen, &info), ERR_DECODE);
	assert_int_equal(seen.values.n, 2);
	assert_int_equal(info.records_n, 42);
	scratch_deinit(&file);
	seen_deinit(&seen);
}

static void test_names(void **state)
{
	static const char *const bad[] = {
		"", "-", "bootstrap.checkpoint", "00000000000000000012-0000000003.checkpoint.part",
		"00000000000000000012-0000000003.checkpoint.deleted", "00000000000000000012-000000003.checkpoint",
		"0000000000000000012-0000000003.checkpoint", "-0000000000000000012-0000000003.checkpoint",
		"00000000000000000012_0000000003.checkpoint", "99999999999999999999-0000000003.checkpoint",
		"00000000000000000012-9999999999.checkpoint", "00000000000000000012-0000000003.checkpoinT",
		" 0000000000000000012-0000000003.checkpoint",
	};
	int64_t offset;
	int32_t epoch;
	char name[64];

	snapshot_file_name(INT64_MAX, INT32_MAX, name);
	assert_string_equal(name, "09223372036854775807-2147483647.checkpoint");
	assert_true(snapshot_file_parse_name(name, &offset, &epoch));
	assert_true(offset == INT64_MAX && epoch == INT32_MAX);
	for (size_t i = 0; i < ARRAY_N(bad); i++)
		if (snapshot_file_parse_name(bad[i], &offset, &epoch))
			fail_msg("taken: %s", bad[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_callback_fails),
		cmocka_unit_test(test_names),
	};

	if (argc != 2) {
		fprintf(stderr, "wants the file of lines\n");
		return 2;
	}
	lines_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
