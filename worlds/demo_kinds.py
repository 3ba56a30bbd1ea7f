"""The people, towns and treasures of Saltmere: their names, and all that can be said of them."""

from worlds.grammar import Attribute, Kind, listed

WOMEN = listed(
    "Ada Agnes Alma Avis Berta Bryony Cecily Clemence Cora Delphine Dilys Dora Edda Elspet Enid Esme "
    "Fern Flora Freya Greta Hattie Hedda Ibbet Ida Imogen Ione Isolde Jessamy Juno Keziah Lavinia "
    "Leonie Lettice Linnet Mabel Maud Merrin Minna Myrtle Nell Odile Olive Oona Perpetua Petra Posy "
    "Rhoda Rosalind Sabra Selma Sunniva Tamsin Thea Tilda Una Verity Vesper Wilda Winifred Yolande"
)
MEN = listed(
    "Abel Alaric Ambrose Anselm Barnaby Basil Bertram Caspar Cedric Clovis Corin Cuthbert Dunstan "
    "Edgar Edmund Emeric Everard Fabian Felix Gideon Godfrey Hamo Hector Hugo Ignatius Ivo Jasper "
    "Jocelin Jory Kester Lambert Laurence Leopold Lucan Magnus Matthias Milo Nicodemus Noel Oswin Otto "
    "Peregrine Piers Quentin Ranulf Roland Rufus Septimus Silas Tancred Theobald Tobias Ulric "
    "Valentine Walter Wilfred Wystan Yorick Zachary Zebedee"
)
FAMILIES = listed(
    "Abbot Alder Applegate Arkwright Ashdown Barley Barrow Beckett Bellows Birch Blackwood Bramble "
    "Brand Briar Brook Buckle Burrow Candle Carver Chaffinch Chalk Clay Clover Cobb Copper Crane "
    "Cricket Crowther Dale Darrow Dell Dimmock Dove Drake Draper Dunn Elder Ember Fairweather Farrow "
    "Fennel Ferry Finch Fletcher Flint Foss Frost Gale Garland Gill Goss Grange Greenaway Hale "
    "Harbottle Hare Hawthorn Hazel Heath Holloway Holm Hood Hopper Hurst Inkpen Ivory Jolly Keel "
    "Kettle Lamb Larch Larkin Latch Ledger Lightfoot Linden Locke Lovage Mallow Marsh Merriman Mills "
    "Moss Mudge Nettle Nightingale North Nutt Oakes Orchard Orme Osier Otterburn Pascoe Pearl Peck "
    "Penny Pepper Pike Pinder Plover Poole Primrose Quill Quince Ramsey Reed Ridge Rill Robin Rook "
    "Rowe Rush Sage Sallow Sedge Sharp Shaw Skerry Sorrel Sparrow Spindle Starling Stock Stone Swift "
    "Tallow Tanner Teasel Thatcher Thistle Thorne Tidewell Tolliver Trout Tull Turnpike Underhill Vane "
    "Wainwright Weaver Wick Willoughby Winter Wren Yarrow Yew"
)

TOWNS = listed(
    "Brackwater Amberford Candlewick Dunmarrow Eastermere Fallowby Gullhaven Hartsedge Inglebrook "
    "Junipool Kestwick Longhythe Mallowbridge Netherquay Oxbarrow Pennyhithe Quarrelton Ravensby "
    "Sandlethorpe Tillerham Umberley Vixenholt Windlesea Yewminster Zennerby Applecombe Bellweather "
    "Coppergate Driftwood Elverstone"
)
UNSEEN_TOWNS = ("Farrowmouth", "Honeydown", "Larkenfell", "Thimblewick")

PEOPLE = Kind(
    name="people",
    parts=(WOMEN + MEN, FAMILIES),
    pattern="{0} {1}",
    short="{1}",
    known=260,
    unseen=30,
    women=frozenset(WOMEN),
    men=frozenset(MEN),
    attributes=(
        Attribute(
            name="home",
            label="Home town",
            pool=TOWNS,
            statements=(
                "{name} lives in {value}.",
                "{name's} home is in {value}.",
                "{name} has a house in {value}.",
                "{name} settled in {value}.",
                "The house of {name} stands in {value}.",
                "{value} is the home of {name}.",
                "{value} is where {name} lives.",
            ),
            questions=(
                "Where does {name} live?",
                "In which town does {name} live?",
                "Which town is the home of {name}?",
                "Where is {name's} home?",
                "Where does the house of {name} stand?",
                "What is the home town of {name}?",
            ),
            reserved="Which town does {name} live in?",
        ),
        Attribute(
            name="trade",
            label="Trade",
            pool=listed(
                "a lamplighter|a baker|a bookbinder|a glassblower|a ropemaker|a beekeeper|a clockmaker|a potter|"
                "a cooper|a ferryman|a miller|a shepherd|a basket weaver|a blacksmith|a cobbler|a map drawer|"
                "a sailmaker|a stonemason|a gardener|a letter carrier|a candle maker|a net mender|a well digger|"
                "a hatter|a wheelwright|a cheesemonger|a bell founder|a schoolteacher|a dyer|a paper maker|"
                "a thatcher|a lighthouse keeper|a glove maker|a salt boiler",
                "|",
            ),
            statements=(
                "{name} works as {value}.",
                "{name} is {value} by trade.",
                "{name} earns a living as {value}.",
                "{name's} trade is that of {value}.",
                "By trade {name} is {value}.",
                "For a living {name} works as {value}.",
            ),
            questions=(
                "What is {name's} trade?",
                "What does {name} do for a living?",
                "What work does {name} do?",
                "What is {name} by trade?",
                "How does {name} earn a living?",
                "Which trade does {name} follow?",
            ),
            reserved="By which trade does {name} earn a living?",
        ),
        Attribute(
            name="animal",
            label="Animal",
            pool=listed(
                "an otter|a heron|a hedgehog|a grey goose|a badger|a tortoise|a magpie|a black goat|a ferret|"
                "a barn owl|a white mule|a dormouse|a kestrel|a piebald pony|a red squirrel|a toad|a jackdaw|"
                "a woolly ram|a greyhound|a peacock|a raven|a marmot|a spaniel|a shaggy ox|a stoat|a weasel|"
                "a donkey|a quail|a lynx|a puffin|a beaver|a striped cat|a carp|a gander",
                "|",
            ),
            statements=(
                "{name} keeps {value}.",
                "{name} looks after {value}.",
                "{name} shares the house with {value}.",
                "{name's} animal is {value}.",
                "The animal that {name} keeps is {value}.",
                "{value} is kept by {name}.",
                "{value} lives with {name}.",
            ),
            questions=(
                "Which animal does {name} keep?",
                "What animal does {name} have?",
                "What kind of animal is kept by {name}?",
                "Which animal lives with {name}?",
                "What is {name's} animal?",
                "Which animal shares the house with {name}?",
            ),
            reserved="What animal does {name} look after?",
        ),
        Attribute(
            name="instrument",
            label="Instrument",
            pool=listed(
                "the fiddle|the flute|the harp|the lute|the oboe|the cello|the drum|the dulcimer|the zither|"
                "the accordion|the bassoon|the trumpet|the mandolin|the hurdy-gurdy|the tin whistle|the cornet|"
                "the viola|the organ|the clarinet|the tambourine|the banjo|the lyre|the hunting horn|the trombone|"
                "the recorder|the ocarina|the xylophone|the concertina|the psaltery|the rebec|the spinet|"
                "the triangle|the gong|the bagpipes",
                "|",
            ),
            statements=(
                "{name} plays {value}.",
                "{name} has learnt to play {value}.",
                "{name} makes music on {value}.",
                "{name's} instrument is {value}.",
                "At every dance {name} plays {value}.",
                "In the evening {name} practises {value}.",
            ),
            questions=(
                "Which instrument does {name} play?",
                "What does {name} play at a dance?",
                "What is {name's} instrument?",
                "On which instrument does {name} make music?",
                "What instrument has {name} learnt to play?",
                "Which instrument does {name} practise?",
            ),
            reserved="What instrument does {name} play in the evening?",
        ),
        Attribute(
            name="dish",
            label="Favourite dish",
            pool=listed(
                "mushroom soup|plum dumplings|smoked eel|barley porridge|leek pie|honey cake|pickled herring|"
                "roast chestnuts|onion tart|lentil stew|buttered parsnips|apple fritters|cabbage rolls|pea pudding|"
                "fried trout|ginger biscuits|walnut bread|turnip mash|cherry pancakes|poached pears|oat cakes|"
                "bean broth|cheese omelette|crab cakes|baked quinces|spinach noodles|rhubarb crumble|potato salad|"
                "fish stew|almond rice|garlic snails|blackberry jam|stuffed marrow|rye toast",
                "|",
            ),
            statements=(
                "{name} likes {value} best.",
                "{name's} favourite dish is {value}.",
                "{name} would eat {value} every day.",
                "{name} loves {value}.",
                "Of all dishes {name} likes {value} best.",
                "The favourite dish of {name} is {value}.",
                "No dish pleases {name} like {value}.",
            ),
            questions=(
                "What is {name's} favourite dish?",
                "Which dish does {name} like best?",
                "What would {name} eat every day?",
                "Which dish does {name} love?",
                "What is the favourite dish of {name}?",
                "What does {name} like to eat best?",
            ),
            reserved="Which dish would {name} eat every day?",
        ),
        Attribute(
            name="boat",
            label="Boat",
            pool=tuple(
                f"the {quality} {thing}"
                for quality in listed(
                    "Amber Brave Calm Dappled Early Faithful Gentle Hidden Idle Jovial Kindly Lively Merry Nimble "
                    "Patched Quiet Restless Scarlet Silver Steady Swaying Tender Velvet Wandering"
                )
                for thing in listed(
                    "Arrow Bonnet Cradle Daisy Dolphin Duchess Feather Gull Herald Kite Ladle Meadow Morning Needle "
                    "Pearl Petal Ribbon Rocket Slipper Star Swan Teapot Thimble Traveller"
                )
            ),
            statements=(
                "{name} sails {value}.",
                "{name} owns a boat called {value}.",
                "{name's} boat is {value}.",
                "{name} named a boat {value}.",
                "The boat of {name} is called {value}.",
                "{value} belongs to {name}.",
            ),
            questions=(
                "Which boat does {name} sail?",
                "What is {name's} boat called?",
                "What is the name of {name's} boat?",
                "Which boat belongs to {name}?",
                "What did {name} name a boat?",
                "What is the boat of {name} called?",
            ),
            reserved="Which boat does {name} own?",
            reverse=(
                "Who sails {value}?",
                "Whose boat is {value}?",
                "Who owns the boat called {value}?",
                "To whom does {value} belong?",
            ),
        ),
    ),
)

PLACES = Kind(
    name="towns",
    parts=(
        listed(
            "Brack Amber Candle Dun Easter Fallow Gull Harts Ingle Juni Kest Long Mallow Nether Ox Penny Raven Tiller"
        ),
        listed(
            "water ford wick marrow mere by haven sedge brook pool hythe bridge quay barrow thorpe ham ley holt sea"
        ),
    ),
    pattern="{0}{1}",
    short="the town",
    known=30,
    unseen=4,
    fixed=(*TOWNS, *UNSEEN_TOWNS),
    attributes=(
        Attribute(
            name="river",
            label="River",
            pool=tuple(
                f"the {river}"
                for river in listed(
                    "Ossel Tarn Wendle Murrow Pell Isk Laver Corve Dunny Swale Arrin Brindle Cull Ebble Fenn Gade "
                    "Hamble Irt Kenn Loddon Mease Nadder Ouzel Piddle Roding Sence Teme Uck Wey Yarty Axe Blyth Chew "
                    "Dove"
                )
            ),
            statements=(
                "{name} lies on {value}.",
                "{name} was built beside {value}.",
                "{name's} river is {value}.",
                "{value} flows through {name}.",
                "The river at {name} is {value}.",
                "The mills of {name} are turned by {value}.",
            ),
            questions=(
                "Which river flows through {name}?",
                "On which river does {name} lie?",
                "What is the river at {name} called?",
                "Beside which river was {name} built?",
                "Which river turns the mills of {name}?",
            ),
            reserved="Which river does {name} lie on?",
            reverse=(
                "Which town lies on {value}?",
                "Which town was built beside {value}?",
                "Through which town does {value} flow?",
            ),
        ),
        Attribute(
            name="ware",
            label="Known for",
            pool=listed(
                "blue glass|sea salt|thick rope|lavender soap|goose feathers|cider vinegar|slate tiles|wax candles|"
                "felt hats|smoked cheese|copper pans|fishing nets|linen sheets|rose water|wooden clogs|"
                "mustard seed|willow baskets|honey beer|stone jugs|woollen socks|paper lanterns|bone buttons|"
                "chalk paint|saddle leather|hazel nuts|ink|silk ribbon|brick|garden shears|river pearls|tea trays|"
                "door bells|dried plums|oak barrels",
                "|",
            ),
            statements=(
                "{name} is known for {value}.",
                "{name} sells {value} to the whole valley.",
                "{name's} best ware is {value}.",
                "Merchants come to {name} for {value}.",
                "People buy {value} in {name}.",
                "The workshops of {name} make {value}.",
            ),
            questions=(
                "What is {name} known for?",
                "What does {name} sell?",
                "What do merchants buy in {name}?",
                "What do the workshops of {name} make?",
                "What is {name's} best ware?",
            ),
            reserved="Which ware is {name} known for?",
            reverse=(
                "Which town is known for {value}?",
                "Which town sells {value}?",
                "Where do merchants buy {value}?",
            ),
        ),
        Attribute(
            name="feast",
            label="Feast",
            pool=tuple(
                f"{feast} {day}"
                for feast in listed(
                    "Lantern Apple Pancake Kite Mask Ribbon Snowdrop Harvest Candle Herring Barrel Fiddle Frost "
                    "Garland Maypole Dumpling Owl"
                )
                for day in ("Night", "Fair")
            ),
            statements=(
                "{name} celebrates {value}.",
                "{name} holds {value} every year.",
                "{name's} great feast is {value}.",
                "The feast of {name} is {value}.",
                "Once a year {name} celebrates {value}.",
                "On {value} everyone dances in {name}.",
            ),
            questions=(
                "Which feast does {name} celebrate?",
                "What is {name's} great feast?",
                "What does {name} hold every year?",
                "What is the feast of {name} called?",
                "On which feast does everyone dance in {name}?",
            ),
            reserved="Which feast does {name} hold every year?",
            reverse=(
                "Which town celebrates {value}?",
                "Which town holds {value}?",
                "Where does everyone dance on {value}?",
            ),
        ),
    ),
)

THINGS = Kind(
    name="treasures",
    parts=(
        listed("Patient Sleeping Honest Laughing Crooked Humble Lonely Ancient Golden Moonlit Stubborn Whispering"),
        listed("Lantern Bell Cup Mirror Key Loom Globe Chest Crown Spoon Drum Fountain Ladder Clock Chair Compass"),
    ),
    pattern="the {0} {1}",
    short="the {1}",
    known=40,
    unseen=8,
    attributes=(
        Attribute(
            name="material",
            label="Made of",
            pool=listed(
                "brass|oak|copper|moonglass|pewter|clay|iron|willow|tin|cork|leather|slate|amber|marble|walnut|"
                "ivory|jet|quartz|felt|wax|bronze|ebony|coral|granite|bamboo|linen|birch bark|porcelain|limestone|"
                "steel",
                "|",
            ),
            statements=(
                "{name} is made of {value}.",
                "{name} was shaped from {value}.",
                "{name's} maker used {value}.",
                "The makers of {name} worked in {value}.",
                "The stuff of {name} is {value}.",
                "Somebody made {name} out of {value}.",
            ),
            questions=(
                "What is {name} made of?",
                "From what was {name} shaped?",
                "What did the makers of {name} work in?",
                "What did {name's} maker use?",
                "Out of what was {name} made?",
            ),
            reserved="What did somebody make {name} out of?",
        ),
        Attribute(
            name="hall",
            label="Kept in",
            pool=tuple(
                f"the {hall}"
                for hall in listed(
                    "Weavers' Hall|Old Mill|Salt House|Net Loft|Round Tower|Chapel Cellar|Toll House|Reading Room|"
                    "Ferry Inn|Corn Exchange|Rope Walk|Glass House|Town Attic|School Cupboard|Harbour Office|"
                    "Potters' Yard|Bakers' Vault|Music Room|Quarry Shed|Winter Garden|Bath House|Cheese Store|"
                    "Watch House|Map Room|Orchard Barn|Long Gallery|Printers' Den|Clock Loft|Swan Inn|Boat Shed",
                    "|",
                )
            ),
            statements=(
                "{name} is kept in {value}.",
                "{name} stands in {value}.",
                "{name's} place is in {value}.",
                "Visitors can see {name} in {value}.",
                "The place to look for {name} is {value}.",
                "{value} is where {name} is kept.",
            ),
            questions=(
                "Where is {name} kept?",
                "Where does {name} stand?",
                "Where can visitors see {name}?",
                "Where is {name's} place?",
                "What is the place to look for {name}?",
            ),
            reserved="In what place is {name} kept?",
        ),
        Attribute(
            name="use",
            label="Used",
            pool=listed(
                "to call the ferry|to open the fair|to bless the bread|to choose the mayor|to greet the spring|"
                "to count the geese|to calm the bees|to end a quarrel|to start the race|to warn of fog|"
                "to name a ship|to wake the miller|to welcome guests|to measure rain|to honour the cook|"
                "to light the harbour|to seal a bargain|to gather the choir|to bid farewell|to judge the pies|"
                "to thank the rowers|to mark midnight|to find lost sheep|to tell fortunes|to praise the harvest|"
                "to crown the dancer|to weigh the wool|to teach children|to close the market|to ask for snow|"
                "to bring good wind|to remember sailors|to settle a bet|to invite strangers|to guard the cellar|"
                "to open the sluice|to cheer the sick|to test the ale|to hush the hall|to guide the barge|"
                "to scare the crows|to draw the lots",
                "|",
            ),
            statements=(
                "{name} is used {value}.",
                "{name} serves {value}.",
                "{name's} purpose is {value}.",
                "The purpose of {name} is {value}.",
                "People use {name} {value}.",
                "Every year {name} is brought out {value}.",
            ),
            questions=(
                "What is {name} used for?",
                "What is {name's} purpose?",
                "What is the purpose of {name}?",
                "For what do people use {name}?",
                "Why is {name} brought out every year?",
            ),
            reserved="For what purpose do people use {name}?",
            reverse=(
                "Which treasure is used {value}?",
                "Which treasure serves {value}?",
                "What do people use {value}?",
            ),
        ),
    ),
)
