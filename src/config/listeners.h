/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners: which addresses a node binds, which it tells to others, and which protocol each name speaks. The
 * rules are the original's; what it would only find when binding (ports out of range) is found here.
 */
#ifndef CONFIG_LISTENERS_H
#define CONFIG_LISTENERS_H

#include "config_report.h"
#include "err.h"
#include "settings.h"

struct endpoint {
	struct str name; /* as written */
	struct str host; /* without brackets */
	int32_t port;
};

/* NAME://host:port, host perhaps empty or an IPv6 address with or without brackets. ERR_INVALID_TEXT with a
 * reason. */
enum err endpoint_parse(struct str text, struct endpoint *ret, struct err_text *why) MUST_USE;
/* host:port of a quorum server; the host may be in brackets. */
enum err host_port_parse(struct str text, struct str *ret_host, int32_t *ret_port) MUST_USE;

/* Fills eff->listeners, advertised, advertised_controller and inter_broker_listener from the keys of
 * `config`, whose roles, node id and voters are already in eff. Problems go to the report; false when one of
 * them is an error. */
bool listeners_resolve(struct broker_config *config, struct config_report *report);

/* listener.name.<listener>.<rest>, where <rest> is not empty. */
bool listener_key_split(struct str key, struct str *ret_listener, struct str *ret_rest);
/* Is this how such keys call the listener, that is, its name in lower case? */
bool listener_is_key_name(const struct listener *listener, struct str name);

/* Addresses to bind for one listener, each with a socket of its own: localhost stands for 127.0.0.1 and ::1, an empty
 * host and :: for all of IPv4 and of IPv6, as for the original. Returns how many were written, 1 or 2. */
int listener_bind_hosts(const struct listener *listener, struct str ret[2]);
const struct listener *listener_find(const struct listener_list *list, struct str name);
const char *security_protocol_name(enum security_protocol protocol);

#endif
