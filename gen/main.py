# SPDX-License-Identifier: Apache-2.0
"""Turns schema/*.msg into C.

main.py list SCHEMA             names the files that `emit` will write, for the build
main.py emit SCHEMA OUT NAME... writes them; fails when the names differ: the build must be configured again
main.py show SCHEMA MESSAGE     prints one generated header to read
main.py inputs SCHEMA           names the schema files
main.py ready FILE              writes the header whose existence says that all others exist
"""
import os
import sys

import emit_msg
import schema


def outputs(files):
    ret = {file.header: None for file in files if file.messages}
    return list(ret) + ["api_keys.h", "msg_tables.c", "msg_registry.c"]


def write(path, text):
    """Keeps the file's date when nothing changed, so that one edited message does not rebuild the world."""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def emit(files, folder, names):
    if sorted(names) != sorted(outputs(files)):
        sys.exit("the set of schema files changed: run meson setup --reconfigure")
    for file in files:
        if file.messages:
            write(os.path.join(folder, file.header), emit_msg.emit_header(file))
    write(os.path.join(folder, "api_keys.h"), emit_msg.emit_keys(files))
    write(os.path.join(folder, "msg_tables.c"), emit_msg.emit_source(files))
    write(os.path.join(folder, "msg_registry.c"), emit_msg.emit_registry(files))


def show(files, name):
    found = [file for file in files if file.messages and file.header[:-2] == name]
    if not found:
        near = [file.header[:-2] for file in files if name in file.header]
        sys.exit(f"no message {name}" + (f"; there is {' '.join(near)}" if near else ""))
    print(emit_msg.emit_header(found[0]), end="")


def main(args):
    if len(args) < 2 or args[0] not in ("list", "emit", "show", "inputs", "ready"):
        sys.exit(__doc__)
    if args[0] == "ready":
        write(args[1], "/* All headers in msg/ are written. */\n")
        return
    try:
        if args[0] == "inputs":
            print("\n".join(schema.list_files(args[1])))
            return
        files = schema.read_all(args[1])
    except schema.SchemaError as e:
        sys.exit(str(e))
    if args[0] == "list":
        print("\n".join(outputs(files)))
    elif args[0] == "emit":
        emit(files, args[2], args[3:])
    else:
        show(files, args[2])


main(sys.argv[1:])
