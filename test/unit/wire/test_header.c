/* SPDX-License-Identifier: Apache-2.0 */
/* Headers and their exceptions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "frame.h"
#include "header.h"
#include "msg/api_versions.h"
#include "msg/fetch.h"
#include "msg/metadata.h"
#include "registry.h"

static void test_versions(void **state)
{
	assert_int_equal(request_head_version(API_METADATA, 8), 1);
	assert_int_equal(request_head_version(API_METADATA, 9), 2);
	assert_int_equal(response_head_version(API_METADATA, 8), 0);
	assert_int_equal(response_head_version(API_METADATA, 9), 1);
	assert_int_equal(request_head_version(API_API_VERSIONS, 3), 2);
	assert_int_equal(response_head_version(API_API_VERSIONS, 4), 0);
	assert_int_equal(request_head_version(API_API_VERSIONS, 77), 2);
	assert_int_equal(request_head_version(API_SASL_HANDSHAKE, 1), 1);
	assert_int_equal(request_head_version(API_OFFSET_DELETE, 0), 1);
}

static void test_request_round_trip(void **state)
{
	const int16_t versions[] = {0, 8, 9, 13};
	const struct str clients[] = {STR("kcat"), STR(""), STR_NULL};

	for (size_t v = 0; v < ARRAY_N(versions); v++)
		for (size_t c = 0; c < ARRAY_N(clients); c++) {
			struct arena arena = {0};
			struct request_head head = {API_METADATA, versions[v], 42, clients[c]}, back;
			struct metadata_request *body = MSG_NEW(&arena, metadata_request), body_back;
			struct frame frame;
			struct bytes out;
			size_t len;

			assert_int_equal(request_encode(&head, body, &arena, &out, NULL), ERR_NONE);
			assert_int_equal(frame_cut(out, 1000, &frame), ERR_NONE);
			assert_int_equal(frame.used, out.len);
			assert_int_equal(request_head_decode(frame.body, &arena, &back, &len, NULL), ERR_NONE);
			assert_int_equal(back.api_key, API_METADATA);
			assert_int_equal(back.api_version, versions[v]);
			assert_int_equal(back.correlation_id, 42);
			assert_true(str_eq(back.client_id, clients[c]));
			assert_int_equal(codec_decode(&metadata_request_type, versions[v],
						      (struct bytes){frame.body.p + len, frame.body.len - len}, &arena,
						      &body_back, NULL, NULL),
					 ERR_NONE);
			arena_reset(&arena);
		}
}

/* The client id keeps two bytes of length in header version 2. */
static void test_client_id_is_not_compact(void **state)
{
	static const uint8_t in[] = {0, 3, 0, 9, 0, 0, 0, 1, 0, 2, 'a', 'b', 1, 9, 1, 'x', 0xee};
	struct arena arena = {0};
	struct request_head head;
	size_t len;

	assert_int_equal(request_head_decode((struct bytes){in, sizeof(in)}, &arena, &head, &len, NULL), ERR_NONE);
	assert_true(str_eq(head.client_id, STR("ab")));
	assert_int_equal(len, sizeof(in) - 1); /* an unknown tag in between */
	arena_reset(&arena);
}

static void test_unknown_key(void **state)
{
	static const uint8_t in[] = {0x7f, 0, 0, 9, 0, 0, 0, 1, 0xff};
	struct arena arena = {0};
	struct request_head head;
	size_t len;

	assert_int_equal(request_head_decode((struct bytes){in, sizeof(in)}, &arena, &head, &len, NULL), ERR_NONE);
	assert_int_equal(head.api_key, 0x7f00);
	assert_int_equal(len, 8);
	assert_int_equal(request_head_decode((struct bytes){in, 7}, &arena, &head, &len, NULL), ERR_DECODE);
	arena_reset(&arena);
}

static void test_response_of_api_versions(void **state)
{
	struct arena arena = {0};
	struct codec_out out = {.arena = &arena};
	struct api_versions_response *body = MSG_NEW(&arena, api_versions_response);

	body->error_code = 35;
	assert_int_equal(response_encode(API_API_VERSIONS, 3, 7, body, &out), ERR_NONE);
	assert_int_equal(load_be32(out.head), out.len - 4);
	assert_int_equal(load_be32(out.head + 4), 7);
	assert_int_equal(load_be16(out.head + 8), 35); /* no tags between */
	arena_reset(&arena);
}

static void test_response_counts_file_pieces(void **state)
{
	struct arena arena = {0};
	struct codec_out out = {.arena = &arena};
	struct fetch_response *body = MSG_NEW(&arena, fetch_response);
	size_t len = 0, head_len;
	int32_t id;

	body->responses_n = 1;
	body->responses = MSG_NEW(&arena, fetch_response_responses);
	body->responses->partitions_n = 1;
	body->responses->partitions = MSG_NEW(&arena, fetch_response_responses_partitions);
	body->responses->partitions->records = records_piece((struct piece){.file = 3, .pos = 0, .len = 1 << 20});
	assert_int_equal(response_encode(API_FETCH, 12, 7, body, &out), ERR_NONE);
	for (int32_t i = 0; i < out.pieces_n; i++)
		len += out.pieces[i].len;
	assert_int_equal(len, out.len);
	assert_int_equal(load_be32(out.head), out.len - 4);
	assert_int_equal(response_head_decode(API_FETCH, 12, (struct bytes){out.head + 4, out.pieces[0].len - 4}, &id,
					      &head_len),
			 ERR_NONE);
	assert_int_equal(id, 7);
	assert_int_equal(head_len, 5);
	arena_reset(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_request_round_trip),
		cmocka_unit_test(test_client_id_is_not_compact),
		cmocka_unit_test(test_unknown_key),
		cmocka_unit_test(test_response_of_api_versions),
		cmocka_unit_test(test_response_counts_file_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
