/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text, as the original prints them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "setting.h"

void setting_format_double(double d, struct fmt *ret)
{
	char buf[40];
	char digits[24];
	size_t n = 0;
	int exponent;
	const char *p;

	if (isnan(d) || isinf(d)) {
		fmt_add(ret, "%s", isnan(d) ? "NaN" : d < 0 ? "-Infinity" : "Infinity");
		return;
	}
	for (int precision = 0; precision < 18; precision++) {
		snprintf(buf, sizeof(buf), "%.*e", precision, d);
		if (strtod(buf, NULL) == d)
			break;
	}
	for (p = buf; *p != 'e'; p++) {
		if (*p >= '0' && *p <= '9' && n + 1 < sizeof(digits))
			digits[n++] = *p;
	}
	exponent = (int)strtol(p + 1, NULL, 10);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	digits[n] = '\0';
	if (signbit(d))
		fmt_add(ret, "-");
	if (d == 0) {
		fmt_add(ret, "0.0");
	} else if (exponent >= 7 || exponent < -3) {
		fmt_add(ret, "%c.%sE%d", digits[0], n > 1 ? digits + 1 : "0", exponent);
	} else if (exponent < 0) {
		fmt_add(ret, "0.%.*s%s", -exponent - 1, "000", digits);
	} else {
		for (int i = 0; i <= exponent; i++)
			fmt_add(ret, "%c", (size_t)i < n ? digits[i] : '0');
		fmt_add(ret, ".%s", n > (size_t)exponent + 1 ? digits + exponent + 1 : "0");
	}
}

static void format_list(const struct setting_def *def, struct str list, struct fmt *ret)
{
	struct setting_list_pos pos = {0};
	struct str seen[16]; /* more elements than that are printed as they stand */
	struct str item;
	size_t n = 0;
	bool is_first = true;

	while (setting_list_next(list, &pos, &item)) {
		if (setting_is_repeated(def, seen, n, item))
			continue;
		if (n < ARRAY_N(seen))
			seen[n++] = item;
		fmt_add(ret, "%s%.*s", is_first ? "" : ",", STR_ARGS(item));
		is_first = false;
	}
}

void setting_format(const struct setting_def *def, const struct setting_value *value, struct fmt *ret)
{
	if (value->is_null)
		return;
	switch (def->type) {
	case SETTING_TYPE_BOOLEAN:
		fmt_add(ret, "%s", value->b ? "true" : "false");
		break;
	case SETTING_TYPE_SHORT:
	case SETTING_TYPE_INT:
	case SETTING_TYPE_LONG:
		fmt_add(ret, "%lld", (long long)value->i);
		break;
	case SETTING_TYPE_DOUBLE:
		setting_format_double(value->d, ret);
		break;
	case SETTING_TYPE_LIST:
		format_list(def, value->s, ret);
		break;
	case SETTING_TYPE_STRING:
	case SETTING_TYPE_CLASS:
	case SETTING_TYPE_PASSWORD:
		fmt_add_str(ret, value->s);
		break;
	}
}

void setting_format_field(const struct setting_def *def, const void *base, bool is_null, struct fmt *ret)
{
	const void *field = (const char *)base + def->offset;
	struct setting_value v = {.is_null = is_null};

	switch (def->type) {
	case SETTING_TYPE_BOOLEAN:
		v.b = *(const bool *)field;
		break;
	case SETTING_TYPE_SHORT:
		v.i = *(const int16_t *)field;
		break;
	case SETTING_TYPE_INT:
		v.i = *(const int32_t *)field;
		break;
	case SETTING_TYPE_LONG:
		v.i = *(const int64_t *)field;
		break;
	case SETTING_TYPE_DOUBLE:
		v.d = *(const double *)field;
		break;
	case SETTING_TYPE_LIST:
		if (def->family != SETTING_FAMILY_TOPIC) {
			const struct str_list *list = field;

			for (size_t i = 0; !is_null && i < list->n; i++)
				fmt_add(ret, "%s%.*s", i ? "," : "", STR_ARGS(list->v[i]));
			return;
		}
		v.s = *(const struct str *)field;
		break;
	case SETTING_TYPE_STRING:
	case SETTING_TYPE_CLASS:
	case SETTING_TYPE_PASSWORD:
		v.s = *(const struct str *)field;
		break;
	}
	setting_format(def, &v, ret);
}
