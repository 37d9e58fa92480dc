"""A report whose file is lost is made again from the rows: the same UID and bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ra_daemon.domain import Parked
from ra_daemon.steps.compose import compose
from ra_daemon.store import reports
from ra_daemon.store.objects import intact
from ra_daemon.store.outbox import Outbox
from tests.support.aggregates import aggregated


def test_a_lost_report_is_the_same_when_it_is_composed_again(tmp_path: Path) -> None:
    with aggregated(tmp_path) as study:
        task, made = study.task, study.composed("enhanced")
        reports.finish_report(study.engine, task.report_id, made, {"PACS": True})
        outbox = Outbox(study.engine, study.store.root)
        (item,) = outbox.claim_due(9)
        item.object_path.unlink()
        outbox.settle(item, Parked(cause="object file: FileNotFoundError"))
        lost = outbox.lost()
        with study.engine.begin() as conn:
            assert outbox.compose_again(conn, lost) == 1
        # The peer's sr_class is another by now, which would be another UID.
        again = compose(study.task, study.store, study.config("comprehensive3d"))
        assert again == made
        assert compose(replace(study.task, sop_class_uid=""), study.store, study.config()) != made
        reports.finish_report(study.engine, task.report_id, again, {"PACS": True})
        (once_more,) = outbox.claim_due(9)
        assert once_more.sop_instance_uid == item.sop_instance_uid
        assert intact(once_more.object_path)
