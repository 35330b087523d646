"""Simulated products: readers open them, and the engine finds in them what was put in."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from scenes import GRID, simulate
from xarray_sentinel import sentinel1

from rockglacier.offsets.images import oversampled
from rockglacier.offsets.tracking import Matching, track
from rockglacier.sentinel1 import engine, heights, radiometry
from rockglacier.sentinel1.interferogram import interfere, multilook
from rockglacier.sentinel1.orbit import choose_orbit, read_orbit_file
from rockglacier.sentinel1.safe import open_safe
from rockglacier.sentinel1.scenes import check_scenes
from rockglacier.sentinel1.tops import Carrier

LOOKS = (4, 8)
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
ROWS = ["path", "stem", "number", "orbit_file", "burst"]


def acquisitions_of(scenes):
    used, aside, rejected = check_scenes(scenes.products, orbit_files=scenes.orbits)
    assert aside.empty and not rejected
    return [
        engine.open_acquisition(day[ROWS].astype(str).to_numpy().tolist())
        for _, day in used.groupby("date")
    ]


@pytest.fixture(scope="module")
def images(ideal_scenes):
    """Acquisitions and their images on the fine grid, which burst serves where, and heights."""
    dates = acquisitions_of(ideal_scenes)
    fine = GRID.subdivided(*LOOKS)
    height = heights.ellipsoidal(ideal_scenes.folder, fine, datum="ellipsoid").values
    layout = engine.lay_out(dates[0], fine, height, threads=2).values
    found = []
    for date in dates:
        image = np.empty(fine.shape, np.complex64)
        engine.geocode(date, fine, height, layout, image, threads=2)
        found.append(image)
    return dates, found, layout, height


def test_the_fields_reader_opens_a_product(ideal_scenes):
    product = ideal_scenes.products[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        groups = sentinel1.open_sentinel1_dataset(product).attrs["subgroups"]
        assert {"IW1/VV", "IW2/VV/orbit", "IW1/VV/calibration"} <= set(groups)
        burst = sentinel1.open_sentinel1_dataset(product, group="IW1/VV", check_files_exist=True)
        burst = sentinel1.crop_burst_dataset(burst, burst_index=1).measurement
        assert burst.shape[0] == 200 and np.abs(burst.values).mean() > 10
        assert np.abs(burst.values[:6]).max() == 0.0
        table = sentinel1.open_sentinel1_dataset(product, group="IW2/VV/calibration")
        noise = sentinel1.open_sentinel1_dataset(product, group="IW2/VV/noise_range")
    assert np.allclose(table.betaNought, 237.0) and (noise.noiseRangeLut >= 0).all()


def test_valid_pixels_are_what_the_annotation_says(ideal_scenes):
    safe = open_safe(ideal_scenes.products[0])
    swath = safe.annotation(safe.swaths("VV")[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(safe.measurement(safe.swaths("VV")[0])) as source:
            pixels = source.read(1)
            assert source.dtypes == ("complex_int16",)
    assert pixels.shape == (len(swath.bursts) * swath.lines_per_burst, swath.samples_per_burst)
    for burst in swath.bursts:
        one = pixels[burst.number * 200 : (burst.number + 1) * 200]
        inside = np.zeros(one.shape, bool)
        inside[burst.valid_lines, burst.valid_samples] = True
        assert (one[~inside] == 0).all() and (
            one[inside] != 0
        ).mean() > 0.4  # the rest lies beyond the ground


def test_orbit_files_hold_the_pass(ideal_scenes):
    safe = open_safe(ideal_scenes.products[0])
    swath = safe.annotation(safe.swaths("VV")[0])
    mission, kind, vectors = read_orbit_file(ideal_scenes.orbits[0])
    assert (mission, kind) == ("S1A", "AUX_POEORB")
    ends = swath.bursts[0].start, swath.bursts[-1].start
    orbit = choose_orbit(ideal_scenes.orbits, "S1A", *ends, swath.orbit)
    near = np.abs(vectors.azimuth_time.values - orbit.epoch) < np.timedelta64(60, "s")
    seconds = orbit.seconds(vectors.azimuth_time.values[near])
    off = orbit.position(seconds) - vectors.position.values.T[near]
    assert np.abs(off).max() < 1e-3


def test_corner_reflectors_lie_where_they_stand(ideal_scenes, record_property):
    """Bar: a tenth of a pixel in range and azimuth, in every burst and swath that sees them."""
    off = []
    for date in acquisitions_of(ideal_scenes):
        for place in ideal_scenes.reflector_places():
            for one in date.bursts:
                at = engine.geocoding.place_in_burst(
                    one.swath, one.burst, date.orbit, place[None, None]
                )
                line, sample = float(at.line[0, 0]), float(at.sample[0, 0])
                lines, samples = one.burst.valid_lines, one.burst.valid_samples
                if not (lines.start + 16 < line < lines.stop - 16):
                    continue
                if not (samples.start + 20 < sample < samples.stop - 20):
                    continue
                corner = int(line) - 8, int(sample) - 8
                pixels = one.read(
                    slice(corner[0], corner[0] + 17), slice(corner[1], corner[1] + 17)
                )
                flat = engine.geocoding.deramp(pixels, corner, Carrier.of(one.swath, one.burst))
                found = peak(flat)
                off.append((found[0] + corner[0] - line, found[1] + corner[1] - sample))
    worst = np.abs(off).max(axis=0)
    record_property("azimuth_pixels", float(worst[0]))
    record_property("range_pixels", float(worst[1]))
    assert len(off) >= 8 and (worst < 0.1).all()


def peak(image, factor=32):
    """Line and sample of the brightest point, by zero-padded Fourier interpolation."""
    spectrum = np.fft.fftshift(np.fft.fft2(image))
    size = [n * factor for n in image.shape]
    wide = np.zeros(size, complex)
    top = [
        (s - n) // 2 + (s // 2 - (s - n) // 2 - n // 2)
        for s, n in zip(size, image.shape, strict=True)
    ]
    wide[top[0] : top[0] + image.shape[0], top[1] : top[1] + image.shape[1]] = spectrum
    fine = np.abs(np.fft.ifft2(np.fft.ifftshift(wide)))
    return np.array(np.unravel_index(int(np.argmax(fine)), fine.shape)) / factor


def test_a_pair_shows_the_motion_and_nothing_else(ideal_scenes, images, record_property):
    """Bars: 0.1 rad after one constant, ramp below 0.2 rad, no jump at seams beyond 0.1 rad."""
    dates, (first, second), layout, _ = images
    assert len(np.unique(layout)) >= 4 and (layout >= 0).mean() > 0.99
    product, coherence = interfere(first, second, LOOKS)
    truth = ideal_scenes.truth
    away = (truth.displacement[1] - truth.delay[1]).values
    left = product * np.exp(4j * np.pi / dates[0].wavelength_m * away)
    good = np.isfinite(left) & (coherence > 0.6)
    assert good.mean() > 0.97 and np.nanmedian(coherence) > 0.95
    phase = np.where(good, np.angle(left * np.exp(-1j * np.angle(left[good].sum()))), np.nan)
    rms = float(np.sqrt(np.nanmean(phase**2)))
    record_property("rms_rad", rms)
    assert rms < 0.1
    at = np.argwhere(good)
    design = np.column_stack([np.ones(len(at)), at / np.array(good.shape)])
    slope = np.linalg.lstsq(design, phase[good], rcond=None)[0]
    record_property("ramp_rad", float(np.abs(slope[1:]).max()))
    assert np.abs(slope[1:]).max() < 0.2
    # Means of both sides of every seam.
    serving, _ = multilook(np.where(layout >= 0, layout, np.nan).astype(np.float32), LOOKS)
    means = [np.nanmedian(phase[np.abs(serving - k) < 0.01]) for k in np.unique(layout) if k >= 0]
    record_property("seam_rad", float(np.ptp(means)))
    assert np.ptp(means) < 0.1
    # A shift along the orbit turns the phase as the carrier does, by thousands of hertz. Margins of
    # tongues, where a pixel holds both motions, would hide it.
    turn = np.full(GRID.shape, np.nan)
    height = heights.ellipsoidal(ideal_scenes.folder, GRID, datum="ellipsoid").values
    ground = engine.geocoding.earth_fixed(GRID, height)
    for index, one in enumerate(dates[0].bursts):
        at = engine.geocoding.place_in_burst(one.swath, one.burst, dates[0].orbit, ground)
        here = (np.abs(serving - index) < 0.01) & at.inside
        carrier = Carrier.of(one.swath, one.burst)
        ahead, behind = (carrier.phase(at.line[here] + d, at.sample[here]) for d in (0.5, -0.5))
        turn[here] = ahead - behind
    seen = np.isfinite(phase) & np.isfinite(turn) & (truth.tongue.values == 0)
    shift = float(np.polyfit(turn[seen], phase[seen], 1)[0])
    record_property("misregistration_lines", abs(shift))
    assert np.ptp(turn[seen]) > 3.0 and abs(shift) < 0.0015


def test_an_image_without_its_phases_can_be_oversampled(ideal_scenes, images):
    """It tells itself half a pixel away, where pixels are finer than the resolution."""
    date, layout = images[0][0], images[2].repeat(2, axis=1)
    fine = GRID.subdivided(LOOKS[0], 2 * LOOKS[1])
    height = heights.ellipsoidal(ideal_scenes.folder, fine, datum="ellipsoid").values
    bare, flattened = [], []
    for half in (0.0, 0.5):
        grid = replace(fine, west=fine.west + half * fine.dx, north=fine.north - half * fine.dy)
        image = np.empty(fine.shape, np.complex64)
        engine.geocode(date, grid, height, layout, image, threads=2)
        slc = engine.as_dataset(image, grid, date)["slc"]
        with engine.baseband(slc, date, grid, height, layout, threads=2) as found:
            bare.append(found.values)
        np.testing.assert_allclose(np.abs(bare[-1]), np.abs(image), rtol=1e-4, atol=1e-3)
        flattened.append(image)

    def likeness(here, there):
        parts = [oversampled(np.ascontiguousarray(part, np.float32))
                 for part in (np.nan_to_num(here.real), np.nan_to_num(here.imag))]  # fmt: skip
        told = (parts[0] + 1j * parts[1])[1::2, 1::2]
        known = np.isfinite(there) & (np.abs(told) < 3.0) & (np.abs(there) < 3.0)  # no reflectors
        a, b = told[known], there[known]
        return abs(np.vdot(a, b)) / np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real)

    assert likeness(*bare) > 0.9  # slopes that face the radar are sampled too coarsely
    assert likeness(*flattened) < 0.5


def test_offsets_find_the_flow_of_ice(tmp_path):
    """Crevasses and debris that the ice carries, between dates a month apart."""
    scenes = simulate(tmp_path, dates=2, interval_days=36, ice_m_per_year=150.0)
    assert float(scenes.truth.ice_east.max()) != 0.0
    fine = GRID.subdivided(*LOOKS)
    height = heights.ellipsoidal(scenes.folder, fine, datum="ellipsoid").values
    dates = acquisitions_of(scenes)
    layout = engine.lay_out(dates[0], fine, height, threads=2).values
    images = []
    for date in dates:
        image = np.empty(fine.shape, np.complex64)
        engine.geocode(date, fine, height, layout, image, threads=2)
        slc = engine.as_dataset(image, fine, date)["slc"]
        with engine.baseband(slc, date, fine, height, layout, threads=2) as bare:
            images.append(bare.copy(data=bare.values))
    how = Matching(step=8, chips=(48,), search=8, prefilter="wallis", window="tapered")
    field = track(*images, how).compute().isel(size=0)
    truth = scenes.truth.interp(y=field.y, x=field.x)
    speed = np.hypot(truth.ice_east, truth.ice_north)
    years = 36 / 365.25
    for name in ("east", "north"):
        off = field[name] / years - truth[f"ice_{name}"]
        core = speed > 0.9 * speed.max()
        assert int((core & off.notnull()).sum()) >= 10
        assert abs(float(off.where(core).median())) < 12.0  # of 150 m/yr; a tenth of a pixel is 5
        assert abs(float(field[name].where(speed == 0.0).median())) < 0.1


def test_the_baseline_is_the_one_put_in(ideal_scenes, record_property):
    used, _, _ = check_scenes(ideal_scenes.products, orbit_files=ideal_scenes.orbits)
    found = used.groupby("date").perpendicular_baseline_m.first().to_numpy()
    off = float(np.abs(found - ideal_scenes.truth.perpendicular_baseline.values).max())
    record_property("off_m", off)
    assert off < 1.0


def test_one_seed_makes_one_set_of_products_and_more_dates_leave_the_others(noisy_scenes, tmp_path):
    again = simulate(tmp_path, dates=2)
    for old, new in zip(noisy_scenes.products[:2], again.products, strict=True):
        assert old.name == new.name
        tiffs = [next((p / "measurement").glob("*iw1*")).read_bytes() for p in (old, new)]
        assert tiffs[0] == tiffs[1]


def backscatter_of(scenes):
    """Gamma nought of the first date, from layout to flattening."""
    date = acquisitions_of(scenes)[0]
    fine = GRID.subdivided(*LOOKS)
    ground = radiometry.surroundings(fine)
    wide = heights.ellipsoidal(scenes.folder, ground, datum="ellipsoid").values
    height = wide[ground.window(fine)]
    layout = engine.lay_out(date, fine, height, threads=2).to_dataset()
    layout["flattening"] = radiometry.flattening(date.orbit, fine, wide, ground=ground)
    image = np.empty(fine.shape, np.complex64)
    engine.geocode(date, fine, height, layout["burst"].values, image, threads=2)
    coarse = heights.ellipsoidal(scenes.folder, GRID, datum="ellipsoid").values
    slc = engine.as_dataset(image, fine, date)["slc"]
    seen = np.ones(GRID.shape, bool)
    return engine.gamma_nought(slc, date, GRID, layout, coarse, LOOKS, seen=seen)


def test_backscatter_is_the_one_put_in(noisy_scenes, record_property):
    """Its level after flattening, noise and calibration, over slopes of up to 30 degrees."""
    gamma = backscatter_of(noisy_scenes)
    date = acquisitions_of(noisy_scenes)[0]
    coarse = heights.ellipsoidal(noisy_scenes.folder, GRID, datum="ellipsoid").values
    truth = noisy_scenes.truth.gamma_nought[0].values
    edge = 4  # beyond the fine grid, ground that shares its cells is not known
    inner = (slice(edge, -edge), slice(edge, -edge))
    ratio = gamma.values[inner] / truth[inner]
    level = float(10.0 * np.log10(np.nanmean(ratio)))
    record_property("level_db", level)
    assert abs(level) < 0.3
    fall_x = np.gradient(coarse, 40.0, axis=1)
    toward = (fall_x if date.bursts[0].swath.heading_deg > -90 else -fall_x)[inner]
    for low, high in [(-0.36, -0.1), (-0.1, 0.1), (0.1, 0.36)]:
        here = (toward > low) & (toward < high)
        assert here.sum() > 50
        level = float(10.0 * np.log10(np.nanmean(ratio[here])))
        record_property(f"level_db_of_slopes_{low}_to_{high}", level)
        assert abs(level) < 0.5
