"""Documents from files, folders, standard input and alert-rule files. Reads the disk and nothing else.

A file that cannot be read becomes a failure with its name; the others go on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from holdfast.errors import HoldfastError, InvalidInput, TooLarge
from holdfast.knowledge.formats import SUFFIXES, guessed
from holdfast.knowledge.pdf import text_of_pdf
from holdfast.knowledge.plain_yaml import read_yaml
from schemas.knowledge import DocumentDraft, DocumentKind, IngestFailure, Media

RULES = (".yaml", ".yml")
MAX_BYTES = 16_000_000
_HIDDEN = frozenset({".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv"})


@dataclass
class Found:
    """What was found under a path: what can be read, and what cannot, with why."""

    drafts: list[DocumentDraft] = field(default_factory=list)
    failures: list[IngestFailure] = field(default_factory=list)


def read_path(path: Path, *, source: str = "") -> Found:
    """A file, or every document below a folder, each named by its path from there."""
    found = Found()
    if not path.exists():
        raise InvalidInput(f"{path} does not exist.", remedy="Name a file, or a folder of runbooks.")
    root = path if path.is_dir() else path.parent
    for file in [path] if path.is_file() else _files(path):
        _read_file(file, _name_of(file, root), source or root.resolve().name, found)
    return _each_once(found)


def _each_once(found: Found) -> Found:
    """Two files may be called alike, as `disk.md` and `disk.markdown` are: the first is the document."""
    kept: dict[str, DocumentDraft] = {}
    for draft in found.drafts:
        if kept.setdefault(draft.id, draft) is not draft:
            message = "Another file before it gives a document of this id."
            found.failures.append(IngestFailure(id=draft.id, code="duplicate_id", message=message))
    found.drafts = list(kept.values())
    return found


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).parts
        hidden = any(part in _HIDDEN or part.startswith(".") for part in inside)
        if (
            not hidden
            and not file.is_symlink()
            and file.is_file()
            and file.suffix.lower() in {*SUFFIXES, *RULES}
        ):
            yield file


def _name_of(file: Path, root: Path) -> str:
    """The path from the root; Markdown goes without its suffix, because people name runbooks in commands."""
    name = file.relative_to(root)
    return (name.with_suffix("") if SUFFIXES.get(file.suffix.lower()) == "markdown" else name).as_posix()


def read_bytes(name: str, data: bytes, *, source: str = "") -> Found:
    """A file that came without a disk. The end of its name says what it is; without one its text does."""
    found = Found()
    suffix = PurePosixPath(name).suffix.lower()
    try:
        found.drafts.extend(_drafts_of(data, name, suffix, source))
    except HoldfastError as error:
        found.failures.append(IngestFailure(id=name, code=error.code, message=str(error)))
    return found


def _read_file(file: Path, name: str, source: str, found: Found) -> None:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise _too_large(name)
        found.drafts.extend(_drafts_of(file.read_bytes(), name, file.suffix.lower(), source))
    except (HoldfastError, OSError) as error:
        code = error.code if isinstance(error, HoldfastError) else "unreadable"
        found.failures.append(IngestFailure(id=name, code=code, message=str(error)))


def _drafts_of(data: bytes, name: str, suffix: str, source: str) -> Sequence[DocumentDraft]:
    if len(data) > MAX_BYTES:
        raise _too_large(name)
    if suffix in RULES:
        return alert_rules(decoded(data, name), name, source=source)
    media = SUFFIXES.get(suffix, "text") if suffix else None
    return [draft_of(data, name, media=media, source=source)]


def _too_large(name: str) -> TooLarge:
    return TooLarge(f"{name} is larger than {MAX_BYTES // 1_000_000} MB.", remedy="Split it.")


def draft_of(data: bytes, name: str, *, media: Media | None, source: str = "") -> DocumentDraft:
    """One document out of its bytes. A PDF is known by them, whatever its name says."""
    if data.lstrip().startswith(b"%PDF-"):
        media, text = "pdf", text_of_pdf(data, name)
    elif media == "pdf":
        raise InvalidInput(f"{name} is no PDF.", remedy="Name it as what it is, or leave it out.")
    else:
        text = decoded(data, name)
        media = media or guessed(text)
    try:
        return DocumentDraft(id=name, text=text, media=media, source=source)
    except ValidationError as error:
        raise InvalidInput(
            f"{name!r} cannot be the id of a document.",
            remedy="Use at most 300 characters, none of them a control character.",
        ) from error


def decoded(data: bytes, name: str) -> str:
    """UTF-8, UTF-16 where marked; anything else is refused rather than guessed."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding: Literal["utf-16", "utf-8-sig"] = "utf-16"
    else:
        encoding = "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{name} is not UTF-8 (byte {error.start}).", remedy="Convert it: `iconv -t utf-8`."
        ) from error
    if "\x00" in text:
        raise InvalidInput(f"{name} is not text.", remedy="Only text can be read; leave it out.")
    return text


def alert_rules(text: str, name: str, *, source: str = "") -> Sequence[DocumentDraft]:
    """The alerting rules of a Prometheus rule file that name a runbook; nothing, where it is another kind of YAML."""
    try:
        documents = read_yaml(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{name} is not valid YAML.", remedy="Mend it, or leave it out.") from error
    try:
        return [_rule_draft(rule, name, source) for document in documents for rule in _rules(document)]
    except ValidationError as error:
        raise InvalidInput(
            f"{name} has a rule that cannot be kept: {error.errors()[0]['msg']}.",
            remedy="Give its alert a shorter name, without control characters.",
        ) from error


def _rules(document: Any) -> Iterator[dict[str, Any]]:
    spec = document.get("spec", document) if isinstance(document, dict) else {}
    groups = spec.get("groups") if isinstance(spec, dict) else None
    for group in groups if isinstance(groups, list) else ():
        for rule in (group.get("rules") or ()) if isinstance(group, dict) else ():
            if isinstance(rule, dict) and rule.get("alert") and isinstance(rule.get("annotations"), dict):
                yield rule


def _is_plain(value: Any) -> bool:
    return not isinstance(value, dict | list | None)


def _rule_draft(rule: dict[str, Any], name: str, source: str) -> DocumentDraft:
    notes = {str(key): str(value) for key, value in rule["annotations"].items() if _is_plain(value)}
    alert = str(rule["alert"])
    said = [notes[key] for key in ("summary", "description", "message") if notes.get(key)]
    return DocumentDraft(
        id=f"{name}/{alert}",
        title=alert,
        alert=alert,
        kind=DocumentKind.ALERT_RULE,
        text=f"# {alert}\n\n" + "\n\n".join(said) + f"\n\n```promql\n{rule.get('expr', '')}\n```\n",
        source=source,
        uri=notes.get("runbook_url", ""),
        questions=tuple(said[:2]),
    )
