/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text into fixed memory, sizes and durations for people, and numbers from text.
 *
 * 1. len < cap and p[len] == '\0' after every call.
 * 2. Once something was cut, nothing is added any more: text never goes on behind a gap.
 */
#include "fmt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "check.h"

void fmt_init(struct fmt *f, char *p, size_t cap)
{
	CHECK_OP(cap, >, 0U);
	*f = (struct fmt){.p = p, .cap = cap};
	p[0] = '\0';
}

void fmt_add_v(struct fmt *f, const char *format, va_list args)
{
	size_t room = f->cap - f->len;
	int n;

	if (f->cut)
		return;
	n = vsnprintf(f->p + f->len, room, format, args);
	CHECK_OP(n, >=, 0);
	f->cut = (size_t)n >= room;
	f->len += f->cut ? room - 1 : (size_t)n;
}

void fmt_add(struct fmt *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fmt_add_v(f, format, args);
	va_end(args);
}

void fmt_add_str(struct fmt *f, struct str s)
{
	size_t n = MIN(s.len, f->cap - f->len - 1);

	if (f->cut)
		return;
	if (n)
		memcpy(f->p + f->len, s.p, n);
	f->len += n;
	f->p[f->len] = '\0';
	f->cut = n < s.len;
}

void fmt_add_size(struct fmt *f, int64_t bytes)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	uint64_t v = bytes < 0 ? UINT64_C(0) - (uint64_t)bytes : (uint64_t)bytes;
	const char *sign = bytes < 0 ? "-" : "";
	uint64_t unit = 1000;
	size_t i = 0;

	if (v < 1000) {
		fmt_add(f, "%s%" PRIu64 " B", sign, v);
		return;
	}
	/* The next unit as soon as rounding would give 1000 of this one. */
	while (i + 1 < ARRAY_N(units) && v >= unit * 1000 - unit / 2) {
		unit *= 1000;
		i++;
	}
	/* One decimal below ten, where it still says something. */
	if (v < unit * 10 - unit / 20) {
		uint64_t tenths = (v + unit / 20) / (unit / 10);

		fmt_add(f, "%s%" PRIu64 ".%" PRIu64 " %s", sign, tenths / 10, tenths % 10, units[i]);
	} else {
		fmt_add(f, "%s%" PRIu64 " %s", sign, (v + unit / 2) / unit, units[i]);
	}
}

void fmt_add_duration(struct fmt *f, int64_t ns)
{
	static const struct {
		uint64_t ns;
		const char *name;
	} units[] = {
		{UINT64_C(86400000000000), "d"}, {UINT64_C(3600000000000), "h"},
		{UINT64_C(60000000000), "min"},  {UINT64_C(1000000000), "s"},
		{1000000, "ms"},                 {1000, "us"},
		{1, "ns"},
	};
	uint64_t v = ns < 0 ? UINT64_C(0) - (uint64_t)ns : (uint64_t)ns;
	size_t i = 0;

	while (i + 1 < ARRAY_N(units) && v < units[i].ns)
		i++;
	fmt_add(f, "%s%" PRIu64 " %s", ns < 0 ? "-" : "", v / units[i].ns, units[i].name);
	/* From a minute on the next smaller unit is worth naming; below, one number says enough. */
	if (units[i].ns > UINT64_C(1000000000)) {
		uint64_t rest = v % units[i].ns / units[i + 1].ns;

		if (rest)
			fmt_add(f, " %" PRIu64 " %s", rest, units[i + 1].name);
	}
}

enum err parse_i64(struct str s, int64_t *ret)
{
	bool negative = s.len > 0 && s.p[0] == '-';
	size_t i = s.len > 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
	int64_t v = 0;

	if (i == s.len)
		return ERR_INVALID_TEXT;
	for (; i < s.len; i++) {
		int digit = s.p[i] - '0';

		if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, negative ? -digit : digit, &v))
			return ERR_INVALID_TEXT;
	}
	*ret = v;
	return ERR_NONE;
}

enum err parse_i32(struct str s, int32_t *ret)
{
	int64_t v;
	enum err err = parse_i64(s, &v);

	if (err)
		return err;
	if (v < INT32_MIN || v > INT32_MAX)
		return ERR_INVALID_TEXT;
	*ret = (int32_t)v;
	return ERR_NONE;
}

enum err parse_f64(struct str s, double *ret)
{
	char text[64];
	char *end;
	double v;

	/* Only plain decimal notation: strtod alone would take hex, "inf", "nan" and leading blanks. */
	if (s.len == 0 || s.len >= sizeof(text))
		return ERR_INVALID_TEXT;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	if (strspn(text, "0123456789+-.eE") != s.len)
		return ERR_INVALID_TEXT;
	errno = 0;
	v = strtod(text, &end);
	/* ERANGE with a small result is underflow, which rounds to the nearest number and is fine. */
	if (end != text + s.len || (errno == ERANGE && (v > 1 || v < -1)))
		return ERR_INVALID_TEXT;
	*ret = v;
	return ERR_NONE;
}

enum err parse_bool(struct str s, bool *ret)
{
	if (s.len == 4 && strncasecmp(s.p, "true", 4) == 0)
		*ret = true;
	else if (s.len == 5 && strncasecmp(s.p, "false", 5) == 0)
		*ret = false;
	else
		return ERR_INVALID_TEXT;
	return ERR_NONE;
}

enum err err_text_set(struct err_text *t, enum err err, const char *format, ...)
{
	va_list args;

	if (t) {
		va_start(args, format);
		if (vsnprintf(t->text, sizeof(t->text), format, args) < 0)
			t->text[0] = '\0';
		va_end(args);
	}
	return err;
}
