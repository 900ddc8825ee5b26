#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a start takes, by what lies there and how it was left:
bench/bench_restart.py [--partitions N] [GIGABYTES...]

For each size: a topic whose partitions have an old segment blown up with a hole to the size asked for, and a young
one with real batches. Then kill -9 and a start, three times; and the same with another boot's name in the running mark,
which is how a power cut looks. Milliseconds from exec to the first acknowledged record and to the first record read
back; the worst of three. Data lies in /dev/shm where there is one, else in the temporary folder. $MOLDAU is the binary.
"""
import argparse
import glob
import os
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "test", "e2e"))

from lib.batch import batch  # noqa: E402
from lib.broker import Moldau  # noqa: E402
from lib.client import Closed  # noqa: E402

SETTINGS = {"log.flush.offset.checkpoint.interval.ms": 500}


def fill(broker, partitions):
    with broker.conn(timeout=120) as conn:
        conn.create("kept", partitions, {"segment.ms": 1, "retention.ms": -1}, wait=False)
        for _ in range(2):
            data = batch([b"x" * 1000] * 4)
            for first in range(0, partitions, 100):
                some = range(first, min(first + 100, partitions))
                for i in some:
                    conn.send("Produce", 9, acks=-1, timeout_ms=60000, topics=[
                        {"name": "kept", "partitions": [{"index": i, "records": data}]}])
                for _ in some:
                    error = conn.recv("Produce", 9).topics[0].partitions[0].error
                    assert error == 0, error
            time.sleep(0.05)
    time.sleep(3)  # a checkpoint


def blow_up(data, total):
    """The oldest segments become as long as asked, of holes. Returns what `ls` would add up."""
    folders = glob.glob(os.path.join(data, "kept-*"))
    for folder in folders:
        logs = sorted(glob.glob(os.path.join(folder, "*.log")))
        assert len(logs) >= 2, folder
        os.truncate(logs[0], max(total // len(folders), os.path.getsize(logs[0])))
    return sum(os.path.getsize(p) for p in glob.glob(os.path.join(data, "kept-*", "*.log")))


def another_boot(data):
    with open(os.path.join(data, ".moldau_running"), "w") as f:
        f.write("00000000-0000-4000-8000-000000000000\n")


def start(broker, index):
    assert broker.dead()
    began = time.monotonic()
    broker.spawn()
    while True:
        try:
            with broker.conn(timeout=60) as conn:
                answer = conn.produce("kept", batch([b"new"]), index=index)
                assert answer.error == 0, answer.error
                acked = time.monotonic() - began
                got = conn.fetch("kept", answer.base_offset, index)
                assert got.records, got
                return acked * 1000, (time.monotonic() - began) * 1000
        except (ConnectionRefusedError, Closed):
            assert not broker.dead(), broker.log()[-2000:]
            time.sleep(0.001)


def run(sizes, partitions, say):
    """killed_10_record_ms and the like: how it was left, gigabytes, until when; the worst of three."""
    folder = tempfile.mkdtemp(prefix="moldau-restart-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    broker = Moldau(SETTINGS, data=os.path.join(folder, "data"))
    values = {}
    try:
        broker.start()
        fill(broker, partitions)
        broker.stop()
        for gigabytes in sizes:
            size = blow_up(broker.data, gigabytes * 10**9)
            broker.start()
            time.sleep(1)
            for left, key in (("kill -9", "killed"), ("power cut", "cut")):
                worst = 0.0, 0.0
                for turn in range(3):
                    broker.kill()
                    if left == "power cut":
                        another_boot(broker.data)
                    times = start(broker, (turn * 331 + 7) % partitions)
                    worst = max(worst[0], times[0]), max(worst[1], times[1])
                    time.sleep(1)
                values |= {f"{key}_{gigabytes}_record_ms": worst[0], f"{key}_{gigabytes}_read_ms": worst[1]}
                say(f"  {size / 1e9:.1f} GB in {partitions} partitions, {left}: first record acknowledged "
                    f"{worst[0]:.0f} ms, read back {worst[1]:.0f} ms")
            code = broker.stop()
            assert code == 0, code
        return values
    finally:
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("gigabytes", type=int, nargs="*", default=[1, 10, 100])
    p.add_argument("--partitions", type=int, default=1000)
    args = p.parse_args()
    run(args.gigabytes, args.partitions, print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
