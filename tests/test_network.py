"""Networks: connection, closure, selection and proposal, on made and on real networks."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rockglacier import network
from rockglacier.errors import DisconnectedNetworkError, NetworkError

START = np.datetime64("2020-01-01")


def table(edges, step_days=12, coherence=None):
    """Pairs from index edges on a regular series of dates."""
    first, second = np.array(edges).T
    days = np.timedelta64(step_days, "D")
    return pd.DataFrame(
        {
            "reference": (START + first * days).astype("datetime64[ns]"),
            "secondary": (START + second * days).astype("datetime64[ns]"),
            "perpendicular_baseline_m": np.full(len(edges), np.nan),
            "mean_coherence": np.full(len(edges), 0.5) if coherence is None else coherence,
        }
    )


def chain(dates, reach):
    return [(i, j) for i in range(dates) for j in range(i + 1, min(dates, i + reach + 1))]


edges_strategy = st.sets(
    st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda e: e[0] < e[1]), min_size=1
).map(sorted)


@settings(max_examples=60, deadline=None)
@given(edges_strategy)
def test_cycles_triplets_and_islands_agree_with_linear_algebra(edges):
    pairs = table(edges)
    reference, secondary = pairs["reference"], pairs["secondary"]
    dates, first, second = network.incidence(reference, secondary)
    design = np.zeros((len(edges), dates.size))
    design[np.arange(len(edges)), first] = -1.0
    design[np.arange(len(edges)), second] = 1.0
    rank = np.linalg.matrix_rank(design)
    assert len(network.islands(reference, secondary)) == dates.size - rank
    assert network.cycle_rank(reference, secondary) == len(edges) - rank
    closed = network.triplets(reference, secondary)
    displacement = np.random.default_rng(1).normal(size=dates.size)
    phase = design @ displacement
    np.testing.assert_allclose(
        phase[closed[:, 0]] + phase[closed[:, 1]] - phase[closed[:, 2]], 0.0, atol=1e-12
    )
    expected = sum(
        (i, j) in edges and (j, k) in edges and (i, k) in edges
        for i, j, k in itertools.combinations(range(12), 3)
    )
    assert len(closed) == expected
    assert network.triplet_counts(reference, secondary).sum() == 3 * expected
    assert network.redundancy(reference, secondary).sum() == 2 * len(edges)


def test_islands_are_ordered_and_the_error_lists_them():
    pairs = table([(30, 31), (0, 2), (2, 1), (31, 33)])
    found = network.islands(pairs["reference"], pairs["secondary"])
    assert [[int((d - START) / np.timedelta64(12, "D")) for d in dates] for dates in found] == [
        [0, 1, 2],
        [30, 31, 33],
    ]
    with pytest.raises(DisconnectedNetworkError, match=r"2 islands.*2020-01-01.*2020-12-26"):
        network.require_connected(pairs["reference"], pairs["secondary"])
    network.require_connected(pairs["reference"][1:3], pairs["secondary"][1:3])


def test_a_network_names_its_faulty_pair():
    pairs = table([(0, 1), (1, 2), (0, 1)])
    with pytest.raises(NetworkError, match="2020-01-01_2020-01-13 occurs more than once"):
        network.incidence(pairs["reference"], pairs["secondary"])
    with pytest.raises(NetworkError, match=r"2020-01-25_2020-01-13.*swap"):
        network.incidence(pairs["secondary"][1:2], pairs["reference"][1:2])
    with pytest.raises(NetworkError, match="at least one pair"):
        network.incidence([], [])


def test_selection_applies_limits_and_says_why():
    pairs = table(chain(12, 3), step_days=30)
    pairs["perpendicular_baseline_m"] = 10.0
    pairs.loc[3, "perpendicular_baseline_m"] = -250.0
    chosen = network.select_pairs(
        pairs,
        max_temporal_baseline_days=60,
        max_perpendicular_baseline_m=200,
        months=[4, 5, 6, 7, 8, 9],
    )
    days = (chosen["secondary"] - chosen["reference"]).dt.days
    inside = chosen["reference"].dt.month.between(4, 9) & chosen["secondary"].dt.month.between(4, 9)
    fits = inside & (days <= 60) & (chosen["perpendicular_baseline_m"].abs() <= 200)
    assert 0 < fits.sum() < len(pairs)
    assert (chosen["used"] == fits.astype(int)).all()
    assert set(chosen["why"][~inside]) == {"season"}
    assert "90 d > 60 d" in set(chosen["why"])
    assert list(pairs.columns) == list(chosen.columns[:-2])
    with pytest.raises(NetworkError, match="None of 30 pairs"):
        network.select_pairs(pairs, max_temporal_baseline_days=5)


def test_same_season_pairs_of_different_years_stay():
    pairs = table([(0, 1), (1, 30), (30, 31), (1, 15), (15, 30)], step_days=12)  # 1 -> 30: 348 d
    chosen = network.select_pairs(pairs, months=[1, 12])
    assert chosen["used"].tolist() == [1, 1, 1, 0, 0]


@settings(max_examples=60, deadline=None)
@given(edges_strategy, st.integers(0, 2**31), st.floats(0.1, 0.9))
def test_low_coherence_never_breaks_an_island_and_keeps_the_best_tree(edges, seed, limit):
    coherence = np.random.default_rng(seed).uniform(0, 1, len(edges))
    pairs = table(edges, coherence=coherence)
    chosen = network.select_pairs(pairs, min_coherence=limit)
    used = chosen[chosen["used"] == 1]
    all_islands = network.islands(pairs["reference"], pairs["secondary"])
    assert network.islands(used["reference"], used["secondary"]) == all_islands
    assert (chosen["used"][coherence >= limit] == 1).all()
    # A pair of low coherence stays only where no path of better pairs joins its dates.
    for row in used[used["mean_coherence"] < limit].itertuples():
        better = pairs[pairs["mean_coherence"] > row.mean_coherence]
        parts = network.islands(better["reference"], better["secondary"]) if len(better) else []
        assert not any(row.reference in part and row.secondary in part for part in parts)


def test_unknown_coherence_and_baseline_are_not_judged():
    pairs = table(chain(5, 2), coherence=np.full(7, np.nan))
    chosen = network.select_pairs(pairs, min_coherence=0.5, max_perpendicular_baseline_m=10)
    assert chosen["used"].all()
    assert network.summarise(chosen)["mean_coherence"] is None


def test_proposal_keeps_limits_connects_dates_and_adds_yearly_pairs():
    days = np.concatenate([np.arange(0, 120, 12), np.arange(0, 120, 12) + 365, [1000]])
    dates = START + days.astype("timedelta64[D]")
    baselines = np.random.default_rng(3).normal(0, 40, days.size)
    baselines[5] = 900.0
    shuffled = np.random.default_rng(4).permutation(days.size)
    proposed = network.propose_pairs(dates[shuffled], baselines[shuffled])
    network.require_connected(proposed["reference"], proposed["secondary"])
    assert network.redundancy(proposed["reference"], proposed["secondary"]).min() >= 3
    inside = proposed[proposed["why"] == "within limits"]
    assert inside["temporal_baseline_days"].max() <= 36
    assert inside["perpendicular_baseline_m"].abs().max() <= 200
    yearly = proposed[proposed["why"] == "yearly"]
    assert len(yearly) >= 18 and yearly["temporal_baseline_days"].between(330, 400).all()
    k = proposed.index[-1]
    difference = np.interp(
        (pd.DatetimeIndex(proposed.loc[[k], "secondary"]) - START).days, days, baselines
    ) - np.interp((pd.DatetimeIndex(proposed.loc[[k], "reference"]) - START).days, days, baselines)
    assert proposed.loc[k, "perpendicular_baseline_m"] == pytest.approx(difference[0])
    assert (proposed["reference"] < proposed["secondary"]).all()


def test_proposal_within_a_season_links_the_years():
    dates = np.arange("2019-01-03", "2022-01-01", 12, dtype="datetime64[D]")
    proposed = network.propose_pairs(dates, np.full(dates.size, np.nan), months=[7, 8, 9, 10])
    assert proposed["reference"].dt.month.isin([7, 8, 9, 10]).all()
    assert proposed["secondary"].dt.month.isin([7, 8, 9, 10]).all()
    network.require_connected(proposed["reference"], proposed["secondary"])
    assert "spanning tree" not in set(proposed["why"])
    with pytest.raises(NetworkError, match="1 acquisitions on 1 dates remain"):
        network.propose_pairs(dates[:9], np.zeros(9), months=[4])


def test_summary_is_json_and_counts_used_pairs_only():
    pairs = network.select_pairs(table([*chain(40, 3), (4, 34)]), max_temporal_baseline_days=36)
    summary = json.loads(json.dumps(network.summarise(pairs)))
    assert summary == {
        "dates": 40,
        "pairs": 114,
        "pairs_per_date_min": 3,
        "pairs_per_date_median": 6.0,
        "triplets": 112,
        "pairs_without_triplet": 0,
        "independent_cycles": 75,
        "islands": [{"first": "2020-01-01", "last": "2021-04-13", "dates": 40}],
        "mean_coherence": 0.5,
    }
    assert network.summarise(table([*chain(40, 3), (4, 34)]))["pairs_without_triplet"] == 1


@pytest.fixture(scope="module")
def licsbas(data_folder):
    """Network and findings of a LiCSBAS run over Campi Flegrei."""
    folder = data_folder / "sar" / "s1_licsbas_results_campi_flegrei" / "TS_GEOCml1clip" / "info"
    if not folder.is_dir():
        pytest.skip(f"real data: {folder.parents[1].name} is not in {data_folder}")
    pairs = pd.read_csv(
        folder / "11ifg_stats.txt",
        sep=r"\s+",
        comment="#",
        names=["name", "perpendicular_baseline_m", "days", "valid_share", "mean_coherence"],
        usecols=range(5),
    )
    names = pairs["name"].str.split("_", expand=True)
    pairs["reference"] = pd.to_datetime(names[0], format="%Y%m%d")
    pairs["secondary"] = pd.to_datetime(names[1], format="%Y%m%d")

    def listed(file):
        return set((folder / file).read_text().split())

    return pairs, listed


def test_real_network_agrees_with_what_licsbas_found(licsbas):
    pairs, listed = licsbas
    summary = network.summarise(pairs)
    assert (summary["pairs"], summary["dates"], len(summary["islands"])) == (579, 162, 1)
    # LiCSBAS step 11 drops low coverage and coherence, and four dates with them.
    bad = listed("11bad_ifg.txt")
    poor = pairs[(pairs["valid_share"] < 0.3) | (pairs["mean_coherence"] < 0.05)]
    assert set(poor["name"]) == bad
    kept = pairs[~pairs["name"].isin(bad)]
    lost = set(
        np.setdiff1d(*(network.incidence(p["reference"], p["secondary"])[0] for p in (pairs, kept)))
    )
    assert {np.datetime_as_string(d, "D").replace("-", "") for d in lost} == listed(
        "11removed_image.txt"
    )
    # Step 12 lists pairs in no loop, then drops bad loops; one network of 158 images remains.
    alone = kept["name"][network.triplet_counts(kept["reference"], kept["secondary"]) == 0]
    assert set(alone) == listed("12no_loop_ifg.txt")
    final = kept[~kept["name"].isin(listed("12bad_ifg.txt"))]
    assert len(final) == 515
    found = network.islands(final["reference"], final["secondary"])
    assert [len(dates) for dates in found] == [158]


def test_spanning_tree_keeps_the_real_network_whole(licsbas):
    pairs, _ = licsbas
    chosen = network.select_pairs(pairs, min_coherence=0.3)
    used = chosen[chosen["used"] == 1]
    network.require_connected(used["reference"], used["secondary"])
    assert network.incidence(used["reference"], used["secondary"])[0].size == 162
    without = pairs[pairs["mean_coherence"] >= 0.3]
    assert len(network.islands(without["reference"], without["secondary"])) > 1
