# SPDX-License-Identifier: Apache-2.0
"""Reads the column grammar of schema/*.msg (described in schema/README.md) into a model, with precise errors.

A Message is what has bytes of its own: a request, a response, a record's key or value. It owns Structs; the first
is the message itself, the others are nested. Versions are pairs (first, last); an open end is LAST.
"""
import os
import re

LAST = 32767
NONE = (1, 0)
SCALARS = {"bool": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint16": 2, "uint32": 4, "float64": 8, "uuid": 16}
RANGES = {"int8": (-2**7, 2**7 - 1), "int16": (-2**15, 2**15 - 1), "int32": (-2**31, 2**31 - 1),
          "int64": (-2**63, 2**63 - 1), "uint16": (0, 2**16 - 1), "uint32": (0, 2**32 - 1)}
BLOBS = ("string", "bytes", "records")
FAMILIES = ("metadata", "group", "txn", "share", "control", "remote_log")
RESERVED = {"default", "register", "signed", "unsigned", "static", "const", "struct", "union", "enum", "int", "long",
            "short", "char", "float", "double", "bool", "void", "unknown_tags"}


class SchemaError(Exception):
    pass


class Field:
    """One line of a struct. `tagged` is the range of versions in which the field travels behind its tag."""

    def __init__(self):
        self.null, self.tagged, self.tag = NONE, NONE, 0
        self.default, self.ignorable, self.plain, self.struct = None, False, False, None


class Struct:
    def __init__(self, c_name, doc=""):
        self.c_name, self.doc, self.fields = c_name, doc, []


class Message:
    """`structs` come in the order in which C wants them: the nested first, the message itself last."""

    def __init__(self, name, c_name, versions, flexible, doc):
        self.name, self.c_name, self.versions, self.flexible, self.doc = name, c_name, versions, flexible, doc
        self.root, self.shared, self.structs = Struct(c_name, doc), {}, []

    def is_flexible(self, version):
        return self.flexible[0] <= version <= self.flexible[1]


class Api:
    def __init__(self, key, name):
        self.key, self.name, self.doc, self.removed = key, name, "", False
        self.versions, self.flexible, self.advertised, self.unstable = NONE, NONE, None, None
        self.listeners, self.forwarded, self.cluster_action = [], False, False
        self.request = self.response = None


class Record:
    """One row of a record family: `key` is None where only the value has a schema."""

    def __init__(self, family, number, name):
        self.family, self.number, self.name, self.key, self.value = family, number, name, None, None


class File:
    def __init__(self, path):
        self.path, self.apis, self.records, self.messages = path, [], [], []
        folder, base = os.path.split(path)
        stem = base[:-len(".msg")]
        if os.path.basename(folder) == "record":
            stem += "_records"
        self.header = re.sub(r"^\d+_", "", stem) + ".h"


def snake(name):
    """ListOffsets -> list_offsets; KRaft is one word."""
    name = name.replace("KRaft", "Kraft")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Reader:
    """Goes through one file line by line; `at` is the line that an error names."""

    def __init__(self, path, text):
        self.file, self.at, self.doc = File(path), 0, []
        self.lines = []
        for number, line in enumerate(text.split("\n"), 1):
            self.lines.append((number, line.rstrip()))

    def fail(self, text):
        raise SchemaError(f"{self.file.path}:{self.at}: {text}")

    def versions(self, text):
        if text == "none":
            return NONE
        match = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
        if not match:
            self.fail(f"'{text}' is not a range of versions (3, 3+, 3-7 or none)")
        first = int(match[1])
        last = LAST if match[2] else int(match[3]) if match[3] else first
        if last < first:
            self.fail(f"versions '{text}' end before they begin")
        return (first, last)

    def options(self, words, known):
        """[(option, argument or None)]; `known` says which options have an argument."""
        ret, i = [], 0
        while i < len(words):
            name = words[i]
            if name not in known:
                self.fail(f"unknown option {name}")
            if any(name == seen for seen, _ in ret):
                self.fail(f"option {name} stands twice")
            if known[name]:
                if i + 1 == len(words):
                    self.fail(f"option {name} wants an argument")
                ret.append((name, words[i + 1]))
                i += 2
            else:
                ret.append((name, None))
                i += 1
        return ret

    def number(self, text):
        if not re.fullmatch(r"-?\d+", text):
            self.fail(f"'{text}' is not a number")
        return int(text)

    def read(self):
        section = None  # the Message that indented lines belong to
        stack = []      # [(indent, Struct)]
        owner = None    # Api or Record that waits for its sections
        for self.at, line in self.lines:
            if line.startswith("#"):
                if "SPDX-" not in line:
                    self.doc.append(line[1:].strip())
                continue
            if not line:
                self.doc = self.doc if section is None and owner is None else []
                continue
            body, _, comment = line.partition("# ")
            indent = len(body) - len(body.lstrip(" "))
            words = body.split()
            if "\t" in body:
                self.fail("columns are filled with blanks, not tabs")
            if indent == 0:
                self.close(section)
                owner, section = self.head(owner, words)
                stack = [(2, section.root)] if section else []
                self.doc = []
            elif section is None:
                self.fail("a field stands outside of a message")
            else:
                self.field_line(section, stack, indent, words, comment.strip())
        self.close(section)
        return self.file

    def head(self, owner, words):
        what = words[0]
        if what == "api":
            return self.api(words), None
        if what in ("record", "pair"):
            if len(words) < 4 or words[1] not in FAMILIES:
                self.fail(f"wants: {what} FAMILY NUMBER NAME; families are {' '.join(FAMILIES)}")
            record = Record(words[1], self.number(words[2]), words[3])
            self.file.records.append(record)
            if what == "pair":
                self.options(words[4:], {})
                record.doc = " ".join(self.doc)
                return record, None
            record.value = self.message(words[3], snake(words[3]), words[4:], " ".join(self.doc))
            return None, record.value
        if what == "message":
            if len(words) < 2:
                self.fail("wants: message NAME versions V flexible V")
            return None, self.message(words[1], snake(words[1]), words[2:], " ".join(self.doc))
        if what in ("request", "response") and isinstance(owner, Api) and not owner.removed:
            if getattr(owner, what):
                self.fail(f"{what} stands twice")
            message = self.make(f"{owner.name} {what}", f"{snake(owner.name)}_{what}", owner.versions, owner.flexible,
                                owner.doc)
            setattr(owner, what, message)
            return owner, message
        if what in ("key", "value") and isinstance(owner, Record):
            if getattr(owner, what):
                self.fail(f"{what} stands twice")
            message = self.message(f"{owner.name} {what}", f"{snake(owner.name)}_{what}", words[1:], owner.doc)
            setattr(owner, what, message)
            return owner, message
        return self.fail(f"'{what}' cannot stand here")

    def api(self, words):
        if len(words) < 4:
            self.fail("wants: api KEY NAME versions V flexible V listeners L, or: api KEY NAME removed")
        api = Api(self.number(words[1]), words[2])
        api.doc = " ".join(self.doc)
        known = {"versions": True, "flexible": True, "listeners": True, "unstable": True, "advertised": True,
                 "forwarded": False, "cluster_action": False, "removed": False}
        for name, arg in self.options(words[3:], known):
            if name in ("versions", "flexible", "advertised"):
                setattr(api, name, self.versions(arg))
            elif name == "unstable":
                api.unstable = self.number(arg)
            elif name == "listeners":
                api.listeners = arg.split(",")
                if not set(api.listeners) <= {"broker", "controller"}:
                    self.fail(f"listeners are broker and controller, not '{arg}'")
            else:
                setattr(api, name, True)
        if not api.removed and (api.versions == NONE or api.versions[1] == LAST or not api.listeners):
            self.fail("wants versions with both ends, flexible, and listeners")
        self.file.apis.append(api)
        return api

    def message(self, name, c_name, words, doc):
        args = dict(self.options(words, {"versions": True, "flexible": True}))
        if len(args) != 2:
            self.fail("wants: versions V flexible V")
        return self.make(name, c_name, self.versions(args["versions"]), self.versions(args["flexible"]), doc)

    def make(self, name, c_name, versions, flexible, doc):
        if versions[1] == LAST or versions == NONE:
            self.fail("the versions of a message need both ends")
        message = Message(name, c_name, versions, flexible, doc)
        self.file.messages.append(message)
        return message

    def field_line(self, message, stack, indent, words, comment):
        if words[0] == "struct":
            if indent != 2 or len(words) != 2:
                self.fail("a shared struct stands at the first indentation: struct NAME")
            if words[1] in message.shared:
                self.fail(f"struct {words[1]} stands twice")
            shared = Struct(f"{message.c_name}_{words[1]}", comment)
            message.shared[words[1]] = shared
            stack[:] = [(2, message.root), (4, shared)]
            return
        while stack and stack[-1][0] > indent:
            stack.pop()
        if not stack or stack[-1][0] != indent:
            self.fail("the indentation fits no line above")
        struct = stack[-1][1]
        field = self.field(message, struct, words, comment)
        if any(field.name == other.name for other in struct.fields):
            self.fail(f"field {field.name} stands twice")
        struct.fields.append(field)
        if field.type == "struct":
            field.struct = Struct(f"{struct.c_name}_{field.name}")
            stack.append((indent + 2, field.struct))

    def field(self, message, struct, words, comment):
        if len(words) < 3:
            self.fail("wants: name type versions [options]")
        field = Field()
        field.name, field.line, field.doc = words[0], self.at, comment
        if not re.fullmatch(r"[a-z][a-z0-9_]*", field.name):
            self.fail(f"'{field.name}' is not a name in snake_case")
        field.c_name = field.name + "_" if field.name in RESERVED else field.name
        field.array = words[1].startswith("[]")
        field.type = words[1][2:] if field.array else words[1]
        field.versions = self.versions(words[2])
        known = {"null": True, "tag": True, "default": True, "ignorable": False, "plain": False}
        for name, arg in self.options(words[3:], known):
            if name == "null":
                field.null = self.versions(arg)
            elif name == "tag":
                field.tag, field.tagged = self.number(arg), field.versions
            elif name == "default":
                field.default = arg
            else:
                setattr(field, name, True)
        self.check(message, struct, field)
        return field

    def check(self, message, struct, field):
        is_struct = field.type not in SCALARS and field.type not in BLOBS
        if not is_struct and not field.array and field.null != NONE and field.type in SCALARS:
            self.fail(f"a single {field.type} cannot be null")
        if field.array and field.type == "records":
            self.fail("there are no arrays of records")
        if field.tagged != NONE:
            if any(other.tagged != NONE and other.tag == field.tag for other in struct.fields):
                self.fail(f"tag {field.tag} stands twice")
            if field.tagged[0] < message.flexible[0] or message.flexible == NONE:
                self.fail("a field has a tag in versions that are not flexible")
            if field.type == "records" or field.tag > 100:
                self.fail("records cannot have a tag, and tags end at 100")
        text = field.default
        if text is None:
            return
        if text == "null":
            if field.null == NONE:
                self.fail("default null wants the option null")
        elif field.array or is_struct or field.type in ("bytes", "records", "uuid"):
            self.fail(f"default of a {field.type} can only be null")
        elif field.type == "bool":
            if text not in ("true", "false"):
                self.fail("default of a bool is true or false")
        elif field.type in RANGES:
            low, high = RANGES[field.type]
            if not low <= self.number(text) <= high:
                self.fail(f"default {text} does not fit into {field.type}")

    def close(self, message):
        """Resolves the shared structs of a finished message and puts all its structs in C's order."""
        if not message:
            return
        done, names = [], set()

        def visit(struct, trail):
            if struct in done:
                return
            if struct in trail:
                self.fail(f"struct {struct.c_name} contains itself")
            for field in struct.fields:
                if field.type in SCALARS or field.type in BLOBS:
                    continue
                if field.type != "struct":
                    if field.type not in message.shared:
                        self.at = field.line
                        self.fail(f"no type or struct named {field.type}")
                    field.struct = message.shared[field.type]
                if not field.struct.fields:
                    self.at = field.line
                    self.fail(f"struct {field.name} has no fields")
                visit(field.struct, trail + [struct])
            if struct.c_name in names:
                self.fail(f"two structs would be named {struct.c_name}")
            names.add(struct.c_name)
            done.append(struct)

        visit(message.root, [])
        for name, struct in message.shared.items():
            if struct not in done:
                self.fail(f"struct {name} is not used")
        message.structs = done


def read_file(path):
    with open(path, encoding="utf-8") as f:
        file = Reader(path, f.read()).read()
    for api in file.apis:
        if not api.removed and not (api.request and api.response):
            raise SchemaError(f"{path}: {api.name} wants a request and a response")
    for record in file.records:
        if not record.value:
            raise SchemaError(f"{path}: {record.name} wants a value")
    return file


def list_files(folder):
    """All *.msg below the schema folder, in a stable order."""
    ret = []
    for part in ("api", "common", "record"):
        full = os.path.join(folder, part)
        ret += sorted(os.path.join(full, name) for name in os.listdir(full) if name.endswith(".msg"))
    return ret


def read_all(folder):
    files, headers, names, keys = [], {}, {}, {}
    for path in list_files(folder):
        file = read_file(path)
        files.append(file)
        if file.header in headers:
            raise SchemaError(f"{path}: {headers[file.header]} makes {file.header} too")
        headers[file.header] = path
        for message in file.messages:
            for struct in message.structs:
                if struct.c_name in names:
                    raise SchemaError(f"{path}: struct {struct.c_name} stands in {names[struct.c_name]} too")
                names[struct.c_name] = path
        for row, key in [(a, ("api", a.key)) for a in file.apis] + [(r, (r.family, r.number)) for r in file.records]:
            if key in keys:
                raise SchemaError(f"{path}: {row.name} has the number of {keys[key]}")
            keys[key] = row.name
    return files
