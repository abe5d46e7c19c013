"""One client among threads, tasks and processes: each caller gets its own answer."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from feature_specs.errors import ForebayError
from forebay.client import AsyncClient, Client, ClosedError, UnavailableError
from forebay.client.local import LocalClient
from serving.sync import sync
from tests.forebay.client.conftest import MANY
from tests.forebay.client.scripted import http, scripted, silence, vectors
from tests.serving.project import Project, carriers, instant, make_view
from tests.serving.server_process import ServerProcess, server_of

pytestmark = pytest.mark.slow


def twice(client: Client | LocalClient, number: int) -> bool:
    """Whether the client gives a number's own row."""
    return client.vectors("numbers", {"id": [number]}).to_dict() == {"numbers__twice": [2 * number]}


@pytest.mark.parametrize("connections", [1, 3, 16])
def test_threads(server: ServerProcess, connections: int) -> None:
    with (
        Client(server.url, timeout=60, connections=connections) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        assert all(pool.map(lambda number: twice(client, number), range(400)))


def test_threads_without_a_server(local: LocalClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda number: twice(local, number), range(400)))


@pytest.mark.parametrize("connections", [1, 3, 32])
def test_tasks_some_of_which_are_cancelled(server: ServerProcess, connections: int) -> None:
    draw = random.Random(7)

    async def ask_all() -> None:
        async with AsyncClient(server.url, timeout=60, connections=connections) as client:

            async def ask(number: int) -> int:
                found = await client.vectors("numbers", {"id": [number]})
                value: int = found.to_dicts()[0]["numbers__twice"]
                return value

            tasks = [asyncio.create_task(ask(number)) for number in range(MANY // 5)]
            dropped: set[int] = set()
            while not all(task.done() for task in tasks):
                chosen = draw.randrange(len(tasks))
                if len(dropped) < 100 and not tasks[chosen].done():
                    tasks[chosen].cancel()
                    dropped.add(chosen)
                await asyncio.sleep(0)
            for number, task in enumerate(tasks):
                assert task.cancelled() == (number in dropped)
                assert task.cancelled() or task.result() == 2 * number
            assert dropped
            assert await asyncio.gather(*map(ask, range(20))) == list(range(0, 40, 2))

    asyncio.run(ask_all())


def test_a_call_that_is_cancelled_leaves_its_answer_to_nobody() -> None:
    done = threading.Event()

    async def ask(url: str) -> list[dict[str, Any]]:
        async with AsyncClient(url, timeout=60, connections=1) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.vectors("s", {"id": [1]})
            return (await client.vectors("s", {"id": [2]})).to_dicts()

    with scripted(silence(done), http(200, vectors(2))) as server:
        try:
            assert asyncio.run(ask(server.url)) == [{"v__x": 2}]
        finally:
            done.set()


def _ask_in_child(client: Client | LocalClient, results: Any) -> None:
    results.put(all(twice(client, number) for number in range(100, 150)))
    client.close()


@pytest.mark.parametrize("name", ["client", "local"])
def test_forked_processes(request: pytest.FixtureRequest, name: str) -> None:
    """As workers of a DataLoader: what the parent has open is the child's own there."""
    client: Client | LocalClient = request.getfixturevalue(name)
    assert twice(client, 1)
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    children = [fork.Process(target=_ask_in_child, args=(client, results)) for _ in range(3)]
    for child in children:
        child.start()
    assert all(twice(client, number) for number in range(50))
    assert [results.get(timeout=60) for _ in children] == [True] * 3
    for child in children:
        child.join()
    assert twice(client, 2)


@pytest.mark.parametrize("name", ["client", "local"])
def test_a_pickled_client_is_a_new_one(request: pytest.FixtureRequest, name: str) -> None:
    client: Client | LocalClient = request.getfixturevalue(name)
    client.close()
    copy: Client | LocalClient = pickle.loads(pickle.dumps(client))
    with copy:
        assert twice(copy, 3)
    copied = pickle.loads(pickle.dumps(AsyncClient("http://localhost:1", api_key="s3cret")))
    assert repr(copied) == "<AsyncClient of http://localhost:1>"


@pytest.mark.parametrize("name", ["client", "local"])
def test_a_client_that_is_closed_while_threads_use_it(
    request: pytest.FixtureRequest, name: str
) -> None:
    """Each call gives its own answer or says that the client is closed; none waits for ever."""
    client: Client | LocalClient = request.getfixturevalue(name)
    begun = threading.Event()

    def call(first: int) -> bool:
        try:
            for number in range(first, first + 1_000):
                if not twice(client, number % MANY):
                    return False
                begun.set()
        except ClosedError:
            return True
        return False

    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(call, 100 * i) for i in range(6)]
        begun.wait()
        client.close()
        assert [each.result(timeout=60) for each in calls] == [True] * 6


def test_a_closed_client_says_so(either: Client | LocalClient) -> None:
    either.close()
    either.close()
    for call in (either.services, either.features, either.health):
        with pytest.raises(ClosedError, match="this client is closed"):
            call()
    with pytest.raises(ClosedError):
        either.vectors("numbers", {"id": [1]})


def test_a_closed_asynchronous_client_says_so(server: ServerProcess) -> None:
    async def ask() -> None:
        client = AsyncClient(server.url, timeout=60)
        async with client:
            assert (await client.health()).not_ready == ("unsynced",)
            assert [service.name for service in await client.services()] == ["arrival", "numbers"]
            assert len(await client.features()) == 9
        for call in (client.services, client.features, client.health):
            with pytest.raises(ClosedError):
                await call()

    asyncio.run(ask())


def test_an_asynchronous_client_is_of_one_event_loop_at_a_time(server: ServerProcess) -> None:
    client = AsyncClient(server.url, timeout=60)
    for _ in range(2):
        assert not asyncio.run(client.health()).ok
    with asyncio.Runner() as runner:
        runner.run(client.health())
        with pytest.raises(ForebayError, match="used by another event loop"):
            asyncio.run(client.health())
        runner.run(client.close())


def test_a_server_that_is_restarted_while_it_is_asked(tmp_path: Any) -> None:
    """Every call is answered, and with what was synced before it or during it."""
    project = Project(tmp_path)
    view = make_view("delays")
    project.add(view)
    done, synced, failed = threading.Event(), [0], list[str]()

    def build(n: int) -> None:
        project.build(view, carriers({"AA": (n, float(n))}), instant(f"07-01T0{n}:00"))
        sync(project.catalog)

    build(0)
    with (
        server_of(project.catalog, tmp_path) as running,
        Client(running.url, timeout=60, retries=10_000) as client,
    ):

        def call() -> None:
            while not done.is_set():
                before = synced[0]
                try:
                    row = client.vectors(["delays:n", "delays:delay"], {"carrier": ["AA"]})
                except UnavailableError as error:
                    failed.append(str(error))
                    return
                n, delay = row.to_dicts()[0].values()
                if n != delay or not before <= n <= before + 2:
                    failed.append(f"{n} {delay} after {before}")

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for n in range(1, 4):
            build(n)
            synced[0] = n
            running.stop()
            running.start()
        done.set()
        for thread in threads:
            thread.join()
        assert not failed
        assert client.vectors(["delays:n"], {"carrier": ["AA"]}).to_dicts() == [{"delays__n": 3}]
