/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the batches of a file, see batch_scan.h. */
#include "batch_scan.h"

#include "check.h"
#include "crc32c.h"
#include "mem.h"

#define SCAN_BUF_LEN ((size_t)128 << 10)
/* Read for one header when the batches are large: the rest would be thrown away. */
#define SCAN_HEADER_READ ((size_t)256)
#define SCAN_LARGE_BATCH ((size_t)8 << 10)

/* Formats 0 and 1: the checksum covers everything from here. */
#define OLD_CRC_START 16

bool batch_order_take(struct batch_order *order, const struct batch_info *info)
{
	if (!batch_is_between(info, order->next_offset, order->end_offset))
		return false;
	order->next_offset = info->last_offset + 1;
	if (info->magic < BATCH_MAGIC_NOW || info->leader_epoch == NO_LEADER_EPOCH)
		return true;
	if (info->leader_epoch < order->leader_epoch)
		return false;
	order->leader_epoch = info->leader_epoch;
	return true;
}

void batch_scan_init(struct batch_scan *scan, struct fs *fs, fs_file file, int64_t pos, int64_t limit,
		     bool want_crc)
{
	*scan = (struct batch_scan){.fs = fs, .file = file, .pos = pos, .limit = limit, .want_crc = want_crc};
	scan->buf = mem_alloc(SCAN_BUF_LEN);
	/* One read finds the size of the batches. */
	scan->last_size = SCAN_LARGE_BATCH;
}

void batch_scan_deinit(struct batch_scan *scan)
{
	mem_free(scan->buf);
	scan->buf = NULL;
}

/* Has `len` bytes at pos in the buffer; reads ahead up to `ahead` bytes. Less only where the limit or the
 * file ends. */
static bool batch_scan_fill(struct batch_scan *scan, int64_t pos, size_t len, size_t ahead, struct bytes *ret)
{
	size_t skip = 0;

	if (pos >= scan->buf_pos && pos - scan->buf_pos <= (int64_t)scan->buf_len)
		skip = (size_t)(pos - scan->buf_pos);
	else
		scan->buf_len = 0;
	if (scan->buf_len < skip + len) {
		size_t want = (size_t)MIN((int64_t)MAX(ahead, len), scan->limit - pos);

		scan->err = fs_pread(scan->fs, scan->file, scan->buf, want, pos, FS_WAIT, &scan->buf_len);
		if (scan->err) {
			scan->buf_len = 0;
			return false;
		}
		scan->buf_pos = pos;
		skip = 0;
	}
	*ret = (struct bytes){scan->buf + skip, scan->buf_len - skip};
	return true;
}

bool batch_scan_crc_is_good(struct batch_scan *scan, int64_t pos, const struct batch_info *info)
{
	bool is_old = info->magic < BATCH_MAGIC_NOW;
	size_t at = is_old ? OLD_CRC_START : BATCH_ATTRIBUTES_AT;
	uint32_t crc = 0;

	while (at < info->size) {
		struct bytes part;
		size_t len;

		if (!batch_scan_fill(scan, pos + (int64_t)at, 1, SCAN_BUF_LEN, &part))
			return false;
		if (part.len == 0)
			return false;
		len = MIN(part.len, info->size - at);
		crc = is_old ? crc32_plain(crc, part.p, len) : crc32c(crc, part.p, len);
		at += len;
	}
	return crc == info->crc;
}

bool batch_scan_next(struct batch_scan *scan, struct batch_info *ret, int64_t *ret_pos)
{
	size_t ahead = scan->want_crc || scan->last_size < SCAN_LARGE_BATCH ? SCAN_BUF_LEN : SCAN_HEADER_READ;
	struct bytes head;
	struct batch_info info;

	if (scan->err || scan->is_bad || scan->pos >= scan->limit)
		return false;
	if (!batch_scan_fill(scan, scan->pos, (size_t)MIN((int64_t)BATCH_HEADER_LEN, scan->limit - scan->pos),
			     ahead,
			     &head))
		return false;
	if (batch_parse(head, &info) || (int64_t)info.size > scan->limit - scan->pos) {
		scan->is_bad = true;
		return false;
	}
	if (scan->want_crc && !batch_scan_crc_is_good(scan, scan->pos, &info)) {
		scan->is_bad = !scan->err;
		return false;
	}
	/* The checksum may have moved the buffer on. */
	if (info.size <= SCAN_HEADER_READ) {
		if (!batch_scan_fill(scan, scan->pos, info.size, info.size, &head))
			return false;
		if (head.len < info.size) {
			scan->is_bad = true;
			return false;
		}
		info.bytes = (struct bytes){head.p, info.size};
	} else {
		info.bytes = BYTES_NULL;
	}
	*ret_pos = scan->pos;
	scan->pos += (int64_t)info.size;
	scan->last_size = info.size;
	*ret = info;
	return true;
}

enum err batch_scan_load(struct batch_scan *scan, int64_t pos, struct batch_info *info, uint8_t **ret)
{
	uint8_t *p;
	size_t got;
	enum err err;

	CHECK_OP(pos + (int64_t)info->size, <=, scan->limit);
	p = mem_alloc(info->size);
	err = fs_pread(scan->fs, scan->file, p, info->size, pos, FS_WAIT, &got);
	if (!err && got != info->size)
		err = ERR_CORRUPT_FILE;
	if (err) {
		mem_free(p);
		return err;
	}
	info->bytes = (struct bytes){p, info->size};
	*ret = p;
	return ERR_NONE;
}
