/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator's body of struct io. See io_sim.h.
 *
 * 1. An op is on `submitted` (queued), or named by exactly one sim_op (file op under way) or sim_end (socket op under
 *    way), or on `ready` (its done is due). is_under_way is true throughout.
 * 2. Completions run only inside io_turn; a seeded part of `ready` may wait for the next turn.
 * 3. All memory here is outside every scope, but for receive blocks, which are the node's.
 */
#include "io_sim.h"

#include "map.h"
#include "reactor.h"
#include "sim_disk.h"
#include "sim_net.h"

/* A file write or work under way. */
struct sim_op {
	struct list link; /* in io_sim.started */
	struct io_sim *is;
	struct io_op *op;
	struct sim_event event;
	bool has_run;
};

/* This io's view of a socket. */
struct sim_end {
	struct list link; /* in io_sim.ends */
	struct io_sim *is;
	struct sim_sock *sock;
	struct io_op *recv;    /* ACCEPT or RECV */
	struct io_op *send;
	struct io_op *connect;
};

struct io_sim {
	struct io io;
	struct sim_node *sn;
	int index;
	struct reactor *reactor;
	struct rng rng;
	struct list submitted;
	struct list started; /* struct sim_op */
	struct list ready;
	struct list ends;
	struct map ends_by_sock; /* io_sock -> sim_end */
	struct sim_event step;
	bool is_woken;
	bool in_turn;
	bool turn_did_work;
	int64_t sleep_until_ns; /* node's monotonic clock */
	struct buf_pool pool;
};

static struct io_sim *io_sim_of(struct io *io)
{
	return container_of(io, struct io_sim, io);
}

/* --- stepping --- */

static void io_sim_step(struct sim_event *event);

static void io_sim_step_at(struct io_sim *is, int64_t at_ns)
{
	struct world *w = is->sn->w;

	at_ns = MAX(at_ns, is->sn->paused_until_ns);
	if (sim_event_is_on(&is->step) && is->step.node.key <= at_ns && is->step.node.key >= is->sn->paused_until_ns)
		return;
	world_at(w, &is->step, at_ns, io_sim_step);
}

static void io_sim_soon(struct io_sim *is)
{
	struct world *w = is->sn->w;

	if (!is->reactor || is->in_turn)
		return;
	io_sim_step_at(is, w->now_ns + 200 + rng_between(&w->rng, 0, w->opt.step_us * 1000));
}

void io_sim_poke(struct io_sim *is)
{
	is->is_woken = true;
	io_sim_soon(is);
}

static void io_sim_step(struct sim_event *event)
{
	struct io_sim *is = container_of(event, struct io_sim, step);
	struct sim_node *sn = is->sn;
	struct world *w = sn->w;
	int index = is->index;
	struct sim_guard guard;
	uint64_t mark = (uint64_t)sn->id << 8 | (uint64_t)index;

	if (w->now_ns < sn->paused_until_ns) {
		io_sim_step_at(is, sn->paused_until_ns);
		return;
	}
	world_hash(w, &mark, sizeof(mark));
	is->turn_did_work = false;
	guard = sim_node_enter(sn);
	is->in_turn = true;
	reactor_turn(is->reactor, INT64_MAX);
	is->in_turn = false;
	if (sn->doom == SIM_DEATH_NONE) {
		struct mem_scope *scope = mem_scope_enter(NULL);

		if (is->turn_did_work || is->is_woken || is->sleep_until_ns == 0 || !list_is_empty(&is->submitted) ||
		    !list_is_empty(&is->ready))
			io_sim_soon(is);
		else if (is->sleep_until_ns != INT64_MAX)
			io_sim_step_at(is, is->sleep_until_ns - sim_node_clock(sn, IO_CLOCK_MONOTONIC) + w->now_ns +
						   rng_between(&w->rng, 0, w->opt.step_us * 1000));
		mem_scope_enter(scope);
	}
	sim_node_leave(sn, guard); /* may free `is` */
	sim_node_turn_done(sn);
}

void io_sim_run(struct io_sim *is, struct reactor *reactor)
{
	is->reactor = reactor;
	io_sim_soon(is);
}

/* --- completion --- */

static void op_ready(struct io_sim *is, struct io_op *op, enum err err, int64_t result)
{
	op->err = err;
	op->result = result;
	list_push_back(&is->ready, &op->node);
	io_sim_soon(is);
}

static void sim_op_free(struct sim_op *so)
{
	world_off(so->is->sn->w, &so->event);
	list_remove(&so->link);
	mem_free(so);
}

/* The helper's result has reached the reactor. */
static void sim_op_done(struct sim_event *event)
{
	struct sim_op *so = container_of(event, struct sim_op, event);

	op_ready(so->is, so->op, so->op->err, so->op->result);
	sim_op_free(so);
}

static int64_t disk_wait_ns(struct io_sim *is, int64_t most_us)
{
	struct world *w = is->sn->w;
	int64_t slow_us = disk_delay_us(is->sn->disk);
	int64_t ns = world_draw_us(w, most_us);

	if (slow_us)
		ns += rng_between(&w->rng, 0, slow_us * 1000);
	return ns;
}

/* A helper thread takes the work up. */
static void sim_op_work(struct sim_event *event)
{
	struct sim_op *so = container_of(event, struct sim_op, event);
	struct io_sim *is = so->is;
	struct sim_node *sn = is->sn;
	struct world *w = sn->w;
	struct sim_guard guard;

	if (w->now_ns < sn->paused_until_ns) {
		world_at(w, &so->event, sn->paused_until_ns, sim_op_work);
		return;
	}
	so->has_run = true;
	world_after(w, &so->event, disk_wait_ns(is, w->opt.work_us), sim_op_done);
	guard = sim_node_enter(sn);
	so->op->work.run(so->op, disk_fs(sn->disk));
	sim_node_leave(sn, guard); /* may free `so` */
}

static void start_file_op(struct io_sim *is, struct io_op *op)
{
	struct sim_op *so = MEM_NEW(struct sim_op);
	struct world *w = is->sn->w;

	so->is = is;
	so->op = op;
	list_push_back(&is->started, &so->link);
	if (op->kind == IO_WRITE) {
		struct fs *fs = disk_fs(is->sn->disk);
		size_t len = 0;

		so->has_run = true;
		op->err = fs_pwritev(fs, op->write.file, op->write.iov, op->write.iov_n, op->write.pos, &len);
		op->result = (int64_t)len;
		world_after(w, &so->event, disk_wait_ns(is, w->opt.write_us), sim_op_done);
		return;
	}
	world_after(w, &so->event, disk_wait_ns(is, w->opt.work_us), sim_op_work);
}

/* --- sockets --- */

static struct sim_end *end_of(struct io_sim *is, io_sock sock)
{
	return map_get_u64(&is->ends_by_sock, (uint64_t)sock);
}

static void end_notify(struct sim_sock *sock, void *ctx);

static struct sim_end *end_new(struct io_sim *is, struct sim_sock *sock)
{
	struct sim_end *end = MEM_NEW(struct sim_end);

	end->is = is;
	end->sock = sock;
	list_push_back(&is->ends, &end->link);
	if (sock) {
		map_put_u64(&is->ends_by_sock, (uint64_t)net_sock_id(sock), end);
		net_set_user(sock, (struct sim_sock_user){end_notify, end});
	}
	return end;
}

static void end_free(struct sim_end *end)
{
	if (end->sock)
		map_remove_u64(&end->is->ends_by_sock, (uint64_t)net_sock_id(end->sock));
	list_remove(&end->link);
	mem_free(end);
}

static void end_try_accept(struct sim_end *end)
{
	struct io_op *op = end->recv;
	struct io_addr peer;
	struct sim_sock *sock = net_accept(end->sock, (struct sim_sock_user){NULL, NULL}, &peer);

	if (!sock)
		return;
	end_new(end->is, sock);
	end->recv = NULL;
	op->accept.peer = peer;
	op_ready(end->is, op, ERR_NONE, net_sock_id(sock));
}

static void end_try_recv(struct sim_end *end)
{
	struct io_op *op = end->recv;
	struct io_sim *is = end->is;
	struct mem_scope *scope;
	struct buf *buf = op->recv.into;
	size_t len = 0;
	uint8_t peek[1];
	enum err err;

	/* Only take a block when something is there. */
	err = net_recv(end->sock, peek, 0, &len);
	if (err == ERR_WOULD_BLOCK)
		return;
	end->recv = NULL;
	if (err) {
		op_ready(is, op, err, 0);
		return;
	}
	if (!buf) {
		scope = mem_scope_enter(is->sn->scope);
		buf = buf_new(&is->pool, (size_t)is->sn->w->opt.recv_block);
		mem_scope_enter(scope);
	}
	CHECK_OP(buf->len, <, buf->cap);
	err = net_recv(end->sock, buf->data + buf->len, buf->cap - buf->len, &len);
	CHECK_OP(err, ==, ERR_NONE);
	op->recv.buf = buf;
	op->recv.got = (struct bytes){buf->data + buf->len, len};
	buf->len += len;
	op_ready(is, op, ERR_NONE, (int64_t)len);
}

/* Moves what the stream takes; true when the op has ended. */
static bool end_send_some(struct sim_end *end)
{
	struct io_op *op = end->send;
	struct fs *fs = disk_fs(end->is->sn->disk);
	uint8_t block[4096];

	while (op->send.pieces_n) {
		struct piece *piece = op->send.pieces;
		const uint8_t *p = piece->mem;
		size_t len = piece->len, sent = 0;
		enum err err;

		if (!len) {
			op->send.pieces++;
			op->send.pieces_n--;
			continue;
		}
		if (piece->file != PIECE_NO_FILE) {
			err = fs_pread(fs, piece->file, block, MIN(len, sizeof(block)), piece->pos, FS_WAIT, &len);
			if (!err && !len)
				err = ERR_IO; /* the range is not there any more */
			if (err) {
				op->err = err;
				return true;
			}
			p = block;
		}
		err = net_send(end->sock, p, len, &sent);
		if (err == ERR_WOULD_BLOCK)
			return false;
		if (err) {
			op->err = err;
			return true;
		}
		if (piece->file == PIECE_NO_FILE)
			piece->mem += sent;
		piece->pos += (int64_t)sent;
		piece->len -= sent;
		op->result += (int64_t)sent;
	}
	op->err = ERR_NONE;
	return true;
}

static void end_try_send(struct sim_end *end)
{
	struct io_op *op = end->send;

	if (!end_send_some(end))
		return;
	end->send = NULL;
	op_ready(end->is, op, op->err, op->result);
}

static void end_try_connect(struct sim_end *end)
{
	struct io_op *op = end->connect;
	enum err err = net_state(end->sock);

	if (err == ERR_WOULD_BLOCK)
		return;
	end->connect = NULL;
	if (!err) {
		op_ready(end->is, op, ERR_NONE, net_sock_id(end->sock));
		return;
	}
	op_ready(end->is, op, err, IO_SOCK_NONE);
	net_close(end->sock);
	end_free(end);
}

/* Called by the net, with no scope. */
static void end_notify(struct sim_sock *sock, void *ctx)
{
	struct sim_end *end = ctx;

	/* A standing process takes nothing from its sockets; what is there is noticed with the next op. A turn is
	 * needed all the same, so that ops of paused nodes go on. */
	if (end->connect) {
		end_try_connect(end);
		return;
	}
	if (end->recv && end->recv->kind == IO_ACCEPT)
		end_try_accept(end);
	else if (end->recv)
		end_try_recv(end);
	if (end->send)
		end_try_send(end);
}

static void start_sock_op(struct io_sim *is, struct io_op *op)
{
	io_sock sock = op->kind == IO_ACCEPT ? op->accept.sock : op->kind == IO_RECV ? op->recv.sock : op->send.sock;
	struct sim_end *end;

	if (op->kind == IO_CONNECT) {
		end = end_new(is, net_connect(is->sn->w->net, is->sn->id, &op->connect.addr,
					      (struct sim_sock_user){NULL, NULL}));
		end->connect = op;
		end_try_connect(end);
		return;
	}
	end = end_of(is, sock);
	if (!end) {
		op_ready(is, op, ERR_CANCELLED, 0);
		return;
	}
	if (op->kind == IO_SEND) {
		CHECK(!end->send);
		end->send = op;
		end_try_send(end);
		return;
	}
	CHECK(!end->recv);
	end->recv = op;
	if (op->kind == IO_ACCEPT)
		end_try_accept(end);
	else
		end_try_recv(end);
}

/* --- io_ops --- */

static void io_sim_submit(struct io *io, struct io_op *op)
{
	struct io_sim *is = io_sim_of(io);
	struct mem_scope *scope = mem_scope_enter(NULL);

	CHECK(!op->is_under_way);
	op->is_under_way = true;
	op->err = ERR_NONE;
	op->result = 0;
	op->node = (struct list){NULL, NULL};
	list_push_back(&is->submitted, &op->node);
	io_sim_soon(is);
	mem_scope_enter(scope);
}

static void end_cancel(struct sim_end *end, struct io_op *op)
{
	struct io_sim *is = end->is;

	if (end->recv == op)
		end->recv = NULL;
	else if (end->send == op)
		end->send = NULL;
	else
		end->connect = NULL;
	op_ready(is, op, ERR_CANCELLED, op->kind == IO_SEND ? op->result : 0);
}

static void io_sim_cancel(struct io *io, struct io_op *op)
{
	struct io_sim *is = io_sim_of(io);
	struct mem_scope *scope;

	if (!op->is_under_way)
		return;
	scope = mem_scope_enter(NULL);
	list_for_each(link, tmp, &is->submitted) {
		if (link == &op->node) {
			list_remove(&op->node);
			op_ready(is, op, ERR_CANCELLED, 0);
			goto out;
		}
	}
	list_for_each(link, tmp, &is->started) {
		struct sim_op *so = list_entry(link, struct sim_op, link);

		if (so->op == op) {
			if (!so->has_run) {
				sim_op_free(so);
				op_ready(is, op, ERR_CANCELLED, 0);
			}
			goto out;
		}
	}
	list_for_each(link, tmp, &is->ends) {
		struct sim_end *end = list_entry(link, struct sim_end, link);

		if (end->recv == op || end->send == op || end->connect == op) {
			bool is_connect = end->connect == op;

			end_cancel(end, op);
			if (is_connect) {
				net_close(end->sock);
				end_free(end);
			}
			goto out;
		}
	}
out:
	mem_scope_enter(scope);
}

static void start_submitted(struct io_sim *is)
{
	struct list now, *link;

	list_init(&now);
	list_splice(&now, &is->submitted);
	while ((link = list_pop_front(&now)) != NULL) {
		struct io_op *op = list_entry(link, struct io_op, node);

		is->turn_did_work = true;
		/* Nothing happens any more in a process that is about to be dead. */
		if (is->sn->doom != SIM_DEATH_NONE)
			continue;
		if (op->kind == IO_WRITE || op->kind == IO_WORK)
			start_file_op(is, op);
		else
			start_sock_op(is, op);
	}
}

static void complete(struct io_sim *is, struct io_op *op)
{
	struct buf *block = NULL;

	if (op->kind == IO_RECV && !op->recv.into && op->err == ERR_NONE)
		block = op->recv.buf;
	op->is_under_way = false;
	op->done(op); /* may free or submit op */
	if (block)
		buf_unref(block);
}

static void io_sim_turn(struct io *io, int64_t deadline_ns)
{
	struct io_sim *is = io_sim_of(io);
	struct world *w = is->sn->w;
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct list now, *link;
	uint64_t budget;

	is->sleep_until_ns = deadline_ns;
	is->is_woken = false;
	start_submitted(is);
	budget = world_chance(w, 1, 8) ? rng_below(&w->rng, 4) : UINT64_MAX;
	list_init(&now);
	list_splice(&now, &is->ready);
	mem_scope_enter(scope);
	while (budget-- && is->sn->doom == SIM_DEATH_NONE && (link = list_pop_front(&now)) != NULL) {
		is->turn_did_work = true;
		complete(is, list_entry(link, struct io_op, node));
	}
	/* What was left goes before what became ready meanwhile. */
	list_splice(&now, &is->ready);
	list_splice(&is->ready, &now);
}

static void io_sim_wake(struct io *io)
{
	struct mem_scope *scope = mem_scope_enter(NULL);

	io_sim_poke(io_sim_of(io));
	mem_scope_enter(scope);
}

static int64_t io_sim_clock(struct io *io, enum io_clock clock)
{
	return sim_node_clock(io_sim_of(io)->sn, clock);
}

static void io_sim_random(struct io *io, void *p, size_t len)
{
	struct io_sim *is = io_sim_of(io);
	uint8_t *out = p;

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)rng_u64(&is->rng);
}

static enum err io_sim_listen(struct io *io, const struct io_addr *addr, io_sock *ret, struct io_addr *ret_bound)
{
	struct io_sim *is = io_sim_of(io);
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct sim_sock *sock;
	enum err err = net_listen(is->sn->w->net, is->sn->id, addr, (struct sim_sock_user){NULL, NULL}, &sock,
				  ret_bound);

	if (!err) {
		end_new(is, sock);
		*ret = net_sock_id(sock);
	}
	mem_scope_enter(scope);
	return err;
}

static void io_sim_sock_forget(struct io *io, io_sock sock)
{
	struct io_sim *is = io_sim_of(io);
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct sim_end *end = end_of(is, sock);

	CHECK(end);
	CHECK(!end->recv);
	CHECK(!end->send);
	net_set_user(end->sock, (struct sim_sock_user){NULL, NULL});
	end_free(end);
	mem_scope_enter(scope);
}

static void io_sim_sock_adopt(struct io *io, io_sock sock)
{
	struct io_sim *is = io_sim_of(io);
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct sim_sock *found = net_find(is->sn->w->net, sock);

	CHECK(found);
	CHECK(!end_of(is, sock));
	end_new(is, found);
	mem_scope_enter(scope);
}

static void io_sim_sock_close(struct io *io, io_sock sock)
{
	struct io_sim *is = io_sim_of(io);
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct sim_end *end = end_of(is, sock);

	CHECK(end);
	/* Ops that were queued but not started find no socket and end as cancelled. */
	if (end->recv)
		end_cancel(end, end->recv);
	if (end->send)
		end_cancel(end, end->send);
	net_close(end->sock);
	map_remove_u64(&is->ends_by_sock, (uint64_t)sock);
	end->sock = NULL;
	end_free(end);
	mem_scope_enter(scope);
}

static enum err io_sim_resolve(struct io *io, const char *host, struct io_addr *ret, int max, int *ret_n)
{
	struct io_sim *is = io_sim_of(io);

	return net_resolve(is->sn->w->net, is->sn->id, host, ret, max, ret_n);
}

static const char *io_sim_describe(struct io *io)
{
	return "sim";
}

/* The world frees the io; a body must not. */
static void io_sim_ops_free(struct io *io)
{
}

static const struct io_ops io_sim_ops = {
	.submit = io_sim_submit,
	.cancel = io_sim_cancel,
	.turn = io_sim_turn,
	.wake = io_sim_wake,
	.clock = io_sim_clock,
	.random = io_sim_random,
	.listen = io_sim_listen,
	.sock_forget = io_sim_sock_forget,
	.sock_adopt = io_sim_sock_adopt,
	.sock_close = io_sim_sock_close,
	.resolve = io_sim_resolve,
	.describe = io_sim_describe,
	.free = io_sim_ops_free,
};

struct io_sim *io_sim_new(struct sim_node *sn, int index)
{
	struct io_sim *is = MEM_NEW(struct io_sim);
	uint64_t seed = rng_u64(&sn->w->rng);

	is->io.ops = &io_sim_ops;
	is->io.fs = disk_fs(sn->disk);
	is->sn = sn;
	is->index = index;
	rng_init(&is->rng, seed);
	list_init(&is->submitted);
	list_init(&is->started);
	list_init(&is->ready);
	list_init(&is->ends);
	map_init(&is->ends_by_sock, MAP_U64, seed);
	/* No block is kept, so that a use after the last reference shows under the address sanitizer. */
	buf_pool_init(&is->pool, (size_t)sn->w->opt.recv_block, 0);
	return is;
}

void io_sim_drop_blocks(struct io_sim *is)
{
	/* Blocks of receives that ended but were not reported belong to nobody else. */
	list_for_each(link, tmp, &is->ready) {
		struct io_op *op = list_entry(link, struct io_op, node);

		list_remove(link);
		if (op->kind == IO_RECV && !op->recv.into && op->err == ERR_NONE)
			buf_unref(op->recv.buf);
	}
	buf_pool_deinit(&is->pool);
}

void io_sim_free(struct io_sim *is)
{
	world_off(is->sn->w, &is->step);
	list_for_each(link, tmp, &is->started)
		sim_op_free(list_entry(link, struct sim_op, link));
	list_for_each(link, tmp, &is->ends) {
		struct sim_end *end = list_entry(link, struct sim_end, link);

		end->sock = NULL; /* the net has freed it with the host */
		end_free(end);
	}
	map_deinit(&is->ends_by_sock);
	mem_free(is);
}

struct io *io_sim_io(struct io_sim *is)
{
	return &is->io;
}
