# SPDX-License-Identifier: Apache-2.0
"""Hot produce and hot fetch while one consumer reads what is not in the page cache (figure cold_reads of dev/bench).

One partition is filled and synced, then for each round: the load alone; the files are dropped from the page cache and
mincore is asked whether they are gone; the load again for as long as a consumer reads them from the first record to the
last; dropped once more, and the load while a plain program reads the same files at the same rate: what the disk and the
processors cost anybody. Before each reading something else fills the page cache, as on any machine that has run for a
day: a virtual machine's host takes free memory back, and to get it again stalls a processor.
What came from the disk is what the kernel counted for the process of the server (read_bytes of /proc/PID/io).
"""
import os
import signal
import subprocess
import time

TOPIC = "cold"
PAGE = 4096
RATE = 2000  # records of 1 KB each second
HOT = {"rate": RATE, "conns": 10, "record": 1024, "batch": 1, "consumer": 1, "spin": 0, "topic": "hot"}
FREE_BYTES = 700 << 20  # left when the page cache counts as full


def log_folder(server):
    """Where the partition lies."""
    for root, folders, _ in os.walk(server.folder):
        if f"{TOPIC}-0" in folders:
            return os.path.join(root, f"{TOPIC}-0")
    raise RuntimeError(f"{server.name} has no folder of {TOPIC}-0")


def disk_read_bytes(pid):
    with open(f"/proc/{pid}/io") as f:
        return int(dict(line.split(": ") for line in f.read().splitlines())["read_bytes"])


def free_bytes():
    with open("/proc/meminfo") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("MemFree:"))


def fill_page_cache(folder):
    """With the holes of a sparse file, which no disk has to give."""
    path = os.path.join(folder, "page-cache")
    block = bytearray(1 << 20)
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        os.ftruncate(file, size)
        for pos in range(0, size, len(block)):
            if free_bytes() < FREE_BYTES:
                break
            os.preadv(file, [block], pos)
    finally:
        os.close(file)


def evict(tool, server):
    evicted = tool("bench_disk", "evict", dir=log_folder(server), suffix=".log")
    if evicted["resident"] > 0.01 * evicted["bytes"]:
        raise RuntimeError(f"{evicted['resident'] / 1e6:.0f} MB stay in the page cache")
    fill_page_cache(server.folder)


def line_of(text):
    result = {}
    for word in text.split():
        key, _, value = word.partition("=")
        try:
            result[key] = float(value)
        except ValueError:
            pass
    return result


def hot_until(tools, server, process):
    """The load at a fixed rate for as long as `process` runs; what it printed."""
    keys = [f"{k}={v}" for k, v in {**HOT, "warm": 0.1, "secs": 600, "port": server.port, "pid": server.pid}.items()]
    hot = subprocess.Popen([str(tools / "bench_load"), "open", *keys], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True)
    try:
        process.wait(400)
    finally:
        hot.send_signal(signal.SIGINT)
        out, err = hot.communicate(timeout=60)
    if hot.returncode != 0:
        raise RuntimeError(f"the load failed: {err.strip()[-300:]}")
    return line_of(out)


def once(tool, tools, server, volume, quiet_s):
    quiet = tool("bench_load", "open", port=server.port, pid=server.pid, secs=quiet_s, warm=1, **HOT)
    evict(tool, server)
    before = disk_read_bytes(server.pid)
    cold = subprocess.Popen([str(tools / "bench_load"), "cold", f"topic={TOPIC}", f"port={server.port}",
                             f"pid={server.pid}", f"bytes={volume}"], stdout=subprocess.PIPE, text=True)
    hot = hot_until(tools, server, cold)
    if cold.returncode != 0:
        raise RuntimeError("the cold consumer failed")
    read = line_of(cold.stdout.read())
    missed = disk_read_bytes(server.pid) - before
    evict(tool, server)
    plain = subprocess.Popen(["sh", "-c", 'for f in "$1"/*.log; do "$2" read file="$f" mbps="$3" || exit 1; done', "sh",
                              log_folder(server), str(tools / "bench_disk"), str(read["mbps"])],
                             stdout=subprocess.DEVNULL)
    floor = hot_until(tools, server, plain)
    if plain.returncode != 0:
        raise RuntimeError("the plain reading failed")
    return {
        "floor_produce_us": floor["p99_us"], "floor_fetch_us": floor["e2e_p99_us"],
        "quiet_produce_us": quiet["p99_us"], "quiet_fetch_us": quiet["e2e_p99_us"],
        "produce_us": hot["p99_us"], "fetch_us": hot["e2e_p99_us"],
        "produce_p999_us": hot["p999_us"], "fetch_p999_us": hot["e2e_p999_us"],
        "cold_mbps": read["mbps"], "cold_s": read["secs"], "cold_cpu": read["cpu_s_per_gb"],
        "missed_pages": missed / PAGE, "missed_share": missed / read["bytes"],
        "other_cores": quiet["other_cores"],
    }


def fill(tool, server, volume):
    """A little more than is read, so that the consumer never waits for news."""
    tool("bench_load", "produce", port=server.port, pid=server.pid, topic=TOPIC, batch=131072,
         bytes=volume + (64 << 20), warm=0, secs=600)
    os.sync()
    time.sleep(1)


def run(tool, tools, server, volume, quiet_s, rounds):
    fill(tool, server, volume)
    server.load("open", secs=2, warm=1, **HOT)
    return [once(tool, tools, server, volume, quiet_s) for _ in range(rounds)]
