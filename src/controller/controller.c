/* SPDX-License-Identifier: Apache-2.0 */
/* See controller.h: the images ahead of the commit, and what the operations share. */
#include "controller.h"

#include "controller_private.h"
#include "feature_table.h"
#include "mem.h"
#include "replay.h"

/* What one operation made of the image. */
struct pending_image {
	struct list link;
	struct image *image; /* one reference */
};

void controller_init(struct controller *controller, const struct controller_defaults *defaults, struct rng *rng,
		     struct image *committed)
{
	*controller = (struct controller){
		.latest = committed,
		.committed = committed,
		.defaults = *defaults,
		.rng = rng,
		.priv = MEM_NEW(struct controller_private),
	};
	list_init(&controller->pending);
	map_init(&controller->priv->sessions, MAP_U64, rng_u64(rng));
}

static void controller_drop(struct pending_image *pending)
{
	list_remove(&pending->link);
	image_unref(pending->image);
	mem_free(pending);
}

void controller_deinit(struct controller *controller)
{
	struct broker_session *session;

	if (!controller->priv)
		return;
	list_for_each(node, next, &controller->pending)
		controller_drop(list_entry(node, struct pending_image, link));
	image_unref(controller->committed);
	for (uint32_t it = 0; (session = map_next(&controller->priv->sessions, &it)) != NULL;)
		mem_free(session);
	map_deinit(&controller->priv->sessions);
	mem_free(controller->priv);
	*controller = (struct controller){0};
}

enum err controller_logged(struct controller *controller, const struct controller_records *records,
			   int64_t end_offset, int32_t epoch, struct err_text *text)
{
	struct image_edit *edit = image_edit_begin(controller->latest);
	struct pending_image *pending;

	CHECK_OP(end_offset, >, controller->latest->offset);
	for (size_t i = 0; i < records->values.n; i++) {
		enum err err = image_edit_replay(edit, records->values.v[i], text);

		if (err) {
			image_edit_drop(edit);
			return err;
		}
	}
	pending = MEM_NEW(struct pending_image);
	pending->image = image_edit_finish(edit, end_offset, epoch, controller->now_ms);
	list_push_back(&controller->pending, &pending->link);
	controller->latest = pending->image;
	return ERR_NONE;
}

void controller_committed(struct controller *controller, int64_t offset, struct image **ret)
{
	list_for_each(node, next, &controller->pending) {
		struct pending_image *pending = list_entry(node, struct pending_image, link);

		if (pending->image->offset > offset)
			break;
		image_unref(controller->committed);
		controller->committed = image_ref(pending->image);
		controller_drop(pending);
	}
	*ret = controller->committed;
}

void controller_failed(struct controller *controller, int64_t end_offset)
{
	struct list *list = &controller->pending;

	while (!list_is_empty(list)) {
		struct pending_image *pending = list_entry(list->prev, struct pending_image, link);

		if (pending->image->offset <= end_offset)
			break;
		controller_drop(pending);
	}
	controller->latest = list_is_empty(list) ? controller->committed
						 : list_entry(list->prev, struct pending_image, link)->image;
}

/* ---- shared by the operations ---- */

int16_t controller_metadata_version(const struct controller *controller)
{
	int16_t level = image_feature(controller->latest, STR(METADATA_VERSION));

	return level ? level : METADATA_VERSION_MIN;
}

bool controller_has_elr(const struct controller *controller)
{
	return image_feature(controller->latest, STR("eligible.leader.replicas.version")) >= 1;
}

void controller_add(struct controller_records *records, struct arena *arena, enum metadata_record_id type,
		    int16_t version, const void *record)
{
	vec_push(&records->values, metadata_record_encode(type, version, record, arena));
}

struct str controller_text(struct arena *arena, const struct err_text *text)
{
	return arena_str(arena, str_of(text->text));
}

enum err controller_charge(struct controller *controller, int32_t partitions_n)
{
	struct mutation_budget *budget = controller->mutation;

	if (!budget)
		return ERR_NONE;
	if (budget->is_strict && budget->tokens < 0) {
		budget->is_over = true;
		return ERR_THROTTLING_QUOTA_EXCEEDED;
	}
	budget->tokens -= partitions_n;
	budget->is_over |= !budget->is_strict && budget->tokens < 0;
	return ERR_NONE;
}

enum err controller_check_epoch(const struct controller *controller, int32_t broker_id, int64_t epoch)
{
	const struct broker_image *broker = image_broker(controller->latest, broker_id);

	return broker && broker->epoch == epoch ? ERR_NONE : ERR_STALE_BROKER_EPOCH;
}

/* A setting of a topic: its own, else the cluster's. */
static bool controller_topic_config(const struct controller *controller, struct str topic, struct str key,
				    struct str *ret)
{
	return image_config(controller->latest, CONFIG_TYPE_TOPIC, topic, key, ret) ||
	       image_config(controller->latest, CONFIG_TYPE_BROKER, STR(""), key, ret);
}

int32_t controller_min_isr(const struct controller *controller, struct str topic)
{
	struct str text;
	int32_t value;

	if (controller_topic_config(controller, topic, STR("min.insync.replicas"), &text) &&
	    parse_i32(text, &value) == ERR_NONE)
		return value;
	return controller->defaults.min_insync_replicas;
}

static bool controller_elects_unclean(const struct controller *controller, struct str topic)
{
	struct str text;
	bool value;

	return controller_topic_config(controller, topic, STR("unclean.leader.election.enable"), &text) &&
	       parse_bool(text, &value) == ERR_NONE && value;
}

static bool partition_has(const struct partition_image *partition, int32_t broker)
{
	for (int32_t i = 0; i < partition->isr_n; i++) {
		if (partition->isr[i] == broker)
			return true;
	}
	for (int32_t i = 0; i < partition->elr_n; i++) {
		if (partition->elr[i] == broker)
			return true;
	}
	return false;
}

static void controller_change_topic(struct controller *controller, const struct topic_image *topic,
				    struct partition_change *change, struct controller_records *records,
				    struct arena *arena)
{
	int16_t version = partition_version(controller_metadata_version(controller));
	struct partition_change_record record;

	change->min_isr = controller_min_isr(controller, topic->name);
	change->may_elect_unclean = controller_elects_unclean(controller, topic->name);
	for (int32_t i = 0; i < topic->partitions_n; i++) {
		const struct partition_image *partition = topic_partition(topic, i);
		struct partition_change one = *change;
		bool touched;

		if (!partition || (change->directory &&
				   !uuid_eq(partition_directory(partition, change->leaving), *change->directory)))
			continue;
		touched = change->arriving != BROKER_NONE ? partition->leader == LEADER_NONE
			  : change->unclean != BROKER_NONE ? partition_has(partition, change->unclean)
							   : partition_has(partition, change->leaving);
		/* The only copy there is cannot be behind another: nothing to recover from. */
		if (one.unclean != BROKER_NONE && partition->replicas_n == 1) {
			one.leaving = one.unclean;
			one.unclean = BROKER_NONE;
		}
		if (touched && partition_change_decide(&one, partition, topic->id, i, arena, &record))
			controller_add(records, arena, METADATA_PARTITION_CHANGE_RECORD, version, &record);
	}
}

void controller_fail_directory(struct controller *controller, int32_t broker, struct uuid directory,
			       struct controller_records *records, struct arena *arena)
{
	struct partition_change change = {
		.image = controller->latest,
		.leaving = broker,
		.arriving = BROKER_NONE,
		.unclean = BROKER_NONE,
		.is_elr_enabled = controller_has_elr(controller),
		.directory = &directory,
	};
	const struct topic_image *topic;

	for (struct str after = STR_NULL; (topic = image_topic_next(controller->latest, after)) != NULL;
	     after = topic->name)
		controller_change_topic(controller, topic, &change, records, arena);
}

void controller_change_partitions(struct controller *controller, int32_t leaving, int32_t arriving, int32_t unclean,
				  struct controller_records *records, struct arena *arena)
{
	struct partition_change change = {
		.image = controller->latest,
		.leaving = leaving,
		.arriving = arriving,
		.unclean = unclean,
		.is_elr_enabled = controller_has_elr(controller),
	};
	const struct topic_image *topic;

	for (struct str after = STR_NULL; (topic = image_topic_next(controller->latest, after)) != NULL;
	     after = topic->name)
		controller_change_topic(controller, topic, &change, records, arena);
}
