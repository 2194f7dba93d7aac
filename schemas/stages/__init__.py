"""The stages of a run, as its workflow asks for them: one request and one report for each activity.

Each file has the words of the activities of the same name.
"""

from schemas.stages.act import ActReport, ActReports, ActRequest, ActRow
from schemas.stages.ask import AskRequest, DoubtRequest, ReadApprovalRequest, ResolveRequest
from schemas.stages.guard import (
    CheckReport,
    CheckRequest,
    FastReport,
    FastReports,
    JudgeRequest,
    JudgeRow,
    OpinionRequest,
    OutlookRequest,
    PlanOutlook,
    Verdicts,
)
from schemas.stages.remember import Learned, LearnRequest, Recalled, RecallRequest, Recollection
from schemas.stages.scope import RunScope
from schemas.stages.story import (
    BehindTheEnd,
    LoadRequest,
    LookUpRequest,
    Past,
    PastRequest,
    RecordRequest,
    RunLookUp,
    RunPatch,
    StepsLookedUp,
)
from schemas.stages.think import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest

__all__ = [
    "ActReport",
    "ActReports",
    "ActRequest",
    "ActRow",
    "Answer",
    "AnswerRequest",
    "AskRequest",
    "BehindTheEnd",
    "CheckReport",
    "CheckRequest",
    "DoubtRequest",
    "FastReport",
    "FastReports",
    "JudgeRequest",
    "JudgeRow",
    "LearnRequest",
    "Learned",
    "LoadRequest",
    "LookUpRequest",
    "NextMove",
    "NextRequest",
    "OpinionRequest",
    "OutlookRequest",
    "Past",
    "PastRequest",
    "PlanOutlook",
    "PlanProposal",
    "PlanRequest",
    "ReadApprovalRequest",
    "RecallRequest",
    "Recalled",
    "Recollection",
    "RecordRequest",
    "ResolveRequest",
    "RunLookUp",
    "RunPatch",
    "RunScope",
    "StepsLookedUp",
    "Verdicts",
]
