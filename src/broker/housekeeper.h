/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The housework of a shard's logs, by the clock: retention every log.retention.check.interval.ms, first after
 * log.initial.task.delay.ms. A pass takes a few logs a turn, so that ten thousand of them hold nobody up.
 */
#ifndef BROKER_HOUSEKEEPER_H
#define BROKER_HOUSEKEEPER_H

struct housekeeper;
struct shard;

struct housekeeper *housekeeper_new(struct shard *shard);
void housekeeper_free(struct housekeeper *keeper);
/* When the node serves. */
void housekeeper_start(struct housekeeper *keeper);
/* Before the logs are closed: begins nothing more. */
void housekeeper_stop(struct housekeeper *keeper);

#endif
