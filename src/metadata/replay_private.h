/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of replaying share. */
#ifndef METADATA_REPLAY_PRIVATE_H
#define METADATA_REPLAY_PRIVATE_H

#include "image_state.h"

struct image_edit {
	struct state visible;
	struct state pending;
	bool in_transaction;
	struct state *state; /* where records go */
	struct bytes record; /* being replayed, with its frame */
	struct err_text *text;
	struct arena arena;
	_Alignas(16) uint8_t block[4096];
};

/* Applies one decoded record to edit->state. ERR_CORRUPT_FILE when it contradicts it, with edit->text. */
typedef enum err replay_fn(struct image_edit *edit, const void *message);

replay_fn replay_quota;

/* Records that are kept as they came, found by what makes them unique. */
replay_fn replay_kept_acl, replay_kept_remove_acl, replay_kept_scram, replay_kept_remove_scram,
	replay_kept_token, replay_kept_remove_token, replay_kept_register_controller;

#endif
