# SPDX-License-Identifier: Apache-2.0
"""The process from outside: start, refusal to start, kill -9, signals, what it says. Only for Moldau."""
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest

from lib import wire
from lib.batch import Record, batch
from lib.broker import binary, free_port, is_sanitized
from lib.case import Case, moldau_only
from lib.client import Closed, Conn


def tree(path):
    """Everything in a directory, to see that nothing changed."""
    out = {}
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            with open(full, "rb") as f:
                out[os.path.relpath(full, path)] = f.read()
        out[os.path.relpath(folder, path) + "/"] = None
    return out


@moldau_only
class Process(Case):
    @classmethod
    def setUpClass(cls):
        cls.broker = None

    def fill(self, broker, topics=3, count=50):
        conn = self.conn(broker)
        names = [self.name() for _ in range(topics)]
        for name in names:
            conn.create(name, 2)
            for i in range(count):
                self.assertEqual(conn.produce(name, [Record(b"%d" % i, b"k", [("h", b"v")], 10**12 + i)],
                                              index=i % 2).error, 0)
        return names

    def check(self, broker, names, count=50):
        conn = self.conn(broker)
        for name in names:
            conn.wait_leader(name, 2)
            for part in (0, 1):
                got = conn.read_all(name, index=part)
                self.assertEqual([(r.value, r.key, r.headers, r.timestamp) for r in got],
                                 [(b"%d" % i, b"k", [("h", b"v")], 10**12 + i) for i in range(part, count, 2)])

    # ---- the command

    def run_once(self, *args, **values):
        return subprocess.run([binary(), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                              **values)

    def test_version(self):
        out = self.run_once("version")
        self.assertEqual(out.returncode, 0)
        self.assertRegex(out.stdout, r"^moldau \S+")

    def test_explain(self):
        out = self.run_once("explain", "ML1012")
        self.assertEqual((out.returncode, out.stderr), (0, ""))
        self.assertIn("ML1012", out.stdout)
        self.assertEqual(self.run_once("explain", "ML9999").returncode, 3)
        self.assertEqual(self.run_once("explain", "nonsense").returncode in (2, 3), True)

    def test_wrong_usage_is_2(self):
        for args in (["frobnicate"], ["dev", "--no-such-flag"], ["dev", "--port"], ["dev", "--port", "x"],
                     ["dev", "--port", "70000"], ["dev", "--override", "novalue"], ["server"], ["server", "start"],
                     ["dev", "--reactors", "0"], ["dev", "--reactors", "many"]):
            with self.subTest(args=args):
                out = self.run_once(*args, cwd="/tmp")
                self.assertEqual(out.returncode, 2, out.stdout + out.stderr)
                self.assertTrue(out.stderr)

    # ---- start and stop

    def test_banner(self):
        broker = self.moldau().start()
        banner = broker.wait_log("moldau", "ready in")
        self.assertRegex(banner, r"cluster \S{22}\b.*ready in \d+ ms")
        self.assertIn(str(broker.port), broker.log())
        self.assertNotIn("console", broker.log().lower(), "there is none yet")

    def test_sigterm_and_sigint_end_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            broker = self.moldau().start()
            names = self.fill(broker, 1, 10)
            idle = self.conn(broker)
            broker.signal(number)
            self.assertEqual(broker.wait_exit(), 0, broker.log())
            with self.assertRaises((Closed, OSError)):
                idle.call("ApiVersions", 0)
            self.assertTrue(any(f.endswith(".kafka_cleanshutdown") for f in tree(broker.data)),
                            "no clean-shutdown file")
            broker.start()
            self.check(broker, names, 10)

    def test_sigterm_while_fetches_wait(self):
        broker = self.moldau().start()
        name = self.fill(broker, 1, 2)[0]
        conn = self.conn(broker)
        conn.send("Fetch", 12, max_wait_ms=60000, min_bytes=1, topics=[
            {"name": name, "partitions": [{"index": 0, "offset": 1}]}])
        time.sleep(0.1)
        self.assertEqual(broker.stop(), 0)  # long before the minute is over

    def test_clean_restart_keeps_everything(self):
        broker = self.moldau().start()
        cluster = self.conn(broker).call("Metadata", 12, topics=[]).cluster_id
        names = self.fill(broker)
        ids = {n: self.conn(broker).topic_id(n) for n in names}
        for _ in range(2):
            self.assertEqual(broker.stop(), 0)
            broker.start()
            self.assertEqual(self.conn(broker).call("Metadata", 12, topics=[]).cluster_id, cluster)
            self.assertEqual({n: self.conn(broker).topic_id(n) for n in names}, ids)
            self.check(broker, names)

    def test_kill_9_keeps_everything_acknowledged(self):
        broker = self.moldau().start()
        names = self.fill(broker)
        epochs = []
        for _ in range(3):
            broker.crash()
            self.check(broker, names)
            epochs.append(self.conn(broker).metadata(names[0]).topics[0].partitions[0].leader_epoch)
        self.assertEqual(epochs, sorted(set(epochs)), "each restart raises the epoch")
        self.assertGreater(epochs[0], 0)

    def test_kill_9_while_producing(self):
        broker = self.moldau().start()
        setup = self.conn(broker)
        topic = self.name()
        setup.create(topic, 3, {"segment.bytes": "1048576"})
        acked = {0: [], 1: [], 2: []}
        for round_n in range(4):
            conn = self.conn(broker)
            conn.wait_leader(topic, 3)
            value = b"%d-" % round_n + b"x" * 3000
            sent = 0
            try:
                for i in range(10_000):
                    conn.send("Produce", 9, acks=-1, timeout_ms=5000, topics=[{"name": topic, "partitions": [
                        {"index": i % 3, "records": batch([value + b"%d" % i])}]}])
                    sent += 1
                    if sent > 20:
                        j = sent - 21
                        answer = conn.recv("Produce", 9).topics[0].partitions[0]
                        self.assertEqual((answer.error, answer.index), (0, j % 3))
                        acked[j % 3].append((answer.base_offset, value + b"%d" % j))
                    if i == 400 + 50 * round_n:
                        broker.signal(signal.SIGKILL)
            except (Closed, OSError):
                pass
            broker.kill()
            broker.start()
        conn = self.conn(broker)
        conn.wait_leader(topic, 3)
        for index, wanted in acked.items():
            got = {r.offset: r.value for r in conn.read_all(topic, index=index)}
            self.assertEqual(sorted(got), list(range(len(got))))
            self.assertEqual([o for o, v in wanted if got.get(o) != v], [])
        self.assertGreater(sum(map(len, acked.values())), 500)

    def test_kill_9_during_start(self):
        broker = self.moldau().start()
        names = self.fill(broker)
        for delay in (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05):
            broker.kill()
            broker.spawn()
            time.sleep(delay)
        broker.kill()
        broker.start()
        self.check(broker, names)

    def test_kill_9_around_topics(self):
        broker = self.moldau().start()
        conn = self.conn(broker)
        kept, gone = [], []
        for i in range(20):
            name = self.name()
            conn.create(name, 2, wait=False)
            if i % 2:
                conn.delete(name)
                gone.append(name)
            else:
                kept.append(name)
        broker.crash()
        got = {t.name: t.error for t in self.conn(broker).metadata(*kept, *gone).topics}
        self.assertEqual(got, {**{n: 0 for n in kept}, **{n: 3 for n in gone}})
        self.eventually(lambda: self.assertFalse(
            [f for f in tree(broker.data) for n in gone if f.startswith(n + "-")
             and not f.split("/")[0].endswith("-delete")
             and "." not in f.split("/")[0]]))

    def test_no_leader_is_named_before_it_serves(self):
        broker = self.moldau().start()
        name = self.fill(broker, 1, 4)[0]
        for _ in range(3):
            broker.kill()
            broker.spawn()
            end = time.monotonic() + 10
            while time.monotonic() < end:
                try:
                    conn = broker.conn(timeout=5)
                    topic = conn.metadata(name).topics[0]
                    if not topic.error and all(p.leader >= 0 for p in topic.partitions):
                        self.assertEqual(conn.produce(name, [b"x"], acks=-1).error, 0)
                        break
                except (OSError, Closed):
                    pass
                finally:
                    if "conn" in locals():
                        conn.close()
            else:
                self.fail("no leader in 10 s")

    # ---- places

    def test_ephemeral(self):
        port = free_port()
        broker = self.moldau(port=port, args=["dev", "--ephemeral", "--port", str(port)]).start()
        self.check(broker, self.fill(broker, 1, 10), 10)
        self.assertEqual(broker.stop(), 0)

    def test_port_0_advertises_the_bound_port(self):
        broker = self.moldau(port=0)
        broker.spawn()
        line = self.eventually(lambda: self.assertRegex(broker.log(), r"(?:localhost|127\.0\.0\.1):[1-9]\d+")
                               or broker.log())
        port = int(re.search(r"(?:localhost|127\.0\.0\.1):([1-9]\d+)", line).group(1))
        broker.address = "127.0.0.1", port
        broker.wait_ready()
        self.assertEqual(self.conn(broker).call("Metadata", 12, topics=[]).brokers[0].port, port)

    def test_localhost_is_both_families(self):
        broker = self.moldau().start()
        if not os.path.exists("/proc/net/if_inet6") or not open("/proc/net/if_inet6").read():
            self.skipTest("no IPv6 here")
        with Conn(("::1", broker.port)) as conn:
            conn.call("ApiVersions", 0)

    def test_the_directory_is_in_use(self):
        first = self.moldau().start()
        second = self.moldau(data=first.data)
        code, text = self.refused(second)
        self.assertEqual(code, 1, text)
        self.assertIn("ML1012", text)
        self.assertIn(first.data, text)
        self.assertIn(str(first.process.pid), text)
        self.conn(first).call("ApiVersions", 0)

    def test_the_port_is_in_use(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            broker = self.moldau(port=s.getsockname()[1])
            code, text = self.refused(broker)
        self.assertEqual(code, 1, text)
        self.assertIn("ML1020", text)
        self.assertIn(str(broker.port), text)
        self.assertIn(str(os.getpid()), text, "the owner is named")

    def test_a_directory_with_other_files(self):
        broker = self.moldau()
        os.makedirs(os.path.join(broker.data, "photos"))
        before = tree(broker.data)
        code, text = self.refused(broker)
        self.assertEqual(code, 1, text)
        self.assertIn("ML1011", text)
        self.assertIn("photos", text)
        self.assertEqual(tree(broker.data), before)

    def test_lost_and_found_is_no_matter(self):
        broker = self.moldau()
        os.makedirs(os.path.join(broker.data, "lost+found"))
        broker.start()

    def test_another_cluster(self):
        one, other = self.moldau().start(), self.moldau().start()
        self.fill(one, 1, 2)
        ids = [self.conn(b).call("Metadata", 12, topics=[]).cluster_id for b in (one, other)]
        for b in (one, other):
            self.assertEqual(b.stop(), 0)
        before = tree(one.data), tree(other.data)
        both = self.server(drop="log.dirs", extra=f"log.dirs={one.data},{other.data}\n")
        code, said = self.refused(both)
        self.assertEqual(code, 1, said)
        self.assertIn("ML1010", said)
        self.assertIn(f"{other.data} belongs to cluster {ids[1]}", said)
        self.assertIn(ids[0], said)
        self.assertEqual((tree(one.data), tree(other.data)), before)

    def test_a_directory_that_may_not_be_written(self):
        broker = self.moldau()
        os.makedirs(broker.data)
        os.chmod(broker.data, 0o555)
        if os.getuid() == 0:
            shutil.copy(binary(), os.path.join(broker.own_dir, "moldau"))
            os.chmod(os.path.join(broker.own_dir, "moldau"), 0o755)
            broker.uid = 65534
            os.chmod(broker.own_dir, 0o755)
            old = os.environ.get("MOLDAU")
            os.environ["MOLDAU"] = os.path.join(broker.own_dir, "moldau")
        try:
            code, text = self.refused(broker)
        finally:
            if os.getuid() == 0:
                os.environ.pop("MOLDAU") if old is None else os.environ.update(MOLDAU=old)
        self.assertEqual(code, 1, text)
        self.assertIn(broker.data, text)
        self.assertRegex(text, r"ML\d{4}")
        self.assertEqual(os.listdir(broker.data), [])

    def test_the_directory_is_a_file(self):
        broker = self.moldau()
        with open(broker.data, "w") as f:
            f.write("x")
        code, text = self.refused(broker)
        self.assertEqual(code, 1, text)
        self.assertIn(broker.data, text)

    def test_damaged_meta_properties(self):
        broker = self.moldau().start()
        self.assertEqual(broker.stop(), 0)
        path = os.path.join(broker.data, "meta.properties")
        for text in ("", "version=9\n", "garbage\0\xff", "version=1\nnode.id=abc\n"):
            with open(path, "w") as f:
                f.write(text)
            before = tree(broker.data)
            code, said = self.refused(broker)
            self.assertEqual(code, 1, said)
            self.assertIn("meta.properties", said)
            self.assertEqual(tree(broker.data), before)

    # ---- settings

    def properties(self, broker):
        return (f"process.roles=broker,controller\nnode.id=1\nlog.dirs={broker.data}\n"
                f"listeners=PLAINTEXT://127.0.0.1:{broker.port},CONTROLLER://127.0.0.1:{free_port()}\n"
                f"advertised.listeners=PLAINTEXT://127.0.0.1:{broker.port}\ncontroller.listener.names=CONTROLLER\n"
                "controller.quorum.voters=1@127.0.0.1:0\n"
                "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,"
                "SASL_PLAINTEXT:SASL_PLAINTEXT\n")

    def server(self, extra="", drop=None, args=(), env=None):
        broker = self.moldau(env=env)
        text = self.properties(broker)
        controller = re.search(r"CONTROLLER://127.0.0.1:(\d+)", text).group(1)
        text = text.replace("voters=1@127.0.0.1:0", f"voters=1@127.0.0.1:{controller}")
        text = "".join(l + "\n" for l in text.splitlines() if not (drop and l.startswith(drop)))
        broker.config = os.path.join(broker.own_dir, "server.properties")
        broker.controller = "127.0.0.1", int(controller)
        with open(broker.config, "w") as f:
            f.write(text + extra)
        broker.args = ["server", "start", broker.config, *args]
        return broker

    def test_server_properties(self):
        broker = self.server("num.partitions=3\nmessage.max.bytes=2000\n").start()
        conn = self.conn(broker)
        name = self.name()
        answer = conn.call("CreateTopics", 7, topics=[{"name": name}]).topics[0]
        self.assertEqual((answer.error, answer.partition_n), (0, 3))
        self.assertEqual({c.name: (c.value, c.source) for c in answer.configs}["max.message.bytes"], ("2000", 4))
        conn.wait_leader(name, 3)
        self.assertEqual(conn.produce(name, [b"x" * 3000]).error, 10)
        self.assertEqual(conn.call("Metadata", 12, topics=[]).brokers[0].node_id, 1)

    def test_the_controller_listener(self):
        broker = self.server().start()
        with Conn(broker.controller) as conn:
            keys = {a.key: (a.min, a.max) for a in conn.call("ApiVersions", 3, software_name="e",
                                                             software_version="1").apis}
            self.assertEqual((keys[18], keys[60], keys[55]), ((0, 4), (0, 2), (0, 2)))
            self.assertNotIn(0, keys)
            self.assertNotIn(3, keys)
            # What changes the cluster is asked of the controller itself, too.
            for key, versions in {19: (2, 7), 20: (1, 6), 29: (1, 3), 30: (1, 3), 31: (1, 3), 33: (0, 2), 37: (0, 3),
                                  43: (0, 2), 44: (0, 1), 45: (0, 1), 46: (0, 0), 49: (0, 1), 57: (0, 2),
                                  64: (0, 0)}.items():
                self.assertEqual(keys[key], versions, key)
            made = conn.call("CreateTopics", 7, topics=[{"name": "by-controller", "partition_n": 2}]).topics[0]
            self.assertEqual((made.error, made.partition_n), (0, 2))
            with self.conn(broker) as other:
                other.wait_leader("by-controller", 2)
            answer = conn.call("DescribeCluster", 1, endpoint_type=2)
            self.assertEqual((answer.error, answer.endpoint_type, [(b.node_id, b.port) for b in answer.brokers]),
                             (0, 2, [(1, broker.controller[1])]))
            self.assertEqual(conn.call("DescribeCluster", 1).error, 114)
            quorum = conn.call("DescribeQuorum", 2, topics=[{"name": "__cluster_metadata",
                                                             "partitions": [{"index": 0}]}])
            part = quorum.topics[0].partitions[0]
            self.assertEqual((quorum.error, part.error, part.leader, [v.id for v in part.voters]), (0, 0, 1, [1]))
            self.assertGreater(part.high_watermark, 0)

    def test_overrides_and_environment(self):
        broker = self.server("num.partitions=3\n", args=["--override", "num.partitions=5"]).start()
        self.assertEqual(self.partitions(broker), 5)
        broker = self.server("num.partitions=3\n", env={"KAFKA_NUM_PARTITIONS": "7"}).start()
        self.assertEqual(self.partitions(broker), 7)

    def test_sighup_reads_the_file_again(self):
        broker = self.server("message.max.bytes=2000\n").start()
        conn = self.conn(broker)
        name = self.name()
        conn.call("CreateTopics", 7, topics=[{"name": name}])
        conn.wait_leader(name, 1)
        self.assertEqual(conn.produce(name, [b"x" * 3000]).error, 10)
        with open(broker.config) as f:
            text = f.read()
        with open(broker.config, "w") as f:
            f.write(text.replace("message.max.bytes=2000", "message.max.bytes=5000"))
        broker.signal(signal.SIGHUP)
        broker.wait_log("config.reload", "changed=1")
        self.assertEqual(conn.produce(name, [b"x" * 3000]).error, 0)
        with open(broker.config, "a") as f:
            f.write("num.partitions=many\n")
        broker.signal(signal.SIGHUP)
        broker.wait_log("config.reload", "ML1103")
        self.assertEqual(conn.produce(name, [b"x" * 3000]).error, 0)

    def test_directory_of_the_storage_tool(self):
        broker = self.server()
        with open(broker.config) as f:
            text = re.sub(r"controller.quorum.voters=1@", "controller.quorum.bootstrap.servers=", f.read())
        with open(broker.config, "w") as f:
            f.write(text)
        tool = os.path.join(broker.own_dir, "kafka-storage.sh")
        os.symlink(binary(), tool)
        cluster = "kQHvXdQ2SGCzG0e2Xk1ZGA"
        made = subprocess.run([tool, "format", "-s", "-t", cluster, "-c", broker.config, "-f", "group.version=0",
                               "-S", "SCRAM-SHA-256=[name=alice,password=secret]"], capture_output=True, text=True,
                              timeout=20)
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        self.assertIn("Formatting dynamic metadata voter directory", made.stdout)
        broker.start()
        conn = self.conn(broker)
        self.assertEqual(conn.call("Metadata", 12, topics=[]).cluster_id, cluster)
        users = conn.call("DescribeUserScramCredentials", 0, users=None)
        self.assertEqual([(u.user, [(c.mechanism, c.iterations) for c in u.infos]) for u in users.results],
                         [("alice", [(1, 4096)])])
        info = subprocess.run([tool, "info", "-c", broker.config], capture_output=True, text=True, timeout=20)
        self.assertEqual(info.returncode, 0)
        self.assertIn(f"Found metadata: {{cluster.id={cluster}, directory.id=", info.stdout)

    def test_cluster_id_of_the_environment(self):
        broker = self.server(env={"CLUSTER_ID": "kQHvXdQ2SGCzG0e2Xk1ZGA"}).start()
        self.assertEqual(self.conn(broker).call("Metadata", 12, topics=[]).cluster_id, "kQHvXdQ2SGCzG0e2Xk1ZGA")
        broker.stop()
        broker.env = {"CLUSTER_ID": "MkU3OEVBNTcwNTJENDM2Qk"}
        code, said = self.refused(broker)
        self.assertEqual(code, 1, said)
        self.assertIn("ML1010", said)

    def partitions(self, broker):
        return self.conn(broker).call("CreateTopics", 7, topics=[{"name": "p"}],
                                      validate_only=True).topics[0].partition_n

    def test_no_auto_create(self):
        broker = self.moldau({"auto.create.topics.enable": "false"}).start()
        conn = self.conn(broker)
        self.assertEqual(conn.metadata("absent", create=True).topics[0].error, 3)
        time.sleep(0.1)
        self.assertEqual(conn.metadata("absent", create=True).topics[0].error, 3)

    def test_request_limit(self):
        broker = self.moldau({"socket.request.max.bytes": "10000"}).start()
        conn = self.conn(broker)
        conn.send_raw((10001).to_bytes(4, "big"))
        self.assertTrue(conn.closed(5))
        self.conn(broker).call("ApiVersions", 0)

    def test_idle_connections_are_closed(self):
        broker = self.moldau({"connections.max.idle.ms": "2000"}).start()
        conn, busy = self.conn(broker), self.conn(broker)
        conn.call("ApiVersions", 0)
        end = time.monotonic() + 12
        while not conn.closed(0.1) and time.monotonic() < end:
            busy.call("ApiVersions", 0)
        self.assertLess(time.monotonic(), end, "an idle connection was kept")
        busy.call("ApiVersions", 0)

    def test_connection_limits(self):
        broker = self.moldau({"max.connections.per.ip": "20"}).start()
        held = self.served(broker, 20)
        over = self.conn(broker)
        try:
            over.send("ApiVersions", 0)
        except Closed:
            pass
        self.assertTrue(over.closed(5))
        held[0].close()
        self.eventually(lambda: self.alive(broker))

    def alive(self, broker):
        try:
            with broker.conn() as conn:
                conn.call("ApiVersions", 0)
        except (Closed, OSError) as error:
            raise AssertionError(str(error)) from None

    def test_bad_values_are_refused(self):
        for key, value in (("num.partitions", "abc"), ("num.partitions", "0"), ("message.max.bytes", "-1"),
                           ("log.segment.bytes", "1"), ("auto.create.topics.enable", "maybe"),
                           ("process.roles", "wizard"),
                           ("compression.type", "brotli"), ("log.message.timestamp.type", "Now")):
            with self.subTest(key=key, value=value):
                broker = self.server(f"{key}={value}\n")
                code, text = self.refused(broker)
                self.assertEqual(code, 1, text)
                self.assertIn(key, text)
                self.assertIn(value, text)
                self.assertFalse(os.path.exists(os.path.join(broker.data, "meta.properties")))

    def test_never_open_where_security_was_asked_for(self):
        for extra, word in (
                ("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n",
                 "authorizer.class.name"),
                ("listeners=SSL://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\n" % (free_port(), free_port()), "SSL"),
                ("listeners=SASL_PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\nsasl.enabled.mechanisms=PLAIN\n"
                 % (free_port(), free_port()), "SASL"),
                ("remote.log.storage.system.enable=true\n", "remote.log.storage.system.enable")):
            with self.subTest(word):
                broker = self.server(extra, drop="listeners=" if extra.startswith("listeners") else None)
                code, text = self.refused(broker)
                self.assertEqual(code, 1, text)
                self.assertIn(word, text)

    def test_unreachable_advertised_address(self):
        broker = self.server("advertised.listeners=PLAINTEXT://0.0.0.0:9092\n", drop="advertised.listeners")
        code, text = self.refused(broker)
        self.assertEqual(code, 1, text)
        self.assertIn("ML1002", text)

    def test_unknown_keys_warn_with_a_suggestion(self):
        broker = self.server("num.partition=3\nzookeeper.connect=localhost:2181\n").start()
        line = broker.wait_log("num.partition", "num.partitions")
        self.assertTrue(line)
        broker.wait_log("ML1100")

    def test_no_such_file(self):
        broker = self.moldau(args=["server", "start", "/nonexistent/server.properties"])
        code, text = self.refused(broker)
        self.assertIn(code, (1, 2, 3), text)
        self.assertIn("/nonexistent/server.properties", text)

    def test_garbage_file(self):
        broker = self.moldau()
        path = os.path.join(broker.own_dir, "x.properties")
        with open(path, "wb") as f:
            f.write(os.urandom(5000))
        broker.args = ["server", "start", path]
        code, text = self.refused(broker)
        self.assertIn(code, (1, 2), text)

    # ---- limits

    def test_full_disk(self):
        # A small file system of its own: writes are refused with something retriable, reads go on, and it recovers.
        if os.getuid():
            self.skipTest("needs root for a small file system")
        broker = self.moldau()
        os.makedirs(broker.data)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", broker.data],
                          capture_output=True).returncode:
            self.skipTest("mount is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", broker.data])
        self.addCleanup(broker.kill)
        os.mkdir(os.path.join(broker.data, "lost+found"))
        with open(os.path.join(broker.data, "lost+found", "filler"), "wb") as f:
            os.posix_fallocate(f.fileno(), 0, 18 << 20)
        broker.overrides["log.segment.bytes"] = "1048576"
        broker.start()
        conn = self.conn(broker)
        name = self.name()
        conn.create(name)
        data = batch([b"x" * 500_000])
        done, error = 0, 0
        for _ in range(60):
            error = conn.produce(name, data).error
            if error:
                break
            done += 1
        self.assertGreater(done, 5)
        self.assertIn(error, (19, 20, 56, 7), "not retriable")
        self.assertFalse(broker.dead(), broker.log())
        self.assertEqual(len(conn.read_all(name)), done)
        other = self.name()
        subprocess.run(["mount", "-o", "remount,size=64m", broker.data], check=True)
        self.eventually(lambda: self.assertEqual(conn.produce(name, [b"after"]).error, 0), 15)
        got = conn.read_all(name)
        self.assertEqual((len(got), got[-1].value), (done + 1, b"after"))
        conn.create(other)
        broker.crash()
        conn = self.conn(broker)
        conn.wait_leader(name)
        self.assertEqual(len(conn.read_all(name)), done + 1)

    def test_a_read_only_file_system(self):
        if os.getuid():
            self.skipTest("needs root for a file system of its own")
        broker = self.moldau()
        os.makedirs(broker.data)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", broker.data],
                          capture_output=True).returncode:
            self.skipTest("mount is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", broker.data])
        self.addCleanup(broker.kill)
        for label in ("empty", "ours"):
            with self.subTest(label):
                subprocess.run(["mount", "-o", "remount,ro", broker.data], check=True)
                before = tree(broker.data)
                code, text = self.refused(broker)
                self.assertEqual(code, 1, text)
                self.assertRegex(text, r"(?m)^ML10\d\d .*" + re.escape(broker.data) + ".*[Rr]ead-only")
                self.assertEqual(tree(broker.data), before)
                subprocess.run(["mount", "-o", "remount,rw", broker.data], check=True)
                broker.start()
                if label == "empty":
                    names = self.fill(broker, 1, 10)
                self.check(broker, names, 10)
                self.assertEqual(broker.stop(), 0)

    def test_descriptors(self):
        # More partitions than descriptors.
        broker = self.moldau()
        limited = ["/bin/sh", "-c", 'ulimit -n 256; exec "$0" "$@"']
        command = broker.command()
        broker.command = lambda: limited + command
        broker.start()
        conn = self.conn(broker)
        name = self.name()
        conn.create(name, 300)
        for i in range(300):
            self.assertEqual(conn.produce(name, [b"%d" % i], index=i).error, 0)
        for i in range(0, 300, 7):
            self.assertEqual([r.value for r in conn.read_all(name, index=i)], [b"%d" % i])

    def test_connections_beyond_descriptors(self):
        broker = self.moldau()
        limited = ["/bin/sh", "-c", 'ulimit -n 128; exec "$0" "$@"']
        command = broker.command()
        broker.command = lambda: limited + command
        broker.start()
        held = []
        for _ in range(300):
            try:
                held.append(socket.create_connection(broker.address, 2))
            except OSError:
                break
        time.sleep(0.3)
        self.assertFalse(broker.dead(), broker.log())
        self.assertLess(len(broker.log()), 50_000)
        for s in held:
            s.close()
        self.eventually(lambda: self.alive(broker))

    def test_10000_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 10_500:
            self.skipTest(f"only {hard} descriptors are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 10_500), hard))
        broker = self.moldau().start()
        conn, topic = self.conn(broker), self.name()
        conn.create(topic)
        rss = broker.rss_kb()
        body = wire.encode("ApiVersions", 0, 1)
        held = [socket.create_connection(broker.address, 10) for _ in range(10_000)]
        try:
            for s in held:
                s.sendall(struct.pack(">i", len(body)) + body)
            for s in held:
                self.assertGreater(len(s.recv(100)), 8)
            if not is_sanitized():
                self.assertLess(broker.rss_kb() - rss, 10_000 * 12, "KB for 10,000 idle connections")
            cpu, began = broker.cpu_s(), time.monotonic()
            for i in range(100):
                self.assertEqual(conn.produce(topic, [b"x"]).error, 0)
            self.assertLess(time.monotonic() - began, 10)
            time.sleep(0.5)
            self.assertLess(broker.cpu_s() - cpu, 1.0, "idle connections cost time")
        finally:
            for s in held:
                s.close()
        self.assertEqual(broker.stop(), 0)

    def test_slow_senders(self):
        # What they hold is what they have sent, not what they have announced, and it goes with them.
        broker = self.moldau().start()
        good, topic = self.conn(broker), self.name()
        good.create(topic)
        rss = broker.rss_kb()
        slow = [self.conn(broker) for _ in range(60)]
        for conn in slow:
            conn.send_raw(struct.pack(">i", 50 << 20) + bytes(10_000))
        for _ in range(3):
            for conn in slow:
                conn.send_raw(bytes(300_000))
            began = time.monotonic()
            self.assertEqual(good.produce(topic, [b"x"]).error, 0)
            self.assertLess(time.monotonic() - began, 10)
        sent_kb = 60 * 910
        self.eventually(lambda: self.assertGreater(broker.rss_kb() - rss, sent_kb // 2))
        if not is_sanitized():
            self.assertLess(broker.rss_kb() - rss, 2 * sent_kb + 8192)
        for conn in slow:
            conn.close()
        if not is_sanitized():
            self.eventually(lambda: self.assertLess(broker.rss_kb() - rss, sent_kb // 2))
        self.assertEqual([r.value for r in good.read_all(topic)], [b"x"] * 3)

    def test_idle_takes_no_time(self):
        broker = self.moldau().start()
        self.fill(broker, 1, 4)

        def idle():  # one second of it is enough: what works without end never has one
            before = broker.cpu_s()
            time.sleep(1.0)
            self.assertLess(broker.cpu_s() - before, 0.1)
        self.eventually(idle)


if __name__ == "__main__":
    unittest.main()
