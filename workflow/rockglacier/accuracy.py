"""Objects and accuracy of regions, with intervals, beside those that were published.

The study whose way this workflow goes reports 213 active glaciers and an overall accuracy of
82.63 %, but not what that is the share of. As 176 of 213 objects are 82.63 %, it may be the share
of objects that were right: the interval beside it is Wilson's of 176 in 213. It is no threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from rockglacier.evaluation import FUSION, wilson
from rockglacier.inventory.package import LISTS

ACTIVITIES = LISTS["ActiCl"]
ACTIVE = ("Active", "Active uncertain")


class Share(NamedTuple):
    """A share (0..1) and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def percent(self) -> str:
        """The share and its interval as a reader wants them; unknown where there is none."""
        if math.isnan(self.value):
            return "unknown"
        value, low, high = (f"{100.0 * one:.1f}" for one in self)
        return f"{value} ({low}–{high})"


PUBLISHED_ACTIVE = 213
# ASSUME: the accuracy is the share of these objects that were right, 176, the one whole number of
# them that rounds to it.
PUBLISHED = Share(0.8263, *wilson(176, PUBLISHED_ACTIVE))
MEASURES = {
    "overall_accuracy": "overall accuracy, pixels",
    "object_precision": "precision, objects",
    "object_recall": "recall, objects",
    "object_f1": "F1, objects",
}
NOTE = (
    "Held-out ground; intervals of 95 %: of pixels by blocks of ground drawn anew, of objects "
    "Wilson's. An object is right where it shares half of the union with a labelled one. "
    "The published 82.63 % does not say what it is the share of; its interval is that of 176 in "
    "213 objects, which round to it."
)


def counted(activities: Iterable[object]) -> dict[str, int]:
    """How many objects are of each class of ACTIVITIES, in that order."""
    listed = list(activities)
    return {name: listed.count(name) for name in ACTIVITIES}


def shares(side: Mapping[str, Any]) -> dict[str, Share]:
    """MEASURES of one side of ``evaluation.json`` (:func:`fusion.validation.scores`)."""
    pixels, objects = side["pixels"], side["objects"]
    found = {"overall_accuracy": Share(pixels["overall_accuracy"], *pixels["overall_accuracy_95"])}
    for name in ("precision", "recall", "f1"):
        found[f"object_{name}"] = Share(objects[name], *objects[f"{name}_95"])
    return found


def table(regions: Mapping[str, tuple[Mapping[str, Any], Iterable[object]]]) -> pd.DataFrame:
    """One line a region and side (fusion, techniques alone), and last what was published.

    ``regions``: of each its sides of ``evaluation.json`` and the activity of each object of its
    inventory, which the fusion made: objects are counted on its line alone.
    """
    rows: list[dict[str, Any]] = []
    for region, (sides, activities) in regions.items():
        count = counted(activities)
        for side, found in sides.items():
            row: dict[str, Any] = {"region": region, "side": side}
            if side == FUSION:
                row |= {"objects": sum(count.values()), "active": sum(count[k] for k in ACTIVE)}
            for name, share in shares(found).items():
                row |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
            pixels = found["pixels"]
            row |= {name: pixels[name] for name in ("kappa", "balanced_accuracy", "blocks")}
            rows.append(row)
    name = "overall_accuracy"
    rows.append({
        "region": "published", "active": PUBLISHED_ACTIVE, name: PUBLISHED.value,
        f"{name}_low": PUBLISHED.low, f"{name}_high": PUBLISHED.high,
    })  # fmt: skip
    counts = ["objects", "active", "blocks"]
    return pd.DataFrame(rows).round(4).astype(dict.fromkeys(counts, "Int64"))


def latex(found: pd.DataFrame) -> str:
    """:func:`table` as LaTeX (needs booktabs): per cent with intervals, and what they are."""
    heads = ["Region", "Told by", "Objects", "Active", *(f"{m} (%)" for m in MEASURES.values())]
    lines = [
        rf"\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}", r"\toprule",
        " & ".join(map(_escaped, heads)) + r" \\", r"\midrule",
    ]  # fmt: skip
    last = ""
    for _, row in found.iterrows():
        cells = [_escaped(_text(row[name])) for name in ("region", "side", "objects", "active")]
        if row["region"] == last:
            cells[0] = ""
        last = row["region"]
        for name in MEASURES:
            share = Share(*(float(row[f"{name}{end}"]) for end in ("", "_low", "_high")))
            cells.append("" if pd.isna(share.value) else share.percent.replace("–", "--"))
        if row["region"] == "published":
            lines.append(r"\midrule")
        lines.append(" & ".join(cells) + r" \\")
    note = _escaped(NOTE)
    lines += [
        r"\bottomrule",
        rf"\multicolumn{{{len(heads)}}}{{p{{0.95\linewidth}}}}{{\footnotesize {note}}} \\",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _escaped(text: str) -> str:
    special = {c: rf"\{c}" for c in "&%$#_{}"} | {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    }  # fmt: skip
    return "".join(special.get(c, c) for c in text)
