/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeUserScramCredentials (key 50), version 0: which users have credentials in the shard's image, without their
 * secrets. No users, or null, asks for all. Users are answered in the order of the request, or in that of their names.
 */
#include "api.h"
#include "check.h"
#include "image.h"
#include "map.h"
#include "metadata_record.h"
#include "msg/describe_user_scram_credentials.h"
#include "node.h"
#include "shard.h"

#define SCRAM_MECHANISMS_N 2

static const int8_t scram_mechanisms[SCRAM_MECHANISMS_N] = {1, 2}; /* SCRAM-SHA-256, SCRAM-SHA-512 */

static int32_t scram_iterations(struct bytes framed, struct arena *arena)
{
	struct user_scram_credential_record record;
	struct metadata_record frame;

	/* Replaying it decoded it. */
	CHECK(metadata_record_parse(framed, &frame, NULL) == ERR_NONE);
	CHECK(codec_decode(frame.schema, frame.version, frame.message, arena, &record, NULL, NULL) == ERR_NONE);
	return record.iterations;
}

/* The name is copied: the answer may leave after the image has gone. */
static void scram_tell(struct request *request, struct str user,
		       struct describe_user_scram_credentials_response_results *out)
{
	out->user = arena_str(&request->arena, user);
	out->credential_infos = MSG_NEW_N(
		&request->arena, describe_user_scram_credentials_response_results_credential_infos, SCRAM_MECHANISMS_N);
	out->credential_infos_n = 0;
	for (int i = 0; i < SCRAM_MECHANISMS_N; i++) {
		struct bytes framed = image_scram(request->shard->image, user, scram_mechanisms[i]);

		if (!framed.p)
			continue;
		out->credential_infos[out->credential_infos_n++] =
			(struct describe_user_scram_credentials_response_results_credential_infos){
				.mechanism = scram_mechanisms[i],
				.iterations = scram_iterations(framed, &request->arena)};
	}
	if (out->credential_infos_n > 0)
		return;
	out->error_code = ERR_RESOURCE_NOT_FOUND;
	out->error_message = arena_printf(
		&request->arena, "Attempt to describe a user credential that does not exist: %.*s", STR_ARGS(user));
}

static void scram_tell_all(struct request *request, struct describe_user_scram_credentials_response *out)
{
	const struct image *image = request->shard->image;
	int32_t credentials_n = image_kept_n(image, METADATA_USER_SCRAM_CREDENTIAL_RECORD);
	struct str user = STR_NULL;
	int8_t mechanism = 0;

	out->results = MSG_NEW_N(&request->arena, describe_user_scram_credentials_response_results, credentials_n);
	while (image_scram_next(image, &user, &mechanism).p) {
		/* Told with its first mechanism. */
		if (mechanism == scram_mechanisms[0] || !image_scram(image, user, scram_mechanisms[0]).p)
			scram_tell(request, user, &out->results[out->results_n++]);
	}
}

static void scram_tell_asked(struct request *request, struct describe_user_scram_credentials_response *out)
{
	const struct describe_user_scram_credentials_request *in = request->body;
	struct map told;

	map_init(&told, MAP_STR, request->shard->reactor->node->hash_seed);
	out->results = MSG_NEW_N(&request->arena, describe_user_scram_credentials_response_results, in->users_n);
	for (int32_t i = 0; i < in->users_n; i++) {
		struct str user = in->users[i].name;
		struct describe_user_scram_credentials_response_results *again = map_get_str(&told, user), *result;

		if (!again) {
			result = &out->results[out->results_n++];
			scram_tell(request, user, result);
			map_put_str(&told, result->user, result);
			continue;
		}
		again->error_code = ERR_DUPLICATE_RESOURCE;
		again->error_message = arena_printf(
			&request->arena,
			"Cannot describe SCRAM credentials for the same user twice in a single request: %.*s",
			STR_ARGS(user));
		again->credential_infos_n = 0;
	}
	map_deinit(&told);
}

void api_describe_user_scram_credentials(struct request *request)
{
	const struct describe_user_scram_credentials_request *in = request->body;
	struct describe_user_scram_credentials_response out;

	msg_init(&describe_user_scram_credentials_response_type, &out);
	if (in->users_n > 0)
		scram_tell_asked(request, &out);
	else
		scram_tell_all(request, &out);
	request_reply(request, &out);
}
