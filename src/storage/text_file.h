/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame that Kafka's checkpoint files share: a line with version 0, a line with the number of entries,
 * then one line per entry with words between blanks. Pure; everything that is not exactly that is
 * ERR_CORRUPT_FILE.
 */
#ifndef STORAGE_TEXT_FILE_H
#define STORAGE_TEXT_FILE_H

#include "fmt.h"

struct text_file {
	struct str rest;
	int32_t left; /* entries still to come */
};

/* Takes the first line off *text, without its end; false when there is none. */
bool text_line(struct str *text, struct str *ret);
enum err text_file_open(struct text_file *file, struct str text) MUST_USE;
/* The next entry, which has exactly words_n words; false at the end or with *ret_err set. At the end nothing
 * may follow. */
bool text_file_next(struct text_file *file, struct str *words, int words_n, enum err *ret_err);

#endif
