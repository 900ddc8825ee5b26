# SPDX-License-Identifier: Apache-2.0
"""What tools ask for, in bulk: processor time of the server for each request, and how soon a change is in force.

The requests are made with the hand-made client of test/e2e; the time is that of the server's process, so the client's
own does not count. Kafka gets a warm-up of its own, since its compiler works while it is asked.
"""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "test" / "e2e"))
from lib import wire  # noqa: E402
from lib.client import Conn  # noqa: E402

TOPICS = 1000
PARTITIONS = 10000
CREATED = 10000
KAFKA_WARM_S = 20


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def create(conn, names, partitions=1):
    answer = conn.call("CreateTopics", 7, timeout_ms=60000, topics=[
        {"name": n, "partition_n": partitions, "replication_factor": 1} for n in names])
    errors = [t.error for t in answer.topics if t.error]
    if errors:
        raise RuntimeError(f"CreateTopics: error {errors[0]}")


def asked_often(conn, server, frame, secs):
    """Milliseconds of the server's processor time for one request, and of waiting."""
    end = time.monotonic() + (KAFKA_WARM_S if server.name == "kafka" else 1)
    while time.monotonic() < end:
        conn.send_frame(frame)
        conn.recv_frame()
    before, start, n = cpu_s(server.pid), time.monotonic(), 0
    while time.monotonic() < start + secs:
        conn.send_frame(frame)
        conn.recv_frame()
        n += 1
    return (cpu_s(server.pid) - before) / n * 1000, (time.monotonic() - start) / n * 1000


def quiet(server):
    """Waits until the server does nothing, or has had its time."""
    for _ in range(60):
        before = cpu_s(server.pid)
        time.sleep(0.5)
        if cpu_s(server.pid) - before < 0.05:
            return


def change_ms(server, rounds=50):
    """From the answer to a change until connections on all reactors are told it: the worst of all rounds."""
    address = "127.0.0.1", server.port
    conns = [Conn(address) for _ in range(8)]
    worst = 0.0
    for i in range(rounds):
        value = str(1000000 + i)
        answer = conns[0].call("IncrementalAlterConfigs", 1, resources=[
            {"type": 2, "name": "t-0", "configs": [{"name": "max.message.bytes", "op": 0, "value": value}]}])
        start = time.monotonic()
        if answer.responses[0].error:
            raise RuntimeError(f"IncrementalAlterConfigs: error {answer.responses[0].error}")
        for conn in conns:
            while True:
                got = conn.call("DescribeConfigs", 4, resources=[
                    {"type": 2, "name": "t-0", "keys": ["max.message.bytes"]}]).results[0]
                if got.configs[0].value == value:
                    break
        worst = max(worst, (time.monotonic() - start) * 1000)
    for conn in conns:
        conn.close()
    return worst


def run(server, secs):
    conn = Conn(("127.0.0.1", server.port), timeout=120)
    names = [f"t-{i}" for i in range(TOPICS)]
    create(conn, names)
    quiet(server)
    values = {"change_ms": change_ms(server)}
    frame = wire.encode("DescribeConfigs", 4, 1, client_id="bench", include_synonyms=True,
                        resources=[{"type": 2, "name": n} for n in names])
    values["configs_cpu_ms"], values["configs_ms"] = asked_often(conn, server, frame, secs)
    wide = [f"wide-{i}" for i in range(10)]
    for name in wide:
        create(conn, [name], PARTITIONS // len(wide))
    quiet(server)
    frame = wire.encode("Metadata", 12, 1, client_id="bench", topics=[{"name": n} for n in wide])
    values["metadata_cpu_ms"], values["metadata_ms"] = asked_often(conn, server, frame, secs)
    before, start = cpu_s(server.pid), time.monotonic()
    if server.name == "kafka":  # no more than 10,000 records in one request, and two make a topic
        for i in range(0, CREATED, 4000):
            create(conn, [f"many-{j}" for j in range(i, min(i + 4000, CREATED))])
    else:
        create(conn, [f"many-{i}" for i in range(CREATED)])
    values["create_ms"] = (time.monotonic() - start) * 1000
    quiet(server)
    values["create_cpu_ms"] = (cpu_s(server.pid) - before) * 1000
    conn.close()
    return values
