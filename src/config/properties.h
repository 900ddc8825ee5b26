/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java properties text: comments with # or !, keys ended by =, : or a blank, \ escapes, lines continued by a
 * final
 * \. The text may come from anywhere; it can only fail by a malformed \u escape or by being too large.
 *
 * Java reads the bytes as ISO-8859-1. We read valid UTF-8 as UTF-8 and everything else as ISO-8859-1, so that
 * both kinds of files give the text their author meant. Keys and values are handed out as UTF-8.
 */
#ifndef CONFIG_PROPERTIES_H
#define CONFIG_PROPERTIES_H

#include "arena.h"
#include "err.h"

/* Largest text that is read. */
#define PROPERTIES_TEXT_MAX ((size_t)4 << 20)

struct properties {
	struct bytes text;
	size_t at;
	int line; /* of the next byte, from 1 */
	bool is_utf8;
	struct arena *arena; /* gets keys and values */
	char *buf;	     /* the logical line being put together; text.len bytes of the arena */
};

struct property {
	struct str key;
	struct str value;
	int line; /* where its logical line begins, from 1 */
};

/* ERR_TOO_LARGE for a text above PROPERTIES_TEXT_MAX. The text must stay as long as the reader. */
enum err properties_init(struct properties *reader, struct bytes text, struct arena *arena) MUST_USE;
/* The next pair; ERR_NOT_FOUND at the end, ERR_INVALID_TEXT for a malformed \u escape (ret->line says where;
 * the next call goes on behind it). */
enum err properties_next(struct properties *reader, struct property *ret) MUST_USE;

#endif
