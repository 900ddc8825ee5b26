# SPDX-License-Identifier: Apache-2.0
"""Writes plain C structs and the tables that drive wire/codec.c.

For each struct: its fields, and one "layout" per set of versions that look the same on the wire. A layout is four
runs of steps: all fields in order; those whose size varies; those behind tags, by tag; those the version lacks and
that must hold their default. What a step needs to know is resolved here, so the codec never compares versions.
"""
from schema import NONE, SCALARS, LAST, snake

KINDS = {"bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "uint16": "UINT16",
         "uint32": "UINT32", "float64": "FLOAT64", "uuid": "UUID", "string": "STRING", "bytes": "BYTES",
         "records": "RECORDS"}
C_TYPES = {"bool": "bool", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t",
           "uint16": "uint16_t", "uint32": "uint32_t", "float64": "double", "uuid": "struct uuid",
           "string": "struct str", "bytes": "struct bytes", "records": "struct records"}


def within(version, versions):
    return versions[0] <= version <= versions[1]


def range_text(versions):
    if versions == NONE:
        return "none"
    if versions[1] == LAST:
        return f"{versions[0]}+"
    return str(versions[0]) if versions[0] == versions[1] else f"{versions[0]}-{versions[1]}"


def has_tags(message):
    return message.flexible != NONE and message.flexible[0] <= message.versions[1]


def c_type(field):
    if field.struct:
        return f"struct {field.struct.c_name}"
    return C_TYPES[field.type]


def is_pointer(field):
    """A single struct that can be null."""
    return field.struct is not None and not field.array and field.null != NONE


def field_note(message, field):
    notes = []
    if field.versions[0] > message.versions[0] or field.versions[1] < message.versions[1]:
        notes.append(range_text(field.versions))
    if field.null != NONE:
        notes.append("null" if field.null[0] <= max(field.versions[0], message.versions[0])
                     else f"null {range_text(field.null)}")
    if field.tagged != NONE:
        notes.append(f"tag {field.tag}")
    if field.default is not None:
        notes.append(f"default {field.default}")
    text = ", ".join(notes)
    if field.doc:
        text = f"{text}: {field.doc}" if text else field.doc
    return f" /* {text} */" if text else ""


def emit_struct(message, struct):
    out = []
    if struct.doc:
        out.append(f"/* {struct.doc} */")
    out.append(f"struct {struct.c_name} {{")
    for field in struct.fields:
        note = field_note(message, field)
        if field.array:
            out.append(f"\t{c_type(field)} *{field.c_name};{note}")
            out.append(f"\tint32_t {field.c_name}_n;")
        elif is_pointer(field):
            out.append(f"\t{c_type(field)} *{field.c_name};{note}")
        else:
            out.append(f"\t{c_type(field)} {field.c_name};{note}")
    if has_tags(message):
        out.append("\tstruct tagged_fields unknown_tags;")
    elif not struct.fields:
        out.append("\tchar nothing;")
    out += ["};", f"extern const struct msg_type {struct.c_name}_type;", ""]
    return out


def emit_header(file):
    guard = "MSG_" + file.header[:-2].upper() + "_H"
    out = [f"/* Generated from {'/'.join(file.path.split('/')[-3:])}. */", f"#ifndef {guard}", f"#define {guard}", "",
           "#include \"codec.h\"", ""]
    families = {}
    for record in file.records:
        families.setdefault(record.family, []).append(record)
    for family, records in families.items():
        out.append(f"enum {family}_record_id {{")
        out += [f"\t{family.upper()}_{snake(r.name).upper()} = {r.number}," for r in records]
        out += ["};", ""]
    for message in file.messages:
        out.append(f"/* {message.name}, versions {range_text(message.versions)}, "
                   f"flexible {range_text(message.flexible)}. */")
        for struct in message.structs:
            out += emit_struct(message, struct)
    return "\n".join(out + ["#endif", ""])


def initialiser(message, struct):
    """The members whose default is not all zero bits."""
    out = []
    for field in struct.fields:
        name = f".{field.c_name}"
        if field.array:
            if field.default == "null":
                out.append(f"{name}_n = -1")
        elif field.type == "records":
            out.append(f"{name} = RECORDS_INIT_NULL")
        elif field.struct:
            if not is_pointer(field):
                inner = initialiser(message, field.struct)
                if inner:
                    out.append(f"{name} = {{{', '.join(inner)}}}")
            elif field.default != "null":
                out.append(f"{name} = (struct {field.struct.c_name} *)&{field.struct.c_name}_default")
        elif field.default == "null":
            continue
        elif field.type == "string":
            text = (field.default or "").replace("\\", "\\\\").replace('"', '\\"')
            out.append(f"{name} = {{\"{text}\", {len((field.default or '').encode())}}}")
        elif field.type == "bytes":
            out.append(f"{name} = {{(const uint8_t *)\"\", 0}}")
        elif field.default not in (None, "false", "0"):
            text = field.default
            if text == str(-2**31):
                text = "INT32_MIN"
            elif text == str(-2**63):
                text = "INT64_MIN"
            elif field.type == "int64":
                text = f"INT64_C({text})"
            out.append(f"{name} = {text}")
    return out


def fixed_size(message, field, version):
    """Bytes of a field that always has the same size, else None."""
    return SCALARS.get(field.type) if not field.array else None


def min_size_of_one(message, field, version):
    compact = message.is_flexible(version) and not field.plain
    if field.type in SCALARS:
        return SCALARS[field.type]
    if field.type == "string":
        return 1 if compact else 2
    if field.type in ("bytes", "records"):
        return 1 if compact else 4
    return min_size(message, field.struct, version)


def min_size(message, struct, version):
    total = 1 if message.is_flexible(version) else 0
    for field in struct.fields:
        if not within(version, field.versions) or within(version, field.tagged):
            continue
        if field.array:
            total += 1 if message.is_flexible(version) else 4
        elif is_pointer(field) and within(version, field.null):
            total += 1
        else:
            total += min_size_of_one(message, field, version)
    return total


def step(message, struct, index, version):
    field = struct.fields[index]
    flags = []
    if field.array:
        flags.append("MSG_ARRAY")
    if within(version, field.null):
        flags.append("MSG_NULL")
    if message.is_flexible(version) and not field.plain:
        flags.append("MSG_COMPACT")
    if within(version, field.tagged):
        flags.append("MSG_TAGGED")
    if is_pointer(field):
        flags.append("MSG_POINTER")
    kind = KINDS.get(field.type, "STRUCT")
    return (f"{{MSG_{kind}, {' | '.join(flags) or 0}, {index}, {field.tag}, "
            f"offsetof(struct {struct.c_name}, {field.c_name})}}")


def layouts(message, struct):
    """(distinct layouts in order, index of the layout per version)."""
    found, of_version = [], []
    for version in range(message.versions[0], message.versions[1] + 1):
        runs, fixed = ([], [], [], []), 0
        for i, field in enumerate(struct.fields):
            text = step(message, struct, i, version)
            if not within(version, field.versions):
                if not field.ignorable:
                    runs[3].append((i, text))
            elif within(version, field.tagged):
                runs[2].append((field.tag, text))
            else:
                runs[0].append((i, text))
                size = fixed_size(message, field, version)
                if size is None:
                    runs[1].append((i, text))
                else:
                    fixed += size
        layout = tuple(tuple(text for _, text in sorted(run)) for run in runs) + \
            (fixed, min_size(message, struct, version), message.is_flexible(version))
        if layout not in found:
            found.append(layout)
        of_version.append(found.index(layout))
    return found, of_version


def emit_tables(message, struct):
    name = struct.c_name
    out = []
    if struct.fields:
        out.append(f"static const struct msg_field {name}_fields[] = {{")
        for field in struct.fields:
            flags = [flag for flag, on in (("MSG_FIELD_ARRAY", field.array), ("MSG_FIELD_NULL", field.null != NONE),
                                           ("MSG_FIELD_POINTER", is_pointer(field)),
                                           ("MSG_FIELD_IGNORABLE", field.ignorable)) if on]
            kind = KINDS.get(field.type, "STRUCT")
            inner = f"&{field.struct.c_name}_type" if field.struct else "NULL"
            out.append(f"\t{{\"{field.name}\", {inner}, offsetof(struct {name}, {field.c_name}), "
                       f"sizeof({c_type(field)}), MSG_{kind}, {' | '.join(flags) or 0}, "
                       f"{field.versions[0]}, {field.versions[1]}}},")
        out.append("};")
    found, of_version = layouts(message, struct)
    steps, rows = [], []
    for layout in found:
        row = []
        for run in layout[:4]:
            # Runs repeat between layouts: share them.
            at = next((k for k in range(len(steps) - len(run) + 1) if tuple(steps[k:k + len(run)]) == run), None)
            if at is None:
                at = len(steps)
                steps += run
            row += [str(at), str(len(run))]
        row += [str(layout[4]), str(layout[5]), str(layout[6]).lower()]
        rows.append("\t{" + ", ".join(row) + "},")
    out.append(f"static const struct msg_step {name}_steps[] = {{")
    out += [f"\t{text}," for text in steps or ["{0}"]]
    out.append("};")
    out += [f"static const struct msg_layout {name}_layouts[] = {{"] + rows + ["};"]
    out.append(f"static const uint8_t {name}_layout_of[] = {{{', '.join(map(str, of_version))}}};")
    init = ", ".join(initialiser(message, struct))
    out.append(f"static const struct {name} {name}_default = {{{init}}};")
    tags = f"offsetof(struct {name}, unknown_tags)" if has_tags(message) else "MSG_NO_TAGS"
    out += [f"const struct msg_type {name}_type = {{",
            f"\t.name = \"{name}\", .size = sizeof(struct {name}), .tags_offset = {tags},",
            f"\t.version_min = {message.versions[0]}, .version_max = {message.versions[1]}, "
            f".fields_n = {len(struct.fields)},",
            f"\t.fields = {name + '_fields' if struct.fields else 'NULL'}, "
            f".steps = {name}_steps, .layouts = {name}_layouts,",
            f"\t.layout_of = {name}_layout_of, .defaults = &{name}_default,",
            "};", ""]
    return out


def emit_source(files):
    out = ["/* Generated from schema: the tables of all messages. */"]
    out += [f"#include \"msg/{file.header}\"" for file in files if file.messages]
    out.append("")
    for file in files:
        for message in file.messages:
            for struct in message.structs:
                out += emit_tables(message, struct)
    return "\n".join(out)


def emit_keys(files):
    out = ["/* Generated from schema/api: the numbers of the requests. */", "#ifndef MSG_API_KEYS_H",
           "#define MSG_API_KEYS_H", "", "enum api_key {"]
    apis = sorted((api for file in files for api in file.apis), key=lambda api: api.key)
    for api in apis:
        out.append(f"\tAPI_{snake(api.name).upper()} = {api.key}," + (" /* removed */" if api.removed else ""))
    out += ["};", "", f"#define API_KEY_MAX {apis[-1].key}", "", "#endif", ""]
    return "\n".join(out)


def emit_registry(files):
    out = ["/* Generated from schema: which message belongs to which number. */", "#include \"registry.h\""]
    out += [f"#include \"msg/{file.header}\"" for file in files if file.messages]
    out += ["", "const struct api api_rows[API_KEY_MAX + 1] = {"]
    for api in sorted((api for file in files for api in file.apis), key=lambda api: api.key):
        row = [f".key = {api.key}", f".name = \"{api.name}\""]
        if api.removed:
            row += [".version_min = 0", ".version_max = -1", ".version_stable = -1", ".flexible_min = INT16_MAX"]
        else:
            c_name = snake(api.name)
            stable = api.versions[1] if api.unstable is None else api.unstable - 1
            advertised = api.advertised[0] if api.advertised else api.versions[0]
            flexible = api.flexible[0] if api.flexible != NONE else "INT16_MAX"
            row += [f".request = &{c_name}_request_type", f".response = &{c_name}_response_type",
                    f".version_min = {api.versions[0]}", f".version_max = {api.versions[1]}",
                    f".version_stable = {stable}", f".advertised_min = {advertised}", f".flexible_min = {flexible}",
                    f".on_broker = {str('broker' in api.listeners).lower()}",
                    f".on_controller = {str('controller' in api.listeners).lower()}",
                    f".forwarded = {str(api.forwarded).lower()}",
                    f".cluster_action = {str(api.cluster_action).lower()}"]
        out.append(f"\t[{api.key}] = {{{', '.join(row)}}},")
    out += ["};", "", "const struct msg_record msg_record_rows[] = {"]
    records = [record for file in files for record in file.records]
    for record in records:
        key = f"&{record.key.c_name}_type" if record.key else "NULL"
        out.append(f"\t{{MSG_FAMILY_{record.family.upper()}, {record.number}, \"{record.name}\", {key}, "
                   f"&{record.value.c_name}_type}},")
    out += ["};", f"const size_t msg_record_rows_n = {len(records)};", "",
            "const struct msg_type *const msg_type_rows[] = {"]
    messages = [message for file in files for message in file.messages]
    out += [f"\t&{message.c_name}_type," for message in messages]
    out += ["};", f"const size_t msg_type_rows_n = {len(messages)};", ""]
    return "\n".join(out)
