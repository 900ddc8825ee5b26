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
