"""Unpack chosen bursts of one date; run by the Python of ISCE2.

topsStack's own ``Sentinel1_TOPS.py`` chooses bursts by a box in latitude and longitude, which takes
neighbours along that other dates may lack, and ends with success where it fails.
"""

from __future__ import annotations

import argparse
import datetime
import sys

NEAR_S = 1e-3  # both are of one annotation, to the microsecond


def main() -> None:
    """Write ``IW<n>.xml`` and views of the bursts ``--into`` a folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", required=True)
    parser.add_argument("--polarisation", required=True)
    parser.add_argument("--orbit", help="orbit file; none: the annotation's own")
    parser.add_argument("--products", nargs="+", required=True)
    parser.add_argument("--bursts", nargs="+", required=True, help="swath=time of the first line")
    asked = parser.parse_args()
    wanted: dict[str, list[datetime.datetime]] = {}
    for one in asked.bursts:
        swath, _, time = one.partition("=")
        wanted.setdefault(swath, []).append(datetime.datetime.fromisoformat(time))
    for swath, times in sorted(wanted.items()):
        if len(times) < 2:
            sys.exit(
                f"{swath} has one burst in the area; topsStack leaves such swaths out: choose an "
                "area of two bursts and more of each swath, or engine: geocoded."
            )
        unpack(asked, swath, sorted(times))


def unpack(asked: argparse.Namespace, swath: str, times: list[datetime.datetime]) -> None:
    """Write one ``swath``: the bursts whose first lines are at ``times``."""
    import isce  # noqa: F401  (makes its packages importable)
    from isceobj.Sensor.TOPS.Sentinel1 import Sentinel1
    from iscesys.Component import createTraitSeq

    reader = Sentinel1()
    reader.configure()
    reader.safe = asked.products
    reader.swathNumber = int(swath[-1])
    reader.output = f"{asked.into}/{swath}"
    reader.orbitFile = asked.orbit
    reader.polarization = asked.polarisation
    reader.parse()
    bursts = list(reader.product.bursts)
    kept = [
        k
        for k, burst in enumerate(bursts)
        if any(abs((burst.sensingStart - time).total_seconds()) < NEAR_S for time in times)
    ]
    if len(kept) != len(times):
        sys.exit(
            f"{' '.join(asked.products)}: {len(kept)} of the {len(times)} bursts of {swath} were "
            "found; whole products are needed: download them again."
        )
    chosen = createTraitSeq("burst")
    for k in kept:
        chosen.append(bursts[k])
    reader.product.bursts = chosen
    reader.product.numberOfBursts = len(kept)
    if len(reader._tiffSrc):
        reader._tiffSrc = [reader._tiffSrc[k] for k in kept]
    reader._elevationAngleVsTau = [reader._elevationAngleVsTau[k] for k in kept]
    reader.extractImage(virtual=True)


if __name__ == "__main__":
    main()
