# SPDX-License-Identifier: Apache-2.0
"""An old segment of a running node is damaged: the scrub names it once, and only what is damaged is not served."""
import os
import re
import urllib.request

from lib.batch import batches
from lib.case import Case, moldau_only

N = 200
CORRUPT_MESSAGE = 2


@moldau_only
class Scrub(Case):
    def one(self, reactors):
        node = self.moldau({"log.scrub.interval.ms": 300, "log.scrub.max.bytes.per.second": 10 << 20,
                            "log.flush.offset.checkpoint.interval.ms": 200, "log.initial.task.delay.ms": 0,
                            "http.listener": "0"},
                           reactors=reactors).start()
        conn = self.conn(node)
        topic = self.topic(conn, 4, internal_segment_bytes=5000)
        values = [b"%04d" % i + b"v" * 96 for i in range(N)]
        for index in range(4):
            for value in values:
                self.assertEqual(conn.produce(topic, [value], index).error, 0)
        node.wait_log("scrub.done", "damaged=0")
        self.assertNotIn("scrub.damaged", node.log())
        folder = os.path.join(node.data, f"{topic}-2")
        path = os.path.join(folder, sorted(n for n in os.listdir(folder) if n.endswith(".log"))[1])
        base = int(os.path.basename(path)[:20])
        with open(path, "r+b") as f:
            data = f.read()
            size = 12 + int.from_bytes(data[8:12], "big")
            pos, bad = 3 * size, base + 3
            f.seek(pos + size - 20)
            f.write(b"X")
        line = node.wait_log("scrub.damaged", "ML1075", topic, f"position={pos}", seconds=20)
        self.assertIn(path, line)
        self.assertIn("partition=2", line)
        answer = conn.fetch(topic, bad, 2, max_wait_ms=0)
        self.assertEqual((answer.error, answer.records or b""), (CORRUPT_MESSAGE, b""))
        self.assertEqual(conn.fetch(topic, bad, 2, max_wait_ms=0).error, CORRUPT_MESSAGE)
        # What is before it, by one request that reaches over it, and what is behind.
        got = [r.offset for b in batches(conn.fetch(topic, base, 2, max_wait_ms=0).records) for r in b.records]
        self.assertEqual(got, [base, base + 1, base + 2])
        self.assertEqual([r.value for r in conn.read_all(topic, bad + 1, 2)], values[bad + 1:])
        for index in (0, 1, 3):
            self.assertEqual([r.value for r in conn.read_all(topic, 0, index)], values)
        self.assertEqual(conn.produce(topic, [b"new"], 2).base_offset, N)
        done = node.log().count("scrub.done")
        self.eventually(lambda: self.assertGreater(node.log().count("scrub.done"), done + 2 * reactors))
        self.assertEqual(node.log().count("scrub.damaged"), 1)
        self.assertEqual(node.log().count("log.not_served"), 1)
        self.assertIn(f"position={pos}", node.wait_log("log.not_served", path))
        port = re.search(r"http\.listen host=127\.0\.0\.1 port=(\d+)", node.log())[1]

        def counted():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
                text = page.read().decode()
            self.assertRegex(text, r"(?m)^moldau_scrub_damaged_total 1(\.0)?$")
            self.assertRegex(text, r"(?m)^moldau_scrub_bytes_total [1-9]")
        self.eventually(counted)
        node.stop()

    def test_one_reactor(self):
        self.one(1)

    def test_two_reactors(self):
        self.one(2)
