# SPDX-License-Identifier: Apache-2.0
"""Anomalies that transactions had in other brokers, each named after where it was found; none may happen here."""
import glob
import os
import struct
import threading
import time
import unittest

from lib.batch import Record, batch, now_ms
from lib.case import moldau_only
from test_txn_data import ABORT, COMMIT, NEW, OLD, TxnCase
import test_transactions as coordinator

EPOCH_LAST = 32766


class Data(TxnCase):
    def test_redpanda_5026_no_update_is_lost_as_a_repetition_of_an_aborted_one(self):
        for version in (NEW, OLD):
            with self.subTest(version=version):
                t = self.topic(self.c)
                a = self.txn(str(version), version=version)
                if version < NEW:
                    a.add(t)
                self.assertEqual(a.send(t, [b"aborted"]), 0)
                a.end(ABORT)
                self.wait_stable(t, 2)
                if version < NEW:
                    a.init()
                    a.add(t)
                # Sequence 0 again.
                self.assertEqual(a.send(t, [b"kept"]), 2)
                a.end(COMMIT)
                self.wait_stable(t, 4)
                self.assertEqual(self.committed(t), [(2, b"kept")])

    def test_redpanda_6018_no_confirmed_record_is_lost_with_a_transaction_that_was_only_in_memory(self):
        t = self.topic(self.c)
        a = self.txn(timeout_ms=600000)
        self.assertEqual(a.send(t, [b"x"]), 0)
        self.crash()
        self.c = self.conn()
        self.c.wait_leader(t)
        a.conn = self.conn()
        self.assertEqual(self.stable(t), 0)
        a.end(COMMIT)
        self.wait_stable(t, 2)
        self.assertEqual(self.committed(t), [(0, b"x")])

    def test_redpanda_3232_a_late_abort_of_one_instance_leaves_the_next_alone(self):
        for version in (NEW, OLD):
            with self.subTest(version=version):
                t = self.topic(self.c)
                a = self.txn(str(version), version=version)
                epoch = a.epoch
                if version < NEW:
                    a.add(t)
                a.send(t, [b"first"])
                a.init()
                self.wait_stable(t, 2)
                if version < NEW:
                    a.add(t)
                self.assertEqual(a.send(t, [b"second"]), 2)
                for protocol in (0, 1, 2):
                    for late in (epoch, epoch + 1):
                        self.assertEqual(self.marker(a, t, epoch=late, commit=ABORT, protocol=protocol), 47)
                self.assertEqual((self.stable(t), self.end_offset(t)), (2, 3))
                a.end(COMMIT)
                self.wait_stable(t, 4)
                self.assertEqual(self.committed(t), [(2, b"second")])

    def test_redpanda_3501_a_commit_asked_again_after_a_crash_is_told_the_first_outcome(self):
        t = self.topic(self.c)
        a = self.txn()
        a.send(t, [b"x"])
        values = {"transactional_id": a.id, "producer_id": a.pid, "producer_epoch": a.epoch}
        first = a.settled("EndTxn", 5, **values, committed=True)
        self.assertEqual((first.error, first.producer_epoch), (0, a.epoch + 1))
        self.crash()
        a.conn = self.conn()
        again = a.settled("EndTxn", 5, **values, committed=True)
        self.assertEqual((again.error, again.producer_id, again.producer_epoch),
                         (0, first.producer_id, first.producer_epoch))
        self.assertEqual(a.settled("EndTxn", 5, **values, committed=False).error, coordinator.INVALID_STATE)

    def test_redpanda_5090_no_aborted_record_is_read_after_a_restart(self):
        t = self.topic(self.c)
        a = self.txn()
        a.send(t, [b"x"])
        a.end(ABORT)
        self.wait_stable(t, 2)
        self.crash()
        self.c = self.conn()
        self.c.wait_leader(t)
        self.assertEqual(self.committed(t), [])
        self.plain(t, b"y")
        self.assertEqual(self.committed(t), [(2, b"y")])


class Offsets(TxnCase):
    """Consume, transform, produce: the offsets are part of the transaction."""

    def find(self):
        self.c.wait_coordinators()

    def offset(self, group, topic, stable=True):
        answer = self.c.settled("OffsetFetch", 7, group=group, require_stable=stable, topics=[
            {"name": topic, "partitions": [0]}])
        return answer.error or answer.topics[0].partitions[0].error, answer.topics[0].partitions[0].offset \
            if answer.topics else None

    def decided(self, group, topic):
        """The committed offset when nothing of it is open any more."""
        out = []

        def check():
            error, offset = self.offset(group, topic)
            self.assertEqual(error, 0)
            out.append(offset)
        self.eventually(check, 20)
        return out[0]

    def commit(self, producer, group, topic, offset):
        end = time.monotonic() + 30
        while True:
            answer = producer.conn.call("TxnOffsetCommit", 5, transactional_id=producer.id, group_id=group,
                                        producer_id=producer.pid, producer_epoch=producer.epoch, topics=[
                                            {"name": topic, "partitions": [{"index": 0, "offset": offset}]}])
            error = answer.topics[0].partitions[0].error
            if error not in (14, 15, 16, 51) or time.monotonic() > end:
                return error
            time.sleep(0.02)

    def back(self):
        self.crash()
        self.c = self.conn()

    def test_redpanda_6018_no_offsets_are_lost_that_were_told_before_a_crash(self):
        t, group = self.topic(self.c), self.name()
        self.find()
        a = self.txn(timeout_ms=600000)
        self.assertEqual(self.commit(a, group, t, 7), 0)
        self.back()
        a.conn = self.conn()
        self.eventually(lambda: self.assertEqual(self.offset(group, t), (88, -1)), 20)
        a.end(COMMIT)
        self.assertEqual(self.decided(group, t), 7)

    def test_redpanda_10669_an_end_whose_answer_is_lost_has_one_outcome(self):
        out, group = self.topic(self.c), self.name()
        self.find()
        a = self.txn()
        for turn in range(3):
            done = max(self.decided(group, out), 0)
            self.assertEqual([v for _, v in self.committed(out)], [b"%d" % i for i in range(done)])
            self.assertEqual(a.produce(out, a.batch([b"%d" % done])).error, 0)
            self.assertEqual(self.commit(a, group, out, done + 1), 0)
            a.conn.send("EndTxn", 5, transactional_id=a.id, producer_id=a.pid, producer_epoch=a.epoch,
                        committed=True)
            time.sleep(turn / 200)
            self.back()
            self.c.wait_leader(out)
            a.conn = self.conn()
            a.init()
            # Nothing is open any more: what is told from here on stays.
            done = max(self.decided(group, out), 0)
            self.eventually(lambda: self.assertEqual(self.stable(out), self.end_offset(out)))
            self.assertEqual([v for _, v in self.committed(out)], [b"%d" % i for i in range(done)])


@moldau_only
class Compacted(Offsets):
    own = True
    overrides = {"offsets.topic.num.partitions": 1, "offsets.topic.segment.bytes": 1048576,
                 "log.cleaner.backoff.ms": 100, "log.cleaner.min.cleanable.ratio": 0.01,
                 "log.flush.offset.checkpoint.interval.ms": 300, "log.segment.delete.delay.ms": 100}
    test_redpanda_6018_no_offsets_are_lost_that_were_told_before_a_crash = None
    test_redpanda_10669_an_end_whose_answer_is_lost_has_one_outcome = None

    def size(self):
        total = 0
        for path in glob.glob(f"{self.broker.data}/__consumer_offsets-0/*.log"):
            try:
                total += os.path.getsize(path)
            except FileNotFoundError:
                pass  # removed since it was named
        return total

    def fill(self, topic):
        """More than two segments of commits of few groups."""
        for i in range(2500):
            answer = self.c.call("OffsetCommit", 8, group=f"filler-{i % 5}", topics=[
                {"name": topic, "partitions": [{"index": 0, "offset": i, "metadata": "m" * 1000}]}])
            self.assertEqual(answer.topics[0].partitions[0].error, 0)

    def test_redpanda_26_1_3_compaction_leaves_the_evidence_of_what_is_open(self):
        t = self.topic(self.c)
        self.find()
        done, aborted, a = self.txn("done"), self.txn("aborted"), self.txn("open")
        self.assertEqual([self.commit(done, "done", t, 5), self.commit(aborted, "aborted", t, 6)], [0, 0])
        done.end(COMMIT)
        aborted.end(ABORT)
        self.fill(t)
        self.eventually(lambda: self.assertLess(self.size(), 1500000), 20)
        self.assertEqual(self.commit(a, "open", t, 7), 0)
        # It has the same key, and is newer.
        answer = self.c.call("OffsetCommit", 8, group="open", topics=[
            {"name": t, "partitions": [{"index": 0, "offset": 3}]}])
        self.assertEqual(answer.topics[0].partitions[0].error, 0)
        self.assertEqual(self.commit(a, "half", t, 7), 0)
        self.fill(t)
        time.sleep(1)
        for crashed in (False, True):
            if crashed:
                self.back()
            for group in ("open", "half"):
                self.eventually(lambda g=group: self.assertEqual(self.offset(g, t), (88, -1)))
            self.assertEqual((self.decided("done", t), self.decided("aborted", t)), (5, -1))
        a.conn = self.conn()
        a.end(COMMIT)
        self.assertEqual((self.decided("open", t), self.decided("half", t)), (3, 7))
        self.fill(t)
        self.eventually(lambda: self.assertLess(self.size(), 1500000), 20)
        self.back()
        self.assertEqual([self.decided(g, t) for g in ("open", "half", "done", "aborted")], [3, 7, 5, -1])


class Decided(TxnCase):
    own = is_fair = True
    overrides = {"transaction.state.log.num.partitions": 1}

    def test_redpanda_10669_what_was_decided_is_carried_out_after_a_start(self):
        """A coordinator that died between its decision and the markers: the record stands for what it left."""
        out = {}
        for commit in (True, False):
            t = self.topic(self.c)
            a = self.txn(str(commit), version=OLD, timeout_ms=600000)
            a.add(t)
            a.send(t, [b"x"])
            out[commit] = t, a
            key = struct.pack(">hh", 0, len(a.id)) + a.id.encode()
            value = struct.pack(">hqhib", 0, a.pid, a.epoch, 60000, 2 if commit else 3) + \
                struct.pack(">ih", 1, len(t)) + t.encode() + struct.pack(">ii", 1, 0) + \
                struct.pack(">qq", now_ms(), now_ms())
            answer = self.c.call("Produce", 9, acks=-1, timeout_ms=5000, client_id="__admin_client", topics=[
                {"name": "__transaction_state", "partitions": [{"index": 0, "records": batch([Record(value, key)])}]}])
            self.assertEqual(answer.topics[0].partitions[0].error, 0)
        self.crash()
        self.c = self.conn()
        for commit, (t, a) in out.items():
            self.c.wait_leader(t)
            self.wait_stable(t, 2, seconds=40)
            self.assertEqual(self.committed(t), [(0, b"x")] if commit else [])
            a.conn = self.conn()
            a.end(commit)


class Healthy(TxnCase):
    def test_bufstream_each_record_is_where_its_producer_was_told(self):
        t, partitions, n = self.topic(self.c, 3), 3, 60
        told, wrong = [], []

        def plain(who, conn):
            for i in range(n):
                value = b"%s-%d" % (who, i)
                answer = conn.produce(t, [value], i % partitions)
                told.append((i % partitions, answer.base_offset, value) if not answer.error else wrong.append(answer))

        def idempotent(who, conn):
            pid, epoch = conn.init_producer()
            for i in range(n):
                value = b"%s-%d" % (who, i)
                answer = conn.produce(t, batch([value], producer_id=pid, producer_epoch=epoch,
                                               sequence=i // partitions), i % partitions)
                told.append((i % partitions, answer.base_offset, value) if not answer.error else wrong.append(answer))

        def transactional(who, a):
            for i in range(n):
                value, index = b"%s-%d" % (who, i), i % partitions
                told.append((index, a.send(t, [value], index), value))
                if i % 5 == 4:
                    a.end(COMMIT)

        jobs = [(plain, b"p", self.conn()), (idempotent, b"i", self.conn()), (transactional, b"t", self.txn("t")),
                (transactional, b"u", self.txn("u"))]
        threads = [threading.Thread(target=f, args=(who, conn)) for f, who, conn in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive())
        self.assertEqual((wrong, len(told)), ([], len(jobs) * n))
        self.assertEqual(len({x[:2] for x in told}), len(told))
        for index in range(partitions):
            self.eventually(lambda i=index: self.assertEqual(self.stable(t, i), self.end_offset(t, i)))
            self.assertEqual(self.committed(t, 0, index), sorted(x[1:] for x in told if x[0] == index))


class Timeouts(TxnCase):
    own = is_fair = True
    overrides = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": 100}

    def test_kafka_19690_who_was_aborted_for_its_time_is_not_told_a_fatal_error(self):
        t = self.topic(self.c)
        a = self.txn(timeout_ms=300)
        a.send(t, [b"x"])
        self.wait_stable(t, 2)
        self.assertEqual(a.produce(t, a.batch([b"y"])).error, 47)
        a.timeout_ms = 60000
        a.init()
        a.send(t, [b"z"])
        a.end(COMMIT)
        self.wait_stable(t, 4)
        self.assertEqual(self.committed(t), [(2, b"z")])


class Epochs(coordinator.Txn):
    def test_kafka_18660_kafka_19367_epochs_do_not_run_over_at_their_end(self):
        producer, topic = self.init(), self.topic(self.c)
        while producer[1] < EPOCH_LAST - 2:
            answer = self.retry(lambda: self.end(producer, False, 5))
            self.assertEqual(answer.error, 0)
            producer = (answer.producer_id, answer.producer_epoch)
        first, seen = producer[0], []
        for _ in range(4):
            self.enrolled(producer, (topic, 0), version=4)
            new = self.init()
            seen.append(new)
            self.assertNotEqual(new, producer)
            self.assertTrue(0 <= new[1] <= EPOCH_LAST)
            # Who was there before writes no more.
            self.assertIn(self.end(producer, True, 4).error,
                          (coordinator.FENCED, coordinator.INVALID_EPOCH, coordinator.INVALID_MAPPING))
            producer = new
        self.assertNotEqual(producer[0], first)
        self.assertEqual(len(set(seen)), 4)
        self.enrolled(producer, (topic, 0), version=4)
        self.ended(producer)


if __name__ == "__main__":
    unittest.main()
