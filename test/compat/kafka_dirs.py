#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Data directories that pass between Moldau and a real Kafka, both ways and several times.

   kafka_dirs.py [-v] [-k] [SCENARIO...]

Each scenario is one directory with one server.properties. Whoever runs on it writes; it ends, cleanly or by kill -9;
the other one starts on the same files and has to show exactly the same: topic ids, start and end offsets, every batch
byte for byte, what a search by time finds, what producers wrote last (a repeated batch is known, the next one is
taken), committed offsets, the members of groups, transactions that are over and one that is open. After every end of
Moldau the original's own tool reads each of its files. -k keeps the directories.

Needs Java and the jars that dev/kafka fetches; without them everything is skipped. PORTS: E2E_PORTS. The last line is
`N passed, N failed, N skipped`."""
import argparse
import glob
import gzip
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "e2e")]
from lib import broker as brokers  # noqa: E402
from lib.batch import GZIP, Record, batch  # noqa: E402

TOOL = os.path.join(brokers.ROOT, "dev", "kafka")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
COMPLAINT = re.compile(r"(?i)exception|mismatch|not valid|isvalid: false|corrupt|invalid|non-?consecutive|"
                       r"out of order|error:|could not|not found|trailing|failed|skipping|unknown record|"
                       r"no (?:decoder|such)")
# What the original says of every directory that it did not write itself just before.
KAFKA_WARNS = re.compile(r"(?i)rebuil|corrupt|truncat|stray|\bERROR\b|\bFATAL\b|invalid|mismatch|inconsisten|missing|"
                         r"not found")
# It is told as an error how long something took on a busy machine.
KAFKA_SLOW = "EventPerformanceMonitor"

counts = {"ok": 0, "not ok": 0, "skip": 0}
verbose = False


def say(result, name, text=""):
    counts[result] += 1
    if result != "ok" or verbose:
        print(f"{result} {name}" + (f" ({text})" if result == "skip" else ""))
    if result == "not ok":
        print("\n".join("# " + line for line in str(text).strip().splitlines()[-40:]))
    sys.stdout.flush()


class Wrong(Exception):
    pass


def expect(what, got, wanted):
    if got != wanted:
        raise Wrong(f"{what}: {got}, not {wanted}")


def kafka_tool(*args, timeout=120):
    done = subprocess.run([TOOL, *args], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def missing():
    if not shutil.which("java"):
        return "java is not installed"
    done = subprocess.run([TOOL, "jars"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"the jars are missing: {done.stderr.strip()[-300:]}"


# ---- a directory and who runs on it

class Node(brokers.Broker):
    """One directory with its server.properties."""

    def __init__(self, quorum="bootstrap"):
        self.dir = tempfile.mkdtemp(prefix="kafka-dirs-")
        self.data, self.file = os.path.join(self.dir, "data"), os.path.join(self.dir, "server.properties")
        self.port, self.controller_port = brokers.free_port(), brokers.free_port()
        while self.controller_port == self.port:
            self.controller_port = brokers.free_port()
        self.address, self.runs, self.moldau = ("127.0.0.1", self.port), None, None
        line = f"controller.quorum.bootstrap.servers=127.0.0.1:{self.controller_port}" if quorum == "bootstrap" \
            else f"controller.quorum.voters=1@127.0.0.1:{self.controller_port}"
        with open(self.file, "w") as f:
            f.write(f"""process.roles=broker,controller
node.id=1
{line}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={self.data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
metadata.log.max.record.bytes.between.snapshots=3000
""")
        for name, value in (("port", self.port), ("heap", "384m")):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(f"{value}\n")

    def dead(self):
        return self.moldau is not None and self.moldau.dead()

    def log(self):
        if self.moldau:
            return self.moldau.log()
        try:
            with open(os.path.join(self.dir, "out.log"), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def start(self, who):
        self.runs = who
        if who == "moldau":
            self.moldau = brokers.Moldau(args=["server", "start", self.file], port=self.port)
            self.moldau.start()
        else:
            code, text = kafka_tool("restart", "-d", self.dir)
            if code:
                self.runs = None
                raise Wrong(f"Kafka does not start:\n{text}\n{self.log()[-3000:]}")
            self.wait_ready(60)

    def end(self, how):
        who, self.runs = self.runs, None
        if who == "kafka":
            code, text = kafka_tool("stop" if how == "clean" else "kill", "-d", self.dir)
            expect("dev/kafka " + text, code, 0)
        elif who == "moldau":
            if how == "clean":
                expect("Moldau's exit code", self.moldau.stop(), 0)
            else:
                self.moldau.kill()
            self.moldau_said = self.moldau.log()
            self.moldau.close()
            self.moldau = None

    def close(self, keep):
        if self.runs:
            self.end("kill")
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


# ---- what is written

def noise(rng, length):
    return rng.randbytes(length)


class Writer:
    """Knows what it wrote last, to repeat it to another broker."""

    def __init__(self):
        self.rng, self.rounds = random.Random(7), 0
        self.topics = {f"codec-{c}": (3, {"compression.type": c if c != "none" else "uncompressed"}) for c in CODECS}
        self.topics.update({
            "plain": (2, {}), "idempotent": (2, {}), "append-time": (1, {"message.timestamp.type": "LogAppendTime"}),
            "segments": (2, {"segment.bytes": 1 << 20, "index.interval.bytes": 4096}),
            "full-index": (1, {"segment.index.bytes": 64, "index.interval.bytes": 1}), "empty": (2, {})})
        self.made, self.last = set(), {}
        self.open = {}  # transactional id: producer

    def records(self, n=8, length=60):
        now = int(time.time() * 1000) - 60000 + 1000 * self.rounds
        return [Record(b"round %d record %d " % (self.rounds, i) + b"filling " * (length // 8), b"key-%d" % i
                       if i % 3 else None,
                       [("n", b"%d" % i), ("null", None), ("\u00fc", b"\0\xff")][:i % 4], now + 3 * i)
                       for i in range(n)]

    def put(self, conn, topic, index, data):
        answer = conn.produce(topic, data, index)
        if answer.error:
            raise Wrong(f"Produce {topic}-{index}: error {answer.error}")
        return answer.base_offset

    def create(self, conn):
        for name, (partitions, configs) in self.topics.items():
            if name not in self.made:
                conn.create(name, partitions, configs)
                self.made.add(name)

    def idempotent(self, conn):
        """The last batch again is no new one; the next one is taken; one with a hole is refused."""
        for index in range(2):
            if index in self.last:
                pid, epoch, sequence, offset, records = self.last[index]
                data = batch(records, producer_id=pid, producer_epoch=epoch, sequence=sequence)
                expect(f"idempotent-{index}: offset of the repeated batch",
                       self.put(conn, "idempotent", index, data), offset)
                hole = batch(self.records(4), producer_id=pid, producer_epoch=epoch, sequence=sequence + 40)
                expect(f"idempotent-{index}: a batch with a hole before it",
                       conn.produce("idempotent", hole, index).error, 45)
                sequence += len(records)
            else:
                (pid, epoch), sequence = conn.init_producer(), 0
            for _ in range(7):
                records = self.records(4)
                offset = self.put(conn, "idempotent", index, batch(records, producer_id=pid, producer_epoch=epoch,
                                                                   sequence=sequence))
                self.last[index] = pid, epoch, sequence, offset, records
                sequence += 4
        fresh = conn.init_producer()[0]
        if any(fresh == last[0] for last in self.last.values()):
            raise Wrong(f"producer id {fresh} was handed out twice")

    def write(self, conn, big=14):
        self.rounds += 1
        self.create(conn)
        for codec in CODECS:
            for index in range(3):
                records = self.records(20, 400)
                data = batch(records, GZIP, gzip.compress) if index == 1 else batch(records)
                for _ in range(3):
                    self.put(conn, f"codec-{codec}", index, data)
        for index in range(2):
            self.put(conn, "plain", index, batch(self.records()))
        self.put(conn, "append-time", 0, batch(self.records()))
        for i in range(big):
            self.put(conn, "segments", i % 2, batch([Record(noise(self.rng, 200000), b"big", [], None)]))
            self.put(conn, "segments", i % 2, batch(self.records(3)))
        for i in range(20):
            self.put(conn, "full-index", 0, batch(self.records(2)))
        self.idempotent(conn)
        self.groups(conn)
        self.transactions(conn)
        # Several with the name of an older one; the last deletion has just been asked for when the broker ends.
        for i in range(2):
            conn.create("fleeting", 2)
            for index in range(2):
                self.put(conn, "fleeting", index, batch(self.records()))
            conn.delete("fleeting")
            end = time.monotonic() + 15
            while conn.metadata("fleeting").topics[0].error != 3:
                if time.monotonic() > end:
                    raise Wrong("a deleted topic stays")
                time.sleep(0.05)

    def groups(self, conn):
        """Offsets of groups without members, one of which goes again; and a group with a static member, which stays."""
        for group in GROUPS:
            coordinated(conn, group)
            answer = conn.call("OffsetCommit", 9, group=group, topics=[{"name": "plain", "partitions": [
                {"index": i, "offset": 10 * self.rounds + i, "leader_epoch": i - 1, "metadata": f"round {self.rounds}"}
                for i in range(2)]}])
            expect("errors of commits", {p.error for t in answer.topics for p in t.partitions}, {0})
        if self.rounds % 2:
            expect("error of the deletion", conn.call("DeleteGroups", 2, groups=GROUPS[:1]).results[0].error, 0)
        coordinated(conn, "members")
        joined = conn.call("JoinGroup", 9, group="members", session_ms=1800000, rebalance_ms=60000, member="",
                           instance="one", type="consumer", protocols=[{"name": "range", "metadata": SUBSCRIPTION}])
        expect("error of the join", joined.error, 0)
        synced = conn.call("SyncGroup", 5, group="members", generation=joined.generation, member=joined.member,
                           instance="one", type="consumer", protocol="range",
                           assignments=[{"member": joined.member, "assignment": b"round 1"}])
        expect("the assignment", (synced.error, synced.assignment), (0, b"round 1"))

    def transactions(self, conn):
        """One that commits, one that aborts, each with offsets; and one that stays open until the other broker, which
        finds it, has ended it a round later."""
        for i, kind in enumerate(TRANSACTIONS):
            coordinated(conn, kind, 1)
            coordinated(conn, "of-" + kind)
            producer = self.open.pop(kind, None)
            if producer:
                settled(conn, "EndTxn", 3, transactional_id=kind, producer_id=producer[0], producer_epoch=producer[1],
                        committed=self.rounds % 2 == 0)
            begun = settled(conn, "InitProducerId", 4, transactional_id=kind, timeout_ms=900000)
            who = {"transactional_id": kind, "producer_id": begun.producer_id, "producer_epoch": begun.producer_epoch}
            settled(conn, "AddOffsetsToTxn", 3, group_id="of-" + kind, **who)
            answer = conn.call("TxnOffsetCommit", 3, group_id="of-" + kind, topics=[{"name": "plain", "partitions": [
                {"index": 0, "offset": 100 * self.rounds + i, "metadata": kind}]}], **who)
            expect(f"error of offsets in {kind}", answer.topics[0].partitions[0].error, 0)
            if kind == "open":
                self.open[kind] = begun.producer_id, begun.producer_epoch
            else:
                settled(conn, "EndTxn", 3, committed=kind == "committed", **who)

    def names(self):
        return sorted(self.made)


GROUPS = [f"offsets-{i}" for i in range(6)]
SUBSCRIPTION = b"\0\0\0\0\0\1\0\5plain\xff\xff\xff\xff"


TRANSACTIONS = ["committed", "aborted", "open"]


def settled(conn, name, version, **values):
    """Asks again while the transaction before ends, or its coordinator loads."""
    end = time.monotonic() + 20
    while True:
        answer = conn.call(name, version, **values)
        if answer.error not in (14, 15, 16, 51) or time.monotonic() > end:
            expect(f"error of {name} of {values['transactional_id']}", answer.error, 0)
            return answer
        time.sleep(0.05)


def state_of_transactions(conn, out):
    for kind in TRANSACTIONS:
        coordinated(conn, kind, 1)
        coordinated(conn, "of-" + kind)
        end = time.monotonic() + 20
        while True:
            one = conn.call("DescribeTransactions", 0, transactional_ids=[kind]).states[0]
            if one.error not in (14, 15, 16) and not one.state.startswith("Prepare") or time.monotonic() > end:
                break
            time.sleep(0.05)
        out["transaction", kind] = (one.error, one.state, one.timeout_ms, one.start_ms, one.producer_id,
                                    one.producer_epoch,
                                    sorted((t.name, tuple(sorted(t.partitions))) for t in one.topics))
        for stable in (False, True):
            answer = conn.call("OffsetFetch", 8, require_stable=stable, groups=[
                {"group": "of-" + kind, "topics": [{"name": "plain", "partitions": [0]}]}]).groups[0]
            out["transaction", kind, stable] = answer.error, [(p.error, p.offset, p.metadata)
                                                              for t in answer.topics for p in t.partitions]


def coordinated(conn, group, kind=0):
    """Until its coordinator serves."""
    end = time.monotonic() + 20
    while conn.call("FindCoordinator", 3, key=group, key_type=kind).error or \
            not kind and conn.call("DescribeGroups", 5, groups=[group]).groups[0].error:
        if time.monotonic() > end:
            raise Wrong(f"no coordinator for {group}")
        time.sleep(0.05)


def state_of_groups(conn, out):
    for group in GROUPS:
        coordinated(conn, group)
        answer = conn.call("OffsetFetch", 8, groups=[{"group": group, "topics": None}]).groups[0]
        out["group", group] = answer.error, sorted(
            (t.name, p.index, p.offset, p.leader_epoch, p.metadata) for t in answer.topics for p in t.partitions)
    coordinated(conn, "members")
    answer = conn.call("DescribeGroups", 5, groups=["members"]).groups[0]
    out["group", "members"] = answer.state, answer.type, answer.protocol, [tuple(sorted(m.items()))
                                                                           for m in answer.members]


def state(conn, names):
    """All that must be the same for both."""
    out = {}
    for name in names:
        topic = conn.wait_leader(name, len(conn.metadata(name).topics[0].partitions))
        out[name, "id"] = str(topic.topic_id)
        for p in sorted(topic.partitions, key=lambda p: p.index):
            i = p.index
            start, end = conn.list_offset(name, -2, i).offset, conn.list_offset(name, -1, i).offset
            digest, offset, size, first = hashlib.sha256(), start, 0, True
            while offset < end:
                answer = conn.fetch(name, offset, i, max_wait_ms=0, partition_max_bytes=1 << 24)
                if answer.error or not answer.records:
                    raise Wrong(f"Fetch {name}-{i} at {offset} of {end}: error {answer.error}, nothing")
                data, at = bytes(answer.records), 0
                while at + 61 <= len(data):
                    length = int.from_bytes(data[at + 8:at + 12], "big") + 12
                    if at + length > len(data):
                        break
                    base = int.from_bytes(data[at:at + 8], "big")
                    if not (first and base <= offset):
                        expect(f"{name}-{i}: next batch", base, offset)
                    first = False
                    digest.update(data[at:at + length])
                    offset, at = base + int.from_bytes(data[at + 23:at + 27], "big") + 1, at + length
                size += at
            out[name, i] = start, end, size, digest.hexdigest()[:16]
            latest = conn.list_offset(name, -3, i)
            out[name, i, "latest"] = latest.offset, latest.timestamp
            if latest.timestamp > 0:
                for back in (0, 500, 1500, 60000):
                    found = conn.list_offset(name, latest.timestamp - back, i)
                    out[name, i, back] = found.offset, found.timestamp
    if "plain" in names:
        state_of_groups(conn, out)
        state_of_transactions(conn, out)
    out["topics"] = sorted(t.name for t in conn.call("Metadata", 12, topics=None).topics if not t.name.startswith("__"))
    return out


def difference(got, wanted):
    """Of what is wanted."""
    return "\n".join(f"{key}: {got.get(key)}, not {value}" for key, value in wanted.items() if got.get(key) != value)


# ---- the original's reader of files

def dump(files, *options):
    """Ours has to say the same, word by word."""
    env = dict(os.environ, LC_ALL="C.UTF-8", JAVA_OPTS="-Dfile.encoding=UTF-8")
    words = ["--files", ",".join(files), *options]
    theirs, ours = (subprocess.run(command + words, capture_output=True, timeout=120, stdin=subprocess.DEVNULL, env=env)
                    for command in ([TOOL, "tool", "dump-log"], [brokers.binary(), "debug", "dump-log"]))
    code, text = theirs.returncode, (theirs.stdout + theirs.stderr).decode(errors="replace")
    if not code and ours.stdout != theirs.stdout:
        lines = [(a, b) for a, b in zip(theirs.stdout.splitlines(), ours.stdout.splitlines()) if a != b]
        raise Wrong(f"moldau debug dump-log {' '.join(options)} differs: {lines[:2] or 'in length'} "
                    f"{ours.stderr[-500:]}")
    # It says of the first record of any segment but 0 that "-1 is followed by" it.
    text = re.sub(r"(?m)^Non-consecutive offsets in .*\n  -1 is followed by \d+\n(?!  )", "", text)
    bad = [line for line in text.splitlines() if COMPLAINT.search(line.split(" payload: ")[0])]
    if code or bad:
        raise Wrong(f"dump-log {' '.join(options)} ended with {code}:\n"
                    + "\n".join(bad[:12] or text.splitlines()[-12:]))
    return text


def dump_all(data):
    """Every file of the directory; returns how many."""
    logs = [f for f in glob.glob(f"{data}/*/*.log") if "__cluster_metadata" not in f
            and not re.search("-(delete|stray)/", f)]
    metadata = glob.glob(f"{data}/__cluster_metadata-0/*.log") + glob.glob(f"{data}/__cluster_metadata-0/*.checkpoint")
    folders = {os.path.dirname(f) for f in logs}
    indexes = [f for d in folders for f in glob.glob(f"{d}/*.index") + glob.glob(f"{d}/*.timeindex")]
    snapshots = [f for d in folders for f in glob.glob(f"{d}/*.snapshot")]
    text = dump(logs, "--deep-iteration", "--print-data-log")
    records = len(re.findall(r"(?m)^\| offset: ", text))
    stored = sum(os.path.getsize(f) for f in logs)
    if not records or (stored and "isvalid: true" not in text):
        raise Wrong(f"dump-log printed {records} records of {stored} bytes")
    offsets = [f for f in logs if "__consumer_offsets" in f]
    if offsets:
        dump(offsets, "--offsets-decoder")
    transactions = [f for f in logs if "__transaction_state" in f]
    if transactions:
        dump(transactions, "--transaction-log-decoder")
    dump(indexes, "--index-sanity-check")
    dump(indexes, "--verify-index-only")
    if snapshots:
        dump(snapshots)
    dump(metadata, "--cluster-metadata-decoder")
    return len(logs) + len(indexes) + len(snapshots) + len(metadata)


# ---- one exchange after the other

class Exchange:
    def __init__(self, name, node):
        self.name, self.node, self.writer, self.seen, self.last = name, node, Writer(), None, None

    def step(self, text, call, *args):
        name = f"{self.name}: {text}"
        try:
            call(*args)
        except (Wrong, OSError, AssertionError, brokers.NotReady, subprocess.TimeoutExpired, brokers.Closed,
                brokers.WireError) as error:
            log = "\n".join(self.node.log().splitlines()[-12:])
            say("not ok", name, f"{type(error).__name__}: {error}\n--- {self.node.runs or self.last}:\n{log}")
            return False
        say("ok", name)
        return True

    def start(self, who, clean):
        self.node.start(who)
        if who != "kafka":
            bad = [line for line in self.node.log().splitlines()
                   if re.search(r"\bERROR\b|stray|truncated|index_rebuild", line)]
            if bad:
                raise Wrong("Moldau complains:\n" + "\n".join(bad))
            return
        text = self.node.log()
        found = "since clean shutdown file was found" in text
        if clean is not None:
            expect("Kafka found a clean shutdown", found, clean)
        bad = [line for line in text.splitlines() if KAFKA_WARNS.search(line)
               and "no clean shutdown" not in line and KAFKA_SLOW not in line]
        if bad and clean is not False:
            raise Wrong("Kafka complains:\n" + "\n".join(bad))

    def check(self, clean):
        with self.node.conn() as conn:
            got = state(conn, self.writer.names())
        mended = [line for line in self.node.log().splitlines() if "log.recovered" in line]
        if clean and mended:
            raise Wrong("Moldau mends a directory that was left in order:\n" + "\n".join(mended))
        text = difference(got, self.seen or {})
        if text:
            raise Wrong(text)

    def more(self, big):
        with self.node.conn() as conn:
            self.writer.write(conn, big)
            self.seen = state(conn, self.writer.names())

    def dump(self):
        dump_all(self.node.data)

    # What only the original's tools can ask or do, while it runs.

    def tool(self, name, *args):
        code, text = kafka_tool("tool", name, "--bootstrap-server", "%s:%d" % self.node.address, *args)
        if code:
            raise Wrong(f"{name} {' '.join(args)}: {text[-600:]}")
        return text

    def sees(self, wanted, name, *args):
        text = self.tool(name, *args)
        for words in wanted:
            if words not in text:
                raise Wrong(f"{name} {' '.join(args)} does not tell {words}:\n{text}")

    def delete_records(self):
        """The start offset then lies inside a segment and inside a batch."""
        path = os.path.join(self.node.dir, "delete.json")
        with open(path, "w") as f:
            f.write('{"version": 1, "partitions": [{"topic": "segments", "partition": 0, "offset": 26},'
                    ' {"topic": "plain", "partition": 0, "offset": 3}]}')
        self.tool("delete-records", "--offset-json-file", path)
        with self.node.conn() as conn:
            expect("start offset", conn.list_offset("segments", -2, 0).offset, 26)
            self.seen = state(conn, self.writer.names())
        # Until it removes the segment below, its searches by time look there too: they find nothing, or what is gone.
        for key in [key for key in self.seen if key[:2] == ("segments", 0) and len(key) == 3]:
            del self.seen[key]

    def snapshots(self):
        found = glob.glob(f"{self.node.data}/__cluster_metadata-0/*.checkpoint")
        if len(found) < 3:
            raise Wrong(f"few snapshots of the metadata were made: {found}")

    def run(self, turns, extra=()):
        """turns: (who, how it ends). extra: {turn: [(text, call, argument...)...]}, before its end."""
        clean = None
        for n, (who, how) in enumerate(turns):
            other = who.capitalize()
            number = f"turn {n + 1}"
            if not self.step(f"{number}: {other} starts", self.start, who, clean):
                return
            if not self.step(f"{number}: {other} shows what was there", self.check, clean):
                return
            if not self.step(f"{number}: {other} takes more", self.more, 14 if n == 0 else 4):
                return
            self.last = who
            for text, call, *args in dict(extra).get(n + 1, ()):
                self.step(f"{number}: {text}", call, *args)
            if not self.step(f"{number}: {other} ends ({how})", self.node.end, how):
                return
            clean = how == "clean"
            if who == "moldau":
                self.step(f"{number}: dump-log reads every file", self.dump)


class Loaded(Exchange):
    """Killed in the middle of writing: nothing that was acknowledged may be lost or be another one later."""

    def __init__(self, name, node):
        super().__init__(name, node)
        self.acknowledged, self.number = {0: {}, 1: {}}, 0

    def load(self, index, stop):
        """Writes until the connection breaks."""
        try:
            with self.node.conn() as conn:
                while not stop.is_set():
                    self.number += 1
                    values = [b"load %d %d %d" % (index, self.number, i) for i in range(3)]
                    answer = conn.produce("load", batch([Record(v) for v in values]), index)
                    if answer.error:
                        raise Wrong(f"Produce load-{index}: error {answer.error}")
                    self.acknowledged[index].update({answer.base_offset + i: v for i, v in enumerate(values)})
        except (brokers.Closed, brokers.WireError, OSError):
            pass

    def more(self, big):
        with self.node.conn() as conn:
            if "load" not in [t.name for t in conn.call("Metadata", 12, topics=None).topics]:
                conn.create("load", 2)
            conn.wait_leader("load", 2)
        super().more(big)

    def end_loaded(self):
        before, stop = sum(map(len, self.acknowledged.values())), threading.Event()
        threads = [threading.Thread(target=self.load, args=(i, stop)) for i in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        self.node.end("kill")
        stop.set()
        for thread in threads:
            thread.join(20)
        if sum(map(len, self.acknowledged.values())) < before + 20:
            raise Wrong("there was no load")

    def check_load(self):
        with self.node.conn() as conn:
            for index, wanted in self.acknowledged.items():
                got = {r.offset: r.value for r in conn.read_all("load", 0, index)} if wanted else {}
                lost = [offset for offset, value in wanted.items() if got.get(offset) != value]
                if lost:
                    raise Wrong(f"load-{index}: {len(lost)} of {len(wanted)} acknowledged records are not there or "
                                f"others, the first at {min(lost)} of {len(got)}")

    def run_loaded(self, turns):
        for n in range(turns):
            who = ("moldau", "kafka")[n % 2]
            number, other = f"turn {n + 1}", who.capitalize()
            if not self.step(f"{number}: {other} starts", self.start, who, False if n else None):
                return
            if not self.step(f"{number}: {other} shows what was there", self.check, False):
                return
            if not self.step(f"{number}: {other} has all that was acknowledged", self.check_load):
                return
            if not self.step(f"{number}: {other} takes more", self.more, 2):
                return
            if not self.step(f"{number}: {other} is killed under load", self.end_loaded):
                return
        if self.step("Moldau starts at last", self.start, "moldau", False) and \
                self.step("Moldau shows what was there", self.check, False) and \
                self.step("Moldau has all that was acknowledged", self.check_load):
            self.step("Moldau ends", self.node.end, "clean")
            self.step("dump-log reads every file", self.dump)


def scenario_ten_times(name, node):
    Loaded(name, node).run_loaded(10)


def format_with(node, *options):
    code, text = kafka_tool("class", "kafka.tools.StorageTool", "random-uuid")
    expect("random-uuid", code, 0)
    cluster = text.split()[-1]
    code, text = kafka_tool("tool", "storage", "format", "-t", cluster, "-c", node.file, *options)
    if code:
        raise Wrong(f"format {' '.join(options)}: {text}")


ROUNDS = [("moldau", "clean"), ("kafka", "clean"), ("moldau", "kill"), ("kafka", "kill"), ("moldau", "clean"),
          ("kafka", "clean"),
          ("moldau", "clean")]


def scenario_moldau_first(name, node):
    exchange = Exchange(name, node)
    exchange.run(ROUNDS, {2: [
        ("Kafka knows the topics' settings", exchange.sees, ["segment.bytes=1048576", "index.interval.bytes=4096"],
         "topics", "--describe", "--topic", "segments"),
        ("Kafka deletes records", exchange.delete_records)], 7: [("snapshots of the metadata", exchange.snapshots)]})


def scenario_kafka_standalone(name, node):
    exchange = Exchange(name, node)
    if exchange.step("kafka-storage formats", format_with, node, "--standalone"):
        exchange.run(ROUNDS[1:], {1: [("Kafka deletes records", exchange.delete_records)],
                                  6: [("snapshots of the metadata", exchange.snapshots)]})


def scenario_kafka_static(name, node):
    exchange = Exchange(name, node)
    if exchange.step("kafka-storage formats", format_with, node):
        exchange.run([("kafka", "kill"), ("moldau", "kill"), *ROUNDS[1:3], ("kafka", "clean"), ("moldau", "clean")])


def scenario_kafka_scram(name, node):
    """Formatted and never started; users and an older release are in bootstrap.checkpoint."""
    exchange = Exchange(name, node)
    if exchange.step("kafka-storage formats", format_with, node, "--standalone", "--add-scram",
                     "SCRAM-SHA-256=[name=alice,password=wonder]", "--release-version", "4.0-IV3"):
        exchange.run([("moldau", "clean"), ("kafka", "clean"), ("moldau", "kill"), ("kafka", "clean")], {4: [
            ("Kafka knows the user", exchange.sees, ["user-principal 'alice'"], "configs", "--describe",
             "--entity-type", "users"),
            ("Kafka knows the release", exchange.sees, ["FinalizedVersionLevel: 4.0-IV3"], "features", "describe")]})


# The file that comes with the original, without its comments.
STOCK = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,\
SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
"""


def scenario_stock_file(name, node):
    """Only ports and folder are others."""
    with open(node.file, "w") as f:
        f.write(STOCK.replace(":9092", f":{node.port}").replace(":9093", f":{node.controller_port}")
                .replace("/tmp/kraft-combined-logs", node.data))
    Exchange(name, node).run([("moldau", "clean"), ("kafka", "clean"), ("moldau", "clean")])


def scenario_kafka_old_release(name, node):
    exchange = Exchange(name, node)
    if exchange.step("kafka-storage formats", format_with, node, "--release-version", "3.7-IV4"):
        exchange.run([("moldau", "kill"), ("kafka", "clean"), ("moldau", "clean")])


SCENARIOS = {
    "moldau-first": (scenario_moldau_first, "bootstrap"),
    "kafka-standalone": (scenario_kafka_standalone, "bootstrap"),
    "kafka-static": (scenario_kafka_static, "voters"),
    "kafka-scram": (scenario_kafka_scram, "bootstrap"),
    "stock-file": (scenario_stock_file, "bootstrap"),
    "kafka-old-release": (scenario_kafka_old_release, "voters"),
    "ten-times": (scenario_ten_times, "bootstrap"),
}


def run_all(names, loud, keep):
    global verbose
    verbose = loud
    reason = missing()
    if not os.access(brokers.binary(), os.X_OK):
        reason = f"no binary at {brokers.binary()}: dev/build makes it, or set MOLDAU"
    for name in names or SCENARIOS:
        if reason:
            say("skip", f"directories: {name}", reason)
            continue
        call, quorum = SCENARIOS[name]
        node = Node(quorum)
        try:
            call(name, node)
        finally:
            node.close(keep)
            if keep:
                print(f"# {name}: {node.dir}")


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("names", nargs="*")
    p.add_argument("-v", "--verbose", action="store_true")
    p.add_argument("-k", "--keep", action="store_true")
    args = p.parse_args()
    if set(args.names) - set(SCENARIOS):
        sys.exit(f"there are {', '.join(SCENARIOS)}")
    run_all(args.names, args.verbose, args.keep)
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return counts["not ok"] > 0


if __name__ == "__main__":
    sys.exit(main())
