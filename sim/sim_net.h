/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams between hosts, as TCP shows them to a program: bytes arrive in order and whole or not at all, in any split;
 * a stream stalls, ends at any byte, stays half open; connecting is slow, refused or never answered. Host 0 is where
 * clients live, host n is node n; host n has the address 10.0.0.n and the name "node<n>". Loopback stays on the host.
 *
 * 1. Bytes of one stream are never lost, reordered or doubled while both ends live.
 * 2. A socket belongs to one user, who is told what became possible by `notify`, never inside a call of the user's.
 *    After net_close nothing is told any more.
 * 3. After a power cut the other end hears nothing until it sends; then a reset when the machine is up again.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "sim_world.h"

struct sim_sock;

struct sim_sock_user {
	/* Something changed: connection made or refused, bytes or the end there, room to send, one to accept. */
	void (*notify)(struct sim_sock *sock, void *ctx);
	void *ctx;
};

struct sim_net *net_new(struct world *w);
void net_free(struct sim_net *net);

/* Never fails at once: net_state tells. */
struct sim_sock *net_connect(struct sim_net *net, int host, const struct io_addr *addr, struct sim_sock_user user);
enum err net_listen(struct sim_net *net, int host, const struct io_addr *addr, struct sim_sock_user user,
		    struct sim_sock **ret, struct io_addr *ret_bound) MUST_USE;
/* NULL when nobody waits. */
struct sim_sock *net_accept(struct sim_sock *listener, struct sim_sock_user user, struct io_addr *ret_peer);
void net_set_user(struct sim_sock *sock, struct sim_sock_user user);
/* ERR_WOULD_BLOCK while connecting, ERR_NONE when connected, else why not. */
enum err net_state(const struct sim_sock *sock);
/* *ret_len 0 with ERR_NONE is the end of the stream. ERR_WOULD_BLOCK, ERR_DISCONNECTED. */
enum err net_recv(struct sim_sock *sock, void *p, size_t len, size_t *ret_len) MUST_USE;
/* What the stream has room for. ERR_WOULD_BLOCK when none, ERR_DISCONNECTED. */
enum err net_send(struct sim_sock *sock, const void *p, size_t len, size_t *ret_len) MUST_USE;
void net_close(struct sim_sock *sock);
int64_t net_sock_id(const struct sim_sock *sock);
struct sim_sock *net_find(struct sim_net *net, int64_t id);
void *net_sock_ctx(const struct sim_sock *sock);

/* Hosts. */
void net_host_up(struct sim_net *net, int host);
void net_host_died(struct sim_net *net, int host, bool is_power_cut);
struct io_addr net_addr(int host, int port);
enum err net_resolve(struct sim_net *net, int host, const char *name, struct io_addr *ret, int max,
		     int *ret_n) MUST_USE;

/* Faults. A cut link holds back everything in that direction until it is healed. */
void net_cut(struct sim_net *net, int from, int to);
void net_slow(struct sim_net *net, int from, int to, int64_t latency_us);
void net_heal(struct sim_net *net);
/* Breaks one connection of the host, chosen by the seed, at any byte. */
void net_break_one(struct sim_net *net, int host);

#endif
