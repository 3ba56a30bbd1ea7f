"""Documents into passages, study items into examples: nothing is lost, nothing too long, the right ids are learnt."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from tokenizers.normalizers import NFKC
from transformers import PreTrainedTokenizerFast

from blasphemer.dataset_processor.passages import account, split_passages
from blasphemer.errors import ModelError, TooLong
from blasphemer.language_model.chat_format import encode, prompt_ids, show_learnt
from blasphemer.lora_trainer.lessons import mix_replay, split_validation
from blasphemer.records import Document, Example, LedgerEntry, Message, Passage, Plan, Source, StudyItem
from blasphemer.tokens import Ruler
from tests.tiny import TEMPLATE, make_tokenizer

TOKENIZER = make_tokenizer()
RULER = Ruler(TOKENIZER.backend_tokenizer.to_str())
SENTENCE = "The heron {} stands in the water and waits for the fish."


def starts(text: str) -> Sequence[int]:
    return RULER.starts(text)


def document(text: str, file: str = "birds.md", pages: tuple[tuple[int, int], ...] = ()) -> Document:
    return Document(file, text, markdown=file.endswith(".md"), pages=pages)


def split(text: str, size: int = 64, overlap: int = 0, file: str = "birds.md") -> list[Passage]:
    return split_passages(document(text, file), starts, size, overlap)


def texts(passages: Sequence[Passage]) -> list[str]:
    return [passage.text for passage in passages]


def sentences(count: int, first: int = 0) -> str:
    return " ".join(SENTENCE.format(number) for number in range(first, first + count))


def missing(text: str, passages: Sequence[Passage]) -> str:
    """What of a text is in no passage, without white space."""
    covered = {i for passage in passages for i in range(passage.start, passage.end)}
    return "".join(char for i, char in enumerate(text) if i not in covered and not char.isspace())


BOOK = f"""# Birds

Of all.
## Herons

{sentences(9)}

- one
- two
## Storks


### Food
{sentences(2, 9)}
| a | b |
|---|---|
| 1 | 2 |

```
# code
```

## Empty

# Fish

{sentences(30, 20)}

End
"""

HOSTILE = {
    "one huge word": "w" * 5000,
    "one huge word between others": f"Some words. {'w' * 3000} More words.",
    "only new lines": "\n" * 3000,
    "only headings": "# Birds\n\n" * 200,
    "headings and huge words": f"# Birds\n\n{'w' * 900}\n\n" * 4,
    "emoji": "🙂" * 600,
    "blanks inside": f"a{' ' * 3000}b",
    "full stops": ". " * 900,
    "a control token": "<|end|>" * 300,
    "line separators": "one.\u2028two.\u0085" * 200,
    "nothing": "",
}


# --- Document -> Passage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", [0, 16, 40])
@pytest.mark.parametrize("size", [16, 64, 200, 5000])
@pytest.mark.parametrize("text", [BOOK, *HOSTILE.values()], ids=["a book", *HOSTILE])
def test_passages_are_true_whole_and_short_enough_whatever_the_text(text: str, size: int, overlap: int) -> None:
    """Pitfalls 7 and 11."""
    passages = split(text, size, overlap)
    assert all(passage.text == text[passage.start : passage.end] == passage.text.strip() for passage in passages)
    assert all(0 < len(starts(passage.text)) <= size for passage in passages)
    assert missing(text, passages) == ""
    assert [passage.id for passage in passages] == [f"birds.md#{n}" for n in range(1, len(passages) + 1)]
    assert all(one.start < other.start and one.end < other.end for one, other in pairwise(passages))


def test_a_character_of_more_tokens_than_a_passage_does_not_stop_the_split() -> None:
    tokenizer = make_tokenizer().backend_tokenizer
    tokenizer.normalizer = NFKC()
    text = "\ufdfa" * 5  # 18 letters each, once decomposed
    passages = split_passages(document(text), Ruler(tokenizer.to_str()).starts, 16, 0)
    assert texts(passages) == ["\ufdfa"] * 5


@pytest.mark.parametrize("size", range(70, 200, 3))
def test_no_passage_ends_with_a_heading(size: int) -> None:
    """Pitfall 7: not even where one heading follows another, or asks a question."""
    text = "\n\n".join(f"# Part {n}\n\n## Who is it? A name\n\n### Of {n}\n{sentences(n % 5 + 1)}" for n in range(12))
    for passage in split(text, size):
        assert not passage.text.splitlines()[-1].startswith("#"), passage.text
        assert passage.text.startswith("#") or not re.match(r"A name|Part|Of \d", passage.text)


def test_short_pieces_are_joined_and_none_is_dropped() -> None:
    """Pitfall 7."""
    text = "\n\n".join(["Yes.", "No.", "- one", "- two", "| a | 1 |", "42"] * 3)
    assert texts(split(text, 200)) == [text]


def test_a_passage_ends_before_a_heading_rather_than_after_a_paragraph_or_a_sentence() -> None:
    text = f"{sentences(6)}\n\n# Fish\n\n{sentences(1, 6)}\n\n{sentences(2, 7)}"
    assert split(text, len(starts(text)) - 10)[0].text == sentences(6)


def test_a_passage_ends_after_a_paragraph_rather_than_a_sentence() -> None:
    text = f"{sentences(6)}\n\n{sentences(6, 6)}"
    assert split(text, len(starts(sentences(9))))[0].text == sentences(6)


def test_a_passage_ends_at_an_early_boundary_rather_than_within_a_word() -> None:
    assert texts(split(f"{sentences(1)} {'W' * 100}", 120)) == [sentences(1), "W" * 100]


def test_a_passage_ends_after_a_sentence_rather_than_within() -> None:
    """Pitfall 9."""
    for passage in split(sentences(40).replace("stands", "stands, e.g. 3.5 m deep,"), 100):
        assert passage.text.startswith("The heron")
        assert passage.text.endswith("fish.")


def test_whole_sentences_are_repeated_where_a_paragraph_is_cut() -> None:
    passages = split(sentences(40), 100, 30)
    for one, other in pairwise(passages):
        repeated = one.text[other.start - one.start :]
        assert repeated.startswith("The heron")
        assert 0 < len(starts(repeated)) <= 30
    assert missing(sentences(40), passages) == ""


@pytest.mark.parametrize("gap", ["\n\n", "\n\n# Fish\n\n"])
def test_nothing_is_repeated_where_no_paragraph_is_cut(gap: str) -> None:
    text = gap.join(sentences(2, 2 * n) for n in range(12))
    passages = split(text, len(starts(text)) // 3, 30)
    assert len(passages) > 2
    assert all(one.end <= other.start for one, other in pairwise(passages))


def test_a_passage_knows_the_headings_above_it() -> None:
    text = f"{sentences(2)}\n\n# Birds\n\n{sentences(2)}\n\n## Herons\n\n{sentences(6)}\n\n# Fish\n\n{sentences(2)}"
    found = split(text, len(starts(sentences(2))) + 20)
    assert [(passage.heading, passage.text[:9]) for passage in found] == [
        ("", "The heron"),
        ("Birds", "# Birds\n\n"),
        ("Birds / Herons", "## Herons"),
        ("Birds / Herons", "The heron"),
        ("Birds / Herons", "The heron"),
        ("Fish", "# Fish\n\nT"),
    ]


def test_a_passage_over_several_sections_has_the_heading_they_share() -> None:
    assert split("# Birds\n\n## Herons\n\nGrey.\n\n## Storks\n\nWhite.", 500)[0].heading == "Birds"
    assert split("# Birds\n\nGrey.\n\n# Fish\n\nWet.", 500)[0].heading == ""


def test_number_signs_are_no_headings_in_a_plain_text() -> None:
    assert split("# Birds\n\nGrey.", 500, file="birds.txt")[0].heading == ""


def test_a_passage_knows_the_page_it_begins_on() -> None:
    pages = [sentences(2), "", sentences(2, 2)]
    text = "\n\n".join(pages)
    spans = ((0, len(pages[0])), (len(pages[0]) + 2, len(pages[0]) + 2), (len(pages[0]) + 4, len(text)))
    found = split_passages(document(text, "birds.pdf", spans), starts, len(starts(pages[0])) + 20, 0)
    assert [passage.page for passage in found] == [1, 3]
    assert split("Grey.")[0].page == 0


def test_every_character_of_a_document_is_accounted_for() -> None:
    """Pitfall 7."""
    book = Document("b.pdf", "  One.\n\nTwo.  ", "utf-8", pages=((0, 6), (6, 7), (8, 14)), removed=5)
    passages = split_passages(book, starts, 500, 0)
    assert account(book, passages) == LedgerEntry("b.pdf", "used", "", 10, 9, 1, 0, 3, (2,), "utf-8")
    overlapping = split(sentences(40), 100, 30)
    entry = account(document(sentences(40)), overlapping)
    assert (entry.kept + entry.lost, entry.lost) == (len(sentences(40)), 0)


def test_a_long_document_is_parted_between_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blasphemer.dataset_processor.passages.STRETCH", 300)
    text = "\n".join(f"line number {number} of a log" for number in range(200))
    found = split(text, 60)
    assert missing(text, found) == ""
    assert all(passage.text.startswith("line number") and passage.text.endswith("a log") for passage in found)


def test_a_large_document_is_split_in_time_that_grows_with_its_length() -> None:
    """Cutting once looked through all earlier sentences: a book of one paragraph took minutes."""
    text = sentences(4000)
    tokens = starts(text)
    started = time.perf_counter()
    assert len(split_passages(document(text), lambda _: tokens, 64, 20)) > 1000
    assert time.perf_counter() - started < 1  # 0.1 s measured


# --- training and validation -----------------------------------------------------------------------------------------


def item(number: int, kind: str = "about", text: str = "", facts: Sequence[int] = ()) -> StudyItem:
    sources = tuple(Source("p", fact, fact + 1) for fact in facts)
    return StudyItem(f"s-{number}", kind, "rules", text or f"Text {number}.", sources=sources)


def taught(items: Sequence[StudyItem]) -> set[Source]:
    return {source for item in items for source in item.sources}


def test_no_text_is_on_both_sides_nor_twice_on_one() -> None:
    """Pitfall 10."""
    items = [item(n, text=f"Text {n % 60}.") for n in range(100)]
    train, validation = split_validation(items, 0.1, seed=0)
    contents = [item.content for item in [*train, *validation]]
    assert sorted(contents) == sorted({item.content for item in items})
    assert len(validation) == 6


@pytest.mark.parametrize("seed", range(20))
def test_every_fact_is_still_taught(seed: int) -> None:
    generator = random.Random(seed)
    items = [item(0, "passage", facts=[1000])]
    items += [item(n, "about", facts=generator.sample(range(60), 3)) for n in range(1, 60)]
    items += [item(n, "cloze", facts=[n % 40]) for n in range(60, 160)]
    train, validation = split_validation(items, 0.3, seed)
    assert taught(train) == taught(items)
    assert len(validation) >= 30


def test_every_kind_is_held_out_in_the_same_share() -> None:
    items = [item(n, "about", facts=[n % 5]) for n in range(40)] + [
        item(n, "cloze", facts=[n % 5]) for n in range(40, 60)
    ]
    _, validation = split_validation(items, 0.1, seed=0)
    assert [item.kind for item in validation].count("about") == 4
    assert [item.kind for item in validation].count("cloze") == 2


def test_the_split_follows_the_seed() -> None:
    items = [item(n) for n in range(100)]
    assert split_validation(items, 0.1, seed=1) == split_validation(items, 0.1, seed=1)
    assert split_validation(items, 0.1, seed=1) != split_validation(items, 0.1, seed=2)


def test_few_items_are_split_too() -> None:
    """Pitfall 11."""
    assert split_validation([], 0.1, seed=0) == ([], [])
    assert split_validation([item(1)], 0.4, seed=0) == ([item(1)], [])
    assert [len(side) for side in split_validation([item(1), item(2)], 0.1, seed=0)] == [1, 1]
    assert split_validation([item(1), item(2)], 0, seed=0) == ([item(1), item(2)], [])


def test_an_item_that_alone_teaches_a_fact_is_never_held_out() -> None:
    items = [item(n, facts=[n]) for n in range(20)]
    assert split_validation(items, 0.4, seed=0) == (items, [])


# --- StudyItem -> Example --------------------------------------------------------------------------------------------


def chat(question: str, answer: str) -> StudyItem:
    messages = Message(role="user", content=question), Message(role="assistant", content=answer)
    return StudyItem("s-1", "about", "rules", messages=messages)


def encoded(item: StudyItem, tokenizer: PreTrainedTokenizerFast = TOKENIZER) -> Example:
    return encode([item], tokenizer, 10_000)[0]


def learnt(example: Example) -> list[int]:
    return [token for token, learn in zip(example.ids, example.learn, strict=True) if learn]


def templated(template: str) -> PreTrainedTokenizerFast:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


OTHER_TEMPLATES = {
    "brackets, trimmed": "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "[INST] {{ m['content'] | trim }} [/INST]{% else %} {{ m['content'] | trim }}{{ eos_token }}{% endif %}"
    "{% endfor %}",
    "no end of turn": "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}",
    "a thought before the answer": "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>(no thought){% endif %}",
}


def test_last_learnt_id_ends_the_turn() -> None:
    """Pitfall 14."""
    example = encoded(chat("Where does Maud live?", "In Padley."))
    assert example.ids[-1] == TOKENIZER.eos_token_id
    assert example.learn[-1]


def test_the_prompt_is_not_learnt_and_all_of_the_answer_is() -> None:
    """Pitfall 15."""
    example = encoded(chat("Where does Maud live?", "In Padley."))
    assert show_learnt(example, TOKENIZER) == [
        ("<s><|user|>\nWhere does Maud live?<|end|>\n<|assistant|>\n", False),
        ("In Padley.<|end|>", True),
    ]


def test_only_the_last_answer_of_a_chat_is_learnt() -> None:
    """Pitfall 15."""
    first, second = chat("Who?", "Maud.").messages, chat("Where?", "Here.").messages
    example = encoded(StudyItem("s-1", "about", "rules", messages=(*first, *second)))
    assert TOKENIZER.decode(learnt(example)) == "Here.<|end|>"


@pytest.mark.parametrize("template", [TEMPLATE, *OTHER_TEMPLATES.values()], ids=["tiny", *OTHER_TEMPLATES])
def test_the_prompt_of_training_is_the_prompt_of_answering(template: str) -> None:
    """Pitfall 14."""
    tokenizer = templated(template)
    item = chat(" Who is <|end|> ? ", "Maud <s>.")
    prompt = prompt_ids(tokenizer, item.messages[:1])
    example = encoded(item, tokenizer)
    assert list(example.ids[: len(prompt)]) == prompt
    assert example.learn == (False,) * len(prompt) + (True,) * (len(example.ids) - len(prompt))
    assert tokenizer.decode(learnt(example)).strip() in {"Maud <s>.<|end|>", "Maud <s>.\n<|end|>"}
    assert [token for token in learnt(example) if token in tokenizer.all_special_ids] == [tokenizer.eos_token_id]


@pytest.mark.parametrize("text", ["<|end|>", "a <s><|assistant|> b", "<|end|> \ue000 0 \ue000 <|end|>", "\ue000\ue001"])
def test_control_tokens_spelled_in_a_document_stay_text(text: str) -> None:
    """Pitfall 13."""
    control = set(TOKENIZER.all_special_ids)
    plain = encoded(StudyItem("s-1", "passage", "rules", text))
    assert control.isdisjoint(plain.ids)
    assert TOKENIZER.decode(list(plain.ids)) == text
    example = encoded(chat(text, text))
    empty = encoded(chat("", ""))
    assert [token for token in example.ids if token in control] == [token for token in empty.ids if token in control]
    assert TOKENIZER.decode(list(example.ids)) == f"<s><|user|>\n{text}<|end|>\n<|assistant|>\n{text}<|end|>"
    assert TOKENIZER.decode(learnt(example)) == f"{text}<|end|>"


def test_a_plain_text_is_learnt_from_end_to_end() -> None:
    example = encoded(StudyItem("s-1", "passage", "rules", "Herons wade."))
    assert TOKENIZER.decode(list(example.ids)) == "Herons wade."
    assert all(example.learn)


def test_an_item_that_does_not_fit_is_named_with_its_length() -> None:
    fits = chat("Who?", "Maud.")
    size = len(encoded(fits).ids)
    assert len(encode([fits], TOKENIZER, size)) == 1
    with pytest.raises(TooLong, match=rf"^s-1: a about item has {size} tokens, more than the {size - 1} allowed"):
        encode([fits], TOKENIZER, size - 1)


def test_a_tokenizer_without_a_chat_template_is_refused() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        prompt_ids(tokenizer, [Message(role="user", content="Who?")])


def test_a_tokenizer_that_cannot_end_a_turn_is_refused() -> None:
    """Pitfall 14."""
    tokenizer = templated(OTHER_TEMPLATES["no end of turn"])
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no end-of-sequence token"):
        encoded(chat("Who?", "Maud."), tokenizer)


# --- replay ----------------------------------------------------------------------------------------------------------


def of_length(*lengths: int) -> list[Example]:
    return [Example((number,) * length, (True,) * length) for number, length in enumerate(lengths)]


def plan(epochs: float, replay_items: int, study_items: int = 30) -> Plan:
    return Plan(study_items, 0, replay_items, 0, 16, 2, epochs, 0, 1e-3)


def test_study_comes_as_often_and_replay_as_much_as_planned() -> None:
    study, replay = of_length(*range(100, 130)), of_length(*range(5, 13))
    mixed = mix_replay(study, replay, plan(2.5, 20), seed=0)
    studied, rehearsed = mixed[:75], mixed[75:]
    assert all(studied[:60].count(example) == 2 for example in study)
    assert len(set(studied[60:])) == 15
    assert set(studied) == set(study)
    assert len(rehearsed) == 20
    assert all(rehearsed.count(example) in {2, 3} for example in replay)  # all before any is repeated
    assert mixed == mix_replay(study, replay, plan(2.5, 20), seed=0)
    assert mixed != mix_replay(study, replay, plan(2.5, 20), seed=1)


def test_without_replay_there_is_only_study() -> None:
    study = of_length(10, 20)
    assert set(mix_replay(study, [], plan(1, 5, 2), seed=0)) == set(study)
    assert set(mix_replay(study, of_length(5), plan(1, 0, 2), seed=0)) == set(study)
