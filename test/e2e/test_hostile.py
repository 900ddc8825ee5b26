# SPDX-License-Identifier: Apache-2.0
"""Small requests that mean much work, or much memory, to a coordinator: each is refused or answered, at once, and the
broker goes on."""
import contextlib
import os
import struct
import time

from lib import wire
from lib.case import Case, moldau_only
from lib.client import TRANSACTION, Closed

SETTINGS = {"group.initial.rebalance.delay.ms": 0, "offsets.topic.num.partitions": 2,
            "group.min.session.timeout.ms": 100}


@moldau_only
class Hostile(Case):
    own = True
    overrides = SETTINGS

    def setUp(self):
        self.group = f"g{os.getpid()}-{self._testMethodName}"

    def settle(self, conn, name, version, error, **values):
        """The answer, once the coordinator has loaded."""
        end = time.monotonic() + 10
        while True:
            answer = conn.call(name, version, **values)
            if error(answer) not in (14, 15, 16) or time.monotonic() > end:
                return answer
            time.sleep(0.02)

    def ready(self, conn):
        conn.wait_coordinators()

    def answered(self, conn):
        """Not with too much. Who takes more than ten seconds for it, on a busy machine, may be closed."""
        began = time.monotonic()
        try:
            self.assertLess(len(conn.recv_frame()), 300 << 20)
        except Closed:
            self.assertGreater(time.monotonic() - began, 8)

    def alive(self):
        with self.conn(self.broker) as conn:
            self.assertEqual(conn.call("ApiVersions", 0).error, 0)

    def test_a_member_whose_client_id_leaves_no_room_for_its_own(self):
        conn = self.conn(self.broker)
        self.ready(conn)
        for version in (0, 5, 9):
            with self.conn(self.broker, client_id="c" * 32767) as long:
                try:
                    answer = long.call("JoinGroup", version, group=self.group, type="consumer",
                                       protocols=[{"name": "range", "metadata": b""}])
                    self.assertNotEqual(answer.error, 0)
                except Closed:
                    pass
            self.alive()

    def test_protocols_without_end(self):
        conn = self.conn(self.broker, timeout=30)
        self.ready(conn)
        protocols = [{"name": "", "metadata": b""}] * 200_000
        began = time.monotonic()
        for i in range(2):
            with self.conn(self.broker, timeout=30) as other:
                try:
                    other.call("JoinGroup", 3, group=self.group, type="consumer", protocols=protocols)
                except Closed:
                    pass
        self.alive()
        self.assertLess(time.monotonic() - began, 60)  # it was hours

    def test_one_group_asked_for_again_and_again(self):
        conn = self.conn(self.broker, timeout=60)
        self.ready(conn)
        topic = self.topic(conn, 100)
        answer = conn.call("OffsetCommit", 8, group=self.group, topics=[{"name": topic, "partitions": [
            {"index": i, "offset": 1, "metadata": "x" * 4000} for i in range(100)]}])
        self.assertEqual({p.error for p in answer.topics[0].partitions}, {0})
        few = conn.call("OffsetFetch", 8, groups=[{"group": self.group, "topics": None}] * 3)
        self.assertEqual([(g.error, len(g.topics[0].partitions)) for g in few.groups], [(0, 100)] * 3)
        for n in (2_000, 20_000):
            with self.conn(self.broker, timeout=60) as other:
                other.send("OffsetFetch", 8, groups=[{"group": self.group, "topics": None}] * n)
                self.answered(other)
            self.alive()

    def test_one_group_described_again_and_again(self):
        conn = self.conn(self.broker, timeout=60)
        self.ready(conn)
        self.settle(conn, "JoinGroup", 3, lambda a: a.error, group=self.group, type="consumer",
                    protocols=[{"name": "range", "metadata": b"x" * 500_000}])
        joined = self.settle(conn, "JoinGroup", 3, lambda a: a.error, group=self.group + "2", type="consumer",
                             protocols=[{"name": "range", "metadata": b"x" * 500_000}])
        conn.call("SyncGroup", 3, group=self.group + "2", generation=joined.generation, member=joined.member,
                  assignments=[{"member": joined.member, "assignment": b"y"}])
        for n in (1000, 20_000):
            with self.conn(self.broker, timeout=60) as other:
                other.send("DescribeGroups", 5, groups=[self.group + "2"] * n)
                self.answered(other)
            self.alive()

    def test_one_transaction_described_again_and_again(self):
        # Each answer takes what the transaction has, however many topics it spreads over.
        conn, topics = self.conn(self.broker, timeout=60), [f"{self.group}-{i}" for i in range(1000)]
        conn.wait_coordinators(TRANSACTION)
        conn.call("CreateTopics", 7, timeout_ms=30000, topics=[
            {"name": t, "partition_n": 1, "replication_factor": 1} for t in topics])
        producer = self.settle(conn, "InitProducerId", 5, lambda a: a.error, transactional_id=self.group,
                               timeout_ms=60000)
        answer = conn.call("AddPartitionsToTxn", 3, transactional_id=self.group, producer_id=producer.producer_id,
                           producer_epoch=producer.producer_epoch,
                           topics=[{"name": t, "partitions": [0]} for t in topics])
        self.assertEqual({p.error for t in answer.topics for p in t.partitions}, {0})
        rss = self.broker.rss_kb()
        answer = conn.call("DescribeTransactions", 0, transactional_ids=[self.group] * 200)
        self.assertEqual({(t.error, len(t.topics)) for t in answer.states}, {(0, 1000)})
        self.assertLess(self.broker.rss_kb() - rss, 150 * 1024)

    def test_more_names_than_one_request_may_hold(self):
        conn = self.conn(self.broker)
        self.ready(conn)
        n = 1_000_000
        topic = self.topic(conn)
        compact = wire.uvarint(n + 1) + b"\1" * n
        for key, version, body in ((15, 0, struct.pack(">i", n) + b"\0\0" * n),
                                   (42, 0, struct.pack(">i", n) + b"\0\0" * n),
                                   (69, 0, b"\0" + compact + b"\0\0"), (65, 0, b"\0" + compact + b"\0"),
                                   (10, 4, b"\0\0" + compact + b"\0"),
                                   (61, 0, b"\0" + wire.uvarint(2) + wire.uvarint(len(topic) + 1) + topic.encode() +
                                    wire.uvarint(n + 1) + bytes(4 * n) + b"\0\0")):
            with self.conn(self.broker, timeout=30) as other:
                try:
                    other.send_frame(struct.pack(">hhih", key, version, 1, -1) + body)
                    other.recv_frame()
                except Closed:
                    pass
            self.eventually(self.alive)
        self.assertIn("it names more groups", self.broker.log())

    def sockets(self):
        at = f"/proc/{self.broker.process.pid}/fd"
        count = 0
        for fd in os.listdir(at):
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                count += os.readlink(os.path.join(at, fd)).startswith("socket:")
        return count

    def test_members_that_hang_up_while_they_wait(self):
        # They hold no connection, and no request; as members they stay until their sessions end.
        conn = self.conn(self.broker)
        self.ready(conn)
        before = self.sockets()
        values = {"group": self.group, "type": "consumer", "session_ms": 60_000, "rebalance_ms": 60_000,
                  "protocols": [{"name": "range", "metadata": b""}]}
        first = self.conn(self.broker, client_id="first")
        joined = first.call("JoinGroup", 3, **values)
        self.assertEqual(joined.error, 0)
        for n in (30, 60):
            gone = [self.conn(self.broker) for _ in range(30)]
            for other in gone:
                other.send("JoinGroup", 3, **values)  # waits for the first member to join again
                if n == 60:
                    other.send("Heartbeat", 3, group=self.group, member="m")
            self.assertTrue(gone[-1].silent(0.3))
            self.assertGreaterEqual(self.sockets(), before + 15)  # some from before may have ended
            for other in gone:
                other.close()
            self.eventually(lambda: self.assertLessEqual(self.sockets(), before + 1))
            state = conn.call("DescribeGroups", 5, groups=[self.group]).groups[0]
            self.assertEqual((state.state, len(state.members)), ("PreparingRebalance", n + 1))
        again = first.call("JoinGroup", 3, **dict(values, member=joined.member))
        self.assertEqual((again.error, len(again.members)), (0, 61))
        # A follower that waits for the leader's assignment, and hangs up.
        group = self.group + "-sync"
        values["group"] = group
        leader = self.conn(self.broker)
        one = leader.call("JoinGroup", 3, **values)
        follower = self.conn(self.broker)
        follower.send("JoinGroup", 3, **values)
        self.eventually(lambda: self.assertEqual(
            conn.call("DescribeGroups", 5, groups=[group]).groups[0].state, "PreparingRebalance"))
        one = leader.call("JoinGroup", 3, **dict(values, member=one.member))
        two = follower.recv("JoinGroup", 3)
        follower.send("SyncGroup", 3, group=group, generation=two.generation, member=two.member)
        self.assertTrue(follower.silent(0.1))
        follower.close()
        self.eventually(lambda: self.assertLessEqual(self.sockets(), before + 2))
        answer = leader.call("SyncGroup", 3, group=group, generation=one.generation, member=one.member, assignments=[
            {"member": m, "assignment": b"a"} for m in (one.member, two.member)])
        self.assertEqual((answer.error, answer.assignment), (0, b"a"))

    def test_one_offset_committed_again_and_again(self):
        # Each record would carry the group's name: the request grows a thousandfold.
        conn = self.conn(self.broker, timeout=60)
        self.group = "n" * 32767
        self.ready(conn)
        topic = self.topic(conn)
        partitions = [{"index": 0, "offset": 1, "metadata": ""}] * 100_000
        answer = conn.call("OffsetCommit", 8, group=self.group, topics=[{"name": topic, "partitions": partitions}])
        self.assertEqual({p.error for p in answer.topics[0].partitions}, {28})
        self.assertEqual(len(answer.topics[0].partitions), 100_000)
        self.alive()
