"""The worlds there are, by the name the scripts know them by."""

from worlds.demo import SALTMERE
from worlds.heldout import TALLOW_MOOR

WORLDS = {"demo": SALTMERE, "heldout": TALLOW_MOOR}
