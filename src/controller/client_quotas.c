/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterClientQuotas (KIP-546): checks in the original's order and with its words. Values that stay as they are write no
 * record. An entity that stands in the request twice is acted on once and answered once, with the complaint, as in the
 * original. Differs from Kafka: no resolver is asked about an IP entity: what is neither an address nor "localhost" is
 * refused as not resolvable; answers come in the order of the request.
 */
#include "controller_private.h"
#include "ip.h"
#include "msg/alter_client_quotas.h"

#define QUOTA_TYPES_N 3
#define QUOTA_PARTS_MAX 16 /* of an entity in a request; more than three types are refused anyhow */

enum quota_number { QUOTA_DOUBLE, QUOTA_LONG, QUOTA_INT };

static const struct {
	const char *key;
	enum quota_number number;
	bool is_of_ip;
} quota_keys[] = {
	{"producer_byte_rate", QUOTA_LONG, false},
	{"consumer_byte_rate", QUOTA_LONG, false},
	{"request_percentage", QUOTA_DOUBLE, false},
	{"controller_mutation_rate", QUOTA_DOUBLE, false},
	{"connection_creation_rate", QUOTA_INT, true},
};

/* In the order of names, which is that of the image, and as the original prints them. */
static const char *const quota_types[QUOTA_TYPES_N] = {"client-id", "ip", "user"};
static const int quota_type_told[QUOTA_TYPES_N] = {0, 2, 1};

struct alter_quotas {
	struct controller *controller;
	struct controller_records *records;
	struct arena *arena;
	struct map seen; /* the entity as text -> its answer */
	struct err_text text;
};

/* The request's parts, each type once; a later one takes the place of an earlier. What is beyond the limit is not
 * told: such an entity is refused. */
static int32_t alter_quota_parts(struct alter_quotas *alter, const struct alter_client_quotas_request_entries *in,
				 struct quota_part **ret)
{
	struct quota_part *parts = ARENA_NEW_N(alter->arena, struct quota_part, QUOTA_PARTS_MAX);
	int32_t n = 0;

	for (int32_t i = 0; i < in->entity_n; i++) {
		struct str type = in->entity[i].entity_type;
		int32_t at = 0;

		while (at < n && !str_eq(parts[at].type, type))
			at++;
		if (at == QUOTA_PARTS_MAX)
			break;
		n = MAX(n, at + 1);
		parts[at] = (struct quota_part){type, in->entity[i].entity_name};
	}
	*ret = parts;
	return n;
}

static int quota_type_of(struct str type)
{
	for (int i = 0; i < QUOTA_TYPES_N; i++) {
		if (str_eq_c(type, quota_types[i]))
			return i;
	}
	return -1;
}

static enum err alter_quota_refuse(struct alter_quotas *alter, const char *text)
{
	return err_text_set(&alter->text, ERR_INVALID_REQUEST, "%s", text);
}

/* Sorts the parts; *ret_is_ip tells which keys go with them. */
static enum err alter_quota_check_entity(struct alter_quotas *alter, struct quota_part *parts, int32_t n,
					 bool *ret_is_ip)
{
	struct quota_part sorted[QUOTA_TYPES_N];
	bool has[QUOTA_TYPES_N] = {false};
	uint8_t ip[16];
	bool is_v6;

	if (n == 0)
		return alter_quota_refuse(alter, "Invalid empty client quota entity");
	for (int32_t i = 0; i < n; i++) {
		int type = quota_type_of(parts[i].type);

		if (type < 0)
			return err_text_set(&alter->text, ERR_INVALID_REQUEST,
					    "Unhandled client quota entity type: %.*s", STR_ARGS(parts[i].type));
		if (parts[i].name.p && parts[i].name.len == 0)
			return err_text_set(&alter->text, ERR_INVALID_REQUEST, "Empty %s not supported",
					    quota_types[type]);
		has[type] = true;
		sorted[type] = parts[i];
	}
	*ret_is_ip = has[1];
	if (has[1] && n > 1) /* the missing blank is Kafka's */
		return alter_quota_refuse(alter, "Invalid quota entity combination, IP entity shouldnot be "
						 "combined with User or ClientId");
	if (has[1] && sorted[1].name.p && !ip_parse(sorted[1].name, ip, &is_v6))
		return err_text_set(&alter->text, ERR_INVALID_REQUEST, "%.*s is not a valid IP or resolvable host.",
				    STR_ARGS(sorted[1].name));
	for (int32_t type = 0, i = 0; type < QUOTA_TYPES_N; type++) {
		if (has[type])
			parts[i++] = sorted[type];
	}
	return ERR_NONE;
}

/* What lies behind the point of a positive value; 0 for what is no number. */
static double quota_fraction(double value)
{
	if (!(value < 9007199254740992.0)) /* 2^53: beyond it there are whole numbers only */
		return 0;
	return value - (double)(int64_t)value;
}

static enum err alter_quota_check_value(struct alter_quotas *alter, struct str key, double value, bool is_ip)
{
	static const double max[] = {[QUOTA_LONG] = 9223372036854775807.0, [QUOTA_INT] = INT32_MAX};
	static const char *const name[] = {[QUOTA_LONG] = "a LONG", [QUOTA_INT] = "an INT"};
	enum quota_number number = QUOTA_DOUBLE;
	size_t i = 0;

	while (i < ARRAY_N(quota_keys) && (!str_eq_c(key, quota_keys[i].key) || quota_keys[i].is_of_ip != is_ip))
		i++;
	if (i == ARRAY_N(quota_keys))
		return err_text_set(&alter->text, ERR_INVALID_REQUEST, "Invalid configuration key %.*s", STR_ARGS(key));
	number = quota_keys[i].number;
	if (value <= 0)
		return err_text_set(&alter->text, ERR_INVALID_REQUEST, "Quota %.*s must be greater than 0",
				    STR_ARGS(key));
	if (number == QUOTA_DOUBLE)
		return ERR_NONE;
	if (value > max[number])
		return err_text_set(&alter->text, ERR_INVALID_REQUEST, "Proposed value for %.*s is too large for %s.",
				    STR_ARGS(key), name[number]);
	if (quota_fraction(value) > 1e-6)
		return err_text_set(&alter->text, ERR_INVALID_REQUEST, "%.*s cannot be a fractional value.",
				    STR_ARGS(key));
	return ERR_NONE;
}

static void alter_quota_add(struct alter_quotas *alter, const struct quota_part *parts, int32_t parts_n,
			    const struct alter_client_quotas_request_entries_ops *op)
{
	struct client_quota_record_entity entity[QUOTA_TYPES_N];
	struct client_quota_record record;

	msg_init(&client_quota_record_type, &record);
	for (int32_t i = 0; i < parts_n; i++) {
		msg_init(&client_quota_record_entity_type, &entity[i]);
		entity[i].entity_type = parts[i].type;
		entity[i].entity_name = parts[i].name;
	}
	record.entity = entity;
	record.entity_n = parts_n;
	record.key = op->key;
	record.remove = op->remove;
	record.value = op->remove ? 0 : op->value;
	controller_add(alter->records, alter->arena, METADATA_CLIENT_QUOTA_RECORD, 0, &record);
}

static enum err alter_quota_values(struct alter_quotas *alter, const struct alter_client_quotas_request_entries *in,
				   const struct quota_part *parts, int32_t parts_n, bool is_ip)
{
	const struct quota_image *quota = image_quota(alter->controller->latest, parts, parts_n);
	enum err err = ERR_NONE;

	for (int32_t i = 0; !err && i < in->ops_n; i++) {
		if (!in->ops[i].remove)
			err = alter_quota_check_value(alter, in->ops[i].key, in->ops[i].value, is_ip);
	}
	for (int32_t i = 0; !err && i < in->ops_n; i++) {
		double before = 0;
		bool has = quota && quota_value(quota, in->ops[i].key, &before);

		if (in->ops[i].remove ? has : !has || memcmp(&before, &in->ops[i].value, sizeof(before)) != 0)
			alter_quota_add(alter, parts, parts_n, &in->ops[i]);
	}
	return err;
}

/* "ClientQuotaEntity(entries={client-id=a, user=null})" */
static struct str alter_quota_entity_text(struct alter_quotas *alter, const struct quota_part *parts, int32_t n)
{
	struct str text = arena_str(alter->arena, STR("ClientQuotaEntity(entries={"));

	for (int32_t i = 0; i < n; i++)
		text = arena_printf(alter->arena, "%.*s%s%.*s=%.*s", STR_ARGS(text), i ? ", " : "",
				    STR_ARGS(parts[i].type), STR_ARGS(parts[i].name.p ? parts[i].name : STR("null")));
	return arena_printf(alter->arena, "%.*s})", STR_ARGS(text));
}

/* The known types first, in the original's order; *ret_n parts of an answer. */
static void alter_quota_tell(struct alter_quotas *alter, struct quota_part *parts, int32_t n,
			     struct alter_client_quotas_response_entries *out)
{
	struct quota_part *told = ARENA_NEW_N(alter->arena, struct quota_part, n);
	int32_t told_n = 0;

	for (int k = 0; k <= QUOTA_TYPES_N; k++) {
		for (int32_t i = 0; i < n; i++) {
			int type = quota_type_of(parts[i].type);

			if (type < 0 ? k == QUOTA_TYPES_N : quota_type_told[type] == k)
				told[told_n++] = parts[i];
		}
	}
	memcpy(parts, told, (size_t)n * sizeof(*parts));
	out->entity = MSG_NEW_N(alter->arena, alter_client_quotas_response_entries_entity, n);
	out->entity_n = n;
	for (int32_t i = 0; i < n; i++) {
		out->entity[i].entity_type = parts[i].type;
		out->entity[i].entity_name = parts[i].name;
	}
}

static bool alter_quota_has_key_twice(struct alter_quotas *alter, const struct alter_client_quotas_request_entries *in)
{
	struct map keys = {0};
	bool found = false;

	if (in->ops_n < 2)
		return false;
	map_init(&keys, MAP_STR, rng_u64(alter->controller->rng));
	for (int32_t i = 0; i < in->ops_n; i++)
		found |= map_put_str(&keys, in->ops[i].key, &in->ops[i]) != NULL;
	map_deinit(&keys);
	return found;
}

/* False when the entity has had its answer already. */
static bool alter_quota_entry(struct alter_quotas *alter, const struct alter_client_quotas_request_entries *in,
			      struct alter_client_quotas_response_entries *out)
{
	struct alter_client_quotas_response_entries *before;
	struct quota_part *parts;
	int32_t n = alter_quota_parts(alter, in, &parts);
	struct str entity;
	bool is_ip = false;
	enum err err;

	out->error_message = STR_NULL;
	alter_quota_tell(alter, parts, n, out);
	entity = alter_quota_entity_text(alter, parts, n);
	before = map_get_str(&alter->seen, entity);
	if (before || alter_quota_has_key_twice(alter, in)) {
		struct alter_client_quotas_response_entries *to = before ? before : out;

		to->error_code = ERR_INVALID_REQUEST;
		to->error_message = arena_printf(alter->arena, "Ignoring duplicate entity %.*s", STR_ARGS(entity));
		if (!before)
			map_put_str(&alter->seen, entity, out);
		return !before;
	}
	map_put_str(&alter->seen, entity, out);
	err = alter_quota_check_entity(alter, parts, n, &is_ip);
	if (!err)
		err = alter_quota_values(alter, in, parts, n, is_ip);
	out->error_code = err_wire(err);
	if (err)
		out->error_message = controller_text(alter->arena, &alter->text);
	return true;
}

static bool alter_quotas_is_excessive(const struct alter_client_quotas_request *request)
{
	int64_t n = 0;

	for (int32_t i = 0; i < request->entries_n; i++)
		n += MAX(request->entries[i].ops_n, 1);
	return n > RECORDS_PER_OPERATION_MAX;
}

enum err controller_alter_client_quotas(struct controller *controller,
					const struct alter_client_quotas_request *request,
					struct alter_client_quotas_response *response,
					struct controller_records *records, struct arena *arena)
{
	struct alter_quotas alter = {.controller = controller, .records = records, .arena = arena};

	if (alter_quotas_is_excessive(request))
		return ERR_POLICY_VIOLATION;
	msg_init(&alter_client_quotas_response_type, response);
	response->entries = MSG_NEW_N(arena, alter_client_quotas_response_entries, request->entries_n);
	map_init(&alter.seen, MAP_STR, rng_u64(controller->rng));
	records->atomic = true;
	for (int32_t i = 0; i < request->entries_n; i++) {
		if (alter_quota_entry(&alter, &request->entries[i], &response->entries[response->entries_n]))
			response->entries_n++;
	}
	if (request->validate_only)
		records->values.n = 0;
	map_deinit(&alter.seen);
	return ERR_NONE;
}
