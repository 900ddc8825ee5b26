/* SPDX-License-Identifier: Apache-2.0 */
/* A controller with a log that is only a counter: operations are decided, logged and, when asked, committed. */
#ifndef TEST_CONTROLLER_WORLD_H
#define TEST_CONTROLLER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "controller.h"
#include "metadata_record.h"
#include "msg/allocate_producer_ids.h"
#include "msg/broker_heartbeat.h"
#include "msg/broker_registration.h"
#include "msg/create_topics.h"
#include "msg/delete_topics.h"

struct world {
	struct controller controller;
	struct rng rng;
	struct arena arena;
	struct controller_records records; /* of the last operation */
	int64_t end;                       /* of the log */
	int64_t first;                     /* offset of the last operation's first record */
};

/* Bootstrapped at a metadata.version, with all its default features; no broker. */
void world_init(struct world *w, int16_t metadata_version);
void world_deinit(struct world *w);
/* Before an operation is decided: forgets the records of the last one. */
void world_begin(struct world *w);
/* Logs the records that were decided, without committing them. */
void world_log(struct world *w);
void world_commit(struct world *w);
/* Logs and commits. */
void world_done(struct world *w);

/* One record of the last operation, decoded in the arena; fails unless it has this type and version. */
const void *world_record(struct world *w, size_t at, enum metadata_record_id type, int16_t version);

/* Whole operations, logged and committed. */
int16_t world_register(struct world *w, int32_t id, struct uuid incarnation, int64_t previous_epoch,
		       struct broker_registration_response *ret);
/* A heartbeat of the registered epoch that has seen everything. */
struct broker_heartbeat_response world_heartbeat(struct world *w, int32_t id, bool want_shut_down);
/* Registers and unfences. */
void world_add_broker(struct world *w, int32_t id);
struct create_topics_response_topics world_create(struct world *w, const char *name, int32_t partitions,
						  int16_t replicas);

#endif
