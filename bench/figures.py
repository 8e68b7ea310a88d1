"""Runs of echo_bench, grouped and reduced to medians, ranges and ratios."""

from statistics import median

KINDS = {
    "raw": "raw epoll",
    "raw:reno": "raw epoll, Reno",
    "bufferevent": "bufferevent + protobuf-c",
    "weft": "Weft",
    "weft:observed": "Weft, every call observed",
    "weft:copied": "Weft, requests copied",
    "weft_plain": "Weft without a profile",
    "grpc": "gRPC C++, callback API",
    "thrift": "Thrift c_glib",
}
FIGURES = ["calls_per_s", "server_us", "client_us", "p50_us", "p99_us", "p999_us", "max_us",
           "server_rss_kb", "client_rss_kb", "server_syscalls", "not_begun"]


def load_name(load):
    """32:1x64 is 32 B, 1 × 64."""
    payload, shape = load.split(":")
    if payload == "order":
        payload = "30 fields"
    else:
        size = int(payload)
        payload = f"{size // 1024} KiB" if size >= 1024 else f"{size} B"
    return payload + ", " + shape.replace("x", " × ")


def number(value, digits=None):
    if digits is not None:
        return f"{value:,.{digits}f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def span(runs, figure, scale=1.0, digits=None, ranges=True):
    values = [run[figure] * scale for run in runs]
    text = number(median(values), digits)
    if ranges and len(values) > 1:
        text += f" ({number(min(values), digits)}–{number(max(values), digits)})"
    return text


def in_order(values):
    return list(dict.fromkeys(values))


class Series:
    def __init__(self, name, records, kinds):
        self.name, self.records = name, records
        self.kinds = in_order([kind for kind in kinds if kind] + [r["kind"] for r in records])
        self.loads = in_order(r["load"] for r in records)
        self.placements = in_order(r["placement"] for r in records)
        self.rate = records[0]["rate"]
        self.rounds = 1 + max(r["round"] for r in records)

    def runs(self, kind, load, placement):
        return [r for r in self.records
                if (r["kind"], r["load"], r["placement"]) == (kind, load, placement)]

    def ratio(self, kind, other, load, placement, figure):
        """(median, minimum, maximum, rounds) of kind's figure by other's, or None."""
        others = {r["round"]: r for r in self.runs(other, load, placement)}
        ratios = [r[figure] / others[r["round"]][figure]
                  for r in self.runs(kind, load, placement)
                  if others.get(r["round"], {}).get(figure)]
        return (median(ratios), min(ratios), max(ratios), len(ratios)) if ratios else None

    def spread(self, kind, load, placement, figure):
        """(median, minimum, maximum, rounds) of the figure itself, or None."""
        values = [run[figure] for run in self.runs(kind, load, placement) if figure in run]
        return (median(values), min(values), max(values), len(values)) if values else None

    def summary(self):
        rows = []
        for placement in self.placements:
            for load in self.loads:
                for kind in self.kinds:
                    runs = self.runs(kind, load, placement)
                    if not runs:
                        continue
                    row = {"kind": kind, "load": load, "placement": placement, "rounds": len(runs)}
                    for figure in FIGURES:
                        values = [run[figure] for run in runs if figure in run]
                        if values:
                            row[figure] = [median(values), min(values), max(values)]
                    for figure in ("server_us", "client_us", "p50_us"):
                        ratio = self.ratio(kind, "raw", load, placement, figure)
                        if ratio:
                            row[figure + "_by_raw"] = ratio[:3]
                    rows.append(row)
        return {"rate": self.rate, "rounds": self.rounds, "kinds": self.kinds, "rows": rows}


def ratio_text(series, kind, load, placement, figure):
    got = series.ratio(kind, "raw", load, placement, figure)
    return f"× {number(got[0])}" if got else "–"
