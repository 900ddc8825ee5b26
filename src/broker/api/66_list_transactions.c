/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListTransactions (key 66), versions 0-2: the transactional ids that this broker coordinates, from all reactors, by
 * state, producer id, age of the open transaction and a pattern of the id.
 *
 * Same as Kafka: filters of one kind are alternatives, of different kinds all must fit; names of states that nobody
 * knows are told, and match nothing; one coordinator that is loading makes the whole answer
 * COORDINATOR_LOAD_IN_PROGRESS.
 */
#include "api.h"
#include "broker.h"
#include "msg/list_transactions.h"
#include "pattern.h"
#include "shard.h"
#include "transaction_markers.h"

struct list_transactions;

struct list_transactions_leg {
	struct msg msg;
	struct list_transactions *all;
	struct shard *shard;
	struct pattern *pattern; /* NULL: all ids */
	struct arena arena;
	VEC(struct list_transactions_response_transaction_states) found;
	enum err match_err; /* the pattern takes too long */
	enum err err;
};

struct list_transactions {
	struct request *request;
	const struct list_transactions_request *in;
	uint32_t states; /* bit set of enum txn_state; those asked for */
	bool has_states;
	struct list_transactions_leg *legs;
	int legs_n;
	int legs_out;
	struct list_transactions_response out;
};

static bool list_transactions_wants_producer(const struct list_transactions_request *in, int64_t producer_id)
{
	bool wants = in->producer_id_filters_n == 0;

	for (int32_t i = 0; i < in->producer_id_filters_n; i++)
		wants |= in->producer_id_filters[i] == producer_id;
	return wants;
}

static void list_transactions_add(void *ctx, const struct txn *txn)
{
	struct list_transactions_leg *leg = ctx;
	const struct list_transactions_request *in = leg->all->in;
	struct list_transactions_response_transaction_states out;

	if (txn->state == TXN_DEAD || !list_transactions_wants_producer(in, txn->producer_id) ||
	    (leg->all->has_states && !(leg->all->states & 1u << txn->state)))
		return;
	if (in->duration_filter >= 0 && leg->shard->reactor->wall_ms - txn->start_ms <= in->duration_filter)
		return;
	if (leg->pattern) {
		bool matches = false;
		enum err err = pattern_match(leg->pattern, txn->id, &matches);

		leg->match_err = err ? err : leg->match_err;
		if (!matches)
			return;
	}
	msg_init(&list_transactions_response_transaction_states_type, &out);
	out.transactional_id = arena_str(&leg->arena, txn->id);
	out.producer_id = txn->producer_id;
	out.transaction_state = str_of(txn_state_name(txn->state));
	vec_push(&leg->found, out);
}

static void list_transactions_reply(struct list_transactions *all)
{
	struct request *request = all->request;
	size_t n = 0;

	for (int i = 0; i < all->legs_n; i++)
		n += all->legs[i].found.n;
	all->out.transaction_states =
		MSG_NEW_N(&request->arena, list_transactions_response_transaction_states, (int64_t)n);
	for (int i = 0; i < all->legs_n; i++) {
		const struct list_transactions_leg *leg = &all->legs[i];

		if (leg->err)
			all->out.error_code = err_wire(leg->err);
		for (size_t j = 0; j < leg->found.n; j++)
			all->out.transaction_states[all->out.transaction_states_n++] = leg->found.v[j];
	}
	/* An answer that would not be whole is none. */
	if (all->out.error_code) {
		all->out.transaction_states_n = 0;
		all->out.unknown_state_filters_n = 0;
	}
	request_reply(request, &all->out);
}

static void list_transactions_release(struct request *request)
{
	struct list_transactions *all = request->op;

	for (int i = 0; i < all->legs_n; i++) {
		vec_deinit(&all->legs[i].found);
		arena_reset(&all->legs[i].arena);
	}
	request_released(request);
}

static void list_transactions_returns(struct reactor *reactor UNUSED, struct msg *msg)
{
	struct list_transactions *all = container_of(msg, struct list_transactions_leg, msg)->all;

	if (--all->legs_out == 0)
		list_transactions_reply(all);
}

static void list_transactions_arrives(struct reactor *reactor, struct msg *msg)
{
	struct list_transactions_leg *leg = container_of(msg, struct list_transactions_leg, msg);
	struct str pattern = leg->all->in->transactional_id_pattern;
	struct err_text text = {{0}};

	if (pattern.len > 0 && pattern_new(pattern, PATTERN_RE2, &leg->pattern, &text))
		leg->err = ERR_INVALID_REGULAR_EXPRESSION;
	else
		leg->err = coordinator_io_each_txn(leg->shard, list_transactions_add, leg);
	if (!leg->err && leg->match_err)
		leg->err = ERR_INVALID_REGULAR_EXPRESSION;
	if (leg->pattern)
		pattern_free(leg->pattern);
	leg->msg.handle = list_transactions_returns;
	reactor_send(reactor, leg->all->request->shard->reactor, &leg->msg);
}

static void list_transactions_states(struct list_transactions *all)
{
	const struct list_transactions_request *in = all->in;

	all->has_states = in->state_filters_n > 0;
	all->out.unknown_state_filters =
		ARENA_NEW_N(&all->request->arena, struct str, in->state_filters_n);
	for (int32_t i = 0; i < in->state_filters_n; i++) {
		bool is_known = false;

		for (int state = TXN_EMPTY; state <= TXN_PREPARE_EPOCH_FENCE; state++) {
			if (!str_eq_c(in->state_filters[i], txn_state_name((enum txn_state)state)))
				continue;
			all->states |= 1u << state;
			is_known = true;
		}
		if (!is_known)
			all->out.unknown_state_filters[all->out.unknown_state_filters_n++] = in->state_filters[i];
	}
}

void api_list_transactions(struct request *request)
{
	struct list_transactions *all = ARENA_NEW(&request->arena, struct list_transactions);
	struct broker *broker = request->shard->broker;

	all->request = request;
	all->in = request->body;
	msg_init(&list_transactions_response_type, &all->out);
	list_transactions_states(all);
	all->legs_n = broker->shards_n;
	all->legs_out = broker->shards_n;
	all->legs = ARENA_NEW_N(&request->arena, struct list_transactions_leg, broker->shards_n);
	request->op = all;
	request->release = list_transactions_release;
	for (int i = 0; i < broker->shards_n; i++) {
		struct list_transactions_leg *leg = &all->legs[i];

		leg->all = all;
		leg->shard = &broker->shards[i];
		leg->arena.limit = REQUEST_ARENA_LIMIT;
		leg->msg.handle = list_transactions_arrives;
		reactor_send(request->shard->reactor, leg->shard->reactor, &leg->msg);
	}
}
