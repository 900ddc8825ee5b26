# SPDX-License-Identifier: Apache-2.0
"""Fetch: limits, waiting, errors, epochs, sessions."""
import threading
import time
import unittest
import uuid

from lib.batch import batches
from lib.case import Case
from lib.wire import UUID_ZERO


def elapsed(call):
    began = time.monotonic()
    return call(), time.monotonic() - began


class Filled(Case):
    """A topic of two partitions, five batches of 70 bytes in the first."""

    def setUp(self):
        self.c = self.conn()
        self.t = self.topic(self.c, 2)
        self.uid = self.c.topic_id(self.t)
        for i in range(5):
            self.assertEqual(self.c.produce(self.t, [b"v%d" % i]).error, 0)

    def fetch(self, offset=0, **values):
        values.setdefault("max_wait_ms", 0)
        return self.c.fetch(self.t, offset, topic_id=self.uid, **values)


class Read(Filled):
    def test_every_version(self):
        for version in range(4, 19):
            with self.subTest(version=version):
                answer = self.fetch(version=version)
                self.assertEqual((answer.error, answer.high_watermark, answer.last_stable), (0, 5, 5))
                self.assertEqual([r.value for b in batches(answer.records) for r in b.records],
                                 [b"v0", b"v1", b"v2", b"v3", b"v4"])
                self.assertIsNone(answer.aborted)
                if version >= 5:
                    self.assertEqual(answer.log_start, 0)
                if version >= 11:
                    self.assertEqual(answer.preferred_replica, -1)

    def test_from_each_offset(self):
        for offset in range(5):
            got = batches(self.fetch(offset).records)
            self.assertEqual([b.base_offset for b in got], list(range(offset, 5)))

    def test_inside_a_batch(self):
        self.c.produce(self.t, [b"a", b"b", b"c", b"d"])
        got = batches(self.fetch(7).records)
        self.assertEqual([(b.base_offset, b.count) for b in got], [(5, 4)])

    def test_at_the_end(self):
        answer = self.fetch(5)
        self.assertEqual((answer.error, answer.high_watermark, answer.records), (0, 5, b""))

    def test_offset_out_of_range(self):
        for offset in (6, 1 << 40, -1, -5):
            with self.subTest(offset=offset):
                answer = self.fetch(offset)
                self.assertEqual((answer.error, answer.high_watermark, answer.last_stable, answer.log_start),
                                 (1, -1, -1, -1))
                self.assertEqual(answer.records, b"")

    def test_read_committed(self):
        answer = self.fetch(isolation=1)
        self.assertEqual((answer.error, answer.aborted, len(batches(answer.records))), (0, [], 5))

    def test_unknown_places(self):
        for name, topic_id, index, version, error in (
                ("absent-" + self.t, self.uid, 0, 12, 3), (self.t, self.uid, 9, 12, 3), (self.t, self.uid, -1, 12, 3),
                ("", self.uid, 9, 13, 3), ("", uuid.uuid4(), 0, 13, 100), ("", UUID_ZERO, 0, 13, 100),
                ("", uuid.uuid4(), 0, 18, 100), ("a b", self.uid, 0, 4, 3)):
            with self.subTest(name=name, index=index, version=version):
                answer = self.c.fetch(name, 0, index, version=version, topic_id=topic_id)
                self.assertEqual((answer.error, answer.high_watermark, answer.records), (error, -1, b""))

    def test_nothing_beyond_the_high_watermark(self):
        stop = threading.Event()

        def produce():
            conn = self.broker.conn()
            while not stop.is_set():
                conn.produce(self.t, [b"x" * 100] * 3, index=1)
            conn.close()
        thread = threading.Thread(target=produce)
        thread.start()
        try:
            offset, end = 0, time.monotonic() + 1.0
            while time.monotonic() < end:
                answer = self.fetch(offset, index=1, max_wait_ms=50)
                self.assertEqual(answer.error, 0)
                for b in batches(answer.records):
                    self.assertEqual(b.base_offset, offset)
                    offset = b.next_offset
                # The mark in the answer may be older than its records; the true one may not be lower.
                self.assertLessEqual(offset, self.c.list_offset(self.t, -1, 1).offset)
        finally:
            stop.set()
            thread.join()
        self.assertGreater(offset, 10)

    def test_large_answers_are_whole(self):
        sent = []
        for i in range(12):
            value = bytes([i]) * 900_000
            sent.append(value)
            self.assertEqual(self.c.produce(self.t, [value], index=1).error, 0)
        answer = self.fetch(index=1, partition_max_bytes=1 << 25)
        self.assertEqual([r.value for b in batches(answer.records) for r in b.records], sent)


class Limits(Filled):
    def test_the_first_batch_comes_whole_beyond_every_limit(self):
        big = b"x" * 200_000
        self.c.produce(self.t, [big], index=1)
        for limits in ({"max_bytes": 1}, {"partition_max_bytes": 1}, {"max_bytes": 0, "partition_max_bytes": 0},
                       {"max_bytes": 1000, "partition_max_bytes": 1000}):
            for version in (4, 12):
                with self.subTest(limits, version=version):
                    got = batches(self.fetch(index=1, version=version, **limits).records)
                    self.assertEqual([r.value for b in got for r in b.records], [big])

    def test_only_the_first_partition_may_go_beyond(self):
        self.c.produce(self.t, [b"y" * 500], index=1)
        answer = self.c.call("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1,
                             topics=[{"name": self.t, "partitions": [
            {"index": 1, "offset": 0}, {"index": 0, "offset": 0}]}])
        got = {p.index: p for t in answer.topics for p in t.partitions}
        self.assertEqual((len(batches(got[1].records)), got[0].records), (1, b""))
        self.assertEqual((got[0].error, got[0].high_watermark), (0, 5))

    def test_an_empty_partition_leaves_the_room_to_the_next(self):
        answer = self.c.call("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=1,
                             topics=[{"name": self.t, "partitions": [
            {"index": 1, "offset": 0}, {"index": 0, "offset": 0}]}])
        got = {p.index: p for t in answer.topics for p in t.partitions}
        self.assertEqual(len(batches(got[0].records)), 1)

    def test_partition_limit(self):
        for limit in (70, 100, 140, 200, 350):
            with self.subTest(limit=limit):
                answer = self.fetch(partition_max_bytes=limit)
                self.assertLessEqual(len(answer.records), limit)
                self.assertEqual(len(batches(answer.records)), limit // 70)

    def test_request_limit_over_partitions(self):
        for _ in range(20):
            self.c.produce(self.t, [b"z" * 1000], index=1)
            self.c.produce(self.t, [b"z" * 1000])
        answer = self.c.call("Fetch", 12, max_wait_ms=0, min_bytes=1, max_bytes=10_000, topics=[
            {"name": self.t, "partitions": [{"index": i, "offset": 5 * (1 - i)} for i in (0, 1)]}])
        size = sum(len(p.records) for p in answer.topics[0].partitions)
        self.assertTrue(5_000 < size <= 10_000, size)


class Waiting(Filled):
    def test_max_wait(self):
        answer, took = elapsed(lambda: self.fetch(5, max_wait_ms=400))
        self.assertEqual((answer.error, answer.records), (0, b""))
        self.assertTrue(0.35 <= took < 8, took)

    def test_min_bytes_0_does_not_wait(self):
        self.assertLess(elapsed(lambda: self.fetch(5, max_wait_ms=12_000, min_bytes=0))[1], 8)

    def test_max_wait_0_or_negative(self):
        for wait in (0, -1):
            self.assertLess(elapsed(lambda: self.fetch(5, max_wait_ms=wait))[1], 8)

    def test_min_bytes_holds_back_what_is_there(self):
        answer, took = elapsed(lambda: self.fetch(0, max_wait_ms=400, min_bytes=100_000))
        self.assertEqual(len(batches(answer.records)), 5)
        self.assertTrue(0.35 <= took < 8, took)

    def test_a_record_ends_the_wait(self):
        sent = self.c.send("Fetch", 12, max_wait_ms=14_000, min_bytes=1, topics=[
            {"name": self.t, "partitions": [{"index": 0, "offset": 5}]}])
        self.assertTrue(self.c.silent(0.2))
        self.conn().produce(self.t, [b"new"])
        answer, took = elapsed(lambda: self.c.recv("Fetch", 12, sent))
        self.assertLess(took, 8)
        self.assertEqual([r.value for b in batches(answer.topics[0].partitions[0].records) for r in b.records],
                         [b"new"])

    def test_min_bytes_counts_what_arrives(self):
        sent = self.c.send("Fetch", 12, max_wait_ms=14_000, min_bytes=5000, topics=[
            {"name": self.t, "partitions": [{"index": i, "offset": 5 * (1 - i)} for i in (0, 1)]}])
        other = self.conn()
        for i in range(3):
            other.produce(self.t, [b"n" * 1000], index=i % 2)
        self.assertTrue(self.c.silent(0.2))
        for i in range(4):
            other.produce(self.t, [b"n" * 1000], index=i % 2)
        answer, took = elapsed(lambda: self.c.recv("Fetch", 12, sent))
        self.assertLess(took, 8)
        self.assertGreaterEqual(sum(len(p.records) for p in answer.topics[0].partitions), 5000)

    def test_errors_end_the_wait(self):
        for offset, index in ((9, 0), (0, 7)):
            answer, took = elapsed(lambda: self.fetch(offset, index=index, max_wait_ms=12_000))
            self.assertNotEqual(answer.error, 0)
            self.assertLess(took, 8)
        answer, took = elapsed(lambda: self.c.call("Fetch", 12, max_wait_ms=12_000, min_bytes=1, topics=[
            {"name": self.t, "partitions": [{"index": 0, "offset": 5}, {"index": 1, "offset": 3}]}]))
        self.assertLess(took, 8)
        self.assertEqual([(p.index, p.error) for p in answer.topics[0].partitions], [(0, 0), (1, 1)])

    def test_an_unknown_partition_beside_a_known_one(self):
        answer = self.c.call("Fetch", 12, max_wait_ms=200, min_bytes=1, topics=[
            {"name": self.t, "partitions": [{"index": 0, "offset": 5}, {"index": 7, "offset": 0}]}])
        self.assertEqual({(p.index, p.error) for p in answer.topics[0].partitions}, {(0, 0), (7, 3)})

    def test_a_deleted_topic_ends_the_wait(self):
        sent = self.c.send("Fetch", 12, max_wait_ms=14_000, min_bytes=1, topics=[
            {"name": self.t, "partitions": [{"index": 0, "offset": 5}]}])
        self.assertTrue(self.c.silent(0.1))
        self.conn().delete(self.t)
        answer, took = elapsed(lambda: self.c.recv("Fetch", 12, sent))
        self.assertIn(answer.topics[0].partitions[0].error, (3, 6))
        self.assertLess(took, 8)

    def test_a_client_that_goes_while_it_waits(self):
        for _ in range(20):
            conn = self.conn()
            conn.send("Fetch", 12, max_wait_ms=3000, min_bytes=1, topics=[
                {"name": self.t, "partitions": [{"index": 0, "offset": 5}]}])
            conn.close()
        self.c.produce(self.t, [b"x"])
        self.assertEqual(len(self.c.read_all(self.t)), 6)

    def test_two_hundred_waiters_wake_together(self):
        conns = [self.conn() for _ in range(200)]
        sent = [c.send("Fetch", 12, max_wait_ms=14_000, min_bytes=1, topics=[
            {"name": self.t, "partitions": [{"index": 0, "offset": 5}]}]) for c in conns]
        time.sleep(0.2)
        self.c.produce(self.t, [b"new"])
        began = time.monotonic()
        for conn, correlation in zip(conns, sent):
            self.assertEqual(conn.recv("Fetch", 12, correlation).topics[0].partitions[0].high_watermark, 6)
        self.assertLess(time.monotonic() - began, 8)


class Epochs(Filled):
    def test_current_leader_epoch(self):
        for version in (9, 12, 18):
            self.assertEqual(self.fetch(version=version, current_leader_epoch=0).error, 0)
            self.assertEqual(self.fetch(version=version, current_leader_epoch=-1).error, 0)
            answer = self.fetch(version=version, current_leader_epoch=3)
            self.assertEqual((answer.error, answer.high_watermark, answer.records), (75, -1, b""))

    def test_last_fetched_epoch(self):
        same = self.fetch(3, last_fetched_epoch=0)
        self.assertEqual((same.error, same.diverging, len(batches(same.records))), (0, None, 2))
        beyond = self.fetch(9, last_fetched_epoch=0)
        self.assertEqual((beyond.error, dict(beyond.diverging), beyond.records),
                         (0, {"epoch": 0, "end_offset": 5}, b""))
        self.assertEqual(self.fetch(3, last_fetched_epoch=5).error, 1)

    def test_restart_raises_the_epoch(self):
        session = self.c.call("Fetch", 12, max_wait_ms=0, min_bytes=0, session_epoch=0, topics=[
            {"name": self.t, "partitions": [{"index": 0, "offset": 5}]}]).session_id
        self.assertGreater(session, 0)
        self.crash()
        self.c = self.conn()
        epoch = self.c.wait_leader(self.t, 2).partitions[0].leader_epoch
        self.assertGreater(epoch, 0)
        self.assertEqual(self.fetch(current_leader_epoch=0).error, 74)
        self.assertEqual(self.fetch(current_leader_epoch=epoch).error, 0)
        self.assertEqual(self.fetch(current_leader_epoch=epoch + 1).error, 75)
        self.assertEqual(self.c.list_offset(self.t, -1, current_leader_epoch=0).error, 74)
        old = self.c.call("Fetch", 12, max_wait_ms=0, min_bytes=0, session_id=session, session_epoch=1, topics=[])
        self.assertEqual((old.error, old.topics), (70, []))
        # Old records keep their epoch, new ones bear the new one, and a log that went another way is told where.
        self.assertEqual(self.c.produce(self.t, [b"new"]).base_offset, 5)
        self.assertEqual([b.epoch for b in batches(self.fetch().records)], [0] * 5 + [epoch])
        apart = self.fetch(6, last_fetched_epoch=0)
        self.assertEqual((apart.error, dict(apart.diverging)), (0, {"epoch": 0, "end_offset": 5}))
        ends = self.c.call("OffsetForLeaderEpoch", 4, topics=[{"name": self.t, "partitions": [
            {"index": 0, "leader_epoch": 0}]}]).topics[0].partitions[0]
        self.assertEqual((ends.error, ends.leader_epoch, ends.end_offset), (0, 0, 5))


class Sessions(Filled):
    def call(self, session, epoch, parts=(), version=12, forgotten=(), max_wait_ms=0, name=None, topic_id=None):
        names = {"name": name or self.t, "topic_id": topic_id or self.uid}
        answer = self.c.call(
            "Fetch", version, max_wait_ms=max_wait_ms, min_bytes=1, session_id=session, session_epoch=epoch,
            topics=[dict(names, partitions=[{"index": i, "offset": o} for i, o in parts])] if parts else [],
            forgotten=[dict(names, partitions=list(forgotten))] if forgotten else [])
        news = [(p.index, p.error, p.high_watermark, len(batches(p.records))) for t in answer.topics
                for p in t.partitions]
        return answer.error, answer.session_id, news

    def test_life_of_a_session(self):
        for version in (7, 12, 13, 18):
            with self.subTest(version=version):
                self.t = self.topic(self.c, 2)
                self.uid = self.c.topic_id(self.t)
                for i in range(5):
                    self.c.produce(self.t, [b"v%d" % i])
                error, session, news = self.call(0, 0, [(0, 0), (1, 0)], version)
                self.assertEqual((error, news), (0, [(0, 0, 5, 5), (1, 0, 0, 0)]))
                self.assertGreater(session, 0)
                self.assertEqual(self.call(session, 1, [(0, 5)], version), (0, session, []))
                self.assertEqual(self.call(session, 2, (), version), (0, session, []))
                self.c.produce(self.t, [b"n"], index=1)
                self.assertEqual(self.call(session, 3, (), version), (0, session, [(1, 0, 1, 1)]))
                self.assertEqual(self.call(session, 4, (), version), (0, session, [(1, 0, 1, 1)]))
                self.assertEqual(self.call(session, 5, [(1, 1)], version), (0, session, []))
                self.assertEqual(self.call(session, 9, (), version), (71, 0, []))
                self.assertEqual(self.call(session, 5, (), version), (71, 0, []))
                self.assertEqual(self.call(session, 6, (), version), (0, session, []))
                self.assertEqual(self.call(session, 7, (), version, forgotten=[1]), (0, session, []))
                self.c.produce(self.t, [b"n"], index=1)
                self.assertEqual(self.call(session, 8, (), version), (0, session, []))
                self.assertEqual(self.call(session, -1, [(0, 4)], version), (0, 0, [(0, 0, 5, 1)]))
                self.assertEqual(self.call(session, 9, (), version), (70, 0, []))

    def test_unknown_sessions(self):
        self.assertEqual(self.call(12345, 1), (70, 0, []))
        self.assertEqual(self.call(0, 5, [(0, 0)]), (70, 0, []))
        self.assertEqual(self.call(0, 2147483647), (70, 0, []))

    def test_epoch_0_begins_anew_whatever_the_id(self):
        error, session, news = self.call(12345, 0, [(0, 0)])
        self.assertEqual((error, news), (0, [(0, 0, 5, 5)]))
        self.assertNotIn(session, (0, 12345))
        again = self.call(session, 0, [(0, 0)])
        self.assertEqual((again[0], again[2]), (0, news))
        self.assertNotEqual(again[1], session)
        self.assertEqual(self.call(session, 1), (70, 0, []), "the old one is gone")

    def test_no_session_when_none_is_asked_for(self):
        self.assertEqual(self.call(0, -1, [(0, 0)]), (0, 0, [(0, 0, 5, 5)]))

    def test_news_end_a_wait(self):
        _, session, _ = self.call(0, 0, [(0, 5), (1, 0)])
        sent = self.c.send("Fetch", 12, max_wait_ms=14_000, min_bytes=1, session_id=session, session_epoch=1, topics=[])
        self.assertTrue(self.c.silent(0.2))
        self.conn().produce(self.t, [b"n"], index=1)
        answer, took = elapsed(lambda: self.c.recv("Fetch", 12, sent))
        self.assertLess(took, 8)
        self.assertEqual([p.index for t in answer.topics for p in t.partitions], [1])

    def test_an_error_is_told_every_time(self):
        error, session, news = self.call(0, 0, [(0, 0)], name="absent-" + self.t)
        self.assertEqual((error, news), (0, [(0, 3, -1, 0)]))
        for epoch in (1, 2):
            self.assertEqual(self.call(session, epoch), (0, session, [(0, 3, -1, 0)]))

    def test_unknown_id_in_a_session(self):
        error, session, news = self.call(0, 0, [(0, 0)], 13, topic_id=uuid.uuid4())
        self.assertEqual((error, news), (0, [(0, 100, -1, 0)]))
        for epoch in (1, 2):
            self.assertEqual(self.call(session, epoch, (), 13), (0, session, [(0, 100, -1, 0)]))

    def test_names_and_ids_do_not_mix(self):
        _, session, _ = self.call(0, 0, [(0, 0)], 13)
        self.assertEqual(self.call(session, 1, (), 12), (106, 0, []))
        _, session, _ = self.call(0, 0, [(0, 0)], 12)
        self.assertEqual(self.call(session, 1, (), 13), (106, 0, []))

    def test_partitions_may_join_later(self):
        _, session, _ = self.call(0, 0, [(0, 5)])
        self.c.produce(self.t, [b"n"], index=1)
        self.assertEqual(self.call(session, 1, [(1, 0)]), (0, session, [(1, 0, 1, 1)]))

    def test_a_recreated_topic(self):
        for version in (12, 13):
            with self.subTest(version=version):
                name = self.topic(self.c)
                old_id = self.c.topic_id(name)
                self.c.produce(name, [b"old"])
                _, session, _ = self.call(0, 0, [(0, 1)], version, name=name, topic_id=old_id)
                self.c.delete(name)
                self.eventually(lambda: self.assertEqual(self.c.metadata(name).topics[0].error, 3))
                self.c.create(name)
                self.assertNotEqual(self.c.topic_id(name), old_id)
                if version == 13:
                    def check(epochs=iter(range(1, 1000))):
                        # A session that knew the name answers 103, one that did not 100.
                        error, same, news = self.call(session, next(epochs), (), version)
                        self.assertEqual((error, same), (0, session))
                        self.assertIn(news, ([(0, 100, -1, 0)], [(0, 103, -1, 0)]))
                    self.eventually(check)
                self.assertEqual(self.c.fetch("", 0, topic_id=old_id, version=13).error, 100)
                self.assertEqual(self.c.fetch("", 0, topic_id=self.c.topic_id(name), version=13).high_watermark, 0)
                self.assertEqual(self.c.produce("", [b"x"], topic_id=old_id, version=13).error, 100)

    def test_many_sessions(self):
        # More than the cache holds: each answer is right, with or without a session.
        sessions = []
        try:
            for _ in range(1200):
                error, session, news = self.call(0, 0, [(0, 4)])
                self.assertEqual((error, news), (0, [(0, 0, 5, 1)]))
                sessions.append(session)
            self.assertEqual(len(set(sessions) - {0}), len(sessions) - sessions.count(0), "an id was given twice")
            self.assertEqual(self.call(session, 1 if session else -1, [(0, 4)])[2], [(0, 0, 5, 1)])
        finally:
            for session in set(sessions) - {0}:
                self.call(session, -1)


if __name__ == "__main__":
    unittest.main()
