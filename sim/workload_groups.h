/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the groups' workload share: the member, whose life is in workload_groups.c, what it says in
 * member_classic.c, member_consumer.c and member_offsets.c; and the administrator beside them (groups_admin.c).
 */
#ifndef SIM_WORKLOAD_GROUPS_H
#define SIM_WORKLOAD_GROUPS_H

#include "check_groups.h"
#include "workload.h"

#define GROUPS_N 5
#define MEMBERS_N 3 /* of each group */
#define GROUP_MEMBERS_N (GROUPS_N * MEMBERS_N)
#define MAIN_BITS ((1u << CHECK_GROUP_PARTS_MAX) - 1) /* of the first topic; above them: topics that come and go */
#define EXTRAS_MAX 24 /* topics that come and go, ever, in one run */
#define SESSION_MS 3000
#define OWNED_MS (SESSION_MS - 1) /* the coordinator counts whole milliseconds, and ends a session up to one early */
#define REBALANCE_MS 8000
#define ID_MAX 128

enum member_kind {
	MEMBER_EAGER, /* classic: gives everything back before it joins */
	MEMBER_COOPERATIVE, /* classic: keeps what it has until it is told that it has it no more */
	MEMBER_CONSUMER, /* the new protocol */
	MEMBER_ALONE, /* no member at all: commits for a group that nobody is in */
};

/* A commit of some partitions. */
struct member_commit {
	char id[ID_MAX], instance[ID_MAX];
	struct group_author author;
	int32_t epoch;
	uint32_t set;
	int64_t values[CHECK_GROUP_PARTS_MAX];
	struct group_known before[CHECK_GROUP_PARTS_MAX];
};

/* Another member of the generation, as its leader sees it. */
struct member_other {
	char id[ID_MAX];
	uint32_t claims; /* what it says it has */
	int32_t generation; /* when it got that */
};

struct group_member {
	struct wl_groups *all;
	struct check_group *group;
	int index, lives, instances; /* instances: how many of its static names were given up */
	enum member_kind kind; /* in this life */
	bool has_regex;
	struct sim_conn conn, side; /* side: what is sent twice goes there at times, and comes late */
	struct sim_call call, twin; /* twin: a request sent twice; its answer is not read */
	struct sim_event next;
	char id[ID_MAX], leader[ID_MAX], instance[ID_MAX]; /* instance "": dynamic */
	bool is_in, knows_coordinator, has_joined; /* joined, not synced */
	bool has_lost_answer;
	bool owes_join;	 /* cooperative: it gave something up, which nobody else is given before it joins again */
	bool owes_leave; /* static: it took the place of one that owed that */
	int lives_out; /* who sent what is out */
	int32_t epoch; /* or generation */
	int32_t owned_epoch; /* cooperative: of what it owns */
	uint32_t claimed; /* what it said it owns when it joined */
	uint32_t owns, told; /* bits of partitions */
	int64_t heard_ns; /* when the last request that was answered well was sent */
	uint32_t heard_era;
	int others_n; /* members of the generation, for the leader */
	struct member_other others[MEMBERS_N * 4];
	struct member_commit commit; /* that is out */
	bool is_commit_out;
	uint32_t fetched; /* the partitions of the fetch that is out */
	struct group_known before[CHECK_GROUP_PARTS_MAX]; /* what was known when it was sent */
	/* A commit that it meant to send when it fell asleep or was replaced, and sends later, whatever happened
	 * meanwhile. */
	bool is_walking;
	int64_t walk_ns;
	struct member_commit walk;
};

struct groups_admin {
	struct wl_groups *all;
	struct sim_conn conn;
	struct sim_call call;
	struct sim_event next;
	int group; /* whose deletion is out */
	uint32_t parts;
	int created_n; /* topics asked for */
	char retired[4][ID_MAX]; /* instances that will not come back */
	int retired_group[4], retired_n;
	int calm_step; /* of the way to the topics that stay */
	struct uuid stays; /* the id of the one that does */
};

struct wl_groups {
	struct workload *wl;
	struct check_group groups[GROUPS_N];
	struct group_member members[GROUP_MEMBERS_N];
	struct groups_admin admin;
	struct uuid extras[EXTRAS_MAX]; /* ids of topics that come and go, as they became known */
	int extras_n;
	int parts_n;
	bool is_both_cooperative;
	bool is_started, is_ended;
};

/* ---- workload_groups.c ---- */

struct world *member_world(const struct group_member *m);
/* It steps again within that time. */
void member_later(struct group_member *m, int64_t most_ms);
/* It is another consumer from now on; the broker may still know the old one. */
void member_reborn(struct group_member *m);
/* The rule that clients keep by themselves: who hears nothing for a session owns nothing. */
void member_fence_itself(struct group_member *m);
void member_check_owners(struct group_member *m);
void member_heard(struct group_member *m, const struct sim_call *call);
/* Errors that say: you are not who you think you are. */
bool member_is_fenced_by(int16_t code);
/* Sends on the member's own connection; may send twice. */
void member_send(struct group_member *m, int16_t key, const void *body, int64_t timeout_ms,
		 void (*done)(struct sim_call *));
/* Is the answer for who it is now? If not, it goes on, and the answer is no matter. */
bool member_is_for_it(struct group_member *m, const struct sim_call *call);
/* Once more, in time or late, its answer is not read. False: not now. */
bool member_send_again(struct group_member *m, int16_t key, const void *body, int64_t timeout_ms,
		       void (*done)(struct sim_call *));
/* Partition `index` of a topic as a bit; 0 and a failure when there is none. By name where `name` is not empty. */
uint32_t member_bit(struct group_member *m, struct str name, struct uuid id, int32_t index);

/* ---- member_classic.c ---- */

void member_join(struct group_member *m);
void member_sync(struct group_member *m);
void member_beat_classic(struct group_member *m);
void member_leave_classic(struct group_member *m, const char *id, const char *instance,
			  void (*done)(struct sim_call *));

/* ---- member_consumer.c ---- */

void member_beat(struct group_member *m);
void member_leave_consumer(struct group_member *m, const char *id, const char *instance, bool is_for_a_while,
		    void (*done)(struct sim_call *));

/* ---- member_offsets.c ---- */

void member_commit(struct group_member *m);
/* Keeps a commit of what it owns for later. */
void member_plan_walk(struct group_member *m, int64_t most_ms);
void member_sleepwalk(struct group_member *m);
void member_fetch(struct group_member *m);

/* ---- groups_admin.c ---- */

void groups_admin_init(struct groups_admin *a, struct wl_groups *all);
void groups_admin_deinit(struct groups_admin *a);
void groups_admin_start(struct groups_admin *a);
void groups_admin_calm(struct groups_admin *a);
void groups_admin_end(struct groups_admin *a);
/* In the calm: the topics are as they stay. */
bool groups_admin_is_done(const struct groups_admin *a);
/* The instance's process is shut down for good. */
void groups_admin_retire(struct groups_admin *a, int group, const char *instance);

#endif
