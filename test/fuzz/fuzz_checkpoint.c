/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka's small text files with any content: refused, or read and written to the same. */
#include "check.h"
#include "checkpoint.h"
#include "epoch_cache.h"
#include "log_dir.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_offsets(struct bytes text, struct arena *arena)
{
	struct offset_checkpoint checkpoint, again;
	enum err err;

	if (offset_checkpoint_parse(text, arena, &checkpoint))
		return;
	err = offset_checkpoint_parse(offset_checkpoint_encode(&checkpoint, arena), arena, &again);
	CHECK_OP(err, ==, ERR_NONE);
	CHECK_OP(again.entries.n, ==, checkpoint.entries.n);
	for (size_t i = 0; i < again.entries.n; i++) {
		CHECK(str_eq(again.entries.v[i].topic, checkpoint.entries.v[i].topic));
		CHECK_OP(again.entries.v[i].offset, ==, checkpoint.entries.v[i].offset);
	}
	vec_deinit(&checkpoint.entries);
	vec_deinit(&again.entries);
}

static void try_epochs(struct bytes text)
{
	struct epoch_cache cache = {0}, again = {0};
	struct bytes out;
	enum err err;

	if (!epoch_cache_decode(&cache, text)) {
		out = epoch_cache_encode(&cache);
		err = epoch_cache_decode(&again, out);
		CHECK_OP(err, ==, ERR_NONE);
		CHECK_OP(again.entries.n, ==, cache.entries.n);
		mem_free((void *)(uintptr_t)out.p);
	}
	epoch_cache_deinit(&cache);
	epoch_cache_deinit(&again);
}

static void try_rest(struct bytes text, struct arena *arena)
{
	struct meta_properties meta, again;
	struct uuid id, id_again;
	struct str topic;
	int32_t partition;
	int64_t epoch, epoch_again;
	enum err err = ERR_NONE;

	if (!partition_metadata_parse(text, &id)) {
		err = partition_metadata_parse(partition_metadata_encode(id, arena), &id_again);
		CHECK(uuid_eq(id, id_again));
		CHECK(uuid_eq(id, partition_metadata_guess(partition_metadata_encode(id, arena))));
	} else {
		id = partition_metadata_guess(text);
	}
	CHECK_OP(err, ==, ERR_NONE);
	if (!clean_shutdown_parse(text, &epoch)) {
		err = clean_shutdown_parse(clean_shutdown_encode(epoch, arena), &epoch_again);
		CHECK_OP(epoch, ==, epoch_again);
	}
	CHECK_OP(err, ==, ERR_NONE);
	if (!meta_properties_parse(text, arena, &meta) && meta.version == 1)
		(void)!meta_properties_parse(meta_properties_encode(&meta, 0, arena), arena, &again);
	if (!log_dir_parse_name(bytes_str(text), &topic, &partition))
		CHECK_OP(partition, >=, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct bytes text = {data, size};

	try_offsets(text, &arena);
	try_epochs(text);
	try_rest(text, &arena);
	arena_reset(&arena);
	return 0;
}
