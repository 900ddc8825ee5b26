/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See otlp.h. One function per level of the message:
 *
 *    MetricsData -1-> ResourceMetrics -2-> ScopeMetrics -2-> Metric -5-> Gauge -1-> NumberDataPoint -7-> KeyValue
 *                                                              +----7-> Sum   -1----^                     -2-> AnyValue
 */
#include "otlp.h"

#include "utf8.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* One field of a protobuf message. */
struct field {
	uint64_t number;
	enum wire_type type;
	uint64_t value;     /* of WIRE_VARINT, WIRE_64, WIRE_32 */
	struct bytes bytes; /* of WIRE_BYTES */
};

struct reader {
	otlp_point_fn *fn;
	void *ctx;
	struct otlp_point point;
};

static bool otlp_varint(struct bytes *in, uint64_t *ret)
{
	uint64_t value = 0;

	for (int shift = 0; shift < 64; shift += 7) {
		uint8_t byte;

		if (in->len == 0)
			return false;
		byte = *in->p++;
		in->len--;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

/* Little-endian. */
static bool otlp_fixed(struct bytes *in, size_t len, uint64_t *ret)
{
	uint64_t value = 0;

	if (in->len < len)
		return false;
	for (size_t i = 0; i < len; i++)
		value |= (uint64_t)in->p[i] << (8 * i);
	in->p += len;
	in->len -= len;
	*ret = value;
	return true;
}

/* Takes the next field; *ret_ok is false when there is none that is whole. */
static bool otlp_next(struct bytes *in, struct field *ret, bool *ret_ok)
{
	uint64_t tag, len;

	*ret_ok = true;
	if (in->len == 0)
		return false;
	*ret_ok = otlp_varint(in, &tag) && tag >> 3 != 0 && tag >> 3 < 1 << 29;
	if (!*ret_ok)
		return false;
	*ret = (struct field){.number = tag >> 3, .type = (enum wire_type)(tag & 7)};
	switch (ret->type) {
	case WIRE_VARINT:
		*ret_ok = otlp_varint(in, &ret->value);
		break;
	case WIRE_64:
		*ret_ok = otlp_fixed(in, 8, &ret->value);
		break;
	case WIRE_32:
		*ret_ok = otlp_fixed(in, 4, &ret->value);
		break;
	case WIRE_BYTES:
		*ret_ok = otlp_varint(in, &len) && len <= in->len;
		if (!*ret_ok)
			break;
		ret->bytes = (struct bytes){in->p, (size_t)len};
		in->p += len;
		in->len -= (size_t)len;
		break;
	default: /* groups have gone from protobuf long ago */
		*ret_ok = false;
	}
	return *ret_ok;
}

static double otlp_double(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static bool otlp_text(struct bytes bytes, struct str *ret)
{
	*ret = bytes_str(bytes);
	return utf8_is_valid(*ret);
}

static bool otlp_any_value(struct bytes in, struct otlp_label *label)
{
	struct field field;
	bool ok;

	while (otlp_next(&in, &field, &ok)) {
		if (field.number == 1 && field.type == WIRE_BYTES) {
			label->kind = OTLP_TEXT;
			if (!otlp_text(field.bytes, &label->text))
				return false;
		} else if (field.number == 2 && field.type == WIRE_VARINT) {
			label->kind = OTLP_BOOL;
			label->number = field.value != 0;
		} else if (field.number == 3 && field.type == WIRE_VARINT) {
			label->kind = OTLP_INT;
			label->number = (int64_t)field.value;
		} else if (field.number == 4 && field.type == WIRE_64) {
			label->kind = OTLP_DOUBLE;
			label->real = otlp_double(field.value);
		}
	}
	return ok;
}

static bool otlp_key_value(struct bytes in, struct otlp_label *label)
{
	struct field field;
	bool ok;

	while (otlp_next(&in, &field, &ok)) {
		if (field.type != WIRE_BYTES)
			continue;
		if (field.number == 1 && !otlp_text(field.bytes, &label->key))
			return false;
		if (field.number == 2 && !otlp_any_value(field.bytes, label))
			return false;
	}
	return ok;
}

static bool otlp_data_point(struct reader *reader, struct bytes in)
{
	struct otlp_point *point = &reader->point;
	bool has_value = false, ok;
	struct field field;

	point->labels_n = 0;
	while (otlp_next(&in, &field, &ok)) {
		if (field.number == 4 && field.type == WIRE_64) {
			point->value = otlp_double(field.value);
			has_value = true;
		} else if (field.number == 6 && field.type == WIRE_64) {
			point->value = (double)(int64_t)field.value;
			has_value = true;
		} else if (field.number == 7 && field.type == WIRE_BYTES) {
			struct otlp_label label = {.text = STR("")};

			if (!otlp_key_value(field.bytes, &label))
				return false;
			if (label.key.len && point->labels_n < OTLP_LABELS_MAX)
				point->labels[point->labels_n++] = label;
		}
	}
	if (ok && has_value && point->name.len && reader->fn)
		reader->fn(reader->ctx, point);
	return ok;
}

/* What holds for all points may stand behind them: it is read first. */
static bool otlp_numbers(struct reader *reader, struct bytes in, bool is_sum)
{
	struct bytes again = in;
	struct field field;
	bool ok;

	reader->point.is_sum = is_sum;
	reader->point.is_delta = reader->point.is_monotonic = false;
	while (otlp_next(&in, &field, &ok)) {
		if (is_sum && field.number == 2 && field.type == WIRE_VARINT)
			reader->point.is_delta = field.value == 1;
		if (is_sum && field.number == 3 && field.type == WIRE_VARINT)
			reader->point.is_monotonic = field.value != 0;
	}
	while (ok && otlp_next(&again, &field, &ok)) {
		if (field.number == 1 && field.type == WIRE_BYTES && !otlp_data_point(reader, field.bytes))
			return false;
	}
	return ok;
}

static bool otlp_metric(struct reader *reader, struct bytes in)
{
	struct bytes again = in;
	struct field field;
	bool ok;

	reader->point.name = STR("");
	while (otlp_next(&in, &field, &ok)) {
		if (field.number == 1 && field.type == WIRE_BYTES && !otlp_text(field.bytes, &reader->point.name))
			return false;
	}
	while (ok && otlp_next(&again, &field, &ok)) {
		if ((field.number == 5 || field.number == 7) && field.type == WIRE_BYTES &&
		    !otlp_numbers(reader, field.bytes, field.number == 7))
			return false;
	}
	return ok;
}

static bool otlp_scope(struct reader *reader, struct bytes in)
{
	struct field field;
	bool ok;

	while (otlp_next(&in, &field, &ok)) {
		if (field.number == 2 && field.type == WIRE_BYTES && !otlp_metric(reader, field.bytes))
			return false;
	}
	return ok;
}

static bool otlp_resource(struct reader *reader, struct bytes in)
{
	struct field field;
	bool ok;

	while (otlp_next(&in, &field, &ok)) {
		if (field.number == 2 && field.type == WIRE_BYTES && !otlp_scope(reader, field.bytes))
			return false;
	}
	return ok;
}

enum err otlp_read(struct bytes message, otlp_point_fn *fn, void *ctx)
{
	struct reader reader = {.fn = fn, .ctx = ctx};
	struct field field;
	bool ok;

	while (otlp_next(&message, &field, &ok)) {
		if (field.number == 1 && (field.type != WIRE_BYTES || !otlp_resource(&reader, field.bytes)))
			return ERR_CORRUPT_MESSAGE;
	}
	return ok ? ERR_NONE : ERR_CORRUPT_MESSAGE;
}
