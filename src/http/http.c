/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that serves HTTP: libevent parses, this file routes, and asks the node where an answer needs it. All
 * requests that wait when a look at the node begins are answered by it; those that come meanwhile wait for the next.
 *
 * 1. `waiting` holds every request that is not answered; one whose client goes away is taken out by its close callback.
 * 2. The reactors are asked with `lock` held and `broker` set, so that http_node_down ends all asking.
 */
#include "http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "http_internal.h"
#include "log.h"
#include "mem.h"

#define HTTP_TICK_NS NS_PER_S
#define HTTP_SAMPLE_NS (5 * NS_PER_S)
#define HTTP_IDLE_S 60
#define HTTP_HEADERS_MAX ((ev_ssize_t)16 * 1024)
#define HTTP_BODY_MAX ((ev_ssize_t)64 * 1024)

int64_t http_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* ---- requests ---- */

static void http_request_free(struct http_request *request)
{
	list_remove(&request->link);
	mem_free(request);
}

static void http_client_gone(struct evhttp_connection *conn, void *arg)
{
	struct http_request *request = arg;

	request->req = NULL;
	http_request_free(request);
}

void http_page(struct http_request *request, struct page *ret)
{
	page_init(ret, evhttp_request_get_output_buffer(request->req));
}

void http_reply(struct http_request *request, int status, const char *content_type, struct page *page)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request->req);

	page_end(page);
	evhttp_add_header(headers, "Content-Type", content_type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_connection_set_closecb(evhttp_request_get_connection(request->req), NULL, NULL);
	evhttp_send_reply(request->req, status, NULL, NULL);
	http_request_free(request);
}

bool http_parameter(const struct http_request *request, const char *name, char *ret, size_t cap)
{
	return http_pair_find(evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request->req)), name, ret, cap);
}

bool http_pair_find(const char *at, const char *name, char *ret, size_t cap)
{
	size_t name_len = strlen(name);

	/* libevent's own function knows no parameter without a value. */
	while (at && *at) {
		size_t len = strcspn(at, "&");

		if (len >= name_len && memcmp(at, name, name_len) == 0 && (len == name_len || at[name_len] == '=')) {
			size_t from = MIN(name_len + 1, len);

			snprintf(ret, cap, "%.*s", (int)(len - from), at + from);
			return true;
		}
		at += len + (at[len] == '&');
	}
	return false;
}

void http_body(const struct http_request *request, char *ret, size_t cap)
{
	ev_ssize_t n = evbuffer_copyout(evhttp_request_get_input_buffer(request->req), ret, cap - 1);

	ret[n < 0 ? 0 : n] = 0;
}

const char *http_header(const struct http_request *request, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(request->req), name);
}

bool http_is_down(struct http *http)
{
	bool is_down;

	pthread_mutex_lock(&http->lock);
	is_down = http->is_down;
	pthread_mutex_unlock(&http->lock);
	return is_down;
}

const char *http_stage_now(struct http *http)
{
	const char *stage;

	pthread_mutex_lock(&http->lock);
	stage = http->stage;
	pthread_mutex_unlock(&http->lock);
	return stage;
}

int64_t http_silence_ns(const struct http *http)
{
	return http->has_harvest && http->harvest.is_asking ? http_now_ns() - http->harvest.began_ns : 0;
}

static void http_answer(struct http_request *request, const struct harvest *harvest, const char *missing)
{
	request->harvest = harvest;
	request->missing = missing;
	request->route->answer(request);
}

/* ---- looking at the node ---- */

static void http_look(struct http *http);

static void http_looked(struct harvest *harvest)
{
	struct http *http = harvest->ctx;

	http->has_look = true;
	list_for_each(node, next, &http->waiting) {
		struct http_request *request = list_entry(node, struct http_request, link);

		if (request->is_attached)
			http_answer(request, harvest, NULL);
	}
	http_look(http);
	if (!harvest->is_asking)
		harvest_release(harvest);
}

/* The broker may be asked: nobody takes it down while the lock is held. */
static struct broker *http_lock_node(struct http *http)
{
	pthread_mutex_lock(&http->lock);
	if (http->broker)
		return http->broker;
	pthread_mutex_unlock(&http->lock);
	return NULL;
}

static void http_start_harvest(struct http *http, int want)
{
	struct broker *broker = http_lock_node(http);

	if (!broker)
		return;
	if (!http->has_harvest) {
		sampler_init(&http->sampler, broker->shards_n, broker->node->hash_seed);
		harvest_init(&http->harvest, &http->sampler, broker, &http->box);
		http->harvest.ctx = http;
		http->has_harvest = true;
	}
	http->tick_at_ns = http_now_ns();
	harvest_start(&http->harvest, want, http->tick_at_ns, http_looked);
	pthread_mutex_unlock(&http->lock);
}

/* Begins a look for those that wait, unless one is under way. */
static void http_look(struct http *http)
{
	int want = 0;
	bool is_wanted = false;

	if (http->has_harvest && http->harvest.is_asking)
		return;
	list_for_each(node, next, &http->waiting) {
		struct http_request *request = list_entry(node, struct http_request, link);

		request->is_attached = true;
		want |= request->route->want;
		is_wanted = true;
	}
	if (is_wanted)
		http_start_harvest(http, want);
}

static void http_take_answers(struct http *http)
{
	struct list msgs, *node;

	list_init(&msgs);
	post_take(&http->box, &msgs);
	while ((node = list_pop_front(&msgs)) != NULL) {
		struct metrics_query *query = container_of(node, struct metrics_query, msg.node);

		/* Under the lock: an answer may send the query on. */
		if (http_lock_node(http)) {
			bool is_last = query->is_done && http->harvest.out_n == 1;

			if (is_last)
				pthread_mutex_unlock(&http->lock);
			harvest_answer(&http->harvest, query, http_now_ns());
			if (!is_last)
				pthread_mutex_unlock(&http->lock);
		}
	}
}

static void http_fail_waiting(struct http *http, const char *why, int64_t before_ns)
{
	list_for_each(node, next, &http->waiting) {
		struct http_request *request = list_entry(node, struct http_request, link);

		if (request->began_ns <= before_ns)
			http_answer(request, NULL, why);
	}
}

static void http_woken(evutil_socket_t fd, short events, void *arg)
{
	struct http *http = arg;
	uint64_t count;
	bool is_ending;

	if (read(http->wake_fd, &count, sizeof(count)) < 0)
		CHECK_OP(errno, ==, EAGAIN);
	http_take_answers(http);
	pthread_mutex_lock(&http->lock);
	is_ending = http->is_ending;
	pthread_mutex_unlock(&http->lock);
	if (http_is_down(http))
		http_fail_waiting(http, "the node is stopping", INT64_MAX);
	if (is_ending)
		event_base_loopbreak(http->base);
}

static void http_ticked(evutil_socket_t fd, short events, void *arg)
{
	struct http *http = arg;
	int64_t now_ns = http_now_ns();

	http_listen_bound(http);
	http_fail_waiting(http, "an event loop does not answer", now_ns - HTTP_ANSWER_S * NS_PER_S);
	if (!(http->has_harvest && http->harvest.is_asking) && now_ns - http->tick_at_ns >= HTTP_SAMPLE_NS)
		http_start_harvest(http, 0);
}

static void http_wake_fd(struct http *http)
{
	static const uint64_t one = 1;

	if (write(http->wake_fd, &one, sizeof(one)) < 0)
		CHECK_OP(errno, ==, EAGAIN);
}

/* On a reactor. */
static void http_box_wake(struct post_box *box)
{
	http_wake_fd(container_of(box, struct http, box));
}

/* ---- routing ---- */

/* A slash at the end does not count: Strimzi's script asks so. */
static const struct http_route *http_route_find(const char *path, enum evhttp_cmd_type method, bool *ret_path)
{
	size_t len = strlen(path);

	*ret_path = false;
	len -= len > 1 && path[len - 1] == '/';
	for (size_t i = 0; i < http_routes_n; i++) {
		if (strlen(http_routes[i].path) != len || memcmp(http_routes[i].path, path, len) != 0)
			continue;
		*ret_path = true;
		if (http_routes[i].is_post == (method == EVHTTP_REQ_POST))
			return &http_routes[i];
	}
	return NULL;
}

static void http_not_found(struct evhttp_request *req, bool has_path)
{
	struct evbuffer *out = evhttp_request_get_output_buffer(req);

	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "text/plain; charset=utf-8");
	if (has_path) {
		evbuffer_add_printf(out, "This path wants another method.\n");
		evhttp_send_reply(req, HTTP_BADMETHOD, NULL, NULL);
		return;
	}
	evbuffer_add_printf(out, "There is nothing here. What there is:\n");
	for (size_t i = 0; i < http_routes_n; i++)
		evbuffer_add_printf(out, "  %s %s\n", http_routes[i].is_post ? "POST" : "GET ", http_routes[i].path);
	evhttp_send_reply(req, HTTP_NOTFOUND, NULL, NULL);
}

static void http_requested(struct evhttp_request *req, void *arg)
{
	struct http *http = arg;
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	const struct http_route *route;
	struct http_request *request;
	bool has_path, is_up;

	route = http_route_find(path && path[0] ? path : "/", evhttp_request_get_command(req), &has_path);
	if (!route) {
		http_not_found(req, has_path);
		return;
	}
	request = MEM_NEW(struct http_request);
	request->http = http;
	request->route = route;
	request->req = req;
	request->began_ns = http_now_ns();
	list_push_back(&http->waiting, &request->link);
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), http_client_gone, request);
	if (!route->wants_node) {
		http_answer(request, NULL, NULL);
		return;
	}
	is_up = http_lock_node(http) != NULL;
	if (!is_up) {
		http_answer(request, NULL, http_is_down(http) ? "the node is stopping" : "the node is starting");
		return;
	}
	pthread_mutex_unlock(&http->lock);
	http_look(http);
}

/* ---- life ---- */

static void *http_run(void *arg)
{
	struct http *http = arg;

	log_sink_set(http->options.log_sink);
	event_base_dispatch(http->base);
	log_sink_set(NULL);
	return NULL;
}

static void http_make_events(struct http *http)
{
	struct timeval tick = {.tv_usec = HTTP_TICK_NS / 1000 % 1000000, .tv_sec = HTTP_TICK_NS / NS_PER_S};

	http->wake_event = event_new(http->base, http->wake_fd, EV_READ | EV_PERSIST, http_woken, http);
	http->tick = event_new(http->base, -1, EV_PERSIST, http_ticked, http);
	CHECK(http->wake_event);
	CHECK(http->tick);
	event_add(http->wake_event, NULL);
	event_add(http->tick, &tick);
	evhttp_set_gencb(http->server, http_requested, http);
	evhttp_set_max_headers_size(http->server, HTTP_HEADERS_MAX);
	evhttp_set_max_body_size(http->server, HTTP_BODY_MAX);
	evhttp_set_timeout(http->server, HTTP_IDLE_S);
	evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
}

static void http_release(struct http *http)
{
	while (!list_is_empty(&http->waiting))
		http_request_free(list_entry(http->waiting.next, struct http_request, link));
	if (http->server)
		evhttp_free(http->server);
	if (http->wake_event)
		event_free(http->wake_event);
	if (http->tick)
		event_free(http->tick);
	if (http->base)
		event_base_free(http->base);
	http_listen_deinit(http);
	if (http->has_harvest) {
		harvest_deinit(&http->harvest);
		sampler_deinit(&http->sampler);
	}
	post_box_deinit(&http->box);
	pthread_mutex_destroy(&http->lock);
	close(http->wake_fd);
	mem_free(http);
}

static enum err http_begin(struct http *http, struct err_text *text)
{
	sigset_t all, before;
	enum err err;
	int failed;

	http->base = event_base_new();
	http->server = http->base ? evhttp_new(http->base) : NULL;
	if (!http->server || http->wake_fd < 0)
		return err_text_set(text, ERR_TOO_MANY_FILES,
				    "The system gives no descriptors for http.listener (ulimit -n).");
	err = http_listen(http, text);
	if (err)
		return err;
	http_make_events(http);
	/* Signals are for the thread that waits for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&http->thread, NULL, http_run, http);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return err_text_set(text, ERR_TOO_MANY_FILES, "The system gives this process no threads (ulimit -u).");
	return ERR_NONE;
}

enum err http_start(const struct http_options *options, struct http **ret, struct err_text *text)
{
	struct http *http;
	enum err err;

	*ret = NULL;
	if (options->listener.len == 0)
		return ERR_NONE;
	http = MEM_NEW(struct http);
	http->options = *options;
	http->stage = "reading the configuration";
	http->started_ns = http_now_ns();
	http->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	list_init(&http->waiting);
	post_box_init(&http->box, http_box_wake);
	CHECK_OP(pthread_mutex_init(&http->lock, NULL), ==, 0);
	if (!http_dialect_parse(options->dialect, &http->dialect))
		http->dialect = HTTP_JMX;
	err = http_begin(http, text);
	if (err) {
		http_release(http);
		if (err == ERR_ADDRESS_IN_USE && !options->is_explicit) {
			log_info("http.off", "text=\"%s\"", text->text);
			return ERR_NONE;
		}
		return err;
	}
	log_info("http.listen", "host=%s port=%u", http->listen_host, http->port);
	*ret = http;
	return ERR_NONE;
}

uint16_t http_port(const struct http *http)
{
	return http ? http->port : 0;
}

const char *http_host(const struct http *http)
{
	return http->shown_host;
}

void http_stage(struct http *http, const char *stage)
{
	if (!http)
		return;
	pthread_mutex_lock(&http->lock);
	http->stage = stage;
	pthread_mutex_unlock(&http->lock);
}

void http_node_up(struct http *http, struct broker *broker)
{
	if (!http)
		return;
	pthread_mutex_lock(&http->lock);
	http->broker = broker;
	pthread_mutex_unlock(&http->lock);
	http_wake_fd(http);
}

void http_node_down(struct http *http)
{
	if (!http)
		return;
	pthread_mutex_lock(&http->lock);
	http->broker = NULL;
	http->is_down = true;
	pthread_mutex_unlock(&http->lock);
	http_wake_fd(http);
}

void http_free(struct http *http)
{
	if (!http)
		return;
	pthread_mutex_lock(&http->lock);
	http->is_ending = true;
	pthread_mutex_unlock(&http->lock);
	http_wake_fd(http);
	CHECK_OP(pthread_join(http->thread, NULL), ==, 0);
	http_release(http);
}

bool http_dialect_parse(struct str name, enum http_dialect *ret)
{
	static const char *const names[] = {"jmx", "reporter", "confluent", "native", "all"};

	for (size_t i = 0; i < ARRAY_N(names); i++) {
		if (str_eq_c(name, names[i])) {
			*ret = (enum http_dialect)i;
			return true;
		}
	}
	return false;
}
