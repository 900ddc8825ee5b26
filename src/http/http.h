/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics and health over HTTP, on one thread of its own with libevent. It begins before the broker opens its
 * directories, so that a long start can be watched, and ends after the reactors.
 *
 *    STARTING --http_node_up--> UP --http_node_down--> DOWN
 *
 * 1. The thread touches no memory of a reactor: it asks by message (metrics_collect.h) while the node is up.
 * 2. A request is answered within HTTP_ANSWER_S, if need be with what is wrong.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "broker.h"

#define HTTP_ANSWER_S 5

enum http_dialect { HTTP_JMX, HTTP_REPORTER, HTTP_CONFLUENT, HTTP_NATIVE, HTTP_ALL };

struct http_options {
	struct str listener;  /* host:port or port; null or empty: off */
	bool is_explicit;     /* somebody asked for this address: then it must be had */
	struct str dialect;   /* as in ?dialect= */
	int32_t partitions_max;
	const char *version;
	struct log_sink *log_sink;
	bool (*port_owner)(uint16_t port, char *ret, size_t cap); /* NULL: not named */
};

struct http;

/* *ret NULL: off, or the address is taken and nobody insisted on it (the log says so). The text explains errors. */
enum err http_start(const struct http_options *options, struct http **ret, struct err_text *text) MUST_USE;
/* All of these accept NULL. */
/* The port that is listened on, 0: none. */
uint16_t http_port(const struct http *http);
/* The host it was told to listen on, in brackets where it has colons. Not with NULL. */
const char *http_host(const struct http *http);
/* What the start is doing, for /startupz; constant text. */
void http_stage(struct http *http, const char *stage);
/* The reactors are about to turn. */
void http_node_up(struct http *http, struct broker *broker);
/* The reactors have ended: nothing is asked of them any more. */
void http_node_down(struct http *http);
/* Ends the thread. After http_node_down. */
void http_free(struct http *http);
/* False for an unknown name. */
bool http_dialect_parse(struct str name, enum http_dialect *ret);

#endif
