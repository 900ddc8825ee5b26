/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The election and the high watermark of a quorum of one: see raft.h for the roles and the invariants. Next to the role
 * runs the order in which an election is carried out, one action at a time:
 *
 *    VOTE -> VOTE_OUT -> LEAD -> LEAD_OUT -> START -> START_OUT -> TELL -> LEADING
 *    persist the vote    persist the leader  append LeaderChange  tell      commit
 *                                              ^          |                   |
 *                                              +----------+---the log lost it-+
 */
#include "raft.h"

#include "control.h"
#include "mem.h"
#include "msg/raft_records.h"

enum raft_step {
	STEP_VOTE,
	STEP_VOTE_OUT,
	STEP_LEAD,
	STEP_LEAD_OUT,
	STEP_START,
	STEP_START_OUT,
	STEP_TELL,
	STEP_LEADING,
	STEP_STOPPED,
};

static const struct sm_state raft_roles[] = {
	[RAFT_UNATTACHED] = {"unattached", SM_TO(RAFT_CANDIDATE) | SM_TO(RAFT_RESIGNED)},
	[RAFT_CANDIDATE] = {"candidate", SM_TO(RAFT_LEADER) | SM_TO(RAFT_RESIGNED)},
	[RAFT_LEADER] = {"leader", SM_TO(RAFT_RESIGNED)},
	[RAFT_RESIGNED] = {"resigned", 0},
};

static const struct sm_def raft_role_def = {"raft", raft_roles, ARRAY_N(raft_roles)};

static const struct sm_state raft_steps[] = {
	[STEP_VOTE] = {"vote", SM_TO(STEP_VOTE_OUT) | SM_TO(STEP_STOPPED)},
	[STEP_VOTE_OUT] = {"vote_out", SM_TO(STEP_LEAD) | SM_TO(STEP_STOPPED)},
	[STEP_LEAD] = {"lead", SM_TO(STEP_LEAD_OUT) | SM_TO(STEP_STOPPED)},
	[STEP_LEAD_OUT] = {"lead_out", SM_TO(STEP_START) | SM_TO(STEP_STOPPED)},
	[STEP_START] = {"start", SM_TO(STEP_START_OUT) | SM_TO(STEP_STOPPED)},
	[STEP_START_OUT] = {"start_out",
			    SM_TO(STEP_TELL) | SM_TO(STEP_LEADING) | SM_TO(STEP_START) | SM_TO(STEP_STOPPED)},
	[STEP_TELL] = {"tell", SM_TO(STEP_LEADING) | SM_TO(STEP_START) | SM_TO(STEP_STOPPED)},
	[STEP_LEADING] = {"leading", SM_TO(STEP_START) | SM_TO(STEP_STOPPED)},
	[STEP_STOPPED] = {"stopped", 0},
};

static const struct sm_def raft_step_def = {"raft_step", raft_steps, ARRAY_N(raft_steps)};

struct raft_core {
	struct sm step;
	struct arena arena;   /* of what raft_init keeps */
	struct uuid directory_id;
	struct bytes voters;  /* the record to write with the LeaderChange; null when it is in the log */
	struct scratch batch; /* of RAFT_APPEND */
	int64_t now_ms;
	int64_t committed;    /* the high watermark last told */
	int16_t kraft_version;
	bool told;            /* RAFT_BECAME_LEADER was given */
};

#define RAFT_NAME "__cluster_metadata"

static struct raft_core *core_of(struct raft *raft)
{
	return raft->priv;
}

static bool raft_step_is(struct raft *raft, enum raft_step step)
{
	return core_of(raft)->step.state == (int)step;
}

static void raft_step_to(struct raft *raft, enum raft_step step)
{
	sm_move(&core_of(raft)->step, step, RAFT_NAME);
}

/* ---- who votes ---- */

static void voters_list(const struct raft_voters *voters, char *p, size_t cap)
{
	struct fmt f;

	fmt_init(&f, p, cap);
	for (size_t i = 0; i < voters->voters.n; i++)
		fmt_add(&f, "%s%d", i > 0 ? ", " : "", voters->voters.v[i].id);
}

static enum err raft_check_voters(const struct raft_init *init, struct err_text *text)
{
	const struct raft_voters *voters = init->voters;
	const struct raft_voter *voter;
	char ids[128], theirs[UUID_TEXT_LEN + 1], ours[UUID_TEXT_LEN + 1];

	voters_list(voters, ids, sizeof(ids));
	if (voters->voters.n == 0)
		return err_text_set(text, ERR_NOT_SUPPORTED,
				    "No voters of the metadata quorum are known: neither the metadata log nor "
				    "controller.quorum.voters names one. Set controller.quorum.voters to %d@host:port "
				    "of this node's controller listener, or format the directory with its voters "
				    "(kafka-storage.sh format --standalone)", init->node_id);
	if (voters->voters.n > 1)
		return err_text_set(text, ERR_NOT_SUPPORTED,
				    "The metadata quorum has %zu voters (%s); this version runs a quorum of one. %s",
				    voters->voters.n, ids,
				    init->kraft_version > 0 ?
					    "Remove the other voters first, where the cluster still runs "
					    "(kafka-metadata-quorum.sh remove-controller)" :
					    "Name only this node in controller.quorum.voters");
	voter = &voters->voters.v[0];
	if (voter->id != init->node_id)
		return err_text_set(text, ERR_NOT_SUPPORTED,
				    "Node %d is not a voter of its metadata quorum, node %s is; a node without a vote "
				    "cannot run yet. Set node.id=%s if this directory is that node's", init->node_id,
				    ids, ids);
	if (init->kraft_version == 0 || uuid_eq(voter->directory_id, init->directory_id))
		return ERR_NONE;
	uuid_format(voter->directory_id, theirs);
	uuid_format(init->directory_id, ours);
	return err_text_set(text, ERR_NOT_SUPPORTED,
			    "The vote of node %d belongs to directory %s, but its metadata directory is %s. Start it "
			    "with the directory that was formatted for it, or put that id back as directory.id in "
			    "meta.properties", init->node_id, theirs, ours);
}

static enum err raft_check(const struct raft_init *init, int32_t epoch, struct err_text *text)
{
	if (init->kraft_version < 0 || init->kraft_version > 1)
		return err_text_set(text, ERR_NOT_SUPPORTED, "The metadata log has kraft.version %d; this version "
				    "knows 0 and 1. Start it with a newer version", init->kraft_version);
	if (epoch < 0 || epoch == INT32_MAX || init->log_end_offset < 0)
		return err_text_set(text, ERR_CORRUPT_FILE, "The metadata log cannot be at epoch %d and offset %lld: "
				    "quorum-state or the log is damaged. Restore them from a backup", epoch,
				    (long long)init->log_end_offset);
	return raft_check_voters(init, text);
}

/* ---- life ---- */

enum err raft_init(struct raft *raft, const struct raft_init *init, struct err_text *text)
{
	int32_t epoch = MAX(init->persisted ? init->persisted->leader_epoch : 0, init->log_last_epoch);
	struct raft_core *core;
	enum err err = raft_check(init, epoch, text);

	if (err)
		return err;
	core = MEM_NEW(struct raft_core);
	*raft = (struct raft){
		.node_id = init->node_id,
		.epoch = epoch,
		.leader_id = -1,
		.epoch_start_offset = -1,
		.log_end_offset = init->log_end_offset,
		.high_watermark = -1,
		.priv = core,
	};
	sm_init(&raft->role, &raft_role_def, RAFT_UNATTACHED);
	sm_init(&core->step, &raft_step_def, STEP_VOTE);
	core->directory_id = init->directory_id;
	core->kraft_version = init->kraft_version;
	core->now_ms = init->now_ms;
	core->committed = -1;
	if (init->kraft_version > 0 && !init->voters_in_log)
		core->voters = raft_voters_encode(init->voters, &core->arena);
	/* The only voter needs to wait for nobody: it stands for election at once. */
	raft->state = (struct quorum_state){
		.data_version = init->kraft_version > 0 ? 1 : 0,
		.cluster_id = STR(""),
		.leader_id = -1,
		.leader_epoch = epoch + 1,
		.voted_id = init->node_id,
		.voted_directory_id = init->kraft_version > 0 ? init->directory_id : UUID_ZERO,
	};
	if (init->kraft_version == 0)
		vec_push(&raft->state.current_voters, init->node_id);
	return ERR_NONE;
}

void raft_deinit(struct raft *raft)
{
	struct raft_core *core = core_of(raft);

	quorum_state_deinit(&raft->state);
	scratch_deinit(&core->batch);
	arena_reset(&core->arena);
	mem_free(core);
	raft->priv = NULL;
}

/* ---- the first batch of an epoch ---- */

static struct bytes leader_change_encode(const struct raft *raft, struct arena *arena)
{
	struct leader_change_message_voter self;
	struct leader_change_message message;
	struct bytes value;
	enum err err;

	msg_init(&leader_change_message_voter_type, &self);
	self.voter_id = raft->node_id;
	msg_init(&leader_change_message_type, &message);
	message.leader_id = raft->node_id;
	message.voters = message.granting_voters = &self;
	message.voters_n = message.granting_voters_n = 1;
	err = codec_encode_flat(&leader_change_message_type, 0, &message, arena, &value, NULL);
	CHECK_OP(err, ==, ERR_NONE);
	return value;
}

static struct bytes kraft_version_encode(int16_t kraft_version, struct arena *arena)
{
	struct kraft_version_record record;
	struct bytes value;
	enum err err;

	msg_init(&kraft_version_record_type, &record);
	record.kraft_version = kraft_version;
	err = codec_encode_flat(&kraft_version_record_type, 0, &record, arena, &value, NULL);
	CHECK_OP(err, ==, ERR_NONE);
	return value;
}

/* A handful of short records: they always fit. */
static struct bytes raft_start_batch(struct raft *raft)
{
	struct raft_core *core = core_of(raft);
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder builder;
	struct arena arena = {0};
	struct bytes batch;
	enum err err;

	spec.base_offset = raft->epoch_start_offset;
	spec.leader_epoch = raft->epoch;
	spec.attributes = BATCH_CONTROL;
	core->batch.len = 0;
	err = batch_builder_init(&builder, &spec, &core->batch, NULL);
	if (!err)
		err = control_add(&builder, core->now_ms, CONTROL_LEADER_CHANGE, leader_change_encode(raft, &arena));
	if (!err && core->voters.p)
		err = control_add(&builder, core->now_ms, CONTROL_KRAFT_VERSION,
				  kraft_version_encode(core->kraft_version, &arena));
	if (!err && core->voters.p)
		err = control_add(&builder, core->now_ms, CONTROL_KRAFT_VOTERS, core->voters);
	if (!err)
		err = batch_builder_finish(&builder, &batch);
	CHECK_OP(err, ==, ERR_NONE);
	arena_reset(&arena);
	return batch;
}

/* ---- actions ---- */

static struct raft_action raft_append_start(struct raft *raft)
{
	raft->epoch_start_offset = raft->log_end_offset;
	raft_step_to(raft, STEP_START_OUT);
	return (struct raft_action){.kind = RAFT_APPEND, .epoch = raft->epoch, .offset = raft->epoch_start_offset,
				    .batch = raft_start_batch(raft)};
}

static struct raft_action raft_commit(struct raft *raft)
{
	struct raft_core *core = core_of(raft);

	if (raft->high_watermark == core->committed)
		return (struct raft_action){.kind = RAFT_NO_ACTION};
	core->committed = raft->high_watermark;
	return (struct raft_action){.kind = RAFT_COMMIT, .epoch = raft->epoch, .offset = core->committed};
}

static struct raft_action raft_persist(struct raft *raft, enum raft_step out)
{
	raft_step_to(raft, out);
	return (struct raft_action){.kind = RAFT_PERSIST, .epoch = raft->state.leader_epoch, .state = &raft->state};
}

struct raft_action raft_next(struct raft *raft)
{
	switch ((enum raft_step)core_of(raft)->step.state) {
	case STEP_VOTE:
		return raft_persist(raft, STEP_VOTE_OUT);
	case STEP_LEAD:
		return raft_persist(raft, STEP_LEAD_OUT);
	case STEP_START:
		return raft_append_start(raft);
	case STEP_TELL:
		core_of(raft)->told = true;
		raft_step_to(raft, STEP_LEADING);
		return (struct raft_action){.kind = RAFT_BECAME_LEADER, .epoch = raft->epoch};
	case STEP_LEADING:
		return raft_commit(raft);
	case STEP_VOTE_OUT:
	case STEP_LEAD_OUT:
	case STEP_START_OUT:
	case STEP_STOPPED:
		break;
	default:
		UNREACHABLE();
	}
	return (struct raft_action){.kind = RAFT_NO_ACTION};
}

/* ---- events ---- */

/* Invariant 3. */
static void raft_advance(struct raft *raft)
{
	int64_t offset = MIN(raft->durable_offset, raft->log_end_offset);

	if (raft->role.state == RAFT_LEADER && (raft_step_is(raft, STEP_LEADING) || raft_step_is(raft, STEP_TELL)) &&
	    offset > raft->epoch_start_offset && offset > raft->high_watermark)
		raft->high_watermark = offset;
}

void raft_tick(struct raft *raft, int64_t now_ms)
{
	core_of(raft)->now_ms = now_ms;
}

/* The vote counts, and with one voter it is the majority. */
static void raft_win(struct raft *raft)
{
	sm_move(&raft->role, RAFT_CANDIDATE, RAFT_NAME);
	raft->epoch = raft->state.leader_epoch;
	sm_move(&raft->role, RAFT_LEADER, RAFT_NAME);
	raft->leader_id = raft->node_id;
	raft->epoch_start_offset = raft->log_end_offset;
	raft->state.leader_id = raft->node_id;
	raft->state.voted_id = -1;
	raft->state.voted_directory_id = UUID_ZERO;
	raft_step_to(raft, STEP_LEAD);
}

void raft_persisted(struct raft *raft)
{
	if (raft_step_is(raft, STEP_STOPPED))
		return;
	if (raft_step_is(raft, STEP_VOTE_OUT))
		raft_win(raft);
	else
		raft_step_to(raft, STEP_START);
}

void raft_appended(struct raft *raft, int64_t end_offset)
{
	if (raft_step_is(raft, STEP_STOPPED))
		return;
	CHECK_OP(end_offset, >, raft->log_end_offset);
	raft->log_end_offset = end_offset;
	if (raft_step_is(raft, STEP_START_OUT))
		raft_step_to(raft, core_of(raft)->told ? STEP_LEADING : STEP_TELL);
	else
		CHECK(raft_step_is(raft, STEP_LEADING)); /* invariant 2 */
	raft_advance(raft);
}

void raft_durable(struct raft *raft, int64_t offset)
{
	raft->durable_offset = MAX(raft->durable_offset, offset);
	raft_advance(raft);
}

void raft_append_failed(struct raft *raft, int64_t end_offset)
{
	CHECK_OP(end_offset, >=, raft->high_watermark);
	raft->log_end_offset = end_offset;
	raft->durable_offset = MIN(raft->durable_offset, end_offset);
	if (raft->role.state == RAFT_LEADER && end_offset <= raft->epoch_start_offset &&
	    (raft_step_is(raft, STEP_START_OUT) || raft_step_is(raft, STEP_TELL) || raft_step_is(raft, STEP_LEADING)))
		raft_step_to(raft, STEP_START);
}

void raft_resign(struct raft *raft)
{
	if (raft->role.state == RAFT_RESIGNED)
		return;
	sm_move(&raft->role, RAFT_RESIGNED, RAFT_NAME);
	raft->leader_id = -1;
	raft_step_to(raft, STEP_STOPPED);
}
