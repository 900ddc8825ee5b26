#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads what transactions left in the original's directory as the original reads it, and the other way round.

   kafka_transactions.py [-v] [-k]

A real Kafka is filled by transactional producers (committed, aborted, overlapping, one left open), asked, and ended
cleanly or by kill -9; Moldau starts on the directory and has to answer the same, and the same with both exchanged: last
stable offsets, times, and what a consumer with isolation.level=read_committed sees from any offset on. -k keeps the
directories.
Needs Java and the jars that dev/kafka fetches; without them it is skipped. The last line is `N passed, N failed, N
skipped`."""
import argparse
import os
import subprocess
import sys

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [here]
import kafka_dirs as dirs  # noqa: E402
from kafka_dirs import Wrong, missing, say  # noqa: E402
from lib.batch import batches  # noqa: E402
from lib.broker import NotReady  # noqa: E402

TOPICS = ["txns", "open", "now"]


def visible(conn, topic, offset):
    """What a consumer that reads only committed records sees: [(offset, value)], and where it comes to its end."""
    out = []
    while True:
        answer = conn.fetch(topic, offset, max_wait_ms=0, isolation=1, partition_max_bytes=20000)
        if answer.error:
            raise Wrong(f"Fetch {topic} at {offset}: error {answer.error}")
        aborted = sorted((t.first_offset, t.producer_id) for t in answer.aborted or ())
        dropped, before = set(), offset
        for b in batches(answer.records):
            while aborted and aborted[0][0] <= b.next_offset - 1:
                dropped.add(aborted.pop(0)[1])
            if b.attributes & 0x20:
                # The marker ends what its producer aborted.
                if b.records[0].key[2:4] == b"\0\0":
                    dropped.discard(b.producer_id)
            elif not (b.attributes & 0x10 and b.producer_id in dropped):
                if b.records is None:
                    raise Wrong(f"{topic} {b.base_offset}: a codec that this test cannot read")
                out += [(r.offset, r.value) for r in b.records if r.offset >= offset]
            offset = max(offset, b.next_offset)
        if offset == before:
            return out, offset, answer.last_stable, answer.high_watermark


def state(conn):
    out = {}
    for topic in TOPICS:
        conn.wait_leader(topic)
        for timestamp in (-1, -2, 1700000000000, 1700000001000, 1700000005000):
            got = conn.call("ListOffsets", 7, isolation=1, topics=[{"name": topic, "partitions": [
                {"index": 0, "timestamp": timestamp}]}]).topics[0].partitions[0]
            out[topic, timestamp] = got.error, got.offset, got.timestamp
        end = conn.list_offset(topic, -1).offset
        out[topic, "end"] = end
        for offset in sorted({0, 1, 17, end // 3, end // 2, end - 40, end}):
            out[topic, "from", offset] = visible(conn, topic, max(offset, 0))
    return out


def fill(node):
    with node.conn() as conn:
        for topic in [f"codec-{c}" for c in dirs.CODECS] + TOPICS + ["txns-now"]:
            conn.create(topic, 1, {"internal.segment.bytes": 30000, "retention.ms": -1})
    jars = subprocess.run([dirs.TOOL, "jars"], capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run(["java", "-cp", jars + "/*", os.path.join(here, "java", "CompactionWriter.java"),
                           f"127.0.0.1:{node.port}", "0", "open"], capture_output=True, text=True, timeout=240)
    if "written" not in done.stdout:
        raise Wrong(f"the writer ended with {done.returncode}:\n{done.stderr[-2000:]}")


def run(how, keep, first="kafka", second="moldau"):
    node = dirs.Node()
    try:
        dirs.format_with(node, "--standalone")
        node.start(first)
        fill(node)
        with node.conn() as conn:
            wanted = state(conn)
        node.end(how)
        node.start(second)
        with node.conn() as conn:
            got = state(conn)
        node.end("clean")
        if wanted["open", "end"] <= wanted["open", -1][1] or not wanted["txns", "from", 0][0]:
            raise Wrong("nothing to compare: no transaction is open, or nothing is visible")
        difference = dirs.difference(got, wanted)
        if difference:
            raise Wrong("\n".join(line[:600] for line in difference.splitlines()))
        say("ok", f"transactions from {first} to {second}, ended {how}")
    except (Wrong, NotReady) as e:
        say("not ok", f"transactions from {first} to {second}, ended {how}", e)
    finally:
        if keep:
            print(f"# {node.dir}")
        node.close(keep)


def run_all(verbose, keep):
    dirs.verbose = verbose
    why = missing()
    if why:
        say("skip", "transactions", why)
        return
    for how in ("clean", "kill"):
        run(how, keep)
        run(how, keep, "moldau", "kafka")


def main():
    args = argparse.ArgumentParser(usage=__doc__)
    args.add_argument("-v", action="store_true")
    args.add_argument("-k", action="store_true")
    args = args.parse_args()
    run_all(args.v, args.k)
    print(f"{dirs.counts['ok']} passed, {dirs.counts['not ok']} failed, {dirs.counts['skip']} skipped")
    return 1 if dirs.counts["not ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
