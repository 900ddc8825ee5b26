# SPDX-License-Identifier: Apache-2.0
"""Record batches of format 2, made by hand so that every field can be wrong on purpose, and read strictly."""
import gzip
import struct
import time

from .wire import Reader, WireError

HEADER_LEN = 61
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4


def _table():
    out = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        out.append(value)
    return out


_CRC = _table()


def crc32c(data):
    crc, table = 0xFFFFFFFF, _CRC
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = value << 1 ^ value >> 63
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def blob(data):
    return varint(-1) if data is None else varint(len(data)) + data


def now_ms():
    return int(time.time() * 1000)


class Record:
    """key and value as bytes or None; headers a list of (str, bytes or None); timestamp absolute, in ms."""

    def __init__(self, value=None, key=None, headers=(), timestamp=None, offset=None):
        self.value, self.key, self.headers = value, key, list(headers)
        self.timestamp, self.offset = timestamp, offset

    def same(self):
        return self.key, self.value, self.headers

    def __repr__(self):
        return f"Record({self.offset} @{self.timestamp} {self.key!r}={self.value!r} {self.headers!r})"


def record_bytes(record, offset_delta, timestamp_delta):
    body = b"\0" + varint(timestamp_delta) + varint(offset_delta) + blob(record.key) + blob(record.value)
    body += varint(len(record.headers))
    for key, value in record.headers:
        body += varint(len(key.encode())) + key.encode() + blob(value)
    return varint(len(body)) + body


def batch(records, codec=0, compress=None, **fix):
    """One batch. `fix` overrides header fields by name (base_offset, length, epoch, magic, crc, attributes,
    last_offset_delta, base_timestamp, max_timestamp, producer_id, producer_epoch, sequence, count), `deltas` the
    offset deltas, and `raw` the record bytes. Values that are not given are right."""
    records = [r if isinstance(r, Record) else Record(r) for r in records]
    for r in records:
        if r.timestamp is None:
            r.timestamp = now_ms()
    base = fix.get("base_timestamp", records[0].timestamp if records else -1)
    deltas = fix.get("deltas", range(len(records)))
    raw = fix.get("raw")
    if raw is None:
        raw = b"".join(record_bytes(r, d, r.timestamp - base) for r, d in zip(records, deltas))
    if codec == GZIP and compress is None:
        compress = gzip.compress
    if compress:
        raw = compress(raw)
    tail = struct.pack(
        ">hiqqqhii", fix.get("attributes", codec), fix.get("last_offset_delta", len(records) - 1), base,
        fix.get("max_timestamp", max((r.timestamp for r in records), default=-1)), fix.get("producer_id", -1),
        fix.get("producer_epoch", -1), fix.get("sequence", -1), fix.get("count", len(records))) + raw
    return struct.pack(">qiibI", fix.get("base_offset", 0), fix.get("length", len(tail) + 9), fix.get("epoch", -1),
                       fix.get("magic", 2), fix.get("crc", crc32c(tail))) + tail


class Batch:
    """One batch as read: its header fields, and its records when the codec is none or gzip."""

    def __init__(self, data):
        (self.base_offset, self.length, self.epoch, self.magic, self.crc) = struct.unpack(">qiibI", data[:21])
        if self.magic != 2:
            raise WireError(f"magic {self.magic}")
        if crc32c(data[21:]) != self.crc:
            raise WireError(f"batch at {self.base_offset}: wrong CRC")
        (self.attributes, self.last_offset_delta, self.base_timestamp, self.max_timestamp, self.producer_id,
         self.producer_epoch, self.sequence, self.count) = struct.unpack(">hiqqqhii", data[21:HEADER_LEN])
        self.codec, self.log_append = self.attributes & 7, bool(self.attributes & 8)
        self.size, self.payload, self.bytes = len(data), data[HEADER_LEN:], data
        self.records = self._records() if self.codec in (0, GZIP) else None

    @property
    def next_offset(self):
        return self.base_offset + self.last_offset_delta + 1

    def _records(self):
        reader = Reader(gzip.decompress(self.payload) if self.codec == GZIP else self.payload)
        out = []
        for _ in range(self.count):
            end = reader.varint() + reader.at
            reader.take(1)
            timestamp, delta = self.base_timestamp + reader.varint(), reader.varint()
            key, value, headers = _blob(reader), _blob(reader), []
            for _ in range(reader.varint()):
                name = bytes(reader.take(reader.varint())).decode()
                headers.append((name, _blob(reader)))
            if reader.at != end:
                raise WireError("record length is wrong")
            if self.log_append:
                timestamp = self.max_timestamp
            out.append(Record(value, key, headers, timestamp, self.base_offset + delta))
        if reader.at != len(reader.data):
            raise WireError("bytes after the last record")
        return out


def _blob(reader):
    length = reader.varint()
    return None if length < 0 else bytes(reader.take(length))


def batches(data):
    """The whole batches in a fetched record set; a cut one at the end is left out, as clients do."""
    out, at, data = [], 0, data or b""
    while at + 12 <= len(data):
        size = struct.unpack(">i", data[at + 8:at + 12])[0] + 12
        if at + size > len(data):
            break
        out.append(Batch(data[at:at + size]))
        at += size
    return out


def records(data, offset=0):
    return [r for b in batches(data) for r in b.records if r.offset >= offset]
