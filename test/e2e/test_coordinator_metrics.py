# SPDX-License-Identifier: Apache-2.0
"""What the metrics say of coordinators: each number is seen to change when the thing happens. Only for Moldau."""
import re
import unittest

from lib.broker import free_port
from lib.consumer import Consumer
from test_groups import Member, commit
from test_http import get
from test_txn_data import ABORT, COMMIT, OLD, TxnCase

GROUP = "kafka_server_group_coordinator_metrics_"
MANAGER = "kafka_coordinator_group_groupmetadatamanager_"
MARKERS = "kafka_coordinator_transaction_transactionmarkerchannelmanager_"
VERIFICATION = "kafka_server_addpartitionstotxnmanager_"


class CoordinatorMetrics(TxnCase):
    own = True

    @classmethod
    def setUpClass(cls):
        cls.http = free_port()
        cls.overrides = {"http.listener": f"127.0.0.1:{cls.http}", "group.initial.rebalance.delay.ms": 0,
                         "group.min.session.timeout.ms": 100, "group.consumer.assignment.interval.ms": 0,
                         "offsets.topic.num.partitions": 5, "offsets.retention.check.interval.ms": 200}
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.g = self.name()
        self.c.wait_coordinators()

    def page(self, dialect):
        status, _, text = get(self.http, f"/metrics?dialect={dialect}")
        self.assertEqual(status, 200)
        return dict(re.findall(r"^([a-z]\S*) (\S+)$", text, re.M))

    def value(self, name, dialect="jmx"):
        return float(self.page(dialect)[name])

    def grows(self, name, by, native=None):
        """A pair: what to call before, and what to call after."""
        before = self.page("all")

        def check():
            now = self.page("all")
            for each in (name, native):
                if each:
                    self.assertEqual(float(now[each]) - float(before[each]), by, each)
        return lambda: self.eventually(check)

    def test_offsets(self):
        t, u = self.topic(self.c, 3), self.topic(self.c)
        committed = self.grows(GROUP + "offset_commit_count", 4, "moldau_group_offsets_committed_total")
        before = self.value(MANAGER + "numoffsets")
        self.assertEqual(commit(self.c, t, {0: 1, 1: 2, 2: 3}, group=self.g), [0, 0, 0])
        self.assertEqual(commit(self.c, u, {0: 1}, group=self.g), [0])
        committed()
        self.assertEqual(self.value(MANAGER + "numoffsets"), before + 4)
        deleted = self.grows(GROUP + "offset_deletion_count", 2, "moldau_group_offsets_deleted_total")
        answer = self.c.call("OffsetDelete", 0, group=self.g, topics=[
            {"name": t, "partitions": [{"index": 0}, {"index": 1}]}, {"name": "absent", "partitions": [{"index": 0}]}])
        self.assertEqual(sorted([p.error for p in x.partitions] for x in answer.topics), [[0, 0], [3]])
        deleted()
        expired = self.grows(GROUP + "offset_expiration_count", 1, "moldau_group_offsets_expired_total")
        self.assertEqual(commit(self.c, u, {0: 2}, version=4, group=self.g, retention_ms=1), [0])
        expired()
        self.assertEqual(self.value(MANAGER + "numoffsets"), before + 1)

    def test_offsets_in_a_transaction(self):
        t, a = self.topic(self.c), self.txn()
        committed = self.grows(GROUP + "offset_commit_count", 1)
        answer = a.conn.call("TxnOffsetCommit", 5, transactional_id=a.id, group_id=self.g, producer_id=a.pid,
                             producer_epoch=a.epoch, topics=[{"name": t, "partitions": [
                                 {"index": 0, "offset": 3, "leader_epoch": -1, "metadata": ""}]}])
        self.assertEqual(answer.topics[0].partitions[0].error, 0)
        committed()
        a.end(COMMIT)

    def test_rates(self):
        t = self.topic(self.c)

        def committed():
            # A rate is that of the time between two looks, and looks have a beat of their own, too.
            self.assertEqual(commit(self.c, t, {0: 1}, group=self.g), [0])
            page = self.page("jmx")
            self.assertGreater(float(page[GROUP + "offset_commit_rate"]), 0)
            self.assertGreater(float(page[GROUP + "batch_flush_rate"]), 0)
        self.eventually(committed)
        self.eventually(lambda: self.assertEqual(self.value(GROUP + "offset_commit_rate"), 0))

    def test_rebalances_of_a_classic_group(self):
        done = self.grows(GROUP + "group_completed_rebalance_count", 1, "moldau_group_rebalances_total")
        member = Member(self, self.g).known()
        self.assertEqual(member.join().error, 0)
        self.assertGreaterEqual(self.value(MANAGER + "numgroupscompletingrebalance"), 1)
        self.assertEqual(member.sync([(member.id, b"mine")]).error, 0)
        done()
        self.assertGreaterEqual(self.value(MANAGER + "numgroupsstable"), 1)
        # With an offset: an empty group without any may be removed at any time.
        self.assertEqual(member.commit(self.topic(self.c), 1), 0)
        again = self.grows(GROUP + "group_completed_rebalance_count", 0)
        self.assertEqual(member.leave(), 0)
        again()
        self.assertGreaterEqual(self.value(MANAGER + "numgroupsempty"), 1)
        self.assertGreaterEqual(self.value(GROUP + 'group_count{protocol="classic"}'), 1)

    def test_epochs_of_a_consumer_group(self):
        t = self.topic(self.c, 2)
        raised = self.grows(GROUP + "consumer_group_rebalance_count", 1, "moldau_group_epochs_total")
        a = Consumer(self, topics=[t]).join()
        raised()
        self.assertEqual(self.value(GROUP + 'group_count{protocol="consumer"}'), 1)
        self.eventually(lambda: self.assertEqual(
            (a.beat().n(), self.value(GROUP + 'consumer_group_count{state="Stable"}')), (2, 1)))
        raised = self.grows(GROUP + "consumer_group_rebalance_count", 1)
        b = Consumer(self, topics=[t]).join()
        raised()
        self.assertEqual(self.value(GROUP + 'consumer_group_count{state="Reconciling"}'), 1)
        b.leave()
        a.leave()

    def test_partitions_and_their_loading(self):
        self.txn()
        for state, n in (("active", 5), ("loading", 0), ("failed", 0)):
            self.assertEqual(self.value(GROUP + f'num_partitions{{state="{state}"}}'), n)
            self.assertEqual(self.value(f'moldau_group_coordinator_partitions{{state="{state}"}}', "native"), n)
        for prefix in (GROUP, "kafka_server_transaction_coordinator_metrics_"):
            longest, mean = (self.value(prefix + "partition_load_time_" + x) for x in ("max", "avg"))
            self.assertGreater(longest, 0)
            self.assertTrue(0 < mean <= longest, (mean, longest))
        self.assertEqual(self.value('moldau_coordinator_load_duration_seconds_count{coordinator="group"}', "native"), 5)
        self.eventually(lambda: self.assertEqual(self.value(GROUP + "event_queue_size"), 0))
        self.assertTrue(0 <= self.value(GROUP + "thread_idle_ratio_avg") <= 1)

    def test_times_of_events(self):
        t = self.topic(self.c)
        name = 'moldau_group_coordinator_duration_seconds_count{phase="%s"}'
        phases = ("queue", "processing", "purgatory", "linger", "flush")

        def two_events():
            before = self.page("native")
            self.assertEqual(commit(self.c, t, {0: 1}, group=self.g), [0])
            self.assertEqual(self.c.call("Heartbeat", 3, group=self.g, generation=1, member="x").error, 25)
            now = self.page("native")
            grown = {p: float(now[name % p]) - float(before[name % p]) for p in phases}
            # The heartbeat writes nothing.
            self.assertEqual(grown, {"queue": 2, "processing": 2, "purgatory": 1, "linger": 1, "flush": 1})

        # Once more if the removal of a group that another test left empty, a write as well, came in between.
        self.eventually(two_events)
        for what in ("event_queue", "event_processing", "event_purgatory", "batch_linger", "batch_flush"):
            page = self.page("jmx")
            times = [float(page[f"{GROUP}{what}_time_ms_{q}"]) for q in ("p50", "p95", "p99", "p999", "max")]
            self.assertEqual(times[:4], sorted(times[:4]))
            self.assertGreater(times[4], 0)

    def test_what_a_transaction_may_not_write_to(self):
        t = self.topic(self.c, 2)
        a = self.txn(version=OLD)
        a.add(t, 0)
        asked = self.grows(VERIFICATION + "verificationtimems_count", 2,
                           "moldau_transaction_ask_duration_seconds_count")
        failed = self.grows(VERIFICATION + "verificationfailurerate_total", 1,
                            "moldau_transaction_partitions_refused_total")
        self.assertEqual(a.produce(t, a.batch([b"x"], 1), 1).error, 120)
        self.assertEqual(a.produce(t, a.batch([b"x"], 0), 0).error, 0)
        asked()
        failed()
        self.assertGreater(self.value(VERIFICATION + 'verificationtimems{quantile="0.99"}'), 0)
        a.end(ABORT)

    def test_markers_that_a_partition_does_not_take(self):
        t = self.topic(self.c, 2)
        a = self.txn()
        for i in (0, 1):
            a.send(t, [b"x"], i)
        self.assertEqual(self.marker(a, t, epoch=a.epoch + 5, commit=ABORT, protocol=2), 0)
        waits = self.grows(MARKERS + "unknowndestinationqueuesize", 1, "moldau_transaction_markers_waiting")
        a.end(COMMIT)
        waits()
        self.assertEqual(self.value(MARKERS + "logappendretryqueuesize"), 0)
        self.wait_stable(t, 2, 1)

    def takes(self, topic, n):
        answer = self.c.call("IncrementalAlterConfigs", 1, validate_only=False, resources=[
            {"type": 2, "name": topic, "configs": [{"name": "max.message.bytes", "op": 0, "value": str(n)}]}])
        self.assertEqual([(r.error, r.message) for r in answer.responses], [(0, None)])

    def test_a_completion_that_cannot_be_logged(self):
        t, a = self.topic(self.c), self.txn()
        queue = MARKERS + "logappendretryqueuesize"
        a.send(t, [b"x"])
        self.assertEqual(self.marker(a, t, epoch=a.epoch + 5, commit=ABORT, protocol=2), 0)
        a.end(COMMIT)
        self.takes("__transaction_state", 1)
        # After the restart there is nothing left to mark, and what says so is too large.
        self.c.call("DeleteTopics", 5, names=[t], timeout_ms=10000)
        self.crash()
        self.c = self.conn()
        try:
            self.eventually(lambda: self.assertEqual(self.value(queue), 1))
            self.assertEqual(self.value("moldau_transaction_completions_waiting", "native"), 1)
            self.assertEqual(self.value(MARKERS + "unknowndestinationqueuesize"), 0)
        finally:
            self.takes("__transaction_state", 1 << 20)
        self.eventually(lambda: self.assertEqual(self.value(queue), 0))
        self.assertEqual(self.c.call("DescribeTransactions", 0, transactional_ids=[a.id]).states[0].state,
                         "CompleteCommit")


if __name__ == "__main__":
    unittest.main()
