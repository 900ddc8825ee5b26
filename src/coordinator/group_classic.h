/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A classic group: members choose a leader who assigns; the coordinator brings them together in generations.
 *
 *    EMPTY --first join--> PREPARING --all known members joined, or time is up--> COMPLETING --leader's sync logged-->
 *      ^                    ^  |  ^                                               |   |                          STABLE
 *      |                    |  |  +------ join, leave, lost member, no sync ------+   |                             |
 *      +--nobody is left----|--+                                                      |                             |
 *                           +------------- join, leave, lost member -----------------------------------------------+
 *    DEAD: deleted; the group is about to be freed
 *
 * 1. `leader` names a member, or is null when there is none.
 * 2. awaiting_join_n counts the members whose join is parked; a join or sync is parked for members only.
 * 3. generation rises with every completed join phase, and never otherwise.
 * 4. In PREPARING the join timer is on. In EMPTY there are no members.
 * 5. static_members has every member with an instance id, each instance once.
 * 6. protocol_counts has what members offer, and nothing else: who joins need not be compared with everybody.
 * 7. Nobody is told of an assignment before the record that holds it is committed.
 */
#ifndef COORDINATOR_GROUP_CLASSIC_H
#define COORDINATOR_GROUP_CLASSIC_H

#include "group.h"
#include "msg/consumer_protocol.h"
#include "msg/heartbeat.h"
#include "msg/join_group.h"
#include "msg/leave_group.h"
#include "msg/sync_group.h"
#include "sm.h"

#define PROTOCOL_TYPE_CONSUMER STR("consumer")

/* Protocols that one member may offer. */
#define MEMBER_PROTOCOLS_MAX 64

enum classic_state { CLASSIC_EMPTY, CLASSIC_PREPARING, CLASSIC_COMPLETING, CLASSIC_STABLE, CLASSIC_DEAD };

struct classic_protocol {
	struct str name;       /* owned */
	struct bytes metadata; /* owned */
};

struct classic_member {
	struct group *group;
	struct str id;          /* owned, as the rest */
	struct str instance_id; /* null: dynamic */
	struct str client_id, client_host;
	int32_t rebalance_timeout_ms, session_timeout_ms;
	struct classic_protocol *protocols; /* in order of preference */
	int32_t protocols_n;
	size_t protocols_len; /* bytes of all of them, and of the member */
	bool is_counted;      /* in the group's protocol_counts */
	struct bytes assignment;
	struct classic_join *join; /* parked, or NULL */
	struct classic_sync *sync; /* parked, or NULL */
	bool is_new;               /* has not been told its id: cannot send heartbeats */
	bool owes_sync;            /* was told of this generation, has not synced */
	struct coord_timer session;
};

/* An id that was given out, and is to come back with a join. */
struct classic_pending {
	struct group *group;
	struct str id; /* owned */
	struct coord_timer timer;
};

struct group_classic {
	struct group *group;
	struct sm state;
	int before; /* the state before `state` */
	int64_t state_ms; /* wall clock: since when; -1: not known */
	struct str protocol_type, protocol, leader; /* owned; null: none */
	int32_t generation;
	struct map members; /* id -> struct classic_member, in the order they came */
	struct map statics; /* instance id -> struct classic_member */
	struct map protocol_counts; /* name -> struct protocol_count: how many of `members` have it */
	size_t metadata_len; /* bytes that all members keep, also those who are not in `members` yet */
	struct map pending; /* id -> struct classic_pending */
	int32_t awaiting_join_n;
	int32_t owing_sync_n;
	bool has_new;   /* somebody came during the initial delay */
	bool is_logged; /* there is a record of the group */
	bool has_topics; /* topics is known */
	struct map topics; /* names that the members subscribe to: name -> its own copy */
	struct coord_timer join_timer, sync_timer;
	int64_t delay_ms, remaining_ms; /* of the initial delay */
};

/* A request to join; its op.decide is classic_join. The response is filled in op.arena. */
struct classic_join {
	struct coord_op op;
	const struct join_group_request *in;
	struct str client_id, client_host;
	int16_t version;
	struct classic_member *member; /* parked as its join; NULL: not parked */
	struct join_group_response out;
};

struct classic_sync {
	struct coord_op op;
	const struct sync_group_request *in;
	struct classic_member *member; /* parked as its sync; NULL: not parked */
	struct sync_group_response out;
};

struct classic_heartbeat {
	struct coord_op op;
	const struct heartbeat_request *in;
	struct heartbeat_response out;
};

/* The request as of version 3: with `members`. */
struct classic_leave {
	struct coord_op op;
	const struct leave_group_request *in;
	struct leave_group_response out;
};

/* For op.decide: */
enum err classic_join(struct coord_op *op, void *machine, struct coord_records *records) MUST_USE;
enum err classic_sync(struct coord_op *op, void *machine, struct coord_records *records) MUST_USE;
enum err classic_heartbeat(struct coord_op *op, void *machine, struct coord_records *records) MUST_USE;
enum err classic_leave(struct coord_op *op, void *machine, struct coord_records *records) MUST_USE;

extern const struct group_record_ops classic_record_ops; /* type 2 */

/* Makes a group without a kind an empty classic one. */
void classic_attach(struct group *group);
/* A group of DescribeGroups. */
/* False: the arena cannot hold it, and `ret` is in part filled. */
bool classic_describe(const struct group *group, struct arena *arena, struct describe_groups_response_groups *ret);
void classic_check_invariants(const struct group *group);

/* ---- inside the classic group's files ---- */

bool classic_is(const struct group_classic *classic, enum classic_state state);
void classic_move(struct group_classic *classic, enum classic_state state, const char *why);
struct classic_member *classic_member_find(const struct group_classic *classic, struct str id);
/* Kafka's check of who speaks: ERR_UNKNOWN_MEMBER_ID, ERR_FENCED_INSTANCE_ID. */
enum err classic_member_check(const struct group_classic *classic, struct str id, struct str instance_id) MUST_USE;
/* A member of its own memory, in no group yet. */
struct classic_member *classic_member_new(struct group *group, struct str id, struct str instance_id);
void classic_member_free(struct classic_member *member);
void classic_member_set_protocols(struct classic_member *member, const struct join_group_request_protocols *protocols,
				  int32_t n);
void classic_member_set_assignment(struct classic_member *member, struct bytes assignment);
void classic_member_add(struct group_classic *classic, struct classic_member *take_member);
/* Takes it out and frees it; its join and sync have been answered. The leader passes to the next. */
void classic_member_remove(struct group_classic *classic, struct classic_member *member);
void classic_member_alive(struct classic_member *member);
const struct classic_protocol *classic_member_protocol(const struct classic_member *member, struct str name);
/* Do all members offer it? */
bool classic_all_have(const struct group_classic *classic, struct str protocol);
/* The protocol most members like best among those all have; null when there are no members. */
struct str classic_protocol_choose(const struct group_classic *classic);
int32_t classic_rebalance_timeout(const struct group_classic *classic);
/* Owned strings: frees what was there, copies. */
void classic_str_set(struct str *owned, struct str value);
/* What members subscribe to, from their metadata in the chosen protocol. */
void classic_topics_update(struct group_classic *classic);
/* What a member handed in, with the version in front. ERR_DECODE: not what consumers write. */
enum err classic_subscription_read(struct bytes in, struct arena *arena, struct consumer_protocol_subscription *ret,
				   int16_t *ret_version) MUST_USE;
/* They are not known; the map stays usable. */
void classic_topics_clear(struct group_classic *classic);
void classic_pending_remove(struct group_classic *classic, struct str id);

/* The group's record with the assignments that members have now. */
void classic_record(const struct group_classic *classic, struct coord_records *records);
/* Writes it without replaying: it says what the state is. */
void classic_write(struct group_classic *classic, coord_settled_fn *settled, void *ctx);

/* Fills the answer to a join: an error, or the generation as it is; `members`: with everybody's metadata, for the
 * leader. */
void classic_join_error(struct classic_join *join, struct str member_id, enum err err);
void classic_join_fill(struct classic_join *join, const struct group_classic *classic, struct str member_id,
		       bool members);
/* Parks a join; one that was parked there is told to come again. */
void classic_join_park(struct classic_member *member, struct classic_join *join);
/* The parked join, which the caller answers; NULL: none. */
/* Who asked is gone: a parked operation ends now. The member has joined, and synced, all the same; its session decides
 * what becomes of it. Not parked: nothing happens. */
void classic_join_leave(struct classic_join *join);
void classic_sync_leave(struct classic_sync *sync);
struct classic_join *classic_join_take(struct classic_member *member);
/* Ends a parked join or sync with an error; a no-op when none is parked. */
void classic_join_fail(struct classic_member *member, enum err err, bool keeps_id);
void classic_sync_fail(struct classic_member *member, enum err err);
/* Begins a join phase. */
void classic_prepare(struct group_classic *classic, const char *why);
/* Begins one where the state allows it, else ends the running one when nobody is missing. */
void classic_prepare_or_complete(struct group_classic *classic, const char *why);
void classic_complete_if_all(struct group_classic *classic);
/* Removes a member and goes on with those who are left. */
void classic_member_gone(struct group_classic *classic, struct classic_member *member, const char *why);

#endif
