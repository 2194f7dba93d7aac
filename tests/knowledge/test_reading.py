"""Every markup is cut at its headings, and every chunk is an exact span of the text."""

import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidInput, TooLarge
from holdfast.knowledge.bm25 import LEAD_MEANING_WEIGHT, MEANING_WEIGHT
from holdfast.knowledge.chunking import CHUNK_WORDS, cut
from holdfast.knowledge.glossary import said_plainly
from holdfast.knowledge.html import markdown_of_html
from holdfast.knowledge.indexing import DOCUMENT, PLAIN_LEAD, entry_of
from holdfast.knowledge.reading import MAX_CHARS, read_draft
from holdfast.knowledge.sources import alert_rules, read_bytes, read_path
from holdfast.knowledge.stemming import stem
from holdfast.knowledge.terms import terms_of
from schemas.knowledge import DocumentDraft, DocumentKind, Media

MARKDOWN = (
    "# Title\n\nIntro.\n\n## One\n\nText *one*.\n\n```sh\nls\n```\n\n### Deep\n\nMore.\n\n## Two\n\nEnd.\n"
)
REST = "Title\n=====\n\nIntro.\n\nOne\n---\n\nText::\n\n    ls -l\n\nDeep\n~~~~\n\nMore.\n\nTwo\n---\n\n.. code-block:: sh\n\n   ls\n"
HTML = "<html><head><title>x</title><style>p{}</style></head><body><h1>Title</h1><p>Intro.</p><h2>One</h2><pre>ls\n-l</pre><script>no()</script></body></html>"


@pytest.mark.parametrize(("text", "media"), [(MARKDOWN, "markdown"), (REST, "rest")])
def test_a_chunk_carries_the_headings_above_it(text: str, media: Media) -> None:
    chunks = cut(text, media, title="Title")
    assert [chunk.path for chunk in chunks] == [(), ("One",), ("One", "Deep"), ("Two",)]
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)


def test_html_loses_its_scripts_and_keeps_its_headings_and_code() -> None:
    reading = read_draft(DocumentDraft(id="page", text=HTML, media="html"))
    assert reading.document.title == "Title"
    assert "no()" not in reading.document.text
    assert [chunk.path for chunk in reading.chunks] == [(), ("One",)]
    assert "ls\n-l" in reading.chunks[1].text


def test_what_a_page_says_with_the_marks_of_markdown_is_said_not_meant() -> None:
    page = "<h1>Real</h1><p># no heading</p><p>---</p><pre>cat a\n```\n# in code</pre><p>``` no fence</p>"
    reading = read_draft(DocumentDraft(id="page", text=page, media="html"))
    assert reading.document.text == (
        "# Real\n\n\\# no heading\n\n\\---\n\n````\ncat a\n```\n# in code\n````\n\n\\``` no fence\n"
    )
    assert [chunk.path for chunk in reading.chunks] == [()]


@pytest.mark.parametrize(
    ("name", "data", "media", "title"),
    [
        ("a.html", b"# Title\n\nNo tag.", "markdown", "Title"),
        ("a.html", b"<h1>Title</h1># text", "markdown", "Title"),
        (
            "a.md",
            b"<!-- made by hand -->\n<!DOCTYPE html>\n<title>x</title><h1>Title</h1><p>text",
            "markdown",
            "Title",
        ),
        ("a.md", b"# Title\n\n<html> is a tag.", "markdown", "Title"),
        ("a.txt", b"<html><body><h1>Title</h1>text", "markdown", "Title"),
        ("a", b"Title\n=====\n\n.. note:: text\n", "rest", "Title"),
        ("a", b"# Title\n\n.. note:: text\n", "markdown", "Title"),
        ("a.rst", b"Title\n=====\n\ntext\n", "rest", "Title"),
    ],
)
def test_name_declaration_and_text_say_what_a_file_is(
    name: str, data: bytes, media: Media, title: str
) -> None:
    (draft,) = read_bytes(name, data).drafts
    document = read_draft(draft).document
    assert (document.media, document.title) == (media, title)


def test_a_file_that_is_called_a_pdf_and_is_none_is_refused() -> None:
    (failure,) = read_bytes("a.pdf", b"# No PDF").failures
    assert "is no PDF" in failure.message


def test_front_matter_is_read_and_never_shown() -> None:
    text = "---\ntitle: T\ntags: [a, b]\nowner: ops\n---\n# Other\n\nBody.\n"
    reading = read_draft(DocumentDraft(id="x", text=text))
    assert (reading.document.title, reading.document.tags, reading.document.owner) == ("T", ("a", "b"), "ops")
    assert reading.chunks[0].text == "Body."
    assert text[reading.chunks[0].start : reading.chunks[0].end] == "Body."


def test_a_long_section_is_cut_into_pieces_of_bounded_size() -> None:
    text = "# T\n\n" + "word " * 5000
    chunks = cut(text, "markdown", title="T")
    assert max(len(chunk.text.split()) for chunk in chunks) <= 2 * CHUNK_WORDS
    assert sum(len(chunk.text.split()) for chunk in chunks) == 5000


@given(st.text(max_size=400), st.sampled_from(["markdown", "rest", "text", "html"]))
def test_any_text_is_cut_into_spans_in_order(text: str, media: Media) -> None:
    chunks = cut(text, media, title="")
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert all(before.end <= after.start for before, after in pairwise(chunks))


def test_a_line_without_spaces_is_cut_as_any_other() -> None:
    chunks = cut("数据库已满" * 2000, "markdown", title="")
    assert len(chunks) > 5
    assert "".join(chunk.text for chunk in chunks) == "数据库已满" * 2000


def test_a_document_over_the_limit_is_refused_by_name() -> None:
    with pytest.raises(TooLarge, match="big"):
        read_draft(DocumentDraft(id="big", text="x" * (MAX_CHARS + 1)))


def test_deep_nesting_neither_crashes_nor_stalls() -> None:
    text = "\n".join("#" * (1 + at % 6) + f" h{at}\n\n" + "> " * 200 + "x" for at in range(500))
    assert cut(text, "markdown", title="")
    with pytest.raises(InvalidInput):
        read_draft(DocumentDraft(id="yaml", text="---\na: " + "[" * 5000 + "\n---\nx"))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("KubeNodeNotReady", ["kube", "node", "readi", "kubenodenotreadi"]),
        ("the pods are failing", ["pod", "fail"]),
        ("HTTPServer2 etcd-0", ["http", "server2", "httpserver2", "etcd", "0"]),
    ],
)
def test_names_are_split_at_their_humps_and_words_are_stemmed(text: str, terms: list[str]) -> None:
    assert terms_of(text) == terms


@pytest.mark.parametrize(
    ("word", "root"),
    [("caresses", "caress"), ("ponies", "poni"), ("hopping", "hop"), ("relational", "relat"), ("controlling", "control"),
     ("generalization", "gener"), ("happy", "happi"), ("sky", "sky"), ("agreed", "agre"), ("node2", "node2")],
)  # fmt: skip
def test_stems_are_porters(word: str, root: str) -> None:
    assert stem(word) == root


def test_a_folder_gives_its_documents_and_names_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.md").write_text("hidden")
    (tmp_path / "sub" / "a.md").write_text("# A\n\ntext")
    (tmp_path / "b.rst").write_text("B\n=\n\ntext")
    (tmp_path / "c.txt").write_bytes("für".encode("latin-1"))
    (tmp_path / "d.md").write_bytes(b"a\x00b")
    (tmp_path / "e.pdf").write_bytes(b"%PDF-1.7 ...")
    found = read_path(tmp_path)
    assert [(draft.id, draft.media) for draft in found.drafts] == [
        ("b.rst", "rest"),
        ("sub/a", "markdown"),
    ]
    assert [failure.id for failure in found.failures] == ["c.txt", "d", "e.pdf"]


def test_of_two_files_with_one_id_the_first_is_the_document(tmp_path: Path) -> None:
    (tmp_path / "disk.markdown").write_text("# Disk one")
    (tmp_path / "disk.md").write_text("# Disk two")
    found = read_path(tmp_path)
    assert [draft.text for draft in found.drafts] == ["# Disk one"]
    assert [(failure.id, failure.code) for failure in found.failures] == [("disk", "duplicate_id")]


def test_alert_rules_become_documents_that_name_their_runbook() -> None:
    text = """
groups:
  - name: node
    rules:
      - record: x
        expr: y
      - alert: NodeDown
        expr: up == 0
        annotations: {summary: The node is down., runbook_url: https://example.org/NodeDown}
"""
    (draft,) = alert_rules(text, "rules.yaml")
    assert (draft.alert, draft.kind, draft.uri) == (
        "NodeDown",
        DocumentKind.ALERT_RULE,
        "https://example.org/NodeDown",
    )
    assert draft.questions == ("The node is down.",)
    assert alert_rules("a: b", "other.yaml") == []


@pytest.mark.parametrize(
    "page",
    ["<!--" * 100_000, "<a " * 100_000, '<a href="' * 100_000, "<" * 200_000, "<script>" * 100_000, "<![CDATA[" * 50_000,
     "<div>" * 100_000, "</" * 100_000, "&#" * 100_000, "<a b='>" * 100_000],
)  # fmt: skip
def test_hostile_markup_is_read_in_one_pass(page: str) -> None:
    before = time.process_time()
    assert markdown_of_html("<p>The disk is full.</p>" + page).startswith("The disk is full.")
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<head><title>no</title><body><h1>Yes</h1>", "# Yes\n"),
        ("<svg/><p>after a drawing</p>", "after a drawing\n"),
        ("1 < 2 &amp; 3 > 2 <img alt='a > b'>", "1 < 2 & 3 > 2\n"),
        ("<ScRiPt>if (a</b) x</sCrIpT>seen", "seen\n"),
    ],
)
def test_html_is_read_as_a_browser_does(page: str, text: str) -> None:
    assert markdown_of_html(page) == text


@pytest.mark.parametrize(
    "front",
    [
        "a: &a [x, x]\ntags: [*a, *a]",
        "date: 2024-05-40",
        "title: [",
        'title: "a\\0b"',
        'owner: "\\ud800"',
        f"source: {'s' * 3000}",
        "- a list",
    ],
)
def test_front_matter_that_cannot_be_kept_is_refused_by_name(front: str) -> None:
    with pytest.raises(InvalidInput, match="book"):
        read_draft(DocumentDraft(id="book", text=f"---\n{front}\n---\n# T\n\nText.\n"))


def test_a_rule_that_cannot_be_kept_is_named_and_other_files_go_in(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        f"groups: [{{rules: [{{alert: {'A' * 400}, annotations: {{summary: x}}}}]}}]"
    )
    (tmp_path / "b.md").write_text("# B\n\ntext")
    found = read_path(tmp_path)
    assert [draft.id for draft in found.drafts] == ["b"]
    assert [failure.id for failure in found.failures] == ["a.yaml"]


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("KubeletTooManyPods", "agent of the control plane on each node too many pods"),
        ("etcdHighFsyncDurations", "key-value store that holds the state of the cluster high write to disk durations"),
        ("Kube proxy is down", "network forwarding rules on each node is not running"),
        ("Disk filling up", "disk filling up"),
    ],
)  # fmt: skip
def test_a_title_is_said_plainly(title: str, plain: str) -> None:
    assert said_plainly(title).said == plain


def test_every_name_of_the_glossary_is_met_as_a_word_and_in_humps() -> None:
    glossary = Path(__file__).parents[2] / "holdfast" / "knowledge" / "glossary.yaml"
    for name, meaning in yaml.safe_load(glossary.read_text()).items():
        assert said_plainly(name).meant == (meaning,)
        assert said_plainly("".join(map(str.capitalize, name.split())) + "Today").meant == (meaning,)


def test_a_runbook_has_the_words_of_what_its_name_stands_for() -> None:
    entry = entry_of(read_draft(DocumentDraft(id="x", text="# KubeletDown\n\nIt stopped.\n")))
    assert entry.frequencies["agent"] == MEANING_WEIGHT
    assert [view.text for view in entry.views if view.position == DOCUMENT] == [
        "Kubelet Down\nIt stopped.",
        "Kubelet Down\n# KubeletDown\n\nIt stopped.\n",
        "agent of the control plane on each node not running",
        "agent of the control plane on each node not running\nit stopped",
    ]


def test_names_in_the_lead_are_said_plainly_too() -> None:
    entry = entry_of(read_draft(DocumentDraft(id="x", text="# It fails\n\nThe kubelet stopped.\n")))
    assert entry.frequencies["agent"] == LEAD_MEANING_WEIGHT
    said = next(view for view in entry.views if view.weight == PLAIN_LEAD)
    assert said.text == "it fails\nthe agent of the control plane on each node stopped"
