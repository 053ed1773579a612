"""The server gives the page to the browser that it was opened for, and nothing to anybody else."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import FIGURES, FIGURES_MODEL

from dptn_cli.enums import Provider
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.keypoints import Annotations
from dptn_cli.pose_editor.editor import PoseEditor
from dptn_cli.pose_editor.server import MAX_CONNECTIONS, MAX_REQUEST, PoseServer

SOURCE = "p0000_0.png"


@contextmanager
def served(server: PoseServer) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=server.serve_until, args=(stop.is_set,))
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoseServer]:
    session = Session(read_model(FIGURES_MODEL), Provider.CPU)
    pose = Annotations(FIGURES / "keypoints.csv")[SOURCE]
    out = tmp_path_factory.mktemp("editor") / "poses"
    editor = PoseEditor(FIGURES / "images" / SOURCE, pose, session.model.spec, session, out)
    with PoseServer(editor, pose) as server, served(server):
        yield server


class Answer:
    """What the server answered."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    server: PoseServer,
    name: str,
    request: object = None,
    *,
    token: str | None = None,
    method: str = "",
    **headers: str,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    path = f"/{server.token if token is None else token}/{name}"
    body = None if request is None else json.dumps(request)
    connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def pose_request(server: PoseServer, **more: object) -> dict[str, object]:
    joints = ask(server, "state").json()["start"]
    return {"joints": joints, "retarget": "scale", "name": "pose"} | more


def test_the_page_and_its_parts(server: PoseServer) -> None:
    for name, kind in (
        ("", "text/html"), ("editor.js", "text/javascript"), ("editor.css", "text/css"),
        ("skeleton.js", "text/javascript"), ("source.jpg", "image/jpeg"),
    ):  # fmt: skip
        answer = ask(server, name)
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    assert b"http" not in ask(server, "").body, "nothing is fetched from elsewhere"


def test_an_image(server: PoseServer) -> None:
    answer = ask(server, "generate", pose_request(server))
    assert answer.status == 200
    assert answer.body.startswith(b"\x89PNG")
    assert int(answer.headers["X-Milliseconds"]) >= 0


@pytest.mark.parametrize("token", ["", "x", "%00", "..", "state"])
def test_a_wrong_token_is_refused(server: PoseServer, token: str) -> None:
    for name in ("", "state", "source.jpg"):
        answer = ask(server, name, token=token)
        assert answer.status == 403
        assert server.token.encode() not in answer.body
    assert ask(server, "generate", {}, token=token).status == 403


@pytest.mark.parametrize(
    "headers",
    [{"Host": "example.com"}, {"Host": "example.com:80"}, {"Host": "127.0.0.1"}, {"Host": ""},
     {"Origin": "http://example.com"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}],
)  # fmt: skip
def test_other_hosts_and_origins_are_refused(server: PoseServer, headers: dict[str, str]) -> None:
    assert ask(server, "state", **headers).status == 403
    assert ask(server, "save", pose_request(server), **headers).status == 403
    assert not server.editor.out.exists()


def test_its_own_names_are_taken(server: PoseServer) -> None:
    for host in server.hosts:
        assert ask(server, "state", Host=host, Origin=f"http://{host}").status == 200


@pytest.mark.parametrize(
    "name",
    ["../state", "..%2f..%2fetc/passwd", "/etc/passwd", "page/index.html", "editor.py", "%00"],
)
def test_nothing_else_is_served(server: PoseServer, name: str) -> None:
    assert ask(server, name).status == 404
    assert ask(server, name, {}).status == 404


def test_only_the_loopback_address_is_listened_on(server: PoseServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 32


@pytest.mark.parametrize(
    ("name", "more", "reason"),
    [
        ("generate", {"joints": [None] * 18}, "empty"),
        ("generate", {"joints": 7}, "a list of 18 joints"),
        ("generate", {"retarget": "maybe"}, "neither scale nor none"),
        ("save", {"name": "../pose"}, "a name has letters"),
        ("load", {}, "not a pose file"),
    ],
)
def test_what_cannot_be_done_is_told(
    server: PoseServer, name: str, more: dict[str, object], reason: str
) -> None:
    answer = ask(server, name, pose_request(server, **more))
    assert answer.status == 422
    assert reason in answer.json()["error"]


@pytest.mark.parametrize("body", ["", "null", "[]", "{", "[" * 100_000])
def test_what_is_no_request(server: PoseServer, body: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("POST", f"/{server.token}/generate", body)
    assert connection.getresponse().status == 422
    connection.close()


@pytest.mark.parametrize("length", [str(MAX_REQUEST + 1), "-1", "x", "٣", ""])
def test_bodies_of_no_or_too_much_length(server: PoseServer, length: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest("POST", f"/{server.token}/generate")
    connection.putheader("Content-Length", length.encode())
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_an_address_without_its_slash_leads_to_the_page(server: PoseServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("GET", f"/{server.token}")
    answer = Answer(connection.getresponse())
    assert (answer.status, answer.headers["Location"]) == (303, server.url)
    connection.close()


def test_the_address_for_the_browser_works_once(server: PoseServer) -> None:
    """All users of a machine can read the words that a browser is started with."""
    (token,) = server.first_tokens
    assert token != server.token
    assert token in server.first_url
    first, second = (ask(server, "", token=token) for _ in range(2))
    assert (first.status, first.headers["Location"]) == (303, server.url)
    assert second.status == 403


def test_idle_connections_do_not_stop_the_page(server: PoseServer) -> None:
    address = ("127.0.0.1", server.server_port)
    idle = [socket.create_connection(address) for _ in range(MAX_CONNECTIONS - 2)]
    assert ask(server, "state").status == 200
    for connection in idle:
        connection.close()


def test_other_methods(server: PoseServer) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "HEAD"):
        assert ask(server, "state", method=method).status == 501


def test_a_problem_of_the_model_is_on_the_page(server: PoseServer, tmp_path: Path) -> None:
    editor = PoseEditor(
        FIGURES / "images" / SOURCE,
        server.start,
        server.editor._spec,
        None,
        tmp_path / "poses",
    )
    other = PoseServer(editor, server.start, model_problem="m.onnx: no such file")
    with other, served(other):
        assert ask(other, "state").json()["model_problem"] == "m.onnx: no such file"
        answer = ask(other, "generate", pose_request(other))
        assert answer.status == 422
        assert ask(other, "save", pose_request(other)).status == 200
        assert (tmp_path / "poses" / "pose.json").is_file()
