"""An object whose pixels were cut: refused under its own name; the whole one is new work."""

from __future__ import annotations

import sqlalchemy as sa

from ra_daemon.domain import Reason, Refused
from ra_daemon.store import instances
from tests.support.verdicts import admission


def test_the_whole_object_is_new_work_after_a_cut_one(engine: sa.Engine) -> None:
    cut = admission("1.2.9", content="cut", pixels="cu", refused=Refused(reason=Reason.UNREADABLE))
    whole = admission("1.2.9", content="whole", pixels="whole")
    with engine.begin() as conn:
        assert instances.admit(conn, cut).status == "new"
        assert instances.admit(conn, cut).status == "same"
        # Both are kept and flagged; this status is queued (steps/admit.py).
        assert instances.admit(conn, whole).status == "conflict"
        (refusal,) = conn.execute(sa.text("SELECT * FROM v1_refusals")).mappings()
    assert refusal["sop_instance_uid"] == "1.2.9"
    assert refusal["patient_id"] == "P1"
    assert refusal["reason_code"] == "unreadable"
