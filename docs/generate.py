"""Write the reference pages from the code: commands.md, configuration.md, errors.md.

Run ``python docs/generate.py``; with ``--check`` it only compares and ends with 1 when one differs.
"""
# ruff: noqa: INP001

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import get_args, get_origin

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ra_daemon import cli, errors
from ra_daemon.config import Config
from ra_daemon.domain import REASON_TEXT, DeliveryState, JobState, Reason
from ra_engine import errors as engine_errors
from ra_engine import registry

FOLDER = Path(__file__).parent
_NOTE = "This page is written by `docs/generate.py` from the code.\n"


def commands() -> str:
    """Every command with its arguments and options."""
    context = click.Context(cli.main, info_name="ra-daemon", **cli.main.context_settings)
    parts = ["# Commands\n", _NOTE, _paragraphs(cli.main)]
    parts.append(
        "`--config FILE` names the configuration; without it `RA_DAEMON_CONFIG`, "
        "`./ra-daemon.toml` and `/etc/ra-daemon/ra-daemon.toml` are tried. `-h` helps everywhere.\n"
    )
    for name in cli.COMMANDS:
        command = cli.main.get_command(context, name)
        assert command is not None
        parts += _command(command, click.Context(command, parent=context, info_name=name), 2)
    return _joined(parts)


def _paragraphs(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "") + "\n"


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"{'#' * level} {context.command_path}\n"
    yield f"`{context.command_path} {usage}`\n"
    yield _paragraphs(command)
    shown = [p for p in command.params if isinstance(p, click.Option)]
    for option in shown:
        default = option.default
        told = f" Default: `{default}`." if option.show_default and default is not None else ""
        kind = "" if option.is_flag else f" {option.make_metavar(context)}"
        yield f"- `{', '.join(option.opts)}{kind}`: {option.help or ''}{told}"
    if shown:
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, click.Context(inner, parent=context, info_name=name), 3)


def configuration() -> str:
    """Every key with its type, default and meaning."""
    template = files("ra_daemon.commands").joinpath("ra-daemon.toml").read_text(encoding="utf-8")
    told = dict(_comments(template))
    parts = ["# Configuration\n", _NOTE]
    parts.append(
        "`ra-daemon init` writes a file with every key. Paths are relative to the file. Any key of "
        "a single table can be set by environment: `RA_DAEMON_<TABLE>__<KEY>`, for example "
        "`RA_DAEMON_NODE__PORT`. Unknown keys and unknown `RA_DAEMON_` variables are errors.\n"
    )
    for table, field in Config.model_fields.items():
        many = get_origin(field.annotation) is tuple
        model = get_args(field.annotation)[0] if many else field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        parts.append(f"## {f'[[{table}]]' if many else f'[{table}]'}\n")
        parts.append(f"{(model.__doc__ or '').splitlines()[0]}\n")
        parts += ["| Key | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
        parts += [_key(model, table, key, told) for key in model.model_fields]
        parts.append("")
    return _joined(parts)


def _key(model: type[BaseModel], table: str, key: str, told: dict[tuple[str, str], str]) -> str:
    field = model.model_fields[key]
    default = "required" if field.default is PydanticUndefined else f"`{field.default}`"
    if field.default in ("", (), None):
        default = "none"
    meaning = field.description or told.get((table, key), "")
    schema = model.model_json_schema()["properties"][key]
    return f"| `{key}` | {_type(schema)} | {default} | {meaning.replace('|', 'or')} |"


def _type(schema: dict[str, object]) -> str:
    """A JSON schema in a few words."""
    if "anyOf" in schema:
        options = schema["anyOf"]
        assert isinstance(options, list)
        return next(_type(o) for o in options if o.get("type") != "null")
    if "enum" in schema:
        values = schema["enum"]
        assert isinstance(values, list)
        return " or ".join(f"`{v}`" for v in values)
    limits = [
        f"{word} {schema[name]}"
        for name, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("maxLength", "at most"),
        )
        if name in schema
    ]
    return " ".join([str(schema.get("format") or schema.get("type") or "text"), *limits])


def _comments(template: str) -> Iterator[tuple[tuple[str, str], str]]:
    table = ""
    for line in template.splitlines():
        if heading := re.match(r"\[\[?([a-z]+)\]\]?", line):
            table = heading[1]
        elif key := re.match(r"(?:# )?([a-z_]+) = [^#]*#\s*(.+)", line):
            yield (table, key[1]), key[2]


def codes() -> str:
    """Errors, reasons, states and entry points."""
    parts = ["# Errors, reasons, states\n", _NOTE, "## Errors\n"]
    parts.append(
        "An error prints its message and its remedy. Exit status: 0 ok, 1 found or failed, "
        "2 usage, 3 configuration, 4 peer, 5 database.\n"
    )
    parts += ["| Code | Exit | Tried again | Meaning | Remedy |", "| --- | --- | --- | --- | --- |"]
    for kind in _errors():
        meaning = (kind.__doc__ or "").splitlines()[0]
        again = "yes" if kind.retriable else "no"
        status = getattr(kind, "exit_status", 1)
        parts.append(f"| `{kind.code}` | {status} | {again} | {meaning} | {kind.hint} |")
    parts += ["\n## Reasons of a refusal\n", "| Code | Text |", "| --- | --- |"]
    parts += [f"| `{reason.value}` | {REASON_TEXT[reason]} |" for reason in Reason]
    for title, states in (("Job", JobState), ("Delivery", DeliveryState)):
        parts.append(f"\n## {title} states\n")
        parts.append(", ".join(f"`{state.value}`" for state in states))
    parts += ["\n## Entry points\n", "| Group | Shipped |", "| --- | --- |"]
    for group in (registry.SCORERS, registry.BUNDLES, registry.BACKENDS):
        ours = sorted(
            p.name
            for p in entry_points(group=group)
            if p.dist is not None and p.dist.name == "ra-daemon"
        )
        parts.append(f"| `{group}` | {', '.join(f'`{name}`' for name in ours)} |")
    return _joined([*parts, ""])


def _errors() -> list[type[engine_errors.RaError]]:
    found = {
        thing
        for module in (engine_errors, errors)
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, engine_errors.RaError)
    }
    return sorted(found, key=lambda kind: kind.code)


def _joined(parts: list[str]) -> str:
    return "\n".join(parts).rstrip() + "\n"


PAGES = {"commands.md": commands, "configuration.md": configuration, "errors.md": codes}


def main() -> int:
    """Write the pages, or compare them."""
    differ = []
    for name, make in PAGES.items():
        path, text = FOLDER / name, make()
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        differ.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    sys.stderr.write(f"{', '.join(differ) or 'nothing'} changed\n")
    return int(bool(differ) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
