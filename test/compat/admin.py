#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Admin clients: each is a program that is given an address and tells of each of its checks `ok NAME` or
`not ok NAME: why`.

   admin.py [-t moldau|kafka] [-r REACTORS] [-v] [NAME...]

All get one node with a quorum by bootstrap servers, as tools/server.py makes it. dev/compat installs the clients; what
is not installed is skipped. The last line is `N passed, N failed, N skipped`."""
import argparse
import os
import shutil
import subprocess
import sys

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [here, os.path.join(here, "tools"), os.path.join(here, "..", "e2e")]
import harness  # noqa: E402
from clients import CACHE, VENV_PYTHON  # noqa: E402
from lib import broker as brokers  # noqa: E402
from server import Server  # noqa: E402

TIMEOUT_S = 120
JAVA = os.path.join(CACHE, "compat-java")
QUICK = ["kafka-python-admin", "confluent-admin"]
counts = {"ok": 0, "not ok": 0, "skip": 0}


def say(result, name, text="", verbose=True):
    counts[result] += 1
    if result != "ok" or verbose:
        print(f"{result} {name}" + (f" ({text})" if result == "skip" else ""))
    if result == "not ok":
        print(f"# {text}")
    sys.stdout.flush()


class Program:
    def __init__(self, name, command, needs):
        self.name, self.command, self.needs = name, command, needs

    def missing(self):
        return next((f"{path} is missing" for path in self.needs if not os.path.exists(path)), None)

    def argv(self, server):
        return [*self.command, "%s:%d" % server.address]


class Java(Program):
    def __init__(self, name, classes, jars):
        super().__init__(name, (), (os.path.join(classes, "AdminChecks.class"), jars or f"jars for {name}"))
        self.path = f"{classes}:{jars}/*"

    def missing(self):
        return super().missing() if shutil.which("java") else "java is not installed"

    def argv(self, server):
        return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx256m", "-cp", self.path,
                "-Dlog4j2.level=OFF", "-Dcontrollers=127.0.0.1:%d" % server.controller_port, "AdminChecks",
                "%s:%d" % server.address]


def python(name, module):
    program = os.path.join(here, "python", f"{module}_admin.py")
    return Program(name, (VENV_PYTHON, "-W", "ignore", program), (VENV_PYTHON,))


PROGRAMS = [
    python("kafka-python-admin", "kafka_python"), python("confluent-admin", "confluent"),
    Program("franz-admin", (os.path.join(CACHE, "compat-franz-admin"),), (os.path.join(CACHE, "compat-franz-admin"),)),
    Java("java-admin-4.3", os.path.join(CACHE, "compat-java-admin-4.3"), harness.jars()),
    Java("java-admin-4.4", os.path.join(CACHE, "compat-java-admin-4.4"), os.path.join(JAVA, "jars")),
]
NAMES = [p.name for p in PROGRAMS]


def run_program(program, server, verbose):
    try:
        done = subprocess.run(program.argv(server), capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        return say("not ok", program.name, f"not done in {TIMEOUT_S} s: {error.stdout}")
    told = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "not ok "))]
    for line in told:
        result, _, rest = line.partition("ok ")
        name, _, text = rest.partition(": ")
        say(result + "ok", f"{program.name} {name}", text, verbose)
    if done.returncode or not told:
        say("not ok", program.name, f"ended with {done.returncode}: {done.stderr[-1000:]}")


def run_all(names, target, verbose):
    """Its counts are in `counts`."""
    ready = []
    for program in PROGRAMS:
        if names and program.name not in names:
            continue
        reason = program.missing()
        if reason:
            say("skip", program.name, reason)
        else:
            ready.append(program)
    if not ready:
        return
    java = harness.Harness()
    server = Server(target)
    try:
        server.start(java)
        for program in ready:
            run_program(program, server, verbose)
            if server.dead():
                say("not ok", f"{program.name}: the server died", server.log()[-3000:])
                break
    except brokers.NotReady as error:
        say("not ok", "the server does not start", error)
    finally:
        server.close()
        java.close()


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("names", nargs="*")
    p.add_argument("-t", "--target", default="moldau", choices=["moldau", "kafka"])
    p.add_argument("-r", "--reactors", default="2")
    p.add_argument("-v", "--verbose", action="store_true")
    args = p.parse_args()
    os.environ["E2E_REACTORS"] = args.reactors
    unknown = set(args.names) - set(NAMES)
    if unknown:
        sys.exit(f"no such client: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    run_all(args.names, args.target, args.verbose)
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return counts["not ok"] > 0


if __name__ == "__main__":
    sys.exit(main())
