/* SPDX-License-Identifier: Apache-2.0 */
/* See foreign.h. The texts are those of docs/errors: code, what happened, what to do. */
#include "foreign.h"

#include <ctype.h>

#include "acceptor.h"
#include "broker.h"
#include "conn.h"
#include "dispatch.h"
#include "fmt.h"
#include "log.h"
#include "shard.h"

enum foreign_kind { FOREIGN_NONE, FOREIGN_HTTP, FOREIGN_TLS, FOREIGN_SSH, FOREIGN_PROXY, FOREIGN_REDIS };

static enum foreign_kind foreign_kind_of(struct bytes in)
{
	static const char *const http[] = {"GET ", "POST", "HEAD", "PUT ", "PRI ", "OPTI", "DELE", "PATC", "CONN"};

	for (size_t i = 0; i < ARRAY_N(http); i++) {
		if (memcmp(in.p, http[i], 4) == 0)
			return FOREIGN_HTTP;
	}
	if (in.p[0] == 0x16 && in.p[1] == 0x03)
		return FOREIGN_TLS;
	if (memcmp(in.p, "SSH-", 4) == 0)
		return FOREIGN_SSH;
	if (memcmp(in.p, "PROX", 4) == 0 || memcmp(in.p, "\r\n\r\n", 4) == 0)
		return FOREIGN_PROXY;
	if (in.p[0] == '*' && isdigit(in.p[1]) && in.p[2] == '\r')
		return FOREIGN_REDIS;
	return FOREIGN_NONE;
}

bool foreign_is_suspect(struct bytes in)
{
	return foreign_kind_of(in) != FOREIGN_NONE;
}

/* The first line of what came, made printable. */
static void foreign_first_line(struct bytes in, char *ret, size_t cap)
{
	size_t n = 0;

	while (n + 1 < cap && n < in.len && in.p[n] != '\r' && in.p[n] != '\n') {
		ret[n] = isprint(in.p[n]) && in.p[n] != '"' ? (char)in.p[n] : '.';
		n++;
	}
	ret[n] = 0;
}

/* The events have names of their own, so that the limit on lines of one kind hides no other kind. */
static void foreign_log(struct conn *conn, enum foreign_kind kind, struct bytes in)
{
	char peer[IO_ADDR_TEXT_MAX], line[80];
	unsigned port = conn->acceptor->addr.port;

	io_addr_format(&conn->peer, peer);
	foreign_first_line(in, line, sizeof(line));
	switch (kind) {
	case FOREIGN_HTTP:
		log_warn("conn.http", "code=ML1030 text=\"%s sent an HTTP request (%s) to the Kafka port %u\"", peer,
			 line, port);
		return;
	case FOREIGN_TLS:
		log_warn("conn.tls",
			 "code=ML1032 text=\"%s started TLS on the plaintext listener %u. "
			 "Use security.protocol=PLAINTEXT on the client\"",
			 peer, port);
		return;
	case FOREIGN_SSH:
	case FOREIGN_PROXY:
	case FOREIGN_REDIS:
		log_warn("conn.foreign", "code=ML1034 text=\"%s spoke %s to the Kafka port %u\"", peer,
			 kind == FOREIGN_SSH ? "SSH" : kind == FOREIGN_PROXY ? "the PROXY protocol" : "Redis", port);
		return;
	case FOREIGN_NONE:
		log_warn("conn.foreign",
			 "code=ML1035 text=\"%s announced a request of %d bytes on port %u; the limit is %d "
			 "(socket.request.max.bytes)\"",
			 peer, (int)load_be32(in.p), port, conn->shard->broker->config.socket_request_max_bytes);
		return;
	default:
		UNREACHABLE();
	}
}

void foreign_answer(struct conn *conn, struct bytes in)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
				   "Content-Length: 38\r\n\r\nThis is a Kafka port, not a web page.\n";
	static const uint8_t tls_alert[] = {0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46}; /* fatal, protocol version */
	struct shard *shard = conn->shard;
	int64_t left_out_n;
	enum foreign_kind kind = conn->has_any_frame ? FOREIGN_NONE : foreign_kind_of(in);
	struct bytes answer = BYTES_NULL;

	if (said_is_due(&shard->said, shard->reactor->now_ns, SAID_FOREIGN + (int)kind, &conn->peer, &left_out_n)) {
		foreign_log(conn, kind, in);
		if (left_out_n > 0)
			log_info("conn.foreign_again", "times=%lld", (long long)left_out_n);
	}
	if (kind == FOREIGN_HTTP)
		answer = (struct bytes){(const uint8_t *)http, sizeof(http) - 1};
	else if (kind == FOREIGN_TLS)
		answer = (struct bytes){tls_alert, sizeof(tls_alert)};
	if (conn->partial) {
		buf_unref(conn->partial);
		conn->partial = NULL;
	}
	conn->state = CONN_DRAINING;
	conn_add_raw(conn, answer);
}
