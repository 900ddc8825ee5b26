/* SPDX-License-Identifier: Apache-2.0 */
/* The assignors by name. */
#include "assign.h"

assign_fn *assign_find(struct str name)
{
	if (str_eq_c(name, "uniform"))
		return assign_uniform;
	if (str_eq_c(name, "range"))
		return assign_range;
	return NULL;
}
