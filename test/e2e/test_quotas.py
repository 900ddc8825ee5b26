# SPDX-License-Identifier: Apache-2.0
"""DescribeClientQuotas, AlterClientQuotas, and what the quotas do."""
import time
import unittest

from lib.case import Case, moldau_only

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


if __name__ == "__main__":
    unittest.main()
