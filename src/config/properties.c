/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two steps as in Java. First a logical line: blanks at its start dropped, comment and empty lines skipped, a
 * line whose end is escaped joined with the next one, whose leading blanks are dropped too. Then the line is
 * cut into key and value, and each is unescaped.
 *
 * Bounds: a logical line is never longer than the text, and unescaping one escape of six bytes gives at most
 * three, so buffers are sized by the text. ISO-8859-1 bytes above 127 become two bytes of UTF-8.
 */
#include "properties.h"

#include "utf8.h"

enum err properties_init(struct properties *reader, struct bytes text, struct arena *arena)
{
	if (text.len > PROPERTIES_TEXT_MAX)
		return ERR_TOO_LARGE;
	*reader = (struct properties){
		.text = text,
		.line = 1,
		.is_utf8 = utf8_is_valid(bytes_str(text)),
		.arena = arena,
		.buf = arena_alloc_raw(arena, text.len + 1),
	};
	return ERR_NONE;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\f';
}

static bool is_end_of_line(char c)
{
	return c == '\n' || c == '\r';
}

/* Takes one byte; a line break counts once, also as \r\n. */
static char take(struct properties *r)
{
	char c = (char)r->text.p[r->at++];

	if (c == '\n' || (c == '\r' && !(r->at < r->text.len && r->text.p[r->at] == '\n')))
		r->line++;
	return c;
}

/* The next logical line into r->buf. False at the end of the text. */
static bool read_line(struct properties *r, size_t *ret_len, int *ret_line)
{
	bool is_skipping = true;   /* at blanks that do not count */
	bool is_continued = false; /* the line before ended with an escape */
	bool is_escaped = false;   /* an odd number of \ stands directly before */
	size_t len = 0;

	while (r->at < r->text.len) {
		int line = r->line;
		char c = take(r);

		if (is_skipping) {
			if (is_blank(c) || (!is_continued && is_end_of_line(c)))
				continue;
			is_skipping = is_continued = false;
		}
		if (len == 0 && (c == '#' || c == '!')) {
			while (r->at < r->text.len && !is_end_of_line((char)r->text.p[r->at]))
				r->at++;
			is_skipping = true;
			continue;
		}
		if (!is_end_of_line(c)) {
			if (len == 0)
				*ret_line = line;
			r->buf[len++] = c;
			is_escaped = c == '\\' && !is_escaped;
			continue;
		}
		if (len == 0) {
			is_skipping = true;
			continue;
		}
		if (!is_escaped) {
			*ret_len = len;
			return true;
		}
		len--;
		if (r->at == r->text.len) { /* as Java: a line that was only an escape is an empty pair */
			*ret_len = len;
			return true;
		}
		is_skipping = is_continued = true;
		is_escaped = false;
		if (c == '\r' && r->at < r->text.len && r->text.p[r->at] == '\n')
			take(r);
	}
	*ret_len = is_escaped ? len - 1 : len;
	return len > 0;
}

static size_t put_utf8(char *p, uint32_t c)
{
	if (c < 0x80) {
		p[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (char)(0xc0 | (c >> 6));
		p[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (char)(0xe0 | (c >> 12));
		p[1] = (char)(0x80 | ((c >> 6) & 0x3f));
		p[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	p[0] = (char)(0xf0 | (c >> 18));
	p[1] = (char)(0x80 | ((c >> 12) & 0x3f));
	p[2] = (char)(0x80 | ((c >> 6) & 0x3f));
	p[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Four hexadecimal digits at p; false when they are not there. */
static bool read_hex4(const char *p, const char *end, uint32_t *ret)
{
	uint32_t v = 0;

	if (end - p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			v = v << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

/* \uXXXX at p (behind the u), with the second half of a surrogate pair if there is one; a lone half becomes
 * U+FFFD. Returns where it ends, NULL when malformed. */
static const char *read_unicode(const char *p, const char *end, uint32_t *ret)
{
	uint32_t c, low;

	if (!read_hex4(p, end, &c))
		return NULL;
	p += 4;
	if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
	    read_hex4(p + 2, end, &low) && low >= 0xdc00 && low < 0xe000) {
		*ret = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		return p + 6;
	}
	*ret = c >= 0xd800 && c < 0xe000 ? 0xfffd : c;
	return p;
}

static enum err unescape(struct properties *r, const char *p, const char *end, struct str *ret)
{
	char *out = arena_alloc_raw(r->arena, (size_t)(end - p) * 2 + 1);
	size_t len = 0;

	while (p < end) {
		char c = *p++;

		if (c == '\\' && p < end) {
			uint32_t code;

			c = *p++;
			if (c == 'u') {
				p = read_unicode(p, end, &code);
				if (!p)
					return ERR_INVALID_TEXT;
				len += put_utf8(out + len, code);
				continue;
			}
			c = c == 't' ? '\t' : c == 'r' ? '\r' : c == 'n' ? '\n' : c == 'f' ? '\f' : c;
		}
		if (r->is_utf8 || (unsigned char)c < 0x80)
			out[len++] = c;
		else
			len += put_utf8(out + len, (unsigned char)c);
	}
	out[len] = '\0';
	*ret = (struct str){out, len};
	return ERR_NONE;
}

enum err properties_next(struct properties *r, struct property *ret)
{
	bool is_escaped = false, has_separator = false;
	size_t len, key_len, value_at;
	struct property found;
	enum err err;

	if (!read_line(r, &len, &ret->line))
		return ERR_NOT_FOUND;
	found.line = ret->line;
	for (key_len = 0; key_len < len; key_len++) {
		char c = r->buf[key_len];

		if (!is_escaped && (c == '=' || c == ':' || is_blank(c)))
			break;
		is_escaped = c == '\\' && !is_escaped;
	}
	for (value_at = key_len; value_at < len; value_at++) {
		char c = r->buf[value_at];

		if (is_blank(c))
			continue;
		if (has_separator || (c != '=' && c != ':'))
			break;
		has_separator = true;
	}
	err = unescape(r, r->buf, r->buf + key_len, &found.key);
	if (err == ERR_NONE)
		err = unescape(r, r->buf + value_at, r->buf + len, &found.value);
	if (err == ERR_NONE)
		*ret = found;
	return err;
}
