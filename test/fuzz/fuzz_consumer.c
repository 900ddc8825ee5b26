/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What members of both protocols say to one group: heartbeats with any epoch, subscription, expression and set of owned
 * partitions; joins whose subscription is the input's own bytes; syncs with such an assignment; leaving; time that
 * passes; a log that fails. Each is answered once, the shard keeps its invariants, and goes away without a rest.
 */
#include "check.h"
#include "consumer_heartbeat.h"
#include "group_classic.h"
#include "image.h"
#include "log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 60

struct input {
	const uint8_t *p, *end;
};

struct asked {
	union {
		struct coord_op op;
		struct classic_join join; /* begin with their op */
		struct classic_sync sync;
	};
	struct consumer_heartbeat beat;
	struct arena arena;
	int done_n;
};

static enum err take(struct coord_shard *shard, uint64_t seq, struct coord_origin origin,
		     const struct coord_records *records)
{
	return ERR_NONE;
}

static void timer_moved(struct coord_shard *shard)
{
}

static const struct coord_log_ops fuzz_log = {.write = take, .timer_moved = timer_moved};

static const struct group_settings fuzz_settings = {
	.min_session_timeout_ms = 10, .max_session_timeout_ms = 100000, .max_size = 4,
	.offsets_retention_ms = 1000, .offsets_retention_check_interval_ms = 1000,
	.consumer_session_timeout_ms = 1000, .consumer_max_size = 4, .consumer_has_uniform = true,
	.consumer_has_range = true, .can_upgrade = true, .can_downgrade = true,
};

static void quiet(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
}

static struct log_sink fuzz_sink = {.level = LOG_ERROR, .write = quiet};

static uint8_t byte(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

static struct bytes some(struct input *in)
{
	size_t len = MIN((size_t)byte(in), (size_t)(in->end - in->p));
	struct bytes ret = {in->p, len};

	in->p += len;
	return ret;
}

static struct str name(struct input *in)
{
	static const char *const names[] = {"", "a", "b", "c", "d"};
	uint8_t i = byte(in) % 6;

	return i < 5 ? str_of(names[i]) : (struct str){(const char *)in->p, MIN((size_t)(in->end - in->p), (size_t)9)};
}

static enum err beat_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	return consumer_heartbeat_decide(&container_of(op, struct asked, op)->beat, records);
}

static void asked_done(struct coord_op *op)
{
	container_of(op, struct asked, op)->done_n++;
}

static void ask_beat(struct asked *a, struct group_store *store, struct input *in)
{
	struct consumer_group_heartbeat_request *request = MSG_NEW(&a->arena, consumer_group_heartbeat_request);
	struct consumer_group_heartbeat_request_topic_partitions *owned =
		MSG_NEW_N(&a->arena, consumer_group_heartbeat_request_topic_partitions, 1);
	struct str *topics = ARENA_NEW_N(&a->arena, struct str, 3);
	int32_t *partitions = ARENA_NEW_N(&a->arena, int32_t, 2);
	uint8_t flags = byte(in);

	request->group_id = STR("g");
	request->member_id = name(in);
	request->member_epoch = (int32_t)(byte(in) % 8) - 3;
	request->instance_id = flags & 1 ? name(in) : STR_NULL;
	request->rebalance_timeout_ms = flags & 2 ? byte(in) : -1;
	request->server_assignor = flags & 4 ? STR("range") : STR_NULL;
	request->subscribed_topic_regex = flags & 8 ? (struct str){(const char *)in->p, some(in).len} : STR_NULL;
	request->subscribed_topic_names_n = flags & 16 ? byte(in) % 4 : -1;
	for (int i = 0; i < 3; i++)
		topics[i] = name(in);
	request->subscribed_topic_names = topics;
	owned->topic_id = (struct uuid){7, byte(in) % 3};
	partitions[0] = (int32_t)byte(in) - 2;
	partitions[1] = byte(in);
	owned->partitions = partitions;
	owned->partitions_n = byte(in) % 3;
	request->topic_partitions = owned;
	request->topic_partitions_n = flags & 32 ? byte(in) % 2 : -1;
	a->op.decide = beat_decide;
	a->beat = (struct consumer_heartbeat){.store = store, .request = request, .client_id = STR("c"),
					      .client_host = STR("/h"), .version = byte(in) % 2,
					      .response = MSG_NEW(&a->arena, consumer_group_heartbeat_response)};
}

static void ask_join(struct asked *a, struct input *in)
{
	struct join_group_request *request = MSG_NEW(&a->arena, join_group_request);
	struct join_group_request_protocols *protocol = MSG_NEW_N(&a->arena, join_group_request_protocols, 1);

	protocol->name = name(in);
	protocol->metadata = some(in);
	request->group_id = STR("g");
	request->member_id = name(in);
	request->group_instance_id = byte(in) & 1 ? name(in) : STR_NULL;
	request->session_timeout_ms = 10 + byte(in);
	request->rebalance_timeout_ms = byte(in);
	request->protocol_type = STR("consumer");
	request->protocols = protocol;
	request->protocols_n = byte(in) % 2;
	a->join.in = request;
	a->join.client_id = STR("c");
	a->join.client_host = STR("/h");
	a->join.version = byte(in) % 10;
	a->op.decide = classic_join;
}

static void ask_sync(struct asked *a, struct input *in)
{
	struct sync_group_request *request = MSG_NEW(&a->arena, sync_group_request);
	struct sync_group_request_assignments *assignment = MSG_NEW_N(&a->arena, sync_group_request_assignments, 1);

	assignment->member_id = name(in);
	assignment->assignment = some(in);
	request->group_id = STR("g");
	request->member_id = name(in);
	request->generation_id = byte(in) % 6;
	request->assignments = assignment;
	request->assignments_n = 1;
	a->sync.in = request;
	a->op.decide = classic_sync;
}

static void step(struct coord_shard *shard, struct group_store *store, struct asked *a, struct input *in)
{
	uint8_t what = byte(in) % 8;

	a->op.arena = &a->arena;
	a->op.origin = COORD_ORIGIN_NONE;
	a->op.done = asked_done;
	if (what < 3)
		ask_beat(a, store, in);
	else if (what < 5)
		ask_join(a, in);
	else if (what == 5)
		ask_sync(a, in);
	if (what < 6)
		coord_shard_submit(shard, &a->op);
	else if (what == 6)
		coord_shard_committed(shard, shard->seq_queued);
	else if (byte(in) % 4 == 0 && shard->seq_queued > shard->seq_done)
		coord_shard_failed(shard, shard->seq_done + 1, ERR_IO);
	a->done_n += what >= 6;
	coord_shard_time(shard, shard->now_ms + byte(in) * 4, shard->wall_ms + byte(in) * 4);
	coord_shard_tick(shard, 100);
	coord_shard_check_invariants(shard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct asked *asked = mem_calloc(STEPS_MAX, sizeof(*asked));
	struct image *image = image_new_empty();
	struct coord_shard shard;
	struct group_store store;
	struct rng rng;
	int n = 0;

	log_sink_set(&fuzz_sink);
	rng_init(&rng, 1);
	coord_shard_init(&shard, &group_machine_ops, &store, &fuzz_log, NULL, &rng);
	coord_shard_time(&shard, 1000, 1700000000000);
	group_store_init(&store, &shard, &fuzz_settings, 1);
	store.image = image;
	if (byte(&in) & 1)
		store.inline_max = -1;
	coord_shard_load(&shard);
	coord_shard_loaded(&shard);
	while (n < STEPS_MAX && in.p < in.end)
		step(&shard, &store, &asked[n++], &in);
	coord_shard_unload(&shard, ERR_NOT_COORDINATOR);
	group_store_deinit(&store);
	coord_shard_deinit(&shard);
	for (int i = 0; i < n; i++) {
		CHECK_OP(asked[i].done_n, ==, 1);
		arena_reset(&asked[i].arena);
	}
	mem_free(asked);
	image_unref(image);
	log_sink_set(NULL);
	return 0;
}
