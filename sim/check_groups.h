/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one group promised its members, and what must follow: who owns what, and which offset of each partition a fetch
 * may tell. Values of commits rise, so that an offset that goes back shows by its value.
 *
 * 1. Two owners of a partition at one time are a failure, as are two of an epoch.
 * 2. A fetch tells no less than what was acknowledged or fetched before it was sent, unless a commit was never answered
 *    (a doubt), or the offset was deleted meanwhile.
 * 3. What an author lost is not its own any more: once another author was acknowledged, no older value is stored.
 * 4. After an acknowledged deletion, with no commit on its way, the offset is not there.
 * 5. A lossy cut of the power (w->era) starts anew what is known.
 */
#ifndef CHECK_GROUPS_H
#define CHECK_GROUPS_H

#include "sim_world.h"
#include "vec.h"

#define CHECK_GROUP_PARTS_MAX 4

/* Who commits: a member in one of its lives. */
struct group_author {
	int member, lives;
};

struct group_doubt {
	struct group_author author;
	int part;
	int64_t value;
};

/* What is known of an offset; a copy of it is what was known when a request was sent. */
struct group_known {
	int64_t acked; /* -1: nothing */
	uint32_t era;  /* of `acked` */
	bool may_be_gone; /* a deletion was sent, and nothing has been acknowledged that was sent after it ended */
	bool is_gone;     /* a deletion was acknowledged, and no commit was sent since */
	uint32_t gone_era; /* when that was */
};

struct check_group_part {
	struct group_known known;
	int64_t next;   /* the value of the next commit */
	int64_t sent_n; /* commits sent so far */
	int out_n;      /* of them, not answered yet */
	bool calm_ack;  /* acknowledged since the calm began */
	/* of the deletion that is out, or was last */
	int64_t delete_sent_n, delete_done_ns, acked_ns;
};

struct check_group {
	struct world *w;
	const char *name;
	struct check_group_part parts[CHECK_GROUP_PARTS_MAX];
	VEC(struct group_doubt) doubts;
	int deletes_out;
	int64_t delete_sent_ns;
	bool is_unsure; /* a deletion was never answered: it may come at any time */
};

/* A member as it is now. */
struct group_owner {
	const char *id;
	int32_t epoch;
	uint32_t owns; /* bits of partitions */
};

void check_group_init(struct check_group *c, struct world *w, const char *name);
void check_group_deinit(struct check_group *c);

/* Fails when two of them own the same. */
void check_group_owners(struct check_group *c, const struct group_owner *owners, int n);

/* A value for a commit that is not sent yet. */
int64_t check_group_value(struct check_group *c, int part);
/* A commit leaves; each is followed by one of the three below. */
void check_group_commit_sent(struct check_group *c, int part);
/* `before`: what was known when it was sent. era: of the connection. */
void check_group_acked(struct check_group *c, uint32_t era, int64_t sent_ns, struct group_author author, int part,
		       int64_t value, const struct group_known *before);
void check_group_refused(struct check_group *c, int part);
/* Never answered, or answered so that it may be stored all the same. */
void check_group_unknown(struct check_group *c, struct group_author author, int part, int64_t value);
/* A fetch told this value (-1: no offset). */
void check_group_fetched(struct check_group *c, uint32_t era, int part, int64_t value,
			 const struct group_known *before);

/* A deletion of offsets of these partitions (bits), or of the group. One at a time. */
void check_group_delete_sent(struct check_group *c, uint32_t parts);
/* `answered`: told that it is done (`deleted`) or refused; else nobody knows. */
void check_group_delete_done(struct check_group *c, uint32_t era, uint32_t parts, bool answered, bool deleted);

#endif
