/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition directories that the metadata does not know: renamed "-stray" and kept, never deleted, because the metadata
 * may be what is wrong. Directories that an interrupted deletion left ("-delete") are removed. Once, before clients.
 */
#ifndef BROKER_STRAY_H
#define BROKER_STRAY_H

struct broker;

/* On reactor 0, when every shard has the first whole image. */
void stray_rename_all(struct broker *broker, void (*done)(void *ctx), void *ctx);

#endif
