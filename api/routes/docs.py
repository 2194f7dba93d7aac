"""The reference, for programs and as a page: one file each, nothing loaded from elsewhere."""

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from api.openapi import Document

router = APIRouter(include_in_schema=False)

_PAGE = (files("api") / "static" / "docs.html").read_text()


def _hash_of(tag: str) -> str:
    """What the content security policy calls the one script and the one style of the page."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL)
    text = found.group(1) if found else ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_POLICY = (
    f"default-src 'none'; connect-src 'self'; script-src {_hash_of('script')}; style-src {_hash_of('style')}; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@router.get("/openapi.json")
async def document(request: Request) -> Response:
    """What this API can do, for programs."""
    found: Document = request.app.state.document
    return Response(await found.text(), media_type="application/json")


@router.get("/docs")
async def docs() -> HTMLResponse:
    """What this API can do."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})
