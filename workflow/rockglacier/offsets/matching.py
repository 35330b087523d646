"""Where a chip of one image lies in another, to a hundredth of a pixel, and how sure that is.

A search by normalised cross-correlation finds whole pixels. From there the chip is laid over the
other image, moved and sheared until it fits best (Gauss-Newton, inverse compositional). Nothing in
this prefers whole pixels: template and gradients are those of the reference, which is never
interpolated, and the kernel that interpolates the secondary passes the band of the image.

The error of a place follows from the curvature of the misfit and from the scatter of its scores,
block by block, so that noise may differ from pixel to pixel and be alike in neighbouring ones.

Source
------
Baker & Matthews (2004), doi:10.1023/B:VISI.0000011205.11775.fd; Pan, Li & Tong (2013),
doi:10.1007/s11340-013-9717-6; White (1980), doi:10.2307/1912934.
"""

from __future__ import annotations

from math import cos, pi, sqrt

import numba
import numpy as np

# Columns of what a chip size finds.
DY, DX, VAR_Y, VAR_X, COV_XY, CORRELATION, PEAK_RATIO, STATE = range(8)
COLUMNS = 8
# States of a chip size: all but the last as in rockglacier.offsets.reasons.
FOUND, NO_DATA, FEATURELESS, OUTSIDE, AT_EDGE, DIVERGED, SPARED = range(7)

PARAMETERS = 6  # dy, dx and their gradients along y and x
SCORE_BLOCKS = 8  # a side, or few more, of pixels whose noise is taken as one
LEAST_BLOCK = 4  # pixels a side
FAR = 2  # pixels from the peak from where on another peak is a rival
MAX_STEPS = 12
TOLERANCE_PX = 4e-3  # of the image: a step shorter than this is the last
LEASH_PX = 1.5  # from the whole-pixel peak: beyond it, the fit went elsewhere
TAPS = 6  # of the kernel between the pixels of the finer secondary
AT_ONCE = 8  # lags of a search, in registers
LANES = 8  # columns of the kernel: taps, then zeros
UPSAMPLING = 2  # of the secondary that is interpolated
MIN_LIKENESS = 0.1  # of the gradients of both chips
MIN_VALID = 0.7  # share of a chip's pixels
LEAST_KNOWN = 0.3  # share of a search's pixels, less than which hold no chip's

_FAST = {"contract", "reassoc", "nsz"}


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def peak_of_search(
    reference: np.ndarray,
    secondary: np.ndarray,
    y: int,
    x: int,
    side: int,
    guess_y: int,
    guess_x: int,
    radius: int,
    thin: int,
    found: np.ndarray,
) -> None:
    """Whole-pixel offset of the chip whose first pixel is (y, x), within ``radius`` of the guess.

    Every ``thin``-th row of the chip counts. ``found``: filled with dy, dx, the correlation there,
    that of the best rival, and how far beyond the whole pixel (y, x) a parabola through the peak
    puts it, 0 at the edge.
    """
    lags = 2 * radius + 1
    reach = side + lags - 1
    top, left = y + guess_y - radius, x + guess_x - radius
    many = side // thin  # rows of the chip
    chip = np.empty((many, side), np.float32)
    mean = np.float32(0.0)
    for i in range(many):
        for j in range(side):
            mean += reference[y + thin * i, x + j]
    mean /= many * side
    energy = np.float32(0.0)
    for i in range(many):
        for j in range(side):
            chip[i, j] = reference[y + thin * i, x + j] - mean
            energy += chip[i, j] * chip[i, j]
    # Sums over the rows above that count with this one, from the left.
    total = np.zeros((reach + thin, reach + 1))
    square = np.zeros((reach + thin, reach + 1))
    window = np.zeros((reach, reach + AT_ONCE), np.float32)
    for i in range(reach):
        row, row_square = 0.0, 0.0
        for j in range(reach):
            value = secondary[top + i, left + j]
            window[i, j] = value
            row += value
            row_square += value * value
            total[i + thin, j + 1] = total[i, j + 1] + row
            square[i + thin, j + 1] = square[i, j + 1] + row_square
    surface = np.empty((lags, lags), np.float32)
    product = np.empty(lags + AT_ONCE, np.float32)
    best, at_y, at_x = np.float32(-2.0), 0, 0
    for p in range(lags):
        for q in range(0, lags, AT_ONCE):
            _products(chip, window[p::thin], q, product)
        for q in range(lags):
            end = p + thin * many
            s = total[end, q + side] - total[p, q + side]
            s += total[p, q] - total[end, q]
            t = square[end, q + side] - square[p, q + side]
            t += square[p, q] - square[end, q]
            spread = (t - s * s / (many * side)) * energy
            value = np.float32(product[q] / sqrt(spread)) if spread > 1e-9 else np.float32(-1.0)
            surface[p, q] = value
            if value > best:
                best, at_y, at_x = value, p, q
    rival = np.float32(-1.0)
    for p in range(lags):
        for q in range(lags):
            if abs(p - at_y) > FAR or abs(q - at_x) > FAR:
                rival = max(rival, surface[p, q])
    found[0], found[1], found[2], found[3] = at_y - radius, at_x - radius, best, rival
    found[4] = found[5] = 0.0
    if 0 < at_y < lags - 1 and 0 < at_x < lags - 1:
        found[4] = _vertex(surface[at_y - 1 : at_y + 2, at_x])
        found[5] = _vertex(surface[at_y, at_x - 1 : at_x + 2])


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _products(chip: np.ndarray, window: np.ndarray, first: int, product: np.ndarray) -> None:
    """Sum of ``chip`` times ``window`` moved by ``first`` and the next lags, AT_ONCE in all."""
    many, side = chip.shape
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = np.float32(0.0)
    for i in range(many):
        of_chip, beside = chip[i], window[i, first : first + side + AT_ONCE]
        for j in range(side):
            c = of_chip[j]
            a0 += c * beside[j]
            a1 += c * beside[j + 1]
            a2 += c * beside[j + 2]
            a3 += c * beside[j + 3]
            a4 += c * beside[j + 4]
            a5 += c * beside[j + 5]
            a6 += c * beside[j + 6]
            a7 += c * beside[j + 7]
    product[first], product[first + 1], product[first + 2], product[first + 3] = a0, a1, a2, a3
    product[first + 4], product[first + 5], product[first + 6], product[first + 7] = a4, a5, a6, a7


@numba.njit(cache=True, nogil=True)
def _vertex(values: np.ndarray) -> float:
    """Where the parabola through three values is highest, from the middle one."""
    bend = values[0] - 2.0 * values[1] + values[2]
    return float(0.5 * (values[0] - values[2]) / bend) if bend < 0.0 else 0.0


@numba.njit(cache=True, nogil=True)
def _inverse(matrix: np.ndarray, out: np.ndarray) -> bool:
    """Inverse of a symmetric, positive definite matrix; False where it is none."""
    size = matrix.shape[0]
    lower = np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1):
            s = matrix[i, j]
            for k in range(j):
                s -= lower[i, k] * lower[j, k]
            if i == j:
                if not s > 1e-9 * matrix[i, i] or not matrix[i, i] > 0.0:
                    return False
                lower[i, i] = sqrt(s)
            else:
                lower[i, j] = s / lower[j, j]
    for column in range(size):
        for i in range(size):
            s = 1.0 if i == column else 0.0
            for k in range(i):
                s -= lower[i, k] * out[k, column]
            out[i, column] = s / lower[i, i]
        for i in range(size - 1, -1, -1):
            s = out[i, column]
            for k in range(i + 1, size):
                s -= lower[k, i] * out[k, column]
            out[i, column] = s / lower[i, i]
    return True


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _lay(
    fine: np.ndarray,
    kernel: np.ndarray,
    y: int,
    x: int,
    side: int,
    thin: int,
    place: np.ndarray,
    laid: np.ndarray,
) -> bool:
    """Values of the secondary where the chip comes to lie; False where that is outside.

    Of each row every ``thin``-th pixel, from one further on in each.
    """
    half = 0.5 * (side - 1)
    phases, lanes = kernel.shape[0] - 1, np.uintp(kernel.shape[1])
    before = TAPS // 2 - 1
    rows, columns = fine.shape
    # Unsigned places in flat arrays: the compiler then works on eight taps at once.
    values, weights = fine.reshape(-1), kernel.reshape(-1)
    stride = np.uintp(columns)
    many = side // thin
    first = np.empty(many, np.uintp)
    across = np.empty(many, np.uintp)
    down = np.empty(many, np.uintp)
    for i in range(side):
        v = (i - half) / half
        for n in range(many):
            j = i % thin + n * thin
            u = (j - half) / half
            at_y = UPSAMPLING * (y + i + place[0] + place[2] * v + place[3] * u)
            at_x = UPSAMPLING * (x + j + place[1] + place[4] * v + place[5] * u)
            if not (at_y >= before and at_x >= before):
                return False
            r, c = int(at_y), int(at_x)
            if r - before + LANES > rows or c - before + LANES > columns:
                return False
            across[n] = lanes * np.uintp((at_x - c) * phases + 0.5)
            down[n] = lanes * np.uintp((at_y - r) * phases + 0.5)
            first[n] = np.uintp(r - before) * stride + np.uintp(c - before)
        for n in range(many):
            # Down first, all lanes at once; the sum across them comes but once.
            d, at = down[n], first[n]
            w0, w1, w2 = weights[d], weights[d + np.uintp(1)], weights[d + np.uintp(2)]
            w3, w4, w5 = (
                weights[d + np.uintp(3)],
                weights[d + np.uintp(4)],
                weights[d + np.uintp(5)],
            )
            r1 = at + stride
            r2 = r1 + stride
            r3 = r2 + stride
            r4 = r3 + stride
            r5 = r4 + stride
            value = np.float32(0.0)
            for lane in range(LANES):
                b = np.uintp(lane)
                column = w0 * values[at + b] + w1 * values[r1 + b] + w2 * values[r2 + b]
                column += w3 * values[r3 + b] + w4 * values[r4 + b] + w5 * values[r5 + b]
                value += weights[across[n] + b] * column
            laid[i * many + n] = value
    return True


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def fit_chip(
    reference: np.ndarray,
    along_y: np.ndarray,
    along_x: np.ndarray,
    bend: np.ndarray,
    weight: np.ndarray,
    fine: np.ndarray,
    known: np.ndarray,
    kernel: np.ndarray,
    y: int,
    x: int,
    side: int,
    thin: int,
    tapered: bool,
    start_y: float,
    start_x: float,
    found: np.ndarray,
) -> None:
    """Fit the chip whose first pixel is (y, x), from a start (dy, dx) near the peak.

    ``bend``: minus the reference's Laplacian; ``weight``: of its pixels, 0 where unknown; ``fine``:
    the secondary, UPSAMPLING times finer; ``known``: 1 where the secondary is known; ``kernel``
    (phase, tap): of the pixels around a place between those of ``fine``; ``thin``: of how many
    pixels one counts, where images are oversampled and neighbours say nearly the same; ``tapered``:
    whether pixels count by a raised cosine, which falls to zero at the chip's edge. ``found``
    (COLUMNS) is filled.
    """
    many = side // thin
    count = side * many
    half = 0.5 * (side - 1)
    template = np.empty(count, np.float32)
    bends = np.empty(count, np.float32)
    w = np.empty(count, np.float32)
    slope = np.empty((PARAMETERS, count), np.float32)
    laid = np.empty(count, np.float32)
    near_y, near_x = int(np.round(start_y)), int(np.round(start_x))
    window = np.ones(side, np.float32)
    if tapered:
        for i in range(side):
            window[i] = np.float32(1.0 + cos(2.0 * pi * (i - half) / (side + 1)))
    mass, mean, whole = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for i in range(side):
        for n in range(many):
            j, k = i % thin + n * thin, i * many + n
            w[k] = window[i] * window[j]
            whole += w[k]
            w[k] *= weight[y + i, x + j] * known[y + i + near_y, x + j + near_x]
            template[k] = reference[y + i, x + j]
            bends[k] = w[k] * bend[y + i, x + j]
            mass += w[k]
            mean += w[k] * template[k]
    found[:] = np.nan
    found[STATE] = NO_DATA
    if mass < MIN_VALID * whole:
        return
    mean /= mass
    energy, gradients = np.float32(0.0), np.float32(0.0)
    for k in range(count):
        template[k] -= mean
        gradients += bends[k] * template[k]
        energy += w[k] * template[k] * template[k]
    for i in range(side):
        v = np.float32((i - half) / half)
        for n in range(many):
            j, k = i % thin + n * thin, i * many + n
            u = np.float32((j - half) / half)
            gy, gx = along_y[y + i, x + j], along_x[y + i, x + j]
            slope[0, k] = gy
            slope[1, k] = gx
            slope[2, k] = gy * v
            slope[3, k] = gy * u
            slope[4, k] = gx * v
            slope[5, k] = gx * u
    for p in range(PARAMETERS):
        s = np.float32(0.0)
        for k in range(count):
            s += w[k] * slope[p, k]
        s /= mass
        for k in range(count):
            slope[p, k] -= s
    curvature = np.empty((PARAMETERS, PARAMETERS))
    for p in range(PARAMETERS):
        for q in range(p + 1):
            s = np.float32(0.0)
            for k in range(count):
                s += w[k] * slope[p, k] * slope[q, k]
            curvature[p, q] = s
            curvature[q, p] = s
    inverse = np.empty((PARAMETERS, PARAMETERS))
    found[STATE] = FEATURELESS
    if not energy > 0.0 or not _inverse(curvature, inverse):
        return
    place = np.zeros(PARAMETERS)
    place[0], place[1] = start_y, start_x
    score = np.empty(PARAMETERS)
    tolerance = thin * TOLERANCE_PX
    correlation = 0.0
    gain, largest = np.float32(0.0), np.inf
    likeness = 1.0
    done = False
    for _ in range(MAX_STEPS):
        if not _lay(fine, kernel, y, x, side, thin, place, laid):
            found[STATE] = OUTSIDE
            return
        mean = np.float32(0.0)
        for k in range(count):
            mean += w[k] * laid[k]
        mean /= mass
        own, shared, alike = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for k in range(count):
            laid[k] -= mean
            own += w[k] * laid[k] * laid[k]
            shared += w[k] * laid[k] * template[k]
            alike += bends[k] * laid[k]
        if not own > 1e-6 * energy:
            return
        gain = np.float32(sqrt(energy / own))
        correlation = float(shared) / sqrt(energy * own)
        # Of the reference's gradients, noise makes some that the secondary lacks: the misfit is
        # curved by what they share. By parts, their products are those of values and curvature.
        likeness = float(gain * alike / gradients) if gradients > 0.0 else 0.0
        found[STATE] = DIVERGED
        if not likeness > MIN_LIKENESS:
            return
        for p in range(PARAMETERS):
            s = np.float32(0.0)
            for k in range(count):
                s += w[k] * (template[k] - gain * laid[k]) * slope[p, k]
            score[p] = s / likeness
        largest = 0.0
        for p in range(PARAMETERS):
            step = 0.0
            for q in range(PARAMETERS):
                step += inverse[p, q] * score[q]
            place[p] += step
            largest = max(largest, abs(step))
        if abs(place[0] - start_y) > LEASH_PX or abs(place[1] - start_x) > LEASH_PX:
            return
        if largest < tolerance:
            done = True
            break
    if not done and largest > 10.0 * tolerance:
        return
    # Scores of blocks, carried to the place: their sum of squares is its variance.
    blocks = 0
    yy, xx, yx = 0.0, 0.0, 0.0
    block = max(LEAST_BLOCK, side // SCORE_BLOCKS)
    for top in range(0, side, block):
        for left in range(0, side, block):
            score[:] = 0.0
            for i in range(top, min(top + block, side)):
                for n in range(left // thin, min(left + block, side) // thin):
                    k = i * many + n
                    e = w[k] * (template[k] - gain * laid[k]) / likeness
                    for p in range(PARAMETERS):
                        score[p] += e * slope[p, k]
            move_y, move_x = 0.0, 0.0
            for p in range(PARAMETERS):
                move_y += inverse[0, p] * score[p]
                move_x += inverse[1, p] * score[p]
            yy += move_y * move_y
            xx += move_x * move_x
            yx += move_y * move_x
            blocks += 1
    lost = blocks / max(1.0, blocks - PARAMETERS)
    found[DY], found[DX] = place[0], place[1]
    found[VAR_Y], found[VAR_X], found[COV_XY] = lost * yy, lost * xx, lost * yx
    found[CORRELATION] = correlation
    found[STATE] = FOUND


@numba.njit(cache=True, nogil=True)
def _fits_in(y: int, x: int, side: int, rows: int, columns: int) -> bool:
    return y >= 0 and x >= 0 and y + side <= rows and x + side <= columns


@numba.njit(cache=True, nogil=True)
def _share_known(known: np.ndarray, y: int, x: int, side: int) -> float:
    """Of the square whose first pixel is (y, x), beyond the image unknown."""
    total = 0.0
    for i in range(max(y, 0), min(y + side, known.shape[0])):
        for j in range(max(x, 0), min(x + side, known.shape[1])):
            total += known[i, j]
    return total / (side * side)


@numba.njit(cache=True, nogil=True)
def _search(
    reference: np.ndarray,
    secondary: np.ndarray,
    y: int,
    x: int,
    side: int,
    guess: np.ndarray,
    radius: int,
    thin: int,
    found: np.ndarray,
) -> int:
    """State of :func:`peak_of_search` around ``guess`` (dy, dx), which its offset includes."""
    top, left = y + guess[0] - radius, x + guess[1] - radius
    if not _fits_in(y, x, side, *reference.shape):
        return OUTSIDE
    if not _fits_in(top, left, side + 2 * radius, *secondary.shape):
        return OUTSIDE
    peak_of_search(reference, secondary, y, x, side, guess[0], guess[1], radius, thin, found)
    if not found[2] > 0.0:
        return FEATURELESS
    at_edge = abs(found[0]) == radius or abs(found[1]) == radius
    found[0] += guess[0]
    found[1] += guess[1]
    return AT_EDGE if at_edge else FOUND


@numba.njit(cache=True, nogil=True)
def search_places(
    reference: np.ndarray,
    secondary: np.ndarray,
    places: np.ndarray,
    guesses: np.ndarray,
    side: int,
    radius: int,
    thin: int,
    out: np.ndarray,
) -> None:
    """Whole-pixel offset at every place: ``out`` (place, 7), of :func:`peak_of_search`, and state.

    ``places``, ``guesses`` (place, 2; int): of :func:`match_places`. NaN, but for the state, where
    the search would leave the image, or the chip has no contrast.
    """
    for n in range(places.shape[0]):
        y, x = places[n, 0] - side // 2, places[n, 1] - side // 2
        state = _search(reference, secondary, y, x, side, guesses[n], radius, thin, out[n])
        if state != FOUND and state != AT_EDGE:
            out[n] = np.nan
        out[n, 6] = state


@numba.njit(cache=True, nogil=True)
def match_places(
    reference: np.ndarray,
    along_y: np.ndarray,
    along_x: np.ndarray,
    bend: np.ndarray,
    weight: np.ndarray,
    secondary: np.ndarray,
    fine: np.ndarray,
    known: np.ndarray,
    kernel: np.ndarray,
    places: np.ndarray,
    guesses: np.ndarray,
    ratios: np.ndarray,
    sides: np.ndarray,
    radius: int,
    min_correlation: float,
    min_peak_ratio: float,
    enough_px: float,
    thin: int,
    tapered: bool,
    out: np.ndarray,
) -> None:
    """Every chip size at every place: ``out`` (place, size, COLUMNS).

    ``places`` (place, 2; int): row and column of the pixel whose first corner is the chips' centre;
    ``guesses`` (place, 2; int): whole-pixel offsets that the search starts from, and ``ratios``
    (place,) of peak and rival where they were found, else NaN; ``sides``: chip
    sizes, ascending, even. A size starts from what the next smaller one found, if that is reliable
    by ``min_correlation`` and ``min_peak_ratio``, else from a search of its own; sizes beyond a
    reliable one whose deviation is at most ``enough_px`` are left as SPARED. ``thin`` and
    ``tapered``: of :func:`fit_chip`.
    """
    rows, columns = reference.shape
    peak = np.empty(6)
    for n in range(places.shape[0]):
        known_start, enough = False, False
        start_y, start_x, ratio = 0.0, 0.0, 0.0
        for s in range(sides.size):
            side = sides[s]
            y, x = places[n, 0] - side // 2, places[n, 1] - side // 2
            found = out[n, s]
            found[:] = np.nan
            if enough:
                found[STATE] = SPARED
                continue
            found[STATE] = OUTSIDE
            if not _fits_in(y, x, side, rows, columns):
                continue
            if _share_known(weight, y, x, side) < MIN_VALID:
                found[STATE] = NO_DATA
                continue
            if not known_start:
                there_y, there_x = y + guesses[n, 0], x + guesses[n, 1]
                reach = side + 2 * radius
                if _share_known(known, there_y - radius, there_x - radius, reach) < LEAST_KNOWN:
                    within = _fits_in(there_y, there_x, side, *known.shape)
                    found[STATE] = NO_DATA if within else OUTSIDE
                    continue
                state = _search(reference, secondary, y, x, side, guesses[n], radius, thin, peak)
                if state != FOUND:
                    # A search in what is mostly unknown says nothing of the ground.
                    hidden = _share_known(known, there_y, there_x, side) < MIN_VALID
                    found[STATE] = NO_DATA if hidden and state != OUTSIDE else state
                    continue
                start_y, start_x = peak[0] + peak[4], peak[1] + peak[5]
                ratio = peak[2] / max(peak[3], 1e-3)
                if ratios[n] == ratios[n]:  # a search so narrow knows no rival
                    ratio = ratios[n]
            near_y, near_x = int(np.round(start_y)), int(np.round(start_x))
            if not _fits_in(y + near_y, x + near_x, side, *known.shape):
                found[STATE] = OUTSIDE
                continue
            fit_chip(
                reference, along_y, along_x, bend, weight, fine, known, kernel, y, x, side, thin,
                tapered, start_y, start_x, found,
            )  # fmt: skip
            found[PEAK_RATIO] = ratio
            if found[STATE] == FOUND:
                reliable = ratio >= min_peak_ratio and found[CORRELATION] >= min_correlation
                if reliable:
                    known_start = True
                    start_y, start_x = found[DY], found[DX]
                    enough = max(found[VAR_Y], found[VAR_X]) <= enough_px * enough_px
