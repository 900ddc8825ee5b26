# SPDX-License-Identifier: Apache-2.0
"""Grafana dashboards as JSON from schema/dashboards/dashboards.tbl, and all that `moldau` prints of them as C texts.

    emit_dashboards.py FOLDER DASHBOARDS_C
"""
import json
import os
import re
import sys

WIDTH = {"stat": 4, "graph": 12, "heat": 12}
HEIGHT = {"stat": 4, "graph": 8, "heat": 8}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def read(path):
    """[(name, title, [(row, [cells])])]"""
    boards = []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.strip()
        head = re.match(r"\[(\w+)\] (.+)", line)
        if not line or line.startswith("#"):
            continue
        if head:
            boards.append((head[1], head[2], []))
        elif line.startswith("== "):
            boards[-1][2].append((line[3:], []))
        else:
            cells = [cell.strip() for cell in re.split(r" \| ", line)]
            good = len(cells) == 4 if cells[0] in ("stat", "heat") else cells[0] == "graph" and len(cells) >= 5 \
                and len(cells) % 2 == 1
            if not good:
                sys.exit(f"{path}:{number}: this is no panel: {line}")
            boards[-1][2][-1][1].append(cells)
    return boards


def thresholds(mark):
    steps = {"": [("green", None)], "0": [("green", None), ("red", 0.000001)],
             "1": [("red", None), ("green", 1), ("red", 2)]}[mark]
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps]}


def panel(number, cells, x, y):
    kind, title, unit = cells[:3]
    unit, _, mark = unit.partition("@")
    pairs = [("", cells[3])] if kind != "graph" else list(zip(cells[3::2], cells[4::2]))
    out = {
        "id": number, "title": title, "datasource": SOURCE,
        "type": {"stat": "stat", "graph": "timeseries", "heat": "heatmap"}[kind],
        "gridPos": {"h": HEIGHT[kind], "w": WIDTH[kind], "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": thresholds(mark)}, "overrides": []},
        "targets": [{"refId": chr(65 + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend or "__auto"}
                    for i, (legend, expr) in enumerate(pairs)],
    }
    if kind == "stat":
        out["options"] = {"colorMode": "value" if not mark else "background", "graphMode": "none",
                          "reduceOptions": {"calcs": ["lastNotNull"]}}
    return out


def panels(rows):
    out, x, y, tall, number = [], 0, 0, 0, 0
    for title, cells_of in rows:
        y, x, number = y + tall, 0, number + 1
        out.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                    "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
        y, tall = y + 1, 0
        for cells in cells_of:
            if x + WIDTH[cells[0]] > 24:
                x, y, tall = 0, y + tall, 0
            number += 1
            out.append(panel(number, cells, x, y))
            x, tall = x + WIDTH[cells[0]], max(tall, HEIGHT[cells[0]])
    return out


def variable(name, label, query):
    return {"type": "query", "name": name, "label": label, "datasource": SOURCE, "query": query, "refresh": 2,
            "includeAll": True, "allValue": ".*", "multi": False, "current": {"text": "All", "value": "$__all"}}


def board(name, title, rows):
    return {
        "uid": f"moldau-{name}", "title": title, "tags": ["moldau", "kafka"], "schemaVersion": 39, "editable": True,
        "timezone": "browser", "refresh": "30s", "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [
            {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
            variable("node", "Node", "label_values(kafka_server_kafkaserver_brokerstate, instance)"),
            variable("topic", "Topic", "label_values(kafka_topic_partitions, topic)"),
        ]},
        "panels": panels(rows),
    }


def c_text(text):
    lines = text.splitlines(keepends=True)
    quoted = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for line in lines)
    return "\n".join(f'\t"{line}"' for line in quoted)


def main():
    folder, target = sys.argv[1:]
    texts = []
    for name, title, rows in read(os.path.join(folder, "dashboards.tbl")):
        texts.append((name, title, json.dumps(board(name, title, rows), indent=1) + "\n"))
    files = [(key, open(os.path.join(folder, key + ".yml"), encoding="utf-8").read())
             for key in ("alerts", "prometheus")]
    with open(target, "w", encoding="utf-8") as out:
        out.write('/* SPDX-License-Identifier: Apache-2.0 */\n/* Generated from schema/dashboards. */\n'
                  '#include "dashboards.h"\n\nconst struct dashboard dashboards[] = {\n')
        for name, title, text in texts:
            out.write(f'\t{{"{name}", "{title}",\n{c_text(text)}}},\n')
        out.write(f"}};\nconst size_t dashboards_n = {len(texts)};\n")
        for key, text in files:
            out.write(f"\nconst char dashboard_{key}[] =\n{c_text(text)};\n")


if __name__ == "__main__":
    main()
