/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: http.c has the thread and its requests, each page is a file of its own. */
#ifndef HTTP_HTTP_INTERNAL_H
#define HTTP_HTTP_INTERNAL_H

#include <pthread.h>

#include "harvest.h"
#include "http.h"
#include "page.h"

struct evhttp_request;
struct event_base;
struct event;
struct evhttp;
struct evconnlistener;

struct http_request;

/* What a path is answered with. */
struct http_route {
	const char *path;
	bool is_post;
	bool wants_node; /* answered after a look at the node; NULL harvest when it is not up or does not answer */
	int want;        /* METRICS_WANT_TOPICS, _PARTITIONS, _GROUPS */
	void (*answer)(struct http_request *request);
};

struct http_request {
	struct list link; /* in http->waiting */
	struct http *http;
	const struct http_route *route;
	struct evhttp_request *req; /* NULL: the client has gone */
	int64_t began_ns;
	bool is_attached; /* the look under way will answer it */
	const struct harvest *harvest; /* NULL: the node cannot be asked; `missing` says why */
	const char *missing;
};

struct http {
	struct http_options options;
	enum http_dialect dialect;
	uint16_t port;
	struct event_base *base;
	struct evhttp *server;
	struct evconnlistener *listener; /* the server's */
	struct event *wake_event, *tick;
	int wake_fd;
	pthread_t thread;
	struct post_box box;
	struct list waiting; /* struct http_request */
	struct harvest harvest;
	struct sampler sampler;
	bool has_harvest;
	bool has_look; /* at least one harvest is through */
	int64_t started_ns, tick_at_ns;
	int64_t foreign_ns; /* a Kafka client was named last; 0: never */
	struct map guards;  /* bufferevent -> struct http_guard, of connections that have sent nothing yet */
	char listen_host[64], shown_host[72];
	/* Between threads, under lock. */
	pthread_mutex_t lock;
	const char *stage;
	struct broker *broker; /* NULL: not up */
	bool is_down;          /* it was, and is no more */
	bool is_ending;
};

/* Sends `page` and ends the request, whose memory goes. */
void http_reply(struct http_request *request, int status, const char *content_type, struct page *page);
/* A page for the request; goes with it. */
void http_page(struct http_request *request, struct page *ret);
/* The value of a query parameter (empty for one without), as it stands in the address; false when it is not there. */
bool http_parameter(const struct http_request *request, const char *name, char *ret, size_t cap);
/* The same of a text such as "logger=kafka&level=DEBUG"; NULL: there is none. */
bool http_pair_find(const char *pairs, const char *name, char *ret, size_t cap);
/* The body of a POST, as much of it as fits, NUL-terminated. */
void http_body(const struct http_request *request, char *ret, size_t cap);
const char *http_header(const struct http_request *request, const char *name);
/* The reactors have ended. */
bool http_is_down(struct http *http);
/* A copy of where the start stands. */
const char *http_stage_now(struct http *http);
/* How long the oldest question to the reactors has waited for its answer; 0: none is open. */
int64_t http_silence_ns(const struct http *http);
int64_t http_now_ns(void);

extern const struct http_route http_routes[];
extern const size_t http_routes_n;

/* http_listen.c: binds options.listener, and tells Kafka clients apart. ERR_ADDRESS_IN_USE, ERR_BAD_CONFIG. */
enum err http_listen(struct http *http, struct err_text *text) MUST_USE;
/* Accepts while there is room for connections; called now and then. */
void http_listen_bound(struct http *http);
void http_listen_deinit(struct http *http);
/* host:port, [host]:port, :port or port (of loopback). False when it is none of these. */
bool http_listener_parse(struct str text, char *ret_host, size_t cap, uint16_t *ret_port);

/* metrics_page.c */
void metrics_page_answer(struct http_request *request);
/* Writes a whole page. version: of this program. */
void metrics_page_write(struct page *page, const struct harvest *harvest, enum http_dialect dialect,
			const struct http_options *options);
/* health.c */
void health_livez(struct http_request *request);
void health_startupz(struct http_request *request);
void health_readyz(struct http_request *request);
void health_healthz(struct http_request *request);
void health_strimzi_ready(struct http_request *request);
void health_broker_state(struct http_request *request);
void health_redpanda_ready(struct http_request *request);
void health_overview(struct http_request *request);
void health_safe_to_stop(struct http_request *request);
/* log_level_page.c */
void log_level_page_list(struct http_request *request);
void log_level_page_set(struct http_request *request);

#endif
