"""Prints the answer of a command: tables and sentences for people; JSON, CSV and bare values for programs."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from dsgctl.commands import streams
from dsgctl.commands.formats import Row, format_cell, format_csv_row, format_for_people, format_json
from dsgctl.commands.imports_on_use import imports_on_use
from dsgctl.commands.messages import echo, printable, write_line
from dsgctl.core.errors import DsgError
from dsgctl.core.row_streams import start_reading

with imports_on_use():  # each format needs one of them at most
    import csv

    from dsgctl.commands import tables

FORMATS = ("table", "json", "jsonl", "csv", "value", "wide")
JSON = ("json", "jsonl")


class Output:
    """Prints the answer of one command to standard output.

    Attributes:
        format: table, json, jsonl, csv or value.
        wide: tables have all their columns.
        secret_shown: whether a secret was printed.
    """

    def __init__(self, format: str) -> None:
        self.secret_shown = False
        self.wide = format == "wide"
        self.format = "table" if self.wide else format
        if self.format != "table":  # programs read UTF-8 in every locale
            streams.reconfigure(sys.stdout, encoding="utf-8")

    @property
    def is_json(self) -> bool:
        return self.format in JSON

    def print_rows(self, rows: Iterable[Row], columns: Sequence[str], *, value: str) -> None:
        """Print a list, one row at a time: a long list starts at once and is never held in memory.

        Args:
            columns: the keys to print, in this order.
            value: the key that ``-o value`` prints alone.
        """
        # What the query refuses is refused before anything is printed.
        rows = start_reading(iter(rows))
        match self.format:
            case "json":
                self._print_json_list({key: row[key] for key in columns} for row in rows)
            case "jsonl":
                for row in rows:
                    write_line(format_json({key: row[key] for key in columns}))
            case "csv":
                writer = csv.writer(sys.stdout, lineterminator="\n")
                writer.writerow(format_csv_row(columns))
                writer.writerows(format_csv_row([row[key] for key in columns]) for row in rows)
            case "value":
                for row in rows:
                    write_line(printable(format_cell(row[value])))
            case _:
                tables.print_table(rows, columns, value, wide=self.wide)

    def print_record(self, record: Row, *, value: str) -> None:
        """Print everything that is recorded about one thing.

        Args:
            value: the key that ``-o value`` prints alone.
        """
        match self.format:
            case "json":
                write_line(format_json(record, indent=2))
            case "jsonl":
                write_line(format_json(record))
            case "csv":
                self.print_rows([record], list(record), value=value)
            case "value":
                write_line(printable(format_cell(record[value]), lines=True))
            case _:
                width = max(map(len, record))
                for key, field in record.items():
                    text = printable(format_for_people(field), lines=True).replace("\n", "\n" + " " * (width + 2))
                    write_line(printable(f"{key.replace('_', ' '):<{width}}  {text}".rstrip(), lines=True))

    def print_result(self, sentence: str, *, value: str = "changed", **record: Any) -> None:
        """Print what a command did.

        Args:
            sentence: for people.
            value: the key of ``record`` that ``-o value`` prints alone.
            record: for programs.
        """
        if self.format == "table":
            write_line(printable(sentence))
        else:
            self.print_record(record, value=value)

    def print_secret(self, record: Row, *, value: str, sentence: str) -> None:
        """Print a secret that is never shown again, and on standard error a sentence about it for people.

        Call it before the change that makes the secret is committed: a secret that nobody saw must not exist.

        Raises:
            DsgError: it cannot be written.
        """
        try:
            streams.require_room()
            if self.format == "table":
                echo(sentence, err=True)
                write_line(str(record[value]))
            else:
                self.print_record(record, value=value)
            streams.write_through()
            self.secret_shown = True
        except OSError as error:
            raise DsgError(
                f"the {value} cannot be written to standard output: {error.strerror or error}; nothing was changed",
                "make sure that standard output can be written, and run the command again",
            ) from error

    @staticmethod
    def _print_json_list(rows: Iterable[Row]) -> None:
        comma = ""
        sys.stdout.write("[")
        for row in rows:
            sys.stdout.write(f"{comma}\n  {format_json(row)}")
            comma = ","
        write_line("\n]" if comma else "]")


def report_failure(message: str, hint: str, code: int, *, as_json: bool) -> None:
    """Print an error to standard error: a line, or a JSON object."""
    if as_json:
        streams.reconfigure(sys.stderr, encoding="utf-8")
        sys.stderr.write(format_json({"error": message, "hint": hint, "exit_code": code}) + "\n")
    else:
        sys.stderr.write("dsgctl: " + printable(f"{message}; {hint}" if hint else message) + "\n")
    sys.stderr.flush()
