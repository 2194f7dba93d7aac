"""Reads a runbook as something a machine can run: front matter for what it needs, fenced blocks for what it does.

The format is told in docs/runbooks.md. A runbook without a single annotated block is read too, each shell block as a
step, but is marked as not annotated: it runs only when somebody names it.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import ValidationError

from holdfast.errors import InvalidInput
from holdfast.knowledge.blocks import Block, read_blocks
from holdfast.knowledge.fences import Fence, read_fence
from holdfast.knowledge.frontmatter import split_front_matter
from holdfast.knowledge.plain_yaml import read_yaml
from schemas.base import JsonObject
from schemas.knowledge import LintFinding, Media, Risk, RunbookInput, RunbookStep, RunnableRunbook, Severity

FRONT_KEYS = frozenset(
    {"id", "title", "summary", "kind", "source", "component", "environment", "alert", "owner", "uri", "tags"}
    | {
        "questions",
        "updated_at",
        "date",
        "runnable",
        "inputs",
        "environments",
        "preconditions",
        "verification",
    }
    | {"answer"}
)
_PLACEHOLDER = re.compile(r"<([A-Za-z][A-Za-z0-9 _-]{0,40})>")
_STEP_ID = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


class Reader:
    """One pass over one text. Everything wrong is a finding; `runbook` is there when none is an error."""

    def __init__(self, document_id: str, text: str, *, media: Media = "markdown", title: str = "") -> None:
        self.findings: list[LintFinding] = []
        self._id = document_id
        self._meta, offset = self._front(text)
        self._skipped_lines = text.count("\n", 0, offset)
        self._blocks = read_blocks(text[offset:], media)
        self._title = str(self._meta.get("title") or title or self._heading() or document_id)

    def read(self, *, version: int | None = None) -> RunnableRunbook:
        fences = [(block, read_fence(block.info), section) for block, section in self._code()]
        annotated = any(fence.annotated for _, fence, _ in fences)
        steps = list(self._steps(fences) if annotated else self._plain_steps(fences))
        inputs = list(self._inputs())
        if not annotated:
            inputs += [
                each for each in _placeholders(steps) if each.name not in {known.name for known in inputs}
            ]
        return RunnableRunbook(
            id=self._id,
            version=version,
            title=self._title,
            summary=str(self._meta.get("summary") or ""),
            inputs=tuple(inputs),
            environments=self._texts("environments"),
            preconditions=self._texts("preconditions"),
            verification=self._texts("verification"),
            steps=tuple(steps),
            answer=str(self._meta["answer"]) if self._meta.get("answer") else None,
            annotated=annotated,
        )

    def problem(self, code: str, message: str, line: int | None = None, *, warn: bool = False) -> None:
        severity = Severity.WARNING if warn else Severity.ERROR
        self.findings.append(LintFinding(code=code, message=message, line=line, severity=severity))

    def _front(self, text: str) -> tuple[dict[str, Any], int]:
        try:
            meta, offset = split_front_matter(text)
        except InvalidInput as error:
            self.problem("front_matter", error.message, 1)
            return {}, 0
        for key in sorted(set(meta) - FRONT_KEYS):
            self.problem("unknown_key", f"The front matter has an unknown key {key!r}.", 1, warn=True)
        return meta, offset

    def _heading(self) -> str:
        return next((block.text for block in self._blocks if block.kind == "heading"), "")

    def _line(self, block: Block) -> int:
        return block.line + self._skipped_lines

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self._meta.get(key) or ()
        return (value,) if isinstance(value, str) else tuple(str(item) for item in value)

    def _code(self) -> Iterator[tuple[Block, str]]:
        section = ""
        for block in self._blocks:
            if block.kind == "heading":
                section = block.text
            elif block.kind == "code":
                yield block, section

    def _inputs(self) -> Iterator[RunbookInput]:
        declared = self._meta.get("inputs") or {}
        if not isinstance(declared, dict):
            self.problem("inputs", "`inputs` is a mapping from a name to what it is.", 1)
            return
        for name, about in declared.items():
            fields = about if isinstance(about, dict) else {"description": str(about or "")}
            required = bool(fields.get("required", "default" not in fields))
            try:
                yield RunbookInput.model_validate(
                    {**fields, "name": name, "required": required}, extra="forbid"
                )
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                self.problem("inputs", f"Input {name}: {where}: {first['msg']}.", 1)

    def _steps(self, fences: list[tuple[Block, Fence, str]]) -> Iterator[RunbookStep]:
        for block, fence, section in fences:
            line = self._line(block)
            if fence.problem:
                self.problem("attributes", f"In this block {fence.problem}.", line)
            if not fence.annotated:
                continue
            for word in fence.unknown:
                self.problem("unknown_attribute", f"Unknown attribute {word!r}.", line)
            if step := self._step(block, fence, section, line):
                yield step

    def _step(self, block: Block, fence: Fence, section: str, line: int) -> RunbookStep | None:
        said = fence.attributes
        if not _STEP_ID.match(said["id"]):
            self.problem("step_id", f"{said['id']!r} is not a step id: lower case, digits and _.", line)
            return None
        fields: JsonObject = {
            key: said[key] for key in ("title", "expect", "when", "for_each", "tool") if key in said
        }
        fields |= {key: said[key] for key in ("risk", "output", "on_error", "group") if key in said}
        if "needs" in said:
            fields["needs"] = tuple(name for name in re.split(r"[,\s]+", said["needs"]) if name)
        if "timeout" in said:
            fields["timeout_s"] = said["timeout"].removesuffix("s")
        if "retry" in said:
            fields["attempts"] = said["retry"]
        try:
            return RunbookStep.model_validate(
                {**fields, "id": said["id"], "block": fence.kind, "body": block.text, "line": line}
                | {"section": section, "arguments": self._arguments(block, fence, line)}
            )
        except ValidationError as error:
            first = error.errors()[0]
            self.problem("attributes", f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}.", line)
            return None

    def _arguments(self, block: Block, fence: Fence, line: int) -> JsonObject:
        arguments = dict(fence.arguments)
        if fence.kind == "wait":
            arguments |= {
                k: fence.attributes[k] for k in ("seconds", "until", "event") if k in fence.attributes
            }
        if fence.kind != "tool":
            return arguments
        try:
            body = next(iter(read_yaml(block.text)), None) or {}
        except yaml.YAMLError:
            body = None
        if not isinstance(body, dict):
            self.problem("arguments", "The body of a tool block is a YAML mapping of its arguments.", line)
            return arguments
        return {str(key): value for key, value in body.items()} | arguments

    def _plain_steps(self, fences: list[tuple[Block, Fence, str]]) -> Iterator[RunbookStep]:
        shells = [(block, section) for block, fence, section in fences if fence.kind == "shell"]
        for number, (block, section) in enumerate(shells, 1):
            body = _commands(block.text)
            if not body:
                continue
            risk: Risk = "medium"
            yield RunbookStep(
                id=f"step_{number}", block="shell", body=body, line=self._line(block), section=section,
                title=section, risk=risk,
            )  # fmt: skip


def _commands(text: str) -> str:
    """Of a transcript, the lines behind a prompt; of a script, all of it."""
    prompted = [
        line.lstrip()[2:]
        for line in text.splitlines()
        if line.lstrip().startswith(("$ ", "# oc", "# kubectl"))
    ]
    return "\n".join(prompted) if prompted else text.strip()


def input_name(placeholder: str) -> str:
    """`<Pod name>` asks for the input `pod_name`."""
    return re.sub(r"[^a-z0-9]+", "_", placeholder.lower()).strip("_")


def _placeholders(steps: list[RunbookStep]) -> Iterator[RunbookInput]:
    seen: set[str] = set()
    for step in steps:
        for found in _PLACEHOLDER.finditer(step.body):
            name = input_name(found[1])
            if name and name[0].isalpha() and name not in seen:
                seen.add(name)
                yield RunbookInput(name=name, description=f"Stands as <{found[1]}> in the runbook.")


def placeholders_bound(body: str) -> str:
    """The body with `<pod name>` written as the reference `${inputs.pod_name}`."""
    return _PLACEHOLDER.sub(lambda found: "${inputs." + input_name(found[1]) + "}", body)


def parse_runbook(
    document_id: str, text: str, *, media: Media = "markdown", title: str = "", version: int | None = None
) -> RunnableRunbook:
    """The runbook. Raises InvalidInput with the first thing that keeps it from running."""
    reader = Reader(document_id, text, media=media, title=title)
    runbook = reader.read(version=version)
    for finding in reader.findings:
        if finding.severity is Severity.ERROR:
            where = f" (line {finding.line})" if finding.line else ""
            raise InvalidInput(
                f"Runbook {document_id}{where}: {finding.message}",
                remedy="`holdfast runbooks lint` lists everything to mend.",
                id=document_id,
            )
    return runbook
