"""Why a place has no offset between two images."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """Of one pair (variable ``reason``); the first six are states of a match."""

    OBSERVED = 0
    NO_DATA = 1  # too few known pixels in the chip
    FEATURELESS = 2  # nothing in the chip to find again
    OUTSIDE = 3  # chip or search would leave the image
    SEARCH_EDGE = 4  # the peak lies at the edge of the search
    DIVERGED = 5  # no fit near the peak
    LOW_CORRELATION = 6
    AMBIGUOUS = 7  # another peak is nearly as high
    BACKWARD = 8  # matching back does not return to the place
    NEIGHBOURS = 9  # too few neighbours move alike
    MEDIAN = 10  # far from the median of its neighbours
    OUTVOTED = 11  # most pairs that saw the place refused their match of it
