/* SPDX-License-Identifier: Apache-2.0 */
/* From a frame to its handler, and from a response to bytes: header, version check, decoding, encoding. */
#ifndef BROKER_DISPATCH_H
#define BROKER_DISPATCH_H

#include "request.h"

/* Frames up to this long are copied into the request, so that a parked small request pins no receive block; after a
 * receive of less than the second all are. */
#define FRAME_COPY_MAX ((size_t)4096)
#define FRAME_COPY_SPARSE_MAX ((size_t)64 * 1024)

/* Makes a request of a whole frame that lies in `buf`, which is referenced; NULL: the frame is copied. */
struct request *request_new(struct conn *conn, struct buf *buf, struct bytes frame);
/* A response that is not a Kafka message (an HTTP answer): sent as it is; memory of the arena or constant. */
void request_reply_raw(struct request *request, struct bytes response);

/* Decodes and calls the handler; refuses what cannot be decoded or is not served. */
void dispatch_start(struct request *request);
/* Fills request->pieces. */
enum err dispatch_encode(struct request *request, const void *response) MUST_USE;

#endif
