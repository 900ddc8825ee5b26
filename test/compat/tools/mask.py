# SPDX-License-Identifier: Apache-2.0
"""What differs between two runs of the same broker, replaced by a word in capitals.

A rule of this file stands for every step; a step may ask for more by name (`mask=rates`), where numbers are measured.
A line in which something was replaced loses its padding, since columns are as wide as what they hold."""
import json
import re

FRAME = re.compile(r"\s+at .*\(.*\)( ~\[.*)?$|\s+\.\.\. \d+ more")
UUID = r"[A-Za-z0-9_-]{22}"

ALWAYS = [
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?", "TIME"),
    (r"\b1[6-9]\d{11}\b", "MILLIS"),
    (r"\b(adminclient|producer|consumer)-\d+\b", r"\1-N"),
    (r"(?<=for partition )(\S+) at offset \d+ while expired", r"\1"),
    (r"\b(hash|Hash)[Cc]ode=-?\d+", "hash=N"),
    (r"@[0-9a-f]{6,8}\b", "@HASH"),
]

# Learned: what these find is an id from then on wherever it stands.
IDS = [
    (re.compile(r"TopicId: ?(" + UUID + r")(?![\w-])"), "TOPIC-ID"),
    (re.compile(r"topicId[=:] ?\"?(" + UUID + r")(?![\w-])"), "TOPIC-ID"),
]

NAMED = {
    "rates": [(r"\d+(?:\.\d+)?(?:E-?\d+)?", "N")],
    "verifiable": [(r'"(avg_throughput|timestamp)":[\d.E-]+', r'"\1":"N"')],
    "quorum": [(r"(LeaderEpoch|HighWatermark|MaxFollowerLag|MaxFollowerLagTimeMs):\s+-?\d+", r"\1: N"),
               (r"\b\d+( ms)\b", r"N\1"), (r"(?<=\t)\d+(?=\t)", "N")],
    "replication": [(r"^(\d+\s+\S+\s+)\d+(\s+)\d+", r"\1N\2N"), (r"\b\d+ ms ago", "N ms ago")],
    "epochs": [(r"Epoch: \d+", "Epoch: N")],
    "numbers": [(r"\b\d+\b", "N")],
    "json": [],  # lists and names in lines of JSON are sorted: their order is that of a hash map
    "directory": [(r"(directory\.id=)" + UUID, r"\1UUID")],
    "metadata": [(r"\bcrc: \d+", "crc: N"), (r"\b(directoryId|voterDirectoryId)(\W+)" + UUID, r"\1\2UUID"),
                 (r"\b(LogAppendTime|CreateTime|lastContainedLogTimestamp)(\W+)-?\d+", r"\1\2N")],
    "scram": [(r"(salt|storedKey|serverKey)=\[[-\d, ]*\]", r"\1=[BYTES]")],
    "records": [(r"^\| offset: \d+ ", "| "), (r"CreateTime: \d+", "CreateTime: N"),
                (r"sequence: -?\d+", "sequence: N"),  # of batches without a producer, where it means nothing
                (r'("(?:topicId|topic-id)":)"' + UUID + '"', r'\1"UUID"'),
                (r'("(?:memberId|memberid|leader)":)"' + UUID + '"', r'\1"MEMBER"'),
                (r'("metadataHash":)-?\d+', r"\1N"),
                (r'("[a-zA-Z]*[tT]imestamp":)\d+', r"\1N")],
    # How Java begins what it says when a tool breaks down: the words after it are the message.
    "exception": [(r'^Exception in thread "main" [\w.$]+: ', "")],
    "crc": [(r"crc: \d+", "crc: N")],
    "member": [(r"\b((?:console-)?consumer-\S*?-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "MEMBER"),
               (r"\b[A-Za-z0-9_-]{22}\b(?=\s+/)", "MEMBER")],
    # Ids come from blocks; times are those of the run, and how long a transaction took may be a few milliseconds.
    "transactions": [(r"\b[1-9]\d{2,}\b", "N"), (r"\bN(\s+)N(\s+)\d+\b", r"N\1N\2N")],
    "uuid": [(r"(?<![\w-])" + UUID + r"(?![\w-])", "UUID")],
    "producer-id": [(r"(producerId:? ?=?)\d+", r"\1N")],
}


def ordered(line):
    """A line of JSON with its lists and names sorted; any other line as it is."""
    def sort(value):
        if isinstance(value, list):
            return sorted((sort(v) for v in value), key=json.dumps)
        return {k: sort(v) for k, v in value.items()} if isinstance(value, dict) else value

    try:
        return json.dumps(sort(json.loads(line)), sort_keys=True) if line.startswith("{") else line
    except ValueError:
        return line


class Mask:
    def __init__(self, words):
        """words: [(text, replacement)] of this run, such as its directory and its cluster id."""
        self.words = sorted(words, key=lambda w: -len(w[0]))
        self.ids = {}

    def line(self, line, rules):
        was = line
        for text, name in self.words:
            line = line.replace(text, name)
        for pattern, name in IDS:
            for found in pattern.findall(line):
                self.ids.setdefault(found, name)
        for text, name in self.ids.items():
            line = line.replace(text, name)
        for pattern, name in rules:
            line = re.sub(pattern, name, line)
        line = line.rstrip()
        if line != was.rstrip():
            line = re.sub(r"(?<=\S)[ \t]+", " ", line)
        return line

    def text(self, text, names=()):
        """The masked lines. Frames of a stack are left out: they are the client's."""
        rules = [rule for name in names for rule in NAMED[name]] + ALWAYS
        lines = [self.line(line, rules) for line in text.splitlines() if not FRAME.match(line)]
        if "records" in names:
            lines = [line for line in lines if line.startswith("|")]
        return [ordered(line) for line in lines] if "json" in names else lines
