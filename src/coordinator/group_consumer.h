/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group of the new consumer protocol (KIP-848): members with what they asked for, what they shall have (target) and
 * what they have (current). Everything but deadlines and remembered image offsets is what records hold.
 *
 *    Empty --member joins--> Assigning --target made--> Reconciling --every member has its target--> Stable
 *      ^                         ^                                                                     |
 *      +---- last one leaves ----+------------- subscription, member or topic changes -----------------+
 *
 * 1. epoch >= target_epoch; a group whose epoch is higher has a target to be made.
 * 2. A partition has one owner at most: the member whose current assignment holds it, given or being taken back
 *    (`owners`).
 * 3. `instances` leads to the one member of an instance id.
 * 4. A member stands in `members` as long as any of its three records exists; it counts when it has asked (`meta`).
 */
#ifndef COORDINATOR_GROUP_CONSUMER_H
#define COORDINATOR_GROUP_CONSUMER_H

#include "consumer_reconcile.h"
#include "group.h"
#include "pattern.h"

/* Member epochs with a meaning of their own. */
#define CONSUMER_EPOCH_JOIN 0
#define CONSUMER_EPOCH_LEAVE (-1)
#define CONSUMER_EPOCH_LEAVE_STATIC (-2)
/* Of a group before anybody joined: the first member makes it 2, as in Kafka. */
#define CONSUMER_EPOCH_FIRST 1

#define CONSUMER_REGEXES_MAX 1000  /* different ones in a group */
#define CONSUMER_TOPICS_MAX 100000 /* names of one member */
#define CONSUMER_REGEX_PAUSE_MS 10000 /* least time between two resolutions of all expressions */

/* What a member asked for: its record, decoded. Topic names ascend, each once. */
struct consumer_meta {
	struct bytes encoded; /* the record's value */
	struct consumer_group_member_metadata_value value; /* views into `encoded` and the arena */
	struct arena arena;
	uint8_t block[256]; /* the arena's first */
};

struct consumer_job;

struct consumer_member {
	struct str id; /* owned */
	struct group *group;
	struct consumer_meta *meta; /* NULL: its record is not there */
	uint64_t meta_seq; /* of `meta`: each has another */
	bool has_current, has_target;
	struct member_current current; /* sets owned */
	struct part_set target;	       /* owned */
	struct coord_timer session;    /* it has to be heard of until then */
	struct coord_timer rebalance;  /* it has to give back until then */
	struct coord_timer rejoin;     /* of a classic member: it has to join again until then */
	struct coord_timer sync;       /* of a classic member that joined: it has to fetch its assignment until then */
};

/* A regular expression of subscriptions and the topics it stood for when it was resolved. */
struct consumer_regex {
	struct str source; /* owned */
	struct bytes encoded;
	struct consumer_group_regular_expression_value value; /* topic names ascend */
	struct arena arena;
};

struct group_consumer {
	struct group *group;
	bool has_epoch, has_target;
	bool has_partition_metadata; /* a record of 4.0 or before, which says nothing here */
	int32_t epoch;
	int64_t metadata_hash;
	int32_t target_epoch;
	int64_t target_timestamp_ms;
	struct map members;   /* id -> struct consumer_member */
	struct map instances; /* instance id -> struct consumer_member */
	struct map regexes;   /* source -> struct consumer_regex */
	struct map owners;    /* topic id -> struct consumer_owners */
	int32_t members_n;    /* with meta */
	int32_t guests_n;     /* of them, those of the classic protocol (consumer_host.h) */
	/* How much there is to look at for a target: see consumer_job.h. */
	int64_t names_n, targets_n, regex_topics_n; /* of all members; of all expressions */
	int64_t regex_members_n; /* members that subscribe by an expression */
	bool owes_regexes;	 /* some expression has never been resolved */
	struct consumer_job *job; /* under way, or NULL */
	int64_t job_over_ms;	 /* when the last one ended; 0: never */
	int64_t image_offset; /* of the image the metadata hash was last compared with; -1: none */
	int64_t regex_image_offset;
	int64_t regexes_resolved_ms; /* when all of them were resolved anew; 0: never */
	uint64_t failures_n; /* of the shard, when what was seen last was known to be, or to come, in the log */
	const char *told_state; /* as the log was told; NULL: nothing yet */
	struct coord_timer assign; /* the next target may be made then */
	struct coord_timer downgrade; /* nobody of the consumer protocol may be left */
};

/* The consumer group, or NULL (absent, or of another kind). */
struct group_consumer *group_consumer_find(const struct group_store *store, struct str id, struct group **ret_group);
struct consumer_member *consumer_member_find(const struct group_consumer *consumer, struct str id);
struct consumer_member *consumer_instance_find(const struct group_consumer *consumer, struct str instance_id);
/* The member that has the partition, given or being taken back; NULL: it is free. */
struct consumer_member *consumer_owner_of(const struct group_consumer *consumer, struct part_id id);
/* consumer_owners.c: what a member has from now on, and has no more. */
void consumer_own(struct consumer_member *member, struct part_set set);
void consumer_disown(struct consumer_member *member, struct part_set set);
void consumer_owners_deinit(struct group_consumer *consumer);
/* What was seen of the image counts only with the records that came of it: after a failure of the log all is looked at
 * again, expressions after their pause. */
void group_consumer_notice_failures(struct group_consumer *consumer);
/* Are its expressions to be resolved anew? When the image moved, and also when the last time is longer ago than
 * group.consumer.regex.refresh.interval.ms; but not before CONSUMER_REGEX_PAUSE_MS have passed since. */
bool group_consumer_regexes_are_due(const struct group_consumer *consumer);
const char *group_consumer_state(const struct group *group);
/* Tells the log which state a consumer group has come to, if it has: one line. Any other group is left alone. */
void group_consumer_tell_state(struct group_store *store, struct str id);
/* consumer_settings.c: settings of one group: the store's, overridden by the group's own configs in the image, which
 * are brought into the bounds that the store has now: they may have been wider when they were stored. */
int32_t consumer_session_timeout_ms(const struct group_store *store, struct str group_id);
int32_t consumer_heartbeat_interval_ms(const struct group_store *store, struct str group_id);
int32_t consumer_assignment_interval_ms(const struct group_store *store, struct str group_id);

/* ---- consumer_records.c: what the log says ---- */

/* Rows of group.c's table, for record types 3 to 8 and 16. */
extern const struct group_record_ops consumer_record_epoch, consumer_record_partitions, consumer_record_member,
	consumer_record_target_epoch, consumer_record_target, consumer_record_current, consumer_record_regex;

void consumer_regex_free(struct consumer_regex *regex);
/* About what it takes. */
int64_t consumer_regex_bytes(const struct consumer_regex *regex);

void consumer_write_epoch(struct coord_records *records, struct str group, int32_t epoch, int64_t metadata_hash);
void consumer_write_member(struct coord_records *records, struct str group, struct str member,
			   const struct consumer_group_member_metadata_value *value);
void consumer_write_target_epoch(struct coord_records *records, struct str group, int32_t epoch,
				 int64_t timestamp_ms);
void consumer_write_target(struct coord_records *records, struct str group, struct str member,
			   struct part_set target);
void consumer_write_current(struct coord_records *records, struct str group, struct str member,
			    const struct member_current *current);
void consumer_write_regex(struct coord_records *records, struct str group, struct str source,
			  const struct consumer_group_regular_expression_value *value);
/* Deletes the three records of a member. */
void consumer_write_member_end(struct coord_records *records, struct str group, struct str member);

/* ---- group_consumer.c: the state behind them ---- */

/* The consumer group, made when it is not there; NULL when the id belongs to a classic group that has members, unless
 * an end of the group is being undone: then they go. */
struct group_consumer *group_consumer_make(struct group_store *store, struct str id, struct group **ret_group);
struct consumer_member *consumer_member_make(struct group *group, struct str id);
/* meta NULL: its record is deleted. Takes it. */
void consumer_member_set_meta(struct consumer_member *member, struct consumer_meta *take_meta);
/* NULL: deleted. The sets are copied. */
void consumer_member_set_current(struct consumer_member *member, const struct member_current *current);
void consumer_member_set_target(struct consumer_member *member, const struct part_set *target);
/* Frees the member when none of its records is left, and the group's kind when nothing at all is left. */
void consumer_member_tidy(struct consumer_member *member);
void group_consumer_tidy(struct group *group);
struct consumer_meta *consumer_meta_new(const struct consumer_group_member_metadata_value *value);
/* Makes the target that the epoch is ahead of after delay_ms, unless it was made before. */
void consumer_assign_later(struct group *group, int64_t delay_ms);
/* A sign of life: the session begins anew. */
void consumer_member_heard(struct consumer_member *member);
/* A classic member was told to join again, within its rebalance timeout. */
void consumer_member_await_join(struct consumer_member *member);
/* It was told that it has joined: it has to sync within its rebalance timeout. */
void consumer_member_await_sync(struct consumer_member *member);
struct bytes consumer_meta_encode(const struct consumer_group_member_metadata_value *value, struct arena *arena);

/* ---- consumer_leave.c ---- */

struct leave_group_request;
struct leave_group_response;
/* Removes members, and fills in the errors of out->members, which stand as those of `in`. */
void consumer_leave(struct group *group, const struct leave_group_request *in, struct leave_group_response *out,
		    struct coord_records *records);

/* ---- consumer_assign.c: from subscriptions to a target ---- */

struct consumer_regex_change {
	struct str source;
	struct consumer_group_regular_expression_value value;
};

/* A group as it will be when an operation's records are replayed. */
struct consumer_change {
	struct group_store *store;
	struct str group_id;
	struct group_consumer *consumer;     /* NULL: a group that does not exist yet */
	const struct consumer_member *gone;  /* leaves, or is replaced; NULL: nobody */
	const struct consumer_member *const *also_gone; /* others that leave with it */
	int32_t also_gone_n;
	struct str member_id;		     /* who joins or changes; null: nobody */
	const struct consumer_group_member_metadata_value *meta; /* what it asks for */
	struct consumer_regex_change *regexes; /* expressions that stand for something new */
	int32_t regexes_n;
};

/* Writes what removes change->gone: its records, an expression nobody uses any more, the group's next epoch. */
void consumer_change_leave(const struct consumer_change *change, struct coord_records *records);
/* Does anybody of the group, as it will be, subscribe by this expression? */
bool consumer_change_uses_regex(const struct consumer_change *change, struct str source);
/* A number for the topics the group subscribes to: their ids, partitions and racks; 0 for none. */
int64_t consumer_change_hash(const struct consumer_change *change, const struct image *image, struct arena *arena);
/* Makes a target for everybody, writes records for what differs and for the epoch, and gives the target of
 * change->member_id. Memory of the arena. */
enum err consumer_change_assign(const struct consumer_change *change, const struct image *image, int32_t epoch,
				struct coord_records *records, struct arena *arena, struct part_set *ret) MUST_USE;
/* The assignor most members ask for, else the settings' first. */
struct str consumer_change_assignor(const struct consumer_change *change);
/* Resolves an expression on the image. The reason of ERR_INVALID_REGULAR_EXPRESSION goes to `text`. */
enum err consumer_regex_resolve(const struct image *image, struct str source, int64_t now_wall_ms,
				struct arena *arena, struct consumer_group_regular_expression_value *ret,
				struct err_text *text) MUST_USE;

#endif
