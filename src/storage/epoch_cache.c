/* SPDX-License-Identifier: Apache-2.0 */
/* Leader epochs of a log and their checkpoint file, see epoch_cache.h. */
#include "epoch_cache.h"

#include <inttypes.h>
#include <stdio.h>

#include "mem.h"
#include "text_file.h"

void epoch_cache_deinit(struct epoch_cache *cache)
{
	vec_deinit(&cache->entries);
}

bool epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset)
{
	struct epoch_entry added = {epoch, start_offset};
	size_t keep = cache->entries.n;

	if (epoch < 0 || start_offset < 0)
		return false;
	/* The epoch goes on, or the entry is there. */
	if (keep && cache->entries.v[keep - 1].epoch == epoch &&
	    cache->entries.v[keep - 1].start_offset <= start_offset)
		return false;
	while (keep && (cache->entries.v[keep - 1].epoch >= epoch ||
			cache->entries.v[keep - 1].start_offset >= start_offset))
		keep--;
	cache->entries.n = keep;
	vec_push(&cache->entries, added);
	return true;
}

int32_t epoch_cache_latest(const struct epoch_cache *cache)
{
	return cache->entries.n ? cache->entries.v[cache->entries.n - 1].epoch : -1;
}

/* Entries that begin at or below offset. */
static size_t epoch_cache_below(const struct epoch_cache *cache, int64_t offset)
{
	size_t low = 0, high = cache->entries.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (cache->entries.v[mid].start_offset <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int32_t epoch_cache_of(const struct epoch_cache *cache, int64_t offset)
{
	size_t n = epoch_cache_below(cache, offset);

	return n ? cache->entries.v[n - 1].epoch : -1;
}

/* KIP-101 and KIP-279. Same as Kafka: below the first known epoch the answer is the asked epoch and where the
 * first known one begins. */
void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end, int32_t *ret_epoch,
		     int64_t *ret_end)
{
	size_t n = cache->entries.n, at = 0;

	*ret_epoch = -1;
	*ret_end = -1;
	if (epoch < 0 || n == 0 || epoch > cache->entries.v[n - 1].epoch)
		return;
	if (epoch == cache->entries.v[n - 1].epoch) {
		*ret_epoch = epoch;
		*ret_end = log_end;
		return;
	}
	while (at < n && cache->entries.v[at].epoch <= epoch)
		at++;
	*ret_epoch = at ? cache->entries.v[at - 1].epoch : epoch;
	*ret_end = cache->entries.v[at].start_offset;
}

bool epoch_cache_truncate_end(struct epoch_cache *cache, int64_t offset)
{
	size_t before = cache->entries.n;

	while (cache->entries.n && cache->entries.v[cache->entries.n - 1].start_offset >= offset)
		cache->entries.n--;
	return cache->entries.n != before;
}

bool epoch_cache_truncate_above(struct epoch_cache *cache, int32_t epoch)
{
	size_t before = cache->entries.n;

	while (epoch_cache_latest(cache) > epoch)
		cache->entries.n--;
	return cache->entries.n != before;
}

bool epoch_cache_truncate_start(struct epoch_cache *cache, int64_t offset)
{
	size_t n = epoch_cache_below(cache, offset);

	if (n == 0 || (n == 1 && cache->entries.v[0].start_offset == offset))
		return false;
	memmove(&cache->entries.v[0], &cache->entries.v[n - 1],
		sizeof(cache->entries.v[0]) * (cache->entries.n - n + 1));
	cache->entries.n -= n - 1;
	cache->entries.v[0].start_offset = offset;
	return true;
}

struct bytes epoch_cache_encode(const struct epoch_cache *cache)
{
	size_t cap = 32 + cache->entries.n * 34, len;
	char *p = mem_alloc(cap);

	len = (size_t)snprintf(p, cap, "0\n%zu\n", cache->entries.n);
	for (size_t i = 0; i < cache->entries.n; i++)
		len += (size_t)snprintf(p + len, cap - len, "%" PRId32 " %" PRId64 "\n",
					cache->entries.v[i].epoch,
					cache->entries.v[i].start_offset);
	CHECK_OP(len, <, cap);
	return (struct bytes){(const uint8_t *)p, len};
}

enum err epoch_cache_decode(struct epoch_cache *cache, struct bytes text)
{
	struct text_file file;
	struct str words[2];
	enum err err = text_file_open(&file, bytes_str(text));

	cache->entries.n = 0;
	while (!err && text_file_next(&file, words, 2, &err)) {
		struct epoch_entry entry = {0};

		err = parse_i32(words[0], &entry.epoch);
		if (!err)
			err = parse_i64(words[1], &entry.start_offset);
		if (!err && (entry.epoch < 0 || entry.start_offset < 0))
			err = ERR_CORRUPT_FILE;
		if (!err && cache->entries.n) {
			const struct epoch_entry *last = &cache->entries.v[cache->entries.n - 1];

			if (entry.epoch <= last->epoch || entry.start_offset <= last->start_offset)
				err = ERR_CORRUPT_FILE;
		}
		if (!err)
			vec_push(&cache->entries, entry);
	}
	if (err)
		cache->entries.n = 0;
	return err ? ERR_CORRUPT_FILE : ERR_NONE;
}
