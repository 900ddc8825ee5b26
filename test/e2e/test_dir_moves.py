# SPDX-License-Identifier: Apache-2.0
"""AlterReplicaLogDirs: partitions change their directory while they are written and read, and nodes are killed."""
import os
import random
import threading
import time

from lib.case import Case, moldau_only
from lib.client import Closed

RETRIABLE = (56, 6)
RATE = "replica.alter.log.dirs.io.max.bytes.per.second"


class DirMoves(Case):
    def node(self, **values):
        node = self.moldau({"log.segment.bytes": "1048576", "log.retention.ms": "-1"}, **values)
        self.dirs = [os.path.join(node.own_dir, d) for d in ("a", "b")]
        node.overrides["log.dirs"] = ",".join(self.dirs)
        return node.start()

    def alter(self, conn, path, topic, index=0, version=2):
        answer = conn.call("AlterReplicaLogDirs", version, dirs=[
            {"path": path, "topics": [{"name": topic, "partitions": [index]}]}])
        return answer.results[0].partitions[0].error

    def rows(self, conn, topic):
        """[(directory's number, is a future one, lag, size)]"""
        return sorted((self.dirs.index(r.dir), p.is_future, p.offset_lag, p.size)
                      for r in conn.call("DescribeLogDirs", 4, topics=None).results
                      for t in r.topics if t.name == topic for p in t.partitions)

    def arrived(self, conn, topic, number):
        self.eventually(lambda: self.assertEqual([r[:2] for r in self.rows(conn, topic)], [(number, False)]), 30)

    def folders(self, number, topic):
        return [f for f in os.listdir(self.dirs[number]) if f.startswith(topic)]

    def limit(self, conn, value):
        conn.call("IncrementalAlterConfigs", 1, resources=[
            {"type": 4, "name": "", "configs": [{"name": RATE, "op": 0, "value": str(value)}]}])

    @moldau_only
    def test_there_and_back(self):
        node = self.node()
        conn = self.conn(node)
        topic = self.topic(conn)
        for i in range(60):
            self.assertEqual(conn.produce(topic, [b"%06d" % i + b"x" * 90000]).error, 0)
        first = self.rows(conn, topic)[0][0]
        whole = [r.value for r in conn.read_all(topic)]
        for number in (1 - first, first):
            self.assertEqual(self.alter(conn, self.dirs[number], topic), 0)
            self.arrived(conn, topic, number)
            self.eventually(lambda n=number: self.assertEqual(self.folders(1 - n, topic), []))
            self.assertEqual([r.value for r in conn.read_all(topic)], whole)
            self.assertEqual(conn.produce(topic, [b"more"]).base_offset, len(whole))
            whole.append(b"more")
        self.eventually(lambda: self.assertNotIn("moved.moldau", os.listdir(f"{self.dirs[first]}/{topic}-0")))
        node.crash()
        conn = self.conn(node)
        self.assertEqual([r.value for r in conn.read_all(topic)], whole)
        self.assertEqual(self.rows(conn, topic)[0][0], first)

    @moldau_only
    def test_refusals(self):
        node = self.node()
        conn = self.conn(node)
        topic = self.topic(conn)
        here = self.dirs[self.rows(conn, topic)[0][0]]
        for version in (1, 2):
            self.assertEqual(self.alter(conn, "/nowhere", topic, version=version), 57)
            self.assertEqual(self.alter(conn, here, topic, version=version), 0)
            self.assertEqual(self.alter(conn, here, topic, 7, version=version), 3)
            self.assertEqual(self.alter(conn, here, "nope", version=version), 3)
        self.assertEqual(len(self.rows(conn, topic)), 1)

    @moldau_only
    def test_limited_resumed_and_given_up(self):
        node = self.node()
        conn = self.conn(node)
        topic, other = self.topic(conn), self.topic(conn)
        for name in (topic, other):
            for _ in range(40):
                self.assertEqual(conn.produce(name, [b"x" * 90000]).error, 0)
        self.limit(conn, 100000)
        places = {name: self.rows(conn, name)[0][0] for name in (topic, other)}
        began = time.monotonic()
        for name in (topic, other):
            self.assertEqual(self.alter(conn, self.dirs[1 - places[name]], name), 0)

        def under_way():
            rows = self.rows(conn, topic)
            self.assertEqual(sorted(r[:2] for r in rows), sorted([(places[topic], False), (1 - places[topic], True)]))
            lag, size = next(r[2:] for r in rows if r[1])
            self.assertTrue(0 < lag <= 40, rows)
            self.assertGreater(size, 0)
            return size
        size = self.eventually(under_way)
        self.assertLess(size, 500000 + 100000 * (time.monotonic() - began))
        # back to where it is: the move is over
        self.assertEqual(self.alter(conn, self.dirs[places[other]], other), 0)
        self.arrived(conn, other, places[other])
        self.eventually(lambda: self.assertEqual(self.folders(1 - places[other], other), []))
        conn.delete(other)
        node.crash()  # the other one goes on
        conn = self.conn(node)
        self.assertEqual(len(self.rows(conn, topic)), 2)
        self.limit(conn, 1 << 40)
        self.arrived(conn, topic, 1 - places[topic])
        self.eventually(lambda: self.assertEqual(self.folders(places[topic], topic), []))
        self.assertEqual(len(conn.read_all(topic)), 40)

    @moldau_only
    def test_deleted_on_its_way(self):
        node = self.node()
        conn = self.conn(node)
        topic = self.topic(conn)
        for _ in range(20):
            self.assertEqual(conn.produce(topic, [b"x" * 90000]).error, 0)
        self.limit(conn, 100000)
        at = self.rows(conn, topic)[0][0]
        self.assertEqual(self.alter(conn, self.dirs[1 - at], topic), 0)
        time.sleep(0.3)
        conn.delete(topic)
        self.eventually(lambda: self.assertEqual(self.folders(1 - at, topic), []))

    def write(self, node, topic, told, stop):
        """One record after the other, each tried until it is taken; told: the values that were."""
        n, conn = 0, None
        while not stop.is_set():
            try:
                conn = conn or node.conn()
                error = conn.produce(topic, [b"%08d" % n + b"y" * 5000]).error
            except (OSError, Closed):
                conn = None
                time.sleep(0.01)
                continue
            if error == 0:
                told.append(n)
                n += 1
            else:
                self.assertIn(error, RETRIABLE)
                time.sleep(0.002)

    def check(self, conn, topic, told):
        values = [int(r.value[:8]) for r in conn.read_all(topic)]
        self.assertEqual(sorted(set(values)), list(range(len(set(values)))))
        self.assertEqual(values, sorted(values))  # again only where an answer was lost
        self.assertLessEqual(set(told), set(values))

    def under_way(self, node, topic, moves, kills):
        told, stop = [], threading.Event()
        writer = threading.Thread(target=self.write, args=(node, topic, told, stop))
        writer.start()
        rng = random.Random(5)
        try:
            for _ in range(moves):
                conn = self.conn(node)
                at = self.rows(conn, topic)[0][0] if not any(r[1] for r in self.rows(conn, topic)) else 0
                self.eventually(lambda: self.assertIn(self.alter(conn, self.dirs[1 - at], topic), (0, 56)))
                if kills:
                    time.sleep(rng.random() * 0.08)
                    node.crash()
                else:
                    self.arrived(conn, topic, 1 - at)
            self.eventually(lambda: self.assertGreater(len(told), 20))
        finally:
            stop.set()
            writer.join()
        self.check(self.conn(node), topic, told)

    @moldau_only
    def test_while_written(self):
        node = self.node()
        topic = self.topic(self.conn(node))
        self.under_way(node, topic, 8, False)

    @moldau_only
    def test_killed_on_the_way(self):
        node = self.node()
        topic = self.topic(self.conn(node))
        self.under_way(node, topic, 25, True)
        for _ in range(2):
            node.crash()
            self.eventually(lambda: self.assertEqual(
                sum(len(self.folders(d, topic)) for d in (0, 1)), 1))
