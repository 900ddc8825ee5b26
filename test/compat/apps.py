#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kafka Streams and Kafka Connect on the broker, which is killed with -9 and started meanwhile.

   apps.py [-v] [NAME...]

NAME: streams (every word counted at least once), streams-exactly-once (each exactly once: what a read_committed reader
sees of a word is 1, 2, 3, ... to its end), connect (one distributed worker carries a file through a topic into another
file). Needs what `dev/compat` installs. The last line is `N passed, N failed, N skipped`."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "e2e")]
from clients import CACHE  # noqa: E402
from kafka_transactions import visible  # noqa: E402
from lib import broker as brokers  # noqa: E402

APPS = os.path.join(CACHE, "compat-apps")
JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{APPS}:{APPS}/jars/*"]
SETTINGS = {"group.initial.rebalance.delay.ms": 0}
WAIT_S = 120
WORDS = "rivers flow into the sea and the sea takes them all".split()
counts = {"ok": 0, "not ok": 0, "skip": 0}


class Wrong(Exception):
    pass


def say(result, name, text="", verbose=True):
    counts[result] += 1
    if result != "ok" or verbose:
        print(f"{result} {name}" + (f" ({text})" if result == "skip" else ""))
    if result == "not ok":
        print("\n".join("# " + line for line in str(text).strip().splitlines()[-40:]))
    sys.stdout.flush()


class Program:
    """A process of Java, and what it said."""

    def __init__(self, *command):
        self.lines = []
        self.process = subprocess.Popen([*JAVA, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait(self, what, ready, seconds=WAIT_S):
        """Until ready() is true; the last thing it returned."""
        end = time.monotonic() + seconds
        while True:
            got = ready()
            if got:
                return got
            why = next((line for line in self.lines if line.startswith("failed: ")), None)
            if self.process.poll() is not None:
                why = f"it ended with {self.process.returncode}"
            if why or time.monotonic() > end:
                raise Wrong(f"{what}: {why or f'not in {seconds} s'}\n" + "\n".join(self.lines[-25:]))
            time.sleep(0.2)

    def ready(self, what, ready):
        """Itself, once ready() is true; else it is ended."""
        try:
            self.wait(what, ready)
        except Wrong:
            self.close()
            raise
        return self

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join(5)
        self.process.stdin.close()
        self.process.stdout.close()


# ---- streams


def feed(broker, n, seed):
    """Writes n lines into the two partitions; {word: count}."""
    out = {}
    for index in range(2):
        lines = [[WORDS[(i * k + seed + index) % len(WORDS)] for k in range(1, 6)] for i in range(n // 2)]
        with broker.conn() as conn:
            conn.wait_leader("lines", 2)
            answer = conn.produce("lines", [" ".join(line).encode() for line in lines], index)
        if answer.error:
            raise Wrong(f"Produce: error {answer.error}")
        for word in sum(lines, []):
            out[word] = out.get(word, 0) + 1
    return out


def told(broker):
    """{word: the counts told, in their order}, of committed records."""
    out = {}
    with broker.conn() as conn:
        conn.wait_leader("counts")
        for _, value in visible(conn, "counts", 0)[0]:
            word, n = value.decode().split()
            out.setdefault(word, []).append(int(n))
    return out


def streams(broker, guarantee):
    with broker.conn() as conn:
        conn.create("lines", 2)
        conn.create("counts", 1)
    expected = {}
    exact = guarantee == "exactly_once_v2"

    def more(n, seed):
        for word, count in feed(broker, n, seed).items():
            expected[word] = expected.get(word, 0) + count

    def counted():
        got = told(broker)
        return set(got) == set(expected) and all(max(got[w]) >= n for w, n in expected.items()) and got

    def run():
        started = Program("WordCount", f"127.0.0.1:{broker.port}", guarantee, os.path.join(broker.own_dir, "state"))
        return started.ready("running", lambda: "state: RUNNING" in started.lines)

    program = run()
    try:
        more(200, 0)
        program.wait("the first words", counted)
        for turn in range(1, 5):
            more(200, turn)
            # Most often in the middle of a transaction, and of what was not committed yet.
            time.sleep((0.15, 0.3, 0.1, 0)[turn - 1])
            if turn < 3:
                broker.crash()
            elif turn == 3:
                # The one that comes after it fences it, and goes on from what it committed.
                program.close()
                program = run()
        got = program.wait(f"all words of {expected}, not {told(broker)}"[:1500], counted)
        program.process.stdin.close()
        if program.process.wait(60) or "ended" not in program.lines[-3:]:
            raise Wrong("it did not end well:\n" + "\n".join(program.lines[-25:]))
        got = told(broker)
        for word, n in expected.items():
            if exact and got[word] != list(range(1, n + 1)):
                raise Wrong(f"{word}: told {got[word]}, expected each from 1 to {n}")
            if not exact and not set(range(1, n + 1)) <= set(got[word]):
                raise Wrong(f"{word}: {sorted(set(range(1, n + 1)) - set(got[word]))} was not told")
        return f"{sum(expected.values())} words, {sum(map(len, got.values()))} records"
    finally:
        program.close()


# ---- connect


WORKER = """bootstrap.servers=127.0.0.1:{port}
group.id=connect-cluster
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.topic=connect-offsets
offset.storage.replication.factor=1
offset.storage.partitions=3
config.storage.topic=connect-configs
config.storage.replication.factor=1
status.storage.topic=connect-status
status.storage.replication.factor=1
offset.flush.interval.ms=1000
scheduled.rebalance.max.delay.ms=0
listeners=http://127.0.0.1:{rest}
plugin.path={plugins}
"""


def ask(port, method, path, body=None):
    """The worker's answer, or None when it gives none yet."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method,
                                     data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"{}") or {"answer": "empty"}
    except (urllib.error.URLError, OSError, ValueError):
        return None


def connect(broker):
    rest = brokers.free_port()
    source, sink = (os.path.join(broker.own_dir, name) for name in ("source.txt", "sink.txt"))
    # The file connectors are on the class path; the worker insists on a folder.
    plugins = os.path.join(broker.own_dir, "plugins")
    os.mkdir(plugins)
    worker = os.path.join(broker.own_dir, "worker.properties")
    with open(worker, "w") as f:
        f.write(WORKER.format(port=broker.port, rest=rest, plugins=plugins))
    written = []

    def write(n):
        lines = [f"line {len(written) + i} of the file" for i in range(n)]
        written.extend(lines)
        with open(source, "a") as f:
            f.write("".join(line + "\n" for line in lines))

    def carried():
        try:
            with open(sink) as f:
                return f.read().splitlines() == written
        except FileNotFoundError:
            return False

    def run():
        started = Program("org.apache.kafka.connect.cli.ConnectDistributed", worker)
        return started.ready("the worker answers", lambda: ask(rest, "GET", "/connectors") is not None)

    def running(name):
        status = ask(rest, "GET", f"/connectors/{name}/status") or {}
        return [t["state"] for t in status.get("tasks", [])] == ["RUNNING"]

    write(500)
    program = run()
    try:
        for name, config in (
                ("source", {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
                            "tasks.max": "1", "file": source, "topic": "carried"}),
                ("sink", {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
                          "tasks.max": "1", "file": sink, "topics": "carried"})):
            program.wait(f"{name} is made", lambda: ask(rest, "PUT", f"/connectors/{name}/config", config))
            program.wait(f"{name} runs", lambda: running(name))
        program.wait("the file", carried)
        time.sleep(2.5)  # the offsets are committed
        broker.crash()
        write(500)
        program.wait("more of the file, after kill -9 of the broker", carried)
        time.sleep(2.5)
        # A worker that comes anew finds its connectors, their offsets and the group's.
        program.process.terminate()
        program.process.wait(60)
        write(100)
        program.close()
        program = run()
        for name in ("source", "sink"):
            program.wait(f"{name} runs again", lambda: running(name))
        program.wait("the rest, with a new worker", carried)
        return f"{len(written)} lines"
    except Wrong as error:
        lines = open(sink).read().splitlines() if os.path.exists(sink) else []
        first = next((i for i, (a, b) in enumerate(zip(lines, written)) if a != b), min(len(lines), len(written)))
        raise Wrong(f"{error}\nthe sink has {len(lines)} lines of {len(written)}, the first {first} right") from None
    finally:
        program.close()


PARTS = {"streams": lambda broker: streams(broker, "at_least_once"),
         "streams-exactly-once": lambda broker: streams(broker, "exactly_once_v2"),
         "connect": connect}
NAMES = list(PARTS)


def missing():
    if not shutil.which("java"):
        return "no java"
    if not os.path.exists(os.path.join(APPS, "WordCount.class")):
        return "dev/compat has not installed Kafka Streams and Connect"
    return None


def run_all(names, verbose):
    for name in names or NAMES:
        why = missing()
        if why:
            say("skip", name, why)
            continue
        broker = brokers.Moldau(SETTINGS).start()
        try:
            what = PARTS[name](broker)
            say("ok", f"{name}: {what}", verbose=verbose)
        except (Wrong, AssertionError, OSError, brokers.NotReady) as error:
            log = "\n".join(broker.log().splitlines()[-12:]) if verbose else ""
            say("not ok", name, f"{type(error).__name__}: {error}\n{log}")
        finally:
            broker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-v", action="store_true", dest="verbose")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    if set(args.names) - set(NAMES):
        sys.exit(f"there are {', '.join(NAMES)}")
    run_all(args.names, args.verbose)
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return 1 if counts["not ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
