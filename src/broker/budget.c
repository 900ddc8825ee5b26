/* SPDX-License-Identifier: Apache-2.0 */
/* See budget.h. */
#include "budget.h"

#include "conn.h"

void budget_init(struct budget *budget, int64_t queued_max, int shards_n)
{
	*budget = (struct budget){
		.frames_max = MAX((queued_max > 0 ? queued_max : BUDGET_FRAMES_MAX) / shards_n, 1),
		.work_max = BUDGET_WORK_MAX / shards_n,
	};
	list_init(&budget->waiting);
}

void budget_wake(struct budget *budget, int n)
{
	while (n-- > 0 && !list_is_empty(&budget->waiting))
		conn_kick(list_entry(list_pop_front(&budget->waiting), struct conn, waiting));
}
