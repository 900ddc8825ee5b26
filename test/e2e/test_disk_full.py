# SPDX-License-Identifier: Apache-2.0
"""A small file system of its own fills up: writes are refused, all else goes on, and writes come back by themselves.
Needs to mount a tmpfs, so it is skipped for all but root."""
import os
import subprocess
import tempfile

from lib.client import make_batch
from lib.case import Case, moldau_only

STORAGE = 56
BATCH = make_batch([b"z" * 200000])
MB = 1 << 20


class DiskFull(Case):
    def disk(self, size_mb):
        path = tempfile.mkdtemp(prefix="moldau-e2e-disk-")
        self.addCleanup(os.rmdir, path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "moldau-e2e", path],
                              stderr=subprocess.DEVNULL, check=False) if os.geteuid() == 0 else None
        if done is None or done.returncode:
            self.skipTest("a tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=True)
        return path

    def node(self, size_mb, **overrides):
        data = os.path.join(self.disk(size_mb), "data")
        self.root = os.path.dirname(data)
        return self.moldau({"log.segment.bytes": "1048576", "log.segment.delete.delay.ms": "100",
                            "log.retention.check.interval.ms": "300", "log.initial.task.delay.ms": "100",
                            "log.dir.ballast.bytes": str(MB), **overrides}, data=data).start()

    def fill(self, conn, topic, most=400):
        """Writes until it is refused; how many were taken."""
        for n in range(most):
            error = conn.produce(topic, BATCH).error
            if error:
                self.assertEqual(error, STORAGE)
                return n
        self.fail("the disk never became full")

    def whole(self, conn, topic, n):
        """Every batch that was taken is there, byte by byte but for what the broker stamps."""
        for offset in range(n):
            got = conn.fetch(topic, offset, partition_max_bytes=1).records
            self.assertEqual((got[:8], got[16:len(BATCH)]), (offset.to_bytes(8, "big"), BATCH[16:]))

    def usable(self):
        stat = os.statvfs(self.root)
        return stat.f_bavail * stat.f_frsize

    def take_all(self):
        """Somebody else takes what there is, to the last page."""
        with open(os.path.join(self.root, "junk"), "ab", buffering=0) as f:
            for size in (1 << 20, 1 << 16, 4096):
                try:
                    while f.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass

    def take_all_and_ballast(self, node, conn, topic):
        """The same again when the ballast was given up: its name goes before its bytes."""
        def check():
            self.take_all()
            self.assertEqual(conn.produce(topic, [b"x"]).error, STORAGE)
        self.eventually(check, 20)
        node.wait_log("log_dir.ballast", "given up")
        self.take_all()
        self.assertEqual(self.usable(), 0)

    def node_of_two(self, **overrides):
        """The metadata has a disk of its own."""
        other = tempfile.TemporaryDirectory(prefix="moldau-e2e-metadata-")
        self.addCleanup(other.cleanup)
        return self.node(40, **{"metadata.log.dir": other.name, **overrides})

    @moldau_only
    def test_deleted_where_not_a_byte_is_left(self):
        node = self.node_of_two()
        conn = self.conn(node)
        topic, other = self.topic(conn, 4), self.topic(conn)
        for i in range(40):
            self.assertEqual(conn.produce(topic, BATCH, i % 4).error, 0)
        self.take_all_and_ballast(node, conn, topic)
        conn.delete(topic)
        self.eventually(lambda: self.assertEqual([name for name in os.listdir(node.data) if topic in name], []))
        self.assertGreater(self.usable(), 7 * MB)
        self.eventually(lambda: self.assertEqual(conn.produce(other, [b"x"]).error, 0), 20)

    @moldau_only
    def test_a_new_topic_is_not_cut_by_the_marks_of_the_old_one(self):
        """The checkpoint files could not be written when it was deleted, and a kill follows."""
        node = self.node_of_two(**{"log.segment.delete.delay.ms": "60000"})
        conn = self.conn(node)
        topic = self.topic(conn)
        for _ in range(4):
            self.assertEqual(conn.produce(topic, BATCH).error, 0)
        answer = conn.call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"index": 0, "offset": 3}]}])
        self.assertEqual(answer.topics[0].partitions[0].error, 0)
        self.take_all_and_ballast(node, conn, topic)
        conn.delete(topic)
        node.wait_log("checkpoint.failed", "DISK_FULL")
        os.unlink(os.path.join(self.root, "junk"))
        conn.create(topic, wait=False)
        self.eventually(lambda: self.assertEqual(conn.produce(topic, [b"0"]).error, 0), 20)
        self.assertEqual(conn.produce(topic, [b"1"]).error, 0)
        node.crash()
        conn = self.conn(node)
        conn.wait_leader(topic)
        got = conn.read_all(topic)
        self.assertEqual([r.offset for r in got], list(range(len(got))))
        self.assertEqual([r.value for r in got][-2:], [b"0", b"1"])

    @moldau_only
    def test_a_start_where_not_a_byte_is_left(self):
        """What was kept for that is given up, writes are refused from the first one on, and all else goes on."""
        node = self.node(40)
        ballast = os.path.join(node.data, ".moldau_ballast")
        self.eventually(lambda: self.assertTrue(os.path.exists(ballast)))
        conn = self.conn(node)
        topic, other = self.topic(conn), self.topic(conn)
        for _ in range(20):
            self.assertEqual(conn.produce(topic, BATCH).error, 0)
        self.assertEqual(conn.produce(other, [b"x"]).error, 0)
        node.kill()
        self.take_all()
        self.assertEqual(self.usable(), 0)
        node.start()
        node.wait_log("log_dir.ballast", "room to start")
        conn = self.conn(node)
        conn.wait_leader(topic)
        self.whole(conn, topic, 20)
        self.eventually(lambda: self.assertEqual(conn.produce(other, [b"x"]).error, STORAGE), 20)
        conn.delete(topic)
        os.unlink(os.path.join(self.root, "junk"))
        self.eventually(lambda: self.assertEqual(conn.produce(other, [b"x"]).error, 0), 20)

    @moldau_only
    def test_percent(self):
        node = self.node(40)
        ballast = os.path.join(node.data, ".moldau_ballast")
        self.eventually(lambda: self.assertGreaterEqual(os.stat(ballast).st_blocks * 512, MB))
        conn = self.conn(node)
        topic, other = self.topic(conn), self.topic(conn)
        n = self.fill(conn, topic)
        self.assertLess(self.usable(), 3 * MB)
        node.wait_log("ML1051", f"biggest=\"{topic}")
        self.whole(conn, topic, n)
        self.assertEqual(conn.produce(other, [b"x"]).error, STORAGE)
        # settings and topics still change: that is what frees space
        conn.call("IncrementalAlterConfigs", 1, resources=[{"type": 2, "name": topic, "configs": [
            {"name": "retention.bytes", "op": 0, "value": str(8 * MB)}]}])
        self.eventually(lambda: self.assertEqual(conn.produce(other, [b"x"]).error, 0), 20)
        self.assertGreater(conn.list_offset(topic, -2).offset, 0)
        self.fill(conn, other)
        conn.delete(topic)
        self.eventually(lambda: self.assertEqual(conn.produce(other, [b"x"]).error, 0), 20)

    @moldau_only
    def test_forecast(self):
        node = self.node(40, **{"log.dir.warn.percent": "50"})
        conn = self.conn(node)
        topic = self.topic(conn)
        for _ in range(110):
            self.assertEqual(conn.produce(topic, BATCH).error, 0)
        node.wait_log("ML1050", f"biggest=\"{topic}", seconds=25)

    @moldau_only
    def test_to_the_last_byte(self):
        """Somebody else fills the disk: the ballast is given up, what was told stays, a restart finds all of it."""
        node = self.node(40, **{"log.dir.full.percent": "100"})
        ballast = os.path.join(node.data, ".moldau_ballast")
        self.eventually(lambda: self.assertTrue(os.path.exists(ballast)))
        conn = self.conn(node)
        topic, other = self.topic(conn), self.topic(conn)
        self.assertEqual(conn.produce(other, [b"x"]).error, 0)
        n = self.fill(conn, topic)
        self.eventually(lambda: self.assertFalse(os.path.exists(ballast)))
        self.whole(conn, topic, n)
        self.assertEqual(conn.produce(topic, BATCH).error, STORAGE)
        conn.delete(other)
        node.crash()
        conn = self.conn(node)
        self.whole(conn, topic, n)
        answer = conn.call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"index": 0, "offset": n // 2}]}])
        self.assertEqual(answer.topics[0].partitions[0].error, 0)
        self.eventually(lambda: self.assertEqual(conn.produce(topic, [b"x"]).error, 0), 20)
        self.eventually(lambda: self.assertTrue(os.path.exists(ballast)), 25)
