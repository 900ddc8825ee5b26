/* SPDX-License-Identifier: Apache-2.0 */
/* See topic_name.h. */
#include "topic_name.h"

static bool topic_name_has_good_chars(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
		      c == '_' || c == '-'))
			return false;
	}
	return true;
}

enum err topic_name_check(struct str name, struct err_text *text)
{
	enum err err = ERR_INVALID_TOPIC_EXCEPTION;

	if (name.len == 0)
		return err_text_set(text, err, "Topic name is invalid: the empty string is not allowed");
	if (str_eq_c(name, ".") || str_eq_c(name, ".."))
		return err_text_set(text, err, "Topic name is invalid: '%.*s' is not allowed", STR_ARGS(name));
	if (name.len > TOPIC_NAME_LEN_MAX)
		return err_text_set(text, err,
				    "Topic name is invalid: the length of '%.*s' is longer than the max allowed "
				    "length %d", (int)MIN(name.len, (size_t)300), name.p, TOPIC_NAME_LEN_MAX);
	if (!topic_name_has_good_chars(name))
		return err_text_set(text, err,
				    "Topic name is invalid: '%.*s' contains one or more characters other than ASCII "
				    "alphanumerics, '.', '_' and '-'", STR_ARGS(name));
	return ERR_NONE;
}

bool topic_name_can_collide(struct str name)
{
	return memchr(name.p, '.', name.len) || memchr(name.p, '_', name.len);
}

struct str topic_name_unify(struct str name, struct arena *arena)
{
	char *copy = arena_alloc(arena, name.len + 1);

	for (size_t i = 0; i < name.len; i++)
		copy[i] = name.p[i] == '.' ? '_' : name.p[i];
	return (struct str){copy, name.len};
}
