/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One contiguous part of what is sent: memory, or a range of a file. A response is an array of pieces; stored
 * records travel as file pieces and are never copied through the codec. Memory is borrowed from the request's
 * arena or from a counted buffer that the sender keeps; the file stays open (pinned) until the send is done.
 */
#ifndef BASE_PIECE_H
#define BASE_PIECE_H

#include "types.h"

#define PIECE_NO_FILE (-1)

struct piece {
	const uint8_t *mem; /* when file is PIECE_NO_FILE */
	int64_t file;       /* fs_file, else PIECE_NO_FILE */
	int64_t pos;        /* in the file, bytes */
	size_t len;         /* bytes */
};

#endif
