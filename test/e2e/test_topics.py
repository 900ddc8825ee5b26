# SPDX-License-Identifier: Apache-2.0
"""CreateTopics and DeleteTopics."""
import time
import unittest
import uuid

from lib.batch import batch
from lib.broker import is_sanitized, target
from lib.case import Case
from lib.wire import UUID_ZERO


def assign(*pairs):
    return [{"index": i, "brokers": list(brokers)} for i, brokers in pairs]


class Create(Case):
    def ask(self, conn, version=7, validate_only=True, **topic):
        topic.setdefault("name", self.name())
        return conn.call("CreateTopics", version, topics=[topic], validate_only=validate_only).topics[0]

    def node(self, conn):
        return conn.call("Metadata", 12, topics=[]).brokers[0].node_id

    def test_every_version(self):
        conn = self.conn()
        for version in range(2, 8):
            with self.subTest(version=version):
                name = self.name()
                answer = self.ask(conn, version, False, name=name, partition_n=3, replication_factor=1,
                                  configs=[{"name": "retention.ms", "value": "5000"}])
                self.assertEqual((answer.name, answer.error, answer.message), (name, 0, None))
                if version >= 5:
                    self.assertEqual((answer.partition_n, answer.replication_factor, answer.config_error), (3, 1, None))
                    configs = {c.name: (c.value, c.source, c.read_only, c.sensitive) for c in answer.configs}
                    self.assertEqual(configs["retention.ms"], ("5000", 1, False, False))
                    self.assertEqual(configs["cleanup.policy"], ("delete", 5, False, False))
                if version >= 7:
                    self.assertEqual(answer.topic_id, conn.wait_leader(name, 3).topic_id)
                conn.wait_leader(name, 3)

    def test_answer_names_every_setting(self):
        configs = {c.name: c.value for c in self.ask(self.conn()).configs}
        for name, value in (("compression.type", "producer"), ("max.message.bytes", "1048588"),
                            ("min.insync.replicas", "1"),
                            ("segment.bytes", "1073741824"), ("message.timestamp.type", "CreateTime"),
                            ("message.timestamp.after.max.ms", "3600000"), ("flush.ms", "9223372036854775807"),
                            ("retention.bytes", "-1"), ("segment.ms", "604800000"), ("index.interval.bytes", "4096"),
                            ("compression.zstd.level", "3"), ("unclean.leader.election.enable", "false"),
                            ("follower.replication.throttled.replicas", ""), ("local.retention.ms", "-2")):
            self.assertEqual(configs.get(name), value, name)
        self.assertEqual(len(configs), 33)

    def test_defaults(self):
        answer = self.ask(self.conn())
        self.assertEqual((answer.error, answer.partition_n, answer.replication_factor), (0, 1, 1))
        self.assertNotEqual(answer.topic_id, UUID_ZERO)

    def test_validate_only_makes_nothing(self):
        conn = self.conn()
        name = self.name()
        self.assertEqual(self.ask(conn, name=name, partition_n=2).error, 0)
        time.sleep(0.1)
        self.assertEqual(conn.metadata(name).topics[0].error, 3)
        self.assertEqual(self.ask(conn, validate_only=False, name=name).error, 0)

    def test_numbers(self):
        conn = self.conn()
        for values, error in (({"partition_n": 0}, 37), ({"partition_n": -2}, 37), ({"replication_factor": 0}, 38),
                              ({"replication_factor": -2}, 38), ({"replication_factor": 3}, 38),
                              ({"partition_n": 10001}, 44),
                              ({"partition_n": 2147483647}, 44)):
            for validate_only in (True, False):
                with self.subTest(values, validate_only=validate_only):
                    answer = self.ask(conn, validate_only=validate_only, **values)
                    self.assertEqual((answer.error, answer.topic_id, answer.partition_n, answer.replication_factor,
                                      answer.configs), (error, UUID_ZERO, -1, -1, []))
                    self.assertTrue(answer.message)

    def test_names(self):
        conn = self.conn()
        for name, error in (("", 17), (".", 17), ("..", 17), ("a b", 17), ("x" * 250, 17), ("\u00e9", 17), ("a/b", 17),
                            ("__cluster_metadata", 42), ("x" * 249, 0), ("A-z_0.9" + self.name(), 0)):
            with self.subTest(name=name[:20]):
                self.assertEqual(self.ask(conn, name=name).error, error)

    def test_settings(self):
        conn = self.conn()
        for name, value, error in (
                ("nope", "1", 40), ("retention.ms", "abc", 40), ("segment.bytes", "1", 40), ("retention.ms", None, 40),
                ("cleanup.policy", "zap", 40), ("compression.type", "brotli", 40),
                ("remote.storage.enable", "true", 40),
                ("max.message.bytes", "-1", 40), ("preallocate", "maybe", 40), ("message.timestamp.type", "Now", 40),
                ("cleanup.policy", "compact, delete", 0), ("cleanup.policy", "", 0), ("retention.ms", " 77 ", 0),
                ("min.insync.replicas", "3", 0), ("retention.ms", "-1", 0), ("min.cleanable.dirty.ratio", "0.25", 0)):
            with self.subTest(name=name, value=value):
                answer = self.ask(conn, configs=[{"name": name, "value": value}])
                self.assertEqual(answer.error, error, answer.message)
                if error:
                    self.assertIn(name, answer.message) if value != "true" else None
                else:
                    self.assertIn((name, value, 1), [(c.name, c.value, c.source) for c in answer.configs])

    def test_assignments(self):
        conn = self.conn()
        node = self.node(conn)
        for pairs, error in ((((0, [node]), (1, [node])), 0), (((1, [node]), (0, [node])), 0),
                             (((0, [node]), (2, [node])), 39),
                             (((1, [node]),), 39), (((0, [node + 8]),), 39), (((0, [node, node]),), 39),
                             (((0, []),), 39),
                             (((0, [-1]),), 39), (((0, [node]), (0, [node])), 39)):
            with self.subTest(pairs=pairs):
                answer = self.ask(conn, assignments=assign(*pairs))
                self.assertEqual(answer.error, error, answer.message)
                if not error:
                    self.assertEqual((answer.partition_n, answer.replication_factor), (2, 1))
        for values in ({"partition_n": 1}, {"replication_factor": 1}, {"partition_n": 1, "replication_factor": 1}):
            self.assertEqual(self.ask(conn, assignments=assign((0, [node])), **values).error, 42)
        name = self.name()
        self.assertEqual(self.ask(conn, validate_only=False, name=name,
                                  assignments=assign((0, [node]), (1, [node]))).error, 0)
        conn.wait_leader(name, 2)

    def test_existing(self):
        conn = self.conn()
        name = self.topic(conn)
        for values in ({}, {"validate_only": False}, {"partition_n": 0}):
            answer = self.ask(conn, name=name, **values)
            self.assertEqual((answer.error, answer.topic_id), (36, UUID_ZERO))
            self.assertIn(name, answer.message)

    def test_dots_and_underscores_collide(self):
        conn = self.conn()
        name = self.name()
        self.assertEqual(self.ask(conn, validate_only=False, name=name + "a.b").error, 0)
        self.assertEqual(self.ask(conn, name=name + "a_b").error, 17)
        self.assertEqual(self.ask(conn, name=name + "a-b").error, 0)

    def test_a_name_twice_in_one_request(self):
        conn = self.conn()
        one, two = self.name(), self.name()
        got = conn.call("CreateTopics", 7, topics=[{"name": one}, {"name": two}, {"name": one}]).topics
        self.assertEqual(sorted((t.name, t.error) for t in got), sorted([(one, 42), (two, 0)]))
        self.assertEqual(conn.metadata(one).topics[0].error, 3)
        self.assertEqual(conn.call("CreateTopics", 7, topics=[]).topics, [])

    def test_good_and_bad_in_one_request(self):
        conn = self.conn()
        good, bad = self.name(), self.name()
        got = conn.call("CreateTopics", 7, topics=[{"name": good}, {"name": bad, "partition_n": 0}]).topics
        self.assertEqual({t.name: t.error for t in got}, {good: 0, bad: 37})
        conn.wait_leader(good)
        self.assertEqual(conn.metadata(bad).topics[0].error, 3)

    def test_no_time(self):
        # The original answers 7 at once; the topic may come to be all the same.
        conn = self.conn()
        name = self.name()
        got = conn.call("CreateTopics", 7, topics=[{"name": name}], timeout_ms=0).topics[0].error
        self.assertIn(got, (7,) if target() == "kafka" else (0, 7))

    def test_a_hundred_partitions(self):
        conn = self.conn()
        name = self.name()
        conn.create(name, 100)
        answer = conn.call("Produce", 9, acks=-1, timeout_ms=5000, topics=[{"name": name, "partitions": [
            {"index": i, "records": batch([b"x"])} for i in range(100)]}])
        self.assertEqual({p.error for p in answer.topics[0].partitions}, {0})


class Delete(Case):
    def test_by_name_in_every_version(self):
        conn = self.conn()
        for version in range(1, 7):
            with self.subTest(version=version):
                name = self.topic(conn)
                values = {"names": [name, "absent-" + name]} if version < 6 else \
                    {"topics": [{"name": name}, {"name": "absent-" + name}]}
                got = conn.call("DeleteTopics", version, **values).topics
                self.assertEqual({t.name: t.error for t in got}, {name: 0, "absent-" + name: 3})
                self.eventually(lambda: self.assertEqual(conn.metadata(name).topics[0].error, 3))
                self.assertEqual(conn.produce(name, [b"x"]).error, 3)
                self.assertEqual(conn.fetch(name).error, 3)

    def test_by_id(self):
        conn = self.conn()
        name = self.topic(conn)
        topic_id, unknown = conn.topic_id(name), uuid.uuid4()
        got = conn.call("DeleteTopics", 6, topics=[{"topic_id": topic_id}, {"topic_id": unknown}]).topics
        self.assertEqual({(t.topic_id, t.name, t.error) for t in got}, {(topic_id, name, 0), (unknown, None, 100)})
        got = conn.call("DeleteTopics", 6, topics=[{"topic_id": topic_id}]).topics
        self.assertEqual([(t.topic_id, t.error) for t in got], [(topic_id, 100)])

    def test_refused(self):
        conn = self.conn()
        name = self.topic(conn)
        topic_id = conn.topic_id(name)
        for topics in ([{"name": name, "topic_id": topic_id}], [{}], [{"name": name}, {"name": name}],
                       [{"topic_id": topic_id}, {"topic_id": topic_id}], [{"name": name}, {"topic_id": topic_id}]):
            with self.subTest(topics=topics):
                got = conn.call("DeleteTopics", 6, topics=topics).topics
                self.assertEqual({t.error for t in got}, {42})
                self.assertTrue(got[0].message)
        self.assertEqual([t.error for t in conn.call("DeleteTopics", 5, names=[name, name]).topics], [42])
        self.assertEqual({t.error for t in conn.call("DeleteTopics", 5, names=["a b", ""]).topics}, {3})
        self.assertEqual(conn.call("DeleteTopics", 6, topics=[]).topics, [])
        self.assertEqual(conn.metadata(name).topics[0].error, 0)

    def test_recreated_is_another_topic(self):
        conn = self.conn()
        name = self.topic(conn, 2)
        old = conn.topic_id(name)
        conn.produce(name, [b"old"] * 3)
        for _ in range(3):
            conn.delete(name)
            self.eventually(lambda: self.assertEqual(conn.metadata(name).topics[0].error, 3))
            conn.create(name, 2)
            new = conn.topic_id(name)
            self.assertNotEqual(new, old)
            self.assertEqual(conn.fetch("", topic_id=old, version=13).error, 100)
            self.assertEqual(conn.produce("", [b"x"], topic_id=old, version=13).error, 100)
            self.assertEqual(conn.call("Metadata", 12, topics=[{"name": None, "topic_id": old}]).topics[0].error, 100)
            self.assertEqual(conn.fetch(name).high_watermark, 0)
            self.assertEqual(conn.produce(name, [b"new"]).base_offset, 0)
            self.assertEqual([r.value for r in conn.read_all(name)], [b"new"])
            old = new

    def test_recreated_over_a_hard_restart(self):
        conn = self.conn()
        name = self.topic(conn)
        old = conn.topic_id(name)
        conn.produce(name, [b"old"])
        conn.delete(name)
        self.eventually(lambda: self.assertEqual(conn.metadata(name).topics[0].error, 3))
        conn.create(name)
        conn.produce(name, [b"new"])
        new = conn.topic_id(name)
        self.crash()
        conn = self.conn()
        conn.wait_leader(name)
        self.assertEqual(conn.topic_id(name), new)
        self.assertEqual(conn.fetch("", topic_id=old, version=13).error, 100)
        self.assertEqual([r.value for r in conn.read_all(name)], [b"new"])

    def test_while_producing(self):
        conn, other = self.conn(), self.conn()
        name = self.topic(conn)
        for i in range(30):
            other.produce(name, [b"x" * 1000])
        sent = [other.send("Produce", 9, acks=-1, timeout_ms=5000, topics=[{"name": name, "partitions": [
            {"index": 0, "records": batch([b"x"])}]}]) for _ in range(30)]
        conn.delete(name)
        errors = [other.recv("Produce", 9, s).topics[0].partitions[0].error for s in sent]
        self.assertLessEqual(set(errors), {0, 3, 6, 56})
        self.eventually(lambda: self.assertEqual(other.produce(name, [b"x"]).error, 3))


class Many(Case):
    own = True

    def test_ten_thousand_in_one_request(self):
        conn = self.conn(timeout=120)
        names = [f"many-{i:05d}" for i in range(10000)]
        answer = conn.call("CreateTopics", 7, timeout_ms=60000, topics=[
            {"name": n, "partition_n": 1, "replication_factor": 1} for n in names])
        self.assertEqual({(t.error, t.message, len(t.configs)) for t in answer.topics}, {(0, None, 33)})
        self.assertEqual([t.name for t in answer.topics], names)
        self.assertEqual(len({t.topic_id for t in answer.topics}), 10000)
        if not is_sanitized():
            self.assertLess(self.broker.rss_kb(), 64 * 1024)
        self.assertEqual(conn.produce(names[-1], [b"x"]).error, 0)
        self.check_pages(conn, names)
        answer = conn.call("DeleteTopics", 6, timeout_ms=60000, topics=[{"name": n} for n in names])
        self.assertEqual({t.error for t in answer.topics}, {0})
        self.assertEqual(conn.call("Metadata", 12, topics=None).topics, [])

    def check_pages(self, conn, names):
        seen, cursor, pages = [], None, 0
        while pages == 0 or cursor:
            answer = conn.call("DescribeTopicPartitions", 0, topics=[], partition_limit=2000, cursor=cursor)
            seen += [(t.name, len(t.partitions)) for t in answer.topics]
            cursor, pages = answer.next_cursor, pages + 1
        self.assertEqual(seen, [(n, 1) for n in names])
        self.assertEqual(pages, 5)


class Refused(Case):
    own = True
    overrides = {"delete.topic.enable": "false"}

    def test_deletion_is_disabled(self):
        conn = self.conn()
        name = self.topic(conn)
        for version, error in ((1, 42), (2, 42), (3, 73), (5, 73), (6, 73)):
            values = {"names": [name]} if version < 6 else {"topics": [{"name": name}]}
            got = conn.call("DeleteTopics", version, **values).topics
            self.assertEqual([(t.name, t.error) for t in got], [(name, error)])
        conn.wait_leader(name)


if __name__ == "__main__":
    unittest.main()
