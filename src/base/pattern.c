/* SPDX-License-Identifier: Apache-2.0 */
/* See pattern.h. PCRE2 allocates through mem_*, so that its memory counts and simulated nodes leave none behind. */
#include "pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "check.h"
#include "mem.h"

#define RE2_REPEAT_MAX 1000

struct pattern {
	pcre2_general_context *general;
	pcre2_code *code;
	pcre2_match_context *match;
	pcre2_match_data *data;
};

static void *pattern_malloc(size_t size, void *ctx UNUSED)
{
	return mem_alloc(size);
}

static void pattern_mem_free(void *p, void *ctx UNUSED)
{
	mem_free(p);
}

static enum err pattern_refuse(struct err_text *text, const char *what)
{
	return err_text_set(text, ERR_INVALID_REGULAR_EXPRESSION, "%s", what);
}

/* A name, flags, or nothing may follow "(?" in RE2. */
static bool re2_group_is_known(const char *p, const char *end)
{
	const char *flag = p;

	if (p < end && *p == 'P')
		return end - p > 1 && p[1] == '<';
	if (p < end && *p == '<')
		return end - p > 1 && p[1] != '=' && p[1] != '!';
	while (flag < end && strchr("imsU-", *flag))
		flag++;
	return flag < end && (*flag == ':' || (*flag == ')' && flag > p));
}

/* What may follow a backslash in RE2: punctuation, classes, and the escapes of characters and of places. */
static bool re2_escape_is_known(char c)
{
	if (c >= '0' && c <= '9')
		return c == '0';
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return strchr("abBdDfnpPQrsStvwWxzAE", c) != NULL;
	return true;
}

/* Length of a repeat at p ("*", "+", "?", "{2,3}"), 0 when there is none. */
static size_t re2_repeat_len(const char *p, const char *end)
{
	const char *at = p;

	if (p == end)
		return 0;
	if (*p == '*' || *p == '+' || *p == '?')
		return 1;
	if (*p != '{')
		return 0;
	for (at++; at < end && ((*at >= '0' && *at <= '9') || *at == ','); at++)
		;
	return at < end && *at == '}' && at > p + 1 && p[1] != ',' ? (size_t)(at - p) + 1 : 0;
}

/* Does a repeat "{2,3}" ask for more than RE2 unfolds? */
static bool re2_repeat_is_too_long(const char *p, size_t len)
{
	int n = 0;

	for (size_t i = 1; *p == '{' && i + 1 < len; i++) {
		n = p[i] == ',' ? 0 : n * 10 + (p[i] - '0');
		if (n > RE2_REPEAT_MAX)
			return true;
	}
	return false;
}

/* Where a character class that begins at p ends: behind its bracket, or at the end. */
static const char *re2_skip_class(const char *p, const char *end)
{
	p++;
	if (p < end && *p == '^')
		p++;
	if (p < end && *p == ']')
		p++;
	while (p < end && *p != ']') {
		if (*p == '\\' && end - p > 1) {
			p += 2;
		} else if (end - p > 1 && p[0] == '[' && p[1] == ':') {
			for (p += 2; end - p > 1 && !(p[0] == ':' && p[1] == ']'); p++)
				;
			p += end - p > 1 ? 2 : 0;
		} else {
			p++;
		}
	}
	return p < end ? p + 1 : p;
}

/* Refuses what PCRE2 would take and RE2 does not know. What neither takes is left to PCRE2. */
static enum err re2_check(struct str source, struct err_text *text)
{
	const char *p = source.p, *end = source.p + source.len;
	size_t repeats_n = 0; /* directly behind each other */

	while (p < end) {
		size_t repeat_len = re2_repeat_len(p, end);

		if (repeat_len) {
			/* One "?" may follow: it makes the repeat take the least. */
			repeats_n++;
			if (repeats_n > 2 || (repeats_n == 2 && *p != '?'))
				return pattern_refuse(text, "invalid nested repetition operator");
			if (re2_repeat_is_too_long(p, repeat_len))
				return pattern_refuse(text, "invalid repeat count");
			p += repeat_len;
			continue;
		}
		repeats_n = 0;
		if (*p == '\\') {
			if (end - p < 2)
				return pattern_refuse(text, "trailing backslash at end of expression");
			if (!re2_escape_is_known(p[1]))
				return pattern_refuse(text, "invalid escape sequence");
			p += 2;
			if (p[-1] != 'Q')
				continue;
			for (; p < end && !(end - p > 1 && p[0] == '\\' && p[1] == 'E'); p++)
				;
			p += p < end ? 2 : 0;
		} else if (*p == '(') {
			if (end - p > 1 && p[1] == '*')
				return pattern_refuse(text, "missing argument to repetition operator");
			if (end - p > 1 && p[1] == '?' && !re2_group_is_known(p + 2, end))
				return pattern_refuse(text, "invalid or unsupported Perl syntax");
			p += end - p > 1 && p[1] == '?' ? 2 : 1;
		} else if (*p == '[') {
			p = re2_skip_class(p, end);
		} else {
			p++;
		}
	}
	return ERR_NONE;
}

/* In RE2's words, which are what administrators look up. */
static enum err pattern_refuse_compile(struct err_text *text, int code)
{
	PCRE2_UCHAR reason[120];

	switch (code) {
	case PCRE2_ERROR_MISSING_SQUARE_BRACKET:
		return pattern_refuse(text, "missing closing ]");
	case PCRE2_ERROR_MISSING_CLOSING_PARENTHESIS:
		return pattern_refuse(text, "missing closing )");
	case PCRE2_ERROR_UNMATCHED_CLOSING_PARENTHESIS:
		return pattern_refuse(text, "regexp/syntax: internal error");
	case PCRE2_ERROR_QUANTIFIER_INVALID:
		return pattern_refuse(text, "missing argument to repetition operator");
	case PCRE2_ERROR_QUANTIFIER_TOO_BIG:
	case PCRE2_ERROR_QUANTIFIER_OUT_OF_ORDER:
		return pattern_refuse(text, "invalid repeat count");
	case PCRE2_ERROR_CLASS_RANGE_ORDER:
	case PCRE2_ERROR_UNKNOWN_POSIX_CLASS:
		return pattern_refuse(text, "invalid character class range");
	default:
		pcre2_get_error_message(code, reason, sizeof(reason));
		return pattern_refuse(text, (const char *)reason);
	}
}

static enum err pattern_compile(struct pattern *pattern, struct str source, struct err_text *text)
{
	pcre2_compile_context *compile = pcre2_compile_context_create(pattern->general);
	PCRE2_SIZE at;
	int code;

	CHECK(compile);
	pcre2_set_max_pattern_length(compile, PATTERN_LEN_MAX);
	pcre2_set_parens_nest_limit(compile, PATTERN_DEPTH_MAX);
	pattern->code = pcre2_compile((PCRE2_SPTR)(source.len ? source.p : ""), source.len,
				      PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C |
					      PCRE2_DOLLAR_ENDONLY,
				      &code, &at, compile);
	pcre2_compile_context_free(compile);
	if (pattern->code)
		return ERR_NONE;
	return pattern_refuse_compile(text, code);
}

enum err pattern_new(struct str source, enum pattern_syntax syntax, struct pattern **ret, struct err_text *text)
{
	struct pattern *pattern;
	enum err err = ERR_NONE;

	if (source.len > PATTERN_LEN_MAX)
		return err_text_set(text, ERR_TOO_LARGE, "%zu bytes, more than the %d allowed", source.len,
				    PATTERN_LEN_MAX);
	if (syntax == PATTERN_RE2)
		err = re2_check(source, text);
	if (err)
		return err;
	pattern = MEM_NEW(struct pattern);
	pattern->general = pcre2_general_context_create(pattern_malloc, pattern_mem_free, NULL);
	CHECK(pattern->general);
	err = pattern_compile(pattern, source, text);
	if (err) {
		pattern_free(pattern);
		return err;
	}
	pattern->match = pcre2_match_context_create(pattern->general);
	/* One pair: where the whole match lies. */
	pattern->data = pcre2_match_data_create(1, pattern->general);
	CHECK(pattern->match && pattern->data);
	pcre2_set_match_limit(pattern->match, PATTERN_STEPS_MAX);
	pcre2_set_heap_limit(pattern->match, 1024);
	*ret = pattern;
	return ERR_NONE;
}

void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	pcre2_match_data_free(pattern->data);
	pcre2_match_context_free(pattern->match);
	pcre2_code_free(pattern->code);
	pcre2_general_context_free(pattern->general);
	mem_free(pattern);
}

enum err pattern_match(const struct pattern *pattern, struct str subject, bool *ret)
{
	int n = pcre2_match(pattern->code, (PCRE2_SPTR)(subject.len ? subject.p : ""), subject.len, 0, 0,
			    pattern->data, pattern->match);

	if (n == PCRE2_ERROR_MATCHLIMIT || n == PCRE2_ERROR_DEPTHLIMIT || n == PCRE2_ERROR_HEAPLIMIT)
		return ERR_TOO_LARGE;
	/* Anything else below zero: no match, or a subject that is not UTF-8. */
	*ret = n >= 0;
	return ERR_NONE;
}
