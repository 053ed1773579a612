"""What a material is: a row of numbers, whose columns the constants below name.

A guide says where a point lies along a sleeve, a leg or the torso: the distance along the limb, and
a vector around it whose length is the limb's radius (both in metres, the vector's second coordinate
to the front).
"""

SKIN, CLOTH, LEATHER, HAIR, EYE, BROW = range(6)
(
    PLAIN, ACROSS, ALONG, CHECK, TARTAN, DOTS, FLOWERS, CLOUDS, DENIM, BLOCK, ZIGZAG, SPOTS,
    PINSTRIPES, DIAMONDS,
) = range(14)  # fmt: skip
PATTERNS = 14

# Columns of a material.
KIND, BASE, SECOND, THIRD = 0, 1, 4, 7
PATTERN, PERIOD, SHARE, SEED = 10, 11, 12, 13
GLOSS, SHEEN, FOLDS = 14, 15, 16
EMBLEM_X, EMBLEM_Z, EMBLEM_SIZE, EMBLEM_COLOUR, EMBLEM_BITS = 17, 18, 19, 20, 23
MOUTH_Z, MOUTH_WIDTH, EYE_X, EYE_Y, EYE_Z = 24, 25, 26, 27, 28
LIPS, BEARD, BLUSH, MAKE_UP = 29, 32, 33, 34
FRONT = 35  # y at rest before which a point is on the front
COLUMNS = 36
