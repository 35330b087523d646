"""Chips of several sizes tell one motion: the largest that shows no mixture, and less of that."""

import numpy as np
import pytest
import xarray as xr

from rockglacier.offsets.sizes import BENDING, SPREAD, combined, unresolved

SIDES = np.array([12, 16, 24])
SHAPE = (30, 200)


def field(mixture: float, *, noise: float = 1.0, seed: int = 0) -> xr.Dataset:
    """Motion of 1 seen by nested chips: ``mixture`` of it lost for the smallest, as side squared.

    Errors fall with the side, and those of a chip hold those of the larger ones.
    """
    random = np.random.default_rng(seed)
    sigma = noise * 0.24 / SIDES
    steps = np.sqrt(-np.diff(sigma**2, append=0.0))
    parts = steps[:, None, None, None] * random.standard_normal((SIDES.size, 2, *SHAPE))
    errors = np.cumsum(parts[::-1], axis=0)[::-1]
    seen = 1.0 - mixture * (SIDES / SIDES[0]) ** 2
    value = seen[:, None, None, None] + errors
    deviation = np.broadcast_to(sigma[:, None, None], (SIDES.size, *SHAPE))
    maps = {
        "east": value[:, 0], "north": value[:, 1],
        "east_error": deviation, "north_error": deviation,
        "count": np.broadcast_to(SIDES[:, None, None], (SIDES.size, *SHAPE)),
    }  # fmt: skip
    coords = {"size": SIDES, "y": -np.arange(SHAPE[0]), "x": np.arange(SHAPE[1])}
    return xr.Dataset(
        {k: (("size", "y", "x"), v.astype(np.float32)) for k, v in maps.items()}, coords
    )


def z_of(found: xr.Dataset) -> np.ndarray:
    return np.concatenate(
        [((found[n] - 1.0) / found[f"{n}_error"]).values.ravel() for n in ("east", "north")]
    )


def test_without_mixture_the_largest_serves() -> None:
    found = combined(field(0.0), ["count"])
    assert float((found["chip"] == 24).mean()) > 0.93
    assert (found["count"] == found["chip"]).all()
    assert float(found["east"].std()) < 1.15 * 0.01
    assert 0.92 < np.mean(np.abs(z_of(found)) < 1.96) < 0.97


@pytest.mark.parametrize("mixture", [0.05, 0.15, 0.3])
def test_mixture_is_removed_and_counts_as_error(mixture: float) -> None:
    plain = field(mixture)
    found = combined(plain)
    lost = float(1.0 - plain["east"][0].mean())
    left = float(1.0 - found["east"].mean())
    assert abs(left) < 0.35 * lost
    assert np.mean(np.abs(z_of(found)) < 1.96) > 0.9
    np.testing.assert_allclose(found["weight"].sum("size"), 1.0, atol=1e-5)


def test_weights_make_the_value() -> None:
    plain = field(0.2)
    found = combined(plain)
    again = (found["weight"] * plain["east"]).sum("size")
    np.testing.assert_allclose(again, found["east"], atol=1e-5)


def test_a_size_that_saw_nothing_takes_no_part() -> None:
    plain = field(0.2)
    holes = plain.where(~((plain["size"] == 16) & (plain.x < 50)))
    holes = holes.where(~((plain["size"] == 12) & (plain.x < 20)))
    holes = holes.where(holes.x >= 10)
    found = combined(holes, ["count"])
    assert found["east"][:, :10].isnull().all() and found["chip"][:, :10].isnull().all()
    assert (found["weight"][:, :, :10] == 0.0).all()
    assert (found["chip"][:, 10:20] == 24).all()
    assert found["east"][:, 10:].notnull().all()
    # Where the middle size is missing the smallest is compared with the largest, and left as it is.
    np.testing.assert_allclose(found["east"][:, 20:50], holes["east"][0, :, 20:50])
    assert found["east_error"][:, 10:].notnull().all()


def test_one_size_is_itself() -> None:
    plain = field(0.1).isel(size=[1])
    found = combined(plain)
    np.testing.assert_array_equal(found["east"], plain["east"][0])
    np.testing.assert_array_equal(found["north_error"], plain["north_error"][0])


@pytest.mark.parametrize("window", ["flat", "tapered"])
def test_what_a_chip_cannot_resolve_counts_as_error(window: str) -> None:
    x = np.arange(SHAPE[1])
    noise = 1e-3 * np.random.default_rng(1).standard_normal((2, *SHAPE))
    motion = np.exp(-0.5 * ((x - 100.0) / 4.0) ** 2)  # a tongue of some places
    maps = {"east": motion + noise[0], "north": noise[1], "chip": np.full(SHAPE, 16.0)}
    maps |= {f"{n}_error": np.full(SHAPE, 2e-3) for n in ("east", "north")}
    plain = xr.Dataset({k: (("y", "x"), np.asarray(v, np.float32)) for k, v in maps.items()})
    stable = xr.DataArray(np.broadcast_to(np.abs(x - 100) > 30, SHAPE), dims=("y", "x"))
    found = unresolved(plain, stable, step=4, window=window)
    # Half the curvature times the spread of the chip, at the tongue's middle.
    missed = 0.5 * SPREAD[window] * 16.0 / 16.0 * motion[100] * (16.0 / 4.0) ** 2 / 16.0
    error = float(found["east_error"][:, 100].mean())
    assert missed < error < 2.0 * BENDING * missed
    rest = found["east_error"].where(stable)
    assert float(rest.median()) < 1.5 * 2e-3 * (1.0 if window == "tapered" else 1.6)
    assert float(found["north_error"][:, 100].median()) < 0.1 * error
    # Chips make the tongue's middle slower, and its foot faster than it is.
    raised = found["raised"]
    assert float(raised[:, 100].max()) == 0.0
    assert float(raised[:, 108].min()) > 0.02 and float(raised.where(stable).median()) < 0.01
