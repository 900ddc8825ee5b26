/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups of one shard: the machine on coord_shard that __consumer_offsets is the log of. A group has a kind
 * (classic, consumer) that says who its members are, and offsets, which are the same for all kinds.
 *
 *    absent --commit without members, or first join--> classic, empty --members--> ...
 *    absent --consumer group heartbeat--> consumer
 *    classic <--> consumer  where the policy allows it
 *    any, empty --deleted, or its last offset expired--> absent
 *
 * 1. A group stands in store->groups under its id as long as it has a kind; offsets never exist without a group.
 * 2. Exactly the members of `classic` or `consumer` that belongs to `kind` is not NULL.
 * 3. Kinds reach each other only through struct group_kind.
 * 4. A group pointer is not kept across turns, nor over anything that may replay a deletion: look it up again.
 */
#ifndef COORDINATOR_GROUP_H
#define COORDINATOR_GROUP_H

#include "coord_record.h"
#include "coord_shard.h"
#include "image.h"
#include "map.h"
#include "msg/group_records.h"

struct group;
struct group_store;
struct group_classic;
struct group_consumer;
struct describe_groups_response_groups;

/* Settings, as the broker reads them; the store keeps a copy. */
struct group_settings {
	int32_t initial_rebalance_delay_ms;
	int32_t min_session_timeout_ms, max_session_timeout_ms;
	int32_t max_size;                    /* members of a classic group */
	int32_t offset_metadata_max_bytes;
	int64_t offsets_retention_ms;
	int64_t offsets_retention_check_interval_ms;
	/* of the consumer protocol */
	int32_t consumer_session_timeout_ms, consumer_heartbeat_interval_ms;
	int32_t consumer_max_size;
	int32_t consumer_assignment_interval_ms;
	/* what a group may say of them; most 0: anything */
	int32_t consumer_session_least_ms, consumer_session_most_ms;
	int32_t consumer_heartbeat_least_ms, consumer_heartbeat_most_ms;
	int32_t consumer_assignment_least_ms, consumer_assignment_most_ms;
	int32_t consumer_regex_refresh_interval_ms;
	bool consumer_has_uniform, consumer_has_range; /* group.consumer.assignors */
	bool consumer_range_first;                     /* range is the default */
	bool can_upgrade, can_downgrade;               /* group.consumer.migration.policy */
};

/* Hard limits beside the settings, so that nothing grows for ever. */
#define GROUP_MEMBERS_MAX 100000        /* per group, whatever group.max.size says */
#define GROUPS_MAX 1000000              /* per shard */
#define GROUP_NEW_MEMBER_TIMEOUT_MS 300000

/* Work beside the reactor, on memory of its own. */
struct group_work {
	void (*run)(struct group_work *work);  /* anywhere; touches nothing but what is its own */
	void (*done)(struct group_work *work); /* back on the reactor; frees it, or goes on later */
};

/* What all stores of a reactor may take together. Beyond it nothing new is taken; what is there goes on. */
struct group_memory {
	int64_t bytes, bytes_max;
};

struct group_store {
	struct coord_shard *shard; /* time, timers, randomness, writes */
	struct map groups;         /* id -> struct group */
	struct group_settings settings;
	/* The newest image, for the length of a call; set by the glue before each. NULL in tests that need none. */
	const struct image *image;
	int64_t offsets_n;
	int64_t kept_bytes; /* about what groups, members and offsets take */
	struct group_memory *memory; /* shared with others; NULL: no limit */
	int64_t inline_max; /* what a turn may take on itself: see consumer_job.h */
	void (*start_work)(struct group_store *store, struct group_work *work); /* NULL: it is run at once */
	uint64_t meta_seq;  /* of the newest member's words */
	/* of open transactions: see offsets_pending.h */
	struct map pending_keys, pending_producers, pending_groups;
	int64_t pendings_n;
	uint64_t pending_seq;
	struct coord_timer expiry; /* the next look for expired offsets, or the next part of one */
	uint32_t expiry_next;      /* where in `groups` it goes on */
	struct coord_timer purge;  /* the next part of deleting a topic's offsets */
	uint32_t purge_next;
	VEC(struct deleted_topic) deleted; /* the first is being looked for */
	struct arena scratch; /* for one call */
	uint64_t seed;        /* of maps */
};

/* Offsets that were committed until then go. */
struct deleted_topic {
	struct str name; /* owned */
	int64_t wall_ms;
};

/* What differs by kind. All are called on groups of that kind only. */
struct group_kind {
	const char *type; /* "classic", "consumer": as ListGroups calls it */
	const char *(*state)(const struct group *group); /* "Stable", as ListGroups calls it */
	struct str (*protocol_type)(const struct group *group);
	bool (*is_empty)(const struct group *group); /* no members: may be deleted */
	/* May these offsets be committed? Kafka's errors. A valid commit counts as a sign of life. */
	enum err (*check_commit)(struct group *group, struct str member_id, struct str instance_id,
				 int32_t generation_or_epoch, int16_t version, bool is_transactional);
	/* And of this partition? NULL: what was said of all holds. */
	enum err (*check_commit_partition)(const struct group *group, struct str member_id, int32_t epoch,
					   struct uuid topic_id, int32_t partition);
	/* May offsets be read? member_id null and epoch -1: who asks does not say. */
	enum err (*check_fetch)(struct group *group, struct str member_id, int32_t member_epoch);
	enum err (*check_delete)(const struct group *group);
	enum err (*check_offset_delete)(const struct group *group);
	bool (*is_subscribed)(const struct group *group, struct str topic);
	/* False: the group's offsets do not expire now. Else from when on the retention counts for an offset that was
	 * committed at commit_ms. */
	bool (*expiry_base)(const struct group *group, int64_t commit_ms, int64_t *ret_base_ms);
	/* Adds the records that delete the group (not its offsets). */
	void (*tombstones)(const struct group *group, struct coord_records *records);
	/* Loading is over: start timers. */
	void (*loaded)(struct group *group);
	/* Ends what is parked, with err. */
	void (*unload)(struct group *group, enum err err);
	/* Frees members; parked operations have been ended. */
	void (*free)(struct group *group);
};

extern const struct group_kind group_kind_classic;
extern const struct group_kind group_kind_consumer;

/* Something came (or, negative, went). */
void group_store_count(struct group_store *store, int64_t bytes);
bool group_store_has_room(const struct group_store *store, int64_t bytes);

struct group {
	struct str id; /* owned */
	struct group_store *store;
	const struct group_kind *kind;
	struct group_classic *classic;
	struct group_consumer *consumer;
	struct map offsets; /* topic name -> struct offset_topic; see group_offsets.h */
	int64_t offsets_n;
};

void group_store_init(struct group_store *store, struct coord_shard *shard, const struct group_settings *settings,
		      uint64_t seed);
void group_store_deinit(struct group_store *store);
/* Ends what is parked in all groups, which stay as they are. */
void group_store_release(struct group_store *store, enum err err);
/* For coord_shard_init; the machine is a struct group_store. */
extern const struct coord_machine_ops group_machine_ops;

/* NULL: there is none. */
struct group *group_find(const struct group_store *store, struct str id);
/* A new, empty group without a kind: set one in the same call. The id must be free. */
struct group *group_new(struct group_store *store, struct str id);
/* Frees the group and its offsets; not logged. */
void group_free(struct group *group);
/* The group, made as an empty classic one when it is not there. */
struct group *group_find_or_make_classic(struct group_store *store, struct str id);

/* "group.state", one line per transition, for a person. */
void group_log(const struct group *group, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);

/* One key's part in replay and current; by record type, in group.c's table. `key` and `value` are the decoded messages;
 * value NULL: deleted. */
struct group_record_ops {
	enum err (*replay)(struct group_store *store, struct coord_origin origin, const void *key, const void *value,
			   struct err_text *text);
	/* Fills *value (a default object of the type) from the state; false: there is nothing under that key.
	 * *ret_version: the version to write. */
	bool (*current)(struct group_store *store, struct coord_origin origin, const void *key, struct arena *arena,
			void *value, int16_t *ret_version);
};

/* ---- what requests do, beside offsets (group_offsets.h) and classic membership (group_classic.h) ---- */

/* One group of DescribeGroups; `version` is the request's. */
void group_describe(struct group_store *store, struct str id, int16_t version, struct arena *arena,
		    struct describe_groups_response_groups *ret);

/* One group of DeleteGroups: the error, and the records that delete it with its offsets. */
enum err group_delete(struct group_store *store, struct str id, struct coord_records *records) MUST_USE;

/* Filters of ListGroups, as asked; none means all. */
struct group_filter {
	const struct str *states;
	int32_t states_n;
	const struct str *types;
	int32_t types_n;
};
bool group_matches(const struct group *group, const struct group_filter *filter);

#endif
