"""The server of the page, for one person's browser on this machine.

It listens on the loopback address alone. Every address begins with a random token, and the `Host`
and `Origin` headers must name this server: other users of the machine, and pages of other sites in
the same browser, get nothing.
"""

import json
import secrets
import sys
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dptn_cli.enums import Retarget
from dptn_cli.errors import DptnError, InputError
from dptn_cli.keypoints import JOINT_NAMES, MIRRORED
from dptn_cli.pose_editor.editor import PoseEditor
from dptn_cli.pose_editor.poses import NamedPose, from_joints, read_pose_file, to_joints
from dptn_cli.pose_editor.presets import read_presets
from dptn_cli.types import Pose
from dptn_cli.visualize.skeleton import COLOURS, LIMBS

LOOPBACK = "127.0.0.1"
MAX_REQUEST = 1 << 20
MAX_FILE = 256 << 20  # of a pose file, as elsewhere in dptn
MAX_CONNECTIONS = 64
PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "editor.js": ("editor.js", "text/javascript; charset=utf-8"),
    "skeleton.js": ("skeleton.js", "text/javascript; charset=utf-8"),
    "editor.css": ("editor.css", "text/css; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PoseServer(ThreadingHTTPServer):
    """Serves the page of one editor.

    Args:
        editor: the person and the model.
        start: the pose that the page begins with.
        given: the poses of the file that the user named.
        model_problem: why nothing can be generated; empty if it can.
        port: the port; 0 for a free one.

    Attributes:
        url: the address of the page, with the token.
        first_url: an address that leads to it once. A browser is started with this one, because
            all users of a machine can read the words that a program is started with.

    Raises:
        InputError: the port is taken.
    """

    request_queue_size = MAX_CONNECTIONS
    timeout = 0.2  # seconds, after which `serve_until` looks again whether to stop

    def __init__(
        self,
        editor: PoseEditor,
        start: Pose,
        given: Sequence[NamedPose] = (),
        model_problem: str = "",
        port: int = 0,
    ) -> None:
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise InputError(f"--port {port}: {error.strerror}") from error
        self.editor, self.start, self.given = editor, start, given
        self.model_problem = model_problem
        self.token, first_token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.first_tokens = {first_token}
        self.hosts = {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}
        origin = f"http://{LOOPBACK}:{self.server_port}"
        self.url, self.first_url = f"{origin}/{self.token}/", f"{origin}/{first_token}/"
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def serve_until(self, stop: Callable[[], bool]) -> None:
        """Answer requests until there is a reason to stop, then end the editor.

        The threads are daemons: a connection that sends nothing does not delay the end, and
        `PoseEditor.end` waits for the inference or file that must not be cut off.
        """
        while not stop():
            self.handle_request()
        self.editor.end()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, if there are not too many."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of a defect, but say nothing of a browser that went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def state(self) -> dict[str, Any]:
        """Return what the page needs to begin."""
        height, width = self.editor.size
        return {
            "image": self.editor.image.name,
            "free_name": self.editor.free_name(),
            "max_file": MAX_FILE,
            "width": width,
            "height": height,
            "joints": list(JOINT_NAMES),
            "mirrored": list(MIRRORED),
            "limbs": [list(limb) for limb in LIMBS],
            "colours": [f"rgb({r}, {g}, {b})" for r, g, b in COLOURS],
            "source_pose": to_joints(self.editor.source_pose),
            "start": to_joints(self.start),
            "presets": [self._placed(pose) for pose in (*self.given, *read_presets())],
            "model_problem": self.model_problem,
        }

    def _placed(self, named: NamedPose) -> dict[str, Any]:
        try:
            return {"name": named.name, "joints": to_joints(self.editor.place(named.pose))}
        except InputError as error:
            return {"name": named.name, "problem": str(error)}

    def load(self, name: str, content: bytes) -> dict[str, Any]:
        """Read a pose file, and place its poses on the person.

        Raises:
            InputError: there is no pose in it.
        """
        loaded = read_pose_file(name, content)
        return {"poses": [self._placed(pose) for pose in loaded.poses], "broken": loaded.broken}

    def save(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write a pose.

        Raises:
            InputError: it cannot be written under this name.
        """
        pose, retarget = read_pose_request(request)
        saved = self.editor.save(str(request.get("name", "")), pose, retarget)
        return {
            "path": str(saved.path),
            "csv": saved.csv_line,
            "command": saved.command,
            "free_name": self.editor.free_name(),
        }


def read_pose_request(request: dict[str, Any]) -> tuple[Pose, Retarget]:
    """Read the pose that the page sent, and whether it is to be scaled to the person.

    Raises:
        InputError: the request is none that the page sends.
    """
    return from_joints(request.get("joints")), _to_retarget(request.get("retarget"))


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise InputError("expected a JSON object")
    return request


def _to_retarget(value: object) -> Retarget:
    try:
        return Retarget(str(value))
    except ValueError as error:
        raise InputError(f"retarget: {value!r} is neither scale nor none") from error


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: PoseServer
    server_version, sys_version = "dptn", ""
    protocol_version = "HTTP/1.0"  # a connection for each request: none is open when the page ends
    timeout = 30

    def log_message(self, *_: object) -> None:
        """Print nothing: the terminal is the user's."""

    def do_GET(self) -> None:
        """Serve the page, its parts, and the source image."""
        name = self._allowed_name()
        if name is None:
            return
        if name in PAGE:
            file, kind = PAGE[name]
            self._send(HTTPStatus.OK, files(__package__).joinpath("page", file).read_bytes(), kind)
        elif name == "state":
            self._send_json(HTTPStatus.OK, self.server.state())
        elif name == "source.jpg":
            self._send(HTTPStatus.OK, self.server.editor.shown_image, "image/jpeg")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        """Generate, save or load."""
        name = self._allowed_name()
        if name is None:
            return
        actions = {"generate": self._send_image, "save": self._send_saved, "load": self._send_load}
        if name not in actions:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
            return
        body = self._body(MAX_FILE if name == "load" else MAX_REQUEST)
        if body is None:
            return
        try:
            actions[name](body)
        except DptnError as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except ConnectionError:
            raise
        except Exception as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"a defect of dptn: {error}")
            raise

    def _send_image(self, body: bytes) -> None:
        png, elapsed_s = self.server.editor.generate(*read_pose_request(_read_json(body)))
        headers = {"X-Milliseconds": f"{1000 * elapsed_s:.0f}"}
        self._send(HTTPStatus.OK, png, "image/png", headers)

    def _send_saved(self, body: bytes) -> None:
        self._send_json(HTTPStatus.OK, self.server.save(_read_json(body)))

    def _send_load(self, body: bytes) -> None:
        (name,) = parse_qs(urlsplit(self.path).query).get("name", [""])[:1]
        self._send_json(HTTPStatus.OK, self.server.load(name, body))

    def _allowed_name(self) -> str | None:
        """Return what is asked for, without the token; None if the request was answered."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host not in self.server.hosts or origin not in (None, f"http://{host}"):
            self._refuse(HTTPStatus.FORBIDDEN, "only a browser on this machine may use this page")
            return None
        token, slash, name = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        is_known = secrets.compare_digest(token.encode(), self.server.token.encode())
        if (is_known and not slash) or token in self.server.first_tokens:
            self.server.first_tokens.discard(token)
            self._send(HTTPStatus.SEE_OTHER, b"", "text/plain", {"Location": self.server.url})
            return None
        if not is_known:
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that dptn pose printed")
            return None
        return name

    def _body(self, max_bytes: int) -> bytes | None:
        """Return the request's body; None if the request was refused."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > max_bytes:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {max_bytes >> 20} MiB")
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._send_json(status, {"error": reason})

    def _send_json(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self._send(status, content, "application/json")

    def _send(
        self, status: HTTPStatus, content: bytes, kind: str, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        headers = HEADERS | (more or {}) | {"Content-Type": kind}
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
