"""`api-gateway demo`: what a newcomer sees first, used as printed."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from tests.support.gateway import Client, RunningGateway, command_process, eventually, is_refused, start_command


@pytest.fixture(scope="module")
def demo() -> Iterator[RunningGateway]:
    """The demo, with everything it prints."""
    with start_command("demo", "--port", "0") as gateway:
        gateway.process.stderr.wait_for(lambda line: line.startswith("Ctrl-C"))
        yield gateway


def test_create_get_list_update_delete(demo: RunningGateway) -> None:
    """The first bar: a user's whole life over HTTP."""
    with Client(demo.port) as client:
        created = client.ask("POST", "/api/users", {"name": "Mary Somerville", "email": "mary@example.org"})
        assert created.status == 201
        user = created.json()
        assert (user["name"], user["roles"], user["status"]) == ("Mary Somerville", ["user"], "USER_STATUS_ACTIVE")
        path = f"/api/users/{user['id']}"
        assert client.ask("GET", path).json() == user

        page = client.ask("GET", "/api/users?filter=somerville&page_size=2")
        assert (page.status, page.json()) == (200, {"users": [user], "totalSize": 1})

        changed = client.ask("PUT", path, {"name": "Mary Greig", "expectedVersion": user["version"]})
        assert (changed.status, changed.json()["name"], changed.json()["email"]) == (200, "Mary Greig", user["email"])
        stale = client.ask("PUT", path, {"name": "Mary", "expectedVersion": user["version"]})
        assert (stale.status, stale.error["status"]) == (409, "ABORTED")

        deleted = client.ask("DELETE", path)
        assert (deleted.status, deleted.json()) == (200, {})
        gone = client.ask("GET", path)
        assert (gone.status, gone.error["status"]) == (404, "NOT_FOUND")


def test_a_backends_error_keeps_its_details(demo: RunningGateway) -> None:
    """semantics 20: `grpc-status-details-bin` arrives as JSON."""
    answer = demo.ask("POST", "/api/users", {"name": "", "email": "nobody"})
    assert answer.status == 400
    (detail,) = answer.error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [violation["field"] for violation in detail["fieldViolations"]] == ["name", "email"]


@pytest.mark.parametrize("options", [(), ("--auth",)], ids=["open", "with tokens"])
def test_every_printed_line_works(options: Sequence[str]) -> None:
    """Pasted in order into one shell, each answers with the status that its comment promises."""
    with start_command("demo", "--port", "0", *options) as gateway:
        gateway.process.stderr.wait_for(lambda line: line.startswith("Ctrl-C"))
        steps = printed_steps(gateway.process.stderr.lines)
        assert len(steps) >= 8
        script = "\n".join(f"{command}\necho; echo '==== next'" for _, command in steps)
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60)
        outputs = done.stdout.split("==== next\n")
        statuses = [output.split()[1] if output.startswith("HTTP/1.1 ") else output for output in outputs[:-1]]
        assert statuses == [status for status, _ in steps]


def printed_steps(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Return status and shell commands of each step: `# what it shows (status)`, then what to paste."""
    steps: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith("# "):
            steps.append((line.rpartition("(")[2].rstrip(")"), ""))
        elif steps and line and not line.startswith("Ctrl-C"):
            status, command = steps[-1]
            steps[-1] = (status, f"{command}{line}\n")
    return steps


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["Ctrl-C", "SIGTERM", "hangup"])
def test_it_stops_cleanly(number: signal.Signals) -> None:
    """Exit code 0, and the example backends go with it."""
    with start_command("demo", "--port", "0") as gateway:
        ports = backend_ports(gateway)
        gateway.process.send_signal(number)
        assert gateway.process.wait() == 0
        assert all(map(is_refused, ports))
        assert "Traceback" not in gateway.process.stderr.text()


def backend_ports(gateway: RunningGateway) -> list[int]:
    services = gateway.get("/health").json()["services"].values()
    ports = [int(service["endpoint"].rpartition(":")[2]) for service in services]
    assert len(ports) == 2
    assert not any(map(is_refused, ports))
    return ports


def test_killed_it_leaves_no_backends() -> None:
    with start_command("demo", "--port", "0") as gateway:
        ports = backend_ports(gateway)
        gateway.process.send_signal(signal.SIGKILL)
        eventually(lambda: all(map(is_refused, ports)), "the example backends have ended")


def test_a_taken_port_is_said_with_the_way_out(demo: RunningGateway) -> None:
    process = command_process("demo", "--port", str(demo.port))
    assert process.wait(30) == 1
    assert f"port {demo.port}" in process.stderr.text()
    assert "--port" in process.stderr.text()
    assert "Traceback" not in process.stderr.text()
