# SPDX-License-Identifier: Apache-2.0
"""Compaction of a running node: what survives, while it is written and read, and over a kill."""
import os
import random
import re
import threading
import time
import unittest

from lib.batch import GZIP, Record, batch
from lib.case import Case, moldau_only


@moldau_only
class Compaction(Case):
    own = True
    overrides = {"log.cleaner.backoff.ms": 50, "log.flush.offset.checkpoint.interval.ms": 300,
                 "log.segment.delete.delay.ms": 100, "log.retention.check.interval.ms": 50,
                 "log.initial.task.delay.ms": 0}

    def setUp(self):
        self.c = self.conn()
        self.random = random.Random(7)

    def log_files(self, topic, ending=".log"):
        return sorted(n for n in os.listdir(os.path.join(self.broker.data, topic + "-0")) if n.endswith(ending))

    def put(self, topic, n, keys=20, model=None, size=200):
        for i in range(n):
            key = b"k%d" % self.random.randrange(keys)
            value = None if self.random.randrange(8) == 0 else b"%d-" % i + bytes(size)
            data = batch([Record(value, key)], GZIP if i % 3 == 0 else 0)
            answer = self.c.produce(topic, data)
            self.assertEqual(answer.error, 0)
            if model is not None:
                model[answer.base_offset] = (key, value)

    def compacted(self, topic, model, left):
        """Waits until at most `left` records of the model are there; what is there is right."""
        newest = {}
        for offset, (key, _) in sorted(model.items()):
            newest[key] = offset

        def check():
            got = self.c.read_all(topic)
            offsets = [r.offset for r in got]
            self.assertEqual(offsets, sorted(set(offsets)))
            for r in got:
                self.assertEqual((r.key, r.value), model[r.offset])
            for key, offset in newest.items():
                if model[offset][1] is not None:
                    self.assertIn(offset, offsets)
            self.assertLessEqual(len(got), left)
        self.eventually(check, 30)

    def test_newest_of_each_key_survives(self):
        t = self.topic(self.c, cleanup_policy="compact", internal_segment_bytes=5000, min_cleanable_dirty_ratio=0.01)
        model = {}
        self.put(t, 400, model=model)
        self.compacted(t, model, 80)
        self.broker.wait_log("compaction.done", t)
        self.put(t, 100, model=model)
        self.compacted(t, model, 80)
        self.eventually(lambda: self.assertEqual(self.log_files(t, ".cleaned") + self.log_files(t, ".swap"), []))
        self.broker.crash()
        self.c = self.conn()
        self.c.wait_leader(t)
        self.compacted(t, model, 80)
        self.put(t, 100, model=model)
        self.compacted(t, model, 80)

    def test_what_is_made_is_as_old_as_what_it_was_made_of(self):
        t = self.topic(self.c, cleanup_policy="delete", internal_segment_bytes=5000, retention_ms=-1,
                       min_cleanable_dirty_ratio=0.01)
        model = {}
        self.put(t, 200, model=model)
        self.broker.stop()
        files = [os.path.join(self.broker.data, t + "-0", name) for name in self.log_files(t)[:-1]]
        self.assertGreater(len(files), 5)
        for i, path in enumerate(files):
            os.utime(path, (1000000000 + i, 1000000000 + i))
        self.broker.start()
        self.c = self.conn()
        self.c.wait_leader(t)
        self.c.call("IncrementalAlterConfigs", 1, resources=[{"type": 2, "name": t, "configs": [
            {"name": "cleanup.policy", "op": 0, "value": "compact"}]}])
        self.compacted(t, model, 80)

        def check():
            newest = 1000000000
            for name in self.log_files(t)[:-1]:
                ages = {os.stat(os.path.join(self.broker.data, t + "-0", name[:-3] + end)).st_mtime
                        for end in ("log", "index", "timeindex")}
                self.assertEqual(len(ages), 1)
                self.assertGreaterEqual(min(ages), newest)
                newest = min(ages)
            self.assertEqual(newest, 1000000000 + len(files) - 1)
        self.eventually(check)

    def test_tombstones_go(self):
        t = self.topic(self.c, cleanup_policy="compact", internal_segment_bytes=3000, min_cleanable_dirty_ratio=0.01,
                       delete_retention_ms=0)
        for i in range(30):
            self.c.produce(t, [Record(bytes(100), b"gone")])
        self.c.produce(t, [Record(None, b"gone")])

        def check():
            for i in range(20):
                self.c.produce(t, [Record(bytes(100), b"other")])
            self.assertEqual([r.offset for r in self.c.read_all(t) if r.key == b"gone"], [])
        self.eventually(check, 30)

    def test_records_without_a_key_are_refused(self):
        t = self.topic(self.c, cleanup_policy="compact")
        self.assertEqual(self.c.produce(t, [Record(b"v")]).error, 87)

    def test_records_without_times_are_as_old_as_their_file(self):
        t = self.topic(self.c, cleanup_policy="compact", internal_segment_bytes=1000, min_cleanable_dirty_ratio=0.01,
                       min_compaction_lag_ms=60000)
        for _ in range(40):
            self.c.produce(t, [Record(bytes(50), b"k", timestamp=-1)])
        time.sleep(1)  # a checkpoint and some looks
        self.assertEqual(len(self.c.read_all(t)), 40)
        self.c.call("IncrementalAlterConfigs", 1, resources=[{"type": 2, "name": t, "configs": [
            {"name": "min.compaction.lag.ms", "op": 0, "value": "500"}]}])
        self.eventually(lambda: self.assertLess(len(self.c.read_all(t)), 20))

    def test_both_policies(self):
        t = self.topic(self.c, cleanup_policy="compact,delete", internal_segment_bytes=3000, retention_bytes=1,
                       retention_ms=-1)
        self.put(t, 100)
        self.eventually(lambda: self.assertGreater(self.c.list_offset(t, -2).offset, 80))

    def test_while_it_is_written_and_read(self):
        t = self.topic(self.c, cleanup_policy="compact", internal_segment_bytes=4000, min_cleanable_dirty_ratio=0.01)
        stop, wrong, model = threading.Event(), [], {}

        def read():
            conn, rounds = self.conn(), 0
            while not stop.is_set() or rounds == 0:
                rounds += 1
                last, seen = -1, {}
                for r in conn.read_all(t):
                    if r.offset <= last:
                        wrong.append((last, r.offset))
                    last = r.offset
                    seen[r.key] = r.offset
                answer = conn.list_offset(t, 0)
                if answer.error:
                    wrong.append(answer)

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        self.put(t, 1200, model=model)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.compacted(t, model, 80)

    def test_a_bad_batch_stops_its_partition_alone(self):
        bad = self.topic(self.c, cleanup_policy="compact", internal_segment_bytes=5000, min_cleanable_dirty_ratio=0.9)
        good = self.topic(self.c, cleanup_policy="compact", internal_segment_bytes=5000,
                          min_cleanable_dirty_ratio=0.01, max_compaction_lag_ms=1 << 40)
        self.put(bad, 5, keys=1)
        path = os.path.join(self.broker.data, bad + "-0", self.log_files(bad)[0])
        with open(path, "r+b") as f:
            f.seek(90)
            byte = f.read(1)
            f.seek(90)
            f.write(bytes([byte[0] ^ 1]))
        self.put(bad, 100, keys=1)
        self.broker.wait_log("ML1072", bad, seconds=10)
        model = {}
        self.put(good, 200, model=model)
        self.compacted(good, model, 80)


@moldau_only
class Threads(Case):
    """log.cleaner.threads is how many logs are compacted at once, whatever reactor they lie on, and all of them
    together keep to the limit of bytes."""
    own = True
    RATE = 400000
    overrides = {"log.cleaner.backoff.ms": 50, "log.flush.offset.checkpoint.interval.ms": 300,
                 "log.initial.task.delay.ms": 0, "log.cleaner.threads": 3,
                 "log.cleaner.io.max.bytes.per.second": RATE}

    def newest(self, topic):
        """The base of the newest segment."""
        return max(int(n[:20]) for n in os.listdir(os.path.join(self.broker.data, topic + "-0")) if n.endswith(".log"))

    def checkpoint(self):
        with open(os.path.join(self.broker.data, "recovery-point-offset-checkpoint"), encoding="ascii") as f:
            return {line.split()[0]: int(line.split()[2]) for line in f.read().splitlines()[2:]}

    def test_several_at_once(self):
        topics = []
        with self.conn() as conn:
            for _ in range(3):
                topics.append(self.topic(conn, cleanup_policy="compact", internal_segment_bytes=50000,
                                         min_cleanable_dirty_ratio=0.01, min_compaction_lag_ms=1 << 40))
                for i in range(60):
                    data = batch([Record(bytes(500), b"%d" % (i * 10 + k)) for k in range(10)])
                    self.assertEqual(conn.produce(topics[-1], data).error, 0)
            # Nothing above a checkpoint is touched.
            for t in topics:
                self.eventually(lambda t=t: self.assertGreaterEqual(self.checkpoint().get(t, 0), self.newest(t)))
            began = time.monotonic()
            answer = conn.call("IncrementalAlterConfigs", 1, resources=[
                {"type": 2, "name": t, "configs": [{"name": "min.compaction.lag.ms", "op": 0, "value": "0"}]}
                for t in topics])
            self.assertEqual([r.error for r in answer.responses], [0, 0, 0])
        lines = [self.broker.wait_log("compaction.done", f"log={t}-0", seconds=60) for t in topics]
        wall = time.monotonic() - began
        seconds = [float(re.search(r"seconds=([0-9.]+)", line)[1]) for line in lines]
        self.assertGreater(sum(seconds), 1.5 * wall, (seconds, wall))
        moved = sum(int(re.search(r" bytes=(\d+)", line)[1]) * 2 for line in lines)  # they are read twice
        self.assertGreater(wall, 0.6 * moved / self.RATE, (seconds, wall, moved))


if __name__ == "__main__":
    unittest.main()
