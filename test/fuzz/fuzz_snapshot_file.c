/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot files and quorum-state from anywhere. What a snapshot was read to is written again and must be read to the
 * same; random input is wrapped in batches, whose checksums nothing random would meet.
 */
#include "control.h"
#include "mem.h"
#include "snapshot_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct arena arena;
	VEC(struct bytes) values;
};

static enum err seen_add(void *ctx, struct bytes record)
{
	struct seen *seen = ctx;

	vec_push(&seen->values, arena_bytes(&seen->arena, record));
	return ERR_NONE;
}

static void seen_deinit(struct seen *seen)
{
	vec_deinit(&seen->values);
	arena_reset(&seen->arena);
}

static void check_round(const struct seen *seen, const struct snapshot_info *info)
{
	struct seen again = {{0}};
	struct snapshot_info again_info = {0};
	bool dynamic = info->kraft_version > 0 && info->has_voters;
	struct bytes file;
	enum err err = snapshot_file_encode_records(seen->values.v, seen->values.n, 1, info->last_log_timestamp_ms, 3,
						    dynamic ? info->kraft_version : 0, dynamic ? &info->voters : NULL,
						    &file);

	CHECK_OP(err, ==, ERR_NONE);
	err = snapshot_file_decode(file, seen_add, &again, &again_info, NULL);
	CHECK_OP(err, ==, ERR_NONE);
	CHECK_OP(again_info.records_n, ==, info->records_n);
	CHECK_OP(again_info.last_log_timestamp_ms, ==, info->last_log_timestamp_ms);
	for (size_t i = 0; i < seen->values.n; i++)
		CHECK(bytes_eq(seen->values.v[i], again.values.v[i]));
	mem_free((void *)file.p);
	raft_voters_deinit(&again_info.voters);
	seen_deinit(&again);
}

static void read_snapshot(struct bytes file)
{
	struct seen seen = {{0}};
	struct snapshot_info info = {0};
	struct err_text text;

	if (!snapshot_file_decode(file, seen_add, &seen, &info, &text))
		check_round(&seen, &info);
	raft_voters_deinit(&info.voters);
	seen_deinit(&seen);
}

static void add_batch(struct scratch *file, int64_t offset, enum control_type type, struct bytes value)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct record_fields fields = {.value = value};
	struct batch_builder b;
	struct bytes batch;
	enum err err;

	spec.base_offset = offset;
	spec.attributes = type >= CONTROL_LEADER_CHANGE && type <= CONTROL_KRAFT_VOTERS ? BATCH_CONTROL : 0;
	err = batch_builder_init(&b, &spec, file, NULL);
	if (!err && spec.attributes)
		err = control_add(&b, 1, type, value);
	else if (!err)
		err = batch_builder_add(&b, 1, &fields);
	if (!err)
		err = batch_builder_finish(&b, &batch);
	CHECK_OP(err, ==, ERR_NONE);
}

/* Each chunk is: what it is, its length, that many bytes. Half of the files get a right beginning and end. */
static void read_wrapped(struct bytes in)
{
	static const uint8_t zeroes[11];
	bool enclosed = in.len % 2 > 0;
	struct scratch file = {0};
	int64_t offset = 0;

	if (enclosed)
		add_batch(&file, offset++, CONTROL_SNAPSHOT_HEADER, (struct bytes){zeroes, 11});
	while (in.len >= 2 && file.len < (1 << 20)) {
		struct bytes value = {in.p + 2, MIN(in.p[1], in.len - 2)};

		add_batch(&file, offset++, (enum control_type)(in.p[0] % 8), value);
		in.p += 2 + value.len;
		in.len -= 2 + value.len;
	}
	if (enclosed)
		add_batch(&file, offset++, CONTROL_SNAPSHOT_FOOTER, (struct bytes){zeroes, 3});
	read_snapshot(scratch_bytes(&file));
	scratch_deinit(&file);
}

static void read_quorum_state(struct bytes text)
{
	struct quorum_state state, again;
	struct arena arena = {0};

	if (!quorum_state_parse(text, &state, &arena)) {
		enum err err = quorum_state_parse(quorum_state_encode(&state, &arena), &again, &arena);

		CHECK_OP(err, ==, ERR_NONE);
		CHECK_OP(again.leader_epoch, ==, state.leader_epoch);
		CHECK_OP(again.voted_id, ==, state.voted_id);
		quorum_state_deinit(&state);
		quorum_state_deinit(&again);
	}
	arena_reset(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = {data, size};

	read_snapshot(in);
	read_wrapped(in);
	read_quorum_state(in);
	return 0;
}
