/* SPDX-License-Identifier: Apache-2.0 */
/* What a fresh directory holds: the bytes that `kafka-storage format --standalone` of Kafka 4.3.1 wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "feature_table.h"
#include "format.h"
#include "golden_hex.h"
#include "metadata_record.h"
#include "snapshot_file.h"

#define TIME_MS INT64_C(1700000000000)

static const char kafka_bootstrap[] =
	"0000000000000000000000470000000002a262dd08002000000000000001a1fe1f3607000001a1fe1f3607ffffffffff"
	"ffffffffffffffffff000000012a0000000800000003160000000000000000000000000000000000000001000000f100"
	"00000002a899febd000000000005000001a1fe1f361b000001a1fe1f361bffffffffffffffffffffffffffff00000006"
	"3a000000012e010c00116d657461646174612e76657273696f6e001e00005a000002014e010c0021656c696769626c65"
	"2e6c65616465722e7265706c696361732e76657273696f6e00010000340000040128010c000e67726f75702e76657273"
	"696f6e00010000340000060128010c000e73686172652e76657273696f6e0001000038000008012c010c001073747265"
	"616d732e76657273696f6e000100004000000a0134010c00147472616e73616374696f6e2e76657273696f6e00020000"
	"00000000000000070000003f0000000002669cdde9002000000000000001a1fe1f361b000001a1fe1f361bffffffffff"
	"ffffffffffffffffff000000011a00000008000000040600000000";
/* 00000000000000000000-0000000000.checkpoint: node 1, its directory WUtyfcSmRdOhJ_eZWzGAhA. */
static const char kafka_first_snapshot[] =
	"00000000000000000000009a0000000002cfb93d7c002000000002000001a1fe1f362c000001a1fe1f362cffffffffff"
	"ffffffffffffffffff000000032a0000000800000003160000000001a1fe1f362400001e00000208000000050a000000"
	"010000820100000408000000066e00000200000001594b727dc4a645d3a127f7995b318084020b434f4e54524f4c4c45"
	"520a3132372e302e302e31626900000000010000000000000000000000030000003f00000000025c0e16ea0020000000"
	"00000001a1fe1f3630000001a1fe1f3630ffffffffffffffffffffffffffff000000011a000000080000000406000000"
	"00";
static void assert_same_file(struct bytes ours, struct bytes kafka, struct arena *arena)
{
	struct bytes want = golden_at_time(kafka, TIME_MS, arena);

	assert_int_equal(ours.len, want.len);
	assert_memory_equal(ours.p, want.p, want.len);
}

static void test_bootstrap_file(void **state)
{
	struct arena arena = {0};
	struct format_records records = {0};
	struct bytes file;

	format_bootstrap_records(METADATA_VERSION_MAX, &arena, &records);
	assert_int_equal(snapshot_file_encode_records(records.values.v, records.values.n, TIME_MS, 0, 0, 0, NULL,
						      &file), ERR_NONE);
	assert_same_file(file, golden_unhex(kafka_bootstrap, &arena), &arena);
	mem_free((void *)file.p);
	vec_deinit(&records.values);
	arena_reset(&arena);
}

static void test_first_snapshot(void **state)
{
	struct raft_endpoint endpoint = {STR("CONTROLLER"), STR("127.0.0.1"), 25193};
	struct raft_voter voter = {.id = 1, .kraft_version_max = 1};
	struct raft_voters voters = {0};
	struct arena arena = {0};
	struct bytes kafka = golden_unhex(kafka_first_snapshot, &arena);
	struct snapshot_info info = {0};
	struct err_text text = {{0}};
	struct bytes file;
	char name[64];

	assert_int_equal(uuid_parse(STR("WUtyfcSmRdOhJ_eZWzGAhA"), &voter.directory_id), ERR_NONE);
	vec_push(&voter.endpoints, endpoint);
	vec_push(&voters.voters, voter);
	assert_int_equal(snapshot_file_decode(kafka, NULL, NULL, &info, &text), ERR_NONE); /* no records: no calls */
	assert_int_equal(info.kraft_version, 1);
	assert_int_equal(info.records_n, 0);
	assert_true(info.has_voters);
	raft_voters_deinit(&info.voters);
	assert_int_equal(snapshot_file_encode_records(NULL, 0, TIME_MS, info.last_log_timestamp_ms, 0, 1, &voters,
						      &file), ERR_NONE);
	assert_same_file(file, kafka, &arena);
	snapshot_file_name(0, 0, name);
	assert_string_equal(name, "00000000000000000000-0000000000.checkpoint");
	mem_free((void *)file.p);
	raft_voters_deinit(&voters);
	arena_reset(&arena);
}

/* What Kafka 4.3.1 says for --release-version. */
static void test_older_releases(void **state)
{
	static const struct { int16_t version; const char *want; } rows[] = {
		{7, "metadata.version=7"},
		{17, "metadata.version=17"},
		{21, "metadata.version=21"},
		{25, "metadata.version=25 group.version=1 transaction.version=2"},
		{27, "metadata.version=27 eligible.leader.replicas.version=1 group.version=1 transaction.version=2"},
		{29, "metadata.version=29 eligible.leader.replicas.version=1 group.version=1 share.version=1 "
		     "streams.version=1 transaction.version=2"},
		{30, "metadata.version=30 eligible.leader.replicas.version=1 group.version=1 share.version=1 "
		     "streams.version=1 transaction.version=2"},
	};

	for (size_t i = 0; i < ARRAY_N(rows); i++) {
		struct arena arena = {0};
		struct format_records records = {0};
		char print[512];
		struct fmt f;

		fmt_init(&f, print, sizeof(print));
		format_bootstrap_records(rows[i].version, &arena, &records);
		for (size_t j = 0; j < records.values.n; j++) {
			struct metadata_record parsed;
			struct feature_level_record feature;

			assert_int_equal(metadata_record_parse(records.values.v[j], &parsed, NULL), ERR_NONE);
			assert_int_equal(parsed.type, METADATA_FEATURE_LEVEL_RECORD);
			assert_int_equal(parsed.version, 0);
			assert_int_equal(codec_decode(parsed.schema, 0, parsed.message, &arena, &feature, NULL, NULL),
					 ERR_NONE);
			fmt_add(&f, "%s%.*s=%d", j ? " " : "", STR_ARGS(feature.name), feature.feature_level);
		}
		assert_string_equal(print, rows[i].want);
		vec_deinit(&records.values);
		arena_reset(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bootstrap_file),
		cmocka_unit_test(test_first_snapshot),
		cmocka_unit_test(test_older_releases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
