/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions that clients send (topic subscriptions, selectors of client metrics), over PCRE2 without JIT.
 * They are hostile input: the text is short, the syntax is checked first, and a match may take so many steps only.
 *
 * PATTERN_RE2 takes what RE2 takes and Kafka's brokers compile (RE2J): no look-around, back-references, atomic groups,
 * possessive repeats, conditions or recursion. PATTERN_JAVA takes what PCRE2 takes, which is nearly java.util.regex.
 */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H

#include "bytes.h"
#include "fmt.h"

#define PATTERN_LEN_MAX 4096
/* Steps and nesting that one match may take. */
#define PATTERN_STEPS_MAX 100000
#define PATTERN_DEPTH_MAX 250

struct pattern;

enum pattern_syntax { PATTERN_RE2, PATTERN_JAVA };

/* ERR_INVALID_REGULAR_EXPRESSION with a reason ("missing closing parenthesis at 4"), or ERR_TOO_LARGE. */
enum err pattern_new(struct str source, enum pattern_syntax syntax, struct pattern **ret, struct err_text *text)
	MUST_USE;
void pattern_free(struct pattern *pattern);
/* Does all of `subject` match? ERR_TOO_LARGE when that takes more steps than allowed. */
enum err pattern_match(const struct pattern *pattern, struct str subject, bool *ret) MUST_USE;

#endif
