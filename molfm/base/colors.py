"""The colours of figures, drawings and widgets. Each has one meaning, which `THEMES` names; splits and series differ by
line style instead.
"""

# role -> colour. A domain's colour stands for that domain, and helps and hurts for a difference; "cannot tell" is hatched
# in `edge`. Signed numbers, such as charges and correlations, run from `negative` over `zero` to `positive`.
# In the picture of labels, classes run from `inactive` to `active` and numbers from `low` to `high`.
THEMES = {
    "light": {
        "ground": "#f5f7f9",
        "paper": "#ffffff",
        "line": "#d9dee5",
        "edge": "#808a99",
        "text": "#1b1f24",
        "quiet": "#596272",
        "focus": "#2563eb",
        "wrong": "#a8240f",
        "quantum": "#4c5fd5",
        "physicochemical": "#0d9488",
        "biological": "#d97706",
        "transcriptomic": "#a21caf",
        "helps": "#0f766e",
        "hurts": "#a3521a",
        "negative": "#e5484d",
        "zero": "#ffffff",
        "positive": "#3b82f6",
        "inactive": "#cbd2db",
        "active": "#1b1f24",
        "low": "#dfe4fb",
        "high": "#4c5fd5",
    },
    "dark": {
        "ground": "#1d2229",
        "paper": "#14171c",
        "line": "#363e49",
        "edge": "#7f8998",
        "text": "#e6e9ee",
        "quiet": "#a3adba",
        "focus": "#74a7ff",
        "wrong": "#ff9d88",
        "quantum": "#8795f7",
        "physicochemical": "#2cc3b4",
        "biological": "#f0a13c",
        "transcriptomic": "#dd7be8",
        "helps": "#3fb8a9",
        "hurts": "#dd8a50",
        "negative": "#f26a6e",
        "zero": "#2a303a",
        "positive": "#5b9bff",
        "inactive": "#4b5563",
        "active": "#f1f4f8",
        "low": "#2c3363",
        "high": "#9aa6fa",
    },
}

# atomic number -> colour, in mid-tones of the usual convention that are readable on white and on black
ELEMENTS = {
    1: "#b9c0ca",
    6: "#6e737a",
    7: "#3f6fd8",
    8: "#dc3a35",
    9: "#2f9e5b",
    15: "#c2701c",
    16: "#a8860b",
    17: "#2f9e5b",
    35: "#a05a3c",
    53: "#8a4fb5",
}


def rgb(color: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a colour such as "#4c5fd5"."""
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))
