/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See replay.h. Records that this build does not act on, or passes on whole: they stay as they came, so that a snapshot
 * gives them back to the byte. What makes one unique is its key: a later record of the same key takes its place.
 */
#include "metadata_record.h"
#include "replay_private.h"

static void replay_keep(struct image_edit *edit, enum metadata_record_id type, struct bytes key)
{
	pmap_put(&edit->state->kept, &kept_node_new((int16_t)type, key, edit->record)->item);
}

static void replay_forget(struct image_edit *edit, enum metadata_record_id type, struct bytes key)
{
	struct kept_key kept = {(int16_t)type, key};

	pmap_remove(&edit->state->kept, &kept);
}

static struct bytes replay_uuid_key(struct image_edit *edit, struct uuid id)
{
	uint8_t *key = arena_alloc(&edit->arena, 16);

	uuid_store(key, id);
	return (struct bytes){key, 16};
}

/* A name and one byte. */
static struct bytes replay_name_key(struct image_edit *edit, struct str name, int8_t kind)
{
	uint8_t *key = arena_alloc(&edit->arena, name.len + 1);

	if (name.len)
		memcpy(key, name.p, name.len);
	key[name.len] = (uint8_t)kind;
	return (struct bytes){key, name.len + 1};
}

enum err replay_kept_acl(struct image_edit *edit, const void *message)
{
	const struct access_control_entry_record *record = message;

	replay_keep(edit, METADATA_ACCESS_CONTROL_ENTRY_RECORD, replay_uuid_key(edit, record->id));
	return ERR_NONE;
}

enum err replay_kept_remove_acl(struct image_edit *edit, const void *message)
{
	const struct remove_access_control_entry_record *record = message;

	replay_forget(edit, METADATA_ACCESS_CONTROL_ENTRY_RECORD, replay_uuid_key(edit, record->id));
	return ERR_NONE;
}

enum err replay_kept_scram(struct image_edit *edit, const void *message)
{
	const struct user_scram_credential_record *record = message;

	replay_keep(edit, METADATA_USER_SCRAM_CREDENTIAL_RECORD,
		    replay_name_key(edit, record->name, record->mechanism));
	return ERR_NONE;
}

enum err replay_kept_remove_scram(struct image_edit *edit, const void *message)
{
	const struct remove_user_scram_credential_record *record = message;

	replay_forget(edit, METADATA_USER_SCRAM_CREDENTIAL_RECORD,
		      replay_name_key(edit, record->name, record->mechanism));
	return ERR_NONE;
}

enum err replay_kept_token(struct image_edit *edit, const void *message)
{
	const struct delegation_token_record *record = message;

	replay_keep(edit, METADATA_DELEGATION_TOKEN_RECORD, str_bytes(record->token_id));
	return ERR_NONE;
}

enum err replay_kept_remove_token(struct image_edit *edit, const void *message)
{
	const struct remove_delegation_token_record *record = message;

	replay_forget(edit, METADATA_DELEGATION_TOKEN_RECORD, str_bytes(record->token_id));
	return ERR_NONE;
}

enum err replay_kept_register_controller(struct image_edit *edit, const void *message)
{
	const struct register_controller_record *record = message;
	uint8_t key[4];

	store_be32(key, (uint32_t)record->controller_id);
	replay_keep(edit, METADATA_REGISTER_CONTROLLER_RECORD, (struct bytes){key, sizeof(key)});
	return ERR_NONE;
}
