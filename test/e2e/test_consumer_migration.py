# SPDX-License-Identifier: Apache-2.0
"""Groups between the classic and the consumer protocol: converted while they run, members of both kinds."""
import struct

from lib.broker import target
from lib.consumer import ILLEGAL_GENERATION, REBALANCE, NO_GROUP, OK, UNKNOWN_MEMBER, Consumer, ConsumerCase
from test_groups import Member, commit, fetch


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
