"""One URL to one file, over lines that drop and servers that fail: what came is kept, and only the rest is asked for.

pooch has no resumed downloads and deletes what a broken one leaves, so this is requests, by hand. Where a file belongs
and which hash it has to have is not known here.
"""

import json
import time
from pathlib import Path

from tqdm.auto import tqdm

from molfm.base.files import write_text

TIMEOUT = (10, 30)  # seconds to connect, and of silence after which a server counts as dead
WAITS = (1, 2, 4)  # seconds before each new try; they start anew whenever the file has grown
# A server that compresses on the fly would make sizes and ranges meaningless.
HEADERS = {"User-Agent": "molfm", "Accept-Encoding": "identity"}


class DownloadError(RuntimeError):
    """A file cannot be had, or is not what it should be; the message says why and what to do."""


def stream(url: str, part: Path, progress: bool, md5: str | None = None) -> None:
    """Download `url` to `part`, going on where an earlier try stopped.

    Raises:
        DownloadError: the server refuses, or failed after some tries; `part` is kept then. Or the MD5 is another.
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
                kept = f" {size:,} bytes are kept, the next call goes on from there." if size else ""
                raise DownloadError(f"{error}.{kept}") from error
            time.sleep(waits.pop(0))
    if md5 and (found := pooch.file_hash(part, "md5")) != md5.removeprefix("md5:"):
        part.unlink()
        raise DownloadError(f"{url}: MD5 is {found}, expected {md5}. Deleted the download for safety.")


def _stream_on(url: str, part: Path, progress: bool) -> None:
    """Ask once for what `part` lacks; an answer that belongs to another file makes the next call start over."""
    import requests

    notes = Path(f"{part}.json")
    noted = json.loads(notes.read_text("utf-8")) if notes.exists() and part.exists() else {}
    start = part.stat().st_size if noted.get("url") == url else 0
    if start and start == noted["size"]:
        return  # all is there; it was only not checked yet
    ask = HEADERS | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=ask, stream=True, timeout=TIMEOUT) as answer:
        resumed, span = answer.status_code == 206, answer.headers.get("Content-Range", "")
        length = span.rpartition("/")[2] if resumed else answer.headers.get("Content-Length", "")
        told = {"url": url, "size": int(length) if length.isdigit() else None}
        told |= {key: answer.headers.get(key) for key in ("ETag", "Last-Modified")}
        if answer.status_code == 416 or (resumed and (told != noted or not span.startswith(f"bytes {start}-"))):
            part.unlink(missing_ok=True)
            raise requests.RequestException("the file on the server has changed")
        answer.raise_for_status()
        write_text(notes, json.dumps(told))
        shown = {"desc": part.stem, "total": told["size"], "unit": "B", "unit_scale": True, "disable": not progress}
        with open(part, "ab" if resumed else "wb") as file, tqdm(initial=resumed * start, **shown) as bar:
            for chunk in answer.raw.stream(2**16, decode_content=False):
                bar.update(file.write(chunk))
    if told["size"] not in (None, part.stat().st_size):
        raise requests.RequestException(f"{part.stat().st_size:,} bytes came, {told['size']:,} were announced")
