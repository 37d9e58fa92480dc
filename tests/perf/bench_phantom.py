"""CPU time of one generated radiograph: ``python -m tests.perf.bench_phantom``."""

from __future__ import annotations

import statistics
import time

from ra_training.phantom import render_exposure, sample_grades

SIZES = (256, 384, 512, 768)


def cpu_ms(height: int, repeats: int = 12) -> float:
    """Median process time of a radiograph of both hands, ms."""
    grades = sample_grades(1)
    taken = []
    for seed in range(repeats):
        started = time.process_time()
        render_exposure(seed, grades, height=height)
        taken.append((time.process_time() - started) * 1e3)
    return statistics.median(taken)


if __name__ == "__main__":
    print("| rows | ms |\n|---|---|")
    for rows in SIZES:
        print(f"| {rows} | {cpu_ms(rows):.1f} |")
