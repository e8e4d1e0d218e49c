"""Whether processes grow: resident memory and open files of each, sampled while something goes on, and their slopes.

    with Sampler(stack) as sampler: ...
    growing = sampler.report()      # prints a line a process; names those that are not flat

A process is judged by its second minute and later: buffers, caches and pools have been filled by then.  It grows when
the least that it had in the second half of that time is more than the least of the first half, by more than GROWTH: what
is collected now and then goes up and down.  The slopes are those of the straight line through the samples.

What shares a port shares its clients: one that is killed leaves them to the others, until they move on.  So of the files
of the proxies each is held to have its share.
"""
import os
import sys
import threading
import time
from pathlib import Path

EVERY, SETTLED, LONG = 2, 60, 150               # seconds: between samples, until they count, and to be judged
PAGE = os.sysconf("SC_PAGE_SIZE")
# What is more than noise: KiB of memory, files.  A gateway keeps, for each of its threads, as much as the largest
# request needed that came to that thread; a NATS server a row for every subject that it has stored.
GROWTH = {"gateway": (24576, 8), "nats": (131072, 24)}
USUAL = (1024, 4)
TOGETHER = "proxy"


def slope(points):
    """Of the straight line through them, by least squares, a minute."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return 60 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def rise(values):
    """Of the least of the first half to the least of the second."""
    half = len(values) // 2
    return min(values[half:]) - min(values[:half])


def _look(file):
    """The process of a pid file: its number, KiB in memory, files; None when it has just been killed, or nobody has
    taken notice of its end."""
    try:
        pid = int(file.read_text())
        memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE // 1024
        return (pid, memory, len(os.listdir(f"/proc/{pid}/fd"))) if memory > 0 else None
    except (OSError, ValueError):
        return None


class Sampler:
    def __init__(self, stack):
        self.stack, self.samples, self.end = stack, {}, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()

    def _run(self):
        while not self.end.wait(EVERY):
            seen = {file.stem: _look(file) for file in (self.stack.run / "pids").glob("*.pid")}
            together = [found for name, found in seen.items() if name.startswith(TOGETHER)]
            for name, found in seen.items():
                if found is None or name.startswith(TOGETHER) and None in together:
                    continue
                pid, memory, files = found
                if name.startswith(TOGETHER):
                    files = sum(its for *_, its in together) / len(together)
                self.samples.setdefault((name, pid), []).append((time.monotonic(), memory, files))

    def report(self):
        growing = []
        print(f"    {'process':<24} {'seconds':>7} {'KiB':>8} {'a minute':>8} {'files':>6} {'a minute':>8}", file=sys.stderr)
        for (name, pid), samples in sorted(self.samples.items()):
            began, ended = samples[0][0], samples[-1][0]
            late = [s for s in samples if s[0] > began + SETTLED]
            if ended - began < LONG:
                continue
            slopes = slope([(t, m) for t, m, _ in late]), slope([(t, f) for t, _, f in late])
            most = GROWTH.get(name.split("-")[0], USUAL)
            grows = any(rise([s[i] for s in late]) > most[i - 1] for i in (1, 2))
            print(f"    {name:<24} {ended - began:>7.0f} {late[-1][1]:>8} {slopes[0]:>8.1f} {late[-1][2]:>6.0f} {slopes[1]:>8.2f}"
                  f"{'  GROWS' if grows else ''}", file=sys.stderr)
            growing += [f"{name} by {slopes[0]:.0f} KiB and {slopes[1]:.1f} files a minute"] if grows else []
        return growing
