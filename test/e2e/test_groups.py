# SPDX-License-Identifier: Apache-2.0
"""Classic groups and committed offsets, in every version, message by message. `run -t kafka groups` proves the
expectations; the original needs the settings below."""
import glob
import os
import select
import struct
import time
import unittest

from lib.case import CoordinatorCase, moldau_only
from lib.client import Conn
from lib.wire import UUID_ZERO

SETTINGS = {"group.initial.rebalance.delay.ms": 150, "offsets.topic.num.partitions": 5, "group.max.size": 5,
            "group.min.session.timeout.ms": 100}
OK, UNKNOWN_TOPIC, METADATA_TOO_LARGE, NOT_COORDINATOR = 0, 3, 12, 16
ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL, INVALID_GROUP, UNKNOWN_MEMBER, INVALID_SESSION = 22, 23, 24, 25, 26
REBALANCE, NON_EMPTY, NO_GROUP, MEMBER_ID_REQUIRED, MAX_SIZE, FENCED, SUBSCRIBED = 27, 68, 69, 79, 81, 82, 86
NO_TOPIC_ID = 100


def subscription(*topics):
    return struct.pack(">hi", 0, len(topics)) + \
        b"".join(struct.pack(">h", len(t)) + t.encode() for t in topics) + struct.pack(">i", -1)


class Member:
    """One member on a connection of its own."""

    def __init__(self, case, group, version=9, protocols=None, topics=("t",), instance=None, session_ms=10000,
                 rebalance_ms=10000, client_id="e2e"):
        self.case, self.group, self.version, self.instance = case, group, version, instance
        self.conn = case.conn(client_id=client_id)
        self.protocols = protocols or {"range": subscription(*topics)}
        self.id, self.generation, self.joined = "", -1, None
        self.session_ms, self.rebalance_ms = session_ms, rebalance_ms

    def send_join(self, **values):
        values = {"group": self.group, "session_ms": self.session_ms, "rebalance_ms": self.rebalance_ms,
                  "member": self.id, "instance": self.instance, "type": "consumer",
                  "protocols": [{"name": n, "metadata": m} for n, m in self.protocols.items()], **values}
        self.sent = self.conn.send("JoinGroup", self.version, **values)

    def recv_join(self):
        self.joined = self.conn.recv("JoinGroup", self.version, self.sent)
        self.id = self.joined.member
        self.generation = self.joined.generation
        return self.joined

    def join(self, **values):
        self.send_join(**values)
        return self.recv_join()

    def known(self):
        """Has an id, but has not joined yet."""
        if self.version >= 4 and self.instance is None:
            answer = self.join()
            self.case.assertEqual((answer.error, answer.generation), (MEMBER_ID_REQUIRED, -1))
        return self

    def send_sync(self, assignments=(), **values):
        values = {"group": self.group, "generation": self.generation, "member": self.id, "instance": self.instance,
                  "type": "consumer", "protocol": self.joined.protocol,
                  "assignments": [{"member": m, "assignment": a} for m, a in assignments], **values}
        self.sent = self.conn.send("SyncGroup", min(self.version, 5), **values)

    def recv_sync(self):
        return self.conn.recv("SyncGroup", min(self.version, 5), self.sent)

    def sync(self, assignments=(), **values):
        self.send_sync(assignments, **values)
        return self.recv_sync()

    def heartbeat(self, **values):
        values = {"group": self.group, "generation": self.generation, "member": self.id, "instance": self.instance,
                  **values}
        return self.conn.call("Heartbeat", min(self.version, 4), **values).error

    def leave(self):
        version = min(self.version, 5)
        if version < 3:
            return self.conn.call("LeaveGroup", version, group=self.group, member=self.id).error
        answer = self.conn.call("LeaveGroup", version, group=self.group,
                                members=[{"member": self.id, "instance": self.instance}])
        return answer.error or answer.members[0].error

    def commit(self, topic, offset, version=9, **values):
        values = {"group": self.group, "generation": self.generation, "member": self.id, "instance": self.instance,
                  **values}
        return commit(self.conn, topic, {0: offset}, version, **values)[0]


def join_all(*members):
    """All get into one generation, however long the first one's join was under way before the last one's."""
    for member in members:
        member.send_join()
    waiting, end = list(members), time.monotonic() + 20
    while waiting:
        ready = select.select([m.conn.sock for m in waiting], [], [], 0.2)[0]
        for member in [m for m in waiting if m.conn.sock in ready]:
            member.case.assertEqual(member.recv_join().error, OK)
            waiting.remove(member)
        if not ready:
            member.case.assertLess(time.monotonic(), end, "a join is not answered")
            # A first generation has begun without those that wait: they wait for its members.
            for member in [m for m in members if m not in waiting]:
                if member.heartbeat() == REBALANCE:
                    member.send_join()
                    waiting.append(member)
    members[0].case.assertEqual(len({m.generation for m in members}), 1)


def commit(conn, topic, offsets, version=9, metadata="", leader_epoch=-1, topic_id=None, **values):
    partitions = [{"index": i, "offset": o, "leader_epoch": leader_epoch, "metadata": metadata}
                  for i, o in offsets.items()]
    answer = conn.call("OffsetCommit", version, topics=[
        {"name": topic, "topic_id": topic_id or UUID_ZERO, "partitions": partitions}], **values)
    return [p.error for t in answer.topics for p in t.partitions]


def fetch(conn, group, topics, version=9, **values):
    """{topic: {index: (offset, leader epoch, metadata, error)}} or the error; `topics` None asks for all."""
    if version < 8:
        answer = conn.call("OffsetFetch", version, group=group, topics=None if topics is None else [
            {"name": t, "partitions": p} for t, p in topics.items()], **values)
        error = answer.error if version >= 2 else 0
    else:
        asked = None if topics is None else [
            {("topic_id" if version >= 10 else "name"): t, "partitions": p} for t, p in topics.items()]
        answer = conn.call("OffsetFetch", version, groups=[{"group": group, "topics": asked}], **values).groups[0]
        error = answer.error
    return error or {t.topic_id if version >= 10 else t.name: {
        p.index: (p.offset, p.leader_epoch if version >= 5 else None, p.metadata, p.error) for p in t.partitions}
        for t in answer.topics}


class GroupCase(CoordinatorCase):
    common = SETTINGS

    def stable(self, *members):
        """All members in one generation, everybody with its own name as assignment. The first is the leader."""
        join_all(*members)
        leader = next(m for m in members if m.id == m.joined.leader)
        others = [m for m in members if m is not leader]
        for member in others:
            member.send_sync()
        leader.send_sync([(m.id, b"of " + m.id.encode()) for m in members])
        for member in (*others, leader):
            answer = member.recv_sync()
            self.assertEqual((answer.error, answer.assignment), (OK, b"of " + member.id.encode()))
        return leader, others

    def one(self, **values):
        member = Member(self, self.g, **values).known()
        self.stable(member)
        return member

    def describe(self, version=5, group=None):
        return self.c.call("DescribeGroups", version, groups=[group or self.g]).groups[0]

    def state(self):
        return self.describe().state


class Offsets(GroupCase):
    def setUp(self):
        super().setUp()
        self.t = self.topic(self.c, 3)

    def test_commit_and_fetch_in_every_version(self):
        for version in range(2, 11):
            with self.subTest(commit=version):
                named = {"topic_id": self.c.topic_id(self.t)} if version >= 10 else {}
                self.assertEqual(commit(self.c, self.t, {0: 100 + version, 2: 7}, version, metadata=f"m{version}",
                                        leader_epoch=version, group=self.g, **named), [OK, OK])
                epoch = version if version >= 6 else -1
                for asked in range(1, 11):
                    topic = self.c.topic_id(self.t) if asked >= 10 else self.t
                    shown = None if asked < 5 else epoch
                    none = None if asked < 5 else -1
                    self.assertEqual(fetch(self.c, self.g, {topic: [0, 1, 2]}, asked), {topic: {
                        0: (100 + version, shown, f"m{version}", OK), 1: (-1, none, "", OK),
                        2: (7, shown, f"m{version}", OK)}}, f"fetch {asked}")

    def test_all_topics(self):
        other = self.topic(self.c, 1)
        commit(self.c, self.t, {0: 1, 1: 2}, group=self.g)
        commit(self.c, other, {0: 3}, group=self.g)
        for version in range(2, 11):
            with self.subTest(version=version):
                name = self.c.topic_id if version >= 10 else str
                self.assertEqual({t: {i: p[0] for i, p in parts.items()}
                                  for t, parts in fetch(self.c, self.g, None, version).items()},
                                 {name(self.t): {0: 1, 1: 2}, name(other): {0: 3}})

    def test_many_groups_in_one_request(self):
        groups = [f"{self.g}-{i}" for i in range(8)]
        for i, group in enumerate(groups):
            self.assertEqual(commit(self.c, self.t, {0: i}, group=group), [OK])
        answer = self.c.call("OffsetFetch", 8, groups=[
            {"group": g, "topics": [{"name": self.t, "partitions": [0]}]} for g in [*groups, "unheard-of"]])
        self.assertEqual({g.group: (g.error, g.topics[0].partitions[0].offset) for g in answer.groups},
                         {**{g: (OK, i) for i, g in enumerate(groups)}, "unheard-of": (OK, -1)})

    def test_unknown_topics_and_partitions(self):
        answer = self.c.call("OffsetCommit", 9, group=self.g, topics=[
            {"name": self.t, "partitions": [{"index": 0, "offset": 1, "metadata": ""},
                                            {"index": 9, "offset": 1, "metadata": ""},
                                            {"index": -1, "offset": 1, "metadata": None}]},
            {"name": "absent", "partitions": [{"index": 0, "offset": 1, "metadata": ""}]}])
        self.assertEqual({(t.name, p.index): p.error for t in answer.topics for p in t.partitions},
                         {(self.t, 0): OK, (self.t, 9): UNKNOWN_TOPIC, (self.t, -1): UNKNOWN_TOPIC,
                          ("absent", 0): UNKNOWN_TOPIC})
        self.assertEqual(len(answer.topics), 2)

    def test_unknown_ids(self):
        import uuid
        nobody = uuid.UUID(int=77 << 64)
        self.assertEqual(commit(self.c, None, {0: 5}, 10, topic_id=nobody, group=self.g), [NO_TOPIC_ID])
        self.assertEqual(fetch(self.c, self.g, {nobody: [0]}, 10), {nobody: {0: (-1, -1, "", NO_TOPIC_ID)}})

    def test_metadata_has_a_limit(self):
        self.assertEqual(commit(self.c, self.t, {0: 5}, metadata="x" * 4096, group=self.g), [OK])
        self.assertEqual(commit(self.c, self.t, {0: 6}, metadata="x" * 4097, group=self.g), [METADATA_TOO_LARGE])
        self.assertEqual(fetch(self.c, self.g, {self.t: [0]})[self.t][0], (5, -1, "x" * 4096, OK))
        self.assertEqual(commit(self.c, self.t, {0: 7}, metadata=None, group=self.g), [OK])
        self.assertEqual(fetch(self.c, self.g, {self.t: [0]})[self.t][0], (7, -1, "", OK))

    def test_who_may_commit(self):
        self.assertEqual(commit(self.c, self.t, {0: 1}, 8, group=self.g, generation=3), [ILLEGAL_GENERATION])
        self.assertEqual(commit(self.c, self.t, {0: 1}, 9, group=self.g, generation=3), [NO_GROUP])
        member = self.one(topics=(self.t,))
        self.assertEqual(member.commit(self.t, 5), OK)
        self.assertEqual(member.commit(self.t, 5, generation=member.generation + 1), ILLEGAL_GENERATION)
        self.assertEqual(member.commit(self.t, 5, member="somebody"), UNKNOWN_MEMBER)
        self.assertEqual(member.commit(self.t, 5, instance="i"), UNKNOWN_MEMBER)
        self.assertEqual(commit(self.c, self.t, {0: 1}, group=self.g), [UNKNOWN_MEMBER])
        member.join()
        self.assertEqual(member.commit(self.t, 6), REBALANCE)
        self.assertEqual(fetch(self.c, self.g, {self.t: [0]})[self.t][0][0], 5)
        member.leave()
        self.assertEqual(commit(self.c, self.t, {0: 9}, group=self.g), [OK])

    def test_commits_while_a_rebalance_is_prepared(self):
        member = self.one(topics=(self.t,))
        second = Member(self, self.g).known()
        second.send_join()
        self.eventually(lambda: self.assertEqual(member.heartbeat(), REBALANCE))
        self.assertEqual(member.commit(self.t, 5), OK)
        member.send_join()
        member.recv_join()
        second.recv_join()

    def test_delete(self):
        commit(self.c, self.t, {0: 1, 1: 2, 2: 3}, group=self.g)

        def delete(topic, *indexes, group=self.g):
            answer = self.c.call("OffsetDelete", 0, group=group, topics=[
                {"name": topic, "partitions": [{"index": i} for i in indexes]}])
            return answer.error or {p.index: p.error for t in answer.topics for p in t.partitions}

        self.assertEqual(delete(self.t, 0, 7), {0: OK, 7: UNKNOWN_TOPIC})
        self.assertEqual(delete("absent", 0), {0: UNKNOWN_TOPIC})
        self.assertEqual(delete(self.t, 0, group="unheard-of"), NO_GROUP)
        self.assertEqual({i: p[0] for i, p in fetch(self.c, self.g, {self.t: [0, 1, 2]})[self.t].items()},
                         {0: -1, 1: 2, 2: 3})
        other = self.topic(self.c)
        commit(self.c, other, {0: 4}, group=self.g)
        member = self.one(topics=(self.t,))
        self.assertEqual(delete(self.t, 1), {1: SUBSCRIBED})
        self.assertEqual(delete(other, 0), {0: OK})
        member.leave()
        self.assertEqual(delete(self.t, 1), {1: OK})

    def test_a_topic_that_is_deleted_takes_its_offsets(self):
        commit(self.c, self.t, {0: 1}, group=self.g)
        other = self.topic(self.c)
        commit(self.c, other, {0: 4}, group=self.g)
        self.c.delete(self.t)
        self.eventually(lambda: self.assertEqual(list(fetch(self.c, self.g, None)), [other]))

    def test_delete_groups(self):
        commit(self.c, self.t, {0: 1}, group=self.g)
        busy = Member(self, self.g + "-busy").known()
        self.stable(busy)
        for version in range(3):
            answer = self.c.call("DeleteGroups", version, groups=[self.g, busy.group, "unheard-of"])
            self.assertEqual({r.group: r.error for r in answer.results},
                             {self.g: NO_GROUP if version else OK, busy.group: NON_EMPTY, "unheard-of": NO_GROUP})
        self.assertEqual(fetch(self.c, self.g, {self.t: [0]})[self.t][0][0], -1)
        self.assertEqual(self.c.call("DeleteGroups", 2, groups=[]).results, [])
        self.assertEqual(commit(self.c, self.t, {0: 2}, group=self.g), [OK])


class Joining(GroupCase):
    def test_one_member_in_every_version(self):
        for version in range(10):
            with self.subTest(version=version):
                self.g = f"{self.name()}-{version}"
                member = Member(self, self.g, version=version,
                                protocols={"a": subscription("a"), "b": subscription("b")})
                if version >= 4:
                    answer = member.join()
                    self.assertEqual((answer.error, answer.leader, answer.members, answer.protocol or ""),
                                     (MEMBER_ID_REQUIRED, "", [], ""))
                    self.assertRegex(answer.member, "^e2e-[0-9a-f-]{36}$")
                answer = member.join()
                self.assertEqual((answer.error, answer.generation, answer.protocol, answer.leader),
                                 (OK, 1, "a", member.id))
                if version >= 7:
                    self.assertEqual(answer.type, "consumer")
                if version >= 9:
                    self.assertFalse(answer.skip_assignment)
                self.assertEqual([(m.member, m.metadata) for m in answer.members], [(member.id, subscription("a"))])
                answer = member.sync([(member.id, b"mine")], protocol="a")
                self.assertEqual((answer.error, answer.assignment), (OK, b"mine"))
                if version >= 5:
                    self.assertEqual((answer.type, answer.protocol), ("consumer", "a"))
                self.assertEqual(member.heartbeat(), OK)
                self.assertEqual(self.state(), "Stable")
                self.assertEqual(member.leave(), OK)
                self.assertEqual(self.state(), "Empty")
                self.assertEqual(member.heartbeat(), UNKNOWN_MEMBER)

    def test_two_members(self):
        first, second = (Member(self, self.g, client_id=i).known() for i in ("one", "two"))
        self.stable(first, second)
        self.assertEqual(first.generation, second.generation)
        leader = first if first.joined.leader == first.id else second
        follower = second if leader is first else first
        self.assertEqual({m.member for m in leader.joined.members}, {first.id, second.id})
        self.assertEqual(follower.joined.members, [])
        described = self.describe()
        self.assertEqual((described.state, described.type, described.protocol), ("Stable", "consumer", "range"))
        self.assertEqual({(m.member, m.client_id, m.client_host, m.metadata, m.assignment)
                          for m in described.members},
                         {(m.id, c, "/127.0.0.1", subscription("t"), b"of " + m.id.encode())
                          for m, c in ((first, "one"), (second, "two"))})

    def test_a_follower_that_joins_again_gets_its_generation(self):
        first, second = (Member(self, self.g).known() for _ in range(2))
        leader, (follower,) = self.stable(first, second)
        answer = follower.join()
        self.assertEqual((answer.error, answer.generation, answer.members), (OK, leader.generation, []))
        self.assertEqual(follower.sync().assignment, b"of " + follower.id.encode())
        self.assertEqual(leader.heartbeat(), OK)
        follower.protocols = {"range": b"other"}
        follower.send_join()
        self.eventually(lambda: self.assertEqual(leader.heartbeat(), REBALANCE))
        answer = leader.join()
        self.assertEqual(answer.generation, follower.generation + 1)
        self.assertEqual(follower.recv_join().generation, answer.generation)

    def test_the_leader_may_ask_for_a_rebalance(self):
        member = self.one()
        self.assertEqual(member.join().generation, 2)
        again = member.join()  # in CompletingRebalance the same generation is told again
        self.assertEqual((again.generation, len(again.members)), (2, 1))

    def test_a_member_that_leaves(self):
        first, second = (Member(self, self.g).known() for _ in range(2))
        self.stable(first, second)
        self.assertEqual(second.leave(), OK)
        self.assertEqual(first.heartbeat(), REBALANCE)
        before = first.generation
        self.assertEqual(first.join().generation, before + 1)
        self.assertEqual([m.member for m in first.joined.members], [first.id])

    def test_a_lost_member(self):
        first, second = Member(self, self.g).known(), Member(self, self.g, session_ms=2000).known()
        self.stable(first, second)
        second.conn.close()
        self.eventually(lambda: self.assertEqual(first.heartbeat(), REBALANCE))
        answer = first.join()
        self.assertEqual((answer.error, [m.member for m in answer.members]), (OK, [first.id]))

    def test_members_that_do_not_join_again_are_dropped(self):
        first, second = (Member(self, self.g, rebalance_ms=1500).known() for _ in range(2))
        leader, (follower,) = self.stable(first, second)
        leader.send_join()
        answer = leader.recv_join()
        self.assertEqual([m.member for m in answer.members], [leader.id])
        self.assertEqual(follower.heartbeat(), UNKNOWN_MEMBER)

    def test_a_leader_that_does_not_join_again_hands_over(self):
        first, second = (Member(self, self.g, rebalance_ms=1500).known() for _ in range(2))
        leader, (follower,) = self.stable(first, second)
        follower.protocols = {"range": b"other"}
        answer = follower.join()
        self.assertEqual((answer.leader, len(answer.members)), (follower.id, 1))
        self.assertEqual(leader.heartbeat(), UNKNOWN_MEMBER)

    def test_members_that_do_not_sync_are_dropped(self):
        first, second = (Member(self, self.g, rebalance_ms=1500).known() for _ in range(2))
        join_all(first, second)
        leader = first if first.joined.leader == first.id else second
        leader.send_sync([(leader.id, b"x")])
        self.assertEqual(leader.recv_sync().error, OK)
        self.eventually(lambda: self.assertEqual(leader.heartbeat(), REBALANCE))
        self.assertEqual(len(leader.join().members), 1)

    def test_who_waits_to_sync_is_told_of_a_new_rebalance(self):
        first, second = (Member(self, self.g).known() for _ in range(2))
        join_all(first, second)
        follower = second if first.joined.leader == first.id else first
        leader = first if follower is second else second
        follower.send_sync()
        third = Member(self, self.g).known()
        third.send_join()
        self.assertEqual(follower.recv_sync().error, REBALANCE)
        self.assertEqual(leader.sync([(leader.id, b"late")]).error, REBALANCE)
        for member in (leader, follower):
            member.send_join()
        before = leader.generation
        self.assertEqual({m.recv_join().generation for m in (leader, follower, third)}, {before + 1})

    def test_choice_of_protocol(self):
        first = Member(self, self.g, protocols={"a": b"1", "b": b"1", "c": b"1"}).known()
        second = Member(self, self.g, protocols={"b": b"2", "a": b"2", "d": b"2"}).known()
        third = Member(self, self.g, protocols={"b": b"3", "a": b"3"}).known()
        join_all(first, second, third)
        self.assertEqual({m.joined.protocol for m in (first, second, third)}, {"b"})
        other = Member(self, self.g, protocols={"c": b"4", "d": b"4"})
        answer = other.join()
        self.assertEqual((answer.error, answer.member), (INCONSISTENT_PROTOCOL, ""))
        self.assertEqual(other.join(type="connect", protocols=[{"name": "a", "metadata": b""}]).error,
                         INCONSISTENT_PROTOCOL)

    def test_refused_joins(self):
        member = Member(self, self.g)
        for values, error in (({"session_ms": 99}, INVALID_SESSION), ({"session_ms": 1800001}, INVALID_SESSION),
                              ({"group": ""}, INVALID_GROUP), ({"protocols": []}, INCONSISTENT_PROTOCOL),
                              ({"type": ""}, INCONSISTENT_PROTOCOL), ({"member": "nobody"}, UNKNOWN_MEMBER)):
            with self.subTest(**values):
                self.assertEqual(Member(self, self.g).join(**values).error, error)
        member.known()
        self.assertEqual(Member(self, self.g).join(member="nobody").error, UNKNOWN_MEMBER)

    def test_stale_and_unknown(self):
        member = self.one()
        self.assertEqual(member.heartbeat(generation=7), ILLEGAL_GENERATION)
        self.assertEqual(member.heartbeat(member="nobody"), UNKNOWN_MEMBER)
        self.assertEqual(member.heartbeat(instance="i"), UNKNOWN_MEMBER)
        self.assertEqual(member.heartbeat(group=""), INVALID_GROUP)
        self.assertEqual(member.sync(generation=7).error, ILLEGAL_GENERATION)
        self.assertEqual(member.sync(member="nobody").error, UNKNOWN_MEMBER)
        self.assertEqual(member.sync(group="unheard-of").error, UNKNOWN_MEMBER)
        self.assertEqual(member.sync(group="").error, INVALID_GROUP)
        self.assertEqual(member.sync(protocol="x").error, INCONSISTENT_PROTOCOL)
        self.assertEqual(member.sync(type="x").error, INCONSISTENT_PROTOCOL)
        self.assertEqual(member.sync(protocol=None).error, INCONSISTENT_PROTOCOL)
        self.assertEqual(member.sync().assignment, b"of " + member.id.encode())

    def test_size_of_a_group(self):
        members = [Member(self, self.g).known() for _ in range(6)]
        self.stable(*members[:5])
        answer = members[5].join()
        self.assertEqual((answer.error, answer.member), (MAX_SIZE, ""))

    def test_pending_members_hold_the_rebalance(self):
        first = self.one()
        pending = Member(self, self.g).known()
        first.send_join()
        self.assertTrue(first.conn.silent(0.3))
        pending.send_join()
        self.assertEqual((first.recv_join().generation, pending.recv_join().generation), (2, 2))

    def test_a_pending_member_may_leave(self):
        first = self.one()
        pending = Member(self, self.g).known()
        first.send_join()
        self.assertTrue(first.conn.silent(0.2))
        self.assertEqual(pending.leave(), OK)
        self.assertEqual(first.recv_join().generation, 2)

    def test_leaving_in_one_request(self):
        members = [Member(self, self.g).known() for _ in range(3)]
        self.stable(*members)
        answer = self.c.call("LeaveGroup", 5, group=self.g, members=[
            {"member": members[0].id, "reason": "enough"}, {"member": "nobody"}, {"member": members[1].id}])
        self.assertEqual((answer.error, [m.error for m in answer.members]), (OK, [OK, UNKNOWN_MEMBER, OK]))
        self.assertEqual(members[2].heartbeat(), REBALANCE)
        answer = self.c.call("LeaveGroup", 5, group="unheard-of", members=[{"member": "x"}, {"member": ""}])
        self.assertEqual((answer.error, [m.error for m in answer.members]), (OK, [UNKNOWN_MEMBER] * 2))
        self.assertEqual(self.c.call("LeaveGroup", 2, group="unheard-of", member="x").error, UNKNOWN_MEMBER)
        self.assertEqual(self.c.call("LeaveGroup", 5, group="", members=[{"member": "x"}]).error, INVALID_GROUP)


class Static(GroupCase):
    def test_back_without_a_rebalance(self):
        first, second = (Member(self, self.g, instance=i) for i in ("one", "two"))
        leader, (follower,) = self.stable(first, second)
        self.assertRegex(first.id, "^one-[0-9a-f-]{36}$")
        old_id, assignment = follower.id, b"of " + follower.id.encode()
        back = Member(self, self.g, instance=follower.instance)
        answer = back.join()
        self.assertEqual((answer.error, answer.generation, answer.leader, answer.skip_assignment),
                         (OK, leader.generation, leader.id, False))
        self.assertNotEqual(back.id, old_id)
        self.assertEqual(back.sync().assignment, assignment)
        self.assertEqual(leader.heartbeat(), OK)
        self.assertEqual(follower.heartbeat(), FENCED)
        self.assertEqual(follower.sync().error, FENCED)
        self.assertEqual(follower.join().error, FENCED)
        self.assertEqual(follower.leave(), FENCED)
        self.assertEqual(follower.commit("x", 1), UNKNOWN_TOPIC)

    def test_a_leader_comes_back(self):
        for version in (5, 8, 9):
            with self.subTest(version=version):
                self.g = f"{self.name()}-{version}"
                member = Member(self, self.g, version=version, instance="i")
                self.stable(member)
                back = Member(self, self.g, version=version, instance="i")
                answer = back.join()
                self.assertEqual((answer.error, answer.generation), (OK, 1))
                if version == 9:
                    self.assertEqual((answer.leader, answer.skip_assignment, len(answer.members)), (back.id, True, 1))
                else:
                    self.assertEqual((answer.leader, answer.members), (member.id, []))
                self.assertEqual(back.sync().assignment, b"of " + member.id.encode())

    def test_with_another_choice_of_protocol_there_is_a_rebalance(self):
        member = Member(self, self.g, instance="i", protocols={"range": b"", "b": b""})
        self.stable(member)
        back = Member(self, self.g, instance="i", protocols={"b": b""})
        self.assertEqual((back.join().generation, back.joined.protocol), (2, "b"))

    def test_it_is_kept_while_it_is_away(self):
        first = Member(self, self.g, instance="one", rebalance_ms=1500)
        second = Member(self, self.g, rebalance_ms=1500).known()
        self.stable(first, second)
        second.protocols = {"range": b"other"}
        second.join()
        described = {m.instance for m in self.describe().members}
        self.assertEqual(described, {"one", None})

    def test_removal_by_an_administrator(self):
        first, second = Member(self, self.g, instance="one"), Member(self, self.g, instance="two")
        self.stable(first, second)
        answer = self.c.call("LeaveGroup", 4, group=self.g, members=[
            {"member": "", "instance": "one"}, {"member": "", "instance": "three"},
            {"member": "nobody", "instance": "two"}])
        self.assertEqual([(m.member, m.instance, m.error) for m in answer.members],
                         [("", "one", OK), ("", "three", UNKNOWN_MEMBER), ("nobody", "two", FENCED)])
        self.assertEqual(second.heartbeat(), REBALANCE)

    def test_its_old_connection_is_fenced_while_it_waits(self):
        first, second = Member(self, self.g, instance="one"), Member(self, self.g, instance="two")
        self.stable(first, second)
        first.protocols = {"range": b"other"}
        first.send_join()
        self.assertTrue(first.conn.silent(0.2))
        back = Member(self, self.g, instance="one")
        back.send_join()
        self.assertEqual(first.recv_join().error, FENCED)
        before = second.generation
        second.send_join()
        self.assertEqual((back.recv_join().generation, second.recv_join().generation), (before + 1, before + 1))


class Admin(GroupCase):
    def test_describe_in_every_version(self):
        member = self.one()
        for version in range(7):
            with self.subTest(version=version):
                group = self.describe(version)
                self.assertEqual((group.error, group.state, group.type, group.protocol, len(group.members)),
                                 (OK, "Stable", "consumer", "range", 1))
                absent = self.describe(version, "unheard-of")
                self.assertEqual((absent.error, absent.state, absent.type, absent.protocol, absent.members),
                                 (NO_GROUP if version >= 6 else OK, "Dead", "", "", []))
                if version >= 6:
                    self.assertEqual((group.message, absent.message), (None, "Group unheard-of not found."))
        answer = self.c.call("DescribeGroups", 5, groups=[self.g, "unheard-of"], include_ops=True).groups
        self.assertEqual([g.ops for g in answer], [3400, 3400])
        member.join()
        group = self.describe()
        self.assertEqual((group.state, group.protocol, [(m.metadata, m.assignment) for m in group.members]),
                         ("CompletingRebalance", "", [(b"", b"of " + member.id.encode())]))
        self.assertEqual(self.c.call("DescribeGroups", 5, groups=[]).groups, [])

    def test_list_in_every_version(self):
        self.one()
        empty = self.g + "-empty"
        commit(self.c, self.topic(self.c), {0: 1}, group=empty)
        for version in range(6):
            with self.subTest(version=version):
                answer = self.c.call("ListGroups", version)
                self.assertEqual(answer.error, OK)
                groups = {g.group: g for g in answer.groups}
                self.assertEqual((groups[self.g].protocol_type, groups[empty].protocol_type), ("consumer", ""))
                if version >= 4:
                    self.assertEqual((groups[self.g].state, groups[empty].state), ("Stable", "Empty"))
                if version >= 5:
                    self.assertEqual(groups[self.g].type, "classic")

        def listed(**values):
            names = {g.group for g in self.c.call("ListGroups", 5, **values).groups}
            return self.g in names, empty in names

        self.assertEqual(listed(states=["Stable"]), (True, False))
        self.assertEqual(listed(states=["empty", "STABLE"]), (True, True))
        self.assertEqual(listed(states=["nonsense"]), (False, False))
        self.assertEqual(listed(types=["Classic"]), (True, True))
        self.assertEqual(listed(types=["consumer"]), (False, False))
        self.assertEqual(listed(states=["Empty"], types=["classic"]), (False, True))


@moldau_only
class Lasting(GroupCase):
    def test_offsets_and_members_survive_a_crash(self):
        topic = self.topic(self.c, 3)
        member = self.one(topics=(topic,))
        groups = [f"{self.g}-{i}" for i in range(20)]
        for i, group in enumerate(groups):
            self.assertEqual(commit(self.c, topic, {0: i, 2: i * 2}, metadata="m", group=group), [OK, OK])
        self.assertEqual(member.commit(topic, 99), OK)
        self.broker.crash()
        self.c = self.conn()
        self.c.wait_coordinators()
        for i, group in enumerate(groups):
            self.assertEqual(fetch(self.c, group, {topic: [0, 1, 2]})[topic],
                             {0: (i, -1, "m", OK), 1: (-1, -1, "", OK), 2: (i * 2, -1, "m", OK)})
        member.conn = self.conn()
        self.assertEqual(member.heartbeat(), OK)
        self.assertEqual(fetch(self.c, self.g, {topic: [0]})[topic][0][0], 99)
        self.assertEqual(self.state(), "Stable")

    def test_offsets_survive_compaction(self):
        broker = self.moldau({**SETTINGS, "offsets.topic.num.partitions": 1, "offsets.topic.segment.bytes": 1048576,
                              "log.cleaner.backoff.ms": 200, "log.cleaner.min.cleanable.ratio": 0.01,
                              "log.initial.task.delay.ms": 0, "log.flush.offset.checkpoint.interval.ms": 300,
                              "log.segment.delete.delay.ms": 100}).start()
        conn = self.conn(broker)
        conn.create("t", 2)
        conn.wait_coordinators()

        def segments():
            return [os.path.getsize(f) for f in glob.glob(f"{broker.data}/__consumer_offsets-0/*.log")]

        for i in range(2000):
            self.assertEqual(commit(conn, "t", {0: i, 1: i + 1}, group=f"g{i % 10}", metadata="m" * 1000), [OK, OK])
        self.assertEqual(conn.call("DeleteGroups", 2, groups=["g0"]).results[0].error, OK)
        # Ten groups are left of 4,000 records: all but the newest segment are nearly empty.
        self.eventually(lambda: self.assertLess(sum(segments()), 1300000), 20)
        broker.crash()
        conn = self.conn(broker)
        conn.wait_coordinators()
        self.assertEqual(fetch(conn, "g0", None), {})
        for i in range(1, 10):
            self.assertEqual({p: o[0] for p, o in fetch(conn, f"g{i}", {"t": [0, 1]})["t"].items()},
                             {0: 1990 + i, 1: 1991 + i})

    def test_the_stop_ends_who_waits(self):
        broker = self.moldau({**SETTINGS, "group.initial.rebalance.delay.ms": 60000}).start()
        conn = Conn(broker.address)
        self.addCleanup(conn.close)
        conn.wait_coordinators()
        conn.send("JoinGroup", 3, group="g", session_ms=10000, rebalance_ms=70000, member="", type="consumer",
                  protocols=[{"name": "range", "metadata": b""}])
        with Conn(broker.address) as other:
            self.eventually(lambda: self.assertEqual(other.call("DescribeGroups", 5, groups=["g"]).groups[0].state,
                                                     "PreparingRebalance"))
        broker.signal(15)
        self.assertEqual(conn.recv("JoinGroup", 3).error, NOT_COORDINATOR)
        self.assertEqual(broker.wait_exit(), 0)  # long before the minute is over


if __name__ == "__main__":
    unittest.main()
