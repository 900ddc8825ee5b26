# SPDX-License-Identifier: Apache-2.0
"""Offsets in transactions, from everybody who may and may not commit them: fenced producers, members of the past, of
other protocols, of nobody; and what OffsetFetch says meanwhile. The answers of the original are in txn_offsets.json;
where ours are others they stand there too: Kafka does not look at the transactional id of version 5 while the
transaction is open in the group's partition, we do. `run -t kafka` with KAFKA_OWN=1 compares it with them, and with
TXN_OFFSETS=FILE in the environment writes what was said to that file."""
import json
import os
import time
import unittest
import uuid

from lib.batch import batch
from lib.broker import target
from lib.consumer import Consumer
import test_transactions as coordinator
from test_groups import Member, subscription

EXPECTED = os.path.join(os.path.dirname(os.path.realpath(__file__)), "txn_offsets.json")
BUSY = (14, 15, 16, coordinator.CONCURRENT)
VERSIONS = range(6)


class Told:
    """The answers of one place, by what was asked."""

    def __init__(self, case, group):
        self.case, self.group, self.said, self.offset = case, group, {}, 0
        case.c.wait_coordinators()

    def producer(self, name):
        """A transactional id with an open transaction that may commit offsets of the group."""
        tid = f"{self.group}-{name}"
        p = self.case.init(id=tid)
        self.enrol(tid, p)
        return tid, p

    def enrol(self, tid, p):
        answer = self.case.retry(lambda: self.case.c.call(
            "AddOffsetsToTxn", 3, transactional_id=tid, producer_id=p[0], producer_epoch=p[1], group_id=self.group),
            BUSY)
        self.case.assertEqual(answer.error, 0)

    def send(self, tid, p, version, group=None, **values):
        self.offset += 1
        return self.case.c.call("TxnOffsetCommit", version, transactional_id=tid,
                                group_id=self.group if group is None else group, producer_id=p[0], producer_epoch=p[1],
                                topics=[{"name": self.case.shared_topic, "partitions": [
                                    {"index": 0, "offset": self.offset}]}], **values).topics[0].partitions[0]

    def commit(self, what, tid, p, versions=VERSIONS, **values):
        """Of every version; those with members are asked only where there is something to say of them."""
        if "member_id" in values or "generation_id" in values or "group_instance_id" in values:
            versions = [v for v in versions if v >= 3]
        self.said[what] = [self.case.retry(lambda v=v: self.send(tid, p, v, **values), BUSY).error for v in versions]

    def members(self, what, tid, p, **members):
        """`members`: name = (generation, member, instance)."""
        for name, (generation, member, instance) in members.items():
            self.commit(f"{what}, {name}", tid, p, generation_id=generation, member_id=member,
                        group_instance_id=instance)

    def fetch(self, what, stable=True, **group):
        for version in (8, 9):
            values = group if version >= 9 else {}
            one = self.case.c.call("OffsetFetch", version, require_stable=stable, groups=[
                {"group": self.group, "topics": [{"name": self.case.shared_topic, "partitions": [0, 1]}],
                 **values}]).groups[0]
            self.said[f"{what}, version {version}"] = [one.error] + [
                [p.error, p.offset >= 0] for t in one.topics for p in t.partitions]


class Places(coordinator.Txn):
    own = is_fair = True
    overrides = {"group.initial.rebalance.delay.ms": 0, "offsets.topic.num.partitions": 3,
                 "transaction.state.log.num.partitions": 3, "group.consumer.assignment.interval.ms": 0}
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.shared_topic = self.topic(self.c, 2)

    def judge(self, told):
        name = self._testMethodName
        if "TXN_OFFSETS" in os.environ:
            path = os.environ["TXN_OFFSETS"]
            said = json.load(open(path, encoding="utf-8")) if os.path.exists(path) else {}
            said[name] = told.said
            with open(path, "w", encoding="utf-8") as f:
                json.dump(said, f, indent=0)
        with open(EXPECTED, encoding="utf-8") as f:
            expected = json.load(f)
        both = expected["kafka"].get(name, {})
        self.assertEqual(told.said, both | (expected["moldau"].get(name, {}) if target() == "moldau" else {}))

    def test_producers(self):
        t = Told(self, self.name())
        tid, p = t.producer("a")
        t.commit("enrolled", tid, p)
        t.commit("epoch before", tid, (p[0], p[1] - 1 if p[1] else 0))
        t.commit("epoch after", tid, (p[0], p[1] + 1))
        t.commit("epoch -1", tid, (p[0], -1))
        t.commit("another producer id", tid, (p[0] + 1000, p[1]))
        t.commit("nobody's id", "nobody-" + tid, p)
        t.commit("no id", "", p)
        t.commit("no group", tid, p, group="")
        self.init(id=tid)
        t.commit("fenced", tid, p)
        other, q = t.producer("b")
        self.assertEqual(self.end(q, True, id=other).error, 0)
        self.eventually(lambda: self.assertEqual(self.describe(other).state, "CompleteCommit"))
        t.commit("after the end", other, q, versions=range(5))
        lone = f"{t.group}-c"
        r = self.init(id=lone)
        t.commit("not enrolled", lone, r, versions=range(5))
        t.commit("not enrolled, version 5", lone, r, versions=(5,))
        answer = self.retry(lambda: self.end(r, True, 5, id=lone))
        self.assertEqual(answer.error, 0)
        self.eventually(lambda: self.assertEqual(self.describe(lone).state, "CompleteCommit"))
        t.commit("after the end in version 5", lone, r)
        self.judge(t)

    def test_nobodys_group(self):
        t = Told(self, self.name())
        tid, p = t.producer("a")
        t.fetch("nothing yet")
        t.members("new group", tid, p, anybody=(-1, "", None), generation=(0, "", None), one=(1, "m", None),
                  member=(-1, "m", None), instance=(-1, "", "i"), all=(1, "m", "i"))
        t.fetch("open")
        t.fetch("open, unstable", stable=False)
        t.fetch("open, of a member", member="m", epoch=1)
        self.assertEqual(self.end(p, True, id=tid).error, 0)
        self.eventually(lambda: self.assertEqual(self.describe(tid).state, "CompleteCommit"))
        self.settle(t)
        t.fetch("committed")
        t.enrol(tid, p)
        t.members("empty group", tid, p, anybody=(-1, "", None), generation=(0, "", None), one=(1, "m", None),
                  member=(-1, "m", None), instance=(-1, "", "i"), all=(1, "m", "i"))
        t.fetch("open again")
        t.fetch("open again, of a member", member="m", epoch=1)
        self.judge(t)

    def settle(self, t):
        def stable():
            t.said.pop("probe, version 8", None)
            t.fetch("probe")
            self.assertEqual(t.said["probe, version 8"][1][0], 0)
        self.eventually(stable)
        for version in (8, 9):
            t.said.pop(f"probe, version {version}")

    def test_a_classic_group(self):
        t = Told(self, self.name())
        m = Member(self, t.group, protocols={"range": subscription(self.shared_topic)}, instance=None).known()
        m.send_join()
        self.assertEqual(m.recv_join().error, 0)
        tid, p = t.producer("a")
        g = m.generation

        def all_of(what):
            t.members(what, tid, p, it=(g, m.id, None), before=(g - 1, m.id, None), after=(g + 1, m.id, None),
                      nobody=(g, "nobody", None), nameless=(g, "", None), guest=(-1, "", None),
                      ageless=(-1, m.id, None), instance=(g, m.id, "i"))
        all_of("waiting for the assignment")
        self.assertEqual(m.sync([(m.id, b"x")]).error, 0)
        all_of("stable")
        t.fetch("stable")
        t.fetch("stable, of the member", member=m.id, epoch=g)
        second = Member(self, t.group, protocols={"range": subscription(self.shared_topic)}).known()
        second.send_join()
        self.eventually(lambda: self.assertEqual(m.heartbeat(), 27))
        all_of("preparing")
        m.send_join()
        self.assertEqual((m.recv_join().error, second.recv_join().error), (0, 0))
        all_of("next generation")
        self.assertEqual((m.leave(), second.leave()), (0, 0))
        all_of("left")
        self.judge(t)

    def test_a_static_member(self):
        t = Told(self, self.name())
        m = Member(self, t.group, protocols={"range": subscription(self.shared_topic)}, instance="i")
        self.assertEqual(m.join().error, 0)
        self.assertEqual(m.sync([(m.id, b"x")]).error, 0)
        tid, p = t.producer("a")
        g, old = m.generation, m.id
        t.members("stable", tid, p, it=(g, m.id, "i"), dynamic=(g, m.id, None), other=(g, m.id, "j"),
                  before=(g - 1, m.id, "i"), nobody=(g, "nobody", "i"), nameless=(g, "", "i"), guest=(-1, "", None))
        back = Member(self, t.group, protocols={"range": subscription(self.shared_topic)}, instance="i")
        self.assertEqual(back.join().error, 0)
        t.members("replaced", tid, p, old=(g, old, "i"), old_dynamic=(g, old, None),
                  new=(back.generation, back.id, "i"))
        self.judge(t)

    def test_a_consumer_group(self):
        t = Told(self, self.name())
        a = Consumer(self, t.group, topics=[self.shared_topic], member=str(uuid.uuid4())).join()
        end = time.monotonic() + 10
        while a.n() < 2 and time.monotonic() < end:
            a.beat()
        tid, p = t.producer("a")

        def all_of(what):
            e = a.epoch
            t.members(what, tid, p, it=(e, a.id, None), before=(e - 1, a.id, None), after=(e + 1, a.id, None),
                      nobody=(e, "nobody", None), nameless=(e, "", None), guest=(-1, "", None),
                      ageless=(-1, a.id, None), leaving=(-2, a.id, None), instance=(e, a.id, "i"))
            t.fetch(f"{what}, nobody")
            t.fetch(f"{what}, it", member=a.id, epoch=e)
            t.fetch(f"{what}, before", member=a.id, epoch=e - 1)
            t.fetch(f"{what}, after", member=a.id, epoch=e + 1)
            t.fetch(f"{what}, another", member="nobody", epoch=e)
            t.fetch(f"{what}, ageless", member=a.id, epoch=-1)
        all_of("alone")
        b = Consumer(self, t.group, topics=[self.shared_topic], member=str(uuid.uuid4())).join()
        end = time.monotonic() + 10
        while (a.n(), b.n()) != (1, 1) and time.monotonic() < end:
            a.beat()
            b.beat()
        self.assertEqual((a.n(), b.n()), (1, 1))
        all_of("two of them")
        a.leave()
        b.leave()
        all_of("left")
        self.judge(t)

    def test_levels(self):
        """Versions of requests that the cluster's version of transactions does not know."""
        t = Told(self, self.name())
        self.addCleanup(self.level, 2)
        for level in (1, 0):
            self.level(level)
            for version in VERSIONS:
                tid = f"{t.group}-{level}-{version}"
                p = self.init(id=tid)
                t.commit(f"level {level}, not enrolled, version {version}", tid, p, versions=(version,))
                if level or version < 5:  # Kafka 4.3 has such an id wait for ever
                    t.enrol(tid, p)
                    t.commit(f"level {level}, version {version}", tid, p, versions=(version,))
            for version in (10, 11, 12):
                t.said[f"level {level}, Produce {version}"] = self.writes(f"{t.group}-{level}-w{version}", version)
        self.judge(t)

    def writes(self, tid, version):
        """Errors: not enrolled; enrolled and sent, as one that does not enrol by itself, and as asked for."""
        p, out = self.init(id=tid), []
        for sequence, asked in enumerate((version, 11, version)):
            if sequence == 1:
                self.enrolled(p, (self.shared_topic, 1), id=tid)
            data = batch([b"x"], producer_id=p[0], producer_epoch=p[1], attributes=0x10, sequence=max(sequence - 1, 0))
            out.append(self.retry(lambda v=asked, d=data: self.c.call(
                "Produce", v, acks=-1, timeout_ms=5000, transactional_id=tid, topics=[
                    {"name": self.shared_topic, "partitions": [{"index": 1, "records": d}]}]).topics[0].partitions[0],
                BUSY).error)
            if version == 12:
                break  # enrols where it can, and where it cannot Kafka 4.3 has the id wait for ever
        return out

    def level(self, level):
        self.assertEqual(self.c.call("UpdateFeatures", 1, updates=[
            {"feature": "transaction.version", "level": level, "upgrade_type": 2 if level < 2 else 1}]).error, 0)
        self.eventually(lambda: self.assertEqual({f.name: f.max for f in self.c.call(
            "ApiVersions", 4, software_name="e2e", software_version="1").finalized_features}.get(
                "transaction.version", 0), level))


if __name__ == "__main__":
    unittest.main()
