"""Pictures of training, grids of runs, networks and descents, by matplotlib (extra `plot`), which is imported when the first one is drawn.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart, and nothing is told by colour alone: lines differ in style
or marker too, and carry their names. Paper is left out and ink is a grey that reads on white and on black, so that a picture suits
light pages and dark ones.
"""

from .curves import history
from .functions import activation, neuron
from .grids import comparison
from .networks import network
from .style import require_matplotlib
from .trajectories import descent

__all__ = ["activation", "comparison", "descent", "history", "network", "neuron", "require_matplotlib"]
