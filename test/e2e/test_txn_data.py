# SPDX-License-Identifier: Apache-2.0
"""What transactions do in partitions: who may write, what becomes visible when, and what late requests change."""
import threading
import time
import unittest

from lib.batch import Record, batch, batches
from lib.broker import target
from lib.case import Case, moldau_only

NEW, OLD, OLDEST = 12, 11, 10  # versions of Produce: enrols by itself; knows 120; does not
COMMIT, ABORT = True, False


class Txn:
    """A transactional producer by hand: `version` of Produce decides which protocol it speaks."""

    found = None  # the broker that has the coordinator's topic

    def __init__(self, case, conn, name, version=NEW, timeout_ms=60000):
        self.case, self.conn, self.id, self.version, self.timeout_ms = case, conn, name, version, timeout_ms
        self.sequences = {}
        self.init()

    def init(self):
        if Txn.found is not self.case.broker:
            # Makes the coordinator's topic.
            end = time.monotonic() + 30
            while self.conn.call("FindCoordinator", 2, key=self.id, key_type=1).error and time.monotonic() < end:
                time.sleep(0.05)
            Txn.found = self.case.broker
        answer = self.settled("InitProducerId", 4, transactional_id=self.id, timeout_ms=self.timeout_ms)
        self.case.assertEqual(answer.error, 0)
        self.pid, self.epoch = answer.producer_id, answer.producer_epoch
        self.sequences = {}

    def settled(self, name, version, **values):
        """The coordinator may still be loading (14, 15, 16), or at the end of the transaction before (51)."""
        end = time.monotonic() + 30
        while True:
            answer = self.conn.call(name, version, **values)
            if answer.error not in (14, 15, 16, 51) or time.monotonic() > end:
                return answer
            time.sleep(0.02)

    def add(self, topic, *partitions):
        end = time.monotonic() + 30
        while True:
            answer = self.conn.call("AddPartitionsToTxn", 3, transactional_id=self.id, producer_id=self.pid,
                                    producer_epoch=self.epoch,
                                    topics=[{"name": topic, "partitions": list(partitions or (0,))}])
            errors = {p.error for p in answer.topics[0].partitions}
            if errors == {0}:
                return
            if errors - {51} or time.monotonic() > end:
                raise AssertionError(f"AddPartitionsToTxn: {errors}")
            time.sleep(0.02)

    def batch(self, values, index=0, sequence=None, **fix):
        if sequence is None:
            sequence = self.sequences.get(index, 0)
        fix = {"producer_id": self.pid, "producer_epoch": self.epoch, "attributes": 0x10, **fix}
        return batch(values, sequence=sequence, **fix)

    def produce(self, topic, data, index=0, version=None, acks=-1, transactional_id=""):
        return self.conn.call("Produce", version or self.version, acks=acks, timeout_ms=5000,
                              transactional_id=self.id if transactional_id == "" else transactional_id,
                              topics=[{"name": topic, "partitions": [{"index": index, "records": data}]}]
                              ).topics[0].partitions[0]

    def send(self, topic, values, index=0, **fix):
        """The base offset; counts sequences on."""
        answer = self.produce(topic, self.batch(values, index, **fix), index)
        self.case.assertEqual(answer.error, 0)
        self.sequences[(topic, index)] = None
        self.sequences[index] = self.sequences.get(index, 0) + len(values)
        return answer.base_offset

    def end(self, commit):
        answer = self.settled("EndTxn", 5 if self.version >= NEW else 4, transactional_id=self.id,
                              producer_id=self.pid, producer_epoch=self.epoch, committed=commit)
        self.case.assertEqual(answer.error, 0)
        if self.version >= NEW:
            self.case.assertEqual((answer.producer_id, answer.producer_epoch), (self.pid, self.epoch + 1))
            self.epoch, self.sequences = answer.producer_epoch, {}


class TxnCase(Case):
    def setUp(self):
        self.c = self.conn()

    def txn(self, name="a", **values):
        return Txn(self, self.conn(), f"{self._testMethodName}-{name}-{time.monotonic_ns()}", **values)

    def stable(self, topic, index=0):
        return self.c.fetch(topic, 0, index, max_wait_ms=0).last_stable

    def wait_stable(self, topic, offset, index=0, seconds=20):
        self.eventually(lambda: self.assertEqual(self.stable(topic, index), offset), seconds)

    def committed(self, topic, offset=0, index=0, max_bytes=1 << 20):
        return self.c.read_committed(topic, offset, index, max_bytes)

    def plain(self, topic, value):
        answer = self.c.produce(topic, [value])
        self.assertEqual(answer.error, 0)
        return answer.base_offset

    def marker(self, producer, topic, commit=COMMIT, epoch=None, coordinator_epoch=0, version=2, protocol=0, index=0):
        values = {"transaction_version": protocol} if version >= 2 else {}
        return self.c.call("WriteTxnMarkers", version, markers=[
            dict(values, producer_id=producer.pid, producer_epoch=producer.epoch if epoch is None else epoch,
                 commit=commit, coordinator_epoch=coordinator_epoch,
                 topics=[{"name": topic, "partitions": [index]}])]).markers[0].topics[0].partitions[0].error

    def end_offset(self, topic, index=0):
        return self.c.list_offset(topic, -1, index).offset

    def producers(self, topic, index=0):
        part = self.c.call("DescribeProducers", 0, topics=[{"name": topic, "partitions": [index]}]
                           ).topics[0].partitions[0]
        return part.error, {p.producer_id: p for p in part.producers}


class Visible(TxnCase):
    def test_nothing_of_an_open_transaction_and_nothing_behind_it(self):
        for version in (NEW, OLD, OLDEST):
            with self.subTest(version=version):
                t = self.topic(self.c)
                a = self.txn(str(version), version=version)
                self.plain(t, b"before")
                if version < NEW:
                    a.add(t)
                self.assertEqual(a.send(t, [b"a1", b"a2"]), 1)
                self.plain(t, b"behind")
                self.assertEqual(self.stable(t), 1)
                self.assertEqual(self.committed(t), [(0, b"before")])
                self.assertEqual(len(self.c.read_all(t)), 4)
                a.end(COMMIT)
                self.wait_stable(t, 5)
                self.assertEqual(self.committed(t), [(0, b"before"), (1, b"a1"), (2, b"a2"), (3, b"behind")])

    def test_aborted_records_are_named_to_committed_readers_only(self):
        for version in (NEW, OLD):
            with self.subTest(version=version):
                t = self.topic(self.c)
                a = self.txn(str(version), version=version)
                pid = a.pid
                if version < NEW:
                    a.add(t)
                a.send(t, [b"x", b"y"])
                a.end(ABORT)
                self.wait_stable(t, 3)
                self.plain(t, b"later")
                self.assertEqual(self.committed(t), [(3, b"later")])
                answer = self.c.fetch(t, 0, isolation=1)
                self.assertEqual([(x.producer_id, x.first_offset) for x in answer.aborted], [(pid, 0)])
                self.assertIsNone(self.c.fetch(t, 0, isolation=0).aborted)
                marker = batches(answer.records)[1]
                self.assertEqual((marker.attributes & 0x30, marker.sequence, marker.records[0].key[:4]),
                                 (0x30, -1, b"\0\0\0\0"))

    def test_interleaved_producers(self):
        t = self.topic(self.c)
        a, b, c = self.txn("a"), self.txn("b"), self.txn("c")
        pids = a.pid, b.pid, c.pid
        a.send(t, [b"a0"])
        b.send(t, [b"b1"])
        c.send(t, [b"c2"])
        a.send(t, [b"a3"])
        self.plain(t, b"p4")
        b.end(ABORT)
        self.eventually(lambda: self.assertEqual(self.end_offset(t), 6))
        self.assertEqual((self.stable(t), self.committed(t)), (0, []))
        a.end(COMMIT)
        self.wait_stable(t, 2)
        self.assertEqual(self.committed(t), [(0, b"a0")])
        c.send(t, [b"c7"])
        a.send(t, [b"a8"])
        c.end(ABORT)
        self.wait_stable(t, 8)
        self.assertEqual(self.committed(t), [(0, b"a0"), (3, b"a3"), (4, b"p4")])
        a.end(COMMIT)
        self.wait_stable(t, 11)
        self.assertEqual(self.committed(t), [(0, b"a0"), (3, b"a3"), (4, b"p4"), (8, b"a8")])
        # From within what was aborted, and from each offset on.
        for offset in range(11):
            self.assertEqual(self.committed(t, offset),
                             [x for x in [(0, b"a0"), (3, b"a3"), (4, b"p4"), (8, b"a8")] if x[0] >= offset])
        aborted = self.c.fetch(t, 6, isolation=1).aborted
        self.assertEqual([(x.producer_id, x.first_offset) for x in aborted], [(pids[2], 2)])
        self.assertEqual([(x.producer_id, x.first_offset) for x in self.c.fetch(t, 10, isolation=1).aborted], [])

    def test_aborted_transactions_stand_in_the_order_of_their_ends(self):
        for name, config in (("one", {}), ("many", {"internal_segment_bytes": 300})):
            t = self.topic(self.c, **config)
            producers = [self.txn(f"{name}-{i}") for i in range(5)]
            pids, end, wanted = [p.pid for p in producers], 5, []
            for p in producers:
                p.send(t, [b"x"])
            for i in (3, 1, 4, 0, 2):
                producers[i].end(ABORT)
                end += 1
                self.eventually(lambda: self.assertEqual(self.end_offset(t), end))
                wanted.append((pids[i], i))
            self.wait_stable(t, end)
            # One segment holds what it began only.
            got = [(x.producer_id, x.first_offset) for x in self.c.fetch(t, 0, isolation=1).aborted]
            self.assertEqual(got, [x for x in wanted if name == "one" or x in got])
            self.assertGreaterEqual(len(got), 3)

    def test_an_answer_does_not_name_the_aborts_behind_it(self):
        for name, config in (("one", {}), ("many", {"internal_segment_bytes": 3000})):
            t, n = self.topic(self.c, index_interval_bytes=1, **config), 40
            wide, a = self.txn("wide-" + name), self.txn("a-" + name)
            wide_pid, pid, begun, wanted = wide.pid, a.pid, [], []
            wide.send(t, [b"w"])
            for i in range(n):
                begun.append(a.send(t, [b"x" * 50]))
                a.end(ABORT)
                wanted.append((self.plain(t, b"p%d" % i), b"p%d" % i))
            wide.end(ABORT)
            self.wait_stable(t, 3 * n + 2)
            for crashed in (False, True):
                for first in (0, begun[0], begun[10], begun[30], 3 * n - 2):
                    answer = self.c.fetch(t, first, isolation=1, max_wait_ms=0, partition_max_bytes=1)
                    got = [(x.producer_id, x.first_offset) for x in answer.aborted]
                    self.assertIn((wide_pid, 0), got)
                    self.assertLessEqual(len(got), 4, (name, crashed, first))
                    if first in begun:
                        self.assertIn((pid, first), got)
                    self.assertEqual(self.committed(t, first, max_bytes=700), [x for x in wanted if x[0] >= first])
                self.assertEqual(self.committed(t), wanted)
                if not crashed:
                    self.crash()
                    self.c = self.conn()
                    self.c.wait_leader(t)

    def test_list_offsets_stops_where_nothing_is_decided(self):
        t = self.topic(self.c)
        a = self.txn()
        self.plain(t, b"p")
        now = int(time.time() * 1000)
        a.send(t, [b"a"])
        self.plain(t, b"q")

        def at(timestamp, isolation):
            got = self.c.call("ListOffsets", 7, isolation=isolation, topics=[{"name": t, "partitions": [
                {"index": 0, "timestamp": timestamp}]}]).topics[0].partitions[0]
            return got.error, got.offset
        self.assertEqual((at(-1, 0), at(-1, 1)), ((0, 3), (0, 1)))
        self.assertEqual((at(-2, 0), at(-2, 1)), ((0, 0), (0, 0)))
        self.assertEqual((at(now - 60000, 0), at(now - 60000, 1)), ((0, 0), (0, 0)))
        self.assertEqual(at(now + 60000, 1), (0, -1))
        a.end(COMMIT)
        self.wait_stable(t, 4)
        self.assertEqual(at(-1, 1), (0, 4))

    def test_the_greatest_time_where_nothing_is_decided(self):
        def at(isolation):
            got = self.c.call("ListOffsets", 7, isolation=isolation, topics=[{"name": t, "partitions": [
                {"index": 0, "timestamp": -3}]}]).topics[0].partitions[0]
            return got.error, got.timestamp, got.offset

        def plain(*times):
            self.assertEqual(self.c.produce(t, [Record(b"p", timestamp=time) for time in times]).error, 0)

        none = (0, -1, -1)
        for before, within, behind, found, committed in (
                ((1000, 2000, 1500), (3000, 2500), (2700,), (0, 3000, 3), none),
                ((1000,), (3000,), (4000,), (0, 4000, 2), none),
                ((5000, 1000), (3000,), (2000,), (0, 5000, 0), (0, 5000, 0)),
                ((3000,), (3000,), (), (0, 3000, 0), (0, 3000, 0)),
                ((), (3000,), (), (0, 3000, 0), none)):
            with self.subTest(before=before, within=within, behind=behind):
                t = self.topic(self.c, retention_ms=-1)
                a = self.txn()
                if before:
                    plain(*before)
                a.send(t, [Record(b"a", timestamp=time) for time in within])
                if behind:
                    plain(*behind)
                self.assertEqual((at(0), at(1)), (found, committed))
                a.end(COMMIT)
                end = len(before + within + behind) + 1
                self.wait_stable(t, end)
                # a marker bears the time it was written at
                self.assertEqual(at(1)[2], end - 1)

    def test_a_waiting_reader_wakes_when_the_transaction_ends(self):
        t = self.topic(self.c)
        a = self.txn()
        a.send(t, [b"a"])
        got = {}
        reader = self.conn()

        def read():
            began = time.monotonic()
            got["answer"] = reader.fetch(t, 0, isolation=1, max_wait_ms=25000)
            got["took"] = time.monotonic() - began
        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.3)
        a.end(COMMIT)
        thread.join()
        self.assertTrue(batches(got["answer"].records))
        self.assertLess(got["took"], 15)

    def test_an_empty_transaction_leaves_nothing(self):
        a = self.txn()
        t = self.topic(self.c)
        a.send(t, [b"x"])
        a.end(COMMIT)
        a.end(ABORT)
        self.wait_stable(t, 2)
        self.assertEqual(self.end_offset(t), 2)

    def test_one_request_to_many_partitions(self):
        t = self.topic(self.c, 5)
        a = self.txn()
        answer = a.conn.call("Produce", NEW, acks=-1, timeout_ms=5000, transactional_id=a.id, topics=[
            {"name": t, "partitions": [{"index": i, "records": a.batch([b"v%d" % i], i)} for i in range(5)]}])
        self.assertEqual([p.error for p in answer.topics[0].partitions], [0] * 5)
        self.assertEqual([self.stable(t, i) for i in range(5)], [0] * 5)
        a.end(COMMIT)
        for i in range(5):
            self.wait_stable(t, 2, i)
            self.assertEqual(self.committed(t, 0, i), [(0, b"v%d" % i)])

    def test_pipelined_requests_keep_their_order(self):
        t = self.topic(self.c)
        a = self.txn()
        for i in range(20):
            a.conn.send("Produce", NEW, acks=-1, timeout_ms=5000, transactional_id=a.id, topics=[
                {"name": t, "partitions": [{"index": 0, "records": a.batch([b"%d" % i], sequence=i)}]}])
        offsets = []
        for i in range(20):
            answer = a.conn.recv("Produce", NEW).topics[0].partitions[0]
            self.assertEqual(answer.error, 0)
            offsets.append(answer.base_offset)
        self.assertEqual(offsets, list(range(20)))
        a.end(COMMIT)
        self.wait_stable(t, 21)
        self.assertEqual([v for _, v in self.committed(t)], [b"%d" % i for i in range(20)])


class Refused(TxnCase):
    def test_a_partition_that_is_not_in_the_transaction(self):
        for version, error in ((OLD, 120), (OLDEST, 48)):
            with self.subTest(version=version):
                t = self.topic(self.c, 2)
                a = self.txn(str(version), version=version)
                a.add(t, 0)
                answer = a.produce(t, a.batch([b"x"], 1), 1)
                self.assertEqual((answer.error, answer.base_offset), (error, -1))
                if error == 48:
                    self.assertEqual(answer.message, "Partition was not added to the transaction")
                self.assertEqual(self.end_offset(t, 1), 0)
                a.send(t, [b"x"])

    def test_strangers(self):
        t = self.topic(self.c)
        for version, wrong_pid, wrong_epoch in ((NEW, 49, 47), (OLD, 49, 47), (OLDEST, 49, 47)):
            a = self.txn(str(version), version=version)
            if version < NEW:
                a.add(t)
            answer = a.produce(t, a.batch([b"x"], producer_id=a.pid + 1000))
            self.assertEqual((version, answer.error), (version, wrong_pid))
            answer = a.produce(t, a.batch([b"x"], producer_epoch=a.epoch + 1))
            self.assertEqual((version, answer.error), (version, wrong_epoch))
        self.assertEqual(self.end_offset(t), 0)

    def test_a_transactional_id_that_nobody_knows(self):
        t = self.topic(self.c)
        a = self.txn()
        for version in (NEW, OLD, OLDEST):
            answer = a.produce(t, a.batch([b"x"]), version=version, transactional_id="nobody-" + a.id)
            self.assertEqual((version, answer.error), (version, 49))

    def test_who_was_fenced_writes_no_more(self):
        t = self.topic(self.c)
        for version in (NEW, OLD):
            a = self.txn(str(version), version=version)
            zombie_pid, zombie_epoch = a.pid, a.epoch
            if version < NEW:
                a.add(t)
            a.send(t, [b"before"])
            before = self.end_offset(t)
            a.init()  # aborts, and takes the next epoch
            self.assertEqual(a.pid, zombie_pid)
            self.assertGreater(a.epoch, zombie_epoch)
            self.eventually(lambda: self.assertEqual(self.end_offset(t), before + 1))
            for sequence in (0, 1):
                answer = a.produce(t, a.batch([b"late"], sequence=sequence, producer_epoch=zombie_epoch))
                self.assertEqual((version, sequence, answer.error), (version, sequence, 47))
            self.assertEqual(self.end_offset(t), before + 1)

    def test_plain_records_of_a_producer_within_its_transaction(self):
        t = self.topic(self.c)
        a = self.txn()
        a.send(t, [b"x"])
        answer = a.produce(t, a.batch([b"y"], sequence=1, attributes=0))
        self.assertEqual(answer.error, 48)
        self.assertEqual(self.end_offset(t), 1)

    def test_two_producers_in_one_request(self):
        t = self.topic(self.c, 2)
        a = self.txn()
        answer = a.conn.call("Produce", NEW, acks=-1, timeout_ms=5000, transactional_id=a.id, topics=[
            {"name": t, "partitions": [{"index": 0, "records": a.batch([b"x"])},
                                       {"index": 1, "records": a.batch([b"x"], producer_epoch=a.epoch + 1)}]}])
        self.assertEqual([p.error for p in answer.topics[0].partitions], [49, 49])

    def test_sequences(self):
        t = self.topic(self.c)
        a = self.txn()
        self.assertEqual(a.produce(t, a.batch([b"x"], sequence=5)).error, 45)
        self.assertEqual(a.produce(t, a.batch([b"x"], sequence=0)).error, 0)
        self.assertEqual(a.produce(t, a.batch([b"x"], sequence=2)).error, 45)
        answer = a.produce(t, a.batch([b"x"], sequence=0))
        self.assertEqual((answer.error, answer.base_offset), (0, 0))
        self.assertEqual(a.produce(t, a.batch([b"x"], sequence=1)).error, 0)
        a.end(ABORT)
        self.wait_stable(t, 3)
        # The next transaction starts at 0 again, and is no repetition of the one that was aborted.
        answer = a.produce(t, a.batch([b"new"], sequence=0))
        self.assertEqual((answer.error, answer.base_offset), (0, 3))
        a.end(COMMIT)
        self.wait_stable(t, 5)
        self.assertEqual(self.committed(t), [(3, b"new")])

    def test_sequences_of_the_old_protocol_go_on(self):
        t = self.topic(self.c)
        a = self.txn(version=OLD)
        a.add(t)
        a.send(t, [b"x", b"y"])
        a.end(ABORT)
        self.wait_stable(t, 3)
        a.add(t)
        answer = a.produce(t, a.batch([b"z"], sequence=2))
        self.assertEqual((answer.error, answer.base_offset), (0, 3))
        a.end(COMMIT)
        self.wait_stable(t, 5)
        a.add(t)
        self.assertEqual(a.produce(t, a.batch([b"z"], sequence=5)).error, 45)
        # Known: it is a repetition, even of what was aborted.
        answer = a.produce(t, a.batch([b"x", b"y"], sequence=0))
        self.assertEqual((answer.error, answer.base_offset), (0, 0))
        # A lower sequence has been seen, and was not the first of this transaction.
        self.assertEqual(a.produce(t, a.batch([b"z"], sequence=3)).error, 45)

    def test_late_repetition_after_the_end(self):
        t = self.topic(self.c)
        for version, error in ((NEW, 47), (OLD, 120)):
            a = self.txn(str(version), version=version)
            if version < NEW:
                a.add(t)
            data = a.batch([b"x"])
            self.assertEqual(a.produce(t, data).error, 0)
            end = self.end_offset(t)
            a.end(COMMIT)
            self.eventually(lambda: self.assertEqual(self.end_offset(t), end + 1))
            self.assertEqual((version, a.produce(t, data).error), (version, error))
            self.assertEqual(self.end_offset(t), end + 1)


class Markers(TxnCase):
    """WriteTxnMarkers as a coordinator sends it, also late, twice, and by one that is not the coordinator any more."""

    def test_who_may_end(self):
        for protocol, equal in ((0, 0), (1, 0), (2, 47)):
            with self.subTest(protocol=protocol):
                t = self.topic(self.c)
                a = self.txn(str(protocol))
                a.init()
                a.send(t, [b"x"])
                self.assertEqual(self.marker(a, t, epoch=a.epoch - 1, protocol=protocol), 47)
                self.assertEqual(self.marker(a, t, epoch=a.epoch, protocol=protocol), equal)
                if equal:
                    self.assertEqual(self.stable(t), 0)
                    self.assertEqual(self.marker(a, t, epoch=a.epoch + 1, protocol=protocol), 0)
                self.wait_stable(t, 2)

    def test_a_repeated_marker_changes_nothing_that_is_seen(self):
        t = self.topic(self.c)
        a = self.txn()
        a.send(t, [b"x"])
        for _ in range(3):
            self.assertEqual(self.marker(a, t, epoch=a.epoch + 1, protocol=2), 0)
        self.wait_stable(t, 4)
        self.assertEqual(self.marker(a, t, epoch=a.epoch + 1, protocol=2, commit=ABORT), 0)
        self.wait_stable(t, 5)
        self.assertEqual(self.committed(t), [(0, b"x")])
        self.assertEqual(self.c.fetch(t, 0, isolation=1).aborted, [])

    def test_a_coordinator_of_the_past(self):
        t = self.topic(self.c)
        a = self.txn()
        a.send(t, [b"x"])
        self.assertEqual(self.marker(a, t, epoch=a.epoch + 1, coordinator_epoch=7, protocol=2), 0)
        self.assertEqual(self.marker(a, t, epoch=a.epoch + 2, coordinator_epoch=6, protocol=2), 52)
        self.assertEqual(self.marker(a, t, epoch=a.epoch + 1, coordinator_epoch=6, protocol=0), 52)
        self.assertEqual(self.marker(a, t, epoch=a.epoch, coordinator_epoch=6, protocol=0), 47)
        self.assertEqual(self.marker(a, t, epoch=a.epoch + 1, coordinator_epoch=8, protocol=2), 0)
        self.assertEqual(self.producers(t)[1][a.pid].coordinator_epoch, 8)

    def test_a_late_marker_of_one_transaction_does_not_end_the_next(self):
        t = self.topic(self.c)
        a = self.txn()
        a.send(t, [b"one"])
        a.end(COMMIT)
        self.wait_stable(t, 2)
        a.send(t, [b"two"])
        # The first one's marker had the epoch that the producer has now.
        self.assertEqual(self.marker(a, t, epoch=a.epoch, commit=ABORT, protocol=2), 47)
        self.assertEqual(self.stable(t), 2)
        a.end(COMMIT)
        self.wait_stable(t, 4)
        self.assertEqual(self.committed(t), [(0, b"one"), (2, b"two")])

    def test_of_a_producer_that_the_partition_does_not_know(self):
        t = self.topic(self.c)
        a = self.txn()
        self.assertEqual(self.marker(a, t, protocol=2), 0)
        self.assertEqual(self.end_offset(t), 1)
        error, known = self.producers(t)
        self.assertEqual((error, known[a.pid].producer_epoch, known[a.pid].last_sequence, known[a.pid].txn_start),
                         (0, a.epoch, -1, -1))

    def test_an_end_that_a_partition_refuses_stays_decided(self):
        t = self.topic(self.c, 2)
        a = self.txn()
        for i in (0, 1):
            a.send(t, [b"x"], i)
        # Somebody has ended it there in a later epoch than the producer's next one.
        self.assertEqual(self.marker(a, t, epoch=a.epoch + 5, commit=ABORT, protocol=2), 0)
        pid, epoch = a.pid, a.epoch
        a.end(COMMIT)
        self.wait_stable(t, 2, 1)

        def state():
            answer = self.c.call("DescribeTransactions", 0, transactional_ids=[a.id]).states[0]
            return answer.error, answer.state

        def left():
            return [(x.name, x.partitions) for x in self.c.call("DescribeTransactions", 0, transactional_ids=[a.id]
                                                                ).states[0].topics]
        for crashed in (False, True):
            end = time.monotonic() + 1
            while time.monotonic() < end:
                self.assertEqual(state(), (0, "PrepareCommit"))
                self.assertEqual(self.c.call("InitProducerId", 4, transactional_id=a.id, timeout_ms=60000).error, 51)
                self.assertEqual(a.conn.call("EndTxn", 5, transactional_id=a.id, producer_id=pid, producer_epoch=epoch,
                                             committed=True).error, 51)
                time.sleep(0.2)
            self.eventually(lambda: self.assertEqual(left(), [(t, [0])]))
            self.assertEqual((self.end_offset(t), self.committed(t)), (2, []))
            if target() == "kafka":
                # When it starts it takes partitions whose leader it has not heard of yet for deleted, and completes.
                return
            if crashed:
                self.c.call("DeleteTopics", 6, topics=[{"name": t}], timeout_ms=10000)
            self.crash()
            self.c, a.conn = self.conn(), self.conn()
            if not crashed:
                self.c.wait_leader(t, 2)
                self.eventually(lambda: self.assertEqual(state()[0], 0))
        self.eventually(lambda: self.assertEqual(state(), (0, "CompleteCommit")))

    def test_of_no_topic(self):
        a = self.txn()
        self.assertEqual(self.marker(a, self.name()), 3)


class Kept(TxnCase):
    def test_producers_are_described(self):
        t = self.topic(self.c)
        a = self.txn()
        before = int(time.time() * 1000)
        a.send(t, [b"x", b"y"])
        error, known = self.producers(t)
        p = known[a.pid]
        self.assertEqual((error, p.producer_epoch, p.last_sequence, p.coordinator_epoch, p.txn_start),
                         (0, a.epoch, 1, -1, 0))
        self.assertGreaterEqual(p.last_timestamp, before - 1)
        a.end(COMMIT)
        self.wait_stable(t, 3)
        p = self.producers(t)[1][a.pid]
        self.assertEqual((p.producer_epoch, p.last_sequence, p.txn_start), (a.epoch, -1, -1))
        self.assertGreaterEqual(p.coordinator_epoch, 0)
        self.assertEqual(self.producers(self.name())[0], 3)
        self.assertEqual(self.producers(t, 7)[0], 3)

    def test_records_are_deleted_under_a_transaction(self):
        t = self.topic(self.c)
        a = self.txn()
        pid = a.pid
        a.send(t, [b"x", b"y"])
        for i in range(3):
            self.plain(t, b"p%d" % i)
        self.c.call("DeleteRecords", 2, timeout_ms=5000, topics=[{"name": t, "partitions": [
            {"index": 0, "offset": 3}]}])
        answer = self.c.fetch(t, 3, isolation=1, max_wait_ms=0)
        self.assertEqual((answer.error, answer.log_start, answer.last_stable, len(answer.records)), (0, 3, 3, 0))
        a.end(ABORT)
        self.wait_end(t, 6)
        answer = self.c.fetch(t, 3, isolation=1)
        self.assertEqual((answer.last_stable, [(x.producer_id, x.first_offset) for x in answer.aborted]),
                         (6, [(pid, 0)]))
        self.assertEqual(self.committed(t, 3), [(3, b"p1"), (4, b"p2")])

    def test_what_was_open_and_what_was_aborted_survive_a_crash(self):
        t = self.topic(self.c)
        a, b = self.txn("a"), self.txn("b")
        aborted_pid = b.pid
        for i in range(3):
            b.send(t, [b"b%d" % i] * 3)
            b.end(ABORT)
            self.eventually(lambda end=4 * i + 4: self.assertEqual(self.end_offset(t), end))
        a.send(t, [b"a12"])
        self.plain(t, b"p13")
        before = self.producers(t)[1]
        self.crash()
        self.c = self.conn()
        self.c.wait_leader(t)
        self.assertEqual(self.stable(t), 12)
        self.assertEqual(self.committed(t), [])
        after = self.producers(t)[1]
        self.assertEqual({k: (v.producer_epoch, v.last_sequence, v.txn_start, v.coordinator_epoch)
                          for k, v in after.items()},
                         {k: (v.producer_epoch, v.last_sequence, v.txn_start, v.coordinator_epoch)
                          for k, v in before.items()})
        self.assertEqual([(x.producer_id, x.first_offset) for x in self.c.fetch(t, 0, isolation=1).aborted],
                         [(aborted_pid, 0), (aborted_pid, 4), (aborted_pid, 8)])
        a.conn = self.conn()
        answer = a.produce(t, a.batch([b"a14"], sequence=1))
        self.assertEqual((answer.error, answer.base_offset), (0, 14))
        answer = a.produce(t, a.batch([b"a12"], sequence=0))
        self.assertEqual((answer.error, answer.base_offset), (0, 12))
        a.end(COMMIT)
        self.wait_stable(t, 16)
        self.assertEqual(self.committed(t), [(12, b"a12"), (13, b"p13"), (14, b"a14")])

    def wait_end(self, topic, stable):
        self.eventually(lambda: self.assertEqual(self.c.fetch(topic, 3, max_wait_ms=0).last_stable, stable))


@moldau_only
class InARow(TxnCase):
    """Where asking again would take a minute, and every end waits for the disk."""

    own = True
    overrides = {"durability": "synced", "add.partitions.to.txn.retry.backoff.ms": "60000",
                 "add.partitions.to.txn.retry.backoff.max.ms": "30000"}

    def send_all(self, txn, topic, partitions, value):
        """By one request, as the first one of a transaction."""
        answer = txn.conn.call("Produce", NEW, acks=-1, timeout_ms=30000, transactional_id=txn.id, topics=[
            {"name": topic, "partitions": [{"index": i, "records": txn.batch([value])} for i in range(partitions)]}])
        self.assertEqual({p.error for p in answer.topics[0].partitions}, {0})

    def test_the_next_transaction_begins_when_the_one_before_is_over(self):
        partitions = 300  # more than one wave of markers
        t, a = self.topic(self.c, partitions), self.txn()
        for i in range(6):
            self.send_all(a, t, partitions, b"%d" % i)
            a.end(i % 3 != 0)
        for index in range(partitions):
            self.wait_stable(t, 2 * 6, index)
        for index in (0, 128, partitions - 1):
            self.assertEqual([value for _, value in self.committed(t, index=index)], [b"1", b"2", b"4", b"5"])

    def test_the_same_by_requests_of_their_own(self):
        partitions = 300
        t, a = self.topic(self.c, partitions), self.txn(version=OLD)
        for i in range(6):
            if i % 2:
                self.assertEqual(self.begin(a, "AddOffsetsToTxn", group_id="g").error, 0)
            answer = self.begin(a, "AddPartitionsToTxn", topics=[{"name": t, "partitions": list(range(partitions))}])
            self.assertEqual({p.error for p in answer.topics[0].partitions}, {0})
            a.send(t, [b"%d" % i])
            a.end(i % 3 != 0)
        self.wait_stable(t, 2 * 6)
        self.assertEqual([value for _, value in self.committed(t)], [b"1", b"2", b"4", b"5"])

    @staticmethod
    def begin(txn, name, **values):
        return txn.conn.call(name, 3, transactional_id=txn.id, producer_id=txn.pid, producer_epoch=txn.epoch, **values)


if __name__ == "__main__":
    unittest.main()
