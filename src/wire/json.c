/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as JSON, over the tables of the codec. Recursion goes as deep as the schema nests. See json.h. */
#include "json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec_internal.h"
#include "check.h"
#include "fmt.h"
#include "utf8.h"

#define NAME_LEN 64

/* Names that are not the camelCase of ours. */
static const struct {
	const char *ours, *theirs;
} names[] = {
	{"kraft_version", "kRaftVersion"},
	{"kraft_version_feature", "kRaftVersionFeature"},
	{"enable_2pc", "enable2Pc"},
};

void json_raw(struct json_out *out, struct str s)
{
	if (out->err == ERR_NONE)
		out->err = scratch_append(out->to, s.p, s.len);
}

void json_format(struct json_out *out, const char *format, ...)
{
	char text[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_raw(out, (struct str){text, MIN((size_t)MAX(n, 0), sizeof(text) - 1)});
}

static void json_char(struct json_out *out, uint8_t c)
{
	static const char shorts[] = "b\bf\fn\nr\rt\t\"\"\\\\";

	for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
		if ((uint8_t)shorts[i + 1] == c) {
			json_format(out, "\\%c", shorts[i]);
			return;
		}
	}
	if (c < 0x20)
		json_format(out, "\\u%04X", c);
	else
		json_raw(out, (struct str){(const char *)&c, 1});
}

/* Runs that need no change go out at once. */
static void text_out(struct json_out *out, struct bytes b, bool is_escaped)
{
	size_t at = 0, run = 0;

	while (at < b.len && out->err == ERR_NONE) {
		bool is_ok;
		size_t n = utf8_step(b.p + at, b.len - at, &is_ok);

		if (is_ok && !(is_escaped && (b.p[at] < 0x20 || b.p[at] == '"' || b.p[at] == '\\'))) {
			at += n;
			continue;
		}
		json_raw(out, (struct str){(const char *)b.p + run, at - run});
		if (!is_ok)
			json_raw(out, STR("\xef\xbf\xbd"));
		else
			json_char(out, b.p[at]);
		at += n;
		run = at;
	}
	json_raw(out, (struct str){(const char *)b.p + run, at - run});
}

void json_text(struct json_out *out, struct str s)
{
	json_raw(out, STR("\""));
	text_out(out, (struct bytes){(const uint8_t *)s.p, s.len}, true);
	json_raw(out, STR("\""));
}

void json_java_text(struct json_out *out, struct bytes b)
{
	text_out(out, b, false);
}

static void json_base64(struct json_out *out, struct bytes b)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	json_raw(out, STR("\""));
	for (size_t i = 0; i < b.len && out->err == ERR_NONE; i += 3) {
		size_t left = b.len - i;
		uint32_t v = (uint32_t)b.p[i] << 16 | (left > 1 ? (uint32_t)b.p[i + 1] << 8 : 0) |
			     (left > 2 ? b.p[i + 2] : 0);
		char text[4] = {digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63], digits[v & 63]};

		if (left < 3)
			text[3] = '=';
		if (left < 2)
			text[2] = '=';
		json_raw(out, (struct str){text, 4});
	}
	json_raw(out, STR("\""));
}

void json_double(struct json_out *out, double value)
{
	double size = fabs(value);
	char text[40], *e;
	int digits_n = 0, last;
	int32_t exponent;

	if (!isfinite(value)) {
		json_raw(out, isnan(value) ? STR("\"NaN\"")
			      : value > 0  ? STR("\"Infinity\"")
					   : STR("\"-Infinity\""));
		return;
	}
	if (size == 0 || (size >= 1e-3 && size < 1e7)) {
		/* The fewest digits that read back as the same number, one behind the point at least. */
		do
			snprintf(text, sizeof(text), "%.*f", ++digits_n, value);
		while (digits_n < 20 && strtod(text, NULL) != value);
		json_raw(out, str_of(text));
		return;
	}
	do
		snprintf(text, sizeof(text), "%.*e", ++digits_n, value);
	while (digits_n < 17 && strtod(text, NULL) != value);
	e = strchr(text, 'e');
	CHECK(parse_i32(str_of(e + 1 + (e[1] == '+')), &exponent) == ERR_NONE);
	last = (int)(e - text);
	json_format(out, "%.*sE%d", last, text, exponent);
}

static void json_name(struct json_out *out, const char *ours)
{
	char text[NAME_LEN];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_N(names); i++) {
		if (strcmp(names[i].ours, ours) == 0) {
			json_format(out, "\"%s\":", names[i].theirs);
			return;
		}
	}
	for (const char *p = ours; *p && n + 1 < sizeof(text); p++) {
		if (*p != '_') {
			text[n++] = *p;
		} else if (p[1]) {
			p++;
			text[n++] = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
		}
	}
	json_format(out, "\"%.*s\":", (int)n, text);
}

static void json_blob(struct json_out *out, const struct msg_type *owner, const struct msg_field *field,
		      const void *at, const struct json_hook *hook)
{
	struct bytes b;

	if (field->kind == MSG_RECORDS) {
		const struct records *records = at;

		if (records->is_null)
			json_raw(out, STR("null"));
		else
			json_base64(out, (struct bytes){records->piece.mem,
							records->piece.mem ? records->piece.len : 0});
		return;
	}
	memcpy(&b, at, sizeof(b));
	if (!b.p && (field->flags & MSG_FIELD_NULL))
		json_raw(out, STR("null"));
	else if (field->kind == MSG_STRING)
		json_text(out, (struct str){b.p ? (const char *)b.p : "", b.len});
	else if (!hook || !hook->write(hook->ctx, owner, field, b, out))
		json_base64(out, b);
}

static void json_one(struct json_out *out, const struct msg_type *owner, const struct msg_field *field,
		     int16_t version, const void *at, const struct json_hook *hook)
{
	char id[UUID_TEXT_LEN + 1];

	switch ((enum msg_kind)field->kind) {
	case MSG_BOOL:
		json_raw(out, *(const bool *)at ? STR("true") : STR("false"));
		break;
	case MSG_INT8:
		json_format(out, "%d", *(const int8_t *)at);
		break;
	case MSG_INT16:
		json_format(out, "%d", *(const int16_t *)at);
		break;
	case MSG_UINT16:
		json_format(out, "%u", *(const uint16_t *)at);
		break;
	case MSG_INT32:
		json_format(out, "%d", *(const int32_t *)at);
		break;
	case MSG_UINT32:
		json_format(out, "%u", *(const uint32_t *)at);
		break;
	case MSG_INT64:
		json_format(out, "%lld", (long long)*(const int64_t *)at);
		break;
	case MSG_FLOAT64:
		json_double(out, *(const double *)at);
		break;
	case MSG_UUID:
		uuid_format(*(const struct uuid *)at, id);
		json_format(out, "\"%s\"", id);
		break;
	case MSG_STRING:
	case MSG_BYTES:
	case MSG_RECORDS:
		json_blob(out, owner, field, at, hook);
		break;
	case MSG_STRUCT:
		json_message(out, field->type, version, at, hook);
		break;
	}
}

static void json_field(struct json_out *out, const struct msg_type *owner, const struct msg_field *field,
		       int16_t version, const uint8_t *at, const struct json_hook *hook)
{
	const struct codec_array *array = codec_array_at(at);
	const uint8_t *p;

	if (!(field->flags & (MSG_FIELD_ARRAY | MSG_FIELD_POINTER))) {
		json_one(out, owner, field, version, at, hook);
		return;
	}
	p = array->p;
	if (field->flags & MSG_FIELD_POINTER) {
		if (p)
			json_one(out, owner, field, version, p, hook);
		else
			json_raw(out, STR("null"));
		return;
	}
	if (array->n < 0) {
		json_raw(out, STR("null"));
		return;
	}
	json_raw(out, STR("["));
	for (int32_t i = 0; i < array->n && out->err == ERR_NONE; i++, p += field->elem_size) {
		json_raw(out, i ? STR(",") : STR(""));
		json_one(out, owner, field, version, p, hook);
	}
	json_raw(out, STR("]"));
}

static bool is_tagged(const struct msg_type *type, const struct msg_layout *layout, uint16_t field)
{
	for (uint16_t i = 0; i < layout->tags_n; i++) {
		if (type->steps[layout->tags_at + i].field == field)
			return true;
	}
	return false;
}

void json_message(struct json_out *out, const struct msg_type *type, int16_t version, const void *obj,
		  const struct json_hook *hook)
{
	const struct msg_layout *layout = codec_layout_of(type, version);
	bool is_first = true;

	json_raw(out, STR("{"));
	for (uint16_t i = 0; i < type->fields_n && out->err == ERR_NONE; i++) {
		const struct msg_field *field = &type->fields[i];
		const uint8_t *at = (const uint8_t *)obj + field->offset;

		if (version < field->version_first || version > field->version_last)
			continue;
		if (is_tagged(type, layout, i) &&
		    codec_field_equal(field, at, (const uint8_t *)type->defaults + field->offset))
			continue;
		json_raw(out, is_first ? STR("") : STR(","));
		is_first = false;
		json_name(out, field->name);
		json_field(out, type, field, version, at, hook);
	}
	json_raw(out, STR("}"));
}
