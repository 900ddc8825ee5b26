# SPDX-License-Identifier: Apache-2.0
"""Sets up a build folder and builds all of it, or only the named targets.

    meson_build.py FOLDER [-D...]... [TARGET...]

The options are kept beside the folder's build file, so that changed ones configure it anew. CC and JOBS count. All
but the exit code is for people.
"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def main():
    folder = os.path.join(ROOT, sys.argv[1])
    options = [a for a in sys.argv[2:] if a.startswith("-")]
    targets = [a for a in sys.argv[2:] if not a.startswith("-")]
    stamp = os.path.join(folder, "setup.options")
    text = " ".join(options + [os.environ.get("CC", "")])
    is_made = os.path.exists(os.path.join(folder, "build.ninja"))
    try:
        is_same = is_made and open(stamp, encoding="utf-8").read() == text
    except OSError:
        is_same = False
    if not is_same:
        extra = ["--wipe"] if is_made else []
        code = subprocess.call(["meson", "setup", *extra, *options, folder, ROOT])
        if code:
            return code
        with open(stamp, "w", encoding="utf-8") as f:
            f.write(text)
    jobs = ["-j", os.environ["JOBS"]] if os.environ.get("JOBS") else []
    return subprocess.call(["ninja", *jobs, "-C", folder, *targets])


if __name__ == "__main__":
    sys.exit(main())
