/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM credentials: the keys are those of the example in RFC 7677, and a snapshot gives them back. */
#include "controller_world.h"
#include "msg/alter_user_scram_credentials.h"
#include "sha2.h"

static struct alter_user_scram_credentials_response_results alter(struct world *w, bool deletes, int8_t mechanism,
								  struct bytes salt, struct bytes password)
{
	struct alter_user_scram_credentials_request in;
	struct alter_user_scram_credentials_response out;

	msg_init(&alter_user_scram_credentials_request_type, &in);
	if (deletes) {
		in.deletions = MSG_NEW(&w->arena, alter_user_scram_credentials_request_deletions);
		in.deletions_n = 1;
		in.deletions[0].name = STR("user");
		in.deletions[0].mechanism = mechanism;
	} else {
		in.upsertions = MSG_NEW(&w->arena, alter_user_scram_credentials_request_upsertions);
		in.upsertions_n = 1;
		in.upsertions[0].name = STR("user");
		in.upsertions[0].mechanism = mechanism;
		in.upsertions[0].iterations = 4096;
		in.upsertions[0].salt = salt;
		in.upsertions[0].salted_password = password;
	}
	world_begin(w);
	assert_int_equal(controller_alter_scram(&w->controller, &in, &out, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	assert_int_equal(out.results_n, 1);
	return out.results[0];
}

static void test_keys(void **state)
{
	static const uint8_t salt[] = {
		0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14,
		0x12, 0x36, 0xfa, 0x81,
	};
	static const uint8_t stored[] = {
		0x58, 0x6e, 0x5d, 0xf2, 0x83, 0xe6, 0xdc, 0xeb, 0x5c, 0x3e, 0x79, 0x1d,
		0x8b, 0x85, 0x28, 0xec, 0x19, 0x1e, 0x66, 0x40, 0x45, 0xce, 0x97, 0x17,
		0x92, 0xe2, 0xe6, 0xb5, 0xbb, 0x13, 0xe2, 0xa6,
	};
	static const uint8_t server[] = {
		0xc1, 0xf3, 0xcb, 0xc1, 0xc1, 0x3a, 0x9d, 0x35, 0xa1, 0x4c, 0x09, 0x90,
		0xee, 0xd9, 0x76, 0x29, 0xea, 0x22, 0x58, 0x63, 0xe5, 0x66, 0xa4, 0x31,
		0x4a, 0xb9, 0x9f, 0x3f, 0x00, 0xe5, 0xd9, 0xd5,
	};
	const struct user_scram_credential_record *record;
	struct alter_user_scram_credentials_response_results out;
	uint8_t password[32];
	struct world w;

	world_init(&w, 30);
	sha2_hi(SHA2_256, str_bytes(STR("pencil")), (struct bytes){salt, sizeof(salt)}, 4096, password);
	out = alter(&w, false, 1, (struct bytes){salt, sizeof(salt)}, (struct bytes){password, 32});
	assert_int_equal(out.error_code, 0);
	assert_int_equal(w.records.values.n, 1);
	record = world_record(&w, 0, METADATA_USER_SCRAM_CREDENTIAL_RECORD, 0);
	assert_int_equal(record->iterations, 4096);
	assert_int_equal(record->stored_key.len, sizeof(stored));
	assert_memory_equal(record->stored_key.p, stored, sizeof(stored));
	assert_int_equal(record->server_key.len, sizeof(server));
	assert_memory_equal(record->server_key.p, server, sizeof(server));
	assert_non_null(image_scram(w.controller.committed, STR("user"), 1).p);
	assert_int_equal(alter(&w, true, 2, BYTES_NULL, BYTES_NULL).error_code, 91);
	assert_int_equal(alter(&w, true, 1, BYTES_NULL, BYTES_NULL).error_code, 0);
	assert_null(image_scram(w.controller.committed, STR("user"), 1).p);
	world_deinit(&w);
}

static void test_refused(void **state)
{
	struct alter_user_scram_credentials_response_results out;
	struct world w;
	uint8_t password[32] = {1};

	world_init(&w, 30);
	out = alter(&w, false, 1, BYTES_NULL, BYTES_NULL);
	assert_int_equal(out.error_code, 93);
	assert_true(str_eq_c(out.error_message, "Salted password must not be empty"));
	assert_int_equal(w.records.values.n, 0);
	world_deinit(&w);
	world_init(&w, 10);
	out = alter(&w, false, 1, BYTES_NULL, (struct bytes){password, 32});
	assert_int_equal(out.error_code, 35);
	assert_true(str_eq_c(out.error_message, "The current metadata version does not support SCRAM"));
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
