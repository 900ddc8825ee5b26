/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams between hosts. See sim_net.h.
 *
 * A socket holds what travels towards it: `rx` with `arrived` bytes that may be read and the rest in flight. The pump
 * event of the receiving socket moves bytes from in flight to arrived. A sender appends to its peer's rx as far as
 * the window goes.
 *
 *      CONNECTING --> OPEN --> ENDED           ENDED: err tells; what has arrived is read first
 *          |                     ^
 *          +---------------------+
 *
 * 1. a->peer == b exactly when b->peer == a; a closed socket has no peer and is freed at once.
 * 2. arrived <= rx_len <= window + one send.
 * 3. notify is called only from events of this file.
 */
#include "sim_net.h"

#include <stdio.h>
#include <stdlib.h>

#include "map.h"

#define NET_BACKLOG_MAX 128
#define NET_SYN_TRIES 7 /* 1 s doubling: 127 s, as Linux gives up */

enum sock_state { SOCK_LISTENING, SOCK_CONNECTING, SOCK_OPEN, SOCK_ENDED };

struct sim_sock {
	struct sim_net *net;
	struct sim_sock *next_waiting; /* in a listener's backlog */
	struct list link;              /* in net.socks */
	int64_t id;
	int host;
	int peer_host;
	enum sock_state state;
	enum err err; /* why ENDED */
	struct io_addr addr; /* local of a listener, remote of others */
	struct io_addr from; /* of the other end, for accept */
	struct sim_sock_user user;
	struct sim_sock *peer;
	bool peer_is_void; /* power was cut there: nobody will say so */
	uint8_t *rx;
	size_t rx_len, rx_cap;
	size_t arrived;
	bool fin, fin_arrived;
	bool was_full;         /* the sender waits for room */
	int64_t void_sent;
	int syn_tries;
	struct sim_event pump;   /* bytes arrive; connect goes on */
	struct sim_event notice; /* tells the user */
	struct sim_sock *backlog; /* listener: first that waits */
	int backlog_n;
};

struct net_link {
	bool is_cut;
	int64_t slow_us; /* replaces the world's latency */
};

struct sim_net {
	struct world *w;
	struct list socks; /* in order of creation */
	struct map by_id;
	int64_t id_next;
	int port_next;
	bool is_off[SIM_HOSTS_MAX]; /* the machine has no power */
	struct net_link links[SIM_HOSTS_MAX][SIM_HOSTS_MAX];
};

static void sock_pump(struct sim_event *event);

/* --- delays --- */

static struct net_link *link_of(struct sim_net *net, int from, int to)
{
	return &net->links[from][to];
}

static int64_t latency_ns(struct sim_net *net, int from, int to)
{
	struct net_link *link = link_of(net, from, to);
	int64_t most_us = link->slow_us ? link->slow_us : net->w->opt.latency_us;

	if (from == to)
		most_us = 20;
	return 5000 + world_draw_us(net->w, most_us);
}

/* --- telling the user --- */

static void sock_notice(struct sim_event *event)
{
	struct sim_sock *sock = container_of(event, struct sim_sock, notice);

	if (sock->user.notify)
		sock->user.notify(sock, sock->user.ctx); /* may free it */
}

static void sock_tell(struct sim_sock *sock)
{
	if (!sim_event_is_on(&sock->notice))
		world_after(sock->net->w, &sock->notice, 500 + (int64_t)rng_below(&sock->net->w->rng, 5000),
			    sock_notice);
}

static void sock_end(struct sim_sock *sock, enum err err)
{
	if (sock->state == SOCK_ENDED)
		return;
	sock->state = SOCK_ENDED;
	sock->err = err;
	sock_tell(sock);
}

/* --- life of a socket --- */

static struct sim_sock *sock_new(struct sim_net *net, int host, enum sock_state state)
{
	struct sim_sock *sock = MEM_NEW(struct sim_sock);

	sock->net = net;
	sock->id = net->id_next++;
	sock->host = host;
	sock->state = state;
	list_push_back(&net->socks, &sock->link);
	map_put_u64(&net->by_id, (uint64_t)sock->id, sock);
	return sock;
}

static void sock_free(struct sim_sock *sock)
{
	struct sim_net *net = sock->net;

	world_off(net->w, &sock->pump);
	world_off(net->w, &sock->notice);
	map_remove_u64(&net->by_id, (uint64_t)sock->id);
	list_remove(&sock->link);
	mem_free(sock->rx);
	mem_free(sock);
}

static void pump_start(struct sim_sock *sock, int64_t delay_ns)
{
	struct sim_net *net = sock->net;

	if (sim_event_is_on(&sock->pump) || sock->state != SOCK_OPEN)
		return;
	if (sock->arrived == sock->rx_len && !(sock->fin && !sock->fin_arrived))
		return;
	if (link_of(net, sock->peer_host, sock->host)->is_cut && sock->peer_host != sock->host)
		return; /* net_heal starts it again */
	world_after(net->w, &sock->pump, delay_ns, sock_pump);
}

static void sock_pump(struct sim_event *event)
{
	struct sim_sock *sock = container_of(event, struct sim_sock, pump);
	struct sim_net *net = sock->net;
	struct world *w = net->w;
	size_t flying = sock->rx_len - sock->arrived;
	size_t len = flying;

	if (flying > 1 && world_chance(w, w->opt.split_pct, 100))
		len = 1 + (size_t)rng_below(&w->rng, flying);
	sock->arrived += len;
	if (sock->arrived == sock->rx_len && sock->fin)
		sock->fin_arrived = true;
	sock_tell(sock);
	pump_start(sock, 1000 + (int64_t)len * NS_PER_MS / w->opt.bandwidth +
				 (world_chance(w, 1, 16) ? latency_ns(net, sock->peer_host, sock->host) : 0));
}

/* A reset is on its way to `sock`, after some of what is in flight. */
static void sock_reset_later(struct sim_sock *sock)
{
	if (sock->rx_len > sock->arrived)
		sock->rx_len = sock->arrived + (size_t)rng_below(&sock->net->w->rng, sock->rx_len - sock->arrived);
	sock->arrived = sock->rx_len;
	sock_end(sock, ERR_DISCONNECTED);
}

/* The end `sock` goes, in the manner of close(2) or of a dying process. */
static void sock_detach(struct sim_sock *sock, bool with_reset)
{
	struct sim_sock *peer = sock->peer;

	if (!peer)
		return;
	sock->peer = NULL;
	peer->peer = NULL;
	if (with_reset) {
		/* Over a cut link the reset gets lost; the next bytes after healing bring another. */
		if (link_of(sock->net, sock->host, peer->host)->is_cut && sock->host != peer->host)
			peer->peer_is_void = true;
		else
			sock_reset_later(peer);
		return;
	}
	peer->fin = true;
	pump_start(peer, latency_ns(sock->net, sock->host, peer->host));
}

static void listener_free(struct sim_sock *listener)
{
	while (listener->backlog) {
		struct sim_sock *waiting = listener->backlog;

		listener->backlog = waiting->next_waiting;
		sock_detach(waiting, true);
		sock_free(waiting);
	}
	sock_free(listener);
}

void net_close(struct sim_sock *sock)
{
	if (sock->state == SOCK_LISTENING) {
		listener_free(sock);
		return;
	}
	/* Closing with unread bytes resets the connection. */
	sock_detach(sock, sock->arrived > 0);
	sock_free(sock);
}

/* --- connecting --- */

struct io_addr net_addr(int host, int port)
{
	return (struct io_addr){.ip = {10, 0, 0, (uint8_t)host}, .port = (uint16_t)port};
}

/* The host behind an address as seen from `host`; -1 when there is none. */
static int addr_host(int host, const struct io_addr *addr)
{
	if (addr->is_v6)
		return host; /* only ::1 is known */
	if (addr->ip[0] == 127)
		return host;
	if (addr->ip[0] == 10 && addr->ip[3] < SIM_HOSTS_MAX)
		return addr->ip[3];
	return -1;
}

static bool addr_is_any(const struct io_addr *addr)
{
	for (int i = 0; i < (addr->is_v6 ? 16 : 4); i++) {
		if (addr->ip[i])
			return false;
	}
	return true;
}

static struct sim_sock *find_listener(struct sim_net *net, int host, const struct io_addr *addr)
{
	list_for_each(link, tmp, &net->socks) {
		struct sim_sock *sock = list_entry(link, struct sim_sock, link);

		if (sock->state != SOCK_LISTENING || sock->host != host || sock->addr.port != addr->port)
			continue;
		if (addr_is_any(&sock->addr) && (sock->addr.is_v6 || !addr->is_v6))
			return sock;
		if (sock->addr.is_v6 == addr->is_v6 && memcmp(sock->addr.ip, addr->ip, addr->is_v6 ? 16 : 4) == 0)
			return sock;
	}
	return NULL;
}

static void connect_try(struct sim_event *event)
{
	struct sim_sock *sock = container_of(event, struct sim_sock, pump);
	struct sim_net *net = sock->net;
	struct sim_sock *listener, *other, **end;
	int to = sock->peer_host;

	if (to < 0) {
		sock_end(sock, ERR_CONNECTION_REFUSED);
		return;
	}
	if (net->is_off[to] || (to != sock->host && (link_of(net, sock->host, to)->is_cut ||
						     link_of(net, to, sock->host)->is_cut))) {
		if (sock->syn_tries == NET_SYN_TRIES)
			sock_end(sock, ERR_TIMED_OUT);
		else
			world_after(net->w, &sock->pump, NS_PER_S << sock->syn_tries++, connect_try);
		return;
	}
	listener = find_listener(net, to, &sock->addr);
	if (!listener || listener->backlog_n == NET_BACKLOG_MAX) {
		sock_end(sock, ERR_CONNECTION_REFUSED);
		return;
	}
	other = sock_new(net, to, SOCK_OPEN);
	other->peer = sock;
	other->peer_host = sock->host;
	other->from = net_addr(sock->host, (int)(20000 + sock->id % 40000));
	sock->peer = other;
	sock->state = SOCK_OPEN;
	for (end = &listener->backlog; *end; end = &(*end)->next_waiting)
		;
	*end = other;
	listener->backlog_n++;
	sock_tell(sock);
	sock_tell(listener);
}

struct sim_sock *net_connect(struct sim_net *net, int host, const struct io_addr *addr, struct sim_sock_user user)
{
	struct sim_sock *sock = sock_new(net, host, SOCK_CONNECTING);

	sock->addr = *addr;
	sock->user = user;
	sock->peer_host = addr_host(host, addr);
	world_after(net->w, &sock->pump, 2 * latency_ns(net, host, MAX(sock->peer_host, 0)), connect_try);
	return sock;
}

enum err net_listen(struct sim_net *net, int host, const struct io_addr *addr, struct sim_sock_user user,
		    struct sim_sock **ret, struct io_addr *ret_bound)
{
	struct io_addr bound = *addr;
	struct sim_sock *sock;

	if (!bound.port)
		bound.port = (uint16_t)(32768 + net->port_next++ % 20000);
	list_for_each(link, tmp, &net->socks) {
		struct sim_sock *other = list_entry(link, struct sim_sock, link);

		if (other->state == SOCK_LISTENING && other->host == host && other->addr.port == bound.port &&
		    other->addr.is_v6 == bound.is_v6 &&
		    (addr_is_any(&other->addr) || addr_is_any(&bound) || memcmp(other->addr.ip, bound.ip, 16) == 0))
			return ERR_ADDRESS_IN_USE;
	}
	sock = sock_new(net, host, SOCK_LISTENING);
	sock->addr = bound;
	sock->user = user;
	*ret = sock;
	*ret_bound = bound;
	return ERR_NONE;
}

struct sim_sock *net_accept(struct sim_sock *listener, struct sim_sock_user user, struct io_addr *ret_peer)
{
	struct sim_sock *sock = listener->backlog;

	if (!sock)
		return NULL;
	listener->backlog = sock->next_waiting;
	listener->backlog_n--;
	sock->next_waiting = NULL;
	sock->user = user;
	*ret_peer = sock->from;
	return sock;
}

/* --- bytes --- */

void net_set_user(struct sim_sock *sock, struct sim_sock_user user)
{
	sock->user = user;
	/* What happened before is told to the new user. */
	if (user.notify && (sock->arrived || sock->fin_arrived || sock->state == SOCK_ENDED || sock->backlog))
		sock_tell(sock);
}

enum err net_state(const struct sim_sock *sock)
{
	if (sock->state == SOCK_CONNECTING)
		return ERR_WOULD_BLOCK;
	return sock->state == SOCK_ENDED ? sock->err : ERR_NONE;
}

enum err net_recv(struct sim_sock *sock, void *p, size_t len, size_t *ret_len)
{
	if (sock->arrived) {
		len = MIN(len, sock->arrived);
		if (len)
			memcpy(p, sock->rx, len);
		memmove(sock->rx, sock->rx + len, sock->rx_len - len);
		sock->rx_len -= len;
		sock->arrived -= len;
		if (len && sock->was_full && sock->peer) {
			sock->was_full = false;
			sock_tell(sock->peer);
		}
		*ret_len = len;
		return ERR_NONE;
	}
	if (sock->state == SOCK_ENDED)
		return sock->err;
	if (sock->fin_arrived) {
		*ret_len = 0;
		return ERR_NONE;
	}
	return ERR_WOULD_BLOCK;
}

/* Bytes for a machine that lost its power: a reset comes back when it runs again. */
static enum err void_send(struct sim_sock *sock, size_t len, size_t *ret_len)
{
	struct sim_net *net = sock->net;

	if (!net->is_off[sock->peer_host] && !link_of(net, sock->host, sock->peer_host)->is_cut) {
		sock_reset_later(sock);
		return ERR_DISCONNECTED;
	}
	if (sock->void_sent >= net->w->opt.window)
		return ERR_WOULD_BLOCK;
	sock->void_sent += (int64_t)len;
	*ret_len = len;
	return ERR_NONE;
}

enum err net_send(struct sim_sock *sock, const void *p, size_t len, size_t *ret_len)
{
	struct sim_net *net = sock->net;
	struct sim_sock *peer = sock->peer;
	size_t window = (size_t)net->w->opt.window;

	if (sock->state == SOCK_ENDED)
		return sock->err;
	if (sock->state != SOCK_OPEN)
		return ERR_WOULD_BLOCK;
	if (sock->peer_is_void)
		return void_send(sock, len, ret_len);
	if (!peer) {
		/* The other end has closed: the first bytes after that bring a reset. */
		sock_reset_later(sock);
		return ERR_DISCONNECTED;
	}
	if (peer->rx_len >= window) {
		peer->was_full = true;
		return ERR_WOULD_BLOCK;
	}
	len = MIN(len, window - peer->rx_len);
	if (peer->rx_len + len > peer->rx_cap) {
		peer->rx_cap = MAX(peer->rx_len + len, peer->rx_cap * 2);
		peer->rx = mem_realloc(peer->rx, peer->rx_cap);
	}
	memcpy(peer->rx + peer->rx_len, p, len);
	peer->rx_len += len;
	pump_start(peer, latency_ns(net, sock->host, peer->host));
	*ret_len = len;
	return ERR_NONE;
}

int64_t net_sock_id(const struct sim_sock *sock)
{
	return sock->id;
}

struct sim_sock *net_find(struct sim_net *net, int64_t id)
{
	return map_get_u64(&net->by_id, (uint64_t)id);
}

void *net_sock_ctx(const struct sim_sock *sock)
{
	return sock->user.ctx;
}

/* --- hosts --- */

/* Resets of machines that came back reach those that sent into the void. */
void net_host_up(struct sim_net *net, int host)
{
	net->is_off[host] = false;
	list_for_each(link, tmp, &net->socks) {
		struct sim_sock *sock = list_entry(link, struct sim_sock, link);

		if (sock->peer_is_void && sock->peer_host == host && sock->void_sent)
			sock_reset_later(sock);
	}
}

static bool sock_is_waiting(const struct sim_sock *sock)
{
	return sock->state == SOCK_OPEN && !sock->user.notify && sock->from.port != 0;
}

void net_host_died(struct sim_net *net, int host, bool is_power_cut)
{
	if (is_power_cut)
		net->is_off[host] = true;
	/* Listeners go with all that waits in their backlog, so ordinary sockets first. */
	list_for_each(link, tmp, &net->socks) {
		struct sim_sock *sock = list_entry(link, struct sim_sock, link);

		if (sock->host != host || sock->state == SOCK_LISTENING)
			continue;
		if (is_power_cut && sock->peer) {
			sock->peer->peer_is_void = true;
			sock->peer->peer = NULL;
			sock->peer = NULL;
		} else {
			sock_detach(sock, sock->arrived > 0 || world_chance(net->w, 1, 2));
		}
		sock_free(sock);
	}
	list_for_each(link, tmp, &net->socks) {
		struct sim_sock *sock = list_entry(link, struct sim_sock, link);

		if (sock->host == host) {
			sock->backlog = NULL; /* freed above: they were this host's sockets */
			sock_free(sock);
		}
	}
}

enum err net_resolve(struct sim_net *net, int host, const char *name, struct io_addr *ret, int max, int *ret_n)
{
	unsigned a, b, c, d;
	int id, used = 0;

	if (max < 1)
		return ERR_NOT_FOUND;
	if (strcmp(name, "localhost") == 0) {
		ret[0] = (struct io_addr){.ip = {127, 0, 0, 1}};
		*ret_n = 1;
		if (max > 1) {
			ret[1] = (struct io_addr){.ip = {[15] = 1}, .is_v6 = true};
			*ret_n = 2;
		}
		return ERR_NONE;
	}
	if (sscanf(name, "node%d%n", &id, &used) == 1 && !name[used] && id >= 0 && id < SIM_HOSTS_MAX) {
		ret[0] = net_addr(id, 0);
	} else if (sscanf(name, "%u.%u.%u.%u%n", &a, &b, &c, &d, &used) == 4 && !name[used]) {
		ret[0] = (struct io_addr){.ip = {(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d}};
	} else if (strcmp(name, "::1") == 0 || strcmp(name, "::") == 0) {
		ret[0] = (struct io_addr){.ip = {[15] = name[2] == '1'}, .is_v6 = true};
	} else {
		return ERR_NOT_FOUND;
	}
	*ret_n = 1;
	return ERR_NONE;
}

/* --- faults --- */

void net_cut(struct sim_net *net, int from, int to)
{
	link_of(net, from, to)->is_cut = true;
	list_for_each(link, tmp, &net->socks) {
		struct sim_sock *sock = list_entry(link, struct sim_sock, link);

		if (sock->state == SOCK_OPEN && sock->host == to && sock->peer_host == from)
			world_off(net->w, &sock->pump);
	}
}

void net_slow(struct sim_net *net, int from, int to, int64_t latency_us)
{
	link_of(net, from, to)->slow_us = latency_us;
}

void net_heal(struct sim_net *net)
{
	for (int from = 0; from < SIM_HOSTS_MAX; from++) {
		for (int to = 0; to < SIM_HOSTS_MAX; to++)
			net->links[from][to] = (struct net_link){0};
	}
	list_for_each(link, tmp, &net->socks) {
		struct sim_sock *sock = list_entry(link, struct sim_sock, link);

		/* What was held back is sent again by the kernel's own timer. */
		if (sock->state == SOCK_OPEN)
			pump_start(sock, (int64_t)rng_below(&net->w->rng, 200) * NS_PER_MS);
	}
}

void net_break_one(struct sim_net *net, int host)
{
	struct sim_sock *victim = NULL, *peer;
	uint64_t n = 0;

	list_for_each(link, tmp, &net->socks) {
		struct sim_sock *sock = list_entry(link, struct sim_sock, link);

		if (sock->host == host && sock->peer && !sock_is_waiting(sock) && rng_below(&net->w->rng, ++n) == 0)
			victim = sock;
	}
	if (!victim)
		return;
	peer = victim->peer;
	victim->peer = NULL;
	peer->peer = NULL;
	sock_reset_later(victim);
	sock_reset_later(peer);
}

struct sim_net *net_new(struct world *w)
{
	struct sim_net *net = MEM_NEW(struct sim_net);

	net->w = w;
	net->id_next = 1;
	list_init(&net->socks);
	map_init(&net->by_id, MAP_U64, w->seed);
	return net;
}

void net_free(struct sim_net *net)
{
	list_for_each(link, tmp, &net->socks)
		sock_free(list_entry(link, struct sim_sock, link));
	map_deinit(&net->by_id);
	mem_free(net);
}
