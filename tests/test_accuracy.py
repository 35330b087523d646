"""The accuracy table: numbers of the evaluation, intervals beside each, the published ones last."""

import numpy as np
import pandas as pd
import pytest
from test_plates import ALONE, SIDE

from rockglacier import accuracy, evaluation

ACTIVITY = ["Active"] * 5 + ["Active uncertain"] * 2 + ["Relict", "Transitional", "Uncertain"]


@pytest.fixture
def found():
    return accuracy.table({"Valley & more": ({"fusion": SIDE, "snow": ALONE}, ACTIVITY)})


def test_objects_are_counted_by_activity():
    counts = accuracy.counted(ACTIVITY)
    assert list(counts.values()) == [5, 2, 1, 0, 1, 1] and list(counts) == list(accuracy.ACTIVITIES)


def test_the_table_holds_each_side_and_what_was_published(found):
    assert list(found["side"][:2]) == ["fusion", "snow"]
    fusion, snow, published = (found.iloc[k] for k in range(3))
    assert (fusion["objects"], fusion["active"]) == (10, 7)
    assert pd.isna(snow["objects"])  # the inventory is the fusion's
    assert (snow["overall_accuracy"], fusion["overall_accuracy"]) == (0.9012, 0.9612)
    for name, (low, high) in {
        "overall_accuracy": SIDE["pixels"]["overall_accuracy_95"],
        "object_precision": SIDE["objects"]["precision_95"],
        "object_recall": SIDE["objects"]["recall_95"],
        "object_f1": SIDE["objects"]["f1_95"],
    }.items():
        assert (fusion[f"{name}_low"], fusion[f"{name}_high"]) == (low, high)
    assert (published["active"], published["overall_accuracy"]) == (213, 0.8263)
    ends = [published[f"overall_accuracy_{end}"] for end in ("low", "high")]
    np.testing.assert_allclose(ends, evaluation.wilson(176, 213), atol=1e-4)
    assert pd.isna(published["object_precision"])  # what it is the share of is not stated


def test_one_whole_number_of_objects_is_the_published_accuracy():
    shares = np.round(100.0 * np.arange(214) / 213, 2)
    assert list(np.flatnonzero(shares == 82.63)) == [176]


def test_latex_shows_the_same_and_escapes_names(found):
    text = accuracy.latex(found)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert rows[1] == (
        r"Valley \& more & fusion & 10 & 7 & 96.1 (94.0--97.5) & 75.0 (46.8--91.1) & "
        r"60.0 (35.8--80.2) & 66.7 (41.7--84.8) \\"
    )
    assert rows[2].startswith(" & snow")  # a region's name stands once
    assert rows[2].split(" & ")[2:6] == ["", "", "90.1 (94.0--97.5)", ""]
    assert rows[3] == r"published &  &  & 213 & 82.6 (77.0--87.1) &  &  &  \\"
    assert all(row.count(" & ") == 7 for row in rows[:4])
    assert r"82.63 \%" in rows[4] and text.count("{") == text.count("}")
