/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address HTTP is served on, and what comes there that is not HTTP. A Kafka client that finds this port is told
 * apart by the first byte of its frame's length, named in the log once a minute (ML1031), and closed: libevent would
 * wait for a line that never ends.
 *
 * 1. A guard belongs to a bufferevent that has received nothing yet. One whose connection went without a byte stays
 *    until its address comes back as that of another, so there are never more than there were connections at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "http_internal.h"
#include "log.h"
#include "mem.h"

#define HTTP_FOREIGN_AGAIN_NS (60 * NS_PER_S)
#define HTTP_GUARDS_MAX 4096
#define HTTP_EVENTS_MAX 1024
#define HTTP_HOST_DEFAULT "127.0.0.1"
#define HTTP_FRAME_FIRST_MAX 0x08 /* of a length below 144 MiB; every method of HTTP begins with a letter */

struct http_guard {
	struct http *http;
	struct bufferevent *bev;
	struct evbuffer_cb_entry *entry;
};

static void http_peer_text(evutil_socket_t fd, char *ret, size_t cap)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);
	const void *ip = &((struct sockaddr_in *)&addr)->sin_addr;

	snprintf(ret, cap, "somebody");
	if (getpeername(fd, (struct sockaddr *)&addr, &len) < 0)
		return;
	if (addr.ss_family == AF_INET6)
		ip = &((struct sockaddr_in6 *)&addr)->sin6_addr;
	if (addr.ss_family == AF_INET || addr.ss_family == AF_INET6)
		inet_ntop(addr.ss_family, ip, ret, (socklen_t)cap);
}

static void http_refuse_kafka(struct http *http, struct bufferevent *bev)
{
	char peer[INET6_ADDRSTRLEN];
	int64_t now_ns = http_now_ns();

	http_peer_text(bufferevent_getfd(bev), peer, sizeof(peer));
	if (http->foreign_ns == 0 || now_ns - http->foreign_ns >= HTTP_FOREIGN_AGAIN_NS) {
		http->foreign_ns = now_ns;
		log_warn("http.kafka",
			 "code=ML1031 text=\"%s sent a Kafka request to the HTTP port %u. Kafka clients connect to "
			 "listeners, mostly port 9092\"",
			 peer, http->port);
	}
	/* libevent sees the end of the stream and frees the connection. */
	shutdown(bufferevent_getfd(bev), SHUT_RDWR);
}

static void http_first_bytes(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	struct http_guard *guard = arg;
	unsigned char first;

	if (info->n_added == 0 || evbuffer_copyout(buffer, &first, 1) != 1)
		return;
	if (first <= HTTP_FRAME_FIRST_MAX)
		http_refuse_kafka(guard->http, guard->bev);
	map_remove_u64(&guard->http->guards, (uint64_t)(uintptr_t)guard->bev);
	evbuffer_remove_cb_entry(buffer, guard->entry);
	mem_free(guard);
}

/* Every connection has an event or two of its own. Those beyond wait in the system's queue: descriptors are for Kafka's
 * clients too. */
void http_listen_bound(struct http *http)
{
	if (event_base_get_num_events(http->base, EVENT_BASE_COUNT_ADDED) >= HTTP_EVENTS_MAX)
		evconnlistener_disable(http->listener);
	else
		evconnlistener_enable(http->listener);
}

static struct bufferevent *http_new_bev(struct event_base *base, void *arg)
{
	struct http *http = arg;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct http_guard *guard;

	http_listen_bound(http);
	if (!bev)
		return NULL;
	guard = map_get_u64(&http->guards, (uint64_t)(uintptr_t)bev);
	if (!guard && http->guards.n >= HTTP_GUARDS_MAX)
		return bev;
	if (!guard) {
		guard = MEM_NEW(struct http_guard);
		map_put_u64(&http->guards, (uint64_t)(uintptr_t)bev, guard);
	}
	guard->http = http;
	guard->bev = bev;
	guard->entry = evbuffer_add_cb(bufferevent_get_input(bev), http_first_bytes, guard);
	return bev;
}

bool http_listener_parse(struct str text, char *ret_host, size_t cap, uint16_t *ret_port)
{
	struct str host = STR_NULL, port = text;
	int32_t number;
	size_t at = text.len;

	while (at > 0 && text.p[at - 1] != ':')
		at--;
	if (at > 0) {
		host = (struct str){text.p, at - 1};
		port = (struct str){text.p + at, text.len - at};
	}
	if (host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		host = (struct str){host.p + 1, host.len - 2};
	if (parse_i32(port, &number) || number < 0 || number > UINT16_MAX || host.len >= cap)
		return false;
	snprintf(ret_host, cap, "%.*s", host.len ? (int)host.len : (int)strlen(HTTP_HOST_DEFAULT),
		 host.len ? host.p : HTTP_HOST_DEFAULT);
	*ret_port = (uint16_t)number;
	return true;
}

static void http_bound(struct http *http, evutil_socket_t fd)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);
	int on = 1;

	/* Accepted sockets inherit it; without it every answer waits for an acknowledgement. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return;
	http->port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
						      : ((struct sockaddr_in *)&addr)->sin_port);
}

enum err http_listen(struct http *http, struct err_text *text)
{
	const struct http_options *options = &http->options;
	char owner[128] = "another program";
	struct evhttp_bound_socket *bound;
	uint16_t port;

	map_init(&http->guards, MAP_U64, (uint64_t)http_now_ns());
	if (!http_listener_parse(options->listener, http->listen_host, sizeof(http->listen_host), &port))
		return err_text_set(text, ERR_BAD_CONFIG,
				    "ML1103 http.listener=%.*s is not of the form host:port. 127.0.0.1:8080 is the "
				    "default, no value turns HTTP off.",
				    STR_ARGS(options->listener));
	snprintf(http->shown_host, sizeof(http->shown_host), strchr(http->listen_host, ':') ? "[%s]" : "%s",
		 http->listen_host);
	evhttp_set_bevcb(http->server, http_new_bev, http);
	errno = 0;
	bound = evhttp_bind_socket_with_handle(http->server, http->listen_host, port);
	if (bound) {
		http->listener = evhttp_bound_socket_get_listener(bound);
		http_bound(http, evhttp_bound_socket_get_fd(bound));
		return ERR_NONE;
	}
	if (errno != EADDRINUSE)
		return err_text_set(text, ERR_ACCESS, "ML1021 http.listener=%.*s cannot be bound: %s",
				    STR_ARGS(options->listener), errno ? strerror(errno) : "the host is not known");
	if (options->port_owner)
		options->port_owner(port, owner, sizeof(owner));
	return err_text_set(text, ERR_ADDRESS_IN_USE,
			    "ML1020 Port %u is taken by %s (http.listener). Stop it, or use another port: "
			    "--override http.listener=127.0.0.1:%u",
			    port, owner, port < UINT16_MAX ? port + 1U : port - 1U);
}

void http_listen_deinit(struct http *http)
{
	struct http_guard *guard;
	uint32_t it = 0;

	while ((guard = map_next(&http->guards, &it)) != NULL)
		mem_free(guard);
	map_deinit(&http->guards);
}
