"""report.py - the report of a run: one page of HTML that needs nothing else, its charts as SVG.

Must not measure or judge: it shows what summary.json holds.
"""
import math
import time
from html import escape

# The colours of what is asked, of statuses, and of series that have none of their own.
KIND = {"search": "#3b76c4", "slots": "#1f9d8b", "appointments": "#8b6cd6", "book": "#e0773a", "refresh": "#b08a2e",
        "login": "#c8487a", "file": "#6b7a8f"}
STATUS = {"2": "#2f9e62", "3": "#7aa6d6", "4": "#d9a21b", "5": "#d3493f", "lost": "#7d8590"}
SERIES = ("#3b76c4", "#e0773a", "#1f9d8b", "#8b6cd6", "#c8487a")

STYLE = """
:root { color-scheme: light dark; --back: #f5f6f8; --card: #fff; --ink: #1c2330; --soft: #667085; --line: #e3e7ed;
        --good: #1f8a54; --bad: #c93a31; --wash: #eef2f7 }
@media (prefers-color-scheme: dark) { :root { --back: #10141a; --card: #181e27; --ink: #e7ebf1; --soft: #98a2b3;
        --line: #2a3340; --good: #4cc38a; --bad: #ff7a70; --wash: #202835 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 56px }
header { display: flex; gap: 16px; justify-content: space-between; align-items: flex-start; flex-wrap: wrap }
h1 { font-size: 26px; line-height: 1.2; margin: 0 }
h2 { font-size: 15px; margin: 0 0 2px }
p { margin: 4px 0 0; color: var(--soft); max-width: 75ch }
.verdict { font-weight: 650; padding: 7px 16px; border-radius: 999px; color: #fff; white-space: nowrap }
.kept { background: #1f8a54 } .missed { background: #c93a31 }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin: 22px 0 12px }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 12px }
.tile { padding: 12px 16px } .tile b { display: block; font-size: 22px; font-weight: 620; line-height: 1.3;
        font-variant-numeric: tabular-nums; white-space: nowrap } .tile span { color: var(--soft); font-size: 13px }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 500px), 1fr)); gap: 12px }
.card { padding: 16px 18px; min-width: 0 } .card p { font-size: 13px; margin: 0 0 8px } .wide { grid-column: 1 / -1 }
.scroll { overflow-x: auto }
svg { display: block; width: 100%; height: auto; overflow: visible }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; font-variant-numeric: tabular-nums }
svg .name { fill: var(--ink); font-size: 12px } svg .rule { stroke: var(--line) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: 12.5px }
th, td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line) } tr:last-child td { border-bottom: 0 }
td.n, th.n { text-align: right; white-space: nowrap } code { font: 13px ui-monospace, "DejaVu Sans Mono", monospace }
.ok { color: var(--good); font-weight: 600 } .no { color: var(--bad); font-weight: 600 }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 12.5px; color: var(--soft); margin: 2px 0 8px }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px }
footer { color: var(--soft); font-size: 13px; margin-top: 22px }
"""

# ---- numbers as people read them -------------------------------------------------------------


def ms(value):
    """Milliseconds, with as many digits as mean something."""
    if value >= 10000:
        return f"{value / 1000:.0f} s"
    if value >= 1000:
        return f"{value / 1000:.2g} s" if value % 1000 else f"{value / 1000:.0f} s"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"


def count(value):
    """A number, in thousands where it is large."""
    value = float(value)
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    if value >= 1e4:
        return f"{value / 1e3:.3g} k"
    return f"{value:,.0f}".replace(",", " ") if value == int(value) or value >= 100 else f"{value:.3g}"


# ---- charts ----------------------------------------------------------------------------------


class Chart:
    """A field with axes; what is drawn into it is in the units of the axes."""

    def __init__(self, x, y, log=False, height=230, width=520, say_y=count):
        self.w, self.h, self.left, self.top, self.bottom = width, height, 52, 10, 26
        self.log, self.say_y, self.parts = log, say_y, []
        self.x0, self.x1 = x[0], x[1] if x[1] > x[0] else x[0] + 1
        low, high = y
        if log:
            self.y0 = 10 ** math.floor(math.log10(max(low, 1e-2)))
            self.y1 = max(10 ** math.ceil(math.log10(max(high, 1e-2)) * 2 - 1e-9), 1) ** 0.5
            self.y1 = max(self.y1, self.y0 * 10)
        else:
            self.y0, self.y1 = 0, nice(high)

    def px(self, x):
        return self.left + (x - self.x0) / (self.x1 - self.x0) * (self.w - self.left - 12)

    def py(self, y):
        if self.log:
            share = (math.log10(max(y, self.y0)) - math.log10(self.y0)) / (math.log10(self.y1) - math.log10(self.y0))
        else:
            share = y / self.y1
        return self.h - self.bottom - share * (self.h - self.top - self.bottom)

    def ticks(self):
        if not self.log:
            return [self.y1 * i / 4 for i in range(5)]
        decades = range(round(math.log10(self.y0)), math.floor(math.log10(self.y1) + 1e-9) + 1)
        return [10.0 ** d for d in decades]

    def line(self, points, colour, label="", dash=""):
        if not points:
            return
        path = "M" + "L".join(f"{self.px(x):.1f} {self.py(y):.1f}" for x, y in points)
        self.parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round" '
                          f'stroke-dasharray="{dash}"><title>{escape(label)}</title></path>')

    def area(self, points, colour, label=""):
        if points:
            base = f"{self.h - self.bottom:.1f}"
            path = (f"M{self.px(points[0][0]):.1f} {base}L"
                    + "L".join(f"{self.px(x):.1f} {self.py(y):.1f}" for x, y in points)
                    + f"L{self.px(points[-1][0]):.1f} {base}Z")
            self.parts.append(f'<path d="{path}" fill="{colour}" opacity="0.18"><title>{escape(label)}</title></path>')

    def dots(self, points, colour, say):
        for x, y in points:
            self.parts.append(f'<circle cx="{self.px(x):.1f}" cy="{self.py(y):.1f}" r="3.2" fill="{colour}">'
                              f"<title>{escape(say(x, y))}</title></circle>")

    def rule(self, y, label, colour="var(--bad)"):
        self.parts.append(f'<line x1="{self.left}" x2="{self.w - 12}" y1="{self.py(y):.1f}" y2="{self.py(y):.1f}" '
                          f'stroke="{colour}" stroke-dasharray="5 4"/><text x="{self.left + 6}" '
                          f'y="{self.py(y) - 5:.1f}" style="fill:{colour}">{escape(label)}</text>')

    def mark(self, x, label, colour="var(--good)"):
        side = "end" if self.px(x) > self.w * 0.6 else "start"
        dx = -6 if side == "end" else 6
        self.parts.append(f'<line x1="{self.px(x):.1f}" x2="{self.px(x):.1f}" y1="{self.top}" '
                          f'y2="{self.h - self.bottom}" stroke="{colour}" stroke-dasharray="5 4"/>'
                          f'<text x="{self.px(x) + dx:.1f}" y="{self.top + 12}" text-anchor="{side}" class="name" '
                          f'style="fill:{colour};font-weight:600">{escape(label)}</text>')

    def svg(self, x_ticks, label):
        grid = "".join(f'<line class="rule" x1="{self.left}" x2="{self.w - 12}" y1="{self.py(y):.1f}" '
                       f'y2="{self.py(y):.1f}"/><text x="{self.left - 8}" y="{self.py(y) + 4:.1f}" '
                       f'text-anchor="end">{escape(self.say_y(y))}</text>' for y in self.ticks())
        below = "".join(f'<text x="{self.px(x):.1f}" y="{self.h - self.bottom + 17}" text-anchor="middle">'
                        f"{escape(text)}</text>" for x, text in x_ticks)
        return (f'<svg viewBox="0 0 {self.w} {self.h}" role="img" aria-label="{escape(label)}">'
                f"{grid}{below}{''.join(self.parts)}</svg>")


def nice(high):
    """A round number that is not below that."""
    if high <= 0:
        return 1
    unit = 10 ** math.floor(math.log10(high))
    return next(unit * n for n in (1, 2, 4, 6, 8, 10) if unit * n >= high)


def legend(pairs):
    return '<div class="legend">' + "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in pairs) + "</div>"


def card(title, text, body, wide=False):
    return (f'<section class="card{" wide" if wide else ""}"><h2>{escape(title)}</h2><p>{escape(text)}</p>'
            f"{body}</section>")


# ---- the charts of a run ---------------------------------------------------------------------

PERCENTILES = (("p50", "50 %"), ("p75", "75 %"), ("p90", "90 %"), ("p95", "95 %"), ("p99", "99 %"),
               ("p99_9", "99.9 %"), ("max", "all"))


def kinds_of(results):
    """(what it is called, its colour, its dashes, what was found) of each kind of each traffic."""
    for i, (name, found) in enumerate(results.items()):
        for kind, part in found["kinds"].items():
            yield f"{name}: {kind}" if len(results) > 1 else kind, KIND[kind], "4 3" * (i > 0), part


def percentiles(results):
    lines = [(name, colour, dash, [max(part["latency_us"][p] / 1000, 0.01) for p, _ in PERCENTILES])
             for name, colour, dash, part in kinds_of(results)]
    every = [y for *_, ys in lines for y in ys]
    if not every:
        return ""
    chart = Chart((0, len(PERCENTILES) - 1), (min(every), max(every)), log=True, say_y=ms)
    for name, colour, dash, ys in lines:
        chart.line(list(enumerate(ys)), colour, name, dash)
        chart.dots(list(enumerate(ys)), colour,
                   lambda x, y, name=name: f"{name}: {PERCENTILES[x][1]} within {ms(y)}")
    return card("How long answers took", "So many of all requests were answered within that time, counted from when each "
                "was due to be sent." + " Dashed: what is asked beside the first." * (len(results) > 1), legend(
                    (n, c) for n, c, *_ in lines) +
                chart.svg([(i, text) for i, (_, text) in enumerate(PERCENTILES)], "latency percentiles"))


def time_ticks(seconds):
    step = next((s for s in (1, 2, 5, 10, 30, 60, 300, 600) if seconds / s <= 8), 3600)
    return [(t, f"{t // 60} min" if step >= 60 else f"{t} s") for t in range(0, int(seconds) + 1, step)]


def steps_as_line(steps):
    at, points = 0, []
    for s in steps:
        points += [(at, s["rate"]), (at + s["seconds"], s["rate"])]
        at += s["seconds"]
    return points


def whole_seconds(found):
    """Without the last one after the plan's end, which is but a part of one."""
    planned, seconds = math.ceil(sum(s["seconds"] for s in found["steps"])), found["seconds"]
    return seconds[:-1] if len(seconds) > max(planned, 1) else seconds


def series(results):
    return list(zip(results, SERIES * len(results), map(whole_seconds, results.values())))


def over_time(results):
    length = max(max(len(f["seconds"]), sum(s["seconds"] for s in f["steps"])) for f in results.values())
    if not any(f["seconds"] for f in results.values()):
        return ""
    top = max([s["answered"] for f in results.values() for s in f["seconds"]] +
              [s["rate"] for f in results.values() for s in f["steps"]])
    rate = Chart((0, length), (0, top), say_y=lambda y: count(y) + "/s")
    worst = [s[p] / 1000 for f in results.values() for s in f["seconds"] for p in ("p50", "p99") if s[p]] or [1]
    late = Chart((0, length), (min(worst), max(worst)), log=True, say_y=ms)
    wait = Chart((0, length), (0, max(s["waiting"] for f in results.values() for s in f["seconds"])))
    for name, colour, seconds in series(results):
        if not results[name]["closed_loop"]:
            rate.line(steps_as_line(results[name]["steps"]), "var(--soft)", f"{name}: planned", "4 3")
        answered = [(t + 0.5, s["answered"]) for t, s in enumerate(seconds)]
        rate.area(answered, colour)
        rate.line(answered, colour, f"{name}: answered")
        late.line([(t + 0.5, s["p50"] / 1000) for t, s in enumerate(seconds) if s["p50"]], colour, f"{name}: p50", "2 3")
        late.line([(t + 0.5, s["p99"] / 1000) for t, s in enumerate(seconds) if s["p99"]], colour, f"{name}: p99")
        waiting = [(t + 0.5, s["waiting"]) for t, s in enumerate(seconds)]
        wait.area(waiting, colour)
        wait.line(waiting, colour, f"{name}: waiting")
    names = [(name, colour) for name, colour, _ in series(results)]
    ticks = time_ticks(length)
    return (card("Rate", "Answers in each second; dashed, the rate that was planned.", legend(names) +
                 rate.svg(ticks, "rate over time")) +
            card("Latency over time", "Of the answers of each second: 99 of 100 within the solid line, half of them "
                 "within the dotted one.", legend(names) + late.svg(ticks, "latency over time")) +
            card("Backlog", "Requests that were due and not yet answered, at the end of each second.", legend(names) +
                 wait.svg(ticks, "requests that wait")))


def offered(name, found, limit, knee):
    """Latency against offered load, where several rates were tried."""
    steps = [s for s in found["steps"] if s["rate"] > 0 and s["answered"]]
    if len({s["rate"] for s in steps}) < 2:
        return ""
    ys = [s["latency_us"][p] / 1000 for s in steps for p in ("p50", "p99")]
    chart = Chart((0, max(s["rate"] for s in steps)), (min(ys), max([*ys, limit])), log=True, say_y=ms)
    for p, colour in (("p50", SERIES[2]), ("p99", SERIES[0])):
        points = sorted((s["rate"], s["latency_us"][p] / 1000) for s in steps)
        chart.line(points, colour, p)
        chart.dots(points, colour, lambda x, y, p=p: f"{count(x)}/s: {p} {ms(y)}")
    if limit:
        chart.rule(limit, f"p99 of {ms(limit)}")
        if knee:
            chart.mark(knee, f"knee: {count(knee)}/s")
    rates = sorted({s["rate"] for s in steps})
    shown = rates if len(rates) <= 8 else rates[::2]
    return card(f"Latency against offered load: {name}", "Each step of the plan is a point. The knee is the highest rate "
                "before one that was too much.", legend((("p50", SERIES[2]), ("p99", SERIES[0]))) +
                chart.svg([(r, f"{count(r)}/s") for r in shown], "latency against offered load"))


def outcomes(results):
    rows = []
    for name, *_, part in kinds_of(results):
        rows.append((name, {**part["status"]}))
    for name, found in results.items():
        lost = sum(found[k] for k in ("cut", "late", "broken", "unsent")) - found["retried"]
        if lost > 0:
            rows.append((f"{name}: never answered", {"lost": lost}))
    if not rows:
        return ""
    height, most = 30, max(len(n) for n, _ in rows)
    left = min(190, 12 + 7 * most)
    bars = []
    for i, (name, statuses) in enumerate(rows):
        total, at = sum(statuses.values()), 0.0
        bars.append(f'<text class="name" x="{left - 10}" y="{i * height + 19}" text-anchor="end">{escape(name)}</text>')
        for status, n in statuses.items():
            width = n / total * (1040 - left - 80)
            colour = STATUS.get(status, STATUS.get(status[0], "#888"))
            text = f'<text x="{left + at + 7:.1f}" y="{i * height + 19}" style="fill:#fff;font-weight:600">{status}</text>'
            bars.append(f'<rect x="{left + at:.1f}" y="{i * height + 5}" width="{max(width - 1, 1):.1f}" height="20" '
                        f'rx="4" fill="{colour}"><title>{escape(name)}: {n} × {status}</title></rect>'
                        + (text if width > 34 else ""))
            at += width
        bars.append(f'<text x="{left + at + 8:.1f}" y="{i * height + 19}">{count(total)}</text>')
    return card("Outcomes", "How each kind of request was answered, by HTTP status.",
                f'<div class="scroll"><svg viewBox="0 0 1040 {height * len(rows) + 6}" role="img" aria-label="outcomes">'
                + "".join(bars) + "</svg></div>", wide=True)


# ---- tables ----------------------------------------------------------------------------------


def table(head, rows):
    """Cells that begin with a digit, a sign or nothing stand to the right."""
    def cell(tag, i, text):
        return f'<{tag}{"" if i == 0 else " class=n"}>{text}</{tag}>'
    return ('<div class="scroll"><table><tr>' + "".join(cell("th", i, escape(h)) for i, h in enumerate(head)) + "</tr>"
            + "".join("<tr>" + "".join(cell("td", i, c) for i, c in enumerate(row)) + "</tr>" for row in rows)
            + "</table></div>")


def objectives(summary):
    rows = [(f"<code>{escape(o['objective'])}</code>", f"{o['measured']:.6g}", f"{o['limit']:.6g}",
             '<span class="ok">kept</span>' if o["met"] else '<span class="no">missed</span>')
            for o in summary["objectives"]]
    rows.append(("<code>healthmed verify</code>: nothing lost, nothing booked twice, first come, first served",
                 summary["verify"], 0,
                 '<span class="ok">clean</span>' if summary["verify"] == 0 else '<span class="no">broken</span>'))
    return card("Objectives", "What the scenario asks for.", table(("objective", "measured", "allowed", ""), rows), wide=True)


def latency_table(results):
    rows = [(escape(name), count(part["answered"]),
             *(ms(part["latency_us"][p] / 1000) for p in ("p50", "p90", "p99", "p99_9", "max")))
            for name, *_, part in kinds_of(results)]
    return card("Latency by kind", "From the planned time of each request to the end of its answer.",
                table(("", "answered", "p50", "p90", "p99", "p99.9", "max"), rows), wide=True)


def processes(summary):
    seconds = max((f["elapsed_s"] for f in summary["results"].values()), default=1) or 1
    memory = summary["memory_mib"]
    rows = [(escape(name), f"{used:.1f} s", f"{used / seconds:.2f}", f"{memory[name]:.0f} MiB" if name in memory else "")
            for name, used in sorted(summary["cpu_s"].items(), key=lambda kv: -kv[1])]
    return card("Processes", "Processor time during the traffic, in seconds and in cores, and the most memory each had.",
                table(("", "processor", "cores", "memory"), rows), wide=True)


# ---- the page --------------------------------------------------------------------------------


def verdict(summary):
    missed = [o for o in summary["objectives"] if not o["met"]]
    if summary["verify"]:
        return False, "a promise was broken"
    if missed:
        return False, f"{len(missed)} of {len(summary['objectives'])} objectives missed"
    return True, "all objectives kept, all promises held"


def tiles(summary):
    results = summary["results"]
    answered = sum(f["answered"] for f in results.values())
    errors = sum(f["errors"] for f in results.values())
    first = next(iter(results.values()))
    shown = [(count(sum(f["connections"] for f in results.values())), "connections"), (count(answered), "answered"),
             (count(round(sum(f["rate"] for f in results.values()))) + "/s", "rate"),
             (ms(first["latency_us"]["p50"] / 1000), "median"), (ms(first["latency_us"]["p99"] / 1000), "99 of 100 within"),
             (count(errors), "not as expected"), (count(summary["appointments"]), "appointments made")]
    if any(summary["limit_ms"].values()):
        shown.insert(5, (count(max(summary["knee"].values())) + "/s", "knee"))
    return '<div class="tiles">' + "".join(f'<div class="tile"><b>{v}</b><span>{n}</span></div>' for v, n in shown) + "</div>"


def page(summary):
    """The report as HTML."""
    well, line = verdict(summary)
    results, m = summary["results"], summary["machine"]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(summary["started"]))
    busy = m["load_average_before"] > 0.5
    cards = [objectives(summary), percentiles(results), over_time(results),
             *(offered(n, f, summary["limit_ms"][n], summary["knee"][n]) for n, f in results.items()),
             outcomes(results), latency_table(results), processes(summary)]
    data = summary["data"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(summary["scenario"])}: {escape(line)}</title><style>{STYLE}</style></head><body><main>
<header><div><h1>{escape(summary["scenario"])}</h1><p>{escape(summary["about"])}</p></div>
<div class="verdict {"kept" if well else "missed"}">{escape(line)}</div></header>
{tiles(summary)}
<div class="grid">{"".join(cards)}</div>
<footer>{when} · commit {escape(str(m["commit"]))} · {escape(str(m["processor"]))}, {m["cores"]} cores with the generator on
them, {m["memory_gib"]} GiB, Linux {escape(m["kernel"])} · {m["fdatasync_per_s"]} fdatasync/s · PostgreSQL
{escape(m["postgresql"])} · {data["doctors"]} doctors, {data["patients"]} patients, {data["slots"]} slots,
{data["booked_before"]} appointments before · {"./stack up " + " ".join(summary["stack"]) if summary["stack"] else "one of each process"} ·
load {m["load_average_before"]:.1f} before the start{": the machine was busy with other things" if busy else ""}</footer>
</main></body></html>
"""
