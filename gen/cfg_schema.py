# SPDX-License-Identifier: Apache-2.0
"""Reads the settings tables (grammar: schema/settings.md) into a model. Errors name file and line."""
import re
import sys

TYPES = ("boolean", "short", "int", "long", "double", "string", "list", "class", "password")
NUMERIC = {"short": 2**15, "int": 2**31, "long": 2**63}
UNITS = ("ms", "s", "min", "h", "bytes", "-")
IMPORTANCE = ("high", "medium", "low")
VISIBILITY = ("public", "internal", "dynamic-only", "ours")
UPDATE = ("read-only", "per-broker", "cluster-wide")
CLASSES = ("honoured", "accepted", "not-yet", "refused")
FAMILIES = ("broker", "topic", "group")


class Valid:
    """What a value may be. kind: any, range, one_of, non_empty, non_null, replicas, offset_reset."""

    def __init__(self, kind, low=None, high=None, other=None, names=(), nocase=False, non_empty=False):
        self.kind, self.low, self.high, self.other = kind, low, high, other
        self.names, self.nocase, self.non_empty = list(names), nocase, non_empty


class Setting:
    def __init__(self, family, section, path, line):
        self.family, self.section, self.path, self.line = family, section, path, line
        self.prose, self.note, self.update, self.synonyms = "", "", "read-only", []

    @property
    def field(self):
        return re.sub(r"[.\-]", "_", self.name)

    @property
    def ident(self):
        prefix = {"broker": "SETTING_", "topic": "TOPIC_SETTING_", "group": "GROUP_SETTING_"}[self.family]
        return prefix + self.field.upper()

    @property
    def default_text(self):
        """Text of the default; None for null and for keys without default."""
        return {"null": None, "(required)": None, "(empty)": ""}.get(self.default, self.default)


def fail(path, line, text):
    sys.exit(f"{path}:{line}: {text}")


def number(text):
    return float(text) if "." in text or "E" in text else int(text)


def parse_valid(path, line, text, kind):
    if text == "-":
        return Valid("any")
    m = re.fullmatch(r"\[(-?\d+),\.\.\.(?:,(-?[\d.]+))?\](?: or (-?\d+))?", text)
    if m:
        if kind not in ("short", "int", "long", "double"):
            fail(path, line, f"a range does not fit type {kind}")
        low, high = number(m[1]), number(m[2]) if m[2] else None
        if high is not None and low > high:
            fail(path, line, f"range {text} is empty")
        return Valid("range", low, high, int(m[3]) if m[3] else None)
    simple = {"non-null string": "non_null", "non-empty string": "non_empty", "replicas": "replicas",
              "offset-reset": "offset_reset"}
    if text in simple:
        return Valid(simple[text])
    non_empty = text == "non-empty" or text.startswith("non-empty ")
    if non_empty:
        if kind != "list":
            fail(path, line, "non-empty is for lists")
        text = text[len("non-empty"):].strip()
        if not text:
            return Valid("any", non_empty=True)
    nocase = text.startswith("(case insensitive) ")
    m = re.fullmatch(r"\[([^\[\]]+)\]", text[len("(case insensitive) "):] if nocase else text)
    if not m or kind not in ("string", "list"):
        fail(path, line, f"cannot read the valid values {text!r} of a {kind}")
    return Valid("one_of", names=[n.strip() for n in m[1].split(",")], nocase=nocase, non_empty=non_empty)


def parse_synonyms(path, line, text):
    if text == "-":
        return []
    out = []
    for part in text.split(","):
        words = part.split()
        if len(words) not in (1, 2) or (len(words) == 2 and not re.fullmatch(r"x\d+", words[1])):
            fail(path, line, f"cannot read the synonym {part.strip()!r}")
        out.append((words[0], int(words[1][1:]) if len(words) == 2 else 1))
    return out


def check_default(s):
    text = s.default_text
    if text is None:
        return
    if s.type == "boolean" and text not in ("true", "false"):
        fail(s.path, s.line, f"{s.name}: default {text!r} is not a boolean")
    if s.type in NUMERIC or s.type == "double":
        try:
            value = float(text) if s.type == "double" else int(text)
        except ValueError:
            fail(s.path, s.line, f"{s.name}: default {text!r} is not a number")
        limit = NUMERIC.get(s.type)
        if limit and not -limit <= value < limit:
            fail(s.path, s.line, f"{s.name}: default {text} does not fit a {s.type}")
        v = s.valid
        if v.kind == "range" and value != v.other and (value < v.low or (v.high is not None and value > v.high)):
            fail(s.path, s.line, f"{s.name}: default {text} is outside its own bounds")
    if s.valid.kind == "one_of":
        have = [t.lower() if s.valid.nocase else t for t in (text.split(",") if s.type == "list" else [text]) if t]
        names = [n.lower() if s.valid.nocase else n for n in s.valid.names]
        for item in have:
            if item not in names:
                fail(s.path, s.line, f"{s.name}: default {item!r} is not one of {s.valid.names}")


def parse_row(family, section, path, line, text):
    cols = [c.strip() for c in text.split(" | ")]
    if len(cols) != 9:
        fail(path, line, f"wants 9 columns, has {len(cols)}")
    s = Setting(family, section, path, line)
    s.name, s.type, s.default, s.valid_text, s.unit, s.importance, s.visibility, extra, s.cls = cols
    for value, allowed, what in ((s.type, TYPES, "type"), (s.unit, UNITS, "unit"), (s.cls, CLASSES, "class"),
                                 (s.importance, IMPORTANCE, "importance"), (s.visibility, VISIBILITY, "visibility")):
        if value not in allowed:
            fail(path, line, f"{s.name}: {what} {value!r} is none of {' '.join(allowed)}")
    if not re.fullmatch(r"[a-z][a-z0-9.\-]*", s.name):
        fail(path, line, f"{s.name!r} is not a key")
    s.valid = parse_valid(path, line, s.valid_text, s.type)
    if family == "broker":
        if extra not in UPDATE:
            fail(path, line, f"{s.name}: update mode {extra!r} is none of {' '.join(UPDATE)}")
        s.update = extra
    else:
        s.synonyms = parse_synonyms(path, line, extra)
    check_default(s)
    return s


def read_table(path, family):
    rows, section, seen = [], "", {}
    for line, text in enumerate(open(path, encoding="utf-8"), 1):
        text = text.rstrip("\n")
        if not text.strip() or text.startswith("#"):
            continue
        if text.startswith("\t"):
            if not rows:
                fail(path, line, "prose without a row")
            body = text.strip()
            if body.startswith("> "):
                rows[-1].note = (rows[-1].note + " " + body[2:]).strip()
            else:
                rows[-1].prose = (rows[-1].prose + " " + body).strip()
            continue
        if text.startswith("["):
            section = text.strip("[] ")
            continue
        s = parse_row(family, section, path, line, text)
        if s.name in seen:
            fail(path, line, f"{s.name} stands twice, first in line {seen[s.name]}")
        seen[s.name] = line
        rows.append(s)
    for s in rows:
        if not s.prose:
            fail(s.path, s.line, f"{s.name} has no sentence")
        if (s.cls == "honoured") == bool(s.note):
            fail(s.path, s.line, f"{s.name}: a note belongs to every class but honoured")
    return rows


def read_all(folder):
    """{family: [Setting]}; synonyms name existing broker rows of the same kind."""
    model = {family: read_table(f"{folder}/{family}.cfg", family) for family in FAMILIES}
    broker = {s.name: s for s in model["broker"]}
    for family in ("topic", "group"):
        for s in model[family]:
            for name, factor in s.synonyms:
                if name not in broker:
                    fail(s.path, s.line, f"{s.name}: no broker setting {name}")
                if factor == 1 and (broker[name].type == "list") != (s.type == "list"):
                    fail(s.path, s.line, f"{s.name}: {name} is a {broker[name].type}")
    return model
