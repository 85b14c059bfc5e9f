"""Draws CPU per request against Envoy's, scenario by scenario, into a PNG.

Run with the peers' Python (it has matplotlib): plot.py OUTPUT.png < data, the JSON of `report.plot_data`.
"""

from __future__ import annotations

import json
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

# Peers that cost many times more would press everything else into the axis.
WIDEST = 4.0
COLOURS = {"envoymesh": "#1f6feb", "Envoy": "#8b949e", "nginx": "#2da44e", "HAProxy": "#bf8700"}
PEER_COLOURS = {"aiohttp": "#cf222e", "proxy.py": "#a475f9", "mitmproxy": "#e16f24"}


def draw(data: list[dict[str, object]], output: str) -> None:
    """One group of bars a scenario."""
    colours = COLOURS | PEER_COLOURS
    height = sum(len(entry["ratios"]) + 1 for entry in data) * 0.17 + 1.2
    figure, axes = pyplot.subplots(figsize=(9, height))
    place, ticks, drawn = 0.0, [], set()
    for entry in data:
        first = place
        for name, ratio in entry["ratios"].items():
            label = None if name in drawn else name
            drawn.add(name)
            axes.barh(place, min(ratio, WIDEST), height=0.9, color=colours.get(name, "black"), label=label)
            axes.text(min(ratio, WIDEST) + 0.03, place, f"{ratio:.2f}", va="center", fontsize=7)
            place += 1
        ticks.append(((first + place - 1) / 2, entry["scenario"]))
        place += 1
    axes.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlim(0, WIDEST + 0.4)
    axes.set_xlabel(f"CPU per request / Envoy's (bars end at {WIDEST:.0f})")
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(output, dpi=130)


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
