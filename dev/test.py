# SPDX-License-Identifier: Apache-2.0
"""Runs all tests, step by step, each in a group of processes of its own and with a limit of time.

    dev/test [--list] [--quick] [STEP...]

--quick leaves out what takes minutes (clients of other languages, most seeds). Each step's output goes to
build/test-logs/STEP.log; of a step that fails the end is shown. JOBS bounds compilers and tests at once. The last
line is `N passed, N failed, N skipped`; the exit code is 0 only when nothing failed.
"""
import os
import re
import signal
import subprocess
import sys
import time
import uuid

import meson_count

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
LOGS = os.path.join(ROOT, "build", "test-logs")
TOTAL_S = 24 * 60
MARK = uuid.uuid4().hex
JOBS = os.environ.get("JOBS") or str(os.cpu_count() or 2)
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")
SEEDS = re.compile(r"^(\d+) seeds, (\d+) failed$")
FAULT = re.compile(r"^(\S+): (found after|NOT FOUND within) \d+ seeds$")

running = None


class Step:
    """needs: steps that must have passed. count: log and exit code to (passed, failed, skipped, names that failed)."""

    def __init__(self, name, command, seconds, needs=(), count=None, quick=None, env=None):
        self.name, self.command, self.seconds, self.needs = name, command, seconds, needs
        self.count, self.quick, self.env = count or count_exit, quick, env or {}


# ---- counting

def count_exit(log, code):
    return (0, 0, 0, []) if code == 0 else (0, 1, 0, [])


def count_last_line(log, code):
    """`N passed, N failed, N skipped` at the end; `not ok NAME` before."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    match = COUNTS.match(lines[-1]) if lines else None
    if not match:
        return 0, 1, 0, ["no result"]
    passed, failed, skipped = (int(n or 0) for n in match.groups())
    names = [line for line in lines if line.startswith("not ok")]
    return passed, max(failed, 1 if code else 0), skipped, names


def count_meson(build):
    def count(log, code):
        found = meson_count.results(os.path.join(ROOT, build))
        # What an earlier run left does not count when this one has not begun.
        if not found or code is None or "Full log written to" not in log:
            return 0, 1, 0, ["no result"]
        passed, bad, skipped = found
        return passed, max(len(bad), 1 if code else 0), skipped, bad
    return count


def count_seeds(log, code):
    """A seed is a test, and so is a deliberate fault that has to be found."""
    passed = failed = 0
    names = []
    for line in log.splitlines():
        seeds, fault = SEEDS.match(line), FAULT.match(line)
        if seeds:
            passed += int(seeds[1]) - int(seeds[2])
            failed += int(seeds[2])
        elif fault:
            passed += fault[2] == "found after"
            failed += fault[2] != "found after"
        if "FAILED" in line or "NOT FOUND" in line or "ended by signal" in line:
            names.append(line.strip())
    return passed, max(failed, 1 if code or not passed else 0), 0, names


# ---- steps

def built(build):
    """Sets up the folder when its options have changed, and builds everything in it."""
    options = {
        "build-test": ["-Ddebug_checks=true", "-Doptimization=1"],
        "build-sim": ["-Dsim=true", "-Doptimization=2"],
    }[build]
    return [sys.executable, "-B", os.path.join(ROOT, "dev", "meson_build.py"), build, *options]


def steps():
    def meson_test(build):
        return ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--num-processes", JOBS]

    return [
        Step("release", ["dev/build"], 600),
        Step("build", built("build-test"), 600),
        Step("build-sim", built("build-sim"), 600),
        Step("unit", meson_test("build-test"), 300, ["build"], count_meson("build-test")),
        Step("unit-sim", meson_test("build-sim"), 300, ["build-sim"], count_meson("build-sim")),
        Step("sim", ["dev/sim", "--seeds", "1-200"], 300, ["build-sim"], count_seeds,
             quick=["dev/sim", "--seeds", "1-20"], env={"SIM_BUILT": "1"}),
        Step("sim-reactors", ["dev/sim", "--reactors", "2", "--seeds", "1001-1100"], 300, ["build-sim"], count_seeds,
             quick=["dev/sim", "--reactors", "2", "--seeds", "1001-1010"], env={"SIM_BUILT": "1"}),
        Step("sim-bites", ["dev/sim", "--prove-bites"], 300, ["build-sim"], count_seeds, quick=[],
             env={"SIM_BUILT": "1"}),
        Step("e2e-1", ["test/e2e/run", "-r", "1"], 400, ["release"], count_last_line),
        Step("e2e-2", ["test/e2e/run", "-r", "2"], 400, ["release"], count_last_line),
        Step("soak", ["dev/soak", "1"], 240, ["release"], count_last_line, quick=["dev/soak", "0", "15"]),
        Step("compat", ["dev/compat", "--quick"], 300, ["release"], count_last_line, quick=[]),
        Step("tools", ["test/compat/tools/run"], 240, ["release"], count_last_line, quick=[]),
    ]


# ---- running

def end_marked():
    """Processes that a step started in sessions of their own and left behind; they carry this run's mark."""
    mark = f"MOLDAU_TEST_RUN={MARK}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if mark in f.read().split(b"\0") and int(pid) != os.getpid():
                    os.kill(int(pid), signal.SIGKILL)
        except OSError:
            continue


def end_group(process):
    """The step and all that has its group."""
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def run_step(step, command, seconds):
    """(exit code or None for out of time, log)."""
    global running
    path = os.path.join(LOGS, step.name + ".log")
    with open(path, "wb") as log:
        try:
            running = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True,
                                       env=dict(os.environ, JOBS=JOBS, MOLDAU_TEST_RUN=MARK, **step.env))
        except OSError as error:
            return 127, f"cannot be started: {error}"
        try:
            code = running.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        end_group(running)
        end_marked()
        running = None
    return code, open(path, encoding="utf-8", errors="replace").read()


def interrupted(number, _frame):
    if running:
        end_group(running)
        end_marked()
    print(f"broken off by signal {number}\n0 passed, 1 failed, 0 skipped", flush=True)
    sys.exit(1)


def line_of(name, passed, failed, skipped, seconds, note=""):
    return f"{name:13} {passed:5} passed {failed:4} failed {skipped:4} skipped {seconds:6.0f} s{note}"


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("-")]
    flags = [a for a in sys.argv[1:] if a.startswith("-")]
    known = [s.name for s in steps()]
    if set(flags) - {"--quick", "--list"} or set(args) - set(known):
        print(__doc__ + "\nSteps: " + " ".join(known), file=sys.stderr)
        return 2
    if "--list" in flags:
        print("\n".join(known))
        return 0
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupted)
    os.makedirs(LOGS, exist_ok=True)
    wanted = [s for s in steps() if not args or s.name in args]
    # A step that was asked for brings the builds it needs.
    for step in steps():
        if any(step.name in s.needs for s in wanted) and step.name not in [s.name for s in wanted]:
            wanted.insert(0, step)
    began, good, totals = time.monotonic(), set(), [0, 0, 0]
    print(f"logs: {LOGS}", flush=True)
    for step in wanted:
        command = step.quick if "--quick" in flags and step.quick is not None else step.command
        if not command:
            continue
        start, left = time.monotonic(), TOTAL_S - (time.monotonic() - began)
        lacking = [n for n in step.needs if n not in good]
        names, log, note = [], "", ""
        if lacking or left < 5:
            result = (0, 1, 0)
            note = f"   not run: {'no time is left' if not lacking else lacking[0] + ' failed'}"
        else:
            code, log = run_step(step, command, min(step.seconds, left))
            *result, names = step.count(log, 1 if code is None else code)
            note = f"   ended after {min(step.seconds, left):.0f} s, its limit" if code is None else ""
            if not result[1]:
                good.add(step.name)
        totals = [a + b for a, b in zip(totals, result)]
        print(line_of(step.name, *result, time.monotonic() - start, note), flush=True)
        if result[1] and log:
            print("".join(f"    {line}\n" for line in names[:15] or log.splitlines()[-30:]), end="", flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    print(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped", flush=True)
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
