/* SPDX-License-Identifier: Apache-2.0 */
/* See acceptor.h. Counting is done on reactor 0; a connection that ends on another reactor says so by message. */
#include "acceptor.h"

#include <stdio.h>

#include "broker.h"
#include "conn.h"
#include "hash.h"
#include "listeners.h"
#include "log.h"
#include "mem.h"
#include "shard.h"

#define ACCEPTORS_MAX METRICS_LISTENERS_N
#define PORT_TRIES 16
#define KEPT_OUT_MAX 1000
#define ACCEPT_BACKOFF_NS (100 * NS_PER_MS)

struct ip_count {
	int32_t n;
};

/* A connection of an address whose connections come too fast. */
struct kept_out {
	struct list link;
	struct timer timer;
	struct broker *broker;
	io_sock sock;
};

/* An accepted connection on its way to its reactor, or the news of its end on the way back. */
struct conn_move {
	struct msg msg;
	struct acceptor *acceptor;
	struct io_addr peer;
	io_sock sock;
};

static void acceptor_next(struct acceptor *acceptor);

/* ---- counting ---- */

static void acceptor_count(struct acceptor *acceptor, const struct io_addr *peer, int32_t by)
{
	struct acceptor_set *set = &acceptor->broker->acceptors;
	uint64_t key = conn_limits_ip_key(peer);
	struct ip_count *count = map_get_u64(&set->per_ip, key);

	acceptor->lead->conns_n += by;
	if (acceptor->kind == API_BROKER)
		set->conns_n += by;
	if (!count) {
		count = MEM_NEW(struct ip_count);
		map_put_u64(&set->per_ip, key, count);
	}
	count->n += by;
	if (count->n == 0) {
		map_remove_u64(&set->per_ip, key);
		mem_free(count);
	}
}

static void acceptor_place_held(struct broker *broker);

static void acceptor_place_held_later(struct deferred *deferred)
{
	struct acceptor_set *set = container_of(deferred, struct acceptor_set, place_held);

	acceptor_place_held(container_of(set, struct broker, acceptors));
}

static void conn_gone_arrives(struct reactor *reactor, struct msg *msg)
{
	struct conn_move *move = container_of(msg, struct conn_move, msg);

	acceptor_count(move->acceptor, &move->peer, -1);
	acceptor_place_held(move->acceptor->broker);
	mem_free(move);
}

void acceptor_conn_gone(struct acceptor *acceptor, struct shard *shard, const struct io_addr *peer)
{
	struct conn_move *move;

	if (shard->index == 0) {
		acceptor_count(acceptor, peer, -1);
		reactor_defer(shard->reactor, &acceptor->broker->acceptors.place_held, acceptor_place_held_later);
		return;
	}
	move = MEM_NEW(struct conn_move);
	move->acceptor = acceptor;
	move->peer = *peer;
	move->msg.handle = conn_gone_arrives;
	reactor_send(shard->reactor, acceptor->broker->shards[0].reactor, &move->msg);
}

/* ---- accepting ---- */

static int64_t acceptor_now_ms(const struct acceptor *acceptor)
{
	return acceptor->broker->shards[0].reactor->now_ns / NS_PER_MS;
}

/* The listener's limits as they are now. */
static const struct listener *acceptor_listener(const struct acceptor *acceptor)
{
	return listener_find(&acceptor->broker->shards[0].config->eff.listeners, acceptor->name);
}

/* How long the next connection has to wait for the rates, ms. */
static int64_t acceptor_rate_ms(struct acceptor *acceptor)
{
	const struct listener *listener = acceptor_listener(acceptor);
	struct acceptor_set *set = &acceptor->broker->acceptors;
	int64_t now_ms = acceptor_now_ms(acceptor), of_broker_ms, of_listener_ms;

	of_listener_ms = conn_rate_ask(acceptor->lead->rate,
				       listener ? listener->max_connection_creation_rate : INT32_MAX, now_ms);
	if (acceptor->kind == API_CONTROLLER)
		return of_listener_ms;
	of_broker_ms = conn_rate_ask(set->limits.broker,
				     acceptor->broker->shards[0].config->max_connection_creation_rate, now_ms);
	return acceptor->is_protected ? of_listener_ms : MAX(of_broker_ms, of_listener_ms);
}

static void acceptor_rate_undo(struct acceptor *acceptor)
{
	int64_t now_ms = acceptor_now_ms(acceptor);

	conn_rate_undo(acceptor->lead->rate, now_ms);
	if (acceptor->kind == API_BROKER)
		conn_rate_undo(acceptor->broker->acceptors.limits.broker, now_ms);
}

static bool acceptor_has_place(const struct acceptor *acceptor)
{
	const struct listener *listener = acceptor_listener(acceptor);

	if (listener && acceptor->lead->conns_n >= listener->max_connections)
		return false;
	return acceptor->is_protected || acceptor->kind == API_CONTROLLER ||
	       acceptor->broker->acceptors.conns_n < acceptor->broker->shards[0].config->max_connections;
}

static bool acceptor_is_ip_full(const struct acceptor *acceptor, const struct io_addr *peer)
{
	const struct ip_count *count = map_get_u64(&acceptor->broker->acceptors.per_ip, conn_limits_ip_key(peer));
	char text[IO_ADDR_TEXT_MAX];

	if (!count)
		return false;
	io_addr_format(peer, text);
	return count->n >= broker_config_ip_limit(acceptor->broker->shards[0].config, str_of(text));
}

static void conn_arrives(struct reactor *reactor, struct msg *msg)
{
	struct conn_move *move = container_of(msg, struct conn_move, msg);

	reactor->io->ops->sock_adopt(reactor->io, move->sock);
	conn_new(reactor->shard, move->acceptor, move->sock, &move->peer);
	mem_free(move);
}

/* Deals connections out in turn. */
static void acceptor_deal(struct acceptor *acceptor, io_sock sock, const struct io_addr *peer)
{
	struct broker *broker = acceptor->broker;
	struct reactor *reactor = broker->shards[0].reactor;
	struct shard *to = &broker->shards[broker->acceptors.next_shard];
	struct conn_move *move;

	broker->acceptors.next_shard = (broker->acceptors.next_shard + 1) % broker->shards_n;
	acceptor_count(acceptor, peer, 1);
	if (to->index == 0) {
		conn_new(to, acceptor, sock, peer);
		return;
	}
	reactor->io->ops->sock_forget(reactor->io, sock);
	move = MEM_NEW(struct conn_move);
	move->acceptor = acceptor;
	move->sock = sock;
	move->peer = *peer;
	move->msg.handle = conn_arrives;
	reactor_send(reactor, to->reactor, &move->msg);
}

/* ---- limits ---- */

static void acceptor_place(struct acceptor *acceptor);

static void acceptor_backoff_over(struct timer *timer)
{
	struct acceptor *acceptor = container_of(timer, struct acceptor, backoff);

	if (acceptor->held != IO_SOCK_NONE)
		acceptor_place(acceptor);
	else
		acceptor_next(acceptor);
}

static void acceptor_close_socket(struct broker *broker, io_sock sock)
{
	struct io *io = broker->shards[0].reactor->io;

	io->ops->sock_close(io, sock);
}

static void acceptor_tell_refused(struct acceptor *acceptor, const struct io_addr *peer, const char *limit)
{
	struct shard *shard = &acceptor->broker->shards[0];
	char text[IO_ADDR_TEXT_MAX];
	int64_t left_out_n;

	io_addr_format(peer, text);
	if (said_is_due(&shard->said, shard->reactor->now_ns, SAID_CLOSED_AT_ACCEPT, peer, &left_out_n))
		log_warn("conn.refused", "peer=%s listener=%.*s limit=\"%s\" left_out=%lld", text,
			 STR_ARGS(acceptor->name), limit, (long long)left_out_n);
}

static void kept_out_end(struct kept_out *out)
{
	struct acceptor_set *set = &out->broker->acceptors;

	timer_stop(&out->broker->shards[0].reactor->timers, &out->timer);
	list_remove(&out->link);
	set->kept_out_n--;
	acceptor_close_socket(out->broker, out->sock);
	mem_free(out);
}

static void kept_out_over(struct timer *timer)
{
	kept_out_end(container_of(timer, struct kept_out, timer));
}

/* Open, but not served and closed later, so that a client that comes too often is slowed down by waiting. */
static void acceptor_keep_out(struct acceptor *acceptor, io_sock sock, int64_t wait_ms)
{
	struct broker *broker = acceptor->broker;
	struct acceptor_set *set = &broker->acceptors;
	struct kept_out *out;

	if (set->kept_out_n >= KEPT_OUT_MAX) {
		acceptor_close_socket(broker, sock);
		return;
	}
	out = MEM_NEW(struct kept_out);
	out->broker = broker;
	out->sock = sock;
	list_push_back(&set->kept_out, &out->link);
	set->kept_out_n++;
	reactor_timer(broker->shards[0].reactor, &out->timer, wait_ms * NS_PER_MS, kept_out_over);
}

static void acceptor_let_in(struct acceptor *acceptor, io_sock sock, const struct io_addr *peer)
{
	struct acceptor_set *set = &acceptor->broker->acceptors;
	int64_t wait_ms = conn_limits_ask_ip(&set->limits, peer, acceptor_now_ms(acceptor));

	if (wait_ms > 0) {
		acceptor_rate_undo(acceptor);
		set->limits.throttled_n++;
		acceptor->ip_delays.n++;
		acceptor->ip_delays.ms += wait_ms;
		acceptor_tell_refused(acceptor, peer, "connection_creation_rate");
		acceptor_keep_out(acceptor, sock, wait_ms);
	} else if (acceptor_is_ip_full(acceptor, peer)) {
		set->limits.refused_n++;
		acceptor_tell_refused(acceptor, peer, "max.connections.per.ip");
		acceptor_close_socket(acceptor->broker, sock);
	} else {
		acceptor_deal(acceptor, sock, peer);
	}
}

/* Goes on with the connection that is held, if it may. */
static void acceptor_place(struct acceptor *acceptor)
{
	struct broker *broker = acceptor->broker;
	struct reactor *reactor = broker->shards[0].reactor;
	int64_t wait_ms = acceptor->held_until_ms - acceptor_now_ms(acceptor);
	io_sock sock = acceptor->held;

	if (wait_ms > 0) {
		reactor_timer(reactor, &acceptor->backoff, wait_ms * NS_PER_MS, acceptor_backoff_over);
		return;
	}
	if (!acceptor_has_place(acceptor))
		return;
	timer_stop(&reactor->timers, &acceptor->backoff); /* whoever was first goes on, once */
	acceptor->held = IO_SOCK_NONE;
	acceptor_let_in(acceptor, sock, &acceptor->held_peer);
	if (acceptor->is_protected)
		acceptor_check_limits(broker);
	acceptor_next(acceptor);
}

static void acceptor_place_held(struct broker *broker)
{
	for (int i = 0; i < broker->acceptors.acceptors_n; i++) {
		struct acceptor *acceptor = &broker->acceptors.acceptors[i];

		if (acceptor->held != IO_SOCK_NONE)
			acceptor_place(acceptor);
	}
}

/* One connection too many: looks for a quiet one, from reactor to reactor. */
struct conn_evict {
	struct msg msg;
	struct broker *broker;
	int hops_n;
};

static bool acceptor_evict_here(struct shard *shard)
{
	list_for_each(node, next, &shard->conns) {
		struct conn *conn = list_entry(node, struct conn, link);

		if (conn->state != CONN_OPEN || conn->acceptor->is_protected || conn->acceptor->kind == API_CONTROLLER)
			continue;
		conn_close(conn, "more connections than max.connections allows");
		return true;
	}
	return false;
}

static void conn_evict_arrives(struct reactor *reactor, struct msg *msg)
{
	struct conn_evict *evict = container_of(msg, struct conn_evict, msg);
	struct broker *broker = evict->broker;

	if (acceptor_evict_here(reactor->shard) || --evict->hops_n == 0) {
		mem_free(evict);
		return;
	}
	reactor_send(reactor, broker->shards[(reactor->index + 1) % broker->shards_n].reactor, &evict->msg);
}

void acceptor_check_limits(struct broker *broker)
{
	struct acceptor_set *set = &broker->acceptors;
	int excess_n = set->conns_n - broker->shards[0].config->max_connections;

	for (; excess_n > 0; excess_n--) {
		struct conn_evict *evict = MEM_NEW(struct conn_evict);

		evict->broker = broker;
		evict->hops_n = broker->shards_n;
		evict->msg.handle = conn_evict_arrives;
		set->next_evicted = (set->next_evicted + 1) % broker->shards_n;
		reactor_send(broker->shards[0].reactor, broker->shards[set->next_evicted].reactor, &evict->msg);
	}
	acceptor_place_held(broker);
}

/* ---- accepting ---- */

static void acceptor_accepted(struct io_op *op)
{
	struct acceptor *acceptor = container_of(op, struct acceptor, accept);
	struct broker *broker = acceptor->broker;
	struct reactor *reactor = broker->shards[0].reactor;
	int64_t wait_ms;

	if (!acceptor->is_accepting && !op->err)
		acceptor_close_socket(broker, (io_sock)op->result);
	if (op->err == ERR_CANCELLED || !acceptor->is_accepting)
		return;
	if (op->err) {
		reactor_timer(reactor, &acceptor->backoff, ACCEPT_BACKOFF_NS, acceptor_backoff_over);
		return;
	}
	wait_ms = acceptor_rate_ms(acceptor);
	acceptor->held = (io_sock)op->result;
	acceptor->held_peer = op->accept.peer;
	acceptor->held_until_ms = acceptor_now_ms(acceptor) + wait_ms;
	acceptor->delays.n += wait_ms > 0;
	acceptor->delays.ms += wait_ms;
	broker->acceptors.limits.waited_n += wait_ms > 0 || !acceptor_has_place(acceptor);
	acceptor_place(acceptor);
}

static void acceptor_next(struct acceptor *acceptor)
{
	acceptor->accept.kind = IO_ACCEPT;
	acceptor->accept.done = acceptor_accepted;
	acceptor->accept.accept.sock = acceptor->sock;
	io_submit(acceptor->broker->shards[0].reactor->io, &acceptor->accept);
}

void acceptor_accept_all(struct broker *broker, enum api_listener kind)
{
	for (int i = 0; i < broker->acceptors.acceptors_n; i++) {
		struct acceptor *acceptor = &broker->acceptors.acceptors[i];

		if (acceptor->kind != kind || acceptor->is_accepting)
			continue;
		acceptor->is_accepting = true;
		acceptor_next(acceptor);
	}
}

void acceptor_close_all(struct broker *broker)
{
	struct reactor *reactor = broker->shards[0].reactor;

	for (int i = 0; i < broker->acceptors.acceptors_n; i++) {
		struct acceptor *acceptor = &broker->acceptors.acceptors[i];

		acceptor->is_accepting = false;
		timer_stop(&reactor->timers, &acceptor->backoff);
		if (acceptor->sock != IO_SOCK_NONE)
			reactor->io->ops->sock_close(reactor->io, acceptor->sock);
		acceptor->sock = IO_SOCK_NONE;
		if (acceptor->held != IO_SOCK_NONE)
			acceptor_close_socket(broker, acceptor->held);
		acceptor->held = IO_SOCK_NONE;
	}
	while (!list_is_empty(&broker->acceptors.kept_out))
		kept_out_end(list_entry(broker->acceptors.kept_out.next, struct kept_out, link));
}

void acceptor_free_all(struct broker *broker)
{
	struct ip_count *count;
	uint32_t it = 0;

	while ((count = map_next(&broker->acceptors.per_ip, &it)) != NULL)
		mem_free(count);
	map_deinit(&broker->acceptors.per_ip);
	conn_limits_deinit(&broker->acceptors.limits);
	for (int i = 0; i < broker->acceptors.acceptors_n; i++)
		conn_rate_free(broker->acceptors.acceptors[i].rate);
	mem_free(broker->acceptors.acceptors);
}

/* ---- binding ---- */

static const struct listener *acceptor_advertised(const struct broker *broker, const struct listener *listener)
{
	const struct listener_list *list = listener->is_controller ? &broker->config.eff.advertised_controller
								   : &broker->config.eff.advertised;

	return listener_find(list, listener->name);
}

/* What clients are told: the advertised address, else the bound one, else this machine's name. */
static void acceptor_advertise(struct acceptor *acceptor, const struct listener *listener)
{
	const struct listener *advertised = acceptor_advertised(acceptor->broker, listener);
	struct str host = advertised ? advertised->host : listener->host;
	int32_t port = advertised ? advertised->port : listener->port;

	acceptor->advertised_host = host.len ? host : str_of(acceptor->broker->host_name);
	acceptor->advertised_port = port ? (uint16_t)port : acceptor->addr.port;
}

static enum err acceptor_port_taken(const struct broker *broker, const struct listener *listener, uint16_t port,
				    struct err_text *text)
{
	char owner[128] = "another program";

	if (broker->port_owner)
		broker->port_owner(port, owner, sizeof(owner));
	return err_text_set(text, ERR_ADDRESS_IN_USE,
			    "ML1020 Port %u is taken by %s (listener %.*s). Stop it, or use another port: "
			    "moldau dev --port %u",
			    port, owner, STR_ARGS(listener->name), port < UINT16_MAX ? port + 1U : port - 1U);
}

/* The first address of the same listener. */
static struct acceptor *acceptor_lead(struct acceptor_set *set, struct acceptor *acceptor)
{
	for (int i = 0; i < set->acceptors_n; i++) {
		if (str_eq(set->acceptors[i].name, acceptor->name))
			return &set->acceptors[i];
	}
	return acceptor;
}

static enum err acceptor_bind(struct broker *broker, const struct listener *listener, struct str host, uint16_t port,
			      struct err_text *text)
{
	struct acceptor_set *set = &broker->acceptors;
	struct io *io = broker->shards[0].reactor->io;
	struct acceptor *acceptor = &set->acceptors[set->acceptors_n];
	struct io_addr addrs[8];
	char name[256];
	int n = 0;
	enum err err;

	CHECK_OP(set->acceptors_n, <, ACCEPTORS_MAX);
	snprintf(name, sizeof(name), "%.*s", STR_ARGS(host));
	err = io->ops->resolve(io, name, addrs, ARRAY_N(addrs), &n);
	if (err || n == 0)
		return err_text_set(text, ERR_NOT_FOUND,
				    "ML1021 The host \"%s\" of listener %.*s is not known here. Use an address of this "
				    "machine in listeners",
				    name, STR_ARGS(listener->name));
	addrs[0].port = port;
	err = io->ops->listen(io, &addrs[0], &acceptor->sock, &acceptor->addr);
	if (err == ERR_ADDRESS_IN_USE)
		return acceptor_port_taken(broker, listener, port, text);
	if (err)
		return err_text_set(text, err, "ML1021 Listener %.*s cannot be bound to %s:%u: %s",
				    STR_ARGS(listener->name), name, port, err_text(err));
	acceptor->broker = broker;
	acceptor->index = set->acceptors_n;
	acceptor->name = listener->name;
	acceptor->kind = listener->is_controller ? API_CONTROLLER : API_BROKER;
	acceptor->held = IO_SOCK_NONE;
	acceptor->lead = acceptor_lead(set, acceptor);
	if (acceptor->lead == acceptor)
		acceptor->rate = conn_rate_new(&set->limits);
	acceptor_advertise(acceptor, listener);
	set->acceptors_n++;
	return ERR_NONE;
}

static void acceptor_unbind(struct broker *broker, int first)
{
	struct acceptor_set *set = &broker->acceptors;
	struct io *io = broker->shards[0].reactor->io;

	while (set->acceptors_n > first) {
		struct acceptor *acceptor = &set->acceptors[--set->acceptors_n];

		io->ops->sock_close(io, acceptor->sock);
		conn_rate_free(acceptor->rate);
		*acceptor = (struct acceptor){.sock = IO_SOCK_NONE};
	}
}

static enum err acceptor_bind_hosts(struct broker *broker, const struct listener *listener, struct err_text *text)
{
	struct str hosts[2];
	int hosts_n = listener_bind_hosts(listener, hosts);
	uint16_t port = (uint16_t)listener->port;

	for (int h = 0; h < hosts_n; h++) {
		enum err err = acceptor_bind(broker, listener, hosts[h], port, text);

		/* A machine without IPv6 still has a localhost. */
		if (err && h > 0 && err != ERR_ADDRESS_IN_USE)
			continue;
		if (err)
			return err;
		/* The second address of a listener with port 0 gets the port of the first. */
		port = broker->acceptors.acceptors[broker->acceptors.acceptors_n - 1].addr.port;
	}
	return ERR_NONE;
}

/* Invariant 2. */
static void acceptor_protect(struct broker *broker)
{
	struct acceptor_set *set = &broker->acceptors;
	int listeners_n = 0;

	for (int i = 0; i < set->acceptors_n; i++)
		listeners_n += set->acceptors[i].kind == API_BROKER && set->acceptors[i].lead == &set->acceptors[i];
	for (int i = 0; i < set->acceptors_n; i++)
		set->acceptors[i].is_protected =
			listeners_n > 1 && set->acceptors[i].kind == API_BROKER &&
			str_eq(set->acceptors[i].name, broker->config.eff.inter_broker_listener);
}

enum err acceptor_bind_all(struct broker *broker, struct err_text *text)
{
	const struct listener_list *listeners = &broker->config.eff.listeners;

	broker->acceptors.acceptors = mem_calloc(ACCEPTORS_MAX, sizeof(struct acceptor));
	map_init(&broker->acceptors.per_ip, MAP_U64, broker->node->hash_seed);
	list_init(&broker->acceptors.kept_out);
	conn_limits_init(&broker->acceptors.limits, MAX(broker->config.quota_window_num, 1),
			 MAX(broker->config.quota_window_size_seconds, 1) * INT64_C(1000), broker->node->hash_seed);
	for (size_t i = 0; i < listeners->n; i++) {
		int first = broker->acceptors.acceptors_n;
		enum err err = acceptor_bind_hosts(broker, &listeners->v[i], text);

		/* The port that one family was given may be taken in the other: then another one may do. */
		for (int n = 1; err == ERR_ADDRESS_IN_USE && listeners->v[i].port == 0 && n < PORT_TRIES; n++) {
			acceptor_unbind(broker, first);
			err = acceptor_bind_hosts(broker, &listeners->v[i], text);
		}
		if (err)
			return err;
	}
	acceptor_protect(broker);
	return ERR_NONE;
}
