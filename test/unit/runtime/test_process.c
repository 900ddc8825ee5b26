/* SPDX-License-Identifier: Apache-2.0 */
/* Signals reach the callback on their own thread; the limits and sizes of the process make sense. */
#include "process.h"

#include <arpa/inet.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>

#include "test_runtime.h"

struct heard {
	sem_t sem;
	int last; /* atomic */
};

static void on_signal(int number, void *ctx)
{
	struct heard *heard = ctx;

	__atomic_store_n(&heard->last, number, __ATOMIC_RELEASE);
	sem_post(&heard->sem);
}

static void test_signals(void **state)
{
	static struct heard heard;
	const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGTERM};

	sem_init(&heard.sem, 0, 0);
	assert_int_equal(signal_start(on_signal, &heard), 0);
	for (size_t i = 0; i < ARRAY_N(numbers); i++) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 5;
		kill(getpid(), numbers[i]);
		assert_int_equal(sem_timedwait(&heard.sem, &until), 0);
		assert_int_equal(__atomic_load_n(&heard.last, __ATOMIC_ACQUIRE), numbers[i]);
	}
	raise(SIGPIPE); /* ignored */
}

static void test_limits(void **state)
{
	struct rlimit limit;
	int64_t files = process_raise_file_limit();

	getrlimit(RLIMIT_NOFILE, &limit);
	assert_true(files > 0);
	assert_int_equal(limit.rlim_cur, limit.rlim_max);
	assert_true(process_cpus() >= 1);
	assert_true(process_rss_bytes() > 100000);
}

static void test_short_slice(void **state)
{
	struct utsname system;
	int major, minor;
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime_ns, deadline_ns, period_ns;
	} before, after;

	uname(&system);
	assert_int_equal(sscanf(system.release, "%d.%d", &major, &minor), 2);
	if (major < 6 || (major == 6 && minor < 12))
		skip();
	assert_int_equal(syscall(SYS_sched_getattr, 0, &before, sizeof(before), 0), 0);
	process_thread_short_slice();
	assert_int_equal(syscall(SYS_sched_getattr, 0, &after, sizeof(after), 0), 0);
	assert_int_equal(after.runtime_ns, 500000);
	assert_true(after.runtime_ns < before.runtime_ns);
	assert_int_equal(after.policy, before.policy);
	assert_int_equal(after.nice, before.nice);
}

static void test_port_owner(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t addr_len = sizeof(addr);
	char owner[128] = "nobody", pid[32];
	uint16_t port;

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &addr_len), 0);
	port = ntohs(addr.sin_port);
	assert_false(process_port_owner(port, owner, sizeof(owner))); /* bound is not listening */
	assert_string_equal(owner, "nobody");
	assert_int_equal(listen(fd, 1), 0);
	assert_true(process_port_owner(port, owner, sizeof(owner)));
	snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
	assert_non_null(strstr(owner, pid));
	assert_int_equal(strncmp(owner, "test_runtime_", 13), 0);
	close(fd);
	assert_false(process_port_owner(port, owner, sizeof(owner)));
}

static void test_file_owner(void **state)
{
	char path[] = "/tmp/moldau-owner-XXXXXX", owner[128] = "nobody", pid[32];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_true(process_file_owner(path, owner, sizeof(owner)));
	snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
	assert_non_null(strstr(owner, pid));
	close(fd);
	snprintf(owner, sizeof(owner), "nobody");
	assert_false(process_file_owner(path, owner, sizeof(owner)));
	assert_int_equal(unlink(path), 0);
	assert_false(process_file_owner(path, owner, sizeof(owner)));
	assert_string_equal(owner, "nobody");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_short_slice),
		cmocka_unit_test(test_port_owner),
		cmocka_unit_test(test_file_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
