/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request to a node, for commands that ask one. Blocks. */
#ifndef HTTP_HTTP_CLIENT_H
#define HTTP_HTTP_CLIENT_H

#include "fmt.h"

struct http_answer {
	int status;
	char *body; /* NUL-terminated, of mem_alloc; the caller frees */
	size_t body_len;
};

/* address: host:port, or a port of this machine. ERR_CONNECTION_REFUSED, ERR_TIMED_OUT, ERR_BAD_CONFIG for an address
 * that is none; the text says it for a person. */
enum err http_client_get(struct str address, const char *path, int timeout_s, struct http_answer *ret,
			 struct err_text *text) MUST_USE;

#endif
