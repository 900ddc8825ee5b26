#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compaction beside a real Kafka: megabytes of log per second of processor time, on the same input.

   bench/bench_compaction.py [MEGABYTES]

A Kafka without its cleaner is filled (records of 1 KB, 20,000 keys, no codec) and stopped; each of the two compacts
one copy. Counted is the processor time of the threads that do it, the original's cleaner thread, ours all threads
while it runs, so that other work on the machine matters little. Needs Java and the jars that dev/kafka fetches. Goal:
3 times Kafka's."""
import os
import random
import shutil
import sys
import time

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(here, "..", "test", "compat")]
import kafka_cleaner as cleaner  # noqa: E402
import kafka_dirs as dirs  # noqa: E402
from lib.batch import Record, batch  # noqa: E402

TOPIC = "compacted"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def fill(node, megabytes):
    rng = random.Random(1)
    made = [batch([Record(rng.randbytes(1000), b"key-%08d" % (1000 * i + k)) for k in range(900)]) for i in range(20)]
    cleaner.set_cleaner(node, False)
    node.start("kafka")
    with node.conn() as conn:
        conn.create(TOPIC, 1, {"cleanup.policy": "compact", "internal.segment.bytes": 16 << 20,
                               "min.cleanable.dirty.ratio": 0.001})
        for n in range(megabytes):
            answer = conn.produce(TOPIC, made[rng.randrange(20)], acks=1, timeout_ms=30000)
            if answer.error:
                sys.exit(f"Produce: error {answer.error}")
    node.end("clean")


def threads(pid):
    """Name and processor seconds of each thread."""
    out = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/stat") as f:
                text = f.read()
        except OSError:
            continue
        fields = text[text.rindex(")") + 2:].split()
        out.append((text[text.index("(") + 1:text.rindex(")")], (int(fields[11]) + int(fields[12])) * TICK_S))
    return out


def used(node, who):
    if who == "kafka":
        with open(os.path.join(node.dir, "pid")) as f:
            return sum(s for name, s in threads(f.read().strip()) if name.startswith("kafka-log-clean"))
    return sum(s for _, s in threads(node.moldau.process.pid))


def clean(node, who):
    """Processor seconds until the cleaner's file says that it is through."""
    base = cleaner.bases(node, TOPIC)[-1]
    path = os.path.join(node.data, "cleaner-offset-checkpoint")
    cleaner.set_cleaner(node, True)
    node.start(who)
    before, end = used(node, who), time.monotonic() + 300
    while time.monotonic() < end:
        if os.path.exists(path) and f"{TOPIC} 0 {base}" in open(path).read():
            break
        time.sleep(0.02)
    else:
        sys.exit(f"{who} does not come to its end\n{node.log()[-2000:]}")
    seconds = used(node, who) - (0 if who == "kafka" else before)
    node.end("clean")
    return seconds


def run(megabytes):
    """By name of the server: mbps_per_core, cpu_s, left_mb."""
    why = dirs.missing()
    if why:
        raise RuntimeError(why)
    theirs, ours = dirs.Node(), dirs.Node()
    try:
        with open(theirs.file, "a") as f:
            f.write(cleaner.CLEANER.replace("backoff.ms=100", "backoff.ms=1000"))
        dirs.format_with(theirs, "--standalone")
        fill(theirs, megabytes)
        shutil.rmtree(ours.data, ignore_errors=True)
        shutil.copytree(theirs.data, ours.data)
        with open(theirs.file) as f, open(ours.file, "w") as g:
            g.write(f.read().replace(theirs.data, ours.data))
        ours.port, ours.address = theirs.port, theirs.address
        size = cleaner.stored(theirs, TOPIC) / 1e6
        values = {}
        for who, node in (("kafka", theirs), ("moldau", ours)):
            seconds = clean(node, who)
            values[who] = {"mbps_per_core": size / max(seconds, TICK_S), "cpu_s": seconds,
                           "left_mb": cleaner.stored(node, TOPIC) / 1e6}
        return values
    finally:
        theirs.close(False)
        ours.close(False)


def main():
    values = run(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    for who, v in values.items():
        print(f"{who:8} {v['cpu_s']:.2f} s of processor time: {v['mbps_per_core']:.0f} MB/s per core; "
              f"{v['left_mb']:.0f} MB are left")
    print(f"{values['moldau']['mbps_per_core'] / values['kafka']['mbps_per_core']:.1f} times Kafka's (goal 3)")


if __name__ == "__main__":
    main()
