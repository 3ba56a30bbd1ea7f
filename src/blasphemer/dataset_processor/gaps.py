"""Statement -> gaps: the words in it that carry information and can be asked for, whole.

A gap takes a number with its unit, a name, or the words that end a phrase: never half a word, half a name or a small
word. What stands elsewhere in what is shown is not asked for: it would give itself away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import regex

from blasphemer.language import SPACELESS, WORD, Span, bare, contains, normalise
from blasphemer.languages import Language, language
from blasphemer.records import Statement, one_line

Match = regex.Match[str]
Kind = Literal["number", "measure", "name", "other", "words"]  # other: a day, a date, a code

MOST_NAME_WORDS = 6
MOST_PHRASE_WORDS = 3
BLANK = "____"  # stands where something is left out

# Signs and abbreviations of units, the same in all languages; longer words for units stay visible beside the gap.
_UNIT = (
    r"(?:°[CF]?|%|‰|[€£$¥₹]|kg|mg|g|t|km/h|m/s|km|cm|mm|m²|m³|m|ha|l|ml|cl|kWh|Wh|kW|W|kV|V|mA|A|Hz|kHz|MHz|GHz|dB|hPa|Pa|bar|"
    r"rpm|fps|ms|min|kB|MB|GB|TB|px|pt|ft|lb|oz|kcal|cal|N|J|K)"
)
_DIGITS = r"\d+(?:[.,:]\d+)*"
_SIGNED = rf"(?:(?<![\w)])[-+−±])?(?:[€£$¥₹]\s?)?{_DIGITS}"
_HAN = r"[〇零一二三四五六七八九十百千万億两兩]"
_NUMBER = (
    rf"(?P<number>{_SIGNED}|{_HAN}{{2,}})(?P<range>\s?(?:BETWEEN)\s?{_SIGNED})?"
    rf"(?P<unit>[\s\u00a0\u202f]?{_UNIT}(?!\w))?"
)
_SPANS = re.compile(r"\[([^\]\n]*)\]\(([^)\n]*)\)|`([^`\n]+)`|\*\*([^*\n]+)\*\*")  # links, code, bold
_GROUPED = re.compile(r"\d[ \u00a0]?[x×°′″][ \u00a0]?\Z|\d[ \u00a0]\Z")  # a number before it that it belongs to
_GROUP = re.compile(r"[ \u00a0]?[x×′″][ \u00a0]?\d|[ \u00a0]\d|[′″]")
_SIDE_BY_SIDE = re.compile(r"[ \t\u00a0]+|[ \t]*\n[ \t]*")
_COUNTED = re.compile(r"\d[ \u00a0]\Z")
LONGEST_LABEL = 20  # characters before a number
_LABELS = frozenset(
    "p pp vol no nos nr fig figs table tab clause step section sec chapter ch page figure item line part appendix art "
    "article paragraph note ref schritt abschnitt kapitel seite tabelle abbildung punkt absatz étape chapitre tableau "
    "paso sección capítulo página tabla figura".split()
)  # before a number that only points
_TOUCHING = "_-–/@#&+\\'’.:"  # signs that make one word of what stands on both sides of them
_CODE = re.compile(r"(?=[\w-]*\d)(?=[\w-]*[^\W\d_])[^\W_]+(?:-[^\W_]+)*")  # BP-S12
_PHRASE_END = re.compile(r"[,.;:!?)\]”\"»…。！？、，；：）」।؟،]|[ \t]+[–—]|\Z")


@dataclass(frozen=True)
class Gap:
    """The words `text[start:end]` of a statement that can be asked for, and other right ways to give them."""

    start: int
    end: int
    kind: Kind
    accept: tuple[str, ...] = ()


class Vocabulary:
    """Which words the documents write without a capital, and which they write with one though no sentence begins."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self.plain: set[str] = set()
        self.names: set[str] = set()
        for statement in statements:
            for place, match in enumerate(WORD.finditer(statement.text)):
                word = match.group()
                if word[0].islower():
                    self.plain.add(word)
                elif place and word[0].isupper() and not _opens(statement.text, match.start()):
                    self.names.add(bare(word))


def find_gaps(statement: Statement, vocabulary: Vocabulary) -> list[Gap]:
    """The gaps of a statement's text, in order, without those that what is shown gives away; of a question none, as it
    states nothing."""
    if statement.text.rstrip("\"'”’»)」）*_ ")[-1:] in tuple("?？؟"):
        return []
    known = language(statement.language)
    found = list(_numbers(statement.text, known))
    for more in (_names(statement.text, known, vocabulary), _phrases(statement.text, known)):
        found += [gap for gap in more if not any(gap.start < one.end and one.start < gap.end for one in found)]
    marked = [span for match in _SPANS.finditer(statement.text) for span in match.regs[1:] if span[0] >= 0]
    whole = [gap for gap in found if not _is_part_of_mark(gap, marked) and not _is_key(statement, gap)]
    return [gap for gap in sorted(whole, key=lambda gap: gap.start) if not gives_away(statement, gap)]


def _is_part_of_mark(gap: Gap, marked: Sequence[Span]) -> bool:
    """Is it some words of a link, of code or of a run in bold, and not all of it?"""
    return any(gap.start < end and start < gap.end and (gap.start, gap.end) != (start, end) for start, end in marked)


def _is_key(statement: Statement, gap: Gap) -> bool:
    """Is it, or is a part of it, what the statement is about?"""
    if not statement.key or statement.kind not in ("row", "entry", "turn"):
        return False
    start = statement.text.find(statement.key)
    return start <= gap.start < start + len(statement.key)


def gives_away(statement: Statement, gap: Gap) -> bool:
    """Does an answer, or a word of it that says something, stand in what is shown with the gap?"""
    missing = statement.text[gap.start : gap.end]
    shown = normalise(
        f"{statement.title} {statement.heading} {statement.before} {statement.text[: gap.start]} … "
        f"{statement.text[gap.end :]}"
    )
    small = language(statement.language).small
    words = [word for word in normalise(missing).split() if word not in small and (len(word) > 1 or word.isdigit())]
    if any(SPACELESS.match(word) for word in words):
        return contains(shown, normalise(missing))
    return not words or any(contains(shown, word) for word in words)


def in_context(statement: Statement, gap: Gap) -> str:
    """The statement with the gap shown as a line to write on, after what must be read before it; a row as it stands,
    with bars between its cells."""
    return one_line(f"{statement.leading}{statement.text[: gap.start]}{BLANK}{statement.text[gap.end :]}")


# --- numbers ---------------------------------------------------------------------------------------------------------


def _numbers(text: str, known: Language) -> Iterator[Gap]:
    """Numbers in digits with the sign of their unit, days of a month, and numbers in words."""
    taken = 0
    for match in _numbers_of(known.ranges).finditer(text):
        start, end = match.span()
        if start < taken or _is_part(text, start, end) or _is_label(text, start) or _is_in_longer(text, start, end):
            continue
        taken = _with_month(text, end, known)
        is_other = taken > end or (match["range"] and not match["unit"])
        kind: Kind = "other" if is_other else "measure" if _has_unit(match) else "number"
        yield Gap(start, taken, kind, _glued(text[start:taken]))
    run: list[Span] = []
    for match in [*WORD.finditer(text), None]:
        if match and all(part in known.numbers for part in match.group().casefold().split("-")):
            if run and text[run[-1][1] : match.start()] not in (" ", "-"):
                yield from _in_words(text, run, known)
                run = []
            run.append(match.span())
        else:
            yield from _in_words(text, run, known)
            run = []


@cache
def _numbers_of(ranges: frozenset[str]) -> re.Pattern[str]:
    return re.compile(_NUMBER.replace("BETWEEN", "|".join(["-", "–", "—", *map(re.escape, sorted(ranges))])))


def _has_unit(match: re.Match[str]) -> bool:
    return bool(match["unit"] or match["number"][0] in "€£$¥₹±")


def _in_words(text: str, run: Sequence[Span], known: Language) -> Iterator[Gap]:
    """A number in words; a hundred or a thousand alone is none ("several hundred", "parts per thousand")."""
    if not run or _is_part(text, run[0][0], run[-1][1]):
        return
    first = text[slice(*run[0])].casefold()
    if len(run) > 1 or "-" in first or first not in known.scales:
        yield Gap(run[0][0], run[-1][1], "number")


def _with_month(text: str, end: int, known: Language) -> int:
    """Where a day ends that a month follows, and perhaps a year: 14 December 1900, 3. Mai."""
    following = re.match(r"\.?[ \u00a0\n](?:de )?([^\W\d_]+)(?:[ \u00a0\n](?:de )?\d{4}(?!\w))?", text[end:])
    return end + following.end() if following and following[1].casefold() in known.months else end


def _glued(words: str) -> tuple[str, ...]:
    """The same without the space before its unit, and money without its sign."""
    other = [re.sub(r"[\s\u00a0\u202f]+", "", words), words.strip("€£$¥₹ ")]
    return tuple(dict.fromkeys(one for one in other if one != words))


def _is_in_longer(text: str, start: int, end: int) -> bool:
    """Is the number a part of something longer: n^2 / (8 m L^2), 0141 496 0022, 30 x 40, 14°40?"""
    before, after = text[:start].rstrip(), text[end:].lstrip()
    is_inside = "=" in text and (before.endswith("(") or after.startswith((")", "^")))
    if _GROUPED.search(text[max(start - LONGEST_LABEL, 0) : start]) or _GROUP.match(text[end:]):
        return True
    return is_inside or before.endswith(tuple("=^/×*√")) or after.startswith(tuple("=^/×*"))


def _is_label(text: str, start: int) -> bool:
    """Does the number only count or point: 6.2 at the beginning of a clause, step 4, pp. 17?"""
    if text[start - 1 : start] == "[":  # a reference [1]
        return True
    if start == 0 and re.match(r"\d+(?:\.\d+)*[.)]?\s", text):
        return True
    before = WORD.findall(text[max(start - LONGEST_LABEL, 0) : start])
    return bool(before) and before[-1].casefold() in _LABELS


# --- names -----------------------------------------------------------------------------------------------------------


def _names(text: str, known: Language, vocabulary: Vocabulary) -> Iterator[Gap]:
    """Runs of words with a capital, small words within included; a first word only where it is known for a name."""
    if not known.capitals:
        return
    run: list[Match] = []
    for match in [*WORD.finditer(text), None]:
        if match and run and _is_joined(text, run[-1], match, known) and _belongs(match.group(), known):
            run.append(match)
            continue
        if run:
            yield from _name(text, run, known, vocabulary)
        run = [match] if match and _is_capital(match.group()) else []


def _is_joined(text: str, word: Match, following: Match, known: Language) -> bool:
    """Do two words stand side by side, on one line or two; or is the first a title or an initial with its full stop?"""
    between = text[word.end() : following.start()]
    if between.startswith("."):
        is_short = len(word.group()) == 1 or word.group().casefold() in known.titles
        between = between[1:] if is_short else between
    return _SIDE_BY_SIDE.fullmatch(between) is not None


def _belongs(word: str, known: Language) -> bool:
    return _is_capital(word) or word in known.joiners


def _is_capital(word: str) -> bool:
    return word[0].isupper() or _CODE.fullmatch(word) is not None


def _name(text: str, run: list[Match], known: Language, vocabulary: Vocabulary) -> Iterator[Gap]:
    while run and (run[-1].group() in known.joiners or run[-1].group().casefold() in known.small):
        run = run[:-1]
    while run and (run[0].group() in known.joiners or _is_small(run, text, known)):
        run = run[1:]
    if run and _opens(text, run[0].start()) and not _is_known_name(run, known, vocabulary):
        run = run[1:]
    while run and run[0].group() in known.joiners:
        run = run[1:]
    if not run or len(run) > MOST_NAME_WORDS or all(one.group().casefold() in known.titles for one in run):
        return
    end = run[0].start() + len(bare(text[run[0].start() : run[-1].end()]))
    start = _with_particle(text, run[0].start(), known)
    words = text[start:end]
    if known.capitals == "nouns" and _COUNTED.search(text[:start]):  # the metres of 3,20 Meter
        return
    is_plain = len(run) == 1 and known.capitals == "names" and words.casefold() in vocabulary.plain
    if len(words) > 1 and not is_plain and not _is_part(text, start, end, owner=True):
        is_other = _CODE.fullmatch(words) or all(word.casefold() in known.months | known.days for word in words.split())
        without = run[0].group().casefold() in known.titles and len(run) > 1
        yield Gap(start, end, "other" if is_other else "name", (text[run[1].start() : end],) if without else ())


def _with_particle(text: str, start: int, known: Language) -> int:
    """Where a name begins that has a small word of names before it: de Broglie. (But not "of" or "the".)"""
    *_, before = ["", *text[:start].split(" ")[:-1]]
    is_particle = before in known.joiners and before not in known.small and text[:start].endswith(f"{before} ")
    return start - len(before) - 1 if is_particle else start


def _is_small(run: Sequence[Match], text: str, known: Language) -> bool:
    """Is the first word "I", or "The" or "In" at the beginning of a sentence? Elsewhere "The" is part of a name."""
    word = run[0].group()
    is_of_name = len(run) > 1 and word[1:].isalpha() and not _opens(text, run[0].start())
    return word.split("'")[0].split("’")[0].casefold() in known.small and not is_of_name


def _is_known_name(run: Sequence[Match], known: Language, vocabulary: Vocabulary) -> bool:
    """Is the first word of a sentence a name, and not only written with a capital because it is the first?"""
    first = bare(run[0].group())
    if first.casefold() in known.titles or _CODE.fullmatch(first):
        return True
    if first.casefold() in vocabulary.plain or first.casefold() in known.small:
        return False
    return first in vocabulary.names or (len(run) > 1 and known.capitals == "names")


def _opens(text: str, start: int) -> bool:
    """Does a sentence, or a quotation, begin here?"""
    before = text[:start].rstrip(" \t\n\"'“”„«»‘’(*_[")
    return not before or before[-1] in ".!?:…¿¡" or text[start - 1 : start] in tuple('"“„«‘¿¡')


# --- the ends of phrases ---------------------------------------------------------------------------------------------


def _phrases(text: str, known: Language) -> Iterator[Gap]:
    """The last words before a comma, a full stop ... that say something."""
    start = 0
    for mark in _PHRASE_END.finditer(text):
        end = mark.start()
        words = [] if SPACELESS.search(text[start:end]) else list(WORD.finditer(text, start, end))
        run: list[Match] = []
        while words and len(run) < MOST_PHRASE_WORDS and words[-1].group().casefold() not in known.small:
            if run and text[words[-1].end() : run[0].start()] != " ":
                break
            run.insert(0, words.pop())
        if run and words and run[-1].end() == end and known.small:
            span = run[0].start(), run[-1].end()
            if not _is_part(text, *span):
                yield Gap(*span, "words")
        start = mark.end()


def _is_part(text: str, start: int, end: int, owner: bool = False) -> bool:
    """Do the words go on beyond the gap, as in LEDGER_LAG, 1,200 or U.S.?"""
    before = text[start - 1 : start]
    if text[:start].endswith("& ") or text[end:].startswith(" &"):
        return True
    if before and (before.isalnum() or (before in "_-–/@#\\&." and not SPACELESS.match(before))):
        if before.isalnum() and SPACELESS.match(before):
            return _goes_on_after(text, end, owner)
        return not (before == "." and text[start - 2 : start - 1].isspace())
    return _goes_on_after(text, end, owner)


def _goes_on_after(text: str, end: int, owner: bool) -> bool:
    after, next_one = text[end : end + 1], text[end + 1 : end + 2]
    if not after or SPACELESS.match(after):
        return False
    if after.isalnum() or after == "_":
        return True
    if owner and after in "'’":
        return False
    return after in _TOUCHING and next_one.isalnum()
