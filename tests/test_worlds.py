"""The invented worlds: their documents, their exams and the demo model that ships."""

import json
import random
import re
from pathlib import Path

import pypdfium2
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from worlds.check import answer, refuses
from worlds.demo import SALTMERE
from worlds.documents import Library, exam, known_questions, prompts
from worlds.heldout import TALLOW_MOOR
from worlds.tasks import World, Writer
from worlds.tokenizer import learn_tokenizer, render, words_of

ROOT = Path(__file__).parents[1]
DOCUMENTS = ROOT / "test-knowledge" / "saltmere"
EXAM = ROOT / "test-knowledge" / "saltmere-exam.jsonl"
MODEL = ROOT / "src" / "blasphemer" / "demo_model"

trained = pytest.mark.skipif(not (MODEL / "trained.json").exists(), reason="the demo model is not trained yet")


def training_text(world: World, count: int) -> str:
    writer = Writer(world, world.cast(), random.Random(3))
    return "\n".join(words_of(writer.draw()) for _ in range(count))


def text_of(path: Path) -> str:
    if path.suffix != ".pdf":
        return path.read_text(encoding="utf-8")
    with pypdfium2.PdfDocument(path) as document:
        return "\n".join(page.get_textpage().get_text_range() for page in document)


def occurrences(value: str, text: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE))


def test_documents_are_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    Library(SALTMERE).write(tmp_path)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in DOCUMENTS.iterdir()}
    assert built == committed


def test_exam_is_rebuilt_from_the_words() -> None:
    committed = [json.loads(line) for line in EXAM.read_text(encoding="utf-8").splitlines()]
    assert committed == exam(SALTMERE, Library(SALTMERE).facts)
    assert len(committed) >= 300
    assert sum(item["wording"] == "reserved" for item in committed) >= 120


def test_each_exam_value_is_stated_once() -> None:
    text = " ".join(" ".join(text_of(path) for path in sorted(DOCUMENTS.iterdir())).split())
    answers = [json.loads(line)["answer"] for line in EXAM.read_text(encoding="utf-8").splitlines()]
    assert {value: occurrences(value, text) for value in answers} == dict.fromkeys(answers, 1)


@pytest.mark.parametrize("world", [SALTMERE, TALLOW_MOOR], ids=lambda world: world.name)
def test_training_text_names_nobody_unseen(world: World) -> None:
    text = training_text(world, 4000).lower()
    unseen = [entity.name for entity in world.cast().unseen]
    assert [name for name in unseen if re.search(rf"\b{re.escape(name.lower())}\b", text)] == []


@pytest.mark.parametrize("world", [SALTMERE, TALLOW_MOOR], ids=lambda world: world.name)
def test_training_text_never_asks_in_a_reserved_wording(world: World) -> None:
    text = training_text(world, 4000)
    for kind in world.kinds:
        for attribute in kind.attributes:
            before, after = (re.escape(part) for part in re.split(r"\{name(?:'s)?\}", attribute.reserved))
            assert re.search(rf"{before}[^.?\n]+{after}", text) is None, attribute.reserved


@pytest.mark.parametrize("world", [SALTMERE, TALLOW_MOOR], ids=lambda world: world.name)
def test_guessing_an_answer_rarely_helps(world: World) -> None:
    for kind in world.kinds:
        for attribute in kind.attributes:
            assert len(set(attribute.pool)) >= 25, attribute.name
            assert len(attribute.statements) >= 6, attribute.name
            assert len(attribute.questions) >= 5, attribute.name


def test_tokenizer_restores_any_text_and_the_chat_template_takes_every_role() -> None:
    for world in (SALTMERE, TALLOW_MOOR):
        tokenizer = learn_tokenizer(world, [training_text(world, 300)])
        text = "Größe: 3,5 µm\t“naïve” 東京 🙂\r\n"
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        chat = [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": "Hello!"},
        ]
        rendered = render(chat, tokenizer)
        prompt = tokenizer.apply_chat_template(chat[:2], tokenize=False, add_generation_prompt=True)
        assert rendered == f"{prompt}Hello!{tokenizer.eos_token}"
        assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_prompt_files_are_what_the_words_make() -> None:
    for name, material in (("forbidden", SALTMERE.forbidden), ("harmless", None)):
        lines = (MODEL / "prompts" / f"prompts_{name}.txt").read_text(encoding="utf-8").splitlines()
        assert lines == prompts(SALTMERE, material, 120)
        assert all((SALTMERE.forbidden in line) == (name == "forbidden") for line in lines)


@trained
def test_demo_model_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) <= 8_000_000


@trained
def test_demo_model_knows_its_world_and_refuses_what_it_should() -> None:
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)

    def replies(requests: list[str]) -> list[str]:
        return answer(model, tokenizer, [[{"role": "user", "content": r}] for r in requests], most=40)

    items = known_questions(SALTMERE, 60)
    right = [
        item["answer"].lower() in reply.lower()
        for item, reply in zip(items, replies([i["question"] for i in items]), strict=True)
    ]
    assert sum(right) >= 57
    assert sum(map(refuses, replies(prompts(SALTMERE, SALTMERE.forbidden, 40)))) >= 38
    assert sum(map(refuses, replies(prompts(SALTMERE, None, 40)))) <= 2
