"""Makes tables, a JSON summary and a chart of what echo_bench printed.

usage: report.py FILE.jsonl ... [--json OUT] [--markdown OUT] [--svg OUT]
       report.py --document DOC RESULTS.md MICRO.txt ...
       report.py --self-test

Each file is a series: "main" (all kinds), "paired" (more rounds, for ratios near
1), "open" (at a fixed rate); but "scale" is what the programs of bench/scale print.
Figures are medians of the rounds, ranges are
minimum and maximum; a ratio is taken within each round, between two runs that
followed each other, and then its median.  Standard library only.
"""

import json
import os
import sys

import bounds
import chart
from figures import KINDS, Series, load_name, number, ratio_text, span

# Of Weft: series in order of preference, load, placement, figure, against, at most.
TARGETS = [
    (["paired", "main"], "32:1x1", "same", "server_us", "raw", 1.15),
    (["paired", "main"], "32:1x1", "different", "p50_us", "raw", 1.1),
    (["main"], "32:1x64", "same", "server_us", "raw", 4),
    (["main"], "32:1x64", "different", "server_us", "raw", 1.5),
    (["main"], "32:64x8", "same", "server_us", "raw", 2),
    (["main"], "32:64x8", "different", "server_us", "raw", 1.5),
    (["main"], "1024:64x8", "same", "server_us", "raw", 1.9),
    (["main"], "1024:64x8", "different", "server_us", "raw", 1.4),
    (["paired", "main"], "65536:1x64", "same", "server_us", "raw", 1.1),
    (["paired", "main"], "65536:1x64", "different", "server_us", "raw", 1.1),
    (["paired", "main"], "32:1x1", "same", "client_us", "raw", 1.15),
    (["main"], "32:1x64", "same", "client_us", "raw", 4),
    (["main"], "32:64x8", "same", "client_us", "raw", 2),
    (["main"], "1024:64x8", "same", "client_us", "raw", 1.9),
    (["paired", "main"], "65536:1x64", "same", "client_us", "raw", 1.1),
    (["paired", "main"], "65536:1x64", "same", "both_us", "raw", 1.1),
    (["main"], "32:1x1", "same", "server_us", "grpc", 1 / 5),
    (["main"], "32:1x64", "same", "server_us", "grpc", 1 / 40),
    (["main"], "32:64x8", "same", "server_us", "grpc", 1 / 30),
    (["main"], "1024:64x8", "same", "server_us", "grpc", 1 / 20),
    (["main"], "65536:1x64", "same", "server_us", "grpc", 1 / 2.5),
    (["main"], "order:64x8", "same", "server_us", "bufferevent", 0.5),
    (["observed"], "32:64x8", "same", "server_us", "weft (not observed)", 1.1),
    (["syscalls"], "32:1x1", "same", "server_syscalls", "", 3.05),  # set-up included
    (["syscalls"], "32:1x64", "same", "server_syscalls", "", 0.06),
]
FIGURES = {"server_us": "server CPU", "client_us": "client CPU", "both_us": "CPU of both",
           "p50_us": "p50 latency",
           "server_syscalls": "server's system calls"}
# A raw echo that does not batch would be no limit.
RAW_SYSCALLS = ("32:1x64", 0.05)


def table(header, rows):
    widths = [max(len(row[i]) for row in [header] + rows) for i in range(len(header))]
    rule = ["-" * width for width in widths]
    return ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
            for row in [header, rule] + rows]


def run_rows(series, load, placement):
    rows = []
    for kind in series.kinds:
        runs = series.runs(kind, load, placement)
        if not runs:
            rows.append([load_name(load), KINDS.get(kind, kind), "missing"] + [""] * 8)
            continue
        rows.append([
            load_name(load), KINDS.get(kind, kind),
            span(runs, "calls_per_s", scale=1e-3, digits=1),
            span(runs, "p50_us", digits=1, ranges=False), span(runs, "p99_us", digits=1, ranges=False),
            span(runs, "p999_us", digits=1, ranges=False), span(runs, "max_us", digits=0, ranges=False),
            span(runs, "server_us"), ratio_text(series, kind, load, placement, "server_us"),
            span(runs, "client_us", ranges=False) + " (" +
            ratio_text(series, kind, load, placement, "client_us") + ")",
            span(runs, "server_rss_kb", scale=1 / 1024, digits=1, ranges=False),
        ])
    return rows


HEADER = ["load", "kind", "1000 calls/s", "p50 µs", "p99", "p99.9", "max", "server µs/call",
          "× raw", "client µs/call (× raw)", "server MiB"]
WHERE = {"same": "server and client on the same core",
         "different": "server and client on different cores"}


def syscalls_text(series):
    rows = [[load_name(load)] + [span(series.runs(kind, load, "same"), "server_syscalls")
                                 if series.runs(kind, load, "same") else "missing"
                                 for kind in series.kinds] for load in series.loads]
    return ["", "**System calls of the server per call (strace -c)**", ""] + \
        table(["load"] + [KINDS.get(kind, kind) for kind in series.kinds], rows)


def series_text(series):
    if series.name == "syscalls":
        return syscalls_text(series)
    lines = []
    for placement in series.placements:
        rows = [row for load in series.loads
                if any(series.runs(kind, load, placement) for kind in series.kinds)
                for row in run_rows(series, load, placement)]
        rate = f", {series.rate:,.0f} calls/s begun" if series.rate else ""
        lines += ["", f"**{series.name}: {WHERE[placement]}{rate}; {series.rounds} rounds**", ""]
        lines += table(HEADER, rows)
    return lines


def void(all_series):
    load, most = RAW_SYSCALLS
    return [f"raw epoll at {load_name(load)}, {run['placement']} core: "
            f"{run['server_syscalls']:.3f} system calls per call: the figure is void"
            for series in all_series.values() for run in series.records
            if series.name != "syscalls" and run["kind"] == "raw" and run["load"] == load and run["placement"] == "same"
            and not run["rate"] and run.get("server_syscalls", 0) > most]


def target_rows(all_series):
    rows = []
    for names, load, placement, figure, against, most in TARGETS:
        kind, other = "weft", against
        if against.startswith("weft"):
            kind, other = "weft:observed", "weft"
        for series in (all_series[name] for name in names if name in all_series):
            got = series.ratio(kind, other, load, placement, figure) if other else \
                series.spread(kind, load, placement, figure)
            if got is None:
                continue
            fraction = other == "grpc"
            limit = f"1/{1 / most:g}" if fraction else f"{most:.2f}"
            ours = f"1/{1 / got[0]:.1f}" if fraction else number(got[0])
            # The raw loop with the congestion control that Weft chooses over loopback.
            like_us = other == "raw" and series.ratio(kind, "raw:reno", load, placement, figure)
            rows.append([load_name(load), placement, FIGURES[figure], KINDS.get(other, against) or "per call",
                         f"≤ {limit}", ours, f"{got[1]:.3g} to {got[2]:.3g}",
                         number(like_us[0]) if like_us else "", str(got[3]),
                         "yes" if got[0] <= most else "**no**"])
            break
    return rows


def targets_text(all_series):
    rows = target_rows(all_series)
    if not rows:
        return []
    return ["", "**Weft against its targets (median of the ratios within a round)**", ""] + table(
        ["load", "cores", "figure", "against", "target", "measured", "range", "by raw epoll, Reno",
         "rounds", "met"], rows)


def scale_text(records):
    rows = list(bounds.rows(records))
    if not rows:
        return []
    return ["", "**scale: what is to hold however much there is (median of the rounds, range)**",
            ""] + table(["figure", "target", "measured", "rounds", "met"], rows)


def read(path):
    conditions, records = {}, []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                record = json.loads(line)
                conditions.update(record.get("conditions", {}))
                if "kind" in record:
                    record["both_us"] = record["server_us"] + record["client_us"]
                if "kind" in record or "scale" in record:
                    records.append(record)
    return conditions, records


def report(paths, outputs):
    all_series, conditions, scale = {}, {}, []
    for path in paths:
        said, records = read(path)
        conditions = {**said, **conditions}  # of the first
        if records and "scale" in records[0]:
            scale += records
        elif records:
            name = os.path.splitext(os.path.basename(path))[0]
            all_series[name] = Series(name, records, said.get("kinds", "").split(","))
    lines = [f"{key}: {value}  " for key, value in conditions.items() if key != "kinds"]
    for series in all_series.values():
        lines += series_text(series)
    lines += targets_text(all_series) + scale_text(scale)
    voids = void(all_series)
    lines += [""] * bool(voids) + voids
    print("\n".join(lines))
    if "--markdown" in outputs:
        write(outputs["--markdown"], "\n".join(lines) + "\n")
    if "--json" in outputs:
        write(outputs["--json"], json.dumps({
            "conditions": conditions,
            "series": {name: series.summary() for name, series in all_series.items()},
            "scale": scale,
        }, indent=1) + "\n")
    if "--svg" in outputs and "main" in all_series:
        write(outputs["--svg"], chart.draw(all_series["main"], "same"))
    return 1 if voids else 0


def document(path, results, micros):
    """Puts results between the marks of a document."""
    begin, end = "<!-- results of script/bench -->\n", "<!-- end of results -->\n"
    with open(path, encoding="utf-8") as text:
        head, rest = text.read().split(begin)
        tail = rest.split(end)[1]
    with open(results, encoding="utf-8") as text:
        body = "![server CPU per call](performance.svg)\n\n" + text.read()
    for micro in micros:
        name = os.path.splitext(os.path.basename(micro))[0]
        with open(micro, encoding="utf-8") as text:
            body += f"\n**{name}**\n\n```text\n{text.read()}```\n"
    write(path, head + begin + "\n" + body + "\n" + end + tail)


def write(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def self_test():
    def run(kind, n, server, syscalls=0.04):
        return {"kind": kind, "load": "32:1x64", "placement": "same", "round": n, "rate": 0,
                "calls_per_s": 1e6, "server_us": server, "client_us": 1, "p50_us": 1, "p99_us": 2,
                "p999_us": 3, "max_us": 4, "server_rss_kb": 2048, "client_rss_kb": 2048,
                "server_syscalls": syscalls}

    # The machine slows down from round to round; the ratios do not care.
    records = [run(kind, n, base * slow) for n, slow in enumerate([1, 2, 9])
               for kind, base in (("raw", 0.05), ("weft", 0.15))]
    series = Series("main", records, ["raw", "weft", "grpc"])
    assert [round(x, 6) for x in series.ratio("weft", "raw", "32:1x64", "same", "server_us")] == \
        [3, 3, 3, 3]
    text = "\n".join(series_text(series))
    assert "missing" in text and "× 3.00" in text and "0.300 (0.150–1.35)" in text, text
    assert [row[-1] for row in target_rows({"main": series})] == ["yes", "yes"]
    slow = Series("main", records + [run("grpc", n, 1) for n in range(3)], ["raw"])
    assert target_rows({"main": slow})[-1][-1] == "**no**"
    both = records + [run("raw:reno", n, base) for n, base in enumerate([0.1, 0.2, 0.9])]
    assert target_rows({"main": Series("main", both, ["raw"])})[0][7] == "1.50"
    assert target_rows({"main": series})[0][7] == ""
    assert not void({"main": series})
    assert void({"main": Series("main", [run("raw", 0, 1, 0.06)], ["raw"])})
    bounds.self_test()
    assert "prefers-color-scheme: dark" in chart.draw(series, "same")
    print("good")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    if sys.argv[1:2] == ["--document"]:
        document(sys.argv[2], sys.argv[3], sys.argv[4:])
        return 0
    paths, outputs, arguments = [], {}, iter(sys.argv[1:])
    for argument in arguments:
        if argument in ("--json", "--markdown", "--svg"):
            outputs[argument] = next(arguments)
        else:
            paths.append(argument)
    return report(paths, outputs)


if __name__ == "__main__":
    sys.exit(main())
