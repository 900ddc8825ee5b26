# SPDX-License-Identifier: Apache-2.0
"""DescribeLogDirs: what lies in the directories, and how much room there is."""
import os
import unittest

from lib.case import Case, moldau_only


class LogDirs(Case):
    def ask(self, conn, topics, version=5):
        answer = conn.call("DescribeLogDirs", version, topics=topics)
        self.assertEqual(answer.get("error", 0), 0)
        return answer.results

    def sizes(self, conn, topics, version=5):
        """{(topic, partition): size} over all directories, each partition once."""
        rows = []
        for result in self.ask(conn, topics, version):
            self.assertEqual(result.error, 0)
            for topic in result.topics:
                for p in topic.partitions:
                    self.assertEqual((p.offset_lag, p.is_future), (0, False))
                    rows.append(((topic.name, p.index), p.size))
        self.assertEqual(len(rows), len(dict(rows)))
        return dict(rows)

    def test_every_version(self):
        conn = self.conn()
        topic, other = self.topic(conn, 3), self.topic(conn)
        self.assertEqual(conn.produce(topic, [b"x" * 100], 1).error, 0)
        size = len(conn.fetch(topic, 0, 1).records)
        for version in range(1, 6):
            with self.subTest(version=version):
                mine = {(topic, 0): 0, (topic, 1): size, (topic, 2): 0}
                everything = self.sizes(conn, None, version)
                self.assertLessEqual(mine.items() | {((other, 0), 0)}, everything.items())
                self.assertNotIn("__cluster_metadata", {t for t, _ in everything})
                for asked, got in (([], {}),
                                   ([{"name": topic, "partitions": [1, 0]}], {(topic, 0): 0, (topic, 1): size}),
                                   ([{"name": topic, "partitions": [1, 1]}, {"name": topic, "partitions": [1]}],
                                    {(topic, 1): size}),
                                   ([{"name": topic, "partitions": [0, 9, -1]}, {"name": "nope", "partitions": [0]},
                                     {"name": other, "partitions": [0]}], {(topic, 0): 0, (other, 0): 0}),
                                   ([{"name": topic, "partitions": []}], {}),
                                   ([{"name": "__cluster_metadata", "partitions": [0]}], {})):
                    self.assertEqual(self.sizes(conn, asked, version), got)
                result = self.ask(conn, [], version)[0]
                if version >= 4:
                    self.assertGreater(result.total_bytes, result.usable_bytes)
                    self.assertGreater(result.usable_bytes, 0)
                if version >= 5:
                    self.assertFalse(result.is_cordoned)

    @moldau_only
    def test_sizes_are_those_of_the_files(self):
        node = self.moldau({"log.segment.bytes": "1048576"}).start()
        conn = self.conn(node)
        topic = self.topic(conn)
        for _ in range(60):
            self.assertEqual(conn.produce(topic, [b"x" * 40000]).error, 0)
        self.assertEqual(conn.metadata(topic).topics[0].error, 0)

        def check(conn):
            folder = os.path.join(node.data, f"{topic}-0")
            logs = [f for f in os.listdir(folder) if f.endswith(".log")]
            self.assertGreater(len(logs), 1)
            on_disk = sum(os.stat(os.path.join(folder, f)).st_size for f in logs)
            self.assertEqual(self.sizes(conn, None), {(topic, 0): on_disk})
            self.assertEqual([r.dir for r in self.ask(conn, [])], [node.data])
        check(conn)
        node.crash()
        check(self.conn(node))

    def cordon(self, conn, value):
        node = str(conn.call("Metadata", 12, topics=[]).brokers[0].node_id)
        answer = conn.call("IncrementalAlterConfigs", 1, resources=[{"type": 4, "name": node, "configs": [
            {"name": "cordoned.log.dirs", "op": 1 if value is None else 0, "value": value}]}]).responses[0]
        self.assertEqual((answer.error, answer.message), (0, None))

    def create(self, conn):
        topic = conn.call("CreateTopics", 7, topics=[{"name": self.name(), "partition_n": 4,
                                                      "replication_factor": 1}]).topics[0]
        return topic.error, topic.message, topic.name

    @moldau_only
    def test_cordoned(self):
        node = self.moldau()
        dirs = [os.path.join(node.own_dir, d) for d in ("a", "b")]
        node.overrides["log.dirs"] = ",".join(dirs)
        node.start()
        conn = self.conn(node)

        def cordoned():
            return [r.is_cordoned for r in self.ask(conn, [])]
        self.cordon(conn, dirs[0])
        self.assertEqual(cordoned(), [True, False])
        error, _, topic = self.create(conn)
        self.assertEqual(error, 0)
        self.assertEqual([[t.name for t in r.topics] for r in self.ask(conn, None)], [[], [topic]])
        self.cordon(conn, "*")
        self.assertEqual(cordoned(), [True, True])
        words = (38, "Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their "
                     "log directories cordoned.")
        self.eventually(lambda: self.assertEqual(self.create(conn)[:2], words))
        self.assertEqual(conn.produce(topic, [b"x"]).error, 0)
        node.crash()
        conn = self.conn(node)
        self.assertEqual(cordoned(), [True, True])
        self.eventually(lambda: self.assertEqual(self.create(conn)[:2], words))
        self.cordon(conn, None)
        self.assertEqual(cordoned(), [False, False])
        self.eventually(lambda: self.assertEqual(self.create(conn)[0], 0))

    @moldau_only
    def test_several_directories(self):
        node = self.moldau()
        dirs = [os.path.join(node.own_dir, d) for d in ("a", "b", "m")]
        node.overrides.update({"log.dirs": ",".join(dirs[:2]), "metadata.log.dir": dirs[2]})
        node.start()
        conn = self.conn(node)
        topic = self.topic(conn, 6)
        results = self.ask(conn, None)
        self.assertEqual([r.dir for r in results], dirs[:2])
        got = {(r.dir, p.index) for r in results for t in r.topics for p in t.partitions}
        self.assertEqual(got, {(d, int(f.rpartition("-")[2])) for d in dirs[:2] for f in os.listdir(d)
                               if f.startswith(topic)})
        self.assertEqual({i for _, i in got}, set(range(6)))

    @moldau_only
    def test_many_partitions_after_a_start(self):
        """Sizes are right also for logs that are not open yet."""
        node = self.moldau(reactors="2").start()
        conn = self.conn(node)
        topic = self.topic(conn, 300)
        for i in range(0, 300, 7):
            self.assertEqual(conn.produce(topic, [b"x" * 100], i).error, 0)
        want = {(topic, i): 170 if i % 7 == 0 else 0 for i in range(300)}
        self.assertEqual(self.sizes(conn, None), want)
        node.crash()
        self.assertEqual(self.sizes(self.conn(node), None), want)


if __name__ == "__main__":
    unittest.main()
