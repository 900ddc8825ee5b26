/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of the classic protocol in a group of the consumer protocol, and the ways from one kind of group to the other
 * (KIP-848, "migration"). A hosted member joins, syncs and sends heartbeats as ever; its generation is its member
 * epoch, its JoinGroup tells what it owns, its SyncGroup what it may own, and a heartbeat asks it to join again when it
 * has a step to take.
 *
 *    classic, members --first member of the consumer protocol--> consumer, hosting
 *    consumer, hosting --last member of the consumer protocol is gone--> classic, which then rebalances
 *
 * 1. A hosted member is one whose record has the classic member's metadata.
 * 2. A group moves in one batch of records: what the old kind had is deleted, what the new kind has is written.
 */
#ifndef COORDINATOR_CONSUMER_HOST_H
#define COORDINATOR_CONSUMER_HOST_H

#include "consumer_heartbeat.h"
#include "group_classic.h"
#include "msg/consumer_protocol.h"

/* ---- consumer_host.c: requests of hosted members; the answers are filled in, an error is in them ---- */

enum err consumer_host_join(struct group *group, struct classic_join *join, struct coord_records *records) MUST_USE;
void consumer_host_sync(const struct group *group, struct classic_sync *sync);
enum err consumer_host_heartbeat(struct group *group, const struct heartbeat_request *in) MUST_USE;

/* A set as the assignment that the member's client understands, for one of its protocols. */
struct bytes consumer_host_assignment(const struct group *group, const struct consumer_member *member,
				      struct str protocol, struct part_set set, struct arena *arena);

/* ---- consumer_migrate.c ---- */

/* May it become one of the consumer protocol, as far as settings and its size go? `text` says why not. */
bool consumer_upgrade_is_allowed(const struct group *group, struct err_text *text);
/* Makes a classic group that has members one of the consumer protocol. False: it cannot be, or must not; `text` says
 * why. */
bool consumer_upgrade(struct group *group, struct err_text *text);
/* Makes the group classic soon, if by then all its members are. */
void consumer_downgrade_soon(struct group *group);
/* Deletes what an empty consumer group has, so that its id is free for a classic one. */
void consumer_end_empty(struct group *group);

#endif
