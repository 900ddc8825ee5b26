#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Directories that Kafka 3.9, 4.0, 4.1, 4.2 and 4.3 wrote, opened in place by Moldau and given back.

   kafka_versions.py [-v] [-k] [VERSION[:kill]...]

Each version fills a directory of its own (java/DirWriter.java): every codec, headers, idempotent producers,
transactions that committed, aborted and stay open, a compacted topic, groups of both protocols with and without
members, users, quotas, settings. A client writes down what it serves. The version ends cleanly, or by kill -9; Moldau
starts on a copy of the files and has to serve the same, in both isolation levels; ends; and then Kafka 4.3.1 starts on
what Moldau left, and has to serve it too. -k keeps the directories.

Needs Java and the jars that dev/kafka fetches; without them everything is skipped. PORTS: E2E_PORTS. The last line is
`N passed, N failed, N skipped`."""
import argparse
import glob
import os
import shutil
import subprocess
import sys

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "e2e")]
from lib import broker as brokers  # noqa: E402
import kafka_dirs  # noqa: E402
from kafka_dirs import Node, Wrong, difference, expect, say  # noqa: E402

LAST = "4.3.1"
VERSIONS = ("3.9.1", "4.0.1", "4.1.1", "4.2.0", LAST)
ENDS = {"3.9.1": ("clean", "kill"), LAST: ("clean", "kill")}
CLASSES = os.path.join(os.environ.get("COMPAT_CACHE", os.path.expanduser("~/.cache/moldau")), "compat-java-dirs")
# 3.9 has the new groups as a preview, and its clients know them.
EXTRA = {"3.9.1": "group.coordinator.rebalance.protocols=classic,consumer\n"}


def jars_env(version):
    """MOLDAU_KAFKA_JARS names the folder of the last version; its neighbours are named after the others."""
    env = dict(os.environ, MOLDAU_KAFKA_VERSION=version)
    jars = env.get("MOLDAU_KAFKA_JARS")
    if jars and version != LAST:
        beside = os.path.join(os.path.dirname(os.path.realpath(jars)), version)
        if glob.glob(beside + "/kafka_2.13-*.jar"):
            env["MOLDAU_KAFKA_JARS"] = beside
        else:
            del env["MOLDAU_KAFKA_JARS"]
    return env


def kafka(version, *args, timeout=120):
    done = subprocess.run([kafka_dirs.TOOL, *args], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, env=jars_env(version))
    return done.returncode, done.stdout + done.stderr


def jars_of(version):
    code, text = kafka(version, "jars", timeout=600)
    return text.strip().splitlines()[-1] if code == 0 else None


class VersionNode(Node):
    """A node whose Kafka is of some version."""

    def __init__(self, version):
        super().__init__("voters")
        self.version = version
        with open(self.file, "a") as f:
            f.write("transaction.state.log.num.partitions=4\n" + EXTRA.get(version, ""))

    def format(self):
        code, text = kafka(self.version, "class", "kafka.tools.StorageTool", "random-uuid")
        expect("random-uuid " + text, code, 0)
        code, text = kafka(self.version, "class", "kafka.tools.StorageTool", "format", "-t", text.split()[-1], "-c",
                            self.file)
        expect("format " + text, code, 0)

    def start(self, who):
        if who == "moldau":
            super().start(who)
            return
        self.runs, self.version = "kafka", who
        code, text = kafka(who, "restart", "-d", self.dir)
        if code:
            self.runs = None
            raise Wrong(f"Kafka {who} does not start:\n{text}\n{self.log()[-3000:]}")
        self.wait_ready(60)


def fill(node, version):
    """By the clients of that version."""
    jars = jars_of(version)
    os.makedirs(CLASSES, exist_ok=True)
    for args in (["javac", "-nowarn", "-cp", jars + "/*", "-d", CLASSES, os.path.join(here, "java", "DirWriter.java")],
                 ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*:{CLASSES}", "DirWriter",
                  "%s:%d" % node.address, "classic,consumer"]):
        done = subprocess.run(args, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Wrong(f"{args[0]}: {(done.stdout + done.stderr)[-1500:]}")


TOPICS = [f"codec-{c}" for c in kafka_dirs.CODECS] + ["txn", "compacted", "append-time"]
GROUPS = [f"{p}-{i}" for p in ("classic", "consumer") for i in range(3)] + ["txn-group"]


def committed_view(conn, out):
    """What a reader of committed records gets: where it ends, and which transactions it is to leave out."""
    for name in TOPICS:
        for i in range(2 if name not in ("compacted", "append-time") else 1):
            stable = conn.call("ListOffsets", 7, isolation=1, topics=[{"name": name, "partitions": [
                {"index": i, "timestamp": -1}]}]).topics[0].partitions[0]
            out[name, i, "stable"] = stable.error, stable.offset
            answer = conn.fetch(name, 0, i, max_wait_ms=0, partition_max_bytes=1 << 24, isolation=1)
            end, last = 0, -1
            data = bytes(answer.records or b"")
            while end + 61 <= len(data):
                last = int.from_bytes(data[end:end + 8], "big") + int.from_bytes(data[end + 23:end + 27], "big")
                end += int.from_bytes(data[end + 8:end + 12], "big") + 12
            # An answer may name transactions that begin behind what it brings.
            out[name, i, "committed"] = (answer.error, end, answer.last_stable,
                                         sorted((a.producer_id, a.first_offset) for a in answer.aborted or ()
                                                if a.first_offset <= last))


def look(node, extra=True):
    with node.conn() as conn:
        out = kafka_dirs.state(conn, TOPICS)
        committed_view(conn, out)
        for group in GROUPS:
            kafka_dirs.coordinated(conn, group)
            answer = conn.call("OffsetFetch", 8, groups=[{"group": group, "topics": None}]).groups[0]
            out["group", group] = answer.error, sorted(
                (t.name, p.index, p.offset, p.leader_epoch, p.metadata) for t in answer.topics for p in t.partitions)
        for name in TOPICS:
            answer = conn.call("DescribeConfigs", 4, resources=[{"type": 2, "name": name, "keys": None}]).results[0]
            out["config", name] = sorted((c.name, c.value) for c in answer.configs if c.source == 1)
    return out


class Trial:
    def __init__(self, version, how, keep):
        self.version, self.how, self.keep = version, how, keep
        self.name = f"{version} ({how})"
        self.node, self.seen = VersionNode(version), None

    def step(self, text, call, *args):
        try:
            call(*args)
        except (Wrong, OSError, AssertionError, brokers.NotReady, subprocess.TimeoutExpired, brokers.Closed,
                brokers.WireError, AttributeError, KeyError) as error:
            log = "\n".join(self.node.log().splitlines()[-12:])
            say("not ok", f"{self.name}: {text}", f"{type(error).__name__}: {error}\n--- {self.node.runs}:\n{log}")
            return False
        say("ok", f"{self.name}: {text}")
        return True

    def note(self):
        self.seen = look(self.node)

    def same(self):
        text = difference(look(self.node), self.seen)
        if text:
            raise Wrong(text)

    def quiet(self):
        bad = [line for line in self.node.log().splitlines() if " ERROR " in line or "stray" in line]
        if bad:
            raise Wrong("\n".join(bad))

    def run(self):
        node = self.node
        steps = [("formats and starts", lambda: (node.format(), node.start(self.version))),
                 ("is filled", lambda: fill(node, self.version)),
                 ("serves it", self.note), (f"ends ({self.how})", lambda: node.end(self.how)),
                 ("Moldau starts", lambda: node.start("moldau")), ("Moldau is content", self.quiet),
                 ("Moldau serves the same", self.same),
                 ("Moldau is killed", lambda: node.end("kill")), ("Moldau starts again", lambda: node.start("moldau")),
                 ("Moldau still serves the same", self.same), ("Moldau ends", lambda: node.end("clean")),
                 ("dump-log reads every file", lambda: kafka_dirs.dump_all(node.data)),
                 (f"Kafka {LAST} starts", lambda: node.start(LAST)), (f"Kafka {LAST} serves the same", self.same),
                 (f"Kafka {LAST} ends", lambda: node.end("clean"))]
        done = {}
        try:
            for text, call in steps:
                done[text] = self.step(text, call)
                if not done[text] and "same" not in text and "content" not in text and "dump" not in text:
                    break
        finally:
            node.close(self.keep)
            if self.keep:
                print(f"# {self.name}: {node.dir}")


def run_all(names, loud, keep):
    kafka_dirs.verbose = loud
    reason = kafka_dirs.missing()
    if not os.access(brokers.binary(), os.X_OK):
        reason = f"no binary at {brokers.binary()}: dev/build makes it, or set MOLDAU"
    if not reason and not shutil.which("javac"):
        reason = "javac is not installed"
    for name in names or [f"{v}:{e}" for v in VERSIONS for e in ENDS.get(v, ("clean",))]:
        version, _, how = name.partition(":")
        if reason or not jars_of(version):
            say("skip", f"directories of {version}", reason or "its jars are missing")
            continue
        Trial(version, how or "clean", keep).run()


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("names", nargs="*")
    p.add_argument("-v", "--verbose", action="store_true")
    p.add_argument("-k", "--keep", action="store_true")
    args = p.parse_args()
    run_all(args.names, args.verbose, args.keep)
    counts = kafka_dirs.counts
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return counts["not ok"] > 0


if __name__ == "__main__":
    sys.exit(main())
