# SPDX-License-Identifier: Apache-2.0
"""DescribeClientQuotas, AlterClientQuotas, and what the quotas do."""
import select
import time
import unittest

from lib.batch import batch
from lib.broker import free_port
from lib.case import Case, moldau_only
from lib.client import Closed, Conn

PRODUCE, CONSUME, REQUEST = "producer_byte_rate", "consumer_byte_rate", "request_percentage"
MUTATION, CONNECT = "controller_mutation_rate", "connection_creation_rate"


def op(key, value=None):
    return {"key": key, "value": float(value or 0), "remove": value is None}


class Quotas(Case):
    def alter(self, conn, entity, *ops, version=1, validate_only=False):
        """(error, message) of one entity, which is told back."""
        answer = conn.call("AlterClientQuotas", version, validate_only=validate_only, entries=[
            {"entity": [{"type": t, "name": n} for t, n in entity], "ops": list(ops)}]).entries
        self.assertEqual(len(answer), 1)
        self.assertEqual(sorted((p.type, p.name or "") for p in answer[0].entity),
                         sorted(dict((t, (t, n or "")) for t, n in entity).values()))
        return answer[0].error, answer[0].message

    def set(self, conn, entity, **values):
        self.assertEqual(self.alter(conn, entity, *(op(k, v) for k, v in values.items())), (0, None))
        self.addCleanup(self.unset, entity, values)

    def unset(self, entity, keys):
        conn = self.conn()
        self.alter(conn, entity, *(op(k) for k in keys))
        conn.close()

    def describe(self, conn, *components, strict=False, version=1):
        """{entity: {key: value}} or (error, message)."""
        answer = conn.call("DescribeClientQuotas", version, strict=strict, components=[
            {"entity_type": t, "match_type": m, "match": x} for t, m, x in components])
        if answer.error:
            self.assertIsNone(answer.entries)
            return answer.error, answer.message
        self.assertEqual(answer.message, "")
        return {tuple(sorted(((p.type, p.name) for p in e.entity), key=str)): {v.key: v.value for v in e["values"]}
                for e in answer.entries}


class Configure(Quotas):
    def test_every_version(self):
        conn = self.conn()
        for version in (0, 1):
            name = self.name()
            self.assertEqual(self.alter(conn, [("client-id", name)], op(PRODUCE, 1000), version=version), (0, None))
            seen = self.eventually(lambda: self.seen(conn, ("client-id", 0, name), version=version))
            self.assertEqual(seen, {(("client-id", name),): {PRODUCE: 1000.0}})
            self.unset([("client-id", name)], [PRODUCE])

    def seen(self, conn, *components, **values):
        seen = self.describe(conn, *components, **values)
        self.assertTrue(seen)
        return seen

    def test_set_change_remove(self):
        conn, name = self.conn(), self.name()
        entity, key = [("user", name)], (("user", name),)
        self.set(conn, entity, **{PRODUCE: 1000, REQUEST: 12.5})
        self.assertEqual(self.seen(conn, ("user", 0, name)), {key: {PRODUCE: 1000.0, REQUEST: 12.5}})
        self.assertEqual(self.alter(conn, entity, op(PRODUCE), op(CONSUME, 7), validate_only=True), (0, None))
        self.assertEqual(self.seen(conn, ("user", 0, name)), {key: {PRODUCE: 1000.0, REQUEST: 12.5}})
        self.assertEqual(self.alter(conn, entity, op(PRODUCE), op(CONSUME, 7)), (0, None))
        self.eventually(lambda: self.assertEqual(self.seen(conn, ("user", 0, name)),
                                                 {key: {CONSUME: 7, REQUEST: 12.5}}))
        self.assertEqual(self.alter(conn, entity, op(REQUEST), op(CONSUME), op("foo")), (0, None))
        self.eventually(lambda: self.assertEqual(self.describe(conn, ("user", 0, name)), {}))

    def test_refused(self):
        conn, z = self.conn(), [("client-id", "z")]
        for entity, ops, message in (
                (z, [op(PRODUCE, 10.5)], f"{PRODUCE} cannot be a fractional value."),
                (z, [op(CONSUME, 10), op(PRODUCE, 10.5)], f"{PRODUCE} cannot be a fractional value."),
                (z, [op(PRODUCE, 0.0) | {"remove": False}], f"Quota {PRODUCE} must be greater than 0"),
                (z, [op(REQUEST, -1)], f"Quota {REQUEST} must be greater than 0"),
                (z, [op(PRODUCE, 1e30)], f"Proposed value for {PRODUCE} is too large for a LONG."),
                (z, [op(PRODUCE, float("inf"))], f"Proposed value for {PRODUCE} is too large for a LONG."),
                (z, [op("foo", 1)], "Invalid configuration key foo"),
                (z, [op(CONNECT, 1)], f"Invalid configuration key {CONNECT}"),
                (z, [op(PRODUCE, 1), op(PRODUCE, 2)],
                 "Ignoring duplicate entity ClientQuotaEntity(entries={client-id=z})"),
                ([("ip", "127.0.0.9")], [op(PRODUCE, 1)], f"Invalid configuration key {PRODUCE}"),
                ([("ip", "127.0.0.9")], [op(CONNECT, 1.5)], f"{CONNECT} cannot be a fractional value."),
                ([("ip", "127.0.0.9")], [op(CONNECT, 1e12)], f"Proposed value for {CONNECT} is too large for an INT."),
                ([("ip", "no.such.host.invalid")], [op(CONNECT, 1)],
                 "no.such.host.invalid is not a valid IP or resolvable host."),
                ([("ip", "127.0.0.9"), ("user", "a")], [op(CONNECT, 1)],
                 "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"),
                ([("ip", "")], [op(CONNECT, 1)], "Empty ip not supported"),
                ([("user", "")], [op(PRODUCE, 1)], "Empty user not supported"),
                ([("client-id", "")], [op(PRODUCE)], "Empty client-id not supported"),
                ([], [op(PRODUCE, 1)], "Invalid empty client quota entity"),
                ([("foo", "x")], [op(PRODUCE, 1)], "Unhandled client quota entity type: foo"),
                ([("user", "x"), ("foo", "x")], [op(PRODUCE, 1)], "Unhandled client quota entity type: foo")):
            for validate_only in (True, False):
                with self.subTest(entity=entity, ops=ops):
                    self.assertEqual(self.alter(conn, entity, *ops, validate_only=validate_only), (42, message))
        self.assertEqual(self.describe(conn, ("client-id", 0, "z")), {})

    def test_entity_twice(self):
        conn, name = self.conn(), self.name()
        entry = {"entity": [{"type": "client-id", "name": name}], "ops": [op(PRODUCE, 1)]}
        answer = conn.call("AlterClientQuotas", 1, entries=[entry, dict(entry, ops=[op(CONSUME, 2)])])
        self.assertEqual([(e.error, e.message) for e in answer.entries], [
            (42, f"Ignoring duplicate entity ClientQuotaEntity(entries={{client-id={name}}})")])
        self.eventually(lambda: self.assertEqual(self.describe(conn, ("client-id", 0, name)),
                                                 {(("client-id", name),): {PRODUCE: 1.0}}))
        self.unset([("client-id", name)], [PRODUCE])

    def test_filters(self):
        conn, a, b = self.conn(), self.name(), self.name()
        self.set(conn, [("client-id", a)], **{PRODUCE: 1})
        self.set(conn, [("user", b), ("client-id", a)], **{PRODUCE: 2})
        self.set(conn, [("user", b), ("client-id", None)], **{PRODUCE: 3})
        one, two, three = ((("client-id", a),), (("client-id", a), ("user", b)), (("client-id", None), ("user", b)))
        for components, strict, entities in (
                ([("client-id", 0, a)], False, {one, two}), ([("client-id", 0, a)], True, {one}),
                ([("user", 0, b)], False, {two, three}), ([("user", 0, b)], True, set()),
                ([("user", 0, b), ("client-id", 1, None)], True, {three}),
                ([("user", 0, b), ("client-id", 2, None)], True, {two, three}),
                ([("user", 1, None), ("client-id", 0, a)], False, set())):
            with self.subTest(components=components, strict=strict):
                self.eventually(lambda: self.assertEqual(
                    set(self.describe(conn, *components, strict=strict)), entities))
        self.assertLessEqual({one, two, three}, set(self.describe(conn)))
        self.assertEqual(self.describe(conn, strict=True), {})

    def test_bad_filters(self):
        conn = self.conn()
        both = "Invalid entity filter component combination. IP filter component should not be used with user or " \
               "clientId filter component."
        for components, error, message in (
                ([("ip", 2, None), ("user", 2, None)], 42, both), ([("ip", 2, None), ("client-id", 2, None)], 42, both),
                ([("foo", 2, None)], 35, "Unsupported entity type foo"),
                ([("", 2, None)], 42, "Invalid empty entity type."),
                ([("user", 0, None)], 42, "Request specified MATCH_TYPE_EXACT, but set match string to null."),
                ([("user", 1, "x")], 42, "Request specified MATCH_TYPE_DEFAULT, but also specified a match string."),
                ([("user", 2, "x")], 42, "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string."),
                ([("user", 3, None)], 42, "Unknown match type 3"), ([("user", -1, None)], 42, "Unknown match type -1"),
                ([("user", 0, "a"), ("user", 2, None)], 42,
                 "Entity type user cannot appear more than once in the filter.")):
            with self.subTest(components=components):
                self.assertEqual(self.describe(conn, *components), (error, message))

    @moldau_only
    def test_survives_restart(self):
        broker = self.moldau().start()
        conn = broker.conn()
        self.assertEqual(self.alter(conn, [("client-id", None)], op(CONSUME, 123456)), (0, None))
        broker.stop()
        broker.start()
        self.assertEqual(self.describe(broker.conn(), ("client-id", 1, None)),
                         {(("client-id", None),): {CONSUME: 123456.0}})


class Enforce(Quotas):
    """What a client with a limit gets, measured over some windows."""

    RATE = 200_000

    def limited(self, **values):
        """A connection whose client id has these limits."""
        name = self.name()
        self.set(self.conn(), [("client-id", name)], **values)
        return self.conn(client_id=name)

    def in_time(self, n, start):
        """No more than the limit, and, with some patience for a machine that has other work, as much."""
        rate = n / (time.monotonic() - start)
        self.assertTrue(self.RATE * 0.6 <= rate <= self.RATE * 1.15, rate)

    def test_produce(self):
        conn = self.limited(producer_byte_rate=self.RATE)
        topic = self.topic(conn)
        data, sent, told, start = [b"x" * 20_000], 0, 0, time.monotonic()
        while time.monotonic() - start < 10.8:
            answer = conn.call("Produce", 9, acks=-1, timeout_ms=5000, topics=[
                {"name": topic, "partitions": [{"index": 0, "records": batch(data)}]}])
            self.assertEqual(answer.topics[0].partitions[0].error, 0)
            sent += 20_000
            told += answer.throttle_ms
        # What came at once counts until its windows are over.
        self.in_time(sent, start)
        self.assertGreater(told, 1000)

    def test_produce_without_answer_is_slowed_too(self):
        conn = self.limited(producer_byte_rate=self.RATE)
        topic = self.topic(conn)
        start = time.monotonic()
        for _ in range(3):
            conn.produce(topic, [b"x" * 900_000], acks=0)
        self.assertEqual(conn.call("ApiVersions", 0).error, 0)
        self.assertGreater(time.monotonic() - start, 2.5)

    def test_others_are_not_slowed(self):
        conn = self.limited(producer_byte_rate=1000)
        topic = self.topic(conn)
        start, other = time.monotonic(), self.conn()
        first = conn.call("Produce", 9, acks=-1, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"index": 0, "records": batch([b"x" * 14_000])}]}])
        self.assertGreater(first.throttle_ms, 3000)
        conn.send("ApiVersions", 0)
        self.assertEqual(other.produce(topic, [b"x" * 14_000]).error, 0)
        self.assertEqual(select.select([conn.sock], [], [], 0)[0], [], "it had to wait as long")
        self.assertEqual(conn.recv("ApiVersions", 0).error, 0)
        self.assertGreater(time.monotonic() - start, 0.9)

    def test_fetch(self):
        conn = self.limited(consumer_byte_rate=self.RATE)
        topic = self.topic(self.conn())
        feed = self.conn()
        for _ in range(40):
            feed.produce(topic, [b"x" * 10_000])
        got, empty, start = 0, 0, time.monotonic()
        while time.monotonic() - start < 10.8:
            answer = conn.call("Fetch", 12, max_wait_ms=500, min_bytes=1, max_bytes=1 << 26, topics=[
                {"name": topic, "partitions": [{"index": 0, "offset": 30, "max_bytes": 1 << 20}]}])
            self.assertEqual(answer.error, 0)
            self.assertEqual(answer.topics == [], answer.throttle_ms > 0)
            empty += not answer.topics
            got += sum(len(t.partitions[0].records) for t in answer.topics)
        self.in_time(got, start)
        self.assertGreater(empty, 0)

    def test_fetch_sessions(self):
        """An answer that is empty for the limit's sake begins no session, and goes on with one."""
        conn = self.limited(consumer_byte_rate=10_000)
        topic = self.topic(self.conn())
        self.conn().produce(topic, [b"x" * 30_000])
        want = [{"name": topic, "partitions": [{"index": 0, "offset": 0, "max_bytes": 1 << 20}]}]
        first = conn.call("Fetch", 12, max_wait_ms=0, session_epoch=0, max_bytes=1 << 20, topics=want)
        self.assertEqual((first.error, first.throttle_ms), (0, 0))
        self.assertGreater(first.session_id, 0)
        answers = []
        for epoch in range(1, 6):
            answers.append(conn.call("Fetch", 12, max_wait_ms=0, session_id=first.session_id, session_epoch=epoch,
                                     max_bytes=1 << 20, topics=want))
            if answers[-1].throttle_ms:
                break
        self.assertGreater(answers[-1].throttle_ms, 0)
        self.assertEqual({(a.error, a.session_id) for a in answers}, {(0, first.session_id)})
        self.assertEqual(answers[-1].topics, [])
        other = self.conn(client_id=conn.client_id)

        def known():  # to every reactor
            fresh = other.call("Fetch", 12, max_wait_ms=0, session_epoch=0, max_bytes=1 << 20, topics=want)
            self.assertGreater(fresh.throttle_ms, 0)
            self.assertEqual((fresh.error, fresh.session_id, fresh.topics), (0, 0, []))
        self.eventually(known)

    def test_one_answer_holds_no_more_than_the_windows(self):
        conn = self.limited(consumer_byte_rate=5_000)
        topic = self.topic(self.conn())
        for _ in range(20):
            self.conn().produce(topic, [b"x" * 10_000])
        answer = conn.call("Fetch", 12, max_wait_ms=0, max_bytes=1 << 26, topics=[
            {"name": topic, "partitions": [{"index": 0, "offset": 0, "max_bytes": 1 << 20}]}])
        self.assertLessEqual(sum(len(t.partitions[0].records) for t in answer.topics), 50_000)

    def test_request_time(self):
        conn = self.limited(request_percentage=0.0001)
        told = [conn.call("Metadata", 12, topics=None).throttle_ms for _ in range(6)]
        self.assertGreater(max(told), 0)
        self.assertLessEqual(max(told), 1000)

    def test_precedence(self):
        """User and client id before user before client id; the defaults after each."""
        name = self.name()
        conn, data = self.conn(client_id=name), [b"x" * 60_000]
        topic = self.topic(conn)
        tight, loose = {PRODUCE: 1000}, {PRODUCE: 1 << 30}
        levels = ([("client-id", name)], [("user", "ANONYMOUS")], [("user", "ANONYMOUS"), ("client-id", name)])
        for i, entity in enumerate(levels):
            self.set(self.conn(), entity, **tight)
            with self.subTest(entity=entity):
                time.sleep(0.3)
                answer = conn.call("Produce", 9, acks=-1, timeout_ms=5000, topics=[
                    {"name": topic, "partitions": [{"index": 0, "records": batch(data)}]}])
                self.assertGreater(answer.throttle_ms, 10_000)
            conn.close()
            self.set(self.conn(), entity, **loose)
            conn = self.conn(client_id=name)
            time.sleep(0.3)
            self.assertEqual(conn.call("Produce", 9, acks=-1, timeout_ms=5000, topics=[
                {"name": topic, "partitions": [{"index": 0, "records": batch(data)}]}]).throttle_ms, 0)

    def create(self, conn, version, *partitions, validate_only=False):
        names = [self.name() for _ in partitions]
        answer = conn.call("CreateTopics", version, validate_only=validate_only, topics=[
            {"name": n, "partition_n": p, "replication_factor": 1} for n, p in zip(names, partitions)])
        return answer.throttle_ms, [(t.error, t.message) for t in answer.topics], names

    def test_changes_are_refused(self):
        conn = self.limited(controller_mutation_rate=1)
        start = time.monotonic()
        throttle, errors, names = self.create(conn, 7, 5, 8, 1)
        self.assertEqual(errors, [(0, None), (0, None), (89, None)])
        self.assertTrue(1500 < throttle <= 2000, throttle)
        throttle, errors, _ = self.create(conn, 7, 1, validate_only=True)
        self.assertGreater(time.monotonic() - start, 1.4)
        self.assertEqual((throttle, errors), (0, [(0, None)]))
        throttle, errors, _ = self.create(conn, 7, 4, 1, validate_only=True)
        self.assertEqual(errors[-1], (89, None))
        time.sleep(throttle / 1000 + 0.1)  # what the client is told is rounded, and so is the time it is not heard
        answer = conn.call("DeleteTopics", 5, names=names[:2])
        self.assertEqual([t.error for t in answer.topics][0], 0)

    def test_changes_of_old_versions_are_slowed(self):
        conn = self.limited(controller_mutation_rate=2)
        throttle, errors, _ = self.create(conn, 5, 20, 4)
        self.assertEqual(errors, [(0, None), (0, None)])
        self.assertTrue(500 < throttle <= 1000, throttle)

    def grow(self, conn, version, names, count):
        answer = conn.call("CreatePartitions", version, topics=[{"name": n, "count": count} for n in names])
        return answer.throttle_ms, [(r.error, r.message) for r in answer.results]

    def test_growing_is_refused(self):
        topics = [self.topic(self.conn()) for _ in range(3)]
        conn = self.limited(controller_mutation_rate=1)
        throttle, errors = self.grow(conn, 3, topics, 8)
        self.assertEqual(errors, [(0, None), (0, None), (89, None)])
        self.assertTrue(2000 < throttle <= 3000, throttle)

    def test_growing_in_an_old_version_is_slowed(self):
        topics = [self.topic(self.conn()) for _ in range(2)]
        conn = self.limited(controller_mutation_rate=1)
        throttle, errors = self.grow(conn, 2, topics, 8)
        self.assertEqual(errors, [(0, None), (0, None)])
        self.assertTrue(2000 < throttle <= 3000, throttle)


@moldau_only
class Connections(Quotas):
    """How many connections, and how fast."""

    def alive(self, conn):
        conn.call("ApiVersions", 0)
        return conn

    def wants(self, conn):
        conn.send("ApiVersions", 0)
        return conn

    def configure(self, broker, **values):
        answer = broker.conn().call("IncrementalAlterConfigs", 1, resources=[{"type": 4, "name": "", "configs": [
            {"name": k.replace("_", "."), "op": 0, "value": str(v)} for k, v in values.items()]}]).responses[0]
        self.assertEqual((answer.error, answer.message), (0, None))

    def test_over_the_brokers_limit_they_wait(self):
        broker = self.moldau({"max.connections": "3"}).start()
        held = [self.alive(self.conn(broker)) for _ in range(3)]
        late = self.wants(self.conn(broker))
        self.assertTrue(late.silent(0.7), "served beyond the limit")
        held.pop().close()
        self.assertEqual(late.recv("ApiVersions", 0).error, 0)

    def test_a_listeners_own_limit(self):
        broker = self.moldau({"listener.name.plaintext.max.connections": "2"}).start()
        held = [self.alive(self.conn(broker)) for _ in range(2)]
        late = self.wants(self.conn(broker))
        self.assertTrue(late.silent(0.7))
        held.pop().close()
        self.assertEqual(late.recv("ApiVersions", 0).error, 0)

    def test_a_lower_limit_ends_the_longest_quiet(self):
        broker = self.moldau().start()
        conns = [self.alive(self.conn(broker)) for _ in range(6)]
        self.configure(broker, max_connections=4)
        self.assertTrue(conns[0].closed(5))
        self.alive(conns[5])

    def comers(self, broker, seconds):
        """How many connections in a row are served within the time."""
        n, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            with broker.conn() as conn:
                conn.call("ApiVersions", 0)
            n += 1
        return n

    def test_between_brokers_there_is_always_a_place(self):
        """Its own listener is not held back by the others' connections: a quiet one of those goes."""
        inner = free_port()
        own = free_port()
        broker = self.moldau({
            "listeners": f"PLAINTEXT://127.0.0.1:{own},INNER://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{own + 1}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{own},INNER://127.0.0.1:{inner}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INNER", "max.connections": "3"}, port=own).start()
        conns = [self.alive(self.conn(broker)) for _ in range(3)]
        self.alive(conns[0])
        late = self.wants(self.conn(broker))
        self.assertTrue(late.silent(0.3))
        one = Conn(("127.0.0.1", inner))
        self.addCleanup(one.close)
        self.alive(one)
        # The longest quiet of one event loop: that is 1, or 2 where the loops share them.
        gone, _, _ = select.select([c.sock for c in conns[1:]], [], [], 5)
        self.assertEqual(len(gone), 1)
        self.alive(conns[0])
        self.alive(one)

    def test_creation_rate(self):
        """What ten windows allow comes in at once, then each one more than its time waits, at most a window."""
        broker = self.moldau({"max.connection.creation.rate": "5"}).start()
        self.assertTrue(50 <= self.comers(broker, 8) <= 66)

    def test_creation_rate_of_a_listener(self):
        broker = self.moldau({"listener.name.plaintext.max.connection.creation.rate": "5"}).start()
        self.assertTrue(50 <= self.comers(broker, 6) <= 62)
        self.configure(broker, **{"max_connection_creation_rate": 1})

    def test_creation_rate_of_an_address(self):
        """Over the limit a connection is open, unserved, and closed a little later."""
        broker = self.moldau().start()
        conn = self.conn(broker)
        self.assertEqual(self.alter(conn, [("ip", None)], op(CONNECT, 2)), (0, None))

        def crowd():
            for _ in range(60):
                self.wants(self.conn(broker)).recv("ApiVersions", 0)
        self.assertRaises(Closed, crowd)
        self.assertEqual(self.alter(conn, [("ip", "127.0.0.1")], op(CONNECT, 1000)), (0, None))
        self.alive(self.conn(broker))
        self.assertEqual(self.alter(conn, [("ip", "127.0.0.1")], op(CONNECT)), (0, None))
        self.assertEqual(self.alter(conn, [("ip", None)], op(CONNECT)), (0, None))
        self.alive(self.conn(broker))


if __name__ == "__main__":
    unittest.main()
