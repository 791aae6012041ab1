"""Downloads of a URL to a file, from a server on this machine that can be told to misbehave."""

import hashlib
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from molfm.catalog import http
from molfm.catalog.http import DownloadError, stream

DATA = random.Random(0).randbytes(300_000)
PATH = "/neurips_2023/Small-dataset/ToyMix/qm9.csv.gz"  # as on the official server


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files` with ranges; each request takes one fault from `server.faults`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, fault = self.server, self.server.faults.pop(0) if self.server.faults else {}
        asked = {"path": self.path, "range": self.headers.get("Range"), "sent": 0}
        server.requests.append(asked)
        time.sleep(fault.get("wait", 0))
        if fault.get("status") or self.path not in server.files:
            return self.answer(fault.get("status", 404), {"Content-Length": "0"})
        data, start = server.files[self.path], 0
        if asked["range"] and not fault.get("no_range"):
            start = int(asked["range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                return self.answer(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
        resumed = asked["range"] and not fault.get("no_range")
        headers = {"ETag": fault.get("etag", '"one"')} if server.etags else {}
        headers |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if resumed else {}
        headers["Content-Length"] = str(len(data) - start + fault.get("lie", 0))
        self.answer(206 if resumed else 200, headers)
        body = data[start : start + fault.get("drop", len(data))]
        asked["sent"] = len(body)  # noted first: the test continues as soon as the last byte has arrived
        self.wfile.write(body)
        if "stall" in fault:
            self.wfile.flush()
            time.sleep(fault["stall"])
        if fault:
            self.close_connection = True

    def answer(self, status, headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A loopback server: `files` (path -> bytes), `faults` (one per request), `requests` (what was asked and sent)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.files, server.faults, server.requests, server.etags = {PATH: DATA}, [], [], True
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Use no proxy, and do not wait before retries."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(http, "WAITS", (0, 0, 0))
    monkeypatch.setattr(http, "TIMEOUT", (5, 5))


@pytest.fixture
def part(tmp_path):
    """The path of a test's download."""
    return tmp_path / "qm9.csv.gz.part"


def got(url, part, **options):
    """Return the content of the file after a download."""
    stream(url, part, progress=False, **options)
    return part.read_bytes()


def test_a_dropped_download_asks_only_for_the_rest(part, server):
    server.faults = [{"drop": 100_000}, {"drop": 100_000}]
    assert got(server.url + PATH, part) == DATA
    assert [asked["range"] for asked in server.requests] == [None, "bytes=100000-", "bytes=200000-"]
    assert [asked["sent"] for asked in server.requests] == [100_000, 100_000, 100_000]


def test_retries_start_over_whenever_the_file_has_grown(part, server):
    server.faults = [{"drop": 40_000}] * 7
    assert got(server.url + PATH, part) == DATA
    assert len(server.requests) == 8


def test_a_server_that_makes_no_progress_is_given_up(part, server):
    server.faults = [{"drop": 100_000, "no_range": True}] * 20
    with pytest.raises(DownloadError):
        stream(server.url + PATH, part, progress=False)
    assert len(server.requests) == 4


def test_a_download_starts_over_if_the_server_ignores_ranges(part, server):
    server.faults = [{"drop": 100_000}, {"no_range": True}]
    assert got(server.url + PATH, part) == DATA
    assert [asked["sent"] for asked in server.requests] == [100_000, 300_000]


@pytest.mark.parametrize("how", ["etag", "size"])
def test_a_file_that_changed_on_the_server_is_not_appended_to_its_old_beginning(part, server, how):
    server.faults = [{"drop": 100_000}, *[{"status": 503}] * 3]
    with pytest.raises(DownloadError):
        stream(server.url + PATH, part, progress=False)
    if how == "size":
        server.etags = False
        server.files[PATH] = DATA[::-1] + b"more"
    else:
        server.files[PATH] = DATA[::-1]
        server.faults = [{"etag": '"two"'}] * 2
    assert got(server.url + PATH, part) == server.files[PATH]
    assert [asked["range"] for asked in server.requests[-2:]] == ["bytes=100000-", None]


def test_a_file_that_became_shorter_than_the_part_is_downloaded_from_the_start(part, server):
    server.faults = [{"drop": 100_000}, *[{"status": 503}] * 3]
    with pytest.raises(DownloadError):
        stream(server.url + PATH, part, progress=False)
    server.files[PATH] = DATA[:1000]
    assert got(server.url + PATH, part) == DATA[:1000]


def test_a_part_from_one_url_is_not_resumed_from_another(part, server):
    server.files["/other/qm9.csv.gz"] = DATA[::-1]
    server.faults = [{"drop": 100_000}, *[{"status": 503}] * 3]
    with pytest.raises(DownloadError, match="503"):
        stream(server.url + PATH, part, progress=False)
    assert got(server.url + "/other/qm9.csv.gz", part) == DATA[::-1]


def test_a_truncated_file_is_noticed_and_completed(part, server):
    server.files[PATH] = DATA[:-7]
    server.faults = [{"lie": 7}]  # announces 7 bytes more than it sends
    server.etags = False
    assert got(server.url + PATH, part) == DATA[:-7]
    assert len(server.requests) == 3  # the file, the rest (which does not exist), the file again


def test_a_silent_server_is_dropped_and_asked_again(part, server, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", (1, 0.3))
    server.faults = [{"drop": 100_000, "stall": 20}, {"wait": 20}]
    start = time.monotonic()
    assert got(server.url + PATH, part) == DATA
    assert time.monotonic() - start < 15
    assert server.requests[-1]["range"].startswith("bytes=")


def test_a_server_error_is_retried_but_a_missing_file_is_not(part, server):
    server.faults = [{"status": 500}, {"status": 429}]
    assert got(server.url + PATH, part) == DATA
    assert len(server.requests) == 3
    with pytest.raises(DownloadError, match="404"):
        stream(server.url + "/nowhere.csv", part, progress=False)
    assert len(server.requests) == 4


def test_the_progress_bar_counts_bytes_and_continues_after_a_drop(part, server, capsys, monkeypatch):
    monkeypatch.setattr("molfm.base.progress.LOG_SECONDS", 0)
    server.faults = [{"drop": 100_000}]
    stream(server.url + PATH, part, progress=True)
    shown = capsys.readouterr().err
    assert "qm9.csv.gz: 100%" in shown
    assert "300k/300k" in shown
    part.unlink()
    stream(server.url + PATH, part, progress=False)
    assert capsys.readouterr().err == ""


def test_a_download_must_have_the_published_md5(part, server):
    assert got(server.url + PATH, part, md5=f"md5:{hashlib.md5(DATA).hexdigest()}") == DATA
    with pytest.raises(DownloadError, match=r"MD5 is .*, expected md5:0000.*Deleted the download"):
        stream(server.url + PATH, part, progress=False, md5="md5:0000")
    assert not part.exists()
