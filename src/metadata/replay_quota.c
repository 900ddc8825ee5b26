/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See replay.h: quotas. A record sets or removes one value of one entity; an entity without values is not there. Of two
 * parts of one type the later counts, as in the original.
 */
#include "metadata_record.h"
#include "replay_private.h"

#define QUOTA_VALUES_MAX 64 /* of one entity; 5 keys exist */

/* Puts the record's parts in order. */
static int32_t replay_quota_parts(const struct client_quota_record *record, struct quota_part *parts)
{
	int32_t n = 0;

	for (int32_t i = 0; i < record->entity_n; i++) {
		struct quota_part part = {record->entity[i].entity_type, record->entity[i].entity_name};
		int32_t at = 0;

		while (at < n && str_cmp(parts[at].type, part.type) < 0)
			at++;
		if (at == n || !str_eq(parts[at].type, part.type)) {
			memmove(&parts[at + 1], &parts[at], (size_t)(n - at) * sizeof(*parts));
			n++;
		}
		parts[at] = part;
	}
	return n;
}

/* The entity's values without the record's key, or with its new value. */
static int32_t replay_quota_values(const struct client_quota_record *record, const struct quota_image *before,
				   struct quota_value *values)
{
	int32_t before_n = before ? before->values_n : 0;
	int32_t n = 0, at = 0;

	for (; at < before_n && str_cmp(before->values[at].key, record->key) < 0; at++)
		values[n++] = before->values[at];
	if (!record->remove)
		values[n++] = (struct quota_value){record->key, record->value};
	if (at < before_n && str_eq(before->values[at].key, record->key))
		at++;
	for (; at < before_n; at++)
		values[n++] = before->values[at];
	return n;
}

enum err replay_quota(struct image_edit *edit, const void *message)
{
	const struct client_quota_record *record = message;
	struct quota_part parts[QUOTA_ENTITY_PARTS_MAX];
	struct quota_value values[QUOTA_VALUES_MAX + 1];
	struct quota_image key = {.parts = parts};
	struct pmap_item *item;
	struct quota_node *node;
	int32_t n;

	if (record->entity_n < 1 || record->entity_n > QUOTA_ENTITY_PARTS_MAX)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "a quota for an entity of %d parts",
				    record->entity_n);
	key.parts_n = replay_quota_parts(record, parts);
	item = pmap_get(&edit->state->quotas, &key);
	n = replay_quota_values(record, item ? &container_of(item, struct quota_node, item)->pub : NULL, values);
	if (n > QUOTA_VALUES_MAX)
		return err_text_set(edit->text, ERR_CORRUPT_FILE, "more than %d quotas for one entity",
				    QUOTA_VALUES_MAX);
	if (n == 0) {
		pmap_remove(&edit->state->quotas, &key);
		return ERR_NONE;
	}
	/* The new object has its own memory before the old one goes. */
	node = quota_node_new(parts, key.parts_n, values, n);
	pmap_put(&edit->state->quotas, &node->item);
	return ERR_NONE;
}
