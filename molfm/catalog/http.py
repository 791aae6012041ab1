"""Download a URL to a file; interrupted downloads resume, so only the missing bytes are requested again.

pooch cannot resume downloads and deletes incomplete ones, so this module uses requests directly. `download.py` decides
where a file belongs and which SHA-256 it must have.
"""

import json
import time
from pathlib import Path

from molfm.base.files import write_text
from molfm.base.progress import tqdm

TIMEOUT = (10, 30)  # seconds to connect, and seconds of silence after which a server counts as dead
WAITS = (1, 2, 4)  # seconds before each retry; they start over whenever the file has grown
# A server that compresses on the fly would make sizes and ranges meaningless.
HEADERS = {"User-Agent": "molfm", "Accept-Encoding": "identity"}


class DownloadError(RuntimeError):
    """A file could not be downloaded, or is not the expected one; the message says why and what to do."""


def stream(url: str, part: Path, progress: bool, md5: str | None = None) -> None:
    """Download `url` to `part`, resuming where an earlier attempt stopped.

    Raises:
        DownloadError: the server refuses or keeps failing (`part` is kept), or the MD5 is wrong (`part` is deleted).
    """
    import pooch
    import requests
    import urllib3

    waits, most = list(WAITS), 0
    while True:
        try:
            _stream_on(url, part, progress)
            break
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            status = getattr(getattr(error, "response", None), "status_code", 500)
            size = part.stat().st_size if part.exists() else 0
            if size > most:
                waits, most = list(WAITS), size
            if not waits or (status < 500 and status not in (408, 429)):
                kept = f" {size:,} bytes are kept; the next call resumes there." if size else ""
                raise DownloadError(f"{error}.{kept}") from error
            time.sleep(waits.pop(0))
    if md5 and (found := pooch.file_hash(part, "md5")) != md5.removeprefix("md5:"):
        part.unlink()
        raise DownloadError(f"{url}: MD5 is {found}, expected {md5}. Deleted the download for safety.")


def _stream_on(url: str, part: Path, progress: bool) -> None:
    """Request the missing bytes of `part` once; if the answer belongs to another file, the next call starts over."""
    import requests

    notes = Path(f"{part}.json")
    noted = json.loads(notes.read_text("utf-8")) if notes.exists() and part.exists() else {}
    start = part.stat().st_size if noted.get("url") == url else 0
    if start and start == noted["size"]:
        return  # complete, but not checked yet
    ask = HEADERS | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=ask, stream=True, timeout=TIMEOUT) as answer:
        resumed, span = answer.status_code == 206, answer.headers.get("Content-Range", "")
        length = span.rpartition("/")[2] if resumed else answer.headers.get("Content-Length", "")
        facts = {"url": url, "size": int(length) if length.isdigit() else None}
        facts |= {key: answer.headers.get(key) for key in ("ETag", "Last-Modified")}
        if answer.status_code == 416 or (resumed and (facts != noted or not span.startswith(f"bytes {start}-"))):
            part.unlink(missing_ok=True)
            raise requests.RequestException("the file on the server has changed")
        answer.raise_for_status()
        write_text(notes, json.dumps(facts))
        shown = {"desc": part.stem, "total": facts["size"], "unit": "B", "unit_scale": True, "disable": not progress}
        with open(part, "ab" if resumed else "wb") as file, tqdm(initial=resumed * start, **shown) as bar:
            for chunk in answer.raw.stream(2**16, decode_content=False):
                bar.update(file.write(chunk))
    if facts["size"] not in (None, part.stat().st_size):
        raise requests.RequestException(f"received {part.stat().st_size:,} bytes, expected {facts['size']:,}")
