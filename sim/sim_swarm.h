/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of one run. Each seed draws its own (a swarm): fault kinds on or off, sizes at their extremes, so that
 * limits are hit and different runs stress different things. `--swarm name=value` pins an option.
 */
#ifndef SIM_SWARM_H
#define SIM_SWARM_H

#include "err.h"
#include "rng.h"

/* name, least, most, value of a plain run (scenarios start from it), meaning */
#define SIM_OPTION_LIST(X)                                                                                  \
	X(reactors, 1, 2, 1, "reactors per node")                                                           \
	X(step_us, 1, 60, 3, "longest turn of a reactor, virtual us")                                       \
	X(work_us, 1, 4000, 100, "longest wait before and after a helper thread's work, us")                \
	X(write_us, 0, 500, 10, "longest wait for a file write's completion, us")                           \
	X(latency_us, 20, 30000, 200, "longest one-way latency of a link, us")                              \
	X(bandwidth, 64, 200000, 100000, "bytes per ms of a link")                                          \
	X(split_pct, 0, 100, 10, "deliveries that arrive in parts, percent")                                \
	X(window, 1024, 262144, 65536, "bytes a stream holds between its ends")                             \
	X(recv_block, 64, 65536, 65536, "bytes of a receive block")                                         \
	X(nowait_pct, 0, 60, 5, "reads that would wait for the disk, percent")                              \
	X(disk_kib, 2048, 65536, 1048576, "capacity of a disk when f_full is on, KiB")                      \
	X(fault_gap_ms, 100, 4000, 1000, "mean time between faults, ms")                                    \
	X(fault_ms, 3000, 20000, 10000, "length of the fault phase, ms")                                    \
	X(f_kill, 0, 1, 0, "process death")                                                                 \
	X(f_power, 0, 1, 0, "power cut")                                                                    \
	X(f_crash_op, 0, 1, 0, "death at the n-th file operation")                                          \
	X(f_stop, 0, 1, 0, "clean stop and start")                                                          \
	X(f_pause, 0, 1, 0, "the process stands still")                                                     \
	X(f_clock, 0, 1, 0, "wall clock jumps")                                                             \
	X(f_cut, 0, 1, 0, "links go silent, one or both ways")                                              \
	X(f_reset, 0, 1, 0, "connections break at any byte")                                                \
	X(f_slow_net, 0, 1, 0, "links become slow")                                                         \
	X(f_slow_disk, 0, 1, 0, "the disk becomes slow")                                                    \
	X(f_full, 0, 1, 0, "the disk fills up")                                                             \
	X(f_eio, 0, 1, 0, "single reads and writes fail")                                                   \
	X(f_sync, 0, 1, 0, "syncs fail")                                                                    \
	X(synced, 0, 1, 0, "durability=synced")                                                             \
	X(topics, 1, 3, 1, "topics of the workload")                                                        \
	X(partitions, 1, 4, 2, "partitions per topic")                                                      \
	X(producers, 1, 4, 2, "producers")                                                                  \
	X(idem_pct, 0, 100, 50, "producers that are idempotent, percent")                                   \
	X(readers, 1, 3, 1, "readers")                                                                      \
	X(in_flight, 1, 5, 2, "requests in flight per producer")                                            \
	X(batch_n, 1, 20, 3, "most records per batch")                                                      \
	X(value_len, 0, 3000, 100, "most random bytes in a value")                                          \
	X(acks0_pct, 0, 20, 0, "producers without idempotence that use acks=0, percent")                    \
	X(churn, 0, 1, 0, "topics are deleted and created again")                                           \
	X(segment_bytes, 1048576, 1073741824, 1073741824, "log.segment.bytes")                              \
	X(index_bytes, 24, 10485760, 10485760, "log.index.size.max.bytes: small ones roll often")            \
	X(roll_ms, 50, 604800000, 604800000, "log.roll.ms")                                                 \
	X(index_interval, 1, 4096, 4096, "log.index.interval.bytes")                                        \
	X(fetch_max, 1, 1048576, 1048576, "fetch max bytes of readers")                                     \
	X(batches_max, 100, 1500, 1000, "batches per run before the calm")                                  \
	X(gap_us, 2000, 200000, 20000, "longest pause of a producer between batches, us")                   \
	X(keep, 0, 1, 0, "topics that retention and compaction make smaller")                               \
	X(groups, 0, 1, 0, "consumers in groups of both protocols")                                         \
	X(txns, 0, 1, 0, "transactions of both versions, and a group that handles inputs exactly once")     \
	X(txn_expire_ms, 300, 604800000, 604800000, "transactional.id.expiration.ms")                       \
	X(txn_epochs_left, 1, 32766, 32766, "epochs of a transactional id's producer id before it is used up") \
	X(group_jobs, 0, 1, 0, "targets of all groups are made by jobs, as those of large ones")    \
	X(dirs, 1, 3, 1, "log directories, each a disk of its own")                                         \
	X(moves, 0, 1, 0, "partitions are moved between directories")                                       \
	X(f_dir, 0, 1, 0, "one log directory fails, or fills up")                                           \
	X(ballast, 0, 1, 0, "disks of some size: a share is kept free, and a ballast")                      \
	X(f_flip, 0, 1, 0, "bits of old segments flip")                                                     \
	X(scrub, 0, 1, 0, "old segments are read again every second")

struct sim_options {
#define X(name, lo, hi, plain, what) int64_t name;
	SIM_OPTION_LIST(X)
#undef X
};

/* Path of a node's i-th log directory; the first one holds the metadata log. */
const char *sim_options_dir(int i);
void sim_options_plain(struct sim_options *opt);
void sim_options_draw(struct sim_options *opt, struct rng *rng);
/* "name=value". ERR_INVALID_TEXT for an unknown name or a value that is no number; bounds are not enforced. */
enum err sim_options_set(struct sim_options *opt, const char *text) MUST_USE;
/* Prints every option that differs from the plain value. */
void sim_options_print(const struct sim_options *opt);

#endif
