/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values of records for kafka-dump-log: as text or numbers, or as the stored records they are, which
 * the tables of the codec print. A record that is none is told in its place, and the next one follows.
 */
#include "control.h"
#include "dump_log.h"
#include "dump_log_remote.h"
#include "msg/consumer_protocol.h"
#include "msg/group_records.h"
#include "varint.h"

#define CONSUMER_PROTOCOL STR("consumer")

static void text_flush(struct dump_run *run)
{
	fwrite(run->text.p, 1, run->text.len, run->out);
	run->text.len = 0;
}

/* Decoded; *ret_used is where it ended. False: run->why. */
static bool message_decode(struct dump_run *run, const struct msg_type *type, int16_t version,
			   struct bytes in, void **ret, size_t *ret_used)
{
	struct err_text text = {.text = ""};

	if (!msg_has_version(type, version))
		return dump_fail(run, "%s has no version %d", type->name, version);
	*ret = arena_alloc(&run->arena, type->size);
	if (codec_decode(type, version, in, &run->arena, *ret, ret_used, &text) != ERR_NONE)
		return dump_fail(run, "%s", text.text);
	return true;
}

/* The nearest version there is: newer ones may only add behind what is known. */
static int16_t known_version(const struct msg_type *type, int16_t version)
{
	return version < type->version_min   ? type->version_min
	       : version > type->version_max ? type->version_max
					     : version;
}

/* A version from the bytes that no message has is shown with the fields of the last one, as the original
 * does. */
static int16_t shown_version(const struct msg_type *type, struct bytes value)
{
	return known_version(type, (int16_t)load_be16(value.p));
}

/* ---- control records ---- */

static bool control_message(struct dump_run *run, const struct control_record *control)
{
	static const char *const titles[] = {
		[CONTROL_LEADER_CHANGE] = " LeaderChange: ",
		[CONTROL_SNAPSHOT_HEADER] = " SnapshotHeader ",
		[CONTROL_SNAPSHOT_FOOTER] = " SnapshotFooter ",
		[CONTROL_KRAFT_VERSION] = " KRaftVersion ",
		[CONTROL_KRAFT_VOTERS] = " KRaftVoters ",
	};
	const struct msg_record *row = msg_record_find(MSG_FAMILY_CONTROL, (int32_t)control->type);
	struct json_out out = {.to = &run->text};
	int16_t version;
	size_t used;
	void *obj;

	if (!row || control->value.len < 2)
		return dump_fail(run, "A control record is cut off");
	version = (int16_t)load_be16(control->value.p);
	if (!msg_has_version(row->value, version))
		version = row->value->version_min;
	if (!message_decode(run, row->value, version, control->value, &obj, &used))
		return false;
	run->text.len = 0;
	json_raw(&out, str_of(titles[control->type]));
	json_message(&out, row->value, shown_version(row->value, control->value), obj, NULL);
	text_flush(run);
	return out.err == ERR_NONE || dump_fail(run, "A control record is too large");
}

bool dump_control(struct dump_run *run, const struct record *record)
{
	struct control_record control;

	arena_reset(&run->arena);
	if (control_parse(record, &control) != ERR_NONE)
		return dump_fail(run, "The control record with offset %lld cannot be read",
				 (long long)record->offset);
	switch (control.type) {
	case CONTROL_ABORT:
	case CONTROL_COMMIT:
		fprintf(run->out, " endTxnMarker: %s coordinatorEpoch: %d",
			control.type == CONTROL_COMMIT ? "COMMIT" : "ABORT", control.coordinator_epoch);
		return true;
	case CONTROL_LEADER_CHANGE:
	case CONTROL_SNAPSHOT_HEADER:
	case CONTROL_SNAPSHOT_FOOTER:
	case CONTROL_KRAFT_VERSION:
	case CONTROL_KRAFT_VOTERS:
		break;
	case CONTROL_UNKNOWN:
		fprintf(run->out, " controlType: UNKNOWN(%d)", (int16_t)load_be16(record->key.p + 2));
		return true;
	}
	return control_message(run, &control);
}

/* ---- plain records ---- */

static bool plain_part(struct dump_run *run, enum dump_decoder decoder, struct bytes b, struct json_out *out)
{
	switch (decoder) {
	case DUMP_STRING:
		json_java_text(out, b);
		return true;
	case DUMP_BYTES:
		for (size_t i = 0; i < b.len; i++)
			json_format(out, "%02x", b.p[i]);
		return true;
	case DUMP_INTEGER:
		if (b.len < 4)
			return dump_fail(run, "%zu bytes are no integer", b.len);
		json_format(out, "%d", (int32_t)load_be32(b.p));
		return true;
	case DUMP_LONG:
		if (b.len < 8)
			return dump_fail(run, "%zu bytes are no long", b.len);
		json_format(out, "%lld", (long long)load_be64(b.p));
		return true;
	}
	UNREACHABLE();
}

static bool plain_print(struct dump_run *run, const struct record *record, const char *prefix,
			struct json_out *out)
{
	if (record->key.p) {
		json_format(out, "%skey: ", prefix);
		if (!plain_part(run, run->args->key_decoder, record->key, out))
			return false;
		prefix = " ";
	}
	if (!record->value.p)
		return true;
	json_format(out, "%spayload: ", prefix);
	return plain_part(run, run->args->value_decoder, record->value, out);
}

/* ---- records of coordinators ---- */

/* Subscription and assignment of a consumer's member as what they are; as bytes when they are none. */
static bool embedded_write(void *ctx, const struct msg_type *owner, const struct msg_field *field,
			   struct bytes value, struct json_out *out)
{
	struct dump_run *run = ctx;
	const struct msg_type *type;
	int16_t version;
	size_t used;
	void *obj;

	if (owner != &group_metadata_value_member_metadata_type)
		return false;
	type = strcmp(field->name, "assignment") == 0 ? &consumer_protocol_assignment_type
						      : &consumer_protocol_subscription_type;
	if (value.len < 2)
		return false;
	version = known_version(type, (int16_t)load_be16(value.p));
	if (!message_decode(run, type, version, (struct bytes){value.p + 2, value.len - 2}, &obj, &used))
		return false;
	json_message(out, type, version, obj, NULL);
	return true;
}

static bool is_consumer_group(const struct msg_record *row, const void *value)
{
	return row->value == &group_metadata_value_type &&
	       str_eq(((const struct group_metadata_value *)value)->protocol_type, CONSUMER_PROTOCOL);
}

static bool stored_value(struct dump_run *run, const struct msg_record *row, struct bytes in,
			 struct json_out *out)
{
	struct json_hook hook = {embedded_write, run};
	int16_t version;
	size_t used;
	void *obj;

	if (in.len < 2)
		return dump_fail(run, "the value is cut off");
	version = (int16_t)load_be16(in.p);
	if (!message_decode(run, row->value, version, (struct bytes){in.p + 2, in.len - 2}, &obj, &used))
		return false;
	json_format(out, "{\"version\":\"%d\",\"data\":", version);
	json_message(out, row->value, version, obj, is_consumer_group(row, obj) ? &hook : NULL);
	json_raw(out, STR("}"));
	if (out->err == ERR_TOO_LARGE)
		dump_fail(run, "the value is too large");
	return out->err == ERR_NONE;
}

/* Key and value as they go out; what was begun is taken back when there is none. */
static bool stored_pair(struct dump_run *run, const struct msg_record *row, const struct record *record,
			const char *prefix, struct json_out *out)
{
	struct bytes key = {record->key.p + 2, record->key.len - 2};
	size_t used;
	void *obj;

	if (!message_decode(run, row->key, row->key->version_min, key, &obj, &used))
		return false;
	json_format(out, "%skey: {\"type\":\"%d\",\"data\":", prefix, row->number);
	json_message(out, row->key, row->key->version_min, obj, NULL);
	json_raw(out, STR("} payload: "));
	if (record->value.p)
		return stored_value(run, row, record->value, out);
	json_raw(out, STR("<DELETE>"));
	return true;
}

static bool stored_print(struct dump_run *run, enum msg_family family, const struct record *record,
			 const char *prefix, struct json_out *out)
{
	const struct msg_record *row;
	bool ok;

	if (!record->key.p)
		return dump_fail(
			run,
			"Failed to decode message at offset %lld using the specified decoder (message had a "
			"missing key)",
			(long long)record->offset);
	row = record->key.len < 2 ? NULL : msg_record_find(family, (int16_t)load_be16(record->key.p));
	if (record->key.len >= 2 && !row) {
		json_format(out, "%skey: Unknown record type %d at offset %lld, skipping.", prefix,
			    (int16_t)load_be16(record->key.p), (long long)record->offset);
		return true;
	}
	ok = row ? stored_pair(run, row, record, prefix, out) : dump_fail(run, "the key is cut off");
	if (!ok) {
		run->text.len = 0;
		out->err = ERR_NONE;
		json_format(out, "%skey: Error at offset %lld, skipping. ", prefix,
			    (long long)record->offset);
		json_raw(out, str_of(run->why));
	}
	return true;
}

/* ---- records with a frame: metadata, remote log ---- */

struct framed {
	const struct msg_record *row;
	int16_t version;
	void *obj;
};

static bool frame_number(struct bytes *in, uint32_t *ret)
{
	size_t n = uvarint_read(in->p, in->len, ret);

	*in = (struct bytes){in->p + n, in->len - n};
	return n > 0;
}

/* Version of the frame, type, version, message. */
static bool framed_read(struct dump_run *run, enum msg_family family, struct bytes in, struct framed *ret)
{
	uint32_t frame, number, version;
	size_t used;

	if (!in.p)
		return dump_fail(run, "the value is missing");
	if (!frame_number(&in, &frame))
		return dump_fail(run, "Error while reading frame version");
	if (frame == 0)
		return dump_fail(
			run,
			"Could not deserialize metadata record with frame version 0. Note that upgrades from "
			"the preview release of KRaft in 2.8 to newer versions are not supported.");
	if (frame != 1)
		return dump_fail(
			run,
			"Could not deserialize metadata record due to unknown frame version %u(only frame "
			"version 1 is supported)",
			frame);
	if (!frame_number(&in, &number) || !frame_number(&in, &version))
		return dump_fail(run, "Error while reading type and version");
	ret->row = number <= INT16_MAX ? msg_record_find(family, (int32_t)number) : NULL;
	if (!ret->row)
		return dump_fail(
			run,
			"org.apache.kafka.common.errors.UnsupportedVersionException: Unknown metadata id %u",
			number);
	ret->version = (int16_t)MIN(version, (uint32_t)INT16_MAX);
	if (!message_decode(run, ret->row->value, ret->version, in, &ret->obj, &used))
		return false;
	if (used < in.len)
		return dump_fail(run, "Found %zu byte(s) of garbage after %s", in.len - used, ret->row->name);
	return true;
}

static void type_name(struct json_out *out, const char *name)
{
	for (const char *p = name; *p; p++)
		json_format(out, "%c", *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
}

static bool metadata_print(struct dump_run *run, const struct record *record, struct json_out *out)
{
	struct framed framed;

	if (!framed_read(run, MSG_FAMILY_METADATA, record->value, &framed)) {
		json_format(out, "Error at %lld, skipping. ", (long long)record->offset);
		json_raw(out, str_of(run->why));
		return true;
	}
	json_raw(out, STR("{\"type\":\""));
	type_name(out, framed.row->value->name);
	json_format(out, "\",\"version\":%d,\"data\":", framed.version);
	json_message(out, framed.row->value, framed.version, framed.obj, NULL);
	json_raw(out, STR("}"));
	return true;
}

static bool remote_print(struct dump_run *run, const struct record *record, struct json_out *out)
{
	struct framed framed;

	if (framed_read(run, MSG_FAMILY_REMOTE_LOG, record->value, &framed)) {
		dump_remote(framed.row, framed.obj, out);
		return true;
	}
	json_format(out, "Error at offset %lld, skipping. ", (long long)record->offset);
	json_raw(out, str_of(run->why));
	return true;
}

bool dump_content(struct dump_run *run, const struct record *record, const char *prefix)
{
	struct json_out out = {.to = &run->text};
	bool ok = false;

	arena_reset(&run->arena);
	run->text.len = 0;
	switch (run->args->content) {
	case DUMP_PLAIN:
		ok = plain_print(run, record, prefix, &out);
		break;
	case DUMP_OFFSETS:
		ok = stored_print(run, MSG_FAMILY_GROUP, record, prefix, &out);
		break;
	case DUMP_TXN:
		ok = stored_print(run, MSG_FAMILY_TXN, record, prefix, &out);
		break;
	case DUMP_SHARE:
		ok = stored_print(run, MSG_FAMILY_SHARE, record, prefix, &out);
		break;
	case DUMP_METADATA:
		json_format(&out, "%spayload: ", prefix);
		ok = metadata_print(run, record, &out);
		break;
	case DUMP_REMOTE:
		json_format(&out, "%spayload: ", prefix);
		ok = remote_print(run, record, &out);
		break;
	}
	if (ok)
		text_flush(run);
	if (ok && out.err != ERR_NONE)
		return dump_fail(run, "The record with offset %lld is too large to print",
				 (long long)record->offset);
	return ok;
}
