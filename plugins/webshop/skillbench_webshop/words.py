"""The words of the generated shops: kinds of products, attributes, options, brands.

All invented or everyday words. No two kinds share a word, and no two attributes, nor two values of
an option, are alike to the reward's fuzzy match (tests/test_webshop_generator.py): otherwise a
wrong product could be rewarded as the right one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Category:
    """One of WebShop's five categories. `page` is the sub-page that names a product's attributes;
    `share` is how many of 1,000 products are of it (as in the real slice)."""

    name: str
    share: int
    path: str
    page: str
    kinds: tuple[str, ...]
    attributes: tuple[str, ...]
    options: tuple[tuple[str, tuple[str, ...]], ...]


COLOURS = ("red", "blue", "green", "black", "white", "pink", "gray", "brown", "purple", "yellow")


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


CATEGORIES: tuple[Category, ...] = (
    Category(
        "beauty",
        238,
        "Beauty & Personal Care",
        "Description",
        _split(
            "shampoo, conditioner, hand lotion, lip balm, face mask, hair serum, sunscreen, "
            "eye cream, blow dryer, nail polish, mascara, perfume, soap, toothbrush, comb, "
            "bath gel, makeup sponge, razor, foundation, cotton pads"
        ),
        _split(
            "cruelty free, paraben free, tea tree, coconut oil, hyaluronic acid, "
            "dermatologist tested, natural ingredients, long lasting, deep cleansing, vitamin c"
        ),
        (
            ("scent", _split("rose, lavender, lemon, vanilla, mint, jasmine")),
            ("size", _split("travel, regular, jumbo")),
        ),
    ),
    Category(
        "electronics",
        229,
        "Electronics",
        "Features",
        _split(
            "headphones, charger, speaker, keyboard, mouse, tripod, webcam, router, projector, "
            "microphone, monitor, phone case, memory card, power bank, smart watch, earbuds, "
            "printer, tablet holder, hdmi cable, camera strap"
        ),
        _split(
            "cordless use, water resistant, noise cancelling, fast charging, high speed, "
            "heavy duty, ultra hd, touch screen, hands free, aluminum alloy"
        ),
        (("color", COLOURS), ("style", _split("basic, deluxe, gaming, office"))),
    ),
    Category(
        "garden",
        216,
        "Home & Kitchen",
        "Features",
        _split(
            "desk lamp, rug, curtain, pillow, blanket, bookshelf, side table, bed frame, "
            "mattress, candle, vase, mirror, nightstand, ottoman, stool, storage bin, "
            "wall art, sofa, dresser, door mat"
        ),
        _split(
            "machine washable, eco safe, solid wood, easy clean, space saving, "
            "stain resistant, memory foam, hand made, steel legs, high density"
        ),
        (("color", COLOURS), ("size", _split("twin, full, queen, king"))),
    ),
    Category(
        "fashion",
        200,
        "Clothing, Shoes & Jewelry",
        "Features",
        _split(
            "dress, jacket, sandals, sneakers, jeans, hoodie, sweater, boots, shirt, skirt, "
            "leggings, pajamas, swimsuit, coat, socks, cardigan, blouse, shorts, slippers, vest"
        ),
        _split(
            "long sleeve, slim fit, rubber sole, elastic waist, quick drying, soft cotton, "
            "faux fur, button closure, round neck, arch support"
        ),
        (("color", COLOURS), ("size", _split("small, medium, large"))),
    ),
    Category(
        "grocery",
        117,
        "Grocery & Gourmet Food",
        "Description",
        _split(
            "coffee, green tea, protein bar, trail mix, olive oil, pasta, granola, cookies, "
            "chips, jerky, hot sauce, honey, almonds, crackers, popcorn, oatmeal, jam, cereal, "
            "peanut butter, rice"
        ),
        _split(
            "gluten free, sugar free, non gmo, keto friendly, plant based, high fiber, "
            "low sodium, certified kosher, artificial colors, usda organic"
        ),
        (
            ("flavor", _split("original, chili, garlic, maple, coconut, cherry")),
            ("size", _split("travel, regular, jumbo")),
        ),
    ),
)
BY_NAME = {category.name: category for category in CATEGORIES}
BRANDS = _split(
    "Norvik, Talora, Brimsen, Ockley, Veluna, Harbo, Quillon, Mirren, Astero, Fennick, Dorvale, "
    "Lumeo, Pellin, Sandor, Zephira, Corvel, Wexley, Imari, Juneau, Kestra, Obrin, Rasmo, Tivoli, "
    "Yarrow"
)
# How a page that names no attribute goes on. "your" is in each, so that a thoughtless query finds
# something.
SMALL_TALK = (
    "a good choice for your home.",
    "made for your every day.",
    "all that your heart needs.",
)
