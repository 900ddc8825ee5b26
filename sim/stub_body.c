/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub: a Kafka server without a design, in one file. Its files are written with plain calls inside callbacks,
 * its state is rebuilt by reading everything, a fetch is answered at once or after a short wait. It keeps the promises
 * of `synced` and `page-cache` and honours some of the deliberate faults, so that clients and checkers can be tried
 * without a broker. One reactor does all the work.
 */
#include <stdio.h>

#include "batch.h"
#include "fault.h"
#include "frame.h"
#include "header.h"
#include "msg/api_versions.h"
#include "msg/create_topics.h"
#include "msg/delete_topics.h"
#include "msg/fetch.h"
#include "msg/init_producer_id.h"
#include "msg/list_offsets.h"
#include "msg/metadata.h"
#include "msg/produce.h"
#include "reactor.h"
#include "registry.h"
#include "sim_bodies.h"

#define STUB_TOPICS_MAX 8
#define STUB_PARTS_MAX 32
#define STUB_WINDOW 5
#define STUB_FETCH_WAIT_NS (20 * NS_PER_MS)

struct stub_producer {
	int64_t id;
	int16_t epoch;
	int n;
	struct {
		int32_t first, last;
		int64_t offset;
	} window[STUB_WINDOW];
};

struct stub_part {
	fs_file file;
	int64_t size;
	int64_t end;
	VEC(int64_t) offsets; /* base offset, position: pairs */
	VEC(struct stub_producer) producers;
};

struct stub_topic {
	char name[64];
	struct uuid id;
	int32_t parts_n;
	struct stub_part parts[STUB_PARTS_MAX];
};

struct stub;

struct stub_conn {
	struct list link;
	struct stub *stub;
	io_sock sock;
	struct io_op recv, send;
	struct timer wait; /* an answer that is held back */
	VEC(uint8_t) in;
	struct arena arena;
	struct codec_out out;
	bool has_answer;
};

struct stub {
	struct node *node;
	struct fs *fs;
	struct reactor *reactor;
	bool synced;
	bool is_stopping;
	io_sock listener;
	struct io_op accept;
	bool accepting;
	struct list conns;
	struct stub_topic topics[STUB_TOPICS_MAX];
	int topics_n;
	int64_t pid_next;
};

static void conn_serve(struct stub_conn *conn);

/* --- storage --- */

static struct stub_producer *part_producer(struct stub_part *part, int64_t id)
{
	struct stub_producer fresh = {.id = id};

	for (size_t i = 0; i < part->producers.n; i++) {
		if (part->producers.v[i].id == id)
			return &part->producers.v[i];
	}
	vec_push(&part->producers, fresh);
	return &part->producers.v[part->producers.n - 1];
}

static void part_note(struct stub_part *part, const struct batch_info *batch, int64_t pos)
{
	vec_push(&part->offsets, part->end);
	vec_push(&part->offsets, pos);
	if (batch->producer_id >= 0) {
		struct stub_producer *p = part_producer(part, batch->producer_id);
		int most = FAULT(dup_window_short) ? 1 : STUB_WINDOW;

		if (p->n >= most) {
			memmove(&p->window[0], &p->window[1], sizeof(p->window) - sizeof(p->window[0]));
			p->n = most - 1;
		}
		p->window[p->n].first = batch->base_sequence;
		p->window[p->n].last = batch_last_sequence(batch);
		p->window[p->n++].offset = part->end;
	}
	part->end += batch->last_offset_delta + 1;
	part->size = pos + (int64_t)batch->size;
}

static enum err part_open(struct stub *stub, const struct stub_topic *topic, struct stub_part *part, int32_t index,
			  bool is_new)
{
	char path[128];
	struct batch_info batch;
	struct batch_iter it;
	char *all;
	size_t len;
	enum err err;

	snprintf(path, sizeof(path), "/stub-%s-%d", topic->name, index);
	/* A file of that name may be left from a topic that was deleted. */
	err = fs_open(stub->fs, path, FS_WRITE | FS_CREATE | (is_new && !FAULT(delete_no_id_check) ? FS_TRUNCATE : 0),
		      &part->file);
	if (!err)
		err = fs_read_all(stub->fs, path, (size_t)1 << 30, &all, &len);
	if (err)
		return err;
	it = batch_iter_of((struct bytes){(uint8_t *)all, len}, FAULT(recover_no_crc) ? 0 : BATCH_CHECK_CRC);
	for (size_t pos = 0; batch_iter_next(&it, &batch) && batch.base_offset == part->end; pos = it.pos) {
		if (FAULT(recover_off_by_one) && it.pos == len && len)
			break;
		part_note(part, &batch, (int64_t)pos);
	}
	mem_free(all);
	err = stub->fs->ops->truncate(stub->fs, part->file, part->size);
	if (!err)
		err = fs_sync(stub->fs, part->file);
	return err ? err : stub->fs->ops->sync_dir(stub->fs, "/");
}

static void part_close(struct stub *stub, struct stub_part *part)
{
	if (part->file)
		fs_close(stub->fs, part->file);
	vec_deinit(&part->offsets);
	vec_deinit(&part->producers);
}

static enum err stub_save(struct stub *stub)
{
	char text[4096];
	struct fmt f;

	fmt_init(&f, text, sizeof(text));
	fmt_add(&f, "%lld %d\n", (long long)stub->pid_next, stub->topics_n);
	for (int i = 0; i < stub->topics_n; i++)
		fmt_add(&f, "%s %d %llu %llu\n", stub->topics[i].name, stub->topics[i].parts_n,
			(unsigned long long)stub->topics[i].id.hi, (unsigned long long)stub->topics[i].id.lo);
	return fs_write_atomic(stub->fs, "/stub-topics", (struct bytes){(uint8_t *)text, f.len});
}

static enum err stub_load(struct stub *stub)
{
	char *text, *p;
	size_t len;
	int n, used;
	enum err err = fs_read_all(stub->fs, "/stub-topics", 4096, &text, &len);

	if (err == ERR_NOT_FOUND)
		return ERR_NONE;
	if (err)
		return err;
	p = text;
	if (sscanf(p, "%ld %d\n%n", &stub->pid_next, &n, &used) != 2)
		err = ERR_CORRUPT_FILE;
	for (int i = 0; !err && i < n; i++) {
		struct stub_topic *topic = &stub->topics[stub->topics_n++];

		p += used;
		if (sscanf(p, "%63s %d %lu %lu\n%n", topic->name, &topic->parts_n, &topic->id.hi, &topic->id.lo,
			   &used) != 4)
			err = ERR_CORRUPT_FILE;
		for (int32_t k = 0; !err && k < topic->parts_n; k++)
			err = part_open(stub, topic, &topic->parts[k], k, false);
	}
	mem_free(text);
	if (FAULT(producer_id_reuse))
		stub->pid_next = MAX(stub->pid_next - 2, 0L);
	return err;
}

static struct stub_topic *topic_find(struct stub *stub, struct str name, struct uuid id)
{
	for (int i = 0; i < stub->topics_n; i++) {
		if (name.len ? str_eq_c(name, stub->topics[i].name) : uuid_eq(id, stub->topics[i].id))
			return &stub->topics[i];
	}
	return NULL;
}

/* --- requests --- */

static enum err check_sequence(struct stub_part *part, const struct batch_info *batch, int64_t *ret_offset)
{
	const struct stub_producer *p = part_producer(part, batch->producer_id);

	for (int i = 0; i < p->n; i++) {
		if (p->window[i].first == batch->base_sequence && p->window[i].last == batch_last_sequence(batch)) {
			*ret_offset = p->window[i].offset;
			return ERR_DUPLICATE_SEQUENCE_NUMBER;
		}
	}
	/* A first sequence above 0 may follow one that failed. */
	if (!FAULT(seq_unchecked) && batch->base_sequence != (p->n ? p->window[p->n - 1].last + 1 : 0))
		return ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
	return ERR_NONE;
}

static enum err part_append(struct stub *stub, struct stub_part *part, struct bytes in, int64_t *ret_offset)
{
	struct batch_info batch;
	uint8_t *copy;
	enum err err = batch_check_header(in, BATCH_CHECK_CRC, &batch);

	if (!err && batch.producer_id >= 0)
		err = check_sequence(part, &batch, ret_offset);
	if (err == ERR_DUPLICATE_SEQUENCE_NUMBER)
		return ERR_NONE;
	if (err)
		return err;
	copy = mem_alloc(in.len);
	memcpy(copy, in.p, in.len);
	batch_set_base_offset(copy, part->end);
	batch_set_leader_epoch(copy, 0);
	err = fs_pwrite_all(stub->fs, part->file, copy, in.len, part->size);
	mem_free(copy);
	if (!err && stub->synced && !FAULT(skip_sync))
		err = fs_sync(stub->fs, part->file);
	if (err)
		return err == ERR_DISK_FULL ? ERR_KAFKA_STORAGE_ERROR : err;
	*ret_offset = part->end;
	part_note(part, &batch, part->size);
	return ERR_NONE;
}

static int16_t code_of(enum err err)
{
	return err >= 1000 ? ERR_KAFKA_STORAGE_ERROR : (int16_t)err;
}

static void *serve_produce(struct stub_conn *conn, const struct produce_request *request)
{
	struct arena *a = &conn->arena;
	struct produce_response *response = MSG_NEW(a, produce_response);

	response->responses = MSG_NEW_N(a, produce_response_responses, request->topic_data_n);
	response->responses_n = request->topic_data_n;
	for (int32_t t = 0; t < request->topic_data_n; t++) {
		const struct produce_request_topic_data *topic = &request->topic_data[t];
		struct produce_response_responses *out = &response->responses[t];
		struct stub_topic *found = topic_find(conn->stub, topic->name, topic->topic_id);

		out->name = topic->name;
		out->topic_id = topic->topic_id;
		out->partition_responses =
			MSG_NEW_N(a, produce_response_responses_partition_responses, topic->partition_data_n);
		out->partition_responses_n = topic->partition_data_n;
		for (int32_t i = 0; i < topic->partition_data_n; i++) {
			const struct produce_request_topic_data_partition_data *part = &topic->partition_data[i];
			struct bytes records = {part->records.piece.mem, part->records.piece.len};
			enum err err = ERR_UNKNOWN_TOPIC_OR_PARTITION;

			out->partition_responses[i].index = part->index;
			out->partition_responses[i].base_offset = -1;
			if (found)
				err = part_append(conn->stub, &found->parts[part->index], records,
						  &out->partition_responses[i].base_offset);
			out->partition_responses[i].error_code = code_of(err);
		}
	}
	return request->acks ? response : NULL;
}

static enum err part_read(struct stub_conn *conn, struct stub_part *part, int64_t offset, int32_t bytes_max,
			  struct records *ret)
{
	int64_t from = -1, to = part->size;
	uint8_t *p;
	size_t len;
	enum err err;

	for (size_t i = 0; i < part->offsets.n && part->offsets.v[i] <= offset; i += 2)
		from = part->offsets.v[i + 1];
	*ret = records_mem((struct bytes){(const uint8_t *)"", 0});
	if (offset >= part->end || from < 0)
		return ERR_NONE;
	for (size_t i = 0; i < part->offsets.n; i += 2) {
		if (part->offsets.v[i + 1] > from && part->offsets.v[i + 1] - from >= bytes_max) {
			to = part->offsets.v[i + 1];
			break;
		}
	}
	p = arena_alloc(&conn->arena, (size_t)(to - from));
	err = fs_pread(conn->stub->fs, part->file, p, (size_t)(to - from), from, FS_WAIT, &len);
	if (!err)
		*ret = records_mem((struct bytes){p, len});
	return err;
}

static void *serve_fetch(struct stub_conn *conn, const struct fetch_request *request, bool *ret_wait)
{
	struct arena *a = &conn->arena;
	struct fetch_response *response = MSG_NEW(a, fetch_response);

	*ret_wait = request->max_wait_ms > 0;
	response->responses = MSG_NEW_N(a, fetch_response_responses, request->topics_n);
	response->responses_n = request->topics_n;
	for (int32_t t = 0; t < request->topics_n; t++) {
		const struct fetch_request_topics *topic = &request->topics[t];
		struct fetch_response_responses *out = &response->responses[t];
		struct stub_topic *found = topic_find(conn->stub, topic->topic, topic->topic_id);

		out->topic = topic->topic;
		out->topic_id = topic->topic_id;
		out->partitions = MSG_NEW_N(a, fetch_response_responses_partitions, topic->partitions_n);
		out->partitions_n = topic->partitions_n;
		for (int32_t i = 0; i < topic->partitions_n; i++) {
			const struct fetch_request_topics_partitions *want = &topic->partitions[i];
			struct fetch_response_responses_partitions *got = &out->partitions[i];
			struct stub_part *part = found ? &found->parts[want->partition] : NULL;
			enum err err = ERR_UNKNOWN_TOPIC_OR_PARTITION;

			got->partition_index = want->partition;
			got->high_watermark = got->last_stable_offset = -1;
			got->records = RECORDS_NULL;
			if (part && want->fetch_offset > part->end) {
				err = ERR_OFFSET_OUT_OF_RANGE;
			} else if (part) {
				err = part_read(conn, part, want->fetch_offset, want->partition_max_bytes,
						&got->records);
				got->high_watermark = got->last_stable_offset =
					part->end - (FAULT(read_past_hw) && part->end ? 1 : 0);
				got->log_start_offset = 0;
			}
			got->error_code = code_of(err);
			*ret_wait = *ret_wait && !err && got->records.piece.len == 0;
		}
	}
	return response;
}

static void *serve_list_offsets(struct stub_conn *conn, const struct list_offsets_request *request)
{
	struct arena *a = &conn->arena;
	struct list_offsets_response *response = MSG_NEW(a, list_offsets_response);
	const struct list_offsets_request_topics *topic = &request->topics[0];
	struct stub_topic *found = topic_find(conn->stub, topic->name, UUID_ZERO);

	response->topics = MSG_NEW(a, list_offsets_response_topics);
	response->topics_n = 1;
	response->topics[0].name = topic->name;
	response->topics[0].partitions = MSG_NEW(a, list_offsets_response_topics_partitions);
	response->topics[0].partitions_n = 1;
	response->topics[0].partitions[0].partition_index = topic->partitions[0].partition_index;
	response->topics[0].partitions[0].error_code = found ? 0 : ERR_UNKNOWN_TOPIC_OR_PARTITION;
	if (found)
		response->topics[0].partitions[0].offset = found->parts[topic->partitions[0].partition_index].end;
	return response;
}

static void *serve_metadata(struct stub_conn *conn, const struct metadata_request *request)
{
	struct arena *a = &conn->arena;
	struct metadata_response *response = MSG_NEW(a, metadata_response);

	response->topics = MSG_NEW_N(a, metadata_response_topics, request->topics_n);
	response->topics_n = request->topics_n;
	for (int32_t t = 0; t < request->topics_n; t++) {
		struct metadata_response_topics *out = &response->topics[t];
		struct stub_topic *found = topic_find(conn->stub, request->topics[t].name, UUID_ZERO);

		out->name = request->topics[t].name;
		out->error_code = found ? 0 : ERR_UNKNOWN_TOPIC_OR_PARTITION;
		if (!found)
			continue;
		out->topic_id = found->id;
		out->partitions = MSG_NEW_N(a, metadata_response_topics_partitions, found->parts_n);
		out->partitions_n = found->parts_n;
		for (int32_t i = 0; i < found->parts_n; i++) {
			out->partitions[i].partition_index = i;
			out->partitions[i].leader_id = 1;
		}
	}
	return response;
}

static enum err topic_create(struct stub *stub, const struct create_topics_request_topics *want, struct uuid *ret_id)
{
	struct stub_topic *topic = &stub->topics[stub->topics_n];
	enum err err = ERR_NONE;

	if (topic_find(stub, want->name, UUID_ZERO))
		return ERR_TOPIC_ALREADY_EXISTS;
	if (stub->topics_n == STUB_TOPICS_MAX || want->num_partitions > STUB_PARTS_MAX)
		return ERR_INVALID_PARTITIONS;
	*topic = (struct stub_topic){.parts_n = want->num_partitions};
	snprintf(topic->name, sizeof(topic->name), "%.*s", STR_ARGS(want->name));
	topic->id = *ret_id = uuid_random(&stub->reactor->rng);
	for (int32_t i = 0; !err && i < topic->parts_n; i++)
		err = part_open(stub, topic, &topic->parts[i], i, true);
	stub->topics_n++;
	if (!err)
		err = stub_save(stub);
	for (int32_t i = 0; err && i < topic->parts_n; i++)
		part_close(stub, &topic->parts[i]);
	stub->topics_n -= err != ERR_NONE;
	return err;
}

static void *serve_create(struct stub_conn *conn, const struct create_topics_request *request)
{
	struct arena *a = &conn->arena;
	struct create_topics_response *response = MSG_NEW(a, create_topics_response);

	response->topics = MSG_NEW_N(a, create_topics_response_topics, request->topics_n);
	response->topics_n = request->topics_n;
	for (int32_t i = 0; i < request->topics_n; i++) {
		response->topics[i].name = request->topics[i].name;
		response->topics[i].error_code =
			code_of(topic_create(conn->stub, &request->topics[i], &response->topics[i].topic_id));
	}
	return response;
}

static enum err topic_delete(struct stub *stub, struct stub_topic *topic)
{
	struct stub_topic gone = *topic;
	enum err err;

	*topic = stub->topics[--stub->topics_n];
	err = stub_save(stub);
	if (err) {
		stub->topics[stub->topics_n++] = *topic;
		*topic = gone;
		return err;
	}
	for (int32_t i = 0; i < gone.parts_n; i++) {
		char path[128];

		part_close(stub, &gone.parts[i]);
		snprintf(path, sizeof(path), "/stub-%s-%d", gone.name, i);
		if (!err && !FAULT(delete_no_id_check))
			err = stub->fs->ops->unlink(stub->fs, path);
	}
	return err ? err : stub->fs->ops->sync_dir(stub->fs, "/");
}

static void *serve_delete(struct stub_conn *conn, const struct delete_topics_request *request)
{
	struct delete_topics_response *response = MSG_NEW(&conn->arena, delete_topics_response);
	struct stub_topic *topic;
	bool by_id = request->topics_n > 0;

	topic = topic_find(conn->stub, by_id ? STR_NULL : request->topic_names[0],
			   by_id ? request->topics[0].topic_id : UUID_ZERO);
	response->responses = MSG_NEW(&conn->arena, delete_topics_response_responses);
	response->responses_n = 1;
	response->responses[0].name = by_id ? STR("") : request->topic_names[0];
	response->responses[0].error_code =
		topic ? code_of(topic_delete(conn->stub, topic)) : (int16_t)ERR_UNKNOWN_TOPIC_OR_PARTITION;
	return response;
}

static void *serve_init_pid(struct stub_conn *conn)
{
	struct init_producer_id_response *response = MSG_NEW(&conn->arena, init_producer_id_response);
	enum err err;

	response->producer_id = conn->stub->pid_next++;
	err = stub_save(conn->stub);
	response->error_code = code_of(err);
	return response;
}

static void *serve_versions(struct stub_conn *conn)
{
	static const int16_t keys[] = {API_PRODUCE, API_FETCH, API_LIST_OFFSETS, API_METADATA, API_API_VERSIONS,
				       API_CREATE_TOPICS, API_DELETE_TOPICS, API_INIT_PRODUCER_ID};
	struct api_versions_response *response = MSG_NEW(&conn->arena, api_versions_response);

	response->api_keys = MSG_NEW_N(&conn->arena, api_versions_response_api_keys, ARRAY_N(keys));
	response->api_keys_n = ARRAY_N(keys);
	for (size_t i = 0; i < ARRAY_N(keys); i++) {
		response->api_keys[i].api_key = keys[i];
		response->api_keys[i].min_version = api_find(keys[i])->version_min;
		response->api_keys[i].max_version = api_find(keys[i])->version_stable;
	}
	return response;
}

static void *serve(struct stub_conn *conn, int16_t key, const void *request, bool *ret_wait)
{
	switch (key) {
	case API_PRODUCE:
		return serve_produce(conn, request);
	case API_FETCH:
		return serve_fetch(conn, request, ret_wait);
	case API_LIST_OFFSETS:
		return serve_list_offsets(conn, request);
	case API_METADATA:
		return serve_metadata(conn, request);
	case API_CREATE_TOPICS:
		return serve_create(conn, request);
	case API_DELETE_TOPICS:
		return serve_delete(conn, request);
	case API_INIT_PRODUCER_ID:
		return serve_init_pid(conn);
	case API_API_VERSIONS:
		return serve_versions(conn);
	default:
		UNREACHABLE();
	}
}

/* --- connections --- */

static void conn_end(struct stub_conn *conn)
{
	struct reactor *reactor = conn->stub->reactor;

	timer_stop(&reactor->timers, &conn->wait);
	reactor->io->ops->sock_close(reactor->io, conn->sock);
	list_remove(&conn->link);
	arena_reset(&conn->arena);
	vec_deinit(&conn->in);
	mem_free(conn);
}

static void conn_sent(struct io_op *op)
{
	struct stub_conn *conn = container_of(op, struct stub_conn, send);

	if (op->err || conn->stub->is_stopping) {
		conn_end(conn);
		return;
	}
	arena_reset(&conn->arena);
	conn_serve(conn);
}

static void conn_answer(struct stub_conn *conn)
{
	conn->send = (struct io_op){
		.kind = IO_SEND,
		.done = conn_sent,
		.send = {.sock = conn->sock, .pieces = conn->out.pieces, .pieces_n = conn->out.pieces_n}};
	io_submit(conn->stub->reactor->io, &conn->send);
}

static void conn_waited(struct timer *timer)
{
	conn_answer(container_of(timer, struct stub_conn, wait));
}

static void conn_got(struct io_op *op)
{
	struct stub_conn *conn = container_of(op, struct stub_conn, recv);

	if (op->err || !op->recv.got.len || conn->stub->is_stopping) {
		conn_end(conn);
		return;
	}
	vec_reserve(&conn->in, op->recv.got.len);
	memcpy(conn->in.v + conn->in.n, op->recv.got.p, op->recv.got.len);
	conn->in.n += op->recv.got.len;
	conn_serve(conn);
}

/* One request; true when it has an answer to send. */
static bool conn_request(struct stub_conn *conn, struct bytes body, bool *ret_wait)
{
	struct request_head head;
	const struct api *api;
	void *request, *response;
	size_t at;
	enum err err = request_head_decode(body, &conn->arena, &head, &at, NULL);

	CHECK_OP(err, ==, ERR_NONE);
	api = api_find(head.api_key);
	request = msg_new_n(&conn->arena, api->request, 1);
	err = codec_decode(api->request, head.api_version, (struct bytes){body.p + at, body.len - at}, &conn->arena,
			   request, NULL, NULL);
	CHECK_OP(err, ==, ERR_NONE);
	response = serve(conn, head.api_key, request, ret_wait);
	if (!response)
		return false;
	conn->out = (struct codec_out){.arena = &conn->arena};
	err = response_encode(head.api_key, head.api_version, head.correlation_id, response, &conn->out);
	CHECK_OP(err, ==, ERR_NONE);
	return true;
}

static void conn_serve(struct stub_conn *conn)
{
	struct frame frame = {0};
	bool wait = false, has_answer;
	enum err err = frame_cut((struct bytes){conn->in.v, conn->in.n}, 100 << 20, &frame);

	CHECK_OP(err, ==, ERR_NONE);
	if (!frame.used) {
		conn->recv = (struct io_op){.kind = IO_RECV, .done = conn_got, .recv.sock = conn->sock};
		io_submit(conn->stub->reactor->io, &conn->recv);
		return;
	}
	has_answer = conn_request(conn, frame.body, &wait);
	/* What the answer says was copied: nothing of it lies in `in` any more. */
	memmove(conn->in.v, conn->in.v + frame.used, conn->in.n - frame.used);
	conn->in.n -= frame.used;
	if (!has_answer)
		conn_serve(conn);
	else if (wait)
		reactor_timer(conn->stub->reactor, &conn->wait, STUB_FETCH_WAIT_NS, conn_waited);
	else
		conn_answer(conn);
}

static void stub_accepted(struct io_op *op)
{
	struct stub *stub = container_of(op, struct stub, accept);
	struct stub_conn *conn;

	if (op->err) {
		stub->accepting = false;
		return;
	}
	conn = MEM_NEW(struct stub_conn);
	conn->stub = stub;
	conn->sock = op->result;
	list_push_back(&stub->conns, &conn->link);
	conn_serve(conn);
	io_submit(stub->reactor->io, op);
}

/* --- body --- */

static enum err stub_start(struct node *node, struct fs *fs, const struct sim_node *config)
{
	struct stub *stub = MEM_NEW(struct stub);
	struct io_addr addr = {.port = (uint16_t)config->port}, bound;
	enum err err;

	node->broker = stub;
	stub->node = node;
	stub->fs = fs;
	stub->reactor = &node->reactors[0];
	stub->synced = config->opt->synced;
	list_init(&stub->conns);
	err = stub_load(stub);
	if (!err)
		err = stub->reactor->io->ops->listen(stub->reactor->io, &addr, &stub->listener, &bound);
	if (err)
		return err;
	stub->accepting = true;
	stub->accept = (struct io_op){.kind = IO_ACCEPT, .done = stub_accepted, .accept.sock = stub->listener};
	io_submit(stub->reactor->io, &stub->accept);
	return ERR_NONE;
}

static void stub_request_stop(struct node *node)
{
	struct stub *stub = node->broker;
	struct io *io = stub->reactor->io;

	stub->is_stopping = true;
	io->ops->sock_close(io, stub->listener);
	list_for_each(link, tmp, &stub->conns) {
		struct stub_conn *conn = list_entry(link, struct stub_conn, link);

		if (timer_is_on(&conn->wait))
			conn_end(conn);
		else if (conn->recv.is_under_way)
			io_cancel(io, &conn->recv);
		else
			io_cancel(io, &conn->send);
	}
}

static bool stub_is_stopped(struct node *node)
{
	const struct stub *stub = node->broker;

	return stub->is_stopping && !stub->accepting && list_is_empty(&stub->conns);
}

static void stub_free(struct node *node)
{
	struct stub *stub = node->broker;

	for (int i = 0; i < stub->topics_n; i++) {
		for (int32_t k = 0; k < stub->topics[i].parts_n; k++)
			part_close(stub, &stub->topics[i].parts[k]);
	}
	mem_free(stub);
}

const struct sim_body stub_body = {
	.name = "stub",
	.start = stub_start,
	.request_stop = stub_request_stop,
	.is_stopped = stub_is_stopped,
	.free = stub_free,
};
