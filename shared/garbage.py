"""Python's collector of cycles, set for programs that fold many long-lived objects."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Let Python look for garbage in cycles a seventieth as often.

    Events, states and rows live long, are many, and hold no cycles: at Python's own thresholds 40 % of a fold of 60,000
    movements went into looking for some (6.7 s, so 3.9 s).
    """
    gc.set_threshold(50_000, 20, 20)
