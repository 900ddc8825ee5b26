/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that speak something else to a Kafka port (a browser, TLS, SSH, a proxy): recognised by their first bytes, told
 * in their own language where that is possible, and named in the log. */
#ifndef BROKER_FOREIGN_H
#define BROKER_FOREIGN_H

#include "bytes.h"

struct conn;

/* Do the first bytes of a connection (at least 4) look like another protocol? */
bool foreign_is_suspect(struct bytes in);
/* Answers what can be answered, logs once per kind and peer, and ends the connection. Also for frames whose length is
 * impossible. */
void foreign_answer(struct conn *conn, struct bytes in);

#endif
