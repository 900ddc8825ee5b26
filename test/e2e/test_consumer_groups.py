# SPDX-License-Identifier: Apache-2.0
"""Groups of the consumer protocol (KIP-848), heartbeat by heartbeat: who is refused, epochs, static members.
`run -t kafka consumer_groups` proves the expectations; the original needs the settings in `lib/consumer.py`."""
import time
import uuid

from lib.case import moldau_only
from lib.consumer import (
    FENCED_EPOCH, UNRELEASED, UNSUPPORTED_ASSIGNOR, INVALID_REGEX, NO_GROUP, MAX_SIZE, FENCED_INSTANCE, LEAVE,
    LEAVE_STATIC, OK, INVALID_GROUP, UNKNOWN_MEMBER, UNSUPPORTED_VERSION, INVALID_REQUEST, Consumer,
    ConsumerCase)
from lib.wire import UUID_ZERO
from test_groups import commit, fetch


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
