/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The targets of large groups. What takes time in proportion to members, names, topics and expressions is not done in
 * the turn of a heartbeat, but by a job beside the group: its parts on the reactor are slices of bounded length, its
 * assignor is WORK on a copy.
 *
 *    START --> MATCH (topics, in chunks) <--> WORK (expressions) --> WRITE (what stands for something else, an epoch)
 *          --> GATHER (members, topics, what they own: a copy) --> WORK (hash, assignor) --> APPLY (targets) --> over
 *
 * 1. A group has one job at most, and a job does not hold up heartbeats: until it is over members keep the target that
 *    there is, and the group is Assigning.
 * 2. A job is for the group's epoch when it began to gather. What happened meanwhile has raised the epoch: who is gone
 *    or has asked for something else keeps no, or the old, target, and the next job follows.
 * 3. Targets are written in slices, their epoch last. A partition that stands in the old target of one member and in
 *    the new one of another has one owner all the same (consumer_reconcile.h, 1). Half written, after a crash, they
 *    are made anew, since the epoch is ahead.
 * 4. When the log fails meanwhile, the job ends, and another one begins.
 */
#ifndef COORDINATOR_CONSUMER_JOB_H
#define COORDINATOR_CONSUMER_JOB_H

#include "group_consumer.h"

/* About a nanosecond in a hundred each: names, partitions, matches that one turn may take up. */
#define CONSUMER_INLINE_MAX 20000
#define CONSUMER_JOB_REST_MS 1000 /* between two jobs of a group */

/* Is it more than a turn may take to make this group's target? */
bool consumer_is_large(const struct group_consumer *consumer);
/* Would it be with one expression more? consumer NULL: a new group. */
bool consumer_is_large_with_regex(const struct group_store *store, const struct group_consumer *consumer);
/* Has the image moved since topics, or expressions that may be resolved again by now, were looked at? */
bool consumer_is_stale(const struct group_consumer *consumer);
/* A job begins after delay_ms, unless there is one. */
void consumer_job_soon(struct group_consumer *consumer, int64_t delay_ms);
/* The group goes away. */
void consumer_job_abandon(struct group_consumer *consumer);

#endif
