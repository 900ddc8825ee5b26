#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Groups of real consumers while members come, go, are killed with -9, and the broker is killed and started.

   group_storm.py [-v] [NAME...]

Every record is delivered at least once, without gaps, and no committed offset is ever lost or goes back: what the
broker says in the end is at least what any member was told it had committed. NAME is one of the groups below. Needs
what `dev/compat` installs. The last line is `N passed, N failed, N skipped`."""
import argparse
import os
import signal
import subprocess
import sys
import threading
import time

here = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "e2e")]
from clients import CACHE, JAVA, JS, VENV_PYTHON  # noqa: E402
from lib import broker as brokers  # noqa: E402

PARTITIONS, ROUNDS = 6, 10
# Name: the client of each member.
GROUPS = {"librdkafka": ["confluent"] * 4, "librdkafka-sticky": ["confluent"] * 4, "kafka-python": ["python"] * 3,
          "mixed": ["confluent", "python", "confluent"], "static": ["confluent"] * 3,
          "librdkafka-consumer": ["confluent-consumer"] * 4, "static-consumer": ["confluent-consumer"] * 3,
          "both-protocols": ["confluent", "confluent-consumer", "confluent"],
          "both-protocols-sticky": ["confluent-consumer", "confluent", "confluent"],
          "java": ["java"] * 2, "java-consumer": ["java-consumer"] * 3,
          "java-both-protocols": ["java", "java-consumer", "java"],
          "java-4.4": ["java-4.4"] * 2, "java-4.4-consumer": ["java-4.4-consumer"] * 2,
          "franz-go": ["franz"] * 3, "franz-go-consumer": ["franz-consumer"] * 3, "kafkajs": ["kafkajs"] * 2,
          "platformatic": ["platformatic"] * 2, "platformatic-consumer": ["platformatic-consumer"] * 2,
          "languages": ["franz", "kafkajs", "confluent", "python"],
          "dozens": ["confluent"] * 6, "dozens-consumer": ["confluent-consumer"] * 6}
# One member after another ends and begins with the other protocol, and later back.
ROLLING = {"java-rolling": ["java", "java-consumer"], "java-4.4-rolling": ["java-4.4", "java-4.4-consumer"],
           "librdkafka-rolling": ["confluent", "confluent-consumer"], "franz-go-rolling": ["franz", "franz-consumer"]}
GROUPS.update(ROLLING)
ROLLED_N, DOZENS_N = 3, 30
SETTINGS = {"group.initial.rebalance.delay.ms": 500, "group.consumer.min.session.timeout.ms": 1000,
            "group.consumer.session.timeout.ms": 6000, "group.consumer.min.heartbeat.interval.ms": 100,
            "group.consumer.heartbeat.interval.ms": 500}
JARS = os.environ.get("MOLDAU_KAFKA_JARS", os.path.expanduser("~/.cache/moldau/kafka-4.3.1"))
NEWEST_JARS = os.path.join(JAVA, "jars")


class Wrong(Exception):
    pass


def installed(client):
    """The file without which there is no such member, and the command of one."""
    protocol = "consumer" if "consumer" in client else "classic"
    if client.startswith("java"):
        jars = NEWEST_JARS if "4.4" in client else JARS
        return jars, ["java", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
                      os.path.join(jars, "*"), os.path.join(here, "java", "GroupMember.java"), protocol]
    if client.startswith("franz"):
        member = os.path.join(CACHE, "compat-franz-member")
        return member, [member, protocol]
    if client == "kafkajs":
        return os.path.join(JS, "node_modules", "kafkajs"), ["node", os.path.join(JS, "kafkajs_member.mjs")]
    if client.startswith("platformatic"):
        return (os.path.join(JS, "node_modules", "@platformatic"),
                ["node", os.path.join(JS, "platformatic_member.mjs"), protocol])
    return VENV_PYTHON, [VENV_PYTHON, os.path.join(here, "python", "group_member.py"), client]


class Member:
    def __init__(self, client, address, topic, group, instance=None):
        command = [*installed(client)[1], address, topic, group]
        self.process = subprocess.Popen(command + ([instance] if instance else []), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines, self.other = [], []
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for line in self.process.stdout:
            (self.lines if line[:2] in ("R ", "C ") else self.other).append(line.rstrip("\n"))

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Wrong("a member did not end: " + "\n".join(self.other[-5:])) from None
        self.thread.join(5)

    def pause(self, seconds):
        self.process.send_signal(signal.SIGSTOP)
        timer = threading.Timer(seconds, self.process.send_signal, [signal.SIGCONT])
        timer.daemon = True
        timer.start()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.thread.join(5)


class Storm:
    def __init__(self, name, broker):
        self.name, self.broker, self.address = name, broker, "%s:%d" % broker.address
        self.topic, self.members, self.gone, self.written = f"storm-{name}", [], [], 0
        with broker.conn() as conn:
            conn.create(self.topic, PARTITIONS)

    def begin(self, client, instance=None):
        member = Member(client, self.address, self.topic, f"group-{self.name}", instance)
        self.members.append((member, client, instance))

    def write(self):
        with self.broker.conn() as conn:
            for index in range(PARTITIONS):
                conn.wait_leader(self.topic, PARTITIONS)
                answer = conn.produce(self.topic, [b"v%d" % i for i in range(25)], index)
                if answer.error:
                    raise Wrong(f"Produce: error {answer.error}")
        self.written += 25

    def all_members(self):
        return [m for m, _, _ in self.members] + self.gone

    def read(self):
        seen = {i: set() for i in range(PARTITIONS)}
        for member in self.all_members():
            for line in list(member.lines):
                kind, index, offset = line.split()
                if kind == "R":
                    seen[int(index)].add(int(offset))
        return seen

    def wait_all_read(self, seconds):
        end = time.monotonic() + seconds
        while any(len(s) < self.written for s in self.read().values()):
            if time.monotonic() > end:
                missing = {i: sorted(set(range(self.written)) - s)[:10] for i, s in self.read().items()}
                raise Wrong(f"of {self.written} records a partition were not read: {missing}\n" +
                            "\n".join(line for m in self.all_members() for line in m.other[-4:]))
            time.sleep(0.1)

    def check_commits(self):
        told = {}
        for member in self.all_members():
            for line in member.lines:
                kind, index, offset = line.split()
                if kind == "C":
                    told[int(index)] = max(told.get(int(index), -1), int(offset))
        with self.broker.conn() as conn:
            answer = conn.call("OffsetFetch", 8, groups=[{"group": f"group-{self.name}", "topics": [
                {"name": self.topic, "partitions": list(range(PARTITIONS))}]}]).groups[0]
        stored = {p.index: p.offset for p in answer.topics[0].partitions}
        for index, offset in told.items():
            if stored[index] < offset:
                raise Wrong(f"partition {index}: {stored[index]} is stored, {offset} was told, {self.written} written")
        if any(stored[i] != self.written for i in range(PARTITIONS)):
            raise Wrong(f"stored at the end: {stored}, written {self.written}")

    def types(self):
        with self.broker.conn() as conn:
            groups = conn.call("ListGroups", 5, states=[], types=[]).groups
        return [g.type.lower() for g in groups if g.group == f"group-{self.name}"]

    def check_protocol(self, clients):
        """No member fell back on the other protocol."""
        kinds = {"consumer" if "consumer" in client else "classic" for client in clients}
        if len(kinds) == 1 and self.types() != list(kinds):
            raise Wrong(f"the group is of type {self.types()}, not {kinds}")

    def check_assigned(self):
        """The group is whole, soon."""
        end = time.monotonic() + 30
        while True:
            with self.broker.conn() as conn:
                group = conn.call("DescribeGroups", 5, groups=[f"group-{self.name}"]).groups[0]
            if group.state == "Stable" and len(group.members) == len(self.members):
                return
            if time.monotonic() > end:
                raise Wrong(f"{group.state} with {len(group.members)} members of {len(self.members)}")
            time.sleep(0.2)

    def roll(self, client):
        """The oldest member ends, one of `client` takes its place; all goes on meanwhile."""
        member = self.members.pop(0)[0]
        member.stop()
        self.gone.append(member)
        self.begin(client)
        self.write()
        self.wait_all_read(60)

    def finish(self):
        time.sleep(1)
        for member, _, _ in self.members:
            member.stop()
        self.check_commits()

    def run_rolling(self, clients):
        """From the first client's protocol to the second's and back, member by member; the broker dies on both ways."""
        for _ in range(ROLLED_N):
            self.begin(clients[0])
        self.write()
        self.wait_all_read(60)
        for client in (clients[1], clients[0]):
            for i in range(ROLLED_N):
                self.roll(client)
                if i == 1:
                    self.broker.crash()
            self.check_protocol([client])
        self.finish()

    def run_dozens(self, client):
        """Many members at once come, then many go, each time while records are written."""
        for _ in range(DOZENS_N):
            self.begin(client)
        for _ in range(4):
            self.write()
            time.sleep(0.7)
        self.wait_all_read(90)
        if client == "confluent":
            self.check_assigned()
        for _ in range(DOZENS_N // 2):
            member = self.members.pop(0)[0]
            member.kill()
            self.gone.append(member)
        self.write()
        self.wait_all_read(60)
        self.finish()

    def run(self, clients):
        if self.name in ROLLING:
            self.run_rolling(clients)
            return
        for i, client in enumerate(clients):
            self.begin(client, f"i{i}" if self.name.startswith("static") else None)
        if clients[0].startswith("java"):
            time.sleep(6)  # they are compiled first
        for turn in range(ROUNDS):
            self.write()
            member, client, instance = self.members[0]
            if turn in (2, 6):
                self.members.pop(0)
                member.kill()
                self.gone.append(member)
                self.begin(client, instance)
            elif turn in (4, 8):
                self.members.pop(0)
                member.stop()
                self.gone.append(member)
                self.begin(client, instance)
            elif turn in (3, 7):
                self.broker.crash()
            elif turn == 5 and len(clients) > 3:
                # Still for longer than its session: it finds itself replaced when it goes on.
                self.members[1][0].pause(9)
            time.sleep(0.7)
        self.wait_all_read(60)
        self.check_protocol(clients)
        if self.name.startswith("dozens"):
            self.run_dozens(clients[0])
        else:
            self.finish()


def run_all(names, verbose):
    """{passed, failed, skipped: how many}."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name in names:
        absent = [c for c in GROUPS[name] if not os.path.exists(installed(c)[0])]
        if absent:
            print(f"skip {name}: dev/compat or `dev/kafka jars` has not installed {', '.join(set(absent))}")
            counts["skipped"] += 1
            continue
        broker = brokers.Moldau(SETTINGS).start()
        storm = Storm(name, broker)
        try:
            storm.run(GROUPS[name])
            print(f"ok {name}")
            counts["passed"] += 1
        except Wrong as error:
            print(f"not ok {name}")
            log = [line for line in broker.log().splitlines() if "group." in line or "coordinator" in line]
            print("# " + "\n# ".join(str(error).splitlines() + (log[-30:] if verbose else [])))
            counts["failed"] += 1
        finally:
            for member in storm.all_members():
                member.process.kill()
            broker.close()
        sys.stdout.flush()
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-v", action="store_true", dest="verbose")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    if set(args.names) - set(GROUPS):
        sys.exit(f"there are {', '.join(GROUPS)}")
    counts = run_all(args.names or GROUPS, args.verbose)
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
