"""The whole study as one resumable command: plan, runs, results, report."""
