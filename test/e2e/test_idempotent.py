# SPDX-License-Identifier: Apache-2.0
"""Idempotent producers: ids, sequences, epochs, the window of five batches."""
import unittest

from lib.batch import GZIP, batch, batches
from lib.case import Case, moldau_only


class Ids(Case):
    def test_every_version_gives_an_id_of_its_own(self):
        conn, seen = self.conn(), set()
        for version in (0, 1, 2, 3, 4, 5) * 2:
            answer = conn.settled("InitProducerId", version)
            self.assertEqual((answer.error, answer.producer_epoch), (0, 0))
            self.assertGreaterEqual(answer.producer_id, 0)
            self.assertNotIn(answer.producer_id, seen)
            seen.add(answer.producer_id)

    def test_many_ids_over_many_connections(self):
        # More than one block of a thousand.
        conns, seen = [self.conn() for _ in range(4)], set()
        for i in range(1500):
            seen.add(conns[i % 4].init_producer()[0])
        self.assertEqual(len(seen), 1500)

    def test_an_id_with_its_epoch_is_answered_with_a_new_one(self):
        conn = self.conn()
        first, epoch = conn.init_producer()
        answer = conn.settled("InitProducerId", 3, producer_id=first, producer_epoch=epoch)
        self.assertEqual((answer.error, answer.producer_epoch), (0, 0))
        self.assertNotEqual(answer.producer_id, first)

    def test_id_and_epoch_go_together(self):
        conn = self.conn()
        for values in ({"producer_id": 5}, {"producer_epoch": 3}, {"producer_id": -1, "producer_epoch": 0}):
            answer = conn.call("InitProducerId", 4, **values)
            self.assertEqual((answer.error, answer.producer_id, answer.producer_epoch), (42, -1, -1))

    def test_empty_transactional_id(self):
        self.assertEqual(self.conn().call("InitProducerId", 4, transactional_id="").error, 42)


class Sequences(Case):
    def setUp(self):
        self.c = self.conn()
        self.t = self.topic(self.c, 2)
        self.pid, self.epoch = self.c.init_producer()

    def send(self, sequence, count=1, pid=None, epoch=None, index=0, **values):
        data = batch([b"s%d" % (sequence + i) for i in range(count)], values.pop("codec", 0), sequence=sequence,
                     producer_id=self.pid if pid is None else pid, producer_epoch=self.epoch if epoch is None
                     else epoch)
        return self.c.produce(self.t, data, index=index, **values)

    def ok(self, base_offset, *args, **values):
        answer = self.send(*args, **values)
        self.assertEqual((answer.error, answer.base_offset), (0, base_offset))
        return answer

    def refused(self, error, *args, **values):
        answer = self.send(*args, **values)
        self.assertEqual((answer.error, answer.base_offset), (error, -1))

    def test_in_order(self):
        for i in range(20):
            self.ok(i * 3, i * 3, 3)
        got = batches(self.c.fetch(self.t).records)
        self.assertEqual([(b.producer_id, b.producer_epoch, b.sequence) for b in got],
                         [(self.pid, 0, i * 3) for i in range(20)])

    def test_a_repeated_batch_is_answered_with_its_first_offset(self):
        for i in range(5):
            self.ok(2 * i, 2 * i, 2)
        for i in (4, 0, 2, 1, 3, 0):
            self.ok(2 * i, 2 * i, 2)
        self.assertEqual(len(self.c.read_all(self.t)), 10)

    def test_the_window_is_five_batches(self):
        for i in range(7):
            self.ok(i, i)
        for i in (0, 1):
            self.refused(45, i)
        for i in (2, 3, 4, 5, 6):
            self.ok(i, i)
        self.assertEqual(len(self.c.read_all(self.t)), 7)

    def test_a_gap_is_out_of_order(self):
        self.ok(0, 0, 3)
        self.refused(45, 5)
        self.refused(45, 2, 3)
        self.refused(45, 0, 4)
        self.ok(3, 3)
        self.assertEqual(len(self.c.read_all(self.t)), 4)

    def test_epochs(self):
        self.ok(0, 0)
        self.refused(45, 5, epoch=1)
        self.ok(1, 0, epoch=1)
        self.refused(47, 1, epoch=0)
        self.refused(47, 0, epoch=0)
        self.ok(2, 1, epoch=1)

    def test_an_unknown_producer_may_begin_anywhere(self):
        self.ok(0, 5)
        self.ok(1, 6)
        self.refused(45, 9)
        other = self.c.init_producer()[0]
        self.ok(2, 3, pid=other, epoch=5)

    def test_negative_sequence(self):
        self.refused(87, -1)
        self.refused(87, -5)

    def test_sequences_wrap(self):
        last = 2147483647
        self.ok(0, last - 1, 2)
        self.ok(2, 0)
        self.ok(0, last - 1, 2)
        self.ok(3, 1)
        # A batch may hold the turn inside.
        other = self.c.init_producer()[0]
        self.ok(4, last - 1, 5, pid=other)
        self.ok(9, 3, pid=other)

    def test_producers_and_partitions_are_apart(self):
        other = self.c.init_producer()[0]
        self.ok(0, 0)
        self.ok(1, 0, pid=other)
        self.ok(0, 0, index=1)
        self.ok(2, 1)
        self.ok(3, 1, pid=other)
        self.ok(1, 1, index=1)

    def test_compressed_and_acks_1(self):
        self.ok(0, 0, 10, codec=GZIP)
        self.ok(10, 10, 10, codec=GZIP, acks=1)
        self.ok(0, 0, 10, codec=GZIP)
        self.ok(10, 10, 10, codec=GZIP)

    def test_repeated_with_append_time(self):
        self.t = self.topic(self.c, message_timestamp_type="LogAppendTime")
        first = self.ok(0, 0)
        again = self.ok(0, 0)
        self.assertEqual(again.append_time_ms, first.append_time_ms)

    def test_repeated_on_a_topic_that_compresses_again(self):
        self.t = self.topic(self.c, compression_type="gzip")
        self.ok(0, 0, 5)
        self.ok(0, 0, 5)
        got = batches(self.c.fetch(self.t).records)
        self.assertEqual([(b.producer_id, b.producer_epoch, b.sequence, b.count) for b in got], [(self.pid, 0, 0, 5)])

    def test_acks_0_out_of_order_closes(self):
        self.ok(0, 0)
        conn = self.conn()
        conn.produce(self.t, batch([b"x"], producer_id=self.pid, producer_epoch=0, sequence=7), acks=0)
        self.assertTrue(conn.closed(5))

    def test_five_in_flight(self):
        sent = [self.c.send("Produce", 9, acks=-1, timeout_ms=5000, topics=[{"name": self.t, "partitions": [
            {"index": 0, "records": batch([b"x"] * 2, producer_id=self.pid, producer_epoch=0, sequence=2 * i)}]}])
            for i in range(5)]
        for i, correlation in enumerate(sent):
            answer = self.c.recv("Produce", 9, correlation).topics[0].partitions[0]
            self.assertEqual((answer.error, answer.base_offset), (0, 2 * i))

    def test_a_refused_batch_moves_nothing(self):
        self.ok(0, 0)
        bad = batch([b"x"], producer_id=self.pid, producer_epoch=0, sequence=1, crc=1)
        self.assertEqual(self.c.produce(self.t, bad).error, 2)
        self.ok(1, 1)

    def test_window_survives_a_hard_restart(self):
        for i in range(6):
            self.ok(i, i)
        self.crash()
        self.c = self.conn()
        self.c.wait_leader(self.t, 2)
        # The last batch is always known again; the original forgets those before it.
        self.ok(5, 5)
        older = self.send(3)
        self.assertIn((older.error, older.base_offset), ((0, 3), (45, -1)))
        self.refused(45, 9)
        self.ok(6, 6)
        self.assertEqual(len(self.c.read_all(self.t)), 7)

    @moldau_only
    def test_ids_are_never_given_twice(self):
        seen = {self.c.init_producer()[0] for _ in range(50)}
        for _ in range(3):
            self.crash()
            self.c = self.conn()
            fresh = {self.c.init_producer()[0] for _ in range(50)}
            self.assertEqual(seen & fresh, set())
            seen |= fresh


if __name__ == "__main__":
    unittest.main()
