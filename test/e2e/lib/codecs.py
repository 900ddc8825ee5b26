# SPDX-License-Identifier: Apache-2.0
"""Compressed frames that need no library: every format has a way to store bytes as they are."""
import struct

from .batch import GZIP, LZ4, SNAPPY, ZSTD


def zstd_frame(data):
    """One raw block; up to 255 bytes."""
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(data)]) + struct.pack("<I", 1 | len(data) << 3)[:3] + data


def lz4_frame(data):
    return bytes.fromhex("04224d18604082") + struct.pack("<I", len(data) | 1 << 31) + data + bytes(4)


def snappy_raw(data):
    """One literal; up to 64 KB."""
    length, head = len(data), bytearray()
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + bytes([61 << 2]) + struct.pack("<H", len(data) - 1) + data


def snappy_xerial(data):
    block = snappy_raw(data)
    return b"\x82SNAPPY\0" + struct.pack(">iii", 1, 1, len(block)) + block


# name: (codec, function); gzip needs none, the batch does it.
ALL = {"gzip": (GZIP, None), "snappy-xerial": (SNAPPY, snappy_xerial), "snappy-raw": (SNAPPY, snappy_raw),
       "lz4": (LZ4, lz4_frame), "zstd": (ZSTD, zstd_frame)}
