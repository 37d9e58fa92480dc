"""Reports composed in processes: the same bytes, whatever dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ra_daemon.config import Config, Delivering, Store
from ra_daemon.dicom import read
from ra_daemon.errors import FileDamagedError
from ra_daemon.steps.compose import compose
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.reports import ReportTask
from ra_daemon.worker.composers import Answer, Composers, _compose, remedy_of
from tests.support import seccomp
from tests.support.dicom_sources import clean, dirty, with_raw
from tests.support.paths import REPOSITORY
from tests.support.peers import require_tool
from tests.support.scored import both_hands

UNIT = REPOSITORY / "deploy" / "systemd" / "ra-daemon.service"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, ReportTask]:
    folder = tmp_path_factory.mktemp("composers")
    store = ObjectStore(folder)
    source = clean(folder / "source.dcm").read_bytes()
    relative, _ = store.put_bytes(source, ".dcm")
    digest, _ = read.digests(folder / "source.dcm")
    task = ReportTask(
        report_id=1, outcome_id=1, kind="scored", paths=(relative,), dataset_sha256s=(digest,),
        header=None, scored=both_hands(), refused=None,
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), pipeline_digest="cd" * 32,
        destinations=(), deliver="send", demonstration=True, predecessor=None,
    )  # fmt: skip
    config = Config(store=Store(root=folder), delivery=Delivering(composers=1))
    return config, task


@pytest.fixture(scope="module")
def composers(site: tuple[Config, ReportTask]) -> Iterator[Composers]:
    pool = Composers(site[0])
    yield pool
    pool.close()


def test_another_process_makes_the_same_bytes_under_the_same_uids(
    site: tuple[Config, ReportTask], composers: Composers
) -> None:
    config, task = site
    here = compose(task, ObjectStore(config.root), config)
    ((_, there),) = composers.compose([task])
    assert [o.kind for o in here] == ["sr", "capture"]
    assert there == here  # kind, class, UID, path and sha256


def test_a_report_that_cannot_be_made_answers_its_code_and_harms_no_other(
    site: tuple[Config, ReportTask], composers: Composers
) -> None:
    _, task = site
    gone = replace(task, report_id=2, paths=("objects/no/such.dcm",))
    answers = {t.report_id: answer for t, answer in composers.compose([gone, task])}
    assert answers[2] == "instance.file_damaged"
    assert isinstance(answers[1], list)


def test_an_image_that_was_damaged_gives_no_report_under_another_uid(
    site: tuple[Config, ReportTask],
) -> None:
    config, task = site
    store = ObjectStore(config.root)
    damaged, _ = store.put_bytes(store.open_path(task.paths[0]).read_bytes()[:-1] + b"X", ".dcm")
    with pytest.raises(FileDamagedError, match="damaged"):
        compose(replace(task, paths=(damaged,)), store, config)
    with pytest.raises(FileDamagedError, match="gone"):
        compose(replace(task, paths=("objects/no/such.dcm",)), store, config)


def test_a_full_disk_has_its_own_answer(
    site: tuple[Config, ReportTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, task = site

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ra_daemon.steps.compose.compose", full)
    monkeypatch.setattr("ra_daemon.worker.composers._held", (config, ObjectStore(config.root)))
    assert _compose(task) == "disk.full"


def test_no_library_prints_a_patients_name(
    site: tuple[Config, ReportTask], capfd: pytest.CaptureFixture[str]
) -> None:
    config, task = site
    source = config.store.root / task.paths[0]
    named = dirty(source.with_name("n.dcm"), source, with_raw("PatientName", "Nameless\\One"))
    relative, _ = ObjectStore(config.root).put_bytes(named.read_bytes(), ".dcm")
    digests = (read.digests(named)[0],)
    pool = Composers(config)  # its processes write to the standard error of this test
    try:
        ((_, made),) = pool.compose(
            [replace(task, report_id=4, paths=(relative,), dataset_sha256s=digests)]
        )
    finally:
        pool.close()
    assert isinstance(made, list)
    said = "".join(capfd.readouterr())
    assert "header.mended" in said
    assert "Nameless" not in said


def test_a_killed_process_is_replaced_and_nothing_is_lost(
    site: tuple[Config, ReportTask], composers: Composers
) -> None:
    _, task = site
    ((_, before),) = composers.compose([task])
    assert composers._pool is not None
    for pid in list(composers._pool._processes):
        os.kill(pid, signal.SIGKILL)
    answers = [answer for _, answer in composers.compose([task, replace(task, report_id=3)])]
    assert answers == [before, before]


@pytest.mark.parametrize("patience_s", [120.0, 1e-6])
def test_processes_that_compose_are_idle_until_they_starve(
    site: tuple[Config, ReportTask], monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> None:
    config, task = site
    monkeypatch.setattr("ra_daemon.worker.composers._PATIENCE_S", patience_s)
    pool = Composers(config)
    try:
        for _ in range(2):
            ((_, answer),) = pool.compose([task])
            assert answer == compose(task, ObjectStore(config.root), config)
            assert pool._pool is not None
            pids = list(pool._pool._processes)
            policy = os.SCHED_IDLE if patience_s > 1 else os.SCHED_OTHER
            assert {os.sched_getscheduler(pid) for pid in pids} == {policy}
            assert all(os.getpriority(os.PRIO_PROCESS, pid) > 0 for pid in pids)
    finally:
        pool.close()


def test_a_starve_is_not_the_one_death_that_a_report_may_meet(
    site: tuple[Config, ReportTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, task = site
    tasks = [task, replace(task, report_id=5)]
    pool = Composers(config)
    turns: list[int] = []

    def together(held: Sequence[ReportTask]) -> Iterator[tuple[ReportTask, Answer | None]]:
        turns.append(len(held))
        pool._idle = False  # the first turn starves, in the second a process dies
        yield from ((one, None if len(turns) < 3 else []) for one in held)

    monkeypatch.setattr(pool, "_together", together)
    assert list(pool.compose(tasks)) == [(one, []) for one in tasks]
    assert turns == [2, 2, 1, 1]


def test_a_report_that_takes_too_long_is_given_up(site: tuple[Config, ReportTask]) -> None:
    config, task = site
    hasty = config.model_copy(update={"delivery": Delivering(composers=1, compose_limit_s=1e-6)})
    pool = Composers(hasty)
    try:
        assert [answer for _, answer in pool.compose([task])] == ["compose.crashed"]
    finally:
        pool.close()


def _confined(
    install: Callable[[Collection[int]], None],
    calls: Collection[int],
    site: tuple[Config, ReportTask],
    answers: multiprocessing.SimpleQueue[tuple[bool, Answer]],
) -> None:
    """Entry of a process that composes under a filter; its children have the filter too."""
    install(calls)
    config, task = site
    pool = Composers(config)
    try:
        ((_, answer),) = pool.compose([task])
    finally:
        pool.close()
    try:
        os.nice(1)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        nice = True
    except PermissionError:
        nice = False
    answers.put((nice, answer))


def _under_a_filter(
    install: Callable[[Collection[int]], None],
    calls: Collection[int],
    site: tuple[Config, ReportTask],
) -> tuple[bool, Answer]:
    """Whether a process under this filter may lower its priority, and what it composed."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=_confined, args=(install, calls, site, answers))
    process.start()
    process.join(300)
    assert process.exitcode == 0
    answer: tuple[bool, Answer] = answers.get()
    return answer


@pytest.mark.skipif(seccomp.SETPRIORITY < 0, reason="another processor's call numbers")
def test_reports_are_made_where_the_priority_cannot_be_lowered(
    site: tuple[Config, ReportTask],
) -> None:
    nice, answer = _under_a_filter(seccomp.refuse, [seccomp.SETPRIORITY], site)
    assert not nice, "the filter refuses what this test is about"
    assert answer == compose(site[1], ObjectStore(site[0].root), site[0])


@pytest.mark.peer
def test_reports_are_made_under_the_filter_of_the_shipped_unit(
    site: tuple[Config, ReportTask],
) -> None:
    calls = seccomp.calls_of_unit(UNIT, require_tool("systemd-analyze", "systemd"))
    nice, answer = _under_a_filter(seccomp.allow_only, calls, site)
    assert nice, "the unit lets composers lower their priority"
    assert answer == compose(site[1], ObjectStore(site[0].root), site[0])


@pytest.mark.parametrize(
    "cause", ["compose.crashed", "KeyError", "report_differs", "report.failed"]
)
def test_every_cause_of_a_failed_report_has_a_remedy(cause: str) -> None:
    assert remedy_of(cause)
    assert ("backup" in remedy_of(cause)) is (cause == "report_differs")
