/* SPDX-License-Identifier: Apache-2.0 */
/* Growth of every VEC(type): doubling, so that n pushes copy at most 2n elements. */
#include "vec.h"

#define VEC_CAP_MIN ((size_t)8)

/* All VEC(type) share this layout; the tree is built without strict aliasing. */
struct vec_any {
	void *v;
	size_t n;
	size_t cap;
};

void vec_grow(void *vec, size_t elem_size, size_t more)
{
	struct vec_any *any = vec;
	size_t max = SIZE_MAX / 2 / elem_size;
	size_t want;

	CHECK_OP(any->n, <=, max);
	CHECK_OP(more, <=, max - any->n);
	want = any->n + more;
	if (want <= any->cap)
		return;
	want = MAX(want, any->cap <= max / 2 ? any->cap * 2 : max);
	want = MIN(MAX(want, VEC_CAP_MIN), max);
	any->v = mem_realloc(any->v, want * elem_size);
	any->cap = want;
}
