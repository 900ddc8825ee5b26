# SPDX-License-Identifier: Apache-2.0
"""Offsets of groups of the consumer protocol: who may commit and fetch them, with which epoch."""
from lib.broker import target
from lib.consumer import (
    STALE_EPOCH, NON_EMPTY, NO_GROUP, SUBSCRIBED, OK, UNKNOWN_MEMBER, UNSUPPORTED_VERSION, Consumer,
    ConsumerCase)
from test_groups import commit, fetch


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
