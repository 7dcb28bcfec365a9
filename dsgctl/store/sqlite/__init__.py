"""SQLite, through apsw. Only these modules run a PRAGMA, or know about the file, its WAL and its locks."""
