# SPDX-License-Identifier: Apache-2.0
"""Anomalies that transactions had in other brokers, each named after where it was found; none may happen here."""
import unittest

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
        a = self.txn()
        self.assertEqual(a.send(t, [b"x"]), 0)
        self.crash()
        self.c = self.conn()
        self.c.wait_leader(t)
        a.conn = self.conn()
        self.assertEqual(self.stable(t), 0)
        a.end(COMMIT)
        self.wait_stable(t, 2)
        self.assertEqual(self.committed(t), [(0, b"x")])

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


class Timeouts(TxnCase):
    own = is_fair = True
    overrides = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": 100}

    def test_kafka_19690_who_was_aborted_for_its_time_is_not_told_a_fatal_error(self):
        t = self.topic(self.c)
        a = self.txn(timeout_ms=300)
        a.send(t, [b"x"])
        self.wait_stable(t, 2)
        self.assertEqual(a.produce(t, a.batch([b"y"])).error, 47)
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
