"""Claim, steps, settle: the only loop over jobs, and the wall that isolates them."""
