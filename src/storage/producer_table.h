/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The producers of a partition by their id: a hash table of pointers and nothing else, as an entry knows its own id.
 * A partition may remember a hundred thousand idle producers, so what the table takes for each counts: 11 bytes when it
 * is full, 21 when it has just grown.
 *
 * 1. At most three quarters of the slots are not free, so that every probe ends. Growing leaves at most half in use.
 * 2. Two tables of one seed, filled alike, iterate alike.
 */
#ifndef STORAGE_PRODUCER_TABLE_H
#define STORAGE_PRODUCER_TABLE_H

#include "types.h"

struct producer_entry;

struct producer_table {
	struct producer_entry **slots; /* NULL: free */
	uint32_t slots_n;              /* power of two, or 0 */
	uint32_t n;                    /* producers */
	uint32_t used;                 /* slots that are not free: those of producers, and of some that went */
	uint64_t seed;
};

/* Frees the table, not the entries. */
void producer_table_deinit(struct producer_table *table);
struct producer_entry *producer_table_get(const struct producer_table *table, int64_t producer_id);
/* In place of the one that has its id, if there is one: that is not looked at. */
void producer_table_put(struct producer_table *table, int64_t producer_id, struct producer_entry *entry);
/* It must be there. Fine while iterating. */
void producer_table_remove(struct producer_table *table, const struct producer_entry *entry);
/* for (uint32_t it = 0; (entry = producer_table_next(table, &it)) != NULL;) without any put in the body. */
struct producer_entry *producer_table_next(const struct producer_table *table, uint32_t *it);

#endif
