/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch (key 1), versions 4-18.
 *
 *    ASKING --enough, error, or no time left--> REPLY
 *       |  ^
 *       v  |  (news from any partition, or the deadline)
 *    ARMING --> WAITING --> DISARMING
 *
 * ASKING     every owner says what is readable now: a range of a file per partition, nothing is copied
 * ARMING     every owner starts one watch per partition; a high watermark that moved meanwhile counts as news
 * WAITING    suspended until a watch fires or the deadline
 * DISARMING  the watches are taken back, then all is asked again
 *
 * Byte limits are dealt out in request order after the answers are in: the first partition that has data gives its
 * first batch whole, whatever the limits say, so that a large batch always gets through (KIP-74).
 *
 * Same as Kafka: sessions (KIP-227), topic ids from version 13 (KIP-516), epoch fencing (KIP-320), the last batch may
 * be cut, an error on any partition answers at once; read_committed ends at the first open transaction and names the
 * aborted ones that reach into what is returned.
 */
#include "api.h"
#include "broker.h"
#include "client_quota.h"
#include "fetch_op.h"
#include "shard.h"

/* An answer without its topics, and what each partition takes beside its records. */
#define FETCH_ANSWER_LEN 30
#define FETCH_ANSWER_PARTITION_LEN 50

static void fetch_ask(struct fetch *fetch);
static void fetch_disarm(struct fetch *fetch);

/* ---- on the owner's reactor: asking ---- */

static void fetch_part_end(struct fetch_part *part, enum err err)
{
	struct shard *shard = part->owner.leg->shard;

	metrics_fetched(shard, err ? NULL : shard_topic_metrics(shard, part->owner.topic_id), err);
	part->err = err;
	scatter_part_done(part->owner.leg);
}

/* ERR_OFFSET_OUT_OF_RANGE for an epoch that this log never had; else *ret tells whether the client's log diverges. */
static enum err fetch_part_diverges(struct fetch_part *part, bool *ret)
{
	const struct part_log *log = part->owner.partition->log;
	int32_t epoch;
	int64_t end;

	*ret = false;
	if (part->want->last_fetched_epoch < 0)
		return ERR_NONE;
	epoch_cache_end(&log->epochs, part->want->last_fetched_epoch, log->end, &epoch, &end);
	if (epoch < 0)
		return ERR_OFFSET_OUT_OF_RANGE;
	if (epoch == part->want->last_fetched_epoch && end >= part->want->fetch_offset)
		return ERR_NONE;
	part->diverging_epoch = epoch;
	part->diverging_end = end;
	*ret = true;
	return ERR_NONE;
}

static bool fetch_is_committed(const struct fetch *fetch)
{
	return fetch->in->isolation_level == 1;
}

static void fetch_part_read_end(struct fetch_part *part)
{
	if (!part->read.err && fetch_is_committed(part->fetch))
		fetch_part_aborted(part);
	fetch_part_end(part, part->read.err);
}

static void fetch_part_read_done(struct log_read *read)
{
	struct fetch_part *part = container_of(read, struct fetch_part, read);

	fetch_part_read_end(part);
}

static void fetch_part_read(struct fetch_part *part)
{
	struct partition *partition = part->owner.partition;
	int64_t offset = part->want->fetch_offset;
	int64_t bytes_max;
	bool diverges;
	enum err err;

	part->high_watermark = partition->high_watermark.offset;
	part->log_start = partition->log->log_start;
	part->leader_epoch = partition->leader_epoch;
	err = fetch_part_diverges(part, &diverges);
	if (err || diverges) {
		fetch_part_end(part, err);
		return;
	}
	if (offset < part->log_start || offset > partition->log->end) {
		fetch_part_end(part, ERR_OFFSET_OUT_OF_RANGE);
		return;
	}
	part->last_stable = leader_last_stable(partition);
	if (offset >= (fetch_is_committed(part->fetch) ? part->last_stable : part->high_watermark)) {
		fetch_part_end(part, ERR_NONE);
		return;
	}
	part->read.offset = offset;
	bytes_max = MIN(part->want->max_bytes, part->fetch->in->max_bytes);
	bytes_max = MIN(bytes_max, part->fetch->quota_bytes_max);
	part->read.max_bytes = MAX(bytes_max, 0);
	part->read.whole_first = true;
	part->read.wants_end = fetch_is_committed(part->fetch) && partition->log->aborted.list.n > 0;
	part->read.done = fetch_part_read_done;
	if (leader_read(partition, fetch_is_committed(part->fetch), &part->read))
		fetch_part_read_end(part);
}

static void fetch_part_ready(struct owner_part *owner, enum err err)
{
	struct fetch_part *part = container_of(owner, struct fetch_part, owner);

	if (err)
		fetch_part_end(part, err);
	else
		fetch_part_read(part);
}

static struct fetch_part *fetch_part_of(struct list *node)
{
	return container_of(list_entry(node, struct owner_part, link), struct fetch_part, owner);
}

static void fetch_leg_ask(struct shard *shard, struct scatter_leg *leg)
{
	list_for_each(node, next, &leg->parts) {
		struct fetch_part *part = fetch_part_of(node);

		log_read_release(&part->read);
		part->read.piece.len = 0;
		part->diverging_epoch = -1;
		part->high_watermark = -1;
		part->last_stable = -1;
		part->aborted_n = 0;
		part->log_start = -1;
	}
	owner_parts_run(shard, leg);
}

/* ---- on the owner's reactor: waiting ---- */

static void fetch_news_arrives(struct reactor *reactor, struct msg *msg);

/* Tells the home reactor once. */
static void fetch_part_tell(struct fetch_part *part)
{
	struct shard *shard = part->owner.leg->shard;
	struct fetch_news *news = &part->fetch->news[shard->index];

	if (news->sent)
		return;
	news->sent = true;
	news->fetch = part->fetch;
	news->msg.handle = fetch_news_arrives;
	if (shard == part->fetch->request->shard)
		fetch_news_arrives(shard->reactor, &news->msg);
	else
		reactor_send(shard->reactor, part->fetch->request->shard->reactor, &news->msg);
}

static void fetch_part_news(struct watch *watch, enum err err)
{
	fetch_part_tell(container_of(watch, struct fetch_part, news));
}

static void fetch_leg_arm(struct shard *shard, struct scatter_leg *leg)
{
	list_for_each(node, next, &leg->parts) {
		struct fetch_part *part = fetch_part_of(node);

		/* The topic may have gone since it was asked. */
		part->owner.partition = shard_partition(shard, part->owner.topic_id, part->want->partition);
		log_read_release(&part->read);
		part->read.piece.len = 0;
		if (!part->owner.partition || part->owner.partition->state != PARTITION_LEADER ||
		    part->owner.partition->high_watermark.offset != part->high_watermark)
			fetch_part_tell(part);
		else
			watch_start(&part->owner.partition->hw_watches, &part->news, WATCH_ANY, fetch_part_news);
	}
	for (int i = leg->parts_n; i > 0; i--)
		scatter_part_done(leg);
}

static void fetch_leg_disarm(struct shard *shard, struct scatter_leg *leg)
{
	list_for_each(node, next, &leg->parts)
		watch_stop(&fetch_part_of(node)->news);
	for (int i = leg->parts_n; i > 0; i--)
		scatter_part_done(leg);
}

static void fetch_leg_release(struct shard *shard, struct scatter_leg *leg)
{
	list_for_each(node, next, &leg->parts) {
		struct fetch_part *part = fetch_part_of(node);

		if (part->fetch->request->was_sent && part->read.piece.len > 0 && !part->err)
			metrics_topic_add(&shard->metrics, shard_topic_metrics(shard, part->owner.topic_id),
					  TOPIC_BYTES_OUT, part->read.piece.len);
		log_read_release(&part->read);
	}
	for (int i = leg->parts_n; i > 0; i--)
		scatter_part_done(leg);
}

/* ---- at home ---- */

/* One round over all parts that have an owner. */
static void fetch_round(struct fetch *fetch, enum fetch_state state, void (*run)(struct shard *, struct scatter_leg *),
			void (*done)(struct scatter *))
{
	fetch->state = state;
	scatter_clear(fetch->scatter);
	for (int32_t i = 0; i < fetch->parts_n; i++) {
		struct fetch_part *part = &fetch->parts[i];

		if (part->has_owner)
			owner_part_add(fetch->scatter, &part->owner);
	}
	scatter_run(fetch->scatter, run, done);
}

static bool fetch_is_follower(const struct fetch *fetch)
{
	return fetch->in->replica_id >= 0 || fetch->in->replica_state.replica_id >= 0;
}

static int64_t fetch_bytes_max(const struct fetch *fetch)
{
	const struct broker_config *config = &fetch->request->shard->broker->config;
	int64_t max = MIN(fetch->in->max_bytes, config->fetch_max_bytes);

	return MIN(max, fetch->quota_bytes_max);
}

/* Deals out the request's bytes in order. Returns their sum. */
static int64_t fetch_limit(struct fetch *fetch)
{
	int64_t left = MAX(fetch_bytes_max(fetch), 0);
	int64_t total = 0;

	for (int32_t i = 0; i < fetch->parts_n; i++) {
		struct log_read *read = &fetch->parts[i].read;
		int64_t first = read->first_batch_bytes;
		int64_t len = (int64_t)read->piece.len;

		if (fetch->parts[i].err || len == 0)
			continue;
		/* The first with data gives what it has: the read was limited already, save for one whole batch. */
		if (total > 0 && first > fetch->parts[i].want->max_bytes)
			len = 0;
		else if (total > 0 && len > left)
			len = first == 0 || first > left ? 0 : left;
		read->piece.len = (size_t)len;
		left = MAX(left - len, 0);
		total += len;
	}
	return total;
}

static bool fetch_must_answer(const struct fetch *fetch)
{
	if (fetch->in->max_wait_ms <= 0 || fetch->is_late || fetch->parts_n == 0 ||
	    fetch->request->shard->is_stopping || fetch->request->conn->state != CONN_OPEN)
		return true;
	for (int32_t i = 0; i < fetch->parts_n; i++) {
		if (fetch->parts[i].err || fetch->parts[i].diverging_epoch >= 0)
			return true;
	}
	return false;
}

static void fetch_result_fill(const struct fetch *fetch, const struct fetch_part *part,
			      struct fetch_response_responses_partitions *out)
{
	out->partition_index = part->want->partition;
	out->error_code = err_wire(part->err);
	out->high_watermark = part->err ? -1 : part->high_watermark;
	out->last_stable_offset = part->err ? -1 : part->last_stable;
	out->log_start_offset = part->err ? -1 : part->log_start;
	/* What was read may have been taken back to stay within the limits. */
	out->aborted_transactions_n = !fetch_is_committed(fetch) || part->err ? -1
				      : part->read.piece.len == 0 ? 0 : part->aborted_n;
	out->aborted_transactions = part->aborted;
	out->records = part->read.piece.len && !part->err ? records_piece(part->read.piece)
							  : records_mem((struct bytes){(const uint8_t *)"", 0});
	if (part->diverging_epoch >= 0) {
		out->diverging_epoch.epoch = part->diverging_epoch;
		out->diverging_epoch.end_offset = part->diverging_end;
	}
}

/* Does an incremental answer name this partition? */
static bool fetch_is_news(const struct fetch *fetch, const struct fetch_part *part)
{
	const struct fetch_partition *want = part->want;

	return fetch->is_full || part->err || part->read.piece.len > 0 || part->diverging_epoch >= 0 ||
	       want->told_high_watermark != part->high_watermark || want->told_log_start != part->log_start;
}

/* Remembers what was said. */
static bool fetch_has_news(const struct fetch *fetch, struct fetch_part *part)
{
	bool news = fetch_is_news(fetch, part);

	part->want->told_high_watermark = part->err ? -1 : part->high_watermark;
	part->want->told_log_start = part->err ? -1 : part->log_start;
	return news;
}

static bool fetch_same_topic(const struct fetch *fetch, const struct fetch_response_responses *topic,
			     const struct fetch_partition *want)
{
	if (fetch->request->version >= 13)
		return uuid_eq(topic->topic_id, want->topic_id);
	return str_eq(topic->topic, want->topic);
}

static void fetch_build(struct fetch *fetch)
{
	struct arena *arena = &fetch->request->arena;
	struct fetch_response_responses_partitions *results =
		MSG_NEW_N(arena, fetch_response_responses_partitions, fetch->parts_n);
	struct fetch_response_responses *topic = NULL;

	fetch->out.responses = MSG_NEW_N(arena, fetch_response_responses, fetch->parts_n);
	for (int32_t i = 0; i < fetch->parts_n; i++) {
		struct fetch_part *part = &fetch->parts[i];

		if (!fetch_has_news(fetch, part))
			continue;
		if (!topic || !fetch_same_topic(fetch, topic, part->want)) {
			topic = &fetch->out.responses[fetch->out.responses_n++];
			topic->topic = part->want->topic;
			topic->topic_id = part->want->topic_id;
			topic->partitions = results;
		}
		fetch_result_fill(fetch, part, results++);
		topic->partitions_n++;
		/* Invariant 1 of sessions: who was served goes to the end. */
		if (fetch->session && part->read.piece.len > 0) {
			list_remove(&part->want->link);
			list_push_back(&fetch->session->partitions, &part->want->link);
		}
	}
}

static void fetch_released(struct scatter *scatter)
{
	struct fetch *fetch = scatter->home_op;

	scatter_free(scatter);
	request_released(fetch->request);
}

static void fetch_release(struct request *request)
{
	fetch_round(request->op, FETCH_REPLY, fetch_leg_release, fetch_released);
}

/* What the answer will take, to a few bytes a topic; nothing is remembered as said. */
static int64_t fetch_answer_len(const struct fetch *fetch)
{
	int64_t len = FETCH_ANSWER_LEN;

	for (int32_t i = 0; i < fetch->parts_n; i++) {
		if (fetch_is_news(fetch, &fetch->parts[i]))
			len += FETCH_ANSWER_PARTITION_LEN + (int64_t)fetch->parts[i].read.piece.len;
	}
	return len;
}

/* Over its limit a consumer gets an empty answer and asks again later (KIP-219): nothing that the session knows
 * changes, and a new session does not begin. */
static bool fetch_is_over_quota(struct fetch *fetch)
{
	struct request *request = fetch->request;
	int32_t throttle_ms;

	if (!request->shard->quotas || fetch_is_follower(fetch))
		return false;
	throttle_ms = client_quota_record(request->shard, CLIENT_QUOTA_FETCH, request_user(request),
					  request->head.client_id, (double)fetch_answer_len(fetch));
	request_throttle(request, throttle_ms);
	return throttle_ms > 0;
}

static void fetch_reply_empty(struct fetch *fetch)
{
	struct fetch_session *session = fetch->session;

	if (session) {
		session->in_use = false;
		fetch->session = NULL;
		if (fetch->is_full)
			fetch_session_remove(fetch->request->shard->sessions, session);
		else
			fetch->out.session_id = session->id;
	}
	fetch->state = FETCH_REPLY;
	request_reply(fetch->request, &fetch->out);
}

static void fetch_reply(struct fetch *fetch)
{
	timer_stop(&fetch->request->shard->reactor->timers, &fetch->timer);
	if (fetch_is_over_quota(fetch)) {
		fetch_reply_empty(fetch);
		return;
	}
	fetch_build(fetch);
	if (fetch->session) {
		fetch->session->in_use = false;
		fetch->out.session_id = fetch->session->id;
	}
	fetch->state = FETCH_REPLY;
	request_reply(fetch->request, &fetch->out);
}

static void fetch_again(struct deferred *deferred)
{
	struct fetch *fetch = container_of(deferred, struct fetch, again);

	if (fetch->state != FETCH_WAITING)
		return;
	fetch->request->shard->metrics.waiting_fetches_n--;
	fetch_disarm(fetch);
}

static void fetch_news_arrives(struct reactor *reactor, struct msg *msg)
{
	struct fetch *fetch = container_of(msg, struct fetch_news, msg)->fetch;

	fetch->has_news = true;
	if (fetch->state == FETCH_WAITING)
		reactor_defer(reactor, &fetch->again, fetch_again);
}

static void fetch_timed_out(struct timer *timer)
{
	struct fetch *fetch = container_of(timer, struct fetch, timer);

	fetch->is_late = true;
	fetch->request->shard->metrics.expired_fetches++;
	if (fetch->state == FETCH_WAITING)
		reactor_defer(fetch->request->shard->reactor, &fetch->again, fetch_again);
}

/* The client has gone: the next answer is the last. */
static void fetch_cancel(struct request *request)
{
	struct fetch *fetch = request->op;

	fetch->is_late = true;
	if (fetch->state == FETCH_WAITING)
		reactor_defer(request->shard->reactor, &fetch->again, fetch_again);
}

static void fetch_armed(struct scatter *scatter)
{
	struct fetch *fetch = scatter->home_op;

	fetch->state = FETCH_WAITING;
	fetch->request->shard->metrics.waiting_fetches_n++;
	if (fetch->has_news || fetch->is_late)
		reactor_defer(fetch->request->shard->reactor, &fetch->again, fetch_again);
}

/* Who told us has done so by now: an owner sends its news before it answers the round that takes the watches back. */
static void fetch_disarmed(struct scatter *scatter)
{
	struct fetch *fetch = scatter->home_op;

	for (int i = 0; i < scatter->legs_n; i++)
		fetch->news[i].sent = false;
	fetch->has_news = false;
	fetch_ask(fetch);
}

static void fetch_disarm(struct fetch *fetch)
{
	fetch_round(fetch, FETCH_DISARMING, fetch_leg_disarm, fetch_disarmed);
}

static void fetch_asked(struct scatter *scatter)
{
	struct fetch *fetch = scatter->home_op;
	int64_t total = fetch_limit(fetch);

	/* More than may be answered cannot be waited for. */
	if (total >= MIN((int64_t)fetch->in->min_bytes, fetch_bytes_max(fetch)) || fetch_must_answer(fetch)) {
		fetch_reply(fetch);
		return;
	}
	if (!fetch->request->local_done_ns)
		fetch->request->local_done_ns = metrics_clock(fetch->request->shard);
	if (!timer_is_on(&fetch->timer))
		reactor_timer(fetch->request->shard->reactor, &fetch->timer, fetch->in->max_wait_ms * NS_PER_MS,
			      fetch_timed_out);
	fetch_round(fetch, FETCH_ARMING, fetch_leg_arm, fetch_armed);
}

static void fetch_ask(struct fetch *fetch)
{
	fetch_round(fetch, FETCH_ASKING, fetch_leg_ask, fetch_asked);
}

/* Finds the owner of a wanted partition, or why there is none. */
static void fetch_resolve(struct fetch *fetch, struct fetch_part *part)
{
	struct shard *shard = fetch->request->shard;
	bool by_id = fetch->request->version >= 13;
	const struct topic_image *topic = by_id ? image_topic_by_id(shard->image, part->want->topic_id)
						: image_topic(shard->image, part->want->topic);

	part->diverging_epoch = -1;
	if (!topic) {
		part->err = by_id ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION;
	} else if (part->want->partition < 0 || !topic_partition(topic, part->want->partition)) {
		part->err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
	} else if (fetch_is_follower(fetch)) {
		part->err = ERR_NOT_LEADER_OR_FOLLOWER; /* no other broker has a copy */
	} else {
		part->has_owner = true;
		part->owner.topic_id = topic->id;
		part->owner.index = part->want->partition;
		part->owner.leader_epoch = part->want->current_leader_epoch;
		part->owner.ready = fetch_part_ready;
	}
}

void fetch_begin(struct fetch *fetch, struct list *wants, uint32_t wants_n)
{
	struct arena *arena = &fetch->request->arena;

	fetch->parts = ARENA_NEW_N(arena, struct fetch_part, wants_n);
	list_for_each(node, next, wants) {
		struct fetch_part *part = &fetch->parts[fetch->parts_n++];

		part->fetch = fetch;
		part->want = list_entry(node, struct fetch_partition, link);
		fetch_resolve(fetch, part);
	}
	request_order_fixed(fetch->request);
	fetch_ask(fetch);
}

void api_fetch(struct request *request)
{
	struct fetch *fetch = ARENA_NEW(&request->arena, struct fetch);

	fetch->request = request;
	fetch->in = request->body;
	fetch->scatter = scatter_new(request->shard, &request->arena);
	fetch->scatter->home_op = fetch;
	fetch->quota_bytes_max = INT64_MAX;
	if (request->shard->quotas && !fetch_is_follower(fetch))
		fetch->quota_bytes_max = client_quota_window_bytes(request->shard, request_user(request),
								   request->head.client_id);
	fetch->news = ARENA_NEW_N(&request->arena, struct fetch_news, fetch->scatter->legs_n);
	list_init(&fetch->wants);
	msg_init(&fetch_response_type, &fetch->out);
	request->op = fetch;
	request->release = fetch_release;
	request->cancel = fetch_cancel;
	fetch_choose(fetch);
}
