# SPDX-License-Identifier: Apache-2.0
"""A member of a group of the consumer protocol (KIP-848), beat by beat, and what tests of such groups share."""
import uuid

from .case import CoordinatorCase

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


class ConsumerCase(CoordinatorCase):
    common = SETTINGS

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
