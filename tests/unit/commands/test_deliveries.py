"""Deliveries as people see, retry and give them up: jobs deliveries, retry, give-up."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from ra_daemon.cli import main
from ra_daemon.config import Config
from ra_daemon.domain import Composed, Parked
from ra_daemon.store import recompose, reports, retention
from ra_daemon.store.engine import open_engine
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox
from ra_daemon.store.queue import JobQueue
from tests.support import verdicts

FORBIDDEN = "demonstration_not_allowed"
REFUSED = "main refused with 0x0122."


def run(node: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["jobs", *arguments, "--config", str(node)])


def said(node: Path, *arguments: str) -> str:
    done = run(node, *arguments)
    assert done.exit_code == 0, done.output
    return done.stderr


def states(node: Path, *arguments: str) -> dict[int, tuple[str, str]]:
    """Delivery -> state and cause, as the command lists them."""
    done = run(node, "deliveries", "--json", *arguments)
    assert done.exit_code == 0, done.output
    return {d["delivery_id"]: (d["state"], d["cause"]) for d in json.loads(done.stdout)}


@pytest.fixture
def far(node: Path) -> Path:
    """A node whose two peers are on other machines: they take no demonstration results."""
    text = node.read_text()
    main_peer = text[text.index("[[peer]]") : text.index("[[route]]")]
    main_peer += 'host = "192.0.2.10"\n'
    other = main_peer.replace('"main"', '"other"').replace('"PACS"', '"OTHER"')
    route = '[[route]]\nname = "hands"\ndestinations = ["main", "other"]\n'
    node.write_text(text[: text.index("[[peer]]")] + main_peer + other + route)
    return node


@pytest.fixture
def store(config: Config) -> Any:
    engine = open_engine(config.database_url)
    yield engine
    engine.dispose()


def due(store: sa.Engine, config: Config, uid: str, *, takes: bool) -> None:
    """One demonstration result with a report for both peers."""
    made = verdicts.admission(uid, study_instance_uid=f"2.{uid}")
    destinations = ["main", "other"]
    verdicts.record(store, JobQueue(store), made, verdicts.scored(), destinations=destinations)
    (task,) = reports.due_reports(store, ObjectStore(config.root), 9)
    sr = Composed(
        kind="sr", sop_class_uid="1.2", sop_instance_uid=f"9.{uid}", path=f"objects/{uid}",
        sha256="0" * 64,
    )  # fmt: skip
    reports.finish_report(store, task.report_id, [sr], dict.fromkeys(destinations, takes))


@pytest.fixture
def forbidden(far: Path, config: Config, store: sa.Engine) -> Path:
    """Deliveries 1 (main) and 2 (other), parked because the peers take no demonstration."""
    due(store, config, "1.1", takes=False)
    return far


@pytest.fixture
def refused(far: Path, config: Config, store: sa.Engine) -> Path:
    """Deliveries 1 (main) and 2 (other), refused by their peers."""
    due(store, config, "1.1", takes=True)
    outbox = Outbox(store, config.root)
    for item in outbox.claim_due(9):
        cause = REFUSED.replace("main", item.destination)
        assert outbox.settle(item, Parked(cause=cause))
    return far


def allow(node: Path, name: str) -> None:
    """The administrator writes allow_demonstration_until."""
    line = f'name = "{name}"\n'
    node.write_text(
        node.read_text().replace(line, line + "allow_demonstration_until = 2999-01-31\n", 1)
    )


def test_demonstration_results_leave_once_the_peer_takes_them(forbidden: Path) -> None:
    assert states(forbidden) == {1: ("parked", FORBIDDEN), 2: ("parked", FORBIDDEN)}
    told = said(forbidden, "retry", "--cause", FORBIDDEN)
    assert "0 parked deliveries due" in told
    assert "for main stay parked; set allow_demonstration_until" in told
    allow(forbidden, "main")
    told = said(forbidden, "retry")
    assert "0 parked deliveries due" in told, "never with all the others"
    assert "for main stay parked; ra-daemon jobs retry --cause" in told
    assert "1 parked deliveries due" in said(forbidden, "retry", "--cause", FORBIDDEN)
    assert states(forbidden) == {1: ("pending", FORBIDDEN), 2: ("parked", FORBIDDEN)}


def test_one_demonstration_result_leaves_by_its_number(forbidden: Path, store: sa.Engine) -> None:
    allow(forbidden, "main")
    allow(forbidden, "other")
    assert "1 parked deliveries due" in said(forbidden, "retry", "--delivery", "2")
    assert [d.delivery_id for d in Outbox(store).claim_due(9)] == [2]


@pytest.mark.parametrize(
    ("choice", "again"),
    [
        ((), {1, 2}),
        (("--cause", REFUSED), {1}),
        (("--cause", "other"), set()),
        (("--destination", "other"), {2}),
        (("--destination", "other", "--cause", REFUSED), set()),
        (("--delivery", "1"), {1}),
        (("--delivery", "1", "--delivery", "2"), {1, 2}),
        (("7",), set()),
    ],
)
def test_parked_deliveries_are_retried_by_choice(
    refused: Path, choice: tuple[str, ...], again: set[int]
) -> None:
    assert f"{len(again)} parked deliveries due" in said(refused, "retry", *choice)
    assert set(states(refused, "--state", "pending")) == again
    assert set(states(refused, "--state", "parked")) == {1, 2} - again


def test_a_choice_of_deliveries_leaves_jobs_and_reports_alone(
    refused: Path, config: Config, store: sa.Engine
) -> None:
    made = verdicts.admission("1.5")
    verdicts.record(store, JobQueue(store), made, verdicts.scored(), destinations=["main"])
    (task,) = reports.due_reports(store, ObjectStore(config.root), 9)
    reports.fail_report(store, task.report_id, "report.failed")
    assert "0 reports and 1 parked" in said(refused, "retry", "--destination", "main")
    assert run(refused, "retry", "3", "--destination", "main").exit_code == 2
    assert "1 reports and 0 parked" in said(refused, "retry", "--cause", "report.failed")


def test_no_file_is_read_while_the_database_waits(
    far: Path, config: Config, store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    due(store, config, "1.1", takes=True)
    outbox = Outbox(store, config.root)
    for item in outbox.claim_due(9):
        assert outbox.settle(item, Parked(cause="object file: damaged"))

    def slow(_path: Path) -> bool:
        other = sqlite3.connect(config.root / "ra-daemon.db", timeout=0)
        other.execute("BEGIN IMMEDIATE")
        other.close()
        return False

    monkeypatch.setattr(recompose, "intact", slow)
    assert "1 reports and 0 parked" in said(far, "retry")


def test_what_is_given_up_never_leaves_and_no_longer_keeps_its_image(
    forbidden: Path, store: sa.Engine
) -> None:
    study = retention.Selection(study_instance_uid="2.1.1")
    assert [c.block for c in retention.candidates(store, study)] == ["delivery_due"]
    told = said(forbidden, "give-up", "1", "--reason", "end of the demonstration")
    assert told == "1 deliveries given up.\n"
    assert states(forbidden) == {1: ("skipped", "given_up"), 2: ("parked", FORBIDDEN)}
    assert "1 del" in said(forbidden, "give-up", "--destination", "other", "--reason", "gone")
    allow(forbidden, "main")
    for choice in ((), ("--cause", FORBIDDEN), ("--cause", "given_up"), ("--delivery", "1")):
        assert "0 parked deliveries due" in said(forbidden, "retry", *choice)
    assert Outbox(store).claim_due(9) == []
    assert [c.block for c in retention.candidates(store, study)] == [""]
    with store.connect() as conn:
        rows = conn.execute(sa.text("SELECT new, why FROM audit WHERE what = 'deliveries.give_up'"))
        assert [tuple(r) for r in rows] == [("1", "end of the demonstration"), ("2", "gone")]


def test_giving_up_takes_what_waits_and_nothing_else(
    far: Path, config: Config, store: sa.Engine
) -> None:
    due(store, config, "1.1", takes=True)  # 1, 2
    (sending,) = Outbox(store, config.root).claim_due(1, ["main"])
    due(store, config, "1.2", takes=True)  # 3, 4
    assert "1 deliveries" in said(far, "give-up", "--destination", "main", "--reason", "x")
    found = {number: state for number, (state, _cause) in states(far).items()}
    assert found == {sending.delivery_id: "sending", 2: "pending", 3: "skipped", 4: "pending"}


def test_giving_up_needs_a_choice_and_a_reason(refused: Path) -> None:
    assert run(refused, "give-up", "--reason", "x").exit_code == 2
    assert run(refused, "give-up", "1").exit_code == 2
    assert run(refused, "give-up", "1", "--reason", " ").exit_code == 2
    assert "0 deliveries" in said(refused, "give-up", "1", "--cause", "no", "--reason", "x")
    assert {state for state, _cause in states(refused).values()} == {"parked"}
