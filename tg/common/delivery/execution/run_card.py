"""What a notebook shows of a run: where it is, what it runs, and how it is getting on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..runtime.card import card
from ..runtime.errors import DeliveryError

if TYPE_CHECKING:
    from .run import Run

__all__ = ["run_card"]


def run_card(run: Run, facts: Iterable[tuple[str, object]] = (), *, lines: Iterable[str] = (), state: str = "") -> str:
    """HTML of a run: what its kind has to say of it, then `facts`; `lines` are the last ones of its log.

    `state` is what is known of it already; else it is asked. A run that is gone is shown as that.
    """
    asked: list[tuple[str, object]] = []
    try:
        state = state or run.state
        asked = [("exit status", None if state == "running" else run.exit_code)]
    except DeliveryError as error:
        asked = [("gone", error)]
    own: list[tuple[str, object]] = getattr(run, "_shown", list)()
    return card(type(run).__name__, run.id, [*own, *facts, *asked], state=state, lines=lines)
