"""The log of a build."""

from __future__ import annotations

import io

from modelyard.builder.log import BuildLog
from modelyard.contract.build_request import Step


def test_log_has_plain_lines_without_secrets() -> None:
    out = io.StringIO()
    log = BuildLog(out, {"s3cret", "abc"})
    log.write("\x1b[91mred\x1b[0m s3cret abc\n\n  indented https://u:p@h/x?sig=1\r\n")
    assert out.getvalue() == "[Fetch] red *** abc\n[Fetch]   indented https://h/x?…\n"


def test_log_of_another_step_shares_output_secrets_and_tail() -> None:
    out = io.StringIO()
    log = BuildLog(out, {"s3cret"})
    push = log.for_step(Step.PUSH)
    push.write("a s3cret")
    log.enter(Step.BUILD)
    log.write("b")
    push.write("c")
    assert out.getvalue() == "[Push] a ***\n[Build] b\n[Push] c\n"
    assert log.tail == push.tail == ("a ***", "b", "c")
    assert (log.step, push.step) == (Step.BUILD, Step.PUSH)
