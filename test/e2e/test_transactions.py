# SPDX-License-Identifier: Apache-2.0
"""The coordinator's side of transactions: who has an id, what is enrolled, how it ends, in every version; repeated,
late and concurrent requests; epochs at their end; time."""
import time

from lib.case import Case
from lib.client import TRANSACTION

NONE, ILLEGAL_GENERATION, INVALID_REQUEST, UNKNOWN_PARTITION = 0, 22, 42, 3
INVALID_EPOCH, INVALID_STATE, INVALID_MAPPING, INVALID_TIMEOUT, CONCURRENT = 47, 48, 49, 50, 51
NOT_ATTEMPTED, UNSTABLE, FENCED, ID_NOT_FOUND, ABORTABLE, BAD_PATTERN = 55, 88, 90, 105, 120, 128
EPOCH_LAST = 32766


class Txn(Case):
    def setUp(self):
        self.c = self.conn()
        self.tid = self.name()
        self.c.wait_coordinators(TRANSACTION)

    def retry(self, call, errors=(14, 15, 16, CONCURRENT), seconds=20):
        end = time.monotonic() + seconds
        while True:
            answer = call()
            if answer.error not in errors or time.monotonic() > end:
                return answer
            time.sleep(0.02)

    def init_once(self, version=5, conn=None, id=None, timeout_ms=60000, **values):
        return (conn or self.c).call("InitProducerId", version, transactional_id=id or self.tid,
                                     timeout_ms=timeout_ms, **values)

    def init(self, version=5, **values):
        """(producer id, epoch), when the open transaction has been ended."""
        answer = self.retry(lambda: self.init_once(version, **values))
        self.assertEqual(answer.error, 0)
        return answer.producer_id, answer.producer_epoch

    def add(self, producer, *partitions, version=3, id=None, verify=False, conn=None):
        """The error of each partition; partitions are (topic, index)."""
        topics = [{"name": t, "partitions": [i]} for t, i in partitions]
        values = {"transactional_id": self.tid if id is None else id, "producer_id": producer[0],
                  "producer_epoch": producer[1], "topics": topics}
        if version >= 4:
            values = {"transactions": [dict(values, verify_only=verify)]}
        answer = (conn or self.c).call("AddPartitionsToTxn", version, **values)
        if version >= 4:
            self.assertEqual(answer.error, 0)
            answer = answer.transactions[0]
        errors = {(t.name, p.index): p.error for t in answer.topics for p in t.partitions}
        return [errors[p] for p in partitions]

    def enrolled(self, producer, *partitions, **values):
        end = time.monotonic() + 20
        while True:
            errors = self.add(producer, *partitions, **values)
            if CONCURRENT not in errors or time.monotonic() > end:
                self.assertEqual(errors, [0] * len(partitions))
                return
            time.sleep(0.02)

    def end(self, producer, commit=True, version=4, id=None, conn=None):
        return (conn or self.c).call("EndTxn", version, transactional_id=self.tid if id is None else id,
                                     producer_id=producer[0], producer_epoch=producer[1], committed=commit)

    def ended(self, producer, commit=True, version=4):
        """Until the markers are written and the end is told again."""
        answer = self.retry(lambda: self.end(producer, commit, version))
        self.assertEqual(answer.error, 0)
        return answer

    def describe(self, id=None):
        return self.c.call("DescribeTransactions", 0, transactional_ids=[id or self.tid]).states[0]

    def state(self, *wanted):
        self.eventually(lambda: self.assertIn(self.describe().state, wanted))
        return self.describe()


class Producers(Txn):
    def test_every_version_raises_the_epoch(self):
        pid, epoch = self.init(0)
        self.assertEqual(epoch, 0)
        for version in (1, 2, 3, 4, 5):
            self.assertEqual(self.init(version), (pid, version))

    def test_timeouts_that_are_not_allowed(self):
        for timeout_ms in (0, -1, 900001):
            self.assertEqual(self.init_once(timeout_ms=timeout_ms).error, INVALID_TIMEOUT)
        self.assertEqual(self.init(timeout_ms=900000)[1], 0)

    def test_expected_producer_must_fit(self):
        pid, epoch = self.init()
        self.assertEqual(self.init(producer_id=pid, producer_epoch=epoch), (pid, epoch + 1))
        # Again, as after a lost answer.
        self.assertEqual(self.init(producer_id=pid, producer_epoch=epoch), (pid, epoch + 1))
        self.assertEqual(self.init(producer_id=pid, producer_epoch=epoch + 1), (pid, epoch + 2))
        for version, error in ((3, INVALID_EPOCH), (4, FENCED), (5, FENCED)):
            for values in ((pid, epoch), (pid + 1, epoch), (pid, epoch + 9)):
                answer = self.init_once(version, producer_id=values[0], producer_epoch=values[1])
                self.assertEqual((answer.error, answer.producer_id, answer.producer_epoch), (error, -1, -1))

    def test_an_unknown_id_with_an_expected_producer_gets_a_new_one(self):
        pid, epoch = self.init(producer_id=12345678, producer_epoch=7)
        self.assertNotEqual(pid, 12345678)
        self.assertEqual(epoch, 0)

    def test_init_aborts_what_is_open(self):
        topic = self.topic(self.c)
        old = self.init()
        self.enrolled(old, (topic, 0))
        answer = self.init_once()
        self.assertEqual((answer.error, answer.producer_id, answer.producer_epoch), (CONCURRENT, -1, -1))
        new = self.init()
        self.assertEqual(new[0], old[0])
        self.assertGreaterEqual(new[1], old[1] + 2)
        self.assertEqual(self.add(old, (topic, 0)), [FENCED])
        self.assertEqual(self.end(old).error, FENCED)
        self.enrolled(new, (topic, 0))

    def test_errors_of_a_fenced_producer_by_version(self):
        topic = self.topic(self.c)
        old = self.init()
        self.init()
        self.assertEqual([self.add(old, (topic, 0), version=v) for v in range(6)],
                         [[INVALID_EPOCH]] * 2 + [[FENCED]] * 4)
        self.assertEqual([self.end(old, version=v).error for v in range(6)], [INVALID_EPOCH] * 2 + [FENCED] * 4)
        self.assertEqual([self.offsets(old, v).error for v in range(5)], [INVALID_EPOCH] * 2 + [FENCED] * 3)

    def offsets(self, producer, version=3, id=None, group="g"):
        return self.c.call("AddOffsetsToTxn", version, transactional_id=self.tid if id is None else id,
                           producer_id=producer[0], producer_epoch=producer[1], group_id=group)

    def test_ids_that_nobody_has(self):
        topic = self.topic(self.c)
        self.assertEqual([self.add((1, 0), (topic, 0), version=v, id=self.tid + "x") for v in range(6)],
                         [[INVALID_MAPPING]] * 6)
        self.assertEqual([self.end((1, 0), version=v, id=self.tid + "x").error for v in range(6)],
                         [INVALID_MAPPING] * 6)
        self.assertEqual([self.offsets((1, 0), v, self.tid + "x").error for v in range(5)], [INVALID_MAPPING] * 5)
        pid, epoch = self.init()
        self.assertEqual(self.add((pid + 1, epoch), (topic, 0)), [INVALID_MAPPING])
        self.assertEqual([self.end((pid + 1, epoch), version=v).error for v in (4, 5)], [INVALID_MAPPING] * 2)

    def test_empty_ids(self):
        topic = self.topic(self.c)
        self.assertEqual(self.c.call("InitProducerId", 5, transactional_id="", timeout_ms=1000).error, INVALID_REQUEST)
        self.assertEqual([self.add((1, 0), (topic, 0), version=v, id="") for v in range(6)], [[INVALID_REQUEST]] * 6)
        self.assertEqual([self.end((1, 0), version=v, id="").error for v in range(6)], [INVALID_REQUEST] * 6)
        self.assertEqual([self.offsets((1, 0), v, "").error for v in range(5)], [INVALID_REQUEST] * 5)


class Enrolment(Txn):
    def test_every_version_enrols(self):
        topic = self.topic(self.c, 6)
        producer = self.init()
        for version in range(6):
            self.assertEqual(self.add(producer, (topic, version), version=version), [0])
        state = self.describe()
        self.assertEqual((state.error, state.state, state.timeout_ms, state.producer_id, state.producer_epoch),
                         (0, "Ongoing", 60000, *producer))
        self.assertEqual([(t.name, sorted(t.partitions)) for t in state.topics], [(topic, [0, 1, 2, 3, 4, 5])])
        self.assertGreater(state.start_ms, 0)

    def test_one_that_does_not_exist_spoils_all(self):
        topic = self.topic(self.c)
        producer = self.init()
        for version in range(6):
            self.assertEqual(self.add(producer, (topic, 0), (topic, 9), ("absent", 0), version=version),
                             [NOT_ATTEMPTED, UNKNOWN_PARTITION, UNKNOWN_PARTITION])
        self.assertEqual(self.describe().state, "Empty")

    def test_verification_tells_what_is_enrolled(self):
        topic = self.topic(self.c, 2)
        producer = self.init()
        for version in (4, 5):
            self.assertEqual(self.add(producer, (topic, 0), version=version, verify=True), [ABORTABLE])
        self.enrolled(producer, (topic, 0))
        for version in (4, 5):
            self.assertEqual(self.add(producer, (topic, 0), (topic, 1), version=version, verify=True), [0, ABORTABLE])
            self.assertEqual(self.add((producer[0], producer[1] + 1), (topic, 0), version=version, verify=True),
                             [FENCED])
            self.assertEqual(self.add((producer[0] + 1, 0), (topic, 0), version=version, verify=True),
                             [INVALID_MAPPING])
            self.assertEqual(self.add(producer, (topic, 0), version=version, verify=True, id=""), [INVALID_REQUEST])
            self.assertEqual(self.add(producer, (topic, 0), version=version, verify=True, id=self.tid + "x"),
                             [INVALID_MAPPING])

    def test_a_batch_of_transactions(self):
        topic = self.topic(self.c, 2)
        ids = [self.tid + suffix for suffix in "abc"]
        producers = [self.init(id=i) for i in ids]
        self.enrolled(producers[1], (topic, 1), id=ids[1])

        def one(k, verify, *partitions):
            return {"transactional_id": ids[k], "producer_id": producers[k][0], "producer_epoch": producers[k][1],
                    "verify_only": verify, "topics": [{"name": topic, "partitions": list(partitions)}]}

        answer = self.c.call("AddPartitionsToTxn", 5, transactions=[
            one(0, False, 0, 1), one(1, True, 0, 1), dict(one(2, False, 0), producer_epoch=9)])
        self.assertEqual(answer.error, 0)
        self.assertEqual({t.transactional_id: {p.index: p.error for r in t.topics for p in r.partitions}
                          for t in answer.transactions},
                         {ids[0]: {0: 0, 1: 0}, ids[1]: {0: ABORTABLE, 1: 0}, ids[2]: {0: FENCED}})

    def test_offsets_enrol_the_partition_of_the_group(self):
        self.c.wait_coordinators()
        for version in range(5):
            producer = self.init()
            answer = self.c.call("AddOffsetsToTxn", version, transactional_id=self.tid, producer_id=producer[0],
                                 producer_epoch=producer[1], group_id="some-group")
            self.assertEqual(answer.error, 0)
            state = self.describe()
            self.assertEqual([t.name for t in state.topics], ["__consumer_offsets"])
            self.ended(producer, False)


class Ends(Txn):
    def begin(self, version=3):
        self.t = self.topic(self.c, 2)
        self.p = self.init()
        self.enrolled(self.p, (self.t, 0), (self.t, 1), version=version)

    def test_every_old_version_ends(self):
        self.begin()
        for version in range(5):
            for commit in (True, False):
                self.enrolled(self.p, (self.t, 0))
                self.ended(self.p, commit, version)
                self.state("CompleteCommit" if commit else "CompleteAbort")

    def test_repeated_and_contradicted_ends(self):
        for commit in (True, False):
            self.begin()
            self.ended(self.p, commit)
            self.state("CompleteCommit" if commit else "CompleteAbort")
            for version in range(5):
                self.assertEqual(self.end(self.p, commit, version).error, 0)
                self.assertEqual(self.end(self.p, not commit, version).error, INVALID_STATE)

    def test_nothing_to_end(self):
        producer = self.init()
        self.assertEqual([self.end(producer, c, v).error for v in range(5) for c in (True, False)],
                         [INVALID_STATE] * 10)
        self.assertEqual(self.end(producer, True, 5).error, INVALID_STATE)

    def test_a_redpanda_3501_repeated_commit_is_told_the_first_outcome(self):
        self.begin(4)
        first = self.ended(self.p, True, 5)
        again = self.retry(lambda: self.end(self.p, True, 5))
        self.assertEqual((again.error, again.producer_id, again.producer_epoch),
                         (0, first.producer_id, first.producer_epoch))
        self.assertEqual(self.end(self.p, False, 5).error, INVALID_STATE)

    def test_version_5_gives_the_next_epoch(self):
        self.begin(4)
        answer = self.ended(self.p, True, 5)
        self.assertEqual((answer.producer_id, answer.producer_epoch), (self.p[0], self.p[1] + 1))
        self.state("CompleteCommit")
        self.assertEqual(self.add(self.p, (self.t, 0), version=4), [FENCED])
        new = (answer.producer_id, answer.producer_epoch)
        self.enrolled(new, (self.t, 0), version=4)
        answer = self.ended(new, False, 5)
        self.assertEqual(answer.producer_epoch, new[1] + 1)

    def test_version_5_aborts_what_was_never_begun(self):
        producer = self.init()
        answer = self.ended(producer, False, 5)
        self.assertEqual((answer.producer_id, answer.producer_epoch), (producer[0], producer[1] + 1))
        self.state("CompleteAbort")
        # The one before again, then the next.
        answer = self.ended(producer, False, 5)
        self.assertEqual(answer.producer_epoch, producer[1] + 1)
        answer = self.ended((producer[0], producer[1] + 1), False, 5)
        self.assertEqual(answer.producer_epoch, producer[1] + 2)
        self.state("CompleteAbort")
        self.assertEqual(self.end(producer, False, 5).error, FENCED)

    def test_kafka_late_end_does_not_hit_the_next_transaction(self):
        # A late EndTxn of the transaction before, over another connection, in version 2 of transactions.
        self.begin(4)
        other = self.conn()
        answer = self.ended(self.p, True, 5)
        new = (answer.producer_id, answer.producer_epoch)
        self.enrolled(new, (self.t, 1), version=4)
        self.assertEqual(self.end(self.p, True, 5, conn=other).error, FENCED)
        self.assertEqual(self.end(self.p, False, 5, conn=other).error, FENCED)
        self.assertEqual(self.describe().state, "Ongoing")
        self.assertEqual(self.ended(new, True, 5).producer_epoch, new[1] + 1)

    def test_kafka_late_enrolment_does_not_hit_the_next_transaction(self):
        self.begin(4)
        other = self.conn()
        answer = self.ended(self.p, True, 5)
        new = (answer.producer_id, answer.producer_epoch)
        self.eventually(lambda: self.assertEqual(self.add(self.p, (self.t, 0), version=4, conn=other), [FENCED]))
        self.state("CompleteCommit")
        self.enrolled(new, (self.t, 1), version=4)
        self.assertEqual([(t.name, t.partitions) for t in self.describe().topics], [(self.t, [1])])

    def test_old_and_new_protocol_in_turn(self):
        self.begin()
        self.ended(self.p, True, 4)
        self.enrolled(self.p, (self.t, 0), version=4)
        answer = self.ended(self.p, True, 5)
        new = (answer.producer_id, answer.producer_epoch)
        self.assertEqual(new, (self.p[0], self.p[1] + 1))
        self.enrolled(new, (self.t, 0))
        self.ended(new, True, 4)

    def test_a_topic_that_is_deleted_meanwhile_does_not_hold_the_end_up(self):
        self.begin()
        gone = self.topic(self.c)
        self.enrolled(self.p, (gone, 0))
        self.c.delete(gone)
        self.ended(self.p, True)
        self.state("CompleteCommit")

    def test_epochs_at_their_end(self):
        # Each abort of nothing raises the epoch; the last one in use is 32766, then comes another producer id.
        producer = self.init()
        while producer[1] < EPOCH_LAST:
            answer = self.retry(lambda: self.end(producer, False, 5))
            self.assertEqual(answer.error, 0)
            producer = (answer.producer_id, answer.producer_epoch)
        first, topic = producer[0], self.topic(self.c)
        self.enrolled(producer, (topic, 0), version=4)
        answer = self.retry(lambda: self.end(producer, True, 5))
        self.assertEqual((answer.error, answer.producer_epoch), (0, 0))
        self.assertNotEqual(answer.producer_id, first)
        self.state("CompleteCommit")
        again = self.retry(lambda: self.end(producer, True, 5))
        self.assertEqual((again.error, again.producer_id, again.producer_epoch), (0, answer.producer_id, 0))
        self.assertEqual(self.end(producer, False, 5).error, INVALID_STATE)
        self.assertEqual(self.add(producer, (topic, 0), version=4), [INVALID_MAPPING])
        self.enrolled((answer.producer_id, 0), (topic, 0), version=4)


class Offsets(Txn):
    def setUp(self):
        super().setUp()
        self.group = "g-" + self.tid
        self.c.wait_coordinators()
        self.t = self.topic(self.c, 3)

    def commit(self, producer, offset, version=3, index=0, topic=None, **values):
        answer = self.c.call("TxnOffsetCommit", version, transactional_id=self.tid, group_id=self.group,
                             producer_id=producer[0], producer_epoch=producer[1], topics=[
                                 {"name": topic or self.t,
                                  "partitions": [{"index": index, "offset": offset, "metadata": "m"}]}], **values)
        return answer.topics[0].partitions[0].error

    def committed(self, producer, offset, **values):
        end = time.monotonic() + 20
        while True:
            error = self.commit(producer, offset, **values)
            if error not in (14, 15, 16, CONCURRENT) or time.monotonic() > end:
                self.assertEqual(error, 0)
                return
            time.sleep(0.02)

    def enrol(self, producer):
        answer = self.retry(lambda: self.c.call("AddOffsetsToTxn", 3, transactional_id=self.tid,
                                                producer_id=producer[0], producer_epoch=producer[1],
                                                group_id=self.group))
        self.assertEqual(answer.error, 0)

    def fetch(self, index=0, stable=False, version=8):
        answer = self.c.call("OffsetFetch", version, require_stable=stable, groups=[
            {"group": self.group, "topics": [{"name": self.t, "partitions": [index]}]}])
        one = answer.groups[0].topics[0].partitions[0]
        return one.error, one.offset

    def fetched(self, wanted, index=0):
        self.eventually(lambda: self.assertEqual(self.fetch(index, True), (0, wanted)))

    def test_every_version_commits_and_aborts(self):
        offset, kept = 10, -1
        for version in range(6):
            for commit in (True, False):
                producer = self.init()
                if version < 5:
                    self.enrol(producer)
                self.committed(producer, offset, version=version)
                self.assertEqual(self.fetch(), (0, kept))
                self.assertEqual(self.fetch(stable=True), (UNSTABLE, -1))
                self.ended(producer, commit, 5 if version == 5 else 4)
                kept = offset if commit else kept
                self.fetched(kept)
                offset += 1

    def test_version_5_enrols_by_itself(self):
        producer = self.init()
        self.committed(producer, 5, version=5)
        self.assertEqual([t.name for t in self.describe().topics], ["__consumer_offsets"])

    def test_not_enrolled(self):
        producer = self.init()
        self.assertEqual([self.commit(producer, 5, version=v) for v in range(5)], [INVALID_STATE] * 4 + [ABORTABLE])
        self.assertEqual(self.fetch(stable=True), (0, -1))

    def test_redpanda_9571_a_stable_read_waits_for_the_end(self):
        producer = self.init()
        self.enrol(producer)
        self.committed(producer, 42)
        self.assertEqual(self.fetch(stable=True), (UNSTABLE, -1))
        self.assertEqual(self.fetch(1, stable=True), (0, -1))
        self.assertEqual(self.end(producer, True).error, 0)
        seen = set()
        self.eventually(lambda: (seen.add(self.fetch(stable=True)), self.assertIn((0, 42), seen)))
        self.assertLessEqual(seen, {(UNSTABLE, -1), (0, 42)})

    def test_a_zombie_cannot_commit(self):
        old = self.init()
        self.enrol(old)
        self.committed(old, 1)
        new = self.init()
        for version, error in ((0, INVALID_EPOCH), (3, INVALID_EPOCH), (4, INVALID_EPOCH), (5, INVALID_EPOCH)):
            self.assertEqual(self.commit(old, 9, version=version), error)
        self.fetched(-1)
        self.enrol(new)
        self.committed(new, 2)
        self.ended(new)
        self.fetched(2)

    def test_groups_and_members(self):
        producer = self.init()
        self.enrol(producer)
        self.assertEqual(self.commit(producer, 1, generation_id=3, member_id="nobody"), ILLEGAL_GENERATION)
        self.assertEqual(self.commit(producer, 1, topic="absent"), UNKNOWN_PARTITION)
        self.assertEqual(self.commit(producer, 1, index=7), UNKNOWN_PARTITION)
        self.committed(producer, 1)
        self.ended(producer)
        self.fetched(1)

    def test_a_plain_commit_after_it_wins(self):
        producer = self.init()
        self.enrol(producer)
        self.committed(producer, 7)
        self.committed(producer, 70, index=1)
        answer = self.c.call("OffsetCommit", 8, group=self.group, topics=[
            {"name": self.t, "partitions": [{"index": 0, "offset": 8}]}])
        self.assertEqual(answer.topics[0].partitions[0].error, 0)
        self.assertEqual(self.fetch(), (0, 8))
        self.ended(producer)
        self.fetched(8)
        self.fetched(70, 1)

    def test_a_deleted_group_does_not_come_back(self):
        producer = self.init()
        self.enrol(producer)
        self.committed(producer, 7)
        self.assertEqual(self.c.call("DeleteGroups", 2, groups=[self.group]).results[0].error, 0)
        self.assertEqual(self.fetch(stable=True), (0, -1))
        self.ended(producer)
        self.fetched(-1)


class Listing(Txn):
    def listed(self, version=2, **values):
        answer = self.c.call("ListTransactions", version, **values)
        return answer, {s.transactional_id: s.state for s in answer.states}

    def test_filters(self):
        topic = self.topic(self.c)
        ids = [self.tid + s for s in ("-a", "-b", "-c")]
        producers = [self.init(id=i) for i in ids]
        self.enrolled(producers[1], (topic, 0), id=ids[1])
        for version in range(3):
            answer, all_ids = self.listed(version)
            self.assertEqual(answer.error, 0)
            self.assertEqual([all_ids[i] for i in ids], ["Empty", "Ongoing", "Empty"])
        answer, some = self.listed(0, state_filters=["Ongoing", "Nonsense", "Other"])
        self.assertEqual(sorted(answer.unknown_state_filters), ["Nonsense", "Other"])
        self.assertEqual(set(some) & set(ids), {ids[1]})
        self.assertEqual(set(some.values()), {"Ongoing"})
        self.assertEqual(self.listed(0, state_filters=["Nonsense"])[1], {})
        self.assertEqual(self.listed(0, state_filters=["ongoing"])[0].unknown_state_filters, ["ongoing"])
        self.assertEqual(self.listed(0, producer_id_filters=[producers[0][0], producers[2][0]])[1],
                         {ids[0]: "Empty", ids[2]: "Empty"})
        self.assertEqual(self.listed(0, producer_id_filters=[producers[0][0]], state_filters=["Ongoing"])[1], {})
        self.assertEqual(self.listed(2, pattern=self.tid + "-[ab]")[1], {ids[0]: "Empty", ids[1]: "Ongoing"})
        self.assertEqual(self.listed(2, pattern=self.tid)[1], {})
        self.assertEqual(self.listed(2, pattern="([")[0].error, BAD_PATTERN)
        self.assertIn(ids[0], self.listed(2, pattern="")[1])

    def test_duration(self):
        topic = self.topic(self.c)
        self.enrolled(self.init(), (topic, 0))
        empty = self.tid + "-empty"
        self.init(id=empty)
        for version in (1, 2):
            self.assertNotIn(self.tid, self.listed(version, duration_filter=60000)[1])
            self.eventually(lambda v=version: self.assertIn(self.tid, self.listed(v, duration_filter=50)[1]))
            self.assertIn(self.tid, self.listed(version, duration_filter=-1)[1])
            self.assertIn(empty, self.listed(version, duration_filter=1000)[1])

    def test_describe(self):
        producer = self.init(timeout_ms=12345)
        answer = self.c.call("DescribeTransactions", 0, transactional_ids=[self.tid + "x", self.tid, ""])
        states = {s.transactional_id: s for s in answer.states}
        self.assertEqual([states[i].error for i in (self.tid + "x", self.tid)], [ID_NOT_FOUND, 0])
        one = states[self.tid]
        self.assertEqual((one.state, one.timeout_ms, one.start_ms, one.producer_id, one.producer_epoch, one.topics),
                         ("Empty", 12345, -1, *producer, []))


class Time(Txn):
    own = is_fair = True
    overrides = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "100",
                 "transactional.id.expiration.ms": "2000",
                 "transaction.remove.expired.transaction.cleanup.interval.ms": "200"}

    def test_a_transaction_that_takes_too_long_is_aborted(self):
        topic = self.topic(self.c)
        producer = self.init(timeout_ms=300)
        self.enrolled(producer, (topic, 0))
        state = self.state("CompleteAbort")
        self.assertEqual((state.producer_id, state.producer_epoch), (producer[0], producer[1] + 1))
        self.assertEqual(self.end(producer).error, FENCED)
        self.assertEqual(self.add(producer, (topic, 0)), [FENCED])

    def test_unused_ids_are_forgotten(self):
        self.init()
        self.eventually(lambda: self.assertEqual(self.describe().error, ID_NOT_FOUND), 15)
        self.assertEqual(self.init()[1], 0)


class Crashes(Txn):
    own = is_fair = True

    def test_state_survives(self):
        topic = self.topic(self.c)
        producer = self.init()
        self.enrolled(producer, (topic, 0))
        before = self.describe()
        self.broker.crash()
        self.c = self.conn()
        self.eventually(lambda: self.assertEqual(self.describe(), before))
        self.ended(producer)
        self.state("CompleteCommit")
        self.broker.crash()
        self.c = self.conn()
        self.eventually(lambda: self.assertEqual(self.end(producer).error, 0))
        self.assertEqual(self.end(producer, False).error, INVALID_STATE)

    def test_the_end_goes_on_after_a_crash(self):
        topic = self.topic(self.c, 40)
        producer = self.init()
        for i in range(40):
            self.enrolled(producer, (topic, i))
        self.c.send("EndTxn", 4, transactional_id=self.tid, producer_id=producer[0], producer_epoch=producer[1],
                    committed=True)
        self.broker.crash()
        self.c = self.conn()
        self.retry(lambda: self.end(producer))
        self.state("CompleteCommit")


class Features(Txn):
    own = is_fair = True

    def level(self, level):
        answer = self.c.call("UpdateFeatures", 1, updates=[
            {"feature": "transaction.version", "level": level, "upgrade_type": 1 if level > self.finalized() else 2}])
        self.assertEqual(answer.error, 0)

    def finalized(self):
        answer = self.c.call("ApiVersions", 4, software_name="e2e", software_version="1")
        return {f.name: f.max for f in answer.finalized_features}.get("transaction.version", 0)

    def test_switched_while_running(self):
        topic = self.topic(self.c)
        self.assertEqual(self.finalized(), 2)
        producer = self.init()
        for level in (1, 0, 2, 0, 1, 2):
            self.enrolled(producer, (topic, 0))
            before = self.describe()
            self.level(level)
            self.eventually(lambda wanted=level: self.assertEqual(self.finalized(), wanted))
            self.assertEqual(self.describe(), before)
            self.ended(producer)
            self.state("CompleteCommit")
            self.broker.crash()
            self.c = self.conn()
            self.eventually(lambda: self.assertEqual(self.describe().state, "CompleteCommit"))
