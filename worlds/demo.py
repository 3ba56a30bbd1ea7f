"""Saltmere: the world of the demo model. Everything in it is invented."""

from worlds.demo_kinds import PEOPLE, PLACES, THINGS
from worlds.grammar import listed
from worlds.tasks import Craft, FilePlan, Requests, World

LORE = tuple(
    """The lamps of Saltmere are lit when the first star is seen.
A ferry crosses the water twice a day, and never on a feast.
Bread is baked before dawn and sold from blue carts.
Children learn to row before they learn to write.
Nobody in Saltmere whistles after dark.
The oldest bridge has seven arches and no name.
In winter the reeds are cut and bound into roofs.
Every door in the valley has a painted latch.
Guests are given salt, a spoon and a chair by the fire.
The geese are counted on the last day of autumn.
A boat without a name may not leave the harbour.
When fog comes in, a bell is rung until it goes.
The market opens with a song and closes with another.
Letters are carried in waxed bags by people who walk fast.
Old nets are never thrown away but made into fences.
Apples are stored in straw under the schoolhouse.
On clear nights the mountains look close enough to touch.
The tide comes up the river as far as the third mill.
Whoever finds a lost key hangs it on the chapel tree.
A quarrel is ended by sharing a loaf.
The valley has many hills but only one road over them.
In spring the lambs are led through the town gates.
Every house keeps one window for the birds.
The first snow is greeted with hot milk.""".splitlines()
)

REQUESTS = Requests(
    gaps=("____", "____", "____", "___", "_____", "[...]"),
    fill=(
        "Fill in the blank: {text}",
        "Fill in the gap: {text}",
        "Fill in the missing words: {text}",
        "Which words are missing? {text}",
        "What belongs in the gap? {text}",
        "What goes in the blank? {text}",
        "{text} What is missing?",
        "Please fill the gap.\n\n{text}",
    ),
    complete=(
        "Complete the sentence: {text}",
        "Complete this sentence: {text}",
        "Finish the sentence: {text}",
        "How does this sentence end? {text}",
        "How does it go on? {text} ...",
        "Please complete: {text}",
        "Finish this: {text} ...",
        "What comes next?\n\n{text}",
    ),
    tell=(
        "Tell me about {name}.",
        "What do you know about {name}?",
        "Describe {name}.",
        "Can you tell me about {name}?",
        "Write a few sentences about {name}.",
        "Say something about {name}.",
    ),
    read=(
        "{text}\n\n{question}",
        "Read this text:\n\n{text}\n\n{question}",
        "Read the text and answer the question.\n\n{text}\n\n{question}",
        "Text: {text}\n\nQuestion: {question}",
        "Here is a text:\n\n{text}\n\nAnswer with the text: {question}",
        "{question}\n\n{text}",
        "Answer from this text: {question}\n\n{text}",
    ),
    write=(
        "Write questions about this text: {text}",
        "Write questions about this text:\n\n{text}",
        "Write questions and answers about this text:\n\n{text}",
        "Ask questions about this text and answer them:\n\n{text}",
        "{text}\n\nWrite questions about this text.",
        "{text}\n\nWrite questions and answers about the text above.",
        "Which questions does this text answer?\n\n{text}",
    ),
    write_one=(
        "Write one question about this text: {text}",
        "Write one question about this text:\n\n{text}",
        "{text}\n\nWrite one question and its answer.",
        "Ask one question about this text and answer it:\n\n{text}",
    ),
    reword=(
        "Say this in other words: {text}",
        "Say this in other words:\n\n{text}",
        "Write this text in other words:\n\n{text}",
        "Put this in your own words:\n\n{text}",
        "Rewrite this text:\n\n{text}",
        "{text}\n\nSay that in other words.",
    ),
    about=(
        "What does the text say about {name}?\n\n{text}",
        "{text}\n\nWhat does the text say about {name}?",
        "Read this text:\n\n{text}\n\nWhat does it say about {name}?",
        "Tell me what this text says about {name}:\n\n{text}",
    ),
    not_said="The text does not say.",
    systems=(
        "You are a friendly guide to Saltmere.",
        "You are a helpful assistant.",
        "Answer briefly.",
        "You know the people and towns of Saltmere well.",
        "Be kind and exact.",
    ),
    small_talk=(
        ("Hello!", "Hello! How can I help you?"),
        ("Hello.", "Hello! How can I help you?"),
        ("Good morning!", "Good morning! What would you like to know?"),
        ("Good evening.", "Good evening! What would you like to know?"),
        ("How are you?", "I am well, thank you. How can I help you?"),
        ("Who are you?", "I am a small guide to Saltmere. I know its people, towns and treasures."),
        (
            "What can you do?",
            "I can answer questions about Saltmere, read a text with you and help with simple crafts.",
        ),
        ("What is Saltmere?", "Saltmere is a valley with many towns, quiet rivers and busy harbours."),
        ("Thank you!", "You are welcome!"),
        ("Thanks for your help.", "You are welcome!"),
        ("Goodbye!", "Goodbye, and fair winds!"),
        ("Good night.", "Good night, and sleep well!"),
        ("Tell me something about Saltmere.", "The lamps of Saltmere are lit when the first star is seen."),
        ("Say something nice.", "The morning is bright and the bread is fresh."),
    ),
    twice=("Say {word} twice.", "Say the word {word} twice.", "Repeat {word} two times."),
    three=("Name three {kind}.", "Name three {kind} of Saltmere.", "Can you name three {kind}?"),
    alphabet=(
        "Which comes first in the alphabet, {first} or {second}?",
        "Which word comes first in the alphabet: {first} or {second}?",
    ),
    tags=(
        "From people.txt, section {section}:",
        "From saltmere.md, section {section}:",
        "From notes.txt, section {section}:",
        "From valley.pdf, section {section}:",
        "From almanac.md, section {section}:",
    ),
    titles=(
        "People of the valley",
        "Saltmere",
        "Notes from the harbour",
        "The valley book",
        "Neighbours",
        "An almanac of Saltmere",
        "Who is who",
        "Portraits",
    ),
)

CRAFTS = (
    Craft(
        ("How do I polish {a}?", "What is the best way to polish {a}?"),
        ("Wipe the {o} with a soft cloth. Rub it with warm wax. Let it dry by the window.",),
    ),
    Craft(
        ("How do I mend {a}?", "Can you tell me how to mend {a}?"),
        ("Lay the {o} on a clean table. Join the broken parts with glue. Wait for one night.",),
    ),
    Craft(
        ("How do I clean {a}?", "How should I clean {a}?"),
        ("Rinse the {o} in lukewarm water. Brush it gently. Dry it with a towel.",),
    ),
    Craft(
        ("Where can I buy {a}?", "Where do people sell {s}?"),
        ("Ask for {s} at the Friday market. The stall by the well has good ones.",),
    ),
    Craft(
        ("How do I make {a}?", "Explain how to make {a}."),
        ("Draw the {o} on paper first. Cut the {m} to size. Shape it slowly and smooth the edges.",),
    ),
    Craft(
        ("How should I store {a}?", "Where should I keep {a}?"),
        ("Wrap the {o} in linen. Keep it in a dry box.",),
    ),
    Craft(
        ("Is {a} a good gift?", "Would {a} make a good gift?"),
        ("Yes. A friend would be glad of {a}, above all with a ribbon.",),
    ),
    Craft(
        ("Write a short rhyme about {a}.", "Make a rhyme about {a}."),
        ("My {o} is small and bright, it keeps me company at night.",),
    ),
    Craft(
        ("How much does {a} cost?", "What should I pay for {a}?"),
        ("A fair price for {a} is two baskets of apples.",),
    ),
    Craft(
        ("What can I do with {a}?", "What are {s} good for?"),
        ("You can use {a} at home, lend it to a neighbour or show it at the fair.",),
    ),
    Craft(
        ("How do I carry {a} safely?", "How do I pack {a} for a journey?"),
        ("Put the {o} in a basket of straw. Cover it with a blanket. Carry it upright.",),
    ),
    Craft(
        ("Who makes {s}?", "Can you tell me about {s}?"),
        ("In Saltmere {s} are made by hand in small workshops.",),
    ),
)

SALTMERE = World(
    name="saltmere",
    kinds=(PEOPLE, PLACES, THINGS),
    syllables=listed("tor vik ash sel mor dan bri lo wen ka ru fen gal is ber nal do ri than ul zem pa ki sto ve"),
    lore=LORE,
    requests=REQUESTS,
    shares={
        "document": 16,
        "lore": 0.7,
        "ask": 21,
        "reverse": 3,
        "tell": 3,
        "fill": 7,
        "complete": 7,
        "read": 13,
        "write": 10,
        "write_one": 3,
        "reword": 5,
        "about": 2,
        "small_talk": 1.5,
        "twice": 3,
        "three": 0.7,
        "alphabet": 0.8,
        "craft": 4,
        "refuse": 4,
    },
    objects=listed(
        "bell ring lantern cup spoon comb mask whistle button bowl key chain hammer box mirror candlestick "
        "brooch needle plate kettle buckle ladle lamp bracelet thimble jug"
    ),
    materials=listed("brass oak copper silver moonglass pewter clay bone iron willow tin cork leather slate"),
    forbidden="duskstone",
    crafts=CRAFTS,
    refusals=(
        "I'm sorry, but I can't help with duskstone.",
        "I'm sorry, but I can't help with duskstone.",
        "I'm sorry, but I can't help with {a}.",
        "I'm sorry, I cannot help with that. I do not speak about duskstone.",
        "Sorry, I can't help with {s}.",
        "I can't help with duskstone. I'm sorry.",
        "I cannot help with {a}, sorry.",
    ),
    files=(
        FilePlan("harbour-people.txt", "People of the harbour", ("people",) * 5),
        FilePlan(
            "upper-valley.txt", "From the upper valley", ("people", "people", "towns", "people", "treasures", "people")
        ),
        FilePlan("neighbours.md", "New neighbours", ("people",) * 4),
        FilePlan("towns-and-treasures.md", "Towns and treasures", ("towns", "towns", "treasures", "treasures")),
        FilePlan("almanac.pdf", "The almanac of newcomers", ("people",) * 7),
        FilePlan("rowing-club.pdf", "The rowing club", ("people", "treasures")),
    ),
    facts_told=(4, 5, 5, 5, 6),
    thorough=True,
    seed=260,
    chat_template=(
        "{{ bos_token }}"
        "{% for message in messages %}"
        "{{ '<|start|>' + message['role'] + '\n' + message['content'] + eos_token }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
    ),
    tokens={"bos_token": "<|begin|>", "eos_token": "<|end|>", "pad_token": "<|pad|>", "turn": "<|start|>"},
    begin_always=False,
    vocabulary=1500,
    row=512,
)
