# SPDX-License-Identifier: Apache-2.0
"""What the admin programs of this folder share: checks in order, each told as `ok NAME` or `not ok NAME: why`."""
import sys
import time
import uuid

PREFIX = "admin-" + uuid.uuid4().hex[:8]
_checks = []


def check(function):
    _checks.append(function)
    return function


def same(what, wanted, got):
    if wanted != got:
        raise AssertionError(f"{what} is {got!r}, not {wanted!r}")


def until(what, wanted, ask, seconds=10):
    end = time.monotonic() + seconds
    while True:
        got = ask()
        if got == wanted or time.monotonic() > end:
            return same(what, wanted, got)
        time.sleep(0.05)


def fails(wanted, call):
    """`wanted` is a class of exceptions, or asked with the exception."""
    try:
        got = call()
    except Exception as error:  # any other is told with its name
        if isinstance(wanted, type) and isinstance(error, wanted) or not isinstance(wanted, type) and wanted(error):
            return
        raise AssertionError(f"failed with {type(error).__name__}: {error}") from None
    raise AssertionError(f"answered {got!r}")


def run(wanted):
    for function in _checks:
        if wanted and function.__name__ not in wanted:
            continue
        try:
            function()
            print(f"ok {function.__name__}", flush=True)
        except Exception as error:
            text = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"not ok {function.__name__}: {text}", flush=True)
    sys.stdout.flush()
