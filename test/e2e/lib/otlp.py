# SPDX-License-Identifier: Apache-2.0
"""Writes OpenTelemetry MetricsData by hand, as clients push it."""
import struct


def varint(n):
    out = bytearray()
    while True:
        out.append(n & 0x7f | (0x80 if n > 0x7f else 0))
        n >>= 7
        if not n:
            return bytes(out)


def field(number, data):
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def label(key, value):
    if isinstance(value, bool):
        any_value = b"\x10" + varint(value)
    elif isinstance(value, int):
        any_value = b"\x18" + varint(value)
    elif isinstance(value, float):
        any_value = b"\x21" + struct.pack("<d", value)
    else:
        any_value = field(1, value.encode())
    return field(1, key.encode()) + field(2, any_value)


def point(value, **labels):
    number = b"\x21" + struct.pack("<d", value) if isinstance(value, float) else b"\x31" + struct.pack("<q", value)
    return b"\x11" + struct.pack("<Q", 1) + b"\x19" + struct.pack("<Q", 2) + number + \
        b"".join(field(7, label(k, v)) for k, v in labels.items())


def gauge(name, *points):
    return field(1, name.encode()) + field(5, b"".join(field(1, p) for p in points))


def total(name, *points, delta=True, monotonic=True):
    return field(1, name.encode()) + field(7, b"".join(field(1, p) for p in points) +
                                           b"\x10" + varint(1 if delta else 2) + b"\x18" + varint(int(monotonic)))


def message(*metrics):
    resource = field(1, field(1, label("service.name", "e2e")))
    return field(1, resource + field(2, field(1, field(1, b"scope")) + b"".join(field(2, m) for m in metrics)))
