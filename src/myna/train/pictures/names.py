"""What nano can name: plain short English names, and the icons that show each.

A line of the table is a name, alone when the icon sets call it so too, otherwise with the keys that
they know it by. Several keys under one name are several looks of one thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TABLE = """
ant, bat, bear, beaver, bird, butterfly, crab, camel: camel two-hump-camel, cat: cat cat-face,
chick: baby-chick front-facing-baby-chick, cow: cow cow-face, crocodile, deer, dinosaur: sauropod
t-rex, dog: dog dog-face, dolphin, donkey, dragon: dragon dragon-face, duck, eagle, elephant, fish:
fish tropical-fish, flamingo, fox, frog, giraffe, goat, hamster, hedgehog, hippo: hippopotamus, bee:
honeybee, horse: horse horse-face, jellyfish, kangaroo, koala, ladybug: lady-beetle, lion, lobster,
monkey: monkey monkey-face, mouse: mouse mouse-face, octopus, owl, panda, parrot, peacock, penguin,
pig: pig pig-face, polar bear, rabbit: rabbit rabbit-face, raccoon, rhino: rhinoceros, rooster,
scorpion, shark, sheep: ewe ram, shrimp, skunk, sloth, snail, snake, spider, swan, tiger: tiger
tiger-face, turkey, turtle, unicorn, whale: whale spouting-whale, wolf, zebra,

apple: red-apple, avocado, bacon, banana, birthday cake, blueberries, bread, broccoli, candy,
carrot, cheese: cheese-wedge, cherries, chocolate: chocolate-bar, chicken leg: poultry-leg, coconut,
coffee: hot-beverage, cookie, corn: ear-of-corn, croissant, cucumber, cupcake, donut: doughnut, egg,
eggplant, fries: french-fries, grapes, hamburger, hot dog, hot pepper, ice cream: ice-cream
soft-ice-cream, kiwi: kiwi-fruit, lemon, lollipop, mango, milk: glass-of-milk, mushroom, onion,
orange: tangerine, pancakes, peach, pear, pie, pineapple, pizza, popcorn, potato, pretzel, sandwich,
spaghetti, strawberry, sushi, taco, tomato, waffle, watermelon, wine: wine-glass, beer: beer-mug,
teapot,

airplane, ambulance, anchor, bicycle, bus: bus oncoming-bus, canoe, car: automobile
oncoming-automobile, fire truck: fire-engine, flying saucer, helicopter, motorcycle, parachute,
police car, race car: racing-car, rocket, sailboat, scooter: kick-scooter, ship: passenger-ship
ship, skateboard, stop sign, taxi: taxi oncoming-taxi, tractor, traffic light:
vertical-traffic-light, train: train locomotive, truck: delivery-truck,

castle, factory, ferris wheel, fountain, hospital, house, island: desert-island, mountain: mountain
snow-capped-mountain, school, statue: statue-of-liberty, tent, volcano, cactus, cloud, clover:
four-leaf-clover, drop: droplet, fire, leaf: maple-leaf, lightning: high-voltage, moon:
crescent-moon full-moon, palm tree, pine tree: evergreen-tree, planet: ringed-planet, plant:
potted-plant, rainbow, rose, shell: spiral-shell, snowflake, star, sun: sun sun-with-face,
sunflower, tornado, tree: deciduous-tree, tulip, wave: water-wave, web: spider-web,

accordion, alarm clock, axe, baby bottle, balloon, basket, bathtub, battery, bed, bell, bomb, bone,
book: open-book, books, boomerang, bow and arrow, box: package, briefcase, broom, bucket, calendar,
camera, candle, chair, christmas tree, coin, computer: desktop-computer, crown, crystal ball,
diamond: gem-stone, dice: game-die, door, dress, drum, envelope, feather, fireworks, flashlight,
fork and knife, gear, gift: wrapped-gift, glasses, globe: globe-showing-americas
globe-showing-europe-africa, gloves, guitar, hammer, hat: top-hat, headphones: headphone, hourglass:
hourglass-done hourglass-not-done, key, keyboard, kite, knife: kitchen-knife, ladder, laptop, light
bulb, lipstick, lock: locked, magic wand, magnet, magnifying glass: magnifying-glass-tilted-left
magnifying-glass-tilted-right, medal: sports-medal, microphone, microscope, mirror, money bag,
paintbrush, paperclip, pen, pencil, phone: mobile-phone telephone, piano: musical-keyboard, pill,
pumpkin: jack-o-lantern, radio, ring, ruler: straight-ruler, saxophone, scissors, screwdriver,
shirt: t-shirt, shoe: running-shoe, shopping cart, snowman: snowman snowman-without-snow, soap,
socks, spoon, suitcase: luggage, sunglasses, swords: crossed-swords, teddy bear, telescope,
television, tie: necktie, toilet, toothbrush, trophy, trumpet, umbrella: umbrella
umbrella-with-rain-drops, violin, watch, wrench, baseball, basketball, bowling, football:
american-football, soccer ball, target: bullseye, tennis, volleyball,

alien, angry face, baby, brain, clown: clown-face, crying face: crying-face loudly-crying-face, ear,
eye, foot, footprints, ghost, hand: raised-hand, heart: red-heart heart-suit, broken heart, mouth,
nose, paw prints, robot, santa: santa-claus, skull, sleeping face, smiling face: grinning-face
smiling-face, thumbs down, thumbs up, tongue, tooth
"""

_WITHOUT_ARTICLE = """
bacon, beer, blueberries, books, bowling, bread, broccoli, candy, cheese, cherries, chocolate,
coffee, corn, dice, fire, fireworks, footprints, fries, glasses, gloves, grapes, headphones,
lightning, milk, pancakes, paw prints, popcorn, santa, scissors, soap, socks, spaghetti, sunglasses,
sushi, swords, tennis, thumbs down, thumbs up, wine
"""


def _keys(table: str) -> dict[str, tuple[str, ...]]:
    keys = {}
    for entry in table.split(","):
        name, _, known_as = (part.strip() for part in entry.partition(":"))
        if name:
            name = " ".join(name.split())
            keys[name] = tuple(known_as.split()) or (name.replace(" ", "-"),)
    return keys


ICON_KEYS: Mapping[str, tuple[str, ...]] = _keys(_TABLE)  # name -> keys of the icon sets
NAMES: tuple[str, ...] = tuple(ICON_KEYS)
WITHOUT_ARTICLE = frozenset(_keys(_WITHOUT_ARTICLE))
_WITH_AN = re.compile("[aeio]|umbrella|hourglass")


def phrase(name: str) -> str:
    """Say a name as an answer says it: "a cat", "an apple", "milk"."""
    if name in WITHOUT_ARTICLE:
        return name
    return f"an {name}" if _WITH_AN.match(name) else f"a {name}"
