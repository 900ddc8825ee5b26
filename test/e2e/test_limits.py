# SPDX-License-Identifier: Apache-2.0
"""What nobody may exceed, and what must be on disk and in the log: bounds of memory, drained stops, checkpoints."""
import os
import select
import signal
import struct
import time
import unittest

from lib import wire
from lib.broker import is_sanitized
from lib.batch import Record, batch
from lib.case import Case, moldau_only
from lib.client import Closed


@moldau_only
class Limits(Case):
    def checkpoint(self, broker):
        path = os.path.join(broker.data, "recovery-point-offset-checkpoint")
        self.assertTrue(os.path.exists(path), "not written yet")
        with open(path) as f:
            lines = f.read().splitlines()
        self.assertEqual(int(lines[1]), len(lines) - 2)
        return {tuple(line.split()[:2]): int(line.split()[2]) for line in lines[2:]}

    def test_recovery_point_of_the_metadata_log(self):
        broker = self.moldau({"log.flush.offset.checkpoint.interval.ms": 100}).start()
        name = self.topic(self.conn(broker))
        self.eventually(lambda: self.assertIn(("__cluster_metadata", "0"), self.checkpoint(broker)))
        self.assertEqual(broker.stop(), 0)
        first = self.checkpoint(broker)
        self.assertIn((name, "0"), first)
        broker.start()
        self.assertEqual(broker.stop(), 0)
        self.assertGreater(self.checkpoint(broker)["__cluster_metadata", "0"], first["__cluster_metadata", "0"])

    def test_empty_checkpoint_files(self):
        broker = self.moldau().start()
        self.assertEqual(broker.stop(), 0)
        for name in ("recovery-point-offset-checkpoint", "log-start-offset-checkpoint",
                     "replication-offset-checkpoint"):
            open(os.path.join(broker.data, name), "w").close()
        broker.start()
        self.assertNotIn("ML1062", broker.log())

    def test_a_power_cut_is_remembered_until_the_logs_are_open(self):
        mark = lambda: open(os.path.join(broker.data, ".moldau_running")).read()
        broker = self.moldau({"log.flush.offset.checkpoint.interval.ms": 3600_000}).start()
        self.topic(self.conn(broker), 3)
        boot = mark()
        broker.kill()
        with open(os.path.join(broker.data, ".moldau_running"), "w") as f:
            f.write("00000000-0000-0000-0000-000000000000\n")
        for _ in range(2):
            broker.start()
            self.assertIn("power cut", mark())
            broker.kill()
        broker.overrides["log.flush.offset.checkpoint.interval.ms"] = 100
        broker.start()
        self.eventually(lambda: self.assertEqual(mark(), boot))

    def test_what_runs_at_the_stop_is_answered(self):
        broker = self.moldau().start()
        conn = self.conn(broker)
        topic = self.topic(conn, 4)
        waiting = [self.conn(broker) for _ in range(20)]
        for i, c in enumerate(waiting):
            c.send("ApiVersions", 0)
            c.send("Fetch", 12, max_wait_ms=60_000, min_bytes=1, topics=[
                {"name": topic, "partitions": [{"index": i % 4, "offset": 0}]}])
        for c in waiting:
            c.recv("ApiVersions", 0)
        self.assertTrue(waiting[-1].silent(0.5))
        broker.signal(signal.SIGTERM)
        for i, c in enumerate(waiting):
            partition = c.recv("Fetch", 12).topics[0].partitions[0]
            self.assertEqual(partition.index, i % 4)
            self.assertIn(partition.error, (0, 6))  # leadership may have gone first
            self.assertTrue(c.closed())
        self.assertEqual(broker.wait_exit(), 0)

    def test_small_requests_that_ask_for_much(self):
        # Tiny partitions without end: each request is refused or takes at most 256 MiB, all together 512 MiB more.
        broker = self.moldau().start()
        topic = self.topic(self.conn(broker))
        hostile = [self.conn(broker) for _ in range(12)]
        name = struct.pack(">h", len(topic)) + topic.encode()
        for n in (250_000, 520_000):
            produce = struct.pack(">hhihhhii", 0, 3, 1, -1, -1, 1, 1000, 1) + name + struct.pack(">i", n)
            produce += struct.pack(">ii", 0, 0) * n
            fetch = struct.pack(">hhihiiiibi", 1, 4, 1, -1, -1, 0, 0, 1 << 20, 0, 1) + name + struct.pack(">i", n)
            fetch += struct.pack(">iqi", 0, 0, 1) * n
            offsets = struct.pack(">hhihiBi", 2, 2, 1, -1, -1, 0, 1) + name + struct.pack(">i", n)
            offsets += struct.pack(">iq", 0, -1) * n
            for conn, frame in zip(hostile, (produce, fetch, offsets) * 4):
                try:
                    conn.send_frame(frame)
                except (Closed, OSError):
                    pass
            # Answers are read as they come: one that is not read keeps its memory, and others wait for it.
            waiting = {conn.sock.fileno(): i for i, conn in enumerate(hostile)}
            poller = select.poll()
            for number in waiting:
                poller.register(number, select.POLLIN)
            while waiting:
                ready = poller.poll(60_000)
                self.assertTrue(ready, f"{len(waiting)} requests have no answer")
                for number, _ in ready:
                    i = waiting.pop(number)
                    poller.unregister(number)
                    try:
                        hostile[i].sock.settimeout(60)
                        hostile[i].recv_frame()
                    except (Closed, OSError):
                        hostile[i] = self.conn(broker)
        self.assertEqual(self.conn(broker).produce(topic, [b"x"]).error, 0)
        with open(f"/proc/{broker.process.pid}/status") as f:
            most = next(int(line.split()[1]) << 10 for line in f if line.startswith("VmHWM"))
        if not is_sanitized():
            self.assertLess(most, 1200 << 20)

    def test_a_directory_that_fails_alone_lacks_its_mark(self):
        broker = self.moldau()
        dirs = [broker.data, os.path.join(broker.own_dir, "second")]
        broker.overrides["log.dirs"] = ",".join(dirs)
        broker.start()
        conn = self.conn(broker)
        topic = self.topic(conn, 8)
        for i in range(8):
            self.assertEqual(conn.produce(topic, [b"x"], index=i).error, 0)
        self.assertTrue(any(n.startswith(topic) for n in os.listdir(dirs[1])))
        os.rename(dirs[1], dirs[1] + "-gone")
        self.assertEqual(broker.stop(), 0)
        self.assertTrue(os.path.exists(os.path.join(dirs[0], ".kafka_cleanshutdown")))
        self.assertFalse(os.path.exists(os.path.join(dirs[1] + "-gone", ".kafka_cleanshutdown")))
        os.rename(dirs[1] + "-gone", dirs[1])
        broker.start()
        conn = self.conn(broker)
        conn.wait_leader(topic, 8)
        self.assertEqual([len(conn.read_all(topic, 0, i)) for i in range(8)], [1] * 8)

    def test_mistakes_without_end_are_not_all_explained(self):
        broker = self.moldau().start()
        conn = self.conn(broker, timeout=60)
        topic = self.topic(conn)
        far = int(time.time() * 1000) + 10**9
        wrong = batch([Record(b"", timestamp=far) for _ in range(64)])
        part = struct.pack(">ii", 0, len(wrong)) + wrong
        frame = struct.pack(">hhihhhii", 0, 8, 1, -1, -1, 1, 10_000, 1)
        frame += struct.pack(">h", len(topic)) + topic.encode() + struct.pack(">i", 90_000) + part * 90_000
        conn.send_frame(frame)
        self.assertLess(len(conn.recv_frame()), 100 << 20)
        self.assertEqual(self.conn(broker).produce(topic, [b"x"]).error, 0)

    def test_a_stranger_is_named_once_a_minute(self):
        broker = self.moldau().start()
        for hello in (b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", struct.pack(">ihhih", 10, 9999, 0, 1, -1)) * 30:
            conn = self.conn(broker)
            conn.send_raw(hello)
            try:
                conn.recv_exact(1 << 20)
            except Closed:
                pass
        broker.stop()
        log = broker.log()
        for word in ("ML1030", "ML1034", "conn.refuse "):
            self.assertIn(log.count(word), range(1, int(broker.reactors) + 1), log)  # each reactor counts for itself

    def test_a_session_too_large(self):
        broker = self.moldau().start()
        conn = self.conn(broker)
        topic = self.topic(conn)
        name = struct.pack(">h", len(topic)) + topic.encode()

        def call(session, epoch, parts):
            """(error, session, partitions); by hand, since the codec takes a while for as many."""
            conn.send_frame(
                wire.header(1, 7, False, 1) + struct.pack(">iiiibiii", -1, 0, 0, 1 << 20, 0, session, epoch, 1) + name +
                struct.pack(">i", len(parts)) + b"".join(struct.pack(">iqqi", i, 0, -1, 1 << 20) for i in parts) +
                struct.pack(">i", 0))
            answer = conn.recv_frame()
            error, session, topics_n = struct.unpack_from(">hii", answer, 8)
            self.assertIn(topics_n, (0, 1))
            return error, session, struct.unpack_from(">i", answer, 18 + len(name))[0] if topics_n else 0
        self.assertEqual(call(0, 0, range(200_001)), (0, 0, 200_001))
        error, session, n = call(0, 0, range(150_000))
        self.assertEqual((error, n), (0, 150_000))
        self.assertGreater(session, 0)
        self.assertEqual(call(session, 1, range(150_000, 200_001))[0], 70)
        self.assertEqual(call(session, 2, [])[0], 70)


if __name__ == "__main__":
    unittest.main()
