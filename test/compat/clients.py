# SPDX-License-Identifier: Apache-2.0
"""The clients, each behind the same few calls: `missing()`, `produce(address, topic, codec, records)`,
`read(address, {topic: count})`, and for those with `rides`, `ride(address, topic)`, a process to talk to.

A record is a dict k, v (hex or None), h (list of [name, hex or None]), t (ms, None when the client chooses).
Installed things live in COMPAT_CACHE (~/.cache/moldau); nothing is installed here, `dev/compat` does that.
"""
import json
import os
import re
import shlex
import shutil
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.environ.get("COMPAT_CACHE") or os.path.expanduser("~/.cache/moldau")
VENV_PYTHON = os.path.join(CACHE, "compat-venv", "bin", "python")
JS = os.path.join(CACHE, "compat-js")
FRANZ = os.path.join(CACHE, "compat-franz")
JAVA = os.path.join(CACHE, "compat-java")
TIMEOUT_S = 60
ALL_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class Failed(Exception):
    pass


def run(command, text="", timeout=TIMEOUT_S):
    try:
        done = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout)
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"")[-1500:].decode(errors="replace")
        raise Failed(f"{command[0]} did not end in {timeout} s: {said}") from None
    if done.returncode:
        raise Failed(f"{os.path.basename(command[0])} ended with {done.returncode}: "
                     f"{done.stderr[-2000:].decode(errors='replace')}")
    return done.stdout


def text_of(data):
    return None if data is None else bytes.fromhex(data).decode()


class Client:
    name, codecs, reads, rides = "", ALL_CODECS, True, False
    text = False       # only readable keys, values and headers, no null
    chooses_time = False
    same_headers = False  # one set of headers for all records of a call
    null_headers = True
    repeated_headers = True
    null_both = True   # a record with neither key nor value
    foreign = ALL_CODECS  # what it reads of what others wrote

    def missing(self):
        return None

    def suits(self, r):
        """Whether the client can write this record at all."""
        names = [h[0] for h in r["h"]]
        return (self.null_both or r["k"] is not None or r["v"] is not None) and \
            (self.null_headers or all(h[1] is not None for h in r["h"])) and \
            (self.repeated_headers or len(set(names)) == len(names))


class Program(Client):
    """A program of this folder with the commands produce, read and ride."""

    command, needs, rides = (), (), True

    def missing(self):
        for path in self.needs:
            if not os.path.exists(path):
                return f"{path} is missing"
        return None

    def produce(self, address, topic, codec, records):
        run([*self.command, "produce", address, topic, codec], "".join(json.dumps(r) + "\n" for r in records))

    def read(self, address, wanted):
        out = {topic: [] for topic in wanted}
        for line in run([*self.command, "read", address, *(f"{t}:{n}" for t, n in wanted.items())]).splitlines():
            r = json.loads(line)
            out[r["topic"]].append(r)
        return out

    def ride(self, address, topic):
        return subprocess.Popen([*self.command, "ride", address, topic], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, bufsize=1)


class Python(Program):
    needs, module = (VENV_PYTHON,), ""

    def missing(self):
        if not super().missing() and subprocess.run([VENV_PYTHON, "-c", f"import {self.module}"],
                                                    stderr=subprocess.DEVNULL).returncode:
            return f"{self.name} did not install"
        return super().missing()


class KafkaPython(Python):
    name, module, null_headers, null_both = "kafka-python", "kafka", False, False
    command = (VENV_PYTHON, os.path.join(HERE, "python", "kafka_python_client.py"))


class Confluent(Python):
    name, module = "confluent-kafka", "confluent_kafka"
    command = (VENV_PYTHON, os.path.join(HERE, "python", "confluent_client.py"))


class Franz(Program):
    name, command, needs = "franz-go", (FRANZ,), (FRANZ,)


class Java(Program):
    """The newest Java client, by a small program: newer than the newest broker there is."""

    name, needs = "java-4.4", (os.path.join(JAVA, "JavaClient.class"),)
    command = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx256m", "-cp",
               f"{JAVA}:{JAVA}/jars/*",
               "JavaClient")

    def missing(self):
        return super().missing() if shutil.which("java") else "java is not installed"


class KafkaJs(Program):
    name, codecs, reads = "kafkajs", ("none", "gzip"), False
    null_headers = False
    command = ("node", os.path.join(JS, "kafkajs.mjs"))
    needs = (os.path.join(JS, "node_modules", "kafkajs"),)


class Platformatic(Program):
    name, null_headers, repeated_headers = "platformatic", False, False
    codecs = ("none", "gzip", "snappy", "lz4")  # and zstd where Node has it
    foreign = ("none", "gzip", "lz4")  # its snappy reads only its own framing
    command = ("node", os.path.join(JS, "platformatic.mjs"))
    needs = (os.path.join(JS, "node_modules", "@platformatic", "kafka"),)

    def missing(self):
        if not super().missing():
            probe = subprocess.run(["node", "-p", "typeof require('zlib').zstdCompressSync"], capture_output=True,
                                   text=True)
            self.codecs = ALL_CODECS if probe.stdout.strip() == "function" else Platformatic.codecs
        return super().missing()


class Kcat(Client):
    name, text, chooses_time, same_headers = "kcat", True, True, True

    def missing(self):
        return None if shutil.which("kcat") else "kcat is not installed"

    def produce(self, address, topic, codec, records):
        headers = [w for k, v in records[0]["h"] for w in ("-H", f"{k}={text_of(v)}")]
        lines = "".join(f"{text_of(r['k'])}\t{text_of(r['v'])}\n" for r in records)
        run(["kcat", "-P", "-b", address, "-t", topic, "-p", "0", "-z", codec, "-K", "\t", "-X", "linger.ms=20",
             "-X", "acks=all", *headers], lines)

    def read(self, address, wanted):
        out = {}
        for topic, count in wanted.items():
            data = run(["kcat", "-C", "-q", "-b", address, "-t", topic, "-p", "0", "-o", "beginning", "-c", str(count),
                        "-X", "check.crcs=true", "-f", "%T %o %K %S\n%k%s%h\n"])
            out[topic] = list(self.parse(data, topic))
        return out

    def parse(self, data, topic):
        at = 0
        while at < len(data):
            end = data.index(b"\n", at)
            time, offset, key_len, value_len = (int(w) for w in data[at:end].split())
            at = end + 1
            key = data[at:at + max(key_len, 0)]
            at += len(key)
            value = data[at:at + max(value_len, 0)]
            at += len(value)
            end = data.index(b"\n", at)
            headers = [h.split(b"=", 1) for h in data[at:end].split(b",") if h]
            at = end + 1
            yield {"topic": topic, "t": time, "o": offset, "k": key.hex() if key_len >= 0 else None,
                   "v": value.hex() if value_len >= 0 else None,
                   "h": [[k.decode(), v.hex()] for k, v in headers]}


class JavaConsole(Client):
    name, text, chooses_time = "java-console", True, True

    def __init__(self):
        self.tool = shlex.split(os.environ.get("KAFKA_TOOL") or os.path.join(ROOT, "dev", "kafka") + " tool")

    def missing(self):
        if not shutil.which("java"):
            return "java is not installed"
        if not shutil.which(self.tool[0]):
            return f"{self.tool[0]} is missing"
        if "KAFKA_TOOL" not in os.environ:
            jars = subprocess.run([self.tool[0], "jars"], capture_output=True, text=True)
            if jars.returncode:
                return f"no jars: {jars.stderr.strip()[-200:]}"
        return None

    def produce(self, address, topic, codec, records):
        lines = "".join(",".join(f"{k}:{text_of(v)}" for k, v in r["h"]) + f"\t{text_of(r['k'])}\t{text_of(r['v'])}\n"
                        for r in records)
        out = run([*self.tool, "console-producer", "--bootstrap-server", address, "--topic", topic,
                   "--compression-codec",
                   codec, "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true"], lines)
        if b"ERROR" in out:
            raise Failed(out.decode(errors="replace")[-2000:])

    def read(self, address, wanted):
        out = {}
        for topic, count in wanted.items():
            data = run([*self.tool, "console-consumer", "--bootstrap-server", address, "--topic", topic,
                        "--partition", "0",
                        "--offset", "earliest", "--max-messages", str(count), "--timeout-ms", "20000",
                        "--formatter-property",
                        "print.key=true", "--formatter-property", "print.headers=true", "--formatter-property",
                        "print.timestamp=true", "--formatter-property", "print.offset=true"])
            out[topic] = [self.parse(line, topic) for line in data.decode().splitlines()
                          if line.startswith("CreateTime:")]
        return out

    def parse(self, line, topic):
        fields = line.split("\t")
        headers = [] if fields[2] == "NO_HEADERS" else [h.split(":", 1) for h in fields[2].split(",")]
        return {"topic": topic, "t": int(fields[0].partition(":")[2]), "o": int(fields[1].partition(":")[2]),
                "k": fields[3].encode().hex(), "v": fields[4].encode().hex(),
                "h": [[k, v.encode().hex()] for k, v in headers]}

    # ---- its other tools

    def admin(self, address, name, *args):
        return run([*self.tool, name, "--bootstrap-server", address, *args]).decode()

    def partitions(self, text):
        return len(re.findall(r"Partition: \d+\s+Leader: \d+", text))


CLIENTS = (Kcat, KafkaPython, Confluent, JavaConsole, Java, Franz, KafkaJs, Platformatic)
