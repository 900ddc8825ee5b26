/* SPDX-License-Identifier: Apache-2.0 */
/* What a new leader writes first, and blocks of producer ids. */
#include "controller_private.h"
#include "fault.h"
#include "feature_table.h"
#include "msg/allocate_producer_ids.h"

#define TRANSACTIONS_SINCE 13 /* metadata.version with Begin, End and AbortTransaction */
#define PRODUCER_IDS_BLOCK 1000

/* ---- bootstrap ---- */

static void bootstrap_abort(struct controller_records *records, struct arena *arena)
{
	struct abort_transaction_record record;

	msg_init(&abort_transaction_record_type, &record);
	record.reason = STR("Controller failover");
	controller_add(records, arena, METADATA_ABORT_TRANSACTION_RECORD, 0, &record);
}

/* The level that the records give a feature. */
static int16_t bootstrap_level(const struct controller_records *bootstrap, struct str feature, struct arena *arena)
{
	int16_t level = 0;

	for (size_t i = 0; i < bootstrap->values.n; i++) {
		struct metadata_record frame;
		struct feature_level_record record;

		if (metadata_record_parse(bootstrap->values.v[i], &frame, NULL) == ERR_NONE &&
		    frame.type == METADATA_FEATURE_LEVEL_RECORD &&
		    codec_decode(frame.schema, frame.version, frame.message, arena, &record, NULL, NULL) == ERR_NONE &&
		    str_eq(record.name, feature))
			level = record.feature_level;
	}
	return level;
}

/* With eligible leader replicas min.insync.replicas is a setting of the cluster, not of each broker (KIP-966). */
static void bootstrap_min_isr(const struct controller *controller, struct controller_records *records,
			      struct arena *arena)
{
	struct config_record record;

	msg_init(&config_record_type, &record);
	record.resource_type = CONFIG_TYPE_BROKER;
	record.resource_name = STR("");
	record.name = STR("min.insync.replicas");
	record.value = arena_printf(arena, "%d", controller->defaults.min_insync_replicas);
	controller_add(records, arena, METADATA_CONFIG_RECORD, 0, &record);
}

static void bootstrap_default(struct controller_records *records, struct arena *arena)
{
	struct feature_level_record record;

	msg_init(&feature_level_record_type, &record);
	record.name = STR(METADATA_VERSION);
	record.feature_level = METADATA_VERSION_MAX;
	controller_add(records, arena, METADATA_FEATURE_LEVEL_RECORD, 0, &record);
}

static void bootstrap_fresh(const struct controller *controller, const struct controller_records *bootstrap,
			    struct controller_records *records, struct arena *arena)
{
	int16_t version = bootstrap->values.n ? bootstrap_level(bootstrap, STR(METADATA_VERSION), arena)
					      : METADATA_VERSION_MAX;
	bool is_transaction = version >= TRANSACTIONS_SINCE;
	struct begin_transaction_record begin;
	struct end_transaction_record end;

	msg_init(&begin_transaction_record_type, &begin);
	msg_init(&end_transaction_record_type, &end);
	begin.name = STR("Bootstrap records");
	if (is_transaction)
		controller_add(records, arena, METADATA_BEGIN_TRANSACTION_RECORD, 0, &begin);
	for (size_t i = 0; i < bootstrap->values.n; i++)
		vec_push(&records->values, bootstrap->values.v[i]);
	if (bootstrap->values.n == 0)
		bootstrap_default(records, arena);
	if (bootstrap_level(bootstrap, STR("eligible.leader.replicas.version"), arena) >= 1)
		bootstrap_min_isr(controller, records, arena);
	if (is_transaction)
		controller_add(records, arena, METADATA_END_TRANSACTION_RECORD, 0, &end);
}

enum err controller_bootstrap(struct controller *controller, const struct controller_records *bootstrap,
			      struct controller_records *records, struct arena *arena)
{
	records->atomic = true;
	if (image_in_transaction(controller->latest))
		bootstrap_abort(records, arena);
	if (image_feature(controller->latest, STR(METADATA_VERSION)) == 0)
		bootstrap_fresh(controller, bootstrap, records, arena);
	return ERR_NONE;
}

/* ---- producer ids ---- */

enum err controller_allocate_producer_ids(struct controller *controller,
					  const struct allocate_producer_ids_request *request,
					  struct allocate_producer_ids_response *response,
					  struct controller_records *records, struct arena *arena)
{
	int64_t first = controller->latest->next_producer_id;
	struct producer_ids_record record;
	enum err err = controller_check_epoch(controller, request->broker_id, request->broker_epoch);

	msg_init(&allocate_producer_ids_response_type, response);
	if (!err && first > INT64_MAX - PRODUCER_IDS_BLOCK)
		err = ERR_UNKNOWN_SERVER_ERROR; /* all are gone */
	response->error_code = err_wire(err);
	if (err)
		return ERR_NONE;
	if (FAULT(producer_id_reuse)) { /* remembered by this process only */
		first = MAX(first, controller->priv->reused_producer_id);
		controller->priv->reused_producer_id = first + PRODUCER_IDS_BLOCK;
	} else {
		msg_init(&producer_ids_record_type, &record);
		record.broker_id = request->broker_id;
		record.broker_epoch = request->broker_epoch;
		record.next_producer_id = first + PRODUCER_IDS_BLOCK;
		controller_add(records, arena, METADATA_PRODUCER_IDS_RECORD, 0, &record);
	}
	response->producer_id_start = first;
	response->producer_id_len = PRODUCER_IDS_BLOCK;
	return ERR_NONE;
}
