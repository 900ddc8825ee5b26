# SPDX-License-Identifier: Apache-2.0
"""ListOffsets with its sentinels and times, OffsetForLeaderEpoch."""
import unittest

from lib.batch import GZIP, Record, batch
from lib.case import Case, moldau_only

NONE = (0, -1, -1)


class Times(Case):
    """Offsets 0 to 7 with times 1000 1005 1010 1015 1020 1025, and a compressed batch 1012 1002."""

    def setUp(self):
        self.c = self.conn()
        self.t = self.topic(self.c, 2, retention_ms=-1)  # these times are long ago
        for i in range(3):
            self.c.produce(self.t, [Record(b"v", timestamp=1000 + 10 * i), Record(b"v", timestamp=1005 + 10 * i)])
        self.c.produce(self.t, batch([Record(b"v", timestamp=1012), Record(b"v", timestamp=1002)], GZIP))

    def ask(self, timestamp, version=7, **values):
        answer = self.c.list_offset(self.t, timestamp, version=version, **values)
        if version >= 4 and not answer.error:
            self.assertEqual(answer.leader_epoch, 0 if answer.offset >= 0 else -1)
        return answer.error, answer.timestamp, answer.offset

    def test_latest_and_earliest_in_every_version(self):
        for version in range(1, 12):
            with self.subTest(version=version):
                self.assertEqual(self.ask(-1, version), (0, -1, 8))
                self.assertEqual(self.ask(-2, version), (0, -1, 0))

    def test_times_in_every_version(self):
        for version in range(1, 12):
            for time, found in ((0, (0, 1000, 0)), (1000, (0, 1000, 0)), (1001, (0, 1005, 1)), (1003, (0, 1005, 1)),
                                (1005, (0, 1005, 1)), (1011, (0, 1015, 3)), (1021, (0, 1025, 5)), (1025, (0, 1025, 5)),
                                (1026, NONE), (1 << 50, NONE)):
                with self.subTest(version=version, time=time):
                    self.assertEqual(self.ask(time, version), found)

    def test_a_time_inside_a_compressed_batch(self):
        self.c.produce(self.t, batch([Record(b"v", timestamp=2000 + i) for i in range(5)], GZIP))
        self.assertEqual(self.ask(2003), (0, 2003, 11))

    def test_sentinels_by_version(self):
        for sentinel, since, found in ((-3, 7, (0, 1025, 5)), (-4, 8, (0, -1, 0)), (-5, 9, NONE), (-6, 11, NONE),
                                       (-7, 99, None), (-100, 99, None)):
            for version in range(1, 12):
                with self.subTest(sentinel=sentinel, version=version):
                    self.assertEqual(self.ask(sentinel, version), found if version >= since else (35, -1, -1))

    def test_an_empty_partition(self):
        for timestamp, found in ((-1, (0, -1, 0)), (-2, (0, -1, 0)), (-3, NONE), (-4, (0, -1, 0)), (-5, NONE),
                                 (-6, NONE),
                                 (0, NONE), (1000, NONE)):
            answer = self.c.list_offset(self.t, timestamp, 1, version=11)
            self.assertEqual((answer.error, answer.timestamp, answer.offset), found)

    def test_the_greatest_time_of_records_without_times(self):
        topic = self.topic(self.c)
        for _ in range(2):
            self.c.produce(topic, [Record(b"v", timestamp=-1)])
        for time, found in ((-3, (0, -1, 0)), (0, NONE)):
            answer = self.c.list_offset(topic, time)
            self.assertEqual((answer.error, answer.timestamp, answer.offset), found)
        self.c.produce(topic, [Record(b"v", timestamp=0)])
        answer = self.c.list_offset(topic, -3)
        self.assertEqual((answer.error, answer.timestamp, answer.offset), (0, 0, 2))

    def test_read_committed(self):
        answer = self.c.call("ListOffsets", 7, isolation=1, topics=[{"name": self.t, "partitions": [
            {"index": 0, "timestamp": -1}]}])
        self.assertEqual(answer.topics[0].partitions[0].offset, 8)

    def test_unknown_places(self):
        for name, index in (("absent-" + self.t, 0), (self.t, 9), (self.t, -1)):
            answer = self.c.list_offset(name, -1, index)
            self.assertEqual((answer.error, answer.timestamp, answer.offset, answer.leader_epoch), (3, -1, -1, -1))

    def test_leader_epochs(self):
        self.assertEqual(self.ask(-1, current_leader_epoch=0), (0, -1, 8))
        self.assertEqual(self.ask(-1, current_leader_epoch=3), (75, -1, -1))

    def test_a_partition_named_twice(self):
        twice = self.c.call("ListOffsets", 7, topics=[{"name": self.t, "partitions": [
            {"index": 0, "timestamp": -1}, {"index": 0, "timestamp": -2}, {"index": 1, "timestamp": -1}]}])
        got = {(p.index, p.error) for p in twice.topics[0].partitions}
        self.assertEqual(got, {(0, 42), (1, 0)})

    def test_several_topics(self):
        other = self.topic(self.c)
        answer = self.c.call("ListOffsets", 7, topics=[
            {"name": other, "partitions": [{"index": 0, "timestamp": -1}]},
            {"name": self.t, "partitions": [{"index": i, "timestamp": -1} for i in (1, 0)]}])
        got = {(t.name, p.index): p.offset for t in answer.topics for p in t.partitions}
        self.assertEqual(got, {(other, 0): 0, (self.t, 0): 8, (self.t, 1): 0})

    def test_times_over_segments(self):
        topic = self.topic(self.c, segment_bytes=1048576, retention_ms=-1)
        for i in range(10):
            self.c.produce(topic, [Record(bytes(300_000), timestamp=5000 + 10 * i)])
        for i in range(10):
            answer = self.c.list_offset(topic, 5000 + 10 * i - 3)
            self.assertEqual((answer.timestamp, answer.offset), (5000 + 10 * i, i))
        self.assertEqual(self.c.list_offset(topic, -3).offset, 9)

    @moldau_only  # the original names a record that nobody can read any more
    def test_the_greatest_time_of_what_is_left(self):
        topic = self.topic(self.c, segment_bytes=1048576, retention_ms=-1)
        self.c.produce(topic, batch([Record(b"v", timestamp=t) for t in (9000, 1000, 1700)], GZIP))
        self.c.produce(topic, [Record(b"v", timestamp=1500)])
        for start, found in ((0, (0, 9000, 0)), (1, (0, 1700, 2)), (3, (0, 1500, 3)), (4, NONE)):
            self.assertEqual(self.c.call("DeleteRecords", 2, timeout_ms=5000, topics=[
                {"name": topic, "partitions": [{"index": 0, "offset": start}]}]).topics[0].partitions[0].error, 0)
            answer = self.c.list_offset(topic, -3)
            self.assertEqual((answer.error, answer.timestamp, answer.offset), found)

    def test_after_a_hard_restart(self):
        self.crash()
        self.c = self.conn()
        self.c.wait_leader(self.t, 2)
        for time, found in ((-1, 8), (-2, 0), (1003, 1), (-3, 5), (1026, -1)):
            self.assertEqual(self.c.list_offset(self.t, time).offset, found)


class LeaderEpoch(Case):
    def ask(self, conn, topic, epoch, version=4, index=0, **values):
        answer = conn.call("OffsetForLeaderEpoch", version, topics=[{"name": topic, "partitions": [
            dict(values, index=index, leader_epoch=epoch)]}]).topics[0].partitions[0]
        return answer.error, answer.leader_epoch, answer.end_offset

    def test_every_version(self):
        conn = self.conn()
        topic = self.topic(conn)
        conn.produce(topic, [b"a"] * 8)
        for version in (2, 3, 4):
            self.assertEqual(self.ask(conn, topic, 0, version), (0, 0, 8))
            for epoch in (1, 5, -1):
                self.assertEqual(self.ask(conn, topic, epoch, version), (0, -1, -1))
            self.assertEqual(self.ask(conn, topic, 0, version, current_leader_epoch=0), (0, 0, 8))
            self.assertEqual(self.ask(conn, topic, 0, version, current_leader_epoch=5), (75, -1, -1))

    def test_unknown_places(self):
        conn = self.conn()
        topic = self.topic(conn)
        self.assertEqual(self.ask(conn, "absent-" + topic, 0), (3, -1, -1))
        self.assertEqual(self.ask(conn, topic, 0, index=7), (3, -1, -1))


if __name__ == "__main__":
    unittest.main()
