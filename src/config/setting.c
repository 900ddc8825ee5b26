/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading one value. The order of the steps is the original's, since it decides which of two mistakes is named: trim,
 * convert to the type, then bounds. Numbers are decimal with an optional sign; a double may be written in every form
 * Java takes. A list is split at commas, its elements are trimmed; an empty text is an empty list.
 */
#include "setting.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "check.h"

static const struct {
	int first;
	size_t n;
} families[] = {
	[SETTING_FAMILY_BROKER] = {BROKER_SETTING_FIRST, BROKER_SETTING_N},
	[SETTING_FAMILY_TOPIC] = {TOPIC_SETTING_FIRST, TOPIC_SETTING_N},
	[SETTING_FAMILY_GROUP] = {GROUP_SETTING_FIRST, GROUP_SETTING_N},
};

const struct setting_def *setting_family_defs(enum setting_family family, size_t *ret_n)
{
	*ret_n = families[family].n;
	return &setting_defs[families[family].first];
}

const struct setting_def *setting_find_in(enum setting_family family, struct str name)
{
	size_t n;
	const struct setting_def *defs = setting_family_defs(family, &n);

	for (size_t i = 0; i < n; i++) {
		if (defs[i].name.len == name.len && str_eq(defs[i].name, name))
			return &defs[i];
	}
	return NULL;
}

const struct setting_def *setting_find(struct str name)
{
	return setting_find_in(SETTING_FAMILY_BROKER, name);
}

enum setting_id setting_id(const struct setting_def *def)
{
	return (enum setting_id)(def - setting_defs);
}

bool setting_is_sensitive(const struct setting_def *def)
{
	return def->type == SETTING_TYPE_PASSWORD;
}

struct str setting_trim(struct str s)
{
	while (s.len > 0 && (unsigned char)s.p[0] <= ' ') {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && (unsigned char)s.p[s.len - 1] <= ' ')
		s.len--;
	return s;
}

bool setting_list_next(struct str list, struct setting_list_pos *pos, struct str *ret)
{
	const char *comma;
	size_t end;

	if (pos->at == 0)
		pos->is_done = setting_trim(list).len == 0;
	if (pos->is_done)
		return false;
	comma = memchr(list.p + pos->at, ',', list.len - pos->at);
	end = comma ? (size_t)(comma - list.p) : list.len;
	*ret = setting_trim((struct str){list.p + pos->at, end - pos->at});
	pos->at = end + 1;
	pos->is_done = comma == NULL;
	return true;
}

static enum err refuse(const struct setting_def *def, struct str value, struct err_text *text,
		       const char *why)
{
	return err_text_set(text, ERR_INVALID_CONFIG, "Invalid value %.*s for configuration %.*s: %s",
			    STR_ARGS(value), STR_ARGS(def->name), why);
}

/* Decimal with an optional sign; false when it is none or does not fit 64 bits. */
static bool parse_decimal(struct str s, int64_t *ret)
{
	bool is_negative = s.len > 0 && s.p[0] == '-';
	size_t i = is_negative || (s.len > 0 && s.p[0] == '+');
	int64_t v = 0;

	if (i == s.len)
		return false;
	for (; i < s.len; i++) {
		int digit = s.p[i] - '0';

		if (digit < 0 || digit > 9)
			return false;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, digit, &v))
			return false;
	}
	if (!is_negative && v == INT64_MIN)
		return false;
	*ret = is_negative ? v : -v;
	return true;
}

/* Every character that may stand in a double of Java; what strtod takes beyond that (nan(...), inf) is not
 * among the words let through. */
static bool parse_double(struct str s, double *ret)
{
	char buf[400];
	char *end;
	size_t sign;

	if (s.len == 0 || s.len >= sizeof(buf))
		return false;
	sign = s.p[0] == '-' || s.p[0] == '+';
	if (str_eq((struct str){s.p + sign, s.len - sign}, STR("NaN")) ||
	    str_eq((struct str){s.p + sign, s.len - sign}, STR("Infinity"))) {
		*ret = s.p[sign] == 'N' ? (double)NAN : s.p[0] == '-' ? -(double)INFINITY : (double)INFINITY;
		return true;
	}
	memcpy(buf, s.p, s.len);
	buf[s.len] = '\0';
	if (memchr(buf, '\0', s.len) || strspn(buf, "0123456789+-.eExXaAbBcCdDfFpP") != s.len)
		return false;
	*ret = strtod(buf, &end);
	if (end == buf)
		return false;
	if (*end != '\0' && strchr("fFdD", *end))
		end++;
	return *end == '\0';
}

static enum err parse_integer(const struct setting_def *def, struct str value, int64_t *ret,
			      struct err_text *text)
{
	int64_t limit = def->type == SETTING_TYPE_SHORT ? INT16_MAX
			: def->type == SETTING_TYPE_INT ? INT32_MAX
							: INT64_MAX;
	const char *kind = def->type == SETTING_TYPE_SHORT ? "SHORT"
			   : def->type == SETTING_TYPE_INT ? "INT"
							   : "LONG";
	char why[40];
	int64_t v;

	if (!parse_decimal(setting_trim(value), &v) || v > limit || v < -limit - 1) {
		snprintf(why, sizeof(why), "Not a number of type %s", kind);
		return refuse(def, value, text, why);
	}
	*ret = v;
	return ERR_NONE;
}

static enum err check_range_i(const struct setting_def *def, int64_t v, struct err_text *text)
{
	char shown[24];
	char why[120];

	if (def->has_other) {
		if (v == def->other_i || (v >= def->min_i && v <= def->max_i))
			return ERR_NONE;
		snprintf(why, sizeof(why), "Value must be between %lld and %lld or equal to %lld",
			 (long long)def->min_i, (long long)def->max_i, (long long)def->other_i);
	} else if (def->has_min && v < def->min_i) {
		snprintf(why, sizeof(why), "Value must be at least %lld", (long long)def->min_i);
	} else if (def->has_max && v > def->max_i) {
		snprintf(why, sizeof(why), "Value must be no more than %lld", (long long)def->max_i);
	} else {
		return ERR_NONE;
	}
	snprintf(shown, sizeof(shown), "%lld", (long long)v);
	return refuse(def, str_of(shown), text, why);
}

static void format_bound(double d, char *buf, size_t cap)
{
	struct fmt f;

	if (d == floor(d) && fabs(d) < 1e15) {
		snprintf(buf, cap, "%.0f", d);
		return;
	}
	fmt_init(&f, buf, cap);
	setting_format_double(d, &f);
}

static enum err check_range_f(const struct setting_def *def, double v, struct err_text *text)
{
	char shown[40];
	char bound[40];
	char why[120];
	struct fmt f;

	/* A NaN passes, as it does in the original. */
	if (def->has_min && v < def->min_f) {
		format_bound(def->min_f, bound, sizeof(bound));
		snprintf(why, sizeof(why), "Value must be at least %s", bound);
	} else if (def->has_max && v > def->max_f) {
		format_bound(def->max_f, bound, sizeof(bound));
		snprintf(why, sizeof(why), "Value must be no more than %s", bound);
	} else {
		return ERR_NONE;
	}
	fmt_init(&f, shown, sizeof(shown));
	setting_format_double(v, &f);
	return refuse(def, str_of(shown), text, why);
}

static bool is_same_nocase(struct str a, const char *b)
{
	return a.len == strlen(b) && strncasecmp(a.p, b, a.len) == 0;
}

static enum err check_one_of(const struct setting_def *def, struct str v, struct err_text *text)
{
	char why[300];
	struct fmt f;

	for (size_t i = 0; i < def->names_n; i++) {
		if (def->is_nocase ? is_same_nocase(v, def->names[i]) : str_eq_c(v, def->names[i]))
			return ERR_NONE;
	}
	fmt_init(&f, why, sizeof(why));
	fmt_add(&f, "String must be one of%s: ", def->is_nocase ? " (case insensitive)" : "");
	for (size_t i = 0; i < def->names_n; i++)
		fmt_add(&f, "%s%s", i ? ", " : "", def->names[i]);
	return refuse(def, v, text, why);
}

static bool is_pair(struct str s)
{
	size_t i = 0, digits = 0;

	while (i < s.len && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	if (i == 0 || i == s.len || s.p[i] != ':')
		return false;
	for (i++; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		digits++;
	return digits > 0 && i == s.len;
}

/* Pairs partition:broker, or a single *. The original prints the list in brackets when it refuses it. */
static enum err check_replicas(const struct setting_def *def, struct str list, struct err_text *text)
{
	struct setting_list_pos pos = {0};
	char shown[200];
	char why[256];
	struct fmt f;
	struct str item;
	bool is_first = true, is_ok = true;

	if (str_eq_c(setting_trim(list), "*"))
		return ERR_NONE;
	fmt_init(&f, shown, sizeof(shown));
	fmt_add(&f, "[");
	while (setting_list_next(list, &pos, &item)) {
		is_ok = is_ok && is_pair(item);
		fmt_add(&f, "%s%.*s", is_first ? "" : ", ", STR_ARGS(item));
		is_first = false;
	}
	fmt_add(&f, "]");
	if (is_ok)
		return ERR_NONE;
	snprintf(why, sizeof(why),
		 "%.*s must be the literal '*' or a list of replicas in the following format: "
		 "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
		 STR_ARGS(def->name));
	return refuse(def, str_of(shown), text, why);
}

static enum err check_list(const struct setting_def *def, struct str list, struct err_text *text)
{
	struct setting_list_pos pos = {0};
	struct str item;
	size_t n = 0;
	char names[200] = "any non-empty value";
	struct fmt f;

	if (def->valid == SETTING_VALID_REPLICAS)
		return check_replicas(def, list, text);
	for (; setting_list_next(list, &pos, &item); n++) {
		if (item.len == 0)
			return err_text_set(text, ERR_INVALID_CONFIG,
					    "Configuration '%.*s' values must not be empty.",
					    STR_ARGS(def->name));
		if (def->valid == SETTING_VALID_ONE_OF) {
			enum err err = check_one_of(def, item, text);

			if (err != ERR_NONE)
				return err;
		}
	}
	if (n > 0 || !def->is_non_empty)
		return ERR_NONE;
	if (def->valid == SETTING_VALID_ONE_OF) {
		fmt_init(&f, names, sizeof(names));
		for (size_t i = 0; i < def->names_n; i++)
			fmt_add(&f, "%s%s", i ? ", " : "[", def->names[i]);
		fmt_add(&f, "]");
	}
	return err_text_set(text, ERR_INVALID_CONFIG,
			    "Configuration '%.*s' must not be empty. Valid values include: %s",
			    STR_ARGS(def->name), names);
}

static enum err refuse_offset_reset(const struct setting_def *def, struct str v, struct err_text *text)
{
	char why[400];

	snprintf(why, sizeof(why),
		 "Invalid value `%.*s` for configuration %.*s. The value must be either 'earliest', 'latest' or of "
		 "the format 'by_duration:<PnDTnHnMn.nS>'.",
		 (int)MIN(v.len, (size_t)100), v.p, STR_ARGS(def->name));
	return refuse(def, v, text, why);
}

/* latest, earliest, or by_duration: and a length of time P[nD][T[nH][nM][nS]]. */
static enum err check_offset_reset(const struct setting_def *def, struct str v, struct err_text *text)
{
	struct str prefix = STR("by_duration:");
	size_t i = prefix.len + 1, numbers = 0;

	if (str_eq_c(v, "latest") || str_eq_c(v, "earliest"))
		return ERR_NONE;
	if (!str_starts(v, prefix) || v.len < i + 2 || (v.p[i - 1] != 'P' && v.p[i - 1] != 'p'))
		return refuse_offset_reset(def, v, text);
	while (i < v.len) {
		size_t start;

		if (v.p[i] == 'T' || v.p[i] == 't')
			i++;
		for (start = i; i < v.len && ((v.p[i] >= '0' && v.p[i] <= '9') || v.p[i] == '.'); i++)
			;
		if (i == start || i == v.len || !strchr("DHMSdhms", v.p[i]))
			return refuse_offset_reset(def, v, text);
		i++;
		numbers++;
	}
	return numbers ? ERR_NONE : refuse_offset_reset(def, v, text);
}

static enum err check_text(const struct setting_def *def, struct str v, struct err_text *text)
{
	if (def->valid == SETTING_VALID_ONE_OF)
		return check_one_of(def, v, text);
	if (def->valid == SETTING_VALID_NON_EMPTY && v.len == 0)
		return refuse(def, v, text, "String must be non-empty");
	if (def->valid == SETTING_VALID_OFFSET_RESET)
		return check_offset_reset(def, v, text);
	return ERR_NONE;
}

enum err setting_parse(const struct setting_def *def, struct str value, struct setting_value *ret,
		       struct err_text *text)
{
	struct setting_value v = {.s = setting_trim(value)};
	enum err err = ERR_NONE;

	CHECK(value.p != NULL);
	if (value.len > SETTING_VALUE_MAX)
		return err_text_set(text, ERR_INVALID_CONFIG,
				    "The value of %.*s has %zu bytes, more than %zu", STR_ARGS(def->name),
				    value.len, SETTING_VALUE_MAX);
	switch (def->type) {
	case SETTING_TYPE_BOOLEAN:
		v.b = is_same_nocase(v.s, "true");
		if (!v.b && !is_same_nocase(v.s, "false"))
			err = refuse(def, value, text, "Expected value to be either true or false");
		break;
	case SETTING_TYPE_SHORT:
	case SETTING_TYPE_INT:
	case SETTING_TYPE_LONG:
		err = parse_integer(def, value, &v.i, text);
		if (err == ERR_NONE)
			err = check_range_i(def, v.i, text);
		break;
	case SETTING_TYPE_DOUBLE:
		if (!parse_double(v.s, &v.d))
			err = refuse(def, value, text, "Not a number of type DOUBLE");
		else
			err = check_range_f(def, v.d, text);
		break;
	case SETTING_TYPE_LIST:
		err = check_list(def, v.s, text);
		break;
	case SETTING_TYPE_STRING:
	case SETTING_TYPE_CLASS:
	case SETTING_TYPE_PASSWORD:
		err = check_text(def, v.s, text);
		break;
	}
	if (err == ERR_NONE)
		*ret = v;
	return err;
}

struct setting_value setting_default(const struct setting_def *def)
{
	struct setting_value v = {.is_null = true, .i = -1};
	struct setting_def free_def = *def;

	if (!def->default_text)
		return v;
	/* The original's own defaults may stand outside its own rules. */
	free_def.has_min = free_def.has_max = free_def.has_other = free_def.is_non_empty = false;
	if (setting_parse(&free_def, str_of(def->default_text), &v, NULL) != ERR_NONE)
		UNREACHABLE();
	return v;
}

bool setting_is_repeated(const struct setting_def *def, const struct str *v, size_t n, struct str item)
{
	for (size_t i = 0; def->valid != SETTING_VALID_REPLICAS && i < n; i++) {
		if (str_eq(v[i], item))
			return true;
	}
	return false;
}

static void store_list(const struct setting_def *def, struct str_list *field, struct str text,
		       struct arena *arena)
{
	struct setting_list_pos pos = {0};
	struct str item;
	struct str *v;
	size_t max = 1, n = 0;

	for (size_t i = 0; i < text.len; i++)
		max += text.p[i] == ',';
	v = ARENA_NEW_N(arena, struct str, max);
	while (setting_list_next(text, &pos, &item)) {
		if (!setting_is_repeated(def, v, n, item))
			v[n++] = arena_str(arena, item);
	}
	*field = (struct str_list){v, n};
}

void setting_store(const struct setting_def *def, void *base, const struct setting_value *value,
		   struct arena *arena)
{
	void *field = (char *)base + def->offset;

	switch (def->type) {
	case SETTING_TYPE_BOOLEAN:
		*(bool *)field = value->b;
		break;
	case SETTING_TYPE_SHORT:
		*(int16_t *)field = (int16_t)value->i;
		break;
	case SETTING_TYPE_INT:
		*(int32_t *)field = (int32_t)value->i;
		break;
	case SETTING_TYPE_LONG:
		*(int64_t *)field = value->i;
		break;
	case SETTING_TYPE_DOUBLE:
		*(double *)field = value->d;
		break;
	case SETTING_TYPE_LIST:
		if (def->family == SETTING_FAMILY_TOPIC)
			*(struct str *)field = arena ? arena_str(arena, value->s) : value->s;
		else if (value->is_null)
			*(struct str_list *)field = (struct str_list){NULL, 0};
		else
			store_list(def, field, value->s, arena);
		break;
	case SETTING_TYPE_STRING:
	case SETTING_TYPE_CLASS:
	case SETTING_TYPE_PASSWORD:
		*(struct str *)field = arena ? arena_str(arena, value->s) : value->s;
		break;
	}
}
