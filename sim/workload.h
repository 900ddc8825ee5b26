/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work that simulated clients do: an admin creates the topics, producers write numbered records, readers read
 * from all over the place, everything is told to the history. After the faults: calm work within bounds, then one
 * last reading of everything.
 */
#ifndef SIM_WORKLOAD_H
#define SIM_WORKLOAD_H

#include "check_history.h"
#include "fmt.h"
#include "map.h"
#include "sim_client.h"

#define WORKLOAD_TOPICS_MAX 3
#define WORKLOAD_PARTS_MAX 16
#define WORKLOAD_PRODUCERS_MAX 4
#define WORKLOAD_READERS_MAX 3

struct wl_topic {
	char name[64];
	struct uuid id;
	int32_t parts_n;
	int32_t part_first; /* index in workload.parts */
};

struct wl_producer;
struct wl_reader;
struct wl_verify;
struct wl_churn;
struct wl_keep;
struct wl_groups;
struct wl_txns;
struct fmt;
struct wl_dirs;
struct wl_flip;

struct workload {
	struct world *w;
	int node;
	struct history history;
	struct wl_topic topics[WORKLOAD_TOPICS_MAX];
	int topics_n;
	struct hist_part *parts[WORKLOAD_PARTS_MAX];
	int parts_n;
	bool is_created;
	int64_t batches_n; /* made so far */
	bool is_calm; /* no fault is left: answers have to come in time */
	int64_t calm_since_ns;
	struct sim_conn admin;
	struct sim_call admin_call;
	struct sim_event admin_retry;
	struct wl_producer *producers[WORKLOAD_PRODUCERS_MAX];
	int producers_n;
	struct wl_reader *readers[WORKLOAD_READERS_MAX];
	int readers_n;
	bool old_readers; /* some reader does not know zstd */
	struct wl_verify *verify;
	struct wl_churn *churn; /* or NULL */
	struct wl_keep *keep;   /* or NULL */
	struct wl_groups *groups; /* or NULL */
	struct wl_txns *txns;     /* or NULL */
	struct wl_dirs *dirs;     /* or NULL */
	struct wl_flip *flip;     /* or NULL */
	int64_t drained_ns; /* nothing is produced any more; INT64_MAX: not yet */
	struct map pids; /* producer ids handed out; to a mark */
};

struct workload *workload_new(struct world *w, int node);
void workload_free(struct workload *wl);
/* Creates the topics, then starts producers and readers. */
void workload_start(struct workload *wl);
/* Faults are over. */
void workload_calm(struct workload *wl);
/* Since workload_calm: each producer got acknowledgements; each reader came to the end (when producers have
 * stopped). */
bool workload_has_produced(const struct workload *wl);
bool workload_has_read(const struct workload *wl);
/* Nothing new is produced; what is out is finished. */
void workload_stop_producers(struct workload *wl);
bool workload_is_drained(struct workload *wl);
/* The last reading, through the front door. */
void workload_verify(struct workload *wl);
/* After a restart: nothing is missing, and the leader epochs are greater. */
void workload_verify_again(struct workload *wl);
bool workload_is_verified(const struct workload *wl);
/* Ends all connections, so that the node can stop. */
void workload_stop(struct workload *wl);
/* Who is not done, for the text of a failure. */
void workload_describe(const struct workload *wl, char *ret, size_t len);

/* The topic and partition of a history partition. */
const struct wl_topic *workload_topic_of(const struct workload *wl, const struct hist_part *part);
/* By name, or by id when the name is empty. NULL when unknown. */
struct hist_part *workload_find_part(const struct workload *wl, struct str name, struct uuid id, int32_t index);
/* An error code that no broker may give to what these clients ask. True: the run has failed. */
bool workload_bad_error(struct workload *wl, const char *what, int16_t code);

/* workload_produce.c */
struct wl_producer *wl_producer_new(struct workload *wl, int id);
void wl_producer_free(struct wl_producer *p);
void wl_producer_start(struct wl_producer *p);
void wl_producer_stop(struct wl_producer *p);
void wl_producer_end(struct wl_producer *p);
void wl_producer_calm(struct wl_producer *p);
bool wl_producer_has_progressed(const struct wl_producer *p);
bool wl_producer_is_drained(const struct wl_producer *p);

/* workload_read.c */
struct wl_reader *wl_reader_new(struct workload *wl, int id);
void wl_reader_free(struct wl_reader *r);
void wl_reader_start(struct wl_reader *r);
void wl_reader_end(struct wl_reader *r);
void wl_reader_calm(struct wl_reader *r);
bool wl_reader_has_progressed(const struct wl_reader *r);

/* workload_churn.c */
struct wl_churn *wl_churn_new(struct workload *wl);
void wl_churn_free(struct wl_churn *c);
void wl_churn_start(struct wl_churn *c);
/* Goes on until a topic is there, and leaves that. */
void wl_churn_rest(struct wl_churn *c);
bool wl_churn_is_resting(const struct wl_churn *c);
void wl_churn_end(struct wl_churn *c);
/* The topic that is there, for the last reading; NULL when there is none. */
struct hist_part *wl_churn_part(const struct wl_churn *c);

/* workload_keep.c */
struct wl_keep *wl_keep_new(struct workload *wl);
void wl_keep_free(struct wl_keep *k);
void wl_keep_start(struct wl_keep *k);
/* Writes nothing more, reads everything and judges. */
void wl_keep_rest(struct wl_keep *k);
bool wl_keep_is_done(const struct wl_keep *k);
void wl_keep_end(struct wl_keep *k);

/* workload_groups.c */
struct wl_groups *wl_groups_new(struct workload *wl);
void wl_groups_free(struct wl_groups *g);
void wl_groups_start(struct wl_groups *g);
void wl_groups_calm(struct wl_groups *g);
/* Since the calm: everybody is in, everything is owned, and commits are acknowledged. */
bool wl_groups_has_progressed(const struct wl_groups *g);
/* Which groups have not, for the text of a failure. */
void wl_groups_describe(const struct wl_groups *g, struct fmt *f);
void wl_groups_end(struct wl_groups *g);

/* workload_txn.c */
struct wl_txns *wl_txns_new(struct workload *wl);
void wl_txns_free(struct wl_txns *t);
void wl_txns_start(struct wl_txns *t);
void wl_txns_calm(struct wl_txns *t);
/* Since the calm: each producer has committed. */
bool wl_txns_has_progressed(const struct wl_txns *t);
/* Nothing new begins; what is open ends; everything is read and judged. */
void wl_txns_rest(struct wl_txns *t);
bool wl_txns_is_done(const struct wl_txns *t);
/* What it waits for, for the text of a failure. */
void wl_txns_describe(const struct wl_txns *t, struct fmt *f);
void wl_txns_end(struct wl_txns *t);
/* workload_dirs.c */
enum dirs_demand {
	DIRS_NOTHING,
	DIRS_KNOWN,     /* where each partition lies is told, and nothing moves */
	DIRS_ELSEWHERE, /* after DIRS_KNOWN: the directory fails: told so, takes nothing, all else takes and gives */
	DIRS_REFUSED,   /* the directory is full: what lies in it takes nothing, and can be read */
	DIRS_TAKEN,     /* everything takes and gives */
	DIRS_MOVED,     /* wl_dirs_move: the partition has arrived */
};
struct wl_dirs *wl_dirs_new(struct workload *wl);
void wl_dirs_free(struct wl_dirs *d);
void wl_dirs_start(struct wl_dirs *d);
/* Nothing is moved meanwhile. DIRS_NOTHING ends it. */
void wl_dirs_demand(struct wl_dirs *d, enum dirs_demand demand, int dir);
bool wl_dirs_is_met(const struct wl_dirs *d);
/* The demand that a partition moves from where it is to the next directory. */
void wl_dirs_move(struct wl_dirs *d, int part);
/* Begins no move any more; takes a last look when nothing is on its way and nothing is produced. */
void wl_dirs_rest(struct wl_dirs *d);
bool wl_dirs_is_done(const struct wl_dirs *d);
void wl_dirs_end(struct wl_dirs *d);

/* workload_verify.c */
struct wl_verify *wl_verify_new(struct workload *wl);
void wl_verify_free(struct wl_verify *v);
bool wl_verify_is_done(const struct wl_verify *v);
void wl_verify_end(struct wl_verify *v);

/* A topic whose disk rots. */
struct wl_flip *wl_flip_new(struct workload *wl);
void wl_flip_free(struct wl_flip *f);
void wl_flip_start(struct wl_flip *f);
/* Faults are over: everything is read once, a scrub finds one flip more, a write is taken. */
void wl_flip_rest(struct wl_flip *f);
/* There is enough that can rot. */
bool wl_flip_has_grown(const struct wl_flip *f);
bool wl_flip_is_done(const struct wl_flip *f);
void wl_flip_end(struct wl_flip *f);
/* Flips a few bits, if there is something old enough. */
void wl_flip_rot(struct wl_flip *f);
/* For world.on_log, ctx is the workload: damage must be told where it is, and nowhere else. */
void wl_flip_heard(struct world *w, void *ctx, const char *event, const char *text);

#endif
