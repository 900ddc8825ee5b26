/* SPDX-License-Identifier: Apache-2.0 */
/* See compact_reader.h. */
#include "compact_reader.h"

#include "mem.h"

#define READER_BUF_LEN ((size_t)512 << 10)
/* A buffer that one large batch blew up does not stay. */
#define READER_BUF_KEEP ((size_t)4 << 20)

void compact_reader_init(struct compact_reader *reader)
{
	*reader = (struct compact_reader){.file = FS_FILE_NONE, .cap = READER_BUF_LEN,
					  .order.leader_epoch = NO_LEADER_EPOCH};
	reader->buf = mem_alloc(reader->cap);
}

void compact_reader_deinit(struct compact_reader *reader)
{
	mem_free(reader->buf);
	reader->buf = NULL;
}

enum err compact_reader_open(struct compact_reader *reader, struct fs *fs, const char *dir,
			    const struct segment *segment)
{
	if (reader->cap > READER_BUF_KEEP) {
		mem_free(reader->buf);
		reader->cap = READER_BUF_LEN;
		reader->buf = mem_alloc(reader->cap);
	}
	reader->fs = fs;
	reader->pos = 0;
	reader->limit = segment->size;
	reader->order.next_offset = segment->base;
	reader->order.end_offset = segment->next_offset;
	reader->start = reader->len = 0;
	return segment_open_file(fs, dir, segment->base, ".log", FS_READ, &reader->file);
}

void compact_reader_close(struct compact_reader *reader)
{
	if (reader->file != FS_FILE_NONE)
		fs_close(reader->fs, reader->file);
	reader->file = FS_FILE_NONE;
}

/* At least `want` bytes in the buffer, or all there are. */
static enum err compact_reader_fill(struct compact_reader *reader, size_t want)
{
	int64_t at = reader->pos + (int64_t)reader->len;
	size_t more, got;
	enum err err;

	if (reader->len >= want)
		return ERR_NONE;
	if (reader->start)
		memmove(reader->buf, reader->buf + reader->start, reader->len);
	reader->start = 0;
	if (want > reader->cap) {
		reader->cap = want;
		reader->buf = mem_realloc(reader->buf, reader->cap);
	}
	more = (size_t)MIN(reader->limit - at, (int64_t)(reader->cap - reader->len));
	err = fs_pread(reader->fs, reader->file, reader->buf + reader->len, more, at, FS_WAIT, &got);
	if (!err)
		reader->len += got;
	return err;
}

enum err compact_reader_next(struct compact_reader *reader, struct batch_info *ret)
{
	struct batch_info info;
	enum err err;

	if (reader->pos >= reader->limit)
		return ERR_NOT_FOUND;
	err = compact_reader_fill(reader, BATCH_HEADER_LEN);
	if (err)
		return err;
	if (batch_parse((struct bytes){reader->buf + reader->start, reader->len}, &info) ||
	    (int64_t)info.size > reader->limit - reader->pos)
		return ERR_CORRUPT_FILE;
	err = compact_reader_fill(reader, info.size);
	if (err)
		return err;
	if (reader->len < info.size ||
	    batch_check_header((struct bytes){reader->buf + reader->start, info.size}, BATCH_CHECK_CRC, ret) ||
	    !batch_order_take(&reader->order, ret))
		return ERR_CORRUPT_FILE;
	reader->start += info.size;
	reader->len -= info.size;
	reader->pos += (int64_t)info.size;
	return ERR_NONE;
}
