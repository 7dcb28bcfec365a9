"""One run of a command line: from its words to an exit code, with at most one line of error."""

import re
import sys
from typing import Final

import click

from dsgctl.commands import streams

INVOCATION: Final = "dsgctl.commands.invocation"  # the key of the `Invocation` in click's `Context.meta`


class Invocation:
    """What `run_once` needs to report the error of a command line. No dataclass: each start would wait for the module.

    Attributes:
        format: the value of ``-o``, once it is parsed.
        debug: whether ``--debug`` precedes the noun. After the noun, the word can be the value of an argument.
    """

    def __init__(self) -> None:
        self.format: str | None = None
        self.debug = False


def run_once(root: click.Command, arguments: list[str]) -> int:
    """Run one command of ``root``, report its error if it fails, and return its exit code."""
    invocation = Invocation()
    try:
        _refuse_other_encodings(arguments)
        _refuse_empty(arguments)
        code = root.main(arguments, prog_name="dsgctl", standalone_mode=False, obj=invocation)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("dsgctl: stopped", err=True)
        return 130
    except BrokenPipeError:  # the reader of the output, such as head, has closed it
        streams.drop_unwritten()
        return 1
    except Exception as error:
        if invocation.debug and not isinstance(error, click.ClickException):
            raise
        exit_code = _report(error, invocation.format or _typed_format(arguments))
        streams.drop_unwritten()
        return exit_code
    return code if isinstance(code, int) else 0


def _typed_format(arguments: list[str]) -> str:
    """The format named by a command line that could not be parsed as a whole."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    chosen = "table"
    for before, argument in zip(["", *options], options, strict=False):
        if before in ("-o", "--output"):
            chosen = argument
        elif attached := re.fullmatch("(?:--output=|-o=?)(.+)", argument):
            chosen = attached[1]
    return chosen


def _refuse_other_encodings(arguments: list[str]) -> None:
    """Refuse bytes that are not UTF-8: Python makes them lone surrogates, which no database can store."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{argument!a} is not UTF-8 text") from None


# Options whose empty value clears the text.
MAY_BE_EMPTY = frozenset({"--name", "--display-name", "--pi", "--note", "--description", "--url"})


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse an empty value of any option or argument of any command.

    A script whose variable is unset must not get an answer about everybody in place of one person, nor act as an
    operator in place of a delegate.
    """
    words = iter(arguments)
    before = ""
    for word in words:
        if word in MAY_BE_EMPTY:
            next(words, None)
        option, equals, value = word.partition("=")
        if not word or (equals and not value and option.startswith("--") and option not in MAY_BE_EMPTY):
            subject = f"{option or before} is empty" if (option or before).startswith("-") else "an argument is empty"
            if (option or before) == "--as":
                # Only needed to word an error.
                from dsgctl.core.errors import NotAllowed

                raise NotAllowed("nobody may act as ''", "name a person, or leave out --as")
            raise click.UsageError(f"{subject}; leave it out, or give it a value: see 'dsgctl --help'")
        before = word


def _report(error: Exception, output_format: str) -> int:
    """Report an error in one line and return its exit code."""
    # Not at the top: only errors need it.
    from dsgctl.commands.output import JSON, report_failure
    from dsgctl.core.errors import DsgError
    from dsgctl.store import StoreError

    if isinstance(error, click.ClickException):
        message, hint = error.format_message().rstrip("."), ""
        if isinstance(error, click.UsageError) and error.ctx:
            hint = f"see '{error.ctx.command_path} --help'"
    elif isinstance(error, (DsgError, StoreError)):
        message, hint = error.message, error.hint
    elif isinstance(error, OSError):
        message, hint = f"{error.filename or 'the system'}: {error.strerror or error}", ""
    else:
        message, hint = f"this is a fault of dsgctl: {type(error).__name__}", "report what 'dsgctl --debug ...' shows"
    # A token typed in the wrong place must not reach a log. core/token_format.py defines its form.
    message = re.sub("(dsg[_t])[0-9A-Za-z]{30,}", r"\1(a token)", message)
    code = getattr(error, "exit_code", 1)
    report_failure(message, hint, code, as_json=output_format in JSON)
    return code
