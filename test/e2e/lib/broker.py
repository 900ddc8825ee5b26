# SPDX-License-Identifier: Apache-2.0
"""Starts and ends real Moldau processes, and stands for a broker that somebody else runs.

A Moldau here listens on a free loopback port, keeps its data in a temporary directory that goes with it, and writes its
output to a file in there. Only processes started here are ever signalled, and each by its own id.

Environment: MOLDAU is the binary. E2E_TARGET is `moldau` (default) or `kafka`; for `kafka` KAFKA_BOOTSTRAP is
host:port of a running broker and KAFKA_CRASH, when set, a command that kills it hard and starts it again. KAFKA_OWN=1
allows to start more of them by dev/kafka, for classes with settings of their own that are expected of both.
E2E_REACTORS is passed on as --reactors. E2E_PORTS is the range of ports, 22000-22999 unless said otherwise.
"""
import atexit
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from .client import Closed, Conn
from .wire import WireError

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "..", "..", ".."))
READY_S = 60
STOP_S = 40
_running = set()
_given = {}  # port: when it was given out


def target():
    return os.environ.get("E2E_TARGET", "moldau")


def binary():
    return os.environ.get("MOLDAU") or os.path.join(ROOT, "build", "moldau")


def is_sanitized():
    """A build whose freed memory stays with the process for a while."""
    with open(binary(), "rb") as f:
        return re.search(b"__[at]san_init", f.read()) is not None


def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_port():
    """A port that is free, as is the next one, which `dev` takes for its controller; the same one late again."""
    low, high = (int(p) for p in os.environ.get("E2E_PORTS", "22000-22999").split("-"))
    ports = list(range(low, high, 2))
    start = random.Random(os.getpid() ^ time.monotonic_ns()).randrange(len(ports))
    for port in sorted(ports[start:] + ports[:start], key=lambda p: _given.get(p, 0)):
        if _is_free(port) and _is_free(port + 1):
            _given[port] = max(_given.values(), default=0) + 1
            return port
    raise RuntimeError(f"no free port in {low}-{high}")


class NotReady(Exception):
    """The process ended, or did not answer in time."""


class Broker:
    """What every broker under test has: an address and connections to it."""

    kind, address = "kafka", None

    def conn(self, **values):
        return Conn(self.address, **values)

    def wait_ready(self, seconds=READY_S):
        end = time.monotonic() + seconds
        while True:
            try:
                with Conn(self.address, timeout=5) as conn:
                    conn.call("ApiVersions", 0)
                return self
            except (OSError, Closed, WireError) as error:
                if self.dead() or time.monotonic() > end:
                    raise NotReady(f"{self.address}: {error}\n{self.log()[-4000:]}") from None
            time.sleep(0.01)

    def dead(self):
        return False

    def log(self):
        return ""


class Kafka(Broker):
    """A broker that somebody else started."""

    def __init__(self):
        host, _, port = os.environ["KAFKA_BOOTSTRAP"].rpartition(":")
        self.address = host, int(port)

    def can_crash(self):
        return "KAFKA_CRASH" in os.environ

    def crash(self):
        subprocess.run(shlex.split(os.environ["KAFKA_CRASH"]), check=True, stdout=subprocess.DEVNULL)
        self.wait_ready(60)

    def close(self):
        pass


class OwnKafka(Broker):
    """An original of this class alone, by dev/kafka."""

    def __init__(self, overrides=None):
        self.own_dir = tempfile.mkdtemp(prefix="moldau-e2e-kafka-")
        self.address = "127.0.0.1", free_port()
        self.overrides = dict(overrides or {})
        atexit.register(self.close)

    def dev_kafka(self, command, *args):
        subprocess.run([os.path.join(ROOT, "dev", "kafka"), command, "-d", os.path.join(self.own_dir, "node"), *args],
                       check=True, stdout=subprocess.DEVNULL)

    def start(self):
        settings = [a for key, value in self.overrides.items() for a in ("-s", f"{key}={value}")]
        self.dev_kafka("start", "-p", str(self.address[1]), *settings)
        return self.wait_ready(60)

    def can_crash(self):
        return True

    def crash(self):
        self.dev_kafka("kill")
        self.dev_kafka("restart")
        self.wait_ready(60)

    def close(self):
        if os.path.isdir(self.own_dir):
            self.dev_kafka("kill")
            shutil.rmtree(self.own_dir, ignore_errors=True)


class Moldau(Broker):
    """One process of ours. `overrides` are settings; `args` replaces the whole command line after the binary."""

    kind = "moldau"

    def __init__(self, overrides=None, data=None, port=None, reactors=None, args=None, env=None, uid=None):
        self.own_dir = tempfile.mkdtemp(prefix="moldau-e2e-")
        os.chmod(self.own_dir, 0o755)
        self.data = data or os.path.join(self.own_dir, "data")
        self.port = port if port is not None else free_port()
        self.address = "127.0.0.1", self.port
        self.overrides, self.args, self.env, self.uid = dict(overrides or {}), args, env, uid
        self.reactors = reactors or os.environ.get("E2E_REACTORS", "1")
        self.log_path = os.path.join(self.own_dir, "out.log")
        self.process = None
        atexit.register(self.close)

    def command(self):
        if self.args is not None:
            return [binary(), *self.args]
        out = [binary(), "dev", "--data", self.data, "--port", str(self.port), "--reactors", str(self.reactors)]
        for key, value in {"http.listener": "", **self.overrides}.items():
            out += ["--override", f"{key}={value}"]
        return out

    def spawn(self):
        """Starts the process and does not wait."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.own_dir,
                env=dict(os.environ, **(self.env or {})), start_new_session=True, user=self.uid,
                group=self.uid, extra_groups=[] if self.uid else None)
        _running.add(self.process.pid)
        return self

    def start(self):
        try:
            return self.spawn().wait_ready()
        except NotReady:
            self.kill()
            raise

    def dead(self):
        return self.process is None or self.process.poll() is not None

    def wait_exit(self, seconds=STOP_S):
        """The exit code; negative for a signal."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s\n{self.log()[-4000:]}") from None
        _running.discard(self.process.pid)
        return code

    def signal(self, number):
        if not self.dead():
            self.process.send_signal(number)

    def stop(self):
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait_exit()

    def kill(self):
        self.signal(signal.SIGKILL)
        if self.process:
            self.wait_exit()

    def can_crash(self):
        return True

    def crash(self):
        """kill -9, and up again on the same port and data."""
        self.kill()
        self.start()

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, *words, seconds=20):
        """The first log line that holds all the words."""
        end = time.monotonic() + seconds
        while True:
            for line in self.log().splitlines():
                if all(w in line for w in words):
                    return line
            if time.monotonic() > end:
                raise AssertionError(f"no log line with {words}:\n{self.log()[-3000:]}")
            time.sleep(0.02)

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        if self.process and not self.dead():
            self.kill()
        shutil.rmtree(self.own_dir, ignore_errors=True)


_shared = None


def shared():
    """The one broker most tests use; it is started when first asked for."""
    global _shared
    if _shared is None:
        _shared = Kafka() if target() == "kafka" else Moldau().start()
    elif _shared.dead():
        raise NotReady(f"the shared broker died\n{_shared.log()[-4000:]}")
    return _shared


def drop_shared():
    """Ends it; the exit code of a Moldau, which must be 0."""
    global _shared
    broker, _shared, code = _shared, None, 0
    if isinstance(broker, Moldau):
        died = broker.dead()
        code = broker.stop() if not died else broker.process.returncode or -1
        if code:
            print(f"# the shared broker ended with {code}:\n{broker.log()[-4000:]}")
        broker.close()
    return code
