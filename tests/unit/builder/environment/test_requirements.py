from __future__ import annotations

import contextlib
import time

import pytest

from modelyard.builder.environment.git_source import GitSource
from modelyard.builder.environment.requirements import (
    Requirements,
    parse_requirements,
)
from modelyard.contract.errors import (
    BuildFailedError,
    RequirementsInvalidError,
)

HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy==2.3.1",
        "scikit-learn[alldeps] >=1.6, <2; python_version >= '3.11'",
        "ruamel.yaml~=0.18",
        "uvicorn[standard]",
        "name (>=1)",
        f"numpy==2.3.1 {HASH} {HASH}",
        "https://wheels.example/numpy-2.3.1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "https://wheels.example/a-1-py3-none-any.whl?sig=x#sha256=0",
        "numpy @ https://wheels.example/numpy-2.3.1-cp311-cp311-linux_x86_64.whl ; python_version > '3'",
        "pkg[extra]@https://wheels.example/pkg-1-py3-none-any.whl",
        "--index-url https://index.example/simple",
        "-i https://me:secret@index.example/simple",
        "--index-url=https://index.example/simple",
        "--extra-index-url https://download.pytorch.org/whl/cpu",
        "--find-links https://wheels.example/",
        "--no-index",
        "--require-hashes",
    ],
)
def test_supported_line_is_unchanged(line: str) -> None:
    assert parse_requirements(line).text == f"{line}\n"
    assert parse_requirements(line).arguments == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Requirements("")),
        ("\ufeff# a comment\r\n\r\nnumpy  # the newest\r\n".removeprefix("\ufeff"), Requirements("numpy\n")),
        (f"numpy==1 \\\n    {HASH} \\\n    {HASH}", Requirements(f"numpy==1     {HASH}     {HASH}\n")),
        ("# no end \\\nnumpy", Requirements("numpy\n")),
        ("a @ https://x.example/a-1-py3-none-any.whl#sha256=1", None),
        ("--pre\nnumpy", Requirements("numpy\n", ("--prerelease=allow",))),
        ("--trusted-host=index.example", Requirements("", ("--allow-insecure-host=index.example",))),
        ("--prefer-binary\n--use-feature=fast-deps\nnumpy", Requirements("numpy\n")),
        ("--only-binary :all:", Requirements("--only-binary :all:\n")),
        ("--no-binary a,b", Requirements("--no-binary a\n--no-binary b\n", needs_sources=True)),
        ("--no-binary=:all:", Requirements("--no-binary :all:\n", needs_sources=True)),
        ("https://x.example/a-1.tar.gz", Requirements("https://x.example/a-1.tar.gz\n", needs_sources=True)),
        ("a @ https://x.example/a.zip", Requirements("a @ https://x.example/a.zip\n", needs_sources=True)),
        ("-i https://i.example/", Requirements("-i https://i.example/\n", replaces_index=True)),
        (
            "--extra-index-url https://i.example/",
            Requirements("--extra-index-url https://i.example/\n", adds_indexes=True),
        ),
    ],
)
def test_comments_and_options_are_translated_for_uv(text: str, expected: Requirements | None) -> None:
    assert parse_requirements(text) == (expected or Requirements(f"{text}\n"))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("b @ git+ssh://git@github.com/a/b", RequirementsInvalidError),
        ("git+https:///a", RequirementsInvalidError),
        ("git+https://[h/a", RequirementsInvalidError),
        ("hg+https://hg.example/a", RequirementsInvalidError),
        ("https://wheels.example/a-1.exe", RequirementsInvalidError),
        ("-e .", RequirementsInvalidError),
        ("--editable=/home/me/project", RequirementsInvalidError),
        ("-e file:///home/me/project", RequirementsInvalidError),
        ("-r other.txt", RequirementsInvalidError),
        ("-r /etc/modelyard/registry/.dockerconfigjson", RequirementsInvalidError),
        ("--requirement=https://example.com/requirements.txt", RequirementsInvalidError),
        ("-c constraints.txt", RequirementsInvalidError),
        ("--find-links /wheels", RequirementsInvalidError),
        ("--index-url file:///simple", RequirementsInvalidError),
        ("-i https://index.example/simple -r /etc/passwd", RequirementsInvalidError),
        ("numpy -r /etc/passwd", RequirementsInvalidError),
        ("numpy --config-settings=a=b", RequirementsInvalidError),
        ("--index-url https://evil.example/${UV_DEFAULT_INDEX}", RequirementsInvalidError),
        ("numpy @ https://evil.example/${HTTPS_PROXY}/a.whl", RequirementsInvalidError),
        ("--target /tmp", RequirementsInvalidError),
        ("./a-1-py3-none-any.whl", RequirementsInvalidError),
        ("a-1-py3-none-any.whl", RequirementsInvalidError),
        ("folder/project", RequirementsInvalidError),
        ("/etc/passwd", RequirementsInvalidError),
        (".", RequirementsInvalidError),
        ("..", RequirementsInvalidError),
        ("file:///etc/passwd", RequirementsInvalidError),
        ("a @ file:///etc/passwd", RequirementsInvalidError),
        ("a@./b.whl", RequirementsInvalidError),
        ("a[b] @", RequirementsInvalidError),
        ("!", RequirementsInvalidError),
        ("numpy=1", RequirementsInvalidError),
        ("numpy 1", RequirementsInvalidError),
        ("numpy[extra", RequirementsInvalidError),
        ("numpy; interpreter == 'x'", RequirementsInvalidError),
        ("numpy --hash=", RequirementsInvalidError),
    ],
)
def test_unsupported_line_is_refused(line: str, error: type[BuildFailedError]) -> None:
    with pytest.raises(error, match=r"^pipRequirements: ") as caught:
        parse_requirements(f"numpy\n{line}\n")
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        ("numpy @ file:///croot/numpy_1691/work", "a version, such as numpy==1.0, or the http"),
        ("a.b[c]@file:///x/a-1-py3-none-any.whl", "such as a.b==1.0, "),
        ("-e /home/me/project", "require a version of the package"),
        ("a-1-py3-none-any.whl", "give the http(s) URL of a package"),
        ("git+ssh://git@github.com/a/b", "give a git+https:// URL"),
        ("hg+https://hg.example/a", "manifest's targetRuntime to Docker"),
    ],
)
def test_line_of_another_machine_has_a_way_out(line: str, way_out: str) -> None:
    with pytest.raises(BuildFailedError) as caught:
        parse_requirements(line)
    assert way_out in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "a; " + "(" * 50_000,
        "a==" + "9" * 5000,
        "a @ http://[",
        "http://[/a-1-py3-none-any.whl",
        "a @ https://h/a.whl; python_version > '" + "9" * 5000 + "'",
    ],
)
def test_line_that_is_hard_to_parse_is_no_crash(line: str) -> None:
    with contextlib.suppress(RequirementsInvalidError):
        parse_requirements(line)


@pytest.mark.parametrize(
    "text",
    [
        "a" + " " * 200_000 + "b",
        "a" + (" " * 50 + "--hash=x") * 5000 + " b",
        "-" + "a-" * 100_000 + " " * 100_000 + "x y",
        "a" + " --hash " * 50_000,
        "${a" * 100_000,
        "a # " + "# " * 100_000,
    ],
)
def test_parsing_takes_linear_time(text: str) -> None:
    """Quadratic time would be minutes."""
    started = time.process_time()
    with contextlib.suppress(RequirementsInvalidError):
        parse_requirements(text)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("-r more.txt  # of conda", "condaEnvFile"),
        ("-r more.txt\nnumpy @ file:///x", "condaEnvFile"),
        ("-r other.txt", "pipRequirements"),
    ],
)
def test_error_names_the_field_of_the_line(text: str, field: str) -> None:
    with pytest.raises(RequirementsInvalidError, match=f"^{field}: '-r .*names a file"):
        parse_requirements(f"numpy\n{text}", conda_pip=("numpy", "-r more.txt # x"))


@pytest.mark.parametrize(
    ("text", "field"),
    [("a", "pipRequirements"), ("b\na", "condaEnvFile and pipRequirements"), ("b", "condaEnvFile")],
)
def test_fields_of_all_lines_are_named(text: str, field: str) -> None:
    assert parse_requirements(text, conda_pip=("b",)).field == field


def test_refusal_contains_no_credential() -> None:
    with pytest.raises(RequirementsInvalidError) as caught:
        parse_requirements("a @ git+ssh://me:s3cret@github.com/a/b")
    assert "s3cret" not in str(caught.value)
    assert "github.com/a/b" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("git+https://h/a/b", GitSource(url="https://h/a/b")),
        ("git+https://h/a/b.git@v1#egg=b[x]", GitSource(url="https://h/a/b.git", revision="v1", name="b[x]")),
        (
            "-e git+https://me:pass@h/a@f%2Fx#egg=a",
            GitSource(url="https://me:pass@h/a", revision="f/x", name="a"),
        ),
        (
            "b[x,a] @ git+https://h/a/b@main#subdirectory=/py/ ; python_version > '3'",
            GitSource(
                url="https://h/a/b",
                revision="main",
                subdirectory="py",
                name="b[a,x]",
                marker='python_version > "3"',
            ),
        ),
    ],
)
def test_repositories_of_git_are_parsed(line: str, expected: GitSource) -> None:
    parsed = parse_requirements(line)
    assert list(parsed.git.values()) == [expected]
    assert parsed.needs_sources
    assert parsed.text.strip() in parsed.git
