#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What kafka-storage says, run by run, against a record of what the original's said.

    check_storage.py RECORD COMMAND...            compares; exit 1 when anything differs
    check_storage.py --record RECORD COMMAND...   writes the record (COMMAND runs the original's tool)

Every case runs in a folder of its own, in which its files are written first; DIR stands for it, ID for random ids.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ID = "kQHvXdQ2SGCzG0e2Xk1ZGA"
OTHER = "MkU3OEVBNTcwNTJENDM2Qk"
DIR_ID = "JEXY6aqzQY-32P5TStzaFg"
BASE = """process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
log.dirs=DIR/a
"""
VOTERS = "controller.quorum.voters=1@localhost:9093\n"
BOOT = "controller.quorum.bootstrap.servers=localhost:9093\n"
FILES = {
    "static": BASE + VOTERS,
    "dynamic": BASE + BOOT,
    "two": (BASE + VOTERS).replace("DIR/a", "DIR/a,DIR/b"),
    "meta": (BASE + BOOT).replace("DIR/a", "DIR/a,DIR/b") + "metadata.log.dir=DIR/m\n",
    "broker": (BASE + BOOT).replace("broker,controller", "broker").replace(",CONTROLLER://localhost:9093", ""),
    "controller": (BASE + BOOT).replace("broker,controller", "controller").replace(
        "PLAINTEXT://localhost:9092,", ""),
    "both": BASE + VOTERS + BOOT,
    "neither": BASE,
    "nonode": (BASE + VOTERS).replace("node.id=1\n", ""),
    "badvalue": BASE + VOTERS + "num.partitions=x\n",
    "spaces": (BASE + VOTERS).replace("DIR/a", "DIR/a , DIR/b"),
}
SCRAM256 = "SCRAM-SHA-256=[name=alice,password=alice-secret]"
SCRAM512 = 'SCRAM-SHA-512=[name=alice,iterations=8192,salt="N3E=",saltedpassword="YCE="]'


def f(conf, *more):
    return ["format", "-t", ID, "-c", conf] + list(more)


# Each case: runs one after another in one folder. A run that begins with "!" is a shell line of the case.
CASES = [
    [[]], [["--help"]], [["-h"]], [["bogus"]], [["form"]],
    [["format", "--help"]], [["info", "--help"]], [["version-mapping", "--help"]],
    [["feature-dependencies", "--help"]], [["random-uuid", "--help"]],
    [["random-uuid"]], [["random-uuid", "extra"]], [["random-uuid", "--bogus"]],
    [["format"]], [["format", "-c", "static"]], [["format", "-t", ID]], [["format", "-t"]],
    [["format", "-t", ID, "-c", "missing"]], [f("static", "--bogus")], [f("static", "extra")],
    [f("static"), f("static"), f("static", "-g"), f("static", "--ignore-formatted"), ["info", "-c", "static"]],
    [["format", "--cluster-id=" + ID, "--config=static"]],
    [["format", "--cluster-id", ID, "--config", "static"]],
    [["format", "-t" + ID, "-cstatic"]],
    [["format", "--clus", ID, "--conf", "static"]],
    [["format", "-t", "short", "-c", "static"]],
    [["format", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c", "static"]],
    [["format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", "static"]],
    [["format", "-t", ID + "x", "-c", "static"]],
    [["format", "-t", "not a uuid!!", "-c", "static"]],
    [["format", "-t", "", "-c", "static"]],
    [["format", "-t", "123456789012345678901234567890", "-c", "static"]],
    [f("two"), ["info", "-c", "two"], "!rm -r b", ["info", "-c", "two"], f("two"), f("two", "-g"),
     ["info", "-c", "two"]],
    [f("two"), ["format", "-t", OTHER, "-c", "two"], ["format", "-t", OTHER, "-c", "two", "-g"]],
    [f("meta", "-s"), ["info", "-c", "meta"]],
    [f("spaces")],
    [["info", "-c", "static"]], [["info"]], [["info", "-c", "missing"]], [["info", "-c", "nonode"]],
    ["!mkdir a", ["info", "-c", "static"], f("static"), ["info", "-c", "static"]],
    ["!mkdir a; echo x > a/file", ["info", "-c", "static"], f("static")],
    ["!echo x > a", ["info", "-c", "static"], f("static")],
    ["!mkdir a; printf 'version=1\\ncluster.id=%s\\nnode.id=2\\n' " + ID + " > a/meta.properties",
     ["info", "-c", "static"], f("static"), f("static", "-g")],
    ["!mkdir a; printf 'version=7\\n' > a/meta.properties", ["info", "-c", "static"], f("static")],
    ["!mkdir a; printf 'version=1\\nnode.id=1\\n' > a/meta.properties", ["info", "-c", "static"], f("static", "-g")],
    ["!mkdir a; printf 'version=0\\ncluster.id=%s\\nbroker.id=1\\n' " + ID + " > a/meta.properties",
     ["info", "-c", "static"], f("static", "-g")],
    [f("static", "-s")], [f("static", "-N")], [f("static", "-I", "1@localhost:9093:" + DIR_ID)],
    [f("dynamic")], [f("dynamic", "-s"), ["info", "-c", "dynamic"]], [f("dynamic", "--standalone")],
    [f("dynamic", "-N")], [f("dynamic", "--no-initial-controllers")],
    [f("dynamic", "-s", "-N")], [f("dynamic", "-s", "-I", "1@localhost:9093:" + DIR_ID)],
    [f("dynamic", "-I", "1@localhost:9093:" + DIR_ID), ["info", "-c", "dynamic"]],
    [f("dynamic", "-I", "1@localhost:9093:%s,2@other:9093:%s" % (DIR_ID, OTHER))],
    [f("dynamic", "-I", "2@localhost:9093:" + DIR_ID)],
    [f("dynamic", "-I", "bogus")], [f("dynamic", "-I", "1@localhost:9093")],
    [f("dynamic", "-I", "1@localhost:9093:xyz")], [f("dynamic", "-I", "")],
    [f("dynamic", "-I", "x@localhost:9093:" + DIR_ID)], [f("dynamic", "-I", "1@localhost:x:" + DIR_ID)],
    [f("dynamic", "-I", "1@localhost:9093:%s,1@other:9093:%s" % (DIR_ID, OTHER))],
    [f("dynamic", "-I", "1@[::1]:9093:" + DIR_ID)],
    [f("broker")], [f("broker", "-N")], [f("broker", "-s")], [f("broker", "-I", "1@localhost:9093:" + DIR_ID)],
    [f("controller", "-s")], [f("controller")],
    [f("both")], [f("both", "-s")], [f("neither")], [f("nonode")], [f("badvalue")],
    [f("dynamic", "-s", "-f", "kraft.version=0")], [f("dynamic", "-s", "-f", "kraft.version=1")],
    [f("static", "-f", "kraft.version=1")], [f("static", "-f", "kraft.version=0")],
    [f("static", "-r", "3.3-IV3")], [f("static", "-r", "3.3")], [f("static", "-r", "3.9")], [f("static", "-r", "4.0")],
    [f("static", "-r", "4.3")], [f("static", "-r", "4.3-IV0")], [f("static", "-r", "4.4-IV0")],
    [f("static", "-r", "3.2")], [f("static", "-r", "bogus")], [f("static", "-r", "")],
    [f("dynamic", "-s", "-r", "3.8")], [f("dynamic", "-s", "-r", "3.9")],
    [f("static", "-r", "3.9", "-f", "kraft.version=1")],
    [f("static", "-f", "metadata.version=20")], [f("static", "-r", "4.0", "-f", "metadata.version=20")],
    [f("static", "-f", "metadata.version=99")], [f("static", "-f", "metadata.version=6")],
    [f("static", "-f", "bogus=1")], [f("static", "-f", "bogus")], [f("static", "-f", "group.version=x")],
    [f("static", "-f", "group.version=1")], [f("static", "-f", "group.version=0")],
    [f("static", "-f", "group.version=2")], [f("static", "-f", "group.version=-1")],
    [f("static", "-f", "group.version=1", "-f", "group.version=0")],
    [f("static", "-f", "transaction.version=2", "-f", "eligible.leader.replicas.version=1")],
    [f("static", "-r", "3.9", "-f", "eligible.leader.replicas.version=1")],
    [f("static", "-r", "3.9", "-f", "transaction.version=2")],
    [f("static", "-f", "share.version=1", "-f", "streams.version=1")],
    [f("static", "-S", SCRAM256)], [f("static", "-S", SCRAM512)], [f("static", "-S", SCRAM256, "-S", SCRAM512)],
    [f("static", "-S", SCRAM256, "-S", SCRAM256)],
    [f("static", "-S", "bogus")], [f("static", "-S", "SCRAM-SHA-1=[name=a,password=b]")],
    [f("static", "-S", "SCRAM-SHA-256=name=a,password=b")], [f("static", "-S", "SCRAM-SHA-256=[password=b]")],
    [f("static", "-S", "SCRAM-SHA-256=[name=a]")],
    [f("static", "-S", "SCRAM-SHA-256=[name=a,password=b,saltedpassword=c]")],
    [f("static", "-S", "SCRAM-SHA-256=[name=a,saltedpassword=YCE=]")],
    [f("static", "-S", "SCRAM-SHA-256=[name=a,password=b,iterations=1]")],
    [f("static", "-S", "SCRAM-SHA-256=[name=a,password=b,iterations=20000]")],
    [f("static", "-S", "SCRAM-SHA-256=[name=a,password=b,iterations=x]")],
    [f("static", "-S", "SCRAM-SHA-256=[name=a,password=b,bogus=1]")],
    [f("static", "-S", "SCRAM-SHA-256=[name=,password=b]")],
    [f("static", "-r", "3.4", "-S", SCRAM256)],
    [["version-mapping"]], [["version-mapping", "-r", "3.3"]], [["version-mapping", "-r", "3.9"]],
    [["version-mapping", "-r", "4.0-IV3"]], [["version-mapping", "--release-version", "4.2"]],
    [["version-mapping", "-r", "4.4-IV0"]], [["version-mapping", "-r", "3.0"]], [["version-mapping", "-r", "bogus"]],
    [["version-mapping", "-r"]],
    [["feature-dependencies"]], [["feature-dependencies", "-f", "bogus=1"]],
    [["feature-dependencies", "-f", "group.version"]], [["feature-dependencies", "-f", "group.version=1"]],
    [["feature-dependencies", "-f", "group.version=0"]], [["feature-dependencies", "-f", "group.version=9"]],
    [["feature-dependencies", "-f", "transaction.version=2"]],
    [["feature-dependencies", "-f", "kraft.version=1"]], [["feature-dependencies", "-f", "share.version=1"]],
    [["feature-dependencies", "-f", "eligible.leader.replicas.version=1"]],
    [["feature-dependencies", "-f", "streams.version=1"]],
    [["feature-dependencies", "-f", "metadata.version=20"]], [["feature-dependencies", "-f", "metadata.version=99"]],
    [["feature-dependencies", "-f", "metadata.version=7", "-f", "kraft.version=0"]],
    [["feature-dependencies", "-f", "group.version=x"]],
]


def mask(text, folder):
    text = text.replace(folder, "DIR")
    return re.sub(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])",
                  lambda m: m.group(0) if m.group(0) in (ID, OTHER, DIR_ID, "A" * 22, "A" * 21 + "Q") or
                  m.group(0).islower() else "ID", text)


def lines_of(text, folder, is_errors):
    """Without what only a JVM says: log lines, stack traces, names of exceptions. Errors are one line: the original
    spreads them over lines of even width."""
    text = re.sub(r"Exception in thread \"main\" [\w.$]+: ", "", mask(text, folder))
    lines = [l.rstrip() for l in text.splitlines()
             if not re.match(r"SLF4J|WARNING|\d\d\d\d-|\[\d\d\d\d-|log4j|\t(at|\.\.\.) |Caused by: |java\.[\w.]+: ", l)]
    if is_errors and any("kafka-storage:" in l for l in lines):
        lines = [" ".join(" ".join(lines).split())]
    # Salts are random, and so are the keys made with them.
    return [re.sub(r"(salt|Key)=\[[^]]{60,}\]", r"\1=[...]", l) for l in lines]


def run_case(case, command):
    folder = os.path.realpath(tempfile.mkdtemp(prefix="storage-"))
    out = []
    for name, text in FILES.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text.replace("DIR", folder))
    for run in case:
        if isinstance(run, str):
            subprocess.run(run[1:], shell=True, cwd=folder, check=True)
            out.append("$ " + run)
            continue
        env = dict(os.environ, LC_ALL="C", COLUMNS="80")
        done = subprocess.run(command + run, cwd=folder, env=env, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)
        out.append(("$ " + " ".join("'%s'" % a if not a or " " in a or "[" in a else a for a in run)).rstrip())
        for mark, text in (("1", done.stdout), ("2", done.stderr)):
            out += [mark + "|" + line for line in lines_of(text, folder, mark == "2")]
        out.append("= %d" % done.returncode)
    shutil.rmtree(folder)
    return out


def main():
    args = sys.argv[1:]
    is_record = args[0] == "--record"
    record, command = args[is_record], args[is_record + 1:]
    command[0] = os.path.abspath(command[0])
    if is_record:
        lines = ["# SPDX-License-Identifier: Apache-2.0",
                 "# What the original's kafka-storage said: 1| its output, 2| its errors, = its exit code."]
        for case in CASES:
            lines += run_case(case, command) + [""]
            print(lines[-2], case[-1], flush=True)
        with open(record, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return 0
    with open(record, encoding="utf-8") as file:
        wanted = file.read().split("\n", 2)[2].rstrip("\n").split("\n\n")
    assert len(wanted) == len(CASES), "the record is of other cases: record again"
    bad = 0
    for case, want in zip(CASES, wanted):
        got = "\n".join(run_case(case, command))
        if got != want:
            bad += 1
            print("--- wanted\n%s\n+++ got\n%s\n" % (want, got))
    print("%d cases, %d differ" % (len(CASES), bad))
    return 1 if bad else 0


sys.exit(main())
