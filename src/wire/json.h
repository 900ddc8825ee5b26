/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as JSON, the way the original's tools print them: names in camelCase, bytes in base64, ids as
 * text, a field behind a tag only when it is not its default. Text that is not UTF-8 gets U+FFFD where Java
 * would put it.
 *
 * Output goes to a scratch with a limit of its own; an error there is kept until the end.
 */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include "codec.h"
#include "compress.h"

struct json_out {
	struct scratch *to;
	enum err err; /* the first one: ERR_TOO_LARGE */
};

/* Writes something of its own in place of a field of bytes; false: it did not, the bytes are written. */
typedef bool json_bytes_fn(void *ctx, const struct msg_type *owner, const struct msg_field *field,
			   struct bytes value, struct json_out *out);

struct json_hook {
	json_bytes_fn *write;
	void *ctx;
};

void json_raw(struct json_out *out, struct str s);
void json_format(struct json_out *out, const char *format, ...) PRINTF_LIKE(2, 3);
/* In quotes, escaped. */
void json_text(struct json_out *out, struct str s);
/* As Java makes text of bytes: what is malformed becomes U+FFFD. */
void json_java_text(struct json_out *out, struct bytes b);
/* As Java writes a double: 12.5, 5.0E-4. */
void json_double(struct json_out *out, double value);
/* An object with the fields of this version. `hook` may be NULL. */
void json_message(struct json_out *out, const struct msg_type *type, int16_t version, const void *obj,
		  const struct json_hook *hook);

#endif
