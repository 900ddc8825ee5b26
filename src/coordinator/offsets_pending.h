/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offsets that an open transaction has committed: they count when its marker says commit, and are forgotten when it
 * says abort. One entry per producer id, group, topic and partition.
 *
 *    commit in a transaction --> PENDING --marker: commit--> the group's offset, unless a later commit is there
 *                                        --marker: abort---> forgotten
 *                                        --offset deleted--> VOID --marker--> forgotten
 *
 * 1. Later is what stands later in the log: a plain commit, or one of a transaction whose marker came first.
 * 2. A marker settles what its producer id committed in its epoch or an older one; nothing else.
 * 3. store->pendings_n counts the entries; what they take counts in the store's memory.
 */
#ifndef COORDINATOR_OFFSETS_PENDING_H
#define COORDINATOR_OFFSETS_PENDING_H

#include "group_offsets.h"

/* By producer id, group, topic and partition. The entry's metadata is owned from here on. */
void pending_put(struct group_store *store, struct coord_origin origin, struct str group, struct str topic,
		 const struct committed_offset *take_entry);
void pending_remove(struct group_store *store, struct coord_origin origin, struct str group, struct str topic,
		    int32_t partition);
/* NULL: none. */
const struct committed_offset *pending_find(const struct group_store *store, struct coord_origin origin,
					    struct str group, struct str topic, int32_t partition);
/* A plain record for the key was replayed: a commit, or a deletion. */
void pending_overtaken(struct group_store *store, struct str group, struct str topic, int32_t partition,
		       bool is_deletion);
/* That record was undone. */
void pending_overtaken_undone(struct group_store *store, struct str group, struct str topic, int32_t partition,
			      bool was_deletion);
/* A transaction ended. What counts is given to `put`, which owns the metadata from there on. */
void pending_settle(struct group_store *store, struct coord_origin origin, bool commit,
		    void (*put)(struct group_store *store, struct str group, struct str topic,
				const struct committed_offset *take_entry));
/* Does an open transaction commit this? */
bool pending_is(const struct group_store *store, struct str group, struct str topic, int32_t partition);
/* Does any commit something for the group? */
bool pending_is_group(const struct group_store *store, struct str group);
/* Calls fn for each key of the group that an open transaction commits. */
void pending_each(const struct group_store *store, struct str group,
		  void (*fn)(void *ctx, struct str topic, int32_t partition), void *ctx);
void pending_init(struct group_store *store);
void pending_deinit(struct group_store *store);

#endif
