"""What must hold for any text and any settings: nothing lost unseen, offsets exact, nothing too long, an end."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers

from blasphemer.dataset_processor.formats import text as text_reader
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.passages import account, split_passages
from blasphemer.errors import Unreadable
from blasphemer.language import fence_spans, paragraph_spans, sentence_spans
from blasphemer.records import Document, Passage
from blasphemer.tokens import Ruler
from tests.tiny import make_tokenizer


def rulers() -> dict[str, Ruler]:
    """Byte-level, with characters taken apart, and folding what is written in several ways into one."""
    found = {"bytes": Ruler(make_tokenizer().backend_tokenizer.to_str())}
    for name, normalizer in {"NFKD": normalizers.NFKD(), "lower": normalizers.Lowercase()}.items():
        changed: Tokenizer = make_tokenizer().backend_tokenizer
        changed.normalizer = normalizer
        found[name] = Ruler(changed.to_str())
    return found


RULERS = rulers()
PIECES = st.sampled_from(
    [
        "The heron stands in the water. ", "It waits, e.g. for 3.14 fish! ", "\n\n", "\n", "# Birds\n\n", "## Herons\n",
        "- one\n", "1. first\n", "| a | 1 |\n| b | 2 |\n", "```\ncode = 1\n\n# a comment\n```\n", "~~~\n", "\t", "   ",
        "サギは鳥です。", "वह चला गया। ", "هل ذهب؟ ", "นกกระสายืนอยู่ในน้ำ ", "🙂", "e\u0301", "\u2028", "\x85", "<|end|>",
        "w" * 90, "\ufdfa", "ﬁsh ", "\u200b", "\x1c",
    ]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(PIECES, max_size=60).map("".join),
    st.text(max_size=400),
    st.tuples(st.lists(PIECES, max_size=30).map("".join), st.text(max_size=100)).map("".join),
)
slow = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def cut(text: str, size: int, overlap: int, markdown: bool, ruler: Ruler) -> list[Passage]:
    return split_passages(Document("a.md", text, markdown=markdown), ruler.starts, size, overlap)


@pytest.mark.parametrize("ruler", RULERS.values(), ids=RULERS)
@given(text=TEXTS, size=st.integers(16, 300), overlap=st.integers(0, 200), markdown=st.booleans())
@example(text="w" * 3000, size=16, overlap=15, markdown=False)
@example(text="/. The heron standsinhe water. The heron standsinhe water. \ufdfa", size=24, overlap=8, markdown=False)
@slow
def test_passages_are_exact_and_cover_all_but_white_space(
    ruler: Ruler, text: str, size: int, overlap: int, markdown: bool
) -> None:
    """Pitfalls 7 and 11"""
    document = Document("a.md", text, markdown=markdown)
    passages = split_passages(document, ruler.starts, size, overlap)
    assert all(text[passage.start : passage.end] == passage.text == passage.text.strip() for passage in passages)
    assert all(one.start < other.start and one.end < other.end for one, other in pairwise(passages))
    covered = {place for passage in passages for place in range(passage.start, passage.end)}
    assert not "".join(char for place, char in enumerate(text) if place not in covered).strip()
    entry = account(document, passages)
    assert (entry.kept, entry.kept + entry.lost) == (len(covered), len(text))


@given(text=TEXTS, size=st.integers(16, 300), overlap=st.integers(0, 200), markdown=st.booleans())
@slow
def test_no_passage_has_more_tokens_than_allowed(text: str, size: int, overlap: int, markdown: bool) -> None:
    ruler = RULERS["bytes"]
    assert all(0 < ruler.count(passage.text) <= size for passage in cut(text, size, overlap, markdown, ruler))


@given(before=TEXTS, after=TEXTS, size=st.integers(60, 300))
@slow
def test_code_and_tables_that_fit_are_never_cut(before: str, after: str, size: int) -> None:
    for block in ("```\nfirst = 1\n\nsecond = 2\n```", "| a | 1 |\n| b | 2 |"):
        text = f"{before.replace('`', '').replace('~', '')}\n\n{block}\n\n{after.replace('`', '').replace('~', '')}"
        assert any(block in passage.text for passage in cut(text, size, 0, True, RULERS["bytes"]))


@pytest.mark.parametrize("before", range(0, 300, 7))
def test_the_border_between_two_stretches_parts_no_table_and_no_code(
    before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blasphemer.dataset_processor.passages.STRETCH", 300)
    for block in (
        "| a | 1 |\n| b | 2 |\n| c | 3 |",
        "```\nfirst = 1\n\nsecond = 2\n```",
        "- ```\n  one = 1\n\n  two = 2\n  ```",
    ):
        text = f"{'Words in a line.' * (before // 16)}{'w' * (before % 16)}\n{block}\n" + "More words.\n" * 50
        assert any(block in passage.text for passage in cut(text, 100, 0, True, RULERS["bytes"]))


def test_code_in_an_item_of_a_list_is_one_block() -> None:
    code = "```python\n    first = 1\n\n    # no heading\n    ```"
    text = f"1. Do this:\n\n    {code}\n\n2. Then."
    assert [text[start:end] for start, end in paragraph_spans(text)] == ["1. Do this:", code, "2. Then."]


@given(text=TEXTS)
@slow
def test_spans_of_a_text_follow_each_other_and_leave_out_only_white_space(text: str) -> None:
    for find in (paragraph_spans, sentence_spans):
        spans = find(text)
        assert all(start < end for start, end in spans)
        assert all(one[1] <= other[0] for one, other in pairwise(spans))
        edges = [0, *(edge for span in spans for edge in span), len(text)]
        assert not "".join(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)).strip()
    assert all(re.match("[ *+-]*[`~]", text[start:end]) for start, end in fence_spans(text))


@given(data=st.one_of(st.binary(max_size=300), TEXTS.map(lambda text: text.encode("utf-16"))))
@slow
def test_any_bytes_are_a_text_or_refused(data: bytes) -> None:
    try:
        (document,) = text_reader.read(io.BytesIO(data), "a.txt", Options())
    except Unreadable:
        return
    assert document.text.strip()
