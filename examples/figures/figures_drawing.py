"""Draw a person in a stance, in flat, softly shaded shapes, from far to near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

# isort: split
from figures_canvas import Canvas, Piece, ellipse, mirror, mix, shade, smooth, taper, unit_vector
from figures_people import (
    ANKLE,
    EAR,
    ELBOW,
    EYE,
    HIP,
    KNEE,
    NECK,
    NOSE,
    SHOULDER,
    WRIST,
    Array,
    Fabric,
    Person,
    Skeleton,
    Stance,
    pose,
)


class _Figure:
    """A person in a stance, painted onto a canvas part by part.

    The trunk's coordinates are (x, t): body units to the viewer's right of the spine, and the share
    of the way from neck (0) to hips (1). The head's are (x, y): body units from its centre.
    """

    def __init__(self, canvas: Canvas, person: Person, stance: Stance, bones: Skeleton) -> None:
        self.canvas, self.person, self.stance, self.bones = canvas, person, stance, bones
        self.unit = bones.unit
        self.points = bones.points
        self.back = stance.view == "back"
        self.sides = (1, 0) if self.back else (0, 1)  # on the viewer's left, then right
        self.skin = Fabric(person.skin)
        self.hair = Fabric(person.hair)
        cos = abs(float(np.cos(stance.turn)))
        self.narrow = float(np.hypot(cos, 0.62 * np.sin(stance.turn)))
        self.pelvis = self.points[list(HIP)].mean(0)
        self.neck = self.points[NECK]
        left, right = self.sides
        self.top_axis = unit_vector(self.points[SHOULDER[right]] - self.points[SHOULDER[left]])
        self.low_axis = unit_vector(self.points[HIP[right]] - self.points[HIP[left]])
        apart = self.points[SHOULDER[right]] - self.points[SHOULDER[left]]
        self.half_shoulder = float(np.hypot(*apart)) / 2 / self.unit
        up = bones.head - self.neck
        self.down = -unit_vector(up + 1.2 * np.array([0.0, up[1]]))
        tilt = np.deg2rad(stance.head_tilt + 0.5 * stance.lean) * (-1 if self.back else 1)
        self.head_across = np.array([np.cos(tilt), np.sin(tilt)])
        self.head_down = np.array([-np.sin(tilt), np.cos(tilt)])
        self.face_turn = float(np.sin(np.deg2rad(stance.yaw + stance.head_turn)))

    # ---- coordinates ----------------------------------------------------------------

    def torso(self, x: float, t: float) -> tuple[float, float]:
        """Return the image point (x, y) of a point of the trunk."""
        share = float(np.clip(t, 0, 1))
        axis = unit_vector(self.top_axis * (1 - share) + self.low_axis * share)
        point = self.neck + t * (self.pelvis - self.neck) + x * self.unit * axis
        return float(point[0]), float(point[1])

    def trunk(self, half: Sequence[tuple[float, float]]) -> Array:
        """Return a smooth symmetric outline from its right half in the trunk's coordinates."""
        return smooth([self.torso(x, t) for x, t in mirror(half)])

    def on_head(self, points: Sequence[tuple[float, float]] | Array) -> Array:
        """Return the image points of points of the head."""
        pixels = np.asarray(points) * self.unit * self.person.body.head
        axes = np.stack([self.head_across, self.head_down])
        return np.asarray(self.bones.head + pixels @ axes)

    def in_head(self, joint: int) -> tuple[float, float]:
        """Return a joint in the head's coordinates."""
        offset = (self.points[joint] - self.bones.head) / self.unit / self.person.body.head
        return float(offset @ self.head_across), float(offset @ self.head_down)

    def piece(self, outline: Array, origin: Array, along: Array) -> Piece:
        """Return a piece whose pattern runs along a direction of the image."""
        step = unit_vector(along) * self.unit
        return Piece((outline,), origin, np.array([step[1], -step[0]]), step)

    def bone(
        self, start: Array, end: Array, radii: tuple[float, float, float], bulge: float = 1.0
    ) -> Piece:
        """Return a piece for a bone of a limb; the radii are in body units."""
        first, middle, last = (radius * self.unit for radius in radii)
        outline = taper(start, end, (first, middle, last), bulge)
        return self.piece(outline, start, end - start + 1e-6)

    def head_piece(self, outline: Array) -> Piece:
        """Return a piece from an outline in the head's coordinates."""
        return self.piece(self.on_head(outline), self.bones.head, self.head_down)

    # ---- legs -----------------------------------------------------------------------

    def leg(self, side: int) -> None:
        """Paint a leg with its shoe, and the trouser leg on it."""
        person, b = self.person, self.person.body.build
        hip, knee, ankle = (self.points[names[side]] for names in (HIP, KNEE, ANKLE))
        skin = [self.bone(hip, knee, (0.050 * b, 0.044 * b, 0.033 * b)),
                self.bone(knee, ankle, (0.033 * b, 0.034 * b, 0.020 * b))]  # fmt: skip
        toes_near = self.bones.toe_depth[side] > self.bones.depth[ANKLE[side]]
        if not toes_near:
            self.shoe(side)
        cover = person.bottom_length
        long = person.bottom_kind == "trousers" and cover > 0.9
        if not long:
            self.canvas.drop_shadow(skin)
            self.canvas.paint(skin, self.skin)
        if toes_near:
            self.shoe(side)
        if person.bottom_kind == "trousers":
            cloth = [self.bone(hip, knee, (0.056 * b, 0.050 * b, 0.042 * b)),
                     self.bone(knee, knee + cover * (ankle - knee),
                               (0.042 * b, 0.041 * b, 0.034 * b), 0.25)]  # fmt: skip
        elif person.bottom_kind == "shorts":
            end = hip + (0.4 + cover) * (knee - hip)
            cloth = [self.bone(hip, end, (0.056 * b, 0.055 * b, 0.055 * b), 0.18)]
        else:
            return
        self.canvas.drop_shadow(cloth)
        self.canvas.paint(cloth, person.bottom)

    def shoe(self, side: int) -> None:
        """Paint a shoe with a sole."""
        ankle, toes = self.points[ANKLE[side]], self.bones.toes[side]
        unit, colour = self.unit, self.person.shoes
        drop = np.array([0.0, 0.012 * unit])
        heel, tip = ankle + drop, toes + 0.4 * drop
        low = np.array([0.0, 0.007 * unit])
        sole = mix(colour, (250, 250, 250), 0.75) if sum(colour) < 600 else (120, 116, 120)
        radius = (0.025 * unit, 0.027 * unit, 0.027 * unit)
        self.canvas.fill(taper(heel + low, tip + low, radius), sole)
        upper = self.piece(taper(heel, tip, radius), heel, tip - heel + 1e-6)
        self.canvas.paint([upper, self.bone(ankle - drop, heel, (0.021, 0.022, 0.024))],
                          Fabric(colour), rim=0.009)  # fmt: skip

    def seat(self) -> None:
        """Paint the part of trousers or shorts above the legs."""
        person, b = self.person, self.person.body.build
        if person.bottom_kind in ("trousers", "shorts"):
            wide = (person.body.hip + 0.0535 * b) * self.narrow
            waist = min(person.body.waist * 1.04 * self.narrow, wide)
            flank = 0.45 * waist + 0.55 * wide
            sides = [(waist, 0.67), (flank, 0.82)] if person.tucked else [(flank, 0.88)]
            half = [(0.0, sides[0][1] - 0.01), *sides, (wide, 1.06), (wide * 0.55, 1.11),
                    (0.0, 1.17)]  # fmt: skip
            piece = self.piece(self.trunk(half), self.pelvis, self.pelvis - self.neck)
            self.canvas.paint([piece], person.bottom, rim=0.0)
            if person.bottom.pattern == "plain":
                edge = [*sides, (wide, 1.06)]
                strip = [*edge, *((x - 0.012, t) for x, t in reversed(edge))]
                self.canvas.fill(np.array([self.torso(x, t) for x, t in strip]),
                                 shade(person.bottom.colour, 0.8))  # fmt: skip

    def skirt(self) -> None:
        """Paint a skirt, or the lower part of a dress."""
        person = self.person
        if person.bottom_kind not in ("skirt", "dress"):
            return
        wide = (person.body.hip + 0.058 * person.body.build) * self.narrow
        waist = person.body.waist * 1.03 * self.narrow
        flank = 0.45 * waist + 0.55 * wide
        hems = []
        for side in self.sides:
            hip, knee, ankle = (self.points[n[side]] for n in (HIP, KNEE, ANKLE))
            reach = person.bottom_length * 2
            hems.append(hip + min(reach, 1) * (knee - hip) + max(reach - 1, 0) * (ankle - knee))
        bottom = max(hem[1] for hem in hems)
        flare = (0.062 + 0.03 * person.bottom_length) * self.unit
        left = np.array([min(hems[0][0], self.pelvis[0] - 0.035 * self.unit) - flare, bottom])
        right = np.array([max(hems[1][0], self.pelvis[0] + 0.035 * self.unit) + flare, bottom])
        sag = np.array([0.0, 0.018 * self.unit])
        third = (right - left) / 4
        low = [right - sag * 0.6, right - third + sag * 0.4, (left + right) / 2 + sag * 0.6,
               left + third + sag * 0.4, left - sag * 0.6]  # fmt: skip
        hips = [self.torso(x, t) for x, t in ((waist, 0.64), (flank, 0.8), (wide, 1.02))]
        other = [self.torso(-x, t) for x, t in ((wide, 1.02), (flank, 0.8), (waist, 0.64))]
        outline = smooth([*hips, *((float(x), float(y)) for x, y in low), *other], 5)
        middle = (left + right) / 2
        piece = self.piece(outline, self.pelvis, middle - self.pelvis)
        self.canvas.drop_shadow([piece], (0.003, 0.02))
        self.canvas.paint([piece], person.bottom, rim=0.02)
        fold = shade(person.bottom.colour, 0.7)
        for share in (0.27, 0.52, 0.75) if person.bottom.pattern == "plain" else ():
            end = left + share * (right - left) + np.array([0.0, 0.003 * self.unit])
            start = self.pelvis + 0.5 * (end - self.pelvis)
            half = np.array([0.007 * self.unit, 0.0])
            self.canvas.fill(np.stack([start, end - half, end + half]), fold)

    # ---- trunk ----------------------------------------------------------------------

    def shirt(self) -> None:
        """Paint the top, with a belt and a print if it has them."""
        person, n = self.person, self.narrow
        shoulder, b = self.half_shoulder, person.body.build
        waist, hips = person.body.waist * n, (person.body.hip + 0.052 * b) * n
        waist *= 1.0 if person.tucked else 1.07
        hips = max(hips, 1.04 * waist)
        collar = 0.036 * n
        half = [(0.0, -0.09), (collar, -0.135), (shoulder * 0.66, -0.105),
                (shoulder + 0.002, -0.062), (shoulder + 0.012, 0.02), (shoulder + 0.008, 0.13),
                (shoulder * 0.5 + waist * 0.56, 0.32), (waist, 0.62)]  # fmt: skip
        if person.tucked or person.bottom_kind == "dress":
            half += [(waist * 1.02, 0.70), (0.0, 0.715)]
        else:
            half += [(hips * 0.97, 0.86), (hips * 1.03, 1.03), (hips * 0.6, 1.065), (0.0, 1.07)]
        piece = self.piece(self.trunk(half), self.neck, self.pelvis - self.neck)
        sign = -1.0 if self.back else 1.0
        piece = replace(piece, across=piece.across * max(n, 0.8) * sign)
        self.canvas.drop_shadow([piece], (0.002, 0.014))
        self.canvas.paint([piece], person.top, rim=0.017)
        if person.tucked or person.bottom_kind == "dress":
            self.belt(waist)
        if person.top.pattern == "print" and not self.back:
            self.print_on_chest()

    def belt(self, waist: float) -> None:
        """Paint a belt, with a buckle in a front view."""
        colour = shade(self.person.bottom.colour, 1.2)
        corners = [(-waist * 1.05, 0.66), (waist * 1.05, 0.66),
                   (waist * 1.06, 0.725), (-waist * 1.06, 0.725)]  # fmt: skip
        self.canvas.fill(np.array([self.torso(x, t) for x, t in corners]), colour)
        if not self.back:
            middle = self.front_shift()
            buckle = [(middle + dx, t) for dx, t in
                    ((-0.011, 0.664), (0.011, 0.664), (0.011, 0.721), (-0.011, 0.721))]  # fmt: skip
            self.canvas.fill(np.array([self.torso(x, t) for x, t in buckle]), (226, 190, 96))

    def front_shift(self) -> float:
        """Return how far the breastbone is from the trunk's middle line, in body units."""
        return 0.055 * float(np.sin(np.deg2rad(self.stance.yaw)))

    def print_on_chest(self) -> None:
        """Paint a two-coloured badge on the chest."""
        accent, middle = self.person.top.accent, self.front_shift()
        wide = 0.052 * self.narrow
        badge = ellipse(middle, 0.38, wide, 0.165)
        self.canvas.fill(np.array([self.torso(x, t) for x, t in badge]), accent)
        inner = [(middle + x * wide, t) for x, t in ((0.0, 0.27), (0.72, 0.44), (-0.72, 0.44))]
        self.canvas.fill(np.array([self.torso(x, t) for x, t in inner]), self.person.top.colour)

    def throat(self) -> None:
        """Paint the neck and, in a front view, the skin in the neckline."""
        person, middle = self.person, self.front_shift() * 0.6
        radius = 0.029 * (0.7 + 0.3 * person.body.build)
        high, low = (self.neck - t * self.unit * self.down for t in (0.052, 0.012))
        pieces = [self.bone(high, low, (radius,) * 3)]
        if not self.back:
            deep = {"round": 0.085, "vee": 0.16, "collar": 0.06}[person.neckline]
            edge = [(-0.043, -0.12), (0.043, -0.12)]
            if person.neckline == "vee":
                edge.append((middle, deep))
            else:
                edge += [(middle + x, t) for x, t in
                         ((0.034, deep * 0.4), (0.0, deep), (-0.034, deep * 0.4))]  # fmt: skip
            corners = [self.torso(x * self.narrow, t) for x, t in edge]
            opening = np.array(corners) if person.neckline == "vee" else smooth(corners)
            pieces.append(self.piece(opening, self.neck, self.down))
        self.canvas.paint(pieces, self.skin, rim=0.0)
        chin = self.on_head(ellipse(0.004, 0.014, 0.036, 0.066))
        self.canvas.fill(chin, shade(person.skin, 0.75))

    def collar(self) -> None:
        """Paint a shirt's collar and, in a front view, its buttons."""
        if self.person.neckline != "collar":
            return
        middle = self.front_shift() * 0.6
        colour = mix(self.person.top.colour, (255, 255, 255), 0.3)
        if self.back:
            band = [(-0.044, -0.13), (0.044, -0.13), (0.05, -0.03), (0.0, 0.0), (-0.05, -0.03)]
            self.canvas.fill(np.array([self.torso(x * self.narrow, t) for x, t in band]), colour)
            return
        for sign in (-1, 1):
            wing = [(sign * 0.043, -0.14), (sign * 0.056, -0.05),
                    (middle + sign * 0.036, 0.12), (middle, 0.055)]  # fmt: skip
            self.canvas.fill(np.array([self.torso(x * self.narrow, t) for x, t in wing]), colour)
        for t in (0.17, 0.32, 0.47, 0.62):
            x, y = self.torso(middle, t)
            size = 0.0055 * self.unit
            self.canvas.fill(ellipse(x, y, size, size), shade(self.person.top.colour, 1.3))

    # ---- arms -----------------------------------------------------------------------

    def arm_in_front(self, side: int) -> bool:
        """Return whether an arm is in front of the trunk and the head."""
        depth = self.bones.depth
        arm_depth = 0.4 * depth[ELBOW[side]] + 0.6 * depth[WRIST[side]]
        return bool(arm_depth - depth[NECK] > -0.012)

    def arm(self, side: int) -> None:
        """Paint an arm with its hand and sleeve."""
        person, b = self.person, 0.35 + 0.65 * self.person.body.build
        shoulder, elbow, wrist = (self.points[names[side]] for names in (SHOULDER, ELBOW, WRIST))
        pull = 0.008 * unit_vector(self.neck - shoulder) + 0.010 * unit_vector(elbow - shoulder)
        shoulder = shoulder + pull * self.unit
        skin = [self.bone(shoulder, elbow, (0.032 * b, 0.031 * b, 0.024 * b)),
                self.bone(elbow, wrist, (0.024 * b, 0.024 * b, 0.0155 * b)),
                *self.hand(side, elbow, wrist)]  # fmt: skip
        length = person.sleeve_length
        cloth: list[Piece] = []
        if length > 0.5:
            cloth = [self.bone(shoulder, elbow, (0.035 * b, 0.036 * b, 0.031 * b)),
                     self.bone(elbow, elbow + 0.93 * (wrist - elbow),
                               (0.031 * b, 0.029 * b, 0.024 * b), 0.3)]  # fmt: skip
        elif length > 0:
            end = shoulder + 2 * length * (elbow - shoulder)
            cloth = [self.bone(shoulder, end, (0.035 * b, 0.038 * b, 0.039 * b), 0.18)]
        self.canvas.drop_shadow([*skin, *cloth])
        self.canvas.paint(skin, self.skin, rim=0.010)
        if cloth:
            self.canvas.paint(cloth, person.sleeves[side], rim=0.011)

    def hand(self, side: int, elbow: Array, wrist: Array) -> list[Piece]:
        """Return the pieces of a hand: palm, fingers and thumb."""
        forearm = self.stance.arms[side]
        along = unit_vector(wrist - elbow)
        foreshortening = 0.55 + 0.45 * float(np.cos(np.deg2rad(forearm.lower_fore)))
        size = 0.9 * self.unit * foreshortening * self.person.body.head
        palm, tip = wrist + along * 0.022 * size, wrist + along * 0.047 * size
        # The thumb points inward, that is towards the trunk if the arm hangs down.
        sign = -1.0 if (side == self.sides[0]) else 1.0
        across = np.array([along[1], -along[0]]) * -sign
        root = wrist + along * 0.012 * size
        thumb = root + (0.022 * along + 0.020 * across) * size
        return [self.bone(wrist, palm, (0.0145, 0.017, 0.0175)),
                self.bone(palm, tip, (0.0175, 0.016, 0.0115)),
                self.bone(root, thumb, (0.0085, 0.0085, 0.0065))]  # fmt: skip

    # ---- head -----------------------------------------------------------------------

    def hair_behind(self) -> None:
        """Paint hair that hangs behind the neck, in a front view."""
        style, s = self.person.hair_style, self.face_turn
        if style == "long":
            half = [(0.0, -0.08), (0.05, -0.06), (0.062, 0.0), (0.066, 0.07), (0.068, 0.135),
                    (0.045, 0.165), (0.0, 0.16)]  # fmt: skip
        elif style == "bob":
            half = [(0.0, -0.08), (0.05, -0.06), (0.064, 0.0), (0.066, 0.055), (0.05, 0.078),
                    (0.0, 0.075)]  # fmt: skip
        elif style == "ponytail":
            side = self.person.hair_side
            tail = [(0.0, -0.02), (side * 0.06, 0.05), (side * 0.083, 0.12), (side * 0.07, 0.165),
                    (side * 0.052, 0.12), (side * 0.02, 0.06)]  # fmt: skip
            self.canvas.paint([self.head_piece(smooth(tail))], self.hair)
            return
        elif style == "bun":
            ball = ellipse(-0.025 * s, -0.092, 0.031, 0.028)
            self.canvas.paint([self.head_piece(ball)], self.hair)
            return
        else:
            return
        outline = smooth([(x - 0.012 * s, y) for x, y in mirror(half)])
        self.canvas.paint([self.head_piece(outline)], self.hair, rim=0.016)

    def skull(self) -> None:
        """Paint the ears and the head's skin."""
        size = self.unit * self.person.body.head
        ears = []
        for side in (0, 1):
            x, y = self.points[EAR[side]]
            ears.append(self.piece(ellipse(x, y, 0.011 * size, 0.017 * size),
                                   self.bones.head, self.head_down))  # fmt: skip
        self.canvas.paint(ears, Fabric(shade(self.person.skin, 0.22)), rim=0.005)
        s = 0.008 * self.face_turn
        outline = smooth([
            (0.0, -0.072), (0.031, -0.062), (0.047, -0.030), (0.048, 0.004), (0.042 + s / 2, 0.036),
            (0.025 + s, 0.061), (s, 0.069), (-0.025 + s, 0.061), (-0.042 + s / 2, 0.036),
            (-0.048, 0.004), (-0.047, -0.030), (-0.031, -0.062),
        ])  # fmt: skip
        self.canvas.paint([self.head_piece(outline)], self.skin, rim=0.008, strength=0.55)

    def face(self) -> None:
        """Paint beard, cheeks, eyes, brows, nose and mouth."""
        person, canvas, s = self.person, self.canvas, self.face_turn
        shift = 0.030 * s
        if person.beard:
            self.beard(0.018 * s)
        for x in (-0.027, 0.027):
            cheek = mix(person.skin, (226, 96, 90), 0.22)
            canvas.fill(self.on_head(ellipse(x + shift, 0.026, 0.0095, 0.0065)), cheek)
        for side in (0, 1):
            self.eye(*self.in_head(EYE[side]), -1 if side == 0 else 1)
        x, y = self.in_head(NOSE)
        bridge = [(x + 0.003, y - 0.017), (x + 0.008, y + 0.001), (x, y + 0.005),
                  (x - 0.006, y + 0.002)]  # fmt: skip
        canvas.line(self.on_head(bridge), shade(person.skin, 0.95), 0.0042)
        smile = [(x * 0.75 + dx, 0.0405 + dy) for dx, dy in
                 ((-0.016, -0.002), (-0.008, 0.003), (0.0, 0.005), (0.008, 0.003),
                  (0.016, -0.002))]  # fmt: skip
        canvas.line(self.on_head(smile), mix(person.skin, (140, 30, 40), 0.72), 0.0062)

    def eye(self, x: float, y: float, sign: int) -> None:
        """Paint an eye with its brow; `sign` is -1 for the right eye, 1 for the left."""
        canvas, hair = self.canvas, self.person.hair
        white = mix((250, 250, 250), self.person.skin, 0.22)
        canvas.fill(self.on_head(ellipse(x, y, 0.0108, 0.0080)), white)
        canvas.fill(self.on_head(ellipse(x, y, 0.0074, 0.0080)), self.person.eyes)
        canvas.fill(self.on_head(ellipse(x - 0.002, y - 0.003, 0.002, 0.002)), (255, 255, 255))
        lid = [(x - 0.0115, y - 0.003), (x - 0.006, y - 0.0085), (x, y - 0.0098),
               (x + 0.006, y - 0.0085), (x + 0.0115, y - 0.003)]  # fmt: skip
        canvas.line(self.on_head(lid), (44, 32, 34), 0.0034)
        brow = [(x - sign * 0.011, y - 0.0195), (x + sign * 0.004, y - 0.0225),
                (x + sign * 0.013, y - 0.0185)]  # fmt: skip
        canvas.line(self.on_head(brow), mix(hair, (40, 28, 28), 0.45), 0.0055)

    def beard(self, shift: float) -> None:
        """Paint a short full beard; `shift` moves the chin as the head turns."""
        outer = [(0.0485, 0.0), (0.044, 0.038), (0.027, 0.066), (0.0, 0.075)]
        inner = [(-0.040, 0.006), (-0.028, 0.030), (-0.014, 0.0275), (0.0, 0.026), (0.014, 0.0275),
                 (0.028, 0.030), (0.040, 0.006)]  # fmt: skip
        around = [*outer, *((-x, y) for x, y in reversed(outer[:-1]))]
        rim = [(x + shift * min(1.0, max(0.0, y * 25)), y) for x, y in around]
        line = [(x + shift, y) for x, y in inner]
        self.canvas.paint([self.head_piece(smooth([*rim, *line], 5))], self.hair, rim=0.006)
        lips = ellipse(shift * 1.5, 0.0425, 0.0165, 0.0075)
        self.canvas.fill(self.on_head(lips), self.person.skin)

    def hair_front(self) -> None:
        """Paint the hair on top of the head, in a front view."""
        style, side, s = self.person.hair_style, self.person.hair_side, 0.022 * self.face_turn
        if style == "bald":
            return
        low = {"short": 0.0, "parted": 0.004, "curly": 0.014}.get(style, 0.02)
        if style in ("long", "bob"):
            low = 0.062 if style == "long" else 0.05
        outer = [(0.0515, low), (0.0545, -0.022), (0.046, -0.058), (0.024, -0.079), (0.0, -0.0835)]
        top = [*outer, *((-x, y) for x, y in reversed(outer[:-1]))]
        wide = 0.043
        line = [(-wide, min(low, 0.01)), (-0.040, -0.026), (-0.016, -0.041), (0.016, -0.041),
                (0.040, -0.026), (wide, min(low, 0.01))]  # fmt: skip
        if style in ("parted", "long", "ponytail"):
            line[1:5] = [(-0.041, -0.016), (-0.030, -0.032), (0.014, -0.054), (0.036, -0.028)]
        elif style == "bob":
            line[1:5] = [(-0.040, -0.021), (-0.020, -0.0235), (0.020, -0.0235), (0.040, -0.021)]
        inner = [(side * x, y) for x, y in line]
        inner = inner if side > 0 else inner[::-1]
        inner = [(x + s * (1.0 if abs(x) < 0.042 else 0.25), y) for x, y in inner]
        pieces = [self.head_piece(smooth([*top, *inner], 5))]
        if style == "curly":
            pieces += self.curls(np.linspace(-0.1, np.pi + 0.1, 9), 0.053, 0.063)
        self.canvas.paint(pieces, self.hair, rim=0.010)
        self.gloss()

    def curls(self, angles: Array, rx: float, ry: float) -> list[Piece]:
        """Return round locks along an arc around the head; angles are in radians."""
        return [self.head_piece(ellipse(float(rx * np.cos(a)), float(-0.012 - ry * np.sin(a)),
                                         0.019, 0.019)) for a in angles]  # fmt: skip

    def gloss(self) -> None:
        """Paint a lighter streak on the hair."""
        arc = [(-0.038, -0.046), (-0.027, -0.062), (-0.012, -0.070)]
        self.canvas.line(self.on_head(arc), mix(self.person.hair, (255, 255, 255), 0.22), 0.006)

    def hair_back(self) -> None:
        """Paint the hair of a head seen from behind."""
        style, side, s = self.person.hair_style, self.person.hair_side, self.face_turn
        if style == "bald":
            half = [(0.0, -0.002), (0.036, -0.006), (0.0505, -0.02), (0.049, 0.014),
                    (0.036, 0.04), (0.0, 0.047)]  # fmt: skip
            self.canvas.paint([self.head_piece(smooth(mirror(half)))], self.hair, rim=0.008)
            return
        half = [(0.0, -0.0835), (0.024, -0.079), (0.046, -0.058), (0.0545, -0.022), (0.051, 0.014)]
        half += {
            "long": [(0.058, 0.06), (0.064, 0.13), (0.045, 0.165), (0.0, 0.17)],
            "bob": [(0.062, 0.045), (0.058, 0.075), (0.0, 0.082)],
        }.get(style, [(0.041, 0.043), (0.022, 0.058), (0.0, 0.060)])
        pieces = [self.head_piece(smooth(mirror(half)))]
        if style == "curly":
            pieces += self.curls(np.linspace(-0.5, np.pi + 0.5, 11), 0.052, 0.062)
        if style in ("long", "bob"):
            self.canvas.drop_shadow(pieces)
        self.canvas.paint(pieces, self.hair, rim=0.012)
        if style == "bun":
            ball = self.head_piece(ellipse(0.02 * s, -0.082, 0.033, 0.030))
            self.canvas.drop_shadow([ball])
            self.canvas.paint([ball], self.hair, rim=0.012)
        if style == "ponytail":
            tail = smooth([(0.012, -0.036), (0.029, 0.03), (0.027 - side * 0.008, 0.11),
                            (-side * 0.014, 0.185), (-0.027 - side * 0.008, 0.11),
                            (-0.029, 0.03), (-0.012, -0.036)])  # fmt: skip
            self.canvas.drop_shadow([self.head_piece(tail)])
            self.canvas.paint([self.head_piece(tail)], self.hair, rim=0.012)
            tie = ellipse(0.0, -0.030, 0.016, 0.007)
            self.canvas.fill(self.on_head(tie), self.person.top.colour)
        self.gloss()

    def paint(self) -> None:
        """Paint everything, from far to near."""
        depth = self.bones.depth
        legs = sorted((0, 1), key=lambda side: depth[KNEE[side]] + depth[ANKLE[side]])
        arms = sorted((0, 1), key=lambda side: depth[WRIST[side]])
        if not self.back:
            self.hair_behind()
        for side in arms:
            if not self.arm_in_front(side):
                self.arm(side)
        for side in legs:
            self.leg(side)
        self.seat()
        self.skirt()
        if self.back:
            self.throat()
        self.shirt()
        if not self.back:
            self.throat()
        self.collar()
        self.skull()
        if self.back:
            self.hair_back()
        else:
            self.face()
            self.hair_front()
        for side in arms:
            if self.arm_in_front(side):
                self.arm(side)


def _backdrop(canvas: Canvas, person: Person, bones: Skeleton) -> None:
    """Paint the floor and the shadow under the feet."""
    width, height = canvas.image.size
    colour = person.background
    if person.floor:
        band = mix(colour, (120, 110, 120), 0.10)
        canvas.image.paste(band, (0, round(0.86 * height), width, height))
        colour = band
    feet = bones.points[list(ANKLE)]
    x, wide = float(feet[:, 0].mean()), float(np.ptp(feet[:, 0])) / 2
    y = bones.floor - 0.016 * bones.unit
    for share, reach in ((0.10, 0.085), (0.2, 0.055)):
        shadow = ellipse(x, y, wide + reach * bones.unit, (0.012 + 0.12 * reach) * bones.unit)
        canvas.fill(shadow, mix(colour, (20, 18, 40), share))


def _keypoints(bones: Skeleton, stance: Stance, size: tuple[int, int]) -> Array:
    """Return the joints as (y, x) on a 0.02 px grid, which makes the neck an exact midpoint."""
    joints = np.round(np.round(bones.points[:, ::-1] * 50) / 50, 2)
    joints[NECK] = np.round(joints[list(SHOULDER)].mean(0), 2)
    missing = np.any((joints < 0) | (joints > np.array(size) - 1), axis=1).reshape(18)
    if stance.view == "back":
        missing[[NOSE, *EYE]] = True
    joints[missing] = -1.0
    return joints


def draw(
    person: Person, stance: Stance, size: tuple[int, int] = (256, 176)
) -> tuple[Image.Image, Array]:
    """Draw a person in a stance.

    Args:
        person: the person's looks.
        stance: the pose, view and place.
        size: (height, width) of the image, pixels.

    Returns:
        The RGB image, and the joints (18, 2) as (y, x) in pixels, -1 where missing; 0 is the
        centre of the first pixel.
    """
    height, width = size
    # Painted at several times the size and then reduced, which makes edges smooth.
    times = 4 if height <= 160 else 3
    bones = pose(person, stance, size)
    large = replace(
        bones,
        points=bones.points * times + (times - 1) / 2,
        toes=bones.toes * times + (times - 1) / 2,
        head=bones.head * times + (times - 1) / 2,
        unit=bones.unit * times,
        floor=bones.floor * times + (times - 1) / 2,
    )
    canvas = Canvas(width * times, height * times, large.unit, person.background)
    _backdrop(canvas, person, large)
    _Figure(canvas, person, stance, large).paint()
    return canvas.image.reduce(times), _keypoints(bones, stance, size)
