/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each code in a message means: title, what happened, why, what to do. The table is schema/messages.tbl.
 */
#ifndef CLI_MESSAGE_H
#define CLI_MESSAGE_H

#include <stddef.h>

struct message {
	const char *code; /* "ML1012" */
	const char *title;
	const char *what;
	const char *why;
	const char *todo; /* may have several lines */
};

/* Generated; in order of the codes. */
extern const struct message messages[];
extern const size_t messages_n;

/* By code in any case, with or without the ML; NULL when there is none. */
const struct message *message_find(const char *code);

#endif
