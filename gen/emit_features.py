# SPDX-License-Identifier: Apache-2.0
"""Turns schema/features.tbl into a C file: one row per feature, one per level."""
import sys


def read_rows(path):
    rows = []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        parts = line.split()
        if len(parts) != 5 or parts[4] not in ("yes", "no"):
            sys.exit(f"{path}:{number}: wants: feature level name since honoured(yes|no)")
        feature, level, name, since, honoured = parts
        if rows and rows[-1][0] == feature and rows[-1][1] + 1 != int(level):
            sys.exit(f"{path}:{number}: levels of {feature} must follow each other")
        if feature in {row[0] for row in rows} and rows[-1][0] != feature:
            sys.exit(f"{path}:{number}: {feature} stands in two places")
        rows.append((feature, int(level), "" if name == "-" else name, int(since), honoured == "yes"))
    return rows


def main(table, source):
    rows = read_rows(table)
    newest = max(row[1] for row in rows if row[0] == "metadata.version")
    out = ["/* Generated from schema/features.tbl. */", "#include \"feature_table.h\"", "",
           "const struct feature_def feature_defs[] = {"]
    features = list(dict.fromkeys(row[0] for row in rows))
    for feature in features:
        levels = [row for row in rows if row[0] == feature]
        default = max(row[1] for row in levels if row[3] <= newest)
        honoured = [row[1] for row in levels if row[4]]
        low, high = (min(honoured), max(honoured)) if honoured else (levels[0][1], levels[-1][1])
        if honoured and len(honoured) != high - low + 1:
            sys.exit(f"{table}: the honoured levels of {feature} have a gap")
        out.append(f"\t{{{{\"{feature}\", {len(feature)}}}, {low}, {high}, {default}, "
                   f"{'true' if honoured else 'false'}}},")
    out += ["};", f"const int feature_defs_n = {len(features)};", "", "const struct feature_level feature_levels[] = {"]
    out += [f"\t{{{{\"{f}\", {len(f)}}}, {level}, {since}, \"{name}\"}}," for f, level, name, since, _ in rows]
    out += ["};", f"const int feature_levels_n = {len(rows)};", ""]
    open(source, "w", encoding="utf-8").write("\n".join(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
