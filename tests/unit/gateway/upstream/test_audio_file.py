"""The result file: fetched from listed hosts only, without credentials, in bounded size.

The provider of these tests stands for its storage, too; the urls that must not be fetched are judged by
`permitted` alone, so that no test ever connects to them.
"""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from gateway.errors import UpstreamError
from gateway.upstream import audio_file
from gateway.upstream.audio_file import fetch, permitted, written_out
from tests.support.provider import Provider

HERE = ["127.0.0.1:*"]


async def fetched(url: str, hosts: list[str], *, idle: float = 5) -> bytes:
    async with aiohttp.ClientSession() as session:
        return b"".join([data async for data in fetch(session, url, hosts, connect=5, idle=idle)])


async def refusal(url: str, *, idle: float = 5) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await fetched(url, HERE, idle=idle)
    return caught.value


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://dashscope-result-bj.oss-cn-beijing.aliyuncs.com/a.mp3?s=%2F", ["*.aliyuncs.com"]),
        ("https://A.AliyunCS.com./a", ["*.aliyuncs.com"]),
        ("https://a.aliyuncs.com/a", ["b.example:*", "*.ALIYUNCS.com:443"]),
        ("http://127.0.0.1:4711/a", ["127.0.0.1:*"]),
        ("http://127.0.0.1:4711/a", ["b.example", "127.0.0.1:4711"]),
    ],
)
def test_listed_hosts_are_permitted_as_they_are_written(url: str, hosts: list[str]) -> None:
    """Case and a final dot do not matter, and the url stays as it is to the last escape."""
    assert str(permitted(url, hosts)).lower() == url.lower()
    assert "%2F" not in url or "%2F" in str(permitted(url, hosts))


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://aliyuncs.com.evil.example/a",
        "http://evilaliyuncs.com/a",
        "http://aliyuncs.com/a",
        "http://a.aliyuncs.com:6379/a",
        "http://a.aliyuncs.com@evil.example/a",
        "http://user:password@a.aliyuncs.com/a",
        "http://evil.example\\@a.aliyuncs.com/a",
        "http://evil.example#.aliyuncs.com",
        "ftp://a.aliyuncs.com/a",
        "file:///etc/passwd",
        "//a.aliyuncs.com/a",
        "a.aliyuncs.com/a",
        "http://a.aliyuncs.com/a\r\nX: y",
        "http://a.aliyuncs.com/a b",
        "http://a.aliyuncs.com:99999/a",
        "http://[::1/a",
        "http://ａ.aliyuncs.com/a",
        "http://",
        "",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    """Other hosts, ports, schemes, credentials and malformed urls are not fetched, and not repeated in the error."""
    with pytest.raises(UpstreamError) as caught:
        permitted(url, ["*.aliyuncs.com"])
    assert caught.value.code == "upstream_refused"
    assert "audio_hosts" in caught.value.message
    assert not url or url not in caught.value.message


@pytest.mark.parametrize(
    ("url", "hosts", "permits"),
    [
        ("http://169.254.169.254/latest", ["*"], False),
        ("http://127.0.0.1:6379/", ["*:*"], False),
        ("http://[::1]/", ["*", ""], False),
        ("http://[fd00:ec2::254]/", ["?*"], False),
        ("http://10.0.0.7:9000/", ["10.0.0.*:9000"], True),
        ("http://[::1]:9000/", ["::1:*"], True),
        ("http://anything.example/", ["*"], True),
    ],
)
def test_an_address_is_listed_by_what_begins_as_it_does(url: str, hosts: list[str], *, permits: bool) -> None:
    """Whoever lists all names has not listed what stands beside the gateway."""
    if permits:
        assert str(permitted(url, hosts)) == url
    else:
        with pytest.raises(UpstreamError):
            permitted(url, hosts)


def test_the_providers_own_address_is_listed_by_a_star() -> None:
    """It is called there anyway; at a port that a pattern names, and nowhere else."""
    assert str(permitted("http://10.0.0.7:9000/a.mp3", ["*:*"], "10.0.0.7")) == "http://10.0.0.7:9000/a.mp3"
    for url, hosts in (("http://10.0.0.8:9000/", ["*:*"]), ("http://10.0.0.7:9000/", ["*.aliyuncs.com:*"])):
        with pytest.raises(UpstreamError):
            permitted(url, hosts, "10.0.0.7")


def test_hosts_that_are_written_out() -> None:
    """With or without a port, in any case; not those that a pattern stands for."""
    hosts = ["Storage.internal", "127.0.0.1:*", "b.example:9000", "*.aliyuncs.com"]
    assert all(written_out(host, hosts) for host in ("storage.internal", "STORAGE.internal.", "127.0.0.1", "b.example"))
    assert not any(written_out(host, hosts) for host in ("a.aliyuncs.com", "internal", "", "example"))


async def test_a_file_is_fetched_without_credentials(provider: Provider) -> None:
    """The bytes arrive as they are; the signed query is untouched; no authorization and no cookie go along."""
    provider.says(b"ID3" * 100_000)
    assert await fetched(f"{provider.url}/a%2Fb.mp3?Signature=x%2By%3D&e=1", HERE) == b"ID3" * 100_000
    ((request, _),) = provider.requests
    assert request.raw_path == "/a%2Fb.mp3?Signature=x%2By%3D&e=1"
    assert not {"Authorization", "Cookie"} & set(request.headers)


@pytest.mark.parametrize(("redirects", "followed"), [(1, True), (3, True), (4, False)])
async def test_three_redirects_are_followed(provider: Provider, redirects: int, followed: bool) -> None:
    """Relative targets are understood, and a loop ends."""

    async def answer(request: web.Request) -> web.StreamResponse:
        number = int(request.path.removeprefix("/"))
        if number == 0:
            return web.Response(body=b"song")
        return web.Response(status=302, headers={"Location": f"/{number - 1}"})

    provider.answer = answer
    if followed:
        assert await fetched(f"{provider.url}/{redirects}", HERE) == b"song"
    else:
        assert (await refusal(f"{provider.url}/{redirects}")).code == "upstream_failed"


@pytest.mark.parametrize("location", ["http://localhost:1/a", "http://[::1", "http://u:p@127.0.0.1:1/", "file:///etc"])
async def test_a_redirect_elsewhere_is_refused(provider: Provider, location: str) -> None:
    """The list of hosts holds at every step."""
    provider.says(b"", status=307, headers={"Location": location})
    assert (await refusal(provider.url)).code == "upstream_refused"
    assert len(provider.requests) == 1


@pytest.mark.parametrize("status", [204, 302, 403, 404, 500])
async def test_a_file_that_is_not_there_is_a_failure(provider: Provider, status: int) -> None:
    """Any other status, a redirect to nowhere too, is `upstream_failed` and says the number."""
    provider.says(b"", status=status)
    error = await refusal(provider.url)
    assert error.code == "upstream_failed"
    assert str(status) in error.message


async def test_a_file_beyond_the_bound_is_cut_off(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes than any song has end the fetch."""
    provider.says(b"x" * 1001)
    monkeypatch.setattr(audio_file, "MAX_BYTES", 1001)
    assert len(await fetched(provider.url, HERE)) == 1001
    monkeypatch.setattr(audio_file, "MAX_BYTES", 1000)
    assert (await refusal(provider.url)).code == "upstream_protocol"


@pytest.mark.parametrize("begun", [False, True])
async def test_a_storage_that_falls_silent_is_a_timeout(provider: Provider, begun: bool) -> None:
    """Neither a missing head nor a body that stops keeps anybody waiting."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if begun:
            await response.prepare(request)
            await response.write(b"so")
        await asyncio.Event().wait()  # The server cancels its handler when the client leaves.
        return response

    provider.answer = answer
    assert (await refusal(provider.url, idle=0.2)).code == "upstream_timeout"
