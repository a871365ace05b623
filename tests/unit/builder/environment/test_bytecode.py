from __future__ import annotations

import importlib.util
import py_compile
from pathlib import Path

from modelyard.builder.environment.bytecode import make_unchecked


def test_python_imports_unchecked_byte_code_without_compiling(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("answer = 42\n")
    compiled = Path(py_compile.compile(str(source), doraise=True))
    make_unchecked(compiled)
    source.write_text("answer = 'compiled again'\n")
    spec = importlib.util.spec_from_file_location("module", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.answer == 42


def test_file_without_a_whole_header_is_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "broken.pyc"
    file.write_bytes(b"short")
    make_unchecked(file)
    assert file.read_bytes() == b"short"


def test_link_is_unchanged(tmp_path: Path) -> None:
    target = tmp_path / "login.json"
    target.write_text('{"auths": "of the builder"}')
    link = tmp_path / "login.pyc"
    link.symlink_to(target)
    make_unchecked(link)
    assert link.readlink() == target
