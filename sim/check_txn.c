/* SPDX-License-Identifier: Apache-2.0 */
/* See check_txn.h. */
#include "check_txn.h"

#include "bytes.h"

#define VALUE_MAGIC UINT32_C(0x74786e31)
#define OFFSET_MAX 10000000

void check_txn_init(struct check_txn *c, struct world *w)
{
	*c = (struct check_txn){.w = w};
	for (int i = 0; i < CHECK_TXN_PARTS_MAX; i++)
		c->parts[i].committed = -1;
}

void check_txn_deinit(struct check_txn *c)
{
	vec_deinit(&c->txns);
	vec_deinit(&c->records);
	vec_deinit(&c->producers);
	for (int i = 0; i < CHECK_TXN_PARTS_MAX; i++) {
		vec_deinit(&c->parts[i].places);
		vec_deinit(&c->parts[i].offsets);
	}
}

/* ---- what is sent ---- */

uint32_t check_txn_begin(struct check_txn *c)
{
	vec_push(&c->txns, ((struct check_txn_one){0}));
	return (uint32_t)c->txns.n - 1;
}

uint32_t check_txn_record(struct check_txn *c, uint32_t txn, int part, uint32_t source)
{
	struct check_txn_record record = {
		.txn = txn, .part = part, .source = source, .handled_by = CHECK_TXN_NONE, .offset = -1};

	vec_push(&c->records, record);
	c->txns.v[txn].records_n++;
	return (uint32_t)c->records.n - 1;
}

void check_txn_value(uint32_t record, uint8_t ret[CHECK_TXN_VALUE_LEN])
{
	store_be32(ret, VALUE_MAGIC);
	store_be32(ret + 4, record);
	for (int i = 8; i < CHECK_TXN_VALUE_LEN; i++)
		ret[i] = (uint8_t)(record * 31 + (uint32_t)i);
}

void check_txn_offset(struct check_txn *c, uint32_t txn, int part, int64_t offset)
{
	vec_push(&c->parts[part].offsets, ((struct check_txn_offset){txn, offset}));
}

void check_txn_end_sent(struct check_txn *c, uint32_t txn, bool commit)
{
	c->txns.v[txn].is_commit_asked |= commit;
	c->txns.v[txn].commits_open += commit;
}

/* ---- what is told ---- */

void check_txn_producer(struct check_txn *c, uint32_t owner, int64_t producer_id, int16_t epoch)
{
	if (producer_id < 0 || epoch < 0)
		world_fail(c->w, "transactions: producer id %lld epoch %d is given out", (long long)producer_id, epoch);
	for (size_t i = 0; i < c->producers.n; i++) {
		struct check_txn_producer *producer = &c->producers.v[i];

		if (producer->id != producer_id)
			continue;
		if (producer->owner != owner)
			world_fail(c->w, "transactions: two transactional ids have producer id %lld",
				   (long long)producer_id);
		if (epoch <= producer->epoch)
			world_fail(c->w, "transactions: producer id %lld is given out in epoch %d after epoch %d",
				   (long long)producer_id, epoch, producer->epoch);
		producer->epoch = epoch;
		return;
	}
	vec_push(&c->producers, ((struct check_txn_producer){producer_id, owner, epoch}));
}

static void txn_committed(struct check_txn *c, uint32_t txn, const char *how)
{
	struct check_txn_one *one = &c->txns.v[txn];

	if (one->end == CHECK_TXN_ABORTED || !one->is_commit_asked)
		world_fail(c->w, "transaction %u %s, but %s", txn, how,
			   one->end == CHECK_TXN_ABORTED ? "is aborted" : "was not asked to commit");
	one->end = CHECK_TXN_COMMITTED;
}

void check_txn_fence(struct check_txn *c, uint32_t txn)
{
	struct check_txn_one *one = &c->txns.v[txn];

	one->is_fenced = true;
	if (one->end == CHECK_TXN_UNDECIDED && one->commits_open == 0)
		one->end = CHECK_TXN_ABORTED;
}

bool check_txn_is_fenced(const struct check_txn *c, uint32_t txn)
{
	return c->txns.v[txn].is_fenced;
}

void check_txn_end_acked(struct check_txn *c, uint32_t txn, bool commit)
{
	struct check_txn_one *one = &c->txns.v[txn];

	if (commit) {
		c->commits_n++;
		txn_committed(c, txn, "is acknowledged as committed");
		return;
	}
	c->aborts_n++;
	if (one->end == CHECK_TXN_COMMITTED)
		world_fail(c->w, "transaction %u was committed, and its abort is acknowledged", txn);
	one->end = CHECK_TXN_ABORTED;
}

void check_txn_end_refused(struct check_txn *c, uint32_t txn, bool commit)
{
	struct check_txn_one *one = &c->txns.v[txn];

	if (!commit)
		return;
	one->commits_open--;
	if (one->commits_open == 0 && one->end == CHECK_TXN_UNDECIDED)
		one->end = CHECK_TXN_ABORTED;
}

void check_txn_zombie(struct check_txn *c, uint32_t txn, const char *what)
{
	world_fail(c->w, "transaction %u: %s of a fenced producer is taken", txn, what);
}

void check_txn_marks(struct check_txn *c, int part, int64_t stable, int64_t high_watermark, int64_t sent_ns)
{
	struct check_txn_part *p = &c->parts[part];

	if (stable < 0 || stable > high_watermark)
		world_fail(c->w, "transactions, partition %d: last stable offset %lld, high watermark %lld", part,
			   (long long)stable, (long long)high_watermark);
	if (sent_ns >= p->told_ns && stable < p->stable)
		world_fail(c->w, "transactions, partition %d: the last stable offset went back from %lld to %lld", part,
			   (long long)p->stable, (long long)stable);
	if (sent_ns >= p->told_ns && high_watermark < p->high_watermark)
		world_fail(c->w, "transactions, partition %d: the high watermark went back from %lld to %lld", part,
			   (long long)p->high_watermark, (long long)high_watermark);
	p->stable = MAX(p->stable, stable);
	p->high_watermark = MAX(p->high_watermark, high_watermark);
	p->told_ns = c->w->now_ns;
}

static bool offset_is_possible(const struct check_txn *c, int part, int64_t offset)
{
	const struct check_txn_part *p = &c->parts[part];

	for (size_t i = 0; i < p->offsets.n; i++) {
		const struct check_txn_one *one = &c->txns.v[p->offsets.v[i].txn];

		if (p->offsets.v[i].offset == offset && one->is_commit_asked && one->end != CHECK_TXN_ABORTED)
			return true;
	}
	return offset == -1;
}

void check_txn_offset_told(struct check_txn *c, int part, int64_t offset, int64_t sent_ns)
{
	struct check_txn_part *p = &c->parts[part];

	if (!offset_is_possible(c, part, offset))
		world_fail(c->w, "transactions, partition %d: offset %lld is of no transaction that can have committed",
			   part, (long long)offset);
	if (sent_ns >= p->committed_ns && offset < p->committed)
		world_fail(c->w, "transactions, partition %d: the group's offset went back from %lld to %lld", part,
			   (long long)p->committed, (long long)offset);
	if (offset > p->committed) {
		p->committed = offset;
		p->committed_ns = c->w->now_ns;
	}
}

/* ---- what is seen ---- */

static struct check_txn_place *place_at(struct check_txn *c, int part, int64_t offset)
{
	struct check_txn_part *p = &c->parts[part];

	if (offset < 0 || offset > OFFSET_MAX) {
		world_fail(c->w, "transactions, partition %d: impossible offset %lld", part, (long long)offset);
		return NULL;
	}
	while ((int64_t)p->places.n <= offset)
		vec_push(&p->places, ((struct check_txn_place){0}));
	return &p->places.v[offset];
}

/* False after a failure. */
static bool record_is_at(struct check_txn *c, uint32_t number, int64_t offset)
{
	struct check_txn_record *record = &c->records.v[number];
	struct check_txn_place *place = place_at(c, record->part, offset);

	if (!place)
		return false;
	if (record->offset >= 0 && record->offset != offset) {
		world_fail(c->w, "transactions, partition %d: record %u is at %lld, and at %lld", record->part, number,
			   (long long)record->offset, (long long)offset);
		return false;
	}
	if (place->record && place->record != number + 1) {
		world_fail(c->w, "transactions, partition %d: records %u and %u are both at %lld", record->part,
			   place->record - 1, number, (long long)offset);
		return false;
	}
	place->record = number + 1;
	record->offset = offset;
	return true;
}

void check_txn_acked(struct check_txn *c, uint32_t record, int64_t offset)
{
	if (record_is_at(c, record, offset))
		c->records.v[record].is_acked = true;
}

static void record_committed(struct check_txn *c, uint32_t number)
{
	struct check_txn_record *record = &c->records.v[number];

	if (record->is_committed)
		return;
	record->is_committed = true;
	txn_committed(c, record->txn, "is read by a committed reader");
	if (c->parts[record->part].places.v[record->offset].is_passed)
		world_fail(c->w, "transactions, partition %d offset %lld: a committed reader reads what another passed",
			   record->part, (long long)record->offset);
	if (record->source == CHECK_TXN_NONE)
		return;
	if (c->records.v[record->source].handled_by != CHECK_TXN_NONE)
		world_fail(c->w, "record %u was handled twice: in transaction %u by record %u, in %u by %u",
			   record->source, c->records.v[c->records.v[record->source].handled_by].txn,
			   c->records.v[record->source].handled_by, record->txn, number);
	c->records.v[record->source].handled_by = number;
}

uint32_t check_txn_read(struct check_txn *c, int part, int64_t offset, struct bytes value, bool committed)
{
	uint8_t right[CHECK_TXN_VALUE_LEN];
	uint32_t number = value.len == CHECK_TXN_VALUE_LEN ? load_be32(value.p + 4) : CHECK_TXN_NONE;

	if (number < c->records.n)
		check_txn_value(number, right);
	if (number >= c->records.n || c->records.v[number].part != part ||
	    memcmp(right, value.p, CHECK_TXN_VALUE_LEN) != 0) {
		world_fail(c->w, "transactions, partition %d offset %lld: a record that nobody sent there", part,
			   (long long)offset);
		return CHECK_TXN_NONE;
	}
	if (!record_is_at(c, number, offset))
		return CHECK_TXN_NONE;
	c->records.v[number].is_read = true;
	if (committed)
		record_committed(c, number);
	return number;
}

void check_txn_passed(struct check_txn *c, int part, int64_t from, int64_t to)
{
	for (int64_t offset = from; offset < to && !c->w->has_failed; offset++) {
		struct check_txn_place *place = place_at(c, part, offset);

		if (!place)
			return;
		place->is_passed = true;
		if (place->record && c->records.v[place->record - 1].is_committed)
			world_fail(c->w,
				   "transactions, partition %d offset %lld: a committed reader passes what one read",
				   part, (long long)offset);
	}
}

/* ---- the end ---- */

int64_t check_txn_unhandled(const struct check_txn *c, int parts_n)
{
	int64_t n = 0;

	for (size_t i = 0; i < c->records.n; i++) {
		const struct check_txn_record *record = &c->records.v[i];

		n += record->part < parts_n && record->is_committed && record->handled_by == CHECK_TXN_NONE;
	}
	return n;
}

void check_txn_finish(struct check_txn *c, int parts_n)
{
	uint8_t *has_committed = mem_calloc(c->txns.n + 1, 1);

	for (size_t i = 0; i < c->records.n; i++)
		has_committed[c->records.v[i].txn] |= c->records.v[i].is_committed;
	for (size_t i = 0; i < c->records.n && !c->w->has_failed; i++) {
		const struct check_txn_record *record = &c->records.v[i];
		const struct check_txn_one *one = &c->txns.v[record->txn];

		if (record->is_acked && !record->is_read)
			world_fail(c->w, "transactions, partition %d offset %lld: acknowledged record %zu is lost",
				   record->part, (long long)record->offset, i);
		else if (record->is_acked && !record->is_committed &&
			 (one->end == CHECK_TXN_COMMITTED || has_committed[record->txn]))
			world_fail(c->w,
				   "transaction %u is committed, but its record %zu, partition %d offset %lld, is not",
				   record->txn, i, record->part, (long long)record->offset);
	}
	if (!c->w->has_failed && check_txn_unhandled(c, parts_n) > 0)
		world_fail(c->w, "transactions: %lld committed inputs were never handled",
			   (long long)check_txn_unhandled(c, parts_n));
	mem_free(has_committed);
}
