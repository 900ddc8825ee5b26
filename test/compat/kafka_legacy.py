#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Segments of message formats 0 and 1, as clusters that are older than 0.11 still hold them: Moldau serves what Kafka
serves.

   kafka_legacy.py [-v]
   kafka_legacy.py --record FILE      writes down Kafka's answers, for test/e2e/test_foreign_dirs.py

One directory gets segments made by hand (and, for snappy and lz4, from the golden batches): plain and packed messages,
both kinds of timestamps, gaps as compaction leaves them, formats mixed within a segment as an upgrade leaves them, and
records of every format without a time. The indexes are missing. A copy is opened by Moldau, another by Kafka 4.3.1,
twice each, the second time after kill -9; a client asks both for everything: offsets by time, the batches from each
offset on, byte for byte. The last line is `N passed, N failed, N skipped`."""
import glob
import gzip
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "e2e")]
from lib import broker as brokers  # noqa: E402
from lib.batch import Record, batch  # noqa: E402
import kafka_dirs  # noqa: E402
from kafka_dirs import Node, Wrong, difference, say  # noqa: E402

BASE = 1600000000000
GZIP = 1


def message(offset, key, value, magic, timestamp=None, attributes=0):
    body = struct.pack(">bb", magic, attributes) + (struct.pack(">q", timestamp) if magic else b"")
    for part in (key, value):
        body += struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part
    body = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", offset, len(body)) + body


def plain(offsets, magic, attributes=0):
    return b"".join(message(o, b"k%d" % o if o % 3 else None, b"value %d" % o if o % 5 else None, magic,
                            BASE + 1000 * o, attributes) for o in offsets)


def packed(offsets, magic, attributes=GZIP):
    inner = b"".join(message(o if magic == 0 else o - offsets[0], b"k%d" % o, b"packed %d" % o, magic, BASE + 1000 * o)
                     for o in offsets)
    return message(offsets[-1], None, gzip.compress(inner, mtime=0), magic, BASE + 1000 * offsets[-1], attributes)


def golden(kind, codec):
    with gzip.open(os.path.join(here, "..", "golden", "batches.jsonl.gz"), "rt") as f:
        for line in map(json.loads, f):
            if line["kind"] == kind and line["codec"] == codec and line["seed"] == 0:
                return bytes.fromhex(line["hex"])
    raise Wrong(f"no golden {kind} {codec}")


def current(offset, n):
    data = bytearray(batch([Record(b"new %d" % i, b"k", [("h", b"x")], BASE + 10**7 + i) for i in range(n)]))
    data[:8] = struct.pack(">q", offset)
    data[12:16] = struct.pack(">i", 0)
    return bytes(data)


def timeless(offset, magic):
    """A record without a time."""
    if magic < 2:
        return message(offset, None, b"timeless", magic, -1)
    return struct.pack(">q", offset) + batch([Record(b"timeless", timestamp=-1)])[8:12] + bytes(4) + \
        batch([Record(b"timeless", timestamp=-1)])[16:]


def segments():
    """By partition: {base offset: bytes}."""
    runs = [range(i, i + 4) for i in range(0, 40, 4)]
    out = [{0: plain(range(60), 0)}, {0: b"".join(packed(r, 0) for r in runs)}, {0: plain(range(60), 1)},
           {0: b"".join(packed(r, 1) for r in runs)}, {0: plain(range(60), 1, 8)},
           {0: b"".join(packed(r, 1, GZIP | 8) for r in runs)},
           {0: plain([0, 3, 4, 9, 17, 30], 1) + packed([33, 35, 38], 1)},
           {0: plain(range(10), 0) + plain(range(10, 20), 1) + packed(range(20, 25), 1) + current(25, 5)},
           {0: plain(range(20), 1), 20: current(20, 6) + current(26, 3)},
           {5: plain(range(5, 40), 1), 40: plain([44], 1)}]
    for formats in ((0, 2), (2, 0), (1, 0), (2, 2)):
        out.append({0: b"".join(timeless(i, magic) for i, magic in enumerate(formats))})
    out.append({0: timeless(0, 0), 1: timeless(1, 2)})
    out.append({0: timeless(0, 2), 1: timeless(1, 0)})
    return out + [{0: golden(f"magic {magic}", codec)} for magic in (0, 1) for codec in ("gzip", "snappy", "lz4")]


def plant(data, parts):
    for i, files in enumerate(parts):
        folder = os.path.join(data, f"old-{i}")
        for name in os.listdir(folder):
            if name != "partition.metadata":
                os.remove(os.path.join(folder, name))
        for base, content in files.items():
            with open(os.path.join(folder, f"{base:020}.log"), "wb") as f:
                f.write(content)
    for name in glob.glob(f"{data}/*checkpoint") + [f"{data}/.kafka_cleanshutdown"]:
        if os.path.exists(name) and not name.endswith("bootstrap.checkpoint"):
            os.remove(name)


def look(node, n):
    out = {}
    with node.conn() as conn:
        conn.wait_leader("old", n)
        for i in range(n):
            first, end = conn.list_offset("old", -2, i).offset, conn.list_offset("old", -1, i).offset
            out[i, "range"] = first, end
            latest = conn.list_offset("old", -3, i)
            out[i, "latest"] = latest.error, latest.offset, latest.timestamp
            for back in (0, 500, 1000, 7000, 10**7, 10**9):
                found = conn.list_offset("old", BASE + 60000 - back, i)
                out[i, "time", back] = found.error, found.offset, found.timestamp
            for offset in range(first, end):
                answer = conn.fetch("old", offset, i, max_wait_ms=0)
                out[i, offset] = answer.error, bytes(answer.records or b"").hex()
    return out


def answers(seen):
    """What is kept: by digest where it is long."""
    return {repr(key): value if len(repr(value)) < 100 else hashlib.sha256(repr(value).encode()).hexdigest()[:16]
            for key, value in seen.items()}


def shortened(text):
    return "\n".join(line[:300] for line in text.splitlines()[:30])


def run_all(loud, record=None):
    kafka_dirs.verbose = loud
    reason = kafka_dirs.missing()
    if not os.access(brokers.binary(), os.X_OK):
        reason = f"no binary at {brokers.binary()}: dev/build makes it, or set MOLDAU"
    if reason:
        say("skip", "old message formats", reason)
        return
    node, parts = Node(), segments()
    seen = {}
    try:
        node.start("moldau")
        with node.conn() as conn:
            conn.create("old", len(parts), {"retention.ms": -1})
        node.end("clean")
        plant(node.data, parts)
        kept = node.data + "-kept"
        shutil.copytree(node.data, kept)
        for who in ("kafka", "moldau"):
            shutil.rmtree(node.data)
            shutil.copytree(kept, node.data)
            for turn in ("first", "after kill -9"):
                node.start(who)
                seen[who, turn] = look(node, len(parts))
                node.end("kill")
        if record:
            with open(record, "w") as f:
                json.dump(answers(seen["kafka", "first"]), f, indent=0)
                f.write("\n")
        for turn in ("first", "after kill -9"):
            text = difference(seen["moldau", turn], seen["kafka", "first"])
            say("not ok" if text else "ok", f"old message formats: Moldau serves what Kafka serves, {turn}",
                shortened(text))
        text = difference(seen["kafka", "after kill -9"], seen["kafka", "first"])
        say("not ok" if text else "ok", "old message formats: Kafka serves the same again", shortened(text))
        code, said = kafka_dirs.kafka_tool("tool", "dump-log", "--deep-iteration", "--files",
                                           ",".join(sorted(glob.glob(f"{node.data}/old-*/*.log"))))
        bad = code or "isvalid: false" in said or "invalid bytes" in said
        say("not ok" if bad else "ok", "old message formats: dump-log reads what Moldau left", said[-2000:])
    except (Wrong, OSError, AssertionError, brokers.NotReady, subprocess.TimeoutExpired, brokers.Closed,
            brokers.WireError) as error:
        say("not ok", "old message formats", f"{type(error).__name__}: {error}\n{node.log()[-2000:]}")
    finally:
        node.close(False)


def main():
    run_all("-v" in sys.argv[1:], sys.argv[sys.argv.index("--record") + 1] if "--record" in sys.argv else None)
    counts = kafka_dirs.counts
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return counts["not ok"] > 0


if __name__ == "__main__":
    sys.exit(main())
