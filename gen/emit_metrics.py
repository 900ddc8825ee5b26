# SPDX-License-Identifier: Apache-2.0
"""Makes the table of metrics from schema/metrics.tbl, with the names that each dialect has for a bean.

    emit_metrics.py METRICS_TBL METRIC_TABLE_H METRIC_TABLE_C
"""
import sys

KINDS = ["meter", "gauge", "counter", "idle", "share", "times", "sizes", "attr", "attr-total"]


def snake(text):
    return text.lower().replace("-", "_")


def without(text, end):
    return text[:-len(end)] if text.endswith(end) else text


def names_of(domain, type_, name, kind):
    """Names of a bean in the dialects jmx, a second one of it, reporter, confluent."""
    package = domain.replace(".", "_")
    base = f"{package}_{snake(type_)}_{snake(name)}"
    if kind == "meter":
        return without(base, "persec") + "_total", None, base + "_total", base
    if kind == "idle":
        return without(base, "percent") + "_percent", None, base + "_total", base + "_oneminuterate"
    if kind == "share":
        return without(base, "percent") + "_percent", None, base, base
    joined = f"{package}_{snake(type_).replace('_', '')}_{snake(name)}"
    if kind.startswith("attr"):
        if type_ == "socket-server-metrics":
            return base, None, base, joined
        if name == "current-state":
            return base, joined, base + "_info", base
        return base, joined, base, base
    return base, None, base, base


def read(path):
    """Rows as dicts: the served ones, then (domain, type, name, why) of what is not shown."""
    rows, absent = [], []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.rstrip("\n").split(" | ")]
        if cells[0] == "-":
            if len(cells) != 5:
                sys.exit(f"{path}:{number}: {len(cells)} columns instead of 5")
            absent.append(tuple(cells[1:]))
            continue
        if len(cells) != 8:
            sys.exit(f"{path}:{number}: {len(cells)} columns instead of 8")
        row = dict(zip(("id", "domain", "type", "name", "kind", "labels", "own", "help"), cells))
        if row["kind"] not in KINDS:
            sys.exit(f"{path}:{number}: no kind {row['kind']}")
        own = None if row["own"] == "-" else row["own"]
        if row["domain"] == "-":
            row["names"] = (None, None, None, None, own) if own else (row["name"],) * 5
        else:
            row["names"] = (*names_of(row["domain"], row["type"], row["name"], row["kind"]), own)
        rows.append(row)
    check(path, rows)
    return rows, absent


def check(path, rows):
    """A name belongs to one row."""
    owner = {}
    for row in rows:
        for name in set(row["names"]) - {None}:
            if owner.setdefault(name, row["id"]) != row["id"]:
                sys.exit(f"{path}: {name} is of {owner[name]} and of {row['id']}")


def labels_id(labels):
    return "METRIC_OF_" + ("NODE" if labels == "-" else labels.upper().replace(",", "_"))


def quoted(text):
    return "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main():
    source, header, body = sys.argv[1:]
    rows, _ = read(source)
    labels = list(dict.fromkeys(labels_id(row["labels"]) for row in rows))
    with open(header, "w", encoding="utf-8") as out:
        out.write("/* SPDX-License-Identifier: Apache-2.0 */\n/* Generated from schema/metrics.tbl. */\n"
                  "#ifndef HTTP_METRIC_TABLE_H\n#define HTTP_METRIC_TABLE_H\n\n#include \"types.h\"\n\n")
        for kind, names in (("id", [f"METRIC_{row['id']}" for row in rows]),
                            ("kind", [f"METRIC_IS_{kind.upper().replace('-', '_')}" for kind in KINDS]),
                            ("labels", labels)):
            out.write(f"enum metric_{kind} {{\n" + "".join(f"\t{name},\n" for name in names) + "};\n\n")
        out.write("/* Names in the dialects; NULL: not in it. */\n"
                  "struct metric_def {\n\tenum metric_id id;\n\tenum metric_kind kind;\n\tenum metric_labels labels;\n"
                  "\tconst char *jmx, *jmx_also, *reporter, *confluent, *native;\n\tconst char *help;\n};\n\n"
                  f"#define METRIC_DEFS_N {len(rows)}\n"
                  "extern const struct metric_def metric_defs[METRIC_DEFS_N];\n\n#endif\n")
    with open(body, "w", encoding="utf-8") as out:
        out.write("/* SPDX-License-Identifier: Apache-2.0 */\n/* Generated from schema/metrics.tbl. */\n"
                  "#include \"metric_table.h\"\n\nconst struct metric_def metric_defs[METRIC_DEFS_N] = {\n")
        for row in rows:
            kind = row["kind"].upper().replace("-", "_")
            cells = [f"METRIC_{row['id']}", f"METRIC_IS_{kind}", labels_id(row["labels"]),
                     *map(quoted, row["names"]), quoted(row["help"])]
            out.write("\t{" + ", ".join(cells) + "},\n")
        out.write("};\n")


if __name__ == "__main__":
    main()
