"""What two versions of a policy, or two bundles, say differently. Pure: it is given both and compares."""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.policies import Bundle, PolicyDocument, PolicyRef, PolicyVersion
from schemas.policy_desk import BundleDiff, FieldChange, PolicyDiff


def of_versions(before: PolicyVersion, after: PolicyVersion) -> PolicyDiff:
    """Field by field, their templates and parents filled in."""
    return PolicyDiff(
        name=after.name,
        before=before.version,
        after=after.version,
        changes=tuple(_of_documents(before.resolved, after.resolved)),
    )


def of_bundles(before: Bundle, after: Bundle) -> BundleDiff:
    """Rules by name, and beside them the defaults, the format and the command knowledge."""
    old = {policy.name: policy for policy in before.policies}
    new = {policy.name: policy for policy in after.policies}
    return BundleDiff(
        before=before.digest,
        after=after.digest,
        added=tuple(_ref(new[name]) for name in sorted(new.keys() - old.keys())),
        removed=tuple(_ref(old[name]) for name in sorted(old.keys() - new.keys())),
        changed=tuple(
            of_versions(old[name], new[name])
            for name in sorted(old.keys() & new.keys())
            if old[name].checksum != new[name].checksum
        ),
        settings=tuple(_of_fields(_settings(before), _settings(after))),
    )


def _of_documents(before: PolicyDocument, after: PolicyDocument) -> Iterator[FieldChange]:
    return _of_fields(before.written(), after.written())


def _of_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldChange]:
    before, after = _flat(old), _flat(new)
    for field in sorted({*before, *after}):
        if before.get(field) != after.get(field):
            yield FieldChange(field=field, before=before.get(field), after=after.get(field))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, each in value.items():
        flat.update(_flat(each, f"{prefix}{name}.") if isinstance(each, dict) else {f"{prefix}{name}": each})
    return flat


def _settings(bundle: Bundle) -> dict[str, Any]:
    return bundle.model_dump(mode="json", exclude={"policies"})


def _ref(policy: PolicyVersion) -> PolicyRef:
    return PolicyRef(name=policy.name, version=policy.version)
