/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helper threads: one queue under one lock, shared by the reactors of the process. A job returns to the reactor
 * that started it by a list under that reactor's lock and a wake.
 *
 * 1. A job is in the queue, or with one helper, or in its home's jobs_done; jobs_n of the home counts all three.
 * 2. A helper touches the home last while it holds the home's jobs_lock: once the home sees its last job, it may
 *    go away.
 */
#include <signal.h>

#include "fs_posix.h"
#include "io_posix.h"
#include "log.h"
#include "mem.h"

#define POSIX_HELPERS_MAX 64
#define POSIX_RECV_BLOCK_LEN_DEFAULT (512 * 1024)

struct io_posix_shared {
	struct fs fs;
	size_t recv_block_len;
	struct log_sink *log_sink;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct list queue; /* under lock */
	bool is_stopping;  /* under lock */
	int helpers_n;
	pthread_t helpers[POSIX_HELPERS_MAX];
};

static void posix_job_return(struct posix_job *job)
{
	struct io_posix *home = job->home;

	pthread_mutex_lock(&home->jobs_lock);
	list_push_back(&home->jobs_done, &job->node);
	pthread_cond_signal(&home->jobs_cond);
	posix_wake(&home->io);
	pthread_mutex_unlock(&home->jobs_lock);
}

static void *posix_helper_loop(void *arg)
{
	struct io_posix_shared *shared = arg;

	log_sink_set(shared->log_sink);
	for (;;) {
		struct posix_job *job = NULL;
		struct list *node;

		pthread_mutex_lock(&shared->lock);
		while (list_is_empty(&shared->queue) && !shared->is_stopping)
			pthread_cond_wait(&shared->cond, &shared->lock);
		node = list_pop_front(&shared->queue);
		pthread_mutex_unlock(&shared->lock);
		if (!node)
			return NULL;
		job = container_of(node, struct posix_job, node);
		job->run(job, &shared->fs);
		posix_job_return(job);
	}
}

struct io_posix_shared *io_posix_shared_new(const struct io_posix_options *options)
{
	struct io_posix_shared *shared = MEM_NEW(struct io_posix_shared);
	sigset_t all, before;

	CHECK_OP(options->helpers_n, >, 0);
	/* sendfile has no flag against it. */
	signal(SIGPIPE, SIG_IGN);
	fs_posix_init(&shared->fs);
	shared->recv_block_len = options->recv_block_len ? options->recv_block_len : POSIX_RECV_BLOCK_LEN_DEFAULT;
	shared->log_sink = options->log_sink;
	shared->helpers_n = MIN(options->helpers_n, POSIX_HELPERS_MAX);
	CHECK_OP(pthread_mutex_init(&shared->lock, NULL), ==, 0);
	CHECK_OP(pthread_cond_init(&shared->cond, NULL), ==, 0);
	list_init(&shared->queue);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int i = 0; i < shared->helpers_n; i++)
		CHECK_OP(pthread_create(&shared->helpers[i], NULL, posix_helper_loop, shared), ==, 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return shared;
}

void io_posix_shared_free(struct io_posix_shared *shared)
{
	if (!shared)
		return;
	pthread_mutex_lock(&shared->lock);
	CHECK(list_is_empty(&shared->queue));
	shared->is_stopping = true;
	pthread_cond_broadcast(&shared->cond);
	pthread_mutex_unlock(&shared->lock);
	for (int i = 0; i < shared->helpers_n; i++)
		CHECK_OP(pthread_join(shared->helpers[i], NULL), ==, 0);
	pthread_cond_destroy(&shared->cond);
	pthread_mutex_destroy(&shared->lock);
	mem_free(shared);
}

struct fs *io_posix_fs(struct io_posix_shared *shared)
{
	return &shared->fs;
}

size_t posix_shared_recv_block_len(const struct io_posix_shared *shared)
{
	return shared->recv_block_len;
}

void posix_job_start(struct io_posix *io, struct posix_job *job)
{
	struct io_posix_shared *shared = io->shared;

	job->home = io;
	io->jobs_n++;
	pthread_mutex_lock(&shared->lock);
	list_push_back(&shared->queue, &job->node);
	pthread_cond_signal(&shared->cond);
	pthread_mutex_unlock(&shared->lock);
}

static void posix_work_run(struct posix_job *job, struct fs *fs)
{
	job->op->work.run(job->op, fs);
}

static void posix_work_done(struct posix_job *job)
{
	posix_end(job->home, job->op, job->op->err, job->op->result);
	mem_free(job);
}

void posix_work_start(struct io_posix *io, struct io_op *op)
{
	struct posix_job *job = MEM_NEW(struct posix_job);

	job->op = op;
	job->run = posix_work_run;
	job->done = posix_work_done;
	op->stage = POSIX_HELPER;
	op->err = ERR_NONE;
	posix_job_start(io, job);
}

bool posix_job_take_back(struct io_posix *io, struct io_op *op)
{
	struct posix_job *found = NULL;

	pthread_mutex_lock(&io->shared->lock);
	list_for_each(node, tmp, &io->shared->queue) {
		struct posix_job *job = container_of(node, struct posix_job, node);

		if (job->op != op)
			continue;
		list_remove(node);
		found = job;
		break;
	}
	pthread_mutex_unlock(&io->shared->lock);
	if (!found)
		return false;
	io->jobs_n--;
	mem_free(found);
	return true;
}

void posix_jobs_collect(struct io_posix *io)
{
	struct list done, *node;

	if (io->jobs_n == 0)
		return;
	list_init(&done);
	pthread_mutex_lock(&io->jobs_lock);
	list_splice(&done, &io->jobs_done);
	pthread_mutex_unlock(&io->jobs_lock);
	while ((node = list_pop_front(&done)) != NULL) {
		struct posix_job *job = container_of(node, struct posix_job, node);

		io->jobs_n--;
		job->done(job);
	}
}

void posix_jobs_drain(struct io_posix *io)
{
	struct list back, *node;

	list_init(&back);
	pthread_mutex_lock(&io->shared->lock);
	list_for_each(pos, tmp, &io->shared->queue) {
		if (container_of(pos, struct posix_job, node)->home != io)
			continue;
		list_remove(pos);
		list_push_back(&back, pos);
	}
	pthread_mutex_unlock(&io->shared->lock);
	while ((node = list_pop_front(&back)) != NULL) {
		struct posix_job *job = container_of(node, struct posix_job, node);

		io->jobs_n--;
		job->done(job);
	}
	while (io->jobs_n > 0) {
		pthread_mutex_lock(&io->jobs_lock);
		while (list_is_empty(&io->jobs_done))
			pthread_cond_wait(&io->jobs_cond, &io->jobs_lock);
		pthread_mutex_unlock(&io->jobs_lock);
		posix_jobs_collect(io);
	}
}
