/* SPDX-License-Identifier: Apache-2.0 */
/* The set of voters as the value of a KRaftVoters record. */
#include "msg/raft_records.h"
#include "raft.h"

void raft_voters_deinit(struct raft_voters *voters)
{
	for (size_t i = 0; i < voters->voters.n; i++)
		vec_deinit(&voters->voters.v[i].endpoints);
	vec_deinit(&voters->voters);
	mem_free(voters->texts);
	voters->texts = NULL;
}

static size_t texts_len(const struct voters_record *record)
{
	size_t len = 0;

	for (int32_t i = 0; i < record->voters_n; i++)
		for (int32_t j = 0; j < record->voters[i].endpoints_n; j++)
			len += record->voters[i].endpoints[j].name.len + record->voters[i].endpoints[j].host.len;
	return len;
}

static struct str keep_text(char **at, struct str text)
{
	struct str kept = {*at, text.len};

	if (text.len > 0)
		memcpy(*at, text.p, text.len);
	*at += text.len;
	return kept;
}

static void voters_take(const struct voters_record *record, struct raft_voters *ret)
{
	struct raft_voters voters = {.texts = mem_alloc(texts_len(record) + 1)};
	char *at = voters.texts;

	for (int32_t i = 0; i < record->voters_n; i++) {
		const struct voters_record_voters *in = &record->voters[i];
		struct raft_voter voter = {
			.id = in->voter_id,
			.directory_id = in->voter_directory_id,
			.kraft_version_min = in->kraft_version_feature.min_supported_version,
			.kraft_version_max = in->kraft_version_feature.max_supported_version,
		};

		for (int32_t j = 0; j < in->endpoints_n; j++) {
			struct raft_endpoint endpoint = {.port = in->endpoints[j].port};

			endpoint.name = keep_text(&at, in->endpoints[j].name);
			endpoint.host = keep_text(&at, in->endpoints[j].host);
			vec_push(&voter.endpoints, endpoint);
		}
		vec_push(&voters.voters, voter);
	}
	*ret = voters;
}

enum err raft_voters_decode(struct bytes value, struct raft_voters *ret, struct err_text *text)
{
	struct arena arena = {0};
	struct voters_record record;
	struct err_text why = {{0}};
	enum err err = codec_decode(&voters_record_type, 0, value, &arena, &record, NULL, &why);

	if (!err)
		voters_take(&record, ret);
	arena_reset(&arena);
	if (err)
		return err_text_set(text, ERR_CORRUPT_FILE, "the record of the quorum's voters cannot be read: %s",
				    why.text);
	return ERR_NONE;
}

struct bytes raft_voters_encode(const struct raft_voters *voters, struct arena *arena)
{
	struct voters_record record;
	struct bytes value;
	enum err err;

	msg_init(&voters_record_type, &record);
	record.voters_n = (int32_t)voters->voters.n;
	record.voters = MSG_NEW_N(arena, voters_record_voters, record.voters_n);
	for (int32_t i = 0; i < record.voters_n; i++) {
		const struct raft_voter *voter = &voters->voters.v[i];
		struct voters_record_voters *out = &record.voters[i];

		out->voter_id = voter->id;
		out->voter_directory_id = voter->directory_id;
		out->kraft_version_feature.min_supported_version = voter->kraft_version_min;
		out->kraft_version_feature.max_supported_version = voter->kraft_version_max;
		out->endpoints_n = (int32_t)voter->endpoints.n;
		out->endpoints = MSG_NEW_N(arena, voters_record_voters_endpoints, out->endpoints_n);
		for (int32_t j = 0; j < out->endpoints_n; j++) {
			out->endpoints[j].name = voter->endpoints.v[j].name;
			out->endpoints[j].host = voter->endpoints.v[j].host;
			out->endpoints[j].port = voter->endpoints.v[j].port;
		}
	}
	err = codec_encode_flat(&voters_record_type, 0, &record, arena, &value, NULL);
	CHECK_OP(err, ==, ERR_NONE);
	return value;
}
