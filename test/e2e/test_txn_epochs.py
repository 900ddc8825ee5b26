# SPDX-License-Identifier: Apache-2.0
"""What producers are told where their epochs end, in each version of transactions: who gets the next producer id and
when, and what whoever was there before is told. The answers of the original are in txn_epochs.json; `run -t kafka` with
KAFKA_OWN=1 compares it with them, and with TXN_EPOCHS=FILE in the environment writes what was said to that file.

Unlike Kafka 4.3, and so apart in that file, we do not answer UNKNOWN_SERVER_ERROR to an InitProducerId that names an
epoch of the past while the present one is the last (a repetition of the one that gave the last is told the same, others
are fenced), and an id goes on after a request that transaction.version 0 has no room for (there it waits for ever).

An id gets to its last epochs by a record in the coordinator's log, as one that had lived that long would have left it,
and a restart."""
import json
import os
import struct
import time
import unittest

from lib.batch import Record, batch
from lib.broker import target
from lib.client import TRANSACTION
import test_transactions as coordinator

EXPECTED = os.path.join(os.path.dirname(os.path.realpath(__file__)), "txn_epochs.json")
EMPTY, COMPLETE_ABORT = 0, 5
EPOCHS = (32764, 32765, 32766, 32767)
STORIES = ("begin", "known", "open_begin", "open_known", "commit_4", "commit_5", "abort_4", "abort_5", "nothing_5",
           "timeout", "timeout_known")
SECONDS = 2 if target() == "kafka" else 20  # only there some wait for ever
BUSY = (14, 15, 16, coordinator.CONCURRENT)


def state_record(tid, pid, epoch, state):
    key = struct.pack(">hh", 0, len(tid)) + tid.encode()
    partitions_n, now_ms = -1 if state == EMPTY else 0, int(time.time() * 1000)
    value = struct.pack(">hqhibiqq", 0, pid, epoch, 60000, state, partitions_n, now_ms, -1)
    return Record(value, key)


class Story:
    """One transactional id; what it was told, in order."""

    def __init__(self, case, tid, pid, epoch, timeout_ms):
        self.case, self.tid, self.topic, self.timeout_ms, self.said = case, tid, case.shared_topic, timeout_ms, []
        self.names = {pid: "a", -1: "-"}
        self.p = (pid, epoch)

    def producer(self, answer):
        if not hasattr(answer, "producer_id"):
            return ""
        return f" {self.names.setdefault(answer.producer_id, chr(96 + len(self.names)))}{answer.producer_epoch}"

    def ask(self, what, call):
        answer = self.case.retry(call, BUSY, SECONDS)
        self.said.append(f"{what}: {answer.error}{self.producer(answer)}")
        if answer.error == 0 and getattr(answer, "producer_id", -1) >= 0:
            return answer.producer_id, answer.producer_epoch
        return None

    def init(self, known=None, version=5):
        pid, epoch = known or (-1, -1)
        values = {"producer_id": pid, "producer_epoch": epoch} if version >= 3 else {}
        what = f"init {self.names[pid]}{epoch} v{version}" if known else f"init v{version}"
        return self.ask(what, lambda: self.case.init_once(version, id=self.tid, timeout_ms=self.timeout_ms, **values))

    def end(self, p, commit, version):
        what = f"{'commit' if commit else 'abort'} {self.names[p[0]]}{p[1]} v{version}"
        return self.ask(what, lambda: self.case.end(p, commit, version, id=self.tid))

    def add_once(self, p, version):
        values = {"transactional_id": self.tid, "producer_id": p[0], "producer_epoch": p[1],
                  "topics": [{"name": self.topic, "partitions": [0]}]}
        if version >= 4:
            values = {"transactions": [dict(values, verify_only=False)]}
        answer = self.case.c.call("AddPartitionsToTxn", version, **values)
        if version >= 4:
            if answer.error:
                return answer
            answer = answer.transactions[0]
        return answer.topics[0].partitions[0]

    def add(self, p, version=3):
        answer = self.case.retry(lambda: self.add_once(p, version), BUSY, SECONDS)
        self.said.append(f"add {self.names[p[0]]}{p[1]} v{version}: {answer.error}")
        return answer.error == 0

    def state(self, *wanted):
        """Until it is decided."""
        end = time.monotonic() + SECONDS
        while True:
            now = self.case.describe(self.tid)
            if now.state in wanted or time.monotonic() > end:
                break
            time.sleep(0.02)
        self.said.append(f"{now.state}{self.producer(now)}")

    def late(self, p):
        """What one is told that has been `p`."""
        for version in (3, 4):
            self.add(p, version)
        for version in (4, 5):
            for commit in (True, False):
                if self.end(p, commit, version):
                    self.state("Empty", "CompleteCommit", "CompleteAbort")
        for version in (3, 5):
            self.init(p, version)
        if p[1] < 32767:
            self.init((p[0], p[1] + 1))

    def transaction(self, p, version):
        """One whole transaction of the new one."""
        if p and self.add(p) and self.end(p, True, version):
            self.state("CompleteCommit")

    # ---- the stories

    def begin(self):
        for version in (0, 1, 2, 3, 4, 5):
            self.init(version=version)

    def known(self):
        new = self.init(self.p)
        self.init(self.p)
        self.init(self.p, 3)
        if new:
            self.init(new)
            self.init(new)
        self.init((self.p[0], 5))
        self.late(self.p)

    def open_begin(self):
        if self.add(self.p):
            self.init()
            self.state("Empty", "CompleteAbort", "Ongoing")
            self.late(self.p)
            self.transaction(self.init(), 4)

    def open_known(self):
        if self.add(self.p):
            self.init(self.p)
            self.state("Empty", "CompleteAbort", "Ongoing")
            self.init(self.p)
            self.late(self.p)
            self.transaction(self.init(), 5)

    def ended(self, commit, version):
        if not self.add(self.p, version):
            return
        new = self.end(self.p, commit, version)
        self.state("CompleteCommit", "CompleteAbort", "Ongoing")
        self.end(self.p, commit, version)
        self.end(self.p, not commit, version)
        if new:
            self.transaction(new, 5)
        self.late(self.p)
        self.transaction(self.init(), 5)

    def commit_4(self):
        self.ended(True, 4)

    def commit_5(self):
        self.ended(True, 5)

    def abort_4(self):
        self.ended(False, 4)

    def abort_5(self):
        self.ended(False, 5)

    def nothing_5(self):
        new = self.end(self.p, False, 5)
        self.state("Empty", "CompleteAbort")
        self.end(self.p, False, 5)
        self.end(self.p, True, 5)
        if new:
            self.end(new, False, 5)
        self.late(self.p)

    def timed_out(self):
        added = self.add(self.p)
        if added:
            # At 32767 it has the time-out of its record, which is long.
            self.state("CompleteAbort", *(("Ongoing",) if self.p[1] == 32767 else ()))
        self.timeout_ms = 60000  # of all that comes: nothing else is to run out
        return added

    def timeout(self):
        if self.timed_out():
            self.late(self.p)
            self.transaction(self.init(), 4)

    def timeout_known(self):
        if self.timed_out():
            self.init(self.p)
            self.init()
            self.init(self.p)
            self.late(self.p)


class Levels(coordinator.Features):
    """Every story at every epoch, in every version of transactions."""

    overrides = {"transaction.state.log.num.partitions": 1,
                 "transaction.abort.timed.out.transaction.cleanup.interval.ms": 100}
    test_switched_while_running = None

    def setUp(self):
        super().setUp()
        self.shared_topic = self.topic(self.c)

    def aged(self, level):
        """[(transactional id, story, producer id, epoch)], loaded by the coordinator."""
        out = [(f"{story}-{epoch}-{level}", story, epoch) for story in STORIES for epoch in EPOCHS]
        out = [(tid, story, 1_000_000 + 1000 * level + i, epoch) for i, (tid, story, epoch) in enumerate(out)]
        records = [state_record(tid, pid, epoch - (epoch < 32767), COMPLETE_ABORT if epoch == 32767 else EMPTY)
                   for tid, _, pid, epoch in out]
        answer = self.c.call("Produce", 9, acks=-1, timeout_ms=5000, client_id="__admin_client", topics=[
            {"name": "__transaction_state", "partitions": [{"index": 0, "records": batch(records)}]}])
        self.assertEqual(answer.topics[0].partitions[0].error, 0)
        self.broker.crash()
        self.c = self.conn()
        self.c.wait_leader(self.shared_topic)
        self.c.wait_coordinators(TRANSACTION)
        return out

    def run_story(self, tid, story, pid, epoch):
        s = Story(self, tid, pid, epoch, 200 if story.startswith("timeout") else 60000)
        if epoch < 32767:
            # So that the epoch before is known, as it is not after a restart.
            s.p = s.init((pid, epoch - 1))
            self.assertEqual(s.p, (pid, epoch))
        getattr(s, story)()
        return s.said

    def test_every_story(self):
        with open(EXPECTED, encoding="utf-8") as f:
            expected = json.load(f)
        expected = expected["kafka"] | (expected["moldau"] if target() == "moldau" else {})
        said = {}
        for level in (2, 1, 0):
            self.level(level)
            self.eventually(lambda wanted=level: self.assertEqual(self.finalized(), wanted))
            for tid, story, pid, epoch in self.aged(level):
                said[tid] = self.run_story(tid, story, pid, epoch)
                if "TXN_EPOCHS" in os.environ:
                    with open(os.environ["TXN_EPOCHS"], "w", encoding="utf-8") as f:
                        json.dump(said, f, indent=1)
                with self.subTest(tid):
                    self.assertEqual(said[tid], expected.get(tid))
        self.assertEqual(set(said), set(expected))


if __name__ == "__main__":
    unittest.main()
