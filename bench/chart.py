"""Server CPU per call as an SVG: a dot per kind, a line for its range.

Readable on light and on dark ground; the axis is logarithmic, so dots, not bars.
"""

from html import escape
from math import ceil, floor, log10
from statistics import median

from figures import KINDS, load_name, number

WIDTH, LEFT, RIGHT = 820, 215, 120
ROW, GAP, TOP, BOTTOM = 19, 15, 74, 42
STYLE = """
  svg { color-scheme: light dark; }
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .load { font-weight: 600; }
  .soft { fill: #59636e; }
  .value { font-variant-numeric: tabular-nums; }
  .ground { fill: #ffffff; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .other { fill: #7d8590; stroke: #7d8590; }
  .raw { fill: #1a7f37; stroke: #1a7f37; }
  .weft { fill: #0969da; stroke: #0969da; }
  .range { stroke-width: 2; stroke-opacity: .5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .soft { fill: #9198a1; }
    .ground { fill: #0d1117; }
    .grid { stroke: #30363d; }
    .other { fill: #8b949e; stroke: #8b949e; }
    .raw { fill: #3fb950; stroke: #3fb950; }
    .weft { fill: #58a6ff; stroke: #58a6ff; }
  }
"""


def rows_of(series, placement):
    """[(load, [(kind, [server µs])])], without what was not run."""
    found = []
    for load in series.loads:
        kinds = [(kind, [run["server_us"] for run in series.runs(kind, load, placement)])
                 for kind in series.kinds]
        found.append((load, [(kind, values) for kind, values in kinds if values]))
    return [(load, kinds) for load, kinds in found if kinds]


def text(x, y, content, style="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(content)}</text>'


def draw(series, placement):
    groups = rows_of(series, placement)
    values = [value for _, kinds in groups for _, of_kind in kinds for value in of_kind]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    high = max(high, low + 1)
    height = TOP + BOTTOM + sum(len(kinds) * ROW + GAP for _, kinds in groups)

    def place(value):
        return LEFT + (log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
           f'aria-label="Server CPU time per call of each kind of echo">',
           f"<style>{STYLE}</style>",
           f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
           text(16, 28, "Server CPU per call, µs", "title"),
           text(16, 48, "median and range of the rounds; server and client on the "
                f"{placement} core; × the raw epoll echo; logarithmic", "soft")]
    for power in range(low, high + 1):
        x = place(10.0 ** power)
        out += [f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - BOTTOM + 4}"/>',
                text(x, height - BOTTOM + 20, f"{10.0 ** power:g}", "soft", "middle")]
    y = TOP
    for load, kinds in groups:
        out.append(text(16, y + 11, load_name(load), "load"))
        for kind, of_kind in kinds:
            style = "weft" if kind.startswith("weft") else "raw" if kind == "raw" else "other"
            middle = y + 7
            ratio = series.ratio(kind, "raw", load, placement, "server_us")
            label = number(median(of_kind)) + (f"  × {number(ratio[0])}" if ratio and kind != "raw" else "")
            out += [
                text(LEFT - 10, middle + 4, KINDS.get(kind, kind).split(",")[0].split(" +")[0],
                     "soft", "end"),
                f'<line class="range {style}" x1="{place(min(of_kind)):.1f}" '
                f'x2="{place(max(of_kind)):.1f}" y1="{middle}" y2="{middle}"/>',
                f'<circle class="{style}" cx="{place(median(of_kind)):.1f}" cy="{middle}" r="4.5"/>',
                text(place(max(of_kind)) + 10, middle + 4, label, "value")]
            y += ROW
        y += GAP
    return "\n".join(out + ["</svg>"]) + "\n"
