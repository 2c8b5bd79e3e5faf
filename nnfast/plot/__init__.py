"""Pictures, by matplotlib (extra `plot`), which is imported when the first one is drawn.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; what belongs apart also differs by line style or marker, and lines carry
their names at their ends instead of in a legend.
"""

from __future__ import annotations

from .curves import history
from .diagrams import network
from .functions import activation, descent
from .grids import comparison

__all__ = ["activation", "comparison", "descent", "history", "network"]
