/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's pure core: decide, log, replay. An operation looks at the newest image (`latest`, ahead of the
 * commit), decides, and gives records and a response; the glue appends the records to the metadata log and parks the
 * response until they are committed. No I/O, no clock, no randomness of its own.
 *
 *   operation --> records --> latest (replayed at once) --> append, sync --> controller_committed --> published image
 *                                    \--> append failed --> controller_failed: back to the committed image
 *
 * 1. `latest` = `committed` plus the records of every operation that is not committed yet, in order.
 * 2. An operation that gives no records may still be answered only after those before it are committed.
 * 3. Nothing leaves the controller (image, response) before its records are committed.
 */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include "arena.h"
#include "image.h"
#include "list.h"
#include "rng.h"
#include "vec.h"

/* Records of one operation; values are in the arena of the operation. */
struct controller_records {
	VEC(struct bytes) values; /* framed record values */
	bool atomic;              /* one batch */
};

/* One setting. */
struct controller_config {
	struct str name;
	struct str value; /* null: none */
};

/* Can a setting be appended to? */
enum controller_list { CONTROLLER_LIST_UNKNOWN, CONTROLLER_LIST_NOT, CONTROLLER_LIST_IS };

struct create_topics_response_topics_configs;

struct controller_defaults {
	int32_t node_id;
	int16_t kraft_version;
	int32_t num_partitions;
	int16_t default_replication_factor;
	int64_t broker_session_timeout_ms;
	int32_t min_insync_replicas;
	bool delete_topic_enable;
	/* May a resource (type code of ConfigRecord, name) have these settings, which are all that it will have?
	 * Kafka's error and words otherwise. NULL: all are good. */
	enum err (*check_configs)(void *ctx, int8_t type, struct str resource, const struct controller_config *configs,
				  size_t n, struct err_text *text);
	/* Is this key of a type of resource a list? *ret is its default then, of the arena or constant. NULL: none is.
	 */
	enum controller_list (*list_default)(void *ctx, int8_t type, struct str key, struct arena *arena,
					     struct str *ret);
	/* The settings a topic with these overrides has, for CreateTopics from version 5. Memory of the arena. NULL:
	 * none. */
	void (*effective_configs)(void *ctx, const struct controller_config *configs, size_t n, struct arena *arena,
				  struct create_topics_response_topics_configs **ret, int32_t *ret_n);
	void *config_ctx;
};

/* What the client of an operation may still change, in partitions made or deleted (KIP-599). */
struct mutation_budget {
	double tokens;  /* below 0: in debt */
	bool is_strict; /* a debt refuses what would add to it; else it only slows the client down */
	bool is_over;   /* out: refused, or in debt */
};

struct controller {
	struct image *latest;
	struct image *committed;
	struct list pending; /* decided, not committed; oldest first */
	struct controller_defaults defaults;
	struct rng *rng;
	int64_t now_ms; /* wall, set by the glue before each call */
	struct mutation_budget *mutation; /* of the operation being decided; NULL: no limit */
	struct controller_private *priv; /* broker sessions */
};

void controller_init(struct controller *controller, const struct controller_defaults *defaults, struct rng *rng,
		     struct image *committed /* takes a reference */);
void controller_deinit(struct controller *controller);

/* Replays the records of the operation just decided into `latest`; `end_offset` is the log offset after them. */
enum err controller_logged(struct controller *controller, const struct controller_records *records,
			   int64_t end_offset, int32_t epoch, struct err_text *text) MUST_USE;
/* Everything below `offset` is committed; *ret (borrowed) is the newest committed image. */
void controller_committed(struct controller *controller, int64_t offset, struct image **ret);
/* An append failed: the log ends at end_offset again, and what was decided beyond is forgotten. */
void controller_failed(struct controller *controller, int64_t end_offset);

/* Operations. Requests and responses are the wire's own structs (msg/x.h); responses are filled in `arena`. Each
 * returns an error only when nothing at all could be decided (out of memory budget, not active). */

struct create_topics_request;
struct create_topics_response;
struct delete_topics_request;
struct delete_topics_response;
struct alter_client_quotas_request;
struct alter_client_quotas_response;
struct create_partitions_request;
struct create_partitions_response;
struct elect_leaders_request;
struct elect_leaders_response;
struct alter_partition_reassignments_request;
struct alter_partition_reassignments_response;
struct update_features_request;
struct update_features_response;
struct unregister_broker_request;
struct unregister_broker_response;
struct alter_user_scram_credentials_request;
struct alter_user_scram_credentials_response;
struct broker_registration_request;
struct broker_registration_response;
struct broker_heartbeat_request;
struct broker_heartbeat_response;
struct assign_replicas_to_dirs_request;
struct assign_replicas_to_dirs_response;
struct allocate_producer_ids_request;
struct allocate_producer_ids_response;

enum err controller_create_topics(struct controller *controller, int16_t version,
				  const struct create_topics_request *request, struct create_topics_response *response,
				  struct controller_records *records, struct arena *arena) MUST_USE;
enum err controller_delete_topics(struct controller *controller, int16_t version,
				  const struct delete_topics_request *request, struct delete_topics_response *response,
				  struct controller_records *records, struct arena *arena) MUST_USE;
/* ERR_POLICY_VIOLATION when it names too much. */
enum err controller_alter_client_quotas(struct controller *controller,
					const struct alter_client_quotas_request *request,
					struct alter_client_quotas_response *response,
					struct controller_records *records, struct arena *arena) MUST_USE;
enum err controller_create_partitions(struct controller *controller, const struct create_partitions_request *request,
				      struct create_partitions_response *response, struct controller_records *records,
				      struct arena *arena) MUST_USE;
enum err controller_elect_leaders(struct controller *controller, const struct elect_leaders_request *request,
				  struct elect_leaders_response *response, struct controller_records *records,
				  struct arena *arena) MUST_USE;
enum err controller_alter_reassignments(struct controller *controller,
					const struct alter_partition_reassignments_request *request,
					struct alter_partition_reassignments_response *response,
					struct controller_records *records, struct arena *arena) MUST_USE;
enum err controller_update_features(struct controller *controller, int16_t version,
				    const struct update_features_request *request,
				    struct update_features_response *response, struct controller_records *records,
				    struct arena *arena) MUST_USE;
/* Whether the broker lives or not, as in Kafka; it stays out until it registers again, which it does when it starts. */
enum err controller_unregister_broker(struct controller *controller, const struct unregister_broker_request *request,
				      struct unregister_broker_response *response, struct controller_records *records,
				      struct arena *arena) MUST_USE;
/* ERR_POLICY_VIOLATION when it names too much. */
enum err controller_alter_scram(struct controller *controller,
				const struct alter_user_scram_credentials_request *request,
				struct alter_user_scram_credentials_response *response,
				struct controller_records *records, struct arena *arena) MUST_USE;
/* log_end_offset: where the first record will lie; it becomes the broker's epoch. A registration over the one of a node
 * that went without saying so is refused (error 101) only while this controller has heard that node itself within the
 * session timeout: differs from Kafka, where a controller that has just started waits for the whole timeout, so that a
 * single node is back at once after a crash. */
enum err controller_register_broker(struct controller *controller, const struct broker_registration_request *request,
				    struct broker_registration_response *response, struct controller_records *records,
				    struct arena *arena, int64_t log_end_offset) MUST_USE;
enum err controller_heartbeat(struct controller *controller, const struct broker_heartbeat_request *request,
			      struct broker_heartbeat_response *response, struct controller_records *records,
			      struct arena *arena) MUST_USE;
/* Where the replicas of a broker lie. One in a directory that failed leaves its in-sync set at once. */
enum err controller_assign_directories(struct controller *controller,
				       const struct assign_replicas_to_dirs_request *request,
				       struct assign_replicas_to_dirs_response *response,
				       struct controller_records *records, struct arena *arena) MUST_USE;
enum err controller_allocate_producer_ids(struct controller *controller,
					  const struct allocate_producer_ids_request *request,
					  struct allocate_producer_ids_response *response,
					  struct controller_records *records, struct arena *arena) MUST_USE;
/* Fences brokers whose session has ended, one per call. To be called now and then. */
enum err controller_tick(struct controller *controller, struct controller_records *records,
			 struct arena *arena) MUST_USE;
/* What a new leader needs first: on a fresh log the bootstrap records (none given: those of the newest
 * metadata.version), as one metadata transaction; the abort of a transaction that a leader before left open. No records
 * when nothing is needed. */
enum err controller_bootstrap(struct controller *controller, const struct controller_records *bootstrap,
			      struct controller_records *records, struct arena *arena) MUST_USE;

#endif
