"""The sums of a budget: what a call may cost before it is made, and what it is taken to have cost when it ends badly.

What cannot be known is presumed spent. So a ceiling may be reached too early by a little, and is never passed by more
than the error of one estimate.
"""

from holdfast.errors import HoldfastError
from holdfast.llm.failures import ModelTimedOut, ModelUnreachable
from holdfast.llm.prices import cost_of
from schemas.chat import TokenUsage
from schemas.models import Price


def claimed_usd(price: Price, *, input_tokens: int, output_tokens: int) -> float:
    """The most the call can cost, as far as its size is known."""
    return cost_of(price, TokenUsage(input_tokens=input_tokens, output_tokens=output_tokens))


def usage_presumed(failure: BaseException, claimed: TokenUsage, *, heard: int | None) -> TokenUsage:
    """What a call that failed has used. `heard` counts the tokens that came; None means the call was not streamed.

    A refusal costs nothing. A line that broke or a wait that was given up leaves the provider having read the request
    and written at least what was heard; where nothing can be heard, all that was claimed is presumed written.
    """
    if isinstance(failure, ModelUnreachable) and not heard:
        return TokenUsage(estimated=True)
    if isinstance(failure, HoldfastError) and not isinstance(failure, ModelTimedOut | ModelUnreachable):
        return TokenUsage(estimated=True)
    written = claimed.output_tokens if heard is None else heard
    return TokenUsage(input_tokens=claimed.input_tokens, output_tokens=written, estimated=True)
