"""The answer of a check for people and for programs: sentences, JSON, annotations, dashboards."""
