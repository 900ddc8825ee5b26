# SPDX-License-Identifier: Apache-2.0
"""Metadata, DescribeCluster, DescribeTopicPartitions, FindCoordinator."""
import time
import unittest
import uuid

from lib.broker import target
from lib.case import Case, moldau_only
from lib.wire import UUID_ZERO

NOT_ASKED = -2147483648
TOPIC_OPS, CLUSTER_OPS = 3576, 8096
BAD_NAMES = ("a b", "", ".", "..", "x" * 250, "\u00e9", "a/b", "a\0b")


class Topics(Case):
    def test_every_version(self):
        conn = self.conn()
        topic = self.topic(conn, 3)
        topic_id = conn.topic_id(topic)
        for version in range(14):
            with self.subTest(version=version):
                answer = conn.call("Metadata", version, topics=[{"name": topic}])
                self.assertEqual([(b.host, b.port) for b in answer.brokers],
                                 [("127.0.0.1" if target() == "kafka" else answer.brokers[0].host,
                                   self.broker.address[1])])
                node = answer.brokers[0].node_id
                if version >= 1:
                    self.assertEqual((answer.controller_id, answer.brokers[0].rack), (node, None))
                if version >= 2:
                    self.assertEqual(len(answer.cluster_id), 22)
                if version >= 8:
                    self.assertEqual(answer.topics[0].topic_ops, NOT_ASKED)
                if 8 <= version <= 10:
                    self.assertEqual(answer.cluster_ops, NOT_ASKED)
                if version >= 10:
                    self.assertEqual(answer.topics[0].topic_id, topic_id)
                if version >= 13:
                    self.assertEqual(answer.error, 0)
                self.assertEqual([(t.error, t.name, t.get("internal", False)) for t in answer.topics],
                                 [(0, topic, False)])
                partitions = sorted(answer.topics[0].partitions, key=lambda p: p.index)
                self.assertEqual([(p.error, p.index, p.leader, p.replicas, p.isr, p.get("offline", []),
                                   p.get("leader_epoch", 0))
                                  for p in partitions], [(0, i, node, [node], [node], [], 0) for i in range(3)])

    def test_empty_list_means_all_in_v0_and_none_later(self):
        conn = self.conn()
        names = {self.topic(conn), self.topic(conn)}
        self.assertLessEqual(names, {t.name for t in conn.call("Metadata", 0, topics=[]).topics})
        for version in range(1, 14):
            with self.subTest(version=version):
                self.assertEqual(conn.call("Metadata", version, topics=[]).topics, [])
                self.assertLessEqual(names, {t.name for t in conn.call("Metadata", version, topics=None).topics})

    def test_ids_in_v10_and_11(self):
        conn = self.conn()
        topic = self.topic(conn)
        topic_id = conn.topic_id(topic)
        for version in (10, 11):
            for name, ident in ((topic, topic_id), (None, topic_id), (None, UUID_ZERO)):
                got = conn.call("Metadata", version, topics=[{"name": name, "topic_id": ident}]).topics
                self.assertEqual([(t.error, t.topic_id, t.partitions) for t in got], [(42, ident, [])])

    def test_by_id_from_v12(self):
        conn = self.conn()
        topic, other = self.topic(conn), self.topic(conn)
        topic_id, unknown = conn.topic_id(topic), uuid.uuid4()
        for version in (12, 13):
            for name in (None, topic, "another"):
                got = conn.call("Metadata", version, topics=[{"name": name, "topic_id": topic_id}]).topics
                self.assertEqual([(t.error, t.name, t.topic_id) for t in got], [(0, topic, topic_id)])
            got = conn.call("Metadata", version, topics=[{"name": None, "topic_id": unknown}]).topics
            self.assertEqual([(t.error, t.name, t.topic_id, t.partitions) for t in got], [(100, None, unknown, [])])
            both = conn.call("Metadata", version, topics=[{"name": None, "topic_id": topic_id},
                                                          {"name": None, "topic_id": unknown}]).topics
            self.assertEqual({t.topic_id: t.error for t in both}, {topic_id: 0, unknown: 100})
        self.assertEqual(conn.metadata(other).topics[0].error, 0)

    def test_neither_name_nor_id(self):
        got = self.conn().call("Metadata", 12, topics=[{"name": None}]).topics
        self.assertIn(got[0].error, (-1, 42))

    def test_authorised_operations_where_asked_for(self):
        conn = self.conn()
        topic = self.topic(conn)
        for version in (8, 9, 10):
            answer = conn.call("Metadata", version, topics=[{"name": topic}], include_cluster_ops=True,
                               include_topic_ops=True)
            self.assertEqual((answer.topics[0].topic_ops, answer.cluster_ops), (TOPIC_OPS, CLUSTER_OPS))
        for version in (11, 12, 13):
            answer = conn.call("Metadata", version, topics=[{"name": topic}], include_topic_ops=True)
            self.assertEqual(answer.topics[0].topic_ops, TOPIC_OPS)

    def test_unknown_and_impossible_names(self):
        conn = self.conn()
        for name in ("absent-" + self.name(), "x" * 249):
            got = conn.metadata(name).topics
            self.assertEqual([(t.error, t.name, t.topic_id, t.partitions) for t in got], [(3, name, UUID_ZERO, [])])
        for name in BAD_NAMES:
            for create in (False, True):
                with self.subTest(name=name[:5], create=create):
                    got = conn.metadata(name, create=create).topics
                    self.assertEqual([(t.error, t.name, t.partitions) for t in got], [(17, name, [])])

    def test_a_name_twice(self):
        conn = self.conn()
        topic = self.topic(conn)
        self.assertEqual([t.name for t in conn.metadata(topic, topic).topics], [topic])

    def test_order_and_mix(self):
        conn = self.conn()
        one, two = self.topic(conn), self.topic(conn)
        got = conn.metadata(two, "absent-" + one, one, "a b").topics
        self.assertEqual({t.name: t.error for t in got}, {one: 0, two: 0, "absent-" + one: 3, "a b": 17})


class AutoCreate(Case):
    def test_not_when_forbidden(self):
        conn = self.conn()
        name = self.name()
        for version in (4, 9, 12, 13):
            got = conn.call("Metadata", version, topics=[{"name": name}], allow_auto_create=False).topics
            self.assertEqual([t.error for t in got], [3])
        time.sleep(0.1)
        self.assertEqual(conn.metadata(name).topics[0].error, 3)

    def test_comes_to_be(self):
        conn = self.conn()
        for version in (0, 1, 4, 9, 13):
            with self.subTest(version=version):
                name = self.name()
                conn.call("Metadata", version, topics=[{"name": name}])
                conn.wait_leader(name)
                self.assertEqual(conn.produce(name, [b"x"]).error, 0)

    def test_naming_all_creates_nothing(self):
        conn = self.conn()
        before = len(conn.call("Metadata", 12, topics=None).topics)
        self.assertEqual(len(conn.call("Metadata", 12, topics=None).topics), before)

    @moldau_only
    def test_the_answer_is_held_until_a_leader_serves(self):
        conn = self.conn()
        for version in (0, 1, 4, 9, 13):
            name = self.name()
            got = conn.call("Metadata", version, topics=[{"name": name}]).topics
            self.assertEqual([(t.error, t.name, len(t.partitions)) for t in got], [(0, name, 1)])
            self.assertEqual((got[0].partitions[0].error, got[0].partitions[0].leader >= 0), (0, True))
            self.assertEqual(conn.produce(name, [b"x"]).base_offset, 0)

    @moldau_only
    def test_several_at_once_and_from_several_connections(self):
        names = [self.name() for _ in range(30)]
        conns = [self.conn() for _ in range(5)]
        sent = [c.send("Metadata", 12, topics=[{"name": n} for n in names]) for c in conns]
        for c, correlation in zip(conns, sent):
            got = c.recv("Metadata", 12, correlation).topics
            self.assertEqual({t.name: t.error for t in got}, {n: 0 for n in names})
        ids = {frozenset((t.name, t.topic_id) for t in c.metadata(*names).topics) for c in conns}
        self.assertEqual(len(ids), 1)


class Cluster(Case):
    def test_every_version(self):
        conn = self.conn()
        metadata = conn.call("Metadata", 12, topics=[])
        for version in range(3):
            answer = conn.call("DescribeCluster", version)
            self.assertEqual((answer.error, answer.message, answer.cluster_id, answer.controller_id,
                              answer.cluster_ops),
                             (0, None, metadata.cluster_id, metadata.controller_id, NOT_ASKED))
            self.assertEqual([(b.node_id, b.host, b.port, b.rack) for b in answer.brokers],
                             [(b.node_id, b.host, b.port, b.rack) for b in metadata.brokers])
            self.assertEqual(conn.call("DescribeCluster", version, include_cluster_ops=True).cluster_ops, CLUSTER_OPS)
            if version >= 1:
                self.assertEqual(answer.endpoint_type, 1)
            if version >= 2:
                self.assertEqual([b.fenced for b in answer.brokers], [False])
        self.assertEqual(len(conn.call("DescribeCluster", 2, include_fenced=True).brokers), 1)

    def test_other_endpoints(self):
        conn = self.conn()
        for version in (1, 2):
            for kind, error in ((2, 114), (9, 115), (0, 115)):
                answer = conn.call("DescribeCluster", version, endpoint_type=kind)
                self.assertEqual((answer.error, answer.brokers, answer.controller_id), (error, [], -1))
                self.assertTrue(answer.message)


class TopicPartitions(Case):
    def setUp(self):
        self.c = self.conn()
        base = self.name()
        self.a, self.b = base + "-a", base + "-b"
        self.c.create(self.a, 3)
        self.c.create(self.b, 2)

    def ask(self, names, limit=2000, cursor=None):
        return self.c.call("DescribeTopicPartitions", 0, topics=[{"name": n} for n in names], partition_limit=limit,
                           cursor=cursor and {"topic": cursor[0], "index": cursor[1]})

    def brief(self, answer):
        cursor = answer.next_cursor
        return [(t.name, t.error, [p.index for p in t.partitions]) for t in answer.topics], \
            cursor and (cursor.topic, cursor.index)

    def test_all_there_is(self):
        answer = self.ask([self.a])
        node = answer.topics[0].partitions[0].leader
        topic = answer.topics[0]
        self.assertEqual((topic.error, topic.topic_id, topic.internal, topic.topic_ops),
                         (0, self.c.topic_id(self.a), False, TOPIC_OPS))
        self.assertEqual([(p.error, p.index, p.leader, p.leader_epoch, p.replicas, p.isr, p.offline)
                          for p in topic.partitions], [(0, i, node, 0, [node], [node], []) for i in range(3)])
        for p in topic.partitions:
            self.assertIn(p.eligible, ([], None))
            self.assertIn(p.last_known_eligible, ([], None))
        self.assertIsNone(answer.next_cursor)

    def test_sorted_by_name(self):
        self.assertEqual(self.brief(self.ask([self.b, self.a])),
                         ([(self.a, 0, [0, 1, 2]), (self.b, 0, [0, 1])], None))

    def test_no_names_means_all(self):
        names = [t.name for t in self.ask([]).topics]
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({self.a, self.b}, set(names))

    def test_pages(self):
        self.assertEqual(self.brief(self.ask([self.a, self.b], 4)),
                         ([(self.a, 0, [0, 1, 2]), (self.b, 0, [0])], (self.b, 1)))
        self.assertEqual(self.brief(self.ask([self.a, self.b], 4, (self.b, 1))), ([(self.b, 0, [1])], None))
        self.assertEqual(self.brief(self.ask([self.a], 1)), ([(self.a, 0, [0])], (self.a, 1)))
        self.assertEqual(self.brief(self.ask([self.a], 1, (self.a, 1))), ([(self.a, 0, [1])], (self.a, 2)))
        self.assertEqual(self.brief(self.ask([self.a], 1, (self.a, 2))), ([(self.a, 0, [2])], None))

    def test_odd_limits(self):
        for limit in (0, -1, 1):
            self.assertEqual(self.brief(self.ask([self.a], limit)), ([(self.a, 0, [0])], (self.a, 1)))
        self.assertEqual(self.brief(self.ask([self.a], 5000)), ([(self.a, 0, [0, 1, 2])], None))

    def test_exactly_full(self):
        got, cursor = self.brief(self.ask([self.a, self.b], 3))
        self.assertEqual(got[0], (self.a, 0, [0, 1, 2]))
        self.assertEqual(cursor, (self.b, 0))

    def test_odd_cursors(self):
        self.assertEqual(self.brief(self.ask([self.a], 10, (self.a, 9))), ([(self.a, 0, [])], None))
        for cursor in ((self.a, -1), ("zzz", 0), ("0", 0)):
            with self.subTest(cursor=cursor):
                self.assertEqual(self.brief(self.ask([self.a], 10, cursor)), ([(self.a, 42, [])], None))

    def test_unknown_names(self):
        got = self.ask(["absent-" + self.a, self.a, "a b"], 2)
        self.assertEqual({t.name: (t.error, len(t.partitions)) for t in got.topics},
                         {"absent-" + self.a: (3, 0), self.a: (0, 2), "a b": (17, 0)})
        for t in got.topics:
            if t.error:
                self.assertEqual(t.topic_id, UUID_ZERO)

    def test_a_name_twice(self):
        self.assertEqual(self.brief(self.ask([self.a, self.a])), ([(self.a, 0, [0, 1, 2])], None))


class Coordinator(Case):
    def test_every_version_can_be_read(self):
        conn = self.conn()
        for version in range(7):
            with self.subTest(version=version):
                if version >= 4:
                    answer = conn.call("FindCoordinator", version, keys=["g1", "g2"])
                    self.assertEqual(sorted(k.key for k in answer.coordinators), ["g1", "g2"])
                else:
                    conn.call("FindCoordinator", version, key="g1")

    def test_unknown_types(self):
        conn = self.conn()
        answer = conn.call("FindCoordinator", 2, key="x", key_type=9)
        self.assertEqual((answer.error, answer.node_id, answer.host, answer.port), (42, -1, "", -1))
        answer = conn.call("FindCoordinator", 5, keys=["x"], key_type=2).coordinators[0]
        self.assertEqual((answer.key, answer.error, answer.node_id, answer.host, answer.port), ("x", 42, -1, "", -1))
        self.assertEqual(conn.call("FindCoordinator", 4, keys=[]).coordinators, [])

    @moldau_only
    def test_coordinators_that_are_not_there_are_final(self):
        # Clients would ask for ever on a retriable error.
        conn = self.conn()
        retriable = (5, 14, 15, 16, 13, 7, 3, 6)
        answer = conn.call("FindCoordinator", 6, keys=["g"], key_type=2).coordinators[0]
        self.assertNotIn(answer.error, (0, *retriable))


if __name__ == "__main__":
    unittest.main()
