/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What AlterConfigs and IncrementalAlterConfigs share: the request in the controller's form, its first check here, the
 * levels of loggers here too, the rest in the controller; then the outcomes in the order of the request.
 */
#ifndef BROKER_SETTINGS_CHANGE_H
#define BROKER_SETTINGS_CHANGE_H

#include "config_changes.h"
#include "controller_io.h"
#include "request.h"

struct settings_change {
	struct request *request;
	struct resource_changes changes; /* arrays of the request's arena */
	void (*reply)(struct settings_change *change); /* every resource has its outcome */
	struct controller_op op;
};

/* With `request`, `changes` and `reply` filled in. */
void settings_change_run(struct settings_change *change);

#endif
