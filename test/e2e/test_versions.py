# SPDX-License-Identifier: Apache-2.0
"""Every case of every API in every version that is advertised: a field that an old version cannot say must not stand in
the way of its answer. The answers are judged by the strict codec, by their error, and by the connection living on."""
import unittest
import uuid

from lib.batch import Record, batch
from lib.broker import target
from lib.case import Case
from lib.client import GROUP, TRANSACTION
from lib.wire import APIS, UUID_ZERO

SERVED_FROM = {"Produce": 3}  # 0 to 2 are advertised for librdkafka's sake, and refused
NOWHERE = uuid.UUID("12345678-1234-1234-1234-123456789abc")


class EveryVersion(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.broker.conn() as conn:
            cls.ranges = {a.key: (a.min, a.max) for a in conn.call("ApiVersions", 0).apis}

    def setUp(self):
        self.c = self.conn()
        self.t, self.keyed = self.topic(self.c, 3), self.topic(self.c, cleanup_policy="compact")
        self.ids = {n: self.c.topic_id(n) for n in (self.t, self.keyed)}
        self.assertEqual(self.c.produce(self.t, [b"a", b"b"]).error, 0)

    def each(self, api, cases, least=None):
        """cases: label, values or function(version) -> values, function(answer) -> error, expected error or
        function(version) -> expected, first version of the case."""
        low, high = self.ranges[APIS[api].key]
        low = max(low, SERVED_FROM.get(api, 0))
        self.assertGreaterEqual(high - low, 0 if least is None else least, "versions have gone")
        for version in range(low, high + 1):
            for label, values, error, wanted, *since in cases:
                if since and version < since[0]:
                    continue
                with self.subTest(label, version=version):
                    self.c = self.conn() if self.c.sock.fileno() < 0 else self.c
                    try:
                        answer = self.c.call(api, version, **(values(version) if callable(values) else values))
                    except Exception:
                        self.c.close()
                        raise
                    if wanted is not None:
                        self.assertEqual(error(answer), wanted(version) if callable(wanted) else wanted)

    def one(self, name=None, with_id=True, **partition):
        name = name or self.t
        return [dict({"name": name, "partitions": [partition]},
                     **({"topic_id": self.ids.get(name, NOWHERE)} if with_id else {}))]

    def test_produce(self):
        def case(data, name=None, index=0, acks=-1):
            return {"acks": acks, "timeout_ms": 5000, "topics": self.one(name, index=index, records=data)}

        def error(answer):
            return answer.topics[0].partitions[0].error

        now, old = batch([b"x"]), batch([Record(b"x", b"k", timestamp=10**17)])
        pid = self.c.init_producer()[0]
        self.each("Produce", (
            ("fine", case(now), error, 0), ("acks 1", case(now, acks=1), error, 0),
            ("acks 5", case(now, acks=5), error, 21),
            ("unknown topic", case(now, "absent"), error, lambda v: 100 if v >= 13 else 3),
            ("unknown partition", case(now, index=9), error, 3), ("damaged", case(batch([b"x"], crc=1)), error, 2),
            ("two batches", case(now * 2), error, 87), ("no key", case(batch([b"x"] * 3), self.keyed), error, 87),
            ("late", case(old), error, 32), ("too large", case(batch([bytes(1_100_000)])), error, 10),
            ("sequence", case(batch([b"x"], producer_id=pid, producer_epoch=0, sequence=7)), error, 0),
            ("transactional", case(batch([b"x"], attributes=0x10)), error, 53),
            ("nothing", {"acks": -1, "timeout_ms": 1, "topics": []}, None, None)), 10)

    def test_fetch(self):
        def case(name=None, index=0, offset=0, session=(0, -1), **values):
            return {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 20, "session_id": session[0],
                    "session_epoch": session[1],
                    "topics": self.one(name, index=index, offset=offset, max_bytes=1 << 20, **values)}

        def error(answer):
            return answer.get("error") or (answer.topics[0].partitions[0].error if answer.topics else 0)

        self.each("Fetch", (
            ("data", case(), error, 0), ("end", case(offset=2), error, 0), ("empty", case(index=1), error, 0),
            ("committed", dict(case(), isolation=1), error, 0), ("out of range", case(offset=99), error, 1),
            ("unknown topic", case("absent"), error, lambda v: 100 if v >= 13 else 3),
            ("unknown partition", case(index=9), error, 3),
            ("a newer epoch", case(current_leader_epoch=9), error, 75, 9),
            ("diverging", case(offset=9, last_fetched_epoch=0), error, 0, 12),
            ("an epoch of nobody", case(last_fetched_epoch=9), error, 1, 12),
            ("a session begins", case(session=(0, 0)), error, 0, 7),
            ("no such session", case(session=(77, 3)), error, 70, 7),
            ("forgotten", dict(case(), forgotten=[{"name": self.t, "topic_id": self.ids[self.t], "partitions": [0]}]),
             error, 0, 7),
            ("nothing", {"max_wait_ms": 0, "topics": []}, error, 0)), 14)

    def test_list_offsets(self):
        def case(timestamp, name=None, index=0, **values):
            return {"topics": self.one(name, False, index=index, timestamp=timestamp, **values)}

        def error(answer):
            return answer.topics[0].partitions[0].error

        self.each("ListOffsets", (
            ("latest", case(-1), error, 0), ("earliest", case(-2), error, 0), ("a time", case(0), error, 0),
            ("no such time", case(1 << 50), error, 0), ("of the empty", case(-1, index=1), error, 0),
            ("committed", dict(case(-1), isolation=1), error, 0),
            ("greatest time", case(-3), error, lambda v: 0 if v >= 7 else 35),
            ("local", case(-4), error, lambda v: 0 if v >= 8 else 35),
            ("tiered", case(-5), error, lambda v: 0 if v >= 9 else 35),
            ("pending", case(-6), error, lambda v: 0 if v >= 11 else 35), ("nonsense", case(-7), error, 35),
            ("unknown topic", case(-1, "absent"), error, 3), ("unknown partition", case(-1, index=9), error, 3),
            ("a newer epoch", case(-1, current_leader_epoch=9), error, 75, 4)), 10)

    def test_metadata(self):
        def error(answer):
            return answer.topics[0].error

        def fresh(_):
            return {"topics": [{"name": self.name()}], "allow_auto_create": True}

        def ops(version):
            return {"topics": [{"name": self.t}], "include_cluster_ops": version <= 10, "include_topic_ops": True}

        self.each("Metadata", (
            ("all", lambda v: {"topics": [] if v == 0 else None}, None, None),
            ("brokers only", {"topics": []}, None, None, 1), ("one", {"topics": [{"name": self.t}]}, error, 0),
            ("operations", ops, error, 0, 8), ("invalid", {"topics": [{"name": "a b"}]}, error, 17),
            ("absent", {"topics": [{"name": "absent"}], "allow_auto_create": False}, error, 3, 4),
            ("created", fresh, lambda a: error(a) in (0, 3, 5), True),
            ("by id", {"topics": [{"name": None, "topic_id": self.ids[self.t]}]}, error, 0, 12),
            ("unknown id", {"topics": [{"name": None, "topic_id": NOWHERE}]}, error, 100, 12)), 13)

    def test_offset_for_leader_epoch(self):
        def case(epoch, name=None, index=0, **values):
            return {"topics": self.one(name, False, index=index, leader_epoch=epoch, **values)}

        def error(answer):
            return answer.topics[0].partitions[0].error

        self.each("OffsetForLeaderEpoch", (
            ("ours", case(0), error, 0), ("unknown epoch", case(9), error, 0),
            ("unknown topic", case(0, "absent"), error, 3),
            ("unknown partition", case(0, index=9), error, 3),
            ("a newer epoch", case(0, current_leader_epoch=9), error, 75)), 2)

    def test_init_producer_id(self):
        self.assertEqual(self.c.settled("InitProducerId", 4).error, 0)
        self.each("InitProducerId", (
            ("fresh", {}, lambda a: a.error in (0, 14), True),
            ("empty name", {"transactional_id": ""}, lambda a: a.error, 42),
            ("half an id", {"producer_id": 5}, lambda a: a.error, 42, 3)), 5)

    def test_create_topics(self):
        def case(**topic):
            return lambda _: {"topics": [dict({"name": self.name()}, **topic)]}

        def error(answer):
            return answer.topics[0].error

        self.each("CreateTopics", (
            ("fresh", case(), error, 0), ("there", case(name=self.t), error, 36),
            ("invalid", case(name="a b"), error, 17),
            ("tried", lambda _: {"topics": [{"name": self.name(), "configs": [{"name": "retention.ms", "value": "1"}]}],
                                 "validate_only": True}, error, 0),
            ("factor", case(replication_factor=9), error, 38), ("partitions", case(partition_n=0), error, 37),
            ("setting", case(configs=[{"name": "retention.ms", "value": "x"}]), error, 40),
            ("assigned", case(assignments=[{"index": 0, "brokers": [99]}]), error, 39),
            ("twice", lambda _: {"topics": [{"name": "twice"}] * 2}, error, 42),
            ("nothing", {"topics": []}, None, None)), 5)

    def test_delete_topics(self):
        def case(version, *names):
            return {"topics": [{"name": n} for n in names]} if version >= 6 else {"names": list(names)}

        def fresh(version):
            return case(version, self.topic(self.c))

        def error(answer):
            return answer.topics[0].error

        self.each("DeleteTopics", (
            ("there", fresh, error, 0), ("absent", lambda v: case(v, "absent"), error, 3),
            ("twice", lambda v: case(v, "absent", "absent"), error, 42),
            ("by id", lambda _: {"topics": [{"name": None, "topic_id": self.c.topic_id(self.topic(self.c))}]},
             error, 0, 6),
            ("unknown id", {"topics": [{"name": None, "topic_id": NOWHERE}]}, error, 100, 6),
            ("both", {"topics": [{"name": self.t, "topic_id": self.ids[self.t]}]}, error, 42, 6),
            ("neither", {"topics": [{"name": None, "topic_id": UUID_ZERO}]}, error, 42, 6)), 5)

    def test_delete_records(self):
        def case(offset, name=None, index=0):
            return {"topics": self.one(name, False, index=index, offset=offset)}

        def error(answer):
            return answer.topics[0].partitions[0].error

        self.each("DeleteRecords", (
            ("nothing to move", case(0), error, 0), ("below zero", case(-2), error, 1),
            ("beyond the end", case(99), error, 1), ("unknown topic", case(0, "absent"), error, 3),
            ("unknown partition", case(0, index=9), error, 3), ("compacted", case(0, self.keyed), error, 44),
            ("no topics", {"topics": []}, None, None)), 2)

    def test_describe_cluster(self):
        self.each("DescribeCluster", (
            ("brokers", {}, lambda a: a.error, 0), ("operations", {"include_cluster_ops": True}, lambda a: a.error, 0),
            ("fenced", {"include_fenced": True}, lambda a: a.error, 0, 2),
            ("controllers", {"endpoint_type": 2}, lambda a: a.error, 114, 1),
            ("nonsense", {"endpoint_type": 9}, lambda a: a.error, 115, 1)), 2)

    def test_describe_configs(self):
        def asked(kind, name, **values):
            return dict({"resources": [dict({"type": kind, "name": name}, **values)]}, include_synonyms=True)

        def error(answer):
            return answer.results[0].error

        node = str(self.c.call("Metadata", 12, topics=[]).brokers[0].node_id)
        self.each("DescribeConfigs", (
            ("nothing", {"resources": []}, lambda a: a.results, []), ("topic", asked(2, self.t), error, 0),
            ("keys", asked(2, self.t, keys=["retention.ms"]), lambda a: len(a.results[0].configs), 1),
            ("unknown topic", asked(2, "nope"), error, 3), ("bad name", asked(2, "a b"), error, 17),
            ("broker", asked(4, node), error, 0), ("all brokers", asked(4, ""), error, 0),
            ("another broker", asked(4, "77"), error, 42), ("loggers", asked(8, node), error, 0),
            ("metrics", asked(16, "m"), error, 0), ("group", asked(32, "g"), error, 0),
            ("nonsense", asked(5, "x"), error, 42),
            ("documentation", dict(asked(2, self.t), include_documentation=True), error, 0, 3)), 3)

    def test_list_config_resources(self):
        self.each("ListConfigResources", (
            ("as it comes", {}, lambda a: a.error, 0), ("types", {"types": [2, 4]}, lambda a: a.error, 0, 1),
            ("nonsense", {"types": [5]}, lambda a: a.error, 35, 1)), 1)

    def test_describe_log_dirs(self):
        self.each("DescribeLogDirs", (
            ("all", {"topics": None}, lambda a: a.results[0].error, 0),
            ("none", {"topics": []}, lambda a: a.results[0].topics, []),
            ("one", {"topics": [{"name": self.t, "partitions": [0]}]}, lambda a: len(a.results[0].topics), 1)), 4)

    def test_describe_topic_partitions(self):
        def case(*names, **values):
            return dict({"topics": [{"name": n} for n in names]}, **values)

        def error(answer):
            return answer.topics[0].error

        self.each("DescribeTopicPartitions", (
            ("one", case(self.t), error, 0), ("all", case(), None, None), ("absent", case("absent"), error, 3),
            ("invalid", case("a b"), error, 17), ("page", case(self.t, partition_limit=1), error, 0),
            ("on", case(self.t, cursor={"topic": self.t, "index": 1}), error, 0),
            ("elsewhere", case(self.t, cursor={"topic": "zzz", "index": 0}), error, 42)))

    def test_find_coordinator(self):
        def case(kind, *keys):
            return lambda v: {"keys": list(keys), "key_type": kind} if v >= 4 else \
                {"key": keys[0], "key_type": kind if v else 0}

        def error(answer):
            return answer.coordinators[0].error if "coordinators" in answer else answer.error

        found = 0 if target() == "moldau" else None
        for kind in (GROUP, TRANSACTION):
            self.c.wait_coordinators(kind)
        self.each("FindCoordinator", (
            ("group", case(0, "g"), error, found), ("transaction", case(1, "t"), error, found, 1),
            ("two", case(0, "g", "h"), error, found), ("unknown", case(9, "x"), error, 42, 1),
            ("share", case(2, "x"), lambda a: error(a) in (42, 35), True, 1)), 6)

    def test_describe_quorum(self):
        def case(name, index):
            return {"topics": [{"name": name, "partitions": [{"index": index}]}]}

        def error(answer):
            return answer.error or answer.topics[0].partitions[0].error

        self.each("DescribeQuorum", (
            ("ours", case("__cluster_metadata", 0), error, 0), ("unknown", case("absent", 0), error, 3),
            ("unknown partition", case("__cluster_metadata", 7), error, 3)), 2)


if __name__ == "__main__":
    unittest.main()
