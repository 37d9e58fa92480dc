"""One page with everything, that needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from ra_training.study.tables import Table

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ name }}</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0 1.6em;font-size:12.5px;display:block;overflow-x:auto}
td,th{border-bottom:1px solid #ddd;padding:.25em .7em;text-align:left;white-space:nowrap}
th{background:#f4f4f4}figure{display:inline-block;margin:.5em}img{max-width:100%}
.label{background:#fff3cd;border:1px solid #e0c96c;padding:.6em 1em}
pre{background:#f6f6f6;padding:1em;overflow-x:auto;font-size:12px}
</style></head><body>
<h1>{{ name }}</h1>
<p class="label"><b>{{ label }}.</b> {{ honest }}</p>
<p>{{ facts }}</p>
{% for table in tables %}<h2>{{ table.title }}</h2>
<table id="{{ table.name }}"><tr>{% for c in table.columns %}<th>{{ c }}</th>{% endfor %}</tr>
{% for row in table.rows %}<tr>{% for c in row %}<td>{{ c }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endfor %}<h2>Figures</h2>
{% for title, image in images %}<figure><img alt="{{ title }}" src="data:image/png;base64,{{ image }}"></figure>
{% endfor %}<h2>Configuration</h2><pre>{{ configuration }}</pre>
</body></html>
"""  # noqa: E501 - a page, not code
GENERATED = (
    "Truth is the grade that the generator drew, so these figures say nothing about accuracy on "
    "patients. Published figures stand beside ours to show the same columns, not to be compared: "
    "they were taken on patients. A blank cell: nothing was published."
)
REAL = "Published figures were taken on other patients. A blank cell: nothing was published."


def write(
    path: Path, *, name: str, label: str, facts: str, tables: Sequence[Table],
    figures: Mapping[str, Path], configuration: str,
) -> Path:  # fmt: skip
    """Write the page; every figure is embedded."""
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE)
    images = [
        (title, base64.b64encode(file.read_bytes()).decode()) for title, file in figures.items()
    ]
    honest = GENERATED if "generated" in label else REAL
    path.write_text(
        page.render(
            name=name, label=label[:1].upper() + label[1:], honest=honest, facts=facts,
            tables=tables, images=images, configuration=configuration,
        ),
        encoding="utf-8",
    )  # fmt: skip
    return path
