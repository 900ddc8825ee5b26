/* SPDX-License-Identifier: Apache-2.0 */
/* A request about client metrics on its way to the reactor that has the client, and back. */
#ifndef BROKER_TELEMETRY_CALL_H
#define BROKER_TELEMETRY_CALL_H

#include "telemetry.h"

struct telemetry_call {
	struct msg msg;
	struct request *request;
	struct telemetry_source source;
	struct telemetry *owner; /* where `run` runs */
	char address[IO_ADDR_TEXT_MAX];
	enum err err;
	struct telemetry_subscription subscription; /* GetTelemetrySubscriptions */
	/* On the owner: fills err. The request's arena is nobody else's meanwhile. */
	void (*run)(struct telemetry_call *call);
	/* At home: answers. */
	void (*done)(struct telemetry_call *call);
};

/* Fills in who asks, and sends it. instance_id: of the request, or drawn for a client that has none. */
void telemetry_call_run(struct request *request, struct uuid instance_id, void (*run)(struct telemetry_call *call),
			void (*done)(struct telemetry_call *call));

#endif
