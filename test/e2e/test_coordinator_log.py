# SPDX-License-Identifier: Apache-2.0
"""What the log says of groups and transactions, as a person would follow it. Only for Moldau."""
import re
import unittest

from lib.batch import Record, batch, now_ms
from lib.consumer import Consumer
from test_groups import SETTINGS, GroupCase, Member
from test_txn_data import ABORT, COMMIT, TxnCase


class LogCase(TxnCase):
    own = True
    overrides = {**SETTINGS, "group.consumer.assignment.interval.ms": 0}

    def setUp(self):
        super().setUp()
        self.g = self.name()
        self.c.wait_coordinators()
        self.from_here = len(self.broker.log())

    def lines(self, key):
        """[(event, rest)] of lines that name the key, since the test began."""
        return re.findall(rf"(?m) (?:INFO|WARN) (\S+) \w+={re.escape(key)} (.*?)(?: \(org\..*)?$",
                          self.broker.log()[self.from_here:])

    def says(self, key, *wanted):
        """Each is the event and an expression for the rest; in this order, with nothing between."""
        def check():
            got = self.lines(key)
            self.assertEqual([event for event, _ in got], [event for event, _ in wanted])
            for (_, text), (_, pattern) in zip(got, wanted):
                self.assertRegex(text, pattern)
        self.eventually(check)


class Groups(LogCase):
    def test_a_classic_group(self):
        a = Member(self, self.g, client_id="app-1").known()
        GroupCase.stable(self, a)
        b = Member(self, self.g, client_id="app-2", session_ms=1500).known()
        b.send_join()
        self.eventually(lambda: self.assertNotEqual(a.heartbeat(), 0))
        self.stable_again(a, b)
        self.eventually(lambda: self.assertNotEqual(a.heartbeat(), 0))
        a.join()
        a.sync([(a.id, b"x")])
        self.assertEqual(a.leave(), 0)
        host = "host=/127.0.0.1"
        self.says(
            self.g, ("group.joined", f'member={a.id} protocol=classic client="app-1" {host} members=1'),
            ("group.state", "from=Empty to=PreparingRebalance generation=0 members=1"),
            ("group.state", "from=PreparingRebalance to=CompletingRebalance generation=1 members=1"),
            ("group.state", "from=CompletingRebalance to=Stable generation=1 members=1"),
            ("group.joined", f'member={b.id} protocol=classic client="app-2" {host} members=2'),
            ("group.state", "from=Stable to=PreparingRebalance generation=1 members=2"),
            ("group.state", "from=PreparingRebalance to=CompletingRebalance generation=2 members=2"),
            ("group.state", "from=CompletingRebalance to=Stable generation=2 members=2"),
            ("group.member_lost", f"member={b.id} session_ms=1500"),
            ("group.state", "from=Stable to=PreparingRebalance generation=2 members=1 why=\"a member's session ended"),
            ("group.state", "from=PreparingRebalance to=CompletingRebalance generation=3 members=1"),
            ("group.state", "from=CompletingRebalance to=Stable generation=3 members=1"),
            ("group.member_left", f"member={a.id}"),
            ("group.state", "from=Stable to=PreparingRebalance generation=3 members=0 why=\"members left"),
            ("group.state", "from=PreparingRebalance to=Empty generation=4 members=0"))

    def stable_again(self, a, b):
        a.send_join()
        for member in (a, b):
            self.assertEqual(member.recv_join().error, 0)
        leader, other = (a, b) if a.joined.leader == a.id else (b, a)
        leader.send_sync([(a.id, b"x"), (b.id, b"y")])
        other.send_sync()
        self.assertEqual((a.recv_sync().error, b.recv_sync().error), (0, 0))

    def test_a_consumer_group(self):
        t = self.topic(self.c, 2)
        a = Consumer(self, topics=[t], instance="one").join()
        b = Consumer(self, topics=[t]).join()
        self.eventually(lambda: self.assertEqual((a.beat().n(), b.beat().n()), (1, 1)))
        b.leave()
        self.eventually(lambda: self.assertEqual(a.beat().n(), 2))
        self.says(
            self.g, ("group.epoch", 'epoch=2 why="subscriptions changed"'),
            ("group.joined", f'member={a.id} instance=one protocol=consumer client="e2e" host=/127.0.0.1 epoch=2'),
            ("group.state", "from=Empty to=Stable epoch=2 target_epoch=2 members=1"),
            ("group.epoch", "epoch=3"), ("group.joined", f"member={b.id} protocol=consumer"),
            ("group.state", "from=Stable to=Reconciling epoch=3 target_epoch=3 members=2"),
            ("group.state", "from=Reconciling to=Stable epoch=3 target_epoch=3 members=2"),
            ("group.left", f"member={b.id}"), ("group.epoch", 'epoch=4 why="a member is gone"'),
            ("group.state", "from=Stable to=Assigning epoch=4 target_epoch=3 members=1"),
            ("group.state", "from=Assigning to=Stable epoch=4 target_epoch=4 members=1"))


class Transactions(LogCase):
    overrides = {**LogCase.overrides, "transaction.abort.timed.out.transaction.cleanup.interval.ms": 100}

    def test_who_has_an_id(self):
        a = self.txn()
        t = self.topic(self.c)
        a.send(t, [b"x"])
        a.init()
        host = 'host=/127.0.0.1 client="e2e"'
        self.says(a.id, ("transaction.producer", f"producer={a.pid} epoch=0 {host} timeout_ms=60000"),
                  ("transaction.fenced", rf"producer={a.pid} epoch=\d+ {host} open_ms=\d+ partitions=1 by=\[{host}\]"),
                  ("transaction.producer", f"producer={a.pid} epoch={a.epoch} {host}"))

    def test_one_that_is_open_for_long(self):
        t, u = self.topic(self.c, 2), self.topic(self.c)
        b, a = self.txn("b"), self.txn("a", timeout_ms=6000)
        b.send(u, [b"before"])
        a.send(t, [b"x"], 1)
        a.send(u, [b"x"])
        self.plain(t, b"behind")
        self.plain(u, b"behind")
        self.wait_stable(t, 1, 0)
        where = ", ".join(sorted((f"{t}-1 from 0", rf"{u}-0 from 1 \(another one before it\)")))
        self.says(
            a.id, ("transaction.producer", "epoch=0"),
            ("transaction.open_long", rf'producer={a.pid} epoch=0 host=/127.0.0.1 client="e2e" since_ms=\d+ open_s=\d '
                                      rf'timeout_ms=6000 partitions=2 in="{where}" held_back=4 '),
            ("transaction.timed_out", rf'producer={a.pid} epoch=0 host=/127.0.0.1 client="e2e" open_ms=\d+ '
                                      "timeout_ms=6000 partitions=2"))
        b.end(COMMIT)
        self.wait_stable(u, 5)

    def test_one_that_a_restart_has_made_nameless(self):
        a, t = self.txn(timeout_ms=8000), self.topic(self.c)
        self.crash()
        self.c, a.conn, self.from_here = self.conn(), self.conn(), len(self.broker.log())
        self.c.wait_leader(t)
        self.eventually(lambda: self.assertEqual(a.produce(t, a.batch([b"x"])).error, 0))
        self.eventually(lambda: self.assertIn(("transaction.open_long", 'host=/127.0.0.1 client="e2e"'), [
            (event, re.search(r'host=\S+ client="[^"]*"', text)[0]) for event, text in self.lines(a.id)]), 10)
        a.end(ABORT)

    def test_one_that_its_coordinator_does_not_know(self):
        broker = self.moldau({"log.retention.check.interval.ms": 200, "log.initial.task.delay.ms": 0,
                              "transaction.partition.verification.enable": "false"}).start()
        c = self.conn(broker)
        t = self.topic(c)
        data = batch([Record(b"x", timestamp=now_ms() - 3600 * 1000)], producer_id=77, producer_epoch=3, sequence=0,
                     attributes=0x10)
        answer = c.call("Produce", 9, acks=-1, timeout_ms=5000, transactional_id="nobody", topics=[
            {"name": t, "partitions": [{"index": 0, "records": data}]}]).topics[0].partitions[0]
        self.assertEqual(answer.error, 0)
        self.eventually(lambda: self.assertRegex(
            broker.log(), rf"WARN transaction.hangs partition={t}-0 producer=77 epoch=3 from=0 .* held_back=1 "))


if __name__ == "__main__":
    unittest.main()
