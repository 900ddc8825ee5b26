# SPDX-License-Identifier: Apache-2.0
"""Random requests to every API in every version: valid ones made from the schema with values at the edges, and the
same with bytes changed. The process stays, answers follow the schema, connections end only where a frame is wrong, and
memory does not grow. MOLDAU_HAMMER_S and MOLDAU_HAMMER_SEED choose how long and which."""
import os
import random
import struct
import time
import uuid

from lib import wire
from lib.broker import Moldau, is_sanitized
from lib.case import Case, moldau_only
from lib.client import Closed, Conn
from lib.batch import batch

SECONDS = float(os.environ.get("MOLDAU_HAMMER_S", "8"))
# Wait for others, or for data, longer than the test likes to.
MAY_WAIT = {"JoinGroup", "SyncGroup", "Fetch"}
# Real effects of these would change what all others see: the node's own settings, limits of clients, features.
ONLY_TRY = {"AlterConfigs", "IncrementalAlterConfigs", "AlterClientQuotas", "UpdateFeatures"}
NEVER = {"UnregisterBroker"}
NUMBERS = [0, 1, -1, 2, 3, 5, 17, 100, 127, -128]
EDGES = {"int8": [127, -128], "int16": [32767, -32768, 256], "uint16": [65535],
         "int32": [2**31 - 1, -2**31, 65536, 10**6], "int64": [2**63 - 1, -2**63, 2**31, 10**12]}


class Maker:
    def __init__(self, rng, topics, ids, groups):
        self.rng, self.topics, self.ids, self.groups = rng, topics, ids, groups

    def text(self, name):
        rng = self.rng
        if name == "records":
            return batch([b"x"] * rng.randrange(1, 4))
        kind = rng.randrange(12)
        if kind < 5:
            return rng.choice(self.groups if "group" in name or "member" in name else self.topics)
        return ["", "consumer", "range", "cleanup.policy", "delete", "x" * rng.randrange(1, 300), "\u00e9\u4e16" * 5,
                "e2e", "0", "1", "__consumer_offsets", "broker", "a.b-c_d", "." * 3, "%n%s", "*", "\0x"][
                    rng.randrange(17)] if kind < 11 or rng.random() > 0.02 else "L" * rng.choice([249, 250, 32767])

    def number(self, field):
        rng = self.rng
        if field.name.endswith("_ms"):
            return rng.choice([0, 1, 10, 50, 6000])
        small = [n for n in NUMBERS if field.kind != "uint16" or n >= 0]
        return rng.choice(small if rng.random() < 0.85 else EDGES[field.kind])

    def value(self, field, version):
        rng, kind = self.rng, field.kind
        if field.is_struct:
            return self.fields(field.fields, version)
        if not field.array and field.nullable(version) and rng.random() < 0.15:
            return None
        if kind == "string":
            return self.text(field.name)
        if kind == "bytes":
            return self.text("records") if field.name == "records" else rng.randbytes(rng.choice([0, 1, 2, 6, 40]))
        if kind == "uuid":
            return rng.choice([*self.ids, uuid.UUID(int=0), uuid.UUID(int=1), uuid.UUID(int=rng.getrandbits(128))])
        if kind == "bool":
            return rng.random() < 0.5
        if kind == "float64":
            return rng.choice([0.0, 1.0, -1.0, 1e300, float("nan"), float("inf"), 0.5])
        return self.number(field)

    def field(self, field, version):
        if not field.array:
            return self.value(field, version)
        if field.nullable(version) and self.rng.random() < 0.1:
            return None
        n = self.rng.choice([0, 1, 1, 1, 2, 3] if self.rng.random() < 0.97 else [40, 300])
        values = [self.value(field, version) for _ in range(n)]
        return values + values[:1] if values and self.rng.random() < 0.1 else values

    def fields(self, fields, version):
        return {f.name: self.field(f, version) for f in fields
                if f.at(version) and (f.tag is None or self.rng.random() < 0.3)}


@moldau_only
class Hammer(Case):
    def setUp(self):
        self.seed = int(os.environ.get("MOLDAU_HAMMER_SEED", "20"))
        self.rng = random.Random(self.seed)
        self.broker = Moldau({"group.initial.rebalance.delay.ms": 0, "offsets.topic.num.partitions": 3,
                              "group.min.session.timeout.ms": 10, "num.partitions": 1}).start()
        self.addCleanup(self.broker.close)
        conn = self.conn(self.broker)
        self.topics = ["hammer-a", "hammer-b", "gone", "__consumer_offsets"]
        for name in self.topics[:2]:
            conn.create(name, 3)
        self.ids = [conn.topic_id(name) for name in self.topics[:2]]
        keys = {k.key: (k.min, k.max) for k in conn.call("ApiVersions", 2).apis}
        # Produce before version 3 is advertised for the sake of librdkafka, and not served.
        self.apis = [(wire.KEYS[k], low if k else max(low, 3), high) for k, (low, high) in sorted(keys.items())
                     if k in wire.KEYS and wire.KEYS[k].name not in NEVER]
        self.assertEqual(sorted(k for k in keys if k not in wire.KEYS), [])
        self.open()

    def open(self):
        self.one = Conn(self.broker.address, timeout=15)

    def made(self, maker):
        api, low, high = self.rng.choice(self.apis)
        version = self.rng.randint(low, high)
        values = maker.fields(api.request, version)
        if api.name in ONLY_TRY:
            values["validate_only"] = True
        if api.name == "Fetch":
            values.update(max_wait_ms=self.rng.choice([0, 5]), replica=-1)
        if api.name == "CreateTopics":
            for topic in values["topics"] or []:
                topic["partition_n"] = min(topic["partition_n"], 20)
        if api.name == "CreatePartitions":
            for topic in values["topics"] or []:
                topic["count"] = min(topic.get("count", 1), 20)
        if api.name == "DeleteTopics":
            values = {k: v for k, v in values.items() if k not in ("names", "topics")}
        return api, version, values

    def step(self, maker):
        api, version, values = self.made(maker)
        try:
            frame = wire.encode(api.name, version, 7, **{k: v for k, v in values.items()
                                                         if any(f.name == k and f.at(version) for f in api.request)})
        except (wire.WireError, struct.error):
            return 0
        is_whole = self.rng.random() < 0.8
        if not is_whole:
            frame = bytearray(frame)
            for _ in range(self.rng.randrange(1, 4)):
                at = self.rng.randrange(8, len(frame))
                frame[at] = self.rng.choice([0, 1, 127, 128, 255, self.rng.randrange(256)])
            frame = bytes(frame[:self.rng.randrange(9, len(frame) + 1)] if self.rng.random() < 0.3 else frame)
        what = f"seed {self.seed}: {api.name} v{version} {values}"[:3000]
        try:
            self.one.send_frame(frame)
            if api.name == "Produce" and (not is_whole or values.get("acks") == 0):
                self.open()
                return 0
            self.one.sock.settimeout(0.3 if api.name in MAY_WAIT else 15)
            answer = self.one.recv_frame()
        except TimeoutError:
            self.assertIn(api.name, MAY_WAIT, f"no answer to {what}")
            self.open()
            return 0
        except (Closed, OSError):
            self.assertFalse(self.broker.dead(), f"{what}\n{self.broker.log()[-6000:]}")
            if is_whole and not self.may_close(api, values):
                self.fail(f"closed by {what}\n{self.broker.log()[-2000:]}")
            self.open()
            return 0
        if is_whole:
            try:
                wire.decode(api.name, version, answer, 7)
            except UnicodeDecodeError:
                pass  # a name that a changed frame brought in
            except wire.WireError as error:
                self.fail(f"{error}: {what}")
        return 1

    @staticmethod
    def may_close(api, values):
        """What Kafka, too, answers by ending the connection."""
        return api.name == "Produce" and values.get("acks") not in (0, 1, -1)

    def test_random_requests(self):
        maker = Maker(self.rng, self.topics, self.ids, ["g1", "g2", "", "m1"])
        began, answers, middle = time.monotonic(), 0, None
        while time.monotonic() - began < SECONDS:
            answers += self.step(maker)
            if middle is None and time.monotonic() - began > SECONDS / 2:
                middle = self.broker.rss_kb()
        self.assertGreater(answers, 20 * SECONDS)
        grown = self.broker.rss_kb() - middle
        if not is_sanitized():
            self.assertLess(grown, 48 << 10, f"{grown} KB more")
        self.assertNotIn("request.encode", self.broker.log())
        self.assertNotIn("response.encode", self.broker.log())
        self.assertEqual(self.broker.stop(), 0)
