# SPDX-License-Identifier: Apache-2.0
"""Turns schema/messages.tbl into a C table: code, title, what, why, what to do.

    emit_messages.py messages.tbl messages.c
"""
import re
import sys

PARTS = ("what", "why", "do")


def read_messages(path):
    """[(code, title, {part: text})] in the order of the file; ends the program where the form is wrong."""
    out, part = [], None
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.rstrip()

        def fail(text):
            sys.exit(f"{path}:{number}: {text}")

        if not line or line.startswith("#"):
            continue
        head = re.match(r"(ML\d{4})  (\S.*)$", line)
        begin = re.match(r"(what|why|do): (\S.*)$", line)
        if head:
            if out and head[1] <= out[-1][0]:
                fail(f"{head[1]} comes after {out[-1][0]}")
            if out and set(out[-1][2]) != set(PARTS):
                fail(f"{out[-1][0]} before this wants {', '.join(PARTS)}")
            out.append((head[1], head[2], {}))
            part = None
        elif begin and out and begin[1] not in out[-1][2]:
            part = begin[1]
            out[-1][2][part] = begin[2]
        elif part and line.startswith("    "):
            text = line.strip()
            pasted = text.startswith("$ ")
            was_pasted = out[-1][2][part].rsplit("\n", 1)[-1].startswith("  ")
            out[-1][2][part] += ("\n" if pasted or was_pasted else " ") + ("  " + text[2:] if pasted else text)
        else:
            fail("not a code, not one of what: why: do:, and not set in")
    if not out or set(out[-1][2]) != set(PARTS):
        sys.exit(f"{path}: the last block wants {', '.join(PARTS)}")
    return out


def c_str(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def main():
    rows = read_messages(sys.argv[1])
    lines = ["/* Generated from schema/messages.tbl. */", "#include \"message.h\"", "",
             "const struct message messages[] = {"]
    for code, title, parts in rows:
        lines.append(f"\t{{{c_str(code)}, {c_str(title)},")
        lines.append(f"\t {c_str(parts['what'])},\n\t {c_str(parts['why'])},\n\t {c_str(parts['do'])}}},")
    lines += ["};", f"const size_t messages_n = {len(rows)};", ""]
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write("\n".join(lines))


if __name__ == "__main__":
    main()
