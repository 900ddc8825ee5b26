/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file quorum-state: one line of JSON of one fixed shape in two versions, read and written by hand. Reading takes
 * the fields in any order, with white space, and passes over unknown ones that are simple; it refuses everything else.
 */
#include <inttypes.h>

#include "raft.h"

#define VOTERS_MAX 10000

enum field {
	FIELD_CLUSTER_ID,
	FIELD_LEADER_ID,
	FIELD_LEADER_EPOCH,
	FIELD_VOTED_ID,
	FIELD_VOTED_DIRECTORY_ID,
	FIELD_APPLIED_OFFSET,
	FIELD_CURRENT_VOTERS,
	FIELD_DATA_VERSION,
	FIELD_N,
};

static const char *const field_names[FIELD_N] = {
	[FIELD_CLUSTER_ID] = "clusterId",
	[FIELD_LEADER_ID] = "leaderId",
	[FIELD_LEADER_EPOCH] = "leaderEpoch",
	[FIELD_VOTED_ID] = "votedId",
	[FIELD_VOTED_DIRECTORY_ID] = "votedDirectoryId",
	[FIELD_APPLIED_OFFSET] = "appliedOffset",
	[FIELD_CURRENT_VOTERS] = "currentVoters",
	[FIELD_DATA_VERSION] = "data_version",
};

#define FIELDS_BOTH \
	(1u << FIELD_LEADER_ID | 1u << FIELD_LEADER_EPOCH | 1u << FIELD_VOTED_ID | 1u << FIELD_DATA_VERSION)

/* What a file of each version must have. */
static const unsigned fields_needed[] = {
	FIELDS_BOTH | 1u << FIELD_CLUSTER_ID | 1u << FIELD_APPLIED_OFFSET | 1u << FIELD_CURRENT_VOTERS,
	FIELDS_BOTH | 1u << FIELD_VOTED_DIRECTORY_ID,
};

/* A place in the text. The functions below that return false leave it anywhere: the file is refused. */
struct json {
	const char *p;
	const char *end;
};

static void json_space(struct json *json)
{
	while (json->p < json->end && (*json->p == ' ' || *json->p == '\t' || *json->p == '\n' || *json->p == '\r'))
		json->p++;
}

/* Passes over `c` with the space around it. */
static bool json_take(struct json *json, char c)
{
	json_space(json);
	if (json->p == json->end || *json->p != c)
		return false;
	json->p++;
	json_space(json);
	return true;
}

/* A string without escapes: none of the values needs them. */
static bool json_string(struct json *json, struct str *ret)
{
	const char *start;

	json_space(json);
	if (json->p == json->end || *json->p != '"')
		return false;
	start = ++json->p;
	while (json->p < json->end && *json->p != '"') {
		if (*json->p == '\\' || (unsigned char)*json->p < 0x20)
			return false;
		json->p++;
	}
	if (json->p == json->end)
		return false;
	*ret = (struct str){start, (size_t)(json->p - start)};
	json->p++;
	return true;
}

/* Letters, digits and signs: a number, null, true or false. */
static struct str json_word(struct json *json)
{
	const char *start;

	json_space(json);
	start = json->p;
	while (json->p < json->end &&
	       ((*json->p >= '0' && *json->p <= '9') || (*json->p >= 'a' && *json->p <= 'z') || *json->p == 'E' ||
		*json->p == '-' || *json->p == '+' || *json->p == '.'))
		json->p++;
	return (struct str){start, (size_t)(json->p - start)};
}

static bool json_i32(struct json *json, int32_t *ret)
{
	return parse_i32(json_word(json), ret) == ERR_NONE;
}

static bool json_skip_simple(struct json *json)
{
	struct str text;

	json_space(json);
	if (json->p < json->end && *json->p == '"')
		return json_string(json, &text);
	return json_word(json).len > 0;
}

/* {"voterId":1} */
static bool quorum_voter_parse(struct json *json, int32_t *ret)
{
	struct str name;
	bool found = false;

	if (!json_take(json, '{'))
		return false;
	do {
		if (!json_string(json, &name) || !json_take(json, ':'))
			return false;
		if (!str_eq_c(name, "voterId")) {
			if (!json_skip_simple(json))
				return false;
		} else if (!json_i32(json, ret)) {
			return false;
		} else {
			found = true;
		}
	} while (json_take(json, ','));
	return found && json_take(json, '}');
}

static bool quorum_voters_parse(struct json *json, struct quorum_state *state)
{
	state->current_voters.n = 0;
	if (!json_take(json, '['))
		return str_eq_c(json_word(json), "null");
	if (json_take(json, ']'))
		return true;
	do {
		int32_t id;

		if (state->current_voters.n == VOTERS_MAX || !quorum_voter_parse(json, &id))
			return false;
		vec_push(&state->current_voters, id);
	} while (json_take(json, ','));
	return json_take(json, ']');
}

static bool quorum_field_parse(struct json *json, enum field field, struct quorum_state *state)
{
	struct str text;
	int64_t number;

	switch (field) {
	case FIELD_CLUSTER_ID:
		return json_string(json, &state->cluster_id);
	case FIELD_LEADER_ID:
		return json_i32(json, &state->leader_id);
	case FIELD_LEADER_EPOCH:
		return json_i32(json, &state->leader_epoch);
	case FIELD_VOTED_ID:
		return json_i32(json, &state->voted_id);
	case FIELD_VOTED_DIRECTORY_ID:
		return json_string(json, &text) && uuid_parse(text, &state->voted_directory_id) == ERR_NONE;
	case FIELD_APPLIED_OFFSET:
		return parse_i64(json_word(json), &number) == ERR_NONE;
	case FIELD_CURRENT_VOTERS:
		return quorum_voters_parse(json, state);
	case FIELD_DATA_VERSION:
		return json_i32(json, &state->data_version);
	case FIELD_N:
	default:
		return json_skip_simple(json);
	}
}

static enum field field_of(struct str name)
{
	for (int i = 0; i < FIELD_N; i++)
		if (str_eq_c(name, field_names[i]))
			return (enum field)i;
	return FIELD_N;
}

/* Collects the fields seen in *seen. */
static bool quorum_object_parse(struct json *json, struct quorum_state *state, unsigned *seen)
{
	if (!json_take(json, '{'))
		return false;
	do {
		struct str name;
		enum field field;

		if (!json_string(json, &name) || !json_take(json, ':'))
			return false;
		field = field_of(name);
		if (!quorum_field_parse(json, field, state))
			return false;
		*seen |= 1u << field;
	} while (json_take(json, ','));
	return json_take(json, '}') && json->p == json->end;
}

static bool quorum_state_is_sound(const struct quorum_state *state, unsigned seen)
{
	unsigned needed;

	if (state->data_version < 0 || state->data_version >= (int)ARRAY_N(fields_needed))
		return false;
	needed = fields_needed[state->data_version];
	return (seen & needed) == needed && state->leader_epoch >= 0 && state->leader_id >= -1 && state->voted_id >= -1;
}

void quorum_state_deinit(struct quorum_state *state)
{
	vec_deinit(&state->current_voters);
}

enum err quorum_state_parse(struct bytes text, struct quorum_state *ret, struct arena *arena)
{
	struct quorum_state state = {.data_version = -1, .leader_id = -1, .leader_epoch = -1, .voted_id = -1};
	struct json json = {(const char *)text.p, (const char *)text.p + text.len};
	unsigned seen = 0;

	if (text.len == 0)
		return ERR_CORRUPT_FILE;
	if (!quorum_object_parse(&json, &state, &seen) || !quorum_state_is_sound(&state, seen)) {
		quorum_state_deinit(&state);
		return ERR_CORRUPT_FILE;
	}
	state.cluster_id = arena_str(arena, state.cluster_id);
	*ret = state;
	return ERR_NONE;
}

struct bytes quorum_state_encode(const struct quorum_state *state, struct arena *arena)
{
	size_t cap = 256 + state->cluster_id.len + 32 * state->current_voters.n;
	char id[UUID_TEXT_LEN + 1];
	struct fmt f;

	fmt_init(&f, arena_alloc(arena, cap), cap);
	fmt_add(&f, "{");
	if (state->data_version == 0)
		fmt_add(&f, "\"clusterId\":\"%.*s\",", STR_ARGS(state->cluster_id));
	fmt_add(&f, "\"leaderId\":%" PRId32 ",\"leaderEpoch\":%" PRId32 ",\"votedId\":%" PRId32 ",", state->leader_id,
		state->leader_epoch, state->voted_id);
	if (state->data_version == 0) {
		fmt_add(&f, "\"appliedOffset\":0,\"currentVoters\":[");
		for (size_t i = 0; i < state->current_voters.n; i++)
			fmt_add(&f, "%s{\"voterId\":%" PRId32 "}", i > 0 ? "," : "", state->current_voters.v[i]);
		fmt_add(&f, "],");
	} else {
		uuid_format(state->voted_directory_id, id);
		fmt_add(&f, "\"votedDirectoryId\":\"%s\",", id);
	}
	fmt_add(&f, "\"data_version\":%d}", state->data_version);
	CHECK(!f.cut);
	return (struct bytes){(const uint8_t *)f.p, f.len};
}
