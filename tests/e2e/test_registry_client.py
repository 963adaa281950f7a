"""The registry client against a registry that lies, stalls and forgets: documents, ranges, rate limits.

Each case is one row of what registries and networks have been seen to do. Exit statuses are those of `imgfs help
exit-codes`: 3 not found, 4 access denied, 5 network, 6 integrity, 8 rate limited.
"""
import hashlib
import subprocess
import time

import pytest

from fake_registry import Reply, digest_of, error, redirect, slice_of
from source_tool import BLOB, BLOBS, CONFIG, FIRST, LENGTH, PART, QUICK, TOOL, clean_environment, read_part, tool
from source_tool import fake  # noqa: F401  pylint: disable=unused-import

# pylint: disable=redefined-outer-name

# ---- documents

def test_head_and_manifest(fake):
    assert tool("head", fake.reference()).out.decode().strip() == fake.manifest
    got = tool("manifest", fake.reference())
    assert digest_of(got.out) == fake.manifest and "vnd.oci.image.manifest" in got.err
    accepts = {r.headers["Accept"] for r in fake.requests("manifests")}
    assert len(accepts) == 1 and "manifest.list.v2+json" in accepts.pop()
    assert all(r.headers["Accept-Encoding"] == "identity" for r in fake.requests())


@pytest.mark.parametrize("reply", [
    Reply(405), Reply(403), Reply(404), Reply(200, b"{}"), Reply(200, b"{}", {"Docker-Content-Digest": "sha256:abc"}),
    redirect("/elsewhere"), Reply(200, b"", {"Docker-Content-Digest": "sha256:" + "0" * 64}, length=None),
], ids=["405", "403", "404", "no digest", "bad digest", "redirect", "no length"])
def test_head_that_says_nothing(fake, reply):
    fake.on("^HEAD", reply)
    assert tool("head", fake.reference()).out == b"not-supported\n"


def test_not_found(fake):
    got = tool("manifest", fake.reference(tag="2"))
    assert got.status == 3 and "MANIFEST_UNKNOWN" in got.error and fake.host in got.error, got


def test_no_registry_there(fake):
    fake.stop()
    begin = time.monotonic()
    got = tool("--resolve-ms", "50000", "manifest", fake.reference())
    assert got.status == 5 and "refused" in got.error and time.monotonic() - begin < 25, got


def test_silent_registry(fake):
    fake.on("", Reply(delay_s=60))
    begin = time.monotonic()
    got = tool(*QUICK, "manifest", fake.reference())
    assert got.status == 5 and time.monotonic() - begin < 30, got
    assert 2 <= len(fake.requests()) <= 4


def test_wrong_manifest_by_digest(fake):
    fake.on("manifests", Reply(200, b'{"other":1}'))
    got = tool("manifest", fake.reference(), fake.manifest)
    assert got.status == 6 and fake.manifest in got.error and digest_of(b'{"other":1}') in got.error, got
    assert fake.requests()[-1].headers["Cache-Control"] == "no-cache"


def test_manifest_that_is_not_what_its_header_says(fake):
    fake.on("manifests", Reply(200, b"{}", {"Docker-Content-Digest": fake.manifest}))
    assert tool("manifest", fake.reference()).status == 6


def test_a_cache_that_lies_once(fake):
    fake.on("manifests", Reply(200, b"{}"), times=1)
    assert tool("manifest", fake.reference(), fake.manifest).status == 0


def test_manifest_without_end(fake):
    fake.on("manifests", Reply(200, b" " * (5 << 20)))
    got = tool("manifest", fake.reference())
    assert got.status == 5 and "longer" in got.error, got


def test_html_instead_of_an_error(fake):
    fake.on("manifests", Reply(404, b"<html>\x1b[31mgone</html>", {"Content-Type": "text/html"}))
    got = tool("manifest", fake.reference())
    assert got.status == 3 and "<" not in got.error and "\x1b" not in got.err, got


def test_control_characters_in_an_error(fake):
    fake.on("manifests", error(403, "DENIED", "no\n\x1b[2Jway"))
    got = tool("manifest", fake.reference())
    assert got.status == 4 and "no??[2Jway" in got.error, got


def test_endless_headers(fake):
    fake.on("manifests", Reply(200, b"{}", repeat=[(f"X-{i}", "x" * 1000) for i in range(270)]))
    assert tool(*QUICK, "manifest", fake.reference()).status == 5


def test_not_http(fake):
    fake.on("manifests", Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n"))
    assert tool(*QUICK, "manifest", fake.reference()).status == 5


def test_config(fake):
    got = tool("small", fake.reference(), fake.config, len(CONFIG))
    assert got.out == CONFIG and "Range" not in fake.requests(BLOBS)[0].headers
    assert tool("small", fake.reference(), fake.config, len(CONFIG) + 1).status == 6
    fake.on(BLOBS, Reply(200, CONFIG.replace(b"l", b"L")))
    assert tool("small", fake.reference(), fake.config, len(CONFIG)).status == 6


def test_sha512(fake):
    digest = fake.add_blob(CONFIG, "sha512")
    assert tool("small", fake.reference(), digest, len(CONFIG)).out == CONFIG


def test_config_cut_short(fake):
    fake.on(BLOBS, Reply(200, CONFIG, cut=10), times=2)
    assert tool("small", fake.reference(), fake.config, len(CONFIG)).out == CONFIG


# ---- ranges

def test_range(fake):
    got = read_part(fake)
    assert got.out == PART and got.stat("blob_bytes") == LENGTH and got.stat("requests") == 1
    assert fake.requests(BLOBS)[0].headers["Range"] == f"bytes={FIRST}-{FIRST + LENGTH - 1}"


def test_whole_blob_has_no_range(fake):
    got = read_part(fake, "--verify", first=0, length=len(BLOB))
    assert got.out == BLOB and "Range" not in fake.requests(BLOBS)[0].headers


def test_storm(fake):
    got = tool(*QUICK, "storm", fake.reference(), fake.digest, len(BLOB), 10_000, 16)
    assert got.out == BLOB and got.stat("requests") == 300 and got.stat("blob_bytes") == len(BLOB)


def lie(change):
    """The honest answer to a range, changed."""
    def action(request):
        reply = slice_of(BLOB, request)
        return change(reply, request) or reply
    return action


def set_content_range(text):
    def change(reply, _request):
        reply.headers["Content-Range"] = text
    return change


def whole(_reply, _request):
    return Reply(200, BLOB)


def whole_without_length(_reply, _request):
    return Reply(200, BLOB, length=None)


def prefix(reply, request):
    first, _ = request.range
    body = reply.body[:100_000]
    return Reply(206, body, {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(BLOB)}"})


def cut(reply, _request):
    reply.cut = 120_000


def cut_without_length(reply, _request):
    reply.cut, reply.length = 120_000, None


def too_long(reply, _request):
    reply.body, reply.length = reply.body + b"extra" * 1000, None


def unknown_total(reply, request):
    first, last = request.range
    reply.headers["Content-Range"] = f"bytes {first}-{last}/*"


@pytest.mark.parametrize("change", [whole, whole_without_length, prefix, cut, cut_without_length, too_long,
                                    unknown_total], ids=lambda f: f.__name__)
def test_answers_that_can_be_used(fake, change):
    """However it comes, and every time it comes so."""
    fake.on(BLOBS, lie(change))
    got = read_part(fake)
    assert got.status == 0 and got.out == PART, got


def test_a_whole_blob_is_cut_behind_the_range(fake):
    fake.on(BLOBS, lie(whole))
    got = read_part(fake, first=10, length=10)
    assert got.out == BLOB[10:20] and got.stat("blob_bytes") < len(BLOB)


def other_range(_reply, request):
    first, last = request.range
    return Reply(206, BLOB[first + 1 : last + 1], {"Content-Range": f"bytes {first + 1}-{last}/{len(BLOB)}"})


def beyond(_reply, request):
    first, last = request.range
    return Reply(206, BLOB[first : last + 2], {"Content-Range": f"bytes {first}-{last + 1}/{len(BLOB)}"})


def no_content_range(reply, _request):
    del reply.headers["Content-Range"]


def two_content_ranges(reply, _request):
    reply.repeat = [("Content-Range", reply.headers["Content-Range"])]


def whole_with_content_range(reply, _request):
    reply.status = 200


def contradicting_length(reply, _request):
    reply.length = len(reply.body) - 1


def multipart(reply, _request):
    reply.headers = {"Content-Type": "multipart/byteranges; boundary=x"}


def compressed(reply, _request):
    reply.headers["Content-Encoding"] = "gzip"


@pytest.mark.parametrize("change", [
    other_range, beyond, no_content_range, two_content_ranges, whole_with_content_range, contradicting_length, multipart,
    compressed, set_content_range("bytes=1-2/3"), set_content_range("items 1-2/3"), set_content_range("bytes 9-1/3"),
], ids=lambda f: f.__name__)
def test_answers_that_contradict_themselves(fake, change):
    """An error after a few attempts, never the bytes; and fine when a retry is answered well."""
    hook = fake.on(BLOBS, lie(change))
    got = read_part(fake)
    assert got.status == 5 and len(got.out) == 0 and len(fake.requests(BLOBS)) == 3, got
    hook.left = 1
    assert read_part(fake).out == PART


@pytest.mark.parametrize("reply", [
    Reply(416, b"", {"Content-Range": "bytes */77"}), Reply(200, BLOB[:-1]), Reply(200, b"<html>log in</html>"),
    Reply(206, PART, {"Content-Range": f"bytes {FIRST}-{FIRST + LENGTH - 1}/9999999"}),
], ids=["416", "200 too short", "captive portal", "206 of another size"])
def test_a_blob_of_another_size(fake, reply):
    fake.on(BLOBS, reply)
    got = read_part(fake)
    assert got.status == 6 and len(got.out) == 0, got


def test_416_for_a_good_range(fake):
    fake.on(BLOBS, lambda r: Reply(416) if r.range else None)
    assert read_part(fake).out == PART


def test_blob_is_gone(fake):
    del fake.blobs[fake.digest]
    assert read_part(fake).status == 3


def test_stall_in_the_body(fake):
    fake.on(BLOBS, lie(lambda reply, _r: setattr(reply, "stall_after", 200_000)), times=2)
    got = read_part(fake)
    assert got.out == PART, got
    assert fake.requests(BLOBS)[1].range[0] == FIRST + 200_000, "what had arrived is not asked for again"


def test_trickle(fake):
    fake.on(BLOBS, lie(lambda reply, _r: setattr(reply, "bytes_per_s", 100)))
    begin = time.monotonic()
    got = read_part(fake, "--budget-ms", "3000")
    assert got.status == 5 and time.monotonic() - begin < 25, got


def test_slow_reader_is_no_stall(fake):
    """A transfer that waits for its reader must not count as stalled: 3 MB through a pipe that is read late."""
    with subprocess.Popen([TOOL, *QUICK, "blob", fake.reference(), fake.digest, str(len(BLOB))], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, env=clean_environment()) as process:
        time.sleep(2)
        assert process.stdout.read() == BLOB
    assert len(fake.requests(BLOBS)) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
def test_bursts_of_errors(fake, status):
    fake.on(BLOBS, Reply(status), times=3)
    assert read_part(fake).out == PART
    assert len(fake.requests(BLOBS)) == 4


@pytest.mark.parametrize("status", [400, 402, 501, 505])
def test_errors_that_stay(fake, status):
    fake.on(BLOBS, Reply(status))
    assert read_part(fake).status == 5
    assert len(fake.requests(BLOBS)) == 1


def test_errors_for_ever_are_bounded(fake):
    fake.on(BLOBS, Reply(503))
    begin = time.monotonic()
    got = read_part(fake, "--budget-ms", "4000")
    assert got.status == 5 and "503" in got.error and time.monotonic() - begin < 25, got
    assert len(fake.requests(BLOBS)) < 14


def test_a_storm_on_a_dead_registry_is_bounded(fake):
    fake.on(BLOBS, Reply(503))
    got = tool(*QUICK, "--budget-ms", "3000", "storm", fake.reference(), fake.digest, len(BLOB), 200_000, 15)
    assert got.status == 5 and len(fake.requests(BLOBS)) < 40, len(fake.requests(BLOBS))


def test_registry_that_comes_back(fake):
    """The read heals within its budget; no new process is needed."""
    command = [TOOL, "--budget-ms", "9000", "watch", fake.reference(), fake.digest, str(len(BLOB)), str(FIRST),
               str(LENGTH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=clean_environment()) as process:
        def ask():
            process.stdin.write("again\n")
            process.stdin.flush()

        want = "ok " + hashlib.sha256(PART).hexdigest()[:8]
        ask()
        assert process.stdout.readline().strip() == want
        fake.stop()
        ask()
        time.sleep(2.5)
        fake.start()
        assert process.stdout.readline().strip() == want
        process.stdin.close()


def test_deadline(fake):
    fake.stop()
    begin = time.monotonic()
    got = read_part(fake, "--budget-ms", "2000")
    assert got.status == 5 and 1 < time.monotonic() - begin < 3, got


def test_interrupt(fake):
    fake.on(BLOBS, Reply(delay_s=60))
    begin = time.monotonic()
    got = tool("--interrupt-ms", "500", "blob", fake.reference(), fake.digest, len(BLOB))
    assert got.status == 5 and "interrupted" in got.error and time.monotonic() - begin < 2, got


# ---- rate limits

def test_retry_after(fake):
    fake.on(BLOBS, Reply(429, headers={"Retry-After": "2"}), times=1)
    assert read_part(fake).out == PART
    first, second = fake.requests(BLOBS)
    assert 1.9 < second.at - first.at < 3.5


@pytest.mark.parametrize("value", ["Thu, 01 Jan 2015 00:00:00 GMT", "-5", "soon"])
def test_retry_after_in_the_past(fake, value):
    fake.on(BLOBS, Reply(503, headers={"Retry-After": value}), times=1)
    begin = time.monotonic()
    assert read_part(fake).out == PART and time.monotonic() - begin < 2


def test_retry_after_an_hour(fake):
    fake.on("manifests", Reply(429, headers={"Retry-After": "3600"}))
    begin = time.monotonic()
    got = tool("manifest", fake.reference())
    assert got.status == 8 and "3600 s" in got.error and time.monotonic() - begin < 2, got


def test_quota(fake):
    fake.on("manifests", error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit"))
    got = tool("manifest", fake.reference())
    assert got.status == 8 and "pull rate limit" in got.error and len(fake.requests()) == 1, got
