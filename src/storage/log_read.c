/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a range of a log. Most reads know their place without the index: the newest batches of the active
 * segment are in a ring, the place where the last reads ended is remembered, and one page of index entries
 * follows a reader through an older segment. What is not known, or would have to wait for the disk, goes to a
 * helper; so does what was not checked yet (log_check.c).
 *
 * 1. A place that was found holds only as long as `generation` stays: a truncation makes it void.
 */
#include "part_log_internal.h"

#include "batch_scan.h"
#include "log.h"
#include "mem.h"
#include "storage_internal.h"

/* Longest read that walks no index: enough for a header. */
#define READ_HEADER_LEN BATCH_HEADER_LEN

void log_hint(struct log_impl *log, struct log_pos pos)
{
	for (int i = 0; i < LOG_HINTS_N; i++) {
		if (log->hints[i].offset == pos.offset) {
			log->hints[i] = pos;
			return;
		}
	}
	log->hints[log->hint_next] = pos;
	log->hint_next = (log->hint_next + 1) % LOG_HINTS_N;
}

static bool log_ring_find(const struct log_impl *log, int64_t offset, int64_t *ret_pos, size_t *ret_size)
{
	const struct log_tail *tail = log->tail;
	uint32_t low = 0, high, start;
	int64_t end;

	if (!tail || tail->ring_n == 0)
		return false;
	start = (tail->ring_next + LOG_RING_N - tail->ring_n) % LOG_RING_N;
	if (tail->ring[start].base_offset > offset)
		return false;
	high = tail->ring_n;
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (tail->ring[(start + mid) % LOG_RING_N].base_offset <= offset)
			low = mid;
		else
			high = mid;
	}
	*ret_pos = tail->ring[(start + low) % LOG_RING_N].pos;
	end = low + 1 < tail->ring_n ? tail->ring[(start + low + 1) % LOG_RING_N].pos
				      : log->segments.list.v[log->segments.list.n - 1].size;
	*ret_size = (size_t)(end - *ret_pos);
	return true;
}

/* Reads the header at the place without waiting; true when that batch holds the offset. */
static bool log_place_check(struct log_impl *log, int64_t offset, struct read_place *place)
{
	const struct segment *segment = &log->segments.list.v[place->at];
	struct fs *fs = log_reactor(log)->io->fs;
	uint8_t head[READ_HEADER_LEN];
	struct batch_info info;
	size_t got;

	if (!segment->file || place->pos >= segment->size)
		return false;
	if (!fs->ops->is_cached(fs, segment->file->file, place->pos, sizeof(head)) ||
	    fs_pread(fs, segment->file->file, head, sizeof(head), place->pos, FS_NOWAIT, &got))
		return false;
	if (batch_parse((struct bytes){head, got}, &info))
		return false;
	if (offset < info.base_offset || offset > info.last_offset)
		return false;
	place->first_size = info.size;
	return true;
}

static bool log_page_find(struct log_impl *log, int64_t offset, struct read_place *place)
{
	const struct log_page *page = log->page;
	uint32_t low = 0, high;

	if (!page || page->base != log->segments.list.v[place->at].base || page->n == 0)
		return false;
	high = page->n;
	/* The first entry whose batch ends at or behind the offset. */
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (page->entries[mid].offset < offset)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == page->n)
		return false;
	place->pos = page->entries[low].pos;
	return log_place_check(log, offset, place);
}

static bool log_find_place(struct log_impl *log, int64_t offset, struct read_place *ret)
{
	struct read_place place = {.at = log_segment_at(log, offset)};
	const struct segment *segment = &log->segments.list.v[place.at];
	bool is_active = place.at + 1 == log->segments.list.n;

	if (is_active && log_ring_find(log, offset, &place.pos, &place.first_size)) {
		place.is_newest = true;
		*ret = place;
		return true;
	}
	for (int i = 0; i < LOG_HINTS_N; i++) {
		if (log->hints[i].offset == offset && log->hints[i].segment_base == segment->base) {
			place.pos = log->hints[i].file_pos;
			*ret = place;
			return true;
		}
	}
	if (offset == segment->base) {
		*ret = place;
		return true;
	}
	if (log_page_find(log, offset, &place)) {
		*ret = place;
		return true;
	}
	return false;
}

static bool read_end(struct log_read *read, enum err err)
{
	read->err = err;
	return true;
}

/* End of the last whole batch known to lie within [pos, pos + len): so that the answer is cut at a batch and
 * the next read finds its place. */
static size_t log_align(const struct log_impl *log, const struct segment *segment, int64_t pos, size_t len)
{
	const struct log_page *page = log->page;
	uint32_t low = 0, high;

	if (!page || page->base != segment->base)
		return len;
	high = page->n;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (page->entries[mid].pos <= pos + (int64_t)len)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || page->entries[low - 1].pos <= pos)
		return len;
	return (size_t)(page->entries[low - 1].pos - pos);
}

/* An offset that nothing before the place reaches: of the first batch known to begin there or behind it. -1: none
 * known but the end of the segment. */
static int64_t log_offset_behind(const struct log_impl *log, const struct read_place *place, int64_t end_pos)
{
	const struct segment *segment = &log->segments.list.v[place->at];
	const struct log_tail *tail = log->tail;
	const struct log_page *page = log->page;
	uint32_t low = 0, high;

	/* The ring is in order of places; what is looked for is mostly among its last. */
	if (tail && place->at + 1 == log->segments.list.n) {
		int64_t found = -1;

		for (uint32_t i = 1; i <= tail->ring_n; i++) {
			const struct log_ring_entry *entry =
				&tail->ring[(tail->ring_next + LOG_RING_N - i) % LOG_RING_N];

			if (entry->pos < end_pos)
				return found;
			found = entry->base_offset;
			if (entry->pos == end_pos)
				return found;
		}
	}
	if (!page || page->base != segment->base || page->n == 0 || page->entries[0].pos > end_pos)
		return -1;
	high = page->n;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (page->entries[mid].pos < end_pos)
			low = mid + 1;
		else
			high = mid;
	}
	return low == page->n ? -1 : page->entries[low].offset;
}

/* True when it is as near as read->wants_end asks for. */
static bool log_read_find_end(const struct log_impl *log, struct log_read *read, const struct read_place *place,
			      int64_t end_pos, int64_t limit)
{
	bool is_last = place->at + 1 == log->segments.list.n;
	int64_t behind;

	read->end_offset = is_last ? read->bound.offset
				   : MIN(log->segments.list.v[place->at + 1].base, read->bound.offset);
	if (end_pos >= limit)
		return true;
	behind = log_offset_behind(log, place, end_pos);
	if (behind < 0)
		return !read->wants_end;
	read->end_offset = MIN(read->end_offset, behind);
	return true;
}

enum read_step { READ_DONE, READ_NEEDS_HELPER, READ_NEEDS_CHECK };

/* The place is known: gives the range, when nothing has to wait. asked_helper: what the index says is at hand. */
static enum read_step log_read_at(struct log_impl *log, struct log_read *read, struct read_place place,
				  bool asked_helper)
{
	struct segment *segment = &log->segments.list.v[place.at];
	int64_t limit = segment->size, checked_to;
	struct log_bad *bad;
	size_t left, len;

	if (!segment->file)
		return READ_NEEDS_HELPER;
	if (read->bound.segment_base == segment->base)
		limit = MIN(limit, read->bound.file_pos);
	if (place.pos >= limit)
		return READ_NEEDS_HELPER;
	limit = log_bad_limit(log, segment->base, place.pos, limit);
	if (place.pos >= limit) {
		bad = log_bad_at_pos(log, segment->base, place.pos);
		/* A wrong base offset led there. */
		if (bad && bad->end_offset <= read->offset && (!asked_helper || place.is_checked))
			return READ_NEEDS_HELPER;
		if (bad)
			log_bad_tell(log, bad);
		read->err = ERR_CORRUPT_MESSAGE;
		return READ_DONE;
	}
	left = (size_t)(limit - place.pos);
	len = (size_t)MIN((int64_t)left, MAX(read->max_bytes, INT64_C(0)));
	if (len < left && read->whole_first && place.first_size == 0 &&
	    !log_place_check(log, read->offset, &place))
		return READ_NEEDS_HELPER;
	if (len < left && read->whole_first && len <= place.first_size)
		len = MIN(left, place.first_size);
	else if (len < left)
		len = MAX(log_align(log, segment, place.pos, len),
			  place.first_size <= len ? place.first_size : 0);
	checked_to = log_checked_to(log, segment->base, place.pos);
	if (place.is_checked)
		len = (size_t)MIN((int64_t)len, checked_to - place.pos);
	else if (checked_to < place.pos + (int64_t)len)
		return READ_NEEDS_CHECK;
	else if (!place.is_newest && log_is_cold(log, segment, place.pos, len)) {
		log_check_forget(log, segment, place.pos);
		return READ_NEEDS_CHECK;
	}
	if (!log_read_find_end(log, read, &place, place.pos + (int64_t)len, limit) && !asked_helper)
		return READ_NEEDS_HELPER;
	if (len == left && limit == read->bound.file_pos && segment->base == read->bound.segment_base)
		log_hint(log, read->bound);
	read->file = log_file_pin(segment->file);
	read->is_pinned = true;
	read->segment_base = segment->base;
	read->piece = (struct piece){.file = segment->file->file, .pos = place.pos, .len = len};
	read->first_batch_bytes = (int64_t)place.first_size;
	read->err = ERR_NONE;
	return READ_DONE;
}

/* --- on a helper --- */

struct read_job {
	struct io_op op;
	struct log_impl *log;
	struct log_read *read; /* NULL: ended in the meantime */
	uint32_t generation;
	struct segment segment; /* a copy */
	int64_t offset;
	int64_t limit;
	int64_t bound_offset; /* -1: its place is known, or in another segment */
	int64_t bound_pos;
	int64_t behind_bad; /* a good place behind damage whose header leads nowhere, or too far; 0: none */
	struct segment_hit hit;
	bool found;
	fs_file file;
	struct log_page *page;
};

/* Index entries from the place on. */
static void read_job_load_page(struct read_job *job, struct fs *fs)
{
	struct log_page *page;
	fs_file file;
	int64_t size;
	uint32_t n, first = 0;

	if (segment_open_file(fs, job->log->path, job->segment.base, ".index", FS_READ, &file))
		return;
	if (fs->ops->file_size(fs, file, &size)) {
		fs_close(fs, file);
		return;
	}
	page = MEM_NEW(struct log_page);
	page->base = job->segment.base;
	n = (uint32_t)MIN((int64_t)job->segment.index_n, size / INDEX_ENTRY_LEN);
	if (!index_count_offset(fs, file, page->base, n, job->offset - 1, &first) &&
	    !index_read_many(fs, file, page->base, first, MIN(LOG_PAGE_N, n - first), page->entries))
		page->n = MIN(LOG_PAGE_N, n - first);
	fs_close(fs, file);
	job->page = page;
}

/* Where the bound lies. The way from the index may lead over damage, and so may the one from the hit: what is served
 * then ends there. */
static enum err read_job_find_bound(struct read_job *job, struct fs *fs)
{
	struct segment_hit bound;
	enum err err = segment_find(fs, job->log->path, &job->segment, job->file, job->bound_offset, job->limit,
				    &bound);

	if (err == ERR_CORRUPT_FILE)
		err = segment_find_behind(fs, &job->segment, job->file, job->hit.pos, job->bound_offset, job->limit,
					  &bound);
	if (err == ERR_CORRUPT_FILE && bound.pos <= job->hit.pos) {
		job->hit = bound;
		return err;
	}
	if (err && err != ERR_NOT_FOUND && err != ERR_CORRUPT_FILE)
		return err;
	job->bound_pos = err == ERR_NOT_FOUND ? job->limit : bound.pos;
	/* No batch lies between, if the header tells the truth. */
	if (job->hit.pos < job->bound_pos || segment_is_good_at(fs, job->file, job->hit.pos, job->limit))
		return ERR_NONE;
	job->hit.info.base_offset = job->offset;
	return ERR_CORRUPT_FILE;
}

static void read_job_run(struct io_op *op, struct fs *fs)
{
	struct read_job *job = container_of(op, struct read_job, op);
	enum err err = segment_open_file(fs, job->log->path, job->segment.base, ".log", FS_WRITE, &job->file);

	if (!err)
		err = segment_find(fs, job->log->path, &job->segment, job->file, job->offset, job->limit,
				   &job->hit);
	if (job->behind_bad > 0 && (err == ERR_CORRUPT_FILE || (!err && job->hit.pos < job->behind_bad)))
		err = segment_find_behind(fs, &job->segment, job->file, job->behind_bad, job->offset, job->limit,
					  &job->hit);
	if (!err && job->bound_offset >= 0)
		err = read_job_find_bound(job, fs);
	job->found = !err;
	if (!err)
		read_job_load_page(job, fs);
	op->err = err;
}

static void log_read_submit(struct log_impl *log, struct log_read *read, size_t at);

bool log_read_at_place(struct log_impl *log, struct log_read *read, struct read_place place, bool asked_helper)
{
	enum read_step step = log_read_at(log, read, place, asked_helper);

	if (step == READ_DONE)
		return true;
	if (step == READ_NEEDS_CHECK)
		log_check_submit(log, read, place, asked_helper);
	else if (asked_helper && !place.is_checked)
		return read_end(read, ERR_IO);
	else
		log_read_submit(log, read, log_segment_at(log, read->offset));
	return false;
}

/* What the helper found; true when the read has ended. */
static bool log_read_resume(struct log_impl *log, struct log_read *read, struct read_job *job)
{
	struct read_place place = {.at = log_segment_at(log, job->segment.base)};

	if (job->generation != log->generation || read->offset < log->pub.log_start)
		return part_log_read(&log->pub, read);
	CHECK_OP(log->segments.list.v[place.at].base, ==, job->segment.base);
	if (!log->segments.list.v[place.at].file && job->file != FS_FILE_NONE) {
		log->segments.list.v[place.at].file =
			file_cache_add(&core_of(log->pub.storage)->files, log, job->segment.base, job->file);
		job->file = FS_FILE_NONE;
	}
	if (job->op.err == ERR_NOT_FOUND) {
		/* The rest of the segment was compacted away. */
		if (place.at + 1 >= log->segments.list.n ||
		    log->segments.list.v[place.at + 1].base >= read->bound.offset) {
			read->piece = (struct piece){.file = PIECE_NO_FILE};
			return read_end(read, ERR_NONE);
		}
		log_read_submit(log, read, place.at + 1);
		return false;
	}
	if (job->op.err == ERR_CORRUPT_FILE && log->segments.list.v[place.at].file &&
	    !log_bad_at_pos(log, job->segment.base, job->hit.pos)) {
		place.pos = job->hit.pos;
		log_check_search(log, read, place, job->hit.info.base_offset);
		return false;
	}
	if (job->op.err)
		return read_end(read, job->op.err);
	if (job->page) {
		mem_free(log->page);
		log->page = job->page;
		job->page = NULL;
	}
	if (job->bound_offset >= 0)
		read->bound.file_pos = job->bound_pos;
	if (job->bound_offset >= 0 && job->hit.pos >= job->bound_pos) {
		/* What lies between was compacted away. */
		read->piece = (struct piece){.file = PIECE_NO_FILE};
		return read_end(read, ERR_NONE);
	}
	place.pos = job->hit.pos;
	place.first_size = job->hit.info.size;
	return log_read_at_place(log, read, place, true);
}

static void read_job_done(struct io_op *op)
{
	struct read_job *job = container_of(op, struct read_job, op);
	struct log_impl *log = job->log;
	struct log_read *read = job->read;

	/* log_reads_fail has emptied the list and ended the read. */
	if (log->is_zombie || log->pub.state == PART_LOG_FAILED)
		read = NULL;
	if (read) {
		list_remove(&read->link);
		if (op->err == ERR_IO)
			log_error("log.read_failed", "log=%s dir=%s offset=%lld", log->pub.name,
				  log->pub.dir->path,
				  (long long)job->offset);
		if (log_read_resume(log, read, job))
			read->done(read);
		if (!log->is_zombie)
			log_drive_later(log);
	}
	fs_close(log_reactor(log)->io->fs, job->file);
	mem_free(job->page);
	log_unref(log);
	mem_free(job);
}

static void log_read_submit(struct log_impl *log, struct log_read *read, size_t at)
{
	struct read_job *job;

	read->link = (struct list){NULL, NULL};
	if (log->is_swapping) {
		list_push_back(&log->parked_reads, &read->link);
		return;
	}
	job = MEM_NEW(struct read_job);
	job->log = log;
	job->read = read;
	job->generation = log->generation;
	job->segment = log->segments.list.v[at];
	job->segment.file = NULL;
	job->offset = read->offset;
	job->limit = job->segment.size;
	job->file = FS_FILE_NONE;
	job->behind_bad = log_bad_behind(log, job->segment.base, read->offset);
	job->bound_offset = read->bound.file_pos < 0 && read->bound.segment_base == job->segment.base
				    ? read->bound.offset : -1;
	list_push_back(&log->reads, &read->link);
	log_submit_work(log, &job->op, read_job_run, read_job_done);
}

struct log_pos part_log_bound_at(struct part_log *pub, int64_t offset)
{
	struct log_impl *log = impl_of(pub);

	return (struct log_pos){offset, log->segments.list.v[log_segment_at(log, offset)].base, -1};
}

bool part_log_read(struct part_log *pub, struct log_read *read)
{
	struct log_impl *log = impl_of(pub);
	struct read_place place;
	struct log_bad *bad;

	read->log = pub;
	read->is_pinned = false;
	read->file = NULL;
	read->piece = (struct piece){.file = PIECE_NO_FILE};
	read->segment_base = -1;
	read->end_offset = read->offset;
	if (pub->state == PART_LOG_FAILED)
		return read_end(read, pub->failure);
	if (pub->state != PART_LOG_OPEN)
		return read_end(read, ERR_LOG_CLOSED);
	CHECK_OP(read->bound.offset, <=, pub->appended.offset);
	if (read->offset < pub->log_start || read->offset > read->bound.offset)
		return read_end(read, ERR_OFFSET_OUT_OF_RANGE);
	if (read->offset == read->bound.offset)
		return read_end(read, ERR_NONE);
	bad = log_bad_at(log, read->offset);
	if (bad) {
		log_bad_tell(log, bad);
		return read_end(read, ERR_CORRUPT_MESSAGE);
	}
	if ((read->bound.file_pos >= 0 ||
	     read->bound.segment_base != log->segments.list.v[log_segment_at(log, read->offset)].base) &&
	    log_find_place(log, read->offset, &place))
		return log_read_at_place(log, read, place, false);
	log_read_submit(log, read, log_segment_at(log, read->offset));
	return false;
}

void log_read_release(struct log_read *read)
{
	if (!read->is_pinned)
		return;
	read->is_pinned = false;
	log_file_unpin(read->file);
	read->file = NULL;
}

void log_reads_unpark(struct log_impl *log)
{
	struct list reads, queries, *node;

	list_init(&reads);
	list_init(&queries);
	list_splice(&reads, &log->parked_reads);
	list_splice(&queries, &log->parked_queries);
	while ((node = list_pop_front(&reads)) != NULL) {
		struct log_read *read = list_entry(node, struct log_read, link);

		if (part_log_read(&log->pub, read))
			read->done(read);
	}
	while ((node = list_pop_front(&queries)) != NULL) {
		struct log_time_query *query = list_entry(node, struct log_time_query, link);

		part_log_find_time(&log->pub, query);
	}
}

void log_reads_fail(struct log_impl *log, enum err err)
{
	struct list *node;

	list_splice(&log->reads, &log->parked_reads);
	while ((node = list_pop_front(&log->reads)) != NULL) {
		struct log_read *read = list_entry(node, struct log_read, link);

		read->err = err;
		read->done(read);
	}
}
