# SPDX-License-Identifier: Apache-2.0
"""Figures of dev/bench about logs that lie there: many idle partitions, the cost of retention, producing while the
cleaner works. Each function takes servers of dev/bench and gives numbers back; goals stand in dev/bench."""
import os
import pathlib
import resource
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "test" / "e2e"))
from lib.batch import batch  # noqa: E402
from lib.client import Closed, Conn  # noqa: E402

PAGE = resource.getpagesize()
DROP_CACHES = "/proc/sys/vm/drop_caches"


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_exact_s(pid):
    """Of the threads that live, in nanoseconds' steps."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass  # it ended meanwhile
    return total / 1e9


def rss_mb(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * PAGE / 1e6


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def quiet(server, secs=60, cores=0.02):
    """Waits until the server does next to nothing, or has had its time."""
    end = time.monotonic() + secs
    while time.monotonic() < end:
        before = cpu_s(server.pid)
        time.sleep(2)
        if cpu_s(server.pid) - before <= 2 * cores:
            return


# ---- idle partitions ----

def create_many(server, partitions, per_topic):
    with Conn(("127.0.0.1", server.port), timeout=300) as conn:
        for i in range(partitions // per_topic):
            answer = conn.call("CreateTopics", 7, timeout_ms=120000, topics=[
                {"name": f"idle-{i}", "partition_n": per_topic, "replication_factor": 1}]).topics[0]
            if answer.error:
                raise RuntimeError(f"CreateTopics: error {answer.error} {answer.message}")


def serves(server, began, names):
    """Milliseconds from `began` to the first record that each of these topics has acknowledged."""
    data = batch([b"x" * 100])
    while True:
        try:
            with Conn(("127.0.0.1", server.port), timeout=120) as conn:
                for name in names:
                    while conn.produce(name, data, timeout_ms=30000).error:
                        time.sleep(0.01)
                return (time.monotonic() - began) * 1000
        except (ConnectionError, Closed):
            if server.child.poll() is not None:
                raise RuntimeError(f"{server.name} ended with {server.child.returncode}") from None
            time.sleep(0.005)


def started(server, names):
    """One start on the folder as it is: how long, how large, how many descriptors; then a stop."""
    began = time.monotonic()
    with open(server.folder / "out.log", "ab") as log:
        server.child = subprocess.Popen([str(c) for c in server.command()], stdout=log, stderr=log,
                                        stdin=subprocess.DEVNULL)
    server.pid = server.child.pid
    out = {"start_ms": serves(server, began, names)}
    out["start_cpu_s"] = cpu_s(server.pid)
    quiet(server)
    out |= {"rss_mb": rss_mb(server.pid), "descriptors": float(descriptors(server.pid)),
            "opened_cpu_s": cpu_s(server.pid)}
    began = time.monotonic()
    server.end()
    out["stop_ms"] = (time.monotonic() - began) * 1000
    return out


def caches_dropped():
    try:
        subprocess.run(["sync"], check=True)
        with open(DROP_CACHES, "w") as f:
            f.write("3")
        return True
    except OSError:
        return False


def idle(server, partitions, filled, load):
    """`filled` of the partitions hold a batch each. Without the right to evict inodes the cold start is left out."""
    per_topic = 1000
    names = ["idle-0", f"idle-{partitions // per_topic - 1}"]
    began = time.monotonic()
    create_many(server, partitions, per_topic)
    values = {"create_s": time.monotonic() - began}
    for i in range(filled // per_topic):
        load("produce", topic=f"idle-{i}", partitions=per_topic, conns=1, inflight=5, record=100, batch=1, warm=0,
             bytes=per_topic * 168, secs=120)
    quiet(server)
    values |= {"rss_first_mb": rss_mb(server.pid)}
    server.end()
    values |= {f"warm_{k}": v for k, v in started(server, names).items()}
    if caches_dropped():
        values |= {f"cold_{k}": v for k, v in started(server, names).items()}
    return values


def create_wide(server, topic, partitions, configs=None):
    """In two requests: the original makes no more than 10,000 records for one."""
    with Conn(("127.0.0.1", server.port), timeout=120) as conn:
        conn.create(topic, partitions // 2, configs, wait=False)
        answer = conn.call("CreatePartitions", 3, timeout_ms=60000, topics=[
            {"name": topic, "count": partitions, "assignments": None}]).results[0]
        if answer.error:
            raise RuntimeError(f"CreatePartitions: error {answer.error}")


# ---- retention ----

def retention_fill(server, partitions, load):
    create_wide(server, "kept", partitions, {"retention.ms": 86400000, "retention.bytes": 1000000000})
    load("produce", topic="kept", partitions=partitions, conns=1, inflight=5, warm=0, bytes=partitions * 15600,
         secs=300)


def retention_window(server, secs):
    """Processors that the server takes with nothing to do but look."""
    quiet(server, 30)
    before, began = cpu_exact_s(server.pid), time.monotonic()
    time.sleep(secs)
    return (cpu_exact_s(server.pid) - before) / (time.monotonic() - began)


# ---- producing while the cleaner works ----

CLEANER = ["log.cleaner.backoff.ms=100", "log.flush.offset.checkpoint.interval.ms=1000",
           "log.cleaner.dedupe.buffer.size=64000000", "log.segment.delete.delay.ms=1000",
           "log.initial.task.delay.ms=1000"]
BUSY = "cleanup.policy=compact,segment.bytes=16777216,min.cleanable.dirty.ratio=0.01,file.delete.delay.ms=1000"
IDLE = "cleanup.policy=delete,segment.bytes=16777216,file.delete.delay.ms=1000"


def topic_bytes(server, topic):
    total = 0
    for root, _, files in os.walk(server.folder):
        if os.path.basename(root).startswith(topic + "-") and not root.endswith("-delete"):
            for name in files:
                try:
                    total += os.path.getsize(os.path.join(root, name)) if name.endswith(".log") else 0
                except OSError:
                    pass  # the cleaner took it meanwhile
    return total


def compaction_produce(server, volume, secs, turn):
    """Closed and open loop into a topic that is not compacted, then into one that is, all the time."""
    values = {}
    for label, configs in (("quiet", IDLE), ("busy", BUSY)):
        closed = server.load("produce", topic=f"{label}-{turn}", keys=1, partitions=4, conns=4, warm=1, secs=60,
                             bytes=volume, configs=configs)
        rate = server.load("open", topic=f"{label}-{turn}", keys=1, partitions=4, conns=10, rate=2000, batch=16384,
                           spin=0, warm=1, secs=secs, configs=configs)
        written = closed["bytes"] + rate["bytes"]
        values |= {f"{label}_mbps": closed["mbps"], f"{label}_cpu": closed["cpu_s_per_gb"],
                   f"{label}_p99_us": rate["p99_us"], f"{label}_cores": rate["cpu_cores"],
                   f"{label}_cleaned": 1 - topic_bytes(server, f"{label}-{turn}") / written,
                   "other_cores": max(closed["other_cores"], rate["other_cores"])}
        with Conn(("127.0.0.1", server.port), timeout=60) as conn:
            conn.delete(f"{label}-{turn}")
    values["mbps_share"] = values["busy_mbps"] / values["quiet_mbps"]
    values["p99_growth"] = values["busy_p99_us"] / values["quiet_p99_us"]
    return values
