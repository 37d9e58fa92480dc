"""ra-daemon init: write an annotated configuration."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

from ra_daemon.errors import ConfigError

_PACS = re.compile(
    r"(?P<name>[^=\s]+)=(?P<ae>[^@]{1,16})@(?P<host>\[[^\]]+\]|[^:]+):(?P<port>[0-9]{1,5})"
)

_NOT_WRITTEN = "Correct the options; nothing was written."


@click.command("init")
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--ae", default="RA_DAEMON", show_default=True, help="Our AE title.")
@click.option(
    "--port", default=11112, show_default=True, type=click.IntRange(1, 65535), help="DICOM port."
)
@click.option("--pacs", multiple=True, metavar="NAME=AE@HOST:PORT", help="A peer; repeatable.")
@click.option(
    "--web-port", default=8042, show_default=True, type=click.IntRange(0, 65535), help="Page."
)
@click.option("--force", is_flag=True, help="Replace a configuration that is there.")
def command(
    folder: Path, *, ae: str, port: int, pacs: tuple[str, ...], web_port: int, force: bool
) -> None:
    """Write FOLDER/ra-daemon.toml with every key and what it means."""
    from ra_daemon import contradictions, settings

    if web_port == port:
        raise click.BadParameter(
            f"{port} is the DICOM port, too; give another --web-port or --port.",
            param_hint="--web-port",
        )
    path = folder / "ra-daemon.toml"
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already.", hint="Edit it, or give --force.")
    peers = [_peer(p) for p in pacs]
    text = render(ae, port, peers, web_port)
    try:
        config = settings.check_text(text, path)
    except ConfigError as error:
        error.hint = _NOT_WRITTEN
        raise
    for fault in contradictions.idle(config):
        raise ConfigError(f"{fault}.", hint=_NOT_WRITTEN)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    click.echo(str(path))
    name = peers[0]["name"] if peers else "NAME"
    click.echo(
        f"Next:\n  ra-daemon doctor --config {path}\n  ra-daemon start --config {path}\n"
        f"  ra-daemon echo {name} --config {path}      (in a second shell)\n"
        f"In the PACS enter: AE title {ae}, this host, port {port}.",
        err=True,
    )


def render(ae: str, port: int, peers: list[dict[str, str]], web_port: int) -> str:
    """The annotated template with these values; each peer becomes a destination of the route."""
    text = files("ra_daemon.commands").joinpath("ra-daemon.toml").read_text(encoding="utf-8")
    head, middle = text.split("[[peer]]", 1)
    block, tail = middle.split("[[route]]", 1)
    head = set_key(
        set_key(set_key(head, "root", '"data"'), "ae_title", _quoted(ae)), "port", str(port)
    )
    blocks = [_block(f"[[peer]]{block}", peer) for peer in peers]
    if not blocks:
        blocks = ["".join(f"# {line}\n" for line in f"[[peer]]{block}".strip().splitlines()), "\n"]
    names = ", ".join(_quoted(p["name"]) for p in peers)
    tail = set_key(tail, "destinations", f"[{names}]")
    before, web = tail.split("[web]", 1)
    web = set_key(web, "port", str(web_port))
    return f"{head}{''.join(blocks)}[[route]]{before}[web]{web}"


def _block(block: str, peer: dict[str, str]) -> str:
    for key in ("name", "ae_title", "host"):
        block = set_key(block, key, _quoted(peer[key]))
    return set_key(set_key(block, "port", peer["port"]), "networks", "[]")


def set_key(text: str, key: str, value: str) -> str:
    """Replace the first assignment of a key, keeping the comment behind it."""

    def line(match: re.Match[str]) -> str:
        assigned = f"{key} = {value}"
        comment = match["comment"]
        return f"{assigned:<33}{comment}" if comment else assigned

    pattern = rf"^{key} = (?:\"[^\"]*\"|\[[^\]]*\]|[^\s#]+)[ ]*(?P<comment>#.*)?$"
    return re.sub(pattern, line, text, count=1, flags=re.MULTILINE)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _peer(text: str) -> dict[str, str]:
    match = _PACS.fullmatch(text)
    if match is None or not all(part.strip(" []") for part in match.groups()):
        raise click.BadParameter(
            f"{text!r}: write NAME=AE@HOST:PORT, e.g. main=PACS@192.0.2.10:104", param_hint="--pacs"
        )
    host = match["host"].strip("[]")
    return {
        "name": match["name"],
        "ae_title": match["ae"],
        "host": host,
        "port": str(int(match["port"])),
    }
