# SPDX-License-Identifier: Apache-2.0
"""Turns schema/errors.tbl into err.h and err.c: the enum, and one row per error with its facts."""
import sys


def fail(path, number, text):
    sys.exit(f"{path}:{number}: {text}")


def read_rows(path):
    rows, seen = [], {}
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        parts = line.split(None, 5)
        if len(parts) != 6:
            fail(path, number, "wants: code name retriable stale wire text")
        code, name, retriable, stale, wire, text = parts
        if retriable not in ("r", "-") or stale not in ("m", "-"):
            fail(path, number, "retriable is r or -, stale is m or -")
        if name in seen:
            fail(path, number, f"{name} stands twice, first in line {seen[name]}")
        seen[name] = number
        rows.append((int(code), name, retriable == "r", stale == "m", wire, text, number))
    codes = {row[1]: row[0] for row in rows}
    for code, name, _, _, wire, _, number in rows:
        if (wire == "=") != (code < 1000):
            fail(path, number, "Kafka's own codes have wire '=', ours name one of Kafka's")
        if wire != "=" and codes.get(wire, 1000) >= 1000:
            fail(path, number, f"{wire} is not one of Kafka's errors")
    return sorted(rows), codes


def header(rows):
    out = ["/* Generated from schema/errors.tbl. */", "#ifndef BASE_ERR_H", "#define BASE_ERR_H", "",
           "#include \"types.h\"", "", "enum err {"]
    out += [f"\tERR_{name} = {code}, /* {text} */" for code, name, _, _, _, text, _ in rows]
    out += ["};", "",
            "/* The name, \"NOT_LEADER_OR_FOLLOWER\"; \"UNKNOWN\" for a number no row has. */",
            "const char *err_name(enum err err);",
            "/* One sentence for people. */",
            "const char *err_text(enum err err);",
            "/* The code that goes to the wire. */",
            "int16_t err_wire(enum err err);",
            "/* The client may try again. */",
            "bool err_is_retriable(enum err err);",
            "/* The client should ask for metadata first. */",
            "bool err_is_stale_metadata(enum err err);", "", "#endif", ""]
    return "\n".join(out)


def source(rows, codes):
    out = ["/* Generated from schema/errors.tbl. */", "#include \"err.h\"", "",
           "struct err_row {", "\tint code;", "\tint16_t wire;", "\tbool retriable;", "\tbool stale;",
           "\tconst char *name;", "\tconst char *text;", "};", "",
           "static const struct err_row err_rows[] = {"]
    for code, name, retriable, stale, wire, text, _ in rows:
        value = code if wire == "=" else codes[wire]
        text = text.replace("\\", "\\\\").replace('"', '\\"')
        out.append(f"\t{{{code}, {value}, {str(retriable).lower()}, {str(stale).lower()}, \"{name}\", \"{text}\"}},")
    out += ["};", "",
            "static const struct err_row err_unknown = {-1, -1, false, false, \"UNKNOWN\", "
            "\"no error of this number\"};",
            "",
            "static const struct err_row *err_row(enum err err)", "{",
            "\tfor (size_t i = 0; i < ARRAY_N(err_rows); i++) {",
            "\t\tif (err_rows[i].code == (int)err)", "\t\t\treturn &err_rows[i];", "\t}",
            "\treturn &err_unknown;", "}", "",
            "const char *err_name(enum err err)", "{", "\treturn err_row(err)->name;", "}", "",
            "const char *err_text(enum err err)", "{", "\treturn err_row(err)->text;", "}", "",
            "int16_t err_wire(enum err err)", "{",
            "\tif (likely((int)err < 1000))", "\t\treturn (int16_t)err;",
            "\treturn err_row(err)->wire;", "}", "",
            "bool err_is_retriable(enum err err)", "{", "\treturn err_row(err)->retriable;", "}", "",
            "bool err_is_stale_metadata(enum err err)", "{", "\treturn err_row(err)->stale;", "}", ""]
    return "\n".join(out)


def main():
    table, ret_h, ret_c = sys.argv[1:4]
    rows, codes = read_rows(table)
    open(ret_h, "w", encoding="utf-8").write(header(rows))
    open(ret_c, "w", encoding="utf-8").write(source(rows, codes))


main()
