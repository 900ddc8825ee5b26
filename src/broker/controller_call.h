/* SPDX-License-Identifier: Apache-2.0 */
/* A request that the controller decides as a whole: to reactor 0, and answered when every shard has what came of it. */
#ifndef BROKER_CONTROLLER_CALL_H
#define BROKER_CONTROLLER_CALL_H

#include "controller_io.h"
#include "request.h"

struct controller_call {
	struct request *request;
	void *out; /* struct x_response, of the request's arena */
	/* Fills `out` when nothing could be decided at all. */
	void (*fail)(struct request *request, void *out, enum err err);
	struct controller_op op;
};

/* `out_size` is that of struct x_response; `decide` finds request, response, version and arena in its op. */
void controller_call_run(struct request *request, size_t out_size,
			 enum err (*decide)(struct controller *controller, struct controller_op *op,
					    struct controller_records *records),
			 void (*fail)(struct request *request, void *out, enum err err));

#endif
