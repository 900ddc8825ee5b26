/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was said in the log of late, so that a peer that comes back without end (a port scanner, a client with the wrong
 * settings) is named once a minute, with a count, and not on every connection. A small table of one reactor: who is
 * crowded out of it may be named sooner.
 */
#ifndef BROKER_SAID_H
#define BROKER_SAID_H

#include "io.h"

#define SAID_N 64
#define SAID_AGAIN_NS (60 * NS_PER_S)

enum said_kind { SAID_REFUSED, SAID_CLOSED_AT_ACCEPT, SAID_DISK_FULL, SAID_FOREIGN /* and up: by protocol */ };

struct said {
	struct said_line {
		uint64_t key;
		int64_t since_ns; /* 0: unused */
		int64_t left_out_n;
	} lines[SAID_N];
};

/* Is it time to say this of that peer (NULL: of nobody)? Then *ret_left_out_n is how often it was not said since. */
bool said_is_due(struct said *said, int64_t now_ns, int kind, const struct io_addr *peer, int64_t *ret_left_out_n);

#endif
