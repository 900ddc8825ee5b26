# SPDX-License-Identifier: Apache-2.0
"""Compares schema/metrics.tbl with a table of the original's beans: each bean is served, or the table says why not.

    check_metrics.py METRICS_TBL

MOLDAU_FACTS names a folder with tables/metrics-jmx.tsv: domain, type, name, key properties, attribute, java type.
Without it the exit code is 77. That what is served is on the page is a matter of test/e2e/test_http.py."""
import fnmatch
import os
import sys

import emit_metrics


def beans(path):
    """{(domain, type, name or attribute)}; attributes of beans without a name count as names."""
    out = set()
    for line in open(path, encoding="utf-8").read().splitlines()[1:]:
        domain, type_, name, _, attribute, _ = line.split("\t")
        out.add((domain, type_, name or attribute))
    return out


def reason(bean, absent):
    for domain, type_, name, why in absent:
        if fnmatch.fnmatchcase(bean[0], domain) and fnmatch.fnmatchcase(bean[1], type_) \
                and fnmatch.fnmatchcase(bean[2], name):
            return why
    return None


def main():
    table = sys.argv[1]
    if not os.environ.get("MOLDAU_FACTS"):
        print("MOLDAU_FACTS names no tables to compare with")
        sys.exit(77)
    source = os.path.join(os.environ["MOLDAU_FACTS"], "tables", "metrics-jmx.tsv")
    rows, absent = emit_metrics.read(table)
    there = beans(source)
    served = {(row["domain"], row["type"], row["name"]): row for row in rows if row["domain"] != "-"}
    bad = [f"{':'.join(bean)} is neither served nor explained" for bean in sorted(there - set(served))
           if not reason(bean, absent)]
    bad += [f"{':'.join(bean)} is no bean of the original" for bean in sorted(set(served) - there)]
    bad += [f"{':'.join(bean)} is served and explained away" for bean in sorted(served) if reason(bean, absent)]
    bad += [f"{':'.join(entry[:3])} explains no bean" for entry in absent
            if not any(reason(bean, [entry]) for bean in there)]
    for line in bad:
        print(line)
    print(f"{len(there)} beans, {len(served)} served, {len(absent)} explanations, {len(bad)} wrong")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
