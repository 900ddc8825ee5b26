# SPDX-License-Identifier: Apache-2.0
"""Groups of the consumer protocol (KIP-848), heartbeat by heartbeat. `run -t kafka consumer_groups` proves the
expectations; the original needs the settings below."""
import struct
import time
import uuid

from lib import broker as brokers
from lib.broker import Moldau, target
from lib.case import Case, moldau_only
from lib.wire import UUID_ZERO
from test_groups import Member, commit, fetch

SETTINGS = {"offsets.topic.num.partitions": 5, "group.initial.rebalance.delay.ms": 150,
            "group.min.session.timeout.ms": 100, "group.consumer.min.session.timeout.ms": 200,
            "group.consumer.min.heartbeat.interval.ms": 100, "group.consumer.assignment.interval.ms": 0,
            "group.consumer.max.size": 4}
OK, INVALID_GROUP, UNKNOWN_MEMBER, UNSUPPORTED_VERSION, INVALID_REQUEST = 0, 24, 25, 35, 42
ILLEGAL_GENERATION, REBALANCE, NON_EMPTY, NO_GROUP, MAX_SIZE, FENCED_INSTANCE, SUBSCRIBED = 22, 27, 68, 69, 81, 82, 86
FENCED_EPOCH, UNRELEASED, UNSUPPORTED_ASSIGNOR, STALE_EPOCH, INVALID_REGEX = 110, 111, 112, 113, 128
GROUP = 32
JOIN, LEAVE, LEAVE_STATIC = 0, -1, -2


class Consumer:
    """One member. `has` is what it was told to own; it tells the same back with every `beat`."""

    def __init__(self, case, group=None, topics=None, regex=None, instance=None, assignor=None, rebalance_ms=30000,
                 version=1, rack=None, member=None):
        self.case, self.group, self.version = case, group or case.g, version
        self.asks = {"topics": topics, "instance": instance, "assignor": assignor, "rebalance_ms": rebalance_ms,
                     "rack": rack}
        if version > 0:
            self.asks["regex"] = regex
        self.conn = case.conn()
        self.id, self.epoch, self.has, self.answer = member or str(uuid.uuid4()), JOIN, {}, None

    def send(self, **values):
        values = {"group": self.group, "member": self.id, "epoch": self.epoch, "instance": self.asks["instance"],
                  **values}
        self.answer = self.conn.call("ConsumerGroupHeartbeat", self.version, **values)
        return self.answer

    def take(self, answer):
        if answer.error == OK:
            self.id, self.epoch = answer.member, answer.epoch
            if answer.assignment is not None:
                self.has = {t.topic_id: sorted(t.partitions) for t in answer.assignment.topics}
        return answer

    def owned(self):
        return [{"topic_id": t, "partitions": p} for t, p in self.has.items()]

    def join(self, **values):
        self.epoch = JOIN
        answer = self.take(self.send(**{**self.asks, "owned": [], **values}))
        self.case.assertEqual((answer.error, answer.message), (OK, None))
        return self

    def beat(self, **values):
        answer = self.take(self.send(**{"owned": self.owned(), **values}))
        self.case.assertEqual((answer.error, answer.message), (OK, None))
        return self

    def leave(self, epoch=LEAVE):
        answer = self.send(epoch=epoch)
        self.case.assertEqual((answer.error, answer.epoch), (OK, epoch))

    def n(self, topic_id=None):
        return sum(len(p) for t, p in self.has.items() if topic_id in (None, t))


class ConsumerCase(Case):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.broker = Moldau({**SETTINGS, **cls.settings}).start() if target() == "moldau" else brokers.shared()

    @classmethod
    def tearDownClass(cls):
        if target() == "moldau":
            cls.broker.close()

    def setUp(self):
        self.c = self.conn()
        self.g = self.name()
        self.c.wait_coordinators()

    def describe(self, version=1, group=None):
        return self.c.call("ConsumerGroupDescribe", version, groups=[self.g if group is None else group]).groups[0]

    def state(self):
        return self.describe().state

    def configure(self, **configs):
        answer = self.c.call("IncrementalAlterConfigs", 1, resources=[{"type": GROUP, "name": self.g, "configs": [
            {"name": k.replace("_", "."), "op": 0, "value": str(v)} for k, v in configs.items()]}]).responses[0]
        self.assertEqual((answer.error, answer.message), (OK, None))

    def settle(self, *members, seconds=20):
        """Beats of all until each has what it shall have."""
        def settled():
            for member in members:
                member.beat()
            self.assertEqual(self.state(), "Stable")
        self.eventually(settled, seconds)
        for member in members:
            member.beat()
        seen = [(t, p) for m in members for t, ps in m.has.items() for p in ps]
        self.assertEqual(len(seen), len(set(seen)))

    def refused(self, conn, values, error, message, version=1):
        answer = conn.call("ConsumerGroupHeartbeat", version, **values)
        self.assertEqual((answer.error, answer.message), (error, message), values)
        self.assertEqual((answer.epoch, answer.interval_ms, answer.assignment, answer.member), (0, 0, None, None))


class Refusals(ConsumerCase):
    def test_requests_that_ask_nonsense(self):
        join = {"group": self.g, "member": "m", "epoch": 0, "rebalance_ms": 1000, "topics": ["t"], "owned": []}
        stay = {"group": self.g, "member": "m", "epoch": 1}
        for version, values, message in (
                (1, {**join, "group": ""}, "GroupId can't be empty."),
                (1, {**join, "group": "  "}, "GroupId can't be empty."),
                (1, {**join, "instance": ""}, "InstanceId can't be empty."),
                (1, {**join, "rack": " "}, "RackId can't be empty."),
                (1, {**join, "member": ""}, "MemberId can't be empty."),
                (1, {**join, "rebalance_ms": -1}, "RebalanceTimeoutMs must be provided in first request."),
                (1, {**join, "owned": None}, "TopicPartitions must be empty when (re-)joining."),
                (1, {**join, "owned": [{"topic_id": UUID_ZERO, "partitions": [0]}]},
                 "TopicPartitions must be empty when (re-)joining."),
                (0, {**join, "topics": None}, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null "
                                              "when (re-)joining."),
                (1, {**join, "topics": None}, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null "
                                              "when (re-)joining."),
                (1, {**stay, "member": ""}, "MemberId can't be empty."),
                (0, {**stay, "member": ""}, "MemberId can't be empty."),
                (1, {**stay, "epoch": -1, "member": ""}, "MemberId can't be empty."),
                (1, {**stay, "epoch": -2}, "InstanceId can't be null."),
                (1, {**stay, "epoch": -3}, "MemberEpoch is invalid.")):
            with self.subTest(message=message, values=values):
                self.refused(self.c, values, INVALID_REQUEST, message, version)
        self.refused(self.c, {**join, "assignor": "sticky"}, UNSUPPORTED_ASSIGNOR,
                     "ServerAssignor sticky is not supported. Supported assignors: uniform, range.")

    def test_groups_and_members_that_are_not_there(self):
        self.refused(self.c, {"group": self.g, "member": "m", "epoch": 1}, NO_GROUP,
                     f"Consumer group {self.g} not found.")
        self.refused(self.c, {"group": self.g, "member": "m", "epoch": -1}, NO_GROUP, f"Group {self.g} not found.")
        Consumer(self, topics=["t"]).join()
        self.refused(self.c, {"group": self.g, "member": "m", "epoch": 1}, UNKNOWN_MEMBER,
                     f"Member m is not a member of group {self.g}.")
        self.refused(self.c, {"group": self.g, "member": "m", "epoch": -1}, UNKNOWN_MEMBER,
                     f"Member m is not a member of group {self.g}.")
        self.refused(self.c, {"group": self.g, "member": "m", "epoch": 1, "instance": "i"}, UNKNOWN_MEMBER,
                     "Instance id i is unknown.")
        self.refused(self.c, {"group": self.g, "member": "m", "epoch": -2, "instance": "i"}, UNKNOWN_MEMBER,
                     "Instance id i is unknown.")

    def test_a_full_group(self):
        for _ in range(4):
            Consumer(self, topics=["t"]).join()
        late = Consumer(self, topics=["t"])
        answer = late.send(**late.asks, owned=[])
        self.assertEqual((answer.error, answer.message), (
            MAX_SIZE, "The consumer group has reached its maximum capacity of 4 members."))

    def test_expressions_that_re2_does_not_know(self):
        for regex in ("(?=a)", "(a)\\1", "[", "(?<!b)c", "a{1001}", "*", "(?P<n", "\\", "(", "a**"):
            with self.subTest(regex=regex):
                member = Consumer(self, regex=regex)
                answer = member.send(**member.asks, owned=[])
                self.assertEqual(answer.error, INVALID_REGEX)
                start = f"SubscribedTopicRegex `{regex}` is not a valid regular expression: "
                self.assertEqual(answer.message[:len(start)], start)
        self.assertEqual(self.describe().error, NO_GROUP)

    def test_words_about_expressions(self):
        for regex, why in (("(?=a)", "invalid or unsupported Perl syntax."), ("[", "missing closing ]."),
                           ("(", "missing closing )."), ("a)", "regexp/syntax: internal error."),
                           ("*", "missing argument to repetition operator."),
                           ("a**", "invalid nested repetition operator."),
                           ("a{1001}", "invalid repeat count."), ("\\", "trailing backslash at end of expression."),
                           ("[b-a]", "invalid character class range."), ("\\1", "invalid escape sequence.")):
            with self.subTest(regex=regex):
                member = Consumer(self, regex=regex)
                answer = member.send(**member.asks, owned=[])
                self.assertEqual((answer.error, answer.message), (
                    INVALID_REGEX, f"SubscribedTopicRegex `{regex}` is not a valid regular expression: {why}"))

    def test_the_group_of_the_other_protocol(self):
        self.assertEqual(commit(self.c, self.topic(self.c), {0: 1}, group=self.g), [OK])
        answer = self.describe()
        self.assertEqual((answer.error, answer.message), (NO_GROUP, f"Group {self.g} is not a consumer group."))
        answer = self.describe(group="nobody")
        self.assertEqual((answer.error, answer.message), (NO_GROUP, "Group nobody not found."))
        answer = self.describe(group="")
        self.assertEqual((answer.error, answer.message), (INVALID_GROUP, None))
        # The first member of the new protocol takes an empty classic group over.
        Consumer(self, topics=["t"]).join()
        self.assertEqual(self.describe().error, OK)


class Epochs(ConsumerCase):
    def setUp(self):
        super().setUp()
        self.t = self.topic(self.c, 6)
        self.tid = self.c.topic_id(self.t)

    def test_one_member(self):
        member = Consumer(self, topics=[self.t]).join()
        self.assertEqual(member.has, {self.tid: [0, 1, 2, 3, 4, 5]})
        self.assertEqual((member.epoch, member.answer.interval_ms), (2, 5000))
        member.beat()
        self.assertIsNone(member.answer.assignment)
        member.send(**member.asks, owned=member.owned())
        self.assertEqual(member.take(member.answer).assignment.topics[0].partitions, [0, 1, 2, 3, 4, 5])
        member.leave()
        self.assertEqual(self.state(), "Empty")

    def test_version_0_names_members(self):
        member = Consumer(self, topics=[self.t], version=0)
        member.id = ""
        member.join()
        self.assertEqual(len(member.id), 22)
        member.beat()

    def test_second_member_waits_for_what_the_first_gives_back(self):
        a = Consumer(self, topics=[self.t]).join()
        b = Consumer(self, topics=[self.t]).join()
        self.assertEqual((b.epoch, b.has, self.state()), (3, {}, "Reconciling"))
        before = a.has
        a.take(a.send())
        self.assertEqual((a.epoch, a.n()), (2, 3))
        self.assertEqual(b.beat().n(), 0)
        # While it says that it still has all, nothing moves.
        a.send(owned=[{"topic_id": self.tid, "partitions": before[self.tid]}])
        self.assertEqual((a.answer.error, a.answer.epoch, a.answer.assignment), (OK, 2, None))
        self.assertEqual(b.beat().n(), 0)
        self.assertEqual(a.beat().epoch, 3)
        self.assertEqual(b.beat().n(), 3)
        self.assertEqual(sorted(a.has[self.tid] + b.has[self.tid]), [0, 1, 2, 3, 4, 5])
        self.assertEqual(self.state(), "Stable")

    def test_epochs_that_were_lost(self):
        a = Consumer(self, topics=[self.t]).join()
        for said, which in ((3, "greater"), (1, "smaller")):
            answer = a.send(epoch=said)
            self.assertEqual((answer.error, answer.message), (
                FENCED_EPOCH, f"The consumer group member has a {which} member epoch ({said}) than the one known by "
                              "the group coordinator (2). The member must abandon all its partitions and rejoin."))
        other = self.topic(self.c, 1)
        a.beat(topics=[self.t, other])
        self.assertEqual(a.epoch, 3)
        # The answer that told the new epoch was lost: what was owned then is within what is assigned now.
        answer = a.send(epoch=2, owned=[{"topic_id": self.tid, "partitions": [0, 1, 2, 3, 4, 5]}])
        self.assertEqual((answer.error, answer.epoch), (OK, 3))
        self.assertEqual(a.send(epoch=2).error, FENCED_EPOCH)
        self.assertEqual(a.send(epoch=2, owned=[{"topic_id": uuid.uuid4(), "partitions": [0]}]).error, FENCED_EPOCH)

    def test_a_join_again_and_a_duplicate_of_it(self):
        a = Consumer(self, topics=[self.t]).join()
        first = a.has
        a.join()
        self.assertEqual((a.has, a.epoch), (first, 2))
        a.beat()
        self.assertEqual(self.describe().epoch, 2)

    def test_a_member_that_is_silent(self):
        self.configure(consumer_session_timeout_ms=2000, consumer_heartbeat_interval_ms=100)
        a = Consumer(self, topics=[self.t]).join()
        self.assertEqual(a.answer.interval_ms, 100)
        b = Consumer(self, topics=[self.t]).join()

        def alone():
            b.beat()
            self.assertEqual(b.n(), 6)
        self.eventually(alone)
        self.assertEqual(a.send().error, UNKNOWN_MEMBER)
        self.assertEqual([m.member for m in self.describe().members], [b.id])

    def test_a_member_that_gives_nothing_back(self):
        a = Consumer(self, topics=[self.t], rebalance_ms=400).join()
        b = Consumer(self, topics=[self.t]).join()
        a.send()

        def fenced():
            self.assertEqual(a.send(epoch=a.epoch).error, UNKNOWN_MEMBER)
        self.eventually(fenced)
        self.assertEqual(b.beat().n(), 6)

    def test_interval_of_assignments(self):
        self.configure(consumer_assignment_interval_ms=3000)
        began = time.monotonic()
        a = Consumer(self, topics=[self.t]).join()
        b = Consumer(self, topics=[self.t]).join()
        self.assertEqual((b.epoch, self.state()), (2, "Assigning"))
        self.settle(a, b)
        self.assertGreater(time.monotonic() - began, 2.9)
        self.assertEqual((a.n(), b.n()), (3, 3))

    def test_group_settings_are_live(self):
        a = Consumer(self, topics=[self.t]).join()
        self.assertEqual(a.answer.interval_ms, 5000)
        self.configure(consumer_heartbeat_interval_ms=7000)

        def told():
            self.assertEqual(a.beat().answer.interval_ms, 7000)
        self.eventually(told)

    def test_topics_that_come_change_and_go(self):
        later = self.name()
        a = Consumer(self, topics=[self.t, later]).join()
        self.assertEqual(a.n(), 6)
        self.c.create(later, 2)
        self.eventually(lambda: self.assertEqual(a.beat().n(), 8))
        self.assertEqual(self.c.call("CreatePartitions", 3, topics=[
            {"name": later, "count": 5, "assignments": None}], timeout_ms=5000).results[0].error, OK)
        self.eventually(lambda: self.assertEqual(a.beat().n(), 11))
        epoch = a.epoch
        self.c.delete(later)
        self.eventually(lambda: self.assertEqual(a.beat().n(), 6))
        self.eventually(lambda: self.assertGreater(a.beat().epoch, epoch))
        a.beat(topics=[later])
        self.assertEqual(a.n(), 0)
        self.settle(a)

    def test_a_crash_of_the_broker(self):
        a = Consumer(self, topics=[self.t], instance="i").join()
        b = Consumer(self, topics=[self.t]).join()
        self.settle(a, b)
        self.assertEqual(commit(self.c, self.t, {0: 7}, group=self.g, generation=a.epoch, member=a.id), [OK])
        before = self.describe()
        self.crash()
        self.c = a.conn = self.conn()
        b.conn = self.conn()
        self.c.wait_coordinators()
        after = self.describe()
        for answer in before, after:
            answer.members.sort(key=lambda m: m.member)
        self.assertEqual(before, after)
        a.beat()
        b.beat()
        self.assertIsNone(a.answer.assignment)
        self.assertEqual(fetch(self.c, self.g, {self.t: [0]})[self.t][0][0], 7)
        b.leave()
        self.settle(a)
        self.assertEqual(a.n(), 6)


class Static(ConsumerCase):
    def setUp(self):
        super().setUp()
        self.t = self.topic(self.c, 4)

    def test_an_instance_that_comes_back(self):
        a = Consumer(self, topics=[self.t], instance="a").join()
        b = Consumer(self, topics=[self.t], instance="b").join()
        self.settle(a, b)
        epoch = self.describe().epoch
        a.leave(LEAVE_STATIC)
        member = next(m for m in self.describe().members if m.instance == "a")
        self.assertEqual((member.epoch, sum(len(t.partitions) for t in member.assignment.topics)), (-2, 2))
        self.assertEqual(b.beat().n(), 2)
        again = Consumer(self, topics=[self.t], instance="a").join()
        self.assertEqual((again.has, again.epoch), (a.has, epoch))
        self.assertNotEqual(again.id, a.id)
        self.assertEqual(self.describe().epoch, epoch)
        self.assertEqual({m.member for m in self.describe().members}, {again.id, b.id})
        answer = a.send()
        self.assertEqual((answer.error, answer.message), (
            FENCED_INSTANCE, f"Static member {a.id} with instance id a was fenced by member {again.id}."))
        answer = a.send(epoch=LEAVE)
        self.assertEqual((answer.error, answer.message), (
            FENCED_INSTANCE, f"Static member {a.id} with instance id a was fenced by member {again.id}."))

    def test_an_instance_that_is_in_use(self):
        a = Consumer(self, topics=[self.t], instance="a").join()
        late = Consumer(self, topics=[self.t], instance="a")
        answer = late.send(**late.asks | {"owned": []})
        self.assertEqual((answer.error, answer.message), (
            UNRELEASED, f"Static member {late.id} with instance id a cannot join the group because the instance id "
                        f"is owned by {a.id} member."))
        a.leave(LEAVE)
        late.join()

    def test_an_instance_that_asks_for_something_else(self):
        other = self.topic(self.c, 1)
        a = Consumer(self, topics=[self.t], instance="a").join()
        a.leave(LEAVE_STATIC)
        again = Consumer(self, topics=[other], instance="a").join()
        self.assertEqual((again.epoch, again.has), (3, {self.c.topic_id(other): [0]}))

    def test_an_instance_that_stays_away(self):
        self.configure(consumer_session_timeout_ms=2000, consumer_heartbeat_interval_ms=100)
        a = Consumer(self, topics=[self.t], instance="a").join()
        a.leave(LEAVE_STATIC)
        self.eventually(lambda: self.assertEqual(self.state(), "Empty"))

    def test_removal_by_an_administrator(self):
        a = Consumer(self, topics=[self.t], instance="a").join()
        b = Consumer(self, topics=[self.t]).join()
        answer = self.c.call("LeaveGroup", 5, group=self.g, members=[
            {"member": "", "instance": "a"}, {"member": b.id}, {"member": "x"}, {"member": "", "instance": "x"},
            {"member": "other", "instance": "a"}])
        self.assertEqual(answer.error, OK)
        self.assertEqual([(m.member, m.instance, m.error) for m in answer.members], [
            ("", "a", OK), (b.id, None, OK), ("x", None, UNKNOWN_MEMBER), ("", "x", UNKNOWN_MEMBER),
            ("other", "a", FENCED_INSTANCE)])
        self.assertEqual(self.state(), "Empty")


class Assignors(ConsumerCase):
    def setUp(self):
        super().setUp()
        self.t, self.u = self.topic(self.c, 3), self.topic(self.c, 3)
        self.ids = self.c.topic_id(self.t), self.c.topic_id(self.u)

    def test_range_gives_the_same_numbers_of_all_topics(self):
        a = Consumer(self, topics=[self.t, self.u], assignor="range", member="a").join()
        self.assertEqual(self.describe().assignor, "range")
        b = Consumer(self, topics=[self.t, self.u], assignor="range", member="b").join()
        self.settle(a, b)
        self.assertEqual(a.has, {i: [0, 1] for i in self.ids})
        self.assertEqual(b.has, {i: [2] for i in self.ids})

    def test_uniform_gives_as_many_to_all(self):
        a = Consumer(self, topics=[self.t, self.u]).join()
        self.assertEqual(self.describe().assignor, "uniform")
        b = Consumer(self, topics=[self.t, self.u]).join()
        c = Consumer(self, topics=[self.t, self.u]).join()
        self.settle(a, b, c)
        self.assertEqual([m.n() for m in (a, b, c)], [2, 2, 2])

    def test_uniform_with_different_subscriptions(self):
        a = Consumer(self, topics=[self.t, self.u]).join()
        b = Consumer(self, topics=[self.t]).join()
        self.settle(a, b)
        self.assertEqual((a.n(self.ids[1]), b.n(self.ids[0]), a.n()), (3, 3, 3))

    def test_the_majority_chooses(self):
        members = []
        for assignor, expected in (("range", ("range",)), ("uniform", ("range", "uniform")), ("range", ("range",)),
                                   ("uniform", ("range", "uniform"))):
            members.append(Consumer(self, topics=[self.t], assignor=assignor).join())
            self.assertIn(self.describe().assignor, expected)
        members[0].beat(assignor="uniform")
        self.assertEqual(self.describe().assignor, "uniform")


class Expressions(ConsumerCase):
    def test_topics_by_expression(self):
        base = self.name()
        self.c.create(base + "-a", 1)
        self.c.create(base + "-b", 2)
        self.c.create("x" + base + "-a", 4)
        a = Consumer(self, regex=base + "-[ab]").join()
        self.settle(a)
        self.eventually(lambda: self.assertEqual(a.beat().n(), 3))
        member = self.describe().members[0]
        self.assertEqual((member.topics, member.regex), ([], base + "-[ab]"))
        a.beat(regex="x?" + base + "-a")
        self.eventually(lambda: self.assertEqual(a.beat().n(), 5))
        a.beat(regex="", topics=[base + "-a"])
        self.eventually(lambda: self.assertEqual(a.beat().n(), 1))

    def test_a_topic_that_comes_later(self):
        base = self.name()
        a = Consumer(self, regex=base + ".*").join()
        self.assertEqual(a.n(), 0)
        self.c.create(base + "-a", 2)
        self.eventually(lambda: self.assertEqual(a.beat().n(), 2), 30)

    def test_whole_names_match(self):
        base = self.name()
        self.c.create(base + "-abc", 1)
        a = Consumer(self, regex="abc").join()
        b = Consumer(self, regex=base + "-(?i)ABC|nothing").join()
        self.eventually(lambda: self.assertEqual((a.beat().n(), b.beat().n()), (0, 1)), 30)


class Offsets(ConsumerCase):
    def setUp(self):
        super().setUp()
        self.t = self.topic(self.c, 2)
        self.a = Consumer(self, topics=[self.t]).join()

    def commit(self, version=9, **values):
        named = {"topic_id": self.c.topic_id(self.t)} if version >= 10 else {}
        return commit(self.c, self.t, {0: 5}, version, **{
            "group": self.g, "member": self.a.id, "generation": self.a.epoch, **named, **values})[0]

    def test_commits_tell_the_epoch(self):
        for version in 9, 10:
            with self.subTest(version=version):
                self.assertEqual(self.commit(version), OK)
                self.assertEqual(self.commit(version, generation=self.a.epoch + 1), STALE_EPOCH)
                self.assertEqual(self.commit(version, generation=0), STALE_EPOCH)
                self.assertEqual(self.commit(version, generation=-1), STALE_EPOCH)
                self.assertEqual(self.commit(version, member="x"), UNKNOWN_MEMBER)
                self.assertEqual(self.commit(version, member="", generation=-1), UNKNOWN_MEMBER)
        self.assertEqual(self.commit(8), UNSUPPORTED_VERSION)

    def test_an_older_epoch_that_gave_the_partition(self):
        """A commit on its way while the member's epoch rises (KIP-1251)."""
        old = self.a.epoch
        other = self.topic(self.c, 1)
        self.a.beat(topics=[self.t, other])
        self.assertGreater(self.a.epoch, old)
        self.assertEqual(self.commit(generation=old), OK)
        self.assertEqual(commit(self.c, other, {0: 1}, group=self.g, member=self.a.id, generation=old), [STALE_EPOCH])
        self.assertEqual(self.commit(generation=old - 1), STALE_EPOCH)
        # One partition that is not covered refuses all.
        answer = self.c.call("OffsetCommit", 9, group=self.g, member=self.a.id, generation=old, topics=[
            {"name": t, "partitions": [{"index": 0, "offset": 9, "metadata": ""}]} for t in (self.t, other)])
        self.assertEqual([p.error for t in answer.topics for p in t.partitions], [STALE_EPOCH, STALE_EPOCH])
        self.assertEqual(fetch(self.c, self.g, {self.t: [0]})[self.t][0][0], 5)

    def test_reads_tell_the_epoch(self):
        self.assertEqual(self.commit(), OK)

        def asked(**values):
            answer = self.c.call("OffsetFetch", 9, groups=[{
                "group": self.g, "topics": [{"name": self.t, "partitions": [0]}], **values}]).groups[0]
            return answer.error or answer.topics[0].partitions[0].offset
        self.assertEqual(asked(), 5)
        self.assertEqual(asked(member=self.a.id, epoch=self.a.epoch), 5)
        self.assertEqual(asked(member=self.a.id, epoch=self.a.epoch + 1), STALE_EPOCH)
        self.assertEqual(asked(member=self.a.id, epoch=self.a.epoch - 1), STALE_EPOCH)
        self.assertEqual(asked(member="x", epoch=1), UNKNOWN_MEMBER)

    def test_an_empty_group_takes_commits_of_tools(self):
        self.a.leave()
        self.assertEqual(self.commit(member="", generation=-1), OK)
        self.assertEqual(self.commit(generation=self.a.epoch), UNKNOWN_MEMBER)

    def test_deletion(self):
        self.assertEqual(self.commit(), OK)
        ask = {"group": self.g, "topics": [{"name": self.t, "partitions": [{"index": 0}]}]}
        self.assertEqual(self.c.call("DeleteGroups", 2, groups=[self.g]).results[0].error, NON_EMPTY)
        answer = self.c.call("OffsetDelete", 0, **ask)
        self.assertEqual((answer.error, answer.topics[0].partitions[0].error), (OK, SUBSCRIBED))
        self.a.leave()
        answer = self.c.call("OffsetDelete", 0, **ask)
        self.assertEqual((answer.error, answer.topics[0].partitions[0].error), (OK, OK))
        self.assertEqual(fetch(self.c, self.g, {self.t: [0]})[self.t][0][0], -1)
        self.assertEqual(self.c.call("DeleteGroups", 2, groups=[self.g]).results[0].error, OK)
        self.assertEqual(self.describe().error, NO_GROUP)
        self.assertEqual(self.c.call("DeleteGroups", 2, groups=[self.g]).results[0].error, NO_GROUP)

    def test_lists(self):
        def listed(**values):
            return [(g.protocol_type, g.state, g.type) for g in self.c.call("ListGroups", 5, **values).groups
                    if g.group == self.g]
        self.assertEqual(listed(), [("consumer", "Stable", "consumer")])
        self.assertEqual(listed(types=["Consumer"], states=["stable"]), [("consumer", "Stable", "consumer")])
        self.assertEqual(listed(types=["classic"]), [])
        self.assertEqual(listed(states=["Empty"]), [])
        self.assertEqual(listed(states=["Reconciling"]), [])

    def test_descriptions(self):
        b = Consumer(self, topics=[self.t], instance="b", rack="r").join()
        for version in 0, 1:
            answer = self.describe(version)
            self.assertEqual((answer.error, answer.message, answer.state, answer.epoch, answer.assignment_epoch,
                              answer.assignor, answer.ops),
                             (OK, None, "Reconciling", 3, 3, "uniform", -2147483648))
            member = next(m for m in answer.members if m.member == b.id)
            self.assertEqual((member.instance, member.rack, member.epoch, member.client_id, member.topics,
                              member.assignment.topics), ("b", "r", 3, "e2e", [self.t], []))
            self.assertIn(member.regex, ("", None))
            self.assertRegex(member.client_host, "^/127.0.0.1$")
            self.assertEqual([(t.name, len(t.partitions)) for t in member.target.topics], [(self.t, 1)])
            self.assertEqual(member.get("type"), 1 if version else None)
        answer = self.c.call("ConsumerGroupDescribe", 1, groups=[self.g], include_ops=True).groups[0]
        self.assertEqual(answer.ops, 3400)

    def test_the_old_description(self):
        answer = self.c.call("DescribeGroups", 6, groups=[self.g]).groups[0]
        self.assertEqual((answer.error, answer.message, answer.state), (
            NO_GROUP, f"Group {self.g} is not a classic group.", "Dead"))
        answer = self.c.call("DescribeGroups", 5, groups=[self.g]).groups[0]
        self.assertEqual((answer.error, answer.state), (OK, "Dead"))


def subscribed(topics, owned=None, version=1):
    """What a classic consumer sends when it joins."""
    text = b"".join(struct.pack(">h", len(t)) + t.encode() for t in topics)
    out = struct.pack(">hi", version, len(topics)) + text + struct.pack(">i", -1)
    if version >= 1:
        owned = owned or {}
        out += struct.pack(">i", len(owned))
        for topic, partitions in owned.items():
            out += struct.pack(">h", len(topic)) + topic.encode() + struct.pack(">i", len(partitions)) + \
                b"".join(struct.pack(">i", p) for p in partitions)
    return out


def assigned(data):
    """{topic: partitions} of an assignment for a classic consumer."""
    version, topics_n = struct.unpack_from(">hi", data)
    at, out = 6, {}
    for _ in range(topics_n):
        length = struct.unpack_from(">h", data, at)[0]
        name = data[at + 2:at + 2 + length].decode()
        n = struct.unpack_from(">i", data, at + 2 + length)[0]
        at += 6 + length
        out[name] = sorted(struct.unpack_from(f">{n}i", data, at))
        at += 4 * n
    return out


def given(partitions):
    """The other way round: what a leader gives."""
    out = struct.pack(">hi", 1, len(partitions))
    for topic, numbers in partitions.items():
        out += struct.pack(">h", len(topic)) + topic.encode() + struct.pack(">i", len(numbers)) + \
            b"".join(struct.pack(">i", p) for p in numbers)
    return out + struct.pack(">i", -1)


class Guest(Member):
    """A classic consumer that may find itself in a group of either kind."""

    def __init__(self, case, topic, **values):
        super().__init__(case, case.g, **values)
        self.t, self.has = topic, {}
        self.ask()

    def ask(self):
        self.protocols = {"cooperative-sticky": subscribed([self.t], self.has)}

    def enter(self, plan=None):
        """Joins until it is in; leads when it is told to."""
        def entered():
            self.ask()
            answer = self.join()
            self.case.assertEqual(answer.error, OK)
            lead = [(m.member, given({self.t: plan})) for m in answer.members] if answer.leader == self.id else []
            answer = self.sync(lead)
            self.case.assertEqual(answer.error, OK)
            self.has = assigned(answer.assignment)
        self.case.eventually(entered)
        return self


class Migration(ConsumerCase):
    def setUp(self):
        super().setUp()
        self.t = self.topic(self.c, 4)
        self.id_of_t = self.c.topic_id(self.t)

    def together(self, guest, member, seconds=15):
        """Both do what clients do until each has what it shall have."""
        def settled():
            member.beat()
            error = guest.heartbeat()
            if error:
                self.assertIn(error, (REBALANCE,))
                guest.enter()
            self.assertEqual(error, OK)
            self.assertEqual(self.state(), "Stable")
            self.assertEqual(sorted(guest.has.get(self.t, []) + member.has.get(self.id_of_t, [])), [0, 1, 2, 3])
        self.eventually(settled, seconds)

    def mixed(self):
        guest = Guest(self, self.t).enter([0, 1, 2, 3])
        self.assertEqual(guest.has, {self.t: [0, 1, 2, 3]})
        member = Consumer(self, topics=[self.t]).join()
        return guest, member

    def test_upgrade(self):
        guest, member = self.mixed()
        self.assertEqual((member.epoch, member.has), (guest.generation + 1, {}))
        answer = self.describe()
        kinds = {m.member: (m.type, m.epoch, sum(len(t.partitions) for t in m.assignment.topics),
                            sum(len(t.partitions) for t in m.target.topics)) for m in answer.members}
        self.assertEqual(kinds, {guest.id: (0, guest.generation, 4, 2), member.id: (1, member.epoch, 0, 2)})
        self.assertEqual((answer.state, answer.epoch), ("Reconciling", member.epoch))
        self.assertEqual(guest.heartbeat(), REBALANCE)
        self.assertEqual(guest.sync().error, REBALANCE)
        self.assertEqual(guest.heartbeat(generation=guest.generation + 5), ILLEGAL_GENERATION)
        self.assertEqual(guest.heartbeat(member="x"), UNKNOWN_MEMBER)
        self.together(guest, member)
        self.assertEqual((len(guest.has[self.t]), member.n()), (2, 2))
        self.assertEqual(guest.joined.leader, "")
        self.assertEqual((guest.joined.protocol, guest.joined.members), ("cooperative-sticky", []))

    def test_commits_of_guests(self):
        guest, member = self.mixed()
        self.together(guest, member)
        self.assertEqual(guest.commit(self.t, 5), OK)
        self.assertEqual(guest.commit(self.t, 5, version=5), OK)
        self.assertEqual(guest.commit(self.t, 5, generation=guest.generation - 1), OK)  # when it got the partition
        self.assertEqual(guest.commit(self.t, 5, generation=guest.generation + 1), ILLEGAL_GENERATION)
        self.assertEqual(guest.commit(self.t, 5, generation=-1), ILLEGAL_GENERATION)
        self.assertEqual(guest.commit(self.t, 5, member="x"), UNKNOWN_MEMBER)

    def test_downgrade(self):
        guest, member = self.mixed()
        self.together(guest, member)
        self.assertEqual(guest.commit(self.t, 5), OK)
        member.leave()

        def classic():
            answer = self.c.call("DescribeGroups", 5, groups=[self.g]).groups[0]
            self.assertEqual((answer.error, answer.protocol, [m.member for m in answer.members], answer.type),
                             (OK, answer.protocol, [guest.id], "consumer"))
        self.eventually(classic)
        self.assertEqual(self.describe().error, NO_GROUP)
        guest.enter([0, 1, 2, 3])
        self.assertEqual(guest.has, {self.t: [0, 1, 2, 3]})
        self.assertEqual(fetch(self.c, self.g, {self.t: [0]})[self.t][0][0], 5)
        # And the other way again.
        member = Consumer(self, topics=[self.t]).join()
        self.together(guest, member)

    def test_a_second_guest(self):
        guest, member = self.mixed()
        self.together(guest, member)
        late = Guest(self, self.t)
        answer = late.join()
        self.assertEqual(answer.error, 79)
        self.assertEqual(len(answer.member), 22)
        late.enter()

        def settled():
            member.beat()
            for each in guest, late:
                if each.heartbeat() == REBALANCE:
                    each.enter()
            self.assertEqual(self.state(), "Stable")
            self.assertEqual(sorted(guest.has.get(self.t, []) + late.has.get(self.t, []) +
                                    member.has.get(self.id_of_t, [])), [0, 1, 2, 3])
        self.eventually(settled, 15)
        self.assertEqual(guest.leave(), OK)
        self.assertEqual(len(self.describe().members), 2)

    def test_guests_that_do_not_fit(self):
        guest, member = self.mixed()
        for values in ({"type": "connect"}, {"protocols": [{"name": "other", "metadata": subscribed([self.t])}]}):
            late = Guest(self, self.t)
            self.assertEqual(late.join(**values).error, 23, values)

    def test_groups_that_cannot_be_upgraded(self):
        other = Member(self, self.g, protocols={"x": b"opaque"}).known()
        other.join(type="connect", protocols=[{"name": "x", "metadata": b"opaque"}])
        self.assertEqual(other.sync([(other.id, b"y")], type="connect").error, OK)
        member = Consumer(self, topics=[self.t])
        self.refused(member.conn, {**member.asks, "group": self.g, "member": member.id, "epoch": 0, "owned": []},
                     NO_GROUP, f"Cannot upgrade classic group {self.g} to consumer group because the group does not "
                     "use the consumer embedded protocol.")

    def test_a_guest_that_is_silent(self):
        guest = Guest(self, self.t, session_ms=2000).enter([0, 1, 2, 3])
        member = Consumer(self, topics=[self.t]).join()
        self.eventually(lambda: self.assertEqual(member.beat().n(), 4))
        self.assertEqual(guest.heartbeat(), UNKNOWN_MEMBER)

    def test_an_empty_consumer_group_takes_classic_members(self):
        member = Consumer(self, topics=[self.t]).join()
        self.assertEqual(commit(self.c, self.t, {0: 7}, group=self.g, member=member.id, generation=member.epoch), [OK])
        member.leave()
        guest = Guest(self, self.t).enter([0, 1, 2, 3])
        self.assertEqual(guest.has, {self.t: [0, 1, 2, 3]})
        self.assertEqual(fetch(self.c, self.g, {self.t: [0]})[self.t][0][0], 7)
        self.assertEqual(self.c.call("DescribeGroups", 5, groups=[self.g]).groups[0].state, "Stable")

    def test_a_crash_in_between(self):
        guest, member = self.mixed()
        self.together(guest, member)
        before = self.describe()
        self.crash()
        self.c, guest.conn, member.conn = self.conn(), self.conn(), self.conn()
        self.c.wait_coordinators()
        after = self.describe()
        for answer in before, after:
            answer.members.sort(key=lambda m: m.member)
        self.assertEqual(before, after)
        self.assertEqual(guest.heartbeat(), OK)
        member.beat()
        self.assertEqual(guest.commit(self.t, 5), OK)


@moldau_only
class WithoutTheFeature(ConsumerCase):
    def test_group_version_0(self):
        answer = self.c.call("UpdateFeatures", 1, updates=[{"feature": "group.version", "level": 0,
                                                            "upgrade_type": 2}])
        self.assertEqual((answer.error, answer.message), (OK, None))
        member = Consumer(self, topics=["t"])

        def refused():
            answer = member.send(**member.asks, owned=[])
            self.assertEqual((answer.error, answer.epoch), (UNSUPPORTED_VERSION, 0))
        self.eventually(refused)
        self.assertEqual(self.describe().error, UNSUPPORTED_VERSION)
