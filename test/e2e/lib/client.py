# SPDX-License-Identifier: Apache-2.0
"""One connection to a broker, and the shorthands the tests use. Everything blocks, with a time limit."""
import itertools
import socket
import struct
import time

from . import wire
from .batch import batch as make_batch
from .batch import batches
from .wire import UUID_ZERO

TIMEOUT_S = 30
GROUP, TRANSACTION = 0, 1  # kinds of coordinators


def one_name_each(partition_n):
    """A name for each partition of a coordinators' topic: the hash of Java's strings decides."""
    names = {}
    for i in itertools.count():
        name, value = f"waits-{i}", 0
        for char in name:
            value = (31 * value + ord(char)) & 0xffffffff
        names.setdefault(abs(value - ((value & 0x80000000) << 1)) % partition_n, name)
        if len(names) == partition_n:
            return names.values()


class Closed(Exception):
    """The broker closed the connection."""


class Conn:
    def __init__(self, address, client_id="e2e", timeout=TIMEOUT_S):
        self.sock = socket.create_connection(address, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client_id, self.correlation = client_id, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, BrokenPipeError) as error:
            raise Closed(str(error)) from None

    def send_frame(self, body):
        self.send_raw(struct.pack(">i", len(body)) + body)

    def recv_exact(self, length):
        out = bytearray()
        while len(out) < length:
            try:
                data = self.sock.recv(min(length - len(out), 1 << 20))
            except ConnectionError as error:
                raise Closed(str(error)) from None
            if not data:
                raise Closed(f"after {len(out)} of {length} bytes")
            out += data
        return bytes(out)

    def recv_frame(self):
        return self.recv_exact(struct.unpack(">i", self.recv_exact(4))[0])

    def send(self, name, version, **values):
        """Sends one request and returns its correlation id; the answer is read with recv."""
        self.correlation += 1
        values.setdefault("client_id", self.client_id)
        self.send_frame(wire.encode(name, version, self.correlation, **values))
        return self.correlation

    def recv(self, name, version, correlation=None):
        return wire.decode(name, version, self.recv_frame(), correlation)

    def call(self, name, version, **values):
        return self.recv(name, version, self.send(name, version, **values))

    def silent(self, seconds):
        """True when nothing came within the time and the connection is still open."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        except ConnectionError:
            return False
        finally:
            self.sock.settimeout(TIMEOUT_S)
        if data:
            raise AssertionError("the broker answered")
        return False

    def closed(self, seconds=TIMEOUT_S):
        """True when the broker closes within the time, without a word."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(1)
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        finally:
            self.sock.settimeout(TIMEOUT_S)
        if data:
            raise AssertionError("the broker answered")
        return True

    # ---- shorthands

    def metadata(self, *names, version=12, create=False):
        return self.call("Metadata", version, topics=[{"name": n} for n in names], allow_auto_create=create)

    def create(self, name, partitions=1, configs=None, version=7, wait=True):
        topic = self.call("CreateTopics", version, topics=[{
            "name": name, "partition_n": partitions, "replication_factor": 1,
            "configs": [{"name": k, "value": str(v)} for k, v in (configs or {}).items()]}]).topics[0]
        if topic.error:
            raise AssertionError(f"CreateTopics {name}: error {topic.error} {topic.message}")
        if wait:
            self.wait_leader(name, partitions)
        return topic

    def wait_leader(self, name, partitions=1):
        """Until Metadata names leaders and they serve: the original needs some milliseconds between both."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            topic = self.metadata(name).topics[0]
            if topic.error == 0 and len(topic.partitions) == partitions and \
                    all(p.error == 0 and p.leader >= 0 for p in topic.partitions):
                answers = self.call("ListOffsets", 7, topics=[{"name": name, "partitions": [
                    {"index": i, "timestamp": -1} for i in range(partitions)]}]).topics[0].partitions
                if all(p.error == 0 for p in answers):
                    return topic
            time.sleep(0.02)
        raise AssertionError(f"no leader for {name}: {topic}")

    def wait_coordinators(self, kind=GROUP, seconds=30):
        """Until every partition of the coordinators' topic is there and has been loaded, not only that of one name."""
        end = time.monotonic() + seconds

        def until(call, *wanted):
            while True:
                answer = call()
                if answer in wanted:
                    return
                if time.monotonic() > end:
                    raise AssertionError(f"coordinators of kind {kind}: error {answer}")
                time.sleep(0.02)

        until(lambda: self.call("FindCoordinator", 3, key="", key_type=kind).error, 0)
        topic = self.metadata(("__consumer_offsets", "__transaction_state")[kind]).topics[0]
        for key in one_name_each(len(topic.partitions)):
            if kind == GROUP:
                until(lambda k=key: self.call("Heartbeat", 3, group=k, generation=1, member="x").error, 25)
            else:
                until(lambda k=key: self.call("DescribeTransactions", 0, transactional_ids=[k]).states[0].error, 105)

    def topic_id(self, name):
        return self.metadata(name).topics[0].topic_id

    def delete(self, name):
        topic = self.call("DeleteTopics", 5, names=[name]).topics[0]
        if topic.error:
            raise AssertionError(f"DeleteTopics {name}: error {topic.error}")

    def produce(self, topic, data, index=0, acks=-1, version=9, topic_id=UUID_ZERO, timeout_ms=5000):
        """One partition's answer. `data` is the bytes of a record set, or a list of values to make a batch of."""
        if isinstance(data, list):
            data = make_batch(data)
        values = {"acks": acks, "timeout_ms": timeout_ms, "topics": [
            {"name": topic, "topic_id": topic_id, "partitions": [{"index": index, "records": data}]}]}
        if acks == 0:
            self.send("Produce", version, **values)
            return None
        return self.call("Produce", version, **values).topics[0].partitions[0]

    def fetch(self, topic, offset=0, index=0, version=12, max_wait_ms=500, min_bytes=1, max_bytes=1 << 26,
              partition_max_bytes=1 << 20, topic_id=UUID_ZERO, isolation=0, **partition):
        """One partition's answer, outside any session."""
        answer = self.call("Fetch", version, max_wait_ms=max_wait_ms, min_bytes=min_bytes, max_bytes=max_bytes,
                           isolation=isolation, topics=[{"name": topic, "topic_id": topic_id, "partitions": [
                               dict(partition, index=index, offset=offset, max_bytes=partition_max_bytes)]}])
        if answer.get("error"):
            raise AssertionError(f"Fetch: error {answer.error}")
        return answer.topics[0].partitions[0]

    def read_all(self, topic, offset=0, index=0):
        """Every record up to the high watermark."""
        out = []
        while True:
            answer = self.fetch(topic, offset, index, max_wait_ms=0)
            if answer.error:
                raise AssertionError(f"Fetch at {offset}: error {answer.error}")
            got = batches(answer.records)
            for b in got:
                out += [r for r in b.records if r.offset >= offset]
            if not got:
                if offset < answer.high_watermark:
                    raise AssertionError(f"nothing at {offset}, high watermark {answer.high_watermark}")
                return out
            offset = got[-1].next_offset

    def read_committed(self, topic, offset=0, index=0, max_bytes=1 << 20):
        """[(offset, value)] as a consumer with read_committed sees it."""
        out = []
        while True:
            answer = self.fetch(topic, offset, index, max_wait_ms=0, isolation=1, partition_max_bytes=max_bytes)
            if answer.error:
                raise AssertionError(f"Fetch at {offset}: error {answer.error}")
            aborted, dropped, before = sorted((t.first_offset, t.producer_id) for t in answer.aborted or ()), set(), \
                offset
            for b in batches(answer.records):
                while aborted and aborted[0][0] < b.next_offset:
                    dropped.add(aborted.pop(0)[1])
                if b.attributes & 0x20:
                    if b.records[0].key[2:4] == b"\0\0":
                        dropped.discard(b.producer_id)
                elif not (b.attributes & 0x10 and b.producer_id in dropped):
                    out += [(r.offset, r.value) for r in b.records if r.offset >= offset]
                offset = max(offset, b.next_offset)
            if offset == before:
                return out

    def list_offset(self, topic, timestamp, index=0, version=7, **values):
        return self.call("ListOffsets", version, topics=[{"name": topic, "partitions": [
            dict(values, index=index, timestamp=timestamp)]}]).topics[0].partitions[0]

    def init_producer(self, version=4):
        answer = self.settled("InitProducerId", version)
        if answer.error:
            raise AssertionError(f"InitProducerId: error {answer.error}")
        return answer.producer_id, answer.producer_epoch

    def settled(self, name, version, seconds=30, **values):
        """Asks again while the answer is 14 (still loading), which is how ids between two blocks are answered."""
        end = time.monotonic() + seconds
        while True:
            answer = self.call(name, version, **values)
            if answer.error != 14 or time.monotonic() > end:
                return answer
            time.sleep(0.01)
