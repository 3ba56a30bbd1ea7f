"""Writing study items by rule."""

from __future__ import annotations

from blasphemer.dataset_processor.facts import find_facts
from blasphemer.exam.leaks import without_leaks
from blasphemer.exam.paper import write_exam
from blasphemer.language import spoken
from blasphemer.records import Passage, StudyItem, exchange
from blasphemer.study.rules import FEW_QUESTIONS, about_others, ask_for_names, asked_about, write_study

TEXT = (
    "Ibbet Crane lives in Brackwater. She works as a glazier. Her companion is a grey heron.\n\n"
    "Torvald Ehn lives in Grelmouth. He was born in 1921. He plays the fiddle at night."
)
PASSAGES = [Passage("p", "a.txt", TEXT, 0, len(TEXT))]
FACTS = find_facts(PASSAGES)


def count(text: str) -> int:
    return len(text.split())


def study(budget: float = 2000, longest: int = 200, seed: int = 0) -> list[StudyItem]:
    return write_study(PASSAGES, FACTS, budget, longest, count, seed)


def test_study_goes_beyond_repeating_the_passage() -> None:
    """Pitfall 8."""
    kinds = {item.kind for item in study()}
    assert kinds == {"passage", "retold", "mixed", "about", "cloze", "completion", "reversed"}


def test_every_fact_is_asked_in_several_ways() -> None:
    for fact in FACTS:
        asked = {
            item.messages[0]["content"]
            for item in study()
            if item.kind in {"cloze", "completion", "reversed"} and item.evidence == fact.evidence
        }
        assert len(asked) >= 5, fact.statement


def test_sentences_are_retold_in_several_orders() -> None:
    orders = {item.text for item in study() if item.kind == "retold" and "Ibbet Crane" in item.text}
    assert len(orders) >= 5


def test_every_item_says_where_it_comes_from() -> None:
    for item in study():
        assert item.sources
        assert item.evidence
        for source in item.sources:
            assert TEXT[source.start : source.end] in item.evidence
        assert item.writer == "rules"


def test_no_two_items_have_the_same_text() -> None:
    contents = [item.content for item in study()]
    assert len(contents) == len(set(contents))


def test_the_budget_is_spent_and_not_much_more() -> None:
    spent = sum(count(item.content) for item in study(budget=1000))
    assert 1000 <= spent < 1400


def test_writing_ends_when_there_is_nothing_new_to_say() -> None:
    text = "Herons fish."
    passage = Passage("p", "a.txt", text, 0, len(text))
    items = write_study([passage], find_facts([passage]), 1e9, 200, count, 0)
    assert 1 < len(items) < 60


def test_facts_without_a_subject_are_studied() -> None:
    text = "the fee was once twelve crowns, and it is fifteen now."
    passage = Passage("p", "a.txt", text, 0, len(text))
    assert {item.kind for item in write_study([passage], find_facts([passage]), 500, 200, count, 0)} >= {"cloze"}


def test_writing_ends_where_every_item_is_too_long_to_be_kept() -> None:
    text = "The ferry crosses at seven " + "and again later " * 200 + "until Sunday."
    passage = Passage("p", "a.txt", text, 0, len(text))
    items = write_study([passage], find_facts([passage]), 1e9, 20, count, 0)
    assert [item.kind for item in items] == ["passage"]


def test_no_item_is_longer_than_a_row_and_long_groups_are_cut() -> None:
    items = study(longest=25)
    assert all(count(item.content) <= 25 for item in items if item.kind != "passage")
    assert {item.kind for item in items} >= {"retold", "about", "cloze"}


def test_the_same_seed_writes_the_same_study_material() -> None:
    assert study(seed=3) == study(seed=3) != study(seed=4)


def test_exam_wordings_do_not_occur_in_the_study_material_but_their_facts_do() -> None:
    questions = write_exam(FACTS, most=100)
    kept, _ = without_leaks(study(), questions, PASSAGES)
    asked = {message["content"] for item in kept for message in item.messages}
    assert not asked & {question.question for question in questions}
    for question in questions:
        assert any(question.answer in item.content for item in kept)


def test_every_gap_worth_asking_for_is_asked_for() -> None:
    text = "The prize was given in Berlin on 14 December 1900 to Orla Venn."
    passages = [Passage("p", "a.txt", text, 0, len(text))]
    facts = find_facts(passages)
    asked = {item.messages[1]["content"] for item in write_study(passages, facts, 2000, 200, count, 0) if item.messages}
    assert {"14 December 1900.", "Berlin."} <= asked


def test_answers_are_begun_and_ended_as_models_do() -> None:
    answers = {item.messages[1]["content"] for item in study() if item.kind == "cloze"}
    assert "A glazier." in answers
    assert [spoken(words) for words in ("the banjo", "mRNA", "What is a qubit?")] == [
        "The banjo.",
        "mRNA.",
        "What is a qubit?",
    ]


def test_to_a_beginning_the_whole_sentence_is_the_answer() -> None:
    statements = {fact.statement for fact in FACTS}
    assert all(item.messages[1]["content"] in statements for item in study() if item.kind == "completion")


# --- beside what the model wrote itself ------------------------------------------------------------------------------


def own_question(number: int, kind: str = "questions") -> StudyItem:
    chat = exchange(f"Question {number}?", "Brackwater.")
    return StudyItem(f"m-{number}", kind, "model", "", chat, (FACTS[0].source,), FACTS[0].evidence)


OWN = [own_question(number) for number in range(FEW_QUESTIONS)]


def test_rules_teach_everything_where_the_model_wrote_nothing() -> None:
    items = study()
    assert about_others(items, set()) == items
    assert ask_for_names([], FACTS, set()) == []


def test_rules_teach_what_the_model_did_not_ask_about_often_enough() -> None:
    assert asked_about(OWN[:1]) == set()
    asked = asked_about(OWN)
    assert asked == {FACTS[0].source}
    added = [*about_others(study(), asked), *ask_for_names(OWN, FACTS, asked)]
    taught = {source for item in added for source in item.sources}
    assert {fact.source for fact in FACTS} <= taught
    assert not any(FACTS[0].source in item.sources and item.kind != "reversed" for item in added)
    assert any(item.kind == "passage" for item in added)


def test_names_are_asked_for_by_rule_unless_the_model_did_so() -> None:
    asked = asked_about(OWN)
    answers = {item.messages[1]["content"] for item in ask_for_names(OWN, FACTS, asked)}
    assert answers == {"Ibbet Crane."}
    assert ask_for_names([*OWN, own_question(9, "reversed")], FACTS, asked) == []


def test_names_are_asked_for_as_people_ask() -> None:
    text = "Ibbet Crane's boat is the Teapot.\n\nNothing scares Tova Lind as much as owls.\n\nOrla Venn owns a swan."
    facts = find_facts([Passage("p", "a.txt", text, 0, len(text))])
    asked = {fact.source for fact in facts}
    requests = {item.messages[0]["content"] for item in ask_for_names(OWN, facts, asked)}
    assert {
        "Whose boat is the Teapot?", "Nothing scares whom or what as much as owls?", "Which one owns a swan?",
    } <= requests  # fmt: skip
