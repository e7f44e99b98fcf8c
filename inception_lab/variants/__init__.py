"""Tables of variants: which rows none dominates, and which parameter moves which metric most."""
