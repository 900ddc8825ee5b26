/* SPDX-License-Identifier: Apache-2.0 */
/* What of a job runs on another thread, on nothing but copies: expressions, the hash of the topics, the assignor. */
#include "consumer_work.h"

#include <stdlib.h>

#include "hash.h"

void consumer_match_run(struct group_work *work)
{
	struct consumer_job *job = container_of(work, struct consumer_job, work);

	for (size_t i = 0; i < job->regexes.n; i++) {
		struct job_regex *regex = &job->regexes.v[i];

		for (size_t t = 0; regex->pattern && t < job->chunk.n; t++) {
			bool is_match = false;

			if (pattern_match(regex->pattern, job->chunk.v[t], &is_match)) {
				pattern_free(regex->pattern);
				regex->pattern = NULL;
			} else if (is_match) {
				vec_push(&regex->names, job->chunk.v[t]);
			}
		}
	}
}

static int topic_id_cmp(const void *a, const void *b)
{
	return uuid_cmp((*(struct job_topic *const *)a)->id, (*(struct job_topic *const *)b)->id);
}

static int topic_name_cmp(const void *a, const void *b)
{
	return str_cmp((*(struct job_topic *const *)a)->name, (*(struct job_topic *const *)b)->name);
}

static int index_cmp(const void *a, const void *b)
{
	return (*(const int32_t *)a > *(const int32_t *)b) - (*(const int32_t *)a < *(const int32_t *)b);
}

/* As consumer_change_hash. */
static int64_t work_hash(struct job_topic **topics, size_t n)
{
	uint64_t hash = 0;

	qsort(topics, n, sizeof(*topics), topic_name_cmp);
	for (size_t i = 0; i < n; i++)
		hash = hash_u64((uint64_t)topics[i]->partitions_n, hash_uuid(topics[i]->id, hash));
	return n && hash == 0 ? 1 : (int64_t)hash;
}

/* Both orders are by topic id, so the places ascend. */
static bool work_member(struct consumer_job *job, int32_t at)
{
	struct assign_member *spec = &job->specs[at];
	const struct part_set *target = &job->members[at].target;
	int32_t *topics = (int32_t *)(uintptr_t)spec->topics, n = 0;
	struct assign_part *owned = arena_try_alloc_n(&job->arena, (size_t)target->n + 1, sizeof(*owned));

	if (!owned)
		return false;
	for (int32_t i = 0; i < spec->topics_n; i++)
		topics[i] = job->topics.v[topics[i]].place;
	qsort(topics, (size_t)spec->topics_n, sizeof(*topics), index_cmp);
	for (int32_t i = 0; i < spec->topics_n; i++) {
		if (n == 0 || topics[n - 1] != topics[i])
			topics[n++] = topics[i];
	}
	spec->topics_n = n;
	for (int32_t i = 0; i < target->n; i++) {
		size_t place = (size_t)(uintptr_t)map_get_uuid(&job->places, target->v[i].topic_id);

		if (place)
			owned[spec->owned_n++] =
				(struct assign_part){job->topics.v[place - 1].place, target->v[i].partition};
	}
	spec->owned = owned;
	return true;
}

static bool work_take(struct consumer_job *job, int32_t at, const struct assign_topic *topics,
		      const struct assign_target *target)
{
	struct job_member *member = &job->members[at];
	struct part_set set = {arena_try_alloc_n(&job->arena, (size_t)target->parts_n + 1, sizeof(*set.v)),
			       target->parts_n};

	if (!set.v)
		return false;
	for (int32_t i = 0; i < set.n; i++)
		set.v[i] = (struct part_id){topics[target->parts[i].topic].id, target->parts[i].partition, -1};
	member->is_changed = !member->is_gone && (!member->has_target || !part_set_eq(member->target, set));
	member->target = set;
	return true;
}

static enum err work_assign(struct consumer_job *job, struct job_topic **order)
{
	struct assign_topic *topics = arena_try_alloc_n(&job->arena, job->topics.n + 1, sizeof(*topics));
	struct assign_spec spec = {topics, (int32_t)job->topics.n, job->specs, job->members_n};
	struct assign_target *targets;
	enum err err;

	if (!topics)
		return ERR_NO_MEMORY;
	qsort(order, job->topics.n, sizeof(*order), topic_id_cmp);
	for (size_t i = 0; i < job->topics.n; i++) {
		topics[i] = (struct assign_topic){order[i]->id, order[i]->partitions_n};
		order[i]->place = (int32_t)i;
	}
	for (int32_t m = 0; m < job->members_n; m++) {
		if (!work_member(job, m))
			return ERR_NO_MEMORY;
	}
	err = job->assign(&spec, &job->arena, &targets);
	for (int32_t m = 0; !err && m < job->members_n; m++) {
		if (!work_take(job, m, topics, &targets[m]))
			err = ERR_NO_MEMORY;
	}
	return err;
}

void consumer_work_run(struct group_work *work)
{
	struct consumer_job *job = container_of(work, struct consumer_job, work);
	struct job_topic **order = arena_try_alloc_n(&job->arena, job->topics.n + 1, sizeof(struct job_topic *));

	if (!order) {
		job->err = ERR_NO_MEMORY;
		return;
	}
	for (size_t i = 0; i < job->topics.n; i++)
		order[i] = &job->topics.v[i];
	job->hash = work_hash(order, job->topics.n);
	if (job->hash == job->known_hash && job->epoch == job->target_epoch)
		return;
	job->err = work_assign(job, order);
	job->has_targets = !job->err;
}
