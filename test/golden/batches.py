# SPDX-License-Identifier: Apache-2.0
"""Turns batches.jsonl.gz into lines of words for the C tests: batches.py OUTPUT INPUT.

case KIND SEED CODEC BYTES / batch MAGIC BASE LENGTH EPOCH CRC ATTRIBUTES DELTA LAST BASE_TS MAX_TS PID EPOCH SEQ COUNT /
record OFFSET TIMESTAMP SEQUENCE KEY VALUE HEADERS_N [KEY VALUE]...  Bytes are '=' and hex, null is '-'; a field that a
format lacks is the value that the parser gives it.
"""
import gzip
import json
import sys


def blob(text):
    return "-" if text is None else "=" + text


def main():
    with open(sys.argv[1], "w", encoding="ascii") as out, gzip.open(sys.argv[2], "rt", encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            print("case", case["kind"].replace(" ", "_"), case["seed"], case["codec"], blob(case["hex"]), file=out)
            for b in case["batches"]:
                base = b.get("baseTimestamp", b.get("timestamp", -1))
                print("batch", b["magic"], b["baseOffset"], b["length"], b.get("partitionLeaderEpoch", -1), b["crc"],
                      b["attributes"], b.get("lastOffsetDelta", 0), b["lastOffset"], base, b.get("maxTimestamp", base),
                      b.get("producerId", -1), b.get("producerEpoch", -1), b.get("baseSequence", -1),
                      b.get("recordCount", -1), file=out)
                for r in b["records"]:
                    words = [r["offset"], r["timestamp"], r.get("sequence", -1), blob(r["key"]), blob(r["value"])]
                    headers = r.get("headers", [])
                    words.append(len(headers))
                    for name, value in headers:
                        words += [blob(name.encode().hex()), blob(value)]
                    print("record", *words, file=out)


main()
