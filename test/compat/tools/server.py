# SPDX-License-Identifier: Apache-2.0
"""One node on loopback from one server.properties: Moldau, or the original."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "e2e")]
from lib import broker as brokers  # noqa: E402
from harness import KAFKA, jars  # noqa: E402

CLUSTER_ID = "Mk3OEYBSD34fcwNTJENDM2"


class Server(brokers.Broker):
    def __init__(self, kind, extra=()):
        self.kind, self.dir = kind, tempfile.mkdtemp(prefix="tools-")
        self.data, self.file = os.path.join(self.dir, "data"), os.path.join(self.dir, "server.properties")
        self.port = brokers.free_port()
        self.controller_port = self.port + 1
        self.address, self.moldau, self.runs = ("127.0.0.1", self.port), None, False
        with open(self.file, "w") as f:
            f.write(self.properties() + "".join(f"{line}\n" for line in extra))
        for name, value in (("port", self.port), ("heap", "384m")):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(f"{value}\n")

    def properties(self):
        return f"""process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{self.controller_port}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={self.data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
"""

    def start(self, harness):
        """The harness formats for the original; Moldau formats by itself."""
        if self.kind == "kafka":
            done = harness.run("storage", ["format", "-t", CLUSTER_ID, "-c", self.file, "--standalone"])
            if done.code:
                raise brokers.NotReady(done.out + done.err)
        return self.start_again()

    def start_again(self):
        """On the same files."""
        if self.kind == "moldau":
            self.moldau = brokers.Moldau(args=["server", "start", self.file], port=self.port)
            self.moldau.start()
        else:
            self.kafka("restart")
            self.runs = True
            self.wait_ready(60)
        return self

    def kafka(self, *args):
        done = subprocess.run([KAFKA, *args, "-d", self.dir], capture_output=True, text=True,
                              env=dict(os.environ, MOLDAU_KAFKA_JARS=jars()), stdin=subprocess.DEVNULL)
        if done.returncode:
            raise brokers.NotReady(f"dev/kafka {args}: {done.stdout}{done.stderr}")

    def meta(self):
        with open(os.path.join(self.data, "meta.properties")) as f:
            return dict(line.strip().split("=", 1) for line in f if "=" in line)

    def dead(self):
        return self.moldau is not None and self.moldau.dead()

    def log(self):
        if self.moldau:
            return self.moldau.log()
        try:
            with open(os.path.join(self.dir, "out.log"), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def stop(self):
        """Cleanly; the files stay."""
        if self.moldau:
            code = self.moldau.stop()
            self.moldau.close()
            self.moldau = None
            return code
        if self.runs:
            self.kafka("stop")
            self.runs = False
        return 0

    def kill(self):
        """By kill -9; the files stay."""
        if self.moldau:
            self.moldau.kill()
            self.moldau.close()
            self.moldau = None
        elif self.runs:
            self.kafka("kill")
            self.runs = False

    def close(self):
        if self.moldau:
            self.moldau.close()
        elif self.runs:
            self.kafka("kill")
        shutil.rmtree(self.dir, ignore_errors=True)
