"""The texts of figures, drawn as they are written: no formulas, and in any script that a font of this machine has."""

import contextlib
import functools
import re
import warnings

from cpt_utils.runtime import files

POWER_OF_TEN = re.compile(r"\$\\mathdefault\{[-−]?(?:[\d.]+\\times)?\d+(?:\^\{[-−]?[\d.]+\})?\}\$")
"""As the library writes them on axes; a formula in any other text is none."""
SHOWN = 12
"""Letters that a sentence lists."""


def as_written(fig) -> None:
    """Have all texts of this figure drawn as they are, since names and titles may hold "$5 and $10", or 海."""
    draw = fig.draw

    def plainly(renderer):
        for axis in fig.axes:  # labels that are still to be made are made now
            axis.get_xticklabels(which="both"), axis.get_yticklabels(which="both")
        for text in _texts(fig):
            text.set_parse_math(bool(POWER_OF_TEN.fullmatch(text.get_text())))
            text.set_text(files.encodable(text.get_text()))  # half a character cannot be drawn
            if others := _others(_foreign(text.get_text()))[0]:
                text.set_fontfamily(list(dict.fromkeys([*text.get_fontfamily(), *others])))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # `told` says it
            draw(renderer)

    fig.draw = plainly


def told(fig) -> str:
    """One sentence on the letters of a figure that are boxes, as no font of this machine has them; or ""."""
    lacking = _others(_foreign("".join(text.get_text() for text in _texts(fig))))[1]
    if not lacking:
        return ""
    letters = " ".join(lacking[:SHOWN]) + (" ..." if len(lacking) > SHOWN else "")
    return f"No font of this machine has {letters}: boxes stand there until one is installed, such as Noto Sans CJK."


def _texts(fig) -> list:
    from matplotlib.text import Text

    return fig.findobj(Text)


def _foreign(words: str) -> frozenset[str]:
    """Letters that the usual font lacks."""
    from matplotlib import font_manager

    usual = _letters(font_manager.findfont(font_manager.FontProperties()))
    return frozenset(letter for letter in words if letter.isprintable() and ord(letter) not in usual)


@functools.lru_cache(maxsize=2)
def _letters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


@functools.lru_cache(maxsize=32)
def _others(letters: frozenset[str]) -> tuple[list[str], list[str]]:
    """Families that have these letters between them, and the letters that none has."""
    left, found = set(letters), []
    for path, name in _upright() if left else ():
        if has := _drawable(path, left):
            found.append(name)
            left -= has
        if not left:
            break
    return found, sorted(left)


def _upright() -> list[tuple[str, str]]:
    """Path and family of this machine's fonts in their usual cut: those without serifs first, as figures have none.

    Those that came with the library are last: they have single letters of scripts that other fonts have as a whole.
    """
    import matplotlib
    from matplotlib.font_manager import fontManager

    upright = {
        (font.fname, font.name)
        for font in fontManager.ttflist
        if font.style == "normal" and font.weight == 400 and not font.name.replace(" ", "").startswith("LastResort")
    }  # the last resort has a box for each letter
    home = matplotlib.get_data_path()
    return sorted(upright, key=lambda font: (font[0].startswith(home), "sans" not in font[1].lower(), font))


def _drawable(path: str, letters: set[str]) -> set[str]:
    """Of some letters those that a font can draw: pictures in colours, as emoji are, cannot be."""
    from matplotlib.ft2font import FT2Font

    drawn = set()
    with contextlib.suppress(RuntimeError, OSError):  # a broken file, or one of pictures
        font = FT2Font(path)
        known = font.get_charmap()
        for letter in letters:
            if ord(letter) in known:
                font.load_char(ord(letter))
                drawn.add(letter)
    return drawn
