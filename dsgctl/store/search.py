"""The search for people, through SQLite's full-text index (https://sqlite.org/fts5.html#the_trigram_tokenizer)."""

from functools import reduce
from itertools import product
from operator import or_
from typing import Any

from dsgctl.store.models import Principal
from dsgctl.store.queries import Expression, IntegerField, Model, fn


class _SearchIndex(Model):
    """Every three consecutive letters of a principal's email, slug and names, in one case."""

    rowid = IntegerField(primary_key=True)

    class Meta:
        table_name = "principals_search"


def principals_matching(text: str) -> Any:
    """The condition that a principal's email, slug, name or display name contains ``text``, ignoring case."""
    if len(text) < 3:
        columns = (Principal.email, Principal.slug, Principal.name, Principal.display_name)
        searched = fn.lower(fn.concat_ws(" ", *columns))
        # SQLite's lower() changes ASCII letters only, so every other letter is looked for in either case.
        spellings = {"".join(letters) for letters in product(*({char.lower(), char.upper()} for char in text))}
        return reduce(or_, (fn.instr(searched, spelling) > 0 for spelling in sorted(spellings)))
    phrase = '"' + text.replace('"', '""') + '"'
    rows = _SearchIndex.select(_SearchIndex.rowid).where(Expression(_SearchIndex._meta.entity, "MATCH", phrase))
    return Principal.id.in_(rows)
