# SPDX-License-Identifier: Apache-2.0
"""Produce: what is stored, what is refused, and how both are answered."""
import gzip
import unittest
import uuid

from lib import codecs, wire
from lib.batch import GZIP, LZ4, Record, batch, batches, now_ms, record_bytes, varint
from lib.broker import target
from lib.case import Case, moldau_only

MANY = [Record(b"plain"), Record(b"value", b"key"), Record(None, b"only key"), Record(b"", b""), Record(None, None),
        Record(b"h", b"k", [("a", b"1"), ("a", b"2"), ("", None), ("\u00fc", b"")]), Record(bytes(range(256)) * 8)]
HOUR_MS = 3600 * 1000


class Stored(Case):
    def test_every_version(self):
        conn = self.conn()
        topic = self.topic(conn)
        topic_id = conn.topic_id(topic)
        for at, version in enumerate(range(3, 14)):
            with self.subTest(version=version):
                answer = conn.produce(topic if version < 13 else "", [b"v%d" % version], version=version,
                                      topic_id=topic_id)
                self.assertEqual((answer.error, answer.base_offset, answer.append_time_ms), (0, at, -1))
                if version >= 5:
                    self.assertEqual(answer.log_start, 0)
                if version >= 8:
                    self.assertEqual((answer.record_errors, answer.message), ([], None))
        self.assertEqual([r.value for r in conn.read_all(topic)], [b"v%d" % v for v in range(3, 14)])

    def test_keys_values_headers_and_timestamps_come_back(self):
        conn = self.conn()
        topic = self.topic(conn)
        sent = [Record(r.value, r.key, r.headers, now_ms() - 1000 * i) for i, r in enumerate(MANY)]
        self.assertEqual(conn.produce(topic, sent).error, 0)
        got = conn.read_all(topic)
        self.assertEqual([(r.same(), r.timestamp) for r in got], [(r.same(), r.timestamp) for r in sent])
        self.assertEqual([r.offset for r in got], list(range(len(sent))))

    def test_every_codec_is_stored_as_sent(self):
        conn = self.conn()
        topic = self.topic(conn)
        offset = 0
        for name, (codec, compress) in codecs.ALL.items():
            with self.subTest(codec=name):
                sent = batch([Record(b"one", b"k"), Record(b"two")], codec, compress)
                answer = conn.produce(topic, sent)
                self.assertEqual((answer.error, answer.base_offset), (0, offset))
                got = batches(conn.fetch(topic, offset).records)[0]
                self.assertEqual((got.bytes[21:], got.codec), (sent[21:], codec))
                self.assertEqual((got.base_offset, got.epoch), (offset, 0))
                offset += 2

    def test_a_batch_of_nearly_1_mb(self):
        conn = self.conn()
        topic = self.topic(conn)
        value = bytes(range(251)) * 4100
        self.assertEqual(conn.produce(topic, [value]).error, 0)
        self.assertEqual(conn.read_all(topic)[0].value, value)

    def test_several_partitions_and_topics_in_one_request(self):
        conn = self.conn()
        one, two = self.topic(conn, 3), self.topic(conn)
        answer = conn.call("Produce", 9, acks=-1, timeout_ms=5000, topics=[
            {"name": one, "partitions": [{"index": i, "records": batch([b"p%d" % i])} for i in (2, 0, 7)]},
            {"name": "absent-" + one, "partitions": [{"index": 0, "records": batch([b"x"])}]},
            {"name": two, "partitions": [{"index": 0, "records": batch([b"x"], crc=1)}]}])
        got = {(t.name, p.index): p.error for t in answer.topics for p in t.partitions}
        self.assertEqual(got, {(one, 2): 0, (one, 0): 0, (one, 7): 3, ("absent-" + one, 0): 3, (two, 0): 2})
        for i, n in ((0, 1), (1, 0), (2, 1)):
            self.assertEqual(len(conn.read_all(one, index=i)), n)

    def test_no_topics(self):
        self.assertEqual(self.conn().call("Produce", 9, acks=-1, timeout_ms=5000, topics=[]).topics, [])

    def test_header_fields_the_leader_sets(self):
        # Leader epoch is stamped; a wrong maxTimestamp is put right; the timestamp type is the topic's.
        conn = self.conn()
        topic = self.topic(conn)
        now = now_ms()
        conn.produce(topic, batch([Record(b"a", timestamp=now), Record(b"b", timestamp=now - 5)],
                                  max_timestamp=5, epoch=77))
        conn.produce(topic, batch([Record(b"a", timestamp=now)], attributes=8))
        conn.produce(topic, batch([Record(b"a", timestamp=now)], attributes=0x100))
        first, second, third = batches(conn.fetch(topic).records)
        self.assertEqual((first.epoch, first.max_timestamp), (0, now))
        self.assertEqual(second.attributes, 0)
        self.assertEqual((third.attributes, third.count), (0x100, 1))

    def test_acks_1_and_timeouts(self):
        conn = self.conn()
        topic = self.topic(conn)
        for at, (acks, timeout_ms) in enumerate(((1, 5000), (1, 0), (-1, 0), (-1, -1))):
            answer = conn.produce(topic, [b"x"], acks=acks, timeout_ms=timeout_ms)
            self.assertEqual((answer.error, answer.base_offset), (0, at))

    def test_log_append_time(self):
        conn = self.conn()
        topic = self.topic(conn, message_timestamp_type="LogAppendTime")
        before = now_ms()
        answer = conn.produce(topic, [Record(b"a", timestamp=5), Record(b"b", timestamp=now_ms() + 10**9)])
        self.assertEqual(answer.error, 0)
        self.assertTrue(before - 5 <= answer.append_time_ms <= now_ms() + 5, answer)
        got = batches(conn.fetch(topic).records)[0]
        self.assertEqual((got.log_append, got.max_timestamp), (True, answer.append_time_ms))
        self.assertEqual({r.timestamp for r in got.records}, {answer.append_time_ms})
        compressed = conn.produce(topic, batch([Record(b"a", timestamp=5)], GZIP))
        got = batches(conn.fetch(topic, 2).records)[0]
        self.assertEqual((got.log_append, got.codec, got.max_timestamp), (True, GZIP, compressed.append_time_ms))
        refused = conn.produce(topic, batch([Record(b"a", timestamp=5)], attributes=8))
        self.assertEqual((refused.error, [e.index for e in refused.record_errors]), (32, [0]))

    def test_compression_type_of_the_topic(self):
        for setting, codec, kept in (("gzip", 0, GZIP), ("uncompressed", GZIP, 0), ("gzip", GZIP, GZIP),
                                     ("lz4", GZIP, LZ4), ("producer", GZIP, GZIP)):
            with self.subTest(setting=setting, codec=codec):
                conn = self.conn()
                topic = self.topic(conn, compression_type=setting)
                sent = [Record(b"a" * 500, b"k", [("h", None)], now_ms() - 10), Record(b"b", timestamp=now_ms())]
                self.assertEqual(conn.produce(topic, batch(sent, codec)).error, 0)
                got = batches(conn.fetch(topic).records)[0]
                self.assertEqual((got.codec, got.count, got.base_offset), (kept, 2, 0))
                self.assertEqual(got.max_timestamp, sent[1].timestamp)
                if got.records:
                    self.assertEqual([(r.same(), r.timestamp) for r in got.records],
                                     [(r.same(), r.timestamp) for r in sent])

    def test_v13_by_topic_id(self):
        conn = self.conn()
        topic = self.topic(conn)
        for topic_id, error in ((conn.topic_id(topic), 0), (uuid.uuid4(), 100), (wire.UUID_ZERO, 100)):
            with self.subTest(topic_id=topic_id):
                self.assertEqual(conn.produce("", [b"x"], version=13, topic_id=topic_id).error, error)


class Acks0(Case):
    def test_no_answer_and_stored(self):
        conn = self.conn()
        topic = self.topic(conn)
        for i in range(5):
            conn.produce(topic, [b"%d" % i], acks=0)
        # The next answer on the connection belongs to the next request, not to those.
        conn.call("ApiVersions", 0)
        self.assertTrue(conn.silent(0.3))
        self.assertEqual([r.value for r in conn.read_all(topic)], [b"0", b"1", b"2", b"3", b"4"])

    def test_errors_close_the_connection(self):
        setup = self.conn()
        topic = self.topic(setup)
        late = batch([Record(b"x", timestamp=now_ms() + 10**8)])
        for label, name, index, data in (("unknown topic", "absent-" + topic, 0, batch([b"x"])),
                                         ("unknown partition", topic, 5, batch([b"x"])),
                                         ("crc", topic, 0, batch([b"x"], crc=1)),
                                         ("two batches", topic, 0, batch([b"x"]) * 2), ("late", topic, 0, late)):
            with self.subTest(label):
                conn = self.conn()
                conn.produce(name, data, index=index, acks=0)
                self.assertTrue(conn.closed(5), "still open")
        self.assertEqual(setup.read_all(topic), [])

    def test_other_acks_are_refused(self):
        conn = self.conn()
        topic = self.topic(conn)
        for acks in (5, 2, -2, 32767, -32768):
            with self.subTest(acks=acks):
                answer = conn.produce(topic, [b"x"], acks=acks)
                self.assertEqual((answer.error, answer.base_offset, answer.append_time_ms), (21, -1, -1))
        self.assertEqual(conn.read_all(topic), [])


class Refused(Case):
    """Nothing of these may be stored."""

    def check(self, cases, **configs):
        conn = self.conn()
        topic = self.topic(conn, **configs)
        for label, data, errors in cases:
            for version in (3, 7, 8, 12):
                with self.subTest(label, version=version):
                    answer = conn.produce(topic, data, version=version)
                    self.assertIn(answer.error, errors if isinstance(errors, tuple) else (errors,))
                    self.assertEqual((answer.base_offset, answer.append_time_ms), (-1, -1))
        self.assertEqual(conn.fetch(topic, max_wait_ms=0).high_watermark, 0)
        self.assertEqual(conn.produce(topic, [b"fine"]).base_offset, 0)

    def test_exactly_one_batch(self):
        self.check((("empty", b"", 87), ("two", batch([b"a"]) + batch([b"b"]), 87), ("three", batch([b"a"]) * 3, 87)))

    def test_corrupt_crc_is_error_2(self):
        good = batch([b"abc" * 50])
        flipped = bytearray(good)
        flipped[-5] ^= 1
        self.check((("crc field", batch([b"a"], crc=1), 2), ("one bit", bytes(flipped), 2),
                    ("attributes", good[:22] + b"\1" + good[23:], 2)))

    def test_magic(self):
        self.check((("0", batch([b"a"], magic=0), 87), ("1", batch([b"a"], magic=1), 87),
                    ("3", batch([b"a"], magic=3), 2),
                    ("-1", batch([b"a"], magic=-1), 2)))

    def test_counts_and_deltas(self):
        two, three = [b"a", b"b"], [b"a", b"b", b"c"]
        self.check((
            ("count 0", batch([], raw=b"", last_offset_delta=-1, base_timestamp=1, max_timestamp=1), 87),
            ("count 0, delta 0", batch([], raw=b"", last_offset_delta=0), 87),
            ("delta too small", batch(two, last_offset_delta=0), 87),
            ("delta too big", batch(two, last_offset_delta=2), 87),
            ("fewer than there", batch(two, count=1, last_offset_delta=0), 87),
            ("more than there", batch(two, count=3, last_offset_delta=2), 87),
            ("negative", batch(two, count=-1, last_offset_delta=-2), 87),
            ("huge", batch(two, count=2147483647, last_offset_delta=2147483646), 87),
            ("compressed, gap", batch(three, GZIP, deltas=[0, 2, 3], last_offset_delta=2), (-1, 87)),
            ("compressed, backward", batch(two, GZIP, deltas=[1, 0]), (-1, 87)),
            ("compressed, fewer than there", batch(two, GZIP, count=1, last_offset_delta=0), 87),
            ("compressed, more than there", batch(two, GZIP, count=3, last_offset_delta=2), 87)))

    def test_base_offset_must_be_0(self):
        self.check((("12345", batch([b"a"], base_offset=12345), 87), ("-1", batch([b"a"], base_offset=-1), 87)))

    def test_control_batches(self):
        self.check((("control", batch([b"a"], attributes=0x20), 87),
                    ("abort marker", batch([Record(b"\0\0\0\0\0\0", b"\0\0\0\0")], attributes=0x30, producer_id=1,
                                           producer_epoch=0), (53, 87))))

    def test_transactional_batches_need_a_transactional_id(self):
        self.check((("no producer", batch([b"a"], attributes=0x10), 53),
                    ("producer", batch([b"a"], attributes=0x10, producer_id=1, producer_epoch=0, sequence=0), 53)))

    def test_lengths(self):
        value = b"a" * 100
        self.check((
            ("cut", batch([value])[:-10], 87), ("too long", batch([value], length=1 << 30), 87),
            ("too short", batch([value], length=80), 2), ("below a record", batch([value], length=10), 2),
            ("negative", batch([value], length=-5), 2), ("header only half", batch([value])[:30], 87),
            ("eleven bytes", bytes(11), 87), ("all ones", b"\xff" * 100, 2)))

    def test_bad_records(self):
        # What cannot be read at all is -1 from the original; a clearer error is as good.
        raw = record_bytes(Record(b"a", timestamp=0), 0, 0)
        anything = (-1, 2, 87)
        self.check((
            ("bytes after the last", batch([b"a"], raw=raw + b"zz"), 87),
            ("ones", batch([b"a"], raw=b"\xff" * 7), anything),
            ("nothing", batch([b"a"], raw=b""), anything), ("cut", batch([b"a"], raw=raw[:-2]), anything),
            ("huge length", batch([b"a"], raw=varint(1 << 40) + raw), anything),
            ("huge key", batch([b"a"], raw=varint(12) + b"\0\0\0" + varint(1 << 30) + bytes(20)), anything),
            ("negative header count", batch([b"a"], raw=varint(6) + b"\0\0\0" + varint(-1) * 2 + varint(-1)), anything),
            ("header without a key", batch([b"a"], raw=varint(8) + b"\0\0\0" + varint(-1) * 2 + varint(1)
                                           + varint(-1) * 2),
             87)))

    def test_bad_compression(self):
        anything = (-1, 2, 76, 87)
        cases = [("codec 5", batch([b"a"], attributes=5), anything), ("codec 7", batch([b"a"], attributes=7), anything)]
        for codec in (1, 2, 3, 4):
            junk = batch([b"a"], codec, lambda _: b"not a frame at all")
            whole = next(f for k, f in codecs.ALL.values() if k == codec) or gzip.compress
            cut = batch([b"a" * 50], codec, lambda raw, f=whole: f(raw)[:-9])
            for label, data in (("junk", junk), ("cut", cut), ("empty", batch([b"a"], codec, lambda _: b""))):
                cases.append((f"{label} {codec}", data, anything))
        self.check(cases)

    def test_zstd_needs_v7(self):
        conn = self.conn()
        topic = self.topic(conn)
        data = batch([b"a"], *codecs.ALL["zstd"])
        for version, error in ((3, 76), (4, 76), (5, 76), (6, 76), (7, 0), (9, 0)):
            with self.subTest(version=version):
                self.assertEqual(conn.produce(topic, data, version=version).error, error)

    def test_compressed_bomb(self):
        # 200 MB of zeros in 200 KB: either refused, or its bytes are bounded; the broker lives on.
        conn = self.conn()
        topic = self.topic(conn)
        bomb = gzip.compress(bytes(200 << 20), 1)
        if len(bomb) > 1_000_000:
            bomb = gzip.compress(bytes(100 << 20), 9)
        rss = self.broker.rss_kb() if target() == "moldau" else 0
        for _ in range(3):
            self.assertNotEqual(conn.produce(topic, batch([b"a"], GZIP, lambda _: bomb)).error, 0)
        if target() == "moldau":
            self.assertLess(self.broker.rss_kb() - rss, 160 * 1024)

    def test_compacted_topics_need_keys(self):
        conn = self.conn()
        topic = self.topic(conn, cleanup_policy="compact")
        for codec in (0, GZIP):
            data = batch([Record(b"a", b"k"), Record(b"b"), Record(b"c")], codec)
            old, new = (conn.produce(topic, data, version=v) for v in (7, 8))
            self.assertEqual((old.error, old.base_offset), (87, -1))
            self.assertEqual((new.error, [e.index for e in new.record_errors]), (87, [1, 2]))
            said = f"Compacted topic cannot accept message without key in topic partition {topic}-0"
            self.assertEqual([e.message for e in new.record_errors], [said, said])
            self.assertEqual(new.message, "One or more records have been rejected due to 2 record errors in total, and "
                             "only showing the first three errors at most: " + str(
                                 [f"RecordError(batchIndex={i}, message='{said}')" for i in (1, 2)]).replace('"', ""))
            self.assertEqual((old.log_start, new.log_start), (0, 0))
        self.assertEqual(conn.produce(topic, [Record(None, b"k")]).base_offset, 0)

    def test_timestamps_too_far_in_the_future(self):
        conn = self.conn()
        topic = self.topic(conn)
        for codec in (0, GZIP):
            late = batch([Record(b"a"), Record(b"b", timestamp=now_ms() + 2 * HOUR_MS)], codec)
            answer = conn.produce(topic, late, version=8)
            self.assertEqual((answer.error, answer.base_offset), (32, -1))
            self.assertEqual([e.index for e in answer.record_errors], [1])
            self.assertEqual(answer.message, "One or more records have been rejected due to invalid timestamp")
            self.assertRegex(answer.record_errors[0].message, r"^Timestamp \d{13} of message with offset 1 is out of "
                             r"range\. The timestamp should be within \[-?\d+, \d{13}\]$")
        self.assertEqual(conn.produce(topic, [Record(b"a", timestamp=now_ms() + HOUR_MS // 2)]).error, 0)
        self.assertEqual(conn.produce(topic, [Record(b"a", timestamp=0)]).error, 0)
        self.assertEqual(conn.produce(topic, [Record(b"a", timestamp=-1)]).error, 0)

    def test_timestamps_too_far_in_the_past(self):
        conn = self.conn()
        topic = self.topic(conn, message_timestamp_before_max_ms=1000)
        answer = conn.produce(topic, [Record(b"a", timestamp=now_ms() - 60000)])
        self.assertEqual((answer.error, [e.index for e in answer.record_errors]), (32, [0]))
        self.assertEqual(conn.produce(topic, [Record(b"a", timestamp=-1)]).error, 0, "-1 is no timestamp")
        self.assertEqual(conn.produce(topic, [Record(b"a", timestamp=now_ms())]).error, 0)

    def test_message_max_bytes(self):
        conn = self.conn()
        topic = self.topic(conn, max_message_bytes=1000)
        value = b"a" * (1000 - len(batch([b"a" * 900])) + 900)
        self.assertEqual(len(batch([value])), 1000)
        self.assertEqual(conn.produce(topic, [value + b"a"]).error, 10)
        self.assertEqual(conn.produce(topic, [value]).error, 0)
        self.assertEqual(conn.produce(topic, [b"x" * 2_000_000]).error, 10)
        # It is the compressed size that counts.
        self.assertEqual(conn.produce(topic, batch([b"a" * 20000], GZIP)).error, 0)

    def test_default_limit(self):
        conn = self.conn()
        topic = self.topic(conn)
        size = 1048588 - len(batch([b"a" * 1_000_000])) + 1_000_000
        self.assertEqual(conn.produce(topic, [b"a" * (size + 1)]).error, 10)
        self.assertEqual(conn.produce(topic, [b"a" * size]).error, 0)

    def test_batch_larger_than_a_segment(self):
        conn = self.conn()
        topic = self.topic(conn, max_message_bytes=3_000_000, segment_bytes=1048576)
        self.assertEqual(conn.produce(topic, [b"a" * 1_500_000]).error, 18)

    def test_unknown_places(self):
        conn = self.conn()
        topic = self.topic(conn)
        for name, index in (("absent-" + topic, 0), (topic, 9), (topic, -1), ("a b", 0), ("", 0),
                            ("__cluster_metadata", 0),
                            ("..", 0), ("../../etc", 0)):
            with self.subTest(name=name, index=index):
                answer = conn.produce(name, [b"x"], index=index)
                self.assertEqual((answer.error, answer.base_offset, answer.index), (3, -1, index))


class Order(Case):
    def test_pipelined_batches_keep_their_order(self):
        conn = self.conn()
        topic = self.topic(conn)
        sent = [conn.send("Produce", 9, acks=(1, -1)[i % 2], timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"index": 0, "records": batch([b"%d" % i])}]}]) for i in range(100)]
        for i, correlation in enumerate(sent):
            answer = conn.recv("Produce", 9, correlation).topics[0].partitions[0]
            self.assertEqual((answer.error, answer.base_offset), (0, i))
        self.assertEqual([int(r.value) for r in conn.read_all(topic)], list(range(100)))

    def test_many_connections_share_a_partition(self):
        conn = self.conn()
        topic = self.topic(conn)
        conns = [self.conn() for _ in range(20)]
        offsets = []
        for round_n in range(10):
            sent = [c.send("Produce", 9, acks=-1, timeout_ms=5000, topics=[{"name": topic, "partitions": [
                {"index": 0, "records": batch([b"%d-%d" % (i, round_n)] * 3)}]}]) for i, c in enumerate(conns)]
            for c, correlation in zip(conns, sent):
                offsets.append(c.recv("Produce", 9, correlation).topics[0].partitions[0].base_offset)
        self.assertEqual(sorted(offsets), list(range(0, 600, 3)))
        self.assertEqual(len(conn.read_all(topic)), 600)

    def test_many_partitions_over_many_connections(self):
        # With several reactors the partitions live on all of them, whichever connection asks.
        conn = self.conn()
        topic = self.topic(conn, 12)
        for c in [self.conn() for _ in range(6)]:
            answer = c.call("Produce", 9, acks=-1, timeout_ms=5000, topics=[{"name": topic, "partitions": [
                {"index": i, "records": batch([b"x"])} for i in range(12)]}])
            self.assertEqual([p.error for p in answer.topics[0].partitions], [0] * 12)
            self.assertEqual(sorted(p.index for p in answer.topics[0].partitions), list(range(12)))
        answer = self.conn().call("Fetch", 12, max_wait_ms=0, min_bytes=0, topics=[{"name": topic, "partitions": [
            {"index": i, "offset": 0} for i in range(12)]}])
        self.assertEqual([p.high_watermark for p in answer.topics[0].partitions], [6] * 12)

    def test_segments_roll(self):
        conn = self.conn()
        topic = self.topic(conn, segment_bytes=1048576)
        for i in range(12):
            self.assertEqual(conn.produce(topic, [bytes([i]) * 300_000]).base_offset, i)
        self.assertEqual([(r.offset, r.value[0], len(r.value)) for r in conn.read_all(topic)],
                         [(i, i, 300_000) for i in range(12)])

    @moldau_only
    def test_first_record_of_a_new_topic_is_not_refused(self):
        # The original may refuse for some milliseconds after CreateTopics; we answer when the leader serves.
        conn = self.conn()
        for _ in range(10):
            topic = self.name()
            conn.create(topic, 3, wait=False)
            self.assertEqual(conn.produce(topic, [b"x"], index=2).error, 0)


if __name__ == "__main__":
    unittest.main()
