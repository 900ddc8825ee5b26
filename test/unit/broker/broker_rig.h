/* SPDX-License-Identifier: Apache-2.0 */
/* One reactor with a real backend, a broker and a shard that have just enough for connections, and a blocking peer. */
#ifndef BROKER_RIG_H
#define BROKER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker.h"
#include "mem.h"

#define RIG_REACTORS_MAX 2

struct rig {
	struct io_posix_shared *shared;
	struct io *ios[RIG_REACTORS_MAX];
	struct node node;
	struct broker broker;
	struct shard shards[RIG_REACTORS_MAX];
	struct acceptor acceptor;
	int conns_gone;
};

UNUSED static void rig_open(struct rig *rig, int reactors_n)
{
	memset(rig, 0, sizeof(*rig));
	rig->shared = io_posix_shared_new(&(struct io_posix_options){.helpers_n = 1});
	for (int i = 0; i < reactors_n; i++)
		rig->ios[i] = io_posix_new(rig->shared);
	assert_int_equal(node_init(&rig->node, 1, rig->ios, reactors_n), 0);
	rig->broker.node = &rig->node;
	rig->broker.shards = rig->shards;
	rig->broker.shards_n = reactors_n;
	rig->broker.config.socket_request_max_bytes = 1 << 20;
	rig->broker.config.max_incremental_fetch_session_cache_slots = 4;
	rig->acceptor.broker = &rig->broker;
	rig->acceptor.kind = API_BROKER;
	for (int i = 0; i < reactors_n; i++) {
		struct shard *shard = &rig->shards[i];

		shard->broker = &rig->broker;
		shard->reactor = &rig->node.reactors[i];
		shard->config = &rig->broker.config;
		shard->reactor->shard = shard;
		shard->index = i;
		list_init(&shard->conns);
		list_init(&shard->free_requests);
		buf_pool_init(&shard->request_bufs, 4096, 16);
		list_init(&shard->budget.waiting);
	}
}

UNUSED static void rig_turn(struct rig *rig, int turns)
{
	for (int n = 0; n < turns; n++) {
		for (int i = 0; i < rig->node.reactors_n; i++)
			reactor_turn(&rig->node.reactors[i], 0);
	}
}

UNUSED static void rig_close(struct rig *rig)
{
	for (int i = 0; i < rig->node.reactors_n; i++) {
		struct shard *shard = &rig->shards[i];
		struct list *node;

		assert_int_equal(shard->conns_n, 0);
		assert_int_equal(shard->requests_n, 0);
		while ((node = list_pop_front(&shard->free_requests)) != NULL)
			mem_free(list_entry(node, struct request, link));
		buf_pool_deinit(&shard->request_bufs);
	}
	node_deinit(&rig->node);
	for (int i = 0; i < RIG_REACTORS_MAX; i++) {
		if (rig->ios[i])
			rig->ios[i]->ops->free(rig->ios[i]);
	}
	io_posix_shared_free(rig->shared);
}

#endif
