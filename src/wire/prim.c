/* SPDX-License-Identifier: Apache-2.0 */
/* The slow halves of the reader: errors with their path, and numbers of more than seven bits. */
#include "prim.h"

#include "codec.h"

/* Schemas nest five deep; a longer path would be a fault of the codec. */
#define PATH_MAX_DEPTH 16

void prim_path_format(const struct prim_path *path, struct fmt *f)
{
	const struct prim_path *nodes[PATH_MAX_DEPTH];
	int n = 0;

	for (; path; path = path->up) {
		CHECK(n < PATH_MAX_DEPTH);
		nodes[n++] = path;
	}
	if (n == 0 || nodes[n - 1]->field < 0) {
		fmt_add(f, "%s", n ? nodes[n - 1]->type->name : "message");
		return;
	}
	for (int i = n - 1; i >= 0; i--) {
		if (nodes[i]->field < 0) {
			fmt_add(f, ".tags");
			continue;
		}
		fmt_add(f, "%s%s", i == n - 1 ? "" : ".", nodes[i]->type->fields[nodes[i]->field].name);
		if (nodes[i]->index >= 0)
			fmt_add(f, "[%d]", nodes[i]->index);
	}
}

static PRINTF_LIKE(3, 0) void fault_set_v(struct prim_fault *fault, enum err err, const char *format,
					  va_list args)
{
	struct fmt f;

	if (fault->err != ERR_NONE)
		return;
	fault->err = err;
	if (!fault->text)
		return;
	fmt_init(&f, fault->text->text, sizeof(fault->text->text));
	prim_path_format(fault->path, &f);
	fmt_add(&f, ": ");
	fmt_add_v(&f, format, args);
}

void prim_fault_set(struct prim_fault *fault, enum err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fault_set_v(fault, err, format, args);
	va_end(args);
}

void prim_fail(struct prim_reader *r, enum err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fault_set_v(&r->fault, err, format, args);
	va_end(args);
	r->p = r->end;
}

void prim_short(struct prim_reader *r, size_t want)
{
	prim_fail(r, ERR_DECODE, "%zu bytes wanted, %zu bytes left", want, prim_left(r));
}

uint32_t prim_uvarint_slow(struct prim_reader *r)
{
	uint32_t v;
	size_t used = uvarint_read(r->p, prim_left(r), &v);

	if (used == 0) {
		prim_fail(r, ERR_DECODE, "a number that does not end, %zu bytes left", prim_left(r));
		return 0;
	}
	r->p += used;
	return v;
}
