import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from molfm.base.arrays import spans
from molfm.catalog.shipped import card
from molfm.chem.featurize import ATOM_FIELDS, BOND_CODES, canonical_smiles, featurize
from molfm.chem.identity import scaffolds
from molfm.data.tables import locate

VARIED = {
    "alcohol": "CCO",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "strychnine": "O=C1C[C@@H]2OCC=C3CN4CC[C@]56c7ccccc7N1[C@H]5[C@H]2[C@H]3C[C@H]46",
    "pyrrole": "c1cc[nH]c1",
    "thiophene": "c1ccsc1",
    "naphthalene": "c1ccc2ccccc2c1",
    "bicycle": "C12CC1C2",
    "cation": "C[N+](C)(C)C",
    "anion": "CC(=O)[O-]",
    "zwitterion": "[NH3+]CC(=O)[O-]",
    "nitro": "O=[N+]([O-])c1ccccc1",
    "isocyanide": "C[N+]#[C-]",
    "carbon monoxide": "[C-]#[O+]",
    "methyl radical": "[CH3]",
    "carbene": "C[C]C",
    "dioxygen": "[O][O]",
    "bare carbon": "[C]",
    "vinyl radical": "C=[CH]",
    "E": "C/C=C/C",
    "Z": "C/C=C\\C",
    "E by rank of substituents, not by position": "F/C(Cl)=C/Br",
    "E and Z": "C/C=C/C=C\\C",
    "stereo in a ring": "C1=CCCCCCC1",
    "oxime": "C/C=N/O",
    "diazene": "C/N=N/C",
    "allene": "CC=C=CC",
    "unknown double bond": "CC=CC",
    "R": "C[C@@H](N)C(=O)O",
    "S": "C[C@H](N)C(=O)O",
    "E and R": "CC/C=C/[C@H](F)Cl",
    "sulfoxide": "CC[S@](C)=O",
    "sulfate": "O=S(=O)(O)O",
    "cis": "C[C@H]1CC[C@@H](C)CC1",
    "quadruple bond": "[Re]$[Re]",
    "dative": "[NH3]->[Pt](Cl)(Cl)<-[NH3]",
    "dative from a ring": "[Zn]<-n1ccccc1",
    "ferrocene": "[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1",
    "salt": "[Na+].[Cl-]",
    "Grignard": "C[Mg]Br",
    "uranium": "[U]",
    "oganesson": "[Og]",
    "sulfur hexafluoride": "FS(F)(F)(F)(F)F",
    "hexafluorophosphate": "F[P-](F)(F)(F)(F)F",
    "silane": "C[Si](C)(C)C",
    "boronic acid": "OB(O)c1ccccc1",
    "heavy water": "[2H]O[2H]",
    "labelled": "[13CH4]",
    "hydrogen": "[H][H]",
    "proton": "[H+]",
}
BOND_TYPES = {
    Chem.BondType.SINGLE: 0,
    Chem.BondType.DOUBLE: 1,
    Chem.BondType.TRIPLE: 2,
    Chem.BondType.AROMATIC: 3,
}
STEREO = {
    Chem.BondStereo.STEREONONE: 0,
    Chem.BondStereo.STEREOANY: 1,
    Chem.BondStereo.STEREOZ: 2,
    Chem.BondStereo.STEREOE: 3,
}


def rdkit_atom_codes(mol):
    rows = []
    for atom in mol.GetAtoms():
        label = atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else ""
        values = {
            "element": atom.GetAtomicNum(),
            "degree": atom.GetTotalDegree(),
            "charge": atom.GetFormalCharge() + 7,
            "radicals": atom.GetNumRadicalElectrons(),
            "valence": atom.GetTotalValence(),
            "hydrogens": atom.GetTotalNumHs(),
            "aromatic": int(atom.GetIsAromatic()),
            "in_ring": int(atom.IsInRing()),
            "chirality": {"": 0, "R": 1, "S": 2}[label],
        }
        rows.append([min(values[name], size - 1) for name, size in ATOM_FIELDS.items()])
    return rows


def rdkit_bond_codes(mol):
    return [
        [BOND_TYPES.get(bond.GetBondType(), 4), STEREO[bond.GetStereo()], int(bond.IsInRing())]
        for bond in mol.GetBonds()
    ]


def random_spellings(smiles, count=20):
    return list(Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), count, randomSeed=7))


def reasons(*smiles):
    return [rejected.reason for rejected in featurize(list(smiles)).rejected]


# ---------------------------------------------------------------------------------------------------------------- codes


@pytest.mark.parametrize("smiles", VARIED.values(), ids=VARIED)
def test_codes_agree_with_rdkit(smiles):
    found = featurize([smiles])
    mol = Chem.MolFromSmiles(found.smiles[0])
    assert found.atoms.tolist() == rdkit_atom_codes(mol)
    assert BOND_CODES[found.bonds[:, 2]].tolist() == rdkit_bond_codes(mol)
    assert found.bonds[:, :2].tolist() == [[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] for bond in mol.GetBonds()]


def test_many_molecules_get_the_same_codes_as_each_alone():
    together = featurize(list(VARIED.values()))
    for i, smiles in enumerate(VARIED.values()):
        alone = featurize([smiles])
        assert together.smiles[i] == alone.smiles[0]
        assert together.identity[i].tolist() == alone.identity[0].tolist()
        atoms, bonds = slice(*together.atom_ptr[i : i + 2]), slice(*together.bond_ptr[i : i + 2])
        assert together.atoms[atoms].tolist() == alone.atoms.tolist()
        assert together.bonds[bonds].tolist() == alone.bonds.tolist()
        for level, part in (("node", atoms), ("edge", bonds)):
            assert together.places[level].order[part].tolist() == alone.places[level].order.tolist()
            assert together.places[level].written[i] == alone.places[level].written[0]


@pytest.mark.parametrize("name", ["b3db", "qm9_mini"])
def test_codes_of_the_embedded_tables_agree_with_rdkit(name):
    [path] = locate(card(name), progress=False).paths
    found = featurize(pd.read_parquet(path).smiles)
    assert len(found.smiles) > 4_000 and not found.rejected
    for i, key in enumerate(found.smiles):
        mol = Chem.MolFromSmiles(key)
        bonds = found.bonds[slice(*found.bond_ptr[i : i + 2])]
        assert found.atoms[slice(*found.atom_ptr[i : i + 2])].tolist() == rdkit_atom_codes(mol), key
        assert BOND_CODES[bonds[:, 2]].tolist() == rdkit_bond_codes(mol), key
        assert bonds[:, :2].tolist() == [[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in mol.GetBonds()], key


def test_codes_of_ethanol():
    found = featurize(["OCC"])
    assert found.smiles == ["CCO"]
    columns = dict(zip(ATOM_FIELDS, found.atoms.T.tolist(), strict=True))
    assert columns == {
        "element": [6, 6, 8],
        "degree": [4, 4, 2],
        "charge": [7, 7, 7],
        "radicals": [0, 0, 0],
        "valence": [4, 4, 2],
        "hydrogens": [3, 2, 1],
        "aromatic": [0, 0, 0],
        "in_ring": [0, 0, 0],
        "chirality": [0, 0, 0],
    }
    assert found.bonds[:, :2].tolist() == [[0, 1], [1, 2]]
    assert BOND_CODES[found.bonds[:, 2]].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_mirror_images_differ_only_in_chirality():
    left, right = featurize(["C[C@H](N)C(=O)O"]), featurize(["C[C@@H](N)C(=O)O"])
    chirality = list(ATOM_FIELDS).index("chirality")
    assert np.argwhere(left.atoms != right.atoms).tolist() == [[1, chirality]]
    assert (left.atoms[1, chirality], right.atoms[1, chirality]) == (2, 1)
    assert left.bonds.tolist() == right.bonds.tolist()


def test_isotopes_have_their_own_keys_and_the_codes_of_their_element():
    found = featurize(["[13CH4]", "C"])
    assert found.smiles == ["[13CH4]", "C"]
    assert found.atoms[0].tolist() == found.atoms[1].tolist()
    assert featurize(["[2H]C"]).atoms[:, 0].tolist() == [1, 6]


# ------------------------------------------------------------------------------------------------------- keys and order


@pytest.mark.parametrize("smiles", VARIED.values(), ids=VARIED)
def test_every_spelling_gives_the_same_molecule(smiles):
    first = featurize([smiles])
    spellings = random_spellings(smiles)
    others = featurize(spellings)
    assert others.rejected == []
    assert set(others.smiles) == set(first.smiles)
    assert others.atoms.tolist() == first.atoms.tolist() * len(spellings)
    assert others.bonds.tolist() == first.bonds.tolist() * len(spellings)
    assert (others.identity == first.identity).all()


@pytest.mark.parametrize("smiles", VARIED.values(), ids=VARIED)
def test_a_key_is_its_own_key(smiles):
    key = canonical_smiles(smiles)
    assert canonical_smiles(key) == key == featurize([key]).smiles[0]


@pytest.mark.parametrize("smiles", VARIED.values(), ids=VARIED)
def test_places_lead_from_stored_atoms_and_bonds_to_the_input(smiles):
    for spelling in random_spellings(smiles, 5):
        found, given = featurize([spelling]), Chem.MolFromSmiles(spelling)
        atoms, bonds = (found.places[level].order.tolist() for level in ("node", "edge"))
        assert sorted(atoms) == list(range(given.GetNumAtoms()))
        assert sorted(bonds) == list(range(given.GetNumBonds()))
        assert [given.GetAtomWithIdx(i).GetAtomicNum() for i in atoms] == found.atoms[:, 0].tolist()
        assert [given.GetAtomWithIdx(i).GetTotalNumHs() for i in atoms] == found.atoms[:, 5].tolist()
        for (begin, end, _), number in zip(found.bonds.tolist(), bonds, strict=True):
            bond = given.GetBondWithIdx(number)
            assert {atoms[begin], atoms[end]} == {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()}


@pytest.mark.parametrize("spelling", ["[OH:0][CH2:1][CH3:2]", "[CH2:1]([OH:0])[CH3:2]", "[CH3:2][CH2:1][OH:0]"])
def test_map_numbers_from_zero_give_the_order_of_node_labels(spelling):
    found = featurize([spelling])
    assert found.smiles == ["CCO"]
    assert found.places["node"].order.tolist() == [2, 1, 0]


@pytest.mark.parametrize("spelling", ["[OH:1][CH2:2][CH3:3]", "[CH2:2]([OH:1])[CH3:3]", "[CH3:3][CH2:2][OH:1]"])
def test_map_numbers_from_one_give_the_order_of_node_labels(spelling):
    found = featurize([spelling])
    assert found.smiles == ["CCO"]
    assert found.places["node"].order.tolist() == [2, 1, 0]


def test_map_numbers_do_not_reorder_bonds():
    """A bond label belongs to the bond of that number in the string, mapped or not."""
    mapped, plain = featurize(["[CH3:3][C:1]#[N:2]"]), featurize(["CC#N"])
    assert mapped.places["edge"].order.tolist() == plain.places["edge"].order.tolist()
    assert mapped.places["node"].order.tolist() == [2, 0, 1]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "smiles", ["CC(C)O", "C1CCCCC1O", "CC=C(C)C", "c1ccccc1C", "C[C@H](N)C(=O)O", "C/C=C/C", "C[CH]C"]
)
def test_map_numbers_do_not_change_the_key(smiles, first):
    """Numbers make equal atoms look different to RDKit; this must not create stereocentres."""
    mol = Chem.MolFromSmiles(smiles)
    plain = featurize([smiles])
    for number, atom in enumerate(mol.GetAtoms(), first):
        atom.SetAtomMapNum(number)
    found = featurize([Chem.MolToSmiles(mol)])
    assert found.smiles == plain.smiles
    assert found.identity.tolist() == plain.identity.tolist()
    assert found.atoms.tolist() == plain.atoms.tolist()


@pytest.mark.parametrize("spelling", ["[CH3:1][C@H:2]([CH3:3])[OH:4]", "[CH3:0]/[CH:1]=[C:2](/[CH3:3])[CH3:4]"])
def test_stereo_that_only_map_numbers_create_is_dropped(spelling):
    found = featurize([spelling])
    plain = Chem.MolFromSmiles(spelling)
    for atom in plain.GetAtoms():
        atom.SetAtomMapNum(0)
    assert found.smiles == [Chem.CanonSmiles(Chem.MolToSmiles(plain))]


@pytest.mark.parametrize("spelling", ["[CH3:5]C", "[CH3:1][CH2:1][OH:2]", "[CH3:2][OH:3]", "[CH3:1][CH2:2][CH2:4]O"])
def test_map_numbers_with_gaps_are_rejected(spelling):
    assert reasons(spelling) == ["atom-map numbers must be all of 0…n-1 or 1…n"]


def test_canonical_smiles_is_the_key_or_none():
    assert canonical_smiles("[CH3:1][OH:2]") == canonical_smiles("OC") == "CO"
    assert canonical_smiles("nonsense") is canonical_smiles("") is canonical_smiles("*C") is None


# -------------------------------------------------------------------------------------------------------------- rejected


@pytest.mark.parametrize("empty", ["", "  ", None, float("nan")])
def test_an_empty_smiles_is_rejected(empty):
    assert reasons(empty) == ["empty SMILES"]


@pytest.mark.parametrize("text", ["restricted", "C1CC", "c1cccc1", "C(C)(C)(C)(C)C", "[Xx]", "C-"])
def test_smiles_that_rdkit_cannot_parse_are_rejected(text):
    assert reasons(text) == ["RDKit cannot parse this SMILES"]


@pytest.mark.parametrize("text", ["*", "*C", "[*:1]C", "c1ccccc1*", "[1*]CC", "[#0]C"])
def test_dummy_atoms_are_rejected(text):
    assert reasons(text) == ["dummy atom (*): a fragment, not a molecule"]


def test_molecules_beyond_the_largest_size_are_rejected(monkeypatch):
    monkeypatch.setattr("molfm.chem.featurize.MAX_ATOMS", 300)
    found = featurize(["C" * 300, "C" * 301])
    assert found.smiles == ["C" * 300]
    assert found.bonds[-1, :2].tolist() == [298, 299]
    assert [rejected.reason for rejected in found.rejected] == ["301 atoms, at most 300 can be stored"]


def test_a_rejected_row_is_named_and_the_rows_around_it_stay():
    found = featurize(["CO", "nonsense", "O", None, "N"], first_row=100)
    assert found.row.tolist() == [100, 102, 104]
    assert found.smiles == ["CO", "O", "N"]
    assert [(rejected.row, rejected.smiles) for rejected in found.rejected] == [(101, "nonsense"), (103, "")]


def test_single_atoms_and_disconnected_molecules_are_handled():
    found = featurize(["C", "[Na+].[Cl-]", "O.CCO"])
    assert found.rejected == []
    assert np.diff(found.atom_ptr).tolist() == [1, 2, 4]
    assert np.diff(found.bond_ptr).tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    "text", ["C~C", "C:C", "CCO>>CC=O", "[Cu]<-[NH3]", "C%10CCC%10", "[CH3:1].[*:2]", "[Fe]~c1ccccc1"]
)
def test_strange_bonds_and_texts_are_never_fatal(text):
    """The text is stored or rejected, and the molecules around it are stored."""
    found = featurize(["CO", text, "O"])
    assert len(found.smiles) + len(found.rejected) == 3
    assert (found.smiles[0], found.smiles[-1]) == ("CO", "O")


@pytest.mark.parametrize("smiles", [[], ["nonsense", ""]])
def test_without_molecules_the_arrays_are_empty(smiles):
    found = featurize(smiles)
    assert (found.atoms.shape, found.bonds.shape, found.identity.shape) == ((0, 9), (0, 3), (0, 2))
    assert (found.atom_ptr.tolist(), found.bond_ptr.tolist()) == ([0], [0])
    assert len(found.rejected) == len(smiles)


# ----------------------------------------------------------------------------------------------------------------- spans


def test_spans_are_the_concatenated_ranges():
    starts, lengths = np.array([5, 0, 7, 2]), np.array([2, 3, 0, 1])
    assert spans(starts, lengths).tolist() == [5, 6, 0, 1, 2, 2]
    assert spans(np.zeros(0, int), np.zeros(0, int)).tolist() == []


# ------------------------------------------------------------------------------------------------ CXSMILES and salt forms


@pytest.mark.parametrize(
    ("smiles", "key", "change"),
    [
        ("C[C@H](N)O |&1:1|", "CC(N)O", "racemic or relative"),
        ("C[C@H](N)O |o1:1|", "CC(N)O", "racemic or relative"),
        ("C[C@H](N)O |a:1|", "C[C@H](N)O", "only what changes"),
        ("C[C@H](N)[C@H](F)Cl |a:1,&1:3|", "C[C@H](N)C(F)Cl", "racemic or relative"),
        ("C[C@H](N)O |(0,0,;1,0,;2,0,;1,1,)|", "C[C@H](N)O", "only what changes"),
    ],
)
def test_racemic_and_relative_centres_become_unspecified_and_extensions_are_reported(smiles, key, change):
    found = featurize(["C", smiles], first_row=7)
    assert found.smiles[1] == Chem.CanonSmiles(key)
    assert [(item.row, item.smiles) for item in found.changed] == [(8, smiles)]
    assert change in found.changed[0].change
    assert found.atoms.tolist() == featurize(["C", key]).atoms.tolist()


def test_map_numbers_are_read_from_the_smiles_and_not_from_what_follows_it():
    plain = featurize(["[CH3:2][OH:1]"]).places["node"]
    for rest in ("methanol: CH3OH", "|$A:1;B:2$|"):
        assert featurize([f"[CH3:2][OH:1] {rest}"]).places["node"].order.tolist() == plain.order.tolist()


@pytest.mark.parametrize(
    "forms",
    [
        ("CCN", "CC[NH3+].[Cl-]", "CCN.Cl", "CCN.CCN.OS(=O)(=O)O", "[2H]C([2H])CN"),
        ("CC(=O)O", "CC(=O)[O-].[Na+]", "CC(=O)[O-]"),
        ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)O.[Cl-]"),
        ("C[C@H](N)C(=O)O", "C[C@@H]([NH3+])C([O-])=O", "CC(N)C(O)=O.O"),
    ],
)
def test_the_salts_of_a_parent_share_its_constitution_and_scaffold(forms):
    found = featurize(forms)
    assert len(set(found.identity[:, 1].tolist())) == 1
    assert len(set(found.identity[:, 0].tolist())) == len(forms)
    rings = [f"c1ccccc1{form.removeprefix('[2H]')}" for form in forms]
    assert len(set(scaffolds([Chem.CanonSmiles(form) for form in rings]).tolist())) == 1


def test_a_charge_that_cannot_be_neutralized_makes_another_constitution():
    found = featurize(["CN(C)C", "C[N+](C)(C)C"])
    assert found.identity[0, 1] != found.identity[1, 1]
