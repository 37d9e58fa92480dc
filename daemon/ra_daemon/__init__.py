"""The daemon: receives, queues, orders, reports, delivers."""

__version__ = "0.1.0"
