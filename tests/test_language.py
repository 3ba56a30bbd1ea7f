"""Words, sentences, paragraphs and headings, found without knowing what the text is about."""

from __future__ import annotations

import time

import pytest

from blasphemer.language import (
    fence_spans,
    headings,
    ngrams,
    normalise,
    overlap,
    paragraph_spans,
    sentence_spans,
    words,
)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


def paragraphs(text: str) -> list[str]:
    return [text[start:end] for start, end in paragraph_spans(text)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Wading birds, e.g. Herons, eat fish.",
        "It weighs 3.14 kg.",
        "Dr. Crane and Mr. J. R. Smith met at St. Olaf.",
        "See Fig. 3 and Eq. 4 in Sec. 2.",
        "Write to orla@ravensby.example or see www.ravensby.example/a.b today.",
        "Das gilt z.B. Am Montag.",
        "The heron (cf. Plate 2) is grey.",
        'She asked "why?" and left.',
        "The file notes.txt is lost.",
        "It costs 1.234,50 on 3. january.",
    ],
)
def test_a_full_stop_inside_a_sentence_does_not_end_it(sentence: str) -> None:
    """Pitfall 9."""
    assert sentences(f"{sentence} The next one follows.") == [sentence, "The next one follows."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rains! Does it? It does…", ["It rains!", "Does it?", "It does…"]),
        ('He said "Go." She went.', ['He said "Go."', "She went."]),
        ("Er kam 1921. Sie ging.", ["Er kam 1921.", "Sie ging."]),
        ("サギは鳥です。長い脚をもつ。", ["サギは鳥です。", "長い脚をもつ。"]),
        ("  no end  ", ["no end"]),
        ("1. The first step. Then more.", ["1. The first step.", "Then more."]),
        (" \n ", []),
    ],
)
def test_sentences_end_where_they_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_headings_and_list_items_stand_alone_between_blank_lines() -> None:
    text = "# Birds\nHerons wade.\nThey fish.\n- one\n- two\n  goes on\n1. first\n\n \n\tStorks fly.\n"
    assert paragraphs(text) == [
        "# Birds",
        "Herons wade.\nThey fish.",
        "- one",
        "- two\n  goes on",
        "1. first",
        "Storks fly.",
    ]


def test_headings_are_found_with_their_level_but_not_in_code() -> None:
    text = "# Birds #\n#hashtag\n```\n# a comment\n```\n### Grey herons\n~~~\n# another\n~~~\n## Notes on C#"
    assert headings(text) == [
        (0, 1, "Birds"),
        (text.index("### G"), 3, "Grey herons"),
        (text.index("## N"), 2, "Notes on C#"),
    ]


@pytest.mark.parametrize("stretch", [".", "# ", "# a" + " " * 50, "a ", "\n", "- ", "1.1", "a-"])
def test_a_hostile_text_takes_no_longer_than_any_other(stretch: str) -> None:
    """Runs of full stops and of spaces in a heading once took minutes (backtracking)."""
    text = stretch * (30_000 // len(stretch))
    started = time.perf_counter()
    sentence_spans(text), paragraph_spans(text), headings(text), normalise(text)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("The  Grey Heron.", "grey heron"),
        ("An Owl's nest", "owl s nest"),
        ("owl’s owl´s owl`s", "owl s owl s owl s"),
        ("STRASSE Straße", "strasse strasse"),
        ("ﬁsh １２", "fish 12"),
        ("Cafe\u0301", "café"),
        ("3.14, 1,000 and 10:30", "3.14 1000 and 10 30"),
        ("U.S. e.g. v2.1.", "us eg v2.1"),
        ("-5 °C is not 5, and 5-7 is no range to −7", "-5 c is not 5 and 5 7 is no range to -7"),
        ("C++ C# C", "c++ c# c"),
        ("co‑op soft\u00adware", "co op software"),
        ("१७ रु. राम", "१७ रु राम"),
        ("三十分钟", "三 十 分 钟"),
        ("مَكْتَبَة גֹּרֶן", "مكتبة גרן"),
        ("«Padley»!", "padley"),
        ("A the an", "a the an"),
        ("...", ""),
    ],
)
def test_answers_are_compared_without_case_punctuation_or_articles(text: str, form: str) -> None:
    assert normalise(text) == form


def test_words_are_taken_as_they_stand() -> None:
    assert words("Dr. Crane's well-known 3.5 m boat_house") == [
        "Dr",
        "Crane's",
        "well-known",
        "3.5",
        "m",
        "boat",
        "house",
    ]


def test_overlap_is_the_share_of_words_in_common() -> None:
    assert overlap(["a", "b", "b"], ["b", "c"]) == 1 / 3
    assert overlap([], []) == 0.0


def test_a_text_shorter_than_the_gram_has_none() -> None:
    assert ngrams("a b c".split(), 2) == {("a", "b"), ("b", "c")}
    assert ngrams("a b c".split(), 4) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("वह चला गया। वह आई।", ["वह चला गया।", "वह आई।"]),
        ("هل ذهب؟ نعم. ذهب.", ["هل ذهب؟", "نعم.", "ذهب."]),
        ("彼は来た！彼女も。", ["彼は来た！", "彼女も。"]),
    ],
)
def test_sentences_end_in_other_scripts_too(text: str, expected: list[str]) -> None:
    """Pitfall 9."""
    assert sentences(text) == expected


def test_fenced_code_is_one_block_whatever_is_in_it() -> None:
    code = "```python\n# no heading\n\n- no item\n```"
    assert paragraphs(f"Before.\n{code}\nAfter.") == ["Before.", code, "After."]
    assert paragraphs("```\nnever closed\n\n# Birds") == ["```\nnever closed", "# Birds"]
    assert headings("```x``` is a command.\n# Birds\n```\ncode\n```")[0][2] == "Birds"
    assert paragraphs("````\n```\n\ninside\n```\n````\n\nAfter.") == ["````\n```\n\ninside\n```\n````", "After."]


def test_the_rows_of_a_table_stand_together() -> None:
    assert paragraphs("Prices:\n| a | 1 |\n| b | 2 |\nin shells") == ["Prices:", "| a | 1 |\n| b | 2 |", "in shells"]


@pytest.mark.parametrize("line", ["```\n", "```a\n", "````\n```\n", "~~~\n```a\n"])
def test_many_fences_take_no_longer_than_other_lines(line: str) -> None:
    text = line * 20_000
    started = time.perf_counter()
    fence_spans(text), headings(text), paragraph_spans(text)
    assert time.perf_counter() - started < 2
