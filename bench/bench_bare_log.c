/* SPDX-License-Identifier: Apache-2.0 */

/*
 * See bench_bare_log.h. Invariants:
 * 1. Index entries have rising offsets and are 4 KB of log or more apart; the first batch has one.
 * 2. `last` is the last batch exactly, so that a reader at the tail gets nothing twice.
 */

#include "bench_bare_log.h"

#include "bench_util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INDEX_GAP = 4 << 10 };

void bare_log_open(struct bare_log *log, const char *path)
{
	*log = (struct bare_log){ .fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) };
	if (log->fd < 0)
		die("%s: %s", path, strerror(errno));
}

static void index_add(struct bare_log *log, struct bare_log_entry entry)
{
	if (log->index_n > 0 && entry.pos - log->index[log->index_n - 1].pos < INDEX_GAP)
		return;
	if (log->index_n == log->index_cap) {
		log->index_cap = log->index_cap == 0 ? 1024 : log->index_cap * 2;
		log->index = realloc(log->index, log->index_cap * sizeof(*log->index));
		if (log->index == NULL)
			die("out of memory");
	}
	log->index[log->index_n++] = entry;
}

int64_t bare_log_append(struct bare_log *log, uint8_t *batch, size_t len)
{
	int64_t base = log->offset_end;
	wire_put_i64(batch, base);
	wire_put_i32(batch + 12, 0);
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(log->fd, batch + done, len - done, log->len + (int64_t)done);
		if (n < 0)
			die("pwrite: %s", strerror(errno));
		done += (size_t)n;
	}
	log->last = (struct bare_log_entry){ .offset = base, .pos = log->len };
	index_add(log, log->last);
	log->len += (int64_t)len;
	log->offset_end = base + wire_get_i32(batch + 23) + 1;
	return base;
}

int64_t bare_log_find(const struct bare_log *log, int64_t offset)
{
	if (offset >= log->last.offset)
		return log->last.pos;
	size_t low = 0;
	for (size_t high = log->index_n; high - low > 1;) {
		size_t middle = low + (high - low) / 2;
		if (log->index[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	int64_t pos = log->index[low].pos;
	for (;;) {
		uint8_t head[27];
		if (pread(log->fd, head, sizeof(head), pos) != (ssize_t)sizeof(head))
			die("pread: short");
		if (wire_get_i64(head) + wire_get_i32(head + 23) >= offset)
			return pos;
		pos += 12 + wire_get_i32(head + 8);
	}
}

void bare_log_clear(struct bare_log *log)
{
	if (ftruncate(log->fd, 0) != 0)
		die("ftruncate: %s", strerror(errno));
	log->len = 0;
	log->offset_end = 0;
	log->index_n = 0;
	log->last = (struct bare_log_entry){ 0 };
}
