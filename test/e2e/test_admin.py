# SPDX-License-Identifier: Apache-2.0
"""CreatePartitions, ElectLeaders, reassignments, UpdateFeatures, UnregisterBroker, access rules."""
import os
import struct
import threading

from lib.batch import batch, batches
from lib.case import Case, moldau_only
from lib.client import Closed


class Admin(Case):
    def setUp(self):
        self.c = self.conn()
        self.node = self.c.call("Metadata", 12, topics=[]).brokers[0].node_id


class CreatePartitions(Admin):
    def grow(self, name, count, assignments=None, version=3, validate_only=False):
        answer = self.c.call("CreatePartitions", version, validate_only=validate_only, topics=[{
            "name": name, "count": count,
            "assignments": None if assignments is None else [{"brokers": b} for b in assignments]}])
        self.assertEqual([r.name for r in answer.results], [name])
        return answer.results[0].error, answer.results[0].message

    def test_every_version(self):
        for version in range(4):
            name = self.topic(self.c, 2)
            self.assertEqual(self.grow(name, 4, version=version), (0, None))
            self.c.wait_leader(name, 4)
            self.assertEqual(self.c.produce(name, [b"x"], 3).error, 0)
            self.assertEqual(self.grow(name, 5, [[self.node]], version), (0, None))
            self.c.wait_leader(name, 5)

    def test_validate_only_makes_nothing(self):
        name = self.topic(self.c, 2)
        self.assertEqual(self.grow(name, 4, validate_only=True), (0, None))
        self.assertEqual(self.grow(name, 1, validate_only=True)[0], 37)
        self.assertEqual(len(self.c.metadata(name).topics[0].partitions), 2)

    def test_refused(self):
        name = self.topic(self.c, 2)
        less = f"The topic {name} currently has 2 partition(s); %d would not be an increase."
        by_hand = "The manual partition assignment includes "
        for count, assignments, expected in (
                (2, None, (37, "Topic already has 2 partition(s).")), (1, None, (37, less % 1)),
                (0, None, (37, less % 0)), (-1, None, (37, less % -1)),
                (3, [], (39, "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified.")),
                (4, [[1]], (39, "Attempted to add 2 additional partition(s), but only 1 assignment(s) were "
                                "specified.")),
                (3, [[977]], (39, by_hand + "broker 977, but no such broker is registered.")),
                (3, [[self.node, self.node]], (39, by_hand + f"the broker {self.node} more than once.")),
                (3, [[]], (39, by_hand + "an empty replica list.")),
                (4, [[self.node], []], (39, by_hand + "an empty replica list."))):
            with self.subTest(count=count, assignments=assignments):
                self.assertEqual(self.grow(name, count, assignments), expected)
        for unknown in ("nope", "", "a b"):
            self.assertEqual(self.grow(unknown, 3), (3, None))
        self.assertEqual(len(self.c.metadata(name).topics[0].partitions), 2)

    def test_many(self):
        a, b = self.topic(self.c), self.topic(self.c)
        answer = self.c.call("CreatePartitions", 3, topics=[
            {"name": a, "count": 2}, {"name": b, "count": 2}, {"name": b, "count": 3}, {"name": "nope", "count": 2}])
        self.assertEqual({r.name: (r.error, r.message) for r in answer.results},
                         {a: (0, None), b: (42, "Duplicate topic name."), "nope": (3, None)})
        self.assertEqual(len(answer.results), 3)
        self.assertEqual(self.c.call("CreatePartitions", 3, topics=[]).results, [])

    @moldau_only
    def test_too_many(self):
        """The original breaks its controller here."""
        name = self.topic(self.c)
        for count in (10002, 2147483647):
            self.assertEqual(self.grow(name, count), (44, "Excessively large number of partitions per request."))

    def test_while_producing(self):
        name = self.topic(self.c, 1)
        stop, errors, count = threading.Event(), [], [0]

        def produce():
            with self.broker.conn() as conn:
                while not stop.is_set():
                    error = conn.produce(name, [b"x"]).error
                    count[0] += 1
                    if error:
                        errors.append(error)

        thread = threading.Thread(target=produce)
        thread.start()
        try:
            for partitions in range(2, 12):
                self.assertEqual(self.grow(name, partitions), (0, None))
                self.c.wait_leader(name, partitions)
                self.assertEqual(self.c.produce(name, [b"y"], partitions - 1).error, 0)
        finally:
            stop.set()
            thread.join()
        self.assertEqual(errors, [])
        self.assertEqual(len(self.c.read_all(name)), count[0])


class Elect(Admin):
    NOT_NEEDED = (84, "Leader election not needed for topic partition.")

    def elect(self, topics, version=2, kind=0):
        answer = self.c.call("ElectLeaders", version, type=kind, topics=topics and [
            {"name": n, "partitions": p} for n, p in topics])
        return answer.get("error", 0), [(t.name, [(p.index, p.error, p.message) for p in t.partitions])
                                        for t in answer.topics]

    def test_every_version(self):
        name = self.topic(self.c, 2)
        for version in range(3):
            self.assertEqual(self.elect([(name, [0, 1])], version),
                             (0, [(name, [(0, *self.NOT_NEEDED), (1, *self.NOT_NEEDED)])]))

    def test_both_types(self):
        name = self.topic(self.c)
        for kind in (0, 1):
            for topics, expected in (
                    ([(name, [0, 7])], [(name, [(0, *self.NOT_NEEDED), (7, 3, f"No such partition as {name}-7")])]),
                    ([("nope", [0])], [("nope", [(0, 3, "No such topic as nope")])]),
                    ([(name, [])], [(name, [])]),
                    ([(name, [0]), (name, [0])], [(name, [(0, *self.NOT_NEEDED)])] * 2)):
                with self.subTest(kind=kind, topics=topics):
                    self.assertEqual(self.elect(topics, 2, kind), (0, expected))
        for kind in (2, -1):
            self.assertEqual(self.elect([(name, [0])], 2, kind),
                             (42, [(name, [(0, 42, f"Unknown election type {kind}")])]))

    def test_all_partitions(self):
        name = self.topic(self.c, 3)
        for kind in (0, 1):
            error, topics = self.elect(None, 2, kind)
            self.assertEqual(error, 0)
            self.assertIn((name, []), topics)


class Reassign(Admin):
    def move(self, name, partitions, version=1):
        answer = self.c.call("AlterPartitionReassignments", version, topics=[
            {"name": name, "partitions": [{"index": i, "replicas": r} for i, r in partitions]}])
        self.assertEqual((answer.error, answer.message, [t.name for t in answer.topics]), (0, None, [name]))
        return [(p.index, p.error, p.message) for p in answer.topics[0].partitions]

    def test_to_where_it_is(self):
        name = self.topic(self.c, 2)
        for version in (0, 1):
            self.assertEqual(self.move(name, [(0, [self.node]), (1, None)], version), [(0, 0, None), (1, 85, None)])
        for topics in (None, [], [{"name": name, "partitions": [0, 1]}], [{"name": "nope", "partitions": [0]}]):
            answer = self.c.call("ListPartitionReassignments", 0, topics=topics)
            self.assertEqual((answer.error, answer.message, answer.topics), (0, None, []))
        partition = self.c.metadata(name).topics[0].partitions[0]
        self.assertEqual((partition.replicas, partition.leader_epoch), ([self.node], 0))

    def test_refused(self):
        name = self.topic(self.c)
        by_hand = "The manual partition assignment includes "
        for index, replicas, expected in (
                (0, [977], (39, by_hand + "broker 977, but no such broker is registered.")),
                (0, [self.node, 977], (39, by_hand + "broker 977, but no such broker is registered.")),
                (0, [self.node, self.node], (39, by_hand + f"the broker {self.node} more than once.")),
                (0, [], (39, by_hand + "an empty replica list.")),
                (9, [self.node], (3, f"Unable to find partition {name}:9.")),
                (-1, None, (3, f"Unable to find partition {name}:-1."))):
            with self.subTest(index=index, replicas=replicas):
                self.assertEqual(self.move(name, [(index, replicas)]), [(index, *expected)])
        self.assertEqual(self.move("nope", [(0, [self.node])]), [(0, 3, "Unable to find a topic named nope.")])


class Features(Admin):
    PREFIX = "The update failed for all features since the following feature had an error: "

    def update(self, *updates, version=2, validate_only=True):
        answer = self.c.call("UpdateFeatures", version, validate_only=validate_only, updates=[
            {"feature": f, "level": level, "upgrade_type": kind} for f, level, kind in updates])
        if version < 2:
            self.assertEqual([(r.feature, r.error, r.message) for r in answer.results],
                             [] if answer.error else [(u[0], 0, "NONE") for u in updates])
        return answer.error, answer.message

    def refused(self, text):
        return 95, self.PREFIX + text

    def test_every_version(self):
        for version in range(3):
            self.assertEqual(self.update(("metadata.version", 30, 1), version=version), (0, None))
            self.assertEqual(self.update(("nope", 1, 1), version=version), self.refused(
                f"Invalid update version 1 for feature nope. Local controller {self.node} does not support this "
                "feature."))
            self.assertEqual(self.update(version=version), (0, None))

    def test_refused(self):
        only = f"Local controller {self.node} only supports versions 7-30"
        downgrade = "Can't downgrade the version of this feature without setting the upgrade type to either safe or " \
                    "unsafe downgrade."
        for level, kind, reason in ((31, 1, only), (0, 1, only), (6, 3, only), (29, 1, downgrade),
                                    (-1, 1, "A feature version cannot be less than 0."),
                                    (30, 0, "The controller does not support the given upgrade type."),
                                    (29, 4, "The controller does not support the given upgrade type.")):
            with self.subTest(level=level, kind=kind):
                self.assertEqual(self.update(("metadata.version", level, kind)), self.refused(
                    f"Invalid update version {level} for feature metadata.version. {reason}"))
        for level, kind, reason in ((29, 2, "Refusing to perform the requested downgrade because it might delete "
                                            "metadata information."),
                                    (29, 3, "Unsafe metadata downgrade is not supported in this version.")):
            self.assertEqual(self.update(("metadata.version", level, kind)), self.refused(
                f"Unsupported metadata.version downgrade from 30 to {level}. {reason}"))

    def test_all_or_nothing(self):
        self.assertEqual(self.update(("metadata.version", 30, 1), ("nope", 1, 1), validate_only=False)[0], 95)


class Scram(Admin):
    def test_nobody_has_credentials(self):
        def ask(users):
            answer = self.c.call("DescribeUserScramCredentials", 0, users=users and [{"name": u} for u in users])
            self.assertEqual((answer.error, answer.message), (0, ""))
            return {r.user: (r.error, r.message, r.infos) for r in answer.results}

        missing, twice = "Attempt to describe a user credential that does not exist: ", \
            "Cannot describe SCRAM credentials for the same user twice in a single request: "
        self.assertEqual(ask(None), {})
        self.assertEqual(ask([]), {})
        self.assertEqual(ask(["a", ""]), {"a": (91, missing + "a", []), "": (91, missing, [])})
        self.assertEqual(ask(["a", "b", "a"]), {"a": (92, twice + "a", []), "b": (91, missing + "b", [])})

    def alter(self, deletions=(), upsertions=()):
        answer = self.c.call("AlterUserScramCredentials", 0, deletions=[
            {"name": n, "mechanism": m} for n, m in deletions], upsertions=[
                {"name": n, "mechanism": m, "iterations": i, "salt": b"salt", "salted_password": p}
                for n, m, i, p in upsertions])
        return [(r.user, r.error, r.message) for r in answer.results]

    def known(self, user):
        answer = self.c.call("DescribeUserScramCredentials", 0, users=[{"name": user}])
        return [sorted((i.mechanism, i.iterations) for i in r.infos) for r in answer.results]

    def test_set_and_deleted(self):
        user, password = self.name(), b"p" * 32
        self.assertEqual(self.alter([], [(user, 1, 4096, password)]), [(user, 0, None)])
        self.assertEqual(self.alter([], [(user, 2, 8192, password * 2)]), [(user, 0, None)])
        self.eventually(lambda: self.assertEqual(self.known(user), [[(1, 4096), (2, 8192)]]))
        self.assertEqual(self.alter([], [(user, 1, 16384, password)]), [(user, 0, None)])
        self.eventually(lambda: self.assertEqual(self.known(user), [[(1, 16384), (2, 8192)]]))
        for mechanism in (1, 2):
            self.assertEqual(self.alter([(user, mechanism)]), [(user, 0, None)])
        self.eventually(lambda: self.assertEqual(self.known(user), [[]]))

    def test_refused(self):
        user, password = self.name(), b"p" * 32
        twice = "A user credential cannot be altered twice in the same request"
        absent = "Attempt to delete a user credential that does not exist"
        for deletions, upsertions, expected in (
                ([(user, 1)], [], [(user, 91, absent)]),
                ([("", 1)], [], [("", 93, "Username must not be empty")]),
                ([(user, 0)], [], [(user, 33, "Unknown SCRAM mechanism")]),
                ([], [("", 1, 4096, password)], [("", 93, "Username must not be empty")]),
                ([], [(user, 3, 4096, password)], [(user, 33, "Unknown SCRAM mechanism")]),
                ([], [(user, 1, 4095, password)], [(user, 93, "Too few iterations")]),
                ([], [(user, 1, 16385, password)], [(user, 93, "Too many iterations")]),
                ([(user, 1)], [(user, 1, 4096, password)], [(user, 92, twice)]),
                ([(user, 1), (user, 2)], [], [(user, 92, twice)]),
                ([("b", 1), ("a", 1)], [("c", 1, 1, password)],
                 [("a", 91, absent), ("b", 91, absent), ("c", 93, "Too few iterations")]),
                ([], [], [])):
            with self.subTest(deletions=deletions, upsertions=upsertions):
                self.assertEqual(self.alter(deletions, upsertions), expected)
        self.assertEqual(self.known(user), [[]])


class Acls(Admin):
    def test_there_is_no_authorizer(self):
        for version in (1, 2, 3):
            answer = self.c.call("DescribeAcls", version)
            self.assertEqual((answer.error, answer.message, answer.resources),
                             (54, "No Authorizer is configured on the broker", []))
            rule = {"name": "x", "principal": "User:a", "host": "*"}
            for n in (0, 1, 2):
                answer = self.c.call("CreateAcls", version, creations=[rule] * n)
                self.assertEqual([(r.error, r.message) for r in answer.results],
                                 [(54, "No Authorizer is configured.")] * n)
                answer = self.c.call("DeleteAcls", version, filters=[{}] * n)
                self.assertEqual([(r.error, r.message, r.matching) for r in answer.results],
                                 [(54, "No Authorizer is configured.", [])] * n)


class Unregister(Case):
    own = True

    def test_a_broker_that_is_not_there(self):
        conn = self.conn()
        for broker in (977, -1):
            answer = conn.call("UnregisterBroker", 0, broker_id=broker)
            self.assertEqual((answer.error, answer.message), (102, f"Broker ID {broker} is not currently registered"))

    def test_itself_until_the_next_start(self):
        """As in the original: the broker is out, and comes back by starting again. Nothing is lost."""
        conn = self.conn()
        name = self.topic(conn, 2)
        self.assertEqual(conn.produce(name, [b"kept"]).error, 0)
        node = conn.call("Metadata", 12, topics=[]).brokers[0].node_id
        answer = conn.call("UnregisterBroker", 0, broker_id=node)
        self.assertEqual(answer.error, 0)
        self.assertEqual(conn.call("Metadata", 12, topics=[]).brokers, [])
        topic = conn.metadata(name).topics[0]
        self.assertEqual([p.leader for p in topic.partitions], [-1, -1])
        try:
            self.assertNotEqual(conn.produce(name, [b"lost"]).error, 0)
        except Closed:
            self.fail("the broker is gone")
        self.broker.crash()
        conn = self.conn()
        conn.wait_leader(name, 2)
        self.assertEqual([r.value for r in conn.read_all(name)], [b"kept"])


class Silent(Case):
    own = True
    overrides = {"broker.session.timeout.ms": "6000"}

    def register(self, broker_id):
        """Appends a registration to the metadata log of the stopped broker."""
        log = os.path.join(self.broker.data, "__cluster_metadata-0", f"{0:020}.log")
        with open(log, "rb") as f:
            last = batches(f.read())[-1]
        endpoint = b"\x0aPLAINTEXT" + b"\x0alocalhost" + struct.pack(">Hh", 9, 0) + b"\x00"
        body = struct.pack(">i", broker_id) + bytes(range(16)) + struct.pack(">q", last.next_offset) + \
            b"\x02" + endpoint + b"\x01" + bytes(4)  # no features, no rack, not fenced, not leaving, no tags
        with open(log, "ab") as f:
            f.write(batch([b"\x01" + bytes([0, 1]) + body], base_offset=last.next_offset, epoch=last.epoch))

    def brokers(self):
        return sorted(b.node_id for b in self.conn().call("Metadata", 12, topics=[]).brokers)

    def test_a_broker_that_is_silent_is_fenced(self):
        node = self.brokers()[0]
        self.broker.kill()
        self.register(77)
        self.broker.start()
        self.assertEqual(self.brokers(), [node, 77])
        self.eventually(lambda: self.assertEqual(self.brokers(), [node]), 30)
        self.assertEqual(self.conn().call("UnregisterBroker", 0, broker_id=77).error, 0)


class EligibleLeaders(Case):
    own = True

    def update(self, level, kind):
        answer = self.c.call("UpdateFeatures", 2, updates=[
            {"feature": "eligible.leader.replicas.version", "level": level, "upgrade_type": kind}])
        self.assertEqual((answer.error, answer.message), (0, None))

    def level(self):
        answer = self.c.call("ApiVersions", 4, software_name="e2e", software_version="1")
        return {f.name: f.max for f in answer.finalized_features}.get("eligible.leader.replicas.version", 0)

    def min_isr(self, broker, op, value):
        answer = self.c.call("IncrementalAlterConfigs", 1, resources=[
            {"type": 4, "name": broker, "configs": [{"name": "min.insync.replicas", "op": op, "value": value}]}])
        return answer.responses[0].error

    def test_off_and_on(self):
        """With them min.insync.replicas is a setting of the cluster; without, of brokers too."""
        self.c = self.conn()
        node = str(self.c.call("Metadata", 12, topics=[]).brokers[0].node_id)
        self.assertEqual(self.level(), 1)
        self.assertEqual(self.min_isr(node, 0, "1"), 40)
        self.update(0, 2)
        self.eventually(lambda: self.assertEqual(self.level(), 0))
        self.assertEqual(self.min_isr(node, 0, "1"), 0)
        self.assertEqual(self.min_isr("", 1, None), 0)
        self.update(1, 1)
        self.eventually(lambda: self.assertEqual(self.level(), 1))
        self.assertEqual(self.min_isr(node, 0, "1"), 40)
        self.assertEqual(self.min_isr("", 1, None), 40)
        self.broker.crash()
        self.c = self.conn()
        self.assertEqual(self.level(), 1)
        self.assertEqual(self.min_isr("", 1, None), 40)
