/* SPDX-License-Identifier: Apache-2.0 */
/* Index files, see index_file.h. */
#include "index_file.h"

#include "check.h"
#include "mem.h"

#define CHECK_CHUNK_ENTRIES 2048u

void index_entry_encode(const struct index_entry *entry, int64_t base, uint8_t p[INDEX_ENTRY_LEN])
{
	CHECK_OP(entry->offset, >=, base);
	CHECK_OP(entry->offset - base, <=, INT32_MAX);
	CHECK_OP(entry->pos, <=, INT32_MAX);
	store_be32(p, (uint32_t)(entry->offset - base));
	store_be32(p + 4, (uint32_t)entry->pos);
}

void time_entry_encode(const struct time_entry *entry, int64_t base, uint8_t p[TIME_ENTRY_LEN])
{
	CHECK_OP(entry->offset, >=, base);
	CHECK_OP(entry->offset - base, <=, INT32_MAX);
	store_be64(p, (uint64_t)entry->timestamp_ms);
	store_be32(p + 8, (uint32_t)(entry->offset - base));
}

static struct index_entry index_entry_decode(const uint8_t *p, int64_t base)
{
	return (struct index_entry){base + (int32_t)load_be32(p), (int32_t)load_be32(p + 4)};
}

static struct time_entry time_entry_decode(const uint8_t *p, int64_t base)
{
	return (struct time_entry){(int64_t)load_be64(p), base + (int32_t)load_be32(p + 8)};
}

static enum err index_read_at(struct fs *fs, fs_file file, void *p, size_t len, int64_t pos)
{
	size_t got;
	enum err err = fs_pread(fs, file, p, len, pos, FS_WAIT, &got);

	if (err)
		return err;
	return got == len ? ERR_NONE : ERR_CORRUPT_FILE;
}

enum err index_read(struct fs *fs, fs_file file, int64_t base, uint32_t i, struct index_entry *ret)
{
	uint8_t p[INDEX_ENTRY_LEN];
	enum err err = index_read_at(fs, file, p, sizeof(p), (int64_t)i * INDEX_ENTRY_LEN);

	if (!err)
		*ret = index_entry_decode(p, base);
	return err;
}

enum err index_read_many(struct fs *fs, fs_file file, int64_t base, uint32_t first, uint32_t n, struct index_entry *ret)
{
	size_t len = (size_t)n * INDEX_ENTRY_LEN;
	uint8_t *p;
	enum err err;

	if (n == 0)
		return ERR_NONE;
	p = mem_alloc(len);
	err = index_read_at(fs, file, p, len, (int64_t)first * INDEX_ENTRY_LEN);
	for (uint32_t i = 0; !err && i < n; i++)
		ret[i] = index_entry_decode(p + (size_t)i * INDEX_ENTRY_LEN, base);
	mem_free(p);
	return err;
}

enum err time_index_read(struct fs *fs, fs_file file, int64_t base, uint32_t i, struct time_entry *ret)
{
	uint8_t p[TIME_ENTRY_LEN];
	enum err err = index_read_at(fs, file, p, sizeof(p), (int64_t)i * TIME_ENTRY_LEN);

	if (!err)
		*ret = time_entry_decode(p, base);
	return err;
}

enum index_key { KEY_OFFSET, KEY_TIME, KEY_TIME_OFFSET };

static enum err index_key_read(struct fs *fs, fs_file file, int64_t base, uint32_t i, enum index_key key,
			       int64_t *ret)
{
	struct index_entry entry;
	struct time_entry time;
	enum err err;

	if (key == KEY_OFFSET) {
		err = index_read(fs, file, base, i, &entry);
		if (!err)
			*ret = entry.offset;
		return err;
	}
	err = time_index_read(fs, file, base, i, &time);
	if (!err)
		*ret = key == KEY_TIME ? time.timestamp_ms : time.offset;
	return err;
}

static enum err index_count(struct fs *fs, fs_file file, int64_t base, uint32_t n, enum index_key key,
			    int64_t limit,
			    uint32_t *ret)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int64_t value;
		enum err err = index_key_read(fs, file, base, mid, key, &value);

		if (err)
			return err;
		if (value <= limit)
			low = mid + 1;
		else
			high = mid;
	}
	*ret = low;
	return ERR_NONE;
}

enum err index_count_offset(struct fs *fs, fs_file file, int64_t base, uint32_t n, int64_t offset,
			    uint32_t *ret)
{
	return index_count(fs, file, base, n, KEY_OFFSET, offset, ret);
}

enum err time_index_count(struct fs *fs, fs_file file, int64_t base, uint32_t n, int64_t timestamp_ms,
			  uint32_t *ret)
{
	return index_count(fs, file, base, n, KEY_TIME, timestamp_ms, ret);
}

enum err time_index_count_offset(struct fs *fs, fs_file file, int64_t base, uint32_t n, int64_t offset,
				 uint32_t *ret)
{
	return index_count(fs, file, base, n, KEY_TIME_OFFSET, offset, ret);
}

/* Good entries of one chunk; *prev is carried from chunk to chunk. */
static uint32_t index_check_chunk(const uint8_t *p, uint32_t n, int64_t base, int64_t log_size, int64_t end,
				  struct index_entry *prev)
{
	for (uint32_t i = 0; i < n; i++) {
		struct index_entry entry = index_entry_decode(p + (size_t)i * INDEX_ENTRY_LEN, base);

		if (entry.offset <= prev->offset || entry.pos <= prev->pos || entry.pos >= log_size ||
		    entry.offset >= end)
			return i;
		*prev = entry;
	}
	return n;
}

static uint32_t time_index_check_chunk(const uint8_t *p, uint32_t n, int64_t base, int64_t end,
				       struct time_entry *prev)
{
	for (uint32_t i = 0; i < n; i++) {
		struct time_entry entry = time_entry_decode(p + (size_t)i * TIME_ENTRY_LEN, base);

		if (entry.timestamp_ms <= prev->timestamp_ms || entry.offset < prev->offset ||
		    entry.offset < base ||
		    entry.offset >= end)
			return i;
		*prev = entry;
	}
	return n;
}

enum err index_check(struct fs *fs, fs_file file, int64_t base, int64_t log_size, int64_t end,
		     uint32_t *ret_n)
{
	uint8_t *p = mem_alloc(CHECK_CHUNK_ENTRIES * INDEX_ENTRY_LEN);
	/* Kafka's first entry can be neither offset 0 of the segment with position 0 nor before it: the first
	 * batch gets no entry. */
	struct index_entry prev = {base - 1, 0};
	uint32_t n = 0, good, whole;
	size_t got;
	enum err err;

	do {
		err = fs_pread(fs, file, p, CHECK_CHUNK_ENTRIES * INDEX_ENTRY_LEN,
			       (int64_t)n * INDEX_ENTRY_LEN, FS_WAIT,
			       &got);
		if (err)
			break;
		whole = (uint32_t)(got / INDEX_ENTRY_LEN);
		good = index_check_chunk(p, whole, base, log_size, end, &prev);
		n += good;
	} while (good == CHECK_CHUNK_ENTRIES);
	mem_free(p);
	if (!err)
		*ret_n = n;
	return err;
}

enum err time_index_check(struct fs *fs, fs_file file, int64_t base, int64_t end, uint32_t *ret_n)
{
	uint8_t *p = mem_alloc(CHECK_CHUNK_ENTRIES * TIME_ENTRY_LEN);
	struct time_entry prev = {-1, base};
	uint32_t n = 0, good, whole;
	size_t got;
	enum err err;

	do {
		err = fs_pread(fs, file, p, CHECK_CHUNK_ENTRIES * TIME_ENTRY_LEN, (int64_t)n * TIME_ENTRY_LEN,
			       FS_WAIT,
			       &got);
		if (err)
			break;
		whole = (uint32_t)(got / TIME_ENTRY_LEN);
		good = time_index_check_chunk(p, whole, base, end, &prev);
		n += good;
	} while (good == CHECK_CHUNK_ENTRIES);
	mem_free(p);
	if (!err)
		*ret_n = n;
	return err;
}
