# SPDX-License-Identifier: Apache-2.0
"""The indexes of aborted transactions of old segments, damaged while the node is down: readers of committed records
get no aborted one, and `debug check` and the scrub name the markers that no index knows. Of a file that is gone
nothing is left that a start could see; Kafka 4.3.1 sees neither that nor an empty one, and zeros only where the
segment does not begin at 0."""
import glob
import os
import re
import subprocess

from lib.broker import binary
from lib.case import moldau_only
from test_txn_data import ABORT, COMMIT, Txn, TxnCase


def empty(path):
    os.truncate(path, 0)


def zeros(path):
    with open(path, "r+b") as f:
        f.write(bytes(os.path.getsize(path)))


def cut(path):
    os.truncate(path, os.path.getsize(path) - 5)


@moldau_only
class TxnIndex(TxnCase):
    def setUp(self):
        pass

    def make(self):
        """A topic of several segments, each with an index; what is committed in it."""
        node = self.moldau({"log.scrub.interval.ms": 300, "log.flush.offset.checkpoint.interval.ms": 200,
                            "log.initial.task.delay.ms": 0}).start()
        self.broker, self.c, Txn.found = node, self.conn(node), None
        topic = self.topic(self.c, internal_segment_bytes=3000)
        txns = [Txn(self, self.conn(node), f"{topic}-{i}") for i in range(2)]
        want = []
        for i in range(24):
            ends = (ABORT, COMMIT) if i % 3 else (ABORT, ABORT)
            for txn, end in zip(txns, ends):
                for part in range(2):
                    value = b"%d %d " % (i, part) + b"v" * 50
                    txn.send(topic, [value])
                    if end == COMMIT:
                        want.append(value)
            for txn, end in zip(txns, ends):
                txn.end(end)
            want.append(b"plain %d" % i)
            self.plain(topic, want[-1])
        self.wait_stable(topic, self.c.list_offset(topic, -1).offset)
        self.assertEqual(self.values(node, topic), want)
        return node, topic, want

    def values(self, node, topic):
        with self.conn(node) as conn:
            conn.wait_leader(topic)
            return [value for _, value in conn.read_committed(topic)]

    def check(self, node):
        done = subprocess.run([binary(), "debug", "check", node.data], capture_output=True, text=True, check=False,
                              timeout=60)
        lines = done.stdout.splitlines()
        self.assertEqual(done.returncode, 6 if lines else 0, done.stderr)
        return lines

    def indexes(self, node, topic):
        return {path: open(path, "rb").read() for path in glob.glob(f"{node.data}/{topic}-0/*.txnindex")}

    def test_found_again(self):
        node, topic, want = self.make()
        for end in (node.stop, node.kill):
            end()
            before = self.indexes(node, topic)
            self.assertGreater(len(before), 4)
            for how in (empty, zeros, cut):
                for path in sorted(before)[:3]:
                    with self.subTest(how=how.__name__, path=path, end=end.__name__):
                        how(path)
                        lines = self.check(node)
                        self.assertTrue(any(path.replace(".txnindex", "") in line for line in lines), lines)
                        node.start()
                        self.assertEqual(self.values(node, topic), want)
                        self.assertNotIn("scrub.aborted_unlisted", node.log())
                        self.assertEqual(before[path], self.indexes(node, topic)[path])
                        end()
                        self.assertEqual(self.check(node) if end == node.stop else [], [])
            node.start()
        node.stop()

    def test_gone(self):
        node, topic, want = self.make()
        node.stop()
        self.assertEqual(self.check(node), [])
        before = self.indexes(node, topic)
        for path in sorted(before)[:3]:
            os.unlink(path)
            lines = self.check(node)
            log = path.replace(".txnindex", ".log")
            self.assertEqual(len(lines), len(before[path]) // 34, lines)
            for line in lines:
                self.assertRegex(line, f"^{log}: position [1-9][0-9]*: the marker aborts .*txnindex")
            node.start()
            said = node.wait_log("scrub.aborted_unlisted", "ML1074", "partition=0", f"file={log} ")
            self.assertEqual(re.search(r"position=(\d+) ", said)[1], lines[0].split(": ")[1].split()[1])
            self.assertIn(f" markers={len(lines)} ", said)
            node.stop()
            open(path, "wb").close()  # as the message advises
            node.start()
            self.assertEqual(self.values(node, topic), want)
            node.stop()
            self.assertEqual(self.indexes(node, topic), before)
            self.assertEqual(self.check(node), [])
