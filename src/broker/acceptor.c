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
#define ACCEPT_BACKOFF_NS (100 * NS_PER_MS)

struct ip_count {
	int32_t n;
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

static uint64_t acceptor_ip_key(const struct io_addr *addr)
{
	return hash_bytes(addr->ip, addr->is_v6 ? 16 : 4, addr->is_v6);
}

static void acceptor_count(struct acceptor_set *set, const struct io_addr *peer, int32_t by)
{
	uint64_t key = acceptor_ip_key(peer);
	struct ip_count *count = map_get_u64(&set->per_ip, key);

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

static void conn_gone_arrives(struct reactor *reactor, struct msg *msg)
{
	struct conn_move *move = container_of(msg, struct conn_move, msg);

	move->acceptor->conns_n--;
	acceptor_count(&move->acceptor->broker->acceptors, &move->peer, -1);
	mem_free(move);
}

void acceptor_conn_gone(struct acceptor *acceptor, struct shard *shard, const struct io_addr *peer)
{
	struct conn_move *move;

	if (shard->index == 0) {
		acceptor->conns_n--;
		acceptor_count(&acceptor->broker->acceptors, peer, -1);
		return;
	}
	move = MEM_NEW(struct conn_move);
	move->acceptor = acceptor;
	move->peer = *peer;
	move->msg.handle = conn_gone_arrives;
	reactor_send(shard->reactor, acceptor->broker->shards[0].reactor, &move->msg);
}

/* ---- accepting ---- */

static const char *acceptor_refusal(const struct acceptor *acceptor, const struct io_addr *peer)
{
	const struct broker_config *config = acceptor->broker->shards[0].config;
	const struct ip_count *count = map_get_u64(&acceptor->broker->acceptors.per_ip, acceptor_ip_key(peer));
	char text[IO_ADDR_TEXT_MAX];

	io_addr_format(peer, text);
	if (acceptor->broker->acceptors.conns_n >= config->max_connections)
		return "max.connections";
	if (acceptor->conns_n >= acceptor->conns_max)
		return "the listener's max.connections";
	if (count && count->n >= broker_config_ip_limit(config, str_of(text)))
		return "max.connections.per.ip";
	return NULL;
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
	acceptor->conns_n++;
	acceptor_count(&broker->acceptors, peer, 1);
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

static void acceptor_backoff_over(struct timer *timer)
{
	acceptor_next(container_of(timer, struct acceptor, backoff));
}

static void acceptor_accepted(struct io_op *op)
{
	struct acceptor *acceptor = container_of(op, struct acceptor, accept);
	struct reactor *reactor = acceptor->broker->shards[0].reactor;
	const char *refusal;

	if (!acceptor->is_accepting && !op->err)
		reactor->io->ops->sock_close(reactor->io, (io_sock)op->result);
	if (op->err == ERR_CANCELLED || !acceptor->is_accepting)
		return;
	if (op->err) {
		reactor_timer(reactor, &acceptor->backoff, ACCEPT_BACKOFF_NS, acceptor_backoff_over);
		return;
	}
	refusal = acceptor_refusal(acceptor, &op->accept.peer);
	if (refusal) {
		struct said *said = &acceptor->broker->shards[0].said;
		char peer[IO_ADDR_TEXT_MAX];
		int64_t left_out_n;

		io_addr_format(&op->accept.peer, peer);
		if (said_is_due(said, reactor->now_ns, SAID_CLOSED_AT_ACCEPT, &op->accept.peer, &left_out_n))
			log_warn("conn.refused", "peer=%s listener=%.*s limit=\"%s\" left_out=%lld", peer,
				 STR_ARGS(acceptor->name), refusal, (long long)left_out_n);
		reactor->io->ops->sock_close(reactor->io, (io_sock)op->result);
	} else {
		acceptor_deal(acceptor, (io_sock)op->result, &op->accept.peer);
	}
	acceptor_next(acceptor);
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
	}
}

void acceptor_free_all(struct broker *broker)
{
	struct ip_count *count;
	uint32_t it = 0;

	while ((count = map_next(&broker->acceptors.per_ip, &it)) != NULL)
		mem_free(count);
	map_deinit(&broker->acceptors.per_ip);
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
	acceptor->conns_max = listener->max_connections;
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

enum err acceptor_bind_all(struct broker *broker, struct err_text *text)
{
	const struct listener_list *listeners = &broker->config.eff.listeners;

	broker->acceptors.acceptors = mem_calloc(ACCEPTORS_MAX, sizeof(struct acceptor));
	map_init(&broker->acceptors.per_ip, MAP_U64, broker->node->hash_seed);
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
	return ERR_NONE;
}
