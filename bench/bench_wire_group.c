/* SPDX-License-Identifier: Apache-2.0 */

/* See bench_wire_group.h. */

#include "bench_wire_group.h"

#include <stdio.h>
#include <string.h>

enum {
	FIND_COORDINATOR_VERSION = 4,
	JOIN_GROUP_VERSION = 9,
	SYNC_GROUP_VERSION = 5,
	HEARTBEAT_VERSION = 4,
	LEAVE_GROUP_VERSION = 5,
	CONSUMER_GROUP_HEARTBEAT_VERSION = 1,
	OFFSET_COMMIT_VERSION = 9,
	OFFSET_FETCH_VERSION = 9,
	SESSION_TIMEOUT_MS = 45000,
	REBALANCE_TIMEOUT_MS = 300000,
};

#define PROTOCOL_TYPE "consumer"
#define PROTOCOL_NAME "range"

static void put_null(struct wbuf *w)
{
	wbuf_i8(w, 0);
}

static void skip_compact(struct rbuf *r)
{
	uint64_t n = rbuf_uvarint(r);
	if (n > 1)
		rbuf_bytes(r, n - 1);
}

/* What every answer begins with: correlation id and tags. */
static void head_skip(struct rbuf *r)
{
	rbuf_i32(r);
	rbuf_tags(r);
}

void wire_find_group(struct wbuf *w, const char *group)
{
	size_t start = wire_request_begin(w, WIRE_FIND_COORDINATOR, FIND_COORDINATOR_VERSION, 10);
	wbuf_i8(w, 0);
	wbuf_uvarint(w, 2);
	wbuf_compact_str(w, group);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

bool wire_find_group_parse(struct rbuf r, int16_t *ret_error)
{
	head_skip(&r);
	rbuf_i32(&r);
	if (rbuf_uvarint(&r) != 2)
		return false;
	skip_compact(&r);
	rbuf_i32(&r);
	skip_compact(&r);
	rbuf_i32(&r);
	int16_t error = rbuf_i16(&r);
	if (r.bad)
		return false;
	*ret_error = error;
	return true;
}

/* ---- classic members ---- */

/* As consumers write it, version 1: one topic, no user data, nothing owned. */
static void put_subscription(struct wbuf *w, const char *topic)
{
	size_t topic_len = strlen(topic);
	wbuf_uvarint(w, 2 + 4 + 2 + topic_len + 4 + 4 + 1);
	wbuf_i16(w, 1);
	wbuf_i32(w, 1);
	wbuf_i16(w, (int16_t)topic_len);
	wbuf_bytes(w, topic, topic_len);
	wbuf_i32(w, -1);
	wbuf_i32(w, 0);
}

static void put_assignment(struct wbuf *w, const char *topic, int32_t partition)
{
	size_t topic_len = strlen(topic);
	wbuf_uvarint(w, 2 + 4 + 2 + topic_len + 4 + 4 + 4 + 1);
	wbuf_i16(w, 1);
	wbuf_i32(w, 1);
	wbuf_i16(w, (int16_t)topic_len);
	wbuf_bytes(w, topic, topic_len);
	wbuf_i32(w, 1);
	wbuf_i32(w, partition);
	wbuf_i32(w, -1);
}

void wire_join_group(struct wbuf *w, const char *group, const char *member_id, const char *topic)
{
	size_t start = wire_request_begin(w, WIRE_JOIN_GROUP, JOIN_GROUP_VERSION, 11);
	wbuf_compact_str(w, group);
	wbuf_i32(w, SESSION_TIMEOUT_MS);
	wbuf_i32(w, REBALANCE_TIMEOUT_MS);
	wbuf_compact_str(w, member_id);
	put_null(w);
	wbuf_compact_str(w, PROTOCOL_TYPE);
	wbuf_uvarint(w, 2);
	wbuf_compact_str(w, PROTOCOL_NAME);
	put_subscription(w, topic);
	wbuf_i8(w, 0);
	put_null(w);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

bool wire_join_group_parse(struct rbuf r, struct wire_joined *ret)
{
	struct wire_joined joined = { 0 };
	head_skip(&r);
	rbuf_i32(&r);
	joined.error = rbuf_i16(&r);
	joined.generation = rbuf_i32(&r);
	skip_compact(&r);
	skip_compact(&r);
	rbuf_compact_str(&r, joined.leader, sizeof(joined.leader));
	rbuf_i8(&r);
	rbuf_compact_str(&r, joined.member_id, sizeof(joined.member_id));
	uint64_t n = rbuf_uvarint(&r);
	if (r.bad || n == 0 || n > 1000000)
		return false;
	joined.members_n = (int32_t)(n - 1);
	joined.members = r;
	*ret = joined;
	return true;
}

bool wire_joined_next(struct wire_joined *joined, char ret_id[WIRE_MEMBER_ID_CAP])
{
	struct rbuf *r = &joined->members;
	if (joined->members_n == 0)
		return false;
	joined->members_n--;
	rbuf_compact_str(r, ret_id, WIRE_MEMBER_ID_CAP);
	skip_compact(r);
	skip_compact(r);
	rbuf_tags(r);
	return !r->bad;
}

void wire_sync_group(struct wbuf *w, const char *group, const struct wire_joined *joined, const char *topic)
{
	size_t start = wire_request_begin(w, WIRE_SYNC_GROUP, SYNC_GROUP_VERSION, 14);
	wbuf_compact_str(w, group);
	wbuf_i32(w, joined->generation);
	wbuf_compact_str(w, joined->member_id);
	put_null(w);
	wbuf_compact_str(w, PROTOCOL_TYPE);
	wbuf_compact_str(w, PROTOCOL_NAME);
	wbuf_uvarint(w, (uint64_t)joined->members_n + 1);
	struct wire_joined left = *joined;
	char id[WIRE_MEMBER_ID_CAP];
	for (int32_t i = 0; wire_joined_next(&left, id); i++) {
		wbuf_compact_str(w, id);
		put_assignment(w, topic, i);
		wbuf_i8(w, 0);
	}
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

bool wire_sync_group_parse(struct rbuf r, int16_t *ret_error, size_t *ret_assignment_len)
{
	head_skip(&r);
	rbuf_i32(&r);
	int16_t error = rbuf_i16(&r);
	skip_compact(&r);
	skip_compact(&r);
	uint64_t n = rbuf_uvarint(&r);
	if (r.bad)
		return false;
	*ret_error = error;
	*ret_assignment_len = n > 0 ? (size_t)(n - 1) : 0;
	return true;
}

void wire_heartbeat(struct wbuf *w, const char *group, int32_t generation, const char *member_id)
{
	size_t start = wire_request_begin(w, WIRE_HEARTBEAT, HEARTBEAT_VERSION, 12);
	wbuf_compact_str(w, group);
	wbuf_i32(w, generation);
	wbuf_compact_str(w, member_id);
	put_null(w);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

static bool error_parse(struct rbuf r, int16_t *ret_error)
{
	head_skip(&r);
	rbuf_i32(&r);
	int16_t error = rbuf_i16(&r);
	if (r.bad)
		return false;
	*ret_error = error;
	return true;
}

bool wire_heartbeat_parse(struct rbuf r, int16_t *ret_error)
{
	return error_parse(r, ret_error);
}

void wire_leave_group(struct wbuf *w, const char *group, const char *ids, int32_t members_n)
{
	size_t start = wire_request_begin(w, WIRE_LEAVE_GROUP, LEAVE_GROUP_VERSION, 13);
	wbuf_compact_str(w, group);
	wbuf_uvarint(w, (uint64_t)members_n + 1);
	for (int32_t i = 0; i < members_n; i++) {
		wbuf_compact_str(w, ids + (size_t)i * WIRE_MEMBER_ID_CAP);
		put_null(w);
		put_null(w);
		wbuf_i8(w, 0);
	}
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

bool wire_leave_group_parse(struct rbuf r, int16_t *ret_error)
{
	return error_parse(r, ret_error);
}

/* ---- members of the consumer protocol ---- */

void wire_beat(struct wbuf *w, const struct wire_beat *beat)
{
	size_t start = wire_request_begin(w, WIRE_CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_HEARTBEAT_VERSION, 68);
	wbuf_compact_str(w, beat->group);
	wbuf_compact_str(w, beat->member_id);
	wbuf_i32(w, beat->epoch);
	put_null(w);
	put_null(w);
	wbuf_i32(w, beat->topics != NULL ? REBALANCE_TIMEOUT_MS : -1);
	if (beat->topics != NULL) {
		wbuf_uvarint(w, (uint64_t)beat->topics_n + 1);
		for (int32_t i = 0; i < beat->topics_n; i++)
			wbuf_compact_str(w, beat->topics[i]);
	} else {
		put_null(w);
	}
	put_null(w);
	put_null(w);
	if (beat->owned == NULL)
		put_null(w);
	else if (beat->owned->len == 0)
		wbuf_uvarint(w, 1);
	else
		wbuf_bytes(w, beat->owned->p, beat->owned->len);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

bool wire_beat_parse(struct rbuf r, struct wire_beaten *ret)
{
	struct wire_beaten beaten = { 0 };
	head_skip(&r);
	rbuf_i32(&r);
	beaten.error = rbuf_i16(&r);
	skip_compact(&r);
	skip_compact(&r);
	beaten.epoch = rbuf_i32(&r);
	beaten.interval_ms = rbuf_i32(&r);
	beaten.is_assigned = rbuf_i8(&r) >= 0;
	beaten.owned.p = r.p;
	uint64_t topics_n = beaten.is_assigned ? rbuf_uvarint(&r) : 0;
	for (uint64_t i = 1; i < topics_n && !r.bad; i++) {
		rbuf_bytes(&r, 16);
		uint64_t n = rbuf_uvarint(&r);
		for (uint64_t p = 1; p < n && !r.bad; p++) {
			rbuf_i32(&r);
			beaten.partitions_n++;
		}
		rbuf_tags(&r);
	}
	beaten.owned.end = r.p;
	if (r.bad)
		return false;
	*ret = beaten;
	return true;
}

/* ---- offsets ---- */

void wire_offset_commit(struct wbuf *w, const struct wire_commit *commit, size_t *ret_offset_at)
{
	size_t start = wire_request_begin(w, WIRE_OFFSET_COMMIT, OFFSET_COMMIT_VERSION, 8);
	int64_t offset = commit->offset;
	char topic[64];
	wbuf_compact_str(w, commit->group);
	wbuf_i32(w, -1);
	wbuf_compact_str(w, "");
	put_null(w);
	wbuf_uvarint(w, (uint64_t)commit->topics_n + 1);
	for (int32_t t = 0; t < commit->topics_n; t++) {
		snprintf(topic, sizeof(topic), "%s-%d", commit->topic_prefix, commit->topic_first + t);
		wbuf_compact_str(w, topic);
		wbuf_uvarint(w, (uint64_t)commit->partitions_n + 1);
		for (int32_t p = 0; p < commit->partitions_n; p++) {
			wbuf_i32(w, commit->partition_first + p);
			if (ret_offset_at != NULL && t == 0 && p == 0)
				*ret_offset_at = w->len;
			wbuf_i64(w, offset++);
			wbuf_i32(w, -1);
			wbuf_compact_str(w, "");
			wbuf_i8(w, 0);
		}
		wbuf_i8(w, 0);
	}
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

bool wire_offset_commit_parse(struct rbuf r, int16_t *ret_error, int32_t *ret_partitions_n)
{
	int16_t first = 0;
	int32_t partitions_n = 0;
	head_skip(&r);
	rbuf_i32(&r);
	uint64_t topics_n = rbuf_uvarint(&r);
	for (uint64_t t = 1; t < topics_n && !r.bad; t++) {
		skip_compact(&r);
		uint64_t n = rbuf_uvarint(&r);
		for (uint64_t p = 1; p < n && !r.bad; p++) {
			rbuf_i32(&r);
			int16_t error = rbuf_i16(&r);
			first = first != 0 ? first : error;
			rbuf_tags(&r);
			partitions_n++;
		}
		rbuf_tags(&r);
	}
	if (r.bad)
		return false;
	*ret_error = first;
	*ret_partitions_n = partitions_n;
	return true;
}

void wire_offset_fetch(struct wbuf *w, const char *group_prefix, int32_t first, int32_t groups_n, const char *topic,
		       int32_t partition)
{
	size_t start = wire_request_begin(w, WIRE_OFFSET_FETCH, OFFSET_FETCH_VERSION, 9);
	char group[64];
	wbuf_uvarint(w, (uint64_t)groups_n + 1);
	for (int32_t g = 0; g < groups_n; g++) {
		snprintf(group, sizeof(group), "%s-%d", group_prefix, first + g);
		wbuf_compact_str(w, first < 0 ? group_prefix : group);
		put_null(w);
		wbuf_i32(w, -1);
		if (partition >= 0) {
			wbuf_uvarint(w, 2);
			wbuf_compact_str(w, topic);
			wbuf_uvarint(w, 2);
			wbuf_i32(w, partition);
			wbuf_i8(w, 0);
		} else {
			put_null(w);
		}
		wbuf_i8(w, 0);
	}
	wbuf_i8(w, 0);
	wbuf_i8(w, 0);
	wire_frame_end(w, start);
}

static void offset_partitions(struct rbuf *r, struct wire_offsets *offsets)
{
	uint64_t n = rbuf_uvarint(r);
	for (uint64_t p = 1; p < n && !r->bad; p++) {
		rbuf_i32(r);
		int64_t offset = rbuf_i64(r);
		rbuf_i32(r);
		skip_compact(r);
		int16_t error = rbuf_i16(r);
		rbuf_tags(r);
		offsets->error = offsets->error != 0 ? offsets->error : error;
		offsets->offsets_n += offset >= 0;
		offsets->sum += offset >= 0 ? offset : 0;
	}
}

bool wire_offset_fetch_parse(struct rbuf r, struct wire_offsets *ret)
{
	struct wire_offsets offsets = { 0 };
	head_skip(&r);
	rbuf_i32(&r);
	uint64_t groups_n = rbuf_uvarint(&r);
	for (uint64_t g = 1; g < groups_n && !r.bad; g++) {
		skip_compact(&r);
		uint64_t topics_n = rbuf_uvarint(&r);
		for (uint64_t t = 1; t < topics_n && !r.bad; t++) {
			skip_compact(&r);
			offset_partitions(&r, &offsets);
			rbuf_tags(&r);
		}
		int16_t error = rbuf_i16(&r);
		offsets.error = offsets.error != 0 ? offsets.error : error;
		rbuf_tags(&r);
	}
	if (r.bad)
		return false;
	*ret = offsets;
	return true;
}
