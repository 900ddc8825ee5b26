/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a classic group: their memory, their sessions, the protocol they choose, the topics they subscribe to. */
#include "group_classic.h"
#include "log.h"
#include "mem.h"

struct classic_member *classic_member_find(const struct group_classic *classic, struct str id)
{
	return map_get_str(&classic->members, id);
}

enum err classic_member_check(const struct group_classic *classic, struct str id, struct str instance_id)
{
	if (instance_id.p) {
		const struct classic_member *member = map_get_str(&classic->statics, instance_id);

		if (!member)
			return ERR_UNKNOWN_MEMBER_ID;
		if (!str_eq(member->id, id))
			return ERR_FENCED_INSTANCE_ID;
	}
	return classic_member_find(classic, id) ? ERR_NONE : ERR_UNKNOWN_MEMBER_ID;
}

struct classic_member *classic_member_new(struct group *group, struct str id, struct str instance_id)
{
	struct classic_member *member = MEM_NEW(struct classic_member);

	member->group = group;
	classic_str_set(&member->id, id);
	classic_str_set(&member->instance_id, instance_id);
	return member;
}

/* ---- who offers which protocol ---- */

struct protocol_count {
	struct str name; /* owned */
	uint32_t members_n;
};

static int64_t protocol_count_bytes(const struct protocol_count *count)
{
	return (int64_t)(sizeof(*count) + count->name.len);
}

static void protocol_count_up(struct group_classic *classic, struct str name)
{
	struct protocol_count *count = map_get_str(&classic->protocol_counts, name);

	if (!count) {
		count = MEM_NEW(struct protocol_count);
		classic_str_set(&count->name, name);
		map_put_str(&classic->protocol_counts, count->name, count);
		group_store_count(classic->group->store, protocol_count_bytes(count));
	}
	count->members_n++;
}

static void protocol_count_down(struct group_classic *classic, struct str name)
{
	struct protocol_count *count = map_get_str(&classic->protocol_counts, name);

	if (--count->members_n > 0)
		return;
	map_remove_str(&classic->protocol_counts, name);
	group_store_count(classic->group->store, -protocol_count_bytes(count));
	mem_free((char *)count->name.p);
	mem_free(count);
}

static void classic_member_count(struct classic_member *member, void (*count)(struct group_classic *classic,
									       struct str name))
{
	for (int32_t i = 0; i < member->protocols_n; i++) {
		/* One that is named twice counts once. */
		if (classic_member_protocol(member, member->protocols[i].name) == &member->protocols[i])
			count(member->group->classic, member->protocols[i].name);
	}
}

bool classic_all_have(const struct group_classic *classic, struct str protocol)
{
	const struct protocol_count *count = map_get_str(&classic->protocol_counts, protocol);

	return (count ? count->members_n : 0) == classic->members.n;
}

static void classic_member_free_protocols(struct classic_member *member)
{
	if (member->is_counted)
		classic_member_count(member, protocol_count_down);
	for (int32_t i = 0; i < member->protocols_n; i++) {
		mem_free((char *)member->protocols[i].name.p);
		mem_free((uint8_t *)member->protocols[i].metadata.p);
	}
	mem_free(member->protocols);
	group_store_count(member->group->store, -(int64_t)member->protocols_len);
	member->group->classic->metadata_len -= member->protocols_len;
	member->protocols = NULL;
	member->protocols_n = 0;
	member->protocols_len = 0;
}

void classic_member_free(struct classic_member *member)
{
	CHECK(!member->join);
	CHECK(!member->sync);
	coord_timer_stop(member->group->store->shard, &member->session);
	classic_member_free_protocols(member);
	mem_free((char *)member->id.p);
	mem_free((char *)member->instance_id.p);
	mem_free((char *)member->client_id.p);
	mem_free((char *)member->client_host.p);
	mem_free((uint8_t *)member->assignment.p);
	mem_free(member);
}

static struct bytes bytes_copy(struct bytes b)
{
	uint8_t *copy = mem_alloc(b.len);

	if (b.len)
		memcpy(copy, b.p, b.len);
	return (struct bytes){copy, b.len};
}

void classic_member_set_protocols(struct classic_member *member, const struct join_group_request_protocols *protocols,
				  int32_t n)
{
	struct classic_protocol *copy = mem_calloc((size_t)n, sizeof(*copy));
	size_t len = sizeof(*member) + member->id.len + member->instance_id.len + member->client_id.len +
		     member->client_host.len;

	for (int32_t i = 0; i < n; i++) {
		classic_str_set(&copy[i].name, protocols[i].name);
		copy[i].metadata = bytes_copy(protocols[i].metadata);
		len += sizeof(*copy) + protocols[i].name.len + protocols[i].metadata.len;
	}
	classic_member_free_protocols(member);
	member->protocols = copy;
	member->protocols_n = n;
	member->protocols_len = len;
	group_store_count(member->group->store, (int64_t)len);
	member->group->classic->metadata_len += len;
	if (member->is_counted)
		classic_member_count(member, protocol_count_up);
}

void classic_member_set_assignment(struct classic_member *member, struct bytes assignment)
{
	struct bytes copy = bytes_copy(assignment);

	mem_free((uint8_t *)member->assignment.p);
	member->assignment = copy;
}

void classic_member_add(struct group_classic *classic, struct classic_member *take_member)
{
	struct classic_member *member = take_member;

	CHECK(!classic_member_find(classic, member->id));
	if (!classic->leader.p)
		classic_str_set(&classic->leader, member->id);
	map_put_str(&classic->members, member->id, member);
	member->is_counted = true;
	classic_member_count(member, protocol_count_up);
	if (member->instance_id.p) {
		CHECK(!map_get_str(&classic->statics, member->instance_id));
		map_put_str(&classic->statics, member->instance_id, member);
	}
	if (member->join)
		classic->awaiting_join_n++;
}

void classic_member_remove(struct group_classic *classic, struct classic_member *member)
{
	bool was_leader = str_eq(classic->leader, member->id);
	uint32_t it = 0;
	struct classic_member *next;

	map_remove_str(&classic->members, member->id);
	if (member->instance_id.p)
		map_remove_str(&classic->statics, member->instance_id);
	if (member->owes_sync)
		classic->owing_sync_n--;
	classic_member_free(member);
	if (!was_leader)
		return;
	next = map_next(&classic->members, &it);
	classic_str_set(&classic->leader, next ? next->id : STR_NULL);
}

static void classic_session_ended(struct coord_timer *timer, void *machine)
{
	struct classic_member *member = container_of(timer, struct classic_member, session);

	/* Who is kept waiting need not show a sign of life; a new member must not wait for ever. */
	if (!member->is_new && (member->join || member->sync))
		return;
	group_log(member->group, "group.member_lost", "member=%.*s session_ms=%d", STR_ARGS(member->id),
		  member->session_timeout_ms);
	classic_member_gone(member->group->classic, member, "a member's session ended");
}

void classic_member_alive(struct classic_member *member)
{
	coord_timer_start(member->group->store->shard, &member->session,
			  member->is_new ? GROUP_NEW_MEMBER_TIMEOUT_MS : member->session_timeout_ms,
			  classic_session_ended);
}

const struct classic_protocol *classic_member_protocol(const struct classic_member *member, struct str name)
{
	for (int32_t i = 0; i < member->protocols_n; i++) {
		if (str_eq(member->protocols[i].name, name))
			return &member->protocols[i];
	}
	return NULL;
}

struct str classic_protocol_choose(const struct group_classic *classic)
{
	struct str candidates[MEMBER_PROTOCOLS_MAX];
	int32_t votes[MEMBER_PROTOCOLS_MAX] = {0};
	const struct classic_member *member;
	uint32_t it = 0;
	int n = 0, best = 0;

	member = map_next(&classic->members, &it);
	for (int32_t i = 0; member && i < member->protocols_n && n < MEMBER_PROTOCOLS_MAX; i++) {
		if (classic_all_have(classic, member->protocols[i].name))
			candidates[n++] = member->protocols[i].name;
	}
	if (n == 0)
		return STR_NULL;
	for (it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		int first = -1;

		for (int32_t i = 0; first < 0 && i < member->protocols_n; i++) {
			for (int c = 0; first < 0 && c < n; c++)
				first = str_eq(candidates[c], member->protocols[i].name) ? c : -1;
		}
		if (first >= 0)
			votes[first]++;
	}
	for (int c = 1; c < n; c++)
		best = votes[c] > votes[best] ? c : best;
	return candidates[best];
}

int32_t classic_rebalance_timeout(const struct group_classic *classic)
{
	const struct classic_member *member;
	int32_t longest = 0;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;)
		longest = MAX(longest, member->rebalance_timeout_ms);
	return longest;
}

void classic_pending_remove(struct group_classic *classic, struct str id)
{
	struct classic_pending *pending = map_remove_str(&classic->pending, id);

	if (!pending)
		return;
	coord_timer_stop(classic->group->store->shard, &pending->timer);
	group_store_count(classic->group->store, -(int64_t)(sizeof(*pending) + pending->id.len));
	mem_free((char *)pending->id.p);
	mem_free(pending);
}

/* ---- topics ---- */

void classic_topics_clear(struct group_classic *classic)
{
	char *name;

	for (uint32_t it = 0; (name = map_next(&classic->topics, &it)) != NULL;)
		mem_free(name);
	map_deinit(&classic->topics);
	map_init(&classic->topics, MAP_STR, classic->group->store->seed);
}

enum err classic_subscription_read(struct bytes in, struct arena *arena, struct consumer_protocol_subscription *ret,
				   int16_t *ret_version)
{
	const struct msg_type *type = &consumer_protocol_subscription_type;
	int16_t version;

	if (in.len < 2)
		return ERR_DECODE;
	/* A newer version begins like the newest we know. */
	version = (int16_t)load_be16(in.p);
	if (version > type->version_max)
		version = type->version_max;
	*ret_version = version;
	return version < 0 ? ERR_DECODE :
			     codec_decode(type, version, (struct bytes){in.p + 2, in.len - 2}, arena, ret, NULL, NULL);
}

/* False: the metadata is not what consumers write. */
static bool classic_topics_add(struct group_classic *classic, struct bytes metadata, struct arena *arena)
{
	struct consumer_protocol_subscription subscription;
	int16_t version;

	if (classic_subscription_read(metadata, arena, &subscription, &version))
		return false;
	for (int32_t i = 0; i < subscription.topics_n; i++) {
		struct str topic = subscription.topics[i];
		char *copy;

		if (map_get_str(&classic->topics, topic))
			continue;
		copy = mem_strdup_n(topic.p, topic.len);
		map_put_str(&classic->topics, (struct str){copy, topic.len}, copy);
	}
	return true;
}

void classic_topics_update(struct group_classic *classic)
{
	const struct classic_member *member;
	struct arena arena = {0};

	classic_topics_clear(classic);
	classic->has_topics = str_eq(classic->protocol_type, PROTOCOL_TYPE_CONSUMER) &&
			      (classic->members.n == 0 || classic->protocol.p);
	for (uint32_t it = 0; classic->has_topics && (member = map_next(&classic->members, &it)) != NULL;) {
		const struct classic_protocol *protocol = classic_member_protocol(member, classic->protocol);

		classic->has_topics = protocol && classic_topics_add(classic, protocol->metadata, &arena);
	}
	arena_reset(&arena);
}
