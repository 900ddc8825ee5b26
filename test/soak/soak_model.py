# SPDX-License-Identifier: Apache-2.0
"""What the soak knows: what was acknowledged, what was seen, and what may never be otherwise afterwards.

1. What stands at an offset never changes: the first who saw it, by an answer or by reading, is believed for ever.
2. The records of one writer stand in the log in their order, each once: number n is followed by n + 1 of the same one.
3. Nothing acknowledged is missing, unless the start of the log has passed it, which only a topic with retention or with
   deleted records may do, or compaction has taken it, which needs a newer record of its key.
4. Starts of logs, ends of logs and committed offsets never go back.
"""
import threading


class Tally:
    """Passed and failed checks; a failure is said at once."""

    def __init__(self):
        self.lock, self.passed, self.failed = threading.Lock(), 0, 0

    def check(self, good, text=""):
        with self.lock:
            self.passed += bool(good)
            self.failed += not good
        if not good:
            print(f"not ok {text}", flush=True)
        return good


class Log:
    """One partition as it must be. kind: plain, trimmed (records are deleted), retained, compacted."""

    def __init__(self, tally, topic, index, kind):
        self.tally, self.topic, self.index, self.kind = tally, topic, index, kind
        self.lock = threading.Lock()
        self.at = {}              # offset: value
        self.newest = {}          # compacted: key -> highest offset known to hold it
        self.acked_end = 0        # behind the last acknowledged record
        self.start = 0            # the highest start that was told
        self.trimmed_to = 0       # what DeleteRecords has answered

    def __str__(self):
        return f"{self.topic}-{self.index}"

    def fail(self, text):
        return self.tally.check(False, f"{self}: {text}")

    def saw(self, offset, key, value):
        """One record, acknowledged or read."""
        with self.lock:
            known = self.at.setdefault(offset, value)
            if self.kind == "compacted":
                self.newest[key] = max(self.newest.get(key, -1), offset)
        if known != value:
            self.fail(f"offset {offset} held {known!r}, now {value!r}")

    def acked(self, base_offset, records):
        for i, (key, value) in enumerate(records):
            self.saw(base_offset + i, key, value)
        with self.lock:
            self.acked_end = max(self.acked_end, base_offset + len(records))

    def moved_start(self, start, told):
        with self.lock:
            if start < self.start:
                return self.fail(f"the start went back from {self.start} to {start} ({told})")
            self.start = start
        if start and self.kind in ("plain", "compacted"):
            return self.fail(f"the start moved to {start} ({told})")
        return True

    def known(self):
        with self.lock:
            return self.acked_end, self.start, self.trimmed_to


class Walk:
    """Reading a log in order: gaps, repetitions, and the order of each writer."""

    def __init__(self, log, offset):
        self.log, self.next, self.last = log, offset, {}
        self.is_dense = log.kind != "compacted"

    def jump(self, offset):
        self.next, self.last = offset, {}

    def record(self, record):
        log, writer, number = self.log, *writer_of(record.value)
        if record.offset < self.next or self.is_dense and record.offset != self.next:
            log.fail(f"read {record.offset} where {self.next} was due")
        before = self.last.get(writer)
        if before is not None and (number <= before or self.is_dense and number != before + 1):
            log.fail(f"at {record.offset}: number {number} of writer {writer} follows {before}")
        self.last[writer] = number
        self.next = record.offset + 1
        log.saw(record.offset, record.key, record.value)


def value_of(writer, number, padding=b""):
    return b"%d:%d:" % (writer, number) + padding


def writer_of(value):
    writer, number, _ = value.split(b":", 2)
    return int(writer), int(number)
