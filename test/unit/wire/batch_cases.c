/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the golden batches. See batch_cases.h. */
#include "batch_cases.h"

#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "mem.h"

#define CASES_MAX 4096
#define RECORDS_MAX 4096

static int hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct bytes hex_read(struct arena *arena, const char *hex, size_t len)
{
	uint8_t *p = arena_alloc(arena, len / 2 + 1);

	for (size_t i = 0; i < len / 2; i++)
		p[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	return (struct bytes){p, len / 2};
}

struct bytes bytes_of_hex(struct arena *arena, const char *hex)
{
	return hex_read(arena, hex, strlen(hex));
}

static struct bytes word_blob(struct arena *arena, char **save)
{
	char *word = strtok_r(NULL, " \n", save);

	CHECK(word);
	if (word[0] == '-')
		return BYTES_NULL;
	CHECK_OP(word[0], ==, '=');
	return hex_read(arena, word + 1, strlen(word + 1));
}

static int64_t word_int(char **save)
{
	char *word = strtok_r(NULL, " \n", save);

	CHECK(word);
	return strtoll(word, NULL, 10);
}

static void read_case(struct batch_cases *cases, char **save)
{
	struct batch_case *c = &cases->v[cases->n++];
	char *kind = strtok_r(NULL, " \n", save);

	CHECK_OP(cases->n, <=, (size_t)CASES_MAX);
	c->kind = arena_str(&cases->arena, str_of(kind));
	c->seed = word_int(save);
	CHECK(!codec_parse(str_of(strtok_r(NULL, " \n", save)), &c->codec));
	c->bytes = word_blob(&cases->arena, save);
	c->batches = ARENA_NEW_N(&cases->arena, struct case_batch, CASE_BATCHES_MAX);
}

static void read_batch(struct batch_cases *cases, char **save)
{
	struct batch_case *c = &cases->v[cases->n - 1];
	struct case_batch *b = &c->batches[c->batches_n++];
	struct batch_info *info = &b->info;

	CHECK_OP(c->batches_n, <=, CASE_BATCHES_MAX);
	info->magic = (int8_t)word_int(save);
	info->base_offset = word_int(save);
	info->size = (size_t)word_int(save) + BATCH_PREFIX_LEN;
	info->leader_epoch = (int32_t)word_int(save);
	info->crc = (uint32_t)word_int(save);
	info->attributes = (uint16_t)word_int(save);
	info->last_offset_delta = (int32_t)word_int(save);
	info->last_offset = word_int(save);
	info->base_timestamp = word_int(save);
	info->max_timestamp = word_int(save);
	info->producer_id = word_int(save);
	info->producer_epoch = (int16_t)word_int(save);
	info->base_sequence = (int32_t)word_int(save);
	info->records_n = (int32_t)word_int(save);
}

static void read_record(struct batch_cases *cases, char **save)
{
	struct batch_case *c = &cases->v[cases->n - 1];
	struct case_batch *b = &c->batches[c->batches_n - 1];
	struct case_record *r;

	if (!b->records)
		b->records = ARENA_NEW_N(&cases->arena, struct case_record, RECORDS_MAX);
	r = &b->records[b->records_n++];
	CHECK_OP(b->records_n, <=, RECORDS_MAX);
	r->offset = word_int(save);
	r->timestamp = word_int(save);
	r->sequence = (int32_t)word_int(save);
	r->key = word_blob(&cases->arena, save);
	r->value = word_blob(&cases->arena, save);
	r->headers_n = (int32_t)word_int(save);
	r->headers = ARENA_NEW_N(&cases->arena, struct record_header, r->headers_n + 1);
	for (int32_t i = 0; i < r->headers_n; i++) {
		r->headers[i].key = bytes_str(word_blob(&cases->arena, save));
		r->headers[i].value = word_blob(&cases->arena, save);
	}
}

void batch_cases_load(struct batch_cases *cases, const char *path)
{
	FILE *f = path ? fopen(path, "r") : NULL;
	char *line = NULL;
	size_t cap = 0;

	if (!f) {
		fprintf(stderr, "usage: test FILE-OF-GOLDEN-BATCHES\n");
		abort();
	}
	memset(cases, 0, sizeof(*cases));
	cases->v = ARENA_NEW_N(&cases->arena, struct batch_case, CASES_MAX);
	while (getline(&line, &cap, f) > 0) {
		char *save;
		char *word = strtok_r(line, " \n", &save);

		if (str_eq_c(STR("case"), word))
			read_case(cases, &save);
		else if (str_eq_c(STR("batch"), word))
			read_batch(cases, &save);
		else
			read_record(cases, &save);
	}
	free(line);
	fclose(f);
	CHECK_OP(cases->n, >, (size_t)0);
}

void batch_cases_free(struct batch_cases *cases)
{
	arena_reset(&cases->arena);
}

uint8_t *bytes_dup(struct bytes b)
{
	uint8_t *p = mem_alloc(b.len);

	if (b.len)
		memcpy(p, b.p, b.len);
	return p;
}
