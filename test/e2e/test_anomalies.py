# SPDX-License-Identifier: Apache-2.0
"""Anomalies of logs and disks that other brokers had, each named after where it was found; those of transactions are in
test_txn_anomalies.py. docs/anomalies.md has all of them."""
import glob
import os
import unittest

from lib.batch import batches
from lib.case import Case, moldau_only

CLEAN = ".kafka_cleanshutdown"


class Reading(Case):
    def test_nisshi_a_fetch_within_a_batch_gives_it_whole(self):
        conn = self.conn()
        topic, n, each = self.topic(conn, segment_bytes=1048576, index_interval_bytes=200), 40, 4
        for i in range(n):
            self.assertEqual(conn.produce(topic, [b"%d-%d" % (i, k) + bytes(50) for k in range(each)]).error, 0)
        for crashed in (False, True):
            for offset in range(n * each):
                got = batches(conn.fetch(topic, offset, max_wait_ms=0, partition_max_bytes=1000).records)
                self.assertEqual((got[0].base_offset, got[0].count), (offset - offset % each, each), (offset, crashed))
                self.assertEqual(len(conn.read_all(topic, offset)), n * each - offset)
            if not crashed:
                self.crash()
                conn = self.conn()
                conn.wait_leader(topic)


@moldau_only
class Anomalies(Case):
    def values(self, conn, topic):
        return [r.value for r in conn.read_all(topic)]

    def test_kafka_10471_a_kill_after_a_clean_stop_is_no_clean_stop(self):
        broker = self.moldau().start()
        conn = self.conn(broker)
        topic = self.topic(conn)
        wanted = [b"%d" % i for i in range(20)]
        for value in wanted:
            self.assertEqual(conn.produce(topic, [value]).error, 0)
        self.assertEqual(broker.stop(), 0)
        self.assertTrue(os.path.exists(os.path.join(broker.data, CLEAN)))
        for delay in (None, 0):
            broker.spawn()
            if delay is None:
                broker.wait_ready()
                self.assertFalse(os.path.exists(os.path.join(broker.data, CLEAN)))
            broker.kill()
        broker.start()
        broker.kill()
        # As if a write had been on its way: no start after a kill may believe the length of a file.
        path, = glob.glob(os.path.join(broker.data, f"{topic}-0", "*.log"))
        with open(path, "r+b") as f:
            tail = f.read()[-60:]
            f.write(tail)
        broker.start()
        conn = self.conn(broker)
        conn.wait_leader(topic)
        self.assertEqual(self.values(conn, topic), wanted)
        self.assertEqual(conn.produce(topic, [b"next"]).base_offset, len(wanted))
        self.assertEqual(self.values(conn, topic), [*wanted, b"next"])

    def test_nats_7556_a_topic_that_the_metadata_does_not_know_is_kept(self):
        broker = self.moldau().start()
        conn = self.conn(broker)
        topic = self.topic(conn)
        self.assertEqual(conn.produce(topic, [b"x"]).error, 0)
        self.assertEqual(broker.stop(), 0)
        # Of a topic with an id that nobody has.
        place = os.path.join(broker.data, f"{topic}-0")
        meta = os.path.join(place, "partition.metadata")
        with open(meta, encoding="ascii") as f:
            text = f.read()
        with open(meta, "w", encoding="ascii") as f:
            f.write(text[:text.rindex("topic_id:")] + "topic_id: AAAAAAAAAAAAAAAAAAAAAQ\n")
        size = os.path.getsize(glob.glob(os.path.join(place, "*.log"))[0])
        broker.start()
        self.conn(broker).wait_leader(topic)
        broker.wait_log("log_dir.stray_found", "ML1019", f"log={topic}-0", "topic_id=AAAAAAAAAAAAAAAAAAAAAQ")
        for _ in range(2):
            kept = glob.glob(os.path.join(broker.data, "*-stray", "*.log"))
            self.assertEqual([os.path.getsize(f) for f in kept], [size])
            self.assertEqual(broker.stop(), 0)
            broker.start()


if __name__ == "__main__":
    unittest.main()
