# SPDX-License-Identifier: Apache-2.0
"""Documentation from the settings tables: the reference page and a sample server.properties."""

CLASS_WORDS = {"honoured": "honoured", "accepted": "accepted, no effect", "not-yet": "not yet", "refused": "refused"}
# Keys of the sample file that are written out; all other keys follow as comments with their defaults.
SAMPLE = [
    ("process.roles", "broker,controller"), ("node.id", "1"),
    ("controller.quorum.bootstrap.servers", "localhost:9093"),
    ("listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
    ("advertised.listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
    ("controller.listener.names", "CONTROLLER"), ("inter.broker.listener.name", "PLAINTEXT"),
    ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
    ("log.dirs", "/var/lib/moldau/data"),
]


def cell(text):
    return text.replace("|", "\\|") if text else "&nbsp;"


def show_default(s):
    return {"null": "none", "(empty)": "empty", "(required)": "required"}.get(s.default, f"`{s.default}`")


def show_valid(s):
    if s.valid_text == "-":
        return ""
    return s.valid_text + (f" {s.unit}" if s.unit != "-" and s.valid.kind == "range" else "")


def table(rows, last):
    out = [f"| key | type | default | valid | {last} | here |", "|---|---|---|---|---|---|"]
    for s in rows:
        extra = s.update if s.family == "broker" else ", ".join(
            n + (f" x {f}" if f != 1 else "") for n, f in s.synonyms)
        here = CLASS_WORDS[s.cls] + (f": {s.note}" if s.note else "")
        unit = f" ({s.unit})" if s.unit != "-" else ""
        out.append(f"| `{s.name}`<br>{cell(s.prose)} | {s.type}{unit} | {show_default(s)} | {cell(show_valid(s))} "
                   f"| {cell(extra)} | {cell(here)} |")
    return out + [""]


def reference(model):
    out = ["<!-- SPDX-License-Identifier: Apache-2.0 -->", "# Settings", "",
           "Generated from the tables in `schema/`. *Honoured*: does what it says. *Accepted*: read, no effect here. "
           "*Not yet*: read and shown, the effect follows. *Refused*: any value but the default stops the start, "
           "with the reason.", "",
           "Values come from the file, then the environment (`KAFKA_LOG_DIRS` is `log.dirs`, `__` is `_`, `___` is "
           "`-`), then `--override key=value`; the last one wins. Above these stand the settings of the cluster's "
           "metadata (`kafka-configs`): those of all brokers, then those of one. Update: *read-only* needs a restart, "
           "*per-broker* and *cluster-wide* change while running. `moldau config explain KEY` tells the same.", ""]
    counts = {c: sum(s.cls == c for rows in model.values() for s in rows) for c in CLASS_WORDS}
    out += ["Keys: " + ", ".join(f"{n} {CLASS_WORDS[c]}" for c, n in counts.items()) + ".", "", "## Node", ""]
    sections = {}
    for s in model["broker"]:
        sections.setdefault(s.section, []).append(s)
    for name, rows in sections.items():
        out += [f"### {name}", ""] + table(rows, "update")
    out += ["## Topic", ""] + table(model["topic"], "default from")
    out += ["## Group", ""] + table(model["group"], "default from")
    return "\n".join(out)


def sample(model):
    out = ["# A single node that is broker and controller. Keys in comments show their defaults.", ""]
    given = dict(SAMPLE)
    section = None
    for s in model["broker"]:
        if s.visibility == "internal" or s.cls in ("refused",) or (s.cls == "not-yet" and s.name not in given):
            continue
        if s.section != section:
            section = s.section
            out += ["", f"# ---- {section} ----"]
        out.append(f"# {s.prose}")
        if s.name in given:
            out.append(f"{s.name}={given[s.name]}")
        else:
            out.append(f"#{s.name}={s.default_text or ''}")
    return "\n".join(out) + "\n"
