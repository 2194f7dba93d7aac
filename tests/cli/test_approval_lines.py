"""What waits for a person, in one line and in full: how long, for whom, and who has spoken."""

from datetime import UTC, datetime, timedelta

from holdfast.cli.approvals import listed, told
from schemas.approvals import Approval, ApprovalStatus, ApprovalSubject, ApprovalSummary, HumanDecision
from schemas.verdicts import ApprovalTerms

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64
ASKED = Approval(
    id="apr_" + "0" * 24,
    tenant="default",
    run_id="run_" + "0" * 26,
    subject=ApprovalSubject.ACTION,
    digest=DIGEST,
    summary=ApprovalSummary(what="shell touch x", where="prod, agent operator"),
    terms=ApprovalTerms(group="dba", quorum=2, four_eyes=True, escalate_to="managers", escalate_after_s=7200),
    created_at=NOW - timedelta(hours=3),
    expires_at=NOW + timedelta(days=6),
    decisions=(HumanDecision(approver="user:bob", decision="approve", digest=DIGEST, at=NOW),),
)


def test_a_question_in_a_line_tells_its_age_and_who_has_spoken() -> None:
    line = listed(ASKED, NOW)
    assert "pending 1/2" in line
    assert "3 h old, 6 d left" in line
    assert line.endswith("dba        prod     shell touch x")
    assert "left" not in listed(ASKED.model_copy(update={"status": ApprovalStatus.APPROVED}), NOW)


def test_a_question_in_full_tells_whom_it_needs() -> None:
    text = told(ASKED)
    assert "needs    2 people of dba, but not who asked for the run; managers as well after 2 h" in text
    assert "asked    2026-05-04 09:00 UTC" in text
