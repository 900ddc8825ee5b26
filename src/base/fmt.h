/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text into fixed memory. fmt_* never write past the end and always NUL-terminate; what does not fit is cut and
 * remembered in `cut`. parse_* accept the whole text or nothing.
 */
#ifndef BASE_FMT_H
#define BASE_FMT_H

#include <stdarg.h>

#include "bytes.h"
#include "err.h"

struct fmt {
	char *p;
	size_t cap; /* > 0 */
	size_t len; /* without the NUL */
	bool cut;
};

void fmt_init(struct fmt *f, char *p, size_t cap);
void fmt_add(struct fmt *f, const char *format, ...) PRINTF_LIKE(2, 3);
void fmt_add_v(struct fmt *f, const char *format, va_list args) PRINTF_LIKE(2, 0);
void fmt_add_str(struct fmt *f, struct str s);
/* "148 GB", "4.1 MB", "612 B": decimal, at most four digits. */
void fmt_add_size(struct fmt *f, int64_t bytes);
/* "38 ms", "4 min 10 s", "2 h". */
void fmt_add_duration(struct fmt *f, int64_t ns);

/* ERR_INVALID_TEXT unless the whole text is a decimal number in range. */
enum err parse_i64(struct str s, int64_t *ret) MUST_USE;
enum err parse_i32(struct str s, int32_t *ret) MUST_USE;
enum err parse_f64(struct str s, double *ret) MUST_USE;
enum err parse_bool(struct str s, bool *ret) MUST_USE; /* true or false, any case */

/* Text for people, filled where the facts are known. */
struct err_text {
	char text[512];
};

/* NULL is fine. Returns `err`, so that `return err_text_set(t, ERR_X, ...)` reads well. */
enum err err_text_set(struct err_text *t, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
