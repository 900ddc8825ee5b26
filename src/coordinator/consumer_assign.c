/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what members ask for to who shall have what: subscriptions by name and by expression are resolved on the
 * metadata image, the assignor is run over them, and what differs from the target so far is written.
 */
#include <stdlib.h>

#include "assign.h"
#include "consumer_job.h"
#include "group_consumer.h"
#include "hash.h"
#include "log.h"

/* One member as it will be. */
struct change_member {
	struct str id;
	const struct consumer_group_member_metadata_value *meta;
	const struct consumer_member *before; /* whose target it continues; NULL: nobody's */
};

struct change_members {
	struct change_member *v;
	int32_t n;
};

static bool change_is_gone(const struct consumer_change *change, const struct consumer_member *member)
{
	if (member == change->gone)
		return true;
	for (int32_t i = 0; i < change->also_gone_n; i++) {
		if (change->also_gone[i] == member)
			return true;
	}
	return false;
}

static struct change_members change_members(const struct consumer_change *change, struct arena *arena)
{
	int32_t members_n = change->consumer ? (int32_t)change->consumer->members.n : 0;
	struct change_members ret = {ARENA_NEW_N(arena, struct change_member, members_n + 1), 0};
	bool is_known = false;
	struct consumer_member *member;

	for (uint32_t it = 0; change->consumer && (member = map_next(&change->consumer->members, &it)) != NULL;) {
		bool is_changed = change->member_id.p && str_eq(member->id, change->member_id);

		if (change_is_gone(change, member) || (!member->meta && !is_changed))
			continue;
		is_known |= is_changed;
		ret.v[ret.n++] = (struct change_member){
			member->id, is_changed ? change->meta : &member->meta->value, member};
	}
	if (change->member_id.p && !is_known)
		ret.v[ret.n++] = (struct change_member){change->member_id, change->meta, change->gone};
	return ret;
}

/* ---- topics ---- */

static int name_cmp(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static const struct consumer_group_regular_expression_value *change_regex(const struct consumer_change *change,
									  struct str source)
{
	struct consumer_regex *regex;

	for (int32_t i = 0; i < change->regexes_n; i++) {
		if (str_eq(change->regexes[i].source, source))
			return &change->regexes[i].value;
	}
	regex = change->consumer ? map_get_str(&change->consumer->regexes, source) : NULL;
	return regex ? &regex->value : NULL;
}

/* Names a member subscribes to, in one way or the other; a name may stand twice. */
struct name_list {
	const struct str *v[2];
	int32_t n[2];
};

static struct name_list member_names(const struct consumer_change *change,
				     const struct consumer_group_member_metadata_value *meta)
{
	struct name_list ret = {{meta->subscribed_topic_names}, {meta->subscribed_topic_names_n}};
	const struct consumer_group_regular_expression_value *regex =
		meta->subscribed_topic_regex.len ? change_regex(change, meta->subscribed_topic_regex) : NULL;

	if (regex) {
		ret.v[1] = regex->topics;
		ret.n[1] = regex->topics_n;
	}
	return ret;
}

/* All names of all members that are topics, by name, each once. */
static struct str *change_topics(const struct consumer_change *change, struct change_members members,
				 const struct image *image, struct arena *arena, int32_t *ret_n)
{
	struct map seen;
	struct str *ret;
	int32_t n = 0;
	int64_t most = 0;

	for (int32_t m = 0; m < members.n; m++) {
		struct name_list names = member_names(change, members.v[m].meta);

		most += names.n[0] + names.n[1];
	}
	map_init(&seen, MAP_STR, change->store->seed);
	ret = ARENA_NEW_N(arena, struct str, most);
	for (int32_t m = 0; m < members.n; m++) {
		struct name_list names = member_names(change, members.v[m].meta);

		for (int way = 0; way < 2; way++) {
			for (int32_t i = 0; i < names.n[way]; i++) {
				struct str name = names.v[way][i];

				if (map_get_str(&seen, name) || !image_topic(image, name))
					continue;
				map_put_str(&seen, name, &seen);
				ret[n++] = name;
			}
		}
	}
	map_deinit(&seen);
	qsort(ret, (size_t)n, sizeof(*ret), name_cmp);
	*ret_n = n;
	return ret;
}

int64_t consumer_change_hash(const struct consumer_change *change, const struct image *image, struct arena *arena)
{
	int32_t topics_n;
	struct str *topics = change_topics(change, change_members(change, arena), image, arena, &topics_n);
	uint64_t hash = 0;

	for (int32_t i = 0; i < topics_n; i++) {
		const struct topic_image *topic = image_topic(image, topics[i]);

		/* Names are part of their ids; 0 is kept for a group without topics. */
		hash = hash_u64((uint64_t)topic->partitions_n, hash_uuid(topic->id, hash));
	}
	return topics_n && hash == 0 ? 1 : (int64_t)hash;
}

bool consumer_change_uses_regex(const struct consumer_change *change, struct str source)
{
	struct consumer_member *member;

	if (change->member_id.p && str_eq(change->meta->subscribed_topic_regex, source))
		return true;
	for (uint32_t it = 0; change->consumer && (member = map_next(&change->consumer->members, &it)) != NULL;) {
		if (!change_is_gone(change, member) && member->meta &&
		    !(change->member_id.p && str_eq(member->id, change->member_id)) &&
		    str_eq(member->meta->value.subscribed_topic_regex, source))
			return true;
	}
	return false;
}

static void change_leave_one(const struct consumer_change *change, const struct consumer_member *gone,
			     struct coord_records *records)
{
	struct str regex = gone->meta ? gone->meta->value.subscribed_topic_regex : STR_NULL;

	consumer_write_member_end(records, change->group_id, gone->id);
	if (regex.len && !consumer_change_uses_regex(change, regex))
		consumer_write_regex(records, change->group_id, regex, NULL);
}

void consumer_change_leave(const struct consumer_change *change, struct coord_records *records)
{
	int64_t hash = change->consumer->metadata_hash;

	change_leave_one(change, change->gone, records);
	for (int32_t i = 0; i < change->also_gone_n; i++)
		change_leave_one(change, change->also_gone[i], records);
	if (change->store->image && !consumer_is_large(change->consumer))
		hash = consumer_change_hash(change, change->store->image, records->arena);
	log_info("group.epoch", "group=%.*s epoch=%d why=\"%s\"", STR_ARGS(change->group_id),
		 change->consumer->epoch + 1, change->also_gone_n > 0 ? "members are gone" : "a member is gone");
	consumer_write_epoch(records, change->group_id, change->consumer->epoch + 1, hash);
}

/* ---- the target ---- */

struct target_maker {
	const struct consumer_change *change;
	struct arena *arena;
	struct change_members members;
	struct assign_topic *topics; /* by id */
	int32_t topics_n;
	struct map places; /* topic id -> &topics[i] */
	struct assign_member *specs;
};

static int topic_cmp(const void *a, const void *b)
{
	return uuid_cmp(((const struct assign_topic *)a)->id, ((const struct assign_topic *)b)->id);
}

static int index_cmp(const void *a, const void *b)
{
	return (*(const int32_t *)a > *(const int32_t *)b) - (*(const int32_t *)a < *(const int32_t *)b);
}

static void maker_resolve(struct target_maker *maker, const struct image *image)
{
	struct str *names = change_topics(maker->change, maker->members, image, maker->arena, &maker->topics_n);

	maker->topics = ARENA_NEW_N(maker->arena, struct assign_topic, maker->topics_n);
	for (int32_t i = 0; i < maker->topics_n; i++) {
		const struct topic_image *topic = image_topic(image, names[i]);

		maker->topics[i] = (struct assign_topic){topic->id, topic->partitions_n};
	}
	qsort(maker->topics, (size_t)maker->topics_n, sizeof(*maker->topics), topic_cmp);
	for (int32_t i = 0; i < maker->topics_n; i++)
		map_put_uuid(&maker->places, maker->topics[i].id, &maker->topics[i]);
}

static int32_t maker_place(const struct target_maker *maker, struct uuid topic_id)
{
	const struct assign_topic *topic = map_get_uuid(&maker->places, topic_id);

	return topic ? (int32_t)(topic - maker->topics) : -1;
}

static void maker_add_topics(struct target_maker *maker, const struct image *image, struct assign_member *spec,
			     struct name_list names)
{
	int32_t *topics = ARENA_NEW_N(maker->arena, int32_t, names.n[0] + names.n[1]), n = 0;

	for (int way = 0; way < 2; way++) {
		for (int32_t i = 0; i < names.n[way]; i++) {
			const struct topic_image *topic = image_topic(image, names.v[way][i]);

			if (topic)
				topics[n++] = maker_place(maker, topic->id);
		}
	}
	qsort(topics, (size_t)n, sizeof(*topics), index_cmp);
	for (int32_t i = 0; i < n; i++) {
		if (spec->topics_n == 0 || topics[spec->topics_n - 1] != topics[i])
			topics[spec->topics_n++] = topics[i];
	}
	spec->topics = topics;
}

/* Both orders are by topic id, so the places ascend. */
static void maker_add_owned(struct target_maker *maker, struct assign_member *spec, struct part_set target)
{
	struct assign_part *owned = ARENA_NEW_N(maker->arena, struct assign_part, target.n);

	for (int32_t i = 0; i < target.n; i++) {
		int32_t place = maker_place(maker, target.v[i].topic_id);

		if (place >= 0)
			owned[spec->owned_n++] = (struct assign_part){place, target.v[i].partition};
	}
	spec->owned = owned;
}

static struct part_set maker_set(const struct target_maker *maker, const struct assign_target *target)
{
	struct part_set ret = {ARENA_NEW_N(maker->arena, struct part_id, target->parts_n), target->parts_n};

	for (int32_t i = 0; i < target->parts_n; i++)
		ret.v[i] = (struct part_id){maker->topics[target->parts[i].topic].id, target->parts[i].partition, -1};
	return ret;
}

struct str consumer_change_assignor(const struct consumer_change *change)
{
	const struct group_settings *settings = &change->store->settings;
	struct str standard = settings->consumer_range_first ? STR("range") : STR("uniform");
	int32_t uniform_n = 0, range_n = 0;
	struct consumer_member *member;

	for (uint32_t it = 0; change->consumer && (member = map_next(&change->consumer->members, &it)) != NULL;) {
		bool is_changed = change->member_id.p && str_eq(member->id, change->member_id);

		if (change_is_gone(change, member) || is_changed || !member->meta)
			continue;
		uniform_n += str_eq_c(member->meta->value.server_assignor, "uniform");
		range_n += str_eq_c(member->meta->value.server_assignor, "range");
	}
	if (change->member_id.p) {
		uniform_n += str_eq_c(change->meta->server_assignor, "uniform");
		range_n += str_eq_c(change->meta->server_assignor, "range");
	}
	if (uniform_n == range_n)
		return standard;
	return uniform_n > range_n ? STR("uniform") : STR("range");
}

static enum err maker_run(struct target_maker *maker, const struct image *image, struct assign_target **ret)
{
	struct assign_spec spec;

	maker->members = change_members(maker->change, maker->arena);
	maker_resolve(maker, image);
	maker->specs = ARENA_NEW_N(maker->arena, struct assign_member, maker->members.n);
	for (int32_t m = 0; m < maker->members.n; m++) {
		const struct change_member *member = &maker->members.v[m];

		maker->specs[m].member_id = member->id;
		maker->specs[m].instance_id = member->meta->instance_id;
		maker_add_topics(maker, image, &maker->specs[m], member_names(maker->change, member->meta));
		if (member->before)
			maker_add_owned(maker, &maker->specs[m], member->before->target);
	}
	spec = (struct assign_spec){maker->topics, maker->topics_n, maker->specs, maker->members.n};
	return assign_find(consumer_change_assignor(maker->change))(&spec, maker->arena, ret);
}

enum err consumer_change_assign(const struct consumer_change *change, const struct image *image, int32_t epoch,
				struct coord_records *records, struct arena *arena, struct part_set *ret)
{
	struct target_maker maker = {.change = change, .arena = arena};
	struct assign_target *targets;
	enum err err;

	map_init(&maker.places, MAP_UUID, change->store->seed);
	err = maker_run(&maker, image, &targets);
	map_deinit(&maker.places);
	if (err)
		return err;
	for (int32_t m = 0; m < maker.members.n; m++) {
		const struct change_member *member = &maker.members.v[m];
		struct part_set target = maker_set(&maker, &targets[m]);
		bool is_kept = member->before && member->before->has_target && str_eq(member->before->id, member->id);

		if (change->member_id.p && str_eq(member->id, change->member_id))
			*ret = target;
		if (!is_kept || !part_set_eq(member->before->target, target))
			consumer_write_target(records, change->group_id, member->id, target);
	}
	consumer_write_target_epoch(records, change->group_id, epoch, change->store->shard->wall_ms);
	return ERR_NONE;
}

/* ---- expressions ---- */

enum err consumer_regex_resolve(const struct image *image, struct str source, int64_t now_wall_ms,
				struct arena *arena, struct consumer_group_regular_expression_value *ret,
				struct err_text *text)
{
	const struct topic_image *topic = NULL;
	struct pattern *pattern;
	enum err err = pattern_new(source, PATTERN_RE2, &pattern, text);

	if (err)
		return ERR_INVALID_REGULAR_EXPRESSION;
	msg_init(&consumer_group_regular_expression_value_type, ret);
	ret->topics = ARENA_NEW_N(arena, struct str, image->topics_n);
	ret->version = image->offset;
	ret->timestamp = now_wall_ms;
	while (!err && (topic = image_topic_next(image, topic ? topic->name : STR_NULL)) != NULL) {
		bool is_match = false;

		err = pattern_match(pattern, topic->name, &is_match);
		if (!err && is_match)
			ret->topics[ret->topics_n++] = topic->name;
	}
	pattern_free(pattern);
	if (err)
		return err_text_set(text, ERR_INVALID_REGULAR_EXPRESSION, "it takes too many steps to match");
	return ERR_NONE;
}
