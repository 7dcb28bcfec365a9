-- Public roots are looked up by the name of their table alone, whatever the service (core/table_lookups.py).

CREATE INDEX service_tables_name ON service_tables (name);
