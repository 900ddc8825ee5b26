# SPDX-License-Identifier: Apache-2.0
"""Kafka's command-line tools, run one after the other in one Java process (ToolHarness.java), which is started anew
when a tool hangs. `missing()` says why there is none."""
import json
import os
import select
import shutil
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "..", "..", ".."))
CACHE = os.environ.get("COMPAT_CACHE") or os.path.expanduser("~/.cache/moldau")
KAFKA = os.path.join(ROOT, "dev", "kafka")
CLASSES = os.path.join(CACHE, "compat-tools")
VERSION = "4.3.1"

T = "org.apache.kafka.tools."
MAIN = {
    "storage": "kafka.tools.StorageTool", "configs": "kafka.admin.ConfigCommand", "topics": T + "TopicCommand",
    "acls": T + "AclCommand", "dump-log": T + "DumpLogSegments",
    "console-producer": T + "ConsoleProducer", "console-consumer": T + "consumer.ConsoleConsumer",
    "consumer-groups": T + "consumer.group.ConsumerGroupCommand",
    "share-groups": T + "consumer.group.ShareGroupCommand", "streams-groups": T + "streams.StreamsGroupCommand",
    "groups": T + "GroupsCommand", "get-offsets": T + "GetOffsetShell", "delete-records": T + "DeleteRecordsCommand",
    "log-dirs": T + "LogDirsCommand", "reassign-partitions": T + "reassign.ReassignPartitionsCommand",
    "leader-election": T + "LeaderElectionCommand", "transactions": T + "TransactionsCommand",
    "cluster": T + "ClusterTool", "features": T + "FeatureCommand", "metadata-quorum": T + "MetadataQuorumCommand",
    "broker-api-versions": T + "BrokerApiVersionsCommand", "client-metrics": T + "ClientMetricsCommand",
    "delegation-tokens": T + "DelegationTokenCommand", "producer-perf-test": T + "ProducerPerformance",
    "consumer-perf-test": T + "ConsumerPerformance", "e2e-latency": T + "EndToEndLatency",
    "verifiable-producer": T + "VerifiableProducer", "verifiable-consumer": T + "VerifiableConsumer",
    "replica-verification": T + "ReplicaVerificationTool",
}


def jars():
    """Their folder, or None: nothing is fetched here."""
    for path in (os.environ.get("MOLDAU_KAFKA_JARS"), os.path.join(CACHE, f"kafka-{VERSION}")):
        if path and os.path.exists(os.path.join(path, f"kafka-tools-{VERSION}.jar")):
            return path
    return None


def missing():
    if not shutil.which("java"):
        return "java is not installed"
    if not jars():
        return "the tools' jars are missing: dev/kafka jars fetches them, MOLDAU_KAFKA_JARS names them"
    return compile_harness()


def compile_harness():
    """None, or why not."""
    source, made = os.path.join(HERE, "ToolHarness.java"), os.path.join(CLASSES, "ToolHarness.class")
    if os.path.exists(made) and os.path.getmtime(made) >= os.path.getmtime(source):
        return None
    if not shutil.which("javac"):
        return "javac is not installed"
    done = subprocess.run(["javac", "-cp", os.path.join(jars(), "*"), "-d", CLASSES, source], capture_output=True,
                          text=True)
    return None if done.returncode == 0 else f"ToolHarness.java does not compile: {done.stderr[-500:]}"


class Answer:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


class Harness:
    def __init__(self):
        self.process = None

    def start(self):
        quiet = os.path.join(CLASSES, "log4j2.properties")
        with open(quiet, "w") as f:
            f.write("rootLogger.level = OFF\n")
        self.process = subprocess.Popen(
            ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx512m",
             "--add-opens=java.base/java.lang=ALL-UNNAMED", "-Dlog4j.shutdownHookEnabled=false",
             f"-Dlog4j2.configurationFile={quiet}", "-cp", f"{CLASSES}:{jars()}/*", "ToolHarness"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def run(self, tool, args, stdin="", seconds=60):
        if not self.process:
            self.start()
        job = {"class": MAIN[tool], "args": args, "stdin": stdin, "seconds": seconds}
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], seconds + 30)[0]:
            self.close()
            return Answer(None, "", "")
        line = self.process.stdout.readline()
        if not line:
            self.close()
            return Answer(None, "", "the Java process ended\n")
        said = json.loads(line)
        if said["code"] is None:
            self.close()
        return Answer(said["code"], said["out"], said["err"])

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None
