/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "uniform" assignor: owners keep what they may keep, the rest is shared out evenly.
 *
 * With equal subscriptions everybody has a quota: who owns more gives up the excess, who owns less takes it, and no
 * assignment as even moves fewer. With different ones partitions without owner go, topic by topic, to the subscriber
 * with the least; then partitions move from the subscriber with the most to the one with the least until nothing is
 * gained. Topics whose subscribers get the most each come first, as they leave the least choice. Each pass about halves
 * what is uneven, and their number is limited.
 */
#include <stdlib.h>

#include "assign_owners.h"
#include "heap.h"

#define UNIFORM_PASSES_MAX 16

struct uniform {
	const struct assign_spec *spec;
	struct assign_owners owners;
	int32_t *topics;	/* subscribed ones, in the order of uniform_topic_cmp */
	int32_t topics_n;
	struct heap_node *few;	/* per member: its place among those with the least */
	struct heap_node *many; /* per member: and among those with the most that own some of the topic */
	int32_t *held;		/* per member: the last partition of the topic it owns, or ASSIGN_NOBODY */
	int32_t *below;		/* per partition: the one before, of the same owner */
};

struct uniform_topic {
	int32_t topic;
	int32_t partitions_n, subscribers_n;
};

/* More partitions per subscriber first, then fewer subscribers, then by place. */
static int uniform_topic_cmp(const void *a, const void *b)
{
	const struct uniform_topic *x = a, *y = b;
	int64_t left = (int64_t)y->partitions_n * x->subscribers_n;
	int64_t right = (int64_t)x->partitions_n * y->subscribers_n;

	if (left != right)
		return left < right ? -1 : 1;
	if (x->subscribers_n != y->subscribers_n)
		return x->subscribers_n < y->subscribers_n ? -1 : 1;
	return x->topic < y->topic ? -1 : x->topic > y->topic;
}

static enum err uniform_order_topics(struct uniform *u, struct arena *arena)
{
	const struct assign_spec *spec = u->spec;
	struct uniform_topic *order = arena_try_alloc_n(arena, (size_t)spec->topics_n + 1, sizeof(*order));

	u->topics = arena_try_alloc_n(arena, (size_t)spec->topics_n + 1, sizeof(*u->topics));
	if (!order || !u->topics)
		return ERR_NO_MEMORY;
	for (int32_t t = 0; t < spec->topics_n; t++) {
		int32_t subscribers_n = u->owners.subscriber_from[t + 1] - u->owners.subscriber_from[t];

		if (subscribers_n)
			order[u->topics_n++] =
				(struct uniform_topic){t, spec->topics[t].partitions_n, subscribers_n};
	}
	qsort(order, (size_t)u->topics_n, sizeof(*order), uniform_topic_cmp);
	for (int32_t i = 0; i < u->topics_n; i++)
		u->topics[i] = order[i].topic;
	return ERR_NONE;
}

static enum err uniform_init(struct uniform *u, const struct assign_spec *spec, struct arena *arena)
{
	enum err err;

	*u = (struct uniform){.spec = spec};
	err = assign_owners_init(&u->owners, spec, arena);
	if (err)
		return err;
	u->few = arena_try_alloc_n(arena, (size_t)spec->members_n + 1, sizeof(*u->few));
	u->many = arena_try_alloc_n(arena, (size_t)spec->members_n + 1, sizeof(*u->many));
	u->held = arena_try_alloc_n(arena, (size_t)spec->members_n + 1, sizeof(*u->held));
	u->below = arena_try_alloc_n(arena, (size_t)u->owners.first[spec->topics_n] + 1, sizeof(*u->below));
	if (!u->few || !u->many || !u->held || !u->below)
		return ERR_NO_MEMORY;
	return uniform_order_topics(u, arena);
}

/* Both lists ascend by topic. */
static void uniform_keep_owned(struct uniform *u, int32_t member)
{
	const struct assign_member *m = &u->spec->members[member];
	int32_t at = 0;

	for (int32_t i = 0; i < m->owned_n; i++) {
		struct assign_part part = m->owned[i];
		int32_t place;

		while (at < m->topics_n && m->topics[at] < part.topic)
			at++;
		if (at == m->topics_n || m->topics[at] != part.topic || part.partition < 0 ||
		    part.partition >= u->spec->topics[part.topic].partitions_n)
			continue;
		place = u->owners.first[part.topic] + part.partition;
		if (u->owners.owner[place] == ASSIGN_NOBODY)
			assign_owners_set(&u->owners, place, member);
	}
}

static void uniform_push_few(struct uniform *u, struct heap *heap, int32_t member)
{
	/* The index in the low half breaks ties, so that the order of pushing does not matter. */
	heap_push(heap, &u->few[member], ((int64_t)u->owners.owned_n[member] << 32) | member);
}

static void uniform_push_many(struct uniform *u, struct heap *heap, int32_t member)
{
	heap_push(heap, &u->many[member], -(((int64_t)u->owners.owned_n[member] << 32) | member));
}

static void uniform_push_subscribers(struct uniform *u, struct heap *heap, int32_t topic)
{
	for (int32_t i = u->owners.subscriber_from[topic]; i < u->owners.subscriber_from[topic + 1]; i++)
		uniform_push_few(u, heap, u->owners.subscribers[i]);
}

static void uniform_clear(struct heap *heap)
{
	while (heap_pop(heap))
		;
}

/* What nobody owns goes to the subscriber with the least. */
static void uniform_fill(struct uniform *u, struct heap *heap, int32_t topic)
{
	bool is_filled = false;

	for (int32_t place = u->owners.first[topic]; place < u->owners.first[topic + 1]; place++) {
		int32_t member;

		if (u->owners.owner[place] != ASSIGN_NOBODY)
			continue;
		if (!is_filled)
			uniform_push_subscribers(u, heap, topic);
		is_filled = true;
		member = (int32_t)(heap_pop(heap) - u->few);
		assign_owners_set(&u->owners, place, member);
		uniform_push_few(u, heap, member);
	}
	uniform_clear(heap);
}

/* Can a partition of the topic move to a subscriber with at least two fewer? */
static bool uniform_is_uneven(const struct uniform *u, int32_t topic)
{
	int32_t least = INT32_MAX, most = 0;

	for (int32_t i = u->owners.subscriber_from[topic]; i < u->owners.subscriber_from[topic + 1]; i++)
		least = MIN(least, u->owners.owned_n[u->owners.subscribers[i]]);
	for (int32_t place = u->owners.first[topic]; place < u->owners.first[topic + 1]; place++)
		most = MAX(most, u->owners.owned_n[u->owners.owner[place]]);
	return most > least + 1;
}

/* Chains the partitions of each owner; owners of some go into `many`. */
static void uniform_chain_owners(struct uniform *u, struct heap *many, int32_t topic)
{
	for (int32_t i = u->owners.subscriber_from[topic]; i < u->owners.subscriber_from[topic + 1]; i++)
		u->held[u->owners.subscribers[i]] = ASSIGN_NOBODY;
	for (int32_t place = u->owners.first[topic]; place < u->owners.first[topic + 1]; place++) {
		int32_t member = u->owners.owner[place];

		if (u->held[member] == ASSIGN_NOBODY)
			uniform_push_many(u, many, member);
		u->below[place] = u->held[member];
		u->held[member] = place;
	}
}

static void uniform_balance_topic(struct uniform *u, struct heap *few, struct heap *many, int32_t topic)
{
	uniform_push_subscribers(u, few, topic);
	uniform_chain_owners(u, many, topic);
	for (;;) {
		int32_t from = (int32_t)(heap_peek(many) - u->many), to = (int32_t)(heap_peek(few) - u->few);
		int32_t place = u->held[from];

		if (u->owners.owned_n[from] <= u->owners.owned_n[to] + 1)
			break;
		heap_remove(many, &u->many[from]);
		heap_remove(many, &u->many[to]);
		heap_remove(few, &u->few[from]);
		heap_remove(few, &u->few[to]);
		u->held[from] = u->below[place];
		u->below[place] = u->held[to];
		u->held[to] = place;
		assign_owners_set(&u->owners, place, to);
		uniform_push_few(u, few, from);
		uniform_push_few(u, few, to);
		uniform_push_many(u, many, to);
		if (u->held[from] != ASSIGN_NOBODY)
			uniform_push_many(u, many, from);
	}
	uniform_clear(few);
	uniform_clear(many);
}

static void uniform_balance(struct uniform *u, struct heap *few, struct heap *many)
{
	bool moved = true;

	for (int pass = 0; moved && pass < UNIFORM_PASSES_MAX; pass++) {
		moved = false;
		for (int32_t i = 0; i < u->topics_n; i++) {
			if (!uniform_is_uneven(u, u->topics[i]))
				continue;
			uniform_balance_topic(u, few, many, u->topics[i]);
			moved = true;
		}
	}
}

static bool uniform_is_same_for_all(const struct assign_spec *spec)
{
	const struct assign_member *first = spec->members;

	for (int32_t m = 1; m < spec->members_n; m++) {
		const struct assign_member *member = &spec->members[m];

		if (member->topics_n != first->topics_n)
			return false;
		for (int32_t i = 0; i < first->topics_n; i++) {
			if (member->topics[i] != first->topics[i])
				return false;
		}
	}
	return true;
}

/* The members that may have one more than the others are, as far as possible, those that have it already. */
static void uniform_set_quotas(const struct uniform *u, int32_t *quota)
{
	int32_t partitions_n = 0, members_n = u->spec->members_n, least, extra;

	for (int32_t i = 0; i < u->topics_n; i++)
		partitions_n += u->spec->topics[u->topics[i]].partitions_n;
	least = partitions_n / members_n;
	extra = partitions_n % members_n;
	for (int32_t m = 0; m < members_n; m++) {
		quota[m] = least + (extra > 0 && u->owners.owned_n[m] > least);
		extra -= quota[m] > least;
	}
	for (int32_t m = 0; extra > 0; m++) {
		extra -= quota[m] == least;
		quota[m] = least + 1;
	}
}

static enum err uniform_even_out(struct uniform *u, struct arena *arena)
{
	int32_t *quota = arena_try_alloc_n(arena, (size_t)u->spec->members_n, sizeof(*quota));
	int32_t member = 0;

	if (!quota)
		return ERR_NO_MEMORY;
	uniform_set_quotas(u, quota);
	for (int32_t i = u->topics_n; i-- > 0;) {
		for (int32_t place = u->owners.first[u->topics[i] + 1]; place-- > u->owners.first[u->topics[i]];) {
			int32_t owner = u->owners.owner[place];

			if (owner == ASSIGN_NOBODY || u->owners.owned_n[owner] <= quota[owner])
				continue;
			u->owners.owned_n[owner]--;
			u->owners.owner[place] = ASSIGN_NOBODY;
		}
	}
	for (int32_t i = 0; i < u->topics_n; i++) {
		int32_t end = u->owners.first[u->topics[i] + 1];

		for (int32_t place = u->owners.first[u->topics[i]]; place < end; place++) {
			if (u->owners.owner[place] != ASSIGN_NOBODY)
				continue;
			while (u->owners.owned_n[member] == quota[member])
				member++;
			assign_owners_set(&u->owners, place, member);
		}
	}
	return ERR_NONE;
}

static void uniform_by_topic(struct uniform *u)
{
	struct heap few = {0}, many = {0};

	for (int32_t i = 0; i < u->topics_n; i++)
		uniform_fill(u, &few, u->topics[i]);
	uniform_balance(u, &few, &many);
	heap_deinit(&few);
	heap_deinit(&many);
}

enum err assign_uniform(const struct assign_spec *spec, struct arena *arena, struct assign_target **ret)
{
	struct uniform u;
	enum err err = uniform_init(&u, spec, arena);

	if (err)
		return err;
	for (int32_t m = 0; m < spec->members_n; m++)
		uniform_keep_owned(&u, m);
	if (spec->members_n > 0 && uniform_is_same_for_all(spec))
		err = uniform_even_out(&u, arena);
	else
		uniform_by_topic(&u);
	if (err)
		return err;
	return assign_owners_targets(&u.owners, arena, ret);
}
