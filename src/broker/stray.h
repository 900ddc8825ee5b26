/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition directories that the metadata does not know: renamed "-stray" and kept, never deleted, because the metadata
 * may be what is wrong. Once, before clients. Directories that an interrupted deletion left ("-delete") are removed
 * after that, one at a time in the background: there may be many, and nobody waits for them.
 */
#ifndef BROKER_STRAY_H
#define BROKER_STRAY_H

#include <stdbool.h>

struct broker;

/* On reactor 0, when every shard has the first whole image. */
void stray_rename_all(struct broker *broker, void (*done)(void *ctx, bool has_renamed), void *ctx);
/* No removal is under way; when the broker stops no new one begins. */
bool stray_is_idle(const struct broker *broker);
void stray_free(struct broker *broker);

#endif
