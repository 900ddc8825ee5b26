/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which partitions a Fetch wants: those it names, or those that its session remembers, brought up to date by what it
 * names (KIP-227). The epoch of the request chooses: -1 without a session, 0 a new one, else the next of an old one.
 */
#include "broker.h"
#include "fetch_op.h"
#include "shard.h"

static struct fetch_partition fetch_want(const struct fetch_request_topics *topic,
					 const struct fetch_request_topics_partitions *in)
{
	return (struct fetch_partition){
		.topic_id = topic->topic_id,
		.topic = topic->topic,
		.partition = in->partition,
		.current_leader_epoch = in->current_leader_epoch,
		.last_fetched_epoch = in->last_fetched_epoch,
		.fetch_offset = in->fetch_offset,
		.log_start_offset = in->log_start_offset,
		.max_bytes = in->partition_max_bytes,
	};
}

static void fetch_sessionless(struct fetch *fetch)
{
	uint32_t n = 0;

	fetch->is_full = true;
	list_init(&fetch->wants);
	for (int32_t i = 0; i < fetch->in->topics_n; i++) {
		const struct fetch_request_topics *topic = &fetch->in->topics[i];

		for (int32_t j = 0; j < topic->partitions_n; j++) {
			struct fetch_partition *want = ARENA_NEW(&fetch->request->arena, struct fetch_partition);

			*want = fetch_want(topic, &topic->partitions[j]);
			list_push_back(&fetch->wants, &want->link);
			n++;
		}
	}
	fetch_begin(fetch, &fetch->wants, n);
}

/* False when the session has no room for all. */
static bool fetch_session_update(struct fetch *fetch, struct fetch_session *session)
{
	for (int32_t i = 0; i < fetch->in->topics_n; i++) {
		const struct fetch_request_topics *topic = &fetch->in->topics[i];

		for (int32_t j = 0; j < topic->partitions_n; j++) {
			struct fetch_partition want = fetch_want(topic, &topic->partitions[j]);

			if (!fetch_session_put(session, &want))
				return false;
		}
	}
	for (int32_t i = 0; i < fetch->in->forgotten_topics_data_n; i++) {
		const struct fetch_request_forgotten_topics_data *topic = &fetch->in->forgotten_topics_data[i];

		for (int32_t j = 0; j < topic->partitions_n; j++)
			fetch_session_forget(session, topic->topic_id, topic->topic, topic->partitions[j]);
	}
	return true;
}

static void fetch_refuse(struct fetch *fetch, enum err err)
{
	fetch->out.error_code = err_wire(err);
	request_reply(fetch->request, &fetch->out);
}

static void fetch_in_session(struct fetch *fetch, struct fetch_session *session)
{
	struct shard *shard = fetch->request->shard;

	/* Too many for a session: the client begins anew, and goes on without one. */
	if (!fetch_session_update(fetch, session)) {
		fetch_session_remove(shard->sessions, session);
		if (fetch->is_full)
			fetch_sessionless(fetch);
		else
			fetch_refuse(fetch, ERR_FETCH_SESSION_ID_NOT_FOUND);
		return;
	}
	fetch_session_touch(shard->sessions, session, shard->reactor->now_ns);
	if (session->partitions_n == 0) {
		fetch_session_remove(shard->sessions, session);
		fetch_begin(fetch, &fetch->wants, 0);
		return;
	}
	session->in_use = true;
	fetch->session = session;
	fetch_begin(fetch, &session->partitions, session->partitions_n);
}

static void fetch_incremental(struct fetch *fetch)
{
	struct fetch_sessions *sessions = fetch->request->shard->sessions;
	struct fetch_session *session = fetch_session_find(sessions, fetch->in->session_id);

	if (!session) {
		fetch_refuse(fetch, ERR_FETCH_SESSION_ID_NOT_FOUND);
	} else if (session->epoch != fetch->in->session_epoch || session->in_use) {
		fetch_refuse(fetch, ERR_INVALID_FETCH_SESSION_EPOCH);
	} else if (session->uses_topic_ids != (fetch->request->version >= 13)) {
		fetch_refuse(fetch, ERR_FETCH_SESSION_TOPIC_ID_ERROR);
	} else {
		session->epoch = fetch_session_next_epoch(session->epoch);
		fetch_in_session(fetch, session);
	}
}

/* Epoch 0 makes a session, -1 none; either ends the one that is named. */
static void fetch_full(struct fetch *fetch)
{
	struct fetch_sessions *sessions = fetch->request->shard->sessions;
	struct fetch_session *session = NULL;

	if (fetch->in->session_id != 0)
		session = fetch_session_find(sessions, fetch->in->session_id);
	if (session && !session->in_use)
		fetch_session_remove(sessions, session);
	session = NULL;
	if (fetch->in->session_epoch == 0 && fetch->in->topics_n > 0)
		session = fetch_session_new(sessions, fetch->request->version >= 13);
	if (!session) {
		fetch_sessionless(fetch);
		return;
	}
	fetch->is_full = true;
	fetch_in_session(fetch, session);
}

void fetch_choose(struct fetch *fetch)
{
	if (fetch->in->session_epoch == -1 || fetch->in->session_epoch == 0)
		fetch_full(fetch);
	else
		fetch_incremental(fetch);
}
