/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the codec, one test each: what it refuses, how it says so, and what it hands over uncopied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "codec.h"
#include "msg/api_versions.h"
#include "msg/create_topics.h"
#include "msg/fetch.h"
#include "msg/group_records.h"
#include "msg/metadata.h"
#include "msg/metadata_records.h"
#include "msg/produce.h"
#include "registry.h"

static int setup(void **state)
{
	static struct arena arena;

	arena = (struct arena){0};
	*state = &arena;
	return 0;
}

static int teardown(void **state)
{
	arena_reset(*state);
	return 0;
}

static void assert_text(const struct err_text *text, const char *want)
{
	assert_string_equal(text->text, want);
}

static void test_defaults(void **state)
{
	struct arena *arena = *state;
	struct fetch_request *req = MSG_NEW(arena, fetch_request);
	struct metadata_response_topics *topics = MSG_NEW_N(arena, metadata_response_topics, 2);

	assert_int_equal(req->replica_id, -1);
	assert_int_equal(req->replica_state.replica_epoch, -1);
	assert_int_equal(req->max_bytes, INT32_MAX);
	assert_null(req->cluster_id.p);
	assert_non_null(req->rack_id.p);
	assert_int_equal(req->rack_id.len, 0);
	assert_int_equal(topics[1].topic_authorized_operations, INT32_MIN);
	assert_null(msg_new_n(arena, &fetch_request_type, 0));
	assert_null(MSG_NEW_N(arena, fetch_request, -1));
	/* The one nullable struct whose default is an empty struct. */
	assert_non_null(MSG_NEW(arena, consumer_group_member_metadata_value)->classic_member_metadata);
}

static void test_error_names_path(void **state)
{
	static const uint8_t in[] = {
		0, 0, 0, 1,             /* one topic */
		0, 1, 'a',              /* its name */
		0, 0, 0, 1, 0, 1,       /* partitions, replicas */
		0, 0, 0, 0,             /* no assignments */
		0, 0, 0, 2,             /* two settings */
		0, 1, 'b', 0xff, 0xff,  /* b, null */
		0, 0, 0, 5, 'x', 'y',   /* no name, and a value that ends early */
	};
	struct create_topics_request req;
	struct err_text text = {""};

	assert_int_equal(codec_decode(&create_topics_request_type, 2, (struct bytes){in, sizeof(in)}, *state, &req,
				      NULL, &text),
			 ERR_DECODE);
	assert_text(&text, "topics[0].configs[1].value: 5 bytes wanted, 2 bytes left");
}

static void test_error_names_array(void **state)
{
	static const uint8_t in[] = {
		0, 0, 0, 0,       /* no brokers */
		0, 0, 0, 1,       /* one topic */
		0, 0, 0, 1, 'a',  /* error, name */
		0, 0, 0, 1,       /* one partition */
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0,       /* no replicas */
		0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	struct metadata_response resp;
	struct err_text text = {""};

	assert_int_equal(codec_decode(&metadata_response_type, 0, (struct bytes){in, sizeof(in)}, *state, &resp,
				      NULL, &text),
			 ERR_DECODE);
	assert_text(&text, "topics[0].partitions[0].isr_nodes: 12 elements, 9 bytes left");
}

static void test_hostile_lengths(void **state)
{
	static const struct {
		int16_t version;
		uint8_t in[12];
		size_t len;
		const char *text;
	} cases[] = {
		{0, {0x7f, 0xff, 0xff, 0xff}, 4, "topics: 2147483647 elements, 0 bytes left"},
		{0, {0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 8, "topics: 2147483647 elements, 4 bytes left"},
		{0, {0xff, 0xff, 0xff, 0xff}, 4, "topics: null is not allowed"},
		{9, {0xff, 0xff, 0xff, 0xff, 0x0f}, 5, "topics: 4294967294 elements, 0 bytes left"},
		{9, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 6, "topics: a number that does not end, 6 bytes left"},
		{9, {2, 0xff, 0xff, 0x7f}, 4, "topics[0].name: a string of 2097150 bytes"},
		{0, {0, 0, 0, 1, 0x7f, 0xff}, 6, "topics[0].name: 32767 bytes wanted, 0 bytes left"},
		{0, {0, 0, 0, 1, 0xff, 0xff}, 6, "topics[0].name: null is not allowed"},
		{9, {1, 0, 0, 0, 0x80, 0x80, 0x40}, 7, "metadata_request: 1048576 tags, 0 bytes left"},
		{9, {1, 0, 0, 0, 1, 5, 9}, 7, "metadata_request: tag 5 of 9 bytes, 0 bytes left"},
	};

	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct arena *arena = *state;
		size_t used_before = arena->used;
		struct metadata_request req;
		struct err_text text = {""};
		struct bytes in = {cases[i].in, cases[i].len};

		assert_int_equal(codec_decode(&metadata_request_type, cases[i].version, in, arena, &req, NULL, &text),
				 ERR_DECODE);
		assert_text(&text, cases[i].text);
		assert_true(arena->used - used_before < 256);
	}
}

static void test_memory_limit(void **state)
{
	struct arena arena = {.limit = 64 * 1024};
	static uint8_t in[8192];
	struct metadata_request req;
	struct err_text text = {""};

	store_be32(in, 4000);
	assert_int_equal(codec_decode(&metadata_request_type, 0, (struct bytes){in, sizeof(in)}, &arena, &req, NULL,
				      &text),
			 ERR_TOO_LARGE);
	assert_text(&text, "topics: 4000 elements are over the limit of memory");
	arena_reset(&arena);
}

/* Room is left for the answer. */
static void test_memory_share(void **state)
{
	struct arena arena = {.limit = MIB(64)};
	size_t len = 1 << 20;
	uint8_t *in = arena_alloc(*state, len);
	struct metadata_request req;
	uint32_t n = 100 * 1000;

	store_be32(in, n);
	assert_int_equal(codec_decode(&metadata_request_type, 0, (struct bytes){in, len}, &arena, &req, NULL, NULL),
			 ERR_TOO_LARGE);
	store_be32(in, n / 10);
	assert_int_equal(codec_decode(&metadata_request_type, 0, (struct bytes){in, len}, &arena, &req, NULL, NULL),
			 ERR_NONE);
	arena_reset(&arena);
}

static void test_version_out_of_range(void **state)
{
	struct metadata_request req;
	struct err_text text = {""};
	struct bytes out;

	assert_int_equal(codec_decode(&metadata_request_type, 99, BYTES_NULL, *state, &req, NULL, &text),
			 ERR_UNSUPPORTED_VERSION);
	assert_text(&text, "metadata_request has versions 0 to 13, not 99");
	assert_int_equal(codec_encode_flat(&metadata_request_type, -1, &req, *state, &out, &text),
			 ERR_UNSUPPORTED_VERSION);
	assert_true(codec_size(&metadata_request_type, 99, &req) == CODEC_SIZE_BAD);
}

/* What a version cannot carry is refused, unless it may be dropped. */
static void test_field_the_version_lacks(void **state)
{
	struct metadata_request *req = MSG_NEW(*state, metadata_request);
	struct metadata_response *resp = MSG_NEW(*state, metadata_response);
	struct err_text text = {""};
	struct bytes out;

	req->allow_auto_topic_creation = false;
	assert_int_equal(codec_encode_flat(&metadata_request_type, 3, req, *state, &out, &text),
			 ERR_UNSUPPORTED_VERSION);
	assert_text(&text, "allow_auto_topic_creation: cannot be said in version 3");
	assert_int_equal(codec_encode_flat(&metadata_request_type, 4, req, *state, &out, &text), ERR_NONE);

	resp->throttle_time_ms = 7; /* ignorable */
	assert_int_equal(codec_encode_flat(&metadata_response_type, 0, resp, *state, &out, &text), ERR_NONE);
	assert_int_equal(out.len, 8);
}

static void test_null_the_version_lacks(void **state)
{
	struct metadata_request *req = MSG_NEW(*state, metadata_request);
	struct err_text text = {""};
	struct bytes out;

	req->topics_n = -1;
	assert_int_equal(codec_encode_flat(&metadata_request_type, 0, req, *state, &out, &text),
			 ERR_UNSUPPORTED_VERSION);
	assert_text(&text, "topics: null is not allowed in this version");
	assert_int_equal(codec_encode_flat(&metadata_request_type, 1, req, *state, &out, &text), ERR_NONE);
}

static void test_string_too_long(void **state)
{
	struct create_topics_request *req = MSG_NEW(*state, create_topics_request);
	struct err_text text = {""};
	struct bytes out;
	char *name = arena_alloc(*state, 40000);

	memset(name, 'a', 40000);
	req->topics = MSG_NEW_N(*state, create_topics_request_topics, 2);
	req->topics_n = 2;
	req->topics[1].name = (struct str){name, 40000};
	assert_int_equal(codec_encode_flat(&create_topics_request_type, 7, req, *state, &out, &text), ERR_TOO_LARGE);
	assert_text(&text, "topics[1].name: 40000 bytes are too long");
}

/* In fields that are never null a zeroed string is an empty one. */
static void test_zeroed_string_is_empty(void **state)
{
	struct metadata_response *resp = MSG_NEW(*state, metadata_response);
	struct bytes out;

	resp->brokers = ARENA_NEW(*state, struct metadata_response_brokers);
	resp->brokers_n = 1;
	assert_int_equal(codec_encode_flat(&metadata_response_type, 0, resp, *state, &out, NULL), ERR_NONE);
	assert_int_equal(out.len, 4 + 4 + 2 + 4 + 4);
	assert_int_equal(out.p[8] << 8 | out.p[9], 0);
}

/* Bytes that are not UTF-8 pass, as they do in Kafka. */
static void test_strings_are_not_judged(void **state)
{
	static const uint8_t in[] = {0, 0, 0, 1, 0, 3, 0xff, 0xc0, 0x80};
	struct metadata_request req;

	assert_int_equal(codec_decode(&metadata_request_type, 0, (struct bytes){in, sizeof(in)}, *state, &req, NULL,
				      NULL),
			 ERR_NONE);
	assert_int_equal(req.topics[0].name.len, 3);
}

static struct fetch_response *fetch_of(struct arena *arena, const struct records *records, int32_t n)
{
	struct fetch_response *resp = MSG_NEW(arena, fetch_response);
	struct fetch_response_responses *topic = MSG_NEW(arena, fetch_response_responses);

	resp->responses = topic;
	resp->responses_n = 1;
	topic->partitions = MSG_NEW_N(arena, fetch_response_responses_partitions, n);
	topic->partitions_n = n;
	for (int32_t i = 0; i < n; i++)
		topic->partitions[i].records = records[i];
	return resp;
}

/* Joins pieces; a file piece gives bytes of 'F'. */
static struct bytes join(struct arena *arena, const struct codec_out *out)
{
	uint8_t *p = arena_alloc(arena, out->len);
	size_t len = 0;

	for (int32_t i = 0; i < out->pieces_n; i++) {
		const struct piece *piece = &out->pieces[i];

		assert_true(piece->len > 0);
		if (piece->file == PIECE_NO_FILE)
			memcpy(p + len, piece->mem, piece->len);
		else
			memset(p + len, 'F', piece->len);
		len += piece->len;
	}
	assert_int_equal(len, out->len);
	return (struct bytes){p, len};
}

static void test_records_become_pieces(void **state)
{
	static uint8_t big[CODEC_PASS_MIN], small[10];
	struct arena *arena = *state;
	struct records records[] = {
		records_piece((struct piece){.file = 7, .pos = 100, .len = 5000}),
		records_mem((struct bytes){small, sizeof(small)}),
		records_mem((struct bytes){big, sizeof(big)}),
		RECORDS_NULL,
		records_piece((struct piece){.file = 8, .pos = 1, .len = 200}),
	};
	const int16_t versions[] = {4, 12, 18};

	for (size_t v = 0; v < ARRAY_N(versions); v++) {
		struct fetch_response *resp = fetch_of(arena, records, ARRAY_N(records)), back;
		struct codec_out out = {.arena = arena};
		struct bytes whole;

		assert_int_equal(codec_encode(&fetch_response_type, versions[v], resp, &out), ERR_NONE);
		assert_int_equal(out.len, codec_size(&fetch_response_type, versions[v], resp));
		assert_int_equal(out.pieces[1].file, 7);
		assert_int_equal(out.pieces[1].pos, 100);
		assert_ptr_equal(out.pieces[3].mem, big);
		assert_int_equal(out.pieces[5].file, 8);
		assert_true(out.pieces_n == 6 || out.pieces_n == 7);
		whole = join(arena, &out);
		assert_int_equal(codec_decode(&fetch_response_type, versions[v], whole, arena, &back, NULL, NULL),
				 ERR_NONE);
		assert_int_equal(back.responses[0].partitions_n, 5);
		assert_int_equal(back.responses[0].partitions[0].records.piece.len, 5000);
		assert_int_equal(back.responses[0].partitions[0].records.piece.mem[4999], 'F');
		assert_int_equal(back.responses[0].partitions[1].records.piece.len, 10);
		assert_true(back.responses[0].partitions[3].records.is_null);
		assert_int_equal(back.responses[0].partitions[4].records.piece.len, 200);
	}
}

static void test_head_room(void **state)
{
	struct codec_out out = {.arena = *state, .head_len = 9};
	struct metadata_request *req = MSG_NEW(*state, metadata_request);

	assert_int_equal(codec_encode(&metadata_request_type, 0, req, &out), ERR_NONE);
	assert_int_equal(out.len, 9 + 4);
	assert_int_equal(out.pieces_n, 1);
	assert_ptr_equal(out.pieces[0].mem, out.head);
	assert_int_equal(out.pieces[0].len, 13);
}

/* Tags at their default are left out; unknown ones survive, in ascending order among the known. */
static void test_tags(void **state)
{
	static const uint8_t unknown[] = {1, 2, 3};
	struct tagged_field tags[] = {{1, {unknown, 3}}, {70000, {unknown, 0}}};
	struct api_versions_response *resp = MSG_NEW(*state, api_versions_response), back;
	struct bytes out;

	assert_int_equal(codec_encode_flat(&api_versions_response_type, 4, resp, *state, &out, NULL), ERR_NONE);
	assert_int_equal(out.p[out.len - 1], 0);
	resp->finalized_features_epoch = 5; /* tag 1 */
	resp->zk_migration_ready = true;    /* tag 3 */
	tags[0].tag = 2000;
	resp->unknown_tags = (struct tagged_fields){tags, 2};
	assert_int_equal(codec_encode_flat(&api_versions_response_type, 4, resp, *state, &out, NULL), ERR_NONE);
	assert_int_equal(codec_decode(&api_versions_response_type, 4, out, *state, &back, NULL, NULL), ERR_NONE);
	assert_int_equal(back.finalized_features_epoch, 5);
	assert_true(back.zk_migration_ready);
	assert_int_equal(back.unknown_tags.n, 2);
	assert_int_equal(back.unknown_tags.p[1].tag, 70000);
	assert_true(codec_equal(&api_versions_response_type, resp, &back));
	/* They have no place in a version without tags. */
	assert_int_equal(codec_encode_flat(&api_versions_response_type, 2, &back, *state, &out, NULL),
			 ERR_UNSUPPORTED_VERSION);
}

static void test_tag_must_fit(void **state)
{
	/* error, no keys, throttle; one tag: number 1 (int64) in 9 bytes */
	static const uint8_t in[] = {0, 0, 1, 0, 0, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0};
	struct api_versions_response resp;
	struct err_text text = {""};

	assert_int_equal(codec_decode(&api_versions_response_type, 3, (struct bytes){in, sizeof(in)}, *state, &resp,
				      NULL, &text),
			 ERR_DECODE);
	assert_text(&text, "finalized_features_epoch: tag 1 has 1 bytes too many");
}

static void test_print(void **state)
{
	struct metadata_request *req = MSG_NEW(*state, metadata_request);
	char text[256];
	struct fmt f;

	req->topics = MSG_NEW_N(*state, metadata_request_topics, 2);
	req->topics_n = 2;
	req->topics[0].name = STR("a\n");
	fmt_init(&f, text, sizeof(text));
	codec_print(&metadata_request_type, 9, req, &f);
	assert_string_equal(text, "{topics=[{name=\"a\\x0a\"}, {name=\"\"}], allow_auto_topic_creation=true, "
				  "include_cluster_authorized_operations=false, "
				  "include_topic_authorized_operations=false}");
	fmt_init(&f, text, 16);
	codec_print(&metadata_request_type, 9, req, &f);
	assert_true(f.cut);
}

static void test_equal_sees_differences(void **state)
{
	struct metadata_response_topics_partitions a, b;
	int32_t one = 1, two = 2;

	msg_init(&metadata_response_topics_partitions_type, &a);
	b = a;
	assert_true(codec_equal(&metadata_response_topics_partitions_type, &a, &b));
	a.isr_nodes = &one;
	b.isr_nodes = &two;
	a.isr_nodes_n = b.isr_nodes_n = 1;
	assert_false(codec_equal(&metadata_response_topics_partitions_type, &a, &b));
	two = 1;
	assert_true(codec_equal(&metadata_response_topics_partitions_type, &a, &b));
	b.isr_nodes_n = -1;
	assert_false(codec_equal(&metadata_response_topics_partitions_type, &a, &b));
}

static void test_registry(void **state)
{
	assert_string_equal(api_name(API_PRODUCE), "Produce");
	assert_string_equal(api_name(12345), "unknown");
	assert_null(api_find(-1));
	assert_null(api_find(API_KEY_MAX + 1));
	assert_int_equal(api_find(API_PRODUCE)->version_min, 3);
	assert_int_equal(api_find(API_PRODUCE)->advertised_min, 0);
	assert_int_equal(api_find(API_INIT_PRODUCER_ID)->version_stable, 5);
	assert_false(api_has_version(api_find(API_LEADER_AND_ISR), 0));
	assert_true(api_has_version(api_find(API_FETCH), 18));
	assert_ptr_equal(api_find(API_FETCH)->response, &fetch_response_type);
	assert_ptr_equal(msg_record_find(MSG_FAMILY_METADATA, METADATA_PARTITION_RECORD)->value,
			 &partition_record_type);
	assert_ptr_equal(msg_record_find(MSG_FAMILY_GROUP, GROUP_OFFSET_COMMIT)->key, &offset_commit_key_type);
	assert_null(msg_record_find(MSG_FAMILY_CONTROL, 99));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_defaults),
		T(test_error_names_path),
		T(test_error_names_array),
		T(test_hostile_lengths),
		T(test_memory_limit),
		T(test_memory_share),
		T(test_version_out_of_range),
		T(test_field_the_version_lacks),
		T(test_null_the_version_lacks),
		T(test_string_too_long),
		T(test_zeroed_string_is_empty),
		T(test_strings_are_not_judged),
		T(test_records_become_pieces),
		T(test_head_room),
		T(test_tags),
		T(test_tag_must_fit),
		T(test_print),
		T(test_equal_sees_differences),
		T(test_registry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
