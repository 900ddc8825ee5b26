# SPDX-License-Identifier: Apache-2.0
"""ApiVersions, headers, framing, and what becomes of bytes that are not Kafka."""
import socket
import struct
import time
import unittest

from lib import wire
from lib.batch import batch
from lib.broker import target
from lib.case import Case, moldau_only
from lib.client import Closed, Conn

# What the original's broker listener answers, key: (min, max); 71 and 72 with a plug-in that takes client metrics.
RANGES = {
    0: (0, 13), 1: (4, 18), 2: (1, 11), 3: (0, 13), 8: (2, 10), 9: (1, 10), 10: (0, 6), 11: (0, 9), 12: (0, 4),
    13: (0, 5), 14: (0, 5), 15: (0, 6), 16: (0, 5), 17: (0, 1), 18: (0, 4), 19: (2, 7), 20: (1, 6), 21: (0, 2),
    22: (0, 5), 23: (2, 4), 24: (0, 5), 25: (0, 4), 26: (0, 5), 27: (1, 2), 28: (0, 5), 29: (1, 3), 30: (1, 3),
    31: (1, 3), 32: (1, 4), 33: (0, 2), 34: (1, 2), 35: (1, 5), 36: (0, 2), 37: (0, 3), 38: (1, 3), 39: (1, 2),
    40: (1, 2), 41: (1, 3), 42: (0, 2), 43: (0, 2), 44: (0, 1), 45: (0, 1), 46: (0, 0), 47: (0, 0), 48: (0, 1),
    49: (0, 1), 50: (0, 0), 51: (0, 0), 55: (0, 2), 57: (0, 2), 60: (0, 2), 61: (0, 0), 64: (0, 0), 65: (0, 0),
    66: (0, 2), 68: (0, 1), 69: (0, 1), 71: (0, 0), 72: (0, 0), 74: (0, 1), 75: (0, 0),
    76: (1, 1), 77: (1, 1), 78: (1, 2), 79: (1, 2), 80: (0, 1), 81: (0, 0), 83: (0, 0), 84: (0, 0), 85: (0, 1),
    86: (0, 0), 87: (0, 1), 88: (0, 0), 89: (0, 0),
    90: (0, 1), 91: (0, 0), 92: (0, 0)}
NEEDED = (0, 1, 2, 3, 10, 18, 19, 20, 22, 23, 60, 75)
NAMES = {"software_name": "e2e", "software_version": "1.0"}


class ApiVersions(Case):
    def test_every_version_answers_the_same_ranges(self):
        conn, seen = self.conn(), []
        for version in range(5):
            answer = conn.call("ApiVersions", version, **(NAMES if version >= 3 else {}))
            self.assertEqual(answer.error, 0)
            seen.append({a.key: (a.min, a.max) for a in answer.apis})
            self.assertEqual(len(seen[-1]), len(answer.apis), "a key comes twice")
        self.assertEqual(seen, [seen[0]] * 5)

    def test_ranges_are_the_originals(self):
        got = {a.key: (a.min, a.max) for a in self.conn().call("ApiVersions", 3, **NAMES).apis}
        self.assertEqual([k for k in NEEDED if k not in got], [])
        self.assertEqual({k: r for k, r in got.items() if RANGES.get(k) != r}, {})

    def test_produce_is_advertised_from_0(self):
        got = {a.key: a for a in self.conn().call("ApiVersions", 0).apis}
        self.assertEqual((got[0].min, got[0].max), (0, 13))

    def test_unknown_version_is_answered_in_v0_with_error_35(self):
        for version in (5, 99, 32767, -1):
            for body in (b"\x04e2e\x041.0\0", b"", b"\xff" * 100):
                with self.subTest(version=version, body=body[:4]):
                    conn = self.conn()
                    conn.send_frame(wire.header(18, version, True, 7) + body)
                    answer = wire.decode("ApiVersions", 0, conn.recv_frame(), 7)
                    self.assertEqual(answer.error, 35)
                    self.assertEqual([dict(a) for a in answer.apis], [{"key": 18, "min": 0, "max": 4}])
                    self.assertEqual(conn.call("ApiVersions", 0).error, 0, "the connection is to stay usable")

    def test_client_software_names(self):
        for name, version, error in (
                ("", "1", 42), ("-x", "1", 42), ("x-", "1", 42), ("a b", "1", 42), ("x.", "1", 42), ("\u00e9", "1", 42),
                ("x", "", 42), ("x", "1 0", 42), ("x", "-1", 42), ("a_b", "1", 42),
                ("x", "1", 0), ("ok.1-2", "1.0-rc.1", 0), ("A" * 300, "9", 0)):
            with self.subTest(name=name[:9], version=version):
                conn = self.conn()
                answer = conn.call("ApiVersions", 3, software_name=name, software_version=version)
                self.assertEqual(answer.error, error)
                self.assertEqual(len(answer.apis) > 0, error == 0)
                self.assertEqual(conn.call("ApiVersions", 0).error, 0)

    def test_features_with_minimum_0_need_v4(self):
        conn = self.conn()
        old, new = (conn.call("ApiVersions", v, **NAMES) for v in (3, 4))
        old_names = {f.name for f in old.supported_features or []}
        self.assertEqual([f for f in old.supported_features or [] if f.min < 1], [])
        self.assertLessEqual(old_names, {f.name for f in new.supported_features or []})
        self.assertIn("metadata.version", old_names)

    def test_finalised_features(self):
        answer = self.conn().call("ApiVersions", 4, **NAMES)
        self.assertGreaterEqual(answer.finalized_epoch, 0)
        supported = {f.name: f for f in answer.supported_features}
        for f in answer.finalized_features:
            self.assertGreater(f.max, 0, f"{f.name} is final at level 0")
            self.assertEqual(f.max, f.min)
            self.assertLessEqual(f.max, supported[f.name].max)
        self.assertIn("metadata.version", [f.name for f in answer.finalized_features])

    @moldau_only
    def test_features_without_their_apis_are_not_final(self):
        # Clients turn on what is final: transactions of the second kind, the new group protocol.
        answer = self.conn().call("ApiVersions", 4, **NAMES)
        keys, final = {a.key for a in answer.apis}, {f.name: f.max for f in answer.finalized_features}
        for feature, key in (("group.version", 68), ("transaction.version", 26), ("share.version", 76),
                             ("streams.version", 88)):
            if key not in keys:
                self.assertEqual(final.get(feature, 0), 0, feature)

    def test_answer_without_a_zookeeper_mark(self):
        self.assertIsNone(self.conn().call("ApiVersions", 3, **NAMES).zk_migration_ready)


class Headers(Case):
    def test_pipelined_requests_are_answered_in_order(self):
        conn = self.conn()
        sent = []
        for i in range(60):
            name, version, values = (("ApiVersions", 0, {}), ("Metadata", 1, {"topics": []}),
                                     ("DescribeCluster", 0, {}), ("Metadata", 12, {"topics": []}))[i % 4]
            sent.append((name, version, conn.send(name, version, **values)))
        for name, version, correlation in sent:
            conn.recv(name, version, correlation)

    def test_a_slow_request_does_not_let_a_later_one_pass(self):
        conn = self.conn()
        topic = self.topic(conn)
        first = conn.send("Fetch", 12, max_wait_ms=300, min_bytes=1, max_bytes=1000, topics=[
            {"name": topic, "partitions": [{"index": 0, "offset": 0}]}])
        second = conn.send("ApiVersions", 0)
        conn.recv("Fetch", 12, first)
        conn.recv("ApiVersions", 0, second)

    def test_client_ids(self):
        for client_id in (None, "", "x" * 1000):
            with self.subTest(client_id=client_id and client_id[:5]):
                self.conn(client_id=client_id).call("Metadata", 12, topics=[])

    def test_unknown_tags_are_skipped(self):
        conn = self.conn()
        conn.call("Metadata", 12, topics=[], header_tags={5: b"abc", 900: b""}, _tags={7: b"zz", 100000: b"x" * 500})
        topic = self.topic(conn)
        answer = conn.call("Produce", 9, acks=-1, timeout_ms=5000, _tags={3: b"q"}, topics=[
            {"name": topic, "_tags": {1: b""}, "partitions": [
                {"index": 0, "records": batch(["x".encode()]), "_tags": {9: b"rr"}}]}])
        self.assertEqual(answer.topics[0].partitions[0].error, 0)

    def test_any_correlation_id(self):
        conn = self.conn()
        for correlation in (0, -1, 2147483647, -2147483648):
            conn.correlation = correlation - 1
            conn.call("ApiVersions", 0)

    def test_bytes_after_the_body_are_ignored(self):
        conn = self.conn()
        conn.send_frame(wire.encode("Metadata", 1, topics=[]) + b"zzz")
        conn.recv("Metadata", 1)
        conn.call("ApiVersions", 0)


class Refused(Case):
    """Each of these ends its own connection, and nothing else."""

    def closes(self, data, raw=False):
        witness = self.conn()
        conn = self.conn()
        try:
            (conn.send_raw if raw else conn.send_frame)(data)
        except Closed:
            return
        self.assertTrue(conn.closed(5), "still open")
        witness.call("ApiVersions", 0)

    def test_unknown_keys(self):
        for key in (9999, -1, 93, 32767):
            with self.subTest(key=key):
                self.closes(wire.header(key, 0, False, 1))

    def test_removed_keys(self):
        for key in (4, 5, 6, 7):
            with self.subTest(key=key):
                self.closes(wire.header(key, 0, False, 1) + bytes(40))

    def test_unknown_versions(self):
        for key, version in ((3, 99), (3, 14), (3, -1), (1, 3), (1, 19), (2, 0), (2, 12), (19, 1), (19, 8), (20, 0),
                             (20, 7),
                             (22, 6), (23, 1), (23, 5), (60, 3), (75, 1), (10, 7), (0, 14)):
            with self.subTest(key=key, version=version):
                self.closes(wire.header(key, version, version > 8, 1) + bytes(60))

    def test_produce_0_to_2(self):
        for version in range(3):
            with self.subTest(version=version):
                self.closes(wire.header(0, version, False, 1) + struct.pack(">hii", 1, 1000, 0))

    def test_frame_lengths(self):
        for length in (-1, -2147483648, 2147483647, 100 * 1024 * 1024 + 1, 0):
            with self.subTest(length=length):
                self.closes(struct.pack(">i", length), raw=True)

    def test_header_cut_short(self):
        for body in (b"\0", b"\0\3\0", wire.header(3, 1, False, 1)[:9], wire.header(3, 1, False, 1, "abcdef")[:-3]):
            with self.subTest(body=body):
                self.closes(body)

    def test_body_cut_short(self):
        whole = wire.encode("Fetch", 12, max_wait_ms=0, min_bytes=0, topics=[
            {"name": "t", "partitions": [{"index": 0, "offset": 0}]}])
        for cut in (1, 3, 20, len(whole) - 14):
            with self.subTest(cut=cut):
                self.closes(whole[:-cut])

    def test_counts_beyond_the_frame(self):
        head = wire.header(3, 1, False, 1)
        flex = wire.header(3, 12, True, 1)
        for body in (head + b"\x7f\xff\xff\xff", head + b"\0\0\0\1\x7f\xff", head + b"\0\0\0\1\xff\xf0",
                     flex + b"\xff\xff\xff\xff\x0f", flex + b"\xff" * 12, flex + b"\x02" + bytes(16)
                     + b"\xff\xff\xff\xff\x0f"):
            with self.subTest(body=body[12:].hex()):
                self.closes(body)

    def test_null_where_none_is_allowed(self):
        self.closes(wire.header(60, 0, True, 1)[:8] + b"\0\3e2e")
        self.closes(wire.header(19, 2, False, 1) + b"\xff\xff\xff\xff" + bytes(5))


class Strangers(Case):
    """Other protocols on the Kafka port."""

    def reply(self, data, seconds=5):
        out = bytearray()
        with socket.create_connection(self.broker.address, seconds) as s:
            s.sendall(data)
            try:
                while piece := s.recv(65536):
                    out += piece
            except ConnectionError:
                pass
        return bytes(out)

    def test_garbage_closes(self):
        for data in (b"SSH-2.0-OpenSSH_9.2\r\n", b"*1\r\n$4\r\nPING\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
                     b"\xff" * 64, b"\x80" + bytes(63)):
            with self.subTest(data=data[:8]):
                self.reply(data)
        self.conn().call("ApiVersions", 0)

    @moldau_only
    def test_http_is_told_so(self):
        for data in (b"GET /metrics HTTP/1.1\r\nHost: x\r\nUser-Agent: Prometheus/3.1\r\n\r\n",
                     b"POST / HTTP/1.0\r\n\r\n",
                     b"HEAD / HTTP/1.1\r\n\r\n", b"PUT /x HTTP/1.1\r\n\r\n"):
            with self.subTest(data=data[:6]):
                answer = self.reply(data)
                self.assertRegex(answer[:20], rb"^HTTP/1\.[01] [34]\d\d ")
                if data[:4] != b"HEAD":
                    self.assertIn(b"Kafka", answer)
        self.broker.wait_log("ML1030")

    @moldau_only
    def test_http2_closes_at_once(self):
        began = time.monotonic()
        self.reply(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.assertLess(time.monotonic() - began, 4)

    @moldau_only
    def test_tls_gets_an_alert(self):
        hello = bytes.fromhex("16030100050100000100") + bytes(60)
        answer = self.reply(hello)
        self.assertEqual(answer[:1], b"\x15", "a TLS alert begins with 21")
        self.assertEqual(len(answer), 5 + struct.unpack(">H", answer[3:5])[0])
        self.assertEqual(answer[5], 2, "fatal")
        self.broker.wait_log("ML1032")

    @moldau_only
    def test_ssh_is_named_in_the_log(self):
        self.reply(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.broker.wait_log("SSH")

    @moldau_only
    def test_strangers_are_not_logged_without_end(self):
        before = len(self.broker.log())
        for _ in range(200):
            self.reply(b"GET / HTTP/1.1\r\n\r\n")
        self.assertLess(len(self.broker.log()) - before, 20000)


class Slow(Case):
    def test_byte_by_byte(self):
        conn = self.conn()
        body = wire.encode("Metadata", 1, 5, topics=[])
        for byte in struct.pack(">i", len(body)) + body:
            conn.send_raw(bytes([byte]))
            time.sleep(0.002)
        conn.recv("Metadata", 1, 5)

    def test_two_requests_and_a_half_in_one_write(self):
        conn = self.conn()
        one = wire.encode("ApiVersions", 0, 1)
        frame = struct.pack(">i", len(one)) + one
        conn.send_raw(frame * 2 + frame[:7])
        conn.recv("ApiVersions", 0, 1)
        conn.recv("ApiVersions", 0, 1)
        conn.send_raw(frame[7:])
        conn.recv("ApiVersions", 0, 1)

    def test_half_frames_disturb_nobody(self):
        held = [self.conn() for _ in range(50)]
        for i, conn in enumerate(held):
            conn.send_raw(struct.pack(">i", 1000) + bytes(i))
        other = self.conn()
        for _ in range(20):
            other.call("ApiVersions", 0)
        for conn in held:
            conn.close()
        other.call("ApiVersions", 0)

    def test_half_closed(self):
        # The client shuts its sending side after a request; the answer still comes.
        conn = self.conn()
        conn.send("ApiVersions", 0)
        conn.sock.shutdown(socket.SHUT_WR)
        conn.recv("ApiVersions", 0)

    def test_a_reader_that_does_not_read(self):
        # Answers pile up at a client that never reads; others are served, and memory stays bounded.
        conn = self.conn()
        topic = self.topic(conn)
        self.assertEqual(conn.produce(topic, [b"x" * 900_000]).error, 0)
        rss = self.broker.rss_kb() if target() == "moldau" else 0
        lazy = [Conn(self.broker.address) for _ in range(10)]
        for one in lazy:
            self.addCleanup(one.close)
            for _ in range(100):
                one.send("Fetch", 12, max_wait_ms=0, min_bytes=0, topics=[
                    {"name": topic, "partitions": [{"index": 0, "offset": 0}]}])
        time.sleep(0.5)
        other = self.conn()
        began = time.monotonic()
        other.call("ApiVersions", 0)
        self.assertLess(time.monotonic() - began, 4)
        if target() == "moldau":
            self.assertLess(self.broker.rss_kb() - rss, 64 * 1024)

    @moldau_only
    def test_announced_frames_take_no_memory(self):
        rss = self.broker.rss_kb()
        held = [self.conn() for _ in range(60)]
        for conn in held:
            conn.send_raw(struct.pack(">i", 90 * 1024 * 1024) + bytes(2000))
        time.sleep(0.3)
        self.conn().call("ApiVersions", 0)
        self.assertLess(self.broker.rss_kb() - rss, 48 * 1024)

    def test_many_idle_connections(self):
        held = []
        try:
            for _ in range(800):
                held.append(socket.create_connection(self.broker.address, 10))
            cpu = self.broker.cpu_s() if target() == "moldau" else 0
            conn = self.conn()
            began = time.monotonic()
            for _ in range(100):
                conn.call("ApiVersions", 0)
            self.assertLess(time.monotonic() - began, 10)
            if target() == "moldau":
                time.sleep(0.5)
                self.assertLess(self.broker.cpu_s() - cpu, 1.0, "idle connections cost time")
            probe = Conn(("127.0.0.1", held[-1].getpeername()[1]))
            probe.call("ApiVersions", 0)
            probe.close()
        finally:
            for s in held:
                s.close()


if __name__ == "__main__":
    unittest.main()
