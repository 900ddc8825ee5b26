# SPDX-License-Identifier: Apache-2.0
"""DescribeConfigs, ListConfigResources, levels of loggers; which of several values is in force, and from when on."""
import os
import re
import unittest

from lib.broker import target
from lib.case import Case, moldau_only

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
FROM_TOPIC, FROM_BROKER, FROM_DEFAULT_BROKER, FROM_FILE = range(1, 5)
FROM_DEFAULT, FROM_LOGGER, FROM_METRICS, FROM_GROUP = range(5, 9)


class Settings(Case):
    def setUp(self):
        self.c = self.conn()
        self.node = str(self.c.call("Metadata", 12, topics=[]).brokers[0].node_id)

    def describe(self, kind, name, *keys, version=4, synonyms=True, documentation=False, conn=None):
        values = {"include_documentation": documentation} if version >= 3 else {}
        answer = (conn or self.c).call("DescribeConfigs", version, include_synonyms=synonyms, resources=[
            {"type": kind, "name": name, "keys": list(keys) or None}], **values)
        self.assertEqual([(r.type, r.name) for r in answer.results], [(kind, name)])
        return answer.results[0]

    def rows(self, kind, name, *keys, **values):
        result = self.describe(kind, name, *keys, **values)
        self.assertEqual((result.error, result.message), (0, ""))
        self.assertEqual(len({c.name for c in result.configs}), len(result.configs))
        return {c.name: c for c in result.configs}

    def value(self, kind, name, key, **values):
        row = self.rows(kind, name, key, **values)[key]
        return row.value, row.source, [(s.name, s.value, s.source) for s in row.synonyms]

    def change(self, kind, name, key, value, op=None, validate_only=False):
        op = (DELETE if value is None else SET) if op is None else op
        answer = self.c.call("IncrementalAlterConfigs", 1, validate_only=validate_only, resources=[
            {"type": kind, "name": name, "configs": [{"name": key, "op": op, "value": value}]}]).responses[0]
        return answer.error, answer.message

    def set(self, kind, name, key, value):
        self.assertEqual(self.change(kind, name, key, value), (0, None))

    def reset(self, kind, name, key, value):
        """Sets it until the end of the test."""
        self.set(kind, name, key, value)
        self.addCleanup(self.set, kind, name, key, None)


class Describe(Settings):
    def test_every_version(self):
        topic = self.topic(self.c)
        for version in range(1, 5):
            for kind, name, key, value, kind_of in ((TOPIC, topic, "retention.bytes", "-1", 5),
                                                    (BROKER, self.node, "log.retention.bytes", "-1", 5),
                                                    (GROUP, "g", "consumer.session.timeout.ms", "45000", 3),
                                                    (METRICS, "m", "interval.ms", "300000", 3)):
                with self.subTest(version=version, kind=kind):
                    for synonyms in (False, True):
                        row = self.rows(kind, name, key, version=version, synonyms=synonyms)[key]
                        self.assertEqual((row.value, row.source, row.sensitive, row.read_only),
                                         (value, FROM_DEFAULT, False, False))
                        self.assertEqual(len(row.synonyms), 1 if synonyms and kind != METRICS else 0)
                        if version >= 3:
                            self.assertEqual((row.type, row.documentation), (kind_of, None))

    def test_documentation_when_asked(self):
        topic = self.topic(self.c)
        for kind, name in ((TOPIC, topic), (BROKER, self.node), (GROUP, "g"), (METRICS, "m")):
            for version in (3, 4):
                for row in self.rows(kind, name, version=version, documentation=True).values():
                    # One of the original's has none either.
                    self.assertTrue(row.documentation or target() == "kafka", row.name)

    def test_a_node_as_it_comes_says_what_the_original_says(self):
        topic = self.name()
        with open(os.path.join(os.path.dirname(__file__), "describe_configs.tsv"), encoding="utf-8") as f:
            lines = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
        node = self.moldau().start() if target() == "moldau" else self.broker
        conn = self.conn(node)
        conn.create(topic)
        got = {}
        for family, kind, name in (("broker", BROKER, self.node), ("topic", TOPIC, topic), ("group", GROUP, "g0"),
                                   ("metrics", METRICS, "m0")):
            for row in self.rows(kind, name, conn=conn).values():
                got[family, row.name] = [
                    "null" if row.value is None else row.value or "(empty)", str(row.source), str(row.type),
                    "read-only" if row.read_only else "dynamic", "sensitive" if row.sensitive else "open",
                    ";".join(f"{s.name}={s.value}@{s.source}" for s in row.synonyms) or "-"]
        wanted = {(line[0], line[1]): line[2:] for line in lines}
        given = {key for key, row in got.items() if row[1] == str(FROM_FILE)}
        copies = {("broker", f"{t}.{what}") for t in ("offsets.topic", "transaction.state.log",
                                                      "share.coordinator.state.topic")
                  for what in ("replication.factor", "min.isr")}  # one on one node, unless the file says otherwise
        always = {("broker", "advertised.listeners"), ("broker", "controller.quorum.voters"),
                  ("broker", "group.initial.rebalance.delay.ms")}  # given where the original was asked
        for key in wanted.keys() - given:
            self.assertEqual(got.get(key), wanted[key], key)
        self.assertEqual(got.keys() - wanted.keys() - given - copies - always, set())

    def test_keys(self):
        topic = self.topic(self.c)
        everything = self.rows(TOPIC, topic)
        for keys, names in ((["nope"], set()), (["retention.ms", "nope", "retention.ms"], {"retention.ms"}),
                            (["segment.bytes", "cleanup.policy"], {"segment.bytes", "cleanup.policy"})):
            self.assertEqual(self.rows(TOPIC, topic, *keys).keys(), names)
        answer = self.c.call("DescribeConfigs", 4, resources=[{"type": TOPIC, "name": topic, "keys": []}])
        self.assertEqual({c.name for c in answer.results[0].configs}, everything.keys())
        keys = {"log.roll.ms", "node.id"}
        self.assertEqual(self.rows(BROKER, self.node, *keys, "nope").keys(), keys)
        self.assertEqual(self.rows(METRICS, "m", "match").keys(), {"match"})
        self.assertEqual(self.rows(GROUP, "g", "share.isolation.level").keys(), {"share.isolation.level"})

    def test_many_resources_keep_their_order(self):
        topics = [self.topic(self.c, retention_ms=str(1000 + i)) for i in range(3)] + [self.topic(self.c)]
        asked = [(TOPIC, t) for t in topics] + [(BROKER, self.node), (TOPIC, "nope"), (BROKER, ""), (TOPIC, topics[0])]
        answer = self.c.call("DescribeConfigs", 4, resources=[
            {"type": kind, "name": name, "keys": ["retention.ms", "node.id"]} for kind, name in asked])
        self.assertEqual([(r.type, r.name) for r in answer.results], asked)
        self.assertEqual([r.error for r in answer.results], [0, 0, 0, 0, 0, 3, 0, 0])
        self.assertEqual([[c.value for c in r.configs] for r in answer.results],
                         [["1000"], ["1001"], ["1002"], ["604800000"], [self.node], [], [], ["1000"]])
        self.assertEqual(self.c.call("DescribeConfigs", 4, resources=[]).results, [])

    def test_refused(self):
        for kind, name, error, message in (
                (TOPIC, "nope", 3, ""),
                (TOPIC, "", 17, "Topic name is invalid: the empty string is not allowed"),
                (TOPIC, "a b", 17, "Topic name is invalid: 'a b' contains one or more characters other than ASCII "
                                   "alphanumerics, '.', '_' and '-'"),
                (BROKER, "abc", 42, "Broker id must be an integer, but it is: abc"),
                (BROKER, "77", 42, f"Unexpected broker id, expected {self.node} or empty string, but received 77"),
                (LOGGER, "", 42, "Broker id must not be empty"),
                (LOGGER, "77", 42, f"Unexpected broker id, expected {self.node} but received 77"),
                (LOGGER, "x", 42, "Broker id must be an integer, but it is: x"),
                (GROUP, "", 42, "Group name must not be empty"),
                (METRICS, "", 42, "Client metrics subscription name must not be empty")):
            result = self.describe(kind, name)
            self.assertEqual((result.error, result.message, result.configs), (error, message, []))
        for kind in (0, 1, 3, 33, 64, -1):
            self.assertEqual(self.describe(kind, "x").error, 42)

    def test_time_is_told_by_its_name_first(self):
        topic = self.topic(self.c)
        self.assertEqual(self.value(BROKER, self.node, "log.retention.ms"), (None, FROM_DEFAULT, []))
        self.assertEqual(self.value(TOPIC, topic, "retention.ms"), ("604800000", FROM_DEFAULT, []))
        self.reset(BROKER, self.node, "log.retention.ms", "1000000")
        self.reset(BROKER, "", "log.retention.ms", "2000000")
        hours = ("log.retention.hours", "168", FROM_DEFAULT)
        names = [("log.retention.ms", "1000000", FROM_BROKER),
                 ("log.retention.ms", "2000000", FROM_DEFAULT_BROKER), hours]

        def check():
            self.assertEqual(self.value(BROKER, self.node, "log.retention.ms"), ("1000000", FROM_BROKER, names))
            self.assertEqual(self.value(BROKER, self.node, "log.retention.hours"), ("168", FROM_DEFAULT, [hours]))
            self.assertEqual(self.value(TOPIC, topic, "retention.ms"), ("1000000", FROM_BROKER, names))
            self.assertEqual(self.value(BROKER, "", "log.retention.ms"), ("2000000", FROM_DEFAULT_BROKER, names[1:2]))
        self.eventually(check)
        self.set(TOPIC, topic, "retention.ms", "77777")
        own = ("77777", FROM_TOPIC, [("retention.ms", "77777", FROM_TOPIC), *names])
        self.eventually(lambda: self.assertEqual(self.value(TOPIC, topic, "retention.ms"), own))

    def test_what_nobody_knows_may_be_a_secret(self):
        key = f"unknown.{self.name()}"
        self.reset(BROKER, "", key, "hush")
        self.reset(BROKER, self.node, key, "hush")

        def check():
            for name, source in ((self.node, FROM_BROKER), ("", FROM_DEFAULT_BROKER)):
                for row in (self.rows(BROKER, name, key)[key], self.rows(BROKER, name)[key]):
                    self.assertEqual((row.value, row.source, row.sensitive, row.read_only, row.type),
                                     (None, source, True, True, 0))
                    self.assertEqual({s.value for s in row.synonyms}, {None})
        self.eventually(check)

    def test_groups_and_client_metrics(self):
        group, metrics = self.name(), self.name()
        self.reset(GROUP, group, "consumer.session.timeout.ms", "50000")
        self.reset(METRICS, metrics, "interval.ms", "1000")
        self.reset(METRICS, metrics, "metrics", "a,b")

        def check():
            key = "consumer.session.timeout.ms"
            self.assertEqual(self.value(GROUP, group, key), ("50000", FROM_GROUP, [
                (key, "50000", FROM_GROUP), (f"group.{key}", "45000", FROM_DEFAULT)]))
            self.assertEqual(self.value(METRICS, metrics, "interval.ms"),
                             ("1000", FROM_METRICS, [("interval.ms", "1000", FROM_METRICS)]))
            self.assertEqual(self.value(METRICS, metrics, "metrics")[0], "a,b")
            self.assertEqual(self.value(METRICS, metrics, "match"), ("", FROM_DEFAULT, []))
        self.eventually(check)


class Loggers(Settings):
    def test_describe(self):
        rows = self.rows(LOGGER, self.node)
        for name in ("root", "kafka.server.KafkaApis", "state.change.logger"):
            self.assertIn(name, rows)
        for row in rows.values():
            self.assertEqual((row.source, row.type, row.read_only, row.sensitive, row.synonyms, row.documentation),
                             (FROM_LOGGER, 0, False, False, [], ""))
        self.assertEqual(self.rows(LOGGER, self.node, "root", "nope").keys(), {"root"})

    def test_change(self):
        name = "kafka.server.KafkaApis"
        before = self.value(LOGGER, self.node, name)[0]
        self.assertEqual(self.change(LOGGER, self.node, name, "TRACE", validate_only=True), (0, None))
        self.assertEqual(self.value(LOGGER, self.node, name)[0], before)
        self.set(LOGGER, self.node, name, "ERROR")
        self.assertEqual([self.value(LOGGER, self.node, n)[0] for n in (name, "root")], ["ERROR", before])
        self.set(LOGGER, self.node, name, None)
        self.assertEqual(self.value(LOGGER, self.node, name)[0], before)

    def test_refused(self):
        words = "Cannot set the log level of {} to {} as it is not a supported log level. " \
                "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
        for name, op, value, error, message in (
                ("root", SET, "info", 40, words.format("root", "info")),
                ("root", SET, "", 40, words.format("root", "")),
                ("root", SET, "OFF", 40, words.format("root", "OFF")),
                ("nope.logger", SET, "INFO", 40, "Logger nope.logger does not exist!"),
                ("nope.logger", DELETE, None, 40, "Logger nope.logger does not exist!"),
                ("", SET, "INFO", 40, "Logger  does not exist!"),
                ("root", DELETE, None, 42, "Removing the log level of the root logger is not allowed"),
                ("root", APPEND, "INFO", 42, "APPEND operation is not allowed for the BROKER_LOGGER resource"),
                ("root", SUBTRACT, "INFO", 42, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource"),
                ("root", SET, None, 42, "Null value not supported for : root")):
            self.assertEqual(self.change(LOGGER, self.node, name, value, op), (error, message))
        self.assertEqual(self.change(LOGGER, "77", "root", "INFO"),
                         (42, f"Unexpected node id. Expected {self.node}, but received 77"))
        self.assertEqual(self.change(LOGGER, "", "root", "INFO"), (42, "Node id must be an integer, but it is: "))

    @moldau_only
    def test_takes_effect_at_once(self):
        node = self.moldau(reactors="2").start()
        conn = self.conn(node)
        self.c = conn
        self.set(LOGGER, self.node, "root", "DEBUG")
        topic = self.topic(conn, 4)
        node.wait_log("partition.move", topic)
        self.set(LOGGER, self.node, "root", "ERROR")
        other = self.topic(conn, 4)
        self.assertNotIn(other, node.log())
        node.crash()
        self.c = self.conn(node)
        self.assertEqual(self.value(LOGGER, self.node, "root")[0], "INFO")


class Resources(Settings):
    def list(self, version, types=None):
        answer = self.c.call("ListConfigResources", version, **({} if types is None else {"types": types}))
        return answer.error, {(r.get("type", METRICS), r.name) for r in answer.resources}

    def test_list(self):
        topic, group, metrics = self.topic(self.c), self.name(), self.name()
        self.reset(GROUP, group, "consumer.session.timeout.ms", "50000")
        self.reset(METRICS, metrics, "interval.ms", "1000")
        brokers = {(BROKER, self.node), (LOGGER, self.node)}
        mine = brokers | {(TOPIC, topic), (GROUP, group), (METRICS, metrics)}

        def check():
            error, got = self.list(0)
            self.assertEqual((error, {kind for kind, _ in got}), (0, {METRICS}))
            self.assertIn((METRICS, metrics), got)
            error, got = self.list(1, [])
            self.assertEqual((error, mine - got), (0, set()))
            for types in ([TOPIC], [BROKER], [LOGGER], [METRICS], [GROUP], [TOPIC, TOPIC], [BROKER, LOGGER]):
                error, some = self.list(1, types)
                self.assertEqual((error, some), (0, {r for r in got if r[0] in types}))
            self.assertEqual({r for r in got if r[0] in (BROKER, LOGGER)}, brokers)
        self.eventually(check)
        for types in ([1], [0], [64], [TOPIC, 3]):
            self.assertEqual(self.list(1, types), (35, set()))


class Order(Settings):
    """default < file < all brokers < this broker < topic, and a producer feels each of them at once."""

    own = True
    overrides = {"message.max.bytes": "50000", "log.segment.bytes": "2000000"}

    def limit(self, topic, partition=0, conn=None):
        """What the partition takes: the last of the sizes that pass."""
        last = 0
        for size in (100, 1000, 10000, 20000, 40000, 100000):
            if (conn or self.c).produce(topic, [b"x" * size], partition).error == 0:
                last = size
        return last

    def test_order(self):
        topic = self.topic(self.c, 4)
        key, broker_key = "max.message.bytes", "message.max.bytes"
        steps = ((BROKER, "", broker_key, "25000", 20000, FROM_DEFAULT_BROKER),
                 (BROKER, self.node, broker_key, "15000", 10000, FROM_BROKER),
                 (TOPIC, topic, key, "1500", 1000, FROM_TOPIC))
        self.assertEqual(self.value(TOPIC, topic, key)[:2], ("50000", FROM_FILE))
        self.assertEqual(self.limit(topic), 40000)
        conns = [self.conn() for _ in range(4)]  # on every reactor
        for kind, name, what, value, size, source in steps:
            self.set(kind, name, what, value)
            for partition, conn in enumerate(conns):
                self.assertEqual(self.value(TOPIC, topic, key, conn=conn)[:2], (value, source))
                self.assertEqual(self.limit(topic, partition, conn), size)
        names = [(key, "1500", FROM_TOPIC), (broker_key, "15000", FROM_BROKER),
                 (broker_key, "25000", FROM_DEFAULT_BROKER), (broker_key, "50000", FROM_FILE),
                 (broker_key, "1048588", FROM_DEFAULT)]
        self.assertEqual(self.value(TOPIC, topic, key)[2], names)
        self.assertEqual(self.value(BROKER, self.node, broker_key)[2], names[1:])
        for end in ("crash", "stop"):
            if end == "crash":
                self.broker.crash()
            else:
                self.assertEqual(self.broker.stop(), 0)
                self.broker.start()
            self.c = self.conn()
            self.assertEqual(self.value(TOPIC, topic, key), ("1500", FROM_TOPIC, names))
            self.assertEqual(self.limit(topic), 1000)
        for (kind, name, what, _, _, _), size in zip(reversed(steps), (10000, 20000, 40000)):
            self.set(kind, name, what, None)
            self.assertEqual(self.limit(topic), size)
        self.assertEqual(self.value(TOPIC, topic, key)[:2], ("50000", FROM_FILE))

    def test_a_change_reaches_old_and_new_topics(self):
        old = self.topic(self.c)
        self.reset(BROKER, "", "message.max.bytes", "1500")
        new = self.topic(self.c)
        own = self.topic(self.c, max_message_bytes="25000")
        self.assertEqual([self.limit(t) for t in (old, new, own)], [1000, 1000, 20000])

    def test_settings_of_the_log(self):
        topic = self.topic(self.c)
        self.set(TOPIC, topic, "message.timestamp.type", "LogAppendTime")
        self.assertGreater(self.c.produce(topic, [b"x"]).append_time_ms, 0)
        self.set(TOPIC, topic, "message.timestamp.type", None)
        self.assertEqual(self.c.produce(topic, [b"x"]).append_time_ms, -1)
        self.set(TOPIC, topic, "cleanup.policy", "compact")
        self.assertEqual(self.c.produce(topic, [b"x"]).error, 87)
        self.set(BROKER, self.node, "log.cleanup.policy", "delete")
        self.assertEqual(self.c.produce(topic, [b"x"]).error, 87)
        self.set(TOPIC, topic, "cleanup.policy", None)
        self.assertEqual(self.c.produce(topic, [b"x"]).error, 0)
        self.set(BROKER, self.node, "log.cleanup.policy", None)
        name = self.name()
        self.set(TOPIC, topic, "segment.bytes", "1048576")
        for _ in range(60):
            self.assertEqual(self.c.produce(topic, [b"x" * 40000]).error, 0)
        files = [f for f in os.listdir(os.path.join(self.broker.data, f"{topic}-0")) if f.endswith(".log")]
        self.assertEqual(len(files), 3, name)

    def test_listeners_do_not_change_while_it_runs(self):
        for key, change in (("listeners", lambda text: re.sub(r":\d+", ":1", text, count=1)),
                            ("listener.security.protocol.map", lambda text: text + ",X:PLAINTEXT")):
            before = self.value(BROKER, self.node, key)[0]
            error, message = self.change(BROKER, self.node, key, change(before))
            self.assertEqual(error, 42)
            self.assertIn("Set it in the broker's configuration file", message)
            self.assertEqual(self.value(BROKER, self.node, key)[0], before)
            self.reset(BROKER, self.node, key, before)
        self.reset(BROKER, self.node, "log.retention.ms", "1000000")

    def test_own_settings_are_told_when_given(self):
        node = self.moldau({"durability": "synced"}).start()
        row = self.rows(BROKER, self.node, "durability", conn=self.conn(node))
        self.assertEqual((row["durability"].value, row["durability"].source), ("synced", FROM_FILE))
        self.assertEqual(self.rows(BROKER, self.node, "io.backend"), {})


@moldau_only
class Large(Settings):
    def test_answers_have_a_bound(self):
        """A small request must not ask for more memory than there is."""
        resources = [{"type": BROKER, "name": self.node}] * 20000
        self.c = self.conn(timeout=120)
        self.c.send("DescribeConfigs", 4, resources=resources, include_synonyms=True, include_documentation=True)
        frame = self.c.recv_frame()  # not decoded, which would take a minute here
        self.assertLess(len(frame), 200 << 20)
        self.assertIn(b"too large", frame[-200:])
        self.assertEqual(self.rows(BROKER, self.node, "node.id")["node.id"].value, self.node)


if __name__ == "__main__":
    unittest.main()
