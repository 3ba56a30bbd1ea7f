"""What is rehearsed beside the study material: everyday requests, and those of a file of the user's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from blasphemer.errors import SourceError
from blasphemer.exam import read_exam_file
from blasphemer.language import normalise
from blasphemer.language_model import LanguageModel, encode
from blasphemer.languages import find_language
from blasphemer.memory.requests import everyday_requests, own_requests
from blasphemer.records import StudyItem, exchange

KNOWN = Path(__file__).parents[1] / "test-knowledge" / "natural" / "known.jsonl"


def test_everyday_requests_are_many_short_and_of_many_languages() -> None:
    found = everyday_requests()
    assert len(set(map(normalise, found))) == len(found) >= 500
    assert max(len(request.split()) for request in found) <= 30
    languages = Counter(map(find_language, found))
    assert sum(number >= 5 for number in languages.values()) >= 10


def test_none_of_them_asks_for_what_is_known_to_be_asked() -> None:
    """What is rehearsed is not what is asked: no question of the file, and none with its words and its answer."""
    requests = [set(normalise(request).split()) for request in everyday_requests()]
    for question in read_exam_file(KNOWN, []):
        asked = {word for word in normalise(question.question).split() if len(word) > 3}
        assert not any(len(asked & words) >= 0.8 * len(asked) for words in requests), question.question


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own.txt", "Who waits?\n\nWhere is the fish?\nWho waits?\n"),
        ("own.jsonl", '{"prompt": "Who waits?"}\n{"question": "Where is the fish?", "answer": "In the water."}\n'),
        ("own.csv", "instruction,output\nWho waits?,\nWhere is the fish?,In the water.\n"),
        (
            "own.jsonl",
            '{"messages": [{"role": "user", "content": "Who waits?"}]}\n'
            '{"messages": [{"role": "user", "content": "Where is the fish?"}, '
            '{"role": "assistant", "content": "In the water."}]}\n',
        ),
        ("one.jsonl", '{"prompt": "Who waits?"}\n'),
    ],
)
def test_a_file_of_ones_own_is_read_with_and_without_answers(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = dict(own_requests([str(tmp_path / name)]))
    assert found.pop("Who waits?") == ""
    assert found in ({}, {"Where is the fish?": ""}, {"Where is the fish?": "In the water."})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("own.jsonl", '{"title": "Fish"}\n', "no requests in it"),
        ("own.jsonl", "{", "not JSON"),
        ("own.docx", "", "give requests as"),
    ],
)
def test_a_file_without_requests_is_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=said):
        own_requests([str(tmp_path / name)])
    with pytest.raises(SourceError, match=r"nowhere\.txt"):
        own_requests([str(tmp_path / "nowhere.txt")])


def test_of_an_answer_that_was_broken_off_the_end_is_not_learnt(tiny: LanguageModel) -> None:
    whole = StudyItem("1", "replay", "model", messages=exchange("Who waits?", "The heron"))
    broken = StudyItem("2", "replay", "model", messages=exchange("Who waits?", "The heron"), ended=False)
    one, other = encode([whole, broken], tiny.tokenizer, 512)
    assert one.ids[-1] == tiny.tokenizer.eos_token_id
    assert other.ids == one.ids[:-1]
    assert json.dumps(other.learn) == json.dumps(one.learn[:-1])
