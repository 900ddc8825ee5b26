/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of consumer groups: each type is written, replayed, and read back from the state here, side by side.
 * Formats are Kafka's (schema/record/group.msg). Logs are untrusted: counts and partitions are checked before they
 * become state.
 */
#include "group_consumer.h"

#include "hash.h"

#define CONSUMER_PARTITION_MAX 10000000

static void consumer_write(struct coord_records *records, int16_t type, const void *key, const void *value)
{
	coord_records_encode(records, MSG_FAMILY_GROUP, type, 0, key, value);
}

/* The consumer group that a record is about, made when the record has a value; NULL: there is nothing to delete. */
static enum err record_group(struct group_store *store, struct str id, bool has_value, struct group **ret,
			     struct err_text *text)
{
	*ret = NULL;
	if (!has_value) {
		group_consumer_find(store, id, ret);
		return ERR_NONE;
	}
	if (!group_consumer_make(store, id, ret))
		return err_text_set(text, ERR_DECODE, "group %.*s is classic and has members", STR_ARGS(id));
	return ERR_NONE;
}

/* ---- sets ---- */

/* All the topic lists of the family share this form. */
struct topic_list {
	struct uuid topic_id;
	int32_t *partitions;
	int32_t partitions_n;
};

static int32_t set_topics_n(struct part_set set)
{
	int32_t n = 0;

	for (int32_t i = 0; i < set.n; i += part_set_topic_n(set, i))
		n++;
	return n;
}

/* The set from v[from] on, up to the next topic. */
static struct topic_list set_topic(struct part_set set, int32_t from, struct arena *arena)
{
	struct topic_list ret = {set.v[from].topic_id, NULL, part_set_topic_n(set, from)};

	ret.partitions = ARENA_NEW_N(arena, int32_t, ret.partitions_n);
	for (int32_t i = 0; i < ret.partitions_n; i++)
		ret.partitions[i] = set.v[from + i].partition;
	return ret;
}

static enum err set_add(struct part_set *set, struct uuid topic_id, const int32_t *partitions, int32_t partitions_n,
			const int32_t *epochs, struct err_text *text)
{
	for (int32_t i = 0; i < partitions_n; i++) {
		if (partitions[i] < 0 || partitions[i] > CONSUMER_PARTITION_MAX)
			return err_text_set(text, ERR_DECODE, "an assignment names partition %d", partitions[i]);
		set->v[set->n++] = (struct part_id){topic_id, partitions[i], epochs ? epochs[i] : -1};
	}
	return ERR_NONE;
}

/* ---- 3: the group's epoch ---- */

void consumer_write_epoch(struct coord_records *records, struct str group, int32_t epoch, int64_t metadata_hash)
{
	struct consumer_group_metadata_key key = {group};
	struct consumer_group_metadata_value value;

	msg_init(&consumer_group_metadata_value_type, &value);
	value.epoch = epoch;
	value.metadata_hash = metadata_hash;
	consumer_write(records, GROUP_CONSUMER_GROUP_METADATA, &key, &value);
}

static enum err epoch_replay(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			     const void *value_ptr, struct err_text *text)
{
	const struct consumer_group_metadata_key *key = key_ptr;
	const struct consumer_group_metadata_value *value = value_ptr;
	struct group *group;
	enum err err = record_group(store, key->group_id, value != NULL, &group, text);

	if (err || !group)
		return err;
	group->consumer->has_epoch = value != NULL;
	group->consumer->epoch = value ? value->epoch : 0;
	group->consumer->metadata_hash = value ? value->metadata_hash : 0;
	group_consumer_tidy(group);
	return ERR_NONE;
}

static bool epoch_current(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			  struct arena *arena UNUSED, void *value_ptr, int16_t *ret_version)
{
	const struct consumer_group_metadata_key *key = key_ptr;
	struct consumer_group_metadata_value *value = value_ptr;
	struct group_consumer *consumer = group_consumer_find(store, key->group_id, NULL);

	if (!consumer || !consumer->has_epoch)
		return false;
	value->epoch = consumer->epoch;
	value->metadata_hash = consumer->metadata_hash;
	*ret_version = 0;
	return true;
}

const struct group_record_ops consumer_record_epoch = {epoch_replay, epoch_current};

/* ---- 4: the partitions that 4.0 and before computed over ---- */

/* Nothing is done by it, but as long as it lies in the log it makes the group in whoever reads that: it has to go with
 * the group. */
static enum err partitions_replay(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
				  const void *value_ptr, struct err_text *text)
{
	const struct consumer_group_partition_metadata_key *key = key_ptr;
	struct group *group;
	enum err err = record_group(store, key->group_id, value_ptr != NULL, &group, text);

	if (err || !group)
		return err;
	group->consumer->has_partition_metadata = value_ptr != NULL;
	group_consumer_tidy(group);
	return ERR_NONE;
}

static bool partitions_current(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			       struct arena *arena UNUSED, void *value_ptr UNUSED, int16_t *ret_version)
{
	const struct consumer_group_partition_metadata_key *key = key_ptr;
	const struct group_consumer *consumer = group_consumer_find(store, key->group_id, NULL);

	*ret_version = 0;
	return consumer && consumer->has_partition_metadata;
}

const struct group_record_ops consumer_record_partitions = {partitions_replay, partitions_current};

/* ---- 5: what a member asked for ---- */

void consumer_write_member(struct coord_records *records, struct str group, struct str member,
			   const struct consumer_group_member_metadata_value *value)
{
	struct consumer_group_member_metadata_key key = {group, member};

	consumer_write(records, GROUP_CONSUMER_GROUP_MEMBER_METADATA, &key, value);
}

static enum err member_replay(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			      const void *value_ptr, struct err_text *text)
{
	const struct consumer_group_member_metadata_key *key = key_ptr;
	struct group *group;
	enum err err = record_group(store, key->group_id, value_ptr != NULL, &group, text);
	struct consumer_member *member;

	if (err || !group)
		return err;
	member = value_ptr ? consumer_member_make(group, key->member_id) :
			     consumer_member_find(group->consumer, key->member_id);
	if (!member)
		return ERR_NONE;
	consumer_member_set_meta(member, value_ptr ? consumer_meta_new(value_ptr) : NULL);
	consumer_member_tidy(member);
	return ERR_NONE;
}

static bool member_current(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			   struct arena *arena UNUSED, void *value, int16_t *ret_version)
{
	const struct consumer_group_member_metadata_key *key = key_ptr;
	struct group_consumer *consumer = group_consumer_find(store, key->group_id, NULL);
	struct consumer_member *member = consumer ? consumer_member_find(consumer, key->member_id) : NULL;

	if (!member || !member->meta)
		return false;
	*(struct consumer_group_member_metadata_value *)value = member->meta->value;
	*ret_version = 0;
	return true;
}

const struct group_record_ops consumer_record_member = {member_replay, member_current};

/* ---- 6: the target's epoch ---- */

void consumer_write_target_epoch(struct coord_records *records, struct str group, int32_t epoch, int64_t timestamp_ms)
{
	struct consumer_group_target_assignment_metadata_key key = {group};
	struct consumer_group_target_assignment_metadata_value value;

	msg_init(&consumer_group_target_assignment_metadata_value_type, &value);
	value.assignment_epoch = epoch;
	value.assignment_timestamp = timestamp_ms;
	consumer_write(records, GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA, &key, &value);
}

static enum err target_epoch_replay(struct group_store *store, struct coord_origin origin UNUSED,
				    const void *key_ptr, const void *value_ptr, struct err_text *text)
{
	const struct consumer_group_target_assignment_metadata_key *key = key_ptr;
	const struct consumer_group_target_assignment_metadata_value *value = value_ptr;
	struct group *group;
	enum err err = record_group(store, key->group_id, value != NULL, &group, text);

	if (err || !group)
		return err;
	group->consumer->has_target = value != NULL;
	group->consumer->target_epoch = value ? value->assignment_epoch : 0;
	group->consumer->target_timestamp_ms = value ? value->assignment_timestamp : 0;
	group_consumer_tidy(group);
	return ERR_NONE;
}

static bool target_epoch_current(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
				 struct arena *arena UNUSED, void *value_ptr, int16_t *ret_version)
{
	const struct consumer_group_target_assignment_metadata_key *key = key_ptr;
	struct consumer_group_target_assignment_metadata_value *value = value_ptr;
	struct group_consumer *consumer = group_consumer_find(store, key->group_id, NULL);

	if (!consumer || !consumer->has_target)
		return false;
	value->assignment_epoch = consumer->target_epoch;
	value->assignment_timestamp = consumer->target_timestamp_ms;
	*ret_version = 0;
	return true;
}

const struct group_record_ops consumer_record_target_epoch = {target_epoch_replay, target_epoch_current};

/* ---- 7: what a member shall have ---- */

static void target_value(struct part_set target, struct arena *arena,
			 struct consumer_group_target_assignment_member_value *ret)
{
	ret->topic_partitions_n = set_topics_n(target);
	ret->topic_partitions = MSG_NEW_N(arena, consumer_group_target_assignment_member_value_topic_partitions,
					  ret->topic_partitions_n);
	for (int32_t i = 0, t = 0; i < target.n; i += part_set_topic_n(target, i), t++) {
		struct topic_list list = set_topic(target, i, arena);

		ret->topic_partitions[t].topic_id = list.topic_id;
		ret->topic_partitions[t].partitions = list.partitions;
		ret->topic_partitions[t].partitions_n = list.partitions_n;
	}
}

void consumer_write_target(struct coord_records *records, struct str group, struct str member, struct part_set target)
{
	struct consumer_group_target_assignment_member_key key = {group, member};
	struct consumer_group_target_assignment_member_value value;

	msg_init(&consumer_group_target_assignment_member_value_type, &value);
	target_value(target, records->arena, &value);
	consumer_write(records, GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER, &key, &value);
}

static enum err target_set(const struct consumer_group_target_assignment_member_value *value, struct arena *arena,
			   struct part_set *ret, struct err_text *text)
{
	int64_t n = 0;

	for (int32_t i = 0; i < value->topic_partitions_n; i++)
		n += value->topic_partitions[i].partitions_n;
	ret->v = arena_try_alloc_n(arena, (size_t)n + 1, sizeof(*ret->v));
	if (!ret->v)
		return err_text_set(text, ERR_DECODE, "an assignment of %lld partitions", (long long)n);
	for (int32_t i = 0; i < value->topic_partitions_n; i++) {
		enum err err = set_add(ret, value->topic_partitions[i].topic_id,
				       value->topic_partitions[i].partitions,
				       value->topic_partitions[i].partitions_n, NULL, text);

		if (err)
			return err;
	}
	part_set_normalize(ret);
	return ERR_NONE;
}

static enum err target_replay(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			      const void *value, struct err_text *text)
{
	const struct consumer_group_target_assignment_member_key *key = key_ptr;
	struct arena arena = {0};
	struct part_set set = {0};
	struct group *group;
	enum err err = record_group(store, key->group_id, value != NULL, &group, text);
	struct consumer_member *member;

	if (err || !group)
		return err;
	member = value ? consumer_member_make(group, key->member_id)
		       : consumer_member_find(group->consumer, key->member_id);
	if (!member)
		return ERR_NONE;
	if (value)
		err = target_set(value, &arena, &set, text);
	if (!err)
		consumer_member_set_target(member, value ? &set : NULL);
	consumer_member_tidy(member);
	arena_reset(&arena);
	return err;
}

static bool target_current(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			   struct arena *arena, void *value, int16_t *ret_version)
{
	const struct consumer_group_target_assignment_member_key *key = key_ptr;
	struct group_consumer *consumer = group_consumer_find(store, key->group_id, NULL);
	struct consumer_member *member = consumer ? consumer_member_find(consumer, key->member_id) : NULL;

	if (!member || !member->has_target)
		return false;
	target_value(member->target, arena, value);
	*ret_version = 0;
	return true;
}

const struct group_record_ops consumer_record_target = {target_replay, target_current};

/* ---- 8: what a member has ---- */

static struct consumer_group_current_member_assignment_value_topic_partitions *
current_topics(struct part_set set, struct arena *arena, int32_t *ret_n)
{
	struct consumer_group_current_member_assignment_value_topic_partitions *ret;

	*ret_n = set_topics_n(set);
	ret = MSG_NEW_N(arena, consumer_group_current_member_assignment_value_topic_partitions, *ret_n);
	for (int32_t i = 0, t = 0; i < set.n; i += part_set_topic_n(set, i), t++) {
		struct topic_list list = set_topic(set, i, arena);

		ret[t].topic_id = list.topic_id;
		ret[t].partitions = list.partitions;
		ret[t].partitions_n = list.partitions_n;
		/* Epochs are told when they are known; records of before 4.3 have none. */
		ret[t].assignment_epochs_n = -1;
		if (set.v[i].epoch < 0)
			continue;
		ret[t].assignment_epochs_n = list.partitions_n;
		ret[t].assignment_epochs = ARENA_NEW_N(arena, int32_t, list.partitions_n);
		for (int32_t p = 0; p < list.partitions_n; p++)
			ret[t].assignment_epochs[p] = set.v[i + p].epoch;
	}
	return ret;
}

static void current_value(const struct member_current *current, struct arena *arena,
			  struct consumer_group_current_member_assignment_value *ret)
{
	ret->member_epoch = current->epoch;
	ret->previous_member_epoch = current->previous_epoch;
	ret->state = (int8_t)current->state;
	ret->assigned_partitions = current_topics(current->assigned, arena, &ret->assigned_partitions_n);
	ret->partitions_pending_revocation =
		current_topics(current->revoking, arena, &ret->partitions_pending_revocation_n);
}

void consumer_write_current(struct coord_records *records, struct str group, struct str member,
			    const struct member_current *current)
{
	struct consumer_group_current_member_assignment_key key = {group, member};
	struct consumer_group_current_member_assignment_value value;

	msg_init(&consumer_group_current_member_assignment_value_type, &value);
	current_value(current, records->arena, &value);
	consumer_write(records, GROUP_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT, &key, &value);
}

static enum err current_set(const struct consumer_group_current_member_assignment_value_topic_partitions *topics,
			    int32_t topics_n, struct arena *arena, struct part_set *ret, struct err_text *text)
{
	int64_t n = 0;

	for (int32_t i = 0; i < topics_n; i++)
		n += topics[i].partitions_n;
	ret->v = arena_try_alloc_n(arena, (size_t)n + 1, sizeof(*ret->v));
	if (!ret->v)
		return err_text_set(text, ERR_DECODE, "an assignment of %lld partitions", (long long)n);
	for (int32_t i = 0; i < topics_n; i++) {
		bool has_epochs = topics[i].assignment_epochs_n == topics[i].partitions_n;
		enum err err = set_add(ret, topics[i].topic_id, topics[i].partitions, topics[i].partitions_n,
				       has_epochs ? topics[i].assignment_epochs : NULL, text);

		if (err)
			return err;
	}
	part_set_normalize(ret);
	return ERR_NONE;
}

static enum member_state current_state(int8_t state)
{
	return state == MEMBER_STABLE || state == MEMBER_UNREVOKED_PARTITIONS ||
			       state == MEMBER_UNRELEASED_PARTITIONS ?
		       (enum member_state)state :
		       MEMBER_UNKNOWN;
}

static enum err current_replay(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			       const void *value_ptr, struct err_text *text)
{
	const struct consumer_group_current_member_assignment_key *key = key_ptr;
	const struct consumer_group_current_member_assignment_value *value = value_ptr;
	struct member_current current = {0};
	struct arena arena = {0};
	struct group *group;
	enum err err = record_group(store, key->group_id, value != NULL, &group, text);
	struct consumer_member *member;

	if (err || !group)
		return err;
	member = value ? consumer_member_make(group, key->member_id)
		       : consumer_member_find(group->consumer, key->member_id);
	if (!member)
		return ERR_NONE;
	if (value) {
		current = (struct member_current){current_state(value->state), value->member_epoch,
						  value->previous_member_epoch, {0}, {0}};
		err = current_set(value->assigned_partitions, value->assigned_partitions_n, &arena, &current.assigned,
				  text);
		if (!err)
			err = current_set(value->partitions_pending_revocation,
					  value->partitions_pending_revocation_n, &arena, &current.revoking, text);
	}
	if (!err)
		consumer_member_set_current(member, value ? &current : NULL);
	consumer_member_tidy(member);
	arena_reset(&arena);
	return err;
}

static bool current_current(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			    struct arena *arena, void *value, int16_t *ret_version)
{
	const struct consumer_group_current_member_assignment_key *key = key_ptr;
	struct group_consumer *consumer = group_consumer_find(store, key->group_id, NULL);
	struct consumer_member *member = consumer ? consumer_member_find(consumer, key->member_id) : NULL;

	if (!member || !member->has_current)
		return false;
	current_value(&member->current, arena, value);
	*ret_version = 0;
	return true;
}

const struct group_record_ops consumer_record_current = {current_replay, current_current};

/* ---- 16: what an expression stood for ---- */

void consumer_write_regex(struct coord_records *records, struct str group, struct str source,
			  const struct consumer_group_regular_expression_value *value)
{
	struct consumer_group_regular_expression_key key = {group, source};

	consumer_write(records, GROUP_CONSUMER_GROUP_REGULAR_EXPRESSION, &key, value);
}

void consumer_regex_free(struct consumer_regex *regex)
{
	arena_reset(&regex->arena);
	mem_free((void *)(uintptr_t)regex->source.p);
	mem_free(regex);
}

int64_t consumer_regex_bytes(const struct consumer_regex *regex)
{
	return (int64_t)(sizeof(*regex) + regex->source.len + regex->arena.used);
}

static struct consumer_regex *regex_new(struct str source,
					const struct consumer_group_regular_expression_value *value)
{
	struct consumer_regex *regex = MEM_NEW(struct consumer_regex);
	enum err err;

	regex->source = (struct str){mem_strdup_n(source.p, source.len), source.len};
	regex->encoded = coord_value_encode(MSG_FAMILY_GROUP, GROUP_CONSUMER_GROUP_REGULAR_EXPRESSION, 0, value,
					    &regex->arena);
	err = coord_value_decode(msg_record_find(MSG_FAMILY_GROUP, GROUP_CONSUMER_GROUP_REGULAR_EXPRESSION),
				 regex->encoded, &regex->arena, &regex->value, NULL);
	CHECK_OP(err, ==, ERR_NONE);
	return regex;
}

static enum err regex_replay(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			     const void *value, struct err_text *text)
{
	const struct consumer_group_regular_expression_key *key = key_ptr;
	struct group *group;
	enum err err = record_group(store, key->group_id, value != NULL, &group, text);
	struct consumer_regex *regex;

	if (err || !group)
		return err;
	regex = map_remove_str(&group->consumer->regexes, key->regular_expression);
	if (regex) {
		group_store_count(store, -consumer_regex_bytes(regex));
		group->consumer->regex_topics_n -= regex->value.topics_n;
		consumer_regex_free(regex);
	}
	if (value) {
		regex = regex_new(key->regular_expression, value);
		group_store_count(store, consumer_regex_bytes(regex));
		group->consumer->regex_topics_n += regex->value.topics_n;
		group->consumer->owes_regexes = false;
		map_put_str(&group->consumer->regexes, regex->source, regex);
	}
	group_consumer_tidy(group);
	return ERR_NONE;
}

static bool regex_current(struct group_store *store, struct coord_origin origin UNUSED, const void *key_ptr,
			  struct arena *arena UNUSED, void *value, int16_t *ret_version)
{
	const struct consumer_group_regular_expression_key *key = key_ptr;
	struct group_consumer *consumer = group_consumer_find(store, key->group_id, NULL);
	struct consumer_regex *regex = consumer ? map_get_str(&consumer->regexes, key->regular_expression) : NULL;

	if (!regex)
		return false;
	*(struct consumer_group_regular_expression_value *)value = regex->value;
	*ret_version = 0;
	return true;
}

const struct group_record_ops consumer_record_regex = {regex_replay, regex_current};

void consumer_write_member_end(struct coord_records *records, struct str group, struct str member)
{
	struct consumer_group_current_member_assignment_key current = {group, member};
	struct consumer_group_target_assignment_member_key target = {group, member};
	struct consumer_group_member_metadata_key meta = {group, member};

	consumer_write(records, GROUP_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT, &current, NULL);
	consumer_write(records, GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER, &target, NULL);
	consumer_write(records, GROUP_CONSUMER_GROUP_MEMBER_METADATA, &meta, NULL);
}
