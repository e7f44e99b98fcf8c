"""One module's arithmetic as a student writes it down: naive against reduced."""
