/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UpdateFeatures: levels of features rise, or fall where the client says that it means it. All or nothing. Same as
 * Kafka in codes and texts; a feature that this build does not honour is one that the controller does not support.
 * metadata.version falls only as far as no release between changed what the metadata holds. Differs: kraft.version does
 * not rise while the node runs, because static voters have no directory ids to write down.
 */
#include "controller_private.h"
#include "feature_table.h"
#include "msg/update_features.h"

#define ELR "eligible.leader.replicas.version"
#define ELR_METADATA_VERSION 23
#define MIN_ISR "min.insync.replicas"

enum update_type { UPDATE_UPGRADE = 1, UPDATE_SAFE_DOWNGRADE = 2, UPDATE_UNSAFE_DOWNGRADE = 3 };

struct update {
	const struct controller *controller;
	const struct update_features_request *request;
	struct controller_records *records;
	struct arena *arena;
	struct err_text text; /* of what is wrong */
};

static enum err update_refuse(struct update *update, const struct update_features_request_feature_updates *in,
			      const char *reason)
{
	return err_text_set(&update->text, ERR_INVALID_UPDATE_VERSION,
			    "Invalid update version %d for feature %.*s. %s", in->max_version_level,
			    STR_ARGS(in->feature), reason);
}

/* `who` has this range, 0 to 0 when it does not know the feature. */
static enum err update_check_range(struct update *update, const struct update_features_request_feature_updates *in,
				   const char *who, int32_t id, struct feature_range range)
{
	char reason[128];
	struct fmt f;

	if (in->max_version_level >= range.min && in->max_version_level <= range.max)
		return ERR_NONE;
	fmt_init(&f, reason, sizeof(reason));
	if (range.max == 0)
		fmt_add(&f, "%s %d does not support this feature.", who, id);
	else
		fmt_add(&f, "%s %d only supports versions %d-%d", who, id, range.min, range.max);
	return update_refuse(update, in, reason);
}

static struct feature_range update_broker_range(const struct broker_image *broker, struct str feature)
{
	for (int32_t i = 0; i < broker->features_n; i++) {
		if (str_eq(broker->features[i].name, feature))
			return broker->features[i];
	}
	return (struct feature_range){0};
}

/* The controller and every broker, fenced or not, must know the level. */
static enum err update_check_support(struct update *update, const struct update_features_request_feature_updates *in)
{
	const struct feature_def *def = feature_find(in->feature);
	const struct broker_image *broker;
	struct feature_range range = {0};
	enum err err;

	if (def && def->is_honoured)
		range = (struct feature_range){.min = def->level_min, .max = def->level_max};
	err = update_check_range(update, in, "Local controller", update->controller->defaults.node_id, range);
	if (str_eq_c(in->feature, KRAFT_VERSION))
		return err; /* a matter of controllers */
	for (int32_t after = -1; !err && (broker = image_broker_next(update->controller->latest, after)) != NULL;
	     after = broker->id)
		err = update_check_range(update, in, "Broker", broker->id, update_broker_range(broker, in->feature));
	return err;
}

static enum err update_check_metadata(struct update *update, int16_t from, int16_t to, int8_t type)
{
	const char *reason = type == UPDATE_UNSAFE_DOWNGRADE
				     ? "Unsafe metadata downgrade is not supported in this version."
				     : "Refusing to perform the requested downgrade because it might delete metadata "
				       "information.";

	if (to >= from || !metadata_version_changes(to, from))
		return ERR_NONE;
	return err_text_set(&update->text, ERR_INVALID_UPDATE_VERSION,
			    "Unsupported metadata.version downgrade from %d to %d. %s", from, to, reason);
}

static int16_t update_level(const struct controller *controller, struct str feature)
{
	if (str_eq_c(feature, KRAFT_VERSION))
		return controller->defaults.kraft_version;
	return image_feature(controller->latest, feature);
}

/* metadata.version as it will be when all is done. */
static int16_t update_metadata_version(const struct update *update)
{
	int16_t level = image_feature(update->controller->latest, STR(METADATA_VERSION));

	for (int32_t i = 0; i < update->request->feature_updates_n; i++) {
		if (str_eq_c(update->request->feature_updates[i].feature, METADATA_VERSION))
			level = update->request->feature_updates[i].max_version_level;
	}
	return level;
}

static enum err update_check_elr(struct update *update, const struct update_features_request_feature_updates *in)
{
	char reason[128];
	struct fmt f;

	if (in->max_version_level < 1 || update_metadata_version(update) >= ELR_METADATA_VERSION)
		return ERR_NONE;
	fmt_init(&f, reason, sizeof(reason));
	fmt_add(&f, ELR " could not be set to %d because it depends on " METADATA_VERSION " level %d",
		in->max_version_level, ELR_METADATA_VERSION);
	return update_refuse(update, in, reason);
}

static enum err update_check(struct update *update, const struct update_features_request_feature_updates *in)
{
	int16_t from = update_level(update->controller, in->feature), to = in->max_version_level;
	enum err err;

	if (in->upgrade_type < UPDATE_UPGRADE || in->upgrade_type > UPDATE_UNSAFE_DOWNGRADE)
		return update_refuse(update, in, "The controller does not support the given upgrade type.");
	if (to < 0)
		return update_refuse(update, in, "A feature version cannot be less than 0.");
	err = update_check_support(update, in);
	if (err)
		return err;
	if (!feature_find(in->feature))
		return err_text_set(&update->text, ERR_INVALID_UPDATE_VERSION,
				    "Invalid update version %d for feature %.*s. Feature %.*s not found.", to,
				    STR_ARGS(in->feature), STR_ARGS(in->feature));
	if (to < from && in->upgrade_type == UPDATE_UPGRADE)
		return update_refuse(update, in, "Can't downgrade the version of this feature without setting the "
				     "upgrade type to either safe or unsafe downgrade.");
	if (to > from && in->upgrade_type != UPDATE_UPGRADE)
		return update_refuse(update, in, "Can't downgrade to a newer version.");
	if (str_eq_c(in->feature, METADATA_VERSION))
		return update_check_metadata(update, from, to, in->upgrade_type);
	if (str_eq_c(in->feature, ELR))
		return update_check_elr(update, in);
	if (str_eq_c(in->feature, KRAFT_VERSION) && to < from)
		return update_refuse(update, in, "Can't downgrade the version of this feature.");
	if (str_eq_c(in->feature, KRAFT_VERSION) && to > from)
		return update_refuse(update, in, "The quorum keeps the version that its directories were formatted "
				     "with.");
	return ERR_NONE;
}

static void update_write_min_isr(struct update *update, struct str broker, struct str value)
{
	struct config_record record;

	msg_init(&config_record_type, &record);
	record.resource_type = CONFIG_TYPE_BROKER;
	record.resource_name = broker;
	record.name = STR(MIN_ISR);
	record.value = value;
	controller_add(update->records, update->arena, METADATA_CONFIG_RECORD, 0, &record);
}

/* From now on min.insync.replicas is a setting of the cluster, and of no single broker. */
static void update_write_elr(struct update *update)
{
	const struct controller_defaults *defaults = &update->controller->defaults;
	const struct image *image = update->controller->latest;
	struct str value, broker, after = STR("");

	if (!image_config(image, CONFIG_TYPE_BROKER, STR(""), STR(MIN_ISR), &value))
		update_write_min_isr(update, STR(""), arena_printf(update->arena, "%d", defaults->min_insync_replicas));
	for (; image_resource_next(image, CONFIG_TYPE_BROKER, after, &broker); after = broker) {
		if (image_config(image, CONFIG_TYPE_BROKER, broker, STR(MIN_ISR), &value))
			update_write_min_isr(update, broker, STR_NULL);
	}
}

static void update_write(struct update *update, const struct update_features_request_feature_updates *in)
{
	int16_t from = update_level(update->controller, in->feature);
	struct feature_level_record record;

	if (from == in->max_version_level)
		return;
	if (str_eq_c(in->feature, ELR) && from == 0)
		update_write_elr(update);
	msg_init(&feature_level_record_type, &record);
	record.name = in->feature;
	record.feature_level = in->max_version_level;
	controller_add(update->records, update->arena, METADATA_FEATURE_LEVEL_RECORD, 0, &record);
}

enum err controller_update_features(struct controller *controller, int16_t version,
				    const struct update_features_request *request,
				    struct update_features_response *response, struct controller_records *records,
				    struct arena *arena)
{
	struct update update = {.controller = controller, .request = request, .records = records, .arena = arena};
	enum err err = ERR_NONE;

	msg_init(&update_features_response_type, response);
	records->atomic = true;
	for (int32_t i = 0; !err && i < request->feature_updates_n; i++)
		err = update_check(&update, &request->feature_updates[i]);
	if (!err && request->feature_updates_n > RECORDS_PER_OPERATION_MAX)
		err = err_text_set(&update.text, ERR_POLICY_VIOLATION, "%d features at once.",
				   request->feature_updates_n);
	response->error_code = err_wire(err);
	response->error_message = STR_NULL;
	if (err) {
		response->error_message = arena_printf(arena, "The update failed for all features since the following "
						       "feature had an error: %s", update.text.text);
		return ERR_NONE;
	}
	for (int32_t i = 0; !request->validate_only && i < request->feature_updates_n; i++)
		update_write(&update, &request->feature_updates[i]);
	if (version > 1)
		return ERR_NONE;
	response->results = MSG_NEW_N(arena, update_features_response_results, request->feature_updates_n);
	response->results_n = request->feature_updates_n;
	for (int32_t i = 0; i < request->feature_updates_n; i++) {
		response->results[i].feature = request->feature_updates[i].feature;
		response->results[i].error_message = STR("NONE");
	}
	return ERR_NONE;
}
