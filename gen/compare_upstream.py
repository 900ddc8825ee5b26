# SPDX-License-Identifier: Apache-2.0
"""Compares what schema/*.msg means with Kafka's own definitions, where a copy of these is at hand.

compare_upstream.py SCHEMA        MOLDAU_FACTS names a folder with messages/*/*.json and tables/apis.tsv; without it
                                  the answer is 77 (skipped)

Both sides become the same rows, one per field and version: wire type, place, tag, null, default, whether it may be
dropped. Names, layout and words are ours and are not compared, except that a name is Kafka's in snake_case.
"""
import glob
import json
import os
import re
import sys

import schema
from schema import LAST, NONE

# Written by us under another name than the snake_case of Kafka's.
FOLDERS_NOT_OURS = ("next-4.4",)


def snake(name):
    name = name.replace("KRaft", "Kraft").replace("kRaft", "kraft").replace("2Pc", "_2pc")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub("__+", "_", name)


def parse_versions(text):
    if text in (None, "none"):
        return NONE
    match = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
    first = int(match[1])
    return (first, LAST if match[2] else int(match[3]) if match[3] else first)


def within(version, versions):
    return versions[0] <= version <= versions[1]


def load(path):
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"^\s*//.*$", "", f.read(), flags=re.M)
    return json.loads(text)


def upstream_default(field):
    """A default in the notation of our text, None for zero, empty and false."""
    value = field.get("default")
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else None
    text = str(value)
    if text in ("false", "null"):
        return None if text == "false" else text
    if field["type"].startswith(("int", "uint")):
        number = int(text, 0)
        return str(number) if number else None
    return text


def upstream_rows(fields, shared, version, flexible, path=""):
    rows, absent = [], []
    for field in fields:
        name = path + snake(field["name"])
        kind = field["type"].removeprefix("[]")
        array = field["type"].startswith("[]")
        versions = parse_versions(field.get("versions", field.get("taggedVersions")))
        is_struct = kind[0].isupper()
        default = upstream_default(field)
        if not within(version, versions):
            if not field.get("ignorable"):
                absent.append((name, "absent", default))
            continue
        tagged = within(version, parse_versions(field.get("taggedVersions")))
        plain = field.get("flexibleVersions") == "none"
        row = (name, ("[]" if array else "") + ("struct" if is_struct else kind),
               field["tag"] if tagged else None, within(version, parse_versions(field.get("nullableVersions"))),
               default, flexible and not plain)
        inner = []
        if is_struct:
            inner = upstream_rows(field.get("fields") or shared[kind], shared, version, flexible, name + ".")
        rows.append((row, inner))
    return rows + [(row, []) for row in sorted(absent)]


def our_rows(message, struct, version, path=""):
    rows, absent = [], []
    flexible = message.is_flexible(version)
    for field in struct.fields:
        name = path + field.name
        default = field.default if field.default not in ("false", "0") else None
        if not within(version, field.versions):
            if not field.ignorable:
                absent.append((name, "absent", default))
            continue
        row = (name, ("[]" if field.array else "") + ("struct" if field.struct else field.type),
               field.tag if within(version, field.tagged) else None, within(version, field.null), default,
               flexible and not field.plain)
        inner = our_rows(message, field.struct, version, name + ".") if field.struct else []
        rows.append((row, inner))
    return rows + [(row, []) for row in sorted(absent)]


def flatten(rows):
    for row, inner in rows:
        yield row
        yield from flatten(inner)


def compare_message(ours, theirs, problems):
    where = ours.name
    if theirs["validVersions"] == "none" or ours.versions != parse_versions(theirs["validVersions"]):
        problems.append(f"{where}: versions {ours.versions}, upstream {theirs['validVersions']}")
        return
    flexible = parse_versions(theirs.get("flexibleVersions", "none"))
    shared = {struct["name"]: struct["fields"] for struct in theirs.get("commonStructs", [])}
    for version in range(ours.versions[0], ours.versions[1] + 1):
        if ours.is_flexible(version) != within(version, flexible):
            problems.append(f"{where}: version {version} differs in being flexible")
            continue
        a = list(flatten(our_rows(ours, ours.root, version)))
        b = list(flatten(upstream_rows(theirs["fields"], shared, version, within(version, flexible))))
        for mine, other in zip(a, b):
            if mine != other:
                problems.append(f"{where} version {version}: we say {mine}, upstream {other}")
                break
        if len(a) != len(b):
            problems.append(f"{where} version {version}: {len(a)} rows, upstream {len(b)}")


def compare_number(record, theirs, problems):
    if theirs["type"] in ("metadata", "coordinator-key", "coordinator-value") and record.number != theirs["apiKey"]:
        problems.append(f"{record.name} has number {record.number}, upstream {theirs['apiKey']}")


def compare_table(path, apis, problems):
    with open(path, encoding="utf-8") as f:
        lines = [line.rstrip("\n").split("\t") for line in f][1:]
    for key, name, oldest, latest, stable, listeners, cluster_action, forwarded, _ in lines:
        api = apis.pop(int(key), None)
        if not api or api.name != name:
            problems.append(f"API {key} {name}: we say {api and api.name}")
            continue
        if api.removed:
            if int(latest) >= 0:
                problems.append(f"{name} is not removed upstream")
            continue
        ours = (api.versions, api.versions[1] if api.unstable is None else api.unstable - 1, api.cluster_action,
                api.forwarded, set(api.listeners))
        theirs = ((int(oldest), int(latest)), int(stable), cluster_action == "true", forwarded == "true",
                  set(listeners.strip("[]").lower().split(", ")))
        if ours != theirs:
            problems.append(f"{name}: we say {ours}, upstream {theirs}")
    problems += [f"API {key} is not upstream" for key in apis]


def main():
    facts = os.environ.get("MOLDAU_FACTS")
    if not facts or not os.path.isdir(os.path.join(facts, "messages")):
        print("MOLDAU_FACTS names no folder with messages: skipped")
        sys.exit(77)
    files = schema.read_all(sys.argv[1])
    ours = {message.c_name: message for file in files for message in file.messages}
    records = {m.c_name: r for file in files for r in file.records for m in (r.key, r.value) if m}
    problems, seen = [], set()
    for path in sorted(glob.glob(os.path.join(facts, "messages", "*", "*.json"))):
        if path.split("/")[-2] in FOLDERS_NOT_OURS:
            continue
        theirs = load(path)
        if theirs["validVersions"] == "none":
            continue
        name = snake(theirs["name"])
        seen.add(name)
        if name in ours:
            compare_message(ours[name], theirs, problems)
            if name in records:
                compare_number(records[name], theirs, problems)
        else:
            problems.append(f"no message for {theirs['name']}")
    problems += [f"{name} is not upstream" for name in ours if name not in seen]
    compare_table(os.path.join(facts, "tables/apis.tsv"), {a.key: a for f in files for a in f.apis}, problems)
    print("\n".join(problems) or f"{len(seen)} messages mean the same")
    sys.exit(1 if problems else 0)


main()
