"""Search a mix for molecules by text, substructure or similarity, a chunk at a time.

There is no index to build or keep: RDKit's substructure library reads tens of thousands of canonical SMILES per second.
A search is a generator that yields its hits after every chunk, so they can be shown while it runs, and it can be left.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdFingerprintGenerator, rdSubstructLibrary

from molfm.base.errors import InputError
from molfm.chem.featurize import canonical_smiles
from molfm.explore.lookup import Lookup

WAYS = ("text", "substructure", "similarity")
CHUNK = 2_000
MAX_NEAR = 5  # names that are suggested when nothing was found
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
_NEEDS_ALL = set("^@/\\")  # they ask for hybridization or stereo, which trusted SMILES are parsed without


class Hits(NamedTuple):
    """What a search found in one chunk."""

    checked: int  # number of molecules searched so far
    molecules: np.ndarray  # (n_hits,) numbers of the molecules found
    similarity: np.ndarray | None  # (n_hits,) float32, Tanimoto; None for the other ways


def smarts(text: str) -> Chem.Mol:
    """Return the substructure pattern of a SMARTS.

    Raises:
        ValueError: `text` is not a valid SMARTS.
    """
    with rdBase.BlockLogs():
        pattern = Chem.MolFromSmarts(text)
    if pattern is None or not pattern.GetNumAtoms():
        raise InputError(f"{text!r} is not a valid SMARTS. Expected a pattern such as c1ccccc1 or [NX3;H2].")
    return pattern


def way_of(text: str) -> str:
    """Return the way to search that a text asks for by its form.

    A SMILES asks for this molecule and a pattern that only SMARTS can write for a substructure; everything else is a
    name, an id or `#` and a number. The answer is one of `WAYS`.
    """
    text = text.strip()
    with rdBase.BlockLogs():
        # RDKit reads "[#8]" as a SMILES too, but only patterns are written so.
        pattern = "[#" in text or not set("*~").isdisjoint(text)
        if text.isalnum() or (not pattern and Chem.MolFromSmiles(text) is not None):
            return "text"
        return "substructure" if Chem.MolFromSmarts(text) else "text"  # "" and "#12" are no patterns


def near_names(lookup: Lookup, text: str) -> Iterator[list[str]]:
    """Find the names of molecules that are most like a text, a chunk at a time.

    Yields:
        After each chunk, the best names so far, at most `MAX_NEAR`, most similar first. Similarity is that of the sets
        of three neighbouring letters (Jaccard); names below 0.25 do not count.
    """
    wanted, best = _triples(text), {}
    for start in range(0, len(lookup.mix), CHUNK):
        for name in lookup.names(np.arange(start, min(start + CHUNK, len(lookup.mix)))):
            for one in name.split(" / "):
                own = _triples(one)
                likeness = len(own & wanted) / len(own | wanted)
                if likeness >= 0.25:
                    best[one] = likeness
        best = dict(sorted(best.items(), key=lambda item: -item[1])[:MAX_NEAR])
        yield list(best)


def _triples(text: str) -> set[str]:
    padded = f"  {text.lower()} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


def search(
    lookup: Lookup, text: str, way: Literal["text", "substructure", "similarity"], among: np.ndarray
) -> Iterator[Hits]:
    """Search molecules of a mix, a chunk at a time.

    Args:
        lookup: access to the mix.
        text: what to search for. For "text", a SMILES (in any notation), a part of a name or id, or `#` and the number
            of a molecule; for "substructure", a SMARTS; for "similarity", a SMILES.
        way: how to search. "similarity" returns every molecule with its Tanimoto similarity of Morgan fingerprints
            (radius 2, 2,048 bits).
        among: (n,) numbers of the molecules to search.

    Raises:
        ValueError: `way` is unknown, or `text` is not the valid SMARTS or SMILES that it needs.
    """
    if way not in WAYS:
        raise InputError(f"Unknown way to search {way!r}; expected one of {', '.join(WAYS)}.")
    find = {"text": _text, "substructure": _substructure, "similarity": _similarity}[way](lookup, text.strip())

    def chunks() -> Iterator[Hits]:
        for start in range(0, len(among), CHUNK):
            part = among[start : start + CHUNK]
            hit, score = find(part)
            yield Hits(start + len(part), part[hit], score)

    return chunks()


def _text(lookup: Lookup, text: str):
    with rdBase.BlockLogs():
        key = canonical_smiles(text)
    number = int(text[1:]) if text[:1] == "#" and text[1:].isdecimal() else -1

    def find(part: np.ndarray):
        hit = lookup.named(text, part) | (part == number)
        if key:
            hit |= np.array([smiles == key for smiles in lookup.smiles(part)], bool)
        return hit, None

    return find


def _substructure(lookup: Lookup, text: str):
    pattern = smarts(text)
    careful = _NEEDS_ALL & set(text)
    Holder = rdSubstructLibrary.CachedSmilesMolHolder if careful else rdSubstructLibrary.CachedTrustedSmilesMolHolder

    def find(part: np.ndarray):
        molecules = Holder()
        for smiles in lookup.smiles(part):
            molecules.AddSmiles(smiles)
        found = rdSubstructLibrary.SubstructLibrary(molecules).GetMatches(pattern, numThreads=-1, maxResults=-1)
        return np.isin(np.arange(len(part)), np.array(found, int)), None

    return find


def _similarity(lookup: Lookup, text: str):
    with rdBase.BlockLogs():
        query = Chem.MolFromSmiles(text)
    if query is None or not query.GetNumAtoms():
        raise InputError(f"{text!r} is not a valid SMILES. Expected a molecule such as CC(=O)Oc1ccccc1C(=O)O.")
    query = _MORGAN.GetFingerprint(query)

    def find(part: np.ndarray):
        prints = [_MORGAN.GetFingerprint(_parse_fast(smiles)) for smiles in lookup.smiles(part)]
        return np.ones(len(part), bool), np.array(DataStructs.BulkTanimotoSimilarity(query, prints), np.float32)

    return find


def _parse_fast(smiles: str) -> Chem.Mol:
    """Parse a canonical SMILES four times as fast: aromaticity is written in it, and fingerprints need only rings."""
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    mol.UpdatePropertyCache(False)
    Chem.FastFindRings(mol)
    return mol


def fingerprints(smiles: Sequence[str]) -> np.ndarray:
    """Return the Morgan fingerprints (radius 2, 2,048 bits) of canonical SMILES, (n, 2048) uint8."""
    found = [_MORGAN.GetFingerprintAsNumPy(_parse_fast(text)) for text in smiles]
    return np.array(found, np.uint8).reshape(-1, 2048)
