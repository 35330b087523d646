"""Backscatter of GRD products is what was put in, and what the SLC of the same scenes tell."""

import shutil

import numpy as np
import pytest
import rasterio
from scenes import GRID, add_cross, open_passages
from scipy import ndimage

from rockglacier.errors import ConfigurationError, SceneError
from rockglacier.sentinel1 import detected, geocoding, heights, radiometry
from rockglacier.sentinel1.safe import cross_polarised
from rockglacier.simulation_acquisitions import CELL_M2

LOOKS = (4, 8)
EVERYWHERE = np.ones(GRID.shape, bool)
INNER = (slice(4, -4), slice(4, -4))  # along the edge, ground that shares its cells is not known
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def flattened(scenes, orbit):
    """Heights and flattening of the fine grid."""
    fine = GRID.subdivided(*LOOKS)
    ground = radiometry.surroundings(fine)
    height = heights.ellipsoidal(scenes.folder, ground, datum="ellipsoid").values
    factor = radiometry.flattening(orbit, fine, height, ground=ground).values
    return height[ground.window(fine)], factor


class Ground:
    """The fine grid's heights and flattening, of one date."""

    def __init__(self, scenes, date):
        self.fine = GRID.subdivided(*LOOKS)
        self.height, self.flattening = flattened(scenes, date.orbit)

    def gamma(self, date, seen=EVERYWHERE, threads=2):
        options = {"seen": seen, "threads": threads}
        return detected.gamma_nought(
            date, GRID, self.height, self.flattening, LOOKS, **options
        ).values


@pytest.fixture(scope="module")
def ground(noisy_scenes):
    return Ground(noisy_scenes, open_passages(noisy_scenes)[0])


@pytest.fixture(scope="module")
def gamma(noisy_scenes, ground):
    return np.stack([ground.gamma(date) for date in open_passages(noisy_scenes)])


@pytest.fixture
def spoilt(noisy_scenes, tmp_path):
    """The products of the first date, copied, and the place of each one's pixels."""
    copies = [shutil.copytree(path, tmp_path / path.name) for path in noisy_scenes.ground_range[:2]]
    return copies, [next((copy / "measurement").glob("*.tiff")) for copy in copies]


def opened(copies, noisy_scenes):
    return open_passages(noisy_scenes, copies)[0]


def level(values):
    return float(10.0 * np.log10(np.nanmean(values)))


def test_backscatter_of_detected_images_is_the_one_put_in(noisy_scenes, gamma, record_property):
    """Bars: 0.3 dB in all and over level ground, 0.5 dB over slopes of up to 20 degrees."""
    ratio = (gamma / noisy_scenes.truth.gamma_nought.values)[:, *INNER]
    assert np.isfinite(ratio).all()
    record_property("level_db", level(ratio))
    assert abs(level(ratio)) < 0.3
    coarse = heights.ellipsoidal(noisy_scenes.folder, GRID, datum="ellipsoid").values
    # The satellite flies north and looks to the right: ground that rises eastward faces it.
    toward = np.gradient(coarse, 40.0, axis=1)[INNER]
    for low, high, bar in [(-0.36, -0.1, 0.5), (-0.1, 0.1, 0.3), (0.1, 0.36, 0.5)]:
        here = (toward > low) & (toward < high)
        assert here.sum() > 50
        found = level(ratio[:, here])
        record_property(f"level_db_of_slopes_{low}_to_{high}", found)
        assert abs(found) < bar


def test_speckle_is_averaged(noisy_scenes, gamma, record_property):
    """As many independent looks as stated, less what few scatterers in a cell add."""
    date = open_passages(noisy_scenes)[0]
    stated = detected.independent_looks(date, GRID, LOOKS, 39.0)
    ratio = (gamma / noisy_scenes.truth.gamma_nought.values)[:, *INNER]
    found = float(np.mean(ratio.mean(axis=(1, 2)) ** 2 / ratio.var(axis=(1, 2))))
    record_property("looks", found)
    expected = 1.0 / (1.0 / stated + CELL_M2 / (GRID.dx * GRID.dy))
    assert 0.8 * expected < found < 1.2 * expected


def test_slc_of_the_same_scenes_tell_the_same(noisy_scenes, gamma, record_property):
    """Bar: level within 0.2 dB; single pixels share their speckle."""
    from test_simulation_acquisitions import backscatter_of

    theirs = backscatter_of(noisy_scenes).values[INNER]
    ours = gamma[0][INNER]
    record_property("level_db", level(ours) - level(theirs))
    assert abs(level(ours) - level(theirs)) < 0.2
    correlation = float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])
    record_property("correlation", correlation)
    assert correlation > 0.85


def test_noise_alone_is_nothing(noisy_scenes, ground, spoilt, record_property):
    """Bar: on ground that sends nothing back, 2 % of the noise itself is left, in either swath."""
    copies, places = spoilt
    rng = np.random.default_rng(5)
    date = opened(copies, noisy_scenes)
    noise = []
    for one, place in zip(date.slices, places, strict=True):
        lines, samples = (np.arange(size) for size in one.image.shape)
        power = one.noise.over(lines, samples)
        noise.append(float((power / one.beta_nought.over(lines, samples) ** 2).mean()))
        looked = ndimage.gaussian_filter(rng.exponential(size=power.shape), 0.7)
        with rasterio.open(place, "r+") as target:
            target.write(np.round(np.sqrt(looked * power)).astype(np.uint16), 1)
    assert np.ptp(date.slices[0].noise.over(lines, samples)[0]) > 0.0
    left = ground.gamma(date)[INNER] / np.mean(noise)
    for half in np.array_split(left, 2, axis=1):
        record_property("left", float(half.mean()))
        assert abs(half.mean()) < 0.02
    assert (left < 0).any()


def test_noise_is_not_taken_away_twice(noisy_scenes, ground, gamma, spoilt):
    """Where the processor did: what is left is more by the noise, gamma nought of -22 dB sigma."""
    copies, _ = spoilt
    for copy in copies:
        path = next((copy / "annotation").glob("*.xml"))
        tag = "thermalNoiseCorrectionPerformed>"
        path.write_text(path.read_text().replace(f"{tag}false", f"{tag}true"))
    more = (ground.gamma(opened(copies, noisy_scenes)) - gamma[0])[INNER]
    wanted = 10.0**-2.2 / np.cos(np.radians(39.0))
    assert (more > 0).all() and np.median(more) == pytest.approx(wanted, rel=0.1)


def test_a_seam_of_slices_is_closed(noisy_scenes, ground):
    """Each slice alone leaves the other's ground missing; together nothing is."""
    date = open_passages(noisy_scenes)[0]
    alone = [np.isfinite(ground.gamma(detected.Passage((one,), date.orbit))) for one in date.slices]
    assert not alone[0].all() and not alone[1].all()
    assert (alone[0] | alone[1]).all() and (alone[0] & alone[1]).sum() < 3 * GRID.width


def test_tiles_and_threads_change_nothing(noisy_scenes, ground, gamma, monkeypatch):
    monkeypatch.setattr(detected, "TILE_PIXELS", 3000)
    again = ground.gamma(open_passages(noisy_scenes)[0], threads=3)
    np.testing.assert_allclose(again, gamma[0], rtol=1e-4)


def test_what_is_not_seen_is_missing(noisy_scenes, ground, gamma):
    seen = EVERYWHERE.copy()
    seen[10:20, 5:9] = False
    found = ground.gamma(open_passages(noisy_scenes)[0], seen)
    assert (np.isnan(found) == ~seen).all()
    np.testing.assert_array_equal(found[seen], gamma[0][seen])


def test_a_border_of_zeros_is_missing_and_a_dark_pixel_is_not(noisy_scenes, ground, spoilt):
    copies, places = spoilt
    for place in places:
        with rasterio.open(place, "r+") as target:
            numbers = target.read(1)
            numbers[:, : numbers.shape[1] // 2] = 0
            numbers[::40, 200::40] = 0
            target.write(numbers, 1)
    found = ground.gamma(opened(copies, noisy_scenes))
    missing = np.isnan(found)
    assert 0.3 < missing.mean() < 0.7
    # One edge: missing to the west of it, known to the east (the satellite looks eastward).
    assert (np.diff(missing.astype(int), axis=1) <= 0).all()


def test_the_cross_polarisation_is_that_of_the_same_products(noisy_scenes, ground, gamma, spoilt):
    """An amplitude that counts twice is a quarter of the power; noise too."""
    copies, _ = spoilt
    for copy in copies:
        add_cross(copy)
    date = opened(copies, noisy_scenes)
    rows = [[str(one.safe.path), one.stem, "annotation"] for one in date.slices]
    crossed = detected.open_passage(cross_polarised(rows))
    assert [one.image.polarisation for one in crossed.slices] == ["VH", "VH"]
    moved = detected.Passage(crossed.slices, date.orbit)
    np.testing.assert_allclose(ground.gamma(moved), gamma[0] / 4.0, rtol=1e-3, atol=1e-5)


def test_pixels_that_cannot_be_read(noisy_scenes, ground, spoilt):
    copies, places = spoilt
    date = opened(copies, noisy_scenes)
    with places[0].open("r+b") as file:
        file.truncate(60_000)
    with pytest.raises(SceneError, match="a whole measurement is needed"):
        ground.gamma(date)


def test_fine_pixels_that_would_skip_some_of_the_image_are_refused(noisy_scenes):
    date = open_passages(noisy_scenes)[0]
    detected.check_looks(date, GRID, (2, 2))
    with pytest.raises(ConfigurationError, match=r"set looks to \[2, 2\] or more"):
        detected.check_looks(date, GRID, (1, 8))


def test_geometry_looks_to_the_right(noisy_scenes):
    date = open_passages(noisy_scenes)[0]
    height = heights.ellipsoidal(noisy_scenes.folder, GRID, datum="ellipsoid")
    geometry = geocoding.geometry(date.orbit, date.heading_deg, GRID, height)
    assert (geometry["east"] < 0).all() and geometry.attrs["incidence_angle_deg"] == pytest.approx(
        39.0, abs=0.3
    )
    assert set(np.unique(geometry["observable"])) <= {0, 1}
