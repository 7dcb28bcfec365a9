"""The schema of a SQLite file as data, to compare it with the one that the migrations create."""

import apsw

# (type, name) -> the statement that created it, of each table, index, trigger and view, without statistics.
Schema = dict[tuple[str, str], str | None]

_QUERY = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_stat[1-4]'"
_INDEX_TABLES = "principals_search_"  # tables that FTS5 creates itself, with statements that differ between versions


def read_schema(connection: apsw.Connection) -> Schema:
    """The schema of an open file."""
    return {
        (str(kind), str(name)): None if str(name).startswith(_INDEX_TABLES) and kind == "table" else sql
        for kind, name, sql in connection.execute(_QUERY)
    }


def build_schema(scripts: list[str]) -> Schema:
    """The schema that scripts create in an empty database."""
    connection = apsw.Connection(":memory:")
    try:
        for script in scripts:
            connection.execute(script)
        return read_schema(connection)
    finally:
        connection.close()


def list_differences(schema: Schema, expected: Schema) -> list[str]:
    """How a schema differs from the expected one, each difference in words; empty if it does not."""
    problems = [f"the {kind} {name} is not of this program" for kind, name in schema.keys() - expected.keys()]
    problems += [f"the {kind} {name} is missing" for kind, name in expected.keys() - schema.keys()]
    for kind, name in schema.keys() & expected.keys():
        if schema[kind, name] != expected[kind, name]:
            problems.append(f"the {kind} {name} was changed")
    return sorted(problems)
