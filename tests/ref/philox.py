"""Unroll's random numbers, written anew from the paper (Salmon et al. 2011, Philox4x32-10), a whole array at once."""
import numpy as np

DROPOUT, DROPPED_STATE, DROPPED_WEIGHT, DROPPED_WORD, WINDOWS = 2, 16, 32, 48, 70  # enum rng_what
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(seed, what, step, lane=0, time=0, unit=0):
    """Four words of 32 bits (as uint64), [4] and the common shape of lane, time and unit. The counter is {unit,
    what << 16 | time, lane, step}."""
    counter = [np.asarray(part, dtype=np.uint64) for part in (unit, np.asarray(time) + (what << 16), lane, step)]
    x = np.broadcast_arrays(*counter)
    keys = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [b >> HALF ^ x[1] ^ np.uint64(keys[0]), b & LOW, a >> HALF ^ x[3] ^ np.uint64(keys[1]), a & LOW]
        keys = [keys[0] + 0x9E3779B9 & 0xFFFFFFFF, keys[1] + 0xBB67AE85 & 0xFFFFFFFF]
    return np.stack(x)


def keep(p, seed, what, step, rows, units, time=0):
    """Masks float32 [rows][units] of the lanes (or rows of weights) 0 to rows - 1: 0 or 1 / (1 - p), p in units of 1/65536."""
    threshold = int(p * 65536 + 0.5)
    scale = np.float32(65536) / np.float32(65536 - threshold)
    words = philox(seed, what, step, lane=np.arange(rows)[:, None], time=time, unit=np.arange((units + 7) // 8)[None, :])
    draws = np.stack([words & np.uint64(0xFFFF), words >> np.uint64(16)], -1)  # [4][rows][units / 8][2]
    draws = draws.transpose(1, 2, 0, 3).reshape(rows, -1)[:, :units]
    return np.where(draws < threshold, np.float32(0), scale)


def uniform(high, low=0):
    """Of [0, 1): the upper 53 bits of two words."""
    return ((int(high) << 32 | int(low)) >> 11) * 2.0**-53
