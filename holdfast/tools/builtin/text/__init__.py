"""`text.*`: finding lines and taking JSON apart, in process and within bounds."""

from holdfast.tools.builtin.text.grep import grep
from holdfast.tools.builtin.text.query import query

TEXT_TOOLS = (grep, query)
