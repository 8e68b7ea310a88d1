"""The table of bench/scale: what is to hold however much there is of it."""

from figures import number, span

# Of the lines whose "scale" and "case" are these: a figure, what it is called, and what
# its median is to be at most; a text is the name of another figure of the same line.
BOUNDS = [
    ("idle", "some", "server_bytes", "an idle connection, of 10,000: bytes", "limit_bytes"),
    ("idle", "some", "p99_ratio", "p99 beside 10,000 idle connections: × alone", 1.5),
    ("idle", "most", "server_bytes", "an idle connection, of all there may be: bytes",
     "limit_bytes"),
    ("idle", "most", "p99_ratio", "p99 beside as many as there may be: × alone", 1.5),
    ("in flight", None, "server_bytes", "a call in flight, server: bytes", "limit_bytes"),
    ("in flight", None, "client_bytes", "a call in flight, client: bytes", "limit_bytes"),
    ("in flight", None, "server_late_max_ms", "latest deadline, server: ms", 20),
    ("in flight", None, "client_late_max_ms", "latest deadline, client: ms", 20),
    ("in flight", None, "machine_late_max_ms", "meanwhile a bare sleep of 1 ms: ms late", None),
    ("endpoints", "10", "changed_ms", "a changed list of 10: ms of the loop", None),
    ("endpoints", "1000", "changed_ms", "a changed list of 1,000: ms of the loop", None),
    ("endpoints", "10000", "changed_ms", "a changed list of 10,000: ms of the loop", 5),
    ("pick", "random 10000", "ns", "pick and done, random of 10,000: ns", 200),
    ("pick", "round_robin 10000", "ns", "pick and done, round_robin: ns", 200),
    ("pick", "weighted_round_robin 10000", "ns", "pick and done, weighted_round_robin: ns", 200),
    ("pick", "least_request 10000", "ns", "pick and done, least_request: ns", 200),
    ("loops", None, "ratio", "CPU by call with two loops: × one", 1.1),
    ("loops", None, "ratio_apart", "the same: × two processes of one loop each", 1.1),
    ("slow calls", "background pool", "p99_ratio",
     "p99 beside slow calls on a background pool: × without", 1.5),
    ("slow calls", "pool", "p99_ratio", "the same, on a pool like any other", None),
    ("slow calls", "on the loop", "p99_ratio", "the same, on the loop", None),
    ("neighbours", "slow reader", "p99_ratio", "p99 beside a slow reader: × alone", 1.5),
    ("neighbours", "200 slow readers", "p99_ratio", "p99 beside 200 slow readers: × alone", 1.5),
    ("neighbours", "slow writer", "p99_ratio", "p99 beside 200 slow writers: × alone", 1.5),
    ("neighbours", "flood", "p99_ratio", "p99 beside a flood: × alone", 1.5),
]


def rows(records):
    for scale, case, figure, name, most in BOUNDS:
        runs = [r for r in records if r["scale"] == scale and r.get("case") == case and figure in r]
        if not runs:
            continue
        limit = runs[0][most] if isinstance(most, str) else most
        middle = sorted(run[figure] for run in runs)[len(runs) // 2]
        yield [name, "" if limit is None else f"≤ {limit:g}", span(runs, figure), str(len(runs)),
               "" if limit is None else "yes" if middle <= limit else "**no**"]


def self_test():
    lines = [{"scale": "neighbours", "case": "flood", "p99_ratio": x} for x in (1, 1.4, 9)]
    lines.append({"scale": "in flight", "server_bytes": 1100.0, "limit_bytes": 1056,
                  "machine_late_max_ms": 3.0})
    got = list(rows(lines))
    assert [row[-1] for row in got] == ["**no**", "", "yes"], got
    assert got[2][2] == f"{number(1.4)} ({number(1)}–{number(9)})", got
