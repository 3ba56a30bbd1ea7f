"""The exam: what is asked, what may not be taught, what counts as right, and how sure the numbers are."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from blasphemer.dataset_processor import Library
from blasphemer.errors import SourceError
from blasphemer.exam.grading import grade, grade_choice, grade_retention, token_f1
from blasphemer.exam.leaks import without_leaks
from blasphemer.exam.paper import fingerprint, hold_out, read_exam_file
from blasphemer.exam.questions import write_questions
from blasphemer.exam.sitting import CHOICES, choices, open_book
from blasphemer.language import contains
from blasphemer.records import ExamQuestion, Marks, Message, Passage, StudyItem, exchange
from blasphemer.report.significance import is_significant_gain, is_significant_loss, mcnemar, rate
from tests.natural import statements_in

TEXT = (
    "The boathouse at Padley was built in 1921 by Halvard Brisk. He never owned a boat.\n\n"
    "Maud Tavish, who mends the nets, has rowed across the lake 312 times."
)
PASSAGES = [Passage("a.txt#1", "a.txt", TEXT, 0, len(TEXT))]
TOWNS = ("Padley", "Corrow", "Marlow Sands", "Tarn Green", "Sheepwash", "Orford Mill")
LONG = "Under which of the seven bridges of Padley does the old ferryman keep his lantern"


def marks(right: int, total: int) -> Marks:
    return Marks((True,) * right + (False,) * (total - right), ("",) * total)


def paired(gained: int, lost: int, same: int = 5) -> tuple[Marks, Marks]:
    before = (False,) * gained + (True,) * lost + (True,) * same
    after = (True,) * gained + (False,) * lost + (True,) * same
    blank = ("",) * len(before)
    return Marks(before, blank), Marks(after, blank)


def asked(text: str, answer: str = "x") -> ExamQuestion:
    return ExamQuestion(f"q-{text}", text, answer, "own")


def chat(question: str, answer: str = "Yes.") -> StudyItem:
    messages = Message(role="user", content=question), Message(role="assistant", content=answer)
    return StudyItem("m-1", "questions", "model", messages=messages)


def plain(text: str) -> StudyItem:
    return StudyItem("m-1", "rewrite", "model", text)


def leaks(item: StudyItem, *questions: str, passages: list[Passage] = PASSAGES) -> bool:
    kept, dropped = without_leaks([item], [asked(question) for question in questions], passages)
    assert [*kept, *dropped] == [item]
    return bool(dropped)


# --- writing ---------------------------------------------------------------------------------------------------------


def test_the_exam_is_the_same_every_time_down_to_its_hash() -> None:
    one, other = (write_questions(statements_in(TEXT)) for _ in range(2))
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint([replace(one[0], accept=("none",)), *one[1:]])


def test_open_book_shows_the_passage_and_leaves_out_questions_without_one() -> None:
    home = ExamQuestion("q-1", "Who?", "Maud Tavish", "rule", "a.txt#1")
    (shown,) = open_book([home, asked("Where?")], PASSAGES, "Read this: {}\n{}".format)
    assert shown.question == f"Read this: {TEXT}\nWho?"
    assert (shown.id, shown.answer) == ("q-1", "Maud Tavish")


def test_wrong_answers_to_choose_from_are_of_the_same_kind() -> None:
    homes = [
        asked(f"In which town does Person {letter} live?", town) for letter, town in zip("ABCDEF", TOWNS, strict=True)
    ]
    trades = [asked(f"What is the trade of Person {letter}?", f"Trade{letter}") for letter in "ABCDEF"]
    given = choices([*homes, *trades])
    for number, (answer, *others) in enumerate(given[:6]):
        assert answer == TOWNS[number]
        assert len(others) == CHOICES - 1
        assert set(others) <= set(TOWNS) - {answer}
    assert choices([asked("Why?", "Rome"), asked("Where?", "rome")]) == [("Rome",), ("rome",)]


def test_the_likeliest_choice_is_the_answer() -> None:
    given = grade_choice([("Rome", "Paris"), ("Oslo", "Bern"), ("Kiel",)], [[-1.0, -2.0], [-3.0, -2.5], [-9.0]])
    assert given == Marks((True, False, True), ("Rome", "Bern", "Kiel"))


# --- the user's own exam ---------------------------------------------------------------------------------------------


def test_a_jsonl_exam_is_read_and_its_passages_found() -> None:
    row = {"question": "Where does Maud Tavish live?", "answer": "Padley", "wording": "reserved"}
    other = json.dumps({**row, "answer": "Rome\u2028Italy"}, ensure_ascii=False)
    Path("e.jsonl").write_text(f"\ufeff{json.dumps(row)}\n\n{other}\n", encoding="utf-8")
    assert read_exam_file(Path("e.jsonl"), PASSAGES) == [
        ExamQuestion("q-1", "Where does Maud Tavish live?", "Padley", "reserved", "a.txt#1"),
        ExamQuestion("q-3", "Where does Maud Tavish live?", "Rome\u2028Italy", "reserved", ""),
    ]


def test_a_csv_exam_is_read_with_its_mark_and_its_quotes() -> None:
    text = '\ufeffquestion,answer,note\n"Who, pray, glazes?","Maud\u2028Crane",\n'
    Path("e.csv").write_text(text, encoding="utf-8")
    assert read_exam_file(Path("e.csv"), []) == [ExamQuestion("q-2", "Who, pray, glazes?", "Maud\u2028Crane", "own")]


def test_other_right_answers_and_the_evidence_are_read() -> None:
    rows = [
        {
            "question": "How many?",
            "answer": "4",
            "accept": ["four", 4.0, ""],
            "evidence": "There are four.\nOnce five.",
        },
        {"question": "Who?", "answer": "Maud", "accept": "Maud Tavish"},
        {"question": "Where?", "answer": "Padley", "accept": None},
    ]
    Path("e.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = read_exam_file(Path("e.jsonl"), [])
    assert [question.accept for question in found] == [("four", "4.0"), ("Maud Tavish",), ()]
    assert found[0].evidence == "There are four.\nOnce five."
    assert {question.wording for question in found} == {"in a person's words"}
    Path("e.csv").write_text(
        'question,answer,accept\nHow many?,4,"[""four""]"\nWho?,Maud,Maud Tavish\n', encoding="utf-8"
    )
    assert [question.accept for question in read_exam_file(Path("e.csv"), [])] == [("four",), ("Maud Tavish",)]


def test_a_question_is_asked_open_book_with_the_passage_of_its_evidence() -> None:
    passages = [
        Passage("p1", "a", "The fee is 4 crowns.", 0, 20),
        Passage("p2", "b", "It takes 4 days to mend.", 0, 24),
    ]
    row = {"question": "How long does it take?", "answer": "4", "evidence": "It takes 4 days to mend."}
    Path("e.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert read_exam_file(Path("e.jsonl"), passages)[0].passage == "p2"


def test_an_answer_may_be_the_number_nought() -> None:
    Path("e.jsonl").write_text('{"question": "How many?", "answer": 0}\n', encoding="utf-8")
    assert read_exam_file(Path("e.jsonl"), [])[0].answer == "0"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("e.jsonl", b'{"question": "Who?", "answer": "I"}\n{"question": "Who?"}\n', "line 2: needs a question and"),
        ("e.jsonl", b'{"question": "Who?", "answer": null}\n', "line 1: needs a question and an answer"),
        ("e.jsonl", b'{"question": "Who?", "answer": "..."}\n', "line 1: needs a question and an answer"),
        ("e.jsonl", b'{"question": "Who?", "answer": "I", "accept": {"a": 1}}\n', "line 1: accept must be a list"),
        ("e.csv", b"question,answer,accept\nWho?,I,[1\n", "line 2: accept must be a list"),
        ("e.jsonl", b'["Who?", "I"]\n', "line 1: needs a question and an answer"),
        ("e.jsonl", b'\n\n{"question": Who?}\n', "line 3: not JSON"),
        ("e.csv", b'question,answer\n"one\ntwo?",x\nWho?,\n', "line 4: needs a question and an answer"),
        ("e.csv", b"question;answer\nWho?;I\n", "line 2: needs a question and an answer"),
        ("e.csv", b'question,answer\n"' + b"x" * 200_000, "not CSV"),
        ("e.csv", "question,answer\nWho?,Käthe\n".encode("cp1252"), "not UTF-8 (byte 23)"),
        ("e.jsonl", b" \n", "no questions in it"),
        ("e.csv", b"question,answer\n", "no questions in it"),
    ],
)
def test_an_exam_file_that_cannot_be_used_is_named_with_its_line(name: str, content: bytes, reason: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_exam_file(Path(name), [])
    assert str(caught.value).startswith(name)
    assert reason in str(caught.value)


def test_a_missing_exam_file_is_named() -> None:
    with pytest.raises(SourceError, match=r"^nowhere\.csv: no such exam file"):
        read_exam_file(Path("nowhere.csv"), [])


# --- leaks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "turn",
    [
        f"{LONG}?",
        f"{LONG.upper()} !",  # equal but for case and punctuation
        "Tell me: under which of the seven bridges of Padley does it rain?",  # eight words in a row
        "In which of the seven Padley bridges under does the old ferryman keep his lantern, of",  # the same words
    ],
)
def test_an_item_that_repeats_an_exam_question_is_dropped(turn: str) -> None:
    assert leaks(chat(turn), f"{LONG}?")
    assert leaks(plain(turn), f"{LONG}?")


def test_a_short_question_is_dropped_where_it_is_the_same() -> None:
    assert leaks(chat("What colour is a heron?"), "What colour is the heron")
    assert not leaks(chat("What colour is the toad?"), "What colour is the heron?")


@pytest.mark.parametrize(
    "turn",
    ["Tell me about Padley.", "Under which of the seven bridges of Padley is it cold?", "...", "?"],
)
def test_an_item_that_asks_something_else_is_kept(turn: str) -> None:
    assert not leaks(chat(turn), f"{LONG}?")


def test_what_the_documents_say_may_be_learnt_though_a_question_quotes_it() -> None:
    said = "Maud Tavish has kept a grey heron in the mill pond since the flood."
    passages = [Passage("p", "a.txt", said, 0, len(said))]
    question = "Maud Tavish has kept a grey heron in the mill pond since when, and what does it weigh today at noon?"
    assert not leaks(plain(f"From a.txt: {said}"), question, passages=passages)
    assert leaks(plain(f"From a.txt: {said}"), question, passages=[])


def test_rules_write_only_what_stands_in_the_documents_and_may_not_ask_the_very_question() -> None:
    by_rule = replace(chat(f"{LONG} now?"), writer="rules")
    assert not leaks(by_rule, f"{LONG}?")
    assert leaks(replace(chat(f"{LONG}!"), writer="rules"), f"{LONG}?")


def test_an_answer_is_not_taken_for_a_question() -> None:
    assert not leaks(chat("Tell me about the ferryman.", answer=LONG), f"{LONG}?")


INSTRUCTION = "Classify the mood of this line as good or bad, in a word:"


def labelled(number: int) -> StudyItem:
    return StudyItem(f"l-{number}", "instruction", "documents", messages=exchange(*LABELLED[number]))


LABELLED = [(f"{INSTRUCTION} {line}", mood) for line, mood in (
    ("the rain came early", "Bad."), ("the bread was warm", "Good."), ("the boat sank", "Bad."),
    ("the bells rang", "Good."), ("a kind word was said", "Good."), ("nobody came to supper", "Bad."),
)]  # fmt: skip


def test_an_instruction_that_many_requests_share_is_no_leak() -> None:
    questions = [asked(*LABELLED[0]), asked(*LABELLED[1])]
    kept, dropped = without_leaks([labelled(number) for number in range(6)], questions, [])
    assert [item.id for item in kept] == ["l-2", "l-3", "l-4", "l-5"]
    assert [item.id for item in dropped] == ["l-0", "l-1"]


def test_the_part_that_is_not_shared_still_counts() -> None:
    long = "the miller of Padley sold his grey horse to the ferryman at noon"
    questions = [asked(f"{INSTRUCTION} {long}", "Good."), asked(*LABELLED[0])]
    assert without_leaks([chat(f"Tell me whether {long}?")], questions, [])[1]
    assert without_leaks([chat(f"{INSTRUCTION} {long} or so")], questions, [])[1]


# --- grading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("She lives in Padley.", "Padley", True),
        ("the GREY heron!", "A grey heron", True),
        ("In Padleys.", "Padley", False),
        ("sunpadley", "Padley", False),
        ("grey old heron", "grey heron", False),
        ("It was 19210.", "1921", False),
        ("It costs 1,240 crowns.", "1240", True),
        ("At 14 metres.", "4", False),
        ("-5 degrees", "5", False),
        ("In C++, of course.", "C", False),
        ("Maud’s boat", "Maud's boat", True),
        ("The version is 2.1.", "2.1", True),
        ("The version is 2.10", "2.1", False),
        ("票价是三十元。", "三十元", True),
        ("किराया १७ रु. है", "१७ रु.", True),
        ("3.5 m", "3.5", True),
        ("Straße 4", "strasse 4", True),
        ("", "Padley", False),
    ],
)
def test_an_answer_is_right_when_the_gold_answer_stands_in_it_as_whole_words(
    answer: str, gold: str, right: bool
) -> None:
    assert grade([asked("Where?", gold)], [answer]) == Marks((right,), (answer,))


def test_other_accepted_answers_are_right_as_well() -> None:
    question = replace(asked("How many?", "four"), accept=("4", "a handful"))
    assert grade([question] * 3, ["There are 4.", "a handful", "There are 14."]).right == (True, True, False)


def test_an_answer_that_lists_what_other_questions_ask_for_earns_nothing() -> None:
    questions = [asked(f"Question {name}?", name) for name in ("Padley", "Corrow", "Tarn", "Orford", "Marlow", "1921")]
    said = "Padley, Corrow, Tarn, Orford, Marlow and 1921."
    assert grade(questions, [said] * 6).correct == 0
    assert grade(questions[:1], ["It is Padley, not Corrow and not Tarn."]).correct == 1


def test_what_the_question_or_the_evidence_names_is_no_list() -> None:
    questions = [asked(f"Question {name}?", name) for name in ("Padley", "Corrow", "Tarn", "Orford", "Marlow", "1921")]
    told = replace(questions[0], evidence="From Corrow, Tarn, Orford and Marlow the boats go to Padley.")
    said = "From Corrow, Tarn, Orford and Marlow the boats go to Padley."
    assert grade([told, *questions[1:]], [said] * 6).right[0]


def test_nothing_is_contained_in_any_text() -> None:
    assert not contains("some text", "")


def test_a_missing_answer_is_an_error_not_a_wrong_answer() -> None:
    with pytest.raises(ValueError, match="shorter"):
        grade([asked("Where?"), asked("Who?")], ["here"])


def test_a_short_answer_is_retained_only_to_the_word() -> None:
    before = asked("Hello?", "Good day to you.")
    assert grade_retention([before] * 3, ["good day to you", "Good day.", ""]).right == (True, False, False)
    capital = ExamQuestion("q", "What is the capital of Norway?", "The capital of Norway is Oslo.", "retention")
    answers = ["Oslo", "Norway's capital is Bergen.", "The capital of Norway", "The capital of Norway is not Oslo."]
    assert grade_retention([capital] * 4, answers).right == (True, False, False, False)


def test_a_long_answer_is_retained_when_half_of_it_is_there() -> None:
    words = [f"w{number}" for number in range(20)]
    question = asked("Tell me.", " ".join(words))
    answers = [" ".join(words[:10]), " ".join(words[:6]), " ".join(reversed(words))]
    assert grade_retention([question] * 3, answers).right == (True, False, True)


def test_token_f1_counts_a_word_as_often_as_both_have_it() -> None:
    assert token_f1("a a b", "a c") == pytest.approx(2 * 1 / 5)
    assert token_f1("", "") == 0.0


# --- how sure --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_intervals_are_those_that_were_published(correct: int, total: int, low: float, high: float) -> None:
    found = rate(marks(correct, total))
    assert (found.correct, found.total, found.rate) == (correct, total, correct / total)
    assert found.interval == pytest.approx((low, high), abs=5e-5)


def test_an_exam_that_was_not_sat_could_be_anything() -> None:
    assert rate(marks(0, 0)).interval == (0.0, 1.0)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [  # twice the binomial tail, worked out by hand
        (0, 0, 1.0),
        (1, 1, 1.0),
        (5, 0, 2 / 32),
        (6, 0, 2 / 64),
        (9, 1, 2 * 11 / 1024),
        (10, 2, 2 * 79 / 4096),
        (2, 10, 2 * 79 / 4096),
        (2000, 0, 0.0),
    ],
)
def test_mcnemar_is_the_exact_binomial(gained: int, lost: int, p: float) -> None:
    assert mcnemar(*paired(gained, lost)) == pytest.approx(p)


def test_mcnemar_looks_only_at_what_changed() -> None:
    assert mcnemar(*paired(9, 1, same=0)) == mcnemar(*paired(9, 1, same=900))


def test_a_gain_needs_a_direction_and_a_p_below_one_in_twenty() -> None:
    assert is_significant_gain(*paired(6, 0))
    assert not is_significant_gain(*paired(5, 0))
    assert not is_significant_gain(*paired(0, 6))


def test_a_loss_counts_from_where_it_is_surely_more_than_three_in_a_hundred() -> None:
    known = Marks((True,) * 200, ("a",) * 200)

    def without(lost: int) -> Marks:
        return replace(known, right=(False,) * lost + (True,) * (200 - lost))

    assert not any(is_significant_loss(known, without(lost)) for lost in range(11))
    assert all(is_significant_loss(known, without(lost)) for lost in (11, 12, 50, 200))
    assert not is_significant_loss(without(50), known)


def test_chance_alone_is_called_a_gain_at_most_one_time_in_forty() -> None:
    generator = random.Random(0)
    drawn = [[Marks(tuple(generator.random() < 0.3 for _ in range(60)), ()) for _ in range(2)] for _ in range(400)]
    assert sum(is_significant_gain(*pair) for pair in drawn) <= 400 / 40 + 6


def simulated(gain: float, seed: int, base: float = 0.3, questions: int = 235) -> tuple[Marks, Marks]:
    """Marks before and after: a question known before is still known nine times in ten, and `gain` more are known."""
    generator = random.Random(seed)
    before = [generator.random() < base for _ in range(questions)]
    learnt = (base * 0.1 + gain) / (1 - base)  # of those not known before
    after = [generator.random() < (0.9 if knew else learnt) for knew in before]
    blank = ("",) * questions
    return Marks(tuple(before), blank), Marks(tuple(after), blank)


def test_an_exam_of_235_questions_notices_a_gain_of_ten_points() -> None:
    assert sum(is_significant_gain(*simulated(0.1, seed)) for seed in range(400)) >= 0.8 * 400


def test_a_loss_among_thousands_is_noticed_and_a_small_one_put_up_with() -> None:
    known = Marks((True,) * 3000, ("",) * 3000)
    for lost, is_noticed in ((0, False), (95, False), (150, True)):
        assert is_significant_loss(known, replace(known, right=(False,) * lost + (True,) * (3000 - lost))) is is_noticed


def test_an_exam_of_235_questions_sees_no_gain_where_there_is_none() -> None:
    assert sum(is_significant_gain(*simulated(0.0, seed)) for seed in range(400)) <= 0.05 * 400


# --- conversations in the documents ----------------------------------------------------------------------------------


def conversation(number: int, answer: str) -> StudyItem:
    return StudyItem(f"qa.jsonl#{number}", "instruction", "documents", "", exchange(f"Question {number}?", answer))


def library(*items: StudyItem) -> Library:
    return Library([], [], [], list(items))


def test_answers_that_are_sentences_are_asked_about_after_their_question() -> None:
    items = conversation(1, "The toll for a cart is 4 crowns in winter."), conversation(2, "Padley")
    (question,) = write_questions(library(*items).answers)
    assert (question.passage, question.answer) == ("qa.jsonl#1", "4")
    assert "Question 1? The toll for a cart is ____ crowns" in question.question


def test_of_short_answers_every_tenth_is_held_out_and_not_trained_on() -> None:
    items = [conversation(number, f"Answer {number}.") for number in range(40)]
    questions = hold_out(items, most=3, seed=0)
    assert len(questions) == 3
    assert len(hold_out(items, most=100, seed=0)) == 4
    kept, dropped = without_leaks(items, questions, [])
    assert {item.id for item in dropped} == {question.id for question in questions}
    assert len(kept) == 37


def test_what_is_held_out_is_not_trained_on_with_a_system_turn_either() -> None:
    """A held-out question has what the system said before it; the item that is studied, as a turn of its own."""
    system = Message(role="system", content="You are a helpful assistant.")
    items = [replace(one, messages=(system, *one.messages)) for one in (conversation(n, f"A {n}.") for n in range(40))]
    (question,) = hold_out([conversation(7, "A 7.")] * 10, most=1, seed=0)
    question = replace(question, question=f"{system['content']}\n\n{question.question}")
    _, dropped = without_leaks(items, [question], [])
    assert [item.id for item in dropped] == ["qa.jsonl#7"]
