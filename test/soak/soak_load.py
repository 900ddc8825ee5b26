# SPDX-License-Identifier: Apache-2.0
"""The load of the soak: threads that write, delete, commit, create and read while the broker dies under them.

A thread's connection may break at any moment. What was asked and not answered may have happened or not;
everything else is known. Writers are idempotent and repeat what was not answered until it is.
"""
import collections
import random
import threading
import time

from lib.batch import GZIP, Record, batch, batches
from lib.client import Closed
from lib.wire import WireError

from soak_model import Log, Walk, value_of

WINDOW = 5
BROKEN = (Closed, OSError)
AGAIN = {3, 5, 6, 7, 9, 13, 14, 15, 16, 56}  # errors that say "later"
OUT_OF_ORDER, OUT_OF_RANGE, NOT_THERE = 45, 1, 3
NO_BROKER = 38  # the only one is about to stop
PATIENCE_S = 30
RECHECK = 300


class Task(threading.Thread):
    """A loop with a connection of its own. turn() does a piece; a broken connection is made anew."""

    def __init__(self, soak, seed):
        super().__init__(daemon=True)
        self.soak, self.tally, self.random, self.conn = soak, soak.tally, random.Random(seed), None

    def run(self):
        while not self.soak.quiet.is_set() or not self.settled():
            if self.soak.gone.is_set():
                return
            try:
                if self.conn is None:
                    self.conn = self.soak.broker.conn(timeout=20)
                    self.connected()
                self.turn()
            except BROKEN:
                self.drop()
                time.sleep(0.02)
            except (WireError, AssertionError, KeyError, IndexError, ValueError) as error:
                self.tally.check(False, f"{type(self).__name__}: {error!r}")
                self.drop()
                time.sleep(0.5)
        self.drop()

    def drop(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def connected(self):
        pass

    def settled(self):
        return True


class Stream:
    """One idempotent producer on one partition."""

    def __init__(self, log, writer):
        self.log, self.writer, self.number = log, writer, 0
        self.id, self.epoch, self.sequence = None, 0, 0
        self.open = collections.deque()  # (sequence, records, bytes), oldest first
        self.stuck_since = None

    def next(self, rng):
        n, records = rng.randrange(1, 8), []
        for i in range(n):
            key = b"k%d" % rng.randrange(30) if self.log.kind == "compacted" else None
            records.append((key, value_of(self.writer, self.number + i, b"x" * rng.randrange(200))))
        data = batch([Record(v, k) for k, v in records], GZIP if rng.random() < 0.2 else 0,
                     producer_id=self.id, producer_epoch=self.epoch, sequence=self.sequence)
        self.open.append((self.sequence, records, data))
        self.number += n
        self.sequence += n


class Writer(Task):
    """Several streams over one connection, each with up to five batches on their way."""

    def __init__(self, soak, seed, streams):
        super().__init__(soak, seed)
        self.streams, self.air = streams, collections.deque()

    def connected(self):
        self.air.clear()
        for stream in self.streams:
            self.repeat(stream)

    def repeat(self, stream):
        for item in stream.open:
            self.send(stream, item)

    def send(self, stream, item):
        correlation = self.conn.send("Produce", 9, acks=-1, timeout_ms=5000, topics=[
            {"name": stream.log.topic, "partitions": [{"index": stream.log.index, "records": item[2]}]}])
        self.air.append((correlation, stream, item))

    def settled(self):
        return not any(s.open for s in self.streams)

    def turn(self):
        if not self.soak.quiet.is_set() and not self.air:
            for stream in self.streams:
                self.new_id(stream)
            for stream in self.streams:
                if len(stream.open) < WINDOW:
                    stream.next(self.random)
                    self.send(stream, stream.open[-1])
        again = set()
        while self.air:
            correlation, stream, item = self.air.popleft()
            answer = self.conn.recv("Produce", 9, correlation).topics[0].partitions[0]
            if self.answered(stream, item, answer):
                again.add(stream)
        for stream in again:
            self.repeat(stream)
        time.sleep(0.05 if again else self.soak.pause_s)

    def new_id(self, stream):
        if not stream.open and (stream.id is None or self.random.random() < 0.002):
            answer = self.conn.settled("InitProducerId", 4)
            self.tally.check(answer.error == 0, f"InitProducerId: error {answer.error}")
            stream.id, stream.epoch, stream.sequence = answer.producer_id, answer.producer_epoch, 0

    def answered(self, stream, item, answer):
        """True when the batch has to be sent again."""
        if answer.error == 0:
            self.tally.check(stream.open and stream.open[0] is item,
                             f"{stream.log}: sequence {item[0]} was taken before older ones")
            stream.open.remove(item)
            stream.log.acked(answer.base_offset, item[1])
            stream.stuck_since = None
            return False
        now = time.monotonic()
        stream.stuck_since = stream.stuck_since or now
        if answer.error in AGAIN or answer.error == OUT_OF_ORDER:
            if now - stream.stuck_since < PATIENCE_S:
                return True
        stream.log.fail(f"sequence {item[0]} of producer {stream.id}: error {answer.error}")
        stream.open.clear()
        stream.id, stream.stuck_since = None, None
        return False


class Trimmer(Task):
    """Deletes records; what it was told holds for ever."""

    def __init__(self, soak, seed, logs):
        super().__init__(soak, seed)
        self.logs = logs

    def turn(self):
        time.sleep(self.random.uniform(0.05, 0.6))
        log = self.random.choice(self.logs)
        end, start, _ = log.known()
        goal = start + (end - start) * self.random.randrange(0, 90) // 100
        answer = self.conn.call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": log.topic, "partitions": [{"index": log.index, "offset": goal}]}]).topics[0].partitions[0]
        if answer.error in AGAIN:
            return
        if self.tally.check(answer.error == 0 and answer.low_watermark >= goal,
                            f"{log}: DeleteRecords to {goal}: error {answer.error}, {answer.low_watermark}"):
            with log.lock:
                log.trimmed_to = max(log.trimmed_to, answer.low_watermark)


class Committer(Task):
    """Commits rising offsets for a group, and asks what they are."""

    def __init__(self, soak, seed, log):
        super().__init__(soak, seed)
        self.group, self.log, self.sent, self.acked = f"soak-{seed}", log, 0, 0

    def connected(self):
        self.ask()

    def ask(self):
        answer = self.conn.call("OffsetFetch", 8, groups=[{"group": self.group, "topics": [
            {"name": self.log.topic, "partitions": [self.log.index]}]}]).groups[0]
        error = answer.error or answer.topics[0].partitions[0].error
        if error in AGAIN:
            return
        offset = answer.topics[0].partitions[0].offset if not error else None
        self.tally.check(not error and (self.acked <= offset <= self.sent or offset == -1 and not self.acked),
                         f"{self.group}: committed {self.acked} to {self.sent}, found {offset}, error {error}")

    def turn(self):
        time.sleep(self.random.uniform(0, 0.1))
        self.sent += 1
        partition = {"index": self.log.index, "offset": self.sent, "leader_epoch": -1, "metadata": ""}
        answer = self.conn.call("OffsetCommit", 8, group=self.group, generation=-1, member="", topics=[
            {"name": self.log.topic, "partitions": [partition]}])
        error = answer.topics[0].partitions[0].error
        if not error:
            self.acked = self.sent
        elif error not in AGAIN:
            self.tally.check(False, f"{self.group}: OffsetCommit {self.sent}: error {error}")
        if self.random.random() < 0.1:
            self.ask()


class Churner(Task):
    """Creates and deletes topics of few names: an answer holds, and a new one has nothing of the old."""

    def __init__(self, soak, seed):
        super().__init__(soak, seed)
        self.names = {f"churn-{seed}-{i}": None for i in range(4)}  # None: unknown; False: not there; else its records

    def topic_error(self, name):
        return self.conn.metadata(name).topics[0].error

    def turn(self):
        time.sleep(self.random.uniform(0, 0.2))
        name = self.random.choice(list(self.names))
        state = self.names[name]
        self.names[name] = None
        if state is None:
            error = self.conn.call("DeleteTopics", 5, names=[name]).topics[0].error
            if error in (0, NOT_THERE):
                self.names[name] = False
        elif state is False:
            self.create(name)
        else:
            self.use(name, state)

    def create(self, name):
        gone = self.topic_error(name)
        self.tally.check(gone == NOT_THERE, f"{name}: deleted, but Metadata says {gone}")
        answer = self.conn.call("CreateTopics", 7, timeout_ms=10000, topics=[
            {"name": name, "partition_n": 3, "replication_factor": 1, "configs": []}]).topics[0]
        if answer.error in AGAIN or answer.error == NO_BROKER and "fenced" in answer.message:
            return
        if self.tally.check(answer.error == 0, f"{name}: CreateTopics: error {answer.error} {answer.message}"):
            self.names[name] = []

    def values(self, name):
        """All records; None while the broker is about to stop."""
        out, end = [], 1
        while len(out) < end:
            answer = self.conn.fetch(name, len(out), max_wait_ms=0)
            if answer.error in AGAIN:
                return None
            if answer.error:
                raise AssertionError(f"{name}: Fetch at {len(out)}: error {answer.error}")
            end = answer.high_watermark
            got = [r.value for b in batches(answer.records) for r in b.records]
            if len(out) < end and not got:
                raise AssertionError(f"{name}: nothing at {len(out)}, the high watermark is {end}")
            out += got
        return out

    def use(self, name, values):
        there = self.topic_error(name)
        if there in AGAIN - {NOT_THERE}:
            self.names[name] = values
            return
        if not self.tally.check(there == 0, f"{name}: created, but Metadata says {there}"):
            return
        found = self.values(name)
        if found is None:
            self.names[name] = values
            return
        if not self.tally.check(found == values, f"{name}: {len(found)} records where {len(values)} were"):
            return
        if self.random.random() < 0.4:
            error = self.conn.call("DeleteTopics", 5, names=[name]).topics[0].error
            self.tally.check(error == 0 or error in AGAIN, f"{name}: DeleteTopics: error {error}")
            self.names[name] = False if error == 0 else None
            return
        value = b"%s:%d" % (name.encode(), self.random.randrange(1 << 60))
        answer = self.conn.produce(name, [value])
        if answer.error == 0:
            self.tally.check(answer.base_offset == len(values),
                             f"{name}: the {len(values)}th record came to offset {answer.base_offset}")
            self.names[name] = values + [value]


class Reader(Task):
    """Follows logs to their ends and, after each start of the broker, looks again at what it has read last."""

    def __init__(self, soak, seed, logs):
        super().__init__(soak, seed)
        self.walks = [Walk(log, 0) for log in logs]
        self.unchecked = set()

    def connected(self):
        self.unchecked = set(self.walks)

    def turn(self):
        for walk in self.walks:
            if walk in self.unchecked:
                self.look_again(walk)
            self.follow(walk)
        time.sleep(0.05)

    def offset(self, log, timestamp):
        answer = self.conn.list_offset(log.topic, timestamp, log.index)
        return None if answer.error in AGAIN else answer.offset

    def look_again(self, walk):
        log = walk.log
        acked_end, _, trimmed_to = log.known()
        start, end = self.offset(log, -2), self.offset(log, -1)
        if start is None or end is None:
            return
        log.moved_start(start, "ListOffsets")
        self.tally.check(end >= acked_end and end >= walk.next,
                         f"{log}: ends at {end}, acknowledged {acked_end}, read {walk.next}")
        self.tally.check(start >= trimmed_to, f"{log}: starts at {start}, records before {trimmed_to} were deleted")
        walk.jump(max(start, walk.next - RECHECK, 0))
        self.unchecked.discard(walk)

    def follow(self, walk):
        log = walk.log
        answer = self.conn.fetch(log.topic, walk.next, log.index, max_wait_ms=0, partition_max_bytes=1 << 18)
        if answer.error in AGAIN:
            return
        if answer.error == OUT_OF_RANGE:
            self.passed_by(walk)
            return
        if answer.error:
            log.fail(f"Fetch at {walk.next}: error {answer.error}")
            return
        for got in batches(answer.records):
            for record in got.records:
                if record.offset >= walk.next:
                    walk.record(record)
            # Compaction may leave nothing between the last record and the end of its batch.
            if not walk.is_dense:
                walk.next = max(walk.next, got.next_offset)

    def passed_by(self, walk):
        """The start of the log has overtaken the reader."""
        start = self.offset(walk.log, -2)
        if start is None:
            return
        walk.log.moved_start(start, "ListOffsets")
        self.tally.check(start > walk.next and walk.log.kind in ("retained", "trimmed"),
                         f"{walk.log}: {walk.next} is out of range, the start is {start}")
        if start > walk.next:
            walk.jump(start)


def read_whole(conn, log):
    """At the end, in quiet: everything from the start on, against all that is known."""
    start, end = (conn.list_offset(log.topic, when, log.index).offset for when in (-2, -1))
    acked_end, _, trimmed_to = log.known()
    failed = log.tally.failed
    log.moved_start(start, "at the end")
    walk, found = Walk(log, start), {}
    while walk.next < end:
        before = walk.next
        for got in batches(conn.fetch(log.topic, walk.next, log.index, max_wait_ms=0).records):
            for record in got.records:
                if record.offset >= walk.next:
                    walk.record(record)
                    found[record.offset] = record
            if not walk.is_dense:
                walk.next = max(walk.next, got.next_offset)
        if walk.next == before:
            log.fail(f"nothing at {before}, the end is {end}")
            break
    log.tally.check(log.tally.failed == failed, f"{log}: read whole")
    log.tally.check(end == acked_end, f"{log}: ends at {end}, acknowledged {acked_end}")
    log.tally.check(start >= trimmed_to, f"{log}: starts at {start}, deleted to {trimmed_to}")
    if log.kind == "compacted":
        lost = [k for k, offset in log.newest.items() if offset not in found]
        log.tally.check(not lost, f"{log}: the newest records of {lost} are missing")
    else:
        lost = [o for o in log.at if o >= start and o not in found]
        log.tally.check(not lost, f"{log}: {len(lost)} records are missing, the first is {min(lost, default=0)}")
    return len(found)
