"""The original's measurements written as plain loops, to hold the fast form against."""

from __future__ import annotations

import numpy as np


def plain_fill(matrix: np.ndarray) -> np.ndarray:
    size, h = len(matrix), len(matrix) // 2
    filled = matrix.copy()
    for a in range(size):
        near = [matrix[b, b + 1] for b in (a - 1, a) if 0 <= b < size - 1]
        filled[a, a] = sum(near) / len(near)
    centre = (matrix[h + 1, h + 2] + matrix[h - 2, h + 1]) / 2
    for a in range(h - 1, h + 2):
        for b in range(h - 1, h + 2):
            filled[a, b] = centre
    return filled


def plain_paper(matrix: np.ndarray) -> dict[str, float]:
    """All but `sstv` of one matrix (T, T)."""
    size, h = len(matrix), len(matrix) // 2
    f = plain_fill(matrix)
    cells = [f[a, b] for a in range(size) for b in range(size)]
    m = sum(cells) / (size**2 - size)
    spread = 0.0
    for k in range(size - 1):
        spread += (size - k) / size * np.std([f[a, a + k] for a in range(size - k)])
    pairs = [
        abs(f[a, b] - f[size - 1 - b, size - 1 - a])
        for a in range(size)
        for b in range(size)
        if a + b < size - 1
    ]
    columns = {
        c: [f[a, c - 1] - f[a, c] for a in range(c, size)]
        for c in range(1, size)
        if c not in (h, h + 1)
    }
    rows = {
        a: [f[a + 1, b] - f[a, b] for b in range(a + 1)]
        for a in range(size - 1)
        if a not in (h, h - 1)
    }
    across = [value for column in columns.values() for value in column]
    down = [value for row in rows.values() for value in row]
    both = [f[a + 1, b] - f[a, b] for a in range(size - 1) if a != h for b in range(1, a + 1)]
    h_wstd = np.mean([np.std(column) for c, column in columns.items() if c != size - 1])
    v_wstd = np.mean([np.std(row) for a, row in rows.items() if a != 0])
    ratios = (
        np.mean(down) / v_wstd,
        np.mean(across) / h_wstd,
        np.mean(both) / np.std(both),
    )
    return {
        "mean": sum(cells) / size**2,
        "s_mean": float(np.mean(np.square(cells))),
        "std": float(np.std(cells)),
        "robusterror": sum(cell > 0.15 for cell in cells) / size**2,
        "discnty": spread / m,
        "asymm": float(np.mean(pairs)) / m,
        "grad_overall": sum(ratios) / 3,
        "grad_v_mean": float(np.mean(down)),
        "grad_v_std": float(np.std(down)),
        "grad_v_wstd": float(v_wstd),
        "grad_h_mean": float(np.mean(across)),
        "grad_h_std": float(np.std(across)),
        "grad_h_wstd": float(h_wstd),
        "grad_d_mean": float(np.mean(both)),
        "grad_d_std": float(np.std(both)),
    }
