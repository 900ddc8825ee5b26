/* SPDX-License-Identifier: Apache-2.0 */
/* See dir_assign.h. */
#include "dir_assign.h"

#include <stdlib.h>

#include "broker.h"
#include "controller_io.h"
#include "log.h"
#include "mem.h"
#include "msg/assign_replicas_to_dirs.h"

/* Partitions in one request; as many as the original sends. */
#define ASSIGN_N_MAX 2000
#define ASSIGN_RETRY_NS (NS_PER_S / 4)

struct assign_entry {
	struct uuid topic_id;
	struct uuid directory;
	int32_t partition;
};

struct assign_entries {
	VEC(struct assign_entry) list;
};

/* From a shard to reactor 0. */
struct assign_news {
	struct msg msg;
	struct assign_entries entries;
};

struct dir_assign {
	struct broker *broker;
	struct assign_news **wanted; /* per shard, touched by it alone; NULL: nothing */
	struct assign_entries queue;
	size_t sent_n; /* of the queue, in the request under way */
	bool is_out;
	struct timer retry;
	struct controller_op op;
	struct arena arena;
	struct assign_replicas_to_dirs_request request;
	struct assign_replicas_to_dirs_response response;
};

static void dir_assign_send(struct dir_assign *assign);

struct dir_assign *dir_assign_new(struct broker *broker)
{
	struct dir_assign *assign = MEM_NEW(struct dir_assign);

	assign->broker = broker;
	assign->wanted = mem_calloc((size_t)broker->shards_n, sizeof(struct assign_news *));
	return assign;
}

void dir_assign_free(struct dir_assign *assign)
{
	if (!assign)
		return;
	timer_stop(&assign->broker->shards[0].reactor->timers, &assign->retry);
	for (int i = 0; i < assign->broker->shards_n; i++) {
		if (assign->wanted[i])
			vec_deinit(&assign->wanted[i]->entries.list);
		mem_free(assign->wanted[i]);
	}
	mem_free(assign->wanted);
	vec_deinit(&assign->queue.list);
	arena_reset(&assign->arena);
	mem_free(assign);
}

static void dir_assign_retry(struct timer *timer)
{
	dir_assign_send(container_of(timer, struct dir_assign, retry));
}

static void dir_assign_answered(struct controller_op *op)
{
	struct dir_assign *assign = op->ctx;
	enum err err = op->err ? op->err : (enum err)assign->response.error_code;
	size_t left_n = assign->queue.list.n - assign->sent_n;

	assign->is_out = false;
	if (err && err != ERR_UNSUPPORTED_VERSION) {
		if (assign->broker->phase != BROKER_STOPPING && assign->broker->phase != BROKER_FAILED)
			reactor_timer(assign->broker->shards[0].reactor, &assign->retry, ASSIGN_RETRY_NS,
				      dir_assign_retry);
		return;
	}
	/* Single partitions are refused only when they are gone meanwhile. */
	log_debug("dir_assign.told", "partitions=%zu error=%s", assign->sent_n, err_name(err));
	if (left_n > 0)
		memmove(assign->queue.list.v, assign->queue.list.v + assign->sent_n,
			left_n * sizeof(*assign->queue.list.v));
	assign->queue.list.n = left_n;
	dir_assign_send(assign);
}

static enum err dir_assign_decide(struct controller *controller, struct controller_op *op,
				  struct controller_records *records)
{
	return controller_assign_directories(controller, op->request, op->response, records, op->arena);
}

/* One directory and topic per run of entries that share them: the order stays. */
static void dir_assign_fill(struct dir_assign *assign)
{
	struct assign_replicas_to_dirs_request *in = &assign->request;
	struct assign_replicas_to_dirs_request_directories *dir = NULL;
	struct assign_replicas_to_dirs_request_directories_topics *topic = NULL;
	size_t n = assign->sent_n;

	in->directories = MSG_NEW_N(&assign->arena, assign_replicas_to_dirs_request_directories, n);
	for (size_t i = 0; i < n; i++) {
		const struct assign_entry *entry = &assign->queue.list.v[i];

		if (!dir || !uuid_eq(dir->id, entry->directory)) {
			dir = &in->directories[in->directories_n++];
			dir->id = entry->directory;
			dir->topics = MSG_NEW_N(&assign->arena, assign_replicas_to_dirs_request_directories_topics,
						n - i);
			topic = NULL;
		}
		if (!topic || !uuid_eq(topic->topic_id, entry->topic_id)) {
			topic = &dir->topics[dir->topics_n++];
			topic->topic_id = entry->topic_id;
			topic->partitions = MSG_NEW_N(
				&assign->arena, assign_replicas_to_dirs_request_directories_topics_partitions, n - i);
		}
		topic->partitions[topic->partitions_n++].partition_index = entry->partition;
	}
}

static int assign_entry_cmp(const void *a, const void *b)
{
	const struct assign_entry *x = a, *y = b;
	int cmp = memcmp(&x->directory, &y->directory, sizeof(x->directory));

	if (cmp == 0)
		cmp = memcmp(&x->topic_id, &y->topic_id, sizeof(x->topic_id));
	if (cmp == 0)
		cmp = x->partition < y->partition ? -1 : x->partition > y->partition;
	return cmp;
}

static void dir_assign_send(struct dir_assign *assign)
{
	if (assign->is_out || timer_is_on(&assign->retry) || assign->queue.list.n == 0)
		return;
	assign->is_out = true;
	assign->sent_n = MIN(assign->queue.list.n, (size_t)ASSIGN_N_MAX);
	arena_reset(&assign->arena);
	msg_init(&assign_replicas_to_dirs_request_type, &assign->request);
	msg_init(&assign_replicas_to_dirs_response_type, &assign->response);
	assign->request.broker_id = assign->broker->node_id;
	assign->request.broker_epoch = assign->broker->broker_epoch;
	dir_assign_fill(assign);
	assign->op = (struct controller_op){
		.home = assign->broker->shards[0].reactor,
		.arena = &assign->arena,
		.request = &assign->request,
		.response = &assign->response,
		.decide = dir_assign_decide,
		.done = dir_assign_answered,
		.ctx = assign,
	};
	controller_submit(assign->broker, &assign->op);
}

static void dir_assign_arrives(struct reactor *reactor, struct msg *msg)
{
	struct assign_news *news = container_of(msg, struct assign_news, msg);
	struct dir_assign *assign = reactor->shard->broker->assigns;

	for (size_t i = 0; i < news->entries.list.n; i++)
		vec_push(&assign->queue.list, news->entries.list.v[i]);
	vec_deinit(&news->entries.list);
	mem_free(news);
	dir_assign_send(assign);
}

void dir_assign_want(struct shard *shard, struct uuid topic_id, int32_t partition, struct uuid directory)
{
	struct assign_news **wanted = &shard->broker->assigns->wanted[shard->index];
	struct assign_entry entry = {topic_id, directory, partition};

	if (!*wanted)
		*wanted = MEM_NEW(struct assign_news);
	vec_push(&(*wanted)->entries.list, entry);
}

void dir_assign_flush(struct shard *shard)
{
	struct assign_news *news = shard->broker->assigns->wanted[shard->index];

	if (!news)
		return;
	shard->broker->assigns->wanted[shard->index] = NULL;
	/* A batch of one image names a partition once: sorted, what shares a directory and a topic stands together. */
	qsort(news->entries.list.v, news->entries.list.n, sizeof(*news->entries.list.v), assign_entry_cmp);
	news->msg.handle = dir_assign_arrives;
	reactor_send(shard->reactor, shard->broker->shards[0].reactor, &news->msg);
}
