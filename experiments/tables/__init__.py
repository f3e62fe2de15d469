"""The paper's tables, as pure functions of records and published numbers."""
