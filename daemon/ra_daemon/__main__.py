"""``python -m ra_daemon``."""

from __future__ import annotations

from ra_daemon.cli import main

if __name__ == "__main__":
    main(prog_name="ra-daemon")
