"""What can go wrong with a model, in one list. Each adapter maps its library's errors to these, and to nothing else.

LimitReached   ── ModelRateLimited   later, and the provider says when
               └─ ModelTurnMissed    our own limit on calls to it left no turn in time
Unavailable    ── ModelUnreachable   no connection, 5xx, a stream that broke
               └─ ModelTimedOut      no whole answer within the time
               └─ NoModelAnswers     every deployment of the route is away
Misconfigured  ── ModelKeyRefused    the key is missing, wrong, or its account has no credit
               ├─ ModelUnknown       the provider has no model of that name
               └─ ModelUnpriced      no price is known, so no budget can hold
TooLarge       ── ContextOverflow    more text than the model can read
ModelRefused   ── ContentRefused     against the provider's policy
               ├─ RequestRefused     the provider cannot read our request
               ├─ AnswerMalformed    not the form that was asked for, repairs included
               └─ PlanRefused        a judge rejects the plan, corrections included
"""

from holdfast.errors import LimitReached, Misconfigured, ModelRefused, TooLarge, Unavailable


class ModelRateLimited(LimitReached):
    """The provider limits our rate."""

    code = "model_rate_limited"


class ModelTurnMissed(LimitReached):
    """Our own limit on calls to this provider left no turn in time."""

    code = "model_turn_missed"


class ModelUnreachable(Unavailable):
    """The provider cannot be reached, or broke off."""

    code = "model_unreachable"


class ModelTimedOut(Unavailable):
    """The model did not answer in time."""

    code = "model_timed_out"


class NoModelAnswers(Unavailable):
    """No deployment that may serve this task answers."""

    code = "no_model_answers"


class ModelKeyRefused(Misconfigured):
    """The provider does not accept our key."""

    code = "model_key_refused"


class ModelUnknown(Misconfigured):
    """The provider does not know this model."""

    code = "model_unknown"


class ModelUnpriced(Misconfigured):
    """The price of this model is not known."""

    code = "model_unpriced"


class ContextOverflow(TooLarge):
    """This is more text than the model can read."""

    code = "context_overflow"


class ContentRefused(ModelRefused):
    """The request or its answer is against the provider's content policy."""

    code = "content_refused"


class RequestRefused(ModelRefused):
    """The provider cannot read our request."""

    code = "request_refused"


class AnswerMalformed(ModelRefused):
    """The model did not keep to the form it was asked for."""

    code = "answer_malformed"


class PlanRefused(ModelRefused):
    """The model that judges plans rejects this one."""

    code = "plan_refused"


ModelFailure = (
    ModelRateLimited
    | ModelUnreachable
    | ModelTimedOut
    | ModelKeyRefused
    | ModelUnknown
    | ContextOverflow
    | ContentRefused
    | RequestRefused
)
"""What a provider's adapter may raise."""

TRY_ANOTHER = (
    ModelRateLimited,
    ModelTurnMissed,
    ModelUnreachable,
    ModelTimedOut,
    ModelKeyRefused,
    ModelUnknown,
    ContextOverflow,
)
"""After these, another deployment may do better. After a refusal of content it must not be tried: that would be
shopping for a provider with a laxer policy."""

BLAMES_DEPLOYMENT = (ModelRateLimited, ModelUnreachable, ModelTimedOut, ModelKeyRefused, ModelUnknown)
"""These count against the health of the deployment; the others are the fault of the request."""

AT_ONCE = frozenset({ModelKeyRefused.code, ModelUnknown.code})
"""Failure codes after which a deployment is left alone at once: only a person can mend them."""
