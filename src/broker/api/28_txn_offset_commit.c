/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TxnOffsetCommit (key 28), versions 0-5: offsets of a group that count once the transaction commits.
 *
 *    up to version 4:  guard (what markers the group's partition has seen) --> verified with the transaction's
 *                      coordinator --> committed, if no marker has come in between; else from the start
 *    version 5:        enrolled with the coordinator (version 2 of transactions) --> committed: a late one is refused
 *                      by its epoch, which the end of the transaction has raised
 *
 * Same as Kafka: topics and partitions that do not exist are answered one by one, the rest is committed; an error
 * of the group, or of the transaction, is everybody's; up to version 1 COORDINATOR_LOAD_IN_PROGRESS is told as
 * COORDINATOR_NOT_AVAILABLE, which old producers survive.
 */
#include "api.h"
#include "broker.h"
#include "coordinator_io_internal.h"
#include "group_offsets.h"
#include "msg/offset_commit.h"
#include "msg/txn_offset_commit.h"
#include "shard.h"
#include "transaction_call.h"

#define GUARD_TRIES 5

struct txn_offset_commit {
	struct request *request;
	const struct txn_offset_commit_request *in;
	struct coord_origin origin;
	struct offset_commit_request valid; /* what exists, as a plain commit */
	bool *exists;			    /* of each partition asked for, in order */
	struct offset_commit_response decided;
	struct coordinator_call call; /* to the group */
	struct coord_op op;
	struct transaction_call enrol;
	struct txn_partition partition; /* of the group's coordinator */
	/* the guard */
	uint64_t markers_n;
	bool is_open;	 /* the transaction wrote there already */
	bool is_changed; /* a marker came in between */
	int tries;
};

/* ---- the answer ---- */

static enum err txn_commit_error(const struct txn_offset_commit *commit, enum err err)
{
	switch ((int)err) {
	case ERR_MESSAGE_TOO_LARGE:
		return ERR_INVALID_COMMIT_OFFSET_SIZE;
	case ERR_NOT_ENOUGH_REPLICAS:
		return ERR_COORDINATOR_NOT_AVAILABLE;
	case ERR_COORDINATOR_LOAD_IN_PROGRESS:
		return commit->request->version < 2 ? ERR_COORDINATOR_NOT_AVAILABLE : err;
	default:
		return err;
	}
}

static void txn_commit_reply(struct txn_offset_commit *commit, enum err err)
{
	const struct txn_offset_commit_request *in = commit->in;
	struct arena *arena = &commit->request->arena;
	struct txn_offset_commit_response out;
	int32_t at = 0, valid_at = 0;

	msg_init(&txn_offset_commit_response_type, &out);
	err = txn_commit_error(commit, err);
	out.topics = MSG_NEW_N(arena, txn_offset_commit_response_topics, in->topics_n);
	out.topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++) {
		const struct offset_commit_response_topics *decided = NULL;
		int32_t n = in->topics[i].partitions_n, decided_at = 0;
		bool is_asked = valid_at < commit->valid.topics_n &&
				commit->valid.topics[valid_at].name.p == in->topics[i].name.p;

		if (is_asked && !err)
			decided = &commit->decided.topics[valid_at];
		valid_at += is_asked;
		out.topics[i].name = in->topics[i].name;
		out.topics[i].partitions = MSG_NEW_N(arena, txn_offset_commit_response_topics_partitions, n);
		out.topics[i].partitions_n = n;
		for (int32_t j = 0; j < n; j++, at++) {
			struct txn_offset_commit_response_topics_partitions *to = &out.topics[i].partitions[j];

			to->partition_index = in->topics[i].partitions[j].partition_index;
			if (!commit->exists[at])
				to->error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
			else
				to->error_code = decided ? decided->partitions[decided_at++].error_code : err_wire(err);
		}
	}
	request_reply(commit->request, &out);
}

static void txn_commit_release(struct request *request)
{
	struct txn_offset_commit *commit = request->op;

	coordinator_call_free(&commit->call);
	request_released(request);
}

/* ---- the commit ---- */

static void txn_commit_start(struct txn_offset_commit *commit);

static bool txn_commit_has_guard(const struct txn_offset_commit *commit)
{
	return commit->request->version < 5 && transaction_is_verified(commit->request->shard);
}

/* On the reactor of the group. */
static void txn_commit_look(const struct group_store *store, int64_t producer_id, int16_t epoch,
			    uint64_t *ret_markers_n, bool *ret_is_open)
{
	const struct coord_partition *part = store->shard->ctx;
	const struct partition *partition = shard_partition(part->io->shard, part->topic_id, part->index);

	*ret_markers_n = part->markers_n;
	*ret_is_open = partition && producer_state_has_txn(&partition->log->producers, producer_id, epoch);
}

static enum err txn_commit_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct txn_offset_commit *commit = container_of(op, struct txn_offset_commit, op);
	uint64_t markers_n;
	bool is_open;

	txn_commit_look(machine, commit->origin.producer_id, commit->origin.producer_epoch, &markers_n, &is_open);
	commit->is_changed = commit->tries > 0 && markers_n != commit->markers_n;
	if (commit->is_changed)
		return ERR_NOT_ENOUGH_REPLICAS;
	return offsets_commit_in_transaction(machine, &commit->valid, &commit->decided, records);
}

static void txn_commit_decided(struct coordinator_call *call)
{
	struct txn_offset_commit *commit = container_of(call, struct txn_offset_commit, call);

	if (commit->is_changed && commit->tries < GUARD_TRIES)
		txn_commit_start(commit);
	else
		txn_commit_reply(commit, commit->op.err);
}

static void txn_commit_call(struct txn_offset_commit *commit,
			    enum err (*decide)(struct coord_op *, void *, struct coord_records *),
			    void (*done)(struct coordinator_call *))
{
	commit->op = (struct coord_op){.decide = decide};
	commit->call.request = commit->request;
	commit->call.group_id = commit->in->group_id;
	commit->call.op = &commit->op;
	commit->call.done = done;
	coordinator_call_start(&commit->call);
}

static void txn_commit_go(struct txn_offset_commit *commit)
{
	commit->call.origin = &commit->origin;
	txn_commit_call(commit, txn_commit_decide, txn_commit_decided);
}

/* ---- before it: the transaction's coordinator ---- */

static void txn_commit_enrolled(struct transaction_call *enrol)
{
	struct txn_offset_commit *commit = container_of(enrol, struct txn_offset_commit, enrol);
	enum err err = enrol->errs[0];

	transaction_call_free(enrol);
	if (err)
		txn_commit_reply(commit, err);
	else
		txn_commit_go(commit);
}

static void txn_commit_enrol(struct txn_offset_commit *commit)
{
	int16_t version = commit->request->version;

	commit->enrol = (struct transaction_call){
		.home = commit->request->shard,
		.ask = version >= 5   ? TRANSACTION_ADD
		       : version == 4 ? TRANSACTION_VERIFY
				      : TRANSACTION_VERIFY_OLD,
		.transactional_id = commit->in->transactional_id,
		.producer = {commit->origin.producer_id, commit->origin.producer_epoch},
		.partitions = &commit->partition,
		.partitions_n = 1,
		.done = txn_commit_enrolled,
	};
	transaction_enrol(&commit->enrol);
}

static enum err txn_commit_guard(struct coord_op *op, void *machine, struct coord_records *records UNUSED)
{
	struct txn_offset_commit *commit = container_of(op, struct txn_offset_commit, op);

	txn_commit_look(machine, commit->origin.producer_id, commit->origin.producer_epoch, &commit->markers_n,
			&commit->is_open);
	return ERR_NONE;
}

static void txn_commit_guarded(struct coordinator_call *call)
{
	struct txn_offset_commit *commit = container_of(call, struct txn_offset_commit, call);

	if (commit->op.err)
		txn_commit_reply(commit, commit->op.err);
	else if (commit->is_open)
		txn_commit_go(commit);
	else
		txn_commit_enrol(commit);
}

static void txn_commit_start(struct txn_offset_commit *commit)
{
	commit->call.origin = NULL;
	commit->is_changed = false;
	if (txn_commit_has_guard(commit)) {
		commit->tries++;
		txn_commit_call(commit, txn_commit_guard, txn_commit_guarded);
	} else if (commit->request->version >= 5) {
		txn_commit_enrol(commit);
	} else {
		txn_commit_go(commit);
	}
}

/* ---- the request ---- */

static void txn_commit_topic(struct txn_offset_commit *commit, const struct txn_offset_commit_request_topics *in,
			     int32_t *at)
{
	struct arena *arena = &commit->request->arena;
	const struct topic_image *topic = image_topic(commit->request->shard->image, in->name);
	struct offset_commit_request_topics *valid = &commit->valid.topics[commit->valid.topics_n];

	valid->name = in->name;
	if (topic)
		valid->topic_id = topic->id;
	valid->partitions = MSG_NEW_N(arena, offset_commit_request_topics_partitions, in->partitions_n);
	for (int32_t i = 0; i < in->partitions_n; i++, ++*at) {
		const struct txn_offset_commit_request_topics_partitions *from = &in->partitions[i];
		struct offset_commit_request_topics_partitions *to = &valid->partitions[valid->partitions_n];

		commit->exists[*at] =
			topic && from->partition_index >= 0 && topic_partition(topic, from->partition_index);
		if (!commit->exists[*at])
			continue;
		to->partition_index = from->partition_index;
		to->committed_offset = from->committed_offset;
		to->committed_leader_epoch = from->committed_leader_epoch;
		to->committed_metadata = from->committed_metadata;
		valid->partitions_n++;
	}
	commit->valid.topics_n += valid->partitions_n > 0;
}

static void txn_commit_fill(struct txn_offset_commit *commit)
{
	const struct txn_offset_commit_request *in = commit->in;
	struct arena *arena = &commit->request->arena;
	int32_t n = 0, at = 0;

	for (int32_t i = 0; i < in->topics_n; i++)
		n += in->topics[i].partitions_n;
	commit->exists = ARENA_NEW_N(arena, bool, n);
	msg_init(&offset_commit_request_type, &commit->valid);
	msg_init(&offset_commit_response_type, &commit->decided);
	commit->valid.group_id = in->group_id;
	commit->valid.generation_id_or_member_epoch = in->generation_id;
	commit->valid.member_id = in->member_id;
	commit->valid.group_instance_id = in->group_instance_id;
	commit->valid.topics = MSG_NEW_N(arena, offset_commit_request_topics, in->topics_n);
	for (int32_t i = 0; i < in->topics_n; i++)
		txn_commit_topic(commit, &in->topics[i], &at);
}

void api_txn_offset_commit(struct request *request)
{
	const struct txn_offset_commit_request *in = request->body;
	struct txn_offset_commit *commit = ARENA_NEW(&request->arena, struct txn_offset_commit);
	const struct topic_image *topic = image_topic(request->shard->image, STR(OFFSETS_TOPIC));

	commit->request = request;
	commit->in = in;
	commit->origin = (struct coord_origin){in->producer_id, in->producer_epoch};
	request->op = commit;
	request->release = txn_commit_release;
	txn_commit_fill(commit);
	if (commit->valid.topics_n == 0) {
		txn_commit_reply(commit, ERR_NONE);
		return;
	}
	if (in->group_id.len == 0 || in->producer_id < 0 || !topic || topic->partitions_n == 0) {
		txn_commit_reply(commit, in->group_id.len == 0 ? ERR_INVALID_GROUP_ID
					 : in->producer_id < 0 ? ERR_INVALID_PRODUCER_ID_MAPPING
							       : ERR_NOT_COORDINATOR);
		return;
	}
	commit->partition = (struct txn_partition){STR(OFFSETS_TOPIC),
						   coordinator_partition_of(in->group_id, topic->partitions_n)};
	txn_commit_start(commit);
}
