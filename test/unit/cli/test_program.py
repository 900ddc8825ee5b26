# SPDX-License-Identifier: Apache-2.0
"""The program from outside: exit codes, what goes to which stream, a start and its end.

    test_program.py MOLDAU
"""
import glob
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

MOLDAU = os.path.realpath(sys.argv.pop(1))
PORTS = range(24000, 25000, 2)


def free_port():
    """The first of two free ports in a row."""
    start = os.getpid() % len(PORTS)
    for port in [*PORTS[start:], *PORTS[:start]]:
        try:
            for p in (port, port + 1):
                with socket.create_server(("127.0.0.1", p)):
                    pass
            return port
        except OSError:
            continue
    raise RuntimeError("no free port")


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="moldau-cli-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run_once(self, *args, code=0, **env):
        done = subprocess.run([MOLDAU, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                              cwd=self.folder.name, env=dict(os.environ, **env))
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def start(self, *args, **env):
        with open(self.path("stderr"), "a") as stderr:
            process = subprocess.Popen([MOLDAU, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=stderr, text=True, cwd=self.folder.name, env=dict(os.environ, **env))

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
        self.addCleanup(end)
        return process

    def stderr(self):
        with open(self.path("stderr")) as f:
            return f.read()

    def banner(self, process):
        """Lines up to the last one of the banner."""
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                return "".join(lines)
        self.fail("ended: " + "".join(lines) + self.stderr())

    # ---- words

    def test_version(self):
        told = self.run_once("version").stdout
        self.assertRegex(told, r"^moldau \d+\.\d+\.\d+ ")
        for words in (["--version"], ["-V"], ["-v"], ["server", "start", "--version"]):
            result = self.run_once(*words)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, told, ""))
        for words in (["--version", "x"], ["--versions"], ["-VV"], ["server", "--version"]):
            self.assertEqual(self.run_once(*words, code=2).stdout, "")

    def test_help_goes_to_stdout(self):
        for args in (["--help"], ["help"], ["dev", "--help"], ["help", "server", "start"], ["explain", "-h"]):
            done = self.run_once(*args)
            self.assertGreater(len(done.stdout), 100)
            self.assertEqual(done.stderr, "")
        self.assertIn("--ephemeral", self.run_once("dev", "--help").stdout)

    def test_wrong_usage(self):
        for args in ([], ["frobnicate"], ["dev", "word"], ["dev", "--port", "65536"], ["dev", "--reactors", "0"],
                     ["dev", "--ephemeral", "--data", "x"], ["dev", "--override", "x"], ["dev", "--data", "a,b"],
                     ["server"], ["server", "start"], ["server", "start", "a", "b"], ["version", "x"]):
            done = self.run_once(*args, code=2)
            self.assertEqual(done.stdout, "")
            self.assertGreater(len(done.stderr), 20)
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_explain(self):
        listed = self.run_once("explain").stdout.splitlines()
        self.assertGreater(len(listed), 20)
        for line in listed:
            text = self.run_once("explain", line.split()[0]).stdout
            for word in (line.split()[0], "What happened", "Why", "What to do"):
                self.assertIn(word, text)
        self.assertEqual(self.run_once("explain", "ml1012").stdout, self.run_once("explain", "ML1012").stdout)
        self.assertIn("no message", self.run_once("explain", "ML9999", code=3).stderr)

    # ---- refusals before anything is touched

    def test_no_such_file(self):
        self.assertRegex(self.run_once("server", "start", "absent", code=1).stderr, r"ML1111 absent .*No such file")
        self.assertRegex(self.run_once("server", "start", ".", code=1).stderr, "ML1111")

    def test_all_findings_are_said(self):
        with open(self.path("p"), "w") as f:
            f.write("process.roles=broker,controller\nnode.id=x\nlog.dirs=data\nnum.partitions=-3\nlog.dir.s=1\n")
        lines = self.run_once("server", "start", "p", code=1).stderr.splitlines()
        self.assertTrue(all(re.search(r"ML\d{4} ", line) for line in lines), lines)
        for place in ("p:2: ", "p:4: ", "p:5: "):
            self.assertEqual(len([line for line in lines if line.startswith(place)]), 1, lines)
        self.assertEqual(os.listdir(self.folder.name), ["p"])

    def test_override_and_environment_are_checked(self):
        self.assertIn("--override: ML1103", self.run_once("dev", "--override", "num.partitions=x", code=1).stderr)
        self.assertIn("KAFKA_NUM_PARTITIONS: ML1103", self.run_once("dev", code=1, KAFKA_NUM_PARTITIONS="x").stderr)

    # ---- a life

    def test_dev(self):
        port = free_port()
        for args in (["--data", self.path("data dir")], []):
            for number in (signal.SIGTERM, signal.SIGINT):
                process = self.start("dev", "--port", str(port), *args)
                text = self.banner(process)
                place = "data dir" if args else "./.moldau"
                self.assertRegex(text, r"^moldau \S+   cluster \S{22}   data .*" + re.escape(place)
                                 + r"   ready in \d+ ms\n")
                self.assertRegex(text, rf"\n  Kafka +localhost:{port}   \(this computer only\)\n")
                self.assertEqual(text.count("Kafka  "), 1)
                self.assertIn("Durability: page cache", text)
                with socket.create_connection(("127.0.0.1", port), 5):
                    process.send_signal(signal.SIGHUP)
                process.send_signal(number)
                process.send_signal(number)  # as timeout(1) does
                self.assertEqual(process.wait(15), 0, self.stderr())
        self.assertTrue(os.path.exists(self.path(".moldau/meta.properties")))
        self.assertTrue(os.path.exists(self.path("data dir/meta.properties")))

    def test_dev_shows_what_is_set(self):
        process = self.start("dev", "--ephemeral", "--port", "0", "--reactors", "2", "--override", "durability=synced",
                             TMPDIR=self.folder.name)
        text = self.banner(process)
        self.assertIn("(removed at the end)", text)
        self.assertIn("Durability: synced", text)
        port = int(re.search(r"localhost:(\d+)", text)[1])
        self.assertGreater(port, 0)
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
        self.assertEqual(len(glob.glob(self.path("moldau-*/meta.properties"))), 1)
        process.terminate()
        self.assertEqual(process.wait(15), 0, self.stderr())
        self.assertEqual(glob.glob(self.path("moldau-*")), [])
        self.assertIn("reactors=2", self.stderr())

    def test_a_refused_ephemeral_start_leaves_nothing(self):
        self.run_once("dev", "--ephemeral", "--override", "num.partitions=x", code=1, TMPDIR=self.folder.name)
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_ended_during_the_start(self):
        port = free_port()
        for delay in (0.0, 0.002, 0.005, 0.01, 0.02):
            process = self.start("dev", "--port", str(port))
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            # Before the signals are taken over the system's answer to SIGTERM counts.
            self.assertIn(process.wait(15), (0, -signal.SIGTERM), self.stderr())

    def test_config_commands(self):
        def run(*args):
            done = subprocess.run([MOLDAU, "config", *args], cwd=self.folder.name, capture_output=True, text=True,
                                  timeout=20)
            return done.returncode, done.stdout, done.stderr

        code, sample, _ = run("sample")
        self.assertEqual(code, 0)
        with open(self.path("sample.properties"), "w") as f:
            f.write(sample)
        code, out, _ = run("check", "sample.properties")
        self.assertEqual((code, out.splitlines()[-1]),
                         (0, "sample.properties: 0 errors, 0 warnings, 0 notes. A broker would start."))
        with open(self.path("bad.properties"), "w") as f:
            f.write(sample + "num.partitions=x\nlog.retention.hour=3\nnum.io.threads=9\n")
        code, out, _ = run("check", "bad.properties")
        self.assertEqual(code, 6)
        self.assertRegex(out,
                                          r"(?m)^error    bad.properties:\d+: ML1103 Invalid value x for")
        self.assertRegex(out, r"(?m)^warning  .*Did you mean log.retention.hours\?")
        self.assertRegex(out, r"(?m)^note     .*num.io.threads")
        self.assertIn("1 error, 1 warning, 1 note. A broker would not start.", out)
        self.assertEqual(run("check", "bad.properties", "--override", "num.partitions=2")[0], 0)
        self.assertEqual(run("check", "absent.properties")[0], 3)
        code, out, _ = run("explain", "retention.ms")
        self.assertEqual(code, 0)
        self.assertIn("log.retention.hours x 3600000", out)
        code, out, _ = run("explain", "node.id", "--file", "sample.properties")
        self.assertRegex(out, r"value +1  \(sample.properties:\d+\)")
        code, out, err = run("explain", "num.partition")
        self.assertEqual((code, out), (3, ""))
        self.assertIn("Did you mean num.partitions?", err)
        self.assertGreater(len(run("explain")[1].splitlines()), 300)

    def test_server_start(self):
        port = free_port()
        with open(self.path("server.properties"), "w") as f:
            f.write("process.roles=broker,controller\nnode.id=5\nlog.dirs=data\ncontroller.listener.names=CONTROLLER\n"
                    f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}\n"
                    f"controller.quorum.bootstrap.servers=127.0.0.1:{port + 1}\n")
        process = self.start("server", "start", "server.properties", "--override", "log.dirs=other",
                             "--override", "log.format=logfmt", "--override", "ssl.key.password=secret")
        end = time.monotonic() + 15
        while "server.ready" not in self.stderr():
            self.assertIsNone(process.poll(), self.stderr())
            self.assertLess(time.monotonic(), end, self.stderr())
            time.sleep(0.01)
        self.assertRegex(self.stderr(), r"(?m)^\d{4}-\d\d-\d\dT\S+Z INFO  server\.ready version=\S+ node=5 cluster=\S+")
        for text in ('key=node.id value="5" from="server.properties:2"', 'key=log.dirs value="other" from="--override"',
                     'key=ssl.key.password value="[hidden]"', '"Kafka Server started"',
                     "The broker has been unfenced. Transitioning from RECOVERY to RUNNING."):
            self.assertIn(text, self.stderr())
        self.assertNotIn("secret", self.stderr())
        self.assertTrue(os.path.exists(self.path("other/meta.properties")))
        process.terminate()
        self.assertEqual(process.wait(15), 0, self.stderr())
        self.assertEqual(process.stdout.read(), "")


if __name__ == "__main__":
    unittest.main()
