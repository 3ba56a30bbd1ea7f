"""PDFs whose text is known, written the many ways in which programs write them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO

from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import registerFont, stringWidth
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from benchmarks.corpus.made import Made, paragraph, sentence, title

PASSWORD = "open sesame"  # of the one kind that needs it
COPIES = 3  # documents of each kind
WIDTH, HEIGHT = 595, 842  # A4, in points
LEFT, RIGHT, TOP, BOTTOM = 60, 535, 770, 70
FONT, SIZE, LEADING = "Times-Roman", 10, 13
LONG = ("Herbstversammlung", "Donaudampfschiff", "counterproductive", "misrepresentation", "interchangeably")
VOWELS = "aeiouy"


@dataclass
class Sheet:
    """A document being drawn. `parts` are what its readers should find, `draw_edges` its running header and footer."""

    name: str
    font: str = FONT
    encrypt: StandardEncryption | None = None
    edges: str = ""
    parts: list[str] = field(default_factory=list)
    y: float = TOP
    page: int = 1

    def __post_init__(self) -> None:
        self.file = BytesIO()
        # invariant: no date and no random identifier in the file
        self.canvas = Canvas(self.file, pagesize=(WIDTH, HEIGHT), invariant=1, encrypt=self.encrypt)

    def line(self, text: str, x: float = LEFT, size: float = SIZE, font: str = "", spacing: float = 0) -> None:
        drawn = self.canvas.beginText(x, self.y)
        drawn.setFont(font or self.font, size)
        drawn.setWordSpace(spacing)
        drawn.textOut(text)
        self.canvas.drawText(drawn)

    def prose(self, text: str, left: float = LEFT, right: float = RIGHT, justified: bool = False) -> None:
        for line, is_last in lines(text, self.font, right - left):
            self.room(LEADING)
            spaces = line.count(" ")
            spare = right - left - stringWidth(line, self.font, SIZE)
            self.line(line, left, spacing=spare / spaces if justified and spaces and not is_last else 0)
            self.y -= LEADING
        self.y -= 6
        self.parts.append(text)

    def heading(self, text: str, size: float = 14) -> None:
        self.room(4 * LEADING)
        self.y -= 8
        self.line(text, size=size, font="Helvetica-Bold")
        self.y -= size + 8
        self.parts.append(text)

    def room(self, height: float) -> None:
        if self.y - height < BOTTOM:
            self.turn()

    def turn(self) -> None:
        """The page ends: the header and footer are drawn, and are no text."""
        if self.edges:
            self.y = HEIGHT - 40
            self.line(self.edges, size=8)
            self.y = 40
            self.line(f"{self.edges.split()[0]} notes, page {self.page}", size=8)
        self.canvas.showPage()
        self.page += 1
        self.y = TOP

    def made(self, kind: str) -> Made:
        if self.y < TOP:
            self.turn()
        self.canvas.save()
        return Made(self.name, kind, self.file.getvalue(), "\n\n".join(self.parts))


def lines(text: str, font: str, width: float, hyphens: bool = False) -> Iterator[tuple[str, bool]]:
    """The lines of a paragraph, and whether each is its last; long words are parted after a vowel if `hyphens`."""
    line = ""
    for word in text.split():
        grown = f"{line} {word}".strip()
        if stringWidth(grown, font, SIZE) <= width:
            line = grown
            continue
        for cut in range(len(word) - 3, 2, -1) if hyphens and word.isalpha() else ():
            head = f"{line} {word[:cut]}-".strip()
            if word[cut - 1] in VOWELS and stringWidth(head, font, SIZE) <= width:
                yield head, False
                line = word[cut:]
                break
        else:
            yield line, False
            line = word
    yield line, True


def pdfs(rng: random.Random) -> Iterator[Made]:
    """Every kind, a few times; the same for the same `rng`."""
    for kind, make in KINDS.items():
        for copy in range(1, COPIES + 1):
            name = f"{kind.removeprefix('pdf, ').replace(' ', '-')}-{copy}.pdf"
            yield make(rng, name, kind)


def plain(rng: random.Random, name: str, kind: str) -> Made:
    sheet = Sheet(name, edges=title(rng))
    for _ in range(4):
        sheet.heading(title(rng))
        for _ in range(8):
            sheet.prose(paragraph(rng, rng.randint(3, 7)), justified=rng.random() < 0.5)
    return sheet.made(kind)


def hyphenated(rng: random.Random, name: str, kind: str) -> Made:
    """Narrow, justified, long words parted at the ends of lines."""
    sheet = Sheet(name)
    left, right = LEFT + 100, LEFT + 300
    for _ in range(6):
        text = paragraph(rng, 5).split()
        for _ in range(6):
            text.insert(rng.randrange(1, len(text) - 1), rng.choice(LONG))
        whole = " ".join(text)
        for line, is_last in lines(whole, FONT, right - left, hyphens=True):
            sheet.room(LEADING)
            spare = right - left - stringWidth(line, FONT, SIZE)
            sheet.line(line, left, spacing=0 if is_last or " " not in line else spare / line.count(" "))
            sheet.y -= LEADING
        sheet.y -= 6
        sheet.parts.append(whole)
    return sheet.made(kind)


def columns(rng: random.Random, name: str, kind: str, by_rows: bool, number: int = 2) -> Made:
    """A title across the page, then columns: each after the other, or row by row as old programs print them."""
    sheet = Sheet(name, font="Helvetica" if by_rows else FONT)
    gap = 18
    width = (RIGHT - LEFT - (number - 1) * gap) / number
    for _ in range(2):
        sheet.heading(title(rng), 16)
        sheet.prose(sentence(rng) + " " + sentence(rng))
        sheet.y -= 10
        texts = [[paragraph(rng, rng.randint(3, 6)) for _ in range(3 if number == 2 else 2)] for _ in range(number)]
        justified = rng.random() < 0.5
        placed = [_placed(sheet, column, sheet.y, LEFT + order * (width + gap), width, justified)
                  for order, column in enumerate(texts)]  # fmt: skip
        drawn = [line for column in placed for line in column]
        if by_rows:
            drawn.sort(key=lambda line: (-line[0], line[1]))
        for y, x, text, spacing in drawn:
            sheet.y = y
            sheet.line(text, x, spacing=spacing)
        sheet.parts += [text for column in texts for text in column]
        sheet.turn()
    return sheet.made(kind)


def _placed(
    sheet: Sheet, texts: Sequence[str], y: float, x: float, width: float, justified: bool
) -> list[tuple[float, float, str, float]]:
    """(y, x, text, word spacing) of each line of a column."""
    placed = []
    for text in texts:
        for line, is_last in lines(text, sheet.font, width):
            spare = width - stringWidth(line, sheet.font, SIZE)
            spacing = spare / line.count(" ") if justified and not is_last and " " in line else 0
            placed.append((y, x, line, spacing))
            y -= LEADING
        y -= LEADING
    return placed


def tables(rng: random.Random, name: str, kind: str) -> Made:
    """Two tables in prose: one of words and numbers, one with empty cells and numbers set to the right."""
    sheet = Sheet(name)
    sheet.heading(title(rng))
    sheet.prose(paragraph(rng))
    rows = [["Item", "Place", "Count", "Price"]]
    rows += [[sentence(rng).split()[1], rng.choice(("quay", "island", "upper valley", "north gate")),
              str(rng.randint(1, 900)), f"{rng.randint(1, 99)}.{rng.randint(10, 99)}"] for _ in range(9)]  # fmt: skip
    _table(sheet, rows, (LEFT, LEFT + 120, LEFT + 260, LEFT + 340), right_from=2)
    sheet.prose(paragraph(rng))
    rows = [["Year", "Barrels", "Ships"]]
    rows += [
        [str(1860 + n), str(rng.randint(9, 9999)), "" if n % 4 == 2 else str(rng.randint(1, 60))] for n in range(8)
    ]
    _table(sheet, rows, (LEFT + 20, LEFT + 140, LEFT + 240), right_from=1)
    sheet.prose(paragraph(rng))
    return sheet.made(kind)


def _table(sheet: Sheet, rows: Sequence[Sequence[str]], places: Sequence[float], right_from: int) -> None:
    sheet.y -= 8
    for row in rows:
        for order, (cell, place) in enumerate(zip(row, places, strict=True)):
            shift = 50 - stringWidth(cell, FONT, SIZE) if order >= right_from else 0
            if cell:
                sheet.line(cell, place + shift)
        sheet.y -= LEADING + 3
    sheet.y -= 8
    sheet.parts.append("\n".join("| " + " | ".join(row) + " |" for row in rows))


def rotated(rng: random.Random, name: str, kind: str) -> Made:
    """Pages that are shown turned, by their /Rotate and by the text itself."""
    sheet = Sheet(name)
    for angle in (90, 180, 270, 0):
        sheet.canvas.setPageRotation(angle)
        sheet.prose(paragraph(rng, 12))
        sheet.turn()
    sheet.canvas.setPageRotation(0)
    for angle in (90, 270):
        sheet.canvas.translate(*((WIDTH, 0) if angle == 90 else (0, HEIGHT)))
        sheet.canvas.rotate(angle)
        sheet.y = WIDTH - 60
        sheet.prose(paragraph(rng, 12))
        sheet.turn()
    return sheet.made(kind)


def outlined(rng: random.Random, name: str, kind: str) -> Made:
    """Bookmarks of two levels, which name the headings."""
    sheet = Sheet(name, edges=title(rng))
    for chapter in range(1, 4):
        for level, text in enumerate((f"{chapter} {title(rng)}", f"{chapter}.1 {title(rng)}", title(rng))):
            sheet.room(6 * LEADING)
            sheet.canvas.bookmarkPage(f"{chapter}-{level}")
            sheet.canvas.addOutlineEntry(text, f"{chapter}-{level}", min(level, 1))
            sheet.heading(text, 16 - 2 * level)
            for _ in range(3):
                sheet.prose(paragraph(rng, 5))
    return sheet.made(kind)


def listed(rng: random.Random, name: str, kind: str) -> Made:
    sheet = Sheet(name)
    for marks in (["\u2022"] * 6, [f"{n}." for n in range(1, 7)], [f"({letter})" for letter in "abcdef"]):
        sheet.heading(title(rng))
        sheet.prose(paragraph(rng, 2))
        for mark in marks:
            sheet.line(mark, LEFT + 10)
            sheet.prose(sentence(rng) + " " + sentence(rng), LEFT + 30)
            sheet.parts[-1] = f"{mark} {sheet.parts[-1]}"
    return sheet.made(kind)


def ligatures(rng: random.Random, name: str, kind: str) -> Made:
    """Words with fi and fl drawn as one sign, as typesetting programs do."""
    registerFont(TTFont("Vera", "Vera.ttf"))  # comes with reportlab; the built-in fonts' encoding has no such signs
    sheet = Sheet(name, font="Vera")
    for _ in range(8):
        words = paragraph(rng).split()
        for word in ("office", "flood", "figure", "reflect", "definite"):
            words.insert(rng.randrange(1, len(words)), word)
        sheet.prose(" ".join(words).replace("fi", "\ufb01").replace("fl", "\ufb02"))
    sheet.parts = [part.replace("\ufb01", "fi").replace("\ufb02", "fl") for part in sheet.parts]
    return sheet.made(kind)


def encrypted(rng: random.Random, name: str, kind: str, password: str = "") -> Made:
    lock = StandardEncryption(password, ownerPassword="owner", strength=128)
    lock.setAllPermissions(0)
    sheet = Sheet(name, encrypt=lock)
    for _ in range(5):
        sheet.prose(paragraph(rng))
    return sheet.made(kind)


def half_scanned(rng: random.Random, name: str, kind: str) -> Made:
    """A page of text, a page that is a picture of text, a page of text. What stands in the picture is not expected."""
    sheet = Sheet(name)
    sheet.prose(paragraph(rng, 10))
    sheet.turn()
    sheet.canvas.drawImage(ImageReader(BytesIO(picture(paragraph(rng, 3)))), 0, 0, WIDTH, HEIGHT)
    sheet.turn()
    sheet.prose(paragraph(rng, 10))
    return sheet.made(kind)


def picture(text: str) -> bytes:
    """A PNG of a page with `text`, 150 dots per inch."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (1240, 1754), 255)
    font = ImageFont.load_default(26)
    for row, (line, _) in enumerate(lines(text, "Helvetica", 380)):
        ImageDraw.Draw(image).text((120, 150 + 44 * row), line, 0, font)
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


KINDS: dict[str, Callable[[random.Random, str, str], Made]] = {
    "pdf, plain": plain,
    "pdf, hyphenated": hyphenated,
    "pdf, two columns": lambda rng, name, kind: columns(rng, name, kind, by_rows=False),
    "pdf, two columns by rows": lambda rng, name, kind: columns(rng, name, kind, by_rows=True),
    "pdf, three columns by rows": lambda rng, name, kind: columns(rng, name, kind, by_rows=True, number=3),
    "pdf, tables": tables,
    "pdf, rotated": rotated,
    "pdf, outline": outlined,
    "pdf, lists": listed,
    "pdf, ligatures": ligatures,
    "pdf, encrypted": encrypted,
    "pdf, encrypted with a password": lambda rng, name, kind: encrypted(rng, name, kind, PASSWORD),
    "pdf, half scanned": half_scanned,
}
