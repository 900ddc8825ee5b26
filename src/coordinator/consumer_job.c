/* SPDX-License-Identifier: Apache-2.0 */
/* The slices of a job on the reactor. See consumer_job.h. */
#include "consumer_work.h"

#include "fault.h"
#include "log.h"

#define JOB_UNITS 5000 /* of one slice */
#define MATCH_UNITS INT64_C(8) /* what one expression takes with one topic */
#define JOB_PAUSE_MS 2 /* between two slices */
#define JOB_MEMORY_MAX ((size_t)512 << 20)
#define JOB_WRITE_LEN KIB(128) /* of targets that are written at once */

/* ---- how large ---- */

bool consumer_is_large_with_regex(const struct group_store *store, const struct group_consumer *consumer)
{
	int64_t regexes_n = consumer ? consumer->regexes.n : 0;

	return store->image && store->image->topics_n * MATCH_UNITS * (regexes_n + 1) > store->inline_max;
}

bool consumer_is_large(const struct group_consumer *consumer)
{
	const struct group_store *store = consumer->group->store;
	int64_t load = consumer->names_n + consumer->targets_n, regexes_n = MAX((int64_t)consumer->regexes.n, 1);

	if (consumer->owes_regexes)
		return true;
	if (consumer->regex_members_n && store->image)
		load += store->image->topics_n * MATCH_UNITS * regexes_n +
			consumer->regex_members_n * consumer->regex_topics_n / regexes_n;
	return load > store->inline_max;
}

static bool job_regexes_are_due(const struct group_consumer *consumer)
{
	if (!consumer->regex_members_n || FAULT(regex_never_anew))
		return false;
	return consumer->owes_regexes || group_consumer_regexes_are_due(consumer);
}

bool consumer_is_stale(const struct group_consumer *consumer)
{
	return consumer->image_offset != consumer->group->store->image->offset || job_regexes_are_due(consumer);
}

/* ---- life ---- */

static void job_free(struct consumer_job *job)
{
	for (size_t i = 0; i < job->regexes.n; i++) {
		pattern_free(job->regexes.v[i].pattern);
		vec_deinit(&job->regexes.v[i].names);
	}
	vec_deinit(&job->regexes);
	vec_deinit(&job->chunk);
	vec_deinit(&job->topics);
	map_deinit(&job->places);
	arena_reset(&job->arena);
	mem_free(job);
}

static void job_over(struct consumer_job *job)
{
	struct group_consumer *consumer = job->consumer;

	coord_timer_stop(consumer->group->store->shard, &job->timer);
	consumer->job = NULL;
	consumer->job_over_ms = consumer->group->store->shard->now_ms;
	job_free(job);
}

static void job_fail(struct consumer_job *job, const char *why)
{
	group_log(job->consumer->group, "group.target_failed", "epoch=%d why=\"%s\"", job->epoch, why);
	/* It may fail again the same way until something changes; the group's heartbeats ask in time. */
	job->phase = JOB_OVER;
}

void consumer_job_abandon(struct group_consumer *consumer)
{
	struct consumer_job *job = consumer->job;

	if (!job)
		return;
	consumer->job = NULL;
	coord_timer_stop(consumer->group->store->shard, &job->timer);
	job->consumer = NULL;
	if (job->phase != JOB_WORK)
		job_free(job);
}

/* Writes what was made, if the log takes it. */
static bool job_write(struct consumer_job *job, struct coord_records *records)
{
	struct coord_shard *shard = job->consumer->group->store->shard;
	uint64_t before = shard->seq_queued;

	if (records->v.n > 0)
		coord_shard_write(shard, records, true, NULL, NULL);
	return records->v.n == 0 || shard->seq_queued != before;
}

/* ---- expressions ---- */

static void job_add_regex(struct consumer_job *job, struct map *seen, struct str source)
{
	struct job_regex regex = {.source = arena_str(&job->arena, source)};

	if (map_get_str(seen, source) || job->regexes.n >= CONSUMER_REGEXES_MAX)
		return;
	map_put_str(seen, regex.source, job);
	if (pattern_new(regex.source, PATTERN_RE2, &regex.pattern, NULL))
		regex.pattern = NULL;
	vec_push(&job->regexes, regex);
}

static void job_start(struct consumer_job *job)
{
	struct group_consumer *consumer = job->consumer;
	const struct group_store *store = consumer->group->store;
	const struct consumer_member *member;
	struct map seen;

	job->phase = JOB_OVER;
	if (!store->image || (consumer->epoch == consumer->target_epoch && !consumer_is_stale(consumer)))
		return;
	job->failures_n = store->shard->failures_n;
	job->image_offset = store->image->offset;
	job->phase = JOB_WRITE;
	if (!job_regexes_are_due(consumer))
		return;
	job->phase = JOB_MATCH;
	job->has_regexes = true;
	map_init(&seen, MAP_STR, store->seed);
	for (uint32_t it = 0; (member = map_next(&consumer->members, &it)) != NULL;) {
		if (member->meta && member->meta->value.subscribed_topic_regex.len)
			job_add_regex(job, &seen, member->meta->value.subscribed_topic_regex);
	}
	map_deinit(&seen);
}

static void job_slice(struct coord_timer *timer, void *machine);

static void job_work(struct consumer_job *job, void (*run)(struct group_work *), void (*done)(struct group_work *))
{
	struct group_store *store = job->consumer->group->store;

	job->phase = JOB_WORK;
	job->work = (struct group_work){run, done};
	if (store->start_work) {
		store->start_work(store, &job->work);
		return;
	}
	run(&job->work);
	done(&job->work);
}

/* The work has come back; false: nobody waits for it. */
static bool job_resume(struct consumer_job *job, enum job_phase phase)
{
	if (!job->consumer) {
		job_free(job);
		return false;
	}
	job->phase = phase;
	job->at = 0;
	coord_timer_start(job->consumer->group->store->shard, &job->timer, 0, job_slice);
	return true;
}

static void job_matched(struct group_work *work)
{
	struct consumer_job *job = container_of(work, struct consumer_job, work);

	if (job_resume(job, JOB_MATCH))
		job->chunk.n = 0;
}

/* A chunk of topics at a time. Those that come or go meanwhile are found, or missed, as it happens; the image has moved
 * then, and the next job finds them. */
static void job_match(struct consumer_job *job)
{
	const struct image *image = job->consumer->group->store->image;
	const struct topic_image *topic = NULL;

	for (; job->units > 0; job->units--) {
		topic = image_topic_next(image, job->cursor);
		if (!topic)
			break;
		if (!arena_has_room(&job->arena, topic->name.len, 2)) {
			job_fail(job, "too much memory");
			return;
		}
		job->cursor = arena_str(&job->arena, topic->name);
		vec_push(&job->chunk, job->cursor);
	}
	if (job->chunk.n > 0) {
		job_work(job, consumer_match_run, job_matched);
		return;
	}
	job->phase = JOB_WRITE;
	job->at = 0;
}

static bool job_regex_is_known(const struct consumer_regex *known, const struct job_regex *regex)
{
	if (!known || (size_t)known->value.topics_n != regex->names.n)
		return false;
	for (size_t i = 0; i < regex->names.n; i++) {
		if (!str_eq(known->value.topics[i], regex->names.v[i]))
			return false;
	}
	return true;
}

static void job_write_regex(struct consumer_job *job, const struct job_regex *regex)
{
	struct group_consumer *consumer = job->consumer;
	struct consumer_change change = {.store = consumer->group->store, .group_id = consumer->group->id,
					 .consumer = consumer};
	struct consumer_group_regular_expression_value value;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};

	job->units -= consumer->members_n / 8 + (int64_t)regex->names.n;
	if (!regex->pattern || job_regex_is_known(map_get_str(&consumer->regexes, regex->source), regex) ||
	    !consumer_change_uses_regex(&change, regex->source))
		return;
	msg_init(&consumer_group_regular_expression_value_type, &value);
	value.topics = regex->names.v;
	value.topics_n = (int32_t)regex->names.n;
	value.version = job->image_offset;
	value.timestamp = change.store->shard->wall_ms;
	consumer_write_regex(&records, consumer->group->id, regex->source, &value);
	if (job_write(job, &records))
		job->is_regex_changed = true;
	else
		group_log(consumer->group, "group.regex_too_large", "topics=%d", value.topics_n);
	vec_deinit(&records.v);
	arena_reset(&arena);
}

static void job_write_epoch(struct consumer_job *job, int32_t epoch, int64_t hash)
{
	struct group_consumer *consumer = job->consumer;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};

	if (epoch != consumer->epoch) {
		coord_shard_count(consumer->group->store->shard, COORD_CONSUMER_REBALANCES, 1);
		group_log(consumer->group, "group.epoch", "epoch=%d why=\"topics changed\"", epoch);
	}
	consumer_write_epoch(&records, consumer->group->id, epoch, hash);
	if (!job_write(job, &records))
		job_fail(job, "the log refuses");
	vec_deinit(&records.v);
	arena_reset(&arena);
}

static void job_snapshot(struct consumer_job *job);

static void job_write_regexes(struct consumer_job *job)
{
	struct group_consumer *consumer = job->consumer;

	while (job->units > 0 && (size_t)job->at < job->regexes.n)
		job_write_regex(job, &job->regexes.v[job->at++]);
	if ((size_t)job->at < job->regexes.n)
		return;
	if (job->has_regexes) {
		consumer->regex_image_offset = job->image_offset;
		consumer->regexes_resolved_ms = consumer->group->store->shard->now_ms;
		consumer->owes_regexes = false;
	}
	job->phase = JOB_GATHER;
	if (job->is_regex_changed && consumer->epoch == consumer->target_epoch)
		job_write_epoch(job, consumer->epoch + 1, consumer->metadata_hash);
	if (job->phase == JOB_GATHER)
		job_snapshot(job);
}

/* ---- the copy ---- */

static void job_snapshot(struct consumer_job *job)
{
	struct group_consumer *consumer = job->consumer;
	struct consumer_change change = {.store = consumer->group->store, .group_id = consumer->group->id,
					 .consumer = consumer};
	const struct consumer_member *member;

	job->at = 0;
	job->epoch = consumer->epoch;
	job->target_epoch = consumer->target_epoch;
	job->known_hash = consumer->metadata_hash;
	job->assign = assign_find(consumer_change_assignor(&change));
	job->members = arena_try_alloc_n(&job->arena, consumer->members.n + 1, sizeof(*job->members));
	job->specs = arena_try_alloc_n(&job->arena, consumer->members.n + 1, sizeof(*job->specs));
	if (!job->members || !job->specs) {
		job_fail(job, "too much memory");
		return;
	}
	for (uint32_t it = 0; (member = map_next(&consumer->members, &it)) != NULL;) {
		if (!member->meta)
			continue;
		if (!arena_has_room(&job->arena, member->id.len, 2)) {
			job_fail(job, "too much memory");
			return;
		}
		job->members[job->members_n++] = (struct job_member){.id = arena_str(&job->arena, member->id),
								     .meta_seq = member->meta_seq};
	}
}

/* -1: there is none, or no room for it. */
static int32_t job_topic(struct consumer_job *job, struct str name)
{
	const struct topic_image *topic = image_topic(job->consumer->group->store->image, name);
	size_t known = topic ? (size_t)(uintptr_t)map_get_uuid(&job->places, topic->id) : 0;
	struct job_topic added;

	if (!topic)
		return -1;
	if (known)
		return (int32_t)known - 1;
	if (!arena_has_room(&job->arena, name.len, 2)) {
		job->is_full = true;
		return -1;
	}
	added = (struct job_topic){arena_str(&job->arena, name), topic->id, topic->partitions_n, 0};
	vec_push(&job->topics, added);
	map_put_uuid(&job->places, topic->id, (void *)(uintptr_t)job->topics.n);
	return (int32_t)job->topics.n - 1;
}

static void job_gather_names(struct consumer_job *job, int32_t *topics, int32_t *n, const struct str *names,
			     int32_t names_n)
{
	for (int32_t i = 0; i < names_n; i++) {
		int32_t topic = job_topic(job, names[i]);

		if (topic >= 0)
			topics[(*n)++] = topic;
	}
	job->units -= names_n;
}

/* False: there is no room for it. */
static bool job_gather_member(struct consumer_job *job, int32_t at)
{
	struct group_consumer *consumer = job->consumer;
	struct job_member *to = &job->members[at];
	struct assign_member *spec = &job->specs[at];
	const struct consumer_member *member = consumer_member_find(consumer, to->id);
	const struct consumer_group_member_metadata_value *meta;
	const struct consumer_regex *regex;
	int32_t *topics;
	size_t names_n;

	to->is_gone = !member || !member->meta || member->meta_seq != to->meta_seq;
	if (to->is_gone)
		return true;
	meta = &member->meta->value;
	regex = meta->subscribed_topic_regex.len ? map_get_str(&consumer->regexes, meta->subscribed_topic_regex) : NULL;
	names_n = (size_t)meta->subscribed_topic_names_n + (size_t)(regex ? regex->value.topics_n : 0);
	topics = arena_try_alloc_n(&job->arena, names_n + 1, sizeof(*topics));
	to->target.v = arena_try_alloc_n(&job->arena, (size_t)member->target.n + 1, sizeof(*to->target.v));
	if (!topics || !to->target.v || !arena_has_room(&job->arena, meta->instance_id.len, 2))
		return false;
	to->has_target = member->has_target;
	to->target.n = member->target.n;
	if (member->target.n)
		memcpy(to->target.v, member->target.v, (size_t)member->target.n * sizeof(*to->target.v));
	job->units -= 1 + member->target.n / 8;
	spec->member_id = to->id;
	spec->instance_id = meta->instance_id.p ? arena_str(&job->arena, meta->instance_id) : STR_NULL;
	job_gather_names(job, topics, &spec->topics_n, meta->subscribed_topic_names, meta->subscribed_topic_names_n);
	if (regex)
		job_gather_names(job, topics, &spec->topics_n, regex->value.topics, regex->value.topics_n);
	spec->topics = topics;
	return !job->is_full;
}

static void job_done(struct group_work *work)
{
	job_resume(container_of(work, struct consumer_job, work), JOB_APPLY);
}

static void job_gather(struct consumer_job *job)
{
	for (; job->units > 0 && job->at < job->members_n; job->at++) {
		if (!job_gather_member(job, job->at)) {
			job_fail(job, "too much memory");
			return;
		}
	}
	if (job->at < job->members_n)
		return;
	job_work(job, consumer_work_run, job_done);
}

/* ---- what came of it ---- */

/* The hash is known now; topics that changed since the last target ask for another epoch. */
static void job_apply_hash(struct consumer_job *job)
{
	struct group_consumer *consumer = job->consumer;

	consumer->image_offset = job->image_offset;
	if (job->hash == consumer->metadata_hash)
		return;
	if (consumer->epoch > consumer->target_epoch) {
		job_write_epoch(job, consumer->epoch, job->hash);
		return;
	}
	job_write_epoch(job, consumer->epoch + 1, job->hash);
	job->epoch = consumer->epoch;
}

static void job_apply_member(struct consumer_job *job, int32_t at, struct coord_records *records)
{
	const struct job_member *to = &job->members[at];
	const struct consumer_member *member = to->is_changed ? consumer_member_find(job->consumer, to->id) : NULL;

	job->units -= 1 + to->target.n / 4;
	if (!member || !member->meta || member->meta_seq != to->meta_seq)
		return;
	job->units -= 20;
	consumer_write_target(records, job->consumer->group->id, to->id, to->target);
}

/* A static member came back under another id meanwhile, which does not raise the group's epoch: the old id's share
 * would be nobody's. Who leaves raises it. */
static bool job_misses_member(const struct consumer_job *job)
{
	bool misses = false;

	for (int32_t i = 0; job->epoch == job->consumer->epoch && !misses && i < job->members_n; i++)
		misses = !consumer_member_find(job->consumer, job->members[i].id);
	return misses;
}

static void job_apply_some(struct consumer_job *job)
{
	struct group *group = job->consumer->group;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};
	bool is_whole = false;

	for (; job->units > 0 && job->at < job->members_n && records.bytes < JOB_WRITE_LEN; job->at++)
		job_apply_member(job, job->at, &records);
	if (job->at == job->members_n && job_misses_member(job)) {
		job_fail(job, "a member has another id now");
	} else if (job->at == job->members_n) {
		consumer_write_target_epoch(&records, group->id, job->epoch, group->store->shard->wall_ms);
		job->phase = JOB_OVER;
		is_whole = true;
	}
	if (!job_write(job, &records))
		job_fail(job, "the log refuses");
	else if (is_whole)
		group_log(group, "group.target", "epoch=%d members=%d topics=%zu", job->epoch, job->members_n,
			  job->topics.n);
	vec_deinit(&records.v);
	arena_reset(&arena);
}

static void job_apply(struct consumer_job *job)
{
	if (job->err) {
		job_fail(job, err_name(job->err));
		return;
	}
	if (job->at == 0)
		job_apply_hash(job);
	if (!job->has_targets)
		job->phase = JOB_OVER;
	while (job->phase == JOB_APPLY && job->units > 0)
		job_apply_some(job);
}

static void job_slice(struct coord_timer *timer, void *machine UNUSED)
{
	struct consumer_job *job = container_of(timer, struct consumer_job, timer);
	struct coord_shard *shard = job->consumer->group->store->shard;

	job->units = JOB_UNITS;
	if (job->phase == JOB_START)
		job_start(job);
	/* What it was made from may have been undone. */
	if (job->phase != JOB_OVER && job->failures_n != shard->failures_n)
		job_fail(job, "the log failed meanwhile");
	if (job->phase == JOB_MATCH)
		job_match(job);
	if (job->phase == JOB_WRITE && job->units > 0)
		job_write_regexes(job);
	if (job->phase == JOB_GATHER && job->units > 0)
		job_gather(job);
	if (job->phase == JOB_APPLY && job->units > 0)
		job_apply(job);
	if (job->phase == JOB_OVER)
		job_over(job);
	else if (job->phase != JOB_WORK)
		coord_timer_start(shard, &job->timer, JOB_PAUSE_MS, job_slice);
}

void consumer_job_soon(struct group_consumer *consumer, int64_t delay_ms)
{
	struct coord_shard *shard = consumer->group->store->shard;
	struct consumer_job *job = consumer->job;
	int64_t rest_ms = consumer->job_over_ms ? consumer->job_over_ms + CONSUMER_JOB_REST_MS - shard->now_ms : 0;

	if (job)
		return;
	delay_ms = MAX(delay_ms, rest_ms);
	job = MEM_NEW(struct consumer_job);
	job->arena.limit = JOB_MEMORY_MAX;
	job->consumer = consumer;
	map_init(&job->places, MAP_UUID, consumer->group->store->seed);
	consumer->job = job;
	coord_timer_start(shard, &job->timer, MAX(delay_ms, 1), job_slice);
}
