"""Helpers of the tests: peers, paths, processes."""
