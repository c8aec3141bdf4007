"""The HTTP doors on real sockets: REST, the progressive body, the pages, and the internal port.

Invariant under test: an audio body begins at once and is byte for byte what a WebSocket listener joins together; every
refusal is the error document of the contract.
"""

import asyncio
import hashlib
from collections.abc import Callable

import aiohttp

from tests.support.gateway import OTHER_KEY, bench, hear, receive, say, talk

SCALE = "[[scale seconds=5 speed=5]] a scale for the doors of this test"


async def test_a_body_begins_before_the_song_is_whole_and_equals_the_websocket() -> None:
    """The first bytes come while the stream runs, and the whole body has the hash that listeners are told."""
    async with bench() as gateway, talk(gateway) as socket:
        await say(socket, type="stream.create", input={"prompt": SCALE})
        stream = (await receive(socket))["stream"]
        async with gateway.http.get(stream["urls"]["audio"]) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "audio/mpeg"
            assert response.headers["Transfer-Encoding"] == "chunked"
            body = await response.content.readexactly(1)
            assert (await gateway.info(stream["id"]))["status"] == "running"
            body += await response.read()
        completed = (await hear(socket)).named("stream.completed")
        assert hashlib.sha256(body).hexdigest() == completed["sha256"]


async def test_a_finished_song_has_a_length_and_answers_ranges() -> None:
    """Length, any single range, a suffix range, and 416 with the length for one outside."""
    async with bench() as gateway:
        stream = await gateway.create(SCALE)
        async with gateway.http.get(stream["urls"]["audio"]) as response:
            body = await response.read()
        url = stream["urls"]["audio"]
        async with gateway.http.get(url) as response:
            assert int(response.headers["Content-Length"]) == len(body)
            assert await response.read() == body
        async with gateway.http.head(url) as response:
            assert (response.status, int(response.headers["Content-Length"])) == (200, len(body))
        for asked, part in (("0-1", body[:2]), ("100-", body[100:]), ("-50", body[-50:]), ("0-", body)):
            async with gateway.http.get(url, headers={"Range": f"bytes={asked}"}) as response:
                assert response.status == 206
                assert await response.read() == part
        async with gateway.http.get(url, headers={"Range": f"bytes={len(body)}-"}) as response:
            assert response.status == 416
            assert response.headers["Content-Range"] == f"bytes */{len(body)}"
            assert (await response.json())["error"]["code"] == "range_not_satisfiable"


async def test_curl_and_ffprobe_take_the_song(need: Callable[[str], str]) -> None:
    """`curl …/audio.mp3 | ffprobe` sees mp3, 48 kHz, stereo, while the song is being made."""
    async with bench() as gateway:
        stream = await gateway.create(SCALE)
        header = f"Authorization: {gateway.http.headers['Authorization']}"
        command = (
            f"{need('curl')} -sN -H '{header}' {stream['urls']['audio']} | {need('ffprobe')} -v error -of csv "
            "-show_entries stream=codec_name,sample_rate,channels -"
        )
        process = await asyncio.create_subprocess_shell(
            command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert out.decode().strip() == "stream,mp3,48000,2", err


async def test_rest_creates_lists_inspects_and_cancels() -> None:
    """A stream's life over REST: 201 with Location, in the list, cancelled with what was made charged."""
    async with bench() as gateway:
        prompt = "[[scale seconds=60 speed=2]] a scale that will be cancelled soon"
        async with gateway.http.post(f"{gateway.url}/v1/streams", json={"input": {"prompt": prompt}}) as response:
            assert response.status == 201
            stream = await response.json()
            assert response.headers["Location"] == f"/v1/streams/{stream['id']}"
        assert stream["status"] in ("queued", "running")
        assert stream["urls"]["audio"].endswith(f"/v1/streams/{stream['id']}/audio.mp3")
        async with talk(gateway) as socket:
            await say(socket, type="stream.attach", stream_id=stream["id"])
            while isinstance(await socket.recv(), str):
                pass
            async with gateway.http.get(f"{gateway.url}/v1/streams") as response:
                listed = (await response.json())["streams"]
            assert [row["id"] for row in listed] == [stream["id"]]
            assert listed[0]["listeners"] == 1
            assert listed[0]["simulated"] is True
            async with gateway.http.delete(f"{gateway.url}/v1/streams/{stream['id']}") as response:
                cancelled = await response.json()
            assert cancelled["status"] == "cancelled"
            assert cancelled["error"]["code"] == "cancelled"
            assert cancelled["usage"]["settled"] is True
            assert 0 < cancelled["usage"]["audio_seconds"] < 60
            assert (await hear(socket)).named("stream.failed")["error"]["code"] == "cancelled"


async def test_one_tenants_streams_do_not_exist_for_another() -> None:
    """Another tenant's key gets 404 for everything that concerns a stream, as for one that never was."""
    async with bench() as gateway:
        stream = await gateway.create(SCALE)
        headers = {"Authorization": f"Bearer {OTHER_KEY}"}
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/audio.mp3")):
            url = f"{gateway.url}/v1/streams/{stream['id']}{path}"
            async with gateway.http.request(method, url, headers=headers) as response:
                assert response.status == 404
                assert (await response.json())["error"]["code"] == "stream_not_found"
        async with gateway.http.get(f"{gateway.url}/v1/streams", headers=headers) as response:
            assert (await response.json())["streams"] == []


BAD_BODIES = [
    ("{", 400, "invalid_json", None),
    ("[]", 400, "invalid_request", None),
    ("{}", 400, "invalid_request", None),
    ('{"input": {"prompt": 5}}', 400, "invalid_request", "input.prompt"),
    ('{"input": {}}', 400, "invalid_input", None),
    ('{"input": {"prompt": "too short"}}', 400, "invalid_input", "input.prompt"),
    ('{"input": {"lyrics": "much too short for a song"}}', 400, "invalid_input", "input.lyrics"),
    ('{"input": {"prompt": "песня о тихой ночи и далёкой звезде"}}', 400, "unsupported_language", "input.prompt"),
    ('{"input": {"prompt": "a song of five words", "gender": "robot"}}', 400, "invalid_input", "input.gender"),
    ('{"input": {"prompt": "a song of five words", "format": "midi"}}', 400, "invalid_input", "input.format"),
    ('{"input": {"prompt": "a song of five words"}, "mode": "later"}', 400, "invalid_input", "mode"),
    ('{"input": {"prompt": "a song of five words"}, "model": "other"}', 400, "invalid_input", "model"),
]


async def test_a_bad_order_is_refused_before_anything_is_spent() -> None:
    """Each mistake gets its status, code and field, a sentence, and no generation."""
    async with bench() as gateway:
        headers = {"Content-Type": "application/json"}
        for body, status, code, param in BAD_BODIES:
            async with gateway.http.post(f"{gateway.url}/v1/streams", data=body, headers=headers) as response:
                error = (await response.json())["error"]
            assert (response.status, error["code"]) == (status, code), body
            assert error["param"] == param or param is None
            assert len(error["message"]) > 10
            assert error["retryable"] is False
        assert gateway.simulator.requests == 0


async def test_lyrics_and_prompt_together_draw_a_warning() -> None:
    """Lyrics count, and the answer says that the prompt did not."""
    async with bench() as gateway:
        stream = await gateway.create("a song of five words", lyrics="夜" * 320)
        assert len(stream["warnings"]) == 1
        assert "lyrics" in stream["warnings"][0]


async def test_doors_refuse_with_the_codes_of_the_contract() -> None:
    """Credentials, paths, methods, media types, sizes, formats and `since`: status and code, always as JSON."""
    async with bench() as gateway:
        stream = await gateway.create(SCALE)
        audio = stream["urls"]["audio"]
        streams = f"{gateway.url}/v1/streams"
        for method, url, options, status, code in (
            ("GET", streams, {"headers": {"Authorization": "Bearer wrong"}}, 401, "bad_credentials"),
            ("GET", streams, {"headers": {"Authorization": "Basic eA=="}}, 401, "bad_credentials"),
            ("GET", f"{audio}?ticket=nonsense", {"skip": True}, 401, "bad_credentials"),
            ("GET", streams, {"skip": True}, 401, "missing_credentials"),
            ("GET", f"{streams}/st_unknown", {}, 404, "stream_not_found"),
            ("GET", f"{gateway.url}/nowhere/at/all", {}, 404, "not_found"),
            ("PUT", streams, {}, 405, "method_not_allowed"),
            ("POST", streams, {"data": "x=1"}, 415, "unsupported_media_type"),
            ("POST", streams, {"json": {"input": {"prompt": "la " * 30_000}}}, 413, "message_too_big"),
            ("GET", audio.replace(".mp3", ".midi"), {}, 422, "unsupported_format"),
            ("GET", audio.replace(".mp3", ".ogg?rate=44100"), {}, 422, "unsupported_format"),
            ("GET", f"{audio}?since=yesterday", {}, 400, "invalid_request"),
            ("GET", f"{audio}?since=-1", {}, 400, "invalid_request"),
        ):
            skip = options.pop("skip", False)
            async with aiohttp.ClientSession() as anonymous:
                client = anonymous if skip else gateway.http
                async with client.request(method, url, **options) as response:
                    document = await response.json()
                    assert (response.status, document["error"]["code"]) == (status, code), (method, url)


async def test_a_tenant_has_so_many_streams_at_once() -> None:
    """The one too many is 429 with Retry-After; a slot is free again once a stream has been cancelled."""
    from gateway.config.schema import Limits

    async with bench(limits=Limits(concurrent_streams=2)) as gateway:
        body = {"input": {"prompt": "[[scale seconds=60 speed=1]] a scale that holds its slot"}}
        answers = []
        for _ in range(4):
            async with gateway.http.post(f"{gateway.url}/v1/streams", json=body) as response:
                answers.append((response.status, response.headers.get("Retry-After"), await response.json()))
        assert [status for status, _, _ in answers] == [201, 201, 429, 429]
        assert answers[2][1] == "5"
        assert answers[2][2]["error"] | {"message": ""} == {
            "code": "concurrency_exceeded",
            "message": "",
            "retryable": True,
            "retry_after_ms": 5000,
            "param": None,
        }
        async with gateway.http.delete(f"{gateway.url}/v1/streams/{answers[0][2]['id']}") as response:
            assert response.status == 200
        async with gateway.http.post(f"{gateway.url}/v1/streams", json=body) as response:
            assert response.status == 201


async def test_the_internal_port_tells_metrics_and_health() -> None:
    """Metrics agree with what was done; health and readiness answer; the public port has none of it."""
    async with bench() as gateway:
        async with talk(gateway) as socket:
            await say(socket, type="stream.create", input={"prompt": SCALE})
            heard = await hear(socket)
            async with gateway.http.get(f"{gateway.internal}/metrics") as response:
                page = await response.text()
        size = sum(len(payload) for _, payload in heard.frames)
        assert 'wavegate_streams_total{model="fun-music-v1",outcome="completed"} 1.0' in page
        assert f'wavegate_egress_bytes_total{{codec="mp3",transport="websocket"}} {float(size)}' in page
        assert f'wavegate_frames_written_total{{transport="websocket"}} {float(len(heard.frames))}' in page
        assert "wavegate_streams_active 0.0" in page
        assert 'wavegate_audio_seconds_total{state="settled",tenant="acme"} 5.0' in page
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/v1/streams", 404)):
            async with gateway.http.get(gateway.internal + path) as response:
                assert response.status == status
        async with gateway.http.get(f"{gateway.url}/metrics") as response:
            assert response.status == 404


async def test_the_page_comes_with_its_policy_and_no_demo_key() -> None:
    """The player page is strict about what it loads, its scripts revalidate, and only a demo gives a key away."""
    async with bench() as gateway:
        async with gateway.http.get(gateway.url + "/") as response:
            assert response.status == 200
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        async with gateway.http.get(gateway.url + "/wavegate.js") as response:
            assert response.headers["Content-Type"].startswith("text/javascript")
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            tag = response.headers["ETag"]
        async with gateway.http.get(gateway.url + "/wavegate.js", headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        async with gateway.http.get(gateway.url + "/demo.json") as response:
            assert await response.json() == {"key": None}
