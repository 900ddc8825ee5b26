# SPDX-License-Identifier: Apache-2.0
"""Compares the settings tables with tables read out of the original.

    check_cfg.py SCHEMA_FOLDER

MOLDAU_FACTS names a folder with tables/configs-{broker,topic,group}.tsv and tables/config-synonyms.tsv. Without it
the check is skipped (exit 77). Prints every difference; exit 1 when there is any.
"""
import csv
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cfg_schema  # noqa: E402

# The original's table says "non-empty list" of these, yet it takes an empty list.
LENIENT = {"controller.quorum.voters", "controller.quorum.bootstrap.servers"}


def read_tsv(path):
    with open(path, encoding="utf-8") as f:
        return {r[0]: r for r in csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE)}


def canonical_valid(s, text):
    text = (text or "").strip()
    if s.valid.kind == "replicas":
        return "replicas" if text.startswith("[partitionId]") else text
    if s.valid.kind == "offset_reset":
        return "offset-reset" if "by_duration" in text else text
    if s.name in LENIENT and text == "non-empty list":
        return "-"
    return text or "-"


def own_valid(s):
    # The original's tables do not tell which lists must not be empty.
    if s.type == "list":
        return re.sub(r"^non-empty ?", "", s.valid_text) or "-"
    return s.valid_text


def compare_family(rows, facts, with_update, problems):
    own = {s.name: s for s in rows}
    for name in facts:
        if name != "name" and name not in own:
            problems.append(f"{name}: missing in our table")
    for name, s in own.items():
        if s.visibility in ("ours", "dynamic-only"):
            if name in facts:
                problems.append(f"{s.path}:{s.line}: {name}: the original has it, visibility {s.visibility} is wrong")
            continue
        if name not in facts:
            problems.append(f"{s.path}:{s.line}: {name}: the original has no such key")
            continue
        f = facts[name]
        pairs = [("type", s.type, f[1]), ("default", s.default, f[2]),
                 ("valid", own_valid(s), canonical_valid(s, f[3])),
                 ("importance", s.importance, f[4]), ("visibility", s.visibility, f[5])]
        if with_update:
            pairs.append(("update", s.update, f[6]))
        for what, ours, theirs in pairs:
            if ours != theirs:
                problems.append(f"{s.path}:{s.line}: {name}: {what} is {ours!r}, the original has {theirs!r}")


def compare_synonyms(rows, facts, problems):
    for s in rows:
        ours = [(n, "same" if f == 1 else f"x{f}") for n, f in s.synonyms]
        row = facts.get(s.name)
        theirs = list(zip(row[1].split(","), row[2].split(","))) if row else []
        if ours != theirs:
            problems.append(f"{s.path}:{s.line}: {s.name}: synonyms {ours}, the original has {theirs}")
    names = {s.name for s in rows}
    problems.extend(f"{n}: synonyms of a key that we lack" for n in facts if n != "topic setting" and n not in names)


def main():
    facts = os.environ.get("MOLDAU_FACTS")
    if not facts:
        print("MOLDAU_FACTS is not set: nothing to compare with")
        sys.exit(77)
    model = cfg_schema.read_all(sys.argv[1])
    problems = []
    for family in cfg_schema.FAMILIES:
        table = read_tsv(f"{facts}/tables/configs-{family}.tsv")
        compare_family(model[family], table, family == "broker", problems)
    compare_synonyms(model["topic"], read_tsv(f"{facts}/tables/config-synonyms.tsv"), problems)
    for p in problems:
        print(p)
    print(f"{sum(len(r) for r in model.values())} keys compared, {len(problems)} differences")
    sys.exit(1 if problems else 0)


main()
