"""The data files: readable, complete, refused when they say what the format does not have."""

from importlib.resources import files

import pytest

from holdfast.guardian.knowledge import KnowledgeError, command_knowledge, compile_knowledge, match_command
from holdfast.guardian.words import Word
from schemas.facts import Effect


def shipped() -> dict[str, bytes]:
    folder = files("holdfast.guardian.knowledge").joinpath("data")
    return {item.name: item.read_bytes() for item in folder.iterdir() if item.name.endswith(".yaml")}


def with_entry(text: str) -> dict[str, bytes]:
    return {"_rules.yaml": shipped()["_rules.yaml"], "x.yaml": text.encode()}


def effects(text: str, *words: str) -> tuple[set[Effect], list[str]]:
    match = match_command(compile_knowledge(with_entry(text)).tools["x"], [Word(word) for word in words])
    return match.effects, match.unknowns


def test_the_base_is_broad() -> None:
    assert len(command_knowledge().tools) >= 900


def test_the_digest_names_the_bytes() -> None:
    texts = shipped()
    assert compile_knowledge(texts).digest == command_knowledge().digest
    texts["shell.yaml"] += b"# changed\n"
    assert compile_knowledge(texts).digest != command_knowledge().digest


@pytest.mark.parametrize(
    "text", ["x: {is: reads}", "x: {reads: -a}", "x: read\ny x: write", "x: {sub: {a: {iss: read}}}"]
)
def test_a_mistake_in_the_data_is_refused(text: str) -> None:
    with pytest.raises(KnowledgeError):
        compile_knowledge(with_entry(text))


def test_an_option_that_is_not_described_makes_a_strict_entry_unknown() -> None:
    assert effects("x: {is: read, only: -a}", "-a") == ({Effect.READ}, [])
    assert effects("x: {is: read, only: -a}", "-b")[1]


def test_abbreviations_clusters_and_attached_values_are_seen() -> None:
    entry = "x: {is: read, write: -o --output, value: -k}"
    assert Effect.WRITE in effects(entry, "--outp=f")[0]
    assert Effect.WRITE in effects(entry, "-ao")[0]
    assert effects(entry, "-ko")[0] == {Effect.READ}


def test_a_mode_of_the_parent_does_not_excuse_a_sub_command() -> None:
    entry = "x: {mode: -v, sub: {rm: delete, ls: read}}"
    assert effects(entry, "-v")[0] == {Effect.READ}
    assert Effect.DELETE in effects(entry, "-v", "rm")[0]


def test_an_unknown_sub_command_asks() -> None:
    assert effects("x: {sub: {ls: read}}", "rm")[1]
    assert effects("x: {sub: {ls: read}}")[1]


def test_version_counts_for_a_dangerous_tool_only_when_it_stands_alone() -> None:
    assert effects("x: {is: attack, mode: -V}", "-V")[0] == {Effect.READ}
    assert Effect.ATTACK in effects("x: {is: attack, mode: -V}", "-V", "host")[0]


def test_verbs_decide_at_any_depth_and_groups_only_at_the_front() -> None:
    entry = "x: {deep: true, sub: {list: read, delete: destroy, vault: {sub: {show: read, '*': secret}}}}"
    assert effects(entry, "a", "b", "list")[0] == {Effect.READ}
    assert Effect.DESTROY in effects(entry, "a", "delete", "list")[0]
    assert Effect.SECRET in effects(entry, "vault", "get")[0]
    assert effects(entry, "a", "b")[1]


SENSITIVE = [
    "/etc/shadow",
    "/etc/gshadow-",
    "/etc/sudoers.d/x",
    "/etc/kubernetes/admin.conf",
    "/etc/ssl/private/x",
    "/etc/ssh/ssh_host_rsa_key",
    "~/.ssh",
    "id_rsa",
    "~/.ssh/authorized_keys",
    "~/.aws/credentials",
    "~/.kube/config",
    "~/.docker/config.json",
    "~/.gnupg/x",
    "~/.config/gcloud/x",
    "~/.config/gh/hosts.yml",
    "~/.netrc",
    "~/.pgpass",
    "~/.my.cnf",
    "~/.mylogin.cnf",
    "~/.git-credentials",
    "~/.vault-token",
    "~/.npmrc",
    ".env",
    ".env.local",
    "~/.bash_history",
    "~/.local/share/keyrings/x",
    "key4.db",
    "logins.json",
    "/proc/1/environ",
    "/proc/$pid/mem",
    "/proc/self/maps",
    "/proc/kcore",
    "/proc/sysrq-trigger",
    "/dev/mem",
    "/dev/tcp/h/80",
    "/run/secrets/x",
    "/var/run/secrets/kubernetes.io/x",
    "/var/lib/kubelet/pki/x",
    "/var/lib/etcd/member",
    "/var/spool/cron/root",
    "/var/mail/root",
    "/root/.profile",
    "/var/run/docker.sock",
    "server.pem",
    "a.p12",
    "a.kdbx",
    "a.jks",
    "private.key",
    "tls_key.json",
    "ca.key",
    "/x/credentials",
    "/x/secrets.yaml",
    "terraform.tfstate",
    "/etc/krb5.keytab",
    "x/NTDS.dit",
    "/var/lib/mysql/mysql/user.MYD",
    "/sys/firmware/efi/efivars/x",
]


@pytest.mark.parametrize("path", [*SENSITIVE, *command_knowledge().paths.canonical])
def test_every_sensitive_place_is_found_by_its_mark_and_pattern(path: str) -> None:
    paths = command_knowledge().paths
    assert paths.match(path)
    assert paths.match(path.upper())


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/etc/hosts", "/proc/cpuinfo", "/proc/1/status", "/var/log/syslog", "a.keys", "README"],
)
def test_ordinary_places_are_not_sensitive(path: str) -> None:
    assert not command_knowledge().paths.match(path)
