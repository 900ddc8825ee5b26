/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the coordinators' glue share: see coordinator_io.h. */
#ifndef BROKER_COORDINATOR_IO_INTERNAL_H
#define BROKER_COORDINATOR_IO_INTERNAL_H

#include "batch_build.h"
#include "coordinator_io.h"
#include "group_offsets.h"
#include "partition.h"
#include "progress.h"

/* What differs by kind of coordinator. */
struct coordinator_kind {
	const char *topic;
	const struct coord_machine_ops *ops;
	size_t machine_size; /* bytes of the machine; zeroed before init */
	void (*init)(void *machine, struct coord_shard *shard, struct shard *owner);
	void (*deinit)(void *machine); /* its shard is unloaded */
	/* Before each call: what may have changed outside, such as the image. NULL: nothing. */
	void (*enter)(void *machine, struct shard *owner);
	/* The broker stops: ends what waits for others. NULL: nothing does. */
	void (*release)(void *machine, enum err err);
	/* The shard is about to be unloaded: what is under way elsewhere must not come back to it. NULL: nothing is. */
	void (*leave)(void *machine);
	/* A topic went away. NULL: no matter. */
	void (*topic_deleted)(void *machine, struct str topic);
	/* What has been loaded: "groups=3 offsets=40". */
	void (*describe)(const void *machine, struct fmt *f);
	enum codec (*codec)(const struct shard *owner); /* of what is written; NULL: none */
};

/* By enum coordinator_kind_id. */
extern const struct coordinator_kind *const coordinator_kinds[COORDINATOR_KINDS_N];
extern const struct coordinator_kind coordinator_kind_group;
extern const struct coordinator_kind coordinator_kind_transaction;

struct coordinator_io {
	struct shard *shard;
	struct map partitions; /* kind and index -> struct coord_partition */
	struct list going;     /* taken out of partitions; they go when nothing is under way */
	struct group_memory group_memory;
	struct coord_stats stats[COORDINATOR_KINDS_N];
	int32_t waiting_n;     /* calls in the lists `waiting`, of groups */
	int64_t markers_waiting_n;     /* in pauses of ends of transactions: see coordinator_stats.h */
	int32_t completions_waiting_n;
	int works_n; /* of groups, on helper threads */
	int markers_n;         /* ends of transactions whose markers are under way elsewhere */
	struct list spare_batches; /* struct coord_batch that are done, a few */
	int spare_batches_n;
	bool is_stopping;
};

/* Reading the log of a shard that loads. */
struct coord_load {
	struct io_op op; /* first reads, then replays */
	struct watch open;
	struct deferred next;
	struct log_read read;
	struct coord_partition *part;
	uint8_t *bytes; /* what was read */
	size_t bytes_cap;
	struct scratch plain; /* of a packed batch */
	int64_t offset;       /* the next to read */
	struct timer retry;   /* the directory was full when the log was to be opened */
	struct progress progress; /* in offsets, from where it began */
	int64_t begin_offset;
};

struct coord_partition {
	struct list link; /* in io->going */
	struct coordinator_io *io;
	const struct coordinator_kind *kind;
	enum coordinator_kind_id kind_id;
	struct uuid topic_id;
	int32_t index;
	struct coord_shard shard;
	void *machine; /* of the kind */
	struct timer tick;
	struct list waiting; /* calls, until it is loaded */
	struct timer wait_timer;
	/* writes */
	struct coord_batch *open_batch; /* takes more; NULL: none */
	struct list batches;            /* all, in order: closed or open ones, then under way ones are in front */
	struct deferred flush;
	bool is_flushing;
	bool is_settling; /* results of batches are being taken */
	uint64_t markers_n; /* of transactions, seen so far */
	/* load */
	struct coord_load *load;
	int64_t load_started_ns;
	bool is_loading; /* something of the load is under way elsewhere */
	bool is_going;
};

/* NULL: not coordinated on this reactor. */
struct coord_partition *coordinator_io_partition(struct shard *shard, enum coordinator_kind_id kind,
						 struct uuid topic_id, int32_t index);
/* Time and image for what follows. */
void coord_partition_enter(struct coord_partition *part);
void coord_partition_arm(struct coord_partition *part);
/* Calls that waited for the load go on, or are told err. */
void coord_partition_wake(struct coord_partition *part, enum err err);
void coord_partition_free_if_idle(struct coord_partition *part);

/* coordinator_log.c */
enum err coord_partition_write(struct coord_shard *shard, uint64_t seq, struct coord_origin origin,
			       const struct coord_records *records) MUST_USE;
/* What was decided so far goes to the log now, before anything else does. */
void coord_partition_flush_now(struct coord_partition *part);
void coord_batches_free_spare(struct coordinator_io *io);
/* What has not been appended yet never will be. */
void coord_partition_drop_writes(struct coord_partition *part);

/* coordinator_load.c */
void coord_partition_load(struct coord_partition *part);
/* No more is read; what is under way comes back. */
void coord_partition_load_stop(struct coord_partition *part);
void coord_partition_load_free(struct coord_partition *part);

#endif
