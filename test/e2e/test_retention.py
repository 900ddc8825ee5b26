# SPDX-License-Identifier: Apache-2.0
"""What goes: retention by time and size, DeleteRecords, and what readers see of it."""
import os
import threading
import time
import unittest

from lib.batch import Record
from lib.case import Case


def delete(conn, topic, offset, index=0, version=2, timeout_ms=10000):
    answer = conn.call("DeleteRecords", version, timeout_ms=timeout_ms, topics=[
        {"name": topic, "partitions": [{"index": index, "offset": offset}]}])
    part = answer.topics[0].partitions[0]
    return part.error, part.low_watermark


class DeleteRecords(Case):
    def setUp(self):
        self.c = self.conn()
        self.t = self.topic(self.c, 2, retention_ms=-1)
        for i in range(10):
            self.c.produce(self.t, [Record(b"v%d" % i, timestamp=1000 + i)])

    def earliest(self):
        return self.c.list_offset(self.t, -2).offset

    def test_moves_the_start_at_once_for_everybody(self):
        other = self.conn()
        self.assertEqual(delete(self.c, self.t, 4), (0, 4))
        for conn in (self.c, other):
            self.assertEqual(conn.list_offset(self.t, -2).offset, 4)
            self.assertEqual(conn.list_offset(self.t, 0).offset, 4)
            self.assertEqual(conn.list_offset(self.t, 1002).offset, 4)
            self.assertEqual(conn.list_offset(self.t, -3).offset, 9)
            self.assertEqual(conn.fetch(self.t, 3).error, 1)
            self.assertEqual([r.value for r in conn.read_all(self.t, 4)], [b"v%d" % i for i in range(4, 10)])
            self.assertEqual(conn.fetch(self.t, 4).log_start, 4)

    def test_versions_and_sentinel(self):
        for version, offset in ((0, 2), (1, 3), (2, 5)):
            self.assertEqual(delete(self.c, self.t, offset, version=version), (0, offset))
        self.assertEqual(delete(self.c, self.t, 1), (0, 5))
        self.assertEqual(delete(self.c, self.t, -1), (0, 10))
        self.assertEqual(self.earliest(), 10)
        self.assertEqual(self.c.produce(self.t, [Record(b"next")]).base_offset, 10)
        self.assertEqual(self.c.list_offset(self.t, 0).offset, 10)

    def test_refusals(self):
        self.assertEqual(delete(self.c, self.t, 11), (1, -1))
        self.assertEqual(delete(self.c, self.t, -2), (1, -1))
        self.assertEqual(delete(self.c, self.t, 0, index=7), (3, -1))
        self.assertEqual(delete(self.c, "absent-" + self.t, 0), (3, -1))
        self.assertEqual(delete(self.c, self.t, -1, index=1), (0, 0))
        compacted = self.topic(self.c, cleanup_policy="compact")
        self.assertEqual(delete(self.c, compacted, -1), (44, -1))
        both = self.topic(self.c, cleanup_policy="compact,delete")
        self.c.produce(both, [Record(b"v", b"k")])
        self.assertEqual(delete(self.c, both, -1), (0, 1))
        self.assertEqual(self.earliest(), 0)

    def test_what_keeps_everything_may_be_deleted_from(self):
        kept = self.topic(self.c, cleanup_policy="")
        for _ in range(3):
            self.c.produce(kept, [b"v"])
        self.assertEqual(delete(self.c, kept, 2), (0, 2))
        self.assertEqual(self.c.list_offset(kept, -2).offset, 2)

    def test_no_time_is_enough_where_nobody_is_waited_for(self):
        for timeout_ms, offset in ((0, 3), (-1, 4), (-(1 << 31), 5)):
            self.assertEqual(delete(self.c, self.t, offset, timeout_ms=timeout_ms), (0, offset))

    def test_survives_a_kill(self):
        self.assertEqual(delete(self.c, self.t, 7), (0, 7))
        self.crash()
        conn = self.conn()
        conn.wait_leader(self.t, 2)
        self.assertEqual(conn.list_offset(self.t, -2).offset, 7)
        self.assertEqual([r.value for r in conn.read_all(self.t, 7)], [b"v7", b"v8", b"v9"])


class Rolls(Case):
    """Where segments begin; the numbers are the original's."""

    own = True
    overrides = {"log.retention.check.interval.ms": 50, "log.initial.task.delay.ms": 0}

    def setUp(self):
        self.c = self.conn()

    def put(self, topic, *times, size=10):
        for time_ms in times:
            self.assertEqual(self.c.produce(topic, [Record(bytes(size), b"k", timestamp=time_ms)]).error, 0)

    def bases(self, topic):
        return sorted(int(n[:20]) for n in os.listdir(os.path.join(self.broker.data, topic + "-0"))
                      if n.endswith(".log"))

    def alter(self, topic, **configs):
        answer = self.c.call("IncrementalAlterConfigs", 1, resources=[{"type": 2, "name": topic, "configs": [
            {"name": k.replace("_", "."), "op": 0, "value": str(v)} for k, v in configs.items()]}])
        self.assertEqual(answer.responses[0].error, 0)

    def test_by_time(self):
        t = self.topic(self.c, segment_ms=1000, retention_ms=-1)
        self.put(t, 5000, 5500, 6000, 6001, 7001, 7002, 3000, 9000, 10001, -1, -1, 10002, 20000, -1, -1)
        self.assertEqual(self.bases(t), [0, 3, 5, 7, 8, 12])
        time.sleep(1.2)
        self.put(t, -1, -1)
        self.assertEqual(self.bases(t), [0, 3, 5, 7, 8, 12])
        self.alter(t, segment_ms=100000)
        self.put(t, 100000, 200000)
        self.assertEqual(self.bases(t), [0, 3, 5, 7, 8, 12, 18])

    def test_by_the_jitter_of_the_first_segment_too(self):
        whole = 5 * 10 ** 11  # drawn from so many milliseconds, none is the last one
        t = self.topic(self.c, segment_ms=whole, segment_jitter_ms=whole, retention_ms=-1)
        self.put(t, 5000, 5000 + whole - 1)
        self.assertEqual(self.bases(t), [0, 1])
        self.broker.crash()
        self.c = self.conn()
        self.c.wait_leader(t)
        self.put(t, 5000 + 2 * (whole - 1))
        self.assertEqual(self.bases(t), [0, 1, 2])

    def test_by_the_clock_where_the_first_record_has_no_time(self):
        t = self.topic(self.c, segment_ms=1000, retention_ms=-1)
        self.put(t, -1)
        time.sleep(1.2)
        self.put(t, 5000, 5)
        self.assertEqual(self.bases(t), [0, 1])

    def test_by_the_lag_of_compaction(self):
        t = self.topic(self.c, cleanup_policy="compact", max_compaction_lag_ms=1000, min_cleanable_dirty_ratio=1)
        self.put(t, 5000, 5500, 6000)
        self.assertEqual(self.bases(t), [0])
        self.put(t, 6001)
        self.assertEqual(self.bases(t), [0, 3])
        self.alter(t, cleanup_policy="delete", retention_ms=-1)
        self.put(t, 9000, 12000)
        self.assertEqual(self.bases(t), [0, 3])
        self.alter(t, cleanup_policy="compact,delete")
        self.put(t, 15000)
        self.assertEqual(self.bases(t), [0, 3, 6])

    def test_by_full_indexes(self):
        for index_bytes, step, every in ((80, 1, 6), (80, 0, 11), (24, 1, 2), (31, 1, 2), (100, 1, 8)):
            t = self.topic(self.c, index_interval_bytes=0, segment_index_bytes=index_bytes, retention_ms=-1)
            self.put(t, *(1000 + i * step for i in range(24)))
            self.assertEqual(self.bases(t), list(range(0, 24, every)))
            self.assertEqual([r.offset for r in self.c.read_all(t)], list(range(24)))
            self.assertEqual(self.c.list_offset(t, 1000 + 23 * step).offset, 23 if step else 0)

    def test_by_size_while_the_size_changes(self):
        t = self.topic(self.c, internal_segment_bytes=10000, retention_ms=-1)
        self.put(t, *range(1000, 1030), size=1000)
        self.assertEqual(self.bases(t), [0, 9, 18, 27])
        self.alter(t, internal_segment_bytes=3000)
        self.put(t, *range(2000, 2010), size=1000)
        self.assertEqual(self.bases(t), [0, 9, 18, 27, 30, 32, 34, 36, 38])
        self.alter(t, internal_segment_bytes=20000)
        self.put(t, *range(3000, 3030), size=1000)
        self.assertEqual(self.bases(t), [0, 9, 18, 27, 30, 32, 34, 36, 38, 56])


class Trim(Case):
    """A log that loses its beginning while it is asked for times and read."""

    own = True
    overrides = {"log.retention.check.interval.ms": 50, "log.initial.task.delay.ms": 0,
                 "log.segment.delete.delay.ms": 100}

    def files(self, topic, ending):
        path = os.path.join(self.broker.data, topic + "-0")
        return sorted(n for n in os.listdir(path) if n.endswith(ending))

    def put(self, conn, topic, n, timestamp=None, size=1000):
        for _ in range(n):
            answer = conn.produce(topic, [Record(bytes(size), b"k", timestamp=timestamp)])
            self.assertEqual(answer.error, 0)

    def test_by_size(self):
        c = self.conn()
        t = self.topic(c, internal_segment_bytes=10000, retention_bytes=30000, retention_ms=-1)
        self.put(c, t, 100)

        def small():
            self.assertGreater(c.list_offset(t, -2).offset, 50)
            self.assertLess(len(self.files(t, ".log")), 6)
            self.assertEqual(self.files(t, ".deleted"), [])
        self.eventually(small)
        size = sum(os.path.getsize(os.path.join(self.broker.data, t + "-0", n)) for n in self.files(t, ".log"))
        self.assertGreaterEqual(size, 30000)

        def whole():  # what is left, should it become less meanwhile
            start = c.list_offset(t, -2).offset
            self.assertEqual([r.offset for r in c.read_all(t, start)], list(range(start, 100)))
        self.eventually(whole)
        self.broker.wait_log("retention.deleted", "retention.bytes")

    def test_by_time_a_quiet_topic_becomes_empty(self):
        c = self.conn()
        t = self.topic(c, retention_ms=1000)
        self.put(c, t, 5)
        self.put(c, t, 5, timestamp=1000)
        self.eventually(lambda: self.assertEqual(c.list_offset(t, -2).offset, 10))
        self.assertEqual(c.list_offset(t, -1).offset, 10)
        self.assertEqual(c.list_offset(t, 0).offset, -1)
        answer = c.call("IncrementalAlterConfigs", 1, resources=[{"type": 2, "name": t, "configs": [
            {"name": "retention.ms", "op": 0, "value": "-1"}]}])
        self.assertEqual(answer.responses[0].error, 0)
        self.put(c, t, 1)
        self.assertEqual(c.read_all(t, 10)[0].offset, 10)

    def test_what_is_not_to_go_stays(self):
        c = self.conn()
        kept = self.topic(c, retention_ms=-1)
        compacted = self.topic(c, retention_ms=1, cleanup_policy="compact")
        future = self.topic(c, retention_ms=1)
        self.put(c, kept, 3, timestamp=1000)
        self.put(c, compacted, 3, timestamp=1000)
        self.put(c, future, 3, timestamp=int(time.time() * 1000) + 600000)
        time.sleep(0.5)
        for t in (kept, compacted, future):
            self.assertEqual(c.list_offset(t, -2).offset, 0)

    def test_settings_change_while_it_runs(self):
        c = self.conn()
        t = self.topic(c, retention_ms=-1)
        self.put(c, t, 3, timestamp=1000)
        c.call("IncrementalAlterConfigs", 1, resources=[{"type": 2, "name": t, "configs": [
            {"name": "retention.ms", "op": 0, "value": "1000"}]}])
        self.eventually(lambda: self.assertEqual(c.list_offset(t, -2).offset, 3))

    def test_times_and_reads_race_with_it(self):
        c = self.conn()
        t = self.topic(c, internal_segment_bytes=5000, retention_bytes=10000, retention_ms=-1)
        self.put(c, t, 3, timestamp=0)
        stop, wrong = threading.Event(), []

        def ask():
            conn, low = self.conn(), 0
            while not stop.is_set():
                answer = conn.list_offset(t, 0)
                if answer.error or answer.offset < low:
                    wrong.append((low, answer))
                low = max(low, conn.list_offset(t, -2).offset)

        def read():
            conn = self.conn()
            while not stop.is_set():
                start = conn.list_offset(t, -2).offset
                answer = conn.fetch(t, start, max_wait_ms=0)
                if answer.error not in (0, 1):
                    wrong.append(answer)
                if answer.error == 1 and conn.list_offset(t, -2).offset <= start:
                    wrong.append((start, answer))

        threads = [threading.Thread(target=f) for f in (ask, ask, read)]
        for thread in threads:
            thread.start()
        self.put(c, t, 300, timestamp=5)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.eventually(lambda: self.assertGreater(c.list_offset(t, -2).offset, 200))


if __name__ == "__main__":
    unittest.main()
