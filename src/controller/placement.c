/* SPDX-License-Identifier: Apache-2.0 */
/* See placement.h. */
#include "placement.h"

#include "check.h"

/* Brokers of one rack that are in the same state, and where the next search among them begins. */
struct placement_list {
	int32_t *ids; /* indexes of brokers */
	int32_t n;
	int32_t next;
};

struct placement_rack {
	struct str name;
	struct placement_list lists[2]; /* not fenced, fenced */
};

struct placement_broker {
	int32_t id;
	bool is_taken; /* by the partition at hand */
};

struct placement {
	struct placement_rack *racks;
	int32_t racks_n;
	int32_t first_rack; /* of the next partition */
	struct placement_broker *brokers;
	int32_t brokers_n;
	int32_t replicas_n;
};

/* A directory that is not known by name may take partitions too. */
static bool placement_has_room(const struct broker_image *broker)
{
	return broker->cordoned_n == 0 || broker->cordoned_n < broker->log_dirs_n;
}

static struct placement_rack *placement_rack_of(struct placement *placement, struct str name, struct arena *arena,
						int32_t brokers_n)
{
	struct placement_rack *rack;

	for (int32_t i = 0; i < placement->racks_n; i++) {
		if (str_eq(placement->racks[i].name, name))
			return &placement->racks[i];
	}
	rack = &placement->racks[placement->racks_n++];
	rack->name = name;
	for (int i = 0; i < 2; i++)
		rack->lists[i].ids = ARENA_NEW_N(arena, int32_t, brokers_n);
	return rack;
}

static void placement_fill(struct placement *placement, const struct image *image, struct arena *arena,
			   int32_t brokers_n)
{
	const struct broker_image *broker;

	placement->racks = ARENA_NEW_N(arena, struct placement_rack, brokers_n);
	placement->brokers = ARENA_NEW_N(arena, struct placement_broker, brokers_n);
	for (int32_t id = -1; (broker = image_broker_next(image, id)) != NULL; id = broker->id) {
		struct placement_rack *rack;
		struct placement_list *list;

		if (!placement_has_room(broker))
			continue;
		rack = placement_rack_of(placement, broker->rack, arena, brokers_n);
		list = &rack->lists[broker->fenced || broker->in_controlled_shutdown];
		placement->brokers[placement->brokers_n].id = broker->id;
		list->ids[list->n++] = placement->brokers_n++;
	}
}

enum err placement_new(const struct image *image, int32_t replicas_n, struct rng *rng, struct arena *arena,
		       struct placement **ret, struct err_text *text)
{
	struct placement *placement = ARENA_NEW(arena, struct placement);
	const struct broker_image *broker;
	int32_t brokers_n = 0, usable = 0;

	for (int32_t id = -1; (broker = image_broker_next(image, id)) != NULL; id = broker->id) {
		if (!placement_has_room(broker))
			continue;
		brokers_n++;
		usable += !broker->fenced && !broker->in_controlled_shutdown;
	}
	if (usable == 0)
		return err_text_set(text, ERR_INVALID_REPLICATION_FACTOR,
				    "All brokers are currently fenced, or have all their log directories cordoned.");
	if (replicas_n > brokers_n)
		return err_text_set(text, ERR_INVALID_REPLICATION_FACTOR,
				    "The target replication factor of %d cannot be reached because only %d broker(s) "
				    "are registered or some brokers have all their log directories cordoned.",
				    replicas_n, brokers_n);
	placement->replicas_n = replicas_n;
	placement_fill(placement, image, arena, brokers_n);
	placement->first_rack = (int32_t)rng_below(rng, (uint64_t)placement->racks_n);
	for (int32_t i = 0; i < placement->racks_n; i++) {
		for (int j = 0; j < 2; j++) {
			struct placement_list *list = &placement->racks[i].lists[j];

			list->next = list->n ? (int32_t)rng_below(rng, (uint64_t)list->n) : 0;
		}
	}
	*ret = placement;
	return ERR_NONE;
}

/* A broker of the list that the partition does not have yet; -1 when there is none. */
static int32_t placement_take(struct placement *placement, struct placement_list *list)
{
	for (int32_t i = 0; i < list->n; i++) {
		struct placement_broker *broker = &placement->brokers[list->ids[list->next]];

		list->next = (list->next + 1) % list->n;
		if (!broker->is_taken) {
			broker->is_taken = true;
			return broker->id;
		}
	}
	return -1;
}

void placement_next(struct placement *placement, int32_t *ret_replicas)
{
	int32_t n = 0;

	for (int32_t i = 0; i < placement->brokers_n; i++)
		placement->brokers[i].is_taken = false;
	for (int kind = 0; kind < 2; kind++) {
		bool progress = true;

		while (n < placement->replicas_n && progress) {
			progress = false;
			for (int32_t i = 0; i < placement->racks_n && n < placement->replicas_n; i++) {
				int32_t at = (placement->first_rack + i) % placement->racks_n;
				int32_t id = placement_take(placement, &placement->racks[at].lists[kind]);

				if (id < 0)
					continue;
				ret_replicas[n++] = id;
				progress = true;
			}
		}
	}
	CHECK_OP(n, ==, placement->replicas_n);
	placement->first_rack = (placement->first_rack + 1) % placement->racks_n;
}
