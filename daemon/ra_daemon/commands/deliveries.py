"""The part of ra-daemon jobs about deliveries: list, release, give up."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ra_daemon.commands.common import (
    NUMBER,
    config_option,
    database,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ra_daemon.config import Config

STATES = ("held", "pending", "sending", "sent", "committed", "parked", "skipped")
_COLUMNS = (
    *("delivery_id", "destination", "kind", "state", "attempts", "cause", "not_before"),
    "sop_instance_uid",
)


@click.command("deliveries")
@click.option("--state", type=click.Choice(STATES), help="Only deliveries in this state.")
@click.option("--destination", metavar="PEER", help="Only those to this peer.")
@click.option("--cause", help="Only those with this cause.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most.")
@config_option
@json_option
def list_deliveries(
    config_path: Path | None,
    *,
    state: str | None,
    destination: str | None,
    cause: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List deliveries with their numbers and causes, newest first."""
    import sqlalchemy as sa

    from ra_daemon.store.engine import reading

    wanted = {"state": state, "destination": destination, "cause": cause}
    given = {name: value for name, value in wanted.items() if value is not None}
    which = "".join(f" AND {name} = :{name}" for name in given)
    query = sa.text(
        f"SELECT {', '.join(_COLUMNS)} FROM v1_deliveries WHERE 1 = 1{which} "
        "ORDER BY delivery_id DESC LIMIT :limit"
    )
    with database(load(config_path)) as engine, reading(engine) as conn:
        rows = [dict(row) for row in conn.execute(query, {**given, "limit": limit}).mappings()]
    if as_json:
        emit_json(rows)
    else:
        emit_table(_COLUMNS, [list(row.values()) for row in rows])


@click.command("release")
@click.option("--destination", metavar="PEER", help="Only what waits for this peer.")
@click.option(
    "--study", "studies", multiple=True, metavar="UID", help="Only this study; repeatable."
)
@config_option
def release(config_path: Path | None, *, destination: str | None, studies: tuple[str, ...]) -> None:
    """Send what a route with deliver = "hold" keeps back: all of it, or of a peer or of studies."""
    from ra_daemon.store.outbox import Outbox

    config = load(config_path)
    with database(config) as engine, engine.begin() as conn:
        outbox = Outbox(engine, config.root)
        number = outbox.release_held(conn, destination, list(studies) or None)
        note(conn, "deliveries.release", f"{number} deliveries")
    say(f"{number} held objects are due now.")


@click.command("give-up")
@click.argument("ids", nargs=-1, type=NUMBER, metavar="[DELIVERY]...")
@click.option("--destination", metavar="PEER", help="All that waits for this peer.")
@click.option("--cause", help="All that waits with this cause.")
@click.option("--reason", required=True, help="Goes into the audit trail: no patient data.")
@config_option
def give_up(
    ids: tuple[int, ...],
    config_path: Path | None,
    *,
    destination: str | None,
    cause: str | None,
    reason: str,
) -> None:
    """Give up deliveries that are parked, held or pending: they never leave, for good.

    DELIVERY is the number that ra-daemon jobs deliveries shows. Several choices must all hold.
    The results stay in the database; their images are free to be purged.
    """
    from ra_daemon.store.outbox import Outbox, Which

    if not (ids or destination or cause):
        raise click.UsageError("Name deliveries, --destination or --cause.")
    if not reason.strip():
        raise click.UsageError("Give a reason.")
    config = load(config_path)
    chosen = Which(ids=ids, destination=destination, cause=cause)
    with database(config) as engine:
        number = Outbox(engine, config.root).give_up(
            chosen, who=getpass.getuser(), why=reason.strip()
        )
    say(f"{number} deliveries given up.")


def takers(config: Config) -> list[str]:
    """Peers that take results of demonstration models today."""
    return [p.name for p in config.peer if p.send and p.takes_demonstrations]


def tell_demonstrations(config: Config, parked: Mapping[str, int]) -> None:
    """Say what stays parked as ``demonstration_not_allowed``, by peer, and what releases it."""
    ready = takers(config)
    for name, number in parked.items():
        say(
            f"{number} demonstration results for {name} stay parked; "
            + ("" if name in ready else "set allow_demonstration_until of it, restart the node, ")
            + "ra-daemon jobs retry --cause demonstration_not_allowed releases them, "
            "ra-daemon jobs give-up ends them."
        )


def note(conn: sa.Connection, what: str, new: str) -> None:
    """One audit row, in the transaction in which a person changed the queue."""
    from ra_daemon.store import audit

    audit.append(conn, who=getpass.getuser(), what=what, new=new)
