/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One heartbeat, in Kafka's order: the request is checked; the group and the member are found or made; what the member
 * asks for is compared with what it asked before; when that, or a topic, has changed, the group's epoch rises; when the
 * epoch is ahead of the target, a target is made, though not more often than the assignment interval allows; the
 * member goes a step towards its target; it is told what it may own when that changed, or when it told all it knows.
 */
#include "consumer_heartbeat.h"

#include <stdlib.h>

#include "consumer_beat.h"
#include "consumer_host.h"
#include "consumer_job.h"
#include "fault.h"
#include "log.h"

static enum err beat_refuse(struct beat *beat, const char *what)
{
	return err_text_set(beat->text, ERR_INVALID_REQUEST, "%s", what);
}

/* ---- what it asks for ---- */

static int name_cmp(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void beat_set_topics(struct beat *beat)
{
	int32_t n = beat->request->subscribed_topic_names_n;
	struct str *names = ARENA_NEW_N(beat->arena, struct str, n);

	for (int32_t i = 0; i < n; i++)
		names[i] = beat->request->subscribed_topic_names[i];
	qsort(names, (size_t)n, sizeof(*names), name_cmp);
	beat->meta.subscribed_topic_names = names;
	beat->meta.subscribed_topic_names_n = 0;
	for (int32_t i = 0; i < n; i++) {
		if (i == 0 || !str_eq(names[i], names[i - 1]))
			names[beat->meta.subscribed_topic_names_n++] = names[i];
	}
}

static void beat_make_meta(struct beat *beat, struct str client_id, struct str client_host)
{
	const struct consumer_group_heartbeat_request *request = beat->request;
	const struct consumer_member *before = beat->member ? beat->member : beat->replaced;

	if (before) {
		beat->meta = before->meta->value;
	} else {
		msg_init(&consumer_group_member_metadata_value_type, &beat->meta);
		beat->meta.instance_id = beat->meta.rack_id = beat->meta.server_assignor = STR_NULL;
		beat->meta.subscribed_topic_regex = STR("");
	}
	if (request->instance_id.p)
		beat->meta.instance_id = request->instance_id;
	if (request->rack_id.p)
		beat->meta.rack_id = request->rack_id;
	if (request->rebalance_timeout_ms != -1)
		beat->meta.rebalance_timeout_ms = request->rebalance_timeout_ms;
	if (request->server_assignor.p)
		beat->meta.server_assignor = request->server_assignor;
	if (request->subscribed_topic_names_n >= 0)
		beat_set_topics(beat);
	if (request->subscribed_topic_regex.p)
		beat->meta.subscribed_topic_regex = request->subscribed_topic_regex;
	beat->meta.client_id = client_id;
	beat->meta.client_host = client_host;
	beat->meta.classic_member_metadata = beat->hosted;
	/* Classic clients have no expressions; one would come from a static member of the new protocol. */
	if (beat->hosted)
		beat->meta.subscribed_topic_regex = STR("");
}

static bool names_are_equal(const struct consumer_group_member_metadata_value *a,
			    const struct consumer_group_member_metadata_value *b)
{
	if (a->subscribed_topic_names_n != b->subscribed_topic_names_n)
		return false;
	for (int32_t i = 0; i < a->subscribed_topic_names_n; i++) {
		if (!str_eq(a->subscribed_topic_names[i], b->subscribed_topic_names[i]))
			return false;
	}
	return true;
}

/* It is resolved beside the group; until then it stands for nothing. */
static enum err beat_check_regex(struct beat *beat, struct str source)
{
	struct err_text reason = {""};
	struct pattern *pattern;

	if (pattern_new(source, PATTERN_RE2, &pattern, &reason))
		return err_text_set(beat->text, ERR_INVALID_REGULAR_EXPRESSION,
				    "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
				    STR_ARGS(source), reason.text);
	pattern_free(pattern);
	return ERR_NONE;
}

/* The expression is new to the group. */
static enum err beat_add_regex(struct beat *beat, struct str source)
{
	struct consumer_regex_change *added = &beat->change.regexes[beat->change.regexes_n];
	struct err_text reason = {""};
	enum err err;

	if (beat->consumer && beat->consumer->regexes.n >= CONSUMER_REGEXES_MAX)
		return beat_refuse(beat, "The group has too many different regular expressions.");
	if (consumer_is_large_with_regex(beat->store, beat->consumer) ||
	    (beat->consumer && consumer_is_large(beat->consumer)))
		return beat_check_regex(beat, source);
	err = consumer_regex_resolve(beat->store->image, source, beat->store->shard->wall_ms, beat->arena,
				     &added->value, &reason);
	if (err)
		return err_text_set(beat->text, err,
				    "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
				    STR_ARGS(source), reason.text);
	added->source = source;
	beat->change.regexes_n++;
	consumer_write_regex(beat->records, beat->request->group_id, source, &added->value);
	return ERR_NONE;
}

/* Writes the member when it says something new. *ret: it subscribes to something else now. */
static enum err beat_compare_meta(struct beat *beat, bool *ret_changed)
{
	const struct consumer_member *before = beat->member ? beat->member : beat->replaced;
	struct bytes encoded = consumer_meta_encode(&beat->meta, beat->arena);
	struct str regex = beat->meta.subscribed_topic_regex;
	bool regex_changed = !before || !str_eq(regex, before->meta->value.subscribed_topic_regex);

	*ret_changed = !before || regex_changed || !names_are_equal(&beat->meta, &before->meta->value);
	if (!beat->member || !bytes_eq(encoded, beat->member->meta->encoded))
		consumer_write_member(beat->records, beat->request->group_id, beat->member_id, &beat->meta);
	if (!regex_changed)
		return ERR_NONE;
	if (regex.len && !(beat->consumer && map_get_str(&beat->consumer->regexes, regex))) {
		enum err err = beat_add_regex(beat, regex);

		if (err)
			return err;
	}
	if (before && before->meta->value.subscribed_topic_regex.len &&
	    !consumer_change_uses_regex(&beat->change, before->meta->value.subscribed_topic_regex))
		consumer_write_regex(beat->records, beat->request->group_id,
				     before->meta->value.subscribed_topic_regex, NULL);
	return ERR_NONE;
}

/* ---- epoch and target ---- */

static bool regexes_are_equal(const struct consumer_group_regular_expression_value *a,
			      const struct consumer_group_regular_expression_value *b)
{
	if (a->topics_n != b->topics_n)
		return false;
	for (int32_t i = 0; i < a->topics_n; i++) {
		if (!str_eq(a->topics[i], b->topics[i]))
			return false;
	}
	return true;
}

/* Expressions that topics may have joined or left since. Writes what differs. */
static bool beat_refresh_regexes(struct beat *beat)
{
	const struct image *image = beat->store->image;
	int64_t now_ms = beat->store->shard->now_ms;
	bool is_changed = false;
	struct consumer_regex *regex;

	if (FAULT(regex_never_anew))
		return false;
	if (!beat->consumer || beat->consumer->regexes.n == 0 || !group_consumer_regexes_are_due(beat->consumer))
		return false;
	for (uint32_t it = 0; (regex = map_next(&beat->consumer->regexes, &it)) != NULL;) {
		struct consumer_regex_change *fresh = &beat->change.regexes[beat->change.regexes_n];
		struct err_text reason;

		if (!consumer_change_uses_regex(&beat->change, regex->source) ||
		    consumer_regex_resolve(image, regex->source, beat->store->shard->wall_ms, beat->arena,
					   &fresh->value, &reason) ||
		    regexes_are_equal(&fresh->value, &regex->value))
			continue;
		fresh->source = regex->source;
		beat->change.regexes_n++;
		is_changed = true;
		consumer_write_regex(beat->records, beat->request->group_id, regex->source, &fresh->value);
	}
	beat->consumer->regex_image_offset = image->offset;
	beat->consumer->regexes_resolved_ms = now_ms;
	return is_changed;
}

static void beat_raise_epoch(struct beat *beat, bool is_changed)
{
	int64_t known = beat->consumer ? beat->consumer->metadata_hash : 0, hash = known;
	bool image_moved = !beat->consumer || beat->consumer->image_offset != beat->store->image->offset;

	beat->epoch = beat->consumer ? beat->consumer->epoch : CONSUMER_EPOCH_FIRST;
	if (beat->is_large)
		image_moved = false; /* the job looks at it */
	else
		is_changed |= beat_refresh_regexes(beat);
	if (!is_changed && !image_moved)
		return;
	if (!beat->is_large)
		hash = consumer_change_hash(&beat->change, beat->store->image, beat->arena);
	if (beat->consumer && !beat->is_large)
		beat->consumer->image_offset = beat->store->image->offset;
	if (!is_changed && hash == known)
		return;
	beat->epoch++;
	coord_shard_count(beat->store->shard, COORD_CONSUMER_REBALANCES, 1);
	log_info("group.epoch", "group=%.*s epoch=%d why=\"%s\"", STR_ARGS(beat->request->group_id), beat->epoch,
		 is_changed ? "subscriptions changed" : "topics changed");
	consumer_write_epoch(beat->records, beat->request->group_id, beat->epoch, hash);
}

/* How long the next target has to wait; the first need not. */
static int64_t beat_assign_delay_ms(const struct beat *beat)
{
	int32_t interval_ms = consumer_assignment_interval_ms(beat->store, beat->request->group_id);
	int64_t since_ms;

	if (!beat->consumer || !beat->consumer->has_target)
		return 0;
	since_ms = beat->store->shard->wall_ms - beat->consumer->target_timestamp_ms;
	/* A clock that was set back holds nobody up. */
	return since_ms < 0 ? 0 : MAX(interval_ms - since_ms, 0);
}

static enum err beat_make_target(struct beat *beat)
{
	const struct consumer_member *before = beat->member ? beat->member : beat->replaced;
	int64_t delay_ms;

	beat->target_epoch = beat->consumer ? beat->consumer->target_epoch : 0;
	if (before)
		beat->target = before->target;
	delay_ms = beat->epoch > beat->target_epoch ? beat_assign_delay_ms(beat) : 0;
	if (beat->is_large && (beat->epoch > beat->target_epoch || consumer_is_stale(beat->consumer)))
		consumer_job_soon(beat->consumer, delay_ms);
	else if (delay_ms > 0)
		consumer_assign_later(beat->group, delay_ms);
	if (beat->epoch > beat->target_epoch && delay_ms == 0 && !beat->is_large) {
		enum err err = consumer_change_assign(&beat->change, beat->store->image, beat->epoch, beat->records,
						      beat->arena, &beat->target);

		if (err)
			return err;
		beat->target_epoch = beat->epoch;
	} else if (beat->replaced) {
		consumer_write_target(beat->records, beat->request->group_id, beat->member_id, beat->target);
	}
	return ERR_NONE;
}

/* ---- a step towards it ---- */

static bool beat_is_taken(void *ctx, struct part_id id)
{
	const struct beat *beat = ctx;
	struct consumer_member *owner = beat->consumer ? consumer_owner_of(beat->consumer, id) : NULL;

	return owner && owner != beat->member && owner != beat->replaced;
}

static bool current_is_equal(const struct member_current *a, const struct member_current *b)
{
	return a->state == b->state && a->epoch == b->epoch && a->previous_epoch == b->previous_epoch &&
	       part_set_eq(a->assigned, b->assigned) && part_set_eq(a->revoking, b->revoking);
}

static enum err beat_reconcile(struct beat *beat, struct member_current *ret_before)
{
	struct reconcile reconcile = {.target = beat->target,
				      .target_epoch = beat->target_epoch,
				      .knows_owned = beat->knows_owned,
				      .owned = beat->owned,
				      .is_taken = beat_is_taken,
				      .ctx = beat};
	const struct consumer_member *before = beat->member ? beat->member : beat->replaced;

	*ret_before = before ? before->current : (struct member_current){0};
	if (beat->request->member_epoch == CONSUMER_EPOCH_JOIN && !beat->hosted)
		ret_before->epoch = ret_before->previous_epoch = 0;
	beat->current = *ret_before;
	/* Before there is a target there is nothing to go to. */
	if (beat->target_epoch == 0)
		return ERR_NONE;
	beat->current = member_reconcile(ret_before, &reconcile, beat->arena);
	if (reconcile.must_fence)
		return err_text_set(beat->text, ERR_FENCED_MEMBER_EPOCH,
				    "The consumer group member is in a unknown state. The member must abandon all its "
				    "partitions and rejoin.");
	if (!beat->member || !beat->member->has_current || !current_is_equal(&beat->current, &beat->member->current))
		consumer_write_current(beat->records, beat->request->group_id, beat->member_id, &beat->current);
	return ERR_NONE;
}

/* ---- the answer ---- */

static void beat_answer_assignment(const struct beat *beat, struct consumer_group_heartbeat_response *response)
{
	struct part_set set = beat->current.assigned;
	struct consumer_group_heartbeat_response_assignment *assignment =
		MSG_NEW(beat->arena, consumer_group_heartbeat_response_assignment);

	assignment->topic_partitions =
		MSG_NEW_N(beat->arena, consumer_group_heartbeat_response_topic_partitions, set.n);
	for (int32_t i = 0; i < set.n; i += part_set_topic_n(set, i)) {
		struct consumer_group_heartbeat_response_topic_partitions *topic =
			&assignment->topic_partitions[assignment->topic_partitions_n++];

		topic->topic_id = set.v[i].topic_id;
		topic->partitions_n = part_set_topic_n(set, i);
		topic->partitions = ARENA_NEW_N(beat->arena, int32_t, topic->partitions_n);
		for (int32_t p = 0; p < topic->partitions_n; p++)
			topic->partitions[p] = set.v[i + p].partition;
	}
	response->assignment = assignment;
}

static int32_t beat_interval_ms(const struct beat *beat)
{
	return consumer_heartbeat_interval_ms(beat->store, beat->request->group_id);
}

static void beat_answer(const struct beat *beat, const struct member_current *before,
			struct consumer_group_heartbeat_response *response)
{
	const struct consumer_group_heartbeat_request *request = beat->request;
	bool is_full = request->member_epoch == CONSUMER_EPOCH_JOIN ||
		       (request->rebalance_timeout_ms != -1 && request->topic_partitions_n >= 0 &&
			(request->subscribed_topic_names_n >= 0 || request->subscribed_topic_regex.p));

	response->member_id = beat->member_id;
	response->member_epoch = beat->current.epoch;
	response->heartbeat_interval_ms = beat_interval_ms(beat);
	if (is_full || !part_set_eq(before->assigned, beat->current.assigned))
		beat_answer_assignment(beat, response);
}

/* ---- leaving ---- */

static enum err beat_leave(struct beat *beat, struct consumer_group_heartbeat_response *response)
{
	struct consumer_member *member;
	enum err err = beat_find_group(beat, false);

	if (err)
		return err;
	member = beat->request->instance_id.p ?
			 consumer_instance_find(beat->consumer, beat->request->instance_id) :
			 consumer_member_find(beat->consumer, beat->member_id);
	if (!member || !member->meta)
		return err_text_set(beat->text, ERR_UNKNOWN_MEMBER_ID,
				    beat->request->instance_id.p ? "Instance id %.*s is unknown." :
								   "Member %.*s is not a member of group %.*s.",
				    STR_ARGS(beat->request->instance_id.p ? beat->request->instance_id :
									    beat->member_id),
				    STR_ARGS(beat->request->group_id));
	if (!str_eq(member->id, beat->member_id))
		return err_text_set(beat->text, ERR_FENCED_INSTANCE_ID,
				    "Static member %.*s with instance id %.*s was fenced by member %.*s.",
				    STR_ARGS(beat->member_id), STR_ARGS(beat->request->instance_id),
				    STR_ARGS(member->id));
	response->member_id = beat->member_id;
	response->member_epoch = beat->request->member_epoch;
	if (beat->request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC) {
		/* Its partitions wait for the instance to come back, until the session ends. */
		struct member_current away = member->current;

		away.epoch = CONSUMER_EPOCH_LEAVE_STATIC;
		away.revoking = (struct part_set){0};
		group_log(beat->group, "group.away", "member=%.*s instance=%.*s", STR_ARGS(member->id),
			  STR_ARGS(beat->request->instance_id));
		consumer_write_current(beat->records, beat->request->group_id, member->id, &away);
		return ERR_NONE;
	}
	group_log(beat->group, "group.left", "member=%.*s", STR_ARGS(member->id));
	beat->change = (struct consumer_change){.store = beat->store, .group_id = beat->request->group_id,
						.consumer = beat->consumer, .gone = member};
	consumer_change_leave(&beat->change, beat->records);
	return ERR_NONE;
}

static void beat_name_member(struct beat *beat)
{
	char text[UUID_TEXT_LEN + 1];

	beat->member_id = beat->request->member_id;
	if (beat->member_id.len)
		return;
	/* Clients of version 0 let the coordinator name them. */
	uuid_format(uuid_random(beat->store->shard->rng), text);
	beat->member_id = arena_str(beat->arena, str_of(text));
}

static bool beat_says_nothing(const struct consumer_group_heartbeat_request *request)
{
	return request->member_epoch > 0 && !request->instance_id.p && !request->rack_id.p &&
	       request->rebalance_timeout_ms == -1 && request->subscribed_topic_names_n < 0 &&
	       !request->subscribed_topic_regex.p && !request->server_assignor.p && request->topic_partitions_n < 0;
}

/* Most heartbeats: nothing is new on either side. Answers it, without memory, as the long way would; false: go that. */
static bool beat_is_calm(const struct beat *beat, const struct consumer_heartbeat *heartbeat)
{
	const struct consumer_group_heartbeat_request *request = beat->request;
	const struct group_consumer *consumer = group_consumer_find(beat->store, request->group_id, NULL);
	struct consumer_member *member = consumer ? consumer_member_find(consumer, beat->member_id) : NULL;
	int64_t image_offset = beat->store->image->offset;

	if (beat->hosted || !beat_says_nothing(request) || !member || !member->meta || !member->has_current ||
	    member->meta->value.classic_member_metadata || member->current.state != MEMBER_STABLE ||
	    member->current.epoch != request->member_epoch || member->current.epoch != consumer->target_epoch ||
	    consumer->epoch != consumer->target_epoch || consumer->image_offset != image_offset ||
	    consumer->failures_n != beat->store->shard->failures_n ||
	    (consumer->regexes.n > 0 && (consumer->regex_image_offset != image_offset ||
					 group_consumer_regexes_are_due(consumer))) ||
	    !str_eq(heartbeat->client_id, member->meta->value.client_id) ||
	    !str_eq(heartbeat->client_host, member->meta->value.client_host))
		return false;
	consumer_member_heard(member);
	heartbeat->response->member_id = beat->member_id;
	heartbeat->response->member_epoch = member->current.epoch;
	heartbeat->response->heartbeat_interval_ms = beat_interval_ms(beat);
	return true;
}

static enum err beat_stay(struct beat *beat, const struct consumer_heartbeat *heartbeat)
{
	bool make = beat->request->member_epoch == CONSUMER_EPOCH_JOIN, is_changed;
	struct member_current before;
	enum err err;

	if (beat_is_calm(beat, heartbeat))
		return ERR_NONE;
	err = beat_find_group(beat, make);
	if (!err && beat->consumer)
		group_consumer_notice_failures(beat->consumer);
	if (!err)
		err = beat_read_owned(beat);
	if (!err)
		err = beat_find_member(beat, make);
	if (err)
		return err;
	if (beat->replaced)
		consumer_write_member_end(beat->records, beat->request->group_id, beat->replaced->id);
	beat_make_meta(beat, heartbeat->client_id, heartbeat->client_host);
	beat->change = (struct consumer_change){.store = beat->store, .group_id = beat->request->group_id,
						.consumer = beat->consumer, .gone = beat->replaced,
						.member_id = beat->member_id, .meta = &beat->meta};
	beat->change.regexes = ARENA_NEW_N(beat->arena, struct consumer_regex_change,
					   beat->consumer ? beat->consumer->regexes.n + 1 : 1);
	err = beat_compare_meta(beat, &is_changed);
	if (err)
		return err;
	beat->is_large = beat->consumer && consumer_is_large(beat->consumer);
	beat_raise_epoch(beat, is_changed);
	err = beat_make_target(beat);
	if (!err)
		err = beat_reconcile(beat, &before);
	if (err)
		return err;
	if (make)
		log_info("group.joined", "group=%.*s member=%.*s%s%.*s protocol=%s client=\"%.*s\" host=%.*s epoch=%d",
			 STR_ARGS(beat->request->group_id), STR_ARGS(beat->member_id),
			 beat->request->instance_id.p ? " instance=" : "", STR_ARGS(beat->request->instance_id),
			 beat->hosted ? "classic" : "consumer", STR_ARGS(heartbeat->client_id),
			 STR_ARGS(heartbeat->client_host), beat->current.epoch);
	if (beat->member)
		consumer_member_heard(beat->member);
	beat_answer(beat, &before, heartbeat->response);
	return ERR_NONE;
}

enum err consumer_heartbeat_decide(struct consumer_heartbeat *heartbeat, struct coord_records *records)
{
	struct err_text text = {""};
	struct beat beat = {.store = heartbeat->store, .request = heartbeat->request, .records = records,
			    .arena = records->arena, .text = &text};
	enum err err = consumer_request_check(&heartbeat->store->settings, heartbeat->request,
					      heartbeat->version, &text);

	CHECK(heartbeat->store->image != NULL);
	if (!err) {
		beat_name_member(&beat);
		err = beat.request->member_epoch < 0 ? beat_leave(&beat, heartbeat->response) :
						       beat_stay(&beat, heartbeat);
	}
	heartbeat->response->error_code = err_wire(err);
	if (err && text.text[0])
		heartbeat->response->error_message = arena_str(beat.arena, str_of(text.text));
	return err;
}

enum err consumer_heartbeat_host(struct consumer_heartbeat *heartbeat, struct coord_records *records)
{
	struct err_text text = {""};
	struct beat beat = {.store = heartbeat->store, .request = heartbeat->request, .records = records,
			    .arena = records->arena, .text = &text, .hosted = heartbeat->hosted,
			    .member_id = heartbeat->request->member_id};

	CHECK(heartbeat->store->image != NULL);
	return beat_stay(&beat, heartbeat);
}
