/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients may use: bytes written and read per second, percent of a reactor's time, partitions made and deleted per
 * second. Limits come from the image; rates are kept per entity.
 *
 * Many reactors share one limit without a lock: each keeps the rate of an entity as if it were alone, and tells the
 * others every 100 ms what it recorded; they record it too. So every reactor's rate is the whole's, at most 100 ms
 * late. What slips through meanwhile stays in the rate and is waited for afterwards, so that over some windows the
 * limit holds within a few percent. Metadata changes are all decided on reactor 0 and counted there.
 *
 * 1. shard->quotas is NULL while the image has no quotas of clients: then nothing here costs more than that look.
 * 2. Of an entity there is one rate per reactor and kind; how many there are is bounded, the longest unused goes first.
 * 3. A limit is looked up in the image at each request, by the original's precedence: a change counts at once, and the
 *    rate so far stays.
 */
#ifndef BROKER_CLIENT_QUOTA_H
#define BROKER_CLIENT_QUOTA_H

#include "controller.h"
#include "image.h"

struct client_quotas;
struct shard;

enum client_quota_kind { CLIENT_QUOTA_PRODUCE, CLIENT_QUOTA_FETCH, CLIENT_QUOTA_REQUEST, CLIENT_QUOTA_MUTATION };
#define CLIENT_QUOTA_KINDS_N 4

/* Whose use is measured: parts of the entity whose limit applies; null: that part does not count. */
struct client_quota_entity {
	struct str user, client_id;
};

/* The limit that holds for a client, and with whom it is shared. False: none. Texts of the arguments. */
bool client_quota_find(const struct image *image, enum client_quota_kind kind, struct str user, struct str client_id,
		       double *ret_bound, struct client_quota_entity *ret_entity);

/* The shard goes to another image. */
void client_quotas_follow(struct shard *shard, const struct image *after);
void client_quotas_free(struct client_quotas *quotas);

/* Records use (bytes, percent of a second) and gives the ms that the client is to wait; 0 without a limit or below it.
 * CLIENT_QUOTA_MUTATION is not for this. Null client ids are empty ones. */
int32_t client_quota_record(struct shard *shard, enum client_quota_kind kind, struct str user, struct str client_id,
			    double amount);
/* The most bytes that one answer may hold without using up all windows at once; INT64_MAX without a limit. */
int64_t client_quota_window_bytes(struct shard *shard, struct str user, struct str client_id);

/* On reactor 0, around a decision of the controller: fills `ret` with what the client may still change, NULL when it
 * has no limit; and takes back what is left, with the ms that the client is to wait. */
struct mutation_budget *client_quota_mutation_begin(struct shard *shard, struct str user, struct str client_id,
						    bool is_strict, struct mutation_budget *ret);
int32_t client_quota_mutation_done(struct shard *shard, struct str user, struct str client_id,
				   const struct mutation_budget *budget);

/* For the metrics page, on the shard's reactor: every rate there is. Rates of the same entity on several reactors are
 * the same rate. */
struct client_quota_stat {
	enum client_quota_kind kind;
	struct str user, client_id; /* null: not part of the entity */
	double rate;                /* bytes or percent per second; tokens left of a bucket */
	double bound;
	int64_t throttled_n;        /* answers that told this reactor's clients to wait */
	int64_t throttled_ms;       /* sum of what they were told */
};
typedef void client_quota_stat_fn(void *ctx, const struct client_quota_stat *stat);
void client_quotas_each(struct shard *shard, client_quota_stat_fn *fn, void *ctx);

#endif
