# SPDX-License-Identifier: Apache-2.0
"""Client metrics: GetTelemetrySubscriptions, PushTelemetry."""
import collections
import gzip
import re
import time
import unittest
import urllib.request
import uuid

from lib import otlp
from lib.broker import free_port
from lib.case import Case
from lib.codecs import lz4_frame, snappy_xerial, zstd_frame
from lib.wire import UUID_ZERO

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
SAMPLE = otlp.message(otlp.gauge("org.apache.kafka.consumer.test", otlp.point(1.5, topic="a")))


class Telemetry(Case):
    own = True

    @classmethod
    def setUpClass(cls):
        cls.http = free_port()
        cls.overrides = {"http.listener": f"127.0.0.1:{cls.http}"}
        super().setUpClass()

    def shown(self, accept="text/plain"):
        """What the page of metrics has of clients: {family: {labels: value}}."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read().decode()
        out = {}
        for family, labels, value in re.findall(r"^(client_[a-zA-Z0-9_]*)\{(.*)\} (\S+)$", text, re.M):
            self.assertNotIn(labels, out.setdefault(family, {}), "shown twice")
            out[family][labels] = float(value)
        types = collections.Counter(re.findall(r"^# TYPE (\S+) ", text, re.M))
        self.assertEqual({types[family] for family in out} - {1}, set())
        return out

    def subscribe(self, name, **values):
        """Makes or, without values, removes a subscription."""
        conn = self.conn()
        keys = ("metrics", "interval.ms", "match")
        configs = [{"name": k, "op": 0 if k.replace(".", "_") in values else 1,
                    "value": values.get(k.replace(".", "_"))} for k in keys]
        answer = conn.call("IncrementalAlterConfigs", 1, resources=[{"type": 16, "name": name, "configs": configs}])
        self.assertEqual([(r.error, r.message) for r in answer.responses], [(0, None)])
        conn.close()
        if values:
            self.addCleanup(self.subscribe, name)

    def client(self, **values):
        conn = self.conn(**values)
        self.assertEqual(conn.call("ApiVersions", 3, software_name="e2e-client", software_version="1.2").error, 0)
        return conn

    def get(self, conn, instance_id=UUID_ZERO):
        return conn.call("GetTelemetrySubscriptions", 0, client_instance_id=instance_id)

    def push(self, conn, got, metrics=SAMPLE, compression=NONE, terminating=False, subscription_id=None,
             instance_id=None):
        return conn.call("PushTelemetry", 0, client_instance_id=instance_id or got.client_instance_id,
                         subscription_id=got.subscription_id if subscription_id is None else subscription_id,
                         terminating=terminating, compression=compression, metrics=metrics).error

    # ---- what is told

    def test_without_subscriptions(self):
        got = self.get(self.client())
        self.assertEqual((got.error, got.throttle_ms, got.push_interval_ms, got.metrics), (0, 0, 300000, []))
        self.assertEqual((got.compressions, got.bytes_max, got.delta), ([ZSTD, LZ4, GZIP, SNAPPY], 1048576, True))
        self.assertNotEqual(got.client_instance_id, UUID_ZERO)

    def test_an_id_is_kept(self):
        conn, mine = self.client(), uuid.uuid4().bytes if isinstance(UUID_ZERO, bytes) else uuid.uuid4()
        self.assertEqual(self.get(conn, mine).client_instance_id, mine)
        self.assertNotEqual(self.get(conn).client_instance_id, self.get(conn).client_instance_id)

    def test_subscriptions_add_up(self):
        self.subscribe("one", metrics="org.apache.kafka.producer.,a.b", interval_ms="7000")
        self.subscribe("two", metrics="a.b,c", interval_ms="5000")
        self.subscribe("not", metrics="z", interval_ms="100", match="client_id=nobody")
        got = self.get(self.client())
        self.assertEqual((got.push_interval_ms, sorted(got.metrics)),
                         (5000, ["a.b", "c", "org.apache.kafka.producer."]))
        self.subscribe("all", metrics="*", interval_ms="9000")
        got = self.get(self.client())
        self.assertEqual((got.push_interval_ms, got.metrics), (5000, ["*"]))

    def test_match(self):
        conn = self.client(client_id="billing-7")
        port = conn.sock.getsockname()[1]
        for match, hit in (("client_id=billing-.*", True), ("client_id=billing", False),
                           ("client_software_name=e2e-client,client_software_version=1\\..*", True),
                           ("client_software_name=e2e-client,client_software_version=2.*", False),
                           ("client_source_address=127\\.0\\.0\\.1", True), (f"client_source_port={port}", True),
                           ("client_source_port=1", False), ("client_instance_id=.{22}", True)):
            with self.subTest(match=match):
                self.subscribe("m", metrics="x", interval_ms="1000", match=match)
                self.assertEqual(self.get(conn).metrics, ["x"] if hit else [])

    def test_the_id_follows_the_subscription(self):
        self.subscribe("one", metrics="a", interval_ms="1000")
        conn = self.client()
        first = self.get(conn)
        self.subscribe("one", metrics="a,b", interval_ms="1000")
        second = self.get(conn, first.client_instance_id)  # at once: there is news
        self.assertEqual((second.error, second.client_instance_id), (0, first.client_instance_id))
        self.assertNotEqual(second.subscription_id, first.subscription_id)
        self.subscribe("one", metrics="a", interval_ms="1000")
        self.assertEqual(self.get(conn, first.client_instance_id).subscription_id, first.subscription_id)

    # ---- when

    def test_too_early(self):
        self.subscribe("one", metrics="*", interval_ms="3000")
        conn = self.client()
        got = self.get(conn)
        again = self.get(conn, got.client_instance_id)
        self.assertEqual((again.error, again.client_instance_id, again.metrics), (89, UUID_ZERO, []))
        time.sleep(0.01)
        self.assertEqual(self.push(conn, got), 0, "the first push may come at once")
        self.assertEqual(self.push(conn, got), 89)
        time.sleep(3.1)
        self.assertEqual(self.push(conn, got), 0)
        self.assertEqual(self.get(conn, got.client_instance_id).error, 89)

    def test_the_last_push(self):
        self.subscribe("one", metrics="*", interval_ms="60000")
        conn = self.client()
        got = self.get(conn)
        time.sleep(0.01)
        self.assertEqual(self.push(conn, got), 0)
        self.assertEqual(self.push(conn, got, terminating=True), 0, "early, but the last")
        self.assertEqual(self.push(conn, got, terminating=True), 42)

    def test_another_connection(self):
        """On whichever event loop it lies, the client is the same."""
        self.subscribe("one", metrics="*", interval_ms="60000")
        got = self.get(self.client())
        for _ in range(4):
            self.assertEqual(self.get(self.client(), got.client_instance_id).error, 89)

    # ---- what is taken

    def refused(self, error, **values):
        self.subscribe("one", metrics="*", interval_ms="60000")
        conn = self.client()
        got = self.get(conn)
        time.sleep(0.01)
        self.assertEqual(self.push(conn, got, **values), error)
        return conn, got

    def test_unknown_subscription(self):
        def value(name):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=10) as answer:
                return float(re.search(rf"(?m)^kafka_server_client_metrics_{name} (\S+)$", answer.read().decode())[1])
        before = value("unknown_subscription_request_count")
        conn, got = self.refused(117, subscription_id=12345)
        self.assertEqual(value("unknown_subscription_request_count"), before + 1)
        self.assertGreaterEqual(value("instance_count"), 1)
        self.assertEqual(self.get(conn, got.client_instance_id).error, 0, "asking again is allowed at once")

    def test_unknown_codec(self):
        for codec in (5, -1, 127):
            conn, got = self.refused(76, compression=codec)
            self.assertEqual(self.get(conn, got.client_instance_id).error, 0)

    def test_too_large(self):
        self.refused(118, metrics=b"\0" * 1048577)

    def test_reserved_ids(self):
        conn = self.client()
        one = b"\0" * 15 + b"\x01" if isinstance(UUID_ZERO, bytes) else uuid.UUID(int=1)
        for instance_id in (UUID_ZERO, one):
            self.assertEqual(conn.call("PushTelemetry", 0, client_instance_id=instance_id, subscription_id=0,
                                       terminating=False, compression=0, metrics=SAMPLE).error, 42)

    def test_not_metrics(self):
        for codec, data in ((NONE, b"hello"), (NONE, SAMPLE[:-1]), (NONE, b"\x0a\xff\xff\xff\xff\x0f"),
                            (GZIP, SAMPLE), (ZSTD, SAMPLE), (LZ4, SAMPLE), (GZIP, gzip.compress(b"hello"))):
            with self.subTest(codec=codec, data=data):
                self.refused(87, compression=codec, metrics=data)

    def test_codecs(self):
        for codec, data in ((NONE, SAMPLE), (NONE, b""), (GZIP, gzip.compress(SAMPLE)), (ZSTD, zstd_frame(SAMPLE)),
                            (LZ4, lz4_frame(SAMPLE)), (SNAPPY, snappy_xerial(SAMPLE))):
            with self.subTest(codec=codec):
                self.refused(0, compression=codec, metrics=data)

    # ---- what is shown

    def test_the_latest_values_are_shown(self):
        # What is shown goes some intervals after the last push.
        self.subscribe("one", metrics="*", interval_ms="2000")
        name = self.name()
        conn = self.client(client_id=name)
        got = self.get(conn)
        for temperature in (1.5, 2.5):
            time.sleep(2.1)
            self.assertEqual(self.push(conn, got, otlp.message(
                otlp.gauge("kafka.server.temp", otlp.point(temperature, topic='a"b\\'), otlp.point(9, topic="c")),
                otlp.total("deltas.total", otlp.point(7)), otlp.total("sums.total", otlp.point(7), delta=False))), 0)
        shown = {f: {k: v for k, v in rows.items() if name in k} for f, rows in self.shown().items()}
        shown = {f: rows for f, rows in shown.items() if rows}  # those of others go when they are old
        own = f'client_id="{name}",client_software_name="e2e-client",client_software_version="1.2",' \
              'client_source_address="127.0.0.1"'
        temps = shown["client_kafka_server_temp"]
        self.assertEqual(sorted(temps.values()), [2.5, 9.0])
        for labels, value in temps.items():
            self.assertIn(own, labels)
            self.assertTrue(labels.endswith('topic="c"' if value == 9 else 'topic="a\\"b\\\\"'), labels)
        self.assertEqual(list(shown["client_deltas_total"].values()), [14.0], "what came since adds up")
        self.assertEqual(list(shown["client_sums_total"].values()), [7.0])
        self.assertLessEqual(shown.keys(), self.shown("application/openmetrics-text").keys())

    def test_nobody_can_fill_the_page(self):
        self.subscribe("one", metrics="*", interval_ms="60000")
        conn = self.client(client_id=self.name())
        got = self.get(conn)
        many = otlp.message(*(otlp.gauge(f"many.{i}", otlp.point(i)) for i in range(3000)))
        self.assertEqual(self.push(conn, got, many), 0)
        self.assertEqual(len([f for f in self.shown() if f.startswith("client_many_")]), 2000)


if __name__ == "__main__":
    unittest.main()
