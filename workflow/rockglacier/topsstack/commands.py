"""Command lines of topsStack's steps, as seen from the track's ``isce2`` folder.

A command is a list: a program of topsStack or of this package, then its arguments. Paths are
relative, so that the folder may be moved; ``{threads}`` stands for the threads of the job. The
first date is topsStack's reference. Source: ``contrib/stack/topsStack`` of ISCE2 2.6.5 (Fattahi et
al. 2017, doi 10.1109/TGRS.2016.2614925).
"""

from __future__ import annotations

from collections.abc import Sequence

from rockglacier.topsstack.installation import THREADS, Command

DEM = "dem/dem.wgs84"
ESD_COHERENCE = 0.85  # of overlaps, as topsStack's default
# Layers of the geometry, and what takes their looks, as topsStack merges them.
GEOMETRY = {
    "lat": ("gdal", "0"),
    "lon": ("gdal", "0"),
    "los": ("gdal", "0"),
    "hgt": ("gdal", None),
    "shadowMask": ("isce", None),
    "incLocal": ("gdal", "0"),
}
# Pixels of IW on level ground at an incidence of 39 degrees, m.
LINE_M, SAMPLE_M = 13.9, 3.7
MAX_CYCLES = "2"  # of motion between neighbours, for snaphu


def folder_of(date: str, first: str) -> str:
    """Where the images of ``date`` (YYYYMMDD) lie once they fit those of the ``first`` date."""
    return "reference" if date == first else f"coreg_secondarys/{date}"


def overlaps_of(date: str, first: str) -> str:
    """Where the overlaps of bursts of ``date`` lie, placed by geometry alone."""
    return "reference" if date == first else f"coarse_secondarys/{date}"


def looks_of(spacing_m: float) -> list[int]:
    """Lines and samples that make about a square of ``spacing_m``."""
    return [max(1, round(spacing_m / LINE_M)), max(1, round(spacing_m / SAMPLE_M))]


def unpack(rows: Sequence[Sequence[str]], polarisation: str, into: str) -> list[Command]:
    """The bursts of one date: ``rows`` of product, swath, time of the first line, orbit file."""
    command = ["unpack_bursts.py", "--into", into, "--polarisation", polarisation.lower()]
    orbits = sorted({row[3] for row in rows if row[3].endswith(".EOF")})
    command += ["--orbit", *orbits] if orbits else []
    command += ["--products", *sorted({row[0] for row in rows})]
    command += ["--bursts", *(f"{row[1]}={row[2]}" for row in rows)]
    return [command]


def reference(rows: Sequence[Sequence[str]], polarisation: str) -> list[Command]:
    """The first date: its bursts, their geometry, and the overlaps of bursts."""
    return [
        *unpack(rows, polarisation, "reference"),
        ["topo.py", "-m", "reference", "-d", DEM, "-g", "geom_reference", "-n", THREADS],
        ["subsetReference.py", "-m", "reference", "-g", "geom_reference"],
    ]


def baseline(first: str, date: str) -> list[Command]:
    """Baselines of ``date`` against the first."""
    name = f"{first}_{date}"
    return [
        ["computeBaseline.py", "-m", "reference", "-s", f"secondarys/{date}",
         "-b", f"baselines/{name}/{name}.txt"]
    ]  # fmt: skip


def overlap(date: str) -> list[Command]:
    """Overlaps of bursts of ``date`` onto those of the first, by geometry alone."""
    ends = ["-m", "reference", "-s", f"secondarys/{date}"]
    into = f"coarse_secondarys/{date}"
    return [
        ["geo2rdr.py", *ends, "-g", "geom_reference", "-c", into, "-v"],
        ["resamp_withCarrier.py", *ends, "-o", into, "-v"],
    ]


def overlap_interferogram(first: str, earlier: str, date: str) -> list[Command]:
    """Interferograms of overlaps, and their differences between the two bursts."""
    pair = f"{earlier}_{date}"
    ends = ["-m", overlaps_of(earlier, first), "-s", overlaps_of(date, first)]
    coarse = f"coarse_interferograms/{pair}"
    return [
        ["generateIgram.py", *ends, "-i", coarse, "-p", "int", "-v"],
        ["overlap_withDEM.py", "-i", coarse, *ends, "-d", f"ESD/{pair}"],
    ]


def misregister_azimuth(earlier: str, date: str, into: str) -> list[Command]:
    """Shift along the orbit by enhanced spectral diversity, written ``into`` a file."""
    return [
        ["estimateAzimuthMisreg.py", "-i", f"ESD/{earlier}_{date}", "-o", into,
         "-t", str(ESD_COHERENCE)]
    ]  # fmt: skip


def misregister_range(first: str, earlier: str, date: str, into: str) -> list[Command]:
    """Shift in range by the correlation of amplitudes, written ``into`` a file."""
    ends = ["-m", overlaps_of(earlier, first), "-s", overlaps_of(date, first)]
    return [["estimateRangeMisreg.py", "-o", into, *ends]]


def coregister(date: str, *, misregistered: bool) -> list[Command]:
    """The bursts of ``date`` onto those of the first; ``misregistered``: less its own shift."""
    ends = ["-m", "reference", "-s", f"secondarys/{date}"]
    into = f"coreg_secondarys/{date}"
    shifts = ["-a", f"misreg/azimuth/{date}.txt", "-r", f"misreg/range/{date}.txt"]
    shifts = shifts if misregistered else []
    return [
        ["geo2rdr.py", *ends, "-g", "geom_reference", "-c", into, *shifts],
        ["resamp_withCarrier.py", *ends, "-o", into, *shifts],
    ]


def valid_region(dates: str) -> list[Command]:
    """What all dates below the folder ``dates`` cover, of each burst."""
    return [["extractCommonValidRegion.py", "-m", "reference", "-s", dates]]


def merge_geometry(looks: Sequence[int]) -> list[Command]:
    """Bursts of the geometry joined and multilooked; ``looks`` in azimuth and range."""
    return [
        ["mergeBursts.py", "-i", "reference", "-d", "geom_reference", "-n", f"{layer}*rdr",
         "-o", f"merged/geom_reference/{layer}.rdr", "-m", "top", "-u", "-l",
         "-A", str(looks[0]), "-R", str(looks[1]), "-M", tool,
         *([] if missing is None else ["-N", missing])]
        for layer, (tool, missing) in GEOMETRY.items()
    ]  # fmt: skip


def merge_date(first: str, date: str) -> list[Command]:
    """Bursts of one date joined, as a view."""
    place = folder_of(date, first)
    aligned = [] if date == first else ["-a"]
    return [
        ["mergeBursts.py", "-i", place, "-s", "stack", "-d", place, "-n", "burst*slc",
         "-o", f"merged/SLC/{date}/{date}.slc", "-m", "top", "-v", "-u", *aligned]
    ]  # fmt: skip


def interfere(first: str, date: str, later: str) -> list[Command]:
    """Interferograms of bursts."""
    ends = ["-m", folder_of(date, first), "-s", folder_of(later, first)]
    return [["generateIgram.py", *ends, "-i", f"interferograms/{date}_{later}", "-p", "fine"]]


def merge_pair(pair: str, looks: Sequence[int]) -> list[Command]:
    """Interferograms of bursts joined and multilooked."""
    bursts = f"interferograms/{pair}"
    return [
        ["mergeBursts.py", "-i", bursts, "-s", "stack", "-d", bursts, "-n", "fine*int",
         "-o", f"merged/interferograms/{pair}/fine.int", "-m", "top", "-a", "-v", "-u", "-l",
         "-A", str(looks[0]), "-R", str(looks[1])]
    ]  # fmt: skip


def filter_pair(date: str, later: str, looks: Sequence[int], strength: float) -> list[Command]:
    """The adaptive filter, and coherence."""
    place = f"merged/interferograms/{date}_{later}"
    return [
        ["FilterAndCoherence.py", "-i", f"{place}/fine.int", "-f", f"{place}/filt_fine.int",
         "-c", f"{place}/filt_fine.cor", "-s", str(strength),
         "--slc1", f"merged/SLC/{date}/{date}.slc.full",
         "--slc2", f"merged/SLC/{later}/{later}.slc.full",
         "--cc", f"{place}/fine.cor", "-z", str(looks[0]), "-r", str(looks[1])]
    ]  # fmt: skip


def unwrap_pair(pair: str, looks: Sequence[int]) -> list[Command]:
    """Unwrapping by ISCE2's snaphu, led by the coherence of the two images.

    topsStack takes the phase's own scatter after the filter, which ISCE2 leaves empty for images of
    200 lines and fewer (``icu.F``: no patch is longer than its overlap).
    """
    place = f"merged/interferograms/{pair}"
    return [
        ["unwrap.py", "-i", f"{place}/filt_fine.int", "-u", f"{place}/filt_fine.unw",
         "-c", f"{place}/fine.cor",
         "-s", "reference", "-d", MAX_CYCLES, "-a", str(looks[0]), "-r", str(looks[1]),
         "-m", "snaphu"]
    ]  # fmt: skip
