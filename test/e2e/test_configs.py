# SPDX-License-Identifier: Apache-2.0
"""AlterConfigs and IncrementalAlterConfigs: outcomes, and what the settings do once they are changed."""
from lib.case import Case, moldau_only

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)


class Alter(Case):
    def setUp(self):
        self.c = self.conn()
        self.node = str(self.c.call("Metadata", 12, topics=[]).brokers[0].node_id)

    def change(self, kind, name, *changes, version=1, validate_only=False):
        answer = self.c.call("IncrementalAlterConfigs", version, validate_only=validate_only, resources=[
            {"type": kind, "name": name, "configs": [{"name": k, "op": op, "value": v} for k, op, v in changes]}])
        self.assertEqual([(r.type, r.name) for r in answer.responses], [(kind, name)])
        return answer.responses[0].error, answer.responses[0].message

    def replace(self, kind, name, changes, version=2, validate_only=False):
        answer = self.c.call("AlterConfigs", version, validate_only=validate_only, resources=[
            {"type": kind, "name": name, "configs": [{"name": k, "value": v} for k, v in changes.items()]}])
        self.assertEqual([(r.type, r.name) for r in answer.responses], [(kind, name)])
        return answer.responses[0].error, answer.responses[0].message

    def max_bytes(self, name):
        """What produce accepts, found without asking for the settings: 10 for a record that is too large."""
        return self.c.produce(name, [b"x" * 2000]).error


class Incremental(Alter):
    def test_every_version_takes_effect_at_once(self):
        for version in (0, 1):
            name = self.topic(self.c)
            self.assertEqual(self.max_bytes(name), 0)
            self.assertEqual(self.change(TOPIC, name, ("max.message.bytes", SET, "1000"), version=version), (0, None))
            self.eventually(lambda n=name: self.assertEqual(self.max_bytes(n), 10))
            self.assertEqual(self.change(TOPIC, name, ("max.message.bytes", DELETE, None), version=version), (0, None))
            self.eventually(lambda n=name: self.assertEqual(self.max_bytes(n), 0))

    def test_validate_only_changes_nothing(self):
        name = self.topic(self.c)
        for changes, error in ((("max.message.bytes", SET, "1000"), 0), (("max.message.bytes", SET, "x"), 40)):
            self.assertEqual(self.change(TOPIC, name, changes, validate_only=True)[0], error)
        self.assertEqual(self.replace(TOPIC, name, {"max.message.bytes": "1000"}, validate_only=True), (0, None))
        self.assertEqual(self.max_bytes(name), 0)

    def test_refused(self):
        name = self.topic(self.c)
        not_list = "Can't %s to key %s because its type is not LIST."
        for kind, resource, key, op, value, expected in (
                (TOPIC, "nope", "retention.ms", SET, "1", (3, "The topic 'nope' does not exist.")),
                (TOPIC, "nope", "retention.ms", SET, "abc",
                 (40, "Invalid value abc for configuration retention.ms: Not a number of type LONG")),
                (TOPIC, "", "retention.ms", SET, "1", (42, "Default topic resources are not allowed.")),
                (TOPIC, "a b", "retention.ms", SET, "1",
                 (17, "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, "
                      "'.', '_' and '-'")),
                (TOPIC, name, "retention.ms", SET, None, (42, "Null value not supported for : retention.ms")),
                (TOPIC, name, "nope", SET, "1", (40, "Unknown topic config name: nope")),
                (TOPIC, name, "nope", DELETE, None, (0, None)),
                (TOPIC, name, "nope", APPEND, "1", (40, not_list % ("APPEND", "nope"))),
                (TOPIC, name, "retention.ms", SUBTRACT, "1", (40, not_list % ("SUBTRACT", "retention.ms"))),
                (TOPIC, name, "cleanup.policy", APPEND, "zap",
                 (40, "Invalid value zap for configuration cleanup.policy: String must be one of: compact, delete")),
                (TOPIC, name, "retention.ms", 9, "1", (-1, None)),
                (0, name, "retention.ms", SET, "1", (42, "Unknown resource type 0")),
                (99, name, "retention.ms", SET, "1", (42, "Unknown resource type 99")),
                (BROKER, "x", "log.retention.ms", SET, "1", (42, "Node id must be an integer, but it is: x")),
                (BROKER, "-1", "log.retention.ms", SET, "1",
                 (42, f"Unexpected broker id, expected {self.node}, but received -1")),
                (BROKER, "", "log.retention.ms", SET, "abc",
                 (42, "Invalid value abc for configuration log.retention.ms: Not a number of type LONG")),
                (BROKER, "", "log.segment.bytes", SET, "1",
                 (42, "Invalid value 1 for configuration log.segment.bytes: Value must be at least 1048576")),
                (BROKER, self.node, "broker.id", SET, "7",
                 (42, "Cannot update these configs dynamically: [broker.id]")),
                (BROKER, "", "listeners", SET, "PLAINTEXT://localhost:1",
                 (42, "Cannot update these configs at default cluster level, broker id must be specified: "
                      "[listeners]")),
                (BROKER, self.node, "nope", APPEND, "1", (40, "Unknown config name: nope")),
                (BROKER, "", "log.retention.ms", APPEND, "1",
                 (40, "Config value append is not allowed for config key: log.retention.ms")),
                (BROKER, "", "log.retention.ms", 9, "1", (42, "Unknown operations type 9")),
                (GROUP, "", "consumer.session.timeout.ms", SET, "1", (42, "Default group resources are not allowed.")),
                (GROUP, "g", "consumer.session.timeout.ms", SET, "abc",
                 (40, "Invalid value abc for configuration consumer.session.timeout.ms: Not a number of type INT")),
                (GROUP, "g", "consumer.session.timeout.ms", SET, "1",
                 (40, "consumer.session.timeout.ms must be greater than or equal to "
                      "group.consumer.min.session.timeout.ms")),
                (METRICS, "m", "nope", SET, "1", (42, "Unknown client metrics configuration: nope")),
                (METRICS, "m", "interval.ms", SET, "1",
                 (42, "Invalid value 1 for interval.ms, interval must be between 100 and 3600000 (1 hour)")),
                (METRICS, "m", "match", SET, "zap=x", (40, "Illegal client matching pattern: zap=x")),
                (GROUP, "g", "nope", SET, "1", (40, "Unknown group config name: nope")),
                (GROUP, "g", "consumer.session.timeout.ms", APPEND, "1",
                 (40, not_list % ("APPEND", "consumer.session.timeout.ms"))),
                (METRICS, "", "interval.ms", SET, "1000", (42, "Subscription name can't be empty")),
                (METRICS, "m", "metrics", APPEND, "a", (40, not_list % ("APPEND", "metrics")))):
            with self.subTest(kind=kind, resource=resource, key=key, op=op, value=value):
                self.assertEqual(self.change(kind, resource, (key, op, value)), expected)

    def test_twice(self):
        name = self.topic(self.c)
        self.assertEqual(self.change(TOPIC, name, ("retention.ms", SET, "1"), ("retention.ms", DELETE, None)),
                         (42, "Error due to duplicate config keys"))
        twice = {"type": TOPIC, "name": name, "configs": [{"name": "retention.ms", "op": SET, "value": "1000"}]}
        once = {"type": GROUP, "name": name, "configs": []}
        answer = self.c.call("IncrementalAlterConfigs", 1, resources=[twice, once, twice])
        self.assertEqual([(r.error, r.message) for r in answer.responses],
                         [(42, "Each resource must appear at most once."), (0, None),
                          (42, "Each resource must appear at most once.")])

    def test_each_resource_has_its_own_outcome(self):
        name = self.topic(self.c)
        rows = ((TOPIC, name, "retention.ms", "5000", 0), (TOPIC, "nope", "retention.ms", "5000", 3),
                (BROKER, "77", "log.retention.ms", "5000", 42), (99, "", "a", "b", 42),
                (TOPIC, self.topic(self.c), "retention.ms", "x", 40))
        answer = self.c.call("IncrementalAlterConfigs", 1, resources=[
            {"type": t, "name": n, "configs": [{"name": k, "op": SET, "value": v}]} for t, n, k, v, _ in rows])
        self.assertEqual([(r.type, r.name, r.error) for r in answer.responses], [(t, n, e) for t, n, _, _, e in rows])
        self.assertEqual(self.c.call("IncrementalAlterConfigs", 0, resources=[]).responses, [])

    def test_lists(self):
        name = self.topic(self.c)
        policy = "cleanup.policy"
        for op, value in ((APPEND, "compact"), (SUBTRACT, "delete"), (SUBTRACT, "compact"), (DELETE, None)):
            self.assertEqual(self.change(TOPIC, name, (policy, op, value)), (0, None))

    def test_a_list_that_grows_too_long(self):
        name = self.topic(self.c)
        key = "follower.replication.throttled.replicas"
        self.assertEqual(self.change(TOPIC, name, (key, SET, ",".join(f"0:{i}" for i in range(3000)))), (0, None))
        self.assertEqual(self.change(TOPIC, name, (key, APPEND, ",".join(f"1:{i}" for i in range(3000)))),
                         (40, "The configuration value cannot be added because it exceeds the maximum value size of "
                              "32767 bytes."))

    def test_min_isr_of_brokers_with_eligible_replicas(self):
        key = "min.insync.replicas"
        for op, value in ((SET, "1"), (DELETE, None)):
            self.assertEqual(self.change(BROKER, self.node, (key, op, value)),
                             (40, f"Broker-level {key} cannot be altered while ELR is enabled."))
        self.assertEqual(self.change(BROKER, "", (key, DELETE, None)),
                         (40, f"Cluster-level {key} cannot be removed while ELR is enabled."))
        self.assertEqual(self.change(BROKER, "", (key, SET, "1")), (0, None))


class Replace(Alter):
    def test_every_version(self):
        for version in (0, 1, 2):
            name = self.topic(self.c)
            self.assertEqual(self.replace(TOPIC, name, {"max.message.bytes": "1000"}, version), (0, None))
            self.eventually(lambda n=name: self.assertEqual(self.max_bytes(n), 10))
            self.assertEqual(self.replace(TOPIC, name, {"retention.ms": "100000"}, version), (0, None))
            self.eventually(lambda n=name: self.assertEqual(self.max_bytes(n), 0))

    def test_refused(self):
        name = self.topic(self.c)
        for kind, resource, configs, expected in (
                (TOPIC, "nope", {"retention.ms": "1"}, (3, "The topic 'nope' does not exist.")),
                (TOPIC, name, {"nope": "1"}, (40, "Unknown topic config name: nope")),
                (TOPIC, name, {"retention.ms": None}, (42, "Null value not supported for : retention.ms")),
                (BROKER, "x", {}, (42, "Node id must be an integer, but it is: x")),
                (BROKER, "77", {}, (42, f"Unexpected broker id, expected {self.node}, but received 77")),
                (LOGGER, self.node, {"root": "INFO"}, (42, "Unknown resource type 8")),
                (99, "", {}, (42, "Unknown resource type 99"))):
            with self.subTest(kind=kind, resource=resource):
                self.assertEqual(self.replace(kind, resource, configs), expected)

    @moldau_only
    def test_a_resource_twice(self):
        """The original never answers this one."""
        resource = {"type": GROUP, "name": "g", "configs": []}
        answer = self.c.call("AlterConfigs", 2, resources=[resource, resource])
        self.assertEqual([(r.error, r.message) for r in answer.responses],
                         [(42, "Each resource must appear at most once.")] * 2)


class Survives(Case):
    own = True

    def test_a_crash(self):
        conn = self.conn()
        name = self.topic(conn)
        self.assertEqual(conn.call("IncrementalAlterConfigs", 1, resources=[
            {"type": TOPIC, "name": name,
             "configs": [{"name": "max.message.bytes", "op": SET, "value": "1000"}]}]).responses[0].error, 0)
        self.broker.crash()
        conn = self.conn()
        conn.wait_leader(name)
        self.assertEqual(conn.produce(name, [b"x" * 2000]).error, 10)
