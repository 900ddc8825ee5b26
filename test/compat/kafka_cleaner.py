#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares compaction with the original's own cleaner on the same input.

   kafka_cleaner.py [-v] [-k]

A real Kafka whose cleaner is off is filled (few keys, tombstones, all codecs, idempotent and transactional producers,
aborted transactions) and stopped; its directory is copied. Each of the two compacts one copy; then every batch and
record has to be the same but for sizes, checksums and the time of delete horizons. What the original left is filled
and compared once more: now tombstones and markers whose horizon has passed go. -k keeps the directories.

Needs Java and the jars that dev/kafka fetches; without them it is skipped. The last line is `N passed, N failed, N
skipped`."""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import time

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [here]
import kafka_dirs as dirs  # noqa: E402
from lib.broker import NotReady  # noqa: E402
from kafka_dirs import Wrong, expect, kafka_tool, missing, say  # noqa: E402

TOPICS = [f"codec-{c}" for c in dirs.CODECS] + ["txns", "txns-now", "now"]
CLEANER = """
log.cleaner.backoff.ms=100
log.retention.check.interval.ms=3600000
log.segment.delete.delay.ms=0
log.initial.task.delay.ms=1000
"""


def configs(topic):
    return {"cleanup.policy": "compact", "internal.segment.bytes": 30000, "min.cleanable.dirty.ratio": 0.0001,
            "delete.retention.ms": 0 if topic.endswith("now") else 86400000, "index.interval.bytes": 1000}


def set_cleaner(node, on):
    with open(node.file) as f:
        text = re.sub(r"(?m)^log\.cleaner\.enable=.*\n", "", f.read())
    with open(node.file, "w") as f:
        f.write(text + f"log.cleaner.enable={'true' if on else 'false'}\n")


def fill(node, number):
    set_cleaner(node, False)
    node.start("kafka")
    with node.conn() as conn:
        for topic in TOPICS:
            if not number:
                conn.create(topic, 1, configs(topic))
    jars = subprocess.run([dirs.TOOL, "jars"], capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run(["java", "-cp", jars + "/*", os.path.join(here, "java", "CompactionWriter.java"),
                           f"127.0.0.1:{node.port}", str(number)], capture_output=True, text=True, timeout=180)
    if "written" not in done.stdout:
        raise Wrong(f"the writer ended with {done.returncode}:\n{done.stderr[-2000:]}")
    node.end("clean")


def bases(node, topic):
    return sorted(int(os.path.basename(f)[:20]) for f in glob.glob(f"{node.data}/{topic}-0/*.log"))


def clean(node, who, wanted):
    """Runs until the cleaner has come to the active segment of every topic."""
    set_cleaner(node, True)
    node.start(who)
    end = time.monotonic() + 120
    while True:
        try:
            with open(os.path.join(node.data, "cleaner-offset-checkpoint")) as f:
                lines = [line.split() for line in f.read().splitlines()[2:]]
        except FileNotFoundError:
            lines = []
        got = {words[0]: int(words[2]) for words in lines if words[0] in wanted}
        if got == wanted:
            break
        if time.monotonic() > end:
            raise Wrong(f"{who} does not come to its end: {got}, not {wanted}\n{node.log()[-3000:]}")
        time.sleep(0.2)
    time.sleep(0.5)
    node.end("clean")


def contents(node, topic):
    """Batches and records as the original's tool tells them, without what may differ."""
    files = sorted(f for f in glob.glob(f"{node.data}/{topic}-0/*.log"))
    code, text = kafka_tool("tool", "dump-log", "--files", ",".join(files), "--deep-iteration", "--print-data-log")
    # Gaps are what a compaction is for.
    text = re.sub(r"(?m)^Non-consecutive offsets in .*\n(  .*\n)*", "", text)
    bad = [line for line in text.splitlines() if dirs.COMPLAINT.search(line.split(" payload: ")[0])]
    if code or bad:
        raise Wrong(f"dump-log ended with {code}:\n" + "\n".join(bad[:12]))
    out = []
    for line in text.splitlines():
        if line.startswith("baseOffset:"):
            line = re.sub(r" (position|size|crc): \S+", "", line)
            line = re.sub(r"deleteHorizonMs: OptionalLong\[\d+\]", "deleteHorizonMs: some", line)
            out.append(line)
        elif line.startswith("| offset:"):
            out.append(line)
    return out


def aborted(node, topic):
    out = []
    for name in sorted(glob.glob(f"{node.data}/{topic}-0/*.txnindex")):
        with open(name, "rb") as f:
            data = f.read()
        # The last stable offset is left out: it says when the entry was made.
        out += [data[i:i + 26].hex() for i in range(0, len(data), 34)]
    return sorted(set(out))


def stored(node, topic):
    return sum(os.path.getsize(f) for f in glob.glob(f"{node.data}/{topic}-0/*.log"))


def compare(name, ours, theirs, before):
    for topic in TOPICS:
        try:
            got, wanted = contents(ours, topic), contents(theirs, topic)
            if got != wanted:
                at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
                raise Wrong(f"{len(got)} lines, not {len(wanted)}; at {at}:\n ours:\n"
                            + "\n".join(got[max(at - 2, 0):at + 3]) + "\n theirs:\n"
                            + "\n".join(wanted[max(at - 2, 0):at + 3]))
            expect("aborted transactions", aborted(ours, topic), aborted(theirs, topic))
            indexes = [f for e in ("index", "timeindex") for f in glob.glob(f"{ours.data}/{topic}-0/*.{e}")]
            dirs.dump(indexes, "--index-sanity-check")
            dirs.dump(indexes, "--verify-index-only")
            expect("segments", bases(ours, topic), bases(theirs, topic))
            if not got or stored(ours, topic) > before[topic] * 0.8:
                raise Wrong(f"{stored(ours, topic)} of {before[topic]} bytes are left: nothing to compare")
            say("ok", f"{name} {topic}")
        except Wrong as e:
            say("not ok", f"{name} {topic}", e)


def run(keep):
    theirs, nodes = dirs.Node(), []
    nodes.append(theirs)
    with open(theirs.file, "a") as f:
        f.write(CLEANER)
    try:
        dirs.format_with(theirs, "--standalone")
        for number, name in ((0, "first"), (1, "again")):
            fill(theirs, number)
            ours = dirs.Node()
            nodes.append(ours)
            shutil.rmtree(ours.data, ignore_errors=True)
            shutil.copytree(theirs.data, ours.data)
            shutil.copy(theirs.file, ours.file + ".kafka")
            with open(theirs.file) as f:
                text = f.read().replace(theirs.data, ours.data)
            with open(ours.file, "w") as f:
                f.write(text)
            ours.port, ours.address = theirs.port, theirs.address
            wanted = {topic: bases(theirs, topic)[-1] for topic in TOPICS}
            before = {topic: stored(theirs, topic) for topic in TOPICS}
            clean(theirs, "kafka", wanted)
            clean(ours, "moldau", wanted)
            compare(name, ours, theirs, before)
    finally:
        for node in nodes:
            if keep:
                print(f"# {node.dir}")
            node.close(keep)


def run_all(verbose, keep):
    dirs.verbose = verbose
    why = missing()
    if why:
        say("skip", "compaction", why)
        return
    try:
        run(keep)
    except (Wrong, NotReady) as e:
        say("not ok", "compaction", e)


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
