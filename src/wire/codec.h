/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One codec for all messages. The generator writes a plain C struct per message ("msg/fetch.h") and a table that
 * says how it looks in each version; the functions here walk these tables: sizes, bytes out, bytes in, defaults,
 * comparison, text.
 *
 * How fields look in C: strings, bytes and arrays are borrowed views, null is a NULL pointer (arrays: `_n` -1); a
 * struct that may be null is a pointer, other structs lie inline. A zeroed object is not a default one: msg_init()
 * or msg_new() set the defaults. In fields that are never null a NULL string counts as empty.
 *
 * Recursion goes as deep as the schema nests (at most 5), never as the input says.
 */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "arena.h"
#include "bytes.h"
#include "err.h"
#include "fmt.h"
#include "piece.h"
#include "uuid.h"

/* A field of stored record batches. It is never looked into: a range of a file goes out as it is. */
struct records {
	struct piece piece;
	bool is_null;
};

#define RECORDS_INIT_NULL                                        \
	{                                                        \
		.piece = {.file = PIECE_NO_FILE}, .is_null = true \
	}
#define RECORDS_NULL ((struct records)RECORDS_INIT_NULL)

static inline struct records records_mem(struct bytes b)
{
	return (struct records){.piece = {.mem = b.p, .file = PIECE_NO_FILE, .len = b.len}, .is_null = b.p == NULL};
}

static inline struct records records_piece(struct piece piece)
{
	return (struct records){.piece = piece};
}

/* What the sender of a flexible message added and this build does not know; kept and written again. */
struct tagged_field {
	uint32_t tag;
	struct bytes data;
};

struct tagged_fields {
	struct tagged_field *p; /* in the order of arrival, which is ascending */
	int32_t n;
};

/*
 * The tables, all constant and generated.
 */
enum msg_kind {
	MSG_BOOL,
	MSG_INT8,
	MSG_INT16,
	MSG_INT32,
	MSG_INT64,
	MSG_UINT16,
	MSG_UINT32,
	MSG_FLOAT64,
	MSG_UUID,
	MSG_STRING,
	MSG_BYTES,
	MSG_RECORDS,
	MSG_STRUCT,
};

/* Flags of a field, whatever the version. */
#define MSG_FIELD_ARRAY 1     /* pointer, followed by the int32_t count */
#define MSG_FIELD_NULL 2      /* null in some version */
#define MSG_FIELD_POINTER 4   /* a single struct that can be null */
#define MSG_FIELD_IGNORABLE 8 /* dropped without complaint where the version lacks it */

struct msg_field {
	const char *name;
	const struct msg_type *type; /* of MSG_STRUCT */
	uint16_t offset;             /* in the C struct, bytes */
	uint16_t elem_size;          /* of one element in C, bytes */
	uint8_t kind;                /* enum msg_kind */
	uint8_t flags;
	int16_t version_first;
	int16_t version_last; /* INT16_MAX: open */
};

/* Flags of a field in one version. */
#define MSG_ARRAY 1
#define MSG_NULL 2
#define MSG_COMPACT 4
#define MSG_TAGGED 8
#define MSG_POINTER 16

/* One thing to do for one field in one version. */
struct msg_step {
	uint8_t kind; /* enum msg_kind */
	uint8_t flags;
	uint8_t field; /* index in msg_type.fields */
	uint8_t tag;
	uint16_t offset; /* in the C struct, bytes */
};

/* How a struct looks in a set of versions: runs in msg_type.steps. */
struct msg_layout {
	uint16_t steps_at, steps_n; /* in wire order, without those behind tags */
	uint16_t vars_at, vars_n;   /* of these the ones whose size varies */
	uint16_t tags_at, tags_n;   /* behind tags, ascending */
	uint16_t lacks_at, lacks_n; /* not in this version, and must hold the default */
	uint16_t fixed_len;         /* bytes of the steps that are not in vars */
	uint16_t len_min;           /* the fewest bytes a struct can have */
	bool flexible;
};

#define MSG_NO_TAGS UINT16_MAX

struct msg_type {
	const char *name; /* of the C struct */
	const struct msg_field *fields;
	const struct msg_step *steps;
	const struct msg_layout *layouts;
	const uint8_t *layout_of; /* by version - version_min */
	const void *defaults;     /* an object with every default */
	uint16_t size;            /* of the C struct, bytes */
	uint16_t tags_offset;     /* of unknown_tags, or MSG_NO_TAGS */
	uint16_t fields_n;
	int16_t version_min;
	int16_t version_max;
};

static inline bool msg_has_version(const struct msg_type *type, int16_t version)
{
	return version >= type->version_min && version <= type->version_max;
}

/* Sets every field to its default; nothing is freed. */
void msg_init(const struct msg_type *type, void *obj);
/* n default objects in the arena; NULL for n <= 0, so the count of a null array may be passed. */
void *msg_new_n(struct arena *arena, const struct msg_type *type, int64_t n) MUST_USE;
/* MSG_NEW(arena, fetch_response) is a struct fetch_response * */
#define MSG_NEW(arena, name) ((struct name *)msg_new_n((arena), &name##_type, 1))
#define MSG_NEW_N(arena, name, n) ((struct name *)msg_new_n((arena), &name##_type, (n)))

/*
 * One message may take this part of its arena's limit (32 MiB by default), though never less than the minimum. The
 * rest is for the answer: an answer can be 18 times the size of its request in C (an int32 of OffsetFetch becomes a
 * struct), and it is made by arena_alloc, which aborts at the limit.
 */
#define CODEC_DECODE_PART 32
#define CODEC_DECODE_MIN ((size_t)1 << 20)

/*
 * Reads one message from the start of `in` into `ret` (of type->size bytes, any content). Arrays lie in `arena`;
 * strings, bytes, records and unknown tags are views of `in`. `ret_used` (NULL is fine) is where the message ended:
 * whether bytes may follow is the caller's rule. On an error `ret` is a default object and `text` (NULL is fine)
 * names the field: "topics[3].partitions[7].isr: 12 elements, 9 bytes left".
 * ERR_UNSUPPORTED_VERSION, ERR_DECODE, ERR_TOO_LARGE past the limit of memory.
 * Strings are not checked to be UTF-8: Kafka does not refuse them either, it replaces what it cannot read.
 */
enum err codec_decode(const struct msg_type *type, int16_t version, struct bytes in, struct arena *arena, void *ret,
		      size_t *ret_used, struct err_text *text) MUST_USE;

#define CODEC_SIZE_BAD SIZE_MAX

/* Exact bytes of the message, records in files included. CODEC_SIZE_BAD where encoding would fail. */
size_t codec_size(const struct msg_type *type, int16_t version, const void *obj);

/* Records in memory from this length on are passed as a piece of their own, not copied. */
#define CODEC_PASS_MIN 4096

struct codec_out {
	struct arena *arena;   /* in: memory for bytes and pieces */
	size_t head_len;       /* in: bytes left free at the start of the first piece, for headers */
	struct err_text *text; /* in: reason of an error, or NULL */
	uint8_t *head;         /* out: the free bytes */
	struct piece *pieces;  /* out: in the order of sending */
	int32_t pieces_n;      /* out */
	size_t len;            /* out: sum of the pieces, the free bytes included */
};

/*
 * Writes a message as pieces: what is encoded lies in one exact buffer, records in files and long records in
 * memory are pieces of their own that borrow from `obj`. ERR_UNSUPPORTED_VERSION for a version the message does
 * not have, for a null it does not allow, and for a value that it cannot carry though it matters; ERR_TOO_LARGE for
 * a string over 32767 bytes or a message over 2 GiB. Nothing is written to `out` then.
 */
enum err codec_encode(const struct msg_type *type, int16_t version, const void *obj, struct codec_out *out) MUST_USE;

/* The same, everything copied into the one buffer at out->head. Records must lie in memory. */
enum err codec_encode_copied(const struct msg_type *type, int16_t version, const void *obj,
			     struct codec_out *out) MUST_USE;

/* The same into one run of memory, without room for headers. Records must lie in memory. */
enum err codec_encode_flat(const struct msg_type *type, int16_t version, const void *obj, struct arena *arena,
			   struct bytes *ret, struct err_text *text) MUST_USE;

/* Same values in all fields of all versions, unknown tags included. */
bool codec_equal(const struct msg_type *type, const void *a, const void *b);

/* Appends "{max_bytes=5, topics=[{...}]}": the fields of this version, for people. Cut where `f` is full. */
void codec_print(const struct msg_type *type, int16_t version, const void *obj, struct fmt *f);

#endif
