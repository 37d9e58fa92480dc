"""``python -m ra_training`` is ``ra-train``."""

from __future__ import annotations

from ra_training.cli import main

if __name__ == "__main__":
    main(prog_name="ra-train")
