/* SPDX-License-Identifier: Apache-2.0 */
/* --add-scram: 'SCRAM-SHA-256=[name=alice,password=secret]' as a record; checks and words are the original's. */
#include <sys/random.h>

#include "base64.h"
#include "check.h"
#include "metadata_record.h"
#include "msg/metadata_records.h"
#include "setting.h"
#include "sha2.h"
#include "storage_tool.h"

#define ITERATIONS_MIN 4096
#define ITERATIONS_MAX 16384
#define SALT_LEN_MAX 256

struct credential {
	enum sha2_kind kind;
	struct str name, password;
	uint8_t salt[SALT_LEN_MAX];
	size_t salt_len;
	uint8_t salted[SHA2_LEN_MAX];
	size_t salted_len;
	int32_t iterations;
	bool has_name, has_salt, has_salted, has_password;
};

void storage_random(void *p, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = getrandom((uint8_t *)p + at, len - at, 0);

		CHECK(n > 0);
		at += (size_t)n;
	}
}

static struct str unquote(struct str s)
{
	s = setting_trim(s);
	if (s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"')
		return (struct str){s.p + 1, s.len - 2};
	return s;
}

static enum err read_base64(struct str value, uint8_t *ret, size_t cap, size_t *ret_len, const char *what,
			    struct err_text *why)
{
	if (base64_decode(value, ret, cap, ret_len) != ERR_NONE || *ret_len == 0)
		return err_text_set(why, ERR_INVALID_TEXT, "Failed to decode given %s: %.*s", what, STR_ARGS(value));
	return ERR_NONE;
}

static enum err read_field(struct credential *c, struct str key, struct str value, struct err_text *why)
{
	enum err err = ERR_NONE;

	if (str_eq_c(key, "name")) {
		c->name = value;
		c->has_name = true;
	} else if (str_eq_c(key, "password")) {
		c->password = value;
		c->has_password = true;
	} else if (str_eq_c(key, "salt")) {
		err = read_base64(value, c->salt, sizeof(c->salt), &c->salt_len, "salt", why);
		c->has_salt = true;
	} else if (str_eq_c(key, "saltedpassword")) {
		/* Beside a password it is not looked at. */
		if (base64_decode(value, c->salted, sizeof(c->salted), &c->salted_len) != ERR_NONE)
			c->salted_len = 0;
		c->has_salted = true;
	} else if (str_eq_c(key, "iterations")) {
		if (parse_i32(value, &c->iterations) != ERR_NONE)
			err = err_text_set(why, ERR_INVALID_TEXT, "Failed to parse iterations count: %.*s",
					   STR_ARGS(value));
	} else {
		err = err_text_set(why, ERR_INVALID_TEXT, "Unknown SCRAM configurations: %.*s", STR_ARGS(key));
	}
	return err;
}

static enum err read_fields(struct credential *c, struct str text, struct err_text *why)
{
	struct setting_list_pos pos = {0};
	struct str item;

	if (text.len == 0 || text.p[0] != '[')
		return err_text_set(why, ERR_INVALID_TEXT, "Expected configuration string to start with [");
	if (text.p[text.len - 1] != ']')
		return err_text_set(why, ERR_INVALID_TEXT, "Expected configuration string to end with ]");
	text = (struct str){text.p + 1, text.len - 2};
	while (setting_list_next(text, &pos, &item)) {
		const char *equals = item.len ? memchr(item.p, '=', item.len) : NULL;
		enum err err;

		if (!equals)
			return err_text_set(why, ERR_INVALID_TEXT,
					"Failed to find equals sign in SCRAM argument '%.*s'",
					    STR_ARGS(item));
		err = read_field(c, setting_trim((struct str){item.p, (size_t)(equals - item.p)}),
				 unquote((struct str){equals + 1, item.len - (size_t)(equals + 1 - item.p)}), why);
		if (err)
			return err;
	}
	return ERR_NONE;
}

static enum err check_fields(const struct credential *c, struct err_text *why)
{
	const char *mechanism = c->kind == SHA2_256 ? "SCRAM_SHA_256" : "SCRAM_SHA_512";

	if (!c->has_name)
		return err_text_set(why, ERR_INVALID_TEXT, "You must supply 'name' to add-scram");
	if (!c->has_password && !c->has_salted)
		return err_text_set(why, ERR_INVALID_TEXT,
				    "You must supply one of 'password' or 'saltedpassword' to add-scram");
	if (!c->has_password && !c->has_salt)
		return err_text_set(why, ERR_INVALID_TEXT, "You must supply 'salt' with 'saltedpassword' to add-scram");
	if (!c->has_password && c->salted_len == 0)
		return err_text_set(why, ERR_INVALID_TEXT, "Failed to decode given saltedPassword");
	if (c->iterations < ITERATIONS_MIN)
		return err_text_set(why, ERR_INVALID_TEXT,
				"The 'iterations' value must be >= %d for add-scram using %s",
				    ITERATIONS_MIN, mechanism);
	if (c->iterations > ITERATIONS_MAX)
		return err_text_set(why, ERR_INVALID_TEXT,
				"The 'iterations' value must be <= %d for add-scram using %s",
				    ITERATIONS_MAX, mechanism);
	return ERR_NONE;
}

/* As the original prints bytes: signed, in brackets. */
static struct str show_bytes(struct bytes b, struct arena *arena)
{
	char text[SALT_LEN_MAX * 6 + 8];
	struct fmt f;

	fmt_init(&f, text, sizeof(text));
	for (size_t i = 0; i < b.len; i++)
		fmt_add(&f, "%s%d", i ? ", " : "", (int8_t)b.p[i]);
	return arena_str(arena, (struct str){text, f.len});
}

static void make_salt(struct credential *c)
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuv";

	c->salt_len = 26;
	storage_random(c->salt, c->salt_len);
	for (size_t i = 0; i < c->salt_len; i++)
		c->salt[i] = (uint8_t)letters[c->salt[i] % 32];
}

static void make_record(struct credential *c, struct arena *arena, struct bytes *ret_record, struct str *ret_shown)
{
	uint8_t client[SHA2_LEN_MAX], stored[SHA2_LEN_MAX], server[SHA2_LEN_MAX];
	struct user_scram_credential_record record;
	size_t len = sha2_len(c->kind);
	struct str salt, stored_text, server_text;

	if (!c->has_salt)
		make_salt(c);
	if (c->has_password) {
		sha2_hi(c->kind, str_bytes(c->password), (struct bytes){c->salt, c->salt_len}, c->iterations,
				c->salted);
		c->salted_len = len;
	}
	sha2_hmac(c->kind, (struct bytes){c->salted, c->salted_len}, str_bytes(STR("Client Key")), client);
	sha2_hash(c->kind, (struct bytes){client, len}, BYTES_NULL, stored);
	sha2_hmac(c->kind, (struct bytes){c->salted, c->salted_len}, str_bytes(STR("Server Key")), server);
	msg_init(&user_scram_credential_record_type, &record);
	record.name = c->name;
	record.mechanism = c->kind == SHA2_256 ? 1 : 2;
	record.salt = (struct bytes){c->salt, c->salt_len};
	record.stored_key = (struct bytes){stored, len};
	record.server_key = (struct bytes){server, len};
	record.iterations = c->iterations;
	*ret_record = metadata_record_encode(METADATA_USER_SCRAM_CREDENTIAL_RECORD, 0, &record, arena);
	salt = show_bytes(record.salt, arena);
	stored_text = show_bytes(record.stored_key, arena);
	server_text = show_bytes(record.server_key, arena);
	*ret_shown = arena_printf(arena,
				  "UserScramCredentialRecord(name='%.*s', mechanism=%d, salt=[%.*s], storedKey=[%.*s], "
				  "serverKey=[%.*s], iterations=%d)",
				  STR_ARGS(c->name), record.mechanism, STR_ARGS(salt), STR_ARGS(stored_text),
				  STR_ARGS(server_text), c->iterations);
}

enum err storage_scram(const char *text, struct arena *arena, struct bytes *ret_record, struct str *ret_shown,
		       struct err_text *why)
{
	struct credential c = {.iterations = ITERATIONS_MIN};
	const char *equals = strchr(text, '=');
	struct str mechanism;
	enum err err;

	if (!equals)
		return err_text_set(why, ERR_INVALID_TEXT, "Failed to find equals sign in SCRAM argument '%s'", text);
	mechanism = setting_trim((struct str){text, (size_t)(equals - text)});
	if (!str_eq_c(mechanism, "SCRAM-SHA-256") && !str_eq_c(mechanism, "SCRAM-SHA-512"))
		return err_text_set(why, ERR_INVALID_TEXT, "The add-scram mechanism %.*s is not supported.",
				    STR_ARGS(mechanism));
	c.kind = str_eq_c(mechanism, "SCRAM-SHA-256") ? SHA2_256 : SHA2_512;
	err = read_fields(&c, setting_trim(str_of(equals + 1)), why);
	if (!err)
		err = check_fields(&c, why);
	if (!err)
		make_record(&c, arena, ret_record, ret_shown);
	return err;
}
