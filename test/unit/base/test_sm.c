/* SPDX-License-Identifier: Apache-2.0 */
/* State machines: allowed moves happen and leave a trace, all others abort. */
#include "sm.h"

#include <string.h>

#include "log.h"
#include "test_base.h"

enum { IDLE, BUSY, DONE };

static const struct sm_state states[] = {
	[IDLE] = {"idle", SM_TO(BUSY)},
	[BUSY] = {"busy", SM_TO(IDLE) | SM_TO(DONE)},
	[DONE] = {"done", 0},
};
static const struct sm_def def = {"job", states, 3};

static char line[256];

static void line_write(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
	(void)sink;
	(void)level;
	snprintf(line, sizeof(line), "%s %s", event, text);
}

static void test_moves(void **state)
{
	struct log_sink sink = {.level = LOG_TRACE, .write = line_write};
	struct sm sm;

	(void)state;
	log_sink_set(&sink);
	sm_init(&sm, &def, IDLE);
	assert_string_equal(sm_name(&sm), "idle");
	sm_move(&sm, BUSY, "j1");
	assert_string_equal(line, "state.move machine=job object=j1 from=idle to=busy");
	sm_move(&sm, IDLE, "j1");
	sm_move(&sm, BUSY, "j1");
	sm_move(&sm, DONE, "j1");
	assert_int_equal(sm.state, DONE);
	log_sink_set(NULL);
}

static void body_refused(void)
{
	struct sm sm;

	sm_init(&sm, &def, IDLE);
	sm_move(&sm, DONE, "j1");
}

static void body_self(void)
{
	struct sm sm;

	sm_init(&sm, &def, IDLE);
	sm_move(&sm, IDLE, "j1");
}

static void body_outside(void)
{
	struct sm sm;

	sm_init(&sm, &def, BUSY);
	sm_move(&sm, 3, "j1");
}

static void test_refused(void **state)
{
	(void)state;
	assert_true(aborts(body_refused));
	assert_true(aborts(body_self));
	assert_true(aborts(body_outside));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
