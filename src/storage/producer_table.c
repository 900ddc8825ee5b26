/* SPDX-License-Identifier: Apache-2.0 */
/* See producer_table.h: linear probing; a producer that goes leaves a mark until the table is made anew. */
#include "producer_table.h"

#include "check.h"
#include "hash.h"
#include "mem.h"
#include "producer_state.h"

#define TABLE_SLOTS_MIN 4u
#define TABLE_SLOTS_MAX (UINT32_C(1) << 31)
#define TABLE_GONE ((struct producer_entry *)(uintptr_t)1)

void producer_table_deinit(struct producer_table *table)
{
	mem_free(table->slots);
	*table = (struct producer_table){.seed = table->seed};
}

/* Where the producer is, or where the probe for it ended. */
static uint32_t producer_table_at(const struct producer_table *table, int64_t producer_id)
{
	uint32_t mask = table->slots_n - 1;
	uint32_t at = (uint32_t)hash_u64((uint64_t)producer_id, table->seed) & mask;

	while (table->slots[at] &&
	       (table->slots[at] == TABLE_GONE || table->slots[at]->producer_id != producer_id))
		at = (at + 1) & mask;
	return at;
}

struct producer_entry *producer_table_get(const struct producer_table *table, int64_t producer_id)
{
	return table->n ? table->slots[producer_table_at(table, producer_id)] : NULL;
}

static void producer_table_rebuild(struct producer_table *table)
{
	struct producer_table next = {.slots_n = TABLE_SLOTS_MIN, .n = table->n, .used = table->n, .seed = table->seed};
	struct producer_entry *entry;

	while (next.slots_n / 2 < table->n + 1) {
		CHECK_OP(next.slots_n, <, TABLE_SLOTS_MAX);
		next.slots_n *= 2;
	}
	next.slots = mem_calloc(next.slots_n, sizeof(struct producer_entry *));
	for (uint32_t it = 0; (entry = producer_table_next(table, &it)) != NULL;)
		next.slots[producer_table_at(&next, entry->producer_id)] = entry;
	mem_free(table->slots);
	*table = next;
}

void producer_table_put(struct producer_table *table, int64_t producer_id, struct producer_entry *entry)
{
	uint32_t at = table->slots_n ? producer_table_at(table, producer_id) : 0;

	if (table->slots_n && table->slots[at]) {
		table->slots[at] = entry;
		return;
	}
	if (table->used + 1 > table->slots_n - table->slots_n / 4) {
		producer_table_rebuild(table);
		at = producer_table_at(table, producer_id);
	}
	table->slots[at] = entry;
	table->n++;
	table->used++;
}

void producer_table_remove(struct producer_table *table, const struct producer_entry *entry)
{
	uint32_t at = producer_table_at(table, entry->producer_id);

	CHECK(table->slots[at] == entry);
	table->slots[at] = TABLE_GONE;
	table->n--;
	if (table->n == 0)
		producer_table_deinit(table);
}

struct producer_entry *producer_table_next(const struct producer_table *table, uint32_t *it)
{
	while (*it < table->slots_n) {
		struct producer_entry *entry = table->slots[(*it)++];

		if (entry && entry != TABLE_GONE)
			return entry;
	}
	return NULL;
}
