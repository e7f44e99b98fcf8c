"""The page of a report: one file of HTML that needs nothing else, with a map, tables and plots.

`model_page.py` puts it together from what `map_facts.py`, `layer_table.py` and the plots give;
`page.html.j2`, `page.css` and `page.js` are what it looks like. All of it is there without the script,
which sorts, filters, folds and colours.
"""
