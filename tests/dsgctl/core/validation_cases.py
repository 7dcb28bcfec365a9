"""Values of every kind that `validation` returns, and those that it refuses."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from dsgctl.core import validation
from tests.dsgctl.core.builders import AT

# No name of anything may have these: they would hide or forge what stands on a terminal or in a log.
HARMFUL = [
    "a\x00b",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x1b[2Jb",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    "a\ud800b",
    "a\udcffb",
    "a\u202eb",
    "a\u2066b",
    "a\u200fb",
]


OK: list[tuple[Callable[..., Any], tuple[Any, ...], Any]] = [
    (validation.email, ("ana@example.org",), "ana@example.org"),
    (validation.email, ("Ana.B+lab@Sub.Example.ORG",), "Ana.B+lab@Sub.Example.ORG"),
    (validation.email, ("o'neil_1@x-y.org",), "o'neil_1@x-y.org"),
    (validation.email, ("ana@localhost",), "ana@localhost"),
    (validation.email, ("ana@xn--bcher-kva.example",), "ana@xn--bcher-kva.example"),
    (validation.email, ("a" * 64 + "@x.org",), "a" * 64 + "@x.org"),
    (validation.email, ("a@" + "b" * 248 + ".org",), "a@" + "b" * 248 + ".org"),
    (validation.email, ("a@not-service-account.dsg.local",), "a@not-service-account.dsg.local"),
    (validation.foreign_email, ("zoë@example.org",), "zoë@example.org"),
    (validation.foreign, ("trailing ", "group name"), "trailing "),
    (validation.foreign, (" lead", "dataset name"), " lead"),
    (validation.foreign, ("éditer ✓", "permission"), "éditer ✓"),
    (validation.foreign, ("zw\u200b\u202e\u2028", "group name"), "zw\u200b\u202e\u2028"),
    (validation.foreign, ("  ", "group name"), "  "),
    (validation.foreign, ("x" * 2048, "group name"), "x" * 2048),
    (validation.foreign_email, ("sched uler@serviceaccount",), "sched uler@serviceaccount"),
    (validation.email_key, ("ZOË.b@Example.org",), "zoË.b@example.org"),
    (validation.slug, ("fish2", "dataset"), "fish2"),
    (validation.slug, ("_Fish-2.b", "dataset"), "_Fish-2.b"),
    (validation.slug, ("9" * 255, "dataset"), "9" * 255),
    (validation.single_line, ("Zoë Łukasz 陈", "name"), "Zoë Łukasz 陈"),
    (validation.single_line, ("a  b", "name"), "a  b"),
    (validation.single_line, ("é" * 255, "name"), "é" * 255),
    (validation.multiline, ("", "note"), ""),
    (validation.multiline, ("# Terms\n\n\tBe kind.\n", "text"), "# Terms\n\n\tBe kind.\n"),
    (validation.multiline, ("a" * 100_000, "text"), "a" * 100_000),
    (validation.permission, ("view",), "view"),
    (validation.permission, ("cave:all.tables-2",), "cave:all.tables-2"),
    (validation.gs_url, ("gs://bucket",), ("bucket", "")),
    (validation.gs_url, ("gs://bucket/",), ("bucket", "")),
    (validation.gs_url, ("gs://bucket/a",), ("bucket", "a/")),
    (validation.gs_url, ("gs://bucket/a/b/",), ("bucket", "a/b/")),
    (validation.gs_url, ("gs://my_bucket.example.org/ä b",), ("my_bucket.example.org", "ä b/")),
    (validation.gs_url, ("gs://" + "b" * 222,), ("b" * 222, "")),
    (validation.url, ("",), ""),
    (validation.url, ("https://x.org/a.png?b=c#d",), "https://x.org/a.png?b=c#d"),
    (validation.url, ("http://localhost:8200",), "http://localhost:8200"),
    (validation.url, ("https://[::1]:8200/a@b?c@d#e@f",), "https://[::1]:8200/a@b?c@d#e@f"),
    (validation.url, ("https://x.org?a=[b]~",), "https://x.org?a=[b]~"),
    (validation.duration, ("1m",), timedelta(minutes=1)),
    (validation.duration, ("12h",), timedelta(hours=12)),
    (validation.duration, ("90d",), timedelta(days=90)),
    (validation.duration, ("2w",), timedelta(days=14)),
    (validation.date, ("2027-01-31",), datetime(2027, 1, 31, tzinfo=UTC)),
    (validation.date, ("2027-01-31T12:30",), datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
    (validation.date, ("2027-01-31 12:30:01",), datetime(2027, 1, 31, 12, 30, 1, tzinfo=UTC)),
    (validation.date, ("2027-01-31T12:00Z",), datetime(2027, 1, 31, 12, tzinfo=UTC)),
    (validation.date, ("2027-01-31T00:30+02:00",), datetime(2027, 1, 30, 22, 30, tzinfo=UTC)),
    (validation.moment_after, ("90d", AT), AT + timedelta(days=90)),
    (validation.moment_after, ("2026-11-21", AT), datetime(2026, 11, 21, tzinfo=UTC)),
    (validation.moment_before, ("90d", AT), AT - timedelta(days=90)),
    (validation.moment_before, ("2026-11-19", AT), datetime(2026, 11, 19, tzinfo=UTC)),
]


FAIL: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    *(
        (validation.email, (text,))
        for text in (
            "",
            "ana",
            "@x.org",
            "ana@",
            "ana@@x.org",
            "ana@x@y.org",
            "ana @x.org",
            " ana@x.org",
            "ana@x.org ",
            ".ana@x.org",
            "ana.@x.org",
            "a..b@x.org",
            "ana@.org",
            "ana@x..org",
            "ana@-x.org",
            "ana@x-.org",
            "ana@x_y.org",
            "ana@x.org.",
            "ana@[127.0.0.1]",
            '"ana"@x.org',
            "Ana <ana@x.org>",
            "mailto:ana@x.org",
            "ana@x.org,b@x.org",
            "zoë@x.org",
            "ana@büc.org",
            "\u212aate@x.org",
            "ana@x\uff0eorg",
            "a" * 65 + "@x.org",
            "a@" + "b" * 249 + ".org",
            "bot@service-account.dsg.local",
            "Bot@Service-Account.DSG.local",
            "ana@x.org\n",
            "ana\x00@x.org",
            *(text + "@x.org" for text in HARMFUL),
        )
    ),
    *(
        (validation.foreign_email, (text,))
        for text in (
            "",
            "ana",
            "@x.org",
            "ana@",
            " ana@x.org",
            "ana@x.org ",
            "a" * 250 + "@x.org",
            "bot@service-account.dsg.local",
            *(text + "@x.org" for text in HARMFUL),
        )
    ),
    *(
        (validation.foreign, (text, "group name"))
        for text in (
            "",
            "x" * 2049,
            "é" * 1025,
            "a\x00b",
            "a\nb",
            "a\rb",
            "a\tb",
            "a\x1b[2Jb",
            "a\x7fb",
            "a\x85b",
            "a\ud800b",
            "a\udcffb",
        )
    ),
    *(
        (validation.foreign_paragraph, (text, "text"))
        for text in ("a" * 100_001, "a\x00", "a\x1b[31m", "a\r\n", "a\ud800")
    ),
    *(
        (validation.slug, (text, "dataset"))
        for text in (
            "",
            " ",
            "fish 2",
            ".fish",
            "-fish",
            "..",
            "fish/2",
            "fish:2",
            "fish@2",
            "fisch\u00e4",
            "f\u0456sh",
            "a" * 256,
            "fish2\n",
            *HARMFUL,
        )
    ),
    *(
        (validation.single_line, (text, "name"))
        for text in (
            "",
            " ",
            " a",
            "a ",
            "\u00a0a",
            "a\u3000",
            "a" * 256,
            "a\n",
            *HARMFUL,
        )
    ),
    *(
        (validation.multiline, (text, "text"))
        for text in (
            "a" * 100_001,
            "a\x00",
            "a\x1b[31m",
            "a\u2028b",
            "a\ud800",
            "a\u202eb",
        )
    ),
    *(
        (validation.permission, (text,))
        for text in (
            "",
            " view",
            "view ",
            "view edit",
            "-view",
            ":view",
            "vi\u00e9w",
            "view/all",
            "a" * 256,
            "view\n",
            *HARMFUL,
        )
    ),
    *(
        (validation.gs_url, (text,))
        for text in (
            "",
            "bucket",
            "gs:/bucket",
            "gs://",
            "gs:///a",
            "s3://bucket",
            "https://storage.googleapis.com/bucket",
            "GS://bucket",
            "gs://Bucket",
            "gs://bu cket",
            "gs://ab",
            "gs://-bucket",
            "gs://bucket-",
            "gs://.bucket",
            "gs://" + "b" * 223,
            "gs://b\u00fccket",
            "gs://bucket//a",
            "gs://bucket/" + "a" * 1025,
            "gs://bucket/" + "\u00e4" * 513,
            "gs://user@bucket/a",
            "gs://bucket:80/a",
            " gs://bucket",
            *("gs://bucket/" + text for text in HARMFUL),
        )
    ),
    *(
        (validation.url, (text,))
        for text in (
            "x.org",
            "//x.org",
            "https://user:password@x.org/",
            "https://user@x.org",
            "https://x.org\\@evil.example/",
            "https://x.org/\\evil.example",
            "https:///x.org",
            "https://?x.org",
            "javascript:alert(1)",
            "data:text/html,a",
            "ftp://x.org",
            "https://",
            "https:// x.org",
            "https://x.org/a b",
            "https://b\u00fcc.org",
            " https://x.org",
            "https://x.org\n",
            "HTTPS://x.org",
            "https://x.org/" + "a" * 2048,
            *("https://x.org/" + text for text in HARMFUL),
        )
    ),
    *(
        (validation.duration, (text,))
        for text in (
            "",
            "90",
            "d",
            "0d",
            "-1d",
            "+1d",
            "1.5d",
            "90 d",
            "90D",
            "90days",
            "1y",
            "90d ",
            "1d12h",
            "1000000d",
            "\u0669d",
            "1e3d",
            "90d\n",
        )
    ),
    *(
        (validation.date, (text,))
        for text in (
            "",
            "soon",
            "2027",
            "2027-01",
            "2027-1-31",
            "31.01.2027",
            "01/31/2027",
            "20270131",
            "2027-02-30",
            "2027-13-01",
            "2027-01-31T25:00",
            "2027-01-31T",
            "2027-01-31X12:00",
            "2027-01-31T12:00X",
            " 2027-01-31",
            "2027-01-31 ",
            "2027-W05-1",
            "0000-01-01",
            "10000-01-01",
            "0001-01-01T00:00+14:00",
            "9999-12-31T23:59-12:00",
            "\u0662\u0660\u0662\u0667-01-31",
            "2027-01-31T12:00+25:00",
            "2027-01-31\n12:00",
            "2027-01-31\x0012:00",
        )
    ),
    *(
        (validation.moment_after, (text, AT))
        for text in (
            "",
            "90",
            "yesterday",
            "2026-11-19",
            "2026-11-20",
            "2026-11-20T12:00Z",
            "999999w",
            "0d",
        )
    ),
    *((validation.moment_before, (text, AT)) for text in ("", "90", "yesterday", "999999w", "-1d")),
]
