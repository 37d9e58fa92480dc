"""Sphinx configuration: furo, Markdown by myst; warnings are errors (make docs)."""

from __future__ import annotations

import importlib.metadata

project = "ra-daemon"
author = "ra-daemon project"
release = importlib.metadata.version("ra-daemon")
version = release

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "README.md"]
html_theme = "furo"
html_title = f"ra-daemon {release}"
html_static_path = ["_static"]
highlight_language = "none"
