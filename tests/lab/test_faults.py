"""What a server shows to its clients when it is told to fail."""

import http.client

import pytest

from lab.faults import Faulty
from lab.http_server import HttpServer, Request, Response
from lab.namespace import GATEWAY, call_in

pytest_plugins = ["lab.fixtures"]

BODY = b"x" * 100_000


class Server(Faulty):
    def respond(self, request: Request) -> Response:
        fault = self.next_fault(request.path)
        return self.instead(fault, "/rest") or self.spoil(fault, Response(200, BODY))


@pytest.fixture
def faulty(world):
    made = Server()
    server = HttpServer(world.namespace, GATEWAY, 8080, made.respond)
    server.start()
    yield made
    made.release()
    server.stop()


def get(world, path: str = "/") -> tuple[int, bytes, str | None]:
    def ask() -> tuple[int, bytes, str | None]:
        connection = http.client.HTTPConnection(GATEWAY, 8080, timeout=2)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["Location"]

    return call_in(world.namespace.path, ask)


def test_a_fault_lasts_so_often_and_for_what_it_is_meant(world, faulty):
    faulty.fail(503, times=1, only="/a*")
    assert [get(world, path)[0] for path in ("/b", "/ab", "/ab")] == [200, 503, 200]
    faulty.fail(500)
    assert [get(world)[0] for _ in range(3)] == [500] * 3
    faulty.heal()
    assert get(world) == (200, BODY, None)
    faulty.redirect("https://other")
    assert get(world)[::2] == (301, "https://other/rest")


@pytest.mark.parametrize(
    "how, error",
    [("truncate", http.client.IncompleteRead), ("stall", TimeoutError), ("reset", ConnectionResetError)],
)
def test_a_body_that_does_not_arrive_whole(world, faulty, how, error):
    getattr(faulty, how)(after=5, times=1)
    with pytest.raises(error):
        get(world)
    assert get(world)[1] == BODY
