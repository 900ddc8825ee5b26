# SPDX-License-Identifier: Apache-2.0
"""Metrics and health over HTTP. Only for Moldau."""
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

from lib.batch import Record
from lib.broker import ROOT, binary, free_port
from lib.case import Case, moldau_only

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
    from prometheus_client.parser import text_string_to_metric_families as parse_text
except ImportError:
    # The distribution's package, for an interpreter that is not the distribution's.
    sys.path.append("/usr/lib/python3/dist-packages")
    try:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
        from prometheus_client.parser import text_string_to_metric_families as parse_text
    except ImportError:
        parse_text = parse_openmetrics = None

sys.path.append(os.path.join(ROOT, "gen"))
import emit_metrics  # noqa: E402  pylint: disable=wrong-import-position

BROKER = 4  # kind of resource
DIALECTS = ["jmx", "reporter", "confluent", "native", "all"]
needs_parser = unittest.skipIf(parse_text is None, "prometheus_client is not installed")


def get(port, path, headers=None, data=None):
    """(status, headers, text)"""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def run(*args):
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=30, check=True).stdout


class Metrics(Case):
    own = True

    @classmethod
    def setUpClass(cls):
        cls.http = free_port()
        cls.overrides = {"http.listener": f"127.0.0.1:{cls.http}"}
        super().setUpClass()

    def page(self, dialect="jmx"):
        status, headers, text = get(self.http, f"/metrics?dialect={dialect}")
        self.assertEqual(status, 200, text[:500])
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        return text

    def samples(self, dialect="jmx"):
        """{(name, labels): value}"""
        out = {}
        for family in parse_text(self.page(dialect)):
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                self.assertNotIn(key, out)
                out[key] = sample.value
        return out

    def value(self, name, dialect="jmx", **labels):
        samples = self.samples(dialect)
        return samples[name, tuple(sorted(labels.items()))]

    @needs_parser
    def test_every_dialect_parses(self):
        c = self.conn()
        t = self.topic(c, 3)
        c.produce(t, [b"x"])
        c.fetch(t, 0, topic_id=c.topic_id(t), max_wait_ms=0)
        for dialect in DIALECTS:
            with self.subTest(dialect=dialect):
                text = self.page(dialect)
                types = re.findall(r"^# TYPE (\S+)", text, re.M)
                self.assertEqual(len(types), len(set(types)), "a family comes twice")
                self.assertGreater(len(self.samples(dialect)), 100)

    @needs_parser
    def test_openmetrics(self):
        c = self.conn()
        c.metadata()
        status, headers, text = get(self.http, "/metrics?dialect=native",
                                    {"Accept": "application/openmetrics-text; version=1.0.0, text/plain;q=0.5"})
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("application/openmetrics-text"))
        families = {family.name: family for family in parse_openmetrics(text)}
        duration = families["moldau_request_duration_seconds"]
        self.assertEqual(duration.type, "histogram")
        exemplars = [sample.exemplar for sample in duration.samples if sample.exemplar]
        self.assertTrue(exemplars)
        self.assertIn("correlation_id", exemplars[0].labels)

    @needs_parser
    def test_topic_counts(self):
        c = self.conn()
        t = self.topic(c, 2)
        before = self.samples()
        size = 0
        for index in (0, 1):
            for i in range(5):
                answer = c.produce(t, [b"0123456789"] * 3, index=index)
                self.assertEqual(answer.error, 0)
        answer = c.fetch(t, 0, topic_id=c.topic_id(t), max_wait_ms=0)
        size = len(answer.records)
        get_topic = lambda name: self.value(f"kafka_server_brokertopicmetrics_{name}", topic=t)
        self.assertEqual(get_topic("messagesin_total"), 30)
        self.assertEqual(get_topic("bytesin_total"), 2 * size)
        self.assertEqual(get_topic("bytesout_total"), size)
        self.assertEqual(get_topic("totalproducerequests_total"), 10)
        self.assertEqual(get_topic("totalfetchrequests_total"), 1)
        name = "kafka_server_brokertopicmetrics_messagesin_total"
        self.assertEqual(self.value(name) - before[name, ()], 30)
        self.assertEqual(self.value("kafka_log_log_logendoffset", topic=t, partition="1"), 15)
        self.assertEqual(self.value("kafka_log_log_size", topic=t, partition="0"), size)
        self.assertEqual(self.value("kafka_topic_partition_current_offset", topic=t, partition="0"), 15)
        self.assertEqual(self.value("kafka_topic_partitions", topic=t), 2)

    @needs_parser
    def test_failures_are_counted(self):
        c = self.conn()
        t = self.topic(c, 1, max_message_bytes=1000)
        before = self.samples()
        self.assertEqual(c.produce(t, [b"x" * 2000]).error, 10)
        after = self.samples()
        key = "kafka_network_requestmetrics_errors_total", (("error", "MESSAGE_TOO_LARGE"), ("request", "Produce"))
        self.assertEqual(after[key] - before.get(key, 0), 1)
        self.assertGreater(self.value("kafka_server_brokertopicmetrics_bytesrejected_total", topic=t), 2000)
        self.assertEqual(self.value("kafka_server_brokertopicmetrics_failedproducerequests_total", topic=t), 0)

    @needs_parser
    def test_a_deleted_topic_goes_and_the_sum_stays(self):
        c = self.conn()
        t = self.topic(c)
        c.produce(t, [b"x"])
        total = self.value("kafka_server_brokertopicmetrics_messagesin_total")
        c.delete(t)

        def check():
            self.assertNotIn(f'"{t}"', self.page())
        self.eventually(check)
        self.assertEqual(self.value("kafka_server_brokertopicmetrics_messagesin_total"), total)

    @needs_parser
    def test_times_of_a_long_poll_are_remote(self):
        c = self.conn()
        t = self.topic(c)
        for _ in range(20):
            c.fetch(t, 0, topic_id=c.topic_id(t), max_wait_ms=100, min_bytes=1)
        samples = self.samples("native")

        def mean(phase):
            labels = (("phase", phase), ("request", "Fetch"))
            name = "moldau_request_duration_seconds"
            return samples[name + "_sum", labels] / samples[name + "_count", labels]
        self.assertGreater(mean("remote"), 0.01)
        self.assertLess(mean("local"), mean("remote") / 2)
        parts = sum(mean(p) for p in ("queue", "local", "remote", "response_queue", "send"))
        self.assertAlmostEqual(parts, mean("total"), delta=mean("total") / 10)

    @needs_parser
    def test_connections(self):
        def count():
            return sum(v for (name, labels), v in self.samples().items()
                       if name == "kafka_server_socket_server_metrics_connection_count"
                       and dict(labels)["listener"] == "PLAINTEXT")
        self.eventually(lambda: self.assertEqual(count(), 0))  # those of the tests before have ended
        conns = [self.conn() for _ in range(5)]
        for c in conns:
            c.metadata()
        self.assertEqual(count(), 5)

    @needs_parser
    def test_aggregates_stand_beside_topics(self):
        c = self.conn()
        t = self.topic(c)
        c.produce(t, [b"x"])
        samples = self.samples()
        for name in ("messagesin", "bytesin", "totalproducerequests"):
            self.assertIn((f"kafka_server_brokertopicmetrics_{name}_total", ()), samples)
            self.assertIn((f"kafka_server_brokertopicmetrics_{name}_total", (("topic", t),)), samples)
        self.assertNotIn("kafka_network_requestmetrics_totaltimems_sum", self.page())

    @needs_parser
    def test_names_of_other_dialects(self):
        c = self.conn()
        c.produce(self.topic(c), [b"x"])
        names = {dialect: {name for name, _ in self.samples(dialect)} for dialect in DIALECTS}
        base = "kafka_server_brokertopicmetrics_bytesin"
        self.assertIn(base + "_total", names["jmx"])
        self.assertIn(base + "persec_total", names["reporter"])
        self.assertIn(base + "persec", names["confluent"])
        self.assertIn("kafka_server_raftmetrics_current_leader", names["jmx"])
        self.assertIn("kafka_server_raft_metrics_current_leader", names["jmx"])
        self.assertNotIn(base + "_total", names["native"])
        for dialect in DIALECTS[:-1]:
            self.assertLessEqual(names[dialect], names["all"])

    def test_every_row_of_the_table_is_there(self):
        """As schema/metrics.tbl says, under the name of each dialect."""
        c = self.conn()
        t = self.topic(c)
        c.produce(t, [b"x"])
        rows, _ = emit_metrics.read(os.path.join(ROOT, "schema", "metrics.tbl"))
        for index, dialect in ((0, "jmx"), (2, "reporter"), (3, "confluent"), (4, "native")):
            families = set(re.findall(r"^# TYPE (\S+)", self.page(dialect), re.M))
            for row in rows:
                if row["names"][index]:
                    self.assertIn(row["names"][index], families, row["id"])

    def with_page(self, overrides):
        """A process of this test alone, and its port for HTTP."""
        broker = self.moldau({"http.listener": "0", **overrides}).start()
        return broker, int(re.search(r"http\.listen host=127\.0\.0\.1 port=(\d+)", broker.log())[1])

    def test_cordoned_directories(self):
        def cordon(value):
            answer = self.conn().call("IncrementalAlterConfigs", 1, validate_only=False, resources=[
                {"type": BROKER, "name": "1", "configs": [
                    {"name": "cordoned.log.dirs", "op": 1 if value is None else 0, "value": value}]}])
            self.assertEqual([(r.error, r.message) for r in answer.responses], [(0, None)])
            self.eventually(lambda: self.assertEqual(
                (self.value("kafka_log_logmanager_cordonedlogdirectorycount"),
                 self.value("kafka_log_logmanager_logdirectorycordoned", logDirectory=self.broker.data)),
                (1, 1) if value else (0, 0)))
        cordon("*")
        cordon(None)

    def test_compactions(self):
        broker, http_port = self.with_page({"log.cleaner.backoff.ms": 20, "log.initial.task.delay.ms": 0,
                                           "log.flush.offset.checkpoint.interval.ms": 200})
        c = self.conn(broker)
        topic = self.name()
        c.create(topic, 1, {"cleanup.policy": "compact", "internal.segment.bytes": "2000",
                            "min.cleanable.dirty.ratio": "0.01"})
        c.wait_leader(topic)
        for _ in range(60):
            c.produce(topic, [Record(bytes(100), b"same")])

        def check():
            text = get(http_port, "/metrics")[2]

            def value(name):
                return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])
            self.assertGreater(value("moldau_compactions_total"), 0)
            self.assertGreater(value("kafka_utils_throttler_cleaner_io_total"), 6000)
            self.assertGreater(value("kafka_log_logcleaner_max_clean_time_secs"), 0)
            self.assertEqual(value("moldau_compactions_failed_total"), 0)
            self.assertLess(value("kafka_log_logcleanermanager_time_since_last_run_ms"), 2000)
            self.assertIn(f'uncleanable_partitions_count{{logDirectory="{broker.data}"}} 0', text)
        self.eventually(check)

    def test_connections_that_were_refused(self):
        broker, http_port = self.with_page({"max.connections.per.ip": 2})
        def count():
            return int(re.search(r"(?m)^moldau_connections_refused_total (\d+)$", get(http_port, "/metrics")[2])[1])
        self.served(broker, 2)
        before = count()
        self.assertTrue(self.conn(broker).closed())
        self.eventually(lambda: self.assertEqual(count(), before + 1))

    def test_connections_by_software(self):
        own, name = self.moldau({"http.listener": "0"}).start(), "kafka_server_socket_server_metrics_connections"
        port = int(re.search(r"http\.listen host=127\.0\.0\.1 port=(\d+)", own.log())[1])

        def counts():
            out = {}
            for line in get(port, "/metrics")[2].splitlines():
                match = re.fullmatch(name + r'\{clientSoftwareName="(.*)",clientSoftwareVersion="(.*)",'
                                     r'listener="PLAINTEXT",networkProcessor="\d+"\} (\d+)', line)
                if match:
                    out[match[1], match[2]] = out.get((match[1], match[2]), 0) + int(match[3])
            return out
        conns = [self.conn(own) for _ in range(4)]
        for c, version in zip(conns, ("1.0", "1.0", "2.0-a")):
            self.assertEqual(c.call("ApiVersions", 3, software_name="e2e", software_version=version).error, 0)
        conns[3].metadata()
        self.eventually(lambda: self.assertEqual(counts(), {("e2e", "1.0"): 2, ("e2e", "2.0-a"): 1,
                                                            ("unknown", "unknown"): 1}))
        # Said again it is another one; and connections end.
        conns[0].call("ApiVersions", 3, software_name="e2e", software_version="2.0-a")
        conns[1].close()
        conns[3].close()
        # Too long to be kept.
        conns[2].call("ApiVersions", 3, software_name="x" * 200, software_version="1")
        self.eventually(lambda: self.assertEqual(counts(), {("e2e", "2.0-a"): 1, ("unknown", "unknown"): 1}))

    def test_connections_that_wait_for_a_rate(self):
        broker, http_port = self.with_page({"max.connection.creation.rate": 5, "quota.window.num": 2})
        name = (r"(?m)^kafka_server_socket_server_metrics_%sconnection_accept_throttle_time"
                r'\{listener="PLAINTEXT"\} (\S+)$')

        def mean(which):
            return float(re.search(name % which, get(http_port, "/metrics")[2])[1])
        self.assertEqual((mean(""), mean("ip_")), (0, 0))
        for _ in range(12):
            self.conn(broker).call("ApiVersions", 0)
        self.assertGreater(mean(""), 0)
        self.assertEqual(mean("ip_"), 0)

    def commit(self, conn, group, topic, offsets):
        def check():
            answer = conn.call("OffsetCommit", 8, group=group, generation=-1, member="", topics=[{
                "name": topic, "partitions": [{"index": i, "offset": o, "leader_epoch": -1, "metadata": ""}
                                              for i, o in offsets.items()]}])
            self.assertEqual({p.error for p in answer.topics[0].partitions}, {0})
        self.eventually(check)

    @needs_parser
    def test_groups(self):
        c = self.conn()
        t = self.topic(c, 3)
        for index in range(3):
            c.produce(t, [b"x"] * 10, index=index)
        c.call("FindCoordinator", 4, key_type=0, keys=["g"])
        group = 'with "quotes" and \\' + t
        self.commit(c, group, t, {0: 4, 2: 10})
        self.assertEqual(self.value("kafka_consumergroup_current_offset", consumergroup=group, topic=t,
                                    partition="0"), 4)
        self.assertEqual(self.value("kafka_consumergroup_lag", consumergroup=group, topic=t, partition="0"), 6)
        self.assertEqual(self.value("kafka_consumergroup_lag", consumergroup=group, topic=t, partition="2"), 0)
        self.assertEqual(self.value("kafka_consumergroup_lag_sum", consumergroup=group, topic=t), 6)
        self.assertEqual(self.value("kafka_consumergroup_current_offset_sum", consumergroup=group, topic=t), 14)
        self.assertEqual(self.value("kafka_consumergroup_members", consumergroup=group), 0)
        self.assertGreaterEqual(self.value("kafka_coordinator_group_groupmetadatamanager_numgroupsempty"), 1)

    @needs_parser
    def test_how_old_what_is_not_read_is(self):
        c = self.conn()
        t = self.topic(c, 3, internal_segment_bytes=1000)
        now_ms = int(time.time() * 1000)
        for age_s in range(900, 0, -100):
            c.produce(t, [Record(bytes(300), timestamp=now_ms - age_s * 1000)], index=0)
            c.produce(t, [Record(b"", timestamp=now_ms - age_s * 1000)], index=1)
        c.call("FindCoordinator", 4, key_type=0, keys=["g"])
        group = self.name()
        self.commit(c, group, t, {0: 5, 1: 9, 2: 0})

        def lag(index):
            return self.value("kafka_consumergroup_group_lag_seconds", group=group, topic=t, partition=str(index),
                              cluster_name=self.cluster_id())
        self.assertAlmostEqual(lag(0), 400, delta=20)
        self.assertEqual((lag(1), lag(2)), (0, 0))
        self.commit(c, group, t, {0: 0})
        self.assertAlmostEqual(lag(0), 900, delta=20)
        self.assertAlmostEqual(self.value("kafka_consumergroup_group_max_lag_seconds", group=group,
                                          cluster_name=self.cluster_id()), 900, delta=20)
        self.assertEqual(self.value("kafka_consumergroup_group_max_lag", group=group,
                                    cluster_name=self.cluster_id()), 9)
        self.assertEqual(self.value("kafka_partition_latest_offset", topic=t, partition="0"), 9)

    def cluster_id(self):
        return self.conn().call("DescribeCluster", 0).cluster_id

    @needs_parser
    def test_more_offsets_than_one_turn_takes(self):
        c = self.conn()
        t = self.topic(c, 700)
        c.call("FindCoordinator", 4, key_type=0, keys=["g"])
        for number in range(3):
            self.commit(c, f"{t}-{number}", t, {i: number for i in range(700)})
        samples = self.samples()
        for number in range(3):
            for index in range(700):
                key = (("consumergroup", f"{t}-{number}"), ("partition", str(index)), ("topic", t))
                self.assertEqual(samples["kafka_consumergroup_current_offset", key], number)
            key = (("consumergroup", f"{t}-{number}"), ("topic", t))
            self.assertEqual(samples["kafka_consumergroup_current_offset_sum", key], 700 * number)

    def test_unknown_dialect(self):
        self.assertEqual(get(self.http, "/metrics?dialect=nonsense")[0], 400)

    def test_health(self):
        for path, status in [("/livez", 200), ("/startupz", 200), ("/readyz", 200), ("/healthz", 200),
                             ("/v1/ready", 204), ("/v1/ready/", 204), ("/v1/broker-state", 200),
                             ("/v1/status/ready", 200), ("/v1/cluster/health_overview", 200),
                             ("/v1/safe-to-stop", 200), ("/nothing", 404)]:
            with self.subTest(path=path):
                self.assertEqual(get(self.http, path)[0], status)
        self.assertEqual(get(self.http, "/readyz")[2], "ok\n")
        lines = get(self.http, "/readyz?verbose")[2].splitlines()
        self.assertEqual(lines[-1], "ok")
        self.assertTrue(all(line.startswith("[+] ") for line in lines[:-1]), lines)
        self.assertEqual(json.loads(get(self.http, "/healthz")[2])["status"], "healthy")
        self.assertEqual(json.loads(get(self.http, "/v1/broker-state")[2]), {"brokerState": 3})
        overview = json.loads(get(self.http, "/v1/cluster/health_overview")[2])
        self.assertTrue(overview["is_healthy"])
        self.assertEqual(overview["all_nodes"], [1])

    def test_the_only_node_may_stop_and_tells_what_waits(self):
        self.topic(self.conn(), partitions=3)

        def check():
            status, _, text = get(self.http, "/v1/safe-to-stop")
            answer = json.loads(text)
            self.assertEqual((status, answer["safe"], answer["reasons"]), (200, True, []))
            told = {row["code"]: row["text"] for row in answer["interrupts"]}
            self.assertEqual(set(told), {"only_broker", "only_voter", "partitions_with_one_copy"})
            self.assertGreaterEqual(int(told["partitions_with_one_copy"].split()[0]), 3)
        self.eventually(check)

    def expressions(self):
        """All queries that dashboards and rules hold."""
        listed = run("grafana-dashboard").splitlines()
        names = [line.split()[0] for line in listed]
        self.assertEqual(len(names), 4)
        for name in names:
            board = json.loads(run("grafana-dashboard", name))
            self.assertTrue(board["panels"])
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(ids), len(set(ids)))
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    yield target["expr"]
        for line in run("alerts").splitlines():
            if line.strip().startswith("expr: "):
                yield line.strip()[len("expr: "):]

    @needs_parser
    def test_dashboards_ask_for_what_there_is(self):
        c = self.conn()
        t = self.topic(c)
        c.produce(t, [b"x"])
        c.fetch(t, 0, topic_id=c.topic_id(t), max_wait_ms=0)
        c.call("FindCoordinator", 4, key_type=0, keys=["g"])
        self.commit(c, t, t, {0: 0})
        names = {name for name, _ in self.samples()} | {"up"}
        count = 0
        for expression in self.expressions():
            found = set(re.findall(r"\b(?:kafka|moldau|process|up)(?:_\w+)?(?=[{\[ )]|$)", expression))
            self.assertTrue(found, expression)
            self.assertEqual(found - names, set(), expression)
            count += 1
        self.assertGreater(count, 60)

    def test_prometheus_config(self):
        self.assertIn('targets: ["10.0.0.1:99"]', run("prometheus-config", "--http", "10.0.0.1:99"))

    def test_health_command(self):
        def ask(port):
            return subprocess.run([binary(), "health", "--http", str(port)], capture_output=True, text=True, timeout=30)
        done = ask(self.http)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1], "ok")
        done = ask(free_port())
        self.assertEqual(done.returncode, 6)
        self.assertIn("nobody answers", done.stderr)

    def test_levels_of_loggers(self):
        levels = json.loads(get(self.http, "/v1/log-level")[2])
        self.assertEqual(levels["root"], "INFO")
        self.assertEqual(get(self.http, "/v1/log-level", data=b"logger=kafka.controller&level=DEBUG")[0], 200)
        self.assertEqual(json.loads(get(self.http, "/v1/log-level")[2])["kafka.controller"], "DEBUG")
        self.assertEqual(get(self.http, "/v1/log-level?logger=kafka.controller&level=INFO", data=b"")[0], 200)
        self.assertEqual(json.loads(get(self.http, "/v1/log-level")[2])["kafka.controller"], "INFO")
        self.assertEqual(get(self.http, "/v1/log-level", data=b"logger=kafka.controller&level=LOUD")[0], 400)
        self.assertEqual(get(self.http, "/v1/log-level", data=b"")[0], 400)

    def test_wrong_method(self):
        self.assertEqual(get(self.http, "/metrics", data=b"x")[0], 405)

    def test_a_kafka_client_is_named_and_closed(self):
        with socket.create_connection(("127.0.0.1", self.http), 5) as sock:
            sock.sendall(bytes.fromhex("0000002300120003000000070000"))
            sock.settimeout(5)
            try:
                self.assertEqual(sock.recv(100), b"")
            except ConnectionResetError:
                pass
        self.eventually(lambda: self.assertIn("ML1031", self.broker.log()))
        self.assertEqual(get(self.http, "/livez")[0], 200)

    def test_many_at_once(self):
        bad = []

        def ask():
            for path in ("/metrics", "/readyz", "/livez", "/metrics?dialect=all"):
                status, _, text = get(self.http, path)
                if status != 200 or not text:
                    bad.append((path, status))
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(bad, [])

    def test_clients_that_go_away(self):
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", self.http), 5) as sock:
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(get(self.http, "/metrics")[0], 200)

    def test_requests_that_are_too_large(self):
        with socket.create_connection(("127.0.0.1", self.http), 5) as sock:
            sock.settimeout(5)
            sock.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 100000 + b"\r\n\r\n")
            try:
                self.assertNotIn(b" 200 ", sock.recv(1000))
            except ConnectionResetError:
                pass
        self.assertEqual(get(self.http, "/livez")[0], 200)


@moldau_only
class Listener(Case):
    @classmethod
    def setUpClass(cls):
        cls.broker = None

    def test_off(self):
        broker = self.moldau({"http.listener": ""}).start()
        self.assertNotIn("http.listen ", broker.log())

    def test_an_explicit_address_must_be_free(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            code, text = self.refused(self.moldau({"http.listener": f"127.0.0.1:{port}"}))
        self.assertEqual(code, 1, text)
        self.assertIn(f"ML1020 Port {port} is taken by", text)
        self.assertIn("http.listener", text)

    def test_a_wrong_address_is_refused(self):
        code, text = self.refused(self.moldau({"http.listener": "nonsense:port"}))
        self.assertEqual(code, 1)
        self.assertIn("ML1103 http.listener", text)

    def test_a_free_port(self):
        broker = self.moldau({"http.listener": "0"}).start()
        port = int(re.search(r"http\.listen host=127\.0\.0\.1 port=(\d+)", broker.log())[1])
        self.assertEqual(get(port, "/readyz")[0], 200)

    def test_connections_without_end(self):
        # Descriptors are for Kafka's clients too: those beyond the bound wait in the system's queue.
        port = free_port()
        broker = self.moldau({"http.listener": str(port)}).start()
        fds = f"/proc/{broker.process.pid}/fd"
        before = len(os.listdir(fds))
        crowd = []
        try:
            for _ in range(1400):
                try:
                    crowd.append(socket.create_connection(("127.0.0.1", port), 3))
                    crowd[-1].sendall(b"GET /livez HTTP/1.1\r\n")
                except OSError:
                    break  # that queue is full
            time.sleep(0.2)
            self.assertGreater(len(crowd), 100)
            self.assertLess(len(os.listdir(fds)) - before, 1050)
            self.assertEqual(self.conn(broker).call("ApiVersions", 0).error, 0)
        finally:
            for one in crowd:
                one.close()

        def served():
            try:
                self.assertEqual(get(port, "/livez")[0], 200)
            except OSError as error:
                raise AssertionError(str(error)) from None
        self.eventually(served)

    @needs_parser
    def test_names_that_are_no_text(self):
        port = free_port()
        broker = self.moldau({"http.listener": str(port), "group.initial.rebalance.delay.ms": 0}).start()
        c = self.conn(broker)
        topic = self.topic(c)
        c.wait_coordinators()
        for group in (b"bad-\xff\xfe", "good-\u00e9".encode()):
            answer = c.call("OffsetCommit", 8, group=group, topics=[{"name": topic, "partitions": [
                {"index": 0, "offset": 1, "metadata": ""}]}])
            self.assertEqual(answer.topics[0].partitions[0].error, 0)
        for dialect in DIALECTS:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics?dialect={dialect}", timeout=10) as page:
                page.read().decode()

    @needs_parser
    def test_several_loops(self):
        port = free_port()
        broker = self.moldau({"http.listener": str(port)}, reactors=3).start()
        c = self.conn(broker)
        names = [self.name() for _ in range(4)]
        for name in names:
            c.create(name, 8)
            for index in range(8):
                c.produce(name, [b"x"], index=index)
        text = get(port, "/metrics")[2]
        samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in parse_text(text) for s in f.samples}
        for name in names:
            self.assertEqual(samples["kafka_server_brokertopicmetrics_messagesin_total", (("topic", name),)], 8)
            for index in range(8):
                key = "kafka_log_log_logendoffset", (("partition", str(index)), ("topic", name))
                self.assertEqual(samples[key], 1)
        self.assertEqual(samples["kafka_server_replicamanager_partitioncount", ()], 32)
        self.assertEqual(samples["kafka_server_replicamanager_leadercount", ()], 32)

    @needs_parser
    def test_many_partitions_have_no_series(self):
        port = free_port()
        broker = self.moldau({"http.listener": str(port), "http.metrics.partitions.max": 10}).start()
        c = self.conn(broker)
        c.create(self.name(), 11)
        text = get(port, "/metrics")[2]
        self.assertIn("\nmoldau_metrics_partitions_left_out 11\n", text)
        self.assertNotIn("\nkafka_log_log_size{", text)
        self.assertIn("\nkafka_server_replicamanager_partitioncount 11\n", text)

    def test_ends_with_the_broker(self):
        port = free_port()
        broker = self.moldau({"http.listener": str(port)}).start()
        stop = threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    get(port, "/metrics")
                except (OSError, http.client.HTTPException):
                    time.sleep(0.005)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.3)
            broker.signal(15)
            self.assertEqual(broker.wait_exit(), 0, broker.log()[-2000:])
        finally:
            stop.set()
            for thread in threads:
                thread.join()


if __name__ == "__main__":
    unittest.main()
