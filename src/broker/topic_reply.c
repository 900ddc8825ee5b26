/* SPDX-License-Identifier: Apache-2.0 */
/* See topic_reply.h. */
#include "topic_reply.h"

#include <ctype.h>

#include "acceptor.h"
#include "broker.h"
#include "conn.h"
#include "shard.h"

const struct endpoint_image *broker_endpoint(const struct request *request, const struct broker_image *broker)
{
	if (!broker || broker->fenced)
		return NULL;
	for (int32_t i = 0; i < broker->endpoints_n; i++) {
		if (str_eq(broker->endpoints[i].name, request->conn->acceptor->name))
			return &broker->endpoints[i];
	}
	return NULL;
}

bool broker_is_alive(const struct image *image, int32_t id)
{
	const struct broker_image *broker = image_broker(image, id);

	return broker && !broker->fenced;
}

int32_t *offline_replicas(const struct image *image, const struct partition_image *partition, struct arena *arena,
			  int32_t *ret_n)
{
	int32_t *ids = NULL;
	int32_t n = 0;

	for (int32_t i = 0; i < partition->replicas_n; i++) {
		if (broker_is_alive(image, partition->replicas[i]))
			continue;
		if (!ids)
			ids = ARENA_NEW_N(arena, int32_t, partition->replicas_n);
		ids[n++] = partition->replicas[i];
	}
	*ret_n = n;
	return ids;
}

enum err partition_leader_error(const struct request *request, const struct partition_image *partition)
{
	const struct broker_image *leader = image_broker(request->shard->image, partition->leader);

	if (partition->leader == LEADER_NONE || !leader || leader->fenced)
		return ERR_LEADER_NOT_AVAILABLE;
	if (!broker_endpoint(request, leader))
		return ERR_LISTENER_NOT_FOUND;
	return ERR_NONE;
}

bool topic_name_is_valid(struct str name)
{
	if (name.len == 0 || name.len > 249 || str_eq_c(name, ".") || str_eq_c(name, ".."))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (!isalnum(c) && c != '.' && c != '_' && c != '-')
			return false;
		if (c >= 128)
			return false;
	}
	return true;
}
