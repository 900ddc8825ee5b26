/* SPDX-License-Identifier: Apache-2.0 */
/* See owner_part.h. */
#include "owner_part.h"

#include "broker.h"
#include "shard.h"

static void owner_part_start(struct owner_part *part);

static void owner_part_opened(struct watch *watch, enum err err)
{
	struct owner_part *part = container_of(watch, struct owner_part, open);

	if (err)
		part->ready(part, err);
	else
		owner_part_start(part);
}

static void owner_part_start(struct owner_part *part)
{
	enum err err = ERR_NOT_LEADER_OR_FOLLOWER;

	part->partition = shard_partition(part->leg->shard, part->topic_id, part->index);
	if (part->partition)
		err = partition_check_leader(part->partition, part->leader_epoch);
	if (err == ERR_WOULD_BLOCK)
		watch_start(&part->partition->open_watches, &part->open, WATCH_ANY, owner_part_opened);
	else
		part->ready(part, err);
}

void owner_parts_run(struct shard *shard, struct scatter_leg *leg)
{
	const struct list *end = &leg->parts;

	/* The last part may end all of it: nothing is looked at behind it. */
	for (struct list *node = leg->parts.next, *next; node != end; node = next) {
		struct owner_part *part = list_entry(node, struct owner_part, link);

		next = node->next;
		part->leg = leg;
		owner_part_start(part);
	}
}

void owner_part_add(struct scatter *scatter, struct owner_part *part)
{
	part->link = (struct list){0};
	scatter_add(scatter, shard_of_partition(scatter->legs_n, part->topic_id, part->index), &part->link);
}
