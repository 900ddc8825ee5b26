/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliberate faults: named places where the product can be made wrong on purpose, to prove that the simulator
 * notices. FAULT(x) is constant false outside simulator builds; there, the run chooses one by name.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "types.h"

/* name, what the product then does wrong */
#define FAULT_LIST(X)                                                                       \
	X(skip_sync, "a group commit says done without syncing")                            \
	X(skip_name_sync, "a group commit does not sync the names of new segments")         \
	X(ack_early, "produce with acks=all answers before the high watermark gets there")  \
	X(recover_off_by_one, "recovery keeps one batch too few")                           \
	X(recover_no_crc, "recovery does not check the last batches")                       \
	X(forget_epoch, "a restart does not raise the leader epochs")                       \
	X(lose_wakeup, "a watch that is satisfied is sometimes not called")                 \
	X(dup_window_short, "an idempotent producer's window remembers one batch")          \
	X(seq_unchecked, "sequence gaps are accepted")                                      \
	X(read_past_hw, "fetch reads to the log end, not the high watermark")               \
	X(index_wrong, "index entries point one batch too far")                             \
	X(meta_commit_early, "metadata records count as committed before their sync")       \
	X(producer_id_reuse, "a producer id block is handed out twice after a restart")     \
	X(delete_no_id_check, "a recreated topic opens the old directory")                  \
	X(enospc_keeps_offset, "a failed write does not take its offsets back")             \
	X(time_query_stale, "a time query that a trim overtook is answered all the same")   \
	X(compact_past_recovery, "compaction does not wait for the recovery point")         \
	X(coord_answer_early, "a coordinator answers before its records are in the log")    \
	X(coord_no_undo, "what a coordinator could not log stays in its state")             \
	X(group_taken_ignored, "a member gets partitions that another one still has")       \
	X(group_commit_unchecked, "anybody's commit is taken, of any generation or epoch")  \
	X(dir_begun_anew, "what lies in a directory that is missing is begun anew in another") \
	X(static_unfenced, "a static member that was replaced may still commit")            \
	X(host_unawaited, "a classic member has given back what it was asked for, it is assumed") \
	X(regex_never_anew, "an expression stands for the topics of its first day for ever") \
	X(upgrade_forgets, "a group that changes to the new protocol forgets who owns what") \
	X(marker_any_epoch, "a marker ends whatever its producer id has open, of any epoch") \
	X(txn_epoch_unchecked, "the coordinator takes requests of producers that were fenced") \
	X(txn_epoch_overflow, "epochs of a producer id go on rising behind the last one")   \
	X(txn_answer_early, "the end of a transaction is answered before it is in the log") \
	X(end_retry_fenced, "the end of a transaction, asked for again, is refused")        \
	X(marker_given_up, "a marker that could not be written is not written again")       \
	X(open_forgotten, "a snapshot of producers does not say whose transactions are open") \
	X(stable_is_high, "readers of committed records get what is not decided yet")       \
	X(aborted_unlisted, "an aborted transaction does not come into the index")          \
	X(dup_any_epoch, "a batch is taken for one of an earlier epoch with its sequence")  \
	X(pending_early, "offsets of a transaction count before it is committed")           \
	X(unstable_served, "offsets are served while a transaction is about to change them") \
	X(dir_acks_on, "a directory whose writes fail goes on acknowledging")               \
	X(move_early, "a move swaps in a copy that has not caught up")                      \
	X(delete_forgotten, "what a deletion left behind is not removed after a restart") \
	X(check_skipped, "what comes off the disk is served without a look at its checksum") \
	X(scrub_no_crc, "a scrub passes over batches that do not have their checksum")

enum fault {
	FAULT_NONE,
#define X(name, what) FAULT_##name,
	FAULT_LIST(X)
#undef X
	FAULT_N
};

#ifdef MOLDAU_SIM
bool fault_is(enum fault fault);
void fault_set(enum fault fault);
/* FAULT_NONE when unknown. */
enum fault fault_find(const char *name);
const char *fault_name(enum fault fault);
#define FAULT(name) unlikely(fault_is(FAULT_##name))
/* No fault: the epoch that a transactional id's new producer id begins with is 0, but a run may choose a higher one, so
 * that the last epochs are met within it. */
int16_t sim_first_epoch(void);
void sim_first_epoch_set(int16_t epoch);
#else
#define FAULT(name) false
#define sim_first_epoch() 0
#endif

#endif
