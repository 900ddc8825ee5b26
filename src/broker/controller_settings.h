/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller asks of the settings tables: whether values are good, what a topic will have, what is a list. */
#ifndef BROKER_CONTROLLER_SETTINGS_H
#define BROKER_CONTROLLER_SETTINGS_H

#include "controller_io_internal.h"

/* Fills in the callbacks. */
void controller_settings_set(struct controller_io *io, struct controller_defaults *ret);

#endif
