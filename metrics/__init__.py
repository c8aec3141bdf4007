"""The instrument room: every metric in one table, verbs that record, and the page Prometheus reads."""
