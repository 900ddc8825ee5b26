/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata that creates a topic: it waits for the controller, but not without end, and the creation outlives it. */
#include "api.h"
#include "broker_rig.h"
#include "controller_io.h"
#include "msg/create_topics.h"
#include "msg/metadata.h"

static struct rig rig;
static struct controller_op *submitted;
static struct request request;
static struct metadata_request in;
static struct metadata_request_topics topic;
static int answers_n;
static int16_t answer;
static char name[8];

void controller_submit(struct broker *broker, struct controller_op *op)
{
	submitted = op;
}

/* Never called: only what makes the topics decides. */
enum err controller_create_topics(struct controller *controller, int16_t version,
				  const struct create_topics_request *asked, struct create_topics_response *out,
				  struct controller_records *records, struct arena *arena)
{
	return ERR_NONE;
}

void request_reply(struct request *of, void *response)
{
	const struct metadata_response *out = response;

	assert_int_equal(out->topics_n, 1);
	answer = out->topics[0].error_code;
	answers_n++;
	arena_reset(&of->arena);
	memset(name, 'x', sizeof(name)); /* as the frame goes */
}

static void ask(void)
{
	request = (struct request){.shard = &rig.shards[0], .version = 12, .state = REQUEST_RUNNING};
	snprintf(name, sizeof(name), "fresh");
	msg_init(&metadata_request_type, &in);
	msg_init(&metadata_request_topics_type, &topic);
	topic.name = str_of(name);
	in.topics = &topic;
	in.topics_n = 1;
	in.allow_auto_topic_creation = true;
	request.body = &in;
	submitted = NULL;
	answers_n = 0;
	api_metadata(&request);
	assert_non_null(submitted);
	assert_int_equal(answers_n, 0);
	assert_int_equal(rig.shards[0].requests_n, 1);
}

static void end(int16_t error)
{
	const struct create_topics_request *create = submitted->request;
	struct create_topics_response *out = submitted->response;

	assert_int_equal(create->topics_n, 1);
	assert_true(str_eq_c(create->topics[0].name, "fresh"));
	out->topics = MSG_NEW_N(submitted->arena, create_topics_response_topics, 1);
	out->topics_n = 1;
	out->topics[0].name = create->topics[0].name;
	out->topics[0].error_code = error;
	submitted->done(submitted);
	assert_int_equal(answers_n, 1);
	assert_int_equal(rig.shards[0].requests_n, 0);
}

static void test_in_time(void **state)
{
	ask();
	end(ERR_INVALID_TOPIC_EXCEPTION);
	assert_int_equal(answer, ERR_INVALID_TOPIC_EXCEPTION);
	assert_int_equal(timers_next_ns(&rig.shards[0].reactor->timers), INT64_MAX);
}

static void test_too_late(void **state)
{
	struct reactor *reactor = rig.shards[0].reactor;

	ask();
	timers_run(&reactor->timers, reactor->now_ns + 1900 * NS_PER_MS, 10);
	assert_int_equal(answers_n, 0);
	timers_run(&reactor->timers, reactor->now_ns + 2100 * NS_PER_MS, 10);
	assert_int_equal(answers_n, 1);
	assert_int_equal(answer, ERR_UNKNOWN_TOPIC_OR_PARTITION);
	end(ERR_NONE);
}

static void test_client_goes(void **state)
{
	ask();
	request.cancel(&request);
	assert_int_equal(answers_n, 1);
	end(ERR_NONE);
}

static int open_rig(void **state)
{
	rig_open(&rig, 1);
	rig.broker.config.auto_create_topics_enable = true;
	rig.shards[0].image = image_new_empty();
	return 0;
}

static int close_rig(void **state)
{
	image_unref(rig.shards[0].image);
	rig_close(&rig);
	return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_in_time), CASE(test_too_late), CASE(test_client_goes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
