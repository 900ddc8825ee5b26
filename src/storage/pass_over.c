/* SPDX-License-Identifier: Apache-2.0 */
/* See pass_over.h. */
#include "pass_over.h"

#include "mem.h"

/* Bytes looked through for a place. */
#define PASS_OVER_MAX MIB(64)
#define PASS_OVER_PIECE KIB(64)

struct pass_over {
	struct batch_scan *scan;
	int64_t bad;        /* position of the damaged batch */
	struct batch_info info; /* its header, if has_info */
	bool has_info, is_cut;
	int64_t next, end_max;
};

static void pass_over_init(struct pass_over *over, struct batch_scan *scan, int64_t next, int64_t end_max)
{
	uint8_t head[BATCH_HEADER_LEN];
	size_t got = 0;

	*over = (struct pass_over){.scan = scan, .bad = scan->pos, .next = next, .end_max = end_max};
	scan->err = fs_pread(scan->fs, scan->file, head, sizeof(head), over->bad, FS_WAIT, &got);
	if (scan->err)
		return;
	over->has_info = !batch_parse((struct bytes){head, got}, &over->info);
	over->is_cut = got < sizeof(head) || (over->has_info && over->info.base_offset == next &&
					      (int64_t)over->info.size > scan->limit - over->bad);
}

/* Puts the scan there; whether a good batch follows. */
static bool pass_over_to(struct pass_over *over, int64_t pos, int64_t next, struct batch_info *ret)
{
	struct batch_scan *scan = over->scan;
	bool want_crc = scan->want_crc, is_good;

	scan->pos = pos;
	scan->is_bad = false;
	scan->want_crc = true;
	is_good = batch_scan_next(scan, ret, &pos) && ret->magic == BATCH_MAGIC_NOW &&
		  batch_is_between(ret, next, over->end_max) && ret->base_offset - next <= INT32_MAX;
	scan->want_crc = want_crc;
	return is_good;
}

/* *ret_end: where the good batches that follow each other from pos on end. */
static bool pass_over_reaches_end(struct pass_over *over, int64_t pos, int64_t *ret_end)
{
	struct batch_info info;
	int64_t next = over->next;

	while (pos < over->scan->limit && pass_over_to(over, pos, next, &info)) {
		pos += (int64_t)info.size;
		next = info.last_offset + 1;
	}
	*ret_end = pos;
	return pos == over->scan->limit;
}

/* Whether all that is wrong with the damaged batch is its length: it ends at pos. */
static bool pass_over_is_length(struct pass_over *over, int64_t pos)
{
	struct batch_info info = over->info;

	info.size = (size_t)(pos - over->bad);
	return over->has_info && info.size >= BATCH_HEADER_LEN && batch_scan_crc_is_good(over->scan, over->bad, &info);
}

/* Could a batch begin with these bytes? */
static bool pass_over_is_like(const struct pass_over *over, const uint8_t *p)
{
	int64_t base = (int64_t)load_be64(p);

	return p[BATCH_MAGIC_AT] == BATCH_MAGIC_NOW && base >= over->next && base - over->next <= INT32_MAX;
}

static bool pass_over_search(struct pass_over *over, uint8_t *piece)
{
	struct batch_scan *scan = over->scan;
	int64_t limit = MIN(scan->limit, over->bad + (int64_t)PASS_OVER_MAX), from = over->bad + 1;
	size_t got;

	for (int64_t pos = from; pos + BATCH_HEADER_LEN <= limit; pos += (int64_t)PASS_OVER_PIECE) {
		size_t len = (size_t)MIN((int64_t)PASS_OVER_PIECE + BATCH_PEEK_LEN - 1, limit - pos);

		scan->err = fs_pread(scan->fs, scan->file, piece, len, pos, FS_WAIT, &got);
		for (size_t i = 0; !scan->err && i + BATCH_PEEK_LEN <= got; i++) {
			int64_t at = pos + (int64_t)i, end;

			/* All places of a row end where the row does. */
			if (at < from || !pass_over_is_like(over, piece + i))
				continue;
			if (pass_over_reaches_end(over, at, &end) && (!over->is_cut || pass_over_is_length(over, at))) {
				scan->pos = at;
				return true;
			}
			from = MAX(from, end);
		}
		if (scan->err)
			break;
	}
	return false;
}

bool pass_over(struct batch_scan *scan, int64_t next, int64_t end_max)
{
	struct pass_over over;
	struct batch_info info;
	int64_t behind, good = -1;
	bool is_found = false;
	uint8_t *piece;

	pass_over_init(&over, scan, next, end_max);
	behind = over.bad + (over.has_info ? (int64_t)over.info.size : 0);
	if (!scan->err && behind > over.bad && behind < scan->limit && pass_over_to(&over, behind, next, &info)) {
		good = behind;
		is_found = info.base_offset == next + over.info.last_offset_delta + 1;
	}
	if (!scan->err && !is_found) {
		piece = mem_alloc(PASS_OVER_PIECE + BATCH_PEEK_LEN);
		is_found = pass_over_search(&over, piece);
		mem_free(piece);
		if (is_found)
			good = scan->pos;
	}
	scan->pos = good >= 0 ? good : over.bad;
	scan->is_bad = good < 0;
	return good >= 0 && !scan->err;
}

bool pass_over_is_cut(struct batch_scan *scan, int64_t next)
{
	struct pass_over over;

	pass_over_init(&over, scan, next, INT64_MAX);
	return over.is_cut;
}
