/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitive values of the protocol, read and written one at a time. The reader keeps its first error: after
 * it every read gives zero, so that callers check once. The writer has no checks of its own: its buffer was sized
 * by the same tables, and prim_writer_done() proves it.
 *
 * Reader: 1. p <= end. 2. fault.err != ERR_NONE implies p == end, so nothing more is read.
 */
#ifndef WIRE_PRIM_H
#define WIRE_PRIM_H

#include "arena.h"
#include "bytes.h"
#include "check.h"
#include "err.h"
#include "fmt.h"
#include "uuid.h"
#include "varint.h"

/* Where in a message we are, from the innermost struct outwards; lives on the C stack of the codec. */
struct prim_path {
	const struct prim_path *up;
	const struct msg_type *type;
	int32_t field; /* index in type->fields */
	int32_t index; /* in the array, or -1 */
};

/* The first thing that went wrong, and where. */
struct prim_fault {
	const struct prim_path *path; /* kept up to date while things go well */
	struct err_text *text;        /* or NULL */
	enum err err;
};

struct prim_reader {
	const uint8_t *p;
	const uint8_t *end;
	struct arena *arena;
	size_t mem_left; /* bytes it may still take from the arena */
	struct prim_fault fault;
};

/* Remembers the first error; its text is the path and then the words. */
void prim_fault_set(struct prim_fault *fault, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same for a reader, which ends here. */
void prim_fail(struct prim_reader *r, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);
/* Writes "topics[3].isr" (or the name of the type, outside of fields). */
void prim_path_format(const struct prim_path *path, struct fmt *f);
/* Slow halves of the reads below. */
void prim_short(struct prim_reader *r, size_t want);
uint32_t prim_uvarint_slow(struct prim_reader *r);

static inline size_t prim_left(const struct prim_reader *r)
{
	return (size_t)(r->end - r->p);
}

/* The next n bytes, or NULL with an error. */
static inline const uint8_t *prim_take(struct prim_reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (unlikely(prim_left(r) < n)) {
		prim_short(r, n);
		return NULL;
	}
	r->p += n;
	return p;
}

static inline uint8_t prim_u8(struct prim_reader *r)
{
	const uint8_t *p = prim_take(r, 1);

	return p ? *p : 0;
}

static inline uint16_t prim_u16(struct prim_reader *r)
{
	const uint8_t *p = prim_take(r, 2);

	return p ? load_be16(p) : 0;
}

static inline uint32_t prim_u32(struct prim_reader *r)
{
	const uint8_t *p = prim_take(r, 4);

	return p ? load_be32(p) : 0;
}

static inline uint64_t prim_u64(struct prim_reader *r)
{
	const uint8_t *p = prim_take(r, 8);

	return p ? load_be64(p) : 0;
}

static inline uint32_t prim_uvarint(struct prim_reader *r)
{
	if (likely(r->p < r->end && *r->p < 0x80))
		return *r->p++;
	return prim_uvarint_slow(r);
}

struct prim_writer {
	uint8_t *p;
	uint8_t *end;
};

static inline void prim_put_u8(struct prim_writer *w, uint8_t v)
{
	*w->p++ = v;
}

static inline void prim_put_u16(struct prim_writer *w, uint16_t v)
{
	store_be16(w->p, v);
	w->p += 2;
}

static inline void prim_put_u32(struct prim_writer *w, uint32_t v)
{
	store_be32(w->p, v);
	w->p += 4;
}

static inline void prim_put_u64(struct prim_writer *w, uint64_t v)
{
	store_be64(w->p, v);
	w->p += 8;
}

static inline void prim_put_uvarint(struct prim_writer *w, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		*w->p++ = (uint8_t)(v | 0x80);
	*w->p++ = (uint8_t)v;
}

static inline void prim_put_raw(struct prim_writer *w, const void *p, size_t len)
{
	if (len)
		memcpy(w->p, p, len);
	w->p += len;
}

static inline void prim_writer_done(const struct prim_writer *w)
{
	CHECK(w->p == w->end);
}

static inline size_t prim_uvarint_len(uint32_t v)
{
	return 1 + (v >= 1u << 7) + (v >= 1u << 14) + (v >= 1u << 21) + (v >= 1u << 28);
}

#endif
