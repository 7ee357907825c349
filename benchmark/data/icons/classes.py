"""Classes of the icon data sets, and the names that each family has for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectClass:
    """A class of drawings. A drawing belongs to it if its name starts with one of the words listed for its family."""

    name: str
    tabler: tuple[str, ...]
    others: tuple[str, ...] = ()
    """First words of the names of Remix and Phosphor drawings."""
    emoji: tuple[str, ...] = ()
    """English names of emoji, as the ``emoji`` package spells them."""


def _c(name: str, tabler: str, others: str = "", emoji: str = "") -> ObjectClass:
    return ObjectClass(name, tuple(tabler.split()), tuple(others.split()), tuple(emoji.split()))


OBJECTS = (
    _c("file", "file", "file", "page_facing_up bookmark_tabs page_with_curl"),
    _c("message", "message", "message chat", "speech_balloon left_speech_bubble"),
    _c("map", "map", "map", "world_map map_of_Japan"),
    _c("chart", "chart", "chart", "bar_chart chart_increasing chart_decreasing"),
    _c("layout", "layout", "layout"),
    _c("building", "building", "building", "office_building hotel school hospital department_store bank"),
    _c("photo", "photo", "image picture", "framed_picture"),
    _c("cloud", "cloud", "cloud", "cloud cloud_with_rain cloud_with_snow cloud_with_lightning"),
    _c("home", "home", "home house", "house house_with_garden derelict_house"),
    _c("user", "user", "user account", "bust_in_silhouette"),
    _c("lock", "lock", "lock", "locked unlocked locked_with_key locked_with_pen"),
    _c(
        "clock",
        "clock",
        "clock time timer",
        "one_o’clock three_o’clock five_o’clock eight_o’clock ten_o’clock mantelpiece_clock",
    ),
    _c("face", "mood", "emotion smiley", "grinning_face neutral_face winking_face smiling_face angry_face sleeping_face"),
    _c("eye", "eye", "eye", "eye eyes"),
    _c("flag", "flag", "flag", "triangular_flag black_flag white_flag chequered_flag"),
    _c("calendar", "calendar", "calendar", "calendar tear-off_calendar spiral_calendar"),
    _c("camera", "camera", "camera", "camera camera_with_flash"),
    _c("heart", "heart", "heart hearts", "red_heart blue_heart green_heart broken_heart black_heart"),
    _c("navigation arrow", "navigation", "navigation"),
    _c("smartphone", "device-mobile", "device-mobile smartphone", "mobile_phone mobile_phone_with_arrow mobile_phone_off"),
    _c("mail", "mail", "mail envelope", "envelope e-mail incoming_envelope love_letter envelope_with_arrow"),
    _c("shield", "shield", "shield", "shield"),
    _c("globe", "world", "earth globe", "globe_with_meridians globe_showing_Americas globe_showing_Europe-Africa"),
    _c("sliders", "adjustments", "equalizer sliders", "control_knobs level_slider"),
    _c("drop", "droplet", "drop", "droplet drop_of_blood sweat_droplets"),
    _c("box", "box", "box package", "package takeout_box"),
    _c("watch", "device-watch", "watch", "watch"),
    _c("filter", "filter", "filter funnel"),
    _c("folder", "folder", "folder", "file_folder open_file_folder"),
    _c("location arrow", "location"),
    _c("gear", "settings", "settings gear", "gear"),
    _c("basket", "basket", "shopping-basket basket", "basket"),
    _c("bell", "bell", "bell notification", "bell bell_with_slash bellhop_bell"),
    _c("monitor", "device-desktop device-imac", "computer desktop monitor", "desktop_computer"),
    _c("tablet", "device-tablet device-ipad", "device-tablet tablet"),
    _c("pencil", "pencil", "pencil", "pencil crayon"),
    _c("shopping cart", "shopping-cart", "shopping-cart", "shopping_cart"),
    _c("laundry", "wash", "t-shirt washing", "t-shirt"),
    _c("hand", "hand", "hand", "raised_hand OK_hand victory_hand waving_hand leftwards_hand rightwards_hand"),
    _c("music note", "music", "music", "musical_note musical_notes musical_score"),
    _c("pointer", "pointer", "cursor"),
    _c("circuit", "circuit", "cpu circuitry"),
    _c("gender symbol", "gender", "gender genderless men women", "female_sign male_sign transgender_symbol"),
    _c("arrow", "arrow", "arrow", "right_arrow left_arrow up_arrow down_arrow up-right_arrow down-left_arrow"),
    _c("currency", "currency", "currency money", "heavy_dollar_sign dollar_banknote euro_banknote yen_banknote money_bag"),
    _c("letter", "letter", "", "A_button_(blood_type) B_button_(blood_type) P_button"),
    _c("number", "number", "number", "keycap_1 keycap_2 keycap_4 keycap_7 keycap_9 keycap_5"),
    _c("database", "database", "database"),
    _c("battery", "battery", "battery", "battery low_battery"),
    _c("phone", "phone", "phone", "telephone telephone_receiver"),
)

MODIFIERS = {
    "off": "a strike through it",
    "plus": "a plus sign",
    "minus": "a minus sign",
    "check": "a check mark",
    "x": "a cross",
    "cancel": "a cancel sign",
    "search": "a magnifying glass",
    "star": "a star",
    "dollar": "a dollar sign",
    "heart": "a heart",
    "code": "angle brackets",
    "question": "a question mark",
}
"""Last word of a Tabler drawing's name, and what is drawn next to the main object."""

FRAMES = ("circle", "square", "triangle", "rhombus", "hexagon", "octagon", "shield", "star", "heart", "cloud")
"""Enclosing shapes, drawn by ``benchmark.data.icons.frames``."""

COMPASS = ("right", "up right", "up", "up left", "left", "down left", "down", "down right")
"""Directions in steps of 45 degrees, counter-clockwise."""

POINTING_RIGHT = tuple(
    "arrow-badge-right arrow-bar-right arrow-bar-to-right arrow-big-right arrow-big-right-line arrow-big-right-lines "
    "arrow-move-right arrow-narrow-right arrow-narrow-right-dashed arrow-right arrow-right-bar arrow-right-circle "
    "arrow-right-dashed arrow-right-rhombus arrow-right-square arrow-right-tail arrow-right-to-arc arrows-right caret-right "
    "chevron-compact-right chevron-right chevrons-right circle-arrow-right circle-caret-right circle-chevron-right "
    "circle-chevrons-right hand-finger-right square-arrow-right square-chevron-right square-chevrons-right "
    "square-rounded-arrow-right square-rounded-chevron-right square-rounded-chevrons-right player-play player-track-next "
    "player-skip-forward send login swipe-right transition-right arrow-wave-right-up".split()
)
"""Tabler drawings that point right."""
