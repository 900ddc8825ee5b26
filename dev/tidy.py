# SPDX-License-Identifier: Apache-2.0
"""House rules that a script can check (STYLE.md says why they are there).

    dev/tidy [--summary] [PATH...]      the whole tree, or only files under the paths

A violation is one line, `file:line: text`; the exit code is 1 when there is one. --summary counts them by folder.
dev/tidy.allow lists functions and files that are longer than the rule, and folders with lines that are wider, each
with a bound and a reason. An entry that is not needed any more, or whose bound is far above the need, is a violation.
"""
import collections
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
ALLOW = "dev/tidy.allow"
COLUMNS = 120  # STYLE.md asks for 110; here is the end
FUNCTION_LINES = 70
FILE_LINES = 600
SLACK = 20  # by how much a bound may be above the need

# Data and foreign forms that carry no comment, or none of ours.
NO_SPDX = re.compile(r"(^LICENSE|go\.mod|\.gitignore|"
                     r"\.(json|jsonl|gz|tsv|csv|txt|sum|bin|properties|svg|png|log|checkpoint))$")
NOT_TEXT = re.compile(r"\.(gz|bin|png|log|checkpoint)$|^test/fuzz/corpus/")
CODE = re.compile(r"\.(c|h|py|sh|mjs|js|go)$|(^|/)meson(_options)?\.(build|txt)$")
LONG_LINES_OK = re.compile(r"^(schema|bench/history)|^test/golden/|\.(md|tsv)$")

BANNED = {
    "strcpy": "fmt_add or memcpy", "strcat": "fmt_add", "sprintf": "fmt_add", "vsprintf": "fmt_add_v",
    "strncpy": "memcpy", "strncat": "fmt_add", "gets": "fgets", "alloca": "an arena", "strtok": "setting_list_next",
    "assert": "CHECK", "atoi": "parse_i32", "atol": "parse_i64", "atof": "parse_f64", "system": "nothing",
}
BANNED_MEMORY = {"malloc", "calloc", "realloc", "free", "strdup", "strndup", "reallocarray"}
BANNED_EVERYWHERE = {"strcpy", "gets", "alloca", "assert", "vsprintf"}
# Tests stand apart from what they test, and measuring programs use no library of ours.
STANDS_APART = re.compile(r"^(bench|test)/")

# What belongs to the place where this was written and not to the project. Spelled so that it does not find itself.
FOREIGN = re.compile(
    r"/w[o]rk/(main|shared)|kafka-p[e]er|\bissues?[ -]?#?\d+\b|\bsub-?ag[e]nts?\b|\bcl[a]ude\b|\banthr[o]pic\b|"
    r"\bchatg[p]t\b|\bcop[i]lot\b|\bp[y]pi\.org|python[h]osted\.org|registry\.np[m]js|repo1?\.m[a]ven\.|"
    r"proxy\.gol[a]ng\.org|deb\.d[e]bian\.org", re.I)


class Tidy:
    def __init__(self):
        self.found = []
        self.wide = collections.defaultdict(list)
        self.allowed = {}  # (kind, name): [bound, line in the list, was needed]

    def say(self, path, line, text):
        self.found.append((path, line, text))

    # ---- exceptions

    def read_allow(self):
        full = os.path.join(ROOT, ALLOW)
        if not os.path.exists(full):
            return
        for number, line in enumerate(open(full, encoding="utf-8"), 1):
            text = line.split("#")[0].split(None, 3)
            if not text:
                continue
            if len(text) != 4 or text[0] not in ("function", "file", "columns") or not text[2].isdigit():
                self.say(ALLOW, number, "wants: function|file|columns  NAME  BOUND  reason")
                continue
            self.allowed[text[0], text[1]] = [int(text[2]), number, False]

    def too_long(self, path, line, kind, name, lines, limit):
        entry = self.allowed.get((kind, name))
        if entry:
            entry[2] = True
            if lines > entry[0]:
                self.say(path, line, f"{kind} {name} has {lines} lines; {ALLOW} allows {entry[0]}")
            elif lines < entry[0] - SLACK:
                self.say(ALLOW, entry[1], f"{name} has {lines} lines now: lower the bound")
        else:
            self.say(path, line, f"{kind} of {lines} lines, more than {limit}: {name}")

    def stale(self, paths):
        for (kind, name), (_, number, needed) in self.allowed.items():
            if not needed and not paths:
                self.say(ALLOW, number, f"{kind} {name} needs no exception any more")

    def too_wide(self):
        """Lines over the limit; a folder may have as many as the list says."""
        for folder, lines in self.wide.items():
            entry = self.allowed.get(("columns", folder))
            if entry:
                entry[2] = True
            if entry and len(lines) <= entry[0]:
                if len(lines) < entry[0] - SLACK:
                    self.say(ALLOW, entry[1], f"{folder} has {len(lines)} wide lines now: lower the bound")
                continue
            for path, number, width in lines:
                self.say(path, number, f"{width} columns, more than {COLUMNS}")

    # ---- rules

    def check_lines(self, path, text):
        is_c = path.endswith((".c", ".h"))
        head = "\n".join(text.split("\n", 3)[:3])
        if "SPDX-License-Identifier: Apache-2.0" not in head and not NO_SPDX.search(path):
            self.say(path, 1, "no SPDX-License-Identifier: Apache-2.0 in the first lines")
        if text and not text.endswith("\n"):
            self.say(path, text.count("\n") + 1, "no end of line at the end of the file")
        is_code = CODE.search(path) or text.startswith("#!")
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip() and not path.endswith(".tsv"):
                self.say(path, number, "blanks at the end of the line")
            if is_code and not LONG_LINES_OK.search(path) and len(line.expandtabs(8)) > COLUMNS:
                self.wide[folder_of(path)].append((path, number, len(line.expandtabs(8))))
            if is_c and line.startswith("        "):
                self.say(path, number, "indented with blanks instead of tabs")
            if path.endswith((".py", "meson.build")) and "\t" in line:
                self.say(path, number, "a tab")
            if FOREIGN.search(line):
                self.say(path, number, f"\"{FOREIGN.search(line)[0]}\" does not belong here")
        if is_c and text.count("\n") > FILE_LINES:
            self.too_long(path, 1, "file", path, text.count("\n"), FILE_LINES)

    def check_c(self, path, text):
        bare = without_comments(text)
        for number, line in enumerate(bare.split("\n"), 1):
            for word in re.findall(r"(?<![\w.>])(\w+)\s*\(", line):
                if word in BANNED and (word in BANNED_EVERYWHERE or not STANDS_APART.search(path)):
                    self.say(path, number, f"{word} is not used here: {BANNED[word]}")
                if word in BANNED_MEMORY and path != "src/base/mem.c" and not STANDS_APART.search(path):
                    self.say(path, number, f"{word} is not used here: mem_*, or an arena")
            if re.match(r"\s*typedef\s+(struct|union|enum)\b[^()]*[;{]", line):
                self.say(path, number, "no typedef for a struct, union or enum")
        for number, line in enumerate(text.split("\n"), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                self.say(path, number, "an open end: do it, or write it down where plans are kept")
        for name, line, lines in functions(bare):
            if lines > FUNCTION_LINES:
                self.too_long(path, line, "function", f"{path}:{name}", lines, FUNCTION_LINES)

    def check_names(self, paths):
        """An include says which file it means only when no two have its name."""
        seen = {}
        for path in paths:
            name = os.path.basename(path)
            if path.startswith(("src/", "sim/", "bench/")) and name.endswith((".c", ".h")):
                if name in seen:
                    self.say(path, 1, f"there is {seen[name]} too: names of files are unique")
                seen[name] = path

    def check_anomalies(self, texts, page="docs/anomalies.md"):
        """Every file the page names is there once, and in it the test or fault that stands behind `::`."""
        places = collections.defaultdict(list)
        for path in texts:
            places[os.path.basename(path)].append(path)
        for number, line in enumerate(texts.get(page, "").split("\n"), 1):
            for name, _, what in re.findall(r"`(\w+\.(?:c|h|py))(::(\w+))?`", line):
                if len(places[name]) != 1:
                    self.say(page, number, f"{name} is in the tree {len(places[name])} times")
                elif what and not re.search(rf"(?:\bdef {what}\(|^static void {what}\(|\bX\({what},)",
                                            texts[places[name][0]], re.M):
                    self.say(page, number, f"{name} has no {what}")

    def check_codes(self, texts):
        """Every ML code in the sources is explained, and every explained one has a use."""
        table = texts.get("schema/messages.tbl")
        if table is None:
            return
        known = {code: table[:at].count("\n") + 1
                 for code, at in ((m[1], m.start()) for m in re.finditer(r"^(ML\d{4})  ", table, re.M))}
        used = set()
        for path, text in texts.items():
            if path.startswith("src/") and path.endswith((".c", ".h")):
                for number, line in enumerate(text.split("\n"), 1):
                    for code in re.findall(r"\bML\d{4}\b", line):
                        used.add(code)
                        if code not in known:
                            self.say(path, number, f"{code} is not in schema/messages.tbl")
        for code, line in known.items():
            if code not in used:
                self.say("schema/messages.tbl", line, f"{code} has no use in src")


def folder_of(path):
    """src/broker for src/broker/api/x.c"""
    return "/".join(path.split("/")[:-1][:2]) or "."


def without_comments(text):
    """The same lines, with comments blank and texts empty."""
    def blank(match):
        found = match[0]
        return '""' if found[0] == '"' else "' '" if found[0] == "'" else "\n" * found.count("\n") or " "
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def functions(text):
    """(name, line, lines of the body with its braces) of each function; braces stand in the first column."""
    lines, start = text.split("\n"), None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            head = start - 1
            while head > 0 and lines[head - 1].startswith(("\t", " ")):
                head -= 1
            name = re.search(r"(\w+)\s*\(", lines[head - 1]) if head else None
            yield name[1] if name else "?", start, number - start + 1
            start = None


def tree(paths):
    """Files of the project: those git knows, and new ones that it would take."""
    done = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True)
    if done.returncode == 0:
        names = sorted(set(done.stdout.decode().split("\0")) - {""})
    else:
        names = sorted(os.path.relpath(os.path.join(folder, n), ROOT) for folder, subs, files in os.walk(ROOT)
                       if not subs.sort() for n in files if not re.search(r"/(\.git|build[^/]*|data|__pycache__)(/|$)",
                                                                          folder[len(ROOT):] + "/"))
    wanted = [os.path.relpath(os.path.realpath(p), ROOT) for p in paths]
    for name in names:
        if os.path.isfile(os.path.join(ROOT, name)) and not os.path.islink(os.path.join(ROOT, name)):
            if not wanted or any(w == "." or name == w or name.startswith(w + "/") for w in wanted):
                yield name


def main():
    paths = [a for a in sys.argv[1:] if a != "--summary"]
    tidy, texts = Tidy(), {}
    tidy.read_allow()
    for path in tree(paths):
        if NOT_TEXT.search(path):
            continue
        try:
            texts[path] = open(os.path.join(ROOT, path), encoding="utf-8").read()
        except UnicodeDecodeError:
            tidy.say(path, 1, "not UTF-8")
        except FileNotFoundError:
            continue
    for path, text in texts.items():
        tidy.check_lines(path, text)
        if path.endswith((".c", ".h")):
            tidy.check_c(path, text)
    tidy.check_names(texts)
    if not paths:
        tidy.check_codes(texts)
        tidy.check_anomalies(texts)
    tidy.too_wide()
    tidy.stale(paths)
    if "--summary" in sys.argv:
        count = collections.Counter(folder_of(path) for path, _, _ in tidy.found)
        for folder, n in sorted(count.items()):
            print(f"{n:5} {folder}")
    else:
        for path, line, text in tidy.found:
            print(f"{path}:{line}: {text}")
    print(f"{len(texts)} files, {len(tidy.found)} violations, {len(tidy.allowed)} exceptions", file=sys.stderr)
    return 1 if tidy.found else 0


if __name__ == "__main__":
    sys.exit(main())
