/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's life in the cluster, on reactor 0: registration, heartbeats, unfencing, the controlled stop (KIP-631).
 * It uses the cluster's own requests and records; the controller happens to be in the same process.
 *
 *   WAITING --controller leads--> REGISTERING --> FENCED --heartbeat, caught up--> SERVING --stop--> LEAVING
 *     --> DRAINING (connections, logs) --> SAVING (checkpoints) --> CLOSING (metadata log) --> MARKING --> GONE
 *
 * 1. Listeners accept in SERVING only, and every shard has an image in which this broker is not fenced.
 * 2. Directories are marked clean only after every log was closed and synced without an error.
 */
#ifndef BROKER_LIFECYCLE_H
#define BROKER_LIFECYCLE_H

#include "err.h"

struct broker;

struct lifecycle *lifecycle_new(struct broker *broker);
void lifecycle_free(struct lifecycle *lifecycle);
/* Events. */
void lifecycle_controller_leads(struct broker *broker);
void lifecycle_stop(struct broker *broker);
/* Settings that the cluster is told of may have changed. */
void lifecycle_settings_changed(struct broker *broker);
/* A directory became OFFLINE in shard 0's storage: the controller is told; without the directory of the metadata, or
 * with none left, the node stops. */
void lifecycle_dir_failed(struct broker *broker, int dir);
/* The node cannot go on: phase FAILED with this text, then the reactors end. Any part on reactor 0 may call it. */
void broker_fail(struct broker *broker, enum err err, const char *what);

#endif
