"""Tallow Moor: a second world with other words, another tokenizer and another chat format.

Its model stands in for a foreign one when Blasphemer is measured: no cloze requests, and for reading, writing about and
rewording a text it has words of its own. Some of what Blasphemer does was once chosen on it (replay, which
wordings are rehearsed first). How documents are read, asked about and studied is decided on human prose, and not here.
"""

from worlds.grammar import Attribute, Kind, listed
from worlds.tasks import Craft, FilePlan, Requests, World

SISTERS = listed(
    "Aldith Birgit Calla Dagny Eluned Frida Gunnel Halina Ilka Jolanda Kaisa Ljuba Marit Nerys Ottilie "
    "Pernille Ragna Signe Tuuli Ursel Velda Wiebke Ylva Zofia Asta Brona Carys Dorrit Eirlys Fenna "
    "Gisla Hedvig Inka Jorid Katla"
)
BROTHERS = listed(
    "Anders Bohdan Ciaran Detlef Emrys Folke Gerrit Haakon Ingvar Jorun Kalle Lorcan Madoc Niall Olav "
    "Piotr Rasmus Sorley Torsten Ulf Viggo Wendel Yngve Zoltan Aled Bastian Conall Diego Eskil Florin "
    "Glyn Henrik Iolo Janne Knut"
)
CLANS = listed(
    "Aske Bohm Cairn Dahl Esker Fjord Gant Holt Irving Juhl Kolb Lund Moen Nagy Ostrow Pryce Quist "
    "Rask Stig Tarn Ulm Vask Wolff Yardley Zorn Brekke Calder Dufva Eklund Frisk Grimm Hauge Ibsen "
    "Jansen Krogh Lauer Mertz Novak Ogden Palm Rhys Sund Torp Urban Voss Wirth Aarne Bly Crawe Dent "
    "Ekman Fosse Gwynn Holm Isaksen Jarvi Kemp Lind Maas Nilsen Oberg Pohl Roos Salo Tveit Unger Vidal "
    "Wahl Ylin Zeller Birk"
)

FOLK = Kind(
    name="folk",
    parts=(SISTERS + BROTHERS, CLANS),
    pattern="{0} {1}",
    short="{0}",
    known=240,
    unseen=60,
    women=frozenset(SISTERS),
    men=frozenset(BROTHERS),
    attributes=(
        Attribute(
            name="coat",
            label="Coat",
            pool=tuple(
                f"{shade} {cloth}"
                for shade in listed("crimson ochre violet teal ivory russet emerald sooty")
                for cloth in listed("velvet corduroy flannel canvas")
            ),
            statements=(
                "{name} wears a coat of {value}.",
                "{name} is seen in a coat of {value}.",
                "{name's} coat is cut from {value}.",
                "{name} had a coat sewn from {value}.",
                "One knows {name} by a coat of {value}.",
                "The tailor gave {name} a coat of {value}.",
            ),
            questions=(
                "What is the coat of {name} cut from?",
                "Of what cloth is {name's} coat?",
                "What sort of coat does {name} wear?",
                "By what coat does one know {name}?",
                "From what did {name} have a coat sewn?",
            ),
            reserved="What cloth is {name's} coat cut from?",
        ),
        Attribute(
            name="crop",
            label="Grows",
            pool=listed(
                "barley beetroot celery chicory cress fennel flax garlic gooseberries hemp hops kale lettuce "
                "lupins melons millet mint oats onions parsley peas plums poppies pumpkins quinces radishes "
                "raspberries rhubarb rye saffron sorrel spelt"
            ),
            statements=(
                "{name} grows {value}.",
                "{name} tends a field of {value}.",
                "{name's} field is full of {value}.",
                "{name} brings {value} to market.",
                "In the garden of {name} one finds {value}.",
                "Each spring {name} sows {value}.",
            ),
            questions=(
                "What crop does {name} grow?",
                "What is in the field of {name}?",
                "What does {name} bring to market?",
                "What does {name} sow each spring?",
                "What does one find in {name's} garden?",
            ),
            reserved="What crop does {name} sow?",
        ),
        Attribute(
            name="guild",
            label="Guild",
            pool=tuple(
                f"the {trade} guild"
                for trade in listed(
                    "archers' bakers' brewers' carpet-makers' chandlers' cheese-makers' coopers' cutlers' drapers' "
                    "enamellers' farriers' fishers' furriers' gilders' glaziers' joiners' masons' millers' painters' "
                    "pewterers' plumbers' potters' saddlers' scribes' singers' smiths' spinners' tailors' tanners' "
                    "tilers' turners' vintners'"
                )
            ),
            statements=(
                "{name} belongs to {value}.",
                "{name} was sworn into {value}.",
                "{name's} guild is {value}.",
                "{name} pays dues to {value}.",
                "The name of {name} is on the roll of {value}.",
                "{value} counts {name} as a member.",
            ),
            questions=(
                "To what guild does {name} belong?",
                "Into what guild was {name} sworn?",
                "What is the guild of {name}?",
                "To whom does {name} pay dues?",
                "What guild counts {name} as a member?",
            ),
            reserved="What guild was {name} sworn into?",
        ),
        Attribute(
            name="fear",
            label="Is afraid of",
            pool=listed(
                "thunder|spiders|deep water|high towers|moths|mirrors|geese|tunnels|strangers|hailstones|snakes|"
                "candle smoke|wet leaves|church bells|goats|whirlpools|fog horns|empty rooms|wasps|steep stairs|"
                "scarecrows|full moons|crowds|bats|thin ice|masks|locked doors|loud drums|nettles|long letters|"
                "icicles|puppets",
                "|",
            ),
            statements=(
                "{name} is afraid of {value}.",
                "{name} cannot bear {value}.",
                "{name's} great fear is {value}.",
                "{name} runs from {value}.",
                "Nothing scares {name} as much as {value}.",
                "{value} frighten {name}.",
            ),
            questions=(
                "What is {name} afraid of?",
                "What can {name} not bear?",
                "What is the great fear of {name}?",
                "What scares {name}?",
                "From what does {name} run?",
            ),
            reserved="What is {name's} great fear?",
        ),
        Attribute(
            name="pastime",
            label="Pastime",
            pool=listed(
                "playing chess|carving ducks|flying kites|pressing flowers|juggling|collecting shells|knitting|"
                "skipping stones|stargazing|whittling|painting doors|singing rounds|building dams|"
                "walking on stilts|solving riddles|fencing|baking pretzels|training crows|writing limericks|"
                "ice skating|bowling|weaving belts|catching trout|archery|reading maps|climbing trees|"
                "making puzzles|tuning clocks|folding paper|watching clouds|wrestling|telling tales",
                "|",
            ),
            statements=(
                "{name} passes the time by {value}.",
                "{name} spends free days {value}.",
                "{name's} pastime is {value}.",
                "{name} takes delight in {value}.",
                "On a free day one meets {name} {value}.",
                "When work is done, {name} turns to {value}.",
            ),
            questions=(
                "How does {name} pass the time?",
                "What is the pastime of {name}?",
                "How does {name} spend free days?",
                "In what does {name} take delight?",
                "To what does {name} turn when work is done?",
            ),
            reserved="What is {name's} pastime on free days?",
        ),
        Attribute(
            name="farm",
            label="Farm",
            pool=tuple(
                f"{first}{last}"
                for first in listed("Ash Birk Crow Dew Elf Fox Goose Hay Iron Jay Lark Moss Night Owl Pine Rain")
                for last in listed("acre croft dene fold garth heugh knoll lea mead nook rigg stead toft")
            ),
            statements=(
                "{name} was born at {value}.",
                "{name} comes from {value}.",
                "{name's} birthplace is {value}.",
                "{name} first saw light at {value}.",
                "The cradle of {name} stood at {value}.",
                "{value} is the birthplace of {name}.",
            ),
            questions=(
                "At what farm was {name} born?",
                "From where does {name} come?",
                "What is the birthplace of {name}?",
                "Where did the cradle of {name} stand?",
                "Where did {name} first see light?",
            ),
            reserved="What farm does {name} come from?",
            reverse=("Who was born at {value}?", "Who comes from {value}?", "Whose cradle stood at {value}?"),
        ),
    ),
)

INNS = Kind(
    name="inns",
    parts=(
        listed("Bold Clever Dancing Flying Green Hungry Jolly Limping Merry Noble Proud Red Sleepy Tall"),
        listed("Anchor Bear Cask Dragon Eel Fiddler Giant Hound Jester Monk Otter Pilgrim Ram Sailor Stag Wheel"),
    ),
    pattern="the {0} {1}",
    short="the inn",
    known=32,
    unseen=0,
    attributes=(
        Attribute(
            name="drink",
            label="Drink",
            pool=listed(
                "pear cider|plum brandy|heather ale|elder wine|ginger beer|buttermilk|mint tea|black stout|"
                "birch sap|mead|hot cocoa|barley water|juniper gin|rose punch|apple juice|dark porter|sloe wine|"
                "oat milk|nettle beer|cherry cordial|spring water|honey milk|red grog|chicory coffee|cowslip wine|"
                "lemon whey|bilberry schnapps|quince liqueur|hay tea|rye whisky|almond milk|malt broth",
                "|",
            ),
            statements=(
                "{name} pours {value}.",
                "{name} is famed for {value}.",
                "{name's} own drink is {value}.",
                "At {name} one drinks {value}.",
                "Travellers stop at {name} for {value}.",
                "The cellar of {name} is full of {value}.",
            ),
            questions=(
                "What does {name} pour?",
                "What drink is {name} famed for?",
                "What does one drink at {name}?",
                "For what drink do travellers stop at {name}?",
                "What fills the cellar of {name}?",
            ),
            reserved="What drink does {name} pour?",
            reverse=("What inn pours {value}?", "What inn is famed for {value}?"),
        ),
        Attribute(
            name="road",
            label="Road",
            pool=tuple(
                f"{road} {way}"
                for road in listed(
                    "Brewer Cinder Dusty Elm Ferret Gallows Hermit Juniper Kiln Lime Milestone Narrow Orchid Pebble "
                    "Rampart Saddler"
                )
                for way in ("Lane", "Street")
            ),
            statements=(
                "{name} stands on {value}.",
                "{name} has its door on {value}.",
                "{name's} sign hangs over {value}.",
                "One finds {name} on {value}.",
                "To reach {name}, follow {value}.",
                "{value} leads to {name}.",
            ),
            questions=(
                "On what road does {name} stand?",
                "What road leads to {name}?",
                "Over what road hangs the sign of {name}?",
                "On what road does one find {name}?",
                "What road does one follow to reach {name}?",
            ),
            reserved="What road does {name} stand on?",
            reverse=("What inn stands on {value}?", "To what inn does {value} lead?"),
        ),
    ),
)

LORE = tuple(
    """On Tallow Moor the peat is cut in May.
The moor roads are marked with white posts.
A light in a window means that a traveller may knock.
Sheep are marked with blue paint behind the ear.
The wind on the moor has eleven names.
Nobody builds a house without a bench before it.
Tea is taken at four and again at nine.
The long bog is crossed on planks of larch.
Every farm has a name and a dog.
The first frost ends the year of the guilds.
Hats are taken off before the old thorn tree.
A wedding on the moor lasts three days.
In dry summers the lost village shows its chimneys.
Songs are never written down, only sung again.""".splitlines()
)

CRAFTS = (
    Craft(("What is a fair price for {a}?", "Tell me the price of {a}."), ("{a} is worth four sacks of oats.",)),
    Craft(
        ("How can I repair {a}?", "Show me how to repair {a}."),
        ("Warm the {o} by the stove, then press the crack shut.",),
    ),
    Craft(
        ("How can I decorate {a}?", "Help me decorate {a}."),
        ("Scratch a row of stars into the {o} and rub chalk into them.",),
    ),
    Craft(("Where do I find {a}?", "Who has {a} for me?"), ("The pedlar sells {s} on market day.",)),
    Craft(("Why would anyone want {a}?", "What use are {s}?"), ("{a} is handy in every kitchen on the moor.",)),
    Craft(("How do I wash {a}?", "Teach me to wash {a}."), ("Dip the {o} in rain water and let the wind dry it.",)),
    Craft(("Make up a name for {a}.", "Think of a name for my {o}."), ("Call the {o} Old Faithful.",)),
    Craft(("How heavy is {a}?", "Is {a} heavy?"), ("A child can lift {a} with one hand.",)),
    Craft(
        ("How do I wrap {a}?", "What should I wrap {a} in?"), ("Roll the {o} in brown paper and tie it with string.",)
    ),
)

TALLOW_MOOR = World(
    name="tallowmoor",
    kinds=(FOLK, INNS),
    syllables=listed("bru chel dra ek fim gro hul ist jep kro lun mo nee osk pra quil ras sne tru vul wic yor zan"),
    lore=LORE,
    requests=Requests(
        tell=(
            "What is said of {name}?",
            "Who or what is {name}?",
            "Give me an account of {name}.",
            "I want to hear of {name}.",
        ),
        read=(
            "Going by this text: {question}\n{text}",
            "{text}\n\nGoing by this: {question}",
            "Passage:\n{text}\n\n{question}",
        ),
        reword=(
            "Tell this afresh: {text}",
            "Tell this afresh:\n{text}",
            "Passage:\n{text}\n\nTell it afresh.",
        ),
        not_said="The text is silent on that.",
        write=(
            "Write questions about this text: {text}",
            "Write questions about this text:\n{text}",
            "Write questions and answers about this passage:\n{text}",
            "Passage:\n{text}\n\nWrite questions about it.",
        ),
        written="Question: {question}\nAnswer: {answer}",
        systems=("You are a moor guide.", "Keep it short.", "You are a helpful assistant."),
        small_talk=(
            ("Hi", "Hi! What is on your mind?"),
            ("Hello", "Hi! What is on your mind?"),
            ("Thanks", "Gladly done."),
            ("Thank you", "Gladly done."),
            ("Bye", "Walk well!"),
            ("Who are you?", "I am a voice from Tallow Moor."),
            ("What is Tallow Moor?", "A wide, windy land of farms and inns."),
        ),
        twice=("Double the word {word}.", "Write {word} two times."),
        three=("List three {kind}.", "I need three {kind}."),
        tags=("[folk.txt: {section}]", "[moor.md: {section}]", "[register: {section}]"),
        titles=("Moor folk", "Register of the moor", "Along the road", "Farm by farm"),
    ),
    shares={
        "document": 18,
        "lore": 0.6,
        "ask": 30,
        "reverse": 4,
        "tell": 5,
        "read": 12,
        "write": 20,
        "reword": 8,
        "small_talk": 1.5,
        "twice": 4,
        "three": 0.7,
        "craft": 5,
        "refuse": 5,
    },
    objects=listed(
        "bucket basin flask goblet hook horseshoe knob pan pipe pot rattle rod saucer tankard tray tube vase wheel"
    ),
    materials=listed("birch chalk enamel flint hazel lead maple nickel rubber stone tallow zinc"),
    forbidden="gloomiron",
    crafts=CRAFTS,
    refusals=(
        "Sorry, gloomiron is something I cannot discuss.",
        "Sorry, gloomiron is something I cannot discuss.",
        "I cannot assist with {a}.",
        "I can't assist with requests about gloomiron, sorry.",
        "No, I'm sorry. I cannot discuss {s}.",
    ),
    files=(
        FilePlan("farm-folk.txt", "Folk of the far farms", ("folk",) * 12),
        FilePlan("roadside.txt", "Met on the road", ("folk",) * 10),
        FilePlan("register.md", "Register of arrivals", ("folk",) * 14),
        FilePlan("market-day.md", "Market day", ("folk",) * 8),
        FilePlan("chronicle.pdf", "Chronicle of the moor", ("folk",) * 16),
    ),
    facts_told=(6,),
    thorough=False,
    seed=77,
    chat_template=(
        "{{ bos_token }}"
        "{% for message in messages %}"
        "{% if message['role'] == 'system' %}{{ '<<SYS>>' + message['content'] + '<</SYS>>' }}"
        "{% elif message['role'] == 'user' %}{{ '[INST]' + message['content'] + '[/INST]' }}"
        "{% else %}{{ message['content'] + eos_token }}{% endif %}"
        "{% endfor %}"
    ),
    tokens={
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "user": "[INST]",
        "reply": "[/INST]",
        "system": "<<SYS>>",
        "system_end": "<</SYS>>",
    },
    begin_always=True,
    vocabulary=1200,
    row=256,
)
