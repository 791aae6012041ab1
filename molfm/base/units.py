"""Units that stand in the header of a column, such as `IC50 (nM)`, `Solubility [mg/L]` or `Ki_uM`."""

import re

MOLAR = {"M": 1.0, "mM": 1e-3, "uM": 1e-6, "µM": 1e-6, "μM": 1e-6, "nM": 1e-9, "pM": 1e-12, "fM": 1e-15}
_MOLES = {"mol": 1.0, "mmol": 1e-3, "umol": 1e-6, "µmol": 1e-6, "μmol": 1e-6, "nmol": 1e-9, "pmol": 1e-12}
MOLAR |= {f"{moles}/{litre}": factor for moles, factor in _MOLES.items() for litre in ("L", "l")}

_PREFIXED = ["M", "g", "L", "l", "m", "s", "mol", "eV", "V", "J", "cal", "Pa", "Hz", "W", "Da", "U", "IU"]
_PLAIN = "% h hr hour hours min d day days sec e D debye K C °C degC F hartree Ha bohr Å A angstrom bar atm Torr mmHg ppm ppb cells"
_SYMBOLS = {*_PLAIN.split(), *_PREFIXED, *(prefix + unit for prefix in "fpnuµμmcdkMG" for unit in _PREFIXED)}
_IN_BRACKETS = re.compile(r"(?P<name>.*?)[\s_,]*[(\[](?P<unit>[^()\[\]]+)[)\]]\s*")
_AT_THE_END = re.compile(r"(?P<name>.*[^\s_,])(?:[\s_]+|\s*,\s*)(?P<unit>\S+)")
_LOGARITHM = re.compile(r"(-?log(10)?|ln)[\s_(]*", re.IGNORECASE)
_EXPONENT = re.compile(r"\^?[-+\N{MINUS SIGN}]?\d+$")


def is_unit(text: str) -> bool:
    """Return whether a text is a unit, such as nM, uL/min/mg or kcal mol-1."""
    words = re.split(r"[/*·\s]+", _LOGARITHM.sub("", text, count=1).strip(") "))
    return all(_EXPONENT.sub("", word) in _SYMBOLS for word in words)


def split_header(header: str) -> tuple[str, str | None]:
    """Return the name and the unit of a column from its header; the unit is None if the header names none.

    In brackets, any unit counts. Without brackets, only a concentration at the end does, as in `IC50_nM`.
    """
    if (found := _IN_BRACKETS.fullmatch(header)) and found["name"] and is_unit(found["unit"]):
        return found["name"], found["unit"].strip()
    if (found := _AT_THE_END.fullmatch(header)) and found["unit"] in MOLAR and found["unit"] != "M":
        return found["name"], found["unit"]
    return header, None
