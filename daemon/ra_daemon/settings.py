"""Read a configuration: file, environment, checks; all problems at once, in plain words."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ra_daemon.config import Config, Route
from ra_daemon.contradictions import nearest, refused
from ra_daemon.errors import ConfigError

PREFIX = "RA_DAEMON_"
CONFIG_VARIABLE = "RA_DAEMON_CONFIG"
OTHER_VARIABLES = frozenset(
    {CONFIG_VARIABLE, "RA_DAEMON_PLUGINS", "RA_DAEMON_CHECKPOINT_DIR", "RA_DAEMON_KILL_AT"}
)
"""Variables with our prefix that are no configuration keys."""

NAME = "ra-daemon.toml"
SYSTEM = Path("/etc/ra-daemon") / NAME
_TOML = {
    "path_type": "must be a path",
    "model_type": "must be a table",
    "tuple_type": "must be a list",
}
_PASSWORD = re.compile(r"://[^/@:]*:[^/@]+@")


def locate(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The configuration file: ``path``, RA_DAEMON_CONFIG, ./ra-daemon.toml, /etc/ra-daemon/.

    Raises:
        ConfigError: a file was named and is not there.
    """
    named = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(
                f"There is no configuration file {named}.", hint="Write one: ra-daemon init DIR."
            )
        return named
    return next((p for p in (Path(NAME), SYSTEM) if p.is_file()), None)


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    required: bool = True,
) -> Config:
    """Find, read and check a configuration: what is in force.

    Args:
        required: False gives the defaults when there is no file (for commands without a node).

    Raises:
        ConfigError: no file, no TOML, or keys and values at fault; every fault is listed.
    """
    config, folder = _found(path, environ, required=required)
    return _resolved(config, folder)


def written(path: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Config:
    """The same as it is written, for ``contradictions.idle``: paths as they stand, and what is
    there twice.

    Raises:
        ConfigError: as ``load``.
    """
    return _found(path, environ, required=True)[0]


def check_text(text: str, path: Path) -> Config:
    """A configuration that is to be written to ``path``, without the environment.

    Raises:
        ConfigError: as ``load``.
    """
    return _validated(_parse(text, path), text, [], str(path))


def _found(path: Path | None, environ: Mapping[str, str], *, required: bool) -> tuple[Config, Path]:
    """A configuration as it is written, and the folder that its paths are relative to."""
    found = locate(path, environ)
    if found is None and required:
        raise ConfigError(
            f"No configuration: neither --config, {CONFIG_VARIABLE}, ./{NAME} nor {SYSTEM}.",
            hint="Write one: ra-daemon init DIR.",
        )
    text = "" if found is None else _read(found)
    tables = _parse(text, found)
    faults = [*_overlay(tables, environ)]
    folder = Path() if found is None else found.parent
    return _validated(tables, text, faults, str(found or "environment")), folder


def check_root(config: Config) -> None:
    """Refuse a root that is a file, or lies below one; makes nothing.

    Raises:
        ConfigError: no such folder can be.
    """
    above = next(p for p in (config.root, *config.root.parents) if p.exists())
    if not above.is_dir():
        raise ConfigError(
            f"store.root = {config.root}: {above} is no folder.",
            hint="Set store.root to a folder, or to a place where one can be made.",
        )


def overrides(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the environment variables that set keys."""
    return sorted(v for v in environ if v.startswith(PREFIX) and v not in OTHER_VARIABLES)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no TOML: {error}.") from error


def _validated(tables: dict[str, Any], text: str, faults: list[str], origin: str) -> Config:
    if _PASSWORD.search(str(_get(tables, "store", "url"))) and _PASSWORD.search(text):
        faults.append("store.url holds a password; put the URL into a file and set store.url_file")
    try:
        config = Config.model_validate(tables)
    except ValidationError as error:
        faults += [_fault(dict(e), tables, text) for e in error.errors()]
    else:
        faults += refused(config)
        if not faults:
            return config
    listed = "".join(f"\n  {fault}" for fault in faults)
    raise ConfigError(f"{origin} has {len(faults)} fault{'s'[: len(faults) != 1]}:{listed}")


def _get(tables: Mapping[str, Any], table: str, key: str) -> Any:
    section = tables.get(table)
    return section.get(key, "") if isinstance(section, Mapping) else ""


def _resolved(config: Config, folder: Path) -> Config:
    """Paths become absolute, relative to the file; the URL's file is read; routes name each
    destination and scorer once, for results are kept once a destination and once a scorer."""
    store = config.store
    changed: dict[str, Any] = {"root": (folder / store.root).resolve()}
    if store.url_file is not None:
        path = (folder / store.url_file).resolve()
        changed.update(url_file=path, url=_read(path).strip())
    elif store.url.startswith("sqlite:///"):
        changed["url"] = f"sqlite:///{(folder / store.url.removeprefix('sqlite:///')).resolve()}"
    names = ("certificate", "key", "ca")
    given = {n: getattr(config.tls, n) for n in names if getattr(config.tls, n) is not None}
    tls = config.tls.model_copy(update={n: (folder / p).resolve() for n, p in given.items()})
    updated = {"store": store.model_copy(update=changed), "tls": tls}
    return config.model_copy(update={**updated, "route": tuple(map(_each_once, config.route))})


def _each_once(route: Route) -> Route:
    """A route whose destinations and scorers are named once, in the order of the file."""
    lists = {"destinations": route.destinations, "scorers": route.scorers}
    return route.model_copy(update={k: tuple(dict.fromkeys(v)) for k, v in lists.items()})


def _overlay(tables: dict[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    """Put RA_DAEMON_<TABLE>__<KEY> into the tables; yield what cannot be."""
    for variable in overrides(environ):
        table, _, key = variable.removeprefix(PREFIX).lower().partition("__")
        model = _model(Config, (table,))
        known = [
            f"{PREFIX}{t}__{k}".upper()
            for t, f in Config.model_fields.items()
            if (m := _model(Config, (t,))) is not None and get_origin(f.annotation) is not tuple
            for k in m.model_fields
        ]
        if variable not in known or model is None:
            yield f"{variable}: unknown variable{nearest(variable, known)}"
            continue
        section = tables.setdefault(table, {})
        if isinstance(section, dict):
            section[key] = _value(environ[variable], model.model_fields[key].annotation)


def _value(text: str, annotation: Any) -> Any:
    """A variable's text as TOML where the key is no text."""
    if annotation is str or annotation is Path or not _plain(annotation):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _plain(annotation: Any) -> bool:
    """Whether a key holds numbers, truth values or lists."""
    kinds = {annotation, *get_args(annotation), get_origin(annotation)}
    return bool(kinds & {int, float, bool, tuple})


def _fault(error: Mapping[str, Any], tables: Mapping[str, Any], text: str) -> str:
    """One problem in words: key, line, value, range, nearest key."""
    loc = tuple(error["loc"])
    where = ".".join(f"{p}" if isinstance(p, str) else f"{p + 1}" for p in loc)
    line = _line(text, loc)
    where += f" (line {line})" if line else ""
    if error["type"] == "extra_forbidden":
        model = _model(Config, loc[:-1])
        known = list(model.model_fields) if model is not None else []
        return f"{where}: unknown key{nearest(str(loc[-1]), known)}"
    if error["type"] == "missing":
        return f"{where}: is missing"
    given = error.get("input")
    shown = "" if isinstance(given, Mapping) else f" = {_shown(given)}"
    return f"{where}{shown}: {_told(error)}"


def _told(error: Mapping[str, Any]) -> str:
    """What a value must be; pydantic's sentences and our own become one form, in words of TOML."""
    if error["type"] == "tuple_type" and isinstance(error.get("input"), Mapping):
        return f"must be a list of tables, each begun by [[{error['loc'][-1]}]]"
    if error["type"] in _TOML:
        return _TOML[error["type"]]
    own = str(error["msg"]).removeprefix("Value error, ")
    return re.sub(r"^(Input|String|Value|Tuple) should ", "must ", own)


def _shown(value: object) -> str:
    """As the file writes it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _model(model: type[BaseModel], loc: Sequence[Any]) -> type[BaseModel] | None:
    """The table at a location; list positions are skipped."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        if field is None:
            return None
        kinds = (field.annotation, *get_args(field.annotation))
        inner = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if not inner:
            return None
        model = inner[0]
    return model


def _line(text: str, loc: Sequence[Any]) -> int | None:
    """Number of the line that sets a key, or of its table; None when it is not in the file."""
    names = [p for p in loc if isinstance(p, str)]
    wanted = next((p for p in loc if isinstance(p, int)), 0)
    table, count, heading = "", -1, None
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*(\[\[?)\s*([\w.-]+)", line):
            table = match[2]
            count += table == names[0] and match[1] == "[["
            if table == names[0] and max(count, 0) == wanted:
                heading = number
            if names == [table] and match[1] == "[":
                return number
            continue
        here = table == "" if len(names) == 1 else table == names[0] and max(count, 0) == wanted
        if here and re.match(rf"\s*\"?{re.escape(names[-1])}\"?\s*=", line):
            return number
    return heading
