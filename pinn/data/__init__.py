"""Scans, groups and batches, framework-neutral: NumPy and SciPy only."""
