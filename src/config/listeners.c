/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and judging listeners. Names are compared in upper case, except controller.listener.names, which
 * the original compares as written. Each check says one sentence and the next is still made, so that a person
 * sees all mistakes at once; checks that would only repeat an earlier one are left out.
 */
#include "listeners.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#include "setting.h"

#define LISTENERS_MAX 64

static const char *const protocol_names[] = {
	[SECURITY_PLAINTEXT] = "PLAINTEXT",
	[SECURITY_SSL] = "SSL",
	[SECURITY_SASL_PLAINTEXT] = "SASL_PLAINTEXT",
	[SECURITY_SASL_SSL] = "SASL_SSL",
};

const char *security_protocol_name(enum security_protocol protocol)
{
	return protocol_names[protocol];
}

static bool protocol_parse(struct str s, enum security_protocol *ret)
{
	for (size_t i = 0; i < ARRAY_N(protocol_names); i++) {
		if (s.len == strlen(protocol_names[i]) && strncasecmp(s.p, protocol_names[i], s.len) == 0) {
			*ret = (enum security_protocol)i;
			return true;
		}
	}
	return false;
}

static struct str upper(struct arena *arena, struct str s)
{
	char *p = arena_alloc_raw(arena, s.len + 1);

	for (size_t i = 0; i < s.len; i++)
		p[i] = s.p[i] >= 'a' && s.p[i] <= 'z' ? (char)(s.p[i] & ~0x20) : s.p[i];
	p[s.len] = '\0';
	return (struct str){p, s.len};
}

static bool is_host_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c && strchr("-%._:", c));
}

/* The decimal behind the last colon, and what stands before that colon. */
static bool split_port(struct str text, struct str *ret_before, int32_t *ret_port)
{
	const char *colon = text.p ? memrchr(text.p, ':', text.len) : NULL;
	struct str digits;

	if (!colon)
		return false;
	digits = (struct str){colon + 1, text.len - (size_t)(colon + 1 - text.p)};
	*ret_before = (struct str){text.p, (size_t)(colon - text.p)};
	return digits.len > 0 && digits.len <= 10 && parse_i32(digits, ret_port) == ERR_NONE;
}

static bool take_host(struct str text, struct str *ret)
{
	bool is_bracketed = text.len >= 2 && text.p[0] == '[' && text.p[text.len - 1] == ']';
	struct str host = is_bracketed ? (struct str){text.p + 1, text.len - 2} : text;

	for (size_t i = 0; i < host.len; i++) {
		if (!is_host_char(host.p[i]))
			return false;
	}
	*ret = host;
	return true;
}

enum err endpoint_parse(struct str text, struct endpoint *ret, struct err_text *why)
{
	const char *slashes = text.p ? memmem(text.p, text.len, "://", 3) : NULL;
	struct endpoint e;
	struct str rest, host;

	if (!slashes || slashes == text.p)
		return err_text_set(why, ERR_INVALID_TEXT, "\"%.*s\" is not of the form NAME://host:port",
				    STR_ARGS(text));
	e.name = (struct str){text.p, (size_t)(slashes - text.p)};
	rest = (struct str){slashes + 3, text.len - e.name.len - 3};
	if (!split_port(rest, &host, &e.port))
		return err_text_set(why, ERR_INVALID_TEXT,
				    "\"%.*s\" does not end with a port, as in NAME://host:9092",
				    STR_ARGS(text));
	if (!take_host(host, &e.host))
		return err_text_set(why, ERR_INVALID_TEXT, "\"%.*s\" is not a host in \"%.*s\"",
				    STR_ARGS(host), STR_ARGS(text));
	if (e.port < 0 || e.port > 65535)
		return err_text_set(why, ERR_INVALID_TEXT, "port %d in \"%.*s\" is not between 0 and 65535",
				    e.port, STR_ARGS(text));
	*ret = e;
	return ERR_NONE;
}

enum err host_port_parse(struct str text, struct str *ret_host, int32_t *ret_port)
{
	const char *slashes = text.p ? memmem(text.p, text.len, "://", 3) : NULL;
	struct str before;
	int32_t port;

	if (slashes)
		text = (struct str){slashes + 3, text.len - (size_t)(slashes + 3 - text.p)};
	if (!split_port(text, &before, &port) || !take_host(before, ret_host) || port < 0 || port > 65535)
		return ERR_INVALID_TEXT;
	*ret_port = port;
	return ERR_NONE;
}

int listener_bind_hosts(const struct listener *listener, struct str ret[2])
{
	if (listener->host.len == 9 && strncasecmp(listener->host.p, "localhost", 9) == 0) {
		ret[0] = STR("127.0.0.1");
		ret[1] = STR("::1");
		return 2;
	}
	if (listener->host.len == 0 || str_eq_c(listener->host, "::")) {
		ret[0] = STR("0.0.0.0");
		ret[1] = STR("::");
		return 2;
	}
	ret[0] = listener->host;
	return 1;
}

const struct listener *listener_find(const struct listener_list *list, struct str name)
{
	for (size_t i = 0; i < list->n; i++) {
		if (str_eq(list->v[i].name, name))
			return &list->v[i];
	}
	return NULL;
}

/* One pass over the listener keys of a config. */
struct resolve {
	struct broker_config *config;
	struct config_report *report;
	size_t errors_before;
	struct {
		struct str name; /* upper case */
		enum security_protocol protocol;
	} protocols[LISTENERS_MAX];
	size_t protocols_n;
	struct str_list controller_names; /* as written */
};

static const struct setting_origin *origin_of(const struct resolve *r, enum setting_id id)
{
	return &r->config->origin[id];
}

static bool is_given(const struct resolve *r, enum setting_id id)
{
	return r->config->origin[id].kind != CONFIG_ORIGIN_DEFAULT;
}

#define PROBLEM(r, severity, code, id, ...)                                                                  \
	config_report_add((r)->report, (severity), (code), setting_defs[id].name, origin_of((r), (id)),      \
			  __VA_ARGS__)
#define BAD_LISTENER(r, id, ...) PROBLEM(r, CONFIG_ERROR, "ML1106", id, __VA_ARGS__)

static bool is_controller_name(const struct resolve *r, struct str name)
{
	for (size_t i = 0; i < r->controller_names.n; i++) {
		if (str_eq(r->controller_names.v[i], name))
			return true;
	}
	return false;
}

static bool protocol_of(const struct resolve *r, struct str name, enum security_protocol *ret)
{
	for (size_t i = r->protocols_n; i > 0; i--) { /* the last of a name counts */
		if (str_eq(r->protocols[i - 1].name, name)) {
			*ret = r->protocols[i - 1].protocol;
			return true;
		}
	}
	return false;
}

static void add_protocol(struct resolve *r, struct str name, enum security_protocol protocol)
{
	if (r->protocols_n < LISTENERS_MAX) {
		r->protocols[r->protocols_n].name = upper(&r->config->arena, name);
		r->protocols[r->protocols_n++].protocol = protocol;
	}
}

/* Whether a listener or controller listener is named after a protocol that protects: then the default map is
 * taken as it is, so that nothing that was meant to be protected becomes plain text. */
static bool is_protection_named(const struct resolve *r)
{
	enum security_protocol protocol;
	struct endpoint e;

	for (size_t i = 0; i < r->controller_names.n; i++) {
		if (protocol_parse(r->controller_names.v[i], &protocol) && protocol != SECURITY_PLAINTEXT)
			return true;
	}
	for (size_t i = 0; i < r->config->listeners.n; i++) {
		if (endpoint_parse(r->config->listeners.v[i], &e, NULL) == ERR_NONE &&
		    protocol_parse(e.name, &protocol) && protocol != SECURITY_PLAINTEXT)
			return true;
	}
	return false;
}

static void read_protocols(struct resolve *r)
{
	struct setting_list_pos pos = {0};
	struct str entry;

	while (setting_list_next(r->config->listener_security_protocol_map, &pos, &entry)) {
		const char *colon = entry.len ? memrchr(entry.p, ':', entry.len) : NULL;
		struct str name, word;
		enum security_protocol protocol;

		if (!colon) {
			BAD_LISTENER(r, SETTING_LISTENER_SECURITY_PROTOCOL_MAP,
				     "\"%.*s\" in listener.security.protocol.map is not of the form "
				     "NAME:PROTOCOL.",
				     STR_ARGS(entry));
			continue;
		}
		name = setting_trim((struct str){entry.p, (size_t)(colon - entry.p)});
		word = setting_trim((struct str){colon + 1, entry.len - (size_t)(colon + 1 - entry.p)});
		if (protocol_parse(word, &protocol))
			add_protocol(r, name, protocol);
		else
			BAD_LISTENER(r, SETTING_LISTENER_SECURITY_PROTOCOL_MAP,
				     "%.*s is not a security protocol. Known are PLAINTEXT, SSL, "
				     "SASL_PLAINTEXT and "
				     "SASL_SSL.",
				     STR_ARGS(word));
	}
	if (!is_given(r, SETTING_LISTENER_SECURITY_PROTOCOL_MAP) && !is_protection_named(r)) {
		for (size_t i = 0; i < r->controller_names.n; i++) {
			if (!str_eq_c(r->controller_names.v[i], "PLAINTEXT"))
				add_protocol(r, r->controller_names.v[i], SECURITY_PLAINTEXT);
		}
	}
}

static int address_family(struct str host)
{
	char text[64];
	uint8_t binary[16];

	if (host.len == 0 || host.len >= sizeof(text))
		return 0;
	snprintf(text, sizeof(text), "%.*s", STR_ARGS(host));
	return inet_pton(AF_INET, text, binary) == 1	? AF_INET
	       : inet_pton(AF_INET6, text, binary) == 1 ? AF_INET6
							: 0;
}

/* Two listeners may share a port only as one IPv4 and one IPv6 address. */
static void check_ports(struct resolve *r, const struct listener *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			int a = address_family(v[i].host), b = address_family(v[j].host);

			if (v[i].port != 0 && v[i].port == v[j].port && (!a || !b || a == b))
				BAD_LISTENER(r, SETTING_LISTENERS,
					     "Listeners %.*s and %.*s both want port %d. Give each its own "
					     "port, or one an "
					     "IPv4 and the other an IPv6 address.",
					     STR_ARGS(v[j].name), STR_ARGS(v[i].name), v[i].port);
		}
	}
}

static struct listener_list read_listeners(struct resolve *r, enum setting_id id, struct str_list texts)
{
	struct listener *v = ARENA_NEW_N(&r->config->arena, struct listener, texts.n + 1);
	struct listener_list list = {v, 0};
	struct err_text why;

	if (texts.n > LISTENERS_MAX) {
		BAD_LISTENER(r, id, "%.*s has %zu entries; at most %d are taken.",
			     STR_ARGS(setting_defs[id].name), texts.n, LISTENERS_MAX);
		return list;
	}
	for (size_t i = 0; i < texts.n; i++) {
		struct listener l = {.max_connections = INT32_MAX, .max_connection_creation_rate = INT32_MAX};
		struct endpoint e;

		if (endpoint_parse(texts.v[i], &e, &why) != ERR_NONE) {
			BAD_LISTENER(r, id, "%.*s: %s.", STR_ARGS(setting_defs[id].name), why.text);
			continue;
		}
		l.name = upper(&r->config->arena, e.name);
		l.host = arena_str(&r->config->arena, e.host);
		l.port = e.port;
		l.is_controller = is_controller_name(r, l.name);
		if (!protocol_of(r, l.name, &l.protocol)) {
			BAD_LISTENER(
				r, id,
				"Nothing says which protocol listener %.*s speaks. Add %.*s:PLAINTEXT to "
				"listener.security.protocol.map.",
				STR_ARGS(l.name), STR_ARGS(l.name));
			continue;
		}
		if (listener_find(&list, l.name)) {
			BAD_LISTENER(r, id, "Listener %.*s stands twice in %.*s. Each needs its own name.",
				     STR_ARGS(l.name), STR_ARGS(setting_defs[id].name));
			continue;
		}
		v[list.n++] = l;
	}
	return list;
}

static void refuse_protection(struct resolve *r, const struct listener_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i].protocol != SECURITY_PLAINTEXT)
			PROBLEM(r, CONFIG_ERROR, "ML1102", SETTING_LISTENERS,
				"Listener %.*s asks for %s. TLS and logins are not built in yet, and opening "
				"it without "
				"them would let everybody in.",
				STR_ARGS(list->v[i].name), security_protocol_name(list->v[i].protocol));
	}
}

static size_t count_controllers(const struct listener_list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += list->v[i].is_controller;
	return n;
}

/* A broker finds controllers over these names without opening them, so it must know what they speak. */
static void check_known_controllers(struct resolve *r)
{
	enum security_protocol protocol;

	for (size_t i = 0; i < r->controller_names.n; i++) {
		struct str name = upper(&r->config->arena, r->controller_names.v[i]);

		if (!protocol_of(r, name, &protocol))
			BAD_LISTENER(r, SETTING_CONTROLLER_LISTENER_NAMES,
				     "Nothing says which protocol controller listener %.*s speaks. Add "
				     "%.*s:PLAINTEXT to "
				     "listener.security.protocol.map.",
				     STR_ARGS(name), STR_ARGS(name));
		else if (protocol != SECURITY_PLAINTEXT)
			PROBLEM(r, CONFIG_ERROR, "ML1102", SETTING_CONTROLLER_LISTENER_NAMES,
				"Controller listener %.*s speaks %s, which is not built in yet.",
				STR_ARGS(name), security_protocol_name(protocol));
	}
}

/* Which listeners a role needs and which it must not have. */
static void check_roles(struct resolve *r)
{
	const struct broker_effective *eff = &r->config->eff;
	size_t controllers_n = count_controllers(&eff->listeners);

	if (!eff->is_controller) {
		if (controllers_n > 0)
			BAD_LISTENER(r, SETTING_LISTENERS,
				     "A node with only the broker role must not open a listener of "
				     "controller.listener.names.");
		check_known_controllers(r);
		return;
	}
	if (controllers_n == 0)
		BAD_LISTENER(
			r, SETTING_CONTROLLER_LISTENER_NAMES,
			"The controller role needs at least one listener of controller.listener.names in "
			"listeners, such as CONTROLLER://:9093. Names are compared in upper case.");
	else if (controllers_n < r->controller_names.n)
		BAD_LISTENER(r, SETTING_CONTROLLER_LISTENER_NAMES,
			     "With the controller role every name in controller.listener.names must stand in "
			     "listeners.");
	if (!eff->is_broker && controllers_n < eff->listeners.n)
		BAD_LISTENER(r, SETTING_LISTENERS,
			     "A node with only the controller role may open only listeners of "
			     "controller.listener.names.");
}

static const struct voter *own_voter(const struct broker_effective *eff)
{
	for (size_t i = 0; i < eff->voters.n; i++) {
		if (eff->voters.v[i].id == eff->node_id)
			return &eff->voters.v[i];
	}
	return NULL;
}

/* Addresses that nobody could reach, and names that nobody would answer. */
static void check_advertised(struct resolve *r, const struct listener_list *all, bool has_own)
{
	for (size_t i = 0; i < all->n && has_own; i++) {
		if (!listener_find(&r->config->eff.listeners, all->v[i].name) && r->config->eff.is_broker)
			BAD_LISTENER(r, SETTING_ADVERTISED_LISTENERS,
				     "advertised.listeners names %.*s, which is not one of listeners, so "
				     "nobody would answer "
				     "there.",
				     STR_ARGS(all->v[i].name));
	}
	for (size_t i = 0; i < all->n; i++) {
		bool is_nowhere = str_eq_c(all->v[i].host, "0.0.0.0");

		if (!has_own && all->v[i].is_controller)
			continue;
		if (is_nowhere)
			PROBLEM(r, CONFIG_ERROR, "ML1002",
				has_own ? SETTING_ADVERTISED_LISTENERS : SETTING_LISTENERS,
				"%s, which no client can connect to. Set advertised.listeners=%.*s://HOST:%d "
				"with a name or "
				"address that clients can reach.",
				has_own ? "advertised.listeners says 0.0.0.0"
					: "listeners says 0.0.0.0 and would be told to clients",
				STR_ARGS(all->v[i].name), all->v[i].port);
		else if (has_own && str_eq_c(all->v[i].host, "::"))
			PROBLEM(r, CONFIG_WARNING, "ML1002", SETTING_ADVERTISED_LISTENERS,
				"advertised.listeners says [::], which clients cannot connect to. It must be "
				"a name or "
				"address that they can reach.");
	}
}

static void resolve_advertised(struct resolve *r)
{
	struct broker_config *config = r->config;
	struct broker_effective *eff = &config->eff;
	bool has_own = !config->origin[SETTING_ADVERTISED_LISTENERS].is_null;
	struct listener_list all =
		has_own ? read_listeners(r, SETTING_ADVERTISED_LISTENERS, config->advertised_listeners)
			: eff->listeners;
	struct listener *brokers = ARENA_NEW_N(&config->arena, struct listener, all.n + 1);
	struct listener *controllers = ARENA_NEW_N(&config->arena, struct listener, eff->listeners.n + 1);
	const struct voter *self = own_voter(eff);

	eff->advertised = (struct listener_list){brokers, 0};
	eff->advertised_controller = (struct listener_list){controllers, 0};
	for (size_t i = 0; i < all.n && eff->is_broker; i++) {
		if (!all.v[i].is_controller)
			brokers[eff->advertised.n++] = all.v[i];
	}
	for (size_t i = 0; i < eff->listeners.n && eff->is_controller; i++) {
		struct listener l = eff->listeners.v[i];
		const struct listener *given = has_own ? listener_find(&all, l.name) : NULL;

		if (!l.is_controller)
			continue;
		if (given) {
			l = *given;
		} else if (self) {
			l.host = self->host;
			l.port = self->port;
		} else if (str_eq_c(l.host, "0.0.0.0")) {
			l.host = STR(""); /* as the original: the host's own name instead */
		}
		controllers[eff->advertised_controller.n++] = l;
	}
	if (eff->is_broker && eff->advertised.n == 0 && all.n > 0)
		BAD_LISTENER(
			r, SETTING_ADVERTISED_LISTENERS,
			"No listener is left for clients: all of them stand in controller.listener.names.");
	check_advertised(r, &all, has_own);
}

static void resolve_inter_broker(struct resolve *r)
{
	struct broker_config *config = r->config;
	struct broker_effective *eff = &config->eff;
	bool is_named = !config->origin[SETTING_INTER_BROKER_LISTENER_NAME].is_null;
	enum security_protocol protocol;

	eff->inter_broker_listener = upper(&config->arena, is_named ? config->inter_broker_listener_name
								    : config->security_inter_broker_protocol);
	if (is_named && is_given(r, SETTING_SECURITY_INTER_BROKER_PROTOCOL))
		BAD_LISTENER(r, SETTING_SECURITY_INTER_BROKER_PROTOCOL,
			     "Only one of inter.broker.listener.name and security.inter.broker.protocol may "
			     "be given.");
	else if (is_named && !protocol_of(r, eff->inter_broker_listener, &protocol))
		BAD_LISTENER(r, SETTING_INTER_BROKER_LISTENER_NAME,
			     "inter.broker.listener.name is %.*s, which listener.security.protocol.map does "
			     "not know.",
			     STR_ARGS(eff->inter_broker_listener));
	else if (is_named && !eff->is_broker && is_controller_name(r, eff->inter_broker_listener))
		BAD_LISTENER(r, SETTING_INTER_BROKER_LISTENER_NAME,
			     "inter.broker.listener.name is %.*s, a controller listener. A node with only "
			     "the controller "
			     "role needs no inter.broker.listener.name.",
			     STR_ARGS(eff->inter_broker_listener));
	else if (eff->is_broker && eff->advertised.n > 0 &&
		 !listener_find(&eff->advertised, eff->inter_broker_listener))
		BAD_LISTENER(
			r, SETTING_INTER_BROKER_LISTENER_NAME,
			"Brokers would reach each other over listener %.*s, which is not advertised. Set "
			"inter.broker.listener.name to one that is, such as %.*s.",
			STR_ARGS(eff->inter_broker_listener), STR_ARGS(eff->advertised.v[0].name));
}

static void check_early_start(struct resolve *r)
{
	for (size_t i = 0; i < r->config->early_start_listeners.n; i++) {
		struct str name = upper(&r->config->arena, r->config->early_start_listeners.v[i]);

		if (!listener_find(&r->config->eff.listeners, name) && !is_controller_name(r, name))
			BAD_LISTENER(
				r, SETTING_EARLY_START_LISTENERS,
				"early.start.listeners names %.*s, which is not a listener of this node.",
				STR_ARGS(name));
	}
}

bool listeners_resolve(struct broker_config *config, struct config_report *report)
{
	struct resolve r = {
		.config = config,
		.report = report,
		.errors_before = report->errors_n,
		.controller_names = config->controller_listener_names,
	};

	read_protocols(&r);
	config->eff.listeners = read_listeners(&r, SETTING_LISTENERS, config->listeners);
	check_ports(&r, config->eff.listeners.v, config->eff.listeners.n);
	if (report->errors_n != r.errors_before)
		return false;
	refuse_protection(&r, &config->eff.listeners);
	check_roles(&r);
	resolve_advertised(&r);
	resolve_inter_broker(&r);
	check_early_start(&r);
	return report->errors_n == r.errors_before;
}

bool listener_key_split(struct str key, struct str *ret_listener, struct str *ret_rest)
{
	struct str prefix = STR("listener.name.");
	const char *dot;

	if (!str_starts(key, prefix))
		return false;
	dot = memchr(key.p + prefix.len, '.', key.len - prefix.len);
	if (!dot || dot + 1 == key.p + key.len)
		return false;
	*ret_listener = (struct str){key.p + prefix.len, (size_t)(dot - key.p) - prefix.len};
	*ret_rest = (struct str){dot + 1, key.len - (size_t)(dot + 1 - key.p)};
	return true;
}

bool listener_is_key_name(const struct listener *listener, struct str name)
{
	if (listener->name.len != name.len)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = listener->name.p[i];

		if (name.p[i] != (c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c))
			return false;
	}
	return true;
}
