/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterUserScramCredentials: what SCRAM needs to know of users' passwords, set and deleted. A user may stand in a
 * request once; users have outcomes of their own. Same as Kafka in codes, texts and records; differs for an empty
 * salted password, over which Kafka fails the whole request with error -1. The answers come in the order of names.
 */
#include <stdlib.h>

#include "controller_private.h"
#include "msg/alter_user_scram_credentials.h"
#include "sha2.h"

#define SCRAM_SHA_256 1
#define SCRAM_SHA_512 2
#define SCRAM_ITERATIONS_MIN 4096
#define SCRAM_ITERATIONS_MAX 16384
#define SCRAM_METADATA_VERSION 11

struct scram {
	struct controller *controller;
	struct controller_records *records;
	struct arena *arena;
	struct map users; /* name -> its result */
	struct alter_user_scram_credentials_response *response;
};

static void scram_refuse(struct alter_user_scram_credentials_response_results *result, enum err err, const char *text)
{
	result->error_code = err_wire(err);
	result->error_message = str_of(text);
}

/* The result of a user; NULL when it has one already, which then says so. */
static struct alter_user_scram_credentials_response_results *scram_user(struct scram *scram, struct str name)
{
	struct alter_user_scram_credentials_response_results *result = map_get_str(&scram->users, name);

	if (result) {
		scram_refuse(result, ERR_DUPLICATE_RESOURCE,
			     "A user credential cannot be altered twice in the same request");
		return NULL;
	}
	result = &scram->response->results[scram->response->results_n++];
	result->user = name;
	result->error_message = STR_NULL;
	map_put_str(&scram->users, name, result);
	return result;
}

static bool scram_check(const struct scram *scram, struct alter_user_scram_credentials_response_results *result,
			int8_t mechanism)
{
	if (controller_metadata_version(scram->controller) < SCRAM_METADATA_VERSION)
		scram_refuse(result, ERR_UNSUPPORTED_VERSION, "The current metadata version does not support SCRAM");
	else if (result->user.len == 0)
		scram_refuse(result, ERR_UNACCEPTABLE_CREDENTIAL, "Username must not be empty");
	else if (mechanism != SCRAM_SHA_256 && mechanism != SCRAM_SHA_512)
		scram_refuse(result, ERR_UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism");
	else
		return true;
	return false;
}

static bool scram_check_deletion(const struct scram *scram,
				 const struct alter_user_scram_credentials_request_deletions *in,
				 struct alter_user_scram_credentials_response_results *result)
{
	if (!scram_check(scram, result, in->mechanism))
		return false;
	if (image_scram(scram->controller->latest, in->name, in->mechanism).p)
		return true;
	scram_refuse(result, ERR_RESOURCE_NOT_FOUND, "Attempt to delete a user credential that does not exist");
	return false;
}

static bool scram_check_upsertion(const struct scram *scram,
				  const struct alter_user_scram_credentials_request_upsertions *in,
				  struct alter_user_scram_credentials_response_results *result)
{
	if (!scram_check(scram, result, in->mechanism))
		return false;
	if (in->iterations < SCRAM_ITERATIONS_MIN)
		scram_refuse(result, ERR_UNACCEPTABLE_CREDENTIAL, "Too few iterations");
	else if (in->iterations > SCRAM_ITERATIONS_MAX)
		scram_refuse(result, ERR_UNACCEPTABLE_CREDENTIAL, "Too many iterations");
	else if (in->salted_password.len == 0)
		scram_refuse(result, ERR_UNACCEPTABLE_CREDENTIAL, "Salted password must not be empty");
	else
		return true;
	return false;
}

static void scram_delete(struct scram *scram, const struct alter_user_scram_credentials_request_deletions *in)
{
	struct remove_user_scram_credential_record record;

	msg_init(&remove_user_scram_credential_record_type, &record);
	record.name = in->name;
	record.mechanism = in->mechanism;
	controller_add(scram->records, scram->arena, METADATA_REMOVE_USER_SCRAM_CREDENTIAL_RECORD, 0, &record);
}

/* The password goes no further: the keys made of it do (RFC 5802). */
static void scram_upsert(struct scram *scram, const struct alter_user_scram_credentials_request_upsertions *in)
{
	enum sha2_kind kind = in->mechanism == SCRAM_SHA_256 ? SHA2_256 : SHA2_512;
	struct user_scram_credential_record record;
	uint8_t client_key[SHA2_LEN_MAX], stored_key[SHA2_LEN_MAX], server_key[SHA2_LEN_MAX];
	size_t len = sha2_len(kind);

	sha2_hmac(kind, in->salted_password, str_bytes(STR("Client Key")), client_key);
	sha2_hash(kind, (struct bytes){client_key, len}, BYTES_NULL, stored_key);
	sha2_hmac(kind, in->salted_password, str_bytes(STR("Server Key")), server_key);
	msg_init(&user_scram_credential_record_type, &record);
	record.name = in->name;
	record.mechanism = in->mechanism;
	record.salt = in->salt;
	record.stored_key = (struct bytes){stored_key, len};
	record.server_key = (struct bytes){server_key, len};
	record.iterations = in->iterations;
	controller_add(scram->records, scram->arena, METADATA_USER_SCRAM_CREDENTIAL_RECORD, 0, &record);
}

static void scram_check_all(struct scram *scram, const struct alter_user_scram_credentials_request *request)
{
	for (int32_t i = 0; i < request->deletions_n; i++) {
		struct alter_user_scram_credentials_response_results *result =
			scram_user(scram, request->deletions[i].name);

		if (result)
			(void)scram_check_deletion(scram, &request->deletions[i], result);
	}
	for (int32_t i = 0; i < request->upsertions_n; i++) {
		struct alter_user_scram_credentials_response_results *result =
			scram_user(scram, request->upsertions[i].name);

		if (result)
			(void)scram_check_upsertion(scram, &request->upsertions[i], result);
	}
}

static bool scram_is_good(const struct scram *scram, struct str name)
{
	const struct alter_user_scram_credentials_response_results *result = map_get_str(&scram->users, name);

	return result->error_code == 0;
}

static int scram_cmp(const void *a, const void *b)
{
	const struct alter_user_scram_credentials_response_results *x = a, *y = b;

	return str_cmp(x->user, y->user);
}

enum err controller_alter_scram(struct controller *controller,
				const struct alter_user_scram_credentials_request *request,
				struct alter_user_scram_credentials_response *response,
				struct controller_records *records, struct arena *arena)
{
	struct scram scram = {.controller = controller, .records = records, .arena = arena, .response = response};
	int64_t n = (int64_t)request->deletions_n + request->upsertions_n;

	if (n > RECORDS_PER_OPERATION_MAX)
		return ERR_POLICY_VIOLATION;
	msg_init(&alter_user_scram_credentials_response_type, response);
	response->results = MSG_NEW_N(arena, alter_user_scram_credentials_response_results, n);
	records->atomic = true;
	map_init(&scram.users, MAP_STR, rng_u64(controller->rng));
	scram_check_all(&scram, request);
	for (int32_t i = 0; i < request->deletions_n; i++) {
		if (scram_is_good(&scram, request->deletions[i].name))
			scram_delete(&scram, &request->deletions[i]);
	}
	for (int32_t i = 0; i < request->upsertions_n; i++) {
		if (scram_is_good(&scram, request->upsertions[i].name))
			scram_upsert(&scram, &request->upsertions[i]);
	}
	map_deinit(&scram.users);
	if (response->results_n > 1)
		qsort(response->results, (size_t)response->results_n, sizeof(*response->results), scram_cmp);
	return ERR_NONE;
}
