# SPDX-License-Identifier: Apache-2.0
"""Kafka's wire encoding, driven by the text in schema*.py: `encode` and `decode` of bodies, and headers.

Decoding is strict, since it is what the tests judge an answer by: every byte must be used, arrays and strings may not
run over the end, and known tags may come only once and in rising order.
"""
import struct
import uuid

from .schema import TEXT
from .schema_admin import TEXT as TEXT_ADMIN
from .schema_groups import TEXT as TEXT_GROUPS
from .schema_txn import TEXT as TEXT_TXN

UUID_ZERO = uuid.UUID(int=0)
INTS = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "int64": ">q", "float64": ">d"}


class WireError(Exception):
    """Bytes that do not follow the schema."""


class Msg(dict):
    """A decoded structure: fields as attributes."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Field:
    def __init__(self, words):
        self.name, kind = words[0], words[1]
        self.array = kind.endswith("[]")
        self.kind = kind[:-2] if self.array else kind
        self.is_struct = self.kind in ("", "{}")
        self.range, self.null, self.tag, self.default, self.fields = (0, 99), (1, 0), None, None, []
        self.has_default = False
        for word in words[2:]:
            key, _, value = word.partition("=")
            if key == "null":
                self.null = versions(value)
            elif key == "tag":
                self.tag = int(value)
            elif key == "def":
                self.has_default, self.default = True, None if value == "null" else int(value)
            else:
                self.range = versions(word)
        if not self.has_default and self.tag is None:
            self.default = [] if self.array else {} if self.is_struct else "" if self.kind == "string" else \
                UUID_ZERO if self.kind == "uuid" else b"" if self.kind == "bytes" else 0

    def at(self, version):
        return self.range[0] <= version <= self.range[1]

    def nullable(self, version):
        return self.null[0] <= version <= self.null[1]


class Api:
    def __init__(self, name, key, flex):
        self.name, self.key, self.flex = name, key, flex
        self.request, self.response = [], []


def versions(word):
    low, dash, high = word.rstrip("+").partition("-")
    return int(low), 99 if word.endswith("+") else int(high) if dash else int(low)


def parse(text):
    apis, stack = {}, []
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        if words[0] == "api" and depth == 0:
            api = Api(words[1], int(words[2]), int(words[3].split("=")[1]))
            apis[api.name] = api
        elif depth == 0:
            stack = [getattr(api, words[0])]
        else:
            field = Field(words)
            del stack[depth:]
            stack[-1].append(field)
            stack.append(field.fields)
    return apis


APIS = parse(TEXT + TEXT_ADMIN + TEXT_GROUPS + TEXT_TXN)
KEYS = {api.key: api for api in APIS.values()}


# ---- writing

def uvarint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_len(length, flex, width):
    if flex:
        return uvarint(length + 1)
    return struct.pack(">h" if width == 2 else ">i", length)


def put_value(field, value, version, flex):
    kind = field.kind
    if value is None and not field.nullable(version):
        raise WireError(f"{field.name} may not be null in version {version}")
    if kind == "string":
        if value is None:
            return put_len(-1, flex, 2)
        data = value if isinstance(value, bytes) else value.encode()
        return put_len(len(data), flex, 2) + data
    if kind == "bytes":
        return put_len(-1, flex, 4) if value is None else put_len(len(value), flex, 4) + value
    if kind == "uuid":
        return value.bytes
    if kind == "bool":
        return b"\1" if value else b"\0"
    if field.is_struct:
        mark = b""
        if field.nullable(version) and not field.array:
            mark = b"\xff" if value is None else b"\1"
        return mark if value is None else mark + put_fields(field.fields, value, version, flex)
    return struct.pack(INTS[kind], value)


def put_field(field, value, version, flex):
    if not field.array:
        return put_value(field, value, version, flex)
    if value is None:
        if not field.nullable(version):
            raise WireError(f"{field.name} may not be null in version {version}")
        return put_len(-1, flex, 4)
    if field.is_struct:
        items = b"".join(put_fields(field.fields, item, version, flex) for item in value)
    else:
        items = b"".join(put_value(field, item, version, flex) for item in value)
    return put_len(len(value), flex, 4) + items


def put_fields(fields, values, version, flex):
    known = {field.name for field in fields} | {"_tags"}
    if set(values) - known:
        raise WireError(f"no such field: {set(values) - known}")
    out, tags = [], {}
    for field in fields:
        if not field.at(version):
            continue
        value = values.get(field.name, field.default)
        if field.tag is None:
            out.append(put_field(field, value, version, flex))
        elif field.name in values and value is not None:
            tags[field.tag] = put_field(field, value, version, flex)
    if flex:
        tags.update(values.get("_tags", {}))
        out.append(uvarint(len(tags)))
        for tag in sorted(tags):
            out.append(uvarint(tag) + uvarint(len(tags[tag])) + tags[tag])
    return b"".join(out)


def header(key, version, flex, correlation, client_id="e2e", tags=None):
    ident = b"\xff\xff" if client_id is None else struct.pack(">h", len(client_id)) + client_id.encode()
    out = struct.pack(">hhi", key, version, correlation) + ident
    if flex:
        tags = tags or {}
        out += uvarint(len(tags))
        for tag in sorted(tags):
            out += uvarint(tag) + uvarint(len(tags[tag])) + tags[tag]
    return out


def encode(name, version, correlation=1, client_id="e2e", header_tags=None, **values):
    """A whole request without its length in front."""
    api = APIS[name]
    flex = version >= api.flex
    return header(api.key, version, flex, correlation, client_id, header_tags) + \
        put_fields(api.request, values, version, flex)


# ---- reading

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        if length < 0 or self.at + length > len(self.data):
            raise WireError(f"{length} bytes wanted at {self.at} of {len(self.data)}")
        self.at += length
        return self.data[self.at - length:self.at]

    def num(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise WireError("variable length number too long")

    def varint(self):
        value = self.uvarint()
        return value >> 1 ^ -(value & 1)

    def length(self, flex, width):
        return self.uvarint() - 1 if flex else self.num(">h" if width == 2 else ">i")


def get_value(field, reader, version, flex):
    kind = field.kind
    if kind in ("string", "bytes"):
        length = reader.length(flex, 2 if kind == "string" else 4)
        if length < 0:
            # A null record set is what some answers carry for "nothing".
            if length != -1 or not field.nullable(version):
                raise WireError(f"{field.name}: null or negative length {length} in version {version}")
            return None
        data = bytes(reader.take(length))
        return data.decode() if kind == "string" else data
    if kind == "uuid":
        return uuid.UUID(bytes=bytes(reader.take(16)))
    if kind == "bool":
        byte = reader.take(1)[0]
        if byte > 1:
            raise WireError(f"{field.name}: {byte} for a bool")
        return bool(byte)
    if field.is_struct:
        if field.nullable(version) and not field.array and reader.num(">b") < 0:
            return None
        return get_fields(field.fields, reader, version, flex)
    return reader.num(INTS[kind])


def get_field(field, reader, version, flex):
    if not field.array:
        return get_value(field, reader, version, flex)
    count = reader.length(flex, 4)
    if count < 0:
        if count != -1 or not field.nullable(version):
            raise WireError(f"{field.name}: null or negative count {count} in version {version}")
        return None
    if count > len(reader.data) - reader.at:
        raise WireError(f"{field.name}: count {count} is more than the frame holds")
    return [get_value(field, reader, version, flex) for _ in range(count)]


def get_fields(fields, reader, version, flex):
    out, tagged = Msg(), {}
    for field in fields:
        if not field.at(version):
            continue
        if field.tag is not None:
            tagged[field.tag] = field
            out[field.name] = field.default
        else:
            out[field.name] = get_field(field, reader, version, flex)
    if flex:
        last = -1
        for _ in range(reader.uvarint()):
            tag, size = reader.uvarint(), reader.uvarint()
            if tag <= last:
                raise WireError(f"tag {tag} after {last}")
            last, end = tag, reader.at + size
            if tag in tagged:
                out[tagged[tag].name] = get_field(tagged[tag], reader, version, flex)
                if reader.at != end:
                    raise WireError(f"tag {tag} said {size} bytes, used {size + reader.at - end}")
            else:
                out.setdefault("_tags", {})[tag] = bytes(reader.take(size))
    return out


def decode(name, version, data, correlation=None):
    """The body of a response (bytes after the length), as Msg."""
    api, reader = APIS[name], Reader(memoryview(data))
    got = reader.num(">i")
    if correlation is not None and got != correlation:
        raise WireError(f"correlation {got}, not {correlation}")
    flex = version >= api.flex
    if flex and name != "ApiVersions" and reader.uvarint() != 0:
        raise WireError("tags in the response header, none expected")
    out = get_fields(api.response, reader, version, flex)
    if reader.at != len(data):
        raise WireError(f"{name} v{version}: {len(data) - reader.at} bytes left over")
    return out
