/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka's small text files, see checkpoint.h. */
#include "checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "fmt.h"
#include "text_file.h"

/* Longest topic name of Kafka's. */
#define TOPIC_LEN_MAX 249

enum err offset_checkpoint_parse(struct bytes text, struct arena *arena, struct offset_checkpoint *ret)
{
	struct offset_checkpoint checkpoint = {0};
	struct text_file file;
	struct str words[3];
	enum err err;

	/* The original makes its files before it has anything to write into them. */
	if (text.len == 0) {
		*ret = checkpoint;
		return ERR_NONE;
	}
	err = text_file_open(&file, bytes_str(text));
	while (!err && text_file_next(&file, words, 3, &err)) {
		struct offset_entry entry = {0};

		err = parse_i32(words[1], &entry.partition);
		if (!err)
			err = parse_i64(words[2], &entry.offset);
		if (!err && (entry.partition < 0 || entry.offset < 0 || words[0].len > TOPIC_LEN_MAX))
			err = ERR_CORRUPT_FILE;
		/* No name has it, and a rewritten file would end the name there. */
		if (!err && memchr(words[0].p, '\0', words[0].len))
			err = ERR_CORRUPT_FILE;
		if (err)
			break;
		entry.topic = arena_str(arena, words[0]);
		vec_push(&checkpoint.entries, entry);
	}
	if (err) {
		vec_deinit(&checkpoint.entries);
		return ERR_CORRUPT_FILE;
	}
	*ret = checkpoint;
	return ERR_NONE;
}

/* Longest line of an entry besides the topic. */
#define ENTRY_NUMBERS_LEN 36

struct bytes offset_checkpoint_encode(const struct offset_checkpoint *checkpoint, struct arena *arena)
{
	size_t cap = 32, len;
	char *p;

	for (size_t i = 0; i < checkpoint->entries.n; i++)
		cap += checkpoint->entries.v[i].topic.len + ENTRY_NUMBERS_LEN;
	p = arena_alloc_raw(arena, cap);
	len = (size_t)snprintf(p, cap, "0\n%zu\n", checkpoint->entries.n);
	for (size_t i = 0; i < checkpoint->entries.n; i++) {
		const struct offset_entry *entry = &checkpoint->entries.v[i];

		len += (size_t)snprintf(p + len, cap - len, "%.*s %" PRId32 " %" PRId64 "\n",
					STR_ARGS(entry->topic),
					entry->partition, entry->offset);
		CHECK_OP(len, <, cap);
	}
	return (struct bytes){(const uint8_t *)p, len};
}

/* "key: value" */
static bool text_field(struct str *text, struct str key, struct str *ret)
{
	struct str line;

	if (!text_line(text, &line) || !str_starts(line, key) || line.len < key.len + 2)
		return false;
	if (line.p[key.len] != ':' || line.p[key.len + 1] != ' ')
		return false;
	*ret = (struct str){line.p + key.len + 2, line.len - key.len - 2};
	return true;
}

#define PARTITION_METADATA_LEN (sizeof("version: 0\ntopic_id: ") - 1 + UUID_TEXT_LEN)

enum err partition_metadata_parse(struct bytes text, struct uuid *ret_topic_id)
{
	struct str rest = bytes_str(text), version, id;

	if (!text_field(&rest, STR("version"), &version) || !str_eq(version, STR("0")))
		return ERR_CORRUPT_FILE;
	if (!text_field(&rest, STR("topic_id"), &id) || rest.len || id.len != UUID_TEXT_LEN)
		return ERR_CORRUPT_FILE;
	return uuid_parse(id, ret_topic_id) ? ERR_CORRUPT_FILE : ERR_NONE;
}

struct uuid partition_metadata_guess(struct bytes text)
{
	char id[UUID_TEXT_LEN];
	struct uuid uuid;

	if (text.len != PARTITION_METADATA_LEN)
		return UUID_ZERO;
	memcpy(id, text.p + text.len - UUID_TEXT_LEN, UUID_TEXT_LEN);
	if (!uuid_parse((struct str){id, UUID_TEXT_LEN}, &uuid))
		return uuid;
	for (int i = 0; i < UUID_TEXT_LEN; i++) {
		char c = id[i];

		id[i] = 'A';
		if (!uuid_parse((struct str){id, UUID_TEXT_LEN}, &uuid))
			return uuid;
		id[i] = c;
	}
	return UUID_ZERO;
}

struct bytes partition_metadata_encode(struct uuid topic_id, struct arena *arena)
{
	char id[UUID_TEXT_LEN + 1];

	uuid_format(topic_id, id);
	return str_bytes(arena_printf(arena, "version: 0\ntopic_id: %s", id));
}

static struct str str_trim(struct str s)
{
	while (s.len && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\f')) {
		s.p++;
		s.len--;
	}
	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t' || s.p[s.len - 1] == '\r'))
		s.len--;
	return s;
}

/* One line of a properties file as the writers of this file make it: no continuation lines, a backslash
 * protects the character behind it. False for blank lines and comments. */
static bool property_parse(struct str line, struct arena *arena, struct str *ret_key, struct str *ret_value)
{
	size_t at = 0, len = 0;
	char *value;

	line = str_trim(line);
	if (line.len == 0 || line.p[0] == '#' || line.p[0] == '!')
		return false;
	while (at < line.len && line.p[at] != '=' && line.p[at] != ':')
		at++;
	*ret_key = str_trim((struct str){line.p, at});
	line = at < line.len ? str_trim((struct str){line.p + at + 1, line.len - at - 1}) : STR("");
	value = arena_alloc(arena, line.len + 1);
	for (size_t i = 0; i < line.len; i++) {
		if (line.p[i] == '\\' && i + 1 < line.len)
			i++;
		value[len++] = line.p[i];
	}
	*ret_value = (struct str){value, len};
	return true;
}

static enum err meta_property_set(struct meta_properties *meta, struct str key, struct str value,
				  int32_t *broker_id)
{
	if (str_eq(key, STR("version")))
		return parse_i32(value, &meta->version);
	if (str_eq(key, STR("node.id")))
		return parse_i32(value, &meta->node_id);
	if (str_eq(key, STR("broker.id")))
		return parse_i32(value, broker_id);
	if (str_eq(key, STR("cluster.id"))) {
		meta->cluster_id = value;
		return value.len ? ERR_NONE : ERR_CORRUPT_FILE;
	}
	if (str_eq(key, STR("directory.id")))
		return uuid_parse(value, &meta->directory_id);
	/* Whatever else somebody put there is none of our business. */
	return ERR_NONE;
}

enum err meta_properties_parse(struct bytes text, struct arena *arena, struct meta_properties *ret)
{
	struct meta_properties meta = {.version = 0, .cluster_id = STR_NULL, .node_id = -1};
	struct str rest = bytes_str(text), line, key, value;
	int32_t broker_id = -1;

	while (text_line(&rest, &line)) {
		if (!property_parse(line, arena, &key, &value))
			continue;
		if (meta_property_set(&meta, key, value, &broker_id))
			return ERR_CORRUPT_FILE;
	}
	if (meta.version < 0 || meta.version > 1 || meta.node_id < -1)
		return ERR_CORRUPT_FILE;
	/* Version 1 is nothing without both; an empty or foreign file ends here too. */
	if (meta.version == 1 && (!meta.cluster_id.p || meta.node_id < 0))
		return ERR_CORRUPT_FILE;
	if (meta.version == 0 && meta.node_id < 0)
		meta.node_id = broker_id;
	if (meta.version == 0 && !meta.cluster_id.p && meta.node_id < 0)
		return ERR_CORRUPT_FILE;
	*ret = meta;
	return ERR_NONE;
}

struct bytes meta_properties_encode(const struct meta_properties *meta, int64_t wall_ms, struct arena *arena)
{
	char id[UUID_TEXT_LEN + 1], date[64];
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	if (strftime(date, sizeof(date), "%a %b %d %H:%M:%S UTC %Y", &tm) == 0)
		date[0] = '\0';
	uuid_format(meta->directory_id, id);
	return str_bytes(arena_printf(arena,
				      "#\n#%s\nnode.id=%"
					PRId32 "\ndirectory.id=%s\nversion=1\ncluster.id=%.*s\n",
				      date, meta->node_id, id, STR_ARGS(meta->cluster_id)));
}

/* Skips blanks, then takes `what` off the text. */
static bool json_take(struct str *text, struct str what)
{
	while (text->len && strchr(" \t\r\n", text->p[0])) {
		text->p++;
		text->len--;
	}
	if (!str_starts(*text, what))
		return false;
	text->p += what.len;
	text->len -= what.len;
	return true;
}

static bool json_take_number(struct str *text, int64_t *ret)
{
	size_t n = 0;

	json_take(text, STR(""));
	while (n < text->len && strchr("-0123456789", text->p[n]) && text->p[n])
		n++;
	if (n == 0 || parse_i64((struct str){text->p, n}, ret))
		return false;
	text->p += n;
	text->len -= n;
	return true;
}

/* Kafka writes {"version":0,"brokerEpoch":N}; older ones left the file empty. */
enum err clean_shutdown_parse(struct bytes text, int64_t *ret_broker_epoch)
{
	struct str rest = bytes_str(text);
	int64_t version = -1, epoch = -1, number;

	if (rest.len == 0) {
		*ret_broker_epoch = -1;
		return ERR_NONE;
	}
	if (!json_take(&rest, STR("{")))
		return ERR_CORRUPT_FILE;
	do {
		bool is_version = json_take(&rest, STR("\"version\""));

		if (!is_version && !json_take(&rest, STR("\"brokerEpoch\"")))
			return ERR_CORRUPT_FILE;
		if (!json_take(&rest, STR(":")) || !json_take_number(&rest, &number))
			return ERR_CORRUPT_FILE;
		if (is_version)
			version = number;
		else
			epoch = number;
	} while (json_take(&rest, STR(",")));
	if (!json_take(&rest, STR("}")) || version != 0 || epoch < -1)
		return ERR_CORRUPT_FILE;
	json_take(&rest, STR(""));
	if (rest.len)
		return ERR_CORRUPT_FILE;
	*ret_broker_epoch = epoch;
	return ERR_NONE;
}

struct bytes clean_shutdown_encode(int64_t broker_epoch, struct arena *arena)
{
	return str_bytes(arena_printf(arena, "{\"version\":0,\"brokerEpoch\":%" PRId64 "}", broker_epoch));
}
