/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for names of topics. */
#ifndef CONTROLLER_TOPIC_NAME_H
#define CONTROLLER_TOPIC_NAME_H

#include "arena.h"
#include "fmt.h"

#define TOPIC_NAME_LEN_MAX 249

/* ERR_INVALID_TOPIC_EXCEPTION with Kafka's words. */
enum err topic_name_check(struct str name, struct err_text *text) MUST_USE;
/* '.' and '_' fall together in names of metrics: such names collide. */
bool topic_name_can_collide(struct str name);
/* The form that colliding names share, in the arena. */
struct str topic_name_unify(struct str name, struct arena *arena);

#endif
