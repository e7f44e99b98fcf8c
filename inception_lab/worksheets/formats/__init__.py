"""A worksheet as text, Markdown, LaTeX, JSON or CSV."""
