/* SPDX-License-Identifier: Apache-2.0 */
/* The file quorum-state: what Kafka wrote comes back byte for byte; what it would not have written is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "raft.h"

#define LINE_MAX_LEN (1 << 20)

static const char *lines_path;

static enum err parse(const char *text, struct quorum_state *ret, struct arena *arena)
{
	return quorum_state_parse(str_bytes(str_of(text)), ret, arena);
}

static void check_round(const char *text)
{
	struct arena arena = {0};
	struct quorum_state state;

	if (parse(text, &state, &arena) != ERR_NONE)
		fail_msg("refused: %s", text);
	if (!str_eq_c(bytes_str(quorum_state_encode(&state, &arena)), text))
		fail_msg("comes out as other bytes: %s", text);
	quorum_state_deinit(&state);
	arena_reset(&arena);
}

/* No beginning of a file is a file; each is parsed from memory of its own, so that reading past the end is seen. */
static void check_prefixes(const char *text)
{
	for (size_t len = 0; len < strlen(text); len++) {
		struct arena arena = {0};
		struct quorum_state state;
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, text, len);
		copy = realloc(copy, len ? len : 1);
		assert_int_equal(quorum_state_parse((struct bytes){copy, len}, &state, &arena), ERR_CORRUPT_FILE);
		free(copy);
		arena_reset(&arena);
	}
}

static void test_golden(void **state)
{
	static const char kind[] = "quorum-state ";
	char *line = malloc(LINE_MAX_LEN);
	FILE *f = fopen(lines_path, "r");
	int n = 0;

	assert_non_null(f);
	while (fgets(line, LINE_MAX_LEN, f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, kind, sizeof(kind) - 1) != 0)
			continue;
		check_round(line + sizeof(kind) - 1);
		check_prefixes(line + sizeof(kind) - 1);
		n++;
	}
	fclose(f);
	free(line);
	assert_int_equal(n, 48);
}

static void test_fields(void **unused)
{
	struct arena arena = {0};
	struct quorum_state state;
	char id[UUID_TEXT_LEN + 1];

	assert_int_equal(parse("{\"clusterId\":\"\",\"leaderId\":3,\"leaderEpoch\":7,\"votedId\":-1,"
			       "\"appliedOffset\":0,\"currentVoters\":[{\"voterId\":1},{\"voterId\":3}],"
			       "\"data_version\":0}", &state, &arena), ERR_NONE);
	assert_int_equal(state.data_version, 0);
	assert_int_equal(state.leader_id, 3);
	assert_int_equal(state.leader_epoch, 7);
	assert_int_equal(state.voted_id, -1);
	assert_int_equal(state.current_voters.n, 2);
	assert_int_equal(state.current_voters.v[1], 3);
	quorum_state_deinit(&state);
	/* Any order, white space, fields of a later version. */
	assert_int_equal(parse(" { \"data_version\" : 1 ,\n\"new\":\"x\",\"newer\":true, \"votedDirectoryId\":"
			       "\"WUtyfcSmRdOhJ_eZWzGAhA\",\"votedId\":2,\"leaderEpoch\":2147483647,\"leaderId\":-1}\n",
			       &state, &arena), ERR_NONE);
	assert_int_equal(state.data_version, 1);
	assert_int_equal(state.voted_id, 2);
	assert_int_equal(state.leader_epoch, INT32_MAX);
	uuid_format(state.voted_directory_id, id);
	assert_string_equal(id, "WUtyfcSmRdOhJ_eZWzGAhA");
	quorum_state_deinit(&state);
	arena_reset(&arena);
}

static void test_refused(void **unused)
{
#define V1 "\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\""
#define V0 "\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,\"appliedOffset\":0"
	static const char *const bad[] = {
		"", "{}", "null", "[]", "\"\"", "{" V1 "}",
		"{" V1 ",\"data_version\":2}", "{" V1 ",\"data_version\":-1}",
		"{" V1 ",\"data_version\":0}", "{" V0 ",\"data_version\":0}", "{" V1 ",\"data_version\":1}x",
		"{" V1 ",\"data_version\":1}{}", "{" V1 ",\"data_version\":1,}", "{," V1 ",\"data_version\":1}",
		"{" V1 ",\"data_version\":\"1\"}", "{" V1 ",\"data_version\":1.0}",
		"{" V1 ",\"x\":[],\"data_version\":1}",
		"{" V1 ",\"x\":,\"data_version\":1}", "{" V1 ",\"leaderEpoch\":-1,\"data_version\":1}",
		"{" V1 ",\"leaderId\":2147483648,\"data_version\":1}", "{" V1 ",\"leaderId\":-2,\"data_version\":1}",
		"{" V1 ",\"votedDirectoryId\":\"AAAA\",\"data_version\":1}",
		"{" V1 ",\"votedId\":null,\"data_version\":1}",
		"{" V0 ",\"currentVoters\":[{}],\"data_version\":0}",
		"{" V0 ",\"currentVoters\":[1],\"data_version\":0}",
		"{" V0 ",\"currentVoters\":[{\"voterId\":1},],\"data_version\":0}",
		"{" V0 ",\"currentVoters\":{\"voterId\":1},\"data_version\":0}",
		"{" V0 ",\"clusterId\":\"\\u0041\",\"currentVoters\":[],\"data_version\":0}",
	};

	check_round("{" V1 ",\"data_version\":1}");
	check_round("{" V0 ",\"currentVoters\":[],\"data_version\":0}");
	for (size_t i = 0; i < ARRAY_N(bad); i++) {
		struct arena arena = {0};
		struct quorum_state state;

		if (parse(bad[i], &state, &arena) != ERR_CORRUPT_FILE)
			fail_msg("taken: %s", bad[i]);
		arena_reset(&arena);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_refused),
	};

	if (argc != 2) {
		fprintf(stderr, "wants the file of lines\n");
		return 2;
	}
	lines_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
