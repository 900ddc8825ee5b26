/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One setting: find its definition, read a value with the original's rules and wording, write it back as
 * text, put it into its struct's field. The tables behind it are generated from schema/; see there for the
 * grammar.
 */
#ifndef CONFIG_SETTING_H
#define CONFIG_SETTING_H

#include "err.h"
#include "fmt.h"
#include "settings.h"

/* Longest text of one value that is read at all. */
#define SETTING_VALUE_MAX ((size_t)1 << 20)

/* A value that has been read. Text and lists are borrowed from the text it was read from. */
struct setting_value {
	bool is_null;
	bool b;
	int64_t i; /* short, int, long */
	double d;
	struct str s; /* string, class, password; a list's whole text */
};

/* Definition by name, in one family; NULL when unknown. */
const struct setting_def *setting_find_in(enum setting_family family, struct str name);
/* A node setting. */
const struct setting_def *setting_find(struct str name);
enum setting_id setting_id(const struct setting_def *def);
/* The definitions of one family, in the order of its table. */
const struct setting_def *setting_family_defs(enum setting_family family, size_t *ret_n);
/* Passwords are never shown. */
bool setting_is_sensitive(const struct setting_def *def);

/* Reads and checks one value. ERR_INVALID_CONFIG with the original's words in `text` (NULL is fine):
 * "Invalid value -2 for configuration segment.bytes: Value must be at least 1048576". */
enum err setting_parse(const struct setting_def *def, struct str value, struct setting_value *ret,
		       struct err_text *text) MUST_USE;
/* The value of the definition's default; null for required keys. */
struct setting_value setting_default(const struct setting_def *def);

/* Puts a value into its field of the struct at `base` (of the definition's family). Text and the elements of
 * lists are copied into `arena`; with arena NULL text stays borrowed, which only families without lists of
 * elements allow. */
void setting_store(const struct setting_def *def, void *base, const struct setting_value *value,
		   struct arena *arena);

/* Writes a value as the original prints it; nothing for null. Sensitive values are the caller's business. */
void setting_format(const struct setting_def *def, const struct setting_value *value, struct fmt *ret);
/* The same for the field of the struct at `base`. is_null: as the struct's origin says. */
void setting_format_field(const struct setting_def *def, const void *base, bool is_null, struct fmt *ret);
/* A double as Java prints it: 0.5, 1.0E-5, 1.7976931348623157E308. */
void setting_format_double(double d, struct fmt *ret);

/* Takes the next element off a comma-separated list: trimmed, possibly empty. False at the end. A zeroed *pos
 * starts. An empty text has no elements. */
struct setting_list_pos {
	size_t at;
	bool is_done;
};
bool setting_list_next(struct str list, struct setting_list_pos *pos, struct str *ret);
/* Without the blanks and control characters at both ends, as Java's trim. */
struct str setting_trim(struct str s);

/* KIP-1161: does `item` stand among the n elements before, and does it count once only? For setting_format.c. */
bool setting_is_repeated(const struct setting_def *def, const struct str *v, size_t n, struct str item);

/* The known name of the family nearest to `name`, or NULL when none is near. */
const struct setting_def *setting_suggest(enum setting_family family, struct str name);

#endif
