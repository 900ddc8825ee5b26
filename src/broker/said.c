/* SPDX-License-Identifier: Apache-2.0 */
/* See said.h. A line may stand in one of SAID_WAYS neighbours; the oldest of them gives way. */
#include "said.h"

#include "hash.h"

#define SAID_WAYS 4

bool said_is_due(struct said *said, int64_t now_ns, int kind, const struct io_addr *peer, int64_t *ret_left_out_n)
{
	uint64_t key = hash_u64((uint64_t)kind, peer ? hash_bytes(peer->ip, peer->is_v6 ? 16 : 4, peer->is_v6) : 0);
	size_t first = key % (SAID_N / SAID_WAYS) * SAID_WAYS;
	struct said_line *line = &said->lines[first];

	for (size_t i = first; i < first + SAID_WAYS; i++) {
		struct said_line *other = &said->lines[i];

		if (other->since_ns && other->key == key) {
			line = other;
			break;
		}
		if (other->since_ns < line->since_ns)
			line = other;
	}
	if (line->since_ns && line->key == key && now_ns - line->since_ns < SAID_AGAIN_NS) {
		line->left_out_n++;
		return false;
	}
	*ret_left_out_n = line->key == key ? line->left_out_n : 0;
	*line = (struct said_line){.key = key, .since_ns = MAX(now_ns, INT64_C(1))};
	return true;
}
