"""The text of a PDF: its pages in order, their lines as they stand, an empty line where a paragraph ends.

A process of its own reads it, so that a hostile file takes no more than its share. What has no text, such as a scan, and
what is encrypted is refused by name.
"""

import json
import subprocess
import sys

from holdfast.errors import HoldfastError, InvalidInput, TooLarge

_REMEDY = "Extract its text another way, such as `pdftotext file.pdf`, and add that."
_PATIENCE_S = 120
_READER = (sys.executable, "-I", "-m", "holdfast.knowledge.pdf_pages")


def text_of_pdf(data: bytes, name: str) -> str:
    try:
        # No environment: what reads a stranger's file has no key to give away.
        done = subprocess.run(
            _READER, input=data, capture_output=True, timeout=_PATIENCE_S, check=False, env={}
        )
    except subprocess.TimeoutExpired as error:
        raise _too_much(name) from error
    if done.returncode < 0:
        raise _too_much(name)
    answer = json.loads(done.stdout) if done.returncode == 0 else {"refused": "damaged"}
    if "refused" in answer:
        raise _refused(answer["refused"], name)
    text = "\n\n".join(page for page in answer["pages"] if page.strip())
    if not text.strip():
        raise InvalidInput(f"{name} has no text that can be read; perhaps it is a scan.", remedy=_REMEDY)
    return text


def _refused(why: str, name: str) -> HoldfastError:
    match why:
        case "large":
            return _too_much(name)
        case "encrypted":
            return InvalidInput(f"{name} is an encrypted PDF.", remedy=_REMEDY)
        case _:
            return InvalidInput(f"{name} is a damaged PDF.", remedy=_REMEDY)


def _too_much(name: str) -> TooLarge:
    return TooLarge(f"{name} is a PDF that takes too much time or memory to read.", remedy=_REMEDY)
