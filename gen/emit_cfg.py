# SPDX-License-Identifier: Apache-2.0
"""Turns the settings tables into C and documentation.

    emit_cfg.py SCHEMA_FOLDER settings.h settings.c settings.md server.properties settings_sample.c
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cfg_docs  # noqa: E402
import cfg_schema  # noqa: E402

C_TYPES = {"boolean": "bool", "short": "int16_t", "int": "int32_t", "long": "int64_t", "double": "double",
           "string": "struct str", "class": "struct str", "password": "struct str", "list": "struct str_list"}
STRUCTS = {
    "broker": ("struct broker_config", "node settings",
               ["\tstruct setting_origin origin[BROKER_SETTING_N];",
                "\tstruct config_extra_list extra; /* keys outside the table, as they were given */",
                "\tstruct broker_effective eff; /* what follows from the keys together */",
                "\tstruct arena arena;          /* owns every text and list of this struct */"]),
    "topic": ("struct topic_config", "effective settings of one topic; lists keep their text, borrowed from the layer "
              "that gave it",
              ["\tenum setting_source source[TOPIC_SETTING_N];",
               "\tstruct topic_effective eff; /* what follows from the keys together */"]),
    "group": ("struct group_config", "effective settings of one group",
              ["\tenum setting_source source[GROUP_SETTING_N];"]),
}


def c_str(text):
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def c_type(s):
    return "struct str" if s.family == "topic" and s.type == "list" else C_TYPES[s.type]


def emit_struct(family, rows):
    name, text, tail = STRUCTS[family]
    out = [f"/* The {text}. A number that is null holds -1. */", f"{name} {{"]
    section = None
    for s in rows:
        if s.section != section:
            section = s.section
            out.append(f"\t/* {section} */")
        unit = "" if s.unit == "-" else f" /* {s.unit} */"
        out.append(f"\t{c_type(s)} {s.field};{unit}")
    return out + tail + ["};", ""]


def emit_header(model):
    out = ["/* SPDX-License-Identifier: Apache-2.0 */",
           "/* Generated from schema/broker.cfg, topic.cfg and group.cfg. */",
           "#ifndef CONFIG_SETTINGS_H", "#define CONFIG_SETTINGS_H", "", "#include \"config_types.h\"", "",
           "/* Every key; each family is one run of numbers. */", "enum setting_id {"]
    first = 0
    marks = []
    for family in cfg_schema.FAMILIES:
        out += [f"\t{s.ident}," for s in model[family]]
        upper = family.upper()
        marks += [f"#define {upper}_SETTING_FIRST {first}", f"#define {upper}_SETTING_N {len(model[family])}"]
        first += len(model[family])
    out += ["\tSETTING_N", "};", ""] + marks + [""]
    for family in cfg_schema.FAMILIES:
        out += emit_struct(family, model[family])
    out += ["/* By setting_id. */", "extern const struct setting_def setting_defs[SETTING_N];",
            "/* The sample file, line by line. */", "extern const char *const settings_sample[];",
            "extern const size_t settings_sample_n;", "", "#endif", ""]
    return "\n".join(out)


def c_number(value, kind):
    if kind == "double":
        return repr(float(value))
    return f"INT64_C({value})"


def emit_valid(s):
    v = s.valid
    out = [f".valid = SETTING_VALID_{v.kind.upper()}"]
    if v.kind == "range":
        field = "f" if s.type == "double" else "i"
        out.append(f".has_min = true, .min_{field} = {c_number(v.low, s.type)}")
        if v.high is not None:
            out.append(f".has_max = true, .max_{field} = {c_number(v.high, s.type)}")
        if v.other is not None:
            out.append(f".has_other = true, .other_i = {c_number(v.other, s.type)}")
    if v.kind == "one_of":
        out.append(f".names = names_{s.ident.lower()}, .names_n = {len(v.names)}")
    if v.nocase:
        out.append(".is_nocase = true")
    if v.non_empty:
        out.append(".is_non_empty = true")
    return out


def emit_def(s, broker):
    parts = [f".name = {{{c_str(s.name)}, {len(s.name)}}}", f".family = SETTING_FAMILY_{s.family.upper()}",
             f".type = SETTING_TYPE_{s.type.upper()}", f".update = SETTING_UPDATE_{s.update.upper().replace('-', '_')}",
             f".cls = SETTING_CLASS_{s.cls.upper().replace('-', '_')}",
             f".visibility = SETTING_{s.visibility.upper().replace('-', '_')}",
             f".default_text = {c_str(s.default_text)}", f".valid_text = {c_str(s.valid_text)}",
             f".unit = {c_str('' if s.unit == '-' else s.unit)}", f".importance = {c_str(s.importance)}",
             f".offset = offsetof({STRUCTS[s.family][0]}, {s.field})"]
    if s.default == "(required)":
        parts.append(".is_required = true")
    parts += emit_valid(s)
    if s.synonyms:
        parts.append(f".synonyms = synonyms_{s.ident.lower()}, .synonyms_n = {len(s.synonyms)}")
    parts += [f".prose = {c_str(s.prose)}", f".note = {c_str(s.note)}"]
    return [f"\t[{s.ident}] = {{"] + [f"\t\t{p}," for p in parts] + ["\t},"]


def emit_source(model):
    rows = [s for family in cfg_schema.FAMILIES for s in model[family]]
    broker = {s.name: s for s in model["broker"]}
    out = ["/* SPDX-License-Identifier: Apache-2.0 */",
           "/* Generated from schema/broker.cfg, topic.cfg and group.cfg. */",
           "#include \"settings.h\"", ""]
    for s in rows:
        if s.valid.kind == "one_of":
            out.append(f"static const char *const names_{s.ident.lower()}[] = {{"
                       + ", ".join(c_str(n) for n in s.valid.names) + "};")
        if s.synonyms:
            out.append(f"static const struct setting_synonym synonyms_{s.ident.lower()}[] = {{"
                       + ", ".join(f"{{{broker[n].ident}, INT64_C({f})}}" for n, f in s.synonyms) + "};")
    out += ["", "const struct setting_def setting_defs[SETTING_N] = {"]
    for s in rows:
        out += emit_def(s, broker)
    return "\n".join(out + ["};", ""])


def emit_sample(model):
    lines = cfg_docs.sample(model).rstrip("\n").split("\n")
    return "\n".join(["/* SPDX-License-Identifier: Apache-2.0 */", "/* Generated from schema/broker.cfg. */",
                      '#include "settings.h"', "", "const char *const settings_sample[] = {"]
                     + [f"\t{c_str(l)}," for l in lines]
                     + ["};", "const size_t settings_sample_n = sizeof(settings_sample) / sizeof(settings_sample[0]);",
                        ""])


def main():
    folder, ret_h, ret_c, ret_md, ret_sample, ret_sample_c = sys.argv[1:7]
    model = cfg_schema.read_all(folder)
    for path, text in ((ret_h, emit_header(model)), (ret_c, emit_source(model)), (ret_md, cfg_docs.reference(model)),
                       (ret_sample, cfg_docs.sample(model)), (ret_sample_c, emit_sample(model))):
        open(path, "w", encoding="utf-8").write(text)


main()
