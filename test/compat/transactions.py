#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Transactions of real clients: each is a program that is given an address and tells of each of its checks `ok NAME` or
`not ok NAME: why`.

   transactions.py [-v] [NAME...]

The small ones commit, abort, send offsets and fence. The Java ones (java/ExactlyOnce.java) consume, transform and
produce with random aborts, and the broker is killed with -9 and started again in the middle: the result is there
exactly once. Clients 4.3.1 and 4.4 follow transaction.version 2; txn-java-3.9 the older protocol, on a broker whose
transaction.version is 1. txn-demo-*: the original's own demo (kafka.examples.KafkaExactlyOnceDemo), three instances
in a group, killed in the same way; what its output topic holds for readers of committed records is judged here.
dev/compat installs the clients; what is not installed is skipped. Ports: E2E_PORTS. The last line is `N passed, N
failed, N skipped`."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "e2e")]
from clients import CACHE, VENV_PYTHON  # noqa: E402
from kafka_versions import jars_of  # noqa: E402
from lib import broker as brokers  # noqa: E402

TIMEOUT_S, RECORDS = 120, 2000
DEMO_PARTITIONS, DEMO_INSTANCES, DEMO_RECORDS = 4, 3, 4000
QUICK = ["txn-kafka-python", "txn-confluent"]
counts = {"ok": 0, "not ok": 0, "skip": 0}


def say(result, name, text="", verbose=True):
    counts[result] += 1
    if result != "ok" or verbose:
        print(f"{result} {name}" + (f" ({text})" if result == "skip" else ""))
    if result == "not ok":
        print("\n".join(f"# {line}" for line in str(text).splitlines()))
    sys.stdout.flush()


class Program:
    crash, level = False, None

    def __init__(self, name, command):
        self.name, self.command = name, command

    def missing(self):
        return None if os.path.exists(self.command[0]) else f"{self.command[0]} is missing"

    def argv(self, address):
        return [*self.command, address]

    def wants_crash(self, line):
        return self.crash and line == "half"

    def judge(self, broker):
        """What it does not tell itself: (name, trouble or None) of each."""
        return ()

    def clean(self):
        pass


def python(name, module):
    return Program(name, (VENV_PYTHON, "-W", "ignore", os.path.join(here, "python", f"{module}_txn.py")))


class Java(Program):
    crash = True

    def __init__(self, name, jars, level=None):
        super().__init__(name, ())
        self.jars, self.level, self.path = jars, level, None

    def missing(self):
        if not shutil.which("javac"):
            return "javac is not installed"
        self.path = self.jars()
        return None if self.path and os.path.isdir(self.path) else f"there are no jars for {self.name}"

    def argv(self, address):
        return ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=OFF", "-cp",
                os.path.join(self.path, "*"), os.path.join(here, "java", "ExactlyOnce.java"), address, self.name,
                str(RECORDS)]


class Demo(Java):
    """The address is a constant of its classes, so it runs from changed copies of them."""

    JAR = os.path.join(CACHE, "compat-examples", "jars", "kafka-examples-4.3.1.jar")
    ADDRESS = "localhost:9092"
    classes, told = None, 0

    def missing(self):
        return super().missing() or (None if os.path.exists(self.JAR) else f"{self.JAR} is missing")

    def argv(self, address):
        self.classes = tempfile.mkdtemp(prefix="moldau-demo-")
        before, after = (b"\1" + len(a).to_bytes(2, "big") + a.encode() for a in (self.ADDRESS, address))
        with zipfile.ZipFile(self.JAR) as jar:
            for name in jar.namelist():
                if name.endswith(".class"):
                    path = os.path.join(self.classes, name)
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path, "wb") as f:
                        f.write(jar.read(name).replace(before, after))
        return ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=OFF", "-cp",
                self.classes + ":" + os.path.join(self.path, "*"), "kafka.examples.KafkaExactlyOnceDemo",
                str(DEMO_PARTITIONS), str(DEMO_INSTANCES), str(DEMO_RECORDS)]

    def wants_crash(self, line):
        self.told += "Remaining records" in line
        return self.told == 2

    def judge(self, broker):
        with broker.conn() as conn:
            got = [v for i in range(DEMO_PARTITIONS) for _, v in conn.read_committed("output-topic", 0, i)]
        wanted = {b"test%d-ok" % i for i in range(DEMO_RECORDS)}
        if len(got) == len(wanted) and set(got) == wanted:
            return [("each_input_has_one_output", None)]
        return [("each_input_has_one_output", f"{len(got)} records, {len(set(got))} different, "
                 f"{len(wanted - set(got))} missing, of {len(wanted)}")]

    def clean(self):
        if self.classes:
            shutil.rmtree(self.classes, ignore_errors=True)


FRANZ = os.path.join(CACHE, "compat-franz-txn")
PROGRAMS = [
    python("txn-kafka-python", "kafka_python"), python("txn-confluent", "confluent"), Program("txn-franz", (FRANZ,)),
    Java("txn-java-4.3", lambda: jars_of("4.3.1")),
    Java("txn-java-4.4", lambda: os.path.join(CACHE, "compat-java", "jars")),
    Java("txn-java-3.9", lambda: jars_of("3.9.1"), level=1),
    Demo("txn-demo-4.3", lambda: jars_of("4.3.1")),
    Demo("txn-demo-4.4", lambda: os.path.join(CACHE, "compat-java", "jars")),
    Demo("txn-demo-3.9", lambda: jars_of("3.9.1"), level=1),
]
NAMES = [p.name for p in PROGRAMS]


def set_level(broker, level):
    with broker.conn() as conn:
        answer = conn.call("UpdateFeatures", 2, updates=[
            {"feature": "transaction.version", "level": level, "upgrade_type": 2}])
    if answer.error:
        raise OSError(f"UpdateFeatures: error {answer.error}, {answer.message}")


def run_program(program, broker, verbose):
    """The broker is killed where the program wants it."""
    told, crashed, said = 0, False, []
    if program.level is not None:
        set_level(broker, program.level)
    with subprocess.Popen(program.argv("%s:%d" % broker.address), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        timer, errors = threading.Timer(TIMEOUT_S, process.kill), []
        drain = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)
        timer.start()
        drain.start()
        try:
            for line in process.stdout:
                said.append(line)
                if not crashed and program.wants_crash(line.strip()):
                    broker.crash()
                    crashed = True
                elif line.startswith(("ok ", "not ok ")):
                    result, _, rest = line.strip().partition("ok ")
                    name, _, text = rest.partition(": ")
                    say(result + "ok", f"{program.name} {name}", text, verbose)
                    told += 1
        finally:
            timer.cancel()
            if process.poll() is None and not told:
                process.kill()
    drain.join(5)
    program.clean()
    for name, trouble in program.judge(broker):
        say("not ok" if trouble else "ok", f"{program.name} {name}", trouble and trouble + "\n" + "".join(said)[-3000:],
            verbose)
        told += 1
    if process.returncode or not told or program.crash and not crashed:
        say("not ok", program.name, f"ended with {process.returncode}, {told} results, killed: {crashed}\n" +
            "".join(errors)[-1500:])


def moldau():
    return brokers.Moldau(overrides={"transaction.state.log.num.partitions": 3})


def run_all(names, make, verbose):
    """Each against a broker of its own that `make` makes; its counts are in `counts`."""
    ready = []
    for program in (p for p in PROGRAMS if not names or p.name in names):
        reason = program.missing()
        if reason:
            say("skip", program.name, reason)
        else:
            ready.append(program)
    for program in ready:
        broker = make()
        try:
            run_program(program, broker.start(), verbose)
        except (OSError, brokers.NotReady) as error:
            say("not ok", program.name, error)
        finally:
            broker.close()


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("names", nargs="*")
    p.add_argument("-v", "--verbose", action="store_true")
    args = p.parse_args()
    unknown = set(args.names) - set(NAMES)
    if unknown:
        sys.exit(f"no such client: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    run_all(args.names, moldau, args.verbose)
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return counts["not ok"] > 0


if __name__ == "__main__":
    sys.exit(main())
