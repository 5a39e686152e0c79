"""The end points over literal values: answers, limits, refusals. No Spark."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from shoal.errors import InputError
from shoal.publish.api.gate import Limits
from shoal.publish.api.live import Live
from shoal.publish.api.quick import parameters
from shoal.publish.api.sources import LmdbSource
from shoal.publish.api.telemetry import Log, Metrics

from tests.publish.api.conftest import NOW, VALUES, Client, save_posts_model, write_version

TOKENS = "r:0123456789abcdef:read,s:fedcba9876543210:score,w:aaaabbbbccccdddd:write+read,old:ooooooooooooooooo:read:2024-03-02"


def items(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["item_id"] for each in answer.json()["items"]]


def message(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["status"] == status
    return str(answer.json()["error"]["message"])


def run(work: Any) -> None:
    asyncio.run(work())


def test_a_list_is_cut_filled_and_explained(client: Client) -> None:
    async def work() -> None:
        async with client() as ask:
            got = await ask.get("/recommendations", params={"user_id": "u1", "k": 2, "details": True})
            assert items(got) == ["i1", "i2"] and got.json()["source"] == "list" and got.json()["version"] == "v1"
            assert got.json()["items"][0]["reason"] == "Because you liked Title 9." and got.json()["items"][0]["title"] == "Title 1"
            # The list has four; popular ones that the user has not met (i9, i0) fill it.
            filled = await ask.get("/recommendations", params={"user_id": "u1", "k": 6})
            assert items(filled) == ["i1", "i2", "i3", "i4", "i5", "i6"]
            assert [each["rank"] for each in filled.json()["items"]] == [1, 2, 3, 4, 5, 6]
            assert [each["source"] for each in filled.json()["items"]][3:] == ["blend", "popularity", "popularity"]
            food = await ask.get("/recommendations", params={"user_id": "u1", "k": 3, "category": "food"})
            assert items(food) == ["i2", "i4", "i6"]
            unknown = await ask.get("/api/ml/recommendations", params={"user_id": "nobody", "k": 3})
            assert items(unknown) == ["i0", "i1", "i2"] and unknown.json()["source"] == "popularity"
            assert items(await ask.get("/recommendations", params={"user_id": "naïve 🎉/x", "k": 1})) == ["i1"]
            for odd in ("\0", "x" * 999, "%", "../etc"):
                assert (await ask.get("/recommendations", params={"user_id": odd})).json()["source"] == "popularity"

    run(work)


@pytest.mark.parametrize(
    "query", ["user_id=u1", "user_id=u1&k=2", "k=1000&user_id=na%C3%AFve+%F0%9F%8E%89%2Fx", "user_id=no%00body"]
)
def test_the_shortcut_answers_as_the_application_does(client: Client, query: str) -> None:
    async def work() -> None:
        async with client() as ask:
            short, long = await ask.get(f"/recommendations?{query}"), await ask.get(f"/recommendations?{query}&details=false")
            assert short.status_code == 200 and short.content == long.content
            assert {**short.headers} == {**long.headers}

    run(work)


@pytest.mark.parametrize(
    "query",
    [b"", b"user_id=a&k=x", b"user_id=a&user_id=b", b"user_id=a&k=1001", b"user_id=%ff", b"user_id=\xff", b"user_id=a&x=1",
     b"user_id=a&k=\xd9\xa3", b"user_id=a&k=-1", b"user_id=a&"],
)  # fmt: skip
def test_what_the_shortcut_leaves_to_the_application(query: bytes) -> None:
    assert parameters(query) is None


def test_new_events_leave_the_list_at_once_and_order_it(client: Client, tmp_path: Path) -> None:
    async def work() -> None:
        async with client() as ask:
            sent = [{"user_id": "u1", "item_id": "i2", "event": "like", "event_id": "e1"},
                    {"user_id": "u1", "item_id": "i9", "event": "view", "value": 1}]  # fmt: skip
            assert (await ask.post("/events", json={"events": sent})).json() == {"accepted": 2}
            got = await ask.get("/recommendations", params={"user_id": "u1", "k": 3})
            # i9 was met last: its neighbours i4 and i3 rise above i1. 1/(60+rank) + 1/(60+place).
            assert items(got) == ["i4", "i3", "i1"] and got.json()["source"] == "session"
        files = list((tmp_path / "inbox").glob("events-*.jsonl"))
        assert len(files) == 1 and not list((tmp_path / "inbox").glob(".*"))
        lines = [json.loads(line) for line in files[0].read_text().splitlines()]
        assert lines[0] == {"event_id": "e1", "user_id": "u1", "item_id": "i2", "event": "like", "occurred_at": NOW.isoformat()}
        assert lines[1]["value"] == 1 and len(lines[1]["event_id"]) == 32
        # The next server knows them.
        async with client() as ask:
            assert items(await ask.get("/recommendations", params={"user_id": "u1", "k": 3})) == ["i4", "i3", "i1"]

    run(work)


def test_a_killed_servers_events_go_to_the_stream(client: Client, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / ".events-dead.jsonl").write_text('{"user_id":"u1","item_id":"i1","event":"view"}\ncut off')

    async def work() -> None:
        async with client() as ask:
            assert items(await ask.get("/recommendations", params={"user_id": "u1", "k": 1})) == ["i2"]

    run(work)
    assert [p.name for p in (tmp_path / "inbox").iterdir()] == ["events-dead.jsonl"]


def test_neighbours_trends_people_and_search(client: Client) -> None:
    async def work() -> None:
        async with client() as ask:
            assert items(await ask.get("/similar/i9")) == ["i4", "i3"]
            assert items(await ask.get("/similar/i9?kind=content")) == ["i4"]
            assert items(await ask.get("/similar/i1")) == []
            assert message(await ask.get("/similar/none/such"), 404) == "no such item in the published version"
            assert items(await ask.get("/trending")) == ["i6", "i5"]
            assert items(await ask.get("/trending?kind=post&details=true&category=ART")) == ["i5"]
            person = (await ask.get("/people/u1")).json()
            assert person["segment"]["segment_name"] == "typical" and person["community"] == {"community_id": "u9"}
            assert person["influence"] is None and person["follows"] is None
            assert message(await ask.get("/people/nobody"), 404) == "no such user in the published version"
            found = await ask.get("/search", params={"q": "RED title!", "kind": "post"})
            assert items(found) == ["i2", "i7"] and found.json()["matches"] == 2
            assert items(await ask.get("/search", params={"q": "title", "category": "art", "k": 1, "offset": 1})) == ["i9"]
            assert items(await ask.get("/search", params={"q": "red nothing"})) == [] == items(await ask.get("/search"))

    run(work)


def test_scores(client: Client) -> None:
    async def work() -> None:
        async with client() as ask:
            got = (await ask.post("/api/ml/sentiment", json={"texts": ["I love it", "awful", ""]})).json()
            assert got["model_version"].startswith("vader/")
            assert [each["label"] for each in got["results"]] == ["positive", "negative", "neutral"]
            assert got["emotion_model_version"] is None and {each["emotion"] for each in got["results"]} == {None}
            assert "no moderation model" in message(await ask.post("/api/v1/ml/moderation", json={"texts": ["x"]}), 503)
            answer = await ask.post("/api/v1/ml/predict/engagement", json={"posts": [{"text": "x"}]})
            assert message(answer, 503).startswith("no engagement model is published; `shoal run train_posts`")
            users = (await ask.post("/api/v1/ml/segment/users", json={"user_ids": ["u1", "x"]})).json()["results"]
            assert users == [{"user_id": "u1", "segment_id": 0, "segment_name": "typical"},
                             {"user_id": "x", "segment_id": None, "segment_name": None}]  # fmt: skip
            start = datetime(2024, 1, 1, tzinfo=timezone.utc)
            values = [500 if n == 80 else 10 + n % 7 for n in range(90)]
            days = [(start + timedelta(days=n)).isoformat() for n in range(90)]
            series: list[dict[str, Any]] = [{"measured_at": day, "value": value} for day, value in zip(days, values, strict=True)]
            series[3]["value"] = None
            shuffled = series[45:] + series[:45]
            rows = (await ask.post("/api/v1/ml/detect/anomalies", json={"series": shuffled})).json()["results"]
            assert [n for n, each in enumerate(rows) if each["is_anomaly"]] == [35] and rows[35]["expected"] < 20
            far = await ask.post("/api/v1/ml/detect/anomalies", json={"series": [{"measured_at": "1850-01-01T00:00:00Z"}]})
            assert message(far, 422).startswith("measured_at: expected a time from 1900 to 2200")

    run(work)


def test_engagement_is_predicted_and_a_model_that_needs_spark_stops_its_own_end_point_only(client: Client, folder: Path) -> None:
    save_posts_model(folder / "models" / "shoal_engagement-3")
    stemmed = {"format": "shoal text classifier 3", "labels": ["a", "b"], "priors": [0.5, 0.5], "max_text_length": 100,
               "preprocessing": {"word_ngrams": 1, "char_ngrams": [0, 0], "stemmer": "porter", "stop_words": "none"}}  # fmt: skip
    for name in ("shoal_sentiment-2", "shoal_emotion-1"):
        (folder / "models" / name).mkdir()
        (folder / "models" / name / "model.json").write_text(json.dumps(stemmed))
    write_version(folder, "v2", VALUES, {"engagement": "shoal_engagement-3", "sentiment": "shoal_sentiment-2"})

    async def work() -> None:
        async with client() as ask:
            for path in ("/api/v1/ml/sentiment", "/api/ml/sentiment"):
                assert message(await ask.post(path, json={"texts": ["x"]}), 503) == (
                    "shoal_sentiment/2 makes stems or leaves out stop words, which only Spark does; "
                    "train sentiment with stemmer=none and stop_words=none, and publish again"
                )
            assert items(await ask.get("/recommendations?user_id=u1&k=1")) == ["i1"]
            sent = {"posts": [{"author_id": "a", "text": "x"},
                              {"author_id": "a", "likes": 0, "created_at": "2024-03-01T00:00:00Z"}]}  # fmt: skip
            for path in ("/api/v1/ml/predict/engagement", "/api/ml/predict/engagement"):
                got = (await ask.post(path, json=sent)).json()
                assert got["model_version"] == "shoal_engagement/3"
                # 2 + (.75 + 1) / 2, in log1p; an interval of 1 to either side.
                first, old = got["results"]
                assert old["predicted_likes"] == pytest.approx(math.expm1(2.875)) and old["posts_known"] == 0
                assert old["likes_low"] == pytest.approx(math.expm1(1.875)) and old["confidence"] == pytest.approx(0.5)
                assert first["posts_known"] == 1 and first["predicted_likes"] < old["predicted_likes"]
                assert first["predicted_comments"] is None
            for wrong, says in [
                ({"posts": [{"author_created_at": "1800-01-01"}]}, "author_created_at: expected a time from 1900 to 2200"),
                ({"posts": [{"likes": -1}]}, "posts.0.likes: Input should be greater than or equal to 0"),
                ({"posts": [{"likez": 1}]}, "posts.0.likez: Extra inputs are not permitted"),
            ]:
                assert message(await ask.post("/api/ml/predict/engagement", json=wrong), 422).startswith(says)
            example = (await ask.get("/openapi.json")).json()["components"]["schemas"]["Posts"]["examples"][0]
            assert len((await ask.post("/api/ml/predict/engagement", json=example)).json()["results"]) == 2

    run(work)
    # An emotion that only Spark can score leaves the sentiment.
    write_version(folder, "v3", VALUES, {"emotion": "shoal_emotion-1"})

    async def without_emotion() -> None:
        async with client() as ask:
            got = (await ask.post("/api/ml/sentiment", json={"texts": ["I love it"]})).json()
            assert (got["results"][0]["label"], got["results"][0]["emotion"]) == ("positive", None)
            assert got["emotion_unavailable"].startswith("shoal_emotion/1 makes stems or leaves out stop words")

    run(without_emotion)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/recommendations?user_id=u1&k=0", "k: Input should be greater than or equal to 1"),
        ("/recommendations?user_id=u1&k=-1", "k: Input should be greater than or equal to 1"),
        ("/recommendations?user_id=u1&k=10000", "k: Input should be less than or equal to 1000"),
        ("/recommendations?user_id=u1&k=ten", "k: Input should be a valid integer, unable to parse string as an integer"),
        ("/recommendations", "user_id: Field required"),
        ("/recommendations?user_id=", "user_id: String should have at least 1 character"),
        ("/trending?kind=x", "kind: Input should be 'post', 'product', 'film', 'tweet' or 'other'"),
        ("/search?offset=-1", "offset: Input should be greater than or equal to 0"),
    ],
)
def test_wrong_parameters_are_one_sentence(client: Client, path: str, says: str) -> None:
    async def work() -> None:
        async with client() as ask:
            assert message(await ask.get(path), 422) == says

    run(work)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"not json", 400, "the body is not JSON"),
        (b"\0", 400, "the body is not JSON"),
        (b"", 422, "body: Field required"),
        (b"[" * 10_000 + b"]" * 10_000, 400, None),
        (b'{"texts":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, None),
        (b'{"texts": ["\\ud800"]}', 422, None),
        (b'{"texts": []}', 422, "texts: List should have at least 1 item after validation, not 0"),
        (b'{"texts": ["a"], "text": "b"}', 422, "text: Extra inputs are not permitted"),
        (b'{"texts": "a"}', 422, "texts: Input should be a valid list"),
        (b'{"texts": [1]}', 422, "texts.0: Input should be a valid string"),
        (b'{"texts": ["' + b"x" * 999_990 + b'"]}', 413, "the body has 1000005 bytes; expected at most 1000000"),
        (b"x" * 10_000_000, 413, "the body has 10000000 bytes; expected at most 1000000"),
        (b'{"texts": ["nul \\u0000 inside"]}', 200, None),
        ("{\"texts\": [\"\xff\"]}".encode("latin-1"), 400, None),
    ],
)  # fmt: skip
def test_bodies_that_are_none_are_refused_in_one_sentence(client: Client, body: bytes, status: int, says: str | None) -> None:
    async def work() -> None:
        async with client() as ask:
            answer = await ask.post("/api/v1/ml/sentiment", content=body, headers={"content-type": "application/json"})
            if status == 200:
                assert answer.status_code == 200
            elif says is None:
                assert answer.status_code in (400, 422) and len(message(answer, answer.status_code)) < 300
            else:
                assert message(answer, status) == says

    run(work)


def test_a_body_without_a_length_is_cut_off_too(client: Client) -> None:
    async def chunks() -> Any:
        for _ in range(100):
            yield b"x" * 100_000

    async def work() -> None:
        async with client() as ask:
            answer = await ask.post("/api/v1/ml/sentiment", content=chunks())
            assert message(answer, 413).startswith("the body has more than 1000000 bytes")

    run(work)


def test_tokens_and_scopes(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        async with client(TOKENS) as ask:

            async def status(path: str, token: str | None, **more: Any) -> tuple[int, str]:
                headers = {} if token is None else {"authorization": token.encode("latin-1")}
                answer = await ask.request("POST" if more else "GET", path, headers=headers, **more)
                return answer.status_code, answer.json().get("error", {}).get("message", "")

            read, scored, written = "Bearer 0123456789abcdef", "bearer fedcba9876543210", "Bearer aaaabbbbccccdddd"
            assert (await status("/trending", read))[0] == 200 == (await status("/trending", written))[0]
            absent = (401, "a bearer token is needed: Authorization: Bearer TOKEN")
            assert await status("/trending", None) == absent == await status("/trending", "Basic 0123456789abcdef")
            assert await status("/trending", "Bearer 0123456789abcdeF") == (401, "this token is not known")
            assert await status("/trending", "Bearer é\xff") == (
                401, "this token is not known")  # fmt: skip
            assert await status("/trending", "Bearer ooooooooooooooooo") == (401, "this token has expired on 2024-03-02")
            assert await status("/trending", scored) == (403, "this token has no scope read")
            assert await status("/metrics", None) == absent
            text = {"json": {"texts": ["x"]}}
            assert (await status("/api/ml/sentiment", scored, **text))[0] == 200
            assert await status("/api/ml/sentiment", read, **text) == (403, "this token has no scope score")
            sent = {"json": {"events": [{"user_id": "u", "item_id": "i", "event": "view"}]}}
            assert await status("/events", read, **sent) == (403, "this token has no scope write")
            assert (await status("/events", written, **sent))[0] == 202
            for path in ("/health", "/ready", "/openapi.json"):
                assert (await status(path, None))[0] == 200
            assert (await ask.get("/")).status_code == 200
            refused = await ask.get("/trending")
            assert refused.headers["www-authenticate"] == "Bearer" and refused.headers["x-content-type-options"] == "nosniff"

    run(work)
    # The log has routes and names, no token and no id.
    said = capsys.readouterr().err
    assert '"token":"r"' in said and "0123456789abcdef" not in said and "fedcba" not in said
    assert all(json.loads(line)["at"] for line in said.splitlines())


def test_no_id_of_a_person_is_logged_or_counted(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        async with client() as ask:
            await ask.get("/people/secret-person")
            await ask.get("/recommendations", params={"user_id": "secret-person"})
            await ask.get("/secret-person")
            await ask.post("/events", json={"events": [{"user_id": "secret-person", "item_id": "i", "event": "view"}]})
            text = (await ask.get("/metrics")).text
            assert 'shoal_requests_total{route="/people/{user_id:path}",method="GET",status="404"} 1' in text
            assert 'shoal_request_seconds_count{route="/recommendations"} 1' in text
            assert 'shoal_published_age_seconds{version="v1"} 60' in text and "shoal_events_total 1" in text
            assert "secret" not in text

    run(work)
    assert "secret" not in capsys.readouterr().err


def test_rates_and_the_queue_are_bounded(client: Client) -> None:
    async def work() -> None:
        async with client(limits=Limits(rate_per_second=5)) as ask:
            got = [await ask.get("/trending") for _ in range(12)]
            assert [each.status_code for each in got[:5]] == [200] * 5 and got[-1].status_code == 429
            assert message(got[-1], 429).startswith("more than 5 requests in a second") and got[-1].headers["retry-after"] == "1"
            assert (await ask.get("/health")).status_code == 200
        async with client(limits=Limits(in_flight=2)) as ask:
            texts = {"texts": ["word " * 2000] * 20}
            got = await asyncio.gather(*[ask.post("/api/ml/sentiment", json=texts) for _ in range(8)])
            assert sorted({each.status_code for each in got}) == [200, 429]

    run(work)


def test_a_slow_answer_ends_with_its_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*_: Any) -> Any:
        await asyncio.sleep(30)

    async def work() -> None:
        async with client(limits=Limits(timeout_seconds=0.2)) as ask:
            monkeypatch.setattr("shoal.publish.api.answers.trending", slow)
            assert message(await ask.get("/trending"), 504) == "no answer within 0.2 seconds"

            async def never() -> Any:
                yield b"{"
                await asyncio.sleep(30)

            # The server stays able to answer.
            assert (await ask.get("/health")).status_code == 200

    run(work)


def test_an_internal_error_is_an_answer_without_a_trace(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Any:
        raise ValueError("secret value")

    async def work() -> None:
        async with client() as ask:
            monkeypatch.setattr("shoal.publish.api.answers.trending", broken)
            assert message(await ask.get("/trending"), 500) == "internal error; the server's log has its kind"

    run(work)


def test_a_new_version_is_taken_without_a_failed_request(client: Client, folder: Path) -> None:
    async def work() -> None:
        async with client() as ask:
            live: Live = ask.live  # type: ignore[attr-defined]
            seen: list[tuple[str, int]] = []
            stop = asyncio.Event()

            async def reading() -> None:
                while not stop.is_set():
                    answer = await ask.get("/recommendations", params={"user_id": "u1", "k": 2})
                    assert answer.status_code == 200
                    seen.append((answer.json()["version"], len(answer.json()["items"])))
                    await asyncio.sleep(0)

            readers = [asyncio.create_task(reading()) for _ in range(4)]
            for number in range(2, 8):
                values = {**VALUES, "recommendations": {"u1": VALUES["recommendations"]["u1"][:2]}}
                manifest = write_version(folder, f"v{number}", values)
                await asyncio.sleep(0.02)
                await live.refresh()
                assert live.published.version == manifest.version
            await asyncio.sleep(0.02)
            stop.set()
            await asyncio.gather(*readers)
            assert {version for version, _ in seen} >= {"v1", "v7"} and {n for _, n in seen} == {2}
            # A damaged one is not taken.
            (folder / "lmdb" / "current").write_text("absent\n")
            assert not await live.refresh() and live.metrics.counts["refresh_failures"] >= 1
            assert (await ask.get("/ready")).json()["version"] == "v7"

    run(work)


def test_nothing_published_is_one_line(tmp_path: Path) -> None:
    live = Live(LmdbSource(tmp_path / "lmdb"), tmp_path, Metrics(), Log(lambda: NOW), lambda: NOW)
    with pytest.raises(InputError, match="nothing was published there; `shoal publish` does"):
        asyncio.run(live.start())


@pytest.mark.parametrize(
    ("at", "status"),
    [("2024-03-03T12:04:00Z", 202), ("2024-03-03T12:06:00Z", 422), ("2024-03-04T00:00:00+12:00", 202), (-9e9, 422)],
)
def test_clocks(client: Client, at: Any, status: int) -> None:
    async def work() -> None:
        async with client() as ask:
            sent = {"events": [{"user_id": "u", "item_id": "i", "event": "view", "occurred_at": at}]}
            assert (await ask.post("/events", json=sent)).status_code == status

    run(work)


def test_a_full_disk_is_said_and_nothing_is_half_written(client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def work() -> None:
        async with client() as ask:
            sent = {"events": [{"user_id": "u", "item_id": "i", "event": "view", "event_id": "kept"}]}
            assert (await ask.post("/events", json=sent)).status_code == 202
            with monkeypatch.context() as patched:
                patched.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
                answer = await ask.post("/events", json={"events": [{**sent["events"][0], "event_id": "lost"}]})
                assert message(answer, 503) == "events cannot be written: No space left on device"

    run(work)
    lines = [json.loads(line) for path in (tmp_path / "inbox").glob("events-*") for line in path.read_text().splitlines()]
    assert [line["event_id"] for line in lines] == ["kept"]
