# SPDX-License-Identifier: Apache-2.0
"""Step files: what to run. One step is `NAME [OPTION]...: COMMAND`; lines that begin with a blank go on with it, and
lines that begin with # are for the reader. The command is split like a shell's, then {words} are filled in.

Options: exit=N (0), mask=NAME,... (mask.py), seconds=N, stdin=TEXT, sort (the order of lines is nobody's business).
`setting KEY=VALUE` before the first step goes into server.properties.

Commands are tools by the name of their script without "kafka-", or one of the driver's own:
  @produce TOPIC PARTITION N [PRODUCER-ID SEQUENCE]   one batch whose bytes are always the same
  @transaction ID TOPIC N commit|abort|open|hang   one on partition 0; of one that hangs no coordinator knows
  @file NAME LINE...         writes {tmp}/NAME
  @properties NAME KEY=VALUE...   writes {tmp}/NAME: server.properties with these keys changed
  @storage ARG...            kafka-storage; of Moldau its own, by that name
  @background NAME TOOL ARG...    a tool that goes on while other steps run; @finish NAME waits for it
  @stable GROUP...           waits until these consumer groups are stable
  @stop, @kill, @start       the server: ends cleanly or by kill -9, starts again on the same files"""
import os
import re
import shlex

HERE = os.path.dirname(os.path.realpath(__file__))
HEAD = re.compile(r"([a-z0-9.-]+)((?: [a-z]+(?:=(?:'[^']*'|\S+))?)*): (.*)$")
OPTION = re.compile(r"([a-z]+)(?:=('[^']*'|\S+))?")


class Step:
    def __init__(self, name, options, command):
        self.name, self.command = name, command
        self.exit = int(options.pop("exit", 0))
        self.mask = [m for m in options.pop("mask", "").split(",") if m]
        self.seconds = int(options.pop("seconds", 60))
        self.stdin = options.pop("stdin", "").replace("\\n", "\n").replace("\\t", "\t")
        self.sort = options.pop("sort", None) is not None
        if options:
            raise ValueError(f"{name}: unknown option {' '.join(options)}")

    def words(self, values):
        return shlex.split(re.sub(r"\{(\w+)\}", lambda m: values[m[1]], self.command))


def groups():
    return sorted(f[:-6] for f in os.listdir(os.path.join(HERE, "steps")) if f.endswith(".steps"))


def load(group):
    """(settings, steps)"""
    settings, lines = [], []
    with open(os.path.join(HERE, "steps", group + ".steps")) as f:
        for line in f.read().splitlines():
            if line.startswith("setting "):
                settings.append(line[8:])
            elif line[:1] in (" ", "\t"):
                lines[-1] += " " + line.strip()
            elif line and not line.startswith("#"):
                lines.append(line)
    steps = []
    for line in lines:
        head = HEAD.match(line)
        if not head:
            raise ValueError(f"{group}: cannot read: {line}")
        options = {k: v.strip("'") for k, v in OPTION.findall(head[2])}
        steps.append(Step(head[1], options, head[3]))
    names = [s.name for s in steps]
    double = {n for n in names if names.count(n) > 1}
    if double:
        raise ValueError(f"{group}: twice: {double}")
    return settings, steps


# ---- what the original said

def answer_lines(answer, mask, step):
    """As it is kept: `exit N`, standard output after two blanks, standard error after `! `."""
    out = ["  " + line for line in mask.text(answer.out, step.mask)]
    err = ["! " + line for line in mask.text(answer.err, step.mask)]
    if step.sort:
        out.sort()
        err.sort()
    return [f"exit {'none: it did not end in time' if answer.code is None else answer.code}"] + \
        [line.rstrip() for line in out + err]


def golden_path(group):
    return os.path.join(HERE, "golden", group + ".txt")


def golden_write(group, answers):
    """answers: [(step, lines)]"""
    with open(golden_path(group), "w") as f:
        f.write("# SPDX-License-Identifier: Apache-2.0\n# What Apache Kafka 4.3.1 answers to steps/%s.steps; made by"
                " run --record.\n" % group)
        for step, lines in answers:
            f.write("\n" + "\n".join([f"== {step.name}: {step.command}"] + lines) + "\n")


def golden_read(group):
    """{step name: (command, lines)}"""
    kept, lines = {}, None
    with open(golden_path(group)) as f:
        for line in f.read().splitlines():
            if line.startswith("== "):
                name, _, command = line[3:].partition(": ")
                lines = []
                kept[name] = command, lines
            elif lines is not None:
                lines.append(line)
    # An empty line stands before each step but the first; it came to the lines of the step before.
    last = list(kept)[-1] if kept else None
    return {name: (command, lines if name == last else lines[:-1]) for name, (command, lines) in kept.items()}


def allowed_read():
    """{GROUP/STEP: lines of the difference that are known and right}, see allowed.txt."""
    found, lines = {}, None
    with open(os.path.join(HERE, "allowed.txt")) as f:
        for line in f.read().splitlines():
            if line.startswith("== "):
                lines = found.setdefault(line[3:].strip(), [])
            elif line[:1] in "+-" and line:
                lines.append(line)
    return found
