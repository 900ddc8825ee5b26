/* SPDX-License-Identifier: Apache-2.0 */
/* The world with the toy body: determinism, deaths, the disk's and the streams' promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "fault.h"
#include "scenario.h"
#include "toy_body.h"

/* A client that sends 1, 2, 3, ... and waits for each to come back. */
struct toy_client {
	struct world *w;
	struct sim_sock *sock;
	struct sim_event retry;
	uint64_t next; /* now being stored */
	uint64_t acked;
	uint8_t in[8];
	size_t in_len;
	bool is_sent;
	bool is_off;
};

static void client_open(struct sim_event *event);

static void client_notify(struct sim_sock *sock, void *ctx)
{
	struct toy_client *c = ctx;
	enum err err = net_state(sock);
	uint8_t out[8];
	size_t len = 0;

	if (err == ERR_WOULD_BLOCK)
		return;
	while (!err) {
		if (!c->is_sent) {
			store_be64(out, c->next);
			err = net_send(sock, out, 8, &len);
			if (err)
				break;
			CHECK_OP(len, ==, (size_t)8);
			c->is_sent = true;
		}
		err = net_recv(sock, c->in + c->in_len, 8 - c->in_len, &len);
		if (err || !len)
			break;
		c->in_len += len;
		if (c->in_len == 8) {
			CHECK_OP(load_be64(c->in), ==, c->next);
			c->acked = c->next++;
			c->in_len = 0;
			c->is_sent = false;
		}
	}
	if (err == ERR_WOULD_BLOCK)
		return;
	net_close(sock);
	c->sock = NULL;
	world_after(c->w, &c->retry, 10 * NS_PER_MS, client_open);
}

/* Also the timeout: half-open connections end here. */
static void client_open(struct sim_event *event)
{
	struct toy_client *c = container_of(event, struct toy_client, retry);
	struct io_addr addr = net_addr(1, TOY_PORT);

	if (c->sock)
		net_close(c->sock);
	c->sock = NULL;
	if (c->is_off)
		return;
	c->is_sent = false;
	c->in_len = 0;
	c->sock = net_connect(c->w->net, 0, &addr, (struct sim_sock_user){client_notify, c});
	world_after(c->w, &c->retry, NS_PER_S, client_open);
}

static void client_start(struct toy_client *c, struct world *w)
{
	*c = (struct toy_client){.w = w, .next = 1};
	world_after(w, &c->retry, 0, client_open);
}

static void client_stop(struct toy_client *c)
{
	c->is_off = true;
	world_off(c->w, &c->retry);
	client_open(&c->retry);
}

/* The greatest number n such that 1 .. n stand in the file in order (each perhaps repeated). */
static uint64_t stored_up_to(struct world *w)
{
	bool exists;
	struct bytes b = disk_peek(disk_of_node(w, 1), TOY_FILE, &exists);
	uint64_t n = 0;

	for (size_t at = 0; at + 8 <= b.len; at += 8) {
		uint64_t v = load_be64(b.p + at);

		if (v == n + 1)
			n++;
		else if (v > n + 1 || v == 0)
			break;
	}
	return n;
}

static uint64_t toy_run(uint64_t seed, enum sim_death death, bool synced, bool *ret_lost)
{
	struct sim_options opt;
	struct toy_client c;
	struct world *w;
	struct rng rng;
	uint64_t hash;

	rng_init(&rng, seed);
	sim_options_draw(&opt, &rng);
	opt.synced = synced;
	w = world_new(seed, &opt, &toy_body);
	assert_true(world_node_start(w, 1));
	client_start(&c, w);
	*ret_lost = false;
	for (int i = 0; i < 5 && !*ret_lost; i++) {
		world_run_ms(w, 200 + (int64_t)rng_below(&rng, 500));
		if (rng_chance(&rng, 1, 2))
			disk_crash_at(disk_of_node(w, 1), 1 + rng_below(&rng, 20), death);
		world_run_ms(w, 300);
		world_node_kill(w, 1, death);
		*ret_lost = stored_up_to(w) < c.acked;
		assert_true(world_node_start(w, 1));
	}
	world_run_ms(w, 3000);
	assert_true(c.acked > 0);
	client_stop(&c);
	world_run_ms(w, 1000);
	if (!*ret_lost) {
		world_node_stop(w, 1);
		world_run_ms(w, 10000);
		assert_int_equal(world_node(w, 1)->state, SIM_NODE_OFF);
	}
	assert_false(w->has_failed);
	hash = w->hash;
	world_free(w);
	return hash;
}

static void test_same_seed_same_hash(void **state)
{
	bool lost;

	for (uint64_t seed = 1; seed <= 6; seed++) {
		uint64_t a = toy_run(seed, SIM_DEATH_PROCESS, false, &lost);

		assert_true(a == toy_run(seed, SIM_DEATH_PROCESS, false, &lost));
		assert_true(a != toy_run(seed + 100, SIM_DEATH_PROCESS, false, &lost));
	}
}

static void test_process_death_loses_nothing(void **state)
{
	bool lost;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		toy_run(seed, SIM_DEATH_PROCESS, false, &lost);
		assert_false(lost);
	}
}

static void test_power_cut_loses_only_what_was_not_synced(void **state)
{
	int lost_n = 0;
	bool lost;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		toy_run(seed, SIM_DEATH_POWER, true, &lost);
		assert_false(lost);
		toy_run(seed, SIM_DEATH_POWER, false, &lost);
		lost_n += lost;
	}
	assert_true(lost_n > 4);
}

static void test_a_skipped_sync_is_found(void **state)
{
	bool lost = false;

	fault_set(FAULT_skip_sync);
	for (uint64_t seed = 1; seed <= 40 && !lost; seed++)
		toy_run(seed, SIM_DEATH_POWER, true, &lost);
	fault_set(FAULT_NONE);
	assert_true(lost);
}

static void write_text(struct fs *fs, const char *path, const char *text)
{
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	fs_file file;
	size_t len;

	assert_int_equal(fs_open(fs, path, FS_WRITE | FS_CREATE, &file), ERR_NONE);
	assert_int_equal(fs_pwritev(fs, file, &iov, 1, 0, &len), ERR_NONE);
	fs_close(fs, file);
}

/* How often a new file, and its content, survive a power cut. */
static void survivors(bool sync_file, bool sync_dir, int *ret_names, int *ret_texts)
{
	*ret_names = *ret_texts = 0;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct world *w = scenario_world(seed, &toy_body);
		struct sim_disk *d = disk_of_node(w, 1);
		struct fs *fs = disk_fs(d);
		struct bytes b;
		fs_file file;
		bool exists;

		write_text(fs, "/a", "text");
		assert_int_equal(fs_open(fs, "/a", FS_READ, &file), ERR_NONE);
		if (sync_file)
			assert_int_equal(fs_sync(fs, file), ERR_NONE);
		fs_close(fs, file);
		if (sync_dir)
			assert_int_equal(fs->ops->sync_dir(fs, "/"), ERR_NONE);
		disk_power_cut(d);
		b = disk_peek(d, "/a", &exists);
		*ret_names += exists;
		*ret_texts += b.len == 4 && memcmp(b.p, "text", 4) == 0;
		world_free(w);
	}
}

static void test_what_a_power_cut_keeps(void **state)
{
	int names, texts;

	survivors(true, true, &names, &texts);
	assert_int_equal(names, 100);
	assert_int_equal(texts, 100);
	survivors(false, true, &names, &texts);
	assert_int_equal(names, 100);
	assert_in_range(texts, 20, 90);
	survivors(true, false, &names, &texts);
	assert_in_range(names, 20, 80);
	assert_int_equal(names, texts);
}

static void test_rename_is_whole(void **state)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct world *w = scenario_world(seed, &toy_body);
		struct sim_disk *d = disk_of_node(w, 1);
		struct fs *fs = disk_fs(d);
		bool exists;
		struct bytes b;

		assert_int_equal(fs_write_atomic(fs, "/c", (struct bytes){(const uint8_t *)"old", 3}), ERR_NONE);
		disk_crash_at(d, 1 + rng_below(&w->rng, 6), SIM_DEATH_POWER);
		(void)!fs_write_atomic(fs, "/c", (struct bytes){(const uint8_t *)"new!", 4});
		world_node(w, 1)->doom = SIM_DEATH_NONE;
		disk_power_cut(d);
		b = disk_peek(d, "/c", &exists);
		assert_true(exists);
		assert_true((b.len == 3 && !memcmp(b.p, "old", 3)) || (b.len == 4 && !memcmp(b.p, "new!", 4)));
		world_free(w);
	}
}

static void test_full_disk_and_failing_operations(void **state)
{
	struct world *w = scenario_world(1, &toy_body);
	struct fs *fs = disk_fs(disk_of_node(w, 1));
	struct iovec iov = {(void *)(uintptr_t)"0123456789", 10};
	struct fs_space space;
	fs_file file;
	size_t len;

	disk_fill(w, 1, 4);
	assert_int_equal(fs_open(fs, "/a", FS_WRITE | FS_CREATE, &file), ERR_NONE);
	assert_int_equal(fs_pwritev(fs, file, &iov, 1, 0, &len), ERR_DISK_FULL);
	assert_int_equal(len, 4);
	assert_int_equal(fs->ops->space(fs, "/", &space), ERR_NONE);
	assert_int_equal(space.usable, 0);
	disk_room(w, 1);
	assert_int_equal(fs_pwritev(fs, file, &iov, 1, 0, &len), ERR_NONE);
	fail_next(w, 1, DISK_OP_SYNC);
	assert_int_equal(fs_sync(fs, file), ERR_IO);
	/* The next sync succeeds and yet does not bring back what the failed one dropped. */
	assert_int_equal(fs_sync(fs, file), ERR_NONE);
	fs_close(fs, file);
	assert_int_equal(fs->ops->sync_dir(fs, "/"), ERR_NONE);
	disk_power_cut(disk_of_node(w, 1));
	{
		bool exists;

		assert_int_equal(disk_peek(disk_of_node(w, 1), "/a", &exists).len, 0);
		assert_true(exists);
	}
	world_free(w);
}

static void test_lock_ends_with_the_process(void **state)
{
	struct world *w = scenario_world(1, &toy_body);
	struct fs *fs = disk_fs(disk_of_node(w, 1));
	fs_file a, b;

	assert_int_equal(fs->ops->lock(fs, "/.lock", &a), ERR_NONE);
	assert_int_equal(fs->ops->lock(fs, "/.lock", &b), ERR_BUSY);
	disk_process_end(disk_of_node(w, 1));
	assert_int_equal(fs->ops->lock(fs, "/.lock", &b), ERR_NONE);
	world_free(w);
}

static void test_a_cut_link_stalls_and_heals(void **state)
{
	struct world *w = scenario_world(7, &toy_body);
	struct toy_client c;
	uint64_t before;

	assert_true(node_up(w, 1));
	client_start(&c, w);
	run_for(w, 500);
	net_cut(w->net, 1, 0);
	run_for(w, 10);
	before = c.acked;
	assert_true(before > 10);
	run_for(w, 500);
	assert_true(c.acked == before);
	net_heal(w->net);
	run_for(w, 20000);
	assert_true(c.acked > before);
	client_stop(&c);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_seed_same_hash),
		cmocka_unit_test(test_process_death_loses_nothing),
		cmocka_unit_test(test_power_cut_loses_only_what_was_not_synced),
		cmocka_unit_test(test_a_skipped_sync_is_found),
		cmocka_unit_test(test_what_a_power_cut_keeps),
		cmocka_unit_test(test_rename_is_whole),
		cmocka_unit_test(test_full_disk_and_failing_operations),
		cmocka_unit_test(test_lock_ends_with_the_process),
		cmocka_unit_test(test_a_cut_link_stalls_and_heals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
